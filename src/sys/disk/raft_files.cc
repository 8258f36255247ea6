#include "sys/disk/raft_files.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "raft/codec.h"

namespace panal {
namespace {

using raft::Entry;
using raft::Index;

uint32_t checksum(std::string_view data) { return static_cast<uint32_t>(::crc32(0, reinterpret_cast<const Bytef*>(data.data()), static_cast<uInt>(data.size()))); }

std::string frame(const std::string& body) {
  std::string out(8, '\0');
  const uint32_t size = static_cast<uint32_t>(body.size()), sum = checksum(body);
  std::memcpy(out.data(), &size, 4);
  std::memcpy(out.data() + 4, &sum, 4);
  return out + body;
}

std::optional<std::string> unframe(std::string_view data, size_t& at) {
  if (at + 8 > data.size()) return std::nullopt;
  uint32_t size, sum;
  std::memcpy(&size, data.data() + at, 4);
  std::memcpy(&sum, data.data() + at + 4, 4);
  if (size > (64u << 20) || at + 8 + size > data.size()) return std::nullopt;
  std::string body(data.substr(at + 8, size));
  if (checksum(body) != sum) return std::nullopt;
  at += 8 + size;
  return body;
}

Result<> write_durably(int fd, const std::string& data) {
  TRYV(write_all(fd, data));
  if (::fdatasync(fd) != 0) return fail(sys_error(errno, "fdatasync", "raft log"));
  return {};
}

class RaftFiles final : public raft::Disk {
 public:
  RaftFiles(Loop& loop, std::string dir) : loop_(loop), dir_(std::move(dir)) {}

  Result<raft::Persistent> load() override {
    TRYV(make_dirs(dir_, 0700));
    raft::Persistent p;
    if (auto vote = read_file(dir_ + "/vote", 4096)) {
      size_t at = 0;
      const auto body = unframe(*vote, at);
      const auto words = split(body.value_or(""), ' ');
      if (words.size() != 2) return fail(Code::kInternal, "raft: " + dir_ + "/vote is damaged");
      p.term = std::strtoull(words[0].c_str(), nullptr, 10), p.vote = std::strtoull(words[1].c_str(), nullptr, 10);
    } else if (vote.error().code != Code::kNotFound) {
      return std::unexpected(vote.error());
    }
    if (auto file = read_file(dir_ + "/snapshot", size_t{1} << 30)) {
      size_t at = 0;
      const auto body = unframe(*file, at);
      if (!body) return fail(Code::kInternal, "raft: " + dir_ + "/snapshot is damaged");
      TRY(p.snapshot, raft::decode_snapshot(*body));
    }
    p.log_start = 0;
    segments_ = list_segments();
    for (const Index first : segments_) TRYV(load_segment(p, first, first == segments_.back()));
    if (p.log_start == 0) p.log_start = p.snapshot ? p.snapshot->index + 1 : 1;
    return p;
  }

  Result<> save_vote(raft::Term term, raft::Id vote) override {
    return write_file_atomic(dir_ + "/vote", frame(std::to_string(term) + " " + std::to_string(vote)), 0600);
  }

  void append(Index from, std::vector<Entry> entries, When when, std::function<void(Result<>)> done) override {
    // A new segment only when nothing is on its way to the old one: its completions must stay in order.
    if (!file_ || (roll_ && !writing_ && buffer_.empty())) {
      if (auto opened = open_segment(from); !opened) return done(opened);
      roll_ = false;
    }
    for (size_t i = 0; i < entries.size(); ++i) buffer_ += frame(raft::encode_record(from + i, entries[i]));
    waiting_.push_back(std::move(done));
    if (when == When::kLater) return flush();
    const auto written = write_durably(file_->get(), std::exchange(buffer_, {}));
    for (auto& call : std::exchange(waiting_, {})) call(written);
  }

  Result<> save_snapshot(const raft::Snapshot& snapshot, bool reset) override {
    TRYV(write_file_atomic(dir_ + "/snapshot", frame(raft::encode_snapshot(snapshot)), 0600));
    if (reset) {  // the replica forgot what was on its way; a write in flight ends in a file nobody reads
      buffer_.clear();
      waiting_.clear();
      file_.reset();
      for (const Index first : std::exchange(segments_, {})) ::unlink(segment_path(first).c_str());
    } else {
      roll_ = true;
    }
    return {};
  }

