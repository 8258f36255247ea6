"""userns-remap: containers' users are others on the host, their files stay as they are, and what cannot be is refused in Docker's words."""

import io
import json
import os
import shutil
import tarfile
import tempfile
import unittest

import lab
from case import EngineCase, OwnHostCase
from lab import until

FIRST, COUNT = 200000, 65536
ETC = {"passwd": "mapped:x:4242:4242::/:/bin/false\n", "group": "mapped:x:4242:\n",
       "subuid": f"mapped:{FIRST}:{COUNT}\n", "subgid": f"# groups\nother:1:2\nmapped:{FIRST}:{COUNT}\n"}


def give_etc(host, etc=None):
    """The test host gets an /etc of its own with the user `mapped`; the machine's is not touched."""
    upper, work = os.path.join(host.scratch, "etc"), os.path.join(host.scratch, "etc-work")
    os.mkdir(upper), os.mkdir(work)
    shutil.copy(os.path.join(host.folder, "resolv.conf"), upper)
    for name, lines in (etc or ETC).items():
        with open("/etc/" + name) if os.path.exists("/etc/" + name) else io.StringIO() as old, open(os.path.join(upper, name), "w") as new:
            new.write((old.read() if name in ("passwd", "group") else "") + lines)
    host.run_in("mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/etc,upperdir={upper},workdir={work}", "/etc").check()


def remap(host, *flags):
    host.engine_flags = [*flags]
    host.restart()


