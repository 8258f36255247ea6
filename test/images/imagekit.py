"""Layers and image archives (`docker save` format), byte for byte the same from the same inputs.

Owns: the file tree of a layer, its tar, the image configuration, the archive around them, and the collecting of
files from Debian packages with the shared libraries their programs need. Standard library only.
Never reads the clock: every time in an archive is EPOCH.
"""

import hashlib
import io
import json
import os
import re
import stat
import subprocess
import tarfile
from dataclasses import dataclass, field

EPOCH = 1704067200  # 2024-01-01T00:00:00Z
CREATED = "2024-01-01T00:00:00Z"
ARCH = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}.get(os.uname().machine, os.uname().machine)
CACHE = os.environ.get("PANAL_TEST_CACHE", "/var/cache/panal-test")


class KitError(Exception):
    pass


@dataclass
class Entry:
    kind: str  # dir, file, symlink, hardlink, fifo, char
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    data: bytes = b""
    source: str = ""  # a file of this machine, read when the tar is written
    target: str = ""  # of a symlink or hard link
    device: tuple = (0, 0)
    pax: dict = field(default_factory=dict)


class Layer:
    """One file tree. Paths are absolute, as in the container. Parents appear by themselves."""

    def __init__(self, created_by="", tar_format=tarfile.PAX_FORMAT):
        self.entries = {}
        self.created_by = created_by
        self.tar_format = tar_format
        self.sources = set()  # files of this machine that decide the content

    def _put(self, path, entry):
        path = "/" + path.strip("/")
        parent = os.path.dirname(path)
        if parent != "/" and parent not in self.entries:
            self._put(parent, Entry("dir"))
        self.entries[path] = entry
        return self

    def dir(self, path, mode=0o755, uid=0, gid=0):
        return self._put(path, Entry("dir", mode, uid, gid))

    def file(self, path, data, mode=0o644, uid=0, gid=0, pax=None):
        data = data.encode() if isinstance(data, str) else data
        return self._put(path, Entry("file", mode, uid, gid, data=data, pax=pax or {}))

    def copy(self, source, path, mode=None, uid=0, gid=0):
        if mode is None:
            mode = stat.S_IMODE(os.stat(source).st_mode)
        self.sources.add(source)
        return self._put(path, Entry("file", mode, uid, gid, source=source))

    def symlink(self, path, target, uid=0, gid=0):
        return self._put(path, Entry("symlink", 0o777, uid, gid, target=target))

    def hardlink(self, path, target):
        return self._put(path, Entry("hardlink", 0o755, target=target.lstrip("/")))

    def fifo(self, path, mode=0o644):
        return self._put(path, Entry("fifo", mode))

    def char(self, path, major, minor, mode=0o666):
        return self._put(path, Entry("char", mode, device=(major, minor)))

    def whiteout(self, path):
        """The file `path` of the layers below is gone."""
        head, tail = os.path.split("/" + path.strip("/"))
        return self._put(f"{head}/.wh.{tail}", Entry("file", 0o600))

    def opaque(self, path):
        """What the layers below have in the folder `path` is gone."""
        return self._put(f"{path.rstrip('/')}/.wh..wh..opq", Entry("file", 0o600))

    def copy_tree(self, source, path):
        for folder, _, names in sorted(os.walk(source)):
            at = os.path.normpath(os.path.join(path, os.path.relpath(folder, source)))
            self.dir(at)
            for name in sorted(names):
                full = os.path.join(folder, name)
                if os.path.islink(full):
                    self.symlink(os.path.join(at, name), os.readlink(full))
                else:
                    self.copy(full, os.path.join(at, name))
        return self

    def program(self, source, path=None):
        """A program or library with every shared library it needs, each at the path the loader looks for it."""
        path = path or source
        self.copy(os.path.realpath(source), path)
        for library in shared_libraries(source):
            if library not in self.entries:
                self.copy(os.path.realpath(library), library, 0o755)
        return self

    def tar(self):
        out = io.BytesIO()
        links_last = sorted(self.entries.items(), key=lambda item: (item[1].kind == "hardlink", item[0]))
        with tarfile.open(fileobj=out, mode="w", format=self.tar_format) as archive:
            for path, entry in links_last:
                info = tarfile.TarInfo(path.lstrip("/"))
                info.mode, info.uid, info.gid, info.mtime = entry.mode, entry.uid, entry.gid, EPOCH
                data = entry.data
                if entry.source:
                    with open(entry.source, "rb") as file:
                        data = file.read()
                info.type = {
                    "dir": tarfile.DIRTYPE, "file": tarfile.REGTYPE, "symlink": tarfile.SYMTYPE,
                    "hardlink": tarfile.LNKTYPE, "fifo": tarfile.FIFOTYPE, "char": tarfile.CHRTYPE,
                }[entry.kind]
                info.linkname = entry.target
                linked = self.entries.get("/" + entry.target) if entry.kind == "hardlink" else None
                if linked:  # one file, so one owner and mode
                    info.mode, info.uid, info.gid = linked.mode, linked.uid, linked.gid
                info.devmajor, info.devminor = entry.device
                info.pax_headers = dict(entry.pax)
                if entry.kind == "file":
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
                else:
                    archive.addfile(info)
        return out.getvalue()


