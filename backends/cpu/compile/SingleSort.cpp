// Sort and top_k: a merge sort of each row.
#include "backends/cpu/compile/Single.h"

using namespace mlir;
using llvm::ArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {

namespace {
/// Sorts a row's keys and positions in the worker's scratch: runs of 1, 2, 4, … are merged from one half of it into the
/// other. Stable, since of equal keys the left run's go first.
class RowSort {
public:
  RowSort(KernelBuilder &builder, const Op &op)
      : dtype(builder.graph.type(op.operands[0]).dtype), descending(op.descending || op.code == OpCode::TopK) {
    const Shape &dims = builder.graph.type(op.operands[0]).dims;
    axis = op.code == OpCode::TopK ? dims.size() - 1 : static_cast<size_t>(op.axis);
    int64_t bound = builder.graph.bound(dims[axis]);
    for (int64_t &offset : keys)
      offset = builder.reserveWorkerScratch(bound * byteSize(dtype));
    for (int64_t &offset : positions)
      offset = builder.reserveWorkerScratch(bound * 8);
  }

  size_t axis;

  /// `read` gives the row's elements. Returns the pointers to its sorted keys and positions.
  std::pair<Value, Value> sort(Emitter &e, Value count, llvm::function_ref<Value(Value)> read) {
    Code &code = e.code;
    Value k[2] = {e.workerScratch(keys[0]), e.workerScratch(keys[1])};
    Value p[2] = {e.workerScratch(positions[0]), e.workerScratch(positions[1])};
    code.loop(code.integer(0), count, 1, [&](Value i) {
      e.storeOffset(dtype, k[0], e.at(i), read(i));
      e.storeOffset(KILN_I64, p[0], e.at(i), i);
    });
    // Passes swap the halves: the pointers are carried along with the length of a run.
    auto loop = code.b.create<scf::WhileOp>(
        code.loc, TypeRange{code.i64, code.ptr, code.ptr, code.ptr, code.ptr},
        ValueRange{code.integer(1), k[0], p[0], k[1], p[1]},
        [&](OpBuilder &b, Location loc, ValueRange in) {
          Value more = b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::slt, in[0], count);
          b.create<scf::ConditionOp>(loc, more, in);
        },
        [](OpBuilder &, Location, ValueRange) {});
    Block *body = loop.getAfterBody();
    code.within(body, loop, [&] {
      ValueRange in = body->getArguments();
      mergePass(e, count, in);
      Value twice = code.add(in[0], in[0]);
      code.b.create<scf::YieldOp>(code.loc, ValueRange{twice, in[3], in[4], in[1], in[2]});
    });
    return {loop.getResult(1), loop.getResult(2)};
  }

private:
  kiln_dtype dtype;
  bool descending;
  int64_t keys[2], positions[2];

  /// Whether key a goes strictly before b; NaN counts as the largest.
  Value before(Emitter &e, Value a, Value b) {
    if (descending)
      std::swap(a, b);
    Value less = e.compare(Predicate::Lt, a, b, dtype);
    if (!isFloat(dtype))
      return less;
    Value bNaN = e.compare(Predicate::Ne, b, b, dtype), aNumber = e.compare(Predicate::Eq, a, a, dtype);
    return e.code.op<arith::OrIOp>(less, e.code.op<arith::AndIOp>(bNaN, aNumber));
  }

  /// Merges neighbouring runs; `in`: the run's length, keys and positions to read, keys and positions to write.
  void mergePass(Emitter &e, Value count, ValueRange in) {
    Code &code = e.code;
    Value run = in[0], pairs = code.ceilDiv(count, code.add(run, run));
    code.loop(code.integer(0), pairs, 1, [&](Value pair) {
      Value begin = code.mul(pair, code.add(run, run));
      Value middle = code.min(code.add(begin, run), count), end = code.min(code.add(middle, run), count);
      Value last = code.sub(count, code.integer(1));
      code.loop(begin, end, 1, {begin, middle}, [&](Value to, ValueRange at) {
        Value left = at[0], right = at[1];
        auto key = [&](Value i) { return e.loadOffset(dtype, in[1], e.at(code.min(i, last)), {}, /*pinned=*/true); };
        Value rightFirst = before(e, key(right), key(left));
        Value leftDone = code.compare(arith::CmpIPredicate::sge, left, middle);
        Value rightLeft = code.compare(arith::CmpIPredicate::slt, right, end);
        Value takeRight = code.both(rightLeft, code.op<arith::OrIOp>(leftDone, rightFirst));
        Value from = code.op<arith::SelectOp>(takeRight, right, left);
        e.storeOffset(dtype, in[3], e.at(to), key(from));
        e.storeOffset(KILN_I64, in[4], e.at(to), e.loadOffset(KILN_I64, in[2], e.at(from), {}, /*pinned=*/true));
        Value one = code.integer(1);
        return SmallVector<Value>{code.op<arith::SelectOp>(takeRight, left, code.add(left, one)),
                                  code.op<arith::SelectOp>(takeRight, code.add(right, one), right)};
      });
    });
  }
};
} // namespace

void buildSort(KernelBuilder &builder, const Op &op) {
  const Graph &graph = builder.graph;
  RowSort rows(builder, op);
  uint32_t operand = op.operands[0];
  const Shape &dims = graph.type(operand).dims;
  Shape outer = dims;
  outer.erase(outer.begin() + rows.axis);
  int64_t length = graph.bound(dims[rows.axis]), work = length * 8;
  for (int64_t run = 1; run < length; run *= 2)
    work += length * 8;
  addUnitPhase(
      builder, unitsPerTask(builder, work), [&](Emitter &e) { return e.elements(outer); },
      [&](Emitter &e, Value unit) {
        Code &code = e.code;
        Indices position = e.indicesOfRow(outer, unit);
        auto at = [&](Value i) {
          Indices full = position;
          full.insert(full.begin() + rows.axis, e.at(i));
          return full;
        };
        auto [keys, positions] =
            rows.sort(e, e.extent(dims[rows.axis]), [&](Value i) { return e.value(operand, at(i)); });
        kiln_dtype dtype = graph.type(operand).dtype, indexType = graph.type(op.results[1]).dtype;
        Value sortedKeys = keys, sortedPositions = positions;
        code.loop(code.integer(0), e.extent(graph.type(op.results[0]).dims[rows.axis]), 1, [&](Value i) {
          Value key = e.loadOffset(dtype, sortedKeys, e.at(i), {}, /*pinned=*/true);
          Value from = e.loadOffset(KILN_I64, sortedPositions, e.at(i), {}, /*pinned=*/true);
          e.store(op.results[0], builder.home(e, op.results[0]), at(i), key);
          e.store(op.results[1], builder.home(e, op.results[1]), at(i), e.convert(from, KILN_I64, indexType));
        });
      });
}

} // namespace kiln::cpu
