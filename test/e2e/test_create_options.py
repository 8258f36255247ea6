"""Options of `create` and its neighbours that few use: no network at all, links taken back, MAC addresses, IPAM options."""

from case import EngineCase


class CreateOptionsTest(EngineCase):
    def create(self, name, version="", **body):
        response = self.host.api("POST", f"{version}/containers/create?name={name}", {"Image": "alpine", "Cmd": ["sleep", "100"], **body})
        self.assertEqual(response.status, 201, response.body)
        return response.json

    def test_network_disabled(self):
        for mode in ("default", "host"):
            with self.subTest(mode):
                name = "alone-" + mode
                self.create(name, NetworkDisabled=True, HostConfig={"NetworkMode": mode, "PortBindings": {"80/tcp": [{"HostPort": "8080"}]}})
                self.docker("start", name).check()
                shown = self.host.inspect(name)
                self.assertIs(shown["Config"]["NetworkDisabled"], True)
                self.assertEqual((shown["NetworkSettings"]["Networks"], shown["NetworkSettings"]["Ports"], shown["HostsPath"]), ({}, {}, ""))
                self.assertEqual(self.docker("exec", name, "ls", "/sys/class/net").check().out.split(), ["lo"])
                self.assertEqual(self.docker("exec", name, "hostname").check().out, shown["Id"][:12] + "\n")
                self.assertNotIn("/etc/hosts", self.docker("exec", name, "cat", "/proc/mounts").check().out)
                self.assertFails(self.docker("network", "connect", "bridge", name), "private (none) mode")
                self.assertEqual(self.docker("restart", "-t", "0", name).check().code, 0)
        self.create("plain")
        self.assertNotIn("NetworkDisabled", self.host.inspect("plain")["Config"])

    def test_link_taken_back(self):
        self.docker("run", "-d", "--name", "db", "alpine", "sleep", "100").check()
        self.docker("run", "-d", "--name", "web", "--link", "db:store", "--link", "db:other", "alpine", "sleep", "100").check()
        self.assertFails(self.docker("rm", "--link", "db"), "cannot remove the default link name of the container")
        self.assertFails(self.docker("rm", "--link", "web/nosuch"), "No such container: web/nosuch")
        self.docker("rm", "--link", "/web/store").check()
        self.assertEqual(self.host.inspect("web")["HostConfig"]["Links"], ["/db:/web/other"])
        hosts = self.docker("exec", "web", "cat", "/etc/hosts").check().out
        self.assertIn("other", hosts)
        self.assertNotIn("store", hosts)
        self.assertIs(self.host.inspect("db")["State"]["Running"], True)

    def test_mac_address_of_the_container(self):
        mac = "02:42:00:AA:bb:01"
        self.create("old", "/v1.41", MacAddress=mac)
        self.assertIn("deprecated", self.create("new", MacAddress=mac.replace(":", "-"))["Warnings"][0])
        self.create("dropped", "/v1.43", NetworkingConfig={"EndpointsConfig": {"bridge": {"MacAddress": mac}}})
        for name in ("old", "new", "dropped"):
            self.docker("start", name).check()
        self.assertEqual([self.docker("exec", name, "cat", "/sys/class/net/eth0/address").check().out == mac.lower() + "\n" for name in ("old", "new", "dropped")], [True, True, False])
        for version, body, text in (("/v1.43", {"MacAddress": mac, "HostConfig": {"NetworkMode": "host"}}, "mac-address and the network mode"),
                                    ("", {"MacAddress": mac, "NetworkingConfig": {"EndpointsConfig": {"bridge": {"MacAddress": "02:42:00:00:00:02"}}}, "HostConfig": {"NetworkMode": "bridge"}}, "must match"),
                                    ("", {"MacAddress": "nonsense"}, "invalid MAC address nonsense")):
            with self.subTest(text):
                response = self.host.api("POST", version + "/containers/create", {"Image": "alpine", **body})
                self.assertEqual(response.status, 400, response.body)
                self.assertIn(text, response.message)

    def test_ipam_options_are_shown(self):
        self.docker("network", "create", "--ipam-opt", "a=b", "mine").check()
        self.docker("network", "create", "other").check()
        self.assertEqual([(self.host.api("GET", "/networks/" + name).json["IPAM"]["Options"] or {}) for name in ("mine", "other")], [{"a": "b"}, {}])

    def test_writable_cgroups(self):
        def options(*words):
            out = self.docker("run", "--rm", *words, "alpine", "grep", " /sys/fs/cgroup", "/proc/mounts").check().out
            return {line.split()[3].split(",")[0] for line in out.splitlines() if line.split()[2].startswith("cgroup")}

        self.assertEqual((options(), options("--security-opt", "writable-cgroups=true"), options("--security-opt", "writable-cgroups=false", "--privileged")), ({"ro"}, {"rw"}, {"ro"}))
        self.assertFails(self.docker("run", "--rm", "--security-opt", "writable-cgroups=odd", "alpine"), 'invalid --security-opt 2: "writable-cgroups=odd"', code=125)

    def test_image_fills_a_folder_of_a_volume(self):
        self.docker("run", "--rm", "-v", "vol:/v", "alpine", "mkdir", "-p", "/v/empty", "/v/full/x").check()
        for folder, found in (("empty", True), ("full", False)):
            out = self.docker("run", "--rm", "--mount", f"type=volume,src=vol,dst=/etc,volume-subpath={folder}", "alpine", "ls", "/etc").check().out.split()
            self.assertEqual("passwd" in out, found, out)
        self.assertEqual(self.docker("run", "--rm", "-v", "vol:/v", "alpine", "test", "-f", "/v/empty/passwd").code, 0)
        self.assertFails(self.docker("run", "--rm", "--mount", "type=volume,dst=/m,volume-subpath=a", "alpine"), "must not set Subpath when using anonymous volumes", code=125)

    def test_sctp_ports(self):
        result = self.docker("run", "-d", "--name", "box", "-p", "7000:80/sctp", "--expose", "81/sctp", "alpine", "sleep", "100")
        if result.code == 0:
            self.assertEqual(self.docker("port", "box").check().lines, ["80/sctp -> 0.0.0.0:7000"])
        else:
            self.assertFails(result, "this kernel has no sctp", code=125)
        self.docker("run", "-d", "--name", "shown", "--expose", "81/sctp", "alpine", "sleep", "100").check()
        self.assertIn("81/sctp", self.host.inspect("shown")["Config"]["ExposedPorts"])

    def test_bodies_that_are_no_json(self):
        for body, text in (("this", "invalid character 'h' in literal true (expecting 'r')"), ('{"Image": ', "unexpected EOF"), ('{"Image": "a",}', "invalid character '}' looking for beginning of object key string")):
            response = self.host.api("POST", "/containers/create", body, {"Content-Type": "application/json"})
            self.assertEqual((response.status, response.message), (400, "invalid JSON: " + text))

    def test_mounts_with_options_of_another_kind(self):
        for mount, text in (({"Type": "bind", "Source": "/tmp", "Target": "/a", "VolumeOptions": {}}, 'VolumeOptions must not be specified on mount type "bind"'),
                            ({"Type": "volume", "Target": "/a", "BindOptions": {"Propagation": "shared"}}, 'BindOptions must not be specified on mount type "volume"'),
                            ({"Type": "volume", "Target": "/a", "ReadOnly": True}, "must not set ReadOnly mode when using anonymous volumes"),
                            ({"Type": "tmpfs", "Source": "/x", "Target": "/a"}, "field Source must not be specified")):
            with self.subTest(text):
                response = self.host.api("POST", "/containers/create", {"Image": "alpine", "HostConfig": {"Mounts": [mount]}})
                self.assertEqual(response.status, 400, response.body)
                self.assertIn(text, response.message)
        self.assertEqual(self.host.api("POST", "/v1.41/containers/create", {"Image": "alpine", "HostConfig": {"Mounts": [{"Type": "volume", "Target": "/a", "BindOptions": {}}]}}).status, 201)

    def test_options_of_an_endpoint(self):
        self.docker("network", "create", "one").check()
        self.docker("network", "create", "two").check()
        option = "driver-opt=com.docker.network.endpoint."
        self.docker("run", "-d", "--name", "box", "--network", f"name=one,{option}ifname=front,{option}sysctls=net.ipv4.conf.IFNAME.log_martians=1", "alpine", "sleep", "100").check()
        self.docker("network", "connect", "--driver-opt", "com.docker.network.endpoint.ifname=back", "two", "box").check()
        for _ in range(2):
            self.assertEqual(sorted(self.docker("exec", "box", "ls", "/sys/class/net").check().out.split()), ["back", "front", "lo"])
            self.assertEqual(self.docker("exec", "box", "cat", "/proc/sys/net/ipv4/conf/front/log_martians", "/proc/sys/net/ipv4/conf/back/log_martians").check().out, "1\n0\n")
            self.assertIn("default via", self.docker("exec", "box", "ip", "route").check().out)
            self.docker("restart", "-t", "0", "box").check()
        self.assertEqual(self.host.inspect("box")["NetworkSettings"]["Networks"]["two"]["DriverOpts"], {"com.docker.network.endpoint.ifname": "back"})
        self.docker("network", "disconnect", "one", "box").check()
        self.assertEqual(sorted(self.docker("exec", "box", "ls", "/sys/class/net").check().out.split()), ["back", "lo"])
        self.assertFails(self.docker("run", "--rm", "--network", f"name=one,{option}sysctls=net.ipv4.conf.eth0.x=1", "alpine"), "unrecognised network interface sysctl 'net.ipv4.conf.eth0.x=1'", code=125)
        self.assertFails(self.docker("run", "--rm", "--network", "name=one,driver-opt=com.docker.network.odd=1", "alpine"), "endpoint option com.docker.network.odd is not supported", code=125)

    def test_isolation(self):
        self.create("plain", HostConfig={"Isolation": "default"})
        self.assertIn("invalid isolation (hyperv)", self.host.api("POST", "/containers/create", {"Image": "alpine", "HostConfig": {"Isolation": "hyperv"}}).message)
