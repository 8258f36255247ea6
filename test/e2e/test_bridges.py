"""What a bridge network can be told: subnets, ranges and reserved addresses, options, several networks of one container; who reaches whom."""

import socket
import unittest

import lab
import net
from lab import CLIENT_ADDRESS, HOST_ADDRESS
from test_network import NetworkCase


class AddressTest(NetworkCase):
    def create(self, *options, name="mine"):
        self.docker("network", "create", *options, name).check()
        return self.host.inspect(name, "network")["IPAM"]["Config"][0]

    def given(self, count, network="mine"):
        """The addresses of so many containers that run at once."""
        made = [self.docker("run", "-d", "--network", network, "alpine", "sleep", "1000").check().line for _ in range(count)]
        return [self.host.inspect(name)["NetworkSettings"]["Networks"][network]["IPAddress"] for name in made]

    def test_reserved_addresses_are_given_to_nobody(self):
        config = self.create("--subnet", "10.70.0.0/29", "--aux-address", "printer=10.70.0.1", "--aux-address", "router=10.70.0.3")
        self.assertEqual(config["AuxiliaryAddresses"], {"printer": "10.70.0.1", "router": "10.70.0.3"})
        self.assertEqual(config["Gateway"], "10.70.0.2")
        self.assertEqual(set(self.given(3)), {"10.70.0.4", "10.70.0.5", "10.70.0.6"})
        self.assertFails(self.docker("run", "--rm", "--network", "mine", "--ip", "10.70.0.3", "alpine", "true"), "Address already in use", code=125)
        self.assertFails(self.docker("network", "create", "--subnet", "10.71.0.0/24", "--aux-address", "x=10.72.0.1", "wrong"), "10.72.0.1")

    def test_range(self):
        self.create("--subnet", "10.70.0.0/24", "--ip-range", "10.70.0.128/30")
        self.assertEqual(set(self.given(4)), {f"10.70.0.{i}" for i in (128, 129, 130, 131)})
        self.docker("run", "-d", "--network", "mine", "--ip", "10.70.0.9", "alpine", "sleep", "1000").check()

    def test_a_full_subnet(self):
        self.create("--subnet", "10.70.0.0/30")
        self.docker("run", "-d", "--network", "mine", "alpine", "sleep", "1000").check()
        self.assertFails(self.docker("run", "--rm", "--network", "mine", "alpine", "true"), "no available IPv4 addresses", code=125)

    def test_two_subnets_of_one_kind(self):
        self.assertFails(self.docker("network", "create", "--subnet", "10.70.0.0/24", "--subnet", "10.71.0.0/24", "wrong"), "bridge driver doesn't support multiple subnets")

    def test_routes_that_come_later_are_kept_clear_of(self):
        self.create(name="first")
        self.host.run_in("ip", "link", "add", "vpn0", "type", "bridge").check()
        self.addCleanup(self.host.run_in, "ip", "link", "del", "vpn0")
        self.host.run_in("ip", "link", "set", "vpn0", "up").check()
        self.host.run_in("ip", "route", "add", "172.19.0.0/16", "dev", "vpn0").check()
        self.host.run_in("ip", "route", "add", "172.20.5.0/24", "dev", "vpn0").check()
        subnets = {self.create(name=f"later{i}")["Subnet"] for i in range(3)}
        self.assertFalse(subnets & {"172.19.0.0/16", "172.20.0.0/16"}, subnets)


