"""Writes i32 as a .npy file: npy.py FILE [ROWSxCOLUMNS] NUMBER... (as many of them, over and over, as a matrix holds)"""

import struct
import sys

path, words = sys.argv[1], sys.argv[2:]
shape = tuple(int(n) for n in words.pop(0).split("x")) if "x" in words[0] else (len(words),)
numbers = [int(word) for word in words]
if len(shape) > 1:
    numbers = [numbers[i % len(numbers)] for i in range(shape[0] * shape[1])]
header = f"{{'descr': '<i4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
with open(path, "wb") as file:
    file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + struct.pack(f"<{len(numbers)}i", *numbers))
