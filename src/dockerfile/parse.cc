#include "dockerfile/parse.h"

#include <algorithm>
#include <array>

#include "base/json.h"
#include "base/text.h"

namespace panal {

namespace {

enum class Form {
  kWords,        // ONBUILD's and FROM's: words
  kText,         // the whole rest
  kShellOrExec,  // CMD: text for a shell, or a JSON array
  kWordsOrExec,  // COPY: words, or a JSON array
  kPairs,        // ENV, LABEL
  kArguments     // ARG
};

struct Rule {
  Word word;
  std::string_view name;
  Form form;
  std::vector<std::string_view> flags;
};

const std::array<Rule, 18>& rules() {
  static const std::array<Rule, 18> kRules{{
      {Word::kAdd,
       "ADD",
       Form::kWordsOrExec,
       {"chown", "chmod", "link", "checksum", "keep-git-dir", "exclude", "unpack"}},
      {Word::kArg, "ARG", Form::kArguments, {}},
      {Word::kCmd, "CMD", Form::kShellOrExec, {}},
      {Word::kCopy, "COPY", Form::kWordsOrExec, {"from", "chown", "chmod", "link", "parents", "exclude"}},
      {Word::kEntrypoint, "ENTRYPOINT", Form::kShellOrExec, {}},
      {Word::kEnv, "ENV", Form::kPairs, {}},
      {Word::kExpose, "EXPOSE", Form::kWords, {}},
      {Word::kFrom, "FROM", Form::kWords, {"platform"}},
      {Word::kHealthcheck,
       "HEALTHCHECK",
       Form::kText,
       {"interval", "timeout", "start-period", "start-interval", "retries"}},
      {Word::kLabel, "LABEL", Form::kPairs, {}},
      {Word::kMaintainer, "MAINTAINER", Form::kText, {}},
      {Word::kOnbuild, "ONBUILD", Form::kText, {}},
      {Word::kRun, "RUN", Form::kShellOrExec, {"mount", "network", "security"}},
      {Word::kShell, "SHELL", Form::kShellOrExec, {}},
      {Word::kStopsignal, "STOPSIGNAL", Form::kText, {}},
      {Word::kUser, "USER", Form::kText, {}},
      {Word::kVolume, "VOLUME", Form::kWordsOrExec, {}},
      {Word::kWorkdir, "WORKDIR", Form::kText, {}},
  }};
  return kRules;
}

// How many letters differ: insertions, deletions, replacements.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t corner = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, corner + (a[i - 1] == b[j - 1] ? 0 : 1)});
      corner = above;
    }
  }
  return row.back();
}

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

std::string nearest(const std::string& name) {
  if (name.empty() || name.size() > 32) return "";
  const auto far = [&](const Rule& rule) {
    return std::pair{distance(name, rule.name), rule.name[0] != name[0]};
  };
  const Rule* best = &*std::ranges::min_element(rules(), {}, far);
  return distance(name, best->name) <= 2 ? " (did you mean " + std::string(best->name) + "?)" : "";
}

bool blank(char c) { return c == ' ' || c == '\t'; }

std::string_view next_word(std::string_view& text) {
  while (!text.empty() && blank(text[0])) text.remove_prefix(1);
  size_t end = 0;
  while (end < text.size() && !blank(text[end])) ++end;
  const auto out = text.substr(0, end);
  text.remove_prefix(end);
  while (!text.empty() && blank(text[0])) text.remove_prefix(1);
  return out;
}

// A JSON array of strings; nothing when it is none, which makes it shell form.
std::optional<std::vector<std::string>> json_strings(std::string_view text) {
  text = trim(text);
  if (!text.starts_with('[') || !text.ends_with(']')) return std::nullopt;
  const auto parsed = parse_json(text);
  if (!parsed || !parsed->is_array()) return std::nullopt;
  std::vector<std::string> out;
  for (const auto& item : parsed->get_array()) {
    if (!item.is_string()) return std::nullopt;
    out.emplace_back(item.get_string());
  }
  return out;
}

using Parsed = Result<>;
Error bad(std::string message) { return {Code::kInvalid, std::move(message)}; }

// ENV and LABEL: "a=b c=d", or the old "a b with blanks".
Parsed take_pairs(Instruction& in, const std::string& name, char escape) {
  const auto words = dockerfile_words(in.rest, escape);
  if (words.empty()) return fail(bad(name + " requires at least one argument"));
  if (words[0].find('=') == std::string::npos) {
    std::string_view rest = in.rest;
    const std::string key(next_word(rest));
    if (rest.empty()) return fail(bad(name + " must have two arguments"));
    in.pairs.emplace_back(key, std::string(rest));
    return {};
  }
  for (const auto& word : words) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos)
      return fail(bad("Syntax error - can't find = in \"" + word + "\". Must be of the form: name=value"));
    if (equals == 0) return fail(bad(name + " names can not be blank"));
    in.pairs.emplace_back(word.substr(0, equals), word.substr(equals + 1));
  }
  return {};
}

