"""Registries and connections that fail in the middle, and mirrors."""

import json
import os
import random
import time
import unittest

import lab
from case import OwnHostCase
from lab import until
from registry import Registry
from test_registry import RegistryCase

BIG = 6 << 20


def noise(size, seed):
    return random.Random(seed).randbytes(size)


class BrokenTest(RegistryCase):
    def put_big(self, name, seed):
        return self.registry.put_image(name, "1", [{"big": noise(BIG, seed)}, {"small": b"small"}], how="tar")

    def requests(self):
        return [line for line in self.registry.log("flaky.log").splitlines() if "/blobs/" in line]

    def test_taken_up_where_it_broke(self):
        self.put_big("cut", 1)
        flaky = self.registry.flaky(5001, 1 << 20, cuts=4)
        result = self.docker("pull", f"{flaky}/cut:1").check()
        self.assertIn("Retrying in 1 second", result.out)
        ranges = [int(line.split("bytes=")[1].rstrip("-")) for line in self.requests() if "bytes=" in line]
        self.assertTrue(ranges, self.requests())
        self.assertEqual(ranges, sorted(ranges))
        self.assertGreater(ranges[-1], 2 << 20, "what had come was not asked for again")
        name = self.docker("create", f"{flaky}/cut:1").check().line
        self.assertIn(noise(BIG, 1)[-1000:], self.docker("cp", f"{name}:/big", "-").check().out_bytes)

    def test_three_layers_at_a_time(self):
        self.registry.put_image("wide", "1", [{"big": noise(640 << 10, 10 + i)} for i in range(7)], how="tar")
        slow = self.registry.flaky(5004, pause=0.03)
        result = self.docker("pull", f"{slow}/wide:1").check()
        at_once = [int(line.split()[-1]) for line in self.registry.log("flaky.log").splitlines() if line.startswith("at once")]
        self.assertEqual(max(at_once), 3)
        self.assertEqual(sum(line.endswith(": Waiting") for line in result.lines), 4)

    def test_two_clients_one_transfer(self):
        self.registry.put_image("shared", "1", [{"big": noise(2 << 20, 20)}], how="tar")
        big = json.loads(self.registry.manifest("shared", "1")[2])["layers"][0]["digest"]
        slow = self.registry.flaky(5005, pause=0.03)
        streams = [self.host.stream("pull", f"{slow}/shared:1") for _ in range(2)]
        for stream in streams:
            stream.read_until("Status: ")
        self.assertEqual(sum(big in line for line in self.requests()), 1)

    def test_what_the_fetching_process_sees(self):
        """No capability, filtered system calls, and of files only how names are resolved, read-only."""
        self.put_big("seen", 6)
        slow = self.registry.flaky(5006, pause=3600)  # the large layer never ends; the small one's helper may end while it is looked at
        stream = self.host.stream("pull", f"{slow}/seen:1")
        script = "for p in /proc/[0-9]*; do test \"$(cat $p/comm 2>/dev/null)\" = panal-unpack && grep -q 'Seccomp:.2' $p/status && " \
                 "text=$(cat $p/status $p/mountinfo; find $p/root/ ! -type d -printf '%P\\n') && readlink $p/exe > /dev/null && echo \"$text\" && exit; done"
        text = until(lambda: self.host.run_in("sh", "-c", script).out, "the helper is at work")
        stream.stop()
        facts = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        self.assertEqual((facts["NoNewPrivs"], int(facts["CapEff"], 16), int(facts["CapPrm"], 16)), ("1", 0, 0))
        mounts = [line.split() for line in text.splitlines() if " - " in line]
        for fields in mounts:
            self.assertLessEqual({"ro", "nodev", "nosuid", "noexec"}, set(fields[5].split(",")))
        names = {line for line in text.splitlines() if line.startswith("etc/")}
        self.assertLessEqual(names, {"etc/resolv.conf", "etc/hosts", "etc/nsswitch.conf", "etc/host.conf", "etc/gai.conf"})
        self.assertEqual({fields[4] for fields in mounts}, {"/", *("/" + name for name in names)})

    def test_given_up_when_nothing_comes(self):
        before = self.blobs_on_disk()
        self.put_big("never", 2)
        flaky = self.registry.flaky(5002, 0)
        self.assertFails(self.docker("pull", f"{flaky}/never:1"), "unexpected EOF")
        self.assertEqual(self.blobs_on_disk(), before, "nothing of it is left")

    def test_the_client_hangs_up(self):
        before = self.blobs_on_disk()
        self.put_big("left", 3)
        flaky = self.registry.flaky(5003, 1 << 20)
        stream = self.host.stream("pull", f"{flaky}/left:1")
        stream.read_until("Retrying in")
        stream.stop()
        until(lambda: self.blobs_on_disk() == before, "nothing of it is left")
        self.assertEqual(self.docker("images", "-q", f"{flaky}/left").lines, [])


