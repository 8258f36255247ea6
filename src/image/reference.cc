#include "image/reference.h"

#include "base/text.h"

namespace panal {

static bool lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
static bool is_hex(std::string_view text) {
  for (const char c : text)
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
  return !text.empty();
}

bool valid_digest(std::string_view digest) {
  return digest.size() == 71 && digest.starts_with("sha256:") && is_hex(digest.substr(7));
}
bool looks_like_id(std::string_view text) {
  if (text.starts_with("sha256:")) text.remove_prefix(7);
  return text.size() <= 64 && is_hex(text);
}

// path-component: [a-z0-9]+ (separator [a-z0-9]+)*, separator: "_" | "__" | "." | "-"*
static bool valid_component(std::string_view part) {
  if (part.empty() || !lower_or_digit(part.front()) || !lower_or_digit(part.back())) return false;
  for (size_t i = 0; i < part.size();) {
    if (lower_or_digit(part[i])) {
      ++i;
      continue;
    }
    size_t run = i;
    while (run < part.size() && part[run] == part[i]) ++run;
    const size_t length = run - i;
    if (part[i] == '.' ? length != 1 : part[i] == '_' ? length > 2 : part[i] != '-') return false;
    if (run < part.size() && !lower_or_digit(part[run])) return false;
    i = run;
  }
  return true;
}

static bool valid_domain(std::string_view domain) {
  const size_t colon = domain.rfind(':');
  if (colon != std::string_view::npos && domain.find(']') == std::string_view::npos) {
    const std::string_view port = domain.substr(colon + 1);
    if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string_view::npos)
      return false;
    domain = domain.substr(0, colon);
  }
  for (const char c : domain)
    if (!(lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' || c == '[' || c == ']' ||
          c == ':'))
      return false;
  return !domain.empty();
}

static bool valid_tag(std::string_view tag) {
  if (tag.empty() || tag.size() > 128 || tag[0] == '.' || tag[0] == '-') return false;
  for (const char c : tag)
    if (!(lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' || c == '-')) return false;
  return true;
}

Result<ImageRef> parse_reference(std::string_view text) {
  const auto invalid = [] { return fail(Code::kInvalid, "invalid reference format"); };
  ImageRef ref;
  if (text.size() > 1024) return invalid();
  if (const size_t at = text.find('@'); at != std::string_view::npos) {
    ref.digest = std::string(text.substr(at + 1));
    if (!valid_digest(ref.digest)) return invalid();
    text = text.substr(0, at);
  }
  const size_t slash = text.rfind('/');
  if (const size_t colon = text.rfind(':');
      colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
    ref.tag = std::string(text.substr(colon + 1));
    if (!valid_tag(ref.tag)) return invalid();
    text = text.substr(0, colon);
  }
  const size_t first = text.find('/');
  const std::string_view head = text.substr(0, first);
  const bool has_domain =
      first != std::string_view::npos &&
      (head.find_first_of(".:") != std::string_view::npos || head == "localhost" || lower(head) != head);
  if (has_domain) {
    ref.domain = std::string(head);
    ref.path = std::string(text.substr(first + 1));
    if (ref.domain == "index.docker.io") ref.domain = "docker.io";
  } else {
    ref.domain = "docker.io";
    ref.path = std::string(text);
  }
  if (ref.domain == "docker.io" && ref.path.find('/') == std::string::npos) ref.path = "library/" + ref.path;
  if (ref.domain.size() + 1 + ref.path.size() > 255)
    return fail(Code::kInvalid, "repository name must not be more than 255 characters");
  if (!valid_domain(ref.domain)) return invalid();
  if (lower(ref.path) != ref.path)
    return fail(Code::kInvalid,
                "invalid reference format: repository name (" + ref.path + ") must be lowercase");
  for (const auto& part : split(ref.path, '/'))
    if (!valid_component(part)) return invalid();
  if (is_hex(text) && text.size() == 64)
    return fail(Code::kInvalid, "invalid repository name (" + std::string(text) +
                                    "), cannot specify 64-byte hexadecimal strings");
  return ref;
}

Result<ImageRef> parse_tagged(std::string_view text) {
  TRY(ImageRef ref, parse_reference(text));
  if (ref.tag.empty() && ref.digest.empty()) ref.tag = "latest";
  return ref;
}

std::string ImageRef::familiar_name() const {
  if (domain != "docker.io") return domain + "/" + path;
  return path.starts_with("library/") && path.find('/', 8) == std::string::npos ? path.substr(8) : path;
}
std::string ImageRef::familiar() const {
  return familiar_name() + (tag.empty() ? "" : ":" + tag) + (digest.empty() ? "" : "@" + digest);
}
std::string ImageRef::full() const {
  return domain + "/" + path + (tag.empty() ? "" : ":" + tag) + (digest.empty() ? "" : "@" + digest);
}

}  // namespace panal
