#include "node/volumes.h"

#include <unistd.h>

#include <cstdio>

#include "base/fd.h"
#include "model/image_json.h"

namespace panal {

bool valid_name(const std::string& name) {
  const auto alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
  if (name.size() < 2 || name.size() > 255 || !alnum(name[0])) return false;
  for (const char c : name)
    if (!alnum(c) && c != '_' && c != '.' && c != '-') return false;
  return true;
}

// The folder leaves its place before the row goes: whoever makes the name anew after a crash in between finds nothing old in it.
static constexpr const char* kLeaving = ".removed-";

Result<> Volumes::load() {
  TRYV(make_dirs(dir_, 0711));
  TRY(const auto rows, db_.all("volume"));
  for (const auto& [name, json] : rows) {
    TRY(volumes_[name], from_text<Volume>(json));
  }
  return {};
}

// What a crash in the middle of a creation or a removal left: never anything that holds data of a volume that is known.
Task<void> Volumes::collect() {
  std::vector<std::string> leaving, half_removed;
  for (const auto& name : list_dir(dir_)) {  // all of this before the first wait: from then on volumes are made
    if (!name.starts_with(kLeaving)) {
      if (volumes_.contains(name)) continue;
      ::rmdir((dir_ + "/" + name + "/_data").c_str());  // only when nothing is in it
      ::rmdir((dir_ + "/" + name).c_str());
      continue;
    }
    leaving.push_back(dir_ + "/" + name);
    const auto it = volumes_.find(name.substr(std::string_view(kLeaving).size()));
    if (it == volumes_.end() || exists(it->second.mountpoint)) continue;
    half_removed.push_back(it->first);
    volumes_.erase(it);
  }
  for (const auto& name : half_removed) (void)co_await db_.erase("volume", name);
  for (const auto& path : leaving) {
    auto work = [path] { return remove_tree(path); };
    (void)co_await blocking(loop_, work);
  }
}

Result<const Volume*> Volumes::find(const std::string& name) const {
  auto it = volumes_.find(name);
  if (it == volumes_.end()) return fail(Code::kNotFound, "get " + name + ": no such volume");
  return &it->second;
}

Task<Result<const Volume*>> Volumes::ensure(std::string name, std::string driver, std::map<std::string, std::string> labels, std::map<std::string, std::string> options, bool& created,
                                           std::string made_for) {
  created = false;
  if (!driver.empty() && driver != "local") co_return fail(Code::kNotFound, "create " + name + ": error looking up volume plugin " + driver + ": plugin \"" + driver + "\" not found");
  if (!options.empty()) co_return fail(Code::kUnsupported, "volume driver options are not supported yet: " + options.begin()->first);
  Volume v;
  if (name.empty()) {
    name = entropy_.hex_id();
    v.anonymous = true, v.made_for = std::move(made_for);
    labels["com.docker.volume.anonymous"] = "";
  }
  if (auto it = volumes_.find(name); it != volumes_.end()) co_return &it->second;
  if (!valid_name(name))
    co_return fail(Code::kInvalid, "create " + name + ": \"" + name + "\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path");
  v.name = name, v.labels = std::move(labels), v.created = loop_.wall_now();
  v.mountpoint = dir_ + "/" + name + "/_data";
  CO_TRYV(make_dirs(dir_ + "/" + name, 0701));
  CO_TRYV(make_dirs(v.mountpoint, 0755));
  CO_TRYV(co_await db_.put("volume", name, to_text(v)));
  created = true;
  volumes_[name] = v;
  events_.publish("volume", "create", name, {{"driver", "local"}});
  co_return &volumes_[name];
}

Task<void> Volumes::keep(std::string name) {
  const auto it = volumes_.find(name);
  if (it == volumes_.end() || it->second.made_for.empty()) co_return;
  it->second.made_for.clear();
  const std::string json = to_text(it->second);
  (void)co_await db_.put("volume", name, json);
}

Task<Result<>> Volumes::remove(std::string name, bool force) {
  auto it = volumes_.find(name);
  if (it == volumes_.end()) {
    if (force) co_return Result<>{};
    co_return fail(Code::kNotFound, "get " + name + ": no such volume");
  }
  const std::string dir = dir_ + "/" + kLeaving + name;
  if (::rename((dir_ + "/" + name).c_str(), dir.c_str()) != 0 && errno != ENOENT) co_return fail(sys_error(errno, "rename", dir_ + "/" + name));
  CO_TRYV(co_await db_.erase("volume", name));
  volumes_.erase(name);
  auto work = [dir] { return remove_tree(dir); };
  auto removed = co_await blocking(loop_, work);
  events_.publish("volume", "destroy", name, {{"driver", "local"}});
  co_return removed;
}

}  // namespace panal
