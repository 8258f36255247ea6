"""What the API answers to what it cannot do: the right status, a body {"message": …}, and an engine that goes on."""

import json
import socket
import unittest

import lab
from case import EngineCase


BAD = (400, 500) if lab.IS_DOCKERD else (400,)  # 20.10 says 500 where later ones say 400


class ErrorCase(EngineCase):
    def assertRefused(self, response, status, *texts):
        self.assertEqual(response.status, status, response.body[:500])
        headers = {key.lower(): value for key, value in response.headers.items()}
        self.assertTrue(headers["content-type"].startswith("application/json"), headers)
        self.assertEqual(list(response.json), ["message"], response.body)
        for text in texts:
            self.assertIn(text, response.message)

    def create(self, **body):
        return self.host.api("POST", "/containers/create", {"Image": "alpine", **body})


class StatusTest(ErrorCase):
    def test_what_is_not_there(self):
        for method, path, text in (
                ("GET", "/containers/nosuch/json", "No such container: nosuch"), ("POST", "/containers/nosuch/start", "No such container: nosuch"),
                ("POST", "/containers/nosuch/stop", "No such container: nosuch"), ("POST", "/containers/nosuch/kill", "No such container: nosuch"),
                ("POST", "/containers/nosuch/wait", "No such container: nosuch"), ("DELETE", "/containers/nosuch", "No such container: nosuch"),
                ("GET", "/containers/nosuch/logs?stdout=1", "No such container: nosuch"),
                ("GET", "/images/nosuch/json", "No such image: nosuch"), ("DELETE", "/images/nosuch", "No such image: nosuch"),
                ("GET", "/networks/nosuch", "network nosuch not found"), ("GET", "/volumes/nosuch", "get nosuch: no such volume"),
                ("GET", "/exec/nosuch/json", "nosuch")):
            with self.subTest(f"{method} {path}"):
                self.assertRefused(self.host.api(method, path), 404, text)

    def test_attach_to_an_unknown_container(self):
        response = self.host.api("POST", "/containers/nosuch/attach?stream=1&stdout=1")
        self.assertEqual(response.status, 404)
        self.assertIn(b"No such container: nosuch", response.body)

    def test_exec_in_an_unknown_container(self):
        self.assertRefused(self.host.api("POST", "/containers/nosuch/exec", {"Cmd": ["true"]}), 404, "No such container: nosuch")

    def test_path_that_does_not_exist(self):
        for path in ("/nonsense", "/v1.41/nonsense", "/containers/a/b/c/d", "/", "/v1.41"):
            with self.subTest(path):
                self.assertRefused(self.host.api("GET", path), 404, "page not found")

    def test_wrong_method(self):
        self.assertRefused(self.host.api("PATCH", "/containers/json"), 404, "page not found")

    def test_conflicts(self):
        self.docker("create", "--name", "box", "alpine").check()
        self.assertRefused(self.host.api("POST", "/containers/create?name=box", {"Image": "alpine"}), 409, 'The container name "/box" is already in use')
        self.docker("start", "box").check()
        self.docker("run", "-d", "--name", "busy", "alpine", "sleep", "1000").check()
        self.assertRefused(self.host.api("DELETE", "/containers/busy"), 409)
        self.docker("stop", "-t", "0", "busy").check()
        self.assertRefused(self.host.api("POST", "/containers/busy/kill"), 409, "is not running")
        self.assertRefused(self.host.api("POST", "/containers/busy/exec", {"Cmd": ["true"]}), 409, "is not running")


class BodyTest(ErrorCase):
    def post(self, body, content_type="application/json", path="/containers/create"):
        return self.host.api("POST", path, body, {"Content-Type": content_type} if content_type else {})

    def test_bad_json(self):
        for body in ('{', '{"Image": }', 'nonsense', '{"Image": "alpine"', '[]', '"text"', '{"Image": 5}', '{"Image":"alpine","Cmd":{"a":1}}', '{"Image":"alpine","HostConfig":[]}',
                     '{"Image":"alpine","HostConfig":{"Memory":"lots"}}', '{"Image":"alpine","Env":"A=1"}', '{"Image":"alpine","HostConfig":{"Memory":1e30}}', "\xff\xfe", '{"Image":"alpine"} trailing'):
            with self.subTest(body[:40]):
                response = self.post(body.encode("latin-1"))
                if not (lab.IS_DOCKERD and body.endswith("trailing")):
                    self.assertIn(response.status, BAD, response.body)
                    self.assertTrue(response.message)

    def test_empty_body(self):
        self.assertIn(self.post(b"").status, BAD)

    def test_deeply_nested(self):
        self.assertIn(self.post(b'{"Image":' + b"[" * 100000).status, BAD)
        self.assertIn(self.post(b'{"Image":"alpine","X":' + b"[" * 50000 + b"]" * 50000 + b"}").status, (201, *BAD))
        self.assertTrue(self.host.engine_is_alive())

    def test_wrong_content_type(self):
        response = self.post(b'{"Image":"alpine"}', "text/plain")
        self.assertIn(response.status, (400, 415))

    def test_unknown_members_are_no_error(self):
        """A newer client may send what this engine has never heard of."""
        self.assertEqual(self.create(SomethingNew=1).status, 201)

    def test_null_members_mean_not_given(self):
        self.assertEqual(self.create(Cmd=None, Env=None, Labels=None, HostConfig=None, NetworkingConfig=None, Volumes=None).status, 201)

    def test_too_big(self):
        response = None
        try:
            response = self.host.api("POST", "/containers/create", b'{"Image":"' + b"a" * (32 << 20) + b'"}', {"Content-Type": "application/json"})
        except OSError:
            pass  # closed while we were sending
        self.assertTrue(response is None or response.status in (400, 404, 413))
        self.assertTrue(self.host.engine_is_alive())

    def test_numbers_out_of_range(self):
        for config in ({"Memory": -5}, {"Memory": 1 << 70}, {"NanoCpus": -1}, {"PidsLimit": 1.5}, {"RestartPolicy": {"Name": "no", "MaximumRetryCount": -1}}):
            with self.subTest(config):
                self.assertIn(self.create(HostConfig=config).status, (201, *BAD) if lab.IS_DOCKERD else BAD)


