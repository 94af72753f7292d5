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
//
// Where the input is dilated (a gradient by the input of a strided convolution, a transposed one), pixels of the result
// that lie alike between its elements see the same positions of the window, and no zeros: one product for each such
// residue, as if by a window of those positions over the input as it is, whose pixels are every so many of the
// result's.
#include "backends/cpu/compile/ContractShape.h"

using namespace mlir;
using llvm::ArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {

namespace {
/// Along each axis: pixels first, first + step, … of the result, which see positions tap, tap + step, … of the window.
struct Residue {
  struct Axis {
    int64_t pixel = 0, tap = 0, step = 1;
  };
  SmallVector<Axis> axes;
  bool whole() const {
    return llvm::all_of(axes, [](const Axis &axis) { return axis.step == 1; });
  }
};

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
  Shape taps, pixels, resultPixels; // of the window and of the product; of the result
  Residue residue;                  // a class of the result's pixels
  int plainInput = -1;              // the input is this one of the kernel's, as it lies,
  Shape inputStrides;               // with these strides
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
    if (plain.plainInput >= 0 && g.residue.whole()) {
      element = plainElement(e, graph, plain, {}, row, k.linear, mask);
    } else {
      Indices at{row};
      at.append(k.dims(e));
      for (auto [index, axis] : llvm::zip(llvm::MutableArrayRef<Index>(at).drop_front(2), g.residue.axes))
        index = e.add(e.scale(index, e.code.integer(axis.step)), e.code.integer(axis.tap));
      element = e.value(value, at, mask);
    }
    return isFloat(g.dtype) ? element : e.convert(element, g.dtype, g.accumulator);
  };
}

/// Whether windows along spatial axis `d` may lie over the input's edge; true where that is not known.
static bool mayMissEdge(const Geometry &g, size_t d) {
  if (g.low[d] > 0 || g.inputDilation[d] > 1)
    return true;
  const Extent &n = g.inputDims[2 + d], &k = g.taps[d], &p = g.pixels[d];
  if (!n.isConstant() || !k.isConstant() || !p.isConstant())
    return true;
  int64_t last = (p.factor - 1) * g.strides[d] + (k.factor - 1) * g.filterDilation[d] - g.low[d];
  return last >= n.factor;
}

/// From one row of an axis's planes to the next: what its windows see, but where every row ends and begins with zeros
/// that lie over the edge, the next row's are the row's, too.
/// (What is copied of the row behind the last one is zeros in all planes.)
static int64_t lengthOf(const Geometry &g, size_t d, const Contraction::Window::Axis &axis, int64_t reach) {
  int64_t taps = g.taps[d].factor, length = axis.pixels;
  bool known = g.inputDims[2 + d].isConstant() && g.inputDims[2 + d].factor > 0 && g.inputDilation[d] == 1;
  for (int64_t residue : axis.residues) {
    int64_t places = 0, before = 0, behind = 0; // of this plane: seen, of these zeros on either side
    for (int64_t j = 0; j < taps; ++j)
      if (j * axis.dilation % axis.stride == residue)
        places = axis.pixels + j * axis.dilation / axis.stride;
    for (int64_t i = 0; known && i < places; ++i) {
      int64_t position = i * axis.stride + residue - g.low[d];
      before += position < 0;
      behind += position >= g.inputDims[2 + d].factor;
    }
    length = std::max({length, places - std::min(before, behind), axis.pixels + reach - before});
  }
  return length;
}

/// The position along an axis that place 0 of a plane is at, from the padding's first on: `plane` counts through the
/// residues of all axes, those of this one last, and then through those before it.
static Value residueOf(Code &code, const Contraction::Window::Axis &axis, Value &plane) {
  Value count = code.integer(static_cast<int64_t>(axis.residues.size())), number = code.rem(plane, count);
  plane = code.div(plane, count);
  Value residue = code.integer(axis.residues[0]);
  for (size_t i = 1; i < axis.residues.size(); ++i)
    residue =
        code.op<arith::SelectOp>(code.compare(arith::CmpIPredicate::eq, number, code.integer(static_cast<int64_t>(i))),
                                 code.integer(axis.residues[i]), residue);
  return residue;
}

