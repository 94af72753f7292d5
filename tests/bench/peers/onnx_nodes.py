"""ONNX's backend node tests through `kiln` on a backend: pass, fail and unsupported, by op.

usage: onnx_nodes.py KILN [--backend cpu] [--only PATTERN] [--list] [--jobs 2]
Needs PyPI's onnx and numpy (python3 -m venv peers; peers/bin/pip install onnx numpy). Each case is a model and
arrays that the package computes; the model is built and run, and its results are compared as ONNX's own runner does.
"""
import argparse
import collections
import concurrent.futures
import fnmatch
import json
import os
import re
import struct
import subprocess
import tempfile

import warnings

import numpy as np
import onnx
from onnx.backend.test.loader import load_model_tests

DTYPES = {"F32": "<f4", "F64": "<f8", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U32": "<u4", "I8": "i1", "U8": "u1", "BOOL": "?"}
# Types that Kiln has no dtype for: cases with them do not count.
OUTSIDE = {"uint16", "int16", "uint64", "string", "complex64", "complex128", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2",
           "float8e5m2fnuz", "uint4", "int4", "float4e2m1", "float8e8m0", "uint2", "int2"}


# What these give is drawn, by numpy when the package was made: nothing to compare with.
DRAWN = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}


def is_drawn(case):
    return any(node.op_type in DRAWN for node in case.model.graph.node) or "training_dropout" in case.name and "zero_ratio" not in case.name


def identifier(name):
    out = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")
    return out if out and not out[0].isdigit() else "input" + ("_" + out if out else "")


def types_of(graph):
    found = set()
    for value in list(graph.input) + list(graph.output) + list(graph.value_info):
        kind = value.type.WhichOneof("value")
        if kind == "tensor_type":
            found.add(onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower())
        elif kind:
            found.add(kind)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name == "to" and attribute.i:
                found.add(onnx.TensorProto.DataType.Name(attribute.i).lower())
            if attribute.type == onnx.AttributeProto.GRAPH:
                found |= types_of(attribute.g)
    return found


def read_safetensors(path):
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    out = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        raw = data[8 + size + begin:8 + size + end]
        if entry["dtype"] == "BF16":
            array = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            array = np.frombuffer(raw, DTYPES[entry["dtype"]])
        out[name] = array.reshape(entry["shape"])
    return out


def array_of(value):
    array = onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def is_bf16(value):
    return isinstance(value, onnx.TensorProto) and value.data_type == onnx.TensorProto.BFLOAT16 or getattr(getattr(value, "dtype", None), "name", "") == "bfloat16"


def cut(expected, found, count):
    """Where data decide how many rows there are: those of `found` that are there, along the one axis that is longer."""
    longer = [axis for axis in range(expected.ndim) if expected.ndim == found.ndim and expected.shape[axis] != found.shape[axis]]
    return np.take(found, np.arange(int(count)), axis=longer[0]) if len(longer) == 1 else found


def compare(value, found, rtol, atol):
    """As ONNX's runner; numbers of 16 bits may be two units of their last place away, as their intermediates are wider here."""
    expected = array_of(value)
    if expected.shape != found.shape:
        return f"the shape is {found.shape}, expected {expected.shape}"
    if expected.dtype != found.dtype and not (expected.dtype.kind == found.dtype.kind == "f"):
        return f"the dtype is {found.dtype}, expected {expected.dtype}"
    a, b = expected.astype(np.float64), found.astype(np.float64)
    digits = 8 if is_bf16(value) else 11 if expected.dtype == np.float16 else 0
    with np.errstate(all="ignore"):
        unit = 2.0 ** (np.floor(np.log2(np.abs(a))) + 1 - digits) if digits else 0.0
        near = np.abs(a - b) <= np.maximum(2 * unit, 1e-3) if digits else False
    if np.all(near | np.isclose(a, b, rtol, atol, equal_nan=True)):
        return ""
    with np.errstate(all="ignore"):
        return f"differs by {np.nanmax(np.abs(a - b)):.3g}"


def with_constants(model, inputs):
    """The model with its small integer inputs (and vectors of floats: scales) as constants; None where there are none."""
    out = onnx.ModelProto()
    out.CopyFrom(model)
    kept = []
    for value, array in zip(model.graph.input, inputs):
        array = array_of(array)
        if array.dtype.kind == "f" and (array.ndim > 1 or array.size == 0) or array.size > 64:
            kept.append(value)
        else:
            out.graph.initializer.append(onnx.numpy_helper.from_array(array, value.name))
    if len(kept) == len(model.graph.input):
        return None
    del out.graph.input[:]
    out.graph.input.extend(kept)
    return out


