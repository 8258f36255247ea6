"""Options that reach into the machine: devices, block I/O, namespaces, links, mounts of other containers and folders inside volumes."""

import json
import os
import unittest

import lab
from case import EngineCase
from lab import until


class HostOptionsCase(EngineCase):
    def out(self, *arguments):
        return self.docker("run", "--rm", *arguments).check().out

    def sh(self, *options_and_script):
        *options, script = options_and_script
        return self.out(*options, "alpine", "sh", "-c", script)

    def value(self, v1, v2, *options):
        identity = self.docker("run", "-d", *options, "alpine", "sleep", "1000").check().line
        return self.host.cgroup_value(identity, v1, v2)


class DeviceTest(HostOptionsCase):
    def test_one(self):
        self.assertEqual(self.sh("--device", "/dev/zero:/dev/nought:r", "head -c 3 /dev/nought | wc -c; stat -c %t:%T /dev/nought"), "3\n1:5\n")
        self.assertEqual(self.sh("--device", "/dev/loop-control", "ls /dev/loop-control"), "/dev/loop-control\n") if os.path.exists("/dev/loop-control") else None

    def test_rights_are_the_control_groups(self):
        self.host.run_in("sh", "-c", "mkdir -p /dev/made && mknod /dev/made/one c 1 11 && mknod /dev/made/two c 1 5").check()
        self.addCleanup(self.host.run_in, "rm", "-rf", "/dev/made")
        self.assertIn("Operation not permitted", self.docker("run", "--rm", "--device", "/dev/made/one:/dev/one:w", "alpine", "cat", "/dev/one").err)
        out = self.sh("--device", "/dev/made:/dev/there", "ls /dev/there; stat -c %t:%T /dev/there/one")
        self.assertEqual(out, "one\ntwo\n1:b\n")

    def test_rules(self):
        with open("/proc/misc") as file:
            minor = next((line.split()[0] for line in file if line.split()[1] in ("tun", "fuse")), None)
        if not minor:
            self.skipTest("no device here that anybody may open")
        script = f"mknod /dev/rule c 10 {minor} && (: < /dev/rule) && echo open"
        self.assertIn("Operation not permitted", self.docker("run", "--rm", "alpine", "sh", "-c", script).err)
        self.assertEqual(self.sh("--device-cgroup-rule", f"c 10:{minor} rwm", script), "open\n")
        self.assertEqual(self.sh("--device-cgroup-rule", "c 10:* r", script), "open\n")
        self.assertIn("Operation not permitted", self.docker("run", "--rm", "--device-cgroup-rule", "c 10:* w", "alpine", "sh", "-c", script).err)

    def test_refused(self):
        self.assertFails(self.docker("run", "--rm", "--device", "/dev/nosuch", "alpine", "true"), 'error gathering device information while adding custom device "/dev/nosuch": no such file or directory', code=127)
        self.assertFails(self.docker("run", "--rm", "--device", "/etc/passwd", "alpine", "true"), "not a device node", code=125)
        response = self.host.api("POST", "/containers/create", {"Image": "alpine", "HostConfig": {"DeviceCgroupRules": ["x 1:1 r"]}})
        self.assertEqual((response.status, response.message), (400, "invalid device cgroup rule format: 'x 1:1 r'"))

    @unittest.skipIf(lab.IS_DOCKERD, "the lab's /dev")
    def test_privileged_sees_the_hosts(self):
        self.host.run_in("sh", "-c", "mknod /dev/host-made c 1 3").check()
        self.addCleanup(self.host.run_in, "rm", "-f", "/dev/host-made")
        self.assertEqual(self.sh("--privileged", "test -c /dev/host-made && echo x > /dev/host-made && test -c /dev/null && echo good"), "good\n")
        self.assertEqual(self.sh("test -e /dev/host-made || echo none"), "none\n")


