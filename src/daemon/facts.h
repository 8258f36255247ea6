// What the daemon knows of its machine and says in /info and /version: read once at start.
#pragma once
#include "api/api.h"
#include "daemon/options.h"
#include "engine/devices/device_requests.h"
#include "ports/entropy.h"
#include "sys/loop/asio_loop.h"

namespace panal {

SystemFacts gather_facts(const DaemonOptions& o, Entropy& entropy);
/// Programs of vendors on the PATH, and where CDI specifications are.
DeviceDrivers find_device_drivers(const DaemonOptions& o);
/// The part of the facts that a reload may change.
void take_settings(SystemFacts& facts, const DaemonOptions& o);
/// Read again for each use: it changes with the host's networks. Where systemd-resolved is all there is, its
/// upstream servers count.
ResolvConf host_resolver();
/// Asks the programs beside the daemon what they are, once, when somebody wants to know.
std::function<Task<std::vector<Component>>()> ask_components(AsioLoop& loop);

}  // namespace panal
