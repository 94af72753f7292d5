// The bounds of a function's symbolic dimensions: the one reader of `kiln.bounds` and `kiln.least`.
#pragma once

#include "runtime/support/Dim.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <map>
#include <optional>
#include <string>

namespace kiln {

using Bounds = std::map<std::string, int64_t>;

/// The largest value of each symbol.
Bounds boundsOf(mlir::func::FuncOp function);
/// The smallest value of each symbol for which it is above 1.
Bounds leastOf(mlir::func::FuncOp function);

/// The largest value that an expression takes where every symbol runs from 1 to its bound; nullopt when a symbol has no
/// bound or the result does not fit.
std::optional<int64_t> upperBound(const Dim &dim, const Bounds &bounds);

} // namespace kiln
