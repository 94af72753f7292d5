// Learning rates as functions of the step.
#pragma once

#include "ir/Build.h"

namespace kiln {

/// The learning rate at `step` (a tensor<f64>, from 0), as a tensor<f64>. `rate` is a number or a dictionary with the
/// key `kind`; null, with an error at `at`, for what is not known.
///
/// The first `warmup` steps rise linearly: lr(s) = base (s+1)/(warmup+1). Then, with t = s - warmup and
/// p = min(t / (steps - warmup), 1):
///   constant     base
///   linear       base + (final - base) p
///   cosine       final + (base - final) (1 + cos(pi p)) / 2
///   exponential  base * factor^(t / every)
///   step         base * factor^floor(t / every)
///   noam         factor * width^-0.5 * min(n^-0.5, n warmup^-1.5) with n = s + 1
mlir::Value learningRate(Emit &e, mlir::Attribute rate, mlir::Value step, mlir::Operation *at);

/// A number of a dictionary, of either kind; `otherwise` where the key is absent.
double numberOf(mlir::DictionaryAttr dictionary, llvm::StringRef key, double otherwise);

} // namespace kiln
