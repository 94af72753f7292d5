// What the compile side left, checked.
#pragma once

#include "backends/vulkan/artifact.h"
#include "backends/vulkan/run/Failure.h"
#include <span>

namespace kiln::vulkan {

/// A view of the blob. After `read` every index in it is known to be good.
class Artifact {
public:
  Failure read(const void *blob, uint64_t bytes);

  const kiln_vk_artifact &head() const { return *reinterpret_cast<const kiln_vk_artifact *>(blob); }
  std::span<const kiln_vk_kernel> kernels() const { return table<kiln_vk_kernel>(head().kernels, head().kernel_count); }
  std::span<const kiln_vk_variant> variants() const {
    return table<kiln_vk_variant>(head().variants, head().variant_count);
  }
  std::span<const kiln_vk_dispatch> dispatches() const {
    return table<kiln_vk_dispatch>(head().dispatches, head().dispatch_count);
  }
  std::span<const kiln_vk_binding> bindings(const kiln_vk_dispatch &dispatch) const {
    return table<kiln_vk_binding>(head().bindings, head().binding_count)
        .subspan(dispatch.first_binding, dispatch.binding_count);
  }
  std::span<const kiln_vk_word> words(const kiln_vk_dispatch &dispatch) const {
    return table<kiln_vk_word>(head().words, head().word_count).subspan(dispatch.first_word, dispatch.word_count);
  }
  std::span<const kiln_vk_specialization> specializations(const kiln_vk_dispatch &dispatch) const {
    return table<kiln_vk_specialization>(head().specializations, head().specialization_count)
        .subspan(dispatch.first_specialization, dispatch.specialization_count);
  }
  std::span<const kiln_vk_dispatch> dispatches(const kiln_vk_variant &variant) const {
    return dispatches().subspan(variant.first_dispatch, variant.dispatch_count);
  }
  std::span<const kiln_vk_operand> operands(const kiln_vk_kernel &kernel) const {
    return table<kiln_vk_operand>(head().operands, head().operand_count)
        .subspan(kernel.first_operand, kernel.operand_count);
  }
  std::span<const kiln_vk_step> steps(const kiln_vk_expression &expression) const {
    return table<kiln_vk_step>(head().steps, head().step_count).subspan(expression.first, expression.count);
  }
  std::span<const kiln_vk_shader> shaders() const { return table<kiln_vk_shader>(head().shaders, head().shader_count); }
  const uint8_t *code(const kiln_vk_shader &shader) const { return blob + shader.code; }

  /// Whether what this kernel's variants say fits launches of so many places and extents.
  bool fits(const kiln_vk_kernel &kernel, uint32_t places, uint32_t extents) const;

private:
  const uint8_t *blob = nullptr;

  template <typename Row> std::span<const Row> table(uint32_t offset, uint32_t count) const {
    return {reinterpret_cast<const Row *>(blob + offset), count};
  }
  bool good(const kiln_vk_expression &expression) const;
  std::string wrong() const;
  std::string wrongDispatch(const kiln_vk_dispatch &dispatch) const;
};

/// False where a step does not fit 64 bits or divides by zero. `extents` are the launch's; the steps' numbers are below
/// theirs (`Artifact::fits`).
bool evaluate(std::span<const kiln_vk_step> steps, std::span<const int64_t> extents, int64_t &value);

/// "shaderInt8, shaderFloat16"
std::string featureNames(uint32_t mask);

} // namespace kiln::vulkan
