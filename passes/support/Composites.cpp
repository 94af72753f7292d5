#include "passes/support/Composites.h"

namespace kiln {

bool expand(mlir::Operation *op) {
  mlir::OpBuilder builder(op);
  llvm::SmallVector<mlir::Value> values;
  if (auto composite = llvm::dyn_cast<DecomposableOpInterface>(op))
    values = composite.decompose(builder);
  else if (auto stop = llvm::dyn_cast<StopGradientOp>(op))
    values = {stop.getOperand()};
  else
    return false;
  op->replaceAllUsesWith(values);
  op->erase();
  return true;
}

} // namespace kiln
