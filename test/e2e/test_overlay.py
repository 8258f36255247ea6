"""Overlay networks: who finds whom by which name, on which node it may be. Scenario C1."""

import json
import unittest

import net
from case import SwarmCase
from lab import until

FOREVER = ("sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait")


class _Overlay(SwarmCase):
    def network(self, *options, name="hive"):
        return self.docker("network", "create", "-d", "overlay", *options, name).check().line

    def on(self, name, node, *options, image="hostname", command=(), network="hive"):
        """A service of one task on this node and network."""
        self.create(name, "--network", network, "--constraint", f"node.hostname==node{node}", *options, image=image, command=command)
        self.cluster.wait_tasks(name, 1)

    def box(self, node=4, name="box", network="hive"):
        self.on(name, node, image="alpine", command=FOREVER, network=network)

    def in_box(self, script, name="box"):
        return self.cluster.exec(name, "sh", "-c", script)

    def fetch(self, url, name="box"):
        return self.in_box(f"timeout 5 wget -q -O - {url}", name).out

    def addresses(self, name, box="box"):
        out = self.in_box(f"nslookup {name} 127.0.0.11 2>/dev/null", box).out
        after = out.split("Name:", 1)[-1] if "Name:" in out else ""
        return {word for line in after.splitlines() if line.startswith("Address") for word in line.split(":", 1)[1].split() if word[0].isdigit() and "." in word}

    def task_addresses(self, service, network="hive"):
        found = set()
        for node, identity in self.cluster.containers(service):
            found.add(self.cluster.host(node).inspect(identity)["NetworkSettings"]["Networks"][network]["IPAddress"])
        return found

    def vip(self, service):
        identity = json.loads(self.docker("network", "inspect", "hive").out)[0]["Id"]
        return next(entry["Addr"].split("/")[0] for entry in self.inspect(service)["Endpoint"]["VirtualIPs"] if entry["NetworkID"] == identity)