class CrashTest(OwnHostCase):
    def test_killed_in_the_middle(self):
        registry = Registry(self.host).start()
        registry.put_image("half", "1", [{"big": noise(BIG, 4)}, {"small": b"small"}], how="tar")
        flaky = registry.flaky(5001, 1 << 20)
        roots = os.path.join(self.host.data_root, "blobs/sha256"), os.path.join(self.host.data_root, "layers"), os.path.join(self.host.data_root, "ingest")
        before = [sorted(os.listdir(root)) for root in roots]
        stream = self.host.stream("pull", f"{flaky}/half:1")
        stream.read_until("Retrying in")
        self.host.kill9()
        self.host.start()
        until(lambda: [sorted(os.listdir(root)) for root in roots] == before, "what the crash left is gone")
        self.assertEqual(self.docker("images", "-q", f"{flaky}/half").lines, [])
        self.docker("pull", f"{registry.name}/half:1").check()


class _SmallDisk(lab.Host):
    """What is under way lies on a disk of its own, of 4 MiB."""

    def start(self):
        ingest = os.path.join(self.data_root, "ingest")
        if not os.path.isdir(ingest):
            os.makedirs(ingest)
            self.run_in("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", ingest).check()
        super().start()


class FullTest(unittest.TestCase):
    def test_the_disk_is_full(self):
        with _SmallDisk() as host:
            registry = Registry(host).start()
            registry.put_image("large", "1", [{"big": noise(BIG, 5)}], how="tar")
            before = [sorted(os.listdir(os.path.join(host.data_root, name))) for name in ("blobs/sha256", "layers")]
            result = host.docker("pull", f"{registry.name}/large:1")
            self.assertEqual(result.code, 1)
            self.assertIn("no space left on device", result.err)
            self.assertEqual([sorted(os.listdir(os.path.join(host.data_root, name))) for name in ("blobs/sha256", "layers")], before, "nothing of it is left")
            self.assertTrue(host.engine_is_alive())


class MirrorTest(OwnHostCase):
    engine_flags = ("--registry-mirror", "http://127.0.0.1:5009", "--registry-mirror", "http://127.0.0.1:5000")

    def test_mirrors(self):
        """The first mirror is not there, the second has it; what neither has is asked for at Docker Hub, which is out of reach here."""
        registry = Registry(self.host).start()
        descriptor = registry.put_image("library/mirrored", "1", [{"a": b"mirrored"}])
        result = self.docker("pull", "mirrored:1").check()
        self.assertEqual(result.lines[0], "1: Pulling from library/mirrored")
        self.assertEqual(result.lines[-1], "docker.io/library/mirrored:1")
        self.assertEqual(self.host.inspect("mirrored:1", "image")["RepoDigests"], [f"mirrored@{descriptor['digest']}"])
        self.assertFails(self.docker("pull", "nosuch:1"), "registry-1.docker.io")
        self.assertEqual(self.host.api("GET", "/info").json["RegistryConfig"]["Mirrors"], ["http://127.0.0.1:5009/", "http://127.0.0.1:5000/"])
        registry.put_image("library/other", "1", [{"a": b"other"}])
        self.assertNotEqual(self.docker("pull", "example.invalid/library/other:1").code, 0, "mirrors are for Docker Hub only")


if __name__ == "__main__":
    unittest.main()
