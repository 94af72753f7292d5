// The generic form: an invocation an element.
#include "backends/sdk/Phases.h"
#include "backends/sdk/forms/Forms.h"
#include <algorithm>

namespace kiln::sdk {

/// Whether all that a phase computes can be printed; what other phases have stored is at hand.
static bool canPrint(Emitter &emitter, const Phases &phases, const Phase &phase, std::string &reason, uint32_t &op) {
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
  bool good =
      std::all_of(wanted.begin(), wanted.end(), [&](uint32_t value) { return emitter.canPrint(value, reason, op); });
  for (uint32_t value : stored)
    emitter.define(value, nullptr);
  return good;
}

bool buildElements(Builder &builder, std::string &reason, uint32_t &op) {
  const Graph &graph = builder.graph;
  Phases phases;
  if (!Phases::plan(graph, phases, reason, op))
    return false;
  std::vector<ScratchArray> scratch;
  int64_t bytes = 0;
  for (const Stored &stored : phases.scratch) {
    const Type &type = graph.type(stored.value);
    scratch.push_back({bytes, type.dtype, Number::of(type.dims)});
    bytes += alignScratch(stored.bytes);
  }
  builder.needScratch(bytes);
  builder.variant(Builder::Device::Any);
  uint32_t local = builder.elementsOfGroup(
      std::any_of(graph.ops.begin(), graph.ops.end(), [](const Op &each) { return isWhole(each.code); }));
  return std::all_of(phases.phases.begin(), phases.phases.end(), [&](const Phase &phase) {
    return builder.launch(scratch, [&](Workgroup &group, Emitter &emitter) {
      if (!canPrint(emitter, phases, phase, reason, op))
        return false;
      Number items = Number::of(phase.items);
      group.local(local);
      group.grid(ceilDiv(items, local));
      Expr item =
          emitter.bind(emitter.indexType(), emitter.name("group * " + std::to_string(local) + " + " + localX(emitter)));
      emitter.open("if (" + item.text + " < " + group.word(items) + ")", /*guard=*/true);
      phases.print(emitter, phase, item);
      emitter.close();
      return true;
    });
  });
}

} // namespace kiln::sdk
