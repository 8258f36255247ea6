#!/usr/bin/env python3
"""Floors: an include may only run down the house (architecture.md), and sockets, threads and big libraries stay in
the rooms made for them. The two tables below are the law; unit tests (*_test.cc) obey it like everything else.

    test/house/floors.py [--root DIR]
"""
import argparse
import glob
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cpp_text  # noqa: E402

# Folder of src/ -> what it may include besides itself. "sys/http" grants that subfolder only; "*" is everything.
_LOW = ["base", "model", "ports"]
_MIDDLE = ["raft", "store", "engine", "image", "network"]
FLOORS = {
    "base": [],
    "model": ["base"],
    "ports": ["base", "model"],
    "raft": _LOW,
    "store": _LOW + ["raft"],
    "engine": _LOW,
    "image": _LOW,
    "network": _LOW,
    "swarm": _LOW + _MIDDLE,
    "dockerfile": _LOW + _MIDDLE,
    "node": _LOW + _MIDDLE + ["swarm", "dockerfile"],
    "build": _LOW + _MIDDLE + ["dockerfile", "node"],
    # sys: raft for the shim, image for the archive formats
    "sys": _LOW + ["raft", "image"],
    "api": _LOW + ["node", "build", "engine", "image", "network", "swarm", "store"],
    "compose": ["base", "model"],
    "unpack": ["base", "image", "dockerfile", "ports", "sys/archive", "sys/disk", "sys/http", "sys/loop", "sys/sandbox", "sys/tls"],
    "slim": [],  # one C file, alone
    "cli": ["base", "model", "compose", "sys"],
    "lab": ["base", "sys", "cli"],
    "daemon": ["*"],
}

# Headers of libraries (regular expressions on what stands between <>) -> the floors that may include them.
_IO = ["sys", "daemon", "unpack", "cli", "lab"]
LIBRARIES = {
    r"boost/asio(\.hpp|/.*)": _IO,
    r"boost/beast(\.hpp|/.*)": _IO,
    r"nghttp2/.*": _IO,
    r"libmnl/.*": _IO,
    r"sqlite3\.h": _IO,
    r"openssl/.*": _IO,
    r"raft\.h|raft/.*": _IO,
    r"sys/socket\.h": _IO,
    r"thread": _IO,
    r"mutex|shared_mutex|condition_variable": _IO,
}


def table_errors(floors):
    """The table itself must name known floors and have no circle (daemon, the top, may see all)."""
    errors = []
    below = {}
    for floor, allowed in floors.items():
        names = [a.split("/")[0] for a in allowed if a != "*"]
        errors += [f"floors.py: {floor} -> {name}: no such floor in the table" for name in names if name not in floors]
        below[floor] = [n for n in names if n in floors and n != floor]

    def visit(floor, trail):
        if floor in trail:
            errors.append("floors.py: the table runs in a circle: " + " -> ".join(trail + [floor]))
            return
        for name in below[floor]:
            visit(name, trail + [floor])

    for floor in floors:
        if not errors:
            visit(floor, [])
    return errors


def allows(floors, floor, target):
    for allowed in [floor] + floors[floor]:
        if allowed == "*" or target == allowed or target.startswith(allowed + "/"):
            return True
    return False


def floor_of(target):
    return target.split("/")[0]


def check_include(root, path, line, form, target):
    """One include: None when it is allowed, else the sentence."""
    floor = floor_of(path[len("src/"):])
    where = f"{path}:{line}"
    if form == "macro":
        return f"{where}: {floor} -> ?: include through a macro cannot be checked: {target}"
    ours = cpp_text.resolve(root, path, form, target)
    plain = os.path.normpath(target).replace(os.sep, "/")
    if ours is None and form == '"':
        if "/" not in plain and cpp_text.is_generated(plain):
            ours = f"{floor}/{plain}"  # generated beside its user
        elif floor_of(plain) in FLOORS and "/" in plain:
            ours = plain  # generated, or not written yet
    if ours is not None:
        if "/" not in ours:
            return f'{where}: {floor} -> src/{ours}: a file in src/ itself stands on no floor'
        if floor_of(ours) not in FLOORS:
            return f'{where}: {floor} -> {floor_of(ours)}: unknown floor in "{target}"'
        if not allows(FLOORS, floor, ours):
            return f'{where}: {floor} -> {arrow_end(floor, ours)}: include of "{target}" is not allowed from {floor}'
        return None
    for pattern, floors in LIBRARIES.items():
        if re.fullmatch(pattern, plain) and floor not in floors:
            return f"{where}: {floor} -> <{target}>: only in {', '.join('src/' + f for f in floors)}"
    if form == '"':
        return f'{where}: {floor} -> ?: cannot place "{target}"; ours: "floor/file.h" from src/, libraries: <...>'
    return None


def arrow_end(floor, ours):
    """sys/nft for a floor that may use parts of sys, plain sys otherwise."""
    parts = ours.split("/")
    partial = any(a.startswith(parts[0] + "/") for a in FLOORS[floor])
    return "/".join(parts[:2]) if partial and len(parts) > 2 else parts[0]


def shadowed(path):
    """src/sys/mount.h would be found instead of <sys/mount.h>, since src/ is on the include path."""
    inside = path[len("src/"):]
    return glob.glob(f"/usr/include/{inside}") + glob.glob(f"/usr/include/*-linux-gnu/{inside}")


_PROTO_IMPORT = re.compile(r'^[ \t]*import[ \t]+(?:public[ \t]+|weak[ \t]+)?"([^"\n]+)"', re.M)


def check(root):
    """Returns (files read, list of errors)."""
    errors = table_errors(FLOORS)
    files = cpp_text.files_under(root, "src", cpp_text.CODE + cpp_text.HEADERS + (".proto",))
    unknown = set()
    for path in files:
        inside = path[len("src/"):]
        if "/" not in inside:
            errors.append(f"{path}:1: a file in src/ itself stands on no floor")
            continue
        if floor_of(inside) not in FLOORS:
            unknown.add(floor_of(inside))
            continue
        for header in shadowed(path):
            errors.append(f"{path}:1: stands before {header} on the include path; put it in a subfolder or rename it")
        text = cpp_text.read(os.path.join(root, path))
        if path.endswith(".proto"):
            shown = cpp_text.blank(text, keep_strings=True)
            found = [(cpp_text.line_of(shown, m.start(1)), '"', m.group(1)) for m in _PROTO_IMPORT.finditer(shown)
                     if not m.group(1).startswith("google/protobuf/")]
        else:
            found = cpp_text.includes(text)
        for line, form, target in found:
            error = check_include(root, path, line, form, target)
            if error:
                errors.append(error)
    errors += [f"src/{name}: unknown floor; add it to FLOORS in test/house/floors.py" for name in sorted(unknown)]
    if not files:
        errors.append("src: no C++ file found, nothing was checked")
    return len(files), errors


def main():
    parser = argparse.ArgumentParser(description="fails on an include that runs up the house")
    parser.add_argument("--root", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    root = os.path.abspath(parser.parse_args().root)
    count, errors = check(root)
    for error in errors:
        print(error)
    print(f"floors: {count} files, {len(errors)} wrong")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
