#include "sim/network.h"

#include <algorithm>

namespace panal::sim {

static constexpr Duration kPatience = 11s, kDialTimeout = 5s;  // as sys/rpc tunes its sockets
static constexpr size_t kMaxQueued = 256 << 10;

enum Side { kClient = 0, kServer = 1 };
static int other(int side) { return 1 - side; }

struct SimStream {
  struct End {
    std::deque<std::string> inbox;
    bool closed = false, remote_done = false, local_done = false;
    std::optional<Result<>> status;  // client: how the server ended
    size_t queued = 0;               // written here, not yet read there
    Event event;
  };
  std::string method;
  std::shared_ptr<SimConnection> connection;
  End ends[2];
};

struct SimConnection : std::enable_shared_from_this<SimConnection> {
  SimNetwork& network;
  SimTransport* transport[2];
  int node[2];
  bool closed[2] = {false, false};
  Peer client;
  struct Packet {
    MonoTime due;
    std::function<void()> deliver;
  };
  std::deque<Packet> queue[2];  // by sending side
  bool pumping[2] = {false, false};
  std::vector<std::weak_ptr<SimStream>> streams;

  SimConnection(SimNetwork& n, SimTransport* c, SimTransport* s)
      : network(n), transport{c, s}, node{c->node(), s->node()} {}

  void wake(SimStream& s, int side) {
    if (transport[side]) s.ends[side].event.notify(transport[side]->loop());
  }

  void send(int side, size_t size, std::function<void()> deliver) {
    if (closed[side]) return;
    if (network.random_.chance(network.weather.reset)) {
      close(side);
      close_later(other(side), network.latency());
      return;
    }
    MonoTime due =
        network.timeline_.now + network.latency() + Duration(static_cast<int64_t>(size) * 8);  // 1 Gbit/s
    if (!queue[side].empty()) due = std::max(due, queue[side].back().due);
    queue[side].push_back({due, std::move(deliver)});
    pump_at(side, queue[side].front().due);
  }
  void pump_at(int side, MonoTime when) {
    if (std::exchange(pumping[side], true)) return;
    network.world_.call_at(when, [self = shared_from_this(), side] {
      self->pumping[side] = false;
      self->pump(side);
    });
  }
  void pump(int side) {
    const MonoTime now = network.timeline_.now;
    while (!queue[side].empty() && !closed[other(side)]) {
      if (queue[side].front().due > now) return pump_at(side, queue[side].front().due);
      if (network.is_cut(node[side], node[other(side)]) || !network.powered(node[other(side)]))
        return pump_at(side, now + network.random_.between(Duration(150ms), Duration(400ms)));
      auto deliver = std::move(queue[side].front().deliver);
      queue[side].pop_front();
      deliver();
    }
    if (closed[other(side)]) queue[side].clear();
  }

  /// What `side` sees of the connection ends here.
  void close(int side) {
    if (std::exchange(closed[side], true)) return;
    for (auto& weak : streams)
      if (auto s = weak.lock()) {
        s->ends[side].closed = true;
        wake(*s, side);
      }
    if (side == kClient && transport[kClient])
      std::erase_if(transport[kClient]->connected_, [this](const auto& c) { return c.second.get() == this; });
  }
  void close_later(int side, Duration after) {
    network.world_.call_after(after, [self = shared_from_this(), side] { self->close(side); });
  }
};

namespace {

Task<Result<std::optional<std::string>>> read_from(std::shared_ptr<SimStream> s, int side) {
  auto& end = s->ends[side];
  for (;;) {
    if (!end.inbox.empty()) {
      std::string message = std::move(end.inbox.front());
      end.inbox.pop_front();
      s->ends[other(side)].queued -= message.size();
      s->connection->wake(*s, other(side));
      co_return std::optional<std::string>(std::move(message));
    }
    if (end.status && !*end.status) co_return std::unexpected(end.status->error());
    if (end.status || (side == kServer && end.remote_done && !end.closed))
      co_return std::optional<std::string>();
    if (end.closed) co_return fail(Code::kUnavailable, "connection lost");
    (void)co_await end.event.wait(s->connection->transport[side]->loop());
  }
}

Task<Result<>> write_to(std::shared_ptr<SimStream> s, int side, std::string message) {
  auto& end = s->ends[side];
  while (end.queued > kMaxQueued && !end.closed)
    (void)co_await end.event.wait(s->connection->transport[side]->loop());
  if (end.closed || end.local_done || (side == kClient && end.status))
    co_return fail(Code::kUnavailable, "connection lost");
  end.queued += message.size();
  const size_t size = message.size();
  s->connection->send(side, size, [s, side, message = std::move(message)] {
    auto& there = s->ends[other(side)];
    if (there.closed) return;
    there.inbox.push_back(message);
    s->connection->wake(*s, other(side));
  });
  co_return Result<>{};
}

void finish_stream(const std::shared_ptr<SimStream>& s, int side) {
  if (std::exchange(s->ends[side].local_done, true) || s->ends[side].closed) return;
  s->connection->send(side, 0, [s, side] {
    s->ends[other(side)].remote_done = true;
    s->connection->wake(*s, other(side));
  });
}

void cancel_stream(const std::shared_ptr<SimStream>& s, int side) {
  auto& end = s->ends[side];
  if (end.closed || (side == kClient && end.status)) return;
  end.closed = true;
  s->connection->wake(*s, side);
  s->connection->send(side, 0, [s, side] {
    auto& there = s->ends[other(side)];
    if (there.status) return;
    there.closed = true;
    s->connection->wake(*s, other(side));
  });
}

void reply_stream(const std::shared_ptr<SimStream>& s, Result<> result) {
  if (s->ends[kServer].closed) return;
  s->ends[kServer].local_done = true;
  s->connection->send(kServer, 0, [s, result = std::move(result)] {
    s->ends[kClient].status = result;
    s->connection->wake(*s, kClient);
  });
}

class StreamEnd final : public RpcStream {
 public:
  StreamEnd(std::shared_ptr<SimStream> s, int side) : stream_(std::move(s)), side_(side) {}
  ~StreamEnd() override {
    if (side_ == kClient) cancel();
  }
  Task<Result<std::optional<std::string>>> read() override { return read_from(stream_, side_); }
  Task<Result<>> write(std::string message) override { return write_to(stream_, side_, std::move(message)); }
  void finish() override {
    if (side_ == kClient) finish_stream(stream_, side_);
  }
  void cancel() override { cancel_stream(stream_, side_); }