class BlockTest(HostOptionsCase):
    def test_weight(self):
        result = self.docker("run", "-d", "--blkio-weight", "300", "alpine", "sleep", "1000").check()
        if "Weight discarded" not in result.err:
            self.assertIn(self.host.cgroup_value(result.line, "blkio/blkio.bfq.weight", "io.bfq.weight") or self.host.cgroup_value(result.line, "blkio/blkio.weight", "io.weight"), ("300", "default 300", "default 2930"))
        self.assertFails(self.docker("run", "--rm", "--blkio-weight", "5", "alpine", "true"), "ange of blkio weight is from 10 to 1000", code=125)

    def device(self):
        device = next((f"/dev/{name}" for name in sorted(os.listdir("/sys/block")) if os.path.exists(f"/dev/{name}")), None)
        if not device:
            self.skipTest("no block device here")
        return device

    def test_weight_of_a_device(self):
        """Weighed where the kernel can, discarded with a warning where not."""
        self.docker("run", "--rm", "--blkio-weight-device", self.device() + ":300", "alpine", "true").check()

    def test_limits(self):
        device = self.device()
        number = os.stat(device).st_rdev
        value = self.value("blkio/blkio.throttle.read_bps_device", "io.max", "--device-read-bps", f"{device}:1mb")
        self.assertIn(f"{os.major(number)}:{os.minor(number)} ", value)
        self.assertIn("1048576", value)
        self.assertFails(self.docker("run", "--rm", "--device-write-iops", "/dev/nosuch:10", "alpine", "true"), "no such file or directory", code=127)


class NamespaceTest(HostOptionsCase):
    def test_user_namespace(self):
        self.assertEqual(self.sh("--userns", "host", "cat /proc/self/uid_map | tr -s ' '").strip(), "0 0 4294967295")
        response = self.host.api("POST", "/containers/create", {"Image": "alpine", "HostConfig": {"UsernsMode": "odd"}})
        self.assertEqual((response.status, response.message), (400, "invalid USER mode: odd"))

    def test_control_group_namespace(self):
        self.assertEqual(self.sh("--cgroupns", "private", "grep -c '/$' /proc/self/cgroup | grep -vx 0 > /dev/null && echo hidden"), "hidden\n")
        self.assertIn("panal", self.sh("--cgroupns", "host", "cat /proc/self/cgroup"))

    def test_control_group_namespace_by_default(self):
        """As in Docker: its own with version 2, with privileges or without; the host's with version 1."""
        unified = not lab.cgroup_controllers()
        for options in ((), ("--privileged",)):
            self.docker("run", "-d", "--name", "box", *options, "alpine", "sleep", "1000").check()
            self.assertEqual(self.host.inspect("box")["HostConfig"]["CgroupnsMode"], "private" if unified else "host")
            self.assertEqual(self.docker("exec", "box", "grep", "-c", "panal", "/proc/self/cgroup").code, 1 if unified else 0)
            self.docker("rm", "-f", "box").check()
        self.assertEqual("name=cgroupns" in self.docker("info", "--format", "{{.SecurityOptions}}").line, unified)

    def test_parent_group(self):
        identity = self.docker("run", "-d", "--cgroup-parent", "/group-of-mine", "-m", "32m", "alpine", "sleep", "1000").check().line
        self.assertEqual(self.host.cgroup_value(identity, "memory/memory.limit_in_bytes", "memory.max"), str(32 << 20))
        self.assertEqual(self.host.api("GET", f"/containers/{identity}/stats?stream=0&one-shot=1").json["memory_stats"]["limit"], 32 << 20)
        self.assertIn("group-of-mine", self.host.run_in("cat", f"/proc/{self.host.inspect(identity)['State']['Pid']}/cgroup").out)

    def test_oom_score_below_zero(self):
        result = self.docker("run", "--rm", "--oom-score-adj", "-500", "alpine", "cat", "/proc/self/oom_score_adj")
        if int(self.host.run_in("grep", "CapEff", "/proc/1/status").line.split()[1], 16) >> 24 & 1:  # CAP_SYS_RESOURCE
            self.assertEqual(result.check().out, "-500\n")
        else:
            self.assertIn("oom_score_adj", result.err, "what the kernel refuses is not passed over")

    def test_oom_killer_off(self):
        result = self.docker("run", "-d", "--name", "box", "--oom-kill-disable", "-m", "32m", "alpine", "sleep", "1000").check()
        if "OomKillDisable discarded" not in result.err:
            self.assertIn("oom_kill_disable 1", self.host.cgroup_value(result.line, "memory/memory.oom_control", "none"))

    def test_apparmor(self):
        result = self.docker("run", "--rm", "--security-opt", "apparmor=nosuch-profile", "alpine", "true")
        self.assertFails(result, "nosuch-profile", code=125)
        self.assertEqual(self.sh("--security-opt", "apparmor=unconfined", "echo fine"), "fine\n")

    def test_annotations(self):
        self.docker("run", "-d", "--name", "box", "--annotation", "org.example=yes", "alpine", "sleep", "1000").check()
        self.assertEqual(self.host.inspect("box")["HostConfig"]["Annotations"], {"org.example": "yes"})
        with open(f"{self.host.data_root}/containers/{self.host.inspect('box')['Id']}/config.json") as file:
            self.assertEqual(json.load(file)["annotations"]["org.example"], "yes")

    def test_real_time_is_left_to_the_kernel(self):
        result = self.docker("run", "--rm", "--cpu-rt-runtime", "950000", "alpine", "true")
        if not os.path.exists("/sys/fs/cgroup/cpu/cpu.rt_runtime_us"):
            self.assertFails(result, "kernel does not support CPU real-time scheduler", code=125)

    def test_memory_event(self):
        """A child killed for want of memory is told at once; the container lives on."""
        self.docker("run", "-d", "--name", "box", "-m", "24m", "alpine", "sh", "-c", "dd if=/dev/zero of=/dev/null bs=100M count=1; sleep 1000").check()
        until(lambda: "oom" in self.docker("events", "--since", "10m", "--until", "0s", "--filter", "event=oom", "--format", "{{.Action}}").out, "the event is there")
        state = self.host.inspect("box")["State"]
        self.assertEqual((state["OOMKilled"], state["Running"]), (True, True))


