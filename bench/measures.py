"""What is measured. Each function takes the two engines (Docker first) and the number of rounds, and returns its rows.

Rounds alternate between the engines, and every other round begins with the other one, so that a machine that is slower for a
while is so for both. Times are of the wall, medians are shown. All traffic stays inside the test hosts.
"""

import io
import os
import re
import subprocess
import tarfile
import tempfile
import threading
import time

import lab
from archive import NAME as BIG, big_archive
from engines import Failed, NotYet
from table import Cell, Goal, Row

PARALLEL, REPLICAS, MEMORY_CONTAINERS = 50, 20, 10
PORT, MESH_PORT, HOST_MODE_PORT, REGISTRY_PORT = 18080, 18081, 18082, 5000
WRK_SECONDS, WRK_CONNECTIONS = 4, 32
SETTLE_SECONDS = 0.4


def interleave(engines, rounds, measure):
    """One Cell for each engine. measure(engine) returns a number, or raises for an engine that cannot. What an engine leaves to do
    after its answer (namespaces and cgroups that the kernel takes down later) is over before the other one is measured."""
    cells = {engine.name: Cell() for engine in engines}
    for round_number in range(rounds):
        for engine in engines if round_number % 2 == 0 else engines[::-1]:
            cell = cells[engine.name]
            if cell.word:
                continue
            time.sleep(SETTLE_SECONDS)
            try:
                cell.samples.append(measure(engine))
            except NotYet as error:
                cell.word, cell.note, cell.samples = "not yet", str(error), []
            except (Failed, AssertionError, OSError) as error:
                cell.word, cell.note, cell.samples = "failed", " ".join(str(error).split())[:300], []
    return [cells[engine.name] for engine in engines]


def pair_of(samples):
    """Two lists of cells from cells whose samples are pairs."""
    return [[Cell([sample[index] for sample in cell.samples], cell.word, cell.note if index == 0 else "") for cell in samples] for index in (0, 1)]


def timed(action, *arguments, **options):
    begin = time.monotonic()
    action(*arguments, **options)
    return time.monotonic() - begin


def wait_for(condition, what, seconds=60):
    """Polls each 5 ms; the seconds it took."""
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > seconds:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(0.005)
    return time.monotonic() - begin


# --- one container
def commands(engines, rounds):
    """The stock CLI, as a person calls it; the CLI's own time is in it, and shown by itself."""
    def row(what, goal, *arguments):
        for engine in engines:
            for _ in range(2):
                engine.docker(*arguments)  # warm: page cache, first use of a network
        return Row(what, "ms", *interleave(engines, rounds, lambda engine: timed(engine.must, *arguments)), goal)

    rows = [row("docker run --rm alpine true, bridge", Goal("under 50 ms where Docker takes 211", 0.050, 50 / 211), "run", "--rm", "alpine", "true"),
            row("docker run --rm --network none alpine true", Goal("under 40 ms where Docker takes 156", 0.040, 40 / 156), "run", "--rm", "--network", "none", "alpine", "true")]
    for engine in engines:
        engine.must("run", "-d", "--name", "target", "alpine", "sleep", "900")
    rows.append(row("docker exec ... true", Goal("under half of Docker's", of_docker=0.5), "exec", "target", "true"))
    rows.append(row("docker ps (mostly the CLI itself)", None, "ps", "-q"))
    for engine in engines:
        engine.remove_containers()
    return rows


CONTAINER = {"Image": "alpine", "Cmd": ["true"]}
PHASES = ("create", "start", "ended", "removed")


def run_by_api(engine):
    """The seconds of each phase of a container's life, without any client program."""
    marks = [time.monotonic()]
    identity = engine.call("POST", "/containers/create", CONTAINER)["Id"]
    marks.append(time.monotonic())
    engine.call("POST", f"/containers/{identity}/start")
    marks.append(time.monotonic())
    engine.call("POST", f"/containers/{identity}/wait")
    marks.append(time.monotonic())
    engine.call("DELETE", f"/containers/{identity}?force=1")
    marks.append(time.monotonic())
    return [later - earlier for earlier, later in zip(marks, marks[1:])]


