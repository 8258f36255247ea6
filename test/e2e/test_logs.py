"""docker logs: everything that was written, in order, apart by stream, byte for byte."""

import hashlib
import re
import unittest

from case import EngineCase
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

    def test_size_limit(self):
        self.needs(self.docker("run", "-d", "--name", "box", "--log-driver", "json-file", "--log-opt", "max-size=100k", "--log-opt", "max-file=2", "alpine", "seq", "1", "200000"),
                   "log", "max-size").check()
        self.docker("wait", "box").check()
        lines = self.logs().lines
        self.assertEqual(lines[-1], "200000")
        self.assertLess(len(lines), 100000)
        self.assertEqual(lines, [str(i) for i in range(200001 - len(lines), 200001)])


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
