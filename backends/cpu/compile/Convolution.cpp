// A convolution as a matrix product.
//
// Two readings, with g the groups:
//   pixels:   batch (N, g), rows O/g, columns the result's pixels, K (C/g, the filter's window): a forward pass, or a
//             gradient of the input. Columns are packed along the pixels of a row.
//   windows:  batch (g), rows O/g, columns (N, the result's pixels), K (C/g, the filter's window): where the window is
//             large and the result small, as in the gradient of a filter. Columns are packed along the window's rows.
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
  bool grouped = false, windows = false;
};
} // namespace

/// Element of the padded, dilated input under a window: zero where there is none.
static Value inputElement(Emitter &e, const Geometry &g, ArrayRef<Index> batch, ArrayRef<Index> free, ArrayRef<Index> k,
                          const Mask &mask) {
  Code &code = e.code;
  size_t spatial = g.strides.size();
  Indices at(2 + spatial);
  at[0] = g.windows ? free[0] : batch[0];
  at[1] = g.grouped ? e.add(e.scale(batch.back(), e.extent(g.channels)), k[0]) : k[0];
  Mask inside = mask;
  Mask valid;
  auto require = [&](Value condition) {
    inside = e.narrow(inside, condition);
    valid = e.narrow(valid, condition);
  };
  for (size_t d = 0; d < spatial; ++d) {
    Index pixel = e.scale(free[free.size() - spatial + d], code.integer(g.strides[d]));
    Index position = e.add(pixel, e.scale(k[1 + d], code.integer(g.filterDilation[d])));
    if (g.low[d])
      position = e.add(position, code.integer(-g.low[d]));
    Value size = e.extent(g.inputDims[2 + d]);
    if (g.inputDilation[d] > 1) {
      Value dilation = code.integer(g.inputDilation[d]);
      Value spread = code.add(code.mul(code.sub(size, code.integer(1)), dilation), code.integer(1));
      require(e.inRange(position, code.integer(0), code.max(spread, code.integer(0))));
      require(e.inRange(e.rem(position, dilation), code.integer(0), code.integer(1)));
      position = e.div(position, dilation);
    } else if (g.mayMiss[d]) {
      require(e.inRange(position, code.integer(0), size));
    }
    at[2 + d] = position;
  }
  Value element = e.value(g.input, at, inside);
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
static bool mayMissEdge(const Op &op, const TensorType &input, const TensorType &filter, const TensorType &result,
                        size_t d) {
  if (op.low[d] > 0 || op.high[d] > 0 || op.inputDilation[d] > 1)
    return true;
  const Extent &n = input.dims[2 + d], &k = filter.dims[2 + d], &p = result.dims[2 + d];
  if (!n.isConstant() || !k.isConstant() || !p.isConstant())
    return true;
  int64_t last = (p.factor - 1) * op.strides[d] + (k.factor - 1) * op.filterDilation[d] - op.low[d];
  return last >= n.factor;
}

/// Where windows move by one and sizes are constant, columns become positions in the padded image.
static void useWindow(const Graph &graph, const Op &op, Contraction &c) {
  const Shape &filter = graph.type(op.operands[1]).dims, &result = graph.type(op.results[0]).dims;
  size_t spatial = op.strides.size();
  Contraction::Window window;
  for (size_t d = 0; d < spatial; ++d) {
    if (op.strides[d] != 1 || !filter[2 + d].isConstant() || !result[2 + d].isConstant())
      return;
    if (filter[2 + d].factor < 1 || result[2 + d].factor < 1)
      return;
    window.pixels.push_back(result[2 + d].factor);
    window.padded.push_back(Extent(result[2 + d].factor + (filter[2 + d].factor - 1) * op.filterDilation[d]));
    window.taps *= filter[2 + d].factor;
  }
  window.pitches.resize(spatial);
  int64_t pitch = 1, columns = 1;
  for (size_t d = spatial; d-- > 0;) {
    window.pitches[d] = pitch * op.filterDilation[d];
    window.reach += (filter[2 + d].factor - 1) * window.pitches[d];
    columns += (window.pixels[d] - 1) * pitch;
    pitch *= window.padded[d].factor;
  }
  window.channels = filter[1];
  c.n = {Extent(columns)};
  c.window = window;
}

/// Where an element of the product lies in the convolution's result.
static auto resultPlace(const Geometry &g) {
  return [grouped = g.grouped, windows = g.windows, outputsOfGroup = g.outputs](Emitter &e, ArrayRef<Index> batch,
                                                                                ArrayRef<Index> m, ArrayRef<Index> n) {
    Index channel = m[0];
    if (grouped)
      channel = e.add(channel, e.scale(batch.back(), e.extent(outputsOfGroup)));
    Indices at{windows ? n[0] : batch[0], channel};
    at.append(windows ? n.begin() + 1 : n.begin(), n.end());
    return at;
  };
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
    g.mayMiss.push_back(mayMissEdge(op, input, filter, result, d));
  g.channels = filter.dims[1];
  g.grouped = op.groups > 1;
  g.outputs = g.grouped ? Extent(outputs.factor / op.groups) : outputs;

  Shape window(filter.dims.begin() + 2, filter.dims.end()), pixels(result.dims.begin() + 2, result.dims.end());
  g.windows = graph.bound(window) > graph.bound(pixels);
  if (!g.windows)
    c.batch.push_back(input.dims[0]);
  if (g.grouped)
    c.batch.push_back(Extent(op.groups));
  c.m.push_back(g.outputs);
  if (g.windows)
    c.n.push_back(input.dims[0]);
  c.n.append(pixels.begin(), pixels.end());
  c.k.push_back(filter.dims[1]);
  c.k.append(window.begin(), window.end());

  if (!g.windows)
    useWindow(graph, op, c);

  c.left.value = op.operands[1];
  c.left.alongK = true;
  Contraction::Operand plain;
  plain.value = op.operands[1];
  plain.plainInput = graph.inputNumber(op.operands[1]);
  plain.memory = c.left.memory = filter.dtype;
  plain.freeStride = filter.dims[1];
  for (const Extent &extent : window)
    plain.freeStride = plain.freeStride * extent;
  c.left.kInRows = plain.plainInput < 0;
  if (plain.plainInput >= 0) {
    c.left.plainInput = plain.plainInput;
    c.left.freeStride = plain.freeStride;
    c.left.batchStrides.assign(c.batch.size(), Extent(0));
    if (g.grouped)
      c.left.batchStrides.back() = g.outputs * plain.freeStride;
  }
  c.left.element = filterElement(graph, op.operands[1], g, plain);
  c.right.value = op.operands[0];
  c.right.alongK = g.windows;
  c.right.freeInRows = c.right.kInRows = true;
  c.right.element = [g](Emitter &e, ArrayRef<Index> batch, const Position &n, const Position &k, const Mask &mask) {
    return inputElement(e, g, batch, n.dims(e), k.dims(e), mask);
  };
  c.resultInRows = !c.window;
  c.leftForAllBatches = !g.grouped;
  c.resultPosition = resultPlace(g);
  return true;
}

} // namespace kiln::cpu
