// Copies between strided tensors.
#pragma once

#include "runtime/support/Walk.h"

#include "llvm/ADT/ArrayRef.h"

#include <algorithm>

namespace kiln::interpreter {

using Ints = llvm::ArrayRef<int64_t>;

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