class NetworkTest(_Overlay):
    def test_create_ls_inspect_rm(self):
        identity = self.network("--label", "made=here")
        self.assertRegex(identity, "^[0-9a-z]{25}$")
        for manager in (1, 2, 3):
            until(lambda: "hive overlay swarm" in self.docker("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}", node=manager).lines, "every manager lists it")
        network = json.loads(self.docker("network", "inspect", "hive").check().out)[0]
        self.assertEqual((network["Id"], network["Scope"], network["Driver"], network["Attachable"], network["Internal"], network["Ingress"], network["Labels"]),
                         (identity, "swarm", "overlay", False, False, False, {"made": "here"}))
        self.assertRegex(network["IPAM"]["Config"][0]["Subnet"], r"^10\.0\.\d+\.0/24$")
        self.assertNotIn("hive", self.docker("network", "ls", "--format", "{{.Name}}", node=4).lines, "a worker has it only with a task")
        self.assertEqual(self.docker("network", "rm", "hive").check().out, "hive\n")
        until(lambda: "hive" not in self.docker("network", "ls", "--format", "{{.Name}}", node=2).lines, "it is gone on every manager")

    def test_subnets(self):
        self.network("--subnet", "10.88.0.0/24", "--gateway", "10.88.0.77")
        self.on("web", 5)
        self.box()
        self.assertRegex(self.vip("web"), r"^10\.88\.0\.\d+$")
        self.assertIn("Saludos", self.fetch("http://web:3000/"))
        result = self.docker("network", "create", "-d", "overlay", "--subnet", "10.88.0.128/25", "other")
        self.assertFails(result, "overlap")
        second, third = (json.loads(self.docker("network", "inspect", self.network(name=name)).out)[0]["IPAM"]["Config"][0]["Subnet"] for name in ("second", "third"))
        self.assertNotEqual(second, third)

    def test_names(self):
        self.network()
        self.assertFails(self.docker("network", "create", "-d", "overlay", "hive"), "network with name hive already exists")
        self.assertFails(self.docker("network", "create", "-d", "overlay", "sl/ash"), "name")
        self.assertFails(self.docker("network", "create", "-d", "overlay", "made-on-a-worker", node=4), "This node is not a swarm manager")

    def test_in_use(self):
        self.network()
        self.on("web", 5)
        self.assertFails(self.docker("network", "rm", "hive"), "is in use by")
        self.docker("service", "rm", "web").check()
        until(lambda: self.docker("network", "rm", "hive").code == 0, "it can be removed when nobody uses it")
        until(lambda: "hive" not in self.docker("network", "ls", "--format", "{{.Name}}", node=5).lines, "the worker has forgotten it")

    def test_container_of_another_kind(self):
        self.network()
        self.assertFails(self.docker("run", "--rm", "--network", "hive", "alpine", "true"), "hive", "not manually attachable", code=125)

    def test_attachable(self):
        self.needs(self.docker("network", "create", "-d", "overlay", "--attachable", "hive"), "attachable").check()
        self.on("web", 5)
        self.needs(self.docker("run", "-d", "--name", "plain", "--network", "hive", "alpine", "sleep", "1000"), "attach").check()
        until(lambda: "Saludos" in self.docker("exec", "plain", "timeout", "5", "wget", "-q", "-O", "-", "http://web:3000/").out, "a plain container is on it")
        self.have("hostname", 4)
        self.needs(self.docker("run", "-d", "--name", "far", "--network", "hive", "hostname", node=4), "attach").check()
        until(lambda: "Saludos" in self.docker("exec", "plain", "timeout", "5", "wget", "-q", "-O", "-", "http://far:3000/").out, "and one on a worker")

    def have(self, image, node):
        if self.docker("image", "inspect", image, node=node).code != 0:
            self.cluster.host(node).load(image)

    def plain(self, name, node=1, *options, image="alpine", command=("sleep", "1000")):
        """A container of its own, on the attachable network."""
        self.have(image, node)
        self.docker("run", "-d", "--name", name, "-h", name, "--network", "hive", *options, image, *(command if image == "alpine" else ()), node=node).check()
        return self.cluster.host(node).inspect(name)["NetworkSettings"]["Networks"]["hive"]["IPAddress"]

    def reaches(self, box, url, node=1):
        until(lambda: "Saludos" in self.docker("exec", box, "timeout", "5", "wget", "-q", "-O", "-", url, node=node).out, f"{box} reaches {url}")

    def unknown(self, box, name, node=1):
        until(lambda: "can't" in (lambda r: r.out + r.err)(self.docker("exec", box, "nslookup", name, node=node)), f"{name} is unknown")

    def test_attached_containers_in_both_directions(self):
        self.network("--attachable")
        self.on("web", 5)
        self.plain("far", 4, image="hostname")
        self.plain("near")
        for url in ("http://web:3000/", "http://far:3000/"):
            self.reaches("near", url)
        self.box(5)
        until(lambda: "Saludos desde far" in self.fetch("http://far:3000/"), "a task reaches a plain container")
        self.assertEqual(self.docker("exec", "near", "ping", "-c", "1", "-W", "5", "10.77.0.100").code, 0, "the way out")
        self.assertNotIn("docker_gwbridge", self.cluster.host(1).inspect("near")["NetworkSettings"]["Networks"])
        self.assertFails(self.docker("network", "rm", "hive"), "in use")

    def test_attached_containers_go(self):
        self.network("--attachable")
        self.plain("near")
        address = self.plain("far", 4, image="hostname")
        self.reaches("near", "http://far:3000/")
        self.docker("stop", "-t", "0", "far", node=4).check()
        self.unknown("near", "far")
        self.docker("start", "far", node=4).check()
        self.reaches("near", "http://far:3000/")
        self.docker("rm", "-f", "far", node=4).check()
        self.unknown("near", "far")
        self.assertEqual(self.plain("again", 5, "--ip", address), address, "its address is free")
        self.assertFails(self.docker("run", "--rm", "--network", "hive", "--ip", address, "alpine", "true"), "Address already in use", code=125)
        self.docker("rm", "-f", "again", node=5).check()
        self.docker("rm", "-f", "near").check()
        until(lambda: self.docker("network", "rm", "hive").code == 0, "nothing holds the network")

    def test_attached_while_running(self):
        self.network("--attachable")
        self.on("web", 5)
        self.have("alpine", 4)
        self.docker("run", "-d", "--name", "late", "alpine", "sleep", "1000", node=4).check()
        self.docker("network", "connect", "--alias", "second-name", "hive", "late", node=4).check()
        self.reaches("late", "http://web:3000/", 4)
        self.plain("near")
        until(lambda: self.docker("exec", "near", "ping", "-c", "1", "-W", "2", "second-name").code == 0, "the alias is known elsewhere")
        self.docker("network", "disconnect", "hive", "late", node=4).check()
        self.unknown("near", "second-name")

    def test_published_port_of_an_attached_container(self):
        self.network("--attachable")
        self.plain("far", 4, "-p", "8123:3000", image="hostname")
        self.assertEqual(self.cluster.get_when_up(4, 8123), "Saludos desde far!")

    def test_encrypted(self):
        self.needs(self.docker("network", "create", "-d", "overlay", "--opt", "encrypted", "hive"), "encrypted").check()
        self.on("web", 5)
        self.box()
        self.assertIn("Saludos", self.fetch("http://web:3000/"))

    def test_internal(self):
        self.needs(self.docker("network", "create", "-d", "overlay", "--internal", "hive"), "internal").check()
        self.on("web", 5)
        self.box()
        self.assertIn("Saludos", self.fetch("http://web:3000/"))
        self.assertNotEqual(self.in_box("ping -c 1 -W 2 10.77.0.100").code, 0, "no way out")


