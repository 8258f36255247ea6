"""Images from containers and from archives: commit, import from a URL and for a platform, load and save for a platform, what filters choose."""

import io
import json
import os
import sys
import tarfile
import unittest

import lab
from case import EngineCase
from lab import until


class ImageCase(EngineCase):
    images = ("alpine", "kitchen-sink")

    def setUp(self):
        super().setUp()
        self.before = set(self.docker("images", "-aq", "--no-trunc").lines)
        self.addCleanup(self._remove_images)

    def _remove_images(self):
        self.host.remove_everything()
        for image in set(self.docker("images", "-aq", "--no-trunc").lines) - self.before:
            self.docker("rmi", "-f", image)


class CommitTest(ImageCase):
    def changed(self, script, image="alpine", *options):
        name = self.docker("run", "-d", *options, image, "sh", "-c", script + "; echo done; sleep 1000").check().line
        self.host.wait_logs(name, "done")
        return name

    def test_files(self):
        name = self.changed("echo new > /new; ln /new /linked; mkdir -p /d; rm /etc/passwd; rm -r /usr/share; mkdir /usr/share; echo in > /usr/share/only; chown 7:8 /d; chmod 2750 /d")
        self.assertRegex(self.docker("commit", name, "made:1").check().line, "^sha256:[0-9a-f]{64}$")
        look = self.docker("run", "--rm", "made:1", "sh", "-c", "cat /new /linked /usr/share/only; ls -A /usr/share; ls /etc/passwd; stat -c '%a %u %g' /d; stat -c %h /new; ls -A / | grep wh")
        self.assertEqual(look.out, "new\nnew\nin\nonly\n2750 7 8\n2\n")
        self.assertIn("/etc/passwd", look.err)
        below, made = self.host.inspect("alpine", "image")["RootFS"]["Layers"], self.host.inspect("made:1", "image")["RootFS"]["Layers"]
        self.assertEqual((made[:-1], len(made)), (below, len(below) + 1))

    def test_what_it_says(self):
        name = self.changed(":", "alpine", "-e", "A=1", "-w", "/tmp", "-p", "80", "--label", "kept=yes")
        self.docker("commit", "-a", "a keeper", "-m", "why", "-c", 'CMD ["echo","hello"]', "-c", "ENV B=2", "-c", "EXPOSE 81", name, "said:1").check()
        image = self.host.inspect("said:1", "image")
        self.assertEqual((image["Author"], image["Comment"], image["Config"]["Cmd"], image["Config"]["WorkingDir"]), ("a keeper", "why", ["echo", "hello"], "/tmp"))
        self.assertLessEqual({"A=1", "B=2"}, set(image["Config"]["Env"]))
        self.assertEqual((image["Config"]["Labels"]["kept"], set(image["Config"]["ExposedPorts"])), ("yes", {"80/tcp", "81/tcp"}))
        self.assertEqual(self.docker("run", "--rm", "said:1").check().out, "hello\n")
        top = json.loads(self.docker("history", "--no-trunc", "--format", "{{json .}}", "said:1").check().lines[0])
        self.assertEqual(top["Comment"], "why")
        self.assertIn("echo done", top["CreatedBy"])

    def test_without_a_name(self):
        name = self.docker("create", "alpine").check().line
        image = self.docker("commit", name).check().line
        self.assertIn(image, self.docker("images", "-q", "--no-trunc", "--filter", "dangling=true").lines)
        self.assertEqual(self.host.inspect(image, "image")["RootFS"], self.host.inspect("alpine", "image")["RootFS"], "it never ran")

    def test_twice_on_top(self):
        first = self.changed("echo one > /one")
        self.docker("commit", first, "first:1").check()
        second = self.changed("echo two > /two; rm /one", "first:1")
        self.docker("commit", "--pause=false", second, "second:1").check()
        self.assertEqual(self.docker("run", "--rm", "second:1", "sh", "-c", "cat /two; ls /one").out, "two\n")
        self.assertTrue(self.host.is_running(second))
        path = self.host.scratch + "/committed.tar"
        self.docker("save", "-o", path, "second:1").check()
        self.docker("rm", "-f", first, second).check()
        self.docker("rmi", "second:1", "first:1").check()
        self.docker("load", "-i", path).check()
        self.assertEqual(self.docker("run", "--rm", "second:1", "cat", "/two").check().out, "two\n")

    def test_refusals(self):
        self.assertFails(self.docker("commit", "nosuch", "x"), "No such container: nosuch")
        name = self.docker("create", "alpine").check().line
        self.assertFails(self.docker("commit", "-c", "RUN x", name, "x"), "run is not a valid change command")
        self.assertNotEqual(self.docker("commit", name, "UPPER").code, 0)

    def test_event(self):
        name = self.docker("create", "alpine").check().line
        since = self.host.run_in("date", "+%s.%N").line
        image = self.docker("commit", name, "told:1").check().line
        events = self.docker("events", "--since", since, "--until", self.host.run_in("date", "+%s.%N").line, "--filter", "event=commit", "--format", "{{json .}}").check().lines
        event = json.loads(events[0])
        self.assertEqual((event["Actor"]["ID"], event["Actor"]["Attributes"]["imageID"]), (name, image))


