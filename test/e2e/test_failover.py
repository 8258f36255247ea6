"""Nodes die, come back and lose sight of each other: scenario A8, and what the first issue promises. A killed worker's tasks run
elsewhere, a killed leader is replaced, no acknowledged write is lost, containers do not notice that their daemon is gone."""

import unittest

from case import OwnClusterCase
from lab import until
from load import Load


class _Failover(OwnClusterCase):
    deadline = 400

    def pids(self, service):
        """{node: [process as the machine sees it]} of the service's containers."""
        found = {}
        for number, identity in self.cluster.containers(service):
            inner = self.cluster.host(number).inspect(identity)["State"]["Pid"]
            found.setdefault(number, []).append((identity, self.cluster.host(number).run_in("readlink", f"/proc/{inner}/ns/pid").line, inner))
        return {number: sorted(entries) for number, entries in found.items()}

    def names(self, node):
        return set(self.docker("service", "ls", "--format", "{{.Name}}", node=node).check().lines)

    def wait_down(self, number, node=1):
        until(lambda: self.cluster.nodes(node)[f"node{number}"]["Status"] == "Down", f"node{number} is seen as down")


class WorkerTest(_Failover):
    def test_killed_worker(self):
        self.create("web", "--replicas", "6", "-p", "8080:3000")
        self.cluster.wait_tasks("web", 6)
        self.cluster.power_off(5)
        self.wait_down(5)
        self.cluster.wait_tasks("web", 6, where=lambda row: row["Node"] != "node5")
        for number in (1, 2, 3, 4):
            self.assertIn("Saludos", self.cluster.get_when_up(number, 8080))
        seen = set()
        until(lambda: len(seen) == 6 or seen.update(self.cluster.get_when_up(1, 8080) for _ in range(10)), "the mesh leads to the six that live")
        self.assertIn("node5", {row["Node"] for row in self.cluster.tasks("web", running=False)}, "the lost ones stay in the history")
        self.cluster.power_on(5)
        self.cluster.wait_nodes(5)
        until(lambda: not any(node == 5 for node, _ in self.cluster.containers("web")), "what it ran before is gone")
        self.assertEqual(len(self.cluster.containers("web")), 6)
        self.docker("service", "scale", "-d", "web=8").check()
        self.cluster.wait_tasks("web", 8)
        self.assertIn("node5", {row["Node"] for row in self.cluster.tasks("web")})
        self.assertIn("Saludos", self.cluster.get_when_up(5, 8080))

    def test_requests_during_the_death_of_a_worker(self):
        """Connections to the dead node's tasks may break; when the swarm has seen it, none does."""
        self.create("web", "--replicas", "5", "-p", "8080:3000")
        self.cluster.wait_tasks("web", 5)
        for number in self.cluster.numbers:
            self.cluster.get_when_up(number, 8080)
        self.cluster.power_off(5)
        self.wait_down(5)
        self.cluster.wait_tasks("web", 5, where=lambda row: row["Node"] != "node5")
        with Load(self.cluster, 8080, numbers=[1, 2, 3, 4]) as load:
            until(lambda: len(load.answered) + len(load.failures) > 150, "requests")
        self.assertEqual(load.failures, [])

    def test_cut_worker(self):
        """It lives but reaches nobody: its tasks are given to others, and when it is back there are not too many."""
        self.create("web", "--replicas", "5")
        self.cluster.wait_tasks("web", 5)
        before = self.cluster.containers("web")
        self.cluster.cut(5)
        self.wait_down(5)
        self.cluster.wait_tasks("web", 5, where=lambda row: row["Node"] != "node5")
        self.assertEqual([entry for entry in self.cluster.containers("web") if entry[0] == 5], [entry for entry in before if entry[0] == 5], "a node that is cut off stops nothing")
        self.cluster.heal(5)
        self.cluster.wait_nodes(5)
        until(lambda: len(self.cluster.containers("web")) == 5, "five, not more")
        self.assertEqual(len(self.cluster.wait_tasks("web", 5)), 5)

    def test_short_cut_moves_nothing(self):
        self.create("web", "--replicas", "5")
        before = {row["ID"] for row in self.cluster.wait_tasks("web", 5)}
        self.cluster.cut(5)
        self.cluster.heal(5)
        self.docker("service", "scale", "-d", "web=6").check()
        after = {row["ID"] for row in self.cluster.wait_tasks("web", 6)}
        self.assertLess(before, after)

    def test_global_service_comes_back_with_its_node(self):
        self.create("agent", "--mode", "global")
        self.cluster.wait_tasks("agent", 5)
        self.cluster.power_off(4)
        self.wait_down(4)
        self.cluster.power_on(4)
        self.cluster.wait_nodes(5)
        self.cluster.wait_tasks("agent", 5)
        until(lambda: len(self.cluster.containers("agent")) == 5, "one on each")

    def test_volume_is_there_again(self):
        self.create("store", "--mount", "type=volume,source=data,target=/data", "--constraint", "node.hostname==node4", "--restart-delay", "100ms", image="alpine",
                    command=["sh", "-c", "trap 'exit 0' TERM; echo life >> /data/lives; sleep 100000 & wait"])
        self.cluster.wait_tasks("store", 1)
        lives = lambda: self.cluster.exec("store", "cat", "/data/lives").out
        until(lambda: lives() == "life\n", "written")
        self.cluster.power_off(4)
        self.wait_down(4)
        self.cluster.power_on(4)
        self.cluster.wait_nodes(5)
        self.cluster.wait_tasks("store", 1)
        until(lambda: lives() == "life\nlife\n", "what was written is there")


