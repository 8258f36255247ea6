#include "sys/crun/attachment.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>

#include "base/json.h"
#include "base/text.h"

namespace panal {

Task<Result<Fd>> connect_attach(AsioLoop& loop, std::string path) {
  const MonoTime end = loop.now() + 5s;
  for (;;) {
    auto fd = connect_unix(path, SOCK_SEQPACKET | SOCK_NONBLOCK);
    if (fd || fd.error().code != Code::kUnavailable || loop.now() > end) co_return fd;
    co_await loop.sleep(5ms);
  }
}

void resize_terminal(const std::string& dir, int rows, int columns) {
  Fd fd(::open((dir + "/ctl").c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  if (fd) (void)write_all(fd.get(), "1 " + std::to_string(rows) + " " + std::to_string(columns) + "\n");
}

Task<Result<Attachment::Piece>> ConmonAttachment::read() {
  std::array<char, 8448> packet;
  for (;;) {
    if (fd_.closed()) co_return fail(Code::kCancelled, "attach: closed");
    const ssize_t n = ::recv(fd_.get(), packet.data(), packet.size(), 0);
    if (n == 0) co_return Piece{};
    if (n == 1) continue;
    if (n > 1)
      co_return Piece{packet[0] == 3 ? 2 : 1, std::string(packet.data() + 1, static_cast<size_t>(n - 1))};
    // A reset can overtake queued output: keep reading until the real end.
    if (errno == EINTR || errno == ECONNRESET) continue;
    if (errno != EAGAIN) co_return fail(sys_error(errno, "attach"));
    const auto ready = co_await fd_.readable();
    if (ready == AsyncFd::Ready::kClosed) co_return fail(Code::kCancelled, "attach: closed");
  }
}

Task<Result<>> ConmonAttachment::write(std::string_view data) {
  if (!want_stdin_) co_return Result<>{};
  while (!data.empty()) {
    if (fd_.closed()) co_return fail(Code::kCancelled, "attach: closed");
    const size_t part = std::min<size_t>(data.size(), 16384);  // conmon cuts packets above 32768 silently
    const ssize_t n = ::send(fd_.get(), data.data(), part, MSG_NOSIGNAL);
    if (n > 0) {
      data.remove_prefix(static_cast<size_t>(n));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) co_return fail(sys_error(errno, "attach"));
    const auto ready = co_await fd_.writable();
    if (ready == AsyncFd::Ready::kClosed) co_return fail(Code::kCancelled, "attach: closed");
  }
  co_return Result<>{};
}

void ConmonAttachment::close_stdin() {
  if (!fd_.closed() && want_stdin_) ::shutdown(fd_.get(), SHUT_WR);
}

Task<Result<std::string>> LineReader::line() {
  for (;;) {
    if (const size_t at = buffer_.find('\n'); at != std::string::npos) {
      std::string out = buffer_.substr(0, at);
      buffer_.erase(0, at + 1);
      co_return out;
    }
    std::array<char, 4096> chunk;
    CO_TRY(const size_t n, co_await stream_.read(chunk));
    if (n == 0) co_return std::exchange(buffer_, {});
    buffer_.append(chunk.data(), n);
    if (buffer_.size() > 65536) co_return fail(Code::kInternal, "conmon: line too long");
  }
}

Result<ConmonAnswer> parse_conmon_line(const std::string& line) {
  if (line.empty()) return fail(Code::kInternal, "the container monitor ended without an answer");
  TRY(Json json, parse_json(line));
  ConmonAnswer answer;
  if (const auto* object = json.if_object()) {
    if (const auto* data = object->if_contains("data"); data && data->is_int64())
      answer.data = data->get_int64();
    if (const auto* message = object->if_contains("message")) answer.message = str(*message);
  }
  return answer;
}

// docker's CLI derives exit codes 126 and 127 of `docker run` from these words in the daemon's answer.
Error runtime_error(std::string message, const std::string& program) {
  const std::string text(trim(message));
  const std::string head =
      "failed to create task for container: failed to create shim task: OCI runtime create failed: ";
  const auto has = [&text](std::string_view words) { return text.find(words) != std::string::npos; };
  // What crun 1.8 says of the program itself; Docker's words are runc's.
  std::string why;
  if (has("not found in $PATH"))
    why = program.find('/') == std::string::npos ? "executable file not found in $PATH"
                                                 : "stat " + program + ": no such file or directory";
  else if (has("open executable: No such file"))
    why = "stat " + program + ": no such file or directory";
  else if (has("open executable: Not a directory"))
    why = "stat " + program + ": not a directory";
  else if (has("open executable: Operation not permitted") || has("open executable: Is a directory"))
    why = "is a directory";  // not a plain file
  else if (has("open executable: Permission denied"))
    why = "permission denied";
  if (!why.empty()) return {Code::kInvalid, head + "exec: \"" + program + "\": " + why + ": unknown"};
  // "exec container process `/x`: Exec format error" and the like.
  const size_t open = text.find('`'), close = text.find('`', open + 1);
  const std::string name =
      open != std::string::npos && close != std::string::npos ? text.substr(open + 1, close - open - 1) : "";
  if (has("No such file or directory"))
    return {Code::kInvalid, head + (name.empty() ? text : "exec: \"" + name + "\": stat " + name) +
                                ": no such file or directory: unknown"};
  if (has("ermission denied"))
    return {Code::kInvalid,
            head + (name.empty() ? text : "exec: \"" + name + "\"") + ": permission denied: unknown"};
  return {Code::kInternal, head + text + ": unknown"};
}

}  // namespace panal
