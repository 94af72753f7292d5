"""Kiln beside PyTorch eager, in one run: bench.py [--kiln PATH] [--rounds N] [NAME...]

For each of mlp, gpt6, lstm, cnn: `kiln build` makes the program; then rounds of both alternate, two threads each, so that
whatever the machine does meanwhile meets both. Printed: the median time of a training step of each, the
median over the rounds of their ratio, and the fastest step of each.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "fixtures"))
import twins  # noqa: E402

# Slower than this many times PyTorch is above the goal.
GOALS = {"mlp": 0.5, "gpt6": 1.3, "lstm": 1.5, "cnn": 1.5}


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.out = nn.Linear(784, 128), nn.Linear(128, 10)

    def forward(self, x):
        return self.out(F.relu(self.hidden(x.flatten(1))))


class CharLSTM(nn.Module):
    def __init__(self, width=256):
        super().__init__()
        self.embed = nn.Embedding(65, width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.out = nn.Linear(width, 65)

    def forward(self, ids):
        return self.out(self.lstm(self.embed(ids))[0])


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        self.hidden, self.out = nn.Linear(64 * 5 * 5, 128), nn.Linear(128, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.out(F.relu(self.hidden(x.flatten(1))))


def tokens(batch, length):
    ids = torch.randint(0, 65, (batch, length + 1))
    return ids[:, :-1], ids[:, 1:]


def digits(batch):
    return torch.rand(batch, 1, 28, 28), torch.randint(0, 10, (batch,))


def peer(name):
    """A function that makes one training step."""
    adamw = dict(lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1)
    if name == "mlp":
        model, (x, y) = MLP(), digits(32)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
    elif name == "gpt6":
        model, (x, y) = twins.GPT(65, 256, 6, 6, 384), tokens(12, 256)
        optimizer = torch.optim.AdamW(model.parameters(), **adamw)
    elif name == "lstm":
        model, (x, y) = CharLSTM(), tokens(32, 64)
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    else:
        model, (x, y) = CNN(), digits(64)
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def step():
        optimizer.zero_grad()
        logits = model(x)
        loss = F.cross_entropy(logits.flatten(0, -2), y.flatten())
        loss.backward()
        if name == "gpt6":
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    return step


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
            step = peer(name)
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
