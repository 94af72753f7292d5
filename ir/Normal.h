// What a composite and its gradient both compute, by the same ops, which simplify then makes one.
#pragma once

#include "ir/Build.h"

namespace kiln {

/// 2 Phi(x) - 1, with Phi the distribution's function.
mlir::Value normalSpread(Emit &e, mlir::Value x);
/// Rows along the last axis less their means.
mlir::Value centredRows(Emit &e, mlir::Value x);
/// What brings the mean square of each row to 1, for each of its elements: 1 / sqrt(mean(x^2) + epsilon).
mlir::Value rowScale(Emit &e, mlir::Value x, double epsilon);

} // namespace kiln
