// Products of f32 whose operands are rounded to a narrower type first.
#pragma once

#include "ir/Kiln.h"

#include "mlir/Pass/Pass.h"

namespace kiln {
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/Narrow/Narrow.h.inc"
} // namespace kiln
