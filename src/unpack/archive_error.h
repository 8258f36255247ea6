// libarchive's words for what went wrong; it does not always have any.
#pragma once
#include <archive.h>

#include <string>

#include "base/result.h"

namespace panal {

inline const char* error_of(archive* a) {
  const char* text = archive_error_string(a);
  return text ? text : "damaged or unknown format";
}

/// Of a tar that is no good, in Go's words.
inline Error bad_tar(archive* reader) {
  const std::string text = error_of(reader);
  return {Code::kInvalid, text.find("runcated") != std::string::npos
                              ? "unexpected EOF"
                              : "archive/tar: invalid tar header: " + text};
}

}  // namespace panal
