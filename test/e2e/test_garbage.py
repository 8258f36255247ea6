"""What a death of the engine in the middle of a load, a removal or a creation leaves is gone after the next start; and loads and
removals of the same image at the same time harm neither."""

import os
import threading
import unittest

import lab
from case import EngineCase, OwnHostCase
from lab import until


@unittest.skipIf(lab.IS_DOCKERD, "about the folders of this engine")
class CrashTest(OwnHostCase):
    images = ("alpine",)

    def stored(self):
        """Names in the store, and how many there should be by what the engine says of its images."""
        images = [self.host.inspect(line, "image") for line in set(self.docker("images", "-aq", "--no-trunc").lines)]
        wanted = {layer for image in images for layer in image["RootFS"]["Layers"]}
        return len(os.listdir(self.host.data_root + "/layers")), len(wanted), set(os.listdir(self.host.data_root + "/blobs/sha256")), {image["Id"][7:] for image in images}

    def assertClean(self):
        def clean():
            layers, wanted, blobs, ids = self.stored()
            return layers == wanted and ids <= blobs and len(blobs) == 2 * len(ids) + wanted and not os.listdir(self.host.data_root + "/ingest")
        until(clean, f"the store holds what the images need: {self.stored()}", 15)

    def test_planted(self):
        strange = self.host.data_root + "/layers/4711"
        os.makedirs(strange + "/etc")
        for name in ("ab" * 32, "cd" * 32 + ".new"):
            with open(f"{self.host.data_root}/blobs/sha256/{name}", "w") as file:
                file.write("left")
        os.makedirs(f"{self.host.data_root}/containers/{'ef' * 32}/rootfs/diff")
        os.makedirs(f"{self.host.exec_root}/execs/{'12' * 12}")
        self.docker("create", "--name", "box", "alpine", "true").check()
        self.host.restart()
        self.assertClean()
        until(lambda: len(os.listdir(self.host.data_root + "/containers")) == 1 and not os.listdir(self.host.exec_root + "/execs"), "folders nobody has are gone")
        self.docker("start", "-a", "box").check()

    def test_killed_while_loading_and_removing(self):
        archive = lab.image_archive("kitchen-sink")
        for wait in (0.02, 0.05, 0.1, 0.2, 0.4):
            loading = self.host.stream("load", "-q", "-i", archive)
            self.host.run_in("sleep", str(wait))
            self.host.kill9()
            loading.process.wait()
            self.host.start()
            self.assertClean()
            self.host.load("kitchen-sink")
            removing = self.host.stream("rmi", "-f", "kitchen-sink", "example.test:5000/some/kitchen-sink:1.0")
            self.host.run_in("sleep", str(wait / 2))
            self.host.kill9()
            removing.process.wait()
            self.host.start()
            self.assertClean()
        self.docker("run", "--rm", "alpine", "true").check()


class RaceTest(EngineCase):
    def test_load_against_removal(self):
        archive = lab.image_archive("hostname")
        results = []

        def remove():
            while not done.is_set():
                results.append(self.docker("rmi", "-f", "hostname"))

        done = threading.Event()
        remover = threading.Thread(target=remove)
        remover.start()
        try:
            for _ in range(12):
                self.docker("load", "-q", "-i", archive).check()
                result = self.docker("run", "--rm", "hostname", "true")
                if result.code:  # it may be gone again, but it is never broken
                    self.assertIn("Unable to find image", result.err)
        finally:
            done.set()
            remover.join()
        self.assertTrue(any(result.code == 0 for result in results), "nothing was removed, so nothing was tried")
        self.docker("load", "-q", "-i", archive).check()
        self.docker("run", "--rm", "hostname", "true").check()
        saved = self.docker("save", "hostname").check().out_bytes
        self.docker("rmi", "-f", "hostname").check()
        self.docker("load", "-q", input=saved).check()
        self.docker("run", "--rm", "hostname", "true").check()


if __name__ == "__main__":
    unittest.main()
