"""The daemon itself: its configuration, signals, what systemd expects of it, and that there is only one."""

import json
import os
import signal
import socket
import stat
import unittest

import lab
from case import OwnHostCase
from lab import until


@unittest.skipIf(lab.IS_DOCKERD, "Panal's own daemon")
class DaemonCase(OwnHostCase):
    images = ("alpine",)

    def setUp(self):
        super().setUp()
        self.config = os.path.join(self.host.folder, "daemon.json")

    def configure(self, *flags, **settings):
        self.write_config(settings)
        self.host.engine_flags = ["--config-file", self.config, *flags]
        self.host.restart()

    def write_config(self, settings):
        with open(self.config, "w") as file:
            json.dump({key.replace("_", "-"): value for key, value in settings.items()}, file)

    def signal(self, number):
        self.host._ask({"op": "kill", "pid": self.host.engine_pid, "signal": number})

    def info(self):
        return self.host.api("GET", "/info").json

    def engine(self, *flags):
        """The program with these flags beside the one that runs, waited for."""
        return self.host.run_in(self.host.engine, *flags, timeout=30)

    def inside(self, *command, options=()):
        return self.docker("run", "--rm", *options, "alpine", *command).check().out


class ConfigurationTest(DaemonCase):
    def test_settings_are_what_info_and_containers_show(self):
        self.configure(labels=["rack=7", "x=y"], dns=["192.0.2.53"], dns_search=["example.org"], dns_opts=["ndots:2"], default_shm_size="8M", init=True,
                       default_ulimits={"nofile": {"Name": "nofile", "Soft": 500, "Hard": 600}}, no_new_privileges=True, insecure_registries=["reg.example:5000", "10.1.0.0/16"],
                       registry_mirrors=["https://mirror.example"], log_level="debug", default_address_pools=[{"base": "10.88.0.0/16", "size": 28}])
        info = self.info()
        self.assertEqual(info["Labels"], ["rack=7", "x=y"])
        self.assertEqual(info["RegistryConfig"]["Mirrors"], ["https://mirror.example/"])
        self.assertIn("10.1.0.0/16", info["RegistryConfig"]["InsecureRegistryCIDRs"])
        self.assertFalse(info["RegistryConfig"]["IndexConfigs"]["reg.example:5000"]["Secure"])
        self.assertEqual(info["DefaultAddressPools"], [{"Base": "10.88.0.0/16", "Size": 28}])
        for text in ("Insecure Registries:\n  reg.example:5000", "Registry Mirrors:\n  https://mirror.example/", "rack=7"):
            self.assertIn(text, self.docker("info").check().out)
        script = "cat /etc/resolv.conf; ulimit -n; ulimit -Hn; df -k /dev/shm | tail -1 | awk '{print $2}'; grep NoNewPrivs /proc/self/status; cat /proc/1/comm"
        lines = self.inside("sh", "-c", script).split("\n")
        self.assertEqual(lines[:3], ["nameserver 192.0.2.53", "search example.org", "options ndots:2"])
        self.assertEqual(lines[3:6], ["500", "600", "8192"])
        self.assertEqual(lines[6].split()[1], "1")
        self.assertIn("init", lines[7])
        self.assertEqual(self.inside("sh", "-c", "ulimit -n; cat /proc/1/comm", options=("--ulimit", "nofile=77:88", "--init=false")).split("\n")[0], "77")
        self.docker("network", "create", "mine").check()
        self.assertEqual(self.host.inspect("mine", "network")["IPAM"]["Config"], [{"Subnet": "10.88.0.0/28", "Gateway": "10.88.0.1"}])
        self.assertIn("level=debug", self.host.engine_log(200))

    def test_the_default_bridge_follows_the_settings(self):
        before = self.host.inspect("bridge", "network")
        self.configure(bip="10.77.0.9/24", fixed_cidr="10.77.0.128/25", mtu=1300, icc=False, ip="192.0.2.1")
        bridge = self.host.inspect("bridge", "network")
        self.assertEqual(bridge["Id"], before["Id"])
        self.assertEqual(bridge["IPAM"]["Config"], [{"Subnet": "10.77.0.0/24", "Gateway": "10.77.0.9", "IPRange": "10.77.0.128/25"}])
        self.assertEqual(bridge["Options"]["com.docker.network.driver.mtu"], "1300")
        self.assertRegex(self.inside("ip", "addr", "show", "eth0"), r"(?s)mtu 1300.*inet 10\.77\.0\.(12[89]|1[3-9]\d|2\d\d)/24")
        self.assertIn("default via 10.77.0.9", self.inside("ip", "route"))
        self.docker("run", "-d", "--name", "web", "-p", "8080:80", "alpine", "nc", "-l", "-p", "80").check()
        self.assertEqual(self.docker("port", "web", "80").line, "192.0.2.1:8080")
        address = self.host.inspect("web")["NetworkSettings"]["IPAddress"]
        self.assertNotEqual(self.docker("run", "--rm", "alpine", "ping", "-c", "1", "-W", "1", address).code, 0, "icc is off")
        self.docker("rm", "-f", "web").check()
        self.configure()
        self.assertEqual(self.host.inspect("bridge", "network")["IPAM"]["Config"][0]["Subnet"], "10.77.0.0/24")
        self.assertIn("mtu 1500", self.inside("ip", "addr", "show", "eth0"))

    def test_mistakes_are_told_in_dockers_words(self):
        def check(code, *texts, flags=(), **settings):
            self.write_config(settings)
            result = self.engine("--config-file", self.config, "--validate", *flags)
            self.assertEqual(result.code == 0, code == 0, str(result))
            for text in texts:
                self.assertIn(text, result.err)
        check(0, "configuration OK", debug=True, hosts=["unix:///x"])
        check(1, f"unable to configure the Panal daemon with file {self.config}: the following directives don't match any configuration option: dbug", dbug=True)
        check(1, "the following directives are specified both as a flag and in the configuration file: labels: (from flag: [a=b], from file: [c=d])", flags=["--label", "a=b"], labels=["c=d"])
        check(1, "userland-proxy=true is not supported", userland_proxy=True)
        check(1, "listening on tcp://0.0.0.0:2375 without TLS is refused", hosts=["tcp://0.0.0.0:2375"])
        self.assertIn("no such file or directory", self.engine("--config-file", "/nowhere", "--validate").err)

    def test_help_and_version(self):
        self.assertRegex(self.engine("--version").check().out, r"^Panal version \d")
        text = self.engine("--help").check().out
        for flag in ("--config-file", "--host", "--data-root", "--tlsverify", "--registry-mirror", "--default-address-pool", "--live-restore"):
            self.assertIn(flag, text)

    def test_log_in_json(self):
        self.configure("--log-format", "json")
        self.docker("run", "--rm", "alpine", "true").check()
        lines = [line for line in self.host.engine_log(50).splitlines() if line.startswith("{")]
        self.assertTrue(lines)
        for line in map(json.loads, lines):
            self.assertEqual({"time", "level", "msg"} - set(line), set())
        self.assertIn("ready", [json.loads(line)["msg"] for line in lines])


