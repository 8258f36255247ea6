"""Secrets and configs: scenario B12. A secret is in memory only, and nobody gets it back from a manager."""

import json
import os
import subprocess
import unittest

from case import OwnClusterCase, SwarmCase
from lab import until

FOREVER = ("sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait")


class _Secrets(SwarmCase):
    def secret(self, name="honey", data="sweet", *options, kind="secret"):
        return self.docker(kind, "create", *options, name, "-", input=data).check().line

    def box(self, *options, node=4, name="box"):
        self.create(name, "--constraint", f"node.hostname==node{node}", *options, image="alpine", command=FOREVER)
        self.cluster.wait_tasks(name, 1)

    def in_box(self, script, name="box"):
        return self.cluster.exec(name, "sh", "-c", script)


class SecretTest(_Secrets):
    def test_create_ls_inspect_rm(self):
        identity = self.secret("honey", "sweet", "--label", "made=here")
        self.assertRegex(identity, "^[0-9a-z]{25}$")
        until(lambda: identity in self.docker("secret", "ls", node=2).out, "every manager lists it")
        result = self.docker("secret", "ls", node=2).check()
        self.assertTable(result, "ID", "NAME", "DRIVER", "CREATED", "UPDATED")
        self.assertRegex(result.lines[1], rf"^{identity} +honey +.* ago +.* ago$")
        secret = json.loads(self.docker("secret", "inspect", "honey").check().out)[0]
        self.assertEqual(secret["Spec"], {"Name": "honey", "Labels": {"made": "here"}}, "never the data")
        out = self.docker("secret", "inspect", "--pretty", "honey").check().out
        self.assertRegex(out, rf"ID:\s+{identity}\nName:\s+honey\nLabels:\n - made=here\n")
        self.assertNotIn("sweet", out)
        self.assertEqual(self.docker("secret", "ls", "-q", "--filter", "name=hon").line, identity)
        self.assertEqual(self.docker("secret", "ls", "-q", "--filter", "label=made=there").line, "")
        self.assertEqual(self.docker("secret", "rm", "honey").check().out, "honey\n")
        self.assertEqual(self.docker("secret", "ls", "-q").out, "")

    def test_from_a_file(self):
        path = self.cluster.host(1).scratch + "/data"
        with open(path, "wb") as file:
            file.write(bytes(range(256)) * 4)
        self.docker("secret", "create", "binary", path).check()
        self.box("--secret", "binary")
        self.assertEqual(self.in_box("md5sum < /run/secrets/binary").line.split()[0], subprocess.run(["md5sum", path], stdout=subprocess.PIPE, text=True).stdout.split()[0])

    def test_where_it_is(self):
        self.secret()
        self.box("--secret", "honey")
        self.assertEqual(self.in_box("cat /run/secrets/honey").out, "sweet")
        self.assertEqual(self.in_box("stat -c '%a %u %g' /run/secrets/honey").line, "444 0 0")
        self.assertTrue(any(line.split()[2] in ("tmpfs", "ramfs") and line.split()[1].startswith("/run/secrets") for line in self.in_box("cat /proc/mounts").lines), "in memory")
        self.assertNotEqual(self.in_box("echo x > /run/secrets/honey").code, 0)

    def test_target_owner_and_mode(self):
        self.secret()
        self.secret("key", "secret of the key")
        self.box("--secret", "source=honey,target=pot,uid=1000,gid=2000,mode=0400", "--secret", "source=key,target=/etc/hive/key.pem,mode=0440")
        self.assertEqual(self.in_box("stat -c '%a %u %g' /run/secrets/pot; cat /run/secrets/pot").out, "400 1000 2000\nsweet")
        self.assertEqual(self.in_box("stat -c %a /etc/hive/key.pem; cat /etc/hive/key.pem").out, "440\nsecret of the key")

    def test_same_one_twice(self):
        self.secret()
        self.box("--secret", "source=honey,target=one", "--secret", "source=honey,target=two")
        self.assertEqual(self.in_box("cat /run/secrets/one /run/secrets/two").out, "sweetsweet")
        result = self.docker("service", "create", "-d", "--secret", "source=honey,target=one", "--secret", "source=honey,target=one", "alpine")
        self.assertNotEqual(result.code, 0)
        self.assertTrue("one" in result.err, result)

    def test_read_by_its_owner_only(self):
        self.secret()
        self.box("--secret", "source=honey,uid=1000,mode=0400", "--user", "1000", name="owner")
        self.assertEqual(self.in_box("cat /run/secrets/honey", "owner").out, "sweet")
        self.box("--secret", "source=honey,uid=1000,mode=0400", "--user", "1001", name="other")
        self.assertNotEqual(self.in_box("cat /run/secrets/honey", "other").code, 0)

    def test_exchanged(self):
        self.secret("old", "first")
        self.secret("new", "second")
        self.box("--secret", "source=old,target=word", "--update-monitor", "1s")
        self.docker("service", "update", "--secret-rm", "old", "--secret-add", "source=new,target=word", "box").check()
        self.assertEqual(self.in_box("cat /run/secrets/word").out, "second")

    def test_in_use(self):
        self.secret()
        self.box("--secret", "honey")
        self.assertFails(self.docker("secret", "rm", "honey"), "rpc error: code = InvalidArgument desc = secret 'honey' is in use by the following service: box")
        self.docker("service", "rm", "box").check()
        self.docker("secret", "rm", "honey").check()

    def test_refusals(self):
        self.secret()
        self.assertFails(self.docker("secret", "create", "honey", "-", input="again"), "rpc error: code = AlreadyExists desc = secret honey already exists")
        self.assertFails(self.docker("secret", "create", "empty", "-", input=""), "data is empty")
        self.assertFails(self.docker("secret", "create", "huge", "-", input="x" * 512000), "secret data must be larger than 0 and less than 512000 bytes")
        self.assertFails(self.docker("secret", "create", "sl/ash", "-", input="x"), "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]")
        self.docker("secret", "create", "full", "-", input="x" * 511999).check()
        for command in ("inspect", "rm"):
            self.assertRegex(self.docker("secret", command, "nope").err, r"(?i)no such secret: nope|secret nope not found")
        self.assertFails(self.docker("secret", "ls", node=4), "This node is not a swarm manager")

    def test_large_one_arrives_whole(self):
        self.docker("secret", "create", "full", "-", input="0123456789" * 51000).check()
        self.box("--secret", "full")
        self.assertEqual(self.in_box("wc -c < /run/secrets/full").line, "510000")

    def test_only_where_it_is_needed(self):
        self.secret("honey", "word-that-must-not-spread")
        self.box("--secret", "honey", node=4)
        for number in (1, 2, 3, 4, 5):
            self.assertEqual(files_with(self.cluster.host(number).folder, b"word-that-must-not-spread"), [], f"on a disk of node{number}")
        self.docker("service", "rm", "box").check()
        until(lambda: not self.cluster.containers("box", all=True), "the task is gone")
        host = self.cluster.host(4)
        until(lambda: host.run_in("ls", "-A", host.folder + "/exec/secrets").out == "", "nothing of it stays in memory either")


