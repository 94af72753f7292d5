// Pooling and its gradient.
#include "backends/cpu/compile/Neighbours.h"
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

/// Pooling, one vector of windows of the last dimension after the other.
class WindowReduction {
public:
  WindowReduction(const Graph &graph, const Op &op)
      : graph(graph), op(op), operand(op.operands[0]), dims(graph.type(operand).dims),
        dtype(graph.type(operand).dtype) {}

  Value reduce(Emitter &e, ArrayRef<Index> at, const Mask &mask) const {
    const Index &last = at.back();
    // Only what lies in memory is read for lanes that the mask has off.
    bool byTwo = op.strides.back() == 2 && !last.lanes && last.step == 1 && e.width > 1 &&
                 graph.inputNumber(operand) >= 0 && byteSize(dtype) >= 4;
    // The largest of a row is found beside those of other rows: one step takes as long as several side by side, since
    // it looks at NaN and at the signs of zeros. Sums go on from row to row.
    bool apart = op.combine == Combine::Max || op.combine == Combine::Min;
    Value state = e.neutral(op.combine, dtype);
    SmallVector<Value> rows;
    eachPoint(ArrayRef<int64_t>(op.window).drop_back(), {}, [&](ArrayRef<int64_t> offsets) {
      Value before = apart ? Value() : state;
      state = byTwo ? rowByTwo(e, at, before, offsets) : row(e, at, mask, before, offsets);
      rows.push_back(state);
    });
    if (apart)
      for (Value one : ArrayRef<Value>(rows).drop_back())
        state = combined(e, state, one, {});
    return state;
  }

private:
  const Graph &graph;
  const Op &op;
  uint32_t operand;
  const Shape &dims;
  kiln_dtype dtype;

  /// The neutral element where there is none.
  Value chosen(Emitter &e, Value v, const Mask &inside) const {
    for (Value condition : {inside.uniform, inside.lanes}) {
      if (!condition)
        continue;
      if (isa<VectorType>(condition.getType()))
        v = e.vector(v);
      Value otherwise = e.neutral(op.combine, dtype);
      e.same(otherwise, v);
      v = e.code.op<arith::SelectOp>(condition, v, otherwise);
    }
    return v;
  }

  /// With an element, the first one where there is no state.
  Value combined(Emitter &e, Value state, Value v, const Mask &inside) const {
    v = chosen(e, v, inside);
    if (!state)
      return v;
    e.same(v, state);
    return e.combine(op.combine, state, v, dtype);
  }

  Value row(Emitter &e, ArrayRef<Index> at, const Mask &mask, Value state, ArrayRef<int64_t> offsets) const {
    for (int64_t j = 0; j < op.window.back(); ++j) {
      SmallVector<int64_t> point(offsets);
      point.push_back(j);
      auto [position, inside] = pointPlace(e, op, dims, at, point);
      state = combined(e, state, e.value(operand, position, bothMasks(e, mask, inside)), inside);
    }
    return state;
  }

  /// A row of windows that move by two.
  Value rowByTwo(Emitter &e, ArrayRef<Index> at, Value state, ArrayRef<int64_t> offsets) const {
    Code &code = e.code;
    Indices first(at.begin(), at.end());
    first.back() = e.at(code.mul(at.back().base, code.integer(2)), 1);
    Op near = op;
    near.strides.back() = 1;
    auto neighbours = [&](int64_t offset) {
      SmallVector<int64_t> there(offsets);
      there.push_back(offset);
      auto [position, inside] = pointPlace(e, near, dims, first, there);
      if (!inside.lanes)
        inside = e.narrow(inside, e.inRange(position.back(), code.integer(0), e.extent(dims.back())));
      return chosen(e, e.vector(e.value(operand, position, inside)), inside);
    };
    for (Value under : everySecond(code, op.window.back(), e.width, neighbours))
      state = combined(e, state, under, {});
    return state;
  }
};
} // namespace

