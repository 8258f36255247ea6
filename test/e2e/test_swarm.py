"""A swarm begins, nodes join, change their parts and leave: scenarios A1 to A8."""

import base64
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

import net
from case import OwnClusterCase, SwarmCase
from lab import until

JOIN = r"docker swarm join --token (SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}) 10\.77\.0\.1:2377"
NO_SWARM = 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.'
WORKER = "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a manager node or promote the current node to a manager."
MEMBER = 'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.'


class _Bare(OwnClusterCase):
    formed = False
    images = ()

    def info(self, node=1):
        return json.loads(self.docker("info", "--format", "{{json .Swarm}}", node=node).check().out)

    def init(self, *options):
        return self.docker("swarm", "init", *options).check()

    def token(self, role="worker"):
        return self.cluster.token(role)

    def join(self, token, node=2, through=1, options=()):
        return self.docker("swarm", "join", *options, "--token", token, f"10.77.0.{through}:2377", node=node)

    def second_address(self, batch="link add lan1 type bridge\naddr add 192.168.50.1/24 dev lan1\nlink set lan1 up\n"):
        self.cluster.host(1).run_in("ip", "-batch", "-", input=batch).check()


class InitTest(_Bare):
    managers, workers = 1, 0

    def test_one_address(self):
        out = self.init().out
        node = re.search(r"^Swarm initialized: current node \(([0-9a-z]{25})\) is now a manager\.\n", out)
        self.assertIsNotNone(node, out)
        self.assertRegex(out, "To add a worker to this swarm, run the following command:\n\n    " + JOIN + "\n")
        self.assertIn("To add a manager to this swarm, run 'docker swarm join-token manager' and follow the instructions.", out)
        info = self.info()
        self.assertEqual((info["NodeID"], info["NodeAddr"], info["LocalNodeState"], info["ControlAvailable"], info["Nodes"], info["Managers"], info["Error"]),
                         (node[1], "10.77.0.1", "active", True, 1, 1, ""))
        self.assertEqual(info["RemoteManagers"], [{"NodeID": node[1], "Addr": "10.77.0.1:2377"}])
        self.assertRegex(info["Cluster"]["ID"], "^[0-9a-z]{25}$")
        text = self.docker("info").check().out
        for line in (" Swarm: active\n", f"  NodeID: {node[1]}\n", "  Is Manager: true\n", "  ClusterID: ", "  Managers: 1\n", "  Nodes: 1\n", "  Node Address: 10.77.0.1\n",
                     "   Task History Retention Limit: 5\n", "   Heartbeat Period: 5 seconds\n", "   Expiry Duration: 3 months\n", "   10.77.0.1:2377\n"):
            self.assertIn(line, text)

    def test_without_a_swarm(self):
        self.assertIn(" Swarm: inactive\n", self.docker("info").check().out)
        for command in ("node ls", "service ls", "service create alpine", "service ps x", "secret ls", "config ls", "swarm join-token worker", "node inspect self", "swarm update --task-history-limit 3"):
            with self.subTest(command):
                self.assertFails(self.docker(*command.split()), NO_SWARM)
        self.assertFails(self.docker("swarm", "leave"), "This node is not part of a swarm")
        self.assertFails(self.docker("network", "create", "-d", "overlay", "net"), "This node is not a swarm manager")

    def test_two_interfaces(self):
        self.second_address()
        self.assertFails(self.docker("swarm", "init"), "could not choose an IP address to advertise since this system has multiple addresses",
                         "10.77.0.1 on eth0", "192.168.50.1 on lan1", "specify one with --advertise-addr")
        self.assertEqual(self.info()["LocalNodeState"], "inactive")
        self.init("--advertise-addr", "192.168.50.1")
        self.assertEqual(self.info()["NodeAddr"], "192.168.50.1")

    def test_two_addresses_on_one_interface(self):
        self.second_address("addr add 10.77.0.51/24 dev eth0\n")
        self.assertFails(self.docker("swarm", "init"), "10.77.0.1", "10.77.0.51", "eth0", "--advertise-addr")
        self.assertFails(self.docker("swarm", "init", "--advertise-addr", "eth0"), "eth0", "10.77.0.1", "10.77.0.51")
        self.init("--advertise-addr", "10.77.0.51")
        self.assertIn("10.77.0.51:2377", self.docker("swarm", "join-token", "worker").check().out)

    def test_interface_by_name(self):
        self.second_address()
        self.init("--advertise-addr", "lan1")
        self.assertEqual(self.info()["NodeAddr"], "192.168.50.1")

    def test_wrong_address(self):
        for given in ("nope0", "0.0.0.0", "10.77.0", "10.77.0.1:notaport"):
            with self.subTest(given):
                result = self.docker("swarm", "init", "--advertise-addr", given)
                state = self.info()["LocalNodeState"]
                self.docker("swarm", "leave", "--force")
                self.assertFails(result, "advertise")
                self.assertEqual(state, "inactive")

    def test_address_of_another_machine(self):
        result = self.docker("swarm", "init", "--listen-addr", "10.77.0.99:2377", "--advertise-addr", "10.77.0.1")
        self.assertFails(result, "10.77.0.99")
        self.assertEqual(self.info()["LocalNodeState"], "inactive")
        self.init()

    def test_twice(self):
        self.init()
        self.assertFails(self.docker("swarm", "init"), MEMBER)

    def test_drained_from_the_start(self):
        self.init("--availability", "drain")
        self.assertEqual(self.cluster.nodes()["node1"]["Availability"], "Drain")
        self.assertFails(self.docker("swarm", "init", "--availability", "sometimes"), "invalid availability", code=1)

    def test_leave_and_begin_again(self):
        self.init()
        first = self.info()["Cluster"]["ID"]
        self.docker("network", "create", "-d", "overlay", "old").check()
        self.docker("swarm", "leave", "--force").check()
        self.assertEqual(self.info()["LocalNodeState"], "inactive")
        self.assertEqual(self.docker("network", "ls", "-q", "--filter", "driver=overlay").check().out, "")
        self.init()
        self.assertNotEqual(self.info()["Cluster"]["ID"], first)
        self.assertEqual(self.docker("network", "ls", "--filter", "driver=overlay", "--format", "{{.Name}}").check().lines, ["ingress"])

    def test_fixed_settings_are_refused_and_not_ignored(self):
        self.assertFails(self.docker("swarm", "init", "--snapshot-interval", "5000"), "Spec.Raft.SnapshotInterval other than 10000 is not supported yet")
        self.init()
        self.assertFails(self.docker("swarm", "update", "--snapshot-interval", "5000"), "Spec.Raft.SnapshotInterval other than 10000 is not supported yet")
        self.docker("swarm", "update", "--task-history-limit", "3", "--snapshot-interval", "10000").check()
        self.assertEqual(self.info()["Cluster"]["Spec"]["Orchestration"]["TaskHistoryRetentionLimit"], 3)

    def test_leave_does_not_wait_for_stubborn_programs(self):
        self.cluster.host(1).load("alpine")
        self.init()
        self.docker("service", "create", "-d", "-q", "--name", "deaf", "--replicas", "10", "--stop-grace-period", "1h", "alpine", "sh", "-c", "trap '' TERM; sleep 100000").check()
        until(lambda: len(self.docker("ps", "-q").lines) == 10, "all run")
        self.docker("swarm", "leave", "--force").check()
        self.assertEqual(self.docker("ps", "-aq").check().out, "")

    def test_networks_that_come_with_it(self):
        self.init()
        names = self.docker("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}").check().lines
        self.assertIn("ingress overlay swarm", names)
        ingress = self.cluster.host(1).inspect("ingress", "network")
        self.assertEqual((ingress["Ingress"], ingress["Scope"], ingress["IPAM"]["Config"][0]["Subnet"]), (True, "swarm", "10.0.0.0/24"))

    def test_pool_of_addresses(self):
        self.init("--default-addr-pool", "10.99.0.0/16", "--default-addr-pool-mask-length", "26")
        self.docker("network", "create", "-d", "overlay", "net").check()
        self.assertRegex(self.docker("network", "inspect", "net", "-f", "{{(index .IPAM.Config 0).Subnet}}").check().out, r"^10\.99\.0\.\d+/26$")
        self.assertIn("  Default Address Pool: 10.99.0.0/16", self.docker("info").check().out)

    def test_settings(self):
        self.init("--task-history-limit", "3", "--cert-expiry", "720h", "--dispatcher-heartbeat", "3s")
        text = self.docker("info").check().out
        for line in ("   Task History Retention Limit: 3\n", "   Expiry Duration: 4 weeks\n", "   Heartbeat Period: 3 seconds\n"):
            self.assertIn(line, text)
        self.assertEqual(self.docker("swarm", "update", "--task-history-limit", "2").check().out, "Swarm updated.\n")
        self.assertIn("   Task History Retention Limit: 2\n", self.docker("info").check().out)
        self.assertIn("   Expiry Duration: 4 weeks\n", self.docker("info").check().out)

    def test_life_of_certificates(self):
        self.init()
        self.assertFails(self.docker("swarm", "update", "--cert-expiry", "59m59s"), "rpc error: code = InvalidArgument desc = minimum certificate expiry time is: 1h0m0s")
        self.assertEqual(self.docker("swarm", "update", "--cert-expiry", "48h").check().out, "Swarm updated.\n")
        self.assertIn("   Expiry Duration: 2 days\n", self.docker("info").check().out)
        self.assertFails(self.docker("swarm", "ca", "--rotate", "--detach"), "ForceRotate is not supported yet")

    def test_authority(self):
        self.init()
        certificate = self.docker("swarm", "ca").check().out
        self.assertTrue(certificate.startswith("-----BEGIN CERTIFICATE-----"), certificate)
        self.assertEqual(certificate.strip(), self.docker("node", "inspect", "self", "-f", "{{.Description.TLSInfo.TrustRoot}}").check().out.strip())

    def test_authority_rotates(self):
        self.init()
        before, token = self.docker("swarm", "ca").check().out, self.token()
        self.needs(self.docker("swarm", "ca", "--rotate", "-d"), "rotat").check()
        until(lambda: self.docker("swarm", "ca").out not in ("", before), "another trust root")
        self.assertNotEqual(self.token(), token)

    def test_autolock(self):
        out = self.needs(self.docker("swarm", "init", "--autolock"), "autolock").check().out
        key = re.search(r"SWMKEY-1-\S+", out)[0]
        self.assertEqual(self.docker("swarm", "unlock-key", "-q").check().line, key)
        self.cluster.host(1).restart()
        self.assertFails(self.docker("node", "ls"), "Swarm is encrypted and needs to be unlocked")
        self.docker("swarm", "unlock", input=key + "\n").check()
        self.cluster.wait_manager(1)

    def test_restart(self):
        self.init()
        before, token = self.info(), self.token()
        for way in (self.cluster.host(1).kill9, self.cluster.host(1).stop):
            way()
            self.cluster.host(1).start()
            self.cluster.wait_manager(1)
            after = self.info()
            self.assertEqual((after["NodeID"], after["Cluster"]["ID"], self.token()), (before["NodeID"], before["Cluster"]["ID"], token))


