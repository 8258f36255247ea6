#include "engine/devices/cdi.h"

#include <doctest/doctest.h>

#include "engine/devices/device_requests.h"

namespace panal {
namespace {

using Words = std::vector<std::string>;

std::string why(const std::string& text) {
  const auto spec = parse_cdi(text);
  return spec ? "" : spec.error().message;
}
std::string spec(const std::string& version, const std::string& device, const std::string& rest = "") {
  return "{\"cdiVersion\": \"" + version + "\", \"kind\": \"vendor.com/class\", \"devices\": [" + device +
         "]" + rest + "}";
}
constexpr const char* kDevice = R"({"name": "one", "containerEdits": {"env": ["A=1"]}})";

CdiDevices two_files() {
  CdiDevices out;
  out.add(
      "/etc/cdi/a.json", 0,
      spec(
          "0.6.0",
          R"({"name": "one", "containerEdits": {"env": ["A=old"]}}, {"name": "two", "containerEdits": {"env": ["B=2"]}})",
          R"(, "containerEdits": {"env": ["ANY=1"], "mounts": [{"hostPath": "/lib/x", "containerPath": "/x"}]})"));
  out.add("/run/cdi/b.yaml", 1,
          std::string("cdiVersion: 0.7.0\nkind: vendor.com/class\ndevices:\n- name: one\n  containerEdits:\n "
                      "   additionalGids: [7]\n    env: [A=new]\n"));
  return out;
}
DeviceRequest gpu(int count, Words ids = {}, Words capabilities = {"gpu"}) {
  return {"", count, std::move(ids), {std::move(capabilities)}, {}};
}
std::string refusal(const DeviceRequest& r, const DeviceDrivers& drivers = {}) {
  const auto got = requested_devices({r}, drivers, two_files());
  return got ? "" : got.error().message;
}

}  // namespace

TEST_CASE("CDI: a file with all of its parts, as JSON and as YAML") {
  const auto s = parse_cdi(spec("0.7.0", R"({"name": "0", "annotations": {"a": "b"}, "containerEdits": {
      "deviceNodes": [{"path": "/dev/x", "hostPath": "/dev/y", "type": "c", "major": 1, "minor": 3, "permissions": "rw", "fileMode": 438, "uid": 5, "gid": 6}],
      "mounts": [{"hostPath": "/h", "containerPath": "/c", "type": "tmpfs", "options": ["ro"]}],
      "hooks": [{"hookName": "createContainer", "path": "/bin/hook", "args": ["hook", "x"], "env": ["E=1"], "timeout": 3}], "additionalGids": [0, 44]}})"));
  REQUIRE_MESSAGE(s, s.error().message);
  CHECK(s->kind == "vendor.com/class");
  const OciEdits& e = s->devices.at("0");
  CHECK(e.nodes.at(0).host_path == "/dev/y");
  CHECK(e.nodes.at(0).mode == 438);
  CHECK(e.mounts.at(0).options == Words{"ro"});
  CHECK(e.hooks.at(0).timeout_seconds == 3);
  CHECK(e.gids == std::vector<uint32_t>{0, 44});
  const auto yaml = parse_cdi(
      "cdiVersion: v0.5.0\nkind: nvidia.com/gpu\ndevices:\n  - name: 0\n    containerEdits:\n      "
      "deviceNodes:\n        - path: /dev/nvidia0\n"
      "  - name: \"all\"\n    containerEdits: {env: [X=all]}\ncontainerEdits:\n  env:\n    - "
      "NVIDIA_VISIBLE_DEVICES=void\n");
  REQUIRE_MESSAGE(yaml, yaml.error().message);
  CHECK(yaml->devices.contains("0"));
  CHECK(yaml->edits.env == Words{"NVIDIA_VISIBLE_DEVICES=void"});
}

TEST_CASE("CDI: files that cannot be") {
  CHECK(why(spec("0.3.0", kDevice)) == "");
  CHECK(why(spec("9.0.0", kDevice)) == "invalid version \"9.0.0\"");
  CHECK(why(spec("", kDevice)) == "invalid version \"\"");
  CHECK(why(spec("0.3.0", R"({"name": "0", "containerEdits": {"env": ["A=1"]}})")) ==
        "the spec version must be at least v0.5.0");
  CHECK(why(spec("0.6.0", R"({"name": "x", "containerEdits": {"additionalGids": [1]}})")) ==
        "the spec version must be at least v0.7.0");
  CHECK(why(spec("0.5.0", "")) == "invalid spec, no devices");
  CHECK(why(spec("0.5.0", std::string(kDevice) + "," + kDevice)) == "invalid spec, multiple device \"one\"");
  CHECK(why(spec("0.5.0", R"({"name": "x", "containerEdits": {}})")) ==
        "invalid device \"x\", empty device edits");
  CHECK(why(spec("0.5.0", R"({"name": "-x", "containerEdits": {"env": ["A=1"]}})")) ==
        "invalid device name \"-x\"");
  CHECK(why(spec("0.5.0", R"({"name": "x", "containerEdits": {"env": ["A=1"], "odd": 1}})")) ==
        "unknown field \"odd\"");
  CHECK(why(spec("0.5.0", R"({"name": "x", "containerEdits": {"env": ["A"]}})")) ==
        "invalid device \"x\": invalid environment variable \"A\"");
  CHECK(why(spec("0.5.0",
                 R"({"name": "x", "containerEdits": {"deviceNodes": [{"path": "/d", "type": "z"}]}})")) ==
        "invalid device \"x\": device \"/d\": invalid type \"z\"");
  CHECK(
      why(spec("0.5.0",
               R"({"name": "x", "containerEdits": {"deviceNodes": [{"path": "/d", "permissions": "rx"}]}})"))
          .find("invalid permissions") != std::string::npos);
  CHECK(why(spec("0.5.0",
                 R"({"name": "x", "containerEdits": {"hooks": [{"hookName": "never", "path": "/h"}]}})"))
            .find("invalid hook name") != std::string::npos);
  CHECK(
      why(spec("0.5.0",
               R"({"name": "x", "containerEdits": {"mounts": [{"hostPath": "/h", "containerPath": "c"}]}})"))
          .find("must be absolute") != std::string::npos);
  CHECK(why(R"({"cdiVersion": "0.5.0", "kind": "vendor", "devices": []})") ==
        "invalid class in kind \"vendor\"");
  CHECK(why(R"({"cdiVersion": "0.5.0", "kind": "1.com/x", "devices": []})") ==
        "invalid vendor in kind \"1.com/x\"");
  for (const char* text : {"", "[]", "{", "null", "a: *b", "{\"devices\": 3}"})
    CHECK_MESSAGE(why(text) != "", std::string(text));
}