class LinkTest(HostOptionsCase):
    def test_names_and_variables(self):
        self.docker("run", "-d", "--name", "db", "-e", "SECRET=s", "--expose", "5432", "alpine", "sleep", "1000").check()
        address = self.host.inspect("db")["NetworkSettings"]["IPAddress"]
        out = self.sh("--name", "web", "--link", "db:store", "grep store /etc/hosts; env | grep ^STORE | sort; ping -c 1 -W 2 store > /dev/null && echo reached").splitlines()
        self.assertRegex(out[0], rf"^{address}\tstore \w+ db$")
        self.assertEqual(out[1:-1], ["STORE_ENV_SECRET=s", "STORE_NAME=/web/store", f"STORE_PORT=tcp://{address}:5432", f"STORE_PORT_5432_TCP=tcp://{address}:5432",
                                     f"STORE_PORT_5432_TCP_ADDR={address}", "STORE_PORT_5432_TCP_PORT=5432", "STORE_PORT_5432_TCP_PROTO=tcp"])
        self.assertEqual(out[-1], "reached")

    def test_follows_a_restart(self):
        self.docker("run", "-d", "--name", "db", "alpine", "sleep", "1000").check()
        self.docker("run", "-d", "--name", "web", "--link", "db", "alpine", "sleep", "1000").check()
        self.assertEqual(self.host.inspect("web")["HostConfig"]["Links"], ["/db:/web/db"])
        self.docker("stop", "-t", "0", "db").check()
        self.docker("run", "-d", "--name", "taker", "alpine", "sleep", "1000").check()
        self.docker("start", "db").check()
        address = self.host.inspect("db")["NetworkSettings"]["IPAddress"]
        until(lambda: address in self.docker("exec", "web", "grep", "db", "/etc/hosts").out, "the new address is known")

    def test_other_names(self):
        """A new name is known to DNS and to who links to it."""
        self.docker("network", "create", "front").check()
        self.docker("run", "-d", "--name", "db", "--network", "front", "alpine", "sleep", "1000").check()
        self.docker("run", "-d", "--name", "web", "--network", "front", "--link", "db:store", "alpine", "sleep", "1000").check()
        self.docker("rename", "db", "base").check()
        self.docker("exec", "web", "nslookup", "base").check()
        self.assertNotEqual(self.docker("exec", "web", "nslookup", "db").code, 0)
        self.docker("restart", "-t", "0", "web").check()

    def test_refused(self):
        self.assertFails(self.docker("run", "--rm", "--link", "nosuch:x", "alpine", "true"), "could not get container for nosuch", code=125)
        self.docker("create", "--name", "still", "alpine").check()
        self.assertFails(self.docker("run", "--rm", "--name", "web", "--link", "still:x", "alpine", "true"), "Cannot link to a non running container: /still AS /web/x", code=125)
        self.assertFails(self.docker("run", "--rm", "--network", "host", "--link", "still:x", "alpine", "true"), "can't be used with links", code=125)

    def test_on_a_network_of_its_own(self):
        self.docker("network", "create", "front").check()
        self.docker("run", "-d", "--name", "db", "--network", "front", "alpine", "sleep", "1000").check()
        self.assertEqual(self.sh("--network", "front", "--link", "db:store", "ping -c 1 -W 2 store > /dev/null && echo reached"), "reached\n")
        address = self.host.inspect("db")["NetworkSettings"]["Networks"]["front"]["IPAddress"]
        self.assertIn(address, self.sh("--network", "front", "--link", "db:Store", "nslookup store"))
        self.assertNotIn(address, self.sh("--network", "front", "nslookup store || true"))  # another's link


