#include "cli/flags.h"

#include <algorithm>

namespace panal {

const std::vector<std::string>& Args::all(const std::string& name) const {
  static const std::vector<std::string> kNone;
  auto it = flags.find(name);
  return it == flags.end() ? kNone : it->second;
}

Result<Args> parse_flags(const std::vector<std::string>& argv, const std::vector<Flag>& known,
                         Positionals positionals) {
  Args out;
  for (size_t i = 0; i < argv.size(); ++i) {
    const std::string& word = argv[i];
    if (word == "--") {
      out.words.insert(out.words.end(), argv.begin() + static_cast<long>(i) + 1, argv.end());
      break;
    }
    if (word.starts_with("--")) {
      const size_t equals = word.find('=');
      const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
      const auto flag = std::ranges::find(known, name, &Flag::name);
      if (flag == known.end()) return fail(Code::kInvalid, "unknown flag: --" + name);
      if (equals != std::string::npos)
        out.flags[name].push_back(word.substr(equals + 1));
      else if (flag->is_switch)
        out.flags[name].push_back("true");
      else if (i + 1 < argv.size())
        out.flags[name].push_back(argv[++i]);
      else
        return fail(Code::kInvalid, "flag needs an argument: --" + name);
    } else if (word.size() > 1 && word[0] == '-') {
      for (size_t k = 1; k < word.size(); ++k) {
        const auto flag = std::ranges::find(known, word[k], &Flag::letter);
        if (flag == known.end())
          return fail(Code::kInvalid, std::string("unknown shorthand flag: '") + word[k] + "' in " + word);
        if (flag->is_switch) {
          out.flags[flag->name].push_back("true");
          continue;
        }
        std::string value = word.substr(k + 1);
        if (value.starts_with('='))
          value = value.substr(1);
        else if (value.empty()) {
          if (i + 1 >= argv.size())
            return fail(Code::kInvalid, std::string("flag needs an argument: '") + word[k] + "' in " + word);
          value = argv[++i];
        }
        out.flags[flag->name].push_back(value);
        break;
      }
    } else {
      out.words.push_back(word);
      if (positionals == Positionals::kStopAtFirst) {
        out.words.insert(out.words.end(), argv.begin() + static_cast<long>(i) + 1, argv.end());
        break;
      }
    }
  }
  return out;
}

}  // namespace panal
