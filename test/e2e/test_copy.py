"""docker cp: out of containers and into them, running and at rest; links, volumes, what is refused, and a container that plays tricks."""

import base64
import gzip
import http.client
import io
import json
import os
import socket
import stat
import tarfile
import time
import unittest

import lab
from case import EngineCase, OwnHostCase
from lab import until

FILE, LINK, SYMLINK, CHAR, DIR, FIFO = (getattr(tarfile, name + "TYPE") for name in ("REG", "LNK", "SYM", "CHR", "DIR", "FIFO"))


def tar(*members, mode="w"):
    """A tar of (name, kind, data or target[, changes of the header])."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=tarfile.PAX_FORMAT) as archive:
        for name, kind, content, *changes in members:
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.mtime = kind, 0o755 if kind == DIR else 0o644, 1_600_000_000
            for key, value in (changes[0] if changes else {}).items():
                setattr(info, key, value)
            if kind == FILE:
                info.size = len(content)
            elif kind in (LINK, SYMLINK):
                info.linkname = content
            archive.addfile(info, io.BytesIO(content) if kind == FILE else None)
    return out.getvalue()


def entries(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: member for member in archive}


class CopyCase(EngineCase):
    def setUp(self):
        super().setUp()
        self.folder = os.path.join(self.host.scratch, self.id().rpartition(".")[2])
        os.makedirs(self.folder)

    def path(self, name, content=None):
        path = os.path.join(self.folder, name)
        if content is not None:
            with open(path, "wb") as file:
                file.write(content if isinstance(content, bytes) else content.encode())
        return path

    def read(self, name):
        with open(os.path.join(self.folder, name), "rb") as file:
            return file.read()

    def box(self, *options, name="box", script="sleep 1000"):
        self.docker("run", "-d", "--name", name, *options, "alpine", "sh", "-c", script).check()

    def sh(self, script, *options, name="box"):
        return self.docker("exec", *options, name, "sh", "-c", script).check()

    def archive(self, method, path, body=None, more="", name="box"):
        return self.host.api(method, f"/containers/{name}/archive?path={path}{more}", body)

    def path_stat(self, path, name="box"):
        response = self.archive("HEAD", path, name=name)
        self.assertEqual(response.status, 200)
        return json.loads(base64.b64decode({key.lower(): value for key, value in response.headers.items()}["x-docker-container-path-stat"]))

    def assertRefused(self, response, status, message):
        self.assertIn(message, response.message)
        if not lab.IS_DOCKERD:  # 20.10 answers 500 to all of these
            self.assertEqual(response.status, status)


class OutTest(CopyCase):
    def test_file(self):
        self.box()
        self.sh("printf hello > /file; chmod 640 /file; touch -d '2020-02-02 10:00:00' /file")
        result = self.docker("cp", "box:/file", self.path("new")).check()
        self.assertEqual((result.out, self.read("new")), ("", b"hello"))
        info = os.stat(self.path("new"))
        self.assertEqual((stat.S_IMODE(info.st_mode), info.st_mtime), (0o640, 1580637600))
        os.mkdir(self.path("there"))
        self.docker("cp", "box:file", self.path("there")).check()
        self.assertEqual(self.read("there/file"), b"hello")

    def test_folder(self):
        self.box()
        self.sh("mkdir -p /tree/sub/empty; echo a > /tree/a; echo b > /tree/sub/b; ln -s sub/b /tree/link")
        self.docker("cp", "box:/tree", self.path("new")).check()
        self.assertEqual(sorted(os.listdir(self.path("new"))), ["a", "link", "sub"])
        self.assertEqual((self.read("new/sub/b"), os.readlink(self.path("new/link"))), (b"b\n", "sub/b"))
        self.assertEqual(os.listdir(self.path("new/sub/empty")), [])
        self.docker("cp", "box:/tree", self.path("new")).check()
        self.assertEqual(self.read("new/tree/a"), b"a\n")
        os.mkdir(self.path("content"))
        self.docker("cp", "box:/tree/.", self.path("content")).check()
        self.assertEqual(sorted(os.listdir(self.path("content"))), ["a", "link", "sub"])

    def test_the_whole_root(self):
        self.box()
        self.docker("cp", "box:/", self.path("root")).check()
        self.assertIn(b"root:x:0:0", self.read("root/etc/passwd"))

    def test_to_standard_output(self):
        self.box()
        self.sh("mkdir -p /t/sub; echo hi > /t/f; ln /t/f /t/hard; ln -s f /t/link; mkfifo /t/pipe; mknod /t/null c 1 3; chown 12:34 /t/f; chmod 4711 /t/f; chmod 1777 /t/sub")
        found = entries(self.docker("cp", "box:/t", "-").check().out_bytes)
        self.assertEqual(list(found), ["t", "t/f", "t/hard", "t/link", "t/null", "t/pipe", "t/sub"])
        self.assertEqual([member.type for member in found.values()], [DIR, FILE, LINK, SYMLINK, CHAR, FIFO, DIR])
        self.assertEqual((found["t/f"].uid, found["t/f"].gid, found["t/f"].mode & 0o7777), (12, 34, 0o4711))
        self.assertEqual((found["t/hard"].linkname, found["t/link"].linkname), ("t/f", "f"))
        self.assertEqual((found["t/null"].devmajor, found["t/null"].devminor, found["t/sub"].mode & 0o7777), (1, 3, 0o1777))
        self.assertEqual(list(entries(self.docker("cp", "box:/t/.", "-").check().out_bytes))[:2], [".", "./f"])
        self.assertEqual(list(entries(self.docker("cp", "box:/t/f", "-").check().out_bytes)), ["f"])

    def test_links(self):
        self.box()
        self.sh("mkdir /real; echo hi > /real/f; ln -s /real /dir-link; ln -s real/f /file-link; ln -s nowhere /broken")
        self.docker("cp", "box:/file-link", self.path("link")).check()
        self.assertEqual(os.readlink(self.path("link")), "real/f")
        self.docker("cp", "-L", "box:/file-link", self.path("file")).check()
        self.assertEqual(self.read("file"), b"hi\n")
        self.docker("cp", "-L", "box:/dir-link", self.path("dir")).check()
        self.assertEqual(self.read("dir/f"), b"hi\n")
        self.docker("cp", "box:/dir-link/f", self.path("through")).check()
        self.assertEqual(self.read("through"), b"hi\n")
        self.docker("cp", "box:/broken", self.path("broken")).check()
        self.assertEqual(os.readlink(self.path("broken")), "nowhere")
        self.assertFails(self.docker("cp", "-L", "box:/broken", self.path("x")), "Could not find the file /nowhere in container box")

    def test_path_stat(self):
        self.box()
        self.sh("mkdir -p /t/sub; printf hi > /t/f; chmod 6755 /t/f; ln -s ../t/./f /t/link; ln -s gone/../../x /t/broken; ln -s loop /t/loop; touch -d '2020-02-02 10:00:00' /t/f")
        self.assertEqual(self.path_stat("/t/f"), {"name": "f", "size": 2, "mode": 0o755 | 1 << 23 | 1 << 22, "mtime": "2020-02-02T10:00:00Z", "linkTarget": ""})
        self.assertEqual(self.path_stat("t/../t/f")["name"], "f")
        self.assertEqual([self.path_stat(path)["name"] for path in ("/", "/t", "/t/", "/t/.")], ["/", "t", "t", "."])
        self.assertEqual(self.path_stat("/t")["mode"], 0o755 | 1 << 31)
        link = self.path_stat("/t/link")
        self.assertEqual((link["mode"] & 1 << 27, link["linkTarget"]), (1 << 27, "/t/f"))
        self.assertEqual(self.path_stat("/t/broken")["linkTarget"], "/x")
        self.assertEqual([self.archive("HEAD", path).status for path in ("/nope", "/t/f/", "/t/f/x", "/t/loop", "")], [404, 500, 500, 500, 400])

    def test_what_is_not_there(self):
        self.box()
        self.assertFails(self.docker("cp", "box:/nope", self.path("x")), "Could not find the file /nope in container box")
        self.assertFails(self.docker("cp", "box:/etc/passwd/x", self.path("x")), "not a directory")
        self.assertFails(self.docker("cp", "nobox:/x", self.path("x")), "No such container: nobox")
        self.assertFails(self.docker("cp", "box:/proc/version", self.path("x")), "Could not find the file /proc/version in container box")
        self.assertEqual(self.host.api("GET", "/containers/box/archive").status, 400)

    def test_created_and_exited(self):
        self.docker("create", "--name", "box", "-v", "vol:/data", "alpine", "sh", "-c", "echo made > /made; echo kept > /data/kept").check()
        self.docker("cp", "box:/etc/passwd", self.path("passwd")).check()
        self.assertIn(b"root:", self.read("passwd"))
        self.docker("start", "-a", "box").check()
        self.docker("cp", "box:/made", self.path("made")).check()
        self.docker("cp", "box:/data/kept", self.path("kept")).check()
        self.assertEqual((self.read("made"), self.read("kept")), (b"made\n", b"kept\n"))
        self.assertNotIn(self.host.inspect("box")["Id"], self.host.run_in("cat", "/proc/mounts").check().out)

    def test_from_volumes_and_the_engines_own_files(self):
        self.path("on-host", "of the host")
        self.box("-v", "vol:/data", "-v", self.folder + ":/bound:ro", "--hostname", "named", script="echo in-volume > /data/f; sleep 1000")
        self.docker("cp", "box:/data/f", self.path("f")).check()
        self.docker("cp", "box:/bound/on-host", self.path("back")).check()
        self.docker("cp", "box:/etc/hostname", self.path("name")).check()
        self.assertEqual((self.read("f"), self.read("back"), self.read("name")), (b"in-volume\n", b"of the host", b"named\n"))

    def test_names(self):
        self.box()
        long = "/".join(["n" * 90] * 4)
        self.sh(f"mkdir -p /t/{long}; echo deep > /t/{long}/f; echo x > '/t/bl\u00e4tter'; echo y > \"$(printf '/t/bad\\377')\"; touch '/t/ a\\b*'")
        self.docker("cp", "box:/t", self.path("t")).check()
        names = sorted(os.listdir(os.fsencode(self.path("t"))))
        self.assertEqual(names, [b" a\\b*", b"bad\xff", "bl\u00e4tter".encode(), b"n" * 90])
        self.assertEqual(self.read(f"t/{long}/f"), b"deep\n")
        if not lab.IS_DOCKERD:  # 20.10 sends nothing
            self.assertEqual(entries(self.archive("GET", "/t/bad%ff").body).keys(), {"bad\udcff"})

    def test_event(self):
        self.box()
        since = f"{time.time():.9f}"
        self.docker("cp", "box:/etc/passwd", "-").check()
        self.docker("cp", "-", "box:/", input=tar(("f", FILE, b""))).check()
        events = self.docker("events", "--since", since, "--until", f"{time.time():.9f}", "--filter", "container=box", "--format", "{{.Action}}").check().lines
        self.assertEqual([action for action in events if action in ("archive-path", "extract-to-dir")], ["archive-path", "extract-to-dir"])


class InTest(CopyCase):
    def test_file(self):
        self.box()
        os.chmod(self.path("f", "hello"), 0o640)
        os.utime(self.path("f"), (1580637600, 1580637600))
        self.docker("cp", self.path("f"), "box:/new").check()
        self.assertEqual(self.sh("cat /new; stat -c ' %a %Y' /new").out, "hello 640 1580637600\n")
        self.docker("cp", self.path("f"), "box:/tmp").check()
        self.docker("cp", self.path("f", "second"), "box:/new").check()
        self.assertEqual(self.sh("cat /tmp/f /new").out, "hellosecond")
        self.assertFails(self.docker("cp", self.path("f"), "box:/nope/f"), "Could not find the file /nope in container box")
        self.assertFails(self.docker("cp", self.path("f"), "box:/nope/"), "no such directory")
        self.assertFails(self.docker("cp", self.path("f"), "nobox:/f"), "No such container: nobox")

    def test_folder(self):
        self.box()
        os.makedirs(self.path("tree/sub"))
        self.path("tree/a", "a"), self.path("tree/sub/b", "b")
        os.symlink("../../outside", self.path("tree/link"))
        if lab.IS_DOCKERD:  # 20.10 refuses links that point out of the folder
            os.unlink(self.path("tree/link"))
        self.docker("cp", self.path("tree"), "box:/new").check()
        self.assertEqual(self.sh("cat /new/a /new/sub/b").out, "ab")
        self.sh("echo kept > /new/kept; echo old > /new/a; chmod 700 /new")
        self.docker("cp", self.path("tree/."), "box:/new").check()
        self.assertEqual(self.sh("cat /new/a /new/kept; stat -c ' %a' /new/sub").out, "akept\n 755\n")
        self.docker("cp", self.path("tree"), "box:/new").check()
        self.assertEqual(self.sh("ls /new/tree").out.split()[0], "a")
        if not lab.IS_DOCKERD:
            self.assertEqual(self.sh("readlink /new/link").out, "../../outside\n")

    def test_links(self):
        self.box()
        self.sh("mkdir /real; ln -s /real /dir-link; ln -s real/f /file-link")
        self.path("f", "hello")
        os.symlink("f", self.path("link"))
        self.docker("cp", self.path("link"), "box:/link").check()
        self.docker("cp", "-L", self.path("link"), "box:/file").check()
        self.docker("cp", self.path("f"), "box:/dir-link/").check()
        self.assertEqual(self.sh("readlink /link; cat /file /real/f").out, "f\nhellohello")
        self.docker("cp", self.path("f", "again"), "box:/file-link").check()
        self.assertEqual(self.sh("cat /real/f; readlink /file-link").out, "againreal/f\n")

    def test_from_standard_input(self):
        self.box()
        data = tar(("d", DIR, b"", {"mode": 0o1777}), ("d/f", FILE, b"hi", {"uid": 12, "gid": 34, "mode": 0o4751}), ("d/hard", LINK, "d/f", {"uid": 12, "gid": 34, "mode": 0o4751}), ("d/link", SYMLINK, "f"),
                   ("d/pipe", FIFO, b"", {"mode": 0o600}), ("d/null", CHAR, b"", {"devmajor": 1, "devminor": 3}), ("un/said/f", FILE, b"x"))
        self.docker("cp", "-", "box:/tmp", input=data).check()
        self.assertEqual(self.sh("cd /tmp/d; stat -c '%n %a %u %g %Y %F' . f link pipe null; test f -ef hard && echo same; cat hard; stat -c ' %a' /tmp/un/said").out.splitlines(),
                         [". 1777 0 0 1600000000 directory", "f 4751 12 34 1600000000 regular file", "link 777 0 0 1600000000 symbolic link", "pipe 600 0 0 1600000000 fifo",
                          "null 644 0 0 1600000000 character special file", "same", "hi 755"])
        for packed in (gzip.compress(data), tar(("d/f", FILE, b"hi"), mode="w:bz2"), tar(("d/f", FILE, b"hi"), mode="w:xz")):
            self.sh("rm -rf /tmp/d")
            self.docker("cp", "-", "box:/tmp", input=packed).check()
            self.assertEqual(self.sh("cat /tmp/d/f").out, "hi")
        self.assertFails(self.docker("cp", "-", "box:/etc/passwd", input=data), "must be a directory")

    def test_owner(self):
        self.box("--user", "1:2")
        os.chown(self.path("f", ""), 1234, 2345)
        self.docker("cp", self.path("f"), "box:/tmp/plain").check()
        self.assertEqual(self.sh("stat -c '%u %g' /tmp/plain").out, "1234 2345\n")
        if not lab.IS_DOCKERD:  # 20.10 looks for a user called "1:2"
            self.docker("cp", "-a", self.path("f"), "box:/tmp/archived").check()
            self.assertEqual(self.sh("stat -c '%u %g' /tmp/archived").out, "1 2\n")

    @unittest.skipIf(lab.IS_DOCKERD, "20.10 asks the host for the user")
    def test_owner_by_name(self):
        self.box("--user", "daemon")
        os.chown(self.path("f", ""), 1234, 2345)
        self.docker("cp", "-a", self.path("f"), "box:/tmp/f").check()
        self.assertEqual(self.sh("stat -c '%u %g' /tmp/f").out, self.sh("echo $(id -u) $(id -g)").out)
        self.docker("run", "-d", "--name", "rooted", "alpine", "sleep", "1000").check()
        self.docker("cp", "-a", self.path("f"), "rooted:/f").check()
        self.assertEqual(self.sh("stat -c '%u %g' /f", name="rooted").out, "1234 2345\n")

    def test_before_the_first_start(self):
        self.docker("create", "--name", "box", "-v", "vol:/usr/share/udhcpc-like", "-v", "apk:/etc", "alpine", "sh", "-c", "cat /new /etc/new; test -s /etc/passwd && echo filled").check()
        self.docker("cp", self.path("new", "hello\n"), "box:/new").check()
        self.docker("cp", self.path("new"), "box:/etc/new").check()
        self.assertEqual(self.docker("start", "-a", "box").check().out, "hello\nhello\nfilled\n")

    def test_into_volumes_and_bind_mounts(self):
        os.mkdir(self.path("bound"))
        self.box("-v", "vol:/data", "-v", self.path("bound") + ":/bound")
        self.docker("cp", self.path("f", "hello"), "box:/data/f").check()
        self.docker("cp", self.path("f"), "box:/bound/f").check()
        self.assertEqual(self.read("bound/f"), b"hello")
        self.assertEqual(self.docker("run", "--rm", "-v", "vol:/v", "alpine", "cat", "/v/f").check().out, "hello")

    def test_read_only(self):
        self.box("--read-only", "-v", "vol:/data", "-v", "vol2:/ro:ro", "-v", self.folder + ":/bound:ro")
        self.path("f", "hello")
        self.assertFails(self.docker("cp", self.path("f"), "box:/f"), "container rootfs is marked read-only")
        for target in ("/ro/f", "/bound/f"):
            self.assertFails(self.docker("cp", self.path("f"), "box:" + target), "mounted volume is marked read-only")
        self.assertRefused(self.archive("PUT", "/", tar()), 403, "container rootfs is marked read-only")
        self.docker("cp", self.path("f"), "box:/data/f").check()
        self.assertEqual(self.sh("cat /data/f").out, "hello")
        self.sh("ln -s /ro /data/into-ro; ln -s / /data/into-root")
        self.assertRefused(self.archive("PUT", "/data/into-ro", tar(("x", FILE, b""))), 403, "mounted volume is marked read-only")
        self.assertRefused(self.archive("PUT", "/data/into-root", tar(("x", FILE, b""))), 403, "container rootfs is marked read-only")
        self.docker("cp", "box:/etc/passwd", "-").check()

    def test_kinds_that_do_not_fit(self):
        self.box()
        self.sh("mkdir -p /t/dir/full; echo x > /t/file; ln -s dir /t/link")
        os.mkdir(self.path("dir"))
        self.assertFails(self.docker("cp", self.path("dir"), "box:/t/file"), "cannot copy directory")
        keep = "&noOverwriteDirNonDir=true"
        self.assertRefused(self.archive("PUT", "/t", tar(("dir", FILE, b"")), keep), 400, "cannot overwrite directory \"/t/dir\" with non-directory \"/t\"")
        self.assertRefused(self.archive("PUT", "/t", tar(("file", DIR, b"")), keep), 400, "cannot overwrite non-directory \"/t/file\" with directory \"/t\"")
        self.assertRefused(self.archive("PUT", "/t", tar(("link", DIR, b"")), keep), 400, "cannot overwrite non-directory")
        self.assertEqual(self.archive("PUT", "/t", tar(("dir", FILE, b"new"), ("file", DIR, b""), ("link", DIR, b""))).status, 200)
        self.assertEqual(self.sh("cat /t/dir; stat -c ' %F' /t/file /t/link").out, "new directory\n directory\n")
        self.assertRefused(self.archive("PUT", "/t/dir", tar()), 400, "extraction point is not a directory")
        self.assertRefused(self.archive("PUT", "/nope", tar()), 404, "Could not find the file /nope in container box")

    def test_a_volume_is_not_lost_with_a_folder(self):
        self.box("-v", "vol:/t/dir/vol", script="echo precious > /t/dir/vol/f; sleep 1000")
        self.sh("cat /t/dir/vol/f")
        response = self.archive("PUT", "/t", tar(("dir", FILE, b"")))
        self.assertEqual(response.status, 500)
        self.assertIn("device or resource busy", response.message)
        if not lab.IS_DOCKERD:  # it empties the volume first
            self.assertEqual(self.sh("cat /t/dir/vol/f").out, "precious\n")

    def test_a_mounted_file_is_not_replaced(self):
        self.box()
        self.assertFails(self.docker("cp", self.path("hosts", "x"), "box:/etc/hosts"), "device or resource busy")

    def test_broken_archives(self):
        self.box()
        whole = tar(("f", FILE, b"x" * 5000))
        self.assertRefused(self.archive("PUT", "/tmp", whole[:3000]), 400, "unexpected EOF")
        self.assertRefused(self.archive("PUT", "/tmp", gzip.compress(whole)[:40]), 400, "unexpected EOF")
        self.assertRefused(self.archive("PUT", "/tmp", b"junk" * 500), 400, "archive/tar: invalid tar header")
        self.assertEqual(self.archive("PUT", "/tmp", b"").status, 200)

    def test_a_bomb(self):
        if lab.IS_DOCKERD:
            self.skipTest("Docker has no limit")
        self.box()
        data = gzip.compress(gzip.compress(tar(("zeros", FILE, bytes(400 << 20))), 9), 9)
        self.assertLess(len(data), 10000)
        self.assertRefused(self.archive("PUT", "/tmp", data), 400, "expands more than 2000 times")

    def test_refused_while_much_is_sent(self):
        """The reason reaches the client although it is still sending."""
        self.box("-v", "vol:/ro:ro")
        with open(self.path("big"), "wb") as file:
            file.truncate(200 << 20)
        self.assertFails(self.docker("cp", self.path("big"), "box:/ro/big"), "mounted volume is marked read-only")


class TrickTest(CopyCase):
    """What a hostile container or archive tries: the host outside is neither written nor read."""

    def setUp(self):
        super().setUp()
        self.path("secret", "of the host")

    def outside(self):
        return sorted(os.listdir(self.folder))

    def test_links_to_the_host(self):
        up = "../" * 20
        self.box()
        self.sh(f"ln -s {self.folder} /absolute; ln -s {up}{self.folder[1:]} /relative; ln -s /proc/1/root{self.folder} /magic")
        for link in ("absolute", "relative", "magic"):
            self.assertEqual(self.archive("GET", f"/{link}/secret").status, 404)
            self.assertIn(self.archive("PUT", f"/{link}", tar(("planted", FILE, b""))).status, (404, 500))
            self.assertFails(self.docker("cp", "-L", f"box:/{link}", self.path("x")), "Could not find the file")
        self.assertEqual(self.outside(), ["secret"])

    def test_archives_that_lead_out(self):
        self.box()
        self.sh("mkdir /t; ln -s /etc /t/there")
        self.assertRefused(self.archive("PUT", "/t", tar(("../planted", FILE, b""))), 400, "\"../planted\" is outside of \"/t\"")
        self.assertRefused(self.archive("PUT", "/t", tar(("a/../../planted", FILE, b""))), 400, "is outside of \"/t\"")
        self.assertRefused(self.archive("PUT", "/t", tar(("hard", LINK, "../etc/passwd"))), 400, "invalid hardlink")
        self.assertEqual(self.archive("PUT", "/t", tar(("/planted", FILE, b"in t"))).status, 200)
        self.assertEqual(self.sh("cat /t/planted; ls /").out.count("planted"), 0)
        self.assertEqual(self.archive("PUT", "/t", tar(("there/planted", FILE, b""))).status, 200, "a link of the container's own is followed")
        self.sh("test -f /etc/planted; rm /etc/planted")
        if not lab.IS_DOCKERD:
            self.assertRefused(self.archive("PUT", "/t", tar(("out", SYMLINK, "/etc"), ("out/planted", FILE, b""))), 400, "is outside of \"/t\"")
            self.assertRefused(self.archive("PUT", "/t", tar(("in", SYMLINK, "."), ("in/up", SYMLINK, ".."), ("in/up/planted", FILE, b""))), 400, "is outside of \"/t\"")
            self.sh("test ! -e /etc/planted -a ! -e /planted")

    def test_links_that_change_all_the_time(self):
        """A folder of the container is a folder at one moment and a link to the host at the next."""
        up = "../" * 20
        self.box(script=f"mkdir /t /t/a /t/b; echo inside > /t/a/secret; ln -s {up}{self.folder[1:]} /t/l; "
                        "while :; do mv -T /t/a /t/x; mv -T /t/l /t/a; mv -T /t/a /t/l; mv -T /t/x /t/a; done 2>/dev/null")
        end, answers = time.monotonic() + 6, set()
        while time.monotonic() < end:
            response = self.archive("GET", "/t/a/secret")
            self.assertNotIn(b"of the host", response.body)
            answers.add(response.status)
            self.assertNotIn(b"of the host", self.archive("GET", "/t").body)
            answers.add(self.archive("PUT", "/t/a", tar(("planted", FILE, b"x"), ("d", DIR, b""), ("d/planted", FILE, b"x"))).status)
        self.assertIn(200, answers)
        self.assertEqual(self.outside(), ["secret"])

    def test_no_device_and_no_pipe_is_opened(self):
        """Opening a pipe would wait for ever, opening a device may do anything."""
        self.box(script="mkdir /t; mkfifo /t/pipe; mknod /t/watchdog c 10 130; mknod /t/tape c 9 128; sleep 1000")
        found = entries(self.docker("cp", "box:/t", "-").check().out_bytes)
        self.assertEqual(found["t/pipe"].type, FIFO)
        self.assertEqual(list(entries(self.docker("cp", "box:/t/pipe", "-").check().out_bytes)), ["pipe"])
        self.docker("export", "-o", self.path("x"), "box").check()

    @unittest.skipIf(lab.IS_DOCKERD, "20.10 waits for ever")
    def test_no_pipe_for_the_users_names(self):
        """Names of users are looked up in the container's files."""
        self.box(script="rm /etc/passwd /etc/group; mkfifo /etc/passwd; mknod /etc/group c 10 130; sleep 1000")
        until(lambda: self.docker("exec", "box", "test", "-p", "/etc/passwd").code == 0, "the pipe is there", 10)
        self.assertEqual(self.docker("exec", "-u", "1:1", "box", "echo", "runs").check().out, "runs\n")
        self.path("f", "")
        self.docker("cp", self.path("f"), "box:/f").check()

    def test_deep_folders(self):
        # AppArmor would write each path out in full, for each step of each getcwd(): minutes
        self.box("--security-opt", "apparmor=unconfined", script="mkdir /t; cd /t; i=0; while [ $i -lt 1500 ]; do mkdir d && cd d || exit; i=$((i+1)); done; echo ready; sleep 1000")
        self.host.wait_logs("box", "ready")
        self.assertEqual(len(entries(self.archive("GET", "/t/d").body)), 1500)
        if not lab.IS_DOCKERD:
            self.sh("cd /proc/1/cwd; i=0; while [ $i -lt 1000 ]; do mkdir d && cd -P d || exit 1; i=$((i+1)); done")
            with self.assertRaises(http.client.IncompleteRead):  # longer than any path: the archive is cut off, not ended
                self.archive("GET", "/t/d")
        self.assertTrue(self.host.engine_is_alive())


