"""The rows of a run as tables in Markdown, for docs/performance.md: table.py OUT

A line is what was measured, a column who did it; the last column is Kiln beside the fastest of the others that are its
match: 1 is as fast, 0.5 half as fast. Kiln is held to others of its own exactness: "kiln, strict" to all but TF32's and
16-bit figures, "kiln, fast" to all.
"""

import statistics
import sys
from pathlib import Path

import rows

# Units of which less is better.
LESS = {"ms", "us", "s", "MiB"}


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def fastest(cells, unit, names):
    values = [cells[name] for name in names if name in cells]
    return (min if unit in LESS else max)(values) if values else None


def ratio(cells, unit):
    """Kiln's best beside the fastest other: above 1, Kiln is ahead."""
    ours = fastest(cells, unit, [name for name in cells if name.startswith("kiln")])
    exact = "kiln, fast" not in cells
    theirs = fastest(cells, unit, [name for name in cells if not name.startswith("kiln") and not (exact and "TF32" in name)])
    if ours is None or theirs is None:
        return ""
    return f"{theirs / ours if unit in LESS else ours / theirs:.2f}"


def table(part, found):
    units, cells, peers = {}, {}, []
    for row in found:
        key = (row["what"], row["unit"])
        units.setdefault(key, {}).setdefault(row["peer"], []).append(row["value"])
        if row["peer"] not in peers:
            peers.append(row["peer"])
    peers.sort(key=lambda peer: (not peer.startswith("kiln"), peer))
    lines = [f"| {part} | unit | {' | '.join(peers)} |" + (" Kiln beside the fastest |" if len(peers) > 1 else "")]
    lines.append("|---" * (len(peers) + 2 + (len(peers) > 1)) + "|")
    for (what, unit), values in units.items():
        cells = {peer: statistics.median(all_of) for peer, all_of in values.items()}
        line = f"| {what} | {unit} | " + " | ".join(number(cells[peer]) if peer in cells else "" for peer in peers) + " |"
        lines.append(line + (f" {ratio(cells, unit)} |" if len(peers) > 1 else ""))
    return "\n".join(lines)


def table_of(row):
    """Peers' steps that take long to compile are a part of their own, and stand beside the others."""
    return "steps" if row["part"] == "steps-compiled" else row["part"]


def main():
    found = rows.read(sys.argv[1])
    if not found:
        sys.exit(f"{Path(sys.argv[1]) / 'results.jsonl'} has no rows")
    for device in sorted({f"{row['device']}, {row['driver']}" for row in found if row["device"] != "unknown"}):
        print(f"On {device}:\n")
    for part in dict.fromkeys(map(table_of, found)):
        mine = [row for row in found if table_of(row) == part]
        measured = [row for row in mine if row["what"] != "part" and row.get("state") != "left out" and row["peer"] != "peer"]
        if measured:
            print(table(part, measured) + "\n")
        for row in mine:
            if row.get("state") == "left out":
                print(f"Left out: {row['what']}: {row['why']}.\n")
    ends = {row["part"]: row for row in found if row["what"] == "part"}
    print("Parts: " + ", ".join(f"{part} {row['state']} ({row['value']:.0f} s)" for part, row in ends.items()) + ".")
    for part, row in ends.items():
        if row["state"] == "failed":
            print(f"\n{part} failed:\n\n```\n{row['tail']}\n```")


main()
