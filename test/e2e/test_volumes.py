"""Volumes and bind mounts: named, anonymous, read-only, copied up, in use, removed."""

import os
import unittest

import lab
from case import EngineCase


class VolumeCase(EngineCase):
    images = ("alpine", "kitchen-sink")

    def sh(self, *options_and_script):
        *options, script = options_and_script
        return self.docker("run", "--rm", *options, "alpine", "sh", "-c", script)

    def volumes(self, *arguments):
        return sorted(self.docker("volume", "ls", "-q", *arguments).check().lines)

    def folder(self, name):
        path = os.path.join(self.host.scratch, self.id().rpartition(".")[2] + name)
        os.makedirs(path)
        return path


class NamedTest(VolumeCase):
    def test_data_outlives_containers(self):
        self.sh("-v", "data:/data", "echo kept > /data/file").check()
        self.assertEqual(self.sh("-v", "data:/elsewhere", "cat /elsewhere/file").check().out, "kept\n")
        self.assertEqual(self.volumes(), ["data"])

    def test_mount_syntax(self):
        self.sh("--mount", "type=volume,source=data,target=/data", "echo kept > /data/file").check()
        self.assertEqual(self.sh("--mount", "source=data,target=/data,readonly", "cat /data/file; echo x > /data/y && echo WRITTEN").out, "kept\n")

    def test_read_only(self):
        result = self.sh("-v", "data:/data:ro", "echo x > /data/file")
        self.assertNotEqual(result.code, 0)
        self.assertIn("Read-only file system", result.err)

    def test_shared_by_two(self):
        self.docker("run", "-d", "--name", "writer", "-v", "data:/data", "alpine", "sleep", "1000").check()
        self.docker("run", "-d", "--name", "reader", "-v", "data:/data:ro", "alpine", "sleep", "1000").check()
        self.docker("exec", "writer", "sh", "-c", "echo now > /data/file").check()
        self.assertEqual(self.docker("exec", "reader", "cat", "/data/file").check().out, "now\n")

    def test_content_of_the_image_is_copied_into_an_empty_one(self):
        result = self.docker("run", "--rm", "-v", "fresh:/data", "--entrypoint", "/bin/sh", "kitchen-sink", "-c", "cat /data/seed; stat -c '%a %u %g' /data /data/seed").check()
        self.assertEqual(result.out, "seed\n2750 1234 5678\n640 1234 5678\n")
        self.assertEqual(self.sh("-v", "fresh:/x", "cat /x/seed; stat -c '%a %u %g' /x").check().out, "seed\n2750 1234 5678\n")

    def test_a_volume_with_content_is_left_as_it_is(self):
        self.sh("-v", "mine:/x", "echo mine > /x/own").check()
        self.assertEqual(self.docker("run", "--rm", "-u", "0", "-v", "mine:/data", "--entrypoint", "ls", "kitchen-sink", "/data").check().out, "own\n")

    def test_a_copy_that_finds_no_room_is_told_each_time(self):
        self.docker("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=64k", "small").check()
        self.docker("create", "--name", "box", "-v", "small:/bin", "alpine", "true").check()
        for _ in range(2):
            self.assertFails(self.docker("start", "box"), "copy /bin into the volume", "No space left on device")
        self.assertEqual(self.host.inspect("box")["State"]["Status"], "created")

    def test_a_name_that_is_being_removed_is_given_and_removed_again(self):
        folder = os.path.join(self.host.data_root, "volumes", ".removed-again:0", "much")
        os.makedirs(folder)
        for _ in range(2):
            self.docker("volume", "create", "again").check()
            self.docker("volume", "rm", "again").check()

    def test_nocopy(self):
        self.assertEqual(self.docker("run", "--rm", "-u", "0", "-v", "bare:/data:nocopy", "--entrypoint", "ls", "kitchen-sink", "/data").check().out, "")

    def test_copied_up_with_links_and_kinds(self):
        script = "cd /v; cat long-link >/dev/null 2>&1; readlink long-link | cut -c1-12; stat -c '%n %a %u %g %F' setuid fifo owned; test $(stat -c %i hard) = $(stat -c %i owned) && echo linked"
        self.docker("run", "--rm", "-u", "0", "-v", "tree:/layers", "--entrypoint", "true", "kitchen-sink").check()
        self.assertEqual(self.sh("-v", "tree:/v", script).check().out,
                         "/layers/long\nsetuid 4755 0 0 regular empty file\nfifo 600 0 0 fifo\nowned 640 1234 5678 regular empty file\nlinked\n")

    def test_volume_inside_a_volume(self):
        self.assertEqual(self.sh("-v", "inner:/a/b", "-v", "outer:/a", "echo i > /a/b/f; echo o > /a/g; cat /a/b/f /a/g").check().out, "i\no\n")
        self.assertEqual(self.sh("-v", "outer:/x", "ls /x").check().out, "b\ng\n")

    def test_over_a_read_only_root(self):
        self.assertEqual(self.sh("--read-only", "-v", "data:/data", "echo x > /data/f && cat /data/f").check().out, "x\n")


