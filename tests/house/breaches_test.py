#!/usr/bin/env python3
"""That house_test.py and ops_test.py find what they are for: in a tree with one breach of each kind.

usage: breaches_test.py; prints each breach that was not found, or is none, and exits with 1 where there is one.
"""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TABLE = """# Architecture

## The folders

| folder | its one job | includes |
|---|---|---|
""" + "".join(f"| `{folder}` | a job | {row} |\n" for folder, row in [
    ("backends/api", "nothing"), ("runtime", "`backends/api`"), ("ir", "`backends/api`, `runtime/support`, `MLIR`"),
    ("passes", "`ir`, `LLVM`"), ("backends/cpu", "`backends/cpu/compile`"), ("backends/cpu/compile", "`backends/cpu`, `LLVM`"),
    ("backends/cpu/run", "`backends/cpu`"), ("backends/sdk", "`backends/api`"), ("backends/gone", "nothing"),
    ("frontend", "`ir`, `passes`"), ("frontend/onnx", "`runtime`")]) + "\n## Modules\n\n`kiln.told`, `kiln.nowhere`\n\n## The pipeline\n| `import` | a |\n| `fuse` | b |\n\n`ir/Gone.h`\n\n## Programs\n"
# What each row names, so that only the breaches below are left.
READ = {"runtime/R.cpp": "backends/api/a.h", "ir/I.cpp": "backends/api/a.h", "ir/J.cpp": "runtime/support/s.h",
        "ir/K.cpp": "mlir/IR/m.h", "passes/P.cpp": "ir/i.h", "passes/Q.cpp": "llvm/l.h", "backends/cpu/C.cpp": "backends/cpu/compile/c.h",
        "backends/cpu/compile/D.cpp": "backends/cpu/artifact.h", "backends/cpu/compile/E.cpp": "llvm/l.h",
        "backends/cpu/run/F.cpp": "backends/cpu/artifact.h", "backends/sdk/S.cpp": "backends/api/a.h", "frontend/G.cpp": "ir/i.h",
        "frontend/onnx/O.cpp": "runtime/r.h"}
LONG = "void longest() {\n" + "  call();\n" * 80 + "}\n"
HOUSE = [  # a file, its text, what is said of it
    ("backends/api/a.h", "// A header.\n#pragma once\n", None),
    ("runtime/support/s.h", "// Another one.\n#pragma once\n", None),
    ("runtime/Mlir.cpp", "#include <mlir/IR/m.h>\n", "does not include MLIR"),
    ("runtime/Ir.cpp", '#include "ir/i.h"\n', "does not include ir"),
    ("runtime/Other.cpp", "#include <boost/any.hpp>\n", "does not include boost"),
    ("runtime/Json.cpp", "#include <nlohmann/json.hpp>\n", "does not include JSON"),
    ("backends/cpu/run/Compiles.cpp", '#include "backends/cpu/compile/c.h"\n', "does not include backends/cpu/compile"),
    ("backends/sdk/forms/Up.cpp", '#include "../../../passes/p.h"\n', "does not include passes"),
    ("ir/More.cpp", '#include "runtime/files/f.h"\n', "does not include runtime"),
    ("ir/Tests.cpp", '#include "tests/t.h"\n', "includes a test's header"),
    ("frontend/Bare.h", "#pragma once\n", "has no first sentence"),
    ("frontend/Twice.h", "// What is included.\n", "has no #pragma once"),
    ("frontend/Long.cpp", "// Long.\n" + "int i;\n" * 600, "has 601 lines, more than 600"),
    ("frontend/Cast.cpp", "int i = int(x);\n", "written static_cast<int>(...) here"),
    ("frontend/First.cpp", "namespace kiln {\nstruct One {\n};\n", None),
    ("frontend/Second.cpp", "namespace kiln {\nstruct One {\n};\n", "kiln::One is defined in"),
    ("docs/architecture.md", TABLE, "by the table frontend includes passes; no file of it does"),
    ("passes/Told.cpp", 'op.get("kiln.told"), op.get("kiln.by_a_pass"), op.get("kiln.hidden");\n', "does not tell of kiln.hidden"),
    ("passes/Pipelines.cpp", 'constexpr Stage stages[] = {\n    {"import", import},\n    {"fuse", fuse},\n};\n', None),
    ("passes/VerifyStages/VerifyStages.cpp", 'const Promise promises[] = {\n    {"import", nullptr},\n};\n', "has the stages import; "),
    ("passes/Pass.td", 'let description = [{ Groups get `kiln.by_a_pass`. }];\n', None),
    ("docs/architecture.md", TABLE, "tells of ir/Gone.h, which is not there"),
    ("docs/architecture.md", TABLE, "tells of backends/gone, which is not there"),
    ("docs/architecture.md", TABLE, "tells of kiln.nowhere, which no code has"),
    ("docs/architecture.md", TABLE, "the table's folder backends/gone is not there"),
]
OPS = [
    ("passes/List.cpp", "return llvm::isa<AOp, BOp, COp, DOp>(op);\n", "a list of 4 ops"),
    ("passes/Cases.cpp", ".Case<AOp, BOp, COp, DOp>([&](auto) {})\n", "a list of 4 ops"),
    ("passes/Fine.cpp", "return llvm::isa<AOp, BOp, COp>(op);\n", None),
    ("passes/Function.cpp", LONG, "a function of 82 lines"),
    ("ir/KilnElementwise.td", "".join(f'def Kiln_F{i}Op : Kiln_Unary<"f{i}", "x"> {{}}\n' for i in range(40)), None),
    ("ir/KilnOps.td", "", None),
    ("frontend/export/Table.cpp", '  {"f1", "F", plain("F")},\n', "f1 is named in 9 files, more than 8"),
] + [(f"passes/F{i}.cpp", "rules.add<F1Op>(rule);\n", None) for i in range(7)] + [
    (f"backends/sdk/F{i}.cpp", "case OpCode::F2:\n", None) for i in range(8)] + [("ir/F2.cpp", "", "f2 is named in 9 files")]


def found(script, files):
    with tempfile.TemporaryDirectory() as root:
        for path, text, _ in files:
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        ran = subprocess.run([sys.executable, os.path.join(HERE, script), root], capture_output=True, text=True, check=False)
        if ran.returncode != 1:
            yield f"{script}: ends with {ran.returncode}\n{ran.stderr}"
        said = [line for line in ran.stdout.splitlines()[:-1] if ": " in line]
        for path, _, what in files:
            line = next((line for line in said if what and what in line and (line.startswith(path) or "named in" in what)), None)
            if what and not line:
                yield f"{script} does not find: {path}: {what}"
            elif what:
                said.remove(line)
        yield from (f"{script} finds what is none: {line}" for line in said)


def main():
    house = [(path, f'#include "{name}"\n', None) for path, name in READ.items()] + HOUSE
    wrong = list(found("house_test.py", house)) + list(found("ops_test.py", OPS))
    print("\n".join(wrong + [f"{len(HOUSE) + len(OPS)} files, {len(wrong)} wrong"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
