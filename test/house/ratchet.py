#!/usr/bin/env python3
"""Ratchet: the sizes of style.md. What is over its limit stands in ratchet.json and may only shrink; nothing new may
go over. Type names may not contain the words that say nothing.

    test/house/ratchet.py                         check
    test/house/ratchet.py --update                lower or drop entries that shrank
    test/house/ratchet.py --update --allow-new    also write down what is newly over or grew (say why in the commit)
"""
import argparse
import json
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cpp_text  # noqa: E402

ROOTS = ("src", "test", "bench")
CODE_LINES = 400
HEADER_LINES = 200
FOLDER_FILES = 20
FUNCTION_LINES = 70

# A manager is a node role, so ManagerStatus and Manager are good names; VolumeManager is not.
FORBIDDEN_ANYWHERE = {"Helper", "Helpers", "Util", "Utils", "Handler", "Handlers", "Impl"}
FORBIDDEN_LAST = {"Manager", "Managers"}
ALLOWED_TYPES = set()  # full names, each with its reason beside it


# ---- functions -------------------------------------------------------------------------------------------------

def _match_angle(text, at):
    """The offset after the > that closes the < at `at`. A > inside parentheses does not count."""
    depth = 0
    parens = 0
    while at < len(text):
        char = text[at]
        if char in "([{":
            parens += 1
        elif char in ")]}":
            parens -= 1
        elif char == "<" and not parens:
            depth += 1
        elif char == ">" and not parens and text[at - 1] != "-":
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return at


def _strip_template(head):
    while True:
        match = re.match(r"\s*(?:export\s+)?template\s*<", head)
        if not match:
            return head
        head = head[_match_angle(head, match.end() - 1):]


def _strip_attributes(head):
    head = re.sub(r"\[\[.*?\]\]", " ", head, flags=re.S)
    return re.sub(r"\b(?:alignas|__attribute__|__declspec)\s*\((?:[^()]|\([^()]*\))*\)+", " ", head)


def _outside_parens(head):
    """The text at depth 0 of (), with every group shown as ()."""
    out = []
    depth = 0
    for char in head:
        if char == "(":
            if depth == 0:
                out.append("()")
            depth += 1
        elif char == ")":
            depth = max(0, depth - 1)
        elif depth == 0:
            out.append(char)
    return "".join(out)


def _operators_hidden(head):
    return re.sub(r"\boperator\s*(?:\(\s*\)|\[\s*\]|[^\s\w(]+)", "operator_", head)


def _is_class_head(bare, outside):
    """`struct A`, `class MACRO("x") A`, `struct A : B<decltype(c)>`, but not `struct a f(int)` nor `struct a b = `."""
    if "=" in outside:
        return False
    if "(" not in outside or re.search(r"(?<!:):(?!:)", outside.split("(")[0]):
        return True
    last = re.search(r"(\w+)\s*$", bare)
    return last is not None and last.group(1) not in ("const", "noexcept", "override", "mutable")


def classify(head):
    """What the brace after `head` opens: 'scope' (look inside), 'function' or 'data' (skip)."""
    bare = _strip_attributes(_strip_template(head)).strip()
    outside = _operators_hidden(_outside_parens(_operators_hidden(bare)))
    if re.match(r"(?:export\s+)?(?:inline\s+)?namespace\b", bare) or re.fullmatch(r"extern|export|", bare):
        return "scope"
    if re.match(r"(?:typedef\s+|static\s+|constexpr\s+|inline\s+)*(?:class|struct|union)\b", bare):
        if _is_class_head(bare, outside):
            return "scope"
    if re.match(r"(?:typedef\s+)?enum\b", bare) and "(" not in outside:
        return "data"
    assigned = re.search(r"(?<![<>=!])=(?!=)", outside)
    if assigned:
        return "function" if "[" in outside[assigned.end():] else "data"
    if re.search(r"\bconcept\b", bare):
        return "data"
    return "function" if "(" in outside else "data"


def _without_arguments(head):
    """Foo<std::function<void(int)>>::bar( becomes Foo::bar(."""
    out = ""
    at = 0
    while at < len(head):
        if head[at] == "(":
            return out + head[at:]
        if head[at] == "<":
            at = _match_angle(head, at)
        else:
            out += head[at]
            at += 1
    return out


