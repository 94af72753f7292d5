"""Convolutional networks as PyTorch makes them, ONNX Runtime's runs of them, and how a side's turn is timed: for rows.py."""

import json
import subprocess
import time

import numpy as np
import onnxruntime
import torch
from torch import nn
from torch.nn import functional as F


def convolution(i, o, k, stride=1, groups=1, activation=nn.ReLU):
    layers = [nn.Conv2d(i, o, k, stride, k // 2, groups=groups, bias=False), nn.BatchNorm2d(o)]
    return nn.Sequential(*layers, *([activation()] if activation else []))


class Residual(nn.Module):
    def __init__(self, body, inputs, outputs, stride):
        super().__init__()
        self.body = body
        plain = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if plain else convolution(inputs, outputs, 1, stride, activation=None)

    def forward(self, x):
        return F.relu(self.body(x) + self.shortcut(x))


class Inverted(nn.Module):
    def __init__(self, i, o, stride, expand):
        super().__init__()
        wide = expand * i
        up = [convolution(i, wide, 1, activation=nn.ReLU6)] if expand > 1 else []
        apart = convolution(wide, wide, 3, stride, wide, nn.ReLU6)
        self.body, self.plain = nn.Sequential(*up, apart, convolution(wide, o, 1, activation=None)), stride == 1 and i == o

    def forward(self, x):
        return self.body(x) + x if self.plain else self.body(x)


class Classifier(nn.Module):
    def __init__(self, layers, features, classes):
        super().__init__()
        self.layers, self.out = nn.Sequential(*layers), nn.Linear(features, classes)

    def forward(self, x):
        return self.out(self.layers(x).mean((2, 3)))


def stem():
    return [convolution(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]


def resnet50():
    layers, inputs = stem(), 64
    for width, stride, count in ((64, 1, 3), (128, 2, 4), (256, 2, 6), (512, 2, 3)):
        for block in range(count):
            step = stride if block == 0 else 1
            body = nn.Sequential(
                convolution(inputs, width, 1), convolution(width, width, 3, step), convolution(width, 4 * width, 1, activation=None)
            )
            layers.append(Residual(body, inputs, 4 * width, step))
            inputs = 4 * width
    return Classifier(layers, 2048, 1000)


def resnet18():
    layers, inputs = stem(), 64
    for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        for step in (stride, 1):
            body = nn.Sequential(convolution(inputs, width, 3, step), convolution(width, width, 3, activation=None))
            layers.append(Residual(body, inputs, width, step))
            inputs = width
    return Classifier(layers, 512, 10)


def mobilenet():
    layers, inputs = [convolution(3, 32, 3, 2, activation=nn.ReLU6)], 32
    for outputs, stride, expand, count in (
        (16, 1, 1, 1), (24, 2, 6, 2), (32, 2, 6, 3), (64, 2, 6, 4), (96, 1, 6, 3), (160, 2, 6, 3), (320, 1, 6, 1)
    ):
        for block in range(count):
            layers.append(Inverted(inputs, outputs, stride if block == 0 else 1, expand))
            inputs = outputs
    return Classifier([*layers, convolution(320, 1280, 1, activation=nn.ReLU6)], 1280, 1000)


def onnx_run(model, inputs, threads, folder):
    """ONNX Runtime's run of a model of PyTorch on these inputs, which are named."""
    path = f"{folder}/model.onnx"
    torch.onnx.export(model.eval(), tuple(inputs.values()), path, dynamo=False, opset_version=17, input_names=list(inputs))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = {i.name for i in session.get_inputs()}
    feed = {name: value.numpy() for name, value in inputs.items() if name in names}
    return lambda: session.run(None, feed)


def torch_step(model):
    image, label = torch.randn(16, 3, 64, 64), torch.randint(0, 10, (16,))
    optimizer = torch.optim.SGD(model.train().parameters(), lr=0.1, momentum=0.9)

    def step():
        optimizer.zero_grad()
        F.cross_entropy(model(image), label).backward()
        optimizer.step()

    return step


def fastest(run, seconds):
    best, end, count = float("inf"), time.perf_counter() + seconds, 0
    while time.perf_counter() < end or count < 3:
        start = time.perf_counter()
        run()
        best, count = min(best, time.perf_counter() - start), count + 1
    return best


SCALE = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}


def kiln(program, function, threads, seconds):
    command = [program, "bench", function, "--json", "--threads", str(threads), "--min-time", str(seconds)]
    row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["benchmarks"][0]
    return row["min_time"] * SCALE[row["time_unit"]]
