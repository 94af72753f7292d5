// One tile of a product: its micro-kernels, what is fetched for it, what becomes of its sums.

#include "backends/cpu/compile/ContractLowering.h"

using namespace mlir;
using llvm::ArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {

/// Where a tile's elements will be written, and what of the same shape is read for them, is fetched while it is summed:
/// rows lie far apart, and nothing else would ask for them in time.
void ContractLowering::fetchResult(Emitter &e, const Block &block, Value m, Value rows, Value n, Value width) const {
  Code &code = e.code;
  const Shape &dims = graph.type(c.result).dims;
  SmallVector<std::pair<Value, int64_t>> read, written;
  for (auto [i, v] : llvm::enumerate(graph.inputs))
    if (graph.type(v).dims == dims && v != c.left.value && v != c.right.value)
      read.push_back({e.input(i), byteSize(graph.type(v).dtype)});
  for (auto [i, v] : llvm::enumerate(graph.outputs))
    written.push_back({e.output(i), byteSize(graph.type(v).dtype)});
  code.loop(code.integer(0), rows, 1, [&](Value r) {
    Value place = e.linear(dims, c.resultPosition(e, block.batch, e.indicesOfRow(c.m, code.add(m, r)), {e.at(n)})).base;
    auto fetch = [&](Value pointer, int64_t size, bool write) {
      Value from = code.address(pointer, place, size);
      auto line = [&](Value byte) { code.here<LLVM::Prefetch>(code.address(from, byte, 1), write ? 1u : 0u, 3u, 1u); };
      if (isConstant(c.n) && graph.bound(c.n) % t.tileColumns() == 0) { // no panel is narrower
        for (int64_t byte = 0; byte < t.tileColumns() * size; byte += 64)
          line(code.integer(byte));
        return;
      }
      code.loop(code.integer(0), code.mul(width, code.integer(size)), 64, line);
    };
    for (auto [pointer, size] : read)
      fetch(pointer, size, false);
    for (auto [pointer, size] : written)
      fetch(pointer, size, true);
  });
}

/// A tile of whole vectors: its sums become elements of the result where they are.
void ContractLowering::finishTile(Emitter &e, const Block &block, Value m, Value n, Value left, Value right,
                                  Value apart, Value k, const Ahead &ahead) const {
  Code &code = e.code;
  auto finish = [&](int64_t rows) {
    SmallVector<Value> sums =
        sumTile(code, tileShape(roundUp(rows, t.rowUnit), t.tileVectors), left, right, apart, k, ahead);
    // The tile's place, of this place in the code: what belongs to it is read behind the sums, holds no register while
    // they are made, and is not read for a tile that the edge cuts.
    Value row = code.here<arith::AddIOp>(m, code.integer(0)), column = code.here<arith::AddIOp>(n, code.integer(0));
    Value element;
    e.bind(c.result, [&](ArrayRef<Index>, const Mask &) { return element; });
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = 0; j < t.tileVectors; ++j) {
        element = converted(e, sums[static_cast<size_t>(r * t.tileVectors + j)]);
        Indices at = e.indicesOfRow(c.m, code.add(row, code.integer(r)));
        sink(e, c.resultPosition(e, block.batch, at, {e.at(code.add(column, code.integer(j * t.lanes)), 1)}), {});
      }
    e.unbind(c.result);
  };
  int64_t all = graph.bound(c.m), rest = all % t.tileRows;
  if (!rest || all < t.tileRows)
    return finish(rest ? rest : t.tileRows);
  Value whole = code.compare(arith::CmpIPredicate::sge, code.sub(block.m1, m), code.integer(t.tileRows));
  code.ifElse(whole, [&] { finish(t.tileRows); }, [&] { finish(rest); });
}

