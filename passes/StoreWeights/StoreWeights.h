// A model's matrices stored in a narrower type than they are computed in.
#pragma once

#include "ir/Kiln.h"

#include "mlir/Pass/Pass.h"

namespace kiln {
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/StoreWeights/StoreWeights.h.inc"
} // namespace kiln
