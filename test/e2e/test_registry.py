"""Images to and from a real registry, with the stock CLI: pull, push, names, digests, platforms, what is said on the way."""

import json
import os
import random
import re
import unittest

import lab
from case import EngineCase
from registry import INDEX, LAYER, Registry, digest_of, pack, tar_of


class RegistryCase(EngineCase):
    """A plain registry at 127.0.0.1:5000 of the host; what a test pulled goes."""
    images = ("alpine", "hostname")
    registry_options = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.registry = Registry(cls.host, **cls.registry_options).start()

    def setUp(self):
        super().setUp()
        self.name = self.registry.name
        self.addCleanup(self._remove_images)

    def _remove_images(self):
        for row in self.host.api("GET", "/images/json?all=1").json:
            if not {"alpine:latest", "hostname:latest"} & set(row["RepoTags"] or []):
                self.docker("rmi", "-f", row["Id"])
            else:
                for tag in row["RepoTags"]:
                    if tag not in ("alpine:latest", "hostname:latest"):
                        self.docker("rmi", "-f", tag)

    def push(self, image="alpine", name=None):
        name = name or f"{self.name}/{image}:latest"
        self.docker("tag", image, name).check()
        return self.docker("push", name).check()

    def blobs_on_disk(self):
        return sorted(os.listdir(os.path.join(self.host.data_root, "blobs/sha256"))), sorted(os.listdir(os.path.join(self.host.data_root, "layers"))), os.listdir(os.path.join(self.host.data_root, "ingest"))


