// What networks are made of: softmax, norms, attention, losses, convolution, pooling, indexed access.
#include "frontend/language/Elaborate.h"
#include "ir/Infer.h"

namespace kiln::language {

static std::shared_ptr<Origins> shared(Origins origins) { return std::make_shared<Origins>(std::move(origins)); }

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

/// A scale or bias of shape [last dimension of x].
static std::optional<mlir::Value> lastAxisVector(BoundCall &call, const Value &x, size_t index) {
  std::optional<Value> vector = call.tensor(index);
  if (!vector)
    return std::nullopt;
  llvm::SmallVector<Dim> dims = dimsOf(x.tensor), own = dimsOf(vector->tensor);
  if (own.size() == 1 && own[0] == dims.back())
    return vector->tensor;
  Diagnostic &diagnostic = call.e.error(
      call.ranges[index], std::string(call.builtin.name) + " wants one number for each entry of the last axis of " +
                              describe(x) + "; this is " + describe(*vector));
  call.e.noteDim(diagnostic, dims.back(), x.originOf(dims.size() - 1));
  return std::nullopt;
}

static Value layerNorm(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  std::optional<double> epsilon = call.number(3);
  if (!x || !epsilon || !wantFloat(call, *x, 0) || !wantAxis(call, *x, 0))
    return Value::error();
  mlir::Value scale, bias;
  Emit emit = call.e.emit(call.range);
  mlir::Type vector = tensorType({dimsOf(x->tensor).back()}, x->tensorType().getElementType());
  for (size_t i : {1, 2}) {
    if (!call.given(i))
      continue;
    std::optional<mlir::Value> value = lastAxisVector(call, *x, i);
    if (!value)
      return Value::error();
    (i == 1 ? scale : bias) = *value;
  }
  // The op takes both or none.
  if (scale && !bias)
    bias = emit.splat(vector, 0.0);
  if (bias && !scale)
    scale = emit.splat(vector, 1.0);
  return Value::tensorOf(
      emit.create<LayerNormOp>(x->tensor.getType(), x->tensor, scale, bias, call.e.builder().getF64FloatAttr(*epsilon)),
      x->origins);
}

static Value rmsNorm(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  std::optional<double> epsilon = call.number(2);
  if (!x || !epsilon || !wantFloat(call, *x, 0) || !wantAxis(call, *x, 0))
    return Value::error();
  std::optional<mlir::Value> scale = lastAxisVector(call, *x, 1);
  if (!scale)
    return Value::error();
  return Value::tensorOf(
      call.e.emit(call.range)
          .create<RmsNormOp>(x->tensor.getType(), x->tensor, *scale, call.e.builder().getF64FloatAttr(*epsilon)),
      x->origins);
}

static Value attention(BoundCall &call) {
  std::optional<Value> q = call.tensor(0), k = call.tensor(1), v = call.tensor(2);
  std::optional<bool> causal = call.boolean(4);
  if (!q || !k || !v || !causal)
    return Value::error();
  Emit emit = call.e.emit(call.range);
  mlir::Value mask;
  if (call.given(3)) {
    std::optional<Value> given = call.tensor(3);
    if (!given)
      return Value::error();
    if (!given->tensorType().getElementType().isInteger(1) || given->rank() > 4) {
      call.e.error(call.ranges[3],
                   "attention's mask is bool and broadcasts to [B, H, T, S]; this is " + describe(*given));
      return Value::error();
    }
    llvm::SmallVector<Dim> dims = dimsOf(given->tensor);
    while (dims.size() < 4)
      dims.insert(dims.begin(), Dim(1));
    mask = emit.reshapeTo(given->tensor, dims);
  }
  Inferred inferred =
      inferAttention(q->tensorType(), k->tensorType(), v->tensorType(),
                     mask ? llvm::cast<mlir::RankedTensorType>(mask.getType()) : mlir::RankedTensorType());
  if (!inferred)
    return refused(call, inferred);
  double scale = 0;
  if (call.given(5)) {
    std::optional<double> given = call.number(5);
    if (!given)
      return Value::error();
    scale = *given;
  } else {
    std::optional<int64_t> width = dimsOf(q->tensor).back().constant();
    if (!width || *width <= 0) {
      call.e
          .error(call.ranges[0], "attention's last axis, " + dimsOf(q->tensor).back().str() + ", is not a known number")
          .withHelp("give scale=");
      return Value::error();
    }
    scale = 1 / std::sqrt(static_cast<double>(*width));
  }
  Origins origins = {{q->originOf(0)}, {q->originOf(1)}, {q->originOf(2)}, {v->originOf(3)}};
  mlir::OpBuilder &b = call.e.builder();
  return Value::tensorOf(emit.create<AttentionOp>(inferred.type, q->tensor, k->tensor, v->tensor, mask,
                                                  b.getF64FloatAttr(scale), b.getBoolAttr(*causal))
                             ->getResult(0),
                         shared(std::move(origins)));
}

static Value crossEntropy(BoundCall &call) {
  std::optional<Value> logits = call.tensor(0), targets = call.tensor(1);
  std::optional<int64_t> ignore = call.integer(2);
  std::optional<double> smoothing = call.number(3);
  std::optional<std::string> how = call.string(4);
  if (!logits || !targets || !ignore || !smoothing || !how || !wantFloat(call, *logits, 0))
    return Value::error();
  if (*how != "mean" && *how != "sum" && *how != "none") {
    call.e.error(call.ranges[4], "cross_entropy's reduction is \"mean\", \"sum\" or \"none\"");
    return Value::error();
  }
  if (isFloat(targets->tensorType().getElementType()) || targets->tensorType().getElementType().isInteger(1)) {
    call.e.error(call.ranges[1],
                 "cross_entropy's targets are class numbers, of an integer type; this is " + describe(*targets));
    return Value::error();
  }
  Inferred inferred = inferCrossEntropy(logits->tensorType(), targets->tensorType());
  if (!inferred) {
    Diagnostic &diagnostic = call.e.error(
        call.range, "cross_entropy wants targets with the logits' shape without its last axis: the logits are " +
                        describe(*logits) + ", the targets " + describe(*targets));
    for (int64_t i = 0; i + 1 < logits->rank() && i < targets->rank(); ++i)
      if (dimsOf(logits->tensor)[i] != dimsOf(targets->tensor)[i]) {
        call.e.noteDim(diagnostic, dimsOf(logits->tensor)[i], logits->originOf(i));
        call.e.noteDim(diagnostic, dimsOf(targets->tensor)[i], targets->originOf(i));
      }
    return Value::error();
  }
  Emit emit = call.e.emit(call.range);
  mlir::OpBuilder &b = call.e.builder();
  mlir::Value rows = emit.create<CrossEntropyOp>(inferred.type, logits->tensor, targets->tensor,
                                                 b.getF64FloatAttr(*smoothing), b.getI64IntegerAttr(*ignore));
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < targets->rank(); ++i)
    axes.push_back(i);
  if (*how == "none")
    return Value::tensorOf(rows, targets->origins);
  if (*how == "sum")
    return Value::tensorOf(emit.reduceSum(rows, axes));
  // The mean is over the targets that count: NaN where none does.
  if (!holdsInteger(targets->tensorType().getElementType(), *ignore))
    return Value::tensorOf(emit.meanOver(rows, axes));
  mlir::Value kept = emit.compare(Predicate::ne, targets->tensor, emit.splatInt(targets->tensor.getType(), *ignore));
  mlir::Type element = logits->tensorType().getElementType();
  mlir::Type wide = isNarrowFloat(element) ? b.getF32Type() : element;
  mlir::Value count = emit.reduceSum(emit.convertTo(kept, wide), axes);
  mlir::Value total = emit.reduceSum(emit.convertTo(rows, wide), axes);
  return Value::tensorOf(emit.convertTo(emit.div(total, count), element));
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

template <ScatterKind kind> static Value scatter(BoundCall &call) {
  std::optional<Value> x = call.tensor(0), at = indices(call, 1), updates = call.tensor(2);
  std::optional<int64_t> axis = x ? call.axis(3, x->rank()) : std::nullopt;
  if (!at || !updates || !axis)
    return Value::error();
  Inferred inferred = inferGather(x->tensorType(), at->tensorType(), *axis, 0);
  if (!inferred)
    return refused(call, inferred);
  if (inferred.type != updates->tensorType()) {
    call.e.error(call.ranges[2],
                 "the updates are " + describe(*updates) + "; " + typeName(inferred.type) + " is expected");
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

Value convolve(BoundCall &call);
Value convolveTransposed(BoundCall &call);
Value maxPool(BoundCall &call);
Value averagePool(BoundCall &call);

llvm::ArrayRef<Builtin> networkBuiltins() {
  static const Builtin builtins[] = {
      {"softmax", "x, axis=-1", overAxis<SoftmaxOp>},
      {"log_softmax", "x, axis=-1", overAxis<LogSoftmaxOp>},
      {"layer_norm", "x, scale=None, bias=None, epsilon=1e-5", layerNorm},
      {"rms_norm", "x, scale, epsilon=1e-6", rmsNorm},
      {"attention", "q, k, v, mask=None, causal=False, scale=None", attention},
      {"cross_entropy", "logits, targets, ignore_index=-100, smoothing=0.0, reduction=\"mean\"", crossEntropy},
      {"conv", "x, w, stride=1, padding=0, dilation=1, groups=1", convolve},
      {"conv_transpose", "x, w, stride=1, padding=0, output_padding=0, dilation=1, groups=1", convolveTransposed},
      {"max_pool", "x, size, stride=None, padding=0", maxPool},
      {"avg_pool", "x, size, stride=None, padding=0", averagePool},
      {"take", "x, indices, axis=0", take},
      {"pick", "x, indices", pick},
      {"scatter_add", "x, indices, updates, axis=0", scatter<ScatterKind::add>},
      {"scatter_set", "x, indices, updates, axis=0", scatter<ScatterKind::set>},
      {"one_hot", "x, n, dtype=f32", oneHot},
  };
  return builtins;
}

} // namespace kiln::language
