"""A container's life: create, start, stop, kill, restart, wait, rm; what ps and inspect show of it; the events it makes."""

import datetime
import json
import re
import time
import unittest

import lab
from case import EngineCase
from lab import until

TRAP = "trap 'echo got-term; exit 6' TERM; echo ready; while :; do sleep 0.05; done"
DEAF = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


class StatesTest(EngineCase):
    def state(self, name="box"):
        return self.host.inspect(name)["State"]

    def run_ready(self, script, *options, name="box"):
        self.docker("run", "-d", "--name", name, *options, "alpine", "sh", "-c", script).check()
        self.host.wait_logs(name, "ready")

    def test_created_running_exited(self):
        identity = self.docker("create", "--name", "box", "alpine", "sh", "-c", "exit 3").check().line
        state = self.state()
        self.assertEqual((state["Status"], state["Running"], state["Pid"], state["ExitCode"]), ("created", False, 0, 0))
        self.assertTrue(state["StartedAt"].startswith("0001-01-01T00:00:00"))
        self.assertEqual(self.docker("start", "box").check().out, "box\n")
        self.assertEqual(self.docker("wait", identity).check().out, "3\n")
        state = self.state()
        self.assertEqual((state["Status"], state["Running"], state["Pid"], state["ExitCode"]), ("exited", False, 0, 3))
        self.assertLess(state["StartedAt"], state["FinishedAt"])
        self.assertRegex(state["FinishedAt"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")

    def test_start_attached(self):
        self.docker("create", "--name", "box", "alpine", "sh", "-c", "echo out; echo err >&2; exit 5").check()
        result = self.docker("start", "-a", "box")
        self.assertEqual((result.code, result.out, result.err), (5, "out\n", "err\n"))
        self.assertEqual(self.docker("start", "-a", "box").code, 5)

    def test_start_interactive(self):
        self.docker("create", "-i", "--name", "box", "alpine", "cat").check()
        self.assertEqual(self.docker("start", "-ai", "box", input="typed").check().out, "typed")

    def test_start_of_a_running_one_changes_nothing(self):
        self.docker("run", "-d", "--name", "box", "alpine", "sleep", "1000").check()
        before = self.state()["Pid"]
        self.docker("start", "box").check()
        self.assertEqual(self.state()["Pid"], before)

    def test_stop_asks_first(self):
        self.run_ready(TRAP)
        self.assertEqual(self.docker("stop", "box").check().out, "box\n")
        self.assertEqual(self.state()["ExitCode"], 6)
        self.assertIn("got-term", self.docker("logs", "box").out)

    def test_stop_kills_who_does_not_listen(self):
        self.run_ready(DEAF)
        self.docker("stop", "-t", "1", "box").check()
        self.assertEqual(self.state()["ExitCode"], 137)

    def test_stop_of_a_stopped_one_is_no_error(self):
        self.docker("run", "--name", "box", "alpine", "true").check()
        self.assertEqual(self.docker("stop", "box").check().out, "box\n")
        self.assertEqual(self.host.api("POST", "/containers/box/stop").status, 304)

    def test_start_of_a_running_one_is_not_modified(self):
        self.docker("run", "-d", "--name", "box", "alpine", "sleep", "1000").check()
        self.assertEqual(self.host.api("POST", "/containers/box/start").status, 304)

    def test_several_at_once(self):
        for name in ("one", "two"):
            self.docker("run", "-d", "--name", name, "alpine", "sleep", "1000").check()
        result = self.docker("stop", "-t", "0", "one", "nosuch", "two")
        self.assertEqual((result.code, sorted(result.lines)), (1, ["one", "two"]))
        self.assertIn("No such container: nosuch", result.err)

    def test_kill_and_its_signals(self):
        self.run_ready("trap 'echo usr1' USR1; trap 'exit 9' HUP; echo ready; while :; do sleep 0.05; done")
        for name in ("USR1", "SIGUSR1", "10"):
            self.docker("kill", "-s", name, "box").check()
            self.host.wait_logs("box", "usr1")
        self.assertTrue(self.host.is_running("box"))
        self.docker("kill", "-s", "hup", "box").check()
        self.assertEqual(self.docker("wait", "box").line, "9")

    def test_kill_without_a_signal(self):
        self.docker("run", "-d", "--name", "box", "alpine", "sleep", "1000").check()
        self.docker("kill", "box").check()
        self.assertEqual(self.docker("wait", "box").line, "137")

    def test_kill_of_a_stopped_one(self):
        identity = self.docker("run", "-d", "--name", "box", "alpine", "true").check().line
        self.docker("wait", "box")
        result = self.docker("kill", "box")
        self.assertEqual(result.code, 1)
        self.assertRegex(result.err, f"(?i)cannot kill container: box: container {identity} is not running")

    def test_kill_with_nonsense(self):
        self.docker("run", "-d", "--name", "box", "alpine", "sleep", "1000").check()
        self.assertFails(self.docker("kill", "-s", "NONSENSE", "box"), "nvalid signal: NONSENSE")
        self.assertTrue(self.host.is_running("box"))

    def test_image_may_name_the_stop_signal(self):
        self.host.load("kitchen-sink")
        self.docker("run", "-d", "--name", "box", "--entrypoint", "/bin/sh", "kitchen-sink", "-c", "trap 'exit 11' USR1; echo ready; while :; do sleep 0.05; done").check()
        self.host.wait_logs("box", "ready")
        self.docker("stop", "box").check()
        self.assertEqual(self.state()["ExitCode"], 11)

    def test_restart(self):
        self.run_ready(TRAP)
        before = self.host.inspect("box")
        self.assertEqual(self.docker("restart", "box").check().out, "box\n")
        after = self.host.inspect("box")
        self.assertEqual(after["Id"], before["Id"])
        self.assertNotEqual(after["State"]["Pid"], before["State"]["Pid"])
        self.assertGreater(after["State"]["StartedAt"], before["State"]["StartedAt"])
        self.assertEqual(before["State"]["FinishedAt"], "0001-01-01T00:00:00Z")
        self.assertGreater(after["State"]["FinishedAt"], before["State"]["StartedAt"])  # of the life before, as in Docker
        self.assertEqual(after["RestartCount"], 0)
        self.assertIn("got-term", self.docker("logs", "box").out)

    def test_restart_of_one_that_removes_itself_keeps_its_files(self):
        self.docker("run", "-d", "--rm", "--name", "box", "alpine", "sleep", "1000").check()
        for word in ("once", "twice"):
            self.docker("exec", "box", "sh", "-c", f"echo {word} >> /kept").check()
            self.docker("restart", "-t", "0", "box").check()
        self.assertEqual(self.docker("exec", "box", "cat", "/kept").check().out, "once\ntwice\n")
        self.docker("stop", "-t", "0", "box").check()
        until(lambda: self.docker("ps", "-aq").out == "", "it is gone")

    def test_restart_starts_a_stopped_one(self):
        self.docker("create", "--name", "box", "alpine", "sleep", "1000").check()
        self.docker("restart", "box").check()
        self.assertTrue(self.host.is_running("box"))

    def test_wait_for_several_and_for_what_ended(self):
        self.docker("run", "-d", "--name", "one", "alpine", "sh", "-c", "exit 1").check()
        self.docker("run", "-d", "--name", "two", "alpine", "sh", "-c", "sleep 0.3; exit 2").check()
        self.assertEqual(self.docker("wait", "one", "two").check().lines, ["1", "2"])
        self.assertEqual(self.docker("wait", "two").check().lines, ["2"])

    def test_wait_for_a_running_one(self):
        self.run_ready(TRAP)
        stream = self.host.stream("wait", "box")
        self.docker("stop", "box").check()
        self.assertEqual(stream.finish().out, "6\n")

    def test_end_of_process_one_ends_the_others(self):
        self.docker("run", "-d", "--name", "box", "alpine", "sh", "-c", "sleep 4321 & exit 0").check()
        self.docker("wait", "box")
        self.assertEqual(self.host.run_in("pgrep", "-f", "sleep 4321").out, "")

    def test_no_zombies_gather(self):
        for _ in range(5):
            self.docker("run", "--rm", "alpine", "true").check()
        until(lambda: " Z" not in self.host.run_in("ps", "-eo", "pid,stat").out, "dead processes are waited for", 10)


class RemoveTest(EngineCase):
    def test_stopped(self):
        self.docker("run", "--name", "box", "alpine", "true").check()
        self.assertEqual(self.docker("rm", "box").check().out, "box\n")
        self.assertFails(self.docker("rm", "box"), "Error response from daemon: No such container: box")

    def test_running_is_refused(self):
        self.docker("run", "-d", "--name", "box", "alpine", "sleep", "1000").check()
        result = self.docker("rm", "box")
        self.assertEqual(result.code, 1)
        self.assertRegex(result.err, "(?i)stop the container before (removing|attempting removal) or force remove")
        self.assertTrue(self.host.is_running("box"))
        self.assertEqual(self.host.api("DELETE", "/containers/box").status, 409)

    def test_running_with_force(self):
        self.docker("run", "-d", "--name", "box", "alpine", "sleep", "1000").check()
        self.assertEqual(self.docker("rm", "-f", "box").check().out, "box\n")
        self.assertEqual(self.docker("ps", "-aq").out, "")

    def test_force_of_what_is_not_there(self):
        result = self.docker("rm", "-f", "nosuch")
        self.assertEqual(result.code, 0 if not result.err or "No such container" in result.err else 1)

    def test_forced_at_any_moment_of_its_life(self):
        for _ in range(40):
            identity = self.docker("run", "-d", "alpine", "true").check().line
            response = self.host.api("DELETE", f"/containers/{identity}?force=1")
            self.assertEqual(response.status, 204, response.body)

    def test_flags_as_other_clients_write_them(self):
        """python3-docker sends True and False."""
        self.docker("run", "--name", "box", "-v", "/anonymous", "alpine", "true").check()
        self.assertEqual(self.host.api("DELETE", "/containers/box?v=False&link=False&force=False").status, 204)
        self.assertEqual(len(self.docker("volume", "ls", "-q").lines), 1)

    def test_wait_for_removal(self):
        self.docker("run", "-d", "--rm", "--name", "box", "alpine", "sh", "-c", "sleep 0.5; exit 3").check()
        response = self.host.api("POST", "/containers/box/wait?condition=removed")
        self.assertEqual(response.json["StatusCode"], 3)
        self.assertEqual(self.docker("ps", "-aq").out, "")

    def test_prune(self):
        self.docker("run", "--name", "gone", "alpine", "true").check()
        self.docker("run", "-d", "--name", "stays", "alpine", "sleep", "1000").check()
        self.needs(self.docker("container", "prune", "-f"), "prune").check()
        self.assertEqual(self.docker("ps", "-a", "--format", "{{.Names}}").lines, ["stays"])


    def test_prune_with_filters(self):
        for name, label in (("red", "colour=red"), ("blue", "colour=blue"), ("plain", "x")):
            self.docker("create", "--name", name, "-l", label, "alpine").check()
        names = lambda: sorted(self.docker("ps", "-a", "--format", "{{.Names}}").lines)  # noqa: E731
        self.assertFails(self.docker("container", "prune", "-f", "--filter", "until=nonsense"), "nonsense")
        self.docker("container", "prune", "-f", "--filter", "until=1h").check()
        self.assertEqual(names(), ["blue", "plain", "red"])
        self.docker("container", "prune", "-f", "--filter", "label=colour=red").check()
        self.assertEqual(names(), ["blue", "plain"])
        self.docker("container", "prune", "-f", "--filter", "label!=colour").check()
        self.assertEqual(names(), ["blue"])
        self.docker("container", "prune", "-f", "--filter", "until=0s").check()
        self.assertEqual(names(), [])


class ListTest(EngineCase):
    images = ("alpine", "hostname")

    def setUp(self):
        super().setUp()
        self.running = self.docker("run", "-d", "--name", "running", "-l", "kind=a", "-p", "8080:3000", "hostname").check().line
        self.docker("run", "--name", "failed", "-l", "kind=b", "alpine", "sh", "-c", "exit 3")
        self.docker("create", "--name", "fresh", "-l", "plain", "alpine", "echo", "a long command that does not fit").check()

    def names(self, *arguments):
        return sorted(self.docker("ps", "--format", "{{.Names}}", *arguments).check().lines)

    def test_table(self):
        result = self.docker("ps").check()
        self.assertTable(result, "CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES")
        self.assertEqual(len(result.lines), 2)
        self.assertRegex(result.lines[1], rf'^{self.running[:12]}   hostname   "hostname-web"   .* ago +Up .+ +0\.0\.0\.0:8080->3000/tcp.* +running$')

    def test_all_newest_first(self):
        self.assertEqual(self.docker("ps", "-a", "--format", "{{.Names}}").lines, ["fresh", "failed", "running"])

    def test_status_texts(self):
        statuses = dict(line.split("|") for line in self.docker("ps", "-a", "--format", "{{.Names}}|{{.Status}}").lines)
        self.assertRegex(statuses["running"], r"^Up (Less than a second|\d+ seconds?)$")
        self.assertRegex(statuses["failed"], r"^Exited \(3\) (Less than a second|\d+ seconds?) ago$")
        self.assertEqual(statuses["fresh"], "Created")
        states = dict(line.split("|") for line in self.docker("ps", "-a", "--format", "{{.Names}}|{{.State}}").lines)
        self.assertEqual(states, {"running": "running", "failed": "exited", "fresh": "created"})

    def test_command_is_cut_unless_asked(self):
        self.assertEqual(self.docker("ps", "-a", "--format", "{{.Command}}", "-f", "name=fresh").line, '"echo \'a long comman…"')
        self.assertEqual(self.docker("ps", "-a", "--no-trunc", "--format", "{{.Command}}", "-f", "name=fresh").line, '"echo \'a long command that does not fit\'"')

    def test_filters(self):
        cases = {"name=fai": ["failed"], "name=^/running$": ["running"], "status=exited": ["failed"], "status=created": ["fresh"], "exited=3": ["failed"],
                 "label=kind": ["failed", "running"], "label=kind=a": ["running"], "label=plain": ["fresh"], "ancestor=hostname": ["running"],
                 "id=" + self.running[:6]: ["running"], "publish=8080": ["running"], "publish=8000-8100/tcp": ["running"], "publish=8081": [], "publish=8080/udp": [], "expose=3000": ["running"], "is-task=false": ["failed", "fresh", "running"],
                 "health=none": ["failed", "fresh", "running"], "network=bridge": ["failed", "fresh", "running"], "before=failed": ["running"], "since=failed": ["fresh"]}
        for text, expected in cases.items():
            with self.subTest(text):
                self.assertEqual(sorted(self.needs(self.docker("ps", "--format", "{{.Names}}", "-a", "-f", text), "filter").check().lines), expected)

    def test_filters_together(self):
        self.assertEqual(self.names("-a", "-f", "label=kind", "-f", "status=exited"), ["failed"])
        self.assertEqual(self.names("-a", "-f", "status=created", "-f", "status=exited"), ["failed", "fresh"])

    def test_wrong_filters_are_refused(self):
        self.assertFails(self.docker("ps", "-f", "colour=red"), "invalid filter 'colour'" if not lab.IS_DOCKERD else "nvalid filter")
        self.assertFails(self.docker("ps", "-f", "status=happy"), "happy")
        for wrong in ("health=happy", "exited=x", "publish=x", "is-task=perhaps"):
            self.assertFails(self.docker("ps", "-f", wrong), "invalid")
        self.assertEqual(self.host.api("GET", "/containers/json?filters={broken").status, 500 if lab.IS_DOCKERD else 400)

    def test_quiet_last_and_size(self):
        self.assertEqual(self.docker("ps", "-q", "--no-trunc").lines, [self.running])
        self.assertEqual(self.docker("ps", "-q").lines, [self.running[:12]])
        self.assertEqual(self.names("-l"), ["fresh"])
        self.assertEqual(self.names("-n", "2"), ["failed", "fresh"])

    def test_raw_fields(self):
        entry = self.host.api("GET", "/containers/json").json[0]
        self.assertEqual((entry["Id"], entry["Names"], entry["Image"], entry["Command"], entry["State"]), (self.running, ["/running"], "hostname", "hostname-web", "running"))
        self.assertIn({"IP": "0.0.0.0", "PrivatePort": 3000, "PublicPort": 8080, "Type": "tcp"}, entry["Ports"])
        self.assertEqual(entry["Labels"], {"kind": "a"})
        self.assertEqual(entry["ImageID"], self.host.inspect("hostname", "image")["Id"])
        self.assertLess(abs(entry["Created"] - time.time()), 300)
        self.assertRegex(entry["NetworkSettings"]["Networks"]["bridge"]["IPAddress"], r"^172\.\d+\.\d+\.\d+$")
        self.assertEqual(entry["HostConfig"]["NetworkMode"].replace("default", "bridge"), "bridge")


class InspectTest(EngineCase):
    def test_identity_and_configuration(self):
        identity = self.docker("create", "--name", "box", "-e", "A=1", "-w", "/tmp", "-u", "daemon", "-l", "x=y", "-h", "named", "-it", "--restart", "on-failure:3",
                               "-v", "/anon", "--expose", "99", "alpine", "echo", "two words").check().line
        box = self.host.inspect("box")
        self.assertEqual(box["Id"], identity)
        self.assertEqual(box["Name"], "/box")
        self.assertEqual((box["Path"], box["Args"]), ("echo", ["two words"]))
        self.assertEqual(box["Image"], self.host.inspect("alpine", "image")["Id"])
        created = datetime.datetime.strptime(box["Created"][:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc)
        self.assertLess(abs(created.timestamp() - time.time()), 300)
        config = box["Config"]
        self.assertEqual(config["Image"], "alpine")
        self.assertEqual(config["Cmd"], ["echo", "two words"])
        self.assertEqual((config["WorkingDir"], config["User"], config["Hostname"], config["Tty"], config["OpenStdin"]), ("/tmp", "daemon", "named", True, True))
        self.assertIn("A=1", config["Env"])
        self.assertIn("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", config["Env"])
        self.assertEqual(config["ExposedPorts"], {"99/tcp": {}})
        self.assertEqual(box["HostConfig"]["RestartPolicy"], {"Name": "on-failure", "MaximumRetryCount": 3})
        self.assertEqual([(mount["Type"], mount["Destination"], mount["RW"]) for mount in box["Mounts"]], [("volume", "/anon", True)])

    def test_running_state_matches_the_machine(self):
        self.docker("run", "-d", "--name", "box", "alpine", "sleep", "1234").check()
        box = self.host.inspect("box")
        state = box["State"]
        self.assertEqual([state[key] for key in ("Status", "Running", "Paused", "Restarting", "OOMKilled", "Dead", "ExitCode", "Error")],
                         ["running", True, False, False, False, False, 0, ""])
        self.assertEqual(self.host.run_in("cat", f"/proc/{state['Pid']}/cmdline").out, "sleep\x001234\0")
        network = box["NetworkSettings"]["Networks"]["bridge"]
        address = self.docker("exec", "box", "ip", "-4", "-o", "addr", "show", "eth0").check().out
        self.assertIn(f"{network['IPAddress']}/{network['IPPrefixLen']}", address)
        self.assertIn(network["MacAddress"], self.docker("exec", "box", "cat", "/sys/class/net/eth0/address").out)
        self.assertIn(f"default via {network['Gateway']}", self.docker("exec", "box", "ip", "route").out)

    def test_format_json_type_and_size(self):
        self.docker("create", "--name", "box", "alpine", "true").check()
        self.assertEqual(self.docker("inspect", "-f", "{{.Name}} {{json .Config.Cmd}}", "box").line, '/box ["true"]')
        self.assertEqual(self.docker("inspect", "--type", "container", "-f", "{{.State.Status}}", "box").line, "created")
        self.assertFails(self.docker("inspect", "--type", "image", "box"), "No such image: box")

    def test_unknown(self):
        self.assertFails(self.docker("container", "inspect", "nosuch"), "No such container: nosuch")
        self.assertFails(self.docker("inspect", "nosuch"), "No such object: nosuch")


class MoreVerbsTest(EngineCase):
    """Verbs the first cut may refuse by name."""

    def setUp(self):
        super().setUp()
        self.docker("run", "-d", "--name", "box", "alpine", "sleep", "1000").check()

    def test_rename(self):
        self.needs(self.docker("rename", "box", "other"), "rename").check()
        self.assertEqual(self.docker("ps", "--format", "{{.Names}}").line, "other")
        self.docker("create", "--name", "taken", "alpine").check()
        self.assertFails(self.docker("rename", "other", "taken"), "is already in use by container")

    def test_pause(self):
        self.needs(self.docker("pause", "box"), "pause").check()
        self.assertEqual(self.host.inspect("box")["State"]["Status"], "paused")
        self.assertIn("(Paused)", self.docker("ps", "--format", "{{.Status}}").line)
        self.docker("unpause", "box").check()
        self.assertTrue(self.host.inspect("box")["State"]["Status"], "running")

    def test_top(self):
        result = self.needs(self.docker("top", "box"), "top").check()
        self.assertIn("sleep 1000", result.out)
        self.assertIn("PID", result.lines[0])

    def test_stats(self):
        result = self.needs(self.docker("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}} {{.PIDs}}", "box"), "stats").check()
        self.assertRegex(result.line, r"^box [0-9.]+[KM]iB / [0-9.]+GiB 1$")

    def test_cp(self):
        path = self.host.scratch + "/copied"
        self.needs(self.docker("cp", "box:/etc/passwd", path), "archive", "copy", "cp").check()
        with open(path) as file:
            self.assertIn("root:x:0:0", file.read())
        self.docker("cp", path, "box:/tmp/there").check()
        self.assertIn("root:x:0:0", self.docker("exec", "box", "cat", "/tmp/there").check().out)

    def test_export(self):
        import io
        import tarfile
        result = self.needs(self.docker("export", "box"), "export").check()
        with tarfile.open(fileobj=io.BytesIO(result.out_bytes)) as tar:
            self.assertIn("bin/busybox", tar.getnames())

    def test_diff(self):
        self.docker("exec", "box", "sh", "-c", "echo > /new; rm /etc/profile; echo >> /etc/shells").check()
        result = self.needs(self.docker("diff", "box"), "changes", "diff").check()
        self.assertEqual(sorted(result.lines), ["A /new", "C /etc", "C /etc/shells", "D /etc/profile"])

    def test_update(self):
        self.needs(self.docker("update", "--pids-limit", "77", "box"), "update").check()
        value = lambda v1, v2: self.host.cgroup_value(self.host.inspect("box")["Id"], v1, v2)  # noqa: E731
        self.assertEqual(value("pids/pids.max", "pids.max"), "77")
        self.docker("update", "--cpus", "0.5", "--cpu-shares", "512", "--memory", "64m", "--memory-reservation", "32m", "--cpuset-cpus", "0", "--restart", "on-failure:3", "box").check()
        self.assertIn(value("cpu/cpu.cfs_quota_us", "cpu.max"), ("50000", "50000 100000"))
        self.assertIn(value("cpu/cpu.shares", "cpu.weight"), ("512", "20", "59"))
        self.assertEqual(value("memory/memory.limit_in_bytes", "memory.max"), str(64 << 20))
        self.assertEqual(value("cpuset/cpuset.cpus", "cpuset.cpus"), "0")
        self.assertEqual(value("pids/pids.max", "pids.max"), "77", "what is not named stays")
        self.docker("update", "--memory", "96m", "--memory-swap", "-1", "--pids-limit", "-1", "box").check()
        self.assertEqual(value("memory/memory.limit_in_bytes", "memory.max"), str(96 << 20))
        self.assertEqual(value("pids/pids.max", "pids.max"), "max")
        config = self.host.inspect("box")["HostConfig"]
        self.assertEqual((config["NanoCpus"], config["CpuShares"], config["Memory"], config["MemorySwap"]), (500000000, 512, 96 << 20, -1))
        self.assertEqual(config["RestartPolicy"], {"Name": "on-failure", "MaximumRetryCount": 3})
        self.docker("restart", "-t", "0", "box").check()
        self.assertEqual(value("memory/memory.limit_in_bytes", "memory.max"), str(96 << 20), "kept over a restart")

    def test_update_that_cannot_be(self):
        for options, text in {("--cpus", "1000"): "range of CPUs is from 0.01", ("--memory", "1m"): "Minimum memory limit allowed is 6MB", ("--blkio-weight", "5"): "ange of blkio weight is from 10 to 1000",
                              ("--cpuset-cpus", "77"): "Requested CPUs are not available"}.items():
            with self.subTest(options):
                self.assertFails(self.docker("update", *options, "box"), text)
        self.assertEqual(self.host.inspect("box")["HostConfig"]["Memory"], 0)
        self.docker("run", "-d", "--rm", "--name", "gone", "alpine", "sleep", "1000").check()
        self.assertFails(self.docker("update", "--restart", "always", "gone"), "Restart policy cannot be updated because AutoRemove is enabled for the container")
        self.assertFails(self.docker("update", "--restart", "always", "nosuch"), "No such container: nosuch")

    def test_update_of_a_stopped_one(self):
        self.docker("stop", "-t", "0", "box").check()
        self.docker("update", "--memory", "64m", "box").check()
        self.docker("start", "box").check()
        self.assertEqual(self.host.cgroup_value(self.host.inspect("box")["Id"], "memory/memory.limit_in_bytes", "memory.max"), str(64 << 20))

    def test_commit(self):
        self.docker("exec", "box", "sh", "-c", "echo kept > /new").check()
        self.needs(self.docker("commit", "box", "committed"), "commit").check()
        self.addCleanup(self.docker, "rmi", "-f", "committed")
        self.assertEqual(self.docker("run", "--rm", "committed", "cat", "/new").check().out, "kept\n")

    def test_system_df(self):
        result = self.needs(self.docker("system", "df"), "df").check()
        self.assertTable(result, "TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE")


class EventsTest(EngineCase):
    def collect(self, since, *filters):
        """Events from `since` to now as (Type, Action)."""
        result = self.docker("events", "--since", since, "--until", f"{time.time():.9f}", "--format", "{{json .}}", *filters).check()
        return [json.loads(line) for line in result.lines]

    def test_a_life_in_events(self):
        since = f"{time.time():.9f}"
        identity = self.docker("run", "--rm", "--name", "box", "alpine", "sh", "-c", "exit 4").check(4)
        until(lambda: any(event["Action"] == "destroy" for event in self.collect(since)), "the container is destroyed")
        events = self.collect(since)
        actions = [event["Action"] for event in events if event["Type"] == "container"]
        self.assertEqual([action for action in actions if action != "attach"], ["create", "start", "die", "destroy"])
        die = next(event for event in events if event["Action"] == "die")
        self.assertEqual(die["Actor"]["Attributes"]["exitCode"], "4")
        self.assertEqual(die["Actor"]["Attributes"]["name"], "box")
        self.assertEqual(die["Actor"]["Attributes"]["image"], "alpine")
        self.assertEqual([event["Action"] for event in events if event["Type"] == "network"], ["connect", "disconnect"])
        self.assertEqual(identity.code, 4)

    def test_stream_is_live(self):
        stream = self.host.stream("events", "--filter", "type=container", "--format", "{{.Action}} {{.Actor.Attributes.name}}")
        until(lambda: (self.docker("create", "--name", f"probe{time.monotonic_ns()}", "alpine"), stream._fill(0.1), stream.buffers["out"])[2], "the stream begins")
        self.docker("run", "-d", "--name", "box", "alpine", "sleep", "1000").check()
        stream.read_until("create box\n")
        stream.read_until("start box\n")
        self.docker("kill", "box").check()
        stream.read_until("kill box\n")
        stream.read_until("die box\n")
        self.docker("rm", "box").check()
        stream.read_until("destroy box\n")

    def test_filters(self):
        since = f"{time.time():.9f}"
        for name in ("one", "two"):
            self.docker("run", "--name", name, "-l", f"which={name}", "alpine", "true").check()
        names = lambda *filters: {event["Actor"]["Attributes"]["name"] for event in self.collect(since, *filters) if event["Type"] == "container"}  # noqa: E731
        self.assertEqual(names("-f", "container=one"), {"one"})
        self.assertEqual(names("-f", "label=which=two"), {"two"})
        self.assertEqual({event["Action"] for event in self.collect(since, "-f", "event=die")}, {"die"})
        self.assertEqual({event["Type"] for event in self.collect(since, "-f", "type=network")}, {"network"})

    def test_volumes_networks_and_images_too(self):
        since = f"{time.time():.9f}"
        self.docker("volume", "create", "vol").check()
        self.docker("network", "create", "net").check()
        self.docker("network", "rm", "net").check()
        self.docker("volume", "rm", "vol").check()
        self.docker("tag", "alpine", "tagged").check()
        self.docker("rmi", "tagged").check()
        seen = [(event["Type"], event["Action"]) for event in self.collect(since)]
        for expected in (("volume", "create"), ("network", "create"), ("network", "destroy"), ("volume", "destroy"), ("image", "tag"), ("image", "untag")):
            self.assertIn(expected, seen)

    def test_kill_stop_and_restart(self):
        since = f"{time.time():.9f}"
        self.docker("run", "-d", "--name", "box", "alpine", "sleep", "1000").check()
        self.docker("restart", "-t", "0", "box").check()
        self.docker("stop", "-t", "0", "box").check()
        actions = [event["Action"] for event in self.collect(since, "-f", "type=container")]
        self.assertEqual([action for action in actions if action in ("create", "start", "die", "stop", "restart")],
                         ["create", "start", "die", "stop", "start", "restart", "die", "stop"])

    def test_times_and_shape(self):
        since = f"{time.time():.9f}"
        self.docker("create", "--name", "box", "alpine").check()
        event = self.collect(since, "-f", "type=container")[0]
        self.assertEqual(event["scope"], "local")
        self.assertEqual(event["time"], event["timeNano"] // 1000000000)
        self.assertEqual(event["Actor"]["ID"], self.host.inspect("box")["Id"])


class RestartPolicyTest(EngineCase):
    def count(self, name="box"):
        return self.host.inspect(name)["RestartCount"]

    def test_always(self):
        self.docker("run", "-d", "--name", "box", "--restart", "always", "alpine", "true").check()
        until(lambda: self.count() >= 2, "it is started again and again")
        self.docker("stop", "box").check()
        before = self.count()
        self.assertFalse(self.host.is_running("box"))
        self.docker("run", "--rm", "alpine", "sleep", "1").check()
        self.assertEqual(self.count(), before)
        self.assertFalse(self.host.is_running("box"), "a stopped container was started again")

    def test_on_failure_with_a_limit(self):
        self.docker("run", "-d", "--name", "box", "--restart", "on-failure:2", "alpine", "sh", "-c", "echo try; exit 7").check()
        until(lambda: (lambda box: box["RestartCount"] == 2 and box["State"]["Status"] == "exited")(self.host.inspect("box")), "it gives up")
        self.assertEqual(self.docker("logs", "box").lines, ["try"] * 3)
        self.assertEqual(self.host.inspect("box")["State"]["ExitCode"], 7)

    def test_on_failure_leaves_a_success_alone(self):
        self.docker("run", "-d", "--name", "box", "--restart", "on-failure", "alpine", "true").check()
        self.docker("wait", "box").check()
        self.docker("run", "--rm", "alpine", "sleep", "1").check()
        self.assertEqual((self.count(), self.host.inspect("box")["State"]["Status"]), (0, "exited"))

    def test_unless_stopped(self):
        self.docker("run", "-d", "--name", "box", "--restart", "unless-stopped", "alpine", "sh", "-c", "sleep 0.1; exit 1").check()
        until(lambda: self.count() >= 1, "it is started again")
        self.docker("stop", "box").check()
        self.assertFalse(self.host.is_running("box"))

    def test_the_wait_between_shows_as_restarting(self):
        self.docker("run", "-d", "--name", "box", "--restart", "always", "alpine", "sh", "-c", "exit 3").check()
        until(lambda: re.match(r"Restarting \(3\) ", self.docker("ps", "-a", "--format", "{{.Status}}").line), "ps says Restarting")
        self.docker("rm", "-f", "box").check()

    def test_rm_and_restart_policy_exclude_each_other(self):
        self.assertCode(self.docker("run", "--rm", "--restart", "always", "alpine", "true"), 125)

    def test_wrong_policies_are_refused(self):
        response = self.host.api("POST", "/containers/create", {"Image": "alpine", "HostConfig": {"RestartPolicy": {"Name": "sometimes"}}})
        self.assertEqual(response.status, 400)
        self.assertIn("sometimes", response.message)


if __name__ == "__main__":
    unittest.main()