def phases(engines, rounds):
    cells = interleave(engines, rounds, run_by_api)
    def part(pick):
        return [Cell([pick(sample) for sample in cell.samples], cell.word) for cell in cells]
    rows = [Row("the same by the API alone, bridge", "ms", *part(sum))]
    rows[0].docker.note, rows[0].panal.note = cells[0].note, cells[1].note
    return rows + [Row(f"   of it: {name}", "ms", *part(lambda sample, at=at: sample[at])) for at, name in enumerate(PHASES)]


# --- memory
def idle_memory(engines, title, goal=None):
    time.sleep(2)  # background work after the last command is over
    resident, proportional = pair_of(interleave(engines, 1, lambda engine: engine.memory()))
    return [Row(f"resident memory, {title}", "MB", *resident, goal), Row(f"   proportional (PSS), {title}", "MB", *proportional)]


def container_memory(engines, _):
    """What a running container costs beside its own processes: its shim or monitor, and what the daemon grows by."""
    def measure(engine):
        before, daemons = engine.memory(), set(engine.processes())
        for _ in range(MEMORY_CONTAINERS):
            engine.must("run", "-d", "alpine", "sleep", "900")
        time.sleep(1)
        helpers = engine.memory([pid for pid in engine.processes() if pid not in daemons])
        after = engine.memory()
        engine.remove_containers()
        return [value / MEMORY_CONTAINERS for value in (*helpers, after[0] - before[0])]

    cells = interleave(engines, 1, measure)
    def part(at):
        return [Cell([sample[at] for sample in cell.samples], cell.word, cell.note if at == 2 else "") for cell in cells]
    return [Row("per running container, all of the engine (RSS)", "MB", *part(2), Goal("under 1.5 MB", 1.5e6)),
            Row("   its shim or conmon alone (RSS)", "MB", *part(0)),
            Row("   its shim or conmon alone (PSS)", "MB", *part(1))]


# --- many
def in_parallel(count, action):
    """action(index) in `count` threads let loose together; the seconds until the last ended."""
    barrier, errors = threading.Barrier(count + 1), []

    def body(index):
        barrier.wait()
        try:
            action(index)
        except Exception as error:  # shown by the caller's thread
            errors.append(error)

    threads = [threading.Thread(target=body, args=(index,), daemon=True) for index in range(count)]
    for thread in threads:
        thread.start()
    barrier.wait()
    begin = time.monotonic()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - begin
    if errors:
        raise Failed(f"{len(errors)} of {count} failed: {errors[0]}")
    return seconds


def parallel_by_api(engine):
    """(started, removed)"""
    body = {"Image": "alpine", "Cmd": ["sleep", "900"]}
    made = [None] * PARALLEL

    def start(index):
        made[index] = engine.call("POST", "/containers/create", body, 120)["Id"]
        engine.call("POST", f"/containers/{made[index]}/start", timeout=120)

    try:
        started = in_parallel(PARALLEL, start)
        running = len(engine.call("GET", "/containers/json"))
        if running != PARALLEL:
            raise Failed(f"{running} of {PARALLEL} run")
        return started, in_parallel(PARALLEL, lambda index: engine.call("DELETE", f"/containers/{made[index]}?force=1", timeout=120))
    finally:
        engine.remove_containers()


def parallel_by_cli(engine):
    command = [lab.DOCKER, "run", "-d", "alpine", "sleep", "900"]
    begin = time.monotonic()
    running = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=engine.environment())
               for _ in range(PARALLEL)]
    try:
        errors = [process.communicate(timeout=120)[1] for process in running]
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
            process.wait()
    seconds = time.monotonic() - begin
    engine.remove_containers()
    if any(process.returncode for process in running):
        raise Failed("some did not start: " + max(errors).decode(errors="replace"))
    return seconds


