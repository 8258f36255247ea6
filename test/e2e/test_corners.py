"""Corners that hunts for differences from Docker have found; each was wrong once."""

import io
import json
import os
import re
import sqlite3
import subprocess
import tarfile
import time
import unittest

import lab
from case import EngineCase, OwnHostCase
from lab import until


class ContainerTest(EngineCase):
    def test_an_exec_that_cannot_begin_has_a_code(self):
        self.docker("run", "-d", "--name", "box", "alpine", "sleep", "1000").check()
        for user in ("nosuch", "0:nosuch", "99999999999"):
            self.assertFails(self.docker("exec", "-u", user, "box", "id"), "", code=126)

    def test_stop_of_one_that_is_paused_meanwhile(self):
        self.docker("run", "-d", "--name", "box", "alpine", "sh", "-c", "trap 'echo told' TERM; echo ready; while :; do sleep 0.1; done").check()
        self.host.wait_logs("box", "ready")
        stream = self.host.stream("stop", "-t", "3", "box")
        self.host.wait_logs("box", "told")
        self.docker("pause", "box").check()
        self.assertEqual(stream.finish().code, 0)
        self.assertEqual(self.host.inspect("box")["State"]["ExitCode"], 137)

    def test_stop_signal_of_a_paused_one(self):
        self.docker("run", "-d", "--name", "box", "--stop-signal", "USR1", "alpine", "sh", "-c", "trap 'exit 5' USR1; echo ready; while :; do sleep 0.1; done").check()
        self.host.wait_logs("box", "ready")
        self.docker("pause", "box").check()
        self.docker("kill", "-s", "USR1", "box").check()
        self.assertEqual(self.docker("wait", "box").check().line, "5")

    def test_restart_renews_the_tries_of_its_policy(self):
        self.docker("run", "-d", "--name", "box", "--restart", "on-failure:1", "alpine", "sh", "-c", "echo run; exit 1").check()

        def ran(times):
            until(lambda: self.docker("logs", "box").out.count("run") == times and self.host.inspect("box")["State"]["Status"] == "exited", f"it ran {times} times")
        ran(2)
        self.docker("restart", "box").check()
        ran(4)

    def test_an_empty_entrypoint_takes_the_images_away(self):
        self.docker("build", "-q", "-t", "entry", "-", input='FROM alpine\nENTRYPOINT ["echo", "entry"]\nCMD ["echo", "command"]\n').check()
        for body, args in (({"Cmd": ["true"]}, ["true"]), ({}, ["echo", "command"])):
            made = self.host.api("POST", "/containers/create", {"Image": "entry", "Entrypoint": [], **body}).json
            seen = self.host.inspect(made["Id"])
            self.assertEqual([seen["Path"], *seen["Args"]], args)

    def test_a_start_that_failed_leaves_no_control_group(self):
        self.docker("create", "--name", "box", "--ulimit", "nofile=16:16", "alpine", "true").check()
        identity = self.host.inspect("box")["Id"]
        self.assertNotEqual(self.docker("start", "box").code, 0)
        self.assertEqual(self.host.run_in("find", "/sys/fs/cgroup", "-name", identity).out, "")

    def test_wrong_wishes_are_refused(self):
        for host_config, message in (({"ExtraHosts": ["foo"]}, 'bad format for add-host: "foo"'), ({"ExtraHosts": ["foo:notip"]}, 'invalid IP address in add-host: "notip"'),
                                     ({"ExtraHosts": ["a:1.2.3.4\n9.9.9.9 evil"]}, "invalid IP address in add-host"), ({"Binds": ["/tmp:/y:ro,rw"]}, "invalid mode: ro,rw"),
                                     ({"Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/y", "BindOptions": {"Propagation": "foo"}}]},
                                      'invalid mount config for type "bind": invalid propagation mode: foo')):
            answer = self.host.api("POST", "/containers/create", {"Image": "alpine", "HostConfig": host_config})
            self.assertEqual(answer.status, 400, host_config)
            self.assertIn(message, answer.json["message"])

    def test_a_bind_of_one_part_is_an_anonymous_volume(self):
        made = self.host.api("POST", "/containers/create", {"Image": "alpine", "HostConfig": {"Binds": ["/y"]}}).json
        mount = self.host.inspect(made["Id"])["Mounts"][0]
        self.assertEqual((mount["Type"], mount["Destination"], len(mount["Name"]), mount["Mode"]), ("volume", "/y", 64, ""))

    def test_name_filters_are_patterns(self):
        for name in ("web1", "web2", "db"):
            self.docker("create", "--name", name, "alpine", "true").check()
            self.docker("network", "create", name).check()
            self.docker("volume", "create", name).check()
        for kind in (("ps", "-a"), ("network", "ls"), ("volume", "ls")):
            for pattern, count in (("^web1$", 1), ("web[12]", 2), ("^web.*$", 2), ("web1|db", 2), ("eb", 2), ("^/?web1$", 1), ("(", 0)):
                self.assertEqual(len(self.docker(*kind, "-q", "--filter", "name=" + pattern).check().lines), count, (kind, pattern))
        began = time.monotonic()
        self.assertEqual(self.docker("ps", "-aq", "--filter", "name=" + "(a*)*" * 20 + "zz").check().out, "")
        self.assertLess(time.monotonic() - began, 30, "no pattern keeps the engine busy")


