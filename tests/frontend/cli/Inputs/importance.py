"""importance.py FOLDER: weights, inputs and strange importances; FOLDER observed: what was observed; FOLDER nearer: whether q4 by it is nearer."""
import json
import math
import struct
import sys


sys.dont_write_bytecode = True
from tensors import write  # noqa: E402


def read(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            tensors[name] = entry["shape"], struct.unpack(f"<{(end - begin) // 4}f", data[begin:end])
    return tensors


folder = sys.argv[1]
if len(sys.argv) == 2:
    wave = [[math.sin(seed * i * i + i) for i in range(8 * 64)] for seed in (1, 2)]
    write(folder + "/w.safetensors", [("w.weight", [8, 64], wave[0]), ("v", [64, 8], wave[1])])
    # Four rows: one number is 50, the others are 1.
    write(folder + "/x.safetensors", [("x", [4, 64], ([50.0] + [1.0] * 63) * 4)])
    write(folder + "/other.safetensors", [("w.weight.importance", [2], [1.0, 2.0])])
    write(folder + "/strange.safetensors", [("u.importance", [2], [1.0, 2.0])])
elif sys.argv[2] == "observed":
    for name, (shape, numbers) in sorted(read(folder + "/importance.safetensors").items()):
        print(name, shape, *numbers[:3])
else:
    exact, near, far = (read(f"{folder}/{program}.safetensors")["0"][1] for program in ("exact", "near", "far"))
    error = [sum((x - y) ** 2 for x, y in zip(exact, of)) for of in (near, far)]
    print("the error is less than half" if 4 * error[0] < error[1] else f"the errors are {error}")
