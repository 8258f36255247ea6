#include "build/cache_mounts.h"

#include "base/fd.h"

namespace panal {

Task<Result<CacheFolder>> CacheMounts::take(std::string key, RunMount::Sharing sharing,
                                            std::shared_ptr<Halt> halt) {
  const bool alone = sharing != RunMount::Sharing::kShared;
  for (int number = 0;;) {
    if (halt->halted()) co_return fail(Code::kCancelled, "the build was cancelled");
    const std::string name = key + "-" + std::to_string(number);
    const bool used = users_[name] > 0;
    if (used && (alone || exclusive_[name])) {
      if (sharing == RunMount::Sharing::kPrivate)
        ++number;
      else
        (void)co_await given_.wait(loop_, 1s);
      continue;
    }
    CO_TRYV(make_dirs(dir_, 0700));
    CO_TRYV(make_dirs(dir_ + "/" + name, 0755));
    ++users_[name];
    exclusive_[name] = alone;
    co_return CacheFolder{name, dir_ + "/" + name, true};
  }
}

void CacheMounts::give(const std::string& name) {
  if (--users_[name] <= 0) users_.erase(name), exclusive_.erase(name);
  given_.notify(loop_);
}

std::vector<CacheFolder> CacheMounts::all() const {
  std::vector<CacheFolder> out;
  for (const auto& name : list_dir(dir_))
    out.push_back({name, dir_ + "/" + name, users_.contains(name) && users_.at(name) > 0});
  return out;
}

Task<Result<>> CacheMounts::remove(std::string name) {
  if (users_[name] > 0) co_return fail(Code::kConflict, "cache " + name + " is in use");
  ++users_[name], exclusive_[name] = true;
  const std::string path = dir_ + "/" + name;
  const auto work = [path] { return remove_tree(path); };
  auto removed = co_await blocking(loop_, work, Lane::kLong);
  give(name);
  co_return removed;
}

}  // namespace panal
