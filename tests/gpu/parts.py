"""One part of run.sh: parts.py PART OUT --limit SECONDS [--small]. Ends with 1 where something went wrong; its rows stand."""

import argparse
import gzip
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import deep
import rows

HERE = Path(__file__).resolve().parent
TREE = HERE.parents[1]
KILN = TREE / "build/bin/kiln"
LAYOUTS = ("nn", "nt", "tn", "tt")


class Over(Exception):
    """The part's time."""


class Part:
    """What every part has: its time, its rows, and how it runs programs."""

    def __init__(self, name, out, limit, small):
        self.name, self.out, self.small = name, out, small
        self.end = time.monotonic() + limit
        self.most = 600 if small else 60  # seconds of one program, so that one that hangs does not take a part's whole time
        self.work = Path(os.environ.get("KILN_GPU_WORK", "/tmp"))
        self.wrong, self.printed = [], ""
        self.facts = rows.facts(out)
        # What a run before measured of this part, until its time was over or something failed.
        self.before = {(row["what"], row["peer"]) for row in rows.read(out) if row["part"] == name}

    def left(self):
        return self.end - time.monotonic()

    def has(self, what, peer="kiln, strict"):
        return (what, peer) in self.before

    def row(self, what, value, unit, peer="kiln, strict", **more):
        rows.append(self.out, {"part": self.name, "what": what, "value": value, "unit": unit, "peer": peer, **more, **self.facts})

    def left_out(self, what, why):
        print(f"left out: {what}: {why}", flush=True)
        rows.append(self.out, {"part": self.name, "what": what, "state": "left out", "why": why, "value": 1, "unit": "left out",
                               "peer": "none", **self.facts})

    def fail(self, sentence):
        """The part goes on, and has failed at its end."""
        print(sentence, flush=True)
        self.wrong.append(sentence)

    def run(self, command, ours=True, stop=signal.SIGKILL, most=1e9, **variables):
        """Its standard output, or None where it failed. `stop`: how it is told that its time is over, `most` seconds or the part's."""
        environment = {**os.environ, **variables}
        if ours and os.environ.get("KILN_GPU_LIBRARIES"):
            environment["LD_LIBRARY_PATH"] = os.environ["KILN_GPU_LIBRARIES"] + ":" + os.environ.get("LD_LIBRARY_PATH", "")
        command = [str(word) for word in command]
        self.printed = ""
        print("$ " + " ".join(command), flush=True)
        if self.left() < 1:
            raise Over
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
                                 errors="replace", start_new_session=True)
        try:
            text, said = child.communicate(timeout=min(self.left(), most))
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, stop)
            try:
                text, said = child.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                text, said = child.communicate()
            self.fail(f"ended after its time: {command[0]}")
        self.printed = text  # rows that were printed before something went wrong are rows
        print(said[-4000:], flush=True)
        if child.returncode:
            return self.fail(f"exit code {child.returncode}: {' '.join(command)}\n{text[-2000:]}{said[-2000:]}")
        return text

    def data(self):
        """A folder of data for the recipes: what they take to learn from does not matter here."""
        if os.environ.get("KILN_DATA"):
            return os.environ["KILN_DATA"]
        folder = self.work / "data"
        if not folder.exists():
            (folder / "tinyshakespeare").mkdir(parents=True)
            shutil.copy(TREE / "models/gpt/sample.txt", folder / "tinyshakespeare/input.txt")
            (folder / "mnist10k").mkdir()
            images, labels = 1000, random.Random(1)
            with gzip.open(folder / "mnist10k/t10k-images-idx3-ubyte.gz", "wb") as file:
                file.write(struct.pack(">IIII", 2051, images, 28, 28) + labels.randbytes(images * 28 * 28))
            with gzip.open(folder / "mnist10k/t10k-labels-idx1-ubyte.gz", "wb") as file:
                file.write(struct.pack(">II", 2049, images) + bytes(labels.randrange(10) for _ in range(images)))
        return str(folder)

    def build(self, model, entries=None, settings=(), math="strict", profile="gpu"):
        """The program and the seconds that its compile took, or None."""
        program = self.work / f"{self.name}-program"
        command = [KILN, "build", model, "--backend", "vulkan", "--target-device", profile, "--math", math, "-o", program]
        if entries:
            command += ["--entry", entries]
        for setting in settings:
            command += ["--set", setting]
        start = time.monotonic()
        if self.run(command, most=self.most, KILN_DATA=self.data()) is None:
            return None
        return program, time.monotonic() - start

    def bench(self, program, function, seconds, *more):
        """What `PROGRAM bench` says of the function, with its median in seconds; or None."""
        text = self.run([program, "bench", function, "--json", "--min-time", seconds, *more], most=self.most, KILN_DATA=self.data())
        if text is None:
            return None
        row = json.loads(text)["benchmarks"][0]
        row["seconds"] = row["median_time"] * {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1}[row["time_unit"]]
        return row

    def functions(self, model, settings, names, work, modes=("strict", "fast"), leave=False):
        """Each function's operations a second. What the fast mode makes in the same way as the strict one is measured once.
        leave: by what a device without cooperative matrices would run."""
        for math in modes:
            peer = f"kiln, {math}" + (", no matrices" if leave else "")
            wanted = {entry: what for entry, what in names.items() if not self.has(what, peer) and (math == "strict" or "f32" in entry)}
            built = wanted and self.build(model, ",".join(wanted), settings, math)
            for entry, what in wanted.items() if built else ():
                row = self.bench(built[0], entry, 0.05, *(["--backend-option", "vulkan.matrices=leave"] if leave else []))
                if row:
                    self.row(what, work[entry] / row["seconds"] / 1e9, "GFLOP/s", peer, seconds=row["seconds"], dispatches=row["dispatches"])

    def peer(self, script, *arguments):
        """Rows of a script of peers/: a line of JSON each."""
        if self.has(f"all of {script}", "peer"):
            return
        python = os.environ.get("PEER", "python3")
        command = [python, HERE / "peers" / script, *arguments, "--limit", int(self.left())] + (["--small"] if self.small else [])
        module = {"torch_rows.py": "torch", "jax_rows.py": "jax"}[script]
        asked = subprocess.run([python, "-c", f"import importlib.util as u, sys; sys.exit(not u.find_spec('{module}'))"])
        if asked.returncode:
            return self.left_out(f"{self.name} by {module}", f"{python} has no {module}")
        whole = self.run(command, ours=False) is not None
        self.lines()
        if whole:
            self.row(f"all of {script}", max(1, len(self.printed.splitlines())), "rows", "peer")

    def lines(self):
        """The rows that the last program printed."""
        for line in self.printed.splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue  # cut off, or a library's own words
            if row.get("left out"):
                self.left_out(row["what"], row["left out"])
            elif row.pop("wrong", ""):
                self.fail(f"wrong: {line}")
            else:
                self.row(**row)


