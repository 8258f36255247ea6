#!/usr/bin/env python3
"""Names: no host of a package registry stands anywhere in the repository (where packages come from is the machine's
business, not ours), and sources are ASCII; docs and tests may be anything.

    test/house/names.py [--root DIR]
"""
import argparse
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cpp_text  # noqa: E402

# Label by label, so that this file does not name them. A host matches with everything below it; "*" is one label.
REGISTRIES = [h.split() for h in (
    # Debian, Ubuntu, Alpine, Fedora, LLVM, Docker's packages
    "deb debian org", "security debian org", "snapshot debian org", "ftp debian org", "ftp * debian org",
    "httpredir debian org", "archive debian org", "archive ubuntu com",
    "security ubuntu com", "ports ubuntu com", "ppa launchpadcontent net", "ppa launchpad net",
    "dl-cdn alpinelinux org", "dl fedoraproject org", "mirrors fedoraproject org", "apt llvm org",
    "download docker com", "packagecloud io", "pkg github com",
    "mirrors tuna tsinghua edu cn", "mirrors aliyun com",
    # JavaScript, and the networks that serve its packages
    "npmjs org", "npmjs com", "npmmirror com", "yarnpkg com", "unpkg com", "jsdelivr net", "cdnjs cloudflare com",
    "esm sh", "skypack dev", "jsr io",
    # Python, Rust, Go, Ruby, Java, PHP, .NET, Perl, C++
    "pypi org", "pypi python org", "pythonhosted org", "conda anaconda org", "crates io", "proxy golang org",
    "sum golang org", "goproxy io", "goproxy cn", "rubygems org", "maven org", "repo maven apache org",
    "packagist org", "nuget org", "cpan org", "center conan io", "conan io",
)]

# Files that may name one, each with its reason beside it.
ALLOWED_FILES = set()

_HOST = re.compile(rb"(?<![\w-])[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")

SOURCES = cpp_text.CODE + cpp_text.HEADERS + (
    ".proto", ".cmake", "CMakeLists.txt", ".py", ".sh", ".ts", ".tsx", ".js", ".mjs", ".css", ".html", ".sql")
FREE_FOLDERS = ("docs/", "test/")  # may hold any Unicode


def registry_of(host):
    """The name on the list that `host` falls under, or None."""
    labels = host.lower().split(".")
    for listed in REGISTRIES:
        tail = labels[-len(listed):]
        if len(tail) == len(listed) and all(want in ("*", have) for want, have in zip(listed, tail)):
            return ".".join(listed)
    return None


def repository_files(root):
    """What git tracks or would add; without a .git, everything."""
    if os.path.exists(os.path.join(root, ".git")):
        listed = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                                check=True, capture_output=True).stdout
        names = sorted({os.fsdecode(n) for n in listed.split(b"\0") if n})
        return [n for n in names if os.path.isfile(os.path.join(root, n))]
    return cpp_text.files_under(root, ".", "")


def is_source(path, content):
    if path.startswith(FREE_FOLDERS) or cpp_text.is_test(path) or path.endswith(".md"):
        return False
    return path.endswith(SOURCES) or content.startswith(b"#!")


def check(root):
    """Returns (files read, host errors, ASCII errors)."""
    hosts = []
    ascii_errors = []
    files = repository_files(root)
    read = 0
    for path in files:
        with open(os.path.join(root, path), "rb") as file:
            content = file.read()
        if b"\0" in content[:8192]:
            continue
        read += 1
        source = is_source(path, content)
        for number, line in enumerate(content.split(b"\n"), 1):
            if path not in ALLOWED_FILES:
                for match in _HOST.finditer(line.replace(b"\\.", b".")):
                    if registry_of(match.group().decode()):
                        hosts.append(f"{path}:{number}: names a package registry: {match.group().decode()}")
            if source and not line.isascii():
                column = next(i for i, byte in enumerate(line, 1) if byte > 127)
                ascii_errors.append(f"{path}:{number}:{column}: not ASCII; write \\u.... in a literal, or words")
    if not read:
        hosts.append("no file found, nothing was checked")
    return read, hosts, ascii_errors


def main():
    parser = argparse.ArgumentParser(description="no package registry is named; sources are ASCII")
    parser.add_argument("--root", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    count, hosts, ascii_errors = check(os.path.abspath(parser.parse_args().root))
    for error in hosts + ascii_errors:
        print(error)
    print(f"names: {count} files, {len(hosts) + len(ascii_errors)} wrong")
    return 1 if hosts or ascii_errors else 0


if __name__ == "__main__":
    sys.exit(main())
