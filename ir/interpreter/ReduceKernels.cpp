// Reductions along axes.
#include "ir/interpreter/Kernels.h"
#include "ir/interpreter/Walk.h"

#include <cmath>
#include <limits>
#include <numeric>

namespace kiln::interpreter {

namespace {

using absl::OkStatus;
using absl::Status;

template <typename T> T neutral(ReduceKind kind, mlir::Type element) {
  constexpr bool real = std::is_same_v<T, double>;
  switch (kind) {
  case ReduceKind::sum:
  case ReduceKind::any:
    return 0;
  case ReduceKind::prod:
  case ReduceKind::all:
    return 1;
  case ReduceKind::max:
    if constexpr (real)
      return -std::numeric_limits<double>::infinity();
    else
      return lowestOf(element);
  case ReduceKind::min:
    if constexpr (real)
      return std::numeric_limits<double>::infinity();
    else
      return highestOf(element);
  }
  return 0;
}

/// combine(total, value) for each kind, chosen outside of the loops. Integers wrap in unsigned arithmetic.
template <typename T, typename F> void withCombiner(ReduceKind kind, F loop) {
  auto wrap = [](auto f) {
    return [f](T total, T value) -> T {
      if constexpr (std::is_same_v<T, double>)
        return f(total, value);
      else
        return static_cast<T>(f(static_cast<uint64_t>(total), static_cast<uint64_t>(value)));
    };
  };
  switch (kind) {
  case ReduceKind::sum:
    return loop(wrap([](auto a, auto b) { return a + b; }));
  case ReduceKind::prod:
    return loop(wrap([](auto a, auto b) { return a * b; }));
  case ReduceKind::max:
    return loop([](T a, T b) { return isNan(a) || b < a ? a : b; });
  case ReduceKind::min:
    return loop([](T a, T b) { return isNan(a) || b > a ? a : b; });
  case ReduceKind::any:
    return loop([](T a, T b) -> T { return a != 0 || b != 0; });
  case ReduceKind::all:
    return loop([](T a, T b) -> T { return a != 0 && b != 0; });
  }
}

template <typename T> void reduceAs(Call &call, ReduceKind kind, Ints axes) {
  const HostTensor &in = *call.in[0];
  HostTensor &out = call.out[0];
  std::vector<int64_t> kept = out.strides(), spread(in.shape.size(), 0);
  size_t next = 0;
  for (int64_t axis = 0; axis < in.rank(); ++axis)
    if (!llvm::is_contained(axes, axis))
      spread[axis] = kept[next++];
  std::vector<T> &total = out.data<T>();
  total.assign(out.size(), neutral<T>(kind, out.element));
  const T *values = in.data<T>().data();
  withCombiner<T>(kind, [&](auto combine) {
    walk<2>(in.shape, {Ints(in.strides()), Ints(spread)}, {0, 0}, [&](auto at, int64_t count, auto step) {
      const T *from = values + at[0];
      T *to = total.data() + at[1];
      if (step[1] == 0) {
        T sum = *to;
        for (int64_t i = 0; i < count; ++i)
          sum = combine(sum, from[i * step[0]]);
        *to = sum;
      } else {
        for (int64_t i = 0; i < count; ++i)
          to[i * step[1]] = combine(to[i * step[1]], from[i * step[0]]);
      }
    });
  });
}

Status reduce(Call &call) {
  auto op = llvm::cast<ReduceOp>(call.op);
  onStorage(call.out[0], [&](auto kind) { reduceAs<decltype(kind)>(call, op.getKind(), op.getAxes()); });
  for (int64_t &value : call.out[0].integers)
    value = wrapTo(call.out[0].element, value);
  return OkStatus();
}

/// Calls f(base, stride) for every line along the axis.
template <typename F> void eachLine(const HostTensor &tensor, int64_t axis, F f) {
  int64_t inner = tensor.strides()[axis], extent = tensor.shape[axis];
  int64_t outer = inner * extent == 0 ? 0 : tensor.size() / (inner * extent);
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < inner; ++i)
      f(o * inner * extent + i, inner);
}

Status argReduce(Call &call) {
  auto op = llvm::cast<ArgReduceOp>(call.op);
  const HostTensor &in = *call.in[0];
  int64_t extent = in.shape[op.getAxis()], line = 0;
  if (extent == 0)
    return failure(call.op, "there is no largest or smallest of no elements");
  bool largest = op.getKind() == ArgKind::max;
  onStorage(in, [&](auto kind) {
    using T = decltype(kind);
    const T *values = in.data<T>().data();
    eachLine(in, op.getAxis(), [&](int64_t base, int64_t step) {
      int64_t best = 0;
      for (int64_t i = 1; i < extent && !isNan(values[base + best * step]); ++i) {
        T value = values[base + i * step], champion = values[base + best * step];
        if (isNan(value) || (largest ? value > champion : value < champion))
          best = i;
      }
      call.out[0].integers[line++] = best;
    });
  });
  return OkStatus();
}

Status cumsum(Call &call) {
  auto op = llvm::cast<CumSumOp>(call.op);
  const HostTensor &in = *call.in[0];
  HostTensor &out = call.out[0];
  int64_t extent = in.shape[op.getAxis()];
  onStorage(in, [&](auto kind) {
    using T = decltype(kind);
    const T *values = in.data<T>().data();
    T *sums = out.data<T>().data();
    eachLine(in, op.getAxis(), [&](int64_t base, int64_t step) {
      T total = 0;
      for (int64_t i = 0; i < extent; ++i) {
        int64_t at = base + (op.getReverse() ? extent - 1 - i : i) * step;
        T before = total;
        withCombiner<T>(ReduceKind::sum, [&](auto combine) { total = combine(total, values[at]); });
        sums[at] = op.getExclusive() ? before : total;
      }
    });
  });
  for (int64_t &value : out.integers)
    value = wrapTo(out.element, value);
  return OkStatus();
}

/// Sorted lines along an axis, the first `kept` of each.
void sortLines(Call &call, int64_t axis, bool descending, int64_t kept) {
  const HostTensor &in = *call.in[0];
  onStorage(in, [&](auto kind) {
    using T = decltype(kind);
    std::vector<int64_t> order(in.shape[axis]);
    int64_t inner = in.strides()[axis], extent = in.shape[axis];
    eachLine(in, axis, [&](int64_t base, int64_t step) {
      const T *line = in.data<T>().data() + base;
      sortLine<T>(order, line, step, descending);
      // The line's base with the axis cut from `extent` to `kept`.
      int64_t to = base / (inner * extent) * inner * kept + base % inner;
      for (int64_t i = 0; i < kept; ++i) {
        call.out[0].data<T>()[to + i * inner] = line[order[i] * step];
        call.out[1].integers[to + i * inner] = order[i];
      }
    });
  });
}

Status sort(Call &call) {
  auto op = llvm::cast<SortOp>(call.op);
  sortLines(call, op.getAxis(), op.getDescending(), call.in[0]->shape[op.getAxis()]);
  return OkStatus();
}

Status topK(Call &call) {
  auto op = llvm::cast<TopKOp>(call.op);
  int64_t axis = call.in[0]->rank() - 1, k = op.getK();
  if (k > call.in[0]->shape[axis])
    return failure(call.op, "k = " + std::to_string(k) + " is above the last dimension " +
                                std::to_string(call.in[0]->shape[axis]));
  sortLines(call, axis, /*descending=*/true, k);
  return OkStatus();
}

} // namespace

void addReduceKernels(KernelTable &table) {
  add<ReduceOp>(table, reduce);
  add<ArgReduceOp>(table, argReduce);
  add<CumSumOp>(table, cumsum);
  add<SortOp>(table, sort);
  add<TopKOp>(table, topK);
}

} // namespace kiln::interpreter
