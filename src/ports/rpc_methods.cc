#include "ports/rpc_methods.h"

#include <algorithm>

namespace panal {

void RpcMethods::serve_stream(std::string method, std::vector<std::string> roles,
                              Transport::StreamHandler handler) {
  auto entry = std::make_shared<Method>();
  entry->roles = std::move(roles), entry->handler = std::move(handler);
  methods_[std::move(method)] = std::move(entry);
}

static Task<Result<>> run_unary(Transport::UnaryHandler handler, Peer peer, RpcStream& stream) {
  CO_TRY(auto request, co_await stream.read());
  if (!request) co_return fail(Code::kInvalid, "a request without a message");
  CO_TRY(std::string reply, co_await handler(std::move(peer), std::move(*request)));
  co_return co_await stream.write(std::move(reply));
}

void RpcMethods::serve(std::string method, std::vector<std::string> roles, Transport::UnaryHandler handler) {
  serve_stream(std::move(method), std::move(roles), [handler](Peer peer, RpcStream& stream) {
    return run_unary(handler, std::move(peer), stream);
  });
}

Task<void> RpcMethods::unserve(Loop& loop, std::string method) {
  auto node = methods_.extract(method);
  if (node.empty()) co_return;
  const std::shared_ptr<Method> gone = node.mapped();
  for (RpcStream* call : gone->calls) call->cancel();
  while (!gone->calls.empty()) (void)co_await gone->ended.wait(loop);
}

Task<Result<>> RpcMethods::run(Loop& loop, std::string method, Peer peer, RpcStream& stream) {
  auto it = methods_.find(method);
  if (it == methods_.end()) co_return fail(Code::kUnsupported, "unknown method " + method);
  const std::shared_ptr<Method> entry = it->second;
  const auto may = [&](const std::string& role) {
    return std::ranges::find(entry->roles, role) != entry->roles.end();
  };
  if (!may(peer.role) && !may(""))
    co_return fail(Code::kForbidden,
                   "a " + (peer.role.empty() ? std::string("node without a certificate") : peer.role) +
                       " may not call " + method);
  const auto at = entry->calls.insert(entry->calls.end(), &stream);
  auto result = co_await entry->handler(std::move(peer), stream);
  entry->calls.erase(at);
  if (entry->calls.empty()) entry->ended.notify(loop);
  co_return result;
}

}  // namespace panal
