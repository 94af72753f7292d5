#include "passes/support/Branches.h"

namespace kiln {

using mlir::Operation;
using mlir::Value;

mlir::LogicalResult dropUnusedResults(IfOp op, mlir::RewriterBase &rewriter) {
  Operation *first = op.getThenRegion().front().getTerminator(), *second = op.getElseRegion().front().getTerminator();
  llvm::SmallVector<Value> yields[2], kept;
  llvm::SmallVector<mlir::Type> types;
  for (mlir::OpResult result : op->getResults()) {
    Value a = first->getOperand(result.getResultNumber()), b = second->getOperand(result.getResultNumber());
    if (a == b) // and so from outside
      rewriter.replaceAllUsesWith(result, a);
    if (result.use_empty())
      continue;
    kept.push_back(result);
    types.push_back(result.getType());
    yields[0].push_back(a);
    yields[1].push_back(b);
  }
  if (kept.size() == op->getNumResults())
    return mlir::failure();
  rewriter.modifyOpInPlace(first, [&] { first->setOperands(yields[0]); });
  rewriter.modifyOpInPlace(second, [&] { second->setOperands(yields[1]); });
  rewriter.setInsertionPoint(op);
  auto made = rewriter.create<IfOp>(op.getLoc(), types, op.getCondition());
  made.getThenRegion().takeBody(op.getThenRegion());
  made.getElseRegion().takeBody(op.getElseRegion());
  for (auto [from, to] : llvm::zip_equal(kept, made.getResults()))
    rewriter.replaceAllUsesWith(from, to);
  rewriter.eraseOp(op);
  return mlir::success();
}

} // namespace kiln
