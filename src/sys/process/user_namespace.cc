#include "sys/process/user_namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/fd.h"

namespace panal {

namespace {

/// In the child of a process with threads: system calls only. A byte from the parent says go on, an error
/// number tells it how that went.
[[noreturn]] void be_member(int parent, int joined, bool with_net) {
  const auto tell = [parent](int result) {
    const int error = result == 0 ? 0 : errno;
    char go = 0;
    if (::write(parent, &error, sizeof error) != sizeof error || error || ::read(parent, &go, 1) != 1)
      ::_exit(1);
  };
  tell(joined >= 0 ? ::setns(joined, CLONE_NEWUSER) : ::unshare(CLONE_NEWUSER));
  tell(with_net ? ::unshare(CLONE_NEWNET) : 0);
  ::_exit(0);
}

class Member {
 public:
  static Result<Member> start(int joined, bool with_net) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
      return fail(sys_error(errno, "socketpair"));
    Fd ours(ends[0]), theirs(ends[1]);
    const pid_t pid = ::fork();
    if (pid < 0) return fail(sys_error(errno, "fork"));
    if (pid == 0) {
      ::close(ours.get());
      be_member(theirs.get(), joined, with_net);
    }
    return Member(pid, std::move(ours));
  }
  Member(Member&& other) noexcept : pid_(std::exchange(other.pid_, 0)), end_(std::move(other.end_)) {}
  ~Member() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Result<> hear(const char* what) {
    int error = 0;
    if (::read(end_.get(), &error, sizeof error) != sizeof error)
      return fail(Code::kInternal, std::string(what) + ": the process that tried it ended");
    if (error) return fail(sys_error(error, what));
    return {};
  }
  Result<> go_on() { return write_all(end_.get(), "x"); }
  std::string proc() const { return "/proc/" + std::to_string(pid_); }

 private:
  Member(pid_t pid, Fd end) : pid_(pid), end_(std::move(end)) {}
  pid_t pid_;
  Fd end_;
};

Result<> keep(const std::string& ns, const std::string& path) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0444));
  if (!file) return fail(sys_error(errno, "open", path));
  if (::mount(ns.c_str(), path.c_str(), "", MS_BIND, nullptr) != 0)
    return fail(sys_error(errno, "mount", path));
  return {};
}

}  // namespace

Result<> make_user_namespace(const IdMap& ids, const std::string& joined, const std::string& user_path,
                             const std::string& net_path) {
  Fd other;
  if (!joined.empty()) {
    other = Fd(::open(joined.c_str(), O_RDONLY | O_CLOEXEC));
    if (!other) return fail(sys_error(errno, "open", joined));
  }
  TRY(Member member, Member::start(other.get(), !net_path.empty()));
  TRYV(member.hear("make a user namespace"));
  if (!other) {
    TRYV(write_file(member.proc() + "/uid_map", id_map_text(ids.uids)));
    TRYV(write_file(member.proc() + "/gid_map", id_map_text(ids.gids)));
  }
  TRYV(member.go_on());
  TRYV(member.hear("make a network namespace"));
  TRYV(keep(member.proc() + "/ns/user", user_path));
  return net_path.empty() ? Result<>{} : keep(member.proc() + "/ns/net", net_path);
}

}  // namespace panal
