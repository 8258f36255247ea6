"""docker logs: everything that was written, in order, apart by stream, byte for byte."""

import hashlib
import os
import queue
import re
import socket
import ssl
import threading
import time
import unittest

import net
import registry
from case import EngineCase, OwnHostCase
from lab import until

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z"


class LogsTest(EngineCase):
    def finished(self, script, *options, name="box"):
        self.docker("run", "-d", "--name", name, *options, "alpine", "sh", "-c", script).check()
        self.docker("wait", name).check()

    def logs(self, *options, name="box"):
        return self.docker("logs", *options, name).check()

    def test_streams_are_apart(self):
        self.finished("echo out1; echo err1 >&2; echo out2")
        result = self.logs()
        self.assertEqual((result.out, result.err), ("out1\nout2\n", "err1\n"))

    def test_attached_runs_are_logged_too(self):
        self.docker("run", "--name", "box", "alpine", "echo", "seen").check()
        self.assertEqual(self.logs().out, "seen\n")

    def test_nothing_written(self):
        self.finished("true")
        self.assertEqual((self.logs().out, self.logs().err), ("", ""))

    def test_not_started_yet(self):
        self.docker("create", "--name", "box", "alpine").check()
        self.assertEqual(self.logs().out, "")

    def test_unknown_container(self):
        self.assertFails(self.docker("logs", "nosuch"), "No such container: nosuch")

    def test_tail(self):
        self.finished("seq 1 100")
        self.assertEqual(self.logs("--tail", "3").lines, ["98", "99", "100"])
        self.assertEqual(self.logs("-n", "0").lines, [])
        self.assertEqual(len(self.logs("--tail", "all").lines), 100)
        self.assertEqual(len(self.logs("--tail", "1000").lines), 100)

    def test_tail_counts_both_streams(self):
        self.finished("echo 1; sleep 0.1; echo 2 >&2; sleep 0.1; echo 3")
        result = self.logs("--tail", "2")
        self.assertEqual((result.out, result.err), ("3\n", "2\n"))

    def test_timestamps(self):
        self.finished("echo a; sleep 0.05; echo b")
        lines = self.logs("-t").lines
        self.assertRegex(lines[0], f"^{STAMP} a$")
        self.assertRegex(lines[1], f"^{STAMP} b$")
        self.assertLess(lines[0].split()[0], lines[1].split()[0])

    def test_since_and_until(self):
        self.finished("for i in 1 2 3 4 5; do echo $i; sleep 0.05; done")
        stamps = [line.split()[0] for line in self.logs("-t").lines]
        self.assertEqual(self.logs("--since", stamps[2]).lines, ["3", "4", "5"])
        until_second = self.logs("--until", stamps[1]).lines
        self.assertIn(until_second, (["1"], ["1", "2"]))
        self.assertEqual(self.logs("--since", "1h").lines, ["1", "2", "3", "4", "5"])
        self.assertEqual(self.logs("--since", "2099-01-01T00:00:00Z").lines, [])
        self.assertEqual(self.logs("--since", stamps[1], "--tail", "1").lines, ["5"])

    def test_a_line_longer_than_any_buffer(self):
        self.finished("head -c 300000 /dev/zero | tr '\\0' x; echo; echo after")
        self.assertEqual(self.logs().out, "x" * 300000 + "\nafter\n")

    def test_a_line_without_an_end(self):
        self.finished("printf 'no newline'")
        self.assertEqual(self.logs().out, "no newline")

    def test_long_lines_on_both_streams_do_not_mix(self):
        self.finished("(head -c 100000 /dev/zero | tr '\\0' e; echo) >&2 & head -c 100000 /dev/zero | tr '\\0' o; echo; wait")
        result = self.logs()
        self.assertEqual((result.out, result.err), ("o" * 100000 + "\n", "e" * 100000 + "\n"))

    def test_every_kind_of_byte(self):
        self.finished(r"""printf 'a\tb\033[1mbold\033[0m\r\n'; printf '\303\261andu\n'; printf '"quoted" \\ back\n'""")
        self.assertEqual(self.logs().out_bytes, "a\tb\033[1mbold\033[0m\r\nñandu\n\"quoted\" \\ back\n".encode())

    def test_empty_lines_are_kept(self):
        self.finished("echo; echo; echo x; echo")
        self.assertEqual(self.logs().out, "\n\nx\n\n")

    def test_a_lot(self):
        self.finished("seq 1 300000")
        expected = "".join(f"{i}\n" for i in range(1, 300001)).encode()
        self.assertEqual(hashlib.sha256(self.logs().out_bytes).hexdigest(), hashlib.sha256(expected).hexdigest())
        self.assertEqual(self.logs("--tail", "2").lines, ["299999", "300000"])

    def test_terminal(self):
        self.docker("run", "-dt", "--name", "box", "alpine", "sh", "-c", "echo out; echo err >&2").check()
        self.docker("wait", "box")
        result = self.logs()
        self.assertEqual((result.out, result.err), ("out\r\nerr\r\n", ""))

    def test_runs_add_up(self):
        self.finished("echo run")
        self.docker("start", "-a", "box").check()
        self.assertEqual(self.logs().lines, ["run", "run"])

    def test_gone_after_rm(self):
        self.finished("echo old")
        self.docker("rm", "box").check()
        self.finished("echo new")
        self.assertEqual(self.logs().lines, ["new"])

    def test_one_stream_by_the_api(self):
        self.finished("echo out; echo err >&2")
        body = self.host.api("GET", "/containers/box/logs?stderr=1").body
        self.assertEqual(body, b"\2\0\0\0\0\0\0\4err\n")
        body = self.host.api("GET", "/containers/box/logs?stdout=1").body
        self.assertEqual(body, b"\1\0\0\0\0\0\0\4out\n")
        response = self.host.api("GET", "/containers/box/logs")
        self.assertEqual((response.status, response.message), (400, "Bad parameters: you must choose at least one stream"))

    def test_log_driver_none(self):
        self.needs(self.docker("run", "-d", "--name", "box", "--log-driver", "none", "alpine", "echo", "x"), "log").check()
        self.assertFails(self.docker("logs", "box"), "configured logging driver does not support reading")
        self.assertEqual(self.docker("run", "--rm", "--log-driver", "none", "alpine", "echo", "attached").check().out, "attached\n")
        self.assertEqual(self.host.inspect("box")["LogPath"], "")

    def test_size_limit(self):
        self.needs(self.docker("run", "-d", "--name", "box", "--log-driver", "json-file", "--log-opt", "max-size=100k", "--log-opt", "max-file=2", "alpine", "seq", "1", "200000"),
                   "log", "max-size").check()
        self.docker("wait", "box").check()
        lines = self.logs().lines
        self.assertEqual(lines[-1], "200000")
        self.assertLess(len(lines), 100000)
        self.assertEqual(lines, [str(i) for i in range(200001 - len(lines), 200001)])


