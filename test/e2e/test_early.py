"""Monitors that load before they are needed: of containers just created, and the spare one for the next."""
import os
import time
import unittest

import lab
from case import OwnHostCase
from lab import until


@unittest.skipIf(lab.IS_DOCKERD, "Panal's own monitors")
class EarlyTest(OwnHostCase):
    images = ("alpine",)

    def folder(self, id):
        return os.path.join(self.host.data_root, "containers", id)

    def create(self, *words):
        return self.docker("create", *words).check().line

    def gone(self, id):
        return self.host.run_in("pgrep", "-f", id).out == ""

    def spare(self):
        return until(lambda: self.host.spare_monitors(), "a monitor waits for the next container")[0]

    def test_started_late(self):
        """Its monitor has given up; what it needs is made anew."""
        plain = self.create("--name", "plain", "alpine", "sh", "-c", "echo out; echo err >&2; exit 3")
        terminal = self.create("-t", "--name", "terminal", "alpine", "sh", "-c", "tty; exit 4")
        reads = self.create("-i", "--name", "reads", "alpine", "cat")
        for id in (plain, terminal, reads):
            until(lambda: self.gone(id), "its monitor ends")
            self.assertFalse(os.path.exists(f"{self.host.exec_root}/crun/{id}"))
        for _ in range(2):
            done = self.docker("start", "-a", "plain")
            self.assertEqual((done.code, done.out, done.err), (3, "out\n", "err\n"))
        done = self.docker("start", "-a", "terminal")
        self.assertEqual((done.code, done.out), (4, "/dev/pts/0\r\n"))
        done = self.docker("start", "-ai", "reads", input="one\ntwo\n")
        self.assertEqual((done.code, done.out), (0, "one\ntwo\n"))
        self.assertEqual(self.docker("logs", "plain").out, "out\nout\n")

    def test_removed_before_its_start(self):
        for words in ((), ("-t",), ("-i",), ("--log-driver", "none")):
            id = self.create(*words, "--name", "box", "alpine", "true")
            self.docker("rm", "box").check()
            self.assertTrue(self.gone(id))
            self.assertFalse(os.path.exists(self.folder(id)))

    def test_a_start_that_fails(self):
        """Nothing of its monitor stays, and it can be started when the reason is gone."""
        os.makedirs(self.host.scratch + "/source")
        id = self.create("--name", "box", "--mount", f"type=bind,src={self.host.scratch}/source,dst=/mounted", "alpine", "ls", "/mounted")
        os.rmdir(self.host.scratch + "/source")
        for _ in range(2):
            self.assertEqual(self.docker("start", "box").code, 1)
            until(lambda: self.gone(id), "its monitor ends")
        os.makedirs(self.host.scratch + "/source/in")
        self.assertEqual(self.docker("start", "-a", "box").check().out, "in\n")

    def test_ended_by_somebody(self):
        self.docker("run", "--rm", "alpine", "true").check()
        spare = self.spare()
        for what in ("conmon", "exe"):
            self.host.run_in("pkill", "-9", "-f", f"{what}.* {spare}")
        self.host.run_in("pkill", "-9", "-f", spare)
        until(lambda: self.gone(spare), "it is dead")
        for number in range(3):
            self.assertEqual(self.docker("run", "--rm", "alpine", "echo", str(number)).check().line, str(number))

    def test_the_engine_dies(self):
        self.docker("run", "--rm", "alpine", "true").check()
        created = self.create("--name", "box", "alpine", "echo", "still")
        spare = self.spare()
        self.host.kill9()
        until(lambda: self.gone(spare) and self.gone(created), "whoever waits ends with it")
        self.host.start()
        until(lambda: not os.path.exists(self.folder(spare)) or spare == created, "its folder is garbage")
        self.assertEqual(self.docker("start", "-a", "box").check().out, "still\n")

    def test_other_kinds_than_the_last(self):
        """What a monitor was begun for is what its container gets."""
        for _ in range(2):
            self.assertEqual(self.docker("run", "--rm", "alpine", "sh", "-c", "tty; cat").out, "not a tty\n")
            self.assertEqual(self.docker("run", "--rm", "-t", "alpine", "tty").check().out, "/dev/pts/0\r\n")
            self.assertEqual(self.docker("run", "--rm", "-i", "alpine", "cat", input="given\n").check().out, "given\n")
            self.docker("run", "--name", "silent", "--log-driver", "none", "alpine", "echo", "unheard").check()
            self.assertNotEqual(self.docker("logs", "silent").code, 0)
            self.docker("rm", "silent").check()
            self.docker("run", "--name", "small", "--log-opt", "max-size=4k", "--log-opt", "max-file=2", "alpine", "seq", "20000").check()
            until(lambda: len(self.docker("logs", "small").out) < 40000, "its log is bounded as it was asked for")
            self.docker("rm", "small").check()
            time.sleep(0.1)  # a spare one like the last comes

    def test_long_configurations(self):
        """Longer than what a pipe takes by itself, read early and late."""
        words = [word for number in range(40) for word in ("-e", f"V{number}=" + "x" * 4000)]
        for pause in (0, 0.3, 2.5):
            self.create("--name", "box", *words, "alpine", "sh", "-c", "echo $V39 | wc -c")
            time.sleep(pause)
            self.assertEqual(self.docker("start", "-a", "box").check().out, "4001\n")
            self.docker("rm", "box").check()

    def test_many_at_once(self):
        """More created than monitors may wait."""
        ids = [self.host.api("POST", "/containers/create", {"Image": "alpine", "Cmd": ["true"]}).json["Id"] for _ in range(25)]
        self.assertLessEqual(len(self.host.spare_monitors()), 17)
        for id in ids:
            self.assertEqual(self.host.api("POST", f"/containers/{id}/start").status, 204)
        for id in ids:
            self.assertEqual(self.host.api("POST", f"/containers/{id}/wait").json["StatusCode"], 0)


