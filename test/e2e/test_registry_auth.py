"""Registries that want to know who asks, and whom to trust: basic authentication, tokens, TLS with a CA of its own, client certificates."""

import base64
import json
import os
import shutil
import unittest

try:
    import docker as python_docker
except ImportError:
    python_docker = None

import lab
from registry import PASSWORD, USER, Registry
from test_registry import RegistryCase


class _Login(RegistryCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(lambda: self.docker("logout", self.name))

    def login(self, password=PASSWORD, name=None):
        return self.docker("login", "-u", USER, "--password-stdin", name or self.name, input=password)

    def credentials(self):
        with open(os.path.join(self.host.folder, "docker-config/config.json")) as file:
            return json.load(file).get("auths", {})


class BasicTest(_Login):
    registry_options = {"auth": "basic"}

    def test_login_and_logout(self):
        name = f"{self.name}/kept:1"
        self.docker("tag", "alpine", name).check()
        self.assertFails(self.docker("push", name), "no basic auth credentials")
        self.assertFails(self.login("wrong"), f"login attempt to http://{self.name}/v2/ failed with status: 401 Unauthorized")
        self.assertFails(self.docker("push", name), "no basic auth credentials")
        self.assertIn("Login Succeeded", self.login().check().out)
        self.docker("push", name).check()
        self.docker("rmi", name).check()
        self.docker("pull", name).check()
        self.docker("logout", self.name).check()
        self.assertFails(self.docker("pull", name), "no basic auth credentials")

    def test_build_begins_with_a_private_image(self):
        name = f"{self.name}/base:1"
        self.login().check()
        self.docker("build", "-t", name, "-", input="FROM alpine\nENV AGE=1\n").check()
        self.docker("push", name).check()
        self.docker("rmi", name).check()
        dockerfile = f"FROM {name}\nRUN echo $AGE > /age\nCMD cat /age\n"
        self.addCleanup(lambda: (self.docker("rmi", "-f", "own", name), self.docker("builder", "prune", "-af")))
        self.docker("build", "-t", "own", "-", input=dockerfile).check()
        self.assertEqual(self.docker("run", "--rm", "own").check().line, "1")
        self.docker("build", "-t", name, "-", input="FROM alpine\nENV AGE=2\n").check()
        self.docker("push", name).check()
        self.docker("build", "-t", name, "-", input="FROM alpine\nENV AGE=1\n").check()
        self.docker("build", "-t", "own", "-", input=dockerfile).check()
        self.assertEqual(self.docker("run", "--rm", "own").check().line, "1", "what is here is not asked for")
        self.docker("build", "--pull", "-t", "own", "-", input=dockerfile).check()
        self.assertEqual(self.docker("run", "--rm", "own").check().line, "2")
        self.docker("logout", self.name).check()
        self.docker("rmi", "-f", "own", name)
        self.assertFails(self.docker("build", "-", input=dockerfile), "Dockerfile:1:", "no basic auth credentials")

    def test_login_says_who_was_refused(self):
        status = self.host.api("POST", "/auth", {"username": USER, "password": "wrong", "serveraddress": self.name})
        self.assertEqual(status.status, 401)
        good = self.host.api("POST", "/auth", {"username": USER, "password": PASSWORD, "serveraddress": self.name})
        self.assertEqual((good.status, good.json["Status"]), (200, "Login Succeeded"))
        self.assertEqual(self.host.api("POST", "/auth", "{").status, 400)

    def test_a_broken_header(self):
        self.assertEqual(self.host.api("POST", f"/images/create?fromImage={self.name}/a&tag=1", headers={"X-Registry-Auth": "****"}).status, 400)

    def test_nothing_of_the_password_is_seen(self):
        self.login().check()
        self.docker("tag", "alpine", f"{self.name}/secret:1").check()
        self.docker("push", f"{self.name}/secret:1").check()
        self.assertNotIn(base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode(), self.host.engine_log(10000))
        self.assertNotIn(PASSWORD, self.host.engine_log(10000))


@unittest.skipIf(python_docker is None, "python3-docker is not installed")
class PythonTest(RegistryCase):
    registry_options = {"auth": "basic"}

    def test_everything(self):
        client = python_docker.DockerClient("unix://" + self.host.socket, version="auto", timeout=60)
        self.addCleanup(client.close)
        with self.assertRaises(python_docker.errors.APIError):
            client.login(USER, "wrong", registry=self.name, reauth=True)
        self.assertEqual(client.login(USER, PASSWORD, registry=self.name, reauth=True)["Status"], "Login Succeeded")
        name = f"{self.name}/python"
        client.images.get("alpine").tag(name, "1")
        lines = list(client.images.push(name, "1", stream=True, decode=True))
        aux = next(line["aux"] for line in lines if "aux" in line)
        self.assertEqual((aux["Tag"], aux["Size"] > 0), ("1", True))
        client.images.remove(f"{name}:1")
        image = client.images.pull(name, "1")
        self.assertEqual(image.attrs["RepoDigests"].count(f"{name}@{aux['Digest']}"), 1)
        data = client.images.get_registry_data(f"{name}:1")
        self.assertEqual((data.id, data.has_platform("linux/amd64")), (aux["Digest"], True))
        box = client.containers.run("alpine", ["touch", "/made"], detach=True)
        box.wait()
        made = box.commit("committed", "1", message="why", changes=["ENV A=1"], conf={"Cmd": ["ls", "/made"]})
        self.assertEqual(client.containers.run(made.id, remove=True), b"/made\n")
        self.assertIn("A=1", made.attrs["Config"]["Env"])


class TokenTest(_Login):
    registry_options = {"auth": "token"}

    def test_tokens(self):
        name = f"{self.name}/private/app:1"
        self.docker("tag", "alpine", name).check()
        self.assertFails(self.docker("push", name), "denied")
        self.assertFails(self.login("wrong"), "ncorrect username or password")
        self.assertIn("Login Succeeded", self.login().check().out)
        self.docker("push", name).check()
        self.docker("tag", "alpine", f"{self.name}/public/app:1").check()
        self.docker("push", f"{self.name}/public/app:1").check()
        self.docker("logout", self.name).check()
        for gone in (name, f"{self.name}/public/app:1"):
            self.docker("rmi", gone).check()
        self.docker("pull", f"{self.name}/public/app:1").check()  # for everybody
        self.assertFails(self.docker("pull", name), f"pull access denied for {self.name}/private/app, repository does not exist or may require 'docker login'")

    def test_a_refresh_token_instead_of_the_password(self):
        self.login().check()
        kept = self.credentials()[self.name]
        self.assertEqual(kept.get("identitytoken"), "refreshed-" + USER)
        self.docker("tag", "alpine", f"{self.name}/private/refreshed:1").check()
        self.docker("push", f"{self.name}/private/refreshed:1").check()


class _OwnEtcDocker(lab.Host):
    """A host whose /etc/docker is a folder of the test's."""

    def start(self):
        folder = os.path.join(self.folder, "etc-docker")
        if not os.path.isdir(folder):
            os.makedirs(folder)
            self.run_in("mount", "--bind", folder, "/etc/docker").check()
        super().start()


@unittest.skipUnless(os.path.isdir("/etc/docker"), "there is no /etc/docker to put another in place of")
class TlsTest(_Login):
    @classmethod
    def setUpClass(cls):
        cls.host = _OwnEtcDocker(cls.images, ["--insecure-registry", "192.0.2.1:5001"])
        cls.addClassCleanup(cls.host.close)
        cls.host.__enter__()
        cls.registry = Registry(cls.host, address="192.0.2.1", tls=True).start()
        cls.wary = Registry(cls.host, address="192.0.2.1", port=5002, tls=True, name="wary", wants_client=True).start()
        cls.insecure = Registry(cls.host, address="192.0.2.1", port=5001, tls=True, name="insecure").start()

    def setUp(self):
        super().setUp()
        self.certs = os.path.join(self.host.folder, "etc-docker/certs.d", self.name)
        self.addCleanup(shutil.rmtree, self.certs, ignore_errors=True)

    def trust(self):
        os.makedirs(self.certs)
        shutil.copy(self.registry.ca, self.certs + "/ca.crt")

    def test_a_ca_of_its_own(self):
        name = f"{self.name}/safe:1"
        self.docker("tag", "alpine", name).check()
        self.assertFails(self.docker("push", name), f'Get "https://{self.name}/v2/": tls: failed to verify certificate: x509: certificate signed by unknown authority')
        self.trust()
        self.docker("push", name).check()
        self.docker("rmi", name).check()
        self.docker("pull", name).check()

    def test_an_insecure_one_needs_none(self):
        name = f"{self.insecure.name}/any:1"
        self.docker("tag", "alpine", name).check()
        self.docker("push", name).check()
        self.docker("rmi", name).check()
        self.docker("pull", name).check()
        self.assertIn("192.0.2.1:5001", self.host.api("GET", "/info").json["RegistryConfig"]["IndexConfigs"])

    def test_a_client_certificate(self):
        certs = os.path.join(self.host.folder, "etc-docker/certs.d", self.wary.name)
        os.makedirs(certs)
        self.addCleanup(shutil.rmtree, certs)
        shutil.copy(self.wary.ca, certs + "/ca.crt")
        name = f"{self.wary.name}/known:1"
        self.docker("tag", "alpine", name).check()
        self.assertNotEqual(self.docker("push", name).code, 0)
        shutil.copy(self.wary.cert, certs + "/client.cert")
        shutil.copy(self.wary.key, certs + "/client.key")
        self.docker("push", name).check()

    def test_a_key_is_missing(self):
        self.trust()
        shutil.copy(self.registry.ca, self.certs + "/client.cert")
        self.assertFails(self.docker("pull", f"{self.name}/safe:1"), "missing key client.key for client certificate client.cert")


if __name__ == "__main__":
    unittest.main()
