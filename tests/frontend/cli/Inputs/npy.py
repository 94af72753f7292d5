"""Writes i32, or f32 where one number is not whole, as a .npy file: npy.py FILE [AxBxC] NUMBER... (over and over, as many as it takes)"""

import math
import struct
import sys

path, words = sys.argv[1], sys.argv[2:]
shape = tuple(int(n) for n in words.pop(0).split("x")) if "x" in words[0] else (len(words),)
floats = any("." in word or "n" in word for word in words)
numbers = [(float if floats else int)(word) for word in words]
numbers = [numbers[i % len(numbers)] for i in range(math.prod(shape))]
header = f"{{'descr': '{'<f4' if floats else '<i4'}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
with open(path, "wb") as file:
    file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
    file.write(struct.pack(f"<{len(numbers)}{'f' if floats else 'i'}", *numbers))
