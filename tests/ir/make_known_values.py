"""Writes KnownValues.inc: what PyTorch computes, for InterpreterTest.cpp. Run by hand; the build does not need it."""
import torch
import torch.nn.functional as F

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
cases = []
NAMES = {torch.float64: "f64", torch.float32: "f32", torch.float16: "f16", torch.int32: "i32", torch.int64: "i64", torch.bool: "i1",
         torch.uint8: "ui8", torch.int8: "i8"}


def ty(t):
    return "tensor<" + "".join(f"{d}x" for d in t.shape) + NAMES[t.dtype] + ">"


def number(v):
    v = float(v)
    if v != v:
        return "NAN"
    if v in (float("inf"), float("-inf")):
        return "INFINITY" if v > 0 else "-INFINITY"
    return repr(v)


def tensor(t):
    t = t.contiguous()
    values = ", ".join(number(v) for v in t.reshape(-1).tolist())
    return f'{{"{NAMES[t.dtype]}", {{{", ".join(str(d) for d in t.shape)}}}, {{{values}}}}}'


def case(name, body, inputs, outputs):
    """body: op text with %0, %1 … for inputs and {0}, {1} … for their types, {r0}, {r1} … for results'; gives %r or %r#i."""
    types = {f"t{i}": ty(t) for i, t in enumerate(inputs)} | {f"r{i}": ty(t) for i, t in enumerate(outputs)}
    for key, value in types.items():
        body = body.replace("{" + key + "}", value)
    args = ", ".join(f"%a{i}: {ty(t)}" for i, t in enumerate(inputs))
    results = ", ".join(ty(t) for t in outputs)
    names = "%r" if len(outputs) == 1 else ", ".join(f"%r#{i}" for i in range(len(outputs)))
    text = f"func.func @f({args}) -> ({results}) {{ {body} return {names} : {results} }}"
    cases.append(f'{{"{name}", R"mlir({text})mlir",\n {{{", ".join(map(tensor, inputs))}}},\n {{{", ".join(map(tensor, outputs))}}}}},')


def rand(*shape):
    return torch.round(torch.randn(*shape) * 100) / 100


inf, nan = float("inf"), float("nan")
x = torch.tensor([-2.5, -1.0, -0.5, 0.0, 0.3, 1.5, 2.5, 7.0])
special = torch.tensor([nan, inf, -inf, 0.0, -3.0, 1e-300])
for name, f in {"neg": torch.neg, "abs": torch.abs, "sign": torch.sign, "exp": torch.exp, "expm1": torch.expm1, "log": torch.log,
                "log1p": torch.log1p, "sqrt": torch.sqrt, "rsqrt": torch.rsqrt, "sin": torch.sin, "cos": torch.cos,
                "tanh": torch.tanh, "sigmoid": torch.sigmoid, "erf": torch.erf, "floor": torch.floor, "ceil": torch.ceil,
                "round": torch.round, "relu": F.relu, "silu": F.silu, "softplus": F.softplus,
                "gelu": F.gelu}.items():
    case(name, f"%r = kiln.{name} %a0 : {{t0}}", [x], [f(x)])
    # silu(-inf) is 0 * inf in PyTorch's formula and ours
    case(name + "_special", f"%r = kiln.{name} %a0 : {{t0}}", [special], [f(special)])
case("gelu_tanh", "%r = kiln.gelu %a0 {tanh = true} : {t0}", [x], [F.gelu(x, approximate="tanh")])

y = torch.tensor([2.0, -3.0, 0.5, 0.0, 0.3, -1.5, 2.0, 0.25])
for name, f in {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "rem": torch.fmod, "pow": torch.pow,
                "max": torch.maximum, "min": torch.minimum}.items():
    case(name, f"%r = kiln.{name} %a0, %a1 : {{t0}}", [x, y], [f(x, y)])
a, b = torch.tensor([nan, 1.0, inf, -inf]), torch.tensor([1.0, nan, -inf, -inf])
for name, f in {"add": torch.add, "max": torch.maximum, "min": torch.minimum, "mul": torch.mul}.items():
    case(name + "_special", f"%r = kiln.{name} %a0, %a1 : {{t0}}", [a, b], [f(a, b)])
for name, f in {"eq": torch.eq, "ne": torch.ne, "lt": torch.lt, "le": torch.le, "gt": torch.gt, "ge": torch.ge}.items():
    case("compare_" + name, f"%r = kiln.compare {name} %a0, %a1 : {{t0}} -> {{r0}}", [a, b], [f(a, b)])

