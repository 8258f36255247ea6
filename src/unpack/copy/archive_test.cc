#include "unpack/copy/copy_test.h"

namespace panal {

using namespace copy_test;

TEST_CASE("copy: an archive is unpacked, in every packing") {
  Desk d;
  const std::vector<Member> members{{"./", "", "", "", S_IFDIR | 0700},
                                    {"dir/", "", "", "", S_IFDIR | 0711},
                                    {"dir/f", "content"},
                                    {"dir/hard", "", "", "dir/f"},
                                    {"l", "", "dir/f"}};
  for (const auto filter :
       {archive_write_add_filter_none, archive_write_add_filter_gzip, archive_write_add_filter_bzip2,
        archive_write_add_filter_xz, archive_write_add_filter_zstd}) {
    tar(d.at("src/x.bin"), members, filter);
    d.from({"x.bin"}, "/to"), d.job.sources[0].unpack = true;
    auto l = d.layer();
    CHECK(l.size() == 5);
    CHECK(l["to"].mode == (S_IFDIR | 0700));
    CHECK(l["to/dir"].mode == (S_IFDIR | 0711));
    CHECK(l["to/dir/f"].content == "content");
    CHECK(l["to/dir/f"].uid == 7);
    CHECK(l["to/dir/f"].gid == 8);
    CHECK(l["to/dir/f"].mtime == 1'500'000'000);
    CHECK(l["to/dir/hard"].hard == "to/dir/f");
    CHECK(l["to/l"].link == "dir/f");
  }
  d.job.owned = true, d.job.uid = 3, d.job.epoch = 4;
  CHECK(d.layer()["to/dir/f"].uid == 3);
  CHECK(d.layer()["to/dir/f"].mtime == 4);
  CHECK(d.from({"x.bin"}, "/to").paths() == Paths{"to"});  // COPY copies it
  d.file("src/plain.gz", "no archive"), d.file("src/empty.tar");
  d.from({"plain.gz", "empty.tar"}, "/to/"), d.job.sources[0].unpack = d.job.sources[1].unpack = true;
  CHECK(d.paths() == Paths{"to", "to/empty.tar", "to/plain.gz"});
  tar(d.at("src/cut.tar"), {{"a", std::string(5000, 'x')}, {"b", "y"}});
  REQUIRE(::truncate(d.at("src/cut.tar").c_str(), 3000) == 0);
  d.from({"cut.tar"}, "/to"), d.job.sources[0].unpack = true;
  CHECK(d.error() == "cut.tar: unexpected EOF");
}

TEST_CASE("copy: archives overwrite, and reach nothing outside") {
  Desk d;
  d.folder("base/to/isdir"), d.file("base/to/isfile"), d.folder("base/var/www"),
      d.link("/var/www", "base/to/www"), d.file("base/to/isdir/below");
  const auto unpack = [&](const std::vector<Member>& members, const std::string& to = "/to") -> Desk& {
    tar(d.at("src/x.tar"), members);
    d.from({"x.tar"}, to), d.job.sources[0].unpack = true;
    return d;
  };
  auto l = unpack({{"isdir", "now a file"},
                   {"isfile/", "", "", "", S_IFDIR | 0755},
                   {"isfile/in", "1"},
                   {"www/index", "2"}})
               .layer();
  CHECK(S_ISREG(l["to/isdir"].mode));
  CHECK(S_ISDIR(l["to/isfile"].mode));
  CHECK(l["to/isfile/in"].content == "1");
  CHECK(l["var/www/index"].content == "2");
  l = unpack({{"a", "1"}, {"b", "", "", "a"}, {"a", "2"}, {"c/x", "3"}, {"c", "4"}}).layer();
  CHECK(l["to/a"].content == "2");
  CHECK(l["to/b"].content == "1");
  CHECK(l["to/c"].content == "4");
  CHECK(!l.contains("to/c/x"));
  CHECK(unpack({{"../../etc/passwd", "x"}}).error() == "x.tar: ../../etc/passwd is outside of /to");
  CHECK(unpack({{"/abs", "x"}}).paths() == Paths{"to", "to/abs"});
  CHECK(unpack({{"s", "", "/etc"}, {"s/passwd", "x"}}).error() == "x.tar: s/passwd is outside of /to");
  CHECK(unpack({{"s", "", "../.."}, {"s/passwd", "x"}}).error() == "x.tar: s/passwd is outside of /to");
  CHECK(unpack({{"s", "", "www"}, {"s/passwd", "x"}}).error() == "x.tar: s/passwd is outside of /to");
  CHECK(unpack({{"s", "", "in/side"}, {"s/f", "x"}}).paths() ==
        Paths{"to", "to/in", "to/in/side", "to/in/side/f", "to/s"});
  CHECK(unpack({{"h", "", "", "../../etc/shadow"}}).error() == "x.tar: ../../etc/shadow is outside of /to");
  CHECK(unpack({{"h", "", "", "none"}}).error() == "x.tar: link none /to/h: no such file or directory");
  CHECK(unpack({{"a", "1"}, {"a/b", "2"}}).error() == "x.tar: cannot copy to non-directory: /to/a");
  CHECK(unpack({{"a", "1"}}, "/to/isfile").error() == "cannot copy to non-directory: /to/isfile");
  l = unpack({{"s", "", "/etc"}, {"s/passwd", "x"}}, "/").layer();
  CHECK(l["etc/passwd"].content == "x");
}

TEST_CASE("copy: an archive's hard links to files that are there already") {
  Desk d;
  d.file("base/to/old", "as it was", 0640, 5), d.link("old", "base/to/link"), d.folder("base/to/dir");
  d.file("base/else/f", "1"), d.link("../else", "base/to/away");
  const auto unpack = [&](const std::vector<Member>& members) -> Desk& {
    tar(d.at("src/x.tar"), members);
    d.from({"x.tar"}, "/to"), d.job.sources[0].unpack = true;
    return d;
  };
  auto l = unpack({{"new", "", "", "old"}, {"in/other", "", "", "new"}}).layer();
  CHECK(d.order == Paths{"to/", "to/in/", "to/in/other", "to/new", "to/old"});
  CHECK(l["to/in/other"].content == "as it was");
  CHECK(l["to/in/other"].mode == (S_IFREG | 0640));
  CHECK(l["to/in/other"].uid == 5);
  for (const char* path : {"to/new", "to/old"}) CHECK(l[path].hard == "to/in/other");
  l = unpack({{"new", "", "", "old"}, {"old", "replaced"}}).layer();
  CHECK(l["to/new"].content == "as it was");
  CHECK(l["to/old"].content == "replaced");
  CHECK(l["to/old"].hard.empty());
  l = unpack({{"same", "", "", "link"}}).layer();
  CHECK(l["to/link"].link == "old");
  CHECK(l["to/same"].hard == "to/link");
  l = unpack({{"f", "", "", "away/f"}}).layer();
  CHECK(l["else/f"].content == "1");
  CHECK(l["to/f"].hard == "else/f");
  CHECK(unpack({{"x", "", "", "dir"}}).error() == "x.tar: link dir /to/x: no such file or directory");
  CHECK(unpack({{".wh.x", "", "", "old"}}).error().find("begins with .wh.") != std::string::npos);
  CHECK(d.digest());
}

TEST_CASE("copy: a bomb is refused before it is written") {
  Desk d;
  tar(d.at("src/x.tar"), {{"zeros", std::string(80 << 20, '\0')}}, archive_write_add_filter_bzip2);
  d.from({"x.tar"}, "/to"), d.job.sources[0].unpack = true;
  CHECK(d.error() == "x.tar: expands more than 2000 times");
}

}  // namespace panal
