"""The rows of table.py: for each, Kiln's program and what its peers run for the same work.

A row's `make(folder, threads, options)` gives a function that takes Kiln's turn and returns seconds (or gigabytes), and a dictionary of
such functions for the peers. `work` is what must be done at least: (operations, "gflops"), (bytes, "read") or (bytes, "update").
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

# Settings for old builds of OpenBLAS would hold a current one back; it reads them when it is loaded.
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)

import numpy as np
import onnxruntime
import torch
import transformers
from torch.nn import functional as F

import images
import language
import steps
from images import fastest, kiln
from language import build

try:
    import openvino
except ImportError:
    openvino = None
try:
    import jax
except ImportError:
    jax = None

HERE = Path(__file__).resolve().parent
BENCH = HERE.parent
sys.path.insert(0, str(BENCH.parent / "gpu/peers"))  # JAX's steps


@dataclass
class Row:
    name: str
    title: str
    make: Callable
    work: Optional[tuple] = None
    goal: Optional[float] = None
    by: str = "ratio"  # ratio, share or value
    unit: str = "s"
    threads: int = 0
    rounds: int = 0

    @property
    def limit(self):
        return {"gflops": "multiply-adds", "read": "reading", "update": "updating"}[self.work[1]]


def versions():
    names = [f"PyTorch {torch.__version__}", f"ONNX Runtime {onnxruntime.__version__}", f"transformers {transformers.__version__}",
             f"NumPy {np.__version__} (OpenBLAS)"]
    names += [f"OpenVINO {openvino.__version__.split('-')[0]}"] if openvino else []
    names += [f"JAX {jax.__version__}"] if jax else []
    return ", ".join(names)


def sets(**values):
    return [word for name, value in values.items() for word in ("--set", f"{name}={value}")]


def timed(run, options):
    return lambda: fastest(run, options.seconds)


def onnx_peers(model, inputs, threads, folder, options):
    """ONNX Runtime and, where it is there, OpenVINO on one export."""
    torch.set_num_threads(threads)
    peers = {"ONNX Runtime": timed(images.onnx_run(model, inputs, threads, folder), options)}
    if openvino:
        core = openvino.Core()
        settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        request = core.compile_model(f"{folder}/model.onnx", "CPU", settings).create_infer_request()
        feed = [next(value.numpy() for name, value in inputs.items() if name in port.names) for port in request.model_inputs]
        peers["OpenVINO"] = timed(lambda: request.infer(feed), options)
    return peers


# Single operations


def constant_product(m, n, k):
    def make(folder, threads, options):
        program = build(options, folder, BENCH / "ops.kiln", "--model", "Products", "--entry", "constant", *sets(m=m, n=n, k=k))
        layer, x = torch.nn.Linear(k, n, bias=False), torch.randn(m, k)
        peers = onnx_peers(layer, {"x": x}, threads, folder, options)
        with torch.no_grad():
            weight = layer.weight.detach()
        peers["PyTorch"] = timed(lambda: F.linear(x, weight), options)
        return lambda: kiln(program, "constant", threads, options.seconds), peers

    return make


def product(layout, m, n, k):
    def make(folder, threads, options):
        torch.set_num_threads(threads)
        os.environ["OPENBLAS_NUM_THREADS"] = str(threads)
        program = build(options, folder, BENCH / "ops.kiln", "--model", "Products", "--entry", layout, *sets(m=m, n=n, k=k))
        a, b = torch.randn((k, m) if layout == "tn" else (m, k)), torch.randn((n, k) if layout == "nt" else (k, n))
        a, b = (a.T if layout == "tn" else a), (b.T if layout == "nt" else b)
        peers = {"PyTorch": timed(lambda: a @ b, options)}
        if threads == os.cpu_count():  # its threads are set when it is loaded
            left, right = a.numpy(), b.numpy()
            peers["OpenBLAS"] = timed(lambda: left @ right, options)
        return lambda: kiln(program, layout, threads, options.seconds), peers

    return make


def attention(length, trained):
    def make(folder, threads, options):
        torch.set_num_threads(threads)
        entry = "train_step" if trained else "forward"
        program = build(options, folder, BENCH / "ops.kiln", "--model", "Attention", "--entry", entry, *sets(length=length))
        q, k, v = (torch.randn(4, 12, length, 64, requires_grad=trained) for _ in range(3))
        optimizer = torch.optim.SGD([q, k, v], lr=1e-6)

        def step():
            optimizer.zero_grad()
            (F.scaled_dot_product_attention(q, k, v, is_causal=True) * q.detach()).sum().backward()
            optimizer.step()

        run = step if trained else lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return lambda: kiln(program, entry, threads, options.seconds), {"PyTorch": timed(run, options)}

    return make


OPERATIONS = {"layer_norm": lambda x: F.layer_norm(x, x.shape[-1:]), "softmax": lambda x: F.softmax(x, -1), "gelu": F.gelu}


def rowwise(name, columns, trained):
    def make(folder, threads, options):
        torch.set_num_threads(threads)
        entry = f"{name}_of" if not trained else "train_step" if name == "layer_norm" else f"train_step.{name}"
        program = build(options, folder, BENCH / "ops.kiln", "--model", "Rows", "--entry", entry, *sets(columns=columns))
        x = torch.randn(1024, columns, requires_grad=trained)
        optimizer = torch.optim.SGD([x], lr=1e-6)
        loss = lambda x: (OPERATIONS[name](x) * x.detach()).sum()
        peers = {}
        for peer, of in (("PyTorch", lambda f: f), ("Inductor", torch.compile)):
            function = of(loss if trained else OPERATIONS[name])

            def step(function=function):
                optimizer.zero_grad()
                function(x).backward()
                optimizer.step()

            run = step if trained else (lambda function=function: function(x))
            run()
            peers[peer] = timed(run, options)
        return lambda: kiln(program, entry, threads, options.seconds), peers

    return make


def sweep(folder, threads, options):
    torch.set_num_threads(threads)
    program = build(options, folder, BENCH / "ops.kiln", "--model", "Sweep", "--entry", "train_step")
    weight = torch.randn(124_500_000, requires_grad=True)
    weight.grad = torch.randn_like(weight)
    optimizer = torch.optim.AdamW([weight], lr=1e-6, weight_decay=0.1, fused=True)
    return lambda: kiln(program, "train_step", threads, 2), {"PyTorch, fused": lambda: fastest(optimizer.step, 2)}


# Whole steps and passes


def jax_step(name):
    import jax_rows

    step, (weights, state, x, y) = jax_rows.step_of(*jax_rows.STEPS[name])
    compiled = jax.jit(step, donate_argnums=(0, 1))

    def once():
        nonlocal weights, state
        weights, state, loss = compiled(weights, state, x, y)
        loss.block_until_ready()

    once()
    return once


def small_step(name):
    def make(folder, threads, options):
        torch.set_num_threads(threads)
        program = build(options, folder, BENCH / f"{name}.kiln", "--entry", "train_step")
        peers = {"PyTorch": timed(steps.step_of(name)[3], options)}
        if name == "mlp" and jax:
            peers["JAX"] = timed(jax_step(name), options)
        return lambda: kiln(program, "train_step", threads, options.seconds), peers

    return make


def resnet18(folder, threads, options):
    torch.set_num_threads(threads)
    program = build(options, folder, BENCH / "resnet18.kiln", "--entry", "train_step")
    return lambda: kiln(program, "train_step", threads, 1), {"PyTorch": timed(images.torch_step(images.resnet18()), options)}


def image(name, model, *more):
    def make(folder, threads, options):
        program = build(options, folder, BENCH / f"{name}.kiln", "--entry", "forward", *more)
        peers = onnx_peers(model(), {"image": torch.randn(1, 3, 224, 224)}, threads, folder, options)
        return lambda: kiln(program, "forward", threads, options.seconds), peers

    return make


def of_language(make):
    def made(folder, threads, options):
        torch.set_num_threads(threads)
        language.gpt2().save_pretrained(f"{folder}/gpt2")
        return make(folder, threads, options)

    return made


def gpt2_source(folder, options, batch, length):
    model = Path(folder, "model.kiln")
    subprocess.run([options.kiln, "import", f"{folder}/gpt2", "-o", str(model)], check=True, capture_output=True)
    model.write_text(model.read_text() + language.RECIPE.format(batch=batch, length=length))
    return model


def gpt2_step(batch, length, *more):
    def make(folder, threads, options):
        program = build(options, folder, gpt2_source(folder, options, batch, length), "--model", "GPT2LMHeadModel", "--entry", "train_step", *more)
        peers = {
            "PyTorch": lambda step=language.torch_step(language.gpt2(), batch, length, False): fastest(step, 3),
            "Inductor": lambda step=language.torch_step(language.gpt2(), batch, length, True): fastest(step, 3),
        }
        return lambda: kiln(program, "train_step", threads, 3), peers

    return of_language(make)


def narrow_step(folder, threads, options):
    """A step in bf16 beside Kiln's own in f32."""
    source = gpt2_source(folder, options, 4, 64)
    narrow, wide = (build(options, folder, source, "--model", "GPT2LMHeadModel", "--entry", "train_step", *more) for more in (["--compute", "bf16"], []))
    return lambda: kiln(narrow, "train_step", threads, 3), {"Kiln, f32": lambda: kiln(wide, "train_step", threads, 3)}


