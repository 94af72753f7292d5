"""Writes ones as i32 into a .npy file: ones.py FILE EXTENT..."""

import struct
import sys

path, shape = sys.argv[1], [int(word) for word in sys.argv[2:]]
count = 1
for extent in shape:
    count *= extent
header = f"{{'descr': '<i4', 'fortran_order': False, 'shape': ({', '.join(map(str, shape))}), }}".ljust(117) + "\n"
with open(path, "wb") as file:
    file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + struct.pack("<i", 1) * count)
