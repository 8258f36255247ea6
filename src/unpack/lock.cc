#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>

#include "unpack/unpack.h"

namespace panal {

Result<> lock_in(const std::string& root) {
  if (::unshare(CLONE_NEWNET) != 0) return fail(sys_error(errno, "unshare network"));
  if (!root.empty()) {
    if (::chroot(root.c_str()) != 0) return fail(sys_error(errno, "chroot", root));
    if (::chdir("/") != 0) return fail(sys_error(errno, "chdir", "/"));
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail(sys_error(errno, "prctl"));
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  if (!filter) return fail(Code::kInternal, "seccomp: no filter");
  for (const char* name : {"socket", "connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg", "mount", "umount2", "pivot_root", "chroot",
                           "execve", "execveat", "fork", "vfork", "clone", "clone3", "unshare", "setns", "ptrace", "process_vm_readv",
                           "process_vm_writev", "kill", "tkill", "tgkill", "init_module", "finit_module", "delete_module", "kexec_load", "bpf",
                           "perf_event_open", "keyctl", "add_key", "request_key", "open_by_handle_at", "fsopen", "fsmount", "move_mount", "open_tree",
                           "reboot", "swapon", "swapoff", "settimeofday", "clock_settime", "sethostname", "setdomainname", "io_uring_setup"}) {
    const int call = seccomp_syscall_resolve_name(name);
    if (call != __NR_SCMP_ERROR) (void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0);
  }
  const int loaded = seccomp_load(filter);
  seccomp_release(filter);
  if (loaded != 0) return fail(sys_error(-loaded, "seccomp"));
  return {};
}

}  // namespace panal