class RotationTest(EngineCase):
    COUNT = "i=0; while [ $i -lt {0} ]; do i=$((i+1)); echo line $i; [ $((i % 100)) = 0 ] && sleep 0.03; done; true"

    def count(self, lines, *options):
        identity = self.docker("run", "-d", "--name", "box", *options, "alpine", "sh", "-c", self.COUNT.format(lines)).check().line
        return f"{self.host.data_root}/containers/{identity}"

    def sizes(self, folder):
        return {name: os.path.getsize(f"{folder}/{name}") for name in os.listdir(folder) if re.fullmatch(r"container\.log\.\d+(\.gz)?", name)}

    def test_lines_of_all_files_in_order(self):
        folder = self.count(2000, "--log-opt", "max-size=20k", "--log-opt", "max-file=4")
        self.docker("wait", "box").check()
        lines = self.docker("logs", "box").check().lines
        self.assertEqual(lines, [f"line {i}" for i in range(2001 - len(lines), 2001)])
        self.assertGreater(len(lines), 1000, "more than one file is read")
        sizes = self.sizes(folder)
        self.assertEqual(len(sizes), 4)
        self.assertLessEqual(max(sizes.values()), 20000)
        self.assertEqual(self.docker("logs", "--tail", "700", "box").lines, lines[-700:])
        self.assertEqual(self.docker("logs", "--tail", "5", "box").lines, lines[-5:])
        stamp = self.docker("logs", "-t", "box").lines[300].split()[0]
        self.assertEqual(self.docker("logs", "--since", stamp, "--tail", "1", "box").line, "line 2000")

    def test_a_follower_misses_nothing(self):
        self.docker("run", "-d", "--name", "box", "--log-opt", "max-size=10k", "--log-opt", "max-file=3", "alpine", "sh", "-c",
                    "while [ ! -e /go ]; do sleep 0.02; done; " + self.COUNT.format(3000)).check()
        streams = [self.host.stream("logs", "-f", "box") for _ in range(2)]
        self.docker("exec", "box", "touch", "/go").check()
        for stream in streams:
            self.assertEqual(stream.finish().lines, [f"line {i}" for i in range(1, 3001)])

    def test_packed(self):
        folder = self.count(2000, "--log-driver", "local", "--log-opt", "max-size=20k", "--log-opt", "max-file=4")
        self.docker("wait", "box").check()
        until(lambda: sorted(name.endswith(".gz") for name in self.sizes(folder)) == [False, True, True, True], "older files are packed")
        lines = self.docker("logs", "box").check().lines
        self.assertEqual(lines, [f"line {i}" for i in range(2001 - len(lines), 2001)])
        self.assertGreater(len(lines), 1000)
        self.assertEqual(self.docker("logs", "--tail", "900", "box").lines, lines[-900:])

    def test_starts_add_up_within_the_limit(self):
        folder = self.count(150, "--log-opt", "max-size=10k", "--log-opt", "max-file=3")
        for _ in range(6):
            self.docker("wait", "box").check()
            self.docker("start", "-a", "box").check()
        self.assertLessEqual(sum(self.sizes(folder).values()), 45000)
        lines = self.docker("logs", "box").lines
        self.assertEqual(lines[-150:], [f"line {i}" for i in range(1, 151)])
        self.assertGreater(len(lines), 300)

    def test_what_is_asked_for_is_shown(self):
        self.docker("create", "--name", "box", "--log-opt", "max-size=1m", "--log-opt", "max-file=2", "alpine").check()
        self.assertEqual(self.host.inspect("box")["HostConfig"]["LogConfig"], {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}})
        self.docker("create", "--name", "plain", "alpine").check()
        self.assertEqual(self.host.inspect("plain")["HostConfig"]["LogConfig"], {"Type": "json-file", "Config": {}})

    def test_wrong_options_are_refused(self):
        for options, text in {("--log-opt", "nonsense=1"): "unknown log opt 'nonsense' for json-file log driver",
                              ("--log-driver", "local", "--log-opt", "nonsense=1"): "unknown log opt 'nonsense' for log driver local",
                              ("--log-driver", "fluentd"): "logger: no log driver named 'fluentd' is registered",
                              ("--log-opt", "max-size=0"): "max-size must be a positive number",
                              ("--log-opt", "mode=odd"): "logger: logging mode not supported: odd"}.items():
            with self.subTest(options):
                self.assertFails(self.docker("run", "--rm", *options, "alpine", "true"), text, code=125)

    def test_details(self):
        self.docker("run", "--name", "box", "-l", "team=red", "-e", "ROLE=a b", "--log-opt", "labels=team", "--log-opt", "env=ROLE", "--log-opt", "tag={{.Name}}", "alpine", "echo", "x").check()
        self.assertEqual(self.docker("logs", "--details", "box").check().out, "ROLE=a+b,tag=box,team=red x\n")
        self.docker("run", "--name", "plain", "alpine", "echo", "x").check()
        self.assertEqual(self.docker("logs", "--details", "plain").check().out, " x\n")


