// When a loss is not finite: which tensor was the first.
#pragma once

#include "runtime/program/TrainStep.h"

namespace kiln {

/// "parameter 'w' (element 3)" for the first tensor of the model that is not finite; empty where all are.
std::string notFiniteTensor(Program &program);

/// A sentence with the step and the first tensor that was not finite. To be called with everything (parameters, states,
/// the batch) as it was before the step; runs the step once more.
std::string describeNotFinite(Program &program, TrainStep &training, uint32_t seed, int64_t step, double loss);

} // namespace kiln
