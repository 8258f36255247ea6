// Image references: [domain/]path[:tag][@digest], the grammar and the familiar forms of
// distribution/reference.
#pragma once
#include <optional>
#include <string_view>

#include "base/result.h"
#include "model/image.h"

namespace panal {

/// "alpine" -> docker.io/library/alpine, tag and digest empty where not given. The error is Docker's "invalid
/// reference format".
Result<ImageRef> parse_reference(std::string_view text);
/// As above, with the tag "latest" when neither tag nor digest is given.
Result<ImageRef> parse_tagged(std::string_view text);
bool valid_digest(std::string_view digest);
/// A full or shortened image id: hex digits with or without "sha256:".
bool looks_like_id(std::string_view text);

}  // namespace panal