class LeaderTest(_Failover):
    def test_killed_leader(self):
        leader = self.cluster.leader()
        rest = [number for number in (1, 2, 3) if number != leader]
        self.create("web", "--replicas", "5", "-p", "8080:3000")
        self.cluster.wait_tasks("web", 5)
        self.cluster.power_off(leader)
        new = self.cluster.leader(rest)
        self.assertNotEqual(new, leader)
        until(lambda: self.cluster.nodes(new)[f"node{leader}"]["ManagerStatus"] == "Unreachable", "the lost manager is shown as such")
        self.create("more", "--replicas", "3", node=rest[0])
        self.cluster.wait_tasks("more", 3, node=rest[1])
        self.wait_down(leader, new)
        self.cluster.wait_tasks("web", 5, node=new, where=lambda row: row["Node"] != f"node{leader}")
        self.cluster.power_on(leader)
        self.cluster.wait_manager(leader)
        until(lambda: self.cluster.nodes(leader)[f"node{leader}"]["ManagerStatus"] in ("Reachable", "Leader"), "it is a manager again")
        self.assertEqual(self.names(leader), {"web", "more"})
        self.create("last", node=leader)
        self.cluster.wait_tasks("last", 1, node=new)

    def test_no_acknowledged_write_is_lost(self):
        acknowledged = set()
        for round_number in range(3):
            leader = self.cluster.leader()
            rest = [number for number in (1, 2, 3) if number != leader]
            stream_names = [f"service-{round_number}-{count}" for count in range(12)]
            for count, name in enumerate(stream_names):
                asked = rest[count % 2]
                if count == 4:
                    self.cluster.host(leader).kill9()
                result = self.docker("service", "create", "-d", "--name", name, "--replicas", "0", "hostname", node=asked)
                if result.code == 0:
                    acknowledged.add(name)
            until(lambda: self.docker("service", "ls", node=rest[0]).code == 0, "a leader is there")
            self.cluster.leader(rest)
            self.assertEqual(acknowledged - self.names(rest[0]), set())
            self.assertEqual(acknowledged - self.names(rest[1]), set())
            self.cluster.host(leader).start()
            self.cluster.wait_manager(leader)
            until(lambda: acknowledged <= self.names(leader), "the old leader has them too")
        self.assertGreaterEqual(len(acknowledged), 30)

    def test_workers_keep_their_tasks_when_the_leader_goes(self):
        """They find the next one before it gives them up."""
        leader = self.cluster.leader()
        rest = [number for number in (1, 2, 3) if number != leader]
        self.create("web", "--replicas", "4", "--constraint", "node.role==worker", node=leader)
        self.cluster.wait_tasks("web", 4, node=leader)
        before = self.pids("web")
        self.cluster.power_off(leader)
        new = self.cluster.leader(rest)
        self.wait_down(leader, node=new)  # whoever it does not hear of goes down then
        self.assertEqual({self.cluster.nodes(new)[f"node{number}"]["Status"] for number in (4, 5)}, {"Ready"})
        self.assertEqual(self.pids("web"), before)
        self.assertEqual(len(self.cluster.tasks("web", running=False, node=new)), 4, "none was replaced")

    def test_cut_leader(self):
        """Alone it must not go on as if it led: what it acknowledged would be lost."""
        leader = self.cluster.leader()
        rest = [number for number in (1, 2, 3) if number != leader]
        self.cluster.cut(leader)
        new = self.cluster.leader(rest)
        self.assertIn(new, rest)
        self.create("web", "--replicas", "2", node=new)
        result = self.docker("service", "create", "-d", "--name", "lost", "hostname", node=leader, timeout=120)
        self.assertNotEqual(result.code, 0, "a write on the lonely side")
        self.cluster.heal(leader)
        until(lambda: self.docker("service", "ls", "--format", "{{.Name}}", node=leader).lines == ["web"], "it follows again")
        self.assertEqual(self.names(new), {"web"})
        self.cluster.wait_tasks("web", 2, node=leader)

    def test_followers_come_and_go(self):
        leader = self.cluster.leader()
        for number in [n for n in (1, 2, 3) if n != leader]:
            self.cluster.power_off(number)
            until(lambda: self.cluster.nodes(leader)[f"node{number}"]["ManagerStatus"] == "Unreachable", "seen as unreachable")
            self.create(f"without-{number}", node=leader)
            self.cluster.power_on(number)
            self.cluster.wait_manager(number)
            until(lambda: self.cluster.nodes(leader)[f"node{number}"]["ManagerStatus"] == "Reachable", "back")
        self.assertEqual(len(self.names(leader)), 2)

    def test_a_manager_that_was_away_for_long_catches_up(self):
        leader = self.cluster.leader()
        away = next(number for number in (1, 2, 3) if number != leader)
        self.cluster.power_off(away)
        for count in range(60):
            self.docker("node", "update", "--label-add", f"count={count}", "node4", node=leader).check()
        self.create("web", node=leader)
        self.cluster.power_on(away)
        self.cluster.wait_manager(away)
        until(lambda: self.docker("node", "inspect", "node4", "-f", "{{.Spec.Labels.count}}", node=away).line == "59", "it has the newest state")
        self.assertEqual(self.names(away), {"web"})