class SignalTest(DaemonCase):
    def test_reload(self):
        self.configure(labels=["a=1"], debug=False)
        events = self.host.stream("events", "--filter", "type=daemon", "--format", "{{json .}}")
        until(lambda: self.info()["NEventsListener"] == 1, "the stream is open")
        self.write_config({"labels": ["a=2"], "debug": True, "registry-mirrors": ["http://m.example"], "shutdown-timeout": 3})
        self.signal(signal.SIGHUP)
        event = json.loads(events.next_line())
        self.assertEqual((event["Type"], event["Action"], event["Actor"]["ID"]), ("daemon", "reload", self.info()["ID"]))
        attributes = event["Actor"]["Attributes"]
        self.assertEqual((attributes["name"], attributes["debug"], attributes["labels"], attributes["shutdown-timeout"]), ("testhost", "true", '["a=2"]', "3"))
        info = self.info()
        self.assertEqual((info["Labels"], info["Debug"], info["RegistryConfig"]["Mirrors"]), (["a=2"], True, ["http://m.example/"]))

    def test_a_bad_reload_changes_nothing(self):
        self.configure(labels=["a=1"])
        for times, mistake in enumerate(({"nonsense": 1}, {"registry-mirrors": [""]}, {"registry-mirrors": ["https://"]}, {"insecure-registries": ["a/b"]}), 1):
            self.write_config({"labels": ["a=2"], **mistake})
            self.signal(signal.SIGHUP)
            until(lambda: self.host.engine_log().count("the configuration is not reloaded") == times, "it is refused")
            self.assertEqual(self.info()["Labels"], ["a=1"])
        self.docker("run", "--rm", "alpine", "true").check()

    def test_end_and_pid_file(self):
        path = os.path.join(self.host.exec_root, "panald.pid")
        with open(path) as file:
            self.assertTrue(self.host.run_in("cat", f"/proc/{file.read()}/cmdline").out.startswith(lab.ENGINE))
        self.docker("run", "-d", "--name", "box", "alpine", "sleep", "1000").check()
        pid = self.host.inspect("box")["State"]["Pid"]
        waiting = self.host.stream("wait", "box")
        self.host.stop()
        self.assertNotEqual(waiting.finish().code, 0)
        self.assertEqual((os.path.exists(path), os.path.exists(self.host.socket)), (False, False))
        self.assertEqual(self.host.run_in("test", "-d", f"/proc/{pid}").code, 0, "containers outlive the daemon")
        self.host.start()
        self.assertEqual(self.host.inspect("box")["State"]["Pid"], pid)

    def test_without_live_restore_containers_end_with_the_daemon(self):
        self.configure(live_restore=False, shutdown_timeout=5)
        self.assertFalse(self.info()["LiveRestoreEnabled"])
        script = "trap 'echo told; exit 3' TERM; echo up; while :; do sleep 0.05; done"
        for name, policy in (("plain", "no"), ("policy", "unless-stopped")):
            self.docker("run", "-d", "--name", name, "--restart", policy, "alpine", "sh", "-c", script).check()
            self.host.wait_logs(name, "up")
        self.host.stop()
        self.assertEqual(self.host.run_in("pgrep", "-f", "trap").out, "")
        self.host.start()
        state = self.host.inspect("plain")["State"]
        self.assertEqual((state["Status"], state["ExitCode"]), ("exited", 3))
        self.host.wait_running("policy")
        self.assertEqual(self.docker("logs", "plain").out, "up\ntold\n")


