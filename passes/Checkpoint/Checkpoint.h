// What the forward half would keep for the backward half, computed once more.
#pragma once

#include "ir/Kiln.h"

#include "mlir/Pass/Pass.h"

namespace kiln {
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/Checkpoint/Checkpoint.h.inc"

/// On a function: how many segments its forward half is cut into.
constexpr llvm::StringLiteral segmentsAttr = "kiln.segments";
} // namespace kiln