class NamesTest(ErrorCase):
    def test_oversized_and_odd_container_names(self):
        for name in ("x" * 5000, "a%00b", "..", "a%2Fb", "%20", "-a", "a%0Ab"):
            with self.subTest(name[:20]):
                response = self.host.api("POST", f"/containers/create?name={name}", {"Image": "alpine"})
                if response.status == 201:
                    self.assertEqual(name, "x" * 5000)  # Docker has no limit of its own
                else:
                    self.assertRefused(response, 400)
        self.assertTrue(self.host.engine_is_alive())

    def test_oversized_path(self):
        try:
            response = self.host.api("GET", "/containers/" + "a" * 200000 + "/json")
            self.assertIn(response.status, (400, 404, 414, 431))
        except OSError:
            pass
        self.assertTrue(self.host.engine_is_alive())

    def test_odd_image_names(self):
        for name in ("UPPER", "a b", "x" * 300, "a::b", "@sha256:1", "alpine@sha256:12", "-a", "a/", ""):
            with self.subTest(name[:20]):
                response = self.create(Image=name)
                self.assertIn(response.status, (400, 404), response.body)

    def test_unknown_image(self):
        self.assertRefused(self.create(Image="nosuch:tag"), 404, "No such image: nosuch:tag")

    def test_odd_hostnames_and_folders(self):
        self.assertIn(self.create(Hostname="h" * 300).status, (201, 400))
        self.assertRefused(self.create(WorkingDir="relative/path"), 400, "the working directory 'relative/path' is invalid, it needs to be an absolute path")

    def test_bad_query_values(self):
        self.docker("create", "--name", "box", "alpine").check()
        for path in ("/containers/json?limit=many", "/containers/json?filters=%7B%22status%22%3A5%7D", "/containers/box/logs?stdout=1&tail=some&since=yesterday", "/events?since=never&until=now"):
            with self.subTest(path):
                self.assertIn(self.host.api("GET", path).status, (200, *BAD) if "limit" in path else BAD)


