#!/usr/bin/env python3
"""What an op costs the house: how many files name one, no lists of ops in place of their classes, no long functions.

usage: ops_test.py ROOT; prints each breach as FILE:LINE: SENTENCE and exits with 1 where there is one.
"""
import os
import re
import sys

FOLDERS = ("frontend", "ir", "passes", "backends", "runtime")
# The most files that may speak of an elementwise op: its definition, its derivative, its code in the backends, where its
# algebra lies. Files that only make one (e.op<ErfOp>(x)) are not counted.
ELEMENTWISE = 8
# Of these all others are made, so that passes look for them: arithmetic, choice and change of type.
BUILT_OF = {"neg": 11, "add": 15, "sub": 13, "mul": 13, "div": 13, "max": 11, "min": 10, "not": 9, "compare": 10, "select": 17,
            "convert": 24}
# Of what runs along an axis, where a language, gradient, interpreter, backend and file format each has its own step.
ALONG_AXIS = {"cumsum": 9, "sort": 9}
# Words that stand for their op alone: files that have them anywhere, in comments, texts and uses too.
WORDS = {"erf": 6, "expm1": 5, "cumsum": 13}
LONGEST_LIST = 3
LONGEST_FUNCTION = 80

OPS = re.compile(r'\b(?:Kiln_)?([A-Z]\w*)Op\b|\bOpCode::(\w+)|"kiln\.(\w+)"|"(\w+)_f(?:32|64)"')
# Of a table of ops, as the exporter has it.
ROW = re.compile(r'^ *\{"(\w+)", ', re.M)
LIST = re.compile(r"\b(?:isa(?:_and_nonnull|_and_present)?|Case)<([^<>;(){}]*)>")
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


def defined(root):
    """The mnemonics and codes of the elementwise primitives, and of those along an axis."""
    for path, named in (("ir/KilnElementwise.td", None), ("ir/KilnOps.td", ALONG_AXIS)):
        for code, name in re.findall(r'^def Kiln_(\w+)Op : \w+<"(\w+)"', read(root, path), re.M):
            if named is None or name in named:
                yield name, code


def speaks(root):
    """(op, most, the files that speak of it)"""
    texts = [(path, read(root, path)) for path in sources(root, (".cpp", ".h", ".c", ".td"))]
    said = {}  # file -> codes and mnemonics of ops
    for path, text in texts:
        lines = re.sub(r"//.*|\b(?:math|arith)::\w+|\b(?:create|op)<\w+>", "", text)
        said[path] = {word for words in OPS.findall(lines) for word in words}
        said[path] |= set(ROW.findall(lines)) if path.startswith("frontend/export/") else set()
    for name, code in defined(root):
        yield name, (BUILT_OF | ALONG_AXIS).get(name, ELEMENTWISE), [p for p, words in said.items() if words & {name, code}]
    for name, most in WORDS.items():
        word = re.compile(rf"\b{name}(?:op)?\b", re.IGNORECASE)
        yield f"the word {name}", most, [path for path, text in texts if name in text.lower() and word.search(text)]


def naming(root):
    counts = list(speaks(root))
    if len(counts) < 35:
        yield f"ir/KilnElementwise.td:1: only {len(counts)} ops are found here: its definitions are written otherwise"
    for name, most, files in counts:
        if len(files) > most:
            yield f"{files[0]}:1: {name} is named in {len(files)} files, more than {most}: {', '.join(files)}"
    print(", ".join(f"{name} {len(files)}" for name, _, files in counts))


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
