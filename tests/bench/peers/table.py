"""The table of docs/performance.md: Kiln beside its peers, in one run: table.py [--out FILE] [--rounds N] [ROW...]

Each row is a program of Kiln's and the same work by one or more peers. They take turns, round after round, so that whatever the machine does
meanwhile meets all; before each round `limits` tells what it can do just then: multiply-adds from registers, bytes read, bytes updated.
FILE (default build/bench/table.jsonl) gets a line for each row when it is done; rows that it has are not measured again unless they are
named, so that a run that was stopped goes on. `--print` writes the table of what FILE has, in Markdown.

Needs torch, transformers, onnx, onnxruntime and numpy; OpenVINO and JAX take part where they are there. KILN_DATA holds the texts and images.
ROW may end in * . The rows are made in rows.py.
"""

import argparse
import fnmatch
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]


def limits(threads):
    return json.loads(subprocess.run([ROOT / "build/bin/limits", str(threads)], check=True, capture_output=True, text=True).stdout)


def machine():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    flags = next((line for line in lines if line.startswith("flags")), "")
    has = [word for word in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if word in flags]
    return f"{name}, {os.cpu_count()} cores, {' '.join(has)}"


def measure(row, options):
    """One row's line for FILE: seconds a round of all sides, and the limits beside them."""
    threads = row.threads or options.threads
    with tempfile.TemporaryDirectory() as folder:
        ours, peers = row.make(folder, threads, options)
        rounds = {"Kiln": [], **{name: [] for name in peers}}
        beside = []
        for _ in range(row.rounds or options.rounds):
            beside.append(limits(threads))
            rounds["Kiln"].append(ours())
            for name, peer in peers.items():
                rounds[name].append(peer())
    return {"row": row.name, "threads": threads, "seconds": rounds, "limits": beside, "load": os.getloadavg()[0], "machine": machine()}


def shown(value, unit):
    if unit == "GB":
        return f"{value:.2f} GB"
    for scale, name in ((1, "s"), (1e3, "ms")):
        if value * scale >= 1:
            return f"{value * scale:.3g} {name}" if value * scale < 1000 else f"{value * scale:.0f} {name}"
    return f"{value * 1e6:.3g} µs"


def best(line):
    """(the fastest peer's name, or None, the median over the rounds of Kiln's time over its)"""
    ours = line["seconds"]["Kiln"]
    ratios = {name: statistics.median(a / b for a, b in zip(ours, theirs)) for name, theirs in line["seconds"].items() if name != "Kiln"}
    return max(ratios.items(), key=lambda item: item[1]) if ratios else (None, None)


def share(row, line):
    """Kiln's fastest round as a part of the best that the machine showed beside any round."""
    if not row.work:
        return None
    amount, of = row.work
    return amount / min(line["seconds"]["Kiln"]) / 1e9 / max(beside[of] for beside in line["limits"])


def table(rows, lines):
    yield "| work | Kiln | best peer | its time | Kiln / peer | share of the limit | goal | |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in rows:
        line = lines.get(row.name)
        if not line:
            continue
        peer, ratio = best(line)
        part = share(row, line)
        met = {"ratio": lambda: ratio is not None and ratio <= row.goal, "share": lambda: part is not None and part >= row.goal,
               "value": lambda: min(line["seconds"]["Kiln"]) <= row.goal}[row.by]() if row.goal else None
        wanted = {"ratio": "≤ {:.2f}×", "share": "≥ {:.2f} of it", "value": "≤ {:g} " + row.unit}[row.by].format(row.goal) if row.goal else ""
        cells = [row.title, shown(min(line["seconds"]["Kiln"]), row.unit), peer or "", shown(min(line["seconds"][peer]), row.unit) if peer else "",
                 f"{ratio:.2f}" if peer else "", f"{part:.2f} of {row.limit}" if part else "", wanted, {True: "met", False: "missed", None: ""}[met]]
        yield "| " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="ROW")
    parser.add_argument("--kiln", default=str(ROOT / "build/bin/kiln"))
    parser.add_argument("--out", type=Path, default=ROOT / "build/bench/table.jsonl")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.4, help="of each side's turn in a round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--print", action="store_true", help="the table of what FILE has, nothing measured")
    parser.add_argument("--list", action="store_true", help="the rows' names")
    options = parser.parse_args()

    import rows
    if options.list:
        return print("\n".join(row.name for row in rows.ROWS))
    unknown = [name for name in options.names if not any(fnmatch.fnmatch(row.name, name) for row in rows.ROWS)]
    if unknown:
        sys.exit(f"no row is called {', '.join(unknown)}; --list names them")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    lines = {}
    if options.out.exists():
        lines = {line["row"]: line for line in map(json.loads, options.out.read_text().splitlines())}
    if not options.print:
        print(machine(), rows.versions(), sep="\n", flush=True)
        for row in rows.ROWS:
            named = any(fnmatch.fnmatch(row.name, name) for name in options.names)
            if named or (not options.names and row.name not in lines):
                lines[row.name] = measure(row, options)
                with options.out.open("a") as file:
                    file.write(json.dumps(lines[row.name]) + "\n")
                print(*list(table([row], lines))[2:], flush=True)
    print(rows.versions())
    print("\n".join(table(rows.ROWS, lines)))


if __name__ == "__main__":
    main()
