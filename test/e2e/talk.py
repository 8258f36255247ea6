"""How a test talks to an engine: a finished command, one that goes on, one on a terminal, one HTTP request.

Waits here are for something to happen and end with it; LONGEST_WAIT only keeps a broken engine from holding a run for ever.
"""

import fcntl
import http.client
import json
import os
import pty
import select
import socket
import struct
import subprocess
import time
from dataclasses import dataclass

LONGEST_WAIT = 60  # seconds; a test's own deadline is usually nearer
SLOW = float(os.environ.get("PANAL_E2E_SLOW", "1"))  # how many times longer everything may take here


@dataclass
class Result:
    """What a command of the CLI did."""
    command: list
    code: int
    out: str
    err: str
    out_bytes: bytes = b""

    def check(self, code=0):
        if self.code != code:
            raise AssertionError(f"{self}: exit code {self.code}, expected {code}")
        return self

    @property
    def line(self):
        return self.out.strip()

    @property
    def lines(self):
        return self.out.splitlines()

    def __str__(self):
        return f"$ {' '.join(self.command)}\n--- stdout\n{self.out[-3000:]}\n--- stderr\n{self.err[-3000:]}\n---"


def until(condition, what, timeout=LONGEST_WAIT):
    """The first true value of condition(); it is asked often, and long enough for a slow machine. What takes time to ask, as
    every docker command does, takes no more than half of a processor from what is waited for."""
    end = time.monotonic() + timeout * SLOW
    while True:
        begin = time.monotonic()
        value = condition()
        if value:
            return value
        asked = time.monotonic()
        if asked > end:
            raise AssertionError(f"waited {timeout * SLOW:g} s in vain: {what}")
        time.sleep(max(0.02, asked - begin))


class Stream:
    """A command that keeps talking (logs -f, events, attach): its lines as they come."""

    def __init__(self, process, command):
        self.process, self.command, self.buffers = process, command, {"out": b"", "err": b""}
        self.files = {process.stdout: "out"}
        if process.stderr is not None:
            self.files[process.stderr] = "err"

    def _fill(self, timeout):
        ready, _, _ = select.select(list(self.files), [], [], timeout)
        for file in ready:
            data = os.read(file.fileno(), 65536)
            if data:
                self.buffers[self.files[file]] += data
            else:
                del self.files[file]

    def read_until(self, text, which="out", timeout=LONGEST_WAIT):
        """Everything up to and including `text`; what follows stays for the next call."""
        wanted, end = text.encode(), time.monotonic() + timeout * SLOW
        while wanted not in self.buffers[which]:
            if not self.files:
                raise AssertionError(f"{self.command} ended without {text!r}: {self.buffers}")
            if time.monotonic() > end:
                raise AssertionError(f"{self.command} did not say {text!r} in {timeout} s: {self.buffers}")
            self._fill(0.5)
        at = self.buffers[which].index(wanted) + len(wanted)
        head, self.buffers[which] = self.buffers[which][:at], self.buffers[which][at:]
        return head.decode(errors="replace")

    def next_line(self, timeout=LONGEST_WAIT):
        return self.read_until("\n", timeout=timeout).rstrip("\r\n")

    def send(self, data):
        self.process.stdin.write(data if isinstance(data, bytes) else data.encode())
        self.process.stdin.flush()

    def close_input(self):
        self.process.stdin.close()

    def finish(self, timeout=LONGEST_WAIT):
        """Waits for the command's own end. Returns its Result with what was not read yet."""
        end = time.monotonic() + timeout * SLOW
        while self.files and time.monotonic() < end:
            self._fill(0.5)
        try:
            code = self.process.wait(max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.command} did not end in {timeout} s: {self.buffers}") from None
        return Result([self.command], code, self.buffers["out"].decode(errors="replace"),
                      self.buffers["err"].decode(errors="replace"), self.buffers["out"])

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for file in (self.process.stdin, self.process.stdout, self.process.stderr):
            if file:
                try:
                    file.close()
                except OSError:
                    pass


class Terminal(Stream):
    """A command on a pseudo terminal, as a person at a keyboard has it."""

    def __init__(self, command, environment, rows=24, columns=80):
        primary, secondary = pty.openpty()
        self.primary = primary
        self.resize(rows, columns)
        self.process = subprocess.Popen(command, stdin=secondary, stdout=secondary, stderr=secondary, env=environment,
                                        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, 0x540E, 0))  # TIOCSCTTY
        os.close(secondary)
        self.command, self.buffers, self.open = " ".join(command), {"out": b"", "err": b""}, True
        self.files = {"primary": "out"}

    def resize(self, rows, columns):
        fcntl.ioctl(self.primary, 0x5414, struct.pack("HHHH", rows, columns, 0, 0))  # TIOCSWINSZ

    def _fill(self, timeout):
        ready, _, _ = select.select([self.primary], [], [], timeout)
        if ready:
            try:
                data = os.read(self.primary, 65536)
            except OSError:  # EIO: the other end is closed
                data = b""
            if data:
                self.buffers["out"] += data
            else:
                self.files.clear()

    def send(self, data):
        os.write(self.primary, data if isinstance(data, bytes) else data.encode())

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.primary >= 0:
            os.close(self.primary)
            self.primary = -1


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout * SLOW)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


@dataclass
class Response:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def message(self):
        """The text of an error as the specification has it: {"message": ...}"""
        return self.json["message"]
