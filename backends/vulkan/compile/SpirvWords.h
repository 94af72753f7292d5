// A SPIR-V module's words, instruction by instruction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <glslang/SPIRV/spirv.hpp>
#include <vector>

namespace kiln::vulkan {

constexpr size_t spirvHeaderWords = 5;

/// Of SPV_KHR_cooperative_matrix and SPV_KHR_bfloat16, which glslang 12 does not know.
enum : uint32_t {
  OpTypeCooperativeMatrixKHR = 4456,
  OpCooperativeMatrixLoadKHR = 4457,
  OpCooperativeMatrixStoreKHR = 4458,
  OpCooperativeMatrixMulAddKHR = 4459,
  CapabilityCooperativeMatrixKHR = 6022,
  CapabilityBFloat16TypeKHR = 5116,
  CapabilityBFloat16CooperativeMatrixKHR = 5118,
  FPEncodingBFloat16KHR = 0,
  MatrixOperandsAllSigned = 15 // MatrixASignedComponentsKHR and so on: of both factors, the sums and the result
};

/// Calls visit(opcode, index of its first word, number of words) for each instruction, as far as lengths make sense.
template <class Visit> void forEachInstruction(const std::vector<uint32_t> &words, Visit visit) {
  for (size_t at = spirvHeaderWords; at < words.size();) {
    uint32_t length = words[at] >> 16;
    if (length == 0 || at + length > words.size())
      return;
    visit(words[at] & 0xffff, at, length);
    at += length;
  }
}

inline bool hasCapability(const std::vector<uint32_t> &words, uint32_t capability) {
  bool found = false;
  forEachInstruction(words, [&](uint32_t op, size_t at, uint32_t) {
    found |= op == spv::OpCapability && words[at + 1] == capability;
  });
  return found;
}

} // namespace kiln::vulkan
