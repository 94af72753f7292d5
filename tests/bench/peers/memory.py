"""Peak memory of one training step, Kiln beside PyTorch eager: memory.py [--kiln PATH] [NAME...]

Counted on both sides: the batch, the parameters, the optimizer's state, and at the worst moment of the step all
that lives beside them: activations, gradients, temporaries, scratch of kernels. Not counted: code, the interpreter, allocator slack, data
that waits for later steps.

PyTorch: every allocation and release of its CPU allocator while the step runs (torch.profiler, profile_memory), so
temporaries within an op count too; the running sum's peak, and what was alive before. The optimizer has made a step before, gradients are
released before (zero_grad's default). Kiln: what `kiln explain --memory` prints for train_step: the sum of its arguments and the arena, which
is allocated once and is all that a step uses. Lengths that vary are at their bounds on both sides.
"""

import argparse
import re
import subprocess
import sys

import torch
from torch.profiler import ProfilerActivity, profile

import steps


def tensors(model, optimizer, batch):
    yield from model.parameters()
    yield from model.buffers()
    yield from batch.values()
    for state in optimizer.state.values():
        yield from (value for value in state.values() if torch.is_tensor(value))


def peer_peak(name):
    """(bytes before the step, peak bytes)"""
    model, optimizer, batch, step = steps.step_of(name)
    step()
    optimizer.zero_grad()
    standing = sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors(model, optimizer, batch)}.values())
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        step()
    events = [e for e in recorded.profiler.kineto_results.events() if e.name() == "[memory]"]
    live = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return standing, standing + peak


def kiln_peak(kiln, name):
    """(bytes of the arguments, with the arena)"""
    path, model = steps.FILES[name]
    command = [kiln, "explain", str(steps.ROOT / path), "--memory"] + (["--model", model] if model else [])
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    match = re.search(r"^train_step: arena (\d+) .*\n.*together (\d+) bytes", text, re.MULTILINE)
    if not match:
        sys.exit(f"{name}: `{' '.join(command)}` tells nothing of train_step")
    arena, together = int(match[1]), int(match[2])
    return together - arena, together


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *steps.FILES])
    parser.add_argument("--kiln", default=str(steps.ROOT / "build/bin/kiln"))
    options = parser.parse_args()
    torch.manual_seed(1)
    print("| step | Kiln: standing | Kiln: peak | PyTorch %s: standing | PyTorch: peak | Kiln / PyTorch |" % torch.__version__)
    print("|---|---|---|---|---|---|")
    size = lambda count: f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} KB"
    for name in options.names or steps.FILES:
        ours, theirs = kiln_peak(options.kiln, name), peer_peak(name)
        print(
            f"| {name} | {size(ours[0])} | {size(ours[1])} | {size(theirs[0])} | {size(theirs[1])} | {ours[1] / theirs[1]:.2f} |",
            flush=True,
        )


main()
