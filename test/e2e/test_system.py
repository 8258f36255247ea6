"""What concerns the whole engine: versions and what it is made of, events in all their forms, disk usage, prune of everything."""

import json
import re
import subprocess
import time
import unittest

import lab
import talk
from case import EngineCase, OwnHostCase
from lab import until


class VersionsTest(EngineCase):
    def test_every_version_from_1_24_on_is_served(self):
        for minor in range(24, 52):
            response = self.host.api("GET", f"/v1.{minor}/containers/json")
            self.assertEqual((response.status, response.body), (200, b"[]\n" if lab.IS_DOCKERD else b"[]"), minor)
        for version, text in (("1.52", "client version 1.52 is too new. Maximum supported API version is 1.51"),
                              ("1.23", "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version")):
            response = self.host.api("GET", f"/v{version}/version")
            self.assertEqual((response.status, response.message), (400, text))

    def test_an_old_and_a_new_client(self):
        for version in ("1.24", "1.30", "1.44"):
            environment = {**self.host.environment(), "DOCKER_API_VERSION": version}
            done = subprocess.run([lab.DOCKER, "run", "--rm", "alpine", "echo", version], env=environment, stdout=subprocess.PIPE, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stdout), (0, version + "\n"))

    @unittest.skipIf(lab.IS_DOCKERD, "it has others")
    def test_components(self):
        version = self.host.api("GET", "/version").json
        self.assertEqual(version["Platform"]["Name"], "Panal")
        components = {each["Name"]: each["Version"] for each in version["Components"]}
        for program in ("crun", "conmon"):
            told = re.search(r"version (\S+)", subprocess.run([program, "--version"], stdout=subprocess.PIPE, text=True).stdout).group(1)
            self.assertEqual(components[program], told)
        self.assertEqual(components["Engine"], version["Version"])
        self.assertRegex(self.docker("version").check().out, r"(?s)Server: Panal\n Engine:\n.* crun:\n.* conmon:\n")


class InfoTest(EngineCase):
    def test_truths(self):
        info = self.host.api("GET", "/info").json
        self.assertEqual(info["IPv4Forwarding"], self.host.run_in("cat", "/proc/sys/net/ipv4/ip_forward").line == "1")
        self.assertGreater(info["NFd"], 5)
        self.assertEqual(dict(info["DriverStatus"])["Backing Filesystem"],
                         {"ext2/ext3": "extfs", "ext4": "extfs"}.get(subprocess.run(["stat", "-f", "-c", "%T", self.host.folder], stdout=subprocess.PIPE, text=True).stdout.strip(), dict(info["DriverStatus"])["Backing Filesystem"]))
        self.assertTrue(info["RuncCommit"]["ID"])
        self.assertEqual(info["FirewallBackend"]["Driver"], "nftables")
        self.assertIn("127.0.0.0/8", info["RegistryConfig"]["InsecureRegistryCIDRs"])
        stream = self.host.stream("events")
        until(lambda: self.host.api("GET", "/info").json["NEventsListener"] == 1, "one listens")
        stream.stop()
        until(lambda: self.host.api("GET", "/info").json["NEventsListener"] == 0, "nobody listens")


