// Layers with operands of their own, as models have them: what products and convolutions take other forms for than for
// operands that are computed. Extents lie around a vector's and a tile's width.
#include "tests/fuzz/Generator.h"

#include <algorithm>
#include <cmath>

namespace kiln::test {

/// An input, or a parameter; with a dimension that varies it is an input.
mlir::Value Generator::argument(llvm::ArrayRef<Dim> dims, mlir::Type element, bool input) {
  mlir::RankedTensorType type = tensorType(dims, element);
  input |= !type.hasStaticShape();
  unsigned index = function_.getNumArguments();
  std::string name = (input ? "x" : "p") + std::to_string(index);
  mlir::Attribute text = builder_.getStringAttr(name);
  mlir::DictionaryAttr attributes =
      builder_.getDictionaryAttr(builder_.getNamedAttr(input ? "kiln.input" : "kiln.parameter", text));
  function_.insertArgument(index, type, attributes, builder_.getUnknownLoc());
  if (!input)
    parameters_.emplace_back(name, type);
  if (!input && frozen_)
    frozenParameters_.insert(name);
  return function_.getArgument(index);
}

int64_t Generator::oneOf(llvm::ArrayRef<int64_t> choices) {
  return choices[static_cast<size_t>(below(static_cast<int64_t>(choices.size())))];
}

/// What follows a layer: a factor and a bias for each place of an axis, something of its shape, an activation, a pool.
void Generator::epilogue(mlir::Value x, int64_t axis) {
  llvm::SmallVector<Dim> dims = dimsOf(x), one = {dims[static_cast<size_t>(axis)]};
  auto ofAxis = [&] { return emit_.broadcastTo(argument(one, elementOf(x), false), {axis}, dims); };
  if (below(2))
    x = emit_.mul(x, ofAxis());
  if (below(2))
    x = emit_.add(x, ofAxis());
  if (below(3) == 0)
    x = emit_.add(x, argument(dims, elementOf(x), true));
  switch (below(options_.gradients ? 3 : 4)) {
  case 0:
    x = emit_.tanh(x);
    break;
  case 1:
    x = emit_.op<SiluOp>(x);
    break;
  case 3:
    x = emit_.op<ReluOp>(x);
    break;
  default:
    break;
  }
  keep(x);
  if (below(3) == 0 && rank(x) >= 3)
    pool(x);
  if (below(3) == 0 && rank(x) >= 3)
    keep(emit_.meanOver(x, llvm::to_vector(llvm::seq<int64_t>(2, rank(x)))));
  if (below(4) == 0) {
    llvm::SmallVector<int64_t> order = llvm::to_vector(llvm::seq<int64_t>(0, rank(x)));
    std::rotate(order.begin(), order.begin() + 1, order.end());
    keep(emit_.transposed(x, order));
  }
}

/// Windows over all axes but the first two, which may lie over the edge.
void Generator::pool(mlir::Value x) {
  llvm::SmallVector<int64_t> window(2, 1), strides(2, 1), low(2, 0), high(2, 0);
  llvm::SmallVector<Dim> dims = dimsOf(x);
  for (size_t i = 2; i < dims.size(); ++i) {
    int64_t taps = 2 + below(2), size = *dims[i].constant();
    window.push_back(taps), strides.push_back(1 + below(2)), low.push_back(below(2)), high.push_back(below(2));
    if (size + low.back() + high.back() < taps || size < 2)
      return;
    dims[i] = Dim((size + low.back() + high.back() - taps) / strides.back() + 1);
  }
  ReduceKind kind = options_.gradients || below(3) == 0 ? ReduceKind::sum
                    : below(4)                          ? ReduceKind::max
                                                        : ReduceKind::min;
  keep(emit_.create<ReduceWindowOp>(tensorType(dims, elementOf(x)), kind, x, window, strides, low, high));
}

/// Values alone: which of two that are nearly equal comes first is left open by their rounding.
void Generator::sorted(mlir::Value x) {
  if (rank(x) == 0)
    return;
  llvm::SmallVector<Dim> dims = dimsOf(x);
  mlir::Type i32 = builder_.getI32Type();
  std::optional<int64_t> last = dims.back().constant();
  if (below(2) && last && *last > 0) {
    dims.back() = Dim(1 + below(*last));
    auto most = emit_.create<TopKOp>(tensorType(dims, elementOf(x)), tensorType(dims, i32), x,
                                     static_cast<uint64_t>(*dims.back().constant()));
    return keep(most.getValues());
  }
  auto all = emit_.create<SortOp>(x.getType(), tensorType(dims, i32), x, static_cast<uint64_t>(below(rank(x))),
                                  static_cast<bool>(below(2)));
  keep(all.getValues());
}

/// A convolution of an image by a filter, both as they lie.
void Generator::convolutionLayer(mlir::Type element) {
  static const int64_t many[] = {1, 3, 8, 15, 16, 17, 24, 31, 32, 33, 40, 48, 64, 65, 80};
  static const int64_t few[] = {1, 2, 3, 4, 7, 8, 9, 13, 14, 16, 17};
  int64_t batch = !options_.gradients && below(16) == 0 ? 0 : oneOf({1, 1, 2, 3, 5}), channels = oneOf(few);
  int64_t outputs = oneOf(many), groups = 1;
  if (below(4) == 0) {
    groups = below(2) ? channels : channels % 2 ? 1 : 2;
    outputs = groups * (1 + below(3));
  }
  llvm::SmallVector<Dim> image = {Dim(batch), Dim(channels)}, filter = {Dim(outputs), Dim(channels / groups)};
  llvm::SmallVector<Dim> result = {Dim(batch), Dim(outputs)};
  llvm::SmallVector<int64_t> strides, low, high, inputDilation, filterDilation;
  int64_t window = 1, axes = below(6) ? 2 : below(2) ? 1 : 3;
  bool usual = below(2); // three by three, of stride 1
  for (int64_t i = 0; i < axes; ++i) {
    int64_t size = oneOf(few), taps = usual ? 3 : oneOf({1, 2, 3, 5});
    strides.push_back(usual ? 1 : oneOf({1, 1, 2, 3}));
    inputDilation.push_back(usual || below(6) ? 1 : 2);
    filterDilation.push_back(usual || below(4) ? 1 : 2);
    int64_t reach = (taps - 1) * filterDilation.back() + 1;
    low.push_back(usual ? below(2) : below(reach + 1));
    high.push_back(usual ? low.back() : below(reach + 1));
    int64_t places = (size - 1) * inputDilation.back() + 1 + low.back() + high.back();
    if (places < reach)
      return;
    window *= taps;
    image.push_back(Dim(size)), filter.push_back(Dim(taps));
    result.push_back(Dim((places - reach) / strides.back() + 1));
  }
  int64_t depth = channels / groups * window;
  if (sizeOf(image) > 20000 || sizeOf(result) > 20000 || sizeOf(result) * depth > 400000)
    return;
  mlir::Value x = argument(image, element, true), f = argument(filter, element, false);
  if (below(4) == 0)
    x = emit_.tanh(x);
  mlir::Value y = emit_.create<ConvolutionOp>(tensorType(result, element), x, f, strides, low, high, inputDilation,
                                              filterDilation, static_cast<uint64_t>(groups));
  epilogue(emit_.mul(y, 1 / std::sqrt(static_cast<double>(depth))), 1);
}

/// A product of rows and a matrix that lies in either way, which may meet other rows, too; operands may be narrower
/// than their sums.
void Generator::productLayer(mlir::Type element) {
  int64_t m = oneOf({1, 2, 3, 4, 5, 8, 13, 17, 33}), k = oneOf({1, 7, 16, 33, 64, 100, 130, 260});
  int64_t n = oneOf({1, 5, 15, 16, 17, 31, 32, 33, 64, 100});
  bool turned = below(2), narrow = below(4) == 0 && element.isF32() && !options_.gradients;
  bool bytes = narrow && below(2);
  mlir::Type operands = bytes    ? mlir::Type(builder_.getIntegerType(8))
                        : narrow ? mlir::Type(below(2) ? builder_.getBF16Type() : builder_.getF16Type())
                                 : element;
  llvm::SmallVector<Dim> dims = {Dim(k), Dim(n)};
  if (turned)
    std::swap(dims[0], dims[1]);
  mlir::Value matrix = argument(dims, operands, below(4) == 0 || bytes);
  bool symbol = options_.symbolic && below(2);
  for (int64_t times = 1 + below(2); times > 0; --times) {
    mlir::Value x = argument({symbol ? anyRows() : Dim(m), Dim(k)}, operands, true);
    DotAxes axes;
    axes.lhsContract = {1};
    axes.rhsContract = {turned ? 1 : 0};
    mlir::Value y = emit_.dot(x, matrix, axes, bytes ? builder_.getI32Type() : element);
    epilogue(emit_.mul(emit_.convertTo(y, element), 1 / std::sqrt(static_cast<double>(k))), 1);
  }
}

void Generator::layer() {
  mlir::Type element = elementOf(values_[0]);
  switch (options_.kind) {
  case LayerKind::attention:
    return attentionLayer(element);
  case LayerKind::scores:
    return scoresLayer(element);
  case LayerKind::stored:
    if (!options_.gradients && element.isF32() && below(3) == 0)
      return expertsLayer(element);
    return storedLayer(element);
  case LayerKind::any:
    break;
  }
  if (below(6) == 0)
    return sorted(pick());
  if (element.isF16() || element.isBF16() || below(3) == 0)
    return productLayer(element);
  convolutionLayer(element);
}

} // namespace kiln::test
