// A convolution whose channels do not meet: one channel under each filter.
//
// Nothing is copied. A task takes an output channel of an image (or some of its rows), and computes a block of the
// result at a time: `rows` rows by a vector of columns, whose sums are all in registers. Each vector of an input row is
// loaded once and added to the sums of all rows whose windows it lies in. What a window sees beyond the image's edge is
// masked off when it is loaded. A sum goes through its window in row-major order.
#include "backends/cpu/compile/Contract.h"
#include "backends/cpu/compile/ContractLowering.h"
#include "backends/cpu/compile/Neighbours.h"

using namespace mlir;
using llvm::ArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {

namespace {
class Depthwise {
public:
  Depthwise(KernelBuilder &builder, const Contraction &c, const ContractSink &sink)
      : builder(builder), graph(builder.graph), c(c), sink(sink), op(graph.ops[c.op]),
        pixels{c.window->axes[0].pixels, c.window->axes[1].pixels} {
    for (size_t d = 0; d < 2; ++d) {
      taps[d] = graph.bound(graph.type(op.operands[1]).dims[2 + d]);
      size[d] = graph.bound(graph.type(op.operands[0]).dims[2 + d]);
    }
    // No wider than a row; sums in a quarter of the registers, beside a filter and what is loaded.
    lanes = std::min<int64_t>(builder.machine.vectorBytes / byteSize(c.accumulator), 4);
    while (lanes < pixels[1] && lanes * byteSize(c.accumulator) < builder.machine.vectorBytes)
      lanes *= 2;
    blocks = ceilDivide(pixels[0], builder.machine.vectorRegisters / 4);
    rows = ceilDivide(pixels[0], blocks);
    // Down the image as far as the first level holds what is read and written: which lanes of a column of vectors lie
    // over the edge is known once for all of its blocks.
    int64_t near = rows * (op.strides[0] * size[1] + pixels[1]) * byteSize(c.accumulator);
    band = std::clamp<int64_t>(firstLevel / near, 1, blocks);
    int64_t channels = graph.bound(c.batch) * graph.bound(c.m);
    parts = std::min(blocks, ceilDivide(32, std::max<int64_t>(1, channels)));
  }

  void build() {
    builder.note("depthwise");
    builder.addPhase(
        [&](Emitter &e) { return e.code.mul(e.code.mul(e.elements(c.batch), e.elements(c.m)), e.code.integer(parts)); },
        [&](Emitter &e) { e.code.loop(e.arguments.begin, e.arguments.end, 1, [&](Value number) { task(e, number); }); },
        lanes);
  }

private:
  KernelBuilder &builder;
  const Graph &graph;
  const Contraction &c;
  const ContractSink &sink;
  const Op &op;
  int64_t pixels[2], taps[2], size[2];      // of the result, the window, the image
  int64_t lanes, rows, blocks, band, parts; // rows of a block; blocks of an image, and of a band; tasks of a channel

  struct Channel {
    Indices batch;
    Value group, number; // of the filter among its group's
  };

  void task(Emitter &e, Value number) const {
    Code &code = e.code;
    Value count = code.integer(parts), part = code.rem(number, count), rest = code.div(number, count);
    Value filters = code.max(e.elements(c.m), code.integer(1));
    Channel channel;
    channel.batch = e.indicesOfRow(c.batch, code.div(rest, filters));
    channel.group = channel.batch.back().base;
    channel.number = code.rem(rest, filters);
    Value all = code.integer(blocks), begin = code.div(code.mul(part, all), count);
    Value end = code.div(code.mul(code.add(part, code.integer(1)), all), count);
    code.loop(begin, end, band, [&](Value upper) {
      Value lower = code.min(end, code.add(upper, code.integer(band)));
      code.loop(code.integer(0), code.integer(pixels[1]), lanes, [&](Value column) {
        code.loop(upper, lower, 1, [&](Value block) { tile(e, channel, code.mul(block, code.integer(rows)), column); });
      });
    });
  }

  /// Whether row i of those that a block sees lies over the edge in some block.
  bool rowMayMiss(int64_t i) const {
    return i < op.low[0] || (blocks - 1) * rows * op.strides[0] + i - op.low[0] >= size[0];
  }

  /// As many neighbours of a row of the image as there are lanes, from `offset` behind a tile's first window on; `from`
  /// is that place, `there` whether there is such a row (null: yes). Zero where there is none.
  Value neighbours(Emitter &e, Value from, Value there, Value column, int64_t offset) const {
    Code &code = e.code;
    int64_t last = (pixels[1] - 1) / lanes * lanes * op.strides[1];
    VectorType type = code.vectorOf(e.registerType(c.accumulator), lanes);
    Mask mask{{}, there};
    if (offset < op.low[1] || last + offset - op.low[1] + lanes > size[1])
      mask.lanes = e.inRange(e.at(placeOf(code, column, offset), 1), code.integer(0), code.integer(size[1]));
    Value place = code.address(from, code.integer(offset), byteSize(c.accumulator)), on = e.laneMask(mask);
    return on ? code.maskedLoad(type, place, on, byteSize(c.accumulator))
              : code.load(type, place, byteSize(c.accumulator));
  }

  /// The column of the image that lies `offset` behind a window's first one.
  Value placeOf(Code &code, Value column, int64_t offset) const {
    return code.add(code.mul(column, code.integer(op.strides[1])), code.integer(offset - op.low[1]));
  }

  /// Of a row of the image what lies under tap j, each lane's by itself.
  Value gathered(Emitter &e, Value from, Value there, Value column, int64_t j) const {
    Code &code = e.code;
    int64_t offset = j * op.filterDilation[1], step = op.strides[1];
    Mask mask{e.inRange(e.at(placeOf(code, column, offset), step), code.integer(0), code.integer(size[1])), there};
    if (pixels[1] % lanes)
      mask.lanes = code.both(mask.lanes, code.firstLanes(code.sub(code.integer(pixels[1]), column), lanes));
    Value loaded = e.loadOffset(c.accumulator, from, e.at(code.integer(offset), step), mask);
    return code.op<arith::SelectOp>(e.laneMask(mask), loaded, code.constant(loaded.getType(), 0.0));
  }

  /// A row of the image under each tap of its windows.
  SmallVector<Value> underTaps(Emitter &e, Value from, Value there, Value column) const {
    auto load = [&](int64_t offset) { return neighbours(e, from, there, column, offset); };
    if (op.strides[1] == 2 && op.filterDilation[1] == 1)
      return everySecond(e.code, taps[1], lanes, load);
    SmallVector<Value> under;
    for (int64_t j = 0; j < taps[1]; ++j)
      under.push_back(op.strides[1] == 1 ? load(j * op.filterDilation[1]) : gathered(e, from, there, column, j));
    return under;
  }

  /// The place of the first window's first tap in the image's row under a tile's first row, wherever that is.
  Value corner(Emitter &e, const Channel &channel, Value first, Value column) const {
    Code &code = e.code;
    Value image =
        code.add(code.mul(channel.batch[0].base, e.extent(graph.type(op.operands[0]).dims[1])), channel.group);
    Value row = code.add(code.mul(first, code.integer(op.strides[0])), code.integer(-op.low[0]));
    Value place = code.mul(code.add(code.mul(image, code.integer(size[0])), row), code.integer(size[1]));
    place = code.add(place, placeOf(code, column, 0));
    return code.address(e.input(static_cast<size_t>(graph.inputNumber(op.operands[0]))), place,
                        byteSize(c.accumulator));
  }

  void tile(Emitter &e, const Channel &channel, Value first, Value column) const {
    Code &code = e.code;
    VectorType type = code.vectorOf(e.registerType(c.accumulator), lanes);
    Value filter = code.add(code.mul(channel.group, e.elements(c.m)), channel.number);
    SmallVector<Value> sums(static_cast<size_t>(rows), code.constant(type, 0.0));
    int64_t seen = (rows - 1) * op.strides[0] + (taps[0] - 1) * op.filterDilation[0] + 1;
    Value top = code.mul(first, code.integer(op.strides[0])), place = corner(e, channel, first, column);
    for (int64_t i = 0; i < seen; ++i) {
      SmallVector<Value> under;
      for (int64_t r = 0; r < rows; ++r) {
        int64_t down = i - r * op.strides[0], tap = down / op.filterDilation[0];
        if (down < 0 || down % op.filterDilation[0] || tap >= taps[0])
          continue;
        if (under.empty()) {
          Index row = e.at(code.add(top, code.integer(i - op.low[0])));
          Value there = rowMayMiss(i) ? e.inRange(row, code.integer(0), code.integer(size[0])) : Value();
          under = underTaps(e, code.address(place, code.integer(i * size[1]), byteSize(c.accumulator)), there, column);
        }
        Value &sum = sums[static_cast<size_t>(r)];
        for (int64_t j = 0; j < taps[1]; ++j) {
          Value image = under[static_cast<size_t>(j)];
          Value weight = e.vector(
              e.value(op.operands[1], {e.at(filter), e.zero(), e.at(code.integer(tap)), e.at(code.integer(j))}, {}));
          sum = code.machine.fma
                    ? Value(code.here<math::FmaOp>(image, weight, sum))
                    : Value(code.here<arith::AddFOp>(sum, code.here<arith::MulFOp>(image, weight).getResult()));
        }
      }
    }
    for (int64_t r = 0; r < rows; ++r)
      finish(e, channel, code.add(first, code.integer(r)), column, sums[static_cast<size_t>(r)]);
  }

  void finish(Emitter &e, const Channel &channel, Value row, Value column, Value sum) const {
    Code &code = e.code;
    Mask mask;
    if (pixels[1] == 1)
      sum = code.here<vector::ExtractOp>(sum, ArrayRef<int64_t>{0});
    else if (pixels[1] % lanes)
      mask.lanes = code.firstLanes(code.sub(code.integer(pixels[1]), column), lanes);
    if (pixels[0] % rows)
      mask.uniform = code.compare(arith::CmpIPredicate::slt, row, code.integer(pixels[0]));
    Indices at{e.at(row), e.at(column, 1)};
    if (c.n.size() != c.columns.size())
      at = e.indicesOf(c.n, e.linear(c.columns, at));
    at = c.resultPosition(e, channel.batch, {e.at(channel.number)}, at);
    e.bind(c.result, [sum](ArrayRef<Index>, const Mask &) { return sum; });
    sink(e, at, mask);
    e.unbind(c.result);
  }
};
} // namespace

bool buildDepthwise(KernelBuilder &builder, const Contraction &c, const ContractSink &sink) {
  const Graph &graph = builder.graph;
  const Op &op = graph.ops[c.op];
  if (op.code != OpCode::Convolution || op.groups < 2 || !c.window || c.window->axes.size() != 2 ||
      !c.window->channels.isOne() || graph.inputNumber(op.operands[0]) < 0)
    return false;
  const TensorType &input = graph.type(op.operands[0]);
  bool plain = llvm::all_of(op.inputDilation, [](int64_t dilation) { return dilation == 1; });
  for (size_t d = 2; d < 4; ++d)
    plain &= input.dims[d].isConstant() && op.low[d - 2] >= 0;
  // Larger windows would be long code.
  if (!plain || !isFloat(input.dtype) || input.dtype != c.accumulator || c.window->taps > 64)
    return false;
  Depthwise(builder, c, sink).build();
  return true;
}

} // namespace kiln::cpu
