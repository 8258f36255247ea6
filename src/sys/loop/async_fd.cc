#include "sys/loop/async_fd.h"

#include <arpa/inet.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <array>
#include <cstring>

#include "base/text.h"
#include "sys/loop/state.h"

namespace panal {

struct AsyncFd::State {
  State(AsioLoop& l, int fd) : loop(l), descriptor(context_of(l).io) {
    boost::system::error_code error;
    descriptor.assign(fd, error);
    if (error) {  // a regular file, or no descriptor at all: never ready
      if (fd >= 0) ::close(fd);
      closed = true;
    }
  }
  AsioLoop& loop;
  asio::posix::stream_descriptor descriptor;
  bool closed = false;
};

AsyncFd::AsyncFd(AsioLoop& loop, Fd fd) : state_(std::make_shared<State>(loop, fd.release())) {
  boost::system::error_code ignored;
  state_->descriptor.non_blocking(true, ignored);
}
AsyncFd::~AsyncFd() { close(); }
int AsyncFd::get() const { return state_->descriptor.native_handle(); }
bool AsyncFd::closed() const { return state_->closed; }

void AsyncFd::close() {
  if (state_->closed) return;
  state_->closed = true;
  boost::system::error_code ignored;
  state_->descriptor.close(ignored);
}

// The handler keeps the state alive; a timer races the readiness and the first of both wins.
template <class State>
static Task<AsyncFd::Ready> wait_ready(std::shared_ptr<State> state,
                                       asio::posix::stream_descriptor::wait_type type,
                                       std::optional<Duration> timeout) {
  struct Shared {
    std::coroutine_handle<> handle;
    AsyncFd::Ready result = AsyncFd::Ready::kYes;
    bool done = false;
    TimerId timer = 0;
  };
  struct Awaiter {
    std::shared_ptr<State> state;
    asio::posix::stream_descriptor::wait_type type;
    std::optional<Duration> timeout;
    std::shared_ptr<Shared> shared = std::make_shared<Shared>();
    bool await_ready() {
      if (state->closed) shared->result = AsyncFd::Ready::kClosed;
      return state->closed;
    }
    void await_suspend(std::coroutine_handle<> handle) {
      shared->handle = handle;
      state->descriptor.async_wait(
          type, [state = state, shared = shared](const boost::system::error_code& error) {
            if (shared->done) return;
            shared->done = true;
            if (shared->timer) state->loop.cancel(shared->timer);
            shared->result = error || state->closed ? AsyncFd::Ready::kClosed : AsyncFd::Ready::kYes;
            shared->handle.resume();
          });
      if (timeout)
        shared->timer = state->loop.call_after(*timeout, [state = state, shared = shared] {
          if (shared->done) return;
          shared->done = true;
          shared->result = AsyncFd::Ready::kTimeout;
          shared->handle.resume();
        });
    }
    AsyncFd::Ready await_resume() { return shared->result; }
  };
  Awaiter awaiter{std::move(state), type, timeout};
  co_return co_await awaiter;
}

Task<AsyncFd::Ready> AsyncFd::readable(std::optional<Duration> timeout) {
  return wait_ready(state_, asio::posix::stream_descriptor::wait_read, timeout);
}
Task<AsyncFd::Ready> AsyncFd::writable(std::optional<Duration> timeout) {
  return wait_ready(state_, asio::posix::stream_descriptor::wait_write, timeout);
}

Task<void> AsyncFd::hung_up() {
  for (;;) {
    if (closed()) co_return;
    pollfd look{.fd = get()};
    if (::poll(&look, 1, 0) > 0 && (look.revents & (POLLHUP | POLLERR))) co_return;
    if (co_await wait_ready(state_, asio::posix::stream_descriptor::wait_error, std::nullopt) ==
        Ready::kClosed)
      co_return;
    if (::poll(&look, 1, 0) == 0)
      co_await state_->loop.sleep(1s);  // urgent data, which nobody here reads, wakes too
  }
}

Task<Result<size_t>> FdStream::read(std::span<char> into) {
  for (;;) {
    if (fd_.closed()) co_return fail(Code::kCancelled, "read: closed");
    const ssize_t n = ::read(fd_.get(), into.data(), into.size());
    if (n >= 0) co_return static_cast<size_t>(n);
    if (errno == EINTR) continue;
    if (errno == EIO) co_return size_t{0};  // a pty whose other side is gone
    if (errno != EAGAIN) co_return fail(sys_error(errno, "read"));
    const auto ready = co_await fd_.readable();
    if (ready != AsyncFd::Ready::kYes) co_return fail(Code::kCancelled, "read: closed");
  }
}

Task<Result<>> FdStream::write(std::string_view data) {
  while (!data.empty()) {
    if (fd_.closed()) co_return fail(Code::kCancelled, "write: closed");
    const ssize_t n = ::send(fd_.get(), data.data(), data.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == ENOTSOCK) {
      const ssize_t w = ::write(fd_.get(), data.data(), data.size());
      if (w >= 0) {
        data.remove_prefix(static_cast<size_t>(w));
        continue;
      }
    } else if (n >= 0) {
      data.remove_prefix(static_cast<size_t>(n));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) co_return fail(sys_error(errno, "write"));
    const auto ready = co_await fd_.writable();
    if (ready != AsyncFd::Ready::kYes) co_return fail(Code::kCancelled, "write: closed");
  }
  co_return Result<>{};
}

void FdStream::close_write() {
  if (!fd_.closed()) ::shutdown(fd_.get(), SHUT_WR);
}

static sockaddr_un unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  return address;
}

