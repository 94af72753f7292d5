"""blocks.py FOLDER: weights of a row of 32, and a row to multiply it with, as blocks.test wants them."""
import sys


sys.dont_write_bytecode = True
from tensors import write  # noqa: E402

folder = sys.argv[1]
whole = [i - 16 for i in range(31)] + [127]
write(folder + "/w.safetensors", [("w.weight", [1, 32], whole), ("w.bias", [1], [0.5])])
write(folder + "/far.safetensors", [("w.weight", [1, 32], [float("inf")] + whole[1:]), ("w.bias", [1], [0.5])])
write(folder + "/x.safetensors", [("x", [2, 32], [1] * 32 + list(range(32)))])
# -8 to 7 in each block, twice as much in the second: a sum of -48.
quarter = [i % 16 - 8 for i in range(32)]
write(folder + "/two.safetensors", [("w.weight", [1, 64], quarter + [2 * q for q in quarter]), ("w.bias", [1], [16.5])])
write(folder + "/wide.safetensors", [("x", [1, 64], [1] * 64)])
