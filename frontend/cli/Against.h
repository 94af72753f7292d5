// A model on two backends in step, as data.
#pragma once

#include "frontend/cli/InStep.h"
#include "frontend/driver/Options.h"

#include "absl/status/statusor.h"

namespace kiln {

struct Comparison {
  std::string a, b; ///< the backends that were named
  InStepResult steps;
  std::string notAsBuilt; ///< why the program was taken apart; empty where it ran as it is built
  bool watched = false;   ///< what kernels write beside their results was looked at
};

/// The training step (else the first function) on `options.backend` and on `against`; what either refuses is the cpu's.
absl::StatusOr<Comparison> compareBackends(const ModelOptions &options, const std::string &against, uint32_t seed);

} // namespace kiln
