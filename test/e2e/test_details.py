"""Small print that SDKs and older clients rely on; found by running Docker's own integration tests against the engine."""

import base64
import io
import json
import tarfile
import time

from case import EngineCase
from lab import UnixConnection, until


class ConnectionTest(EngineCase):
    def test_answers_that_end_with_the_connection_say_so(self):
        """A client that keeps connections would otherwise send its next request into one that is being closed."""
        self.docker("run", "-d", "--name", "box", "alpine", "true").check()
        self.docker("wait", "box").check()
        for method, path in (("POST", "/containers/box/wait"), ("GET", "/containers/box/logs?stdout=1"), ("GET", "/events?since=1&until=2"),
                             ("GET", "/containers/box/stats?stream=0"), ("POST", "/build")):
            with self.subTest(path):
                connection = UnixConnection(self.host.socket, 30)
                self.addCleanup(connection.close)
                connection.request(method, path, b"" if path == "/build" else None)
                response = connection.getresponse()
                response.read()
                if response.getheader("Connection") == "close":
                    continue
                connection.request("GET", "/_ping")
                self.assertEqual(connection.getresponse().status, 200)

    def test_build_of_a_client_that_is_logged_in_nowhere(self):
        response = self.host.api("POST", "/build", b"", {"X-Registry-Config": base64.b64encode(b"null").decode()})
        self.assertNotIn("X-Registry-Config", response.body.decode())

    def test_options(self):
        self.assertEqual(self.host.api("OPTIONS", "/").status, 200)


class OrderTest(EngineCase):
    def test_a_body_is_read_before_anything_is_looked_for(self):
        for path in ("/containers/nosuch/update", "/containers/nosuch/exec", "/exec/nosuch/start", "/commit?container=nosuch", "/volumes/create"):
            with self.subTest(path):
                for body, text in ((b"{} {}", "unexpected content after JSON"), (b"{nonsense", "invalid JSON")):
                    response = self.host.api("POST", path, body, {"Content-Type": "application/json"})
                    self.assertEqual((response.status, text in response.message), (400, True), response.body)
                response = self.host.api("POST", path, b"{}", {"Content-Type": "text/plain"})
                self.assertEqual(response.status, 400)
                self.assertIn("unsupported Content-Type header (text/plain): must be 'application/json'", response.message)

    def test_sizes_of_a_terminal(self):
        for query, text in {"w=9": 'invalid resize height "": invalid syntax', "h=9": 'invalid resize width "": invalid syntax', "h=x&w=9": 'invalid resize height "x": invalid syntax',
                            "h=9&w=-1": 'invalid resize width "-1": value out of range', "h=4294967296&w=9": 'invalid resize height "4294967296": value out of range'}.items():
            for path in ("/exec/nosuch/resize", None):
                if path is None:
                    self.docker("create", "--name", "box", "alpine").check()
                    path = "/containers/box/resize"
                response = self.host.api("POST", f"{path}?{query}")
                self.assertEqual((response.status, response.message), (400, text))
            self.host.remove_everything()


class OldClientTest(EngineCase):
    def test_several_networks_at_once(self):
        body = {"Image": "alpine", "NetworkingConfig": {"EndpointsConfig": {"net-one": {}, "net-two": {}}}}
        response = self.host.api("POST", "/v1.43/containers/create", body)
        self.assertEqual(response.status, 400)
        self.assertIn("Container cannot be created with multiple network endpoints", response.message)
        self.assertEqual(self.host.api("POST", "/v1.44/containers/create", body).status, 201)

    def test_ipc_was_shareable(self):
        self.host.api("POST", "/v1.39/containers/create?name=old", {"Image": "alpine"})
        self.host.api("POST", "/v1.40/containers/create?name=new", {"Image": "alpine"})
        self.assertEqual([self.host.inspect(name)["HostConfig"]["IpcMode"] for name in ("old", "new")], ["shareable", "private"])

    def test_fields_that_are_gone(self):
        info = self.host.api("GET", "/v1.48/info").json
        self.assertEqual(info["RuncCommit"]["Expected"], info["RuncCommit"]["ID"])
        self.assertIn("BridgeNfIptables", info)
        self.assertNotIn("Expected", self.host.api("GET", "/info").json["RuncCommit"])


    def test_the_mac_address_of_the_container(self):
        self.docker("run", "-d", "--name", "box", "--mac-address", "02:42:ac:11:65:43", "alpine", "sleep", "1000").check()
        self.assertEqual(self.host.inspect("box")["Config"]["MacAddress"], "02:42:ac:11:65:43")
        self.docker("run", "-d", "--name", "other", "alpine", "sleep", "1000").check()
        self.assertNotIn("MacAddress", self.host.inspect("other")["Config"])

    def test_fields_in_other_letters(self):
        """Go's decoder, and so Docker's, takes fields in upper or lower case; python3-docker sends some so."""
        made = self.host.api("POST", "/containers/create?name=box", {"image": "alpine", "CMD": "sleep 1000".split(), "hostconfig": {"networkmode": "none", "Memory": 1 << 27, "memory": 1 << 26}})
        self.assertEqual(made.status, 201)
        host = self.host.inspect("box")["HostConfig"]
        self.assertEqual((host["NetworkMode"], host["Memory"]), ("none", 1 << 27))
        refused = self.host.api("POST", "/containers/create", {"Image": "alpine", "HostConfig": {"storageopt": {"size": "1G"}}})
        self.assertIn("StorageOpt", refused.json["message"])


