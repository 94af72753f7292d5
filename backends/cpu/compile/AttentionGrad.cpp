// The backward half: shares made again from their sums, and the three gradients of a panel.

#include "backends/cpu/compile/Attention.h"
#include "backends/cpu/compile/MicroKernelCode.h"
#include "backends/cpu/compile/VectorMath.h"

using namespace mlir;

namespace kiln::cpu {

// With fewer batches and heads than this, the queries are shared out too.
static constexpr int64_t wantedTasks = 16;
// A part of the backward half packs all keys, and has sums for them: it is worth it for so many panels.
static int64_t fewestPanelsOf(const Machine &machine) { return machine.sized("panels of a part", 4, 1); }

//===-- Parts of the queries, of both halves ---------------------------------------------------------------------===//

int64_t AttentionLowering::partsOfQueries() const {
  if (fewQueries() == Few::Always)
    return 1;
  int64_t pairs = graph.bound(form.keyHeads) * (sumsBatches() ? 1 : graph.bound(form.batches));
  int64_t panels = ceilDivide(graph.bound(form.queries), columns);
  int64_t most = form.backward ? panels / fewestPanelsOf(builder.machine) : panels;
  return std::clamp<int64_t>(ceilDivide(wantedTasks, std::max<int64_t>(pairs, 1)), 1, std::max<int64_t>(most, 1));
}

std::pair<Value, Value> AttentionLowering::panelsOf(Emitter &e, const Task &task) const {
  Code &code = e.code;
  Value panels = code.ceilDiv(task.queries, code.integer(columns)), each = code.ceilDiv(panels, code.integer(parts));
  Value first = code.min(code.mul(task.part, each), panels);
  return {first, code.min(code.add(first, each), panels)};
}

//===-- The backward half ----------------------------------------------------------------------------------------===//

bool AttentionLowering::sumsBatches() const {
  return dbias.exists() && graph.type(form.bias).dims[0].isOne() && !form.batches.isOne();
}

void AttentionLowering::backwardTask(Emitter &e, Value number) const {
  Code &code = e.code;
  Task task = taskOf(e, number);
  if (!sumsBatches()) {
    clearBias(e, task);
    return backwardBatch(e, task);
  }
  task.head = task.keyHead = code.div(number, code.integer(parts)), task.batch = code.integer(0);
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
  Value none = code.constant(vectorType(e), 0.0), panel = code.integer(columns);
  auto [first, last] = panelsOf(e, task);
  Value from = code.mul(first, panel), to = code.min(code.mul(last, panel), task.queries);
  forHeads(e, task, [&](const Task &one) {
    code.loop(from, to, 1, [&](Value row) {
      Value there = pointer(e, dbias, one, row);
      code.loop(code.integer(0), task.keys, lanes, [&](Value key) {
        code.maskedStore(none, code.address(there, key, bytes), code.firstLanes(code.sub(task.keys, key), lanes),
                         bytes);
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

void AttentionLowering::backwardBatch(Emitter &e, const Task &given) const {
  Code &code = e.code;
  Value zero = code.integer(0), none = code.constant(vectorType(e), 0.0);
  Task task = given;
  for (bool ofKeys : {true, false}) {
    Value rows = code.mul(code.ceilDiv(task.keys, code.integer(tileRows)), code.integer(tileRows));
    Value sums = sumsAt(e, task, ofKeys);
    code.loop(zero, code.mul(rows, code.integer(sumColumns(ofKeys))), lanes,
              [&](Value i) { code.store(none, code.address(sums, i, bytes), bytes); });
  }
  auto [from, to] = panelsOf(e, task);
  Value first = from, last = to;
  code.ifThen(code.compare(arith::CmpIPredicate::slt, first, last), [&] {
    // No query of this part sees more; whole slivers, since the sums of all keys of one are added to.
    Value limit = panelOf(e, task, code.sub(last, code.integer(1))).limit, rows = code.integer(tileRows);
    task.packed = code.min(code.mul(code.ceilDiv(limit, rows), rows), task.keys);
    copyRows(e, pointer(e, key, task, zero), apart(e, key), form.width, task.packed, e.workerScratch(keyRows),
             stride(form.width));
    copyRows(e, pointer(e, value, task, zero), apart(e, value), form.valueWidth, task.packed,
             e.workerScratch(valueRows), stride(form.valueWidth));
    forHeads(e, task, [&](const Task &one) {
      code.loop(first, last, 1, [&](Value panel) { backwardPanel(e, one, panelOf(e, one, panel)); });
    });
  });
  if (parts > 1) // another phase adds them up
    return;
  for (bool ofKeys : {true, false})
    code.loop(zero, task.keys, 1, [&](Value row) { storeSums(e, ofKeys ? dkey : dvalue, task, row, ofKeys); });
}

int64_t AttentionLowering::sumsBytes(bool ofKeys) const {
  return roundUp(graph.bound(form.keys), tileRows) * sumColumns(ofKeys) * bytes;
}

Value AttentionLowering::sumsAt(Emitter &e, const Task &task, bool ofKeys) const {
  Code &code = e.code;
  int64_t area = ofKeys ? keySums : valueSums;
  if (parts == 1)
    return e.workerScratch(area);
  Value pair = code.add(code.mul(task.batch, e.extent(form.keyHeads)), task.keyHead);
  Value number = code.add(code.mul(pair, code.integer(parts)), task.part);
  return code.address(e.scratch(area), number, sumsBytes(ofKeys));
}

void AttentionLowering::addPartsPhase() {
  constexpr int64_t rows = 32; // of keys, a task
  auto blocks = [&](Emitter &e) { return e.code.ceilDiv(e.extent(form.keys), e.code.integer(rows)); };
  builder.addPhase([&](Emitter &e) { return e.code.mul(e.elements({form.batches, form.keyHeads}), blocks(e)); },
                   [&](Emitter &e) {
                     Code &code = e.code;
                     code.loop(e.arguments.begin, e.arguments.end, 1, [&](Value number) {
                       Task task = anyTask(e);
                       Value pair = code.div(number, blocks(e));
                       task.batch = code.div(pair, e.extent(form.keyHeads));
                       task.head = task.keyHead = code.rem(pair, e.extent(form.keyHeads));
                       Value first = code.mul(code.rem(number, blocks(e)), code.integer(rows));
                       code.loop(first, code.min(code.add(first, code.integer(rows)), task.keys), 1, [&](Value row) {
                         for (bool ofKeys : {true, false})
                           storeSums(e, ofKeys ? dkey : dvalue, task, row, ofKeys);
                       });
                     });
                   },
                   lanes);
}

int64_t AttentionLowering::sumColumns(bool ofKeys) const {
  return roundUp(graph.bound(ofKeys ? form.width : form.valueWidth), columns);
}

void AttentionLowering::storeSums(Emitter &e, const Rows &rows, const Task &task, Value row, bool ofKeys) const {
  if (!rows.exists())
    return;
  Code &code = e.code;
  VectorType type = vectorType(e);
  Value end = ofKeys ? task.width : task.valueWidth, target = pointer(e, rows, task, row);
  Value begins = code.mul(row, code.integer(sumColumns(ofKeys)));
  code.loop(code.integer(0), end, lanes, [&](Value n) {
    Value place = code.add(begins, n), sum;
    for (int64_t part = 0; part < parts; ++part) {
      Task one = task;
      one.part = code.integer(part);
      Value more = code.loadHere(type, code.address(sumsAt(e, one, ofKeys), place, bytes), bytes);
      sum = sum ? code.here<arith::AddFOp>(sum, more).getResult() : more;
    }
    if (ofKeys) // of slopes by queries that are not scaled
      sum = code.here<arith::MulFOp>(sum, code.constant(type, op.scale));
    Value to = code.address(target, n, bytes);
    if (isWhole(ofKeys ? form.width : form.valueWidth))
      code.store(sum, to, bytes);
    else
      code.maskedStore(sum, to, code.firstLanes(code.sub(end, n), lanes), bytes);
  });
}

Value AttentionLowering::deltaOf(Emitter &e, const Task &task, const Panel &panel, int64_t vector) const {
  Code &code = e.code;
  VectorType type = vectorType(e);
  Value last = code.sub(panel.count, code.integer(1));
  Values ofResult, ofGradient, none(static_cast<size_t>(lanes), code.constant(type, 0.0));
  for (int64_t i = 0; i < lanes; ++i) { // beyond the last one it stands in
    Value row = code.add(panel.first, code.min(code.integer(vector * lanes + i), last));
    ofResult.push_back(pointer(e, result, task, row));
    ofGradient.push_back(pointer(e, gradient, task, row));
  }
  Values sums = code.loop(code.integer(0), task.valueWidth, lanes, none, [&](Value n, ValueRange carried) {
    Value mask = isWhole(form.valueWidth) ? Value() : code.firstLanes(code.sub(task.valueWidth, n), lanes);
    auto load = [&](Value row) {
      Value there = code.address(row, n, bytes);
      return mask ? code.maskedLoad(type, there, mask, bytes) : code.loadHere(type, there, bytes);
    };
    Values next;
    for (auto [sum, mine, other] : llvm::zip(carried, ofResult, ofGradient))
      next.push_back(multiplyAdd(code, load(mine), load(other), sum));
    return next;
  });
  return sumsOf(code, sums);
}

void AttentionLowering::backwardPanel(Emitter &e, const Task &task, const Panel &panel) const {
  Code &code = e.code;
  VectorType type = vectorType(e);
  Value ofQueries = e.workerScratch(queryPanel), ofGradient = e.workerScratch(gradientPanel);
  Value queryFrom = pointer(e, query, task, panel.first), gradientFrom = pointer(e, gradient, task, panel.first);
  packPanel(e, queryFrom, apart(e, query), panel.count, task.width, ofQueries);
  scaleArea(e, ofQueries, code.mul(task.width, code.integer(columns)));
  packPanel(e, gradientFrom, apart(e, gradient), panel.count, task.valueWidth, ofGradient);
  Values delta, lse;
  Value sums = e.input(static_cast<size_t>(graph.inputNumber(form.lse)));
  for (int64_t v = 0; v < vectors; ++v) {
    delta.push_back(deltaOf(e, task, panel, v));
    Value mask = code.firstLanes(code.sub(panel.count, code.integer(v * lanes)), lanes);
    lse.push_back(
        code.maskedLoad(type, sumsPlace(e, sums, task, code.add(panel.first, code.integer(v * lanes))), mask, bytes));
  }
  Value seen = code.sub(panel.limit, panel.begin);
  scoresOfPanel(e, task, panel, panel.begin);
  Area ofValues = place(e, valueRows, form.valueWidth), ofKeys = place(e, keyRows, form.width);
  for (Area *area : {&ofValues, &ofKeys})
    area->base = code.address(area->base, code.mul(panel.begin, code.integer(area->stride)), bytes);
  Area slope{at(e, e.workerScratch(slopes), panel.begin, 0), columns}, sum = place(e, out, form.width);
  multiplyRows(e, ofValues, {ofGradient, columns}, slope, seen, task.valueWidth);
  slopesOf(e, task, panel, lse, delta);
  addBias(e, task, panel);
  if (dquery.exists())
    multiplyPanel(e, task, panel, slope.base, ofKeys, sum, form.width);
  storePanel(e, dquery, task, panel, sum, form.width, [&](Value) { return code.constant(type, op.scale); });
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
        Value curve = bent(code, code.loadHere(type, at(e, ofScores, key, v), bytes));
        Value score = masked(e, task, panel, key, v, diagonal, capped(code, curve));
        Value share = emitExp(code, code.here<arith::SubFOp>(score, lse[static_cast<size_t>(v)]));
        code.store(share, at(e, ofScores, key, v), bytes);
        if (form.drops) // slopes come next
          continue;
        Value slope = code.loadHere(type, at(e, ofSlopes, key, v), bytes);
        slope = code.here<arith::MulFOp>(code.here<arith::SubFOp>(slope, delta[static_cast<size_t>(v)]), share);
        code.store(unbent(code, slope, curve), at(e, ofSlopes, key, v), bytes);
      }
    });
  };
  if (op.slidingWindow)
    pass(panel.begin, panel.closed, true);
  pass(panel.closed, panel.open, false);
  Value end = panel.open;
  if (op.causal) {
    // To the end of the last sliver, which is added to the keys' sums as a whole.
    Value seen = code.sub(panel.limit, panel.begin), unit = code.integer(rowUnit);
    Value slivers = code.add(panel.begin, code.mul(code.ceilDiv(seen, unit), unit));
    pass(panel.open, end = code.min(slivers, task.keys), true);
  }
  if (form.drops)
    dropSlopes(e, task, panel, end, delta);
}

void AttentionLowering::addKeySums(Emitter &e, const Task &task, const Panel &panel, Value queryFrom,
                                   Value gradientFrom) const {
  Code &code = e.code;
  copyRows(e, queryFrom, apart(e, query), form.width, panel.count, e.workerScratch(queryRows), sumColumns(true));
  copyRows(e, gradientFrom, apart(e, gradient), form.valueWidth, panel.count, e.workerScratch(gradientRows),
           sumColumns(false));
  forSlivers(e, code.sub(panel.limit, panel.begin), [&](Value row, int64_t height) {
    Value key = code.add(panel.begin, row), skipped = code.integer(0);
    if (op.causal) { // queries before it do not see a sliver's first key
      skipped = code.sub(code.sub(key, task.offset), panel.first);
      skipped = code.max(code.min(skipped, panel.count), code.integer(0));
    }
    Value count = code.sub(panel.count, skipped);
    for (bool ofKeys : {false, true}) {
      int64_t wide = sumColumns(ofKeys);
      Area left{code.address(at(e, e.workerScratch(ofKeys ? slopes : scores), key, 0), skipped, bytes), columns};
      Value right = code.address(e.workerScratch(ofKeys ? queryRows : gradientRows),
                                 code.mul(skipped, code.integer(wide)), bytes);
      Value to = code.address(sumsAt(e, task, ofKeys), code.mul(key, code.integer(wide)), bytes);
      code.loop(code.integer(0), ofKeys ? task.width : task.valueWidth, columns, [&](Value n) {
        multiplySliver(e, height, left, {code.address(right, n, bytes), wide}, {code.address(to, n, bytes), wide},
                       count, true);
      });
    }
  });
}

} // namespace kiln::cpu
