"""Published ports of services: the routing mesh, and ports of the node itself. Scenarios C2, C3, and B5's promise that no
moment is without a task that serves."""

import unittest

import net
from case import SwarmCase
from cluster import CLIENT, OTHER_CLIENT
from lab import until
from load import Load


class _Mesh(SwarmCase):
    def web(self, *options, replicas=3, port=8080, name="web"):
        self.create(name, "--replicas", str(replicas), "-p", f"{port}:3000", *options)
        self.cluster.wait_tasks(name, replicas)

    def hosts_seen(self, number, port=8080, count=30):
        return {self.cluster.get_when_up(number, port) for _ in range(count)}


class MeshTest(_Mesh):
    def test_every_node_answers(self):
        self.web(replicas=2)
        for number in self.cluster.numbers:
            self.assertIn("Saludos desde ", self.cluster.get_when_up(number, 8080))

    def test_every_replica_has_its_turn(self):
        self.web(replicas=6)
        for number in self.cluster.numbers:
            seen = set()
            until(lambda: len(seen) == 6 or seen.update(self.hosts_seen(number, count=10)), f"node{number} reaches all six")

    def test_address_of_the_client_is_kept(self):
        self.web(replicas=3)
        for number in self.cluster.numbers:
            for source in (CLIENT, OTHER_CLIENT):
                for _ in range(9):
                    self.cluster.get_when_up(number, 8080)
                    self.assertEqual(self.cluster.get(number, 8080, "/client", source=source).split()[0], source)

    def test_udp(self):
        self.create("web", "--replicas", "2", "-p", "8080:3000/udp")
        self.cluster.wait_tasks("web", 2)
        for number in self.cluster.numbers:
            answer = net.ask_udp(self.cluster.switch, self.cluster.address(number), 8080, "hello", netns="host")
            self.assertEqual((answer.split()[1], answer.split()[-1]), (CLIENT, "hello"))
        self.assertTrue(self.cluster.is_refused(1, 8080), "TCP is another port")

    def test_ipv6(self):
        self.web()
        for number in self.cluster.numbers:
            until(lambda: "Saludos" in self.answer6(number), f"node{number} answers on IPv6")

    def answer6(self, number):
        try:
            return net.get(self.cluster.switch, f"fd77::{number}", 8080, netns="host")
        except OSError:
            return ""

    def test_from_the_node_itself(self):
        self.web(replicas=1)
        for number in self.cluster.numbers:
            self.cluster.get_when_up(number, 8080)
            for address in ("127.0.0.1", self.cluster.address(number), self.cluster.address(number % 5 + 1)):
                with self.subTest(f"node{number} asks {address}"):
                    self.assertIn("Saludos", net.get(self.cluster.host(number), address, 8080, netns="host"))

    def test_from_a_container(self):
        self.web(replicas=2)
        self.create("box", "--mode", "global", image="alpine", command=["sleep", "1000"])
        self.cluster.wait_tasks("box", 5)
        for number in (1, 4):
            for target in (number, number % 5 + 1):
                self.cluster.get_when_up(target, 8080)
                out = self.cluster.exec("box", "timeout", "10", "wget", "-q", "-O", "-", f"http://{self.cluster.address(target)}:8080/", number=number)
                self.assertIn("Saludos", out.check().out)

    def test_port_chosen_by_the_swarm(self):
        self.create("web", "-p", "3000")
        self.cluster.wait_tasks("web", 1)
        port = until(lambda: self.inspect("web")["Endpoint"].get("Ports"), "a port is given")[0]["PublishedPort"]
        self.assertTrue(30000 <= port <= 32767, port)
        self.assertIn("Saludos", self.cluster.get_when_up(2, port))
        self.docker("service", "update", "-d", "--label-add", "a=b", "web").check()
        self.assertEqual(self.inspect("web")["Endpoint"]["Ports"][0]["PublishedPort"], port, "it keeps it")

    def test_two_services_two_ports(self):
        self.web(name="one", port=8081)
        self.web(name="two", port=8082)
        hosts = {name: {identity[:12] for _, identity in self.cluster.containers(name)} for name in ("one", "two")}
        for name, port in (("one", 8081), ("two", 8082)):
            for number in self.cluster.numbers:
                for answer in self.hosts_seen(number, port, 5):
                    self.assertIn(answer.split()[-1].rstrip("!"), hosts[name])

    def test_range_of_ports(self):
        self.create("web", "-p", "8080-8081:3000-3001")
        self.cluster.wait_tasks("web", 1)
        self.assertIn("Saludos", self.cluster.get_when_up(1, 8080))
        self.assertEqual(sorted(port["PublishedPort"] for port in self.inspect("web")["Endpoint"]["Ports"]), [8080, 8081], "in what order, the CLI draws")

    def test_published_later_and_no_more(self):
        self.create("web", "--replicas", "2", "--update-monitor", "1s")
        self.cluster.wait_tasks("web", 2)
        self.assertTrue(self.cluster.is_refused(1, 8080))
        self.docker("service", "update", "-d", "--publish-add", "8080:3000", "web").check()
        for number in self.cluster.numbers:
            self.cluster.get_when_up(number, 8080)
        self.docker("service", "update", "-d", "--publish-rm", "8080:3000", "--publish-add", "8085:3000", "web").check()
        for number in self.cluster.numbers:
            self.cluster.get_when_up(number, 8085)
            until(lambda: self.cluster.is_refused(number, 8080), "the old port is closed")
        self.docker("service", "rm", "web").check()
        for number in self.cluster.numbers:
            until(lambda: self.cluster.is_refused(number, 8085), "the port ends with the service")

    def test_nobody_there_is_refused(self):
        self.create("web", "-p", "8080:3000", "--replicas", "1", "--constraint", "node.hostname==node99")
        self.cluster.wait_task_error("web", "no suitable node")
        for number in self.cluster.numbers:
            self.assertTrue(self.cluster.is_refused(number, 8080))

    def test_long_connection_outlives_other_tasks(self):
        self.web(replicas=4)
        self.cluster.get_when_up(2, 8080)
        kept = net.connect(self.cluster.switch, self.cluster.address(2), 8080, netns="host")
        with kept:
            kept.sendall(b"GET /who HTTP/1.1\r\nHost: x\r\n\r\n")
            mine = kept.recv(4096).decode().split("\r\n\r\n")[1].split()[0]
            self.docker("service", "scale", "-d", "web=6").check()
            self.cluster.wait_tasks("web", 6)
            kept.sendall(b"GET /who HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertIn(mine, kept.recv(4096).decode())

    def test_plain_container_cannot_take_the_port(self):
        self.web()
        self.cluster.get_when_up(1, 8080)
        result = self.docker("run", "-d", "-p", "8080:3000", "hostname")
        self.assertNotEqual(result.code, 0)
        self.assertIn("8080", result.err)
        self.assertIn("already", result.err)

    def test_global_service(self):
        self.create("web", "--mode", "global", "-p", "8080:3000")
        self.cluster.wait_tasks("web", 5)
        seen = set()
        until(lambda: len(seen) == 5 or seen.update(self.hosts_seen(3, count=10)), "one node reaches all five")

    def test_port_and_overlay_together(self):
        self.docker("network", "create", "-d", "overlay", "hive").check()
        self.web("--network", "hive")
        for number in self.cluster.numbers:
            self.cluster.get_when_up(number, 8080)
            self.assertEqual(self.cluster.get(number, 8080, "/client").split()[0], CLIENT)


class HostModeTest(_Mesh):
    def test_only_where_the_task_is(self):
        self.create("web", "-p", "published=8080,target=3000,mode=host", "--constraint", "node.hostname==node4")
        self.cluster.wait_tasks("web", 1)
        self.assertIn("Saludos", self.cluster.get_when_up(4, 8080))
        self.assertEqual(self.cluster.get(4, 8080, "/client").split()[0], CLIENT)
        self.assertTrue(self.cluster.is_refused(5, 8080))
        self.assertIn("*:8080->3000/tcp", self.docker("service", "ps", "web").out)

    def test_one_per_node(self):
        self.create("web", "--replicas", "6", "-p", "published=8080,target=3000,mode=host")
        self.assertEqual(len({row["Node"] for row in self.cluster.wait_tasks("web", 5)}), 5)
        self.cluster.wait_task_error("web", "no suitable node (host-mode port already in use on 5 nodes)")
        for number in self.cluster.numbers:
            self.assertIn("Saludos", self.cluster.get_when_up(number, 8080))

    def test_update_in_place(self):
        self.create("web", "--mode", "global", "-p", "published=8080,target=3000,mode=host", "--update-monitor", "1s")
        self.cluster.wait_tasks("web", 5)
        self.docker("service", "update", "--env-add", "N=1", "web").check()
        for number in self.cluster.numbers:
            self.assertIn("Saludos", self.cluster.get_when_up(number, 8080))

    def test_port_of_a_plain_container(self):
        self.docker("run", "-d", "-p", "8080:3000", "hostname", node=4).check()
        self.create("web", "-p", "published=8080,target=3000,mode=host", "--constraint", "node.hostname==node4", "--restart-condition", "none")
        self.cluster.wait_task_error("web", "8080")

    def test_chosen_by_the_node(self):
        self.create("web", "-p", "target=3000,mode=host")
        row = self.cluster.wait_tasks("web", 1)[0]
        self.assertRegex(row["Ports"], r"^\*:\d+->3000/tcp$")
        port = int(row["Ports"].split("->")[0].removeprefix("*:"))
        self.assertIn("Saludos", self.cluster.get_when_up(int(row["Node"].removeprefix("node")), port))


class UnderLoadTest(_Mesh):
    """Not one request may be lost; `hostname` finishes on SIGTERM what it has begun."""

    def loaded(self, *options):
        self.web("--update-monitor", "1s", "--rollback-monitor", "1s", *options)
        for number in self.cluster.numbers:
            self.cluster.get_when_up(number, 8080)
        return Load(self.cluster, 8080)

    def assertNothingLost(self, load, servers):
        enough = len(load.answered) + 60
        until(lambda: load.failures or len(load.answered) > enough, "requests go on")
        load.stop()
        self.assertEqual(load.failures, [], f"{len(load.failures)} of {len(load.answered) + len(load.failures)} requests failed")
        self.assertGreaterEqual(len({body for _, _, body in load.answered}), servers)

    def test_update_stop_first(self):
        with self.loaded("--update-order", "stop-first") as load:
            self.docker("service", "update", "--env-add", "N=1", "web").check()
            self.docker("service", "update", "--env-add", "N=2", "web").check()
            self.assertNothingLost(load, 6)

    def test_update_start_first(self):
        with self.loaded("--update-order", "start-first") as load:
            self.docker("service", "update", "--env-add", "N=1", "web").check()
            self.docker("service", "update", "--env-add", "N=2", "web").check()
            self.assertNothingLost(load, 6)

    def test_rollback(self):
        with self.loaded() as load:
            self.docker("service", "update", "--env-add", "N=1", "web").check()
            self.docker("service", "rollback", "web").check()
            self.assertNothingLost(load, 6)

    def test_scale_down_and_up(self):
        with self.loaded() as load:
            for count in (6, 1, 4, 2):
                self.docker("service", "scale", "-d", f"web={count}").check()
                self.cluster.wait_tasks("web", count)
            self.assertNothingLost(load, 2)

    def test_drain(self):
        with self.loaded() as load:
            for number in (5, 4, 3):
                self.docker("node", "update", "--availability", "drain", f"node{number}").check()
                self.cluster.wait_tasks("web", 3, where=lambda row: row["Node"] != f"node{number}")
            self.assertNothingLost(load, 3)

    def test_one_replica_start_first(self):
        self.web("--update-order", "start-first", "--update-monitor", "1s", replicas=1)
        for number in self.cluster.numbers:
            self.cluster.get_when_up(number, 8080)
        with Load(self.cluster, 8080) as load:
            self.docker("service", "update", "--env-add", "N=1", "web").check()
            self.assertNothingLost(load, 2)

    def test_programs_that_are_slow_to_listen(self):
        """Without a health check, too, nobody is sent to a task that does not take connections yet."""
        slow = "mkdir /www; hostname > /www/index.html; sleep 1.5; exec httpd -f -p 3000 -h /www"
        self.create("web", "-p", "8080:3000", image="alpine", command=["sh", "-c", slow])
        self.cluster.wait_tasks("web", 1)
        self.cluster.get_when_up(1, 8080)
        with Load(self.cluster, 8080, slow_every=0) as load:
            self.docker("service", "scale", "-d", "web=3").check()
            until(lambda: load.failures or len({body for _, _, body in load.answered}) == 3, "all three are asked")
            self.assertNothingLost(load, 3)

    def test_a_program_that_never_listens(self):
        """It counts as running all the same, a little later."""
        self.create("web", "-p", "8080:3000", image="alpine", command=["sleep", "1000"])
        self.cluster.wait_tasks("web", 1)

    def test_through_the_vip(self):
        self.docker("network", "create", "-d", "overlay", "hive").check()
        self.create("web", "--replicas", "3", "--network", "hive", "--update-monitor", "1s")
        self.cluster.wait_tasks("web", 3)
        script = "trap 'exit 0' TERM; until timeout 8 wget -q -O /dev/null http://web:3000/; do sleep 0.1; done; while :; do timeout 8 wget -q -O /dev/null http://web:3000/slow && echo good || echo BAD; done"
        self.create("caller", "--network", "hive", image="alpine", command=["sh", "-c", script])
        logs = lambda: self.docker("service", "logs", "--raw", "caller").out
        until(lambda: logs().count("good") > 3, "calls are answered")
        self.docker("service", "update", "--env-add", "N=1", "web").check()
        done = logs().count("good")
        until(lambda: logs().count("good") > done + 2, "calls go on")
        self.assertEqual(logs().count("BAD"), 0)


if __name__ == "__main__":
    unittest.main()
