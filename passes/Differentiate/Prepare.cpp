#include "passes/Differentiate/Prepare.h"

#include "passes/Differentiate/Backward.h"
#include "passes/support/Branches.h"
#include "passes/support/Composites.h"
#include "passes/support/Loops.h"

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
      if (!rules.find(op) || (isNarrow(op) && !llvm::isa<CustomOp>(op)))
        composites.push_back(op);
    });
    for (DecomposableOpInterface op : composites)
      expand(op);
    changed = !composites.empty();
  }
}

// What the backward half needs of the scores becomes a result.
template <class Op> void keepAttentionSums(mlir::func::FuncOp function) {
  function.walk([](Op op) {
    if (op.getLse())
      return;
    SmallVector<Dim> dims = dimsOf(op.getResult());
    dims.pop_back();
    mlir::OpBuilder builder(op);
    mlir::Type types[] = {op.getResult().getType(), tensorType(dims, op.getResult().getType().getElementType())};
    mlir::OperationState state(op.getLoc(), op->getName(), op->getOperands(), types, op->getAttrs());
    auto both = llvm::cast<Op>(builder.create(state));
    op.getResult().replaceAllUsesWith(both.getResult());
    op.erase();
  });
}

} // namespace

void prepare(mlir::func::FuncOp function) {
  decomposeUnruled(function);
  keepAttentionSums<AttentionOp>(function);
  keepAttentionSums<BiasedAttentionOp>(function);
  keepAttentionSums<DropoutAttentionOp>(function);
  mlir::IRRewriter rewriter(function.getContext());
  function.walk<mlir::WalkOrder::PostOrder>([&](IfOp op) { (void)dropUnusedResults(op, rewriter); });
  // Inner loops first: what leaves one may then leave the next.
  function.walk<mlir::WalkOrder::PostOrder>([](ScanOp scan) { hoistInvariants(scan); });
}

} // namespace kiln