def function_name(head, original):
    """A short stable name: Foo::bar, operator==, TEST_CASE "the title" or the variable a lambda is assigned to."""
    quoted = re.match(r'\s*([A-Z][A-Z0-9_]+)\s*\(\s*(?:L|u8)?"((?:[^"\\\n]|\\.)*)"', original)
    if quoted:
        return f'{quoted.group(1)} "{quoted.group(2)}"'
    bare = " ".join(_strip_attributes(_strip_template(head)).split())
    operator = re.search(r"((?:[\w~]+(?:<[^()]*>)?::)*operator\s*(?:\(\s*\)|[^(]+?))\s*\(", bare)
    if operator:
        return operator.group(1).replace(" ", "")
    macro = re.match(r"([A-Z][A-Z0-9_]+)\s*\(([^()]*)\)\s*$", bare)
    if macro:
        return f"{macro.group(1)}({macro.group(2).strip()})"
    assigned = re.match(r"[^=(]*?([\w:]+)\s*=(?!=)", bare)
    if assigned:
        return assigned.group(1)
    named = re.search(r"((?:\w+::)*~?\w+)\s*\(", _without_arguments(bare))
    return named.group(1) if named else "(unnamed)"


def scope_name(head):
    bare = _strip_attributes(_strip_template(head))
    found = re.match(r"\s*(?:typedef\s+|static\s+|constexpr\s+|inline\s+)*(?:class|struct|union)\s+([\w:]+)", bare)
    return found.group(1) if found else ""


def _closing(text, at):
    """The offset of the brace that closes the one at `at`."""
    depth = 0
    for match in re.compile(r"[{}]").finditer(text, at):
        depth += 1 if match.group() == "{" else -1
        if depth == 0:
            return match.start()
    return len(text) - 1


def functions(text):
    """Yields (name, first line, lines) of functions at namespace or class scope, signature included."""
    clean = cpp_text.blank_directives(cpp_text.blank(text))
    scopes = []
    start = 0  # where the current head begins
    parens = 0
    at = 0
    while at < len(clean):
        char = clean[at]
        if char in "([":
            parens += 1
        elif char in ")]":
            parens = max(0, parens - 1)
        elif char == "{" and parens:
            at = _closing(clean, at)  # a braced default argument
        elif char == "{":
            head = clean[start:at]
            kind = classify(head)
            if kind == "scope":
                scopes.append(scope_name(head))
                start = at + 1
            else:
                end = _closing(clean, at)
                after = clean[end + 1:end + 200].lstrip()
                if kind == "function" and after.startswith((",", "{", "...")):
                    at = end + 1  # a member initialised with braces: the body is still to come
                    continue
                if kind == "function":
                    first = start + len(head) - len(head.lstrip())
                    name = "::".join([s for s in scopes if s] + [function_name(head, text[first:at])])
                    line = cpp_text.line_of(clean, first)
                    yield name, line, cpp_text.line_of(clean, end) - line + 1
                at = end
                start = end + 1
        elif char == "}":
            if scopes:
                scopes.pop()
            start = at + 1
        elif char == ";" and not parens:
            start = at + 1
        elif char == ":" and re.fullmatch(r"\s*(?:public|private|protected)\s*", clean[start:at]):
            start = at + 1
        at += 1


# ---- sizes -----------------------------------------------------------------------------------------------------

def measure(root):
    """Returns (files read, {kind: {key: (size, where)}}) of everything that is over its limit."""
    over = {"files": {}, "folders": {}, "functions": {}}
    files = []
    for top in ROOTS:
        files += cpp_text.files_under(root, top, cpp_text.CODE + cpp_text.HEADERS)
    files = [f for f in files if not cpp_text.is_generated(f)]
    folders = {}
    for path in files:
        text = cpp_text.read(os.path.join(root, path))
        lines = text.count("\n") + (1 if text and not text.endswith("\n") else 0)
        if lines > (CODE_LINES if path.endswith(cpp_text.CODE) else HEADER_LINES):
            over["files"][path] = (lines, path)
        if not cpp_text.is_test(path):
            folder = os.path.dirname(path)
            folders[folder] = folders.get(folder, 0) + 1
        seen = {}
        for name, line, size in functions(text):
            seen[name] = seen.get(name, 0) + 1
            if size > FUNCTION_LINES:
                key = f"{path}: {name}" + (f" #{seen[name]}" if seen[name] > 1 else "")
                over["functions"][key] = (size, f"{path}:{line}")
    for folder, count in folders.items():
        if count > FOLDER_FILES:
            over["folders"][folder] = (count, folder)
    return files, over


