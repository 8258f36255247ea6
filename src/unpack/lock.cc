#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include "base/as_user.h"
#include "base/fd.h"
#include "base/in_root.h"
#include "unpack/unpack.h"

namespace panal {
namespace {

// What went wrong on the way in is nobody's "no such file": the request is not at fault.
std::unexpected<Error> broken(std::string_view context, Error error) {
  error.code = Code::kInternal;
  return fail(wrap(context, std::move(error)));
}

enum class Whole { kNo, kYes };  // with the mounts below

Result<> restrict(int tree, bool read_only, Whole whole) {
  mount_attr attributes{.attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC |
                                    (read_only ? MOUNT_ATTR_RDONLY : 0ull),
                        .propagation = MS_PRIVATE};
  const unsigned flags = AT_EMPTY_PATH | (whole == Whole::kYes ? AT_RECURSIVE : 0);
  if (::mount_setattr(tree, "", flags, &attributes, sizeof attributes) != 0)
    return fail(sys_error(errno, "mount_setattr"));
  return {};
}

/// A copy of the mount that `from` stands on, put over `over`.
Result<Fd> bind(int from, int over, bool read_only) {
  Fd tree(::open_tree(from, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE));
  if (!tree) return fail(sys_error(errno, "open_tree"));
  TRYV(restrict(tree.get(), read_only, Whole::kYes));
  if (::move_mount(tree.get(), "", over, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
    return fail(sys_error(errno, "move_mount"));
  return tree;
}

Result<Fd> mount_point(int root, const std::string& target, bool is_dir) {
  if (is_dir) return make_dirs_in_root(root, target);
  if (auto there = open_in_root(root, target, O_PATH); there || there.error().code != Code::kNotFound)
    return there;
  const size_t slash = target.rfind('/');
  TRY(const Fd parent, make_dirs_in_root(root, target.substr(0, slash)));
  const Fd made(::openat(parent.get(), target.substr(slash + 1).c_str(),
                         O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0755));
  if (!made && errno != EEXIST) return fail(sys_error(errno, "open", target));
  return open_in_root(root, target, O_PATH);
}

Result<> put_binds(int root, std::vector<TreeBind> binds) {
  std::ranges::stable_sort(binds, {}, [](const TreeBind& b) { return std::ranges::count(b.target, '/'); });
  for (const auto& b : binds) {
    const std::string context = "mount " + b.source + " at " + b.target;
    const Fd source(::open(b.source.c_str(), O_PATH | O_CLOEXEC));
    struct stat info;
    if (!source || ::fstat(source.get(), &info) != 0)
      return broken(context, sys_error(errno, "open", b.source));
    auto over = mount_point(root, b.target, S_ISDIR(info.st_mode));
    if (!over) return broken(context, over.error());
    if (auto bound = bind(source.get(), over->get(), b.read_only); !bound)
      return broken(context, bound.error());
  }
  return {};
}

enum class Network { kNone, kHosts };

Result<> change_root(const TreeJob& tree, Network network) {
  if (::unshare(CLONE_NEWNS | (network == Network::kNone ? CLONE_NEWNET : 0)) != 0)
    return fail(sys_error(errno, "unshare"));
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return fail(sys_error(errno, "mount", "/"));
  // A file system of its own lies, in this mount namespace, over a folder that nothing is bound from.
  const std::string where = tree.root.empty() ? "/proc" : tree.root;
  if (tree.root.empty() && ::mount("panal-unpack", where.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                                   "size=1m,mode=755") != 0)
    return fail(sys_error(errno, "mount", where));
  TRY(const Fd place, open_root(where));
  TRY(const Fd root, bind(place.get(), place.get(), false));
  {
    const AsUser maker(tree.root_uid, tree.root_gid);
    TRYV(put_binds(root.get(), tree.binds));
  }
  TRYV(restrict(root.get(), tree.read_only, Whole::kNo));
  if (::fchdir(root.get()) != 0) return fail(sys_error(errno, "chdir", tree.root));
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return fail(sys_error(errno, "pivot_root", tree.root));
  if (::umount2(".", MNT_DETACH) != 0)
    return fail(sys_error(errno, "umount", "/"));  // the old root lies over the new one
  if (::chdir("/") != 0) return fail(sys_error(errno, "chdir", "/"));
  return {};
}

/// Its root, with no power outside of it.
Result<> enter_user_namespace(const Fd& ns) {
  if (::setns(ns.get(), CLONE_NEWUSER) != 0) return fail(sys_error(errno, "setns"));
  if (::setgroups(0, nullptr) != 0 || ::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0)
    return fail(sys_error(errno, "setresuid"));
  return {};
}

uint64_t capabilities_for(Attributes attributes) {
  uint64_t keep = attributes == Attributes::kTrusted ? 1ull << CAP_SYS_ADMIN : 0;
  for (const int c : {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP})
    keep |= 1ull << c;
  return keep;
}

Result<> keep_capabilities(uint64_t keep) {
  __user_cap_header_struct head{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> sets{};
  if (::syscall(SYS_capget, &head, sets.data()) != 0) return fail(sys_error(errno, "capget"));
  for (size_t half = 0; half < 2; ++half) {
    sets[half].permitted &= static_cast<uint32_t>(keep >> (32 * half));
    sets[half].effective = sets[half].permitted, sets[half].inheritable = 0;
  }
  if (::syscall(SYS_capset, &head, sets.data()) != 0) return fail(sys_error(errno, "capset"));
  return {};
}

void set_limits() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = std::min<rlim_t>(files.rlim_max, 4 * kMaxDepth);
    (void)::setrlimit(RLIMIT_NOFILE, &files);
  }
  constexpr rlimit kNone{0, 0};
  (void)::setrlimit(RLIMIT_CORE, &kNone);
#if !__has_feature(address_sanitizer)
  constexpr rlimit kMemory{2ul << 30, 2ul << 30};  // an archive may ask for a dictionary of any size
  (void)::setrlimit(RLIMIT_DATA, &kMemory);
#endif
}

Result<> filter_calls(Network network) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail(sys_error(errno, "prctl"));
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  if (!filter) return fail(Code::kInternal, "seccomp: no filter");
  if (network == Network::kNone)
    for (const char* name : {"socket", "connect", "bind", "sendto", "sendmsg", "clone", "clone3"})
      (void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), seccomp_syscall_resolve_name(name), 0);
  else {  // names are resolved in a thread; glibc asks for one with clone when there is no clone3
    (void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), seccomp_syscall_resolve_name("clone3"), 0);
    (void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), seccomp_syscall_resolve_name("clone"), 1,
                           SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
  }
  for (const char* name : {"listen",
                           "accept",
                           "accept4",
                           "mount",
                           "umount2",
                           "pivot_root",
                           "chroot",
                           "execve",
                           "execveat",
                           "fork",
                           "vfork",
                           "unshare",
                           "setns",
                           "ptrace",
                           "process_vm_readv",
                           "process_vm_writev",
                           "kill",
                           "tkill",
                           "tgkill",
                           "init_module",
                           "finit_module",
                           "delete_module",
                           "kexec_load",
                           "bpf",
                           "perf_event_open",
                           "keyctl",
                           "add_key",
                           "request_key",
                           "open_by_handle_at",
                           "fsopen",
                           "fsmount",
                           "move_mount",
                           "open_tree",
                           "mount_setattr",
                           "fspick",
                           "fsconfig",
                           "pidfd_open",
                           "pidfd_getfd",
                           "pidfd_send_signal",
                           "userfaultfd",
                           "process_madvise",
                           "reboot",
                           "swapon",
                           "swapoff",
                           "settimeofday",
                           "clock_settime",
                           "sethostname",
                           "setdomainname",
                           "io_uring_setup",
                           "io_uring_enter",
                           "io_uring_register",
                           "quotactl",
                           "quotactl_fd",
                           "acct",
                           "syslog",
                           "iopl",
                           "ioperm",
                           "kexec_file_load"}) {
    const int call = seccomp_syscall_resolve_name(name);
    if (call != __NR_SCMP_ERROR) (void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0);
  }
  const int loaded = seccomp_load(filter);
  seccomp_release(filter);
  if (loaded != 0) return fail(sys_error(-loaded, "seccomp"));
  return {};
}

}  // namespace

Result<> lock_in(const TreeJob& tree, Attributes attributes) {
  const Fd users(tree.user_ns.empty() ? -1 : ::open(tree.user_ns.c_str(), O_RDONLY | O_CLOEXEC));
  if (!users && !tree.user_ns.empty()) return broken("panal-unpack", sys_error(errno, "open", tree.user_ns));
  if (auto changed = change_root(tree, Network::kNone); !changed)
    return broken("panal-unpack", changed.error());
  if (users)
    if (auto entered = enter_user_namespace(users); !entered) return broken("panal-unpack", entered.error());
  set_limits();
  TRYV(keep_capabilities(capabilities_for(attributes)));
  return filter_calls(Network::kNone);
}

Result<> lock_in_online(const std::string& dir) {
  TreeJob tree{.root = dir, .read_only = true};
  for (const char* path :
       {"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf"})
    if (exists(path)) tree.binds.push_back({path, path, true});
  if (auto changed = change_root(tree, Network::kHosts); !changed)
    return broken("panal-unpack", changed.error());
  set_limits();
  TRYV(keep_capabilities(0));
  return filter_calls(Network::kHosts);
}

}  // namespace panal
