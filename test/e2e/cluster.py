"""Several test hosts on one switch of their own, with no route to anywhere else, and what a swarm of them is asked.

    with Cluster(managers=3, workers=2, images=["alpine"]) as cluster:   # images: loaded on the first manager only
        cluster.form_swarm()
        cluster.docker("service", "create", ...)

Hosts are node1 ... nodeN with the addresses 10.77.0.1 ...; the managers come first. The clients of the tests sit on the switch
itself, 10.77.0.100 and .101: net.get(cluster.switch, cluster.address(2), 8080, netns="host") or, shorter, cluster.get(2, 8080).
Each host is a `lab.Host`, so it ends with the process that made it, and a pulled plug is `cluster.power_off(4)`.
"""

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import lab
import net
from lab import Host, until

CLIENT, OTHER_CLIENT = "10.77.0.100", "10.77.0.101"
PATIENCE = int(os.environ.get("PANAL_E2E_PATIENCE", "60"))  # seconds until something that must happen is given up


class Switch(Host):
    """A host without an engine: a bridge, and the clients' addresses on it."""

    def __init__(self):
        super().__init__(name="switch", wired=False)

    def start(self):
        self.run_in("ip", "-batch", "-", input=f"link add lan0 type bridge\naddr add {CLIENT}/24 dev lan0\naddr add {OTHER_CLIENT}/24 dev lan0\n"
                    "addr add fd77::100/64 dev lan0 nodad\nlink set lan0 up\n").check()


