// Finds composites again that a model writes out.
#pragma once

#include "ir/Kiln.h"

#include "mlir/Pass/Pass.h"

namespace kiln {
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/Recover/Recover.h.inc"
} // namespace kiln
