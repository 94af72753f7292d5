// Two compiled programs of one model, loaded into this process and run side by side. No MLIR here: the runtime throws.
#pragma once

#include "runtime/program/Compare.h"

#include <cstdint>
#include <string>
#include <vector>

namespace kiln {

struct InStepProgram {
  struct Backend {
    std::string name;
    kiln_backend_fn function = nullptr;
    std::vector<uint8_t> artifact; ///< bytes; or, where they are empty:
    std::string library, symbol;   ///< a shared object that defines the artifact
  };
  std::vector<Backend> backends; ///< as the manifest has them
  std::string manifest;
  std::vector<uint8_t> constants;
  std::vector<std::string> startOptions; ///< "BACKEND.NAME=VALUE"
  std::vector<int64_t> scratch; ///< of each kernel, where both programs have the same kernels at the same places
};

struct InStepResult {
  std::string error;   ///< why it could not be done; empty where it was
  std::string parting; ///< what compareInStep says; empty where the two agree
  std::string entry;
  LaunchCounts launches;
  bool realData = false; ///< the recipe's own data, or made-up inputs
};

/// One execution of the training step (else of the first function) with the recipe's weights.
InStepResult runInStep(const InStepProgram &a, const InStepProgram &b, unsigned threads, uint32_t seed);

} // namespace kiln
