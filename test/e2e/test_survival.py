"""The engine goes away, by kill -9 or politely, and comes back: containers go on as if nothing had been, and what happened
meanwhile is known afterwards."""

import re
import unittest

import lab
import net
from case import OwnHostCase
from lab import until

TICK = "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.02; done"


class SurvivalCase(OwnHostCase):
    images = ("alpine", "hostname")
    engine_flags = ("--live-restore",) if lab.IS_DOCKERD else ()

    def start_box(self, script, *options, name="box"):
        return self.docker("run", "-d", "--name", name, *options, "alpine", "sh", "-c", script).check().line

    def state(self, name="box"):
        return self.host.inspect(name)["State"]

    def outside_pid(self, pattern):
        """The process as the machine sees it; it must be the same one before and after."""
        return self.host.run_in("pgrep", "-o", "-f", pattern).line  # not a child it has just forked

    def meanwhile_until(self, condition, what):
        """Waits for something to happen while the engine is away."""
        until(condition, what, 20)


class RunningTest(SurvivalCase):
    def test_containers_run_on_and_are_taken_back(self):
        identity = self.start_box("sleep 5432")
        before = self.host.inspect("box")
        process = self.outside_pid("^sleep 5432")
        for way in (self.host.kill9, self.host.stop):
            way()
            self.assertEqual(self.outside_pid("^sleep 5432"), process, "the container must run while the engine is away")
            self.host.start()
            after = self.host.inspect("box")
            self.assertEqual((after["State"]["Running"], after["State"]["Pid"], after["State"]["StartedAt"], after["Id"]),
                             (True, before["State"]["Pid"], before["State"]["StartedAt"], identity))
            self.assertEqual(self.outside_pid("^sleep 5432"), process)
        self.assertIn("Up ", self.docker("ps", "--format", "{{.Status}}").line)

    def test_an_idle_monitor_is_small_and_still_there(self):
        """What a running container costs beyond its own processes (the goal: 1.5 MB), and that nothing is lost by it."""
        stream = self.host.stream("run", "-i", "--name", "box", "alpine", "sh", "-c", "echo ready; cat; sleep 0.1; exit 4", stdin=True)
        stream.read_until("ready\n")

        def resident_kilobytes():
            pid = self.host.run_in("pgrep", "-f", "^/usr/bin/conmon .*" + self.host.inspect("box")["Id"]).check().line
            return int(re.search(r"VmRSS:\s+(\d+)", self.host.run_in("cat", f"/proc/{pid}/status").check().out)[1])

        until(lambda: resident_kilobytes() < 1500, "the monitor gives back what it does not need")
        for word in ("one\n", "two\n"):
            stream.send(word)
            stream.read_until(word)
        stream.close_input()
        self.assertEqual(stream.finish().code, 4)
        self.assertEqual(self.docker("logs", "box").out, "ready\none\ntwo\n")

    def test_everything_can_be_done_with_them_afterwards(self):
        self.start_box("trap 'echo term; exit 6' TERM; echo ready; while :; do sleep 0.05; done", "-v", "data:/data")
        self.host.wait_logs("box", "ready")
        self.host.kill9()
        self.host.start()
        self.assertEqual(self.docker("exec", "box", "sh", "-c", "echo x > /data/f; cat /data/f; exit 3").check(3).out, "x\n")
        waiting = self.host.stream("wait", "box")
        self.docker("stop", "box").check()
        self.assertEqual(waiting.finish().out, "6\n")
        self.assertEqual(self.docker("logs", "box").out, "ready\nterm\n")
        self.docker("start", "box").check()
        self.docker("rm", "-f", "box").check()
        self.docker("volume", "rm", "data").check()

    @unittest.skipIf(lab.IS_DOCKERD, "its terminals end with the daemon")
    def test_attach_to_a_terminal_again(self):
        terminal = self.host.terminal("run", "-it", "--name", "box", "alpine", "sh")
        terminal.send("echo up-$((1+1))\n")
        terminal.read_until("up-2")
        self.host.kill9()
        terminal.finish()
        self.host.start()
        again = self.host.terminal("attach", "box")
        again.send("echo back-$((2+2))\n")
        again.read_until("back-4")
        again.send("exit 9\n")
        self.assertEqual(again.finish().code, 9)

    def test_input_pipe_survives(self):
        self.docker("run", "-di", "--name", "box", "alpine", "sh", "-c", "while read x; do echo got $x; done; echo end").check()
        self.host.kill9()
        self.host.start()
        stream = self.host.stream("attach", "box", stdin=True)
        stream.send("word\n")
        stream.read_until("got word\n")

    def test_memory_kill_is_seen_afterwards(self):
        self.start_box("sleep 1; dd if=/dev/zero of=/dev/null bs=200M count=1; exit $?", "-m", "16m")
        self.host.kill9()
        self.host.start()
        state = self.host.wait_exited("box")
        self.assertEqual(state["ExitCode"], 137)


