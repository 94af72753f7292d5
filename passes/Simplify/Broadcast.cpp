#include "passes/Simplify/Patterns.h"

#include "ir/Classes.h"

namespace kiln {

using llvm::ArrayRef;
using llvm::SmallVector;
using mlir::failure;
using mlir::LogicalResult;
using mlir::PatternRewriter;
using mlir::success;
using mlir::Value;

namespace {

/// exp(broadcast(x)) becomes broadcast(exp(x)), add(broadcast(x), broadcast(y)) becomes broadcast(add(x, y)), where
/// every operand is a broadcast from the axes of the widest one, or a splat.
struct PushBroadcast : mlir::RewritePattern {
  explicit PushBroadcast(mlir::MLIRContext *context) : RewritePattern(MatchAnyOpTypeTag(), 1, context) {}

  LogicalResult matchAndRewrite(mlir::Operation *op, PatternRewriter &rewriter) const override {
    if (op->getNumResults() != 1 || op->getNumOperands() == 0 || !isElementwise(op))
      return failure();
    BroadcastOp widest;
    for (Value operand : op->getOperands()) {
      auto broadcast = operand.getDefiningOp<BroadcastOp>();
      if (!broadcast && !splatValue(operand))
        return failure();
      if (broadcast && (!widest || broadcast.getAxes().size() > widest.getAxes().size()))
        widest = broadcast;
    }
    if (!widest)
      return failure();
    SmallVector<Dim> dims = dimsOf(widest.getOperand());
    for (Value operand : op->getOperands())
      if (auto broadcast = operand.getDefiningOp<BroadcastOp>(); broadcast && !fits(broadcast, widest))
        return failure();

    Emit e(rewriter, op->getLoc());
    SmallVector<Value> operands;
    for (Value operand : op->getOperands()) {
      if (auto broadcast = operand.getDefiningOp<BroadcastOp>()) {
        SmallVector<int64_t> axes;
        for (int64_t axis : broadcast.getAxes())
          axes.push_back(llvm::find(widest.getAxes(), axis) - widest.getAxes().begin());
        operands.push_back(e.broadcastTo(broadcast.getOperand(), axes, dims));
      } else {
        operands.push_back(splatOf(e, operand, tensorType(dims, elementOf(operand))));
      }
    }
    mlir::OperationState state(op->getLoc(), op->getName(), operands, tensorType(dims, elementOf(op->getResult(0))),
                               op->getAttrs());
    Value small = rewriter.create(state)->getResult(0);
    return rewriter.replaceOp(op, e.broadcastTo(small, widest.getAxes(), dimsOf(op->getResult(0)))), success();
  }

private:
  /// Whether a broadcast comes from some of the axes of the widest one, with the same extents along them.
  static bool fits(BroadcastOp broadcast, BroadcastOp widest) {
    SmallVector<Dim> own = dimsOf(broadcast.getOperand()), dims = dimsOf(widest.getOperand());
    for (auto [index, axis] : llvm::enumerate(broadcast.getAxes())) {
      const int64_t *at = llvm::find(widest.getAxes(), axis);
      if (at == widest.getAxes().end() || own[index] != dims[at - widest.getAxes().begin()])
        return false;
    }
    return true;
  }

  /// The same constant in another shape.
  static Value splatOf(Emit &e, Value constant, mlir::RankedTensorType type) {
    auto dense = llvm::cast<mlir::DenseElementsAttr>(constant.getDefiningOp<ConstantOp>().getValue());
    auto held = type.hasStaticShape() ? type : mlir::RankedTensorType::get({}, type.getElementType());
    return e.create<ConstantOp>(type, dense.resizeSplat(held));
  }
};

} // namespace

void addBroadcastPatterns(mlir::RewritePatternSet &patterns) { patterns.add<PushBroadcast>(patterns.getContext()); }

} // namespace kiln
