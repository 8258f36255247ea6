"""What the engine says of itself: version, info, ping, and the versions of the API it speaks."""

import os
import subprocess
import unittest

import lab
from case import EngineCase


class VersionTest(EngineCase):
    images = ("alpine",)

    def test_cli_shows_client_and_server(self):
        result = self.docker("version").check()
        self.assertIn("Client:", result.out)
        self.assertIn("Server:", result.out)
        self.assertRegex(result.out, r"API version:\s+1\.\d+ \(minimum version 1\.\d+\)")

    def test_format(self):
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine)
        self.assertEqual(self.docker("version", "-f", "{{.Server.Os}}/{{.Server.Arch}}").check().line, f"linux/{machine}")
        self.assertEqual(self.docker("version", "-f", "{{.Server.KernelVersion}}").check().line, os.uname().release)

    def test_ping_carries_the_headers_a_client_negotiates_with(self):
        for method in ("GET", "HEAD"):
            with self.subTest(method):
                response = self.host.api(method, "/_ping")
                self.assertEqual(response.status, 200)
                headers = {key.lower(): value for key, value in response.headers.items()}
                self.assertEqual(response.body, b"OK" if method == "GET" else b"")
                self.assertRegex(headers["api-version"], r"^1\.\d+$")
                self.assertEqual(headers["ostype"], "linux")
                self.assertIn("docker-experimental", headers)
                self.assertIn("no-cache", headers["cache-control"])
                self.assertTrue(headers["content-type"].startswith("text/plain"))

    def test_version_in_the_path_is_optional(self):
        self.assertEqual(self.host.api("GET", "/version").json["ApiVersion"], self.host.api("GET", "/v1.41/version").json["ApiVersion"])

    def test_versions_out_of_range_are_refused(self):
        newest = self.host.api("GET", "/version").json["ApiVersion"]
        response = self.host.api("GET", "/v1.999/version")
        self.assertEqual(response.status, 400)
        self.assertEqual(response.message, f"client version 1.999 is too new. Maximum supported API version is {newest}")
        response = self.host.api("GET", "/v1.1/version")
        self.assertEqual(response.status, 400)
        self.assertIn(b"client version 1.1 is too old. Minimum supported API version is 1.", response.body)

    def test_an_older_client_is_served(self):
        environment = {**self.host.environment(), "DOCKER_API_VERSION": "1.41"}
        done = subprocess.run([lab.DOCKER, "run", "--rm", "alpine", "echo", "old"], env=environment, stdout=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout), (0, "old\n"))


class InfoTest(EngineCase):
    images = ("alpine",)

    def info(self):
        return self.host.api("GET", "/info").json

    def test_describes_the_machine(self):
        info = self.info()
        self.assertEqual(info["Name"], "testhost")
        self.assertEqual(info["NCPU"], len(os.sched_getaffinity(0)))
        with open("/proc/meminfo") as file:
            total = int(file.readline().split()[1]) * 1024
        self.assertEqual(info["MemTotal"], total)
        self.assertEqual(info["OSType"], "linux")
        self.assertEqual(info["DockerRootDir"], self.host.data_root)
        self.assertIn("Debian", info["OperatingSystem"])
        self.assertIn(info["CgroupVersion"], ("1", "2"))
        self.assertTrue(info["ID"])

    def test_id_stays_the_same(self):
        before = self.info()["ID"]
        self.assertEqual(self.info()["ID"], before)

    def test_counts_containers_by_state_and_images(self):
        self.docker("run", "-d", "alpine", "sleep", "1000").check()
        self.docker("run", "alpine", "true").check()
        self.docker("create", "alpine", "true").check()
        info = self.info()
        self.assertEqual((info["Containers"], info["ContainersRunning"], info["ContainersPaused"], info["ContainersStopped"]), (3, 1, 0, 2))
        self.assertEqual(info["Images"], 1)

    def test_cli_prints_it(self):
        result = self.docker("info").check()
        for text in ("Server Version:", "Storage Driver: overlay", "Swarm: inactive", "OSType: linux", "Name: testhost"):
            self.assertIn(text, result.out)
        self.assertEqual(self.docker("info", "-f", "{{.Swarm.LocalNodeState}}").check().line, "inactive")


if __name__ == "__main__":
    unittest.main()
