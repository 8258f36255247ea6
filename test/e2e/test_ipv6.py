"""IPv6 on bridge networks: addresses, names, the way out, published ports; and nothing of it where nobody asked."""

import socket
import unittest

import net
from lab import HOST_ADDRESS, until
from test_names import A, AAAA, NamesCase, question, records
from test_network import NetworkCase

HOST6, CLIENT6 = "2001:db8::1", "2001:db8::100"


class Ipv6Case(NetworkCase):
    def setUp(self):
        super().setUp()
        self.docker("network", "create", "--ipv6", "--subnet", "fd00:77::/64", "six").check()

    def endpoint(self, name, network="six"):
        return self.host.inspect(name)["NetworkSettings"]["Networks"][network]

    def box(self, name="box", *options, network="six"):
        self.docker("run", "-d", "--name", name, "--network", network, *options, "alpine", "sleep", "1000").check()

    def ask_udp6(self, address, port, text, netns="client"):
        with net.make_socket(self.host, socket.SOCK_DGRAM, netns, family=socket.AF_INET6) as sock:
            sock.settimeout(0.5)
            sock.connect((address, port))  # an answer from another address is none

            def attempt():
                try:
                    sock.send(text.encode())
                    return sock.recv(100).decode()
                except OSError:
                    return None
            return until(attempt, f"a datagram from {address}", 10)


class WithoutIpv4Test(Ipv6Case):
    def setUp(self):
        super().setUp()
        self.docker("network", "create", "--ipv4=false", "--ipv6", "--subnet", "fd00:99::/64", "only").check()

    def test_addresses_names_and_restart(self):
        network = self.host.inspect("only", "network")
        self.assertEqual((network["EnableIPv4"], network["EnableIPv6"], [c["Subnet"] for c in network["IPAM"]["Config"]]), (False, True, ["fd00:99::/64"]))
        self.box("one", network="only")
        self.box("two", "--link", "one:linked", network="only")
        for _ in range(2):
            e = self.endpoint("two", "only")
            self.assertEqual((e["IPAddress"], e["IPPrefixLen"], e["Gateway"], e["IPv6Gateway"]), ("", 0, "", "fd00:99::1"))
            self.assertTrue(e["GlobalIPv6Address"].startswith("fd00:99::"))
            self.assertEqual(self.docker("exec", "two", "ip", "-4", "addr", "show", "eth0").out, "")
            self.docker("exec", "two", "ping", "-6", "-c", "1", "-W", "5", "one").check()
            self.assertIn("default via fd00:99::1", self.docker("exec", "two", "ip", "-6", "route").out)
            self.docker("restart", "-t", "0", "one", "two").check()
        members = self.host.inspect("only", "network")["Containers"].values()
        self.assertEqual({m["IPv4Address"] for m in members}, {""})

    def test_both_kinds_of_network(self):
        self.docker("network", "create", "four").check()
        self.box("box", network="only")
        self.docker("network", "connect", "four", "box").check()
        routes = self.docker("exec", "box", "sh", "-c", "ip route; ip -6 route").out
        self.assertRegex(routes, r"default via \d")
        self.assertIn("default via fd00:99::1", routes)

    def test_published_port(self):
        self.web("web", "--network", "only", "-p", "8099:3000")
        self.assertEqual(self.docker("port", "web").check().lines, ["3000/tcp -> [::]:8099"])
        for address, netns in ((HOST6, "client"), ("::1", "host")):
            self.assertEqual(net.get_when_up(self.host, address, 8099, netns=netns), "Saludos desde web!")
        self.assertFails(self.docker("run", "--rm", "--network", "only", "-p", "127.0.0.1:8098:80", "alpine"), "of a container without IPv4", code=125)

    def test_refused(self):
        self.assertFails(self.docker("network", "create", "--ipv4=false", "none6"), "IPv4 or IPv6 must be enabled")
        self.assertFails(self.docker("network", "create", "--ipv4=false", "--ipv6", "--subnet", "10.1.0.0/24", "odd"), "is of IPv4, which is not enabled")
        self.assertFails(self.docker("run", "--rm", "--network", "only", "--ip", "10.1.0.5", "alpine"), "no configured subnet contains IP address 10.1.0.5", code=125)