class JoinTest(_Bare):
    managers, workers = 1, 2

    def setUp(self):
        super().setUp()
        self.init()

    def assertOutside(self, node):
        """Not a member, and free to become one."""
        self.assertEqual(self.info(node)["LocalNodeState"], "inactive")
        self.assertFails(self.docker("node", "ls", node=node), NO_SWARM)

    def test_as_worker(self):
        self.assertEqual(self.join(self.token()).check().out, "This node joined a swarm as a worker.\n")
        self.cluster.wait_nodes(2)
        row = self.cluster.nodes()["node2"]
        self.assertEqual((row["Status"], row["Availability"], row["ManagerStatus"], row["TLSStatus"]), ("Ready", "Active", "", "Ready"))
        info = self.info(2)
        self.assertEqual((info["LocalNodeState"], info["ControlAvailable"], info["NodeAddr"], [m["Addr"] for m in info["RemoteManagers"]]), ("active", False, "10.77.0.2", ["10.77.0.1:2377"]))
        text = self.docker("info", node=2).check().out
        for line in (" Swarm: active\n", "  Is Manager: false\n", "  Node Address: 10.77.0.2\n", "  Manager Addresses:\n   10.77.0.1:2377\n"):
            self.assertIn(line, text)
        for command in ("node ls", "service ls", "service create alpine", "secret ls", "swarm join-token worker", "node update --availability drain node2"):
            with self.subTest(command):
                self.assertFails(self.docker(*command.split(), node=2), WORKER)

    def test_as_manager(self):
        self.assertEqual(self.join(self.token("manager")).check().out, "This node joined a swarm as a manager.\n")
        self.cluster.wait_manager(2)
        self.assertEqual(self.cluster.nodes(2)["node2"]["ManagerStatus"], "Reachable")
        self.assertEqual(self.cluster.nodes(2)["node1"]["ManagerStatus"], "Leader")
        self.assertIn("  Managers: 2\n", self.docker("info", node=2).check().out)
        self.docker("node", "update", "--label-add", "written=on2", "node1", node=2).check()  # a follower takes writes
        self.assertEqual(self.docker("node", "inspect", "node1", "-f", "{{.Spec.Labels.written}}").check().line, "on2")

    def test_through_a_manager_that_does_not_lead(self):
        self.join(self.token("manager"), 2).check()
        self.cluster.wait_manager(2)
        self.assertIn("as a worker", self.join(self.token(), 3, through=2).check().out)
        self.cluster.wait_nodes(3)

    def test_through_a_worker(self):
        self.join(self.token(), 2).check()
        self.assertFails(self.join(self.token(), 3, through=2), "10.77.0.2:2377")
        self.assertOutside(3)

    def test_garbage_instead_of_a_token(self):
        for token in ("garbage", "SWMTKN-1-", "SWMTKN-1-" + "0" * 50, "SWMTKN-2" + self.token()[8:], self.token() + "x", "SWMTKN-1-" + "!" * 50 + "-" + "0" * 25):
            with self.subTest(token):
                self.assertFails(self.join(token), "invalid join token")
                self.assertOutside(2)

    def test_wrong_secret(self):
        token = self.token()
        self.assertFails(self.join(token[:-25] + "0" * 25), "A valid join token is necessary to join this cluster")
        self.assertOutside(2)
        self.join(token).check()

    def test_wrong_cluster(self):
        token = self.token()
        self.assertFails(self.join("SWMTKN-1-" + "1" * 50 + token[-26:]), "remote CA does not match fingerprint")
        self.assertOutside(2)

    def test_rotated_token(self):
        old = self.token()
        out = self.docker("swarm", "join-token", "--rotate", "worker").check().out
        self.assertTrue(out.startswith("Successfully rotated worker join token.\n\nTo add a worker to this swarm, run the following command:\n\n    docker swarm join --token SWMTKN-1-"), out)
        self.assertRegex(out, JOIN)
        new = self.token()
        self.assertNotEqual(new, old)
        self.assertEqual(new.split("-")[2], old.split("-")[2], "the fingerprint stays")
        self.assertFails(self.join(old), "A valid join token is necessary to join this cluster")
        self.join(new).check()
        manager = self.token("manager")
        self.assertNotEqual(self.docker("swarm", "join-token", "-q", "--rotate", "manager").check().line, manager)
        self.assertEqual(self.token(), new, "the worker's token is another")

    def test_token_words(self):
        self.assertRegex(self.docker("swarm", "join-token", "manager").check().out, "^To add a manager to this swarm, run the following command:\n\n    " + JOIN + "\n\n$")
        self.assertFails(self.docker("swarm", "join-token", "owner"), "unknown role owner")

    def test_nobody_there(self):
        result = self.docker("swarm", "join", "--token", self.token(), "10.77.0.99:2377", node=2, timeout=120)
        self.assertCode(result, 1)
        self.assertRegex(result.err, r"10\.77\.0\.99:2377|Timeout was reached before node joined")
        self.docker("swarm", "leave", "--force", node=2)
        self.assertOutside(2)
        self.join(self.token()).check()

    def test_nothing_listens(self):
        self.assertFails(self.docker("swarm", "join", "--token", self.token(), "10.77.0.3:2377", node=2), "10.77.0.3:2377", "refused")
        self.assertOutside(2)

    def test_twice(self):
        self.join(self.token()).check()
        self.assertFails(self.join(self.token()), MEMBER)

    def test_drained_from_the_start(self):
        self.join(self.token(), options=["--availability", "drain"]).check()
        self.cluster.wait_nodes(2)
        self.assertEqual(self.cluster.nodes()["node2"]["Availability"], "Drain")

    def test_two_interfaces(self):
        self.cluster.host(2).run_in("ip", "-batch", "-", input="link add lan1 type bridge\naddr add 192.168.50.1/24 dev lan1\nlink set lan1 up\n").check()
        result = self.join(self.token())  # Docker picks the address that reaches the manager; asking is allowed, hanging is not
        if result.code != 0:
            self.assertFails(result, "--advertise-addr")
            self.join(self.token(), options=["--advertise-addr", "eth0"]).check()
        self.cluster.wait_nodes(2)
        self.assertEqual(self.info(2)["NodeAddr"], "10.77.0.2")

    def test_many_at_once(self):
        token = self.token()
        results = {}

        def one(node):
            results[node] = self.join(token, node)
        threads = [threading.Thread(target=one, args=[node]) for node in (2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for result in results.values():
            result.check()
        self.cluster.wait_nodes(3)

    def test_restart_of_a_member(self):
        self.join(self.token()).check()
        self.cluster.wait_nodes(2)
        before = self.info(2)["NodeID"]
        self.cluster.host(2).kill9()
        until(lambda: self.cluster.nodes()["node2"]["Status"] == "Down", "the manager sees that node2 is down")
        self.cluster.host(2).start()
        self.cluster.wait_nodes(2)
        self.assertEqual(self.info(2)["NodeID"], before)
        self.assertEqual(len(self.cluster.nodes()), 2)


class NodeTest(SwarmCase):
    def ls(self, *options):
        return self.docker("node", "ls", *options).check()

    def availability(self, name):
        return self.cluster.nodes()[name]["Availability"]

    def test_ls(self):
        result = self.ls()
        self.assertTable(result, "ID", "HOSTNAME", "STATUS", "AVAILABILITY", "MANAGER STATUS", "ENGINE VERSION")
        rows = {re.split(r"\s+", line.replace(" *", ""))[1]: line for line in result.lines[1:]}
        self.assertEqual(sorted(rows), ["node1", "node2", "node3", "node4", "node5"])
        self.assertRegex(rows["node1"], r"^[0-9a-z]{25} \* +node1 +Ready +Active +(Leader|Reachable) ")
        self.assertRegex(rows["node5"], r"^[0-9a-z]{25}   +node5 +Ready +Active +\d")
        statuses = sorted(row["ManagerStatus"] for row in self.cluster.nodes().values())
        self.assertEqual(statuses, ["", "", "Leader", "Reachable", "Reachable"])
        self.assertEqual({row["Self"] for name, row in self.cluster.nodes(2).items() if name != "node2"}, {False})
        self.assertTrue(self.cluster.nodes(2)["node2"]["Self"])

    def test_ls_narrowed(self):
        self.docker("node", "update", "--label-add", "disk=ssd", "node4").check()
        identity = self.docker("node", "inspect", "node3", "-f", "{{.ID}}").check().line
        for given, names in (("role=manager", "node1 node2 node3"), ("role=worker", "node4 node5"), ("name=node2", "node2"), ("node.label=disk", "node4"), ("node.label=disk=ssd", "node4"),
                             ("node.label=disk=hdd", ""), ("membership=accepted", "node1 node2 node3 node4 node5"), ("membership=pending", ""), ("id=" + identity, "node3")):
            with self.subTest(given):
                self.assertEqual(sorted(self.ls("--filter", given, "--format", "{{.Hostname}}").lines), names.split())
        self.assertFails(self.docker("node", "ls", "--filter", "colour=red"), "colour")
        self.assertFails(self.docker("node", "ls", "--filter", "role=boss"), "role")
        ids = self.ls("-q").lines
        self.assertEqual((len(ids), {len(line) for line in ids}), (5, {25}))

    def test_inspect(self):
        node = self.inspect("self", "node")
        self.assertEqual((node["Spec"]["Role"], node["Spec"]["Availability"], node["Status"], node["Description"]["Hostname"]), ("manager", "active", {"State": "ready", "Addr": "10.77.0.1"}, "node1"))
        self.assertEqual((node["ManagerStatus"]["Reachability"], node["ManagerStatus"]["Addr"]), ("reachable", "10.77.0.1:2377"))
        self.assertEqual(node["Description"]["Platform"]["OS"], "linux")
        self.assertGreater(node["Description"]["Resources"]["NanoCPUs"], 0)
        self.assertGreater(node["Description"]["Resources"]["MemoryBytes"], 0)
        self.assertIn({"Type": "Network", "Name": "overlay"}, node["Description"]["Engine"]["Plugins"])
        tls = node["Description"]["TLSInfo"]
        self.assertIn("BEGIN CERTIFICATE", tls["TrustRoot"])
        self.assertTrue(tls["CertIssuerSubject"] and tls["CertIssuerPublicKey"])
        self.assertNotIn("ManagerStatus", self.inspect("node4", "node"))

    def test_inspect_as_the_documents_do(self):
        ids = self.ls("-q").lines
        out = self.docker("node", "inspect", "-f", "{{ .Description.Hostname }} {{ .Description.Platform.Architecture }}", *ids).check().lines
        machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(self.docker("version", "-f", "{{.Server.Arch}}").check().line)
        self.assertEqual(sorted(out), [f"node{k} {machine}" for k in self.cluster.numbers])

    def test_inspect_for_people(self):
        out = self.docker("node", "inspect", "--pretty", "self").check().out
        for line in (r"^ID:\t+[0-9a-z]{25}\n", r"\nHostname: +\t*node1\n", r"\nJoined at: +\t20", r"\nStatus:\n State:\t\t\tReady\n Availability: +\tActive\n Address:\t\t10\.77\.0\.1\n",
                     r"\nManager Status:\n Address:\t\t10\.77\.0\.1:2377\n Raft Status:\t\tReachable\n Leader:\t\t(Yes|No)\n", r"\nPlatform:\n Operating System:\tlinux\n Architecture:\t\t\S+\n",
                     r"\nResources:\n CPUs:\t\t\t\d+\n Memory:\t\t\S+\n", r"\nPlugins:\n", r"\nEngine Version:\t\t\S+\n", r"\nTLS Info:\n TrustRoot:\n-----BEGIN CERTIFICATE-----"):
            self.assertRegex(out, line)

    def test_unknown(self):
        for command in (["inspect", "nope"], ["update", "--availability", "drain", "nope"], ["rm", "nope"], ["promote", "nope"], ["demote", "nope"], ["ps", "nope"]):
            with self.subTest(command[0]):
                result = self.docker("node", *command)
                self.assertCode(result, 1)
                self.assertRegex(result.err, r"(?i)node:? nope( not found)?|nope.*not found")

    def test_labels(self):
        labels = lambda: self.inspect("node5", "node")["Spec"]["Labels"]
        self.assertEqual(self.docker("node", "update", "--label-add", "disk=ssd", "--label-add", "rack", "node5").check().out, "node5\n")
        self.assertEqual(labels(), {"disk": "ssd", "rack": ""})
        self.docker("node", "update", "--label-add", "disk=hdd", "--label-rm", "rack", "node5").check()
        self.assertEqual(labels(), {"disk": "hdd"})
        self.assertIn("key rack doesn't exist", self.docker("node", "update", "--label-rm", "rack", "node5").err)

    def test_drain_moves_tasks(self):
        self.create("web", "--replicas", "5")
        self.cluster.wait_tasks("web", 5)
        self.docker("node", "update", "--availability", "drain", "node4").check()
        self.cluster.wait_tasks("web", 5, where=lambda row: row["Node"] != "node4")
        until(lambda: all(node != 4 for node, _ in self.cluster.containers("web")), "no container on node4")
        self.assertEqual(self.availability("node4"), "Drain")
        where = sorted(row["Node"] for row in self.cluster.tasks("web"))
        self.docker("node", "update", "--availability", "active", "node4").check()
        self.assertEqual(sorted(row["Node"] for row in self.cluster.tasks("web")), where, "an active node gets no task by itself")
        self.docker("service", "scale", "-d", "web=6").check()
        self.cluster.wait_tasks("web", 6)
        self.assertIn("node4", {row["Node"] for row in self.cluster.tasks("web")}, "the emptiest node comes first")

    def test_pause_keeps_tasks(self):
        self.create("web", "--mode", "global")
        self.cluster.wait_tasks("web", 5)
        self.docker("node", "update", "--availability", "pause", "node5").check()
        self.assertEqual(self.availability("node5"), "Pause")
        self.create("more", "--replicas", "8")
        rows = self.cluster.wait_tasks("more", 8)
        self.assertNotIn("node5", {row["Node"] for row in rows})
        self.assertIn("node5", {row["Node"] for row in self.cluster.tasks("web")})

    def test_drain_everything(self):
        for number in self.cluster.numbers:
            self.docker("node", "update", "--availability", "drain", f"node{number}").check()
        self.create("web")
        self.cluster.wait_task_error("web", "no suitable node (5 nodes not available for new tasks)")
        self.docker("node", "update", "--availability", "active", "node3").check()
        self.cluster.wait_tasks("web", 1, where=lambda row: row["Node"] == "node3")

    def test_wrong_updates(self):
        self.assertFails(self.docker("node", "update", "--availability", "sometimes", "node4"), "Availability")
        self.assertFails(self.docker("node", "update", "--role", "boss", "node4"), "Role")
        node = self.inspect("node4", "node")
        stale = self.cluster.host(1).api("POST", f"/nodes/{node['ID']}/update?version=1", node["Spec"])
        self.assertNotEqual(stale.status, 200)
        self.assertIn("update out of sequence", stale.message)

    def test_promote_and_demote(self):
        identity = self.inspect("node4", "node")["ID"]
        self.addCleanup(self.docker, "node", "demote", "node4")
        self.assertEqual(self.docker("node", "promote", "node4").check().out, "Node node4 promoted to a manager in the swarm.\n")
        until(lambda: self.cluster.nodes()["node4"]["ManagerStatus"] == "Reachable", "node4 is a manager")
        self.cluster.wait_manager(4)
        self.docker("node", "update", "--label-add", "by=node4", "node5", node=4).check()
        self.assertEqual(self.docker("node", "promote", "node4").check().out, f"Node {identity} is already a manager.\n")
        self.assertEqual(self.docker("node", "demote", "node4").check().out, "Manager node4 demoted in the swarm.\n")
        until(lambda: WORKER in self.docker("node", "ls", node=4).err, "node4 is a worker again")
        until(lambda: self.cluster.nodes()["node4"]["ManagerStatus"] == "", "node4 is seen as a worker")
        self.cluster.wait_nodes(5)
        self.assertEqual(self.docker("node", "demote", "node4").check().out, f"Node {identity} is already a worker.\n")

    def test_ps(self):
        self.create("web", "--mode", "global")
        self.cluster.wait_tasks("web", 5)
        until(lambda: len(self.docker("node", "ps").check().lines) == 2, "what others ran is gone")
        result = self.docker("node", "ps").check()
        self.assertTable(result, "ID", "NAME", "IMAGE", "NODE", "DESIRED STATE", "CURRENT STATE", "ERROR", "PORTS")
        self.assertRegex(result.lines[1], r"^\w{12} +web\.\w+ +hostname:latest +node1 +Running +Running \S+")
        # The CLI keeps the first node in the filter of its second question and prints that node's tasks twice.
        until(lambda: len(set(self.docker("node", "ps", "-q", "node4", "node5").check().lines)) == 2, "one on each of two")
        self.assertEqual(self.docker("node", "ps", "--filter", "name=nope", "self").check().lines[1:], [])

    def test_removal_is_refused(self):
        self.assertFails(self.docker("node", "rm", "node4"), "is not down and can't be removed")
        self.assertFails(self.docker("node", "rm", "--force", "node2"), "is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal")
        self.assertEqual(len(self.cluster.nodes()), 5)


class ChangeTest(OwnClusterCase):
    """What changes the members for good."""

    def test_worker_leaves(self):
        self.create("web", "--replicas", "5")
        self.cluster.wait_tasks("web", 5)
        self.assertEqual(self.docker("swarm", "leave", node=5).check().out, "Node left the swarm.\n")
        self.assertIn(" Swarm: inactive\n", self.docker("info", node=5).check().out)
        until(lambda: self.cluster.nodes()["node5"]["Status"] == "Down", "node5 is seen as down")
        self.cluster.wait_tasks("web", 5, where=lambda row: row["Node"] != "node5")
        self.assertEqual(self.docker("ps", "-aq", node=5).check().out, "", "no task's container stays")
        self.assertEqual(self.docker("network", "ls", "-q", "--filter", "driver=overlay", node=5).check().out, "")
        self.assertEqual(self.docker("node", "rm", "node5").check().out, "node5\n")
        self.assertNotIn("node5", self.cluster.nodes())
        self.cluster.join(5, "worker")
        self.cluster.wait_nodes(5)
        self.docker("service", "scale", "-d", "web=7").check()
        self.cluster.wait_tasks("web", 7)
        self.assertIn("node5", {row["Node"] for row in self.cluster.tasks("web")})

    def test_worker_comes_back_under_the_same_name(self):
        self.docker("swarm", "leave", node=5).check()
        self.cluster.join(5, "worker")
        rows = lambda: sorted(line for line in self.docker("node", "ls", "--format", "{{.Hostname}} {{.Status}}").check().lines if line.startswith("node5"))
        until(lambda: rows() == ["node5 Down", "node5 Ready"], "both the node that left and the one that came are listed")
        self.assertFails(self.docker("node", "inspect", "node5"), "ambiguous")
        down = self.docker("node", "ls", "--format", "{{.ID}} {{.Status}}").check().out
        self.docker("node", "rm", re.search(r"(\w+) Down", down)[1]).check()
        self.assertEqual(len(self.cluster.nodes()), 5)

    def test_manager_must_insist(self):
        result = self.docker("swarm", "leave", node=2)
        self.assertFails(result, "You are attempting to leave the swarm on a node that is participating as a manager.", "Removing this node leaves 2 managers out of 3.",
                         "Use `--force` to suppress this message.")
        self.docker("node", "ls", node=2).check()
        self.docker("swarm", "leave", "--force", node=2).check()
        until(lambda: self.cluster.nodes()["node2"]["Status"] == "Down", "node2 is seen as down")
        self.docker("node", "update", "--label-add", "still=works", "node4").check()
        self.docker("node", "demote", "node2")
        until(lambda: self.docker("node", "rm", "--force", "node2").code == 0, "node2 can be removed")
        self.assertEqual(sorted(self.cluster.nodes()), ["node1", "node3", "node4", "node5"])
        self.cluster.join(2, "manager")
        self.cluster.wait_manager(2)
        until(lambda: self.cluster.nodes()["node2"]["ManagerStatus"] == "Reachable", "node2 is a manager again")

    def test_leader_leaves(self):
        leader = self.cluster.leader()
        self.docker("swarm", "leave", "--force", node=leader).check()
        rest = [number for number in (1, 2, 3) if number != leader]
        new = self.cluster.leader(rest)
        self.assertNotEqual(new, leader)
        self.docker("node", "update", "--label-add", "still=works", "node4", node=new).check()

    def test_who_left_keeps_no_quorum(self):
        for number in (2, 3):
            self.docker("swarm", "leave", "--force", node=number).check()
        # Their role is that of managers still, and for some seconds they seem ready.
        self.assertFails(self.docker("node", "demote", "node1"), "can't remove member from the raft: this would result in a loss of quorum")
        self.docker("node", "update", "--label-add", "still=works", "node1").check()

    def test_last_manager(self):
        for number in (2, 3):
            self.docker("node", "demote", f"node{number}").check()
            until(lambda: WORKER in self.docker("node", "ls", node=number).err, f"node{number} is a worker")
        self.assertFails(self.docker("node", "demote", "node1"), "attempting to demote the last manager of the swarm")
        self.assertFails(self.docker("swarm", "leave"), "Removing the last manager erases all current state of the swarm. Use `--force` to ignore this message.")
        self.create("web")
        self.cluster.wait_tasks("web", 1)

    def test_leader_is_demoted(self):
        leader = self.cluster.leader()
        rest = [number for number in (1, 2, 3) if number != leader]
        self.docker("node", "demote", f"node{leader}", node=rest[0]).check()
        until(lambda: WORKER in self.docker("node", "ls", node=leader).err, "the old leader is a worker")
        self.assertIn(self.cluster.leader(rest), rest)
        self.create("web", "--replicas", "5", node=rest[0])
        self.cluster.wait_tasks("web", 5, node=rest[0])

    def test_dead_manager_is_demoted(self):
        leader = self.cluster.leader()
        dead, other = (number for number in (1, 2, 3) if number != leader)
        self.cluster.power_off(dead)
        until(lambda: self.cluster.nodes(leader)[f"node{dead}"]["Status"] == "Down", "the dead manager is seen as down")
        self.docker("node", "demote", f"node{dead}", node=leader).check()
        until(lambda: self.docker("node", "rm", f"node{dead}", node=leader).code == 0, "it can be removed")
        self.docker("node", "promote", "node4", node=leader).check()
        until(lambda: self.cluster.nodes(leader)["node4"]["ManagerStatus"] == "Reachable", "another one takes its place")
        time.sleep(3)  # until it votes
        self.cluster.power_off(other)  # two of three are left; with the dead one's vote it would be two of four
        self.docker("node", "update", "--label-add", "still=works", "node5", node=leader).check()

    def test_removed_by_force_while_alive(self):
        self.create("web", "--replicas", "5")
        self.cluster.wait_tasks("web", 5)
        self.docker("node", "rm", "--force", "node5").check()
        self.assertNotIn("node5", self.cluster.nodes())
        self.cluster.wait_tasks("web", 5, where=lambda row: row["Node"] not in ("", "node5"))
        self.docker("swarm", "leave", "--force", node=5).check()
        self.cluster.join(5, "worker")
        self.cluster.wait_nodes(5)

    def test_five_managers(self):
        for number in (4, 5):
            self.docker("node", "promote", f"node{number}").check()
            self.cluster.wait_manager(number)
        until(lambda: sorted(row["ManagerStatus"] for row in self.cluster.nodes().values()) == ["Leader"] + ["Reachable"] * 4, "five managers")
        self.create("web", "--replicas", "5", node=5)
        self.cluster.wait_tasks("web", 5, node=4)


class CertificateTest(OwnClusterCase):
    managers, workers = 1, 1
    images = ()

    def swarm_file(self, number, name):
        return os.path.join(self.cluster.host(number).data_root, "swarm", name)

    def life(self, number):
        """When the node's certificate began and when it ends."""
        out = subprocess.run(["openssl", "x509", "-in", self.swarm_file(number, "certificate.pem"), "-noout", "-dates"], check=True, capture_output=True, text=True).stdout
        return tuple(ssl.cert_time_to_seconds(line.partition("=")[2]) for line in out.splitlines())

    def age(self, number, days, left):
        """The node's certificate is exchanged for one of the same authority that is old and ends soon."""
        folder = os.path.join(self.cluster.host(1).data_root, "swarm", "raft")
        log = b"".join(open(os.path.join(folder, name), "rb").read() for name in os.listdir(folder)).decode("latin-1")
        key = re.search(r"-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----", log)[0].replace("\\n", "\n") + "\n"
        here = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, here)
        for name, text in (("ca.key", key), ("index", ""), ("serial", "77\n"), ("config", f"[ca]\ndefault_ca=x\n[x]\ndatabase={here}/index\nserial={here}/serial\nnew_certs_dir={here}\ndefault_md=sha256\npolicy=p\n"
                            "[p]\norganizationName=optional\norganizationalUnitName=optional\ncommonName=supplied\n")):
            with open(os.path.join(here, name), "w") as file:
                file.write(text)
        own, authority = self.swarm_file(number, "certificate.pem"), self.swarm_file(1, "ca.pem")
        day = lambda days: time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + days * 86400))
        openssl = lambda *arguments: subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True).stdout
        subject = openssl("x509", "-in", own, "-noout", "-subject", "-nameopt", "compat").strip().removeprefix("subject=").replace(", ", "/").replace(" = ", "=")
        openssl("req", "-new", "-key", own, "-subj", "/" + subject.lstrip("/"), "-out", here + "/request")
        made = openssl("ca", "-batch", "-notext", "-config", here + "/config", "-cert", authority, "-keyfile", here + "/ca.key", "-in", here + "/request", "-startdate", day(-days), "-enddate", day(left))
        with open(own) as file:
            secret = file.read().partition("-----BEGIN PRIVATE KEY-----")
        with open(own, "w") as file:
            file.write(made + "".join(secret[1:]))

    def test_renewed_before_it_ends(self):
        self.docker("swarm", "update", "--cert-expiry", "240h").check()
        for number in (2, 1):
            with self.subTest(number):
                self.cluster.host(number).stop()
                self.age(number, days=89, left=1)
                old = self.life(number)
                self.assertLess(old[1], time.time() + 2 * 86400)
                self.cluster.host(number).start()
                until(lambda: self.life(number) != old, "the certificate is a new one")
                self.assertAlmostEqual(self.life(number)[1], time.time() + 10 * 86400, delta=300)
        self.cluster.wait_manager(1)
        self.cluster.wait_nodes(2)
        self.cluster.host(2).restart()  # what is on its disk is good
        self.cluster.wait_nodes(2)
        self.docker("node", "update", "--label-add", "a=b", "node2").check()

    def test_one_with_a_life_before_it_stays(self):
        self.cluster.host(2).stop()
        self.age(2, days=10, left=80)
        old = self.life(2)
        self.cluster.host(2).start()
        self.cluster.wait_nodes(2)
        time.sleep(8)
        self.assertEqual(self.life(2), old)


