"""docker run: what comes out, what goes in, the code it ends with, and the terminal."""

import hashlib
import os
import subprocess
import unittest

from case import EngineCase


class OutputTest(EngineCase):
    def test_output_and_code_zero(self):
        result = self.docker("run", "--rm", "alpine", "echo", "hello world")
        self.assertEqual((result.code, result.out, result.err), (0, "hello world\n", ""))

    def test_stdout_and_stderr_are_apart(self):
        result = self.docker("run", "--rm", "alpine", "sh", "-c", "echo out; echo err >&2; echo out2").check()
        self.assertEqual((result.out, result.err), ("out\nout2\n", "err\n"))

    def test_attach_to_one_only(self):
        result = self.docker("run", "--rm", "-a", "stderr", "alpine", "sh", "-c", "echo out; echo err >&2").check()
        self.assertEqual((result.out, result.err), ("", "err\n"))

    def test_no_newline_at_the_end(self):
        self.assertEqual(self.docker("run", "--rm", "alpine", "printf", "abc").check().out, "abc")

    def test_any_byte(self):
        script = r"printf '\000\001\377\376\r\n\033'"
        self.assertEqual(self.docker("run", "--rm", "alpine", "sh", "-c", script).check().out_bytes, b"\0\1\377\376\r\n\033")

    def test_ten_megabytes_arrive_whole(self):
        result = self.docker("run", "--rm", "alpine", "seq", "1", "1400000").check()
        expected = "".join(f"{i}\n" for i in range(1, 1400001)).encode()
        self.assertEqual(len(result.out_bytes), len(expected))
        self.assertEqual(hashlib.sha256(result.out_bytes).hexdigest(), hashlib.sha256(expected).hexdigest())

    def test_both_streams_at_full_speed(self):
        result = self.docker("run", "--rm", "alpine", "sh", "-c", "seq 1 200000 & seq 1 200000 >&2; wait").check()
        expected = "".join(f"{i}\n" for i in range(1, 200001))
        self.assertTrue(result.out == expected, "stdout is not whole")
        self.assertTrue(result.err == expected, "stderr is not whole")

    def test_output_written_just_before_the_end_is_there_each_time(self):
        for i in range(15):
            self.assertEqual(self.docker("run", "--rm", "alpine", "sh", "-c", f"echo a; echo b{i}; exit {i}").check(i).out, f"a\nb{i}\n")

    def test_output_appears_while_it_runs(self):
        stream = self.host.stream("run", "-i", "--rm", "alpine", "sh", "-c", "echo first; read x; echo got $x", stdin=True)
        stream.read_until("first\n")
        stream.send("second\n")
        stream.read_until("got second\n")
        stream.close_input()
        self.assertEqual(stream.finish().code, 0)

    def test_a_reader_that_stalls_does_not_stop_the_engine(self):
        stream = self.host.stream("run", "--rm", "--name", "flood", "alpine", "seq", "1", "3000000")
        stream.read_until("1\n")  # and then nobody reads
        self.assertEqual(self.docker("run", "--rm", "alpine", "echo", "alive").check().out, "alive\n")
        result = stream.finish()
        self.assertEqual(result.code, 0)
        self.assertTrue(result.out.endswith("2999999\n3000000\n"))


class InputTest(EngineCase):
    def test_piped_input_and_its_end(self):
        self.assertEqual(self.docker("run", "-i", "--rm", "alpine", "cat", input="one\ntwo").check().out, "one\ntwo")

    def test_empty_input(self):
        self.assertEqual(self.docker("run", "-i", "--rm", "alpine", "wc", "-c", input="").check().line, "0")

    def test_five_megabytes_there_and_back(self):
        data = os.urandom(5 << 20)
        result = self.docker("run", "-i", "--rm", "alpine", "cat", input=data).check()
        self.assertEqual(hashlib.sha256(result.out_bytes).hexdigest(), hashlib.sha256(data).hexdigest())

    def test_output_goes_on_after_input_ended(self):
        result = self.docker("run", "-i", "--rm", "alpine", "sh", "-c", "cat >/dev/null; seq 1 100000", input="x" * 100000).check()
        self.assertEqual(len(result.lines), 100000)

    def test_without_i_there_is_no_input(self):
        self.assertEqual(self.docker("run", "--rm", "alpine", "wc", "-c", input="ignored").check().line, "0")

    def test_a_program_that_does_not_read(self):
        self.assertEqual(self.docker("run", "-i", "--rm", "alpine", "true", input=b"z" * 3000000).code, 0)


