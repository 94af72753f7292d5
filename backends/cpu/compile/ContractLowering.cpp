// A product's phases in code: pack, multiply tile by tile, finish rows.

#include "backends/cpu/compile/ContractLowering.h"
#include "backends/cpu/compile/LoopNest.h"

using namespace mlir;
using llvm::ArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {

/// Columns that one call of the dot kernels takes.
static int64_t dotColumns(int64_t lanes) { return lanes >= 6 ? 6 : std::min<int64_t>(lanes, 4); }

ContractLowering::ContractLowering(KernelBuilder &builder, const Contraction &contraction, ContractSink sink)
    : builder(builder), graph(builder.graph), c(contraction), sink(std::move(sink)),
      bytes(byteSize(contraction.accumulator)), packed(contraction.accumulator) {
  ContractExtents bounds{graph.bound(c.batch), graph.bound(c.m), graph.bound(c.n), graph.bound(c.k)};
  ContractTraits traits = c.traits(graph, builder.machine);
  traits.rightPrepacked = packsBeforeLoop(bounds);
  traits.shortSums = shortSums(bounds);
  t = chooseBlocking(builder.machine, bounds, traits);
  pairs = builder.machine.dotsOfBF16() && c.operandType == KILN_BF16 && t.method == Method::Tile && !c.window;
  if (pairs) {
    packed = KILN_BF16;
    bounds.k = ceilDivide(bounds.k, 2);
    t = chooseBlocking(builder.machine, bounds, traits);
  }
  columns = t.right == RightMode::Window ? Shape{Extent(c.window->columns)} : c.n;
  bounds.n = graph.bound(columns);
  noteForm();
  oneBlock = t.chunks == 1 && bounds.k <= t.kc;
  lines = packedByCall(c.left) && c.left.alongK;
  leftOnce = oneBlock && t.method == Method::Tile && !t.rowsFirst && bounds.m <= t.mc &&
             (c.batch.empty() || c.leftForAllBatches);
  // Several K blocks, each of which all tasks would pack for themselves.
  bool byColumns = packedByCall(c.left) && !c.left.alongK && isConstant(c.m);
  int64_t packedLeft = sizeOfSlivers(bounds) * bytes;
  leftShared = !oneBlock && !t.noScratch && (lines || byColumns) && t.chunks == 1 && t.method == Method::Tile &&
               !t.rowsFirst && bounds.n > t.nc && (c.batch.empty() || c.leftForAllBatches) && packedLeft <= nearBytes;
  if (leftShared) {
    builder.note("rows shared");
    sharedLeftArea = builder.reserveScratch(packedLeft);
  }
  inResult = sumsInResult();
  if (inResult)
    builder.note("in result");
  if (traits.shortSums)
    chooseRegisters();
  auto area = [&](int64_t elements) { return builder.reserveWorkerScratch(elements * bytes); };
  if (c.turned)
    reserveTurned(bounds);
  if (t.method != Method::Tile) {
    rightStride = roundUp(t.nc, t.lanes);
    sumsArea = area(bounds.m * rightStride);
    if (t.method == Method::Dot)
      reserveWords(bounds);
    return;
  }
  int64_t width = t.tileColumns(), slack = t.lanes * (t.tileRows + 2);
  int64_t leftRows = leftInPlace ? 0 : t.rowsFirst ? t.tileRows : t.mc;
  leftArea = area(leftRows * (lines ? t.kc : spreadDepth(t.kc, t.lanes)) + slack);
  rightStride = t.right == RightMode::Task ? spreadStride(t.nc, bytes) : width;
  if (t.right == RightMode::Shared) {
    sharedArea = builder.reserveScratch(sizeOfPanels(bounds) * bytes);
  } else if (t.right != RightMode::Window) {
    inParts = t.right == RightMode::Sliver && fetchesRight() && !c.right.alongK && t.mc >= t.lanes * t.tileRows;
    if (inParts)
      builder.note("in parts");
    rightArea = area(panelSize() * (inParts ? 2 : 1) + slack);
  }
  if (t.right == RightMode::Window || t.unfold)
    reserveImage(bounds);
  int64_t tiles = oneBlock ? 1 : (t.mc / t.tileRows) * (t.nc / width);
  sumsArea = area(inResult ? 0 : tiles * t.tileRows * width);
  edgeStride = spreadStride(t.kc, bytes);
  if (t.edge)
    edgeArea = area(t.edge * edgeStride);
  turnStride = spreadStride(t.kc * (pairs ? 2 : 1) + t.lanes, bytes); // room for the last vector's end
  if ((c.left.alongK && !lines && !leftInPlace) || (c.right.alongK && !packedByCall(c.right)))
    turnArea = area((turnStride + 1) * t.lanes);
  if (t.chunks > 1)
    partialArea = builder.reserveScratch(t.chunks * bounds.batch * bounds.m * roundUp(bounds.n, t.lanes) * bytes);
  choosePrepacked(bounds);
}

/// Room for the turned filter: where each row is packed once, for that of its parts which is; else for all of it.
void ContractLowering::reserveTurned(const ContractExtents &bounds) {
  turnsSlivers = t.rowsFirst && lines && bounds.batch == 1;
  builder.note(turnsSlivers ? "filter turned in slivers" : "filter turned");
  if (!turnsSlivers) {
    turnedArea = builder.reserveScratch(bounds.m * bounds.k * bytes);
    return;
  }
  auto taken = static_cast<int64_t>(c.turned->taken.size());
  turnedStride = spreadStride(t.kc + 2 * taken + t.lanes, bytes);
  turnedArea = builder.reserveWorkerScratch(t.tileRows * turnedStride * bytes);
}

/// Whether the kernel is the product alone, of whole tiles, and its result lies as they do.
bool ContractLowering::sumsInResult() const {
  bool alone = graph.outputs.size() == 1 && graph.outputs[0] == c.result;
  bool whole =
      isConstant(c.m) && isConstant(c.n) && graph.bound(c.m) % t.rowUnit == 0 && graph.bound(c.n) % t.lanes == 0;
  return alone && whole && c.resultAlongN && graph.type(c.result).dtype == c.accumulator && t.method == Method::Tile &&
         t.right != RightMode::Window && t.chunks == 1;
}

/// What `explain --fusion` tells of it.
void ContractLowering::noteForm() {
  if (t.unfold || t.right == RightMode::Window)
    builder.note(t.unfold ? "unfolded" : "in place");
  if (t.right == RightMode::Direct && t.method == Method::Tile)
    builder.note("unpacked");
  if (t.method == Method::Stream)
    builder.note("streamed");
  if (t.rowsFirst)
    builder.note("rows first");
  if (t.edge)
    builder.note("edge");
  if (t.chunks > 1)
    builder.note("K in parts");
}

/// Whether sums along K may go through the kernel's other ops before they are stored: K is too short for what storing
/// and loading them takes to be small beside it, and the ops, which each vector of a tile has for itself, are few.
bool ContractLowering::shortSums(const ContractExtents &bounds) const {
  int64_t ops = llvm::count_if(graph.ops, [](const Op &op) { return isElementwise(op.code); });
  bool few = ops > 0 && ops <= 8 && llvm::none_of(graph.ops, [](const Op &op) { return isExpensive(op.code); });
  return few && c.n.size() == 1 && isConstant(c.m) && isConstant(c.n) && isConstant(c.k) && bounds.k <= shortDepth &&
         bounds.n >= 2 * builder.width();
}

void ContractLowering::chooseRegisters() {
  bool whole = graph.bound(c.m) % t.rowUnit == 0 && c.left.freeStride.isConstant();
  inRegisters = oneBlock && t.method == Method::Tile && t.right != RightMode::Window;
  leftInPlace = inRegisters && lines && !pairs && !c.turned && c.left.memory == packed && whole;
  if (inRegisters)
    builder.note("in registers");
  if (leftInPlace)
    lines = leftOnce = false;
}

/// Room for the part of the image that the pixels of a task see, and for the table of offsets in it.
void ContractLowering::reserveImage(const ContractExtents &bounds) {
  const Contraction::Window &window = *c.window;
  int64_t places = t.nc;
  if (t.unfold) {
    int64_t width = t.tileColumns(), step = t.right == RightMode::Shared ? t.sharedPanels * width : t.nc;
    for (int64_t n = places = 0; n < bounds.n; n += width) // wherever a block begins
      places = std::max(places, window.placeOf(std::min(n + step, bounds.n) - 1) - window.placeOf(n) + 1);
  }
  imageStride = spreadStride(places + window.reach, bytes);
  int64_t planes = (t.unfold ? t.imageChannels : graph.bound(window.channels)) * window.planes;
  imageArea = builder.reserveWorkerScratch((planes * imageStride + t.tileColumns() + t.lanes) * bytes);
  offsetsArea = builder.reserveWorkerScratch(bounds.k * 8);
}

/// Rows of the right operand that a task of the sharing phase packs.
int64_t ContractLowering::depthOfShare() const { return t.unfold ? t.imageChannels * c.window->taps : t.kc; }

void ContractLowering::build() {
  using Task = void (ContractLowering::*)(Emitter &e, Value task) const;
  auto add = [&](bool once, Task body, llvm::function_ref<Value(Code &, const Sizes &)> tasks) {
    auto added = once ? &KernelBuilder::addPrepacking : &KernelBuilder::addPhase;
    (builder.*added)([&](Emitter &e) { return tasks(e.code, sizes(e)); },
                     [&](Emitter &e) {
                       bool offsets = (t.right == RightMode::Window || t.unfold) &&
                                      body != &ContractLowering::turnTask && body != &ContractLowering::shareLeftTask;
                       bool rows = leftOnce && body == &ContractLowering::tileTask;
                       if (offsets || rows || words)
                         oncePerWorker(e, [&] {
                           if (offsets)
                             fillOffsets(e);
                           if (rows)
                             packAllRows(e);
                           if (words)
                             roundRows(e);
                         });
                       e.code.loop(e.arguments.begin, e.arguments.end, 1, [&](Value task) { (this->*body)(e, task); });
                     },
                     t.lanes);
  };
  auto phase = [&](Task body, llvm::function_ref<Value(Code &, const Sizes &)> tasks) { add(false, body, tasks); };
  // Of an operand for all tasks: a phase of its own, unless it is prepacked, or only what prepacks it.
  auto packing = [&](bool shared, bool prepacked, Task body, llvm::function_ref<Value(Code &, const Sizes &)> tasks) {
    if (shared && prepacked)
      builder.prepacking->replaces = builder.phaseCount;
    if (shared || prepacked)
      add(!shared, body, tasks);
  };
  if (c.turned && !turnsSlivers)
    phase(&ContractLowering::turnTask,
          [](Code &code, const Sizes &s) { return code.ceilDiv(s.m, code.integer(turnedRows)); });
  if (t.method != Method::Tile)
    return phase(t.method == Method::Dot ? &ContractLowering::dotTask : &ContractLowering::streamTask,
                 [](Code &code, const Sizes &s) { return code.mul(s.batch, code.mul(s.mBlocks, s.nBlocks)); });
  packing(leftShared, prepackedLeft, &ContractLowering::shareLeftTask, [&](Code &code, const Sizes &s) {
    Value parts = lines ? code.ceilDiv(s.m, code.integer(t.tileRows)) : code.integer(ceilDivide(t.kc, sharedDepth));
    return code.mul(parts, code.ceilDiv(s.k, code.integer(t.kc)));
  });
  bool shared = t.right == RightMode::Shared;
  packing(shared, prepackedRight, &ContractLowering::shareTask, [&](Code &code, const Sizes &s) {
    return code.mul(s.batch, code.mul(s.panelGroups, code.ceilDiv(s.k, code.integer(depthOfShare()))));
  });
  phase(&ContractLowering::tileTask, [&](Code &code, const Sizes &s) {
    Value blocks = code.mul(s.mBlocks, s.nBlocks);
    return code.mul(code.mul(s.batch, code.integer(t.chunks)), blocks);
  });
  if (t.chunks > 1)
    phase(&ContractLowering::addTask, [](Code &code, const Sizes &s) { return code.mul(s.batch, s.m); });
}

ContractLowering::Sizes ContractLowering::sizes(Emitter &e) const {
  Code &code = e.code;
  Sizes s;
  s.batch = e.elements(c.batch);
  s.m = e.elements(c.m);
  s.n = e.elements(columns);
  s.k = e.elements(c.k);
  if (pairs)
    s.k = code.ceilDiv(s.k, code.integer(2));
  s.kPadded = code.mul(code.ceilDiv(s.k, code.integer(t.lanes)), code.integer(t.lanes));
  s.panels = code.ceilDiv(s.n, code.integer(t.tileColumns()));
  s.panelGroups = code.ceilDiv(s.panels, code.integer(t.sharedPanels));
  // Of an extent of 0 the model knows one block (it reckons with 1), and there is none.
  auto blocks = [&](const Shape &shape, Value extent, int64_t most, int64_t count) {
    bool counted = count && isConstant(shape) && graph.bound(shape) > 0;
    return counted ? code.integer(count) : code.ceilDiv(extent, code.integer(most));
  };
  s.mBlocks = blocks(c.m, s.m, t.mc, t.mBlocks);
  s.nBlocks = blocks(columns, s.n, t.nc, t.nBlocks);
  s.chunkLength = s.k;
  if (t.chunks > 1) {
    Value part = code.ceilDiv(s.k, code.integer(t.chunks));
    s.chunkLength = code.mul(code.ceilDiv(part, code.integer(t.lanes)), code.integer(t.lanes));
  }
  return s;
}

/// Tasks count through column blocks first, then row blocks, batches, parts of K. There is a task only where no extent
/// but K is 0, so divisors are positive; max() keeps what is hoisted before that is known from trapping.
ContractLowering::Block ContractLowering::blockOf(Emitter &e, const Sizes &s, Value task) const {
  Code &code = e.code;
  Value one = code.integer(1), nBlocks = code.max(s.nBlocks, one), mBlocks = code.max(s.mBlocks, one);
  Block block;
  Value rest = code.div(task, nBlocks);
  // Units are dealt out evenly, to any run of neighbouring blocks too; the last one, which may be a part of one, to
  // those that have one more.
  auto cut = [&](Value extent, Value blocks, Value number, int64_t unit) {
    Value units = code.ceilDiv(extent, code.integer(unit));
    auto begin = [&](Value i) {
      return code.min(code.mul(code.div(code.mul(i, units), blocks), code.integer(unit)), extent);
    };
    return std::pair(begin(number), begin(code.add(number, one)));
  };
  std::tie(block.n0, block.n1) = cut(s.n, nBlocks, code.rem(task, nBlocks), t.columnsUnit());
  std::tie(block.m0, block.m1) = cut(s.m, mBlocks, code.rem(rest, mBlocks), t.tileRows);
  rest = code.div(rest, mBlocks);
  Value batch = code.max(s.batch, one);
  block.chunk = t.chunks > 1 ? code.div(rest, batch) : code.integer(0);
  block.batchNumber = t.chunks > 1 ? code.rem(rest, batch) : rest;
  block.batch = e.indicesOfRow(c.batch, block.batchNumber);
  block.k0 = t.chunks > 1 ? code.min(code.mul(block.chunk, s.chunkLength), s.k) : code.integer(0);
  block.k1 = t.chunks > 1 ? code.min(code.add(block.k0, s.chunkLength), s.k) : s.k;
  return block;
}

Value ContractLowering::elementOfK(Emitter &e, Value k) const {
  return pairs ? e.code.min(e.code.mul(k, e.code.integer(2)), e.elements(c.k)) : k;
}

/// Where the packed panel of column n begins, at row k.
Value ContractLowering::sharedPanel(Emitter &e, const Sizes &s, Value batch, Value n, Value k) const {
  Code &code = e.code;
  Value width = code.integer(t.tileColumns()), panel = code.add(code.mul(batch, s.panels), code.div(n, width));
  return code.address(sharedBase(e, prepackedRight, t.right == RightMode::Shared, sharedArea),
                      code.mul(code.add(code.mul(panel, s.kPadded), k), width), bytes);
}

/// Some neighbouring panels, one K block.
void ContractLowering::shareTask(Emitter &e, Value task) const {
  Code &code = e.code;
  Sizes s = sizes(e);
  int64_t width = t.tileColumns(), depth = depthOfShare();
  Value one = code.integer(1), groups = code.max(s.panelGroups, one);
  Value kBlocks = code.max(code.ceilDiv(s.k, code.integer(depth)), one);
  Value group = code.rem(task, groups), rest = code.div(task, groups), kBlock = code.rem(rest, kBlocks);
  Value k0 = code.mul(kBlock, code.integer(depth)), k1 = code.min(code.add(k0, code.integer(depth)), s.k);
  Value batch = code.div(rest, kBlocks);
  Value n0 = code.mul(group, code.integer(t.sharedPanels * width));
  Value n1 = code.min(code.add(n0, code.integer(t.sharedPanels * width)), s.n);
  Indices position = e.indicesOfRow(c.batch, batch);
  auto panelAt = [&](Value n) { return sharedPanel(e, s, batch, n, k0); };
  if (packedByCall(c.right) && !c.right.alongK) {
    callSplit(code, {packed, width, t.lanes, c.right.memory}, plainPointer(e, c.right, position, n0, k0),
              apartOf(e, c.right), code.sub(n1, n0), code.sub(elementOfK(e, k1), elementOfK(e, k0)), panelAt(n0),
              code.mul(s.kPadded, code.integer(width * bytes)));
    return;
  }
  Value first = code.mul(kBlock, code.integer(t.imageChannels)), place;
  if (t.unfold) {
    auto [begin, end] = placesOf(e, n0, n1);
    place = begin;
    packPlanes(e, *c.window, position, imagePlanes(e), first,
               code.min(code.add(first, code.integer(t.imageChannels)), e.extent(c.window->channels)), begin, end);
  }
  code.loop(n0, n1, width, [&](Value n) {
    Value end = code.min(code.add(n, code.integer(width)), n1);
    if (t.unfold)
      unfold(e, n, end, k0, k1, first, place, panelAt(n));
    else
      packRight(e, position, n, end, k0, k1, panelAt(n), width);
  });
}

ContractLowering::Block ContractLowering::allRows(Emitter &e, const Sizes &s) const {
  Block all;
  all.batch.assign(c.batch.size(), e.zero());
  all.m0 = e.code.integer(0);
  all.m1 = s.m;
  return all;
}

void oncePerWorker(Emitter &e, llvm::function_ref<void()> make) {
  Code &code = e.code;
  Value note = e.workerScratch(0), made = code.integer(1);
  Value isNew = code.compare(arith::CmpIPredicate::ne, code.loadHere(code.i64, note, 8), made);
  code.ifThen(isNew, [&] {
    make();
    code.store(made, note, 8);
  });
}

void ContractLowering::packAllRows(Emitter &e) const {
  Sizes s = sizes(e);
  unlessPrepacked(e, prepackedLeft,
                  [&] { packLeft(e, allRows(e, s), e.code.integer(0), s.k, e.workerScratch(leftArea)); });
}

void ContractLowering::tileTask(Emitter &e, Value task) const {
  Code &code = e.code;
  Sizes s = sizes(e);
  Block block = blockOf(e, s, task);
  block.place = block.n0;
  Value another = code.compare(arith::CmpIPredicate::slt, code.add(task, code.integer(1)), e.arguments.end);
  block.follows = code.op<arith::AndIOp>(another, code.compare(arith::CmpIPredicate::slt, block.n1, s.n));
  Value zero = code.integer(0);
  if (t.right == RightMode::Window) {
    packPlanes(e, *c.window, block.batch, imagePlanes(e), zero, e.extent(c.window->channels), block.n0,
               code.add(block.n1, code.integer(c.window->reach)));
  } else if (t.unfold && t.right == RightMode::Sliver) {
    auto [begin, end] = placesOf(e, block.n0, block.n1);
    block.place = begin;
    packPlanes(e, *c.window, block.batch, imagePlanes(e), zero, e.extent(c.window->channels), begin, end);
  }
  if (oneBlock) {
    multiplyBlock(e, s, block, block.k0, block.k1);
    return;
  }
  // At least once: an empty sum is zero.
  Value end = code.max(block.k1, code.add(block.k0, code.integer(1)));
  code.loop(block.k0, end, t.kc,
            [&](Value k0) { multiplyBlock(e, s, block, k0, code.min(code.add(k0, code.integer(t.kc)), block.k1)); });
}

Value ContractLowering::plainPointer(Emitter &e, const Contraction::Operand &operand, ArrayRef<Index> batch, Value free,
                                     Value k) const {
  Code &code = e.code;
  Value offset =
      code.add(code.mul(free, e.extent(operand.freeStride)), code.mul(elementOfK(e, k), e.extent(operand.kStride)));
  for (size_t d = 0; d < batch.size(); ++d)
    offset = code.add(offset, code.mul(batch[d].base, e.extent(operand.batchStrides[d])));
  Value base = &operand == &c.left && c.turned ? e.scratch(turnedArea) : e.input(operand.plainInput);
  return code.address(base, offset, byteSize(operand.memory));
}

/// The last columns, turned: each contiguous along K, with zeros up to a multiple of the lanes.
void ContractLowering::packEdge(Emitter &e, Value from, Value apart, Value depth) const {
  Code &code = e.code;
  Type type = pairs ? code.i32 : e.registerType(c.accumulator);
  Value zero = isa<FloatType>(type) ? code.constant(type, 0.0) : code.constantInt(type, 0);
  auto put = [&](Value k, llvm::function_ref<Value(int64_t)> element) {
    Value to = code.address(e.workerScratch(edgeArea), k, bytes);
    for (int64_t j = 0; j < t.edge; ++j)
      code.store(element(j), code.address(to, code.integer(j * edgeStride), bytes), bytes);
  };
  code.loop(code.integer(0), depth, 1, [&](Value k) {
    Value row = code.address(from, code.mul(k, apart), 1);
    put(k, [&](int64_t j) { return code.loadHere(type, code.address(row, code.integer(j), bytes), bytes); });
  });
  Value lanes = code.integer(t.lanes);
  code.loop(depth, code.mul(code.ceilDiv(depth, lanes), lanes), 1,
            [&](Value k) { put(k, [&](int64_t) { return zero; }); });
}

/// Rows of sums at `from`, `stride` elements apart, become elements of the result. `most`: what columns never exceeds.
void ContractLowering::finishRows(Emitter &e, ArrayRef<Index> batch, Value m, Value rows, Value n, Value columns,
                                  int64_t most, Value from, int64_t stride) const {
  Code &code = e.code;
  Value limit = code.add(n, columns);
  code.loop(code.integer(0), rows, 1, [&](Value r) {
    Value row = code.address(from, code.mul(r, code.integer(stride)), bytes);
    forEachRun(e, c.n, c.resultInRows, n, limit, [&](Value first, const Position &position, Value end) {
      Value sums = code.loadHere(vectorType(e), code.address(row, code.sub(first, n), bytes), bytes);
      finish(e, batch, code.add(m, r), position, end, sums);
    });
  });
}

/// Sums as the result's type.
Value ContractLowering::converted(Emitter &e, Value sums) const {
  kiln_dtype dtype = graph.type(c.result).dtype;
  bool same = dtype == c.accumulator || (dtype == KILN_U32 && c.accumulator == KILN_I32);
  return same ? sums : e.convert(sums, c.accumulator, dtype);
}

/// A vector of finished sums, for columns from n on, below the limit.
void ContractLowering::finish(Emitter &e, ArrayRef<Index> batch, Value m, const Position &n, Value limit,
                              Value sums) const {
  Code &code = e.code;
  bool whole = isConstant(c.n) && graph.bound(c.n) % t.lanes == 0 && t.method == Method::Tile && !c.resultInRows &&
               t.right != RightMode::Window;
  Mask mask;
  if (!whole)
    mask.lanes = code.firstLanes(code.sub(limit, n.linear.base), t.lanes);
  Indices columns = whole ? e.indicesOf(c.n, e.at(n.linear.base, 1, t.lanes)) : n.dims(e);
  Indices at = c.resultPosition(e, batch, e.indicesOfRow(c.m, m), columns);
  // A single column has no lanes to speak of: its position is the same for all.
  if (llvm::all_of(c.n, [](const Extent &extent) { return extent.isOne(); }) ||
      (t.right == RightMode::Window && c.window->axes.back().pixels == 1)) {
    sums = code.here<vector::ExtractOp>(sums, ArrayRef<int64_t>{0});
    mask = {};
  }
  Value element = converted(e, sums);
  e.bind(c.result, [element](ArrayRef<Index>, const Mask &) { return element; });
  sink(e, at, mask);
  e.unbind(c.result);
}

/// One row of the result: its parts in ascending order.
void ContractLowering::addTask(Emitter &e, Value task) const {
  Code &code = e.code;
  Sizes s = sizes(e);
  Value stride = code.mul(code.ceilDiv(s.n, code.integer(t.lanes)), code.integer(t.lanes));
  Value partBytes = code.mul(code.mul(s.batch, s.m), stride);
  Value m = code.max(s.m, code.integer(1));
  Value first = code.address(e.scratch(partialArea), code.mul(task, stride), bytes);
  Indices batch = e.indicesOfRow(c.batch, code.div(task, m));
  Value row = code.rem(task, m);
  forEachRun(e, c.n, c.resultInRows, code.integer(0), s.n, [&](Value n, const Position &position, Value limit) {
    Value sums;
    for (int64_t part = 0; part < t.chunks; ++part) {
      Value from = code.address(first, code.add(code.mul(partBytes, code.integer(part)), n), bytes);
      Value next = code.loadHere(vectorType(e), from, bytes);
      if (!sums)
        sums = next;
      else if (isFloat(c.accumulator))
        sums = code.here<arith::AddFOp>(sums, next);
      else
        sums = code.here<arith::AddIOp>(sums, next);
    }
    finish(e, batch, row, position, limit, sums);
  });
}

//===-- Rows against rows ---------------------------------------------------------------------------------------===//

/// So few rows meet the blocks one by one.
constexpr int64_t fewRows = 3;

void ContractLowering::reserveWords(const ContractExtents &bounds) {
  const Contraction::Operand::Blocks &blocks = c.right.blocks;
  words = blocks.existFor(t.lanes) && bounds.m <= fewRows && multipliesWords(builder.machine, blocks.layout);
  if (!words)
    return;
  builder.note("words");
  int64_t k = bounds.k, ofBlocks = k / blocks.layout.size;
  wordsArea = builder.reserveWorkerScratch(bounds.m * k * 2);
  factorsArea = builder.reserveWorkerScratch(bounds.m * ofBlocks * 4);
  extrasArea = builder.reserveWorkerScratch(bounds.m * ofBlocks * t.lanes * 4);
  finiteArea = builder.reserveWorkerScratch(bounds.m * 8);
  roomArea = builder.reserveWorkerScratch(dotColumns(t.lanes) * t.lanes * 4);
}

/// Of row m.
WordsPlaces ContractLowering::wordsOf(Emitter &e, Value m) const {
  Code &code = e.code;
  Value k = e.elements(c.k), ofBlocks = code.div(k, code.integer(c.right.blocks.layout.size));
  auto place = [&](int64_t area, Value apart, int64_t size) {
    return code.address(e.workerScratch(area), code.mul(m, apart), size);
  };
  return {place(wordsArea, k, 2), place(factorsArea, ofBlocks, 4), place(extrasArea, ofBlocks, t.lanes * 4),
          place(finiteArea, code.integer(1), 8), e.workerScratch(roomArea)};
}

/// Once for a range of tasks.
void ContractLowering::roundRows(Emitter &e) const {
  Code &code = e.code;
  code.loop(code.integer(0), e.elements(c.m), 1, [&](Value m) {
    callRound(code, c.right.blocks.layout, plainPointer(e, c.left, {}, m, code.integer(0)), e.elements(c.k),
              wordsOf(e, m));
  });
}

/// From a row of the operand on.
BlockRows ContractLowering::blockRows(Emitter &e, const Contraction::Operand &operand, Value first) const {
  Code &code = e.code;
  const Contraction::Operand::Blocks &blocks = operand.blocks;
  const BlockLayout &layout = blocks.layout;
  Value k = e.elements(c.k), apart = layout.halves ? code.div(k, code.integer(2)) : k;
  Value scalesApart = code.mul(code.div(k, code.integer(layout.size)), code.integer(byteSize(layout.scale)));
  auto row = [&](int input, Value distance) { return code.address(e.input(input), code.mul(first, distance), 1); };
  return {row(blocks.bytes, apart), apart, row(blocks.scales, scalesApart), scalesApart,
          row(blocks.minimums, scalesApart)};
}

void ContractLowering::dotTask(Emitter &e, Value task) const {
  Code &code = e.code;
  Sizes s = sizes(e);
  Block block = blockOf(e, s, task);
  Value sums = e.workerScratch(sumsArea);
  auto apart = [&](const Contraction::Operand &operand) {
    return code.mul(e.extent(operand.freeStride), code.integer(byteSize(operand.memory)));
  };
  const Contraction::Operand::Blocks &blocks = c.right.blocks;
  bool inBlocks = blocks.existFor(t.lanes);
  Value lda = apart(c.left), ldb = inBlocks ? Value() : apart(c.right);
  Value ldc = code.integer(rightStride * bytes);
  auto call = [&](int64_t rows, int64_t columns, Value m, Value n) {
    Value to = code.address(
        sums, code.add(code.mul(code.sub(m, block.m0), code.integer(rightStride)), code.sub(n, block.n0)), bytes);
    Value left = plainPointer(e, c.left, block.batch, m, code.integer(0));
    if (!inBlocks) {
      callDotKernel(code, {c.accumulator, rows, columns, t.lanes, c.left.memory, c.right.memory}, left, lda,
                    plainPointer(e, c.right, block.batch, n, code.integer(0)), ldb, to, ldc, s.k);
      return;
    }
    BlocksShape shape{blocks.layout, rows, columns, t.lanes};
    auto asFloats = [&] { callBlocksKernel(code, shape, left, lda, blockRows(e, c.right, n), to, ldc, s.k); };
    if (!words)
      return asFloats();
    WordsPlaces places = wordsOf(e, m);
    Value finite = code.compare(arith::CmpIPredicate::ne, code.loadHere(code.i64, places.finite, 8), code.integer(0));
    code.ifElse(finite, [&] { callWordsKernel(code, shape, places, blockRows(e, c.right, n), to, s.k); }, asFloats);
  };
  // Whole groups, the last of them moved back to end with the block (what it computes again comes out the same); where
  // there is not even one, one by one.
  auto groups = [&](Value begin, Value end, int64_t size, int64_t bound,
                    llvm::function_ref<void(Value, int64_t)> body) {
    if (size == 1)
      return code.loop(begin, end, 1, [&](Value i) { body(i, 1); });
    Value enough = code.compare(arith::CmpIPredicate::sge, code.sub(end, begin), code.integer(size));
    auto large = [&] {
      code.loop(begin, end, size, [&](Value i) { body(code.min(i, code.sub(end, code.integer(size))), size); });
    };
    auto small = [&] { code.loop(begin, end, 1, [&](Value i) { body(i, 1); }); };
    if (bound < size)
      small();
    else
      code.ifElse(enough, large, small);
  };
  int64_t rowGroup = graph.bound(c.m) > fewRows ? 4 : 1;
  int64_t columnGroup = dotColumns(t.lanes);
  groups(block.n0, block.n1, columnGroup, graph.bound(c.n), [&](Value n, int64_t columns) {
    groups(block.m0, block.m1, rowGroup, graph.bound(c.m), [&](Value m, int64_t rows) { call(rows, columns, m, n); });
  });
  finishRows(e, block.batch, block.m0, code.sub(block.m1, block.m0), block.n0, code.sub(block.n1, block.n0), t.nc, sums,
             rightStride);
}

} // namespace kiln::cpu
