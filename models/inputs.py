#!/usr/bin/env python3
"""Inputs for `PROGRAM run` as .npy files, out of the data that the models are trained on. Python's own library alone.

inputs.py images IMAGES LABELS FIRST:END OUT.npy LABELS.npy     images of IDX files as f32[N, 1, H, W] from 0 to 1, and their labels
inputs.py cut IMAGES LABELS FIRST:END IMAGES-idx3 LABELS-idx1   the same as IDX files: to train on a part alone
inputs.py windows TABLE.csv COLUMN CONTEXT FIRST:END OUT.npy    f32[N, CONTEXT, 1]: what comes before each row, as standard deviations
inputs.py words WEIGHTS.safetensors FIELD OUT.npy WORD...       i32[1, N]: the words' numbers in the vocabulary that the weights were saved with
"""
import array
import csv
import gzip
import json
import struct
import sys


def read(path):
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
        return file.read()


def idx(path):
    """The extents and the bytes of an IDX file."""
    data = read(path)
    shape = struct.unpack(f">{data[3]}I", data[4:4 + 4 * data[3]])
    return shape, data[4 + 4 * data[3]:]


def write(path, letter, shape, values):
    header = f"{{'descr': '<{letter}4', 'fortran_order': False, 'shape': {tuple(shape)}, }}".ljust(117) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        file.write(array.array(letter, values).tobytes())


def span(text, count):
    return range(count)[slice(*(int(part) if part else None for part in text.split(":")))]


def pictures(images, labels, rows):
    (count, *size), pixels = idx(images)
    rows, each = span(rows, count), size[0] * size[1]
    return size, pixels[rows.start * each:rows.stop * each], idx(labels)[1][rows.start:rows.stop]


def main(command, *words):
    if command == "images":
        size, pixels, labels = pictures(*words[:3])
        write(words[3], "f", (len(labels), 1, *size), [value / 255 for value in pixels])
        write(words[4], "i", (len(labels),), list(labels))
    elif command == "cut":
        size, pixels, labels = pictures(*words[:3])
        for path, shape, data in ((words[3], (len(labels), *size), pixels), (words[4], (len(labels),), labels)):
            with open(path, "wb") as file:
                file.write(bytes((0, 0, 8, len(shape))) + struct.pack(f">{len(shape)}I", *shape) + data)
    elif command == "windows":
        table, column, context, rows, out = words
        values = [float(row[column]) for row in csv.DictReader(read(table).decode().splitlines())]
        past = values[:len(values) - round(0.3 * len(values))]  # what it was trained on, by which it is normalised
        mean = sum(past) / len(past)
        deviation = (sum((value - mean) ** 2 for value in past) / len(past)) ** 0.5
        rows, context = span(rows, len(values)), int(context)
        windows = [(value - mean) / deviation for row in rows for value in values[row - context:row]]
        write(out, "f", (len(rows), context, 1), windows)
        print(f"mean {mean:.6g}, deviation {deviation:.6g}, rows {rows.start} to {rows.stop}")
    elif command == "words":
        with open(words[0], "rb") as file:
            metadata = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))["__metadata__"]
        tokens = json.loads(metadata["kiln.vocabulary." + words[1]])["tokens"]
        write(words[2], "i", (1, len(words) - 3), [tokens.index(word) for word in words[3:]])
    else:
        raise ValueError(command)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (TypeError, IndexError, KeyError, ValueError) as error:
        sys.exit(f"inputs.py: {error}\n{__doc__}")
