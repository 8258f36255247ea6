"""The harness itself: whatever a run dies of, nothing of it stays on the machine."""

import json
import os
import signal
import subprocess
import sys
import unittest

import lab
from case import _Case
from lab import until

CHILD = """
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, {here!r})
import lab, signal
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
host = lab.Host(["alpine"])
host.__enter__()
host.docker("run", "-d", "-v", "/anonymous", "alpine", "sleep", "98765").check()
print(host.folder, host.init_pid, flush=True)
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
signal.pause()
"""


class LabTest(_Case):
    def started(self):
        """A run of its own with a host and a running container; returns it with the host's folder and first process."""
        child = subprocess.Popen([sys.executable, "-c", CHILD.format(here=lab.HERE)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.stderr.close)
        line = child.stdout.readline().split()
        if not line:
            self.fail(child.stderr.read())
        with open(line[0] + "/state.json") as file:
            return child, line[0], int(line[1]), json.load(file)

    def processes(self):
        return subprocess.run(["pgrep", "-f", "sleep 98765"], stdout=subprocess.PIPE, text=True).stdout

    def assertNothingOf(self, folder, init, state):
        until(lambda: not os.path.isdir(f"/proc/{init}"), "the host's first process is gone")
        self.assertEqual(self.processes(), "")
        with open("/proc/self/mounts") as file:
            self.assertNotIn(folder, file.read())
        self.assertFalse(os.path.exists(folder))
        self.assertEqual([group for group in state["cgroups"] if os.path.exists(group)], [])

    def test_killed(self):
        child, folder, init, state = self.started()
        self.assertNotEqual(self.processes(), "")
        child.kill()
        child.wait()
        until(lambda: not os.path.isdir(f"/proc/{init}"), "the kernel ends the host with its owner")
        self.assertTrue(os.path.exists(folder))
        lab.sweep()
        self.assertNothingOf(folder, init, state)

    def test_asked_to_end(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                child, folder, init, state = self.started()
                child.send_signal(number)
                child.wait()
                self.assertNothingOf(folder, init, state)

    def test_a_living_run_is_not_swept(self):
        child, folder, init, state = self.started()
        lab.sweep()
        self.assertTrue(os.path.isdir(folder))
        self.assertNotEqual(self.processes(), "")
        child.terminate()
        child.wait()

    def test_two_hosts_at_once(self):
        with lab.Host(["alpine"]) as one, lab.Host(["alpine"]) as two:
            for host, word in ((one, "one"), (two, "two")):
                host.docker("run", "-d", "--name", "box", "-p", "8080:80", "alpine", "sh", "-c", f"echo {word}; sleep 1000").check()
            for host, word in ((one, "one"), (two, "two")):
                host.wait_logs("box", word)
                self.assertEqual(len(host.docker("ps", "-q").lines), 1)


if __name__ == "__main__":
    unittest.main()
