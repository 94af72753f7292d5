// Walks over strided tensors, as the interpreter and the reference go: what both judges share.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>
#include <type_traits>
#include <vector>

namespace kiln {

/// Calls fn(offsets, count, steps) for runs that together visit every index of `shape` in row-major order. Axes that
/// are contiguous in all N stride lists are merged, so that a run is as long as it can be.
template <size_t N, typename F>
void walk(std::span<const int64_t> shape, const std::array<std::span<const int64_t>, N> &strides,
          std::array<int64_t, N> base, F fn) {
  struct Axis {
    int64_t extent;
    std::array<int64_t, N> step;
  };
  std::vector<Axis> axes; // innermost first
  for (size_t d = shape.size(); d-- > 0;) {
    if (shape[d] == 0)
      return;
    if (shape[d] == 1)
      continue;
    Axis axis{shape[d], {}};
    for (size_t n = 0; n < N; ++n)
      axis.step[n] = strides[n][d];
    bool merges = !axes.empty();
    for (size_t n = 0; merges && n < N; ++n)
      merges = axis.step[n] == axes.back().step[n] * axes.back().extent;
    if (merges)
      axes.back().extent *= axis.extent;
    else
      axes.push_back(axis);
  }
  if (axes.empty()) {
    fn(base, int64_t{1}, std::array<int64_t, N>{});
    return;
  }
  std::vector<int64_t> index(axes.size(), 0);
  while (true) {
    fn(base, axes[0].extent, axes[0].step);
    size_t d = 1;
    for (; d < axes.size(); ++d) {
      for (size_t n = 0; n < N; ++n)
        base[n] += axes[d].step[n];
      if (++index[d] < axes[d].extent)
        break;
      for (size_t n = 0; n < N; ++n)
        base[n] -= axes[d].step[n] * axes[d].extent;
      index[d] = 0;
    }
    if (d == axes.size())
      return;
  }
}

struct WindowSteps {
  std::span<const int64_t> size, strides, low;
};

/// Calls f(windowIndex, offsetInOperand) for each element inside the operand, of each window, row-major.
template <typename Tensor, typename F>
void eachElement(const WindowSteps &window, const Tensor &operand, const Tensor &windows, F f) {
  size_t rank = operand.shape.size();
  std::vector<int64_t> strides = operand.strides(), at(rank, 0), in(rank, 0);
  for (int64_t w = 0; w < windows.size(); ++w) {
    std::fill(in.begin(), in.end(), 0);
    while (true) {
      int64_t offset = 0;
      bool inside = true;
      for (size_t d = 0; d < rank && inside; ++d) {
        int64_t place = at[d] * window.strides[d] + in[d] - window.low[d];
        inside = place >= 0 && place < operand.shape[d];
        offset += place * strides[d];
      }
      if (inside)
        f(static_cast<size_t>(w), static_cast<size_t>(offset));
      size_t d = rank;
      for (; d > 0 && ++in[d - 1] == window.size[d - 1]; --d)
        in[d - 1] = 0;
      if (d == 0)
        break;
    }
    for (size_t d = rank; d > 0 && ++at[d - 1] == windows.shape[d - 1]; --d)
      at[d - 1] = 0;
  }
}

/// Integers are never NaN.
template <typename T> bool isNan(T value) {
  if constexpr (std::is_floating_point_v<T>)
    return std::isnan(value);
  else
    return false;
}

/// Indices of a line in order: NaN counts as the largest, equal elements keep their order.
template <typename T> void sortLine(std::vector<int64_t> &order, const T *values, int64_t step, bool descending) {
  std::iota(order.begin(), order.end(), 0);
  auto less = [&](T a, T b) { return isNan(b) ? !isNan(a) : a < b; };
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    T left = values[(descending ? b : a) * step], right = values[(descending ? a : b) * step];
    return less(left, right) || (!less(right, left) && a < b);
  });
}

} // namespace kiln
