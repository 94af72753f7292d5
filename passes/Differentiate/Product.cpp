// Gradients of products: a dot_general's are dot_generals, a convolution's are convolutions.
#include "passes/Differentiate/Backward.h"

namespace kiln {

using llvm::ArrayRef;
using llvm::SmallVector;
using mlir::LogicalResult;
using mlir::success;
using mlir::Value;

namespace {

struct DotSide {
  Value value;
  ArrayRef<int64_t> batch, contract;
  /// Where this operand's free axes start in the result.
  int64_t start;
  SmallVector<int64_t> free() const {
    SmallVector<int64_t> used(batch);
    llvm::append_range(used, contract);
    return otherAxes(rankOf(value), used);
  }
};

// The result's gradient against the other operand, over the other's free axes. Two orders of the operands are
// possible; the one whose result needs no transpose is taken where there is one.
Value dotOperandGradient(Emit &e, Value g, const DotSide &own, const DotSide &other) {
  SmallVector<int64_t> ownFree = own.free(), otherFree = other.free(), gBatch = axesUpTo(own.batch.size()), gOther;
  for (size_t index = 0; index < otherFree.size(); ++index)
    gOther.push_back(other.start + static_cast<int64_t>(index));
  // What is left of the other operand are its contracted axes, in ascending order; each pairs with one of ours.
  SmallVector<int64_t> remaining(axesUpTo(other.contract.size()));
  llvm::sort(remaining, [&](int64_t a, int64_t b) { return other.contract[a] < other.contract[b]; });
  SmallVector<int64_t> gradientFirst(own.batch), otherFirst(own.batch);
  llvm::append_range(gradientFirst, ownFree);
  for (int64_t index : remaining) {
    gradientFirst.push_back(own.contract[index]);
    otherFirst.push_back(own.contract[index]);
  }
  llvm::append_range(otherFirst, ownFree);

  mlir::Type element = elementOf(own.value), wide = elementOf(g);
  g = e.convertTo(g, element);
  auto list = [](ArrayRef<int64_t> axes) { return SmallVector<int64_t, 4>(axes); };
  bool swap = !isIdentity(gradientFirst) && isIdentity(otherFirst);
  Value product = swap ? e.dot(other.value, g, {list(other.batch), list(gBatch), list(otherFree), list(gOther)}, wide)
                       : e.dot(g, other.value, {list(gBatch), list(other.batch), list(gOther), list(otherFree)}, wide);
  return e.convertTo(e.transposed(product, inverted(swap ? otherFirst : gradientFirst)), element);
}

LogicalResult dotRule(DotGeneralOp op, Backward &b) {
  Emit e = b.emit(op);
  Value g = b.gradient(op);
  DotSide lhs{op.getLhs(), op.getLhsBatch(), op.getLhsContract(), static_cast<int64_t>(op.getLhsBatch().size())};
  DotSide rhs{op.getRhs(), op.getRhsBatch(), op.getRhsContract(), 0};
  rhs.start = lhs.start + static_cast<int64_t>(lhs.free().size());
  if (b.wants(op.getLhs()))
    b.give(op.getLhs(), dotOperandGradient(e, g, lhs, rhs));
  if (b.wants(op.getRhs()))
    b.give(op.getRhs(), dotOperandGradient(e, g, rhs, lhs));
  return success();
}

//===-- Convolution -----------------------------------------------------------------------------------------------===//

/// n elements with d-1 zeros between neighbours.
Dim dilated(const Dim &n, int64_t d) { return d == 1 ? n : (n - 1) * d + 1; }

/// Padding has to be a number: with symbolic extents that holds where the window steps by one.
std::optional<SmallVector<int64_t>> constants(ConvolutionOp op, ArrayRef<Dim> dims) {
  SmallVector<int64_t> values;
  for (const Dim &dim : dims) {
    if (!dim.isConstant()) {
      op.emitOpError("gradient needs the padding ") << dim.str() << ", which is not constant: a stride above 1 over a "
                                                    << "symbolic extent";
      return std::nullopt;
    }
    values.push_back(*dim.constant());
  }
  return values;
}

SmallVector<int64_t> swappedFirstTwo(int64_t rank) {
  SmallVector<int64_t> permutation = axesUpTo(rank);
  std::swap(permutation[0], permutation[1]);
  return permutation;
}

/// [g*a, b, spatial...] to [g*b, a, spatial...]: within each group, the first two axes change places.
Value swapWithinGroups(Emit &e, Value x, int64_t groups) {
  if (groups == 1)
    return e.transposed(x, swappedFirstTwo(rankOf(x)));
  SmallVector<Dim> dims = dimsOf(x);
  Dim inner = *dims[0].exactDiv(groups);
  SmallVector<Dim> split = {Dim(groups), inner, dims[1]}, joined = {Dim(groups) * dims[1], inner};
  split.append(dims.begin() + 2, dims.end());
  joined.append(dims.begin() + 2, dims.end());
  SmallVector<int64_t> permutation = axesUpTo(static_cast<int64_t>(split.size()));
  std::swap(permutation[1], permutation[2]);
  return e.reshapeTo(e.transposed(e.reshapeTo(x, split), permutation), joined);
}

Value convolve(Emit &e, mlir::RankedTensorType type, Value input, Value filter, ArrayRef<int64_t> strides,
               ArrayRef<int64_t> low, ArrayRef<int64_t> high, ArrayRef<int64_t> inputDilation,
               ArrayRef<int64_t> filterDilation, int64_t groups) {
  return e.create<ConvolutionOp>(type, input, filter, strides, low, high, inputDilation, filterDilation, groups);
}

// Each input element gathers from the results whose window covers it: the gradient, dilated by the strides, convolved
// with the filter turned round.
LogicalResult inputGradient(ConvolutionOp op, Backward &b, Value g) {
  Emit e = b.emit(op);
  Value filter = op.getFilter();
  int64_t rank = rankOf(filter);
  SmallVector<Dim> n = dimsOf(op.getInput()), k = dimsOf(filter), m = dimsOf(g), lows, highs;
  for (int64_t axis = 2; axis < rank; ++axis) {
    int64_t index = axis - 2;
    Dim reach = dilated(k[axis], op.getFilterDilation()[index]);
    Dim low = reach - 1 - op.getLow()[index];
    lows.push_back(low);
    highs.push_back(dilated(n[axis], op.getInputDilation()[index]) - 1 + reach -
                    dilated(m[axis], op.getStrides()[index]) - low);
  }
  std::optional<SmallVector<int64_t>> low = constants(op, lows), high = low ? constants(op, highs) : std::nullopt;
  if (!high)
    return mlir::failure();
  SmallVector<int64_t> spatial;
  for (int64_t axis = 2; axis < rank; ++axis)
    spatial.push_back(axis);
  int64_t groups = static_cast<int64_t>(op.getGroups());
  Value turned = e.op<ReverseOp>(swapWithinGroups(e, filter, groups), ArrayRef<int64_t>(spatial));
  b.give(op.getInput(), convolve(e, tensorOf(op.getInput()), g, turned, op.getInputDilation(), *low, *high,
                                 op.getStrides(), op.getFilterDilation(), groups));
  return success();
}

// Each filter element sums products over the batch: batch and channels change their roles, the gradient is the filter,
// and strides and filter dilation change places.
LogicalResult filterGradient(ConvolutionOp op, Backward &b, Value g) {
  Emit e = b.emit(op);
  Value input = op.getInput();
  int64_t rank = rankOf(input), groups = static_cast<int64_t>(op.getGroups());
  SmallVector<Dim> n = dimsOf(input), k = dimsOf(op.getFilter()), m = dimsOf(g), highs;
  for (int64_t axis = 2; axis < rank; ++axis) {
    int64_t index = axis - 2;
    highs.push_back(dilated(k[axis], op.getFilterDilation()[index]) - 1 + dilated(m[axis], op.getStrides()[index]) -
                    dilated(n[axis], op.getInputDilation()[index]) - op.getLow()[index]);
  }
  std::optional<SmallVector<int64_t>> high = constants(op, highs);
  if (!high)
    return mlir::failure();
  // [N, g*c, ...] to [c, g*N, ...]: the batch of each group beside the other's, as channels.
  Value images = input;
  if (groups == 1) {
    images = e.transposed(input, swappedFirstTwo(rank));
  } else {
    Dim perGroup = *n[1].exactDiv(groups);
    SmallVector<Dim> split = {n[0], Dim(groups), perGroup}, joined = {perGroup, n[0] * groups};
    split.append(n.begin() + 2, n.end());
    joined.append(n.begin() + 2, n.end());
    SmallVector<int64_t> permutation = axesUpTo(rank + 1);
    std::swap(permutation[0], permutation[2]);
    // From [N, g, c] to [c, g, N].
    images = e.reshapeTo(e.transposed(e.reshapeTo(input, split), permutation), joined);
  }
  Value windows = e.transposed(g, swappedFirstTwo(rank));
  SmallVector<Dim> dims = {k[1], k[0]};
  dims.append(k.begin() + 2, k.end());
  Value product = convolve(e, tensorType(dims, elementOf(op.getFilter())), images, windows, op.getFilterDilation(),
                           op.getLow(), *high, op.getInputDilation(), op.getStrides(), groups);
  b.give(op.getFilter(), e.transposed(product, swappedFirstTwo(rank)));
  return success();
}

LogicalResult convolutionRule(ConvolutionOp op, Backward &b) {
  Value g = b.emit(op).convertTo(b.gradient(op), elementOf(op.getInput()));
  if (b.wants(op.getInput()) && mlir::failed(inputGradient(op, b, g)))
    return mlir::failure();
  return b.wants(op.getFilter()) ? filterGradient(op, b, g) : success();
}

} // namespace

void addProductRules(RuleTable &rules) {
  rules.add<DotGeneralOp>(dotRule);
  rules.add<ConvolutionOp>(convolutionRule);
}

} // namespace kiln
