// Reductions of windows.
#include "backends/reference/run/Evaluate.h"

#include <cmath>
#include <limits>

namespace kiln::reference {

using sdk::OpCode;

namespace {

bool reduceWindow(Call &call, const WindowSteps &window, std::string_view kind) {
  const Tensor &in = *call.in[0];
  Tensor &out = *call.out[0];
  bool sum = kind == "sum", largest = kind == "max";
  onStorage(out, [&](auto type) {
    using T = decltype(type);
    const std::vector<T> &values = in.data<T>();
    std::vector<T> &totals = out.data<T>();
    T neutral = 0;
    if constexpr (std::is_same_v<T, double>)
      neutral = sum ? 0 : (largest ? -1 : 1) * std::numeric_limits<double>::infinity();
    else
      neutral = sum ? 0 : largest ? lowestOf(out.dtype) : highestOf(out.dtype);
    std::fill(totals.begin(), totals.end(), neutral);
    using W = std::conditional_t<std::is_same_v<T, double>, double, uint64_t>;
    eachElement(window, in, out, [&](size_t w, size_t offset) {
      T &total = totals[w], value = values[offset];
      if (sum)
        total = T(W(total) + W(value));
      else if (!isNan(total) && (isNan(value) || (largest ? value > total : value < total)))
        total = value;
    });
  });
  out.wrap();
  return true;
}

bool reduceWindowGrad(Call &call, const WindowSteps &window, bool largest) {
  const Tensor &in = *call.in[0], &gradient = *call.in[1];
  Tensor &out = *call.out[0];
  if (in.shape != out.shape || gradient.rank() != in.rank())
    return call.fail("the gradient's shape is not the operand's");
  onStorage(in, [&](auto kind) {
    using T = decltype(kind);
    using W = std::conditional_t<std::is_same_v<T, double>, double, uint64_t>;
    const std::vector<T> &values = in.data<T>();
    std::vector<int64_t> best(static_cast<size_t>(gradient.size()), -1);
    eachElement(window, in, gradient, [&](size_t w, size_t offset) {
      if (best[w] < 0) {
        best[w] = static_cast<int64_t>(offset);
        return;
      }
      T champion = values[static_cast<size_t>(best[w])], value = values[offset];
      if (!isNan(champion) && (isNan(value) || (largest ? value > champion : value < champion)))
        best[w] = static_cast<int64_t>(offset);
    });
    for (size_t w = 0; w < best.size(); ++w)
      if (best[w] >= 0) {
        T &to = out.data<T>()[static_cast<size_t>(best[w])];
        to = T(W(to) + W(gradient.data<T>()[w]));
      }
  });
  out.wrap();
  return true;
}

} // namespace

bool windowed(Call &call) {
  WindowSteps window{call.op.ints("window"), call.op.ints("strides"), call.op.ints("low")};
  for (Ints list : {window.size, window.strides})
    if (std::any_of(list.begin(), list.end(), [](int64_t i) { return i < 1; }))
      return call.fail("windows and strides have to be positive");
  std::string_view kind = call.op.text("kind");
  return call.op.code == OpCode::ReduceWindow ? reduceWindow(call, window, kind)
                                              : reduceWindowGrad(call, window, kind == "max");
}

} // namespace kiln::reference
