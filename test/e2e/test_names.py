"""Names inside containers: the resolver at 127.0.0.11, what it forwards and how, and the files that lead there."""

import socket
import struct
import threading
import time
import unittest
from contextlib import contextmanager

import net
from case import EngineCase
from lab import CLIENT_ADDRESS

A, MX, TXT, AAAA, SRV = 1, 15, 16, 28, 33


def question(name, kind=A, edns=0):
    packet = struct.pack(">HHHHHH", 0x1234, 0x0100, 1, 0, 0, 1 if edns else 0)
    for label in name.split("."):
        packet += bytes([len(label)]) + label.encode()
    packet += b"\0" + struct.pack(">HH", kind, 1)
    return packet + (b"\0" + struct.pack(">HHIH", 41, edns, 0, 0) if edns else b"")


def records(reply, kind=None):
    """(type, data) of the answers; names of the look-alike servers here are compressed."""
    at = 12
    while reply[at]:
        at += 1 + reply[at]
    at += 5
    found = []
    for _ in range(struct.unpack(">H", reply[6:8])[0]):
        kind_here, _, _, size = struct.unpack(">HHIH", reply[at + 2:at + 12])
        found.append((kind_here, reply[at + 12:at + 12 + size]))
        at += 12 + size
    return [data for k, data in found if kind in (None, k)]


def is_truncated(reply):
    return bool(reply[2] & 2)


@contextmanager
def resolver(host, answers, address=CLIENT_ADDRESS, netns="client"):
    """A name server over UDP (512 bytes, or what the client says) and TCP: {(name, kind): [data]}; yields the list of (via, name, kind) asked."""
    udp, tcp = (net.make_socket(host, kind, netns) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM))
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for sock in (udp, tcp):
        sock.bind((address, 53))
        sock.settimeout(0.1)
    tcp.listen()
    asked, stopping = [], threading.Event()

    def answer(query, via):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        name, kind = ".".join(labels), struct.unpack(">H", query[at + 1:at + 3])[0]
        asked.append((via, name, kind))
        found = answers.get((name, kind), [])
        known = any(n == name for n, _ in answers)
        body = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data for data in found)
        reply = query[:2] + struct.pack(">HHHHH", 0x8180 if known else 0x8183, 1, len(found), 0, 0) + query[12:at + 5] + body
        room = 65535 if via == "tcp" else struct.unpack(">H", query[at + 8:at + 10])[0] if query[11] else 512
        if len(reply) > room:
            reply = query[:2] + struct.pack(">HHHHH", 0x8380, 1, 0, 0, 0) + query[12:at + 5]
        return reply

    def serve(sock, handle):
        while not stopping.is_set():
            try:
                handle(sock)
            except OSError:
                pass

    def over_udp(sock):
        query, client = sock.recvfrom(4096)
        sock.sendto(answer(query, "udp"), client)

    def over_tcp(sock):
        connection, _ = sock.accept()
        with connection:
            connection.settimeout(2)
            size = struct.unpack(">H", connection.recv(2))[0]
            reply = answer(connection.recv(size), "tcp")
            connection.sendall(struct.pack(">H", len(reply)) + reply)

    threads = [threading.Thread(target=serve, args=pair, daemon=True) for pair in ((udp, over_udp), (tcp, over_tcp))]
    for thread in threads:
        thread.start()
    try:
        yield asked
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
        udp.close()
        tcp.close()


class NamesCase(EngineCase):
    images = ("alpine", "hostname")

    def setUp(self):
        super().setUp()
        self.docker("network", "create", "mine").check()

    def box(self, name="box", *options, network="mine"):
        self.docker("run", "-d", "--name", name, "--network", network, *options, "alpine", "sleep", "1000").check()

    def inside(self, container="box"):
        return f"/proc/{self.host.inspect(container)['State']['Pid']}/ns/net"

    def address(self, name, network="mine"):
        return self.host.inspect(name)["NetworkSettings"]["Networks"][network]["IPAddress"]

    def ask(self, packet, container="box", timeout=10):
        with net.make_socket(self.host, socket.SOCK_DGRAM, self.inside(container)) as sock:
            sock.settimeout(timeout)
            sock.connect(("127.0.0.11", 53))
            sock.send(packet)
            return sock.recv(65535)

    def ask_tcp(self, packet, container="box"):
        with net.make_socket(self.host, socket.SOCK_STREAM, self.inside(container)) as sock:
            sock.connect(("127.0.0.11", 53))
            sock.sendall(struct.pack(">H", len(packet)) + packet)
            data = b""
            while len(data) < 2 or len(data) < 2 + struct.unpack(">H", data[:2])[0]:
                chunk = sock.recv(65536)
                self.assertTrue(chunk, "hung up")
                data += chunk
            return data[2:]


