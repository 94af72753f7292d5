// The generic form: an invocation an element.
#include "backends/sdk/Phases.h"
#include "backends/vulkan/compile/Shader.h"
#include "backends/vulkan/compile/Strategy.h"
#include <algorithm>

using namespace kiln::sdk;

namespace kiln::vulkan {

/// Whether all that a phase computes can be printed; what other phases have stored is at hand.
static bool canPrint(Emitter &emitter, const Phases &phases, const Phase &phase, Refusal &refusal) {
  std::vector<uint32_t> wanted = phase.kind == Phase::Elements ? phase.values : phase.op->operands;
  for (uint32_t number : phase.outputs)
    wanted.push_back(emitter.graph.outputs[number]);
  std::vector<uint32_t> stored;
  for (uint32_t value = 0; value < emitter.graph.values.size(); ++value)
    if (phases.place(value) >= 0 &&
        (phase.op || std::find(phase.values.begin(), phase.values.end(), value) == phase.values.end()))
      stored.push_back(value);
  for (uint32_t value : stored)
    emitter.define(value, [&](const Index &) { return emitter.index(0); });
  bool good = std::all_of(wanted.begin(), wanted.end(),
                          [&](uint32_t value) { return emitter.canPrint(value, refusal.reason, refusal.op); });
  for (uint32_t value : stored)
    emitter.define(value, nullptr);
  return good;
}

bool planElements(const Graph &graph, const Settings &settings, KernelPlan &plan, Refusal &refusal) {
  Phases phases;
  if (!Phases::plan(graph, phases, refusal.reason, refusal.op))
    return false;
  std::vector<ScratchArray> scratch;
  int64_t scratchBytes = 0; // more than the phases say: bindings begin at multiples of 256
  for (const Stored &stored : phases.scratch) {
    const Type &type = graph.type(stored.value);
    scratch.push_back({scratchBytes, type.dtype, Number::of(type.dims)});
    scratchBytes += (stored.bytes + 255) / 256 * 256;
  }
  Variant variant;
  for (const Phase &phase : phases.phases) {
    Shader shader(graph, settings, scratch);
    Emitter emitter(graph, shader, emitterOptions(settings));
    if (!canPrint(emitter, phases, phase, refusal))
      return false;
    Number items = Number::of(phase.items);
    shader.local(usualLocal);
    shader.grid(ceilDiv(items, usualLocal));
    Expr item = emitter.bind(emitter.indexType(),
                             emitter.name("group * " + std::to_string(usualLocal) + " + int(gl_LocalInvocationID.x)"));
    emitter.open("if (" + item.text + " < " + shader.word(items) + ")", /*guard=*/true);
    phases.print(emitter, phase, item);
    emitter.close();
    variant.dispatches.push_back(shader.finish(emitter));
  }
  plan.variants = {std::move(variant)};
  plan.scratchBytes = scratchBytes;
  return true;
}

} // namespace kiln::vulkan
