#include "node/volumes/volumes.h"

#include <unistd.h>

#include <cstdio>

#include "base/fd.h"
#include "base/log.h"
#include "model/image_json.h"

namespace panal {

bool valid_name(const std::string& name) {
  const auto alnum = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  if (name.size() < 2 || name.size() > 255 || !alnum(name[0])) return false;
  for (const char c : name)
    if (!alnum(c) && c != '_' && c != '.' && c != '-') return false;
  return true;
}

// The folder leaves its place before the row goes: whoever makes the name anew after a crash in between finds
// nothing old in it.
static constexpr const char* kLeaving = ".removed-";  // NAME:N; the name may be given again meanwhile

Result<> Volumes::load() {
  TRYV(make_dirs(dir_, 0711));
  TRY(const auto rows, db_.all("volume"));
  for (const auto& [name, json] : rows) {
    if (auto row = from_text<Volume>(json))
      volumes_[name] = std::move(*row);
    else  // must not take the others along; what is in it stays
      log::error("msg=\"volume not understood, left alone\" volume={} error=\"{}\"", name,
                 row.error().message);
  }
  return {};
}

// What a crash in the middle of a creation or a removal left: never anything that holds data of a volume that
// is known.
Task<void> Volumes::collect() {
  std::vector<std::string> leaving, half_removed;
  for (const auto& name :
       list_dir(dir_)) {  // all of this before the first wait: from then on volumes are made
    if (!name.starts_with(kLeaving)) {
      if (volumes_.contains(name)) continue;
      ::rmdir((dir_ + "/" + name + "/_data").c_str());  // only when nothing is in it
      ::rmdir((dir_ + "/" + name).c_str());
      continue;
    }
    leaving.push_back(dir_ + "/" + name);
    const size_t begin = std::string_view(kLeaving).size();
    const auto it = volumes_.find(name.substr(begin, name.rfind(':') - begin));
    if (it == volumes_.end() || exists(it->second.mountpoint)) continue;
    half_removed.push_back(it->first);
    volumes_.erase(it);
  }
  for (const auto& name : half_removed) (void)co_await db_.erase("volume", name);
  for (const auto& path : leaving) {
    auto work = [path] { return remove_tree(path); };
    (void)co_await blocking(loop_, work, Lane::kLong);
  }
}

Result<const Volume*> Volumes::find(const std::string& name) const {
  auto it = volumes_.find(name);
  if (it == volumes_.end()) return fail(Code::kNotFound, "get " + name + ": no such volume");
  return &it->second;
}

Task<Result<const Volume*>> Volumes::ensure(std::string name, std::string driver,
                                            std::map<std::string, std::string> labels,
                                            std::map<std::string, std::string> options, bool& created,
                                            std::string made_for) {
  created = false;
  if (!driver.empty() && driver != "local")
    co_return fail(Code::kNotFound, "create " + name + ": error looking up volume plugin " + driver +
                                        ": plugin \"" + driver + "\" not found");
  if (auto good = check_volume_options(options); !good) co_return fail(wrap("create " + name, good.error()));
  Volume v;
  if (name.empty()) {
    name = entropy_.hex_id();
    v.anonymous = true, v.made_for = std::move(made_for);
    labels["com.docker.volume.anonymous"] = "";
  }
  if (auto it = volumes_.find(name); it != volumes_.end()) co_return &it->second;
  if (!valid_name(name))
    co_return fail(
        Code::kInvalid,
        "create " + name + ": \"" + name +
            "\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are "
            "allowed. If you intended to pass a host directory, use absolute path");
  v.name = name, v.labels = std::move(labels), v.options = std::move(options), v.created = loop_.wall_now();
  v.mountpoint = dir_ + "/" + name + "/_data";
  CO_TRYV(make_dirs(dir_ + "/" + name, 0701));
  CO_TRYV(make_dirs(v.mountpoint, 0755));
  if (::chown(v.mountpoint.c_str(), ids_.root_uid(), ids_.root_gid()) != 0)
    co_return fail(sys_error(errno, "chown", v.mountpoint));
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

Result<> check_volume_options(const std::map<std::string, std::string>& options) {
  for (const auto& [key, value] : options) {
    if (key == "size") return fail(Code::kInvalid, "quota size requested but no quota support");
    if (key != "type" && key != "device" && key != "o")
      return fail(Code::kInvalid, "invalid option: \"" + key + "\"");
    if (value.size() > 4096 || value.find('\0') != std::string::npos)
      return fail(Code::kInvalid, "invalid value of option: \"" + key + "\"");
  }
  for (const auto& [key, needs] :
       {std::pair{"type", "device"}, {"device", "type"}, {"o", "device"}, {"o", "type"}})
    if (options.contains(key) && !options.contains(needs))
      return fail(Code::kInvalid, "missing required option: \"" + std::string(needs) + "\"");
  return {};
}

static std::string option(const Volume& v, const char* key) {
  const auto it = v.options.find(key);
  return it == v.options.end() ? "" : it->second;
}

Task<Result<>> Volumes::mount(std::string name) {
  CO_TRY(const Volume* found, find(name));
  if (found->options.empty()) co_return Result<>{};
  const Volume v = *found;
  auto held = co_await mounting_.lock(loop_);
  if (mounted_.contains(name)) co_return Result<>{};
  auto done =
      co_await layers_.mount_device(option(v, "device"), option(v, "type"), option(v, "o"), v.mountpoint);
  if (done) {
    mounted_.insert(name);
    co_return done;
  }
  co_return fail(
      wrap("error while mounting volume '" + v.mountpoint + "': failed to mount local volume", done.error()));
}

Task<Result<>> Volumes::unmount(std::string name) {
  CO_TRY(const Volume* v, find(name));
  if (v->options.empty()) co_return Result<>{};
  const std::string mountpoint = v->mountpoint;
  auto held = co_await mounting_.lock(loop_);
  mounted_.erase(name);
  co_return co_await layers_.unmount_device(mountpoint);
}

Task<Result<>> Volumes::remove(std::string name, bool force) {
  if (!volumes_.contains(name)) {
    if (force) co_return Result<>{};
    co_return fail(Code::kNotFound, "get " + name + ": no such volume");
  }
  CO_TRYV(co_await unmount(name));  // else what is mounted there would be removed
  std::string dir;
  for (int n = 0; dir.empty() || exists(dir); ++n)
    dir = dir_ + "/" + kLeaving + name + ":" + std::to_string(n);
  if (::rename((dir_ + "/" + name).c_str(), dir.c_str()) != 0 && errno != ENOENT)
    co_return fail(sys_error(errno, "rename", dir_ + "/" + name));
  if (auto erased = co_await db_.erase("volume", name); !erased) {
    ::rename(dir.c_str(), (dir_ + "/" + name).c_str());
    co_return erased;
  }
  if (volumes_.erase(name) == 0) co_return Result<>{};  // by another removal meanwhile
  auto work = [dir] { return remove_tree(dir); };
  auto removed = co_await blocking(loop_, work, Lane::kLong);
  events_.publish("volume", "destroy", name, {{"driver", "local"}});
  co_return removed;
}

}  // namespace panal
