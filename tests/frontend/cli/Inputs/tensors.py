"""Safetensors of f32, as the scripts beside this one write them."""
import json
import struct


def write(path, tensors):
    header, data = {}, b""
    for name, shape, numbers in tensors:
        part = struct.pack(f"<{len(numbers)}f", *numbers)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + data)