class MeanwhileTest(SurvivalCase):
    def test_true_exit_code_of_one_that_ended_while_the_engine_was_away(self):
        self.start_box("while [ ! -e /go ]; do sleep 0.02; done; exit 42")
        pid = self.state()["Pid"]
        self.host.kill9()
        self.host.run_in("touch", f"/proc/{pid}/root/go").check()
        self.meanwhile_until(lambda: self.host.run_in("test", "-d", f"/proc/{pid}").code != 0, "the container ends")
        self.host.start()
        state = self.state()
        self.assertEqual((state["Status"], state["ExitCode"], state["Running"], state["Pid"]), ("exited", 42, False, 0))
        self.assertGreater(state["FinishedAt"], state["StartedAt"])
        self.assertEqual(self.docker("wait", "box").check().line, "42")
        self.assertRegex(self.docker("ps", "-a", "--format", "{{.Status}}").line, r"^Exited \(42\) ")

    def test_killed_by_a_signal_while_the_engine_was_away(self):
        self.start_box("sleep 1000")
        pid = self.state()["Pid"]
        self.host.kill9()
        self.host.run_in("kill", "-9", str(pid)).check()
        self.meanwhile_until(lambda: self.host.run_in("test", "-d", f"/proc/{pid}").code != 0, "the container ends")
        self.host.start()
        self.assertEqual(self.host.wait_exited("box")["ExitCode"], 137)

    @unittest.skipIf(lab.IS_DOCKERD, "20.10 forgets the volume")
    def test_rm_option_is_remembered(self):
        self.start_box("while [ ! -e /go ]; do sleep 0.02; done", "--rm", "-v", "/anonymous")
        pid = self.state()["Pid"]
        self.host.kill9()
        self.host.run_in("touch", f"/proc/{pid}/root/go").check()
        self.meanwhile_until(lambda: self.host.run_in("test", "-d", f"/proc/{pid}").code != 0, "the container ends")
        self.host.start()
        until(lambda: self.docker("ps", "-aq").out == "", "the container is removed")
        until(lambda: self.docker("volume", "ls", "-q").out == "", "and its volume")

    def test_logs_are_complete(self):
        self.start_box(TICK)
        self.host.wait_logs("box", "tick 5\n")
        self.host.kill9()
        pid = self.outside_pid("tick")
        self.host.run_in("sleep", "1")
        self.assertEqual(self.outside_pid("tick"), pid)
        self.host.start()
        self.docker("stop", "-t", "0", "box").check()
        lines = self.docker("logs", "box").lines
        self.assertGreater(len(lines), 30)
        self.assertEqual(lines, [f"tick {i}" for i in range(1, len(lines) + 1)])

    @unittest.skipIf(lab.IS_DOCKERD, "its containers write to the daemon itself")
    def test_much_output_does_not_block_while_nobody_reads(self):
        self.start_box("while [ ! -e /go ]; do sleep 0.02; done; seq 1 200000; echo done > /done; sleep 1000")
        pid = self.state()["Pid"]
        self.host.kill9()
        self.host.run_in("touch", f"/proc/{pid}/root/go").check()
        self.meanwhile_until(lambda: self.host.run_in("test", "-e", f"/proc/{pid}/root/done").code == 0, "the program writes on")
        self.host.start()
        self.assertTrue(self.docker("logs", "box").out == "".join(f"{i}\n" for i in range(1, 200001)), "logs are not whole")

    def test_followers_can_continue(self):
        self.start_box(TICK)
        self.host.wait_logs("box", "tick 3\n")
        self.host.kill9()
        self.host.start()
        stream = self.host.stream("logs", "-f", "--tail", "1", "box")
        number = int(stream.next_line().split()[1])
        for i in range(1, 10):
            self.assertEqual(stream.next_line(), f"tick {number + i}")