class OnlyOneTest(DaemonCase):
    def test_a_second_one_is_refused(self):
        other, folder = os.path.join(self.host.folder, "other"), self.host.folder
        for flags, text in ((["--data-root", self.host.data_root, "--exec-root", other], f"the data root {self.host.data_root} is in use by process with PID "),
                            (["--data-root", other, "--exec-root", self.host.exec_root], f"the exec root {self.host.exec_root} is in use by process with PID "),
                            (["--data-root", other, "--exec-root", other + "-exec", "--pidfile", self.host.exec_root + "/panald.pid"], "ensure panald is not running or delete ")):
            result = self.engine(*flags, "-H", f"unix://{folder}/second.sock")
            self.assertEqual(result.code, 1)
            self.assertIn(text, result.err)
        result = self.engine("--data-root", other, "--exec-root", other + "-exec", "-H", "unix://" + self.host.socket)
        self.assertIn("another daemon answers there", result.err)
        self.docker("run", "--rm", "alpine", "true").check()


class ListeningTest(DaemonCase):
    def test_several_hosts_and_the_group(self):
        second = os.path.join(self.host.folder, "second.sock")
        self.host.engine_flags = ["-H", "unix://" + second, "--group", "mail"]
        self.host.restart()
        for path in (self.host.socket, second):
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o660)
            self.assertEqual(os.stat(path).st_gid, int(self.host.run_in("getent", "group", "mail").out.split(":")[2]))
            self.assertEqual(self.host.docker("-H", "unix://" + path, "version", "-f", "{{.Server.Os}}").check().line, "linux")
        self.host.stop()
        result = self.engine("--data-root", self.host.data_root, "--exec-root", self.host.exec_root, "-H", "unix://" + second, "--group", "nobody-has-it")
        self.assertIn("group nobody-has-it not found", result.err)

    def test_plain_tcp_is_refused_and_warned_of(self):
        self.host.stop()
        flags = ["--data-root", self.host.data_root, "--exec-root", self.host.exec_root]
        self.assertIn("listening on tcp://0.0.0.0:2375 without TLS is refused", self.engine(*flags, "-H", "tcp://0.0.0.0:2375").err)
        self.host.engine_flags = ["-H", "tcp://0.0.0.0:2375", "--allow-plain-tcp"]
        self.host.start()
        self.assertIn("[DEPRECATION NOTICE]: API is accessible on http://0.0.0.0:2375 without encryption.", self.docker("info").check().err)
        result = self.host.run_in(lab.DOCKER, "-H", f"tcp://{lab.HOST_ADDRESS}:2375", "run", "--rm", "alpine", "echo", "plain", netns="client")
        self.assertEqual(result.out, "plain\n", result.err)
        self.assertIn("API is accessible", self.host.engine_log(50))


