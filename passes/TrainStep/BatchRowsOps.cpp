// What each op does to rows, and to sums.

#include "passes/TrainStep/BatchRows.h"

namespace kiln {

using llvm::ArrayRef;
using llvm::SmallVector;
using mlir::failed;
using mlir::failure;
using mlir::LogicalResult;
using mlir::success;
using mlir::Value;

LogicalResult BatchRows::visitReduce(ReduceOp op) {
  bool adds = op.getKind() == ReduceKind::sum && !elementOf(op.getResult()).isInteger(1);
  if (isSum(op.getOperand()))
    return adds ? makeSum(op.getResult()) : needWhole(*op);
  Axis axis = axisOf(op.getOperand());
  if (axis == none || !llvm::is_contained(op.getAxes(), axis))
    return success();
  if (!adds)
    return fail(*op, "takes the " + stringifyReduceKind(op.getKind()).str() + " over the rows of the batch");
  return makeSum(op.getResult());
}

LogicalResult BatchRows::visitAlong(mlir::Operation &op, ArrayRef<int64_t> axes) {
  if (llvm::is_contained(axes, axisOf(op.getOperand(0))))
    return fail(op, "goes along the rows of the batch");
  return needWhole(op);
}

/// Rows stay whole, in their order, where as much stands before them.
LogicalResult BatchRows::visitReshape(ReshapeOp op) {
  if (isSum(op.getOperand()))
    return makeSum(op.getResult());
  Axis from = axisOf(op.getOperand()), to = axisOf(op.getResult());
  if (from == none)
    return success();
  auto before = [](Value value, Axis axis) {
    Dim product(1);
    SmallVector<Dim> dims = dimsOf(value);
    for (const Dim &dim : ArrayRef<Dim>(dims).take_front(static_cast<size_t>(axis)))
      product = product * dim;
    return product;
  };
  if (to == none || before(op.getOperand(), from) != before(op.getResult(), to))
    return fail(*op, "joins rows of the batch with an axis in front of them");
  return success();
}

LogicalResult BatchRows::visitBroadcast(BroadcastOp op) {
  Axis from = axisOf(op.getOperand()), to = axisOf(op.getResult());
  if (to != none && isSum(op.getOperand()))
    return needWhole(*op);
  if (isSum(op.getOperand()))
    return makeSum(op.getResult());
  if (from != none && op.getAxes()[static_cast<size_t>(from)] != to)
    return fail(*op, "sets rows of the batch against each other");
  return success();
}

LogicalResult BatchRows::visitWindows(mlir::Operation &op, ArrayRef<int64_t> window, ArrayRef<int64_t> strides,
                                      ArrayRef<int64_t> low, ArrayRef<int64_t> high) {
  Axis axis = axisOf(op.getOperand(0));
  if (axis == none)
    return needWhole(op);
  auto at = static_cast<size_t>(axis);
  if (window[at] != 1 || strides[at] != 1 || low[at] != 0 || high[at] != 0)
    return fail(op, "has windows over several rows of the batch");
  return success();
}

LogicalResult BatchRows::visitPad(PadOp op) {
  if (failed(needWhole(*op, op.getValue())))
    return failure();
  if (isSum(op.getOperand())) {
    std::optional<double> number = splatValue(op.getValue());
    return number && *number == 0 ? makeSum(op.getResult()) : needWhole(*op);
  }
  Axis axis = axisOf(op.getOperand());
  if (axis == none)
    return success();
  auto at = static_cast<size_t>(axis);
  if (op.getLow().dims()[at] != Dim(0) || op.getHigh().dims()[at] != Dim(0) || op.getInterior()[at] != 0)
    return fail(*op, "adds rows to the batch");
  return success();
}

LogicalResult BatchRows::visitSlice(SliceOp op) {
  if (isSum(op.getOperand()))
    return makeSum(op.getResult());
  Axis axis = axisOf(op.getOperand());
  if (axis == none)
    return mentions(op.getStarts().dims()) || hasRows(op.getResult()) ? fail(*op, "depends on how many rows there are")
                                                                      : success();
  auto at = static_cast<size_t>(axis);
  if (axisOf(op.getResult()) != axis || op.getStarts().dims()[at] != Dim(0) || op.getStrides()[at] != 1 ||
      dimsOf(op.getResult())[at] != dimsOf(op.getOperand())[at])
    return fail(*op, "takes some of the rows of the batch");
  return success();
}

LogicalResult BatchRows::visitConcat(ConcatOp op) {
  bool sums = llvm::any_of(op.getInputs(), [&](Value value) { return isSum(value); });
  Axis axis = axisOf(op.getResult());
  if (axis == static_cast<Axis>(op.getAxis()))
    return fail(*op, "puts rows of the batch behind others");
  if (!sums)
    return success();
  if (axis != none)
    return needWhole(*op);
  for (mlir::OpOperand &operand : op->getOpOperands())
    if (!isSum(operand.get()) && failed(share(operand)))
      return failure();
  return makeSum(op.getResult());
}

LogicalResult BatchRows::visitDot(DotGeneralOp op) {
  Value lhs = op.getLhs(), rhs = op.getRhs();
  bool left = isSum(lhs), right = isSum(rhs);
  if (left || right) { // a sum times what is the same in all shards
    if (hasRows(lhs) || hasRows(rhs))
      return needWhole(*op);
    if (left && right && failed(needWhole(*op, isTrained(lhs) ? rhs : lhs)))
      return failure();
    return makeSum(op.getResult());
  }
  // Rows meet their own: pairs of axes have equal dimensions, and what has rows twice is no result.
  if (Axis axis = axisOf(lhs); axis != none && llvm::is_contained(op.getLhsContract(), axis))
    return hasRows(op.getResult()) ? fail(*op, "multiplies rows of the batch with each other")
                                   : makeSum(op.getResult());
  return success();
}

LogicalResult BatchRows::visitConvolution(ConvolutionOp op) {
  if (hasRows(op.getFilter()) || axisOf(op.getInput()) > 0)
    return fail(*op, "slides over the rows of the batch");
  if (!isSum(op.getInput()) || isSum(op.getFilter()))
    return needWhole(*op);
  return makeSum(op.getResult());
}

LogicalResult BatchRows::visitGather(GatherOp op) {
  if (failed(needWhole(*op, op.getIndices())))
    return failure();
  Axis operand = axisOf(op.getOperand());
  if (operand != none && operand == static_cast<Axis>(op.getAxis()))
    return fail(*op, "picks among the rows of the batch");
  if (!isSum(op.getOperand()))
    return success();
  return hasRows(op.getIndices()) ? needWhole(*op) : makeSum(op.getResult());
}

LogicalResult BatchRows::visitScatter(ScatterOp op) {
  if (failed(needWhole(*op, op.getIndices())))
    return failure();
  Axis operand = axisOf(op.getOperand()), indices = axisOf(op.getIndices()), updates = axisOf(op.getUpdates());
  if (operand != none) { // each row into its own
    bool along = operand == static_cast<Axis>(op.getAxis());
    return along ? fail(*op, "puts elements among the rows of the batch") : needWhole(*op, op.getUpdates());
  }
  bool sums = isSum(op.getOperand()) || isSum(op.getUpdates());
  if (indices == none && updates == none && !sums)
    return success();
  if (op.getKind() != ScatterKind::add)
    return fail(*op, "puts rows of the batch into one table");
  if (updates == none && indices != none)
    return fail(*op, "puts elements at places that rows of the batch name");
  for (mlir::OpOperand &each : op->getOpOperands()) {
    bool added = each.get() == op.getOperand() || (each.get() == op.getUpdates() && updates == none);
    if (added && !isSum(each.get()) && failed(share(each)))
      return failure();
  }
  return makeSum(op.getResult());
}

} // namespace kiln
