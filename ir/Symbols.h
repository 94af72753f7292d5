// Symbolic dimensions replaced in all that a function says.
#pragma once

#include "ir/Kiln.h"

namespace kiln {

/// The symbol is this number from here on, in every type and every list of dimensions of the function and within it.
/// Bounds of it in the function's attributes stay.
void fixSymbol(mlir::Operation *function, const std::string &symbol, int64_t value);

} // namespace kiln
