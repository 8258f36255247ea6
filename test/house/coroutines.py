#!/usr/bin/env python3
"""Coroutines: a lambda that is one keeps its captures in the lambda, not in the coroutine. Called where it stands, [this] { ... }(), it is
gone at the first wait. So such a lambda has a name that outlives the call, or captures nothing and takes parameters.

    test/house/coroutines.py [--root DIR]
"""
import argparse
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cpp_text  # noqa: E402

ROOTS = ("src", "test", "bench")
LAMBDA = re.compile(r"\[[^\[\]]+\]\s*(\([^{}]*?\))?\s*(mutable\s*)?->\s*Task<[^{}]*?>\s*\{")


def closing(text, at):
    """The offset after the } that closes the { at `at`."""
    depth = 0
    for offset in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[offset], 0)
        if depth == 0:
            return offset + 1
    return len(text)


def check(root):
    errors = []
    files = [p for folder in ROOTS for p in cpp_text.files_under(root, folder, cpp_text.CODE + cpp_text.HEADERS)]
    for path in files:
        text = cpp_text.blank(cpp_text.read(os.path.join(root, path)))
        for found in LAMBDA.finditer(text):
            if re.match(r"\s*\(", text[closing(text, found.end() - 1):]):
                errors.append(f"{path}:{cpp_text.line_of(text, found.start())}: a coroutine with captures is called where it stands; its captures end at its first wait")
    return len(files), errors


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    _, errors = check(os.path.abspath(parser.parse_args().root))
    print("\n".join(errors) or "ok")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