/// Rows as they lie in the input, where it is plain and windows move by one or two along them.
static void useRows(const Geometry &g, ArrayRef<bool> mayMiss, Contraction::Window &window) {
  const Contraction::Window::Axis &last = window.axes.back();
  bool undilated = llvm::all_of(g.inputDilation, [](int64_t dilation) { return dilation == 1; });
  if (g.plainInput < 0 || !g.inputStrides.back().isOne() || g.dtype != g.accumulator || last.stride > 2 || !undilated ||
      window.plane.back().isOne() || !g.inputDims.back().isConstant())
    return;
  window.step = last.stride;
  window.size = g.inputDims.back().factor;
  window.dtype = g.dtype;
  window.row = [g, axes = window.axes, missing = SmallVector<bool>(mayMiss)](
                   Emitter &e, ArrayRef<Index> batch, Value channel, Value plane, ArrayRef<Index> outer) {
    Code &code = e.code;
    size_t inner = g.strides.size() - 1;
    ArrayRef<Contraction::Window::Axis> spatial = ArrayRef(axes).take_back(inner + 1);
    Contraction::Window::Row row;
    row.first = code.sub(residueOf(code, spatial[inner], plane), code.integer(g.low[inner]));
    Value image = g.joined ? outer[0].base : batch[0].base;
    Value place = code.add(code.mul(image, e.extent(g.inputStrides[0])),
                           code.mul(channelOf(e, g, batch, e.at(channel)).base, e.extent(g.inputStrides[1])));
    outer = outer.take_back(inner);
    for (size_t d = inner; d-- > 0;) {
      Value position = code.add(code.mul(outer[d].base, code.integer(spatial[d].stride)),
                                code.sub(residueOf(code, spatial[d], plane), code.integer(g.low[d])));
      place = code.add(place, code.mul(position, e.extent(g.inputStrides[2 + d])));
      if (missing[d]) {
        Value inside = e.inRange(e.at(position), code.integer(0), e.extent(g.inputDims[2 + d]));
        row.inside = row.inside ? code.both(row.inside, inside) : inside;
      }
    }
    row.from = code.address(e.input(static_cast<size_t>(g.plainInput)), place, byteSize(g.dtype));
    return row;
  };
}

/// Where sizes are constant, the image in planes.
static std::optional<Contraction::Window> windowOf(const Geometry &g) {
  const Shape &input = g.inputDims;
  if (g.joined && input[0].factor < 1) // no image
    return std::nullopt;
  size_t spatial = g.strides.size();
  Contraction::Window window;
  SmallVector<bool> mayMiss(spatial);
  window.axes.resize(spatial);
  int64_t pitch = 1;
  for (size_t d = spatial; d-- > 0;) {
    const Extent &taps = g.taps[d], &pixels = g.pixels[d];
    if (!taps.isConstant() || !pixels.isConstant() || taps.factor < 1 || pixels.factor < 1)
      return std::nullopt;
    Contraction::Window::Axis &axis = window.axes[d];
    axis = {pixels.factor, g.strides[d], g.filterDilation[d], {}, pitch};
    for (int64_t j = 0; j < taps.factor; ++j)
      if (!llvm::is_contained(axis.residues, j * axis.dilation % axis.stride))
        axis.residues.push_back(j * axis.dilation % axis.stride);
    int64_t reach = (taps.factor - 1) * axis.dilation / axis.stride;
    int64_t length = d > 0 || g.joined ? lengthOf(g, d, axis, reach) : axis.pixels + reach;
    window.plane.insert(window.plane.begin(), Extent(length));
    window.planes *= static_cast<int64_t>(axis.residues.size());
    window.taps *= taps.factor;
    window.reach += reach * pitch;
    pitch *= length;
    int64_t last = (length - 1) * axis.stride + *llvm::max_element(axis.residues) - g.low[d];
    mayMiss[d] = g.low[d] > 0 || !input[2 + d].isConstant() || last >= input[2 + d].factor;
  }
  if (g.joined) { // images one after the other, as if along an axis of their own
    window.axes.insert(window.axes.begin(), {input[0].factor, 1, 1, {0}, pitch});
    window.plane.insert(window.plane.begin(), input[0]);
  }
  window.columns = window.placeOf(window.pixels() - 1) + 1;
  window.channels = g.channels;
  window.element = [=, axes = window.axes](Emitter &e, ArrayRef<Index> batch, Value channel, Value plane,
                                           ArrayRef<Index> place, const Mask &mask) {
    Code &code = e.code;
    Index image = g.joined ? place[0] : batch[0];
    place = place.take_back(g.strides.size());
    Indices at(place.begin(), place.end());
    for (size_t d = at.size(); d-- > 0;) {
      const Contraction::Window::Axis &axis = axes[axes.size() - at.size() + d];
      at[d] = e.add(e.scale(at[d], code.integer(axis.stride)), residueOf(code, axis, plane));
    }
    return paddedElement(e, g, image, channelOf(e, g, batch, e.at(channel)), at, mayMiss, mask);
  };
  useRows(g, mayMiss, window);
  return window;
}

