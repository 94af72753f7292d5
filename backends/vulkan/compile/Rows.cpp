// Softmax, norms, cross entropy: a row for some invocations.
//
// The kernel's reductions take the trailing axes of R x I values; what depends on a reduction's result comes in a later
// pass over the row. Values are computed again in each pass rather than stored.
#include "backends/vulkan/compile/Reduction.h"
#include "backends/vulkan/compile/Strategy.h"
#include <algorithm>
#include <bit>

using namespace kiln::sdk;

namespace kiln::vulkan {

namespace {
class Rows {
public:
  Rows(const Graph &graph, const Settings &settings, const ReductionForm &form)
      : graph(graph), settings(settings), form(form) {}

  bool legal() const;
  /// lanes: invocations that share a row, a power of two; rows: of a workgroup.
  bool print(uint32_t lanes, uint32_t rows, Dispatch &dispatch) const;

private:
  bool printInto(Shader &shader, Emitter &emitter, uint32_t lanes, uint32_t rows) const;
  std::vector<std::vector<const Op *>> passes() const;
  void storeRow(Emitter &emitter, const Index &outer, const Expr &row) const;
  void storeFull(Emitter &emitter, const Index &outer, const Expr &row, const Expr &size, const Expr &k) const;

  const Graph &graph;
  const Settings &settings;
  const ReductionForm &form;
};
} // namespace

bool Rows::legal() const {
  if (!form.trailing || form.left.empty())
    return false;
  for (uint32_t value : graph.outputs) {
    const std::vector<kiln_extent> &dims = graph.type(value).dims;
    if (!sameDims(dims, form.full) && !sameDims(dims, form.left))
      return false;
  }
  return true;
}

/// Reductions by how many others stand below them.
std::vector<std::vector<const Op *>> Rows::passes() const {
  std::vector<size_t> depth(graph.values.size(), 0);
  std::vector<std::vector<const Op *>> result;
  for (const Op &op : graph.ops) {
    size_t below = 0;
    for (uint32_t operand : op.operands)
      below = std::max(below, depth[operand]);
    if (isWhole(op.code)) {
      if (result.size() <= below)
        result.resize(below + 1);
      result[below].push_back(&op);
      ++below;
    }
    for (uint32_t value : op.results)
      depth[value] = below;
  }
  return result;
}

void Rows::storeFull(Emitter &emitter, const Index &outer, const Expr &row, const Expr &size, const Expr &k) const {
  Index index = form.merge(outer, emitter.unlinear(form.reduced, k));
  Expr linear = emitter.add(emitter.mul(row, size), k);
  // All are computed before one is stored: an output may lie in an input's memory.
  std::vector<std::pair<size_t, Expr>> elements;
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    const Type &type = graph.type(graph.outputs[i]);
    if (sameDims(type.dims, form.full))
      elements.emplace_back(i,
                            emitter.bind(emitter.registerType(type.dtype), emitter.element(graph.outputs[i], index)));
  }
  for (const auto &[i, element] : elements)
    emitter.store(static_cast<uint32_t>(graph.inputs.size() + i), graph.type(graph.outputs[i]).dtype, linear, element);
}

void Rows::storeRow(Emitter &emitter, const Index &outer, const Expr &row) const {
  std::vector<std::pair<size_t, Expr>> elements;
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    const Type &type = graph.type(graph.outputs[i]);
    if (!sameDims(type.dims, form.full))
      elements.emplace_back(i,
                            emitter.bind(emitter.registerType(type.dtype), emitter.element(graph.outputs[i], outer)));
  }
  for (const auto &[i, element] : elements)
    emitter.store(static_cast<uint32_t>(graph.inputs.size() + i), graph.type(graph.outputs[i]).dtype, row, element);
}

