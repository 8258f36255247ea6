// Images between nodes: whoever has one hands it to whoever misses it, over the cluster's mutual TLS,
// verified by digest.
#pragma once
#include "node/images/images.h"
#include "ports/http_client.h"
#include "ports/transport.h"

namespace panal {

class ImagePeers {
 public:
  ImagePeers(Loop& loop, Transport& transport, Images& images, Layers& layers)
      : loop_(loop), transport_(transport), images_(images), layers_(layers) {}
  void serve();
  /// Addresses ("192.0.2.2:7946") of the other nodes, as the manager tells them.
  void set_peers(std::vector<std::string> peers) { peers_ = std::move(peers); }

  /// Makes `reference` available on this node: what it has, what the peers have, what a registry has. "No
  /// such image" names who was asked. `registry_auth`: an X-Registry-Auth header.
  Task<Result<std::string>> ensure(std::string reference, std::string registry_auth,
                                   std::shared_ptr<Halt> halt);
  /// Set by the composition root: fetches from the registry.
  std::function<Task<Result<std::string>>(std::string reference, std::string registry_auth,
                                          std::shared_ptr<Halt> halt)>
      pull;
  /// Manifest digest and platform of a reference, here or at a peer; for /distribution.
  struct Found {
    std::string manifest, config, index, address;  // address empty: here
    bool from_registry = false;
    /// Of the index, where it was chosen from one.
    const std::string& top() const { return index.empty() ? manifest : index; }
  };
  Task<Result<Found>> find(std::string reference);

 private:
  Task<Result<std::string>> fetch(ImageRef ref, Found found, std::shared_ptr<Halt> halt);
  Result<> check(const ImageRef& ref, const Found& found) const;
  Task<Result<std::string>> on_find(Peer peer, std::string request);
  Task<Result<>> on_blob(Peer peer, RpcStream& stream);
  Task<Result<>> fetch_blobs(ImageRef ref, Found found, std::vector<std::string> layers,
                             std::shared_ptr<Halt> halt);
  Task<Result<>> fetch_blob(std::string address, std::string digest, std::shared_ptr<Halt> halt);
  Task<Result<>> fetch_from_any(std::vector<std::string> addresses, std::string digest,
                                std::shared_ptr<Halt> halt);

  Loop& loop_;
  Transport& transport_;
  Images& images_;
  Layers& layers_;
  std::vector<std::string> peers_;
  std::map<std::string, std::shared_ptr<Event>> fetching_;  // digests under way
};

}  // namespace panal