class WireTest(SwarmCase):
    """A7, C5: what goes over the wire."""

    def test_ports(self):
        for number in self.cluster.numbers:
            host = self.cluster.host(number)
            self.assertEqual(net.kind_is_listening(host, 2377), number <= 3, f"2377 on node{number}")
            self.assertTrue(net.kind_is_listening(host, 7946), f"7946 on node{number}")

    def trust_root(self):
        return self.docker("node", "inspect", "self", "-f", "{{.Description.TLSInfo.TrustRoot}}").check().out

    def test_certificates_of_the_own_authority(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(cadata=self.trust_root())
        for number, port in ((1, 2377), (2, 2377), (3, 7946), (4, 7946)):
            with self.subTest(f"{number}:{port}"), net.connect(self.cluster.switch, f"10.77.0.{number}", port, netns="host") as plain:
                with context.wrap_socket(plain) as secure:  # raises when the chain does not end in the trust root
                    self.assertIn(secure.version(), ("TLSv1.2", "TLSv1.3"))

    def test_plain_text_is_not_answered(self):
        for number, port in ((1, 2377), (4, 7946)):
            with net.connect(self.cluster.switch, f"10.77.0.{number}", port, netns="host") as sock:
                sock.sendall(b"GET / HTTP/1.0\r\n\r\n" + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
                try:
                    self.assertNotIn(b"HTTP", sock.recv(4096))
                except ConnectionError:
                    pass

    def test_nothing_secret_is_readable(self):
        word = b"this-is-the-secret-of-the-bees"
        seen, stopping, sniffers = [], threading.Event(), []
        for number in self.cluster.numbers:
            sniffer = net.make_socket(self.cluster.switch, socket.SOCK_RAW, netns="host", family=socket.AF_PACKET)
            sniffer.bind((f"n{number}", 3))  # ETH_P_ALL
            sniffer.settimeout(0.1)
            sniffers.append(sniffer)

        def listen(sniffer):
            while not stopping.is_set():
                try:
                    seen.append(sniffer.recv(65536))
                except OSError:
                    pass
        threads = [threading.Thread(target=listen, args=[sniffer], daemon=True) for sniffer in sniffers]
        for thread in threads:
            thread.start()
        self.docker("secret", "create", "honey", "-", input=word, node=2).check()
        self.create("web", "--mode", "global", "--secret", "honey", "--env", "WORD=" + word.decode())
        self.cluster.wait_tasks("web", 5)
        stopping.set()
        for thread, sniffer in zip(threads, sniffers):
            thread.join()
            sniffer.close()
        traffic = b"\n".join(seen)
        self.assertGreater(len(traffic), 10000, "the wire was listened to")
        self.assertNotIn(word, traffic)
        for shift in range(3):
            part = base64.b64encode(b"x" * shift + word)[4:-8]
            self.assertNotIn(part, traffic)


if __name__ == "__main__":
    unittest.main()