class LinkTest(VolumeCase):
    """Where the image has a symlink that leads to what is not there."""

    def setUp(self):
        super().setUp()
        self.docker("run", "--name", "base", "alpine", "ln", "-s", "/far/away", "/link").check()
        self.docker("commit", "base", "linked").check()

    def run_linked(self, *options_and_script):
        *options, script = options_and_script
        return self.docker("run", "--rm", *options, "linked", "sh", "-c", script).check().out

    def test_folders(self):
        folder = self.folder("bound")
        for option in ("-v", "data:/link"), ("-v", f"{folder}:/link"), ("--tmpfs", "/link"):
            self.assertEqual(self.run_linked(*option, "echo 1 > /link/f; ls /far/away; grep -c ' /far/away ' /proc/mounts"), "f\n1\n", option)
        self.assertEqual(os.listdir(folder), ["f"])
        self.assertEqual(self.run_linked("-v", "data:/link/below", "ls /far/away/below"), "f\n")
        self.assertEqual(self.run_linked("-w", "/link/below", "pwd -P"), "/far/away/below\n")

    def test_a_file(self):
        path = os.path.join(self.folder("bound"), "file")
        with open(path, "w") as file:
            file.write("text\n")
        self.assertEqual(self.run_linked("-v", f"{path}:/link", "cat /far/away"), "text\n")
        self.assertEqual(self.run_linked("-v", f"{path}:/link/below", "cat /far/away/below"), "text\n")


class AnonymousTest(VolumeCase):
    def test_of_the_command_line(self):
        self.docker("run", "--name", "box", "-v", "/anon", "alpine", "sh", "-c", "echo x > /anon/f").check()
        names = self.volumes()
        self.assertEqual(len(names), 1)
        self.assertRegex(names[0], "^[0-9a-f]{64}$")
        mount = self.host.inspect("box")["Mounts"][0]
        self.assertEqual((mount["Type"], mount["Name"], mount["Destination"], mount["Driver"], mount["RW"]), ("volume", names[0], "/anon", "local", True))

    def test_of_the_image(self):
        self.docker("create", "--name", "box", "kitchen-sink").check()
        self.assertEqual([mount["Destination"] for mount in self.host.inspect("box")["Mounts"]], ["/data"])
        self.assertEqual(len(self.volumes()), 1)

    def test_kept_by_rm_and_removed_by_rm_v(self):
        self.docker("run", "--name", "box", "-v", "/anon", "-v", "named:/named", "alpine", "true").check()
        self.docker("rm", "box").check()
        self.assertEqual(len(self.volumes()), 2)
        self.docker("run", "--name", "box", "-v", "/anon", "-v", "named:/named", "alpine", "true").check()
        self.docker("rm", "-v", "box").check()
        self.assertEqual(len(self.volumes()), 2)
        self.assertIn("named", self.volumes())

    def test_removed_with_run_rm(self):
        self.sh("-v", "/anon", "-v", "named:/named", "true").check()
        self.assertEqual(self.volumes(), ["named"])

    def test_kept_over_a_restart(self):
        self.docker("run", "--name", "box", "-v", "/anon", "alpine", "sh", "-c", "echo x >> /anon/f; cat /anon/f").check()
        self.assertEqual(self.docker("start", "-a", "box").check().out, "x\nx\n")

    def test_a_named_one_takes_the_images_place(self):
        self.docker("create", "--name", "box", "-v", "named:/data", "kitchen-sink").check()
        self.assertEqual(self.volumes(), ["named"])