class MountTest(EngineCase):
    def test_flags_of_the_hosts_mount_stay(self):
        shared = os.path.join(self.host.scratch, "shared")
        os.mkdir(shared)
        self.addCleanup(lambda: self.host.run_in("umount", shared))
        self.host.run_in("mount", "-t", "tmpfs", "-o", "ro,nosuid,nodev,noexec", "tmpfs", shared).check()
        volume = ("--opt", "type=none", "--opt", "device=" + shared, "--opt", "o=bind,ro,noexec", "held")
        self.docker("volume", "create", *volume).check()
        for source in (shared, "held"):
            flags = self.docker("run", "--rm", "-v", source + ":/d", "alpine", "sh", "-c", "grep ' /d ' /proc/mounts; touch /d/f 2>&1").out
            self.assertRegex(flags, r" ro[,\w]*noexec", source)
            self.assertIn("Read-only file system", flags)

    def test_many_layers_below_a_long_path(self):
        folder = os.path.join(self.host.scratch, "layers")
        os.mkdir(folder)
        with open(folder + "/file", "w") as file:
            file.write("x")
        with open(folder + "/Dockerfile", "w") as file:
            file.write("FROM alpine\n" + "".join(f"COPY file /f{i}\n" for i in range(100)))
        self.docker("build", "-q", "-t", "deep", folder).check()
        self.assertEqual(self.docker("run", "--rm", "deep", "sh", "-c", "ls / | grep -c '^f[0-9]'").check().line, "100")


