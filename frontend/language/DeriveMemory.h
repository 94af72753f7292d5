// What a function over a sequence makes of its other inputs alone: computed once, and kept from step to step.
#pragma once

#include "ir/Kiln.h"

#include <vector>

namespace kiln::language {

/// Values that do not depend on the sequence, but on `sources`, and are read by what depends on the sequence; each with
/// the places where it is. They stand in the order of their first use, so that two functions of the same ops have the
/// same ones. What only repeats a value, or gives it another shape, is left to its readers. Where a loop over the
/// sequence begins is no such place: a step has that from the step before.
struct Memory {
  std::vector<mlir::Value> values;
  std::vector<llvm::SmallVector<mlir::OpOperand *, 2>> uses;
};

/// Of the ops of `block`, a function's that is still being written. `sequence` are its arguments that belong to the
/// sequence, whose length is the symbol `time`; `sources` are the others.
Memory memoryOf(mlir::Block &block, llvm::ArrayRef<mlir::Value> sources, llvm::ArrayRef<mlir::Value> sequence,
                const Dim &time);

} // namespace kiln::language
