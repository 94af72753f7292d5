// Moving work out of loops over time.
#pragma once

#include "passes/support/Values.h"

namespace kiln {

/// Moves ops that depend on nothing in the loop before it; true when one moved. Constants, iotas and broadcasts stay:
/// they are cheap where they are used and dear to keep.
bool hoistInvariants(ScanOp scan);

/// Whether a value of a loop's body is the same in all steps.
bool isInvariant(ScanOp scan, mlir::Value value);
/// Such a value outside of the loop (what stayed inside is made again at `e`).
mlir::Value outsideOf(Emit &e, ScanOp scan, mlir::Value invariant);

} // namespace kiln
