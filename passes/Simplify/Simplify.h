// Algebra, canonical forms, common subexpressions and dead code.
#pragma once

#include "ir/Kiln.h"

#include "mlir/Pass/Pass.h"

namespace kiln {
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/Simplify/Simplify.h.inc"
} // namespace kiln
