#include "sys/rpc/h2.h"

#include <nghttp2/nghttp2.h>

#include <array>
#include <cstring>

#include "base/log.h"
#include "base/text.h"

namespace panal {

static constexpr size_t kStreamWindow = 1 << 20, kConnectionWindow = 16 << 20, kMaxQueued = 256 << 10;

int grpc_status_of(Code code) {
  switch (code) {
    case Code::kInvalid:
      return 3;
    case Code::kTimeout:
      return 4;
    case Code::kNotFound:
      return 5;
    case Code::kConflict:
      return 6;
    case Code::kForbidden:
      return 7;
    case Code::kTooLarge:
      return 8;
    case Code::kNotModified:
      return 9;
    case Code::kUnsupported:
      return 12;
    case Code::kInternal:
      return 13;
    case Code::kUnavailable:
      return 14;
    case Code::kUnauthorized:
      return 16;
    case Code::kCancelled:
      return 1;
  }
  return 2;
}
Code code_of_grpc(int status) {
  static constexpr std::array<Code, 17> kCodes = {
      Code::kInternal, Code::kCancelled,   Code::kInternal,    Code::kInvalid,  Code::kTimeout,
      Code::kNotFound, Code::kConflict,    Code::kForbidden,   Code::kTooLarge, Code::kNotModified,
      Code::kInternal, Code::kInternal,    Code::kUnsupported, Code::kInternal, Code::kUnavailable,
      Code::kInternal, Code::kUnauthorized};
  return status >= 0 && status < 17 ? kCodes[static_cast<size_t>(status)] : Code::kInternal;
}

static nghttp2_nv header(std::string_view name, std::string_view value) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NONE};
}

struct Callbacks {
  static H2Connection& self(void* p) { return *static_cast<H2Connection*>(p); }
  static std::shared_ptr<H2Stream> find(H2Connection& c, int32_t id) {
    auto it = c.streams_.find(id);
    return it == c.streams_.end() ? nullptr : it->second;
  }

  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* p) {
    auto& c = self(p);
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
      auto s = std::make_shared<H2Stream>();
      s->id = frame->hd.stream_id;
      c.streams_[s->id] = s;
    }
    return 0;
  }
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* n, size_t nlen,
                       const uint8_t* v, size_t vlen, uint8_t, void* p) {
    auto s = find(self(p), frame->hd.stream_id);
    if (!s) return 0;
    const std::string_view name(reinterpret_cast<const char*>(n), nlen),
        value(reinterpret_cast<const char*>(v), vlen);
    if (name == ":path") s->path = std::string(value.substr(0, 256));
    if (name == "grpc-status") s->grpc_status = static_cast<int>(parse_int(value).value_or(2));
    if (name == "grpc-message") s->grpc_message = url_decode(value);
    return 0;
  }
  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* p) {
    auto& c = self(p);
    auto s = find(c, frame->hd.stream_id);
    if (!s) return 0;
    if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
        frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
      s->remote_done = true;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST && c.on_stream)
      c.on_stream(s);
    s->event.notify(c.loop_);
    return 0;
  }
  static int on_data(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* data, size_t size,
                     void* p) {
    auto& c = self(p);
    auto s = find(c, id);
    if (!s || s->reply_status >= 0) {  // whoever has been answered is not listened to
      nghttp2_session_consume(session, id, size);
      return 0;
    }
    s->partial.append(reinterpret_cast<const char*>(data), size);
    s->unconsumed += size;
    while (s->partial.size() >= 5) {
      const auto* b = reinterpret_cast<const uint8_t*>(s->partial.data());
      const size_t length = static_cast<size_t>(b[1]) << 24 | static_cast<size_t>(b[2]) << 16 |
                            static_cast<size_t>(b[3]) << 8 | b[4];
      if (b[0] != 0 || length > c.limits_.message_bytes) {
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_PROTOCOL_ERROR);
        return 0;
      }
      if (s->partial.size() < 5 + length) {
        // A message larger than the window could never arrive: what is buffered of it is given back as it
        // comes.
        if (length > kStreamWindow / 2 && s->unconsumed > 0)
          nghttp2_session_consume(session, id, std::exchange(s->unconsumed, 0));
        break;
      }
      s->inbox.push_back(s->partial.substr(5, length));
      s->partial.erase(0, 5 + length);
    }
    s->event.notify(c.loop_);
    return 0;
  }
  static int on_close(nghttp2_session*, int32_t id, uint32_t, void* p) {
    auto& c = self(p);
    auto s = find(c, id);
    if (!s) return 0;
    if (s->unconsumed > 0) nghttp2_session_consume_connection(c.session_, std::exchange(s->unconsumed, 0));
    s->closed = s->remote_done = true;
    s->event.notify(c.loop_);
    c.streams_.erase(id);
    return 0;
  }
  static ssize_t read_out(nghttp2_session* session, int32_t, uint8_t* buffer, size_t length, uint32_t* flags,
                          nghttp2_data_source* source, void* p) {
    auto& c = self(p);
    auto* s = static_cast<H2Stream*>(source->ptr);
    const size_t n = std::min(length, s->out.size() - s->taken);
    std::memcpy(buffer, s->out.data() + s->taken, n);
    s->taken += n;
    if (s->taken < s->out.size()) return static_cast<ssize_t>(n);
    s->out.clear(), s->taken = 0;
    if (s->reply_status >= 0) {
      *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
      const std::string status = std::to_string(s->reply_status), message = url_encode(s->reply_message);
      const std::array<nghttp2_nv, 2> trailers = {header("grpc-status", status),
                                                  header("grpc-message", message)};
      nghttp2_submit_trailer(session, s->id, trailers.data(), trailers.size());
      return static_cast<ssize_t>(n);
    }
    if (s->local_done) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      return static_cast<ssize_t>(n);
    }
    if (n == 0) {
      s->deferred = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    s->event.notify(c.loop_);
    return static_cast<ssize_t>(n);
  }
};

