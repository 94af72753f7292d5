"""adapter.py FOLDER: a frozen layer's weights, and batches whose labels another one has made, as adapter.test wants them."""
import json
import random
import struct
import sys


def write(path, tensors):
    header, data = {}, b""
    for name, kind, shape, numbers in tensors:
        part = struct.pack(f"<{len(numbers)}{'f' if kind == 'F32' else 'i'}", *numbers)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + data)


def matrix(rows, columns, scale):
    return [[draw.gauss(0, scale) for _ in range(columns)] for _ in range(rows)]


def times(x, w):
    return [sum(a * b for a, b in zip(x, row)) for row in w]


draw = random.Random(0)
w, head = matrix(64, 64, 0.1), matrix(3, 64, 0.2)
shift = matrix(64, 2, 0.3), matrix(2, 64, 0.3)
other = [[a + sum(shift[0][r][k] * shift[1][k][c] for k in range(2)) for c, a in enumerate(row)] for r, row in enumerate(w)]
flat = [x for row in w for x in row]
write(sys.argv[1] + "/base.safetensors",
      [("q.base_layer.weight", "F32", [64, 64], flat), ("q.base_layer.bias", "F32", [64], [0] * 64),
       ("head.weight", "F32", [3, 64], [x for row in head for x in row]), ("head.bias", "F32", [3], [0] * 3)])
xs, ys = [], []
for _ in range(10 * 16):
    x = [draw.gauss(0, 1) for _ in range(64)]
    scores = times([max(0.0, h) for h in times(x, other)], head)
    xs += x
    ys.append(scores.index(max(scores)))
write(sys.argv[1] + "/data.safetensors", [("x", "F32", [10, 16, 64], xs), ("y", "I32", [10, 16], ys)])
