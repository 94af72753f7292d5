// Reductions over any axes, on all threads.
//
// The domain's dimensions are kept or reduced. Where the last one (of those wider than one) is reduced, a result's
// elements come in vectors that are added up at the end; where it is kept, a vector holds neighbouring results. If the
// results are too few to share out, the outermost reduced dimension is cut into a number of chunks that depends on the
// extents' bounds alone: a first phase leaves one partial result for each, a second one combines them in order.
#include "backends/cpu/compile/Loops.h"

using namespace mlir;
using llvm::ArrayRef;
using llvm::MutableArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {
namespace {

struct ReducePlan {
  Shape domain;
  SmallVector<size_t> kept, reduced; // dimensions, ascending; of the reduced ones those wider than one
  bool keepsLast = false;            // the last dimension that is wider than one is kept
  size_t column = 0;                 // then: its number among the kept ones
  int64_t columnVectors = 1;         // then: vectors of it that a task takes
  int64_t chunks = 1;
  SmallVector<const Op *> ops;
  SmallVector<int64_t> partials; // scratch offsets, one for each reduction, where chunks > 1
  int64_t grain = 1;             // units a task

  Shape of(ArrayRef<size_t> dims) const {
    Shape shape;
    for (size_t d : dims)
      shape.push_back(domain[d]);
    return shape;
  }
  const Extent &columns() const { return domain[kept[column]]; }
  /// Units of work: outer kept places, blocks of columns, chunks.
  SmallVector<size_t> outer() const {
    SmallVector<size_t> dims = kept;
    if (keepsLast)
      dims.erase(dims.begin() + column);
    return dims;
  }
};

/// What is kept of a chunk is not rounded to a narrow float: a sum rounds once.
kiln_dtype partialType(const Graph &graph, const Op &op) {
  kiln_dtype dtype = graph.type(op.operands[0]).dtype;
  return dtype == KILN_BF16 || dtype == KILN_F16 ? KILN_F32 : dtype;
}

ReducePlan makePlan(KernelBuilder &builder, ArrayRef<const Op *> ops) {
  const Graph &graph = builder.graph;
  ReducePlan plan;
  plan.ops.assign(ops.begin(), ops.end());
  plan.domain = graph.type(ops.front()->operands[0]).dims;
  SmallVector<int64_t, 4> axes = reducedAxes(*ops.front());
  for (size_t d = 0; d < plan.domain.size(); ++d) {
    bool isKept = !llvm::is_contained(axes, static_cast<int64_t>(d)), wide = !plan.domain[d].isOne();
    if (wide && isKept)
      plan.column = plan.kept.size();
    if (wide)
      plan.keepsLast = isKept;
    if (isKept)
      plan.kept.push_back(d);
    else if (wide)
      plan.reduced.push_back(d);
  }
  int64_t total = graph.bound(plan.domain), units = 1;
  for (size_t d : plan.outer())
    units *= graph.bound(plan.domain[d]);
  if (plan.keepsLast) {
    int64_t columns = graph.bound(plan.columns());
    plan.columnVectors =
        std::clamp<int64_t>(builder.machine.sized("column vectors", 8, 1) / static_cast<int64_t>(ops.size()), 1,
                            std::max<int64_t>(columns / builder.width(), 1));
    units *= (columns + plan.columnVectors * builder.width() - 1) / (plan.columnVectors * builder.width());
  }
  bool chunkable = llvm::all_of(ops, [](const Op *op) { return op->code == OpCode::Reduce; });
  int64_t enough = 16, taskGrain = taskGrainOf(builder.machine);
  if (chunkable && units < enough && total >= 2 * taskGrain && !plan.reduced.empty()) {
    int64_t along = graph.bound(plan.domain[plan.reduced.front()]);
    // Cut within the last dimension, a chunk is some vectors at least.
    if (plan.reduced.size() == 1 && !plan.keepsLast)
      along /= 16 * builder.width();
    plan.chunks =
        std::clamp<int64_t>(std::min((enough + units - 1) / units, total / taskGrain), 1, std::max<int64_t>(along, 1));
  }
  int64_t unitWork =
      std::max<int64_t>(total / std::max<int64_t>(units * plan.chunks, 1), 1); // no units: an extent of 0
  plan.grain = std::max<int64_t>(taskGrain / unitWork, 1);
  if (plan.chunks > 1) {
    int64_t results = graph.bound(plan.of(plan.kept));
    for (const Op *op : ops)
      plan.partials.push_back(builder.reserveScratch(plan.chunks * results * byteSize(partialType(graph, *op))));
  }
  return plan;
}

/// Emits the first phase.
class ReduceCode {
public:
  ReduceCode(KernelBuilder &builder, Emitter &e, const ReducePlan &plan)
      : builder(builder), e(e), code(e.code), plan(plan) {
    for (const Op *op : plan.ops)
      accumulators.push_back(Accumulator::of(e, *op, !plan.keepsLast && !plan.reduced.empty()));
  }

  Value blockColumns() { return code.integer(plan.columnVectors * e.width); }
  Value columnBlocks() {
    return plan.keepsLast ? code.ceilDiv(e.extent(plan.columns()), blockColumns()) : code.integer(1);
  }
  Value units() {
    return code.mul(code.mul(e.elements(plan.of(plan.outer())), columnBlocks()), code.integer(plan.chunks));
  }
  Value tasks() { return code.ceilDiv(units(), code.integer(plan.grain)); }

  void body() {
    auto [first, last] = taskRange(e, units(), code.integer(plan.grain));
    code.loop(first, last, 1, [&](Value unit) {
      Value chunk = code.rem(unit, code.integer(plan.chunks)), rest = code.div(unit, code.integer(plan.chunks));
      Value block = code.rem(rest, columnBlocks());
      Indices outer = e.indicesOfRow(plan.of(plan.outer()), code.div(rest, columnBlocks()));
      plan.keepsLast ? columns(outer, block, chunk) : row(outer, chunk);
    });
  }

private:
  KernelBuilder &builder;
  Emitter &e;
  Code &code;
  const ReducePlan &plan;
  SmallVector<Accumulator> accumulators;

  /// The chunk's part of the outermost reduced dimension.
  std::pair<Value, Value> chunkRange(Value chunk, int64_t multiple) {
    Value size = e.extent(plan.domain[plan.reduced.front()]);
    if (plan.chunks == 1)
      return {code.integer(0), size};
    Value part = code.ceilDiv(size, code.integer(plan.chunks * multiple));
    part = code.mul(part, code.integer(multiple));
    Value begin = code.min(code.mul(chunk, part), size);
    return {begin, code.min(code.add(begin, part), size)};
  }

  void step(MutableArrayRef<Value> state, ArrayRef<Index> at, const Mask &mask) {
    size_t first = 0;
    for (const Accumulator &accumulator : accumulators) {
      Value element = e.value(accumulator.op->operands[0], at, mask);
      accumulator.step(e, state.slice(first, accumulator.size()), element, at, mask);
      first += accumulator.size();
    }
  }

  /// Puts results at their position, or partials at the chunk's.
  void write(ArrayRef<Index> keptPlace, Value chunk, ArrayRef<Value> state, const Mask &mask) {
    size_t first = 0;
    for (auto [i, accumulator] : llvm::enumerate(accumulators)) {
      uint32_t result = accumulator.op->results[0];
      Value element = accumulator.result(e, state.slice(first, accumulator.size()));
      first += accumulator.size();
      if (plan.chunks == 1) {
        e.store(result, builder.home(e, result), keptPlace, element, mask);
        continue;
      }
      Shape kept = plan.of(plan.kept);
      Index offset = e.add(e.linear(kept, keptPlace), code.mul(chunk, e.elements(kept)));
      e.storeOffset(partialType(e.graph, *accumulator.op), e.scratch(plan.partials[i]), offset, element, mask);
    }
  }

  /// A position in the domain from its parts.
  Indices join(ArrayRef<Index> keptPlace, ArrayRef<Index> reducedPlace) {
    Indices at(plan.domain.size(), e.zero());
    for (auto [d, index] : llvm::zip(plan.kept, keptPlace))
      at[d] = index;
    for (auto [d, index] : llvm::zip(plan.reduced, reducedPlace))
      at[d] = index;
    return at;
  }

  /// The range of a reduced dimension, the outermost within its chunk.
  std::pair<Value, Value> range(size_t dim, Value chunk, int64_t multiple) {
    return dim == 0 ? chunkRange(chunk, multiple)
                    : std::pair{code.integer(0), e.extent(plan.domain[plan.reduced[dim]])};
  }

  /// Loops over the reduced dimensions from the given one on, all of them singly.
  States overReduced(const Cascade &cascade, size_t dim, Indices position, Value chunk, States states,
                     llvm::function_ref<void(ArrayRef<Index>, MutableArrayRef<Value>)> body) {
    if (dim == plan.reduced.size()) {
      body(position, states);
      return states;
    }
    auto [begin, end] = range(dim, chunk, 1);
    int64_t additions = 1;
    for (size_t inner : ArrayRef(plan.reduced).drop_front(dim + 1))
      additions *= std::max<int64_t>(e.graph.bound(plan.domain[inner]), 1);
    return cascade.places(begin, end, e.graph.bound(plan.domain[plan.reduced[dim]]), additions, states,
                          [&](Value iv, States inner) {
                            Indices next = position;
                            next.push_back(e.at(iv));
                            return overReduced(cascade, dim + 1, next, chunk, inner, body);
                          });
  }

  /// The last wide dimension is kept: a block of columns in vectors that stay in registers.
  void columns(ArrayRef<Index> outer, Value block, Value chunk) {
    Value size = e.extent(plan.columns());
    Value begin = code.mul(block, blockColumns());
    auto vectors = [&](Value first, int64_t count, const Mask &mask) {
      Cascade cascade(e, accumulators, count, /*vectors=*/true);
      States states = cascade.fresh();
      size_t carried = states.size() / static_cast<size_t>(count);
      auto position = [&](int64_t i) {
        Indices keptPlace(outer.begin(), outer.end());
        keptPlace.insert(keptPlace.begin() + plan.column, e.at(code.add(first, code.integer(i * e.width)), 1, e.width));
        return keptPlace;
      };
      states =
          overReduced(cascade, 0, {}, chunk, states, [&](ArrayRef<Index> reducedPlace, MutableArrayRef<Value> state) {
            for (int64_t i = 0; i < count; ++i)
              step(state.slice(static_cast<size_t>(i) * carried, carried), join(position(i), reducedPlace), mask);
          });
      for (int64_t i = 0; i < count; ++i)
        write(position(i), chunk, ArrayRef<Value>(states).slice(static_cast<size_t>(i) * carried, carried), mask);
    };
    auto known = Code::known(size);
    bool whole = known && *known % (plan.columnVectors * e.width) == 0;
    if (whole)
      return vectors(begin, plan.columnVectors, {});
    Value end = code.min(code.add(begin, blockColumns()), size);
    auto partial = [&](Value from) {
      code.loop(from, end, e.width, [&](Value iv) {
        Mask mask;
        mask.lanes = code.firstLanes(code.sub(end, iv), e.width);
        vectors(iv, 1, mask);
      });
    };
    if (known && *known < plan.columnVectors * e.width)
      return partial(begin);
    // A loop of one step or none: what is read without a mask stands behind its place, and is not moved in front of a
    // condition as what is known outside of it would be.
    Value full = code.mul(code.div(code.sub(end, begin), blockColumns()), blockColumns());
    Value until = code.add(begin, full);
    code.loop(begin, until, plan.columnVectors * e.width, [&](Value iv) { vectors(iv, plan.columnVectors, {}); });
    partial(until);
  }

  /// The last wide dimension is reduced: vectors run along it.
  void row(ArrayRef<Index> keptPlace, Value chunk) {
    SmallVector<uint32_t> operands;
    for (const Op *op : plan.ops)
      operands.push_back(op->operands[0]);
    int64_t cost = costOf(e.graph, operands, [&](uint32_t v) { return builder.isComputed(v); });
    int64_t unroll = cost <= 12 ? 4 : cost <= 24 ? 2 : 1;
    if (plan.reduced.empty() || e.graph.bound(plan.domain[plan.reduced.back()]) <= 2 * e.width)
      unroll = 1;
    Cascade cascade(e, accumulators, unroll, /*vectors=*/!plan.reduced.empty());
    States states = cascade.fresh();
    if (plan.reduced.empty()) {
      step(states, join(keptPlace, {}), {});
    } else {
      auto [begin, end] = range(0, chunk, plan.reduced.size() == 1 ? e.width * 4 : 1);
      states = cascade.nest(plan.of(plan.reduced), begin, end, {}, states,
                            [&](ArrayRef<Index> at, const Mask &mask, MutableArrayRef<Value> state) {
                              step(state, join(keptPlace, at), mask);
                            });
    }
    cascade.finish(states);
    write(keptPlace, chunk, ArrayRef<Value>(states).take_front(states.size() / static_cast<size_t>(unroll)), {});
  }
};

/// The second phase: partials of all chunks, in order.
void buildCombine(KernelBuilder &builder, const ReducePlan &plan) {
  Shape kept = plan.of(plan.kept);
  constexpr int64_t grain = 4096;
  builder.addPhase([&](Emitter &e) { return e.code.ceilDiv(e.elements(kept), e.code.integer(grain)); },
                   [&](Emitter &e) {
                     Code &code = e.code;
                     Value count = e.elements(kept);
                     auto [first, last] = taskRange(e, count, code.integer(grain));
                     auto combine = [&](const Index &at, const Mask &mask) {
                       for (auto [op, partial] : llvm::zip(plan.ops, plan.partials)) {
                         kiln_dtype dtype = e.graph.type(op->operands[0]).dtype;
                         auto load = [&](Value chunk) {
                           Index offset = e.add(at, code.mul(chunk, count));
                           return e.loadOffset(partialType(e.graph, *op), e.scratch(partial), offset, mask);
                         };
                         Value sum = load(code.integer(0));
                         sum = code.loop(code.integer(1), code.integer(plan.chunks), 1, sum,
                                         [&](Value chunk, ValueRange in) {
                                           return SmallVector<Value>{e.combine(op->combine, in[0], load(chunk), dtype)};
                                         })[0];
                         e.storeOffset(dtype, builder.home(e, op->results[0]), at, sum, mask);
                       }
                     };
                     if (builder.graph.bound(kept) == 1)
                       return combine(e.at(code.integer(0)), {});
                     vectorLoop(e, first, last, 1, {},
                                [&](const Index &at, const Mask &mask, MutableArrayRef<Value>) { combine(at, mask); });
                   });
}

} // namespace

void buildReduce(KernelBuilder &builder, ArrayRef<const Op *> ops) {
  ReducePlan plan = makePlan(builder, ops);
  builder.addPhase([&](Emitter &e) { return ReduceCode(builder, e, plan).tasks(); },
                   [&](Emitter &e) { ReduceCode(builder, e, plan).body(); });
  if (plan.chunks > 1)
    buildCombine(builder, plan);
}

} // namespace kiln::cpu
