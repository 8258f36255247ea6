"""Networks of plain containers: the default bridge, bridges of the user with names, published ports, isolation.

The test host has one wire, 192.0.2.1 on the host's side; the client (192.0.2.100 and .101) is another network namespace there.
"""

import re
import socket
import threading
import unittest

import lab
import net
from case import EngineCase
from lab import CLIENT_ADDRESS, HOST_ADDRESS, OTHER_CLIENT_ADDRESS, until


class NetworkCase(EngineCase):
    images = ("alpine", "hostname")

    def web(self, name, *options):
        """A container of the hostname application; returns its address on its (first) network."""
        self.docker("run", "-d", "--name", name, "-h", name, *options, "hostname").check()
        return next(iter(self.host.inspect(name)["NetworkSettings"]["Networks"].values()))["IPAddress"]

    def ask(self, url, *options):
        """What a container with these options gets from the address."""
        return self.docker("run", "--rm", *options, "alpine", "wget", "-q", "-O-", url)

    def fails_to_reach(self, *options_and_target):
        *options, address, port = options_and_target
        script = f"timeout 2 nc {address} {port} </dev/null >/dev/null 2>&1 && echo reached || echo not"
        return self.docker("run", "--rm", *options, "alpine", "sh", "-c", script).check().line == "not"