def prefill(folder, threads, options):
    program = build(options, folder, f"{folder}/gpt2", "--set", "context=256", "--entry", "forward")
    peers = onnx_peers(language.Logits(language.gpt2()), {"ids": torch.randint(0, 50257, (1, 256))}, threads, folder, options)
    return lambda: kiln(program, "forward", threads, 1), peers


def encode(folder, threads, options):
    model = transformers.BertModel(transformers.BertConfig()).eval()
    model.save_pretrained(f"{folder}/bert")
    program = build(options, folder, f"{folder}/bert", "--bound", "B=1", "--bound", "T=128")
    inputs = {"ids": torch.randint(0, 30000, (1, 128)), "mask": torch.ones(1, 128, dtype=torch.long)}
    return lambda: kiln(program, "forward", threads, 1), onnx_peers(language.Logits(model), inputs, threads, folder, options)


def decode(before):
    return of_language(lambda folder, threads, options: language.decode(options, folder, before, threads))


# What a user waits for


def cold_build(folder, threads, options):
    source = gpt2_source(folder, options, 4, 64)

    def ours():
        start = time.perf_counter()
        subprocess.run([options.kiln, "build", str(source), "--model", "GPT2LMHeadModel", "--no-cache", "-o", f"{folder}/cold"], check=True, capture_output=True)
        return time.perf_counter() - start

    return ours, {}


