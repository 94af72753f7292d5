// Better gradients than those of the decomposition, for the composites that profit. What a rule computes again (a mean,
// the sum of a softmax) it computes as the decomposition does, so that it becomes the same value once both are
// written out.
#include "passes/Differentiate/Backward.h"

#include "ir/Normal.h"

#include <cmath>
#include <limits>
#include <numbers>

namespace kiln {

using llvm::SmallVector;
using mlir::LogicalResult;
using mlir::success;
using mlir::Value;

namespace {

LogicalResult reluRule(ReluOp op, Backward &b) {
  Emit e = b.emit(op);
  Value g = b.gradient(op), zero = e.splatLike(g, 0);
  b.give(op.getOperand(), e.select(e.compare(Predicate::le, op.getOperand(), zero), zero, g));
  return success();
}

LogicalResult siluRule(SiluOp op, Backward &b) {
  Emit e = b.emit(op);
  Value x = op.getOperand(), s = e.sigmoid(x);
  Value slope = e.mul(s, e.add(e.mul(x, e.sub(e.splatLike(s, 1), s)), 1));
  b.give(x, e.mul(b.gradient(op), slope));
  return success();
}

LogicalResult softplusRule(SoftplusOp op, Backward &b) {
  Emit e = b.emit(op);
  b.give(op.getOperand(), e.mul(b.gradient(op), e.sigmoid(op.getOperand())));
  return success();
}

LogicalResult geluRule(GeluOp op, Backward &b) {
  Emit e = b.emit(op);
  Value x = op.getOperand(), slope;
  if (op.getTanh()) {
    const double k = std::sqrt(2.0 / std::numbers::pi);
    Value cube = e.mul(e.mul(x, x), x);
    Value t = e.tanh(e.mul(e.add(x, e.mul(cube, 0.044715)), k));
    Value inner = e.mul(e.add(e.mul(e.mul(x, x), 3 * 0.044715), 1), k);
    Value bend = e.mul(e.mul(e.mul(x, 0.5), e.sub(e.splatLike(t, 1), e.mul(t, t))), inner);
    slope = e.add(e.mul(e.add(t, 1), 0.5), bend);
  } else {
    Value below = e.mul(e.add(normalSpread(e, x), 1), 0.5);
    Value density = e.mul(e.exp(e.mul(e.mul(x, x), -0.5)), std::numbers::inv_sqrtpi * std::sqrt(0.5));
    slope = e.add(below, e.mul(x, density));
  }
  b.give(x, e.mul(b.gradient(op), slope));
  return success();
}

LogicalResult softmaxRule(SoftmaxOp op, Backward &b) {
  Emit e = b.emit(op);
  Value g = b.gradient(op), y = op.getResult();
  int64_t axis = static_cast<int64_t>(op.getAxis());
  Value inner = e.broadcastBack(e.reduceSum(e.mul(g, y), {axis}), {axis}, dimsOf(y));
  b.give(op.getOperand(), e.mul(y, e.sub(g, inner)));
  return success();
}

LogicalResult logSoftmaxRule(LogSoftmaxOp op, Backward &b) {
  Emit e = b.emit(op);
  Value g = b.gradient(op), x = op.getOperand();
  int64_t axis = static_cast<int64_t>(op.getAxis());
  Value p = e.create<SoftmaxOp>(x.getType(), x, op.getAxis());
  b.give(x, e.sub(g, e.mul(p, e.broadcastBack(e.reduceSum(g, {axis}), {axis}, dimsOf(x)))));
  return success();
}

// g (p - (1-s) onehot - s/C), zero in ignored rows, NaN where the target is no class, as the loss is.
LogicalResult crossEntropyRule(CrossEntropyOp op, Backward &b) {
  Emit e = b.emit(op);
  Value g = b.gradient(op), logits = op.getLogits(), targets = op.getTargets();
  SmallVector<Dim> dims = dimsOf(logits);
  int64_t axis = rankOf(logits) - 1;
  double smoothing = op.getSmoothing().convertToDouble();
  Value p = e.create<SoftmaxOp>(logits.getType(), logits, axis);
  // In a type that counts all classes; as the forward half has it (ir/KilnComposites.cpp).
  bool narrow = llvm::cast<mlir::IntegerType>(elementOf(targets)).getWidth() < 32;
  Value numbers = narrow ? e.convertTo(targets, e.b.getI32Type()) : targets;
  Value wanted = e.broadcastBack(numbers, {axis}, dims);
  Value hit = e.compare(Predicate::eq, e.iota(dims, axis, elementOf(numbers)), wanted);
  if (smoothing != 0) {
    Value share =
        e.broadcastScalar(e.div(e.scalar(elementOf(logits), smoothing), e.extent(dims[axis], elementOf(logits))), dims);
    p = e.sub(p, share);
  }
  Value diff = e.sub(p, e.select(hit, e.splatLike(p, 1 - smoothing), e.splatLike(p, 0)));
  Value classes = e.broadcastScalar(e.extent(dims[axis], elementOf(numbers)), dimsOf(targets));
  Value isClass = e.compare(Predicate::lt, numbers, classes);
  if (!llvm::cast<mlir::IntegerType>(elementOf(numbers)).isUnsigned())
    isClass = e.op<AndOp>(isClass, e.compare(Predicate::ge, numbers, e.splatInt(numbers.getType(), 0)));
  g = e.select(isClass, g, e.splatLike(g, std::numeric_limits<double>::quiet_NaN()));
  int64_t sentinel = op.getIgnoreIndex();
  if (holdsInteger(elementOf(targets), sentinel))
    g = e.select(e.compare(Predicate::ne, targets, e.splatInt(targets.getType(), sentinel)), g, e.splatLike(g, 0));
  b.give(logits, e.mul(diff, e.broadcastBack(g, {axis}, dims)));
  return success();
}

LogicalResult layerNormRule(LayerNormOp op, Backward &b) {
  Emit e = b.emit(op);
  Value g = b.gradient(op), x = op.getOperand();
  SmallVector<Dim> dims = dimsOf(x);
  int64_t axis = rankOf(x) - 1;
  auto spread = [&](Value row) { return e.broadcastBack(row, {axis}, dims); };
  Value centred = centredRows(e, x), scale = rowScale(e, centred, op.getEpsilon().convertToDouble());
  Value normal = e.mul(centred, scale);
  if (op.getScale()) {
    SmallVector<int64_t> rows = axesUpTo(axis);
    if (b.wants(op.getScale()))
      b.give(op.getScale(), e.reduceSum(e.mul(g, normal), rows));
    if (b.wants(op.getBias()))
      b.give(op.getBias(), e.reduceSum(g, rows));
    g = e.mul(g, e.broadcastTrailing(op.getScale(), dims));
  }
  if (!b.wants(x))
    return success();
  Value along = e.mul(normal, spread(e.meanOver(e.mul(g, normal), {axis})));
  b.give(x, e.mul(scale, e.sub(e.sub(g, spread(e.meanOver(g, {axis}))), along)));
  return success();
}

LogicalResult rmsNormRule(RmsNormOp op, Backward &b) {
  Emit e = b.emit(op);
  Value g = b.gradient(op), x = op.getOperand();
  SmallVector<Dim> dims = dimsOf(x);
  int64_t axis = rankOf(x) - 1;
  auto spread = [&](Value row) { return e.broadcastBack(row, {axis}, dims); };
  Value scale = rowScale(e, x, op.getEpsilon().convertToDouble());
  Value normal = e.mul(x, scale);
  if (b.wants(op.getScale()))
    b.give(op.getScale(), e.reduceSum(e.mul(g, normal), axesUpTo(axis)));
  if (!b.wants(x))
    return success();
  g = e.mul(g, e.broadcastTrailing(op.getScale(), dims));
  b.give(x, e.mul(scale, e.sub(g, e.mul(normal, spread(e.meanOver(e.mul(g, normal), {axis}))))));
  return success();
}

// prepare() has given the op its second result.
LogicalResult attentionRule(AttentionOp op, Backward &b) {
  Emit e = b.emit(op);
  Value g = b.gradient(op.getResult());
  auto gradients =
      e.create<AttentionGradOp>(op.getQuery().getType(), op.getKey().getType(), op.getValue().getType(), op.getQuery(),
                                op.getKey(), op.getValue(), op.getResult(), op.getLse(), g, op.getMask(), op.getStart(),
                                op.getScaleAttr(), op.getCausalAttr(), op.getGroupsAttr(), op.getSlidingWindowAttr());
  b.give(op.getQuery(), gradients.getDquery());
  b.give(op.getKey(), gradients.getDkey());
  b.give(op.getValue(), gradients.getDvalue());
  return success();
}

LogicalResult biasedAttentionRule(BiasedAttentionOp op, Backward &b) {
  Emit e = b.emit(op);
  Value g = b.gradient(op.getResult());
  auto gradients = e.create<BiasedAttentionGradOp>(
      op.getQuery().getType(), op.getKey().getType(), op.getValue().getType(), op.getBias().getType(), op.getQuery(),
      op.getKey(), op.getValue(), op.getResult(), op.getLse(), g, op.getBias(), op.getMask(), op.getStart(),
      op.getScaleAttr(), op.getCausalAttr(), op.getGroupsAttr(), op.getSlidingWindowAttr());
  b.give(op.getQuery(), gradients.getDquery());
  b.give(op.getKey(), gradients.getDkey());
  b.give(op.getValue(), gradients.getDvalue());
  b.give(op.getBias(), gradients.getDbias());
  return success();
}

LogicalResult cappedAttentionRule(CappedAttentionOp op, Backward &b) {
  Emit e = b.emit(op);
  Value g = b.gradient(op.getResult());
  auto gradients = e.create<CappedAttentionGradOp>(
      op.getQuery().getType(), op.getKey().getType(), op.getValue().getType(), op.getQuery(), op.getKey(),
      op.getValue(), op.getResult(), op.getLse(), g, op.getMask(), op.getStart(), op.getScaleAttr(),
      op.getSoftcapAttr(), op.getCausalAttr(), op.getGroupsAttr(), op.getSlidingWindowAttr());
  b.give(op.getQuery(), gradients.getDquery());
  b.give(op.getKey(), gradients.getDkey());
  b.give(op.getValue(), gradients.getDvalue());
  return success();
}

LogicalResult dropoutAttentionRule(DropoutAttentionOp op, Backward &b) {
  Emit e = b.emit(op);
  Value g = b.gradient(op.getResult());
  auto gradients = e.create<DropoutAttentionGradOp>(
      op.getQuery().getType(), op.getKey().getType(), op.getValue().getType(),
      op.getBias() ? op.getBias().getType() : mlir::Type(), op.getQuery(), op.getKey(), op.getValue(), op.getResult(),
      op.getLse(), g, op.getBias(), op.getMask(), op.getStart(), op.getSeed(), op.getCounters(), op.getScaleAttr(),
      op.getPAttr(), op.getStreamAttr(), op.getCausalAttr(), op.getGroupsAttr(), op.getSlidingWindowAttr());
  b.give(op.getQuery(), gradients.getDquery());
  b.give(op.getKey(), gradients.getDkey());
  b.give(op.getValue(), gradients.getDvalue());
  if (op.getBias())
    b.give(op.getBias(), gradients.getDbias());
  return success();
}

} // namespace

void addCompositeRules(RuleTable &rules) {
  rules.add<ReluOp>(reluRule);
  rules.add<SiluOp>(siluRule);
  rules.add<SoftplusOp>(softplusRule);
  rules.add<GeluOp>(geluRule);
  rules.add<SoftmaxOp>(softmaxRule);
  rules.add<LogSoftmaxOp>(logSoftmaxRule);
  rules.add<CrossEntropyOp>(crossEntropyRule);
  rules.add<LayerNormOp>(layerNormRule);
  rules.add<RmsNormOp>(rmsNormRule);
  rules.add<AttentionOp>(attentionRule);
  rules.add<BiasedAttentionOp>(biasedAttentionRule);
  rules.add<DropoutAttentionOp>(dropoutAttentionRule);
  rules.add<CappedAttentionOp>(cappedAttentionRule);
}

} // namespace kiln
