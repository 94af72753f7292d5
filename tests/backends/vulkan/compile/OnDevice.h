// One kernel compiled to shaders and run once.
#pragma once

#include "runtime/backend/Tables.h"
#include <string>
#include <vector>

namespace kiln::test {

struct Launch {
  std::vector<std::vector<uint8_t>> inputs; // bytes
  std::vector<uint64_t> outputBytes;
  std::vector<int64_t> extents;
  std::vector<bool> inPlace; // output i lies in the memory of the input that its alias names
};

struct Outcome {
  std::string error; // of claim, compile, spirv-val, load or execute; empty: none
  std::vector<std::vector<uint8_t>> outputs;
  kiln_status status{};
};

/// profile: "portable", "processor" or "gpu" (as --target-device). On the first device of this machine.
Outcome runOnDevice(const std::string &profile, const kiln_kernel &kernel, const Launch &launch);

} // namespace kiln::test