i8a, i8b = torch.tensor([127, -128, 100, -7], dtype=torch.int8), torch.tensor([1, -1, 3, 2], dtype=torch.int8)
for name, f in {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "max": torch.maximum, "and": torch.bitwise_and,
                "or": torch.bitwise_or, "xor": torch.bitwise_xor}.items():
    case("i8_" + name, f"%r = kiln.{name} %a0, %a1 : {{t0}}", [i8a, i8b], [f(i8a, i8b)])
u8a, u8b = torch.tensor([255, 0, 200, 7], dtype=torch.uint8), torch.tensor([1, 1, 3, 2], dtype=torch.uint8)
for name, f in {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "max": torch.maximum}.items():
    case("u8_" + name, f"%r = kiln.{name} %a0, %a1 : {{t0}}", [u8a, u8b], [f(u8a, u8b)])
i32a, i32b = torch.tensor([7, -7, 9, -9], dtype=torch.int32), torch.tensor([2, 2, -4, -4], dtype=torch.int32)
case("i32_div", "%r = kiln.div %a0, %a1 : {t0}", [i32a, i32b], [torch.div(i32a, i32b, rounding_mode="trunc")])
case("i32_rem", "%r = kiln.rem %a0, %a1 : {t0}", [i32a, i32b], [torch.fmod(i32a, i32b)])
f = torch.tensor([1.9, -1.9, 0.0, 3.5])
case("convert_i32", "%r = kiln.convert %a0 : {t0} -> {r0}", [f], [f.to(torch.int32)])
case("convert_bool", "%r = kiln.convert %a0 : {t0} -> {r0}", [f], [f.to(torch.bool)])
case("convert_wraps", "%r = kiln.convert %a0 : {t0} -> {r0}", [torch.tensor([300, -1, 127], dtype=torch.int32)],
     [torch.tensor([300, -1, 127], dtype=torch.int32).to(torch.int8)])
c = torch.tensor([True, False, True, False])
case("select", "%r = kiln.select %a0, %a1, %a2 : {t0}, {t1}", [c, a, b], [torch.where(c, a, b)])

m = rand(2, 3, 4)
case("transpose", "%r = kiln.transpose %a0, [2, 0, 1] : {t0} -> {r0}", [m], [m.permute(2, 0, 1)])
case("reshape", "%r = kiln.reshape %a0 : {t0} -> {r0}", [m], [m.reshape(6, 4)])
n = rand(3, 1)
case("broadcast", "%r = kiln.broadcast %a0, [1, 2] : {t0} -> {r0}", [n], [n.expand(2, 3, 4)])
case("slice", '%r = kiln.slice %a0, <"0", "1", "1">, [1, 1, 2] : {t0} -> {r0}', [m], [m[:, 1:3, 1::2]])
case("concat", "%r = kiln.concat 1, %a0, %a1 : {t0}, {t1} -> {r0}", [m, m[:, :1]], [torch.cat([m, m[:, :1]], 1)])
case("reverse", "%r = kiln.reverse %a0, [0, 2] : {t0}", [m], [m.flip(0, 2)])
case("pad", '%r = kiln.pad %a0, %a1, <"1", "0">, <"0", "2">, [0, 0] : {t0}, {t1} -> {r0}', [m[0], torch.tensor(9.0)],
     [F.pad(m[0], (0, 2, 1, 0), value=9.0)])
interior = torch.full((7,), 5.0)
interior[1::2] = torch.tensor([1.0, 2.0, 3.0])
case("pad_interior", '%r = kiln.pad %a0, %a1, <"1">, <"1">, [1] : {t0}, {t1} -> {r0}', [torch.tensor([1.0, 2.0, 3.0]), torch.tensor(5.0)], [interior])

for name, f in {"sum": lambda t: t.sum((0, 2)), "max": lambda t: t.amax((0, 2)), "min": lambda t: t.amin((0, 2)),
                "prod": lambda t: t.prod(2).prod(0)}.items():
    case("reduce_" + name, f"%r = kiln.reduce {name} %a0, [0, 2] : {{t0}} -> {{r0}}", [m], [f(m)])
    case("reduce_inner_" + name, f"%r = kiln.reduce {name} %a0, [2] : {{t0}} -> {{r0}}", [m],
         [{"sum": m.sum(2), "max": m.amax(2), "min": m.amin(2), "prod": m.prod(2)}[name]])
