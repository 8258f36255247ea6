// What may not be true of the store whatever two users ask for at the same time: names given twice, ports
// published twice, a swarm without a manager. The API asks these rules early for a clear refusal; apply()
// asks them again, where nothing can come between.
#pragma once
#include "store/store.h"

namespace panal {

/// Is the change a user asks for in keeping with what is stored?
Result<> admits(const Store& store, const Change& change);
/// Ports that another service has published already, in SwarmKit's words.
Result<> check_ports(const Store& store, const std::string& service_id, const std::vector<PortConfig>& ports);
/// The object changed since it was read.
std::unexpected<Error> out_of_sequence();

}  // namespace panal