class AddressTest(Ipv6Case):
    def test_shown_everywhere(self):
        network = self.host.inspect("six", "network")
        self.assertTrue(network["EnableIPv6"])
        configs = network["IPAM"]["Config"]
        self.assertEqual([(c["Subnet"], c["Gateway"]) for c in configs if ":" in c["Subnet"]], [("fd00:77::/64", "fd00:77::1")])
        self.assertEqual(len(configs), 2)
        self.box()
        e = self.endpoint("box")
        self.assertEqual((e["GlobalIPv6Address"], e["GlobalIPv6PrefixLen"], e["IPv6Gateway"]), ("fd00:77::2", 64, "fd00:77::1"))
        self.assertTrue(e["IPAddress"])
        self.assertEqual(next(iter(self.host.inspect("six", "network")["Containers"].values()))["IPv6Address"], "fd00:77::2/64")
        inside = self.docker("exec", "box", "sh", "-c", "ip -6 addr show eth0; ip -6 route; cat /etc/hosts").out
        self.assertIn("inet6 fd00:77::2/64", inside)
        self.assertIn("default via fd00:77::1", inside)
        self.assertRegex(inside, r"fd00:77::2\t[0-9a-f]{12}\n")

    def test_fixed(self):
        self.box("fixed", "--ip6", "fd00:77::beef")
        self.assertEqual(self.endpoint("fixed")["GlobalIPv6Address"], "fd00:77::beef")
        self.assertFails(self.docker("run", "--rm", "--network", "six", "--ip6", "fd00:77::beef", "alpine", "true"), "Address already in use", code=125)
        self.assertFails(self.docker("run", "--rm", "--network", "six", "--ip6", "fd00:78::1", "alpine", "true"), "no configured subnet contains IP address fd00:78::1", code=125)
        self.docker("network", "create", "four").check()
        self.assertCode(self.docker("run", "--rm", "--network", "four", "--ip6", "fd00:77::7", "alpine", "true"), 125)

    def test_a_subnet_of_its_own_choice(self):
        subnets = set()
        for i in range(3):
            self.docker("network", "create", "--ipv6", f"own{i}").check()
            subnets |= {c["Subnet"] for c in self.host.inspect(f"own{i}", "network")["IPAM"]["Config"] if ":" in c["Subnet"]}
        self.assertEqual(len(subnets), 3)
        for subnet in subnets:
            self.assertRegex(subnet, r"^fd[0-9a-f:]+::/64$")

    def test_wrong_ones(self):
        for arguments in (["--subnet", "fd00:79::/64"], ["--ipv6", "--subnet", "fd00:79::1/64"], ["--ipv6", "--subnet", "fd00:77::/80"], ["--ipv6", "--subnet", "fd00:79::/64", "--subnet", "fd00:80::/64"]):
            with self.subTest(arguments):
                self.assertCode(self.docker("network", "create", *arguments, "wrong"), 1)
        self.assertNotIn("wrong", self.docker("network", "ls").out)

    def test_none_where_nobody_asked(self):
        """As in Docker: loopback has it, an interface on a network without IPv6 has not even a link-local address."""
        self.docker("network", "create", "four").check()
        for network in ("bridge", "four"):
            out = self.docker("run", "--rm", "--network", network, "alpine", "sh", "-c", "ip -6 -o addr; cat /proc/sys/net/ipv6/conf/eth0/disable_ipv6").check().out
            self.assertIn("::1/128", out)
            self.assertNotIn("eth0", out)
            self.assertTrue(out.endswith("1\n"), out)

    def test_the_host_still_hears_router_advertisements(self):
        self.assertEqual(self.host.run_in("cat", "/proc/sys/net/ipv6/conf/eth0/accept_ra").check().out, "2\n")
        self.assertEqual(self.host.run_in("cat", "/proc/sys/net/ipv6/conf/all/forwarding").check().out, "1\n")

    def test_connect_and_disconnect(self):
        self.docker("network", "create", "four").check()
        self.box("box", network="four")
        self.docker("network", "connect", "--ip6", "fd00:77::9", "six", "box").check()
        self.assertIn("default via fd00:77::1", self.docker("exec", "box", "ip", "-6", "route").out)
        self.docker("network", "disconnect", "six", "box").check()
        self.assertNotIn("fd00", self.docker("exec", "box", "ip", "-6", "addr").out)


