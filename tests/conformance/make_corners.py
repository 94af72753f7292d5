"""Writes Corners.inc: values and gradients of the language's functions where they have corners, ties, infinities or zeros,
as PyTorch gives them. For CornersTest.cpp. Run by hand; the build does not need it."""
import os

import torch
import torch.nn.functional as F

inf, nan = float("inf"), float("nan")
cases = []


def number(v):
    if isinstance(v, int):
        return str(v)
    if v != v:
        return "NAN"
    if v in (inf, -inf):
        return "INFINITY" if v > 0 else "-INFINITY"
    return repr(v)


def block(values):
    return "{" + ", ".join(number(v) for v in values) + "}"


def flat(t):
    return [v for v in t.detach().reshape(-1).tolist()]


def shape(t):
    return "{" + ", ".join(str(d) for d in t.shape) + "}"


class Data:
    """An input without a gradient."""

    def __init__(self, values, dtype=torch.float32):
        self.values, self.dtype = values, dtype


NAMES = {torch.float32: "f32", torch.float64: "f64", torch.int32: "i32", torch.int64: "i64"}


def case(name, expression, f, *inputs, value=None, gradients=True):
    """`expression` is of the inputs x, y, z, w. `value`: where PyTorch's own is not the right one."""
    tensors = []
    for item in inputs:
        data = isinstance(item, Data)
        t = torch.tensor(item.values if data else item, dtype=item.dtype if data else torch.float32)
        tensors.append(t.requires_grad_() if not data and gradients else t)
    if f is None:
        result = torch.tensor(value)
        grads = ["{}"] * len(tensors)
    else:
        result = f(*tensors)
        if gradients and result.requires_grad:
            result.backward(torch.arange(1.0, result.numel() + 1).reshape(result.shape).to(result.dtype))
        grads = [block(flat(t.grad)) if t.grad is not None else block(flat(torch.zeros_like(t))) if t.requires_grad else "{}"
                 for t in tensors]
    expression = expression.replace("'", '\\"')
    operands = ", ".join(f'{{"{NAMES[t.dtype]}", {shape(t)}, {block(flat(t))}}}' for t in tensors)
    cases.append(f'{{"{name}", "{expression}",\n {{{operands}}},\n {shape(result)}, {block(flat(result))},\n '
                 f'{{{", ".join(grads)}}}}},')


line = [-20.0, -6.0, -1.0, -0.0, 0.0, 0.5, 2.0]
case("elu", "elu(x)", F.elu, line)
case("elu_half", "elu(x, 0.5)", lambda x: F.elu(x, 0.5), line)
case("celu", "celu(x, 2.0)", lambda x: F.celu(x, 2.0), line)
case("selu", "selu(x)", F.selu, line)
case("leaky_relu", "leaky_relu(x, 0.125)", lambda x: F.leaky_relu(x, 0.125), line)
case("relu", "relu(x)", F.relu, line)
case("abs", "abs(x)", torch.abs, line)
case("prelu", "where(x > 0, x, y * x)", lambda x, y: F.prelu(x, y), line, [0.25])
ends = [-4.0, -3.0, -1.0, -0.0, 0.0, 1.0, 3.0, 6.0, 7.0]
case("clip", "clip(x, -1, 3)", lambda x: x.clamp(-1, 3), ends)
case("clip_low", "clip(x, low=-1.0)", lambda x: x.clamp(min=-1), ends)
case("clip_high", "clip(x, high=3.0)", lambda x: x.clamp(max=3), ends)
case("clip_crossed", "clip(x, 2.0, 1.0)", lambda x: x.clamp(2.0, 1.0), [0.0, 1.0, 1.5, 2.0, 3.0])
case("clip_tensors", "clip(x, y, z)", lambda x, y, z: torch.clamp(x, y, z), [1.0, 2.0, 3.0, 0.0, 5.0, 2.0],
     [1.0, 1.0, 1.0, 1.0, 1.0, 3.0], [3.0, 3.0, 3.0, 3.0, 3.0, 1.0])