def parallel(engines, rounds):
    rounds = max(1, min(3, rounds))
    started, removed = pair_of(interleave(engines, rounds, parallel_by_api))
    return [Row(f"{PARALLEL} containers started in parallel, API", "s", *started, Goal("under a quarter of Docker's", of_docker=0.25)),
            Row(f"   the {PARALLEL} removed in parallel (force)", "s", *removed),
            Row(f"   started by {PARALLEL} docker run -d at once", "s", *interleave(engines, rounds, parallel_by_cli))]


# --- images
def load_once(engine, path):
    """(until the command returned, until all of it was on the disk)"""
    engine.docker("image", "rm", "-f", BIG)
    os.sync()
    begin = time.monotonic()
    engine.must("load", "-q", "-i", path, timeout=240)
    loaded = time.monotonic() - begin
    os.sync()
    return loaded, time.monotonic() - begin


def load(engines, rounds):
    path = big_archive()
    with open(path, "rb") as file:
        while file.read(1 << 22):
            pass  # into the page cache, for both
    loaded, synced = pair_of(interleave(engines, max(1, min(3, rounds)), lambda engine: load_once(engine, path)))
    size = os.path.getsize(path) / 1e6
    return [Row(f"docker load of a {size:.0f} MB image", "s", *loaded, Goal("no slower", of_docker=1.0)),
            Row("   and until it is on the disk (sync)", "s", *synced)]


REGISTRY_CONFIG = """version: 0.1
storage: {filesystem: {rootdirectory: %s}}
http: {addr: "127.0.0.1:%d"}
log: {level: error}
"""


def start_registry(engine, storage):
    config = os.path.join(engine.scratch, "registry.yml")
    with open(config, "w") as file:
        file.write(REGISTRY_CONFIG % (storage, REGISTRY_PORT))
    pid = engine.spawn(["/usr/bin/docker-registry", "serve", config], engine.scratch + "/registry.log")
    ask = ["curl", "-sf", "-m", "2", f"http://127.0.0.1:{REGISTRY_PORT}/v2/"]
    wait_for(lambda: engine.run_in(*ask).code == 0, "the registry answers", 20)
    return pid


def pull(engines, _):
    """One registry per host, on its loopback, over the same storage; Docker has put the image there."""
    title, goal = "docker pull of it, registry on loopback", Goal("no slower", of_docker=1.0)
    if not os.access("/usr/bin/docker-registry", os.X_OK):
        return [Row(title, "s", *[Cell(word="no docker-registry here") for _ in engines], goal)]
    reference = f"localhost:{REGISTRY_PORT}/{BIG}:latest"
    storage = os.path.join(engines[0].scratch, "registry")

    def measure(engine):
        for name in (reference, BIG):
            engine.docker("image", "rm", "-f", name)
        os.sync()
        return timed(engine.must, "pull", "-q", reference, timeout=240)

    cells, registries = [Cell(word="failed") for _ in engines], []
    try:
        for engine in engines:
            registries.append((engine, start_registry(engine, storage)))
        engines[0].must("load", "-q", "-i", big_archive(), timeout=240)
        engines[0].must("tag", BIG, reference)
        engines[0].must("push", "-q", reference, timeout=240)
        cells = interleave(engines, 2, measure)
    except (Failed, NotYet, AssertionError) as error:
        cells[0].note = str(error)[:300]
    for engine, registry in registries:
        engine.end(registry)
    return [Row(title, "s", *cells, goal)]


