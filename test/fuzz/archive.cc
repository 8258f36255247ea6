// Archives from anywhere, through the same code as panal-unpack: layers, images, docker cp. In a root of its
// own, as root: without that right the target does nothing. The first byte chooses the verb.
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "base/fd.h"
#include "base/text.h"
#include "fuzz.h"
#include "unpack/unpack.h"

namespace panal {

// In place of src/unpack/lock.cc: the thread is locked in, not the process.
Result<> lock_in(const TreeJob& tree, Attributes) {
  MUST(::unshare(CLONE_FS) == 0 && ::chroot(tree.root.c_str()) == 0 && ::chdir("/") == 0);
  return {};
}

}  // namespace panal

using namespace panal;

namespace {

std::string root;

void run(uint8_t verb, const std::string& blob) {
  TreeJob job;
  job.root = root;
  job.keep_kinds = verb & 8, job.set_owner = verb & 16;
  Result<> result;
  switch (verb % 4) {
    case 0:
      result = unpack_layer(blob, "", root);
      break;
    case 1:
      result = unpack_archive(root);
      break;
    case 2:
      result = put_path(job, "/");
      break;
    default:
      result = put_path(job, "/inner/folder");
  }
  MUST(result || !result.error().message.empty());
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  if (::geteuid() != 0) return 0;
  for (const char* where : {"/tmp", "/dev/shm"}) {
    std::string name = std::string(where) + "/panal-fuzz-XXXXXX";
    if (::mkdtemp(name.data())) (void)remove_tree(std::exchange(root, name));
  }
  MUST(!root.empty());
  std::atexit([] { (void)remove_tree(root); });
  const rlimit limit{1 << 20, 1 << 20};  // a bomb fills no memory
  MUST(::setrlimit(RLIMIT_FSIZE, &limit) == 0 && std::signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
  ::umask(0);
  std::freopen("/dev/null", "w", stdout);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1 || root.empty()) return 0;
  const std::string inside = root + "/inner";
  MUST(::mkdir(root.c_str(), 0755) == 0 || errno == EEXIST);
  MUST(::mkdir(inside.c_str(), 0755) == 0 && ::mkdir((inside + "/folder").c_str(), 0755) == 0 &&
       ::symlink("/inner", (inside + "/folder/link").c_str()) == 0);
  const Fd input(::memfd_create("input", MFD_CLOEXEC));
  MUST(input && write_all(input.get(), as_text(data + 1, size - 1)) &&
       ::lseek(input.get(), 0, SEEK_SET) == 0);
  MUST(::dup2(input.get(), 0) == 0);
  std::thread(run, data[0], "/proc/self/fd/0").join();
  (void)remove_tree(root);
  return 0;
}
