"""The default AppArmor profile; only where the kernel has AppArmor (test/vm/run e2e test_apparmor)."""

import os
import subprocess
import unittest

import case

PROFILES = "/sys/kernel/security/apparmor"


@unittest.skipUnless(os.path.isdir(PROFILES) and os.path.exists("/sbin/apparmor_parser"), "no AppArmor here")
class AppArmorTest(case.EngineCase):
    images = ["alpine"]
    CURRENT = ["cat", "/proc/self/attr/current"]

    def profile(self, *options):
        return self.docker("run", "--rm", *options, "alpine", *self.CURRENT).check().line

    def box(self, *options):
        self.docker("run", "-d", "--name", "box", *options, "alpine", "sleep", "1000").check()
        return self.host.inspect("box")["AppArmorProfile"]

    def test_containers_run_under_it(self):
        self.assertEqual(self.profile(), "docker-default (enforce)")
        self.assertEqual(self.profile("--user", "nobody", "--security-opt", "no-new-privileges"), "docker-default (enforce)")
        self.assertEqual(self.profile("--security-opt", "apparmor=docker-default"), "docker-default (enforce)")
        self.assertEqual(self.profile("--runtime", "runc"), "docker-default (enforce)")
        self.assertIn("name=apparmor", self.docker("info", "--format", "{{.SecurityOptions}}").line)

    def test_not_where_it_is_declined_nor_with_privileges(self):
        self.assertEqual(self.profile("--security-opt", "apparmor=unconfined"), "unconfined")
        self.assertEqual(self.profile("--privileged"), "unconfined")
        self.assertFails(self.docker("run", "--rm", "--security-opt", "apparmor=nosuch-profile", "alpine", "true"), "profile nosuch-profile is not loaded", code=125)

    def test_inspect_and_exec(self):
        self.assertEqual(self.box(), "docker-default")
        self.assertEqual(self.docker("exec", "box", *self.CURRENT).check().line, "docker-default (enforce)")
        self.assertEqual(self.docker("exec", "--privileged", "box", *self.CURRENT).check().line, "docker-default (enforce)")
        self.docker("rm", "-f", "box").check()
        self.assertEqual(self.box("--privileged"), "unconfined")
        self.assertEqual(self.docker("exec", "box", *self.CURRENT).check().line, "unconfined")

    def test_what_it_forbids(self):
        attempts = {"mount": "mount -t tmpfs tmpfs /mnt", "bind": "mkdir /a && mount --bind /a /mnt", "sysctl": "echo 1 > /proc/sys/vm/drop_caches",
                    "trigger": "echo h > /proc/sysrq-trigger", "sys": "echo 1 > /sys/kernel/mm/ksm/run"}
        open_paths = ["--cap-add", "ALL", "--security-opt", "systempaths=unconfined", "--security-opt", "seccomp=unconfined", "-v", "/sys:/sys"]
        for name, attempt in attempts.items():
            with self.subTest(name):
                command = ["run", "--rm", *open_paths, "alpine", "sh", "-c", attempt]
                result = self.docker(*command)
                self.assertNotEqual(result.code, 0, str(result))
                self.assertIn("ermission denied", result.err)
        free = self.docker("run", "--rm", *open_paths, "--security-opt", "apparmor=unconfined", "alpine", "sh", "-c", attempts["mount"])
        self.assertEqual(free.code, 0, str(free))

    def test_what_it_leaves(self):
        script = "mkdir /x && echo a > /x/a && ln /x/a /x/b && echo 5 > /proc/self/oom_score_adj && kill -0 1 && ls /proc/1/fd > /dev/null && " \
                 "cat /proc/1/environ > /dev/null && umask 0 && ping -c 1 127.0.0.1 > /dev/null && echo fine"
        self.assertEqual(self.docker("run", "--rm", "alpine", "sh", "-c", script).check().line, "fine")

    def test_the_host_reaches_in(self):
        self.box("--init")
        self.assertIn("sleep 1000", self.docker("top", "box").check().out)
        self.docker("kill", "-s", "USR1", "box").check()
        self.assertEqual(self.docker("stop", "-t", "20", "box").check().line, "box")
        self.assertIn(self.host.inspect("box")["State"]["ExitCode"], (138, 143))

    def test_it_is_loaded_again_when_somebody_unloaded_it(self):
        self.box()
        self.docker("rm", "-f", "box").check()
        subprocess.run(["sh", "-c", f"printf docker-default > {PROFILES}/.remove"], check=True)
        with open(PROFILES + "/profiles") as file:
            self.assertNotIn("docker-default", file.read())
        self.assertEqual(self.profile(), "docker-default (enforce)")

    def test_builds_are_confined(self):
        file = "FROM alpine\nRUN cat /proc/self/attr/current > /profile\n"
        self.docker("build", "-t", "confined", "-", input=file).check()
        self.assertEqual(self.docker("run", "--rm", "confined", "cat", "/profile").check().line, "docker-default (enforce)")