def device(part):
    """What runs here. Everything else names it."""
    text = part.run([KILN, "backends"]) or ""
    section = text.split("\nvulkan:")[-1].splitlines()
    found = next((line.split(":", 1)[1] for line in section if line.strip().startswith("device 0:")), None)
    if not found:
        part.run([KILN, "backends"], VK_LOADER_DEBUG="error,warn,driver")
        return part.fail("no Vulkan device:\n" + text)
    name, driver, memory = re.split(r", (?![^()]*\))", found.strip())  # name (LLVM 15, 256 bits), driver, memory
    part.facts = {"device": name, "driver": driver}
    part.row("device", float(memory.split()[0]), memory.split()[1], text=found.strip())
    part.run([TREE / "build/bin/gpu_loops", "shapes"])
    part.lines()
    if shutil.which("nvidia-smi"):
        part.run(["nvidia-smi"], ours=False)
    if shutil.which("vulkaninfo"):
        part.run(["vulkaninfo", "--summary"])


def kit(part, profile):
    """The conformance kit; what it tried before its time was over counts."""
    report = part.work / "kit.json"
    command = [KILN, "conform", "vulkan", "--target-device", profile, "--json", report, "--timeout", part.most]
    if part.small:
        command += ["--only", "ops/add/f32/*|ops/dot_general/f32/*|interface/*|models/Dense*"]
    part.run(command, stop=signal.SIGINT)
    if not report.exists():
        return part.fail("the kit left no report")
    table = json.loads(report.read_text())
    part.row(f"kit, {profile}: passed", table["passed"], "rows", refused=table["refused"], failures=table["failures"])
    for row in table["rows"]:
        if row["result"] == "failure":
            name = "/".join(row[key] for key in ("section", "name", "dtype", "variant") if row.get(key))
            part.row(f"kit, {profile}: {name}", 1, "failure", reason=row.get("reason", ""))