withnan = torch.tensor([[1.0, nan, 3.0], [2.0, 2.0, 1.0]])
case("reduce_nan", "%r = kiln.reduce max %a0, [1] : {t0} -> {r0}", [withnan], [withnan.amax(1)])
flags = torch.tensor([[True, False], [False, False]])
case("reduce_any", "%r = kiln.reduce any %a0, [1] : {t0} -> {r0}", [flags], [flags.any(1)])
case("reduce_all", "%r = kiln.reduce all %a0, [0] : {t0} -> {r0}", [flags], [flags.all(0)])
ties = torch.tensor([[1.0, 3.0, 3.0], [nan, 5.0, nan], [2.0, 1.0, 1.0]])
case("argmax", "%r = kiln.arg_reduce max %a0, 1 : {t0} -> {r0}", [ties], [ties.argmax(1)])
case("argmin", "%r = kiln.arg_reduce min %a0, 1 : {t0} -> {r0}", [ties], [ties.argmin(1)])
case("cumsum", "%r = kiln.cumsum %a0, 1 : {t0}", [m], [m.cumsum(1)])
case("cumsum_reverse", "%r = kiln.cumsum %a0, 1 {reverse = true} : {t0}", [m], [m.flip(1).cumsum(1).flip(1)])
case("cumsum_exclusive", "%r = kiln.cumsum %a0, 1 {exclusive = true} : {t0}", [m], [m.cumsum(1) - m])
s = torch.tensor([[3.0, nan, 1.0, 3.0], [0.0, -1.0, inf, -inf]])
v, i = torch.sort(s, dim=1, stable=True)
case("sort", "%r:2 = kiln.sort %a0, 1 : {t0} -> {r0}, {r1}", [s], [v, i])
v, i = torch.sort(s, dim=0, stable=True, descending=True)
case("sort_descending", "%r:2 = kiln.sort %a0, 0 {descending = true} : {t0} -> {r0}, {r1}", [s], [v, i])
t = torch.tensor([[3.0, 9.0, 1.0, 4.0], [0.0, -1.0, inf, -inf]])
v, i = torch.topk(t, 3)
case("top_k", "%r:2 = kiln.top_k %a0, 3 : {t0} -> {r0}, {r1}", [t], [v, i])

p = rand(2, 3, 7, 6)
window = "window = array<i64: 1, 1, 3, 2>, strides = array<i64: 1, 1, 2, 1>, low = array<i64: 0, 0, 1, 1>, high = array<i64: 0, 0, 1, 1>"
pooled = F.max_pool2d(p, (3, 2), (2, 1), (1, 1))
case("max_pool", f"%r = kiln.reduce_window max %a0 {{{window}}} : {{t0}} -> {{r0}}", [p], [pooled])
case("avg_pool", f"%r = kiln.reduce_window sum %a0 {{{window}}} : {{t0}} -> {{r0}}", [p], [F.avg_pool2d(p, (3, 2), (2, 1), (1, 1)) * 6])
q = torch.round(p * 2).requires_grad_()  # ties
g = rand(*pooled.shape)
F.max_pool2d(q, (3, 2), (2, 1), (1, 1)).backward(g)
case("max_pool_grad", f"%r = kiln.reduce_window_grad max %a0, %a1 {{{window}}} : {{t0}}, {{t1}} -> {{r0}}", [q.detach(), g], [q.grad])

l, r = rand(2, 3, 4), rand(2, 4, 5)
case("dot_batch", "%r = kiln.dot_general %a0, %a1 batch [0] x [0] contract [2] x [1] : {t0}, {t1} -> {r0}", [l, r], [l @ r])
l, r = rand(3, 4, 2), rand(5, 3, 2, 4)
case("dot_axes", "%r = kiln.dot_general %a0, %a1 batch [2] x [2] contract [0, 1] x [1, 3] : {t0}, {t1} -> {r0}", [l, r],
     [torch.einsum("abz,cazb->zc", l, r)])
l, r = rand(9, 6), rand(6)
case("dot_vector", "%r = kiln.dot_general %a0, %a1 batch [] x [] contract [1] x [0] : {t0}, {t1} -> {r0}", [l, r], [l @ r])
case("dot_outer", "%r = kiln.dot_general %a0, %a1 batch [] x [] contract [] x [] : {t0}, {t1} -> {r0}", [l, r], [torch.einsum("ab,c->abc", l, r)])


