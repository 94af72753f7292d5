// How a kernel becomes dispatches.
//
// One function for each form of kernel. Each gives true with a plan, or false and leaves the plan alone where the
// kernel is not of its form; the generic form takes every kernel whose ops the emitter can print.
#pragma once

#include "backends/sdk/Emitter.h"
#include "backends/vulkan/compile/Plan.h"

namespace kiln::vulkan {

/// How elements are printed: in 32-bit indices, and in strict mode with exp and the like of our own, since GLSL's are
/// only as exact as a device likes.
inline sdk::EmitterOptions emitterOptions(const Settings &settings) {
  return {sdk::Language::GLSL, /*wideIndex=*/false, /*ownFunctions=*/!settings.fast};
}

/// Tries the forms below in turn; false with a refusal where none fits.
bool planKernel(const sdk::Graph &graph, const Settings &settings, KernelPlan &plan, Refusal &refusal);

/// An item an element, phase after phase: everything.
bool planElements(const sdk::Graph &graph, const Settings &settings, KernelPlan &plan, Refusal &refusal);
/// Reductions of the trailing axes with what stands around them: a row for each workgroup, or each invocation.
bool planRows(const sdk::Graph &graph, const Settings &settings, KernelPlan &plan);
/// Reductions of any axes that do not depend on one another: partial results by chunk, then these together.
bool planColumns(const sdk::Graph &graph, const Settings &settings, KernelPlan &plan);
/// dot_general and convolution with what stands above and below.
bool planContraction(const sdk::Graph &graph, const Settings &settings, KernelPlan &plan);
/// attention and attention_grad with transposes around them.
bool planAttention(const sdk::Graph &graph, const Settings &settings, KernelPlan &plan);
/// scatter alone.
bool planScatter(const sdk::Graph &graph, const Settings &settings, KernelPlan &plan);

} // namespace kiln::vulkan