class DaemonDefaultTest(OwnHostCase):
    engine_flags = ("--log-driver", "local", "--log-opt", "max-size=5m")

    def test_of_containers_that_name_none(self):
        self.docker("run", "--name", "box", "alpine", "echo", "x").check()
        self.assertEqual(self.host.inspect("box")["HostConfig"]["LogConfig"], {"Type": "local", "Config": {"max-size": "5m"}})
        self.docker("create", "--name", "other", "--log-driver", "json-file", "alpine").check()
        self.assertEqual(self.host.inspect("other")["HostConfig"]["LogConfig"], {"Type": "json-file", "Config": {}})

    def test_turned_over_while_the_engine_was_away(self):
        """What conmon turned over meanwhile is bounded, and its end is there."""
        identity = self.docker("run", "-d", "--name", "box", "--log-opt", "max-size=20k", "--log-opt", "max-file=3", "alpine", "sh", "-c",
                               "while [ ! -e /go ]; do sleep 0.02; done; seq 1 20000; touch /done; while [ ! -e /more ]; do sleep 0.02; done; seq 20001 20300; sleep 1000").check().line
        pid = self.host.inspect("box")["State"]["Pid"]
        self.host.kill9()
        self.host.run_in("touch", f"/proc/{pid}/root/go").check()
        until(lambda: self.host.run_in("test", "-e", f"/proc/{pid}/root/done").code == 0, "the program writes on")
        self.host.start()
        folder = f"{self.host.data_root}/containers/{identity}"

        def kept():  # nothing while the engine turns a file over
            try:
                return sum(os.path.getsize(f"{folder}/{name}") for name in os.listdir(folder) if name.startswith("container.log") and not os.path.islink(f"{folder}/{name}"))
            except FileNotFoundError:
                return 0
        self.assertLessEqual(until(kept, "the log's files"), 80000)
        self.assertEqual(self.docker("logs", "--tail", "1", "box").line, "20000")
        stream = self.host.stream("logs", "-f", "--tail", "2", "box")
        self.assertEqual([stream.next_line(), stream.next_line()], ["19999", "20000"])
        self.docker("exec", "box", "touch", "/more").check()
        for i in range(20001, 20301):
            self.assertEqual(stream.next_line(), str(i))