void ContractLowering::tile(Emitter &e, const Block &block, Value m, Value n, Value left, Value right, Value apart,
                            Value k0, Value k1, const Ahead &ahead) const {
  Code &code = e.code;
  int64_t width = t.tileColumns();
  Value sums = e.workerScratch(sumsArea), ldc = code.integer(width * bytes);
  Value accumulate = code.constantInt(code.i1, 0);
  if (inResult) {
    const Shape &dims = graph.type(c.result).dims;
    Indices at = c.resultPosition(e, block.batch, e.indicesOfRow(c.m, m), {e.at(n)});
    sums = code.address(e.output(0), e.linear(dims, at).base, bytes);
    ldc = code.integer(graph.bound(c.n) * bytes);
  } else if (!oneBlock) {
    Value number =
        code.add(code.mul(code.div(code.sub(n, block.n0), code.integer(width)), code.integer(t.mc / t.tileRows)),
                 code.div(code.sub(m, block.m0), code.integer(t.tileRows)));
    sums = code.address(sums, code.mul(number, code.integer(t.tileRows * width)), bytes);
  }
  if (!oneBlock)
    accumulate = code.compare(arith::CmpIPredicate::sgt, k0, block.k0);
  Value rows = code.sub(block.m1, m), rest = code.sub(block.n1, n);
  bool near = graph.bound(graph.type(c.result).dims) * bytes <= firstLevel / 2; // whatever wrote it last
  // Where a sliver of rows goes through columns one after the other, rows are written in streams, which is foreseen.
  bool streams = inRegisters && (t.rowsFirst || rowsOutside());
  if (oneBlock && !inResult && c.n.size() == 1 && t.right != RightMode::Window && !near && !streams)
    fetchResult(e, block, m, code.min(rows, code.integer(t.tileRows)), n, code.min(rest, code.integer(width)));
  Value depth = code.sub(k1, k0);
  auto throughMemory = [&] {
    callTile(e, heightOf(e, rows), rest, left, right, apart, sums, ldc, depth, accumulate, ahead);
    if (!inResult)
      finishSums(e, block, m, n, k1, sums);
  };
  if (!inRegisters)
    return throughMemory();
  auto inPlace = [&] { finishTile(e, block, m, n, left, right, apart, depth, ahead); };
  if (graph.bound(columns) % width == 0)
    return inPlace();
  code.ifElse(code.compare(arith::CmpIPredicate::sge, rest, code.integer(width)), inPlace, throughMemory);
}

/// What becomes of a tile's sums once the last K block is among them.
void ContractLowering::finishSums(Emitter &e, const Block &block, Value m, Value n, Value k1, Value sums) const {
  Code &code = e.code;
  int64_t width = t.tileColumns();
  Value last = oneBlock ? code.constantInt(code.i1, 1) : code.compare(arith::CmpIPredicate::sge, k1, block.k1);
  code.ifThen(last, [&] {
    Value rows = code.min(code.sub(block.m1, m), code.integer(t.tileRows));
    Value rest = code.min(code.sub(block.n1, n), code.integer(width));
    if (t.right == RightMode::Window) {
      finishWindow(e, block.batch, m, rows, n, rest, sums, width);
      return;
    }
    if (t.chunks == 1) {
      finishRows(e, block.batch, m, rows, n, rest, width, sums, width);
      return;
    }
    // A part of K: put down as it is.
    Sizes s = sizes(e);
    int64_t lanes = t.lanes;
    Value stride = code.mul(code.ceilDiv(s.n, code.integer(lanes)), code.integer(lanes));
    Value first = code.mul(code.add(code.mul(block.chunk, s.batch), block.batchNumber), s.m);
    code.loop(code.integer(0), rows, 1, [&](Value r) {
      Value row = code.add(code.mul(code.add(first, code.add(m, r)), stride), n);
      Value to = code.address(e.scratch(partialArea), row, bytes);
      Value from = code.address(sums, code.mul(r, code.integer(width)), bytes);
      code.loop(code.integer(0), rest, lanes, [&](Value v) {
        code.store(code.loadHere(vectorType(e), code.address(from, v, bytes), bytes), code.address(to, v, bytes),
                   bytes);
      });
    });
  });
}

SmallVector<int64_t, 4> ContractLowering::heights() const {
  SmallVector<int64_t, 4> all;
  bool constant = isConstant(c.m);
  int64_t m = graph.bound(c.m), rest = m % t.tileRows;
  for (int64_t h = t.tileRows; h > 0; h -= t.rowUnit)
    if (!constant || (h == t.tileRows && m >= h) || (rest && h == roundUp(rest, t.rowUnit)))
      all.push_back(h);
  if (all.empty())
    all.push_back(t.tileRows);
  return all;
}

