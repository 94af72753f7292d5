"""GPT-2 as transformers makes it, with random weights, its training steps and its decoding: for rows.py."""

import os
import subprocess
import time

import numpy as np
import torch
import transformers
from torch.nn import functional as F

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
    """A program that has a name of its own in the folder."""
    program = f"{folder}/program{len(os.listdir(folder))}"
    subprocess.run([options.kiln, "build", str(source), "-o", program, *more], check=True, capture_output=True)
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


def decode(options, folder, before, threads):
    """Seconds a token, from the difference of runs that draw 65 and one."""
    program = build(options, folder, f"{folder}/gpt2", "--set", "context=1024")
    prompt = " ".join(map(str, np.random.default_rng(0).integers(0, 50257, before)))

    def drawn(tokens):
        command = [program, "generate", "--greedy", "--threads", str(threads), "--prompt", prompt, "--tokens", str(tokens)]
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