def gtest(part, program, chosen, what, **variables):
    """A test program of the tree; a row for each test that ran."""
    report = part.work / "tests.json"
    report.unlink(missing_ok=True)
    part.run([TREE / "build/bin" / program, f"--gtest_filter={chosen}", f"--gtest_output=json:{report}"], KILN_TEST_TREE=str(TREE),
             KILN_DATA=part.data(), **variables)
    if not report.exists():
        return part.fail(f"{program} left no report")
    for suite in json.loads(report.read_text())["testsuites"]:
        for test in suite["testsuite"]:
            name = f"{what} {test['name']}"
            if test["result"] == "SKIPPED":
                part.left_out(name, "the test left itself out")
            elif test["result"] == "COMPLETED":
                good = "failures" not in test
                part.row(name, max(float(test["time"].rstrip("s")), 1e-3), "s", good=good)


def parity(part):
    gtest(part, "e2e_parity", "*Losses/mnist" if part.small else "Models/*", "parity", KILN_TEST_BACKEND="vulkan",
          KILN_TEST_DEVICE="gpu", KILN_LONG="1")


def greedy(part):
    gtest(part, "e2e_greedy", "*Gpt", "greedy text,")


def products(part):
    sides = [64] if part.small else [4096, 1024, 8192, 2048, 512, 256, 128, 64]
    layouts = LAYOUTS[:1] if part.small else LAYOUTS
    for side in sides:
        if not part.has(f"product f32 {layouts[-1]} {side}", "loop by hand, registers"):
            part.run([TREE / "build/bin/gpu_loops", HERE, 0.05, ",".join(layouts), side], most=part.most)
            part.lines()
    part.peer("torch_rows.py", "products")
    for layout in layouts:
        for side in sides:
            names = {f"{dtype}_{layout}": f"product {dtype} {layout} {side}" for dtype in ("f32", "f16", "bf16", "i8")}
            work = {entry: 2 * side**3 for entry in names}
            part.functions(HERE / "products.kiln", [f"side={side}"], names, work)
    for side in sides[:2]:
        names = {f"{dtype}_nn": f"product {dtype} nn {side}" for dtype in ("f32", "f16", "bf16", "i8")}
        part.functions(HERE / "products.kiln", [f"side={side}"], names, {entry: 2 * side**3 for entry in names}, ("strict",), leave=True)


def attention(part):
    shapes = [(64, 64)] if part.small else [(1024, 64), (4096, 64), (1024, 128), (256, 64), (64, 64), (4096, 128), (256, 128), (64, 128)]
    part.peer("torch_rows.py", "attention")
    for length, depth in shapes:
        settings = [f"length={length}", f"depth={depth}"] + (["batch=1", "heads=2"] if part.small else [])
        names = {f"causal_{dtype}": f"attention {dtype} T={length} d={depth}" for dtype in ("f32", "f16", "bf16")}
        # Two products, of which the causal mask leaves half.
        work = {entry: 2 * (2 if part.small else 48) * length**2 * depth for entry in names}
        part.functions(HERE / "attention.kiln", settings, names, work)
        if (length, depth) in shapes[:1]:
            part.functions(HERE / "attention.kiln", settings, names, work, ("strict",), leave=True)