class NamesTest(_Overlay):
    def test_name_leads_to_the_vip(self):
        self.network()
        self.create("web", "--replicas", "3", "--network", "hive")
        self.cluster.wait_tasks("web", 3)
        self.box()
        self.assertEqual(self.addresses("web"), {self.vip("web")})
        self.assertEqual(self.addresses("WEB"), {self.vip("web")}, "names know no case")
        self.assertNotIn(self.vip("web"), self.task_addresses("web"))

    def test_tasks_of_a_service(self):
        self.network()
        self.create("web", "--replicas", "3", "--network", "hive")
        self.cluster.wait_tasks("web", 3)
        self.box()
        until(lambda: self.addresses("tasks.web") == self.task_addresses("web"), "tasks.web names all three")
        self.docker("service", "scale", "-d", "web=1").check()
        self.cluster.wait_tasks("web", 1)
        until(lambda: len(self.addresses("tasks.web")) == 1, "those that went are gone")
        self.assertEqual(self.addresses("tasks.web"), self.task_addresses("web"))

    def test_name_with_the_network_s(self):
        self.network()
        self.on("web", 5)
        self.box()
        self.assertEqual(self.addresses("web.hive"), {self.vip("web")})

    def test_alias(self):
        self.network()
        self.create("web", "--network", "name=hive,alias=front,alias=door")
        self.cluster.wait_tasks("web", 1)
        self.box()
        for name in ("front", "door"):
            self.assertEqual(self.addresses(name), {self.vip("web")})
            self.assertIn("Saludos", self.fetch(f"http://{name}:3000/"))
        self.assertEqual(self.addresses("tasks.front"), self.task_addresses("web"))

    def test_round_robin_instead_of_a_vip(self):
        self.network()
        self.create("web", "--replicas", "3", "--network", "hive", "--endpoint-mode", "dnsrr")
        self.cluster.wait_tasks("web", 3)
        self.box()
        until(lambda: self.addresses("web") == self.task_addresses("web"), "the name leads to the tasks")
        self.assertFalse(self.inspect("web")["Endpoint"].get("VirtualIPs"))
        self.assertIn("Saludos", self.fetch("http://web:3000/"))

    def test_task_by_its_container(self):
        self.network()
        self.on("web", 5)
        self.box()
        node, identity = self.cluster.containers("web")[0]
        name = self.cluster.host(node).inspect(identity)["Name"].lstrip("/")
        self.assertEqual(self.addresses(name), self.task_addresses("web"))
        self.assertIn("Saludos", self.fetch(f"http://{name}:3000/"))

    def test_own_name(self):
        self.network()
        self.box()
        self.assertEqual(self.addresses("box"), {self.vip("box")})
        self.assertEqual(self.addresses("tasks.box"), self.task_addresses("box"))

    def test_what_is_not_there(self):
        self.network()
        self.box()
        self.assertEqual(self.addresses("nobody"), set())
        self.assertEqual(self.addresses("tasks.nobody"), set())

    def test_name_server_of_the_container(self):
        self.network()
        self.box()
        self.assertIn("nameserver 127.0.0.11", self.in_box("cat /etc/resolv.conf").out)


