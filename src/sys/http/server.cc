#include "sys/http/server.h"

#include <array>

#include "base/log.h"
#include "base/text.h"
#include "sys/http/parser.h"

namespace panal {

static const char* reason_of(int status) {
  switch (status) {
    case 101:
      return "UPGRADED";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    case 413:
      return "Request Entity Too Large";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    default:
      return "Internal Server Error";
  }
}

bool parse_target(std::string_view target, HttpRequest& out) {
  const size_t mark = target.find('?');
  std::string_view path = target.substr(0, mark);
  if (path.starts_with("http://")) {
    const size_t slash = path.find('/', 7);
    path = slash == std::string_view::npos ? "/" : path.substr(slash);
  }
  if (!path.starts_with('/')) return false;
  if (path.starts_with("/v") && path.size() > 2 && path[2] >= '0' && path[2] <= '9') {
    const size_t slash = path.find('/', 2);
    out.api_version = std::string(path.substr(2, slash == std::string_view::npos ? slash : slash - 2));
    path = slash == std::string_view::npos ? "/" : path.substr(slash);
  }
  out.path = url_decode(path);
  if (out.path.find('\0') != std::string::npos) return false;
  if (mark != std::string_view::npos)
    for (const auto& pair : split(target.substr(mark + 1), '&')) {
      if (pair.empty()) continue;
      if (out.query.size() >= 1024) return false;
      const size_t equals = pair.find('=');
      out.query.emplace(
          url_decode(std::string_view(pair).substr(0, equals), true),
          equals == std::string::npos ? "" : url_decode(std::string_view(pair).substr(equals + 1), true));
    }
  return true;
}

namespace {

// Bytes read beyond the request head that a hijacker must still see, then the connection itself.
class HijackedStream final : public Stream {
 public:
  HijackedStream(Stream& inner, std::string early) : inner_(inner), early_(std::move(early)) {}
  Task<Result<size_t>> read(std::span<char> into) override {
    if (early_.empty()) co_return co_await inner_.read(into);
    const size_t n = std::min(into.size(), early_.size());
    std::copy_n(early_.data(), n, into.data());
    early_.erase(0, n);
    co_return n;
  }
  Task<Result<>> write(std::string_view data) override { return inner_.write(data); }
  void close_write() override { inner_.close_write(); }
  Task<void> hung_up() override { return inner_.hung_up(); }
  void close() override { inner_.close(); }

 private:
  Stream& inner_;
  std::string early_;
};

class Exchange final : public HttpExchange {
 public:
  Exchange(Stream& stream, std::string& buffer, HttpParser& parser)
      : stream_(stream), buffer_(buffer), parser_(parser) {}

  HttpRequest request_;
  std::string body_;  // decoded body bytes not yet taken
  bool started_ = false, chunked_ = false, ended_ = false, hijacked_ = false, broken_ = false,
       closed_ = false;

  const HttpRequest& request() const override { return request_; }
  bool started() const override { return started_; }
  bool closed() const override { return closed_ || broken_; }

  /// Feeds what is buffered, or reads more; false at the end of the body.
  Task<Result<bool>> pump() {
    const auto on_body =
        std::function<void(std::string_view)>([this](std::string_view data) { body_ += data; });
    while (!parser_.done() && body_.empty()) {
      if (buffer_.empty()) {
        if (expects_continue_) {
          expects_continue_ = false;
          CO_TRYV(co_await stream_.write("HTTP/1.1 100 Continue\r\n\r\n"));
        }
        std::array<char, 32768> chunk;
        CO_TRY(const size_t n, co_await stream_.read(chunk));
        if (n == 0) co_return fail(Code::kInvalid, "unexpected EOF");
        buffer_.assign(chunk.data(), n);
      }
      CO_TRY(const size_t taken, parser_.feed(buffer_, on_body));
      buffer_.erase(0, taken);
      if (taken == 0 && !parser_.done() && body_.empty() && !buffer_.empty()) {
        std::array<char, 32768> chunk;
        CO_TRY(const size_t n, co_await stream_.read(chunk));
        if (n == 0) co_return fail(Code::kInvalid, "unexpected EOF");
        buffer_.append(chunk.data(), n);
        if (buffer_.size() > 1 << 20) co_return fail(Code::kInvalid, "malformed chunk");
      }
    }
    co_return !body_.empty();
  }

  Task<Result<std::string>> read_body() override {
    CO_TRY(const bool more, co_await pump());
    co_return more ? std::exchange(body_, {}) : std::string();
  }

  Task<Result<std::string>> body(size_t limit_bytes) override {
    std::string all;
    for (;;) {
      CO_TRY(std::string piece, co_await read_body());
      if (piece.empty()) co_return all;
      if (all.size() + piece.size() > limit_bytes)
        co_return fail(Code::kTooLarge, "http: request body too large");
      all += piece;
    }
  }

  void add_header(std::string name, std::string value) override { extra_ += name + ": " + value + "\r\n"; }

