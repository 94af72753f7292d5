// Values that consist of tensors: what loops carry and branches give.
#pragma once

#include "frontend/language/Value.h"

namespace kiln::language {

/// Adds the tensors that the value is, or consists of; false where it holds something else.
bool flatten(const Value &value, std::vector<Value> &out);

/// The same structure with other tensors.
Value rebuild(const Value &shape, std::vector<Value>::const_iterator &next);

/// Makes tensors of the numbers that the value is, or consists of; false after an error.
bool numbersToTensors(Elaborator &e, Value &value, Range range);

/// Whether both are one compile-time value, or the same tensor.
bool isSame(const Value &left, const Value &right);

} // namespace kiln::language
