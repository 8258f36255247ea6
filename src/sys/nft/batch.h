// Messages to nftables and conntrack: one batch is one transaction of the kernel, all or nothing. Blocking,
// in the calling thread's namespace.
#pragma once
#include <cstdint>
#include <string>

#include "base/fd.h"
#include "sys/netlink/attributes.h"

namespace panal::nft {

enum class Family : uint8_t { kAny = 0, kInet = 1, kIp = 2, kNetdev = 5, kIp6 = 10 };

/// A netlink socket of netfilter's. `groups` are multicast groups to hear, none for requests.
Result<Fd> netfilter_socket(uint32_t groups = 0);

class Batch {
 public:
  Batch();
  /// Adds a message of nftables (NFT_MSG_*); `fill` puts its attributes, at most `room` bytes of them.
  template <class F>
  void add(int type, int flags, Family family, size_t room, F fill) {
    const size_t start = out_.size();
    out_.resize(start + 64 + room);
    nlmsghdr* h = begin(start, type, flags, family);
    fill(h);
    out_.resize(start + MNL_ALIGN(h->nlmsg_len));
  }
  size_t size() const { return count_; }
  struct Refusal {
    Error error;
    size_t message = 0;  // which of the added
  };
  std::expected<void, Refusal> commit();

 private:
  nlmsghdr* begin(size_t at, int type, int flags, Family family);
  void edge(int type);
  std::string out_;
  size_t count_ = 0;
};

/// Did a batch of ours cause this notification? Batches are sent from netlink ports of this range, far from
/// all process ids.
constexpr uint32_t kOurPort = 0x50a00000, kOurPortMask = 0xfff00000;

/// Sends a dump request and hands over each answer.
Result<> dump(int subsystem, int type, Family family, const std::function<void(const nlmsghdr*)>& each);

}  // namespace panal::nft
