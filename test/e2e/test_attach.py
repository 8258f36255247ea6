"""Attaching: by websocket, several at once, and detaching by keys."""

import base64
import os
import socket
import struct
import unittest

from case import EngineCase
from lab import until


class WebSocket:
    """As much of RFC 6455 as is needed to talk to the engine."""

    def __init__(self, path, target):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(20)
        self.sock.connect(path)
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.sock.recv(1)
        self.status = int(head.split()[1])
        self.head = head.decode()

    def send(self, payload, opcode=2):
        mask = os.urandom(4)
        size = struct.pack("!B", 0x80 | len(payload)) if len(payload) < 126 else struct.pack("!BH", 0xFE, len(payload))
        self.sock.sendall(bytes([0x80 | opcode]) + size + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload)))

    def _exactly(self, n):
        data = b""
        while len(data) < n:
            piece = self.sock.recv(n - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def receive(self):
        """(opcode, payload)"""
        first, size = self._exactly(2)
        size &= 127
        if size == 126:
            size, = struct.unpack("!H", self._exactly(2))
        elif size == 127:
            size, = struct.unpack("!Q", self._exactly(8))
        return first & 15, self._exactly(size)

    def read_until(self, text):
        data = b""
        while text not in data:
            opcode, payload = self.receive()
            if opcode == 8:
                raise EOFError(f"closed after {data!r}")
            data += payload
        return data


class WebSocketTest(EngineCase):
    def attach(self, name="box", query="stream=1&stdin=1&stdout=1&stderr=1"):
        ws = WebSocket(self.host.socket, f"/v1.51/containers/{name}/attach/ws?{query}")
        self.addCleanup(ws.sock.close)
        return ws

    def test_talk_to_a_shell(self):
        self.docker("run", "-di", "--name", "box", "alpine", "sh").check()
        ws = self.attach()
        self.assertEqual(ws.status, 101)
        ws.send(b"echo to-out; echo to-err >&2\n")
        data = ws.read_until(b"to-err\n")
        self.assertIn(b"to-out\n", data)
        ws.send(b"ping", opcode=9)
        self.assertEqual(ws.receive(), (10, b"ping"))
        ws.send(b"exit 3\n")
        self.assertEqual(ws.receive()[0], 8, "the end is said")
        self.assertEqual(self.host.wait_exited("box")["ExitCode"], 3)

    def test_terminal_and_detach_keys(self):
        self.docker("run", "-dit", "--name", "box", "alpine", "sh").check()
        ws = self.attach(query="stream=1&stdin=1&stdout=1&detachKeys=ctrl-x,x")
        ws.send(b"echo hi-$((20+3))\n")
        ws.read_until(b"hi-23")
        ws.send(b"\x18x")
        with self.assertRaises(EOFError):
            ws.read_until(b"never")
        self.assertTrue(self.host.is_running("box"))

    def test_logs_first(self):
        self.docker("run", "-d", "--name", "box", "alpine", "sh", "-c", "echo before; sleep 1000").check()
        self.host.wait_logs("box", "before")
        self.assertEqual(self.attach(query="logs=1&stdout=1").receive(), (2, b"before\n"))

    def test_refused(self):
        self.assertEqual(WebSocket(self.host.socket, "/containers/nosuch/attach/ws").status, 404)
        self.docker("create", "--name", "box", "alpine").check()
        response = self.host.api("GET", "/containers/box/attach/ws?stream=1")
        self.assertEqual((response.status, response.message), (400, "not a websocket handshake"))

    def test_a_client_that_goes_away_harms_nobody(self):
        self.docker("run", "-di", "--name", "box", "alpine", "sh", "-c", "while read x; do echo got $x; done").check()
        first, second = self.attach(), self.attach(query="stream=1&stdout=1")
        first.send(b"one\n")
        first.read_until(b"got one\n")
        second.read_until(b"got one\n")
        first.sock.close()
        third = self.attach()
        third.send(b"two\n")
        third.read_until(b"got two\n")
        second.read_until(b"got two\n")


class SeveralTest(EngineCase):
    def test_all_see_everything(self):
        self.docker("run", "-di", "--name", "box", "alpine", "sh", "-c", "while read x; do echo got $x; done").check()
        streams = [self.host.stream("attach", "box", stdin=True) for _ in range(3)]
        until(lambda: len(self.docker("events", "--since", "10m", "--until", "0s", "--filter", "event=attach", "--filter", "container=box", "--format", "x").lines) == 3, "all are attached")
        streams[1].send("hello\n")
        for stream in streams:
            stream.read_until("got hello\n")


class ExecKeysTest(EngineCase):
    def test_keys_of_the_client(self):
        self.docker("run", "-d", "--name", "box", "alpine", "sleep", "1000").check()
        terminal = self.host.terminal("exec", "-it", "--detach-keys", "ctrl-a,a", "box", "sh", "-c", "echo ready; sleep 900")
        terminal.read_until("ready")
        terminal.send("\x01a")
        result = terminal.finish()
        self.assertIn("sleep 900", self.docker("top", "box").out, f"it goes on: {result}")
        response = self.host.api("POST", "/containers/box/exec", {"Cmd": ["true"], "DetachKeys": "odd-key"})
        self.assertEqual(response.status, 400)


if __name__ == "__main__":
    unittest.main()