class QuorumTest(_Failover):
    def lose(self):
        leader = self.cluster.leader()
        rest = [number for number in (1, 2, 3) if number != leader]
        self.create("web", "--replicas", "5", "-p", "8080:3000")
        self.cluster.wait_tasks("web", 5)
        for number in rest:
            self.cluster.power_off(number)
        return leader, rest

    def test_lost_and_back(self):
        left, gone = self.lose()
        def refused():
            result = self.docker("service", "create", "-d", "--name", "lost", "hostname", node=left, timeout=120)
            return result.code and "The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online." in result.err
        until(refused, "a write is refused with the reason")  # one that was under way is told that it may or may not have taken effect
        self.assertIn("Saludos", self.cluster.get_when_up(4, 8080), "what runs goes on")
        for number in gone:
            self.cluster.power_on(number)
        self.cluster.wait_manager(left)
        self.cluster.wait_nodes(5, left)
        self.create("again", node=left)
        self.cluster.wait_tasks("web", 5, node=left)
        self.cluster.wait_tasks("again", 1, node=left)

    def test_begin_anew_with_one_manager(self):
        left, gone = self.lose()
        until(lambda: self.docker("service", "create", "-d", "--name", "lost", "hostname", node=left, timeout=120).code, "no quorum")
        self.docker("swarm", "init", "--force-new-cluster", "--advertise-addr", self.cluster.address(left), node=left, timeout=120).check()
        self.cluster.wait_manager(left)
        self.assertIn("web", self.names(left))
        self.cluster.wait_tasks("web", 5, node=left, where=lambda row: row["Node"] in (f"node{left}", "node4", "node5"))
        self.create("new", node=left)
        self.cluster.wait_tasks("new", 1, node=left)
        self.assertIn("Saludos", self.cluster.get_when_up(4, 8080))
        self.assertIn("  Managers: 1\n", self.docker("info", node=left).out)


