// SIGHUP: what of the configuration may change while the daemon runs.
#pragma once
#include "daemon/options.h"

namespace panal {

/// Takes Docker's reloadable settings over; the rest waits for the next start.
void take_reloadable(DaemonOptions& now, const DaemonOptions& fresh);
/// The settings as the event "reload" tells them.
std::map<std::string, std::string> reload_attributes(const DaemonOptions& o);

}  // namespace panal
