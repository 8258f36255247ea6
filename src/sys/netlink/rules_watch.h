// What a guarded set of tables is known by; part of LinuxNetwork.
#pragma once
#include "sys/netlink/linux_network.h"

namespace panal {

struct LinuxNetwork::RulesWatch {
  RulesWatch(AsioLoop& loop, Fd socket, std::string ns, std::set<nft::TableName> t, Repair r)
      : fd(loop, std::move(socket)), ns_path(std::move(ns)), tables(std::move(t)), repair(std::move(r)) {}
  AsyncFd fd;
  std::string ns_path;
  std::set<nft::TableName> tables;
  Repair repair;
  int loading = 0;  // our own nft runs: what it changes is no damage
};

}  // namespace panal
