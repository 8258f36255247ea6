#include "sys/nft/ruleset.h"

#include <doctest/doctest.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

namespace panal::nft {

static std::string notification(int type, Family family, const std::string& table, uint32_t port) {
  alignas(8) char buffer[256] = {};
  nlmsghdr* h = mnl_nlmsg_put_header(buffer);
  h->nlmsg_type = static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type), h->nlmsg_pid = port;
  static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(h, sizeof(nfgenmsg)))->nfgen_family =
      static_cast<uint8_t>(family);
  mnl_attr_put_strz(h, NFTA_TABLE_NAME, table.c_str());
  return {buffer, MNL_ALIGN(h->nlmsg_len)};
}

TEST_CASE("a change of our table by somebody else is damage, nothing else is") {
  const std::set<TableName> ours{{Family::kInet, "engine"}};
  const auto news = [&](const std::string& text) { return news_in(text, ours); };
  for (const int type : {NFT_MSG_DELTABLE, NFT_MSG_NEWTABLE, NFT_MSG_DELRULE, NFT_MSG_NEWRULE,
                         NFT_MSG_DELSETELEM, NFT_MSG_NEWCHAIN})
    CHECK(news(notification(type, Family::kInet, "engine", 7)).damage);
  CHECK(!news(notification(NFT_MSG_NEWSETELEM, Family::kInet, "engine", kOurPort + 3)).damage);
  CHECK(!news(notification(NFT_MSG_DELTABLE, Family::kIp, "engine", 7)).damage);
  CHECK(!news(notification(NFT_MSG_DELTABLE, Family::kInet, "engine2", 7)).damage);
  CHECK(!news(notification(NFT_MSG_NEWGEN, Family::kInet, "engine", 7)).damage);
  CHECK(!news("").damage);
  const auto foreign = news(notification(NFT_MSG_NEWCHAIN, Family::kIp, "filter", 7));
  CHECK((foreign.chains && !foreign.damage));
  CHECK(!news(notification(NFT_MSG_NEWSETELEM, Family::kIp, "filter", 7)).chains);
  const auto both = news(notification(NFT_MSG_NEWRULE, Family::kIp, "filter", 7) +
                         notification(NFT_MSG_DELTABLE, Family::kInet, "engine", 8));
  CHECK((both.chains && both.damage));
}

TEST_CASE("notifications cut short are read to their end and no further") {
  const std::string whole = notification(NFT_MSG_DELTABLE, Family::kInet, "engine", 7);
  for (size_t size = 0; size < whole.size(); ++size)
    CHECK(!news_in(whole.substr(0, size), {{Family::kInet, "engine"}}).damage);
}

}  // namespace panal::nft
