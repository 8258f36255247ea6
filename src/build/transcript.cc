#include "build/transcript.h"

#include "base/json.h"
#include "base/text.h"

namespace panal {

static constexpr size_t kMostPending = 1 << 20;

std::string Transcript::line(std::string_view text) {
  return dump(JsonObject{{"stream", to_utf8(text)}}) + "\r\n";
}

Task<void> Transcript::say(size_t part, std::string text) {
  if (quiet_) co_return;
  Part& p = parts_.at(part);
  while (p.pending.size() > kMostPending && !abandoned_) (void)co_await changed_.wait(loop_);
  if (abandoned_) co_return;
  p.pending += line(text);
  if (part == current_) changed_.notify(loop_);
}

void Transcript::report(size_t part, const ProgressLine& line) {
  Part& p = parts_.at(part);
  if (quiet_ || abandoned_ || (line.current > 0 && p.pending.size() > kMostPending)) return;
  p.pending += progress_json(line);
  if (part == current_) changed_.notify(loop_);
}

void Transcript::end(size_t part, const std::string& image_id) {
  if (!image_id.empty())
    parts_.at(part).pending += dump(JsonObject{{"aux", JsonObject{{"ID", image_id}}}}) + "\r\n";
  parts_.at(part).ended = true;
  changed_.notify(loop_);
}

Task<std::string> Transcript::next() {
  while (current_ < parts_.size()) {
    Part& p = parts_[current_];
    if (!p.pending.empty()) {
      std::string out = std::move(p.pending);
      p.pending.clear();
      changed_.notify(loop_);
      co_return out;
    }
    if (p.ended)
      ++current_;
    else
      (void)co_await changed_.wait(loop_);
  }
  co_return "";
}

void Transcript::abandon() {
  abandoned_ = true;
  changed_.notify(loop_);
}

}  // namespace panal
