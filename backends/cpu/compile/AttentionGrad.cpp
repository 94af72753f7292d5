// The backward half: shares made again from their sums, and the three gradients of a panel.

#include "backends/cpu/compile/Attention.h"
#include "backends/cpu/compile/ContractModel.h"
#include "backends/cpu/compile/MicroKernel.h"
#include "backends/cpu/compile/VectorMath.h"

using namespace mlir;

namespace kiln::cpu {

bool AttentionLowering::sumsBatches() const {
  return dbias.exists() && graph.type(form.bias).dims[0].isOne() && !form.batches.isOne();
}

void AttentionLowering::backwardTask(Emitter &e, Value number) const {
  Code &code = e.code;
  if (!sumsBatches()) {
    Task task = taskOf(e, number);
    clearBias(e, task);
    return backwardBatch(e, task);
  }
  Task task = anyTask(e);
  task.head = task.keyHead = number, task.batch = code.integer(0);
  clearBias(e, task);
  code.loop(task.batch, e.extent(form.batches), 1, [&](Value batch) {
    task.batch = batch;
    backwardBatch(e, task);
  });
}

void AttentionLowering::clearBias(Emitter &e, const Task &task) const {
  if (!dbias.exists())
    return;
  Code &code = e.code;
  Value none = code.constant(vectorType(e), 0.0);
  forHeads(e, task, [&](const Task &one) {
    code.loop(code.integer(0), task.queries, 1, [&](Value row) {
      Value to = pointer(e, dbias, one, row);
      code.loop(code.integer(0), task.keys, lanes, [&](Value key) {
        code.maskedStore(none, code.address(to, key, bytes), code.firstLanes(code.sub(task.keys, key), lanes), bytes);
      });
    });
  });
}

void AttentionLowering::addBias(Emitter &e, const Task &task, const Panel &panel) const {
  if (!dbias.exists())
    return;
  Code &code = e.code;
  VectorType type = vectorType(e);
  for (int64_t v = 0; v < vectors; ++v) {
    Value rest = code.sub(panel.count, code.integer(v * lanes));
    code.ifThen(code.compare(arith::CmpIPredicate::sgt, rest, code.integer(0)), [&] {
      Value there = pointer(e, dbias, task, code.add(panel.first, code.integer(v * lanes)));
      code.loop(panel.begin, panel.limit, lanes, [&](Value key) {
        Values square;
        for (int64_t i = 0; i < lanes; ++i)
          square.push_back(
              code.loadHere(type, at(e, e.workerScratch(slopes), code.add(key, code.integer(i)), v), bytes));
        transposeSquare(code, square);
        Value left = code.sub(panel.limit, key);
        for (int64_t r = 0; r < lanes; ++r) {
          Value count = code.min(left, code.mul(code.sub(rest, code.integer(r)), code.integer(lanes)));
          Value to = code.address(there, code.add(code.mul(code.integer(r), e.extent(dbias.strides[2])), key), bytes);
          Value mask = code.firstLanes(count, lanes);
          Value sum = code.here<arith::AddFOp>(code.maskedLoad(type, to, mask, bytes), square[static_cast<size_t>(r)]);
          code.maskedStore(sum, to, mask, bytes);
        }
      });
    });
  }
}

void AttentionLowering::backwardBatch(Emitter &e, const Task &task) const {
  Code &code = e.code;
  Value zero = code.integer(0);
  Value keyRows = pointer(e, key, task, zero), valueRows = pointer(e, value, task, zero);
  packSlivers(e, keyRows, apart(e, key), task.keys, task.width, e.workerScratch(keySlivers));
  packTurned(e, keyRows, apart(e, key), form.width, task.keys, e.workerScratch(keyTurned));
  packSlivers(e, valueRows, apart(e, value), task.keys, task.valueWidth, e.workerScratch(valueSlivers));
  Value none = code.constant(vectorType(e), 0.0);
  Value rows = code.mul(code.ceilDiv(task.keys, code.integer(tileRows)), code.integer(tileRows));
  for (bool ofKeys : {true, false})
    code.loop(zero, code.mul(rows, code.integer(sumColumns(ofKeys))), lanes, [&](Value i) {
      code.store(none, code.address(e.workerScratch(ofKeys ? keySums : valueSums), i, bytes), bytes);
    });
  forHeads(e, task, [&](const Task &one) {
    code.loop(zero, code.ceilDiv(task.queries, code.integer(columns)), 1,
              [&](Value panel) { backwardPanel(e, one, panelOf(e, one, panel)); });
  });
  for (bool ofKeys : {true, false})
    storeSums(e, ofKeys ? dkey : dvalue, task, e.workerScratch(ofKeys ? keySums : valueSums), ofKeys);
}

int64_t AttentionLowering::sumColumns(bool ofKeys) const {
  return roundUp(graph.bound(ofKeys ? form.width : form.valueWidth), columns);
}

void AttentionLowering::storeSums(Emitter &e, const Rows &rows, const Task &task, Value from, bool ofKeys) const {
  if (!rows.exists())
    return;
  Code &code = e.code;
  Value end = ofKeys ? task.width : task.valueWidth;
  code.loop(code.integer(0), task.keys, 1, [&](Value key) {
    Value source = code.address(from, code.mul(key, code.integer(sumColumns(ofKeys))), bytes);
    Value target = pointer(e, rows, task, key);
    code.loop(code.integer(0), end, lanes, [&](Value n) {
      code.maskedStore(code.loadHere(vectorType(e), code.address(source, n, bytes), bytes),
                       code.address(target, n, bytes), code.firstLanes(code.sub(end, n), lanes), bytes);
    });
  });
}

void AttentionLowering::backwardPanel(Emitter &e, const Task &task, const Panel &panel) const {
  Code &code = e.code;
  VectorType type = vectorType(e);
  Value zero = code.integer(0), out = e.workerScratch(outPanel), ofQueries = e.workerScratch(queryPanel),
        ofGradient = e.workerScratch(gradientPanel), step = code.integer(columns * bytes);
  Value queryFrom = pointer(e, query, task, panel.first), gradientFrom = pointer(e, gradient, task, panel.first);
  packPanel(e, queryFrom, apart(e, query), panel.count, task.width, ofQueries);
  scaleArea(e, ofQueries, code.mul(task.width, code.integer(columns)));
  packPanel(e, gradientFrom, apart(e, gradient), panel.count, task.valueWidth, ofGradient);
  packPanel(e, pointer(e, result, task, panel.first), apart(e, result), panel.count, task.valueWidth, out);
  Values delta(vectors, code.constant(type, 0.0)), lse;
  delta = code.loop(zero, task.valueWidth, 1, delta, [&](Value n, ValueRange carried) {
    Values next;
    for (int64_t v = 0; v < vectors; ++v)
      next.push_back(code.here<arith::AddFOp>(
          carried[v], code.here<arith::MulFOp>(code.loadHere(type, at(e, ofGradient, n, v), bytes),
                                               code.loadHere(type, at(e, out, n, v), bytes))));
    return next;
  });
  Value sums = e.input(static_cast<size_t>(graph.inputNumber(form.lse)));
  for (int64_t v = 0; v < vectors; ++v) {
    Value mask = code.firstLanes(code.sub(panel.count, code.integer(v * lanes)), lanes);
    lse.push_back(
        code.maskedLoad(type, sumsPlace(e, sums, task, code.add(panel.first, code.integer(v * lanes))), mask, bytes));
  }
  Value seen = code.sub(panel.limit, panel.begin);
  scoresOfPanel(e, task, panel, panel.begin);
  multiplyRows(e, code.address(e.workerScratch(valueSlivers), code.mul(panel.begin, task.valueWidth), bytes),
               ofGradient, at(e, e.workerScratch(slopes), panel.begin, 0), seen, task.valueWidth);
  slopesOf(e, task, panel, lse, delta);
  addBias(e, task, panel);
  forSlivers(e, form.width, [&](Value first, int64_t height) {
    Value from = code.add(code.mul(first, task.packed), code.mul(panel.begin, code.integer(height)));
    tile(e, height, code.address(e.workerScratch(keyTurned), from, bytes),
         at(e, e.workerScratch(slopes), panel.begin, 0), at(e, out, first, 0), step, seen, false);
  });
  storeTurned(e, dquery, task, panel, out, form.width, Values(vectors, code.constant(type, op.scale)));
  addKeySums(e, task, panel, queryFrom, gradientFrom);
}

void AttentionLowering::slopesOf(Emitter &e, const Task &task, const Panel &panel, const Values &lse,
                                 const Values &delta) const {
  Code &code = e.code;
  VectorType type = vectorType(e);
  Value ofScores = e.workerScratch(scores), ofSlopes = e.workerScratch(slopes);
  auto pass = [&](Value from, Value to, bool diagonal) {
    code.loop(from, to, 1, [&](Value key) {
      for (int64_t v = 0; v < vectors; ++v) {
        Value score = code.loadHere(type, at(e, ofScores, key, v), bytes);
        score = masked(e, task, panel, key, v, diagonal, score);
        Value share = emitExp(code, code.here<arith::SubFOp>(score, lse[static_cast<size_t>(v)]));
        code.store(share, at(e, ofScores, key, v), bytes);
        if (form.drops) // slopes come next
          continue;
        Value slope = code.loadHere(type, at(e, ofSlopes, key, v), bytes);
        slope = code.here<arith::MulFOp>(code.here<arith::SubFOp>(slope, delta[static_cast<size_t>(v)]), share);
        code.store(slope, at(e, ofSlopes, key, v), bytes);
      }
    });
  };
  if (op.slidingWindow)
    pass(panel.begin, panel.closed, true);
  pass(panel.closed, panel.open, false);
  Value end = panel.open;
  if (op.causal) {
    // To the end of the last sliver, which is added to the keys' sums as a whole.
    Value slivers = code.mul(code.ceilDiv(panel.limit, code.integer(tileRows)), code.integer(tileRows));
    pass(panel.open, end = code.min(slivers, task.keys), true);
  }
  if (form.drops)
    dropSlopes(e, task, panel, end, delta);
}

void AttentionLowering::addKeySums(Emitter &e, const Task &task, const Panel &panel, Value queryFrom,
                                   Value gradientFrom) const {
  Code &code = e.code;
  Value zero = code.integer(0), panelBytes = code.integer(columns * columns * bytes);
  SplitShape split{dtype, columns, lanes};
  Value ofQueries = e.workerScratch(queryRows), ofGradient = e.workerScratch(gradientRows);
  callSplit(code, split, queryFrom, apart(e, query), task.width, panel.count, ofQueries, panelBytes);
  scaleArea(e, ofQueries, code.integer(sumColumns(true) * columns));
  callSplit(code, split, gradientFrom, apart(e, gradient), task.valueWidth, panel.count, ofGradient, panelBytes);
  Value block = e.workerScratch(sliver), apartHere = code.integer(columns * bytes);
  code.loop(panel.begin, panel.limit, tileRows, [&](Value key) {
    for (bool ofKeys : {false, true}) {
      Value from = at(e, e.workerScratch(ofKeys ? slopes : scores), key, 0), right = ofKeys ? ofQueries : ofGradient;
      packSlivers(e, from, apartHere, code.integer(tileRows), panel.count, block);
      Value apartSums = code.integer(sumColumns(ofKeys) * bytes);
      Value to = code.address(e.workerScratch(ofKeys ? keySums : valueSums),
                              code.mul(key, code.integer(sumColumns(ofKeys))), bytes);
      code.loop(zero, ofKeys ? task.width : task.valueWidth, columns, [&](Value n) {
        tile(e, tileRows, block, code.address(right, code.mul(n, code.integer(columns)), bytes),
             code.address(to, n, bytes), apartSums, panel.count, true);
      });
    }
  });
}

} // namespace kiln::cpu
