// Plans and SPIR-V to the blob of ../artifact.h.
#pragma once

#include "backends/vulkan/compile/Plan.h"
#include <map>

namespace kiln::vulkan {

/// Gathers kernels in the program's order, then writes. Equal SPIR-V, expressions and bindings are kept once.
class ArtifactWriter {
public:
  ArtifactWriter(uint32_t alignment, uint64_t partBytes) : alignment(alignment), partBytes(partBytes) {}

  /// code: the SPIR-V of every dispatch, variant by variant. False with a sentence where a shader needs what no feature
  /// of the artifact stands for.
  bool add(const sdk::Graph &graph, const KernelPlan &plan, const std::vector<const std::vector<uint32_t> *> &code,
           std::string &error);
  std::vector<uint8_t> write() const;

private:
  kiln_vk_expression expression(const Number &number);
  uint32_t shader(const std::vector<uint32_t> &words);
  void dispatch(const Dispatch &plan, uint32_t shaderNumber);

  uint32_t alignment;
  uint64_t partBytes;
  uint32_t features = 0;
  std::vector<kiln_vk_kernel> kernels;
  std::vector<kiln_vk_operand> operands;
  std::vector<kiln_vk_variant> variants;
  std::vector<kiln_vk_dispatch> dispatches;
  std::vector<kiln_vk_binding> bindings;
  std::vector<kiln_vk_word> words;
  std::vector<kiln_vk_specialization> specializations;
  std::vector<kiln_vk_step> steps;
  std::vector<kiln_vk_shader> shaders; // `code` counts from the code's beginning until it is written
  std::vector<uint8_t> code;
  std::map<std::string, kiln_vk_expression> knownExpressions;
  std::map<std::vector<uint8_t>, uint32_t> knownShaders;
};

/// The inverse of kiln_vk_unpack.
std::vector<uint8_t> packWords(const std::vector<uint32_t> &words);

} // namespace kiln::vulkan
