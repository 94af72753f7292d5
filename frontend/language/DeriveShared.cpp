// Axes that have the positions among others, [B * T, n]: in which order these lie there.
#include "frontend/language/DeriveStep.h"

using llvm::SmallVector;

namespace kiln::language {

/// Whether the value's axis has the positions among others.
bool StepDeriver::isShared(mlir::Value value) const {
  Axis axis = axisOf(value);
  return axis != none && !(dimsOf(value)[static_cast<size_t>(axis)] - time_).isConstant();
}

/// Axes that are shared go together in one order alone, which stays.
bool StepDeriver::keepOrder(mlir::Operation &op) {
  std::optional<Dim> order;
  for (mlir::Value operand : op.getOperands()) {
    auto found = ahead_.find(operand);
    if (found == ahead_.end())
      continue;
    if (order && *order != found->second)
      return mixes(&op, "positions with each other");
    order = found->second;
  }
  for (mlir::Value result : op.getResults())
    if (order && isShared(result))
      ahead_.try_emplace(result, *order);
  return true;
}

/// The positions and others become one axis, are taken apart again, or go together with more. `before` and `here` are
/// how many elements there are along the axes in front of theirs, before the reshape and behind it.
bool StepDeriver::visitShared(ReshapeOp op, Axis axis, const Dim &before, const Dim &here) {
  mlir::Value operand = op.getOperand();
  Dim from = dimsOf(operand)[static_cast<size_t>(axisOf(operand))],
      to = dimsOf(op.getResult())[static_cast<size_t>(axis)];
  auto known = ahead_.find(operand);
  if (late_.contains(operand) || (from != time_ && !isShared(operand)))
    return mixes(op, "the axis of the sequence with another");
  Dim order = known == ahead_.end() ? Dim(1) : known->second;
  if (isShared(operand) && known == ahead_.end()) { // the same at all positions, in whatever order they are
    auto behind = [](mlir::Value value, Axis of) {
      SmallVector<Dim> dims = dimsOf(value);
      Dim all(1);
      for (const Dim &dim : llvm::ArrayRef(dims).drop_front(static_cast<size_t>(of) + 1))
        all = all * dim;
      return all;
    };
    if (here.exactDiv(before) && behind(op.getResult(), axis).exactDiv(behind(operand, axisOf(operand))))
      return set(op.getResult(), axis);
    order = from.exactDiv(time_).value_or(Dim(1)); // but what lies beside them is not: an order like any other
  }
  std::optional<Dim> ahead = (before * order).exactDiv(here);
  std::optional<Dim> group = ahead ? to.exactDiv(time_ * *ahead) : std::nullopt;
  if (!group)
    return mixes(op, "the axis of the sequence with another");
  if (to != time_)
    ahead_[op.getResult()] = *ahead;
  return set(op.getResult(), axis);
}

} // namespace kiln::language
