// Moving work out of loops over time.
#pragma once

#include "passes/support/Values.h"

#include "llvm/ADT/BitVector.h"

namespace kiln {

/// Moves ops that depend on nothing in the loop before it; true when one moved. Constants, iotas and broadcasts stay:
/// they are cheap where they are used and dear to keep.
bool hoistInvariants(ScanOp scan);

/// Adds to `live`, of a loop body's yields, the carried values that lead to a live one. Carry i is yield i, and the
/// body's argument `first` + i.
void growLive(mlir::Block &body, unsigned first, size_t carries, llvm::BitVector &live);

/// Whether a value of a loop's body is the same in all steps.
bool isInvariant(ScanOp scan, mlir::Value value);
/// Such a value outside of the loop (what stayed inside is made again at `e`).
mlir::Value outsideOf(Emit &e, ScanOp scan, mlir::Value invariant);

} // namespace kiln