def from_outside(command):
    """Seconds and gigabytes (at the most) of a command. Told by a small process of its own: a child counts what its parent holds when it
    begins as held, and this one has held models."""
    watch = (
        "import os, subprocess, sys, time; start = time.perf_counter();"
        "child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL);"
        "_, status, usage = os.wait4(child.pid, 0); print(status, time.perf_counter() - start, usage.ru_maxrss)"
    )
    told = subprocess.run([sys.executable, "-S", "-c", watch, *map(str, command)], check=True, capture_output=True, text=True)
    status, seconds, kilobytes = told.stdout.split()
    if status != "0":
        raise RuntimeError(f"{command[0]} ended with status {status}")
    return float(seconds), float(kilobytes) * 1024 / 1e9


def first_step(which):
    """From the process's start to the first step's end, or the most memory on the way. The less of two runs: the second has memory that the
    machine has just used, where the first may wait for a host to give it some."""

    def least(command):
        return min(from_outside(command)[which] for _ in range(2))

    def make(folder, threads, options):
        source = gpt2_source(folder, options, 4, 64)
        program = build(options, folder, source, "--model", "GPT2LMHeadModel")
        ours = [program, "train", "--steps", "1", "--threads", str(threads)]
        script = f"import sys; sys.path.insert(0, {str(HERE)!r}); import torch, language; torch.set_num_threads({threads}); language.torch_step(language.gpt2(), 4, 64, False)"
        return lambda: least(ours), {"PyTorch": lambda: least([sys.executable, "-c", script])}

    return of_language(make)


def causal_work(length, trained):
    """Multiply-adds count two; the mask leaves half of two products forward, of five more backward."""
    return 48 * length**2 * 64 * 2 * (3.5 if trained else 1)


GPT2_STEP = 6 * 123.6e6  # operations a token, but attention: every matrix forward once, backward twice

