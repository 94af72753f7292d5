// Operands into slivers and panels.
//
// Elements come from the emitter, so whatever stands between a kernel's input and the product (transposes, slices,
// conversions, windows of a convolution) costs no pass of its own. Vectors run along the axis that is contiguous in
// memory; where that is K, a square of vectors is transposed in registers.
//
// Rows of a packed operand are stored in ascending order by whole vectors: what a vector writes beyond its row is
// overwritten by the rows after it, and there is room for it after the last.
#include "backends/cpu/compile/ContractLowering.h"

using namespace mlir;
using llvm::ArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {

VectorType ContractLowering::vectorType(Emitter &e) const {
  return e.code.vectorOf(e.registerType(c.accumulator), t.lanes);
}

/// Whether vectors of the operand are in memory as the micro-kernel wants them, but for a float's width: the program's
/// shared functions pack it.
bool ContractLowering::packedByCall(const Contraction::Operand &operand) const {
  return c.plainFor(operand, pairs) && (operand.alongK ? operand.kStride : operand.freeStride).isOne();
}

/// Bytes between the rows of a plain operand that packing goes through.
Value ContractLowering::apartOf(Emitter &e, const Contraction::Operand &operand) const {
  Value stride = e.extent(operand.alongK ? operand.freeStride : operand.kStride);
  return e.code.mul(stride, e.code.integer(byteSize(operand.memory)));
}

/// What is packed at k of K: the operand's element there, or the pair that begins there.
Value ContractLowering::packedElement(Emitter &e, Value k, llvm::function_ref<Value(const Position &k)> element) const {
  Code &code = e.code;
  Value first = elementOfK(e, k);
  auto at = [&](Value number) { return e.vector(element(Position(c.k, e.at(number)))); };
  if (!pairs)
    return at(first);
  Value length = e.elements(c.k), second = code.add(first, code.integer(1));
  Value there = code.compare(arith::CmpIPredicate::slt, second, length);
  Value low = at(first), high = at(code.min(second, code.sub(length, code.integer(1))));
  return pairsOf(code, low, code.here<arith::SelectOp>(there, high, code.constant(high.getType(), 0.0)));
}

void ContractLowering::packRight(Emitter &e, ArrayRef<Index> batch, Value n0, Value n1, Value k0, Value k1, Value to,
                                 int64_t stride) const {
  Code &code = e.code;
  Value step = code.integer(stride * bytes);
  if (packedByCall(c.right)) {
    PackShape shape = packShape(c.right);
    Value apart = apartOf(e, c.right), elements = code.sub(elementOfK(e, k1), elementOfK(e, k0));
    if (!c.right.alongK) {
      callPack(code, shape, plainPointer(e, c.right, batch, n0, k0), apart, code.sub(n1, n0), elements, to, step);
      return;
    }
    code.loop(n0, n1, t.lanes, [&](Value n) {
      Value columns = code.min(code.sub(n1, n), code.integer(t.lanes));
      callPack(code, shape, plainPointer(e, c.right, batch, n, k0), apart, columns, elements,
               code.address(to, code.sub(n, n0), bytes), step);
    });
    return;
  }
  if (c.right.alongK)
    packRightAlongK(e, batch, n0, n1, k0, k1, to, stride);
  else
    packRightAlongN(e, batch, n0, n1, k0, k1, to, stride);
}

/// to[k - k0][n - n0] for whole vectors of columns from n0 to n1.
void ContractLowering::packRightAlongN(Emitter &e, ArrayRef<Index> batch, Value n0, Value n1, Value k0, Value k1,
                                       Value to, int64_t stride) const {
  Code &code = e.code;
  code.loop(k0, k1, 1, [&](Value k) {
    Value row = code.address(to, code.mul(code.sub(k, k0), code.integer(stride)), bytes);
    forEachRun(e, c.columns, c.right.freeInRows, n0, n1, [&](Value n, const Position &position, Value limit) {
      Mask mask{code.firstLanes(code.sub(limit, n), t.lanes), {}};
      Value element =
          packedElement(e, k, [&](const Position &there) { return c.right.element(e, batch, position, there, mask); });
      code.store(element, code.address(row, code.sub(n, n0), bytes), bytes);
    });
  });
}

/// Rows of an operand, at most as many as lanes, evaluated along K into the worker's scratch and turned from there: the
/// program's shared function transposes, so that this kernel holds the code of one row.
void ContractLowering::turnRows(Emitter &e, const Contraction::Operand &operand, const Shape &shape,
                                ArrayRef<Index> batch, Value first, Value count, Value k0, Value k1, Value to,
                                Value stride) const {
  Code &code = e.code;
  Value rows = e.workerScratch(turnArea), begin = elementOfK(e, k0), end = elementOfK(e, k1);
  auto turn = [&] {
    callPack(code, {packed, t.lanes, Packing::Turn, c.accumulator}, rows, code.integer(turnStride * bytes), count,
             code.sub(end, begin), to, stride);
  };
  if (operand.blocks.existFor(t.lanes) && !pairs) {
    callWiden(code, operand.blocks.layout, t.lanes, blockRows(e, operand, first), count, begin, end, rows,
              code.integer(turnStride * bytes));
    return turn();
  }
  // A few rows side by side share what depends on the position along K, and K's loop what depends on the row.
  int64_t together = std::min<int64_t>(t.lanes, 4);
  Value last = code.sub(count, code.integer(1));
  code.loop(code.integer(0), count, together, [&](Value group) {
    Value groupRows = code.address(rows, code.mul(group, code.integer(turnStride)), bytes);
    forEachRun(e, c.k, operand.kInRows, begin, end, [&](Value k, const Position &position, Value limit) {
      Mask mask{code.firstLanes(code.sub(limit, k), t.lanes), {}};
      Value column = code.address(groupRows, code.sub(k, begin), bytes);
      for (int64_t i = 0; i < together; ++i) { // beyond the edge the last row stands in
        Value row = code.add(first, code.min(code.add(group, code.integer(i)), last));
        Value element = e.vector(operand.element(e, batch, Position(shape, e.at(row)), position, mask));
        code.store(element, code.address(column, code.integer(i * turnStride), bytes), bytes);
      }
    });
  });
  turn();
}

void ContractLowering::packRightAlongK(Emitter &e, ArrayRef<Index> batch, Value n0, Value n1, Value k0, Value k1,
                                       Value to, int64_t stride) const {
  Code &code = e.code;
  code.loop(n0, n1, t.lanes, [&](Value n) {
    Value columns = code.min(code.sub(n1, n), code.integer(t.lanes));
    turnRows(e, c.right, c.columns, batch, n, columns, k0, k1, code.address(to, code.sub(n, n0), bytes),
             code.integer(stride * bytes));
  });
}

/// Slivers of tileRows rows (the last one lower, see heightOf), each [k][rows] or in lines, one after the other.
void ContractLowering::packLeft(Emitter &e, const Block &block, Value k0, Value k1, Value to) const {
  if (packedByCall(c.left) && !c.left.alongK)
    return packColumns(e, block, k0, k1, k0, k1, to);
  Code &code = e.code;
  code.loop(block.m0, block.m1, t.tileRows, [&](Value m) {
    packSliver(e, block, m, k0, k1, code.address(to, code.mul(code.sub(m, block.m0), depthOf(code, k0, k1)), bytes));
  });
}

/// Of the slivers of a K block that begins at `to`, the rows from k0 to k1: whole slivers row by row of memory, then
/// the last one.
void ContractLowering::packColumns(Emitter &e, const Block &block, Value block0, Value block1, Value k0, Value k1,
                                   Value to) const {
  Code &code = e.code;
  Value tall = code.integer(t.tileRows), rows = code.mul(code.div(code.sub(block.m1, block.m0), tall), tall);
  Value depth = depthOf(code, block0, block1), before = code.sub(k0, block0);
  Value elements = code.sub(elementOfK(e, k1), elementOfK(e, k0)), last = code.add(block.m0, rows);
  auto split = [&](Value m, Value count, int64_t height, Value there) {
    callSplit(code, {packed, height, t.lanes, c.left.memory}, plainPointer(e, c.left, block.batch, m, k0),
              apartOf(e, c.left), count, elements, there, code.mul(depth, code.integer(height * bytes)));
  };
  split(block.m0, rows, t.tileRows, code.address(to, code.mul(before, tall), bytes));
  code.ifThen(code.compare(arith::CmpIPredicate::slt, last, block.m1), [&] {
    Value count = code.sub(block.m1, last), height = heightOf(e, count);
    Value there = code.address(to, code.add(code.mul(rows, depth), code.mul(before, height)), bytes);
    if (leftShared) // another task has the rows behind k1, which a whole vector would reach into
      split(last, count, heights().back(), there);
    else
      packLeftByCall(e, block, last, height, k0, k1, there);
  });
}

void ContractLowering::packSliver(Emitter &e, const Block &block, Value m, Value k0, Value k1, Value to) const {
  Value height = heightOf(e, e.code.sub(block.m1, m));
  if (packedByCall(c.left))
    packLeftByCall(e, block, m, height, k0, k1, to);
  else if (c.left.alongK)
    packLeftAlongK(e, block, m, height, k0, k1, to);
  else
    packLeftAlongM(e, block, m, height, k0, k1, to);
}

/// Where the rows from m on are packed, of the K block from k0 on: block after block, in each all rows.
Value ContractLowering::sharedRows(Emitter &e, const Sizes &s, Value m, Value k0, Value k1) const {
  Code &code = e.code;
  Value rows = code.mul(code.ceilDiv(s.m, code.integer(t.tileRows)), code.integer(t.tileRows));
  return code.address(sharedBase(e, prepackedLeft, leftShared, sharedLeftArea),
                      code.add(code.mul(k0, rows), code.mul(m, depthOf(code, k0, k1))), bytes);
}

/// Of one K block a sliver, or a few rows of all slivers.
void ContractLowering::shareLeftTask(Emitter &e, Value task) const {
  Code &code = e.code;
  Sizes s = sizes(e);
  int64_t depths = ceilDivide(t.kc, sharedDepth);
  Value parts = lines ? code.max(code.ceilDiv(s.m, code.integer(t.tileRows)), code.integer(1)) : code.integer(depths);
  Value part = code.rem(task, parts), k0 = code.mul(code.div(task, parts), code.integer(t.kc)),
        k1 = code.min(code.add(k0, code.integer(t.kc)), s.k);
  if (lines) {
    Value m = code.mul(part, code.integer(t.tileRows));
    return packSliver(e, allRows(e, s), m, k0, k1, sharedRows(e, s, m, k0, k1));
  }
  Value begin = code.min(code.add(k0, code.mul(part, code.integer(sharedDepth))), k1);
  packColumns(e, allRows(e, s), k0, k1, begin, code.min(code.add(begin, code.integer(sharedDepth)), k1),
              sharedRows(e, s, code.integer(0), k0, k1));
}

void ContractLowering::packLeftByCall(Emitter &e, const Block &block, Value m, Value height, Value k0, Value k1,
                                      Value to) const {
  Code &code = e.code;
  Value rows = code.min(code.sub(block.m1, m), code.integer(t.tileRows));
  Value stride = code.mul(height, code.integer(lines ? t.lanes * bytes : bytes));
  // From far off in as many streams as there are rows, written in one; where rows are fetched before, each for itself:
  // those that a power of two lies between share a cache set.
  Packing packing = !lines ? Packing::Copy : t.rowsFirst ? Packing::Line : Packing::Across;
  PackShape shape{packed, t.lanes, packing, c.left.memory};
  auto [from, apart] = rowsToPack(e, block, m, k0);
  callPack(code, shape, from, apart, rows, code.sub(elementOfK(e, k1), elementOfK(e, k0)), to, stride);
}

/// Where rows from m on lie at k0 that are packed by call, and the bytes between two.
std::pair<Value, Value> ContractLowering::rowsToPack(Emitter &e, const Block &block, Value m, Value k0) const {
  Code &code = e.code;
  if (!turnsSlivers)
    return {plainPointer(e, c.left, block.batch, m, k0), apartOf(e, c.left)};
  Value within = code.rem(k0, code.integer(static_cast<int64_t>(c.turned->taken.size())));
  return {code.address(e.workerScratch(turnedArea), within, bytes), code.integer(turnedStride * bytes)};
}

void ContractLowering::packLeftAlongM(Emitter &e, const Block &block, Value m, Value height, Value k0, Value k1,
                                      Value to) const {
  Code &code = e.code;
  Value end = code.min(code.add(m, code.integer(t.tileRows)), block.m1);
  code.loop(k0, k1, 1, [&](Value k) {
    Value row = code.address(to, code.mul(code.sub(k, k0), height), bytes);
    forEachRun(e, c.m, c.left.freeInRows, m, end, [&](Value first, const Position &position, Value limit) {
      Mask mask{code.firstLanes(code.sub(limit, first), t.lanes), {}};
      Value element = packedElement(
          e, k, [&](const Position &there) { return c.left.element(e, block.batch, position, there, mask); });
      code.store(element, code.address(row, code.sub(first, m), bytes), bytes);
    });
  });
}

void ContractLowering::packLeftAlongK(Emitter &e, const Block &block, Value m, Value height, Value k0, Value k1,
                                      Value to) const {
  Code &code = e.code;
  Value rows = code.min(code.sub(block.m1, m), code.integer(t.tileRows)),
        stride = code.mul(height, code.integer(bytes));
  // Where a sliver is wider than a vector, the right part first: what it writes beyond its rows is then overwritten.
  code.loop(code.integer(0), code.integer(ceilDivide(t.tileRows, t.lanes)), 1, [&](Value part) {
    Value r = code.mul(code.sub(code.integer((t.tileRows - 1) / t.lanes), part), code.integer(t.lanes));
    Value count = code.min(code.sub(rows, r), code.integer(t.lanes));
    code.ifThen(code.compare(arith::CmpIPredicate::sgt, count, code.integer(0)), [&] {
      turnRows(e, c.left, c.m, block.batch, code.add(m, r), count, k0, k1, code.address(to, r, bytes), stride);
    });
  });
}

/// Some rows of the turned filter.
void ContractLowering::turnTask(Emitter &e, Value task) const {
  Code &code = e.code;
  Value first = code.mul(task, code.integer(turnedRows));
  Value last = code.min(code.add(first, code.integer(turnedRows)), e.elements(c.m));
  Value length = code.mul(e.extent(c.k[0]), code.integer(static_cast<int64_t>(c.turned->taken.size())));
  turnRowsOf(e, first, last, code.integer(0), e.extent(c.k[0]), turnedRows,
             code.address(e.scratch(turnedArea), code.mul(first, length), bytes), length);
}

/// Of the sliver at m what a K block has, from the beginning of a channel on.
void ContractLowering::turnSliver(Emitter &e, const Block &block, Value m, Value k0, Value k1) const {
  Code &code = e.code;
  Value taken = code.integer(static_cast<int64_t>(c.turned->taken.size()));
  turnRowsOf(e, m, code.min(code.add(m, code.integer(t.tileRows)), block.m1), code.div(k0, taken),
             code.ceilDiv(k1, taken), t.tileRows, e.workerScratch(turnedArea), code.integer(turnedStride));
}

/// Rows first to last of the turned filter, some channels of them, `apart` elements from each other; `ahead` rows are
/// fetched.
void ContractLowering::turnRowsOf(Emitter &e, Value first, Value last, Value channel0, Value channel1, int64_t ahead,
                                  Value to, Value apart) const {
  Code &code = e.code;
  const Contraction::Turned &turned = *c.turned;
  Value depth = e.extent(turned.depth), rows = e.extent(turned.rows);
  Value filter = e.input(static_cast<size_t>(turned.input));
  auto count = static_cast<int64_t>(turned.taken.size());
  Value taken = code.integer(count);
  code.loop(channel0, channel1, 1, [&](Value channel) {
    if (turned.rows == Extent(turned.taps)) { // rows are neighbours, channels far apart: fetched some channels ahead
      Value there = code.add(code.mul(first, rows), code.mul(code.add(channel, code.integer(8)), depth));
      Value from = code.address(filter, there, bytes);
      for (int64_t byte = 0; byte < ahead * turned.taps * bytes; byte += 64)
        code.here<LLVM::Prefetch>(code.address(from, code.integer(byte), 1), 0u, 3u, 1u);
    }
    code.loop(first, last, 1, [&](Value m) {
      Value from = code.address(filter, code.add(code.mul(m, rows), code.mul(channel, depth)), bytes);
      Value place = code.add(code.mul(code.sub(m, first), apart), code.mul(code.sub(channel, channel0), taken));
      for (int64_t done = 0; done < count; done += t.lanes)
        turnVector(e, ArrayRef(turned.taken).slice(done, std::min(t.lanes, count - done)), from,
                   code.address(to, code.add(place, code.integer(done)), bytes));
    });
  });
}

/// to[i] = from[taken[i]], as many as a vector has lanes at most.
void ContractLowering::turnVector(Emitter &e, ArrayRef<int64_t> taken, Value from, Value to) const {
  Code &code = e.code;
  VectorType vector = vectorType(e);
  auto count = static_cast<int64_t>(taken.size());
  // Lanes of the vectors that they all lie in, of which there are two at most.
  int64_t first = *llvm::min_element(taken), last = *llvm::max_element(taken);
  if (last - first >= 2 * t.lanes) {
    Type type = e.registerType(c.accumulator);
    for (int64_t i = 0; i < count; ++i)
      code.store(code.loadHere(type, code.address(from, code.integer(taken[static_cast<size_t>(i)]), bytes), bytes),
                 code.address(to, code.integer(i), bytes), bytes);
    return;
  }
  auto load = [&](int64_t begin) {
    Value some = code.firstLanes(code.integer(std::max<int64_t>(0, std::min(t.lanes, last + 1 - begin))), t.lanes);
    return code.maskedLoad(vector, code.address(from, code.integer(begin), bytes), some, bytes, true);
  };
  Value low = load(first), high = last - first < t.lanes ? low : load(first + t.lanes);
  SmallVector<int64_t> order(static_cast<size_t>(t.lanes), 0);
  for (auto [lane, tap] : llvm::enumerate(taken))
    order[lane] = tap - first;
  code.maskedStore(code.here<vector::ShuffleOp>(low, high, order), to, code.firstLanes(code.integer(count), t.lanes),
                   bytes);
}

} // namespace kiln::cpu
