// Cheap values computed again where the backward pass reads them, in place of being kept.
#pragma once

#include "ir/Kiln.h"

#include "mlir/Pass/Pass.h"

namespace kiln {
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/Rematerialize/Rematerialize.h.inc"
} // namespace kiln