H2Connection::H2Connection(AsioLoop& loop, std::shared_ptr<Stream> stream, Side side, H2Limits limits)
    : loop_(loop), stream_(std::move(stream)), side_(side), limits_(limits) {
  nghttp2_session_callbacks* callbacks;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, &Callbacks::on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, &Callbacks::on_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, &Callbacks::on_frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, &Callbacks::on_data);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, &Callbacks::on_close);
  nghttp2_option* option;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  if (side == Side::kClient)
    nghttp2_session_client_new2(&session_, callbacks, this, option);
  else
    nghttp2_session_server_new2(&session_, callbacks, this, option);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  const std::array<nghttp2_settings_entry, 2> settings = {
      nghttp2_settings_entry{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits_.streams},
      nghttp2_settings_entry{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow}};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
}
H2Connection::~H2Connection() { nghttp2_session_del(session_); }

void H2Connection::pump() {
  if (closed_) return;  // the streams that nghttp2 would read from are gone
  for (;;) {
    const uint8_t* data;
    const ssize_t n = nghttp2_session_mem_send(session_, &data);
    if (n <= 0) break;
    outgoing_.append(reinterpret_cast<const char*>(data), static_cast<size_t>(n));
  }
  if (!outgoing_.empty()) more_.notify(loop_);
}

Task<void> H2Connection::writer() {
  auto keep = shared_from_this();
  while (!closed_) {
    if (outgoing_.empty()) {
      (void)co_await more_.wait(loop_);
      continue;
    }
    const std::string data = std::exchange(outgoing_, {});
    auto sent = co_await stream_->write(data);
    if (!sent) break;
    pump();
  }
  close();
}

Task<void> H2Connection::run() {
  auto keep = shared_from_this();
  pump();
  scope_.spawn(writer());
  std::array<char, 16384> chunk;
  while (!closed_) {
    auto n = co_await stream_->read(chunk);
    if (!n || *n == 0) break;
    if (closed_) break;
    if (nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(chunk.data()), *n) < 0) break;
    pump();
  }
  close();
  co_await scope_.join();
}

void H2Connection::close() {
  if (closed_) return;
  closed_ = true;
  stream_->close();
  more_.notify(loop_);
  for (auto& [id, s] : std::exchange(streams_, {})) {
    s->closed = s->remote_done = true;
    s->event.notify(loop_);
  }
}

