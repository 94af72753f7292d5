#include "passes/Fuse/Fuse.h"

#include "passes/Fuse/Merge.h"
#include "passes/Fuse/Outline.h"

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

static void fuseBlock(mlir::Block &block, FuseLevel level) {
  // Inside out: what an inner block still reads of an outer cheap op is then known.
  for (mlir::Operation &op : block)
    if (!llvm::isa<GroupOp>(op))
      for (mlir::Region &region : op.getRegions())
        for (mlir::Block &inner : region)
          fuseBlock(inner, level);
  outlineBlock(block, clustersOf(block, level), level != FuseLevel::single);
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
