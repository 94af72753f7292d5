// Builds @train_step: loss, gradients, clipping, schedule and optimizer in one function.
#pragma once

#include "ir/Kiln.h"

#include "mlir/Pass/Pass.h"

namespace kiln {
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/TrainStep/TrainStep.h.inc"
} // namespace kiln
