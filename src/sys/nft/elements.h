// nftables map and set elements by raw netlink (linux/netfilter/nf_tables.h): one transaction per send, all
// or nothing. Static rules are text (sys/nft/tables.h); nothing else changes at run time. Blocking, in the
// calling thread's namespace.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sys/nft/batch.h"

namespace panal::nft {

/// Raw register content. Concatenated fields are padded to 4 bytes each; addresses, ports and MACs in network
/// order, marks, zones and slots in host order.
class Bytes {
 public:
  Bytes& ip4(const std::string& address);
  Bytes& ip(const std::string& address);  // of either family
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
  static void put_element(nlmsghdr* h, const Item& item);
  std::vector<Item> items_;
};

}  // namespace panal::nft