bool Rows::printInto(Shader &shader, Emitter &emitter, uint32_t lanes, uint32_t rows) const {
  Number count = Number::of(form.left), inner = Number::of(form.reduced);
  shader.local(lanes, rows);
  shader.grid(ceilDiv(count, rows));
  emitter.line("const int mine = group * " + std::to_string(rows) + " + int(gl_LocalInvocationID.y);");
  emitter.line("const int lane = int(gl_LocalInvocationID.x);");
  // Invocations without a row of their own go through the last one, to meet the others at the barriers.
  emitter.line("const bool valid = mine < " + shader.word(count) + ";");
  emitter.line("const int row = min(mine, " + shader.word(count) + " - 1);");
  Expr row = Emitter::outer("row"), lane = Emitter::outer("lane"), size = Emitter::outer(shader.word(inner));
  Index outer = emitter.unlinear(form.left, row);
  int64_t steps = (inner.bound(graph.extentBounds) + lanes - 1) / lanes;

  bool mismatch = false;
  for (const std::vector<const Op *> &pass : passes()) {
    Accumulators accumulators(shader, emitter, graph, pass);
    accumulators.start();
    accumulators.loop(lanes == 1 ? emitter.index(0) : lane, size, lanes, steps, [&](const Expr &k) {
      Index full = form.merge(outer, emitter.unlinear(form.reduced, k));
      for (size_t i = 0; i < pass.size(); ++i)
        accumulators.take(i, emitter.element(pass[i]->operands[0], full), k);
    });
    accumulators.tree(lanes, lanes * rows);
    for (size_t i = 0; i < pass.size(); ++i)
      defineResult(emitter, graph, *pass[i], outer, accumulators.result(i), mismatch);
  }
  auto isFull = [&](uint32_t value) { return sameDims(graph.type(value).dims, form.full); };
  if (std::any_of(graph.outputs.begin(), graph.outputs.end(), isFull)) {
    emitter.line("const int last = valid ? " + size.text + " : 0;");
    Expr k = emitter.loop(lanes == 1 ? emitter.index(0) : lane, Emitter::outer("last"), emitter.index(lanes));
    storeFull(emitter, outer, row, size, k);
    emitter.close();
  }
  if (!std::all_of(graph.outputs.begin(), graph.outputs.end(), isFull)) {
    if (lanes > 1) // what is written may lie where others of the row still read
      emitter.line("barrier();");
    emitter.open(lanes > 1 ? "if (valid && lane == 0)" : "if (valid)", /*guard=*/true);
    storeRow(emitter, outer, row);
    emitter.close();
  }
  return !mismatch;
}

bool Rows::print(uint32_t lanes, uint32_t rows, Dispatch &dispatch) const {
  std::vector<ScratchArray> none;
  Shader shader(graph, settings, none);
  Emitter emitter(graph, shader, emitterOptions(settings));
  std::string reason;
  uint32_t op;
  for (uint32_t value : graph.outputs)
    if (!emitter.canPrint(value, reason, op))
      return false;
  if (!printInto(shader, emitter, lanes, rows))
    return false;
  dispatch = shader.finish(emitter);
  return true;
}

bool planRows(const Graph &graph, const Settings &settings, KernelPlan &plan) {
  ReductionForm form;
  if (!ReductionForm::find(graph, form))
    return false;
  Rows rows(graph, settings, form);
  if (!rows.legal())
    return false;
  int64_t inner = graph.bound(form.reduced);
  KernelPlan result;
  // A row for each invocation: nothing has to wait, and a processor's lanes work side by side.
  Variant serial;
  serial.dispatches.resize(1);
  if (!rows.print(1, 16, serial.dispatches[0]))
    return false;
  if (inner > 8) {
    serial.features = KILN_VK_ON_CPU;
    uint32_t lanes = static_cast<uint32_t>(
        std::clamp<int64_t>(static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(inner))) / 2, 8, 256));
    Variant shared;
    shared.dispatches.resize(1);
    if (!rows.print(lanes, std::max(1u, usualLocal / lanes), shared.dispatches[0]))
      return false;
    result.variants = {std::move(serial), std::move(shared)};
  } else {
    result.variants = {std::move(serial)};
  }
  plan = std::move(result);
  return true;
}

} // namespace kiln::vulkan
