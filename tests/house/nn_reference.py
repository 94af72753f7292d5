#!/usr/bin/env python3
"""docs/nn.md: the standard modules and functions, from the comments above them in frontend/nn/*.kiln, above the entries of
the tables in frontend/language/Builtins*.cpp, and above the functions of one element in ir/KilnElementwise.td.

usage: nn_reference.py ROOT says what differs from the committed file, and what has no comment, and exits with 1 then;
nn_reference.py ROOT --write writes the file.
"""
import glob
import os
import re
import sys

TITLES = {"basic": "Products and tables", "activation": "Activations", "convolution": "Convolution and pooling", "norm": "Norms",
          "attention": "Attention", "transformer": "Transformers", "position": "Positions", "recurrent": "Recurrent layers",
          "math": "More functions of numbers", "linalg": "Linear algebra", "fourier": "Complex numbers and spectra", "boxes": "Boxes",
          "loss": "Losses and metrics", "shape": "Shapes, indices, resizing", "augment": "Augmentation", "optimizer": "Optimizers",
          "schedule": "Schedules"}
TABLES = [("Elementwise", "Elementwise"), ("Reduce", "Reductions"), ("Shape", "Shapes"), ("Network", "What networks are made of"),
          ("Random", "Constants and random numbers"), ("Declare", "Declarations, in a module's body"), ("CompileTime", "Values known at compile time")]
HEAD = """<!-- Made by tests/house/nn_reference.py from frontend/nn/*.kiln, frontend/language/Builtins*.cpp and ir/KilnElementwise.td; edit those. -->
# The standard modules and functions

Modules are made in a module's body (`mlp = Linear(4, 8)`) and called in its functions (`mlp(x)`); functions are called in functions
and recipes, as `f(x, …)` or `x.f(…)`. What is built in comes first, then what is written in Kiln itself. Layouts, defaults and formulas are PyTorch's where
its name stands behind; parameters have its names, so that its weights load. Readers of data, the keys of a recipe and of generation stand in
docs/language.md; docs/from-pytorch.md has the two side by side.

In signatures `...` stands for any axes and a new name for a dimension of any extent. Reductions of losses are `"mean"`, `"sum"` and `"none"`. Masks are true where something counts.
"""


def anchor(title):
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


def comment_above(lines, at):
    first = at
    while first > 0 and re.match(r"\s*(#|//)( |$)", lines[first - 1]):
        first -= 1
    return " ".join(re.sub(r"^\s*(#|//) ?", "", line) for line in lines[first:at])


def header_of(lines):
    """The comment that a file begins with, where a blank line follows it."""
    end = 0
    while end < len(lines) and lines[end].startswith("#"):
        end += 1
    text = "\n".join(re.sub(r"^# ?", "", line) for line in lines[:end])
    return text if end < len(lines) and not lines[end].strip() else ""


def parts_of(body):
    """Parameters, states, parts and documented functions of a module's lines."""
    held, calls = [], []
    for at, line in enumerate(body):
        found = re.match(r"    (\w+) += (.*)$", line)
        if found and re.match(r"(None if .* else |\[*)?(parameter|state|buffer)\(", found.group(2)):
            kind = re.search(r"(parameter|state|buffer)\(([a-z0-9]+(\[[^\]]*\](?:\])?)?)?", found.group(2))
            name = re.search(r'name="([^"]*)"', found.group(2) + (body[at + 1] if at + 1 < len(body) else ""))
            held.append(f"`{name.group(1) + 'K' if name else found.group(1)}` {kind.group(2) or ''}".rstrip() +
                        (" (state)" if kind.group(1) == "state" else ""))
        elif found and re.match(r"[A-Z]\w*\(", found.group(2)):
            held.append(f"`{found.group(1)}` {found.group(2).split('(')[0]}")
        found = re.match(r"    def (\w+)(\(.*):(\s*#.*)?$", line)
        if found and not found.group(1).startswith("_"):
            about = comment_above(body, at)
            if found.group(1) in ("forward", "extend", "weights") or about:
                calls.append((found.group(1) + found.group(2), about))
    return held, calls


def read_kiln(root):
    """File -> (header, [(kind, name, signature, text, parts, calls)]), and what has no comment."""
    files, missing = {}, []
    for path in sorted(glob.glob(os.path.join(root, "frontend/nn/*.kiln"))):
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
        entries = []
        for at, line in enumerate(lines):
            found = re.match(r"(def|module|op) (\w+)(\(.*\))( -> .*)?:(.*)$", line)
            if not found:
                continue
            text = comment_above(lines, at)
            end = at + 1
            while end < len(lines) and (not lines[end].strip() or lines[end].startswith(" ")):
                end += 1
            if text:
                entries.append((found.group(1), found.group(2), found.group(2) + found.group(3) + (found.group(4) or ""), text, *parts_of(lines[at + 1:end])))
            elif found.group(1) == "module":
                missing.append(f"{os.path.relpath(path, root)}:{at + 1}: {found.group(2)} has no comment above it")
        files[os.path.basename(path)[:-5]] = (header_of(lines), entries)
    return files, missing