def run_model(arguments, case, model, data_sets):
    with tempfile.TemporaryDirectory() as work:
        program = os.path.join(work, "program")
        path = os.path.join(work, "model.onnx")
        onnx.save(model, path)
        built = subprocess.run([arguments.kiln, "build", path, "-o", program, "--backend", arguments.backend, "--jobs", "1"],
                               capture_output=True, text=True, timeout=120)
        if built.returncode != 0:
            text = built.stderr.strip().replace(path + ": ", "")
            if built.returncode != 1 or "internal error" in text:
                return "fail", f"exit code {built.returncode}: {text[:300]}"
            return "unsupported", text.split("\n")[0][:260]
        names = {value.name for value in model.graph.input}
        cuts = False
        for inputs, expected in data_sets:
            command = [program, "run", "forward", "--output", os.path.join(work, "out.safetensors"), "--threads", "1"]
            for value, array in zip(case.model.graph.input, inputs):
                if value.name in names:
                    file = os.path.join(work, identifier(value.name) + ".npy")
                    np.save(file, array_of(array))
                    command += ["--input", identifier(value.name) + "=" + file]
            ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
            if "has no input of that name" in ran.stderr:  # a name that the language keeps for itself: ours has a number behind it
                taken = ran.stderr.strip().split("it has: ")[1].split(", ")
                fixed = iter(taken)
                command = [next(fixed) + "=" + part.split("=", 1)[1] if before == "--input" else part
                           for before, part in zip([""] + command, command)]
                ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
            if ran.returncode != 0:
                return "fail", f"run: {ran.stderr.strip()[:260]}"
            found = read_safetensors(os.path.join(work, "out.safetensors"))
            for value, array in zip(model.graph.output, expected):
                name = identifier(value.name) if len(expected) > 1 or "0" not in found else "0"
                result, count = found[name], found.get(name + "_count")
                if count is not None:
                    cuts |= result.shape != array_of(array).shape
                    result = cut(array_of(array), result, count)
                why = compare(array, result, case.rtol, case.atol)
                if why:
                    return "fail", f"{value.name} {why}"
    return "rows" if cuts else "pass", ""


def run_case(arguments, case):
    """(verdict, reason): pass, rows (passes by the rows that are there of those that there may be), constant (passes with its small
    inputs as constants), fail, unsupported, outside."""
    outside = types_of(case.model.graph) & (OUTSIDE | {"sequence_type", "optional_type", "map_type", "sparse_tensor_type"})
    domains = {entry.domain for entry in case.model.opset_import} - {"", "ai.onnx"}
    if outside or any("preview" in domain or ".ml" in domain for domain in domains):
        return "outside", ", ".join(sorted(outside or domains))
    if is_drawn(case):
        return "outside", "random numbers"
    verdict, why = run_model(arguments, case, case.model, case.data_sets)
    if verdict == "unsupported" and len(case.data_sets) == 1:
        model = with_constants(case.model, case.data_sets[0][0])
        if model is not None:
            again, reason = run_model(arguments, case, model, case.data_sets)
            if again != "unsupported":
                return ("constant", "") if again == "pass" else ("rows", "") if again == "rows" else (again, "as constants: " + reason)
            why = reason
    return verdict, why


def op_of(case):
    nodes = case.model.graph.node
    return nodes[-1].op_type if len(nodes) == 1 or "expanded" not in case.name else "expanded functions"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kiln")
    parser.add_argument("--backend", default="cpu")
    parser.add_argument("--only", default="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    cases = [case for case in load_model_tests(kind="node") if fnmatch.fnmatch(case.name, arguments.only)]
    counts, by_op, lines = collections.Counter(), collections.defaultdict(collections.Counter), []

    def one(case):
        try:
            return case, op_of(case), *run_case(arguments, case)
        except subprocess.TimeoutExpired:
            return case, op_of(case), "fail", "more than two minutes"

    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for case, op, verdict, why in pool.map(one, cases):
            counts[verdict] += 1
            by_op[op][verdict] += 1
            if verdict in ("fail", "unsupported"):
                lines.append(f"{verdict:12} {case.name}: {why}")
    for op, row in sorted(by_op.items()):
        print(f"{op:28} " + "  ".join(f"{verdict} {row[verdict]}" for verdict in ("pass", "constant", "rows", "fail", "unsupported", "outside") if row[verdict]))
    if arguments.list:
        print("\n".join(sorted(lines)))
    inside = sum(counts.values()) - counts["outside"]
    good = counts["pass"] + counts["constant"] + counts["rows"]
    print(f"{good} of {inside} within Kiln's types pass ({100 * good / max(inside, 1):.1f}%), {counts['constant']} of them with small inputs as "
          f"constants, {counts['rows']} by their first rows (as many as their count says; there is room for more behind); {counts['fail']} fail, {counts['unsupported']} are refused, {counts['outside']} are of other types, or drawn at random")


if __name__ == "__main__":
    main()
