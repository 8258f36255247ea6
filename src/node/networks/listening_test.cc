#include "node/networks/listening.h"

#include <doctest/doctest.h>

namespace panal {

TEST_CASE("tables of sockets") {
  const char* table =
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
      "   0: 00000000:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1\n"
      "   1: 0100007F:1F90 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 12346 1\n"
      "  10: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 "
      "1\n";
  CHECK(listening_ports(table) == std::set<uint16_t>{3000, 80});
  CHECK(listening_ports("").empty());
  CHECK(listening_ports("0:\n1: x 0A\n2: :zz 0:0 0A\n3: 0:FFFFF 0:0 0A\n: : : :\n").empty());
}

}  // namespace panal
