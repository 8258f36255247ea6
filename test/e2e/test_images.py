"""Images: load, import, ls, inspect, tag, rm; what layers mean; archives that are wrong."""

import gzip
import hashlib
import io
import json
import tarfile
import unittest

import lab
from case import EngineCase


def rewrite(archive, change):
    """The archive with change(name, data) -> (name, data) or None applied to each file, as bytes."""
    out = io.BytesIO()
    with tarfile.open(archive) as source, tarfile.open(fileobj=out, mode="w") as target:
        for member in source.getmembers():
            data = source.extractfile(member).read() if member.isfile() else b""
            changed = change(member.name, data)
            if changed is None:
                continue
            member.name, data = changed
            if member.isfile():
                member.size = len(data)
            target.addfile(member, io.BytesIO(data))
    return out.getvalue()


def spoil_layer(name, data):
    """One letter of a program in the layer is another; the tar itself stays whole."""
    return name, data.replace(b"BusyBox v", b"BusyBoX v") if name.endswith("layer.tar") else data


def manifest_of(archive):
    with tarfile.open(archive) as source:
        manifest = json.load(source.extractfile("manifest.json"))[0]
        return manifest, json.load(source.extractfile(manifest["Config"]))


class LoadTest(EngineCase):
    images = ()

    def setUp(self):
        super().setUp()
        self.addCleanup(self.remove_images)

    def remove_images(self):
        self.host.remove_everything()
        for image in self.docker("images", "-aq", "--no-trunc").out.split():
            self.docker("rmi", "-f", image)

    def test_says_what_it_loaded(self):
        result = self.docker("load", "-i", lab.image_archive("alpine")).check()
        self.assertIn("Loaded image: alpine:latest", result.out)

    def test_from_standard_input(self):
        with open(lab.image_archive("alpine"), "rb") as file:
            result = self.docker("load", input=file.read()).check()
        self.assertIn("Loaded image: alpine:latest", result.out)
        self.assertEqual(self.docker("run", "--rm", "alpine", "echo", "ok").check().out, "ok\n")

    def test_compressed(self):
        with open(lab.image_archive("alpine"), "rb") as file:
            data = gzip.compress(file.read(), 1)
        self.docker("load", input=data).check()
        self.assertEqual(self.docker("run", "--rm", "alpine", "echo", "ok").check().out, "ok\n")

    def test_compressed_layers_in_the_archive(self):
        data = rewrite(lab.image_archive("alpine"), lambda name, data: (name, gzip.compress(data, 1) if name.endswith("layer.tar") else data))
        self.docker("load", input=data).check()
        self.assertEqual(self.docker("run", "--rm", "alpine", "echo", "ok").check().out, "ok\n")

    def test_twice_changes_nothing(self):
        self.host.load("alpine")
        before = self.docker("images", "--no-trunc", "-q").check().out
        self.host.load("alpine")
        self.assertEqual(self.docker("images", "--no-trunc", "-q").check().out, before)
        self.assertEqual(len(self.docker("images", "-q").lines), 1)

    def test_image_id_is_the_digest_of_its_configuration(self):
        self.host.load("alpine")
        manifest, _ = manifest_of(lab.image_archive("alpine"))
        self.assertEqual(self.docker("images", "--no-trunc", "-q").check().line, "sha256:" + manifest["Config"][:-5])

    def test_several_tags_of_one_image(self):
        result = self.docker("load", "-i", lab.image_archive("kitchen-sink")).check()
        self.assertIn("Loaded image: kitchen-sink:latest", result.out)
        self.assertIn("Loaded image: example.test:5000/some/kitchen-sink:1.0", result.out)
        self.assertEqual(sorted(self.docker("images", "--format", "{{.Repository}}:{{.Tag}}").lines),
                         ["example.test:5000/some/kitchen-sink:1.0", "kitchen-sink:latest"])

    def test_without_tags(self):
        def untag(name, data):
            if name == "repositories":
                return None
            if name == "manifest.json":
                manifest = json.loads(data)
                manifest[0]["RepoTags"] = None
                data = json.dumps(manifest).encode()
            return name, data
        result = self.docker("load", input=rewrite(lab.image_archive("alpine"), untag)).check()
        self.assertRegex(result.out, r"Loaded image ID: sha256:[0-9a-f]{64}")
        self.assertEqual(self.docker("images", "--format", "{{.Repository}}:{{.Tag}}").line, "<none>:<none>")

    def test_loading_another_image_under_the_tag_moves_it(self):
        self.host.load("alpine")
        old = self.docker("images", "--no-trunc", "-q").check().line

        def rename(name, data):
            return name, data.replace(b'"hostname:latest"', b'"alpine:latest"').replace(b'"hostname"', b'"alpine"') if "." in name[-14:] or name == "repositories" else data
        self.docker("load", input=rewrite(lab.image_archive("hostname"), rename)).check()
        new = self.host.inspect("alpine", "image")["Id"]
        self.assertNotEqual(new, old)
        self.assertEqual(self.host.inspect(old, "image")["RepoTags"], [])

    def test_archives_that_are_wrong_change_nothing(self):
        archive = lab.image_archive("alpine")
        with open(archive, "rb") as file:
            whole = file.read()
        wrong_layer = rewrite(archive, spoil_layer)
        cases = {
            "no archive at all": b"this is not a tar archive" * 100,
            "empty": b"",
            "cut off in the layer": whole[:len(whole) // 2],
            "no manifest": rewrite(archive, lambda name, data: None if name in ("manifest.json", "repositories") or name.endswith("/json") else (name, data)),
            "manifest is no JSON": rewrite(archive, lambda name, data: (name, b"{[" if name == "manifest.json" else data)),
            "layer missing": rewrite(archive, lambda name, data: None if name.endswith("layer.tar") else (name, data)),
            "layer is not the one the configuration names": wrong_layer,
            "manifest points out of the archive": rewrite(archive, lambda name, data: (name, json.dumps(
                [{"Config": "../../../../etc/passwd", "RepoTags": ["alpine:latest"], "Layers": []}]).encode() if name == "manifest.json" else data)),
            "fewer layers than the configuration has": rewrite(archive, lambda name, data: (name, json.dumps(
                [{**json.loads(data)[0], "Layers": []}]).encode() if name == "manifest.json" else data)),
        }
        for what, data in cases.items():
            with self.subTest(what):
                self.remove_images()
                result = self.docker("load", input=data)
                self.assertNotEqual(result.code, 0, f"{what}: {result}")
                self.assertNotEqual(result.err.strip(), "")
                self.assertEqual(self.docker("images", "-aq").out, "", f"{what}: left an image")
                self.assertTrue(self.host.engine_is_alive())
        self.host.load("alpine")
        self.assertEqual(self.docker("run", "--rm", "alpine", "echo", "ok").check().out, "ok\n")

    def test_the_error_names_the_layer_that_does_not_match(self):
        data = rewrite(lab.image_archive("alpine"), spoil_layer)
        _, config = manifest_of(lab.image_archive("alpine"))
        result = self.docker("load", input=data)
        self.assertFails(result, config["rootfs"]["diff_ids"][0])

    def test_hostile_layers_stay_inside(self):
        """Paths and links that lead out of the layer are refused or kept inside; nothing of the machine changes."""
        target = self.host.scratch + "/outside"
        hostile = io.BytesIO()
        with tarfile.open(fileobj=hostile, mode="w") as tar:
            link = tarfile.TarInfo("escape")
            link.type, link.linkname = tarfile.SYMTYPE, self.host.scratch
            tar.addfile(link)
            for name in ("escape/outside", "../../../../../../../.." + target, target):
                info = tarfile.TarInfo(name)
                info.size = 4
                tar.addfile(info, io.BytesIO(b"evil"))
            hard = tarfile.TarInfo("shadow")
            hard.type, hard.linkname = tarfile.LNKTYPE, "../../../../../../../../etc/shadow"
            tar.addfile(hard)
        layer = hostile.getvalue()
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/x"]},
                             "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}).encode()
        name = hashlib.sha256(config).hexdigest() + ".json"
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for path, data in ((name, config), ("l/layer.tar", layer),
                               ("manifest.json", json.dumps([{"Config": name, "RepoTags": ["hostile:1"], "Layers": ["l/layer.tar"]}]).encode())):
                info = tarfile.TarInfo(path)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        self.docker("load", input=archive.getvalue())
        import os
        self.assertFalse(os.path.lexists(target), "a layer wrote outside of its folder")
        self.assertTrue(self.host.engine_is_alive())

    @unittest.skipIf(lab.IS_DOCKERD, "Docker has no limit")
    def test_bombs(self):
        """Little that would fill the disk: a hole of 100 GiB, and zeros packed twice."""
        hole, zeros = tarfile.TarInfo("l/layer.tar"), tarfile.TarInfo("l/layer.tar")
        hole.size, zeros.size = 1, 400 << 20
        at = 100 << 30
        hole.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": f"{at},1", "GNU.sparse.size": str(at + 1), "GNU.sparse.name": hole.name}
        for member, pack in (hole, bytes), (zeros, lambda data: gzip.compress(gzip.compress(data))):
            archive = io.BytesIO()
            with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
                tar.addfile(member, io.BytesIO(bytes(member.size)))
            bomb = pack(archive.getvalue())
            self.assertLess(len(bomb), 20000)
            self.assertFails(self.docker("load", input=bomb), "expands more than 2000 times")

    def test_import_of_a_file_tree(self):
        tree = io.BytesIO()
        with tarfile.open(lab.image_archive("alpine")) as archive:
            manifest, _ = manifest_of(lab.image_archive("alpine"))
            tree = archive.extractfile(manifest["Layers"][0]).read()
        result = self.docker("import", "-", "imported:1.0", input=tree).check()
        self.assertRegex(result.out, r"^sha256:[0-9a-f]{64}\n$")
        self.assertEqual(self.docker("run", "--rm", "imported:1.0", "/bin/echo", "tree").check().out, "tree\n")
        self.assertEqual(self.host.inspect("imported:1.0", "image")["Id"], result.line)

    def test_import_with_changes_and_message(self):
        with tarfile.open(lab.image_archive("alpine")) as archive:
            manifest, _ = manifest_of(lab.image_archive("alpine"))
            path = self.host.scratch + "/tree.tar"
            with open(path, "wb") as file:
                file.write(archive.extractfile(manifest["Layers"][0]).read())
        self.docker("import", "--change", 'CMD ["/bin/sh","-c","echo $COLOUR; pwd"]', "--change", "ENV COLOUR=amber",
                    "--change", "WORKDIR /tmp", "--message", "from a tree", path, "changed").check()
        self.assertEqual(self.docker("run", "--rm", "changed").check().out, "amber\n/tmp\n")

    def test_import_without_a_name_leaves_it_dangling(self):
        tree = io.BytesIO()
        with tarfile.open(fileobj=tree, mode="w") as tar:
            info = tarfile.TarInfo("file")
            info.size = 2
            tar.addfile(info, io.BytesIO(b"x\n"))
        image = self.docker("import", "-", input=tree.getvalue()).check().line
        self.assertEqual(self.docker("images", "-q", "--no-trunc", "--filter", "dangling=true").check().line, image)


class ListTest(EngineCase):
    images = ("alpine", "hostname")

    def test_table(self):
        result = self.docker("images").check()
        self.assertTable(result, "REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE")
        names = sorted(line.split()[0] for line in result.lines[1:])
        self.assertEqual(names, ["alpine", "hostname"])
        self.assertRegex(result.out, r"alpine +latest +[0-9a-f]{12} +.* ago +[0-9.]+MB")

    def test_by_repository_and_reference(self):
        self.assertEqual(self.docker("images", "--format", "{{.Repository}}", "alpine").check().lines, ["alpine"])
        self.assertEqual(self.docker("images", "-q", "alpine:nosuch").check().lines, [])
        self.assertEqual(self.docker("images", "--format", "{{.Repository}}", "--filter", "reference=host*").check().lines, ["hostname"])
        self.assertEqual(self.docker("images", "-q", "--filter", "dangling=true").check().lines, [])
        self.assertEqual(self.docker("images", "--format", "{{.Repository}}", "--filter", "label=nosuch").check().lines, [])

    def test_unknown_filter_is_refused(self):
        result = self.docker("images", "--filter", "colour=red")
        self.assertFails(result, "nvalid filter")

    def test_ids(self):
        short, full = self.docker("images", "-q", "alpine").line, self.docker("images", "-q", "--no-trunc", "alpine").line
        self.assertRegex(full, "^sha256:[0-9a-f]{64}$")
        self.assertEqual(full[7:19], short)
        for name in ("alpine", "alpine:latest", short, full, full[7:], "docker.io/library/alpine", "library/alpine:latest", "docker.io/alpine"):
            with self.subTest(name):
                self.assertEqual(self.host.inspect(name, "image")["Id"], full)


class InspectTest(EngineCase):
    images = ("alpine", "kitchen-sink")

    def test_fields(self):
        image = self.host.inspect("kitchen-sink", "image")
        manifest, config = manifest_of(lab.image_archive("kitchen-sink"))
        self.assertEqual(image["Id"], "sha256:" + manifest["Config"][:-5])
        self.assertEqual(sorted(image["RepoTags"]), ["example.test:5000/some/kitchen-sink:1.0", "kitchen-sink:latest"])
        self.assertEqual(image["RootFS"], {"Type": "layers", "Layers": config["rootfs"]["diff_ids"]})
        self.assertEqual((image["Os"], image["Architecture"]), ("linux", config["architecture"]))
        self.assertTrue(image["Created"].startswith("2024-01-01T00:00:00"))
        self.assertGreater(image["Size"], 1900000)
        for key, value in config["config"].items():
            self.assertEqual(image["Config"][key], value, key)

    def test_format(self):
        self.assertEqual(self.docker("inspect", "-f", "{{json .Config.Cmd}} {{.Os}}", "alpine").check().line, '["/bin/sh"] linux')

    def test_unknown_image(self):
        self.assertFails(self.docker("image", "inspect", "nosuch"), "No such image: nosuch")
        self.assertFails(self.docker("inspect", "nosuch"), "No such object: nosuch")


class LayersTest(EngineCase):
    """What the layers of kitchen-sink must look like from inside."""
    images = ("kitchen-sink",)

    def look(self, script):
        return self.docker("run", "--rm", "-u", "0", "--entrypoint", "/bin/sh", "kitchen-sink", "-c", script).check().out

    def test_later_layers_win(self):
        self.assertEqual(self.look("cat /layers/kept /layers/replaced /layers/becomes-dir/inside /layers/becomes-file"), "kept\nnew\nseen\nnow a file\n")

    def test_whiteouts(self):
        self.assertEqual(self.look("ls -a /layers | grep -E 'removed|wh'; ls -A /layers/opaque"), "above\n")

    def test_names(self):
        self.assertEqual(self.look("cat /layers/long-link /layers/ünïcödé"), "long\nunicode\n")

    def test_owners_modes_and_kinds(self):
        self.assertEqual(self.look("cd /layers; stat -c '%n %a %u %g %F' setuid sticky owned fifo null /data /data/seed"),
                         "setuid 4755 0 0 regular empty file\nsticky 1777 0 0 directory\nowned 640 1234 5678 regular empty file\n"
                         "fifo 600 0 0 fifo\nnull 666 0 0 character special file\n/data 2750 1234 5678 directory\n/data/seed 640 1234 5678 regular file\n")

    def test_times_are_the_archives(self):
        self.assertEqual(self.look("stat -c %Y /layers/kept /layers/sticky /real/bin"), "1704067200\n" * 3)

    def test_hard_links_share_one_file(self):
        self.assertEqual(self.look("stat -c %i /layers/hard /layers/owned | uniq | wc -l; stat -c %h /bin/sh"), "1\n6\n")

    def test_extended_attributes(self):
        name = self.docker("create", "kitchen-sink").check().line
        self.docker("rm", name)
        identity = self.docker("run", "-d", "-u", "0", "--entrypoint", "sleep", "kitchen-sink", "1000").check().line
        pid = self.host.inspect(identity)["State"]["Pid"]
        result = self.host.run_in("python3", "-c", "import os,sys; print({n: os.getxattr(f, n).hex() for f, n in "
                                  "((sys.argv[1] + '/capable', 'security.capability'), (sys.argv[1] + '/attribute', 'user.colour'))})",
                                  f"/proc/{pid}/root/layers").check()
        self.assertEqual(result.line, str({"security.capability": "0100000200200000000000000000000000000000", "user.colour": b"amber".hex()}))

    def test_files_behind_a_linked_folder(self):
        self.assertEqual(self.look("/link-to-bin/through-link; /absolute-link/through-absolute"), "through\nthrough\n")

    def test_configuration_is_used(self):
        self.assertEqual(self.docker("run", "--rm", "kitchen-sink").check().out, "entry default words\n")
        self.assertEqual(self.docker("run", "--rm", "kitchen-sink", "other").check().out, "entry other\n")
        self.assertEqual(self.docker("run", "--rm", "--entrypoint", "/bin/sh", "kitchen-sink", "-c", "pwd; id; echo $FLAVOUR[$EMPTY]$HOME").check().out,
                         "/work/here\nuid=1234(cook) gid=5678(kitchen) groups=4321(spoons),5678(kitchen)\nsalt[]/home/cook\n")


class TagTest(EngineCase):
    images = ("alpine",)

    def tearDown(self):
        for name in self.docker("images", "--format", "{{.Repository}}:{{.Tag}}").lines:
            if name != "alpine:latest":
                self.docker("rmi", name)

    def test_another_name_for_the_same_image(self):
        self.docker("tag", "alpine", "example.test/mine:v1").check()
        self.assertEqual(self.host.inspect("example.test/mine:v1", "image")["Id"], self.host.inspect("alpine", "image")["Id"])
        self.assertEqual(self.docker("run", "--rm", "example.test/mine:v1", "echo", "x").check().out, "x\n")
        result = self.docker("rmi", "example.test/mine:v1").check()
        self.assertEqual(result.out, "Untagged: example.test/mine:v1\n")

    def test_default_tag(self):
        self.docker("tag", "alpine:latest", "mine").check()
        self.assertIn("mine:latest", self.host.inspect("alpine", "image")["RepoTags"])

    def test_unknown_source(self):
        self.assertFails(self.docker("tag", "nosuch", "mine"), "Error response from daemon: No such image: nosuch:latest")

    def test_wrong_names_are_refused_by_the_engine_too(self):
        for query in ("repo=UPPER&tag=x", "repo=a//b&tag=x", "repo=mine&tag=-bad", "repo=mine&tag=" + "t" * 129, "repo=" + "r/" * 200 + "x"):
            with self.subTest(query[:40]):
                response = self.host.api("POST", "/images/alpine/tag?" + query)
                self.assertEqual(response.status, 500 if lab.IS_DOCKERD else 400, response.body)
                self.assertTrue(response.message)


class RemoveTest(EngineCase):
    images = ("alpine", "hostname")

    def setUp(self):
        super().setUp()
        for image in self.docker("images", "-aq", "--no-trunc").out.split():
            self.docker("rmi", "-f", image)
        for image in self.images:
            self.host.load(image)

    def test_says_what_went(self):
        identity = self.host.inspect("hostname", "image")["Id"]
        result = self.docker("rmi", "hostname").check()
        self.assertIn("Untagged: hostname:latest\n", result.out)
        self.assertIn(f"Deleted: {identity}\n", result.out)
        self.assertFails(self.docker("rmi", "hostname"), "Error response from daemon: No such image: hostname:latest")

    def test_layers_shared_with_another_image_stay(self):
        self.docker("rmi", "alpine").check()
        self.assertRegex(self.docker("run", "--rm", "hostname", "sh", "-c", "echo still; ls -d /usr/local/bin/hostname-web").check().out, "^still\n/usr")
        self.host.load("alpine")
        self.docker("rmi", "hostname").check()
        self.assertEqual(self.docker("run", "--rm", "alpine", "echo", "still").check().out, "still\n")

    def test_name_in_use_by_a_stopped_container(self):
        container = self.docker("create", "alpine").check().line
        image = self.docker("images", "-q", "alpine").line
        self.assertFails(self.docker("rmi", "alpine"), f'Error response from daemon: conflict: unable to remove repository reference "alpine" '
                         f"(must force) - container {container[:12]} is using its referenced image {image}")
        self.assertEqual(self.docker("images", "-q", "alpine").line, image)

    def test_id_in_use(self):
        stopped = self.docker("create", "alpine").check().line
        image = self.docker("images", "-q", "alpine").line
        self.assertFails(self.docker("rmi", image), f"conflict: unable to delete {image} (must be forced) - image is being used by stopped container {stopped[:12]}")
        running = self.docker("run", "-d", "hostname").check().line
        image = self.docker("images", "-q", "hostname").line
        self.assertFails(self.docker("rmi", "-f", image), f"conflict: unable to delete {image} (cannot be forced) - image is being used by running container {running[:12]}")
        self.assertEqual(self.docker("images", "-q", "hostname").line, image)

    def test_one_of_two_names_may_go_while_in_use(self):
        self.docker("tag", "alpine", "second").check()
        self.docker("create", "alpine").check()
        self.assertEqual(self.docker("rmi", "second").check().out, "Untagged: second:latest\n")

    def test_id_with_two_names(self):
        self.docker("tag", "alpine", "second").check()
        image = self.docker("images", "-q", "alpine").line
        self.assertFails(self.docker("rmi", image), f"conflict: unable to delete {image} (must be forced) - image is referenced in multiple repositories")
        result = self.docker("rmi", "-f", image).check()
        self.assertIn("Untagged: alpine:latest\n", result.out)
        self.assertIn("Untagged: second:latest\n", result.out)

    def test_forced_removal_under_a_stopped_container(self):
        name = self.docker("create", "--name", "kept", "alpine", "echo", "works").check().line
        self.docker("rmi", "-f", "alpine").check()
        self.assertEqual(self.docker("images", "-q", "alpine").line, "")
        self.assertTrue(self.host.inspect(name)["Image"].startswith("sha256:"))

    def test_missing_image_on_create(self):
        self.assertFails(self.docker("run", "--pull", "never", "nosuch:1"), "docker: Error response from daemon: No such image: nosuch:1", code=125)

    def test_pull_that_cannot_work_says_so(self):
        result = self.docker("run", "registry.invalid/nosuch")
        self.assertFails(result, "Unable to find image 'registry.invalid/nosuch:latest' locally", "Error response from daemon", code=125)


if __name__ == "__main__":
    unittest.main()