LIMITS = {"files": f"a .cc may have {CODE_LINES} lines, a header {HEADER_LINES}",
          "folders": f"a folder may have {FOLDER_FILES} files, then split it by noun",
          "functions": f"a function may have {FUNCTION_LINES} lines"}


def compare(over, known):
    """Returns (errors, notes): what grew or is new, and what shrank."""
    errors = []
    notes = []
    for kind, limit in LIMITS.items():
        was = known.get(kind, {})
        for key, (size, where) in sorted(over[kind].items()):
            name = f" {key.split(': ', 1)[1]}" if kind == "functions" else ""
            unit = "files" if kind == "folders" else "lines"
            if key not in was:
                errors.append(f"{where}:{name} has {size} {unit}; {limit}")
            elif size > was[key]:
                errors.append(f"{where}:{name} grew from {was[key]} to {size} {unit}; {limit}")
            elif size < was[key]:
                notes.append(f"{where}:{name} shrank from {was[key]} to {size} {unit}; run --update")
        notes += [f"{key}: no longer over; run --update" for key in sorted(was) if key not in over[kind]]
    return errors, notes


def updated(over, known, allow_new):
    result = {}
    for kind in LIMITS:
        was = known.get(kind, {})
        result[kind] = {}
        for key, (size, _) in sorted(over[kind].items()):
            if allow_new:
                result[kind][key] = size
            elif key in was:
                result[kind][key] = min(size, was[key])
    return result


# ---- names -----------------------------------------------------------------------------------------------------

_TYPE = re.compile(r"\b(?:class|struct|union)\s+((?:\w+::)*)(\w+)\s*(?:final\s*)?(?:<[^;{}]*>\s*)?(?=[{;]|:(?!:))")


def bad_word(name):
    if name in ALLOWED_TYPES:
        return None
    words = [w[:1].upper() + w[1:] for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
    for word in words:
        if word in FORBIDDEN_ANYWHERE:
            return word
    return words[-1] if len(words) > 1 and words[-1] in FORBIDDEN_LAST else None


def name_errors(root, files):
    errors = []
    for path in files:
        clean = _strip_attributes_in_place(cpp_text.blank(cpp_text.read(os.path.join(root, path))))
        for match in _TYPE.finditer(clean):
            word = bad_word(match.group(2))
            if word:
                line = cpp_text.line_of(clean, match.start(2))
                errors.append(f"{path}:{line}: type {match.group(2)}: {word} says nothing, name the thing it is")
    return errors


def _strip_attributes_in_place(text):
    pattern = r"\[\[[^\[\]]*\]\]|\balignas\s*\((?:[^()]|\([^()]*\))*\)"
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def load(path):
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def check(root, baseline):
    """Returns (files read, size errors, name errors, notes)."""
    files, over = measure(root)
    errors, notes = compare(over, load(baseline))
    if not files:
        errors.append("src: no C++ file found, nothing was measured")
    return len(files), errors, name_errors(root, files), notes


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description="sizes may only shrink; type names say something")
    parser.add_argument("--root", default=os.path.join(here, "..", ".."))
    parser.add_argument("--baseline", default=os.path.join(here, "ratchet.json"))
    parser.add_argument("--update", action="store_true", help="lower or drop entries that shrank")
    parser.add_argument("--allow-new", action="store_true", help="with --update: also add or raise entries")
    options = parser.parse_args()
    if options.allow_new and not options.update:
        parser.error("--allow-new needs --update")
    root = os.path.abspath(options.root)
    if options.update:
        files, over = measure(root)
        if not files:
            print("ratchet: no C++ file found; the baseline stays as it is")
            return 1
        content = updated(over, load(options.baseline), options.allow_new)
        with open(options.baseline, "w", encoding="utf-8") as file:
            file.write(json.dumps(content, indent=2, sort_keys=True) + "\n")
    count, errors, names, notes = check(root, options.baseline)
    for line in errors + names + [f"note: {n}" for n in notes]:
        print(line)
    print(f"ratchet: {count} files, {len(errors) + len(names)} wrong")
    return 1 if errors or names else 0


if __name__ == "__main__":
    sys.exit(main())
