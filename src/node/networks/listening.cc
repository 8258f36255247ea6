#include "node/networks/listening.h"

#include <algorithm>
#include <charconv>

#include "base/fd.h"
#include "base/text.h"

namespace panal {

// "   0: 00000000:0BB8 00000000:0000 0A ...": number, local and remote address in hex, state (0A: listens).
std::set<uint16_t> listening_ports(std::string_view table) {
  std::set<uint16_t> out;
  for (const auto& line : split(table, '\n')) {
    std::string_view rest = trim(line);
    const auto word = [&rest] {
      const std::string_view found = rest.substr(0, rest.find(' '));
      rest = trim(rest.substr(found.size()));
      return found;
    };
    (void)word();
    const std::string_view local = word();
    (void)word();
    const size_t colon = local.find(':');
    if (word() != "0A" || colon == std::string_view::npos) continue;
    const std::string_view port = local.substr(colon + 1);
    uint16_t number = 0;
    if (std::from_chars(port.data(), port.data() + port.size(), number, 16).ec == std::errc())
      out.insert(number);
  }
  return out;
}

bool listens_on(int pid, const std::set<uint16_t>& ports) {
  if (ports.empty()) return true;
  std::set<uint16_t> found;
  for (const char* table : {"/net/tcp", "/net/tcp6"})
    if (const auto text = read_file("/proc/" + std::to_string(pid) + table))
      found.merge(listening_ports(*text));
  return std::ranges::includes(found, ports);
}

}  // namespace panal
