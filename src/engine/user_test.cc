#include <doctest/doctest.h>

#include "engine/oci.h"

namespace panal {

static const std::string kPasswd =
    "root:x:0:0:root:/root:/bin/sh\n# "
    "comment\nbroken\nweb:x:1000:1001:Web:/srv/web:/bin/sh\n7:x:70:71::/seven:\nnohome:x:5:5:::\n";
static const std::string kGroup =
    "root:x:0:\nweb:x:1001:\naudio:x:29:web,other\nvideo:x:44:web\nempty:x:50\n";

static Result<ResolvedUser> resolve(const std::string& user, const std::vector<std::string>& extra = {}) {
  return resolve_user(user, extra, kPasswd, kGroup);
}

TEST_CASE("users by name, number and both with a group") {
  CHECK(resolve("")->uid == 0);
  CHECK(resolve("")->home == "/root");
  const auto web = resolve("web");
  REQUIRE(web.has_value());
  CHECK(web->uid == 1000);
  CHECK(web->gid == 1001);
  CHECK(web->home == "/srv/web");
  CHECK(web->groups == std::vector<uint32_t>{29, 44});
  CHECK(resolve("1000")->gid == 1001);
  CHECK(resolve("1000")->groups.size() == 2);
  CHECK(resolve("4242")->uid == 4242);
  CHECK(resolve("4242")->gid == 0);
  CHECK(resolve("4242")->home == "/");
  CHECK(resolve("web:audio")->gid == 29);
  CHECK(resolve("web:audio")->groups.empty());
  CHECK(resolve("web:99")->gid == 99);
  CHECK(resolve("nohome")->home == "/");
  CHECK(resolve(":audio")->gid == 29);
  CHECK(resolve("4242", {"audio", "77"})->groups == std::vector<uint32_t>{29, 77});
}

TEST_CASE("unknown names get Docker's errors") {
  CHECK(resolve("nobody").error().message ==
        "unable to find user nobody: no matching entries in passwd file");
  CHECK(resolve("web:nope").error().message ==
        "unable to find group nope: no matching entries in group file");
  CHECK(resolve("web", {"nope"}).error().message == "Unable to find group nope");
  CHECK(!resolve("-1").has_value());
  CHECK(!resolve("99999999999").has_value());
  CHECK(resolve_user("0", {}, "", "")->home == "/");
}

}  // namespace panal