class ImportTest(ImageCase):
    def tree(self):
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as tar:
            info = tarfile.TarInfo("file")
            info.size = 3
            tar.addfile(info, io.BytesIO(b"abc"))
        return data.getvalue()

    def test_from_a_url(self):
        folder = self.host.scratch + "/www"
        os.makedirs(folder)
        with open(folder + "/tree.tar", "wb") as file:
            file.write(self.tree())
        pid = self.host._ask({"op": "spawn", "argv": [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", folder, "8099"], "env": {}, "log": self.host.scratch + "/www.log"})["pid"]
        self.addCleanup(self.host._ask, {"op": "kill", "pid": pid, "signal": 9})
        until(lambda: self.host.run_in("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8099").code == 0, "the server listens")
        result = self.docker("import", "http://127.0.0.1:8099/tree.tar", "fetched:1").check()
        self.assertIn("Downloading from http://127.0.0.1:8099/tree.tar", result.out)
        self.assertEqual(self.host.inspect("fetched:1", "image")["Comment"], "Imported from http://127.0.0.1:8099/tree.tar")
        self.assertFails(self.docker("import", "http://127.0.0.1:8099/nosuch.tar"), "404")

    def test_for_a_platform(self):
        self.docker("import", "--platform", "linux/arm64/v8", "-", "other:1", input=self.tree()).check()
        image = self.host.inspect("other:1", "image")
        self.assertEqual((image["Os"], image["Architecture"]), ("linux", "arm64"))
        self.assertFails(self.docker("import", "--platform", "windows/amd64", "-", "other:2", input=self.tree()), "operating system is not supported")


class ArchiveTest(ImageCase):
    def test_several_names_in_both_forms(self):
        self.docker("tag", "alpine", "example.test:5000/some/alpine:2").check()
        self.addCleanup(self.docker, "rmi", "example.test:5000/some/alpine:2")
        path = self.host.scratch + "/several.tar"
        self.docker("save", "-o", path, "alpine", "example.test:5000/some/alpine:2", "kitchen-sink").check()
        with tarfile.open(path) as archive:
            index = json.load(archive.extractfile("index.json"))
            listed = json.load(archive.extractfile("manifest.json"))
        names = sorted(entry["annotations"]["io.containerd.image.name"] for entry in index["manifests"])
        self.assertEqual(names, ["docker.io/library/alpine:latest", "docker.io/library/kitchen-sink:latest", "example.test:5000/some/alpine:2"])
        self.assertEqual(sorted(tag for entry in listed for tag in entry["RepoTags"]), ["alpine:latest", "example.test:5000/some/alpine:2", "kitchen-sink:latest"])
        self.assertEqual(len(listed), 2)
        # an OCI layout alone, without docker's list
        stripped = self.host.scratch + "/oci.tar"
        with tarfile.open(path) as archive, tarfile.open(stripped, "w") as out:
            for member in archive:
                if member.name != "manifest.json":
                    out.addfile(member, archive.extractfile(member))
        digests = self.host.inspect("alpine", "image")["RepoDigests"]
        self.docker("rmi", "example.test:5000/some/alpine:2", "alpine").check()
        result = self.docker("load", "-i", stripped).check()
        self.assertEqual(sorted(result.lines), ["Loaded image: alpine:latest", "Loaded image: example.test:5000/some/alpine:2", "Loaded image: kitchen-sink:latest"])
        self.assertEqual(self.host.inspect("alpine", "image")["RepoDigests"], digests, "the manifest is the one that was saved")

    def test_platforms(self):
        own = self.host.inspect("alpine", "image")["Architecture"]
        path = self.host.scratch + "/platform.tar"
        self.docker("save", "--platform", "linux/" + own, "-o", path, "alpine").check()
        self.docker("load", "--platform", "linux/" + own, "-i", path).check()
        self.assertFails(self.docker("save", "--platform", "linux/s390x", "-o", path + "2", "alpine"), "no suitable export target found for platform linux/s390x")
        self.assertFails(self.docker("load", "--platform", "linux/s390x", "-i", path), "requested platform (linux/s390x) not found")


class FilterTest(ImageCase):
    def names(self, *filters):
        words = [word for f in filters for word in ("--filter", f)]
        return sorted(self.docker("images", "--format", "{{.Repository}}", *words).check().lines)

    def make(self, name, label):
        self.docker("commit", "-c", "LABEL " + label, self.docker("create", "alpine").check().line, name).check()

    def test_lists(self):
        self.make("young", "age=young")
        self.make("younger", "age=younger")
        self.assertEqual(self.names("since=young"), ["younger"])
        self.assertEqual(self.names("before=younger", "label=age"), ["young"])
        self.assertEqual(self.names("label=age"), ["young", "younger"])
        self.assertEqual(self.names("label=age=younger"), ["younger"])
        self.assertEqual(self.names("reference=you*", "reference=alp*"), ["alpine", "young", "younger"])
        self.assertNotIn("young", self.names("until=1h"))
        self.assertFails(self.docker("images", "--filter", "dangling=maybe"), "nvalid filter 'dangling=[maybe]'")
        self.assertFails(self.docker("images", "--filter", "until=sometime"), 'failed to parse value as time or duration: "sometime"')

    def test_prune(self):
        self.make("kept", "keep=yes")
        self.make("gone", "keep=no")
        self.host.remove_everything()
        holds = self.docker("create", "alpine").check().line
        sink = self.docker("create", "kitchen-sink").check().line
        result = self.docker("image", "prune", "-af", "--filter", "label!=keep=yes").check()
        self.assertEqual(self.names("label=keep"), ["kept"])
        self.assertIn("untagged: gone:latest", result.out)
        self.assertEqual(self.docker("image", "prune", "-af", "--filter", "until=1h", "--filter", "label=keep").check().line, "Total reclaimed space: 0B")
        self.docker("image", "prune", "-af", "--filter", "label=keep").check()
        self.assertEqual(self.names("label=keep"), [])
        self.assertTrue(holds and sink and self.host.inspect("alpine", "image"))
        self.assertFails(self.docker("image", "prune", "-af", "--filter", "until=sometime"), 'failed to parse value as time or duration: "sometime"')


if __name__ == "__main__":
    unittest.main()
