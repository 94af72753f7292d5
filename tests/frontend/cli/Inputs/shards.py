"""Trains a model of a file whole and in shards: the numbers are alike, and the bits of a program the same each time.

usage: shards.py KILN FILE MODEL SHARDS... [OPTIONS of kiln build] [--alone OPTIONS of the whole one alone]
"""
import json
import struct
import subprocess
import sys

kiln, file, model = sys.argv[1:4]
counts = [argument for argument in sys.argv[4:] if argument.isdigit()]
options = sys.argv[4 + len(counts):]
alone = options[options.index("--alone") + 1:] if "--alone" in options else []
options = options[:len(options) - len(alone) - 1] if alone else options
close = 2e-3 if "bf16" in options else 2e-6


def tensors(path):
    data = open(path, "rb").read()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    kinds = {"F32": "f", "F64": "d", "I32": "i"}
    found = {}
    for name, at in header.items():
        if name != "__metadata__":
            begin, end = at["data_offsets"]
            code = kinds[at["dtype"]]
            found[name] = struct.unpack("<%d%s" % ((end - begin) // struct.calcsize(code), code),
                                        data[8 + length + begin:8 + length + end])
    return found


def trained(program, number):
    weights = "%s.%d.safetensors" % (program, number)
    run = subprocess.run(["./" + program, "train", "--json", "--save", weights], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(lines) >= 2
    return lines, weights


def build(shards):
    program = "%s_%s" % (model.lower(), shards or "whole")
    cut = ["--shards", shards] if shards else alone
    subprocess.run([kiln, "build", file, "--model", model, "-o", program] + cut + options, check=True)
    return program


def check(shards, whole):
    program = build(shards)
    lines, weights = trained(program, 0)
    again, others = trained(program, 1)
    assert lines == again and open(weights, "rb").read() == open(others, "rb").read(), "not the same bits each time"
    assert [line.keys() for line in lines] == [line.keys() for line in whole[0]]
    for ours, theirs in zip(lines, whole[0]):
        for key, value in theirs.items():
            assert ours[key] == value if key == "stage" else abs(ours[key] - value) <= close * max(1, abs(value)), (shards, key, ours, theirs)
    ours, theirs = tensors(weights), tensors(whole[1])
    assert ours.keys() == theirs.keys()
    for name in theirs:
        apart = max(abs(a - b) for a, b in zip(ours[name], theirs[name]))
        assert apart <= close * max(1, max(map(abs, theirs[name]))), (shards, name, apart)
    print("%s in %s: %d steps, the last loss %.9g, whole %.9g" %
          (model, shards, len(lines), lines[-1]["loss"], whole[0][-1]["loss"]))


whole = trained(build(None), 0)
for shards in counts:
    check(shards, whole)
