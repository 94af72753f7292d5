// What networks are made of: softmax, norms, attention, losses, convolution, pooling, indexed access.
#include "frontend/language/Elaborate.h"
#include "ir/Infer.h"

namespace kiln::language {

static Value refused(BoundCall &call, const Inferred &inferred) {
  call.e.error(call.range, std::string(call.builtin.name) + ": " + inferred.error);
  return Value::error();
}

static bool wantFloat(BoundCall &call, const Value &x, size_t index) {
  if (isFloat(x.tensorType().getElementType()))
    return true;
  call.e.error(call.ranges[index], std::string(call.builtin.name) + " works on floats; this is " + describe(x))
      .withHelp("convert it: x.to(f32)");
  return false;
}

static bool wantAxis(BoundCall &call, const Value &x, size_t index) {
  if (x.rank() > 0)
    return true;
  call.e.error(call.ranges[index],
               std::string(call.builtin.name) + " wants a tensor with at least one axis; this is " + describe(x));
  return false;
}

template <typename Op> static Value overAxis(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  std::optional<int64_t> axis = x ? call.axis(1, x->rank()) : std::nullopt;
  if (!axis || !wantFloat(call, *x, 0))
    return Value::error();
  return Value::tensorOf(call.e.emit(call.range).create<Op>(x->tensor.getType(), x->tensor, *axis), x->origins);
}

namespace {
/// x with the axes of a norm as one, its last.
struct Normed {
  mlir::Value tensor;
  std::vector<int64_t> axes;
  std::vector<int64_t> order; // the axes that stay, then those of the norm
  std::vector<Dim> dims;      // of x in that order

