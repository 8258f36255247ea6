#include "network/resolv_conf.h"

#include <algorithm>

#include "base/text.h"

namespace panal {

static std::vector<std::string> words(std::string_view line) {
  std::vector<std::string> out;
  std::string word;
  for (const char c : std::string(line) + ' ') {
    if (c != ' ' && c != '\t')
      word += c;
    else if (!word.empty())
      out.push_back(std::exchange(word, {}));
  }
  return out;
}

ResolvConf parse_resolv_conf(std::string_view text) {
  ResolvConf out;
  for (const auto& line : split(text, '\n')) {
    auto parts = words(std::string_view(line).substr(0, line.find_first_of("#;")));
    if (parts.size() < 2) continue;
    const std::string key = parts[0];
    parts.erase(parts.begin());
    if (key == "nameserver")
      out.servers.push_back(parts[0]);
    else if (key == "search" || key == "domain")
      out.search = parts;
    else if (key == "options")
      out.options.insert(out.options.end(), parts.begin(), parts.end());
  }
  return out;
}

std::vector<std::string> beyond_loopback(const std::vector<std::string>& servers) {
  std::vector<std::string> out;
  for (const auto& s : servers)
    if (!s.starts_with("127.") && s != "::1" && !s.starts_with("::1%")) out.push_back(s);
  return out;
}

std::string container_resolv_conf(const ResolvConf& host, const ResolvWish& daemon,
                                  const ResolvWish& container, bool own_names) {
  const auto first_given = [](const auto& a, const auto& b, const auto& c) {
    return !a.empty() ? a : !b.empty() ? b : c;
  };
  std::string out;
  if (own_names)
    out += "nameserver 127.0.0.11\n";
  else
    for (const auto& server : first_given(container.servers, daemon.servers, beyond_loopback(host.servers)))
      out += "nameserver " + server + "\n";
  auto search = first_given(container.search, daemon.search, host.search);
  if (search.size() == 1 && search[0] == ".") search.clear();  // as asked: none
  if (!search.empty()) out += "search " + join(search, " ") + "\n";
  auto options = first_given(container.options, daemon.options, host.options);
  if (own_names &&
      std::ranges::none_of(options, [](const std::string& o) { return o.starts_with("ndots:"); }))
    options.push_back("ndots:0");
  if (!options.empty()) out += "options " + join(options, " ") + "\n";
  return out;
}

}  // namespace panal