class FirstMomentTest(EngineCase):
    """Docker takes so long to answer a start that the program has come up by then."""

    def test_first_lines_are_in_the_log(self):
        self.docker("create", "--name", "box", "alpine", "sh", "-c", "echo up; sleep 1000").check()
        for _ in range(5):
            self.host.api("POST", "/containers/box/start")
            self.assertIn(b"up", self.host.api("GET", "/containers/box/logs?stdout=1").body)
            self.host.api("POST", "/containers/box/kill")

    def test_a_stop_comes_when_the_program_has_asked_for_it(self):
        self.docker("create", "--name", "box", "alpine", "sh", "-c", "trap 'exit 3' TERM; sleep 1000 & wait").check()
        for _ in range(5):
            self.host.api("POST", "/containers/box/start")
            self.host.api("POST", "/containers/box/stop")
            self.assertEqual(self.host.inspect("box")["State"]["ExitCode"], 3)


class ContainerTest(EngineCase):
    def test_exec_without_terminal_has_no_term(self):
        self.docker("run", "-dt", "--name", "box", "alpine", "sleep", "100").check()
        self.assertEqual(self.docker("exec", "box", "sh", "-c", "echo [$TERM]").check().out, "[]\n")
        self.assertEqual(self.docker("exec", "-t", "box", "sh", "-c", "echo [$TERM]").check().out, "[xterm]\r\n")

    def test_kill_ends_restarting(self):
        self.docker("run", "-d", "--restart", "always", "--name", "box", "alpine", "false").check()
        until(lambda: self.host.inspect("box")["State"]["Restarting"], "it restarts")
        self.docker("kill", "--signal", "USR1", "box").check()
        self.assertNotEqual(self.host.inspect("box")["State"]["Status"], "exited")
        self.docker("kill", "box").check()
        self.assertEqual(self.host.inspect("box")["State"]["Status"], "exited")

    def test_name_alone_takes_a_variable_away(self):
        self.docker("build", "-t", "built", "-", input="FROM alpine\nENV A=1 B=2\n").check()
        self.addCleanup(self.docker, "rmi", "-f", "built")
        body = {"Image": "built", "Cmd": ["env"], "Env": ["HOSTNAME", "A", "C=3"], "HostConfig": {"LogConfig": {"Type": "json-file"}}}
        self.assertEqual(self.host.api("POST", "/containers/create?name=box", body).status, 201)
        shown = [e for e in self.host.inspect("box")["Config"]["Env"] if not e.startswith("PATH=")]
        self.assertEqual(shown, ["HOSTNAME", "A", "C=3", "B=2"])
        self.assertEqual(sorted(line.split("=")[0] for line in self.docker("start", "-a", "box").check().lines), ["B", "C", "HOME", "PATH"])

    def test_names_by_links(self):
        self.docker("run", "-d", "--name", "db", "alpine", "sleep", "100").check()
        self.docker("run", "-d", "--name", "web", "--link", "db:store", "alpine", "sleep", "100").check()
        names = next(c["Names"] for c in self.host.api("GET", "/containers/json").json if "/db" in c["Names"])
        self.assertEqual(names, ["/db", "/web/store"])
        self.assertEqual(self.host.api("GET", "/containers/web/store/json").json["Name"], "/db")
        self.docker("network", "create", "own").check()
        self.docker("run", "-d", "--net", "own", "--link", "later:x", "alpine", "true").check()

    def test_network_of_the_host(self):
        self.docker("create", "--name", "box", "--net", "host", "alpine").check()
        self.assertEqual(list(self.host.inspect("box")["NetworkSettings"]["Networks"]), ["host"])
        with open("/etc/hosts") as file:
            hosts = file.read()
        self.assertEqual(self.docker("run", "--rm", "--net", "host", "alpine", "cat", "/etc/hosts").check().out, hosts)

    def test_network_of_another_container_has_its_settings(self):
        for option, text in {("--dns", "192.0.2.1"): "dns and the network mode", ("--add-host", "a:192.0.2.1"): "custom host-to-IP mapping and the network mode", ("-P",): "port publishing",
                             ("-p", "80"): "port publishing", ("--expose", "80"): "port exposing", ("-h", "name"): "hostname and the network mode"}.items():
            self.assertFails(self.docker("run", "--net", "container:other", *option, "alpine"), "conflicting options: " + text, code=125)

    def test_create_looks_at_the_platform(self):
        for platform in ("linux/other", "other/amd64"):
            response = self.host.api("POST", f"/containers/create?platform={platform}", {"Image": "alpine"})
            self.assertEqual(response.status, 404)
            self.assertIn("was found but does not provide the specified platform", response.message)

    def test_what_create_refuses(self):
        for body, text in (({}, "config cannot be empty in order to create a container"), ({"Hostname": ""}, "no command specified"),
                           ({"Image": "alpine", "HostConfig": {"Annotations": {"": "x"}}}, "invalid Annotations"),
                           ({"Image": "alpine", "HostConfig": {"PidMode": "container:nosuch"}}, "No such container: nosuch"),
                           ({"Image": "alpine", "HostConfig": {"Mounts": [{"Type": "odd", "Target": "/a"}]}}, "mount type unknown"),
                           ({"Image": "alpine", "HostConfig": {"Mounts": [{"Type": "bind", "Source": "/a"}]}}, "field Target must not be empty"),
                           ({"Image": "alpine", "HostConfig": {"Mounts": [{"Type": "bind", "Target": "/a"}]}}, "field Source must not be empty")):
            with self.subTest(text):
                response = self.host.api("POST", "/containers/create", body)
                self.assertEqual(response.status, 400, response.body)
                self.assertIn(text, response.message)

    def test_masked_paths_are_shown(self):
        self.docker("create", "--name", "plain", "alpine").check()
        self.docker("create", "--name", "open", "--privileged", "alpine").check()
        self.host.api("POST", "/containers/create?name=none", {"Image": "alpine", "HostConfig": {"MaskedPaths": []}})
        self.assertIn("/sys/devices/virtual/powercap", self.host.inspect("plain")["HostConfig"]["MaskedPaths"])
        self.assertIsNone(self.host.inspect("open")["HostConfig"].get("MaskedPaths"))
        self.assertEqual(self.host.inspect("none")["HostConfig"]["MaskedPaths"], [])

    def test_mounts_as_shown(self):
        self.docker("create", "--name", "box", "--tmpfs", "/t", "-v", "/tmp:/m:ro,z", "-w", "/tmp/./", "alpine").check()
        info = self.host.inspect("box")
        self.assertEqual([(m["Destination"], m["Mode"], m["RW"]) for m in info["Mounts"]], [("/m", "ro,z", False)])
        self.assertEqual(info["Config"]["WorkingDir"], "/tmp")
        self.assertEqual(self.docker("ps", "-aq", "--filter", "volume=/tmp").lines, [info["Id"][:12]])

    def test_folder_of_the_engine_passes_unmounts_on(self):
        root = self.docker("info", "--format", "{{.DockerRootDir}}").check().line
        self.assertFails(self.docker("create", "-v", f"{root}:/x:private", "alpine"), 'must use either propagation mode "rslave" or "rshared"')

    def test_output_of_a_health_check_that_takes_too_long(self):
        self.docker("run", "-d", "--name", "box", "--health-cmd", "echo half; sleep 100", "--health-timeout", "200ms", "--health-interval", "200ms", "alpine", "sleep", "100").check()
        log = lambda: self.host.inspect("box")["State"]["Health"]["Log"]
        until(log, "it was checked")
        self.assertEqual(log()[0]["Output"], "Health check exceeded timeout (200ms): half\n")


