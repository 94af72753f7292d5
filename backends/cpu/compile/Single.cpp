// What the ops that are computed as a whole share, and scatter, updates and running sums.

#include "backends/cpu/compile/Single.h"
#include "backends/cpu/compile/Loops.h"

using namespace mlir;
using llvm::ArrayRef;
using llvm::MutableArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {

int64_t unitsPerTask(const KernelBuilder &builder, int64_t work) {
  return std::max<int64_t>(taskGrainOf(builder.machine) / std::max<int64_t>(work, 1), 1);
}

void addUnitPhase(KernelBuilder &builder, int64_t grain, llvm::function_ref<Value(Emitter &)> units,
                  llvm::function_ref<void(Emitter &, Value unit)> body) {
  builder.addPhase([&](Emitter &e) { return e.code.ceilDiv(units(e), e.code.integer(grain)); },
                   [&](Emitter &e) {
                     auto [first, last] = taskRange(e, units(e), e.code.integer(grain));
                     e.code.loop(first, last, 1, [&](Value unit) { body(e, unit); });
                   });
}

void eachPlace(Emitter &e, ArrayRef<Extent> shape, Indices prefix, llvm::function_ref<void(ArrayRef<Index>)> body) {
  if (shape.empty())
    return body(prefix);
  e.code.loop(e.code.integer(0), e.extent(shape.front()), 1, [&](Value iv) {
    Indices position = prefix;
    position.push_back(e.at(iv));
    eachPlace(e, shape.drop_front(), position, body);
  });
}

//===-- scatter --------------------------------------------------------------------------------------------------===//

namespace {
/// operand [P..., O..., axis, S...], indices [P..., I...], updates [P..., O..., I..., S...]. A task takes some of P x O
/// and a block of S's last dimension, and goes through the indices in order: no two tasks write one element.
class ScatterCode {
public:
  ScatterCode(KernelBuilder &builder, const Op &op) : builder(builder), graph(builder.graph), op(op) {
    const Shape &operand = graph.type(op.operands[0]).dims, &indices = graph.type(op.operands[1]).dims;
    axis = static_cast<size_t>(op.axis);
    batch = static_cast<size_t>(op.batchDims);
    outer.assign(operand.begin(), operand.begin() + axis);
    places.assign(indices.begin() + batch, indices.end());
    slice.assign(operand.begin() + axis + 1, operand.end());
    blockVectors = slice.empty() || graph.bound(slice.back()) <= 512 ? 4 : 16;
    int64_t work = graph.bound(graph.type(op.operands[2]).dims) + graph.bound(operand);
    grain = unitsPerTask(builder, work / std::max<int64_t>(graph.bound(outer) * boundBlocks(), 1));
  }

  Value blocks(Emitter &e) const {
    return slice.empty() ? e.code.integer(1)
                         : e.code.ceilDiv(e.extent(slice.back()), e.code.integer(blockVectors * e.width));
  }
  Value units(Emitter &e) const { return e.code.mul(e.elements(outer), blocks(e)); }

  void unit(Emitter &e, Value number) {
    Code &code = e.code;
    Indices prefix = e.indicesOfRow(outer, code.div(number, blocks(e)));
    Value begin = code.integer(0), end = slice.empty() ? code.integer(1) : e.extent(slice.back());
    if (!slice.empty()) {
      begin = code.mul(code.rem(number, blocks(e)), code.integer(blockVectors * e.width));
      end = code.min(code.add(begin, code.integer(blockVectors * e.width)), end);
    }
    initialize(e, prefix, begin, end);
    Indices indexPrefix(prefix.begin(), prefix.begin() + batch);
    eachPlace(e, places, indexPrefix, [&](ArrayRef<Index> which) {
      Value valid;
      Index chosen = e.checkedIndex(op, op.operands[1], which, graph.type(op.operands[0]).dims[axis], {}, &valid);
      code.ifThen(valid, [&] {
        overSlice(e, begin, end, [&](ArrayRef<Index> within, const Mask &mask) {
          Indices source = prefix, target = prefix;
          source.append(which.begin() + batch, which.end());
          source.append(within.begin(), within.end());
          target.push_back(chosen);
          target.append(within.begin(), within.end());
          combine(e, source, target, mask);
        });
      });
    });
  }

  int64_t grain;

private:
  KernelBuilder &builder;
  const Graph &graph;
  const Op &op;
  size_t axis, batch;
  Shape outer, places, slice;
  int64_t blockVectors;

  int64_t boundBlocks() const {
    return slice.empty()
               ? 1
               : (graph.bound(slice.back()) + blockVectors * builder.width() - 1) / (blockVectors * builder.width());
  }

  /// All places of the slice within the block of its last dimension.
  void overSlice(Emitter &e, Value begin, Value end, llvm::function_ref<void(ArrayRef<Index>, const Mask &)> body) {
    if (slice.empty())
      return body({}, {});
    eachPlace(e, ArrayRef<Extent>(slice).drop_back(), {}, [&](ArrayRef<Index> before) {
      Indices prefix(before.begin(), before.end());
      vectorLoop(e, begin, end, 1, {}, [&](const Index &index, const Mask &mask, MutableArrayRef<Value>) {
        Indices within = prefix;
        within.push_back(index);
        body(within, mask);
      });
    });
  }

  /// The operand's part, where it does not lie in the result's memory already.
  void initialize(Emitter &e, const Indices &prefix, Value begin, Value end) {
    Code &code = e.code;
    uint32_t operand = op.operands[0];
    Value target = builder.home(e, op.results[0]);
    const Extent &size = graph.type(operand).dims[axis];
    auto copy = [&] {
      if (slice.empty()) {
        nest(e, {size}, prefix, [&](ArrayRef<Index> at, const Mask &mask) {
          e.store(operand, target, at, e.value(operand, at, mask), mask);
        });
        return;
      }
      code.loop(code.integer(0), e.extent(size), 1, [&](Value iv) {
        overSlice(e, begin, end, [&](ArrayRef<Index> within, const Mask &mask) {
          Indices at = prefix;
          at.push_back(e.at(iv));
          at.append(within.begin(), within.end());
          e.store(operand, target, at, e.value(operand, at, mask), mask);
        });
      });
    };
    int input = graph.inputNumber(operand);
    if (input < 0)
      return copy();
    Value differs = code.op<LLVM::ICmpOp>(LLVM::ICmpPredicate::ne, e.input(static_cast<size_t>(input)), target);
    code.ifThen(differs, copy);
  }

  void combine(Emitter &e, ArrayRef<Index> source, ArrayRef<Index> target, const Mask &mask) {
    kiln_dtype dtype = graph.type(op.operands[0]).dtype;
    Value update = e.value(op.operands[2], source, mask);
    Value memory = builder.home(e, op.results[0]);
    Index offset = e.linear(graph.type(op.operands[0]).dims, target);
    if (op.combine != Combine::Set) {
      Value old = e.loadOffset(dtype, memory, offset, mask, /*pinned=*/true);
      update = e.combine(op.combine, old, update, dtype);
    }
    e.storeOffset(dtype, memory, offset, update, mask);
  }
};
} // namespace

void buildScatter(KernelBuilder &builder, const Op &op) {
  ScatterCode code(builder, op);
  addUnitPhase(
      builder, code.grain, [&](Emitter &e) { return code.units(e); },
      [&](Emitter &e, Value unit) { code.unit(e, unit); });
}

//===-- dynamic_update_slice -------------------------------------------------------------------------------------===//

void buildDynamicUpdate(KernelBuilder &builder, const Op &op) {
  const Graph &graph = builder.graph;
  uint32_t operand = op.operands[0], update = op.operands[1];
  int64_t taskGrain = taskGrainOf(builder.machine);
  Extent all(1);
  for (const Extent &dim : graph.type(operand).dims)
    all = all * dim;
  // First the whole operand, unless it lies in place already.
  addUnitPhase(
      builder, 1, [&](Emitter &e) { return e.code.ceilDiv(e.extent(all), e.code.integer(taskGrain)); },
      [&](Emitter &e, Value unit) {
        Code &code = e.code;
        Value target = builder.home(e, op.results[0]);
        auto copy = [&] {
          Value begin = code.mul(unit, code.integer(taskGrain));
          Value end = code.min(code.add(begin, code.integer(taskGrain)), e.extent(all));
          vectorLoop(e, begin, end, 1, {}, [&](const Index &at, const Mask &mask, MutableArrayRef<Value>) {
            Indices position = e.indicesOf(graph.type(operand).dims, at);
            e.storeOffset(graph.type(operand).dtype, target, at, e.value(operand, position, mask), mask);
          });
        };
        int input = graph.inputNumber(operand);
        if (input < 0)
          return copy();
        Value differs = code.op<LLVM::ICmpOp>(LLVM::ICmpPredicate::ne, e.input(static_cast<size_t>(input)), target);
        code.ifThen(differs, copy);
      });
  const Shape &sizes = graph.type(update).dims, &dims = graph.type(operand).dims;
  ArrayRef<Extent> outer = ArrayRef<Extent>(sizes).drop_back(sizes.empty() ? 0 : 1);
  int64_t row = sizes.empty() ? 1 : graph.bound(sizes.back());
  addUnitPhase(
      builder, unitsPerTask(builder, row), [&](Emitter &e) { return e.elements(outer); },
      [&](Emitter &e, Value unit) {
        Indices prefix = e.indicesOfRow(outer, unit);
        ArrayRef<Extent> last = ArrayRef<Extent>(sizes).take_back(sizes.empty() ? 0 : 1);
        nest(e, last, prefix, [&](ArrayRef<Index> at, const Mask &mask) {
          Indices target;
          for (size_t d = 0; d < at.size(); ++d)
            target.push_back(e.add(at[d], e.start(op, op.operands[2 + d], dims[d], sizes[d])));
          e.store(op.results[0], builder.home(e, op.results[0]), target, e.value(update, at, mask), mask);
        });
      });
}

//===-- concat ---------------------------------------------------------------------------------------------------===//

/// Of rows, each copied in blocks.
static void buildConcat(KernelBuilder &builder, const Op &op) {
  const Graph &graph = builder.graph;
  int64_t taskGrain = taskGrainOf(builder.machine);
  auto blocks = [&graph, taskGrain](Emitter &e, uint32_t part) {
    return e.code.ceilDiv(e.extent(graph.type(part).dims[0]), e.code.integer(taskGrain));
  };
  addUnitPhase(
      builder, 1,
      [&op, blocks](Emitter &e) {
        Value all = e.code.integer(0);
        for (uint32_t part : op.operands)
          all = e.code.add(all, blocks(e, part));
        return all;
      },
      [&](Emitter &e, Value unit) {
        Code &code = e.code;
        Value first = code.integer(0), start = code.integer(0);
        for (uint32_t part : op.operands) {
          Value size = e.extent(graph.type(part).dims[0]), end = code.add(first, blocks(e, part));
          Value here = code.both(code.compare(arith::CmpIPredicate::sge, unit, first),
                                 code.compare(arith::CmpIPredicate::slt, unit, end));
          code.ifThen(here, [&] {
            Value begin = code.mul(code.sub(unit, first), code.integer(taskGrain));
            Value last = code.min(code.add(begin, code.integer(taskGrain)), size);
            vectorLoop(e, begin, last, 1, {}, [&](const Index &at, const Mask &mask, MutableArrayRef<Value>) {
              e.store(op.results[0], builder.home(e, op.results[0]), e.add(at, start), e.value(part, at, mask), mask);
            });
          });
          first = end;
          start = code.add(start, size);
        }
      });
}

//===-- cumsum ---------------------------------------------------------------------------------------------------===//

void buildCumSum(KernelBuilder &builder, const Op &op) {
  const Graph &graph = builder.graph;
  uint32_t operand = op.operands[0], result = op.results[0];
  const Shape &dims = graph.type(operand).dims;
  kiln_dtype dtype = graph.type(operand).dtype;
  size_t axis = static_cast<size_t>(op.axis), rank = dims.size();
  bool lastAxis = axis + 1 == rank;
  // Along the last axis rows are summed singly; else neighbouring columns run side by side in a vector.
  Shape outer;
  SmallVector<size_t> outerDims;
  for (size_t d = 0; d < rank; ++d)
    if (d != axis && (lastAxis || d + 1 != rank))
      outer.push_back(dims[d]), outerDims.push_back(d);
  int64_t work = graph.bound(dims) / std::max<int64_t>(graph.bound(outer), 1);
  auto column = [&](Emitter &e, ArrayRef<Index> outerPlace, const Index *last, const Mask &mask) {
    Code &code = e.code;
    Value start = e.neutral(Combine::Sum, dtype), size = e.extent(dims[axis]);
    if (last)
      start = e.vector(start);
    code.loop(code.integer(0), size, 1, start, [&](Value iv, ValueRange in) {
      Indices at(rank);
      for (auto [d, index] : llvm::zip(outerDims, outerPlace))
        at[d] = index;
      if (last)
        at[rank - 1] = *last;
      at[axis] = e.at(op.reverse ? code.sub(code.sub(size, code.integer(1)), iv) : iv);
      Value element = e.value(operand, at, mask), old = in[0];
      Value sum = e.combine(Combine::Sum, old, last ? e.vector(element) : element, dtype);
      e.store(result, builder.home(e, result), at, op.exclusive ? old : sum, mask);
      return SmallVector<Value>{sum};
    });
  };
  addUnitPhase(
      builder, unitsPerTask(builder, work), [&](Emitter &e) { return e.elements(outer); },
      [&](Emitter &e, Value unit) {
        Indices position = e.indicesOfRow(outer, unit);
        if (lastAxis)
          return column(e, position, nullptr, {});
        vectorLoop(
            e, e.code.integer(0), e.extent(dims.back()), 1, {},
            [&](const Index &index, const Mask &mask, MutableArrayRef<Value>) { column(e, position, &index, mask); });
      });
}

//===-- Choice ---------------------------------------------------------------------------------------------------===//

bool buildSingle(KernelBuilder &builder, const Op &op) {
  builder.note(opName(op.code));
  switch (op.code) {
  case OpCode::Scatter:
    return buildScatter(builder, op), true;
  case OpCode::DynamicUpdateSlice:
    return buildDynamicUpdate(builder, op), true;
  case OpCode::Concat:
    return buildConcat(builder, op), true;
  case OpCode::CumSum:
    return buildCumSum(builder, op), true;
  case OpCode::ReduceWindow:
    return buildReduceWindow(builder, op), true;
  case OpCode::ReduceWindowGrad:
    return buildReduceWindowGrad(builder, op), true;
  case OpCode::Sort:
  case OpCode::TopK:
    return buildSort(builder, op), true;
  default:
    builder.error =
        ("the cpu backend does not compute op '" + opName(op.code) + "' in a kernel with these others").str();
    return false;
  }
}

} // namespace kiln::cpu
