// The data root seen with containers' users as owners (userns-remap): one mount of it with an id map, in a
// folder that only root may enter, since through it those users are root's equals. Overlays of mapped
// containers lie on it, so nothing on the disk is changed.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "sys/layers/disk_layers.h"
#include "sys/process/user_namespace.h"

namespace panal {

static Result<> mount_mapped(const std::string& source, const std::string& user_ns,
                             const std::string& target) {
  const Fd ns(::open(user_ns.c_str(), O_RDONLY | O_CLOEXEC));
  if (!ns) return fail(sys_error(errno, "open", user_ns));
  const Fd tree(::open_tree(AT_FDCWD, source.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!tree) return fail(sys_error(errno, "open_tree", source));
  mount_attr attributes{
      .attr_set = MOUNT_ATTR_IDMAP, .propagation = MS_PRIVATE, .userns_fd = static_cast<uint64_t>(ns.get())};
  if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0)
    return fail(
        Code::kUnsupported,
        "userns-remap needs Linux 5.19 and a data root on a file system whose owners it can map (ext4, "
        "xfs, btrfs): " +
            sys_error(errno, "mount_setattr", source).message);
  if (::move_mount(tree.get(), "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return fail(sys_error(errno, "move_mount", target));
  return {};
}

Result<> DiskLayers::map_ids(const IdMap& ids, const std::string& dir) {
  const std::string user = dir + "/user", view = dir + "/view";
  TRYV(
      unmount(view));  // of an earlier daemon, perhaps with another map; containers keep what they have of it
  TRYV(unmount(user));
  if (ids.empty()) return {};
  TRYV(make_dirs(dir, 0700));
  TRYV(make_dirs(view, 0700));
  if (auto made = make_user_namespace(ids, "", user, ""); !made)
    return fail(wrap("userns-remap", made.error()));
  TRYV(mount_mapped(root_, user, view));
  ids_ = ids, view_ = view;
  return {};
}

const IdMap& DiskLayers::map_of(Ids ids) const {
  static const IdMap kNone;
  return ids == Ids::kMapped ? ids_ : kNone;
}

std::string DiskLayers::mapped(const std::string& path) const {
  return view_.empty() || !path.starts_with(root_ + "/") ? path : view_ + path.substr(root_.size());
}

}  // namespace panal
