"""Sockets of the test itself inside a host's network namespaces, a small HTTP request, and a name server.

A socket belongs to the namespace of the thread that made it, for ever: a short-lived thread enters the namespace, makes the
socket and ends. So the test's own thread never leaves its namespace.
"""

import ctypes
import os
import socket
import struct
import threading
from contextlib import contextmanager

from lab import CLIENT_ADDRESS, HOST_ADDRESS, until

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def make_socket(host, kind=socket.SOCK_STREAM, netns="client", family=socket.AF_INET):
    """netns: "client" (beside the host, on its own wire), "host", or a path inside the host such as /proc/12/ns/net."""
    root = f"/proc/{host.init_pid}/root"
    path = f"/proc/{host.init_pid}/ns/net" if netns == "host" else root + netns if netns.startswith("/") else f"{root}/run/netns/{netns}"
    made, failed = [], []

    def enter_and_make():
        try:
            with open(path) as file:
                if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns " + path)
            made.append(socket.socket(family, kind))
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=enter_and_make)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    made[0].settimeout(10)
    return made[0]


def connect(host, address, port, netns="client", source=None):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = make_socket(host, socket.SOCK_STREAM, netns, family)
    try:
        if source:
            sock.bind((source, 0))
        sock.connect((address, port))
    except BaseException:
        sock.close()
        raise
    return sock


def get(host, address=HOST_ADDRESS, port=80, path="/", **options):
    """Body of an HTTP answer 200; raises OSError when nobody answers."""
    with connect(host, address, port, **options) as sock:
        name = f"[{address}]" if ":" in address else address
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while chunk := sock.recv(65536):
            data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0] + b" ":
        raise OSError(f"answer was {data[:200]!r}")
    return body.decode()


def get_when_up(host, *arguments, **options):
    def attempt():
        try:
            return get(host, *arguments, **options)
        except OSError:
            return None
    return until(attempt, f"an answer from {arguments} {options}", 20)


def is_refused(host, address, port, **options):
    """Whether nobody accepts there: refused, reset at once or silently dropped."""
    try:
        sock = make_socket(host, socket.SOCK_STREAM, options.get("netns", "client"), socket.AF_INET6 if ":" in address else socket.AF_INET)
        with sock:
            sock.settimeout(2)
            sock.connect((address, port))
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return not sock.recv(1)
    except OSError:
        return True


def ask_udp(host, address, port, text, netns="client", source=None):
    """The answer to a datagram, sent again while none comes."""
    with make_socket(host, socket.SOCK_DGRAM, netns) as sock:
        if source:
            sock.bind((source, 0))
        sock.settimeout(0.5)

        def attempt():
            try:
                sock.sendto(text.encode(), (address, port))
                return sock.recv(2048).decode()
            except OSError:
                return None
        return until(attempt, f"a datagram from {address}:{port}", 20)


@contextmanager
def name_server(host, records):
    """A resolver on the client's side of the wire, the one the host's /etc/resolv.conf names: {"name": "address"}."""
    sock = make_socket(host, socket.SOCK_DGRAM)
    sock.bind((CLIENT_ADDRESS, 53))
    sock.settimeout(0.1)
    stopping = threading.Event()
    asked = []

    def serve():
        while not stopping.is_set():
            try:
                query, client = sock.recvfrom(2048)
            except OSError:
                continue
            name, labels, at = b"", [], 12
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]].decode())
                at += 1 + query[at]
            name, kind = ".".join(labels), struct.unpack(">H", query[at + 1:at + 3])[0]
            asked.append(name)
            question, address = query[12:at + 5], records.get(name)
            if address and kind == 1:
                answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(address)
            else:
                answer = b""
            flags = 0x8180 if address else 0x8183
            reply = query[:2] + struct.pack(">HHHHH", flags, 1, 1 if answer else 0, 0, 0) + question + answer
            sock.sendto(reply, client)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield asked
    finally:
        stopping.set()
        thread.join()
        sock.close()


def links(host):
    """Names of the host's network devices."""
    return {line.split(": ")[1].split("@")[0] for line in host.run_in("ip", "-o", "link").check().out.splitlines()}


def kind_is_listening(host, port):
    return f":{port} " in host.run_in("ss", "-Hltn").out


def pid_namespace_processes(host):
    """Command lines of all processes of the host, by their pid inside."""
    found = {}
    inside = os.readlink(f"/proc/{host.init_pid}/ns/pid")
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            if os.readlink(f"/proc/{name}/ns/pid") != inside and name != str(host.init_pid):
                continue
            with open(f"/proc/{name}/cmdline", "rb") as file:
                found[int(name)] = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            pass
    return found
