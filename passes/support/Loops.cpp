#include "passes/support/Loops.h"

#include "ir/Classes.h"

#include "mlir/IR/IRMapping.h"

namespace kiln {

using mlir::Operation;
using mlir::Value;

namespace {
bool staysInLoop(Operation *op) { return (isSource(op) && !isDear(op)) || llvm::isa<BroadcastOp>(op); }
} // namespace

bool isInvariant(ScanOp scan, Value value) {
  if (!scan.getBody().isAncestor(value.getParentRegion()))
    return true;
  Operation *op = value.getDefiningOp();
  return op && staysInLoop(op) &&
         llvm::all_of(op->getOperands(), [&](Value operand) { return isInvariant(scan, operand); });
}

Value outsideOf(Emit &e, ScanOp scan, Value invariant) {
  if (!scan.getBody().isAncestor(invariant.getParentRegion()))
    return invariant;
  Operation *op = invariant.getDefiningOp();
  mlir::IRMapping map;
  for (Value operand : op->getOperands())
    map.map(operand, outsideOf(e, scan, operand));
  return e.b.clone(*op, map)->getResult(0);
}

bool hoistInvariants(ScanOp scan) {
  bool changed = false;
  for (Operation &op : llvm::make_early_inc_range(scan.getBody().front().without_terminator())) {
    if (!mlir::isPure(&op) || staysInLoop(&op) ||
        !llvm::all_of(usedValues(&op), [&](Value value) { return isInvariant(scan, value); }))
      continue;
    mlir::OpBuilder builder(scan);
    Emit e(builder, op.getLoc());
    // What a nested region reads has to move along too.
    op.walk([&](Operation *nested) {
      for (mlir::OpOperand &operand : nested->getOpOperands())
        if (operand.get().getParentRegion() == &scan.getBody())
          operand.set(outsideOf(e, scan, operand.get()));
    });
    op.moveBefore(scan);
    changed = true;
  }
  return changed;
}

void growLive(mlir::Block &body, unsigned first, size_t carries, llvm::BitVector &live) {
  mlir::ValueRange yields = body.getTerminator()->getOperands();
  for (bool changed = true; changed;) {
    changed = false;
    llvm::DenseSet<Value> reached;
    for (unsigned index : live.set_bits())
      reached.insert(yields[index]);
    for (mlir::Operation &nested : llvm::reverse(body.without_terminator()))
      if (llvm::any_of(nested.getResults(), [&](Value result) { return reached.contains(result); }))
        for (Value used : usedValues(&nested))
          reached.insert(used);
    for (unsigned index = 0; index < carries; ++index)
      if (!live[index] && reached.contains(body.getArgument(first + index))) {
        live.set(index);
        changed = true;
      }
  }
}

} // namespace kiln