ROWS = [
    *[Row(f"constant {m}x{k}x{n}", f"product, weights constant, {m}×{k}×{n}", constant_product(m, n, k), (2 * m * n * k, "gflops"), 0.94, "share")
      for m, k, n in ((256, 768, 768), (256, 768, 2304), (256, 768, 3072), (256, 3072, 768))],
    *[Row(f"{layout} {m}x{k}x{n}", f"product, both changing, {layout}, {m}×{k}×{n}", product(layout, m, n, k), (2 * m * n * k, "gflops"), goal, "share")
      for m, k, n, goal in ((256, 768, 3072, 0.90), (256, 3072, 768, 0.90), (256, 768, 50304, 0.88)) for layout in ("nn", "nt", "tn")],
    *[Row(f"nn {s}", f"product, {s}³", product("nn", s, s, s), (2 * s**3, "gflops"), 0.94, "share") for s in (1024, 2048)],
    *[Row(f"row 768x{n}", f"one row, 1×768×{n}", constant_product(1, n, 768), (4 * 768 * n, "read"), 0.95, "share") for n in (3072, 50304)],
    Row("nn 64", "product, 64³, one thread", product("nn", 64, 64, 64), (2 * 64**3, "gflops"), 0.85, "share", threads=1),
    Row("nn 17x65x33", "product, 17×65×33, one thread", product("nn", 17, 33, 65), (2 * 17 * 33 * 65, "gflops"), 0.50, "share", threads=1),
    *[Row(f"attention {t}", f"causal attention, 4×12 heads of 64, T {t}", attention(t, False), (causal_work(t, False), "gflops"), goal, "share")
      for t, goal in ((64, 0.45), (256, 0.55), (1024, 0.65), (2048, 0.70))],
    *[Row(f"attention {t} trained", f"… forward and backward, T {t}", attention(t, True), (causal_work(t, True), "gflops"), goal, "share")
      for t, goal in ((64, 0.45), (256, 0.55), (1024, 0.64), (2048, 0.70))],
    *[Row(f"{op} {c}{' trained' * t}", f"{op}, 1024×{c}{', forward, backward and update' * t}", rowwise(op, c, t), ((12 if t else 8) * 1024 * c, "update"), 0.95, "share")
      for op in OPERATIONS for c in (768, 50304) for t in (False, True)],
    Row("adamw", "AdamW over 124.5M parameters (28 bytes each)", sweep, (28 * 124.5e6, "update"), 0.97, "share"),
    Row("step64", "GPT-2 124M, training step, 4×64", gpt2_step(4, 64), (GPT2_STEP * 256, "gflops"), 0.62, rounds=3),
    Row("step256", "GPT-2 124M, training step, 2×256", gpt2_step(2, 256), (GPT2_STEP * 512, "gflops"), 0.68, rounds=3),
    Row("step64 bf16", "GPT-2 124M, training step, 4×64, products in bf16", of_language(narrow_step), None, 1 / 1.6, rounds=3),
    Row("gpt6", "character GPT, 6×384, 12×256, training step", small_step("gpt6"), None, 0.70, rounds=3),
    Row("mlp", "MLP 784-128-10, batch 32, SGD", small_step("mlp"), None, 0.25),
    Row("lstm", "LSTM 256, T 64, batch 32, Adam", small_step("lstm"), None, 0.55),
    Row("cnn", "CNN 32-64-128, 28×28, batch 64, Adam", small_step("cnn"), None, 0.65),
    Row("prefill", "GPT-2 124M, 256 tokens", of_language(prefill), (2 * 123.6e6 * 256, "gflops"), 0.78),
    Row("encode", "BERT-base, 128 tokens, batch 1", of_language(encode), (2 * 85e6 * 128, "gflops"), 0.80),
    Row("decode16", "GPT-2 124M, a token behind 16", decode(16), (4 * 124.4e6, "read"), 0.97, "share", rounds=3),
    Row("decode900", "GPT-2 124M, a token behind 900", decode(900), (4 * 124.4e6 + 8 * 932 * 12 * 768, "read"), 0.97, "share", rounds=3),
    Row("resnet50", "ResNet-50, one image", image("resnet50", images.resnet50), (2 * 4.09e9, "gflops"), 0.90),
    Row("resnet50 fast", "ResNet-50, one image, `--math fast`", image("resnet50", images.resnet50, "--math", "fast"), None, 0.90),
    Row("mobilenet", "MobileNetV2, one image", image("mobilenet", images.mobilenet), (2 * 0.3e9, "gflops"), 0.90),
    Row("resnet18", "ResNet-18, training step, 16 images of 64²", resnet18, None, 0.70),
    Row("build", "GPT-2 124M, all entries, built cold", of_language(cold_build), None, 1.5, "value", rounds=3),
    Row("first step", "GPT-2 124M, process to the first step's end", first_step(0), None, 2.0, "value", rounds=2),
    Row("first step, memory", "GPT-2 124M, the most memory on the way", first_step(1), None, 2.2, "value", unit="GB", rounds=2),
]
