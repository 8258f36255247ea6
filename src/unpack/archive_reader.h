// libarchive's readers as Panal opens them, and its words for what went wrong.
#pragma once
#include <archive.h>

#include <memory>
#include <string>

#include "base/result.h"

namespace panal {

using Reader = std::unique_ptr<archive, decltype(&archive_read_free)>;

/// Of what is plain or packed as Docker knows it: gzip, bzip2, xz, zstd. The caller adds the format.
inline Reader unpacking_reader() {
  Reader reader(archive_read_new(), archive_read_free);
  archive_read_support_filter_gzip(reader.get()), archive_read_support_filter_bzip2(reader.get());
  archive_read_support_filter_xz(reader.get()), archive_read_support_filter_zstd(reader.get());
  return reader;
}

/// Of a tar, packed or not. An empty file is refused: formats that permit it add it.
inline Reader tar_reader() {
  Reader reader = unpacking_reader();
  archive_read_support_format_tar(reader.get());
  return reader;
}

/// It does not always have any.
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