@unittest.skipIf(lab.IS_DOCKERD, "its data root is another one for each range")
class UsernsCase(EngineCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        give_etc(cls.host)
        remap(cls.host, "--userns-remap", "mapped")

    def setUp(self):
        super().setUp()
        self.addCleanup(lambda: self.assertNotIn(os.stat("/dev/null").st_uid, range(FIRST, FIRST + COUNT), "the machine's /dev/null was given away"))

    def sh(self, *options_and_script):
        *options, script = options_and_script
        return self.docker("run", "--rm", *options, "alpine", "sh", "-c", script).check().out

    def box(self, *options, script="sleep 1000", name="box"):
        return self.docker("run", "-d", "--name", name, *options, "alpine", "sh", "-c", script).check().line

    def diff_folder(self, identity):
        return os.path.join(self.host.data_root, "containers", identity, "rootfs", "diff")


class RunTest(UsernsCase):
    def test_ids(self):
        for file in ("uid_map", "gid_map"):
            self.assertEqual(self.sh(f"cat /proc/self/{file}").split(), ["0", str(FIRST), str(COUNT)])
        self.assertEqual(self.sh("id -u; stat -c '%u %g' / /bin /etc/hosts /etc/resolv.conf /etc/hostname").split("\n"), ["0"] + ["0 0"] * 5 + [""])
        self.assertEqual(self.sh("-u", "1000:7", "id -u; id -g; touch /tmp/f; stat -c '%u %g' /tmp/f"), "1000\n7\n1000 7\n")

    def test_seen_from_outside(self):
        self.box()
        self.box("-u", "33", name="other")
        owners = {name: self.host.run_in("stat", "-c", "%u", f"/proc/{self.host.inspect(name)['State']['Pid']}").line for name in ("box", "other")}
        self.assertEqual(owners, {"box": str(FIRST), "other": str(FIRST + 33)})
        self.assertIn(str(FIRST), self.docker("top", "box", "-o", "pid,uid").check().out)

    def test_info(self):
        self.assertIn("name=userns", json.loads(self.docker("info", "--format", "{{json .SecurityOptions}}").check().out))

    def test_root_can_what_a_containers_root_does(self):
        script = ("echo 127.0.0.9 made >> /etc/hosts && chown 5:6 /srv && mkdir -p /root/a/b && mv /etc/group /moved && rm -r /home && su -s /bin/sh nobody -c 'id -u' && "
                  "mount 2>&1 | grep -q ' on /sys type sysfs (ro' && echo good")
        self.assertEqual(self.sh(script), "65534\ngood\n")
        self.assertEqual(self.sh("--cap-add", "NET_ADMIN", "ip link add name d0 type dummy 2>/dev/null || ip addr add 10.9.9.9/32 dev lo && echo good"), "good\n")
        self.assertEqual(self.sh("--sysctl", "net.ipv4.ip_forward=1", "cat /proc/sys/net/ipv4/ip_forward"), "1\n")
        if int(self.host.run_in("grep", "CapEff", "/proc/1/status").line.split()[1], 16) >> 24 & 1:  # CAP_SYS_RESOURCE
            self.assertEqual(self.sh("--oom-score-adj", "-500", "cat /proc/self/oom_score_adj"), "-500\n")
        self.assertEqual(self.sh("-w", "/made/here", "stat -c '%u %n' /made/here"), "0 /made/here\n")
        self.assertEqual(self.sh("--read-only", "--tmpfs", "/t", "touch /t/f /dev/shm/g; touch /x 2>/dev/null || echo refused"), "refused\n")

    def test_powers_end_at_the_namespace(self):
        self.assertEqual(self.sh("--cap-add", "ALL", "mknod /tmp/d b 7 0 2>/dev/null || echo refused; cat /proc/1/environ > /dev/null && echo own"), "refused\nown\n")
        folder = os.path.join(self.host.scratch, "only-root")
        os.mkdir(folder, 0o700)
        with open(os.path.join(folder, "secret"), "w") as file:
            file.write("secret")
        self.assertEqual(self.sh("-v", folder + ":/f", "stat -c %u /f; cat /f/secret 2>/dev/null || echo refused"), "65534\nrefused\n")

    def test_what_is_mounted_below_a_bind_mount(self):
        top = os.path.join(self.host.scratch, "top")
        self.host.run_in("sh", "-c", f"mkdir -p {top} && mount -t tmpfs a {top} && mkdir -p '{top}/a sub/deep' && mount -t tmpfs b '{top}/a sub' && mkdir '{top}/a sub/deep' && mount -t tmpfs c '{top}/a sub/deep' && touch '{top}/a sub/deep/f'").check()
        self.assertEqual(self.sh("-v", top + ":/t", "ls '/t/a sub/deep'; grep -c ' /t[ /].* - tmpfs [abc] ' /proc/self/mountinfo"), "f\n3\n")
        self.assertEqual(self.sh("--mount", f"type=bind,src={top},dst=/t,bind-recursive=disabled", "ls /t/*; grep -c ' /t[ /].* - tmpfs [abc] ' /proc/self/mountinfo"), "deep\n1\n")
        self.assertEqual(self.sh("-v", top + ":/t:ro", "touch '/t/a sub/deep/g' 2>/dev/null || echo refused; grep -c ' /t[^-]* ro,.* - tmpfs [abc] ' /proc/self/mountinfo"), "refused\n3\n")

    def test_the_hosts_root_as_a_bind_mount(self):
        self.box("-v", "/:/host:ro", "-v", "/:/again")
        look = "test -e /host/proc/version && test -d /again/sys/class && stat -c %u /host/etc/passwd; ls /host/root 2>/dev/null || echo closed"
        self.assertEqual(self.docker("exec", "box", "sh", "-c", look).check().out, "65534\nclosed\n")
        inside = self.docker("exec", "box", "cat", "/proc/self/mountinfo").check().out
        self.assertNotIn("/idmap/view ", inside)
        self.assertNotIn("/exec/roots/", inside)

    def test_host_parts(self):
        self.assertEqual(self.sh("--ipc", "host", "touch /dev/shm/userns && rm /dev/shm/userns && echo good"), "good\n")
        self.assertEqual(self.sh("--uts", "host", "hostname"), "testhost\n")
        self.assertEqual(self.sh("--device", "/dev/zero:/dev/nought", "head -c 3 /dev/nought | wc -c"), "3\n")
        self.assertEqual(self.sh("--mount", "type=image,src=alpine,dst=/img", "stat -c %u /img/bin; touch /img/x && echo good"), "0\ngood\n")
        self.sh("-v", "data:/data", "mkdir /data/sub")
        self.assertEqual(self.sh("--mount", "type=volume,src=data,dst=/data,volume-subpath=sub", "touch /data/f; stat -c %u /data /data/f"), "0\n0\n")

    def test_set_user_ids_and_file_capabilities(self):
        self.docker("create", "--name", "box", "alpine", "sleep", "1000").check()
        with tarfile.open(fileobj=io.BytesIO(self.docker("cp", "box:/bin/busybox", "-").check().out_bytes)) as tar:
            busybox = tar.extractfile(tar.getmembers()[0]).read()
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, mode, pax in (("suid", 0o4755, {}), ("capable", 0o755, {"SCHILY.xattr.security.capability": "\x01\0\0\x02\0\x20\0\0" + 12 * "\0"}), ("plain", 0o755, {})):
                member = tarfile.TarInfo(name + "-ping")
                member.size, member.mode, member.pax_headers = len(busybox), mode, pax
                tar.addfile(member, io.BytesIO(busybox))
        self.docker("cp", "-", "box:/bin", input=packed.getvalue()).check()
        self.docker("commit", "box", "capable").check()
        self.addCleanup(self.docker, "rmi", "-f", "capable")
        self.docker("start", "box").check()
        pings = {name: f"ln -s /bin/{name}-ping /tmp/ping && /tmp/ping -c1 -W1 127.0.0.1; s=$?; rm /tmp/ping; exit $s" for name in ("suid", "capable", "plain")}
        for name, ping in pings.items():
            self.assertEqual(self.docker("exec", "-u", "1000", "box", "sh", "-c", ping).code == 0, name != "plain", name)
            for options in ([], ["--userns", "host"]):
                self.assertEqual(self.docker("run", "--rm", *options, "-u", "1000", "capable", "sh", "-c", ping).code == 0, name != "plain", f"{name} {options}")

    def test_standard_streams(self):
        self.assertEqual(self.sh("echo out > /dev/stdout; echo err > /dev/stderr; wc -c < /dev/stdin"), "out\n0\n")
        self.assertEqual(self.docker("run", "--rm", "-i", "alpine", "cat", "/dev/stdin", input="typed").check().out, "typed")
        self.box(script="echo to > /proc/1/fd/1; sleep 1000")
        self.assertEqual(self.docker("exec", "box", "sh", "-c", "id -u; echo out > /dev/stdout; cat").check().out, "0\nout\n")
        self.assertEqual(self.docker("exec", "-i", "-u", "33", "box", "sh", "-c", "cat; echo x > /dev/stderr", input="in").check().out, "in")
        self.assertEqual(self.docker("logs", "box").out, "to\n")
        terminal = self.host.terminal("run", "--rm", "-it", "alpine", "sh", "-c", "tty; test -O /dev/console && echo mine; id -u > /dev/tty")
        terminal.read_until("/dev/pts/0")
        terminal.read_until("mine")

    def test_health(self):
        self.box("--health-cmd", "test -w /dev/stdout && test $(id -u) = 0", "--health-interval", "100ms")
        until(lambda: self.host.inspect("box")["State"]["Health"]["Status"] == "healthy", "its health is checked")

    def test_ports_and_names(self):
        self.docker("network", "create", "net").check()
        self.box("--network", "net", "-p", "8080:80", script="mkdir /w; echo served > /w/index.html; httpd -f -p 80 -h /w", name="web")
        until(lambda: self.docker("run", "--rm", "--network", "net", "alpine", "wget", "-qO-", "http://web/").out == "served\n", "the name answers")
        self.assertEqual(self.host.run_in("curl", "-s", "http://192.0.2.1:8080/", netns="client").out, "served\n")

    def test_shared_namespaces(self):
        self.box("--ipc", "shareable", script="touch /dev/shm/there; sleep 1000")
        self.assertEqual(self.sh("--network", "container:box", "--pid", "container:box", "--ipc", "container:box", "ls /dev/shm; ps | grep -c 'sleep 1000$'").split()[0], "there")
        inside = self.docker("exec", "box", "readlink", "/proc/self/ns/user").check().out
        self.assertEqual(self.sh("--network", "container:box", "readlink /proc/self/ns/user"), inside)
        self.assertNotEqual(self.sh("readlink /proc/self/ns/user"), inside)
        self.box("--userns", "host", name="plain")
        self.assertFails(self.docker("run", "--rm", "--pid", "container:plain", "alpine", "true"), "it runs in another user namespace", code=125)

    def test_opting_out(self):
        self.assertEqual(self.sh("--userns", "host", "cat /proc/self/uid_map").split(), ["0", "0", "4294967295"])
        self.assertEqual(self.sh("--userns", "host", "--privileged", "stat -c %u /; id -u"), "0\n0\n")
        self.assertEqual(self.sh("--userns", "host", "--network", "host", "--pid", "host", "id -u"), "0\n")
        self.box("--userns", "host")
        self.assertEqual(self.host.run_in("stat", "-c", "%u", f"/proc/{self.host.inspect('box')['State']['Pid']}").line, "0")
        self.assertEqual(self.host.inspect("box")["HostConfig"]["UsernsMode"], "host")

    def test_refused(self):
        for options, text in ((["--privileged"], "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode"),
                              (["--network", "host"], "cannot share the host's network namespace when user namespaces are enabled"),
                              (["--pid", "host"], "cannot share the host PID namespace when user namespaces are enabled")):
            self.assertFails(self.docker("run", "--rm", *options, "alpine", "true"), text, code=125)


class FilesTest(UsernsCase):
    def test_nothing_on_the_disk_is_shifted(self):
        identity = self.box(script="touch /mine; touch /theirs; chown 33:34 /theirs; rm /etc/motd /etc/passwd; echo done; sleep 1000")
        self.host.wait_logs("box", "done")
        owners = {name: (lambda s: (s.st_uid, s.st_gid))(os.lstat(os.path.join(self.diff_folder(identity), name))) for name in ("mine", "theirs")}
        self.assertEqual(owners, {"mine": (0, 0), "theirs": (33, 34)})

    def test_volumes_belong_to_the_mapped_root(self):
        self.docker("volume", "create", "data").check()
        folder = self.host.inspect("data", "volume")["Mountpoint"]
        self.assertEqual(os.stat(folder).st_uid, FIRST)
        self.sh("-v", "data:/data", "touch /data/f; mkdir /data/d; chown 33:34 /data/d")
        self.assertEqual([os.stat(os.path.join(folder, n)).st_uid for n in ("f", "d")], [FIRST, FIRST + 33])
        self.assertEqual(self.sh("-v", "data:/data", "stat -c '%u %g' /data/f /data/d"), "0 0\n33 34\n")
        self.sh("-v", "filled:/etc", "true")
        self.assertEqual(os.stat(os.path.join(self.host.inspect("filled", "volume")["Mountpoint"], "group")).st_uid, FIRST)

    def test_export_commit_diff(self):
        identity = self.box(script="mkdir /d; touch /d/f /n; chown -R 33:34 /d; rm /etc/group; echo done; sleep 1000")
        self.host.wait_logs("box", "done")
        for state in ("running", "stopped"):
            with tarfile.open(fileobj=io.BytesIO(self.docker("export", "box").check().out_bytes)) as tar:
                owners = {m.name.strip("./"): (m.uid, m.gid) for m in tar}
            self.assertEqual((owners["n"], owners["d"], owners["d/f"], owners["bin"]), ((0, 0), (33, 34), (33, 34), (0, 0)), state)
            self.assertEqual(sorted(self.docker("diff", "box").check().lines), sorted(["A /n", "A /d", "A /d/f", "C /etc", "D /etc/group"]), state)
            self.docker("commit", "box", "made:" + state).check()
            self.addCleanup(self.docker, "rmi", "-f", "made:" + state)
            for options in ([], ["--userns", "host"]):
                look = self.docker("run", "--rm", *options, "made:" + state, "stat", "-c", "%u %g", "/n", "/d/f").check().out
                self.assertEqual(look, "0 0\n33 34\n")
            self.docker("stop", "-t", "0", "box").check()
        self.docker("start", identity).check()
        self.assertEqual(self.docker("exec", "box", "stat", "-c", "%u", "/d/f").check().out, "33\n")

    def test_cp(self):
        self.box("-v", "data:/data", "-v", "/not/in/the/image", script="touch /f /data/g; chown 33:34 /f /data/g; sleep 1000")
        self.docker("create", "--name", "fresh", "-v", "data:/data", "-v", "/other/not/there", "alpine").check()
        until(lambda: self.docker("exec", "box", "stat", "-c", "%u", "/data/g").out == "33\n", "the file is there")
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for name, uid in (("in", 0), ("theirs", 44)):
                member = tarfile.TarInfo(name)
                member.uid = member.gid = uid
                tar.addfile(member)
        for name in ("box", "fresh"):
            for path in ("/f", "/data/g") if name == "box" else ("/data/g",):
                with tarfile.open(fileobj=io.BytesIO(self.docker("cp", f"{name}:{path}", "-").check().out_bytes)) as tar:
                    self.assertEqual([(m.uid, m.gid) for m in tar], [(33, 34)], f"{name}:{path}")
            for folder in ("/srv", "/data"):
                self.docker("cp", "-a", "-", f"{name}:{folder}", input=packed.getvalue()).check()
        owners = self.docker("exec", "box", "stat", "-c", "%u %g", "/srv/in", "/srv/theirs", "/data/theirs").check().out
        self.assertEqual(owners, "0 0\n44 44\n44 44\n")
        volume = self.host.inspect("data", "volume")["Mountpoint"]
        self.assertEqual(os.stat(os.path.join(volume, "theirs")).st_uid, FIRST + 44)
        self.docker("start", "fresh").check()

    def test_containers_of_before_and_after(self):
        """The setting comes and goes; what a container has written stays its own."""
        self.box(script="touch /x; chown 33 /x; echo done; sleep 1000")
        self.host.wait_logs("box", "done")
        try:
            remap(self.host)
            self._engine_at_start = self.host.engine_pid
            self.assertNotIn("name=userns", self.docker("info", "--format", "{{.SecurityOptions}}").out)
            self.assertEqual(self.docker("exec", "box", "cat", "/proc/self/uid_map").check().out.split()[1], str(FIRST), "it runs on as it was started")
            with tarfile.open(fileobj=io.BytesIO(self.docker("cp", "box:/x", "-").check().out_bytes)) as tar:
                self.assertEqual([m.uid for m in tar], [33])
            self.docker("restart", "-t", "0", "box").check()
            self.assertEqual(self.docker("exec", "box", "sh", "-c", "cat /proc/self/uid_map; stat -c %u /x /etc/hosts").check().out.split(), ["0", "0", "4294967295", "33", "0"])
        finally:
            remap(self.host, "--userns-remap", "mapped")
            self._engine_at_start = self.host.engine_pid
        self.docker("restart", "-t", "0", "box").check()
        self.assertEqual(self.docker("exec", "box", "sh", "-c", "cat /proc/self/uid_map; stat -c %u /x").check().out.split(), ["0", str(FIRST), str(COUNT), "33"])

    def test_the_view_with_owners_mapped_is_closed(self):
        folder = os.path.join(self.host.exec_root, "idmap")
        self.assertEqual(self.host.run_in("stat", "-c", "%a %u", folder).out, "700 0\n")
        self.assertEqual(self.host.run_in("stat", "-c", "%a %u %g", os.path.join(self.host.exec_root, "roots")).out, f"710 0 {FIRST}\n")
        self.assertEqual(self.host.run_in("setpriv", "--reuid", str(FIRST), "--regid", str(FIRST), "--clear-groups", "ls", folder).code != 0, True)

    def test_nothing_is_left(self):
        self.box("-p", "8081:80")
        self.docker("rm", "-f", "box").check()
        for name in ("netns", "roots"):
            self.assertEqual(self.host.run_in("ls", os.path.join(self.host.exec_root, name)).out, "")


class BuildTest(UsernsCase):
    def setUp(self):
        super().setUp()
        self.context = tempfile.mkdtemp(prefix="panal-userns-")
        self.addCleanup(shutil.rmtree, self.context)
        self.addCleanup(lambda: self.docker("builder", "prune", "-af"))
        self.addCleanup(lambda: self.docker("rmi", "-f", "built"))

    def test_run_copy_and_mounts(self):
        os.mkdir(os.path.join(self.context, "dir"), 0o700)
        with open(os.path.join(self.context, "dir", "file"), "w") as file:
            file.write("content\n")
        with open(os.path.join(self.context, "Dockerfile"), "w") as file:
            file.write("""FROM alpine
RUN cat /proc/self/uid_map > /map; touch /ran; mkdir /theirs; chown 33:34 /theirs
COPY --chown=44:45 dir/file /copied
RUN --mount=type=bind,source=dir,target=/ctx cat /ctx/file > /from-context; stat -c %u /ctx/file > /context-owner
RUN --mount=type=bind,source=dir,target=/ctx,rw echo more >> /ctx/file && touch /ctx/new && cat /ctx/file > /written
RUN --mount=type=bind,from=alpine,target=/image stat -c %u /image/bin > /image-owner
RUN --mount=type=cache,target=/cache,uid=55 stat -c %u /cache > /cache-owner; touch /cache/kept
RUN --mount=type=cache,target=/cache,uid=55 stat -c %u /cache/kept > /kept-owner
WORKDIR /made/by/workdir
""")
        self.docker("build", "-t", "built", self.context).check()
        look = self.docker("run", "--rm", "built", "sh", "-c", "cat /map /from-context /context-owner /written /image-owner /cache-owner /kept-owner; stat -c '%u %g' /ran /theirs /copied /made/by/workdir").check().out
        self.assertEqual(look.split(), ["0", str(FIRST), str(COUNT), "content", "0", "content", "more", "0", "55", "0", "0", "0", "33", "34", "44", "45", "0", "0"])
        plain = self.docker("run", "--rm", "--userns", "host", "built", "stat", "-c", "%u %g", "/ran", "/theirs", "/copied").check().out
        self.assertEqual(plain, "0 0\n33 34\n44 45\n")


class SurvivalTest(OwnHostCase):
    def test_kill_9_and_adopt(self):
        give_etc(self.host)
        remap(self.host, "--userns-remap", "4242:4242")
        self.docker("run", "-d", "--name", "box", "-p", "8080:80", "-v", "data:/data", "alpine", "sh", "-c", "touch /f; trap 'exit 6' TERM; while :; do sleep 0.05; done").check()
        self.docker("create", "--name", "fresh", "alpine").check()
        before = self.host.inspect("box")["State"]["Pid"]
        self.host.kill9()
        self.host.start()
        self.assertEqual(self.host.inspect("box")["State"]["Pid"], before)
        self.assertEqual(self.docker("exec", "box", "sh", "-c", "id -u; stat -c %u /f; touch /data/x /later; stat -c %u /later").check().out, "0\n0\n0\n")
        with tarfile.open(fileobj=io.BytesIO(self.docker("export", "box").check().out_bytes)) as tar:
            self.assertEqual({m.uid for m in tar if m.name.strip("./") in ("f", "later")}, {0})
        self.docker("stop", "box").check()
        self.assertEqual(self.host.inspect("box")["State"]["ExitCode"], 6)
        self.docker("start", "box").check()
        self.docker("cp", "/etc/hostname", "fresh:/srv/").check()
        self.docker("rm", "-f", "box", "fresh").check()
        for name in ("netns", "roots"):
            self.assertEqual(self.host.run_in("ls", os.path.join(self.host.exec_root, name)).out, "")

    def test_services(self):
        give_etc(self.host)
        remap(self.host, "--userns-remap", "mapped")
        self.docker("swarm", "init").check()
        self.docker("secret", "create", "key", "-", input="hush").check()
        self.docker("config", "create", "conf", "-", input="text").check()
        script = "mkdir /w; (stat -c '%u %g %a' /run/secrets/key /conf; cat /run/secrets/key /proc/self/uid_map) > /w/index.html; exec httpd -f -p 80 -h /w"
        self.docker("service", "create", "-d", "--name", "web", "--secret", "source=key,uid=33,gid=34,mode=0400", "--config", "conf", "--publish", "8085:80", "alpine", "sh", "-c", script).check()
        until(lambda: self.host.run_in("curl", "-s", "http://192.0.2.1:8085/", netns="client").code == 0, "it serves")
        said = self.host.run_in("curl", "-s", "http://192.0.2.1:8085/", netns="client").out.split()
        self.assertEqual(said, ["33", "34", "400", "0", "0", "444", "hush", "0", str(FIRST), str(COUNT)])
        self.docker("network", "create", "-d", "overlay", "--attachable", "over").check()
        self.docker("service", "create", "-d", "--name", "api", "--network", "over", "--replicas", "2", "alpine", "sh", "-c", "mkdir /w; echo by name > /w/index.html; exec httpd -f -p 80 -h /w").check()
        self.docker("run", "-d", "--name", "caller", "--network", "over", "alpine", "sleep", "1000").check()
        until(lambda: self.docker("exec", "caller", "wget", "-qO-", "http://api/").out == "by name\n", "the service is reached by its virtual address")

    def test_settings_that_cannot_be(self):
        give_etc(self.host)
        self.host.stop()
        for setting, text in (("nobody-here", 'Error during uid lookup for "nobody-here": no such user'),
                              ("a:b:c", 'Invalid user/group specification in --userns-remap: "a:b:c"'),
                              ("daemon", 'no subuid ranges found for user "daemon"')):
            self.host.engine_flags = ["--userns-remap", setting]
            with self.assertRaises(lab.LabError) as refused:
                self.host.start()
            self.assertIn(text, str(refused.exception))
        self.host.engine_flags = ["--userns-remap", "default"]
        self.host.start()
        self.assertEqual(self.host.run_in("grep", "-c", "^dockremap:.*/bin/false$", "/etc/passwd").out, "1\n")
        self.assertEqual(self.docker("run", "--rm", "alpine", "cat", "/proc/self/uid_map").check().out.split(), ["0", "100000", "65536"])
        self.host.stop()
        remap_file = os.path.join(self.host.scratch, "daemon.json")
        with open(remap_file, "w") as file:
            json.dump({"userns-remap": "mapped"}, file)
        self.host.engine_flags = ["--config-file", remap_file]
        self.host.start()
        self.assertEqual(self.docker("run", "--rm", "alpine", "cat", "/proc/self/uid_map").check().out.split()[1], str(FIRST))


if __name__ == "__main__":
    unittest.main()