class ListTest(EngineCase):
    def test_images(self):
        for name in ("repo:one", "repo:two", "deep/repo:three"):
            self.docker("tag", "alpine", name).check()
        self.addCleanup(self.docker, "rmi", "repo:one", "repo:two", "deep/repo:three")
        tags = lambda *filters: self.docker("images", "--format", "{{.Repository}}:{{.Tag}}", *filters).check().lines
        self.assertEqual(sorted(tags("--filter", "reference=rep*")), ["repo:one", "repo:two"], "a star stops at a slash")
        self.assertEqual(tags("--filter", "reference=*/rep*"), ["deep/repo:three"])
        self.assertEqual(tags("--filter", "until=1990-01-01", "--filter", "until=2990-01-01"), [])
        saved = self.host.api("GET", "/images/get?names=repo")
        self.assertEqual(saved.status, 200)
        self.assertIn(b"repo:one", saved.body)
        self.assertIn(b"repo:two", saved.body)
        other = base64.b64encode(b"").decode() + "/images/alpine/json?platform=" + '{"os":"linux","architecture":"other"}'.replace('"', "%22")
        self.assertIn("does not match the specified platform", self.host.api("GET", other).message)
        self.assertFails(self.docker("tag", "alpine", "sha256:odd"), "refusing to create an ambiguous tag using digest algorithm as name")

    def test_ancestors_of_an_image_that_was_made_here(self):
        self.docker("create", "--name", "one", "alpine").check()
        self.docker("commit", "one", "made").check()
        self.addCleanup(self.docker, "rmi", "-f", "made")
        self.docker("create", "--name", "two", "made").check()
        self.assertEqual(sorted(self.docker("ps", "-a", "--filter", "ancestor=alpine", "--format", "{{.Names}}").lines), ["one", "two"])
        self.host.remove_everything()

    def test_network_by_id_before_name(self):
        first = self.docker("network", "create", "first").check().line
        self.docker("network", "create", first).check()
        self.docker("network", "rm", first).check()
        self.assertEqual([n["Name"] for n in self.host.api("GET", "/networks/").json if n["Name"] in ("first", first)], [first])

    def test_events_up_to_a_moment(self):
        self.docker("run", "--rm", "--name", "box", "-v", "kept:/v", "alpine", "true").check()
        self.docker("volume", "rm", "kept").check()
        words = [json.loads(line) for line in self.docker("events", "--until", str(time.time()), "--format", "json").check().lines]
        self.assertEqual([e["Action"] for e in words if e["Type"] == "volume" and e["Actor"]["ID"] == "kept"], ["create", "mount", "unmount", "destroy"])


