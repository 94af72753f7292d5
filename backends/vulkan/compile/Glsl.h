// From GLSL to SPIR-V, in this process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kiln::vulkan {

/// Compiles a compute shader to SPIR-V 1.5 without debug information, which keeps NaN, infinities and signed zeros (its
/// execution modes say so). Strict: whose sums and products are done as they stand; fast: in functions alone. False
/// with glslang's message and the line of the source that it names. Any thread.
bool compileGlsl(const std::string &source, bool fast, std::vector<uint32_t> &words, std::string &error);

/// The features (KILN_VK_F16 and so on) that a module's capabilities stand for; false with the number of a capability
/// that this backend does not know.
bool featuresOf(const std::vector<uint32_t> &words, uint32_t &features, uint32_t &unknown);

/// The module as text that spirv-as reads: for `--emit spirv`.
std::string disassemble(const std::vector<uint32_t> &words);

} // namespace kiln::vulkan
