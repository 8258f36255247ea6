"""What `../shared/scenarios.md` has as D1, D4 and D6: the commands of the documents, in their order."""

import json
import os
import re
import unittest

import lab
import net
from case import EngineCase
from lab import until


class EngineScenario(EngineCase):
    """D1: one long-lived service, looked at from every side."""
    images = ("alpine", "hostname")

    def setUp(self):
        super().setUp()
        self.docker("tag", "hostname", "registry:2").check()
        self.addCleanup(self.docker, "rmi", "registry:2")

    def test_d1(self):
        self.docker("run", "-d", "-p", "5000:3000", "--restart=always", "--name", "registry", "-v", "data:/var/lib/registry", "registry:2").check()
        self.assertIn("Saludos", net.get_when_up(self.host, lab.HOST_ADDRESS, 5000))
        self.assertRegex(self.docker("ps").check().out, r"registry:2 .* Up .* 0\.0\.0\.0:5000->3000/tcp.* registry\n")
        self.assertIn("Server listening on port 3000!", self.docker("logs", "registry").check().out)
        terminal = self.host.terminal("exec", "-it", "registry", "/bin/sh")
        terminal.send("echo in-$((1+1)) > /var/lib/registry/file; exit\n")
        self.assertEqual(terminal.finish().code, 0)
        mounts = re.search(r'"Mounts": \[\n(.*\n){0,5}', self.docker("inspect", "registry").check().out).group(0)
        self.assertIn('"Name": "data"', mounts)
        self.assertRegex(self.docker("stats", "--no-stream", "registry").check().out, r"CONTAINER ID +NAME +CPU %.*\n\w{12} +registry +\d+\.\d\d% +[\d.]+\w*B / [\d.]+\w*B")
        self.assertRegex(self.docker("top", "registry").check().out, r"UID +PID +PPID.*\n.*hostname")
        self.docker("cp", "registry:/var/lib/registry/file", self.host.scratch + "/file").check()
        with open(self.host.scratch + "/file") as file:
            self.assertEqual(file.read(), "in-2\n")
        os.unlink(self.host.scratch + "/file")
        self.assertRegex(self.docker("system", "df").check().out, r"(?m)^Containers +1 +1 ")
        self.host.restart()
        self.assertIn("Saludos", net.get_when_up(self.host, lab.HOST_ADDRESS, 5000))
        self.docker("stop", "-t", "1", "registry").check()
        self.docker("rm", "registry").check()
        self.assertIn("Total reclaimed space", self.docker("system", "prune", "-f", "--volumes").check().out)
        self.assertEqual(self.docker("volume", "ls", "-q").lines, ["data"])

    def test_d4(self):
        for policy, code, count in (("no", 3, 0), ("on-failure:2", 3, 2), ("on-failure:2", 0, 0)):
            self.docker("run", "-d", "--name", "box", "--restart", policy, "alpine", "sh", "-c", f"exit {code}").check()
            until(lambda: self.host.inspect("box")["State"]["Status"] == "exited" and self.host.inspect("box")["RestartCount"] == count, f"{policy} gives up")
            self.docker("rm", "box").check()
        health = ("--health-cmd", "test -e /well", "--health-interval", "200ms", "--health-timeout", "1s", "--health-retries", "2", "--health-start-period", "100ms")
        events = self.host.stream("events", "--filter", "event=health_status", "--format", "{{.Action}}")
        until(lambda: self.host.api("GET", "/info").json["NEventsListener"] == 1, "the stream is open")
        self.docker("run", "-d", "--name", "box", *health, "alpine", "sleep", "1000").check()
        self.assertIn("(health: starting)", self.docker("ps").out)
        self.assertEqual(events.next_line(), "health_status: unhealthy")
        self.assertIn("(unhealthy)", self.docker("ps").out)
        self.docker("exec", "box", "touch", "/well").check()
        self.assertEqual(events.next_line(), "health_status: healthy")
        self.assertEqual(self.docker("inspect", "-f", "{{.State.Health.Status}} {{.State.Health.FailingStreak}}", "box").line, "healthy 0")
        self.assertEqual(self.docker("ps", "-q", "--filter", "health=healthy").lines, [self.host.inspect("box")["Id"][:12]])

    def test_d6(self):
        line = json.dumps({"level": "info", "msg": "structured \"quoted\"", "n": 1})
        self.docker("run", "--name", "box", "-e", "LINE=" + line, "alpine", "sh", "-c", 'echo "$LINE"').check()
        self.assertEqual(json.loads(self.docker("logs", "box").out), json.loads(line))
        self.docker("run", "--name", "quiet", "--log-driver", "none", "alpine", "echo", "x").check()
        self.assertFails(self.docker("logs", "quiet"), "configured logging driver does not support reading")
        self.docker("run", "--name", "small", "--log-opt", "max-size=10k", "--log-opt", "max-file=2", "alpine", "seq", "1", "20000").check()
        lines = self.docker("logs", "small").lines
        self.assertEqual(lines[-1], "20000")
        self.assertLess(len(lines), 10000)
        self.assertEqual([int(each) for each in lines], list(range(20001 - len(lines), 20001)))


if __name__ == "__main__":
    unittest.main()
