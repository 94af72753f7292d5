// Random bits: Philox4x32-10 (Salmon et al., SC11), as random_bits of the dialect draws them.
#pragma once

#include "backends/cpu/compile/Code.h"
#include <array>

namespace kiln::cpu {

/// What all draws of a random op share; `seed` and `counters` are scalars i32, the step and loops' indices.
struct Draws {
  mlir::Value seed;
  int64_t stream = 0;
  llvm::SmallVector<mlir::Value, 3> counters;

  /// The bits of the elements 4 block to 4 block + 3: one word each. Of i32, or of as many blocks as a vector has
  /// lanes.
  std::array<mlir::Value, 4> blocks(Code &code, mlir::Value block) const;
  /// The bits of one element, or of those that a vector numbers, in i64. Each lane makes its own block for one word.
  mlir::Value of(Code &code, mlir::Value element) const;
};

} // namespace kiln::cpu