class ReachTest(Ipv6Case):
    def test_names(self):
        self.box()
        self.box("peer")
        ask = NamesCase.ask
        self.inside = lambda container="box": NamesCase.inside(self, container)
        self.assertEqual(records(ask(self, question("peer", AAAA)), AAAA), [socket.inet_pton(socket.AF_INET6, self.endpoint("peer")["GlobalIPv6Address"])])
        self.assertEqual(records(ask(self, question("peer", A)), A), [socket.inet_aton(self.endpoint("peer")["IPAddress"])])
        digits = "".join(f"{byte:02x}" for byte in socket.inet_pton(socket.AF_INET6, self.endpoint("peer")["GlobalIPv6Address"]))
        reply = ask(self, question(".".join(reversed(digits)) + ".ip6.arpa", 12))
        self.assertIn(b"\4peer\3six", reply)

    def test_each_other_and_the_way_out(self):
        self.box()
        self.box("peer")
        for target in (self.endpoint("peer")["GlobalIPv6Address"], HOST6, CLIENT6):
            with self.subTest(target):
                self.assertEqual(self.docker("exec", "box", "ping", "-6", "-c", "1", "-W", "5", target).code, 0)

    def test_other_networks_do_not(self):
        self.docker("network", "create", "--ipv6", "--subnet", "fd00:78::/64", "other").check()
        self.docker("run", "-d", "--name", "server", "--network", "six", "hostname").check()
        address = self.endpoint("server")["GlobalIPv6Address"]
        net.get_when_up(self.host, address, 3000, netns="host")
        self.assertTrue(self.fails_to_reach("--network", "other", address, 3000))
        self.host.run_in("ip", "route", "replace", "fd00:77::/64", "via", HOST6, netns="client").check()
        self.addCleanup(self.host.run_in, "ip", "route", "del", "fd00:77::/64", netns="client")
        self.assertTrue(net.is_refused(self.host, address, 3000), "the wire reaches an unpublished port")

    def test_internal(self):
        self.docker("network", "create", "--ipv6", "--internal", "--subnet", "fd00:78::/64", "inner").check()
        self.box("lone", network="inner")
        self.assertNotIn("default", self.docker("exec", "lone", "ip", "-6", "route").out)
        self.assertNotEqual(self.docker("exec", "lone", "ping", "-6", "-c", "1", "-W", "1", CLIENT6).code, 0)


