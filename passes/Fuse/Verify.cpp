#include "passes/Fuse/Verify.h"

#include "passes/Fuse/Cluster.h"

namespace kiln {

mlir::LogicalResult verifyPrimitives(mlir::func::FuncOp function) {
  mlir::LogicalResult result = mlir::success();
  function.getBody().walk([&](mlir::Operation *op) {
    if (fuse::roleOf(op) != fuse::Role::other || op->hasTrait<mlir::OpTrait::IsTerminator>())
      return;
    op->emitError() << "'" << op->getName()
                    << "' is no primitive that a kernel can hold: decompose and differentiate before fusing";
    result = mlir::failure();
  });
  return result;
}

mlir::Operation *findUnfused(mlir::func::FuncOp function) {
  mlir::Operation *found = nullptr;
  function.getBody().walk<mlir::WalkOrder::PreOrder>([&](mlir::Operation *op) {
    if (llvm::isa<GroupOp>(op))
      return mlir::WalkResult::skip();
    if (fuse::roleOf(op) == fuse::Role::control || llvm::isa<ReshapeOp, ConstantOp>(op) ||
        op->hasTrait<mlir::OpTrait::IsTerminator>())
      return mlir::WalkResult::advance();
    found = op;
    return mlir::WalkResult::interrupt();
  });
  return found;
}

mlir::LogicalResult verifyFused(mlir::func::FuncOp function) {
  mlir::Operation *op = findUnfused(function);
  return op ? op->emitError() << "'" << op->getName() << "' is in no group" : mlir::success();
}

} // namespace kiln
