// Kernels whose reductions run over trailing axes.
#include "backends/cpu/compile/Loops.h"
#include "backends/sdk/forms/Operands.h"

using namespace mlir;
using llvm::ArrayRef;
using llvm::MutableArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {

namespace {

/// Rows R, elements of a row I, and the order of work within a row.
struct RowPlan {
  Shape rows, inner;
  struct Stage {
    std::vector<const Op *> reductions;
    SmallVector<uint32_t> kept; // values that later stages read back rather than compute again
  };
  SmallVector<Stage> stages;                      // reductions of one need those of the stages before
  SmallVector<size_t> rowOutputs, elementOutputs; // of dims R, of dims R x I

  Shape domain() const {
    Shape all = rows;
    all.append(inner.begin(), inner.end());
    return all;
  }
};

RowPlan planOf(const Graph &graph) {
  RowPlan plan;
  const Op &first = *llvm::find_if(graph.ops, isReduction);
  const Shape &dims = graph.type(first.operands[0]).dims;
  size_t rows = graph.type(first.results[0]).dims.size();
  plan.rows.assign(dims.begin(), dims.begin() + rows);
  plan.inner.assign(dims.begin() + rows, dims.end());
  for (size_t i = 0; i < graph.outputs.size(); ++i)
    (graph.type(graph.outputs[i]).dims == plan.rows ? plan.rowOutputs : plan.elementOutputs).push_back(i);
  return plan;
}

/// What is expensive and wanted again in a later stage is kept for a row, where rows are short enough for the cache.
void chooseKept(const Machine &machine, const Graph &graph, RowPlan &plan) {
  if (!machine.takes("keeps of a row", graph.bound(plan.inner) <= 65536))
    return;
  llvm::DenseMap<uint32_t, size_t> computedIn;
  Shape domain = plan.domain();
  auto visit = [&](ArrayRef<uint32_t> wanted, size_t stage) {
    SmallVector<uint32_t> stack(wanted.begin(), wanted.end());
    llvm::DenseSet<uint32_t> seen;
    while (!stack.empty()) {
      uint32_t v = stack.pop_back_val();
      if (!seen.insert(v).second)
        continue;
      const Op *op = graph.definingOp(v);
      if (!op || isReduction(*op))
        continue;
      if (isExpensive(op->code) && graph.type(v).dims == domain) {
        auto [found, isNew] = computedIn.try_emplace(v, stage);
        if (!isNew && found->second < stage) {
          SmallVector<uint32_t> &kept = plan.stages[found->second].kept;
          if (!llvm::is_contained(kept, v))
            kept.push_back(v);
          continue;
        }
      }
      stack.append(op->operands.begin(), op->operands.end());
    }
  };
  for (auto [number, stage] : llvm::enumerate(plan.stages)) {
    SmallVector<uint32_t> wanted;
    for (const Op *op : stage.reductions)
      wanted.push_back(op->operands[0]);
    visit(wanted, number);
  }
  SmallVector<uint32_t> wanted;
  for (size_t i : plan.elementOutputs)
    wanted.push_back(graph.outputs[i]);
  visit(wanted, plan.stages.size());
}

/// Inputs that a row is read from again and again, and whose next row is fetched while this one is in its second pass:
/// the first one reads from memory, and the others leave memory alone.
SmallVector<size_t> inputsAhead(const Machine &machine, const Graph &graph, const RowPlan &plan) {
  SmallVector<size_t> inputs;
  int64_t rowBytes = 0;
  for (size_t i = 0; i < graph.inputs.size(); ++i)
    if (const TensorType &type = graph.type(graph.inputs[i]); type.dims == plan.domain() && byteSize(type.dtype) >= 2) {
      inputs.push_back(i);
      rowBytes += graph.bound(plan.inner) * byteSize(type.dtype);
    }
  // Short rows are followed by processors themselves; of long ones two do not stay in the second level.
  bool worth = machine.takes("rows ahead", rowBytes >= 16384 && rowBytes <= 262144);
  return worth ? inputs : SmallVector<size_t>();
}

/// A kept value is stored as it is computed: what one stage has in a register and the next reads back is one value.
kiln_dtype keptType(const Graph &graph, uint32_t v) {
  kiln_dtype dtype = graph.type(v).dtype;
  return dtype == KILN_BF16 || dtype == KILN_F16 ? KILN_F32 : dtype;
}

/// Emits the code of one row.
class RowCode {
public:
  RowCode(KernelBuilder &builder, Emitter &e, const RowPlan &plan, const llvm::DenseMap<uint32_t, int64_t> &keptAt)
      : graph(builder.graph), e(e), plan(plan), keptAt(keptAt), ahead(inputsAhead(builder.machine, graph, plan)),
        streams(builder, plan.elementOutputs, /*oneRow=*/false, plan.inner.back()) {}

  /// Whether a reduction's result was asked for at another row than its own.
  bool mismatch = false;

  void row(Value number) {
    Indices position = e.indicesOfRow(plan.rows, number);
    for (const RowPlan::Stage &stage : plan.stages)
      reduce(stage, position);
    if (!plan.elementOutputs.empty())
      streams.emit(e, [&] {
        nest(e, plan.inner, position, [&](ArrayRef<Index> at, const Mask &mask) {
          if (plan.stages.size() == 1)
            fetchNext(at);
          write(plan.elementOutputs, at, mask);
        });
      });
    write(plan.rowOutputs, position, {});
    for (const RowPlan::Stage &stage : plan.stages) {
      for (const Op *op : stage.reductions)
        e.unbind(op->results[0]);
      for (uint32_t v : stage.kept)
        e.unbind(v);
    }
  }

  void finish() { streams.finish(e); }

private:
  const Graph &graph;
  Emitter &e;
  const RowPlan &plan;
  const llvm::DenseMap<uint32_t, int64_t> &keptAt;
  SmallVector<size_t> ahead;
  Streams streams;

  void fetchNext(ArrayRef<Index> at) {
    for (size_t i : ahead) {
      Index place = e.linear(plan.domain(), at);
      if (!place.lanes)
        e.code.fetch(e.code.address(e.input(i), e.code.add(place.base, e.elements(plan.inner)),
                                    byteSize(graph.type(graph.inputs[i]).dtype)));
    }
  }

  void write(ArrayRef<size_t> outputs, ArrayRef<Index> at, const Mask &mask) {
    SmallVector<Value> elements;
    for (size_t i : outputs)
      elements.push_back(e.value(graph.outputs[i], at, mask));
    for (auto [i, element] : llvm::zip(outputs, elements))
      e.storeOutput(i, at, element, mask);
  }

  Index keptOffset(ArrayRef<Index> at) { return e.linear(plan.inner, at.drop_front(plan.rows.size())); }

  void reduce(const RowPlan::Stage &stage, ArrayRef<Index> position) {
    Indices row(position.begin(), position.end());
    SmallVector<Accumulator> accumulators;
    SmallVector<uint32_t> operands;
    for (const Op *op : stage.reductions) {
      accumulators.push_back(Accumulator::of(e, *op, /*alongVectors=*/true));
      operands.push_back(op->operands[0]);
    }
    // Several copies of each accumulator hide the latency of adding; long expressions do that by themselves.
    int64_t cost =
        costOf(graph, operands, [&](uint32_t v) { return keptAt.contains(v) && !llvm::is_contained(stage.kept, v); });
    int64_t unroll = cost * static_cast<int64_t>(operands.size()) <= 12 ? 4 : cost <= 24 ? 2 : 1;
    if (graph.bound(plan.inner.back()) <= 2 * e.width)
      unroll = 1;
    Cascade cascade(e, accumulators, unroll, /*vectors=*/true);
    States states = cascade.nest(
        plan.inner, e.code.integer(0), e.extent(plan.inner.front()), Indices(position.begin(), position.end()),
        cascade.fresh(), [&](ArrayRef<Index> at, const Mask &mask, MutableArrayRef<Value> state) {
          if (&stage == plan.stages.begin() + 1)
            fetchNext(at);
          for (uint32_t v : stage.kept)
            e.storeOffset(keptType(graph, v), e.workerScratch(keptAt.lookup(v)), keptOffset(at),
                          e.vector(e.value(v, at, mask)), mask);
          size_t first = 0;
          for (auto [accumulator, v] : llvm::zip(accumulators, operands)) {
            accumulator.step(e, state.slice(first, accumulator.size()), e.value(v, at, mask), at, mask);
            first += accumulator.size();
          }
        });
    cascade.finish(states);
    size_t first = 0;
    for (const Accumulator &accumulator : accumulators) {
      size_t size = accumulator.size();
      Value result = accumulator.result(e, ArrayRef<Value>(states).slice(first, size));
      e.bind(accumulator.op->results[0], [this, result, row](ArrayRef<Index> at, const Mask &) {
        mismatch |=
            !llvm::equal(at, row, [](const Index &a, const Index &b) { return a.base == b.base && a.uniform(); });
        return result;
      });
      first += size;
    }
    for (uint32_t v : stage.kept)
      e.bind(v, [this, v](ArrayRef<Index> at, const Mask &mask) {
        return e.loadOffset(keptType(graph, v), e.workerScratch(keptAt.lookup(v)), keptOffset(at), mask,
                            /*pinned=*/true);
      });
  }
};

} // namespace

bool buildRows(KernelBuilder &builder) {
  builder.note("rows");
  const Graph &graph = builder.graph;
  RowPlan plan = planOf(graph);
  for (std::vector<const Op *> &reductions : sdk::passesOf(graph))
    plan.stages.push_back({std::move(reductions), {}});
  chooseKept(builder.machine, graph, plan);
  llvm::DenseMap<uint32_t, int64_t> keptAt;
  for (const RowPlan::Stage &stage : plan.stages)
    for (uint32_t v : stage.kept)
      keptAt[v] = builder.reserveWorkerScratch(graph.bound(plan.inner) * byteSize(keptType(graph, v)));
  SmallVector<uint32_t> outputs(graph.outputs.begin(), graph.outputs.end());
  int64_t grain = taskGrainOf(builder.machine);
  for (int64_t weight = costOf(graph, outputs, [](uint32_t) { return false; }); weight > 16 && grain > 1024;
       weight /= 2)
    grain /= 2;
  auto rowsPerTask = [&](Emitter &e) {
    return e.code.max(e.code.div(e.code.integer(grain), e.elements(plan.inner)), e.code.integer(1));
  };
  builder.addPhase([&](Emitter &e) { return e.code.ceilDiv(e.elements(plan.rows), rowsPerTask(e)); },
                   [&](Emitter &e) {
                     auto [first, last] = taskRange(e, e.elements(plan.rows), rowsPerTask(e));
                     RowCode code(builder, e, plan, keptAt);
                     e.code.loop(first, last, 1, [&](Value row) { code.row(row); });
                     code.finish();
                     if (code.mismatch)
                       builder.error = "the kernel's shape is 'rows', and a value of one row is read in another";
                   });
  return builder.error.empty();
}

} // namespace kiln::cpu