case("clip_nan", "clip(x, -1.0, 1.0)", lambda x: x.clamp(-1, 1), [nan, inf, -inf], gradients=False)
case("relu6", "relu6(x)", F.relu6, ends)
case("hardtanh", "hardtanh(x)", F.hardtanh, ends)
case("hardsigmoid", "hardsigmoid(x)", F.hardsigmoid, ends)
case("hardswish", "hardswish(x)", F.hardswish, ends)
case("maximum", "maximum(x, y)", torch.maximum, [1.0, 2.0, 0.0], [1.0, 1.0, 1.0])
case("minimum", "minimum(x, y)", torch.minimum, [1.0, 2.0, 0.0], [1.0, 1.0, 1.0])
rows = [[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [-inf, -inf, 0.0]]
case("reduce_max", "max(x, axis=1)", lambda x: x.amax(1), rows)
case("reduce_min", "min(x, axis=1)", lambda x: x.amin(1), rows)
case("sort", "sort(x, axis=1)[0]", lambda x: x.sort(dim=1, stable=True)[0], rows)
case("sort_nan", "sort(x, axis=1, descending=True)[0]", lambda x: x.sort(dim=1, stable=True, descending=True)[0],
     [[1.0, nan, 2.0, 1.0]])
case("max_pool", "max_pool(x, 2)", lambda x: F.max_pool1d(x, 2), [[[1.0, 1.0, 2.0, 3.0, nan, 1.0]]])
case("expm1", "expm1(x)", torch.expm1, [-1.0, 0.0, 1.0])
case("expm1_far", "expm1(x)", lambda x: torch.exp(x) - 1, [-20.0, -6.0])

errors = [0.0, 1.0, -1.0, 2.0, 1e30, -1e30]
none = [0.0] * 6
case("huber", "huber(x, y, reduction='none')", lambda x, y: F.huber_loss(x, y, reduction="none"), errors, none)
case("mae", "mae(x, y, reduction='none')", lambda x, y: F.l1_loss(x, y, reduction="none"), errors, none)
case("hinge", "hinge(x, y, reduction='none')", lambda x, y: F.relu(1 - x * y), [1.0, 0.5, -1.0], Data([1.0, 1.0, -1.0]))
case("margin_ranking", "margin_ranking(x, y, z, margin=1.0, reduction='none')",
     lambda x, y, z: F.margin_ranking_loss(x, y, z, margin=1.0, reduction="none"), [1.0, 0.0, 3.0], [0.0, 1.0, 3.0],
     Data([1.0, -1.0, 1.0]))
p = [0.0, 1.0, 0.0, 1.0, 1e-8, 0.5, 0.25]
case("bce", "bce(x, y, reduction='none')", lambda x, y: F.binary_cross_entropy(x, y, reduction="none"), p,
     Data([0.0, 0.0, 1.0, 1.0, 0.0, 0.5, 1.0]))
case("bce_of_sigmoid", "bce(sigmoid(x * y), z)", lambda x, y, z: F.binary_cross_entropy(torch.sigmoid(x * y), z), [1.0],
     Data([20.0, 1.0]), Data([1.0, 1.0]))
case("bce_with_logits", "bce_with_logits(x, y, reduction='none')",
     lambda x, y: F.binary_cross_entropy_with_logits(x, y, reduction="none"), [0.0, 90.0, -90.0, 90.0, 1.0],
     Data([0.0, 1.0, 1.0, 0.0, 0.5]))
kl = lambda **more: lambda x, y: F.kl_div(x, y, reduction="none", **more)
case("kl_div", "kl_div(x, y, reduction='none')", kl(), [-inf, -inf, 0.5, -1.0, -2.0, 0.5],
     Data([0.0, 0.25, 0.5, 0.0, 1.0, -1.0]))
case("kl_div_of_target", "kl_div(x, y, reduction='none')", kl(), Data([-inf, 0.5, -2.0]), [0.25, 0.5, 1.0])
case("kl_div_log", "kl_div(x, y, log_target=True, reduction='none')", kl(log_target=True),
     [-inf, -inf, 0.5, -1.0, inf], [-inf, -1.5, -inf, -0.5, -1.0])
equal = [[2.0, 2.0, 2.0], [1.0, 2.0, 4.0]]
case("std_of_equal", "std(x, axis=1)", lambda x: x.std(dim=1, correction=0), equal)
case("std_corrected", "std(x, axis=1, correction=1)", lambda x: x.std(dim=1), equal)
case("std_of_all", "std(x)", lambda x: x.std(correction=0), equal)
case("std_of_columns", "std(x, axis=0)", lambda x: x.std(dim=0, correction=0), [[1.0, 2.0], [1.0, 4.0], [1.0, 9.0]])
case("std_of_one", "std(x, axis=1, correction=1)", lambda x: x.std(dim=1), [[2.0], [1.0]])
case("var_of_equal", "var(x, axis=1)", lambda x: x.var(dim=1, correction=0), equal)
for name, size in (("large", 1e20), ("small", 1e-30), ("beyond", 1e15), ("below", 1e-16)):
    case(f"std_of_{name}", "std(x, axis=1)", lambda x: x.std(dim=1, correction=0),
         [[size, 0.75 * size, -size], [size, -size, 0.5 * size]])
    # (PyTorch's own overflows along an axis, though not over all.)
    case(f"norm_of_{name}", "vector_norm(x, axis=1)", lambda x: torch.linalg.vector_norm(x.double(), dim=1).float(),
         [[3 * size, 4 * size], [size, 0.0]])
case("var_of_large", "var(x, axis=1)", lambda x: x.var(dim=1, correction=0), [[1e20, -1e20], [1.0, 2.0]], gradients=False)
case("norm", "vector_norm(x, axis=1, keepdims=True)", lambda x: torch.linalg.vector_norm(x, dim=1, keepdim=True),
     [[0.0, 0.0], [3.0, 4.0], [-0.0, 0.0]])
case("norm_of_all", "vector_norm(x)", torch.linalg.vector_norm, [[1.0, 2.0], [2.0, 4.0]])
case("norm_infinite", "vector_norm(x, axis=1)", lambda x: torch.linalg.vector_norm(x, dim=1), [[inf, 1.0], [nan, 0.0]],
     gradients=False)
case("cosine", "cosine_similarity(x, y, axis=1)", lambda x, y: F.cosine_similarity(x, y, dim=1),
     [[0.0, 0.0], [1.0, 0.0], [3.0, 4.0], [1e-9, 0.0], [0.0, 0.0]],
     [[1.0, 2.0], [0.0, 1.0], [4.0, 3.0], [1.0, 0.0], [0.0, 0.0]])
case("cosine_embedding", "cosine_embedding(x, y, z, reduction='none')",
     lambda x, y, z: F.cosine_embedding_loss(x, y, z, reduction="none"), [[0.0, 0.0], [0.0, 0.0], [3.0, 4.0], [3.0, 4.0]],
     [[1.0, 2.0], [0.0, 1.0], [4.0, 1.0], [0.0, 0.0]], Data([1.0, -1.0, 1.0, -1.0]))
case("triplet", "triplet(x, y, z, reduction='none')",
     lambda x, y, z: F.triplet_margin_loss(x, y, z, reduction="none"), [[1.0, 2.0], [1.0, 2.0]], [[1.0, 2.0], [2.0, 2.0]],
     [[1.0, 3.0], [5.0, 5.0]])
whole = [[-inf, -inf], [inf, 0.0], [0.0, 0.0], [inf, inf], [-inf, 0.0], [nan, 0.0], [inf, -inf], [1e30, -1e30]]
case("logsumexp", "logsumexp(x, axis=1)", lambda x: x.logsumexp(1), whole)
case("logsumexp_of_columns", "logsumexp(x, axis=0)", lambda x: x.logsumexp(0), [[-inf, 0.0, inf], [-inf, -inf, 1.0]])
case("softmax", "softmax(x, axis=1)", lambda x: x.softmax(1), whole)
case("log_softmax", "log_softmax(x, axis=1)", lambda x: x.log_softmax(1), whole, gradients=False)

logits = [[1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 0.0, 1.0], [2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 5.0]]
targets = Data([1, -100, 3, -100], torch.int32)
hidden = Data([-100] * 4, torch.int64)
wide = Data([1, -100, 3, -100], torch.int64)
for how in ("mean", "sum", "none"):
    case(f"cross_entropy_{how}", f"cross_entropy(x, y, reduction='{how}')",
         lambda x, y, how=how: F.cross_entropy(x, y.long(), reduction=how), logits, targets)
case("cross_entropy_smooth", "cross_entropy(x, y, smoothing=0.1)",
     lambda x, y: F.cross_entropy(x, y.long(), label_smoothing=0.1), logits, wide)
case("cross_entropy_said", "cross_entropy(x, y, ignore_index=3)", lambda x, y: F.cross_entropy(x, y, ignore_index=3),
     logits, Data([3, 0, 1, 3], torch.int64))
case("cross_entropy_of_none", "cross_entropy(x, y)", lambda x, y: F.cross_entropy(x, y), logits, hidden)
case("nll", "nll(x, y)", lambda x, y: F.nll_loss(x, y.long()), logits, targets)
case("nll_of_none", "nll(x, y)", lambda x, y: F.nll_loss(x, y), logits, hidden)

torch.manual_seed(0)
for name, t, s in (("few", 2, 3), ("many", 9, 19)):
    q, k, v = (torch.round(torch.randn(1, 1, n, 8) * 100).div(100).tolist() for n in (t, s, s))
    seen = (torch.rand(1, 1, t, s) > 0.4).float()
    seen[0, 0, 0] = 0
    seen[0, 0, t - 1] = 0
    case(f"attention_{name}", "attention(x, y, z, mask=w > 0.5)",
         lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, attn_mask=m > 0.5), q, k, v, Data(seen.tolist()))
    if name == "few":
        case(f"attention_{name}_biased", "attention_with(x, y, z, mask=w > 0.5, bias=0.0 * sum(x))",
             lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, attn_mask=m > 0.5), q, k, v, Data(seen.tolist()))
