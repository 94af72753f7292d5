// Walks from a result back to what it was computed from, along what a gradient follows.
#include "frontend/language/Gradient.h"

namespace kiln::language {

namespace {

/// All values that some results depend on by floats, through regions of loops and branches.
class Slice {
public:
  explicit Slice(llvm::ArrayRef<mlir::Value> results) {
    for (mlir::Value result : results)
      reach(result);
    while (!work_.empty()) {
      mlir::Value value = work_.pop_back_val();
      if (auto argument = llvm::dyn_cast<mlir::BlockArgument>(value))
        throughArgument(argument);
      else
        throughOp(llvm::cast<mlir::OpResult>(value));
    }
  }

  bool contains(mlir::Value value) const { return seen_.contains(value); }
  const llvm::DenseSet<mlir::Value> &values() const { return seen_; }
  llvm::ArrayRef<mlir::Operation *> whiles() const { return whiles_.getArrayRef(); }

  /// What those of an op's results depend on that are in the slice.
  Slice behind(mlir::Operation *op) const {
    auto own = llvm::make_filter_range(op->getResults(), [&](mlir::Value result) { return contains(result); });
    return Slice(llvm::SmallVector<mlir::Value>(own.begin(), own.end()));
  }

private:
  void reach(mlir::Value value) {
    if (llvm::isa<mlir::FloatType>(mlir::getElementTypeOrSelf(value)) && seen_.insert(value).second)
      work_.push_back(value);
  }

  void throughOp(mlir::OpResult result) {
    mlir::Operation *op = result.getOwner();
    if (op->hasTrait<NoGradient>())
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
  llvm::SmallVector<mlir::Value> losses;
  mlir::Operation *end = loss.getBody().front().getTerminator();
  for (unsigned index = 0; index < loss.getNumResults(); ++index)
    if (loss.getResultAttr(index, "kiln.loss") || loss.getResultAttr(index, "kiln.term"))
      losses.push_back(end->getOperand(index));
  Slice fromLoss(losses);
  llvm::SmallVector<mlir::Operation *> found;
  for (mlir::Operation *loop : fromLoss.whiles()) {
    Slice fromLoop = fromLoss.behind(loop);
    if (llvm::any_of(loss.getArguments(),
                     [&](mlir::BlockArgument argument) { return fromLoop.contains(argument) && isTrained(argument); }))
      found.push_back(loop);
  }
  return found;
}

/// Whether a value stands in the block, or in one that stands in it.
static bool standsIn(mlir::Value value, mlir::Block *block) {
  mlir::Block *own = value.getParentBlock();
  return own == block || (own->getParentOp() && block->findAncestorOpInBlock(*own->getParentOp()));
}

GradientPath gradientPath(mlir::Value of, mlir::Value wrt, mlir::Block *block) {
  GradientPath path;
  Slice slice(of);
  path.reaches = slice.contains(wrt);
  if (!path.reaches)
    return path;
  path.computedElsewhere = of != wrt && of.getParentBlock() != block;
  if (wrt.getParentBlock() != block)
    for (mlir::Value value : slice.values()) {
      // What is carried into a block that is being written may come from anywhere.
      bool carried = llvm::isa<mlir::BlockArgument>(value) && value.getParentBlock() == block;
      if (value != wrt && (carried || (!standsIn(value, block) && Slice(value).contains(wrt))))
        path.through = value;
    }
  for (mlir::Operation *loop : slice.whiles())
    if (slice.behind(loop).contains(wrt))
      path.loop = loop;
  return path;
}

} // namespace kiln::language