 private:
  std::shared_ptr<SimStream> stream_;
  int side_;
};

}  // namespace

// ---- network

int SimNetwork::node_of(const std::string& address) {
  const size_t dot = address.rfind('.');
  return dot == std::string::npos ? -1 : std::atoi(address.c_str() + dot + 1) - 1;
}

Duration SimNetwork::latency() {
  const Duration base = random_.between(weather.fastest, weather.slowest);
  return random_.chance(weather.slow) ? base + random_.between(Duration(200ms), Duration(1500ms)) : base;
}

void SimNetwork::cut(int from, int to, bool on) {
  const std::pair<int, int> link{from, to};
  if (!on) {
    cuts_.erase(link);
    cut_since_.erase(link);
    return;
  }
  if (!cuts_.insert(link).second) return;
  cut_since_[link] = timeline_.now;
  world_.call_after(kPatience, [this, link, since = timeline_.now] {
    auto it = cut_since_.find(link);
    if (it != cut_since_.end() && it->second == since) expire(link.first, link.second);
  });
}

void SimNetwork::heal() {
  cuts_.clear();
  cut_since_.clear();
}

// The kernels at both ends give up what crossed the link.
void SimNetwork::expire(int a, int b) {
  std::erase_if(connections_, [](const auto& weak) { return weak.expired(); });
  for (auto& weak : std::vector(connections_)) {
    auto c = weak.lock();
    if (!c || !((c->node[0] == a && c->node[1] == b) || (c->node[0] == b && c->node[1] == a))) continue;
    c->close(kClient);
    c->close(kServer);
  }
}

void SimNetwork::power(int node, bool on) {
  if (on)
    off_.erase(node);
  else
    off_.insert(node);
}

// ---- transport

SimTransport::SimTransport(SimNetwork& network, SimLoop& loop, int node, Peer self)
    : network_(network), loop_(loop), node_(node), self_(std::move(self)) {}

SimTransport::~SimTransport() {
  stop_listening();
  for (auto& weak : network_.connections_)
    if (auto c = weak.lock())
      for (auto& t : c->transport)
        if (t == this) t = nullptr;
}

Result<> SimTransport::listen(const std::string&, uint16_t port) {
  listening_.push_back(SimNetwork::ip(node_) + ":" + std::to_string(port));
  network_.listeners_[listening_.back()] = this;
  return {};
}
void SimTransport::stop_listening() {
  for (const auto& a : std::exchange(listening_, {}))
    if (auto it = network_.listeners_.find(a); it != network_.listeners_.end() && it->second == this)
      network_.listeners_.erase(it);
}

void SimTransport::set_role(const std::string& role) {
  self_.role = role;
  stop_listening();
  for (const auto& [address, c] : std::map(connected_)) {
    c->close(kClient);
    c->close_later(kServer, network_.latency());
  }
}

void SimTransport::die(Death how) {
  dead_ = true;
  stop_listening();
  std::erase_if(network_.connections_, [](const auto& weak) { return weak.expired(); });
  for (auto& weak : std::vector(network_.connections_)) {
    auto c = weak.lock();
    if (!c) continue;
    for (int side = 0; side < 2; ++side) {
      if (c->transport[side] != this) continue;
      c->close(side);
      c->queue[side].clear();
      const bool heard = how == Death::kProcess && !network_.is_cut(node_, c->node[other(side)]);
      c->close_later(other(side), heard ? network_.latency() : kPatience);
    }
  }
}

Task<Result<std::shared_ptr<SimConnection>>> SimTransport::connection_to(std::string address) {
  auto& slot = connecting_[address];
  if (!slot) slot = std::make_shared<AsyncMutex>();
  auto mutex = slot;
  auto held = co_await mutex->lock(loop_);
  if (auto it = connected_.find(address); it != connected_.end() && !it->second->closed[kClient])
    co_return it->second;
  auto made = co_await connect(address);
  if (made) connected_[address] = *made;
  co_return made;
}

Task<Result<std::shared_ptr<SimConnection>>> SimTransport::connect(std::string address) {
  if (dead_) co_return fail(Code::kUnavailable, "dial tcp " + address + ": network is down");
  const int target = SimNetwork::node_of(address);
  const MonoTime deadline = loop_.now() + kDialTimeout;
  const auto reachable = [&] {
    return network_.powered(target) && !network_.is_cut(node_, target) && !network_.is_cut(target, node_);
  };
  while (!reachable()) {
    if (loop_.now() >= deadline) co_return fail(Code::kTimeout, "dial tcp " + address + ": i/o timeout");
    co_await loop_.sleep(1s);
    if (dead_) co_return fail(Code::kUnavailable, "dial tcp " + address + ": network is down");
  }
  co_await loop_.sleep(network_.latency() + network_.latency());
  if (dead_) co_return fail(Code::kUnavailable, "dial tcp " + address + ": network is down");
  auto it = network_.listeners_.find(address);
  if (it == network_.listeners_.end())
    co_return fail(Code::kUnavailable, "dial tcp " + address + ": connection refused");
  auto c = std::make_shared<SimConnection>(network_, this, it->second);
  c->client = self_;
  c->client.address = SimNetwork::ip(node_);
  network_.connections_.push_back(c);
  co_return c;
}

static Result<std::shared_ptr<SimStream>> open_on(const std::shared_ptr<SimConnection>& c,
                                                  const std::string& method) {
  if (c->closed[kClient]) return fail(Code::kUnavailable, "connection closed");
  auto s = std::make_shared<SimStream>();
  s->method = method, s->connection = c;
  std::erase_if(c->streams, [](const auto& weak) { return weak.expired(); });
  c->streams.push_back(s);
  return s;
}

Task<Result<std::unique_ptr<RpcStream>>> SimTransport::open(std::string address, std::string method) {
  CO_TRY(auto connection, co_await connection_to(address));
  CO_TRY(auto s, open_on(connection, method));
  connection->send(kClient, method.size(), [s] {
    auto* server = s->connection->transport[kServer];
    if (server && !s->ends[kServer].closed)
      server->loop_.post([server, s] { server->scope_.spawn(server->serve_one(s, s->connection->client)); });
  });
  co_return std::unique_ptr<RpcStream>(new StreamEnd(s, kClient));
}

Task<void> SimTransport::serve_one(std::shared_ptr<SimStream> stream, Peer peer) {
  if (dead_) co_return;
  StreamEnd rpc(stream, kServer);
  const Result<> result = co_await methods_.run(loop_, stream->method, std::move(peer), rpc);
  reply_stream(stream, result);
}

Task<Result<std::string>> SimTransport::call(std::string address, std::string method, std::string request,
                                             Duration timeout) {
  CO_TRY(auto stream, co_await open(address, method));
  bool late = false;
  const TimerId timer = loop_.call_after(timeout, [&late, s = stream.get()] {
    late = true;
    s->cancel();
  });
  auto sent = co_await stream->write(std::move(request));
  stream->finish();
  Result<std::optional<std::string>> reply = std::optional<std::string>();
  if (sent) reply = co_await stream->read();
  if (sent && reply && *reply)
    if (auto end = co_await stream->read(); !end) reply = std::unexpected(end.error());
  if (!late) loop_.cancel(timer);
  if (late) co_return fail(Code::kTimeout, method + " at " + address + ": deadline exceeded");
  if (!sent) co_return std::unexpected(sent.error());
  if (!reply) co_return std::unexpected(reply.error());
  if (!*reply) co_return fail(Code::kInternal, method + ": an empty reply");
  co_return std::move(**reply);
}

}  // namespace panal::sim