  void drop_prefix(Index index) override {
    while (segments_.size() > 1 && segments_[1] <= index + 1) {
      ::unlink(segment_path(segments_.front()).c_str());
      segments_.erase(segments_.begin());
    }
  }

 private:
  std::string segment_path(Index first) const {
    char name[32];
    std::snprintf(name, sizeof name, "/log-%016llx", static_cast<unsigned long long>(first));
    return dir_ + name;
  }

  std::vector<Index> list_segments() const {
    std::vector<Index> out;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(dir_, error)) {
      const std::string name = entry.path().filename();
      if (name.starts_with("log-")) out.push_back(std::strtoull(name.c_str() + 4, nullptr, 16));
    }
    std::ranges::sort(out);
    return out;
  }

  Result<> load_segment(raft::Persistent& p, Index first, bool last) {
    TRY(const std::string data, read_file(segment_path(first), size_t{1} << 30));
    size_t at = 0;
    while (at < data.size()) {
      const size_t before = at;
      const auto body = unframe(data, at);
      if (!body) {
        // A torn tail has nothing after it; a sound record behind a damaged one means that acknowledged writes are lost.
        uint32_t size = 0;
        if (before + 8 <= data.size()) std::memcpy(&size, data.data() + before, 4);
        size_t next = before + 8 + size;
        const bool in_middle = size > 0 && next < data.size() && unframe(data, next).has_value();
        if (!last || in_middle) return fail(Code::kInternal, "raft: " + segment_path(first) + " is damaged in the middle of the log");
        log::warn("msg=\"raft log: torn tail cut off\" file={} bytes={}", segment_path(first), data.size() - before);
        if (::truncate(segment_path(first).c_str(), static_cast<off_t>(before)) != 0) return fail(sys_error(errno, "truncate", segment_path(first)));
        break;
      }
      TRY(auto record, raft::decode_record(*body));
      if (p.log_start == 0) p.log_start = record.first;
      if (record.first < p.log_start || record.first > p.log_start + p.entries.size()) return fail(Code::kInternal, "raft: " + segment_path(first) + ": entries are missing");
      p.entries.resize(record.first - p.log_start);
      p.entries.push_back(std::move(record.second));
    }
    if (last) {
      file_ = std::make_shared<Fd>(::open(segment_path(first).c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
      if (!*file_) return fail(sys_error(errno, "open", segment_path(first)));
    }
    return {};
  }

  Result<> open_segment(Index first) {
    if (!segments_.empty() && first <= segments_.back()) first = segments_.back() + 1;  // names only order the files
    auto file = std::make_shared<Fd>(::open(segment_path(first).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!*file) return fail(sys_error(errno, "open", segment_path(first)));
    Fd dir(::open(dir_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (dir) (void)::fsync(dir.get());
    file_ = std::move(file);
    segments_.push_back(first);
    return {};
  }

  // One write at a time; what gathers meanwhile goes with the next one.
  void flush() {
    if (writing_ || waiting_.empty()) return;
    writing_ = true;
    auto file = file_;
    auto calls = std::make_shared<std::vector<std::function<void(Result<>)>>>(std::exchange(waiting_, {}));
    auto result = std::make_shared<Result<>>();
    loop_.offload([file, data = std::exchange(buffer_, {}), result] { *result = write_durably(file->get(), data); },
                  [this, here = std::weak_ptr<char>(here_), file, calls, result] {
                    if (here.expired()) return;  // its manager is gone
                    writing_ = false;
                    if (file == file_)
                      for (auto& call : *calls) call(*result);
                    flush();
                  });
  }

  Loop& loop_;
  std::string dir_, buffer_;
  std::vector<std::function<void(Result<>)>> waiting_;
  std::shared_ptr<Fd> file_;
  std::vector<Index> segments_;
  bool writing_ = false, roll_ = false;
  std::shared_ptr<char> here_ = std::make_shared<char>();
};

}  // namespace

std::unique_ptr<raft::Disk> open_raft_files(Loop& loop, const std::string& dir) { return std::make_unique<RaftFiles>(loop, dir); }

}  // namespace panal
