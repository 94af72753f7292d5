// Updates combined in the order of their indices.
//
// Equal indices have to be combined in ascending order, whatever runs at once. One dispatch links each index to the
// next equal one; then each first one of a chain has an invocation for each element of its slice, which goes down the
// chain.
#include "backends/vulkan/compile/Shader.h"
#include "backends/vulkan/compile/Strategy.h"

using namespace kiln::sdk;

namespace kiln::vulkan {

namespace {
/// Every index is compared with every other: beyond so many that is no longer cheap.
constexpr int64_t mostIndices = 1 << 16;

class ScatterPlan {
public:
  ScatterPlan(const Graph &graph, const Settings &settings, const Op &op);

  template <class Print> bool add(Variant &variant, const Number &items, Print print);
  bool printCopy(Shader &shader, Emitter &emitter, const Expr &item);
  bool printLinks(Shader &shader, Emitter &emitter, const Expr &item);
  bool printUpdates(Shader &shader, Emitter &emitter, const Expr &item);
  bool plan(KernelPlan &plan);

private:
  Expr indexAt(Emitter &emitter, const Index &batch, const Expr &i);

  const Graph &graph;
  const Settings &settings;
  const Op &op;
  std::vector<kiln_extent> batch, chosen, outer, inner; // dims: shared, of the indices, before and after the axis
  kiln_extent limit;
  Number batches, count;
  std::vector<ScratchArray> scratch; // whether first of its chain; the next one, or -1
  uint32_t heads, links;
};
} // namespace

ScatterPlan::ScatterPlan(const Graph &graph, const Settings &settings, const Op &op)
    : graph(graph), settings(settings), op(op) {
  const std::vector<kiln_extent> &result = graph.type(op.results[0]).dims, &indices = graph.type(op.operands[1]).dims;
  auto axis = op.integer("axis"), shared = op.integer("batch_dims");
  batch.assign(indices.begin(), indices.begin() + shared);
  chosen.assign(indices.begin() + shared, indices.end());
  outer.assign(result.begin() + shared, result.begin() + axis);
  inner.assign(result.begin() + axis + 1, result.end());
  limit = result[static_cast<size_t>(axis)];
  batches = Number::of(batch);
  count = Number::of(chosen);
  Number all = max(batches * count, Number(1));
  int64_t bytes = (all.bound(graph.extentBounds) * 4 + 255) / 256 * 256;
  scratch = {{0, KILN_I32, all}, {bytes, KILN_I32, all}};
  heads = static_cast<uint32_t>(graph.inputs.size() + graph.outputs.size());
  links = heads + 1;
}

template <class Print> bool ScatterPlan::add(Variant &variant, const Number &items, Print print) {
  Shader shader(graph, settings, scratch);
  Emitter emitter(graph, shader, emitterOptions(settings));
  std::string reason;
  uint32_t number;
  for (uint32_t operand : op.operands)
    if (!emitter.canPrint(operand, reason, number))
      return false;
  shader.local(64);
  shader.grid(ceilDiv(items, 64));
  emitter.line("const int item = group * 64 + int(gl_LocalInvocationID.x);");
  emitter.open("if (item < " + shader.word(items) + ")", /*guard=*/true);
  bool good = print(shader, emitter, emitter.name("item"));
  emitter.close();
  variant.dispatches.push_back(shader.finish(emitter));
  return good;
}

bool ScatterPlan::printCopy(Shader &, Emitter &emitter, const Expr &item) {
  Expr element = emitter.elementAt(op.operands[0], item);
  emitter.store(static_cast<uint32_t>(graph.inputs.size()), graph.type(op.results[0]).dtype, item, element);
  return true;
}

Expr ScatterPlan::indexAt(Emitter &emitter, const Index &batchIndex, const Expr &i) {
  Index at = batchIndex, within = emitter.unlinear(chosen, i);
  at.insert(at.end(), within.begin(), within.end());
  kiln_dtype dtype = graph.type(op.operands[1]).dtype;
  Expr element = emitter.element(op.operands[1], at);
  if (dtype == KILN_I64) // what an int does not hold is out of range either way
    element.text = "int(clamp(" + element.text + ", -1l, 2147483647l))";
  else
    element.text = "int(" + element.text + ")";
  return emitter.bind("int", element);
}

bool ScatterPlan::printLinks(Shader &shader, Emitter &emitter, const Expr &item) {
  Expr n = Emitter::outer(shader.word(count));
  Index place = emitter.unlinear(batch, emitter.bind("int", emitter.div(item, n)));
  Expr i = emitter.bind("int", emitter.mod(item, n));
  Expr mine = indexAt(emitter, place, i), bound = emitter.extent(limit);
  emitter.line("const bool inside = " + mine.text + " >= 0 && " + mine.text + " < " + bound.text + ";");
  emitter.line(shader.report(KILN_INDEX_OUT_OF_RANGE, op.number, "!inside", mine.text, bound.text));
  emitter.line("int head = inside ? 1 : 0, next = -1;");
  Expr before = emitter.loop(i);
  emitter.line("if (" + indexAt(emitter, place, before).text + " == " + mine.text + ") head = 0;");
  emitter.close();
  Expr after = emitter.loop(emitter.add(i, emitter.index(1)), n, emitter.index(1));
  emitter.line("if (" + indexAt(emitter, place, after).text + " == " + mine.text + ") { next = " + after.text +
               "; break; }");
  emitter.close();
  emitter.store(heads, KILN_I32, item, emitter.name("head"));
  emitter.store(links, KILN_I32, item, emitter.name("next"));
  return true;
}

bool ScatterPlan::printUpdates(Shader &shader, Emitter &emitter, const Expr &item) {
  // Neighbours have neighbouring elements of a slice.
  Expr n = Emitter::outer(shader.word(count));
  Expr inSlice = emitter.elements(inner);
  Expr above = emitter.bind("int", emitter.div(item, inSlice));
  Index within = emitter.unlinear(inner, emitter.bind("int", emitter.mod(item, inSlice)));
  Expr i = emitter.bind("int", emitter.mod(above, n));
  Expr rest = emitter.bind("int", emitter.div(above, n)), outers = emitter.elements(outer);
  Index beyond = emitter.unlinear(outer, emitter.bind("int", emitter.mod(rest, outers)));
  Expr p = emitter.bind("int", emitter.div(rest, outers));
  Index place = emitter.unlinear(batch, p);
  Expr base = emitter.bind("int", emitter.mul(p, n));
  emitter.line("const int start = " + shader.load(heads, KILN_I32, emitter.add(base, i).text) + ";");
  emitter.open("if (start == 1)", /*guard=*/true);
  Expr row = indexAt(emitter, place, i);
  Index target = place;
  target.insert(target.end(), beyond.begin(), beyond.end());
  target.push_back(row);
  target.insert(target.end(), within.begin(), within.end());
  const Type &type = graph.type(op.results[0]);
  Expr sum = emitter.variable(emitter.registerType(type.dtype), emitter.element(op.operands[0], target));
  emitter.line("int chain = " + i.text + ";");
  emitter.open("while (chain >= 0)");
  Expr chain = emitter.name("chain");
  chain.changes = true;
  Index from = place, link = emitter.unlinear(chosen, emitter.bind("int", {"(chain)", chain.level, {}, true}));
  from.insert(from.end(), beyond.begin(), beyond.end());
  from.insert(from.end(), link.begin(), link.end());
  from.insert(from.end(), within.begin(), within.end());
  Expr update = emitter.element(op.operands[2], from);
  emitter.line(sum.text + " = " + emitter.combine(op.text("kind"), sum, update, type.dtype).text + ";");
  emitter.line("chain = " + shader.load(links, KILN_I32, base.text + " + chain") + ";");
  emitter.close();
  Expr linear = emitter.bind("int", emitter.linear(type.dims, target));
  emitter.store(static_cast<uint32_t>(graph.inputs.size()), type.dtype, linear, emitter.name(sum.text));
  emitter.close();
  return true;
}

bool ScatterPlan::plan(KernelPlan &plan) {
  Variant variant;
  Number elements = Number::of(graph.type(op.results[0]).dims);
  Number updates = batches * count * Number::of(outer) * Number::of(inner);
  auto call = [&](auto member) {
    return [this, member](Shader &shader, Emitter &emitter, const Expr &item) {
      return (this->*member)(shader, emitter, item);
    };
  };
  if (!add(variant, elements, call(&ScatterPlan::printCopy)) ||
      !add(variant, batches * count, call(&ScatterPlan::printLinks)) ||
      !add(variant, updates, call(&ScatterPlan::printUpdates)))
    return false;
  plan = {};
  plan.variants.push_back(std::move(variant));
  plan.scratchBytes = 2 * scratch[1].offset;
  return true;
}

bool planScatter(const Graph &graph, const Settings &settings, KernelPlan &plan) {
  const Op *scatter = nullptr;
  for (const Op &op : graph.ops)
    if (isWhole(op.code)) {
      if (scatter || op.code != OpCode::Scatter)
        return false;
      scatter = &op;
    }
  if (!scatter || graph.outputs.size() != 1 || graph.outputs[0] != scatter->results[0])
    return false;
  const Type &indices = graph.type(scatter->operands[1]);
  size_t shared = static_cast<size_t>(scatter->integer("batch_dims"));
  std::vector<kiln_extent> chosen(indices.dims.begin() + std::ptrdiff_t(shared), indices.dims.end());
  return graph.bound(chosen) <= mostIndices && ScatterPlan(graph, settings, *scatter).plan(plan);
}

} // namespace kiln::vulkan
