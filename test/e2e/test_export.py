"""docker export, and its way back through docker import; docker diff."""

import io
import os
import tarfile
import unittest

import lab
from case import EngineCase


def members(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: member for member in archive}


class ExportTest(EngineCase):
    images = ("alpine", "kitchen-sink")

    def export(self, name="box"):
        return self.docker("export", name).check().out_bytes

    def test_every_kind_of_file(self):
        self.docker("create", "--name", "box", "kitchen-sink").check()
        found = members(self.export())
        self.assertIn("bin/busybox", found)
        self.assertNotIn("layers/removed", found)
        self.assertEqual(found["layers/owned"].type, tarfile.REGTYPE if found["layers/hard"].type == tarfile.LNKTYPE else tarfile.LNKTYPE)
        owned = found["layers/hard"] if found["layers/owned"].type == tarfile.LNKTYPE else found["layers/owned"]
        self.assertEqual((owned.mode & 0o7777, owned.uid, owned.gid), (0o640, 1234, 5678))
        self.assertEqual(found["layers/setuid"].mode & 0o7777, 0o4755)
        self.assertEqual(found["layers/sticky"].mode & 0o7777, 0o1777)
        self.assertTrue(found["layers/long-link"].linkname.endswith("/file"))
        self.assertEqual(found["layers/fifo"].type, tarfile.FIFOTYPE)
        self.assertEqual((found["layers/null"].type, found["layers/null"].devmajor, found["layers/null"].devminor), (tarfile.CHRTYPE, 1, 3))
        self.assertTrue(found["layers/capable"].pax_headers["SCHILY.xattr.security.capability"])
        if not lab.IS_DOCKERD:
            self.assertEqual(found["layers/attribute"].pax_headers["SCHILY.xattr.user.colour"], "amber")
        self.assertTrue(any(name.endswith("/file") and len(name) > 200 for name in found))
        self.assertIn("layers/\u00fcn\u00efc\u00f6d\u00e9", found)

    def test_there_and_back(self):
        """The tree of an imported export is the tree that was exported."""
        self.docker("create", "--name", "box", "kitchen-sink").check()
        first = self.export()
        imported = self.docker("import", "-c", "CMD [\"/bin/sh\"]", "-", "back:1", input=first).check().line
        self.addCleanup(self.docker, "rmi", "-f", "back:1")
        self.assertRegex(imported, r"^sha256:[0-9a-f]{64}$")
        self.docker("create", "--name", "again", "back:1").check()
        second = self.export("again")

        def facts(data):
            return {name: (m.type, m.mode & 0o7777, m.uid, m.gid, m.linkname, m.size, m.devmajor, m.devminor, {k: v for k, v in m.pax_headers.items() if "xattr" in k})
                    for name, m in members(data).items() if not name.startswith(("dev", "proc", "sys", ".docker"))}
        self.assertEqual(facts(first), facts(second))
        script = "cat /layers/replaced; stat -c '%a %u %g %h' /layers/hard; test /layers/hard -ef /layers/owned && echo same; stat -c '%F' /layers/fifo /layers/null"
        self.assertEqual(self.docker("run", "--rm", "back:1", "sh", "-c", script).check().out, "new\n640 1234 5678 2\nsame\nfifo\ncharacter special file\n")

    def test_what_the_container_changed(self):
        self.docker("run", "-d", "--name", "box", "-v", "vol:/data", "-v", self.host.scratch + ":/bound", "--tmpfs", "/mem", "alpine", "sh", "-c",
                    "echo new > /new; echo x > /data/in-volume; echo x > /mem/in-memory; rm /etc/shells; echo ready; sleep 1000").check()
        self.host.wait_logs("box", "ready")
        for _ in ("running", "stopped"):
            found = members(self.export())
            self.assertIn("new", found)
            self.assertNotIn("etc/shells", found)
            self.assertEqual([name for name in found if name.startswith(("data/", "mem/", "bound/", "proc/", "sys/"))], [])
            self.docker("kill", "box")
            self.host.wait_exited("box")

    def test_to_a_file_and_unknown(self):
        self.docker("create", "--name", "box", "alpine").check()
        path = os.path.join(self.host.scratch, "box.tar")
        self.docker("export", "-o", path, "box").check()
        with tarfile.open(path) as archive:
            self.assertIn("etc/passwd", archive.getnames())
        self.assertFails(self.docker("export", "nobox", "-o", path), "No such container: nobox")
        self.assertNotIn(self.host.inspect("box")["Id"], self.host.run_in("cat", "/proc/mounts").check().out)


