"""The rows of a run with a graphics card, a JSON object a line: results.jsonl.

Of each: part, what (what was measured; the same for Kiln and its peers), value, unit, peer ("kiln, strict", "PyTorch, TF32"), device,
driver, and more where there is more to say. A part's end is a row as well: what "part", state "done" or "failed", value
its seconds.

rows.py OUT done PART               0 where that part is done
rows.py OUT ended PART CODE NANOSECONDS LOG   records its end; 1 where it failed
"""

import json
import sys
from pathlib import Path


def read(out):
    path = Path(out) / "results.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def append(out, row):
    with open(Path(out) / "results.jsonl", "a") as file:
        file.write(json.dumps(row) + "\n")


def facts(out):
    """Device and driver, as the part "device" found them."""
    for row in reversed(read(out)):
        if row["part"] == "device" and row["what"] == "device":
            return {"device": row["device"], "driver": row["driver"]}
    return {"device": "unknown", "driver": "unknown"}


def is_done(out, part):
    return any(row["part"] == part and row["what"] == "part" and row["state"] == "done" for row in read(out))


def ended(out, part, code, nanoseconds, log):
    row = {"part": part, "what": "part", "state": "failed" if code else "done", "value": max(nanoseconds, 1) / 1e9, "unit": "s"}
    if code:
        tail = Path(log).read_text(errors="replace")[-1500:]
        row.update(code=code, tail=tail)
        print(f"   failed with {code} after {row['value']:.1f} s:\n" + "\n".join("   | " + line for line in tail.splitlines()[-8:]))
    else:
        print(f"   {row['value']:.1f} s")
    append(out, {**row, "peer": "kiln", **facts(out)})
    return code != 0


if __name__ == "__main__":
    out, verb, part = sys.argv[1:4]
    if verb == "done":
        sys.exit(not is_done(out, part))
    sys.exit(ended(out, part, int(sys.argv[4]), int(sys.argv[5]), sys.argv[6]))
