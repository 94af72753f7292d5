// Softmax, norms, cross entropy: a row for some invocations.
//
// The kernel's reductions take the trailing axes of R x I values; what depends on a reduction's result comes in a later
// pass over the row. Values are computed again in each pass rather than stored.
#include "backends/sdk/forms/Forms.h"
#include "backends/sdk/forms/Operands.h"
#include "backends/sdk/forms/Reduction.h"
#include <algorithm>
#include <bit>

namespace kiln::sdk {

namespace {
class Rows {
public:
  Rows(const Graph &graph, const ReductionForm &form) : graph(graph), form(form) {}

  /// lanes: invocations that share a row, a power of two; rows: of a workgroup.
  bool print(Workgroup &group, Emitter &emitter, uint32_t lanes, uint32_t rows) const;

private:
  const Graph &graph;
  const ReductionForm &form;
};
} // namespace

bool Rows::print(Workgroup &group, Emitter &emitter, uint32_t lanes, uint32_t rows) const {
  Number count = Number::of(form.left), inner = Number::of(form.reduced);
  declareRows(group, emitter, count, lanes, rows, "row");
  Expr row = Emitter::outer("row"), lane = Emitter::outer("lane"), size = Emitter::outer(group.word(inner));
  Index outer = emitter.unlinear(form.left, row);
  int64_t steps = (inner.at(graph.extentBounds) + lanes - 1) / lanes;

  bool mismatch = false;
  for (const std::vector<const Op *> &pass : passesOf(graph)) {
    Accumulators accumulators(group, emitter, graph, pass);
    accumulators.start();
    accumulators.loop(lanes == 1 ? emitter.index(0) : lane, size, lanes, steps, [&](const Expr &k) {
      Index full = form.merge(outer, emitter.unlinear(form.reduced, k));
      for (size_t i = 0; i < pass.size(); ++i)
        accumulators.take(i, emitter.element(pass[i]->operands[0], full), k);
    });
    accumulators.tree(lanes, lanes * rows);
    for (size_t i = 0; i < pass.size(); ++i)
      defineResult(emitter, *pass[i], outer, accumulators.result(i), mismatch);
  }
  std::vector<uint32_t> full, left; // outputs
  for (uint32_t i = 0; i < graph.outputs.size(); ++i)
    (sameDims(graph.type(graph.outputs[i]).dims, form.full) ? full : left).push_back(i);
  if (!full.empty()) {
    declare(emitter, "last", "valid ? " + size.text + " : 0");
    Expr k = emitter.loop(lanes == 1 ? emitter.index(0) : lane, Emitter::outer("last"), emitter.index(lanes), steps);
    Index index = form.merge(outer, emitter.unlinear(form.reduced, k));
    emitter.storeOutputs(full, index, emitter.add(emitter.mul(row, size), k));
    emitter.close();
  }
  if (!left.empty()) {
    if (lanes > 1) // what is written may lie where others of the row still read
      barrier(emitter);
    openFirst(emitter, lanes);
    emitter.storeOutputs(left, outer, row);
    emitter.close();
  }
  return !mismatch;
}

bool buildRows(Builder &builder) {
  const Graph &graph = builder.graph;
  if (!builder.canPrint(graph.outputs))
    return false;
  ReductionForm form(graph);
  Rows rowsOf(graph, form);
  auto launch = [&](Builder::Device device, uint32_t lanes, uint32_t rows) {
    builder.variant(device);
    return builder.launch(
        {}, [&](Workgroup &group, Emitter &emitter) { return rowsOf.print(group, emitter, lanes, rows); });
  };
  int64_t inner = graph.bound(form.reduced);
  // A row for each invocation: nothing has to wait, and a processor's lanes work side by side.
  if (inner <= 8)
    return launch(Builder::Device::Any, 1, 16);
  uint32_t lanes = static_cast<uint32_t>(
      std::clamp<int64_t>(static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(inner))) / 2, 8, 256));
  return launch(Builder::Device::Processor, 1, 16) &&
         launch(Builder::Device::Any, lanes, std::max(1u, usualLocal / lanes));
}

} // namespace kiln::sdk
