#include "dockerfile/source.h"

#include <algorithm>
#include <optional>

#include "base/text.h"

namespace panal {

static constexpr size_t kMostText = 4 << 20, kMostLines = 100'000, kMostHeredocs = 64;

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f'; }
static std::string_view trim_left(std::string_view text) {
  while (!text.empty() && blank(text[0])) text.remove_prefix(1);
  return text;
}
static std::string_view trim_right(std::string_view text) {
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}
static Error at(std::string_view name, size_t line, std::string message) {
  return {Code::kInvalid, std::string(name) + ":" + std::to_string(line) + ": " + std::move(message)};
}

// "# escape=`": {key, value}, or nothing when the line is no directive.
static std::optional<std::pair<std::string, std::string>> directive(std::string_view line) {
  line = trim_right(trim_left(line));
  if (!line.starts_with('#')) return std::nullopt;
  line = trim_left(line.substr(1));
  const size_t equals = line.find('=');
  if (equals == std::string_view::npos) return std::nullopt;
  const auto key = trim_right(line.substr(0, equals)), value = trim_left(line.substr(equals + 1));
  if (key.empty() || value.empty() ||
      !std::ranges::all_of(key, [](unsigned char c) { return std::isalnum(c); }) ||
      std::isdigit(static_cast<unsigned char>(key[0])))
    return std::nullopt;
  return std::pair{lower(key), std::string(value)};
}

// Whether the line goes on: it ends in an escape that is not itself escaped. Cuts it off.
static bool continues(std::string_view& line, char escape) {
  const auto end = trim_right(line);
  if (end.empty() || end.back() != escape) return false;
  if (end.size() > 1 && end[end.size() - 2] == escape) return false;
  line = end.substr(0, end.size() - 1);
  return true;
}

// Advances past one word; quotes hold blanks together. The kinds of quote that were seen are added to
// `quotes`.
static size_t word_end(std::string_view text, size_t i, char escape) {
  char quote = 0;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == escape && quote != '\'' && i + 1 < text.size())
      ++i;
    else if (quote)
      quote = c == quote ? 0 : quote;
    else if (c == '"' || c == '\'')
      quote = c;
    else if (blank(c))
      break;
  }
  return i;
}

std::vector<std::string> dockerfile_words(std::string_view text, char escape) {
  std::vector<std::string> out;
  for (size_t i = 0; i < text.size();) {
    if (blank(text[i])) {
      ++i;
      continue;
    }
    const size_t end = word_end(text, i, escape);
    out.emplace_back(text.substr(i, end - i));
    i = end;
  }
  return out;
}

// "3<<-'EOT'": a here-document's beginning. `strip`: tabs at the lines' beginning go.
static std::optional<Heredoc> heredoc_word(const std::string& word, bool& strip) {
  size_t i = 0;
  while (i < word.size() && std::isdigit(static_cast<unsigned char>(word[i]))) ++i;
  if (i > 3 || word.compare(i, 2, "<<") != 0) return std::nullopt;
  Heredoc out;
  out.word = word;
  if (i > 0) out.descriptor = static_cast<int>(*parse_int(word.substr(0, i)));
  i += 2;
  strip = i < word.size() && word[i] == '-';
  if (strip) ++i;
  for (char quote = 0; i < word.size(); ++i) {
    const char c = word[i];
    if (quote ? c == quote : c == '"' || c == '\'')
      quote = quote ? 0 : c, out.expand = false;
    else if (!quote && c == '<')
      return std::nullopt;  // "<<<word" is the shell's
    else if (!quote && c == '\\' && i + 1 < word.size())
      out.name += word[++i], out.expand = false;
    else
      out.name += c;
  }
  if (out.name.empty() || std::ranges::any_of(out.name, [](char c) { return c == '/' || c == '\n'; }))
    return std::nullopt;
  return out;
}

static bool takes_heredocs(const std::vector<std::string>& words) {
  size_t i = 0;
  if (!words.empty() && lower(words[0]) == "onbuild") ++i;
  if (i >= words.size()) return false;
  const std::string name = lower(words[i]);
  // The exec form knows none: its "<<" is an argument.
  return name == "run" || name == "copy" || name == "add";
}

Result<DockerfileSource> read_dockerfile(std::string_view text, std::string_view name) {
  if (text.size() > kMostText) return fail(Code::kInvalid, std::string(name) + " is larger than 4 MiB");
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (text.find('\0') != std::string_view::npos)
    return fail(Code::kInvalid, std::string(name) + ": contains a NUL byte");
  std::vector<std::string_view> raw;
  for (size_t i = 0; i <= text.size();) {
    const size_t end = std::min(text.find('\n', i), text.size());
    raw.push_back(text.substr(i, end - i));
    i = end + 1;
  }
  if (raw.size() > kMostLines) return fail(Code::kInvalid, std::string(name) + " has more than 100000 lines");
  DockerfileSource out;
  size_t i = 0;
  for (std::vector<std::string> seen; i < raw.size(); ++i) {
    const auto found = directive(raw[i]);
    if (!found || (found->first != "escape" && found->first != "syntax" && found->first != "check")) break;
    if (std::ranges::find(seen, found->first) != seen.end())
      return fail(at(name, i + 1, "only one " + found->first + " parser directive can be used"));
    seen.push_back(found->first);
    if (found->first != "escape") continue;
    if (found->second != "\\" && found->second != "`")
      return fail(at(name, i + 1, "invalid ESCAPE '" + found->second + "'. Must be ` or \\"));
    out.escape = found->second[0];
  }
  while (i < raw.size()) {
    SourceLine line;
    line.line = static_cast<int>(i + 1);
    auto piece = trim_left(raw[i++]);
    if (piece.starts_with('#') || trim_right(piece).empty()) continue;
    bool more = continues(piece, out.escape), empty_lines = false;
    line.text = more ? piece : trim_right(piece);
    while (more && i < raw.size()) {
      piece = raw[i++];
      if (trim_left(piece).starts_with('#')) continue;
      if (trim_right(piece).empty()) {
        empty_lines = true;
        continue;
      }
      more = continues(piece, out.escape);
      line.text += more ? piece : trim_right(piece);
    }
    if (empty_lines) out.warnings.push_back("[Warning]: Empty continuation line found in:\n    " + line.text);
    const auto words = dockerfile_words(line.text, out.escape);
    for (size_t w = 0; takes_heredocs(words) && w < words.size(); ++w) {
      bool strip = false;
      auto doc = heredoc_word(words[w], strip);
      if (!doc) continue;
      if (line.heredocs.size() >= kMostHeredocs)
        return fail(at(name, static_cast<size_t>(line.line), "more than 64 heredocs"));
      bool closed = false;
      while (i < raw.size() && !closed) {
        auto content = raw[i++];
        if (strip)
          while (content.starts_with('\t')) content.remove_prefix(1);
        closed = (content.ends_with('\r') ? content.substr(0, content.size() - 1) : content) == doc->name;
        if (!closed) doc->content.append(content).append("\n");
      }
      if (!closed) return fail(at(name, static_cast<size_t>(line.line), "unterminated heredoc"));
      line.heredocs.push_back(std::move(*doc));
    }
    if (!trim(line.text).empty()) out.lines.push_back(std::move(line));
  }
  if (out.lines.empty() && !trim(text).empty()) return fail(Code::kInvalid, "file with no instructions");
  if (out.lines.empty())
    return fail(Code::kInvalid, "the Dockerfile (" + std::string(name) + ") cannot be empty");
  return out;
}

}  // namespace panal