  mlir::Value back(Emit &emit, mlir::Value result) const {
    std::vector<int64_t> inverse(order.size());
    for (size_t i = 0; i < order.size(); ++i)
      inverse[order[i]] = static_cast<int64_t>(i);
    return emit.transposed(emit.reshapeTo(result, dims), inverse);
  }
};
} // namespace

static std::optional<Normed> normed(BoundCall &call, const Value &x, size_t axisIndex) {
  if (!wantFloat(call, x, 0) || !wantAxis(call, x, 0))
    return std::nullopt;
  std::optional<std::vector<int64_t>> axes = call.axes(axisIndex, x.rank());
  if (!axes)
    return std::nullopt;
  if (axes->empty()) {
    call.e.error(call.ranges[axisIndex], std::string(call.builtin.name) + " wants at least one axis");
    return std::nullopt;
  }
  Normed out;
  out.axes = *axes;
  for (int64_t i = 0; i < x.rank(); ++i)
    if (std::find(axes->begin(), axes->end(), i) == axes->end())
      out.order.push_back(i);
  std::vector<Dim> joined;
  Dim width(1);
  for (int64_t i : out.order)
    joined.push_back(dimsOf(x.tensor)[i]);
  for (int64_t i : *axes) {
    out.order.push_back(i);
    width = width * dimsOf(x.tensor)[i];
  }
  joined.push_back(width);
  for (int64_t i : out.order)
    out.dims.push_back(dimsOf(x.tensor)[i]);
  Emit emit = call.e.emit(call.range);
  out.tensor = emit.reshapeTo(emit.transposed(x.tensor, out.order), joined);
  return out;
}

/// A scale or bias with the extents of the norm's axes.
static std::optional<mlir::Value> ofNormedAxes(BoundCall &call, const Value &x, const Normed &normed, size_t index) {
  std::optional<Value> vector = call.tensor(index);
  if (!vector)
    return std::nullopt;
  llvm::SmallVector<Dim> dims = dimsOf(x.tensor), own = dimsOf(vector->tensor);
  bool fits =
      own.size() == normed.axes.size() && vector->tensorType().getElementType() == x.tensorType().getElementType();
  for (size_t i = 0; fits && i < own.size(); ++i)
    fits = own[i] == dims[normed.axes[i]];
  if (fits)
    return call.e.emit(call.range).reshapeTo(vector->tensor, {dimsOf(normed.tensor).back()});
  bool last = normed.axes.size() == 1 && normed.axes[0] == x.rank() - 1;
  Diagnostic &diagnostic =
      call.e.error(call.ranges[index], std::string(call.builtin.name) + " wants one number for each entry of the " +
                                           (last                      ? "last axis"
                                            : normed.axes.size() == 1 ? "axis " + std::to_string(normed.axes[0])
                                                                      : "axes that it runs over") +
                                           " of " + describe(x) + "; this is " + describe(*vector));
  call.e.noteDim(diagnostic, dims[normed.axes.back()], x.originOf(normed.axes.back()));
  return std::nullopt;
}

static Value layerNorm(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  std::optional<double> epsilon = call.number(3);
  std::optional<Normed> rows = x && epsilon ? normed(call, *x, 4) : std::nullopt;
  if (!rows)
    return Value::error();
  mlir::Value scale, bias;
  Emit emit = call.e.emit(call.range);
  mlir::Type vector = tensorType({dimsOf(rows->tensor).back()}, x->tensorType().getElementType());
  for (size_t i : {1, 2}) {
    if (!call.given(i))
      continue;
    std::optional<mlir::Value> value = ofNormedAxes(call, *x, *rows, i);
    if (!value)
      return Value::error();
    (i == 1 ? scale : bias) = *value;
  }
  // The op takes both or none.
  if (scale && !bias)
    bias = emit.splat(vector, 0.0);
  if (bias && !scale)
    scale = emit.splat(vector, 1.0);
  mlir::Value result = emit.create<LayerNormOp>(rows->tensor.getType(), rows->tensor, scale, bias,
                                                call.e.builder().getF64FloatAttr(*epsilon));
  return Value::tensorOf(rows->back(emit, result), x->origins);
}

static Value rmsNorm(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  std::optional<double> epsilon = call.number(2);
  std::optional<Normed> rows = x && epsilon ? normed(call, *x, 3) : std::nullopt;
  std::optional<mlir::Value> scale = rows ? ofNormedAxes(call, *x, *rows, 1) : std::nullopt;
  if (!scale)
    return Value::error();
  Emit emit = call.e.emit(call.range);
  mlir::Value result =
      emit.create<RmsNormOp>(rows->tensor.getType(), rows->tensor, *scale, call.e.builder().getF64FloatAttr(*epsilon));
  return Value::tensorOf(rows->back(emit, result), x->origins);
}

/// attention's mask as bool of rank 4; null where there is none, nothing where it is wrong.
static std::optional<mlir::Value> attentionMask(BoundCall &call, const Emit &emit) {
  if (!call.given(3))
    return mlir::Value();
  std::optional<Value> given = call.tensor(3);
  if (!given)
    return std::nullopt;
  if (!given->tensorType().getElementType().isInteger(1) || given->rank() > 4) {
    call.e.error(call.ranges[3],
                 "attention's mask is bool and broadcasts to [B, H, T, S]; this is " + describe(*given));
    return std::nullopt;
  }
  llvm::SmallVector<Dim> dims = dimsOf(given->tensor);
  while (dims.size() < 4)
    dims.insert(dims.begin(), Dim(1));
  return Emit(emit).reshapeTo(given->tensor, dims);
}

/// Where the first query is among the keys, i32; null where that is not said, nothing where it is wrong.
static std::optional<mlir::Value> attentionStart(BoundCall &call, const Emit &emit) {
  if (!call.given(6))
    return mlir::Value();
  std::optional<Value> given = call.tensor(6);
  if (!given)
    return std::nullopt;
  if (given->rank() != 0 || isFloat(given->tensorType().getElementType()) ||
      given->tensorType().getElementType().isInteger(1)) {
    call.e.error(call.ranges[6], "a start is one integer; this is " + describe(*given));
    return std::nullopt;
  }
  return Emit(emit).convertTo(given->tensor, call.e.builder().getI32Type());
}

/// scale=, or 1/sqrt of the heads' width.
static std::optional<double> attentionScale(BoundCall &call, const Value &q) {
  if (call.given(5))
    return call.number(5);
  Dim last = dimsOf(q.tensor).back();
  if (std::optional<int64_t> width = last.constant(); width && *width > 0)
    return 1 / std::sqrt(static_cast<double>(*width));
  call.e.error(call.ranges[0], "attention's last axis, " + last.str() + ", is not a known number")
      .withHelp("give scale=");
  return std::nullopt;
}

/// How many heads of queries share one of keys and values.
static std::optional<int64_t> attentionGroups(BoundCall &call, const Value &q, const Value &k) {
  if (q.rank() != 4 || k.rank() != 4 || dimsOf(q.tensor)[1] == dimsOf(k.tensor)[1])
    return 1;
  Dim heads = dimsOf(q.tensor)[1], keyHeads = dimsOf(k.tensor)[1];
  std::optional<Dim> groups = keyHeads == Dim(0) ? std::nullopt : heads.exactDiv(keyHeads);
  if (groups && groups->constant() && *groups->constant() > 0)
    return groups->constant();
  Diagnostic &diagnostic =
      call.e.error(call.ranges[1], "attention's " + heads.str() + " heads of queries are no multiple of the " +
                                       keyHeads.str() + " of keys");
  call.e.noteDim(diagnostic, heads, q.originOf(1));
  call.e.noteDim(diagnostic, keyHeads, k.originOf(1));
  return std::nullopt;
}

/// attention's sinks, f32[H]; null where there are none, nothing where they are wrong.
static std::optional<mlir::Value> attentionSinks(BoundCall &call, const Value &q) {
  if (!call.given(8))
    return mlir::Value();
  std::optional<Value> given = call.tensor(8);
  if (!given)
    return std::nullopt;
  if (given->rank() == 1 && q.rank() == 4 && dimsOf(given->tensor)[0] == dimsOf(q.tensor)[1] &&
      given->tensorType().getElementType() == q.tensorType().getElementType())
    return given->tensor;
  call.e.error(call.ranges[8], "attention's sinks are a number for each head of queries; this is " + describe(*given) +
                                   " beside queries of " + describe(q));
  return std::nullopt;
}

/// What is seen keeps its share of itself and the sink: of Z = sum e^s, Z / (Z + e^sink).
static mlir::Value besideSinks(Emit &e, mlir::Value result, mlir::Value sums, mlir::Value sinks) {
  mlir::Value share = e.sigmoid(e.sub(sums, e.broadcastTo(sinks, {1}, dimsOf(sums))));
  return e.mul(result, e.broadcastTo(share, {0, 1, 2}, dimsOf(result)));
}

/// attention's soft cap; 0 where there is none, nothing where it is wrong.
static std::optional<double> attentionCap(BoundCall &call) {
  if (!call.given(9))
    return 0;
  std::optional<double> cap = call.number(9);
  if (!cap || (*cap > 0 && std::isfinite(*cap)))
    return cap;
  call.e.error(call.ranges[9], "a soft cap is a finite number above 0; this is " + describe(call.values[9]))
      .withHelp("leave softcap out where scores have none");
  return std::nullopt;
}

static Value attention(BoundCall &call) {
  std::optional<Value> q = call.tensor(0), k = call.tensor(1), v = call.tensor(2);
  std::optional<bool> causal = call.boolean(4);
  if (!q || !k || !v || !causal)
    return Value::error();
  Emit emit = call.e.emit(call.range);
  std::optional<mlir::Value> mask = attentionMask(call, emit), start = attentionStart(call, emit);
  std::optional<int64_t> window = call.given(7) ? call.integer(7) : std::optional<int64_t>(0);
  if (!mask || !start || !window)
    return Value::error();
  for (size_t which : {6, 7})
    if (call.given(which) && !*causal) {
      call.e.error(call.ranges[which], std::string(which == 6 ? "start" : "window") + " is of causal attention alone")
          .withHelp("add causal=True");
      return Value::error();
    }
  if (call.given(7) && (*window < 1 || static_cast<uint64_t>(*window) > widestWindow)) {
    call.e.error(call.ranges[7],
                 "a window is of at least 1 key" +
                     (*window < 1 ? std::string() : ", and of at most " + std::to_string(widestWindow)) + "; this is " +
                     std::to_string(*window));
    return Value::error();
  }
  AttentionOptions options;
  if (*mask)
    options.mask = llvm::cast<mlir::RankedTensorType>(mask->getType());
  options.causal = *causal;
  std::optional<int64_t> groups = attentionGroups(call, *q, *k);
  if (!groups)
    return Value::error();
  options.groups = *groups;
  Inferred inferred = inferAttention(q->tensorType(), k->tensorType(), v->tensorType(), options);
  if (!inferred)
    return refused(call, inferred);
  std::optional<double> scale = attentionScale(call, *q);
  if (!scale)
    return Value::error();
  Origins origins = {{q->originOf(0)}, {q->originOf(1)}, {q->originOf(2)}, {v->originOf(3)}};
  mlir::OpBuilder &b = call.e.builder();
  std::optional<mlir::Value> sinks = attentionSinks(call, *q);
  std::optional<double> cap = attentionCap(call);
  if (!sinks || !cap)
    return Value::error();
  mlir::Type sums;
  if (*sinks)
    sums = tensorType(llvm::ArrayRef(dimsOf(inferred.type)).drop_back(), inferred.type.getElementType());
  auto shares = options.groups == 1 ? mlir::IntegerAttr() : b.getI64IntegerAttr(options.groups);
  auto back = call.given(7) ? b.getI64IntegerAttr(*window) : mlir::IntegerAttr();
  mlir::Operation *made =
      *cap > 0 ? emit.create<CappedAttentionOp>(inferred.type, sums, q->tensor, k->tensor, v->tensor, *mask, *start,
                                                b.getF64FloatAttr(*scale), b.getF64FloatAttr(*cap),
                                                b.getBoolAttr(*causal), shares, back)
                     .getOperation()
               : emit.create<AttentionOp>(inferred.type, sums, q->tensor, k->tensor, v->tensor, *mask, *start,
                                          b.getF64FloatAttr(*scale), b.getBoolAttr(*causal), shares, back)
                     .getOperation();
  mlir::Value result = made->getResult(0);
  return Value::tensorOf(*sinks ? besideSinks(emit, result, made->getResult(1), *sinks) : result,
                         shared(std::move(origins)));
}

//===-- Indexed access --------------------------------------------------------------------------------------------===//

static std::optional<Value> indices(BoundCall &call, size_t index) {
  std::optional<Value> value = call.tensor(index);
  if (!value)
    return std::nullopt;
  mlir::Type element = value->tensorType().getElementType();
  if (!isFloat(element) && !element.isInteger(1))
    return value;
  call.e.error(call.ranges[index], "indices are integers; this is " + describe(*value))
      .withHelp("convert them: x.to(i32)");
  return std::nullopt;
}

static Value take(BoundCall &call) {
  std::optional<Value> x = call.tensor(0), at = indices(call, 1);
  std::optional<int64_t> axis = x ? call.axis(2, x->rank()) : std::nullopt;
  if (!at || !axis)
    return Value::error();
  Origins origins;
  for (int64_t i = 0; i < *axis; ++i)
    origins.push_back({x->originOf(i)});
  for (int64_t i = 0; i < at->rank(); ++i)
    origins.push_back({at->originOf(i)});
  for (int64_t i = *axis + 1; i < x->rank(); ++i)
    origins.push_back({x->originOf(i)});
  return Value::tensorOf(call.e.emit(call.range).gather(x->tensor, at->tensor, *axis), shared(std::move(origins)));
}

static Value pick(BoundCall &call) {
  std::optional<Value> x = call.tensor(0), at = indices(call, 1);
  if (!x || !at)
    return Value::error();
  Inferred inferred{{}, "x wants at least one axis"};
  if (x->rank() > 0)
    inferred = inferGather(x->tensorType(), at->tensorType(), x->rank() - 1, x->rank() - 1);
  if (!inferred)
    return refused(call, inferred);
  return Value::tensorOf(call.e.emit(call.range).gather(x->tensor, at->tensor, x->rank() - 1, x->rank() - 1),
                         at->origins);
}

/// torch.gather: indices of x's rank; along the other axes each index stays in its own place.
static Value gatherAlong(BoundCall &call) {
  std::optional<Value> x = call.tensor(0), at = indices(call, 1);
  std::optional<int64_t> axis = x ? call.axis(2, x->rank()) : std::nullopt;
  if (!at || !axis)
    return Value::error();
  llvm::SmallVector<Dim> from = dimsOf(x->tensor), to = dimsOf(at->tensor);
  bool fits = from.size() == to.size();
  for (size_t i = 0; fits && i < to.size(); ++i)
    fits = static_cast<int64_t>(i) == *axis || call.e.provablyNonNegative(from[i] - to[i]);
  if (!fits) {
    Diagnostic &diagnostic = call.e.error(
        call.ranges[1], "gather wants indices with as many axes as x, and no longer ones beside axis " +
                            std::to_string(*axis) + ": x is " + describe(*x) + ", the indices are " + describe(*at));
    if (from.size() != to.size())
      diagnostic.withHelp("take(x, indices, axis) takes whole slices, pick(x, indices) one element a row");
    return Value::error();
  }
  // Along the last axis, for each of the places before it.
  Emit emit = call.e.emit(call.range);
  mlir::Value operand = x->tensor;
  std::vector<int64_t> order, back;
  for (int64_t i = 0; i < x->rank(); ++i) {
    if (i != *axis)
      order.push_back(i);
    back.push_back(i < *axis ? i : i == *axis ? x->rank() - 1 : i - 1);
    if (i != *axis && from[i] != to[i])
      operand = emit.sliceAxis(operand, i, Dim(0), to[i]);
  }
  order.push_back(*axis);
  mlir::Value picked =
      emit.gather(emit.transposed(operand, order), emit.transposed(at->tensor, order), x->rank() - 1, x->rank() - 1);
  return Value::tensorOf(emit.transposed(picked, back), at->origins);
}

template <ScatterKind kind> static Value scatter(BoundCall &call) {
  std::optional<Value> x = call.tensor(0), at = indices(call, 1), updates = call.tensor(2);
  std::optional<int64_t> axis = x ? call.axis(3, x->rank()) : std::nullopt;
  if (!at || !updates || !axis)
    return Value::error();
  Inferred inferred = inferGather(x->tensorType(), at->tensorType(), *axis, 0);
  if (!inferred)
    return refused(call, inferred);
  if (inferred.type != updates->tensorType()) {
    Diagnostic &diagnostic = call.e.error(call.ranges[2], "the updates are " + describe(*updates) + "; " +
                                                              typeName(inferred.type) + " is expected");
    if (at->rank() == x->rank() && updates->rank() == x->rank()) // as torch.scatter_add takes them
      diagnostic.withHelp(
          "indices of each element, as gather has them, are those of scatter(x, indices, updates, axis) "
          "and scatter_reduce");
    return Value::error();
  }
  return Value::tensorOf(call.e.emit(call.range).scatter(kind, x->tensor, at->tensor, updates->tensor, *axis),
                         x->origins);
}

static Value oneHot(BoundCall &call) {
  std::optional<Value> x = indices(call, 0);
  std::optional<Dim> count = call.dim(1);
  std::optional<mlir::Type> type = call.dtype(2);
  if (!x || !count || !type)
    return Value::error();
  llvm::SmallVector<Dim> dims = dimsOf(x->tensor);
  dims.push_back(*count);
  Emit emit = call.e.emit(call.range);
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < x->rank(); ++i)
    axes.push_back(i);
  mlir::Value classes = emit.iota(dims, x->rank(), x->tensorType().getElementType());
  mlir::Value same = emit.compare(Predicate::eq, emit.broadcastTo(x->tensor, axes, dims), classes);
  Origins origins;
  for (int64_t i = 0; i < x->rank(); ++i)
    origins.push_back({x->originOf(i)});
  origins.push_back({call.ranges[1]});
  return Value::tensorOf(emit.convertTo(same, *type), shared(std::move(origins)));
}

