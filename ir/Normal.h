// The standard normal distribution, for GELU and its gradient.
#pragma once

#include "ir/Build.h"

namespace kiln {

/// 2 Phi(x) - 1, with Phi the distribution's function.
mlir::Value normalSpread(Emit &e, mlir::Value x);

} // namespace kiln