class PullPushTest(RegistryCase):
    def test_push_says_what_it_does(self):
        result = self.push(name=f"{self.name}/spoken/alpine:3")
        layer = self.host.inspect("alpine", "image")["RootFS"]["Layers"][0][7:19]
        self.assertEqual(result.lines[:2], [f"The push refers to repository [{self.name}/spoken/alpine]", f"{layer}: Preparing"])
        self.assertRegex(result.out, rf"(?m)^{layer}: (Pushed|Mounted from \S+)$")
        self.assertRegex(result.lines[-1], r"^3: digest: sha256:[0-9a-f]{64} size: [0-9]+$")
        again = self.docker("push", f"{self.name}/spoken/alpine:3").check()
        self.assertIn(f"{layer}: Layer already exists", again.lines)
        self.assertEqual(again.lines[-1], result.lines[-1])

    def test_what_was_pushed_is_there_byte_for_byte(self):
        result = self.push(name=f"{self.name}/there:1")
        digest, size = re.search(r"digest: (\S+) size: (\d+)", result.out).groups()
        status, headers, body = self.registry.manifest("there", "1")
        self.assertEqual((status, headers["docker-content-digest"], len(body), digest_of(body)), (200, digest, int(size), digest))
        self.assertIn(f"{self.name}/there@{digest}", self.host.inspect(f"{self.name}/there:1", "image")["RepoDigests"])

    def test_pull_says_what_it_does(self):
        descriptor = self.registry.put_image("fresh/app", "7", [{"a": b"one"}, {"b": b"two"}])
        manifest = json.loads(self.registry.manifest("fresh/app", "7")[2])
        result = self.docker("pull", f"{self.name}/fresh/app:7").check()
        layers = [layer["digest"][7:19] for layer in manifest["layers"]]
        self.assertEqual(result.lines[0], "7: Pulling from fresh/app")
        self.assertEqual(result.lines[1:3], [f"{layer}: Pulling fs layer" for layer in layers])
        for layer in layers:
            said = [line.split(": ")[1] for line in result.lines if line.startswith(layer)]
            self.assertEqual([said[0], *said[-3:]], ["Pulling fs layer", "Verifying Checksum", "Download complete", "Pull complete"])
        self.assertEqual(result.lines[-3:], [f"Digest: {descriptor['digest']}", f"Status: Downloaded newer image for {self.name}/fresh/app:7", f"{self.name}/fresh/app:7"])
        self.assertEqual(self.host.inspect(f"{self.name}/fresh/app:7", "image")["RepoDigests"], [f"{self.name}/fresh/app@{descriptor['digest']}"])
        again = self.docker("pull", f"{self.name}/fresh/app:7").check()
        self.assertEqual([line.split(": ")[1] for line in again.lines if line[:12] in layers], ["Already exists"] * 2)
        self.assertEqual(again.lines[-2], f"Status: Image is up to date for {self.name}/fresh/app:7")

    def test_there_and_back(self):
        self.push(name=f"{self.name}/back:1")
        identity = self.host.inspect("alpine", "image")["Id"]
        self.docker("rmi", f"{self.name}/back:1", "alpine").check()
        self.addCleanup(self.host.load, "alpine")
        result = self.docker("run", "--rm", f"{self.name}/back:1", "echo", "is back").check()
        self.assertEqual(result.out, "is back\n")
        self.assertIn(f"Unable to find image '{self.name}/back:1' locally", result.err)
        self.assertIn("Status: Downloaded newer image", result.err)
        self.assertEqual(self.host.inspect(f"{self.name}/back:1", "image")["Id"], identity)

    def test_quietly(self):
        self.registry.put_image("quiet", "1", [{"a": b"q"}])
        self.assertEqual(self.docker("pull", "-q", f"{self.name}/quiet:1").check().lines, [f"{self.name}/quiet:1"])

    def test_by_digest(self):
        descriptor = self.registry.put_image("exact", "1", [{"a": b"exact"}])
        name = f"{self.name}/exact@{descriptor['digest']}"
        result = self.docker("pull", name).check()
        self.assertEqual(result.lines[0], f"{name}: Pulling from exact".split("@")[1])
        self.assertEqual(result.lines[-1], name)
        image = self.host.inspect(name, "image")
        self.assertEqual((image["RepoTags"], image["RepoDigests"]), ([], [name]))
        self.assertEqual(self.docker("images", "--digests", "--format", "{{.Repository}} {{.Tag}} {{.Digest}}", f"{self.name}/exact").check().lines, [f"{self.name}/exact <none> {descriptor['digest']}"])
        self.assertIn("Image is up to date for " + name, self.docker("pull", name).check().out)
        self.assertFails(self.docker("pull", f"{self.name}/exact@sha256:{'0' * 64}"), "manifest unknown")
        self.docker("tag", image["Id"], "named:1").check()
        self.assertEqual(self.docker("rmi", name).check().lines, ["Untagged: " + name])
        self.assertEqual(self.host.inspect("named:1", "image")["Id"], image["Id"])

    def test_all_tags(self):
        for tag in "123":
            self.registry.put_image("many", tag, [{"a": b"many" + tag.encode()}])
        self.docker("pull", "-a", f"{self.name}/many").check()
        self.assertEqual(sorted(self.docker("images", "--format", "{{.Tag}}", f"{self.name}/many").lines), ["1", "2", "3"])
        for tag in "45":
            self.docker("tag", f"{self.name}/many:1", f"{self.name}/more:{tag}").check()
        result = self.docker("push", "-a", f"{self.name}/more").check()
        self.assertEqual(sorted(line.split(":")[0] for line in result.lines if "digest: " in line), ["4", "5"])

    def test_a_name_moves_to_the_newer_image(self):
        self.registry.put_image("moving", "1", [{"a": b"older"}])
        self.docker("pull", f"{self.name}/moving:1").check()
        older = self.host.inspect(f"{self.name}/moving:1", "image")["Id"]
        self.registry.put_image("moving", "1", [{"a": b"newer"}])
        self.assertIn("Downloaded newer image", self.docker("pull", f"{self.name}/moving:1").check().out)
        self.assertNotEqual(self.host.inspect(f"{self.name}/moving:1", "image")["Id"], older)
        self.assertEqual(self.host.inspect(older, "image")["RepoTags"], [])

    def test_a_layer_the_registry_has_elsewhere_is_not_sent(self):
        self.push("hostname", f"{self.name}/first:1")
        result = self.push("hostname", f"{self.name}/second:1")
        self.assertRegex(result.out, "(?m)^[0-9a-f]{12}: Mounted from first$")

    def test_what_is_not_there(self):
        name = f"{self.name}/nosuch:1"
        self.assertFails(self.docker("pull", name), f"Error response from daemon: manifest for {name} not found: manifest unknown: manifest unknown")
        self.assertEqual(self.host.api("POST", f"/images/create?fromImage={self.name}/nosuch&tag=1").status, 404)
        self.assertFails(self.docker("push", f"{self.name}/nosuch:1"), f"An image does not exist locally with the tag: {self.name}/nosuch")
        self.assertFails(self.docker("pull", "127.0.0.1:5999/nosuch:1"), "Error response from daemon: Get \"http://127.0.0.1:5999/v2/\": dial tcp 127.0.0.1:5999: connect: connection refused")
        self.assertFails(self.docker("pull", "registry.invalid/nosuch:1"), "lookup registry.invalid", "no such host")

    def test_drawn_on_a_terminal(self):
        """A bar for each layer, as the CLI makes it of what it is told."""
        descriptor = self.registry.put_image("drawn", "1", [{"a": random.Random(1).randbytes(40 << 20)}, {"b": b"little"}], how="tar")
        slow = self.registry.flaky(5001, pause=0.001)
        terminal = self.host.terminal("pull", f"{slow}/drawn:1", rows=24, columns=150)
        text = terminal.read_until("Status: Downloaded newer image")
        self.assertRegex(text, r"Downloading \[=*> *\] +[0-9.]+MB/41\.9\dMB")
        self.assertRegex(text, r"Extracting \[=*> *\] +[0-9.]+[kM]?B/41\.9\dMB")
        self.assertIn("Digest: " + descriptor["digest"], text)

    def test_events(self):
        self.registry.put_image("told", "1", [{"a": b"told"}])
        since = self.host.run_in("date", "+%s.%N").line
        self.docker("pull", f"{self.name}/told:1").check()
        until = self.host.run_in("date", "+%s.%N").line
        events = [json.loads(line) for line in self.docker("events", "--since", since, "--until", until, "--format", "{{json .}}").check().lines]
        self.assertIn(("pull", f"{self.name}/told:1"), [(event["Action"], event["Actor"]["ID"]) for event in events])


