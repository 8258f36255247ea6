"""What docker run sets for the program: environment, folder, user, names, limits, capabilities, devices.

The first classes are what every engine must have. `OptionalTest` holds options that may not be there yet: each is honoured,
or refused by name (then the test is skipped); accepted and ignored is a failure.
"""

import json
import subprocess
import unittest

import lab
from case import EngineCase, OwnHostCase
from lab import until


class RunCase(EngineCase):
    def out(self, *arguments):
        """Output of docker run --rm with these arguments."""
        return self.docker("run", "--rm", *arguments).check().out

    def sh(self, *options_and_script):
        *options, script = options_and_script
        return self.out(*options, "alpine", "sh", "-c", script)


class EnvironmentTest(RunCase):
    images = ("alpine", "hostname")

    def test_variables(self):
        self.assertEqual(self.sh("-e", "A=1", "-e", "B=two words", "-e", "EMPTY=", "echo \"$A|$B|${EMPTY-unset}\""), "1|two words|\n")

    def test_from_the_clients_environment(self):
        done = subprocess.run([lab.DOCKER, "run", "--rm", "-e", "FROM_CLIENT", "-e", "NOT_SET", "alpine", "sh", "-c", "echo $FROM_CLIENT ${NOT_SET-unset}"],
                              env={**self.host.environment(), "FROM_CLIENT": "yes"}, stdout=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(done.stdout, "yes unset\n")

    def test_file(self):
        path = self.host.scratch + "/env"
        with open(path, "w") as file:
            file.write("# comment\nX=1\nY=a=b\n")
        self.assertEqual(self.sh("--env-file", path, "echo $X $Y"), "1 a=b\n")

    def test_the_images_are_kept_and_overridden(self):
        self.assertEqual(self.out("-e", "X=1", "hostname", "sh", "-c", "echo $PORT $X"), "3000 1\n")
        self.assertEqual(self.out("-e", "PORT=4", "hostname", "sh", "-c", "echo $PORT"), "4\n")

    def test_the_usual_ones(self):
        identity = self.docker("run", "-d", "alpine", "env").check().line
        self.docker("wait", identity).check()
        lines = set(self.docker("logs", identity).check().lines)
        self.assertEqual(lines, {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=" + identity[:12], "HOME=/root"})


class IdentityTest(RunCase):
    def test_hostname(self):
        identity = self.docker("run", "-d", "alpine", "sh", "-c", "hostname; cat /etc/hostname").check().line
        self.docker("wait", identity)
        self.assertEqual(self.docker("logs", identity).lines, [identity[:12]] * 2)
        self.assertEqual(self.sh("-h", "named", "hostname; cat /etc/hostname; grep -w named /etc/hosts | wc -l; echo $HOSTNAME"), "named\nnamed\n1\nnamed\n")

    def test_working_folder(self):
        self.assertEqual(self.sh("-w", "/tmp", "pwd"), "/tmp\n")
        self.assertEqual(self.sh("-w", "/made/for/it", "pwd"), "/made/for/it\n")
        self.assertEqual(self.sh("pwd"), "/\n")

    def test_user(self):
        for user, expected in {"nobody": "65534 65534 65534", "1000": "1000 0 0", "1000:2000": "1000 2000 2000", "daemon:users": "2 100 100",
                               "0": "0 0 0 1 2 10", "guest": "405 100 100"}.items():
            with self.subTest(user):
                self.assertEqual(self.sh("-u", user, "echo $(id -u) $(id -g) $(id -G)").strip(), expected)

    def test_home_is_the_users(self):
        self.assertEqual(self.sh("-u", "daemon", "echo $HOME"), "/sbin\n")
        self.assertEqual(self.sh("-u", "12345", "echo $HOME"), "/\n")

    def test_unknown_user_is_refused(self):
        result = self.docker("run", "--rm", "-u", "nosuch", "alpine", "true")
        self.assertFails(result, "unable to find user nosuch: no matching entries in passwd file", code=125)
        self.assertFails(self.docker("run", "--rm", "-u", "root:nosuch", "alpine", "true"), "unable to find group nosuch: no matching entries in group file", code=125)

    def test_supplementary_groups(self):
        self.assertEqual(sorted(self.sh("-u", "guest", "--group-add", "wheel", "--group-add", "777", "id -G").split()), ["10", "100", "777"])

    def test_entrypoint(self):
        self.assertEqual(self.out("--entrypoint", "/bin/echo", "alpine", "a", "b"), "a b\n")
        self.assertEqual(self.docker("run", "--rm", "-i", "--entrypoint", "", "alpine", "echo", "plain").check().out, "plain\n")

    def test_entrypoint_override_drops_the_images_command(self):
        self.assertEqual(self.out("--entrypoint", "echo", "alpine"), "\n")

    def test_labels(self):
        identity = self.docker("create", "-l", "a=1", "--label", "b", "alpine").check().line
        self.assertEqual(self.host.inspect(identity)["Config"]["Labels"], {"a": "1", "b": ""})


class RootfsTest(RunCase):
    def test_each_container_has_its_own_changes(self):
        self.docker("run", "--name", "one", "alpine", "sh", "-c", "echo 1 > /made; rm /etc/profile; echo more >> /etc/os-release").check()
        self.assertEqual(self.sh("ls /made; ls /etc/profile; grep -c more /etc/os-release; true"), "/etc/profile\n0\n")
        self.docker("start", "-a", "one").check()

    def test_changes_survive_a_restart(self):
        self.docker("run", "--name", "one", "alpine", "sh", "-c", "echo x >> /count; cat /count | wc -l").check()
        self.assertEqual(self.docker("start", "-a", "one").check().out, "2\n")

    def test_read_only(self):
        result = self.docker("run", "--rm", "--read-only", "alpine", "sh", "-c", "echo x > /file; echo code $?; echo y > /dev/shm/z && cat /dev/shm/z")
        self.assertEqual(result.out, "code 1\ny\n")
        self.assertIn("Read-only file system", result.err)

    def test_tmpfs(self):
        self.assertEqual(self.sh("--read-only", "--tmpfs", "/scratch:size=1m,mode=700", "echo x > /scratch/f && cat /scratch/f; stat -c %a /scratch; df -k /scratch | tail -1 | awk '{print $2}'"), "x\n700\n1024\n")

    def test_files_the_engine_provides(self):
        self.assertEqual(self.sh("for f in hosts hostname resolv.conf; do test -w /etc/$f && echo $f; done"), "hosts\nhostname\nresolv.conf\n")
        self.assertIn("127.0.0.1\tlocalhost", self.sh("cat /etc/hosts"))

    def test_dev(self):
        self.assertEqual(self.sh("cd /dev; ls -d null zero full random urandom tty ptmx pts shm mqueue fd stdin stdout stderr 2>&1 | wc -l; echo x > null; head -c 4 zero | wc -c; df /dev/shm | tail -1 | awk '{print $2}'"), "14\n4\n65536\n")

    def test_kernel_files_are_protected(self):
        self.assertEqual(self.sh("echo x > /proc/sysrq-trigger && echo WRITABLE; cat /proc/kcore /proc/keys 2>/dev/null | wc -c; ls /sys/firmware | wc -l; echo 1 > /proc/sys/kernel/panic && echo WRITABLE; true").split()[-2:], ["0", "0"])
        self.assertNotIn("WRITABLE", self.sh("(echo 0 > /proc/sys/kernel/panic && echo WRITABLE); (echo x > /sys/kernel/mm/ksm/run && echo WRITABLE); true"))


class LimitsTest(RunCase):
    def value(self, options, v1, v2):
        identity = self.docker("run", "-d", *options, "alpine", "sleep", "1000").check().line
        return self.host.cgroup_value(identity, v1, v2)

    def test_memory(self):
        self.assertEqual(self.value(["-m", "64m"], "memory/memory.limit_in_bytes", "memory.max"), str(64 << 20))

    def test_memory_counts_from_the_first_page(self):
        result = self.docker("run", "--name", "fat", "-m", "16m", "alpine", "dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1")
        self.assertCode(result, 137)
        self.assertTrue(self.host.inspect("fat")["State"]["OOMKilled"])

    def test_no_oom_is_claimed_for_a_plain_kill(self):
        self.docker("run", "-d", "-m", "64m", "--name", "thin", "alpine", "sleep", "1000").check()
        self.docker("kill", "thin").check()
        state = self.host.wait_exited("thin")
        self.assertEqual((state["ExitCode"], state["OOMKilled"]), (137, False))

    def test_cpus(self):
        quota = self.value(["--cpus", "0.5"], "cpu/cpu.cfs_quota_us", "cpu.max")
        self.assertIn(quota, ("50000", "50000 100000"))

    def test_cpu_quota_and_period(self):
        self.assertIn(self.value(["--cpu-period", "50000", "--cpu-quota", "20000"], "cpu/cpu.cfs_quota_us", "cpu.max"), ("20000", "20000 50000"))

    def test_cpu_shares(self):
        self.assertIn(self.value(["-c", "512"], "cpu/cpu.shares", "cpu.weight"), ("512", "20", "59"))

    def test_cpuset(self):
        self.assertEqual(self.value(["--cpuset-cpus", "0"], "cpuset/cpuset.cpus", "cpuset.cpus"), "0")

    def test_pids(self):
        self.assertEqual(self.value(["--pids-limit", "32"], "pids/pids.max", "pids.max"), "32")
        result = self.docker("run", "--rm", "--pids-limit", "8", "alpine", "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 2 & done; wait")
        self.assertNotEqual(result.code, 0)
        self.assertIn("can't fork", result.err)

    def test_without_limits_there_are_none(self):
        identity = self.docker("run", "-d", "alpine", "sleep", "1000").check().line
        self.assertIn(self.host.cgroup_value(identity, "cpu/cpu.cfs_quota_us", "cpu.max"), ("-1", "max 100000"))
        self.assertGreater(int((self.host.cgroup_value(identity, "memory/memory.limit_in_bytes", "memory.max") or "max").replace("max", str(1 << 62))), 1 << 40)

    def test_limits_are_in_inspect(self):
        identity = self.docker("create", "-m", "64m", "--cpus", "1.5", "--pids-limit", "9", "--memory-reservation", "32m", "alpine").check().line
        config = self.host.inspect(identity)["HostConfig"]
        self.assertEqual((config["Memory"], config["NanoCpus"], config["PidsLimit"], config["MemoryReservation"]), (64 << 20, 1500000000, 9, 32 << 20))

    def test_impossible_limits_are_refused(self):
        for options, text in {("-m", "1m"): "Minimum memory limit allowed is 6MB", ("--cpus", "1000"): "ange of CPUs is from 0.01 to",
                              ("--cpuset-cpus", "77"): "equested CPUs are not available"}.items():
            with self.subTest(options):
                self.assertFails(self.docker("run", "--rm", *options, "alpine", "true"), text, code=125)

    def test_open_files(self):
        self.assertEqual(self.sh("--ulimit", "nofile=100:200", "ulimit -n; ulimit -Hn"), "100\n200\n")


class IsolationTest(RunCase):
    def test_processes(self):
        self.assertEqual(self.sh("cat /proc/1/comm; cat /proc/[0-9]*/comm 2>/dev/null | sort -u | grep -cvE '^(sh|cat|sort|grep|exe)$'; true"), "sh\n0\n")

    def test_capabilities_are_dockers_default(self):
        self.assertEqual(self.sh("grep CapEff /proc/self/status").split()[1], "00000000a80425fb")
        self.assertEqual(self.sh("-u", "1000", "grep CapEff /proc/self/status").split()[1], "0" * 16)

    def test_capabilities_added_and_dropped(self):
        self.assertEqual(self.sh("--cap-drop", "ALL", "grep CapEff /proc/self/status").split()[1], "0" * 16)
        self.assertEqual(self.sh("--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "grep CapEff /proc/self/status").split()[1], "0000000000001000")
        self.assertEqual(self.sh("--cap-add", "CAP_SYS_TIME", "grep CapEff /proc/self/status").split()[1], "00000000aa0425fb")
        self.assertFails(self.docker("run", "--rm", "--cap-add", "NONSENSE", "alpine", "true"), 'nvalid CapAdd: unknown capability: "CAP_NONSENSE"', code=125)

    def test_system_calls_are_filtered(self):
        self.assertEqual(self.sh("grep -w Seccomp /proc/self/status").split()[1], "2")
        result = self.docker("run", "--rm", "alpine", "unshare", "-m", "true")
        self.assertNotEqual(result.code, 0)
        self.assertIn("Operation not permitted", result.err)

    def test_system_calls_follow_the_capabilities(self):
        """What Docker lets through only with a capability works with it, and a filter is still there."""
        self.assertEqual(self.sh("--cap-add", "SYS_ADMIN", "unshare -u true && grep -w Seccomp /proc/self/status").split()[1], "2")
        self.assertIn("Operation not permitted", self.docker("run", "--rm", "alpine", "unshare", "-U", "true").err)
        self.assertEqual(self.docker("run", "--rm", "--privileged", "alpine", "grep", "-w", "Seccomp", "/proc/self/status").check().line.split()[1], "0")

    def test_exec_is_filtered_too(self):
        self.docker("run", "-d", "--name", "box", "alpine", "sleep", "1000").check()
        self.assertEqual(self.docker("exec", "box", "grep", "-w", "Seccomp", "/proc/self/status").check().line.split()[1], "2")
        self.assertIn("Operation not permitted", self.docker("exec", "box", "unshare", "-U", "true").err)

    def test_profile_of_the_user(self):
        path = self.host.scratch + "/profile.json"
        with open(path, "w") as file:
            json.dump({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 39}]}, file)
        self.assertIn("Directory not empty", self.docker("run", "--rm", "--security-opt", "seccomp=" + path, "alpine", "mkdir", "/made").err)
        with open(path, "w") as file:
            file.write('{"defaultAction": "SCMP_ACT_NONSENSE"}')
        self.assertFails(self.docker("run", "--rm", "--security-opt", "seccomp=" + path, "alpine", "true"), "SCMP_ACT_NONSENSE", code=125)

    def test_shown_by_info(self):
        self.assertIn("name=seccomp,profile=builtin", self.host.api("GET", "/info").json["SecurityOptions"])

    def test_mounting_is_not_allowed(self):
        self.assertNotEqual(self.docker("run", "--rm", "alpine", "mount", "-t", "tmpfs", "none", "/mnt").code, 0)

    def test_namespaces_differ_from_the_hosts(self):
        host = self.host.run_in("sh", "-c", "for n in mnt uts ipc pid net; do readlink /proc/1/ns/$n; done").lines
        container = self.sh("for n in mnt uts ipc pid net; do readlink /proc/1/ns/$n; done").splitlines()
        for theirs, ours in zip(host, container):
            self.assertNotEqual(theirs, ours)

    def test_devices_are_not_reachable(self):
        self.assertIn("Operation not permitted", self.docker("run", "--rm", "--cap-add", "MKNOD", "alpine", "sh", "-c", "mknod /d b 254 0 && cat /d").err)


@unittest.skipIf(lab.IS_DOCKERD, "its profile is built in")
class SeccompDefaultTest(OwnHostCase):
    def test_missing_profile_is_said_and_not_passed_over(self):
        self.host.run_in("mount", "-t", "tmpfs", "none", "/usr/share/containers").check()
        self.host.restart()
        self.assertIn("containers that are neither privileged nor unconfined are refused", self.host.engine_log())
        self.assertIn("golang-github-containers-common", "".join(self.host.api("GET", "/info").json["Warnings"]))
        self.assertFails(self.docker("run", "--rm", "alpine", "true"), "install the package golang-github-containers-common", code=125)
        self.docker("run", "--rm", "--security-opt", "seccomp=unconfined", "alpine", "true").check()
        self.docker("run", "--rm", "--privileged", "alpine", "true").check()

    def test_profile_of_the_daemon(self):
        path = self.host.scratch + "/profile.json"
        with open(path, "w") as file:
            json.dump({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 39}]}, file)
        self.host.engine_flags += ["--seccomp-profile", path]
        self.host.restart()
        self.assertIn("Directory not empty", self.docker("run", "--rm", "alpine", "mkdir", "/made").err)
        self.docker("run", "--rm", "--security-opt", "seccomp=builtin", "alpine", "mkdir", "/made").check()
        self.assertIn(f"name=seccomp,profile={path}", self.host.api("GET", "/info").json["SecurityOptions"])


class OptionalTest(RunCase):
    def try_out(self, name, *arguments):
        return self.needs(self.docker("run", "--rm", *arguments), *name.split("|")).check().out

    @unittest.skipIf(lab.IS_DOCKERD, "20.10 wants capabilities that the machine may not have")
    def test_privileged(self):
        out = self.try_out("privileged", "--privileged", "alpine", "sh", "-c", "grep CapEff /proc/self/status; mount -t tmpfs none /mnt && echo mounted; ls /dev | wc -l")
        available = self.host.run_in("grep", "CapEff", "/proc/1/status").out
        self.assertRegex(out, "^" + available + r"mounted\n\d+")

    def test_init(self):
        self.assertRegex(self.try_out("init", "--init", "alpine", "sh", "-c", "cat /proc/1/comm"), "init|tini|catatonit")

    def test_pid_host(self):
        out = self.try_out("pid", "--pid", "host", "alpine", "sh", "-c", "readlink /proc/self/ns/pid")
        self.assertEqual(out.strip(), self.host.run_in("readlink", "/proc/1/ns/pid").line)

    def test_pid_of_another_container(self):
        self.docker("run", "-d", "--name", "first", "alpine", "sleep", "1000").check()
        self.assertIn("sleep 1000", self.try_out("pid", "--pid", "container:first", "alpine", "ps"))

    def test_ipc(self):
        out = self.try_out("ipc", "--ipc", "host", "alpine", "sh", "-c", "readlink /proc/self/ns/ipc")
        self.assertEqual(out.strip(), self.host.run_in("readlink", "/proc/1/ns/ipc").line)

    def test_ipc_shares_memory_files(self):
        self.host.run_in("sh", "-c", "echo from-host > /dev/shm/panal-test").check()
        self.addCleanup(self.host.run_in, "rm", "-f", "/dev/shm/panal-test")
        self.assertEqual(self.try_out("ipc", "--ipc", "host", "alpine", "cat", "/dev/shm/panal-test"), "from-host\n")
        self.docker("run", "-d", "--name", "donor", "--ipc", "shareable", "--shm-size", "8m", "alpine", "sh", "-c", "echo shared > /dev/shm/f; sleep 1000").check()
        self.docker("run", "-d", "--name", "private", "alpine", "sleep", "1000").check()
        until(lambda: self.docker("exec", "donor", "cat", "/dev/shm/f").out, "the file is there")
        out = self.try_out("ipc", "--ipc", "container:donor", "alpine", "sh", "-c", "cat /dev/shm/f; df -k /dev/shm | tail -1 | awk '{print $2}'")
        self.assertEqual(out, "shared\n8192\n")
        self.assertFails(self.docker("run", "--rm", "--ipc", "container:private", "alpine", "true"), "non-shareable IPC (hint: use IpcMode:shareable for the donor container)", code=125)
        self.assertFails(self.docker("run", "--rm", "--ipc", "nonsense", "alpine", "true"), "invalid IPC mode: nonsense", code=125)
        self.assertNotIn("/dev/shm ", self.try_out("ipc", "--ipc", "none", "alpine", "cat", "/proc/mounts"))
        self.docker("rm", "-f", "donor").check()
        self.assertNotIn("/shm ", "".join(line for line in self.host.run_in("cat", f"/proc/{self.host.engine_pid}/mounts").out.splitlines() if self.host.data_root in line))

    def test_uts_host(self):
        self.assertEqual(self.try_out("uts", "--uts", "host", "alpine", "hostname"), "testhost\n")

    def test_domainname(self):
        self.assertEqual(self.try_out("domain", "--hostname", "web", "--domainname", "example.test", "alpine", "sh", "-c", "cat /proc/sys/kernel/domainname; grep -c web.example.test /etc/hosts"), "example.test\n1\n")

    def test_device(self):
        out = self.try_out("device", "--device", "/dev/zero:/dev/nought:r", "alpine", "sh", "-c", "head -c 3 /dev/nought | wc -c; echo x > /dev/nought; true")
        self.assertEqual(out, "3\n")

    def test_sysctl(self):
        self.assertEqual(self.try_out("sysctl", "--sysctl", "net.ipv4.ip_unprivileged_port_start=1234", "alpine", "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"), "1234\n")

    def test_add_host(self):
        self.assertRegex(self.try_out("host|add-host|ExtraHosts", "--add-host", "there:192.0.2.77", "--add-host", "host.docker.internal:host-gateway", "alpine", "cat", "/etc/hosts"),
                         r"192\.0\.2\.77\tthere\n172\.\d+\.\d+\.1\thost\.docker\.internal")

    def test_dns(self):
        out = self.try_out("dns", "--dns", "192.0.2.53", "--dns-search", "example.test", "--dns-option", "ndots:3", "alpine", "cat", "/etc/resolv.conf")
        self.assertIn("nameserver 192.0.2.53", out)
        self.assertRegex(out, "search example.test")
        self.assertIn("ndots:3", out)

    def test_shm_size(self):
        self.assertEqual(self.try_out("shm", "--shm-size", "8m", "alpine", "sh", "-c", "df -k /dev/shm | tail -1 | awk '{print $2}'"), "8192\n")

    def test_no_new_privileges(self):
        self.assertEqual(self.try_out("security|no-new-privileges", "--security-opt", "no-new-privileges", "alpine", "sh", "-c", "grep NoNewPrivs /proc/self/status").split()[1], "1")

    def test_seccomp_unconfined(self):
        self.assertEqual(self.try_out("security|seccomp", "--security-opt", "seccomp=unconfined", "alpine", "sh", "-c", "grep -w Seccomp /proc/self/status").split()[1], "0")

    def test_oom_score(self):
        self.assertEqual(self.try_out("oom", "--oom-score-adj", "321", "alpine", "cat", "/proc/self/oom_score_adj"), "321\n")

    @unittest.skipIf(lab.IS_DOCKERD, "the CLI asks for API 1.44")
    def test_mac_address(self):
        self.assertEqual(self.try_out("mac", "--mac-address", "02:42:ac:11:aa:bb", "alpine", "cat", "/sys/class/net/eth0/address"), "02:42:ac:11:aa:bb\n")

    def test_memory_swap(self):
        self.needs(self.docker("run", "-d", "--name", "swap", "-m", "64m", "--memory-swap", "64m", "alpine", "sleep", "1000"), "swap").check()
        self.assertEqual(self.host.inspect("swap")["HostConfig"]["MemorySwap"], 64 << 20)

    def test_stop_signal_and_timeout(self):
        self.needs(self.docker("run", "-d", "--name", "sig", "--stop-signal", "USR1", "--stop-timeout", "30", "alpine", "sh", "-c",
                               "trap 'echo usr1; exit 6' USR1; echo ready; while :; do sleep 0.1; done"), "stop").check()
        self.host.wait_logs("sig", "ready")
        self.docker("stop", "sig").check()
        self.assertEqual(self.docker("wait", "sig").line, "6")

    def test_health_check(self):
        self.needs(self.docker("run", "-d", "--name", "ill", "--health-cmd", "test -e /fine", "--health-interval", "100ms", "--health-retries", "1", "alpine", "sleep", "1000"), "health").check()
        from lab import until
        status = lambda: self.host.inspect("ill")["State"]["Health"]["Status"]  # noqa: E731
        until(lambda: status() == "unhealthy", "it is unhealthy")
        self.docker("exec", "ill", "touch", "/fine").check()
        until(lambda: status() == "healthy", "it is healthy")

    def test_health_check_is_quicker_in_the_start_period(self):
        self.docker("run", "-d", "--name", "slow", "--health-cmd", "true", "--health-interval", "1h", "--health-start-period", "1h", "--health-start-interval", "100ms", "alpine", "sleep", "1000").check()
        until(lambda: self.host.inspect("slow")["State"]["Health"]["Status"] == "healthy", "it is healthy")
        self.assertFails(self.docker("run", "--rm", "--health-cmd", "true", "--health-interval", "1us", "alpine", "true"), "Interval in Healthcheck cannot be less than 1ms", code=125)

    def test_volumes_from(self):
        self.docker("run", "--name", "source", "-v", "/shared", "alpine", "sh", "-c", "echo from-source > /shared/f").check()
        self.assertEqual(self.try_out("volumes-from|VolumesFrom", "--volumes-from", "source", "alpine", "cat", "/shared/f"), "from-source\n")

    def test_platform(self):
        result = self.docker("run", "--rm", "--platform", "linux/s390x", "--pull", "never", "alpine", "true")
        self.assertNotEqual(result.code, 0, "an image for another machine was run")

    def test_runtime_unknown(self):
        self.assertFails(self.docker("run", "--rm", "--runtime", "nosuch", "alpine", "true"), "nosuch", code=125)

    def test_gpus_are_not_ignored(self):
        self.assertNotEqual(self.docker("run", "--rm", "--gpus", "all", "alpine", "true").code, 0)

    def test_unknown_log_driver_is_not_ignored(self):
        self.assertFails(self.docker("run", "--rm", "--log-driver", "nosuch", "alpine", "true"), "nosuch", code=125)

    def test_unknown_storage_option_is_not_ignored(self):
        self.assertNotEqual(self.docker("run", "--rm", "--storage-opt", "size=1G", "alpine", "true").code, 0)


if __name__ == "__main__":
    unittest.main()
