// A transpose of a large result moved to where it costs less: the operand of a product, the indices of a gather.
#include "passes/Simplify/Patterns.h"

#include "ir/Classes.h"

namespace kiln {

using llvm::ArrayRef;
using llvm::SmallVector;
using mlir::failure;
using mlir::LogicalResult;
using mlir::Operation;
using mlir::PatternRewriter;
using mlir::success;
using mlir::Value;

namespace {

int64_t bytesOf(Value value) { return estimatedBytes(value.getType()); }

/// Where a permutation of a product's result only permutes the left side's free axes: the same on the left operand.
std::optional<SmallVector<int64_t>> onLeftOperand(DotGeneralOp dot, ArrayRef<int64_t> permutation) {
  SmallVector<int64_t> used(dot.getLhsBatch());
  llvm::append_range(used, dot.getLhsContract());
  SmallVector<int64_t> free = otherAxes(rankOf(dot.getLhs()), used), result = axesUpTo(rankOf(dot.getLhs()));
  int64_t first = static_cast<int64_t>(dot.getLhsBatch().size()), last = first + static_cast<int64_t>(free.size());
  for (auto [index, axis] : llvm::enumerate(permutation)) {
    int64_t place = static_cast<int64_t>(index);
    if (place < first || place >= last) {
      if (axis != place)
        return std::nullopt;
      continue;
    }
    if (axis < first || axis >= last)
      return std::nullopt;
    result[free[place - first]] = free[axis - first];
  }
  return result;
}

/// Where a permutation of a gather's result only permutes the axes that come from the indices.
bool onIndices(GatherOp gather, ArrayRef<int64_t> permutation) {
  if (gather.getAxis() != 0 || gather.getBatchDims() != 0)
    return false;
  ArrayRef<int64_t> behind = permutation.drop_front(rankOf(gather.getIndices()));
  for (auto [index, axis] : llvm::enumerate(behind))
    if (axis != static_cast<int64_t>(index) + rankOf(gather.getIndices()))
      return false;
  return true;
}

/// How many bytes are really transposed when `value` is to come out permuted.
int64_t cost(Value value, ArrayRef<int64_t> permutation) {
  Operation *op = value.getDefiningOp();
  if (isIdentity(permutation) || splatValue(value) || llvm::isa_and_nonnull<BroadcastOp, TransposeOp>(op))
    return 0;
  if (!op || !value.hasOneUse())
    return bytesOf(value);
  if (auto dot = llvm::dyn_cast<DotGeneralOp>(op)) {
    std::optional<SmallVector<int64_t>> left = onLeftOperand(dot, permutation);
    return left ? cost(dot.getLhs(), *left) : bytesOf(value);
  }
  if (auto gather = llvm::dyn_cast<GatherOp>(op))
    return bytesOf(onIndices(gather, permutation) ? gather.getIndices() : value);
  if (!isElementwise(op))
    return bytesOf(value);
  int64_t sum = 0;
  for (Value operand : op->getOperands())
    sum += cost(operand, permutation);
  return std::min(sum, bytesOf(value));
}

Value permuted(Emit &e, Value value, ArrayRef<int64_t> permutation) {
  Operation *op = value.getDefiningOp();
  if (!op || !value.hasOneUse() || cost(value, permutation) >= bytesOf(value))
    return e.transposed(value, permutation);
  if (auto dot = llvm::dyn_cast<DotGeneralOp>(op)) {
    auto list = [](ArrayRef<int64_t> axes) { return SmallVector<int64_t, 4>(axes); };
    return e.dot(
        permuted(e, dot.getLhs(), *onLeftOperand(dot, permutation)), dot.getRhs(),
        {list(dot.getLhsBatch()), list(dot.getRhsBatch()), list(dot.getLhsContract()), list(dot.getRhsContract())},
        elementOf(value));
  }
  if (auto gather = llvm::dyn_cast<GatherOp>(op)) {
    ArrayRef<int64_t> order = permutation.take_front(rankOf(gather.getIndices()));
    return e.gather(gather.getOperand(), e.transposed(gather.getIndices(), order), 0);
  }
  if (!isElementwise(op))
    return e.transposed(value, permutation);
  SmallVector<Value> operands;
  for (Value operand : op->getOperands())
    operands.push_back(permuted(e, operand, permutation));
  mlir::OperationState state(op->getLoc(), op->getName(), operands,
                             withElement(operands.front().getType(), elementOf(value)), op->getAttrs());
  return e.b.create(state)->getResult(0);
}

LogicalResult moveUp(TransposeOp op, PatternRewriter &rewriter) {
  Operation *source = op.getOperand().getDefiningOp();
  if (!source || !(llvm::isa<DotGeneralOp, GatherOp>(source) || isElementwise(source)) ||
      2 * cost(op.getOperand(), op.getPermutation()) > bytesOf(op.getOperand()))
    return failure();
  Emit e(rewriter, op.getLoc());
  return rewriter.replaceOp(op, permuted(e, op.getOperand(), op.getPermutation())), success();
}

} // namespace

void addTransposePatterns(mlir::RewritePatternSet &patterns) { addPattern<TransposeOp>(patterns, moveUp); }

} // namespace kiln
