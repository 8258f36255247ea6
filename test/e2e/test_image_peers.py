"""Scenario E4: an image that one node has is enough. The others get it from that one, over the swarm's own connections."""

import json
import os
import subprocess
import tarfile
import unittest

import lab
from case import OwnClusterCase, SwarmCase
from lab import until

FOREVER = ("sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait")


class _Images(SwarmCase):
    images = ()

    def setUp(self):
        super().setUp()
        self.addCleanup(self._remove_images)

    def _remove_images(self):
        self.cluster.remove_everything()
        for number in self.cluster.numbers:
            for identity in set(self.docker("images", "-aq", "--no-trunc", node=number).lines):
                self.docker("rmi", "-f", identity, node=number)

    def load(self, number, image="hostname"):
        self.cluster.host(number).load(image)

    def images_on(self, number):
        return {line for line in self.docker("images", "--format", "{{.Repository}}:{{.Tag}}", node=number).lines}

    def image_id(self, number, image="hostname"):
        result = self.docker("image", "inspect", "-f", "{{.Id}}", image, node=number)
        return result.line if result.code == 0 else None


class PeersTest(_Images):
    def test_loaded_on_one_runs_on_all(self):
        self.load(1)
        self.create("web", "--mode", "global")
        self.cluster.wait_tasks("web", 5)
        self.assertEqual(len({self.image_id(number) for number in self.cluster.numbers}), 1)
        for number in self.cluster.numbers:
            self.assertIn("hostname:latest", self.images_on(number))

    def test_built_on_one_runs_on_all(self):
        self.load(4)
        dockerfile = "FROM hostname\nENV BUILT=here\nRUN echo built > /built\n"
        self.docker("build", "-t", "own:1", "-", node=4, input=dockerfile).check()
        self.create("web", "--mode", "global", image="own:1")
        self.cluster.wait_tasks("web", 5)
        self.assertEqual(len({self.image_id(number, "own:1") for number in self.cluster.numbers}), 1)

    def test_loaded_on_a_worker(self):
        self.load(5)
        self.create("web", "--constraint", "node.hostname==node2")
        self.cluster.wait_tasks("web", 1, where=lambda row: row["Node"] == "node2")
        self.assertRegex(self.inspect("web")["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"], "@sha256:[0-9a-f]{64}$", "pinned from what a worker has")
        self.assertIsNone(self.image_id(3), "only who runs it has it")

    def test_carried_by_hand(self):
        self.load(1, "alpine")
        path = self.cluster.host(1).scratch + "/image.tar"
        self.docker("save", "-o", path, "alpine").check()
        for number in self.cluster.numbers[1:]:
            self.docker("load", "-q", "-i", path, node=number).check()
        self.create("box", "--replicas", "5", image="alpine", command=FOREVER)
        self.cluster.wait_tasks("box", 5)

    def test_what_it_says_is_kept(self):
        self.load(3, "kitchen-sink")
        before = json.loads(self.docker("image", "inspect", "kitchen-sink", node=3).check().out)[0]
        self.create("sink", "--constraint", "node.hostname==node4", "--restart-condition", "none", image="kitchen-sink")
        until(lambda: self.image_id(4, "kitchen-sink"), "node4 has it")
        after = json.loads(self.docker("image", "inspect", "kitchen-sink", node=4).check().out)[0]
        for key in ("Id", "Config", "RootFS", "Architecture", "Os", "Created"):
            self.assertEqual(after[key], before[key], key)
        skipped = " -o ".join("-path ./" + path for path in ("proc", "sys", "dev", "etc/hosts", "etc/hostname", "etc/resolv.conf"))
        files = (f"cd /; list() {{ find . -xdev \\( {skipped} \\) -prune -o \"$@\" -print0 | sort -z; }}; "
                 "(list -type d | xargs -0 stat -c '%n %f %u %g'; list ! -type d | xargs -0 stat -c '%n %f %u %g %s %Y %N') | md5sum")
        sums = {self.docker("run", "--rm", "--entrypoint", "sh", "-u", "0", "kitchen-sink", "-c", files, node=number).check().out for number in (3, 4)}
        self.assertEqual(len(sums), 1, "every file with its owner, mode and time")

    def test_nobody_has_it(self):
        self.create("web", image="nobody/has-it:7")
        self.cluster.wait_task_error("web", "No such image: nobody/has-it:7")
        self.assertEqual(self.docker("service", "ls", "--format", "{{.Replicas}}").line, "0/1")

    def test_loaded_after_the_service_was_made(self):
        self.create("web", "--restart-delay", "200ms")
        self.cluster.wait_task_error("web", "No such image: hostname")
        self.load(4)
        self.cluster.wait_tasks("web", 1)

    def test_a_new_build_under_the_same_name(self):
        self.load(1, "alpine")
        self.docker("tag", "alpine", "app:1").check()
        self.create("app", "--replicas", "3", "--update-monitor", "1s", image="app:1", command=FOREVER)
        self.cluster.wait_tasks("app", 3)
        path = os.path.join(self.cluster.host(1).scratch, "rootfs.tar")
        with tarfile.open(lab.image_archive("alpine")) as archive, open(path, "wb") as file:
            layer = json.load(archive.extractfile("manifest.json"))[0]["Layers"][0]
            file.write(archive.extractfile(layer).read())
        self.docker("import", "-c", "ENV BUILD=second", path, "app:1").check()
        self.docker("service", "update", "--image", "app:1", "app").check()
        self.assertEqual(len(self.cluster.wait_tasks("app", 3)), 3)
        for number in {node for node, _ in self.cluster.containers("app")}:
            self.assertEqual(self.cluster.exec("app", "sh", "-c", "echo $BUILD", number=number).out, "second\n")

    def test_many_at_once(self):
        for image in ("hostname", "alpine", "redis", "nginx"):
            self.load(1, image)
        for name, image in (("a", "hostname"), ("b", "redis:7-alpine"), ("c", "nginx")):
            self.create(name, "--mode", "global", image=image)
        for name in "abc":
            self.cluster.wait_tasks(name, 5)

    def test_who_fetched_it_gives_it_too(self):
        self.load(5)
        self.create("web", "--constraint", "node.hostname==node4")
        self.cluster.wait_tasks("web", 1)
        until(lambda: self.docker("rmi", "-f", "hostname", node=5).code == 0 and not self.image_id(5), "the first one has it no more")
        self.docker("service", "update", "-d", "--constraint-rm", "node.hostname==node4", "--constraint-add", "node.hostname==node3", "web").check()
        self.cluster.wait_tasks("web", 1, where=lambda row: row["Node"] == "node3")

    def test_nobody_wants_it_any_more(self):
        """A fetch that is under way ends with the last task that wants the image, and another one begins anew."""
        self.load(5)
        blobs = os.path.join(self.cluster.host(5).data_root, "blobs/sha256")
        layer = max((os.path.join(blobs, name) for name in os.listdir(blobs)), key=os.path.getsize)
        os.rename(layer, layer + ".kept")
        self.addCleanup(lambda: os.path.exists(layer + ".kept") and os.rename(layer + ".kept", layer))
        os.mkfifo(layer)  # what comes of it is not all there is
        with open(os.open(layer, os.O_RDWR), "wb", buffering=0) as slow:
            slow.write(b"x" * 4096)
            ingest = os.path.join(self.cluster.host(4).data_root, "ingest")
            files = lambda: [path for folder in os.listdir(ingest) for path in os.listdir(os.path.join(ingest, folder))]  # noqa: E731
            self.create("web", "--constraint", "node.hostname==node4")
            until(files, "it is under way")
            self.docker("service", "rm", "web").check()
            until(lambda: os.listdir(ingest) == [], "nothing of it is left")
            self.assertNotIn("panal-unpack", self.cluster.host(4).run_in("ps", "-ef").out)
            os.rename(layer + ".kept", layer)
        self.create("again", "--constraint", "node.hostname==node4")
        self.cluster.wait_tasks("again", 1)


