#!/usr/bin/python3
"""Process 1 of a test host: prepares the private namespaces it was started in, then starts and signals programs on
request, one JSON object per line on standard input, one answer per line on standard output.

It ends when standard input ends, that is with whoever holds the other end, whatever that one died of; the kernel then
ends every process of the host and drops its mounts, links and rules. Nothing here outlives a test run.
Standard library only; runs as root in new mount, net, uts, ipc, pid and cgroup namespaces.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys

libc = ctypes.CDLL(None, use_errno=True)


def mount(source, target, kind, flags=0, data=""):
    if libc.mount(source.encode(), target.encode(), kind.encode(), flags, data.encode()) != 0:
        raise OSError(ctypes.get_errno(), f"mount {kind} on {target}")


def ip(*batches):
    for netns, text in batches:
        command = ["ip"] + (["-n", netns] if netns else []) + ["-batch", "-"]
        subprocess.run(command, input=text, text=True, check=True, stdout=sys.stderr)


def mount_own_cgroups(controllers):
    """The controllers as seen from the host's own cgroup namespace: its root is the group the harness made.
    controllers: names of version 1 mounts; empty means version 2."""
    if not controllers:
        mount("cgroup2", "/sys/fs/cgroup", "cgroup2")
        with open("/sys/fs/cgroup/init/cgroup.procs", "w") as file:
            file.write("1")
        with open("/sys/fs/cgroup/cgroup.controllers") as file:
            wanted = " ".join("+" + name for name in file.read().split())
        with open("/sys/fs/cgroup/cgroup.subtree_control", "w") as file:
            file.write(wanted)
        return
    mount("tmpfs", "/sys/fs/cgroup", "tmpfs", 0, "mode=755")
    for name in controllers:
        os.mkdir("/sys/fs/cgroup/" + name)
        option = "none,name=systemd" if name == "systemd" else name
        mount("cgroup", "/sys/fs/cgroup/" + name, "cgroup", 0, option)


def prepare(setup):
    apparmor = os.path.isdir("/sys/kernel/security/apparmor")
    libc.umount2(b"/sys", 2)  # MNT_DETACH: what is mounted below goes too
    mount("sysfs", "/sys", "sysfs")
    if apparmor:
        mount("securityfs", "/sys/kernel/security", "securityfs")
    mount_own_cgroups(setup["controllers"])
    mount("tmpfs", "/run", "tmpfs", 0, "mode=755")
    for source, target in setup["binds"].items():
        mount(os.path.realpath(source), os.path.realpath(target), "none", 4096)  # MS_BIND
    libc.sethostname(setup["hostname"].encode(), len(setup["hostname"]))
    with open("/proc/sys/net/ipv4/ip_forward", "w") as file:
        file.write("0")
    if not setup["wired"]:
        ip(("", "link set lo up\n"))
        return
    ip(("", "netns add client\n" "link set lo up\n" "link add eth0 type veth peer name to-host netns client\n"
        "addr add 192.0.2.1/24 dev eth0\n" "addr add 2001:db8::1/64 dev eth0 nodad\n" "link set eth0 up\n"),
       ("client", "link set lo up\n" "link add lan0 type bridge\n" "link set to-host master lan0\n" "link set to-host up\n"
        "addr add 192.0.2.100/24 dev lan0\n" "addr add 192.0.2.101/24 dev lan0\n" "addr add 2001:db8::100/64 dev lan0 nodad\n"
        "link set lan0 up\n"))


class Programs:
    def __init__(self):
        self.ended = {}  # pid -> exit code, or minus the signal

    def spawn(self, request):
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        pid = os.posix_spawn(request["argv"][0], request["argv"], {**os.environ, **request["env"]},
                             file_actions=[(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)],
                             setsid=True, setsigmask=[], setsigdef=[signal.SIGCHLD, signal.SIGPIPE, signal.SIGINT])
        os.close(log)
        os.close(null)
        return {"pid": pid}

    def reap(self):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.ended[pid] = os.waitstatus_to_exitcode(status)

    def answer(self, request):
        self.reap()
        if request["op"] == "spawn":
            return self.spawn(request)
        if request["op"] == "kill":
            if request["pid"] not in self.ended:
                os.kill(request["pid"], request["signal"])
            return {}
        if request["op"] == "status":
            return {"ended": self.ended.get(request["pid"])}
        return {"error": f"unknown request {request['op']}"}


def serve():
    programs = Programs()
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    pending = b""
    while True:
        ready, _, _ = select.select([0, wake_read], [], [])
        if wake_read in ready:
            os.read(wake_read, 4096)
            programs.reap()
        if 0 not in ready:
            continue
        data = os.read(0, 65536)
        if not data:
            return
        pending += data
        while b"\n" in pending:
            line, _, pending = pending.partition(b"\n")
            try:
                reply = programs.answer(json.loads(line))
            except OSError as error:
                reply = {"error": str(error)}
            os.write(1, json.dumps(reply).encode() + b"\n")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C on the terminal is the harness's to handle
    prepare(json.loads(sys.stdin.buffer.raw.readline()))
    os.write(1, b'{"ready": true}\n')
    serve()
