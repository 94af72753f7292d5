// Gradients of indexed access: a gather's is a scatter and the other way round.
#include "passes/Differentiate/Backward.h"

namespace kiln {

using llvm::SmallVector;
using mlir::LogicalResult;
using mlir::success;
using mlir::Value;

namespace {

/// One element is picked for each row: its place compared with each place there is, which fuses as a scatter does not.
Value pickGradient(Emit &e, GatherOp op, Value g) {
  SmallVector<Dim> dims = dimsOf(op.getOperand());
  int64_t axis = op.getAxis();
  Value place = e.iota(dims, axis, elementOf(op.getIndices()));
  Value hit = e.compare(Predicate::eq, place, e.broadcastTo(op.getIndices(), axesUpTo(axis), dims));
  return e.select(hit, e.broadcastBack(g, {axis}, dims), e.splatLike(op.getOperand(), 0));
}

LogicalResult gatherRule(GatherOp op, Backward &b) {
  Emit e = b.emit(op);
  if (op.getBatchDims() == op.getAxis() && rankOf(op.getIndices()) == static_cast<int64_t>(op.getAxis())) {
    b.give(op.getOperand(), pickGradient(e, op, b.gradient(op)));
    return success();
  }
  b.give(op.getOperand(), e.scatter(ScatterKind::add, e.splatLike(op.getOperand(), 0), op.getIndices(), b.gradient(op),
                                    op.getAxis(), op.getBatchDims()));
  return success();
}

/// Where an update is the one that a `set` leaves in place: each update has a number, and the numbers are set too.
Value lastWriters(Emit &e, ScatterOp op) {
  mlir::Type i32 = e.b.getI32Type();
  SmallVector<Dim> dims = dimsOf(op.getUpdates());
  Dim count = 1;
  for (const Dim &dim : dims)
    count = count * dim;
  Value number = e.reshapeTo(e.iota({count}, 0, i32), dims);
  Value nobody = e.splat(withElement(op.getOperand().getType(), i32), -1);
  Value owner = e.scatter(ScatterKind::set, nobody, op.getIndices(), number, op.getAxis(), op.getBatchDims());
  return e.compare(Predicate::eq, e.gather(owner, op.getIndices(), op.getAxis(), op.getBatchDims()), number);
}

/// The larger, or smaller, of what meets in an element: those that are equal to it share its gradient.
void extremeScatterRule(ScatterOp op, Backward &b, Emit &e, Value g) {
  Value operand = op.getOperand(), updates = op.getUpdates(), indices = op.getIndices();
  int64_t axis = op.getAxis(), batch = op.getBatchDims();
  auto ones = [&](Value hit, Value like) { return e.convertTo(hit, elementOf(like)); };
  Value mine = ones(e.compare(Predicate::eq, operand, op.getResult()), operand);
  Value theirs = ones(e.compare(Predicate::eq, updates, e.gather(op.getResult(), indices, axis, batch)), updates);
  Value share = e.div(g, e.max(e.scatter(ScatterKind::add, mine, indices, theirs, axis, batch), e.splatLike(mine, 1)));
  b.give(operand, e.mul(mine, share));
  b.give(updates, e.mul(theirs, e.gather(share, indices, axis, batch)));
}

/// The product of what meets in an element: each one's gradient is by the product of the others, which is told from
/// that of all that are not 0 and from how many are.
void productScatterRule(ScatterOp op, Backward &b, Emit &e, Value g) {
  Value operand = op.getOperand(), updates = op.getUpdates(), indices = op.getIndices();
  int64_t axis = op.getAxis(), batch = op.getBatchDims();
  auto isZero = [&](Value x) { return e.compare(Predicate::eq, x, 0.0); };
  auto filled = [&](Value x) { return e.select(isZero(x), e.splatLike(x, 1), x); };
  auto zeros = [&](Value x) { return e.convertTo(isZero(x), elementOf(x)); };
  Value product = e.scatter(ScatterKind::mul, filled(operand), indices, filled(updates), axis, batch);
  Value none = e.scatter(ScatterKind::add, zeros(operand), indices, zeros(updates), axis, batch);
  auto give = [&](Value x, Value whole, Value count, Value gradient) {
    Value alone = e.select(e.compare(Predicate::eq, count, 1.0), whole, e.splatLike(x, 0));
    Value beside = e.select(e.compare(Predicate::eq, count, 0.0), e.div(whole, filled(x)), e.splatLike(x, 0));
    b.give(x, e.mul(gradient, e.select(isZero(x), alone, beside)));
  };
  give(operand, product, none, g);
  auto taken = [&](Value x) { return e.gather(x, indices, axis, batch); };
  give(updates, taken(product), taken(none), taken(g));
}

LogicalResult scatterRule(ScatterOp op, Backward &b) {
  Emit e = b.emit(op);
  Value g = b.gradient(op);
  auto taken = [&] { return e.gather(g, op.getIndices(), op.getAxis(), op.getBatchDims()); };
  switch (op.getKind()) {
  case ScatterKind::add:
    b.give(op.getOperand(), g);
    if (b.wants(op.getUpdates()))
      b.give(op.getUpdates(), taken());
    return success();
  case ScatterKind::set:
    if (b.wants(op.getOperand()))
      b.give(op.getOperand(), e.scatter(ScatterKind::set, g, op.getIndices(), e.splatLike(op.getUpdates(), 0),
                                        op.getAxis(), op.getBatchDims()));
    if (b.wants(op.getUpdates()))
      b.give(op.getUpdates(), e.select(lastWriters(e, op), taken(), e.splatLike(op.getUpdates(), 0)));
    return success();
  case ScatterKind::max:
  case ScatterKind::min:
    return extremeScatterRule(op, b, e, g), success();
  case ScatterKind::mul:
    return productScatterRule(op, b, e, g), success();
  }
  llvm_unreachable("all kinds are above");
}

/// Blocks are whole numbers, and what they were made of with their scales is not known any more: nothing is given.
template <typename Op> LogicalResult widenedRule(Op, Backward &) { return success(); }

/// The gradient of values that were taken along the last axis of `operand` by `indices`.
Value putBack(Emit &e, Value operand, Value indices, Value g) {
  int64_t axis = rankOf(operand) - 1;
  return e.scatter(ScatterKind::add, e.splatLike(operand, 0), indices, g, axis, axis);
}

LogicalResult sortRule(SortOp op, Backward &b) {
  Emit e = b.emit(op);
  Value g = b.gradient(op.getValues()), operand = op.getOperand();
  if (!g)
    return success();
  SmallVector<int64_t> order = axesUpTo(rankOf(operand));
  std::swap(order[op.getAxis()], order.back());
  // The swap undoes itself.
  Value zeros = e.transposed(operand, order);
  b.give(operand, e.transposed(putBack(e, zeros, e.transposed(op.getIndices(), order), e.transposed(g, order)), order));
  return success();
}

LogicalResult topKRule(TopKOp op, Backward &b) {
  Emit e = b.emit(op);
  if (Value g = b.gradient(op.getValues()))
    b.give(op.getOperand(), putBack(e, op.getOperand(), op.getIndices(), g));
  return success();
}

} // namespace

void addIndexRules(RuleTable &rules) {
  rules.add<GatherOp>(gatherRule);
  rules.add<DequantizeOp>(widenedRule<DequantizeOp>);
  rules.add<DecodeOp>(widenedRule<DecodeOp>);
  rules.add<ScatterOp>(scatterRule);
  rules.add<SortOp>(sortRule);
  rules.add<TopKOp>(topKRule);
}

} // namespace kiln
