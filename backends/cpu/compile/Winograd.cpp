// The phases of a convolution by Winograd's tiles (Winograd.h says what they compute).
//
//   filters    a task a row of the filters, G g Gᵀ into slivers: [sliver][place][channels / lanes][rows][lanes]. Made
//              once for filters that last (kiln_cpu_prepacking).
//   images     a task a channel of an image: copied in planes, from which a vector of neighbouring tiles is a vector
//              at each of their places; Bᵀ d B into panels: [image][panel][place][channels][tiles]
//   tiles      a task some panels and slivers: of each of them the product at every place, into the worker's scratch;
//              from there Aᵀ m A, outputs of neighbouring tiles side by side, and the epilogue.
//
// A place is a position of a tile, row by row.
#include "backends/cpu/compile/Winograd.h"
#include "backends/cpu/compile/ContractLowering.h"

using namespace mlir;
using llvm::ArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {

namespace {
using Grid = SmallVector<SmallVector<Value>>;
constexpr int64_t bytes = 4;

/// matrix · x, for one vector of numbers.
SmallVector<Value> times(Code &code, const WinogradMatrices::Matrix &matrix, ArrayRef<Value> x) {
  SmallVector<Value> result;
  for (const auto &row : matrix) {
    Value sum;
    auto add = [&](double factor, Value value) {
      if (factor == 1)
        sum = sum ? Value(code.here<arith::AddFOp>(sum, value)) : value;
      else if (factor == -1 && sum)
        sum = code.here<arith::SubFOp>(sum, value);
      else if (sum && code.machine.fma)
        sum = code.here<math::FmaOp>(code.constant(value.getType(), factor), value, sum);
      else {
        Value product = code.here<arith::MulFOp>(value, code.constant(value.getType(), factor));
        sum = sum ? Value(code.here<arith::AddFOp>(sum, product)) : product;
      }
    };
    for (bool positive : {true, false}) // the first term is no difference
      for (auto [factor, value] : llvm::zip(row, x))
        if (factor != 0 && (factor > 0) == positive)
          add(factor, value);
    result.push_back(sum);
  }
  return result;
}

Grid transposed(const Grid &grid) {
  Grid result(grid[0].size());
  for (const auto &row : grid)
    for (auto [i, value] : llvm::enumerate(row))
      result[i].push_back(value);
  return result;
}

/// matrix · grid · matrixᵀ
Grid transform(Code &code, const WinogradMatrices::Matrix &matrix, const Grid &grid) {
  auto ofEach = [&](const Grid &vectors) {
    Grid result;
    for (const auto &vector : vectors)
      result.push_back(times(code, matrix, vector));
    return result;
  };
  return ofEach(transposed(ofEach(transposed(grid))));
}

class Winograd {
public:
  Winograd(KernelBuilder &builder, const Contraction &c, const ContractSink &sink, const WinogradCut &t)
      : builder(builder), graph(builder.graph), c(c), sink(sink), t(t), window(c.tiles(t.outputs)), side(t.outputs + 2),
        channels(graph.bound(c.k[0])), outputs(graph.bound(c.m)), tiles(window.pixels()), width(t.vectors * t.lanes),
        panels(ceilDivide(tiles, width)), slivers(ceilDivide(outputs, t.rows)),
        sliverStride(roundUp(channels, t.lanes) * t.rows), panelStride(spreadStride(channels * width, bytes)),
        planeStride(spreadStride(window.columns + window.reach, bytes)) {
    for (size_t d = 0; d < 2; ++d)
      pixels[d] = graph.bound(c.columns[c.columns.size() - 2 + d]);
    int64_t filterBytes = t.places() * slivers * sliverStride * bytes;
    filterArea = builder.reserveScratch(filterBytes);
    imageArea = builder.reserveScratch(graph.bound(c.batch) * panels * t.places() * panelStride * bytes);
    planesArea = builder.reserveWorkerScratch((window.planes * planeStride + t.lanes) * bytes);
    sumsArea = builder.reserveWorkerScratch(t.places() * t.rows * width * bytes);
    stripArea = builder.reserveWorkerScratch(t.outputs * t.outputs * width * bytes);
    if (builder.isLasting(c.left.plainInput) && !builder.prepacking) {
      lasting = true;
      Prepacking &prepacking = builder.prepacking.emplace();
      prepacking.input = c.left.plainInput;
      prepacking.bytes = filterBytes;
      llvm::raw_string_ostream(prepacking.layout)
          << "winograd " << t.outputs << ", " << outputs << " by " << channels << " in " << t.rows << " by " << t.lanes;
    }
  }

  void build() {
    builder.note(t.outputs == 2 ? "winograd 2x2" : "winograd 4x4");
    if (lasting)
      builder.prepacking->replaces = builder.phaseCount;
    phase([&](Emitter &e) { return e.elements(c.m); }, &Winograd::filterTask);
    phase([&](Emitter &e) { return e.code.mul(e.elements(c.batch), e.code.integer(channels)); }, &Winograd::imageTask);
    phase([&](Emitter &e) { return e.code.mul(e.elements(c.batch), e.code.integer(panelBlocks() * sliverBlocks())); },
          &Winograd::tileTask);
  }

private:
  KernelBuilder &builder;
  const Graph &graph;
  const Contraction &c;
  const ContractSink &sink;
  const WinogradCut t;
  const Contraction::Window window;
  const int64_t side, channels, outputs, tiles, width, panels, slivers; // of a tile; of all
  const int64_t sliverStride, panelStride, planeStride;                 // elements
  int64_t pixels[2];                                                    // of the result
  int64_t filterArea, imageArea, planesArea, sumsArea, stripArea;
  bool lasting = false;

  int64_t panelBlocks() const { return ceilDivide(panels, t.panelsOfTask); }
  int64_t sliverBlocks() const { return ceilDivide(slivers, t.sliversOfTask); }

  void phase(llvm::function_ref<Value(Emitter &)> tasks, void (Winograd::*body)(Emitter &e, Value task) const) {
    builder.addPhase(
        tasks,
        [&](Emitter &e) {
          e.code.loop(e.arguments.begin, e.arguments.end, 1, [&](Value task) { (this->*body)(e, task); });
        },
        t.lanes);
  }

  VectorType vectorType(Code &code) const { return code.vectorOf(code.f32, t.lanes); }

  /// Element 0 of a place of a sliver; of an image's panel.
  Value sliverAt(Emitter &e, Value sliver, Value place) const {
    Code &code = e.code;
    Value number = code.add(code.mul(sliver, code.integer(t.places())), place);
    return code.address(sharedBase(e, lasting, true, filterArea), code.mul(number, code.integer(sliverStride)), bytes);
  }
  Value panelAt(Emitter &e, Value image, Value panel, Value place) const {
    Code &code = e.code;
    Value number =
        code.add(code.mul(code.add(code.mul(image, code.integer(panels)), panel), code.integer(t.places())), place);
    return code.address(e.scratch(imageArea), code.mul(number, code.integer(panelStride)), bytes);
  }

  void filterTask(Emitter &e, Value row) const {
    Code &code = e.code;
    Value sliver = code.div(row, code.integer(t.rows)), inSliver = code.rem(row, code.integer(t.rows));
    code.loop(code.integer(0), code.integer(channels), t.lanes, [&](Value first) {
      Mask mask{code.firstLanes(code.sub(code.integer(channels), first), t.lanes), {}};
      Grid taps;
      for (int64_t i = 0; i < 3; ++i) {
        SmallVector<Value> &of = taps.emplace_back();
        for (int64_t j = 0; j < 3; ++j) {
          Value tap = code.add(code.mul(first, code.integer(9)), code.integer(3 * i + j));
          Indices place{e.at(first, 1), e.at(code.integer(i)), e.at(code.integer(j))};
          Indices images(c.batch.size(), e.zero());
          of.push_back(e.vector(c.left.element(e, images, Position(c.m, e.at(row), Indices{e.at(row)}),
                                               Position(c.k, e.at(tap, 9), place), mask)));
        }
      }
      Grid made = transform(code, winogradMatrices(t.outputs).filter, taps);
      Value line = code.add(code.mul(first, code.integer(t.rows)), code.mul(inSliver, code.integer(t.lanes)));
      for (int64_t place = 0; place < t.places(); ++place)
        code.store(made[place / side][place % side],
                   code.address(sliverAt(e, sliver, code.integer(place)), line, bytes), bytes);
    });
  }

  void imageTask(Emitter &e, Value task) const {
    Code &code = e.code;
    Value channel = code.rem(task, code.integer(channels)), image = code.div(task, code.integer(channels));
    Planes planes{e.workerScratch(planesArea), planeStride, bytes};
    packPlanes(e, window, e.indicesOfRow(c.batch, image), planes, channel, code.add(channel, code.integer(1)),
               code.integer(0), code.integer(window.columns + window.reach));
    Value end = code.integer(tiles);
    code.loop(code.integer(0), end, t.lanes, [&](Value n) {
      VectorOfPixels vector(e, window, planes, n, end, code.integer(0));
      Grid seen;
      for (int64_t i = 0; i < side; ++i) {
        SmallVector<Value> &row = seen.emplace_back();
        for (int64_t j = 0; j < side; ++j) {
          auto [plane, offset] = window.lookup(code, {e.at(code.integer(i)), e.at(code.integer(j))});
          offset = code.add(code.mul(plane, code.integer(planeStride)), offset);
          row.push_back(vector.load(code, vectorType(code), code.mul(offset, code.integer(bytes))));
        }
      }
      Grid made = transform(code, winogradMatrices(t.outputs).image, seen);
      Value panel = code.div(n, code.integer(width)), inPanel = code.rem(n, code.integer(width));
      Value place = code.add(code.mul(channel, code.integer(width)), inPanel);
      for (int64_t i = 0; i < t.places(); ++i)
        code.store(made[i / side][i % side], code.address(panelAt(e, image, panel, code.integer(i)), place, bytes),
                   bytes);
    });
  }

  void tileTask(Emitter &e, Value task) const {
    Code &code = e.code;
    Value sliverBlock = code.rem(task, code.integer(sliverBlocks())),
          rest = code.div(task, code.integer(sliverBlocks()));
    Value panelBlock = code.rem(rest, code.integer(panelBlocks())), image = code.div(rest, code.integer(panelBlocks()));
    auto part = [&](Value block, int64_t each, int64_t all) {
      Value begin = code.mul(block, code.integer(each));
      return std::pair(begin, code.min(code.add(begin, code.integer(each)), code.integer(all)));
    };
    auto [firstSliver, lastSliver] = part(sliverBlock, t.sliversOfTask, slivers);
    auto [firstPanel, lastPanel] = part(panelBlock, t.panelsOfTask, panels);
    int64_t narrow = ceilDivide(tiles - (panels - 1) * width, t.lanes); // vectors of the last panel
    code.loop(firstSliver, lastSliver, 1, [&, firstPanel = firstPanel, lastPanel = lastPanel](Value sliver) {
      code.loop(firstPanel, lastPanel, 1, [&](Value panel) {
        Value again = code.compare(arith::CmpIPredicate::ne, panel, firstPanel);
        if (narrow == t.vectors)
          return multiply(e, image, sliver, panel, again, t.vectors);
        if (panels == 1)
          return multiply(e, image, sliver, panel, again, narrow);
        Value isLast = code.compare(arith::CmpIPredicate::eq, panel, code.integer(panels - 1));
        code.ifElse(
            isLast, [&] { multiply(e, image, sliver, panel, again, narrow); },
            [&] { multiply(e, image, sliver, panel, again, t.vectors); });
      });
    });
  }

  /// The products of a sliver and a panel at all places. `again`: the sliver is near already; else the next place's is
  /// fetched meanwhile, and after the last one the next sliver's first.
  void multiply(Emitter &e, Value image, Value sliver, Value panel, Value again, int64_t vectors) const {
    Code &code = e.code;
    Value apart = code.integer(width * bytes),
          lines = code.op<arith::SelectOp>(again, code.integer(0), code.integer(t.rows));
    code.loop(code.integer(0), code.integer(t.places()), 1, [&](Value place) {
      Value to = code.address(e.workerScratch(sumsArea), code.mul(place, code.integer(t.rows * width)), bytes);
      Value from = sliverAt(e, sliver, place);
      Ahead ahead{code.address(from, code.integer(sliverStride), bytes), code.integer(64), lines,
                  code.integer(t.rows * t.lanes * bytes)};
      callMicroKernel(code, {KILN_F32, t.rows, vectors, t.lanes, true}, from, panelAt(e, image, panel, place), apart,
                      to, apart, code.integer(channels), code.constantInt(code.i1, 0), ahead);
    });
    Value first = code.mul(sliver, code.integer(t.rows));
    Value rows = code.min(code.sub(code.integer(outputs), first), code.integer(t.rows));
    code.loop(code.integer(0), rows, 1, [&](Value row) {
      for (int64_t v = 0; v < vectors; ++v)
        makeStrips(e, row, v);
      finishStrips(e, image, code.add(first, row), panel);
    });
  }

  /// Of a row of sums: the outputs of a vector of tiles, those of neighbours side by side, one strip for each of a
  /// tile's rows.
  void makeStrips(Emitter &e, Value row, int64_t vector) const {
    Code &code = e.code;
    Value from = code.address(e.workerScratch(sumsArea), code.mul(row, code.integer(width)), bytes);
    Grid sums;
    for (int64_t i = 0; i < side; ++i) {
      SmallVector<Value> &of = sums.emplace_back();
      for (int64_t j = 0; j < side; ++j) {
        int64_t place = (i * side + j) * t.rows * width + vector * t.lanes;
        of.push_back(code.loadHere(vectorType(code), code.address(from, code.integer(place), bytes), bytes));
      }
    }
    Grid made = transform(code, winogradMatrices(t.outputs).output, sums);
    for (int64_t i = 0; i < t.outputs; ++i) {
      SmallVector<Value> strip = interleaved(code, made[static_cast<size_t>(i)]);
      for (auto [j, part] : llvm::enumerate(strip)) {
        int64_t place = (i * width + vector * t.lanes) * t.outputs + static_cast<int64_t>(j) * t.lanes;
        code.store(part, code.address(e.workerScratch(stripArea), code.integer(place), bytes), bytes);
      }
    }
  }

  /// Lane l of vector j becomes element l * vectors + j. Vectors: a power of two of them.
  SmallVector<Value> interleaved(Code &code, SmallVector<Value> vectors) const {
    if (vectors.size() == 1)
      return vectors;
    size_t half = vectors.size() / 2;
    SmallVector<Value> even, odd, result;
    for (size_t i = 0; i < half; ++i) {
      even.push_back(vectors[2 * i]);
      odd.push_back(vectors[2 * i + 1]);
    }
    even = interleaved(code, even), odd = interleaved(code, odd);
    SmallVector<int64_t> low, high;
    for (int64_t l = 0; l < t.lanes; ++l) {
      low.push_back(l / 2 + (l % 2) * t.lanes);
      high.push_back(l / 2 + (l % 2) * t.lanes + t.lanes / 2);
    }
    for (size_t i = 0; i < half; ++i) {
      result.push_back(code.here<vector::ShuffleOp>(even[i], odd[i], low));
      result.push_back(code.here<vector::ShuffleOp>(even[i], odd[i], high));
    }
    return result;
  }

  /// The strips of a panel, row of tiles by row of tiles, become elements of the result.
  void finishStrips(Emitter &e, Value image, Value output, Value panel) const {
    Code &code = e.code;
    Value n0 = code.mul(panel, code.integer(width)),
          n1 = code.min(code.add(n0, code.integer(width)), code.integer(tiles));
    Value inRow = code.integer(window.axes.back().pixels), made = code.integer(t.outputs);
    Shape outer;
    for (const Contraction::Window::Axis &axis : ArrayRef(window.axes).drop_back())
      outer.push_back(Extent(axis.pixels));
    code.loop(code.div(n0, inRow), code.ceilDiv(n1, inRow), 1, [&](Value row) {
      Value rowBegin = code.mul(row, inRow), begin = code.max(n0, rowBegin);
      Value end = code.min(n1, code.add(rowBegin, inRow));
      Indices position = e.indicesOfRow(outer, row);
      Value y0 = code.mul(position.back().base, made), x0 = code.mul(code.sub(begin, rowBegin), made);
      Value x1 = code.min(code.mul(code.sub(end, rowBegin), made), code.integer(pixels[1]));
      Value rows = code.min(made, code.sub(code.integer(pixels[0]), y0));
      code.loop(code.integer(0), rows, 1, [&](Value i) {
        Value from = code.add(code.mul(i, code.integer(width)), code.sub(begin, n0));
        Value strip = code.address(e.workerScratch(stripArea), code.mul(from, made), bytes);
        position.back() = e.at(code.add(y0, i));
        code.loop(x0, x1, t.lanes, [&](Value x) {
          Value sums = code.loadHere(vectorType(code), code.address(strip, code.sub(x, x0), bytes), bytes);
          finish(e, image, output, position, x, code.firstLanes(code.sub(x1, x), t.lanes), sums);
        });
      });
    });
  }

  void finish(Emitter &e, Value image, Value output, const Indices &position, Value x, Value lanes, Value sums) const {
    Mask mask{lanes, {}};
    Indices at = position;
    at.push_back(e.at(x, 1));
    if (c.n.size() != c.columns.size()) { // the result's rows of pixels are one dimension
      Index pixel = e.linear(ArrayRef(c.columns).take_back(2), ArrayRef(at).take_back(2));
      at.truncate(at.size() - 2);
      at.push_back(pixel);
    }
    if (pixels[1] == 1) { // no lanes to speak of
      sums = e.code.here<vector::ExtractOp>(sums, ArrayRef<int64_t>{0});
      mask = {};
    }
    at = c.resultPosition(e, e.indicesOfRow(c.batch, image), {e.at(output)}, at);
    e.bind(c.result, [sums](ArrayRef<Index>, const Mask &) { return sums; });
    sink(e, at, mask);
    e.unbind(c.result);
  }
};
} // namespace

bool buildWinograd(KernelBuilder &builder, const Contraction &c, const ContractSink &sink) {
  const Graph &graph = builder.graph;
  bool constant = c.m.size() == 1 && c.m[0].isConstant() && !c.k.empty() && c.k[0].isConstant();
  if (!builder.machine.fast || !c.tiles || !constant || c.accumulator != KILN_F32 || c.operandType != KILN_F32 ||
      graph.type(c.result).dtype != KILN_F32 || c.left.plainInput < 0 || c.turned)
    return false;
  int64_t pixels = c.window->pixels();
  // Claims do not know yet whether the filter lasts: they ask for what it then takes, if it does.
  bool lasts = !builder.knowsLasting() || builder.isLasting(c.left.plainInput);
  WinogradExtents extents{graph.bound(c.batch), graph.bound(c.m), graph.bound(c.k[0]), pixels, lasts};
  if (extents.batch < 1 || extents.channels < 1 || extents.outputs < 1)
    return false; // nothing to cut, by which the model divides
  WinogradCut cut = chooseWinograd(builder.machine, extents, [&](int64_t outputs) {
    Contraction::Window window = c.tiles(outputs);
    return WinogradTiles{window.pixels(), window.planes, window.columns + window.reach,
                         graph.bound(window.plane.back()), window.rowsOfVector(registerTile(builder.machine, 4).lanes)};
  });
  if (!cut.outputs)
    return false;
  // Where it turns out not to last, the definition's sums may be cheaper.
  int64_t before = builder.scratchBytes, plain = 0;
  if (!builder.knowsLasting())
    plain = builder.scratchOf([&] { ContractLowering(builder, c, sink); });
  Winograd(builder, c, sink, cut).build();
  builder.scratchBytes = std::max(builder.scratchBytes, before + plain);
  return true;
}

} // namespace kiln::cpu
