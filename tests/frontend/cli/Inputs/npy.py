"""Writes a list of i32 as a .npy file: npy.py FILE NUMBER..."""

import struct
import sys

path, numbers = sys.argv[1], [int(word) for word in sys.argv[2:]]
header = f"{{'descr': '<i4', 'fortran_order': False, 'shape': ({len(numbers)},), }}".ljust(117) + "\n"
with open(path, "wb") as file:
    file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + struct.pack(f"<{len(numbers)}i", *numbers))
