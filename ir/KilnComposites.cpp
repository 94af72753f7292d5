// What each composite means: its decomposition into primitives. Numbers follow
// PyTorch; bf16 and f16 are computed in f32 between the first op and the last,
// as PyTorch's kernels do.
#include "ir/Build.h"
#include "ir/Normal.h"
#include "ir/Values.h"

#include "mlir/IR/IRMapping.h"

#include <cmath>
#include <limits>

using llvm::SmallVector;
using mlir::OpBuilder;
using mlir::Value;

namespace kiln {

namespace {

Value widened(Emit &e, Value x) { return isNarrowFloat(elementOf(x)) ? e.convertTo(x, e.b.getF32Type()) : x; }

/// x minus its largest element along the axis. The maximum takes no part in the
/// gradient: it cancels out.
Value shifted(Emit &e, Value x, int64_t axis) {
  Value largest = e.stopGradient(e.reduceMax(x, {axis}));
  return e.sub(x, e.broadcastBack(largest, {axis}, dimsOf(x)));
}

Value softmaxOver(Emit &e, Value x, int64_t axis) {
  Value powers = e.exp(shifted(e, x, axis));
  return e.div(powers, e.broadcastBack(e.reduceSum(powers, {axis}), {axis}, dimsOf(x)));
}

int64_t lastAxis(Value x) { return llvm::cast<mlir::RankedTensorType>(x.getType()).getRank() - 1; }

} // namespace

//===-- Activations ----------------------------------------------------------------------------------------------===//

SmallVector<Value> ReluOp::decompose(OpBuilder &builder) {
  Emit e(builder, getLoc());
  // Not max: NaN passes, and the gradient at 0 is 0.
  Value zero = e.splatLike(getOperand(), 0.0);
  return {e.select(e.compare(Predicate::le, getOperand(), zero), zero, getOperand())};
}

SmallVector<Value> SiluOp::decompose(OpBuilder &builder) {
  Emit e(builder, getLoc());
  Value x = widened(e, getOperand());
  return {e.convertTo(e.mul(x, e.sigmoid(x)), elementOf(getResult()))};
}

SmallVector<Value> SoftplusOp::decompose(OpBuilder &builder) {
  Emit e(builder, getLoc());
  Value x = widened(e, getOperand());
  Value tail = e.op<Log1pOp>(e.exp(e.neg(e.op<AbsOp>(x))));
  return {e.convertTo(e.add(e.max(x, e.splatLike(x, 0.0)), tail), elementOf(getResult()))};
}

Value normalSpread(Emit &e, Value x) { return e.op<ErfOp>(e.mul(x, std::sqrt(0.5))); }

SmallVector<Value> GeluOp::decompose(OpBuilder &builder) {
  Emit e(builder, getLoc());
  Value x = widened(e, getOperand());
  Value inner;
  if (getTanh())
    inner = e.tanh(e.mul(e.add(x, e.mul(e.mul(e.mul(x, x), x), 0.044715)), std::sqrt(2.0 / M_PI)));
  else
    inner = normalSpread(e, x);
  return {e.convertTo(e.mul(e.mul(x, 0.5), e.add(inner, 1.0)), elementOf(getResult()))};
}

SmallVector<Value> SoftmaxOp::decompose(OpBuilder &builder) {
  Emit e(builder, getLoc());
  return {e.convertTo(softmaxOver(e, widened(e, getOperand()), getAxis()), elementOf(getResult()))};
}

SmallVector<Value> LogSoftmaxOp::decompose(OpBuilder &builder) {
  Emit e(builder, getLoc());
  int64_t axis = getAxis();
  Value x = shifted(e, widened(e, getOperand()), axis);
  Value logSum = e.log(e.reduceSum(e.exp(x), {axis}));
  return {e.convertTo(e.sub(x, e.broadcastBack(logSum, {axis}, dimsOf(x))), elementOf(getResult()))};
}

//===-- Norms ----------------------------------------------------------------------------------------------------===//

Value centredRows(Emit &e, Value x) {
  int64_t axis = lastAxis(x);
  return e.sub(x, e.broadcastBack(e.meanOver(x, {axis}), {axis}, dimsOf(x)));
}

Value rowScale(Emit &e, Value x, double epsilon) {
  int64_t axis = lastAxis(x);
  return e.broadcastBack(e.rsqrt(e.add(e.meanOver(e.mul(x, x), {axis}), epsilon)), {axis}, dimsOf(x));
}

SmallVector<Value> LayerNormOp::decompose(OpBuilder &builder) {
  Emit e(builder, getLoc());
  Value x = widened(e, getOperand());
  SmallVector<Dim> dims = dimsOf(x);
  Value centred = centredRows(e, x);
  Value y = e.mul(centred, rowScale(e, centred, getEpsilon().convertToDouble()));
  if (getScale()) {
    y = e.mul(y, e.broadcastTrailing(e.convertTo(getScale(), elementOf(y)), dims));
    y = e.add(y, e.broadcastTrailing(e.convertTo(getBias(), elementOf(y)), dims));
  }
  return {e.convertTo(y, elementOf(getResult()))};
}

SmallVector<Value> RmsNormOp::decompose(OpBuilder &builder) {
  Emit e(builder, getLoc());
  Value x = widened(e, getOperand());
  SmallVector<Dim> dims = dimsOf(x);
  Value y = e.mul(x, rowScale(e, x, getEpsilon().convertToDouble()));
  y = e.mul(y, e.broadcastTrailing(e.convertTo(getScale(), elementOf(y)), dims));
  return {e.convertTo(y, elementOf(getResult()))};
}

//===-- Draws ----------------------------------------------------------------------------------------------------===//

namespace {

Value bitsOf(Emit &e, llvm::ArrayRef<Dim> dims, Value seed, mlir::ValueRange counters, int64_t stream) {
  mlir::Type ui32 = mlir::IntegerType::get(e.b.getContext(), 32, mlir::IntegerType::Unsigned);
  return e.create<RandomBitsOp>(tensorType(dims, ui32), seed, counters, stream);
}

Value uniformOf(Emit &e, llvm::ArrayRef<Dim> dims, mlir::Type element, Value seed, mlir::ValueRange counters,
                int64_t stream) {
  Value bits = bitsOf(e, dims, seed, counters, stream);
  Value high = e.op<ShrOp>(bits, e.splatInt(bits.getType(), 8));
  return e.mul(e.convertTo(high, element), 0x1p-24);
}

/// dropout of x with an op's p and draws.
template <class Op> Value droppedOf(Emit &e, Value x, Op op) {
  double p = op.getP().convertToDouble();
  if (p <= 0.0)
    return x;
  Value zero = e.splatLike(x, 0.0);
  if (p >= 1.0)
    return zero;
  // u >= p with u = (bits >> 8) * 2^-24, in integers: exact, whatever the type of x.
  int64_t threshold = static_cast<int64_t>(std::ceil(p * 0x1p24)) << 8;
  if (threshold >= int64_t{1} << 32)
    return zero;
  Value bits = bitsOf(e, dimsOf(x), op.getSeed(), op.getCounters(), op.getStream());
  Value keep = e.compare(Predicate::ge, bits, e.splatInt(bits.getType(), threshold));
  return e.select(keep, e.mul(x, 1.0 / (1.0 - p)), zero);
}

} // namespace

//===-- Losses and attention -------------------------------------------------------------------------------------===//

/// Class numbers in a type that counts all classes.
static Value wideEnough(Emit &e, Value targets) {
  return llvm::cast<mlir::IntegerType>(elementOf(targets)).getWidth() < 32 ? e.convertTo(targets, e.b.getI32Type())
                                                                           : targets;
}

SmallVector<Value> CrossEntropyOp::decompose(OpBuilder &builder) {
  Emit e(builder, getLoc());
  Value targets = getTargets();
  // A sentinel that the targets' type cannot hold matches nothing.
  int64_t sentinel = getIgnoreIndex();
  Value counted;
  if (holdsInteger(elementOf(targets), sentinel)) {
    counted = e.compare(Predicate::ne, targets, e.splatInt(targets.getType(), sentinel));
    targets = e.select(counted, targets, e.splatInt(targets.getType(), 0));
  }
  Value logits = widened(e, getLogits());
  int64_t axis = lastAxis(logits);
  Value x = shifted(e, logits, axis);
  Value logSum = e.log(e.reduceSum(e.exp(x), {axis}));
  // The target's share summed, not gathered: so that what else comes of the row may be written over the logits.
  Value numbers = wideEnough(e, getTargets());
  SmallVector<Dim> dims = dimsOf(x);
  Value hit = e.compare(Predicate::eq, e.iota(dims, axis, elementOf(numbers)), e.broadcastBack(numbers, {axis}, dims));
  Value loss = e.sub(logSum, e.reduceSum(e.select(hit, x, e.splatLike(x, 0.0)), {axis}));
  // A gather from the classes' numbers checks the target: one out of range is reported, and has no loss.
  Value number = e.gather(e.iota({dims[axis]}, 0, elementOf(numbers)), targets, 0);
  Value known = e.compare(Predicate::eq, number, wideEnough(e, targets));
  loss = e.select(known, loss, e.splatLike(loss, std::numeric_limits<double>::quiet_NaN()));
  if (double smoothing = getSmoothing().convertToDouble(); smoothing != 0.0) {
    Value uniform = e.sub(logSum, e.meanOver(x, {axis}));
    loss = e.add(e.mul(loss, 1.0 - smoothing), e.mul(uniform, smoothing));
  }
  if (counted)
    loss = e.select(counted, loss, e.splatLike(loss, 0.0));
  return {e.convertTo(loss, elementOf(getResult()))};
}

namespace {

/// Products of attention, in which `groups` heads of queries share one of keys and values.
struct HeadProducts {
  Emit &e;
  int64_t groups;

