#include "engine/security.h"

#include <doctest/doctest.h>

#include "base/json.h"

namespace panal {
namespace {

using Words = std::vector<std::string>;
const SeccompMachine kAmd{"amd64", 6, 1};

// name -> {action, errno, arguments as text}, one entry per rule
std::multimap<std::string, std::string> rules(const std::string& profile, SeccompKind kind, const Words& caps,
                                              const SeccompMachine& machine = kAmd) {
  std::multimap<std::string, std::string> out;
  const Json j = parse_json(seccomp_config(profile, kind, caps, machine).value()).value();
  for (const auto& rule : j.at("syscalls").get_array())
    for (const auto& name : rule.at("names").get_array()) {
      const auto& r = rule.get_object();
      out.emplace(str(name), str(r.at("action")).substr(9) +
                                 (r.contains("errnoRet") ? dump(r.at("errnoRet")) : "") +
                                 (r.contains("args") ? dump(r.at("args")) : ""));
    }
  return out;
}
std::string refusal(const std::string& profile) {
  const auto made = seccomp_config(profile, SeccompKind::kAsWritten, {}, kAmd);
  return made ? "" : made.error().message;
}

constexpr const char* kConditional =
    R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "defaultErrno": "ENOSYS",
  "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}, {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}],
  "syscalls": [
    {"names": ["read", "mount", "clone", "clone3", "keyctl", "reboot"], "action": "SCMP_ACT_ALLOW", "args": [], "includes": {}, "excludes": {}, "comment": ""},
    {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
    {"names": ["bpf"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "errno": "EPERM", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
    {"names": ["both"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_KILL", "CAP_SYS_ADMIN"]}},
    {"names": ["arm_only"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm", "arm64"]}},
    {"names": ["new"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}}, {"names": ["newer"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "6.2"}},
    {"name": "one", "action": "SCMP_ACT_TRACE", "args": [{"index": 1, "value": 4294967295, "valueTwo": 0, "op": "SCMP_CMP_EQ"}]}]})";

}  // namespace

TEST_CASE("rules hold for architecture, kernel and capabilities") {
  auto plain = rules(kConditional, SeccompKind::kAsWritten, {"CAP_KILL"});
  CHECK(plain.find("bpf")->second == "ERRNO1");
  CHECK(plain.find("mount")->second == "ALLOW");
  CHECK(!plain.contains("both"));
  CHECK(!plain.contains("arm_only"));
  CHECK(plain.contains("new"));
  CHECK(!plain.contains("newer"));
  CHECK(plain.find("one")->second ==
        R"(TRACE[{"index":1,"value":4294967295,"valueTwo":0,"op":"SCMP_CMP_EQ"}])");
  auto admin = rules(kConditional, SeccompKind::kAsWritten, {"CAP_KILL", "CAP_SYS_ADMIN"});
  CHECK(admin.find("bpf")->second == "ALLOW");
  CHECK(admin.contains("both"));
  CHECK(rules(kConditional, SeccompKind::kAsWritten, {}, {"arm64", 6, 2}).contains("arm_only"));
  CHECK(rules(kConditional, SeccompKind::kAsWritten, {}, {"arm64", 6, 2}).contains("newer"));
  const Json j = parse_json(seccomp_config(kConditional, SeccompKind::kAsWritten, {}, kAmd).value()).value();
  CHECK(j.at("architectures") == Json{"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"});
  CHECK(j.at("defaultErrnoRet") == 38);
}

TEST_CASE("Debian's profile is narrowed to Docker's") {
  auto plain = rules(kConditional, SeccompKind::kDebian, {"CAP_CHOWN"});
  CHECK(plain.find("read")->second == "ALLOW");
  for (const auto* name : {"mount", "keyctl", "reboot"})
    CHECK_MESSAGE(plain.find(name)->second == "ERRNO1", std::string(name));
  CHECK(plain.count("clone") == 8);  // each namespace flag refused, none of them allowed
  CHECK(plain.find("clone3")->second == "ERRNO38");
  bool threads = false;
  for (auto [it, end] = plain.equal_range("clone"); it != end; ++it)
    threads |=
        it->second == R"(ALLOW[{"index":0,"value":2114060288,"valueTwo":0,"op":"SCMP_CMP_MASKED_EQ"}])";
  CHECK(threads);
  auto admin = rules(kConditional, SeccompKind::kDebian, {"CAP_SYS_ADMIN", "CAP_SYS_BOOT"});
  for (const auto* name : {"mount", "clone", "clone3", "reboot"})
    CHECK_MESSAGE(admin.find(name)->second == "ALLOW", std::string(name));
  CHECK(admin.find("keyctl")->second == "ERRNO1");
}

TEST_CASE("profiles that cannot be used are refused with their fault") {
  CHECK(refusal(R"({"defaultAction":"SCMP_ACT_ALLOW"})") == "");
  CHECK(refusal("nonsense").starts_with("Decoding seccomp profile failed: "));
  CHECK(refusal("{}") == "invalid seccomp profile: unknown action \"\"");
  CHECK(refusal(R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"NO"}]})") ==
        "invalid seccomp profile: unknown action \"NO\"");
  CHECK(
      refusal(
          R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"b","names":["a"],"action":"SCMP_ACT_LOG"}]})")
          .find("use either 'name' or 'names'") != std::string::npos);
  CHECK(
      refusal(
          R"({"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"archMap":[{"architecture":"SCMP_ARCH_X86_64"}]})")
          .find("use either 'architectures' or 'archMap'") != std::string::npos);
  CHECK(
      refusal(
          R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_LOG","args":[{"index":6,"op":"SCMP_CMP_EQ"}]}]})") !=
      "");
  CHECK(refusal(R"({"defaultAction":"SCMP_ACT_ALLOW","flags":["X"]})") != "");
  CHECK(refusal(R"({"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/x"})").find("listenerPath") !=
        std::string::npos);
}

