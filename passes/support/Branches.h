// Branches without what nobody reads.
#pragma once

#include "passes/support/Values.h"

#include "mlir/IR/PatternMatch.h"

namespace kiln {

/// Takes away the results that are not used, and those that are one value from outside in both regions. Fails where all
/// are needed.
mlir::LogicalResult dropUnusedResults(IfOp op, mlir::RewriterBase &rewriter);

} // namespace kiln
