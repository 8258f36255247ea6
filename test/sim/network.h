// The network between sim nodes, shaped like the real transport: one connection per pair of process and
// address, ordered streams on it, calls as streams of one message each way. Packets are late, connections are
// reset, links are cut one way or both ways; a cut longer than the kernel's patience breaks the connection at
// both ends. A process that dies resets its connections, a machine that dies says nothing.
#pragma once
#include <deque>
#include <set>

#include "ports/mutex.h"
#include "ports/rpc_methods.h"
#include "sim/random.h"
#include "sim/timeline.h"

namespace panal::sim {

class SimTransport;
struct SimConnection;

struct Weather {
  Duration fastest = 100us, slowest = 2ms;
  double slow = 0, reset = 0;  // per packet: a retransmission; the connection's end
};

class SimNetwork {
 public:
  SimNetwork(Timeline& timeline, SimLoop& world, Random random)
      : timeline_(timeline), world_(world), random_(random) {}

  Weather weather;
  void cut(int from, int to, bool on);
  bool is_cut(int from, int to) const { return cuts_.contains({from, to}); }
  void heal();
  void power(int node, bool on);
  bool powered(int node) const { return !off_.contains(node); }

  static std::string ip(int node) { return "10.1.0." + std::to_string(node + 1); }
  static int node_of(const std::string& address);

 private:
  friend class SimTransport;
  friend struct SimConnection;
  Duration latency();
  void expire(int a, int b);

  Timeline& timeline_;
  SimLoop& world_;
  Random random_;
  std::set<std::pair<int, int>> cuts_;
  std::map<std::pair<int, int>, MonoTime> cut_since_;
  std::set<int> off_;
  std::map<std::string, SimTransport*> listeners_;  // address -> process
  std::vector<std::weak_ptr<SimConnection>> connections_;
};

class SimTransport final : public Transport {
 public:
  SimTransport(SimNetwork& network, SimLoop& loop, int node, Peer self);
  ~SimTransport() override;

  void serve(std::string method, std::vector<std::string> roles, UnaryHandler handler) override {
    methods_.serve(std::move(method), std::move(roles), std::move(handler));
  }
  void serve_stream(std::string method, std::vector<std::string> roles, StreamHandler handler) override {
    methods_.serve_stream(std::move(method), std::move(roles), std::move(handler));
  }
  Task<void> unserve(std::string method) override { return methods_.unserve(loop_, std::move(method)); }
  Task<Result<std::string>> call(std::string address, std::string method, std::string request,
                                 Duration timeout) override;
  Task<Result<std::unique_ptr<RpcStream>>> open(std::string address, std::string method) override;
  Task<Result<std::string>> call_pinned(std::string address, std::string method, std::string request,
                                        std::string, Duration timeout) override {
    return call(std::move(address), std::move(method), std::move(request), timeout);
  }
  Result<> set_identity(const std::string&, const std::string&, const std::string&) override { return {}; }
  void clear_identity() override {}
  Result<> listen(const std::string& address, uint16_t port) override;
  void stop_listening() override;

  /// A certificate for another role; what is connected has to connect anew.
  void set_role(const std::string& role);
  /// The process is gone: everything fails from here on. `polite`: its kernel still resets its connections.
  enum class Death { kProcess, kMachine };
  void die(Death how);
  Task<void> join() { co_await scope_.join(); }
  SimLoop& loop() { return loop_; }
  int node() const { return node_; }

 private:
  friend struct SimConnection;
  Task<Result<std::shared_ptr<SimConnection>>> connection_to(std::string address);
  Task<Result<std::shared_ptr<SimConnection>>> connect(std::string address);
  Task<void> serve_one(std::shared_ptr<struct SimStream> stream, Peer peer);

  SimNetwork& network_;
  SimLoop& loop_;
  const int node_;
  Peer self_;
  bool dead_ = false;
  RpcMethods methods_;
  std::map<std::string, std::shared_ptr<SimConnection>> connected_;
  std::map<std::string, std::shared_ptr<AsyncMutex>> connecting_;
  std::vector<std::string> listening_;
  Scope scope_;
};

}  // namespace panal::sim
