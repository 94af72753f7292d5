#!/usr/bin/env python3
"""What an op costs the house: how many files name one, no lists of ops in place of their classes, no long functions.

usage: ops_test.py ROOT; prints each breach as FILE:LINE: SENTENCE and exits with 1 where there is one.
"""
import os
import re
import sys

FOLDERS = ("frontend", "ir", "passes", "backends", "runtime")
# The most files that may name an op: its definition, the language's word for it, its derivative, its code in the
# interpreter and each backend, what is defined by it, the importer's and the exporter's tables; of what runs along an
# axis also its step. By running sums the pass `skip` finds where the rows lie that a mask takes.
NAMED = {"erf": 11, "cumsum": 14}
LONGEST_LIST = 3
LONGEST_FUNCTION = 80

LIST = re.compile(r"\bisa(?:_and_nonnull|_and_present)?<([^<>;(){}]*)>")
NO_FUNCTION = re.compile(r"(?:(?:typedef|inline|static|constexpr|template\s*<.*>)\s+)*"
                         r"(?:namespace|class|struct|enum|union|extern|if|for|while|switch|else|do|try|case|default|#)\b")


def sources(root, endings):
    for folder in FOLDERS:
        for path, folders, files in os.walk(os.path.join(root, folder)):
            folders.sort()
            for name in sorted(files):
                if name.endswith(endings):
                    yield os.path.relpath(os.path.join(path, name), root)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as text:
        return text.read()


def without_texts(text):
    """Raw strings are programs of their own: their lines stay, empty."""
    return re.sub(r'R"(\w*)\(.*?\)\1"', lambda found: "\n" * found.group(0).count("\n"), text, flags=re.S)


def naming(root):
    for op, most in NAMED.items():
        word = re.compile(rf"\b{op}(?:op)?\b", re.IGNORECASE)
        files = [path for path in sources(root, (".cpp", ".h", ".c", ".td")) if word.search(read(root, path))]
        if len(files) > most:
            yield f"{files[0]}:1: '{op}' is named in {len(files)} files, more than {most}: {', '.join(files)}"
        print(f"{op}: {len(files)} files")


def lists(path, text):
    for found in LIST.finditer(text):
        ops = [word for word in found.group(1).split(",") if word.strip().endswith("Op")]
        if len(ops) > LONGEST_LIST:
            line = text.count("\n", 0, found.start()) + 1
            yield f"{path}:{line}: a list of {len(ops)} ops; ask for their class or cost (ir/Classes.h)"


def functions(path, text):
    """By clang-format's layout: a body ends with a brace that stands below the first line of its signature."""
    lines = without_texts(text).splitlines()
    for end, line in enumerate(lines):
        if line.strip() not in ("}", "};"):
            continue
        margin = line[:-len(line.strip())]
        begin = end - 1
        while begin >= 0 and not re.match(margin + r"[^\s}#]", lines[begin]):
            begin -= 1
        if begin < 0 or len(margin) > 4 or NO_FUNCTION.match(lines[begin].strip()) or line.strip() == "};":
            continue
        if "(" in lines[begin] and end - begin + 1 > LONGEST_FUNCTION:
            yield f"{path}:{begin + 1}: a function of {end - begin + 1} lines, more than {LONGEST_FUNCTION}"


def main():
    root = sys.argv[1]
    breaches = list(naming(root))
    for path in sources(root, (".cpp", ".h", ".c")):
        text = read(root, path)
        breaches += lists(path, text)
        breaches += functions(path, text)
    print("\n".join(breaches + [f"{len(breaches)} breaches"]))
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
