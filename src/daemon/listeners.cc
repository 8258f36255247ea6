#include "daemon/listeners.h"

#include <sys/socket.h>

#include "base/log.h"
#include "base/text.h"

namespace panal {
namespace {

struct Ready {
  Fd fd;
  HttpServer::From from;
};

std::string insecure_warning(const std::string& host, bool encrypted) {
  return "[DEPRECATION NOTICE]: API is accessible on " + std::string(encrypted ? "https://" : "http://") +
         host + (encrypted ? " without TLS client verification.\n" : " without encryption.\n") +
         "         Access to the remote API is equivalent to root access on the host. Refer\n"
         "         to the 'Docker daemon attack surface' section in the documentation for\n"
         "         more information: https://docs.docker.com/go/attack-surface/";
}

Result<std::vector<Ready>> activated(const std::string& wanted, Supervisor& supervisor,
                                     const DaemonOptions& o, std::vector<std::string>& warnings) {
  auto& sockets = supervisor.sockets();
  if (sockets.empty())
    return fail(Code::kInvalid,
                "no sockets found via socket activation: make sure the service was started by systemd");
  const auto number = parse_int(wanted);
  std::vector<Ready> out;
  for (size_t i = 0; i < sockets.size(); ++i) {
    const bool fits = wanted.empty() || wanted == "*" ||
                      (number ? *number == static_cast<int64_t>(i) + 3 : sockets[i].name == wanted);
    if (!fits || !sockets[i].fd) continue;
    int listening = 0;
    socklen_t size = sizeof listening;
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    const int fd = sockets[i].fd.get();
    if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || !listening ||
        ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0)
      return fail(Code::kInvalid, "failed to listen on systemd activated file: fd " + std::to_string(i + 3));
    const bool local = address.ss_family == AF_UNIX;
    if (!local && !o.tls && !o.allow_plain_tcp)
      return fail(Code::kInvalid,
                  "a TCP socket was handed over, and listening without TLS is refused: use --tlsverify");
    if (!local && !o.tlsverify) warnings.push_back(insecure_warning("fd " + std::to_string(i + 3), o.tls));
    out.push_back({std::move(sockets[i].fd), local ? HttpServer::From::kHere : HttpServer::From::kAnywhere});
  }
  if (out.empty()) return fail(Code::kInvalid, "no socket activated file fits fd://" + wanted);
  return out;
}

Result<Ready> tcp(const std::string& host) {
  const size_t colon = host.rfind(':');
  std::string address = host.substr(0, colon);
  if (address.starts_with('[')) address = address.substr(1, address.size() - 2);
  TRY(Fd fd, listen_tcp(address, static_cast<uint16_t>(parse_int(host.substr(colon + 1)).value_or(0))));
  return Ready{std::move(fd), HttpServer::From::kAnywhere};
}

}  // namespace

Result<OpenHosts> open_hosts(const DaemonOptions& o, Supervisor& supervisor, HttpServer& server) {
  OpenHosts out;
  TlsContext tls;
  if (o.tls) {
    TRY(tls, make_api_context(o.tlscert, o.tlskey, o.tlsverify ? o.tlscacert : ""));
  }
  std::vector<Ready> ready;
  for (const auto& host : o.hosts) {
    if (host.starts_with("unix://")) {
      TRY(Fd fd, listen_unix(host.substr(7), 0660, o.group));
      out.socket_files.push_back(host.substr(7));
      ready.push_back({std::move(fd), HttpServer::From::kHere});
    } else if (host.starts_with("fd://")) {
      TRY(auto sockets, activated(host.substr(5), supervisor, o, out.warnings));
      for (auto& s : sockets) ready.push_back(std::move(s));
    } else {
      auto opened = tcp(host.substr(6));
      if (!opened) return fail(wrap("failed to load listeners", opened.error()));
      ready.push_back(std::move(*opened));
      if (!o.tlsverify) out.warnings.push_back(insecure_warning(host.substr(6), o.tls));
    }
  }
  for (const auto& w : out.warnings) log::warn("msg=\"{}\"", w.substr(0, w.find('\n')));
  for (auto& r : ready)
    server.listen(std::move(r.fd), r.from, r.from == HttpServer::From::kAnywhere ? tls : nullptr);
  return out;
}

}  // namespace panal
