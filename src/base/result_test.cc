#include "base/result.h"

#include <doctest/doctest.h>

#include <cerrno>

namespace panal {

TEST_CASE("system errors name call, object and reason as Go does") {
  CHECK(sys_error(ENOENT, "open", "/x").message == "open /x: no such file or directory");
  CHECK((sys_error(ENOENT, "open").code == Code::kNotFound));
  CHECK(sys_error(EIO, "read").message == "read: input/output error");
  CHECK((sys_error(EEXIST, "mkdir", "/x").code == Code::kConflict));
  CHECK((sys_error(ETIMEDOUT, "connect").code == Code::kTimeout));
  CHECK((sys_error(EPERM, "chown").code == Code::kInternal));
}

TEST_CASE("context goes in front and TRY hands errors on") {
  CHECK(wrap("load", Error{Code::kConflict, "busy"}).message == "load: busy");
  CHECK((wrap("load", Error{Code::kConflict, "busy"}).code == Code::kConflict));
  const auto half = [](int n) -> Result<int> {
    if (n % 2) return fail(Code::kInvalid, "odd");
    return n / 2;
  };
  const auto quarter = [&](int n) -> Result<int> {
    TRY(const int once, half(n));
    TRY(const int twice, half(once));
    return twice;
  };
  CHECK(quarter(8).value() == 2);
  CHECK(quarter(6).error().message == "odd");
}

TEST_CASE("every code has a status") {
  CHECK(http_status(Code::kNotFound) == 404);
  CHECK(http_status(Code::kConflict) == 409);
  CHECK(http_status(Code::kUnsupported) == 501);
  CHECK(http_status(Code::kUnavailable) == 503);
  CHECK(http_status(Code::kNotModified) == 304);
}

}  // namespace panal