@unittest.skipIf(lab.IS_DOCKERD, "its shim takes the container with it")
class MonitorTest(SurvivalCase):
    """The process beside a container that waits for it may be killed too, by the kernel short of memory for instance. Its
    exit code is then lost, but not the fact."""

    def monitor_of(self, name):
        pid = self.state(name)["Pid"]
        return pid, self.host.run_in("ps", "-o", "ppid=", "-p", str(pid)).line

    def ends_somehow(self, pid):
        self.host.run_in("kill", "-9", str(pid))
        state = self.host.wait_exited("box")
        self.assertEqual((state["Running"], state["Pid"]), (False, 0))
        self.assertNotEqual(state["ExitCode"], 0)
        self.docker("start", "box").check()
        self.assertEqual(self.docker("exec", "box", "echo", "well").check().out, "well\n")
        self.docker("rm", "-f", "box").check()

    def test_killed_under_the_engine(self):
        self.start_box("sleep 1000")
        pid, monitor = self.monitor_of("box")
        self.host.run_in("kill", "-9", monitor).check()
        self.ends_somehow(pid)

    def test_killed_while_the_engine_was_away(self):
        self.start_box("sleep 1000")
        pid, monitor = self.monitor_of("box")
        self.host.kill9()
        self.host.run_in("kill", "-9", monitor).check()
        self.host.start()
        self.ends_somehow(pid)

    def test_container_ended_too_while_the_engine_was_away(self):
        self.start_box("sleep 1000", "--restart", "on-failure")
        pid, monitor = self.monitor_of("box")
        self.host.kill9()
        self.host.run_in("kill", "-9", monitor, str(pid)).check()
        self.host.start()
        self.host.wait_running("box")
        self.assertEqual(self.host.inspect("box")["RestartCount"], 1)
        self.assertNotEqual(self.state()["Pid"], pid)

    def test_waiting_clients_are_told(self):
        self.start_box("sleep 1000")
        clients = [self.host.stream("wait", "box"), self.host.stream("logs", "-f", "box"), self.host.stream("exec", "box", "sh", "-c", "echo up; sleep 999")]
        clients[2].read_until("up\n")
        pid, monitor = self.monitor_of("box")
        self.host.run_in("kill", "-9", monitor, str(pid)).check()
        results = [client.finish() for client in clients]
        self.assertEqual(([result.code for result in results], results[0].out), ([0, 0, 137], "137\n"))

    def test_removal_works_without_it(self):
        self.start_box("sleep 4242")
        _, monitor = self.monitor_of("box")
        self.host.run_in("kill", "-9", monitor).check()
        self.docker("rm", "-f", "box").check()
        self.assertEqual(self.outside_pid("^sleep 4242"), "")


class NetworkSurvivesTest(SurvivalCase):
    def test_connections_ports_and_names(self):
        self.docker("network", "create", "mine").check()
        self.docker("run", "-d", "--name", "server", "-h", "server", "--network", "mine", "-p", "8080:3000", "hostname").check()
        self.start_box("sleep 1000", "--network", "mine")
        net.get_when_up(self.host, lab.HOST_ADDRESS, 8080)
        box = self.host.inspect("server")["NetworkSettings"]
        with net.connect(self.host, lab.HOST_ADDRESS, 8080) as held:
            self.host.kill9()
            if not lab.IS_DOCKERD:  # its proxies and rules are another matter
                self.assertEqual(net.get(self.host, lab.HOST_ADDRESS, 8080, "/client").split()[0], lab.CLIENT_ADDRESS)
            held.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertIn(b"Saludos", held.recv(4096))
            self.host.start()
            held.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertIn(b"Saludos", held.recv(4096), "an open connection must outlive the engine")
        self.assertEqual(net.get_when_up(self.host, lab.HOST_ADDRESS, 8080, "/client").split()[0], lab.CLIENT_ADDRESS)
        after = self.host.inspect("server")["NetworkSettings"]
        self.assertEqual(after["Networks"]["mine"]["IPAddress"], box["Networks"]["mine"]["IPAddress"])
        self.assertEqual(after["Ports"], box["Ports"])
        self.assertEqual(self.docker("exec", "box", "wget", "-q", "-O-", "http://server:3000/").check().out, "Saludos desde server!")
        other = self.docker("run", "-d", "--name", "new", "--network", "mine", "alpine", "sleep", "1000")
        other.check()
        addresses = [entry["IPv4Address"] for entry in self.host.inspect("mine", "network")["Containers"].values()]
        self.assertEqual(len(set(addresses)), 3, "an address of a running container was given again")
        self.assertFails(self.docker("run", "-d", "-p", "8080:3000", "hostname"), "port is already allocated", code=125)

    @unittest.skipIf(lab.IS_DOCKERD, "its proxies hold the ports")
    def test_published_ports_are_held_again(self):
        self.docker("run", "-d", "--name", "server", "-h", "server", "-p", "8080:3000", "hostname").check()
        net.get_when_up(self.host, lab.HOST_ADDRESS, 8080)
        self.host.kill9()
        with net.make_socket(self.host, netns="host") as taker:
            taker.bind(("0.0.0.0", 8080))  # nothing that outlives the engine holds it
            self.host.start()
            self.assertEqual(net.get_when_up(self.host, lab.HOST_ADDRESS, 8080), "Saludos desde server!")
            self.assertIn("0.0.0.0:8080/tcp", self.host.engine_log())
        self.host.restart()
        with net.make_socket(self.host, netns="host") as taker, self.assertRaises(OSError):
            taker.bind(("0.0.0.0", 8080))

    def test_networks_and_rules_are_not_doubled_by_restarts(self):
        self.docker("network", "create", "mine").check()
        self.docker("run", "-d", "--name", "server", "--network", "mine", "-p", "8080:3000", "hostname").check()
        net.get_when_up(self.host, lab.HOST_ADDRESS, 8080)
        rules = lambda: len(self.host.run_in("nft", "list", "ruleset").out.splitlines())  # noqa: E731
        self.host.restart()
        before, links = rules(), net.links(self.host)
        for _ in range(3):
            self.host.kill9()
            self.host.start()
        self.assertEqual(net.links(self.host), links)
        self.assertEqual(rules(), before)
        net.get_when_up(self.host, lab.HOST_ADDRESS, 8080)

    def test_a_network_that_lost_its_device_is_repaired_at_the_start(self):
        self.docker("network", "create", "--opt", "com.docker.network.bridge.name=br-lost", "mine").check()
        self.host.kill9()
        self.host.run_in("ip", "link", "del", "br-lost").check()
        self.host.start()
        self.assertEqual(self.docker("run", "--rm", "--network", "mine", "alpine", "echo", "works").check().out, "works\n")


