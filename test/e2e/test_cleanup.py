"""After rm nothing of a container is left on the machine: no mount, namespace, cgroup, process, link, rule or file."""

import os
import sys
import unittest

import lab
import net
from case import EngineCase
from lab import until

DEEP = """import os, sys
at = os.open(sys.argv[1], os.O_PATH)
for _ in range(int(sys.argv[2])):
    os.mkdir("d", dir_fd=at)
    below = os.open("d", os.O_PATH, dir_fd=at)
    os.close(at)
    at = below
"""


class CleanupTest(EngineCase):
    images = ("alpine", "hostname")

    def setUp(self):
        super().setUp()
        self.docker("run", "--rm", "-p", "8099:80", "alpine", "true").check()  # what is made once and stays, is made now
        self.docker("network", "create", "warm").check()
        self.docker("network", "rm", "warm").check()

    def snapshot(self):
        """What a container could leave behind. The one monitor that waits for the next container is nobody's."""
        until(lambda: len(self.host.spare_monitors()) < 2, "monitors that nobody wants end")
        mounts = sorted(line.split()[4] for line in self.host.run_in("cat", "/proc/1/mountinfo").out.splitlines())
        groups = sorted(path for root in self.host.cgroups for path, _, _ in os.walk(root))
        processes = sorted(text for text in net.pid_namespace_processes(self.host).values() if text and not text.startswith("docker-proxy"))
        rules = [line for line in self.host.run_in("nft", "list", "ruleset").out.splitlines() if "counter" not in line]
        folders = sorted(path for root in (self.host.data_root, self.host.exec_root) for path in self.folders(root))
        namespaces = sorted(line.split()[0] for line in self.host.run_in("lsns", "-rno", "NS").out.splitlines())
        spares = self.host.spare_monitors()
        processes, folders = ([text for text in found if not any(spare in text for spare in spares)] for found in (processes, folders))
        return {"mounts": mounts, "cgroups": groups, "processes": processes, "links": sorted(net.links(self.host)), "rules": rules, "folders": folders, "namespaces": len(namespaces)}

    def folders(self, root):
        """Two levels below each folder of the engine: one entry per container, layer or volume."""
        for first in os.scandir(root):
            if lab.IS_DOCKERD and first.name == "netns":
                continue  # it clears these up once a minute
            if first.is_dir(follow_symlinks=False):
                for second in os.scandir(first.path):
                    yield second.path
                    if second.is_dir(follow_symlinks=False):
                        for third in os.scandir(second.path):
                            yield third.path

    def assertNothingLeft(self, before):
        def difference():
            after = self.snapshot()
            return {key: (set(map(str, after[key])) - set(map(str, before[key])) if isinstance(after[key], list) else after[key] - before[key])
                    for key in after if after[key] != before[key] and (not isinstance(after[key], list) or set(map(str, after[key])) - set(map(str, before[key])))}
        try:
            until(lambda: not difference(), "everything is gone", 10)
        except AssertionError:
            self.fail(f"left behind: {difference()}")

    @unittest.skipIf(lab.IS_DOCKERD, "it opens one descriptor for each level")
    def test_folders_deeper_than_descriptors(self):
        """A container and a volume with more folders in each other than the engine may have files open."""
        before = self.snapshot()
        self.docker("run", "-d", "--name", "box", "-v", "deep:/volume", "alpine", "sleep", "1000").check()
        self.host.run_in("prlimit", "--nofile=2000:2000", "--pid", str(self.host.engine_pid)).check()
        self.addCleanup(self.host.restart)
        pid = self.host.inspect("box")["State"]["Pid"]
        for where in ("/", "/volume"):
            self.host.run_in(sys.executable, "-c", DEEP, f"/proc/{pid}/root{where}", "5000").check()
        self.docker("ps", "-as").check()
        self.docker("system", "df").check()
        self.docker("rm", "-f", "box").check()
        self.docker("volume", "rm", "deep").check()
        self.assertNothingLeft(before)

    def test_run_rm(self):
        before = self.snapshot()
        for _ in range(3):
            self.docker("run", "--rm", "alpine", "true").check()
        self.assertNothingLeft(before)

    def test_everything_at_once(self):
        before = self.snapshot()
        self.docker("network", "create", "mine").check()
        self.docker("run", "-d", "--name", "box", "--network", "mine", "-p", "8080:3000", "-p", "8080:3000/udp", "-v", "data:/data", "-v", "/anonymous", "--tmpfs", "/scratch",
                    "-m", "64m", "--cpus", "0.5", "hostname").check()
        self.docker("exec", "-d", "box", "sleep", "1000").check()
        self.docker("exec", "box", "sh", "-c", "echo x > /file; echo y > /data/f").check()
        self.docker("rm", "-f", "-v", "box").check()
        self.docker("network", "rm", "mine").check()
        self.docker("volume", "rm", "data").check()
        self.assertNothingLeft(before)

    def test_programs_of_exec(self):
        """One that is over and one that ends with the container."""
        before = self.snapshot()
        self.docker("run", "-d", "--name", "box", "alpine", "sleep", "1000").check()
        self.docker("exec", "box", "true").check()
        self.docker("exec", "box", "nosuch")
        self.docker("exec", "-d", "box", "sleep", "1000").check()
        self.docker("rm", "-f", "box").check()
        self.assertNothingLeft(before)

    def test_failed_starts(self):
        before = self.snapshot()
        self.docker("run", "--rm", "alpine", "nosuch")
        self.docker("run", "--rm", "-u", "nosuch", "alpine", "true")
        self.docker("run", "-d", "--name", "holder", "-p", "8080:3000", "hostname").check()
        self.docker("run", "--rm", "-p", "8080:3000", "alpine", "true")
        self.docker("run", "--rm", "--network", "nosuch", "alpine", "true")
        self.docker("run", "--rm", "-w", "/etc/passwd", "alpine", "true")
        self.docker("rm", "-f", "holder").check()
        self.assertNothingLeft(before)

    def test_stopped_container_holds_no_process_mount_or_link(self):
        before = self.snapshot()
        self.docker("run", "--name", "box", "-p", "8080:80", "-v", "data:/data", "alpine", "true").check()
        after = self.snapshot()
        for key in ("mounts", "cgroups", "processes"):
            self.assertEqual(after[key], before[key], key)
        until(lambda: self.snapshot()["links"] == before["links"], "the kernel has taken its namespace down")
        self.docker("rm", "-v", "box").check()
        self.docker("volume", "rm", "data").check()
        self.assertNothingLeft(before)

    def test_after_the_engine_was_killed(self):
        before = self.snapshot()
        self.docker("run", "-d", "--name", "box", "-p", "8080:3000", "hostname").check()
        self.docker("run", "-d", "--name", "ends", "alpine", "sleep", "1000").check()
        pid = self.host.inspect("ends")["State"]["Pid"]
        self.host.kill9()
        self.host.run_in("kill", "-9", str(pid)).check()
        self.host.start()
        self.docker("rm", "-f", "box", "ends").check()
        if not lab.IS_DOCKERD:  # without live-restore everything of its own was restarted too
            self.assertNothingLeft(before)

    def test_open_files_of_the_engine_do_not_grow(self):
        pid = until(lambda: next((pid for pid, text in net.pid_namespace_processes(self.host).items() if text.startswith(self.host.engine)), None), "the engine runs")
        count = lambda: len(os.listdir(f"/proc/{pid}/fd"))  # noqa: E731

        def work():
            self.docker("run", "--rm", "-p", "8080:80", "alpine", "true").check()
            self.docker("run", "-d", "--name", "box", "alpine", "sleep", "1000").check()
            self.docker("exec", "box", "true").check()
            self.docker("logs", "box").check()
            self.docker("rm", "-f", "box").check()
            stream = self.host.stream("events")
            self.docker("volume", "create", "probe").check()
            stream.stop()
            self.docker("volume", "rm", "probe").check()
        for _ in range(3):
            work()
        before = count()
        for _ in range(8):
            work()
        until(lambda: count() <= before + 2, f"no more than the {before} files open before", 10)

    def test_image_leaves_nothing(self):
        before = set(self.folders(self.host.data_root))
        self.host.load("nginx")
        self.docker("rmi", "nginx").check()
        until(lambda: set(self.folders(self.host.data_root)) <= before, "layers and blobs are gone", 10)


class EngineEndTest(EngineCase):
    def test_stop_of_the_engine_ends_its_helpers(self):
        """With no container left, nothing of the engine runs after it ended."""
        self.docker("run", "--rm", "alpine", "true").check()
        self.host.stop()
        try:
            left = [text for pid, text in net.pid_namespace_processes(self.host).items() if text and "init.py" not in text and "unshare" not in text]
            self.assertEqual(left, [])
        finally:
            self.host.start()


if __name__ == "__main__":
    unittest.main()
