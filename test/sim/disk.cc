#include "sim/disk.h"

#include <algorithm>

namespace panal::sim {

// Each call that changes something may be the last one.
Result<> SimFiles::call(const char* name, const std::string& path) {
  if (calls_left_ && (*calls_left_)-- == 0) frozen_ = true, calls_left_.reset();
  if (frozen_) return fail(Code::kInternal, std::string(name) + " " + path + ": the machine is off");
  return {};
}

class SimFiles::Handle final : public DurableFiles::File {
 public:
  Handle(SimFiles& files, std::shared_ptr<Inode> inode, std::string path)
      : files_(files), inode_(std::move(inode)), path_(std::move(path)) {}

  Result<size_t> write(std::string_view data) override {
    TRYV(files_.call("write", path_));
    size_t size = data.size();
    if (files_.short_writes && size > 1 && files_.random_.chance(0.2))
      size = 1 + files_.random_.below(size - 1);
    if (files_.room) {
      if (*files_.room == 0)
        return ++files_.errors, fail(Code::kInternal, "write " + path_ + ": no space left on device");
      size = std::min(size, *files_.room), *files_.room -= size;
    }
    inode_->cache += data.substr(0, size);
    return size;
  }
  Result<> sync() override {
    TRYV(files_.call("fdatasync", path_));
    Inode& f = *inode_;
    if (files_.failing_syncs > 0) {  // the kernel says so once and takes the pages for clean
      --files_.failing_syncs, ++files_.errors;
      f.clean = f.cache.size();
      return fail(Code::kInternal, "fdatasync " + path_ + ": input/output error");
    }
    f.disk.resize(f.clean, '\0');
    f.disk += f.cache.substr(f.clean);
    f.clean = f.cache.size();
    return {};
  }

 private:
  SimFiles& files_;
  std::shared_ptr<Inode> inode_;
  const std::string path_;
};

void SimFiles::change(std::function<void(Folder&)> what) {
  what(now_);
  unsynced_.push_back(std::move(what));
}

Result<std::vector<std::string>> SimFiles::list(const std::string& dir) {
  std::vector<std::string> out;
  for (const auto& [path, inode] : now_)
    if (path.starts_with(dir + "/")) out.push_back(path.substr(dir.size() + 1));
  return out;
}

Result<std::string> SimFiles::read(const std::string& path, size_t limit_bytes) {
  auto it = now_.find(path);
  if (it == now_.end()) return fail(Code::kNotFound, "open " + path + ": no such file or directory");
  if (it->second->cache.size() > limit_bytes) return fail(Code::kTooLarge, path + ": more than the limit");
  return it->second->cache;
}

Result<std::shared_ptr<DurableFiles::File>> SimFiles::open(const std::string& path) {
  auto it = now_.find(path);
  if (it == now_.end()) return fail(Code::kNotFound, "open " + path + ": no such file or directory");
  return std::make_shared<Handle>(*this, it->second, path);
}

Result<std::shared_ptr<DurableFiles::File>> SimFiles::create(const std::string& path) {
  TRYV(call("open", path));
  auto it = now_.find(path);
  if (it != now_.end()) {
    it->second->cache.clear(), it->second->clean = 0;
  } else {
    if (room && *room == 0)
      return ++errors, fail(Code::kInternal, "open " + path + ": no space left on device");
    change([path, inode = std::make_shared<Inode>()](Folder& f) { f[path] = inode; });
  }
  return open(path);
}

Result<> SimFiles::rename(const std::string& from, const std::string& to) {
  TRYV(call("rename", from));
  if (!has(from)) return fail(Code::kNotFound, "rename " + from + ": no such file or directory");
  change([from, to](Folder& f) {
    f[to] = f.at(from);
    f.erase(from);
  });
  return {};
}

Result<> SimFiles::remove(const std::string& path) {
  TRYV(call("unlink", path));
  change([path](Folder& f) { f.erase(path); });
  return {};
}

Result<> SimFiles::sync_dir(const std::string& dir) {
  TRYV(call("fsync", dir));
  if (failing_syncs > 0) {
    --failing_syncs, ++errors;
    return fail(Code::kInternal, "fsync " + dir + ": input/output error");
  }
  synced_ = now_;
  unsynced_.clear();
  return {};
}

void SimFiles::tear(Inode& f) {
  if (f.cache.size() == f.clean && f.disk.size() == f.clean) return;
  const bool shrunk = f.disk.size() > f.clean;
  if (!shrunk || random_.chance(0.5)) {
    f.disk.resize(f.clean, '\0');
    std::string tail = f.cache.substr(f.clean, random_.below(f.cache.size() - f.clean + 1));
    if (random_.chance(0.3))
      for (size_t at = 0; at < tail.size(); at += 512)
        if (random_.chance(0.3))
          std::fill_n(tail.begin() + static_cast<long>(at), std::min<size_t>(512, tail.size() - at), '\0');
    if (random_.chance(0.1)) tail.append(random_.below(700), '\0');
    f.disk += tail;
  }
  f.cache = f.disk, f.clean = f.disk.size();
}

void SimFiles::thaw(bool power_lost) {
  frozen_ = false, calls_left_.reset();
  if (!power_lost) return;
  const size_t kept = random_.below(unsynced_.size() + 1);
  now_ = synced_;
  for (size_t i = 0; i < kept; ++i) unsynced_[i](now_);
  unsynced_.clear();
  for (auto& [path, inode] : now_) tear(*inode);
  synced_ = now_;
}

void SimFiles::wipe() { now_.clear(), synced_.clear(), unsynced_.clear(); }

}  // namespace panal::sim
