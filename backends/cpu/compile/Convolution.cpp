// A convolution as a matrix product.
//
// Two readings, with g the groups:
//   pixels:   batch (N, g), rows O/g, columns the result's pixels, K (C/g, the filter's window): a forward pass, or a
//             gradient of the input. Columns are packed along the pixels of a row.
//   windows:  batch (g), rows O/g, columns (N, the result's pixels), K (C/g, the filter's window): where the window is
//             large and the result small, as in the gradient of a filter. Columns are packed along the window's rows.
// Small images stand side by side among the columns of one product (joined), so that they fill its tiles and the filter
// is packed once for all of them.
// The filter is the left operand, read as it lies: (C/g, window) is contiguous.
#include "backends/cpu/compile/ContractShape.h"

using namespace mlir;
using llvm::ArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {

namespace {
/// What the functions of a contraction keep of the op.
struct Geometry {
  uint32_t input = 0;
  kiln_dtype dtype = KILN_F32, accumulator = KILN_F32;
  Shape inputDims;
  SmallVector<int64_t> strides, low, inputDilation, filterDilation;
  SmallVector<bool> mayMiss; // an axis along which windows may lie over the edge
  Extent channels, outputs;  // of a group
  bool grouped = false, windows = false, joined = false;
  bool imageInColumns() const { return windows || joined; }
};
} // namespace

/// Element of the padded, dilated input: `at` is an index for each of its axes, from the padding's first on. Zero where
/// there is none.
static Value paddedElement(Emitter &e, const Geometry &g, const Index &image, const Index &channel, ArrayRef<Index> at,
                           ArrayRef<bool> mayMiss, const Mask &mask) {
  Code &code = e.code;
  Indices place{image, channel};
  Mask inside = mask, valid;
  auto require = [&](Value condition) {
    inside = e.narrow(inside, condition);
    valid = e.narrow(valid, condition);
  };
  for (size_t d = 0; d < at.size(); ++d) {
    Index position = g.low[d] ? e.add(at[d], code.integer(-g.low[d])) : at[d];
    Value size = e.extent(g.inputDims[2 + d]);
    if (g.inputDilation[d] > 1) {
      Value dilation = code.integer(g.inputDilation[d]);
      Value spread = code.add(code.mul(code.sub(size, code.integer(1)), dilation), code.integer(1));
      require(e.inRange(position, code.integer(0), code.max(spread, code.integer(0))));
      require(e.inRange(e.rem(position, dilation), code.integer(0), code.integer(1)));
      position = e.div(position, dilation);
    } else if (mayMiss[d]) {
      require(e.inRange(position, code.integer(0), size));
    }
    place.push_back(position);
  }
  Value element = e.value(g.input, place, inside);
  if (valid.lanes || valid.uniform) {
    element = valid.lanes ? e.vector(element) : element;
    Type type = element.getType();
    Value zero = isFloat(g.dtype) ? code.constant(type, 0.0) : code.constantInt(type, 0);
    if (valid.lanes)
      element = code.op<arith::SelectOp>(valid.lanes, element, zero);
    if (valid.uniform)
      element = code.op<arith::SelectOp>(valid.uniform, element, zero);
  }
  return isFloat(g.dtype) ? element : e.convert(element, g.dtype, g.accumulator);
}

static Index channelOf(Emitter &e, const Geometry &g, ArrayRef<Index> batch, const Index &channel) {
  return g.grouped ? e.add(e.scale(batch.back(), e.extent(g.channels)), channel) : channel;
}

/// The element under a window: `free` ends with an index for each of the result's axes, k is (channel, position).
static Value inputElement(Emitter &e, const Geometry &g, ArrayRef<Index> batch, ArrayRef<Index> free, ArrayRef<Index> k,
                          const Mask &mask) {
  size_t spatial = g.strides.size();
  Indices at;
  for (size_t d = 0; d < spatial; ++d)
    at.push_back(e.add(e.scale(free[free.size() - spatial + d], e.code.integer(g.strides[d])),
                       e.scale(k[1 + d], e.code.integer(g.filterDilation[d]))));
  return paddedElement(e, g, g.imageInColumns() ? free[0] : batch[0], channelOf(e, g, batch, k[0]), at, g.mayMiss,
                       mask);
}

/// The filter's element (o, k), k counting through (C/g, window).
static Contraction::Element filterElement(const Graph &graph, uint32_t value, const Geometry &g,
                                          const Contraction::Operand &plain) {
  return [&graph, value, g, plain](Emitter &e, ArrayRef<Index> batch, const Position &m, const Position &k,
                                   const Mask &mask) {
    Index row = m.linear;
    if (g.grouped)
      row = e.add(row, e.scale(batch.back(), e.extent(g.outputs)));
    Value element;
    if (plain.plainInput >= 0) {
      element = plainElement(e, graph, plain, {}, row, k.linear, mask);
    } else {
      Indices at{row};
      at.append(k.dims(e));
      element = e.value(value, at, mask);
    }
    return isFloat(g.dtype) ? element : e.convert(element, g.dtype, g.accumulator);
  };
}

/// Whether windows along spatial axis `d` may lie over the input's edge; true where that is not known.
static bool mayMissEdge(const Op &op, const TensorType &input, const TensorType &filter, size_t d) {
  if (op.low[d] > 0 || op.high[d] > 0 || op.inputDilation[d] > 1)
    return true;
  const Extent &n = input.dims[2 + d], &k = filter.dims[2 + d], &p = op.pixels[d];
  if (!n.isConstant() || !k.isConstant() || !p.isConstant())
    return true;
  int64_t last = (p.factor - 1) * op.strides[d] + (k.factor - 1) * op.filterDilation[d] - op.low[d];
  return last >= n.factor;
}

/// Where sizes are constant, the image in planes.
static void useWindow(const Graph &graph, const Op &op, const Geometry &g, Contraction &c) {
  const Shape &filter = graph.type(op.operands[1]).dims, &input = graph.type(op.operands[0]).dims;
  size_t spatial = op.strides.size();
  Contraction::Window window;
  SmallVector<bool> mayMiss(spatial);
  window.axes.resize(spatial);
  int64_t pitch = 1;
  for (size_t d = spatial; d-- > 0;) {
    const Extent &taps = filter[2 + d], &pixels = op.pixels[d];
    if (!taps.isConstant() || !pixels.isConstant() || taps.factor < 1 || pixels.factor < 1)
      return;
    Contraction::Window::Axis &axis = window.axes[d];
    axis = {pixels.factor, op.strides[d], op.filterDilation[d], {}, pitch};
    for (int64_t j = 0; j < taps.factor; ++j)
      if (!llvm::is_contained(axis.residues, j * axis.dilation % axis.stride))
        axis.residues.push_back(j * axis.dilation % axis.stride);
    int64_t reach = (taps.factor - 1) * axis.dilation / axis.stride, length = axis.pixels + reach;
    window.plane.insert(window.plane.begin(), Extent(length));
    window.planes *= static_cast<int64_t>(axis.residues.size());
    window.taps *= taps.factor;
    window.reach += reach * pitch;
    pitch *= length;
    int64_t last = (length - 1) * axis.stride + *llvm::max_element(axis.residues) - op.low[d];
    mayMiss[d] = op.low[d] > 0 || !input[2 + d].isConstant() || last >= input[2 + d].factor;
  }
  if (g.joined) { // images one after the other, as if along an axis of their own
    window.axes.insert(window.axes.begin(), {input[0].factor, 1, 1, {0}, pitch});
    window.plane.insert(window.plane.begin(), input[0]);
  }
  window.columns = window.placeOf(window.pixels() - 1) + 1;
  window.channels = filter[1];
  window.element = [=, axes = window.axes](Emitter &e, ArrayRef<Index> batch, Value channel, Value plane,
                                           ArrayRef<Index> place, const Mask &mask) {
    Code &code = e.code;
    Index image = g.joined ? place[0] : batch[0];
    place = place.take_back(g.strides.size());
    Indices at(place.begin(), place.end());
    for (size_t d = at.size(); d-- > 0;) {
      const Contraction::Window::Axis &axis = axes[axes.size() - at.size() + d];
      Value count = code.integer(static_cast<int64_t>(axis.residues.size())), number = code.rem(plane, count);
      plane = code.div(plane, count);
      Value residue = code.integer(axis.residues[0]);
      for (size_t i = 1; i < axis.residues.size(); ++i)
        residue = code.op<arith::SelectOp>(
            code.compare(arith::CmpIPredicate::eq, number, code.integer(static_cast<int64_t>(i))),
            code.integer(axis.residues[i]), residue);
      at[d] = e.add(e.scale(at[d], code.integer(axis.stride)), residue);
    }
    return paddedElement(e, g, image, channelOf(e, g, batch, e.at(channel)), at, mayMiss, mask);
  };
  c.window = window;
}

/// A convolution whose windows are pixels, with no padding: its image is a matrix.
static void usePlainImage(const Graph &graph, const Op &op, const Geometry &g, Contraction &c) {
  if (g.joined || op.strides.size() != 1 || !graph.type(op.operands[1]).dims[2].isOne() || op.strides[0] != 1 ||
      op.low[0] != 0 || op.high[0] != 0 || op.inputDilation[0] != 1)
    return;
  Shape strides;
  int input = graph.inputStrides(op.operands[0], strides);
  if (input < 0 ||
      !strides[2].isOne()) // the pixels of a row lie side by side, which an image that was turned does not have
    return;
  c.right.plainInput = input;
  c.right.memory = g.dtype;
  c.right.freeStride = strides[2];
  c.right.kStride = strides[1];
  c.right.batchStrides = {strides[0]};
  if (g.grouped)
    c.right.batchStrides.push_back(strides[1] * g.channels);
}

/// Where an element of the product lies in the convolution's result.
static auto resultPlace(const Geometry &g) {
  return [grouped = g.grouped, joint = g.imageInColumns(),
          outputsOfGroup = g.outputs](Emitter &e, ArrayRef<Index> batch, ArrayRef<Index> m, ArrayRef<Index> n) {
    Index channel = m[0];
    if (grouped)
      channel = e.add(channel, e.scale(batch.back(), e.extent(outputsOfGroup)));
    Indices at{joint ? n[0] : batch[0], channel};
    at.append(joint ? n.begin() + 1 : n.begin(), n.end());
    return at;
  };
}

/// Whether images are few pixels each, and windows are those of a layer, not of a filter's gradient.
static bool joinsImages(const Op &op, const Shape &input, const Shape &window) {
  auto constant = [](const Shape &shape) {
    return llvm::all_of(shape, [](const Extent &extent) { return extent.isConstant() && extent.factor > 0; });
  };
  int64_t pixels = 1, taps = 1;
  if (op.groups > 1 || !constant(op.pixels) || !constant(window) || !input[0].isConstant() || input[0].factor < 2)
    return false;
  for (size_t d = 0; d < window.size(); ++d)
    pixels *= op.pixels[d].factor, taps *= window[d].factor;
  return taps <= 32 && pixels <= (taps == 1 ? 32 : 128);
}

/// Where the filter is an input with its axes of channels exchanged, its window reversed, or both: how it lies.
static void useTurnedFilter(const Graph &graph, const Op &op, const Geometry &g, Contraction &c) {
  bool swapped = false, reversed = false;
  uint32_t v = op.operands[1];
  for (const Op *below = graph.definingOp(v); below; below = graph.definingOp(v)) {
    size_t spatial = g.strides.size();
    if (below->code == OpCode::Reverse) {
      for (size_t d = 0; d < spatial; ++d)
        if (!graph.type(v).dims[2 + d].isOne() && !llvm::is_contained(below->axes, static_cast<int64_t>(2 + d)))
          return;
      if (below->axes.empty() || *llvm::min_element(below->axes) < 2)
        return;
      reversed = !reversed;
    } else if (below->code == OpCode::Transpose && below->axes[0] == 1 && below->axes[1] == 0 &&
               llvm::is_sorted(ArrayRef<int64_t>(below->axes).drop_front(2))) {
      swapped = !swapped;
    } else {
      return;
    }
    v = below->operands[0];
  }
  const TensorType &filter = graph.type(op.operands[1]);
  Extent taps(1);
  for (size_t d = 2; d < filter.dims.size(); ++d)
    taps = taps * filter.dims[d];
  int input = graph.inputNumber(v);
  if (input < 0 || g.grouped || g.windows || !taps.isConstant() || filter.dtype != c.accumulator)
    return;
  Extent rows = swapped ? taps : filter.dims[1] * taps, depth = swapped ? filter.dims[0] * taps : taps;
  c.turned = {input, rows, depth, taps.factor, reversed};
  c.left.plainInput = input; // once it is turned
  c.left.memory = filter.dtype;
  c.left.freeStride = filter.dims[1] * taps;
  c.left.kStride = Extent(1);
  c.left.batchStrides.assign(c.batch.size(), Extent(0));
}

/// The filter as the left operand.
static void useFilter(const Graph &graph, const Op &op, const Geometry &g, Contraction &c) {
  const TensorType &filter = graph.type(op.operands[1]);
  c.left.value = op.operands[1];
  c.left.alongK = true;
  Contraction::Operand plain;
  plain.value = op.operands[1];
  plain.plainInput = graph.inputNumber(op.operands[1]);
  plain.memory = c.left.memory = filter.dtype;
  plain.freeStride = filter.dims[1];
  for (const Extent &extent : ArrayRef(filter.dims).drop_front(2))
    plain.freeStride = plain.freeStride * extent;
  c.left.kInRows = plain.plainInput < 0;
  if (plain.plainInput >= 0) {
    c.left.plainInput = plain.plainInput;
    c.left.freeStride = plain.freeStride;
    c.left.batchStrides.assign(c.batch.size(), Extent(0));
    if (g.grouped)
      c.left.batchStrides.back() = g.outputs * plain.freeStride;
  }
  if (plain.plainInput < 0)
    useTurnedFilter(graph, op, g, c);
  c.left.element = filterElement(graph, op.operands[1], g, plain);
}

bool shapeOfConvolution(const Graph &graph, uint32_t number, Contraction &c, std::string &error) {
  const Op &op = graph.ops[number];
  const TensorType &input = graph.type(op.operands[0]), &filter = graph.type(op.operands[1]),
                   &result = graph.type(op.results[0]);
  c.op = number;
  c.result = op.results[0];
  c.operandType = input.dtype;
  if (!accumulatorOf(input.dtype, c.accumulator)) {
    error = ("convolution of " + dtypeName(input.dtype) + " is not supported").str();
    return false;
  }
  const Extent &outputs = filter.dims[0];
  if (op.groups > 1 && !outputs.isConstant()) {
    error = "a convolution with groups needs a constant number of output channels";
    return false;
  }
  Geometry g;
  g.input = op.operands[0];
  g.dtype = input.dtype;
  g.accumulator = c.accumulator;
  g.inputDims = input.dims;
  g.strides.assign(op.strides.begin(), op.strides.end());
  g.low.assign(op.low.begin(), op.low.end());
  g.inputDilation.assign(op.inputDilation.begin(), op.inputDilation.end());
  g.filterDilation.assign(op.filterDilation.begin(), op.filterDilation.end());
  for (size_t d = 0; d < g.strides.size(); ++d)
    g.mayMiss.push_back(mayMissEdge(op, input, filter, d));
  g.channels = filter.dims[1];
  g.grouped = op.groups > 1;
  g.outputs = g.grouped ? Extent(outputs.factor / op.groups) : outputs;

  Shape window(filter.dims.begin() + 2, filter.dims.end());
  g.joined = joinsImages(op, input.dims, window);
  g.windows = !g.joined && graph.bound(window) > graph.bound(op.pixels);
  if (!g.imageInColumns())
    c.batch.push_back(input.dims[0]);
  if (g.grouped)
    c.batch.push_back(Extent(op.groups));
  c.m.push_back(g.outputs);
  if (g.imageInColumns())
    c.n.push_back(input.dims[0]);
  c.columns = c.n;
  c.n.append(result.dims.begin() + 2, result.dims.end());
  c.columns.append(op.pixels.begin(), op.pixels.end());
  c.k.push_back(filter.dims[1]);
  c.k.append(window.begin(), window.end());

  useFilter(graph, op, g, c);
  c.right.value = op.operands[0];
  c.right.alongK = g.windows;
  c.right.freeInRows = c.right.kInRows = true;
  c.right.element = [g](Emitter &e, ArrayRef<Index> batch, const Position &n, const Position &k, const Mask &mask) {
    return inputElement(e, g, batch, n.dims(e), k.dims(e), mask);
  };
  c.resultInRows = c.n.size() > 1;
  c.leftForAllBatches = !g.grouped;
  c.resultPosition = resultPlace(g);
  if (!g.windows) {
    useWindow(graph, op, g, c);
    usePlainImage(graph, op, g, c);
  }
  return true;
}

int64_t Contraction::Window::pixels() const {
  int64_t product = 1;
  for (const Axis &axis : axes)
    product *= axis.pixels;
  return product;
}

int64_t Contraction::Window::placeOf(int64_t pixel) const {
  int64_t place = 0;
  for (const Axis &axis : llvm::reverse(axes)) {
    place += pixel % axis.pixels * axis.pitch;
    pixel /= axis.pixels;
  }
  return place;
}

Value Contraction::Window::placeOf(Emitter &e, Value pixel) const {
  if (columns == pixels())
    return pixel;
  Value place = e.code.integer(0);
  for (const Axis &axis : llvm::reverse(axes)) {
    Value count = e.code.integer(axis.pixels);
    place = e.code.add(place, e.code.mul(e.code.rem(pixel, count), e.code.integer(axis.pitch)));
    pixel = e.code.div(pixel, count);
  }
  return place;
}

std::pair<Value, Value> Contraction::Window::lookup(Code &code, ArrayRef<Index> tap) const {
  Value plane = code.integer(0), offset = plane;
  for (auto [axis, index] : llvm::zip(ArrayRef(axes).take_back(tap.size()), tap)) {
    Value at = code.mul(index.base, code.integer(axis.dilation)), stride = code.integer(axis.stride);
    Value number = code.integer(0), residue = code.rem(at, stride);
    for (size_t i = 1; i < axis.residues.size(); ++i)
      number = code.op<arith::SelectOp>(code.compare(arith::CmpIPredicate::eq, residue, code.integer(axis.residues[i])),
                                        code.integer(static_cast<int64_t>(i)), number);
    plane = code.add(code.mul(plane, code.integer(static_cast<int64_t>(axis.residues.size()))), number);
    offset = code.add(offset, code.mul(code.div(at, stride), code.integer(axis.pitch)));
  }
  return {plane, offset};
}

int64_t Contraction::Window::rowsOfVector(int64_t lanes) const {
  return columns == pixels() ? 1 : (lanes + axes.back().pixels - 2) / axes.back().pixels + 1;
}

} // namespace kiln::cpu
