// The phases of a convolution with pixels as rows (PixelRows.h says why there are such).
//
//   filter     a task a panel of output channels: [panel][k][channels]. Made once for filters that last
//              (kiln_cpu_prepacking).
//   image      a task a channel of an image, copied in planes; none where one task has all of an image. Of an image
//              that is a matrix a task some channels, cut into pieces: [piece][channel][pixels], each of these a line.
//   tiles      a task some pieces of pixels and a panel: K block after K block, of each all pieces. Then sums, [pixel]
//              [channel], are turned, and each channel's pixels become elements of the result.
//
// An element under a window lies where its pixel does, and as far from there as a table says that has a place for each
// k of a block; further channels lie as far from those of the block as the block begins behind the first one.
#include "backends/cpu/compile/PixelRows.h"
#include "backends/cpu/compile/ContractLowering.h"

using namespace mlir;
using llvm::ArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {

namespace {
constexpr int64_t bytes = 4;

class PixelRows {
public:
  PixelRows(KernelBuilder &builder, const Contraction &c, const ContractSink &sink, const PixelCut &t, bool matrix,
            bool lasts)
      : builder(builder), graph(builder.graph), c(c), sink(sink), t(t), window(*c.window), matrix(matrix),
        channels(graph.bound(window.channels)), outputs(graph.bound(c.m)), depth(channels * window.taps),
        panels(ceilDivide(outputs, t.columns())),
        panelStride(roundUp(depth + (c.turned ? t.lanes : 0), t.lanes) * t.columns()),
        planeStride(matrix ? t.lanes : spreadStride(window.columns + window.reach + t.lanes, bytes)) {
    int64_t filterBytes = panels * panelStride * bytes, most = t.piecesOfTask * t.rows;
    turnedStride = spreadStride(most + t.lanes, bytes);
    packsBlocks = !lasts && t.packsBlocks;
    if (packsBlocks)
      blockArea = builder.reserveWorkerScratch((roundUp(t.channelsOfBlock * window.taps, t.lanes) + t.lanes) *
                                               t.columns() * bytes);
    else
      filterArea = builder.reserveScratch(filterBytes);
    copiesImage = !matrix && !c.batch.empty() && panels * blocks() == 1;
    imageStride = (matrix ? t.pieces() : window.planes) * channels * planeStride;
    imageArea = copiesImage ? builder.reserveWorkerScratch(imageStride * bytes)
                            : builder.reserveScratch(graph.bound(c.batch) * imageStride * bytes);
    offsetsArea = builder.reserveWorkerScratch(t.channelsOfBlock * window.taps * 8);
    sumsArea = builder.reserveWorkerScratch(most * t.columns() * bytes);
    turnedArea = builder.reserveWorkerScratch((t.columns() * turnedStride + t.lanes) * bytes);
    far = filterBytes > secondLevelOf(builder.machine) / 2;
    if (lasts && !c.turned && builder.isLasting(c.left.plainInput) && !builder.prepacking) {
      lasting = true;
      Prepacking &prepacking = builder.prepacking.emplace();
      prepacking.input = c.left.plainInput;
      prepacking.bytes = filterBytes;
      llvm::raw_string_ostream(prepacking.layout)
          << "turned, " << outputs << " by " << depth << " in " << t.columns() << ", " << t.lanes;
    }
  }

  void build() {
    builder.note("pixels as rows");
    if (lasting)
      builder.prepacking->replaces = builder.phaseCount;
    if (c.turned)
      builder.note("filter turned");
    if (!packsBlocks)
      phase([&](Emitter &e) { return e.code.integer(panels); }, &PixelRows::filterTask, false);
    int64_t tasks = matrix ? ceilDivide(channels, channelsOfTask) : channels; // of an image
    if (!copiesImage)
      phase([&](Emitter &e) { return e.code.mul(e.elements(c.batch), e.code.integer(tasks)); },
            matrix ? &PixelRows::matrixTask : &PixelRows::imageTask, false);
    phase([&](Emitter &e) { return e.code.mul(e.elements(c.batch), e.code.integer(blocks() * panels)); },
          &PixelRows::tileTask, true);
  }

private:
  KernelBuilder &builder;
  const Graph &graph;
  const Contraction &c;
  const ContractSink &sink;
  const PixelCut t;
  const Contraction::Window &window;
  const bool matrix;
  const int64_t channels, outputs, depth, panels;
  const int64_t panelStride, planeStride; // elements
  static constexpr int64_t channelsOfTask = 16;
  int64_t imageStride = 0, turnedStride = 0, filterArea = 0, imageArea = 0, offsetsArea = 0, sumsArea = 0,
          turnedArea = 0;
  int64_t blockArea = 0;
  bool copiesImage = false; // each task, which has all of one
  bool packsBlocks = false; // of the filter: each task those of its panel
  bool lasting = false;
  bool far = false; // the filter does not stay in the second level: what comes next of it is fetched

  int64_t blocks() const { return ceilDivide(t.pieces(), t.piecesOfTask); }

  void phase(llvm::function_ref<Value(Emitter &)> tasks, void (PixelRows::*body)(Emitter &e, Value task) const,
             bool offsets) {
    builder.addPhase(
        tasks,
        [&](Emitter &e) {
          if (offsets)
            oncePerWorker(e, [&] { fillOffsets(e); });
          e.code.loop(e.arguments.begin, e.arguments.end, 1, [&](Value task) { (this->*body)(e, task); });
        },
        t.lanes);
  }

  VectorType vectorType(Code &code) const { return code.vectorOf(code.f32, t.lanes); }

  Value panelAt(Emitter &e, Value panel, Value k) const {
    Code &code = e.code;
    Value row = code.mul(k, code.integer(t.columns()));
    return code.address(sharedBase(e, lasting, true, filterArea),
                        code.add(code.mul(panel, code.integer(panelStride)), row), bytes);
  }

  Value channelAt(Emitter &e, Value image, Value channel) const {
    Code &code = e.code;
    Value place = code.mul(channel, code.integer((matrix ? 1 : window.planes) * planeStride));
    if (copiesImage)
      return code.address(e.workerScratch(imageArea), place, bytes);
    return code.address(e.scratch(imageArea), code.add(code.mul(image, code.integer(imageStride)), place), bytes);
  }

  /// From an image's first place to the one that a piece's first pixel sees at the window's first position.
  Value placeOfPiece(Emitter &e, Value piece, Value n) const {
    return matrix ? e.code.mul(piece, e.code.integer(channels * t.lanes)) : window.placeOf(e, n);
  }

  void filterTask(Emitter &e, Value panel) const {
    packFilter(e, panel, e.code.integer(0), e.code.integer(channels), panelAt(e, panel, e.code.integer(0)));
  }

  /// Some channels of a panel of the filter. Of one that is turned (Contraction::Turned) a row for each tap in the
  /// order of memory, which the table of offsets knows.
  void packFilter(Emitter &e, Value panel, Value channel0, Value channel1, Value to) const {
    Code &code = e.code;
    Value taps = code.integer(window.taps);
    Value across = c.turned ? e.extent(c.turned->rows) : e.extent(c.left.freeStride);
    auto pack = [&](Value output, Value rows, Value place, Value k, Value at) {
      Value from = code.address(e.input(static_cast<size_t>(c.left.plainInput)),
                                code.add(code.mul(output, across), place), bytes);
      callPack(code, {KILN_F32, t.lanes, Packing::Turn, KILN_F32}, from, code.mul(across, code.integer(bytes)), rows, k,
               at, code.integer(t.columns() * bytes));
    };
    auto vectors = [&](Value place, Value k, Value row) {
      for (int64_t v = 0; v < t.vectors; ++v) {
        Value output = code.add(code.mul(panel, code.integer(t.columns())), code.integer(v * t.lanes));
        Value rows = code.min(code.sub(code.integer(outputs), output), code.integer(t.lanes));
        code.ifThen(code.compare(arith::CmpIPredicate::sgt, rows, code.integer(0)),
                    [&] { pack(output, rows, place, k, code.address(row, code.integer(v * t.lanes), bytes)); });
      }
    };
    // What follows is fetched meanwhile: rows are far apart, or their parts short, so that no processor would.
    auto fetch = [&](Value output, Value place, int64_t size) {
      Value from = code.address(e.input(static_cast<size_t>(c.left.plainInput)),
                                code.add(code.mul(output, across), place), bytes);
      for (int64_t byte = 0; byte < size; byte += 64)
        code.here<LLVM::Prefetch>(code.address(from, code.integer(byte), 1), 0u, 3u, 1u);
    };
    Value first = code.mul(panel, code.integer(t.columns()));
    if (!c.turned) {
      int64_t some = 4 * t.lanes;
      Value begin = code.mul(channel0, taps), end = code.mul(channel1, taps);
      code.loop(begin, end, some, [&](Value k) {
        Value next = code.add(k, code.integer(some)), last = code.min(next, end);
        code.loop(code.integer(0), code.min(code.integer(t.columns()), code.sub(code.integer(outputs), first)), 1,
                  [&](Value r) { fetch(code.add(first, r), next, some * bytes); });
        vectors(k, code.sub(last, k), code.address(to, code.mul(code.sub(k, begin), code.integer(t.columns())), bytes));
      });
      return;
    }
    Value depth = e.extent(c.turned->depth);
    code.loop(channel0, channel1, 1, [&](Value channel) {
      fetch(first, code.mul(code.add(channel, code.integer(8)), depth), t.columns() * window.taps * bytes);
      Value row = code.mul(code.sub(channel, channel0), code.integer(window.taps * t.columns()));
      vectors(code.mul(channel, depth), taps, code.address(to, row, bytes));
    });
  }

  void imageTask(Emitter &e, Value task) const {
    Code &code = e.code;
    Value channel = code.rem(task, code.integer(channels)), image = code.div(task, code.integer(channels));
    copyChannels(e, image, channel, code.add(channel, code.integer(1)));
  }

  void matrixTask(Emitter &e, Value task) const {
    Code &code = e.code;
    Value parts = code.integer(ceilDivide(channels, channelsOfTask)), image = code.div(task, parts);
    Value first = code.mul(code.rem(task, parts), code.integer(channelsOfTask));
    Value last = code.min(code.add(first, code.integer(channelsOfTask)), code.integer(channels));
    Value start = code.integer(0);
    for (auto [index, stride] : llvm::zip(e.indicesOfRow(c.batch, image), c.right.batchStrides))
      start = code.add(start, code.mul(index.base, e.extent(stride)));
    code.loop(first, last, 1, [&](Value channel) {
      Value place = code.add(start, code.mul(channel, e.extent(c.right.kStride)));
      Value from = code.address(e.input(static_cast<size_t>(c.right.plainInput)), place, bytes);
      Value to = channelAt(e, image, channel);
      code.loop(code.integer(0), code.integer(t.pieces()), 1, [&](Value piece) {
        Value n = pixelAt(code, piece), rest = code.sub(code.integer(window.pixels()), n);
        Value some = code.firstLanes(code.min(rest, code.integer(t.rows)), t.lanes);
        code.store(code.maskedLoad(vectorType(code), code.address(from, n, bytes), some, bytes, true),
                   code.address(to, placeOfPiece(e, piece, n), bytes), bytes);
      });
    });
  }

  void copyChannels(Emitter &e, Value image, Value first, Value last) const {
    Planes planes{channelAt(e, image, first), planeStride, bytes};
    packPlanes(e, window, e.indicesOfRow(c.batch, image), planes, first, last, e.code.integer(0),
               e.code.integer(window.columns + window.reach));
  }

  /// In bytes, for each k of a block.
  void fillOffsets(Emitter &e) const {
    Code &code = e.code;
    Value table = e.workerScratch(offsetsArea), taps = code.integer(window.taps);
    code.loop(code.integer(0), code.integer(t.channelsOfBlock * window.taps), 1, [&](Value k) {
      Value tap = code.rem(k, taps);
      if (c.turned && c.turned->taken[0] > 0) // the window is reversed
        tap = code.sub(code.integer(window.taps - 1), tap);
      Indices at = e.indicesOf(ArrayRef(c.k).drop_front(), e.at(tap));
      auto [plane, offset] = window.lookup(code, at);
      plane = code.add(plane, code.mul(code.div(k, taps), code.integer(window.planes)));
      offset = code.add(offset, code.mul(plane, code.integer(planeStride)));
      code.store(code.mul(offset, code.integer(bytes)), code.address(table, k, 8), 8);
    });
  }

  /// The first pixel of a piece; of the one behind the last: as many as there are.
  Value pixelAt(Code &code, Value piece) const {
    Value inLine = code.integer(t.piecesOfLine());
    Value units = code.add(code.mul(code.div(piece, inLine), code.integer(t.length)),
                           code.mul(code.rem(piece, inLine), code.integer(t.step)));
    return code.mul(units, code.integer(t.unit));
  }

  void tileTask(Emitter &e, Value task) const {
    Code &code = e.code;
    Value panel = code.rem(task, code.integer(panels)), rest = code.div(task, code.integer(panels));
    int64_t narrow = ceilDivide(outputs - (panels - 1) * t.columns(), t.lanes);
    auto multiply = [&](int64_t vectors) { multiplyPanel(e, rest, panel, vectors); };
    if (narrow == t.vectors)
      return multiply(narrow);
    Value isLast = code.compare(arith::CmpIPredicate::eq, panel, code.integer(panels - 1));
    code.ifElse(isLast, [&] { multiply(narrow); }, [&] { multiply(t.vectors); });
  }

  /// A block of pieces, counted through the images, by a panel of so many vectors.
  void multiplyPanel(Emitter &e, Value number, Value panel, int64_t vectors) const {
    Code &code = e.code;
    Value block = code.rem(number, code.integer(blocks())), image = code.div(number, code.integer(blocks()));
    auto begin = [&](Value number) { // dealt out evenly, in whole vectors of pixels
      Value units =
          code.div(code.mul(number, code.integer(ceilDivide(t.pieces(), t.unitOfTasks))), code.integer(blocks()));
      return code.min(code.mul(units, code.integer(t.unitOfTasks)), code.integer(t.pieces()));
    };
    Value first = begin(block), last = begin(code.add(block, code.integer(1)));
    Value n0 = pixelAt(code, first), n1 = pixelAt(code, last);
    if (copiesImage)
      copyChannels(e, image, code.integer(0), code.integer(channels));
    code.loop(code.integer(0), code.integer(channels), t.channelsOfBlock, [&](Value channel) {
      Value end = code.min(code.add(channel, code.integer(t.channelsOfBlock)), code.integer(channels));
      Value k = code.mul(code.sub(end, channel), code.integer(window.taps));
      Value from = channelAt(e, image, channel);
      Value right =
          packsBlocks ? e.workerScratch(blockArea) : panelAt(e, panel, code.mul(channel, code.integer(window.taps)));
      if (packsBlocks)
        packFilter(e, panel, channel, end, right);
      Value isLast = code.compare(arith::CmpIPredicate::sge, end, code.integer(channels));
      code.loop(first, last, 1, [&](Value piece) {
        Value n = pixelAt(code, piece);
        if (!c.batch.empty()) // pixels of an image lie side by side
          code.ifThen(isLast,
                      [&] { fetchResult(e, image, panel, n0, n1, code.sub(piece, first), code.sub(last, first)); });
        Value to = code.address(e.workerScratch(sumsArea), code.mul(code.sub(n, n0), code.integer(t.columns())), bytes);
        Value left = code.address(from, placeOfPiece(e, piece, n), bytes);
        Ahead ahead = nextOfFilter(e, right, k, code.sub(piece, first), code.sub(last, first));
        auto call = [&](int64_t rows) {
          MicroShape shape{KILN_F32, rows, vectors, t.lanes};
          shape.inRow = std::min(rows, t.inRow), shape.pitch = rows > t.inRow ? t.pitch : 0;
          shape.step = window.axes.back().step;
          callPixelsKernel(code, shape, left, e.workerScratch(offsetsArea), right, code.integer(t.columns() * bytes),
                           to, code.integer(t.columns() * bytes), k,
                           code.compare(arith::CmpIPredicate::sgt, channel, code.integer(0)), ahead);
        };
        if (t.rest() == t.rows)
          return call(t.rows);
        Value inLine = code.integer(t.piecesOfLine()),
              isLast =
                  code.compare(arith::CmpIPredicate::eq, code.rem(piece, inLine), code.integer(t.piecesOfLine() - 1));
        code.ifElse(isLast, [&] { call(t.rest()); }, [&] { call(t.rows); });
      });
    });
    if (storesPieces())
      storePieces(e, panel, first, last, vectors);
    else
      finishPanel(e, image, panel, n0, n1, vectors);
  }

  /// What lies behind a K block of a panel: the next block, or the next panel's first. A share of it with each piece.
  Ahead nextOfFilter(Emitter &e, Value right, Value k, Value piece, Value pieces) const {
    Code &code = e.code;
    int64_t group = t.lanes * t.columns() * bytes / 64; // lines for as many k as there are lanes
    Value line = code.integer(64);
    Value count =
        far && !packsBlocks ? code.ceilDiv(code.integer(group), code.max(pieces, code.integer(1))) : code.integer(0);
    Value share = code.mul(count, code.ceilDiv(k, code.integer(t.lanes)));
    Value from = code.address(right, code.mul(k, code.integer(t.columns())), bytes);
    return {code.address(from, code.mul(piece, share), 64), line, count, code.mul(count, line)};
  }

  /// Where a panel's elements will be written, and what of the same shape is read for them: of some channels with each
  /// piece, all of the task's pixels.
  void fetchResult(Emitter &e, Value image, Value panel, Value n0, Value n1, Value piece, Value pieces) const {
    Code &code = e.code;
    const Shape &dims = graph.type(c.result).dims;
    Value first = code.mul(panel, code.integer(t.columns()));
    Value rows = code.min(code.sub(code.integer(outputs), first), code.integer(t.columns()));
    Value share = code.ceilDiv(rows, code.max(pieces, code.integer(1))), begin = code.mul(piece, share);
    code.loop(begin, code.min(code.add(begin, share), rows), 1, [&](Value r) {
      Indices at = c.resultPosition(e, e.indicesOfRow(c.batch, image), e.indicesOfRow(c.m, code.add(first, r)),
                                    e.indicesOfRow(c.n, n0));
      Value place = e.linear(dims, at).base;
      auto fetch = [&](Value pointer, int64_t size, bool write) {
        Value from = code.address(pointer, place, size);
        code.loop(code.integer(0), code.mul(code.sub(n1, n0), code.integer(size)), 64,
                  [&](Value byte) { code.here<LLVM::Prefetch>(code.address(from, byte, 1), 0u, 2u, 1u); });
      };
      for (auto [i, v] : llvm::enumerate(graph.inputs))
        if (graph.type(v).dims == dims && v != c.left.value && v != c.right.value)
          fetch(e.input(i), byteSize(graph.type(v).dtype), false);
      for (auto [i, v] : llvm::enumerate(graph.outputs))
        fetch(e.output(i), byteSize(graph.type(v).dtype), true);
    });
  }

  /// Whether the kernel is the product alone, and a piece all of a result's image, not a plane or a residue's share of
  /// one: what becomes of its sums lies in one stretch. A channel's are turned in one vector: a second would be written
  /// over the next channel's first.
  bool storesPieces() const {
    const Shape &dims = graph.type(c.result).dims;
    bool alone = graph.outputs.size() == 1 && graph.outputs[0] == c.result && dims.size() > 2;
    bool images = c.batch.empty() && t.lines > 1 && t.step == t.length &&
                  graph.bound(Shape(dims.begin() + 2, dims.end())) == t.rows;
    return alone && images && outputs % t.lanes == 0 && t.rows <= t.lanes;
  }

  void storePieces(Emitter &e, Value panel, Value first, Value last, int64_t vectors) const {
    Code &code = e.code;
    Value turned = e.workerScratch(turnedArea), columns = code.integer(t.columns());
    Value output = code.mul(panel, columns), pixels = code.integer(t.rows);
    code.loop(first, last, 1, [&](Value piece) {
      Value from = code.address(e.workerScratch(sumsArea),
                                code.mul(code.sub(piece, first), code.integer(t.rows * t.columns())), bytes);
      callPack(code, {KILN_F32, t.lanes, Packing::Turn, KILN_F32}, from, code.integer(t.columns() * bytes), pixels,
               code.integer(vectors * t.lanes), turned, code.mul(pixels, code.integer(bytes)));
      Value place = code.add(code.mul(piece, code.integer(outputs)), output);
      Value to = code.address(e.output(0), code.mul(place, pixels), bytes);
      code.loop(code.integer(0), code.integer(vectors * t.lanes * t.rows), t.lanes, [&](Value i) {
        code.store(code.loadHere(vectorType(code), code.address(turned, i, bytes), bytes), code.address(to, i, bytes),
                   bytes);
      });
    });
  }

  void finishPanel(Emitter &e, Value image, Value panel, Value n0, Value n1, int64_t vectors) const {
    Code &code = e.code;
    Value turned = e.workerScratch(turnedArea), pixels = code.sub(n1, n0), columns = code.integer(t.columns());
    code.loop(code.integer(0), pixels, t.lanes, [&](Value n) {
      Value from = code.address(e.workerScratch(sumsArea), code.mul(n, columns), bytes);
      callPack(code, {KILN_F32, t.lanes, Packing::Turn, KILN_F32}, from, code.integer(t.columns() * bytes),
               code.min(code.sub(pixels, n), code.integer(t.lanes)), code.integer(vectors * t.lanes),
               code.address(turned, n, bytes), code.integer(turnedStride * bytes));
    });
    Value output = code.mul(panel, columns), rows = code.min(code.sub(code.integer(outputs), output), columns);
    bool whole = !c.resultInRows && t.rest() == t.rows && t.rows * t.unitOfTasks % t.lanes == 0 &&
                 t.pieces() * t.rows % t.lanes == 0;
    code.loop(code.integer(0), rows, 1, [&](Value r) {
      Value row = code.address(turned, code.mul(r, code.integer(turnedStride)), bytes);
      forEachRun(e, c.n, c.resultInRows, n0, n1, [&](Value n, const Position &position, Value end) {
        Value sums = code.loadHere(vectorType(code), code.address(row, code.sub(n, n0), bytes), bytes);
        Mask mask;
        if (!whole)
          mask.lanes = code.firstLanes(code.sub(end, n), t.lanes);
        Indices pixel = whole ? e.indicesOf(c.n, e.at(n, 1, t.lanes)) : position.dims(e);
        Indices at =
            c.resultPosition(e, e.indicesOfRow(c.batch, image), e.indicesOfRow(c.m, code.add(output, r)), pixel);
        if (llvm::all_of(c.n, [](const Extent &extent) { return extent.isOne(); })) { // no lanes to speak of
          sums = code.here<vector::ExtractOp>(sums, ArrayRef<int64_t>{0});
          mask = {};
        }
        e.bind(c.result, [sums](ArrayRef<Index>, const Mask &) { return sums; });
        sink(e, at, mask);
        e.unbind(c.result);
      });
    });
  }
};
} // namespace

static PixelExtents extentsOf(const Graph &graph, const Contraction &c, bool matrix) {
  const Contraction::Window &window = *c.window;
  PixelExtents e;
  e.batch = graph.bound(c.batch), e.outputs = graph.bound(c.m), e.channels = graph.bound(window.channels);
  e.taps = window.taps, e.planes = window.planes, e.places = window.columns + window.reach;
  e.row = graph.bound(window.plane.back());
  e.tapsOfRow = ceilDivide(graph.bound(c.k.back()), static_cast<int64_t>(window.axes.back().residues.size()));
  e.matrix = matrix;
  e.width = window.axes.back().pixels, e.pitch = e.width;
  for (size_t d = 0; d + 1 < window.axes.size(); ++d)
    (d + 2 == window.axes.size() ? e.height : e.images) *= window.axes[d].pixels;
  e.inOneRow = window.axes.size() == 1 || window.columns == window.pixels();
  if (!e.inOneRow)
    e.pitch = window.axes[window.axes.size() - 2].pitch * window.axes[window.axes.size() - 2].step;
  e.step = window.axes.back().step;
  for (const Contraction::Window::Axis &axis : window.axes)
    e.seen *= axis.step;
  return e;
}

bool buildPixelRows(KernelBuilder &builder, const Contraction &whole, const ContractSink &sink) {
  const Graph &graph = builder.graph;
  const Contraction &c = whole.byPixels ? *whole.byPixels : whole;
  bool constant = c.window && c.m.size() == 1 && c.m[0].isConstant() && c.window->channels.isConstant() &&
                  c.left.freeStride.isConstant();
  if (!constant || !c.leftForAllBatches || c.batch.size() > 1 || c.accumulator != KILN_F32 ||
      c.operandType != KILN_F32 || graph.type(c.result).dtype != KILN_F32 || c.left.plainInput < 0 ||
      c.left.memory != KILN_F32)
    return false;
  if (c.turned && (static_cast<int64_t>(c.turned->taken.size()) != c.turned->taps ||
                   c.turned->rows != Extent(c.turned->taps) || !c.turned->depth.isConstant()))
    return false;
  bool matrix = c.right.plainInput >= 0 && c.right.freeStride.isOne() && c.right.kStride.isConstant() &&
                c.right.memory == KILN_F32;
  PixelExtents extents = extentsOf(graph, c, matrix);
  int64_t filterBytes = extents.outputs * extents.channels * extents.taps * bytes;
  // Claims do not know yet whether the filter lasts: they ask for what it then takes, if it does.
  // Turning an element takes more than three times what copying one does, which others are packed by.
  bool lasts = builder.machine.takes("filter packed once", filterBytes > leastPrepacked / 4) && !c.turned;
  extents.turned = c.turned.has_value();
  extents.filterLasts = lasts && (!builder.knowsLasting() || builder.isLasting(c.left.plainInput));
  if (extents.batch < 1 || extents.channels < 1 || extents.outputs < 1)
    return false;
  ContractExtents bounds{extents.batch, extents.outputs, graph.bound(c.n), extents.channels * extents.taps};
  Blocking otherwise = chooseBlocking(builder.machine, bounds, whole.traits(graph, builder.machine));
  if (otherwise.method != Method::Tile)
    return false;
  PixelCut cut = choosePixelRows(builder.machine, extents, otherwise.cycles);
  if (!cut.rows)
    return false;
  int64_t before = builder.scratchBytes, plain = 0;
  if (!builder.knowsLasting()) // where it turns out not to last, the other form may be taken
    plain = builder.scratchOf([&] { ContractLowering(builder, whole, sink); });
  PixelRows(builder, c, sink, cut, matrix, extents.filterLasts).build();
  builder.scratchBytes = std::max(builder.scratchBytes, before + plain);
  return true;
}

} // namespace kiln::cpu
