"""The two engines under measurement, each alone in a test host of its own (../test/e2e/lab.py): Debian's dockerd 20.10 with its
containerd, and panald. Same kernel, same disk, same kind of namespaces, same client.

Owns: where dockerd comes from, starting both, and counting the memory of their processes. It never installs a service: dockerd
is the machine's own if there is one, else unpacked from Debian's packages by ../test/e2e/oracle, and runs inside the host only.
Both end with this process, by kill -9 too; what such an end leaves on disk the next run removes (lab.sweep).
"""

import fcntl
import os
import re
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
REPO = os.path.dirname(HERE)
os.environ.setdefault("PANAL_BENCH_DIR", "/var/tmp/panal-bench")
os.environ["PANAL_E2E_DIR"] = os.environ["PANAL_BENCH_DIR"]  # not the tests' folder: each sweeps only its own
# Docker asks a registry for the image of every task, and there is none here: with this it takes the image it has, at once.
os.environ["DOCKER_SERVICE_PREFER_OFFLINE_IMAGE"] = "1"
sys.path[:0] = [os.path.join(REPO, "test", "e2e"), os.path.join(REPO, "test", "images")]
sys.dont_write_bytecode = True
import lab  # noqa: E402

LEAST_FREE_MB = 5000  # both image stores, the registry and the archives together


class NotYet(Exception):
    """The engine does not have the thing; the text says what it answered."""


class Failed(Exception):
    """The engine has the thing, but it did not work."""


class Engine(lab.Host):
    """A test host with one engine in it. Life cycle: with-statement, as lab.Host."""

    def must(self, *arguments, timeout=60):
        """One docker command that has to work; its output without the line's end."""
        try:
            done = self.docker(*arguments, timeout=timeout)
        except AssertionError as error:
            raise Failed(str(error)[:300]) from None
        if done.code != 0:
            self.refuse(" ".join(map(str, arguments[:2])), done.err)
        return done.line

    @staticmethod
    def refuse(what, message):
        message = message.strip().splitlines()[-1] if message.strip() else "no message"
        missing = re.search(r"not (yet )?(implemented|supported)|page not found|\b50[13]\b|is not there yet", message, re.I)
        raise (NotYet if missing else Failed)(f"{what}: {message}"[:160])

    def call(self, method, path, body=None, timeout=60):
        """One request of the API; the answer's JSON. Statuses of a thing that does not exist raise NotYet."""
        try:
            answer = self.api(method, path, body, timeout=timeout)
        except OSError as error:
            raise Failed(f"{method} {path}: {error}") from None
        if answer.status in (501, 503):
            raise NotYet(f"{path}: {answer.status}")
        if answer.status >= 400:
            self.refuse(path, answer.body.decode(errors="replace"))
        return answer.json if answer.body.strip() else None

    def processes(self):
        """Process ids of the engine's side: all in the host's own pid namespace but process 1. A container's own
        processes have a namespace each and are not among them; shims, conmons and proxies are."""
        own = os.readlink(f"/proc/{self.init_pid}/ns/pid")
        found = []
        for name in os.listdir("/proc"):
            try:
                if name.isdigit() and int(name) != self.init_pid and os.readlink(f"/proc/{name}/ns/pid") == own:
                    found.append(int(name))
            except OSError:
                pass
        return found

    def memory(self, pids=None):
        """(resident, proportional) bytes of these processes, of all of the engine's if none are given."""
        resident = proportional = 0
        for pid in self.processes() if pids is None else pids:
            try:
                with open(f"/proc/{pid}/smaps_rollup") as file:
                    text = file.read()
            except OSError:
                continue
            resident += int(re.search(r"^Rss:\s+(\d+)", text, re.M)[1]) * 1024
            proportional += int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1]) * 1024
        return resident, proportional

    def spawn(self, argv, log):
        """Starts a program beside the engine, in its namespaces; its process id there, for end()."""
        return self._ask({"op": "spawn", "argv": argv, "env": {}, "log": log})["pid"]

    def end(self, pid):
        self._ask({"op": "kill", "pid": pid, "signal": signal.SIGTERM})
        lab.until(lambda: self._ask({"op": "status", "pid": pid})["ended"] is not None, "the program beside the engine ends", 10)

    def remove_containers(self):
        for container in self.api("GET", "/containers/json?all=1").json:
            self.api("DELETE", f"/containers/{container['Id']}?force=1&v=1")


def dockerd_program():
    installed = "/usr/sbin/dockerd"
    if os.access(installed, os.X_OK):
        return installed
    oracle = os.path.join(REPO, "test", "e2e", "oracle")
    done = subprocess.run([oracle, "-l"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=300)
    if done.returncode != 0:
        raise lab.LabError(f"Debian's dockerd cannot be fetched ({oracle}): {done.stderr.strip()[-300:]}")
    return os.path.join(lab.CACHE, "oracle", "root", "usr", "sbin", "dockerd")


def docker():
    return Engine(["alpine", "hostname"], engine=dockerd_program(), name="docker")


def panal():
    return Engine(["alpine", "hostname"], engine=os.path.join(lab.BIN, "panald"), name="panal")


def only_one():
    """Held for the whole run: two measurements at once measure each other."""
    os.makedirs(lab.BASE, mode=0o711, exist_ok=True)
    file = open(os.path.join(lab.BASE, ".bench"), "w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise lab.LabError("another bench/run is under way on this machine") from None
    free_mb = os.statvfs(lab.BASE).f_bavail * os.statvfs(lab.BASE).f_frsize >> 20
    if free_mb < LEAST_FREE_MB:
        raise lab.LabError(f"{lab.BASE} has {free_mb} MB free, {LEAST_FREE_MB} are needed (PANAL_BENCH_DIR names another folder)")
    return file


def machine():
    """What the numbers depend on, as pairs for the table's head."""
    with open("/proc/cpuinfo") as file:
        model = re.search(r"^model name\s*: (.*)$", file.read(), re.M)
    with open("/etc/os-release") as file:
        system = re.search(r'^PRETTY_NAME="?([^"\n]*)', file.read(), re.M)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    groups = "cgroup version 1 (hybrid)" if lab.cgroup_controllers() else "cgroup version 2"
    return {"cpu": model[1].strip() if model else os.uname().machine, "cores": str(os.cpu_count()), "memory": f"{memory:.0f} GB",
            "kernel": os.uname().release, "system": system[1] if system else "unknown", "cgroups": groups}