def conv(name, shape, kernel, stride=1, padding=0, dilation=1, groups=1):
    k = len(kernel) - 2
    image, filt = rand(*shape), rand(*kernel)
    out = [F.conv1d, F.conv2d, F.conv3d][k - 1](image, filt, None, stride, padding, dilation, groups)
    rep = lambda v: "array<i64: " + ", ".join([str(v)] * k) + ">"
    case(name, f"%r = kiln.convolution %a0, %a1 {{strides = {rep(stride)}, low = {rep(padding)}, high = {rep(padding)}, "
         f"input_dilation = {rep(1)}, filter_dilation = {rep(dilation)}, groups = {groups} : i64}} : {{t0}}, {{t1}} -> {{r0}}", [image, filt], [out])


conv("conv1d", (2, 3, 8), (4, 3, 3), padding=1)
conv("conv2d", (2, 3, 6, 5), (4, 3, 3, 3), stride=2, padding=1)
conv("conv2d_dilated", (1, 2, 8, 8), (2, 2, 3, 3), padding=2, dilation=2)
conv("conv2d_groups", (2, 4, 5, 5), (6, 2, 2, 2), groups=2)
conv("conv3d", (1, 2, 4, 4, 4), (3, 2, 2, 2, 2), stride=2)
image, filt = rand(1, 3, 4, 4), rand(3, 2, 3, 3)
case("conv_transpose", "%f = kiln.reverse %a1, [2, 3] : {t1} %g = kiln.transpose %f, [1, 0, 2, 3] : {t1} -> tensor<2x3x3x3xf64> "
     "%r = kiln.convolution %a0, %g {strides = array<i64: 1, 1>, low = array<i64: 1, 1>, high = array<i64: 2, 2>, "
     "input_dilation = array<i64: 2, 2>, filter_dilation = array<i64: 1, 1>, groups = 1 : i64} : {t0}, tensor<2x3x3x3xf64> -> {r0}",
     [image, filt], [F.conv_transpose2d(image, filt, stride=2, padding=1, output_padding=1)])

table, ids = rand(5, 3), torch.tensor([[4, 0], [2, 2]])
case("gather_rows", "%r = kiln.gather %a0, %a1, 0 : {t0}, {t1} -> {r0}", [table, ids], [table[ids]])
case("gather_axis1", "%r = kiln.gather %a0, %a1, 1 : {t0}, {t1} -> {r0}", [m, torch.tensor([2, 0])], [m[:, [2, 0]]])
rows = torch.tensor([2, 0, 1, 1, 0])
case("gather_batch", "%r = kiln.gather %a0, %a1, 1 {batch_dims = 1 : i64} : {t0}, {t1} -> {r0}", [table, rows],
     [table.gather(1, rows[:, None])[:, 0]])
# Blocks of four: per-group quantised tensors of PyTorch's own, dequantised by its kernel, then the same numbers as halves.
whole = torch.tensor([[[127, -128, 0, 5], [1, -1, 100, -100]]], dtype=torch.int8)
scales, least = torch.tensor([[0.5, -0.25]], dtype=torch.float16), torch.tensor([[-3.0, 0.125]], dtype=torch.float16)
widened = torch.stack([torch._make_per_tensor_quantized_tensor(whole[0, b].contiguous(), float(scales[0, b]), 0).dequantize()
                       for b in range(2)]).reshape(1, 8).float()
case("dequantize_bytes", "%r = kiln.dequantize %a0, %a1 : {t0}, {t1} -> {r0}", [whole, scales], [widened])
case("dequantize_bytes_lifted", "%r = kiln.dequantize %a0, %a1, %a2 : {t0}, {t1}, {t2} -> {r0}", [whole, scales, least],
     [widened + least.float().repeat_interleave(4, 1)])
halves = torch.tensor([[0, 15, 8, 3], [7, 9, 1, 14]], dtype=torch.uint8)
packed = torch.bitwise_or(halves[0], torch.bitwise_left_shift(halves[1], 4)).reshape(1, 1, 4)
group = torch.stack([torch._make_per_tensor_quantized_tensor(halves[b], float(scales[0, b]), 8).dequantize()
                     for b in range(2)]).reshape(1, 8).float()
case("dequantize_halves", "%r = kiln.dequantize %a0, %a1 : {t0}, {t1} -> {r0}", [packed, scales], [group])
case("dequantize_halves_lifted", "%r = kiln.dequantize %a0, %a1, %a2 : {t0}, {t1}, {t2} -> {r0}", [packed, scales, least],
     [(halves.float() * scales.float().reshape(2, 1) + least.float().reshape(2, 1)).reshape(1, 8)])
