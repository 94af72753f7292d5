// What numbers an input of integers may hold where it chooses among a fixed number of rows or classes.
#pragma once

#include "mlir/IR/Value.h"

#include <cstdint>
#include <optional>

namespace kiln::language {

/// The least extent that the numbers of `input`, as they come, are an index into: rows of a table, classes of scores.
/// Nothing where it is used otherwise, or the extent is no constant. What is computed from it first (a mask's choice,
/// a sum) is not looked at.
std::optional<int64_t> indexLimit(mlir::Value input);

} // namespace kiln::language
