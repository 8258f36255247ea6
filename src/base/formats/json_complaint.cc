#include "base/formats/json_complaint.h"

namespace panal {
namespace {

constexpr int kMostDepth = 64;

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}
  std::string complaint() {
    value(0);
    return complaint_;
  }

 private:
  bool bad(std::string_view where) {
    if (!complaint_.empty()) return false;
    if (at_ >= text_.size()) {
      complaint_ = "unexpected EOF";
      return false;
    }
    const unsigned char c = static_cast<unsigned char>(text_[at_]);
    std::string shown(1, text_[at_]);
    if (c == '\'' || c == '\\') shown.insert(0, "\\");
    if (c == '\n') shown = "\\n";
    if (c == '\t') shown = "\\t";
    if (c == '\r') shown = "\\r";
    if (shown.size() == 1 && (c < 0x20 || c == 0x7f)) {
      static constexpr char kHex[] = "0123456789abcdef";
      shown = std::string("\\x") + kHex[c >> 4] + kHex[c & 15];
    }
    if (c >= 0x80)
      shown = c < 0xc0 ? std::string("\xc2") + text_[at_] : std::string("\xc3") + static_cast<char>(c - 0x40);
    complaint_ = "invalid character '" + shown + "' " + std::string(where);
    return false;
  }
  void skip_space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").contains(text_[at_])) ++at_;
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool digit() const { return at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; }

  bool value(int depth) {
    skip_space();
    if (depth > kMostDepth) return false;
    switch (peek()) {
      case '{':
        return object(depth);
      case '[':
        return array(depth);
      case '"':
        return string();
      case 't':
        return literal("true");
      case 'f':
        return literal("false");
      case 'n':
        return literal("null");
      default:
        return peek() == '-' || digit() ? number() : bad("looking for beginning of value");
    }
  }
  bool literal(std::string_view word) {
    for (const char c : word) {
      if (peek() != c) return bad("in literal " + std::string(word) + " (expecting '" + c + "')");
      ++at_;
    }
    return true;
  }
  bool digits(std::string_view where) {
    if (!digit()) return bad(where);
    while (digit()) ++at_;
    return true;
  }
  bool number() {
    if (peek() == '-') ++at_;
    if (peek() == '0')
      ++at_;
    else if (!digits("in numeric literal"))
      return false;
    if (peek() == '.') {
      ++at_;
      if (!digits("after decimal point in numeric literal")) return false;
    }
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      return digits("in exponent of numeric literal");
    }
    return true;
  }
  bool string() {
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '"') {
        ++at_;
        return true;
      }
      if (static_cast<unsigned char>(text_[at_]) < 0x20) return bad("in string literal");
      if (text_[at_] != '\\') continue;
      ++at_;
      if (peek() != 'u') {
        if (at_ >= text_.size() || !std::string_view("\"\\/bfnrt").contains(text_[at_]))
          return bad("in string escape code");
        continue;
      }
      for (int i = 0; i < 4; ++i) {
        ++at_;
        if (at_ >= text_.size() || !std::string_view("0123456789abcdefABCDEF").contains(text_[at_]))
          return bad("in \\u hexadecimal character escape");
      }
    }
    return bad("");
  }
  /// Past its beginning, and past its end when that follows at once.
  bool is_empty(char end) {
    ++at_;
    skip_space();
    if (peek() != end) return false;
    ++at_;
    return true;
  }
  bool object(int depth) {
    if (is_empty('}')) return true;
    for (;;) {
      skip_space();
      if (peek() != '"') return bad("looking for beginning of object key string");
      if (!string()) return false;
      skip_space();
      if (peek() != ':') return bad("after object key");
      ++at_;
      if (!value(depth + 1)) return false;
      if (!more('}', "after object key:value pair")) return closed_;
    }
  }
  bool array(int depth) {
    if (is_empty(']')) return true;
    for (;;) {
      if (!value(depth + 1)) return false;
      if (!more(']', "after array element")) return closed_;
    }
  }
  /// A comma: there is another; else it is closed, or wrong.
  bool more(char end, std::string_view where) {
    skip_space();
    closed_ = peek() == end;
    if (peek() != ',' && !closed_) return bad(where);
    ++at_;
    return !closed_;
  }

  std::string_view text_;
  size_t at_ = 0;
  bool closed_ = false;
  std::string complaint_;
};

}  // namespace

std::string json_complaint(std::string_view text) { return Scanner(text).complaint(); }

}  // namespace panal