class PoliciesTest(SurvivalCase):
    def test_always_comes_back_when_it_ended_meanwhile(self):
        self.start_box("sleep 1000", "--restart", "always")
        pid = self.state()["Pid"]
        self.host.kill9()
        self.host.run_in("kill", "-9", str(pid)).check()
        self.host.start()
        until(lambda: self.state()["Running"], "it is started again")
        self.assertNotEqual(self.state()["Pid"], pid)

    def test_always_is_started_with_the_engine_even_when_it_was_stopped(self):
        self.start_box("sleep 1000", "--restart", "always", name="always")
        self.start_box("sleep 1000", "--restart", "unless-stopped", name="unless")
        self.start_box("sleep 1000", name="never")
        self.docker("stop", "-t", "0", "always", "unless", "never").check()
        self.host.kill9()
        self.host.start()
        until(lambda: self.state("always")["Running"], "always is started")
        self.assertEqual([self.state(name)["Running"] for name in ("unless", "never")], [False, False])

    def test_on_failure_counts_on(self):
        self.start_box("while [ ! -e /go ]; do sleep 0.02; done; exit 7", "--restart", "on-failure:1")
        pid = self.state()["Pid"]
        self.host.kill9()
        self.host.run_in("touch", f"/proc/{pid}/root/go").check()
        self.meanwhile_until(lambda: self.host.run_in("test", "-d", f"/proc/{pid}").code != 0, "the container ends")
        self.host.start()
        until(lambda: self.state()["Status"] == "exited" and self.state()["ExitCode"] == 7, "it is tried once more and given up")

    def test_a_machine_that_was_switched_off(self):
        """All processes gone at once: nothing runs afterwards but what has a policy."""
        self.start_box("sleep 1000", "--restart", "unless-stopped", name="policy")
        self.start_box("sleep 1000", name="plain")
        self.host.kill9()
        self.host.run_in("sh", "-c", "for p in /proc/[0-9]*; do n=${p#/proc/}; [ $n = 1 ] || [ $n = $$ ] || kill -9 $n; done")
        self.host.start()
        until(lambda: self.state("policy")["Running"], "the one with a policy runs")
        state = self.host.wait_exited("plain")
        self.assertFalse(state["Running"])
        self.docker("start", "plain").check()
        self.assertTrue(self.state("plain")["Running"])