def gate(part):
    """Gradients of 32 layers beside differences of the loss in float64, by the cpu: what comes before any narrower factors."""
    folder = part.work / "deep"
    deep.operands(folder)
    if part.run(deep.build(KILN, folder / "exact", "difference")) is None:
        return
    exact = deep.slopes(part.run, folder / "exact", "difference", folder)
    for math in ("strict", "fast"):
        if exact is None or part.run(deep.build(KILN, folder / "slope", "slope", "--backend", "vulkan", "--target-device", "gpu",
                                                "--math", math)) is None:
            continue
        slope = deep.slopes(part.run, folder / "slope", "slope", folder)
        if slope:
            error = deep.error(slope, exact)
            part.row("gradients of 32 layers, error", max(error, 1e-12), "of the slope", f"kiln, {math}", good=error <= deep.MOST)
            if error > deep.MOST:
                part.fail(f"{math}: gradients of 32 layers are off by {error:.2g}, {deep.MOST} are allowed")


def memory_bound(part):
    """Bytes that must be read and written, a second. A copy is what the device can."""
    height, width = (64, 256) if part.small else (16384, 4096)
    part.peer("torch_rows.py", "rows")
    built = part.build(HERE / "rows.kiln", settings=[f"rows={height}", f"columns={width}"])
    for name in ("copy", "row_softmax", "norm", "row_sum", "column_sum") if built else ():
        row = part.bench(built[0], name, 0.05)
        if row:
            moved = 4 * height * width * (1 if name.endswith("_sum") else 2)
            part.row(f"{name} {height}x{width}", moved / row["seconds"] / 1e9, "GB/s", seconds=row["seconds"])


GPT2 = ["vocab=50257", "layers=12", "heads=12", "width=768", "context=1024"]
BENCH = TREE / "tests/bench"
# What a step is called, its model, its settings.
STEPS = {
    "mlp": (BENCH / "mlp.kiln", []),
    "gpt6": (BENCH / "gpt6.kiln", []),
    "gpt2 4x1024": (HERE / "gpt.kiln", GPT2 + ["batch=4"]),
    "lstm": (BENCH / "lstm.kiln", []),
    "cnn": (BENCH / "cnn.kiln", []),
    "resnet50 32": (HERE / "resnet50.kiln", []),
    "bert 32x128": (HERE / "bert.kiln", []),
    "adamw 67M": (HERE / "wide.kiln", []),
    "gpt2 16x1024": (HERE / "gpt.kiln", GPT2 + ["batch=16"]),
}
SMALL_GPT = ["layers=1", "width=32", "heads=2", "context=16", "batch=2"]
SMALL_STEPS = {"mlp": (BENCH / "mlp.kiln", ["width=16"]), "gpt": (HERE / "gpt.kiln", SMALL_GPT),
               "adamw": (HERE / "wide.kiln", ["width=64", "layers=1"])}


def steps(part):
    """Whole training steps: loss, gradients, clipping where the recipe has it, optimizer."""
    for math in ("strict", "fast"):
        peer = f"kiln, {math}"
        for name, (model, settings) in (SMALL_STEPS if part.small else STEPS).items():
            if part.has(f"step {name}, memory", peer):
                continue
            built = part.build(model, "train_step", settings, math)
            row = built and part.bench(built[0], "train_step", 0.05 if part.small else 0.3)
            if not row:
                continue
            part.row(f"step {name}", row["seconds"] * 1e3, "ms", peer, dispatches=row["dispatches"], barriers=row["barriers"],
                     submits=row["submits"], gflops=row["gflops_per_second"], bytes_moved=row["bytes_moved"])
            part.row(f"step {name}, compile", built[1], "s", peer)
            part.row(f"step {name}, memory", row["device_bytes"] / 2**20, "MiB", peer)
        if math == "strict":
            part.peer("torch_rows.py", "steps")


def steps_compiled(part):
    """The peers' compilers take minutes, so they come last."""
    part.peer("jax_rows.py", "steps")
    part.peer("torch_rows.py", "steps-compiled")


def generate(part):
    """Prefill of a whole context, and a token after it."""
    settings = SMALL_GPT if part.small else GPT2 + ["batch=1"]
    name = "gpt" if part.small else "gpt2"
    part.peer("torch_rows.py", "generate")
    for math in ("strict", "fast"):
        built = part.build(HERE / "gpt.kiln", "generate.prefill,generate.step", settings, math)
        for entry, what in (("generate.prefill", "prefill"), ("generate.step", "decoding a token")) if built else ():
            row = part.bench(built[0], entry, 0.05 if part.small else 0.5)
            if row:
                part.row(f"{name}, {what}", row["seconds"] * 1e3, "ms", f"kiln, {math}", dispatches=row["dispatches"])