class UnsupportedTest(ErrorCase):
    """What the engine does not have is refused by name; nothing is accepted and then ignored."""

    def check(self, word, **config):
        """Refused with the option's name, or dropped with a warning as Docker's, or honoured: then it is in inspect as it was sent."""
        response = self.create(HostConfig=config)
        if response.status == 201 and any("discarded" in warning and word in warning.lower() for warning in response.json["Warnings"]):
            return
        if response.status == 201:
            kept = self.host.inspect(response.json["Id"])["HostConfig"]
            for key, value in config.items():
                self.assertEqual(kept.get(key), value, f"{key} was accepted but is not in inspect")
        else:
            self.assertIn(response.status, (*BAD, 501))
            self.assertIn(word.lower(), response.message.lower())

    def test_each_option(self):
        for word, config in {
                "privileged": {"Privileged": True}, "ipc": {"IpcMode": "host"}, "pid": {"PidMode": "host"}, "uts": {"UTSMode": "host"}, "usern": {"UsernsMode": "host"},
                "init": {"Init": True}, "isolation": {"Isolation": "hyperv"}, "cgroup": {"CgroupParent": "/elsewhere"}, "runtime": {"Runtime": "nosuch"},
                "volumedriver": {"VolumeDriver": "nosuch"}, "storage": {"StorageOpt": {"size": "1G"}}, "nosuch": {"Links": ["nosuch:alias"]},
                "device": {"DeviceRequests": [{"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}]}, "weight": {"BlkioWeight": 500},
                "oom": {"OomKillDisable": True}, "sysctl": {"Sysctls": {"net.ipv4.ip_forward": "1"}}, "apparmor": {"SecurityOpt": ["apparmor=nosuch"]}}.items():
            if lab.IS_DOCKERD and word in ("isolation", "weight", "oom", "cgroup", "device", "nosuch", "usern"):
                continue  # 20.10 on Linux drops these silently, or answers late, at the start
            with self.subTest(word):
                self.check(word, **config)

    def test_unknown_log_driver_and_options(self):
        response = self.create(HostConfig={"LogConfig": {"Type": "nosuch"}})
        if response.status == 201:  # Docker says it at the start
            response = self.host.api("POST", f"/containers/{response.json['Id']}/start")
        self.assertGreaterEqual(response.status, 400)
        self.assertIn("nosuch", response.message)
        response = self.create(HostConfig={"LogConfig": {"Type": "json-file", "Config": {"nonsense": "1"}}})
        self.assertIn(response.status, (400, 501))
        self.assertIn("nonsense", response.message)

    def test_routes_that_are_not_there_yet_say_so(self):
        """Every path of the specification is answered with JSON, 501 at worst; never with "page not found"."""
        for method, path in (("GET", "/system/df"), ("GET", "/plugins"), ("POST", "/build"), ("POST", "/commit?container=x"), ("GET", "/distribution/alpine/json"), ("POST", "/session"),
                             ("GET", "/swarm"), ("GET", "/nodes"), ("GET", "/services"), ("GET", "/tasks"), ("GET", "/secrets"), ("GET", "/configs"),
                             ("GET", "/images/alpine/history"), ("GET", "/images/alpine/get"), ("POST", "/images/prune"), ("POST", "/containers/prune"), ("POST", "/auth")):
            with self.subTest(f"{method} {path}"):
                response = self.host.api(method, path)
                self.assertLess(response.status, 600)
                if response.status >= 400:
                    self.assertNotEqual(response.message, "page not found")

    def test_without_a_swarm_its_routes_say_so(self):
        for path in ("/swarm", "/nodes", "/services", "/tasks", "/secrets", "/configs"):
            with self.subTest(path):
                self.assertRefused(self.host.api("GET", path), 503, 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.')


class WireTest(ErrorCase):
    """Bytes on the socket that no good client sends."""

    def raw(self, data, close_write=False):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(self.host.socket)
            try:
                sock.sendall(data)
                if close_write:
                    sock.shutdown(socket.SHUT_WR)
                return sock.recv(65536)
            except OSError:
                return b""

    def test_nonsense(self):
        for data in (b"nonsense\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /_ping HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
                     b"POST /containers/create HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n", b"GET /_ping HTTP/1.1\r\nHost: a\r\nBad Header\r\n\r\n"):
            with self.subTest(data[:30]):
                answer = self.raw(data)
                self.assertTrue(answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5", b"HTTP/1.0 4")), answer[:100])
        self.assertTrue(self.host.engine_is_alive())

    def test_endless_headers(self):
        answer = self.raw(b"GET /_ping HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"a" * 1000) for i in range(5000)) + b"\r\n")
        self.assertTrue(answer == b"" or b" 431 " in answer or b" 400 " in answer or b" 413 " in answer, answer[:100])
        self.assertTrue(self.host.engine_is_alive())

    def test_hangs_up_in_the_middle(self):
        for data in (b"GET /_p", b"POST /containers/create HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"Ima",
                     b"POST /images/load HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\nabc"):
            self.raw(data, close_write=True)
        self.assertEqual(self.host.api("GET", "/_ping").status, 200)

    def test_several_requests_on_one_connection(self):
        connection = lab.UnixConnection(self.host.socket, 20)
        for _ in range(50):
            connection.request("GET", "/_ping")
            self.assertEqual(connection.getresponse().read(), b"OK")
        connection.request("GET", "/containers/nosuch/json")
        self.assertEqual(json.loads(connection.getresponse().read())["message"], "No such container: nosuch")
        connection.request("GET", "/_ping")
        self.assertEqual(connection.getresponse().read(), b"OK")
        connection.close()

    def test_two_requests_sent_at_once(self):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(20)
            sock.connect(self.host.socket)
            sock.sendall(b"GET /_ping HTTP/1.1\r\nHost: a\r\n\r\nGET /_ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            data = b""
            while chunk := sock.recv(65536):
                data += chunk
        self.assertEqual(data.count(b"HTTP/1.1 200 OK"), 2)

    def test_many_idle_connections(self):
        sockets = []
        try:
            for _ in range(400):
                sock = socket.socket(socket.AF_UNIX)
                sockets.append(sock)
                sock.settimeout(10)
                sock.connect(self.host.socket)
            self.assertEqual(self.host.api("GET", "/_ping").status, 200)
        finally:
            for sock in sockets:
                sock.close()

    def test_chunked_body_is_taken(self):
        body = b'{"Image":"alpine"}'
        answer = self.raw(b"POST /containers/create HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        self.assertTrue(answer.startswith(b"HTTP/1.1 201"), answer[:200])


if __name__ == "__main__":
    unittest.main()
