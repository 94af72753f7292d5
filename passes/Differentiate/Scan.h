// The gradient of a loop over time.
#pragma once

#include "passes/Differentiate/Backward.h"

namespace kiln {

mlir::LogicalResult scanRule(ScanOp op, Backward &b);

} // namespace kiln
