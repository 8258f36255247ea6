"""What a daemon that is killed in the middle of a creation or removal leaves: nothing, once it is back."""

import json
import os
import shutil
import sqlite3
import threading
import time
import unittest

import lab
from case import OwnHostCase
from lab import until


@unittest.skipIf(lab.IS_DOCKERD, "Panal's own tables")
class RemainsTest(OwnHostCase):
    images = ("alpine",)

    def create(self, name):
        self.docker("create", "--name", name, "-v", "/anonymous", "alpine", "true").check()
        return self.host.inspect(name)

    def edit(self, statement, *values):
        """Brings the tables of the stopped engine to what a kill at an unlucky moment leaves."""
        database = sqlite3.connect(os.path.join(self.host.data_root, "node.db"))
        with database:
            count = database.execute(statement, values).rowcount
        database.close()
        self.assertEqual(count, 1, statement)

    def volumes(self):
        return self.docker("volume", "ls", "-q").lines

    def test_volumes_of_a_container_that_was_not_made_or_not_wholly_removed(self):
        lost, kept = self.create("lost"), self.create("kept")
        self.docker("create", "--name", "former", "-v", "/anonymous", "alpine", "true").check()
        outlives = self.host.inspect("former")["Mounts"][0]["Name"]
        self.docker("rm", "former").check()  # without -v: the volume stays
        self.host.kill9()
        self.edit("DELETE FROM rows WHERE kind='container' AND id=?", lost["Id"])
        self.host.start()
        wanted = sorted([kept["Mounts"][0]["Name"], outlives])
        until(lambda: sorted(self.volumes()) == wanted, "the volume of the lost one goes, the others stay")
        self.assertFalse(os.path.exists(os.path.join(self.host.data_root, "volumes", lost["Mounts"][0]["Name"])))

    def test_removal_goes_on_as_it_was_asked_for(self):
        for name, volumes_go in (("all", "true"), ("only", "false")):
            box = self.create(name)
            self.host.kill9()
            self.edit(f"""UPDATE rows SET json=json_set(json, '$.State.Phase', 'removing', '$.VolumesGo', json('{volumes_go}')) WHERE kind='container' AND id=?""", box["Id"])
            self.host.start()
            until(lambda: self.docker("ps", "-aq").out == "", "it is removed")
            self.assertEqual(self.volumes(), [] if volumes_go == "true" else [box["Mounts"][0]["Name"]])

    def test_sockets_of_terminals(self):
        """Monitors that are killed before the runtime has handed them the terminal."""
        never = os.path.join(self.host.scratch, "never")
        with open(never, "w") as file:
            file.write("#!/bin/sh\nexec sleep 1000\n")
        os.chmod(never, 0o755)

        def sockets():
            return [line.split()[-1] for line in self.host.run_in("cat", "/proc/net/unix").lines if "conmon-term" in line]

        def left():
            return [name for where in (folder, self.host.exec_root + "/execs") for _, _, names in os.walk(where) for name in names if "conmon-term" in name]
        self.host.run_in("mount", "--bind", never, "/usr/bin/crun").check()
        self.docker("create", "-t", "--name", "box", "alpine", "sleep", "1000").check()
        folder = os.path.join(self.host.data_root, "containers", self.host.inspect("box")["Id"])
        self.host.stream("start", "box")
        until(sockets, "the monitor waits for its terminal")
        self.assertEqual([path for path in sockets() if path.startswith("/")], [], "it is in no folder of the machine's")
        self.assertEqual(len(left()), 1)
        self.host.kill9()
        self.host.run_in("pkill", "-9", "-x", "conmon").check()  # of this host: it has a process namespace of its own
        self.host.run_in("umount", "/usr/bin/crun").check()
        self.host.start()
        self.docker("start", "box").check()
        self.docker("exec", "-t", "box", "true").check()
        self.docker("exec", "box", "true").check()  # the monitor that waits for the next exec has no terminal either, then
        until(lambda: left() == [], "no socket stays")

    def test_folders_of_volumes(self):
        self.docker("volume", "create", "whole").check()
        self.docker("volume", "create", "going").check()
        root = os.path.join(self.host.data_root, "volumes")
        self.host.kill9()
        os.rename(root + "/going", root + "/.removed-going")  # a removal that had begun
        os.makedirs(root + "/begun/_data")  # a creation that was never told
        os.makedirs(root + "/foreign/_data")
        with open(root + "/foreign/_data/file", "w") as file:
            file.write("somebody's")
        self.host.start()
        until(lambda: sorted(os.listdir(root)) == ["foreign", "whole"], "only what holds something is left")
        self.assertEqual(self.volumes(), ["whole"])

    def test_a_volume_that_was_being_filled_is_filled_anew(self):
        self.docker("volume", "create", "data").check()
        folder = os.path.join(self.host.data_root, "volumes", "data")
        with open(folder + "/_data/half", "w") as file:
            file.write("a copy that the engine's death cut short")
        open(folder + "/.filling-_data", "w").close()
        whole = self.docker("run", "--rm", "alpine", "ls", "/bin").check().out
        self.assertEqual(self.docker("run", "--rm", "-v", "data:/bin", "alpine", "ls", "/bin").check().out, whole)
        self.assertEqual(os.listdir(folder), ["_data"])

    def test_rows_that_nobody_understands(self):
        """One of each kind must not take the others along, and nothing is called garbage meanwhile."""
        self.docker("volume", "create", "whole").check()
        self.docker("network", "create", "whole").check()
        self.docker("run", "-d", "--name", "box", "--network", "whole", "-v", "whole:/data", "alpine", "sleep", "1000").check()
        layers = os.path.join(self.host.data_root, "layers")
        before = sorted(os.listdir(layers))
        self.host.kill9()
        for kind in ("container", "volume", "network", "cluster-network", "image", "layer"):
            self.edit("INSERT INTO rows VALUES(?,?,?)", kind, "damaged", '{"Id": 7,')
        self.host.start()
        self.assertEqual(self.docker("ps", "--format", "{{.Names}}").check().out, "box\n")
        self.assertEqual(self.volumes(), ["whole"])
        self.docker("run", "--rm", "--network", "whole", "alpine", "true").check()
        self.assertEqual(sorted(os.listdir(layers)), before)

    def test_a_copy_that_paused_a_container(self):
        self.docker("run", "-d", "--name", "box", "alpine", "sh", "-c", "dd if=/dev/zero of=/big bs=1M count=400 2>/dev/null; echo ready; "
                    "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.05; done").check()
        self.host.wait_logs("box", "ready")
        stream = self.host.stream("commit", "box", "copy")
        until(lambda: self.host.inspect("box")["State"]["Paused"], "it is paused")
        self.host.kill9()
        stream.finish()
        self.host.start()
        until(lambda: self.host.inspect("box")["State"]["Status"] == "running", "it goes on")
        before = self.docker("logs", "box").out
        until(lambda: len(self.docker("logs", "box").out) > len(before), "its program, too")


