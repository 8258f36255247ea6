#include "engine/id_map.h"

#include <doctest/doctest.h>

namespace panal {

static const std::string
    kPasswd = "root:x:0:0::/root:/bin/sh\nann:x:1000:1001::/:/bin/sh\nbad\n\ndockremap:x:990:980::/:\n",
    kGroup = "root:x:0:\nann:x:1001:\nstaff:x:50:ann\ndockremap:x:980:\n";

static std::string user_error(const std::string& setting) {
  const auto user = remap_user(setting, kPasswd, kGroup);
  return user ? "" : user.error().message;
}
static std::string range_error(const std::string& text) {
  const auto ranges = subordinate_ids({"ann", "ann", 1000}, "/etc/subuid", text);
  return ranges ? "" : ranges.error().message;
}

TEST_CASE("userns-remap names a user") {
  const auto named = [](const std::string& setting) {
    const auto user = remap_user(setting, kPasswd, kGroup);
    return user ? user->name + ":" + user->group : user.error().message;
  };
  CHECK(named("ann") == "ann:ann");
  CHECK(named("ann:staff") == "ann:staff");
  CHECK(named("1000:50") == "ann:staff");
  CHECK(named("990:980") == "dockremap:dockremap");
  CHECK(named("default") == "dockremap:dockremap");
  CHECK(named("root:0") == "root:root");
}

TEST_CASE("userns-remap: users that are none") {
  CHECK(user_error("a:b:c") == "Invalid user/group specification in --userns-remap: \"a:b:c\"");
  CHECK(user_error("bob") == "Error during uid lookup for \"bob\": no such user");
  CHECK(user_error("77") == "Uid 77 has no entry in /etc/passwd");
  CHECK(user_error("1000") == "Gid 1000 has no entry in /etc/group");
  CHECK(user_error("ann:none") == "Error during gid lookup for \"none\": no such group");
  CHECK(user_error("ann:77") == "Gid 77 has no entry in /etc/group");
  CHECK(remap_user("default", "", "").error().code == Code::kNotFound);
  CHECK(!user_error("").empty());
}

TEST_CASE("subordinate ids") {
  const RemapUser ann{"ann", "ann", 1000};
  const auto ids = subordinate_ids(ann, "/etc/subuid", "# x\nbob:1:2\n ann:100000:65536 \n\nann:300000:10\n");
  REQUIRE(ids);
  CHECK(*ids == std::vector<IdRange>{{0, 100000, 65536}, {65536, 300000, 10}});
  CHECK(id_map_text(*ids) == "0 100000 65536\n65536 300000 10\n");
  CHECK(id_outside(*ids, 0) == 100000);
  CHECK(id_outside(*ids, 65537) == 300001);
  CHECK(!id_outside(*ids, 65546));
  // The user's number goes before its name, as in Docker.
  CHECK(subordinate_ids(ann, "/etc/subuid", "ann:5:1\n1000:7:1\n").value() ==
        std::vector<IdRange>{{0, 7, 1}});
  CHECK(subordinate_ids(ann, "/etc/subuid", "ann:4294967294:1\n"));
}

TEST_CASE("a range that nobody has") {
  CHECK(free_range("") == 100000);
  CHECK(free_range("# x\nann:100000:65536\n") == 165536);
  CHECK(free_range("bob:300000:10\nann:100000:65536\nbad:x:1\n") == 165536);
  CHECK(free_range("b:231000:65536\na:100000:65536\n") == 296536);
  CHECK(free_range("a:1000:10\nb:99999:1\n") == 100000);
  CHECK(free_range("a:150000:5\n") == 150005);
  CHECK(free_range("a:1:4294967290\n") == std::nullopt);
}

TEST_CASE("subordinate ids that cannot be") {
  CHECK(range_error("bob:1:2\n").starts_with("no subuid ranges found for user \"ann\""));
  CHECK(range_error("ann:1:0\n").starts_with("no subuid ranges found for user \"ann\""));
  CHECK(range_error("ann:1\n") ==
        "Cannot parse subuid/gid information. Format not correct for /etc/subuid file");
  CHECK(range_error("ann:x:2\n") == "String to int conversion failed during subuid/gid parsing of ann:x:2");
  CHECK(range_error("ann:-1:2\n") == "String to int conversion failed during subuid/gid parsing of ann:-1:2");
  CHECK(range_error("ann:4294967296:1\n").starts_with("String to int conversion failed"));
  CHECK(range_error("ann:0:65536\n") == "ann:0:65536 would hand out the host's root");
  CHECK(range_error("ann:4294967295:1\n") == "ann:4294967295:1 goes beyond the largest id");
  CHECK(range_error("ann:1:4294967294\nann:4294967295:1\n").ends_with("goes beyond the largest id"));
  CHECK(range_error("ann:100:10\nann:109:1\n") ==
        "/etc/subuid: ann:109:1 overlaps another range of the same user");
  std::string many;
  for (int i = 1; i < 400; ++i) many += "ann:" + std::to_string(i * 1000000) + ":10\n";
  CHECK(range_error(many) == "/etc/subuid: more ranges of ann than the kernel takes");
}

}  // namespace panal
