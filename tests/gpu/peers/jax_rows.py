"""What JAX does with the same training steps: jax_rows.py steps --limit SECONDS [--small]; a line of JSON for each row.

The perceptron, the GPTs and the encoder of parts.py, one jit over loss, gradients, clipping and optimizer, whose buffers are
given back to it. float32 comes twice: with all of its digits, and with TF32. Steps follow one another, since each takes what
the one before left. Without a GPU only --small does anything, to try this script.
"""

import argparse
import json
import time

import jax
import jax.numpy as jnp

GPU = jax.default_backend() == "gpu"
NAME = f"JAX {jax.__version__}" + ("" if GPU else " on the processor")
GPT2 = dict(vocab=50257, context=1024, layers=12, heads=12, width=768)
# Kind, batch, and the sizes; as models.py has them.
STEPS = {
    "mlp": ("mlp", 32, {}),
    "gpt6": ("gpt", 12, dict(vocab=65, context=256, layers=6, heads=6, width=384)),
    "gpt2 4x1024": ("gpt", 4, GPT2),
    "bert 32x128": ("bert", 32, dict(vocab=30522, context=128, layers=12, heads=12, width=768)),
    "gpt2 16x1024": ("gpt", 16, GPT2),
}
SMALL = {"mlp": STEPS["mlp"], "gpt": ("gpt", 2, dict(vocab=65, context=16, layers=1, heads=2, width=32))}


def row(what, value, unit, peer):
    print(json.dumps({"what": what, "value": value, "unit": unit, "peer": ", ".join(filter(None, (NAME, peer)))}), flush=True)


def left_out(what, why):
    print(json.dumps({"what": what, "left out": why}), flush=True)


def dense(key, inputs, outputs):
    return {"w": jax.random.normal(key, (inputs, outputs)) * inputs**-0.5, "b": jnp.zeros(outputs)}


def apply(layer, x):
    return x @ layer["w"] + layer["b"]


def norm(layer, x):
    middle = x - x.mean(-1, keepdims=True)
    return middle * jax.lax.rsqrt((middle * middle).mean(-1, keepdims=True) + 1e-5) * layer["w"] + layer["b"]


def mlp_weights(key):
    first, second = jax.random.split(key)
    return {"hidden": dense(first, 784, 128), "out": dense(second, 128, 10)}


def mlp(weights, x):
    return apply(weights["out"], jax.nn.relu(apply(weights["hidden"], x)))


def gpt_weights(key, vocab, context, layers, heads, width):
    keys = iter(jax.random.split(key, 2 + 4 * layers))
    scale = lambda: {"w": jnp.ones(width), "b": jnp.zeros(width)}
    table = lambda count: jax.random.normal(next(keys), (count, width)) * 0.02
    block = lambda: {"norm1": scale(), "all": dense(next(keys), width, 3 * width), "out": dense(next(keys), width, width),
                     "norm2": scale(), "up": dense(next(keys), width, 4 * width), "down": dense(next(keys), 4 * width, width)}
    return {"tokens": table(vocab), "places": table(context), "blocks": [block() for _ in range(layers)], "norm": scale()}


def gpt(weights, ids, heads, causal):
    x = weights["tokens"][ids] + weights["places"][: ids.shape[1]]
    if not causal:
        x = norm(weights["norm"], x)
    for block in weights["blocks"]:
        attend = lambda x: apply(block["out"], jax.nn.dot_product_attention(
            *jnp.split(apply(block["all"], x).reshape(*x.shape[:2], 3 * heads, -1), 3, axis=2), is_causal=causal).reshape(x.shape))
        feed = lambda x: apply(block["down"], jax.nn.gelu(apply(block["up"], x), approximate=False))
        if causal:
            x = x + attend(norm(block["norm1"], x))
            x = x + feed(norm(block["norm2"], x))
        else:
            x = norm(block["norm1"], x + attend(x))
            x = norm(block["norm2"], x + feed(x))
    return (norm(weights["norm"], x) if causal else x) @ weights["tokens"].T


def cross_entropy(logits, labels):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[..., None], -1).mean()


def sgd(weights, gradients, state):
    return jax.tree.map(lambda w, g: w - 0.1 * g, weights, gradients), state


def adamw(weights, gradients, state):
    first, second, count = state
    count = count + 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
    second = jax.tree.map(lambda v, g: 0.99 * v + 0.01 * g * g, second, gradients)
    update = lambda w, m, v: w - 1e-3 * (m / (1 - 0.9**count) / (jnp.sqrt(v / (1 - 0.99**count)) + 1e-8) + 0.1 * w)
    return jax.tree.map(update, weights, first, second), (first, second, count)


def clipped(gradients):
    size = jnp.sqrt(sum(jnp.vdot(g, g) for g in jax.tree.leaves(gradients)))
    return jax.tree.map(lambda g: g * jnp.minimum(1.0, 1.0 / (size + 1e-6)), gradients)


def step_of(kind, batch, sizes):
    """step(weights, state, x, y) and its first arguments."""
    key = jax.random.key(1)
    if kind == "mlp":
        weights, state, optimizer, forward = mlp_weights(key), (), sgd, mlp
        x, y = jax.random.uniform(key, (batch, 784)), jax.random.randint(key, (batch,), 0, 10)
    else:
        weights = gpt_weights(key, **sizes)
        zeros = lambda: jax.tree.map(jnp.zeros_like, weights)
        state, optimizer = (zeros(), zeros(), jnp.float32(0)), adamw
        forward = lambda weights, x: gpt(weights, x, sizes["heads"], kind == "gpt")
        x = jax.random.randint(key, (batch, sizes["context"]), 0, 65)
        y = jax.random.randint(key, (batch, sizes["context"]), 0, 65)

    def step(weights, state, x, y):
        loss, gradients = jax.value_and_grad(lambda weights: cross_entropy(forward(weights, x), y))(weights)
        weights, state = optimizer(weights, clipped(gradients) if kind == "gpt" else gradients, state)
        return weights, state, loss

    return step, (weights, state, x, y)


def measure(name, peer, kind, batch, sizes):
    step, (weights, state, x, y) = step_of(kind, batch, sizes)
    begin = time.perf_counter()
    compiled = jax.jit(step, donate_argnums=(0, 1)).lower(weights, state, x, y).compile()
    row(f"step {name}, compile", time.perf_counter() - begin, "s", peer)
    for _ in range(3):
        weights, state, loss = compiled(weights, state, x, y)
    loss.block_until_ready()
    begin, count = time.perf_counter(), 0
    while count < 5 or time.perf_counter() - begin < 0.3:
        for _ in range(5):
            weights, state, loss = compiled(weights, state, x, y)
        loss.block_until_ready()
        count += 5
    row(f"step {name}", (time.perf_counter() - begin) / count * 1e3, "ms", peer)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=("steps",))
    parser.add_argument("--limit", type=float, default=1e9)
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    if not GPU and not options.small:
        return left_out(f"steps by {NAME}", "it sees no GPU")
    end = time.perf_counter() + options.limit * 0.4
    for name, (kind, batch, sizes) in (SMALL if options.small else STEPS).items():
        for precision, peer in (("highest", ""), ("tensorfloat32", "TF32")) if GPU else (("highest", ""),):
            if time.perf_counter() > end:
                left_out(f"step {name} by {NAME}", "no time left")
                continue
            try:
                with jax.default_matmul_precision(precision):
                    measure(name, peer, kind, batch, sizes)
            except Exception as error:  # one model's trouble is not another's
                left_out(f"step {name} by {NAME}", str(error)[:300])


if __name__ == "__main__":
    main()
