// Convolutions without windows in memory.
//
// A task copies the part of the padded, dilated image that its pixels see, once (Contraction::Window). From there
//   in place:  column n of the right operand is a place in that copy, and row k lies at an offset of its own from
//   there:
//              the micro-kernel takes a table of offsets. Rows of the copy are longer than the result's by what a
//              window reaches beyond its first position; columns in between are computed and dropped.
//   unfolded:  columns are pixels. Vectors of them are put together from rows of the copy, masked, and packed as any
//              other right operand's: which lanes come from which row is the same for every k.
#include "backends/cpu/compile/ContractLowering.h"

using namespace mlir;
using llvm::ArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {

int64_t Contraction::Window::pixels() const {
  int64_t product = 1;
  for (const Axis &axis : axes)
    product *= axis.pixels;
  return product;
}

int64_t Contraction::Window::placeOf(int64_t pixel) const {
  int64_t place = 0;
  for (const Axis &axis : llvm::reverse(axes)) {
    place += pixel % axis.pixels * axis.pitch * axis.step;
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
    place = e.code.add(place, e.code.mul(e.code.rem(pixel, count), e.code.integer(axis.pitch * axis.step)));
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

/// The table of offsets in bytes, one for each k, in the worker's scratch: the first channel's are worked out, all
/// others lie as far from those of the channel before.
void ContractLowering::fillOffsets(Emitter &e) const {
  Code &code = e.code;
  Value table = e.workerScratch(offsetsArea), length = e.elements(c.k);
  Value taps = code.min(code.integer(c.window->taps), length);
  code.loop(code.integer(0), taps, 1, [&](Value k) {
    Indices at = e.indicesOfRow(c.k, k);
    auto [plane, offset] = c.window->lookup(code, ArrayRef<Index>(at).drop_front());
    offset = code.add(code.mul(plane, code.integer(imageStride)), offset);
    code.store(code.mul(offset, code.integer(bytes)), code.address(table, k, 8), 8);
  });
  Value apart = code.integer(c.window->planes * imageStride * bytes);
  code.loop(taps, length, 1, [&](Value k) {
    Value before = code.loadHere(code.i64, code.address(table, code.sub(k, taps), 8), 8);
    code.store(code.add(before, apart), code.address(table, k, 8), 8);
  });
}

/// As many places of a plane's row as there are lanes, from `position` on, of which those at 0 to `size` are read.
static Value placesOfRow(Emitter &e, const Contraction::Window &window, Value from, Value position, Value size) {
  Code &code = e.code;
  int64_t lanes = e.width, bytes = byteSize(window.dtype);
  VectorType vector = code.vectorOf(e.registerType(window.dtype), lanes), numbers = code.vectorOf(code.i32, lanes);
  auto wide = [&](Value number) { return code.splat(code.op<arith::TruncIOp>(code.i32, number), lanes); };
  auto load = [&](Value first) { // numbers below 0 are large ones without a sign
    Value on = code.op<arith::CmpIOp>(arith::CmpIPredicate::ult,
                                      code.op<arith::AddIOp>(code.steps(numbers), wide(first)), wide(size));
    return code.maskedLoad(vector, code.address(from, first, bytes), on, bytes, true);
  };
  if (window.step == 1)
    return load(position);
  SmallVector<int64_t> even;
  for (int64_t lane = 0; lane < lanes; ++lane)
    even.push_back(2 * lane);
  Value low = load(position);
  return code.here<vector::ShuffleOp>(low, load(code.add(position, code.integer(lanes))), even);
}

/// Places [begin, end) of one plane, row by row as the image lies in memory.
static void packRows(Emitter &e, const Contraction::Window &window, ArrayRef<Index> batch, Value channel, Value plane,
                     Value begin, Value end, Value to) {
  Code &code = e.code;
  Shape outer(window.plane.begin(), window.plane.end() - 1);
  Value length = e.extent(window.plane.back());
  code.loop(code.div(begin, length), code.ceilDiv(end, length), 1, [&](Value number) {
    Value rowBegin = code.mul(number, length), limit = code.min(code.add(rowBegin, length), end);
    Contraction::Window::Row row = window.row(e, batch, channel, plane, e.indicesOfRow(outer, number));
    auto positionOf = [&](Value n) {
      return code.add(code.mul(code.sub(n, rowBegin), code.integer(window.step)), row.first);
    };
    // Behind the last row lies none: no place from the last that is taken on, not those in between either.
    Value seen = code.add(positionOf(code.sub(limit, code.integer(1))), code.integer(1));
    Value size = code.max(code.min(seen, code.integer(window.size)), code.integer(0));
    if (row.inside)
      size = code.op<arith::SelectOp>(row.inside, size, code.integer(0));
    code.loop(code.max(begin, rowBegin), limit, e.width, [&](Value n) {
      int64_t bytes = byteSize(window.dtype);
      code.store(placesOfRow(e, window, row.from, positionOf(n), size), code.address(to, code.sub(n, begin), bytes),
                 bytes);
    });
  });
}

void packPlanes(Emitter &e, const Contraction::Window &window, ArrayRef<Index> batch, const Planes &planes, Value first,
                Value last, Value begin, Value end) {
  Code &code = e.code;
  Value count = code.integer(window.planes);
  code.loop(code.integer(0), code.mul(code.sub(last, first), count), 1, [&](Value number) {
    Value to = code.address(planes.at, code.mul(number, code.integer(planes.stride)), planes.bytes);
    Value channel = code.add(first, code.div(number, count)), plane = code.rem(number, count);
    if (window.row)
      return packRows(e, window, batch, channel, plane, begin, end, to);
    forEachRun(e, window.plane, /*inRows=*/true, begin, end, [&](Value n, const Position &position, Value limit) {
      Mask mask{code.firstLanes(code.sub(limit, n), e.width), {}};
      Value element = e.vector(window.element(e, batch, channel, plane, position.dims(e), mask));
      code.store(element, code.address(to, code.sub(n, begin), planes.bytes), planes.bytes);
    });
  });
}

VectorOfPixels::VectorOfPixels(Emitter &e, const Contraction::Window &window, const Planes &planes, Value n, Value end,
                               Value begin)
    : bytes(planes.bytes) {
  Code &code = e.code;
  int64_t lanes = e.width, touched = window.rowsOfVector(lanes);
  Value row = code.integer(touched == 1 ? window.pixels() : window.axes.back().pixels), number = code.div(n, row);
  for (int64_t i = 0; i < touched; ++i) {
    Value start = code.mul(code.add(number, code.integer(i)), row), rowEnd = code.min(code.add(start, row), end);
    Value on = code.firstLanes(code.sub(rowEnd, n), lanes);
    if (i > 0) // those of the rows before are taken already
      on = code.op<arith::AndIOp>(on, code.op<arith::XOrIOp>(code.firstLanes(code.sub(start, n), lanes),
                                                             code.constantInt(code.vectorOf(code.i1, lanes), 1)));
    masks.push_back(on);
    Value place = code.add(code.sub(window.placeOf(e, start), begin), code.sub(n, start));
    froms.push_back(code.address(planes.at, place, bytes));
  }
}

Value VectorOfPixels::load(Code &code, VectorType vector, Value offset) const {
  Value element = isa<FloatType>(vector.getElementType()) ? code.constant(vector, 0.0) : code.constantInt(vector, 0);
  for (auto [from, on] : llvm::zip(froms, masks))
    element = code.here<LLVM::MaskedLoadOp>(vector, code.address(from, offset, 1), on, ValueRange{element},
                                            static_cast<unsigned>(bytes));
  return element;
}

Planes ContractLowering::imagePlanes(Emitter &e) const { return {e.workerScratch(imageArea), imageStride, bytes}; }

/// The places that pixels [n0, n1) see.
std::pair<Value, Value> ContractLowering::placesOf(Emitter &e, Value n0, Value n1) const {
  Code &code = e.code;
  Value last = c.window->placeOf(e, code.sub(n1, code.integer(1)));
  return {c.window->placeOf(e, n0), code.add(last, code.integer(c.window->reach + 1))};
}

/// to[k - k0][n - n0] for whole vectors of pixels from n0 to n1. The copy of the image begins with the channel `first`
/// and the place `begin`.
void ContractLowering::unfold(Emitter &e, Value n0, Value n1, Value k0, Value k1, Value first, Value begin,
                              Value to) const {
  Code &code = e.code;
  Value before = code.mul(first, code.integer(c.window->planes * imageStride));
  Planes planes = imagePlanes(e);
  planes.at = code.address(planes.at, code.sub(code.integer(0), before), bytes);
  code.loop(n0, n1, t.lanes, [&](Value n) {
    VectorOfPixels pixels(e, *c.window, planes, n, n1, begin);
    Value target = code.address(to, code.sub(n, n0), bytes);
    code.loop(k0, k1, 1, [&](Value k) {
      Value offset = code.loadHere(code.i64, code.address(e.workerScratch(offsetsArea), k, 8), 8);
      Value there = code.mul(code.sub(k, k0), code.integer(t.tileColumns()));
      code.store(pixels.load(code, vectorType(e), offset), code.address(target, there, bytes), bytes);
    });
  });
}

/// finishRows where columns are places in the image: what a vector of them are is worked out once for all rows.
void ContractLowering::finishWindow(Emitter &e, ArrayRef<Index> batch, Value m, Value rows, Value n, Value columns,
                                    Value from, int64_t stride) const {
  Code &code = e.code;
  const Contraction::Window &window = *c.window;
  Shape outer(window.plane.begin(), window.plane.end() - 1);
  Value length = e.extent(window.plane.back()), limit = code.add(n, columns);
  code.loop(code.div(n, length), code.ceilDiv(limit, length), 1, [&](Value row) {
    Value begin = code.mul(row, length);
    Value end = code.min(limit, code.add(begin, code.integer(window.axes.back().pixels)));
    Indices position = e.indicesOfRow(outer, row);
    for (size_t d = 1; d < position.size(); ++d) // rows between two of the result's planes
      end = code.op<arith::SelectOp>(
          code.compare(arith::CmpIPredicate::slt, position[d].base, code.integer(window.axes[d].pixels)), end,
          code.integer(0));
    code.loop(code.max(n, begin), end, t.lanes, [&](Value first) {
      Indices dims = position;
      dims.push_back(e.at(code.sub(first, begin), 1));
      if (c.n.size() != c.columns.size())
        dims = e.indicesOf(c.n, e.linear(c.columns, dims));
      Value sums = code.address(from, code.sub(first, n), bytes);
      code.loop(code.integer(0), rows, 1, [&](Value r) {
        Value place = code.address(sums, code.mul(r, code.integer(stride)), bytes);
        finish(e, batch, code.add(m, r), Position(c.n, e.at(first, 1), dims), end,
               code.loadHere(vectorType(e), place, bytes));
      });
    });
  });
}

} // namespace kiln::cpu
