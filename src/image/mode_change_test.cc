#include "image/mode_change.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

namespace panal {

static mode_t changed(std::string_view text, mode_t mode) {
  const auto change = ModeChange::parse(text);
  INFO(text);
  REQUIRE(change.has_value());
  return change->apply(mode);
}
static std::string refused(std::string_view text) {
  const auto change = ModeChange::parse(text);
  REQUIRE(!change);
  CHECK(change.error().code == Code::kInvalid);
  return change.error().message;
}

TEST_CASE("chmod: an octal mode replaces all") {
  CHECK(changed("0640", S_IFREG | 06755) == (S_IFREG | 0640));
  CHECK(changed("7777", S_IFDIR) == (S_IFDIR | 07777));
  CHECK(changed("0", S_IFREG | 0777) == S_IFREG);
  const std::string rest = "'. it should be octal string and between 0 and 07777";
  for (const std::string text : {"8", "0o755", "07788", "10000", "77777777777777777777", "755x"})
    CHECK(refused(text) == "invalid chmod parameter: '" + text + rest);
}

// As chmod(1) under umask 022, which makes these modes of 0640 and 0750.
TEST_CASE("chmod: symbolic changes") {
  struct Case {
    const char* text;
    mode_t file, folder;
  };
  for (const auto& [text, file, folder] : std::initializer_list<Case>{{"u+x", 0740, 0750},
                                                                      {"+x", 0751, 0751},
                                                                      {"a=rX", 0444, 0555},
                                                                      {"u=rwX,go=rX", 0644, 0755},
                                                                      {"go-w", 0640, 0750},
                                                                      {"g=u", 0660, 0770},
                                                                      {"g=u-w", 0640, 0750},
                                                                      {"go=", 0600, 0700},
                                                                      {"o=g", 0644, 0755},
                                                                      {"u+r-w", 0440, 0550},
                                                                      {"+w", 0640, 0750},
                                                                      {"a+w", 0662, 0772},
                                                                      {"=rw", 0644, 0644},
                                                                      {"=rw,+X", 0644, 0755},
                                                                      {"u+s,g+s", 06640, 06750},
                                                                      {"+t", 01640, 01750},
                                                                      {"ug=rw,o=", 0660, 0660},
                                                                      {"u=g,g=o", 0400, 0500},
                                                                      {"-rwx", 0, 0},
                                                                      {"u=,g+w,o+r", 0064, 0074},
                                                                      {"a+", 0640, 0750}}) {
    CHECK_MESSAGE(changed(text, S_IFREG | 0640) == (S_IFREG | file), text);
    CHECK_MESSAGE(changed(text, S_IFDIR | 0750) == (S_IFDIR | folder), text);
  }
  CHECK(changed("a-x,a+X", S_IFREG | 0711) == (S_IFREG | 0711));  // X looks at the mode as it was
  CHECK(changed("o+t", S_IFDIR | 0755) == (S_IFDIR | 0755));      // the sticky bit is not others'
  CHECK(changed("g-s", S_IFDIR | 02755) == (S_IFDIR | 0755));
  CHECK(changed("u=rwx", S_IFREG | 04000) == (S_IFREG | 0700));
}

TEST_CASE("chmod: what is no mode is refused by name") {
  CHECK(refused("u+z") == "invalid chmod parameter: 'u+z': 'z' is none of +, -, =, r, w, x, X, s and t");
  CHECK(refused("rw") == "invalid chmod parameter: 'rw': 'r' is none of +, -, =, r, w, x, X, s and t");
  for (const char* text : {"", "u", "u+x,", ",", "u+x,,g+x"})
    CHECK(refused(text).find(": +, - or = is missing in '") != std::string::npos);
  for (const char* text : {"u=go", "u=gr"}) CHECK(refused(text).ends_with("stands by itself"));
  CHECK(refused(std::string(2000, 'u') + "+x").ends_with("it is too long"));
}

}  // namespace panal
