// Small text tools shared by all floors.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace panal {

std::vector<std::string> split(std::string_view text, char separator);
std::string join(std::span<const std::string> parts, std::string_view separator);
/// The text with every byte that is no part of valid UTF-8 replaced by U+FFFD.
std::string to_utf8(std::string_view bytes);
std::string_view trim(std::string_view text);
std::string lower(std::string_view text);
/// What Swarm takes as a name: at most 63 letters and digits, with dashes and underscores only between them.
bool valid_dns_component(std::string_view name);
std::string hex(std::string_view bytes);
std::optional<std::string> unhex(std::string_view text);
std::string base64(std::string_view bytes);
/// Accepts standard and URL-safe alphabets, padding optional.
std::optional<std::string> unbase64(std::string_view text);
std::string url_decode(std::string_view text, bool plus_is_space = false);
std::string url_encode(std::string_view text);
std::optional<int64_t> parse_int(std::string_view text);
/// Shell-style match with * and ? (path.Match without classes).
bool glob_match(std::string_view pattern, std::string_view text);
/// "1.5GB" as docker's units.HumanSize prints (powers of 1000, 4 significant digits).
std::string human_size(double bytes);
/// "256m", "1.5g", "4096" -> bytes (powers of 1024), as docker's units.RAMInBytes.
std::optional<int64_t> parse_bytes(std::string_view text);

}  // namespace panal
