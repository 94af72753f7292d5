// What is made of a product's rows, and far larger than its operands, computed in blocks of rows.
#pragma once

#include "ir/Kiln.h"

#include "mlir/Pass/Pass.h"

namespace kiln {
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/RowBlocks/RowBlocks.h.inc"
} // namespace kiln
