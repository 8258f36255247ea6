#include "image/progress.h"

#include <algorithm>

#include "base/json.h"
#include "base/text.h"

namespace panal {

static std::string padded(const std::string& text) {
  return (text.size() < 8 ? std::string(8 - text.size(), ' ') : "") + text;
}

std::string progress_bar(int64_t current, int64_t total) {
  if (current <= 0 && total <= 0) return "";
  const std::string now = human_size(static_cast<double>(current));
  if (total <= 0) return padded(now);
  const auto done = static_cast<size_t>(std::clamp<int64_t>(
      static_cast<int64_t>(static_cast<double>(current) / static_cast<double>(total) * 50), 0, 50));
  const std::string bar = "[" + std::string(done, '=') + ">" + std::string(50 - done, ' ') + "] ";
  return bar + padded(now) + (current > total ? "" : "/" + human_size(static_cast<double>(total)));
}

std::string progress_json(const ProgressLine& line) {
  JsonObject out;
  if (!line.status.empty()) out["status"] = line.status;
  if (!line.digest.empty()) {
    out["progressDetail"] = JsonObject{},
    out["aux"] = JsonObject{{"Tag", line.tag}, {"Digest", line.digest}, {"Size", line.size_bytes}};
  } else if (line.current > 0 || line.total > 0) {
    JsonObject detail{{"current", line.current}};
    if (line.total > 0) detail["total"] = line.total;
    out["progressDetail"] = detail, out["progress"] = progress_bar(line.current, line.total);
  } else if (!line.id.empty() && !line.status.starts_with("Pulling from ")) {
    out["progressDetail"] = JsonObject{};
  }
  if (!line.id.empty()) out["id"] = line.id;
  return dump(out) + "\r\n";
}

std::string progress_error_json(std::string_view message) {
  return dump(JsonObject{{"errorDetail", JsonObject{{"message", message}}}, {"error", message}}) + "\r\n";
}

std::string short_digest(std::string_view digest) {
  return std::string(digest.substr(digest.starts_with("sha256:") ? 7 : 0, 12));
}

}  // namespace panal