/// How many rows of K a sliver of the left operand has room for (ContractModel.h, spreadDepth).
Value ContractLowering::depthOf(Code &code, Value k0, Value k1) const {
  Value lanes = code.integer(t.lanes), vectors = code.ceilDiv(code.sub(k1, k0), lanes);
  return code.mul(lines ? vectors : code.op<arith::OrIOp>(vectors, code.integer(1)), lanes);
}

/// The height of the sliver that holds the first of `rows` rows: whole, or the rest rounded up to the unit.
Value ContractLowering::heightOf(Emitter &e, Value rows) const {
  Code &code = e.code;
  SmallVector<int64_t, 4> all = heights();
  if (all.size() == 1)
    return code.integer(all[0]);
  Value unit = code.integer(t.rowUnit);
  return code.min(code.integer(t.tileRows), code.mul(code.ceilDiv(rows, unit), unit));
}

MicroShape ContractLowering::tileShape(int64_t rows, int64_t vectors) const {
  return {packed, rows, vectors, t.lanes, lines, leftInPlace ? graph.bound(c.left.freeStride) : 0, leftInPlace ? 1 : 0};
}

/// The edge's columns of a tile.
void ContractLowering::callEdge(Emitter &e, int64_t rows, Value left, Value to, Value ldc, Value k,
                                Value accumulate) const {
  Code &code = e.code;
  Value columns = e.workerScratch(edgeArea), apart = code.integer(edgeStride * bytes);
  if (!leftInPlace)
    return callEdgeKernel(code, {packed, rows, t.edge, t.lanes}, left, columns, apart, to, ldc, k, accumulate);
  int64_t acrossRows = graph.bound(c.left.freeStride) * bytes;
  for (int64_t r = 0; r < rows; r += t.rowUnit)
    callDotKernel(code, {c.accumulator, t.rowUnit, t.edge, t.lanes},
                  code.address(left, code.integer(r * acrossRows), 1), code.integer(acrossRows), columns, apart,
                  code.address(to, code.mul(ldc, code.integer(r)), 1), ldc, k);
}

void ContractLowering::callTile(Emitter &e, Value height, Value width, Value left, Value right, Value ldb, Value to,
                                Value ldc, Value k, Value accumulate, const Ahead &ahead) const {
  Code &code = e.code;
  int64_t whole = t.tileColumns(), last = graph.bound(columns) % whole;
  bool constant = isConstant(columns);
  auto call = [&](int64_t rows, int64_t vectors) {
    MicroShape shape = tileShape(rows, vectors);
    if (t.right == RightMode::Window)
      callTapsKernel(code, shape, left, ldb, right, to, ldc, k, accumulate);
    else
      callMicroKernel(code, shape, left, right, ldb, to, ldc, k, accumulate, leftInPlace ? Ahead() : ahead);
  };
  // The last panel may be narrower; where its width is not known, only much narrower ones have code of their own.
  int64_t narrow = !constant ? 1 : t.edge ? last / t.lanes : ceilDivide(last, t.lanes);
  auto callNarrow = [&](int64_t rows) {
    if (narrow)
      call(rows, narrow);
    if (t.edge)
      callEdge(e, rows, left, code.address(to, code.integer(narrow * t.lanes), bytes), ldc, k, accumulate);
  };
  auto callHeight = [&](int64_t rows) {
    if (!t.edge && (narrow == t.tileVectors || (constant && !last)))
      return call(rows, t.tileVectors);
    if (constant && graph.bound(columns) < whole)
      return callNarrow(rows);
    Value least = code.integer(constant ? whole : t.lanes + 1);
    code.ifElse(
        code.compare(arith::CmpIPredicate::sge, width, least), [&] { call(rows, t.tileVectors); },
        [&] { callNarrow(rows); });
  };
  SmallVector<int64_t, 4> all = heights();
  std::function<void(size_t)> choose = [&](size_t i) {
    if (i + 1 == all.size())
      return callHeight(all[i]);
    Value is = code.compare(arith::CmpIPredicate::eq, height, code.integer(all[i]));
    code.ifElse(is, [&] { callHeight(all[i]); }, [&] { choose(i + 1); });
  };
  choose(0);
}

} // namespace kiln::cpu
