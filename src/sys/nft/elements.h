// nftables map and set elements by raw netlink (linux/netfilter/nf_tables.h): one transaction per send, all or nothing.
// Static rules are text (sys/nft/tables.h); nothing else changes at run time. Blocking, in the calling thread's namespace.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace panal::nft {

enum class Family : uint8_t { kInet = 1, kIp = 2, kNetdev = 5, kIp6 = 10 };

/// Raw register content. Concatenated fields are padded to 4 bytes each; addresses, ports and MACs in network order, marks, zones and
/// slots in host order.
class Bytes {
 public:
  Bytes& ip4(const std::string& address);
  Bytes& port(uint16_t port);
  Bytes& protocol(const std::string& name);  // tcp, udp
  Bytes& u32(uint32_t host_order);
  Bytes& u16(uint16_t host_order);
  Bytes& mac(const std::string& text);
  Bytes& ifname(const std::string& name);
  /// Pads the last field; call between the fields of a concatenation and after its last one.
  Bytes& pad();
  const std::string& data() const { return data_; }

 private:
  std::string data_;
};

class Transaction {
 public:
  void add(Family family, std::string table, std::string set, std::string key, std::string data = {});
  void add_goto(Family family, std::string table, std::string map, std::string key, std::string chain);
  void remove(Family family, std::string table, std::string set, std::string key);
  void flush(Family family, std::string table, std::string set);
  bool empty() const { return items_.empty(); }
  Result<> commit();

 private:
  struct Item {
    enum class Kind { kAdd, kRemove, kFlush } kind;
    Family family;
    std::string table, set, key, data, chain;
  };
  std::vector<Item> items_;
};

/// False when there is no such table.
bool table_exists(Family family, const std::string& table);

/// Forgets conntrack entries whose replies come from `address`: UDP and unanswered ones, or all.
Result<> purge_conntrack(const std::string& address, bool all);

}  // namespace panal::nft
