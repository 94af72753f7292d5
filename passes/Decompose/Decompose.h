// Composites written out in primitives.
#pragma once

#include "ir/Kiln.h"

#include "mlir/Pass/Pass.h"

#include <functional>

namespace kiln {
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/Decompose/Decompose.h.inc"

/// Of a composite: whether a backend takes it whole. Fails, with an error at the op, where the backend does.
using TakesWhole = std::function<mlir::FailureOr<bool>(mlir::Operation *)>;

/// The pass that also leaves whole, and marks so, what is taken.
std::unique_ptr<mlir::Pass> createDecompose(DecomposeOptions options, TakesWhole takes);

} // namespace kiln
