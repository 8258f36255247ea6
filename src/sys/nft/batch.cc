#include "sys/nft/batch.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

#include <array>
#include <atomic>

namespace panal::nft {

static const sockaddr_nl kKernel{.nl_family = AF_NETLINK};

Result<Fd> netfilter_socket(uint32_t groups) {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!fd) return fail(sys_error(errno, "netfilter socket"));
  const int size = groups ? 1 << 20 : 16 << 20;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  if (groups) {
    const sockaddr_nl self{.nl_family = AF_NETLINK, .nl_groups = groups};
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&self), sizeof self) != 0)
      return fail(sys_error(errno, "bind", "netfilter socket"));
  }
  return fd;
}

static void put_family(nlmsghdr* h, Family family, uint16_t resource) {
  auto* g = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(h, sizeof(nfgenmsg)));
  g->nfgen_family = static_cast<uint8_t>(family), g->version = NFNETLINK_V0, g->res_id = htons(resource);
}

// Unbound it would be given the process's id, or any number when that is taken.
static void bind_ours(int socket) {
  static std::atomic<uint32_t> next{0};
  for (int tries = 0; tries < 1024; ++tries) {
    const sockaddr_nl self{.nl_family = AF_NETLINK, .nl_pid = kOurPort | (next++ & ~kOurPortMask)};
    if (::bind(socket, reinterpret_cast<const sockaddr*>(&self), sizeof self) == 0) return;
  }
}

Batch::Batch() { edge(NFNL_MSG_BATCH_BEGIN); }

nlmsghdr* Batch::begin(size_t at, int type, int flags, Family family) {
  nlmsghdr* h = mnl_nlmsg_put_header(out_.data() + at);
  h->nlmsg_type = static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type),
  h->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  h->nlmsg_seq = static_cast<uint32_t>(++count_);
  put_family(h, family, 0);
  return h;
}

void Batch::edge(int type) {
  const size_t at = out_.size();
  out_.resize(at + MNL_NLMSG_HDRLEN + sizeof(nfgenmsg));
  nlmsghdr* h = mnl_nlmsg_put_header(out_.data() + at);
  h->nlmsg_type = static_cast<uint16_t>(type), h->nlmsg_flags = NLM_F_REQUEST, h->nlmsg_seq = 0;
  put_family(h, Family::kAny, NFNL_SUBSYS_NFTABLES);
}

std::expected<void, Batch::Refusal> Batch::commit() {
  edge(NFNL_MSG_BATCH_END);
  auto socket = netfilter_socket();
  if (!socket) return std::unexpected(Refusal{socket.error()});
  bind_ours(socket->get());
  if (::sendto(socket->get(), out_.data(), out_.size(), 0, reinterpret_cast<const sockaddr*>(&kKernel),
               sizeof kKernel) < 0)
    return std::unexpected(Refusal{sys_error(errno, "nftables")});
  // The kernel has run the whole batch inside sendto(); what it queued are errors only.
  alignas(8) std::array<char, 65536> answer;
  for (;;) {
    const ssize_t n = ::recv(socket->get(), answer.data(), answer.size(), MSG_DONTWAIT);
    if (n <= 0) return {};
    int left = static_cast<int>(n);
    for (auto* h = reinterpret_cast<nlmsghdr*>(answer.data()); mnl_nlmsg_ok(h, left);
         h = mnl_nlmsg_next(h, &left)) {
      if (h->nlmsg_type != NLMSG_ERROR) continue;
      const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(h));
      if (error->error == 0) continue;
      const uint32_t at = error->msg.nlmsg_seq;
      return std::unexpected(Refusal{sys_error(-error->error, "nftables"), at > 0 ? at - 1 : 0});
    }
  }
}

Result<> dump(int subsystem, int type, Family family, const std::function<void(const nlmsghdr*)>& each) {
  TRY(const Fd socket, netfilter_socket());
  alignas(8) std::array<char, 65536> buffer;
  nlmsghdr* request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = static_cast<uint16_t>(subsystem << 8 | type),
  request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP, request->nlmsg_seq = 1;
  put_family(request, family, 0);
  if (::sendto(socket.get(), request, request->nlmsg_len, 0, reinterpret_cast<const sockaddr*>(&kKernel),
               sizeof kKernel) < 0)
    return fail(sys_error(errno, "netfilter dump"));
  for (;;) {
    const ssize_t n = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (n < 0) return fail(sys_error(errno, "netfilter dump"));
    int left = static_cast<int>(n);
    for (auto* h = reinterpret_cast<nlmsghdr*>(buffer.data()); mnl_nlmsg_ok(h, left);
         h = mnl_nlmsg_next(h, &left)) {
      if (h->nlmsg_type == NLMSG_DONE) return {};
      if (h->nlmsg_type == NLMSG_ERROR) {
        const int error = -static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(h))->error;
        return error == 0 ? Result<>{} : fail(sys_error(error, "netfilter dump"));
      }
      each(h);
    }
  }
}

}  // namespace panal::nft
