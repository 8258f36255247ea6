// Addresses and ports of the cluster: networks' subnets, services' VIPs and published ports, tasks'
// addresses, nodes' places in the mesh. Nothing is given twice while its holder lives; what is free again is
// found by looking, never by counting. Pure.
#pragma once
#include "swarm/draft.h"

namespace panal {

constexpr const char* kIngressName = "ingress";
constexpr uint32_t kFirstVni = 4097, kFirstIngressPort = 30000, kLastIngressPort = 32767;

/// Allocates what is missing. A task or service that cannot get what it needs keeps waiting and says why.
void allocate(Draft& draft);

/// A subnet for a new overlay network, or the reason against the wished one.
Result<> choose_overlay_subnet(const Store& store, ClusterNetwork& network);
bool uses_ingress(const ServiceSpec& spec);

}  // namespace panal
