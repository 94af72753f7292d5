// Reductions along axes, running sums, sorts.
#include "backends/reference/run/Evaluate.h"

#include <cmath>
#include <limits>
#include <numeric>

namespace kiln::reference {

using sdk::OpCode;

namespace {

template <typename T> T neutral(std::string_view kind, kiln_dtype dtype) {
  if (kind == "prod" || kind == "all")
    return 1;
  if (kind != "max" && kind != "min")
    return 0;
  if constexpr (std::is_same_v<T, double>)
    return (kind == "max" ? -1 : 1) * std::numeric_limits<double>::infinity();
  else
    return kind == "max" ? lowestOf(dtype) : highestOf(dtype);
}

/// loop(combine) with combine(total, value) of the kind; integers wrap in unsigned arithmetic.
template <typename T, typename F> void withCombiner(std::string_view kind, F loop) {
  using W = std::conditional_t<std::is_same_v<T, double>, double, uint64_t>;
  if (kind == "sum")
    loop([](T a, T b) { return T(W(a) + W(b)); });
  else if (kind == "prod")
    loop([](T a, T b) { return T(W(a) * W(b)); });
  else if (kind == "max")
    loop([](T a, T b) { return isNan(a) || b < a ? a : b; });
  else if (kind == "min")
    loop([](T a, T b) { return isNan(a) || b > a ? a : b; });
  else if (kind == "any")
    loop([](T a, T b) { return T(a != 0 || b != 0); });
  else
    loop([](T a, T b) { return T(a != 0 && b != 0); });
}

template <typename T> void reduceAs(Call &call, Ints spread) {
  const Tensor &in = *call.in[0];
  Tensor &out = *call.out[0];
  std::string_view kind = call.op.text("kind");
  std::vector<T> &total = out.data<T>();
  std::fill(total.begin(), total.end(), neutral<T>(kind, out.dtype));
  const T *values = in.data<T>().data();
  withCombiner<T>(kind, [&](auto combine) {
    Shape strides = in.strides();
    walk<2>(in.shape, {Ints(strides), spread}, {0, 0}, [&](auto at, int64_t count, auto step) {
      const T *from = values + at[0];
      T *to = total.data() + at[1];
      for (int64_t i = 0; i < count; ++i)
        to[i * step[1]] = combine(to[i * step[1]], from[i * step[0]]);
    });
  });
  out.wrap();
}

bool reduce(Call &call) {
  const Tensor &in = *call.in[0];
  Tensor &out = *call.out[0];
  Shape kept = out.strides(), spread(in.rank(), 0), left;
  for (size_t axis = 0; axis < in.rank(); ++axis)
    if (!call.op.has("axes", static_cast<int64_t>(axis))) {
      if (left.size() < kept.size())
        spread[axis] = kept[left.size()];
      left.push_back(in.shape[axis]);
    }
  if (left != out.shape)
    return call.fail("the result's shape is not what the reduced axes leave over");
  onStorage(out, [&](auto kind) { reduceAs<decltype(kind)>(call, spread); });
  return true;
}

/// Calls f(base, stride) for every line along the axis.
template <typename F> void eachLine(const Tensor &tensor, size_t axis, F f) {
  int64_t inner = tensor.strides()[axis], extent = tensor.shape[axis];
  int64_t outer = extent == 0 || inner == 0 ? 0 : tensor.size() / (inner * extent);
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < inner; ++i)
      f(o * inner * extent + i, inner);
}

bool argReduce(Call &call, size_t axis) {
  const Tensor &in = *call.in[0];
  int64_t extent = in.shape[axis], line = 0;
  if (extent == 0)
    return call.fail("there is no largest or smallest of no elements");
  if (call.out[0]->size() != in.size() / extent)
    return call.fail("the result's shape is not what the axis leaves over");
  bool largest = call.op.text("kind") == "max";
  onStorage(in, [&](auto kind) {
    using T = decltype(kind);
    const T *values = in.data<T>().data();
    eachLine(in, axis, [&](int64_t base, int64_t step) {
      int64_t best = 0;
      for (int64_t i = 1; i < extent && !isNan(values[base + best * step]); ++i) {
        T value = values[base + i * step], champion = values[base + best * step];
        if (isNan(value) || (largest ? value > champion : value < champion))
          best = i;
      }
      call.out[0]->integers[static_cast<size_t>(line++)] = best;
    });
  });
  return true;
}

bool cumsum(Call &call, size_t axis) {
  const Tensor &in = *call.in[0];
  Tensor &out = *call.out[0];
  if (in.shape != out.shape)
    return call.fail("operand and result have different shapes");
  int64_t extent = in.shape[axis];
  bool reverse = call.integer("reverse"), exclusive = call.integer("exclusive");
  onStorage(in, [&](auto kind) {
    using T = decltype(kind);
    const T *values = in.data<T>().data();
    T *sums = out.data<T>().data();
    withCombiner<T>("sum", [&](auto combine) {
      eachLine(in, axis, [&](int64_t base, int64_t step) {
        T total = 0;
        for (int64_t i = 0; i < extent; ++i) {
          int64_t at = base + (reverse ? extent - 1 - i : i) * step;
          T before = total;
          total = combine(total, values[at]);
          sums[at] = exclusive ? before : total;
        }
      });
    });
  });
  out.wrap();
  return true;
}

/// Sorted lines along an axis, the first `kept` of each.
bool sortLines(Call &call, size_t axis, bool descending, int64_t kept) {
  const Tensor &in = *call.in[0];
  int64_t extent = in.shape[axis];
  Shape expected = in.shape;
  expected[axis] = kept;
  if (kept < 0 || kept > extent)
    return call.fail("k = " + std::to_string(kept) + " is above the last dimension " + std::to_string(extent));
  if (call.out[0]->shape != expected || call.out[1]->shape != expected)
    return call.fail("the results' shape does not follow from the operand's");
  onStorage(in, [&](auto kind) {
    using T = decltype(kind);
    std::vector<int64_t> order(static_cast<size_t>(extent));
    int64_t inner = in.strides()[axis];
    eachLine(in, axis, [&](int64_t base, int64_t step) {
      const T *line = in.data<T>().data() + base;
      sortLine<T>(order, line, step, descending);
      // The line's base with the axis cut from `extent` to `kept`.
      int64_t to = base / (inner * extent) * inner * kept + base % inner;
      for (int64_t i = 0; i < kept; ++i) {
        call.out[0]->data<T>()[static_cast<size_t>(to + i * inner)] = line[order[static_cast<size_t>(i)] * step];
        call.out[1]->integers[static_cast<size_t>(to + i * inner)] = order[static_cast<size_t>(i)];
      }
    });
  });
  return true;
}

} // namespace

bool reduction(Call &call) {
  if (call.op.code == OpCode::Reduce)
    return reduce(call);
  size_t rank = call.in[0]->rank(), axis = static_cast<size_t>(call.integer("axis"));
  if (call.op.code == OpCode::TopK)
    axis = rank - 1;
  if (rank == 0 || axis >= rank)
    return call.fail("the axis is not below the rank");
  switch (call.op.code) {
  case OpCode::ArgReduce:
    return argReduce(call, axis);
  case OpCode::CumSum:
    return cumsum(call, axis);
  case OpCode::Sort:
    return sortLines(call, axis, call.integer("descending"), call.in[0]->shape[axis]);
  default:
    return sortLines(call, axis, true, call.integer("k"));
  }
}

} // namespace kiln::reference
