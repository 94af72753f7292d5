// Which form a kernel takes, and the elementwise one.

#include "backends/cpu/compile/Loops.h"
#include "backends/cpu/compile/Attention.h"
#include "backends/cpu/compile/Contract.h"
#include "llvm/ADT/ScopeExit.h"

using namespace mlir;
using llvm::ArrayRef;
using llvm::MutableArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {

SmallVector<int64_t, 4> reducedAxes(const Op &op) {
  if (op.code == OpCode::ArgReduce)
    return {op.axis};
  return op.axes;
}

std::pair<Value, Value> taskRange(Emitter &e, Value count, Value grain) {
  return {e.code.mul(e.arguments.begin, grain), e.code.min(e.code.mul(e.arguments.end, grain), count)};
}

//===-- Elementwise ----------------------------------------------------------------------------------------------===//

namespace {
/// How an iteration space of rows and columns is cut into tasks: whole rows, several a task, or where rows are long,
/// pieces of one.
struct Cut {
  bool columns;  // cut within rows
  int64_t grain; // elements a task, a multiple of any width
};
} // namespace

static Cut cutOf(const Machine &machine, const Graph &graph, ArrayRef<Extent> dims, int64_t cost) {
  int64_t grain = taskGrainOf(machine);
  for (int64_t weight = cost; weight > 16 && grain > 1024; weight /= 2)
    grain /= 2;
  int64_t inner = dims.empty() ? 1 : graph.bound(dims.back());
  return {inner >= 2 * grain, grain};
}

void buildElementwise(KernelBuilder &builder, ArrayRef<size_t> outputs) {
  builder.note("elementwise");
  const Graph &graph = builder.graph;
  Shape dims = graph.type(graph.outputs[outputs.front()]).dims;
  SmallVector<uint32_t> values;
  for (size_t i : outputs)
    values.push_back(graph.outputs[i]);
  Cut cut =
      cutOf(builder.machine, graph, dims, costOf(graph, values, [&](uint32_t v) { return builder.isComputed(v); }));
  ArrayRef<Extent> outer = ArrayRef<Extent>(dims).drop_back(dims.empty() ? 0 : 1);
  Extent inner = dims.empty() ? Extent(1) : dims.back();
  auto rowsPerTask = [&](Emitter &e) {
    return e.code.max(e.code.div(e.code.integer(cut.grain), e.extent(inner)), e.code.integer(1));
  };
  auto tasks = [&](Emitter &e) -> Value {
    Value rows = e.elements(outer);
    if (cut.columns)
      return e.code.mul(rows, e.code.ceilDiv(e.extent(inner), e.code.integer(cut.grain)));
    return e.code.ceilDiv(rows, rowsPerTask(e));
  };
  auto body = [&](Emitter &e) {
    Code &code = e.code;
    auto write = [&](ArrayRef<Index> at, const Mask &mask) {
      // All are computed before any is written: an output may lie where an input is.
      SmallVector<Value> elements;
      for (uint32_t v : values)
        elements.push_back(e.value(v, at, mask));
      for (auto [i, element] : llvm::zip(outputs, elements))
        e.storeOutput(i, at, element, mask);
    };
    auto plainRow = [&](Value number, Value begin, Value end) {
      Indices prefix = e.indicesOfRow(outer, number);
      if (inner.isOne()) {
        if (!dims.empty())
          prefix.push_back(e.zero());
        return write(prefix, {});
      }
      vectorLoop(e, begin, end, 1, {}, [&](const Index &index, const Mask &mask, MutableArrayRef<Value>) {
        Indices at = prefix;
        at.push_back(index);
        write(at, mask);
      });
    };
    Streams streams(builder, outputs, outer.empty(), inner);
    auto row = [&](Value number, Value begin, Value end) { streams.emit(e, [&] { plainRow(number, begin, end); }); };
    auto done = llvm::make_scope_exit([&] { streams.finish(e); });
    Value zero = code.integer(0), size = e.extent(inner);
    if (!cut.columns) {
      Value rows = e.elements(outer);
      if (Code::known(rows) == 1)
        return row(zero, zero, size);
      auto [first, last] = taskRange(e, rows, rowsPerTask(e));
      code.loop(first, last, 1, [&](Value iv) { row(iv, zero, size); });
      return;
    }
    Value grain = code.integer(cut.grain);
    if (outer.empty() || Code::known(e.elements(outer)) == 1) {
      auto [first, last] = taskRange(e, size, grain);
      return row(zero, first, last);
    }
    Value pieces = code.ceilDiv(size, grain);
    code.loop(e.arguments.begin, e.arguments.end, 1, [&](Value task) {
      Value begin = code.mul(code.rem(task, pieces), grain);
      row(code.div(task, pieces), begin, code.min(code.add(begin, grain), size));
    });
  };
  builder.addPhase(tasks, body);
}

//===-- All of it ------------------------------------------------------------------------------------------------===//

/// Outputs that no phase has written yet, in groups of one shape each.
static void buildOutputs(KernelBuilder &builder) {
  const Graph &graph = builder.graph;
  SmallVector<SmallVector<size_t>> groups;
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    uint32_t v = graph.outputs[i];
    bool isHome = llvm::find(graph.outputs, v) == graph.outputs.begin() + i;
    if (isHome && builder.isComputed(v))
      continue;
    auto *group = llvm::find_if(
        groups, [&](ArrayRef<size_t> g) { return graph.type(graph.outputs[g.front()]).dims == graph.type(v).dims; });
    if (group == groups.end())
      groups.emplace_back(1, i);
    else
      group->push_back(i);
  }
  for (ArrayRef<size_t> group : groups)
    buildElementwise(builder, group);
}