/// Where windows of several positions move by more than one: an image of one plane, as it lies, under pixels that are
/// some positions apart.
static std::optional<Contraction::Window> wholeWindowOf(const Geometry &g) {
  if (!g.taps.back().isConstant() || g.taps.back().factor < 2 ||
      llvm::all_of(
          g.strides, [](int64_t stride) { return stride == 1; }) ||
      !llvm::all_of(g.pixels, [](const Extent &pixels) { return pixels.isConstant() && pixels.factor > 0; }))
    return std::nullopt;
  Geometry whole = g;
  for (size_t d = 0; d < g.strides.size(); ++d) {
    whole.strides[d] = 1;
    whole.pixels[d] = Extent((g.pixels[d].factor - 1) * g.strides[d] + 1);
  }
  std::optional<Contraction::Window> window = windowOf(whole);
  if (!window)
    return std::nullopt;
  size_t first = window->axes.size() - g.strides.size();
  for (size_t d = 0; d < g.strides.size(); ++d)
    window->axes[first + d].pixels = g.pixels[d].factor, window->axes[first + d].step = g.strides[d];
  window->columns = window->placeOf(window->pixels() - 1) + 1;
  return window;
}

/// The image of a 3 by 3 convolution of stride 1 in overlapping tiles (Winograd.cpp): as under windows of outputs + 2
/// positions along both axes, `outputs` apart.
static void useTiles(const Geometry &g, Contraction &c) {
  auto all = [](ArrayRef<int64_t> values) { return llvm::all_of(values, [](int64_t value) { return value == 1; }); };
  bool fits = c.window && !g.grouped && g.residue.whole() && g.taps.size() == 2 && g.taps[0] == Extent(3) &&
              g.taps[1] == Extent(3) && all(g.strides) && all(g.inputDilation) && all(g.filterDilation) &&
              llvm::all_of(g.low, [](int64_t low) { return low >= 0; });
  if (!fits)
    return;
  c.tiles = [g](int64_t outputs) {
    Geometry tiled = g;
    for (size_t d = 0; d < 2; ++d) {
      tiled.strides[d] = outputs;
      tiled.taps[d] = Extent(outputs + 2);
      tiled.pixels[d] = Extent(ceilDivide(g.pixels[d].factor, outputs));
    }
    return *windowOf(tiled);
  };
}