  std::string head_text(int status) {
    std::string out =
        "HTTP/1.1 " + std::to_string(status) + " " + reason_of(status) +
        "\r\nApi-Version: 1.51\r\nDocker-Experimental: false\r\nOstype: linux\r\nServer: Panal (linux)\r\n" +
        extra_;
    return out;
  }

  Task<void> reply(int status, std::string body, std::string content_type) override {
    if (started_) co_return;
    started_ = ended_ = true;
    std::string out = head_text(status);
    const bool empty_kind = status == 204 || status == 304;
    if (!empty_kind)
      out += "Content-Type: " + content_type + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
    if (!parser_.head().keep_alive || watching_) out += "Connection: close\r\n";
    out += "\r\n";
    if (!empty_kind && request_.method != "HEAD") out += body;
    auto sent = co_await stream_.write(out);
    if (!sent) broken_ = true;
  }

  Task<Result<>> begin(int status, std::string content_type) override {
    CHECK(!started_);
    started_ = chunked_ = true;
    const std::string head = head_text(status) + "Content-Type: " + content_type +
                             "\r\nTransfer-Encoding: chunked\r\n" +
                             (watching_ ? "Connection: close\r\n" : "") + "\r\n";
    auto sent = co_await stream_.write(head);
    if (!sent) broken_ = true;
    co_return sent;
  }

  Task<Result<>> write(std::string_view data) override {
    if (data.empty()) co_return Result<>{};
    if (closed()) co_return fail(Code::kCancelled, "client is gone");
    char size[24];
    std::snprintf(size, sizeof size, "%zx\r\n", data.size());
    std::string out = size;
    out.append(data).append("\r\n");
    auto sent = co_await stream_.write(out);
    if (!sent) broken_ = true;
    co_return sent;
  }

  Task<Result<>> end() override {
    if (ended_) co_return Result<>{};
    ended_ = true;
    auto sent = co_await stream_.write("0\r\n\r\n");
    if (!sent) broken_ = true;
    co_return sent;
  }

  Task<Result<Stream*>> upgrade(std::string protocol) override {
    return take_over("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + protocol +
                     "\r\n" + extra_ + "\r\n");
  }

  Task<Result<Stream*>> hijack(std::string content_type) override {
    std::string out;
    if (parser_.head().upgrade || request_.header("upgrade") == "tcp")
      out = "HTTP/1.1 101 UPGRADED\r\nContent-Type: " + content_type +
            "\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
    else
      out = "HTTP/1.1 200 OK\r\nContent-Type: " + content_type + "\r\n\r\n";
    return take_over(std::move(out));
  }

  Task<Result<Stream*>> take_over(std::string out) {
    CHECK(!started_);
    started_ = ended_ = hijacked_ = true;
    CO_TRYV(co_await stream_.write(out));
    taken_over_ = std::make_unique<HijackedStream>(stream_, std::exchange(buffer_, {}));
    co_return taken_over_.get();
  }

  void on_close(std::function<void()> fn) override {
    CHECK(!started_);  // the head says that the connection will be closed
    on_close_ = std::move(fn);
    if (!watching_) watch_.spawn(watch());
    watching_ = true;
  }

  /// Ends the watch by closing the connection; false when there was none.
  Task<bool> end_watch() {
    if (!watching_) co_return false;
    on_close_ = nullptr;
    stream_.close_write();
    stream_.close();
    co_await watch_.join();
    co_return true;
  }

  bool expects_continue_ = false;

 private:
  Task<void> watch() {
    std::array<char, 4096> chunk;
    for (;;) {
      auto n = co_await stream_.read(chunk);
      if (!n || *n == 0) break;
      buffer_.append(chunk.data(), *n);
      if (buffer_.size() > 65536) break;
    }
    closed_ = true;
    if (on_close_) on_close_();
  }

  Stream& stream_;
  std::string& buffer_;
  HttpParser& parser_;
  std::string extra_;
  std::function<void()> on_close_;
  bool watching_ = false;
  Scope watch_;
  std::unique_ptr<HijackedStream> taken_over_;
};

std::string error_body(std::string_view message) {
  std::string out = "{\"message\":\"";
  for (const char c : message) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) out += c;
  }
  return out + "\"}\n";
}

}  // namespace

static constexpr size_t kMostDropped = 1 << 20;
static constexpr Duration kDropTime = 10s;

// What is left of a body is read and dropped, so that a client that is still sending comes to read the answer
// and the connection can go on: closed before, the kernel would take the answer back. With a loop the limit
// is a time, else a size. False: no end was reached.
static Task<bool> drop_body(Stream& stream, Exchange& exchange, HttpParser& parser, Loop* loop) {
  std::optional<TimerId> timer;
  if (loop && !parser.done()) timer = loop->call_after(kDropTime, [&stream] { stream.close(); });
  size_t dropped = std::exchange(exchange.body_, {}).size();
  bool ended = true;
  while (ended && !parser.done()) {
    auto more = co_await exchange.read_body();
    if (more && more->empty()) break;
    ended = more && ((dropped += more->size()) <= kMostDropped || loop);
  }
  if (timer) loop->cancel(*timer);
  co_return ended;
}