class Cluster:
    def __init__(self, managers=3, workers=2, images=(), engine_flags=()):
        self.manager_count, self.images = managers, images
        self.switch = Switch()
        self.hosts = [Host(engine_flags=["--node-name", f"node{k}", *engine_flags], name=f"node{k}", wired=False, name_server=CLIENT)
                      for k in range(1, managers + workers + 1)]

    def __enter__(self):
        lab.sweep()
        try:
            self.switch.__enter__()
            with ThreadPoolExecutor() as pool:
                list(pool.map(self._boot, range(1, len(self.hosts) + 1)))
            for image in self.images:
                self.hosts[0].load(image)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _boot(self, number):
        host = self.host(number)
        host._make_folder()
        host._start_init()
        self._plug_in(number)
        host.start()

    def _plug_in(self, number):
        host, name = self.host(number), f"n{number}"
        until(lambda: name not in net.links(self.switch), f"the old wire of node{number} is gone")
        batch = f"link add {name} type veth peer name eth0 netns {host.init_pid}\nlink set {name} master lan0\nlink set {name} up\n"
        # not run_in: the other end's namespace is named by a pid of the machine, which only its own /proc knows
        done = subprocess.run(["nsenter", "-t", str(self.switch.init_pid), "-n", "ip", "-batch", "-"], input=batch, text=True, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise lab.LabError(done.stderr)
        host.run_in("ip", "-batch", "-", input=f"addr add {self.address(number)}/24 dev eth0\naddr add fd77::{number}/64 dev eth0 nodad\nlink set eth0 up\n").check()

    def close(self):
        hosts = [*self.hosts, self.switch]
        with ThreadPoolExecutor() as pool:
            failed = [error for error in pool.map(self._close_one, hosts) if error]
        if failed:
            raise failed[0]

    @staticmethod
    def _close_one(host):
        try:
            host.close()
        except Exception as error:  # the others must still be closed
            return error

    # --- the hosts
    def host(self, number):
        return self.hosts[number - 1]

    @staticmethod
    def address(number):
        return f"10.77.0.{number}"

    @property
    def numbers(self):
        return range(1, len(self.hosts) + 1)

    def docker(self, *arguments, node=1, **options):
        return self.host(node).docker(*arguments, **options)

    def power_off(self, number):
        self.host(number).power_off()

    def power_on(self, number):
        self.host(number).power_on()
        self._plug_in(number)
        self.host(number).start()

    def cut(self, number):
        """The node's wire is pulled: nothing reaches it, and it reaches nobody."""
        self.switch.run_in("ip", "link", "set", f"n{number}", "down").check()

    def heal(self, number):
        self.switch.run_in("ip", "link", "set", f"n{number}", "up").check()

    def is_on(self, number):
        return self.host(number).process is not None

    # --- the clients on the switch
    def get(self, number, port, path="/", source=None):
        return net.get(self.switch, self.address(number), port, path, netns="host", source=source)

    def get_when_up(self, number, port, path="/", **options):
        def attempt():
            try:
                return self.get(number, port, path, **options)
            except OSError:
                return None
        return until(attempt, f"node{number} answers on port {port}", PATIENCE)

    def is_refused(self, number, port):
        return net.is_refused(self.switch, self.address(number), port, netns="host")

    # --- the swarm
    def form_swarm(self):
        """node1 leads; the other managers and the workers join."""
        self.docker("swarm", "init", "--advertise-addr", self.address(1)).check()
        for number in self.numbers[1:]:
            self.join(number, "manager" if number <= self.manager_count else "worker")
        self.wait_nodes(len(self.hosts))

    def token(self, role, node=1):
        return self.docker("swarm", "join-token", "-q", role, node=node).check().line

    def join(self, number, role, through=1):
        return self.docker("swarm", "join", "--token", self.token(role, through), f"{self.address(through)}:2377", node=number).check()

    def nodes(self, node=1):
        """What `node ls` says, by name."""
        lines = self.docker("node", "ls", "--format", "{{json .}}", node=node).check().lines
        return {row["Hostname"]: row for row in map(json.loads, lines)}

    def wait_nodes(self, count, node=1):
        until(lambda: sum(row["Status"] == "Ready" for row in self.nodes(node).values()) == count, f"{count} nodes are ready", PATIENCE)

    def leader(self, asked=None):
        """Number of the node that leads, as the managers asked see it; waits until there is one."""
        def find():
            for number in asked or [n for n in self.numbers[:self.manager_count] if self.is_on(n)]:
                result = self.docker("node", "ls", "--format", "{{.Hostname}} {{.ManagerStatus}}", node=number, timeout=20)
                for line in result.lines if result.code == 0 else ():
                    if line.endswith(" Leader"):
                        return int(line.split()[0].removeprefix("node"))
        return until(find, "a manager leads", PATIENCE)

    def wait_manager(self, number):
        """Until this manager takes writes: it reaches a leader."""
        until(lambda: self.docker("node", "ls", node=number, timeout=20).code == 0, f"node{number} answers as a manager", PATIENCE)

    # --- services
    def tasks(self, service, running=True, node=1):
        """Rows of `service ps`; running: only those that run and are meant to."""
        filters = ["--filter", "desired-state=running"] if running else []
        result = self.docker("service", "ps", "--no-trunc", "--format", "{{json .}}", *filters, service, node=node)
        rows = [json.loads(line) for line in result.lines] if result.code == 0 else []
        return [row for row in rows if row["CurrentState"].startswith("Running")] if running else rows

    def wait_tasks(self, service, count, node=1, where=lambda row: True, timeout=PATIENCE):
        """Until exactly `count` tasks run and fit; returns their rows."""
        def look():
            rows = self.tasks(service, node=node)
            return rows if len(rows) == count and all(map(where, rows)) else None
        try:
            return until(look, f"{count} tasks of {service} run", timeout) if count else until(lambda: not self.tasks(service, node=node), f"no task of {service} runs", timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.docker('service', 'ps', '--no-trunc', service, node=node)}") from None

    def wait_task_error(self, service, text, node=1):
        until(lambda: any(text in row["Error"] for row in self.tasks(service, running=False, node=node)), f"a task of {service} says {text!r}", PATIENCE)

    def containers(self, service, all=False):
        """[(node's number, container id)] of the service's tasks."""
        found = []
        for number in self.numbers:
            if self.is_on(number):
                flags = ["-a"] if all else []
                result = self.docker("ps", "-q", "--no-trunc", *flags, "--filter", f"label=com.docker.swarm.service.name={service}", node=number).check()
                found += [(number, line) for line in result.lines]
        return found

    def exec(self, service, *command, number=None, **options):
        """In the first container of the service, or in the one on this node."""
        for node, identity in self.containers(service):
            if number in (None, node):
                return self.docker("exec", identity, *command, node=node, **options)
        raise AssertionError(f"no container of {service} on node {number}")

    def remove_everything(self):
        """Services, secrets, configs, networks, volumes and containers of a test; nodes are as they were."""
        manager = next(n for n in self.numbers if self.is_on(n))
        api = self.host(manager).api
        for kind in ("services", "secrets", "configs"):
            for item in api("GET", "/" + kind).json:
                api("DELETE", f"/{kind}/{item['ID']}")
        for item in api("GET", "/nodes").json:
            spec = item["Spec"]
            if spec.get("Availability") != "active" or spec.get("Labels"):
                api("POST", f"/nodes/{item['ID']}/update?version={item['Version']['Index']}", {**spec, "Availability": "active", "Labels": {}})
        hosts = [self.host(number) for number in self.numbers if self.is_on(number)]
        until(lambda: not any(host.docker("ps", "-aq", "--filter", "label=com.docker.swarm.task.id").out for host in hosts), "the tasks of removed services are gone", PATIENCE)
        for host in hosts:  # containers first, on every node: a network of the cluster stays as long as one is on it
            for container in host.api("GET", "/containers/json?all=1").json:
                host.api("DELETE", f"/containers/{container['Id']}?force=1&v=1")
        for network in api("GET", "/networks").json:
            if network["Scope"] == "swarm" and not network["Ingress"]:  # held until the cluster knows that its containers are gone
                until(lambda: api("DELETE", "/networks/" + network["Id"]).status in (204, 404), f"network {network['Name']} is free", PATIENCE)
        for host in hosts:
            host.remove_everything()
