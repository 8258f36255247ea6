"""The images of test/images: made twice they are the same bytes, and what they promise works."""

import os
import subprocess
import unittest

import lab
import net
from case import EngineCase
from lab import until

IMAGES = os.path.join(lab.REPO, "test", "images")


class FixturesTest(EngineCase):
    images = ("redis", "nginx", "hostname")

    def test_made_twice(self):
        folders = [os.path.join(self.host.scratch, name) for name in ("one", "two")]
        for folder in folders:
            subprocess.run([IMAGES + "/assemble", "alpine", "hostname", "kitchen-sink", folder], check=True, stdout=subprocess.DEVNULL)
        for name in ("alpine.tar", "hostname.tar", "kitchen-sink.tar"):
            data = [open(os.path.join(folder, name), "rb").read() for folder in folders]
            self.assertTrue(data[0] == data[1], f"{name} differs")

    def test_layers_are_shared(self):
        first = {self.host.inspect(image, "image")["RootFS"]["Layers"][0] for image in ("redis:7-alpine", "nginx", "hostname")}
        self.assertEqual(len(first), 1)

    def test_redis(self):
        self.docker("run", "-d", "--name", "redis", "redis:7-alpine", "redis-server", "--protected-mode", "no", "--appendonly", "yes").check()
        until(lambda: self.docker("exec", "redis", "redis-cli", "ping").out == "PONG\n", "redis answers")
        self.docker("exec", "redis", "redis-cli", "set", "colour", "amber").check()
        self.docker("restart", "redis").check()
        until(lambda: self.docker("exec", "redis", "redis-cli", "get", "colour").out == "amber\n", "the value outlives a restart")
        self.docker("stop", "redis").check()
        self.assertEqual(self.host.inspect("redis")["State"]["ExitCode"], 0)

    def test_nginx(self):
        self.docker("run", "-d", "--name", "nginx", "-p", "8080:80", "nginx").check()
        self.assertIn("Welcome to nginx!", net.get_when_up(self.host, lab.HOST_ADDRESS, 8080))
        self.host.wait_logs("nginx", '"GET / HTTP/1.1" 200')
        self.docker("stop", "nginx").check()
        self.assertEqual(self.host.inspect("nginx")["State"]["ExitCode"], 0)

    def test_hostname_finishes_what_it_began(self):
        self.docker("run", "-d", "--name", "web", "-h", "web", "-p", "8080:3000", "hostname").check()
        net.get_when_up(self.host, lab.HOST_ADDRESS, 8080)
        with net.connect(self.host, lab.HOST_ADDRESS, 8080) as sock:
            sock.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            self.docker("stop", "web").check()
            self.assertIn(b"Saludos desde web!", sock.recv(4096))
        self.assertEqual(self.host.inspect("web")["State"]["ExitCode"], 0)

    def test_from_debian(self):
        path = self.host.scratch + "/tool.tar"
        subprocess.run([IMAGES + "/from-debian", "--tag", "tool:1", "--elf", "/usr/bin/redis-cli:/usr/local/bin/tool", "--cmd", "tool --version", "-o", path],
                       check=True, stdout=subprocess.DEVNULL)
        self.docker("load", "-i", path).check()
        self.assertRegex(self.docker("run", "--rm", "tool:1").check().out, r"^redis-cli \d")


if __name__ == "__main__":
    unittest.main()