void H2Connection::resume(H2Stream& s) {
  if (s.deferred) {
    s.deferred = false;
    nghttp2_session_resume_data(session_, s.id);
  }
  pump();
}

Result<std::shared_ptr<H2Stream>> H2Connection::open(const std::string& authority, const std::string& path) {
  if (closed_) return fail(Code::kUnavailable, "connection closed");
  auto s = std::make_shared<H2Stream>();
  s->path = path;
  const std::array<nghttp2_nv, 6> headers = {header(":method", "POST"),
                                             header(":scheme", "https"),
                                             header(":path", path),
                                             header(":authority", authority),
                                             header("content-type", "application/grpc"),
                                             header("te", "trailers")};
  nghttp2_data_provider provider{{.ptr = s.get()}, &Callbacks::read_out};
  s->id = nghttp2_submit_request(session_, nullptr, headers.data(), headers.size(), &provider, nullptr);
  if (s->id < 0) return fail(Code::kUnavailable, std::string("http2: ") + nghttp2_strerror(s->id));
  streams_[s->id] = s;
  pump();
  return s;
}

void H2Connection::start_response(H2Stream& s) {
  if (closed_ || s.closed) return;
  const std::array<nghttp2_nv, 2> headers = {header(":status", "200"),
                                             header("content-type", "application/grpc")};
  nghttp2_data_provider provider{{.ptr = &s}, &Callbacks::read_out};
  nghttp2_submit_response(session_, s.id, headers.data(), headers.size(), &provider);
  pump();
}

Task<Result<std::optional<std::string>>> H2Connection::read(std::shared_ptr<H2Stream> s) {
  auto keep = shared_from_this();
  for (;;) {
    if (!s->inbox.empty()) {
      std::string message = std::move(s->inbox.front());
      s->inbox.pop_front();
      if (!s->closed && !closed_ && s->unconsumed > 0) {
        const size_t part = std::min(s->unconsumed, message.size() + 5);
        s->unconsumed -= part;
        nghttp2_session_consume(session_, s->id, part);
        pump();
      }
      co_return std::optional<std::string>(std::move(message));
    }
    if (s->grpc_status > 0)
      co_return fail(code_of_grpc(s->grpc_status), s->grpc_message.empty() ? "rpc failed" : s->grpc_message);
    if (s->grpc_status == 0 || (side_ == Side::kServer && s->remote_done && !s->closed))
      co_return std::optional<std::string>();
    if (s->closed || closed_) co_return fail(Code::kUnavailable, "connection lost");
    (void)co_await s->event.wait(loop_);
  }
}

Task<Result<>> H2Connection::write(std::shared_ptr<H2Stream> s, std::string message) {
  auto keep = shared_from_this();
  while (s->out.size() - s->taken > kMaxQueued && !s->closed && !closed_) (void)co_await s->event.wait(loop_);
  if (s->closed || closed_ || s->local_done || s->reply_status >= 0)
    co_return fail(Code::kUnavailable, "connection lost");
  const size_t n = message.size();
  const std::array<char, 5> head = {0, static_cast<char>(n >> 24), static_cast<char>(n >> 16),
                                    static_cast<char>(n >> 8), static_cast<char>(n)};
  if (s->taken > s->out.size() / 2) s->out.erase(0, std::exchange(s->taken, 0));
  s->out.append(head.data(), head.size());
  s->out += message;
  resume(*s);
  co_return Result<>{};
}

void H2Connection::finish(H2Stream& s) {
  if (closed_ || s.closed) return;
  s.local_done = true;
  resume(s);
}
void H2Connection::reply(H2Stream& s, const Result<>& result) {
  if (closed_ || s.closed) return;
  s.reply_status = result ? 0 : grpc_status_of(result.error().code);
  s.reply_message = result ? "" : result.error().message;
  resume(s);
}
void H2Connection::cancel(H2Stream& s) {
  if (closed_ || s.closed) return;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, s.id, NGHTTP2_CANCEL);
  pump();
}

}  // namespace panal
