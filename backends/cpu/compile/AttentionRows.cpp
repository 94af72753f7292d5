// Attention of few queries, each by itself: a step of decoding.

#include "backends/cpu/compile/Attention.h"
#include "backends/cpu/compile/ContractModel.h"
#include "backends/cpu/compile/MicroKernel.h"
#include "backends/cpu/compile/VectorMath.h"
#include <limits>

using namespace mlir;
using llvm::SmallVector;

namespace kiln::cpu {

// So many vectors of a result are summed at once: independent sums hide an addition's latency.
static constexpr int64_t sumsAtOnce = 8;

void AttentionLowering::rowsTask(Emitter &e, Value number) const {
  Code &code = e.code;
  VectorType type = vectorType(e);
  Task task;
  task.batch = code.div(number, e.extent(form.heads)), task.head = code.rem(number, e.extent(form.heads));
  task.keyHead = code.div(task.head, code.integer(op.groups));
  task.queries = e.extent(form.queries), task.keys = e.extent(form.keys);
  task.width = e.extent(form.width), task.valueWidth = e.extent(form.valueWidth);
  task.offset = placeOf(e);
  code.loop(code.integer(0), task.queries, 1, [&](Value row) {
    Single one = singleOf(e, task, row);
    Value most = e.horizontal(Combine::Max, scoresOf(e, task, one), dtype);
    // A query that sees no key has powers, a sum and a result of 0: its scores are all -inf, which is not taken off
    // them.
    Value lowest = code.constant(most.getType(), -std::numeric_limits<double>::infinity());
    Value nothing = code.constant(most.getType(), 0.0);
    Value none = code.here<arith::CmpFOp>(arith::CmpFPredicate::OEQ, most, lowest);
    most = code.here<arith::SelectOp>(none, nothing, most);
    Value mostOfLanes = code.here<vector::SplatOp>(type, most);
    Value shares = e.workerScratch(scores);
    SmallVector<Value> sums = code.loop(
        one.begin, one.limit, lanes, {code.constant(type, 0.0)}, [&](Value key, ValueRange carried) -> Values {
          Value place = code.address(shares, key, bytes);
          Value power = emitExp(code, code.here<arith::SubFOp>(code.loadHere(type, place, bytes), mostOfLanes));
          code.store(power, place, bytes);
          return {code.here<arith::AddFOp>(carried[0], power)};
        });
    Value sum = e.horizontal(Combine::Sum, sums[0], dtype);
    Value empty = code.here<arith::CmpFOp>(arith::CmpFPredicate::OEQ, sum, nothing);
    Value factor = code.here<arith::DivFOp>(code.constant(sum.getType(), 1.0), sum);
    storeValues(e, task, one, code.here<arith::SelectOp>(empty, nothing, factor));
    if (op.results.size() < 2)
      return;
    Value logarithm = code.here<arith::AddFOp>(most, emitLog(code, sum));
    Value infinite = code.constant(most.getType(), std::numeric_limits<double>::infinity());
    storeSum(e, task, one, code.here<arith::SelectOp>(empty, infinite, logarithm));
  });
}

AttentionLowering::Single AttentionLowering::singleOf(Emitter &e, const Task &task, Value row) const {
  Code &code = e.code;
  Value zero = code.integer(0);
  Single one{row, zero, zero, task.keys};
  if (!op.causal)
    return one;
  Value next = code.add(code.add(row, task.offset), code.integer(1));
  one.limit = code.max(code.min(next, task.keys), zero);
  if (op.slidingWindow) {
    one.first = code.min(code.max(code.sub(next, code.integer(op.slidingWindow)), zero), one.limit);
    one.begin = code.mul(code.div(one.first, code.integer(lanes)), code.integer(lanes));
  }
  return one;
}

Value AttentionLowering::scoresOf(Emitter &e, const Task &task, const Single &one) const {
  Code &code = e.code;
  VectorType type = vectorType(e);
  Value shares = e.workerScratch(scores), ofQuery = e.workerScratch(queryPanel);
  Value from = pointer(e, query, task, one.row), factor = code.constant(type, op.scale);
  code.loop(code.integer(0), task.width, lanes, [&](Value d) { // with zeros up to a whole vector
    Value mask = code.firstLanes(code.sub(task.width, d), lanes);
    Value part = code.maskedLoad(type, code.address(from, d, bytes), mask, bytes);
    code.store(code.here<arith::MulFOp>(part, factor), code.address(ofQuery, d, bytes), bytes);
  });
  Value lowest = code.constant(type, -std::numeric_limits<double>::infinity());
  return code
      .loop(one.begin, one.limit, lanes, {lowest},
            [&](Value key, ValueRange carried) -> Values {
              Value score = code.here<arith::SelectOp>(hiddenKeys(e, task, one, key), lowest, dots(e, task, one, key));
              code.store(score, code.address(shares, key, bytes), bytes);
              return {larger(code, score, carried[0])};
            })
      .front();
}

Value AttentionLowering::dots(Emitter &e, const Task &task, const Single &one, Value key) const {
  Code &code = e.code;
  VectorType type = vectorType(e);
  SmallVector<Value> rows, sums(static_cast<size_t>(lanes), code.constant(type, 0.0));
  Value last = code.sub(one.limit, code.integer(1));
  for (int64_t i = 0; i < lanes; ++i) // beyond the last key the last one again
    rows.push_back(pointer(e, this->key, task, code.min(code.add(key, code.integer(i)), last)));
  auto step = [&](Value d, Value mask, ValueRange carried) {
    Value part = code.loadHere(type, code.address(e.workerScratch(queryPanel), d, bytes), bytes);
    SmallVector<Value> next;
    for (auto [row, sum] : llvm::zip(rows, carried)) {
      Value place = code.address(row, d, bytes);
      Value entries = mask ? code.maskedLoad(type, place, mask, bytes) : code.loadHere(type, place, bytes);
      next.push_back(code.here<math::FmaOp>(entries, part, sum));
    }
    return next;
  };
  Value whole = code.mul(code.div(task.width, code.integer(lanes)), code.integer(lanes));
  sums = code.loop(code.integer(0), whole, lanes, sums,
                   [&](Value d, ValueRange carried) { return step(d, Value(), carried); });
  if (!form.width.isConstant() || form.width.factor % lanes)
    sums = code.loop(whole, task.width, lanes, sums, [&](Value d, ValueRange carried) {
      return step(d, code.firstLanes(code.sub(task.width, d), lanes), carried);
    });
  transposeSquare(code, sums);
  for (size_t width = sums.size() / 2; width; width /= 2)
    for (size_t i = 0; i < width; ++i)
      sums[i] = code.here<arith::AddFOp>(sums[i], sums[i + width]);
  return sums.front();
}

Value AttentionLowering::hiddenKeys(Emitter &e, const Task &task, const Single &one, Value key) const {
  Code &code = e.code;
  Value seen = code.firstLanes(code.sub(one.limit, key), lanes);
  if (op.slidingWindow) {
    Value before = code.firstLanes(code.sub(one.first, key), lanes);
    seen = code.op<arith::AndIOp>(seen, code.op<arith::XOrIOp>(before, code.constantInt(before.getType(), 1)));
  }
  if (form.masked) {
    Indices place{e.at(task.batch), e.at(task.head), e.at(one.row), e.at(key, 1)};
    for (auto [index, dim] : llvm::zip(place, graph.type(form.mask).dims))
      if (dim.isOne())
        index = e.zero();
    Mask exists{code.firstLanes(code.sub(task.keys, key), lanes), {}};
    seen = code.op<arith::AndIOp>(seen, e.vector(e.value(form.mask, place, exists)));
  }
  return code.op<arith::XOrIOp>(seen, code.constantInt(seen.getType(), 1));
}

void AttentionLowering::storeValues(Emitter &e, const Task &task, const Single &one, Value factor) const {
  if (!result.exists())
    return;
  Code &code = e.code;
  VectorType type = vectorType(e);
  Value shares = e.workerScratch(scores), to = pointer(e, result, task, one.row);
  Value factors = code.here<vector::SplatOp>(type, factor), rowBytes = apart(e, value);
  Value values = pointer(e, value, task, code.integer(0));
  int64_t most = roundUp(graph.bound(form.valueWidth), lanes) / lanes;
  auto together = static_cast<size_t>(std::clamp<int64_t>(most, 1, sumsAtOnce));
  int64_t step = static_cast<int64_t>(together) * lanes;
  code.loop(code.integer(0), task.valueWidth, step, [&](Value n) {
    SmallVector<Value> masks, sums(together, code.constant(type, 0.0));
    for (size_t i = 0; i < together; ++i) {
      Value there = code.add(n, code.integer(static_cast<int64_t>(i) * lanes));
      bool whole = form.valueWidth.isConstant() && form.valueWidth.factor % step == 0;
      masks.push_back(whole ? Value() : code.firstLanes(code.sub(task.valueWidth, there), lanes));
    }
    auto place = [&](Value from, size_t i) {
      return code.address(from, code.add(n, code.integer(static_cast<int64_t>(i) * lanes)), bytes);
    };
    sums = code.loop(one.first, one.limit, 1, sums, [&](Value key, ValueRange carried) {
      Value share = code.loadHere(type.getElementType(), code.address(shares, key, bytes), bytes);
      Value shareOfLanes = code.here<vector::SplatOp>(type, share),
            row = code.address(values, code.mul(key, rowBytes), 1);
      SmallVector<Value> next;
      for (size_t i = 0; i < together; ++i) {
        Value entries = masks[i] ? code.maskedLoad(type, place(row, i), masks[i], bytes)
                                 : code.loadHere(type, place(row, i), bytes);
        next.push_back(code.here<math::FmaOp>(entries, shareOfLanes, carried[i]));
      }
      return next;
    });
    for (size_t i = 0; i < together; ++i) {
      Value sum = code.here<arith::MulFOp>(sums[i], factors);
      masks[i] ? code.maskedStore(sum, place(to, i), masks[i], bytes) : code.store(sum, place(to, i), bytes);
    }
  });
}

/// lse [B, H, T].
void AttentionLowering::storeSum(Emitter &e, const Task &task, const Single &one, Value lse) const {
  Rows sums = rowsOfResult(1);
  if (!sums.exists())
    return;
  Code &code = e.code;
  Value pair = code.add(code.mul(task.batch, e.extent(form.heads)), task.head);
  code.store(
      lse,
      code.address(e.output(static_cast<size_t>(sums.output)), code.add(code.mul(pair, task.queries), one.row), bytes),
      bytes);
}

} // namespace kiln::cpu