# Codes: PyTorch's own floats of eight bits (without NaN), and bitsandbytes' table.
codes = torch.tensor([[[0, 1, 0x38, 0x7E], [0x80, 0x8F, 0xB8, 0xFE]]], dtype=torch.uint8)
for kind, dtype in (("e4m3", torch.float8_e4m3fn), ("e5m2", torch.float8_e5m2)):
    given = codes if kind == "e4m3" else codes.clamp(max=0xFB)
    given = given.where((given & 0x7F) < 0x7C, given - 4) if kind == "e5m2" else given
    case("decode_" + kind, f'%r = kiln.decode "{kind}" %a0, %a1 : {{t0}}, {{t1}} -> {{r0}}', [given, scales],
         [(given.view(dtype).float() * scales.float()[..., None]).reshape(1, 8)])
nf4 = torch.tensor([-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
                    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
                    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0]).float()
case("decode_nf4", '%r = kiln.decode "nf4" %a0, %a1 : {t0}, {t1} -> {r0}', [packed, scales],
     [(nf4[halves.long()] * scales.float().reshape(2, 1)).reshape(1, 8)])
e2m1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6]).float()
case("decode_e2m1", '%r = kiln.decode "e2m1" %a0, %a1 : {t0}, {t1} -> {r0}', [packed, scales],
     [(e2m1[halves.long()] * scales.float().reshape(2, 1)).reshape(1, 8)])
updates = rand(4, 3)
at = torch.tensor([1, 3, 1, 0])
case("scatter_add", "%r = kiln.scatter add %a0, %a1, %a2, 0 : {t0}, {t1}, {t2}", [table, at, updates], [table.index_add(0, at, updates)])
case("scatter_set", "%r = kiln.scatter set %a0, %a1, %a2, 0 : {t0}, {t1}, {t2}", [table, at, updates],
     [torch.stack([updates[3], updates[2], table[2], updates[1], table[4]])])
at = torch.tensor([1, 3, 1, 0])
case("scatter_max", "%r = kiln.scatter max %a0, %a1, %a2, 0 : {t0}, {t1}, {t2}", [table, at, updates],
     [table.index_reduce(0, at, updates, "amax")])

z = rand(2, 3, 5) * 3
case("softmax", "%r = kiln.softmax %a0, 1 : {t0}", [z], [z.softmax(1)])
case("log_softmax", "%r = kiln.log_softmax %a0, 2 : {t0}", [z * 100], [(z * 100).log_softmax(2)])
masked = torch.tensor([[-inf, -inf], [0.0, -inf], [inf, 1.0], [nan, 1.0]])
case("softmax_special", "%r = kiln.softmax %a0, 1 : {t0}", [masked], [masked.softmax(1)])
scale, bias = rand(5), rand(5)
case("layer_norm", "%r = kiln.layer_norm %a0 scale %a1 bias %a2 epsilon 1.0e-5 : {t0}, {t1}, {t2}", [z, scale, bias],
     [F.layer_norm(z, (5,), scale, bias, 1e-5)])
case("layer_norm_plain", "%r = kiln.layer_norm %a0 epsilon 1.0e-5 : {t0}", [z], [F.layer_norm(z, (5,), None, None, 1e-5)])
case("rms_norm", "%r = kiln.rms_norm %a0 scale %a1 epsilon 1.0e-6 : {t0}, {t1}", [z, scale],
     [z * torch.rsqrt(z.pow(2).mean(-1, keepdim=True) + 1e-6) * scale])
targets = torch.tensor([[0, 4, -100], [2, 2, 1]])
for smoothing in (0.0, 0.1):
    case(f"cross_entropy_{smoothing}".replace(".", "_"), f"%r = kiln.cross_entropy %a0, %a1 {{smoothing = {smoothing}}} : {{t0}}, {{t1}} -> {{r0}}",
         [z, targets], [F.cross_entropy(z.reshape(6, 5), targets.reshape(6), reduction="none", label_smoothing=smoothing).reshape(2, 3)])
query, key, value = rand(2, 2, 3, 4), rand(2, 2, 5, 4), rand(2, 2, 5, 6)
case("attention", "%r = kiln.attention %a0, %a1, %a2 scale 0.5 : {t0}, {t1}, {t2} -> {r0}", [query, key, value],
     [F.scaled_dot_product_attention(query, key, value, scale=0.5)])
