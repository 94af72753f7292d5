// What verifiers of primitives and of composites share.
#pragma once

#include "mlir/IR/Operation.h"
#include "mlir/IR/ValueRange.h"
#include "mlir/Support/LLVM.h"

namespace kiln {

/// A seed (u32) and up to three counters (i32), all scalars; errors begin with the number of the op's constraint for
/// each.
mlir::LogicalResult verifyRandomOperands(mlir::Operation *op, mlir::Value seed, mlir::ValueRange counters,
                                         llvm::StringRef seedNumber, llvm::StringRef countersNumber);

} // namespace kiln
