// Flags with pflag's semantics: --name value, --name=value, -n value, -nvalue, -abc for switches; parsing
// stops at the first positional where asked (`interspersed` off). Unknown flags are errors in Docker's words.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace panal {

struct Flag {
  std::string name;
  char letter = 0;
  bool is_switch = false;
};

struct Args {
  std::map<std::string, std::vector<std::string>> flags;
  std::vector<std::string> words;

  bool has(const std::string& name) const { return flags.contains(name); }
  bool on(const std::string& name) const { return has(name) && flags.at(name).back() != "false"; }
  std::string get(const std::string& name, std::string fallback = {}) const {
    return has(name) ? flags.at(name).back() : fallback;
  }
  const std::vector<std::string>& all(const std::string& name) const;
};

enum class Positionals { kInterspersed, kStopAtFirst };
Result<Args> parse_flags(const std::vector<std::string>& argv, const std::vector<Flag>& known,
                         Positionals positionals = Positionals::kInterspersed);

}  // namespace panal