seen = torch.tril(torch.ones(3, 5, dtype=torch.bool), diagonal=2)
mask = torch.tensor([[[[True, True, False, True, True]]], [[[False, True, True, True, False]]]])
case("attention_causal_mask", "%r = kiln.attention %a0, %a1, %a2 mask %a3 scale 0.5 {causal = true} : {t0}, {t1}, {t2}, {t3} -> {r0}",
     [query, key, value, mask], [F.scaled_dot_product_attention(query, key, value, seen & mask, scale=0.5)])
none = torch.zeros(2, 1, 1, 5, dtype=torch.bool)
case("attention_sees_nothing", "%r = kiln.attention %a0, %a1, %a2 mask %a3 scale 0.5 : {t0}, {t1}, {t2}, {t3} -> {r0}",
     [query, key, value, none], [F.scaled_dot_product_attention(query, key, value, none, scale=0.5)])

case("bool_not", "%r = kiln.not %a0 : {t0}", [c], [torch.logical_not(c)])
case("i8_not", "%r = kiln.not %a0 : {t0}", [i8a], [torch.bitwise_not(i8a)])
counts = torch.tensor([1, 3, 0, 7], dtype=torch.int8)
case("i8_shl", "%r = kiln.shl %a0, %a1 : {t0}", [i8a, counts], [torch.bitwise_left_shift(i8a, counts)])
case("i8_shr", "%r = kiln.shr %a0, %a1 : {t0}", [i8a, counts], [torch.bitwise_right_shift(i8a, counts)])
case("u8_shr", "%r = kiln.shr %a0, %a1 : {t0}", [u8a, u8b], [torch.bitwise_right_shift(u8a, u8b)])
long, start = torch.arange(40.0).reshape(8, 5), [torch.tensor(3, dtype=torch.int32), torch.tensor(1, dtype=torch.int64)]
case("dynamic_slice", "%r = kiln.dynamic_slice %a0[%a1, %a2] : ({t0}, {t1}, {t2}) -> {r0}", [long, *start], [long[3:5, 1:5]])
part = -torch.ones(2, 4)
case("dynamic_update_slice", "%r = kiln.dynamic_update_slice %a0, %a1[%a2, %a3] : ({t0}, {t1}, {t2}, {t3}) -> {r0}",
     [long, part, *start], [torch.slice_scatter(long, torch.slice_scatter(long[3:5], part, 1, 1, 5), 0, 3, 5)])
case("iota", "%r = kiln.iota 1 : {r0}", [], [torch.arange(4, dtype=torch.int32).expand(3, 4)])
case("stop_gradient", "%r = kiln.stop_gradient %a0 : {t0}", [x], [x.detach()])
numbers = torch.tensor([1.5, -0.0, float("inf"), 3e-42, -7.25], dtype=torch.float32)
case("bitcast_f32_i32", "%r = kiln.bitcast %a0 : {t0} -> {r0}", [numbers], [numbers.view(torch.int32)])
case("bitcast_i32_f32", "%r = kiln.bitcast %a0 : {t0} -> {r0}", [numbers.view(torch.int32)], [numbers])
short = torch.tensor([1.5, -0.0, float("inf"), -7.25])  # whose bits a double holds as a number
case("bitcast_f64_i64", "%r = kiln.bitcast %a0 : {t0} -> {r0}", [short], [short.view(torch.int64)])
case("bitcast_i64_f64", "%r = kiln.bitcast %a0 : {t0} -> {r0}", [short.view(torch.int64)], [short])
case("constant", "%r = kiln.constant dense<[1.5, -2.0]> : {r0} : {r0}", [], [torch.tensor([1.5, -2.0])])
shared_key, shared_value = rand(2, 1, 5, 4), rand(2, 1, 5, 6)
near = torch.tril(torch.ones(3, 5, dtype=torch.bool), diagonal=1) & ~torch.tril(torch.ones(3, 5, dtype=torch.bool), diagonal=-1)
case("attention_start_window_shared",
     "%r = kiln.attention %a0, %a1, %a2 start %a3 : tensor<i32> scale 0.5 {causal = true, groups = 2 : i64, sliding_window = 2 : i64} : {t0}, {t1}, {t2} -> {r0}",
     [query, shared_key, shared_value, torch.tensor(1, dtype=torch.int32)],
     [F.scaled_dot_product_attention(query, shared_key, shared_value, near, scale=0.5, enable_gqa=True)])

with open(__file__.replace("make_known_values.py", "KnownValues.inc"), "w") as out:
    out.write(f"// Made by make_known_values.py with PyTorch {torch.__version__}; not to be edited.\n" + "\n".join(cases) + "\n")
print(len(cases), "cases")
