// Which integers a function's argument may hold, from what the function does with it.
#pragma once

#include "mlir/IR/Value.h"

#include <cstdint>
#include <map>
#include <string>

namespace kiln {

struct IntegerRange {
  int64_t least = 0, most = 1;
  std::string why; ///< "it indexes an axis of 9"; empty where no use says anything
};

/// Followed through what moves, widens and shifts the argument: indices and classes are within the extent they choose
/// from, what is compared with a loop's or an iota's numbers lies among them (a length is from 1 to the extent), what
/// is compared with a constant lies on both sides of it. Where no use says more, 0 and 1. `symbols`: the extents that
/// the function's arguments will have.
IntegerRange integerRange(mlir::Value argument, const std::map<std::string, int64_t> &symbols);

} // namespace kiln