WRAPPER = """#!/usr/bin/python3
import os, socket, sys
unix = socket.socket(socket.AF_UNIX)
unix.bind({unix!r})
unix.listen(16)
os.dup2(unix.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="api", NOTIFY_SOCKET={notify!r}, WATCHDOG_USEC="400000")
os.execv({engine!r}, [{engine!r}] + sys.argv[1:])
"""


class SystemdTest(DaemonCase):
    def setUp(self):
        super().setUp()
        self.host.stop()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(os.path.join(self.host.folder, "notify"))
        self.notify.settimeout(20)
        self.addCleanup(self.notify.close)
        self.handed = os.path.join(self.host.folder, "handed.sock")
        self.host.engine = os.path.join(self.host.folder, "wrapper")
        with open(self.host.engine, "w") as file:
            file.write(WRAPPER.format(unix=self.handed, notify=os.path.join(self.host.folder, "notify"), engine=lab.ENGINE))
        os.chmod(self.host.engine, 0o755)

    def heard(self, text):
        while True:
            message = self.notify.recv(4096).decode()
            if text in message:
                return message

    def test_socket_activation_and_notification(self):
        self.host.engine_flags = ["-H", "fd://"]
        self.host.start()
        self.assertIn(f"MAINPID={self.host.engine_pid}", self.heard("READY=1"))
        self.heard("WATCHDOG=1")
        handed = "unix://" + self.handed
        self.assertEqual(self.docker("-H", handed, "run", "--rm", "alpine", "sh", "-c", "echo in; env").check().out.splitlines()[0], "in")
        environment = self.docker("-H", handed, "run", "-d", "--name", "box", "alpine", "sleep", "1000").check()
        for pid in self.host.run_in("pgrep", "-f", "conmon|sleep 1000").out.split():
            self.assertNotIn("NOTIFY_SOCKET", self.host.run_in("cat", f"/proc/{pid}/environ").out, environment)
        self.signal(signal.SIGHUP)
        self.assertRegex(self.heard("RELOADING=1"), r"MONOTONIC_USEC=\d+")
        self.heard("READY=1")
        self.signal(signal.SIGTERM)
        self.heard("STOPPING=1")
        until(lambda: not self.host.engine_is_alive(), "it ends")
        self.assertTrue(os.path.exists(self.handed), "the socket is systemd's to remove")

    def test_by_name_and_none(self):
        self.host.engine_flags = ["-H", "fd://api"]
        self.host.start()
        self.assertEqual(self.docker("-H", "unix://" + self.handed, "version", "-f", "{{.Server.Os}}").check().line, "linux")
        self.host.stop()
        roots = ["--data-root", self.host.data_root, "--exec-root", self.host.exec_root]
        self.assertIn("no sockets found via socket activation: make sure the service was started by systemd", self.host.run_in(lab.ENGINE, *roots, "-H", "fd://").err)


if __name__ == "__main__":
    unittest.main()