def kernels_of(trace):
    """Microseconds by kernel in the last step of a trace, with its launches, and the step's own."""
    events = [event for event in json.loads(trace.read_text())["traceEvents"] if event.get("ph") == "X"]
    step = [event for event in events if event["cat"] == "program"][-1]
    inside = [event for event in events if event["cat"] == "kernel" and
              step["ts"] <= event["ts"] <= step["ts"] + step["dur"]]
    kernels = {}
    for event in inside:
        taken = kernels.setdefault(event["name"], [0, 0, event["args"].get("line", "")])
        taken[0] += event["dur"]
        taken[1] += 1
    return kernels, inside, step


def profile(part):
    """Where a step's time goes: by kernel, between kernels, and on the host."""
    for name, (model, settings) in list((SMALL_STEPS if part.small else STEPS).items())[1:3]:
        built = part.build(model, "train_step", settings)
        plain = built and part.bench(built[0], "train_step", 0.05 if part.small else 0.3)
        trace = part.work / "trace.json"
        if not plain or not part.bench(built[0], "train_step", 0.05, "--profile", trace):
            continue
        kernels, inside, step = kernels_of(trace)
        if not inside:
            part.fail(f"the trace of {name} has no kernels")
            continue
        busy = sum(event["dur"] for event in inside)
        span = max(event["ts"] + event["dur"] for event in inside) - min(event["ts"] for event in inside)
        part.row(f"{name}: kernels together", busy, "us", launches=len(inside))
        part.row(f"{name}: from the first kernel to the last", span, "us")
        part.row(f"{name}: the step as the trace has it", step["dur"], "us")
        part.row(f"{name}: the step without a trace", plain["seconds"] * 1e6, "us")
        for key in ("dispatches", "barriers", "submits"):
            part.row(f"{name}: {key}", plain[key], "a step")
        for kernel, (taken, count, line) in sorted(kernels.items(), key=lambda item: -item[1][0])[:12]:
            part.row(f"{name}: {kernel}, {Path(line).name}", max(taken, 1e-3), "us", launches=count, share=taken / busy)


def validation(part):
    """With the Khronos layer: what it reports fails the call in which it came."""
    places = [os.environ.get("VK_LAYER_PATH", ""), "/usr/share/vulkan/explicit_layer.d", "/etc/vulkan/explicit_layer.d"]
    if not any(place and Path(place, "VkLayer_khronos_validation.json").exists() for place in places):
        return part.left_out("validation", "the Khronos validation layer is not here")
    gtest(part, "e2e_parity", "*Losses/iris" if part.small else "*Losses/*:*Gradients/*", "with the validation layer, parity",
          KILN_TEST_BACKEND="vulkan", KILN_TEST_DEVICE="gpu", KILN_VULKAN_VALIDATION="1")


PARTS = {
    "device": device,
    "kit-gpu": lambda part: kit(part, "gpu"),
    "kit-portable": lambda part: kit(part, "portable"),
    "parity": parity,
    "gate": gate,
    "products": products,
    "steps": steps,
    "attention": attention,
    "rows": memory_bound,
    "generate": generate,
    "profile": profile,
    "greedy": greedy,
    "validation": validation,
    "steps-compiled": steps_compiled,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("out")
    parser.add_argument("--limit", type=float, required=True)
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    part = Part(options.part, options.out, options.limit, options.small)
    if os.environ.get("KILN_GPU_BREAK") == options.part:
        part.run(["false"])
    try:
        PARTS[options.part](part)
    except Over:
        part.fail("The part's time is over. What it measured stands; run.sh with the same folder goes on from here.")
    if part.wrong:
        print("What went wrong:\n" + "\n".join(sentence[-600:] for sentence in part.wrong), flush=True)
    sys.exit(bool(part.wrong))


if __name__ == "__main__":
    main()
