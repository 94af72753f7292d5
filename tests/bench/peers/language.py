"""Language models, Kiln beside PyTorch and ONNX Runtime, in one run: language.py [--kiln PATH] [--rounds N] [ROW...]

  step64, step256   a training step of GPT-2 124M, batch 4 of 64 or 2 of 256 tokens, AdamW with clipping, beside PyTorch eager and
                    torch.compile (Inductor)
  prefill           GPT-2 124M over 256 tokens, beside ONNX Runtime
  encode            BERT-base over 128 tokens, beside ONNX Runtime
  decode            a token of GPT-2 124M, beside transformers with its cache: the middle of 64, behind 16 and behind 900 tokens

Weights are random: transformers makes the models, and their folders are what Kiln builds. Rounds alternate, two threads each, so that
whatever the machine does meanwhile meets all. Printed: the fastest of each, and the median over the rounds of Kiln's fastest over the
peer's. Needs torch, transformers, onnx, onnxruntime, numpy, and KILN_DATA for the training steps' text.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import transformers
from torch.nn import functional as F

from images import fastest, kiln, onnx_run

HERE = Path(__file__).resolve().parent

RECIPE = """
train GPT2LMHeadModel(batch={batch}, context={length}):
    data      = text("tinyshakespeare/input.txt", context={length}, batch={batch})
    loss      = cross_entropy(forward(data.ids), data.next)
    optimizer = AdamW(lr=1e-3, weight_decay=0.1)
    clip      = 1.0
    steps     = 10
"""


def gpt2():
    torch.manual_seed(0)
    options = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**options)).eval()


class Logits(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids, *rest):
        return self.model(ids, *rest, return_dict=False)[0]


def build(options, folder, source, *more):
    program = f"{folder}/program"
    subprocess.run([options.kiln, "build", source, "-o", program, *more], check=True, capture_output=True)
    return program


def torch_step(model, batch, length, compiled):
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-3, weight_decay=0.1, fused=True)
    ids, following = torch.randint(0, 65, (batch, length)), torch.randint(0, 65, (batch, length))
    run = torch.compile(model) if compiled else model

    def step():
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(run(ids).logits.flatten(0, 1), following.flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    step()
    return step


def steps(options, folder, batch, length):
    model = Path(folder, "model.kiln")
    subprocess.run([options.kiln, "import", f"{folder}/gpt2", "-o", str(model)], check=True, capture_output=True)
    model.write_text(model.read_text() + RECIPE.format(batch=batch, length=length))
    program = build(options, folder, str(model), "--model", "GPT2LMHeadModel")
    return lambda: kiln(program, "train_step", 2, 4), {
        "PyTorch eager": torch_step(gpt2(), batch, length, False),
        "torch.compile": torch_step(gpt2(), batch, length, True),
    }


def prefill(options, folder):
    program = build(options, folder, f"{folder}/gpt2", "--set", "context=256", "--entry", "forward")
    ids = torch.randint(0, 50257, (1, 256))
    return lambda: kiln(program, "forward", 2, 2), {"ONNX Runtime": onnx_run(Logits(gpt2()), {"ids": ids}, 2, folder)}


def encode(options, folder):
    model = transformers.BertModel(transformers.BertConfig()).eval()
    model.save_pretrained(f"{folder}/bert")
    program = build(options, folder, f"{folder}/bert", "--bound", "B=1", "--bound", "T=128")
    inputs = {"ids": torch.randint(0, 30000, (1, 128)), "mask": torch.ones(1, 128, dtype=torch.long)}
    return lambda: kiln(program, "forward", 2, 2), {"ONNX Runtime": onnx_run(Logits(model), inputs, 2, folder)}


def decode(options, folder, before):
    """Seconds a token, from the difference of runs that draw 65 and one."""
    program = build(options, folder, f"{folder}/gpt2", "--set", "context=1024")
    prompt = " ".join(map(str, np.random.default_rng(0).integers(0, 50257, before)))

    def drawn(tokens):
        command = [program, "generate", "--greedy", "--threads", "2", "--prompt", prompt, "--tokens", str(tokens)]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - start

    def ours():
        return min(drawn(65) for _ in range(3)) / 64 - min(drawn(1) for _ in range(3)) / 64

    model = gpt2()
    ids = torch.tensor([list(map(int, prompt.split()))])

    @torch.no_grad()
    def theirs():
        cache, token = model(ids, use_cache=True).past_key_values, ids[:, :1]
        begin = time.perf_counter()
        for _ in range(64):
            out = model(token, past_key_values=cache, use_cache=True)
            cache, token = out.past_key_values, out.logits[:, -1:].argmax(-1)
        return (time.perf_counter() - begin) / 64

    return ours, {"transformers eager": theirs}


ROWS = {
    "step64": lambda o, f: steps(o, f, 4, 64),
    "step256": lambda o, f: steps(o, f, 2, 256),
    "prefill": prefill,
    "encode": encode,
    "decode16": lambda o, f: decode(o, f, 16),
    "decode900": lambda o, f: decode(o, f, 900),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*")
    parser.add_argument("--kiln", default=str(HERE.parents[2] / "build/bin/kiln"))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(2)
    print(f"PyTorch {torch.__version__}, transformers {transformers.__version__}, ONNX Runtime {onnxruntime.__version__}")
    print("| row | Kiln ms | peer | its ms | Kiln / peer |\n|---|---|---|---|---|")
    for row in options.rows or ROWS:
        with tempfile.TemporaryDirectory() as folder:
            gpt2().save_pretrained(f"{folder}/gpt2")
            ours, peers = ROWS[row](options, folder)
            own, other, ratios = [], {name: [] for name in peers}, {name: [] for name in peers}
            for _ in range(options.rounds):
                own.append(ours())
                for name, peer in peers.items():
                    other[name].append(peer() if row.startswith("decode") else fastest(peer, 3))
                    ratios[name].append(own[-1] / other[name][-1])
            for name in peers:
                print(f"| {row} | {min(own) * 1e3:.2f} | {name} | {min(other[name]) * 1e3:.2f} | {statistics.median(ratios[name]):.2f} |", flush=True)


if __name__ == "__main__":
    main()
