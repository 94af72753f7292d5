// Pooling and its gradient.
#include "backends/cpu/compile/Single.h"

using namespace mlir;
using llvm::ArrayRef;
using llvm::MutableArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {

namespace {
/// Calls `visit` for each point of a window, in row-major order: its offsets from the window's corner.
void eachPoint(ArrayRef<int64_t> window, SmallVector<int64_t> offsets,
               llvm::function_ref<void(ArrayRef<int64_t>)> visit) {
  if (offsets.size() == window.size())
    return visit(offsets);
  for (int64_t i = 0; i < window[offsets.size()]; ++i) {
    offsets.push_back(i);
    eachPoint(window, offsets, visit);
    offsets.pop_back();
  }
}

/// Where a window's point lies in the operand, and whether that is inside of it (an empty mask: always). What holds for
/// all lanes at once stays apart: the position may be one for all, and then it alone says whether memory is there.
std::pair<Indices, Mask> pointPlace(Emitter &e, const Op &op, ArrayRef<Extent> dims, ArrayRef<Index> at,
                                    ArrayRef<int64_t> offsets) {
  Code &code = e.code;
  Indices position;
  Mask inside;
  for (size_t d = 0; d < at.size(); ++d) {
    Index index = e.add(e.scale(at[d], code.integer(op.strides[d])), code.integer(offsets[d] - op.low[d]));
    if (op.low[d] != 0 || op.high[d] != 0)
      inside = e.narrow(inside, e.inRange(index, code.integer(0), e.extent(dims[d])));
    position.push_back(index);
  }
  return {position, inside};
}

Mask bothMasks(Emitter &e, const Mask &a, const Mask &b) {
  return {e.code.both(a.lanes, b.lanes), e.code.both(a.uniform, b.uniform)};
}
} // namespace

void buildReduceWindow(KernelBuilder &builder, const Op &op) {
  const Graph &graph = builder.graph;
  uint32_t operand = op.operands[0], result = op.results[0];
  kiln_dtype dtype = graph.type(operand).dtype;
  const Shape &dims = graph.type(operand).dims, &to = graph.type(result).dims;
  int64_t points = 1;
  for (int64_t size : op.window)
    points *= size;
  auto element = [&](Emitter &e, ArrayRef<Index> at, const Mask &mask, Value state, ArrayRef<int64_t> offsets) {
    auto [position, inside] = pointPlace(e, op, dims, at, offsets);
    Value v = e.value(operand, position, bothMasks(e, mask, inside));
    Value other = e.neutral(op.combine, dtype);
    for (Value condition : {inside.uniform, inside.lanes}) {
      if (!condition)
        continue;
      if (isa<VectorType>(condition.getType()))
        v = e.vector(v);
      Value otherwise = other;
      e.same(otherwise, v);
      v = e.code.op<arith::SelectOp>(condition, v, otherwise);
    }
    e.same(v, state);
    return e.combine(op.combine, state, v, dtype);
  };
  ArrayRef<Extent> outer = ArrayRef<Extent>(to).drop_back();
  addUnitPhase(
      builder, unitsPerTask(graph.bound(to.back()) * points), [&](Emitter &e) { return e.elements(outer); },
      [&](Emitter &e, Value unit) {
        Indices prefix = e.indicesOfRow(outer, unit);
        nest(e, ArrayRef<Extent>(to).take_back(), prefix, [&](ArrayRef<Index> at, const Mask &mask) {
          Value state = e.neutral(op.combine, dtype);
          eachPoint(op.window, {}, [&](ArrayRef<int64_t> offsets) { state = element(e, at, mask, state, offsets); });
          e.store(result, builder.home(e, result), at, state, mask);
        });
      });
}

namespace {
/// The gradient of max and min pooling, many windows of the last dimension at a time. First each window's extreme
/// element is found, then for each point of the window the lanes whose extreme it is add their gradient there: for one
/// point no two lanes meet.
class WindowGrad {
public:
  WindowGrad(KernelBuilder &builder, const Op &op)
      : builder(builder), graph(builder.graph), op(op), dims(graph.type(op.operands[0]).dims),
        windows(graph.type(op.operands[1]).dims), dtype(graph.type(op.operands[0]).dtype) {
    eachPoint(op.window, {}, [&](ArrayRef<int64_t> offsets) { points.emplace_back(offsets.begin(), offsets.end()); });
    // Leading dimensions that windows do not span are independent of each other.
    while (shared < dims.size() && op.window[shared] == 1 && op.strides[shared] == 1 && !padded(shared))
      ++shared;
    for (size_t d = 0; d < dims.size(); ++d) {
      apart &= op.strides[d] >= op.window[d];
      covered &=
          op.strides[d] == op.window[d] && !padded(d) && dims[d].isConstant() && dims[d].factor % op.window[d] == 0;
    }
  }

  Shape outer() const { return Shape(dims.begin(), dims.begin() + shared); }
  int64_t work() const { return graph.bound(inner()) * 4; }

  void unit(Emitter &e, Value number) {
    Indices prefix = e.indicesOfRow(outer(), number);
    Value memory = builder.home(e, op.results[0]), zero = e.neutral(Combine::Sum, dtype);
    if (!covered)
      nest(e, inner(), prefix,
           [&](ArrayRef<Index> at, const Mask &mask) { e.store(op.results[0], memory, at, zero, mask); });
    Shape spanned(windows.begin() + shared, windows.end());
    nest(e, spanned, prefix, [&](ArrayRef<Index> at, const Mask &mask) { window(e, at, mask); });
  }

private:
  KernelBuilder &builder;
  const Graph &graph;
  const Op &op;
  const Shape &dims, &windows;
  kiln_dtype dtype;
  SmallVector<SmallVector<int64_t>> points;
  size_t shared = 0;
  bool apart = true;   // no element lies in two windows
  bool covered = true; // and each lies in one

  bool padded(size_t d) const { return op.low[d] != 0 || op.high[d] != 0; }
  Shape inner() const { return Shape(dims.begin() + shared, dims.end()); }

  void window(Emitter &e, ArrayRef<Index> at, const Mask &mask) {
    Code &code = e.code;
    bool lanes = llvm::any_of(at, [](const Index &index) { return !index.uniform(); });
    Type type = lanes ? Type(code.vectorOf(code.i32, e.width)) : code.i32;
    Value best = e.neutral(op.combine, dtype), chosen = code.constantInt(type, -1);
    if (lanes)
      best = e.vector(best);
    for (auto [number, offsets] : llvm::enumerate(points)) {
      auto [position, inside] = pointPlace(e, op, dims, at, offsets);
      Value v = e.value(op.operands[0], position, bothMasks(e, mask, inside));
      if (lanes)
        v = e.vector(v);
      Value wins = e.compare(op.combine == Combine::Max ? Predicate::Gt : Predicate::Lt, v, best, dtype);
      if (isFloat(dtype)) {
        Value isNaN = e.compare(Predicate::Ne, v, v, dtype), number = e.compare(Predicate::Eq, best, best, dtype);
        wins = code.op<arith::OrIOp>(wins, code.op<arith::AndIOp>(isNaN, number));
      }
      // An element equal to the neutral value is still the first one.
      wins = code.op<arith::OrIOp>(
          wins, code.op<arith::CmpIOp>(arith::CmpIPredicate::slt, chosen, code.constantInt(type, 0)));
      if (inside.lanes || inside.uniform)
        wins = code.op<arith::AndIOp>(wins, lanes ? e.laneMask(inside) : inside.uniform);
      best = code.op<arith::SelectOp>(wins, v, best);
      chosen = code.op<arith::SelectOp>(wins, code.constantInt(type, static_cast<int64_t>(number)), chosen);
    }
    Value gradient = e.value(op.operands[1], at, mask), memory = builder.home(e, op.results[0]);
    for (auto [number, offsets] : llvm::enumerate(points)) {
      auto [position, inside] = pointPlace(e, op, dims, at, offsets);
      Index where = e.linear(dims, position);
      Value mine = code.op<arith::CmpIOp>(arith::CmpIPredicate::eq, chosen,
                                          code.constantInt(type, static_cast<int64_t>(number)));
      if (apart && covered) {
        Value zero = e.neutral(Combine::Sum, dtype), v = gradient;
        if (lanes)
          zero = e.vector(zero), v = e.vector(v);
        e.storeOffset(dtype, memory, where, code.op<arith::SelectOp>(mine, v, zero), mask);
        continue;
      }
      // Only lanes that chose this point touch memory: those lie inside.
      Mask only = e.narrow(mask, mine);
      Value old = e.loadOffset(dtype, memory, where, only, /*pinned=*/true);
      e.storeOffset(dtype, memory, where, e.combine(Combine::Sum, old, gradient, dtype), only);
    }
  }
};
} // namespace

void buildReduceWindowGrad(KernelBuilder &builder, const Op &op) {
  WindowGrad code(builder, op);
  addUnitPhase(
      builder, unitsPerTask(code.work()), [&](Emitter &e) { return e.elements(code.outer()); },
      [&](Emitter &e, Value unit) { code.unit(e, unit); });
}

} // namespace kiln::cpu