class PublishTest(Ipv6Case):
    def test_both_kinds(self):
        self.web("server", "--network", "six", "-p", "8080:3000", "-p", "8081:3000/udp")
        self.assertEqual(net.get_when_up(self.host, HOST_ADDRESS, 8080), "Saludos desde server!")
        self.assertEqual(net.get(self.host, HOST6, 8080, "/client").split()[0], CLIENT6, "the client's address is kept")
        self.assertTrue(self.ask_udp6(HOST6, 8081, "hello").startswith(f"server {CLIENT6} "))
        self.assertRegex(self.ask_udp6("::1", 8081, "hello", "host"), "^server ")
        for address in ("::1", HOST6, "127.0.0.1", "fd00:77::1"):
            self.assertEqual(net.get(self.host, address, 8080, netns="host"), "Saludos desde server!", address)
        self.assertEqual(self.docker("port", "server", "3000/tcp").lines, ["0.0.0.0:8080", "[::]:8080"])
        self.assertEqual(self.docker("ps", "--format", "{{.Ports}}").line, "0.0.0.0:8080->3000/tcp, 0.0.0.0:8081->3000/udp, [::]:8080->3000/tcp, [::]:8081->3000/udp")
        self.assertEqual(self.ask(f"http://[{HOST6}]:8080/", "--network", "six").out, "Saludos desde server!", "from a neighbour")
        self.assertEqual(self.docker("exec", "server", "wget", "-q", "-O-", f"http://[{HOST6}]:8080/").out, "Saludos desde server!", "from itself")

    def test_of_a_container_without_ipv6(self):
        """It is relayed: the container sees its gateway."""
        self.web("server", "-p", "8080:3000", "-p", "8081:3000/udp")
        for address, netns in ((HOST6, "client"), ("::1", "host"), (HOST6, "host")):
            self.assertEqual(net.get_when_up(self.host, address, 8080, netns=netns), "Saludos desde server!")
            for text in ("hello", "x" * 60):
                self.assertRegex(self.ask_udp6(address, 8081, text, netns), "^server 172.17.0.1 ")
        self.assertEqual(self.docker("port", "server", "3000/tcp").lines, ["0.0.0.0:8080", "[::]:8080"])
        self.docker("restart", "-t", "0", "server").check()
        self.assertRegex(self.ask_udp6("::1", 8081, "again", "host"), "^server ")
        self.docker("rm", "-f", "server").check()
        self.web("server", "-p", "8081:3000/udp")
        self.assertRegex(self.ask_udp6("::1", 8081, "another's", "host"), "^server ")

    def test_a_large_transfer_is_relayed_whole(self):
        self.docker("run", "-d", "--name", "sink", "-p", "8080:7000", "alpine", "sh", "-c", "nc -l -p 7000 | wc -c").check()
        until(lambda: ":1B58 " in self.docker("exec", "sink", "cat", "/proc/net/tcp", "/proc/net/tcp6").out, "the sink listens")
        with net.connect(self.host, "::1", 8080, netns="host") as sock:
            for _ in range(256):
                sock.sendall(b"x" * 65536)
        until(lambda: self.docker("logs", "sink").out.strip() == str(256 * 65536), "all has come", 20)

    def test_one_kind_only(self):
        self.web("four", "--network", "six", "-p", "0.0.0.0:8080:3000")
        self.web("six", "--network", "six", "-p", "[::]:8081:3000")
        self.web("local", "--network", "six", "-p", "[::1]:8082:3000")
        self.web("given", "--network", "six", "-p", f"[{HOST6}]:8083:3000")
        net.get_when_up(self.host, HOST_ADDRESS, 8080)
        net.get_when_up(self.host, HOST6, 8081)
        net.get_when_up(self.host, "::1", 8082, netns="host")
        net.get_when_up(self.host, HOST6, 8083)
        for address, port, netns in ((HOST6, 8080, "client"), (HOST_ADDRESS, 8081, "client"), (HOST6, 8082, "client"), ("127.0.0.1", 8082, "host"), ("::1", 8083, "host")):
            self.assertTrue(net.is_refused(self.host, address, port, netns=netns), (address, port))
        self.assertEqual(self.docker("port", "six").lines, ["3000/tcp -> [::]:8081"])

    def test_taken(self):
        self.web("first", "--network", "six", "-p", "[::]:8080:3000")
        self.assertFails(self.docker("run", "-d", "--network", "six", "-p", "8080:3000", "hostname"), "Bind for [::]:8080 failed: port is already allocated", code=125)
        self.web("second", "--network", "six", "-p", "0.0.0.0:8080:3000")
        net.get_when_up(self.host, HOST_ADDRESS, 8080)

    def test_a_random_port_is_the_same_on_both(self):
        self.web("server", "--network", "six", "-p", "3000")
        numbers = {line.rpartition(":")[2] for line in self.docker("port", "server", "3000/tcp").lines}
        self.assertEqual(len(numbers), 1)

    def test_after_a_kill(self):
        self.web("server", "--network", "six", "-p", "8080:3000")
        net.get_when_up(self.host, HOST6, 8080)
        self.host.kill9()
        self.assertEqual(net.get(self.host, HOST6, 8080), "Saludos desde server!", "the kernel goes on")
        self.host.start()
        for address, netns in ((HOST6, "client"), ("::1", "host")):
            self.assertEqual(net.get_when_up(self.host, address, 8080, netns=netns), "Saludos desde server!")
        self.docker("rm", "-f", "server").check()
        for address, netns in ((HOST6, "client"), ("::1", "host")):
            self.assertTrue(net.is_refused(self.host, address, 8080, netns=netns))


if __name__ == "__main__":
    unittest.main()
