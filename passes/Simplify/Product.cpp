// Products: transposes absorbed, tables multiplied, reductions that are products.

#include "passes/Simplify/Patterns.h"

namespace kiln {

using llvm::ArrayRef;
using llvm::SmallVector;
using mlir::failure;
using mlir::LogicalResult;
using mlir::PatternRewriter;
using mlir::success;
using mlir::Value;

namespace {

using Axes = SmallVector<int64_t, 4>;

Axes renumbered(ArrayRef<int64_t> axes, ArrayRef<int64_t> permutation) {
  Axes result;
  for (int64_t axis : axes)
    result.push_back(permutation[axis]);
  return result;
}

Axes freeAxes(Value operand, ArrayRef<int64_t> batch, ArrayRef<int64_t> contract) {
  SmallVector<int64_t> used(batch);
  llvm::append_range(used, contract);
  return Axes(otherAxes(rankOf(operand), used));
}

/// Whether an operand's transpose can be undone by numbering its axes anew: its free axes have to keep their order.
bool absorbs(TransposeOp transpose, ArrayRef<int64_t> batch, ArrayRef<int64_t> contract) {
  return transpose &&
         llvm::is_sorted(renumbered(freeAxes(transpose.getResult(), batch, contract), transpose.getPermutation()));
}

LogicalResult absorbTranspose(DotGeneralOp op, PatternRewriter &rewriter) {
  Value lhs = op.getLhs(), rhs = op.getRhs();
  Axes lhsBatch(op.getLhsBatch()), rhsBatch(op.getRhsBatch()), lhsContract(op.getLhsContract()),
      rhsContract(op.getRhsContract());
  auto left = lhs.getDefiningOp<TransposeOp>(), right = rhs.getDefiningOp<TransposeOp>();
  bool takeLeft = absorbs(left, lhsBatch, lhsContract), takeRight = absorbs(right, rhsBatch, rhsContract);
  if (!takeLeft && !takeRight)
    return failure();
  if (takeLeft) {
    lhs = left.getOperand();
    lhsBatch = renumbered(lhsBatch, left.getPermutation());
    lhsContract = renumbered(lhsContract, left.getPermutation());
  }
  if (takeRight) {
    rhs = right.getOperand();
    rhsBatch = renumbered(rhsBatch, right.getPermutation());
    rhsContract = renumbered(rhsContract, right.getPermutation());
  }
  rewriter.replaceOpWithNewOp<DotGeneralOp>(op, op.getType(), lhs, rhs, lhsBatch, rhsBatch, lhsContract, rhsContract);
  return success();
}

// Rows of a table chosen by index, then multiplied: where the table has fewer rows than are chosen, its product is
// taken once and the rows are chosen from that. The gradients of both gain the same.
LogicalResult multiplyTable(DotGeneralOp op, PatternRewriter &rewriter) {
  auto gather = op.getLhs().getDefiningOp<GatherOp>();
  if (!gather || gather.getAxis() != 0 || gather.getBatchDims() != 0 || rankOf(gather.getOperand()) != 2)
    return failure();
  // Nobody else reads the rows: a recurrent layer's two directions are two products of the same.
  auto multipliesRows = [&](mlir::Operation *user) {
    auto dot = llvm::dyn_cast<DotGeneralOp>(user);
    return dot && dot.getLhs() == gather.getResult() && dot.getRhs() != gather.getResult() &&
           dot.getLhsBatch().empty() && dot.getLhsContract() == ArrayRef<int64_t>{rankOf(gather.getResult()) - 1};
  };
  if (!llvm::all_of(gather->getUsers(), multipliesRows))
    return failure();
  Dim chosen = 1;
  for (const Dim &dim : dimsOf(gather.getIndices()))
    chosen = chosen * dim;
  std::optional<int64_t> rows = dimsOf(gather.getOperand())[0].constant(), count = chosen.constant();
  if (!rows || !count || 2 * *rows > *count)
    return failure();
  Emit e(rewriter, op.getLoc());
  Value table = e.dot(gather.getOperand(), op.getRhs(), {{}, {}, {1}, Axes(op.getRhsContract())}, elementOf(op));
  return rewriter.replaceOp(op, e.gather(table, gather.getIndices(), 0)), success();
}

// A transpose that exchanges the free axes of the two sides: the operands exchange their places.
LogicalResult swapOperands(TransposeOp op, PatternRewriter &rewriter) {
  auto dot = op.getOperand().getDefiningOp<DotGeneralOp>();
  if (!dot || !dot->hasOneUse())
    return failure();
  int64_t batch = static_cast<int64_t>(dot.getLhsBatch().size()), rank = rankOf(dot.getResult());
  int64_t left = static_cast<int64_t>(freeAxes(dot.getLhs(), dot.getLhsBatch(), dot.getLhsContract()).size());
  SmallVector<int64_t> wanted = axesUpTo(batch);
  for (int64_t axis = batch + left; axis < rank; ++axis)
    wanted.push_back(axis);
  for (int64_t axis = batch; axis < batch + left; ++axis)
    wanted.push_back(axis);
  if (op.getPermutation() != ArrayRef<int64_t>(wanted))
    return failure();
  rewriter.replaceOpWithNewOp<DotGeneralOp>(op, op.getType(), dot.getRhs(), dot.getLhs(), dot.getRhsBatch(),
                                            dot.getLhsBatch(), dot.getRhsContract(), dot.getLhsContract());
  return success();
}

//===-- Reductions -----------------------------------------------------------------------------------------------===//

// sum over repeated elements is a multiple, their extreme is the element.
LogicalResult reduceOfBroadcast(ReduceOp op, PatternRewriter &rewriter) {
  auto broadcast = op.getOperand().getDefiningOp<BroadcastOp>();
  bool sum = op.getKind() == ReduceKind::sum;
  if (!broadcast || (!sum && op.getKind() != ReduceKind::max && op.getKind() != ReduceKind::min))
    return failure();
  SmallVector<Dim> dims = dimsOf(broadcast.getResult()), own = dimsOf(broadcast.getOperand());
  Dim count = 1;
  SmallVector<int64_t> repeated, inner;
  for (int64_t axis : op.getAxes()) {
    if (llvm::is_contained(broadcast.getAxes(), axis)) {
      inner.push_back(axis);
      continue;
    }
    count = count * dims[axis];
    repeated.push_back(axis);
  }
  if (repeated.empty() || (sum && !isFloatTensor(op.getType())))
    return failure();
  // Without an element there is no extreme to take.
  for (int64_t axis : repeated)
    if (!sum && (!dims[axis].isConstant() || *dims[axis].constant() == 0))
      return failure();
  Emit e(rewriter, op.getLoc());
  SmallVector<Dim> left;
  SmallVector<int64_t> place(dims.size(), 0), axes, reduced;
  for (int64_t axis = 0; axis < static_cast<int64_t>(dims.size()); ++axis) {
    place[axis] = static_cast<int64_t>(left.size());
    if (!llvm::is_contained(repeated, axis))
      left.push_back(dims[axis]);
  }
  for (int64_t axis : broadcast.getAxes())
    axes.push_back(place[axis]);
  for (int64_t axis : inner)
    reduced.push_back(place[axis]);
  Value value = e.broadcastTo(broadcast.getOperand(), axes, left);
  if (!reduced.empty())
    value = e.reduce(op.getKind(), value, reduced);
  if (sum) {
    mlir::Type element = elementOf(value);
    value = e.mul(value, e.broadcastScalar(e.extent(count, element), dimsOf(value)));
  }
  return rewriter.replaceOp(op, value), success();
}

// The factors of a product, a few levels deep.
void factorsOf(Value value, unsigned depth, llvm::SmallVectorImpl<Value> &factors) {
  auto product = depth ? value.getDefiningOp<MulOp>() : MulOp();
  if (!product)
    return factors.push_back(value);
  factorsOf(product.getLhs(), depth - 1, factors);
  factorsOf(product.getRhs(), depth - 1, factors);
}

// A factor that is the same along all reduced axes comes out of the sum. Then sums of g (x - mean), of g (x - mean) / d
// and of g scale (x - mean), as the backward half of a batch norm has them, are one. Not in rows, which make such
// products in registers anyway.
LogicalResult reduceOfProduct(ReduceOp op, PatternRewriter &rewriter) {
  SmallVector<Dim> left = dimsOf(op.getResult());
  if (op.getKind() != ReduceKind::sum || !isFloatTensor(op.getType()) || left.empty() ||
      !llvm::is_contained(op.getAxes(), 0))
    return failure();
  SmallVector<int64_t> kept = otherAxes(rankOf(op.getOperand()), op.getAxes());
  SmallVector<Value> factors, inside;
  SmallVector<BroadcastOp> outside;
  factorsOf(op.getOperand(), 4, factors);
  for (Value factor : factors) {
    auto broadcast = factor.getDefiningOp<BroadcastOp>();
    bool constant = broadcast && llvm::none_of(broadcast.getAxes(),
                                               [&](int64_t axis) { return llvm::is_contained(op.getAxes(), axis); });
    if (constant)
      outside.push_back(broadcast);
    else
      inside.push_back(factor);
  }
  if (outside.empty() || inside.empty())
    return failure();
  Emit e(rewriter, op.getLoc());
  Value product = inside.front();
  for (Value factor : llvm::drop_begin(inside))
    product = e.mul(product, factor);
  Value result = e.reduce(op.getKind(), product, op.getAxes());
  for (BroadcastOp broadcast : outside) {
    SmallVector<int64_t> axes;
    for (int64_t axis : broadcast.getAxes())
      axes.push_back(llvm::find(kept, axis) - kept.begin());
    result = e.mul(result, e.broadcastTo(broadcast.getOperand(), axes, left));
  }
  return rewriter.replaceOp(op, result), success();
}

LogicalResult reduceOfTranspose(ReduceOp op, PatternRewriter &rewriter) {
  auto transpose = op.getOperand().getDefiningOp<TransposeOp>();
  if (!transpose)
    return failure();
  Emit e(rewriter, op.getLoc());
  SmallVector<int64_t> axes, left;
  for (int64_t axis : op.getAxes())
    axes.push_back(transpose.getPermutation()[axis]);
  llvm::sort(axes);
  for (int64_t axis : otherAxes(rankOf(transpose.getResult()), op.getAxes()))
    left.push_back(transpose.getPermutation()[axis]);
  // What is left of the axes, in ascending order and then as the transpose had them.
  SmallVector<int64_t> ascending(left), permutation;
  llvm::sort(ascending);
  for (int64_t axis : left)
    permutation.push_back(llvm::find(ascending, axis) - ascending.begin());
  return rewriter.replaceOp(op, e.transposed(e.reduce(op.getKind(), transpose.getOperand(), axes), permutation)),
         success();
}

LogicalResult reduceOfReduce(ReduceOp op, PatternRewriter &rewriter) {
  auto inner = op.getOperand().getDefiningOp<ReduceOp>();
  if (!inner || inner.getKind() != op.getKind() || !inner->hasOneUse())
    return failure();
  SmallVector<int64_t> left = otherAxes(rankOf(inner.getOperand()), inner.getAxes()), axes(inner.getAxes());
  for (int64_t axis : op.getAxes())
    axes.push_back(left[axis]);
  llvm::sort(axes);
  Emit e(rewriter, op.getLoc());
  return rewriter.replaceOp(op, e.reduce(op.getKind(), inner.getOperand(), axes)), success();
}

} // namespace

void addProductPatterns(mlir::RewritePatternSet &patterns) {
  addPattern<DotGeneralOp>(patterns, absorbTranspose);
  addPattern<DotGeneralOp>(patterns, multiplyTable);
  addPattern<TransposeOp>(patterns, swapOperands);
  addPattern<ReduceOp>(patterns, reduceOfBroadcast);
  addPattern<ReduceOp>(patterns, reduceOfProduct);
  addPattern<ReduceOp>(patterns, reduceOfTranspose);
  addPattern<ReduceOp>(patterns, reduceOfReduce);
}

} // namespace kiln
