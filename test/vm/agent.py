"""Inside the machine of `run`: does what comes over the virtio port, one command at a time, a newer one ends the one before.

Each request is a JSON line {argv, id, boot}; the answers are {hello} once, {id, out} and {id, code}.
"""

import json
import os
import select
import signal
import subprocess

SHARED = ("build/bin", "test", "scripts", "bench", "examples", "packaging")


def mount(kind, source, target, options):
    os.makedirs(target, exist_ok=True)
    return os.path.ismount(target) or subprocess.run(["mount", "-t", kind, "-o", options, source, target], stderr=subprocess.DEVNULL).returncode == 0


def lay_over(tag, target):
    """The host's folder, which a program here may write over."""
    upper, work = f"/var/lib/panal-vm/{tag}/upper", f"/var/lib/panal-vm/{tag}/work"
    if mount("9p", tag, "/run/host/" + tag, "ro,trans=virtio,version=9p2000.L,msize=512000"):
        os.makedirs(upper, exist_ok=True)
        os.makedirs(work, exist_ok=True)
        mount("overlay", "overlay", target, f"lowerdir=/run/host/{tag},upperdir={upper},workdir={work}")


def bring(source, target):
    """What is new on the host; its folders are shared read-only."""
    for part in SHARED:
        if os.path.exists(f"{source}/{part}"):
            os.makedirs(f"{target}/{part}", exist_ok=True)
            subprocess.run(["cp", "-a", "-u", "-T", f"{source}/{part}", f"{target}/{part}"], check=True)


def start(request):
    bring("/run/host/repo", "/panal")
    lay_over("cache0", "/var/cache/panal-test")
    lay_over("cache1", "/var/cache/panal-demo")
    for name in ("panal", "panald", "panal-unpack", "panal-slim.so"):
        if not os.path.islink("/usr/local/bin/" + name):
            os.symlink("/panal/build/bin/" + name, "/usr/local/bin/" + name)
    with open("/proc/cmdline") as file:
        slow = file.read().rpartition("panal.slow=")[2].strip()
    environment = {"HOME": "/root", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
                   "PANAL_VM_BOOT": str(request["boot"]), "PANAL_E2E_SLOW": slow}
    return subprocess.Popen(request["argv"], cwd="/panal", env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, start_new_session=True)


def main():
    port = os.open("/dev/virtio-ports/panal", os.O_RDWR)

    def answer(**words):
        data = json.dumps(words).encode() + b"\n"
        while data:
            data = data[os.write(port, data):]
    answer(hello=True)
    process, current, data = None, None, b""
    while True:
        ready = select.select([port] + ([process.stdout] if process else []), [], [], 0.5)[0]
        if process and process.stdout in ready:
            text = os.read(process.stdout.fileno(), 65536)
            if text:
                answer(id=current, out=text.decode("latin-1"))
        if process and process.poll() is not None and not (process.stdout in ready and text):
            answer(id=current, code=process.returncode if process.returncode >= 0 else 128 - process.returncode)
            process = None
        if port not in ready:
            continue
        chunk = os.read(port, 65536)
        if not chunk:  # nobody listens
            select.select([], [], [], 0.2)
        *lines, data = (data + chunk).split(b"\n")
        for line in lines:
            if process:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            request = json.loads(line)
            current = request["id"]
            try:
                process = start(request)
            except (OSError, subprocess.CalledProcessError) as error:
                answer(id=current, out=f"{error}\n")
                answer(id=current, code=127)
                process = None


main()
