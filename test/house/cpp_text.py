"""Reads C++ text well enough for the house tests: no parser, only what comments, literals and braces need.

Every function keeps offsets and line breaks, so that a position in the result is a position in the file.
"""
import os
import re

CODE = (".cc", ".cpp", ".cxx", ".c")
HEADERS = (".h", ".hpp", ".hh", ".hxx", ".inc", ".ipp")
SKIPPED_FOLDERS = {".git", "node_modules", "__pycache__"}

_RAW = re.compile(r'(?:u8|u|U|L)?R"([^()\\\s]{0,16})\(')


def read(path):
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        return file.read()


def files_under(root, folder, suffixes):
    """Paths relative to root, sorted, of the files below root/folder that end in one of the suffixes."""
    found = []
    for here, folders, names in os.walk(os.path.join(root, folder)):
        folders[:] = sorted(f for f in folders if f not in SKIPPED_FOLDERS)
        for name in names:
            if name.endswith(suffixes):
                found.append(os.path.relpath(os.path.join(here, name), root).replace(os.sep, "/"))
    return sorted(found)


def is_test(path):
    return re.search(r"_test\.\w+$", path) is not None


def is_generated(path):
    return ".pb." in os.path.basename(path)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def _spaces(text):
    return re.sub(r"[^\n]", " ", text)


def blank(text, keep_strings=False):
    """Comments and literals become spaces. With keep_strings ordinary "..." and '...' stay; raw strings never do."""
    out = []
    at = 0
    size = len(text)
    while at < size:
        char = text[at]
        if text.startswith("//", at):
            end = at
            while True:  # a backslash at the end of the line continues the comment
                newline = text.find("\n", end)
                if newline < 0:
                    end = size
                    break
                end = newline
                if not text[at:newline].rstrip("\r").endswith("\\"):
                    break
                end = newline + 1
            out.append(_spaces(text[at:end]))
        elif text.startswith("/*", at):
            end = text.find("*/", at + 2)
            end = size if end < 0 else end + 2
            out.append(_spaces(text[at:end]))
        elif char in "RuUL" and not _joins(text, at) and (raw := _RAW.match(text, at)):
            end = text.find(")" + raw.group(1) + '"', raw.end())
            end = size if end < 0 else end + len(raw.group(1)) + 2
            out.append(_spaces(text[at:end]))
        elif char == '"' or (char == "'" and not _is_separator(text, at)):
            end = at + 1
            while end < size and text[end] not in char + "\n":
                end += 2 if text[end] == "\\" else 1
            end = min(end + 1, size) if end < size and text[end] == char else min(end, size)
            out.append(text[at:end] if keep_strings else _spaces(text[at:end]))
        else:
            end = at + 1
            out.append(char)
        at = end
    return "".join(out)


def _joins(text, at):
    return at > 0 and (text[at - 1].isalnum() or text[at - 1] == "_")


def _is_separator(text, at):
    """The apostrophe of 1'000, as against the one that opens a character literal (also u8'x', L'x')."""
    word = re.search(r"[\w']*$", text[max(0, at - 40):at]).group()
    return word[:1].isdigit()


def blank_directives(text):
    """Preprocessor lines become spaces, and so does every #else branch: braces then balance as in one build."""
    lines = text.split("\n")
    skipped = []  # per open #if: are we in a branch after the first?
    continues = False
    for number, line in enumerate(lines):
        directive = re.match(r"\s*#\s*(\w+)", line) if not continues else None
        if directive:
            word = directive.group(1)
            if word in ("if", "ifdef", "ifndef"):
                skipped.append(False)
            elif word in ("else", "elif", "elifdef", "elifndef") and skipped:
                skipped[-1] = True
            elif word == "endif" and skipped:
                skipped.pop()
        in_directive = continues or directive is not None
        continues = in_directive and line.rstrip("\r").endswith("\\")
        if in_directive or any(skipped):
            lines[number] = " " * len(line)
    return "\n".join(lines)


_INCLUDE = re.compile(r"^[ \t]*#[ \t]*(?:include|include_next|import)\b[ \t]*([^\n]*)", re.M)


def includes(text):
    """Yields (line, form, path): form is '"', '<' or 'macro'."""
    shown = blank(text, keep_strings=True)
    for match in _INCLUDE.finditer(shown):
        what = match.group(1).strip()
        line = line_of(shown, match.start(1))
        quoted = re.match(r'"([^"\n]+)"', what)
        angled = re.match(r"<([^>\n]+)>", what)
        if quoted:
            yield line, '"', quoted.group(1)
        elif angled:
            yield line, "<", angled.group(1)
        else:
            yield line, "macro", what


def resolve(root, path, form, target):
    """The file of ours that an include in `path` means, relative to src/, or None. Files may be generated."""
    if form == '"':
        beside = os.path.normpath(os.path.join(os.path.dirname(path), target)).replace(os.sep, "/")
        if beside.startswith("src/") and os.path.isfile(os.path.join(root, beside)):
            return beside[len("src/"):]
    plain = os.path.normpath(target).replace(os.sep, "/")
    if plain.startswith("src/"):
        plain = plain[len("src/"):]
    if os.path.isfile(os.path.join(root, "src", plain)):
        return plain
    return None
