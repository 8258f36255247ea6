"""A client that vanishes, by kill -9 for instance, says nothing; the engine must notice and let go of its connection."""

import socket
import unittest

from case import EngineCase
from lab import until


class HangUpTest(EngineCase):
    def setUp(self):
        super().setUp()
        self.docker("run", "-d", "-i", "--name", "box", "alpine", "sleep", "1000").check()

    def sockets(self):
        return self.host.run_in("ls", "-l", f"/proc/{self.host.engine_pid}/fd").out.count("socket:")

    def at_rest(self):
        """How many sockets the engine has when the clients of before are gone."""
        counts = [0, 1, 2]
        until(lambda: counts.append(self.sockets()) or len(set(counts[-4:])) == 1, "the engine is at rest")
        return counts[-1]

    def vanish(self, *arguments, stdin=False, ready=lambda: True):
        """Some clients of this command come, and are killed when they are connected."""
        before = self.at_rest()
        streams = [self.host.stream(*arguments, stdin=stdin) for _ in range(4)]
        until(lambda: self.sockets() >= before + 4 and ready(), "they are connected")
        for stream in streams:
            stream.process.kill()
        until(lambda: self.sockets() <= before, f"their connections are gone; {before} before, {self.sockets()} now", 10)

    def test_attached(self):
        self.vanish("attach", "box", stdin=True)
        self.vanish("attach", "--no-stdin", "box")
        self.assertTrue(self.host.is_running("box"))

    def test_reader_of_logs(self):
        self.vanish("logs", "-f", "box")

    def test_exec(self):
        count = lambda what: self.docker("exec", "box", "ps").out.count(what)  # noqa: E731
        self.vanish("exec", "box", "sleep", "777", ready=lambda: count("sleep 777") == 4)
        self.assertEqual(count("sleep 777"), 4, "the programs go on, as in Docker")
        self.vanish("exec", "-i", "box", "cat", stdin=True, ready=lambda: count(" cat\n") == 4)
        until(lambda: count(" cat\n") == 0, "a program that reads its input ends with it")

    def test_others(self):
        self.vanish("events")
        self.vanish("wait", "box")
        self.vanish("stats", "box")

    def test_attached_before_the_start(self):
        self.docker("create", "--name", "later", "alpine", "sleep", "1000").check()
        before = self.at_rest()
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self.host.socket)
        connection.sendall(b"POST /containers/later/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        self.assertIn(b"101", connection.recv(4096))
        until(lambda: self.sockets() == before + 1, "it is connected")
        connection.close()
        until(lambda: self.sockets() <= before, "its connection is gone", 10)

    def test_client_that_only_ends_its_input_is_still_there(self):
        self.assertEqual(self.docker("exec", "-i", "box", "sh", "-c", "cat; sleep 1; echo after", input="in\n").check().out, "in\nafter\n")
        self.assertEqual(self.docker("run", "--rm", "-i", "alpine", "sh", "-c", "cat; sleep 1; echo after", input="in\n").check().out, "in\nafter\n")


if __name__ == "__main__":
    unittest.main()
