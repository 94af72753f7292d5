"""Writes zoo.kiln and zoo.safetensors: the zoo of tests/e2e over any number of rows, with batches of six and no batch norms.

usage: shards_zoo.py ZOO.kiln
"""
import array
import json
import random
import re
import struct
import sys

ROWS, BATCHES = 6, 2
random.seed(1)
text = open(sys.argv[1], encoding="utf-8").read()
# Each function takes rows of any number; means of parts add up, where sines of means would not.
text = re.sub(r"(?m)^ +def \w+\(.*$", lambda line: re.sub(r"((?:f32|i32|bool)\[)\d+", r"\1B", line.group()), text)
text = text.replace("reshape(sequence, 3, 7, 2, 4)", "reshape(sequence, B, 7, 2, 4)")
text = text.replace("batch1(x), batch2(image), ", "").replace("mean(sin(part))", "mean(part)")
text = text.replace("steps     = 1", "steps     = %d" % BATCHES)
source = re.search(r"safetensors\(.*?\)\n", text, re.S)
fields = [(name, kind, [ROWS] + [int(size) for size in sizes.split(", ")[1:]])
          for name, kind, sizes in re.findall(r"(\w+)=(\w+)\[([^]]*)\]", source.group())]
types = ", ".join("%s=%s[%s]" % (name, kind, ", ".join(map(str, sizes))) for name, kind, sizes in fields)
text = text.replace(source.group(), 'safetensors("zoo.safetensors", %s)\n' % types)
open("zoo.kiln", "w", encoding="utf-8").write(text)

header, data = {}, b""
for name, kind, sizes in fields:
    count = BATCHES
    for size in sizes:
        count *= size
    if kind == "f32":
        dtype, values = "F32", array.array("f", [random.uniform(-1, 1) for _ in range(count)]).tobytes()
    elif kind == "bool":
        dtype, values = "BOOL", bytes(random.random() < 0.8 for _ in range(count))
    else:
        dtype, values = "I32", array.array("i", [random.randrange(2) for _ in range(count)]).tobytes()
    header["data." + name] = {"dtype": dtype, "shape": [BATCHES] + sizes, "data_offsets": [len(data), len(data) + len(values)]}
    data += values
head = json.dumps(header).encode()
head += b" " * (-len(head) % 8)
open("zoo.safetensors", "wb").write(struct.pack("<Q", len(head)) + head + data)
