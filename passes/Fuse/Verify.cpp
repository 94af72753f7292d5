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
  if (op)
    return op->emitError() << "'" << op->getName() << "' is in no group";
  mlir::WalkResult walk = function.walk([](GroupOp group) {
    GroupShape shape = fuse::shapeOf(group).value_or(GroupShape::any);
    if (shape == group.getShape())
      return mlir::WalkResult::advance();
    group.emitError() << "the group's shape is '" << stringifyGroupShape(group.getShape()) << "'; by its ops it is "
                      << "'" << stringifyGroupShape(shape) << "'";
    return mlir::WalkResult::interrupt();
  });
  return mlir::failure(walk.wasInterrupted());
}

} // namespace kiln
