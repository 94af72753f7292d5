"""The gate before anything that stages products in fewer bits: a network of 32 layers, its gradients by Vulkan beside finite
differences of its loss in float64, by the cpu. deep.py KILN: on this machine's device, and 77 where there is none.

What passes is within 3e-4 of the slope, along two directions of the input and two of the first layer's matrix: f32, and
f32 split in two bf16 (--math fast). One bf16 for a factor (--compute bf16) does not pass, which shows that the gate closes.
"""

import random
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MOST = 3e-4


def write(path, rows, columns, draw):
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}"
    head += " " * (-(len(head) + 11) % 64) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() +
                     struct.pack(f"<{rows * columns}f", *(draw() for _ in range(rows * columns))))


def operands(folder):
    """A point and two directions; the sum of the errors of a direction's elements is what is seen."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = random.Random(7)
    write(folder / "x.npy", 40, 32, lambda: numbers.gauss(0, 1))
    for i in range(2):
        write(folder / f"along{i}.npy", 40, 32, lambda: numbers.gauss(0, 1))
        write(folder / f"matrix{i}.npy", 48, 32, lambda: numbers.gauss(0, 1))


def slopes(run, program, function, folder):
    """Four numbers."""
    found = []
    for i in range(2):
        text = run([program, "run", function, "--seed", "3", "--input", f"x={folder}/x.npy", "--input",
                    f"along={folder}/along{i}.npy", "--input", f"matrix={folder}/matrix{i}.npy"])
        if text is None:
            return None
        found += [float(line) for line in text.splitlines() if re.fullmatch(r"[-+.e\d]+", line.strip())]
    return found


def error(slope, exact):
    """The largest, beside the largest slope of its kind (of the input's, of the matrix's)."""
    return max(abs(s - e) / max(map(abs, exact[i % 2::2])) for i, (s, e) in enumerate(zip(slope, exact)))


def build(kiln, to, function, *more):
    return [kiln, "build", HERE / "deep.kiln", "--entry", function, "-o", to, *more]


def main():
    kiln = sys.argv[1]

    def run(command):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"FAILED: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
        return done.stdout

    if "device 0:" not in run([kiln, "backends"]).split("\nvulkan:")[-1]:
        print("SKIPPED: no Vulkan device here (`kiln backends` says why)")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        operands(folder)
        run(build(kiln, folder / "exact", "difference"))
        exact = slopes(run, folder / "exact", "difference", folder)
        if len(exact) != 4 or not all(abs(number) > 1e-3 for number in exact):
            sys.exit(f"FAILED: slopes of {exact}")
        bad = []
        for what, more, passes in (("f32", ["--target-device", "gpu"], True),
                                   ("f32 split", ["--target-device", "plain-matrices", "--math", "fast"], True),
                                   ("bf16", ["--target-device", "gpu", "--compute", "bf16"], False)):
            run(build(kiln, folder / "slope", "slope", "--backend", "vulkan", *more))
            found = error(slopes(run, folder / "slope", "slope", folder), exact)
            print(f"{what}: off by {found:.2g} of the slope")
            if (found <= MOST) != passes:
                bad.append(what)
        if bad:
            sys.exit(f"FAILED: {', '.join(bad)} on the wrong side of {MOST}")


if __name__ == "__main__":
    main()