q, k, v = (torch.round(torch.randn(1, 1, n, 8) * 100).div(100).tolist() for n in (20, 12, 12))
case("attention_causal_shorter", "attention(x, y, z, causal=True)",
     lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=torch.ones(20, 12).tril(-8).bool()), q, k, v)


def added(name, expression, sizes, over, mask=None):
    """Numbers added to the scores of `sizes` (batch, heads, queries, keys), broadcast from `over`; some hide their key, and
    those of the first and the last query all keys where there are more."""
    b, h, t, s = sizes
    q, k, v = (torch.round(torch.randn(b, h, n, d) * 100).div(100).tolist() for n, d in ((t, 2), (s, 2), (s, 3)))
    bias = torch.round(torch.randn(over) * 100).div(100)
    bias[torch.rand(over) < 0.2] = -inf
    if over[2] > 1:
        bias[0, 0, 0] = bias[-1, -1, -1] = -inf
    if mask is not None:
        bias[:, :, ~mask] = nan  # nobody looks there

    def attention(q, k, v, w):
        w = w.broadcast_to(sizes)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=w if mask is None else torch.where(mask, w, -inf))

    case(f"attention_added_{name}", f"attention_with(x, y, z, bias=w{expression})", attention, q, k, v, bias.tolist())


added("shared", "", (2, 2, 9, 11), (1, 2, 9, 11))
added("whole", "", (2, 1, 9, 11), (2, 1, 9, 11))
added("by_heads", "", (1, 2, 9, 11), (1, 1, 9, 11))
added("by_queries", "", (2, 1, 9, 11), (2, 1, 1, 11))
added("one_query", "", (2, 2, 1, 11), (1, 2, 1, 11))
added("masked", ", mask=((iota(9)[:, None] + 3 * iota(11)) % 4 != 0)[None, None]", (1, 2, 9, 11), (1, 2, 9, 11),
      (torch.arange(9)[:, None] + 3 * torch.arange(11)) % 4 != 0)
