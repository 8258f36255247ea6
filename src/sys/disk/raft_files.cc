#include "sys/disk/raft_files.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "base/text.h"
#include "raft/codec.h"
#include "sys/disk/posix_files.h"

namespace panal {
namespace {

using raft::Entry;
using raft::Index;

constexpr size_t kSegmentBytes = 64 << 20, kMaxFileBytes = size_t{1} << 30;

uint32_t checksum(std::string_view data) {
  return static_cast<uint32_t>(
      ::crc32(0, reinterpret_cast<const Bytef*>(data.data()), static_cast<uInt>(data.size())));
}

std::string frame(const std::string& body) {
  std::string out(8, '\0');
  const uint32_t size = static_cast<uint32_t>(body.size()), sum = checksum(body);
  std::memcpy(out.data(), &size, 4);
  std::memcpy(out.data() + 4, &sum, 4);
  return out + body;
}

// No record is empty: zeros are what some file systems leave at the end of a file after a crash.
std::optional<std::string> unframe(std::string_view data, size_t& at) {
  if (at + 8 > data.size()) return std::nullopt;
  uint32_t size, sum;
  std::memcpy(&size, data.data() + at, 4);
  std::memcpy(&sum, data.data() + at + 4, 4);
  if (size == 0 || at + 8 + size > data.size()) return std::nullopt;
  std::string body(data.substr(at + 8, size));
  if (checksum(body) != sum) return std::nullopt;
  at += 8 + size;
  return body;
}

Result<> write_durably(DurableFiles::File& file, std::string_view data) {
  while (!data.empty()) {
    TRY(const size_t n, file.write(data));
    data.remove_prefix(n);
  }
  return file.sync();
}

class RaftFiles final : public raft::Disk {
 public:
  RaftFiles(Loop& loop, std::shared_ptr<DurableFiles> files, std::string dir)
      : loop_(loop), files_(std::move(files)), dir_(std::move(dir)) {}

  // What a process that was killed has left in the kernel's cache alone counts from here on: it is written
  // anew before it is believed.
  Result<raft::Persistent> load() override {
    TRYV(files_->make_dirs(dir_));
    TRYV(files_->sync_dir(dir_.substr(0, dir_.rfind('/') + 1)));
    TRYV(files_->sync_dir(dir_));
    TRY(const auto names, files_->list(dir_));
    raft::Persistent p;
    if (std::ranges::find(names, "vote") != names.end()) {
      TRY(const std::string file, files_->read(dir_ + "/vote", 4096));
      size_t at = 0;
      const auto words = split(unframe(file, at).value_or(""), ' ');
      if (words.size() != 2) return fail(Code::kInternal, "raft: " + dir_ + "/vote is damaged");
      p.term = std::strtoull(words[0].c_str(), nullptr, 10),
      p.vote = std::strtoull(words[1].c_str(), nullptr, 10);
    }
    if (std::ranges::find(names, "snapshot") != names.end()) {
      TRY(const std::string file, files_->read(dir_ + "/snapshot", kMaxFileBytes));
      size_t at = 0;
      const auto body = unframe(file, at);
      if (!body) return fail(Code::kInternal, "raft: " + dir_ + "/snapshot is damaged");
      TRY(p.snapshot, raft::decode_snapshot(*body));
    }
    segments_.clear();
    for (const auto& name : names)
      if (name.starts_with("log-") && !name.ends_with(".new"))
        segments_.push_back(std::strtoull(name.c_str() + 4, nullptr, 16));
    std::ranges::sort(segments_);
    p.log_start = 0;
    for (size_t i = 0, count = segments_.size(); i < count; ++i)
      TRYV(load_segment(p, segments_[i], i + 1 == count));
    if (p.log_start == 0) p.log_start = p.snapshot ? p.snapshot->index + 1 : 1;
    return p;
  }

  Result<> save_vote(raft::Term term, raft::Id vote) override {
    return replace(dir_ + "/vote", frame(std::to_string(term) + " " + std::to_string(vote)));
  }

  void append(Index from, std::vector<Entry> entries, When when,
              std::function<void(Result<>)> done) override {
    if (!sound_) return done(sound_);
    // A new segment only when nothing is on its way to the old one: its completions must stay in order.
    if (!file_ || ((roll_ || size_ >= kSegmentBytes) && !writing_ && buffer_.empty()))
      if (auto opened = open_segment(from); !opened) return done(sound_ = opened);
    if (buffer_.empty()) buffered_from_ = from;
    buffer_ += raft::encode_write(from, entries);
    waiting_.push_back(std::move(done));
    if (when == When::kLater) return flush();
    const std::string data = frame(std::exchange(buffer_, {}));
    settle(write_durably(*file_, data), data.size(), std::exchange(waiting_, {}));
  }

  Result<> save_snapshot(const raft::Snapshot& snapshot, bool reset) override {
    TRYV(replace(dir_ + "/snapshot", frame(raft::encode_snapshot(snapshot))));
    if (!reset) {
      roll_ = true;
      return {};
    }
    // The replica forgot what was on its way; a write under way ends in a file nobody reads.
    buffer_.clear();
    waiting_.clear();
    file_.reset();
    // The newest first: what a crash leaves never looks as if it followed on the snapshot.
    for (; !segments_.empty(); segments_.pop_back()) TRYV(files_->remove(segment_path(segments_.back())));
    return {};
  }

