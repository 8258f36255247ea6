#include "api/websocket.h"

#include <algorithm>
#include <array>
#include <boost/uuid/detail/sha1.hpp>

#include "base/text.h"

namespace panal {

static constexpr size_t kMaxPayload = 1 << 20;
static constexpr int kBinary = 2, kClose = 8, kPing = 9, kPong = 10;

std::string websocket_accept(const std::string& key) {
  const std::string text = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  boost::uuids::detail::sha1 hash;
  hash.process_bytes(text.data(), text.size());
  boost::uuids::detail::sha1::digest_type words;
  hash.get_digest(words);
  std::string digest;
  for (const auto word : words)
    for (int shift = 24; shift >= 0; shift -= 8) digest += static_cast<char>(word >> shift);
  return base64(digest);
}

std::string websocket_frame(int opcode, std::string_view payload) {
  std::string out(1, static_cast<char>(0x80 | opcode));
  const size_t size = payload.size();
  const int bytes = size < 126 ? 0 : size < 65536 ? 2 : 8;
  out += static_cast<char>(bytes == 0 ? size : bytes == 2 ? 126 : 127);
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(static_cast<uint64_t>(size) >> (8 * i));
  return out.append(payload);
}

Result<std::optional<WebSocketParser::Message>> WebSocketParser::next() {
  const auto byte = [this](size_t at) { return static_cast<unsigned char>(buffer_[at]); };
  if (buffer_.size() < 2) return std::nullopt;
  const int opcode = byte(0) & 15;
  if (byte(0) & 0x70 || !(byte(1) & 0x80))
    return fail(Code::kInvalid, "websocket: a frame that is not masked or uses an extension");
  uint64_t size = byte(1) & 0x7f;
  const size_t extra = size < 126 ? 0 : size == 126 ? 2 : 8, head = 2 + extra + 4;
  if (buffer_.size() < head) return std::nullopt;
  if (extra) size = 0;
  for (size_t i = 0; i < extra; ++i) size = size << 8 | byte(2 + i);
  if (size > kMaxPayload) return fail(Code::kTooLarge, "websocket: a frame of more than 1 MiB");
  if (buffer_.size() < head + size) return std::nullopt;
  Message message{Kind::kData, buffer_.substr(head, size)};
  for (size_t i = 0; i < message.payload.size(); ++i)
    message.payload[i] = static_cast<char>(message.payload[i] ^ buffer_[head - 4 + i % 4]);
  buffer_.erase(0, head + size);
  if (opcode == kClose)
    message.kind = Kind::kClose;
  else if (opcode == kPing)
    message.kind = Kind::kPing;
  else if (opcode == kPong)
    message.kind = Kind::kPong;
  else if (opcode > 2)
    return fail(Code::kInvalid, "websocket: unknown kind of frame");
  return message;
}

Task<Result<size_t>> WebSocketStream::read(std::span<char> into) {
  while (ready_.empty() && !ended_) {
    CO_TRY(auto message, parser_.next());
    if (!message) {
      std::array<char, 16384> chunk;
      CO_TRY(const size_t n, co_await inner_.read(chunk));
      if (n == 0) ended_ = true;
      parser_.feed({chunk.data(), n});
    } else if (message->kind == WebSocketParser::Kind::kData) {
      ready_ = std::move(message->payload);
    } else if (message->kind == WebSocketParser::Kind::kPing) {
      CO_TRYV(co_await inner_.write(websocket_frame(kPong, message->payload)));
    } else if (message->kind == WebSocketParser::Kind::kClose) {
      ended_ = true;  // for both directions (RFC 6455, 5.5.1)
      co_await finish();
      inner_.close();
    }
  }
  const size_t n = std::min(into.size(), ready_.size());
  std::copy_n(ready_.data(), n, into.data());
  ready_.erase(0, n);
  co_return n;
}

Task<Result<>> WebSocketStream::write(std::string_view data) {
  co_return co_await inner_.write(websocket_frame(kBinary, data));
}

Task<void> WebSocketStream::finish() {
  if (std::exchange(finished_, true)) co_return;
  (void)co_await inner_.write(websocket_frame(kClose, std::string_view("\x03\xe8", 2)));
}

}  // namespace panal
