// Reductions, sorting, cumulative sums.
#include "frontend/language/Elaborate.h"
#include "ir/Infer.h"
#include "ir/PerShard.h"

#include <cmath>
#include <limits>
#include <set>

namespace kiln::language {

/// Origins and dims after the axes vanish, or with extent 1 in their place.
static Value finish(BoundCall &call, const Value &x, mlir::Value reduced, llvm::ArrayRef<int64_t> axes, bool keep) {
  std::set<int64_t> gone(axes.begin(), axes.end());
  Origins origins;
  std::vector<Dim> dims;
  for (const auto &[i, dim] : llvm::enumerate(dimsOf(x.tensor))) {
    bool isGone = gone.contains(static_cast<int64_t>(i));
    if (isGone && !keep)
      continue;
    dims.push_back(isGone ? Dim(1) : dim);
    origins.push_back({isGone ? Range() : x.originOf(i)});
  }
  return Value::tensorOf(keep ? call.e.emit(call.range).reshapeTo(reduced, dims) : reduced,
                         std::make_shared<Origins>(std::move(origins)));
}

/// What a reduction computes for each shard of a batch by itself (`per_shard`): marked, where a batch is to be cut, for
/// the pass that cuts it (passes/TrainStep/BatchRows.h).
template <typename F> static Value perShard(BoundCall &call, size_t index, F compute) {
  std::optional<bool> asked = call.boolean(index);
  if (!asked)
    return Value::error();
  if (!*asked || !call.e.cutsBatches())
    return compute();
  mlir::OpBuilder &builder = call.e.builder();
  mlir::Block *block = builder.getInsertionBlock();
  auto end = builder.getInsertionPoint();
  mlir::Operation *before = end == block->begin() ? nullptr : &*std::prev(end);
  Value result = compute();
  for (auto op = before ? std::next(before->getIterator()) : block->begin(); op != end; ++op)
    op->setAttr(kiln::perShard, builder.getUnitAttr());
  return result;
}

namespace {
struct Reduction {
  Value x;
  std::vector<int64_t> axes;
  bool keep = false;
};
} // namespace

/// Arguments x, axis, keepdims. `floats`: integers become f32, bool for means and sums of counts too.
static std::optional<Reduction> reduction(BoundCall &call, bool floats) {
  std::optional<Value> x = call.tensor(0);
  if (!x)
    return std::nullopt;
  std::optional<std::vector<int64_t>> axes = call.axes(1, x->rank());
  std::optional<bool> keep = call.boolean(2);
  if (!axes || !keep)
    return std::nullopt;
  mlir::Type element = x->tensorType().getElementType();
  if (floats && !isFloat(element))
    *x = call.e.convert(*x, call.e.builder().getF32Type(), call.range);
  return Reduction{*x, *axes, *keep};
}

/// What has no answer over no elements is refused there, as PyTorch does.
static bool wantElements(BoundCall &call, const Value &x, llvm::ArrayRef<int64_t> axes) {
  for (int64_t axis : axes)
    if (!call.e.needElement(dimsOf(x.tensor)[axis], call.range,
                            "axis " + std::to_string(axis) + " of " + describe(x) + ", which " +
                                std::string(call.builtin.name) + " runs over,",
                            x.originOf(axis)))
      return false;
  return true;
}

template <ReduceKind kind> static Value reduceWith(BoundCall &call) {
  std::optional<Reduction> r = reduction(call, false);
  if (!r)
    return Value::error();
  bool isBool = r->x.tensorType().getElementType().isInteger(1);
  if (kind == ReduceKind::any || kind == ReduceKind::all) {
    if (!isBool) {
      call.e.error(call.ranges[0], std::string(call.builtin.name) + " takes a bool tensor; this is " + describe(r->x));
      return Value::error();
    }
  } else if (isBool) {
    r->x = call.e.convert(r->x, call.e.builder().getI32Type(), call.range); // counts
  }
  if ((kind == ReduceKind::max || kind == ReduceKind::min) && !wantElements(call, r->x, r->axes))
    return Value::error();
  return finish(call, r->x, call.e.emit(call.range).reduce(kind, r->x.tensor, r->axes), r->axes, r->keep);
}

/// max(x, axis) reduces; max(a, b, …) of several compares them, numbers at compile time.
template <ReduceKind kind> static Value extremum(BoundCall &call) {
  bool isMax = kind == ReduceKind::max;
  std::vector<Value> items = {call.values[0]};
  std::vector<Range> ranges = {call.ranges[0]};
  items.insert(items.end(), call.rest.begin(), call.rest.end());
  ranges.insert(ranges.end(), call.restRanges.begin(), call.restRanges.end());
  if (items.size() == 1 && items[0].isList()) {
    items = std::vector<Value>(*items[0].items);
    ranges.assign(items.size(), call.ranges[0]);
  }
  if (items.empty()) {
    call.e.error(call.range, std::string(call.builtin.name) + " of an empty list");
    return Value::error();
  }
  if (items.size() == 1 && items[0].isTensor())
    return reduceWith<kind>(call);
  Value best = items[0];
  for (size_t i = 1; i < items.size(); ++i) {
    const Value &next = items[i];
    if (best.isInteger() && next.isInteger()) {
      Dim larger = max(best.integer, next.integer);
      best = Value::integerOf(isMax ? larger : best.integer + next.integer - larger, call.range);
    } else if (best.asDouble() && next.asDouble()) {
      if (isMax ? *next.asDouble() > *best.asDouble() : *next.asDouble() < *best.asDouble())
        best = next;
    } else {
      Value a = best, b = next;
      if (!call.e.unify(a, b, call.range, ranges[0], ranges[i]))
        return Value::error();
      Emit emit = call.e.emit(call.range);
      best = Value::tensorOf(isMax ? emit.max(a.tensor, b.tensor) : emit.min(a.tensor, b.tensor), a.origins);
    }
  }
  return best;
}

/// sum of a list of numbers or tensors adds them up.
static Value sum(BoundCall &call) {
  if (!call.values[0].isList())
    return reduceWith<ReduceKind::sum>(call);
  Value total = Value::integerOf(0, call.range);
  for (const Value &item : *call.values[0].items)
    total = call.e.binary("+", total, item, call.range, call.ranges[0], call.ranges[0]);
  return total;
}

static Value mean(BoundCall &call) {
  return perShard(call, 3, [&] {
    std::optional<Reduction> r = reduction(call, true);
    return r ? finish(call, r->x, call.e.emit(call.range).meanOver(r->x.tensor, r->axes), r->axes, r->keep)
             : Value::error();
  });
}

/// In f32 where the elements are narrower, as PyTorch computes them.
static mlir::Value widened(Emit &emit, mlir::Value x) {
  mlir::Type element = llvm::cast<mlir::RankedTensorType>(x.getType()).getElementType();
  return isNarrowFloat(element) ? emit.convertTo(x, emit.b.getF32Type()) : x;
}

static mlir::Value deviations(Emit &emit, mlir::Value x, llvm::ArrayRef<int64_t> axes) {
  return emit.sub(x, emit.broadcastBack(emit.meanOver(x, axes), axes, dimsOf(x)));
}

/// The sum of squares over n - correction.
static mlir::Value meanOfSquares(Emit &emit, mlir::Value x, llvm::ArrayRef<int64_t> axes, double correction) {
  mlir::Value squares = emit.mul(x, x);
  if (correction == 0)
    return emit.meanOver(squares, axes);
  Dim count(1);
  for (int64_t axis : axes)
    count = count * dimsOf(x)[axis];
  mlir::Value total = emit.reduceSum(squares, axes);
  mlir::Type element = llvm::cast<mlir::RankedTensorType>(x.getType()).getElementType();
  mlir::Value over = emit.sub(emit.extent(count, element), correction);
  return emit.div(total, emit.broadcastScalar(over, dimsOf(total)));
}

/// The root of what `squared` makes of x's squares. Rows whose squares would leave the type's range at either end are
/// scaled by a power of two, which rounds nothing. Where the root is 0 its gradient is 0, as that of torch.std and
/// torch.linalg.vector_norm.
static mlir::Value rootOf(Emit &emit, mlir::Value x, llvm::ArrayRef<int64_t> axes,
                          llvm::function_ref<mlir::Value(mlir::Value)> squared) {
  bool wide = llvm::cast<mlir::RankedTensorType>(x.getType()).getElementType().isF64();
  mlir::Value top = emit.stopGradient(emit.reduceMax(emit.op<AbsOp>(x), axes));
  auto chosen = [&](double ofLarge, double ofSmall) {
    mlir::Value isLarge = emit.compare(Predicate::gt, top, wide ? 0x1p400 : 0x1p50);
    mlir::Value isSmall = emit.compare(Predicate::lt, top, wide ? 0x1p-400 : 0x1p-50);
    mlir::Value small = emit.select(isSmall, emit.splatLike(top, ofSmall), emit.splatLike(top, 1));
    return emit.select(isLarge, emit.splatLike(top, ofLarge), small);
  };
  mlir::Value scale = wide ? chosen(0x1p-600, 0x1p600) : chosen(0x1p-80, 0x1p80);
  mlir::Value back = wide ? chosen(0x1p600, 0x1p-600) : chosen(0x1p80, 0x1p-80);
  mlir::Value squares = squared(emit.mul(x, emit.broadcastBack(scale, axes, dimsOf(x))));
  mlir::Value zero = emit.splatLike(squares, 0), isZero = emit.compare(Predicate::eq, squares, zero);
  mlir::Value root = emit.sqrt(emit.select(isZero, emit.splatLike(squares, 1), squares));
  return emit.mul(emit.select(isZero, zero, root), back);
}

/// A reduction of floats, computed in f32 where they are shorter.
template <typename F> static Value inFullWidth(BoundCall &call, F compute) {
  std::optional<Reduction> r = reduction(call, true);
  if (!r)
    return Value::error();
  Emit emit = call.e.emit(call.range);
  mlir::Value result = compute(emit, widened(emit, r->x.tensor), r->axes);
  return finish(call, r->x, emit.convertTo(result, r->x.tensorType().getElementType()), r->axes, r->keep);
}

static Value var(BoundCall &call) {
  std::optional<double> correction = call.number(3);
  auto compute = [&](Emit &emit, mlir::Value x, const auto &axes) {
    return meanOfSquares(emit, deviations(emit, x, axes), axes, *correction);
  };
  return correction ? perShard(call, 4, [&] { return inFullWidth(call, compute); }) : Value::error();
}

static Value standardDeviation(BoundCall &call) {
  std::optional<double> correction = call.number(3);
  auto compute = [&](Emit &emit, mlir::Value x, const auto &axes) {
    return rootOf(emit, deviations(emit, x, axes), axes,
                  [&](mlir::Value scaled) { return meanOfSquares(emit, scaled, axes, *correction); });
  };
  return correction ? perShard(call, 4, [&] { return inFullWidth(call, compute); }) : Value::error();
}

static Value vectorNorm(BoundCall &call) {
  std::optional<double> order = call.number(3);
  if (!order)
    return Value::error();
  if (std::isnan(*order)) {
    call.e.error(call.ranges[3], "vector_norm's order is a number, inf or -inf; this is " + describe(call.values[3]));
    return Value::error();
  }
  if (std::isinf(*order)) { // the largest of nothing is refused
    std::optional<Value> x = call.tensor(0);
    std::optional<std::vector<int64_t>> axes = x ? call.axes(1, x->rank()) : std::nullopt;
    if (!axes || !wantElements(call, *x, *axes))
      return Value::error();
  }
  return inFullWidth(call, [&](Emit &emit, mlir::Value x, const auto &axes) {
    mlir::Value size = emit.op<AbsOp>(x);
    if (*order == 1)
      return emit.reduceSum(size, axes);
    if (std::isinf(*order))
      return *order > 0 ? emit.reduceMax(size, axes) : emit.reduce(ReduceKind::min, size, axes);
    if (*order == 0) // how many are not 0
      return emit.reduceSum(emit.convertTo(emit.compare(Predicate::ne, x, 0), mlir::getElementTypeOrSelf(x)), axes);
    if (*order != 2) {
      // Of nothing but zeros the root has gradient 0.
      mlir::Value sum = emit.reduceSum(emit.op<PowOp>(size, emit.splatLike(size, *order)), axes);
      mlir::Value isZero = emit.compare(Predicate::eq, sum, 0);
      mlir::Value safe = emit.select(isZero, emit.splatLike(sum, 1), sum);
      return emit.select(isZero, sum, emit.op<PowOp>(safe, emit.splatLike(sum, 1 / *order)));
    }
    return rootOf(emit, x, axes, [&](mlir::Value scaled) { return emit.reduceSum(emit.mul(scaled, scaled), axes); });
  });
}

static Value logsumexp(BoundCall &call) {
  std::optional<Reduction> r = reduction(call, true);
  if (!r)
    return Value::error();
  Emit emit = call.e.emit(call.range);
  mlir::Value x = r->x.tensor;
  mlir::Value top = emit.stopGradient(emit.reduceMax(x, r->axes));
  // inf - inf would be NaN: a row whose largest is infinite is not shifted.
  mlir::Value isInfinite = emit.compare(Predicate::eq, emit.op<AbsOp>(top), std::numeric_limits<double>::infinity());
  top = emit.select(isInfinite, emit.splatLike(top, 0), top);
  mlir::Value shifted = emit.sub(x, emit.broadcastBack(top, r->axes, dimsOf(x)));
  mlir::Value result = emit.add(emit.log(emit.reduceSum(emit.exp(shifted), r->axes)), top);
  return finish(call, r->x, result, r->axes, r->keep);
}

template <ArgKind kind> static Value argReduce(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  if (!x)
    return Value::error();
  std::optional<int64_t> axis = call.axis(1, x->rank());
  if (!axis || !wantElements(call, *x, {*axis}))
    return Value::error();
  mlir::Value result = call.e.emit(call.range).argReduce(kind, x->tensor, *axis, call.e.builder().getI32Type());
  return finish(call, *x, result, {*axis}, false);
}

static Value cumsum(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  if (!x)
    return Value::error();
  if (x->tensorType().getElementType().isInteger(1))
    *x = call.e.convert(*x, call.e.builder().getI32Type(), call.range);
  std::optional<int64_t> axis = call.axis(1, x->rank());
  std::optional<bool> reverse = call.boolean(2), exclusive = call.boolean(3);
  if (!axis || !reverse || !exclusive)
    return Value::error();
  return Value::tensorOf(
      call.e.emit(call.range).create<CumSumOp>(x->tensor.getType(), x->tensor, *axis, *reverse, *exclusive),
      x->origins);
}

static Value sort(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  if (!x)
    return Value::error();
  std::optional<int64_t> axis = call.axis(1, x->rank());
  std::optional<bool> descending = call.boolean(2);
  if (!axis || !descending)
    return Value::error();
  mlir::Type indices = withElement(x->tensor.getType(), call.e.builder().getI32Type());
  auto op = call.e.emit(call.range).create<SortOp>(x->tensor.getType(), indices, x->tensor, *axis, *descending);
  return Value::listOf({Value::tensorOf(op.getValues(), x->origins), Value::tensorOf(op.getIndices(), x->origins)});
}

static Value topK(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  std::optional<int64_t> k = call.integer(1);
  if (!x || !k)
    return Value::error();
  llvm::SmallVector<Dim> dims = x->rank() > 0 ? dimsOf(x->tensor) : llvm::SmallVector<Dim>();
  if (dims.empty() || *k < 1 || !call.e.provablyNonNegative(dims.back() - Dim(*k))) {
    call.e.error(call.ranges[1], "top_k of " + std::to_string(*k) + " from " + describe(*x) +
                                     ": k is at least 1 and at most the last axis' extent");
    return Value::error();
  }
  dims.back() = Dim(*k);
  mlir::Type values = tensorType(dims, x->tensorType().getElementType());
  auto op =
      call.e.emit(call.range).create<TopKOp>(values, withElement(values, call.e.builder().getI32Type()), x->tensor, *k);
  return Value::listOf({Value::tensorOf(op.getValues()), Value::tensorOf(op.getIndices())});
}

llvm::ArrayRef<Builtin> reductionBuiltins() {
  static const Builtin builtins[] = {
      // The sum over axes. torch.sum.
      {"sum", "x, axis=None, keepdims=False", sum},
      // The product over axes. torch.prod.
      {"prod", "x, axis=None, keepdims=False", reduceWith<ReduceKind::prod>},
      // The largest over axes; of two or more, elementwise. torch.amax.
      {"max", "x, *others, axis=None, keepdims=False", extremum<ReduceKind::max>},
      // The smallest over axes; of two or more, elementwise. torch.amin.
      {"min", "x, *others, axis=None, keepdims=False", extremum<ReduceKind::min>},
      // Whether any is true. torch.any.
      {"any", "x, axis=None, keepdims=False", reduceWith<ReduceKind::any>},
      // Whether all are true. torch.all.
      {"all", "x, axis=None, keepdims=False", reduceWith<ReduceKind::all>},
      // The mean over axes; with per_shard and `--shards N` that of each shard's rows by itself. torch.mean.
      {"mean", "x, axis=None, keepdims=False, per_shard=False", mean},
      // The variance over axes, over n - correction (0 here, 1 in PyTorch). torch.var.
      {"var", "x, axis=None, keepdims=False, correction=0, per_shard=False", var},
      // Its root. torch.std.
      {"std", "x, axis=None, keepdims=False, correction=0, per_shard=False", standardDeviation},
      // √(sum x²) over axes; of another order (sum |x|^order)^(1 / order), the largest |x| for inf, the smallest for
      // -inf, how many are not 0 for 0.
      // torch.linalg.vector_norm.
      {"vector_norm", "x, axis=None, keepdims=False, order=2", vectorNorm},
      // ln(sum eˣ) over axes. torch.logsumexp.
      {"logsumexp", "x, axis=None, keepdims=False", logsumexp},
      // Where the largest is, the first of equal ones. torch.argmax.
      {"argmax", "x, axis=-1", argReduce<ArgKind::max>},
      // Where the smallest is. torch.argmin.
      {"argmin", "x, axis=-1", argReduce<ArgKind::min>},
      // The sum up to each element along an axis. torch.cumsum.
      {"cumsum", "x, axis, reverse=False, exclusive=False", cumsum},
      // (values, indices) in order along an axis. torch.sort.
      {"sort", "x, axis=-1, descending=False", sort},
      // (values, indices) of the k largest of the last axis. torch.topk.
      {"top_k", "x, k", topK},
  };
  return builtins;
}

} // namespace kiln::language