class EventsTest(EngineCase):
    images = ("alpine", "hostname")

    def events(self, *filters, since=None, until=None):
        query = [f"since={self.began if since is None else since}", f"until={time.time() if until is None else until}"]
        options = [part for each in filters for part in ("--filter", each)]
        return [json.loads(line) for line in self.docker("events", "--format", "{{json .}}", *[f"--{each}" for each in query], *options).check().lines]

    def setUp(self):
        super().setUp()
        time.sleep(0.01)
        self.began = f"{time.time():.9f}"

    def names(self, *filters, **times):
        return [f"{event['Type']} {event['Action']}" for event in self.events(*filters, **times)]

    def test_filters(self):
        first = self.docker("run", "-d", "--name", "first", "--label", "team=blue", "-v", "data:/data", "alpine", "sleep", "1000").check().line
        self.docker("run", "-d", "--name", "second", "hostname").check()
        self.docker("network", "create", "mine").check()
        life = ["container create", "container start"]
        for wanted in ("container=first", f"container={first}", f"container={first[:12]}", "image=alpine", "label=team=blue", "label=team"):
            self.assertEqual(self.names("type=container", wanted), life, wanted)
        self.assertEqual(self.names("image=hostname"), life)
        self.assertEqual(self.names("container=first", "container=second", "event=start"), ["container start"] * 2)
        self.assertEqual(self.names("network=mine"), ["network create"])
        self.assertEqual(self.names("type=volume", "event=create"), ["volume create"])
        self.assertEqual(self.names("volume=data", "event=create"), ["volume create"])
        self.assertEqual(self.names("type=network", "event=connect"), ["network connect"] * 2)
        self.assertEqual(self.names("scope=swarm"), [])
        self.assertEqual(self.names("type=daemon"), [])
        self.docker("tag", "alpine", "other:1").check()
        self.addCleanup(self.docker, "rmi", "other:1")
        self.assertIn("image tag", self.names("type=image"))

    def test_since_and_until_in_every_form(self):
        self.docker("create", "--name", "one", "alpine", "true").check()
        time.sleep(1.1)
        middle = time.time()
        self.docker("create", "--name", "two", "alpine", "true").check()
        after = [event["Actor"]["Attributes"]["name"] for event in self.events("event=create", since=f"{middle:.9f}")]
        self.assertEqual(after, ["two"])
        before = [event["Actor"]["Attributes"]["name"] for event in self.events("event=create", until=f"{middle:.9f}")]
        self.assertEqual(before, ["one"])
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(float(self.began) - 1))
        ago = f"{time.time() - float(self.began) + 1:.0f}s"
        for since in (stamp, ago, str(int(float(self.began)))):
            self.assertEqual(len(self.events("event=create", "container=one", "container=two", since=since)), 2, since)
        for path in (f"/events?since={int(float(self.began)) - 1}&until={int(time.time()) + 1}", f"/events?since={stamp}&until=0s"):
            lines = self.host.api("GET", path.replace("0s", f"{time.time():.3f}")).body.splitlines()
            self.assertGreaterEqual(len(lines), 2)
        self.assertEqual(self.host.api("GET", "/events?since=20&until=10").status, 400)
        self.assertEqual(self.host.api("GET", "/events?since=yesterday").status, 400)

    def test_until_in_the_future_ends_the_stream(self):
        began = time.monotonic()
        self.docker("events", "--until", str(int(time.time()) + 2)).check()
        self.assertLess(time.monotonic() - began, 10)

    def test_a_reader_that_cannot_keep_up_is_cut_and_not_cheated(self):
        connection = talk.UnixConnection(self.host.socket, 30)
        connection.request("GET", "/events")
        response = connection.getresponse()
        self.docker("create", "--name", "box", "alpine", "true").check()
        long_name = "x" * 120
        for number in range(3000):  # more than the memory, and more than the socket's buffers hold
            self.assertEqual(self.host.api("POST", f"/containers/box/rename?name={long_name}{number}").status, 204)
            self.assertEqual(self.host.api("POST", f"/containers/{long_name}{number}/rename?name=box").status, 204)
        seen = b""
        try:
            while chunk := response.read1(65536):
                seen += chunk
                if seen.count(b"rename") >= 6000:
                    break
        except Exception:  # noqa: BLE001 the stream is cut in the middle: the client knows
            return connection.close()
        numbers = [int(match) for match in re.findall(rb'"name":"x{120}(\d+)"', seen)]
        connection.close()
        self.assertEqual(numbers, sorted(numbers))
        self.assertEqual(seen.count(b'"Action":"rename"'), 6000, "some were left out and nobody was told")