class FormTest(RegistryCase):
    """Images as others make them."""

    def test_packed_in_every_way(self):
        for how in ("tar", "gzip", "zstd"):
            with self.subTest(how):
                self.registry.put_image("packed", how, [{"a": b"x" * 100000}, {"b": how.encode()}], how=how)
                self.docker("pull", f"{self.name}/packed:{how}").check()
                name = self.docker("create", f"{self.name}/packed:{how}").check().line
                self.assertEqual(self.docker("cp", f"{name}:/b", "-").check().out_bytes[512:512 + len(how)], how.encode())
                self.docker("rm", name).check()

    def test_the_manifest_of_what_was_loaded_says_how_it_is_packed(self):
        layers = {how: pack(tar_of({how: b"loaded"}), how) for how in ("tar", "gzip", "zstd")}
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["x"]}, "rootfs": {"type": "layers", "diff_ids": [digest_of(tar_of({how: b"loaded"})) for how in layers]}}).encode()
        listed = json.dumps([{"Config": "c.json", "RepoTags": [f"{self.name}/loaded:1"], "Layers": list(layers)}]).encode()
        self.docker("load", input=tar_of({"manifest.json": listed, "c.json": config, **layers})).check()
        self.docker("push", f"{self.name}/loaded:1").check()
        types = [layer["mediaType"] for layer in json.loads(self.registry.manifest("loaded", "1")[2])["layers"]]
        self.assertEqual(types, [LAYER, LAYER + "+gzip", LAYER + "+zstd"])

    def index(self, name, *architectures, **more):
        entries = [self.registry.put_image(name, f"only-{arch}", [{"which": arch.encode()}], architecture=arch) for arch in architectures]
        return self.registry.put_index(name, "1", entries + [{"mediaType": entries[0]["mediaType"], "digest": entries[0]["digest"], "size": entries[0]["size"], "platform": {"os": "unknown", "architecture": "unknown"}}])

    def test_one_of_several_platforms(self):
        top = self.index("multi", "s390x", "amd64", "arm64")
        self.assertIn(f"Digest: {top['digest']}", self.docker("pull", f"{self.name}/multi:1").check().lines)
        image = self.host.inspect(f"{self.name}/multi:1", "image")
        self.assertEqual((image["Architecture"], image["RepoDigests"]), ("amd64", [f"{self.name}/multi@{top['digest']}"]))
        self.docker("pull", "--platform", "linux/arm64/v8", f"{self.name}/multi:1").check()
        self.assertEqual(self.host.inspect(f"{self.name}/multi:1", "image")["Architecture"], "arm64")
        self.assertFails(self.docker("pull", "--platform", "linux/riscv64", f"{self.name}/multi:1"), "no matching manifest for linux/riscv64 in the manifest list entries")
        self.assertFails(self.docker("pull", "--platform", "linux/no such/thing", f"{self.name}/multi:1"), "nvalid")
        self.docker("pull", f"{self.name}/multi@{top['digest']}").check()
        self.assertEqual(self.host.inspect(f"{self.name}/multi@{top['digest']}", "image")["Architecture"], "amd64")

    def test_a_platform_that_the_one_image_is_not_for(self):
        self.registry.put_image("single", "1", [{"a": b"single"}])
        self.assertFails(self.docker("pull", "--platform", "linux/arm64", f"{self.name}/single:1"), "does not match the specified platform")
        self.assertEqual(self.docker("images", "-q", f"{self.name}/single").lines, [])

    def test_what_a_registry_has_under_a_name(self):
        top = self.index("described", "amd64", "arm64")
        told = self.host.api("GET", f"/distribution/{self.name}/described:1/json").json
        self.assertEqual((told["Descriptor"]["digest"], told["Descriptor"]["mediaType"], told["Descriptor"]["size"]), (top["digest"], INDEX, top["size"]))
        self.assertEqual([p["architecture"] for p in told["Platforms"]], ["amd64", "arm64"])
        self.assertEqual(self.host.api("GET", f"/distribution/{self.name}/nosuch:1/json").status, 404)

    def test_lies_are_found_out(self):
        """Blobs that are not what the manifest says: the registry's disk is damaged behind its back."""
        before = self.blobs_on_disk()
        self.registry.put_image("lies", "1", [{"a": b"truth" * 1000}, {"b": b"truth too"}])
        manifest = json.loads(self.registry.manifest("lies", "1")[2])
        for what, blob, text in (("layer", manifest["layers"][0], "filesystem layer verification failed for digest"), ("config", manifest["config"], "verification failed for digest")):
            with self.subTest(what):
                path = os.path.join(self.registry.folder, "data/docker/registry/v2/blobs/sha256", blob["digest"][7:9], blob["digest"][7:], "data")
                with open(path, "r+b") as file:
                    content = file.read()
                    file.seek(len(content) // 2)
                    file.write(bytes([content[len(content) // 2] ^ 1]))
                self.assertFails(self.docker("pull", f"{self.name}/lies:1"), text, blob["digest"])
                with open(path, "wb") as file:
                    file.write(content)
        self.assertEqual(self.blobs_on_disk(), before, "nothing of it is left")

    def test_what_is_no_image(self):
        blob = self.registry.put_blob("chart", b'{"name": "a chart"}')
        layer = self.registry.put_blob("chart", tar_of({"a": b"b"}))
        self.registry.put_manifest("chart", "1", {"schemaVersion": 2, "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": blob, "size": 19},
                                                  "layers": [{"mediaType": "application/x", "digest": layer, "size": 10240}]})
        self.assertFails(self.docker("pull", f"{self.name}/chart:1"), "application/vnd.cncf.helm.config.v1+json")


if __name__ == "__main__":
    unittest.main()
