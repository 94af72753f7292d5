// The steps of a random graph.
#include "tests/fuzz/Generator.h"

#include <algorithm>
#include <numeric>

namespace kiln::test {

void Generator::unary(mlir::Value x) {
  switch (below(options_.gradients ? 9 : 14)) {
  case 0:
    return keep(emit_.tanh(x));
  case 1:
    return keep(emit_.sigmoid(x));
  case 2:
    return keep(emit_.exp(emit_.tanh(x)));
  case 3:
    return keep(emit_.log(emit_.add(emit_.mul(x, x), 1.0)));
  case 4:
    return keep(emit_.sqrt(emit_.add(emit_.mul(x, x), 0.5)));
  case 5:
    return keep(emit_.create<GeluOp>(x.getType(), x, builder_.getBoolAttr(below(2))));
  case 6:
    return keep(emit_.op<SiluOp>(x));
  case 7:
    return keep(emit_.op<ErfOp>(x));
  case 8:
    return keep(emit_.op<SinOp>(x));
  case 9:
    return keep(emit_.op<AbsOp>(x));
  case 10:
    return keep(emit_.op<ReluOp>(x));
  case 11:
    // Without a jump: a value at the edge may round to either side.
    return keep(emit_.select(emit_.compare(Predicate::gt, x, 0.25), emit_.add(emit_.neg(x), 0.5), x));
  case 12:
    return keep(emit_.op<SoftplusOp>(x));
  default:
    return keep(emit_.op<Log1pOp>(emit_.op<AbsOp>(x)));
  }
}

void Generator::binary(mlir::Value x) {
  mlir::Value y = ofType(x.getType());
  switch (below(options_.gradients ? 4 : 6)) {
  case 0:
    return keep(emit_.add(x, y));
  case 1:
    return keep(emit_.sub(x, y));
  case 2:
    return keep(emit_.tanh(emit_.mul(x, y)));
  case 3:
    return keep(emit_.div(x, emit_.add(emit_.mul(y, y), 1.0)));
  case 4:
    return keep(emit_.max(x, y));
  default:
    return keep(emit_.min(x, y));
  }
}

void Generator::reduce(mlir::Value x) {
  if (rank(x) == 0)
    return;
  llvm::SmallVector<int64_t> axes;
  for (int64_t axis = 0; axis < rank(x); ++axis)
    if (below(2) || (axis == rank(x) - 1 && axes.empty()))
      axes.push_back(axis);
  mlir::Value reduced = below(3) || options_.gradients ? emit_.meanOver(x, axes) : emit_.reduceMax(x, axes);
  keep(reduced);
  if (below(2))
    keep(emit_.sub(x, emit_.broadcastBack(reduced, axes, dimsOf(x))));
}

/// Reductions that keep the last axis, which may be short.
void Generator::columns(mlir::Value x) {
  if (rank(x) < 2)
    return;
  int64_t last = rank(x) - 1;
  if (below(2) && sizeOf(dimsOf(x)) > 0)
    x = emit_.sliceAxis(x, last, Dim(0), Dim(1));
  llvm::SmallVector<int64_t> axes;
  for (int64_t axis = 0; axis < last; ++axis)
    if (below(3) || (axis == last - 1 && axes.empty()))
      axes.push_back(axis);
  mlir::Value reduced = emit_.meanOver(emit_.mul(x, emit_.tanh(x)), axes);
  keep(reduced);
  if (below(2))
    keep(emit_.meanOver(x, axes));
  if (!options_.gradients && below(3) == 0)
    keep(emit_.reduce(below(2) ? ReduceKind::max : ReduceKind::min, x, axes));
  if (below(2))
    keep(emit_.add(x, emit_.broadcastBack(reduced, axes, dimsOf(x))));
}

void Generator::layout(mlir::Value x) {
  llvm::SmallVector<Dim> dims = dimsOf(x);
  int64_t n = rank(x);
  if (n == 0)
    return keep(emit_.broadcastScalar(x, {Dim(extent())}));
  int64_t axis = below(n);
  llvm::SmallVector<int64_t> order(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    order[static_cast<size_t>(i)] = i;
  switch (below(7)) {
  case 0:
    std::shuffle(order.begin(), order.end(), random_);
    return keep(emit_.transposed(x, order));
  case 1: { // all axes from `axis` on become one
    Dim product(1);
    for (int64_t i = axis; i < n; ++i)
      product = product * dims[static_cast<size_t>(i)];
    dims.resize(static_cast<size_t>(axis));
    dims.push_back(product);
    return keep(emit_.reshapeTo(x, dims));
  }
  case 2: {
    if (n >= 4)
      return;
    dims.insert(dims.begin() + axis, Dim(below(4) + 1));
    for (int64_t i = 0; i < n; ++i)
      order[static_cast<size_t>(i)] = i < axis ? i : i + 1;
    return keep(emit_.broadcastTo(x, order, dims));
  }
  case 3:
    return slice(x, axis);
  case 4: {
    llvm::SmallVector<Dim> low(dims.size(), Dim(0)), high(dims.size(), Dim(0));
    low[static_cast<size_t>(axis)] = Dim(below(3));
    high[static_cast<size_t>(axis)] = Dim(below(3));
    return keep(emit_.pad(x, emit_.scalar(elementOf(x), 0.5), low, high));
  }
  case 5:
    return keep(emit_.concat({x, ofType(x.getType()), x}, axis));
  default:
    return keep(emit_.create<ReverseOp>(x.getType(), x, llvm::ArrayRef<int64_t>{axis}));
  }
}

void Generator::slice(mlir::Value x, int64_t axis) {
  Dim dim = dimsOf(x)[static_cast<size_t>(axis)];
  std::optional<int64_t> size = dim.constant();
  if (!size) {
    // One less than the symbol: nothing is left where that is one.
    if ((dim != Dim::symbol("N") && dim != Dim::symbol("M")) || (options_.gradients && symbols_[dim.str()] < 2))
      return;
    if (options_.gradients)
      least_ = 2;
    return keep(emit_.sliceAxis(x, axis, Dim(below(2)), dim - Dim(1)));
  }
  if (*size < 2)
    return;
  int64_t start = below(*size);
  keep(emit_.sliceAxis(x, axis, Dim(start), Dim(1 + below(*size - start))));
}

void Generator::product(mlir::Value x) {
  if (rank(x) == 0)
    return;
  // The other side: a value's own transposition-like partner, made by broadcasting a vector of x's last dimension.
  Dim inner = dimsOf(x).back();
  mlir::Value y = emit_.broadcastTo(emit_.convertTo(emit_.iota({inner}, 0, builder_.getF32Type()), elementOf(x)),
                                    {below(2)}, {inner, inner});
  y = emit_.op<SinOp>(emit_.mul(y, 0.37));
  DotAxes axes;
  axes.lhsContract = {rank(x) - 1};
  axes.rhsContract = {below(2)};
  keep(emit_.tanh(emit_.dot(x, y, axes)));
  if (rank(x) >= 2 && below(2)) { // x xᵀ over a batch of all leading axes but one
    DotAxes gram;
    for (int64_t i = 0; i + 2 < rank(x); ++i) {
      gram.lhsBatch.push_back(i);
      gram.rhsBatch.push_back(i);
    }
    gram.lhsContract = gram.rhsContract = {rank(x) - 1};
    keep(emit_.tanh(emit_.dot(x, x, gram)));
  }
}

/// Each axis is summed, kept on both sides or one of a batch, wherever it lies.
void Generator::anyProduct(mlir::Value x) {
  DotAxes axes;
  std::vector<int64_t> order(static_cast<size_t>(rank(x)));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random_);
  int64_t kept = 0;
  for (int64_t axis : order)
    switch (below(3)) {
    case 0:
      axes.lhsBatch.push_back(axis);
      axes.rhsBatch.push_back(axis);
      break;
    case 1:
      axes.lhsContract.push_back(axis);
      axes.rhsContract.push_back(axis);
      break;
    default:
      ++kept;
    }
  if (rank(x) + kept <= 5)
    keep(emit_.tanh(emit_.dot(x, ofType(x.getType()), axes)));
}

/// Over the last axis of a matrix or more, the one before it being the channels; windows may lie over the edge.
/// Along one axis or two, each with strides, dilations and padding of its own, which may be more than windows reach, or
/// crop; in groups, too.
void Generator::convolution(mlir::Value x) {
  if (rank(x) < 2 || rank(x) > 4)
    return;
  llvm::SmallVector<Dim> dims = dimsOf(x);
  while (dims.size() < 3 || (dims.size() < 4 && below(2)))
    dims.insert(dims.begin(), Dim(1));
  x = emit_.reshapeTo(x, dims);
  std::optional<int64_t> channels = dims[1].constant();
  int64_t groups = channels && *channels % 2 == 0 && below(3) == 0 ? 2 : 1, outputs = groups * (1 + below(3));
  llvm::SmallVector<Dim> filterDims = {Dim(outputs), groups == 1 ? dims[1] : Dim(*channels / groups)},
                         result = {dims[0], Dim(outputs)};
  llvm::SmallVector<int64_t> strides, low, high, inputDilation, filterDilation;
  for (const Dim &dim : llvm::ArrayRef(dims).drop_front(2)) {
    std::optional<int64_t> size = dim.constant();
    int64_t taps = 1 + below(4);
    strides.push_back(1 + below(3));
    inputDilation.push_back(below(4) ? 1 : 2);
    filterDilation.push_back(below(3) ? 1 : 2);
    int64_t reach = (taps - 1) * filterDilation.back() + 1, most = below(4) ? reach : 2 * reach;
    low.push_back(below(most + 1) - (below(4) ? 0 : 1));
    high.push_back(below(2) ? low.back() : below(most + 1));
    int64_t places = size && *size > 0 ? (*size - 1) * inputDilation.back() + 1 + low.back() + high.back() : 0;
    if (places < reach)
      return;
    filterDims.push_back(Dim(taps));
    result.push_back(Dim((places - reach) / strides.back() + 1));
  }
  if (sizeOf(result) > 20000)
    return;
  mlir::Value filter = emit_.convertTo(emit_.iota(filterDims, 0, builder_.getF32Type()), elementOf(x));
  for (int64_t axis = 1; axis < static_cast<int64_t>(filterDims.size()); ++axis)
    filter = emit_.add(filter, emit_.convertTo(emit_.iota(filterDims, axis, builder_.getF32Type()), elementOf(x)));
  filter = emit_.op<SinOp>(emit_.add(emit_.mul(filter, 0.7), 0.3));
  keep(emit_.tanh(emit_.create<ConvolutionOp>(tensorType(result, elementOf(x)), x, filter, strides, low, high,
                                              inputDilation, filterDilation, static_cast<uint64_t>(groups))));
}

/// A matrix's rows over another's, in two heads that are alike, and may share keys; from a place of their own, or in a
/// window, or with dropout on the shares, or with a soft cap on the scores.
void Generator::attention(mlir::Value x) {
  if (rank(x) != 2)
    return;
  int64_t shared = below(2) ? 2 : 1;
  bool causal = below(2);
  auto heads = [&](mlir::Value value, int64_t count) {
    return emit_.broadcastTo(value, {2, 3}, {Dim(1), Dim(count), dimsOf(x)[0], dimsOf(x)[1]});
  };
  mlir::Value q = heads(x, 2), k = heads(ofType(x.getType()), 2 / shared), v = heads(ofType(x.getType()), 2 / shared);
  auto i32 = mlir::RankedTensorType::get({}, builder_.getI32Type());
  mlir::Value start = causal && below(3) == 0 ? emit_.splatInt(i32, static_cast<int64_t>(below(7)) - 2) : mlir::Value();
  auto window = causal && below(3) == 0 ? builder_.getI64IntegerAttr(1 + below(5)) : mlir::IntegerAttr();
  auto groups = shared == 1 ? mlir::IntegerAttr() : builder_.getI64IntegerAttr(shared);
  auto scale = builder_.getF64FloatAttr(0.3);
  mlir::Value none;
  if (below(3) == 0) {
    auto ui32 = mlir::RankedTensorType::get({}, builder_.getIntegerType(32, /*isSigned=*/false));
    mlir::Value seed = emit_.splatInt(ui32, static_cast<int64_t>(below(100)));
    return keep(emit_
                    .create<DropoutAttentionOp>(q.getType(), mlir::Type(), q, k, v, none, none, start, seed,
                                                mlir::ValueRange(), scale, builder_.getF64FloatAttr(0.25),
                                                builder_.getI64IntegerAttr(7), builder_.getBoolAttr(causal), groups,
                                                window)
                    .getResult());
  }
  if (below(4) == 0)
    return keep(emit_
                    .create<CappedAttentionOp>(q.getType(), mlir::Type(), q, k, v, none, start, scale,
                                               builder_.getF64FloatAttr(0.8), builder_.getBoolAttr(causal), groups,
                                               window)
                    .getResult());
  auto op = emit_.create<AttentionOp>(q.getType(), mlir::Type(), q, k, v, none, start, scale,
                                      builder_.getBoolAttr(causal), groups, window);
  keep(op.getResult());
}

void Generator::row(mlir::Value x) {
  if (rank(x) == 0)
    return;
  auto last = builder_.getI64IntegerAttr(rank(x) - 1);
  switch (below(4)) {
  case 0:
    return keep(emit_.create<SoftmaxOp>(x.getType(), x, last));
  case 1:
    return keep(emit_.create<LogSoftmaxOp>(x.getType(), x, last));
  case 2:
    return keep(emit_.create<RmsNormOp>(x.getType(), x, emit_.splat(tensorType({dimsOf(x).back()}, elementOf(x)), 0.75),
                                        builder_.getF64FloatAttr(1e-2)));
  default:
    return keep(
        emit_.create<LayerNormOp>(x.getType(), x, mlir::Value(), mlir::Value(), builder_.getF64FloatAttr(1e-2)));
  }
}

void Generator::index(mlir::Value x) {
  // Three or more along axis 0, so that every label is in range.
  if (rank(x) == 0)
    return;
  std::optional<int64_t> size = dimsOf(x)[0].constant();
  if (size && *size >= 3)
    return keep(emit_.gather(x, labels_, 0));
  keep(emit_.create<CumSumOp>(x.getType(), x, builder_.getI64IntegerAttr(rank(x) - 1), builder_.getBoolAttr(below(2)),
                              builder_.getBoolAttr(below(2))));
}

/// Integers, from labels; exact on both sides.
void Generator::integers(mlir::Value x) {
  mlir::Value a = integers_[static_cast<size_t>(below(static_cast<int64_t>(integers_.size())))];
  auto add = [&](mlir::Value value) {
    if (sizeOf(dimsOf(value)) <= 20000)
      integers_.push_back(value);
  };
  switch (below(7)) {
  case 0:
    return add(emit_.add(a, emit_.splatInt(a.getType(), below(5) - 2)));
  case 1:
    return add(emit_.max(a, emit_.splatInt(a.getType(), 1)));
  case 2:
    if (rank(a) == 0)
      return;
    return add(emit_.create<CumSumOp>(a.getType(), a, builder_.getI64IntegerAttr(rank(a) - 1),
                                      builder_.getBoolAttr(below(2)), builder_.getBoolAttr(below(2))));
  case 3:
    if (rank(a) == 0)
      return;
    return add(emit_.reduceSum(a, {below(rank(a))}));
  case 4:
    return add(emit_.broadcastTo(a, llvm::to_vector(llvm::seq<int64_t>(1, rank(a) + 1)), [&] {
      llvm::SmallVector<Dim> dims = dimsOf(a);
      dims.insert(dims.begin(), Dim(1 + below(4)));
      return dims;
    }()));
  case 5: { // through a narrow type and a mask
    mlir::Type narrow[] = {builder_.getIntegerType(8), builder_.getI64Type(), builder_.getIntegerType(8, false)};
    mlir::Value mask = emit_.compare(Predicate::gt, a, emit_.splatInt(a.getType(), 0));
    mlir::Value small = emit_.convertTo(emit_.convertTo(emit_.max(a, emit_.splatInt(a.getType(), 0)), narrow[below(3)]),
                                        builder_.getI32Type());
    return add(emit_.select(mask, small, emit_.sub(emit_.splatInt(a.getType(), 7), a)));
  }
  default:
    if (rank(a) >= rank(x))
      return keep(emit_.tanh(emit_.convertTo(a, elementOf(x))));
    return;
  }
}

/// There and back again: what follows is computed in another float type.
void Generator::otherType(mlir::Value x) {
  mlir::Type others[] = {builder_.getF64Type(), builder_.getF32Type(), builder_.getBF16Type(), builder_.getF16Type()};
  mlir::Type other = others[below(options_.gradients ? 2 : 4)];
  if (other == elementOf(x))
    return;
  mlir::Value y = emit_.tanh(emit_.convertTo(x, other));
  if (below(2) && rank(y) > 0)
    y = emit_.meanOver(y, {below(rank(y))});
  keep(emit_.convertTo(y, elementOf(x)));
}

void Generator::step() {
  bool often = options_.kind != LayerKind::any; // else one of four
  if (options_.layers && depth_ == 0 && (often ? layers_ == 0 || below(2) : below(4) == 0)) {
    ++layers_;
    return layer();
  }
  mlir::Value x = pick();
  switch (below(options_.everything ? 20 : 10)) {
  case 0:
  case 1:
    return unary(x);
  case 2:
  case 3:
    return binary(x);
  case 4:
    return reduce(x);
  case 5:
  case 6:
    return layout(x);
  case 7:
    return product(x);
  case 8:
    return row(x);
  case 9:
    return index(x);
  case 10:
  case 11:
    return columns(x);
  case 12:
    return integers(x);
  case 13:
    return otherType(x);
  case 14:
  case 15:
    return anyProduct(x);
  case 16:
    return convolution(x);
  case 17:
    return attention(x);
  case 18:
    return drawn(x);
  default:
    return control(x);
  }
}

} // namespace kiln::test
