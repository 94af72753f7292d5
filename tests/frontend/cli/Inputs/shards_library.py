"""The steps of a library whose batch is cut: the losses and the checkpoint of one that is not.

usage: shards_library.py KILN FILE MODEL SHARDS
"""
import ctypes
import subprocess
import sys

kiln, file, model, shards = sys.argv[1:5]
lower = model.lower()


class Tensor(ctypes.Structure):
    _fields_ = [("dtype", ctypes.c_int32), ("rank", ctypes.c_uint32), ("dims", ctypes.c_int64 * 8), ("data", ctypes.c_void_p)]


def tensor(numbers, columns):
    data = (ctypes.c_float * len(numbers))(*numbers)
    return Tensor(0, 2, (ctypes.c_int64 * 8)(len(numbers) // columns, columns), ctypes.addressof(data)), data


def library(name, options):
    path = "./lib%s.so" % name
    subprocess.run([kiln, "build", file, "--model", model, "--emit", "shared", "-o", path] + options, check=True)
    assert "shard." not in open("%s.h" % name).read()
    found = ctypes.CDLL(path)
    for function, result in (("create", ctypes.c_void_p), ("last_error", ctypes.c_char_p)):
        getattr(found, "%s_%s" % (lower, function)).restype = result
    return lambda function: getattr(found, "%s_%s" % (lower, function))


def train(call, weights):
    one = ctypes.c_void_p(call("create")(2, 0, 3))
    assert one, call("last_error")()
    losses, loss = [], ctypes.c_double()
    for step in range(6):
        x, keep = tensor([((i * 7 + step) % 11) / 11 for i in range(96)], 4)
        z, also = tensor([((i * 5 + step) % 7) / 7 for i in range(48)], 2)
        assert call("train_step")(one, (Tensor * 2)(x, z), ctypes.c_size_t(2), ctypes.byref(loss)), call("last_error")()
        losses.append(loss.value)
    assert not call("train_step")(one, (Tensor * 2)(z, x), ctypes.c_size_t(2), ctypes.byref(loss))
    assert b"input" in call("last_error")()
    assert not call("run")(one, b"shard.update", None, ctypes.c_size_t(0), None, ctypes.c_size_t(0))
    assert b"changes the parameters" in call("last_error")(), call("last_error")()
    assert call("save")(one, weights.encode()), call("last_error")()
    return losses


whole = train(library("whole", []), "whole.safetensors")
cut = train(library("cut", ["--shards", shards]), "cut.safetensors")
assert all(abs(a - b) < 2e-6 for a, b in zip(whole, cut)), (whole, cut)
assert whole[0] != whole[-1]
print("a library's %s in %s: the last loss %.9g, whole %.9g" % (model, shards, cut[-1], whole[-1]))