class LifeTest(OwnHostCase):
    """What else happens to the container while its files are copied."""

    def helpers(self):
        return self.host.run_in("sh", "-c", "cat /proc/[0-9]*/comm 2>/dev/null").out.split().count("panal-unpack")

    def mounted(self, name="box"):
        return self.host.inspect(name)["Id"] in self.host.run_in("cat", "/proc/mounts").check().out

    def big_box(self, command=("true",)):
        self.docker("create", "--name", "box", "alpine", *command).check()
        path = os.path.join(self.host.scratch, "big")
        with open(path, "wb") as file:
            file.truncate(300 << 20)
        self.docker("cp", path, "box:/big", timeout=80).check()

    def slow_reader(self):
        """A client that has read a little of the file and waits."""
        self.connection = lab.UnixConnection(self.host.socket, 60)
        self.addCleanup(self.connection.close)
        self.connection.request("GET", "/containers/box/archive?path=/big")
        response = self.connection.getresponse()
        self.assertEqual(response.status, 200)
        self.assertEqual(len(response.read(100000)), 100000)
        return response

    @unittest.skipIf(lab.IS_DOCKERD, "looks at Panal's own processes")
    def test_memory(self):
        def peak():
            return int(self.host.run_in("sh", "-c", f"grep VmHWM /proc/{self.host.engine_pid}/status").check().out.split()[1]) // 1024
        before = peak()
        self.big_box()
        self.docker("cp", "box:/big", os.path.join(self.host.scratch, "back"), timeout=80).check()
        self.assertEqual(os.path.getsize(os.path.join(self.host.scratch, "back")), 300 << 20)
        self.docker("export", "-o", os.path.join(self.host.scratch, "all.tar"), "box", timeout=80).check()
        self.assertLess(peak() - before, 24, "MiB of the engine for 300 MiB of data")

    @unittest.skipIf(lab.IS_DOCKERD, "Docker lets the start wait")
    def test_started_and_stopped_meanwhile(self):
        self.big_box(("sleep", "1000"))
        reader = self.slow_reader()
        self.docker("start", "box").check()
        self.assertEqual(self.docker("exec", "box", "echo", "alive").check().out, "alive\n")
        self.assertGreater(len(reader.read()), (300 << 20) - 100000)
        until(lambda: self.helpers() == 0, "the helper has ended")
        self.assertTrue(self.mounted())
        self.docker("cp", "box:/etc/passwd", "-").check()
        reader = self.slow_reader()
        self.docker("kill", "box").check()
        self.host.wait_exited("box")
        self.assertGreater(len(reader.read()), (300 << 20) - 100000)
        until(lambda: not self.mounted(), "unmounted after the last use")
        self.docker("start", "box").check()
        self.assertEqual(self.docker("exec", "box", "stat", "-c", "%s", "/big").check().out, f"{300 << 20}\n")

    @unittest.skipIf(lab.IS_DOCKERD, "Docker lets the removal wait")
    def test_removed_meanwhile(self):
        self.big_box()
        reader = self.slow_reader()
        self.docker("rm", "box").check()
        self.assertEqual(self.helpers(), 0)
        with self.assertRaises(Exception):  # what was under way is cut off, not ended
            reader.read()
        self.assertFails(self.docker("cp", "box:/big", "-"), "No such container")

    def assertLockedIn(self):
        """The one helper at work has a mount for a root and nothing else, few capabilities, filtered system calls and no network."""
        script = "for p in /proc/[0-9]*; do test \"$(cat $p/comm 2>/dev/null)\" = panal-unpack && cat $p/status $p/mountinfo && ls $p/net/dev_snmp6; done"
        lines = until(lambda: (lambda text: text if "Seccomp:\t2\n" in text and text.endswith("\nlo\n") else "")(self.host.run_in("sh", "-c", script).out), "the helper is at work").splitlines()
        mounts = [line.split() for line in lines if " - " in line]
        self.assertEqual(mounts[0][4], "/")
        for fields in mounts:
            self.assertTrue({"nodev", "nosuid", "noexec"} <= set(fields[5].split(",")), fields)
        facts = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        self.assertEqual((facts["Seccomp"], facts["NoNewPrivs"]), ("2", "1"))
        self.assertEqual(int(facts["CapEff"], 16) & ~0x8800001b, 0)
        self.assertEqual(lines[-1], "lo")
        return sorted(fields[4] for fields in mounts)

    @unittest.skipIf(lab.IS_DOCKERD, "looks at Panal's own processes")
    def test_the_helper_sees_nothing_else(self):
        self.big_box()
        self.slow_reader()
        self.assertEqual(self.assertLockedIn(), ["/"])
        self.connection.sock.shutdown(socket.SHUT_RDWR)
        until(lambda: self.helpers() == 0, "the helper has ended")
        self.docker("run", "-d", "--name", "up", "-v", "vol:/data:ro", "-v", self.host.scratch + ":/deep/er", "--tmpfs", "/mem", "alpine", "sleep", "1000").check()
        for command, mounts in ((("cp", "-", "up:/"), ["/", "/data", "/deep/er", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"]), (("load",), ["/"]), (("import", "-", "x"), ["/"])):
            with self.subTest(command[0]):
                sender = self.host.stream(*command, stdin=True)
                sender.send(tar(("half", FILE, bytes(1 << 20)))[:500000])
                self.assertEqual(self.assertLockedIn(), mounts)
                sender.stop()
                until(lambda: self.helpers() == 0, "the helper has ended")

    @unittest.skipIf(lab.IS_DOCKERD, "looks at Panal's own processes")
    def test_the_client_hangs_up(self):
        self.big_box()
        self.slow_reader()
        self.connection.sock.shutdown(socket.SHUT_RDWR)
        until(lambda: self.helpers() == 0, "the helper has ended")
        sender = self.host.stream("cp", "-", "box:/", stdin=True)
        sender.send(tar(("half", FILE, bytes(1 << 20)))[:500000])
        until(lambda: self.helpers() >= 1, "the helper is at work")
        sender.stop()
        until(lambda: self.helpers() == 0, "the helper has ended")
        until(lambda: not self.mounted(), "unmounted")
        self.docker("rm", "box").check()

    @unittest.skipIf(lab.IS_DOCKERD, "looks at Panal's own processes")
    def test_the_engine_is_killed(self):
        self.big_box()
        self.slow_reader()
        self.host.kill9()
        until(lambda: self.helpers() == 0, "the helper has ended")
        self.host.start()
        until(lambda: not self.mounted(), "unmounted")
        self.docker("cp", "box:/etc/passwd", "-").check()
        self.docker("rm", "box").check()


if __name__ == "__main__":
    unittest.main()