class Image:
    def __init__(self, tags, layers, **config):
        """config: Cmd, Entrypoint, Env, ExposedPorts, Volumes, WorkingDir, User, Labels, StopSignal, Healthcheck."""
        self.tags = tags
        self.layers = layers
        self.config = config

    def sources(self):
        return sorted(set().union(*(layer.sources for layer in self.layers)))

    def save(self, path):
        """Writes the archive: each tar of a layer under its chain's id, the configuration, manifest.json, repositories."""
        tars = [layer.tar() for layer in self.layers]
        diff_ids = ["sha256:" + hashlib.sha256(tar).hexdigest() for tar in tars]
        config = {
            "architecture": ARCH, "os": "linux", "created": CREATED,
            "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], **self.config},
            "history": [{"created": CREATED, "created_by": layer.created_by} for layer in self.layers],
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
        config_json = json.dumps(config, sort_keys=True, separators=(",", ":")).encode()
        config_name = hashlib.sha256(config_json).hexdigest() + ".json"
        members, layer_paths, parent = [], [], ""
        for tar, diff_id in zip(tars, diff_ids):
            layer_id = hashlib.sha256((parent + " " + diff_id).encode()).hexdigest()
            legacy = {"id": layer_id, "created": CREATED, "os": "linux"}
            if parent:
                legacy["parent"] = parent
            members += [(layer_id + "/VERSION", b"1.0"), (layer_id + "/json", json.dumps(legacy).encode()),
                        (layer_id + "/layer.tar", tar)]
            layer_paths.append(layer_id + "/layer.tar")
            parent = layer_id
        manifest = [{"Config": config_name, "RepoTags": self.tags or None, "Layers": layer_paths}]
        repositories = {}
        for tag in self.tags:
            name, _, version = tag.rpartition(":")
            repositories.setdefault(name, {})[version] = parent
        members += [(config_name, config_json), ("manifest.json", json.dumps(manifest).encode()),
                    ("repositories", json.dumps(repositories).encode())]
        partial = f"{path}.{os.getpid()}.partial"
        with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as archive:
            for layer_path in layer_paths:
                folder = tarfile.TarInfo(os.path.dirname(layer_path))
                folder.type, folder.mode, folder.mtime = tarfile.DIRTYPE, 0o755, EPOCH
                archive.addfile(folder)
            for name, data in members:
                info = tarfile.TarInfo(name)
                info.size, info.mode, info.mtime = len(data), 0o644, EPOCH
                archive.addfile(info, io.BytesIO(data))
        os.rename(partial, path)
        return "sha256:" + config_name[:-5]


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    if done.returncode != 0:
        raise KitError(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def is_dynamic_elf(path):
    with open(path, "rb") as file:
        head = file.read(18)
    return head[:4] == b"\x7fELF" and int.from_bytes(head[16:18], "little") in (2, 3)


def shared_libraries(path, search=()):
    """The closure as the loader itself finds it; empty for a static program."""
    if not is_dynamic_elf(path):
        return []
    environment = dict(os.environ, LC_ALL="C")
    if search:
        environment["LD_LIBRARY_PATH"] = ":".join(search)
    done = subprocess.run(["ldd", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    if done.returncode != 0:
        if "not a dynamic executable" in done.stderr + done.stdout or "statically linked" in done.stdout:
            return []
        raise KitError(f"ldd {path}: {done.stderr.strip()}")
    missing = re.findall(r"^\s*(\S+) => not found", done.stdout, re.M)
    if missing:
        raise KitError(f"{path} needs {', '.join(missing)}: not on this machine (install the package that has it)")
    return sorted(set(re.findall(r"(?:=> |^\s+)(/\S+) \(0x", done.stdout, re.M)))


def package_files(package):
    """{path in the package: file on this machine}. An installed package is read where it is, another is downloaded once."""
    listing = subprocess.run(["dpkg", "-L", package], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    status = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", package], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True).stdout
    if listing.returncode == 0 and status == "installed":
        root, paths = "", listing.stdout.split("\n")
    else:
        root = download_package(package)
        paths = ["/" + os.path.relpath(os.path.join(folder, name), root)
                 for folder, _, names in os.walk(root) for name in names]
    files = {path: root + path for path in paths if path and os.path.lexists(root + path)}
    return {path: file for path, file in sorted(files.items()) if os.path.islink(file) or os.path.isfile(file)}


def download_package(package):
    """Unpacks the package of this machine's own Debian source under CACHE; nothing is installed. Returns the folder."""
    version = re.search(r"Candidate: (\S+)", run("apt-cache", "policy", package) or "")
    if not version or version[1] == "(none)":
        raise KitError(f"no Debian package {package} is known here (apt-get update?)")
    folder = os.path.join(CACHE, "debs", f"{package}_{version[1].replace(':', '%3a')}")
    if not os.path.isdir(folder):
        partial = f"{folder}.{os.getpid()}.partial"
        os.makedirs(partial + "/deb")
        run("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", f"{package}={version[1]}", cwd=partial + "/deb")
        for name in os.listdir(partial + "/deb"):
            run("dpkg", "-x", f"{partial}/deb/{name}", partial + "/root")
        try:
            os.rename(partial + "/root", folder)
        except OSError:
            if not os.path.isdir(folder):
                raise
        subprocess.run(["rm", "-rf", partial], check=True)
    return folder


NOT_NEEDED = re.compile(r"^/usr/share/(doc|man|info|locale|lintian|bug|bash-completion|doc-base)(/|$)|^/(etc/init\.d|lib/systemd|usr/lib/systemd)(/|$)")


def add_package(layer, package, only=None):
    """A package's files, without documentation, and what its programs need from other packages."""
    for path, file in package_files(package).items():
        if NOT_NEEDED.search(path) or (only and not re.search(only, path)):
            continue
        if os.path.islink(file):
            target = os.readlink(file)
            if target.startswith("/dev/") or os.path.exists(os.path.realpath(file)) or file != path:
                layer.symlink(path, target)
        elif is_dynamic_elf(file):
            layer.program(file, path)
        else:
            layer.copy(file, path)
    return layer


def up_to_date(path, fingerprint):
    """Whether the archive at `path` was made from the same inputs. fingerprint: what besides files decides the content."""
    try:
        with open(path + ".inputs") as file:
            known = json.load(file)
        return (os.path.exists(path) and known["fingerprint"] == fingerprint
                and all(stamp(source) == value for source, value in known["sources"].items()))
    except (OSError, ValueError, KeyError):
        return False


def remember_inputs(path, fingerprint, sources):
    with open(path + ".inputs", "w") as file:
        json.dump({"fingerprint": fingerprint, "sources": {source: stamp(source) for source in sources}}, file)


def stamp(path):
    info = os.stat(path)
    return [info.st_size, info.st_mtime_ns]


def fingerprint_of(*files_and_texts):
    digest = hashlib.sha256()
    for item in files_and_texts:
        if os.path.isfile(item):
            with open(item, "rb") as file:
                digest.update(file.read())
        else:
            digest.update(item.encode())
        digest.update(b"\0")
    return digest.hexdigest()
