#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "unpack/copy/copy_test.h"
#include "unpack/unpack.h"

namespace panal {

using namespace copy_test;

TEST_CASE("copy: a file goes to a name or into a folder, and belongs to root") {
  Desk d;
  d.file("src/a.txt", "hello", 0640, 1000);
  auto l = d.from({"a.txt"}, "/new/name").layer();
  CHECK(d.order == Paths{"new/", "new/name"});
  CHECK(l["new/name"].content == "hello");
  CHECK(l["new/name"].mode == (S_IFREG | 0640));
  CHECK(l["new/name"].uid == 0);
  CHECK(l["new/name"].gid == 0);
  CHECK(l["new/name"].mtime == 1'600'000'000);
  CHECK(l["new"].mode == (S_IFDIR | 0755));
  CHECK(l["new"].mtime == 1'700'000'000);
  CHECK(d.from({"/a.txt"}, "/new/").paths() == Paths{"new", "new/a.txt"});
  CHECK(d.from({"../../a.txt"}, "/").paths() == Paths{"a.txt"});
  d.folder("base/there", 01777, 5);
  d.time("base/there", 1'300'000'000);
  l = d.from({"a.txt"}, "/there").layer();
  CHECK(l["there/a.txt"].content == "hello");
  CHECK(l["there"].mode == (S_IFDIR | 01777));
  CHECK(l["there"].uid == 5);
  CHECK(l["there"].mtime == 1'300'000'000);
}

TEST_CASE("copy: a folder's content is copied, not the folder") {
  Desk d;
  d.file("src/app/x/deep", "1"), d.file("src/app/y", "2"), d.folder("src/app/x", 0700, 9),
      d.folder("src/app", 0700), d.folder("src/app/empty");
  d.time("src/app/x", 1'400'000'000);
  auto l = d.from({"app"}, "/srv/app").layer();
  CHECK(d.order == Paths{"srv/", "srv/app/", "srv/app/empty/", "srv/app/x/", "srv/app/x/deep", "srv/app/y"});
  CHECK(l["srv/app"].mode == (S_IFDIR | 0755));
  CHECK(l["srv/app/x"].mode == (S_IFDIR | 0700));
  CHECK(l["srv/app/x"].uid == 0);
  CHECK(l["srv/app/x"].mtime == 1'400'000'000);
  CHECK(d.from({"."}, "/").paths() == Paths{"app", "app/empty", "app/x", "app/x/deep", "app/y"});
  CHECK(d.from({"/"}, "/c/").paths() ==
        Paths{"c", "c/app", "c/app/empty", "c/app/x", "c/app/x/deep", "c/app/y"});
  d.folder("base/srv/app/x", 0111, 3);
  l = d.from({"app"}, "/srv/app").layer();
  CHECK(l["srv/app/x"].mode ==
        (S_IFDIR | 0700));  // a folder that is copied over one that exists brings its mode, as in Docker
  d.folder("src/none"), d.folder("base/some");
  CHECK(d.from({"none"}, "/some").layer().empty());
  CHECK(d.stream.empty());
}

TEST_CASE("copy: several sources need a folder, and the last one wins") {
  Desk d;
  d.file("src/a", "1"), d.file("src/b", "2"), d.file("src/dir/a", "3");
  const std::string text =
      "When using COPY with more than one source file, the destination must be a directory and end with a /";
  CHECK(d.from({"a", "b"}, "/x").error() == text);
  CHECK(d.from({"*"}, "/x").error() == text);
  CHECK(!d.digest());
  auto l = d.from({"a", "b", "dir"}, "/x/").layer();
  CHECK(l.size() == 3);
  CHECK(l["x/a"].content == "3");
  CHECK(l["x/b"].content == "2");
  CHECK(d.from({"dir", "a"}, "/x/").layer()["x/a"].content == "1");
  d.folder("src/other/b");
  CHECK(d.from({"b", "other"}, "/x/").error() == "cannot copy to non-directory: /x/b");
  CHECK(d.from({"other", "b"}, "/x/").error() == "cannot replace to directory /x/b with file");
}

TEST_CASE("copy: what stands in the way") {
  Desk d;
  d.file("src/a", "1"), d.file("src/dir/sub/f"), d.file("base/file", "old"), d.file("base/d/sub", "old"),
      d.folder("base/e/a");
  CHECK(d.from({"dir"}, "/file").error() == "cannot copy to non-directory: /file");
  CHECK(d.from({"a"}, "/file/").error() == "cannot copy to non-directory: /file");
  CHECK(d.from({"a"}, "/file/below/it").error() == "cannot copy to non-directory: /file");
  CHECK(d.from({"dir"}, "/d").error() == "cannot copy to non-directory: /d/sub");
  CHECK(d.from({"a"}, "/e/").error() == "cannot replace to directory /e/a with file");
  CHECK(d.from({"a"}, "/file").layer()["file"].content == "1");
  d.file("src/.wh.x");
  CHECK(d.from({".wh.x"}, "/").error() == "/.wh.x: a layer cannot hold a file whose name begins with .wh.");
}

TEST_CASE("copy: symlinks of the root below") {
  Desk d;
  d.file("src/a", "1"), d.file("src/dir/sub/x"), d.folder("base/usr/lib"), d.folder("base/d");
  d.link("usr/lib", "base/lib"), d.link("/opt/../var/new", "base/later"),
      d.link("../../../../etc", "base/usr/up"), d.link("/usr", "base/d/sub");
  CHECK(d.from({"a"}, "/lib").paths() == Paths{"usr", "usr/lib", "usr/lib/a"});
  CHECK(d.from({"a"}, "/lib/x/").paths() == Paths{"usr", "usr/lib", "usr/lib/x", "usr/lib/x/a"});
  CHECK(d.from({"a"}, "/later").paths() == Paths{"var", "var/new"});
  CHECK(d.from({"a"}, "/usr/up/").paths() == Paths{"etc", "etc/a"});
  CHECK(d.from({"dir"}, "/d").error() == "cannot copy to non-directory: /d/sub");
}

TEST_CASE("copy: owners, modes and the epoch") {
  Desk d;
  d.file("src/dir/f", "1", 04755, 1000), d.folder("src/dir/sub", 0700, 1000), d.link("f", "src/dir/l");
  d.job.uid = 11, d.job.gid = 12, d.job.epoch = 1'000;
  auto l = d.from({"dir"}, "/p/q").layer();
  for (const auto& [path, w] : l) CHECK(w.uid + w.gid + w.mtime == 1'023);
  CHECK(l["p/q/f"].mode == (S_IFREG | 04755));
  d.job.chmod = "2750";
  l = d.from({"dir"}, "/p/q").layer();
  CHECK(l["p"].mode == (S_IFDIR | 0755));
  CHECK(l["p/q"].mode == (S_IFDIR | 02750));
  CHECK(l["p/q/sub"].mode == (S_IFDIR | 02750));
  CHECK(l["p/q/f"].mode == (S_IFREG | 02750));
  CHECK(S_ISLNK(l["p/q/l"].mode));
  CHECK(l["p/q/l"].link == "f");
  d.job.chmod = "u=rwX,go=rX";
  l = d.from({"dir"}, "/p/q").layer();
  CHECK(l["p/q"].mode == (S_IFDIR | 0755));
  CHECK(l["p/q/sub"].mode == (S_IFDIR | 0755));
  CHECK(l["p/q/f"].mode == (S_IFREG | 0755));
  d.job.chmod = "u+z";
  CHECK(d.error().starts_with("invalid chmod parameter: 'u+z'"));
  d.job.chmod = "";
  d.job.trees[0].stage = true;
  CHECK(d.layer()["p/q/f"].uid == 1000);
  d.job.owned = true;
  CHECK(d.layer()["p/q/f"].uid == 11);
}

TEST_CASE("copy: links, devices, attributes") {
  Desk d;
  d.file("src/dir/one", "same"), d.file("src/dir/attr", "x");
  REQUIRE(::link(d.at("src/dir/one").c_str(), d.at("src/dir/two").c_str()) == 0);
  REQUIRE(::mknod(d.at("src/dir/fifo").c_str(), S_IFIFO | 0600, 0) == 0);
  const bool devices = ::mknod(d.at("src/dir/null").c_str(), S_IFCHR | 0666, makedev(1, 3)) == 0;
  const bool attributes = ::setxattr(d.at("src/dir/attr").c_str(), "user.note", "hi", 2, 0) == 0;
  auto l = d.from({"dir"}, "/d").layer();
  CHECK(l["d/one"].content == "same");
  CHECK(l["d/two"].hard == "d/one");
  CHECK(S_ISFIFO(l["d/fifo"].mode));
  if (devices) CHECK(S_ISCHR(l["d/null"].mode));
  if (attributes) CHECK(l["d/attr"].attributes == std::map<std::string, std::string>{{"user.note", "hi"}});
}

TEST_CASE("copy: here-documents") {
  Desk d;
  d.job.texts = {{"EOF", base64("text\n")}};
  auto l = d.from({}, "/etc/motd").layer();
  CHECK(l["etc/motd"].content == "text\n");
  CHECK(l["etc/motd"].mode == (S_IFREG | 0644));
  CHECK(l["etc/motd"].mtime == 1'700'000'000);
  d.file("src/a", "1"), d.job.texts.push_back({"a", base64("2")}), d.job.chmod = "0600";
  l = d.from({"a"}, "/x/").layer();
  CHECK(l["x/EOF"].content == "text\n");
  CHECK(l["x/a"].content == "2");
  CHECK(l["x/a"].mode == (S_IFREG | 0600));
  d.job.texts = {{"../a", ""}};
  CHECK(d.from({}, "/x/").error() == "invalid name of a here-document: ../a");
}

TEST_CASE("copy: WORKDIR makes a folder") {
  Desk d;
  d.folder("base/usr"), d.file("base/file"), d.link("usr", "base/l");
  auto l = d.from({}, "/l/a/b").layer();
  CHECK(d.order == Paths{"usr/", "usr/a/", "usr/a/b/"});
  CHECK(l["usr/a/b"].mode == (S_IFDIR | 0755));
  CHECK(d.from({}, "/usr").layer().empty());
  CHECK(d.from({}, "/").layer().empty());
  CHECK(d.from({}, "/file").error() == "Cannot mkdir: /file is not a directory");
  CHECK(d.from({}, "/file/x").error() == "cannot copy to non-directory: /file");
}

TEST_CASE("copy: the same content gives the same bytes") {
  Desk d, e;
  for (auto* x : {&d, &e}) x->job.epoch = 1'000, x->job.now = x == &d ? 5'000 : 6'000;
  d.file("src/b", "2"), d.file("src/a/x", "1"), d.folder("src/c");
  e.folder("src/c"), e.file("src/a/x", "1"), e.file("src/b", "2");
  (void)d.from({"."}, "/to").layer(), (void)e.from({"."}, "/to").layer();
  CHECK(d.stream == e.stream);
  CHECK(d.stream.size() > 1024);
}

TEST_CASE("copy: locked in, nothing but the trees is seen") {
  if (::geteuid() != 0) return;
  Desk d;
  d.file("src/f", "1"), d.link("/base/hidden", "src/other"), d.file("base/hidden", "2"),
      d.link("/../../src0/f", "src/round");
  TreeJob tree;
  tree.read_only = true, tree.binds = {{d.at("src"), copy_tree_at(0), true}, {d.at("base"), kCopyBase, true}};
  const auto run = [&](std::vector<std::string> patterns) {
    const Fd in(::memfd_create("job", MFD_CLOEXEC)), out(::memfd_create("layer", MFD_CLOEXEC));
    REQUIRE(write_all(in.get(), to_text(d.from(std::move(patterns), "/to/").job)));
    ::lseek(in.get(), 0, SEEK_SET);
    const int pid = ::fork();
    if (pid == 0) {
      ::dup2(in.get(), 0), ::dup2(out.get(), 1);
      ::_exit(copy_sources(tree) ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    return status == 0 ? d.read(out.get()) : Layer{};
  };
  CHECK(run({"f"})["to/f"].content == "1");
  CHECK(run({"other"}).empty());
  CHECK(run({"round"}).empty());
}

}  // namespace panal
