#!/usr/bin/env python3
"""Rules of the house that a compiler does not hold: who includes whom (the table of docs/architecture.md), one name for one
thing, and house style.

usage: house_test.py ROOT; prints each breach as FILE:LINE: SENTENCE and exits with 1 where there is one.
"""
import os
import re
import sys

# Where a library's headers lie, for the names that the table uses; SYSTEM's are free for all.
LIBRARIES = {"llvm": "LLVM", "lld": "LLVM", "mlir": "MLIR", "absl": "Abseil", "glslang": "glslang", "spirv-tools": "glslang",
             "vulkan": "Vulkan", "freetype": "FreeType", "nlohmann": "JSON", "CLI": "CLI11", "stb": "stb"}
SYSTEM = {"sys", "linux"}
SOURCES = (".cpp", ".h", ".c")
FOLDERS = ("frontend", "ir", "passes", "backends", "runtime", "models", "tests")
LONGER = {"backends/api/kiln_backend.h": 900}  # one file by its nature: all that a plugin's author needs to know
CAST = re.compile(r"(?<![\w<:.>&*])(?:std::)?(u?int(?:8|16|32|64)_t|size_t|uintptr_t|double|float|int|unsigned|char)\((?!\))")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')


def sources(root):
    for folder in FOLDERS:
        for path, folders, files in os.walk(os.path.join(root, folder)):
            folders.sort()
            for name in sorted(files):
                if name.endswith(SOURCES):
                    yield os.path.relpath(os.path.join(path, name), root)