TEST_CASE("CDI: devices of several files") {
  const auto devices = two_files();
  CHECK(devices.problems.empty());
  const auto both = devices.edits({"vendor.com/class=one", "vendor.com/class=two"});
  REQUIRE(both);
  CHECK(both->env == Words{"A=new", "ANY=1", "B=2"});
  CHECK(both->gids == std::vector<uint32_t>{7});
  CHECK(devices.edits({"vendor.com/class=two", "vendor.com/class=two"})->mounts.size() == 1);
  CHECK(devices.edits({"vendor.com/class=three", "x"}).error().message ==
        "CDI device injection failed: unresolvable CDI devices vendor.com/class=three, x");
  CdiDevices torn = two_files();
  torn.add("/run/cdi/c.json", 1, spec("0.5.0", kDevice));
  torn.add("/run/cdi/d.json", 1, fail(Code::kInternal, "open: permission denied"));
  CHECK(!torn.edits({"vendor.com/class=one"}));
  CHECK(torn.edits({"vendor.com/class=two"}));
  std::map<std::string, Words> conflicts;
  CHECK(torn.by_name(&conflicts).size() == 1);
  CHECK(conflicts.size() == 2);
  CHECK(torn.problems.at("/run/cdi/d.json").at(0) ==
        "failed to load CDI Spec \"/run/cdi/d.json\": open: permission denied");
  CdiDevices rdt;
  rdt.add("r.json", 0, spec("0.7.0", R"({"name": "x", "containerEdits": {"intelRdt": {"closID": "a"}}})"));
  CHECK(rdt.edits({"vendor.com/class=x"}).error().message ==
        "CDI device injection failed: intelRdt is not supported");
}

TEST_CASE("device requests: who gives what") {
  CHECK(refusal(gpu(-1)) == "could not select device driver \"\" with capabilities: [[gpu]]");
  CHECK(refusal({"cdi", 0, {"vendor.com/class=one"}, {}, {}}) ==
        "could not select device driver \"cdi\" with capabilities: []");
  const DeviceDrivers cdi{.cdi_dirs = {"/etc/cdi"}};
  CHECK(requested_devices({{"cdi", 0, {"vendor.com/class=one"}, {}, {}}}, cdi, two_files())->env ==
        Words{"A=new"});
  CHECK(refusal({"cdi", 1, {}, {}, {}}, cdi) == "unexpected count in CDI device request");
  CHECK(refusal({"cdi", 0, {}, {}, {{"a", "b"}}}, cdi) == "unexpected options in CDI device request");
  CHECK(refusal(gpu(1), cdi) != "");

  const DeviceDrivers nvidia{
      .nvidia_hook = "/usr/bin/nvidia-container-runtime-hook", .amd = true, .environment = {"PATH=/bin"}};
  const auto two = requested_devices({gpu(2, {}, {"gpu", "utility"})}, nvidia, {});
  REQUIRE(two);
  CHECK(two->env == Words{"NVIDIA_VISIBLE_DEVICES=0,1", "NVIDIA_DRIVER_CAPABILITIES=utility"});
  CHECK(two->hooks.at(0).when == "prestart");
  CHECK(two->hooks.at(0).env == Words{"PATH=/bin"});
  CHECK(requested_devices({gpu(-1)}, nvidia, {})->env == Words{"NVIDIA_VISIBLE_DEVICES=all"});
  CHECK(requested_devices({gpu(0, {"GPU-1", "3"})}, nvidia, {})->env ==
        Words{"NVIDIA_VISIBLE_DEVICES=GPU-1,3"});
  CHECK(refusal(gpu(1, {"3"}), nvidia) == "cannot set both Count and DeviceIDs on device request");
  CHECK(refusal(gpu(1'000'000), nvidia) != "");
  CHECK(refusal(gpu(1, {}, {"gpu", "tpu"}), nvidia) ==
        "could not select device driver \"\" with capabilities: [[gpu tpu]]");

  CHECK(requested_devices({gpu(-1)}, {.amd = true}, {})->env == Words{"AMD_VISIBLE_DEVICES=all"});
  CdiDevices files;
  files.add(
      "n.json", 0,
      std::string(
          R"({"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": [{"name": "all", "containerEdits": {"env": ["BY=cdi"]}}]})"));
  DeviceDrivers hook_and_cdi = nvidia;
  hook_and_cdi.nvidia_cdi = true;
  CHECK(requested_devices({gpu(-1)}, hook_and_cdi, files)->env == Words{"BY=cdi"});
  CHECK(requested_devices({gpu(1)}, hook_and_cdi, files)->env == Words{"NVIDIA_VISIBLE_DEVICES=0"});
  CHECK(refusal(gpu(-1), {.nvidia_cdi = true}).starts_with("CDI device injection failed"));
}

}  // namespace panal
