"""docker build: the Dockerfile language at work, the cache, the output, and what is left when a build fails or its client goes."""

import hashlib
import io
import json
import os
import re
import shutil
import signal
import tarfile
import tempfile
import time
import unittest
import urllib.parse

from case import EngineCase, OwnHostCase
from lab import until


class BuildCase(EngineCase):
    def setUp(self):
        super().setUp()
        self.context = tempfile.mkdtemp(prefix="panal-build-")
        self.addCleanup(shutil.rmtree, self.context)
        self.addCleanup(lambda: self.docker("builder", "prune", "-af"))
        self.addCleanup(self.remove_images)

    def remove_images(self):
        for name in self.docker("images", "--format", "{{if eq .Repository \"<none>\"}}{{.ID}}{{else}}{{.Repository}}:{{.Tag}}{{end}}").out.split():
            if name != "alpine:latest":
                self.docker("rmi", "-f", name)

    def file(self, name, content="", mode=0o644):
        path = os.path.join(self.context, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(content if isinstance(content, bytes) else content.encode())
        os.chmod(path, mode)
        return path

    def build(self, dockerfile=None, *options, tag="built"):
        if dockerfile is not None:
            self.file("Dockerfile", dockerfile)
        return self.docker("build", "-t", tag, *options, self.context)

    def run_built(self, *command, tag="built"):
        return self.docker("run", "--rm", "--network", "none", tag, *command).check()

    def config(self, tag="built"):
        return json.loads(self.docker("image", "inspect", tag).check().out)[0]["Config"]


class FirstTest(BuildCase):
    def test_from_run_copy(self):
        self.file("hello.txt", "hello\n")
        result = self.build("FROM alpine\nCOPY hello.txt /etc/\nRUN cat /etc/hello.txt > /out && echo said\nCMD [\"cat\", \"/out\"]\n").check()
        self.assertEqual(self.run_built().out, "hello\n")
        lines = [line for line in result.out.splitlines() if line]
        self.assertEqual(lines[0].replace("\t", " ").startswith("Sending build context"), True, result.out)
        self.assertEqual(lines[1], "Step 1/4 : FROM alpine")
        self.assertRegex(lines[2], r"^ ---> [0-9a-f]{12}$")
        self.assertIn("said", lines)
        self.assertRegex(lines[-2], r"^Successfully built [0-9a-f]{12}$")
        self.assertEqual(lines[-1], "Successfully tagged built:latest")
        again = self.build().check()
        self.assertEqual(again.out.count(" ---> Using cache"), 3)
        self.assertNotIn("Running in", again.out)


class InstructionTest(BuildCase):
    """Each instruction of the reference, as a user would see its effect."""

    def test_arg_and_env(self):
        dockerfile = """ARG BASE=alpine
ARG GLOBAL=outside
FROM $BASE
ARG GLOBAL
ARG NAME=world OTHER
ARG TARGETARCH
ENV GREETING="hello $NAME" PLAIN=${OTHER:-none} ALT=${OTHER:+set}
ENV old form with blanks
RUN echo "$GREETING|$PLAIN|$ALT|$GLOBAL|$TARGETARCH|$NAME" > /out
CMD ["cat", "/out"]
"""
        self.build(dockerfile).check()
        arch = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
        self.assertEqual(self.run_built().line, f"hello world|none||outside|{arch}|world")
        env = self.config()["Env"]
        self.assertIn("GREETING=hello world", env)
        self.assertIn("old=form with blanks", env)
        self.assertFalse([e for e in env if e.startswith("NAME=")], "an ARG is no part of the image")
        self.build(None, "--build-arg", "NAME=you", "--build-arg", "OTHER=x", "--build-arg", "GLOBAL=given").check()
        self.assertEqual(self.run_built().line, f"hello you|x|set|given|{arch}|you")
        result = self.build(None, "--build-arg", "NOBODY=1").check()
        self.assertIn("[Warning] One or more build-args [NOBODY] were not consumed", result.out)

    def test_env_overrides_arg(self):
        self.build("FROM alpine\nARG V=arg\nENV V=env\nRUN echo $V > /out\n", "--build-arg", "V=given").check()
        self.assertEqual(self.run_built("cat", "/out").line, "env")

    def test_proxy_arguments_need_no_arg_and_leave_no_trace(self):
        self.build("FROM alpine\nRUN echo $http_proxy > /out\n", "--build-arg", "http_proxy=http://p:1").check()
        self.assertEqual(self.run_built("cat", "/out").line, "http://p:1")
        self.assertNotIn("http://p:1", self.docker("history", "--no-trunc", "built").out)

    def test_metadata(self):
        dockerfile = """FROM alpine
LABEL a=1 "b c"="d e"
MAINTAINER somebody
EXPOSE 80 53/udp 8000-8001
USER nobody
VOLUME /data ["/x"]
VOLUME ["/more", "/and more"]
WORKDIR /w
WORKDIR sub
STOPSIGNAL SIGUSR1
HEALTHCHECK --interval=5s --retries=2 CMD exit 0
SHELL ["/bin/sh", "-ec"]
ENTRYPOINT ["echo", "entry"]
CMD shell form
"""
        self.build(dockerfile).check()
        config = self.config()
        self.assertEqual(config["Labels"], {"a": "1", "b c": "d e"})
        self.assertEqual(sorted(config["ExposedPorts"]), ["53/udp", "80/tcp", "8000/tcp", "8001/tcp"])
        self.assertEqual((config["User"], config["WorkingDir"], config["StopSignal"]), ("nobody", "/w/sub", "SIGUSR1"))
        self.assertIn("/and more", config["Volumes"])
        self.assertEqual((config["Healthcheck"]["Test"], config["Healthcheck"]["Interval"], config["Healthcheck"]["Retries"]), (["CMD-SHELL", "exit 0"], 5_000_000_000, 2))
        self.assertEqual((config["Entrypoint"], config["Cmd"], config["Shell"]), (["echo", "entry"], ["/bin/sh", "-ec", "shell form"], ["/bin/sh", "-ec"]))
        self.assertEqual(json.loads(self.docker("image", "inspect", "built").out)[0]["Author"], "somebody")

    def test_workdir_makes_the_folder(self):
        self.build("FROM alpine\nWORKDIR /a/b\nRUN pwd > /out && stat -c '%a %u' /a/b >> /out\n").check()
        self.assertEqual(self.run_built("cat", "/out").lines, ["/a/b", "755 0"])
        self.assertEqual(self.run_built("pwd").line, "/a/b")

    def test_entrypoint_resets_the_command_of_the_base(self):
        self.build("FROM alpine\nCMD [\"from\", \"base\"]\n", tag="base").check()
        self.build("FROM base\nENTRYPOINT [\"echo\", \"only\"]\n").check()
        self.assertIsNone(self.config()["Cmd"])
        self.assertEqual(self.run_built().line, "only")

    def test_user_runs_commands(self):
        self.build("FROM alpine\nRUN echo app:x:1234:1234::/:/bin/sh >> /etc/passwd && echo app:x:1234: >> /etc/group\nUSER app\nRUN id -u > /tmp/out\nUSER root\nRUN chown root /tmp/out\n").check()
        self.assertEqual(self.run_built("cat", "/tmp/out").line, "1234")

    def test_shell(self):
        self.build("FROM alpine\nSHELL [\"/bin/sh\", \"-x\", \"-c\"]\nRUN echo one > /out\n").check()
        self.assertEqual(self.run_built("cat", "/out").line, "one")

    def test_run_exec_form_and_heredocs(self):
        dockerfile = """FROM alpine
RUN ["/bin/sh", "-c", "echo exec > /a"]
RUN <<EOF
echo first > /b
echo "second $HOME" >> /b
EOF
RUN cat <<ONE > /c && cat <<TWO >> /c
one
ONE
two
TWO
RUN <<EOF
#!/bin/sh -e
echo script $0 > /d
EOF
"""
        self.build(dockerfile).check()
        self.assertEqual(self.run_built("cat", "/a", "/b", "/c").lines, ["exec", "first", "second /root", "one", "two"])
        self.assertRegex(self.run_built("cat", "/d").line, "^script ")

    def test_onbuild(self):
        self.build("FROM alpine\nONBUILD COPY data /data\nONBUILD RUN cat /data > /copied\n", tag="parent").check()
        self.file("data", "brought\n")
        result = self.build("FROM parent\nCMD [\"cat\", \"/copied\"]\n").check()
        self.assertIn("# Executing 2 build triggers", result.out)
        self.assertEqual(self.run_built().line, "brought")
        self.assertIsNone(self.config().get("OnBuild"))

    def test_scratch(self):
        self.build("FROM alpine AS tools\nFROM scratch\nCOPY --from=tools /bin /bin\nCOPY --from=tools /lib* /lib/\nCMD [\"/bin/busybox\", \"echo\", \"small\"]\n")
        self.build("FROM scratch\nLABEL only=label\n", tag="labelled").check()
        self.assertEqual(self.config("labelled")["Labels"], {"only": "label"})
        self.assertFails(self.build("FROM scratch\nRUN true\n"), "Dockerfile:2: RUN has nothing to run in")

    def test_escape_directive_and_continued_lines(self):
        self.build("# escape=`\nFROM alpine\nRUN echo a `\n  # a comment\n\n  b > /out\nENV P=C:\\dir\n").check()
        self.assertEqual(self.run_built("cat", "/out").line, "a b")
        self.assertIn("P=C:\\dir", self.config()["Env"])


class CopyTest(BuildCase):
    def tree(self, *paths):
        for path in paths:
            self.file(path, path + "\n")

    def listing(self, *paths, tag="built"):
        return self.run_built("sh", "-c", f"find {' '.join(paths)} | sort", tag=tag).lines

    def test_files_folders_and_globs(self):
        self.tree("one.txt", "two.txt", "sub/a", "sub/deep/b", "x.c")
        self.build("""FROM alpine
COPY one.txt /n/renamed
COPY one.txt two.txt /n/both/
COPY *.txt /n/glob/
COPY sub /n/sub
COPY . /n/all/
WORKDIR /rel
COPY x.? .
COPY ["x.c", "with space.c"]
""").check()
        self.assertEqual(self.listing("/n/both", "/n/glob", "/n/sub", "/rel", "/n/renamed"),
                         ["/n/both", "/n/both/one.txt", "/n/both/two.txt", "/n/glob", "/n/glob/one.txt", "/n/glob/two.txt", "/n/renamed",
                          "/n/sub", "/n/sub/a", "/n/sub/deep", "/n/sub/deep/b", "/rel", "/rel/with space.c", "/rel/x.c"])
        self.assertIn("/n/all/sub/deep/b", self.listing("/n/all"))

    def test_ownership_modes_and_times(self):
        path = self.file("tool", "#!/bin/sh\n", mode=0o751)
        os.utime(path, (1_600_000_000, 1_600_000_000))
        self.build("""FROM alpine
RUN echo app:x:1234:1234::/:/bin/sh >> /etc/passwd && echo app:x:1234: >> /etc/group
COPY tool /plain
COPY --chown=app tool /named
COPY --chown=55:66 tool /numbers
COPY --chmod=640 tool /mode
COPY --chown=app:root --chmod=0700 . /dir/
ARG BITS=rX
COPY --chmod=u=rwX,go=$BITS . /sym/made/
COPY --chmod=+w,go-x tool /changed
""").check()
        stat = self.run_built("stat", "-c", "%n %a %u:%g %Y", "/plain", "/named", "/numbers", "/mode").lines
        self.assertEqual(self.run_built("stat", "-c", "%a", "/sym/made/tool", "/sym/made/Dockerfile", "/changed").lines, ["755", "644", "740"])
        self.assertFails(self.build("FROM alpine\nCOPY --chmod=u+z tool /\n"), "Dockerfile:2: invalid chmod parameter: 'u+z': 'z' is none of")
        self.assertFails(self.build("FROM alpine\nCOPY --chmod=789 tool /\n"), "invalid chmod parameter: '789'. it should be octal string and between 0 and 07777")
        self.assertEqual(stat, ["/plain 751 0:0 1600000000", "/named 751 1234:1234 1600000000", "/numbers 751 55:66 1600000000", "/mode 640 0:0 1600000000"])
        self.assertEqual(self.run_built("stat", "-c", "%a %u:%g", "/dir/tool", "/dir").lines, ["700 1234:0", "700 1234:0"][:1] + self.run_built("stat", "-c", "%a %u:%g", "/dir").lines)

    def test_from_stage_and_image(self):
        self.build("""FROM alpine AS make
RUN mkdir -p /out/d && echo made > /out/d/file && ln -s d/file /out/link
FROM alpine
COPY --from=make /out /got
COPY --from=0 /out/d/file /by-number
COPY --from=alpine /bin/busybox /busybox
""").check()
        self.assertEqual(self.run_built("cat", "/got/link", "/by-number").lines, ["made", "made"])
        self.assertEqual(self.run_built("readlink", "/got/link").line, "d/file")

    def test_exclude_parents_link(self):
        self.tree("src/a.c", "src/a.o", "src/lib/b.c", "src/lib/b.o")
        self.build("FROM alpine\nCOPY --exclude=*.o --exclude=**/*.o src /ex/\nCOPY --parents src/lib/b.c src/a.c /par/\nCOPY --link src/a.c /linked/\n").check()
        self.assertEqual(self.listing("/ex", "/par", "/linked"), ["/ex", "/ex/a.c", "/ex/lib", "/ex/lib/b.c", "/linked", "/linked/a.c", "/par", "/par/src", "/par/src/a.c", "/par/src/lib", "/par/src/lib/b.c"])

    def test_heredoc(self):
        self.build("FROM alpine\nARG WHO=you\nCOPY <<one.txt <<\"two.txt\" /d/\nhello $WHO\none.txt\nplain $WHO\ntwo.txt\n").check()
        self.assertEqual(self.run_built("cat", "/d/one.txt", "/d/two.txt").lines, ["hello you", "plain $WHO"])

    def test_destination_through_a_link_of_the_image(self):
        self.tree("f")
        self.build("FROM alpine\nRUN mkdir /real && ln -s real /alias && mkdir -m 700 /real/kept\nCOPY f /alias/\nCOPY f /alias/kept/\n").check()
        self.assertEqual(self.run_built("sh", "-c", "readlink /alias; cat /real/f; stat -c %a /real/kept").lines, ["real", "f", "700"])

    def test_add_unpacks_archives_and_copy_does_not(self):
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w:gz") as tar:
            member = tarfile.TarInfo("in/side")
            member.size, member.uid, member.mode = 3, 7, 0o600
            tar.addfile(member, io.BytesIO(b"abc"))
        self.file("a.tar.gz", data.getvalue())
        self.build("FROM alpine\nADD a.tar.gz /un/\nCOPY a.tar.gz /packed/\nADD --unpack=false a.tar.gz /also/\n").check()
        self.assertEqual(self.listing("/un", "/packed", "/also"), ["/also", "/also/a.tar.gz", "/packed", "/packed/a.tar.gz", "/un", "/un/in", "/un/in/side"])
        self.assertEqual(self.run_built("stat", "-c", "%a %u", "/un/in/side").line, "600 7")

    def test_add_links_to_a_file_of_the_base(self):
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as tar:
            member = tarfile.TarInfo("again")
            member.type, member.linkname = tarfile.LNKTYPE, "motd"
            tar.addfile(member)
        self.file("a.tar", data.getvalue())
        self.build("FROM alpine\nRUN echo hello > /etc/motd\nADD a.tar /etc/\n").check()
        self.assertEqual(self.run_built("sh", "-c", "cat /etc/again; stat -c %h /etc/again /etc/motd").lines, ["hello", "2", "2"])

    def test_dockerignore(self):
        self.tree("keep", "drop.tmp", "dir/keep.tmp", "dir/drop.tmp", "node_modules/x")
        self.file(".dockerignore", "**/*.tmp\n!dir/keep.tmp\nnode_modules\nDockerfile\n.dockerignore\n")
        self.build("FROM alpine\nCOPY . /all/\n").check()
        self.assertEqual(self.listing("/all"), ["/all", "/all/dir", "/all/dir/keep.tmp", "/all/keep"])
        self.assertFails(self.build("FROM alpine\nCOPY drop.tmp /\n"), "COPY failed", "drop.tmp")

    def test_what_is_not_there(self):
        self.assertFails(self.build("FROM alpine\nCOPY nothere /\n"), "COPY failed: file not found in build context or excluded by .dockerignore: stat nothere: file does not exist")
        self.assertFails(self.build("FROM alpine\nCOPY *.nothere /\n"), "COPY failed: no source files were specified")
        self.tree("a", "b")
        self.assertFails(self.build("FROM alpine\nCOPY a b /not-a-folder\n"), "When using COPY with more than one source file, the destination must be a directory and end with a /")

    def test_nothing_outside_the_context(self):
        os.symlink("/etc/passwd", os.path.join(self.context, "out"))
        os.symlink("../../../../etc", os.path.join(self.context, "dir"))
        self.assertFails(self.build("FROM alpine\nCOPY dir/shadow /stolen\n"), "COPY failed")
        self.file("../escape-check", "") if False else None
        self.assertFails(self.build("FROM alpine\nCOPY ../../etc/hostname /stolen\n"), "COPY failed")


class StageTest(BuildCase):
    def test_target_and_unused_stages(self):
        self.build("FROM alpine AS base\nRUN echo base > /stage\nFROM base AS test\nRUN echo test > /stage && false\nFROM base AS final\nRUN echo final > /stage\n").check()
        self.assertEqual(self.run_built("cat", "/stage").line, "final")
        self.build(None, "--target", "base").check()
        self.assertEqual(self.run_built("cat", "/stage").line, "base")
        self.assertFails(self.build(None, "--target", "nothere"), 'target stage "nothere" could not be found')

    def test_stages_run_side_by_side(self):
        """Each waits for what only the other does, by way of a cache that both share: one after the other they would never end."""
        wait = "for i in $(seq 300); do [ -e /c/{0} ] && exit 0; sleep 0.1; done; exit 1"
        dockerfile = "FROM alpine AS a\nRUN --mount=type=cache,id=meet,target=/c touch /c/a; " + wait.format("b") + "\nFROM alpine AS b\nRUN --mount=type=cache,id=meet,target=/c touch /c/b; " + wait.format("a") + \
                     "\nFROM alpine\nCOPY --from=a /etc/hostname /a\nCOPY --from=b /etc/hostname /b\n"
        result = self.build(dockerfile).check()
        steps = re.findall(r"Step (\d+)/", result.out)
        self.assertEqual(steps, [str(i) for i in range(1, 8)], "told in order all the same")

    def test_platform(self):
        self.build("FROM --platform=$BUILDPLATFORM alpine\nARG BUILDPLATFORM\nARG TARGETPLATFORM\nRUN echo $BUILDPLATFORM $TARGETPLATFORM > /out\n").check()
        words = self.run_built("cat", "/out").line.split()
        self.assertTrue(words[0].startswith("linux/") and words[0] == words[1])


class MountTest(BuildCase):
    def test_bind(self):
        self.file("src/in", "from context\n")
        self.build("""FROM alpine AS other
RUN echo from stage > /f
FROM alpine
RUN --mount=target=/c,source=src cat /c/in > /out && ! touch /c/new 2>/dev/null
RUN --mount=type=bind,from=other,source=/f,target=/g cat /g >> /out
RUN --mount=target=/c,rw touch /c/new && echo written >> /out
""").check()
        self.assertEqual(self.run_built("cat", "/out").lines, ["from context", "from stage", "written"])
        self.file("src/in", "changed\n")
        self.assertNotIn("Using cache", self.build().check().out.split("Step 4/")[1].split("Step 5/")[0], "what is mounted counts")

    def test_cache_is_kept_between_builds_and_pruned(self):
        dockerfile = "FROM alpine\nARG N\nRUN --mount=type=cache,target=/cache echo $N >> /cache/all && cp /cache/all /out\n"
        for n in "12":
            self.build(dockerfile, "--build-arg", f"N={n}").check()
        self.assertEqual(self.run_built("cat", "/out").lines, ["1", "2"])
        self.assertEqual(self.run_built("sh", "-c", "ls /cache").out, "", "no part of the image")
        self.assertIn("exec.cachemount", self.docker("system", "df", "-v").check().out + json.dumps(self.host.api("GET", "/system/df").json["BuildCache"]))
        self.docker("builder", "prune", "-af").check()
        self.build(dockerfile, "--build-arg", "N=3").check()
        self.assertEqual(self.run_built("cat", "/out").lines, ["3"])

    def test_tmpfs_secret_ssh(self):
        self.build("FROM alpine\nRUN --mount=type=tmpfs,target=/t,size=1m mount | grep ' /t ' > /out && touch /t/x\nRUN --mount=type=secret,id=none test ! -e /run/secrets/none\n").check()
        self.assertIn("tmpfs", self.run_built("cat", "/out").out)
        self.assertFails(self.build("FROM alpine\nRUN --mount=type=secret,id=key,required=true true\n"), "secret key: not found")
        self.assertFails(self.build("FROM alpine\nRUN --mount=type=ssh,required=true true\n"), "no SSH key \"default\" forwarded from the client")

    def test_network(self):
        self.build("FROM alpine\nRUN --network=none ls /sys/class/net > /out\n").check()
        self.assertEqual(self.run_built("cat", "/out").line, "lo")
        self.build("FROM alpine\nRUN ls /sys/class/net > /out\n", "--network", "none").check()
        self.assertEqual(self.run_built("cat", "/out").line, "lo")
        self.assertFails(self.build("FROM alpine\nRUN --security=insecure true\n"), "RUN --security=insecure is not supported")


class CacheTest(BuildCase):
    def hits(self, result):
        return result.check().out.count(" ---> Using cache")

    def test_content_counts_and_time_does_not(self):
        path = self.file("f", "one")
        dockerfile = "FROM alpine\nCOPY f /f\nRUN cat /f\n"
        self.assertEqual(self.hits(self.build(dockerfile)), 0)
        os.utime(path, (1, 1))
        self.assertEqual(self.hits(self.build()), 2)
        os.chmod(path, 0o600)
        self.assertEqual(self.hits(self.build()), 0)
        self.file("f", "two", 0o600)
        self.assertEqual(self.hits(self.build()), 0)
        self.file("f", "one")
        self.assertEqual(self.hits(self.build()), 2)
        self.assertEqual(self.hits(self.build(None, "--no-cache")), 0)

    def test_an_argument_counts_from_its_first_use(self):
        dockerfile = "FROM alpine\nARG V\nWORKDIR /w\nRUN echo $V\n"
        self.build(dockerfile, "--build-arg", "V=1").check()
        self.assertEqual(self.hits(self.build(None, "--build-arg", "V=2")), 2)
        self.assertEqual(self.hits(self.build(None, "--build-arg", "V=1")), 3)

    def test_a_second_build_is_the_same_image(self):
        self.build("FROM alpine\nRUN echo x > /x\n").check()
        first = self.docker("images", "-q", "built").line
        self.build(tag="again").check()
        self.assertEqual(self.docker("images", "-q", "again").line, first)

    def test_intermediate_images_are_hidden_and_go_with_the_last(self):
        before = set(self.docker("images", "-aq").lines)
        self.build("FROM alpine\nRUN echo 1 > /1\nRUN echo 2 > /2\n").check()
        self.assertEqual(len(set(self.docker("images", "-q").lines) - before), 1)
        self.assertEqual(len(set(self.docker("images", "-aq").lines) - before), 2)
        self.assertEqual(self.docker("images", "-q", "--filter", "dangling=true").out, "")
        removed = self.docker("rmi", "built").check().out
        self.assertEqual(removed.count("Deleted: "), 2)
        self.assertEqual(set(self.docker("images", "-aq").lines), before)

    def test_builder_prune(self):
        self.build("FROM alpine\nRUN head -c 3000000 /dev/zero > /big\nRUN rm /big\n").check()
        self.docker("rmi", "--no-prune", "built").check()
        self.assertIn("Build Cache", self.docker("system", "df").out)
        self.assertGreater(sum(entry["Size"] for entry in self.host.api("GET", "/system/df").json["BuildCache"]), 2_900_000)
        self.assertRegex(self.docker("builder", "prune", "-f").check().out, r"Total reclaimed space: 3\S*MB")
        self.assertEqual(self.host.api("GET", "/system/df").json["BuildCache"], [])

    def test_prune_leaves_what_kept_images_were_made_of(self):
        self.build("FROM alpine\nRUN echo 1 > /1\nRUN echo 2 > /2\n").check()
        self.docker("builder", "prune", "-f").check()
        self.assertEqual(self.hits(self.build()), 2)
        self.docker("builder", "prune", "-af").check()
        self.assertEqual(self.hits(self.build()), 0)
        self.run_built("cat", "/1", "/2")

    def test_cache_from(self):
        self.build("FROM alpine\nRUN echo 1 > /1\nENV A=b\nRUN echo 2 > /2\n").check()
        archive = os.path.join(self.context, "image.tar")
        self.docker("save", "-o", archive, "built").check()
        self.docker("rmi", "built").check()
        self.docker("builder", "prune", "-af").check()
        self.docker("load", "-i", archive).check()
        os.unlink(archive)
        self.assertEqual(self.hits(self.build(None, tag="fresh")), 0)
        self.docker("rmi", "fresh").check()
        self.assertEqual(self.hits(self.build(None, "--cache-from", "built", tag="fresh")), 3)
        self.run_built("cat", "/1", "/2", tag="fresh")

    def test_reproducible(self):
        self.file("f", "x")
        dockerfile = "FROM alpine\nARG SOURCE_DATE_EPOCH\nCOPY f /d/f\nWORKDIR /w\nRUN echo made > /made\n"
        ids = set()
        for _ in range(2):
            self.build(dockerfile, "--no-cache", "--build-arg", "SOURCE_DATE_EPOCH=1700000000").check()
            ids.add(self.docker("images", "-q", "--no-trunc", "built").line)
            os.utime(os.path.join(self.context, "f"))
        self.assertEqual(len(ids), 1)
        self.assertEqual(self.run_built("stat", "-c", "%Y", "/made", "/d/f").lines, ["1700000000"] * 2)


class OptionTest(BuildCase):
    def test_quiet_and_iidfile(self):
        iid = os.path.join(self.context, "iid")
        result = self.build("FROM alpine\nRUN echo noise\n", "-q", "--iidfile", iid).check()
        self.assertRegex(result.line, "^sha256:[0-9a-f]{64}$")
        with open(iid) as file:
            self.assertEqual(file.read().strip(), result.line)

    def test_labels_file_and_several_tags(self):
        self.file("sub/Other.Dockerfile", "FROM alpine\nENV A=b\n")
        result = self.docker("build", "-f", os.path.join(self.context, "sub/Other.Dockerfile"), "--label", "team=red $x \"q\"", "-t", "one:1", "-t", "two", self.context).check()
        self.assertIn("Successfully tagged one:1\nSuccessfully tagged two:latest", result.out)
        self.assertIn("Step 3/3 : LABEL team=red", result.out)
        self.assertEqual(self.config("one:1")["Labels"], {"team": 'red $x "q"'})

    def test_dockerfile_from_stdin(self):
        self.docker("build", "-t", "built", "-", input="FROM alpine\nRUN echo stdin > /out\n").check()
        self.assertEqual(self.run_built("cat", "/out").line, "stdin")
        self.file("f", "file")
        self.docker("build", "-t", "built", "-f-", self.context, input="FROM alpine\nCOPY f /out\n").check()
        self.assertEqual(self.run_built("cat", "/out").out, "file")

    def test_context_as_packed_tar(self):
        for mode in ("w", "w:gz", "w:bz2", "w:xz"):
            data = io.BytesIO()
            with tarfile.open(fileobj=data, mode=mode) as tar:
                for name, content in {"Dockerfile": b"FROM alpine\nCOPY f /out\n", "f": mode.encode()}.items():
                    member = tarfile.TarInfo(name)
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
            response = self.host.api("POST", "/build?t=built", data.getvalue(), headers={"Content-Type": "application/x-tar"})
            self.assertIn(b"Successfully built", response.body)
            self.assertEqual(self.run_built("cat", "/out").out, mode)

    def test_limits_and_hosts(self):
        result = self.build("FROM alpine\nRUN cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; grep box /etc/hosts; ulimit -n; df -m /dev/shm | tail -1\n",
                            "--memory", "64m", "--add-host", "box:10.9.8.7", "--ulimit", "nofile=77:77", "--shm-size", "32m").check()
        for text in ("67108864", "10.9.8.7\tbox", "\n77\n"):
            self.assertIn(text, result.out)
        self.assertRegex(result.out, r"\b32\b")

    def test_refused_by_name(self):
        self.file("Dockerfile", "FROM alpine\n")
        for query, text in {"squash=1": "squash is not supported", "version=2": "BuildKit is not supported", "buildargs=odd": "error reading build args", "memory=x": "invalid value for memory", "platform=a/b/c/d": "unknown operating system or architecture",
                            "outputs=%5B%7B%7D%5D": "outputs is not supported", "t=UPPER:bad:tag": "invalid reference format"}.items():
            with self.subTest(query):
                response = self.host.api("POST", "/build?" + query, b"")
                self.assertIn(response.status, (400, 501))
                self.assertIn(text, response.message)

    def test_kept_containers(self):
        self.build("FROM alpine\nRUN echo x\n", "--rm=false").check()
        self.assertEqual(len(self.docker("ps", "-aq").lines), 1)


class FailureTest(BuildCase):
    def nothing_left(self):
        self.assertEqual(self.docker("ps", "-aq").out, "")
        builds = os.path.join(self.host.data_root, "builds")
        until(lambda: [name for name in os.listdir(builds) if name != "cache"] == [], "the build's folder is gone")

    def test_a_command_that_fails(self):
        result = self.build("FROM alpine\nRUN echo before && exit 3\n")
        self.assertFails(result, "The command '/bin/sh -c echo before && exit 3' returned a non-zero code: 3", code=3)
        self.assertIn("before", result.out)
        self.nothing_left()

    def test_errors_name_file_and_line(self):
        self.assertFails(self.build("FROM alpine\n\nRUNN x\n"), "Dockerfile:3: unknown instruction: RUNN (did you mean RUN?)")
        self.assertFails(self.build("FROM alpine\nCOPY a\n"), "Dockerfile:2: COPY requires at least two arguments, but only one was provided")
        self.assertFails(self.build("FROM alpine\nUSER ${x\n"), "Dockerfile:2:")
        self.assertFails(self.build("FROM nothere/nothere:1\n"), "Dockerfile:1:")
        self.assertFails(self.build(""), "cannot be empty")
        for text, error in (("FROM alpine\nRUNN x\n", "2: unknown instruction"), ("FROM alpine\nUSER ${x\n", "2:"), ("FROM nothere/nothere:1\n", "1:")):
            self.file("sub/Other", text)
            self.assertFails(self.docker("build", "-f", os.path.join(self.context, "sub/Other"), self.context), "Other:" + error)
            self.assertFails(self.docker("build", "-f-", self.context, input=text), "Dockerfile:" + error)
        os.unlink(os.path.join(self.context, "Dockerfile"))
        response = self.host.api("POST", "/build", b"")
        self.assertEqual((response.status, response.message), (400, "Cannot locate specified Dockerfile: Dockerfile"))
        self.nothing_left()

    def test_a_client_that_hangs_up_ends_the_build(self):
        self.file("Dockerfile", "FROM alpine\nRUN sleep 1000\n")
        stream = self.host.stream("build", self.context)
        until(lambda: self.docker("ps", "-q").out != "", "the command runs")
        stream.stop()
        until(lambda: self.docker("ps", "-aq").out == "", "the container is gone")
        self.nothing_left()


class KilledEngineTest(OwnHostCase):
    def context(self, dockerfile):
        """A context of this one file."""
        context = tempfile.mkdtemp(prefix="panal-build-")
        self.addCleanup(shutil.rmtree, context)
        with open(os.path.join(context, "Dockerfile"), "w") as file:
            file.write(dockerfile)
        return context

    def start_build(self, dockerfile, command):
        self.host.stream("build", self.context(dockerfile))
        until(lambda: command in self.docker("ps", "--no-trunc").out, "the command runs")

    def test_nothing_is_left_of_a_build(self):
        self.start_build("FROM alpine\nRUN echo kept > /kept\nRUN --mount=target=/c sleep 1000\n", "sleep 1000")
        self.host.kill9()
        self.host.start()
        until(lambda: self.docker("ps", "-aq").out == "", "the container is gone")
        until(lambda: [name for name in os.listdir(os.path.join(self.host.data_root, "builds")) if name != "cache"] == [], "the build's folder is gone")
        self.assertNotIn("/builds/", self.host.run_in("cat", "/proc/mounts").out)
        again = self.docker("build", self.context("FROM alpine\nRUN echo kept > /kept\nRUN true\n")).check()
        self.assertEqual(again.out.count("Using cache"), 1, "what was done is not lost")

    def test_an_engine_that_is_stopped_ends_what_its_builds_run(self):
        self.start_build("FROM alpine\nRUN sleep 4711\n", "sleep 4711")
        self.host.stop()
        until(lambda: "sleep 4711" not in self.host.run_in("ps", "-ef").out, "the command is gone")
        self.host.start()
        until(lambda: self.docker("ps", "-aq").out == "", "the container is gone")


class RemoteTest(BuildCase):
    """Contexts and sources of ADD behind an address. The server stands in the test host's own network."""

    def serve(self, *command):
        server = self.host._ask({"op": "spawn", "argv": list(command), "env": {"PATH": os.environ["PATH"], "HOME": "/root"}, "log": os.path.join(self.site, "server.log")})["pid"]
        self.addCleanup(self.host._ask, {"op": "kill", "pid": server, "signal": signal.SIGKILL})

    def setUp(self):
        super().setUp()
        self.site = tempfile.mkdtemp(prefix="panal-site-", dir=self.host.scratch)
        os.chmod(self.site, 0o755)

    def http(self):
        self.serve("/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", self.site, "8099")
        until(lambda: self.host.run_in("curl", "-sf", "http://127.0.0.1:8099/").code == 0, "the server answers")
        return "http://127.0.0.1:8099/"

    def put(self, name, content):
        with open(os.path.join(self.site, name), "wb") as file:
            file.write(content)

    def test_add_from_an_address(self):
        self.put("file.txt", b"from far\n")
        os.utime(os.path.join(self.site, "file.txt"), (1_600_000_000, 1_600_000_000))
        url = self.http()
        self.build(f"FROM alpine\nADD {url}file.txt /in/\nADD --chmod=644 {url}file.txt?x=1 /named\n").check()
        self.assertEqual(self.run_built("cat", "/in/file.txt", "/named").lines, ["from far"] * 2)
        self.assertEqual(self.run_built("stat", "-c", "%a %Y", "/in/file.txt", "/named").lines, ["600 1600000000", "644 1600000000"])
        digest = hashlib.sha256(b"from far\n").hexdigest()
        self.build(f"FROM alpine\nADD --checksum=sha256:{digest} {url}file.txt /\n").check()
        self.assertFails(self.build(f"FROM alpine\nADD --checksum=sha256:{'0' * 64} {url}file.txt /\n"), "digest mismatch")
        self.assertFails(self.build(f"FROM alpine\nADD {url}nothere /\n"), "with status 404")
        self.assertFails(self.build(f"FROM alpine\nADD {url} /in/\n"), "cannot determine filename from url")

    def test_context_from_an_address(self):
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w:gz") as tar:
            for name, content in {"Dockerfile": b"FROM alpine\nCOPY f /f\n", "f": b"far"}.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        self.put("context.tar.gz", data.getvalue())
        self.put("only.txt", b"FROM alpine\nRUN echo text > /f\n")
        url = self.http()
        for name, content in (("context.tar.gz", "far"), ("only.txt", "text\n")):
            response = self.host.api("POST", f"/build?t=built&remote={url}{name}")
            self.assertIn(b"Successfully built", response.body)
            self.assertEqual(self.run_built("cat", "/f").out, content)

    def test_repository(self):
        repository = os.path.join(self.site, "app.git")
        git = ["git", "-C", repository, "-c", "user.name=n", "-c", "user.email=e@e"]
        os.makedirs(os.path.join(repository, "sub"))
        for words in (["init", "-q", "-b", "main"],):
            self.host.run_in(*git, *words).check()
        for name, content in {"Dockerfile": "FROM alpine\nCOPY f /f\n", "f": "main", "sub/Dockerfile": "FROM alpine\nCOPY g /f\n", "sub/g": "sub"}.items():
            with open(os.path.join(repository, name), "w") as file:
                file.write(content)
        self.host.run_in(*git, "add", ".").check()
        self.host.run_in(*git, "commit", "-qm", "first").check()
        self.host.run_in(*git, "tag", "v1").check()
        with open(os.path.join(repository, "f"), "w") as file:
            file.write("later")
        self.host.run_in(*git, "commit", "-qam", "second").check()
        self.serve("/usr/lib/git-core/git-daemon", "--reuseaddr", "--export-all", "--base-path=" + self.site, "--listen=127.0.0.1", "--port=9418", self.site)
        url = "git://127.0.0.1/app.git"
        until(lambda: self.host.run_in("git", "ls-remote", url).code == 0, "the repository answers")
        for fragment, content in {"": "later", "#v1": "main", "#main:sub": "sub"}.items():
            response = self.host.api("POST", "/build?t=built&remote=" + urllib.parse.quote(url + fragment, safe=""))
            self.assertIn(b"Successfully built", response.body)
            self.assertEqual(self.run_built("cat", "/f").out, content)
        self.build(f"FROM alpine\nADD {url}#v1 /plain\nADD --keep-git-dir {url} /whole\n").check()
        self.assertEqual(self.run_built("sh", "-c", "cat /plain/f; test -e /plain/.git; echo $?; test -e /whole/.git; echo $?").out, "main1\n0\n")
        first = self.host.run_in(*git, "rev-parse", "v1").out.strip()
        self.build(f"FROM alpine\nADD --checksum={first} {url}#v1 /plain\n").check()
        self.assertFails(self.build(f"FROM alpine\nADD --checksum={first} {url} /plain\n"), f"expected checksum to match {first}")
        response = self.host.api("POST", "/build?remote=" + urllib.parse.quote(url + "#nothere", safe=""))
        self.assertEqual(response.status, 400)
        self.assertIn("nothere", response.message)
