"""A test host: one engine alone in namespaces of its own, and the stock docker CLI to talk to it.

    with Host(images=["alpine"]) as host:
        host.docker("run", "--rm", "alpine", "echo", "hi").out

Owns: the host's processes, namespaces, cgroup and folder, and their removal. A host ends with the process that made it, even
by kill -9 (see init.py); the folder and the empty cgroups such a death leaves are removed by the next run, which knows them by
their state file and by the lock nobody holds any more.
Never touches what it did not make. Nothing in here waits for a fixed time; waits end with the test's deadline.

Environment: PANAL_BIN folder of panald (default <repo>/build/bin); PANAL_E2E_ENGINE another engine's program with the same
flags, to try the tests themselves against Docker (see oracle); PANAL_E2E_DIR where hosts live (default /var/tmp/panal-e2e);
PANAL_E2E_SLOW by what all deadlines are multiplied (default 1).
"""

import atexit
import fcntl
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time

from talk import LONGEST_WAIT, SLOW, Response, Result, Stream, Terminal, UnixConnection, until

HERE = os.path.dirname(os.path.realpath(__file__))
REPO = os.path.dirname(os.path.dirname(HERE))
BIN = os.environ.get("PANAL_BIN", os.path.join(REPO, "build", "bin"))
ENGINE = os.environ.get("PANAL_E2E_ENGINE", os.path.join(BIN, "panald"))
BASE = os.environ.get("PANAL_E2E_DIR", "/var/tmp/panal-e2e")
CACHE = os.environ.get("PANAL_TEST_CACHE", "/var/cache/panal-test")
DOCKER = shutil.which("docker") or "/usr/local/bin/docker"
IS_DOCKERD = os.path.basename(ENGINE) == "dockerd"
HOST_ADDRESS, CLIENT_ADDRESS, OTHER_CLIENT_ADDRESS = "192.0.2.1", "192.0.2.100", "192.0.2.101"


class LabError(Exception):
    pass