class ImageTest(EngineCase):
    def test_rmi_by_force(self):
        self.docker("tag", "alpine", "mine").check()
        self.docker("run", "-d", "--name", "box", "mine", "sleep", "1000").check()
        self.assertFails(self.docker("rmi", "-f", self.host.inspect("box")["Image"]), "cannot be forced")
        self.docker("build", "-q", "-t", "other", "-", input="FROM alpine\nLABEL a=b\n").check()
        self.docker("run", "-d", "--name", "runs", "other", "sleep", "1000").check()
        self.assertEqual(self.docker("rmi", "-f", "other").check().out, "Untagged: other:latest\n")
        self.docker("rm", "-f", "runs").check()
        self.docker("build", "-q", "-t", "third", "-", input="FROM alpine\nLABEL a=c\n").check()
        self.docker("run", "--name", "ended", "third", "true").check()
        image = self.host.inspect("ended")["Image"]
        self.assertIn("Deleted: " + image, self.docker("rmi", "-f", image).check().out)
        for command in (("start", "-a", "ended"), ("diff", "ended"), ("ps", "-a"), ("commit", "ended", "again"), ("rm", "ended")):
            self.docker(*command).check()

    def test_only_names_that_were_asked_for(self):
        self.docker("tag", "alpine", "mine/alpine:1").check()
        self.assertEqual(self.docker("images", "mine/alpine", "--format", "{{.Repository}}:{{.Tag}}").check().lines, ["mine/alpine:1"])

    def test_an_archive_whose_blobs_are_not_what_they_are_called(self):
        whole = os.path.join(self.host.scratch, "whole.tar")
        self.docker("save", "-o", whole, "alpine").check()
        for what in ("config", "manifest"):
            out = io.BytesIO()
            with tarfile.open(whole) as old, tarfile.open(fileobj=out, mode="w") as new:
                files = {m.name: old.extractfile(m).read() for m in old if m.isfile()}
                index = json.loads(files["index.json"])
                manifest = "blobs/sha256/" + index["manifests"][0]["digest"][7:]
                config = "blobs/sha256/" + json.loads(files[manifest])["config"]["digest"][7:]
                del files["manifest.json"]
                victim = config if what == "config" else manifest
                files[victim] = files[victim].rstrip()[:-1] + b' ,"x":1}'
                for name, data in files.items():
                    member = tarfile.TarInfo(name)
                    member.size = len(data)
                    new.addfile(member, io.BytesIO(data))
            self.assertFails(self.docker("load", input=out.getvalue()), "invalid archive: the content of sha256:", "is that of")


class NetworkTest(EngineCase):
    def test_an_id_that_means_two_networks(self):
        seen = {}
        for number in range(17):  # there are sixteen first digits
            identity = self.docker("network", "create", "--subnet", f"10.77.{number}.0/24", f"n{number}").check().line
            first = seen.setdefault(identity[0], identity)
            if first != identity:
                break
        for command in (("rm",), ("inspect",)):
            self.assertFails(self.docker("network", *command, identity[0]), f"network {identity[0]} is ambiguous (")
        self.docker("network", "rm", identity[:12]).check()

    def test_a_restarted_container_has_its_address(self):
        self.docker("network", "create", "net").check()
        for network in ("bridge", "net"):
            self.docker("run", "-d", "--name", "on-" + network, "--network", network, "alpine", "sleep", "1000").check()

            def endpoint():
                seen = self.host.inspect("on-" + network)["NetworkSettings"]["Networks"][network]
                return seen["IPAddress"], seen["MacAddress"]
            before = endpoint()
            for _ in range(3):
                self.docker("restart", "-t", "0", "on-" + network).check()
            self.assertEqual(endpoint(), before)

    def test_ends_of_a_subnet_belong_to_nobody(self):
        for gateway in ("10.78.0.0", "10.78.0.255"):
            self.assertFails(self.docker("network", "create", "--subnet", "10.78.0.0/24", "--gateway", gateway, "net"), "Address already in use")
        self.docker("network", "create", "--subnet", "10.78.0.0/24", "net").check()
        for address in ("10.78.0.0", "10.78.0.255"):
            self.assertFails(self.docker("run", "--rm", "--network", "net", "--ip", address, "alpine", "true"), "Address already in use", code=125)

    def test_what_the_default_networks_cannot_give(self):
        self.docker("create", "--name", "box", "--network", "none", "alpine", "true").check()
        self.docker("network", "create", "net").check()
        self.docker("create", "--name", "other", "--network", "net", "alpine", "true").check()
        self.assertFails(self.docker("network", "connect", "--alias", "x", "bridge", "other"), "network-scoped alias is supported only for containers in user defined networks")
        self.assertFails(self.docker("network", "connect", "--ip", "172.17.0.77", "bridge", "other"), "user specified IP address is supported on user defined networks only")
        self.assertFails(self.docker("create", "--network", "none", "--ip", "10.0.0.1", "alpine", "true"), "user specified IP address is supported on user defined networks only")


