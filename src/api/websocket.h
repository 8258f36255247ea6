// WebSocket (RFC 6455), as much as attaching needs: binary frames over a connection that was taken over.
#pragma once
#include <string>

#include "ports/stream.h"

namespace panal {

/// Sec-WebSocket-Accept for a client's Sec-WebSocket-Key.
std::string websocket_accept(const std::string& key);
std::string websocket_frame(int opcode, std::string_view payload);

/// Takes apart what a client sends. A frame may carry 1 MiB at most; a client must mask.
class WebSocketParser {
 public:
  enum class Kind { kData, kPing, kPong, kClose };
  struct Message {
    Kind kind;
    std::string payload;
  };
  void feed(std::string_view bytes) { buffer_ += bytes; }
  /// nullopt: more bytes are needed.
  Result<std::optional<Message>> next();

 private:
  std::string buffer_;
};

/// The payloads as a plain stream; pings are answered, a close is the end.
class WebSocketStream final : public Stream {
 public:
  explicit WebSocketStream(Stream& inner) : inner_(inner) {}
  Task<Result<size_t>> read(std::span<char> into) override;
  Task<Result<>> write(std::string_view data) override;
  void close_write() override { inner_.close_write(); }
  Task<void> hung_up() override { return inner_.hung_up(); }
  void close() override { inner_.close(); }
  /// Says goodbye, once.
  Task<void> finish();

 private:
  Stream& inner_;
  WebSocketParser parser_;
  std::string ready_;
  bool ended_ = false, finished_ = false;
};

}  // namespace panal
