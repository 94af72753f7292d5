// A loop copied into a group, its groups dissolved in the copy; the one that is not wanted goes.

#include "passes/Claim/Loops.h"

#include "passes/Claim/Claim.h"
#include "passes/Fuse/Outline.h"
#include "passes/support/Values.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

namespace kiln::claim {

static constexpr llvm::StringLiteral apartName = "kiln.apart";

void keepApart(ScanOp loop) { loop->setAttr(apartName, mlir::UnitAttr::get(loop.getContext())); }

bool isLoop(GroupOp group) { return !group.getBody().getOps<ScanOp>().empty(); }

// What a kernel's region has no words for.
static bool holdsBranch(ScanOp loop) {
  return loop
      .walk([](mlir::Operation *op) {
        return llvm::isa<IfOp, WhileOp>(op) ? mlir::WalkResult::interrupt() : mlir::WalkResult::advance();
      })
      .wasInterrupted();
}

static GroupOp asGroup(ScanOp loop) {
  mlir::OpBuilder builder(loop);
  llvm::SetVector<mlir::Value> inputs;
  for (mlir::Value value : usedValues(loop))
    inputs.insert(value);
  auto group = builder.create<GroupOp>(loop.getLoc(), loop->getResultTypes(), inputs.getArrayRef(), GroupShape::any);
  mlir::Block &body = group.getBody().emplaceBlock();
  mlir::IRMapping map;
  for (mlir::Value input : inputs)
    map.map(input, body.addArgument(input.getType(), input.getLoc()));
  builder.setInsertionPointToStart(&body);
  mlir::Operation *copy = builder.clone(*loop, map);
  builder.create<YieldOp>(loop.getLoc(), copy->getResults());
  llvm::SmallVector<GroupOp> within;
  copy->walk([&](GroupOp one) { within.push_back(one); });
  llvm::for_each(within, fuse::dissolve);
  return group;
}

mlir::LogicalResult offerLoop(ScanOp loop, uint32_t target, llvm::StringRef reason, Claimants claimants) {
  if (!claimants[target]->namesWhole(nameOf(loop)) || loop->hasAttr(apartName) || holdsBranch(loop))
    return mlir::success();
  GroupOp group = asGroup(loop);
  mlir::FailureOr<Answer> answer = claimants[target]->claim(group);
  if (mlir::failed(answer))
    return mlir::failure();
  if (!answer->whole) {
    group.erase();
    return mlir::success();
  }
  assign(group, target, reason);
  loop->replaceAllUsesWith(group);
  loop->erase();
  return mlir::success();
}

mlir::LogicalResult offerLoops(mlir::func::FuncOp function, Claimants claimants) {
  for (ScanOp loop : llvm::make_early_inc_range(function.getBody().front().getOps<ScanOp>()))
    if (mlir::failed(offerLoop(loop, 0, "", claimants)))
      return mlir::failure();
  return mlir::success();
}

} // namespace kiln::claim
