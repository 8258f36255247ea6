"""Firewall rules: ours come back when somebody takes them away, nobody else's are touched, and what others drop is said."""

import time
import unittest

import net
from case import EngineCase, SwarmCase
from lab import CLIENT_ADDRESS, HOST_ADDRESS, until


class RulesCase(EngineCase):
    images = ("alpine", "hostname")

    def nft(self, *arguments, input=None, netns=None):
        return self.host.run_in("nft", *arguments, input=input, netns=netns).check().out

    def without_comments(self):
        return [line for line in self.nft("list", "table", "inet", "engine").splitlines() if "comment" not in line]


class FlushTest(RulesCase):
    def setUp(self):
        super().setUp()
        self.docker("network", "create", "--internal", "inner").check()
        self.docker("run", "-d", "--name", "server", "-h", "server", "-p", "8080:3000", "-p", "127.0.0.1:8081:3000/udp", "hostname").check()
        net.get_when_up(self.host, HOST_ADDRESS, 8080)
        self.before = sorted(self.without_comments())

    def back_within_a_second(self):
        end = time.monotonic() + 1
        while time.monotonic() < end:
            listed = self.host.run_in("nft", "list", "table", "inet", "engine")
            if listed.code == 0 and sorted(line for line in listed.out.splitlines() if "comment" not in line) == self.before:
                self.assertEqual(net.get(self.host, HOST_ADDRESS, 8080), "Saludos desde server!")
                self.assertTrue(net.ask_udp(self.host, "127.0.0.1", 8081, "x", netns="host").startswith("server "))
                return
        self.assertEqual(sorted(self.without_comments()), self.before, "a second later")

    def test_whole_ruleset(self):
        for _ in range(3):
            self.nft("flush", "ruleset")
            self.back_within_a_second()

    def test_our_table(self):
        self.nft("delete", "table", "inet", "engine")
        self.back_within_a_second()

    def test_parts(self):
        for command in ("flush chain inet engine publish", "flush map inet engine pub_any4", "flush set inet engine internal", "flush table inet engine",
                        "insert rule inet engine forward drop", "chain inet engine forward { policy drop; }"):
            with self.subTest(command):
                self.nft(*command.split(" "))
                self.back_within_a_second()

    def test_old_rules_restored_from_a_file(self):
        saved = "flush ruleset\n" + self.nft("list", "ruleset")
        self.docker("rm", "-f", "server").check()
        self.docker("run", "-d", "--name", "server", "-h", "server", "-p", "8080:3000", "-p", "127.0.0.1:8081:3000/udp", "-p", "8082:3000", "hostname").check()
        self.before = sorted(self.without_comments())
        self.nft("-f", "-", input=saved)
        self.back_within_a_second()
        net.get_when_up(self.host, HOST_ADDRESS, 8082)

    def test_containers_start_while_somebody_flushes(self):
        for i in range(5):
            self.nft("flush", "ruleset")
            self.docker("run", "-d", "--name", f"web{i}", "-h", f"web{i}", "-p", f"{9000 + i}:3000", "hostname").check()
        for i in range(5):
            self.assertEqual(net.get_when_up(self.host, HOST_ADDRESS, 9000 + i), f"Saludos desde web{i}!")

    def test_nobody_elses_table_is_touched(self):
        self.nft("-f", "-", input="table inet mine {\n set s { type ipv4_addr; elements = { 192.0.2.9 }\n }\n chain input { type filter hook input priority 0; policy accept;\n  ip saddr @s drop\n }\n}\n")
        self.addCleanup(self.nft, "delete", "table", "inet", "mine")
        before = self.nft("list", "table", "inet", "mine")
        self.nft("delete", "table", "inet", "engine")
        self.back_within_a_second()
        self.host.kill9()
        self.host.start()
        net.get_when_up(self.host, HOST_ADDRESS, 8080)
        self.docker("rm", "-f", "server").check()
        self.assertEqual(self.nft("list", "table", "inet", "mine"), before)

    def test_after_a_kill_they_are_guarded_again(self):
        self.host.kill9()
        self.nft("flush", "ruleset")
        self.host.start()
        self.back_within_a_second()
        self.nft("flush", "ruleset")
        self.back_within_a_second()

    def test_rules_of_the_host_are_not_rebuilt_for_nothing(self):
        """Other programs' changes are none of ours."""
        handle = self.nft("-a", "list", "table", "inet", "engine").splitlines()[0]
        for i in range(3):
            self.nft("add", "table", "inet", f"other{i}")
            self.nft("delete", "table", "inet", f"other{i}")
        self.docker("run", "--rm", "-p", "8090:3000", "alpine", "true").check()
        self.docker("network", "create", "more").check()
        self.assertEqual(self.nft("-a", "list", "table", "inet", "engine").splitlines()[0], handle)


