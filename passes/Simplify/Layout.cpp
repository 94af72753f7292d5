// Ops that move elements, joined, dropped or moved out of the way.

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

/// The dimensions other than 1.
SmallVector<Dim> withoutUnits(ArrayRef<Dim> dims) {
  SmallVector<Dim> result;
  for (const Dim &dim : dims)
    if (dim != Dim(1))
      result.push_back(dim);
  return result;
}

//===-- Transpose ------------------------------------------------------------------------------------------------===//

LogicalResult simplifyTranspose(TransposeOp op, PatternRewriter &rewriter) {
  Emit e(rewriter, op.getLoc());
  ArrayRef<int64_t> permutation = op.getPermutation();
  if (auto inner = op.getOperand().getDefiningOp<TransposeOp>()) {
    SmallVector<int64_t> joined;
    for (int64_t axis : permutation)
      joined.push_back(inner.getPermutation()[axis]);
    return rewriter.replaceOp(op, e.transposed(inner.getOperand(), joined)), success();
  }
  if (auto inner = op.getOperand().getDefiningOp<BroadcastOp>()) {
    // Operand axis a lands on where the transpose takes inner.axes[a]; what is left to transpose is the small operand.
    SmallVector<int64_t> where = inverted(permutation), order = axesUpTo(rankOf(inner.getOperand())), axes;
    llvm::sort(order, [&](int64_t a, int64_t b) { return where[inner.getAxes()[a]] < where[inner.getAxes()[b]]; });
    for (int64_t axis : order)
      axes.push_back(where[inner.getAxes()[axis]]);
    Value small = e.transposed(inner.getOperand(), order);
    return rewriter.replaceOp(op, e.broadcastTo(small, axes, dimsOf(op.getResult()))), success();
  }
  // Only axes of extent 1 move: the elements stay where they are.
  SmallVector<Dim> dims = dimsOf(op.getOperand());
  SmallVector<int64_t> moved;
  for (int64_t axis : permutation)
    if (dims[axis] != Dim(1))
      moved.push_back(axis);
  if (llvm::is_sorted(moved))
    return rewriter.replaceOp(op, e.reshapeTo(op.getOperand(), dimsOf(op.getResult()))), success();
  return failure();
}

//===-- Reshape --------------------------------------------------------------------------------------------------===//

LogicalResult simplifyReshape(ReshapeOp op, PatternRewriter &rewriter) {
  Emit e(rewriter, op.getLoc());
  if (auto inner = op.getOperand().getDefiningOp<ReshapeOp>())
    return rewriter.replaceOp(op, e.reshapeTo(inner.getOperand(), dimsOf(op.getResult()))), success();
  return failure();
}

//===-- Broadcast ------------------------------------------------------------------------------------------------===//

LogicalResult simplifyBroadcast(BroadcastOp op, PatternRewriter &rewriter) {
  Emit e(rewriter, op.getLoc());
  SmallVector<Dim> to = dimsOf(op.getResult()), from = dimsOf(op.getOperand());
  if (auto inner = op.getOperand().getDefiningOp<BroadcastOp>()) {
    SmallVector<int64_t> axes;
    for (int64_t axis : inner.getAxes())
      axes.push_back(op.getAxes()[axis]);
    return rewriter.replaceOp(op, e.broadcastTo(inner.getOperand(), axes, to)), success();
  }
  // Axes of extent 1 that are repeated carry nothing: dropping them makes one form of `keepdim` and its absence. Those
  // that are not (a batch of one) stay, since rows are told by them.
  SmallVector<int64_t> axes;
  SmallVector<Dim> kept;
  for (auto [axis, dim] : llvm::enumerate(from))
    if (dim != Dim(1) || to[op.getAxes()[axis]] == Dim(1)) {
      axes.push_back(op.getAxes()[axis]);
      kept.push_back(dim);
    }
  if (kept.size() != from.size())
    return rewriter.replaceOp(op, e.broadcastTo(e.reshapeTo(op.getOperand(), kept), axes, to)), success();
  // One that only adds axes of extent 1 moves nothing.
  if (withoutUnits(from) == withoutUnits(to))
    return rewriter.replaceOp(op, e.reshapeTo(op.getOperand(), to)), success();
  return failure();
}