class DiffTest(EngineCase):
    images = ("alpine", "kitchen-sink")

    def diff(self, script, *options, image="alpine"):
        self.docker("run", "-d", "--name", "box", "-u", "0", "-w", "/", *options, "--entrypoint", "/bin/sh", image, "-c", script + "; echo ready; sleep 1000").check()
        self.host.wait_logs("box", "ready")
        running = sorted(self.docker("diff", "box").check().lines)
        self.docker("kill", "box").check()
        self.host.wait_exited("box")
        self.assertEqual(sorted(self.docker("diff", "box").check().lines), running, "the same when it has stopped")
        return running

    def test_nothing(self):
        self.assertEqual(self.diff("true"), [])
        self.docker("create", "--name", "new", "alpine").check()
        self.assertEqual(self.docker("diff", "new").check().out, "")
        self.assertFails(self.docker("diff", "nobox"), "No such container: nobox")

    def test_added_changed_deleted(self):
        self.assertEqual(self.diff("mkdir -p /new/sub; echo > /new/sub/f; ln -s x /new/link; echo >> /etc/shells; rm /etc/profile; chmod 700 /opt; chown 1 /etc/group; rm -r /media"),
                         ["A /new", "A /new/link", "A /new/sub", "A /new/sub/f", "C /etc", "C /etc/group", "C /etc/shells", "C /opt", "D /etc/profile", "D /media"])

    def test_what_was_set_back_is_no_change(self):
        self.assertEqual(self.diff("echo > /new; rm /new; mkdir /srv/d; rmdir /srv/d; chmod 700 /opt; chmod 755 /opt; t=$(stat -c %Y /etc/group); "
                                   "cp -p /etc/group /g; echo >> /etc/group; cat /g > /etc/group; touch -d @$t /etc/group; rm /g"), [])

    def test_kinds_that_change(self):
        self.assertEqual(self.diff("rm /etc/profile; mkdir /etc/profile; echo > /etc/profile/f; rm -r /media; echo > /media; rm -r /layers/becomes-dir; ln -s x /layers/becomes-dir", image="kitchen-sink"),
                         ["A /etc/profile/f", "C /etc", "C /etc/profile", "C /layers", "C /layers/becomes-dir", "C /media"])

    def test_folder_made_anew(self):
        """An opaque folder: what was below and is not there any more is deleted, what is there again is changed."""
        self.assertEqual(self.diff("rm -r /layers/opaque; mkdir /layers/opaque; echo > /layers/opaque/new; rm -r /home; mkdir /home; echo > /home/new; "
                                   "rm -r /link-to-bin; mkdir /link-to-bin; echo > /link-to-bin/through-link", image="kitchen-sink"),
                         ["A /home/new", "A /layers/opaque/new", "C /home", "C /layers", "C /layers/opaque", "C /link-to-bin", "C /link-to-bin/through-link",
                          "D /home/cook", "D /layers/opaque/above"])

    def test_layers_that_hide_others(self):
        """What a lower layer has and a higher one removed was not there: it is added, not changed."""
        self.assertEqual(self.diff("echo > /layers/removed; mkdir /layers/removed-dir; echo > /layers/removed-dir/inside; echo > /layers/opaque/below; echo > /layers/kept", image="kitchen-sink"),
                         ["A /layers/opaque/below", "A /layers/removed", "A /layers/removed-dir", "A /layers/removed-dir/inside", "C /layers", "C /layers/kept", "C /layers/opaque"])

    def test_mounts(self):
        """Places of mounts that the image does not have are the container's; what is in them is not."""
        self.assertEqual(self.diff("echo > /data/f; echo > /mem/f; echo > /srv/f; echo > /etc/hosts", "-v", "vol:/data", "--tmpfs", "/mem", "-v", "other:/srv", "-v", "vol:/deep/er"),
                         ["A /data", "A /deep", "A /deep/er", "A /mem"])

    def test_capability(self):
        self.assertEqual(self.diff("cp -p /layers/capable /x; cat /x > /layers/capable; touch -r /x /layers/capable; rm /x", image="kitchen-sink"), ["C /layers", "C /layers/capable"])

    def test_api(self):
        self.docker("run", "--name", "box", "alpine", "sh", "-c", "echo > \"$(printf '/bad\\377')\"; echo > '/qu\"ote'").check()
        self.assertEqual(sorted((change["Path"], change["Kind"]) for change in self.host.api("GET", "/containers/box/changes").json), [("/bad\ufffd", 1), ("/qu\"ote", 1)])
        self.docker("create", "--name", "new", "alpine").check()
        self.assertIsNone(self.host.api("GET", "/containers/new/changes").json)


if __name__ == "__main__":
    unittest.main()