class ForwardTest(OwnHostCase):
    """Drivers that hand entries to another daemon; a socket of the test's stands for it."""

    def listen(self, name):
        path = self.host.scratch + "/" + name
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.settimeout(20)
        sock.bind(path)
        return path, sock

    def test_syslog(self):
        path, sock = self.listen("log.sock")
        self.docker("run", "--name", "box", "--log-driver", "syslog", "--log-opt", f"syslog-address=unixgram://{path}", "--log-opt", "syslog-facility=local0", "--log-opt", "tag={{.Name}}",
                    "alpine", "sh", "-c", "echo one; sleep 0.1; echo two >&2").check()
        self.assertRegex(sock.recv(65536).decode(), r"^<134>\w{3} [ \d]\d \d\d:\d\d:\d\d box\[\d+\]: one$")
        self.assertRegex(sock.recv(65536).decode(), r"^<131>.* box\[\d+\]: two$")
        self.assertEqual(self.docker("logs", "box").check().out, "one\n", "they can be read here, too")

    def test_entries_wait_for_an_engine_that_is_away(self):
        path, sock = self.listen("log.sock")
        self.docker("run", "-d", "--name", "box", "--log-driver", "syslog", "--log-opt", f"syslog-address=unixgram://{path}", "alpine", "sh", "-c",
                    "echo before; while [ ! -e /go ]; do sleep 0.02; done; echo meanwhile; touch /done; sleep 1000").check()
        self.assertTrue(sock.recv(65536).endswith(b": before"))
        time.sleep(0.3)  # the place is noted
        pid = self.host.inspect("box")["State"]["Pid"]
        self.host.kill9()
        self.host.run_in("touch", f"/proc/{pid}/root/go").check()
        until(lambda: self.host.run_in("test", "-e", f"/proc/{pid}/root/done").code == 0, "the program writes on")
        self.host.start()
        self.assertTrue(sock.recv(65536).endswith(b": meanwhile"), "nothing is lost or sent twice")

    def test_journald(self):
        path, sock = self.listen("journal.sock")
        refused = self.docker("run", "--rm", "--log-driver", "journald", "alpine", "true")
        self.assertFails(refused, "failed to initialize logging driver: journald is not enabled on this host", code=125)
        self.host.run_in("sh", "-c", f"mkdir -p /run/systemd/journal && ln -s {path} /run/systemd/journal/socket").check()
        self.docker("run", "--name", "box", "--log-driver", "journald", "-l", "team.name=red", "--log-opt", "labels=team.name", "alpine", "echo", "x").check()
        while b"MESSAGE=x\n" not in (entry := sock.recv(65536)):
            pass
        fields = dict(line.split("=", 1) for line in entry.decode().splitlines())
        self.assertEqual((fields["MESSAGE"], fields["CONTAINER_NAME"], fields["IMAGE_NAME"], fields["TEAM_NAME"], fields["PRIORITY"]), ("x", "box", "alpine", "red", "6"))
        self.assertEqual(fields["CONTAINER_ID"], self.host.inspect("box")["Id"][:12])

    def test_syslog_over_tls(self):
        ca, key, certificate = registry.certificate(self.host.scratch)
        other = self.host.scratch + "/other"
        os.mkdir(other)
        strange, _, _ = registry.certificate(other)
        entries = queue.Queue()

        def serve(port, **wants):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            if wants:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(wants["client"])
            listener = net.make_socket(self.host, netns="host")
            listener.settimeout(None)
            listener.bind(("127.0.0.1", port))
            listener.listen()
            self.addCleanup(listener.close)
            self.addCleanup(listener.shutdown, socket.SHUT_RDWR)

            def read(client):
                try:
                    with context.wrap_socket(client, server_side=True) as secure:
                        while data := secure.recv(65536):
                            entries.put(data.decode())
                except OSError:
                    pass

            def accept():
                try:
                    while True:
                        threading.Thread(target=read, args=[listener.accept()[0]], daemon=True).start()
                except OSError:
                    pass
            threading.Thread(target=accept, daemon=True).start()
        serve(6514)
        serve(6515, client=ca)

        def run(port, *options, host="127.0.0.1"):
            words = [word for option in options for word in ("--log-opt", option)]
            return self.docker("run", "--rm", "--network", "none", "--log-driver", "syslog", "--log-opt", f"syslog-address=tcp+tls://{host}:{port}", "--log-opt", "tag=box", *words, "alpine", "echo", "hello")
        run(6514, f"syslog-tls-ca-cert={ca}").check()
        self.assertRegex(entries.get(timeout=30), r"^<30>.* box\[\d+\]: hello\n$")
        run(6514, "syslog-tls-skip-verify=true", "syslog-format=rfc5424").check()
        entry = entries.get(timeout=30)
        self.assertRegex(entry, r"^\d+ <30>1 .* box - hello\n$")
        self.assertEqual(int(entry.split(" ")[0]), len(entry.split(" ", 1)[1]), "led by its length")
        run(6515, f"syslog-tls-ca-cert={ca}", f"syslog-tls-cert={certificate}", f"syslog-tls-key={key}").check()
        self.assertIn("hello", entries.get(timeout=30))
        unknown = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
        for options, why in (((), unknown), ((f"syslog-tls-ca-cert={strange}",), unknown),
                             (("syslog-tls-ca-cert=/nothere",), 'could not read CA certificate "/nothere": open /nothere: no such file or directory'),
                             ((f"syslog-tls-ca-cert={ca}", "syslog-tls-cert=/nothere", f"syslog-tls-key={key}"), "could not load X509 key pair: open /nothere")):
            self.assertIn("failed to initialize logging driver: " + why, run(6514, *options).err)
        self.assertIn("x509: certificate is not valid for localhost", run(6514, f"syslog-tls-ca-cert={ca}", host="localhost").err)
        self.assertTrue(entries.empty())

    def test_nobody_listens(self):
        refused = self.docker("run", "--rm", "--log-driver", "syslog", "--log-opt", f"syslog-address=unixgram://{self.host.scratch}/none", "alpine", "true")
        self.assertFails(refused, "failed to initialize logging driver", code=127)


