"""Kiln beside PyTorch eager, in one run: bench.py [--kiln PATH] [--rounds N] [NAME...]

For each of mlp, gpt6, lstm, cnn: `kiln build` makes the program; then rounds of both alternate, two threads each, so that
whatever the machine does meanwhile meets both. Printed: the median time of a training step of each, the
median over the rounds of their ratio, and the fastest step of each.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import torch

import steps

HERE = Path(__file__).resolve().parent

# Slower than this many times PyTorch is above the goal.
GOALS = {"mlp": 0.5, "gpt6": 1.3, "lstm": 1.5, "cnn": 1.5}


def time_peer(step, seconds):
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.median(times), min(times)


SCALE = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}


def time_kiln(program, seconds):
    """Median and fastest of the program's own benchmark of its training step (Google Benchmark's schema)."""
    command = [program, "bench", "train_step", "--json", "--threads", "2", "--min-time", str(seconds)]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    row = report["benchmarks"][0]
    return row["median_time"] * SCALE[row["time_unit"]], row["min_time"] * SCALE[row["time_unit"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--kiln", default=str(HERE.parents[2] / "build/bin/kiln"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each round")
    options = parser.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(1)
    print("| step | Kiln | PyTorch %s eager | Kiln / PyTorch | fastest | goal |" % torch.__version__)
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.names or GOALS:
            program = f"{folder}/{name}"
            subprocess.run([options.kiln, "build", str(HERE.parent / f"{name}.kiln"), "-o", program], check=True)
            step = steps.step_of(name)[3]
            time_peer(step, 0.5)
            rounds = [(time_kiln(program, options.seconds), time_peer(step, options.seconds)) for _ in range(options.rounds)]
            ours, theirs = (statistics.median(r[i][0] for r in rounds) for i in (0, 1))
            best, peers_best = (min(r[i][1] for r in rounds) for i in (0, 1))
            ratio = statistics.median(a[0] / b[0] for a, b in rounds)
            print(
                f"| {name} | {ours * 1e3:.3f} ms | {theirs * 1e3:.3f} ms | {ratio:.2f} "
                f"| {best * 1e3:.3f} / {peers_best * 1e3:.3f} ms | {GOALS[name]} |",
                flush=True,
            )


main()
