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
    if (turnsSlivers)
      turnSliver(e, block, m, k0, k1);
    if (!leftInPlace)
      unlessPrepacked(e, prepackedLeft, [&] { packSliver(e, block, m, k0, k1, left); });
    Value sliver = leftInPlace     ? plainPointer(e, c.left, block.batch, m, k0)
                   : prepackedLeft ? code.op<arith::SelectOp>(isPrepacked(e), sharedRows(e, s, m, k0, k1), left)
                                   : left;
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
  if (turnsSlivers)
    return nextTurned(e, nextRow, nextK, panel, panels,
                      code.op<arith::SelectOp>(wraps, more, code.constantInt(code.i1, 1)));
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

/// Of a filter that is turned, whose rows of some neighbours are a stretch of each channel: where a line of K is of two
/// channels, the lines of one with each second panel. (These are a little more channels than are turned meanwhile.)
Ahead ContractLowering::nextTurned(Emitter &e, Value row, Value k, Value panel, Value panels, Value any) const {
  Code &code = e.code;
  const Contraction::Turned &turned = *c.turned;
  auto taken = static_cast<int64_t>(turned.taken.size());
  if (turned.rows != Extent(turned.taps) || ceilDivide(t.lanes, taken) != 2)
    return {};
  Value two = code.integer(2), depth = e.extent(turned.depth), size = code.integer(bytes);
  int64_t lines = t.tileRows * turned.taps * bytes / 64 + 1;
  Value count = code.ceilDiv(code.integer(lines), code.max(code.div(panels, two), code.integer(1)));
  Value channel = code.add(code.div(k, code.integer(taken)), code.rem(panel, two));
  Value place = code.add(code.mul(row, e.extent(turned.rows)), code.mul(channel, depth));
  Value first = code.mul(code.mul(code.div(panel, two), count), code.integer(64));
  Value from = code.address(e.input(static_cast<size_t>(turned.input)), code.add(code.mul(place, size), first), 1);
  return {from, code.integer(64), code.op<arith::SelectOp>(any, count, code.integer(0)),
          code.mul(code.mul(depth, two), size)};
}

/// The sliver of the right operand after the one at n: after the last of them, the first one of the next K block; after
/// that block's, the next task's.
ContractLowering::Panel ContractLowering::panelAfter(Emitter &e, const Block &block, Value n, Value k0,
                                                     Value k1) const {
  Code &code = e.code;
  Value next = code.add(n, code.integer(t.tileColumns()));
  Value more = code.compare(arith::CmpIPredicate::slt, next, block.n1);
  if (oneBlock)
    return {next, k0, more, code.op<arith::OrIOp>(more, block.follows)};
  Value again = code.compare(arith::CmpIPredicate::slt, k1, block.k1);
  Value begin = code.op<arith::SelectOp>(again, block.n0, next), k = code.op<arith::SelectOp>(again, k1, block.k0);
  Value mine = code.op<arith::OrIOp>(more, again);
  return {code.op<arith::SelectOp>(more, next, begin), code.op<arith::SelectOp>(more, k0, k), mine,
          code.op<arith::OrIOp>(mine, block.follows)};
}

/// Of a sliver that is packed in parts, the rows that belong to the tile at m.
std::pair<Value, Value> ContractLowering::partOf(Emitter &e, const Block &block, Value m) const {
  Code &code = e.code;
  Value rows = code.integer(t.tileRows), tiles = code.ceilDiv(code.sub(block.m1, block.m0), rows);
  Value share = code.ceilDiv(code.integer(t.kc), code.max(tiles, code.integer(1)));
  return {code.mul(code.div(code.sub(m, block.m0), rows), share), share};
}

/// What that sliver is packed from, or lies packed, shared out over the tiles of this one.
Ahead ContractLowering::fetchPanel(Emitter &e, const Sizes &s, const Block &block, Value m, const Panel &next) const {
  Code &code = e.code;
  Value one = code.integer(1), rows = code.integer(t.tileRows), zero = code.integer(0);
  Value tiles = code.ceilDiv(code.sub(block.m1, block.m0), rows), tile = code.div(code.sub(m, block.m0), rows);
  Value apart = apartOf(e, c.right), line = code.integer(64);
  auto packed = [&] {
    return fetchPacked(e, sharedPanel(e, s, block.batchNumber, next.n, next.k), t.lanes * t.tileColumns() * bytes, tile,
                       tiles, next.any);
  };
  if (t.right == RightMode::Shared)
    return packed();
  Ahead ahead;
  if (fetchesRight()) {
    auto from = [&](Value n, Value k) { return plainPointer(e, c.right, block.batch, n, k); };
    int64_t size = byteSize(c.right.memory), lines = t.tileColumns() * size / 64 + 1; // that a row of columns may touch
    Value rowsApart = code.mul(apart, code.integer(perPacked()));
    if (c.right.alongK) { // some rows of memory for each tile, a line of each at a time, or two
      int64_t along = t.lanes * perPacked() * size;
      Value count = code.ceilDiv(code.integer(t.tileColumns()), code.max(tiles, one));
      ahead = {from(code.add(next.n, code.mul(tile, count)), next.k), apart, count, code.integer(along)};
      if (pairs)
        ahead.second = code.integer(along - 64);
    } else if (inParts) { // a row for as many k as there are lanes, or two
      Value begin = partOf(e, block, m).first;
      ahead = {from(next.n, code.add(next.k, begin)), line, code.integer(lines), rowsApart};
      if (pairs)
        ahead.second = apart;
    } else { // of each k one of the lines
      Value part = code.div(tile, code.integer(lines));
      Value count = code.ceilDiv(code.integer(t.lanes), code.max(code.div(tiles, code.integer(lines)), one));
      Value first = code.mul(code.rem(tile, code.integer(lines)), line);
      ahead = {code.address(from(next.n, next.k), code.add(first, code.mul(code.mul(part, count), rowsApart)), 1),
               rowsApart, count, code.mul(rowsApart, code.integer(t.lanes))};
      if (pairs)
        ahead.second = apart;
    }
    ahead.count = code.op<arith::SelectOp>(next.any, ahead.count, zero);
  }
  return prepackedRight ? prepackedOr(e, packed(), ahead) : ahead;
}