  void drop_prefix(Index index) override {
    while (segments_.size() > 1 && segments_[1] <= index + 1 &&
           files_->remove(segment_path(segments_.front())))
      segments_.erase(segments_.begin());
  }

 private:
  // What still counts of older segments is below the number.
  std::string segment_path(Index number) const {
    char name[32];
    std::snprintf(name, sizeof name, "/log-%016llx", static_cast<unsigned long long>(number));
    return dir_ + name;
  }

  Result<> replace(const std::string& path, std::string_view data) {
    const std::string fresh = path + ".new";
    TRY(auto file, files_->create(fresh));
    TRYV(write_durably(*file, data));
    TRYV(files_->rename(fresh, path));
    return files_->sync_dir(dir_);
  }

  Result<> load_segment(raft::Persistent& p, Index number, bool last) {
    const std::string path = segment_path(number);
    TRY(const std::string data, files_->read(path, kMaxFileBytes));
    size_t at = 0;
    while (at < data.size()) {
      const auto body = unframe(data, at);
      if (!body) {
        uint32_t size = 0;
        if (at + 8 <= data.size()) std::memcpy(&size, data.data() + at, 4);
        size_t next = at + 8 + size;
        if (!last || (size > 0 && next < data.size() && unframe(data, next)))
          return fail(Code::kInternal, "raft: " + path + " is damaged in the middle of the log");
        log::warn("msg=\"raft log: torn tail cut off\" file={} bytes={}", path, data.size() - at);
        break;
      }
      TRY(auto appends, raft::decode_write(*body));
      for (auto& [from, entries] : appends) {
        if (from < p.log_start || p.log_start == 0)
          p.log_start = from, p.entries.clear();  // all before it is cut, whatever of it is still there
        if (from > p.log_start + p.entries.size())
          return fail(Code::kInternal, "raft: " + path + ": entries are missing");
        p.entries.resize(from - p.log_start);
        std::ranges::move(entries, std::back_inserter(p.entries));
      }
    }
    if (!last) return {};
    if (at == 0) {  // nothing came of it: what comes next may not be what it was named for
      segments_.pop_back();
      return files_->remove(path);
    }
    // A sync would not do: one that failed before has left pages that the kernel takes for written.
    TRYV(replace(path, std::string_view(data).substr(0, at)));
    size_ = at;
    TRY(file_, files_->open(path));
    return {};
  }

  Result<> open_segment(Index from) {
    const Index number = segments_.empty() ? from : std::max(from, segments_.back() + 1);
    TRY(auto file, files_->create(segment_path(number)));
    TRYV(files_->sync_dir(dir_));
    file_ = std::move(file);
    size_ = 0, roll_ = false;
    segments_.push_back(number);
    return {};
  }

  // One write at a time; what gathers meanwhile goes with the next one.
  void flush() {
    if (writing_ || waiting_.empty()) return;
    if (!sound_) return settle(sound_, 0, std::exchange(waiting_, {}));
    // Under unbroken load this is the only moment with nothing on its way.
    if (size_ >= kSegmentBytes)
      if (auto opened = open_segment(buffered_from_); !opened)
        return settle(sound_ = opened, 0, std::exchange(waiting_, {}));
    writing_ = true;
    auto file = file_;
    auto calls = std::make_shared<std::vector<std::function<void(Result<>)>>>(std::exchange(waiting_, {}));
    auto result = std::make_shared<Result<>>();
    const auto data = std::make_shared<const std::string>(frame(std::exchange(buffer_, {})));
    loop_.offload([file, data, result] { *result = write_durably(*file, *data); },
                  [this, here = std::weak_ptr<char>(here_), file, calls, data, result] {
                    if (here.expired()) return;  // its manager is gone
                    writing_ = false;
                    if (file == file_) settle(*result, data->size(), std::move(*calls));
                    flush();
                  },
                  Lane::kLog);
  }

  void settle(Result<> written, size_t size, std::vector<std::function<void(Result<>)>> calls) {
    if (written)
      size_ += size;
    else
      sound_ = written;
    for (auto& call : calls) call(written);
  }

  Loop& loop_;
  const std::shared_ptr<DurableFiles> files_;
  const std::string dir_;
  std::string buffer_;
  Index buffered_from_ = 0;  // the first that buffer_ holds
  std::vector<std::function<void(Result<>)>> waiting_;
  std::shared_ptr<DurableFiles::File> file_;
  size_t size_ = 0;  // of file_
  std::vector<Index> segments_;
  bool writing_ = false, roll_ = false;
  Result<> sound_;  // after a write that failed there is none: what followed it would stand behind a gap
  std::shared_ptr<char> here_ = std::make_shared<char>();
};

}  // namespace

std::unique_ptr<raft::Disk> open_raft_files(Loop& loop, std::shared_ptr<DurableFiles> files,
                                            const std::string& dir) {
  return std::make_unique<RaftFiles>(loop, std::move(files), dir);
}
std::unique_ptr<raft::Disk> open_raft_files(Loop& loop, const std::string& dir) {
  return open_raft_files(loop, make_posix_files(), dir);
}

}  // namespace panal
