// One kernel compiled to shaders and run once.
#pragma once

#include "tests/backends/cpu/TestKernel.h"

namespace kiln::test {

/// profile: "portable", "processor" or "gpu" (as --target-device). On the first device of this machine.
RunResult runOnDevice(const std::string &profile, TestKernel &kernel, const std::vector<conformance::Bytes> &inputs,
                      bool inPlace = false);

} // namespace kiln::test
