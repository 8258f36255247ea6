// A DNS packet from a container: whatever it is, the answer repeats its id and is bounded.
#include "network/dns.h"
#include "fuzz.h"

using namespace panal;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto packet = as_text(data, size);
  const auto q = parse_dns_query(packet);
  const std::string error = dns_error(packet, 1);
  MUST(error.empty() == (size < 12));
  if (!error.empty()) MUST(error.substr(0, 2) == packet.substr(0, 2));
  MUST(dns_udp_room(packet) >= 512 && dns_udp_room(packet) <= 4096);
  for (const size_t room : {size_t{12}, size_t{40}, size_t{512}})
    MUST(dns_cut(std::string(packet), room).size() <= std::max(room, size_t{12}));
  if (!q) return 0;
  MUST(q->name.size() <= 320);
  (void)reverse_name(q->name);
  const std::string answer = dns_answer(packet, {"10.0.0.1", "10.0.0.2"}),
                    ptr = dns_ptr_answer(packet, q->name);
  MUST(answer.substr(0, 2) == packet.substr(0, 2));
  MUST(answer.size() <= size + 32);
  MUST(dns_answer(packet, {}).size() <= size);
  return 0;
}
