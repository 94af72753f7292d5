// The forward half, and what both halves share: which operands lie how, and where the scratch's areas are.

#include "backends/cpu/compile/Attention.h"
#include "backends/cpu/compile/MicroKernel.h"
#include "backends/cpu/compile/VectorMath.h"
#include <limits>

using namespace mlir;
using llvm::ArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {

bool buildAttention(KernelBuilder &builder) {
  builder.note("attention");
  const Graph &graph = builder.graph;
  const Op *odd = nullptr,
           *op = sdk::onlyWhole(graph,
                                {OpCode::Attention, OpCode::AttentionGrad, OpCode::BiasedAttention,
                                 OpCode::BiasedAttentionGrad, OpCode::DropoutAttention, OpCode::DropoutAttentionGrad,
                                 OpCode::CappedAttention, OpCode::CappedAttentionGrad},
                                odd);
  if (!op)
    return builder.error = (opName(odd->code) + " cannot stand in one kernel with attention").str(), false;
  AttentionLowering lowering(builder, *op);
  if (!lowering.check())
    return false;
  lowering.build();
  return true;
}

//===-- Form -----------------------------------------------------------------------------------------------------===//

AttentionLowering::AttentionLowering(KernelBuilder &builder, const Op &op)
    : builder(builder), graph(builder.graph), op(op), form(graph, op) {
  dtype = graph.type(form.q).dtype;
  bytes = byteSize(dtype);
  RegisterTile tile = registerTile(builder.machine, bytes);
  lanes = tile.lanes, vectors = tile.vectors, tileRows = tile.rows, rowUnit = tile.rowUnit;
  columns = lanes * vectors;
  query = rowsOf(form.q), key = rowsOf(form.k), value = rowsOf(form.v);
  key.ofKeys = value.ofKeys = true;
  if (form.biased)
    bias = ofBias(rowsOf(form.bias));
  if (form.backward) {
    result = rowsOf(form.result), gradient = rowsOf(form.gradient);
    dquery = rowsOfResult(0), dkey = rowsOfResult(1), dvalue = rowsOfResult(2);
    if (form.biased)
      dbias = ofBias(rowsOfResult(3));
    dkey.ofKeys = dvalue.ofKeys = true;
  } else {
    result = rowsOfResult(0);
  }
}

AttentionLowering::Rows AttentionLowering::rowsOf(uint32_t v) const {
  Rows rows;
  rows.input = graph.inputStrides(v, rows.strides);
  return rows;
}

AttentionLowering::Rows AttentionLowering::rowsOfResult(size_t number) const {
  for (auto [i, output] : llvm::enumerate(graph.outputs))
    if (sdk::Transposed below = sdk::throughTransposes(graph, output); below.value == op.results[number])
      return {-1, static_cast<int>(i), sdk::dimsAt(rowMajor(graph.type(output).dims), below.axes)};
  return {};
}

/// Rows of the bias, or of its gradient: axes along which it is broadcast have no stride.
AttentionLowering::Rows AttentionLowering::ofBias(Rows rows) const {
  for (auto [stride, dim] : llvm::zip(rows.strides, graph.type(form.bias).dims))
    if (dim.isOne())
      stride = Extent(0);
  return rows;
}

/// A bias that is read as rows of keys, and whose gradient each task can sum by itself.
bool AttentionLowering::checkBias() const {
  const Shape &dims = graph.type(form.bias).dims;
  if (bias.input < 0 || !bias.strides[3].isOne() || !(dims[3] == form.keys))
    return builder.error = "attention with a bias that does not lie as rows of keys", false;
  if (!dbias.exists())
    return true;
  bool own = dims[2] == form.queries && (dims[1] == form.heads || form.heads.isOne());
  if (!own || !dbias.strides[3].isOne() || dbias.output < 0)
    return builder.error = "the gradient of a bias that heads or queries share", false;
  return true;
}

bool AttentionLowering::checkOutputs() const {
  return llvm::all_of(graph.outputs, [&](uint32_t output) {
    return llvm::is_contained(op.results, sdk::throughTransposes(graph, output).value);
  });
}

bool AttentionLowering::check() {
  if (dtype != KILN_F32 && dtype != KILN_F64)
    return builder.error = ("attention of " + dtypeName(dtype)).str(), false;
  SmallVector<Rows> read{query, key, value};
  if (form.backward)
    read.append({result, gradient});
  if (!llvm::all_of(read, [](const Rows &rows) { return rows.exists() && rows.strides[3].isOne(); }) ||
      (form.backward && graph.inputNumber(form.lse) < 0))
    return builder.error = "attention whose operands' rows are not contiguous inputs", false;
  if (!checkOutputs())
    return builder.error = "attention with other ops behind it", false;
  for (const Rows &rows : {result, dquery, dkey, dvalue})
    if (rows.exists() && !rows.strides[3].isOne())
      return builder.error = "attention whose result's rows are not contiguous", false;
  if (graph.bound(form.keys) < 1)
    return builder.error = "attention over no keys", false;
  if (form.biased && !checkBias())
    return false;
  if (form.drops && !leastKept())
    return builder.error = "attention that drops all of its shares", false;
  if (form.backward && graph.bound(form.queries) < fewestQueries())
    return builder.error = "gradients of attention of few queries: products of a few rows do better", false;
  if (form.backward && !form.queries.isConstant() && !(form.queries == form.keys))
    return builder.error = "gradients of attention whose queries may be few beside the keys: products of a few rows do "
                           "better",
           false;
  return true;
}

//===-- Code shared by both halves -------------------------------------------------------------------------------===//

VectorType AttentionLowering::vectorType(Emitter &e) const { return e.code.vectorOf(e.registerType(dtype), lanes); }

int64_t AttentionLowering::area(int64_t elements) {
  return builder.reserveWorkerScratch((elements + lanes * (tileRows + 2)) * bytes);
}

Value AttentionLowering::pointer(Emitter &e, const Rows &rows, const Task &task, Value row) const {
  Code &code = e.code;
  Value offset = code.mul(row, e.extent(rows.strides[2]));
  offset = code.add(offset, code.mul(rows.ofKeys ? task.keyHead : task.head, e.extent(rows.strides[1])));
  offset = code.add(offset, code.mul(task.batch, e.extent(rows.strides[0])));
  return code.address(rows.input >= 0 ? e.input(static_cast<size_t>(rows.input))
                                      : e.output(static_cast<size_t>(rows.output)),
                      offset, bytes);
}

Value AttentionLowering::apart(Emitter &e, const Rows &rows) const {
  return e.code.mul(e.extent(rows.strides[2]), e.code.integer(bytes));
}

Value AttentionLowering::sumsPlace(Emitter &e, Value base, const Task &task, Value row) const {
  Code &code = e.code;
  Value pair = code.add(code.mul(task.batch, e.extent(form.heads)), task.head);
  return code.address(base, code.add(code.mul(pair, task.queries), row), bytes);
}

Value AttentionLowering::at(Emitter &e, Value base, Value row, int64_t vector) const {
  Code &code = e.code;
  Value place = code.add(code.mul(row, code.integer(columns)), code.integer(vector * lanes));
  return code.address(base, place, bytes);
}

Value AttentionLowering::placeOf(Emitter &e) const {
  Code &code = e.code;
  Value keys = e.extent(form.keys), queries = e.extent(form.queries);
  if (!form.started)
    return code.sub(keys, queries);
  // Further away than this no query sees a key either, and sums stay small.
  Value start = code.op<arith::ExtSIOp>(code.i64, e.value(form.start, {}));
  Value most = code.add(keys, code.integer(op.slidingWindow)), least = code.sub(code.integer(0), queries);
  return code.max(code.min(start, most), least);
}

AttentionLowering::Task AttentionLowering::anyTask(Emitter &e) const {
  Task task;
  task.queries = e.extent(form.queries), task.keys = e.extent(form.keys);
  task.width = e.extent(form.width), task.valueWidth = e.extent(form.valueWidth);
  task.offset = placeOf(e);
  task.skipped = e.code.integer(0), task.packed = task.keys;
  return task;
}

AttentionLowering::Task AttentionLowering::taskOf(Emitter &e, Value number) const {
  Code &code = e.code;
  Task task = anyTask(e);
  Value pair = code.div(number, code.integer(parts));
  task.batch = code.div(pair, e.extent(form.keyHeads));
  task.head = task.keyHead = code.rem(pair, e.extent(form.keyHeads));
  task.part = code.rem(number, code.integer(parts));
  return task;
}

void AttentionLowering::forHeads(Emitter &e, const Task &task, llvm::function_ref<void(const Task &)> body) const {
  Code &code = e.code;
  if (op.groups == 1)
    return body(task);
  code.loop(code.integer(0), code.integer(op.groups), 1, [&](Value number) {
    Task one = task;
    one.head = code.add(code.mul(task.keyHead, code.integer(op.groups)), number);
    body(one);
  });
}

AttentionLowering::Panel AttentionLowering::panelOf(Emitter &e, const Task &task, Value number) const {
  Code &code = e.code;
  Panel panel;
  Value zero = code.integer(0), one = code.integer(1);
  panel.first = code.mul(number, code.integer(columns));
  panel.count = code.min(code.sub(task.queries, panel.first), code.integer(columns));
  panel.begin = panel.closed = zero;
  panel.open = panel.limit = task.keys;
  if (!op.causal)
    return panel;
  // At least one key, so that there is a row of scores for queries which see none.
  Value place = code.add(panel.first, task.offset), least = code.min(task.keys, one);
  panel.limit = code.max(code.min(code.add(place, panel.count), task.keys), least);
  if (op.slidingWindow) { // keys behind place + 1 - window are seen by the first query, those behind last by the last
                          // one
    Value back = code.sub(code.add(place, one), code.integer(op.slidingWindow));
    Value first = code.max(code.min(back, code.sub(panel.limit, one)), zero);
    panel.begin = code.mul(code.div(first, code.integer(tileRows)), code.integer(tileRows));
    Value last = code.add(back, code.sub(panel.count, one));
    panel.closed = code.min(code.max(last, panel.begin), panel.limit);
  }
  panel.open = code.min(code.max(code.add(place, one), panel.closed), panel.limit);
  return panel;
}

AttentionLowering::Area AttentionLowering::place(Emitter &e, int64_t area, const Extent &size) const {
  return {e.workerScratch(area), stride(size)};
}

void AttentionLowering::copyRows(Emitter &e, Value from, Value apart, const Extent &size, Value rows, Value to,
                                 int64_t stride) const {
  Code &code = e.code;
  Value end = e.extent(size), zero = code.integer(0);
  VectorType type = vectorType(e);
  code.loop(zero, rows, 1, [&](Value row) {
    Value source = code.address(from, code.mul(row, apart), 1);
    Value target = code.address(to, code.mul(row, code.integer(stride)), bytes);
    auto copy = [&](Value n, Value mask) {
      Value there = code.address(source, n, bytes);
      Value vector = mask ? code.maskedLoad(type, there, mask, bytes) : code.loadHere(type, there, bytes);
      code.store(vector, code.address(target, n, bytes), bytes);
    };
    if (isWhole(size) && size.factor <= 16 * lanes) {
      for (int64_t n = 0; n < size.factor; n += lanes)
        copy(code.integer(n), Value());
      return;
    }
    code.loop(zero, end, lanes, [&](Value n) { copy(n, code.firstLanes(code.sub(end, n), lanes)); });
  });
}

void AttentionLowering::packPanel(Emitter &e, Value from, Value apart, Value count, Value k, Value to) const {
  Code &code = e.code;
  // Where a panel is wider than a vector, the right part first: what is written beyond the rows is then overwritten.
  for (int64_t v = vectors - 1; v >= 0; --v) {
    Value rest = code.sub(count, code.integer(v * lanes));
    code.ifThen(code.compare(arith::CmpIPredicate::sgt, rest, code.integer(0)), [&] {
      callPack(code, {dtype, lanes, Packing::Turn}, code.address(from, code.mul(code.integer(v * lanes), apart), 1),
               apart, code.min(rest, code.integer(lanes)), k, code.address(to, code.integer(v * lanes), bytes),
               code.integer(columns * bytes));
    });
  }
}

void AttentionLowering::scaleArea(Emitter &e, Value from, Value elements) const {
  Code &code = e.code;
  if (scoreScale() == 1.0)
    return;
  Value factor = code.constant(vectorType(e), scoreScale());
  code.loop(code.integer(0), elements, lanes, [&](Value i) {
    Value place = code.address(from, i, bytes);
    code.store(code.here<arith::MulFOp>(code.loadHere(vectorType(e), place, bytes), factor), place, bytes);
  });
}

void AttentionLowering::forSlivers(Emitter &e, Value rows, llvm::function_ref<void(Value, int64_t)> body) const {
  Code &code = e.code;
  Value sliver = code.integer(tileRows), whole = code.mul(code.div(rows, sliver), sliver);
  code.loop(code.integer(0), whole, tileRows, [&](Value first) { body(first, tileRows); });
  Value units = code.ceilDiv(code.sub(rows, whole), code.integer(rowUnit));
  for (int64_t height = rowUnit; height <= tileRows; height += rowUnit)
    code.ifThen(code.compare(arith::CmpIPredicate::eq, units, code.integer(height / rowUnit)),
                [&] { body(whole, height); });
}

void AttentionLowering::multiplySliver(Emitter &e, int64_t height, const Area &left, const Area &right, const Area &to,
                                       Value k, bool add) const {
  Code &code = e.code;
  callMicroKernel(code, {dtype, height, vectors, lanes, false, left.stride, 1}, left.base, right.base,
                  code.integer(right.stride * bytes), to.base, code.integer(to.stride * bytes), k,
                  code.constantInt(code.i1, add));
}

void AttentionLowering::multiplyRows(Emitter &e, const Area &left, const Area &right, const Area &to, Value rows,
                                     Value k, bool add) const {
  Code &code = e.code;
  auto from = [&](const Area &area, Value row) {
    return Area{code.address(area.base, code.mul(row, code.integer(area.stride)), bytes), area.stride};
  };
  forSlivers(e, rows, [&](Value row, int64_t height) {
    multiplySliver(e, height, from(left, row), right, from(to, row), k, add);
  });
}

void AttentionLowering::multiplyPanel(Emitter &e, const Task &task, const Panel &panel, Value left, const Area &right,
                                      const Area &to, const Extent &size) const {
  Code &code = e.code;
  int64_t rest = stride(size) % columns; // a vector by itself, where their number is odd
  auto across = [&](int64_t height, Value first) {
    Value end = panel.limit;
    if (op.causal) { // the tile's last query sees as many
      Value last = code.add(code.add(panel.first, first), code.add(task.offset, code.integer(height)));
      end = code.max(code.min(end, last), panel.begin);
    }
    Value k = code.sub(end, panel.begin);
    auto tile = [&](int64_t wide, Value n) {
      Value there = code.address(to.base, code.add(code.mul(first, code.integer(to.stride)), n), bytes);
      callMicroKernel(code, {dtype, height, wide, lanes, false, 1, columns}, code.address(left, first, bytes),
                      code.address(right.base, n, bytes), code.integer(right.stride * bytes), there,
                      code.integer(to.stride * bytes), k, code.constantInt(code.i1, false));
    };
    code.loop(code.integer(0), code.integer(stride(size) - rest), columns, [&](Value n) { tile(vectors, n); });
    if (rest)
      tile(rest / lanes, code.integer(stride(size) - rest));
  };
  int64_t whole = columns / tileRows * tileRows;
  code.loop(code.integer(0), code.min(panel.count, code.integer(whole)), tileRows,
            [&](Value first) { across(tileRows, first); });
  if (whole < columns)
    code.ifThen(code.compare(arith::CmpIPredicate::sgt, panel.count, code.integer(whole)),
                [&] { across(columns - whole, code.integer(whole)); });
}

void AttentionLowering::storePanel(Emitter &e, const Rows &rows, const Task &task, const Panel &panel, const Area &from,
                                   const Extent &size, llvm::function_ref<Value(Value)> factor) const {
  if (!rows.exists())
    return;
  Code &code = e.code;
  VectorType type = vectorType(e);
  Value end = e.extent(size), there = pointer(e, rows, task, panel.first), apart = e.extent(rows.strides[2]);
  code.loop(code.integer(0), panel.count, 1, [&](Value row) {
    Value times = factor(row), source = code.address(from.base, code.mul(row, code.integer(from.stride)), bytes);
    Value target = code.address(there, code.mul(row, apart), bytes);
    auto store = [&](Value n, Value mask) {
      Value sum = code.here<arith::MulFOp>(code.loadHere(type, code.address(source, n, bytes), bytes), times);
      Value to = code.address(target, n, bytes);
      mask ? code.maskedStore(sum, to, mask, bytes) : code.store(sum, to, bytes);
    };
    if (isWhole(size) && size.factor <= 16 * lanes) {
      for (int64_t n = 0; n < size.factor; n += lanes)
        store(code.integer(n), Value());
      return;
    }
    code.loop(code.integer(0), end, lanes, [&](Value n) { store(n, code.firstLanes(code.sub(end, n), lanes)); });
  });
}

//===-- Forward --------------------------------------------------------------------------------------------------===//

void AttentionLowering::reserve() {
  int64_t s = roundUp(graph.bound(form.keys), tileRows), d = stride(form.width), v = stride(form.valueWidth);
  if (form.drops) // keys come by fours
    s = roundUp(s, 4);
  if (fewQueries() == Few::Always) {
    queryPanel = area(d);
    scores = area(roundUp(s, lanes));
    return;
  }
  keyRows = area(s * d);
  valueRows = area(s * v);
  queryPanel = area(d * columns);
  scores = area((s + (form.biased ? lanes : 0)) * columns); // a bias is packed in whole vectors of keys
  out = area(columns * (form.backward ? d : v));
  if (!form.backward) {
    factors = area(columns);
    return;
  }
  gradientPanel = area(v * columns);
  slopes = area((s + (dbias.exists() ? lanes : 0)) * columns); // which are then turned in whole squares
  queryRows = area(columns * sumColumns(true));
  gradientRows = area(columns * sumColumns(false));
  if (parts > 1) {
    int64_t tasks = parts * std::max<int64_t>(graph.bound(form.batches) * graph.bound(form.keyHeads), 1);
    keySums = builder.reserveScratch(tasks * sumsBytes(true));
    valueSums = builder.reserveScratch(tasks * sumsBytes(false));
    return;
  }
  keySums = area(s * sumColumns(true));
  valueSums = area(s * sumColumns(false));
}

void AttentionLowering::build() {
  parts = partsOfQueries();
  reserve();
  Few few = fewQueries();
  auto tasks = [this, few](Emitter &e) {
    if (sumsBatches())
      return e.code.mul(e.extent(form.keyHeads), e.code.integer(parts));
    Value ofRows = e.elements({form.batches, form.heads});
    Value ofPanels = e.code.mul(e.elements({form.batches, form.keyHeads}), e.code.integer(parts));
    return few == Few::Always  ? ofRows
           : few == Few::Never ? ofPanels
                               : e.code.op<arith::SelectOp>(areFew(e), ofRows, ofPanels);
  };
  auto each = [](Emitter &e, llvm::function_ref<void(Value)> body) {
    e.code.loop(e.arguments.begin, e.arguments.end, 1, body);
  };
  builder.addPhase(
      tasks,
      [&](Emitter &e) {
        auto panels = [&] {
          each(e, [&](Value number) { form.backward ? backwardTask(e, number) : forwardTask(e, number); });
        };
        auto rows = [&] { each(e, [&](Value number) { rowsTask(e, number); }); };
        if (few == Few::Asked)
          e.code.ifElse(areFew(e), rows, panels);
        else
          few == Few::Always ? rows() : panels();
      },
      lanes);
  if (form.backward && parts > 1)
    addPartsPhase();
}

void AttentionLowering::forwardTask(Emitter &e, Value number) const {
  Code &code = e.code;
  Task task = taskOf(e, number);
  auto [from, to] = panelsOf(e, task);
  Value first = from, last = to;
  code.ifThen(code.compare(arith::CmpIPredicate::slt, first, last), [&] {
    // Keys that no query of this part sees need not be packed.
    task.skipped = panelOf(e, task, first).begin;
    task.packed = panelOf(e, task, code.sub(last, code.integer(1))).limit;
    Value count = code.sub(task.packed, task.skipped);
    copyRows(e, pointer(e, key, task, task.skipped), apart(e, key), form.width, count, e.workerScratch(keyRows),
             stride(form.width));
    copyRows(e, pointer(e, value, task, task.skipped), apart(e, value), form.valueWidth, count,
             e.workerScratch(valueRows), stride(form.valueWidth));
    forHeads(e, task, [&](const Task &one) {
      code.loop(first, last, 1, [&](Value panel) { forwardPanel(e, one, panelOf(e, one, panel)); });
    });
  });
}

Value AttentionLowering::larger(Code &code, Value x, Value y) {
  return code.here<arith::SelectOp>(code.here<arith::CmpFOp>(arith::CmpFPredicate::OGT, x, y), x, y);
}

static Value isEmpty(Code &code, Value sum) {
  return code.here<arith::CmpFOp>(arith::CmpFPredicate::OEQ, sum, code.constant(sum.getType(), 0.0));
}

Value AttentionLowering::shiftOf(Code &code, Value most) {
  Value lowest = code.constant(most.getType(), -std::numeric_limits<double>::infinity());
  Value none = code.here<arith::CmpFOp>(arith::CmpFPredicate::OEQ, most, lowest);
  return code.here<arith::SelectOp>(none, code.constant(most.getType(), 0.0), most);
}

Value AttentionLowering::factorOf(Code &code, Value sum) const {
  Value factor = code.here<arith::DivFOp>(code.constant(sum.getType(), keptFactor()), sum);
  return code.here<arith::SelectOp>(isEmpty(code, sum), code.constant(sum.getType(), 0.0), factor);
}

Value AttentionLowering::lseOf(Code &code, Value shift, Value sum) {
  Value logarithm = code.here<arith::AddFOp>(shift, emitLog(code, sum));
  Value infinite = code.constant(sum.getType(), std::numeric_limits<double>::infinity());
  return code.here<arith::SelectOp>(isEmpty(code, sum), infinite, logarithm);
}

void AttentionLowering::forwardPanel(Emitter &e, const Task &task, const Panel &panel) const {
  Code &code = e.code;
  VectorType type = vectorType(e);
  Value shares = e.workerScratch(scores);
  packPanel(e, pointer(e, query, task, panel.first), apart(e, query), panel.count, task.width,
            e.workerScratch(queryPanel));
  scaleArea(e, e.workerScratch(queryPanel), code.mul(task.width, code.integer(columns)));
  // Scores lie by their key's number, slivers from the first one that was packed.
  Value before = code.sub(panel.begin, task.skipped);
  scoresOfPanel(e, task, panel, before);
  auto maxima = [&](Value from, Value to, bool diagonal, const Values &inits) {
    return code.loop(from, to, 1, inits, [&](Value key, ValueRange carried) {
      Values next;
      for (int64_t v = 0; v < vectors; ++v) {
        Value place = at(e, shares, key, v), score = code.loadHere(type, place, bytes);
        Value seen = masked(e, task, panel, key, v, diagonal, capped(code, bent(code, score)));
        if (seen != score)
          code.store(seen, place, bytes);
        next.push_back(larger(code, seen, carried[v]));
      }
      return next;
    });
  };
  Values largest(vectors, code.constant(type, -std::numeric_limits<double>::infinity()));
  if (op.slidingWindow)
    largest = maxima(panel.begin, panel.closed, true, largest);
  largest = maxima(panel.closed, panel.open, false, largest);
  if (op.causal)
    largest = maxima(panel.open, panel.limit, true, largest);
  for (Value &most : largest)
    most = shiftOf(code, most);
  Values sums(vectors, code.constant(type, 0.0));
  sums = code.loop(panel.begin, panel.limit, 1, sums, [&](Value key, ValueRange carried) {
    Values next;
    for (int64_t v = 0; v < vectors; ++v) {
      Value place = at(e, shares, key, v);
      Value power =
          emitExp(code, code.here<arith::SubFOp>(code.loadHere(type, place, bytes), largest[static_cast<size_t>(v)]));
      code.store(power, place, bytes);
      next.push_back(code.here<arith::AddFOp>(carried[v], power));
    }
    return next;
  });
  dropShares(e, task, panel);
  Area right = place(e, valueRows, form.valueWidth), sum = place(e, out, form.valueWidth);
  right.base = code.address(right.base, code.mul(before, code.integer(right.stride)), bytes);
  multiplyPanel(e, task, panel, at(e, shares, panel.begin, 0), right, sum, form.valueWidth);
  for (int64_t v = 0; v < vectors; ++v)
    code.store(factorOf(code, sums[static_cast<size_t>(v)]), at(e, e.workerScratch(factors), code.integer(0), v),
               bytes);
  storePanel(e, result, task, panel, sum, form.valueWidth, [&](Value row) {
    Value factor = code.loadHere(e.registerType(dtype), code.address(e.workerScratch(factors), row, bytes), bytes);
    return code.here<vector::SplatOp>(factor, type);
  });
  if (op.results.size() < 2)
    return;
  if (Rows lse = rowsOfResult(1); lse.exists())
    for (int64_t v = 0; v < vectors; ++v) {
      Value row = code.add(panel.first, code.integer(v * lanes));
      Value place = sumsPlace(e, e.output(static_cast<size_t>(lse.output)), task, row);
      Value mask = code.firstLanes(code.sub(panel.count, code.integer(v * lanes)), lanes);
      auto lane = static_cast<size_t>(v);
      code.maskedStore(lseOf(code, largest[lane], sums[lane]), place, mask, bytes);
    }
}

} // namespace kiln::cpu