void buildReduceWindow(KernelBuilder &builder, const Op &op) {
  const Graph &graph = builder.graph;
  uint32_t result = op.results[0];
  const Shape &to = graph.type(result).dims;
  int64_t points = 1;
  for (int64_t size : op.window)
    points *= size;
  WindowReduction window(graph, op);
  ArrayRef<Extent> outer = ArrayRef<Extent>(to).drop_back();
  addUnitPhase(
      builder, unitsPerTask(builder, graph.bound(to.back()) * points), [&](Emitter &e) { return e.elements(outer); },
      [&](Emitter &e, Value unit) {
        Indices prefix = e.indicesOfRow(outer, unit);
        nest(e, ArrayRef<Extent>(to).take_back(), prefix, [&](ArrayRef<Index> at, const Mask &mask) {
          e.store(result, builder.home(e, result), at, window.reduce(e, at, mask), mask);
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
      unpadded &= !padded(d);
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
  bool apart = true;    // no element lies in two windows
  bool unpadded = true; // no window lies over the edge
  bool covered = true;  // and each lies in one

  bool padded(size_t d) const { return op.low[d] != 0 || op.high[d] != 0; }
  Shape inner() const { return Shape(dims.begin() + shared, dims.end()); }

  /// Whether vectors of windows of two, which move by two, see two vectors of neighbours in each row.
  bool seesPairs(const Emitter &e, ArrayRef<Index> at) const {
    const Index &last = at.back();
    return apart && unpadded && op.window.back() == 2 && op.strides.back() == 2 && !last.lanes && last.step == 1 &&
           e.width > 1 && graph.inputNumber(op.operands[0]) >= 0 && byteSize(dtype) >= 4;
  }

  /// The place of the first or second of those vectors, and which of its lanes there are.
  std::pair<Indices, Mask> halfOf(Emitter &e, ArrayRef<Index> at, const Mask &mask, ArrayRef<int64_t> offsets,
                                  int64_t half) const {
    Code &code = e.code;
    Indices place = pointPlace(e, op, dims, at, offsets).first;
    place.back() = e.at(code.add(place.back().base, code.integer(half * e.width)), 1);
    Value count = code.mul(code.sub(e.extent(windows.back()), at.back().base), code.integer(2));
    Value rest = code.max(code.sub(count, code.integer(half * e.width)), code.integer(0));
    return {place, mask.lanes ? Mask{code.firstLanes(rest, e.width), mask.uniform} : mask};
  }

  /// The operand under each point, and where that is inside of it.
  void load(Emitter &e, ArrayRef<Index> at, const Mask &mask, MutableArrayRef<Value> values,
            MutableArrayRef<Mask> insides) const {
    bool pairs = seesPairs(e, at);
    for (size_t i = 0; i < points.size(); ++i) {
      if (!pairs) {
        Indices position;
        std::tie(position, insides[i]) = pointPlace(e, op, dims, at, points[i]);
        values[i] = e.value(op.operands[0], position, bothMasks(e, mask, insides[i]));
      } else if (i % 2 == 0) {
        SmallVector<Value> both = everySecond(e.code, 2, e.width, [&](int64_t offset) {
          auto [place, on] = halfOf(e, at, mask, points[i], offset / e.width);
          return e.vector(e.value(op.operands[0], place, on));
        });
        values[i] = both[0], values[i + 1] = both[1];
      }
    }
  }

  /// What each point's element of the result is, where no other window has it.
  void store(Emitter &e, ArrayRef<Index> at, const Mask &mask, ArrayRef<Value> parts) const {
    Value memory = builder.home(e, op.results[0]);
    bool pairs = seesPairs(e, at);
    for (size_t i = 0; i < points.size(); i += pairs ? 2 : 1) {
      if (!pairs) {
        e.storeOffset(dtype, memory, e.linear(dims, pointPlace(e, op, dims, at, points[i]).first), parts[i], mask);
        continue;
      }
      for (int64_t half : {0, 1}) {
        SmallVector<int64_t> order;
        for (int64_t l = 0; l < e.width; ++l)
          order.push_back(l % 2 * e.width + (half * e.width + l) / 2);
        auto [place, on] = halfOf(e, at, mask, points[i], half);
        Value both = e.code.op<vector::ShuffleOp>(parts[i], parts[i + 1], order);
        e.storeOffset(dtype, memory, e.linear(dims, place), both, on);
      }
    }
  }

  void window(Emitter &e, ArrayRef<Index> at, const Mask &mask) {
    Code &code = e.code;
    bool lanes = llvm::any_of(at, [](const Index &index) { return !index.uniform(); });
    Type type = lanes ? Type(code.vectorOf(code.i32, e.width)) : code.i32;
    Value best = e.neutral(op.combine, dtype), chosen = code.constantInt(type, -1);
    if (lanes)
      best = e.vector(best);
    SmallVector<Value> values(points.size());
    SmallVector<Mask> insides(points.size());
    load(e, at, mask, values, insides);
    for (auto [number, v, inside] : llvm::enumerate(values, insides)) {
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
    Value gradient = e.value(op.operands[1], at, mask), zero = e.neutral(Combine::Sum, dtype);
    SmallVector<Value> mine;
    for (size_t number = 0; number < points.size(); ++number)
      mine.push_back(code.op<arith::CmpIOp>(arith::CmpIPredicate::eq, chosen,
                                            code.constantInt(type, static_cast<int64_t>(number))));
    if (apart && unpadded) {
      if (lanes)
        zero = e.vector(zero), gradient = e.vector(gradient);
      SmallVector<Value> parts;
      for (Value here : mine)
        parts.push_back(code.op<arith::SelectOp>(here, gradient, zero));
      return store(e, at, mask, parts);
    }
    Value memory = builder.home(e, op.results[0]);
    for (auto [offsets, here] : llvm::zip(points, mine)) {
      // Only lanes that chose this point touch memory: those lie inside.
      Index where = e.linear(dims, pointPlace(e, op, dims, at, offsets).first);
      Mask only = e.narrow(mask, here);
      Value old = e.loadOffset(dtype, memory, where, only, /*pinned=*/true);
      e.storeOffset(dtype, memory, where, e.combine(Combine::Sum, old, gradient, dtype), only);
    }
  }
};
} // namespace

void buildReduceWindowGrad(KernelBuilder &builder, const Op &op) {
  WindowGrad code(builder, op);
  addUnitPhase(
      builder, unitsPerTask(builder, code.work()), [&](Emitter &e) { return e.elements(code.outer()); },
      [&](Emitter &e, Value unit) { code.unit(e, unit); });
}

} // namespace kiln::cpu
