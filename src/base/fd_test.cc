#include "base/fd.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cstdlib>

namespace panal {
namespace {

struct Folder {
  std::string path;
  Folder() {
    char name[] = "/tmp/panal-fd-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Folder() { (void)remove_tree(path); }
};

}  // namespace

TEST_CASE("an Fd closes once and moves its number") {
  auto ends = make_pipe();
  REQUIRE(ends.has_value());
  Fd read = std::move(ends->first), write = std::move(ends->second);
  const int number = write.get();
  CHECK((::fcntl(number, F_GETFD) & FD_CLOEXEC) != 0);
  REQUIRE(write_all(write.get(), "hello").has_value());
  Fd moved = std::move(write);
  CHECK(!write);  // NOLINT(bugprone-use-after-move): what is left of it is the question
  moved.reset();
  CHECK(::fcntl(number, F_GETFD) == -1);
  CHECK(read_all(read.get()).value() == "hello");
}

TEST_CASE("files: whole, limited, atomic") {
  Folder f;
  const std::string path = f.path + "/a";
  CHECK(read_file(path).error().message == "open " + path + ": no such file or directory");
  REQUIRE(write_file_atomic(path, "one", 0600).has_value());
  REQUIRE(write_file_atomic(path, "two", 0600).has_value());
  CHECK(read_file(path).value() == "two");
  CHECK(!exists(path + ".new"));
  struct stat st{};
  REQUIRE(::stat(path.c_str(), &st) == 0);
  CHECK((st.st_mode & 0777) == 0600);
  CHECK((read_file(path, 2).error().code == Code::kTooLarge));
  CHECK(read_file(path, 3).has_value());
  CHECK(!write_file_atomic(f.path + "/no/such", "x").has_value());
}

TEST_CASE("folders are made with all above and removed without following links") {
  Folder f;
  REQUIRE(make_dirs(f.path + "/a/b/c").has_value());
  REQUIRE(make_dirs(f.path + "/a/b/c/").has_value());
  REQUIRE(write_file(f.path + "/keep", "x").has_value());
  REQUIRE(::symlink(f.path.c_str(), (f.path + "/a/link").c_str()) == 0);
  REQUIRE(remove_tree(f.path + "/a").has_value());
  CHECK(!exists(f.path + "/a"));
  CHECK(exists(f.path + "/keep"));
  CHECK(remove_tree(f.path + "/a").has_value());
  REQUIRE(write_file(f.path + "/file", "x").has_value());
  CHECK(!make_dirs(f.path + "/file/x").has_value());
}

}  // namespace panal
