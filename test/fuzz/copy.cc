// COPY and ADD of a Dockerfile on two small trees. First byte: an archive that is unpacked, or a job: lines
// that begin with what they are.
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>

#include "base/fd.h"
#include "base/json.h"
#include "base/text.h"
#include "fuzz.h"
#include "unpack/copy/copy.h"
#include "unpack/paths.h"

using namespace panal;

namespace {

std::string root;
Fd base, archive_file;

std::vector<Fd> trees() {
  std::vector<Fd> out;
  out.emplace_back(::open((root + "/src").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return out;
}

CopyJob job_of(uint8_t kind, std::string_view text) {
  CopyJob job;
  job.trees.emplace_back();
  job.now = 5, job.owned = kind & 8, job.parents = kind & 16;
  if (kind & 32) job.chmod = kind & 64 ? "u+s,go=u-w,a=rX" : "0700";
  if (kind & 64) job.epoch = 3;
  if (!(kind & 128)) {
    job.parents = false;
    job.sources = {{0, "x.tar", true}}, job.destination = kind & 1   ? "/"
                                                          : kind & 2 ? "/folder"
                                                          : kind & 4 ? "/link/new"
                                                                     : "/new/";
    return job;
  }
  if (auto given = from_text<CopyJob>(text); given && given->trees.size() == 1) return *given;
  for (const auto& line : split(text, '\n')) {
    const std::string rest = line.empty() ? "" : line.substr(1);
    if (line.starts_with('d'))
      job.destination = rest;
    else if (line.starts_with('i'))
      job.trees[0].ignore.push_back(rest);
    else if (line.starts_with('x'))
      job.exclude.push_back(rest);
    else if (line.starts_with('t'))
      job.texts.push_back({rest, base64(rest)});
    else if (!line.empty())
      job.sources.push_back({0, rest, line.starts_with('u')});
  }
  return job;
}

std::string layer(const CopyJob& job) {
  const Fd to(::memfd_create("layer", MFD_CLOEXEC));
  const auto written = write_copy(job, trees(), base.get(), to.get());
  MUST(written || !written.error().message.empty());
  if (!written) return "";
  MUST(::lseek(to.get(), 0, SEEK_SET) == 0);
  return *read_all(to.get(), 1 << 30);
}

void check(const std::string& tar) {
  std::unique_ptr<archive, decltype(&archive_read_free)> reader(archive_read_new(), archive_read_free);
  archive_read_support_format_tar(reader.get());
  MUST(archive_read_open_memory(reader.get(), tar.data(), tar.size()) == ARCHIVE_OK);
  std::set<std::string> seen;
  archive_entry* entry = nullptr;
  for (int code = 0; (code = archive_read_next_header(reader.get(), &entry)) != ARCHIVE_EOF;) {
    MUST(code == ARCHIVE_OK || code == ARCHIVE_WARN);
    const char* name = archive_entry_pathname(entry);
    if (!name) continue;  // no UTF-8
    std::string path = name;
    if (path.ends_with('/')) path.pop_back();
    MUST(inside_path(path) == path && !path.empty() && seen.insert(path).second);
    if (const char* hard = archive_entry_hardlink(entry)) MUST(seen.contains(hard));
  }
  MUST(!seen.empty());
}

void make(const std::string& path, const std::string& content = "x") {
  MUST(make_dirs((root + "/" + path).substr(0, root.size() + 1 + path.rfind('/'))) &&
       write_file(root + "/" + path, content));
}
void put_link(const std::string& target, const std::string& path) {
  MUST(::symlink(target.c_str(), (root + "/" + path).c_str()) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  for (const char* where : {"/dev/shm", "/tmp"}) {
    std::string name = std::string(where) + "/panal-fuzz-XXXXXX";
    if (root.empty() && ::mkdtemp(name.data())) root = name;
  }
  MUST(!root.empty());
  std::atexit([] { (void)remove_tree(root); });
  for (const char* path : {"src/a/b/c.txt", "src/a/b.js", "src/a.txt", "src/logs/x.log", "src/logs/keep/y",
                           "src/[x]", "src/x.tar", "base/folder/a", "base/usr/lib/z", "base/file"})
    make(path);
  put_link("a", "src/la"), put_link("../../..", "src/a/up"), put_link("loop", "src/loop"),
      put_link("logs/keep/y", "src/ly"), put_link("/usr", "base/link"),
      put_link("../../file", "base/usr/lib/up"), put_link("/folder", "base/folder/self");
  MUST(::link((root + "/src/a.txt").c_str(), (root + "/src/same.txt").c_str()) == 0);
  base = Fd(::open((root + "/base").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  archive_file = Fd(::open((root + "/src/x.tar").c_str(), O_WRONLY | O_CLOEXEC));
  MUST(base && archive_file);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const std::string_view text = as_text(data + 1, size - 1);
  if (!(data[0] & 128))
    MUST(::ftruncate(archive_file.get(), 0) == 0 &&
         ::pwrite(archive_file.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  CopyJob job = job_of(data[0], text);
  const std::string first = layer(job);
  MUST(first == layer(job));
  if (!first.empty()) check(first);
  const auto digest = digest_copy(job, trees());
  MUST(digest ? digest->digest.size() == 64 : !digest.error().message.empty());
  return 0;
}
