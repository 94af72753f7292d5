"""ONNX files that `kiln export` writes, beside the programs of the same models: onnx.checker takes them, and ONNX Runtime
gives the same results.

usage: onnx_export.py KILN FIXTURES [--opset N] [NAME...]; names may have * in them; FIXTURES: tests/fixtures, whose models of models/ and folders of Hugging
Face have inputs and small weights; needs PyPI's onnx, onnxruntime, numpy and safetensors. Exit code 1 where one is
further away than 1e-5 of the largest entry.
"""
import fnmatch
import json
import os
import re
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file

TOLERANCE = 1e-5


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, (done.stderr or done.stdout).strip()


def distance(found, expected):
    if found.shape != expected.shape:
        return np.inf
    return np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30)


def compare(kiln, model, function, inputs, folder, options, opset):
    """What came of one model: a distance, or a sentence."""
    path = os.path.join(folder, "model.onnx")
    code, told = run(kiln, "export", model, "--onnx", path, "--function", function, *opset, *options)
    if code:
        return told
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds = {entry.name: inputs[entry.name] for entry in session.get_inputs()}
    feeds = {name: value.astype(np.float32) if value.dtype == np.uint8 else value for name, value in feeds.items()}
    expected = os.path.join(folder, "expected.safetensors")
    command = [kiln, "run", model, function, "--output", expected, *options]
    for name, value in feeds.items():
        np.save(os.path.join(folder, name + ".npy"), value)
        command += ["--input", f"{name}={folder}/{name}.npy"]
    code, told = run(*command)
    if code:
        return told
    names = [output.name for output in session.get_outputs()]
    results = dict(zip(names, session.run(names, feeds)))
    own = load_file(expected)
    worst = 0.0
    for name, value in own.items():
        name = "output" if len(own) == 1 and name.isdigit() else f"output_{name}" if name.isdigit() else name
        # A maximum that a NaN stays in: max(0.0, nan) is 0.0.
        worst = np.maximum(worst, distance(results[name].astype(np.float64), value.astype(np.float64)))
    return float(worst)


def cases(fixtures):
    """Name, model, function, inputs, options."""
    for name in sorted(os.listdir(fixtures)):
        case = os.path.join(fixtures, name, "case.json")
        if not os.path.exists(case):
            continue
        with open(case) as file:
            case = json.load(file)
        data = os.path.join(fixtures, case.get("data", name))
        given = os.path.join(fixtures, name, case["given"]) if "given" in case else os.path.join(data, "inputs.safetensors")
        options = ["--model", case["model"], "--weights", os.path.join(fixtures, name, "init.safetensors")]
        for key, value in case["set"].items():
            options += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
        source = os.path.join(fixtures, "../..", case["source"])
        functions = [case.get("function", "forward")]
        if name in ("zoo", "annex", "control"):  # one function for each kind of op
            with open(source) as file:
                functions = re.findall(r"^    def (\w+)\(\w+: ", file.read(), re.M)
        for function in functions:
            yield name + ("" if len(functions) == 1 else "/" + function), source, function, given, options
    folder = os.path.join(fixtures, "huggingface")
    for name in sorted(os.listdir(folder)):
        given = os.path.join(folder, name, "expected.safetensors")
        if os.path.exists(given):
            yield "huggingface/" + name, os.path.join(folder, name), "forward", given, ["--set", "batch=3"] + ["--set", "size=32"] * name.startswith("resnet")


def main():
    kiln, fixtures, *only = sys.argv[1:]
    opset = only[:2] if only[:1] == ["--opset"] else []
    only = only[len(opset):]
    failed = False
    for name, model, function, given, options in cases(fixtures):
        if only and not any(fnmatch.fnmatch(name, one) for one in only):
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = compare(kiln, model, function, load_file(given), folder, options, opset)
            except Exception as error:  # the checker's, or ONNX Runtime's
                found = f"{type(error).__name__}: {error}"
        wrong = isinstance(found, str) or not found <= TOLERANCE
        failed |= wrong
        print(f"{name:32}", found if isinstance(found, str) else f"{found:.1e}", "WRONG" if wrong else "", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
