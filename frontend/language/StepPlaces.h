// How far a step may go: where what it keeps, or a table of positions, ends.
#pragma once

#include "ir/Kiln.h"

#include <cstdint>

namespace kiln::language {

struct StepPlaces {
  int64_t count = 0;             ///< positions from 0 on that the step may be given
  mlir::Operation *op = nullptr; ///< what ends there; null where nothing does, or is not seen to
};

/// Of a step's function and its input `position`: the least of what is written, sliced or looked up at the position, or
/// at a place that is a number away from it. A place that is computed otherwise (a ring's, say) has no end.
StepPlaces stepPlaces(mlir::Block &block, mlir::Value position);

} // namespace kiln::language
