"""docker-compose 1.29, as Debian has it, with images that are there: what `../shared/scenarios.md` has as D5."""

import os
import subprocess
import unittest

import lab
import net
from case import EngineCase
from lab import until

COMPOSE = "/usr/bin/docker-compose"


@unittest.skipUnless(os.path.exists(COMPOSE), "docker-compose is not installed")
class ComposeCase(EngineCase):
    images = ("alpine", "hostname", "redis")
    FILE = ""

    def setUp(self):
        super().setUp()
        self.folder = os.path.join(self.host.scratch, "demo")
        os.makedirs(self.folder, exist_ok=True)
        self.write("docker-compose.yml", self.FILE)
        self.addCleanup(self.run_compose, "down", "-v", "-t", "0")

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w") as file:
            file.write(text)

    def run_compose(self, *arguments, input=None):
        done = subprocess.run([COMPOSE, *arguments], cwd=self.folder, env=self.host.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=80,
                              **({"stdin": subprocess.DEVNULL} if input is None else {"input": input}))
        return lab.Result([COMPOSE, *arguments], done.returncode, done.stdout, done.stderr)

    def compose(self, *arguments, **options):
        return self.run_compose(*arguments, **options).check().out

    def follow(self, *arguments):
        process = subprocess.Popen([COMPOSE, "--no-ansi", *arguments], cwd=self.folder, env=self.host.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.host.streams.append(lab.Stream(process, "docker-compose " + " ".join(arguments)))
        return self.host.streams[-1]

    def boxes(self, service):
        return self.docker("ps", "-aq", "--no-trunc", "-f", "label=com.docker.compose.service=" + service).lines

    def state(self, service):
        return self.host.inspect(f"demo_{service}_1")["State"]


class BuildTest(ComposeCase):
    """Images that the file says how to build: `../shared/scenarios.md`, D2 and D5."""
    FILE = """
version: "3.9"
services:
  web:
    build:
      context: .
      dockerfile: Dockerfile
      target: final
      args: {GREETING: hola}
      labels: {team: red}
    image: web:local
    healthcheck:
      interval: 1s
"""
    DOCKERFILE = """FROM alpine AS builder
ARG GREETING
WORKDIR /src
COPY . .
RUN cat part > /built && echo $GREETING >> /built && ls -A > /names
FROM alpine AS final
RUN echo app:x:1000:1000::/:/bin/sh >> /etc/passwd
COPY --from=builder --chown=1000 /built /names /app/
USER app
HEALTHCHECK --interval=1s CMD test -e /app/built
CMD ["sleep", "1000"]
"""

    def setUp(self):
        super().setUp()
        for name, text in {"Dockerfile": self.DOCKERFILE, ".dockerignore": "*.tmp\n.dockerignore\n", "part": "part\n", "left.tmp": ""}.items():
            self.write(name, text)
        self.addCleanup(lambda: (self.docker("rmi", "-f", "web:local"), self.docker("builder", "prune", "-af")))

    def test_up_builds_and_runs(self):
        self.compose("up", "-d", "--build")
        self.assertEqual(self.docker("exec", "demo_web_1", "sh", "-c", "cat /app/built; stat -c %u:%g /app/built; id -u").check().lines, ["part", "hola", "1000:1000", "1000"])
        self.assertEqual(self.docker("exec", "demo_web_1", "cat", "/app/names").check().lines, ["Dockerfile", "docker-compose.yml", "part"])
        self.assertEqual(self.docker("image", "inspect", "-f", "{{.Config.Labels.team}}", "web:local").check().line, "red")
        until(lambda: self.state("web")["Health"]["Status"] == "healthy", "the built-in health check passes")
        before = self.boxes("web")
        self.assertIn("Using cache", self.compose("up", "-d", "--build"))
        self.assertEqual(self.boxes("web"), before, "nothing was built anew, so nothing is replaced")
        self.write("part", "other\n")
        self.compose("up", "-d", "--build")
        self.assertNotEqual(self.boxes("web"), before)
        self.assertEqual(self.docker("exec", "demo_web_1", "head", "-n1", "/app/built").check().line, "other")

    def test_build_without_cache(self):
        self.assertIn("Successfully tagged web:local", self.compose("build"))
        self.assertIn("Using cache", self.compose("build"))
        self.assertNotIn("Using cache", self.compose("build", "--no-cache"))

    def test_a_build_that_fails(self):
        self.write("Dockerfile", "FROM alpine AS final\nRUN exit 4\n")
        done = self.run_compose("up", "-d", "--build")
        self.assertEqual(done.code, 1)
        self.assertIn("returned a non-zero code: 4", done.out + done.err)


class LifeTest(ComposeCase):
    FILE = """
version: "3.9"
services:
  redis:
    image: redis:7-alpine
    command: redis-server --appendonly yes --protected-mode no
    volumes: ["data:/data"]
    healthcheck:
      test: ["CMD", "redis-cli", "ping"]
      interval: 1s
      timeout: 3s
      retries: 10
  web:
    image: hostname:latest
    ports: ["8080:3000"]
    depends_on:
      redis:
        condition: service_healthy
  worker:
    image: alpine
    command: ["sh", "-c", "trap exit TERM; echo worker $$HOSTNAME with $NAME and $$FROM_ENV_FILE; ls /shared; touch /shared/x || echo read-only; while :; do sleep 0.1; done"]
    env_file: [worker.env]
    environment:
      - NAME=${NAME}
      - LEVEL=${LEVEL:-low}
    volumes: ["./shared:/shared:ro"]
    restart: unless-stopped
    depends_on: [redis]
volumes:
  data:
"""

    def setUp(self):
        super().setUp()
        self.write(".env", "NAME=from-dot-env\n")
        self.write("worker.env", "FROM_ENV_FILE=file\n")
        os.makedirs(os.path.join(self.folder, "shared"), exist_ok=True)
        self.write("shared/picture", "x")

    def test_up_waits_for_health_and_everything_is_there(self):
        self.compose("up", "-d")
        self.assertEqual(self.state("redis")["Health"]["Status"], "healthy")
        redis, web = self.host.inspect("demo_redis_1"), self.host.inspect("demo_web_1")
        self.assertLess(redis["State"]["Health"]["Log"][0]["Start"], web["State"]["StartedAt"], "web starts after redis is healthy")
        table = self.compose("ps")
        self.assertRegex(table, r"demo_redis_1 .*Up \(healthy\)")
        self.assertRegex(table, r"demo_web_1 .*Up +0\.0\.0\.0:8080->3000/tcp")
        self.assertEqual(self.compose("exec", "-T", "redis", "redis-cli", "ping"), "PONG\n")
        self.assertIn("Saludos desde", self.compose("exec", "-T", "redis", "wget", "-q", "-O-", "http://web:3000/"))
        self.assertIn("Saludos desde", net.get_when_up(self.host, lab.HOST_ADDRESS, 8080))
        self.assertEqual(self.compose("port", "web", "3000"), "0.0.0.0:8080\n")
        self.host.wait_logs("demo_worker_1", "read-only")
        logs = self.compose("--no-ansi", "logs", "worker")
        self.assertRegex(logs, r"worker_1 +\| worker \w+ with from-dot-env and file\n")
        self.assertRegex(logs, r"worker_1 +\| picture\n")
        self.assertIn("read-only", logs)
        self.assertEqual(self.compose("exec", "-T", "worker", "sh", "-c", "echo $LEVEL"), "low\n")
        self.assertEqual(self.docker("volume", "ls", "-q").lines, ["demo_data"])
        self.assertIn("demo_default", self.docker("network", "ls", "--format", "{{.Name}}").lines)
        self.assertIn("redis-server", self.compose("top", "redis"))
        self.assertRegex(self.compose("images"), r"demo_redis_1 +redis +7-alpine")

    def test_logs_follow_all_and_one(self):
        self.compose("up", "-d")
        one = self.follow("logs", "-f", "--tail", "1", "worker")
        one.read_until("worker_1")
        every = self.follow("logs", "-f")
        texts = (b"Ready to accept connections", b"Server listening on port 3000!", b"with from-dot-env")
        until(lambda: every._fill(0.2) or all(text in every.buffers["out"] for text in texts), "output of all three")
        self.compose("stop", "-t", "2")
        self.assertEqual(every.finish().code, 0, "following ends when all have ended")

    def test_scale_stop_start_restart(self):
        self.compose("up", "-d", "--scale", "worker=4")
        self.assertEqual(len(self.boxes("worker")), 4)
        self.assertEqual(sorted(self.docker("ps", "-f", "label=com.docker.compose.service=worker", "--format", "{{.Names}}").lines), [f"demo_worker_{i}" for i in range(1, 5)])
        self.assertEqual(len(set(self.compose("--no-ansi", "logs", "worker").count(f"worker_{i}") for i in range(1, 5))), 1)
        self.compose("up", "-d", "--scale", "worker=2")
        self.assertEqual(len(self.boxes("worker")), 2)
        before = self.host.inspect("demo_redis_1")["State"]["StartedAt"]
        self.compose("exec", "-T", "redis", "redis-cli", "set", "key", "kept")
        self.compose("restart", "-t", "3", "redis")
        self.assertNotEqual(self.host.inspect("demo_redis_1")["State"]["StartedAt"], before)
        self.compose("stop", "-t", "3")
        self.assertRegex(self.compose("ps"), r"demo_web_1 .*Exit \d+")
        self.assertEqual(self.docker("ps", "-q").out, "")
        self.compose("start")
        self.assertTrue(self.state("web")["Running"])
        until(lambda: self.run_compose("exec", "-T", "redis", "redis-cli", "get", "key").out == "kept\n", "the data is there again")
        self.compose("pause", "web")
        self.assertIn("Paused", self.compose("ps"))
        self.compose("unpause", "web")
        self.compose("kill", "-s", "SIGKILL", "web")
        self.assertEqual(self.state("web")["ExitCode"], 137)
        self.compose("rm", "-f", "web")
        self.assertEqual(self.boxes("web"), [])

    def test_run_once(self):
        self.compose("up", "-d", "redis")
        self.assertEqual(self.compose("run", "--rm", "worker", "sh", "-c", "echo once $NAME"), "once from-dot-env\n")
        self.assertEqual(self.run_compose("run", "--rm", "worker", "sh", "-c", "exit 7").code, 7)
        self.assertEqual(self.compose("run", "--rm", "-T", "-e", "NAME=other", "worker", "sh", "-c", "cat; echo $NAME", input="typed\n"), "typed\nother\n")
        self.assertEqual(len(self.boxes("worker")), 0)

    def test_run_beside_the_running_one(self):
        """docker-compose links the one-off container to those of its service."""
        self.compose("up", "-d", "redis")
        self.assertEqual(self.compose("run", "--rm", "-T", "redis", "redis-cli", "-h", "redis", "ping"), "PONG\n")
        self.assertEqual(self.compose("run", "--rm", "-T", "redis", "redis-cli", "-h", "redis_1", "ping"), "PONG\n")

    def test_up_again_changes_what_has_changed(self):
        self.compose("up", "-d")
        redis, worker = self.boxes("redis"), self.boxes("worker")
        self.assertIn("demo_web_1 is up-to-date", self.run_compose("up", "-d").check().err)
        self.write(".env", "NAME=changed\n")
        self.compose("up", "-d", "-t", "1")
        self.assertEqual(self.boxes("redis"), redis)
        self.assertNotEqual(self.boxes("worker"), worker)
        self.assertEqual(self.compose("exec", "-T", "worker", "sh", "-c", "echo $NAME"), "changed\n")
        self.compose("up", "-d", "--force-recreate", "-t", "1", "redis")
        self.assertNotEqual(self.boxes("redis"), redis)

    def test_down_leaves_nothing_but_the_volume_unless_asked(self):
        self.compose("up", "-d")
        self.compose("exec", "-T", "redis", "redis-cli", "set", "key", "kept")
        self.compose("down", "-t", "3")
        self.assertEqual(self.docker("ps", "-aq").out, "")
        self.assertNotIn("demo_default", self.docker("network", "ls").out)
        self.assertEqual(self.docker("volume", "ls", "-q").lines, ["demo_data"])
        self.compose("up", "-d", "redis")
        until(lambda: self.run_compose("exec", "-T", "redis", "redis-cli", "get", "key").out == "kept\n", "the volume had it")
        self.compose("down", "-v", "-t", "3")
        self.assertEqual(self.docker("ps", "-aq").out + self.docker("volume", "ls", "-q").out, "")

    def test_in_front(self):
        """Without -d: output of all, and the end of one ends the others."""
        self.write("docker-compose.yml", "services:\n  a:\n    image: alpine\n    command: sh -c 'echo from a; sleep 0.5; exit 5'\n  b:\n    image: alpine\n    command: sh -c 'echo from b; trap exit TERM; while :; do sleep 0.1; done'\n")
        result = self.run_compose("--no-ansi", "up", "--abort-on-container-exit", "--exit-code-from", "a", "-t", "2")
        self.assertEqual(result.code, 5)
        for text in ("a_1  | from a", "b_1  | from b", "demo_a_1 exited with code 5"):
            self.assertIn(text, result.out)


class FailureTest(ComposeCase):
    def test_unknown_image(self):
        self.write("docker-compose.yml", "services:\n  a:\n    image: nowhere.invalid/nothing:1\n")
        result = self.run_compose("up", "-d")
        self.assertEqual(result.code, 1)
        self.assertIn("nowhere.invalid/nothing", result.err + result.out)
        self.assertEqual(self.docker("ps", "-aq").out, "")

    def test_unhealthy_dependency(self):
        self.write("docker-compose.yml", """
services:
  sick:
    image: alpine
    command: sleep 1000
    healthcheck: {test: ["CMD", "false"], interval: 200ms, retries: 2, timeout: 1s}
  waits:
    image: alpine
    command: sleep 1000
    depends_on: {sick: {condition: service_healthy}}
""")
        result = self.run_compose("up", "-d")
        self.assertEqual(result.code, 1)
        self.assertIn('for waits  Container "', result.err)
        self.assertIn("is unhealthy", result.err)
        self.assertEqual(self.boxes("waits"), [])

    def test_port_taken_and_program_missing(self):
        self.docker("run", "-d", "--name", "holder", "-p", "8081:80", "alpine", "sleep", "1000").check()
        self.write("docker-compose.yml", "services:\n  a:\n    image: alpine\n    command: sleep 1000\n    ports: ['8081:80']\n")
        result = self.run_compose("up", "-d")
        self.assertEqual(result.code, 1)
        self.assertIn("port is already allocated", result.err)
        self.write("docker-compose.yml", "services:\n  a:\n    image: alpine\n    command: no-such-program\n")
        result = self.run_compose("up", "-d")
        self.assertEqual(result.code, 1)
        self.assertIn("executable file not found in $PATH", result.err)

    def test_a_bind_of_a_volume_that_must_exist(self):
        self.write("docker-compose.yml", "services:\n  a:\n    image: alpine\n    volumes: ['away:/x']\nvolumes:\n  away:\n    external: true\n")
        result = self.run_compose("up", "-d")
        self.assertEqual(result.code, 1)
        self.assertIn("Volume away declared as external, but could not be found", result.err)


class OptionsTest(ComposeCase):
    FILE = """
version: "2.4"
services:
  a:
    image: alpine
    container_name: named
    hostname: inside
    command: sleep 1000
    init: true
    mem_limit: 64m
    cpus: 0.5
    pids_limit: 40
    user: nobody
    working_dir: /tmp
    read_only: true
    tmpfs: ["/scratch:size=1m"]
    shm_size: 8m
    cap_drop: [ALL]
    cap_add: [NET_BIND_SERVICE]
    security_opt: ["no-new-privileges"]
    sysctls: {net.core.somaxconn: 300}
    ulimits: {nofile: {soft: 100, hard: 200}}
    extra_hosts: ["there:192.0.2.9"]
    dns: [192.0.2.100]
    labels: {role: test}
    stop_signal: SIGKILL
    stop_grace_period: 1s
    restart: "on-failure:3"
    logging: {driver: json-file}
    networks:
      front: {aliases: [other-name], ipv4_address: 10.99.1.7}
      back: {}
  b:
    image: alpine
    command: sleep 1000
    network_mode: "service:a"
    depends_on: [a]
networks:
  front:
    ipam: {config: [{subnet: 10.99.1.0/24, gateway: 10.99.1.1}]}
  back: {internal: true}
"""

    def test_each_is_honoured(self):
        self.compose("up", "-d")
        box = self.host.inspect("named")
        self.assertEqual(box["HostConfig"]["RestartPolicy"], {"Name": "on-failure", "MaximumRetryCount": 3})
        self.assertEqual(box["NetworkSettings"]["Networks"]["demo_front"]["IPAddress"], "10.99.1.7")
        self.assertEqual(set(box["NetworkSettings"]["Networks"]), {"demo_front", "demo_back"})
        self.assertEqual((box["HostConfig"]["Memory"], box["HostConfig"]["NanoCpus"], box["Config"]["StopSignal"], box["Config"]["Labels"]["role"]), (64 << 20, 500_000_000, "SIGKILL", "test"))
        script = "hostname; whoami; pwd; ulimit -n; cat /proc/sys/net/core/somaxconn; grep there /etc/hosts | cut -f1; touch /x 2>/dev/null || echo ro; df -k /dev/shm /scratch | awk '{print $2}' | tail -2"
        self.assertEqual(self.compose("exec", "-T", "a", "sh", "-c", script).split(), ["inside", "nobody", "/tmp", "100", "300", "192.0.2.9", "ro", "8192", "1024"])
        self.assertEqual(self.compose("exec", "-T", "b", "ip", "-o", "addr", "show", "eth0"), self.compose("exec", "-T", "a", "ip", "-o", "addr", "show", "eth0"))
        self.assertIn("10.99.1.7", self.docker("run", "--rm", "--network", "demo_front", "alpine", "nslookup", "other-name").out)


if __name__ == "__main__":
    unittest.main()
