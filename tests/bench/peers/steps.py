"""The training steps that are measured on both sides: the models of models/ and of tests/bench, as PyTorch makes them."""

import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "fixtures"))
import twins  # noqa: E402
from recipes import RECIPES  # noqa: E402


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
    return {"ids": ids[:, :-1].contiguous(), "next": ids[:, 1:].contiguous()}


def digits(batch):
    return {"image": torch.rand(batch, 1, 28, 28), "label": torch.randint(0, 10, (batch,))}


def sentences(batch, length):
    draw = lambda words: torch.randint(4, words, (batch, length))
    return {"source": draw(6000), "target": draw(5000), "next": draw(5000)}


def rows(batch):
    return {"features": torch.rand(batch, 4), "label": torch.randint(0, 3, (batch,))}


def of_recipe(name, batch):
    """The twin of models/NAME, its optimizer, a batch, and what makes one step of them."""
    recipe = RECIPES[name]
    model = recipe.model()
    optimizer = recipe.start(model)
    return model, optimizer, batch, lambda: recipe.advance(model, optimizer, batch, 0)


def plain(model, optimizer, batch, clip=0.0):
    """A step over cross_entropy(model(first field), second field)."""
    x, y = batch.values()

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x).flatten(0, -2), y.flatten())
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        return loss.item()

    return model, optimizer, batch, step


def step_of(name):
    """(model, optimizer, batch, step) of one of NAMES; step() makes one training step."""
    adamw = dict(lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1)
    if name == "mlp":
        model = MLP()
        return plain(model, torch.optim.SGD(model.parameters(), 0.1), digits(32))
    if name == "gpt6":
        model = twins.GPT(65, 256, 6, 6, 384)
        return plain(model, torch.optim.AdamW(model.parameters(), **adamw), tokens(12, 256), 1.0)
    if name == "lstm":
        model = CharLSTM()
        return plain(model, torch.optim.Adam(model.parameters(), 1e-3), tokens(32, 64))
    if name == "cnn":
        model = CNN()
        return plain(model, torch.optim.Adam(model.parameters(), 1e-3), digits(64))
    batches = {
        "softmax": lambda: rows(16),
        "iris": lambda: rows(16),
        "mnist": lambda: digits(32),
        "resnet": lambda: digits(64),
        "gpt": lambda: tokens(12, 64),
        "translate": lambda: sentences(64, 50),
    }
    return of_recipe(name, batches[name]())


# Where each step's .kiln file lies, and the model in it where the file has several.
FILES = {name: (f"models/{name}/{name}.kiln", None) for name in ("mnist", "resnet", "gpt", "translate")}
FILES["softmax"] = ("models/iris/iris.kiln", "Softmax")
FILES["iris"] = ("models/iris/iris.kiln", "MLP")
FILES.update({name: (f"tests/bench/{name}.kiln", None) for name in ("mlp", "cnn", "lstm", "gpt6")})
