// Rows under windows that move by two: neighbours are loaded once.
#pragma once

#include "backends/cpu/compile/Code.h"

namespace kiln::cpu {

/// A row under each of `points` neighbouring points of a vector of windows that move by two; `load` gives as many
/// neighbours as there are lanes, from a place behind the first window's corner on. Those at even places lie under the
/// first point, those at odd ones under the second, and under each further point those of the one before the last,
/// moved by a lane.
inline llvm::SmallVector<mlir::Value> everySecond(Code &code, int64_t points, int64_t lanes,
                                                  llvm::function_ref<mlir::Value(int64_t)> load) {
  llvm::SmallVector<mlir::Value> under;
  mlir::Value low = load(0), high = load(lanes);
  for (int64_t j = 0; j < points; ++j) {
    llvm::SmallVector<int64_t> order;
    for (int64_t l = 0; l < lanes; ++l)
      order.push_back(j < 2 ? 2 * l + j : l + 1);
    mlir::Value more = j < 2 ? high : load(2 * (lanes - 1) + j);
    under.push_back(code.op<mlir::vector::ShuffleOp>(j < 2 ? low : under[static_cast<size_t>(j) - 2], more, order));
  }
  return under;
}

} // namespace kiln::cpu
