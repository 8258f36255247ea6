#include "engine/top.h"

#include <algorithm>

#include "base/text.h"

namespace panal {

static std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> out;
  constexpr std::string_view kBlank = " \t\r\f\n";
  for (size_t at = line.find_first_not_of(kBlank); at != std::string_view::npos;) {
    const size_t end = std::min(line.find_first_of(kBlank, at), line.size());
    out.emplace_back(line.substr(at, end - at));
    at = line.find_first_not_of(kBlank, end);
  }
  return out;
}

Result<std::vector<std::string>> ps_words(const std::string& ps_args) {
  if (ps_args.size() > 4096) return fail(Code::kInvalid, "ps: too many arguments");
  std::vector<std::string> words = words_of(ps_args);
  if (words.empty()) words.push_back("-ef");
  for (size_t i = 0; i < words.size(); ++i) {
    const size_t equals = words[i].find('=');
    if (i == 0 || equals == std::string::npos) continue;
    const std::string column = words[i].substr(0, equals);
    const std::string title = equals + 1 < words[i].size() ? words[i].substr(equals + 1)
                              : i + 1 < words.size()       ? words[i + 1]
                                                           : "";
    if (title.starts_with("PID") && column != "pid")
      return fail(Code::kInvalid, "specifying \"" + column + "=" + title + "\" is not allowed");
  }
  return words;
}

Result<ProcessTable> parse_ps(const std::string& output, const std::set<int>& pids) {
  ProcessTable table;
  const auto lines = split(output, '\n');
  table.titles = words_of(lines[0]);
  const auto title = std::ranges::find(table.titles, "PID");
  if (title == table.titles.end()) return fail(Code::kInternal, "Couldn't find PID field in ps output");
  const auto column = static_cast<size_t>(title - table.titles.begin());
  bool ours = false;
  for (size_t i = 1; i < lines.size(); ++i) {
    auto words = words_of(lines[i]);
    if (words.size() <= column) continue;
    if (words[column] != "-") {
      const auto pid = parse_int(words[column]);
      if (!pid)
        return fail(Code::kInternal, "Unexpected pid '" + words[column] + "': strconv.Atoi: parsing \"" +
                                         words[column] + "\": invalid syntax");
      ours = pids.contains(static_cast<int>(*pid));
    }
    if (!ours) continue;
    while (words.size() > table.titles.size()) {  // the command has blanks
      words[words.size() - 2] += " " + words.back();
      words.pop_back();
    }
    table.rows.push_back(std::move(words));
  }
  return table;
}

}  // namespace panal
