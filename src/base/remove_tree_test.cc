#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>

#include "base/fd.h"

namespace panal {
namespace {

struct Folder {
  std::string path;
  Folder() {
    char name[] = "/tmp/panal-remove-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Folder() { (void)remove_tree(path); }
};

struct FewDescriptors {
  rlimit before{};
  FewDescriptors() {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const rlimit few{64, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  }
  ~FewDescriptors() { (void)::setrlimit(RLIMIT_NOFILE, &before); }
};

// Folders in each other; every tenth has a second one, a file and a link, too.
void make_deep(const std::string& path, int levels) {
  REQUIRE(make_dirs(path).has_value());
  Fd at(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; i < levels; ++i) {
    REQUIRE(::mkdirat(at.get(), "deeper", 0700) == 0);
    if (i % 10 == 0) {
      REQUIRE(::mkdirat(at.get(), "beside", 0700) == 0);
      REQUIRE(::symlinkat("/tmp", at.get(), "link") == 0);
      REQUIRE(Fd(::openat(at.get(), "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600)));
    }
    at = Fd(::openat(at.get(), "deeper", O_PATH | O_DIRECTORY | O_CLOEXEC));
    REQUIRE(at);
  }
}

}  // namespace

TEST_CASE("a tree 20,000 folders deep is removed with few descriptors") {
  Folder f;
  make_deep(f.path + "/tree", 20000);
  make_deep(f.path + "/tree/0", 100);  // where it would move things
  REQUIRE(write_file(f.path + "/tree/1", "x").has_value());
  const FewDescriptors few;
  REQUIRE(remove_tree(f.path + "/tree").has_value());
  CHECK(!exists(f.path + "/tree"));
}

TEST_CASE("removing: a file, a link by itself, nothing, what is in the way") {
  Folder f;
  REQUIRE(make_dirs(f.path + "/kept/in").has_value());
  REQUIRE(::symlink((f.path + "/kept").c_str(), (f.path + "/link").c_str()) == 0);
  REQUIRE(write_file(f.path + "/file", "x").has_value());
  for (const char* name : {"/link", "/file", "/none", "/none/at/all"})
    CHECK(remove_tree(f.path + name).has_value());
  CHECK(list_dir(f.path) == std::vector<std::string>{"kept"});
  CHECK(exists(f.path + "/kept/in"));
  CHECK(remove_tree("/proc/self/fdinfo").error().message.starts_with("remove /proc/self/fdinfo/"));
}

TEST_CASE("what is mounted in a tree is not removed") {
  Folder f;
  REQUIRE(make_dirs(f.path + "/tree/a/mount").has_value());
  REQUIRE(make_dirs(f.path + "/other/kept").has_value());
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount((f.path + "/other").c_str(), (f.path + "/tree/a/mount").c_str(), nullptr, MS_BIND, nullptr) !=
            0)
      ::_exit(77);
    const auto removed = remove_tree(f.path + "/tree");
    const std::string told = "remove " + f.path + "/tree/a/mount: device or resource busy";
    ::_exit(!removed && removed.error().message == told && exists(f.path + "/other/kept") ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  if (WEXITSTATUS(status) != 77) CHECK(WEXITSTATUS(status) == 0);
}

}  // namespace panal