/// A convolution whose windows are pixels, with no padding: its image is a matrix.
static void usePlainImage(const Graph &graph, const Op &op, const Geometry &g, Contraction &c) {
  if (g.joined || op.strides.size() != 1 || !g.taps[0].isOne() || op.strides[0] != 1 || op.low[0] != 0 ||
      op.high[0] != 0 || op.inputDilation[0] != 1)
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
static auto resultPlace(const Geometry &g, ArrayRef<Extent> result) {
  Shape dims(result.begin() + 2, result.end());
  return [g, dims](Emitter &e, ArrayRef<Index> batch, ArrayRef<Index> m, ArrayRef<Index> n) {
    Index channel = m[0];
    if (g.grouped)
      channel = e.add(channel, e.scale(batch.back(), e.extent(g.outputs)));
    Indices at{g.imageInColumns() ? n[0] : batch[0], channel}, pixels(g.imageInColumns() ? n.drop_front() : n);
    if (!g.residue.whole()) {
      for (auto [index, axis, count] : llvm::zip(pixels, g.residue.axes, g.pixels))
        index = count.isOne() ? e.at(e.code.integer(axis.pixel)) // for all lanes, of which one counts
                              : e.add(e.scale(index, e.code.integer(axis.step)), e.code.integer(axis.pixel));
      if (dims.size() != pixels.size())
        pixels = e.indicesOf(dims, e.linear(g.resultPixels, pixels));
    }
    at.append(pixels);
    return at;
  };
}

/// Whether images are few pixels each, and windows are those of a layer, not of a filter's gradient.
static bool joinsImages(const Op &op, const Geometry &g) {
  const Shape &input = g.inputDims, &window = g.taps;
  auto constant = [](const Shape &shape) {
    return llvm::all_of(shape, [](const Extent &extent) { return extent.isConstant() && extent.factor > 0; });
  };
  int64_t pixels = 1, taps = 1;
  if (op.groups > 1 || !constant(g.pixels) || !constant(window) || !input[0].isConstant() || input[0].factor < 2)
    return false;
  for (size_t d = 0; d < window.size(); ++d)
    pixels *= g.pixels[d].factor, taps *= window[d].factor;
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
  Extent taps(1), taken(1);
  for (size_t d = 2; d < filter.dims.size(); ++d)
    taps = taps * filter.dims[d], taken = taken * g.taps[d - 2];
  int input = graph.inputNumber(v);
  if (input < 0 || g.grouped || g.windows || !taps.isConstant() || filter.dtype != c.accumulator)
    return;
  Extent rows = swapped ? taps : filter.dims[1] * taps, depth = swapped ? filter.dims[0] * taps : taps;
  c.turned = {input, rows, depth, taps.factor, {}};
  for (int64_t number = 0; number < taken.factor; ++number) { // row-major
    int64_t place = 0, pitch = 1, rest = number;
    for (size_t d = g.taps.size(); d-- > 0;) {
      place += (rest % g.taps[d].factor * g.residue.axes[d].step + g.residue.axes[d].tap) * pitch;
      rest /= g.taps[d].factor, pitch *= filter.dims[2 + d].factor;
    }
    c.turned->taken.push_back(reversed ? taps.factor - 1 - place : place);
  }
  c.left.plainInput = input; // once it is turned
  c.left.memory = filter.dtype;
  c.left.freeStride = filter.dims[1] * taken;
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
  plain.plainInput = g.residue.whole() ? graph.inputNumber(op.operands[1]) : -1; // parts of windows are no rows
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

/// Of the classes that the result's pixels fall into, the one with this number (counted as their residues are), as an
/// undilated convolution: changes the op and the geometry, which are the whole's. Whether its windows see anything.
static bool takeResidue(Op &op, Geometry &g, int64_t number) {
  bool sees = true;
  for (size_t d = op.strides.size(); d-- > 0;) {
    int64_t step = op.inputDilation[d], pixel = number % step;
    number /= step;
    if (step == 1)
      continue;
    // The first position of the window that is over an element for this pixel.
    int64_t tap = ((op.low[d] - pixel) % step + step) % step, taps = g.taps[d].factor;
    taps = tap < taps ? (taps - 1 - tap) / step + 1 : 0;
    sees &= taps > 0;
    g.residue.axes[d] = {pixel, tap, step};
    g.taps[d] = Extent(std::max<int64_t>(taps, 1));
    g.pixels[d] = Extent(std::max<int64_t>(0, ceilDivide(g.pixels[d].factor - pixel, step)));
    op.low[d] = (op.low[d] - pixel - tap) / step;
    op.inputDilation[d] = 1;
  }
  return sees;
}

/// How many products the convolution is: one for each residue of its input's dilation, where they are few, of constant
/// size and there is something in each.
static int64_t residuesOf(const Graph &graph, const Op &op) {
  const TensorType &filter = graph.type(op.operands[1]);
  int64_t residues = 1;
  for (size_t d = 0; d < op.strides.size(); ++d) {
    int64_t dilation = op.inputDilation[d];
    if (dilation == 1)
      continue;
    const Extent &taps = filter.dims[2 + d], &pixels = op.pixels[d];
    if (!taps.isConstant() || !pixels.isConstant() || pixels.factor < dilation || op.strides[d] != 1 ||
        op.filterDilation[d] != 1)
      return 1;
    residues *= dilation;
  }
  return residues <= 9 ? residues : 1;
}

/// The whole op's geometry.
static bool geometryOf(const Graph &graph, const Op &op, Geometry &g, std::string &error) {
  const TensorType &input = graph.type(op.operands[0]), &filter = graph.type(op.operands[1]);
  if (!accumulatorOf(input.dtype, g.accumulator)) {
    error = ("convolution of " + dtypeName(input.dtype) + " is not supported").str();
    return false;
  }
  const Extent &outputs = filter.dims[0];
  if (op.groups > 1 && !outputs.isConstant()) {
    error = "a convolution with groups needs a constant number of output channels";
    return false;
  }
  g.input = op.operands[0];
  g.dtype = input.dtype;
  g.inputDims = input.dims;
  g.channels = filter.dims[1];
  g.grouped = op.groups > 1;
  g.outputs = g.grouped ? Extent(outputs.factor / op.groups) : outputs;
  g.taps.assign(filter.dims.begin() + 2, filter.dims.end());
  g.pixels = g.resultPixels = op.pixels;
  g.residue.axes.resize(op.strides.size());
  g.windows = graph.bound(g.taps) > graph.bound(op.pixels);
  return true;
}

static Contraction contractionOf(const Graph &graph, Op op, Geometry g, bool sees) {
  const TensorType &result = graph.type(op.results[0]);
  Contraction c;
  c.result = op.results[0];
  c.operandType = g.dtype;
  c.accumulator = g.accumulator;
  if (!sees)
    g.channels = Extent(0);
  g.strides.assign(op.strides.begin(), op.strides.end());
  g.low.assign(op.low.begin(), op.low.end());
  g.inputDilation.assign(op.inputDilation.begin(), op.inputDilation.end());
  g.filterDilation.assign(op.filterDilation.begin(), op.filterDilation.end());
  for (size_t d = 0; d < g.strides.size(); ++d)
    g.mayMiss.push_back(mayMissEdge(g, d));
  g.joined = joinsImages(op, g);
  g.windows &= !g.joined;
  g.plainInput = graph.inputStrides(op.operands[0], g.inputStrides);
  if (!g.imageInColumns())
    c.batch.push_back(g.inputDims[0]);
  if (g.grouped)
    c.batch.push_back(Extent(op.groups));
  c.m.push_back(g.outputs);
  if (g.imageInColumns())
    c.n.push_back(g.inputDims[0]);
  c.columns = c.n;
  if (g.residue.whole())
    c.n.append(result.dims.begin() + 2, result.dims.end());
  else
    c.n.append(g.pixels);
  c.columns.append(g.pixels);
  c.k.push_back(g.channels);
  c.k.append(g.taps);

  useFilter(graph, op, g, c);
  c.right.value = op.operands[0];
  c.right.alongK = g.windows;
  c.right.freeInRows = c.right.kInRows = true;
  c.right.element = [g](Emitter &e, ArrayRef<Index> batch, const Position &n, const Position &k, const Mask &mask) {
    return inputElement(e, g, batch, n.dims(e), k.dims(e), mask);
  };
  c.resultInRows = c.n.size() > 1;
  c.leftForAllBatches = !g.grouped;
  c.resultPosition = resultPlace(g, result.dims);
  if (!g.windows) {
    c.window = windowOf(g);
    if (auto whole = wholeWindowOf(g)) {
      auto same = std::make_shared<Contraction>(c);
      same->window = whole;
      c.byPixels = same;
    }
    useTiles(g, c);
    usePlainImage(graph, op, g, c);
  } else if (!g.grouped && g.inputDims[0].isConstant()) {
    Geometry joined = g;
    joined.windows = false, joined.joined = true;
    auto same = std::make_shared<Contraction>(c);
    same->window = windowOf(joined);
    if (same->left.plainInput < 0)
      useTurnedFilter(graph, op, joined, *same);
    if (same->window && same->turned)
      c.byPixels = same;
  }
  return c;
}

bool shapesOfConvolution(const Graph &graph, uint32_t number, std::vector<Contraction> &results, std::string &error) {
  const Op &op = graph.ops[number];
  Geometry whole;
  if (!geometryOf(graph, op, whole, error))
    return false;
  int64_t residues = whole.windows ? 1 : residuesOf(graph, op);
  for (int64_t residue = 0; residue < residues; ++residue) {
    Op part = op;
    Geometry g = whole;
    bool sees = residues == 1 || takeResidue(part, g, residue);
    results.push_back(contractionOf(graph, part, g, sees));
    results.back().op = number;
  }
  return true;
}

} // namespace kiln::cpu
