// What keeps rows apart, op by op: where its axes go once the rows are a single axis.
#include "passes/support/AlongRows.h"

#include "ir/Classes.h"

#include "llvm/ADT/TypeSwitch.h"

namespace kiln {

using llvm::ArrayRef;
using llvm::SmallVector;
using mlir::Operation;
using mlir::Value;

SmallVector<Dim> RowsOfBlock::dims(Value original) const {
  SmallVector<Dim> result = {rows};
  llvm::append_range(result, ArrayRef<Dim>(dimsOf(original)).drop_front(rowDims.size()));
  return result;
}

bool RowsOfBlock::begin(Value original) const {
  return rankOf(original) >= rowAxes() && ArrayRef<Dim>(dimsOf(original)).take_front(rowDims.size()) == rowDims;
}

namespace {

bool isBehind(ArrayRef<int64_t> axes, int64_t rowAxes) {
  return llvm::all_of(axes, [&](int64_t axis) { return axis >= rowAxes; });
}

Value elements(Emit &e, Operation *op, const RowsOfBlock &block) {
  Value result = op->getResult(0);
  SmallVector<Value> operands;
  for (Value operand : op->getOperands()) {
    bool scalar = rankOf(operand) == 0 && rankOf(result) != 0;
    operands.push_back(scalar ? block.fixed(operand) : block.local(operand));
    if (!operands.back())
      return {};
  }
  mlir::OperationState state(op->getLoc(), op->getName(), operands, tensorType(block.dims(result), elementOf(result)),
                             op->getAttrs());
  return e.b.create(state)->getResult(0);
}

Value product(Emit &e, DotGeneralOp op, const RowsOfBlock &block) {
  if (!op.getLhsBatch().empty() || !isBehind(op.getLhsContract(), block.rowAxes()))
    return {};
  Value rhs = block.fixed(op.getRhs());
  Value lhs = rhs ? block.local(op.getLhs()) : Value();
  if (!lhs)
    return {};
  DotAxes axes{{},
               {},
               SmallVector<int64_t, 4>(behindRows(op.getLhsContract(), block.rowAxes())),
               SmallVector<int64_t, 4>(op.getRhsContract())};
  return e.dot(lhs, rhs, axes, elementOf(op));
}

Value repeated(Emit &e, BroadcastOp op, const RowsOfBlock &block) {
  ArrayRef<int64_t> axes = op.getAxes();
  if (isBehind(axes, block.rowAxes())) {
    Value operand = block.fixed(op.getOperand());
    return operand ? e.broadcastTo(operand, behindRows(axes, block.rowAxes()), block.dims(op)) : Value();
  }
  ArrayRef<int64_t> inner = axes.drop_front(std::min(axes.size(), block.rowDims.size()));
  if (!block.begin(op.getOperand()) || !isIdentity(axes.take_front(block.rowDims.size())) ||
      !isBehind(inner, block.rowAxes()))
    return {};
  Value operand = block.local(op.getOperand());
  SmallVector<int64_t> within = {0};
  llvm::append_range(within, behindRows(inner, block.rowAxes()));
  return operand ? e.broadcastTo(operand, within, block.dims(op)) : Value();
}

Value reduced(Emit &e, ReduceOp op, const RowsOfBlock &block) {
  if (!isBehind(op.getAxes(), block.rowAxes()))
    return {};
  Value operand = block.local(op.getOperand());
  return operand ? e.reduce(op.getKind(), operand, behindRows(op.getAxes(), block.rowAxes())) : Value();
}

Value searched(Emit &e, ArgReduceOp op, const RowsOfBlock &block) {
  SmallVector<int64_t> axis = {static_cast<int64_t>(op.getAxis())};
  if (!isBehind(axis, block.rowAxes()))
    return {};
  Value operand = block.local(op.getOperand());
  return operand ? e.argReduce(op.getKind(), operand, behindRows(axis, block.rowAxes()).front(), elementOf(op))
                 : Value();
}

/// Positions of the whole as a block has them.
SmallVector<Dim> within(DimsAttr positions, const RowsOfBlock &block) {
  SmallVector<Dim> dims = positions.dims(), result = {Dim(0)};
  llvm::append_range(result, ArrayRef<Dim>(dims).drop_front(block.rowDims.size()));
  return result;
}

/// A part of each row. Where all rows are left, they are where they were; so below.
Value cut(Emit &e, SliceOp op, const RowsOfBlock &block) {
  if (!block.begin(op) || !block.begin(op.getOperand()))
    return {};
  Value operand = block.local(op.getOperand());
  SmallVector<int64_t> strides = {1};
  llvm::append_range(strides, op.getStrides().drop_front(block.rowDims.size()));
  return operand ? e.slice(operand, within(op.getStarts(), block), block.dims(op), strides) : Value();
}

/// Each row with something in front of it, behind it or between its elements: what a cut's gradient is.
Value padded(Emit &e, PadOp op, const RowsOfBlock &block) {
  if (!block.begin(op) || !block.begin(op.getOperand()))
    return {};
  Value value = block.fixed(op.getValue());
  Value operand = value ? block.local(op.getOperand()) : Value();
  SmallVector<int64_t> gaps = {0};
  llvm::append_range(gaps, op.getInterior().drop_front(block.rowDims.size()));
  return operand ? e.pad(operand, value, within(op.getLow(), block), within(op.getHigh(), block), gaps) : Value();
}

/// Elements of each row, chosen by the row.
Value chosen(Emit &e, GatherOp op, const RowsOfBlock &block) {
  if (static_cast<int64_t>(op.getBatchDims()) != block.rowAxes())
    return {};
  Value operand = block.local(op.getOperand());
  Value indices = operand ? block.local(op.getIndices()) : Value();
  SmallVector<int64_t> axis = {static_cast<int64_t>(op.getAxis())};
  return indices ? e.gather(operand, indices, behindRows(axis, block.rowAxes()).front(), 1) : Value();
}

} // namespace

Value alongRows(Emit &e, Operation *op, const RowsOfBlock &block) {
  if (isElementwise(op) && op->getNumResults() == 1)
    return elements(e, op, block);
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case([&](DotGeneralOp dot) { return product(e, dot, block); })
      .Case([&](BroadcastOp broadcast) { return repeated(e, broadcast, block); })
      .Case([&](ReduceOp reduce) { return reduced(e, reduce, block); })
      .Case([&](ArgReduceOp reduce) { return searched(e, reduce, block); })
      .Case([&](SliceOp slice) { return cut(e, slice, block); })
      .Case([&](PadOp pad) { return padded(e, pad, block); })
      .Case([&](GatherOp gather) { return chosen(e, gather, block); })
      .Default([](Operation *) { return Value(); });
}

} // namespace kiln