// A socket path longer than sun_path is reached through /proc/self/fd of its folder.
static Result<std::pair<std::string, Fd>> short_path(const std::string& path) {
  if (path.size() < sizeof(sockaddr_un::sun_path)) return std::pair{path, Fd()};
  const size_t slash = path.rfind('/');
  Fd dir(::open(path.substr(0, slash).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!dir) return fail(sys_error(errno, "open", path.substr(0, slash)));
  std::string shorter = "/proc/self/fd/" + std::to_string(dir.get()) + path.substr(slash);
  if (shorter.size() >= sizeof(sockaddr_un::sun_path))
    return fail(Code::kInvalid, "socket path too long: " + path);
  return std::pair{std::move(shorter), std::move(dir)};
}

Result<Fd> connect_unix(const std::string& path, int type) {
  Fd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!fd) return fail(sys_error(errno, "socket"));
  TRY(auto at, short_path(path));
  const sockaddr_un address = unix_address(at.first);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int code = errno;
    Error error = sys_error(code, "connect", path);
    if (code == EAGAIN) error.code = Code::kUnavailable;
    return std::unexpected(std::move(error));
  }
  return fd;
}

Result<Fd> listen_unix(const std::string& path, int mode, const std::string& group) {
  if (auto alive = connect_unix(path, SOCK_STREAM))
    return fail(Code::kConflict, "listen " + path + ": another daemon answers there");
  ::unlink(path.c_str());
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail(sys_error(errno, "socket"));
  TRY(auto at, short_path(path));
  const sockaddr_un address = unix_address(at.first);
  const struct group* named = group.empty() ? nullptr : ::getgrnam(group.c_str());
  const auto number = parse_int(group);
  if (!group.empty() && !named && !number && group != "docker")
    return fail(Code::kInvalid, "can't create unix socket " + path + ": group " + group + " not found");
  const mode_t old = ::umask(0177);
  const int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = errno;
  ::umask(old);
  if (bound != 0) return fail(sys_error(error, "bind", path));
  ::chmod(path.c_str(), static_cast<mode_t>(mode));
  if (named || number) (void)!::chown(path.c_str(), 0, named ? named->gr_gid : static_cast<gid_t>(*number));
  if (::listen(fd.get(), SOMAXCONN) != 0) return fail(sys_error(errno, "listen", path));
  return fd;
}

static Result<sockaddr_storage> ip_address(const std::string& host, uint16_t port, socklen_t& length) {
  sockaddr_storage storage{};
  auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
  if (host.empty() || ::inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET, v4->sin_port = htons(port), length = sizeof *v4;
  } else if (::inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6, v6->sin6_port = htons(port), length = sizeof *v6;
  } else {
    return fail(Code::kInvalid, "not an IP address: " + host);
  }
  return storage;
}