class Port53Test(NamesCase):
    def test_a_program_of_the_container_has_it(self):
        """On all addresses, over both protocols; and names go on being answered."""
        self.box()
        self.box("peer")
        udp, tcp = (net.make_socket(self.host, kind, self.inside()) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM))
        with udp, tcp:
            udp.bind(("0.0.0.0", 53))
            tcp.bind(("0.0.0.0", 53))
            tcp.listen()
            own = socket.inet_aton(self.address("peer"))
            self.assertEqual(records(self.ask(question("peer"))), [own])
            self.assertEqual(records(self.ask_tcp(question("peer"))), [own])
            with net.make_socket(self.host, socket.SOCK_DGRAM, self.inside("peer")) as other:
                other.sendto(b"to the program", (self.address("box"), 53))
                self.assertEqual(udp.recv(100), b"to the program")
            with net.make_socket(self.host, socket.SOCK_DGRAM, self.inside()) as own_socket:
                own_socket.sendto(b"by loopback", ("127.0.0.1", 53))
                self.assertEqual(udp.recv(100), b"by loopback")

    def test_of_a_container_that_serves_names_for_others(self):
        self.box("dns")
        self.box("client", "--dns", self.address("dns"))
        with resolver(self.host, {("made.up", A): [bytes([10, 9, 8, 7])]}, address="0.0.0.0", netns=self.inside("dns")):
            self.assertEqual(records(self.ask(question("made.up"), "client")), [bytes([10, 9, 8, 7])])

    def test_without_a_daemon_the_answer_is_a_quick_no(self):
        self.box()
        here = self.inside()
        self.inside = lambda container="box": here
        self.host.kill9()
        start = time.monotonic()
        with self.assertRaises(ConnectionRefusedError):
            self.ask(question("box"))
        with self.assertRaises(ConnectionRefusedError):
            self.ask_tcp(question("box"))
        self.assertLess(time.monotonic() - start, 1)
        self.host.start()
        self.assertEqual(records(self.ask(question("box"))), [socket.inet_aton(self.address("box"))])
        self.assertEqual(records(self.ask_tcp(question("box"))), [socket.inet_aton(self.address("box"))])