def read_functions(root):
    """Rows of the functions of one element, (signature, name, text), and what has no comment."""
    path, rows, missing = "ir/KilnElementwise.td", [], []
    with open(os.path.join(root, path), encoding="utf-8") as file:
        lines = file.read().split("\n")
    for at, line in enumerate(lines):
        found = re.match(r'def \w+ : Kiln_Unary<"(\w+)".*\{', line)
        if not found or "let real" not in "\n".join(lines[at:]).split("\ndef ")[0]:
            continue
        text = comment_above(lines, at)
        if not text:
            missing.append(f"{path}:{at + 1}: {found.group(1)} has no comment above it")
        rows.append((f"{found.group(1)}(x)", found.group(1), text))
    return rows, missing


def read_tables(root):
    functions, missing = read_functions(root)
    tables = []
    for name, title in TABLES:
        path = os.path.join(root, f"frontend/language/Builtins{name}.cpp")
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
        rows = functions if name == "Elementwise" else []
        for at, line in enumerate(lines):
            found = re.match(r'      \{"(\w+)",\s*(?:"((?:[^"\\]|\\.)*)")?', line)
            if not found:
                continue
            signature = found.group(2)
            if signature is None:
                signature = re.match(r'\s*"((?:[^"\\]|\\.)*)"', lines[at + 1]).group(1)
            text = comment_above(lines, at)
            if not text:
                missing.append(f"{os.path.relpath(path, root)}:{at + 1}: {found.group(1)} has no comment above it")
            rows.append((f"{found.group(1)}({signature})".replace('\\"', '"'), found.group(1), text))
        tables.append((title, rows))
    return tables, missing


def torch_names(text):
    for found in re.finditer(r"\btorch(?:vision)?(?:\.\w+)+", text):
        yield found.group(0)


def render(root):
    files, missing = read_kiln(root)
    tables, more = read_tables(root)
    out, index = [HEAD], []
    order = [f for f in TITLES if f in files] + [f for f in files if f not in TITLES]
    sections = [title for title, _ in tables] + [TITLES.get(f, f.capitalize()) for f in order if files[f][1]]
    out.append(" · ".join(f"[{s}](#{anchor(s)})" for s in sections + ["By PyTorch's name"]) + "\n")
    for title, rows in tables:
        out.append(f"## {title}\n\n| | |\n|---|---|")
        for signature, name, text in rows:
            out.append(f"| `{signature}` | {text.replace('|', chr(92) + '|')} |")
            index += [(theirs, name, title) for theirs in torch_names(text)]
        out.append("")
    for file in order:
        header, entries = files[file]
        if not entries:
            continue
        title = TITLES.get(file, file.capitalize())
        out.append(f"## {title}\n\n{header}\n")
        for kind, name, signature, text, held, calls in entries:
            out.append(f"### `{signature}`\n\n{text}\n")
            if held:
                out.append("Holds " + ", ".join(held) + ".\n")
            for call, about in calls:
                out.append(f"- `{call}`" + (f": {about}" if about else ""))
            if calls:
                out.append("")
            index += [(theirs, name, title) for theirs in torch_names(text)]
    out.append("## By PyTorch's name\n\n| PyTorch | here |\n|---|---|")
    for theirs, name, title in sorted(set(index), key=lambda row: (row[0].split(".")[-1].lower(), row)):
        out.append(f"| `{theirs}` | [`{name}`](#{anchor(title)}) |")
    return "\n".join(out) + "\n", missing + more


def main():
    root = sys.argv[1]
    text, missing = render(root)
    path = os.path.join(root, "docs/nn.md")
    for line in missing:
        print(line)
    if "--write" in sys.argv:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return
    committed = open(path, encoding="utf-8").read() if os.path.exists(path) else ""
    if committed != text:
        before, after = committed.split("\n"), text.split("\n")
        at = next((i for i, pair in enumerate(zip(before, after)) if pair[0] != pair[1]), min(len(before), len(after)))
        print(f"docs/nn.md:{at + 1}: is not what the comments say: run python3 tests/house/nn_reference.py . --write")
    sys.exit(1 if missing or committed != text else 0)


main()