/// Where the sliver at n of the K block from k0 on is packed, where slivers are packed in parts: in one place or the
/// other, by turns.
Value ContractLowering::placeOfPanel(Emitter &e, const Block &block, Value n, Value k0) const {
  Code &code = e.code;
  Value width = code.integer(t.tileColumns()), number = code.div(code.sub(n, block.n0), width);
  if (!oneBlock)
    number = code.add(number, code.mul(code.div(code.sub(k0, block.k0), code.integer(t.kc)),
                                       code.ceilDiv(code.sub(block.n1, block.n0), width)));
  return code.address(e.workerScratch(rightArea),
                      code.mul(code.rem(number, code.integer(2)), code.integer(panelSize())), bytes);
}

/// Packs the next sliver's part of this tile, which was fetched while the tile was summed.
void ContractLowering::packPart(Emitter &e, const Block &block, Value m, const Panel &next) const {
  Code &code = e.code;
  auto [begin, share] = partOf(e, block, m);
  Value depth = code.sub(block.k1, next.k), from = code.add(next.k, code.min(begin, depth));
  Value to = code.add(next.k, code.min(code.min(code.add(begin, share), code.integer(t.kc)), depth));
  Value end = code.min(code.add(next.n, code.integer(t.tileColumns())), block.n1);
  auto pack = [&] {
    Value place = code.address(placeOfPanel(e, block, next.n, next.k),
                               code.mul(code.sub(from, next.k), code.integer(rightStride)), bytes);
    packRight(e, block.batch, next.n, end, from, to, place, rightStride);
  };
  code.ifThen(next.mine, [&] { unlessPrepacked(e, prepackedRight, pack); });
}

/// A sliver of the right operand that this task packs, or reads as it lies: where, and the bytes between its rows.
std::pair<Value, Value> ContractLowering::packedPanel(Emitter &e, const Sizes &s, const Block &block, Value n, Value k0,
                                                      Value k1) const {
  Code &code = e.code;
  Value right = e.workerScratch(rightArea), apart = code.integer(rightStride * bytes);
  Value width = code.integer(t.tileColumns()), end = code.min(code.add(n, width), block.n1);
  if (t.right == RightMode::Task)
    return {code.address(right, code.sub(n, block.n0), bytes), apart};
  if (inParts) { // but for the first, the sliver before has packed it
    Value place = placeOfPanel(e, block, n, k0);
    Value first = code.both(code.compare(arith::CmpIPredicate::eq, n, block.n0),
                            code.compare(arith::CmpIPredicate::eq, k0, block.k0));
    code.ifThen(first, [&] { packRight(e, block.batch, n, end, k0, k1, place, rightStride); });
    return {place, apart};
  }
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
  if (!leftOnce && !leftShared && !leftInPlace)
    unlessPrepacked(e, prepackedLeft, [&] { packLeft(e, block, k0, k1, left); });
  if (prepackedLeft && !leftShared)
    left = code.op<arith::SelectOp>(isPrepacked(e), sharedRows(e, s, block.m0, k0, k1), left);
  if (t.right == RightMode::Task)
    unlessPrepacked(e, prepackedRight, [&] {
      packRight(e, block.batch, block.n0, block.n1, k0, k1, e.workerScratch(rightArea), rightStride);
    });
  int64_t width = t.tileColumns();
  auto sliverAt = [&](Value m) {
    return leftInPlace ? plainPointer(e, c.left, block.batch, m, k0)
                       : code.address(left, code.mul(code.sub(m, block.m0), depthOf(code, k0, k1)), bytes);
  };
  if (rowsOutside()) { // little is read, and each row is written in a stream
    code.loop(block.m0, block.m1, t.tileRows, [&](Value m) {
      Value sliver = sliverAt(m);
      code.loop(block.n0, block.n1, width, [&](Value n) {
        auto [from, apart] = panelOf(e, s, block, n, k0, k1);
        tile(e, block, m, n, sliver, from, apart, k0, k1);
      });
    });
    return;
  }
  code.loop(block.n0, block.n1, width, [&](Value n) {
    auto [from, apart] = panelOf(e, s, block, n, k0, k1);
    Panel next = panelAfter(e, block, n, k0, k1);
    if (t.edge) {
      Value last = code.sub(s.n, code.integer(t.edge)), inPanel = code.sub(last, n);
      code.ifThen(code.compare(arith::CmpIPredicate::slt, last, code.add(n, code.integer(width))),
                  [&, from = from, apart = apart] {
                    packEdge(e, code.address(from, inPanel, bytes), apart, code.sub(k1, k0));
                  });
    }
    code.loop(block.m0, block.m1, t.tileRows, [&, from = from, apart = apart](Value m) {
      tile(e, block, m, n, sliverAt(m), from, apart, k0, k1, fetchPanel(e, s, block, m, next));
      if (inParts)
        packPart(e, block, m, next);
    });
  });
}

} // namespace kiln::cpu
