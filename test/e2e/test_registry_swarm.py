"""Scenario B3 and E3: services from a registry that wants a login; digests pinned; credentials handed to the workers and shown to nobody."""

import base64
import json
import os
import random
import time
import unittest

from case import SwarmCase
from lab import until
from registry import PASSWORD, USER, Registry

FOREVER = ("sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait")


class SwarmRegistryTest(SwarmCase):
    managers, workers = 1, 2
    engine_flags = ("--insecure-registry", "10.77.0.0/24")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.registry = Registry(cls.cluster.host(1), address="10.77.0.1", auth="basic").start()
        cls.cluster.docker("login", "-u", USER, "--password-stdin", cls.registry.name, input=PASSWORD).check()

    def push(self, name):
        """An image that only the registry has."""
        full = f"{self.registry.name}/{name}"
        self.docker("tag", "alpine", full).check()
        digest = next(line.split()[2] for line in self.docker("push", full).check().lines if "digest: " in line)
        self.docker("rmi", full).check()
        for number in self.cluster.numbers[1:]:
            self.docker("rmi", "-f", "alpine", full, node=number)
        return full, digest

    def image_of(self, service):
        return self.inspect(service)["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]

    def test_with_registry_auth(self):
        name, digest = self.push("kept:1")
        self.docker("rmi", "-f", "alpine").check()
        self.addCleanup(self.cluster.host(1).load, "alpine")
        result = self.docker("service", "create", "-d", "--name", "kept", "--with-registry-auth", "--mode", "global", name, *FOREVER).check()
        self.assertNotIn("could not be accessed", result.err)
        self.assertEqual(self.image_of("kept"), f"{name}@{digest}")
        self.cluster.wait_tasks("kept", 3)
        for kind, what in (("services", "kept"), ("tasks", "")):
            text = self.cluster.host(1).api("GET", f"/{kind}" + (f"/{what}" if what else "")).body.decode()
            self.assertNotIn("uth", text.replace("Authors", ""), f"nothing of the login in {kind}")

    def test_a_client_that_does_not_ask_for_digests(self):
        """Before API 1.30 the engine looks for the digest itself, and says when there is none."""
        name, digest = self.push("old:1")
        auth = base64.urlsafe_b64encode(json.dumps({"username": USER, "password": PASSWORD, "serveraddress": self.registry.name}).encode()).decode()
        spec = {"Name": "old", "TaskTemplate": {"ContainerSpec": {"Image": name, "Command": list(FOREVER)}}}
        made = self.cluster.host(1).api("POST", "/v1.29/services/create", spec, {"X-Registry-Auth": auth})
        self.assertEqual((made.status, made.json["Warnings"]), (201, None), made.body)
        self.assertEqual(self.image_of("old"), f"{name}@{digest}")
        spec["Name"], spec["TaskTemplate"]["ContainerSpec"]["Image"] = "unknown", f"{self.registry.name}/unknown:1"
        made = self.cluster.host(1).api("POST", "/v1.29/services/create", spec, {"X-Registry-Auth": auth})
        self.assertIn(f"unable to pin image {self.registry.name}/unknown:1 to digest", made.json["Warnings"][0])

    def test_without_it(self):
        name, _ = self.push("locked:1")
        self.docker("rmi", "-f", "alpine").check()
        self.addCleanup(self.cluster.host(1).load, "alpine")
        result = self.docker("service", "create", "-d", "--name", "locked", "--no-resolve-image", "--constraint", "node.role==worker", name, *FOREVER).check()
        self.assertEqual(self.image_of("locked"), name)
        self.cluster.wait_task_error("locked", f"No such image: {name}")
        self.docker("service", "update", "-d", "--with-registry-auth", "--no-resolve-image", "--image", name, "locked").check()
        self.cluster.wait_tasks("locked", 1)

    def test_a_pull_that_nobody_wants_any_more(self):
        """A service is removed, and later a node leaves, while its image still comes."""
        self.registry.put_image("slow", "1", [{"big": random.Random(1).randbytes(30 << 20)}], how="tar")
        slow = self.registry.flaky(5001, pause=0.2)
        self.docker("login", "-u", USER, "--password-stdin", slow, input=PASSWORD).check()
        ingest = os.path.join(self.cluster.host(3).data_root, "ingest")
        for name, end in (("removed", lambda: self.docker("service", "rm", "removed").check()), ("left", lambda: self.docker("swarm", "leave", node=3).check())):
            self.docker("service", "create", "-d", "--name", name, "--with-registry-auth", "--constraint", "node.hostname==node3", f"{slow}/slow:1", *FOREVER).check()
            until(lambda: [file for _, _, files in os.walk(ingest) for file in files if file == "blob"], "the layer comes")
            began = time.monotonic()
            end()
            until(lambda: not os.listdir(ingest), "it was given up", 10)
            self.assertLess(time.monotonic() - began, 10)
        self.docker("node", "rm", "-f", "node3").check()
        self.cluster.join(3, "worker")

    def test_a_newer_push_is_what_an_update_takes(self):
        name, first = self.push("moving:1")
        self.docker("service", "create", "-d", "--name", "moving", "--with-registry-auth", name, *FOREVER).check()
        self.cluster.wait_tasks("moving", 1)
        self.assertEqual(self.image_of("moving"), f"{name}@{first}")
        self.docker("tag", "hostname", name).check()
        second = next(line.split()[2] for line in self.docker("push", name).check().lines if "digest: " in line)
        self.assertNotEqual(first, second)
        self.docker("service", "update", "-d", "--with-registry-auth", "--image", name, "moving").check()
        self.assertEqual(self.image_of("moving"), f"{name}@{second}")


if __name__ == "__main__":
    unittest.main()
