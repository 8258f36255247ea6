#include "cli/http.h"

#include <unistd.h>

#include "base/fd.h"
#include "base/json.h"
#include "sys/http/parser.h"

namespace panal {

Result<HttpReply> ApiClient::exchange(const std::string& head,
                                      const std::function<Result<>(Wire&)>& send_body,
                                      const std::function<bool(std::string_view)>& sink) {
  auto connected = connect_wire(daemon_);
  if (!connected)
    return fail(Code::kUnavailable,
                "Cannot connect to the Panal daemon at " + daemon_.host + ". Is the daemon running?" +
                    (daemon_.host.starts_with("tcp") ? " (" + connected.error().message + ")" : ""));
  Wire& wire = **connected;
  TRYV(wire.write(head));
  // The daemon may refuse in the middle of an upload: what it says counts, not the broken pipe.
  const auto sent = send_body ? send_body(wire) : Result<>{};
  HttpParser parser(HttpParser::Kind::kResponse);
  HttpReply reply;
  bool wanted = true;
  const std::function<void(std::string_view)> on_body = [&](std::string_view data) {
    if (sink && parser.head().status < 400)
      wanted = wanted && sink(data);
    else if (reply.body.size() < (64u << 20))
      reply.body += data;
  };
  std::string buffer, chunk(65536, '\0');
  while (!parser.done() && wanted) {
    const auto n = wire.read(chunk.data(), chunk.size());
    if (!n || *n == 0) {
      (void)parser.finish();
      break;
    }
    buffer.append(chunk.data(), *n);
    TRY(const size_t taken, parser.feed(buffer, on_body));
    buffer.erase(0, taken);
  }
  if (!parser.header_done())
    return sent ? fail(Code::kUnavailable, "the daemon closed the connection")
                : std::unexpected(sent.error());
  reply.status = parser.head().status;
  if (reply.status >= 400) {
    std::string message = reply.body;
    if (auto json = parse_json(reply.body);
        json && json->is_object() && json->get_object().contains("message"))
      message = str(json->get_object().at("message"));
    const Code code = reply.status == 404   ? Code::kNotFound
                      : reply.status == 409 ? Code::kConflict
                      : reply.status == 503 ? Code::kUnavailable
                                            : Code::kInvalid;
    return fail(code, "Error response from daemon: " + message);
  }
  return reply;
}

static std::string head_of(const std::string& method, const std::string& path, const std::string& rest) {
  return method + " /v1.51" + path + " HTTP/1.1\r\nHost: panal\r\nConnection: close\r\n" + rest + "\r\n";
}
static std::string with_body(const std::string& body) {
  return body.empty()
             ? ""
             : "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
}

Result<std::string> ApiClient::call(const std::string& method, const std::string& path,
                                    const std::string& body) {
  TRY(auto reply,
      exchange(
          head_of(method, path, with_body(body)), [&](Wire& wire) { return wire.write(body); }, nullptr));
  return std::move(reply.body);
}

Result<> ApiClient::stream(const std::string& method, const std::string& path, const std::string& body,
                           const std::function<bool(std::string_view)>& sink) {
  TRYV(exchange(head_of(method, path, with_body(body)), [&](Wire& wire) { return wire.write(body); }, sink));
  return {};
}

Result<std::string> ApiClient::upload(const std::string& path, int file) {
  const auto send = [&](Wire& wire) -> Result<> {
    std::string data(1 << 18, '\0');
    for (;;) {
      const ssize_t n = ::read(file, data.data(), data.size());
      if (n < 0) return fail(sys_error(errno, "read"));
      if (n == 0) return wire.write("0\r\n\r\n");
      char size[24];
      std::snprintf(size, sizeof size, "%zx\r\n", static_cast<size_t>(n));
      TRYV(wire.write(size + data.substr(0, static_cast<size_t>(n)) + "\r\n"));
    }
  };
  TRY(auto reply,
      exchange(head_of("POST", path, "Content-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n"),
               send, nullptr));
  return std::move(reply.body);
}

}  // namespace panal