class StateTest(SurvivalCase):
    def test_everything_known_before_is_known_after(self):
        self.docker("network", "create", "--label", "n=1", "mine").check()
        self.docker("volume", "create", "--label", "v=1", "data").check()
        self.docker("tag", "alpine", "tagged:1").check()
        self.docker("create", "--name", "made", "-e", "A=1", "-v", "data:/data", "--network", "mine", "-p", "8080:80", "-l", "c=1", "alpine", "echo", "x").check()
        self.docker("run", "--name", "ended", "alpine", "sh", "-c", "echo out; exit 3")
        before = [self.host.inspect("made"), self.host.inspect("ended"), self.host.inspect("mine", "network"), self.host.inspect("data", "volume"), self.host.inspect("tagged:1", "image")]
        info = self.host.api("GET", "/info").json["ID"]
        self.host.kill9()
        self.host.start()
        after = [self.host.inspect("made"), self.host.inspect("ended"), self.host.inspect("mine", "network"), self.host.inspect("data", "volume"), self.host.inspect("tagged:1", "image")]
        self.assertEqual(after, before)
        self.assertEqual(self.host.api("GET", "/info").json["ID"], info)
        self.assertEqual(self.docker("logs", "ended").out, "out\n")

    def test_removed_stays_removed(self):
        self.start_box("sleep 1000")
        self.docker("rm", "-f", "box").check()
        self.docker("rmi", "hostname").check()
        self.host.kill9()
        self.host.start()
        self.assertEqual(self.docker("ps", "-aq").out, "")
        self.assertEqual(self.docker("images", "--format", "{{.Repository}}").lines, ["alpine"])

    @unittest.skipIf(lab.IS_DOCKERD, "20.10 can lose a container")
    def test_killed_in_the_middle_of_creating(self):
        """What was acknowledged is there and works; what was not may be there or not, but can be removed."""
        acknowledged = []
        for round_number in range(3):
            streams = [self.host.stream("run", "-d", "--name", f"box{round_number}-{i}", "alpine", "sleep", "1000") for i in range(8)]
            until(lambda: any(stream.process.poll() is not None for stream in streams), "the first is done")
            self.host.kill9()
            for stream in streams:
                result = stream.finish()
                if result.code == 0:
                    acknowledged.append(result.line)
            self.host.start()
        listed = self.docker("ps", "-q", "--no-trunc").check().lines
        self.assertTrue(acknowledged)
        self.assertEqual(set(acknowledged) - set(listed), set(), "an acknowledged container is not running")
        names = self.docker("ps", "-a", "--format", "{{.Names}}").check().lines
        for name in names:
            self.docker("rm", "-f", name).check()
        self.assertEqual(self.docker("ps", "-aq").out, "")
        self.assertEqual(self.host.run_in("pgrep", "-f", "^sleep 1000").out, "", "a container nobody knows runs on")

    def test_killed_in_the_middle_of_loading(self):
        self.docker("rmi", "hostname").check()
        for _ in range(4):
            stream = self.host.stream("load", "-i", lab.image_archive("redis"))
            self.host.run_in("sleep", "0.1")
            self.host.kill9()
            stream.finish()
            self.host.start()
        self.docker("load", "-q", "-i", lab.image_archive("redis")).check()
        self.assertIn("PONG", self.docker("run", "--rm", "redis:7-alpine", "sh", "-c", "redis-server --save '' >/dev/null & sleep 0.5; redis-cli ping").check().out)

    def test_killed_in_the_middle_of_removing(self):
        for i in range(10):
            self.start_box("sleep 1000", name=f"box{i}")
        stream = self.host.stream("rm", "-f", *[f"box{i}" for i in range(10)])
        stream.read_until("\n")
        self.host.kill9()
        stream.finish()
        self.host.start()
        for name in self.docker("ps", "-a", "--format", "{{.Names}}").check().lines:
            self.docker("rm", "-f", name).check()
        self.assertEqual(self.host.run_in("pgrep", "-f", "^sleep 1000").out, "")

    def test_a_second_engine_on_the_same_data_is_refused(self):
        flags = ["--data-root", self.host.data_root, "--exec-root", self.host.exec_root, "-H", "unix://" + self.host.folder + "/second.sock"]
        result = self.host.run_in(self.host.engine, *flags, timeout=30)
        self.assertNotEqual(result.code, 0)
        self.assertNotEqual(result.err, "")
        self.assertEqual(self.host.api("GET", "/_ping").status, 200)

    def test_a_stale_socket_is_no_obstacle(self):
        self.host.kill9()
        import os
        self.assertTrue(os.path.exists(self.host.socket))
        self.host.start()
        self.assertEqual(self.host.api("GET", "/_ping").status, 200)


if __name__ == "__main__":
    unittest.main()