class DaemonTest(_Failover):
    """Only the programs of the engine die: nothing that runs may notice."""

    def test_all_killed_at_once(self):
        self.docker("network", "create", "-d", "overlay", "hive").check()
        self.create("web", "--replicas", "7", "-p", "8080:3000", "--network", "hive")
        self.create("box", "--network", "hive", image="alpine", command=["sh", "-c", "trap 'exit 0' TERM; while :; do timeout 5 wget -q -O - http://web:3000/ && echo || echo BAD; sleep 0.2; done"])
        self.cluster.wait_tasks("web", 7)
        self.cluster.wait_tasks("box", 1)
        for number in self.cluster.numbers:
            self.cluster.get_when_up(number, 8080)
        until(lambda: "Saludos" in self.docker("service", "logs", "box").out, "the box is served")
        before, box, tasks = self.pids("web"), self.pids("box"), {row["ID"] for row in self.cluster.tasks("web")}
        with Load(self.cluster, 8080) as load:
            for host in self.cluster.hosts:
                host.kill9()
            alive = len(load.answered)
            until(lambda: len(load.answered) + len(load.failures) > alive + 60, "requests go on without any daemon")
            for host in self.cluster.hosts:
                host.start()
            self.cluster.wait_manager(1)
            self.cluster.wait_nodes(5)
            self.cluster.wait_tasks("web", 7)
        self.assertEqual(load.failures, [], f"{len(load.failures)} of {len(load.answered)} requests failed")
        self.assertEqual((self.pids("web"), self.pids("box")), (before, box), "the same containers, the same processes")
        self.assertEqual({row["ID"] for row in self.cluster.tasks("web")}, tasks)
        words = lambda: self.docker("service", "logs", "--raw", "box").out
        said = len(words())
        until(lambda: words()[said:].count("Saludos") > 10, "the box is served as before")
        self.assertNotIn("BAD", words()[said:])  # while no daemon ran nobody answered for names
        self.docker("service", "scale", "-d", "web=9").check()
        self.cluster.wait_tasks("web", 9)
        seen = set()
        until(lambda: len(seen) == 9 or seen.update(self.cluster.get_when_up(2, 8080) for _ in range(10)), "the tables are programmed on")

    def test_each_in_its_turn_politely(self):
        self.create("web", "--replicas", "5", "-p", "8080:3000")
        self.cluster.wait_tasks("web", 5)
        for number in self.cluster.numbers:
            self.cluster.get_when_up(number, 8080)
        before = self.pids("web")
        with Load(self.cluster, 8080) as load:
            for host in self.cluster.hosts:
                host.restart()
                self.cluster.wait_manager(1)
                self.cluster.wait_nodes(5)
        self.assertEqual(load.failures, [])
        self.assertEqual(self.pids("web"), before)

    def test_worker_s_daemon_begins_anew_while_no_manager_is_there(self):
        self.docker("network", "create", "-d", "overlay", "hive").check()
        self.create("web", "--replicas", "2", "-p", "8080:3000", "--network", "hive", "--constraint", "node.role==worker")
        self.create("box", "--network", "hive", "--constraint", "node.hostname==node4", image="alpine", command=["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"])
        self.cluster.wait_tasks("web", 2)
        self.cluster.wait_tasks("box", 1)
        addresses = lambda name: sorted(word for word in self.cluster.exec("box", "nslookup", name, "127.0.0.11").out.split() if word.startswith("10."))
        ask = "for i in $(seq 20); do wget -q -O - http://web:3000/ || echo nobody; echo --; done"  # each is led to one of the two by chance
        answers = lambda: set(self.cluster.exec("box", "sh", "-c", ask).check().out.split("--\n")[:-1])
        until(lambda: len(addresses("tasks.web")) == 2 and len(answers()) == 2, "the box reaches both")
        before = addresses("web"), addresses("tasks.web"), answers()
        for number in (1, 2, 3):
            self.cluster.power_off(number)
        self.cluster.host(4).kill9()
        self.cluster.host(4).start()
        until(lambda: addresses("web") == before[0], "the name leads where it led")
        self.assertEqual((addresses("tasks.web"), answers()), before[1:])
        self.assertIn("Saludos", self.cluster.get_when_up(4, 8080))
        for number in (1, 2, 3):
            self.cluster.power_on(number)
        self.cluster.wait_manager(1)
        self.cluster.wait_nodes(5)
        self.cluster.wait_tasks("web", 2)
        self.assertEqual(answers(), before[2])

    def test_task_that_ends_while_its_daemon_is_away(self):
        self.create("web", "--replicas", "1", "--constraint", "node.hostname==node4", "--restart-delay", "100ms", image="alpine", command=["sh", "-c", "while [ ! -e /go ]; do sleep 0.05; done; exit 7"])
        self.cluster.wait_tasks("web", 1)
        _, identity = self.cluster.containers("web")[0]
        pid = self.cluster.host(4).inspect(identity)["State"]["Pid"]
        self.cluster.host(4).kill9()
        self.cluster.host(4).run_in("touch", f"/proc/{pid}/root/go").check()
        until(lambda: self.cluster.host(4).run_in("test", "-e", f"/proc/{pid}").code, "it has ended")
        self.cluster.host(4).start()
        self.cluster.wait_task_error("web", "task: non-zero exit (7)")
        self.cluster.wait_tasks("web", 1)

    def test_changed_while_a_worker_was_away(self):
        self.create("old", "--constraint", "node.hostname==node4")
        self.cluster.wait_tasks("old", 1)
        self.cluster.host(4).kill9()
        self.docker("service", "rm", "old").check()
        self.create("new", "--constraint", "node.hostname==node4")
        self.cluster.host(4).start()
        self.cluster.wait_tasks("new", 1)
        until(lambda: not self.cluster.containers("old", all=True), "the removed one is gone")