class OptionsTest(NetworkCase):
    def test_containers_apart(self):
        """enable_icc=false: neighbours do not reach each other, published ports and the way out stay."""
        self.docker("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "apart").check()
        address = self.web("server", "--network", "apart", "-p", "8080:3000")
        net.get_when_up(self.host, HOST_ADDRESS, 8080)
        self.assertTrue(self.fails_to_reach("--network", "apart", address, 3000))
        self.assertEqual(self.ask(f"http://{HOST_ADDRESS}:8080/", "--network", "apart").out, "Saludos desde server!")
        self.assertEqual(self.docker("run", "--rm", "--network", "apart", "alpine", "ping", "-c", "1", "-W", "5", CLIENT_ADDRESS).code, 0)

    def test_mtu(self):
        self.docker("network", "create", "-o", "com.docker.network.driver.mtu=1380", "narrow").check()
        self.assertEqual(self.docker("run", "--rm", "--network", "narrow", "alpine", "cat", "/sys/class/net/eth0/mtu").check().out, "1380\n")

    def test_ports_bound_where_the_network_says(self):
        self.docker("network", "create", "-o", "com.docker.network.bridge.host_binding_ipv4=127.0.0.1", "local").check()
        self.web("server", "--network", "local", "-p", "8080:3000")
        net.get_when_up(self.host, "127.0.0.1", 8080, netns="host")
        self.assertTrue(net.is_refused(self.host, HOST_ADDRESS, 8080))
        self.assertEqual(self.docker("port", "server").check().lines, ["3000/tcp -> 127.0.0.1:8080"])

    def test_names_of_interfaces(self):
        self.docker("network", "create", "-o", "com.docker.network.container_iface_prefix=lan", "named").check()
        self.docker("run", "-d", "--name", "box", "--network", "named", "alpine", "sleep", "1000").check()
        self.docker("network", "connect", "bridge", "box").check()
        self.assertEqual(self.docker("exec", "box", "ls", "/sys/class/net").lines, ["eth1", "lan0", "lo"])
        self.docker("network", "disconnect", "named", "box").check()
        self.assertEqual(self.docker("exec", "box", "ls", "/sys/class/net").lines, ["eth1", "lo"])

    def test_no_masquerade(self):
        self.docker("network", "create", "--subnet", "10.73.0.0/24", "-o", "com.docker.network.bridge.enable_ip_masquerade=false", "plain").check()
        self.host.run_in("ip", "route", "replace", "10.73.0.0/24", "via", HOST_ADDRESS, netns="client").check()
        self.addCleanup(self.host.run_in, "ip", "route", "del", "10.73.0.0/24", netns="client")
        with net.make_socket(self.host, socket.SOCK_DGRAM) as sock:
            sock.bind((CLIENT_ADDRESS, 7100))
            self.docker("run", "-d", "--name", "box", "--network", "plain", "--ip", "10.73.0.9", "alpine", "sleep", "1000").check()
            with net.make_socket(self.host, socket.SOCK_DGRAM, f"/proc/{self.host.inspect('box')['State']['Pid']}/ns/net") as sender:
                sender.sendto(b"x", (CLIENT_ADDRESS, 7100))
            self.assertEqual(sock.recvfrom(100)[1][0], "10.73.0.9")

    def test_routed(self):
        """gateway_mode_ipv4=routed: published ports are open at the container's own address, nothing is on the host's."""
        self.docker("network", "create", "--subnet", "10.74.0.0/24", "-o", "com.docker.network.bridge.gateway_mode_ipv4=routed", "routed").check()
        self.host.run_in("ip", "route", "replace", "10.74.0.0/24", "via", HOST_ADDRESS, netns="client").check()
        self.addCleanup(self.host.run_in, "ip", "route", "del", "10.74.0.0/24", netns="client")
        address = self.web("server", "--network", "routed", "-p", "8080:3000")
        self.assertEqual(net.get_when_up(self.host, address, 3000, "/client").split()[0], CLIENT_ADDRESS)
        self.assertTrue(net.is_refused(self.host, HOST_ADDRESS, 8080))
        other = self.web("closed", "--network", "routed")
        net.get_when_up(self.host, other, 3000, netns="host")
        self.assertTrue(net.is_refused(self.host, other, 3000))
        self.docker("rm", "-f", "server").check()
        self.docker("run", "-d", "--name", "next", "--network", "routed", "--ip", address, "hostname").check()
        net.get_when_up(self.host, address, 3000, netns="host")
        self.assertTrue(net.is_refused(self.host, address, 3000), "the opening went with its container")

    def test_wrong_ones(self):
        for option in ("com.docker.network.bridge.enable_icc=perhaps", "com.docker.network.driver.mtu=wide", "com.docker.network.bridge.host_binding_ipv4=here", "com.docker.network.bridge.gateway_mode_ipv4=magic"):
            with self.subTest(option):
                self.assertCode(self.docker("network", "create", "-o", option, "wrong"), 1)
        self.assertFails(self.docker("network", "create", "-o", "com.docker.network.nosuch=1", "wrong"), "com.docker.network.nosuch", "not supported")


class SeveralNetworksTest(NetworkCase):
    def setUp(self):
        super().setUp()
        for name in ("first", "second"):
            self.docker("network", "create", name).check()

    def default_route(self, name):
        return next(line.split()[4] for line in self.docker("exec", name, "ip", "route").lines if line.startswith("default"))

    def test_ports_follow_to_a_network_that_is_left(self):
        self.web("server", "--network", "first", "-p", "8080:3000", "-p", "3000")
        number = int(next(line for line in self.docker("port", "server").lines if ":8080" not in line).rpartition(":")[2])
        self.docker("network", "connect", "second", "server").check()
        net.get_when_up(self.host, HOST_ADDRESS, 8080)
        self.docker("network", "disconnect", "first", "server").check()
        for port in (8080, number):
            self.assertEqual(net.get_when_up(self.host, HOST_ADDRESS, port), "Saludos desde server!")
        self.docker("network", "disconnect", "second", "server").check()
        self.assertTrue(net.is_refused(self.host, HOST_ADDRESS, 8080))
        self.docker("network", "connect", "first", "server").check()
        net.get_when_up(self.host, HOST_ADDRESS, 8080)

    def test_the_default_route_follows(self):
        self.docker("run", "-d", "--name", "box", "--network", "first", "alpine", "sleep", "1000").check()
        self.docker("network", "connect", "second", "box").check()
        self.assertEqual(self.default_route("box"), "eth0")
        self.docker("network", "disconnect", "first", "box").check()
        self.assertEqual(self.default_route("box"), "eth1")
        self.assertEqual(self.docker("exec", "box", "ping", "-c", "1", "-W", "5", CLIENT_ADDRESS).code, 0)

    def test_gateway_priority(self):
        self.docker("run", "-d", "--name", "box", "--network", "first", "--network", "name=second,gw-priority=5", "alpine", "sleep", "1000").check()
        gateway = self.host.inspect("second", "network")["IPAM"]["Config"][0]["Gateway"]
        self.assertIn(f"default via {gateway} ", self.docker("exec", "box", "ip", "route").out)
        self.assertEqual(self.host.inspect("box")["NetworkSettings"]["Networks"]["second"]["GwPriority"], 5)

    def test_published_ports_cross_networks_and_others_do_not(self):
        server = self.web("server", "--network", "first", "-p", "8080:3000")
        net.get_when_up(self.host, HOST_ADDRESS, 8080)
        self.assertTrue(self.fails_to_reach("--network", "second", server, 3000))
        gateway = self.host.inspect("second", "network")["IPAM"]["Config"][0]["Gateway"]
        for address in (HOST_ADDRESS, gateway):
            self.assertEqual(self.ask(f"http://{address}:8080/", "--network", "second").out, "Saludos desde server!")

    def test_host_gateway(self):
        gateway = self.host.inspect("bridge", "network")["IPAM"]["Config"][0]["Gateway"]
        for options in ((), ("--network", "first")):
            hosts = self.docker("run", "--rm", "--add-host", "outer:host-gateway", *options, "alpine", "cat", "/etc/hosts").check().out
            self.assertIn(f"{gateway}\touter\n", hosts)


class PortTest(NetworkCase):
    def test_datagrams_from_before_the_port_was_published(self):
        """A client that keeps sending from one socket reaches the container once it is there, and its successor."""
        with net.make_socket(self.host, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.2)

            def attempt(text):
                sock.sendto(text.encode(), (HOST_ADDRESS, 8080))
                try:
                    return sock.recv(100).decode()
                except OSError:
                    return None
            for _ in range(5):
                self.assertIsNone(attempt("too early"))
            for name in ("first", "second"):
                self.docker("run", "-d", "--name", name, "-h", name, "-p", "8080:3000/udp", "hostname").check()
                answer = lab.until(lambda: attempt("hello"), f"an answer of {name}", 5)
                self.assertTrue(answer.startswith(name + " "), answer)
                self.docker("rm", "-f", name).check()

    def test_ranges(self):
        self.docker("run", "-d", "--name", "many", "-p", "8000-8005:8000-8005", "-p", "8010-8012:80", "alpine", "sleep", "1000").check()
        lines = self.docker("port", "many").lines
        for i in range(6):
            self.assertIn(f"800{i}/tcp -> 0.0.0.0:800{i}", lines)
        self.assertEqual(len([line for line in lines if line.startswith("80/tcp -> 0.0.0.0:801")]), 1)

    def test_relays_end_with_their_container(self):
        self.web("server", "-p", "8080:3000")
        self.assertIn(":8080 ", self.host.run_in("ss", "-Hltn6").out)
        self.docker("rm", "-f", "server").check()
        self.assertNotIn(":8080 ", self.host.run_in("ss", "-Hltn6").out)


class SettingsTest(NetworkCase):
    """Of the daemon's options."""
    engine_flags = ("--default-address-pool", "base=10.55.0.0/16,size=24", "--bip", "10.56.0.1/24", "--fixed-cidr", "10.56.0.128/25", "--dns", "192.0.2.53", "--ip", "127.0.0.1", "--mtu", "1400", "--icc=false")

    def test_pools(self):
        self.host.run_in("ip", "route", "add", "10.55.1.0/24", "via", CLIENT_ADDRESS).check()
        self.addCleanup(self.host.run_in, "ip", "route", "del", "10.55.1.0/24")
        for i in range(3):
            self.docker("network", "create", f"net{i}").check()
        self.assertEqual([self.host.inspect(f"net{i}", "network")["IPAM"]["Config"][0]["Subnet"] for i in range(3)], ["10.55.0.0/24", "10.55.2.0/24", "10.55.3.0/24"])

    def test_default_bridge(self):
        address = self.web("server", "-p", "8080:3000")
        self.assertTrue(address.startswith("10.56.0.") and int(address.split(".")[3]) >= 128, address)
        net.get_when_up(self.host, "127.0.0.1", 8080, netns="host")
        self.assertTrue(net.is_refused(self.host, HOST_ADDRESS, 8080))
        self.assertTrue(self.fails_to_reach(address, 3000))
        self.assertIn("nameserver 192.0.2.53\n", self.docker("run", "--rm", "alpine", "cat", "/etc/resolv.conf").out)
        self.assertEqual(self.docker("run", "--rm", "alpine", "cat", "/sys/class/net/eth0/mtu").out, "1400\n")

    def test_networks_of_the_user_publish_everywhere(self):
        self.docker("network", "create", "mine").check()
        self.web("server", "--network", "mine", "-p", "8080:3000")
        net.get_when_up(self.host, HOST_ADDRESS, 8080)


if __name__ == "__main__":
    unittest.main()
