"""python3-docker, as Debian has it."""

import io
import tarfile
import time
import unittest

from case import EngineCase
from test_copy import FILE, tar

try:
    import docker as python_docker
except ImportError:
    python_docker = None


@unittest.skipIf(python_docker is None, "python3-docker is not installed")
class SdkTest(EngineCase):
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

    def test_detach_keys_of_an_exec(self):
        self.client.api._general_configs["detachKeys"] = "ctrl-p"
        self.client.containers.run("alpine", ["sleep", "1000"], detach=True, name="box")
        made = self.client.api.exec_create("box", ["cat"], stdin=True, tty=True)
        connection = self.client.api.exec_start(made["Id"], tty=True, socket=True)
        self.addCleanup(connection.close)
        connection._sock.sendall(b"\x10")
        connection._sock.settimeout(30)
        while data := connection._sock.recv(4096):
            self.assertNotIn(b"^P", data)

    def test_links_of_an_endpoint(self):
        network = self.client.networks.create("front")
        box = self.client.containers.run("alpine", ["sleep", "1000"], detach=True, name="box", network="front")
        network.disconnect(box)
        network.connect(box, links=[("base", "db")], driver_opt={"com.example.label": "x"})
        self.client.containers.run("alpine", ["sleep", "1000"], detach=True, name="base", network="front")
        endpoint = self.client.api.inspect_container("box")["NetworkSettings"]["Networks"]["front"]
        self.assertEqual((endpoint["Links"], endpoint["DriverOpts"]), (["base:db"], {"com.example.label": "x"}))
        self.assertEqual(box.exec_run(["nslookup", "db"]).exit_code, 0)
        with self.assertRaisesRegex(python_docker.errors.APIError, "com.docker.network.unheard is not supported"):
            self.client.networks.create("back").connect(box, driver_opt={"com.docker.network.unheard": "x"})

    def test_a_load_that_fails(self):
        with self.assertRaisesRegex(python_docker.errors.ImageLoadError, "invalid tar header"):
            self.client.images.load(b"abc")

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


    def test_streams_of_a_container(self):
        box = self.client.containers.run("alpine", ["sh", "-c", "for i in 1 2 3; do echo line $i; done; echo bad >&2; sleep 1000"], detach=True, name="box")
        self.host.wait_logs("box", "bad")
        self.assertEqual(box.logs(stderr=False), b"line 1\nline 2\nline 3\n")
        self.assertEqual(box.logs(stdout=False), b"bad\n")
        self.assertEqual(box.logs(stderr=False, tail=1), b"line 3\n")
        self.assertRegex(box.logs(stderr=False, tail=1, timestamps=True), rb"^\d{4}-\d\d-\d\dT\S+Z line 3\n$")
        output = box.exec_run(["sh", "-c", "echo a; echo b"], stream=True).output
        self.assertEqual(b"".join(output), b"a\nb\n")
        code, sock = box.exec_run(["cat"], stdin=True, socket=True)
        sock._sock.sendall(b"through\n")
        self.assertEqual(sock._sock.recv(16), b"\1\0\0\0\0\0\0\x08through\n")
        sock.close()
        attached = box.attach(stream=True, logs=True, stderr=False)
        self.assertEqual(next(iter(attached)).split(b"\n")[0], b"line 1")

    def test_build(self):
        image, lines = self.client.images.build(fileobj=io.BytesIO(b"FROM alpine\nLABEL a=b\nRUN echo said\n"), tag="sdk:1", rm=True)
        self.addCleanup(self.client.images.remove, "sdk:1", force=True)
        self.assertEqual((image.labels, image.tags), ({"a": "b"}, ["sdk:1"]))
        self.assertIn("said\n", [line.get("stream") for line in lines])
        with self.assertRaises(python_docker.errors.BuildError) as raised:
            self.client.images.build(fileobj=io.BytesIO(b"FROM alpine\nRUN exit 9\n"))
        self.assertIn("returned a non-zero code: 9", str(raised.exception))

    def test_stats_and_top(self):
        box = self.client.containers.run("alpine", ["sleep", "1000"], detach=True, name="box", mem_limit="64m")
        stats = box.stats(stream=False)
        self.assertEqual((stats["name"], stats["id"], stats["memory_stats"]["limit"], stats["pids_stats"]["current"]), ("/box", box.id, 64 << 20, 1))
        self.assertGreater(stats["cpu_stats"]["system_cpu_usage"], stats["precpu_stats"]["system_cpu_usage"])
        self.assertIn("eth0", stats["networks"])
        stream = box.stats(decode=True)
        self.assertEqual([next(stream)["id"], next(stream)["id"]], [box.id, box.id])
        stream.close()
        self.assertEqual([process[-1] for process in box.top()["Processes"]], ["sleep 1000"])

    def test_verbs(self):
        box = self.client.containers.run("alpine", ["sleep", "1000"], detach=True, name="box")
        box.pause()
        box.reload()
        self.assertEqual(box.status, "paused")
        box.unpause()
        box.rename("other")
        box.update(mem_limit="100m", memswap_limit="200m")
        box.reload()
        self.assertEqual((box.name, box.attrs["HostConfig"]["Memory"]), ("other", 100 << 20))
        box.restart(timeout=0)
        box.stop(timeout=0)
        box.reload()
        self.assertEqual((box.status, box.attrs["State"]["ExitCode"]), ("exited", 137))
        box.start()
        box.resize(20, 70)
        box.remove(force=True, v=True)

    def test_what_run_takes(self):
        """Many of run()'s arguments at once, each seen inside."""
        script = "hostname; whoami; pwd; echo $KEY; ulimit -n; cat /proc/sys/net/core/somaxconn; grep there /etc/hosts | cut -f1; cat /ro/file; touch /ro/x 2>/dev/null || echo ro; df -k /dev/shm | tail -1 | awk '{print $2}'; touch /no 2>/dev/null || echo root-ro"
        import docker.types as types
        volume = self.client.volumes.create("data")
        self.client.containers.run("alpine", ["sh", "-c", "echo kept > /data/file"], volumes={"data": {"bind": "/data"}}, remove=True)
        out = self.client.containers.run("alpine", ["sh", "-c", script], remove=True, hostname="inside", user="nobody", working_dir="/tmp", environment={"KEY": "value"}, ulimits=[types.Ulimit(name="nofile", soft=99, hard=100)],
                                         sysctls={"net.core.somaxconn": "300"}, extra_hosts={"there": "192.0.2.9"}, mounts=[types.Mount("/ro", "data", type="volume", read_only=True)], shm_size="4m", read_only=True,
                                         cap_drop=["ALL"], security_opt=["no-new-privileges"], tmpfs={"/scratch": "size=1m"}, init=True, cpu_shares=100, pids_limit=50, labels=["l"], network_mode="bridge")
        self.assertEqual(out.decode().split("\n")[:-1], ["inside", "nobody", "/tmp", "value", "99", "300", "192.0.2.9", "kept", "ro", "4096", "root-ro"])
        volume.remove()

    def test_lists_and_filters(self):
        for name, label in (("one", "a"), ("two", "b")):
            self.client.containers.create("alpine", ["true"], name=name, labels={"l": label})
        self.assertEqual([box.name for box in self.client.containers.list(all=True, filters={"label": ["l=b"]})], ["two"])
        self.assertEqual([box.name for box in self.client.containers.list(all=True, filters={"status": "created"}, limit=1)], ["two"])
        self.assertEqual(self.client.containers.list(), [])
        self.assertEqual([box.name for box in self.client.containers.list(all=True, filters={"since": "one"})], ["two"])
        self.assertEqual(len(self.client.containers.prune()["ContainersDeleted"]), 2)

    def test_networks_in_detail(self):
        import docker.types as types
        ipam = types.IPAMConfig(pool_configs=[types.IPAMPool(subnet="10.123.0.0/24", gateway="10.123.0.254")])
        network = self.client.networks.create("mine", ipam=ipam, labels={"n": "1"})
        box = self.client.containers.run("alpine", ["sleep", "1000"], detach=True)
        network.connect(box, aliases=["db"], ipv4_address="10.123.0.7")
        box.reload()
        self.assertEqual(box.attrs["NetworkSettings"]["Networks"]["mine"]["IPAddress"], "10.123.0.7")
        self.assertEqual(self.client.containers.run("alpine", ["nslookup", "db"], network="mine", remove=True).count(b"10.123.0.7"), 1)
        network.disconnect(box)
        self.assertEqual([each.name for each in self.client.networks.list(filters={"label": "n=1"})], ["mine"])
        network.remove()
        with self.assertRaises(python_docker.errors.NotFound):
            self.client.networks.get("mine")

    def test_images_in_detail(self):
        pieces = b"".join(self.client.images.get("hostname").save(named=True))
        self.client.images.remove("hostname", force=True)
        loaded, = self.client.images.load(pieces)
        self.assertEqual(loaded.tags, ["hostname:latest"])
        self.assertTrue(loaded.history())
        self.assertEqual([image.tags for image in self.client.images.list(name="hostname")], [["hostname:latest"]])
        self.assertEqual(self.client.images.prune()["SpaceReclaimed"], 0)
        self.assertEqual(self.client.df()["Images"][0]["Containers"], 0)

    def test_events_of_a_time(self):
        began = int(time.time())
        box = self.client.containers.create("alpine", ["true"], name="timed")
        seen = list(self.client.events(since=began, until=int(time.time()) + 1, filters={"container": "timed"}, decode=True))
        self.assertEqual([(event["Action"], event["id"]) for event in seen], [("create", box.id)])

    def test_errors(self):
        errors = python_docker.errors
        with self.assertRaises(errors.ImageNotFound):
            self.client.containers.create("nowhere/nothing:1", ["true"])
        self.client.containers.create("alpine", ["true"], name="box")
        with self.assertRaises(errors.APIError) as raised:
            self.client.containers.create("alpine", ["true"], name="box")
        self.assertEqual(raised.exception.status_code, 409)
        self.assertIn("is already in use by container", raised.exception.explanation)
        with self.assertRaises(errors.APIError) as raised:
            self.client.containers.run("alpine", ["no-such-program"])
        self.assertEqual(raised.exception.status_code, 400)
        self.assertIn("executable file not found in $PATH", raised.exception.explanation)


if __name__ == "__main__":
    unittest.main()
