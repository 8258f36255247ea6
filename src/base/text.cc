#include "base/text.h"

#include <charconv>
#include <cmath>
#include <cstdio>

namespace panal {

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> out;
  for (;;) {
    const size_t at = text.find(separator);
    out.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    text.remove_prefix(at + 1);
  }
}

std::string join(std::span<const std::string> parts, std::string_view separator) {
  std::string out;
  for (const auto& part : parts) {
    if (&part != parts.data()) out += separator;
    out += part;
  }
  return out;
}

std::string_view trim(std::string_view text) {
  const auto space = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

std::string hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    out += kDigits[static_cast<uint8_t>(c) >> 4];
    out += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return out;
}

std::string to_utf8(std::string_view in) {
  std::string out;
  for (size_t i = 0; i < in.size();) {
    const auto b = static_cast<uint8_t>(in[i]);
    const size_t length = b < 0x80                ? 1
                          : b >= 0xc2 && b < 0xe0 ? 2
                          : (b & 0xf0) == 0xe0    ? 3
                          : b >= 0xf0 && b < 0xf5 ? 4
                                                  : 0;
    bool ok = length > 0 && i + length <= in.size();
    for (size_t k = 1; ok && k < length; ++k) ok = (static_cast<uint8_t>(in[i + k]) & 0xc0) == 0x80;
    if (ok && length == 3) {  // overlong forms and surrogates
      const unsigned code = (b & 15u) << 12 | (static_cast<uint8_t>(in[i + 1]) & 63u) << 6 |
                            (static_cast<uint8_t>(in[i + 2]) & 63u);
      ok = code >= 0x800 && (code < 0xd800 || code > 0xdfff);
    }
    if (ok && length == 4) {
      const unsigned second = static_cast<uint8_t>(in[i + 1]);
      ok = !(b == 0xf0 && second < 0x90) && !(b == 0xf4 && second > 0x8f);
    }
    if (ok)
      out.append(in.substr(i, length)), i += length;
    else
      out += "\xef\xbf\xbd", ++i;
  }
  return out;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string base64(std::string_view bytes) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t block = 0;
    for (size_t k = 0; k < 3; ++k)
      block = block << 8 | (i + k < bytes.size() ? static_cast<uint8_t>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) out += i + k > bytes.size() ? '=' : kAlphabet[block >> (18 - 6 * k) & 63];
  }
  return out;
}

std::optional<std::string> unbase64(std::string_view text) {
  std::string out;
  uint32_t block = 0;
  int bits = 0;
  for (const char c : text) {
    int v;
    if (c >= 'A' && c <= 'Z')
      v = c - 'A';
    else if (c >= 'a' && c <= 'z')
      v = c - 'a' + 26;
    else if (c >= '0' && c <= '9')
      v = c - '0' + 52;
    else if (c == '+' || c == '-')
      v = 62;
    else if (c == '/' || c == '_')
      v = 63;
    else if (c == '=' || c == '\n' || c == '\r')
      continue;
    else
      return std::nullopt;
    block = block << 6 | static_cast<uint32_t>(v);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out += static_cast<char>(block >> bits & 255);
    }
  }
  return out;
}

std::string url_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0) {
      out += static_cast<char>(hex_digit(text[i + 1]) << 4 | hex_digit(text[i + 2]));
      i += 2;
    } else {
      out += plus_is_space && text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::string url_encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += hex(std::string_view(&c, 1));
    }
  }
  return out;
}

std::optional<int64_t> parse_int(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool glob_match(std::string_view pattern, std::string_view text) {
  const auto is_star = [&](size_t p) { return pattern[p] == '*'; };
  const auto step = [&](size_t p, size_t t) -> size_t { return pattern[p] == '?' || pattern[p] == text[t]; };
  return match_with_stars(pattern.size(), text.size(), is_star, step);
}

std::string human_size(double bytes) {
  static constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  int unit = 0;
  while (bytes >= 1000.0 && unit < 5) bytes /= 1000.0, ++unit;
  char buf[32];
  std::snprintf(buf, sizeof buf, "%.4g%s", bytes, kUnits[unit]);
  return buf;
}

std::optional<int64_t> parse_bytes(std::string_view text) {
  std::string body = lower(trim(text));
  if (body.ends_with("ib"))
    body.resize(body.size() - 2);
  else if (body.size() > 1 && body.ends_with("b") &&
           !(body[body.size() - 2] >= '0' && body[body.size() - 2] <= '9'))
    body.pop_back();
  double scale = 1;
  if (!body.empty()) {
    const char unit = body.back();
    if (unit == 'b')
      scale = 1, body.pop_back();
    else if (unit == 'k')
      scale = 1024.0, body.pop_back();
    else if (unit == 'm')
      scale = 1024.0 * 1024, body.pop_back();
    else if (unit == 'g')
      scale = 1024.0 * 1024 * 1024, body.pop_back();
    else if (unit == 't')
      scale = 1024.0 * 1024 * 1024 * 1024, body.pop_back();
  }
  double value = 0;
  const auto [end, error] = std::from_chars(body.data(), body.data() + body.size(), value);
  if (body.empty() || error != std::errc() || end != body.data() + body.size() || !(value >= 0) ||
      value * scale > 9e18)
    return std::nullopt;
  return static_cast<int64_t>(value * scale);
}

bool valid_dns_component(std::string_view name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return !name.empty() && name.size() <= 63 && plain(name.front()) && plain(name.back()) &&
         std::ranges::all_of(name, [&](char c) { return plain(c) || c == '-' || c == '_'; });
}

}  // namespace panal