@unittest.skipIf(lab.IS_DOCKERD, "Panal's own tables")
class KilledTest(OwnHostCase):
    images = ("alpine",)

    def test_between_two_lives(self):
        names = [f"loop{i}" for i in range(4)]
        for name in names:
            self.docker("run", "-d", "--name", name, "--restart", "always", "--network", "none", "alpine", "sh", "-c", "exit 3").check()
        for _ in range(6):
            self.host.kill9()
            self.host.start()
        for name in names:
            before = self.host.inspect(name)["RestartCount"]
            until(lambda: self.host.inspect(name)["RestartCount"] > before, "it goes on")
            state = self.host.inspect(name)["State"]
            self.assertIn((state["Status"], state["Error"]), (("restarting", ""), ("running", "")))

    def test_in_the_middle_of_a_pause(self):
        self.docker("run", "-d", "--name", "box", "alpine", "sleep", "1000").check()
        for stored, really in (("running", "paused"), ("paused", "running")):
            if really == "paused":
                self.docker("pause", "box").check()
            self.host.kill9()
            database = sqlite3.connect(os.path.join(self.host.data_root, "node.db"))
            with database:
                database.execute("UPDATE rows SET json=replace(json, ?, ?) WHERE kind='container'", (f'"Phase":"{really}"', f'"Phase":"{stored}"'))
            database.close()
            self.host.start()
            self.assertEqual(self.host.inspect("box")["State"]["Status"], really)
            if really == "paused":
                self.docker("unpause", "box").check()
        self.docker("stop", "-t", "0", "box").check()

    def test_while_networks_come_and_go(self):
        self.docker("network", "create", "net").check()
        self.docker("run", "-d", "--name", "box", "alpine", "sleep", "1000").check()
        script = "while :; do docker network connect net box; docker network disconnect net box; done"
        for _ in range(6):
            loop = subprocess.Popen(["sh", "-c", script], env=self.host.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.addCleanup(loop.kill)
            until(lambda: "net" in self.host.inspect("box")["NetworkSettings"]["Networks"], "it is connected")
            self.host.kill9()
            loop.kill()
            loop.wait()
            self.host.start()
            networks = self.host.inspect("box")["NetworkSettings"]["Networks"]
            inside = self.docker("exec", "box", "ip", "-4", "-o", "addr").check().out
            self.assertEqual(sorted(re.findall(r" inet ([\d.]+)/16 ", inside)), sorted(n["IPAddress"] for n in networks.values()))
            self.docker("network", "disconnect", "-f", "net", "box")
        self.docker("rm", "-f", "box").check()
        until(lambda: "veth" not in self.host.run_in("ip", "-o", "link").out, "the kernel has taken its namespace down")


@unittest.skipIf(lab.IS_DOCKERD, "about this engine's own records")
class FullDiskTest(OwnHostCase):
    images = ("alpine",)

    def setUp(self):
        super().setUp()
        self.host.stop()
        self.host.run_in("mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", self.host.data_root).check()
        self.host.start()
        self.host.load("alpine")
        for kind in ("network", "volume"):
            self.docker(kind, "create", "unused").check()
        self.docker("create", "--name", "unused", "alpine", "true").check()

    def fill(self):
        return self.docker("run", "--rm", "-v", "fill:/d", "alpine", "sh", "-c", "dd if=/dev/zero of=/d/x bs=4k 2>/dev/null; exit 5")

    def test_it_ends_and_room_can_be_made(self):
        self.assertEqual(self.fill().code, 5)
        self.assertEqual(self.docker("ps", "-a", "--filter", "name=unused", "--format", "{{.Names}}").check().line, "unused")
        for command in (("rm", "unused"), ("network", "rm", "unused"), ("volume", "rm", "unused"), ("volume", "rm", "fill")):
            self.docker(*command).check()
        self.docker("run", "--rm", "alpine", "true").check()

    def test_the_engine_starts_on_it(self):
        self.fill()
        self.host.kill9()
        self.host.start()
        self.assertEqual(self.docker("volume", "ls", "-q").check().lines, ["fill", "unused"])
        self.docker("system", "prune", "-af", "--volumes").check()
        self.docker("volume", "rm", "fill").check()


if __name__ == "__main__":
    unittest.main()