class FirewallTest(RulesCase):
    """A drop in another chain of the same hook cannot be undone from ours: it is said, with what to do."""

    def warnings(self):
        return self.host.api("GET", "/info").json["Warnings"] or []

    def warned(self, text):
        return until(lambda: next((w for w in self.warnings() if text in w), None), f"a warning of {text}", 5)

    def close(self, rules, table):
        self.nft("-f", "-", input=rules)
        self.addCleanup(self.host.run_in, "nft", "delete", "table", *table)

    def test_policy_drop_is_told_and_the_remedy_helps(self):
        self.docker("run", "-d", "--name", "server", "-h", "server", "-p", "8080:3000", "hostname").check()
        net.get_when_up(self.host, HOST_ADDRESS, 8080)
        self.assertEqual(self.warnings(), [])
        self.close("table ip filter {\n chain FORWARD { type filter hook forward priority 0; policy drop;\n }\n}\n", ("ip", "filter"))
        warning = self.warned("FORWARD of table ip filter (policy drop)")
        self.assertIn("iptables -I FORWARD -m devgroup --src-group 0x4443 -j ACCEPT", warning)
        self.assertTrue(net.is_refused(self.host, HOST_ADDRESS, 8080))
        self.assertIn("FORWARD of table ip filter", self.docker("info").err + self.docker("info").out)
        for side in ("iifgroup", "oifgroup"):  # what the iptables commands would do
            self.nft("insert", "rule", "ip", "filter", "FORWARD", side, "0x4443", "accept")
        until(lambda: not self.warnings(), "the warning goes", 5)
        self.assertEqual(net.get(self.host, HOST_ADDRESS, 8080), "Saludos desde server!")
        self.assertEqual(self.docker("run", "--rm", "alpine", "ping", "-c", "1", "-W", "5", CLIENT_ADDRESS).code, 0)

    def test_the_nft_remedy_is_what_it_says(self):
        self.close("table inet fw {\n chain forwarded { type filter hook forward priority 10; policy accept;\n  ct state established accept\n  counter reject\n }\n}\n", ("inet", "fw"))
        warning = self.warned("forwarded of table inet fw (its last rule refuses)")
        for command in warning.partition("let it pass: ")[2].split("; "):
            self.host.run_in(*command.split(" ")).check()
        until(lambda: not self.warnings(), "the warning goes", 5)
        self.docker("run", "-d", "--name", "server", "-h", "server", "-p", "8080:3000", "hostname").check()
        net.get_when_up(self.host, HOST_ADDRESS, 8080)

    def test_told_at_the_start_too(self):
        self.close("table inet fw {\n chain forwarded { type filter hook forward priority 0; policy drop;\n }\n}\n", ("inet", "fw"))
        self.host.restart()
        self.warned("forwarded of table inet fw")
        self.assertIn("a firewall may drop", self.host.engine_log(200))

    def test_open_ones_are_not_told(self):
        self.close("table inet fw {\n chain forwarded { type filter hook forward priority 0; policy accept;\n  ip saddr 203.0.113.9 drop\n }\n chain input { type filter hook input priority 0; policy drop;\n  accept\n }\n}\n", ("inet", "fw"))
        time.sleep(0.5)
        self.assertEqual(self.warnings(), [])


class MeshRulesTest(SwarmCase):
    managers, workers = 1, 1

    def test_of_the_mesh_too(self):
        self.create("web", "-p", "8080:3000", "--replicas", "2")
        self.cluster.wait_tasks("web", 2)
        for node in (1, 2):
            self.cluster.get_when_up(node, 8080)
        for node in (1, 2):
            host = self.cluster.host(node)
            for inside in ([], ["nsenter", "--net=" + host.exec_root + "/netns/ingress"]):
                with self.subTest(node=node, sandbox=bool(inside)):
                    host.run_in(*inside, "nft", "flush", "ruleset").check()
                    time.sleep(1)
                    for asked in (1, 2):
                        for _ in range(4):
                            self.assertIn("Saludos", self.cluster.get(asked, 8080))


if __name__ == "__main__":
    unittest.main()
