"""Services as the stock CLI has them: scenarios B1 to B10."""

import json
import time
import unittest

from case import SwarmCase
from lab import until

# Ends on SIGTERM at once; a shell as process 1 would not.
FOREVER = ("sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait")
QUICK = ("--update-monitor", "1s")  # how long the CLI watches at the end


class CreateTest(SwarmCase):
    def test_log_driver(self):
        self.create("web", "--mode", "global", "--log-driver", "local", "--log-opt", "max-size=1m")
        self.cluster.wait_tasks("web", len(self.cluster.hosts))
        self.assertEqual(self.inspect("web")["Spec"]["TaskTemplate"]["LogDriver"], {"Name": "local", "Options": {"max-size": "1m"}})
        identity = self.docker("ps", "-q", "--filter", "label=com.docker.swarm.service.name=web").line
        self.assertEqual(self.inspect(identity, "container")["HostConfig"]["LogConfig"], {"Type": "local", "Config": {"max-size": "1m"}})

    def test_attached(self):
        result = self.docker("service", "create", "--name", "web", "--replicas", "3", "--update-monitor", "1s", "hostname").check()
        self.assertRegex(result.lines[0], "^[0-9a-z]{25}$")
        self.assertIn("overall progress: 3 out of 3 tasks", result.out)
        self.assertEqual(result.lines[-1].strip(), f"verify: Service {result.lines[0]} converged")
        self.assertEqual(len(self.cluster.tasks("web")), 3)

    def test_attached_on_a_terminal(self):
        terminal = self.cluster.host(1).terminal("service", "create", "--name", "web", "--replicas", "2", "--update-monitor", "1s", "hostname")
        terminal.read_until("running")
        terminal.read_until("verify: Waiting")
        terminal.read_until("converged")
        self.assertEqual(terminal.finish().code, 0)

    def test_detached(self):
        result = self.docker("service", "create", "-d", "--name", "web", "--replicas", "3", "hostname").check()
        self.assertRegex(result.out, "^[0-9a-z]{25}\n$")
        self.cluster.wait_tasks("web", 3)

    def test_quiet(self):
        self.assertRegex(self.docker("service", "create", "-q", "--name", "web", *QUICK, "hostname").check().out, "^[0-9a-z]{25}\n$")

    def test_pinger(self):
        self.create("pinger", image="alpine", command=["ping", self.cluster.address(2)])
        self.cluster.wait_tasks("pinger", 1)
        until(lambda: "bytes from 10.77.0.2" in self.docker("service", "logs", "pinger").out, "pings are answered")

    def test_without_a_name(self):
        identity = self.docker("service", "create", "-d", "hostname").check().line
        name = self.inspect(identity)["Spec"]["Name"]
        self.assertRegex(name, r"^[a-z][a-z0-9_]+$")
        self.cluster.wait_tasks(name, 1)

    def test_spread_over_the_nodes(self):
        self.create("web", "--replicas", "5")
        self.assertEqual({row["Node"] for row in self.cluster.wait_tasks("web", 5)}, {f"node{k}" for k in self.cluster.numbers})
        self.docker("service", "scale", "-d", "web=10").check()
        nodes = [row["Node"] for row in self.cluster.wait_tasks("web", 10)]
        self.assertEqual({nodes.count(node) for node in nodes}, {2})

    def test_from_a_follower(self):
        other = next(number for number in (1, 2, 3) if number != self.cluster.leader())
        self.create("web", "--replicas", "2", node=other)
        self.cluster.wait_tasks("web", 2, node=other)
        self.docker("service", "rm", "web", node=other).check()
        until(lambda: self.docker("service", "ls", "-q", node=1).out == "", "it is gone everywhere")

    def test_seen_at_once_by_every_manager(self):
        for count in range(9):
            writer, reader = count % 3 + 1, (count // 3 + count) % 3 + 1
            self.docker("node", "update", "--label-add", f"count={count}", "node5", node=writer).check()
            self.assertEqual(self.docker("node", "inspect", "-f", "{{.Spec.Labels.count}}", "node5", node=reader).line, str(count), f"written on node{writer}, read on node{reader}")

    def test_options_of_the_container(self):
        self.create("box", "--env", "COLOUR=amber", "--env", "EMPTY=", "--workdir", "/tmp", "--user", "1234:567", "--hostname", "{{.Task.Name}}", "--container-label", "made=here",
                    "--label", "made=there", "--host", "oracle:192.0.2.9", "--dns", "192.0.2.53", "--dns-search", "hive.test", "--read-only", "--mount", "type=tmpfs,target=/scratch",
                    "--mount", "type=volume,source=store,target=/store", "--cap-drop", "CHOWN", "--ulimit", "nofile=2222:3333", "--sysctl", "net.ipv4.ip_unprivileged_port_start=77",
                    "--stop-signal", "SIGUSR1", "--stop-grace-period", "3s", "--init=false", image="alpine", command=["sh", "-c", "trap 'exit 0' USR1; sleep 100000 & wait"])
        task = self.cluster.wait_tasks("box", 1)[0]
        run = lambda *command: self.cluster.exec("box", *command).check().line
        self.assertEqual(run("sh", "-c", "echo $COLOUR/$EMPTY/$(pwd)/$(id -u):$(id -g)/$(ulimit -n)"), "amber///tmp/1234:567/2222")
        self.assertEqual(run("cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"), "77")
        self.assertIn("192.0.2.9\toracle", run("cat", "/etc/hosts"))
        self.assertIn("search hive.test", run("cat", "/etc/resolv.conf"))
        self.assertTrue(run("hostname").startswith("box.1."), "the template is filled in")
        mounts = run("cat", "/proc/mounts")
        self.assertRegex(mounts, r" /scratch tmpfs ")
        self.assertRegex(mounts, r" / \S+ ro,")
        self.assertRegex(mounts, r" /store \S+ rw")
        node, identity = self.cluster.containers("box")[0]
        container = self.cluster.host(node).inspect(identity)
        labels = container["Config"]["Labels"]
        self.assertEqual((labels["made"], labels["com.docker.swarm.service.name"], labels["com.docker.swarm.task.id"][:12]), ("here", "box", task["ID"][:12]))
        self.assertEqual((container["Config"]["StopSignal"], container["Config"]["StopTimeout"]), ("SIGUSR1", 3))
        self.assertEqual(self.inspect("box")["Spec"]["Labels"], {"made": "there"})

    def test_template_of_the_environment(self):
        self.create("box", "--env", "WHERE={{.Node.Hostname}}", "--env", "SLOT={{.Task.Slot}}", "--env", "SERVICE={{.Service.Name}}", "--replicas", "2", image="alpine", command=FOREVER)
        for row in self.cluster.wait_tasks("box", 2):
            out = self.cluster.exec("box", "sh", "-c", "echo $SERVICE.$SLOT $WHERE", number=int(row["Node"].removeprefix("node"))).check().line
            self.assertEqual(out, f"{row['Name']} {row['Node']}")

    def test_arguments_are_the_command_of_the_image(self):
        self.create("box", "--restart-condition", "none", image="alpine", command=["echo", "one two", "$HOME"])
        until(lambda: "one two $HOME" in self.docker("service", "logs", "--raw", "box").out, "echo gets its arguments as they stand")
        self.create("entry", "--entrypoint", "echo first", "--restart-condition", "none", image="alpine", command=["second"])
        until(lambda: "first second" in self.docker("service", "logs", "--raw", "entry").out, "the entry point is another")

    def test_bind_mount(self):
        for number in self.cluster.numbers:
            with open(self.cluster.host(number).scratch + "/name", "w") as file:
                file.write(f"disk of node{number}")
        host = self.cluster.host(4)
        self.create("box", "--constraint", "node.hostname==node4", "--mount", f"type=bind,source={host.scratch},target=/data,readonly", image="alpine", command=FOREVER)
        self.cluster.wait_tasks("box", 1)
        self.assertEqual(self.cluster.exec("box", "cat", "/data/name").check().out, "disk of node4")
        self.assertNotEqual(self.cluster.exec("box", "touch", "/data/new").code, 0)

    def test_bind_mount_of_what_is_not_there(self):
        self.create("box", "--mount", "type=bind,source=/not/there,target=/data", image="alpine", command=FOREVER)
        self.cluster.wait_task_error("box", "bind source path does not exist: /not/there")

    def test_image_is_pinned(self):
        self.create("web")
        image = self.inspect("web")["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
        self.assertRegex(image, "^hostname:latest@sha256:[0-9a-f]{64}$")
        self.assertEqual(self.docker("service", "ls", "--format", "{{.Image}}").check().line, "hostname:latest")
        self.create("loose", "--no-resolve-image")
        self.assertEqual(self.inspect("loose")["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"], "hostname:latest")

    def test_start_and_end_of_a_life_as_events(self):
        stream = self.cluster.host(1).stream("events", "--since", f"{time.time():.6f}", "--filter", "type=service", "--format", "{{.Scope}} {{.Action}} {{.Actor.Attributes.name}}")
        self.create("web")
        self.assertEqual(stream.next_line(), "swarm create web")
        self.docker("service", "update", "-d", "--label-add", "a=b", "web").check()
        self.assertEqual(stream.next_line(), "swarm update web")
        self.docker("service", "rm", "web").check()
        self.assertEqual(stream.next_line(), "swarm remove web")
        stream.stop()


class RefusalTest(SwarmCase):
    """What cannot be is said at once."""
    managers, workers = 1, 1

    def test_name_taken(self):
        self.create("web")
        self.assertFails(self.docker("service", "create", "-d", "--name", "web", "hostname"), "rpc error: code = AlreadyExists desc = name conflicts with an existing object: service web already exists")

    def test_wrong_names(self):
        for name in ("two words", "-dash", "dot.", "x" * 64, "sl/ash"):
            with self.subTest(name):
                self.assertFails(self.docker("service", "create", "-d", "--name", name, "hostname"), "rpc error: code = InvalidArgument desc = name must be valid as a DNS name component")

    def test_port_taken_by_another_service(self):
        self.create("web", "-p", "8080:3000")
        for given in ("8080:80", "published=8080,target=80,mode=host"):
            self.assertFails(self.docker("service", "create", "-d", "--name", "other", "-p", given, "hostname"), "port '8080' is already in use by service 'web'", "as an ingress port")
        self.create("third")
        self.assertFails(self.docker("service", "update", "-d", "--publish-add", "8080:3000", "third"), "port '8080' is already in use by service 'web'")
        self.create("udp", "-p", "8080:3000/udp")
        self.docker("service", "rm", "web").check()
        self.create("heir", "-p", "8080:3000")

    def test_wrong_constraints(self):
        for given, text in (("node.role=worker", "constraint expected one operator from ==, !="), ("node.colour==red", "node.colour"), ("node.role==", "value '' is invalid")):
            with self.subTest(given):
                self.assertFails(self.docker("service", "create", "-d", "--constraint", given, "hostname"), "rpc error: code = InvalidArgument desc = ", text)

    def test_missing_things(self):
        self.assertFails(self.docker("service", "create", "-d", "--secret", "nope", "hostname"), "secret not found: nope")
        self.assertFails(self.docker("service", "create", "-d", "--config", "nope", "hostname"), "config not found: nope")
        self.assertFails(self.docker("service", "create", "-d", "--network", "nope", "hostname"), "network nope not found")
        self.assertEqual(self.docker("service", "ls", "-q").out, "")

    def test_network_that_is_not_of_the_swarm(self):
        self.docker("network", "create", "local-bridge").check()
        self.assertFails(self.docker("service", "create", "-d", "--network", "local-bridge", "hostname"), "network local-bridge not found")  # the CLI looks in the swarm's scope only
        answer = self.cluster.host(1).api("POST", "/services/create", {"Name": "x", "TaskTemplate": {"ContainerSpec": {"Image": "hostname"}, "Networks": [{"Target": "local-bridge"}]}})
        self.assertEqual(answer.status, 403)
        self.assertEqual(answer.message, "The network local-bridge cannot be used with services. Only networks scoped to the swarm can be used, such as those created with the overlay driver.")

    def test_wrong_numbers(self):
        for options in (["--update-max-failure-ratio", "1.5"], ["--limit-memory", "1M"], ["--limit-cpu", "-1"], ["--restart-condition", "sometimes"], ["--update-order", "random"],
                        ["--update-failure-action", "cry"], ["--mode", "chaotic"], ["-p", "0:0"], ["-p", "70000:80"], ["--endpoint-mode", "magic"], ["--endpoint-mode", "dnsrr", "-p", "80:80"]):
            with self.subTest(options):
                result = self.docker("service", "create", "-d", *options, "hostname")
                self.assertIn(result.code, (1, 125), str(result))
                self.assertTrue(result.err.strip())
        self.assertEqual(self.docker("service", "ls", "-q").out, "")

    def test_nonsense_over_the_socket(self):
        api = self.cluster.host(1).api
        for body, status in (({}, 400), ({"Name": "x"}, 400), ({"Name": "x", "TaskTemplate": {"ContainerSpec": {"Image": "UPPER CASE"}}}, 400), ({"Name": 7}, 400),
                             ({"Name": "x", "TaskTemplate": {"ContainerSpec": {"Image": "hostname"}}, "Mode": {"Replicated": {"Replicas": -1}}}, 400),
                             ({"Name": "x", "TaskTemplate": {"ContainerSpec": {"Image": "hostname", "Secrets": [{"SecretID": "nope", "SecretName": "nope", "File": {"Name": "f", "UID": "0", "GID": "0", "Mode": 292}}]}}}, 400)):
            with self.subTest(body):
                answer = api("POST", "/services/create", body)
                self.assertEqual(answer.status, status, answer.body)
                self.assertTrue(answer.message)
        self.assertEqual(self.docker("service", "ls", "-q").out, "")

    def test_unknown_service(self):
        for command in ("inspect", "ps", "logs", "rm", "rollback"):
            with self.subTest(command):
                result = self.docker("service", command, "nope")
                self.assertCode(result, 1)
                self.assertRegex(result.err, r"(?i)no such service: nope|no such task or service: nope|service nope not found|nope.*not found")
        self.assertFails(self.docker("service", "update", "--replicas", "2", "nope"), "nope not found")
        self.assertFails(self.docker("service", "scale", "nope=2"), "nope not found")

    def test_stale_update(self):
        self.create("web")
        spec = self.inspect("web")["Spec"]
        answer = self.cluster.host(1).api("POST", "/services/web/update?version=1", spec)
        self.assertNotEqual(answer.status, 200)
        self.assertIn("update out of sequence", answer.message)

    def test_rename_and_change_of_mode(self):
        self.create("web")
        service = self.inspect("web")
        api = lambda spec: self.cluster.host(1).api("POST", f"/services/web/update?version={service['Version']['Index']}", spec)
        self.assertIn("renaming services is not supported", api({**service["Spec"], "Name": "other"}).message)
        self.assertIn("service mode change is not allowed", api({**service["Spec"], "Mode": {"Global": {}}}).message)

    def test_scale_of_a_global_one(self):
        self.create("everywhere", "--mode", "global")
        self.assertFails(self.docker("service", "scale", "everywhere=3"), "scale can only be used with replicated or replicated-job mode")
        self.assertFails(self.docker("service", "create", "--mode", "global", "--replicas", "3", "hostname"), "replicas can only be used with replicated or replicated-job mode")
        self.assertFails(self.docker("service", "scale", "everywhere=many"), "everywhere")

    def test_rollback_of_a_new_one(self):
        self.create("web")
        self.assertFails(self.docker("service", "rollback", "web"), "does not have a previous spec")


class ViewTest(SwarmCase):
    def test_ls(self):
        self.create("web", "--replicas", "3", "-p", "8080:3000", "--label", "tier=front")
        self.create("back", image="alpine", command=FOREVER)
        self.cluster.wait_tasks("web", 3)
        self.cluster.wait_tasks("back", 1)
        result = self.docker("service", "ls").check()
        self.assertTable(result, "ID", "NAME", "MODE", "REPLICAS", "IMAGE", "PORTS")
        self.assertRegex(result.lines[1], r"^\w{12}   back +replicated +1/1 +alpine:latest *$")
        self.assertRegex(result.lines[2], r"^\w{12}   web +replicated +3/3 +hostname:latest +\*:8080->3000/tcp *$")
        for given, names in (("name=we", "web"), ("label=tier", "web"), ("label=tier=back", ""), ("mode=replicated", "back web"), ("mode=global", ""), ("id=" + self.inspect("back")["ID"], "back")):
            with self.subTest(given):
                self.assertEqual(self.docker("service", "ls", "--filter", given, "--format", "{{.Name}}").check().lines, names.split())
        self.assertEqual(len(self.docker("service", "ls", "-q").check().lines), 2)

    def test_ps(self):
        self.create("web", "--replicas", "2")
        self.cluster.wait_tasks("web", 2)
        result = self.docker("service", "ps", "web").check()
        self.assertTable(result, "ID", "NAME", "IMAGE", "NODE", "DESIRED STATE", "CURRENT STATE", "ERROR", "PORTS")
        self.assertRegex(result.lines[1], r"^\w{12}   web\.1 +hostname:latest +node\d +Running +Running .* ago *$")
        self.assertEqual(self.docker("service", "ps", "--format", "{{.Name}}", "--filter", "name=web.2", "web").check().lines, ["web.2"])
        node = self.cluster.tasks("web")[0]["Node"]
        self.assertEqual({row["Node"] for row in self.cluster.tasks("web")}, {self.docker("service", "ps", "--format", "{{.Node}}", "--filter", "node=" + node, "web").line} | {row["Node"] for row in self.cluster.tasks("web")[1:]})
        self.assertEqual(self.docker("service", "ps", "-q", "--filter", "desired-state=shutdown", "web").check().out, "")
        self.assertRegex(self.docker("service", "ps", "-q", "--no-trunc", "web").check().lines[0], "^[0-9a-z]{25}$")

    def test_history(self):
        self.create("web")
        self.cluster.wait_tasks("web", 1)
        for number in range(7):
            self.docker("service", "update", "-d", "--env-add", f"N={number}", "web").check()
            until(lambda: len(self.docker("service", "ps", "-q", "web").lines) >= min(number + 2, 5), "one more in the history")
            self.cluster.wait_tasks("web", 1)
        def settled():
            states = [row["CurrentState"].split()[0] for row in self.cluster.tasks("web", running=False)]
            newest = self.docker("inspect", "--type", "task", "-f", "{{.Spec.ContainerSpec.Env}}", self.docker("service", "ps", "-q", "--no-trunc", "web").lines[0])
            return states == ["Running"] + ["Shutdown"] * 4 and newest.line == "[N=6]"
        until(settled, "one runs, four are kept")
        lines = self.docker("service", "ps", "web").check().lines
        self.assertRegex(lines[1], r"^\w+ +web\.1 +.* Running +Running")
        for line in lines[2:]:
            self.assertRegex(line, r"^\w+ +\\_ web\.1 +.* Shutdown +Shutdown")

    def test_errors_in_full(self):
        self.create("web", "--restart-condition", "none", image="alpine", command=["sh", "-c", "exit 7"])
        self.cluster.wait_task_error("web", '"task: non-zero exit (7)"')
        self.create("path", "--restart-condition", "none", image="alpine", command=["/there/is/no/such/program/in/this/image/at/all"])
        self.cluster.wait_task_error("path", "/there/is/no/such/program/in/this/image/at/all")
        short = self.docker("service", "ps", "path").check().out
        self.assertNotIn("/there/is/no/such/program/in/this/image/at/all", short.split("ERROR")[1])
        self.assertIn("…", short)

    def test_inspect(self):
        self.create("web", "--replicas", "2", "-p", "8080:3000", "--env", "A=b", "--limit-memory", "64M", "--constraint", "node.role==worker", command=[])
        service = self.inspect("web")
        spec = service["Spec"]
        self.assertEqual((spec["Name"], spec["Mode"], spec["Labels"]), ("web", {"Replicated": {"Replicas": 2}}, {}))
        template = spec["TaskTemplate"]
        self.assertEqual((template["ContainerSpec"]["Env"], template["Resources"]["Limits"]["MemoryBytes"], template["Placement"]["Constraints"], template["ForceUpdate"], template["Runtime"]),
                         (["A=b"], 64 << 20, ["node.role==worker"], 0, "container"))
        self.assertEqual(template["Placement"]["Platforms"][0]["OS"], "linux")
        self.assertEqual(spec["EndpointSpec"], {"Mode": "vip", "Ports": [{"Protocol": "tcp", "TargetPort": 3000, "PublishedPort": 8080, "PublishMode": "ingress"}]})
        until(lambda: self.inspect("web")["Endpoint"].get("Ports"), "the port is allocated")
        endpoint = self.inspect("web")["Endpoint"]
        self.assertEqual(endpoint["Ports"], spec["EndpointSpec"]["Ports"])
        self.assertNotIn("VirtualIPs", endpoint)  # the mesh needs no virtual address, and none is made up
        self.assertTrue(service["CreatedAt"].endswith("Z") and service["Version"]["Index"] > 0)
        self.assertNotIn("PreviousSpec", service)

    def test_inspect_for_people(self):
        self.create("web", "--replicas", "2", "-p", "8080:3000", "--env", "A=b", "--limit-memory", "64M", "--update-parallelism", "2", "--label", "tier=front")
        until(lambda: self.inspect("web")["Endpoint"].get("Ports"), "its port is taken")  # as in Swarm, after the answer
        out = self.docker("service", "inspect", "--pretty", "web").check().out
        for line in (r"^\nID:\t\t[0-9a-z]{25}\n", r"\nName:\t\tweb\n", r"\nLabels:\n tier=front\n", r"\nService Mode:\tReplicated\n Replicas:\t2\n", r"\nPlacement:\n", r"\nUpdateConfig:\n Parallelism:\t2\n On failure:\tpause\n",
                     r" Monitoring Period: 5s\n Max failure ratio: 0\n Update order: +stop-first\n", r"\nRollbackConfig:\n Parallelism:\t1\n", r"\nContainerSpec:\n Image:\t\thostname:latest@sha256:", r" Env:\t\tA=b \n",
                     r"\nResources:\n Limits:\n  Memory:\t64MiB\n", r"\nEndpoint Mode:\tvip\n", r"\nPorts:\n PublishedPort = 8080\n  Protocol = tcp\n  TargetPort = 3000\n  PublishMode = ingress"):
            self.assertRegex(out, line)

    def test_by_part_of_the_id(self):
        identity = self.create("web")
        self.assertEqual(self.inspect(identity[:9])["ID"], identity)
        self.assertEqual(self.docker("service", "rm", identity[:9]).check().line, identity[:9])

    def test_rm(self):
        for name in ("one", "two"):
            self.create(name)
            self.cluster.wait_tasks(name, 1)
        self.assertEqual(self.docker("service", "rm", "one", "two").check().out, "one\ntwo\n")
        until(lambda: not self.cluster.containers("one", all=True) + self.cluster.containers("two", all=True), "no container stays")
        self.assertEqual(self.docker("service", "ls", "-q").out, "")

    def test_container_of_a_task(self):
        self.create("web")
        row = self.cluster.wait_tasks("web", 1)[0]
        task = json.loads(self.docker("inspect", row["ID"]).check().out)[0]
        self.assertEqual((task["Status"]["State"], task["DesiredState"], task["Slot"]), ("running", "running", 1))
        node, identity = self.cluster.containers("web")[0]
        self.assertEqual(task["Status"]["ContainerStatus"]["ContainerID"], identity)
        self.assertEqual(self.cluster.host(node).inspect(identity)["Name"], f"/web.1.{task['ID']}")
        self.assertEqual(task["Status"]["ContainerStatus"]["PID"], self.cluster.host(node).inspect(identity)["State"]["Pid"])


class ScaleTest(SwarmCase):
    def test_up_and_down(self):
        self.create("web", *QUICK)
        result = self.docker("service", "scale", "web=5").check()
        self.assertIn("web scaled to 5\n", result.out)
        self.assertIn("overall progress: 5 out of 5 tasks", result.out)
        self.assertEqual(len(self.cluster.wait_tasks("web", 5)), 5)
        self.docker("service", "update", "-d", "--replicas", "2", "web").check()
        self.cluster.wait_tasks("web", 2)
        until(lambda: len(self.cluster.containers("web")) == 2, "two containers are left")
        self.docker("service", "scale", "-d", "web=0").check()
        self.cluster.wait_tasks("web", 0)
        self.assertEqual(self.docker("service", "ls", "--format", "{{.Replicas}}").line, "0/0")
        self.docker("service", "scale", "-d", "web=1").check()
        self.cluster.wait_tasks("web", 1)

    def test_several_at_once(self):
        self.create("one")
        self.create("two")
        out = self.docker("service", "scale", "-d", "one=2", "two=3").check().out
        self.assertEqual(out, "one scaled to 2\ntwo scaled to 3\n")
        self.cluster.wait_tasks("one", 2)
        self.cluster.wait_tasks("two", 3)

    def test_tasks_that_stay_are_not_touched(self):
        self.create("web", "--replicas", "3")
        self.cluster.wait_tasks("web", 3)
        before = {row["ID"] for row in self.cluster.tasks("web")}
        self.docker("service", "scale", "-d", "web=6").check()
        self.assertLess(before, {row["ID"] for row in self.cluster.wait_tasks("web", 6)})
        self.docker("service", "scale", "-d", "web=5").check()
        nodes = [row["Node"] for row in self.cluster.wait_tasks("web", 5)]
        self.assertEqual(len(set(nodes)), 5, "the fullest node gives one up")

    def test_twenty(self):
        self.create("web", "--replicas", "20")
        nodes = [row["Node"] for row in self.cluster.wait_tasks("web", 20)]
        self.assertEqual({nodes.count(node) for node in nodes}, {4})


class GlobalTest(SwarmCase):
    def test_one_on_every_node(self):
        self.docker("service", "create", "--name", "agent", "--mode", "global", *QUICK, "hostname").check()
        rows = self.cluster.tasks("agent")
        self.assertEqual(sorted(row["Node"] for row in rows), [f"node{k}" for k in self.cluster.numbers])
        self.assertEqual(self.docker("service", "ls", "--format", "{{.Mode}} {{.Replicas}}").line, "global 5/5")
        self.assertEqual(self.inspect("agent")["Spec"]["Mode"], {"Global": {}})
        self.assertIn("Service Mode:\tGlobal", self.docker("service", "inspect", "--pretty", "agent").out)
        node = self.inspect("node4", "node")["ID"]
        self.assertIn("agent." + node, {row["Name"] for row in rows})

    def test_follows_availability_and_constraints(self):
        self.create("agent", "--mode", "global", "--constraint", "node.labels.agent!=no")
        self.cluster.wait_tasks("agent", 5)
        self.docker("node", "update", "--availability", "drain", "node5").check()
        self.cluster.wait_tasks("agent", 4, where=lambda row: row["Node"] != "node5")
        self.docker("node", "update", "--availability", "active", "node5").check()
        self.cluster.wait_tasks("agent", 5)
        self.docker("node", "update", "--label-add", "agent=no", "node2").check()
        self.cluster.wait_tasks("agent", 4, where=lambda row: row["Node"] != "node2")
        self.docker("node", "update", "--label-rm", "agent", "node2").check()
        self.cluster.wait_tasks("agent", 5)

    def test_update(self):
        self.create("agent", "--mode", "global", "--update-parallelism", "2", *QUICK)
        self.cluster.wait_tasks("agent", 5)
        self.docker("service", "update", "--env-add", "A=b", "agent").check()  # the CLI counts the nodes that have a new task already
        for number in self.cluster.numbers:
            until(lambda: self.environment_on(number) == "b", f"node{number} runs the new task")

    def environment_on(self, number):
        found = [identity for node, identity in self.cluster.containers("agent") if node == number]
        return dict(entry.split("=", 1) for entry in self.cluster.host(number).inspect(found[0])["Config"]["Env"]).get("A") if found else None


class PlacementTest(SwarmCase):
    def nodes_of(self, service, count):
        return sorted(row["Node"] for row in self.cluster.wait_tasks(service, count))

    def test_constraints(self):
        self.docker("node", "update", "--label-add", "disk=ssd", "node2").check()
        identity = self.inspect("node3", "node")["ID"]
        for number, (given, names) in enumerate((("node.role==worker", {"node4", "node5"}), ("node.role!=worker", {"node1", "node2", "node3"}), ("node.hostname==node5", {"node5"}), ("node.id==" + identity, {"node3"}),
                                                 ("node.labels.disk==ssd", {"node2"}), ("node.labels.disk!=ssd", {"node1", "node3", "node4", "node5"}), ("node.platform.os==linux", {f"node{k}" for k in self.cluster.numbers}))):
            with self.subTest(given):
                self.create(f"web{number}", "--replicas", "5", "--constraint", given)
                self.assertEqual(set(self.nodes_of(f"web{number}", 5)), names)
                self.docker("service", "rm", f"web{number}").check()

    def test_several_must_all_hold(self):
        self.create("web", "--replicas", "2", "--constraint", "node.role == manager", "--constraint", "node.hostname != node1", "--constraint", "node.hostname!=node2")
        self.assertEqual(self.nodes_of("web", 2), ["node3", "node3"])

    def test_refusal_explains(self):
        self.docker("node", "update", "--availability", "drain", "node1").check()
        self.docker("node", "update", "--availability", "drain", "node2").check()
        self.create("web", "--constraint", "node.labels.disk==ssd")
        self.cluster.wait_task_error("web", "no suitable node (scheduling constraints not satisfied on 3 nodes; 2 nodes not available for new tasks)")
        self.assertEqual(self.docker("service", "ls", "--format", "{{.Replicas}}").line, "0/1")
        row = self.cluster.tasks("web", running=False)[0]
        self.assertTrue(row["CurrentState"].startswith("Pending"), row)
        self.assertEqual((row["Node"], row["DesiredState"]), ("", "Running"))
        self.docker("node", "update", "--label-add", "disk=ssd", "node4").check()
        self.assertEqual(self.nodes_of("web", 1), ["node4"])

    def test_refusal_on_all(self):
        self.create("web", "--constraint", "node.hostname==node99")
        self.cluster.wait_task_error("web", "no suitable node (scheduling constraints not satisfied on 5 nodes)")

    def test_attached_command_tells_it(self):
        stream = self.cluster.host(1).stream("service", "create", "--name", "web", "--constraint", "node.hostname==node99", "hostname")
        stream.read_until("no suitable node (scheduling constraints not satisfied on 5 nodes)")
        stream.stop()

    def test_tasks_that_no_longer_fit_are_moved(self):
        self.docker("node", "update", "--label-add", "disk=ssd", "node4").check()
        self.docker("node", "update", "--label-add", "disk=ssd", "node5").check()
        self.create("web", "--replicas", "4", "--constraint", "node.labels.disk==ssd")
        self.assertEqual(self.nodes_of("web", 4), ["node4", "node4", "node5", "node5"])
        self.docker("node", "update", "--label-rm", "disk", "node5").check()
        self.cluster.wait_tasks("web", 4, where=lambda row: row["Node"] == "node4")

    def test_constraint_added_and_removed(self):
        self.create("web", "--replicas", "3", *QUICK)
        self.cluster.wait_tasks("web", 3)
        self.docker("service", "update", "--constraint-add", "node.role==worker", "web").check()
        self.assertLessEqual(set(self.nodes_of("web", 3)), {"node4", "node5"})
        self.docker("service", "update", "--constraint-rm", "node.role==worker", "web").check()
        self.assertEqual(self.inspect("web")["Spec"]["TaskTemplate"]["Placement"].get("Constraints") or [], [])

    def test_max_replicas_per_node(self):
        self.create("web", "--replicas", "4", "--replicas-max-per-node", "1", "--constraint", "node.role==manager")
        self.assertEqual(self.nodes_of("web", 3), ["node1", "node2", "node3"])
        self.cluster.wait_task_error("web", "max replicas per node limit exceed")
        self.docker("service", "update", "-d", "--replicas-max-per-node", "2", "web").check()
        self.cluster.wait_tasks("web", 4)

    def test_spread_over_labels(self):
        for number, zone in ((1, "a"), (2, "a"), (3, "a"), (4, "b"), (5, "c")):
            self.docker("node", "update", "--label-add", "zone=" + zone, f"node{number}").check()
        self.create("web", "--replicas", "6", "--placement-pref", "spread=node.labels.zone")
        nodes = self.nodes_of("web", 6)
        self.assertEqual((nodes.count("node4"), nodes.count("node5")), (2, 2))

    def test_reservations(self):
        memory = self.inspect("node1", "node")["Description"]["Resources"]["MemoryBytes"]
        self.create("web", "--replicas", "6", "--reserve-memory", str(memory * 2 // 3))
        self.assertEqual(len(set(self.nodes_of("web", 5))), 5, "each node has room for one")
        self.cluster.wait_task_error("web", "no suitable node (insufficient resources on 5 nodes)")
        self.create("cpu", "--reserve-cpu", "1000")
        self.cluster.wait_task_error("cpu", "no suitable node (insufficient resources on 5 nodes)")

    def test_generic_resources(self):
        self.needs(self.docker("service", "create", "-d", "--name", "web", "--generic-resource", "GPU=1", "hostname"), "generic").check()
        self.cluster.wait_task_error("web", "insufficient resources")


class LimitTest(SwarmCase):
    managers, workers = 1, 1

    def test_in_the_cgroup_of_the_task(self):
        self.create("web", "--limit-memory", "64M", "--limit-cpu", "0.5", "--limit-pids", "50", "--reserve-memory", "32M")
        self.cluster.wait_tasks("web", 1)
        node, identity = self.cluster.containers("web")[0]
        host = self.cluster.host(node)
        self.assertEqual(host.cgroup_value(identity, "memory/memory.limit_in_bytes", "memory.max"), str(64 << 20))
        self.assertEqual(host.cgroup_value(identity, "pids/pids.max", "pids.max"), "50")
        quota = host.cgroup_value(identity, "cpu/cpu.cfs_quota_us", "cpu.max")
        self.assertEqual(int(quota.split()[0]), 50000)
        self.docker("service", "update", "-d", "--limit-memory", "96M", "web").check()
        def limit():
            return [self.cluster.host(node).cgroup_value(identity, "memory/memory.limit_in_bytes", "memory.max") for node, identity in self.cluster.containers("web")]
        until(lambda: limit() == [str(96 << 20)], "the new task has the new limit")

    def test_too_much_memory(self):
        self.create("hog", "--limit-memory", "16M", "--restart-condition", "none", image="alpine", command=["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"])
        self.cluster.wait_task_error("hog", "task: non-zero exit (137)")


class RestartTest(SwarmCase):
    managers, workers = 1, 1

    def attempts(self, service):
        return len(self.docker("service", "ps", "-q", service).lines)

    def test_any(self):
        self.create("web", "--restart-delay", "100ms", image="alpine", command=["sh", "-c", "sleep 0.2"])
        until(lambda: self.attempts("web") >= 3, "a task that ends is replaced")
        self.assertIn("Complete", self.docker("service", "ps", "web").out)

    def test_none(self):
        self.create("web", "--restart-condition", "none", image="alpine", command=["true"])
        until(lambda: "Complete" in self.docker("service", "ps", "web").out, "it is done")
        self.create("later", "--restart-delay", "100ms", image="alpine", command=["true"])
        until(lambda: self.attempts("later") >= 3, "time has passed")
        self.assertEqual(self.attempts("web"), 1)

    def test_on_failure(self):
        self.create("good", "--restart-condition", "on-failure", "--restart-delay", "100ms", image="alpine", command=["true"])
        self.create("bad", "--restart-condition", "on-failure", "--restart-delay", "100ms", image="alpine", command=["false"])
        until(lambda: self.attempts("bad") >= 3, "failures are repeated")
        self.assertEqual(self.attempts("good"), 1)
        self.assertIn('"task: non-zero exit (1)"', self.docker("service", "ps", "--no-trunc", "bad").out)

    def test_attempts_are_limited(self):
        self.create("bad", "--restart-max-attempts", "2", "--restart-delay", "100ms", "--restart-window", "0s", image="alpine", command=["false"])
        until(lambda: self.attempts("bad") >= 3, "two more attempts")
        self.create("later", "--restart-delay", "100ms", image="alpine", command=["false"])
        until(lambda: self.attempts("later") >= 4, "time has passed")
        self.assertEqual(self.attempts("bad"), 3)

    def test_a_killed_container_is_replaced(self):
        self.create("web", "--restart-delay", "100ms")
        self.cluster.wait_tasks("web", 1)
        node, identity = self.cluster.containers("web")[0]
        self.docker("kill", identity, node=node).check()
        until(lambda: [i for _, i in self.cluster.containers("web")] not in ([], [identity]), "another container")
        self.cluster.wait_tasks("web", 1)

    def test_a_removed_container_is_replaced(self):
        self.create("web", "--restart-delay", "100ms")
        self.cluster.wait_tasks("web", 1)
        node, identity = self.cluster.containers("web")[0]
        self.docker("rm", "-f", identity, node=node).check()
        until(lambda: [i for _, i in self.cluster.containers("web")] not in ([], [identity]), "another container")
        self.cluster.wait_tasks("web", 1)

    def test_health(self):
        self.create("web", "--health-cmd", "test -e /ok", "--health-interval", "200ms", "--health-retries", "2", "--health-start-period", "0s", "--restart-delay", "100ms", image="alpine",
                    command=["sh", "-c", "trap 'exit 0' TERM; touch /ok; sleep 100000 & wait"])
        self.cluster.wait_tasks("web", 1)
        node, identity = self.cluster.containers("web")[0]
        until(lambda: self.cluster.host(node).inspect(identity)["State"]["Health"]["Status"] == "healthy", "it is healthy")
        self.cluster.exec("web", "rm", "/ok").check()
        until(lambda: [i for _, i in self.cluster.containers("web")] not in ([], [identity]), "an unhealthy task is replaced")
        self.cluster.wait_tasks("web", 1)
        self.assertIn("unhealthy", self.docker("service", "ps", "--no-trunc", "web").out)

    def test_not_running_before_it_is_healthy(self):
        self.create("web", "--health-cmd", "test -e /ok", "--health-interval", "200ms", "--health-retries", "1000", image="alpine", command=FOREVER)
        until(lambda: self.cluster.containers("web"), "a container")
        until(lambda: any(row["CurrentState"].startswith("Starting") for row in self.cluster.tasks("web", running=False)), "the task is starting")
        self.assertEqual(self.docker("service", "ls", "--format", "{{.Replicas}}").line, "0/1")
        self.cluster.exec("web", "touch", "/ok").check()
        self.cluster.wait_tasks("web", 1)

    def test_jobs(self):
        self.needs(self.docker("service", "create", "-d", "--name", "job", "--mode", "replicated-job", "--replicas", "3", "--max-concurrent", "2", "alpine", "true"), "job").check()
        until(lambda: "3/3 completed" in self.docker("service", "ls").out, "all are done")


class UpdateTest(SwarmCase):
    def environment(self, service="web"):
        """What each running container of the service has in N."""
        found = []
        for node, identity in self.cluster.containers(service):
            entries = self.cluster.host(node).inspect(identity)["Config"]["Env"]
            found.append(dict(entry.split("=", 1) for entry in entries).get("N"))
        return found

    def test_each_part_of_a_spec(self):
        self.docker("secret", "create", "honey", "-", input="sweet").check()
        self.docker("network", "create", "-d", "overlay", "hive").check()
        self.create("web", "--env", "OLD=1", "--label", "old=1", "--container-label", "old=1", *QUICK)
        changes = ["--env-add", "N=1", "--env-rm", "OLD", "--label-add", "new=1", "--label-rm", "old", "--container-label-add", "new=1", "--container-label-rm", "old", "--limit-memory", "64M",
                   "--mount-add", "type=tmpfs,target=/scratch", "--publish-add", "8081:3000", "--secret-add", "honey", "--network-add", "hive", "--user", "1000", "--workdir", "/tmp", "--hostname", "bee",
                   "--stop-grace-period", "4s", "--host-add", "oracle:192.0.2.9", "--replicas", "2", "--restart-max-attempts", "9", "--update-parallelism", "0", "--read-only"]
        self.docker("service", "update", *changes, "web").check()
        self.cluster.wait_tasks("web", 2)
        node, identity = self.cluster.containers("web")[0]
        container = self.cluster.host(node).inspect(identity)
        self.assertIn("N=1", container["Config"]["Env"])
        self.assertNotIn("OLD=1", container["Config"]["Env"])
        self.assertEqual((container["Config"]["Labels"].get("new"), container["Config"]["Labels"].get("old")), ("1", None))
        self.assertEqual((container["Config"]["User"], container["Config"]["WorkingDir"], container["Config"]["Hostname"], container["HostConfig"]["Memory"], container["HostConfig"]["ReadonlyRootfs"]),
                         ("1000", "/tmp", "bee", 64 << 20, True))
        self.assertIn("hive", container["NetworkSettings"]["Networks"])
        self.assertEqual(self.inspect("web")["Spec"]["Labels"], {"new": "1"})
        self.assertIn("Saludos desde bee!", self.cluster.get_when_up(5, 8081))
        undo = ["--mount-rm", "/scratch", "--publish-rm", "8081:3000", "--secret-rm", "honey", "--network-rm", "hive", "--host-rm", "oracle:192.0.2.9", "--limit-memory", "0"]
        self.docker("service", "update", *undo, "web").check()
        spec = self.inspect("web")["Spec"]
        container_spec = spec["TaskTemplate"]["ContainerSpec"]
        self.assertFalse(container_spec.get("Mounts") or container_spec.get("Secrets") or spec["TaskTemplate"].get("Networks") or spec["EndpointSpec"].get("Ports"))
        until(lambda: self.cluster.is_refused(5, 8081), "the port is closed")

    def test_arguments(self):
        self.create("pinger", *QUICK, image="alpine", command=["ping", "10.77.0.1"])
        self.cluster.wait_tasks("pinger", 1)
        self.docker("service", "update", "--args", "ping 10.77.0.2", "pinger").check()
        self.assertEqual(self.inspect("pinger")["Spec"]["TaskTemplate"]["ContainerSpec"]["Args"], ["ping", "10.77.0.2"])
        until(lambda: "bytes from 10.77.0.2" in self.docker("service", "logs", "pinger").out, "it pings another")

    def test_image(self):
        self.create("web", *QUICK)
        self.cluster.wait_tasks("web", 1)
        result = self.docker("service", "update", "--image", "alpine", "--args", "sleep 1000", "--stop-signal", "KILL", "web").check()
        self.assertIn("converged", result.out)
        self.assertEqual({row["Image"].split("@")[0] for row in self.cluster.tasks("web")}, {"alpine:latest"})

    def test_one_after_the_other(self):
        self.create("web", "--replicas", "3", "--update-delay", "0s", *QUICK)
        self.cluster.wait_tasks("web", 3)
        stream = self.cluster.host(1).stream("service", "update", "--env-add", "N=1", "web")
        most_absent = 0
        while stream.process.poll() is None:
            most_absent = max(most_absent, 3 - len(self.cluster.tasks("web")))
            stream._fill(0)
        self.assertEqual(stream.finish().code, 0)
        self.assertEqual(self.environment(), ["1"] * 3)
        self.assertLessEqual(most_absent, 1)

    def test_start_first_has_always_all(self):
        self.create("web", "--replicas", "2", "--update-order", "start-first", *QUICK)
        self.cluster.wait_tasks("web", 2)
        began = time.time()
        self.docker("service", "update", "--env-add", "N=1", "web").check()
        events = []  # of all nodes, which have one clock: no look at one after the other would see them at one moment
        for number in self.cluster.numbers:
            lines = self.docker("events", "--since", f"{began:.9f}", "--until", f"{time.time():.9f}", "--filter", "event=start", "--filter", "event=die",
                                "--filter", "label=com.docker.swarm.service.name=web", "--format", "{{.TimeNano}} {{.Action}}", node=number).check().lines
            events += [(int(when), action) for when, action in map(str.split, lines)]
        running = [2]
        for _, action in sorted(events):
            running.append(running[-1] + (1 if action == "start" else -1))
        self.assertEqual(min(running), 2, sorted(events))
        self.assertGreater(max(running), 2, "a new one started first")  # 3 or 4: the next does not wait for an old one's end
        until(lambda: self.environment() == ["1"] * 2, "both are new")

    def test_all_at_once(self):
        self.create("web", "--replicas", "6", "--update-parallelism", "0", *QUICK)
        self.cluster.wait_tasks("web", 6)
        self.docker("service", "update", "--env-add", "N=1", "web").check()
        self.assertEqual(self.environment(), ["1"] * 6)

    def test_only_the_count_replaces_nothing(self):
        self.create("web", "--replicas", "2")
        before = {row["ID"] for row in self.cluster.wait_tasks("web", 2)}
        self.docker("service", "update", "-d", "--replicas", "3", "--label-add", "a=b", "--update-parallelism", "7", "web").check()
        self.assertLess(before, {row["ID"] for row in self.cluster.wait_tasks("web", 3)})

    def test_force(self):
        self.create("web", *QUICK)
        before = self.cluster.wait_tasks("web", 1)[0]["ID"]
        self.docker("service", "update", "--force", "web").check()
        self.assertNotEqual(self.cluster.wait_tasks("web", 1)[0]["ID"], before)
        self.assertEqual(self.inspect("web")["Spec"]["TaskTemplate"]["ForceUpdate"], 1)

    def test_status(self):
        self.create("web", *QUICK)
        self.cluster.wait_tasks("web", 1)
        self.assertNotIn("UpdateStatus", self.inspect("web"))
        self.docker("service", "update", "--env-add", "N=1", "web").check()
        status = self.inspect("web")["UpdateStatus"]
        self.assertEqual((status["State"], status["Message"]), ("completed", "update completed"))
        self.assertTrue(status["StartedAt"] and status["CompletedAt"])
        self.assertIn("UpdateStatus:\n State:\t\tcompleted\n", self.docker("service", "inspect", "--pretty", "web").out)

    def test_replaced_by_a_second_update(self):
        self.create("web", "--replicas", "3", "--update-delay", "1s", *QUICK)
        self.cluster.wait_tasks("web", 3)
        self.docker("service", "update", "-d", "--env-add", "N=1", "web").check()
        self.docker("service", "update", "--env-add", "N=2", "web").check()
        self.assertEqual(self.environment(), ["2"] * 3)

    BAD = ("--args", "ping asdasd;asdas")

    def pingers(self, *options):
        self.create("web", "--replicas", "3", "--update-monitor", "3s", "--restart-delay", "100ms", "--stop-signal", "KILL", *options, image="alpine", command=["ping", "10.77.0.1"])
        return {row["ID"] for row in self.cluster.wait_tasks("web", 3)}

    def test_failure_rolls_back(self):
        self.pingers("--update-failure-action", "rollback", "--rollback-monitor", "1s")
        result = self.docker("service", "update", *self.BAD, "web", timeout=120)
        self.assertIn("rollback: ", result.out + result.err)
        until(lambda: self.inspect("web")["UpdateStatus"]["State"] == "rollback_completed", "rolled back")
        self.assertEqual(self.inspect("web")["Spec"]["TaskTemplate"]["ContainerSpec"]["Args"], ["ping", "10.77.0.1"])
        self.cluster.wait_tasks("web", 3)
        self.assertIn("rollback", self.inspect("web")["UpdateStatus"]["Message"])

    def test_what_an_update_did_not_touch_runs_on(self):
        before = self.pingers("--update-failure-action", "rollback", "--rollback-monitor", "1s")
        self.docker("service", "update", "--args", "/no/such/program", "web", timeout=120)  # never runs, so the second slot's turn never comes
        until(lambda: self.inspect("web")["UpdateStatus"]["State"] == "rollback_completed", "rolled back")
        after = {row["ID"] for row in self.cluster.wait_tasks("web", 3)}
        self.assertEqual(len(before & after), 2)

    def test_failure_pauses(self):
        before = self.pingers("--update-failure-action", "pause")
        result = self.docker("service", "update", "--args", "/no/such/program", "web", timeout=120)
        self.assertNotEqual(result.code, 0)
        self.assertIn("service update paused: update paused due to failure or early termination of task", result.out + result.err)
        self.assertEqual(self.inspect("web")["UpdateStatus"]["State"], "paused")
        self.assertEqual(len(before & {row["ID"] for row in self.cluster.tasks("web")}), 2, "two still run as before")
        self.docker("service", "update", "-d", "--args", "ping 10.77.0.2", "web").check()
        self.cluster.wait_tasks("web", 3)
        until(lambda: self.inspect("web")["UpdateStatus"]["State"] == "completed", "a good update goes through afterwards")

    def test_failure_continues(self):
        self.pingers("--update-failure-action", "continue")
        self.docker("service", "update", "-d", *self.BAD, "web").check()
        until(lambda: {row["Name"].strip(" \\_") for row in self.cluster.tasks("web", running=False) if "non-zero exit" in row["Error"]} == {"web.1", "web.2", "web.3"}, "all three were tried")

    def test_rollback_by_hand(self):
        self.create("web", "--replicas", "2", "--env", "N=1", "--rollback-monitor", "1s", *QUICK)
        self.cluster.wait_tasks("web", 2)
        self.docker("service", "update", "--env-add", "N=2", "--replicas", "3", "web").check()
        self.assertEqual(self.environment(), ["2"] * 3)
        self.assertEqual(self.inspect("web")["PreviousSpec"]["TaskTemplate"]["ContainerSpec"]["Env"], ["N=1"])
        result = self.docker("service", "rollback", "web").check()
        self.assertIn("rollback: manually requested rollback", result.out)
        until(lambda: self.environment() == ["1"] * 2, "the old spec again")
        self.assertEqual(self.inspect("web")["UpdateStatus"]["State"], "rollback_completed")
        self.docker("service", "update", "--rollback", "-d", "web").check()
        until(lambda: self.environment() == ["2"] * 3, "and back")


class LogsTest(SwarmCase):
    def test_of_all_tasks_from_every_manager(self):
        self.create("box", "--mode", "replicated", "--replicas", "5", image="alpine", command=["sh", "-c", "trap 'exit 0' TERM; echo out of $(hostname); echo err >&2; sleep 100000 & wait"])
        rows = self.cluster.wait_tasks("box", 5)
        for manager in (1, 2, 3):
            until(lambda: len(self.docker("service", "logs", "box", node=manager).out.splitlines()) == 5, "a line of every task")
            result = self.docker("service", "logs", "box", node=manager).check()
            self.assertEqual(len(result.err.splitlines()), 5)
            prefixes = {line.split("|")[0].strip() for line in result.lines}
            self.assertEqual(prefixes, {f"{row['Name']}.{row['ID'][:12]}@{row['Node']}" for row in rows})
            self.assertRegex(result.lines[0], r"^box\.\d\.\w+@node\d +\| out of \w+$")
        self.assertFails(self.docker("service", "logs", "box", node=4), "This node is not a swarm manager")

    def test_options(self):
        self.create("box", image="alpine", command=["sh", "-c", "trap 'exit 0' TERM; for i in 1 2 3 4 5; do echo line $i; done; sleep 100000 & wait"])
        until(lambda: "line 5" in self.docker("service", "logs", "box").out, "all lines")
        logs = lambda *options: self.docker("service", "logs", *options, "box").check()
        self.assertEqual(logs("--raw").out, "".join(f"line {i}\n" for i in range(1, 6)))
        self.assertEqual(logs("--raw", "--tail", "2").out, "line 4\nline 5\n")
        self.assertRegex(logs("-t").lines[0], r"^20\d\d-\d\d-\d\dT[0-9:.]+Z box\.1\.\w{12}@node\d +\| line 1$")
        self.assertRegex(logs("--no-trunc").lines[0], r"^box\.1\.\w{25}@node\d +\| line 1$")
        self.assertRegex(logs("--no-resolve").lines[0], r"^\w{25}\.1\.\w+@\w{25} +\| line 1$")
        self.assertRegex(logs("--no-task-ids").lines[0], r"^box\.1@node\d +\| line 1$")
        self.assertEqual(logs("--raw", "--since", "1h").out.count("line"), 5)
        task = self.cluster.tasks("box")[0]["ID"]
        self.assertIn("line 5", self.docker("service", "logs", task).check().out)

    def test_follow(self):
        self.create("box", "--replicas", "2", image="alpine", command=["sh", "-c", "trap 'exit 0' TERM; i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.1; done"])
        self.cluster.wait_tasks("box", 2)
        stream = self.cluster.host(2).stream("service", "logs", "-f", "box")
        for task in ("box.1", "box.2"):
            stream.read_until(task)
        stream.read_until("tick 20")
        self.docker("service", "scale", "-d", "box=3").check()
        stream.read_until("box.3")
        stream.stop()

    def test_of_tasks_that_ended(self):
        self.create("box", "--restart-condition", "none", image="alpine", command=["echo", "last words"])
        until(lambda: "Complete" in self.docker("service", "ps", "box").out, "it is done")
        self.assertIn("last words", self.docker("service", "logs", "box").check().out)


if __name__ == "__main__":
    unittest.main()