Task<void> serve_http(Stream& stream, std::string remote,
                      const std::function<Task<void>(HttpExchange&)>& handler, Loop* loop,
                      const std::function<void(bool)>& waiting) {
  std::string buffer;
  for (;;) {
    HttpParser parser(HttpParser::Kind::kRequest);
    Exchange exchange(stream, buffer, parser);
    const auto on_body =
        std::function<void(std::string_view)>([&](std::string_view data) { exchange.body_ += data; });
    waiting(true);
    while (!parser.header_done()) {
      if (!buffer.empty()) {
        auto taken = parser.feed(buffer, on_body);
        if (!taken) {
          co_await exchange.reply(400, error_body(taken.error().message), "application/json");
          co_return;
        }
        buffer.erase(0, *taken);
        if (parser.header_done()) break;
      }
      std::array<char, 16384> chunk;
      auto n = co_await stream.read(chunk);
      if (!n || *n == 0) co_return;
      buffer.append(chunk.data(), *n);
      if (buffer.size() > 128 * 1024) co_return;
    }
    waiting(false);
    HttpHead& head = parser.head();
    exchange.request_.method = head.method;
    exchange.request_.remote = remote;
    exchange.request_.has_body = head.has_body;
    for (auto& [name, value] : head.fields) exchange.request_.headers.emplace(name, value);
    exchange.expects_continue_ = lower(exchange.request_.header("expect")) == "100-continue";
    if (!parse_target(head.target, exchange.request_)) {
      co_await exchange.reply(400, error_body("malformed request target"), "application/json");
      co_return;
    }
    co_await handler(exchange);
    const bool watched = co_await exchange.end_watch();
    if (watched) co_return;
    if (!exchange.started_)
      co_await exchange.reply(500, error_body("the handler gave no answer"), "application/json");
    if (exchange.hijacked_ || exchange.broken_ || exchange.closed_) co_return;
    if (exchange.chunked_ && !exchange.ended_) co_return;  // cut in the middle: the client must see it
    exchange.expects_continue_ = false;                    // who still waits for leave to send has its answer
    const bool whole = co_await drop_body(stream, exchange, parser, loop);
    if (!whole || !head.keep_alive) co_return;
  }
}

void HttpServer::listen(Fd listener, From from, TlsContext tls) {
  listeners_.emplace_back(loop_, std::move(listener), from, std::move(tls));
  scope_.spawn(accept_loop(listeners_.back()));
}

void HttpServer::stop() {
  stopping_ = true;
  for (auto& l : listeners_) l.fd.close();
  for (auto* list : {&connections_, &handshakes_})
    for (auto* c : *list) c->close();
}

Task<void> HttpServer::accept_loop(Listener& listener) {
  while (!stopping_) {
    std::string peer;
    auto fd = co_await accept_fd(listener.fd, &peer);
    if (!fd) {
      if (fd.error().code == Code::kCancelled) co_return;
      log::warn("msg=\"accept failed\" error=\"{}\"", fd.error().message);
      co_await loop_.sleep(100ms);  // out of descriptors: wait for some to come back
      continue;
    }
    if (listener.open >= (listener.from == From::kHere ? kMaxConnections : kMaxRemoteConnections))
      continue;  // closes it
    scope_.spawn(connection(listener, std::move(*fd), std::move(peer)));
  }
}

Task<void> HttpServer::connection(Listener& listener, Fd fd, std::string peer) {
  ++listener.open;
  if (listener.tls) {
    co_await secure_connection(listener, std::move(fd), std::move(peer));
  } else {
    FdStream stream(loop_, std::move(fd));
    co_await serve(stream, listener.from, std::move(peer));
  }
  --listener.open;
}

Task<void> HttpServer::secure_connection(Listener& listener, Fd fd, std::string peer) {
  TlsStream stream(loop_, std::move(fd), listener.tls, TlsStream::Side::kWebServer);
  stream.wait_for_reader(std::nullopt);
  handshakes_.push_back(&stream);
  if (handshakes_.size() > kMaxHandshakes) {
    handshakes_.front()->close();
    handshakes_.pop_front();
  }
  auto done = co_await stream.handshake(kHandshakeTime);
  std::erase(handshakes_, &stream);
  if (!done) {
    log::debug("msg=\"TLS handshake failed\" remote={} error=\"{}\"", peer, done.error().message);
    co_return;
  }
  co_await serve(stream, listener.from, std::move(peer));
}

Task<void> HttpServer::serve(Stream& stream, From from, std::string peer) {
  const auto at = connections_.insert(connections_.end(), &stream);
  std::optional<TimerId> timer;
  const std::function<void(bool)> waiting = [&](bool on) {
    if (timer) loop_.cancel(*std::exchange(timer, std::nullopt));
    if (on && from == From::kAnywhere) timer = loop_.call_after(kHeadTime, [&stream] { stream.close(); });
  };
  co_await serve_http(stream, std::move(peer), handler_, &loop_, waiting);
  waiting(false);
  stream.close_write();
  connections_.erase(at);
}

}  // namespace panal
