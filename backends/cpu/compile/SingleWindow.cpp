//===- SingleWindow.cpp - pooling and its gradient
//--------------------------------------------------------------------===//
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

/// Where a window's point lies in the operand, and whether that is inside of it (null: always).
std::pair<Indices, Value> pointPlace(Emitter &e, const Op &op, ArrayRef<Extent> dims, ArrayRef<Index> at,
                                     ArrayRef<int64_t> offsets) {
  Code &code = e.code;
  Indices place;
  Value inside;
  for (size_t d = 0; d < at.size(); ++d) {
    Index index = e.add(e.scale(at[d], code.integer(op.strides[d])), code.integer(offsets[d] - op.low[d]));
    if (op.low[d] != 0 || op.high[d] != 0) {
      Value condition = e.inRange(index, code.integer(0), e.extent(dims[d]));
      e.same(inside, condition);
      inside = code.both(inside, condition);
    }
    place.push_back(index);
  }
  return {place, inside};
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
    auto [place, inside] = pointPlace(e, op, dims, at, offsets);
    Value v = e.value(operand, place, inside ? e.narrow(mask, inside) : mask);
    Value other = e.neutral(op.combine, dtype);
    e.same(v, state);
    if (inside) {
      if (isa<VectorType>(inside.getType()))
        v = e.vector(v);
      e.same(other, v);
      v = e.code.op<arith::SelectOp>(inside, v, other);
    }
    e.same(v, state);
    return e.combine(op.combine, state, v, dtype);
  };
  ArrayRef<Extent> outer = ArrayRef<Extent>(to).drop_back();
  addUnitPhase(
      builder, unitsPerTask(graph.bound(to.back()) * points), [&](Emitter &e) { return e.elements(outer); },
      [&](Emitter &e, Value unit) {
        Indices prefix = e.placeOfRow(outer, unit);
        nest(e, ArrayRef<Extent>(to).take_back(), prefix, 1, {},
             [&](ArrayRef<Index> at, const Mask &mask, MutableArrayRef<Value>) {
               Value state = e.neutral(op.combine, dtype);
               eachPoint(op.window, {},
                         [&](ArrayRef<int64_t> offsets) { state = element(e, at, mask, state, offsets); });
               e.store(result, builder.home(e, result), at, state, mask);
             });
      });
}

void buildReduceWindowGrad(KernelBuilder &builder, const Op &op) {
  const Graph &graph = builder.graph;
  uint32_t operand = op.operands[0], gradient = op.operands[1], result = op.results[0];
  kiln_dtype dtype = graph.type(operand).dtype;
  const Shape &dims = graph.type(operand).dims, &windows = graph.type(gradient).dims;
  // Leading dimensions that windows do not span are independent of each other.
  size_t shared = 0;
  while (shared < dims.size() && op.window[shared] == 1 && op.strides[shared] == 1 && op.low[shared] == 0 &&
         op.high[shared] == 0)
    ++shared;
  Shape outer(dims.begin(), dims.begin() + shared), inner(dims.begin() + shared, dims.end()),
      spanned(windows.begin() + shared, windows.end());
  auto window = [&](Emitter &e, ArrayRef<Index> at) {
    Code &code = e.code;
    // The first extreme so far: its value and its offset in the result.
    Value best = e.neutral(op.combine, dtype), offset = code.integer(-1);
    eachPoint(op.window, {}, [&](ArrayRef<int64_t> offsets) {
      auto [place, inside] = pointPlace(e, op, dims, at, offsets);
      Value v = e.value(operand, place, inside ? e.narrow({}, inside) : Mask());
      Value here = e.linear(dims, place).base;
      Value wins = e.compare(op.combine == Combine::Max ? Predicate::Gt : Predicate::Lt, v, best, dtype);
      if (isFloat(dtype)) {
        Value isNaN = e.compare(Predicate::Ne, v, v, dtype), number = e.compare(Predicate::Eq, best, best, dtype);
        wins = code.op<arith::OrIOp>(wins, code.op<arith::AndIOp>(isNaN, number));
      }
      // An element equal to the neutral value is still the first one.
      wins = code.op<arith::OrIOp>(wins, code.compare(arith::CmpIPredicate::slt, offset, code.integer(0)));
      if (inside)
        wins = code.both(wins, inside);
      best = code.op<arith::SelectOp>(wins, v, best);
      offset = code.op<arith::SelectOp>(wins, here, offset);
    });
    Value found = code.compare(arith::CmpIPredicate::sge, offset, code.integer(0));
    code.ifThen(found, [&] {
      Value memory = builder.home(e, result);
      Index where = e.at(offset);
      Value old = e.loadOffset(dtype, memory, where, {}, /*pinned=*/true);
      e.storeOffset(dtype, memory, where, e.combine(Combine::Sum, old, e.value(gradient, at), dtype));
    });
  };
  addUnitPhase(
      builder, unitsPerTask(graph.bound(inner) * 4), [&](Emitter &e) { return e.elements(outer); },
      [&](Emitter &e, Value unit) {
        Indices prefix = e.placeOfRow(outer, unit);
        Value memory = builder.home(e, result), zero = e.neutral(Combine::Sum, dtype);
        nest(e, inner, prefix, 1, {}, [&](ArrayRef<Index> at, const Mask &mask, MutableArrayRef<Value>) {
          e.store(result, memory, at, zero, mask);
        });
        eachPlace(e, spanned, prefix, [&](ArrayRef<Index> at) { window(e, at); });
      });
}

} // namespace kiln::cpu