//===-- Slice, pad, concat ---------------------------------------------------------------------------------------===//

LogicalResult simplifySlice(SliceOp op, PatternRewriter &rewriter) {
  Emit e(rewriter, op.getLoc());
  SmallVector<Dim> starts = op.getStarts().dims(), sizes = dimsOf(op.getResult());
  if (auto inner = op.getOperand().getDefiningOp<SliceOp>()) {
    SmallVector<Dim> first = inner.getStarts().dims();
    SmallVector<int64_t> strides;
    for (auto [axis, stride] : llvm::enumerate(op.getStrides())) {
      starts[axis] = first[axis] + starts[axis] * inner.getStrides()[axis];
      strides.push_back(stride * inner.getStrides()[axis]);
    }
    return rewriter.replaceOp(op, e.slice(inner.getOperand(), starts, sizes, strides)), success();
  }
  auto inner = op.getOperand().getDefiningOp<ConcatOp>();
  if (!inner || llvm::any_of(op.getStrides(), [](int64_t stride) { return stride != 1; }))
    return failure();
  // A slice that lies within one part of a concat.
  int64_t axis = static_cast<int64_t>(inner.getAxis());
  Dim begin = 0;
  for (Value input : inner.getInputs()) {
    Dim extent = dimsOf(input)[axis];
    std::optional<int64_t> before = (starts[axis] - begin).constant();
    std::optional<int64_t> after = (begin + extent - starts[axis] - sizes[axis]).constant();
    if (before && after && *before >= 0 && *after >= 0) {
      starts[axis] = starts[axis] - begin;
      return rewriter.replaceOp(op, e.slice(input, starts, sizes)), success();
    }
    begin = begin + extent;
  }
  return failure();
}

LogicalResult simplifyPad(PadOp op, PatternRewriter &rewriter) {
  if (op.getOperand().getType() != op.getType() ||
      llvm::any_of(op.getInterior(), [](int64_t interior) { return interior != 0; }))
    return failure();
  return rewriter.replaceOp(op, op.getOperand()), success();
}

LogicalResult simplifyConcat(ConcatOp op, PatternRewriter &rewriter) {
  if (op.getInputs().size() != 1)
    return failure();
  return rewriter.replaceOp(op, op.getInputs().front()), success();
}

// The first n elements in order are a slice; all of them are the operand.
LogicalResult gatherInOrder(GatherOp op, PatternRewriter &rewriter) {
  auto order = op.getIndices().getDefiningOp<IotaOp>();
  if (!order || op.getBatchDims() != 0 || rankOf(order.getResult()) != 1)
    return failure();
  SmallVector<Dim> sizes = dimsOf(op.getResult());
  int64_t axis = op.getAxis();
  std::optional<int64_t> left = (dimsOf(op.getOperand())[axis] - sizes[axis]).constant();
  if (!left || *left < 0)
    return failure();
  Emit e(rewriter, op.getLoc());
  return rewriter.replaceOp(op, e.slice(op.getOperand(), SmallVector<Dim>(sizes.size(), Dim(0)), sizes)), success();
}

/// A stretch of an axis: a value, or zeros where that is null.
struct Stretch {
  Value value;
  int64_t size;
};

bool isZero(Value value) { return splatValue(value) == 0.0; }

