#include "sys/http/fetch_client.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <signal.h>

#include "base/fd.h"
#include "base/json.h"
#include "image/fetch_job.h"
#include "sys/process/helper.h"

namespace panal {

static constexpr size_t kMaxLine = 64 << 20;

static Code code_of(const std::string& kind) {
  if (kind == "connect") return Code::kUnavailable;
  if (kind == "verify") return Code::kForbidden;
  if (kind == "broken") return Code::kTimeout;
  return kind == "large" ? Code::kTooLarge : Code::kInternal;
}

Task<Result<HttpAnswer>> FetchClient::exchange(HttpCall call) {
  if (call.halt && call.halt->halted()) co_return fail(Code::kCancelled, "context canceled");
  const std::string room = rooms_ + "/" + hex(entropy_.bytes(8));
  CO_TRYV(make_dirs(room, 0700));
  FetchJob job{call.method, call.url,     call.body,        call.send_file, call.save_file,  call.certs_dir,
               room,        call.headers, call.limit_bytes, call.resume,    call.skip_verify};
  const std::string text = to_text(job);
  bool fed = false;
  const Source source = [&]() -> Task<Result<std::string>> {
    co_return std::exchange(fed, true) ? std::string() : text;
  };
  std::string pending;
  FetchLine last;
  const Sink sink = [&](std::string_view data) -> Task<Result<>> {
    if (pending.size() + data.size() > kMaxLine)
      co_return fail(Code::kTooLarge, "panal-unpack fetch says too much");
    pending.append(data);
    for (size_t end; (end = pending.find('\n')) != std::string::npos; pending.erase(0, end + 1)) {
      CO_TRY(auto line, from_text<FetchLine>(std::string_view(pending).substr(0, end)));
      if (line.last)
        last = std::move(line);
      else if (call.progress)
        call.progress(line.at);
    }
    co_return Result<>{};
  };
  const auto running = [&call](int pid) {  // reaped before running(0): never a stranger's pid
    if (!call.halt) return;
    if (pid)
      call.halt->on_halt(&call, [pid] { ::kill(pid, SIGKILL); });
    else
      call.halt->forget(&call);
  };
  auto done = co_await run_helper(loop_, {helper_, "fetch"}, source, sink, running);
  (void)remove_tree(room);
  if (call.halt && call.halt->halted()) co_return fail(Code::kCancelled, "context canceled");
  if (!done) co_return std::unexpected(done.error());
  if (!last.last) co_return fail(Code::kInternal, "panal-unpack fetch gave no answer");
  if (!last.error.empty()) co_return fail(code_of(last.kind), last.error);
  co_return HttpAnswer{last.status, std::move(last.headers), std::move(last.body), std::move(last.digest),
                       last.size};
}

Task<std::vector<std::string>> FetchClient::resolve(std::string host) {
  auto work = [host]() -> std::vector<std::string> {
    addrinfo hints{.ai_socktype = SOCK_STREAM}, *found = nullptr;
    std::vector<std::string> out;
    if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return out;
    for (const addrinfo* a = found; a; a = a->ai_next) {
      char text[INET6_ADDRSTRLEN];
      const void* address =
          a->ai_family == AF_INET
              ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in*>(a->ai_addr)->sin_addr)
              : static_cast<const void*>(&reinterpret_cast<const sockaddr_in6*>(a->ai_addr)->sin6_addr);
      if ((a->ai_family == AF_INET || a->ai_family == AF_INET6) &&
          ::inet_ntop(a->ai_family, address, text, sizeof text))
        out.emplace_back(text);
    }
    ::freeaddrinfo(found);
    return out;
  };
  co_return co_await blocking(loop_, work);
}

}  // namespace panal
