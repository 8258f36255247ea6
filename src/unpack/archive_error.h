// libarchive's words for what went wrong; it does not always have any.
#pragma once
#include <archive.h>

namespace panal {

inline const char* error_of(archive* a) {
  const char* text = archive_error_string(a);
  return text ? text : "damaged or unknown format";
}

}  // namespace panal