class ExitCodeTest(EngineCase):
    def test_the_programs_own(self):
        for code in (0, 1, 3, 42, 125, 255):
            with self.subTest(code):
                self.assertCode(self.docker("run", "--rm", "alpine", "sh", "-c", f"exit {code}"), code)

    def test_killed_by_a_signal(self):
        for number in (9, 11, 15):
            with self.subTest(number):
                result = self.docker("run", "--rm", "-q", "alpine", "sh", "-c", f"sh -c 'kill -{number} $$'; exit $?")
                self.assertCode(result, 128 + number)

    def test_process_one_killed_from_outside(self):
        self.docker("run", "-d", "--name", "victim", "alpine", "sleep", "1000").check()
        self.docker("kill", "victim").check()
        self.assertEqual(self.docker("wait", "victim").check().line, "137")

    def test_program_that_does_not_exist(self):
        result = self.docker("run", "--name", "box", "alpine", "nosuch", "argument")
        self.assertFails(result, "docker: Error response from daemon: ", 'exec: "nosuch": executable file not found in $PATH', code=127)
        state = self.host.inspect("box")["State"]
        self.assertEqual((state["Status"], state["ExitCode"], state["Running"]), ("created", 127, False))
        self.assertIn("executable file not found", state["Error"])

    def test_path_that_does_not_exist(self):
        self.assertFails(self.docker("run", "--rm", "alpine", "/no/such"), 'exec: "/no/such": stat /no/such: no such file or directory', code=127)

    def test_file_that_is_not_executable(self):
        self.assertFails(self.docker("run", "--rm", "alpine", "/etc/passwd"), 'exec: "/etc/passwd": permission denied', code=126)

    def test_a_folder_is_no_program(self):
        self.assertFails(self.docker("run", "--rm", "alpine", "/tmp"), "permission denied" if self._docker_20() else "is a directory", code=126)

    def _docker_20(self):
        import lab
        return lab.IS_DOCKERD

    def test_refused_by_the_engine(self):
        self.assertCode(self.docker("run", "--rm", "-w", "relative", "alpine", "true"), 125)
        self.assertCode(self.docker("run", "--rm", "--network", "nosuch", "alpine", "true"), 125)

    def test_working_folder_that_is_a_file(self):
        result = self.docker("run", "--rm", "-w", "/etc/passwd", "alpine", "true")
        self.assertIn(result.code, (125, 126, 127))
        self.assertIn("/etc/passwd", result.err)

    def test_nothing_is_left_after_a_failed_start_with_rm(self):
        self.docker("run", "--rm", "--name", "gone", "alpine", "nosuch")
        self.assertEqual(self.docker("ps", "-aq").out, "")

    def test_no_command_at_all(self):
        import io
        import tarfile
        tree = io.BytesIO()
        with tarfile.open(fileobj=tree, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("empty"))
        self.docker("import", "-", "bare", input=tree.getvalue()).check()
        self.addCleanup(self.docker, "rmi", "-f", "bare")
        self.assertFails(self.docker("run", "bare"), "o command specified", code=125)


class DetachedTest(EngineCase):
    def test_prints_the_id_and_returns(self):
        result = self.docker("run", "-d", "alpine", "sleep", "1000").check()
        self.assertRegex(result.out, "^[0-9a-f]{64}\n$")
        self.assertTrue(self.host.is_running(result.line))

    def test_rm_removes_it_when_it_ends(self):
        from lab import until
        self.docker("run", "-d", "--rm", "--name", "short", "alpine", "true").check()
        until(lambda: not self.docker("ps", "-aq").out, "the container removes itself")

    def test_rm_removes_it_when_it_is_stopped(self):
        from lab import until
        self.docker("run", "-d", "--rm", "--name", "stopped", "alpine", "sleep", "1000").check()
        self.docker("stop", "-t", "0", "stopped").check()
        until(lambda: not self.docker("ps", "-aq").out, "the container removes itself")

    def test_cidfile(self):
        path = self.host.scratch + "/cid"
        identity = self.docker("run", "-d", "--cidfile", path, "alpine", "true").check().line
        with open(path) as file:
            self.assertEqual(file.read(), identity)


