"""The steps of parts.py as PyTorch makes them: the same sizes, losses and optimizers, written as one would for speed (queries,
keys and values in one product, fused optimizers)."""

import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench/peers"))
import steps as bench  # noqa: E402

GPT2 = dict(vocab=50257, context=1024, layers=12, heads=12, width=768)
SMALL_GPT = dict(vocab=65, context=16, layers=1, heads=2, width=32)


class Block(nn.Module):
    def __init__(self, width, heads, causal=True, after=False):
        super().__init__()
        self.heads, self.causal, self.after = heads, causal, after
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.all, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def split(self, x):
        batch, length, width = x.shape
        return self.all(x).view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)

    def attend(self, x):
        q, k, v = self.split(x)
        return self.out(F.scaled_dot_product_attention(q, k, v, is_causal=self.causal).transpose(1, 2).flatten(2))

    def forward(self, x):
        if self.after:  # BERT's order
            x = self.norm1(x + self.attend(x))
            return self.norm2(x + self.mlp(x))
        x = x + self.attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))

    def extend(self, x, position, cache):
        """Tokens at `position` and on; keys and values of those before are in the cache, as long as the context."""
        q, k, v = self.split(self.norm1(x))
        cache[0].index_copy_(2, position, k)
        cache[1].index_copy_(2, position, v)
        if len(position) > 1:  # all from the first
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            seen = torch.arange(cache.shape[3], device=x.device) <= position
            y = F.scaled_dot_product_attention(q, cache[0], cache[1], attn_mask=seen[None, None, None])
        x = x + self.out(y.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


class Gpt(nn.Module):
    """With `causal` False, BERT."""

    def __init__(self, vocab, context, layers, heads, width, causal=True):
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocab, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList([Block(width, heads, causal, not causal) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.causal, self.heads, self.context = causal, heads, context
        for table in (self.tokens, self.places):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, ids):
        x = self.tokens(ids) + self.places.weight[: ids.shape[1]]
        if not self.causal:
            x = self.norm(x)
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm(x) if self.causal else x, self.tokens.weight)

    def caches(self, batch, device):
        width = self.tokens.weight.shape[1]
        return [torch.zeros(2, batch, self.heads, self.context, width // self.heads, device=device) for _ in self.blocks]

    def extend(self, ids, position, caches):
        x = self.tokens(ids) + self.places(position)
        for block, cache in zip(self.blocks, caches):
            x = block.extend(x, position, cache)
        return F.linear(self.norm(x[:, -1]), self.tokens.weight)

    def prefill(self, ids, caches):
        return self.extend(ids, torch.arange(ids.shape[1], device=ids.device), caches)


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        conv = lambda a, b, size, step=1: nn.Conv2d(a, b, size, stride=step, padding=size // 2, bias=False)
        norm = nn.BatchNorm2d
        self.body = nn.Sequential(conv(inputs, width, 1), norm(width), nn.ReLU(), conv(width, width, 3, stride), norm(width),
                                  nn.ReLU(), conv(width, 4 * width, 1), norm(4 * width))
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != 4 * width:
            self.shortcut = nn.Sequential(conv(inputs, 4 * width, 1, stride), norm(4 * width))

    def forward(self, x):
        return F.relu(self.body(x) + self.shortcut(x))


class ResNet50(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        blocks, inputs = [], 64
        for width, stride, count in ((64, 1, 3), (128, 2, 4), (256, 2, 6), (512, 2, 3)):
            for i in range(count):
                blocks.append(Bottleneck(inputs, width, stride if i == 0 else 1))
                inputs = 4 * width
        self.blocks, self.out = nn.Sequential(*blocks), nn.Linear(inputs, 10)

    def forward(self, x):
        return self.out(self.blocks(self.stem(x.repeat_interleave(8, 2).repeat_interleave(8, 3))).mean((2, 3)))


class Wide(nn.Module):
    def __init__(self, width=4096, layers=4):
        super().__init__()
        self.table = nn.Embedding(65, width)
        self.layers = nn.Sequential(*(nn.Linear(width, width) for _ in range(layers)))

    def forward(self, ids):
        return F.linear(self.layers(self.table(ids)), self.table.weight)


def adamw(rate=1e-3, decay=0.1):
    return lambda weights, **more: torch.optim.AdamW(weights, rate, (0.9, 0.99), weight_decay=decay, **more)


def sgd(rate, momentum=0.0):
    return lambda weights, capturable=False, **more: torch.optim.SGD(weights, rate, momentum, **more)


def adam(weights, **more):
    return torch.optim.Adam(weights, 1e-3, **more)


# Model, batch, optimizer, norm that gradients are clipped to (0: not).
STEPS = {
    "mlp": (bench.MLP, lambda: bench.digits(32), sgd(0.1), 0),
    "gpt6": (lambda: Gpt(65, 256, 6, 6, 384), lambda: bench.tokens(12, 256), adamw(), 1.0),
    "gpt2 4x1024": (lambda: Gpt(**GPT2), lambda: bench.tokens(4, 1024), adamw(), 1.0),
    "lstm": (bench.CharLSTM, lambda: bench.tokens(32, 64), adam, 0),
    "cnn": (bench.CNN, lambda: bench.digits(64), adam, 0),
    "resnet50 32": (ResNet50, lambda: bench.digits(32), sgd(0.1, 0.9), 0),
    "bert 32x128": (lambda: Gpt(30522, 128, 12, 12, 768, causal=False), lambda: bench.tokens(32, 128), adamw(1e-4, 0.01), 0),
    "adamw 67M": (Wide, lambda: bench.tokens(1, 1), adamw(1e-4), 0),
    "gpt2 16x1024": (lambda: Gpt(**GPT2), lambda: bench.tokens(16, 1024), adamw(), 1.0),
}
NAMES = list(STEPS)
STEPS["gpt"] = (lambda: Gpt(**SMALL_GPT), lambda: bench.tokens(2, 16), adamw(), 1.0)
STEPS["adamw"] = (lambda: Wide(64, 1), lambda: bench.tokens(1, 1), adamw(1e-4), 0)
SMALL = ["mlp", "gpt", "adamw"]


def step_of(name, device, compiled):
    """What makes one training step, without waiting for the device."""
    make, batch, optimizer, clip = STEPS[name]
    model = make().to(device)
    x, y = (value.to(device) for value in batch().values())
    cuda = device == "cuda"
    optimizer = optimizer(list(model.parameters()), **(dict(fused=True, capturable=True) if cuda else {}))

    def loss_of(x, y):
        return F.cross_entropy(model(x).flatten(0, -2), y.flatten())

    if compiled:
        loss_of = torch.compile(loss_of)

    def step():
        optimizer.zero_grad()
        loss_of(x, y).backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip, foreach=cuda or None)
        optimizer.step()

    return step