class DefaultBridgeTest(NetworkCase):
    def test_inside(self):
        out = self.docker("run", "--rm", "alpine", "sh", "-c", "ls /sys/class/net | tr '\\n' ' '; ip -4 -o addr show eth0; ip route; cat /sys/class/net/eth0/mtu").check().out
        self.assertTrue(out.startswith("eth0 lo "), out)
        self.assertRegex(out, r"inet 172\.17\.0\.\d+/16")
        self.assertIn("default via 172.17.0.1 dev eth0", out)
        self.assertTrue(out.endswith("1500\n"))

    def test_hosts_file_has_its_own_address(self):
        self.docker("run", "-d", "--name", "box", "-h", "boxhost", "alpine", "sleep", "1000").check()
        address = self.host.inspect("box")["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        self.assertIn(f"{address}\tboxhost\n", self.docker("exec", "box", "cat", "/etc/hosts").out)

    def test_containers_reach_each_other_by_address(self):
        address = self.web("server")
        net.get_when_up(self.host, address, 3000, netns="host")
        self.assertEqual(self.ask(f"http://{address}:3000/").check().out, "Saludos desde server!")

    def test_names_are_not_known_here(self):
        self.web("server")
        self.assertNotEqual(self.ask("http://server:3000/").code, 0)

    def test_resolver_is_the_hosts(self):
        self.assertIn(f"nameserver {CLIENT_ADDRESS}", self.docker("run", "--rm", "alpine", "cat", "/etc/resolv.conf").check().out)

    def test_the_host_reaches_containers_and_they_the_host(self):
        address = self.web("server")
        self.assertEqual(net.get_when_up(self.host, address, 3000, netns="host"), "Saludos desde server!")
        self.assertEqual(self.docker("run", "--rm", "alpine", "ping", "-c", "1", "-W", "5", HOST_ADDRESS).code, 0)

    def test_the_wire_sees_the_hosts_address(self):
        """Outgoing connections leave under the address of the host."""
        listener = net.make_socket(self.host)
        self.addCleanup(listener.close)
        listener.bind((CLIENT_ADDRESS, 7000))
        listener.listen()
        peers = []

        def serve():
            connection, peer = listener.accept()
            peers.append(peer[0])
            while b"\r\n\r\n" not in connection.recv(4096):
                pass
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nfrom outside")
            connection.close()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        self.assertEqual(self.ask(f"http://{CLIENT_ADDRESS}:7000/").check().out, "from outside")
        self.assertEqual(peers, [HOST_ADDRESS])

    def test_the_wire_does_not_reach_unpublished_ports(self):
        """Not even with a route to the container's address."""
        address = self.web("server")
        net.get_when_up(self.host, address, 3000, netns="host")
        self.host.run_in("ip", "route", "replace", "172.16.0.0/12", "via", HOST_ADDRESS, netns="client").check()
        self.assertTrue(net.is_refused(self.host, address, 3000))

    def test_addresses_are_given_once_and_again_after_rm(self):
        addresses = [self.web(f"server{i}") for i in range(6)]
        self.assertEqual(len(set(addresses)), 6)
        self.docker("rm", "-f", "server0").check()
        self.web("again")

    def test_loopback_and_ping(self):
        self.assertEqual(self.docker("run", "--rm", "alpine", "ping", "-c", "1", "-W", "5", "127.0.0.1").code, 0)


class ModesTest(NetworkCase):
    def test_none(self):
        self.assertEqual(self.docker("run", "--rm", "--network", "none", "alpine", "ls", "/sys/class/net").check().out, "lo\n")

    def test_host(self):
        out = self.docker("run", "--rm", "--network", "host", "alpine", "sh", "-c", "ip -4 -o addr show eth0; hostname").check().out
        self.assertIn(HOST_ADDRESS, out)
        self.assertTrue(out.endswith("testhost\n"))

    def test_host_mode_serves_on_the_hosts_address(self):
        self.docker("run", "-d", "--name", "server", "--network", "host", "hostname").check()
        self.assertEqual(net.get_when_up(self.host, HOST_ADDRESS, 3000, "/client").split()[0], CLIENT_ADDRESS)

    def test_of_another_container(self):
        self.web("server")
        self.docker("run", "-d", "--name", "guest", "--network", "container:server", "alpine", "sleep", "1000").check()
        until(lambda: self.docker("exec", "guest", "wget", "-q", "-O-", "http://127.0.0.1:3000/").out == "Saludos desde server!", "the guest shares localhost")
        self.assertEqual(self.docker("exec", "guest", "cat", "/etc/hosts").out, self.docker("exec", "server", "cat", "/etc/hosts").out)

    def test_of_a_container_that_does_not_run(self):
        self.docker("create", "--name", "still", "alpine").check()
        self.assertCode(self.docker("run", "--rm", "--network", "container:still", "alpine", "true"), 125)

    def test_unknown_network(self):
        self.assertFails(self.docker("run", "--rm", "--network", "nosuch", "alpine", "true"), "network nosuch not found", code=125)


class UserBridgeTest(NetworkCase):
    def setUp(self):
        super().setUp()
        self.docker("network", "create", "mine").check()

    def box(self, name, *options):
        self.docker("run", "-d", "--name", name, "--network", "mine", *options, "alpine", "sleep", "1000").check()

    def lookup(self, container, name):
        """Addresses a container finds under a name."""
        out = self.docker("exec", container, "nslookup", name).out
        answer = out.split("\n\n", 1)[1] if "\n\n" in out else ""
        return sorted(set(re.findall(r"^Address(?: \d+)?: (\d+\.\d+\.\d+\.\d+)$", answer, re.M)))

    def address(self, name, network="mine"):
        return self.host.inspect(name)["NetworkSettings"]["Networks"][network]["IPAddress"]

    def test_by_name(self):
        self.web("server", "--network", "mine")
        self.box("asker")
        until(lambda: self.docker("exec", "asker", "wget", "-q", "-O-", "http://server:3000/").out == "Saludos desde server!", "the name answers")
        self.assertIn("nameserver 127.0.0.11", self.docker("exec", "asker", "cat", "/etc/resolv.conf").out)

    def test_by_alias_id_and_own_name(self):
        self.box("server", "--network-alias", "db", "--network-alias", "cache")
        self.box("asker")
        expected = [self.address("server")]
        for name in ("server", "db", "cache", self.host.inspect("server")["Id"][:12], "SERVER", "server."):
            with self.subTest(name):
                self.assertEqual(self.lookup("asker", name), expected)
        self.assertEqual(self.lookup("server", "server"), expected)

    def test_shared_alias_gives_all(self):
        for i in range(3):
            self.box(f"server{i}", "--network-alias", "pool")
        self.box("asker")
        self.assertEqual(self.lookup("asker", "pool"), sorted(self.address(f"server{i}") for i in range(3)))

    def test_names_come_and_go_with_their_containers(self):
        self.box("asker")
        self.assertEqual(self.lookup("asker", "server"), [])
        self.box("server")
        self.assertEqual(self.lookup("asker", "server"), [self.address("server")])
        self.docker("stop", "-t", "0", "server").check()
        self.assertEqual(self.lookup("asker", "server"), [])
        self.docker("start", "server").check()
        self.assertEqual(self.lookup("asker", "server"), [self.address("server")])
        self.docker("rm", "-f", "server").check()
        self.assertEqual(self.lookup("asker", "server"), [])

    def test_other_networks_names_are_unknown_and_unreachable(self):
        self.docker("network", "create", "other").check()
        address = self.web("server", "--network", "other")
        net.get_when_up(self.host, address, 3000, netns="host")
        self.box("asker")
        self.assertEqual(self.lookup("asker", "server"), [])
        self.assertTrue(self.fails_to_reach("--network", "mine", address, 3000))
        self.assertTrue(self.fails_to_reach(address, 3000), "reached from the default bridge")

    def test_other_names_are_asked_of_the_hosts_resolver(self):
        self.box("asker")
        with net.name_server(self.host, {"outside.example": "198.51.100.7"}) as asked:
            self.assertEqual(self.lookup("asker", "outside.example"), ["198.51.100.7"])
            self.assertEqual(self.lookup("asker", "nosuch.example"), [])
        self.assertIn("outside.example", asked)

    def test_names_of_containers_are_never_asked_outside(self):
        self.box("server")
        self.box("asker")
        with net.name_server(self.host, {}) as asked:
            self.assertEqual(self.lookup("asker", "server"), [self.address("server")])
        self.assertNotIn("server", asked)

    def test_address_to_name(self):
        self.box("server")
        self.box("asker")
        self.assertIn("server.mine", self.docker("exec", "asker", "nslookup", self.address("server")).out)

    def test_subnet_gateway_and_fixed_address(self):
        self.docker("network", "create", "--subnet", "10.77.0.0/24", "--gateway", "10.77.0.254", "--ip-range", "10.77.0.128/25", "planned").check()
        self.docker("run", "-d", "--name", "fixed", "--network", "planned", "--ip", "10.77.0.9", "alpine", "sleep", "1000").check()
        self.docker("run", "-d", "--name", "free", "--network", "planned", "alpine", "sleep", "1000").check()
        self.assertEqual(self.address("fixed", "planned"), "10.77.0.9")
        self.assertIn("default via 10.77.0.254", self.docker("exec", "fixed", "ip", "route").out)
        self.assertGreaterEqual(int(self.address("free", "planned").split(".")[3]), 128)
        result = self.docker("run", "--rm", "--network", "planned", "--ip", "10.77.0.9", "alpine", "true")
        self.assertFails(result, "Address already in use", code=125)

    def test_fixed_address_needs_a_subnet_of_the_user(self):
        self.assertCode(self.docker("run", "--rm", "--network", "mine", "--ip", "172.30.0.9", "alpine", "true"), 125)

    def test_an_address_stays_over_a_restart_when_fixed(self):
        self.docker("network", "create", "--subnet", "10.78.0.0/24", "planned").check()
        self.docker("run", "-d", "--name", "fixed", "--network", "planned", "--ip", "10.78.0.9", "alpine", "sleep", "1000").check()
        self.docker("restart", "-t", "0", "fixed").check()
        self.assertEqual(self.address("fixed", "planned"), "10.78.0.9")

    def test_internal(self):
        self.docker("network", "create", "--internal", "inner").check()
        self.docker("run", "-d", "--name", "peer", "--network", "inner", "alpine", "sleep", "1000").check()
        self.assertEqual(self.docker("run", "--rm", "--network", "inner", "alpine", "ping", "-c", "1", "-W", "5", "peer").code, 0)
        self.assertNotEqual(self.docker("run", "--rm", "--network", "inner", "alpine", "ping", "-c", "1", "-W", "1", CLIENT_ADDRESS).code, 0)

    def test_connect_and_disconnect_while_running(self):
        self.docker("network", "create", "second").check()
        self.box("box")
        self.docker("run", "-d", "--name", "peer", "--network", "second", "alpine", "sleep", "1000").check()
        self.docker("network", "connect", "--alias", "extra", "second", "box").check()
        self.assertEqual(sorted(self.host.inspect("box")["NetworkSettings"]["Networks"]), ["mine", "second"])
        self.assertEqual(self.docker("exec", "box", "ls", "/sys/class/net").lines, ["eth0", "eth1", "lo"])
        self.assertEqual(self.docker("exec", "box", "ping", "-c", "1", "-W", "5", "peer").code, 0)
        self.assertEqual(self.lookup("peer", "extra"), [self.address("box", "second")])
        self.docker("network", "disconnect", "second", "box").check()
        self.assertEqual(self.docker("exec", "box", "ls", "/sys/class/net").lines, ["eth0", "lo"])
        self.assertEqual(self.lookup("peer", "extra"), [])
        self.assertFails(self.docker("network", "disconnect", "second", "box"), "is not connected to")

    def test_link_local_addresses(self):
        self.docker("run", "-d", "--name", "box", "--network", "mine", "--link-local-ip", "169.254.8.8", "alpine", "sleep", "1000").check()
        self.assertEqual(self.host.inspect("box")["NetworkSettings"]["Networks"]["mine"]["IPAMConfig"], {"LinkLocalIPs": ["169.254.8.8"]})
        self.assertIn("inet 169.254.8.8/16 ", self.docker("exec", "box", "ip", "-4", "addr", "show", "eth0").out)
        self.assertFails(self.docker("run", "--network", "mine", "--link-local-ip", "::", "alpine", "true"), "invalid link-local IP address: ::", code=125)

    def test_options_that_stand_for_fields_and_those_of_others(self):
        self.docker("network", "create", "-o", "com.docker.network.enable_ipv6=true", "-o", "com.example.note=mine", "--subnet", "2001:db8:77::/64", "six").check()
        six = self.host.inspect("six", "network")
        self.assertEqual((six["EnableIPv6"], six["Options"]["com.example.note"]), (True, "mine"))
        self.assertFails(self.docker("network", "create", "-o", "com.docker.network.enable_ipv6=perhaps", "bad"), 'driver-opt "com.docker.network.enable_ipv6" is not a valid bool')
        self.assertFails(self.docker("network", "create", "-o", "com.docker.network.unheard=1", "bad"), "network option com.docker.network.unheard is not supported yet")

    def test_from_none_to_another(self):
        for start in (True, False):
            self.docker("create", "--name", "box", "--network", "none", "alpine", "sleep", "1000").check()
            if start:
                self.docker("start", "box").check()
            self.assertFails(self.docker("network", "connect", "mine", "box"), "container cannot be connected to multiple networks with one of the networks in private (none) mode")
            self.docker("network", "disconnect", "none", "box").check()
            self.assertFails(self.docker("network", "disconnect", "none", "box"), "is not connected to")
            self.docker("network", "connect", "mine", "box").check()
            self.docker("start", "box").check()
            self.assertEqual(list(self.host.inspect("box")["NetworkSettings"]["Networks"]), ["mine"])
            self.docker("run", "--rm", "--network", "mine", "alpine", "ping", "-c", "1", "-W", "5", "box").check()
            self.docker("restart", "-t", "0", "box").check()
            self.docker("exec", "box", "nslookup", "box").check()
            self.docker("rm", "-f", "box").check()

    def test_connect_of_a_stopped_one_counts_at_its_start(self):
        self.docker("network", "create", "second").check()
        self.docker("create", "--name", "box", "--network", "mine", "alpine", "sleep", "1000").check()
        self.docker("network", "connect", "second", "box").check()
        self.docker("start", "box").check()
        self.assertEqual(self.docker("exec", "box", "ls", "/sys/class/net").lines, ["eth0", "eth1", "lo"])

    def test_connect_twice(self):
        self.box("box")
        result = self.docker("network", "connect", "mine", "box")
        self.assertFails(result, "already exists in network mine" if not lab.IS_DOCKERD else "already exists in network")

    def test_an_icmp_and_udp_round(self):
        self.box("box")
        address = self.web("server", "--network", "mine")
        self.assertEqual(self.docker("exec", "box", "ping", "-c", "2", "-W", "5", "server").code, 0)
        self.assertTrue(net.ask_udp(self.host, address, 3000, "x", netns="host").startswith("server "))


class PublishTest(NetworkCase):
    def test_tcp_keeps_the_clients_address(self):
        self.web("server", "-p", "8080:3000")
        self.assertEqual(net.get_when_up(self.host, HOST_ADDRESS, 8080, "/who").split()[:2], ["server", CLIENT_ADDRESS])
        self.assertEqual(net.get(self.host, HOST_ADDRESS, 8080, "/client", source=OTHER_CLIENT_ADDRESS).split()[0], OTHER_CLIENT_ADDRESS)

    def test_udp_keeps_the_clients_address(self):
        self.web("server", "-p", "8081:3000/udp")
        self.assertRegex(net.ask_udp(self.host, HOST_ADDRESS, 8081, "hello"), rf"^server {CLIENT_ADDRESS} \d+ hello$")
        self.assertRegex(net.ask_udp(self.host, HOST_ADDRESS, 8081, "again", source=OTHER_CLIENT_ADDRESS), rf"^server {OTHER_CLIENT_ADDRESS} \d+ again$")
        self.assertTrue(net.is_refused(self.host, HOST_ADDRESS, 8081), "only UDP was published")

    def test_on_a_user_network(self):
        self.docker("network", "create", "mine").check()
        self.web("server", "--network", "mine", "-p", "8080:3000")
        self.assertEqual(net.get_when_up(self.host, HOST_ADDRESS, 8080, "/client").split()[0], CLIENT_ADDRESS)

    def test_from_the_host_itself(self):
        self.web("server", "-p", "8080:3000")
        for address in ("127.0.0.1", HOST_ADDRESS, "127.0.0.77"):
            with self.subTest(address):
                self.assertEqual(net.get_when_up(self.host, address, 8080, netns="host"), "Saludos desde server!")

    def test_from_containers(self):
        self.web("server", "-p", "8080:3000")
        net.get_when_up(self.host, HOST_ADDRESS, 8080)
        self.docker("network", "create", "other").check()
        self.assertEqual(self.ask(f"http://{HOST_ADDRESS}:8080/").check().out, "Saludos desde server!", "from the same network")
        self.assertEqual(self.ask(f"http://{HOST_ADDRESS}:8080/", "--network", "other").check().out, "Saludos desde server!", "from another network")
        self.assertEqual(self.docker("exec", "server", "wget", "-q", "-O-", f"http://{HOST_ADDRESS}:8080/").out, "Saludos desde server!", "from itself")

    def test_bound_to_localhost_only(self):
        self.web("server", "-p", "127.0.0.1:8080:3000")
        self.assertEqual(net.get_when_up(self.host, "127.0.0.1", 8080, netns="host"), "Saludos desde server!")
        self.assertTrue(net.is_refused(self.host, HOST_ADDRESS, 8080))

    def test_bound_to_one_address(self):
        self.web("server", "-p", f"{HOST_ADDRESS}:8080:3000")
        net.get_when_up(self.host, HOST_ADDRESS, 8080)
        self.assertTrue(net.is_refused(self.host, "127.0.0.1", 8080, netns="host"))

    def test_free_port_chosen(self):
        self.web("server", "-p", "3000")
        port = int(self.docker("port", "server", "3000/tcp").check().lines[0].rpartition(":")[2])
        self.assertGreaterEqual(port, 32768)
        self.assertEqual(net.get_when_up(self.host, HOST_ADDRESS, port), "Saludos desde server!")

    def test_all_exposed(self):
        self.web("server", "-P")
        port = int(self.docker("port", "server", "3000").check().lines[0].rpartition(":")[2])
        self.assertEqual(net.get_when_up(self.host, HOST_ADDRESS, port), "Saludos desde server!")

    def test_range(self):
        self.docker("run", "-d", "--name", "server", "-p", "8000-8002:3000-3002", "hostname").check()
        self.assertIn("3001/tcp -> 0.0.0.0:8001", self.docker("port", "server").check().lines)
        net.get_when_up(self.host, HOST_ADDRESS, 8000)

    def test_one_of_a_range(self):
        names = ["a1", "a2", "a3"]
        for name in names:
            self.web(name, "-p", "8000-8002:3000")
        answers = {net.get_when_up(self.host, HOST_ADDRESS, 8000 + i) for i in range(3)}
        self.assertEqual(answers, {f"Saludos desde {name}!" for name in names})
        self.assertFails(self.docker("run", "-d", "-p", "8000-8002:3000", "hostname"), "all ports are allocated", code=125)

    def test_shown_by_ps_port_and_inspect(self):
        self.web("server", "-p", "8080:3000", "-p", "127.0.0.1:8081:3000/udp")
        ports = self.docker("ps", "--format", "{{.Ports}}").line
        self.assertIn("0.0.0.0:8080->3000/tcp", ports)
        self.assertIn("127.0.0.1:8081->3000/udp", ports)
        self.assertIn("3000/tcp -> 0.0.0.0:8080", self.docker("port", "server").lines)
        box = self.host.inspect("server")
        self.assertIn({"HostIp": "0.0.0.0", "HostPort": "8080"}, box["NetworkSettings"]["Ports"]["3000/tcp"])
        self.assertEqual(box["NetworkSettings"]["Ports"]["3000/udp"], [{"HostIp": "127.0.0.1", "HostPort": "8081"}])
        self.assertEqual(box["HostConfig"]["PortBindings"]["3000/tcp"], [{"HostIp": "", "HostPort": "8080"}])

    def test_taken_by_another_container(self):
        self.web("first", "-p", "8080:3000")
        result = self.docker("run", "-d", "--name", "second", "-p", "8080:3000", "hostname")
        self.assertFails(result, "Bind for 0.0.0.0:8080 failed: port is already allocated", code=125)
        self.assertEqual(self.host.inspect("second")["State"]["Status"], "created")
        net.get_when_up(self.host, HOST_ADDRESS, 8080)
        self.docker("rm", "-f", "first").check()
        self.docker("start", "second").check()
        net.get_when_up(self.host, HOST_ADDRESS, 8080)

    def test_same_number_for_tcp_and_udp_is_no_conflict(self):
        self.web("first", "-p", "8080:3000/tcp")
        self.web("second", "-p", "8080:3000/udp")
        net.get_when_up(self.host, HOST_ADDRESS, 8080)
        self.assertTrue(net.ask_udp(self.host, HOST_ADDRESS, 8080, "x").startswith("second "))

    def test_taken_by_a_program_of_the_host(self):
        listener = net.make_socket(self.host, netns="host")
        self.addCleanup(listener.close)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0", 8090))
        listener.listen()
        result = self.docker("run", "-d", "-p", "8090:3000", "hostname")
        self.assertEqual(result.code, 125)
        self.assertRegex(result.err, "8090.*address already in use")
        listener.close()
        result = self.docker("run", "-d", "-p", "198.51.100.9:8090:3000", "hostname")
        self.assertRegex(result.err, "failed to bind host port .*198.51.100.9:8090.*cannot assign requested address")

    def test_a_program_of_the_host_cannot_take_a_published_port(self):
        """Otherwise it would believe to serve what never reaches it."""
        self.web("server", "-p", "8080:3000")
        self.web("names", "-p", "127.0.0.1:8081:3000/udp")
        for _ in range(2):
            for kind, address, port in ((socket.SOCK_STREAM, "0.0.0.0", 8080), (socket.SOCK_STREAM, HOST_ADDRESS, 8080), (socket.SOCK_DGRAM, "127.0.0.1", 8081), (socket.SOCK_DGRAM, "0.0.0.0", 8081)):
                with self.subTest((kind, address)), net.make_socket(self.host, kind, netns="host") as taker:
                    taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    with self.assertRaises(OSError):
                        taker.bind((address, port))
                        taker.listen()
            self.docker("restart", "-t", "0", "server", "names").check()
        self.docker("rm", "-f", "server").check()
        with net.make_socket(self.host, netns="host") as taker:
            taker.bind(("0.0.0.0", 8080))
            taker.listen()

    def test_free_again_after_stop_and_back_after_start(self):
        self.web("server", "-p", "8080:3000")
        net.get_when_up(self.host, HOST_ADDRESS, 8080)
        self.docker("stop", "-t", "0", "server").check()
        self.assertTrue(net.is_refused(self.host, HOST_ADDRESS, 8080))
        self.docker("start", "server").check()
        self.assertEqual(net.get_when_up(self.host, HOST_ADDRESS, 8080), "Saludos desde server!")

    def test_free_the_moment_run_returns(self):
        for _ in range(10):
            self.docker("run", "-p", "8080:3000", "alpine", "true").check()

    def test_nobody_listens_inside(self):
        self.docker("run", "-d", "-p", "8080:4444", "hostname").check()
        self.assertTrue(net.is_refused(self.host, HOST_ADDRESS, 8080))

    def test_many_connections(self):
        self.web("server", "-p", "8080:3000")
        net.get_when_up(self.host, HOST_ADDRESS, 8080)
        for _ in range(200):
            self.assertEqual(net.get(self.host, HOST_ADDRESS, 8080), "Saludos desde server!")


class NetworkCommandsTest(NetworkCase):
    def test_table_with_the_three_that_always_are(self):
        result = self.docker("network", "ls").check()
        self.assertTable(result, "NETWORK ID", "NAME", "DRIVER", "SCOPE")
        rows = sorted(tuple(line.split()[1:]) for line in result.lines[1:])
        self.assertEqual(rows, [("bridge", "bridge", "local"), ("host", "host", "local"), ("none", "null", "local")])

    def test_filters(self):
        self.docker("network", "create", "--label", "a=b", "mine").check()
        for text, expected in {"driver=bridge": ["bridge", "mine"], "name=min": ["mine"], "label=a=b": ["mine"], "type=custom": ["mine"], "type=builtin": ["bridge", "host", "none"]}.items():
            with self.subTest(text):
                self.assertEqual(sorted(self.docker("network", "ls", "--format", "{{.Name}}", "-f", text).check().lines), expected)

    def test_create_and_inspect(self):
        identity = self.docker("network", "create", "--label", "a=b", "--subnet", "10.79.0.0/24", "--opt", "com.docker.network.bridge.name=br-panaltest", "mine").check().line
        self.assertRegex(identity, "^[0-9a-f]{64}$")
        self.docker("run", "-d", "--name", "box", "--network", "mine", "alpine", "sleep", "1000").check()
        network = self.host.inspect("mine", "network")
        self.assertEqual((network["Id"], network["Name"], network["Driver"], network["Scope"], network["Internal"], network["Attachable"]), (identity, "mine", "bridge", "local", False, False))
        self.assertEqual(network["Labels"], {"a": "b"})
        self.assertEqual(network["IPAM"]["Config"][0]["Subnet"], "10.79.0.0/24")
        self.assertEqual(network["IPAM"]["Config"][0].get("Gateway", "10.79.0.1"), "10.79.0.1")
        box = self.host.inspect("box")
        entry = network["Containers"][box["Id"]]
        self.assertEqual(entry["Name"], "box")
        self.assertEqual(entry["IPv4Address"], box["NetworkSettings"]["Networks"]["mine"]["IPAddress"] + "/24")
        self.assertIn("br-panaltest", net.links(self.host))

    def test_in_use_is_not_removed(self):
        self.docker("network", "create", "mine").check()
        self.docker("run", "-d", "--name", "box", "--network", "mine", "alpine", "sleep", "1000").check()
        self.assertFails(self.docker("network", "rm", "mine"), "has active endpoints")
        self.docker("rm", "-f", "box").check()
        self.assertEqual(self.docker("network", "rm", "mine").check().out, "mine\n")

    def test_bridge_device_goes_with_the_network(self):
        before = net.links(self.host)
        self.docker("network", "create", "mine").check()
        self.assertEqual(len(net.links(self.host) - before), 1)
        self.docker("network", "rm", "mine").check()
        self.assertEqual(net.links(self.host), before)

    def test_unknown(self):
        self.assertFails(self.docker("network", "rm", "nosuch"), "network nosuch not found")
        self.assertFails(self.docker("network", "inspect", "nosuch"), "network nosuch not found")
        self.assertEqual(self.host.api("GET", "/networks/nosuch").status, 404)

    def test_predefined_ones_stay(self):
        for name in ("bridge", "host", "none"):
            with self.subTest(name):
                self.assertFails(self.docker("network", "rm", name), f"{name} is a pre-defined network and cannot be removed")
        self.assertEqual(self.host.api("DELETE", "/networks/host").status, 403)

    def test_same_name_twice(self):
        self.docker("network", "create", "mine").check()
        self.assertFails(self.docker("network", "create", "mine"), "Error response from daemon: network with name mine already exists")

    def test_overlapping_subnets_are_refused(self):
        self.docker("network", "create", "--subnet", "10.80.0.0/16", "mine").check()
        self.assertFails(self.docker("network", "create", "--subnet", "10.80.3.0/24", "clash"), "ool overlaps with other one on this address space")

    def test_subnet_of_the_wire_is_never_chosen(self):
        for i in range(20):
            self.docker("network", "create", f"net{i}").check()
        subnets = [self.host.inspect(f"net{i}", "network")["IPAM"]["Config"][0]["Subnet"] for i in range(20)]
        self.assertEqual(len(set(subnets)), 20)
        self.assertNotIn("192.0.2.0/24", subnets)

    def test_wrong_input_is_refused(self):
        for arguments in (["--subnet", "10.0.0.0/33"], ["--subnet", "nonsense"], ["--driver", "nosuch"], ["--subnet", "10.81.0.0/24", "--gateway", "10.99.0.1"],
                          ["--subnet", "10.81.0.0/24", "--ip-range", "10.82.0.0/24"]):
            with self.subTest(arguments):
                result = self.docker("network", "create", *arguments, "wrong")
                self.assertEqual(result.code, 1, str(result))
                self.assertEqual(self.docker("network", "ls", "-q", "-f", "name=wrong").out, "")

    def test_prune(self):
        self.docker("network", "create", "unused").check()
        self.docker("network", "create", "used").check()
        self.docker("run", "-d", "--network", "used", "alpine", "sleep", "1000").check()
        result = self.needs(self.docker("network", "prune", "-f"), "prune").check()
        self.assertIn("unused", result.out)
        self.assertEqual(self.docker("network", "ls", "--format", "{{.Name}}", "-f", "type=custom").lines, ["used"])


if __name__ == "__main__":
    unittest.main()