class FollowTest(EngineCase):
    def test_old_and_new_lines_then_the_end(self):
        self.docker("run", "-di", "--name", "box", "alpine", "sh", "-c", "echo before; while read x && [ $x != stop ]; do echo got $x; done; echo end").check()
        self.host.wait_logs("box", "before")
        stream = self.host.stream("logs", "-f", "box")
        stream.read_until("before\n")
        feeder = self.host.stream("attach", "box", stdin=True)
        feeder.send("one\n")
        stream.read_until("got one\n")
        feeder.send("two\n")
        stream.read_until("got two\n")
        feeder.send("stop\n")
        feeder.finish()
        stream.read_until("end\n")
        self.assertEqual(stream.finish().code, 0)

    def test_of_one_that_ended(self):
        self.docker("run", "--name", "box", "alpine", "echo", "x").check()
        result = self.host.stream("logs", "-f", "box").finish()
        self.assertEqual((result.code, result.out), (0, "x\n"))

    def test_with_tail_begins_there(self):
        self.docker("run", "-d", "--name", "box", "alpine", "sh", "-c", "seq 1 50; echo mark; sleep 1000").check()
        self.host.wait_logs("box", "mark")
        stream = self.host.stream("logs", "-f", "--tail", "2", "box")
        self.assertEqual([stream.next_line(), stream.next_line()], ["50", "mark"])

    def test_nothing_is_lost_or_doubled_at_the_seam(self):
        self.docker("run", "-d", "--name", "box", "alpine", "sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo $i; done").check()
        streams = [self.host.stream("logs", "-f", "box") for _ in range(3)]
        for stream in streams:
            self.assertTrue(stream.finish().lines == [str(i) for i in range(1, 20001)], "a follower missed or repeated lines")

    def test_partial_line_appears_when_followed(self):
        self.docker("run", "-d", "--name", "box", "alpine", "sh", "-c", "echo first; printf par; sleep 0.3; echo tial; sleep 1000").check()
        self.host.stream("logs", "-f", "box").read_until("first\npartial\n")

    def test_ends_when_the_container_is_removed(self):
        self.docker("run", "-d", "--name", "box", "alpine", "sh", "-c", "echo up; sleep 1000").check()
        stream = self.host.stream("logs", "-f", "box")
        stream.read_until("up\n")
        self.docker("rm", "-f", "box").check()
        stream.finish()

    def test_timestamps_while_following(self):
        self.docker("run", "-d", "--name", "box", "alpine", "sh", "-c", "echo a; sleep 0.2; echo b; sleep 1000").check()
        stream = self.host.stream("logs", "-ft", "box")
        self.assertRegex(stream.next_line(), f"^{STAMP} a$")
        self.assertRegex(stream.next_line(), f"^{STAMP} b$")

    def test_a_follower_that_stalls_holds_nobody_up(self):
        self.docker("run", "-d", "--name", "box", "alpine", "sh", "-c", "seq 1 400000; echo done; sleep 1000").check()
        stalled = self.host.stream("logs", "-f", "box")
        stalled.read_until("1\n")
        until(lambda: self.docker("logs", "--tail", "1", "box").line == "done", "the container writes on")
        self.assertEqual(self.docker("exec", "box", "echo", "fine").check().out, "fine\n")
        self.assertTrue(re.search(r"^400000\ndone\n", stalled.read_until("done\n"), re.M))


if __name__ == "__main__":
    unittest.main()