class BuildTest(EngineCase):
    def build(self, text):
        return self.docker("build", "-t", "built", "-", input=text).check()

    def tearDown(self):
        self.docker("rmi", "-f", "built")

    def test_empty_command_and_order_of_ports(self):
        self.build("FROM alpine\nCMD []\nEXPOSE 80 443\n")
        self.assertIsNone(self.host.inspect("built", "image")["Config"].get("Cmd"))
        self.assertEqual(self.build("FROM alpine\nCMD []\nEXPOSE 443 80\n").out.count("Using cache"), 2)

    def test_each_stage_tells_its_image(self):
        folder = io.BytesIO()
        with tarfile.open(fileobj=folder, mode="w") as tar:
            text = b"FROM alpine AS one\nRUN true\nFROM one\nRUN true\n"
            file = tarfile.TarInfo("Dockerfile")
            file.size = len(text)
            tar.addfile(file, io.BytesIO(text))
        words = [json.loads(line) for line in self.host.api("POST", "/build?t=built", folder.getvalue(), {"Content-Type": "application/x-tar"}).body.splitlines()]
        told = [word["aux"]["ID"] for word in words if "aux" in word]
        self.assertEqual(len(set(told)), 2, words)
        self.assertEqual(told[-1], self.host.inspect("built", "image")["Id"])
