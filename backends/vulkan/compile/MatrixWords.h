// Cooperative matrices as VK_KHR_cooperative_matrix wants them.
#pragma once

#include <cstdint>
#include <vector>

namespace kiln::vulkan {

/// In GLSL, a matrix's part in a product stands where its scope should: glslang 12 knows matrices in the form of
/// GL_NV_cooperative_matrix alone, whose types have no word for it. The scope of all is the subgroup.
/// Factors of bf16, of which it knows nothing, are said to be f16, and the last two. Of matrices of sums it divides
/// elements by elements, and does not multiply them: a division stands for a product. Matrices of integers are signed.
enum : uint32_t { MatrixLeft = 100, MatrixRight = 101, MatrixSum = 102, MatrixBrainLeft = 103, MatrixBrainRight = 104 };

/// Turns a module of SPV_NV_cooperative_matrix, its scopes as above, into one of SPV_KHR_cooperative_matrix (the
/// extensions' specifications in the SPIR-V registry), with SPV_KHR_bfloat16 where factors are. A module without
/// matrices stays as it is.
void useKhrMatrices(std::vector<uint32_t> &words);

} // namespace kiln::vulkan