@unittest.skipIf(lab.IS_DOCKERD, "Panal's own monitors")
class EarlyExecTest(OwnHostCase):
    """The spare one for the next exec in a container."""
    images = ("alpine",)

    def setUp(self):
        super().setUp()
        self.docker("run", "-d", "--name", "box", "alpine", "sleep", "1000").check()
        self.docker("exec", "box", "true").check()
        self.spare()

    def spares(self):
        return self.host.run_in("pgrep", "-f", "--", "--process /proc/self/fd").out.split()

    def spare(self):
        return until(self.spares, "a monitor waits for the next exec")

    def test_other_kinds_than_the_last(self):
        for _ in range(2):
            self.assertEqual(self.docker("exec", "box", "sh", "-c", "tty; id -u; cat").out, "not a tty\n0\n")
            self.assertEqual(self.docker("exec", "-u", "1000", "box", "id", "-u").check().line, "1000")
            self.assertEqual(self.docker("exec", "-t", "box", "tty").check().out, "/dev/pts/0\r\n")
            self.assertEqual(self.docker("exec", "-i", "box", "cat", input="given\n").check().out, "given\n")
            self.docker("exec", "-d", "box", "sh", "-c", "echo $A > /detached").check()
            self.assertEqual(self.docker("exec", "-e", "A=b", "-w", "/tmp", "box", "sh", "-c", "echo $A; pwd; exit 7").code, 7)
            self.assertNotEqual(self.docker("exec", "box", "/no/such/program").code, 0)
            time.sleep(0.1)  # a spare one like the last comes

    def test_in_another_life_of_the_container(self):
        for words in (("restart", "-t", "0", "box"), ("kill", "box")):
            self.docker(*words).check()
            self.docker("start", "box").check()
            self.assertEqual(self.docker("exec", "box", "sh", "-c", "echo $(cat /proc/1/cmdline)").check().line, "sleep1000")
            self.spare()

    def test_ended_by_somebody(self):
        self.host.run_in("pkill", "-9", "-f", "--", "--process /proc/self/fd")
        until(lambda: not self.spares(), "it is dead")
        for number in range(3):
            self.assertEqual(self.docker("exec", "box", "echo", str(number)).check().line, str(number))

    def test_nothing_of_it_stays(self):
        self.docker("rm", "-f", "box").check()
        until(lambda: not self.spares(), "it ends with the container")
        until(lambda: os.listdir(self.host.exec_root + "/execs") == [], "its folder goes, too")

    def test_the_engine_dies(self):
        self.host.kill9()
        until(lambda: not self.spares(), "it ends with the engine")
        self.host.start()
        self.assertEqual(self.docker("exec", "box", "echo", "still").check().line, "still")

    def test_started_late(self):
        """Made for a session, overtaken by another exec, and wanted at last; longer than what a pipe takes by itself."""
        words = [f"V{number}=" + "x" * 4000 for number in range(40)]
        body = {"AttachStdout": True, "Env": words, "Cmd": ["sh", "-c", "echo $V39 | wc -c > /late"]}
        late = self.host.api("POST", "/containers/box/exec", body).json["Id"]
        self.assertEqual(self.docker("exec", "box", "echo", "other").check().line, "other")
        self.spare()
        self.assertEqual(self.host.api("POST", f"/exec/{late}/start", {"Detach": True}).status, 200)
        until(lambda: self.docker("exec", "box", "cat", "/late").out == "4001\n", "it has run")


if __name__ == "__main__":
    unittest.main()