class ForwardTest(NamesCase):
    def test_any_kind_of_question(self):
        self.box()
        answers = {("mail.example", MX): [struct.pack(">H", 10) + b"\2mx\xc0\x0c"], ("_http._tcp.example", SRV): [struct.pack(">HHH", 1, 2, 8080) + b"\3web\xc0\x0c"], ("note.example", TXT): [b"\4free"],
                   ("six.example", AAAA): [socket.inet_pton(socket.AF_INET6, "2001:db8::7")]}
        with resolver(self.host, answers):
            for (name, kind), data in answers.items():
                with self.subTest(name):
                    self.assertEqual(records(self.ask(question(name, kind))), data)
                    self.assertEqual(records(self.ask_tcp(question(name, kind))), data)

    def test_a_long_answer_comes_over_tcp_or_with_edns(self):
        self.box()
        many = [bytes([10, 0, i // 256, i % 256]) for i in range(100)]
        with resolver(self.host, {("many.example", A): many}) as asked:
            self.assertTrue(is_truncated(self.ask(question("many.example"))))
            self.assertEqual(records(self.ask(question("many.example", edns=4096))), many)
            self.assertEqual(records(self.ask_tcp(question("many.example"))), many)
        self.assertEqual([via for via, _, _ in asked], ["udp", "udp", "tcp"])

    def test_a_long_answer_of_our_own(self):
        for i in range(36):
            self.box(f"box{i}", "--network-alias", "pool")
        short = self.ask(question("pool"), "box0")
        self.assertTrue(is_truncated(short))
        self.assertLessEqual(len(short), 512)
        self.assertGreaterEqual(len(records(short)), 28)
        self.assertEqual(len(records(self.ask(question("pool", edns=4096), "box0"))), 36)
        self.assertEqual(len(records(self.ask_tcp(question("pool"), "box0"))), 36)

    def test_a_name_of_ours_is_ours_for_every_kind(self):
        self.box()
        with resolver(self.host, {("box", MX): [struct.pack(">H", 10) + b"\0"]}) as asked:
            for kind in (AAAA, MX, TXT):
                reply = self.ask(question("box", kind))
                self.assertEqual((reply[3] & 15, records(reply)), (0, []))
        self.assertEqual(asked, [])

    def test_internal_networks_ask_nobody_outside(self):
        self.docker("network", "create", "--internal", "inner").check()
        self.box("lone", network="inner")
        with resolver(self.host, {("leak.example", A): [bytes([1, 2, 3, 4])]}) as asked:
            self.assertEqual(records(self.ask(question("leak.example"), "lone")), [])
            self.docker("network", "connect", "mine", "lone").check()
            self.assertEqual(records(self.ask(question("leak.example"), "lone")), [bytes([1, 2, 3, 4])])
        self.assertEqual(len(asked), 1)

    def test_own_servers_of_a_container(self):
        with resolver(self.host, {("here.example", A): [bytes([1, 2, 3, 4])]}, address="192.0.2.101"):
            self.box("own", "--dns", "192.0.2.101")
            self.assertEqual(records(self.ask(question("here.example"), "own")), [bytes([1, 2, 3, 4])])
            self.assertIn("nameserver 192.0.2.101\n", self.docker("run", "--rm", "--dns", "192.0.2.101", "alpine", "cat", "/etc/resolv.conf").out)

    def test_the_next_server_when_one_fails(self):
        with resolver(self.host, {("here.example", A): [bytes([1, 2, 3, 4])]}, address="192.0.2.101"):
            self.box("own", "--dns", "192.0.2.77", "--dns", "192.0.2.101")  # nobody is 192.0.2.77
            self.assertEqual(records(self.ask(question("here.example"), "own")), [bytes([1, 2, 3, 4])])


class ResolvConfTest(NamesCase):
    def conf(self, *options):
        return self.docker("run", "--rm", *options, "alpine", "cat", "/etc/resolv.conf").check().lines

    def with_host_conf(self, text, upstream=None):
        path = self.host.folder + "/resolv.conf"
        with open(path) as file:
            before = file.read()

        def write(content):
            with open(path, "w") as file:  # the same file: it is mounted over the host's
                file.write(content)
        self.addCleanup(write, before)
        write(text)
        if upstream is not None:
            self.host.run_in("mkdir", "-p", "/run/systemd/resolve").check()
            self.host.run_in("tee", "/run/systemd/resolve/resolv.conf", input=upstream).check()

    def test_the_hosts_goes_along(self):
        self.with_host_conf(f"# comment\nnameserver {CLIENT_ADDRESS}\nsearch a.example b.example\noptions timeout:1\n")
        self.assertEqual(self.conf(), [f"nameserver {CLIENT_ADDRESS}", "search a.example b.example", "options timeout:1"])
        self.assertEqual(self.conf("--network", "mine"), ["nameserver 127.0.0.11", "search a.example b.example", "options timeout:1 ndots:0"])

    def test_what_a_container_asks_for(self):
        options = ("--dns", "192.0.2.53", "--dns-search", "own.example", "--dns-opt", "ndots:3", "--dns-opt", "rotate")
        self.assertEqual(self.conf(*options), ["nameserver 192.0.2.53", "search own.example", "options ndots:3 rotate"])
        self.assertEqual(self.conf("--network", "mine", *options), ["nameserver 127.0.0.11", "search own.example", "options ndots:3 rotate"])

    def test_no_search_when_asked_for_none(self):
        self.with_host_conf(f"nameserver {CLIENT_ADDRESS}\nsearch a.example\n")
        self.assertEqual(self.conf("--dns-search", "."), [f"nameserver {CLIENT_ADDRESS}"])

    def test_systemd_resolved_on_the_host(self):
        self.with_host_conf("nameserver 127.0.0.53\noptions edns0 trust-ad\n", upstream=f"nameserver {CLIENT_ADDRESS}\nsearch lan\n")
        self.assertEqual(self.conf(), [f"nameserver {CLIENT_ADDRESS}", "search lan"])
        self.box()
        with resolver(self.host, {("here.example", A): [bytes([1, 2, 3, 4])]}):
            self.assertEqual(records(self.ask(question("here.example"))), [bytes([1, 2, 3, 4])])

    def test_a_resolver_on_the_hosts_loopback(self):
        """A container cannot reach it; the engine asks it from the host."""
        self.with_host_conf("nameserver 127.0.0.1\n")
        self.assertEqual(self.conf(), [])
        self.box()
        with resolver(self.host, {("here.example", A): [bytes([1, 2, 3, 4])]}, address="127.0.0.1", netns="host"):
            self.assertEqual(records(self.ask(question("here.example"))), [bytes([1, 2, 3, 4])])

    def test_searched_names_reach_the_program(self):
        self.box("box", "--dns-search", "corp.example")
        with net.name_server(self.host, {"intranet.corp.example": "198.51.100.9"}):
            out = self.docker("exec", "box", "ping", "-c", "1", "-W", "1", "intranet").out
        self.assertIn("(198.51.100.9)", out)


if __name__ == "__main__":
    unittest.main()
