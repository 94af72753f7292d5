// A block of a product: its slivers and panels, packed or found packed, tile by tile; and what is fetched meanwhile.

#include "backends/cpu/compile/ContractLowering.h"

using namespace mlir;
using llvm::SmallVector;

namespace kiln::cpu {

/// One sliver of rows after the other, each with all columns; the next one is fetched meanwhile, some rows with each
/// panel.
void ContractLowering::multiplyRowsFirst(Emitter &e, const Sizes &s, const Block &block, Value k0, Value k1) const {
  Code &code = e.code;
  Value left = e.workerScratch(leftArea), width = code.integer(t.tileColumns());
  Value apart = code.integer(rightStride * bytes);
  if (t.edge) {
    Value last = code.sub(s.n, code.integer(t.edge)), inPanel = code.rem(last, width);
    Value panel = sharedPanel(e, s, block.batchNumber, code.sub(last, inPanel), k0);
    packEdge(e, code.address(panel, inPanel, bytes), apart, code.sub(k1, k0));
  }
  code.loop(block.m0, block.m1, t.tileRows, [&](Value m) {
    unlessPrepacked(e, prepackedLeft, [&] { packSliver(e, block, m, k0, k1, left); });
    Value sliver = prepackedLeft ? code.op<arith::SelectOp>(isPrepacked(e), sharedRows(e, s, m, k0, k1), left) : left;
    code.loop(block.n0, block.n1, t.tileColumns(), [&](Value n) {
      tile(e, block, m, n, sliver, sharedPanel(e, s, block.batchNumber, n, k0), apart, k0, k1,
           nextSliver(e, s, block, m, n, k0, k1));
    });
  });
}

/// What the sliver after the one at m is packed from, or lies packed, shared out over the columns' panels. After the
/// last sliver, the first one of the next K block.
Ahead ContractLowering::nextSliver(Emitter &e, const Sizes &s, const Block &block, Value m, Value n, Value k0,
                                   Value k1) const {
  Code &code = e.code;
  Value width = code.integer(t.tileColumns()), rows = code.integer(t.tileRows), none = code.integer(0);
  Value panels = code.max(code.ceilDiv(s.n, width), code.integer(1)), panel = code.div(n, width);
  Value next = code.add(m, rows), wraps = code.compare(arith::CmpIPredicate::sge, next, block.m1);
  Value more = code.compare(arith::CmpIPredicate::slt, k1, block.k1);
  Value nextRow = code.op<arith::SelectOp>(wraps, block.m0, next), nextK = code.op<arith::SelectOp>(wraps, k1, k0);
  Ahead ahead;
  if (byteSize(c.left.memory) * (pairs ? 2 : 1) == bytes) { // in memory as packed
    Value share = code.ceilDiv(rows, panels);
    Value count = code.op<arith::SelectOp>(wraps, code.op<arith::SelectOp>(more, share, none), share);
    ahead = {plainPointer(e, c.left, block.batch, code.add(nextRow, code.mul(panel, share)), nextK), apartOf(e, c.left),
             count, code.integer(t.lanes * bytes)};
  }
  if (!prepackedLeft)
    return ahead;
  Value end = code.op<arith::SelectOp>(wraps, code.min(code.add(k1, code.integer(t.kc)), block.k1), k1);
  Value any = code.op<arith::SelectOp>(wraps, more, code.constantInt(code.i1, 1));
  Ahead there = fetchPacked(e, sharedRows(e, s, nextRow, nextK, end), t.tileRows * t.lanes * bytes, panel, panels, any);
  return prepackedOr(e, there, ahead);
}

/// What the sliver of the right operand after the one at n is packed from, or lies packed, shared out over the tiles of
/// this one.
Ahead ContractLowering::nextPanel(Emitter &e, const Sizes &s, const Block &block, Value m, Value n, Value k0) const {
  Code &code = e.code;
  Value one = code.integer(1), rows = code.integer(t.tileRows), zero = code.integer(0);
  Value tiles = code.ceilDiv(code.sub(block.m1, block.m0), rows), tile = code.div(code.sub(m, block.m0), rows);
  Value next = code.add(n, code.integer(t.tileColumns())), apart = apartOf(e, c.right);
  Value more = code.compare(arith::CmpIPredicate::slt, next, block.n1), from = zero, count = zero, step = zero;
  Ahead ahead;
  if (t.right == RightMode::Sliver && packedByCall(c.right) && !pairs && byteSize(c.right.memory) == bytes) {
    if (c.right.alongK) { // some rows of memory for each tile, a line of each at a time
      count = code.ceilDiv(code.integer(t.tileColumns()), code.max(tiles, one));
      from = plainPointer(e, c.right, block.batch, code.add(next, code.mul(tile, count)), k0);
      step = code.integer(t.lanes * bytes);
    } else { // of each k one of the lines that its columns may touch
      Value lines = code.integer(t.tileColumns() * bytes / 64 + 1), part = code.div(tile, lines);
      count = code.ceilDiv(code.integer(t.lanes), code.max(code.div(tiles, lines), one));
      Value line = code.mul(code.rem(tile, lines), code.integer(64));
      from = code.address(plainPointer(e, c.right, block.batch, next, k0),
                          code.add(line, code.mul(code.mul(part, count), apart)), 1);
      step = code.mul(apart, code.integer(t.lanes));
    }
    ahead = {from, apart, code.op<arith::SelectOp>(more, count, zero), step};
  }
  if (!prepackedRight)
    return ahead;
  Value there = sharedPanel(e, s, block.batchNumber, next, k0);
  return prepackedOr(e, fetchPacked(e, there, t.lanes * t.tileColumns() * bytes, tile, tiles, more), ahead);
}

/// A sliver of the right operand that this task packs, or reads as it lies: where, and the bytes between its rows.
std::pair<Value, Value> ContractLowering::packedPanel(Emitter &e, const Sizes &s, const Block &block, Value n, Value k0,
                                                      Value k1) const {
  Code &code = e.code;
  Value right = e.workerScratch(rightArea), apart = code.integer(rightStride * bytes);
  Value width = code.integer(t.tileColumns()), end = code.min(code.add(n, width), block.n1);
  if (t.right == RightMode::Task)
    return {code.address(right, code.sub(n, block.n0), bytes), apart};
  if (t.right == RightMode::Sliver) {
    if (t.unfold)
      unfold(e, n, end, k0, k1, code.integer(0), block.place, right);
    else
      packRight(e, block.batch, n, end, k0, k1, right, rightStride);
    return {right, apart};
  }
  Value there = plainPointer(e, c.right, block.batch, n, k0);
  Value thereApart = code.mul(e.extent(c.right.kStride), code.integer(bytes));
  if (t.edge) // no vector reaches beyond the end
    return {there, thereApart};
  // The last columns are packed: a whole vector read past the end of the operand might not be ours.
  Value whole = code.compare(arith::CmpIPredicate::sle, code.add(n, width), s.n);
  auto chosen = code.ifElse(
      whole, {code.ptr, code.i64}, [&] { return SmallVector<Value>{there, thereApart}; },
      [&] {
        packRight(e, block.batch, n, block.n1, k0, k1, right, rightStride);
        return SmallVector<Value>{right, apart};
      });
  return {chosen[0], chosen[1]};
}

/// A sliver of the right operand, wherever it comes from.
std::pair<Value, Value> ContractLowering::panelOf(Emitter &e, const Sizes &s, const Block &block, Value n, Value k0,
                                                  Value k1) const {
  Code &code = e.code;
  if (t.right == RightMode::Shared)
    return {sharedPanel(e, s, block.batchNumber, n, k0), code.integer(rightStride * bytes)};
  if (t.right == RightMode::Window)
    return {code.address(e.workerScratch(imageArea), code.sub(n, block.n0), bytes),
            code.address(e.workerScratch(offsetsArea), k0, 8)};
  if (!prepackedRight)
    return packedPanel(e, s, block, n, k0, k1);
  auto chosen = code.ifElse(
      isPrepacked(e), {code.ptr, code.i64},
      [&] {
        return SmallVector<Value>{sharedPanel(e, s, block.batchNumber, n, k0), code.integer(t.tileColumns() * bytes)};
      },
      [&] {
        auto [from, apart] = packedPanel(e, s, block, n, k0, k1);
        return SmallVector<Value>{from, apart};
      });
  return {chosen[0], chosen[1]};
}

void ContractLowering::multiplyBlock(Emitter &e, const Sizes &s, const Block &block, Value k0, Value k1) const {
  Code &code = e.code;
  if (t.rowsFirst)
    return multiplyRowsFirst(e, s, block, k0, k1);
  Value left = leftShared ? sharedRows(e, s, block.m0, k0, k1) : e.workerScratch(leftArea);
  if (!leftOnce && !leftShared)
    unlessPrepacked(e, prepackedLeft, [&] { packLeft(e, block, k0, k1, left); });
  if (prepackedLeft && !leftShared)
    left = code.op<arith::SelectOp>(isPrepacked(e), sharedRows(e, s, block.m0, k0, k1), left);
  if (t.right == RightMode::Task)
    unlessPrepacked(e, prepackedRight, [&] {
      packRight(e, block.batch, block.n0, block.n1, k0, k1, e.workerScratch(rightArea), rightStride);
    });
  int64_t width = t.tileColumns();
  code.loop(block.n0, block.n1, width, [&](Value n) {
    auto [from, apart] = panelOf(e, s, block, n, k0, k1);
    if (t.edge) {
      Value last = code.sub(s.n, code.integer(t.edge)), inPanel = code.sub(last, n);
      code.ifThen(code.compare(arith::CmpIPredicate::slt, last, code.add(n, code.integer(width))),
                  [&, from = from, apart = apart] {
                    packEdge(e, code.address(from, inPanel, bytes), apart, code.sub(k1, k0));
                  });
    }
    code.loop(block.m0, block.m1, t.tileRows, [&, from = from, apart = apart](Value m) {
      Value sliver = code.address(left, code.mul(code.sub(m, block.m0), depthOf(code, k0, k1)), bytes);
      tile(e, block, m, n, sliver, from, apart, k0, k1, nextPanel(e, s, block, m, n, k0));
    });
  });
}

} // namespace kiln::cpu