def read_table(root):
    """Folder -> what it may include, from the table below '## The folders'."""
    table = {}
    with open(os.path.join(root, "docs/architecture.md"), encoding="utf-8") as text:
        section = text.read().split("## The folders\n", 1)[1].split("\n## ", 1)[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if len(cells) != 3 or not cells[0].startswith("`"):
            continue
        for folder in re.findall(r"`([^`]+)`", cells[0]):
            table[folder] = set(re.findall(r"`([^`]+)`", cells[2]))
    return table


def folder_of(path, table):
    return max((f for f in table if path.startswith(f + "/")), key=len, default=None)


def entry_of(target, name, row):
    """What of a row allows a header: a library, a folder of the table (not those within it that have rows), or a part of
    one, as `runtime/support` is."""
    return next((entry for entry in row
                 if target == entry or (entry.startswith(f"{target}/") and name.startswith(entry + "/"))), None)


def layering(path, lines, table, used):
    home = folder_of(path, table)
    if home is None:
        if not path.startswith(("tests/", "models/")):
            yield 1, "lies in no folder of the table in docs/architecture.md"
        return
    for number, line in enumerate(lines, 1):
        found = INCLUDE.match(line)
        if not found:
            continue
        name = found.group(1)
        if name.startswith("."):
            name = os.path.normpath(os.path.join(os.path.dirname(path), name))
        target, first = folder_of(name, table), name.split("/")[0]
        if target is None and name.startswith("tests/"):
            yield number, f"{home} includes a test's header, {name}"
        elif target is None and "/" in name and first not in SYSTEM:
            target = LIBRARIES.get(first, first)
        if target in (None, home):
            continue
        entry = entry_of(target, name, table[home])
        used.add((home, entry))
        if entry is None:
            yield number, f"{home} includes {name}; by the table of docs/architecture.md it does not include {target}"


def unread(root, table, used):
    """Rows of folders that are gone, and what no file of a row's folder includes."""
    for folder, row in table.items():
        if not os.path.isdir(os.path.join(root, folder)):
            yield f"the table's folder {folder} is not there"
        for entry in sorted(row):
            if (folder, entry) not in used:
                yield f"by the table {folder} includes {entry}; no file of it does"


def code_of(lines):
    """The lines without comments and the contents of strings, raw ones included, as far as style is concerned."""
    raw = None
    for line in lines:
        if raw is not None:
            end = line.find(")" + raw + '"')
            if end < 0:
                yield ""
                continue
            line, raw = line[end + len(raw) + 2:], None
        line = re.sub(r'R"(\w*)\(.*?\)\1"', '""', line)
        begin = re.search(r'R"(\w*)\(', line)
        if begin:
            raw, line = begin.group(1), line[:begin.start()]
        line = re.sub(r"'(?:[^'\\]|\\.)'", "''", line)
        line = re.sub(r'"(?:[^"\\]|\\.)*"', '""', line)
        yield line.split("//", 1)[0]


def style(path, lines):
    first = lines[0] if lines else ""
    is_c = first.startswith("/*") or path.endswith(".c") or "/inc/" in path
    if first.startswith("//===") or (len(lines) > 1 and re.match(r"//\s*-{3,}", lines[1])):
        yield 1, "a banner; the first line is a sentence that says what the file is"
    elif not first.startswith(("// ", "/* ")) and (
            path.endswith(".h") or (len(lines) > 100 and not path.startswith("tests/"))):
        yield 1, "has no first sentence that says what the file is"
    if path.endswith(".h") and not is_c and "#pragma once" not in lines:
        yield 1, "has no #pragma once"
    most = LONGER.get(path, 600)
    if len(lines) > most:
        yield 1, f"has {len(lines)} lines, more than {most}"
    if path.endswith(".c") or is_c:
        return
    for number, line in enumerate(code_of(lines), 1):
        cast = CAST.search(line)
        # A function's type, as in function_ref<int64_t(size_t)>, or a declaration is no cast.
        if cast and not re.search(r"(?:\boperator|\bfunction|[<,]|\bunsigned|\bconst)\s*$", line[:cast.start()]):
            yield number, f"{cast.group(1)}(...): written static_cast<{cast.group(1)}>(...) here"


def definitions(lines):
    """Line -> what stands there for the whole program: a type, or an inline function, in namespaces that have names. Two
    of one name are one to the linker, which takes either's functions for both."""
    spaces = []
    for number, line in enumerate(lines, 1):
        if opened := re.match(r"(?:inline )?namespace ?([\w:]*) ?{$", line):
            spaces.append(opened.group(1))
        elif re.match(r"} // (?:anonymous )?namespace", line) and spaces:
            spaces.pop()
        elif spaces and "" not in spaces:
            kind = re.match(r"(?:template <.*> ?)?(?:class|struct|union) (\w+)(?: final)?(?: : .*)? {", line)
            function = re.match(r"inline [^=]*?(\w+\(.*\))(?: const| noexcept)* {", line)
            if found := kind or function:
                yield number, "::".join(spaces + [found.group(1)])


def twice(root):
    """What two files define by one name; tests are programs of their own."""
    first = {}
    for path in sources(root):
        if path.startswith("tests/"):
            continue
        with open(os.path.join(root, path), encoding="utf-8") as text:
            for number, name in definitions(text.read().splitlines()):
                if first.setdefault(name, path) != path:
                    yield path, number, f"{name} is defined in {first[name]} too: to the linker they are one"


def attributes(root):
    """Attributes of the IR are told once: in docs/architecture.md, or in the description of the pass that writes them."""
    told, made, code = {}, set(), {}
    for folder in ("ir", "passes"):
        for path, _, files in os.walk(os.path.join(root, folder)):
            for name in files:
                if name.endswith(".td"):
                    with open(os.path.join(path, name), encoding="utf-8") as text:
                        text = text.read()
                    made.update(re.findall(r'def Kiln_\w+ : \w+<"(\w+)"', text))
                    told.update((word, name) for word in re.findall(r"`kiln\.(\w+)", text) if folder == "passes")
    with open(os.path.join(root, "docs/architecture.md"), encoding="utf-8") as text:
        page = set(re.findall(r"(?<!#)\bkiln\.([a-z_]+)", text.read()))
    for path in sources(root):
        if path.startswith(("frontend/language/", "frontend/driver/", "ir/", "passes/", "backends/host/")):
            with open(os.path.join(root, path), encoding="utf-8") as text:
                for number, line in enumerate(text, 1):
                    for word in re.findall(r'"kiln\.([a-z_]+)"', line):
                        code.setdefault(word, (path, number))
    for word, (path, number) in sorted(code.items()):
        if word not in made | page | set(told):
            yield path, number, f"docs/architecture.md does not tell of kiln.{word}, nor does a pass's description"
    for word in sorted(page - made - set(code)):
        yield "docs/architecture.md", 1, f"tells of kiln.{word}, which no code has"


def paths(root):
    """What docs/architecture.md says lies somewhere."""
    with open(os.path.join(root, "docs/architecture.md"), encoding="utf-8") as text:
        for number, line in enumerate(text, 1):
            for path in re.findall(rf"`((?:{'|'.join(FOLDERS)}|docs)/[\w./-]+)`", line):
                if not os.path.exists(os.path.join(root, path)):
                    yield "docs/architecture.md", number, f"tells of {path}, which is not there"


def stages(root):
    """The stages of a compile as the pipeline lists them, as they are verified, and as docs/architecture.md has them."""
    def rows(path, pattern, begin, end):
        with open(os.path.join(root, path), encoding="utf-8") as text:
            return re.findall(pattern, text.read().split(begin, 1)[-1].split(end, 1)[0], re.M)
    listed = rows("passes/Pipelines.cpp", r'^    {"([a-z-]+)", ', "constexpr Stage stages[]", "};")
    verified = rows("passes/VerifyStages/VerifyStages.cpp", r'^    {"([a-z-]+)", ', "const Promise promises[]", "};")
    told = rows("docs/architecture.md", r"^\| `([a-z-]+)` \|", "## The pipeline", "## Programs")
    for path, names in (("passes/VerifyStages/VerifyStages.cpp", verified), ("docs/architecture.md", told)):
        if names != listed:
            yield path, 1, f"has the stages {', '.join(names)}; passes/Pipelines.cpp lists {', '.join(listed)}"


def main():
    root = sys.argv[1]
    table = read_table(root)
    assert len(table) > 10, "no table under '## The folders' of docs/architecture.md"
    breaches = count = 0
    used = set()
    for path in sources(root):
        count += 1
        with open(os.path.join(root, path), encoding="utf-8") as text:
            lines = text.read().splitlines()
        for check in (layering(path, lines, table, used), style(path, lines)):
            for number, sentence in check:
                print(f"{path}:{number}: {sentence}")
                breaches += 1
    for path, number, sentence in [*twice(root), *attributes(root), *stages(root), *paths(root)]:
        print(f"{path}:{number}: {sentence}")
        breaches += 1
    for sentence in unread(root, table, used):
        print(f"docs/architecture.md:1: {sentence}")
        breaches += 1
    print(f"{count} files, {breaches} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
