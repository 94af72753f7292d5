// Which sums can leave a loop, and the products that replace them.

#include "passes/Differentiate/LoopSums.h"

#include "ir/Classes.h"
#include "mlir/IR/IRMapping.h"

namespace kiln {

using llvm::ArrayRef;
using llvm::SmallVector;
using llvm::SmallVectorImpl;
using mlir::Operation;
using mlir::Value;

bool LoopSums::isInvariant(Value value) {
  if (!body.isAncestor(value.getParentRegion()))
    return true;
  Operation *op = value.getDefiningOp();
  return op && llvm::isa<ConstantOp, BroadcastOp, IotaOp>(op) &&
         llvm::all_of(op->getOperands(), [&](Value operand) { return isInvariant(operand); });
}

Value LoopSums::outside(Emit &e, Value invariant) {
  if (!body.isAncestor(invariant.getParentRegion()))
    return invariant;
  Operation *op = invariant.getDefiningOp();
  mlir::IRMapping map;
  for (Value operand : op->getOperands())
    map.map(operand, outside(e, operand));
  return e.b.clone(*op, map)->getResult(0);
}

// Follows ops that are linear in what depends on the step, down to products and reductions, whose operands are stacked.
bool LoopSums::collect(Value value, SmallVectorImpl<Value> &operands) {
  Operation *op = value.getDefiningOp();
  if (!op || isInvariant(value))
    return false;
  auto take = [&](Value operand) {
    if (!isInvariant(operand))
      operands.push_back(operand);
  };
  if (auto dot = llvm::dyn_cast<DotGeneralOp>(op)) {
    take(dot.getLhs());
    take(dot.getRhs());
    return true;
  }
  if (auto reduce = llvm::dyn_cast<ReduceOp>(op)) {
    take(reduce.getOperand());
    return reduce.getKind() == ReduceKind::sum;
  }
  if (auto scatter = llvm::dyn_cast<ScatterOp>(op)) {
    take(scatter.getUpdates());
    take(scatter.getIndices());
    return scatter.getKind() == ScatterKind::add && scatter.getAxis() == 0 && splatValue(scatter.getOperand()) == 0.0 &&
           !isInvariant(scatter.getUpdates()) && !isInvariant(scatter.getIndices());
  }
  if (auto pad = llvm::dyn_cast<PadOp>(op))
    return splatValue(pad.getValue()) == 0.0 && collect(pad.getOperand(), operands);
  if (isReindexing(op) || llvm::isa<NegOp, ConvertOp>(op))
    return isFloatTensor(op->getOperand(0).getType()) && collect(op->getOperand(0), operands);
  if (llvm::isa<AddOp, SubOp>(op))
    return collect(op->getOperand(0), operands) && collect(op->getOperand(1), operands);
  if (llvm::isa<MulOp>(op) && isInvariant(op->getOperand(0)))
    return collect(op->getOperand(1), operands);
  return llvm::isa<MulOp, DivOp>(op) && isInvariant(op->getOperand(1)) && collect(op->getOperand(0), operands);
}

bool LoopSums::plan(Value value) {
  SmallVector<Value> operands;
  if (!collect(value, operands))
    return false;
  int64_t cost = 0;
  for (Value operand : llvm::SetVector<Value>(operands.begin(), operands.end()))
    if (!isStacked(operand) && !needed.contains(operand))
      cost += estimatedBytes(operand.getType());
  // Carrying reads and writes the whole value in each step; a stack is written once and read once.
  if (cost > 4 * estimatedBytes(value.getType()))
    return false;
  for (Value operand : operands)
    if (!isStacked(operand))
      needed.insert(operand);
  return true;
}

Value LoopSums::build(Emit &e, Value value, llvm::function_ref<Value(Value)> stackOf) {
  Operation *op = value.getDefiningOp();
  auto shifted = [](ArrayRef<int64_t> axes, bool withTime) {
    SmallVector<int64_t, 4> result;
    if (withTime)
      result.push_back(0);
    for (int64_t axis : axes)
      result.push_back(axis + 1);
    return result;
  };
  if (auto dot = llvm::dyn_cast<DotGeneralOp>(op)) {
    Value lhs = dot.getLhs(), rhs = dot.getRhs();
    mlir::Type element = elementOf(dot.getResult());
    if (!isInvariant(lhs) && !isInvariant(rhs))
      return e.dot(stackOf(lhs), stackOf(rhs),
                   {shifted(dot.getLhsBatch(), false), shifted(dot.getRhsBatch(), false),
                    shifted(dot.getLhsContract(), true), shifted(dot.getRhsContract(), true)},
                   element);
    auto total = [&](Value side) { return isInvariant(side) ? outside(e, side) : e.reduceSum(stackOf(side), {0}); };
    auto list = [](ArrayRef<int64_t> axes) { return SmallVector<int64_t, 4>(axes); };
    return e.dot(
        total(lhs), total(rhs),
        {list(dot.getLhsBatch()), list(dot.getRhsBatch()), list(dot.getLhsContract()), list(dot.getRhsContract())},
        element);
  }
  if (auto reduce = llvm::dyn_cast<ReduceOp>(op))
    return e.reduceSum(stackOf(reduce.getOperand()), shifted(reduce.getAxes(), true));
  if (auto scatter = llvm::dyn_cast<ScatterOp>(op)) {
    Value indices = stackOf(scatter.getIndices()), updates = stackOf(scatter.getUpdates());
    return e.scatter(ScatterKind::add, e.splatLike(value, 0), indices, updates, 0);
  }
  mlir::IRMapping map;
  for (Value operand : op->getOperands())
    map.map(operand, isInvariant(operand) ? outside(e, operand) : build(e, operand, stackOf));
  return e.b.clone(*op, map)->getResult(0);
}

} // namespace kiln
