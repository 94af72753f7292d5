// Which of the sdk's forms a kernel gets, and which of their variants the target wants.
#include "backends/vulkan/compile/Strategy.h"
#include "backends/sdk/forms/Forms.h"
#include <algorithm>

namespace kiln::vulkan {

/// What no form can do.
static bool isPossible(const sdk::Graph &graph, Refusal &refusal) {
  if (!graph.fits32()) {
    refusal.reason = "a tensor of kernel '" + graph.name +
                     "' has more than 2^31 - 1 elements at its bounds, which shaders do not index; lower a bound";
    return false;
  }
  // Every place is a binding, and a few more are needed for the status record, scratch and words.
  size_t places = graph.inputs.size() + graph.outputs.size();
  if (places > 28) {
    refusal.reason = "kernel '" + graph.name + "' has " + std::to_string(places) +
                     " operands and results; a shader of this backend binds 28 at most";
    return false;
  }
  return true;
}

/// Of the variants, those that the target asks for; one that runs everywhere stays where nothing else does.
static void choose(const Settings &settings, KernelPlan &plan) {
  if (plan.variants.size() < 2)
    return;
  bool matrices = settings.plainMatrices && std::any_of(plan.variants.begin(), plan.variants.end(),
                                                        [](const Variant &variant) { return variant.matrices; });
  auto unwanted = [&](const Variant &variant) {
    if (matrices)
      return !variant.matrices;
    bool processor = variant.features & KILN_VK_ON_CPU;
    return processor ? !settings.processor : !settings.gpu;
  };
  plan.variants.erase(std::remove_if(plan.variants.begin(), plan.variants.end(), unwanted), plan.variants.end());
}

/// Of a variant of the sdk's form of that name.
static uint32_t kindOf(std::string_view form, const Variant &variant) {
  static constexpr struct {
    std::string_view form;
    uint32_t kind, shared;
  } table[] = {{"elements", KILN_VK_KIND_ELEMENTS, KILN_VK_KIND_ELEMENTS},
               {"rows", KILN_VK_KIND_ROWS, KILN_VK_KIND_ROWS_SHARED},
               {"columns", KILN_VK_KIND_COLUMNS, KILN_VK_KIND_COLUMNS_SHARED},
               {"product", KILN_VK_KIND_PRODUCT, KILN_VK_KIND_PRODUCT_SHARED},
               {"scatter", KILN_VK_KIND_SCATTER, KILN_VK_KIND_SCATTER},
               {"attention", KILN_VK_KIND_ATTENTION, KILN_VK_KIND_ATTENTION_SHARED}};
  bool shares = std::any_of(variant.dispatches.begin(), variant.dispatches.end(),
                            [](const Dispatch &dispatch) { return dispatch.sharedBytes > 0; });
  for (const auto &row : table)
    if (row.form == form)
      return shares ? row.shared : row.kind;
  return KILN_VK_KIND_NONE;
}

void PlanBuilder::variant(Device device) {
  variants.emplace_back();
  variants.back().features = device == Device::Processor ? static_cast<uint32_t>(KILN_VK_ON_CPU) : 0;
}

void PlanBuilder::needMatrices(Factor factor) {
  if (settings.plainMatrices)
    return;
  uint32_t more = factor == Factor::BF16 ? KILN_VK_MATRIX_BF16 : factor == Factor::I8 ? KILN_VK_MATRIX_I8 : 0;
  variants.back().features = KILN_VK_COOPERATIVE_MATRIX | more;
  variants.back().subgroupMost = Shader::mostLanes;
}

bool PlanBuilder::launch(const std::vector<ScratchArray> &scratch,
                         const std::function<bool(sdk::Workgroup &group, sdk::Emitter &emitter)> &print) {
  Shader shader(graph, settings, scratch);
  sdk::Emitter emitter(graph, shader, options);
  if (!print(shader, emitter))
    return false;
  variants.back().dispatches.push_back(shader.finish(emitter));
  return true;
}

void PlanBuilder::clear() {
  variants.clear();
  scratchBytes = 0;
}

bool planKernel(const sdk::Graph &graph, const Settings &settings, KernelPlan &plan, Refusal &refusal) {
  if (!isPossible(graph, refusal))
    return false;
  PlanBuilder builder(graph, settings);
  if (!sdk::buildKernel(builder, refusal.reason, refusal.op,
                        [&](sdk::ContractionBuilder &product) { addMatrices(builder, product, settings); }))
    return false;
  if (builder.form == "attention")
    addMatrixAttention(builder, settings);
  plan = {std::move(builder.variants), builder.scratchBytes, builder.form};
  for (Variant &variant : plan.variants)
    if (!variant.matrices)
      variant.kind = kindOf(plan.form, variant);
  choose(settings, plan);
  return true;
}

} // namespace kiln::vulkan
