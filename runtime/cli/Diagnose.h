// When a loss is not finite: which tensor was the first.
#pragma once

#include "runtime/program/Program.h"

namespace kiln {

/// A sentence with the step and the first tensor that is not finite, as far as can be seen after the step.
std::string describeNotFinite(Program &program, Call &call, int64_t step, double loss);

} // namespace kiln