Parsed take_arguments(Instruction& in, char escape) {
  for (const auto& word : dockerfile_words(in.rest, escape)) {
    const size_t equals = word.find('=');
    if (equals == 0) return fail(bad("ARG names can not be blank"));
    in.pairs.emplace_back(word.substr(0, equals), equals == std::string::npos ? "" : word.substr(equals + 1));
    in.has_value.push_back(equals != std::string::npos);
  }
  if (in.pairs.empty()) return fail(bad("ARG requires at least one argument"));
  return {};
}

Parsed check_healthcheck(Instruction& in) {
  std::string_view rest = in.rest;
  const std::string kind = upper(std::string(next_word(rest)));
  if (kind.empty()) return fail(bad("HEALTHCHECK requires at least one argument"));
  if (kind == "NONE") {
    if (!rest.empty()) return fail(bad("HEALTHCHECK NONE takes no arguments"));
    in.args = {"NONE"};
    return {};
  }
  if (kind != "CMD") return fail(bad("Unknown type \"" + kind + "\" in HEALTHCHECK (try CMD)"));
  if (rest.empty()) return fail(bad("Missing command after HEALTHCHECK CMD"));
  if (auto list = json_strings(rest)) {
    in.args = std::move(*list), in.exec_form = true;
    in.args.insert(in.args.begin(), "CMD");
  } else {
    in.args = {"CMD-SHELL", std::string(rest)};
  }
  return {};
}

Parsed check_onbuild(const Instruction& in, std::string_view name, char escape) {
  std::string_view rest = in.rest;
  const std::string trigger = upper(std::string(next_word(rest)));
  if (trigger.empty()) return fail(bad("ONBUILD requires at least one argument"));
  if (trigger == "ONBUILD") return fail(bad("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"));
  if (trigger == "FROM" || trigger == "MAINTAINER")
    return fail(bad(trigger + " isn't allowed as an ONBUILD trigger"));
  SourceLine line;
  line.line = in.line, line.text = in.rest, line.heredocs = in.heredocs;
  TRYV(parse_instruction(line, escape, name));
  return {};
}

Parsed check(Instruction& in, const Rule& rule, std::string_view name, char escape) {
  const std::string word(rule.name);
  const auto one = [&]() -> Parsed {
    if (in.rest.empty()) return fail(bad(word + " requires exactly one argument"));
    in.args = {in.rest};
    return {};
  };
  switch (in.word) {
    case Word::kFrom:
      if (in.args.size() != 1 && !(in.args.size() == 3 && lower(in.args[1]) == "as"))
        return fail(bad("FROM requires either one or three arguments"));
      return {};
    case Word::kAdd:
    case Word::kCopy:
      if (in.args.empty())
        return fail(bad(word + " requires at least two arguments, but no arguments were provided. Source "
                               "could not be determined."));
      if (in.args.size() == 1)
        return fail(bad(word + " requires at least two arguments, but only one was provided. Destination "
                               "could not be determined."));
      return {};
    case Word::kRun:
    case Word::kCmd:
    case Word::kEntrypoint:
      if (in.word == Word::kRun && in.rest.empty()) return fail(bad("RUN requires at least one argument"));
      return {};
    case Word::kShell:
      if (!in.exec_form) return fail(bad("SHELL requires the arguments to be in JSON form"));
      if (in.args.empty()) return fail(bad("SHELL requires at least one argument"));
      return {};
    case Word::kExpose:
    case Word::kVolume:
      if (in.args.empty()) return fail(bad(word + " requires at least one argument"));
      if (std::ranges::find(in.args, "") != in.args.end())
        return fail(bad(word + " specified can not be an empty string"));
      return {};
    case Word::kHealthcheck:
      return check_healthcheck(in);
    case Word::kOnbuild:
      return check_onbuild(in, name, escape);
    case Word::kMaintainer:
    case Word::kUser:
    case Word::kWorkdir:
    case Word::kStopsignal:
      return one();
    case Word::kArg:
    case Word::kEnv:
    case Word::kLabel:
      return {};
  }
  return {};
}

