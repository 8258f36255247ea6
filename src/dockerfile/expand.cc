#include "dockerfile/expand.h"

#include "base/text.h"

namespace panal {

static constexpr size_t kMostExpanded = 1 << 20;
static constexpr int kDeepest = 32;

static bool name_char(char c, bool first) {
  return c == '_' || std::isalpha(static_cast<unsigned char>(c)) ||
         (!first && std::isdigit(static_cast<unsigned char>(c)));
}
static Error bad(std::string message) { return {Code::kInvalid, std::move(message)}; }

// Shell patterns of ${name#pattern} and ${name/pattern/text}: * and ?, a backslash keeps the next.
static bool pattern_match(std::string_view pattern, std::string_view text) {
  const auto is_star = [&](size_t p) { return pattern[p] == '*'; };
  const auto step = [&](size_t p, size_t t) -> size_t {
    if (pattern[p] == '\\') return p + 1 < pattern.size() && pattern[p + 1] == text[t] ? 2 : 0;
    return pattern[p] == '?' || pattern[p] == text[t];
  };
  return match_with_stars(pattern.size(), text.size(), is_star, step);
}

static std::string cut_front(const std::string& value, const std::string& pattern, bool longest) {
  for (size_t k = 0; k <= value.size(); ++k) {
    const size_t length = longest ? value.size() - k : k;
    if (pattern_match(pattern, std::string_view(value).substr(0, length))) return value.substr(length);
  }
  return value;
}
static std::string cut_back(const std::string& value, const std::string& pattern, bool longest) {
  for (size_t k = 0; k <= value.size(); ++k) {
    const size_t length = longest ? value.size() - k : k;
    if (pattern_match(pattern, std::string_view(value).substr(value.size() - length)))
      return value.substr(0, value.size() - length);
  }
  return value;
}
// The longest match at the first place where there is one; with `all` also after it.
static std::string replaced(const std::string& value, const std::string& pattern, const std::string& text,
                            bool all) {
  std::string out;
  for (size_t i = 0; i < value.size();) {
    size_t length = value.size() - i;
    while (length > 0 && !pattern_match(pattern, std::string_view(value).substr(i, length))) --length;
    if (length == 0) {
      out += value[i++];
      continue;
    }
    out += text, i += length;
    if (!all) return out + value.substr(i);
  }
  return out;
}

namespace {

class Expander {
 public:
  Expander(std::string_view text, char escape, const Variables& variables, bool quotes)
      : text_(text), escape_(escape), variables_(variables), quotes_(quotes) {}

  Result<> run(char until = 0) {
    while (i_ < text_.size() && text_[i_] != until) {
      const char c = text_[i_];
      if (quotes_ && c == '\'') {
        TRYV(single());
      } else if (quotes_ && c == '"') {
        TRYV(doubled());
      } else if (c == '$') {
        TRYV(dollar(false));
      } else if (c == escape_ &&
                 (quotes_ || (i_ + 1 < text_.size() && (text_[i_ + 1] == '$' || text_[i_ + 1] == escape_)))) {
        if (++i_ < text_.size()) put(text_[i_++]);  // as the last character it is dropped
      } else {
        split_or_put(c);
        ++i_;
      }
      if (whole_.size() > kMostExpanded) return fail(bad("a word becomes longer than 1 MiB"));
    }
    return {};
  }
  std::string whole() const { return whole_; }
  std::vector<std::string> words() {
    end_word();
    return std::move(words_);
  }
  size_t position() const { return i_; }
  int depth_ = 0;

