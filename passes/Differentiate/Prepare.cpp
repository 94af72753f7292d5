// Composites without rules taken apart, attention asked for its sums, loops relieved of what stays the same.

#include "passes/Differentiate/Prepare.h"

#include "ir/Classes.h"
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

/// Whether what attention's backward half reads is read by ops of another kind: by that half's own parts.
bool isOpened(Operation *op) {
  if (!op->hasTrait<Attends>() || op->getNumResults() < 2)
    return false;
  return llvm::any_of(op->getResult(1).getUsers(), [](Operation *user) { return !isAttentionGrad(user); });
}

/// The ops whose gradients may be asked for: those that what the function gives, or what a `kiln.gradient` is of, comes
/// from by floats and by ops that have gradients.
llvm::DenseSet<Operation *> followed(mlir::func::FuncOp function) {
  SmallVector<Value> work;
  function.walk([&](Operation *op) {
    if (llvm::isa<GradientOp, mlir::func::ReturnOp>(op))
      work.append(op->operand_begin(), op->operand_end());
  });
  llvm::DenseSet<Operation *> found;
  while (!work.empty()) {
    Value value = work.pop_back_val();
    Operation *op = value.getDefiningOp();
    if (!op) // what a loop or custom op is given
      op = llvm::cast<mlir::BlockArgument>(value).getOwner()->getParentOp();
    if (!isFloatTensor(value.getType()) || llvm::isa<mlir::func::FuncOp>(op) || op->hasTrait<NoGradient>() ||
        !found.insert(op).second)
      continue;
    work.append(op->operand_begin(), op->operand_end());
    for (mlir::Region &region : op->getRegions())
      for (mlir::Block &block : region)
        work.append(block.getTerminator()->operand_begin(), block.getTerminator()->operand_end());
  }
  return found;
}

/// Attention's backward half has no rule; it is left whole where no second derivative goes through it.
void decomposeUnruled(mlir::func::FuncOp function) {
  const RuleTable &rules = RuleTable::get();
  bool changed = true;
  while (changed) { // a decomposition may hold composites
    llvm::DenseSet<Operation *> wanted = followed(function);
    SmallVector<DecomposableOpInterface> composites;
    function.walk([&](DecomposableOpInterface op) {
      bool unruled = !rules.find(op) && (!isAttentionGrad(op) || wanted.contains(op));
      if (unruled || isOpened(op) || (isNarrow(op) && !llvm::isa<CustomOp>(op)))
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

void prepareOps(mlir::func::FuncOp function) {
  decomposeUnruled(function);
  keepAttentionSums<AttentionOp>(function);
  keepAttentionSums<BiasedAttentionOp>(function);
  keepAttentionSums<DropoutAttentionOp>(function);
  keepAttentionSums<CappedAttentionOp>(function);
}

void prepare(mlir::func::FuncOp function) {
  prepareOps(function);
  mlir::IRRewriter rewriter(function.getContext());
  function.walk<mlir::WalkOrder::PostOrder>([&](IfOp op) { (void)dropUnusedResults(op, rewriter); });
  // Inner loops first: what leaves one may then leave the next.
  function.walk<mlir::WalkOrder::PostOrder>([](ScanOp scan) { hoistInvariants(scan); });
}

} // namespace kiln