class ConfigTest(_Secrets):
    def test_create_ls_inspect_rm(self):
        identity = self.secret("conf", "colour=amber\n", "--label", "made=here", kind="config")
        result = self.docker("config", "ls").check()
        self.assertTable(result, "ID", "NAME", "CREATED", "UPDATED")
        self.assertRegex(result.lines[1], rf"^{identity} +conf +")
        config = json.loads(self.docker("config", "inspect", "conf").check().out)[0]
        self.assertEqual(config["Spec"], {"Name": "conf", "Labels": {"made": "here"}, "Data": "Y29sb3VyPWFtYmVyCg=="})
        self.assertIn("Data:\ncolour=amber\n", self.docker("config", "inspect", "--pretty", "conf").check().out)
        self.assertEqual(self.docker("config", "rm", "conf").check().out, "conf\n")

    def test_in_a_service(self):
        self.secret("conf", "colour=amber\n", kind="config")
        self.box("--config", "conf", "--config", "source=conf,target=/etc/hive.conf,uid=1000,gid=2000,mode=0440")
        self.assertEqual(self.in_box("stat -c '%a %u %g' /conf /etc/hive.conf; cat /conf /etc/hive.conf").out, "444 0 0\n440 1000 2000\ncolour=amber\ncolour=amber\n")

    def test_in_use(self):
        self.secret("conf", "x", kind="config")
        self.box("--config", "conf")
        self.assertFails(self.docker("config", "rm", "conf"), "config 'conf' is in use by the following service: box")

    def test_exchanged(self):
        self.secret("old", "first", kind="config")
        self.secret("new", "second", kind="config")
        self.box("--config", "source=old,target=/word", "--update-monitor", "1s")
        self.docker("service", "update", "--config-rm", "old", "--config-add", "source=new,target=/word", "box").check()
        self.assertEqual(self.in_box("cat /word").out, "second")

    def test_template(self):
        self.needs(self.docker("config", "create", "--template-driver", "golang", "conf", "-", input="{{.Service.Name}} on {{.Node.Hostname}}"), "templat").check()
        self.box("--config", "conf")
        self.assertEqual(self.in_box("cat /conf").out, "box on node4")

    def test_refusals(self):
        self.secret("conf", "x", kind="config")
        self.assertFails(self.docker("config", "create", "conf", "-", input="again"), "config conf already exists")
        self.assertFails(self.docker("config", "create", "huge", "-", input="x" * 1024000), "config data must be larger than 0 and less than 1024000 bytes")
        self.assertRegex(self.docker("config", "inspect", "nope").err, r"(?i)no such config: nope|config nope not found")


class LaterTest(OwnClusterCase):
    managers, workers = 1, 1

    def test_there_again_after_a_restart(self):
        self.docker("secret", "create", "honey", "-", input="sweet").check()
        self.docker("config", "create", "conf", "-", input="amber").check()
        self.create("box", "--mode", "global", "--secret", "honey", "--config", "conf", image="alpine", command=FOREVER)
        self.cluster.wait_tasks("box", 2)
        for number in (1, 2):
            self.cluster.host(number).kill9()
            self.cluster.host(number).start()
        self.cluster.wait_nodes(2)
        self.cluster.wait_tasks("box", 2)
        for number in (1, 2):
            self.assertEqual(self.cluster.exec("box", "cat", "/run/secrets/honey", "/conf", number=number).out, "sweetamber")
        for number in (1, 2):
            self.cluster.power_off(number)
        for number in (1, 2):
            self.cluster.power_on(number)
        self.cluster.wait_nodes(2)
        self.cluster.wait_tasks("box", 2)
        for number in (1, 2):
            until(lambda: self.cluster.exec("box", "cat", "/run/secrets/honey", "/conf", number=number).out == "sweetamber", "there after a cold start")


def files_with(folder, data):
    """Files on the disk below the folder that hold these bytes; what is mounted inside the host's own namespace is not seen here."""
    found = []
    for path, _, names in os.walk(folder):
        for name in names:
            full = os.path.join(path, name)
            if os.path.isfile(full) and not os.path.islink(full) and os.path.getsize(full) < 64 << 20:
                with open(full, "rb") as file:
                    if data in file.read():
                        found.append(os.path.relpath(full, folder))
    return found


if __name__ == "__main__":
    unittest.main()