class ReachTest(_Overlay):
    def test_each_node_reaches_each(self):
        self.network()
        self.create("web", "--mode", "global", "--network", "hive")
        self.create("box", "--mode", "global", "--network", "hive", image="alpine", command=FOREVER)
        self.cluster.wait_tasks("web", 5)
        self.cluster.wait_tasks("box", 5)
        addresses = {node: self.cluster.host(node).inspect(identity)["NetworkSettings"]["Networks"]["hive"]["IPAddress"] for node, identity in self.cluster.containers("web")}
        for number in self.cluster.numbers:
            script = "; ".join(f"timeout 5 wget -q -O - http://{address}:3000/client; echo" for address in addresses.values())
            until(lambda: len(self.cluster.exec("box", "sh", "-c", script, number=number).lines) == 5, f"node{number} reaches all tasks directly")

    def test_vip_reaches_every_task(self):
        self.network()
        self.create("web", "--replicas", "5", "--network", "hive")
        self.cluster.wait_tasks("web", 5)
        self.box()
        seen = set()
        until(lambda: seen.update(self.in_box("for i in 1 2 3 4 5 6 7 8 9 10; do timeout 5 wget -q -O - http://web:3000/; echo; done").lines) or len(seen) == 5, "all five have their turn")
        for name in seen:
            self.assertRegex(name, "^Saludos desde [0-9a-f]{12}!$")

    def test_ping_of_the_vip(self):
        self.network()
        self.on("web", 5)
        self.box()
        self.assertEqual(self.in_box("ping -c 1 -W 5 web").code, 0)

    def test_member_reaches_itself_by_its_name(self):
        self.network()
        self.on("web", 5)
        self.create("self", "--network", "hive", image="alpine", command=["sh", "-c", "trap 'exit 0' TERM; while :; do echo -e 'HTTP/1.0 200 OK\\r\\n\\r\\nme' | nc -l -p 80; done & wait"])
        self.cluster.wait_tasks("self", 1)
        until(lambda: "me" in self.fetch("http://self/", "self"), "its own VIP leads to itself")

    def test_udp(self):
        self.network()
        self.on("web", 5)
        self.box()
        node, identity = self.cluster.containers("box")[0]
        host = self.cluster.host(node)
        inside = f"/proc/{host.inspect(identity)['State']['Pid']}/ns/net"
        for address in (self.vip("web"), self.task_addresses("web").pop()):
            answer = net.ask_udp(host, address, 3000, "hello", netns=inside)
            self.assertEqual((answer.split()[1], answer.split()[-1]), (self.task_addresses("box").pop(), "hello"))

    def test_large_transfer(self):
        self.network()
        self.on("box", 4, image="alpine", command=FOREVER)
        self.on("sink", 5, image="alpine", command=["sh", "-c", "trap 'exit 0' TERM; sleep 100000 | nc -l -p 9000 | md5sum & wait"])  # with no input it would hang up first
        until(lambda: self.in_box("dd if=/dev/zero bs=1M count=20 2>/dev/null | timeout 30 nc sink 9000").code == 0, "sent")
        until(lambda: "8f4e33f3dc3e414ff94e5fb6905cba8c" in self.docker("service", "logs", "sink").out, "20 MiB arrive whole")

    def test_networks_are_apart(self):
        self.network()
        self.network(name="other")
        self.on("web", 5)
        self.box(network="other")
        self.assertEqual(self.addresses("web"), set())
        address = next(iter(self.task_addresses("web")))
        self.assertNotEqual(self.in_box(f"timeout 2 wget -q -O - http://{address}:3000/").code, 0)

    def test_member_of_two(self):
        self.network()
        self.network(name="other")
        self.on("web", 5)
        self.on("back", 3, network="other")
        self.create("box", "--network", "hive", "--network", "other", "--constraint", "node.hostname==node4", image="alpine", command=FOREVER)
        self.cluster.wait_tasks("box", 1)
        for name in ("web", "back"):
            self.assertIn("Saludos", self.fetch(f"http://{name}:3000/"))

    def test_service_that_comes_later_is_found(self):
        self.network()
        self.box()
        self.assertEqual(self.addresses("web"), set())
        self.on("web", 5)
        until(lambda: "Saludos" in self.fetch("http://web:3000/"), "found")
        self.docker("service", "rm", "web").check()
        until(lambda: self.addresses("web") == set(), "and gone")

    def test_outside_world_is_reached(self):
        self.network()
        self.box()
        self.assertEqual(self.in_box("ping -c 1 -W 5 10.77.0.100").code, 0)

    def test_task_moves_and_is_found_again(self):
        self.network()
        self.on("web", 5)
        self.box()
        self.assertIn("Saludos", self.fetch("http://web:3000/"))
        self.docker("service", "update", "-d", "--constraint-rm", "node.hostname==node5", "--constraint-add", "node.hostname==node3", "web").check()
        self.cluster.wait_tasks("web", 1, where=lambda row: row["Node"] == "node3")
        until(lambda: "Saludos" in self.fetch("http://web:3000/"), "found on the other node")

    def test_address_in_inspect(self):
        self.network()
        self.on("web", 5)
        containers = json.loads(self.docker("network", "inspect", "hive", node=5).check().out)[0]["Containers"]
        self.assertIn(self.task_addresses("web").pop() + "/24", {entry["IPv4Address"] for entry in containers.values()})


if __name__ == "__main__":
    unittest.main()