class BlackoutTest(_Failover):
    def test_everything_off_and_on(self):
        self.docker("network", "create", "-d", "overlay", "hive").check()
        self.docker("secret", "create", "honey", "-", input="sweet").check()
        self.docker("node", "update", "--label-add", "disk=ssd", "node4").check()
        self.create("web", "--replicas", "5", "-p", "8080:3000", "--network", "hive", "--secret", "honey")
        self.cluster.wait_tasks("web", 5)
        ids = {name: row["ID"] for name, row in self.cluster.nodes().items()}
        for number in self.cluster.numbers:
            self.cluster.power_off(number)
        for number in self.cluster.numbers:
            self.cluster.power_on(number)
        self.cluster.wait_manager(1)
        self.cluster.wait_nodes(5)
        self.assertEqual({name: row["ID"] for name, row in self.cluster.nodes().items()}, ids)
        self.cluster.wait_tasks("web", 5)
        for number in self.cluster.numbers:
            self.assertIn("Saludos", self.cluster.get_when_up(number, 8080))
        self.assertEqual(self.docker("node", "inspect", "node4", "-f", "{{.Spec.Labels.disk}}").line, "ssd")
        until(lambda: len(self.cluster.containers("web")) == 5, "five containers, not more")

    def test_lone_manager_off_and_on_again_and_again(self):
        for number in (2, 3):
            self.docker("node", "demote", f"node{number}").check()
        until(lambda: sum(bool(row["ManagerStatus"]) for row in self.cluster.nodes().values()) == 1, "one manager")
        for count in range(3):
            self.create(f"web-{count}", "--replicas", "2")
            self.cluster.power_off(1)
            self.cluster.power_on(1)
            self.cluster.wait_manager(1)
            self.assertEqual(self.names(1), {f"web-{k}" for k in range(count + 1)})
        self.cluster.wait_nodes(5)
        for count in range(3):
            self.cluster.wait_tasks(f"web-{count}", 2)


if __name__ == "__main__":
    unittest.main()
