#include "passes/Fuse/Fuse.h"

#include "passes/Fuse/Merge.h"
#include "passes/Fuse/Outline.h"

#include "mlir/IR/Dominance.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/CSE.h"

namespace kiln {

using namespace fuse;

#define GEN_PASS_DEF_FUSE
#include "passes/Fuse/Fuse.h.inc"

// What the block must not hold any more: composites, foreign ops.
static mlir::LogicalResult checkPrimitives(mlir::func::FuncOp function) {
  mlir::LogicalResult result = mlir::success();
  function.getBody().walk([&](mlir::Operation *op) {
    if (classOf(op) != OpClass::other || op->hasTrait<mlir::OpTrait::IsTerminator>())
      return;
    op->emitError() << "'" << op->getName()
                    << "' is no primitive that a kernel can hold: decompose and differentiate before fusing";
    result = mlir::failure();
  });
  return result;
}

static void dropStopGradients(mlir::func::FuncOp function) {
  function.getBody().walk([](StopGradientOp op) {
    op.getResult().replaceAllUsesWith(op.getOperand());
    op.erase();
  });
}

// How many cheap ops in a row are done again rather than stored.
static constexpr unsigned maxRecomputed = 6;

// The values of an op's own size that it reads: broadcasts, constants and masks made of them do not count.
static unsigned fullSources(mlir::Operation *op) {
  unsigned count = 0;
  for (mlir::Value operand : op->getOperands())
    count += !operand.getDefiningOp() || classOf(operand.getDefiningOp()) != OpClass::cheap;
  return count;
}

// x - mean, read by the variance and by the normalisation: both read x as well as they would read the difference, so
// each gets its own copy of the op. Only where nobody needs the value in memory.
static void duplicateCheap(mlir::Block &block) {
  llvm::DenseMap<mlir::Operation *, unsigned> depth;
  for (mlir::Operation &op : llvm::make_early_inc_range(llvm::reverse(block))) {
    if (classOf(&op) != OpClass::index || !isElementwise(&op) || isExpensive(&op) || fullSources(&op) != 1 ||
        dimsOf(op.getResult(0)).empty())
      continue;
    llvm::SmallSetVector<mlir::Operation *, 4> users(op.getUsers().begin(), op.getUsers().end());
    unsigned deepest = 0;
    bool fusable = llvm::all_of(users, [&](mlir::Operation *user) {
      OpClass opClass = classOf(user);
      deepest = std::max(deepest, depth.lookup(user));
      return user->getBlock() == &block &&
             ((opClass == OpClass::index && isElementwise(user)) || opClass == OpClass::reduce);
    });
    if (!fusable || users.size() < 2 || deepest >= maxRecomputed)
      continue;
    for (mlir::Operation *user : llvm::drop_begin(users)) {
      mlir::OpBuilder builder(user);
      mlir::Operation *copy = builder.clone(op);
      user->replaceUsesOfWith(op.getResult(0), copy->getResult(0));
      depth[copy] = deepest + 1;
    }
    depth[&op] = deepest + 1;
  }
}

static void fuseBlock(mlir::Block &block, FuseLevel level) {
  // Inside out: what an inner block still reads of an outer cheap op is then known.
  for (mlir::Operation &op : block)
    if (!llvm::isa<GroupOp>(op))
      for (mlir::Region &region : op.getRegions())
        for (mlir::Block &inner : region)
          fuseBlock(inner, level);
  if (level != FuseLevel::single)
    duplicateCheap(block);
  outlineBlock(block, clustersOf(block, level), level != FuseLevel::single);
  mlir::IRRewriter rewriter(block.getParentOp()->getContext());
  for (GroupOp group : block.getOps<GroupOp>()) { // copies that met again
    mlir::DominanceInfo dominance(group);
    mlir::eliminateCommonSubExpressions(rewriter, dominance, group);
  }
}

mlir::LogicalResult fuseFunction(mlir::func::FuncOp function, FuseLevel level) {
  if (function.isExternal())
    return mlir::success();
  dropStopGradients(function);
  if (mlir::failed(checkPrimitives(function)))
    return mlir::failure();
  for (mlir::Block &block : function.getBody())
    fuseBlock(block, level);
  return mlir::success();
}

// The group's ops back in the block.
static llvm::SmallVector<mlir::Operation *> inlineGroup(GroupOp group) {
  mlir::Block &body = group.getBody().front();
  for (auto [argument, input] : llvm::zip(body.getArguments(), group.getInputs()))
    argument.replaceAllUsesWith(input);
  llvm::SmallVector<mlir::Operation *> ops;
  for (mlir::Operation &op : llvm::make_early_inc_range(body.without_terminator())) {
    op.moveBefore(group);
    ops.push_back(&op);
  }
  group->replaceAllUsesWith(body.getTerminator()->getOperands());
  group->erase();
  return ops;
}

bool splitGroup(GroupOp group) {
  unsigned computing = 0;
  for (mlir::Operation &op : group.getBody().front().without_terminator())
    computing += !isSource(&op);
  if (computing <= 1)
    return false;
  mlir::Block *block = group->getBlock();
  FuseLevel level = group.getKind() == "contract" ? FuseLevel::loops : FuseLevel::single;
  inlineGroup(group);
  // Groups already there are left as they are; only the loose ops are put into new ones.
  outlineBlock(*block, clustersOf(*block, level), level != FuseLevel::single);
  return true;
}

namespace {
struct FusePass : impl::FuseBase<FusePass> {
  using FuseBase::FuseBase;
  void runOnOperation() override {
    for (auto function : getOperation().getOps<mlir::func::FuncOp>())
      if (mlir::failed(fuseFunction(function, single ? FuseLevel::single : FuseLevel::full)))
        return signalPassFailure();
  }
};
} // namespace

} // namespace kiln
