// How a kernel becomes dispatches: which of the sdk's forms it gets, and the frame of a shader around each launch.
#pragma once

#include "backends/sdk/forms/Contraction.h"
#include "backends/vulkan/compile/Matrices.h"
#include "backends/vulkan/compile/Shader.h"

namespace kiln::vulkan {

/// How elements are printed: in 32-bit indices, and in strict mode with exp and the like of our own, since GLSL's are
/// only as exact as a device likes.
inline sdk::EmitterOptions emitterOptions(const Settings &settings) {
  return {sdk::Language::GLSL, /*wideIndex=*/false, /*ownFunctions=*/!settings.fast, KILN_VK_SURE_PASSES};
}

/// Makes a plan of what the forms print.
class PlanBuilder : public sdk::Builder {
public:
  PlanBuilder(const sdk::Graph &graph, const Settings &settings)
      : Builder(graph, emitterOptions(settings)), settings(settings) {}

  void variant(Device device) override;
  void clear() override;
  bool launch(const std::vector<ScratchArray> &scratch,
              const std::function<bool(sdk::Workgroup &group, sdk::Emitter &emitter)> &print) override;

  /// Of the variant that was begun last: what a device needs for such factors.
  void needMatrices(Factor factor);

  std::vector<Variant> variants;

private:
  const Settings &settings;
};

/// Tries the forms in turn; false with a refusal where none fits.
bool planKernel(const sdk::Graph &graph, const Settings &settings, KernelPlan &plan, Refusal &refusal);
/// A product by cooperative matrices, where they have its operands, as one more variant.
void addMatrices(PlanBuilder &builder, sdk::ContractionBuilder &product, const Settings &settings);
/// The same of attention that has been built.
void addMatrixAttention(PlanBuilder &builder, const Settings &settings);

} // namespace kiln::vulkan
