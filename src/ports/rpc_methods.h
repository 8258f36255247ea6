// The methods a transport serves, and the calls of them that run: the same for the daemon's transport and the
// simulator's.
#pragma once
#include <list>
#include <map>
#include <vector>

#include "ports/event.h"
#include "ports/loop.h"
#include "ports/transport.h"

namespace panal {

class RpcMethods {
 public:
  void serve(std::string method, std::vector<std::string> roles, Transport::UnaryHandler handler);
  void serve_stream(std::string method, std::vector<std::string> roles, Transport::StreamHandler handler);
  /// Removes the method, cancels its calls and waits for their handlers to end.
  Task<void> unserve(Loop& loop, std::string method);
  /// Checks that `peer` may call, and runs the handler.
  Task<Result<>> run(Loop& loop, std::string method, Peer peer, RpcStream& stream);

 private:
  struct Method {
    std::vector<std::string> roles;
    Transport::StreamHandler handler;
    std::list<RpcStream*> calls;
    Event ended;
  };
  std::map<std::string, std::shared_ptr<Method>> methods_;
};

}  // namespace panal
