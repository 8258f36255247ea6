"""Other clients than the docker CLI: python3-docker and docker-compose, as Debian has them."""

import io
import os
import subprocess
import tarfile
import unittest

from case import EngineCase
from test_copy import FILE, tar

try:
    import docker as python_docker
except ImportError:
    python_docker = None

COMPOSE = "/usr/bin/docker-compose"


@unittest.skipIf(python_docker is None, "python3-docker is not installed")
class PythonTest(EngineCase):
    images = ("alpine", "hostname")

    def setUp(self):
        super().setUp()
        self.client = python_docker.DockerClient("unix://" + self.host.socket, version="auto", timeout=60)
        self.addCleanup(self.client.close)

    def test_ping_version_info(self):
        self.assertTrue(self.client.ping())
        self.assertIn("ApiVersion", self.client.version())
        self.assertEqual(self.client.info()["Name"], "testhost")

    def test_run_and_output(self):
        self.assertEqual(self.client.containers.run("alpine", ["echo", "hello"], remove=True), b"hello\n")

    def test_failure_is_an_exception_with_stderr(self):
        with self.assertRaises(python_docker.errors.ContainerError) as raised:
            self.client.containers.run("alpine", ["sh", "-c", "echo bad >&2; exit 3"], remove=True)
        self.assertEqual((raised.exception.exit_status, raised.exception.stderr), (3, b"bad\n"))

    def test_life(self):
        box = self.client.containers.run("alpine", ["sh", "-c", "echo up; sleep 1000"], detach=True, name="box", labels={"a": "b"}, mem_limit="64m", environment={"X": "1"})
        box.reload()
        self.assertEqual(box.status, "running")
        self.assertEqual([each.name for each in self.client.containers.list(filters={"label": "a=b"})], ["box"])
        code, output = box.exec_run(["sh", "-c", "echo $X; echo err >&2; exit 4"], demux=True)
        self.assertEqual((code, output), (4, (b"1\n", b"err\n")))
        self.assertEqual(next(box.logs(stream=True, follow=True)), b"up\n")
        box.kill("SIGKILL")
        self.assertEqual(box.wait()["StatusCode"], 137)
        box.remove()
        with self.assertRaises(python_docker.errors.NotFound):
            self.client.containers.get("box")

    def test_files(self):
        box = self.client.containers.run("alpine", ["sh", "-c", "echo in-box > /file; sleep 1000"], detach=True, name="box")
        self.assertTrue(box.put_archive("/tmp", tar(("sent", FILE, b"to the box"))))
        self.assertEqual(box.exec_run(["cat", "/tmp/sent"]).output, b"to the box")
        pieces, stat = box.get_archive("/file")
        with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
            self.assertEqual((archive.getnames(), archive.extractfile("file").read()), (["file"], b"in-box\n"))
        self.assertEqual((stat["name"], stat["size"], stat["linkTarget"]), ("file", 7, ""))
        self.assertEqual(sorted((change["Path"], change["Kind"]) for change in box.diff()), [("/file", 1), ("/tmp", 0), ("/tmp/sent", 1)])
        with tarfile.open(fileobj=io.BytesIO(b"".join(box.export()))) as archive:
            self.assertIn("file", archive.getnames())
        with self.assertRaises(python_docker.errors.NotFound):
            box.get_archive("/nope")

    def test_attach_socket(self):
        box = self.client.containers.create("alpine", ["cat"], stdin_open=True, name="box")
        sock = box.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
        box.start()
        sock._sock.sendall(b"through\n")
        self.assertEqual(sock._sock.recv(8 + 8), b"\1\0\0\0\0\0\0\x08through\n")
        sock.close()

    def test_images(self):
        image = self.client.images.get("alpine")
        self.assertEqual(image.tags, ["alpine:latest"])
        image.tag("other", "1")
        self.assertEqual(sorted(self.client.images.get("alpine").tags), ["alpine:latest", "other:1"])
        self.client.images.remove("other:1")
        with self.assertRaises(python_docker.errors.ImageNotFound):
            self.client.images.get("other:1")

    def test_networks_and_volumes(self):
        network = self.client.networks.create("mine", driver="bridge")
        volume = self.client.volumes.create("data")
        box = self.client.containers.run("alpine", ["sleep", "1000"], detach=True, network="mine", volumes={"data": {"bind": "/data", "mode": "rw"}})
        network.reload()
        self.assertEqual([each.id for each in network.containers], [box.id])
        with self.assertRaises(python_docker.errors.APIError) as raised:
            volume.remove()
        self.assertEqual(raised.exception.status_code, 409)
        box.remove(force=True)
        volume.remove()
        network.remove()

    def test_events(self):
        events = self.client.events(decode=True)
        self.addCleanup(events.close)
        box = self.client.containers.create("alpine", ["true"])
        event = next(event for event in events if event["Type"] == "container")
        self.assertEqual((event["Action"], event["Actor"]["ID"]), ("create", box.id))


@unittest.skipUnless(os.path.exists(COMPOSE), "docker-compose is not installed")
class ComposeTest(EngineCase):
    images = ("alpine", "hostname", "redis")

    FILE = """
version: "3"
services:
  web:
    image: hostname:latest
    ports: ["8080:3000"]
    depends_on: [redis]
  redis:
    image: redis:7-alpine
    volumes: ["data:/data"]
volumes:
  data:
"""

    def compose(self, *arguments):
        path = os.path.join(self.host.scratch, "demo")
        os.makedirs(path, exist_ok=True)
        with open(path + "/docker-compose.yml", "w") as file:
            file.write(self.FILE)
        done = subprocess.run([COMPOSE, *arguments], cwd=path, env=self.host.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=80, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, f"docker-compose {arguments}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def test_up_ps_exec_scale_logs_down(self):
        self.compose("up", "-d")
        self.assertRegex(self.compose("ps"), r"demo_web_1 .* Up ")
        self.assertEqual(self.compose("exec", "-T", "redis", "redis-cli", "ping"), "PONG\n")
        self.assertIn("Saludos desde", self.compose("exec", "-T", "redis", "wget", "-q", "-O-", "http://web:3000/"))
        self.assertIn("Server listening on port 3000!", self.compose("logs", "web"))
        self.compose("up", "-d", "--scale", "redis=3")
        self.assertEqual(len(self.docker("ps", "-q", "-f", "label=com.docker.compose.service=redis").lines), 3)
        self.compose("stop")
        self.compose("down", "-v")
        self.assertEqual(self.docker("ps", "-aq").out + self.docker("volume", "ls", "-q").out, "")


if __name__ == "__main__":
    unittest.main()
