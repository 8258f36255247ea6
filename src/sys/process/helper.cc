#include "sys/process/helper.h"

#include <fcntl.h>

#include <array>

#include "base/text.h"
#include "sys/loop/async_fd.h"
#include "sys/process/spawn.h"

namespace panal {

static constexpr int kPipeBytes = 1 << 20;

static Task<void> feed(AsioLoop& loop, Fd fd, Source source, std::optional<Error>& error) {
  FdStream stream(loop, std::move(fd));
  for (;;) {
    auto piece = co_await source();
    if (!piece) {
      error = piece.error();
      co_return;
    }
    if (piece->empty()) co_return;
    if (auto sent = co_await stream.write(*piece); !sent)
      co_return;            // the helper stopped reading: its error says why
    co_await loop.yield();  // a fast client must not keep the others waiting
  }
}

static Task<void> gather(AsioLoop& loop, Fd fd, std::string& into) {
  FdStream stream(loop, std::move(fd));
  std::array<char, 4096> chunk;
  for (;;) {
    auto n = co_await stream.read(chunk);
    if (!n || *n == 0) co_return;
    if (into.size() < 65536) into.append(chunk.data(), *n);
  }
}

static Task<void> drain(AsioLoop& loop, Fd fd, Sink sink, Result<>& sent) {
  FdStream stream(loop, std::move(fd));
  std::string chunk(1 << 18, '\0');
  while (sent) {
    auto n = co_await stream.read(chunk);
    if (!n || *n == 0) co_return;
    sent = co_await sink(std::string_view(chunk).substr(0, *n));
    co_await loop.yield();
  }
}

static Code code_of(int status) {
  switch (status) {
    case 2:
      return Code::kInvalid;
    case 3:
      return Code::kNotFound;
    case 4:
      return Code::kForbidden;
    default:
      return Code::kInternal;
  }
}

Task<Result<>> run_helper(AsioLoop& loop, std::vector<std::string> argv, Source source, Sink sink,
                          std::function<void(int)> running) {
  CO_TRY(auto in, make_pipe());
  CO_TRY(auto out, make_pipe());
  CO_TRY(auto err, make_pipe());
  for (const Fd* end : {&in.second, &out.second}) (void)::fcntl(end->get(), F_SETPIPE_SZ, kPipeBytes);
  Spawn what;
  what.argv = std::move(argv);
  what.fds = {{in.first.get(), 0}, {out.second.get(), 1}, {err.second.get(), 2}};
  CO_TRY(const int pid, spawn(what));
  if (running) running(pid);
  in.first.reset(), out.second.reset(), err.second.reset();
  std::string errors;
  std::optional<Error> source_error;
  Result<> sent;
  Scope scope;
  if (source)
    scope.spawn(feed(loop, std::move(in.second), std::move(source), source_error));
  else
    in.second.reset();
  scope.spawn(gather(loop, std::move(err.first), errors));
  scope.spawn(drain(loop, std::move(out.first), std::move(sink), sent));
  const auto status = co_await wait_status(loop, pid);
  if (running) running(0);
  co_await scope.join();
  if (!sent) co_return sent;
  if (source_error) co_return std::unexpected(*source_error);
  if (!status) co_return std::unexpected(status.error());
  if (*status == 0) co_return Result<>{};
  const std::string text(trim(errors));
  co_return fail(code_of(*status),
                 text.empty() ? "panal-unpack ended with status " + std::to_string(*status) : text);
}

}  // namespace panal