class ImageMountTest(VolumeCase):
    def test_its_files_are_there_and_what_is_written_goes_with_the_container(self):
        self.docker("build", "-t", "tool", "-", input="FROM alpine\nRUN echo own > /mine && mkdir -p /etc && echo x > /etc/own\n").check()
        self.docker("run", "--name", "box", "--mount", "type=image,source=tool,target=/image", "--mount", "type=image,source=tool,image-subpath=etc,target=/etc-of-it,readonly", "alpine",
                    "sh", "-c", "ls /image/etc/own /etc-of-it/own && ! touch /etc-of-it/x 2>/dev/null && cat /image/mine; echo kept > /image/mine").check()
        self.assertEqual(self.docker("start", "-a", "box").check().lines[-1], "kept")
        mounts = {mount["Destination"]: (mount["Type"], mount["Name"], mount["RW"]) for mount in self.host.inspect("box")["Mounts"]}
        self.assertEqual(mounts, {"/image": ("image", "tool", True), "/etc-of-it": ("image", "tool", False)})
        self.assertEqual(self.host.inspect("box")["HostConfig"]["Mounts"][1]["ImageOptions"], {"Subpath": "etc"})
        self.assertFails(self.docker("rmi", "tool"), "container " + self.host.inspect("box")["Id"][:12] + " is using its referenced image")
        self.docker("rm", "box").check()
        self.assertNotIn("/image-", self.host.run_in("cat", "/proc/mounts").out)
        self.docker("run", "--rm", "--mount", "type=image,source=tool,target=/image", "alpine", "grep", "own", "/image/mine").check()
        self.docker("rmi", "tool").check()

    def test_what_cannot_be(self):
        self.assertFails(self.docker("run", "--rm", "--mount", "type=image,source=nothere,target=/i", "alpine", "true"), "No such image: nothere", code=125)
        for path in ("../x", "/etc"):
            self.assertFails(self.docker("create", "--mount", f"type=image,source=alpine,image-subpath={path},target=/i", "alpine"), "subpath must be a relative path within the image")
        self.assertFails(self.docker("run", "--rm", "--mount", "type=image,source=alpine,image-subpath=nothere,target=/i", "alpine", "true"), "cannot access path nothere", code=127)


class BindTest(VolumeCase):
    def test_both_ways(self):
        path = self.folder("a")
        with open(path + "/from-host", "w") as file:
            file.write("host\n")
        self.assertEqual(self.sh("-v", f"{path}:/b", "cat /b/from-host; echo box > /b/from-box").check().out, "host\n")
        with open(path + "/from-box") as file:
            self.assertEqual(file.read(), "box\n")

    def test_read_only(self):
        path = self.folder("a")
        self.assertIn("Read-only file system", self.sh("-v", f"{path}:/b:ro", "echo x > /b/f").err)
        self.assertIn("Read-only file system", self.sh("--mount", f"type=bind,source={path},target=/b,readonly", "echo x > /b/f").err)
        self.assertEqual(os.listdir(path), [])

    def test_a_single_file(self):
        path = self.folder("a") + "/conf"
        with open(path, "w") as file:
            file.write("setting\n")
        self.assertEqual(self.sh("-v", f"{path}:/etc/new/conf:ro", "cat /etc/new/conf").check().out, "setting\n")
        self.assertEqual(self.sh("-v", f"{path}:/etc/os-release", "cat /etc/os-release").check().out, "setting\n")

    def test_v_makes_a_missing_folder(self):
        path = self.folder("a") + "/new/deep"
        self.sh("-v", f"{path}:/b", "echo x > /b/f").check()
        self.assertEqual(os.listdir(path), ["f"])

    def test_mount_refuses_a_missing_folder(self):
        path = self.folder("a") + "/missing"
        result = self.sh("--mount", f"type=bind,source={path},target=/b", "true")
        self.assertFails(result, f'invalid mount config for type "bind": bind source path does not exist: {path}', code=125)
        self.assertFalse(os.path.exists(path))

    def test_nothing_is_copied_up(self):
        path = self.folder("a")
        self.assertEqual(self.docker("run", "--rm", "-u", "0", "-v", f"{path}:/data", "--entrypoint", "ls", "kitchen-sink", "/data").check().out, "")

    def test_inspect(self):
        path = self.folder("a")
        self.docker("create", "--name", "box", "-v", f"{path}:/b:ro", "alpine").check()
        mount = self.host.inspect("box")["Mounts"][0]
        self.assertEqual((mount["Type"], mount["Source"], mount["Destination"], mount["RW"], mount["Mode"]), ("bind", path, "/b", False, "ro"))
        self.assertEqual(self.host.inspect("box")["HostConfig"]["Binds"], [f"{path}:/b:ro"])

    def test_the_engines_socket(self):
        self.assertEqual(self.sh("-v", f"{self.host.socket}:/docker.sock", "test -S /docker.sock && echo socket").check().out, "socket\n")

    def test_contents_stay_when_the_container_goes(self):
        path = self.folder("a")
        self.docker("run", "--name", "box", "-v", f"{path}:/b", "alpine", "sh", "-c", "mkdir /b/d; echo x > /b/d/f").check()
        self.docker("rm", "-f", "-v", "box").check()
        self.assertEqual(os.listdir(path + "/d"), ["f"])

    def test_wrong_mounts_are_refused(self):
        path = self.folder("a")
        cases = {
            ("-v", f"{path}:relative"): "mount path must be absolute",
            ("-v", f"{path}:/"): "destination can't be '/'",
            ("-v", "bad name:/x"): "includes invalid characters for a local volume name",
            ("-v", f"{path}:/x:nonsense"): "invalid mode: nonsense",
            ("-v", f"{path}:/x", "-v", f"{path}:/x:ro"): "Duplicate mount point: /x",
        }
        for options, text in cases.items():
            with self.subTest(options):
                self.assertFails(self.sh(*options, "true"), text, code=125)
        self.assertEqual(self.volumes(), [])


