// Derivatives that a model asks for within a function.
#pragma once

#include "ir/Kiln.h"

#include "mlir/Pass/Pass.h"

namespace kiln {

/// Puts the ops that compute it in the place of each `kiln.gradient` of the module. What has no gradient is an error at
/// the op that asks for one, with a note where it is.
mlir::LogicalResult expandGradients(mlir::ModuleOp module);

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/ExpandGradients/ExpandGradients.h.inc"

} // namespace kiln