class Host:
    def __init__(self, images=(), engine_flags=(), name="testhost", engine=ENGINE, wired=True, name_server=CLIENT_ADDRESS):
        """wired: with a client on a wire of its own; else without any link (cluster.py lays them)."""
        self.images, self.engine, self.engine_flags, self.name = images, engine, list(engine_flags), name
        self.wired, self.name_server = wired, name_server
        self.streams, self.cgroups, self.engine_pid = [], [], 0
        self.process = None

    # --- life of the host
    def __enter__(self):
        sweep()
        try:
            self._make_folder()
            self._start_init()
            self.start()
            for image in self.images:
                self.load(image)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _make_folder(self):
        self.id = "panal-e2e-" + secrets.token_hex(4)
        self.folder = os.path.join(BASE, self.id)
        with base_lock():
            os.mkdir(self.folder, mode=0o711)
            self.lock = open(os.path.join(self.folder, "lock"), "w")
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.socket = os.path.join(self.folder, "docker.sock")
        self.data_root = os.path.join(self.folder, "data")
        self.exec_root = os.path.join(self.folder, "exec")
        self.log = os.path.join(self.folder, "engine.log")
        self.scratch = os.path.join(self.folder, "scratch")
        for path in (self.scratch, os.path.join(self.folder, "docker-config")):
            os.mkdir(path)
        with open(os.path.join(self.folder, "resolv.conf"), "w") as file:
            file.write(f"nameserver {self.name_server}\noptions timeout:1 attempts:1\n")
        open_hosts.append(self)

    def _start_init(self):
        controllers = cgroup_controllers()
        roots = [f"/sys/fs/cgroup/{name}" for name in controllers] or ["/sys/fs/cgroup"]
        self.cgroups = [os.path.join(root, self.id) for root in roots]
        self._write_state()  # before they exist: a kill between the two must leave nothing unknown
        for root in roots:
            make_cgroup(root, self.id)
        joined = " ".join(self.cgroups)
        enter = f'for group in {joined}; do echo $$ > $group/cgroup.procs || exit 1; done; exec "$@"'
        command = ["sh", "-c", enter, "sh", "unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--cgroup", "--fork",
                   "--kill-child", "--mount-proc", sys.executable, os.path.join(HERE, "init.py")]
        with open(os.path.join(self.folder, "init.log"), "w") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
        self._write_state()
        if not controllers:  # version 2: a group with processes of its own may not hand controllers down
            until(lambda: children_of(self.process.pid) or self.process.poll() is not None, "the test host has its namespaces")
            os.mkdir(self.cgroups[0] + "/init")
            with open(self.cgroups[0] + "/init/cgroup.procs", "w") as file:
                file.write(str(self.process.pid))
        setup = {"hostname": self.name, "controllers": controllers, "wired": self.wired, "binds": {self.folder + "/resolv.conf": "/etc/resolv.conf"}}
        if not self._ask(setup).get("ready"):
            raise LabError("the test host did not come up: " + self._tail("init.log"))
        self.init_pid = children_of(self.process.pid)[0]
        self._write_state()

    def _write_state(self):
        pid = self.process.pid if self.process else 0
        state = {"cgroups": self.cgroups, "pid": pid, "started": start_time(pid)}
        partial = os.path.join(self.folder, "state.partial")
        with open(partial, "w") as file:
            json.dump(state, file)
        os.rename(partial, os.path.join(self.folder, "state.json"))

    def _ask(self, request):
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise LabError("process 1 of the test host ended: " + self._tail("init.log"))
        reply = json.loads(line)
        if reply.get("error"):
            raise LabError(reply["error"])
        return reply

    def close(self):
        for stream in self.streams:
            stream.stop()
        self.streams = []
        self.power_off()
        if self in open_hosts:
            open_hosts.remove(self)
            remove_remains(self.folder, self.cgroups)
            self.lock.close()

    def power_off(self):
        """Everything that runs ends at once, as when the plug is pulled; the folder stays, its disk."""
        if not self.process:
            return
        self.process.stdin.close()  # process 1 ends, and with it everything
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process, self.engine_pid = None, 0

    def power_on(self):
        """After power_off: the machine boots. What only lives in memory, the exec root, is gone; the engine is not started."""
        remove_cgroups(self.cgroups)
        shutil.rmtree(self.exec_root, ignore_errors=True)
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self._start_init()

    # --- the engine
    def start(self):
        """Starts the engine and waits until it answers."""
        environment = {"HOME": "/root", "PATH": os.environ["PATH"]}
        flags = ["--data-root", self.data_root, "--exec-root", self.exec_root, "-H", "unix://" + self.socket]
        if os.path.basename(self.engine) == "dockerd":
            oracle = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(self.engine))))
            flags += ["--pidfile", "/run/dockerd.pid", "--userland-proxy-path", oracle + "/usr/sbin/docker-proxy"]
            environment.update(PATH=f"{oracle}/bin:{oracle}/usr/sbin:{oracle}/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                               LD_LIBRARY_PATH=oracle + "/usr/lib/x86_64-linux-gnu", DOCKER_RAMDISK="yes",
                               XTABLES_LIBDIR=oracle + "/usr/lib/x86_64-linux-gnu/xtables")
        request = {"op": "spawn", "argv": [self.engine] + flags + self.engine_flags, "env": environment, "log": self.log}
        self.engine_pid = self._ask(request)["pid"]
        until(self._answers, f"{self.engine} does not answer; its log ends with:\n" + self._tail("engine.log"), 60)

    def _answers(self):
        code = self._ask({"op": "status", "pid": self.engine_pid})["ended"]
        if code is not None:
            raise LabError(f"{self.engine} ended with {code}:\n" + self._tail("engine.log"))
        try:
            return self.api("GET", "/_ping", timeout=5).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def engine_is_alive(self):
        return self._ask({"op": "status", "pid": self.engine_pid})["ended"] is None

    def _signal_engine(self, number):
        self._ask({"op": "kill", "pid": self.engine_pid, "signal": number})
        until(lambda: not self.engine_is_alive(), "the engine did not end")

    def kill9(self):
        """The engine is gone at once; containers are not told."""
        self._signal_engine(signal.SIGKILL)

    def stop(self):
        """The engine is asked to end."""
        self._signal_engine(signal.SIGTERM)

    def restart(self):
        if self.engine_is_alive():
            self.stop()
        self.start()

    def load(self, image):
        self.docker("load", "-q", "-i", image_archive(image)).check()

    def engine_log(self, lines=25):
        return self._tail("engine.log", lines)

    def _tail(self, name, lines=25):
        try:
            with open(os.path.join(self.folder, name), errors="replace") as file:
                return "".join(file.readlines()[-lines:])
        except OSError:
            return ""

    # --- the client's side
    def environment(self):
        clean = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")}
        return {**clean, "DOCKER_HOST": "unix://" + self.socket, "DOCKER_CONFIG": os.path.join(self.folder, "docker-config"),
                "DOCKER_CLI_HINTS": "false", "TERM": "xterm", "LC_ALL": "C.UTF-8"}

    def docker(self, *arguments, input=None, timeout=LONGEST_WAIT, **options):
        """One command of the stock CLI. input: text or bytes for its standard input (default: none, /dev/null)."""
        command = [DOCKER, *map(str, arguments)]
        data = input.encode() if isinstance(input, str) else input
        source = {"stdin": subprocess.DEVNULL} if data is None else {"input": data}
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment(),
                                  timeout=timeout * SLOW, **source, **options)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"$ {' '.join(command)}: no end in {timeout * SLOW:g} s; stdout {error.stdout!r}, stderr {error.stderr!r}") from None
        return Result(command, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"), done.stdout)

    def stream(self, *arguments, stdin=False):
        command = [DOCKER, *map(str, arguments)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE if stdin else subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=self.environment())
        self.streams.append(Stream(process, " ".join(command)))
        return self.streams[-1]

    def terminal(self, *arguments, rows=24, columns=80):
        self.streams.append(Terminal([DOCKER, *map(str, arguments)], self.environment(), rows, columns))
        return self.streams[-1]

    def api(self, method, path, body=None, headers=None, timeout=LONGEST_WAIT):
        """One request as it stands; body: bytes or text as it is, anything else as JSON."""
        connection = UnixConnection(self.socket, timeout)
        try:
            all_headers = dict(headers or {})
            if body is not None and not isinstance(body, (bytes, str)):
                body = json.dumps(body)
                all_headers.setdefault("Content-Type", "application/json")
            connection.request(method, path, body, all_headers)
            response = connection.getresponse()
            return Response(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def run_in(self, *command, netns=None, input=None, timeout=LONGEST_WAIT):
        """A program of this machine inside the host's namespaces."""
        inside = ["ip", "netns", "exec", netns] if netns else []
        full = ["nsenter", "-t", str(self.init_pid), "-m", "-n", "-u", "-i", "-p", "-C", "--", *inside, *command]
        done = subprocess.run(full, input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout * SLOW,
                              stdin=subprocess.DEVNULL if input is None else None)
        return Result(list(command), done.returncode, done.stdout, done.stderr)

    def spare_monitors(self):
        """Ids of containers that are not made yet, whose monitor waits: of ones just created, and of the engine's spare one."""
        found = [re.search(r" create .*\b([0-9a-f]{64})$", line.strip()) for line in self.run_in("ps", "-ww", "-eo", "args").lines]
        return sorted(match[1] for match in found if match)

    # --- what a user can see of a container
    def inspect(self, name, kind="container"):
        return json.loads(self.docker(kind, "inspect", name).check().out)[0]

    def is_running(self, name):
        return self.inspect(name)["State"]["Running"]

    def wait_running(self, name):
        until(lambda: self.is_running(name), f"{name} runs")

    def wait_exited(self, name):
        return until(lambda: (lambda state: state if state["Status"] == "exited" else None)(self.inspect(name)["State"]), f"{name} exits")

    def wait_logs(self, name, text):
        until(lambda: text in (lambda r: r.out + r.err)(self.docker("logs", name)), f"logs of {name} hold {text!r}")

    def cgroup_value(self, container_id, v1, v2):
        """A limit as the kernel has it. v1: controller/file, v2: file; None when the container has no group there."""
        for root in self.cgroups:
            version_2 = os.path.exists(os.path.join(root, "cgroup.controllers"))
            if not version_2 and not root.startswith(f"/sys/fs/cgroup/{v1.split('/')[0]}/"):
                continue
            for folder, names, _ in os.walk(root):
                if container_id in os.path.basename(folder):
                    path = os.path.join(folder, v2 if version_2 else v1.split("/")[1])
                    if os.path.exists(path):
                        with open(path) as file:
                            return file.read().strip()
        return None

    def remove_everything(self):
        """Containers, networks and volumes of a test, so that the next one begins with none."""
        for stream in self.streams:
            stream.stop()
        self.streams = []
        for container in self.api("GET", "/containers/json?all=1").json:
            self.api("DELETE", f"/containers/{container['Id']}?force=1&v=1")
        for network in self.api("GET", "/networks").json:
            if network["Name"] not in ("bridge", "host", "none", "ingress", "docker_gwbridge"):
                self.api("DELETE", "/networks/" + network["Id"])
        for volume in self.api("GET", "/volumes").json.get("Volumes") or []:
            self.api("DELETE", f"/volumes/{volume['Name']}?force=1")


# --- images
def image_archive(name):
    folder = os.path.join(CACHE, "images")
    done = subprocess.run([os.path.join(REPO, "test", "images", "assemble"), name, folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise LabError(done.stderr.strip())
    return done.stdout.strip()


# --- what a host leaves to remove
open_hosts = []


def close_all():
    for host in list(open_hosts):
        try:
            host.close()
        except Exception as error:  # the others must still be closed
            print(f"lab: {host.id}: {error}", file=sys.stderr)


atexit.register(close_all)


def cgroup_controllers():
    """Names of the version 1 controllers mounted here; empty where only version 2 is."""
    names = []
    with open("/proc/self/mounts") as file:
        for line in file:
            _, path, kind, *_ = line.split()
            if kind == "cgroup" and path.startswith("/sys/fs/cgroup/"):
                names.append(path.rpartition("/")[2])
    return sorted(names)


def make_cgroup(root, name):
    path = os.path.join(root, name)
    os.mkdir(path)
    for file in ("cpuset.cpus", "cpuset.mems"):  # version 1: a new group has none, and then takes no process
        if root.endswith("/cpuset"):
            with open(os.path.join(root, file)) as source, open(os.path.join(path, file), "w") as target:
                target.write(source.read())
    return path


def start_time(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def children_of(parent):
    with open(f"/proc/{parent}/task/{parent}/children") as file:
        return [int(pid) for pid in file.read().split()]


def remove_cgroups(cgroups):
    for group in cgroups:
        end = time.monotonic() + 10
        while os.path.isdir(group):
            for path, _, _ in os.walk(group, topdown=False):
                try:
                    os.rmdir(path)
                except OSError:
                    pass
            if os.path.isdir(group):
                if time.monotonic() > end:
                    raise LabError(f"{group} cannot be removed")
                time.sleep(0.02)


def remove_remains(folder, cgroups):
    remove_cgroups(cgroups)
    remove = ["rm", "-rf", "--one-file-system", "--", folder]  # rmtree() recurses: a test makes folders thousands deep
    if subprocess.run(remove, stderr=subprocess.DEVNULL).returncode != 0:
        subprocess.run(["chattr", "-R", "-i", folder], stderr=subprocess.DEVNULL)
        subprocess.run(remove, check=True)


def base_lock():
    """Held while a folder is made or swept, so that a new one is never taken for a remainder."""
    os.makedirs(BASE, mode=0o711, exist_ok=True)
    file = open(os.path.join(BASE, ".lock"), "w")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def sweep():
    """Removes what runs that were killed left behind: hosts whose lock nobody holds."""
    with base_lock():
        for name in os.listdir(BASE):
            if name.startswith("panal-e2e-"):
                sweep_one(os.path.join(BASE, name))


def sweep_one(folder):
    try:
        lock = open(os.path.join(folder, "lock"), "a")
    except FileNotFoundError:  # its owner is just removing it
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        try:
            with open(os.path.join(folder, "state.json")) as file:
                state = json.load(file)
        except (OSError, ValueError):
            state = {"cgroups": [], "pid": 0, "started": ""}
        if state["pid"] and state["started"] and start_time(state["pid"]) == state["started"]:
            os.kill(state["pid"], signal.SIGKILL)  # unshare --kill-child takes process 1 with it
        remove_remains(folder, state["cgroups"])
