// Composites replaced by what they are made of.
#pragma once

#include "ir/Kiln.h"

namespace kiln {

/// A composite or custom op gives way to its decomposition, stop_gradient to its operand. False where the op is
/// neither, and stays.
bool expand(mlir::Operation *op);

} // namespace kiln