/// Reads a value as stretches along `axis`: zero padding along it, or a concat with zeros among its parts.
std::optional<SmallVector<Stretch>> stretchesOf(Value value, int64_t axis) {
  SmallVector<Stretch> result;
  if (auto pad = value.getDefiningOp<PadOp>()) {
    if (!pad->hasOneUse() || !isZero(pad.getValue()))
      return std::nullopt;
    SmallVector<Dim> low = pad.getLow().dims(), high = pad.getHigh().dims(), dims = dimsOf(pad.getOperand());
    for (size_t index = 0; index < low.size(); ++index) {
      bool other = static_cast<int64_t>(index) != axis;
      if (pad.getInterior()[index] != 0 || (other && (low[index] != Dim(0) || high[index] != Dim(0))))
        return std::nullopt;
    }
    std::optional<int64_t> before = low[axis].constant(), size = dims[axis].constant(), behind = high[axis].constant();
    if (!before || !size || !behind)
      return std::nullopt;
    return SmallVector<Stretch>{{Value(), *before}, {pad.getOperand(), *size}, {Value(), *behind}};
  }
  auto concat = value.getDefiningOp<ConcatOp>();
  if (!concat || !concat->hasOneUse() || static_cast<int64_t>(concat.getAxis()) != axis)
    return std::nullopt;
  for (Value input : concat.getInputs()) {
    std::optional<int64_t> size = dimsOf(input)[axis].constant();
    if (!size)
      return std::nullopt;
    result.push_back({isZero(input) ? Value() : input, *size});
  }
  return result;
}

/// The sum of two such values where nothing but zeros overlaps; nullopt where more does.
std::optional<SmallVector<Stretch>> merged(SmallVector<Stretch> a, SmallVector<Stretch> b) {
  SmallVector<Stretch> result;
  size_t i = 0, j = 0;
  auto skip = [](SmallVector<Stretch> &list, size_t &index) {
    while (index < list.size() && list[index].size == 0)
      ++index;
  };
  for (skip(a, i), skip(b, j); i < a.size() && j < b.size(); skip(a, i), skip(b, j)) {
    Stretch &left = a[i], &right = b[j];
    if (left.value && right.value)
      return std::nullopt;
    int64_t size = left.value ? left.size : right.value ? right.size : std::min(left.size, right.size);
    if (size > left.size || size > right.size)
      return std::nullopt;
    result.push_back({left.value ? left.value : right.value, size});
    left.size -= size;
    right.size -= size;
  }
  return result;
}

// The gradients of slices of one value are zero-padded; their sum is a concat where the slices do not overlap.
LogicalResult joinPads(AddOp op, PatternRewriter &rewriter) {
  if (!isFloatTensor(op.getType()))
    return failure();
  for (int64_t axis = 0; axis < rankOf(op.getResult()); ++axis) {
    std::optional<SmallVector<Stretch>> left = stretchesOf(op.getLhs(), axis);
    std::optional<SmallVector<Stretch>> right = left ? stretchesOf(op.getRhs(), axis) : std::nullopt;
    std::optional<SmallVector<Stretch>> sum = right ? merged(*left, *right) : std::nullopt;
    if (!sum)
      continue;
    Emit e(rewriter, op.getLoc());
    SmallVector<Value> parts;
    SmallVector<Dim> dims = dimsOf(op.getResult());
    for (Stretch stretch : *sum) {
      dims[axis] = stretch.size;
      parts.push_back(stretch.value ? stretch.value : e.splat(tensorType(dims, elementOf(op.getResult())), 0));
    }
    return rewriter.replaceOp(op, e.concat(parts, axis)), success();
  }
  return failure();
}

} // namespace

void addLayoutPatterns(mlir::RewritePatternSet &patterns) {
  addPattern<TransposeOp>(patterns, simplifyTranspose);
  addPattern<ReshapeOp>(patterns, simplifyReshape);
  addPattern<BroadcastOp>(patterns, simplifyBroadcast);
  addPattern<SliceOp>(patterns, simplifySlice);
  addPattern<PadOp>(patterns, simplifyPad);
  addPattern<ConcatOp>(patterns, simplifyConcat);
  addPattern<AddOp>(patterns, joinPads);
  addPattern<GatherOp>(patterns, gatherInOrder);
}

} // namespace kiln