SLOW_CRUN = """#!/bin/sh
case "$*" in *" create "*) touch {folder}/begun; while [ -e {folder}/hold ]; do sleep 0.02; done ;; esac
exec {folder}/crun "$@"
"""


@unittest.skipIf(lab.IS_DOCKERD, "Panal's own runtime")
class UnfinishedStartTest(OwnHostCase):
    """The engine dies while the runtime makes a container; the runtime goes on and makes it."""
    images = ("alpine",)

    def setUp(self):
        super().setUp()
        self.host.stop()
        folder = self.host.folder
        shutil.copy("/usr/bin/crun", folder + "/crun")
        with open(folder + "/slow-crun", "w") as file:
            file.write(SLOW_CRUN.format(folder=folder))
        os.chmod(folder + "/slow-crun", 0o755)
        self.host.run_in("mount", "--bind", folder + "/slow-crun", "/usr/bin/crun").check()
        self.host.start()
        open(folder + "/hold", "w").close()

    def test_nothing_of_it_runs_on(self):
        rules = self.host.run_in("nft", "list", "ruleset").out
        stream = self.host.stream("run", "-d", "--name", "box", "-p", "8085:80", "-p", "8086:80/udp", "alpine", "sleep", "4321")
        until(lambda: os.path.exists(self.host.folder + "/begun"), "the runtime is at work")
        until(lambda: "8085" in self.host.run_in("nft", "list", "ruleset").out, "its ports are published")
        time.sleep(0.3)  # and its configuration is there
        self.host.kill9()
        stream.finish()
        timer = threading.Timer(0.5, os.unlink, [self.host.folder + "/hold"])  # the next engine is there before it is done
        timer.start()
        self.host.start()
        timer.join()
        self.assertEqual(self.host.inspect("box")["State"]["Status"], "created")
        until(lambda: self.host.run_in("pgrep", "-fa", "conmon|crun").out == "", "monitor and runtime are gone")
        self.assertEqual(self.host.run_in("nft", "list", "ruleset").out, rules)
        self.docker("start", "box").check()
        self.assertEqual(self.docker("port", "box").check().lines[0], "80/tcp -> 0.0.0.0:8085")
        self.assertEqual(len(self.host.run_in("pgrep", "-f", "^sleep 4321").out.split()), 1)
        box = self.host.inspect("box")["Id"]
        self.docker("rm", "-f", "box").check()
        self.assertEqual(self.host.run_in("pgrep", "-f", "^sleep 4321|" + box).out, "")


