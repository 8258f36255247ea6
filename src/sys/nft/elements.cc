#include "sys/nft/elements.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <array>

namespace panal::nft {

Bytes& Bytes::ip4(const std::string& address) {
  in_addr a{};
  ::inet_pton(AF_INET, address.c_str(), &a);
  data_.append(reinterpret_cast<const char*>(&a), 4);
  return *this;
}
Bytes& Bytes::ip(const std::string& address) {
  if (address.find(':') == std::string::npos) return ip4(address);
  in6_addr a{};
  ::inet_pton(AF_INET6, address.c_str(), &a);
  data_.append(reinterpret_cast<const char*>(&a), 16);
  return *this;
}
Bytes& Bytes::port(uint16_t port) {
  const uint16_t n = htons(port);
  data_.append(reinterpret_cast<const char*>(&n), 2);
  return *this;
}
Bytes& Bytes::protocol(const std::string& name) {
  data_ += static_cast<char>(name == "udp" ? IPPROTO_UDP : name == "sctp" ? IPPROTO_SCTP : IPPROTO_TCP);
  return *this;
}
Bytes& Bytes::u32(uint32_t v) {
  data_.append(reinterpret_cast<const char*>(&v), 4);
  return *this;
}
Bytes& Bytes::u16(uint16_t v) {
  data_.append(reinterpret_cast<const char*>(&v), 2);
  return *this;
}
Bytes& Bytes::mac(const std::string& text) {
  std::array<uint8_t, 6> b{};
  std::sscanf(text.c_str(), "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]);
  data_.append(reinterpret_cast<const char*>(b.data()), 6);
  return *this;
}
Bytes& Bytes::ifname(const std::string& name) {
  std::string field = name.substr(0, 15);
  field.resize(16, '\0');
  data_ += field;
  return *this;
}
Bytes& Bytes::pad() {
  data_.resize((data_.size() + 3) / 4 * 4, '\0');
  return *this;
}

void Transaction::add(Family family, std::string table, std::string set, std::string key, std::string data) {
  items_.push_back(
      {Item::Kind::kAdd, family, std::move(table), std::move(set), std::move(key), std::move(data), {}});
}
void Transaction::add_goto(Family family, std::string table, std::string map, std::string key,
                           std::string chain) {
  items_.push_back(
      {Item::Kind::kAdd, family, std::move(table), std::move(map), std::move(key), {}, std::move(chain)});
}
void Transaction::remove(Family family, std::string table, std::string set, std::string key) {
  items_.push_back({Item::Kind::kRemove, family, std::move(table), std::move(set), std::move(key), {}, {}});
}
void Transaction::flush(Family family, std::string table, std::string set) {
  items_.push_back({Item::Kind::kFlush, family, std::move(table), std::move(set), {}, {}, {}});
}

void Transaction::put_element(nlmsghdr* h, const Item& item) {
  nlattr* list = mnl_attr_nest_start(h, NFTA_SET_ELEM_LIST_ELEMENTS);
  nlattr* element = mnl_attr_nest_start(h, NFTA_LIST_ELEM);
  nlattr* key = mnl_attr_nest_start(h, NFTA_SET_ELEM_KEY);
  mnl_attr_put(h, NFTA_DATA_VALUE, item.key.size(), item.key.data());
  mnl_attr_nest_end(h, key);
  if (!item.data.empty() || !item.chain.empty()) {
    nlattr* data = mnl_attr_nest_start(h, NFTA_SET_ELEM_DATA);
    if (item.chain.empty()) {
      mnl_attr_put(h, NFTA_DATA_VALUE, item.data.size(), item.data.data());
    } else {
      nlattr* verdict = mnl_attr_nest_start(h, NFTA_DATA_VERDICT);
      mnl_attr_put_u32(h, NFTA_VERDICT_CODE, htonl(static_cast<uint32_t>(NFT_GOTO)));
      mnl_attr_put_strz(h, NFTA_VERDICT_CHAIN, item.chain.c_str());
      mnl_attr_nest_end(h, verdict);
    }
    mnl_attr_nest_end(h, data);
  }
  mnl_attr_nest_end(h, element);
  mnl_attr_nest_end(h, list);
}

Result<> Transaction::commit() {
  if (items_.empty()) return {};
  Batch batch;
  for (const auto& item : items_) {
    const bool adding = item.kind == Item::Kind::kAdd;
    batch.add(adding ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM, adding ? NLM_F_CREATE : 0, item.family,
              448 + item.key.size() + item.data.size(), [&](nlmsghdr* h) {
                mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, item.table.c_str());
                mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, item.set.c_str());
                if (item.kind != Item::Kind::kFlush) put_element(h, item);
              });
  }
  if (auto done = batch.commit(); !done) {
    const size_t at = done.error().message;
    return fail(at < items_.size() ? wrap(items_[at].table + "." + items_[at].set, done.error().error)
                                   : done.error().error);
  }
  return {};
}

}  // namespace panal::nft
