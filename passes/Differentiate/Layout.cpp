// Gradients of the ops that move elements: each is linear, so its gradient is its transpose.
#include "passes/Differentiate/Backward.h"

namespace kiln {

using llvm::SmallVector;
using mlir::LogicalResult;
using mlir::success;
using mlir::Value;

namespace {

LogicalResult reshapeRule(ReshapeOp op, Backward &b) {
  b.give(op.getOperand(), b.emit(op).reshapeTo(b.gradient(op), dimsOf(op.getOperand())));
  return success();
}

LogicalResult transposeRule(TransposeOp op, Backward &b) {
  b.give(op.getOperand(), b.emit(op).transposed(b.gradient(op), inverted(op.getPermutation())));
  return success();
}

LogicalResult broadcastRule(BroadcastOp op, Backward &b) {
  Emit e = b.emit(op);
  SmallVector<Dim> from = dimsOf(op.getOperand()), to = dimsOf(op.getResult());
  SmallVector<int64_t> summed = otherAxes(static_cast<int64_t>(to.size()), op.getAxes());
  for (auto [index, axis] : llvm::enumerate(op.getAxes()))
    if (from[index] != to[axis])
      summed.push_back(axis);
  llvm::sort(summed);
  b.give(op.getOperand(), e.reshapeTo(e.reduceSum(b.gradient(op), summed), from));
  return success();
}

LogicalResult sliceRule(SliceOp op, Backward &b) {
  SmallVector<Dim> from = dimsOf(op.getOperand()), size = dimsOf(op.getResult()), low = op.getStarts().dims(), high;
  SmallVector<int64_t> interior;
  Emit e = b.emit(op);
  Value g = b.gradient(op);
  for (auto [axis, stride] : llvm::enumerate(op.getStrides())) {
    Dim covered = stride == 1 ? size[axis] : size[axis] + max(size[axis] - 1, 0) * (stride - 1);
    high.push_back(from[axis] - low[axis] - covered);
    interior.push_back(stride - 1);
  }
  b.give(op.getOperand(), e.pad(g, e.scalar(elementOf(g), 0), low, high, interior));
  return success();
}

LogicalResult padRule(PadOp op, Backward &b) {
  Emit e = b.emit(op);
  Value g = b.gradient(op);
  SmallVector<int64_t> strides;
  for (int64_t interior : op.getInterior())
    strides.push_back(interior + 1);
  Value inner = e.slice(g, op.getLow().dims(), dimsOf(op.getOperand()), strides);
  b.give(op.getOperand(), inner);
  if (b.wants(op.getValue()))
    b.give(op.getValue(), e.sub(e.reduceSum(g, axesUpTo(rankOf(g))), e.reduceSum(inner, axesUpTo(rankOf(g)))));
  return success();
}

LogicalResult concatRule(ConcatOp op, Backward &b) {
  Emit e = b.emit(op);
  Value g = b.gradient(op);
  int64_t axis = static_cast<int64_t>(op.getAxis());
  SmallVector<Dim> starts(rankOf(g), Dim(0));
  for (Value input : op.getInputs()) {
    if (b.wants(input))
      b.give(input, e.slice(g, starts, dimsOf(input)));
    starts[axis] = starts[axis] + dimsOf(input)[axis];
  }
  return success();
}

LogicalResult reverseRule(ReverseOp op, Backward &b) {
  b.give(op.getOperand(), b.emit(op).op<ReverseOp>(b.gradient(op), op.getAxes()));
  return success();
}

LogicalResult dynamicSliceRule(DynamicSliceOp op, Backward &b) {
  Emit e = b.emit(op);
  Value zeros = e.splatLike(op.getOperand(), 0);
  b.give(op.getOperand(), e.create<DynamicUpdateSliceOp>(zeros.getType(), zeros, b.gradient(op), op.getStarts()));
  return success();
}

LogicalResult dynamicUpdateSliceRule(DynamicUpdateSliceOp op, Backward &b) {
  Emit e = b.emit(op);
  Value g = b.gradient(op);
  if (b.wants(op.getOperand())) {
    Value zeros = e.splatLike(op.getUpdate(), 0);
    b.give(op.getOperand(), e.create<DynamicUpdateSliceOp>(g.getType(), g, zeros, op.getStarts()));
  }
  if (b.wants(op.getUpdate()))
    b.give(op.getUpdate(), e.create<DynamicSliceOp>(op.getUpdate().getType(), g, op.getStarts()));
  return success();
}

} // namespace

void addLayoutRules(RuleTable &rules) {
  rules.add<ReshapeOp>(reshapeRule);
  rules.add<TransposeOp>(transposeRule);
  rules.add<BroadcastOp>(broadcastRule);
  rules.add<SliceOp>(sliceRule);
  rules.add<PadOp>(padRule);
  rules.add<ConcatOp>(concatRule);
  rules.add<ReverseOp>(reverseRule);
  rules.add<DynamicSliceOp>(dynamicSliceRule);
  rules.add<DynamicUpdateSliceOp>(dynamicUpdateSliceRule);
}

} // namespace kiln