Result<Instruction> parse_one(const SourceLine& line, char escape, std::string_view name) {
  Instruction in;
  in.line = line.line, in.heredocs = line.heredocs;
  std::string_view rest = line.text;
  const std::string written(next_word(rest)), word = upper(written);
  const auto rule = std::ranges::find(rules(), std::string_view(word), &Rule::name);
  if (rule == rules().end())
    return fail(bad("unknown instruction: " + written.substr(0, 128) + nearest(word)));
  in.word = rule->word, in.text = word + (rest.empty() ? "" : " " + std::string(rest));
  while (rest.starts_with("--") && !rule->flags.empty()) {
    const auto words = dockerfile_words(rest, escape);
    const std::string& flag = words[0];
    if (flag == "--") {
      (void)next_word(rest);
      break;
    }
    const size_t equals = flag.find('=');
    const std::string key = flag.substr(2, equals == std::string::npos ? equals : equals - 2);
    if (std::ranges::find(rule->flags, std::string_view(key)) == rule->flags.end())
      return fail(bad("unknown flag: --" + key));
    const bool switch_flag = key == "link" || key == "parents" || key == "keep-git-dir" || key == "unpack";
    if (equals == std::string::npos && !switch_flag) return fail(bad("missing a value on flag: " + key));
    if (key != "mount" && key != "exclude" && !in.flag(key).empty())
      return fail(bad("duplicate flag specified: " + key));
    in.flags.emplace_back(key, equals == std::string::npos ? "true" : flag.substr(equals + 1));
    rest.remove_prefix(flag.size());
    while (!rest.empty() && blank(rest[0])) rest.remove_prefix(1);
  }
  in.rest = rest;
  switch (rule->form) {
    case Form::kPairs:
      TRYV(take_pairs(in, word, escape));
      break;
    case Form::kArguments:
      TRYV(take_arguments(in, escape));
      break;
    case Form::kText:
      break;
    case Form::kShellOrExec:
    case Form::kWordsOrExec:
      if (auto list = json_strings(rest); list && in.heredocs.empty()) {
        in.args = std::move(*list), in.exec_form = true;
        break;
      }
      if (rule->form == Form::kShellOrExec)
        in.args = {in.rest};
      else
        in.args = dockerfile_words(rest, escape);
      break;
    case Form::kWords:
      in.args = dockerfile_words(rest, escape);
      break;
  }
  TRYV(check(in, *rule, name, escape));
  return in;
}

bool valid_stage_name(const std::string& name) {
  if (name.empty() || !std::islower(static_cast<unsigned char>(name[0]))) return false;
  return std::ranges::all_of(name, [](unsigned char c) {
    return std::islower(c) || std::isdigit(c) || c == '-' || c == '_' || c == '.';
  });
}

}  // namespace

std::string Instruction::flag(std::string_view name) const {
  for (auto it = flags.rbegin(); it != flags.rend(); ++it)
    if (it->first == name) return it->second;
  return "";
}

std::string_view word_name(Word word) { return std::ranges::find(rules(), word, &Rule::word)->name; }

Result<Instruction> parse_instruction(const SourceLine& line, char escape, std::string_view name) {
  auto in = parse_one(line, escape, name);
  const std::string place = std::string(name) + ":" + std::to_string(line.line);
  if (!in && !in.error().message.starts_with(place)) return fail(wrap(place, in.error()));
  return in;
}

Result<Dockerfile> parse_dockerfile(std::string_view text, std::string_view name) {
  TRY(auto source, read_dockerfile(text, name));
  Dockerfile out;
  out.escape = source.escape, out.warnings = std::move(source.warnings);
  for (const auto& line : source.lines) {
    TRY(auto in, parse_instruction(line, out.escape, name));
    const auto at = [&](std::string message) {
      return fail(bad(std::string(name) + ":" + std::to_string(in.line) + ": " + std::move(message)));
    };
    if (in.word == Word::kFrom) {
      Stage stage;
      stage.base = in.args[0];
      if (in.args.size() == 3) {
        stage.name = lower(in.args[2]);
        if (!valid_stage_name(stage.name))
          return at("invalid name for build stage: \"" + in.args[2] +
                    "\", name can't start with a number or contain symbols");
        for (const auto& other : out.stages)
          if (other.name == stage.name) return at("duplicate name " + stage.name);
      }
      stage.from = std::move(in);
      out.stages.push_back(std::move(stage));
    } else if (!out.stages.empty()) {
      out.stages.back().steps.push_back(std::move(in));
    } else if (in.word == Word::kArg) {
      out.arguments.push_back(std::move(in));
    } else {
      return at("no build stage in current context");
    }
  }
  if (out.stages.empty()) return fail(bad(std::string(name) + ": no build stage in current context"));
  return out;
}

}  // namespace panal