class CommandsTest(VolumeCase):
    def test_create_inspect_and_remove(self):
        self.assertEqual(self.docker("volume", "create", "--label", "a=b", "mine").check().out, "mine\n")
        volume = self.host.inspect("mine", "volume")
        self.assertEqual((volume["Name"], volume["Driver"], volume["Scope"], volume["Labels"]), ("mine", "local", "local", {"a": "b"}))
        self.assertTrue(volume["Mountpoint"].startswith(self.host.data_root) and os.path.isdir(volume["Mountpoint"]))
        self.sh("-v", "mine:/x", "echo y > /x/f").check()
        self.assertEqual(os.listdir(volume["Mountpoint"]), ["f"])
        self.assertEqual(self.docker("volume", "rm", "mine").check().out, "mine\n")
        self.assertFalse(os.path.exists(volume["Mountpoint"]))

    def test_create_twice_is_the_same_volume(self):
        self.docker("volume", "create", "mine").check()
        self.sh("-v", "mine:/x", "echo y > /x/f").check()
        self.docker("volume", "create", "mine").check()
        self.assertEqual(self.sh("-v", "mine:/x", "cat /x/f").check().out, "y\n")

    def test_without_a_name(self):
        self.assertRegex(self.docker("volume", "create").check().line, "^[0-9a-f]{64}$")

    def test_table_and_filters(self):
        self.docker("volume", "create", "--label", "a=b", "one").check()
        self.docker("volume", "create", "two").check()
        self.docker("create", "-v", "two:/x", "alpine").check()
        result = self.docker("volume", "ls").check()
        self.assertTable(result, "DRIVER", "VOLUME NAME")
        self.assertEqual(sorted(line.split() for line in result.lines[1:]), [["local", "one"], ["local", "two"]])
        for text, expected in {"name=on": ["one"], "label=a": ["one"], "dangling=true": ["one"], "dangling=false": ["two"], "driver=local": ["one", "two"]}.items():
            with self.subTest(text):
                self.assertEqual(self.volumes("-f", text), expected)

    def test_in_use(self):
        identity = self.docker("create", "-v", "mine:/x", "alpine").check().line
        self.assertFails(self.docker("volume", "rm", "mine"), f"Error response from daemon: remove mine: volume is in use - [{identity}]")
        self.assertEqual(self.host.api("DELETE", "/volumes/mine").status, 409)
        self.docker("rm", identity).check()
        self.docker("volume", "rm", "mine").check()

    def test_unknown(self):
        self.assertFails(self.docker("volume", "rm", "nosuch"), "get nosuch: no such volume")
        self.assertFails(self.docker("volume", "inspect", "nosuch"), "get nosuch: no such volume")
        self.assertEqual(self.docker("volume", "rm", "-f", "nosuch").code, 0)

    def test_wrong_names_and_drivers(self):
        for arguments in (["-bad"], ["x"], ["../up"], ["a/b"]):
            with self.subTest(arguments):
                self.assertEqual(self.host.api("POST", "/volumes/create", {"Name": arguments[0]}).status, 400)
        self.assertFails(self.docker("volume", "create", "--driver", "nosuch", "mine"), "nosuch")
        self.assertFails(self.docker("volume", "create", "--opt", "nonsense=1", "mine"), "nonsense")
        self.assertEqual(self.volumes(), [])

    def test_prune(self):
        self.docker("volume", "create").check()
        self.docker("volume", "create", "named").check()
        self.docker("create", "-v", "used:/x", "alpine").check()
        self.needs(self.docker("volume", "prune", "-f"), "prune").check()
        left = self.volumes()
        self.assertIn("used", left)
        self.assertEqual(left, ["used"] if lab.IS_DOCKERD else ["named", "used"])

    def test_a_name_cannot_lead_out_of_the_store(self):
        response = self.host.api("POST", "/containers/create", {"Image": "alpine", "HostConfig": {"Binds": ["..:/x"]}})
        self.assertEqual(response.status, 400, response.body)
        response = self.host.api("DELETE", "/volumes/..%2f..%2fetc")
        self.assertIn(response.status, (301, 400, 404))


if __name__ == "__main__":
    unittest.main()
