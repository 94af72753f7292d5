"""run.sh on this machine's own Vulkan device, with small sizes: every part ends, each row says something, a part that is done
is not done again, and one that fails stops no other. 77 where there is no device."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import rows

HERE = Path(__file__).resolve().parent
PARTS = re.findall(r"([\w-]+):\d+", re.search(r"^parts=\((.*?)\)", (HERE / "run.sh").read_text(), re.DOTALL | re.MULTILINE)[1])


def check(holds, what):
    if not holds:
        sys.exit(f"FAILED: {what}")


def run(*arguments, script=HERE / "run.sh", **variables):
    done = subprocess.run([script, "--small", *arguments], capture_output=True, text=True,
                          env={**os.environ, "PEER": "python3", **variables})
    print(done.stdout + done.stderr, flush=True)
    check(done.returncode == 0, f"run.sh ends with {done.returncode}")
    return done.stdout


def main():
    backends = subprocess.run([HERE.parents[1] / "build/bin/kiln", "backends"], capture_output=True, text=True).stdout
    if "device 0:" not in backends.split("\nvulkan:")[-1]:
        print("SKIPPED: no Vulkan device here (`kiln backends` says why)")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        whole, broken = f"{folder}/whole", f"{folder}/broken"
        run(whole)
        found = rows.read(whole)
        for part in PARTS:
            ends = [row["state"] for row in found if row["part"] == part and row["what"] == "part"]
            check(ends == ["done"], f"{part} ended as {ends}")
            check(any(row["part"] == part and row["what"] != "part" for row in found), f"{part} measured nothing")
        for row in found:
            check(row["value"] > 0, f"no positive value: {row}")
            check(all(row.get(key) for key in ("part", "what", "unit", "peer", "device", "driver")), f"lacks something: {row}")
            check(row.get("good", True), f"not as it should be: {row}")
        check(not [row for row in found if row["unit"] == "failure"], "the kit failed")

        again = run(whole)
        check(again.count("done before") == len(PARTS), "a second run does again what is done")
        check(rows.read(whole) == found, "a second run leaves the rows as they are")

        run("--only", "device,products,profile", broken, KILN_GPU_BREAK="products")
        ends = {row["part"]: row for row in rows.read(broken) if row["what"] == "part"}
        check({part: row["state"] for part, row in ends.items()} == {"device": "done", "products": "failed", "profile": "done"},
              f"with products broken: {ends}")
        check("exit code 1: false" in ends["products"]["tail"], f"the end of its log is kept: {ends['products']}")
        run("--only", "products", broken)
        states = [row["state"] for row in rows.read(broken) if row["part"] == "products" and row["what"] == "part"]
        check(states == ["failed", "done"], f"what failed is tried again: {states}")
        names = [(row["what"], row["peer"]) for row in rows.read(broken) if row["part"] == "products" and row["what"] != "part"
                 and row.get("state") != "left out"]
        check(names and len(set(names)) == len(names), f"what was measured before the failure is not measured again: {names}")

        # The same from a packed tree: its own compiler, libraries and files to link with.
        packed, there = f"{folder}/packed", f"{folder}/there"
        subprocess.run([HERE / "pack.sh", packed], check=True)
        run("--only", "device,parity,profile", there, script=f"{packed}/kiln-gpu/tests/gpu/run.sh")
        states = {row["part"]: row["state"] for row in rows.read(there) if row["what"] == "part"}
        check(states == {"device": "done", "parity": "done", "profile": "done"}, f"in a packed tree: {states}")
        check(f"$ {packed}/kiln-gpu/build/bin/kiln build" in Path(there, "log.txt").read_text(), "its own compiler")

        table = subprocess.run([sys.executable, HERE / "table.py", whole], capture_output=True, text=True)
        print(table.stdout + table.stderr)
        check(table.returncode == 0 and "| product f32 nn 64 |" in table.stdout, "table.py makes a table")
        check("loop by hand, registers" in table.stdout, "the table has the loops by hand")


main()
