"""docker exec: another program in a running container."""

import concurrent.futures
import hashlib
import os
import unittest

import lab
from case import EngineCase
from lab import until


class ExecTest(EngineCase):
    def setUp(self):
        super().setUp()
        self.docker("run", "-d", "--name", "box", "-e", "FROM_RUN=yes", "-h", "boxhost", "alpine", "sleep", "1000").check()

    def test_output_streams_and_code(self):
        result = self.docker("exec", "box", "sh", "-c", "echo out; echo err >&2; exit 5")
        self.assertEqual((result.code, result.out, result.err), (5, "out\n", "err\n"))

    def test_is_in_the_containers_namespaces(self):
        self.assertEqual(self.docker("exec", "box", "hostname").check().line, "boxhost")
        self.assertIn("sleep 1000", self.docker("exec", "box", "ps").check().out)
        script = "for n in mnt uts ipc pid net; do readlink /proc/self/ns/$n; done"
        self.assertEqual(self.docker("exec", "box", "sh", "-c", script).out, self.docker("exec", "box", "sh", "-c", script.replace("self", "1")).out)

    def test_is_in_the_containers_cgroup(self):
        identity = self.host.inspect("box")["Id"]
        self.docker("exec", "-d", "box", "sleep", "777").check()
        pid = until(lambda: self.host.run_in("pgrep", "-f", "^sleep 777").line, "the program runs")
        self.assertIn(identity, self.host.run_in("cat", f"/proc/{pid}/cgroup").out)

    def test_environment(self):
        self.assertEqual(self.docker("exec", "-e", "A=1", "box", "sh", "-c", "echo $FROM_RUN $A $HOME").check().line, "yes 1 /root")

    def test_user_and_folder(self):
        self.assertEqual(self.docker("exec", "-u", "nobody", "-w", "/tmp", "box", "sh", "-c", "id -u; pwd").check().lines, ["65534", "/tmp"])
        self.assertEqual(self.docker("exec", "-u", "1:2", "box", "sh", "-c", "echo $(id -u) $(id -g)").check().line, "1 2")

    def test_user_of_the_container_is_the_default(self):
        self.docker("run", "-d", "--name", "daemon", "-u", "daemon", "-w", "/var", "alpine", "sleep", "1000").check()
        self.assertEqual(self.docker("exec", "daemon", "sh", "-c", "id -un; pwd").check().lines, ["daemon", "/var"])

    def test_capabilities_are_the_containers(self):
        self.assertEqual(self.docker("exec", "box", "grep", "CapEff", "/proc/self/status").check().line.split()[1], "00000000a80425fb")

    def test_the_machines_null_stays_its_own(self):
        self.docker("exec", "-u", "54321", "box", "sh", "-c", "cat; echo out > /dev/stdout").check()
        self.assertNotEqual(os.stat("/dev/null").st_uid, 54321)

    def test_input(self):
        data = os.urandom(1 << 20)
        result = self.docker("exec", "-i", "box", "cat", input=data).check()
        self.assertEqual(hashlib.sha256(result.out_bytes).hexdigest(), hashlib.sha256(data).hexdigest())
        self.assertEqual(self.docker("exec", "box", "wc", "-c", input="not passed").check().line, "0")

    def test_big_output(self):
        result = self.docker("exec", "box", "seq", "1", "500000").check()
        self.assertTrue(result.out == "".join(f"{i}\n" for i in range(1, 500001)))

    def test_output_is_not_in_the_logs(self):
        self.docker("exec", "box", "echo", "aside").check()
        self.assertEqual(self.docker("logs", "box").check().out, "")

    def test_terminal(self):
        terminal = self.host.terminal("exec", "-it", "box", "sh", rows=30, columns=99)
        terminal.send("while ! stty size | grep -q '30 99'; do sleep 0.1; done; echo size-$((1+1))\n")
        terminal.read_until("size-2")
        terminal.send("tty; exit 3\n")
        terminal.read_until("/dev/pts/")
        self.assertEqual(terminal.finish().code, 3)
        self.assertTrue(self.host.is_running("box"))

    def test_ctrl_c_in_the_terminal(self):
        terminal = self.host.terminal("exec", "-it", "box", "sh")
        terminal.send("echo up-$((1+1))\n")
        terminal.read_until("up-2")
        terminal.send("sleep 999\n")
        until(lambda: self.host.run_in("pgrep", "-f", "^sleep 999").line, "sleep runs")
        terminal.send("\x03")
        terminal.send("echo code-$?\n")
        terminal.read_until("code-130")

    def test_detached(self):
        self.assertEqual(self.docker("exec", "-d", "box", "sh", "-c", "sleep 0.1; echo made > /made; sleep 888").check().out, "")
        until(lambda: self.docker("exec", "box", "cat", "/made").out == "made\n", "the program works")

    def test_many_at_once(self):
        streams = [self.host.stream("exec", "box", "sh", "-c", f"sleep 0.2; echo answer-{i}; exit {i}") for i in range(12)]
        for i, stream in enumerate(streams):
            result = stream.finish()
            self.assertEqual((result.code, result.out), (i, f"answer-{i}\n"))

    def test_short_output_is_never_lost(self):
        """And the code of one that has just ended is known, however many ended before."""
        with concurrent.futures.ThreadPoolExecutor(6) as crowd:
            results = list(crowd.map(lambda i: self.docker("exec", "box", "echo", str(i)), range(300)))
        self.assertEqual([(result.code, result.out, result.err) for result in results], [(0, f"{i}\n", "") for i in range(300)])

    def test_program_that_does_not_exist(self):
        result = self.docker("exec", "box", "nosuch")
        self.assertEqual(result.code, 126 if lab.IS_DOCKERD else 127)
        self.assertIn('exec: "nosuch": executable file not found in $PATH', result.out + result.err)

    def test_file_that_cannot_be_executed(self):
        result = self.docker("exec", "box", "/etc/passwd")
        self.assertEqual(result.code, 126)
        self.assertIn('exec: "/etc/passwd": permission denied', result.out + result.err)
        self.assertEqual(self.docker("exec", "box", "/tmp").code, 126)
        self.assertEqual(self.docker("exec", "box", "/no/such").code, 127)

    def test_folder_that_does_not_exist(self):
        result = self.docker("exec", "-w", "/no/such", "box", "true")
        self.assertIn(result.code, (126, 127))
        self.assertIn("/no/such", result.out + result.err)

    def test_stopped_and_unknown_containers(self):
        identity = self.host.inspect("box")["Id"]
        self.docker("stop", "-t", "0", "box").check()
        result = self.docker("exec", "box", "true")
        self.assertEqual(result.code, 1)
        self.assertIn(f"container {identity} is not running", result.err.replace("Container", "container"))
        self.assertFails(self.docker("exec", "nosuch", "true"), "Error response from daemon: No such container: nosuch")

    def test_ends_with_the_container(self):
        stream = self.host.stream("exec", "box", "sh", "-c", "echo up; sleep 1000")
        stream.read_until("up\n")
        self.docker("kill", "box").check()
        self.assertEqual(stream.finish().code, 137)

    def test_container_is_not_touched_by_its_end(self):
        before = self.host.inspect("box")["State"]["Pid"]
        for _ in range(5):
            self.docker("exec", "box", "sh", "-c", "kill -9 $$")
        state = self.host.inspect("box")["State"]
        self.assertEqual((state["Running"], state["Pid"]), (True, before))

    def test_children_left_behind_do_not_hold_the_command(self):
        result = self.docker("exec", "-d", "box", "sh", "-c", "sleep 600 &").check()
        self.assertEqual(result.code, 0)

    def test_inspect_by_the_api(self):
        identity = self.host.api("POST", "/containers/box/exec", {"Cmd": ["sh", "-c", "exit 9"], "AttachStdout": True}).json["Id"]
        self.assertRegex(identity, "^[0-9a-f]{64}$")
        before = self.host.api("GET", f"/exec/{identity}/json").json
        self.assertEqual((before["Running"], before["ExitCode"], before["ContainerID"]), (False, None, self.host.inspect("box")["Id"]))
        self.assertEqual(self.host.api("POST", f"/exec/{identity}/start", {"Detach": True}).status, 200)
        until(lambda: self.host.api("GET", f"/exec/{identity}/json").json["ExitCode"] == 9, "its code is known")
        self.assertEqual(self.host.api("GET", "/exec/0123456789/json").status, 404)
        self.assertEqual(self.host.api("POST", "/containers/box/exec", {"Cmd": []}).status, 400)

    def test_events(self):
        import time
        since = f"{time.time():.9f}"
        self.docker("exec", "box", "sh", "-c", "exit 2")
        out = lambda: self.docker("events", "--since", since, "--until", f"{time.time():.9f}", "--format", "{{.Action}}").out  # noqa: E731
        until(lambda: "exec_die" in out(), "the end is an event")
        self.assertIn("exec_create: sh -c exit 2\nexec_start: sh -c exit 2\n", out())


if __name__ == "__main__":
    unittest.main()