class LostTest(OwnClusterCase):
    images = ()

    def test_source_is_switched_off(self):
        self.cluster.host(5).load("hostname")
        self.create("web", "--constraint", "node.hostname==node4")
        self.cluster.wait_tasks("web", 1)
        self.cluster.power_off(5)
        self.create("more", "--constraint", "node.role==manager", "--replicas", "3")
        self.cluster.wait_tasks("more", 3)

    def program(self, service):
        """Digest of the program that the service's first container runs."""
        node, identity = self.cluster.containers(service)[0]
        pid = self.cluster.host(node).inspect(identity)["State"]["Pid"]
        return self.cluster.host(node).run_in("sha256sum", f"/proc/{pid}/exe").check().out.split()[0]

    def test_damaged_on_the_source(self):
        """What a peer sends is what its digest says, or it is not used."""
        self.cluster.host(5).load("hostname")
        self.create("web", "--constraint", "node.hostname==node4")
        self.cluster.wait_tasks("web", 1)
        original = self.program("web")
        self.docker("service", "rm", "web").check()
        until(lambda: not self.cluster.containers("web", all=True), "its task is gone")
        self.cluster.power_off(4)
        files = subprocess.run(["find", self.cluster.host(5).data_root, "-name", "hostname-web", "-type", "f"], stdout=subprocess.PIPE, text=True).stdout.split()
        if not files:
            self.skipTest("layers are not kept as files here")
        for path in files:
            with open(path, "r+b") as file:
                file.seek(1000)
                file.write(b"bees were here")
        self.create("web", "--constraint", "node.hostname==node3", "--restart-condition", "none")
        first = until(lambda: next((row for row in self.cluster.tasks("web", running=False) if row["Error"] or row["CurrentState"].startswith("Running")), None), "refused, or run")
        if not first["Error"]:
            self.assertEqual(self.program("web"), original)


if __name__ == "__main__":
    unittest.main()
