// panal-unpack: opens archives in a process of its own, so that a hostile one meets a process that can do
// nothing else.
//
//   archive DIR               stdin: an image archive (tar, any compression) -> its regular files as DIR/<n>,
//   one JSON line each blob FILE                 stdin -> FILE, digest and size as a JSON line layer BLOB
//   DIGEST DIR     unpacks a layer blob into DIR, whiteouts as overlayfs wants them; prints how far it is, at
//   last diff id and size pack DIR                  stdin: JSON lines {path, file, link}, files below DIR ->
//   stdout: tar
// and on a container's files, as TREE (image/tree_job.h, JSON) lays them out:
//   stat TREE PATH            path stat as a JSON line          get TREE PATH     the same, then a tar of
//   what lies there put TREE PATH             stdin: a tar -> into the folder    export TREE       a tar of
//   the whole root upper TREE                a layer tar of the folder `root`, an overlayfs upper one changes
//   TREE              what the folder `root` changes in `layers`, as the Engine API lists it
// and for COPY, ADD and WORKDIR of a Dockerfile; stdin: what is taken and where it goes (image/copy_job.h,
// JSON):
//   digest TREE               what it would take, by content, as a JSON line
//   copy TREE                 the layer that it adds, as a tar
// and for registries:
//   fetch                     stdin: an HTTP exchange (image/fetch_job.h) -> JSON lines, the last one is the
//   answer
//
// Exit status 2: the input is at fault, 3: the path does not exist, 4: it is read-only.
// Invariant: nothing outside DIR or TREE is written or seen, whatever the archive, the container or the
// registry does.
#include <locale.h>
#include <sys/stat.h>

#include <cstdio>
#include <string>
#include <vector>

#include "base/json.h"
#include "unpack/unpack.h"

namespace panal {
namespace {

Result<> run(const std::vector<std::string>& words) {
  const std::string verb = words.empty() ? "" : words[0];
  const size_t given = words.size();
  if (verb == "archive" && given == 2) return unpack_archive(words[1]);
  if (verb == "blob" && given == 2) return save_blob(words[1]);
  if (verb == "layer" && given == 4) return unpack_layer(words[1], words[2], words[3]);
  if (verb == "pack" && given == 2) return pack_archive(words[1]);
  if (verb == "fetch" && given == 1) return fetch();
  const bool on_path = (verb == "stat" || verb == "get" || verb == "put") && given == 3;
  if (!on_path &&
      !((verb == "export" || verb == "upper" || verb == "changes" || verb == "digest" || verb == "copy") &&
        given == 2))
    return fail(Code::kInternal,
                "usage: panal-unpack archive DIR | blob FILE | layer BLOB DIGEST DIR | pack DIR | "
                "stat|get|put TREE PATH | export|upper|changes|digest|copy TREE | fetch");
  TRY(const auto job, from_text<TreeJob>(words[1]));
  if (verb == "stat") return stat_path(job, words[2]);
  if (verb == "get") return get_path(job, words[2]);
  if (verb == "put") return put_path(job, words[2]);
  if (verb == "upper") return pack_upper(job);
  if (verb == "digest") return digest_sources(job);
  if (verb == "copy") return copy_sources(job);
  return verb == "export" ? export_root(job) : print_changes(job);
}

int status_of(Code code) {
  switch (code) {
    case Code::kInvalid:
      return 2;
    case Code::kNotFound:
      return 3;
    case Code::kForbidden:
      return 4;
    default:
      return 1;
  }
}

}  // namespace
}  // namespace panal

int main(int argc, char** argv) {
  using namespace panal;
  ::setlocale(LC_CTYPE, "C.UTF-8");  // libarchive takes names in pax headers for text
  ::umask(0);
  const Result<> result = run({argv + 1, argv + argc});
  if (result) return std::fflush(stdout) == 0 ? 0 : 1;
  std::fprintf(stderr, "%s\n", result.error().message.c_str());
  return status_of(result.error().code);
}
