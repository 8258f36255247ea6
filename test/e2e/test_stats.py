"""docker stats and docker top: the kernel's numbers in Docker's words."""

import unittest

from case import EngineCase
from lab import until


class StatsTest(EngineCase):
    def box(self, *options, script="sleep 1000", name="box"):
        self.docker("run", "-d", "--name", name, *options, "alpine", "sh", "-c", script).check()

    def sample(self, query="stream=0&one-shot=1", name="box"):
        return self.host.api("GET", f"/containers/{name}/stats?{query}").json

    def test_fields(self):
        self.box("-m", "64m", "--pids-limit", "50")
        s = self.sample()
        self.assertEqual(s["name"], "/box")
        self.assertEqual(s["memory_stats"]["limit"], 64 << 20)
        self.assertEqual((s["pids_stats"]["current"], s["pids_stats"]["limit"]), (1, 50))
        self.assertGreater(s["cpu_stats"]["system_cpu_usage"], s["cpu_stats"]["cpu_usage"]["total_usage"])
        self.assertGreaterEqual(s["cpu_stats"]["online_cpus"], 1)
        self.assertIn("rx_bytes", s["networks"]["eth0"])
        self.assertEqual(s["preread"], "0001-01-01T00:00:00Z")
        self.assertEqual(s["precpu_stats"]["cpu_usage"]["total_usage"], 0)
        self.assertTrue(s["memory_stats"]["stats"])
        if "total_inactive_file" in s["memory_stats"]["stats"]:
            self.assertIn("max_usage", s["memory_stats"])

    def test_one_sample_has_the_time_before(self):
        self.box(script="while :; do :; done")
        s = self.sample("stream=0")
        used = s["cpu_stats"]["cpu_usage"]["total_usage"] - s["precpu_stats"]["cpu_usage"]["total_usage"]
        whole = s["cpu_stats"]["system_cpu_usage"] - s["precpu_stats"]["system_cpu_usage"]
        share = used / whole * s["cpu_stats"]["online_cpus"] * 100
        self.assertGreater(share, 1, "a busy loop, on a busy machine")
        self.assertLess(share, 130)
        self.assertLess(s["preread"], s["read"])

    def test_the_cli(self):
        self.box("-m", "128m", script="head -c 30000000 /dev/zero > /dev/shm/f; while :; do :; done")
        until(lambda: self.docker("exec", "box", "sh", "-c", "ls -l /dev/shm/f | grep -c 30000000").out.strip() == "1", "memory is used")
        result = self.docker("stats", "--no-stream", "--format", "{{.Name}}|{{.CPUPerc}}|{{.MemUsage}}|{{.NetIO}}|{{.BlockIO}}|{{.PIDs}}", "box").check()
        name, cpu, memory, net, block, pids = result.line.split("|")
        self.assertEqual((name, pids), ("box", "1"))
        self.assertGreater(float(cpu.rstrip("%")), 0.5)
        self.assertRegex(memory, r"^(2[89]|3\d)(\.\d+)?MiB / 128MiB$")
        self.assertRegex(net, r"^[\d.]+k?B / [\d.]+k?B$")
        self.assertRegex(block, r"^[\d.]+[kM]?B / [\d.]+[kM]?B$")

    def test_stream(self):
        self.box()
        self.host.stream("stats", "--format", "{{.Name}} {{.PIDs}}", "--no-trunc", "box").read_until("box 1")

    def test_disk(self):
        self.box(script="head -c 5000000 /dev/zero > /f; sync; sleep 1000")
        written = lambda: sum(e["value"] for e in self.sample()["blkio_stats"]["io_service_bytes_recursive"] or [] if e["op"] == "write")  # noqa: E731
        if self.host.run_in("sh", "-c", "grep -q ' / overlay\\|tmpfs' /proc/mounts").code != 0:
            until(lambda: written() >= 5000000, "blocks are counted")
        else:
            self.assertGreaterEqual(written(), 0)

    def test_of_one_that_does_not_run(self):
        self.docker("create", "--name", "box", "alpine").check()
        s = self.sample()
        self.assertEqual((s["read"], s["memory_stats"], s["pids_stats"]), ("0001-01-01T00:00:00Z", {}, {}))
        self.assertRegex(self.docker("stats", "--no-stream", "--format", "{{.CPUPerc}} {{.PIDs}}", "box").check().line, r"^(0\.00%|--) (0|--)$")
        self.assertEqual(self.host.api("GET", "/containers/nosuch/stats").status, 404)
        self.assertEqual(self.host.api("GET", "/containers/box/stats?stream=1&one-shot=1").status, 400)

    def test_host_network_is_not_counted(self):
        self.box("--network", "host")
        self.assertNotIn("networks", self.sample())


class TopTest(EngineCase):
    def setUp(self):
        super().setUp()
        self.docker("run", "-d", "--name", "box", "alpine", "sh", "-c", "sleep 1000 & sleep 2000; true").check()
        until(lambda: "sleep 2000" in self.docker("top", "box").out, "both run")

    def test_plain(self):
        lines = self.docker("top", "box").check().lines
        self.assertEqual(lines[0].split()[:3], ["UID", "PID", "PPID"])
        self.assertEqual(len(lines), 4)
        pid = self.host.inspect("box")["State"]["Pid"]
        self.assertIn(str(pid), [line.split()[1] for line in lines])

    def test_any_arguments(self):
        self.assertEqual(self.docker("top", "box", "-o", "pid,comm").check().lines[0].split(), ["PID", "COMMAND"])
        self.assertIn("sleep 1000", self.docker("top", "box", "aux").check().out)
        self.assertIn("sleep 1000", self.docker("top", "box", "faux").check().out)
        self.assertFails(self.docker("top", "box", "-o", "comm"), "Couldn't find PID field in ps output")
        self.assertFails(self.docker("top", "box", "--nonsense"), "ps: ")
        self.assertFails(self.docker("top", "box", "-o", "ppid=PID"), "is not allowed")

    def test_an_exec_is_there_and_others_are_not(self):
        self.docker("exec", "-d", "box", "sleep", "3000").check()
        self.docker("run", "-d", "--name", "other", "alpine", "sleep", "4000").check()
        until(lambda: "sleep 3000" in self.docker("top", "box").out, "the exec is listed")
        self.assertNotIn("sleep 4000", self.docker("top", "box").out)

    def test_of_one_that_does_not_run(self):
        self.docker("create", "--name", "still", "alpine").check()
        self.assertFails(self.docker("top", "still"), "is not running")


if __name__ == "__main__":
    unittest.main()