TEST_CASE("security options") {
  CHECK(parse_security_options({"no-new-privileges"}).value().no_new_privileges);
  CHECK(!parse_security_options({"no-new-privileges", "no-new-privileges:false"}).value().no_new_privileges);
  CHECK(parse_security_options({"no-new-privileges=1", "apparmor=unconfined", "label:disable"})
            .value()
            .no_new_privileges);
  CHECK(parse_security_options({"apparmor=mine"}).value().apparmor == "mine");
  CHECK(parse_security_options({"apparmor=unconfined"}).value().apparmor == "unconfined");
  CHECK(parse_security_options({"seccomp:unconfined"}).value().seccomp == "unconfined");
  CHECK(parse_security_options({"seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}"})
            .value()
            .seccomp.starts_with("{"));
  for (const auto* text : {"no-new-privileges=maybe", "seccomp", "seccomp={}", "label=type:x", "nonsense",
                           "writable-cgroups=x", "label", ""})
    CHECK_MESSAGE(!parse_security_options({text}), std::string(text));
  CHECK(parse_security_options({"odd=1"}).error().message == "invalid --security-opt 2: \"odd=1\"");
  CHECK(writable_cgroups({"writable-cgroups"}) == true);
  CHECK(writable_cgroups({"writable-cgroups", "writable-cgroups=false"}) == false);
  CHECK(!writable_cgroups({"no-new-privileges"}));
}

TEST_CASE("which profile a container gets") {
  const std::string mine = R"({"defaultAction":"SCMP_ACT_LOG"})",
                    file = R"({"defaultAction":"SCMP_ACT_TRAP"})";
  const auto with = [](std::string seccomp) { return SecurityOptions{false, std::move(seccomp)}; };
  SeccompDefault builtin("builtin", std::string(kConditional), std::string(), kAmd);
  CHECK(builtin.check());
  CHECK(builtin.config({}, false, {}).value().find("keyctl") != std::string::npos);
  CHECK(builtin.config({}, false, {}).value() == builtin.config({}, false, {}).value());
  CHECK(builtin.config({}, false, {"CAP_SYS_ADMIN"}).value() != builtin.config({}, false, {}).value());
  CHECK(builtin.config({}, true, {}).value().empty());
  CHECK(builtin.config(with("unconfined"), false, {}).value().empty());
  CHECK(builtin.config(with(mine), false, {}).value().find("ACT_LOG") != std::string::npos);
  CHECK(builtin.config(with(mine), true, {}).value().find("ACT_LOG") != std::string::npos);
  SeccompDefault custom("/a/file", std::string(kConditional), file, kAmd);
  CHECK(custom.config({}, false, {}).value().find("ACT_TRAP") != std::string::npos);
  CHECK(custom.config(with("builtin"), false, {}).value().find("keyctl") != std::string::npos);
  SeccompDefault missing("builtin", fail(Code::kInternal, "missing"), std::string(), kAmd);
  CHECK(!missing.check());
  CHECK(missing.config({}, false, {}).error().message == "missing");
  CHECK(missing.config({}, true, {}).value().empty());
  CHECK(missing.config(with("unconfined"), false, {}).value().empty());
  SeccompDefault off("unconfined", fail(Code::kInternal, "missing"), std::string(), kAmd);
  CHECK(off.check());
  CHECK(off.config({}, false, {}).value().empty());
}

}  // namespace panal