Result<Fd> listen_tcp(const std::string& host, uint16_t port) {
  socklen_t length = 0;
  TRY(auto address, ip_address(host, port, length));
  Fd fd(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail(sys_error(errno, "socket"));
  const int one = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  const std::string name = host + ":" + std::to_string(port);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length) != 0)
    return fail(sys_error(errno, "bind", name));
  if (::listen(fd.get(), 256) != 0) return fail(sys_error(errno, "listen", name));
  return fd;
}

Task<Result<Fd>> accept_fd(AsyncFd& listener, std::string* peer) {
  for (;;) {
    if (listener.closed()) co_return fail(Code::kCancelled, "accept: closed");
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    Fd fd(::accept4(listener.get(), reinterpret_cast<sockaddr*>(&address), &length,
                    SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd) {
      if (address.ss_family != AF_UNIX) {
        const int one = 1;
        ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      }
      if (peer) {
        char text[INET6_ADDRSTRLEN] = "@";
        if (address.ss_family == AF_INET)
          ::inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in*>(&address)->sin_addr, text, sizeof text);
        if (address.ss_family == AF_INET6)
          ::inet_ntop(AF_INET6, &reinterpret_cast<sockaddr_in6*>(&address)->sin6_addr, text, sizeof text);
        *peer = text;
      }
      co_return std::move(fd);
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno != EAGAIN) co_return fail(sys_error(errno, "accept"));
    const auto ready = co_await listener.readable();
    if (ready == AsyncFd::Ready::kClosed) co_return fail(Code::kCancelled, "accept: closed");
  }
}

Result<std::vector<std::string>> addresses_of(const std::string& host) {
  addrinfo wish{}, *found = nullptr;
  wish.ai_socktype = SOCK_STREAM;
  if (const int error = ::getaddrinfo(host.c_str(), nullptr, &wish, &found); error != 0)
    return fail(Code::kUnavailable, "lookup " + host + ": " + ::gai_strerror(error));
  std::vector<std::string> out;
  char text[NI_MAXHOST];
  for (const addrinfo* a = found; a; a = a->ai_next)
    if (::getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0)
      out.emplace_back(text);
  ::freeaddrinfo(found);
  return out;
}

Task<Result<Fd>> connect_tcp(AsioLoop& loop, std::string host, uint16_t port, Duration timeout) {
  socklen_t length = 0;
  CO_TRY(auto address, ip_address(host, port, length));
  Fd fd(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) co_return fail(sys_error(errno, "socket"));
  const int one = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  const std::string name = host + ":" + std::to_string(port);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), length) == 0) co_return std::move(fd);
  if (errno != EINPROGRESS) co_return fail(Code::kUnavailable, sys_error(errno, "dial tcp", name).message);
  Fd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) co_return fail(sys_error(errno, "dial tcp", name));
  AsyncFd waiting(loop, std::move(copy));
  const auto ready = co_await waiting.writable(timeout);
  if (ready == AsyncFd::Ready::kTimeout) co_return fail(Code::kTimeout, "dial tcp " + name + ": i/o timeout");
  if (ready == AsyncFd::Ready::kClosed)
    co_return fail(Code::kUnavailable, "dial tcp " + name + ": cannot be watched");
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error) co_return fail(Code::kUnavailable, sys_error(error, "dial tcp", name).message);
  co_return std::move(fd);
}

Task<Result<>> wait_pid(AsioLoop& loop, int pid, std::optional<Duration> timeout) {
  Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!fd) {
    if (errno == ESRCH) co_return Result<>{};
    co_return fail(sys_error(errno, "pidfd_open"));
  }
  AsyncFd watched(loop, std::move(fd));
  const auto ready = co_await watched.readable(timeout);
  if (ready == AsyncFd::Ready::kTimeout)
    co_return fail(Code::kTimeout, "process " + std::to_string(pid) + " still runs");
  if (ready == AsyncFd::Ready::kClosed)
    co_return fail(Code::kInternal, "process " + std::to_string(pid) + " cannot be watched");
  co_return Result<>{};
}

}  // namespace panal
