// One derivative after the other, each by the rules of reverse mode over its own block.
#include "passes/ExpandGradients/ExpandGradients.h"

#include "passes/Differentiate/Differentiate.h"
#include "passes/Differentiate/Prepare.h"

namespace kiln {

#define GEN_PASS_DEF_EXPANDGRADIENTS
#include "passes/ExpandGradients/ExpandGradients.h.inc"

using llvm::SmallVector;
using mlir::LogicalResult;
using mlir::Value;

namespace {

/// A loop that a gradient goes through is replaced by one that saves what its backward half reads. What is
/// differentiated by may be a loop's result, and has to outlive it: the loop's readers get it from a reshape that moves
/// nothing.
Value behindItsLoop(mlir::OpBuilder &builder, Value value) {
  auto scan = value.getDefiningOp<ScanOp>();
  if (!scan)
    return value;
  mlir::OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointAfter(scan);
  auto same = builder.create<ReshapeOp>(value.getLoc(), value.getType(), value);
  value.replaceAllUsesExcept(same, same);
  return same;
}

LogicalResult expandOne(GradientOp op) {
  mlir::OpBuilder builder(op);
  SmallVector<Value> wrt;
  for (unsigned index = 0; index < op.getWrt().size(); ++index)
    wrt.push_back(behindItsLoop(builder, op.getWrt()[index]));
  mlir::FailureOr<SmallVector<Value>> gradients = differentiate(builder, {op.getOf()}, {op.getAlong()}, wrt);
  if (mlir::failed(gradients))
    return mlir::failure();
  op.replaceAllUsesWith(*gradients);
  op.erase();
  return mlir::success();
}

GradientOp firstIn(mlir::func::FuncOp function) {
  GradientOp found;
  function.walk([&](GradientOp op) { // a loop's body before what stands behind the loop
    found = op;
    return mlir::WalkResult::interrupt();
  });
  return found;
}

} // namespace

LogicalResult expandGradients(mlir::ModuleOp module) {
  for (auto function : module.getOps<mlir::func::FuncOp>())
    while (GradientOp op = firstIn(function)) {
      prepareOps(function); // also what the derivative before this one is made of
      if (mlir::failed(expandOne(op)))
        return mlir::failure();
    }
  return mlir::success();
}

namespace {

struct ExpandGradients : impl::ExpandGradientsBase<ExpandGradients> {
  void runOnOperation() override {
    if (mlir::failed(expandGradients(getOperation())))
      signalPassFailure();
  }
};

} // namespace
} // namespace kiln