added("causal_longer", ", causal=True", (2, 1, 9, 21), (1, 1, 9, 21), torch.ones(9, 21).tril(12).bool())
added("causal_shorter", ", causal=True", (1, 1, 20, 12), (1, 1, 20, 12), torch.ones(20, 12).tril(-8).bool())


def capped(name, expression, sizes, cap, seen=None, times=1.0, sinks=False):
    """Scores with a soft cap, of `sizes` (heads of queries and keys, queries, keys); `seen` bool of queries by keys. A query that
    sees no key gives 0."""
    h, pairs, t, s = sizes
    q, k, v = (torch.round(torch.randn(1, n, m, d) * 100 * f).div(100).tolist()
               for n, m, d, f in ((h, t, 4, times), (pairs, s, 4, 1.0), (pairs, s, 3, 1.0)))

    def attention(q, k, v, w):
        k, v = (x.repeat_interleave(h // pairs, 1) for x in (k, v))
        scores = cap * torch.tanh(q @ k.mT / 2 / cap)
        mask = torch.ones(t, s, dtype=torch.bool) if seen is None else (w > 0.5 if isinstance(seen, str) else seen)
        some = mask.any(-1, keepdim=True)
        scores = torch.where(mask, scores, torch.where(some, -inf, 0.0))
        if sinks:
            scores = torch.cat([scores, w[None, :, None, None].expand(1, h, t, 1)], -1)
        return torch.where(some, scores.softmax(-1), 0.0)[..., :s] @ v

    w = [0.5, -1.0] if sinks else Data([[float((3 * i + 5 * j) % 4 > 1 and i != 0) for j in range(s)] for i in range(t)])
    case(f"capped_{name}", f"attention(x, y, z{expression}, softcap={cap})", attention, q, k, v, w)


capped("few", ", mask=w > 0.5", (2, 2, 3, 5), 1.5, "w")
capped("many", ", mask=w > 0.5", (1, 1, 9, 19), 1.5, "w")
capped("little", "", (1, 1, 9, 9), 50.0)
capped("large_scores", "", (1, 1, 9, 11), 2.0, times=100.0)
capped("zeros", "", (1, 1, 9, 11), 2.0, times=0.0)
capped("causal_shorter", ", causal=True", (1, 1, 20, 12), 2.0, torch.ones(20, 12).tril(-8).bool())
capped("window_of_shared", ", causal=True, window=3", (4, 2, 9, 9), 0.5, torch.ones(9, 9).tril().triu(-2).bool())
capped("step_of_shared", ", causal=True, window=3", (4, 2, 1, 9), 0.5, torch.ones(1, 9).triu(6).bool())
capped("sinks", ", causal=True, sinks=w", (2, 1, 9, 9), 2.0, torch.ones(9, 9).tril().bool(), sinks=True)
case("attend", "attend(x, y, z > 0.5)",
     lambda x, y, z: (torch.nan_to_num(torch.where(z > 0.5, x, -inf).softmax(1))[:, :, None] * y).sum(1),
     [[1.0, 2.0, 0.5], [0.0, 1.0, 2.0]], [[[1.0], [2.0], [3.0]], [[4.0], [5.0], [6.0]]],
     Data([[0.0, 0.0, 0.0], [1.0, 1.0, 0.0]]), gradients=False)

a = Data([1.0, 5.0, 7.0, inf, 3.0, -3.0, 1.0, -1.0, 0.0, -0.0, nan, 6.0, -6.0, 1e30, 0.0, 3.0])
b = Data([0.1, 0.1, -0.7, 3.0, inf, inf, 0.0, 0.0, 0.0, 3.0, 1.0, 3.0, 3.0, 3.0, -3.0, -inf])
case("floor_quotient", "x // y", lambda x, y: x // y, a, b)
case("floor_quotient_sign", "1.0 / (x // y)", lambda x, y: 1.0 / (x // y), a, b)
case("floor_remainder", "x % y", lambda x, y: x % y, a, b)
case("floor_quotient_by_number", "x // 0.1", lambda x: x // 0.1, Data([1.0, 5.0, -1.0]))
case("floor_quotient_gradient", "x * (x // y)", lambda x, y: x * (x // y).detach(), [1.0, 5.0], [0.1, -0.7])
case("power_half", "x ** 0.5", lambda x: x**0.5, [0.0, 4.0, inf, 1.0])
case("power_corners", "x ** y", lambda x, y: x**y, Data([-inf, -0.0, -inf, -inf, 0.0, nan, 2.0]),
     Data([0.5, 0.5, 3.0, -1.0, 0.0, 0.0, 0.5]))
case("zeros_sign", "1.0 / (0.0 + x)", lambda x: 1 / (0.0 + x), Data([-0.0, 0.0, 1.0]))
case("zeros_sign_subtracted", "1.0 / (0.0 - x)", lambda x: 1 / (0.0 - x), Data([-0.0, 0.0, 1.0]))
case("zeros_sign_negated", "1.0 / (-(x - y))", lambda x, y: 1 / (-(x - y)), Data([1.0, 2.0]), Data([1.0, 1.0]))
case("factors_large", f"x * {2.0**100} * {1.5 * 2.0**100}", lambda x: x * 2.0**100 * (1.5 * 2.0**100),
     Data([2.0**-100, 1.0]))
case("factors_small", f"x * {2.0**-100} * {1.5 * 2.0**-30}", lambda x: x * 2.0**-100 * (1.5 * 2.0**-30),
     Data([2.0**100, 2.0**20]))
case("factors_apart", f"x * {2.0**100} * {2.0**-100}", lambda x: x * 2.0**100 * 2.0**-100, Data([2.0**100, 1.0]))
case("division_by_small", f"x / {2.0**-127}", lambda x: x / 2.0**-127, Data([2.0**-126, 1.0]))
near = Data([65519.999999, 65520.0, -65519.999999, 1.00390625000001, 1.0 + 2.0**-9, 2.0**-25 + 2.0**-60, 1e300, -1e-300, nan],
            torch.float64)
case("f64_to_f16", "x.to(f16).to(f32)", None, near,
     value=[65504.0, inf, -65504.0, 1.00390625, 1.001953125, 2.0**-24, inf, -0.0, nan])
case("f64_to_bf16", "x.to(bf16).to(f32)", None, near,
     value=[65536.0, 65536.0, -65536.0, 1.0078125, 1.0, 2.0**-25, inf, -0.0, nan])



def nearest_bf16(number):
    drop = max(abs(number).bit_length() - 8, 0)
    whole, rest = abs(number) >> drop, abs(number) & ((1 << drop) - 1)
    half = 1 << drop >> 1
    whole += drop > 0 and (rest > half or (rest == half and whole % 2 == 1))
    return float((whole << drop) * (1 if number >= 0 else -1))


words = [16842753, -16842753, 16842752, 16777217, 2147483647, -2147483648, 33685505, 255, 257, 16777215]
longs = [s * (2**e + 2 ** (e - 8) + d) for e in (30, 38, 39, 45) for d in (-1, 0, 1) for s in (1, -1)]
for name, numbers, dtype in (("i32", words, torch.int32), ("i64", longs, torch.int64)):
    case(f"{name}_to_bf16", "x.to(bf16).to(f32)", None, Data(numbers, dtype), value=[nearest_bf16(n) for n in numbers])

with open(os.path.join(os.path.dirname(__file__), "Corners.inc"), "w") as out:
    out.write(f"// Made by make_corners.py with PyTorch {torch.__version__}; not to be edited.\n")
    out.write("\n".join(cases) + "\n")