@unittest.skipIf(lab.IS_DOCKERD, "Panal's own tables and folders")
class PowerLossTest(OwnHostCase):
    """Files of images that were written just before the machine lost its power, which the tables name."""
    images = ("alpine", "hostname")

    def rows(self, kind):
        """As they are on the disk now, also while the engine has them locked."""
        for end in ("", "-wal"):
            shutil.copy(os.path.join(self.host.data_root, "node.db" + end), os.path.join(self.host.scratch, "copy.db" + end))
        database = sqlite3.connect(os.path.join(self.host.scratch, "copy.db"))
        rows = [json.loads(text) for text, in database.execute("SELECT json FROM rows WHERE kind=?", (kind,))]
        database.close()
        return rows

    def lose_power(self, image):
        """What the image's files are in after a start of the machine that followed its last write at once."""
        self.host.kill9()
        image = next(row for row in self.rows("image") if row["Tags"] == [image + ":latest"])
        layers = [row for row in self.rows("layer") if row["ChainId"] in image["ChainIds"]]
        database = sqlite3.connect(os.path.join(self.host.data_root, "node.db"))
        with database:
            for kind, identity in [("image", image["Id"])] + [("layer", layer["ChainId"]) for layer in layers]:
                database.execute("UPDATE rows SET json=json_set(json, '$.Boot', 'another') WHERE kind=? AND id=?", (kind, identity))
        database.close()
        return image, layers

    def tear(self, path):
        with open(path, "r+b") as file:
            file.truncate(os.path.getsize(path) // 2)

    def folder(self, layer):
        return os.path.join(self.host.data_root, "layers", str(layer["Number"]))

    def test_files_of_a_layer(self):
        _, layers = self.lose_power("alpine")
        self.tear(os.path.join(self.folder(layers[-1]), "bin/busybox"))
        self.host.start()
        self.assertEqual(self.docker("run", "--rm", "--network", "none", "alpine", "echo", "whole").check().out, "whole\n")
        self.assertFalse(os.path.exists(self.folder(layers[-1])))
        until(lambda: not [row for kind in ("image", "layer") for row in self.rows(kind) if row.get("Boot")], "it is on the disk")

    def test_a_layer_whose_removal_had_begun(self):
        _, layers = self.lose_power("alpine")
        shutil.rmtree(self.folder(layers[-1]))
        self.host.start()
        self.docker("run", "--rm", "--network", "none", "alpine", "true").check()

    def test_a_blob(self):
        image, layers = self.lose_power("hostname")
        top = next(row for row in layers if row["ChainId"] == image["ChainIds"][-1])
        self.tear(os.path.join(self.host.data_root, "blobs/sha256", top["BlobDigest"][7:]))
        self.host.start()
        self.assertEqual(self.docker("images", "--format", "{{.Repository}}").lines, ["alpine"], "what cannot be made good is gone")
        self.docker("run", "--rm", "--network", "none", "alpine", "true").check()
        self.assertFalse(os.path.exists(self.folder(top)))
        self.host.load("hostname")
        self.assertEqual(self.docker("image", "inspect", "-f", "{{.Id}}", "hostname").line, image["Id"])
        self.docker("run", "-d", "--network", "none", "hostname").check()

    def test_a_killed_engine_is_no_lost_power(self):
        self.host.kill9()
        before = self.rows("layer")
        self.host.start()
        self.assertEqual([row["Number"] for row in self.rows("layer")], [row["Number"] for row in before])
        until(lambda: not [row for kind in ("image", "layer") for row in self.rows(kind) if row.get("Boot")], "it is on the disk")


if __name__ == "__main__":
    unittest.main()