  /// [B, H, T, N] as [B, K, groups, T, N].
  Value apart(Value x) const {
    SmallVector<Dim> dims = dimsOf(x);
    return e.reshapeTo(x, {dims[0], *dims[1].exactDiv(Dim(groups)), Dim(groups), dims[2], dims[3]});
  }
  /// Rows of queries [B, H, T, N] by axis `axis` of what belongs to the keys [B, K, S, D]: [B, H, T, the other axis].
  Value ofQueries(Value rows, Value keys, int64_t axis, mlir::Type wide) const {
    if (groups == 1)
      return e.dot(rows, keys, {{0, 1}, {0, 1}, {3}, {axis}}, wide);
    Value product = e.dot(apart(rows), keys, {{0, 1}, {0, 1}, {4}, {axis}}, wide);
    SmallVector<Dim> dims = dimsOf(rows);
    return e.reshapeTo(product, {dims[0], dims[1], dims[2], dimsOf(product).back()});
  }
  /// Summed over all queries of a head of keys: [B, H, T, S] by [B, H, T, D] as [B, K, S, D].
  Value ofKeys(Value x, Value y, mlir::Type wide) const {
    return groups == 1 ? e.dot(x, y, {{0, 1}, {0, 1}, {2}, {2}}, wide)
                       : e.dot(apart(x), apart(y), {{0, 1}, {0, 1}, {2, 3}, {2, 3}}, wide);
  }
};

/// Which keys causal queries see: bool [T, S].
template <class Op> Value causalKeys(Emit &e, Op op, const Dim &queries, const Dim &keys) {
  SmallVector<Dim> plane = {queries, keys};
  mlir::Type i32 = e.b.getI32Type();
  Value place = e.iota(plane, 0, i32), key = e.iota(plane, 1, i32);
  if (op.getStart())
    place = e.add(place, e.broadcastScalar(op.getStart(), plane));
  else if (Dim offset = keys - queries; offset != Dim(0))
    place = e.add(place, e.broadcastScalar(e.extent(offset, i32), plane));
  Value seen = e.compare(Predicate::le, key, place);
  if (!op.getSlidingWindow())
    return seen;
  Value back = e.sub(place, e.splatInt(place.getType(), static_cast<int64_t>(*op.getSlidingWindow())));
  return e.op<AndOp>(seen, e.compare(Predicate::gt, key, back));
}

template <class Op> Value biasOf(Op op) {
  if constexpr (requires { op.getBias(); })
    return op.getBias();
  return {};
}

/// x without what the op drops of it, where it drops any.
template <class Op> Value dropped(Emit &e, Op op, Value x) {
  if constexpr (requires { op.getP(); })
    return droppedOf(e, x, op);
  return x;
}

/// scale q k^T, -inf where a key is hidden, in f32 where the elements are narrower. Where the op bends them, `bent`
/// becomes tanh of what is bent, of which none is hidden.
template <class Op> Value attentionScores(Emit &e, Op op, Value &bent) {
  mlir::Type element = elementOf(op.getQuery());
  mlir::Type wide = isNarrowFloat(element) ? e.b.getF32Type() : element;
  HeadProducts heads{e, static_cast<int64_t>(op.getGroups())};
  Value scores = e.mul(heads.ofQueries(op.getQuery(), op.getKey(), 3, wide), op.getScale().convertToDouble());
  SmallVector<Dim> dims = dimsOf(scores);
  if constexpr (requires { op.getSoftcap(); }) {
    double cap = op.getSoftcap().convertToDouble();
    bent = e.tanh(e.div(scores, cap));
    scores = e.mul(bent, cap);
  }
  if (Value bias = biasOf(op))
    scores = e.add(scores, e.broadcastTo(e.convertTo(bias, elementOf(scores)), {0, 1, 2, 3}, dims));
  Value hidden = e.splatLike(scores, -std::numeric_limits<double>::infinity());
  if (op.getCausal())
    scores = e.select(e.broadcastTo(causalKeys(e, op, dims[2], dims[3]), {2, 3}, dims), scores, hidden);
  if (Value mask = op.getMask())
    scores = e.select(e.broadcastTo(mask, {0, 1, 2, 3}, dims), scores, hidden);
  return scores;
}

template <class Op> SmallVector<Value> attentionOf(OpBuilder &builder, Op op) {
  Emit e(builder, op.getLoc());
  Value bent, scores = attentionScores(e, op, bent);
  SmallVector<Dim> dims = dimsOf(scores);
  mlir::Type element = elementOf(op.getQuery());
  // As softmaxOver, whose parts the second result needs. Where no key is seen the powers are 0, and so are the weights.
  Value largest = e.stopGradient(e.reduceMax(scores, {3}));
  Value none = e.compare(Predicate::eq, largest, -std::numeric_limits<double>::infinity());
  Value shift = e.select(none, e.splatLike(largest, 0), largest);
  Value powers = e.exp(e.sub(scores, e.broadcastBack(shift, {3}, dims)));
  Value sums = e.reduceSum(powers, {3});
  Value divisors = e.select(none, e.splatLike(sums, 1), sums);
  Value weights = e.convertTo(e.div(powers, e.broadcastBack(divisors, {3}, dims)), element);
  weights = dropped(e, op, weights);
  Value result =
      HeadProducts{e, static_cast<int64_t>(op.getGroups())}.ofQueries(weights, op.getValue(), 2, elementOf(scores));
  SmallVector<Value> results = {e.convertTo(result, elementOf(op.getResult()))};
  if (op.getLse()) {
    Value infinite = e.splatLike(sums, std::numeric_limits<double>::infinity());
    results.push_back(e.select(none, infinite, e.add(shift, e.log(sums))));
  }
  return results;
}

/// Summed over the axes along which `like` is broadcast.
Value summedTo(Emit &e, Value x, Value like) {
  SmallVector<int64_t> axes;
  SmallVector<Dim> from = dimsOf(x), to = dimsOf(like);
  for (size_t axis = 0; axis < to.size(); ++axis)
    if (to[axis] != from[axis])
      axes.push_back(static_cast<int64_t>(axis));
  return e.reshapeTo(e.reduceSum(x, axes), to);
}

template <class Op> SmallVector<Value> attentionGradientsOf(OpBuilder &builder, Op op) {
  Emit e(builder, op.getLoc());
  double scale = op.getScale().convertToDouble();
  Value bent, scores = attentionScores(e, op, bent);
  SmallVector<Dim> dims = dimsOf(scores);
  mlir::Type wide = elementOf(scores), element = elementOf(op.getQuery());
  // Where a key is hidden its share is 0, and so is the slope of its score.
  Value shares = e.exp(e.sub(scores, e.broadcastBack(op.getLse(), {3}, dims)));
  HeadProducts heads{e, static_cast<int64_t>(op.getGroups())};
  auto ofKeys = [&](Value x, Value y) {
    return e.convertTo(heads.ofKeys(x, e.convertTo(y, elementOf(x)), wide), element);
  };
  Value dvalue = ofKeys(dropped(e, op, e.convertTo(shares, element)), op.getGradient());
  // The row sums of P dP are those of g O, which are over the narrower axis.
  Value sums = e.reduceSum(e.mul(widened(e, op.getGradient()), widened(e, op.getResult())), {3});
  Value slope = dropped(e, op, heads.ofQueries(op.getGradient(), op.getValue(), 3, wide));
  slope = e.mul(e.sub(slope, e.broadcastBack(sums, {3}, dims)), shares);
  SmallVector<Value> dbias;
  if (Value bias = biasOf(op))
    dbias.push_back(e.convertTo(summedTo(e, slope, bias), element));
  if (bent)
    slope = e.mul(slope, e.sub(e.splatLike(bent, 1), e.mul(bent, bent)));
  slope = e.convertTo(e.mul(slope, scale), element);
  Value dquery = e.convertTo(heads.ofQueries(slope, e.convertTo(op.getKey(), elementOf(slope)), 2, wide), element);
  SmallVector<Value> gradients = {dquery, ofKeys(slope, op.getQuery()), dvalue};
  gradients.append(dbias);
  return gradients;
}

} // namespace

SmallVector<Value> AttentionOp::decompose(OpBuilder &builder) { return attentionOf(builder, *this); }
SmallVector<Value> BiasedAttentionOp::decompose(OpBuilder &builder) { return attentionOf(builder, *this); }
SmallVector<Value> AttentionGradOp::decompose(OpBuilder &builder) { return attentionGradientsOf(builder, *this); }
SmallVector<Value> BiasedAttentionGradOp::decompose(OpBuilder &builder) { return attentionGradientsOf(builder, *this); }
SmallVector<Value> DropoutAttentionOp::decompose(OpBuilder &builder) { return attentionOf(builder, *this); }
SmallVector<Value> DropoutAttentionGradOp::decompose(OpBuilder &builder) {
  return attentionGradientsOf(builder, *this);
}
SmallVector<Value> CappedAttentionOp::decompose(OpBuilder &builder) { return attentionOf(builder, *this); }
SmallVector<Value> CappedAttentionGradOp::decompose(OpBuilder &builder) { return attentionGradientsOf(builder, *this); }

//===-- Random ---------------------------------------------------------------------------------------------------===//

SmallVector<Value> RandomUniformOp::decompose(OpBuilder &builder) {
  Emit e(builder, getLoc());
  return {uniformOf(e, dimsOf(getResult()), elementOf(getResult()), getSeed(), getCounters(), getStream())};
}

SmallVector<Value> RandomNormalOp::decompose(OpBuilder &builder) {
  Emit e(builder, getLoc());
  SmallVector<Dim> dims = dimsOf(getResult()), pairs = dims;
  pairs.push_back(Dim(2));
  Value uniforms = uniformOf(e, pairs, elementOf(getResult()), getSeed(), getCounters(), getStream());
  int64_t axis = static_cast<int64_t>(dims.size());
  Value first = e.reshapeTo(e.sliceAxis(uniforms, axis, Dim(0), Dim(1)), dims);
  Value second = e.reshapeTo(e.sliceAxis(uniforms, axis, Dim(1), Dim(1)), dims);
  // 1 - u is exact and never 0.
  Value radius = e.sqrt(e.mul(e.log(e.sub(e.splatLike(first, 1.0), first)), -2.0));
  return {e.mul(radius, e.op<CosOp>(e.mul(second, 2.0 * M_PI)))};
}

SmallVector<Value> DropoutOp::decompose(OpBuilder &builder) {
  Emit e(builder, getLoc());
  return {droppedOf(e, getOperand(), *this)};
}

//===-- Functions as ops -----------------------------------------------------------------------------------------===//

SmallVector<Value> CustomOp::decompose(OpBuilder &builder) {
  mlir::Block &body = getForward().front();
  mlir::IRMapping map;
  map.map(body.getArguments(), getInputs());
  for (mlir::Operation &nested : body.without_terminator())
    builder.clone(nested, map);
  SmallVector<Value> results;
  for (Value value : body.getTerminator()->getOperands())
    results.push_back(map.lookupOrDefault(value));
  return results;
}

} // namespace kiln