class CrowdTest(EngineCase):
    def test_many_runs_at_once(self):
        for _ in range(3):
            streams = [self.host.stream("run", "--rm", "alpine", "sh", "-c", f"echo out-{i}; echo err-{i} >&2; exit {i}") for i in range(20)]
            for i, stream in enumerate(streams):
                result = stream.finish()
                self.assertEqual((result.code, result.out, result.err), (i, f"out-{i}\n", f"err-{i}\n"))
        self.assertEqual(self.docker("ps", "-aq").out, "")

    def test_many_lives_at_once(self):
        """Everything the CLI does with a container, by ten clients at the same time."""
        script = "docker run -d --name $0 alpine sleep 1000 >/dev/null && docker exec $0 echo in && docker stop -t 0 $0 && docker start $0 && docker restart -t 0 $0 && docker rm -f $0"
        processes = [subprocess.Popen(["sh", "-c", script, f"box{i}"], env=self.host.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for i in range(10)]
        for i, process in enumerate(processes):
            out, _ = process.communicate(timeout=80)
            self.assertEqual((process.returncode, out), (0, "in\n" + f"box{i}\n" * 4))

    def test_names_are_given_once(self):
        streams = [self.host.stream("run", "-d", "--name", "same", "alpine", "sleep", "1000") for _ in range(10)]
        self.assertEqual(sorted(stream.finish().code for stream in streams), [0] + [125] * 9)
        self.assertEqual(len(self.docker("ps", "-aq").lines), 1)

    def test_ports_are_given_once(self):
        streams = [self.host.stream("run", "-d", "-p", "8080:80", "alpine", "sleep", "1000") for _ in range(10)]
        self.assertEqual(sorted(stream.finish().code for stream in streams), [0] + [125] * 9)


class NameTest(EngineCase):
    def test_conflict(self):
        first = self.docker("create", "--name", "taken", "alpine").check().line
        result = self.docker("run", "--name", "taken", "alpine", "true")
        self.assertFails(result, 'docker: Error response from daemon: Conflict. The container name "/taken" is already in use by container '
                         f'"{first}". You have to remove (or rename) that container to be able to reuse that name.', code=125)

    def test_free_again_after_rm(self):
        self.docker("run", "--name", "again", "alpine", "true").check()
        self.docker("rm", "again").check()
        self.docker("run", "--name", "again", "alpine", "true").check()

    def test_given_by_the_engine(self):
        self.docker("create", "alpine").check()
        self.assertRegex(self.docker("ps", "-a", "--format", "{{.Names}}").check().line, "^[a-z]+_[a-z]+[0-9]?$")

    def test_wrong_names(self):
        for name in ("-dash", "a b", "ü", "a/b", "_", "x"):
            with self.subTest(name):
                self.assertFails(self.docker("create", "--name=" + name, "alpine"),
                                 f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")

    def test_a_name_or_the_start_of_an_id_finds_it(self):
        identity = self.docker("create", "--name", "find.me-1", "alpine").check().line
        for key in ("find.me-1", "/find.me-1", identity, identity[:12], identity[:4]):
            with self.subTest(key):
                self.assertEqual(self.host.inspect(key)["Id"], identity)

    def test_an_ambiguous_prefix_is_refused(self):
        seen = {}
        for _ in range(17):  # two of seventeen share their first hex digit
            identity = self.docker("create", "alpine").check().line
            if identity[0] in seen:
                break
            seen[identity[0]] = identity
        response = self.host.api("GET", f"/containers/{identity[0]}/json")
        self.assertEqual(response.status, 400 if not self.host.engine.endswith("dockerd") else response.status)
        self.assertRegex(response.message, "[Mm]ultiple IDs found with provided prefix")


class TerminalTest(EngineCase):
    def test_a_shell(self):
        terminal = self.host.terminal("run", "-it", "--rm", "--name", "shell", "alpine", "sh")
        terminal.send("echo $((6*7)) answers\n")
        terminal.read_until("42 answers")
        terminal.send("tty; echo done-$((1+1))\n")
        self.assertIn("/dev/pts/0", terminal.read_until("done-2"))
        terminal.send("exit 7\n")
        self.assertEqual(terminal.finish().code, 7)

    def test_size_is_the_terminals_and_follows_it(self):
        terminal = self.host.terminal("run", "-it", "--rm", "alpine", "sh", rows=33, columns=101)
        terminal.send("while ! stty size | grep -q '33 101'; do sleep 0.1; done; echo size-$((1+1))\n")
        terminal.read_until("size-2")
        terminal.resize(40, 90)
        os.kill(terminal.process.pid, 28)  # SIGWINCH
        terminal.send("while ! stty size | grep -q '40 90'; do sleep 0.1; done; echo changed-$((1+1))\n")
        terminal.read_until("changed-2")
        terminal.send("exit\n")
        self.assertEqual(terminal.finish().code, 0)

    def test_ctrl_c_reaches_the_program(self):
        terminal = self.host.terminal("run", "-it", "--rm", "alpine", "sh", "-c", "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done")
        terminal.read_until("ready")
        terminal.send("\x03")
        terminal.read_until("caught")
        self.assertEqual(terminal.finish().code, 9)

    def test_detach_keys_leave_it_running(self):
        terminal = self.host.terminal("run", "-it", "--name", "kept", "alpine", "sh")
        terminal.send("echo up-$((1+1))\n")
        terminal.read_until("up-2")
        terminal.send("\x10\x11")
        self.assertEqual(terminal.finish().code, 0)
        self.assertTrue(self.host.is_running("kept"))
        again = self.host.terminal("attach", "kept")
        again.send("echo back-$((2+2))\n")
        again.read_until("back-4")
        again.send("exit 5\n")
        self.assertEqual(again.finish().code, 5)

    def test_end_of_input(self):
        terminal = self.host.terminal("run", "-it", "--rm", "alpine", "cat")
        terminal.send("line\n")
        terminal.read_until("line\r\nline\r\n")
        terminal.send("\x04")
        self.assertEqual(terminal.finish().code, 0)

    def test_t_without_i_prints_terminal_lines(self):
        self.assertEqual(self.docker("run", "-t", "--rm", "alpine", "echo", "x").check().out, "x\r\n")

    def test_stdin_that_is_no_terminal_is_refused_by_the_cli(self):
        self.assertFails(self.docker("run", "-it", "--rm", "alpine", "sh", input="x"), "the input device is not a TTY")

    def test_term_variable_is_set(self):
        self.assertEqual(self.docker("run", "-t", "--rm", "alpine", "sh", "-c", "echo $TERM").check().line, "xterm")


class AttachTest(EngineCase):
    def test_output_from_now_on_and_the_exit_code(self):
        self.docker("run", "-di", "--name", "box", "alpine", "sh", "-c", "read x; echo got $x; echo err >&2; exit 4").check()
        stream = self.host.stream("attach", "box", stdin=True)
        stream.send("word\n")
        stream.read_until("got word\n")
        result = stream.finish()
        self.assertEqual((result.code, result.err), (4, "err\n"))

    def test_end_of_the_clients_input_is_not_the_containers(self):
        """Only a container that was started attached (StdinOnce) sees the end of its client's input."""
        self.docker("run", "-di", "--name", "box", "alpine", "sh", "-c", "while read x; do echo echo-$x; done; echo ended").check()
        for word in ("one", "two"):
            stream = self.host.stream("attach", "box", stdin=True)
            stream.send(word + "\n")
            stream.read_until(f"echo-{word}\n")
            stream.close_input()
        self.assertTrue(self.host.is_running("box"))
        self.assertNotIn("ended", self.docker("logs", "box").out)

    def test_two_at_once_see_the_same(self):
        self.docker("run", "-di", "--name", "box", "alpine", "sh", "-c", "while read x; do echo echo-$x; done").check()
        first, second = self.host.stream("attach", "box", stdin=True), self.host.stream("attach", "--no-stdin", "box")
        from lab import until
        seen = lambda stream: (stream._fill(0.05), b"echo-" in stream.buffers["out"])[1]  # noqa: E731
        until(lambda: (first.send("x\n"), seen(first) and seen(second))[1], "both see the output")

    def test_signals_are_passed_on(self):
        stream = self.host.stream("run", "--name", "box", "alpine", "sh", "-c", "trap 'echo term; exit 8' TERM; echo ready; while :; do sleep 0.1; done")
        stream.read_until("ready")
        stream.process.terminate()
        stream.read_until("term")
        self.assertEqual(stream.finish().code, 8)

    def test_stopped_container(self):
        self.docker("create", "--name", "box", "alpine").check()
        self.assertFails(self.docker("attach", "box"), "cannot attach to a stopped container, start it first")

    def test_a_client_that_vanishes_leaves_the_container_alone(self):
        stream = self.host.stream("run", "--name", "box", "alpine", "sh", "-c", "while :; do echo tick; sleep 0.1; done")
        stream.read_until("tick")
        stream.process.kill()
        stream.process.wait()
        lines = lambda: len(self.docker("logs", "box").lines)  # noqa: E731
        from lab import until
        before = lines()
        until(lambda: lines() > before + 3, "the container goes on writing")
        self.assertTrue(self.host.is_running("box"))


if __name__ == "__main__":
    unittest.main()