# --- network
def wrk(engine, port, connections, seconds):
    """(requests per second, seconds of a median round trip) from the client on the host's own wire."""
    command = ["wrk", "--latency", "-t1", f"-c{connections}", f"-d{seconds}s", f"http://{lab.HOST_ADDRESS}:{port}/"]
    done = engine.run_in(*command, netns="client", timeout=seconds + 20)
    rate = re.search(r"^Requests/sec:\s+([\d.]+)", done.out, re.M)
    median = re.search(r"^\s+50%\s+([\d.]+)(us|ms|s)", done.out, re.M)
    if done.code != 0 or not rate or not median or float(rate[1]) == 0:
        raise Failed(f"wrk: {(done.err or done.out).strip()[-200:]}")
    errors = re.search(r"Socket errors: (.*)|Non-2xx.*: (\d+)", done.out)
    if errors:
        raise Failed(f"wrk: {errors[0]}")
    return float(rate[1]), float(median[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[median[2]]


def answers(engine, port):
    ask = ["curl", "-sf", "-m", "1", "-o", "/dev/null", f"http://{lab.HOST_ADDRESS}:{port}/"]
    return engine.run_in(*ask, netns="client").code == 0


def requests(engines, rounds, port, title):
    seconds = WRK_SECONDS if rounds > 3 else 2
    rounds = max(1, min(3, rounds))
    rates = interleave(engines, rounds, lambda engine: wrk(engine, port, WRK_CONNECTIONS, seconds)[0])
    trips = interleave(engines, rounds, lambda engine: wrk(engine, port, 1, seconds)[1])
    for cell in trips:
        cell.note = ""
    return [Row(f"requests per second, {title}", "/s", *rates), Row(f"   round trip, one connection, {title}", "us", *trips)]


def published(engines, rounds):
    cells = interleave(engines, 1, lambda engine: (
        engine.must("run", "-d", "-p", f"{PORT}:3000", "hostname"), wait_for(lambda: answers(engine, PORT), "the published port answers", 20))[1])
    rows = requests(engines, rounds, PORT, "docker run -p")
    for engine in engines:
        engine.remove_containers()
    rows[0].docker.note, rows[0].panal.note = (cell.note or row.note for cell, row in zip(cells, (rows[0].docker, rows[0].panal)))
    return rows


# --- builds
DOCKERFILE = """FROM alpine AS make
WORKDIR /src
COPY small /src
RUN echo one > a
RUN cat a a > b
RUN mkdir -p /out/bin && cp b /out/bin/tool
FROM alpine
COPY --from=make /out /usr/local
RUN test -e /usr/local/bin/tool
CMD ["tool"]
"""
CONTEXT_FILES, CONTEXT_BYTES = 20000, 200 << 20


def tar_of(folder):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.add(folder, arcname=".")
    return out.getvalue()


def build_by_api(engine, context):
    answer = engine.api("POST", "/build?t=built", context, headers={"Content-Type": "application/x-tar"})
    if answer.body.count(b"Using cache") != 8:
        raise Failed(f"not all cached: {answer.body[-300:]!r}")


def build(engines, rounds):
    """A ten-step build of two stages without and with its cache, and a context of many files that becomes one layer."""
    with tempfile.TemporaryDirectory(prefix="panal-bench-") as folder:
        steps, files = os.path.join(folder, "steps"), os.path.join(folder, "files")
        os.makedirs(steps), os.makedirs(files)
        for path, text in {f"{steps}/Dockerfile": DOCKERFILE, f"{steps}/small": "small\n", f"{files}/Dockerfile": "FROM alpine\nCOPY . /all\n"}.items():
            with open(path, "w") as file:
                file.write(text)
        content = os.urandom(CONTEXT_BYTES // CONTEXT_FILES)
        for number in range(CONTEXT_FILES):
            path = f"{files}/{number // 200}"
            os.makedirs(path, exist_ok=True)
            with open(f"{path}/{number}", "wb") as file:
                file.write(number.to_bytes(4, "big") + content[4:])
        def row(what, goal, count, *arguments):
            measured = interleave(engines, count, lambda engine: timed(engine.must, "build", "-t", "built", *arguments, timeout=120))
            return Row(what, "ms" if count > 3 else "s", *measured, goal)
        for engine in engines:
            engine.docker("build", "-t", "built", steps)  # warm
        rows = [row("docker build, ten steps, no cache", Goal("faster", of_docker=1.0), max(4, rounds // 2), "--no-cache", steps)]
        for engine in engines:
            engine.docker("build", "-t", "built", steps)
        cached = Goal("under a third of Docker's", of_docker=1 / 3)
        rows.append(row("the same, all cached", cached, max(4, rounds), steps))
        context = tar_of(steps)
        for engine in engines:
            engine.api("POST", "/build", context, headers={"Content-Type": "application/x-tar"})  # warm
        cells = interleave(engines, max(4, rounds), lambda engine: timed(build_by_api, engine, context))
        rows.append(Row("   of it without the CLI: the API alone", "ms", *cells, cached))
        rows.append(row(f"docker build, COPY of a context of {CONTEXT_BYTES >> 20} MB in {CONTEXT_FILES} files", Goal("faster", of_docker=1.0), min(3, rounds), "--no-cache", files))
    for engine in engines:
        engine.docker("rmi", "-f", "built")
    return rows


# --- swarm
def tasks(engine, service):
    return engine.call("GET", '/tasks?filters={"service":{"%s":true},"desired-state":{"running":true}}' % service)


def service_once(engine):
    """(20 replicas from the create call to all running, from the remove call to all gone)"""
    create = ["service", "create", "-q", "--detach", "--no-resolve-image", "--name", "twenty", "--replicas", str(REPLICAS)]
    begin = time.monotonic()
    engine.must(*create, "hostname")  # it ends on SIGTERM: the removal measures the engine, not its grace period
    try:
        wait_for(lambda: sum(task["Status"]["State"] == "running" for task in tasks(engine, "twenty")) == REPLICAS, "all replicas run", 120)
        created = time.monotonic() - begin
    finally:
        time.sleep(2)  # a signal to a program that has not asked for it yet waits for the grace period's end
        begin = time.monotonic()
        engine.docker("service", "rm", "twenty")
        wait_for(lambda: not engine.call("GET", "/containers/json?all=1"), "the service's containers are gone", 120)
    return created, time.monotonic() - begin


def swarm_init(engine):
    engine.call("POST", "/swarm/init", {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": lab.HOST_ADDRESS})
    return 0.0


def mesh_service(engine, name, publish, port):
    engine.must("service", "create", "-q", "--detach", "--no-resolve-image", "--name", name, "--publish", publish, "hostname")
    try:
        return wait_for(lambda: answers(engine, port), "the service's port answers", 20)
    except Failed:
        if engine.name == "docker" and not os.path.exists("/proc/net/ip_vs"):
            raise Failed("Docker's mesh needs IPVS, which this kernel does not have") from None
        raise


def swarm(engines, rounds):
    initialised = interleave(engines, 1, swarm_init)
    services = [engine for engine, cell in zip(engines, initialised) if not cell.word]

    def both(measure, count):
        """Cells for both engines; the ones without a swarm keep their word."""
        measured = dict(zip([engine.name for engine in services], interleave(services, count, measure)))
        return [measured.get(engine.name) or Cell(word=cell.word, note=cell.note) for engine, cell in zip(engines, initialised)]

    created, removed = pair_of(both(service_once, max(1, min(3, rounds))))
    rows = [Row(f"service of {REPLICAS} replicas, created to running", "s", *created, Goal("under a quarter of Docker's", of_docker=0.25)),
            Row(f"   the {REPLICAS} removed", "s", *removed)]
    for name, publish, port, title in (
            ("mesh", f"published={MESH_PORT},target=3000", MESH_PORT, "routing mesh"),
            ("direct", f"published={HOST_MODE_PORT},target=3000,mode=host", HOST_MODE_PORT, "mode=host")):
        up = both(lambda engine, n=name, p=publish, q=port: mesh_service(engine, n, p, q), 1)
        working = [engine for engine, cell in zip(engines, up) if not cell.word]
        measured = requests(working, rounds, port, title) if len(working) == 2 else alone(working, rounds, port, title)
        for row in measured:
            for engine, cell, side in zip(engines, up, ("docker", "panal")):
                if cell.word:
                    setattr(row, side, Cell(word=cell.word, note=cell.note if row is measured[0] and cell.word != "not yet" else ""))
        rows += measured
    return rows


def alone(working, rounds, port, title):
    """requests() where not both engines have the thing."""
    idle = Cell(word="-")
    if not working:
        return [Row(f"requests per second, {title}", "/s", idle, idle), Row(f"   round trip, one connection, {title}", "us", idle, idle)]
    rows = requests(working * 2, rounds, port, title)
    return [Row(row.what, row.unit, row.docker, row.docker) for row in rows]