class MountTest(HostOptionsCase):
    def test_volumes_of_another(self):
        self.docker("run", "--name", "source", "-v", "/shared", "-v", "named:/named", "alpine", "sh", "-c", "echo 1 > /shared/f; echo 2 > /named/f").check()
        self.assertEqual(self.sh("--volumes-from", "source", "cat /shared/f /named/f; echo 3 > /shared/g && echo wrote"), "1\n2\nwrote\n")
        result = self.docker("run", "--rm", "--volumes-from", "source:ro", "alpine", "sh", "-c", "cat /shared/g; echo x > /shared/f")
        self.assertEqual(result.out, "3\n")
        self.assertIn("Read-only file system", result.err)
        self.assertEqual(self.sh("--volumes-from", "source", "-v", "other:/named", "ls /named | wc -l"), "0\n")
        response = self.host.api("POST", "/containers/create", {"Image": "alpine", "HostConfig": {"VolumesFrom": ["nosuch"]}})
        self.assertEqual((response.status, response.message), (400, "No such container: nosuch"))
        self.assertFails(self.docker("run", "--rm", "--volumes-from", "source:odd", "alpine", "true"), "invalid mode: odd", code=125)

    def test_folder_inside_a_volume(self):
        self.sh("-v", "vol:/v", "mkdir -p /v/a/b && echo inside > /v/a/b/f && ln -s / /v/out && ln -s ../a /v/a/around")
        self.assertEqual(self.sh("--mount", "type=volume,src=vol,dst=/m,volume-subpath=a/b", "cat /m/f; echo new > /m/g"), "inside\n")
        self.assertEqual(self.sh("-v", "vol:/v", "cat /v/a/b/g"), "new\n")
        self.assertEqual(self.sh("--mount", "type=volume,src=vol,dst=/m,volume-subpath=a/b/f", "cat /m"), "inside\n")
        self.assertNotIn("etc", self.sh("--mount", "type=volume,src=vol,dst=/m,volume-subpath=out", "ls /m"), "links stay inside the volume")
        self.assertFails(self.docker("run", "--rm", "--mount", "type=volume,src=vol,dst=/m,volume-subpath=nosuch", "alpine", "true"), "cannot access path nosuch", code=127)
        for path in ("../x", "/abs"):
            self.assertFails(self.docker("run", "--rm", "--mount", f"type=volume,src=vol,dst=/m,volume-subpath={path}", "alpine", "true"), "subpath must be a relative path within the volume", code=125)

    def test_read_only_reaches_what_is_mounted_below(self):
        path = self.host.scratch + "/tree"
        self.host.run_in("sh", "-c", f"mkdir -p {path}/sub && mount -t tmpfs none {path}/sub").check()
        self.addCleanup(self.host.run_in, "umount", f"{path}/sub")
        write = ("alpine", "sh", "-c", "echo x > /m/sub/f && echo wrote")
        self.assertIn("Read-only file system", self.docker("run", "--rm", "-v", f"{path}:/m:ro", *write).err)
        self.assertEqual(self.out("--mount", f"type=bind,src={path},dst=/m,readonly,bind-recursive=writable", *write), "wrote\n")
        self.assertIn("Read-only file system", self.docker("run", "--rm", "--mount", f"type=bind,src={path},dst=/m,readonly,bind-recursive=readonly,bind-propagation=rprivate", *write).err)
        self.assertEqual(self.sh("--mount", f"type=bind,src={path},dst=/m,bind-recursive=disabled", "ls /m/sub | wc -l"), "0\n")

    def test_mounts_of_the_host_arrive(self):
        path = self.host.scratch + "/passed"
        self.host.run_in("sh", "-c", f"mkdir -p {path} && mount --bind {path} {path} && mount --make-shared {path} && mkdir {path}/new").check()
        self.addCleanup(self.host.run_in, "sh", "-c", f"umount {path}/new; umount {path}")
        result = self.docker("run", "-d", "--name", "box", "-v", f"{path}:/m:rslave", "alpine", "sleep", "1000")
        if "not a shared or slave mount" in result.err:
            self.skipTest("the engine's mounts are its own here")
        result.check()
        self.host.run_in("sh", "-c", f"mount -t tmpfs none {path}/new && touch {path}/new/seen").check()
        until(lambda: self.docker("exec", "box", "ls", "/m/new").out == "seen\n", "the mount arrives")
        private = self.host.scratch + "/private"
        self.host.run_in("sh", "-c", f"mkdir -p {private} && mount -t tmpfs none {private} && mount --make-private {private}").check()
        self.addCleanup(self.host.run_in, "umount", private)
        self.assertFails(self.docker("run", "--rm", "-v", f"{private}:/m:rshared", "alpine", "true"), "but it is not a shared mount", code=125)

    def test_subpath_leaves_no_mount(self):
        self.sh("-v", "vol:/v", "mkdir /v/a; echo 1 > /v/a/f")
        self.docker("run", "-d", "--name", "box", "--mount", "type=volume,src=vol,dst=/m,volume-subpath=a", "alpine", "sleep", "1000").check()
        self.docker("restart", "-t", "0", "box").check()
        self.docker("rm", "-f", "box").check()
        self.assertEqual(self.sh("-v", "vol:/v", "cat /v/a/f"), "1\n", "the volume outlives the container")
        self.assertNotIn("subpath-", self.host.run_in("cat", f"/proc/{self.host.engine_pid}/mounts").out)
        self.docker("volume", "rm", "vol").check()

    def test_volume_that_is_a_memory_file_system(self):
        self.docker("volume", "create", "-d", "local", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,uid=1000", "mem").check()
        self.assertEqual(self.host.inspect("mem", "volume")["Options"], {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=1000"})
        self.docker("run", "-d", "--name", "one", "-v", "mem:/m", "alpine", "sh", "-c", "echo x > /m/f; sleep 1000").check()
        until(lambda: self.docker("exec", "one", "cat", "/m/f").out == "x\n", "it is written")
        self.assertEqual(self.sh("-v", "mem:/m", "cat /m/f; df -k /m | tail -1 | awk '{print $2}'; stat -c %u /m"), "x\n1024\n1000\n")
        self.docker("rm", "-f", "one").check()
        self.assertEqual(self.sh("-v", "mem:/m", "ls /m | wc -l"), "0\n", "unmounted with its last user")
        self.docker("volume", "rm", "mem").check()

    def test_volume_that_is_a_folder_of_the_host(self):
        path = self.host.scratch + "/outside"
        os.makedirs(path)
        with open(path + "/f", "w") as file:
            file.write("host's\n")
        self.docker("volume", "create", "-o", "type=none", "-o", f"device={path}", "-o", "o=bind", "bound").check()
        self.assertEqual(self.sh("-v", "bound:/m", "cat /m/f; echo 2 > /m/g"), "host's\n")
        self.docker("volume", "rm", "bound").check()
        self.assertEqual(sorted(os.listdir(path)), ["f", "g"], "what the volume showed is not removed with it")

    def test_volume_the_kernel_refuses(self):
        self.docker("volume", "create", "-o", "type=nosuchfs", "-o", "device=x", "odd").check()
        self.assertFails(self.docker("run", "--rm", "-v", "odd:/m", "alpine", "true"), "failed to mount local volume", "no such device", code=125)
        self.assertFails(self.docker("volume", "create", "-o", "type=tmpfs", "bad"), 'missing required option: "device"')
        self.assertFails(self.docker("volume", "create", "-o", "odd=1", "bad"), 'invalid option: "odd"')
        self.assertFails(self.docker("volume", "create", "-o", "size=1g", "bad"), "quota size requested but no quota support")


if __name__ == "__main__":
    unittest.main()
