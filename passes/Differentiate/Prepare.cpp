#include "passes/Differentiate/Prepare.h"

#include "passes/Differentiate/Backward.h"

namespace kiln {

using llvm::SmallVector;
using mlir::Operation;
using mlir::Value;

namespace {

bool isNarrow(Operation *op) {
  return llvm::any_of(op->getResultTypes(), [](mlir::Type type) {
    mlir::Type element = llvm::cast<mlir::RankedTensorType>(type).getElementType();
    return element.isBF16() || element.isF16();
  });
}

void decomposeUnruled(mlir::func::FuncOp function) {
  const RuleTable &rules = RuleTable::get();
  bool changed = true;
  while (changed) { // a decomposition may hold composites
    SmallVector<DecomposableOpInterface> composites;
    function.walk([&](DecomposableOpInterface op) {
      if (!rules.find(op) || isNarrow(op))
        composites.push_back(op);
    });
    for (DecomposableOpInterface op : composites) {
      mlir::OpBuilder builder(op);
      op->replaceAllUsesWith(op.decompose(builder));
      op->erase();
    }
    changed = !composites.empty();
  }
}

/// Cheap to repeat, dear to keep: these stay where they are used.
bool staysInLoop(Operation *op) { return llvm::isa<BroadcastOp, IotaOp, ConstantOp>(op); }

void hoistInvariants(ScanOp scan) {
  mlir::Block &body = scan.getBody().front();
  for (Operation &op : llvm::make_early_inc_range(body.without_terminator())) {
    bool invariant =
        mlir::isPure(&op) && !staysInLoop(&op) && llvm::all_of(usedValues(&op), [&](Value value) {
          Operation *source = value.getDefiningOp();
          // A constant in the loop does not hold its users there: it moves with them.
          return !scan.getBody().isAncestor(value.getParentRegion()) || llvm::isa_and_nonnull<ConstantOp>(source);
        });
    if (!invariant)
      continue;
    for (Value operand : op.getOperands())
      if (Operation *source = operand.getDefiningOp(); source && scan->isProperAncestor(source))
        source->moveBefore(scan);
    op.moveBefore(scan);
  }
}

} // namespace

void prepare(mlir::func::FuncOp function) {
  decomposeUnruled(function);
  // Inner loops first: what leaves one may then leave the next.
  function.walk<mlir::WalkOrder::PostOrder>([](ScanOp scan) { hoistInvariants(scan); });
}

} // namespace kiln
