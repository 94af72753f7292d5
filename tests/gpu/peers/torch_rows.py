"""What PyTorch does with the same work: torch_rows.py VERB --limit SECONDS [--small]; a line of JSON for each row.

VERB: products, attention, rows, steps, steps-compiled, generate, as the parts of parts.py. float32 comes twice: as it is, and
with TF32, whose products round their factors to 10 bits. Times are of the device alone: calls follow one another without
waiting, between two events. Without CUDA only --small does anything, to try this script.
"""

import argparse
import json
import statistics
import time

import torch
from torch.nn import functional as F

import models

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
NAME = f"PyTorch {torch.__version__.split('+')[0]}" + ("" if CUDA else " on the processor")


def row(what, value, unit, peer="", **more):
    print(json.dumps({"what": what, "value": value, "unit": unit, "peer": NAME + (", " + peer if peer else ""), **more}), flush=True)


def left_out(what, why):
    print(json.dumps({"what": what, "left out": why}), flush=True)


def use_tf32(on):
    torch.backends.cuda.matmul.allow_tf32 = on
    torch.backends.cudnn.allow_tf32 = on


def modes():
    """TF32 off and on, each with its name."""
    for on in (False, True) if CUDA else (False,):
        use_tf32(on)
        yield "TF32" if on else ""


def seconds(call, least=0.05):
    """Median over five rounds of the seconds that a call takes."""
    for _ in range(3):
        call()
    if not CUDA:
        start = time.perf_counter()
        call()
        return max(time.perf_counter() - start, 1e-9)
    torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    torch.cuda.synchronize()
    count = max(1, min(1000, int(least / 5 / (time.perf_counter() - start))))
    times = []
    for _ in range(5):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        for _ in range(count):
            call()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) / 1e3 / count)
    return statistics.median(times)


def graphed(call):
    """The call as a CUDA graph: nothing of it is launched from Python."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def products(small):
    sides = [64] if small else [4096, 1024, 8192, 2048, 512, 256, 128, 64]
    for side in sides:
        for name, dtype in (("f32", torch.float32), ("f16", torch.float16), ("bf16", torch.bfloat16)):
            a, b = (torch.randn(side, side, device=DEVICE).to(dtype) for _ in range(2))
            for mode in modes() if name == "f32" else ("",):
                for layout in ("nn", "nt", "tn", "tt"):
                    left, right = (x.T if turned == "t" else x for x, turned in zip((a, b), layout))
                    took = seconds(lambda: torch.matmul(left, right), 0.03)
                    row(f"product {name} {layout} {side}", 2 * side**3 / took / 1e9, "GFLOP/s", mode, seconds=took)
        if CUDA and side >= 64: # the one layout that it has
            a, b = (torch.randint(-128, 127, (side, side), device=DEVICE, dtype=torch.int8) for _ in range(2))
            took = seconds(lambda: torch._int_mm(a, b.T), 0.03)
            row(f"product i8 nt {side}", 2 * side**3 / took / 1e9, "GFLOP/s", "", seconds=took)


def attention(small):
    shapes = [(64, 64)] if small else [(length, depth) for length in (64, 256, 1024, 4096) for depth in (64, 128)]
    heads = (1, 2) if small else (4, 12)
    for length, depth in shapes:
        for name, dtype in (("f32", torch.float32), ("f16", torch.float16), ("bf16", torch.bfloat16)):
            q, k, v = (torch.randn(*heads, length, depth, device=DEVICE).to(dtype) for _ in range(3))
            for mode in modes() if name == "f32" else ("",):
                took = seconds(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True))
                work = 2 * heads[0] * heads[1] * length**2 * depth
                row(f"attention {name} T={length} d={depth}", work / took / 1e9, "GFLOP/s", mode, seconds=took)


def rows(small):
    height, width = (64, 256) if small else (16384, 4096)
    x, y = torch.randn(height, width, device=DEVICE), torch.empty(height, width, device=DEVICE)
    calls = {
        "copy": lambda: y.copy_(x),
        "row_softmax": lambda: F.softmax(x, -1),
        "norm": lambda: F.layer_norm(x, (width,)),
        "row_sum": lambda: x.sum(-1),
        "column_sum": lambda: x.sum(0),
    }
    for name, call in calls.items():
        took = seconds(call)
        row(f"{name} {height}x{width}", 4 * height * width * (1 if name.endswith("_sum") else 2) / took / 1e9, "GB/s", seconds=took)


def measure_step(name, peer, step, compiled_since=None):
    step()
    if CUDA:
        torch.cuda.synchronize()
    if compiled_since:
        row(f"step {name}, compile", time.perf_counter() - compiled_since, "s", peer)
    row(f"step {name}", seconds(step, 0.3) * 1e3, "ms", peer)
    if CUDA:
        row(f"step {name}, memory", torch.cuda.max_memory_allocated() / 2**20, "MiB", peer)


def steps(small, end, compiled=False):
    """Eager and as a CUDA graph; or compiled by Inductor, then as a graph too. Then "compile" is all until the first step is made."""
    names = models.SMALL if small else models.NAMES
    for name in names:
        for mode in modes():
            if time.perf_counter() > end:
                left_out(f"step {name}{' ' + mode if mode else ''}", "no time left")
                continue
            with_mode = lambda kind: ", ".join(filter(None, (kind, mode)))
            try:
                torch.manual_seed(1)
                if CUDA:
                    torch.cuda.reset_peak_memory_stats()
                begin = time.perf_counter()
                step = models.step_of(name, DEVICE, compiled)
                if not compiled:
                    measure_step(name, with_mode("eager"), step)
                if CUDA:
                    step = graphed(step)
                if CUDA or compiled:
                    measure_step(name, with_mode(", ".join(["Inductor"] * compiled + ["CUDA graph"] * CUDA)), step, begin if compiled else None)
            except Exception as error:  # one model's trouble is not another's
                left_out(f"step {name} by {NAME}, {with_mode('compiled' if compiled else 'eager')}", str(error)[:300])
            step = None
            if CUDA:
                torch.cuda.empty_cache()


def generate(small):
    settings = models.SMALL_GPT if small else models.GPT2
    name = "gpt" if small else "gpt2"
    with torch.no_grad():
        model = models.Gpt(**settings).to(DEVICE).eval()
        context = settings["context"]
        caches = model.caches(1, DEVICE)
        prompt = torch.randint(0, 65, (1, context), device=DEVICE)
        token, last = prompt[:, :1], torch.tensor([context - 1], device=DEVICE)
        for mode in modes():
            took = seconds(lambda: model.prefill(prompt, caches))
            row(f"{name}, prefill", took * 1e3, "ms", mode)
            call = lambda: model.extend(token, last, caches)
            row(f"{name}, decoding a token", seconds(call) * 1e3, "ms", ", ".join(filter(None, ("eager", mode))))
            if CUDA:
                row(f"{name}, decoding a token", seconds(graphed(call)) * 1e3, "ms", ", ".join(filter(None, ("CUDA graph", mode))))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=("products", "attention", "rows", "steps", "steps-compiled", "generate"))
    parser.add_argument("--limit", type=float, default=1e9)
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    if not CUDA and not options.small:
        return left_out(f"{options.verb} by {NAME}", "it sees no CUDA device")
    end = time.perf_counter() + options.limit * (0.9 if options.verb == "steps-compiled" else 0.5)
    if options.verb.startswith("steps"):
        return steps(options.small, end, options.verb == "steps-compiled")
    {"products": products, "attention": attention, "rows": rows, "generate": generate}[options.verb](options.small)


main()
