"""Devices by request: CDI files of vendors, and what --gpus says where there is no driver."""

import json
import os

from case import EngineCase

YAML = """\
cdiVersion: 0.7.0
kind: vendor.com/device
devices:
- name: plain
  containerEdits:
    env: [FOO=injected, PATH=/bin:/sbin]
    additionalGids: [4444]
    deviceNodes:
    - {path: /dev/mine, hostPath: /dev/null, permissions: rw}
- name: hooked
  containerEdits:
    hooks:
    - {hookName: createRuntime, path: /bin/sh, args: [sh, -c, "cat > /dev/null; echo made >> %(dir)s/hooks"]}
    - {hookName: poststop, path: /bin/sh, args: [sh, -c, "cat > /dev/null; echo gone >> %(dir)s/hooks"]}
- name: rdt
  containerEdits: {intelRdt: {closID: a}}
- name: gone
  containerEdits: {deviceNodes: [{path: /dev/nosuch}]}
containerEdits:
  mounts:
  - {hostPath: %(dir)s/lib, containerPath: /opt/lib, options: [ro, rbind, nosuid]}
"""


class CdiTest(EngineCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = os.path.realpath(f"/tmp/panal-cdi-{os.getpid()}")
        os.makedirs(cls.dir + "/lib", exist_ok=True)
        cls.engine_flags = ("--cdi-spec-dir", cls.dir)
        cls.addClassCleanup(os.system, f"rm -rf {cls.dir}")
        super().setUpClass()

    def setUp(self):
        super().setUp()
        for name, text in {"lib/library": "found", "vendor.yaml": YAML % {"dir": self.dir}, "bad.json": '{"cdiVersion": "99"}', "notes.txt": "no spec"}.items():
            with open(f"{self.dir}/{name}", "w") as file:
                file.write(text)

    def test_device_with_all_it_brings(self):
        out = self.docker("run", "--rm", "-u", "1000", "-e", "FOO=own", "--device", "vendor.com/device=plain", "alpine", "sh", "-c",
                          "echo $FOO; id -G; cat /opt/lib/library; echo; stat -c %t:%T:%u /dev/mine; echo x > /dev/mine && echo wrote; touch /opt/lib/x 2>/dev/null || echo ro").check().lines
        self.assertEqual(out, ["injected", "0 4444", "found", "1:3:1000", "wrote", "ro"])
        self.docker("run", "-d", "--name", "box", "--device", "vendor.com/device=plain", "alpine", "sleep", "100").check()
        self.assertEqual(self.host.inspect("box")["HostConfig"]["DeviceRequests"], [{"Driver": "cdi", "Count": 0, "DeviceIDs": ["vendor.com/device=plain"]}])
        self.docker("restart", "-t", "0", "box").check()
        self.assertEqual(self.docker("exec", "box", "cat", "/opt/lib/library").check().out, "found")

    def test_hooks_run_at_start_and_end(self):
        self.docker("run", "--rm", "--device", "vendor.com/device=hooked", "alpine", "true").check()
        with open(self.dir + "/hooks") as file:
            self.assertEqual(file.read(), "made\ngone\n")

    def test_what_cannot_be(self):
        for device, text in {"vendor.com/device=nosuch": "CDI device injection failed: unresolvable CDI devices vendor.com/device=nosuch",
                             "vendor.com/device=rdt": "intelRdt is not supported", "vendor.com/device=gone": 'failed to stat CDI host device "/dev/nosuch"'}.items():
            with self.subTest(device):
                result = self.docker("run", "--rm", "--device", device, "alpine", "true")
                self.assertIn(text, result.err)
                self.assertIn(result.code, (125, 127))
        self.assertFails(self.docker("run", "--rm", "--gpus", "all", "alpine", "true"), 'could not select device driver "" with capabilities: [[gpu]]', code=125)

    def test_info(self):
        info = self.host.api("GET", "/info").json
        self.assertEqual(info["CDISpecDirs"], [self.dir])
        self.assertEqual([d["ID"] for d in info["DiscoveredDevices"]], [f"vendor.com/device={n}" for n in ("gone", "hooked", "plain", "rdt")])
        self.assertIn(f"CDI: Error associated with spec file {self.dir}/bad.json: ", json.dumps(info["Warnings"]).replace("\\", ""))
        self.assertNotIn("DiscoveredDevices", self.host.api("GET", "/v1.49/info").json)

    def test_privileged_gets_nodes_under_other_names(self):
        self.assertEqual(self.docker("run", "--rm", "--privileged", "--device", "/dev/null:/dev/other", "alpine", "stat", "-c", "%t:%T", "/dev/other").check().out, "1:3\n")