class DiskUsageTest(OwnHostCase):
    images = ("alpine", "hostname")

    def usage(self, *types):
        return self.host.api("GET", "/system/df" + ("?" if types else "") + "&".join(f"type={each}" for each in types)).json

    def test_numbers(self):
        self.docker("run", "--name", "box", "-v", "data:/data", "-l", "a=b", "alpine", "sh", "-c", "dd if=/dev/zero of=/file bs=1M count=3; dd if=/dev/zero of=/data/file bs=1M count=2").check()
        usage = self.usage()
        self.assertEqual({image["RepoTags"][0]: image["Containers"] for image in usage["Images"]}, {"alpine:latest": 1, "hostname:latest": 0})
        box, = usage["Containers"]
        self.assertEqual((box["Names"], box["State"], box["Image"], box["Labels"], [m["Name"] for m in box["Mounts"]]), (["/box"], "exited", "alpine", {"a": "b"}, ["data"]))
        self.assertAlmostEqual(box["SizeRw"], 3 << 20, delta=200_000)
        self.assertGreater(box["SizeRootFs"], box["SizeRw"])
        volume, = usage["Volumes"]
        self.assertEqual((volume["Name"], volume["UsageData"]["RefCount"]), ("data", 1))
        self.assertAlmostEqual(volume["UsageData"]["Size"], 2 << 20, delta=200_000)
        self.assertGreater(usage["LayersSize"], 500_000)
        self.assertEqual(usage["BuildCache"], [])
        table = self.docker("system", "df").check().out
        self.assertRegex(table, r"(?m)^Images +2 +1 ")
        self.assertRegex(table, r"(?m)^Containers +1 +0 +3\.1\d+MB")
        self.assertRegex(table, r"(?m)^Local Volumes +1 +1 +2\.09\d*MB")
        verbose = self.docker("system", "df", "-v").check().out
        for text in ("Images space usage:", "Containers space usage:", "Local Volumes space usage:", "Build cache usage: 0B", "box", "data"):
            self.assertIn(text, verbose)

    def test_only_some_types(self):
        self.docker("volume", "create", "data").check()
        usage = self.usage("volume", "image")
        self.assertEqual((usage["Containers"], usage["BuildCache"], len(usage["Volumes"]), len(usage["Images"])), (None, None, 1, 2))
        response = self.host.api("GET", "/system/df?type=cake")
        self.assertEqual((response.status, response.message), (400, "unknown object type: cake"))

    def test_prune_of_everything(self):
        self.docker("run", "-d", "--name", "kept", "-v", "kept:/data", "alpine", "sleep", "1000").check()
        self.docker("run", "--name", "gone", "-v", "gone:/data", "-v", "/anonymous", "alpine", "true").check()
        self.docker("network", "create", "gone-net").check()
        result = self.docker("system", "prune", "-a", "--volumes", "-f").check()
        for text in ("Deleted Containers:", "Deleted Networks:\ngone-net", "Deleted Volumes:", "Deleted Images:\nuntagged: hostname:latest", "Total reclaimed space:"):
            self.assertIn(text, result.out)
        self.assertEqual(self.docker("ps", "-a", "--format", "{{.Names}}").lines, ["kept"])
        self.assertEqual(self.docker("images", "--format", "{{.Repository}}").lines, ["alpine"])
        self.assertEqual(sorted(self.docker("volume", "ls", "-q").lines), ["gone", "kept"], "named volumes stay: only anonymous ones go with --volumes")
        self.assertNotIn("gone-net", self.docker("network", "ls").out)
        self.docker("volume", "prune", "-a", "-f").check()
        self.assertEqual(self.docker("volume", "ls", "-q").lines, ["kept"])

    def test_prune_leaves_events(self):
        began = time.time() - 1
        self.docker("create", "alpine", "true").check()
        self.docker("system", "prune", "-f", "--volumes").check()
        events = self.docker("events", "--since", f"{began:.3f}", "--until", f"{time.time():.3f}", "--filter", "event=prune", "--format", "{{.Type}} {{.Actor.Attributes.reclaimed}}").check().lines
        self.assertEqual(sorted(line.split()[0] for line in events), ["builder", "container", "image", "network", "volume"])
        self.assertTrue(all(line.split()[1].isdigit() for line in events), events)


if __name__ == "__main__":
    unittest.main()
