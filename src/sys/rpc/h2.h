// One HTTP/2 connection carrying gRPC calls, on nghttp2. Both sides. The connection runs until its stream
// fails or close().
//
// Owned through shared_ptr by whoever uses it (a pool entry, or the server) and by its own reader and writer.
// Limits: 1 MiB of unread data per stream (HTTP/2 flow control holds the peer), 256 KiB queued for sending,
// and those of H2Limits.
#pragma once
#include <deque>
#include <map>
#include <memory>

#include "ports/event.h"
#include "ports/stream.h"
#include "ports/transport.h"
#include "sys/loop/asio_loop.h"

struct nghttp2_session;

namespace panal {

/// What a peer may make this side hold.
struct H2Limits {
  size_t message_bytes = 64 << 20;
  uint32_t streams = 1000;
};

struct H2Stream {
  int32_t id = 0;
  std::string path, out;  // out: framed bytes; nghttp2 has taken those before `taken`
  size_t taken = 0;
  std::string partial;  // received bytes of an unfinished message
  std::deque<std::string> inbox;
  size_t unconsumed = 0;  // bytes of inbox and partial that flow control still counts
  bool remote_done = false, local_done = false, closed = false, deferred = false;
  int grpc_status = -1;  // of the peer's trailers
  std::string grpc_message;
  int reply_status = -1;  // server: trailers to send once `out` is empty
  std::string reply_message;
  Event event;
};

class H2Connection : public std::enable_shared_from_this<H2Connection> {
 public:
  enum class Side { kClient, kServer };
  H2Connection(AsioLoop& loop, std::shared_ptr<Stream> stream, Side side, H2Limits limits = {});
  ~H2Connection();

  /// Server: called for each new stream once its headers are there.
  std::function<void(std::shared_ptr<H2Stream>)> on_stream;
  /// Reads until the connection ends.
  Task<void> run();
  void close();
  bool closed() const { return closed_; }

  Result<std::shared_ptr<H2Stream>> open(const std::string& authority, const std::string& path);
  Task<Result<std::optional<std::string>>> read(std::shared_ptr<H2Stream> s);
  Task<Result<>> write(std::shared_ptr<H2Stream> s, std::string message);
  void finish(H2Stream& s);                         // client: half close
  void reply(H2Stream& s, const Result<>& result);  // server: trailers
  void cancel(H2Stream& s);
  void start_response(H2Stream& s);

 private:
  friend struct Callbacks;
  void pump();
  Task<void> writer();
  void resume(H2Stream& s);

  AsioLoop& loop_;
  std::shared_ptr<Stream> stream_;
  Side side_;
  H2Limits limits_;
  nghttp2_session* session_ = nullptr;
  std::map<int32_t, std::shared_ptr<H2Stream>> streams_;
  std::string outgoing_;
  Event more_;
  Scope scope_;
  bool closed_ = false;
};

/// gRPC status codes for ours and back (grpc.io/docs/guides/status-codes).
int grpc_status_of(Code code);
Code code_of_grpc(int status);

}  // namespace panal