/// Whether the element of `v` depends on the result of an op that is not computed yet.
static bool dependsOn(const Graph &graph, uint32_t v, ArrayRef<const Op *> ops) {
  SmallVector<uint32_t> stack{v};
  llvm::DenseSet<uint32_t> seen;
  while (!stack.empty()) {
    const Op *op = graph.definingOp(stack.pop_back_val());
    if (!op)
      continue;
    if (llvm::is_contained(ops, op))
      return true;
    for (uint32_t operand : op->operands)
      if (seen.insert(operand).second)
        stack.push_back(operand);
  }
  return false;
}

/// A dynamic_update_slice of an input that is an output: where both are one memory, only the block is written.
static bool updatesInPlace(const Graph &graph, const Op &op) {
  return op.code == OpCode::DynamicUpdateSlice && llvm::is_contained(graph.outputs, op.results[0]) &&
         graph.inputNumber(op.operands[0]) >= 0;
}

/// A row of many others: they are copied one by one. An element of its own would ask each of them whether it is there,
/// by loads that are masked off.
static bool joinsMany(const Graph &graph, const Op &op) {
  return op.code == OpCode::Concat && op.operands.size() > 8 && graph.type(op.results[0]).rank() == 1 &&
         llvm::is_contained(graph.outputs, op.results[0]);
}

bool buildLoops(KernelBuilder &builder) {
  const Graph &graph = builder.graph;
  llvm::DenseSet<const Op *> done;
  for (size_t i = 0; i < graph.ops.size(); ++i) {
    const Op &op = graph.ops[i];
    if (!(isWhole(op.code) || updatesInPlace(graph, op) || joinsMany(graph, op)) || done.contains(&op))
      continue;
    SmallVector<const Op *> group{&op};
    if (isReduction(op)) {
      // Others that walk over the same elements come along.
      for (const Op &other : ArrayRef(graph.ops).drop_front(i + 1))
        if (isReduction(other) && graph.type(other.operands[0]).dims == graph.type(op.operands[0]).dims &&
            reducedAxes(other) == reducedAxes(op) && !dependsOn(graph, other.operands[0], group) &&
            llvm::none_of(graph.ops, [&](const Op &whole) {
              return isWhole(whole.code) && !builder.isComputed(whole.results[0]) && &whole != &other &&
                     dependsOn(graph, other.operands[0], {&whole});
            }))
          group.push_back(&other);
      builder.note("columns");
      buildReduce(builder, group);
    } else if (!buildSingle(builder, op)) {
      return false;
    }
    for (const Op *each : group) {
      done.insert(each);
      for (uint32_t v : each->results)
        builder.computed(v);
    }
  }
  buildOutputs(builder);
  return true;
}

/// Whether rows (one, where columns leave a single number) are computed whole: few long ones are better cut up than
/// given to few threads.
static bool hasWholeRows(const Machine &machine, const Graph &graph) {
  auto first = llvm::find_if(graph.ops, isReduction);
  if (first == graph.ops.end())
    return false; // nothing is left to reduce
  const Shape &left = graph.type(first->results[0]).dims;
  int64_t rows = graph.bound(left), all = graph.bound(graph.type(first->operands[0]).dims);
  return (graph.shape == KILN_SHAPE_ROWS || left.empty()) &&
         machine.takes("whole rows", rows >= 8 || all / std::max<int64_t>(rows, 1) <= 16384);
}

/// The op that a kernel of no promised shape is built around; ANY where it has none.
static int32_t shapeOfAny(const Graph &graph) {
  for (const Op &op : graph.ops) {
    if (infoOf(op.code).opClass == sdk::OpClass::Contraction)
      return KILN_SHAPE_CONTRACT;
    if (isAttention(op.code))
      return KILN_SHAPE_ATTENTION;
  }
  return KILN_SHAPE_ANY;
}

bool buildKernel(KernelBuilder &builder) {
  const Graph &graph = builder.graph;
  switch (graph.shape == KILN_SHAPE_ANY ? shapeOfAny(graph) : graph.shape) {
  case KILN_SHAPE_CONTRACT:
    return buildContract(builder);
  case KILN_SHAPE_ATTENTION:
    return buildAttention(builder);
  case KILN_SHAPE_ROWS:
  case KILN_SHAPE_COLUMNS:
    return hasWholeRows(builder.machine, graph) ? buildRows(builder) : buildLoops(builder);
  default:
    return buildLoops(builder);
  }
}

} // namespace kiln::cpu
