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

/// The paddings of a gradient's convolution. They have to be numbers, and those behind are not where a window steps by
/// more than one over a symbolic extent: what they leave over by the last step is the rest of a division. There the
/// largest one is taken, and what is computed beyond the gradient is cut off.
class Paddings {
public:
  void add(const Dim &low, const Dim &high, const Dim &highest) {
    for (auto [dim, list] : {std::pair(low, &low_), std::pair(high.isConstant() ? high : highest, &high_)}) {
      if (!dim.isConstant() && notConstant_.empty())
        notConstant_ = dim.str();
      list->push_back(dim.constant().value_or(0));
    }
  }
  LogicalResult check(ConvolutionOp op) const {
    return notConstant_.empty() ? success()
                                : op.emitOpError("gradient needs the padding ")
                                      << notConstant_ << ", which is not constant: the filter's extent is a symbol";
  }
  ArrayRef<int64_t> low() const { return low_; }
  ArrayRef<int64_t> high() const { return high_; }

private:
  SmallVector<int64_t> low_, high_;
  std::string notConstant_;
};

/// As many as the result has elements along a spatial axis, with stride - 1 between neighbours, and as few of them as
/// may be: the last step may leave a rest of stride - 1.
Dim leastSteps(ConvolutionOp op, ArrayRef<Dim> n, ArrayRef<Dim> k, int64_t index) {
  size_t axis = static_cast<size_t>(index) + 2;
  Dim room = dilated(n[axis], op.getInputDilation()[index]) + op.getLow()[index] + op.getHigh()[index] -
             dilated(k[axis], op.getFilterDilation()[index]);
  return room - (op.getStrides()[index] - 1) + 1;
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

/// Of these dimensions: what is beyond them is cut off.
Value convolve(Emit &e, ArrayRef<Dim> dims, Value input, Value filter, ArrayRef<int64_t> strides,
               const Paddings &paddings, ArrayRef<int64_t> inputDilation, ArrayRef<int64_t> filterDilation,
               int64_t groups) {
  mlir::RankedTensorType type = inferConvolution(tensorOf(input), tensorOf(filter), strides, paddings.low(),
                                                 paddings.high(), inputDilation, filterDilation, groups)
                                    .type;
  Value all = e.create<ConvolutionOp>(type, input, filter, strides, paddings.low(), paddings.high(), inputDilation,
                                      filterDilation, groups);
  for (auto [axis, dim] : llvm::enumerate(dims))
    if (dimsOf(all)[axis] != dim)
      all = e.sliceAxis(all, static_cast<int64_t>(axis), Dim(0), dim);
  return all;
}

// Each input element gathers from the results whose window covers it: the gradient, dilated by the strides, convolved
// with the filter turned round.
LogicalResult inputGradient(ConvolutionOp op, Backward &b, Value g) {
  Emit e = b.emit(op);
  Value filter = op.getFilter();
  int64_t rank = rankOf(filter);
  SmallVector<Dim> n = dimsOf(op.getInput()), k = dimsOf(filter), m = dimsOf(g);
  Paddings paddings;
  for (int64_t axis = 2; axis < rank; ++axis) {
    int64_t index = axis - 2;
    Dim reach = dilated(k[axis], op.getFilterDilation()[index]), low = reach - 1 - op.getLow()[index];
    Dim before = dilated(n[axis], op.getInputDilation()[index]) - 1 + reach - low;
    paddings.add(low, before - dilated(m[axis], op.getStrides()[index]), before - leastSteps(op, n, k, index));
  }
  if (mlir::failed(paddings.check(op)))
    return mlir::failure();
  SmallVector<int64_t> spatial;
  for (int64_t axis = 2; axis < rank; ++axis)
    spatial.push_back(axis);
  int64_t groups = static_cast<int64_t>(op.getGroups());
  Value turned = e.op<ReverseOp>(swapWithinGroups(e, filter, groups), ArrayRef<int64_t>(spatial));
  b.give(op.getInput(),
         convolve(e, n, g, turned, op.getInputDilation(), paddings, op.getStrides(), op.getFilterDilation(), groups));
  return success();
}

/// Of a convolution over a dilated input (a transposed one, with strides), without the zeros between its elements: the
/// gradient is walked over by the input, the filter dilated as that is, and comes out turned round.
LogicalResult filterGradientOfDilated(ConvolutionOp op, Backward &b, Value g) {
  Emit e = b.emit(op);
  int64_t rank = rankOf(g);
  SmallVector<Dim> n = dimsOf(op.getInput()), k = dimsOf(op.getFilter()), m = dimsOf(g);
  Paddings paddings;
  SmallVector<int64_t> spatial;
  for (int64_t axis = 2; axis < rank; ++axis) {
    int64_t index = axis - 2;
    Dim reach = dilated(k[axis], op.getFilterDilation()[index]) - 1, low = reach - op.getLow()[index];
    Dim high = reach + dilated(n[axis], op.getInputDilation()[index]) - m[axis] - low;
    paddings.add(low, high, high);
    spatial.push_back(axis);
  }
  if (mlir::failed(paddings.check(op)))
    return mlir::failure();
  Value images = e.transposed(g, swappedFirstTwo(rank)), windows = e.transposed(op.getInput(), swappedFirstTwo(rank));
  SmallVector<int64_t> ones(spatial.size(), 1);
  Value turned =
      convolve(e, k, images, windows, op.getFilterDilation(), paddings, ones, op.getInputDilation(), /*groups=*/1);
  b.give(op.getFilter(), e.op<ReverseOp>(turned, ArrayRef<int64_t>(spatial)));
  return success();
}

// Each filter element sums products over the batch: batch and channels change their roles, the gradient is the filter,
// and strides and filter dilation change places.
LogicalResult filterGradient(ConvolutionOp op, Backward &b, Value g) {
  auto isOne = [](int64_t each) { return each == 1; };
  bool known =
      llvm::all_of(llvm::drop_begin(dimsOf(op.getFilter()), 2), [](const Dim &dim) { return dim.isConstant(); });
  if (known && op.getGroups() == 1 && llvm::all_of(op.getStrides(), isOne) &&
      !llvm::all_of(op.getInputDilation(), isOne))
    return filterGradientOfDilated(op, b, g);
  Emit e = b.emit(op);
  Value input = op.getInput();
  int64_t rank = rankOf(input), groups = static_cast<int64_t>(op.getGroups());
  SmallVector<Dim> n = dimsOf(input), k = dimsOf(op.getFilter()), m = dimsOf(g);
  Paddings paddings;
  for (int64_t axis = 2; axis < rank; ++axis) {
    int64_t index = axis - 2;
    Dim high = dilated(k[axis], op.getFilterDilation()[index]) - 1 + dilated(m[axis], op.getStrides()[index]) -
               dilated(n[axis], op.getInputDilation()[index]) - op.getLow()[index];
    paddings.add(op.getLow()[index], high, op.getHigh()[index]); // no window steps beyond the convolution's own padding
  }
  if (mlir::failed(paddings.check(op)))
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
  Value product = convolve(e, dims, images, windows, op.getFilterDilation(), paddings, op.getInputDilation(),
                           op.getStrides(), groups);
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