 private:
  void put(char c) { whole_ += c, word_ += c, in_word_ = true; }
  void split_or_put(char c) {
    whole_ += c;
    if (c == ' ' || c == '\t' || c == '\n')
      end_word();
    else
      word_ += c, in_word_ = true;
  }
  void end_word() {
    if (in_word_) words_.push_back(std::exchange(word_, {}));
    in_word_ = false;
  }
  Result<> single() {
    in_word_ = true;
    for (++i_; i_ < text_.size(); ++i_) {
      if (text_[i_] == '\'') {
        ++i_;
        return {};
      }
      put(text_[i_]);
    }
    return fail(bad("unexpected end of statement while looking for matching single-quote"));
  }
  Result<> doubled() {
    in_word_ = true;
    ++i_;
    while (i_ < text_.size()) {
      const char c = text_[i_];
      if (c == '"') {
        ++i_;
        return {};
      }
      if (c == '$') {
        TRYV(dollar(true));
      } else if (c == escape_) {
        if (++i_ >= text_.size()) break;
        if (text_[i_] != '"' && text_[i_] != '$' && text_[i_] != escape_) put(c);
        put(text_[i_++]);
      } else {
        put(c), ++i_;
      }
    }
    return fail(bad("unexpected end of statement while looking for matching double-quote"));
  }
  void value(const std::string& text, bool quoted) {
    if (quoted) in_word_ = true;
    for (const char c : text) quoted ? put(c) : split_or_put(c);
  }
  std::string name() {
    size_t end = i_;
    const auto digit = [&] {
      return end < text_.size() && std::isdigit(static_cast<unsigned char>(text_[end]));
    };
    if (end < text_.size() && std::string_view("@*#?-$!").contains(text_[end]))
      ++end;  // the shell's, as $1: never set here
    else if (digit())
      while (digit()) ++end;
    else
      while (end < text_.size() && name_char(text_[end], end == i_)) ++end;
    std::string out(text_.substr(i_, end - i_));
    i_ = end;
    return out;
  }
  // At "$".
  Result<> dollar(bool quoted) {
    ++i_;
    if (i_ < text_.size() && text_[i_] == '{') return braced(quoted);
    const std::string variable = name();
    if (variable.empty()) {
      put('$');
      return {};
    }
    value(variables_(variable).value_or(""), quoted);
    return {};
  }
  // Up to `stop`, itself expanded; used for the word of ${name:-word}.
  Result<std::string> inner(std::string_view stops) {
    if (++depth_ > kDeepest) return fail(bad("variables are nested too deeply"));
    std::string out;
    while (i_ < text_.size() && !stops.contains(text_[i_])) {
      if (text_[i_] == '$' || text_[i_] == '\'' || text_[i_] == '"') {
        Expander part(text_.substr(i_), escape_, variables_, quotes_);
        part.depth_ = depth_;
        if (text_[i_] == '$') {
          TRYV(part.dollar(true));
        } else if (!quotes_) {
          part.put(part.text_[part.i_++]);
        } else {
          TRYV(text_[i_] == '"' ? part.doubled() : part.single());
        }
        out += part.whole_, i_ += part.i_;
      } else if (text_[i_] == escape_ && i_ + 1 < text_.size()) {
        if (text_[i_ + 1] == '*' || text_[i_ + 1] == '?' || text_[i_ + 1] == '\\')
          out += '\\';  // stays one for the pattern
        out += text_[i_ + 1], i_ += 2;
      } else {
        out += text_[i_++];
      }
    }
    --depth_;
    return out;
  }
  Result<> close() {
    if (i_ >= text_.size()) return fail(bad("syntax error: missing '}'"));
    ++i_;
    return {};
  }
  // At "{" of "${name...}".
  Result<> braced(bool quoted) {
    ++i_;
    if (i_ < text_.size() && text_[i_] == '}') return fail(bad("${}: bad substitution"));
    if (i_ < text_.size() && text_[i_] == ':')
      return fail(bad("${" + std::string(text_.substr(i_)) + ": bad substitution"));
    const std::string variable = name();
    if (variable.empty()) return fail(bad("${" + std::string(text_.substr(i_)) + ": bad substitution"));
    if (i_ >= text_.size()) return fail(bad("syntax error: missing '}'"));
    const auto set = variables_(variable);
    if (text_[i_] == '}') {
      ++i_;
      value(set.value_or(""), quoted);
      return {};
    }
    const bool colon = text_[i_] == ':';
    if (colon) ++i_;
    const char what = i_ < text_.size() ? text_[i_] : 0;
    const bool missing = !set || (colon && set->empty());
    const auto again = [&] { return i_ + 1 < text_.size() && text_[i_ + 1] == what; };
    if (what == '-' || what == '+' || what == '?') {
      ++i_;
      TRY(const std::string word, inner("}"));
      TRYV(close());
      if (what == '?' && missing)
        return fail(
            bad(variable + ": " +
                (word.empty() ? "not allowed to be " + std::string(colon ? "empty" : "unset") : word)));
      value(what == '-' ? (missing ? word : *set) : what == '+' ? (missing ? "" : word) : *set, quoted);
      return {};
    }
    if (!colon && (what == '#' || what == '%')) {
      const bool longest = again();
      i_ += longest ? 2 : 1;
      TRY(const std::string pattern, inner("}"));
      TRYV(close());
      value(what == '#' ? cut_front(set.value_or(""), pattern, longest)
                        : cut_back(set.value_or(""), pattern, longest),
            quoted);
      return {};
    }
    if (!colon && what == '/') {
      const bool all = again();
      i_ += all ? 2 : 1;
      TRY(const std::string pattern, inner("/}"));
      if (i_ >= text_.size() || text_[i_] != '/')
        return fail(bad("syntax error: missing '/' in ${" + variable + "/" + pattern + "}"));
      ++i_;
      TRY(const std::string text, inner("}"));
      TRYV(close());
      value(replaced(set.value_or(""), pattern, text, all), quoted);
      return {};
    }
    return fail(bad(std::string("unsupported modifier (") + (what ? std::string(1, what) : "") +
                    ") in substitution"));
  }

  std::string_view text_;
  char escape_;
  const Variables& variables_;
  bool quotes_;
  size_t i_ = 0;
  std::string whole_, word_;
  bool in_word_ = false;
  std::vector<std::string> words_;
};

}  // namespace

Result<std::string> expand_word(std::string_view text, char escape, const Variables& variables) {
  Expander e(text, escape, variables, true);
  TRYV(e.run());
  return e.whole();
}

Result<std::vector<std::string>> expand_words(std::string_view text, char escape,
                                              const Variables& variables) {
  Expander e(text, escape, variables, true);
  TRYV(e.run());
  return e.words();
}

Result<std::string> expand_text(std::string_view text, const Variables& variables) {
  Expander e(text, '\\', variables, false);
  TRYV(e.run());
  return e.whole();
}

}  // namespace panal
