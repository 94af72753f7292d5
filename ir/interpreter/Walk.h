// Strided loops over several tensors at once.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace kiln::interpreter {

using Ints = llvm::ArrayRef<int64_t>;

/// Calls fn(offsets, count, steps) for runs that together visit every index of `shape` in row-major order. Axes that
/// are contiguous in all N stride lists are merged, so that a run is as long as it can be.
template <size_t N, typename F>
void walk(Ints shape, const std::array<Ints, N> &strides, std::array<int64_t, N> base, F fn) {
  struct Axis {
    int64_t extent;
    std::array<int64_t, N> step;
  };
  llvm::SmallVector<Axis, 6> axes; // innermost first
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
  llvm::SmallVector<int64_t, 6> index(axes.size(), 0);
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

/// to[toBase + toStrides·i] = from[fromBase + fromStrides·i] for every index i of shape.
template <typename T>
void stridedCopy(Ints shape, const T *from, int64_t fromBase, Ints fromStrides, T *to, int64_t toBase, Ints toStrides) {
  walk<2>(shape, {fromStrides, toStrides}, {fromBase, toBase}, [&](auto at, int64_t count, auto step) {
    const T *source = from + at[0];
    T *target = to + at[1];
    if (step[0] == 1 && step[1] == 1)
      std::copy(source, source + count, target);
    else
      for (int64_t i = 0; i < count; ++i)
        target[i * step[1]] = source[i * step[0]];
  });
}

} // namespace kiln::interpreter
