// Walks from a result back to what it was computed from, along what a gradient follows.
#include "frontend/language/Gradient.h"

namespace kiln::language {

namespace {

/// A function whose gradient is zero where it has one.
bool isStep(mlir::Operation *op) { return llvm::isa<SignOp, RoundOp>(op) || llvm::isa<FloorOp, CeilOp>(op); }

/// All values that some results depend on by floats, through regions of loops and branches.
class Slice {
public:
  void reach(mlir::Value value) {
    if (llvm::isa<mlir::FloatType>(mlir::getElementTypeOrSelf(value)) && seen_.insert(value).second)
      work_.push_back(value);
  }

  /// Follows what was reached to its end.
  void finish() {
    while (!work_.empty()) {
      mlir::Value value = work_.pop_back_val();
      if (auto argument = llvm::dyn_cast<mlir::BlockArgument>(value))
        throughArgument(argument);
      else
        throughOp(llvm::cast<mlir::OpResult>(value));
    }
  }

  const llvm::DenseSet<mlir::Value> &values() const { return seen_; }
  llvm::ArrayRef<mlir::Operation *> whiles() const { return whiles_.getArrayRef(); }

private:
  void throughOp(mlir::OpResult result) {
    mlir::Operation *op = result.getOwner();
    if (llvm::isa<StopGradientOp>(op) || isStep(op))
      return;
    if (llvm::isa<WhileOp>(op))
      whiles_.insert(op);
    if (llvm::isa<IfOp, ScanOp, WhileOp>(op))
      for (mlir::Region &region : op->getRegions())
        if (mlir::Operation *end = region.front().getTerminator(); result.getResultNumber() < end->getNumOperands())
          reach(end->getOperand(result.getResultNumber()));
    if (auto custom = llvm::dyn_cast<CustomOp>(op); custom && custom.getBackward().empty())
      reach(custom.getForward().front().getTerminator()->getOperand(result.getResultNumber()));
    for (mlir::Value operand : op->getOperands())
      reach(operand);
  }

  /// What a loop carries comes from before it and from the step before. (Of a condition only a bool is yielded.)
  void throughArgument(mlir::BlockArgument argument) {
    mlir::Operation *loop = argument.getOwner()->getParentOp();
    if (!llvm::isa_and_nonnull<ScanOp, WhileOp>(loop)) // a custom op's operands were reached with it
      return;
    unsigned index = argument.getArgNumber() - (llvm::isa<ScanOp>(loop) ? 1 : 0);
    reach(loop->getOperand(index));
    bool isCarried = llvm::isa<WhileOp>(loop) || index < llvm::cast<ScanOp>(loop).numCarries();
    if (mlir::Operation *end = argument.getOwner()->getTerminator(); isCarried && index < end->getNumOperands())
      reach(end->getOperand(index));
  }

  llvm::DenseSet<mlir::Value> seen_;
  llvm::SmallVector<mlir::Value> work_;
  llvm::SetVector<mlir::Operation *> whiles_;
};

} // namespace

llvm::SmallVector<mlir::Operation *> loopsWithoutGradient(mlir::func::FuncOp loss,
                                                          const std::function<bool(mlir::BlockArgument)> &isTrained) {
  Slice fromLoss;
  mlir::Operation *end = loss.getBody().front().getTerminator();
  for (unsigned index = 0; index < loss.getNumResults(); ++index)
    if (loss.getResultAttr(index, "kiln.loss") || loss.getResultAttr(index, "kiln.term"))
      fromLoss.reach(end->getOperand(index));
  fromLoss.finish();
  llvm::SmallVector<mlir::Operation *> found;
  for (mlir::Operation *loop : fromLoss.whiles()) {
    Slice fromLoop;
    for (mlir::Value result : loop->getResults())
      if (fromLoss.values().contains(result))
        fromLoop.reach(result);
    fromLoop.finish();
    if (llvm::any_of(loss.getArguments(), [&](mlir::BlockArgument argument) {
          return fromLoop.values().contains(argument) && isTrained(argument);
        }))
      found.push_back(loop);
  }
  return found;
}

/// Whether a value stands in the block, or in one that stands in it.
static bool standsIn(mlir::Value value, mlir::Block *block) {
  mlir::Block *at = value.getParentBlock();
  while (at && at != block)
    at = at->getParentOp() ? at->getParentOp()->getBlock() : nullptr;
  return at == block;
}

static bool dependsOn(mlir::Value value, mlir::Value wrt) {
  Slice slice;
  slice.reach(value);
  slice.finish();
  return slice.values().contains(wrt);
}

GradientPath gradientPath(mlir::Value of, mlir::Value wrt, mlir::Block *block) {
  GradientPath path;
  Slice slice;
  slice.reach(of);
  slice.finish();
  path.reaches = slice.values().contains(wrt);
  if (!path.reaches)
    return path;
  path.computedElsewhere = of != wrt && of.getParentBlock() != block;
  if (wrt.getParentBlock() != block)
    for (mlir::Value value : slice.values()) {
      // What is carried into a block that is being written may come from anywhere.
      bool carried = llvm::isa<mlir::BlockArgument>(value) && value.getParentBlock() == block;
      if (value != wrt && (carried || (!standsIn(value, block) && dependsOn(value, wrt))))
        path.through = value;
    }
  for (mlir::Operation *loop : slice.whiles())
    if (llvm::any_of(loop->getResults(),
                     [&](mlir::Value result) { return slice.values().contains(result) && dependsOn(result, wrt); }))
      path.loop = loop;
  return path;
}

} // namespace kiln::language
