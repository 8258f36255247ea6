#include "base/in_root.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cstdlib>

namespace panal {
namespace {

struct Root {
  std::string path;
  Fd fd;
  Root() {
    char name[] = "/tmp/panal-in-root-XXXXXX";
    path = ::mkdtemp(name);
    REQUIRE(make_dirs(path + "/outside").has_value());
    REQUIRE(write_file(path + "/outside/secret", "of the host").has_value());
    REQUIRE(make_dirs(path + "/root/etc").has_value());
    REQUIRE(write_file(path + "/root/etc/passwd", "of the container").has_value());
    fd = std::move(open_root(path + "/root").value());
  }
  ~Root() { (void)remove_tree(path); }
  void link(const std::string& to, const std::string& name) const {
    REQUIRE(::symlink(to.c_str(), (path + "/root/" + name).c_str()) == 0);
  }
  Result<std::string> read(const std::string& name) const {
    TRY(const Fd file, open_file_in_root(fd.get(), name));
    return read_all(file.get());
  }
};

}  // namespace

TEST_CASE("a root is not left by symlinks or dots") {
  Root root;
  CHECK(root.read("/etc/passwd").value() == "of the container");
  CHECK(root.read("../../etc/passwd").value() == "of the container");
  root.link("/etc/passwd", "absolute");
  CHECK(root.read("absolute").value() == "of the container");
  root.link("../outside/secret", "relative");
  CHECK(root.read("relative").error().code == Code::kNotFound);
  root.link("/proc/self/root", "magic");
  CHECK(!root.read("magic/etc/passwd"));
}

TEST_CASE("only regular files are opened") {
  Root root;
  REQUIRE(::mkfifo((root.path + "/root/pipe").c_str(), 0600) == 0);
  CHECK(root.read("pipe").error().message == "pipe: not a regular file");
  CHECK(root.read("etc").error().message == "etc: not a regular file");
}

TEST_CASE("folders are made inside the root only") {
  Root root;
  REQUIRE(make_dirs_in_root(root.fd.get(), "/a/b/../c").has_value());
  CHECK(exists(root.path + "/root/a/c"));
  root.link("../outside", "out");
  REQUIRE(make_dirs_in_root(root.fd.get(), "/out/made").has_value());
  CHECK(!exists(root.path + "/outside/made"));
  CHECK(exists(root.path + "/root/outside/made"));
  root.link("/etc", "in");
  REQUIRE(make_dirs_in_root(root.fd.get(), "in/made").has_value());
  CHECK(exists(root.path + "/root/etc/made"));
  CHECK(!make_dirs_in_root(root.fd.get(), "/etc/passwd/x"));
  root.link("ring", "round");
  root.link("round", "ring");
  CHECK(!make_dirs_in_root(root.fd.get(), "/round/x"));
}

TEST_CASE("what a dangling link leads to is made, and nothing else") {
  Root root;
  root.link("/srv/data", "first");
  root.link("../first/deep", "etc/second");
  REQUIRE(mend_links_in_root(root.fd.get(), "/etc/second/new").has_value());
  CHECK(exists(root.path + "/root/srv/data/deep"));
  CHECK(!exists(root.path + "/root/srv/data/deep/new"));
  REQUIRE(mend_links_in_root(root.fd.get(), "/nowhere/new").has_value());
  CHECK(!exists(root.path + "/root/nowhere"));
}

}  // namespace panal
