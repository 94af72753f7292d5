// One kernel compiled to shaders and run once.
#pragma once

#include "tests/backends/cpu/TestKernel.h"

namespace kiln::test {

/// profile: "portable", "processor", "gpu" or "plain-matrices" (as --target-device). On the first device of this
/// machine.
RunResult runOnDevice(const std::string &profile, TestKernel &kernel, const std::vector<conformance::Bytes> &inputs,
                      bool inPlace = false, const std::string &math = "");

/// The kernel's variants, best first: KILN_VK_KIND_... of each. What does not compile has none.
std::vector<uint32_t> kindsOf(const std::string &profile, TestKernel &kernel, const std::string &math = "");

} // namespace kiln::test
