// Attention of few queries, each by itself: a step of decoding.

#include "backends/cpu/compile/Attention.h"
#include "backends/cpu/compile/ContractModel.h"
#include "backends/cpu/compile/MicroKernelCode.h"
#include "backends/cpu/compile/VectorMath.h"
#include <limits>

using namespace mlir;
using llvm::SmallVector;

namespace kiln::cpu {

// So many vectors of a result are summed at once: independent sums hide an addition's latency.
static constexpr int64_t sumsAtOnce = 8;
// So many rows of keys and values ahead are fetched into the second level: processors follow a head's rows by
// themselves for one page only.
static constexpr int64_t rowsAhead = 32;

// Below so many queries a panel is mostly empty, and each query by itself does better.
int64_t AttentionLowering::fewestQueries() const { return builder.machine.sized("fewest queries", 8, 1); }

AttentionLowering::Few AttentionLowering::fewQueries() const {
  if (form.backward)
    return Few::Never;
  int64_t fewest = fewestQueries();
  if (graph.bound(form.queries) < fewest || builder.machine.takes("queries singly", false))
    return Few::Always;
  if (form.queries == form.keys)
    return Few::Never;
  return form.queries.isConstant() ? Few::Never : Few::Asked;
}

Value AttentionLowering::areFew(Emitter &e) const {
  return e.code.compare(arith::CmpIPredicate::slt, e.extent(form.queries), e.code.integer(fewestQueries()));
}

void AttentionLowering::rowsTask(Emitter &e, Value number) const {
  Code &code = e.code;
  VectorType type = vectorType(e);
  Task task = anyTask(e);
  task.batch = code.div(number, e.extent(form.heads)), task.head = code.rem(number, e.extent(form.heads));
  task.keyHead = code.div(task.head, code.integer(op.groups));
  code.loop(code.integer(0), task.queries, 1, [&](Value row) {
    Single one = singleOf(e, task, row);
    Value most = shiftOf(code, e.horizontal(Combine::Max, scoresOf(e, task, one), dtype));
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
    dropShares(e, task, one);
    storeValues(e, task, one, factorOf(code, sum));
    if (Rows lse = op.results.size() < 2 ? Rows() : rowsOfResult(1); lse.exists())
      code.store(lseOf(code, most, sum), sumsPlace(e, e.output(static_cast<size_t>(lse.output)), task, row), bytes);
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
  Value from = pointer(e, query, task, one.row), factor = code.constant(type, scoreScale());
  code.loop(code.integer(0), task.width, lanes, [&](Value d) { // with zeros up to a whole vector
    Value mask = code.firstLanes(code.sub(task.width, d), lanes);
    Value part = code.maskedLoad(type, code.address(from, d, bytes), mask, bytes);
    code.store(code.here<arith::MulFOp>(part, factor), code.address(ofQuery, d, bytes), bytes);
  });
  Value lowest = code.constant(type, -std::numeric_limits<double>::infinity());
  return code
      .loop(one.begin, one.limit, lanes, {lowest},
            [&](Value key, ValueRange carried) -> Values {
              Value score = capped(code, bent(code, dots(e, task, one, key)));
              if (form.biased) {
                Value there = code.address(pointer(e, bias, task, one.row), key, bytes);
                Value exists = code.firstLanes(code.sub(task.keys, key), lanes);
                score = code.here<arith::AddFOp>(score, code.maskedLoad(type, there, exists, bytes));
              }
              score = code.here<arith::SelectOp>(hiddenKeys(e, task, one, key), lowest, score);
              code.store(score, code.address(shares, key, bytes), bytes);
              return {larger(code, score, carried[0])};
            })
      .front();
}

Value AttentionLowering::dots(Emitter &e, const Task &task, const Single &one, Value key) const {
  Code &code = e.code;
  VectorType type = vectorType(e);
  SmallVector<Value> rows, sums(static_cast<size_t>(lanes), code.constant(type, 0.0));
  Value last = code.sub(one.limit, code.integer(1)), ahead = code.mul(apart(e, this->key), code.integer(rowsAhead));
  for (int64_t i = 0; i < lanes; ++i) // beyond the last key the last one again
    rows.push_back(pointer(e, this->key, task, code.min(code.add(key, code.integer(i)), last)));
  auto step = [&](Value d, Value mask, ValueRange carried) {
    Value part = code.loadHere(type, code.address(e.workerScratch(queryPanel), d, bytes), bytes);
    SmallVector<Value> next;
    for (auto [row, sum] : llvm::zip(rows, carried)) {
      Value place = code.address(row, d, bytes);
      code.fetch(code.address(place, ahead, 1));
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
  return sumsOf(code, sums);
}

Value AttentionLowering::hiddenKeys(Emitter &e, const Task &task, const Single &one, Value key) const {
  Code &code = e.code;
  Value seen = code.firstLanes(code.sub(one.limit, key), lanes);
  if (op.slidingWindow) {
    Value before = code.firstLanes(code.sub(one.first, key), lanes);
    seen = code.op<arith::AndIOp>(seen, code.op<arith::XOrIOp>(before, code.constantInt(before.getType(), 1)));
  }
  if (form.masked) {
    Value exists = code.firstLanes(code.sub(task.keys, key), lanes);
    Value show = shown(e, {e.at(task.batch), e.at(task.head), e.at(one.row), e.at(key, 1)}, exists);
    seen = code.op<arith::AndIOp>(seen, show);
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
      Value later = code.address(row, code.mul(rowBytes, code.integer(rowsAhead)), 1);
      for (size_t i = 0; i < together; ++i) {
        code.fetch(place(later, i));
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

} // namespace kiln::cpu