Value crossEntropy(BoundCall &call);
Value einsum(BoundCall &call);
Value gradientOf(BoundCall &call);
Value parametersOf(BoundCall &call);
Value withParameters(BoundCall &call);
Value convolve(BoundCall &call);
Value convolveTransposed(BoundCall &call);
Value maxPool(BoundCall &call);
Value averagePool(BoundCall &call);

llvm::ArrayRef<Builtin> networkBuiltins() {
  static const Builtin builtins[] = {
      // eˣ over its sum along an axis. torch.softmax.
      {"softmax", "x, axis=-1", overAxis<SoftmaxOp>},
      // The logarithm of softmax. torch.log_softmax.
      {"log_softmax", "x, axis=-1", overAxis<LogSoftmaxOp>},
      // (x - mean) / √(var + epsilon) scale + bias over an axis or a tuple of them. torch.nn.functional.layer_norm.
      {"layer_norm", "x, scale=None, bias=None, epsilon=1e-5, axis=-1", layerNorm},
      // x / √(mean(x²) + epsilon) scale over an axis or a tuple of them. torch.nn.functional.rms_norm.
      {"rms_norm", "x, scale, epsilon=1e-6, axis=-1", rmsNorm},
      // softmax(scale q kᵀ) v of [B, H, T, D]; the mask is true where a key is seen; a query that sees none gives 0;
      // with causal the last query is at the last key, or the first one at key `start`, and sees the last `window` keys
      // up to its own. Keys and values may have fewer heads: H / K of queries share one. `sinks`, f32[H], stand among a
      // query's scores and take a share of what is seen. With `softcap` scores are softcap tanh(score / softcap).
      // torch.nn.functional.scaled_dot_product_attention.
      {"attention", "q, k, v, mask=None, causal=False, scale=None, start=None, window=None, sinks=None, softcap=None",
       attention},
      // -log softmax(logits)[target]: logits [..., C], targets [...] (or shares [..., C]), a weight for each class.
      // torch.nn.functional.cross_entropy.
      {"cross_entropy", "logits, targets, ignore_index=-100, smoothing=0.0, reduction=\"mean\", weight=None",
       crossEntropy},
      // The derivative of the scalar y by x, or by each of a tuple, that y was computed from, of x's shape; it has
      // derivatives too. Of a y that is no scalar, the sum over its elements of dy times their derivatives.
      // torch.autograd.grad(create_graph=True).
      {"gradient", "y, x, dy=None", gradientOf},
      // The parameters of a part by their names, as tensors that take part in arithmetic all at once: with those of the
      // same names, and with numbers. torch.nn.Module.named_parameters.
      {"parameters", "part", parametersOf},
      // The part with other tensors in place of its parameters: with_parameters(net, net - 0.1 * gradient(y, net))(x).
      // torch.func.functional_call.
      {"with_parameters", "part, values", withParameters},
      // Sums of products by letters that name the axes. torch.einsum.
      {"einsum", "equation, *tensors", einsum},
      // Convolution over 1 to 3 axes: x [B, C, space…], w [O, C / groups, size…]. torch.nn.functional.conv2d.
      {"conv", "x, w, stride=1, padding=0, dilation=1, groups=1", convolve},
      // Its transpose: w [C, O / groups, size…]. torch.nn.functional.conv_transpose2d.
      {"conv_transpose", "x, w, stride=1, padding=0, output_padding=0, dilation=1, groups=1", convolveTransposed},
      // The largest of each window of [B, C, space…]. torch.nn.functional.max_pool2d.
      {"max_pool", "x, size, stride=None, padding=0", maxPool},
      // The mean of each window. torch.nn.functional.avg_pool2d.
      {"avg_pool", "x, size, stride=None, padding=0, count_padding=True", averagePool},
      // Slices of x by their numbers along an axis; rows of a table. torch.index_select, torch.nn.functional.embedding.
      {"take", "x, indices, axis=0", take},
      // One element, or k, of each row: x [..., n], indices [...] or [..., k].
      {"pick", "x, indices", pick},
      // Elements along an axis by indices of x's rank. torch.gather.
      {"gather", "x, indices, axis", gatherAlong},
      // x with updates added at indices along an axis, the reverse of take. torch.index_add.
      {"scatter_add", "x, indices, updates, axis=0", scatter<ScatterKind::add>},
      // x with slices replaced at indices along an axis. torch.index_copy.
      {"scatter_set", "x, indices, updates, axis=0", scatter<ScatterKind::set>},
      // x with the larger of its elements and the updates that fall on them along an axis.
      // torch.Tensor.index_reduce(amax).
      {"scatter_max", "x, indices, updates, axis=0", scatter<ScatterKind::max>},
      // x with the smaller of its elements and the updates that fall on them along an axis.
      // torch.Tensor.index_reduce(amin).
      {"scatter_min", "x, indices, updates, axis=0", scatter<ScatterKind::min>},
      // x times the updates that fall on its elements along an axis. torch.Tensor.index_reduce(prod).
      {"scatter_mul", "x, indices, updates, axis=0", scatter<ScatterKind::mul>},
      // 1 at the class, else 0: [..., n]. torch.nn.functional.one_hot.
      {"one_hot", "x, n, dtype=f32", oneHot},
  };
  return builtins;
}

} // namespace kiln::language
