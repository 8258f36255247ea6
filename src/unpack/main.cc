// panal-unpack: opens archives in a process of its own, so that a hostile one meets a process that can do nothing else.
//
//   archive DIR               stdin: an image archive (tar, any compression) -> its regular files as DIR/<n>, one JSON line each
//   blob FILE                 stdin -> FILE, digest and size as a JSON line
//   layer BLOB DIGEST DIR     unpacks a layer blob into DIR, whiteouts as overlayfs wants them; prints diff id and size
//   pack                      stdin: JSON lines {path, file, link} -> stdout: tar
//
// Exit status 2: the input is at fault. Invariant: nothing outside DIR is written, whatever the archive says.
#include <fcntl.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "unpack/unpack.h"

int main(int argc, char** argv) {
  using namespace panal;
  const auto usage = [] {
    std::fprintf(stderr, "usage: panal-unpack archive DIR | blob FILE | layer BLOB DIGEST DIR | pack\n");
    return 64;
  };
  if (argc < 2) return usage();
  const std::string verb = argv[1];
  Result<> result;
  if (verb == "archive" && argc == 3) result = unpack_archive(argv[2]);
  else if (verb == "blob" && argc == 3) result = save_blob(argv[2]);
  else if (verb == "layer" && argc == 5) result = unpack_layer(argv[2], argv[3], argv[4]);
  else if (verb == "pack" && argc == 2) result = pack_archive();
  else return usage();
  if (result) return std::fflush(stdout) == 0 ? 0 : 1;
  std::fprintf(stderr, "%s\n", result.error().message.c_str());
  return result.error().code == Code::kInvalid ? 2 : 1;
}
