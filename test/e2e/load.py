"""Requests that go on while something happens to the swarm: a thread of the test on the clients' side of the switch."""

import ctypes
import os
import socket
import threading
import time

from net import CLONE_NEWNET, libc


class Load:
    """with Load(cluster, port) as load: ...; load.failures is a list of what went wrong, load.answered of (time, node, body).

    One new connection after the other to each node in turn, some of them to /slow, so that requests are in flight all the time.
    At most some 100 requests a second: a user's browser, not a benchmark."""

    def __init__(self, cluster, port, numbers=None, path="/", slow_every=5):
        self.numbers = list(numbers or cluster.numbers)
        self.addresses = {number: cluster.address(number) for number in self.numbers}
        self.namespace = f"/proc/{cluster.switch.init_pid}/ns/net"
        self.port, self.path, self.slow_every = port, path, slow_every
        self.answered, self.failures = [], []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=[offset], daemon=True) for offset in range(2)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        return self

    def _run(self, offset):
        with open(self.namespace) as file:
            if libc.setns(file.fileno(), CLONE_NEWNET) != 0:  # this thread only; it ends with the load
                self.failures.append(f"setns: {os.strerror(ctypes.get_errno())}")
                return
        count = offset
        while not self.stopping.is_set():
            number = self.numbers[count % len(self.numbers)]
            path = "/slow" if self.slow_every and count % self.slow_every == 0 else self.path
            began = time.monotonic()
            try:
                self.answered.append((began, number, self._request(self.addresses[number], path)))
            except OSError as error:
                self.failures.append(f"node{number} {path} after {time.monotonic() - began:.2f} s: {error!r}")
            count += 1
            time.sleep(0.01)

    def _request(self, address, path):
        with socket.create_connection((address, self.port), timeout=8) as sock:
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
            data = b""
            while chunk := sock.recv(4096):
                data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise OSError(f"answer was {data[:100]!r}")
        return body.decode()
