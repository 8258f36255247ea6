// Plain containers on attachable overlay networks: a node asks the leader for a place, which is a task
// without a service in the replicated state. It has its address from the cluster's allocator, stands in the
// endpoint tables, and goes when its node says that the container is gone, or with the node. Include in .cc
// files only.
#pragma once
#include "model/cluster_json.h"

namespace panal {

constexpr const char* kAttachMethod = "/panal.Manager/Attach";

struct AttachRequest {
  std::string id;  // chosen by the asker, so that asking again is the same wish
  std::string network, container_id, name, address;
  std::vector<std::string> aliases;
};
template <class A>
void fields(A& a, AttachRequest& r) {
  a("ID", r.id), a("Network", r.network), a("Container", r.container_id), a("Name", r.name),
      a.opt("Address", r.address), a.opt("Aliases", r.aliases);
}

struct AttachReply {
  ClusterNetwork network;
  std::string address;  // CIDR
};
template <class A>
void fields(A& a, AttachReply& r) {
  a("Network", r.network), a("Address", r.address);
}

}  // namespace panal
