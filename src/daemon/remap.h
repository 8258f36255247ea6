// userns-remap: from the setting and the host's files to a map.
#pragma once
#include "daemon/options.h"
#include "model/id_map.h"

namespace panal {

/// Empty: containers' users are the host's.
Result<IdMap> remap_of(const DaemonOptions& o);
/// The folder in which the runtime, as a mapped root, finds containers' roots.
Result<> make_mapped_roots(const std::string& dir, const IdMap& ids);

}  // namespace panal
