// Updates combined in the order of their indices.
//
// Equal indices have to be combined in ascending order, whatever runs at once. One dispatch links each index to the
// next equal one; then each first one of a chain has an invocation for each element of its slice, which goes down the
// chain.
#include "backends/sdk/forms/Forms.h"
#include <limits>

namespace kiln::sdk {

namespace {
/// Every index is compared with every other: beyond so many that is no longer cheap.
constexpr int64_t mostIndices = 1 << 16;

class ScatterPlan {
public:
  ScatterPlan(Builder &builder, const Op &op);
  bool build();

private:
  using Print = void (ScatterPlan::*)(Workgroup &group, Emitter &emitter, const Expr &item) const;
  bool add(const Number &items, Print print);
  void printCopy(Workgroup &group, Emitter &emitter, const Expr &item) const;
  void printLinks(Workgroup &group, Emitter &emitter, const Expr &item) const;
  void printUpdates(Workgroup &group, Emitter &emitter, const Expr &item) const;
  Expr givenAt(Emitter &emitter, const Index &batch, const Expr &i) const; // as it stands there
  Expr indexAt(Emitter &emitter, const Index &batch, const Expr &i) const;

  Builder &builder;
  const Graph &graph;
  const Op &op;
  std::vector<kiln_extent> batch, chosen, outer, inner; // dims: shared, of the indices, before and after the axis
  kiln_extent limit;
  Number batches, count;
  std::vector<ScratchArray> scratch; // whether first of its chain; the next one, or -1
  uint32_t heads, links;
};
} // namespace

ScatterPlan::ScatterPlan(Builder &builder, const Op &op) : builder(builder), graph(builder.graph), op(op) {
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
  int64_t bytes = alignScratch(all.at(graph.extentBounds) * 4);
  scratch = {{0, KILN_I32, all}, {bytes, KILN_I32, all}};
  heads = builder.scratchPlace(0);
  links = builder.scratchPlace(1);
}

bool ScatterPlan::add(const Number &items, Print print) {
  return builder.launch(scratch, [&](Workgroup &group, Emitter &emitter) {
    openItems(group, emitter, items, 64);
    (this->*print)(group, emitter, emitter.name("item"));
    emitter.close();
    return true;
  });
}

void ScatterPlan::printCopy(Workgroup &, Emitter &emitter, const Expr &item) const {
  Expr element = emitter.elementAt(op.operands[0], item);
  emitter.store(builder.outputPlace(0), graph.type(op.results[0]).dtype, item, element);
}

Expr ScatterPlan::givenAt(Emitter &emitter, const Index &batchIndex, const Expr &i) const {
  Index at = batchIndex, within = emitter.unlinear(chosen, i);
  at.insert(at.end(), within.begin(), within.end());
  return emitter.givenIndex(op.operands[1], at);
}

Expr ScatterPlan::indexAt(Emitter &emitter, const Index &batchIndex, const Expr &i) const {
  kiln_dtype dtype = graph.type(op.operands[1]).dtype;
  Expr element = givenAt(emitter, batchIndex, i);
  if (dtype == KILN_I64) // what an int does not hold is out of range either way
    element.text = "clamp(" + element.text + ", " + emitter.literal(dtype, 0, -1).text + ", " +
                   emitter.literal(dtype, 0, std::numeric_limits<int32_t>::max()).text + ")";
  element.text = emitter.cast(emitter.indexType(), element.text);
  return emitter.bind(emitter.indexType(), element);
}

void ScatterPlan::printLinks(Workgroup &group, Emitter &emitter, const Expr &item) const {
  Expr n = number(group, emitter, count);
  Index place = emitter.unlinear(batch, emitter.bind(emitter.indexType(), emitter.div(item, n)));
  Expr i = emitter.bind(emitter.indexType(), emitter.mod(item, n));
  Expr mine = indexAt(emitter, place, i), bound = emitter.extent(limit);
  emitter.line("const bool inside = " + mine.text + " >= 0 && " + mine.text + " < " + bound.text + ";");
  emitter.line(
      group.report(KILN_INDEX_OUT_OF_RANGE, op.number, "!inside", givenAt(emitter, place, i).text, bound.text));
  emitter.line(emitter.indexType() + " head = inside ? 1 : 0, next = -1;");
  Expr before = emitter.loop(i);
  emitter.line("if (" + indexAt(emitter, place, before).text + " == " + mine.text + ") head = 0;");
  emitter.close();
  emitter.line(emitter.indexType() + " after = " + i.text + " + 1;");
  std::string isOpen = "next < 0 && after < " + n.text;
  emitter.openLoop("while (" + isOpen + ")", count.at(graph.extentBounds), isOpen);
  Expr after = emitter.name("(after)");
  after.changes = true;
  emitter.line("if (" + indexAt(emitter, place, after).text + " == " + mine.text + ") next = after;");
  emitter.line("++after;");
  emitter.close();
  emitter.store(heads, KILN_I32, item, emitter.name("head"));
  emitter.store(links, KILN_I32, item, emitter.name("next"));
}

void ScatterPlan::printUpdates(Workgroup &group, Emitter &emitter, const Expr &item) const {
  // Neighbours have neighbouring elements of a slice.
  Expr n = Emitter::outer(group.word(count));
  Expr inSlice = emitter.elements(inner);
  Expr above = emitter.bind(emitter.indexType(), emitter.div(item, inSlice));
  Index within = emitter.unlinear(inner, emitter.bind(emitter.indexType(), emitter.mod(item, inSlice)));
  Expr i = emitter.bind(emitter.indexType(), emitter.mod(above, n));
  Expr rest = emitter.bind(emitter.indexType(), emitter.div(above, n)), outers = emitter.elements(outer);
  Index beyond = emitter.unlinear(outer, emitter.bind(emitter.indexType(), emitter.mod(rest, outers)));
  Expr p = emitter.bind(emitter.indexType(), emitter.div(rest, outers));
  Index place = emitter.unlinear(batch, p);
  Expr base = emitter.bind(emitter.indexType(), emitter.mul(p, n));
  declare(emitter, "start", group.load(heads, KILN_I32, emitter.add(base, i).text));
  emitter.open("if (start == 1)", /*guard=*/true);
  Expr row = indexAt(emitter, place, i);
  Index target = place;
  target.insert(target.end(), beyond.begin(), beyond.end());
  target.push_back(row);
  target.insert(target.end(), within.begin(), within.end());
  const Type &type = graph.type(op.results[0]);
  Expr sum = emitter.variable(emitter.registerType(type.dtype), emitter.element(op.operands[0], target));
  emitter.line(emitter.indexType() + " chain = " + i.text + ";");
  emitter.openLoop("while (chain >= 0)", count.at(graph.extentBounds), "chain >= 0");
  Expr chain = emitter.name("chain");
  chain.changes = true;
  Index from = place,
        link = emitter.unlinear(chosen, emitter.bind(emitter.indexType(), {"(chain)", chain.level, {}, true}));
  from.insert(from.end(), beyond.begin(), beyond.end());
  from.insert(from.end(), link.begin(), link.end());
  from.insert(from.end(), within.begin(), within.end());
  Expr update = emitter.element(op.operands[2], from);
  emitter.line(sum.text + " = " + emitter.combine(op.text("kind"), sum, update, type.dtype).text + ";");
  emitter.line("chain = " + group.load(links, KILN_I32, base.text + " + chain") + ";");
  emitter.close();
  Expr linear = emitter.bind(emitter.indexType(), emitter.linear(type.dims, target));
  emitter.store(builder.outputPlace(0), type.dtype, linear, emitter.name(sum.text));
  emitter.close();
}

bool ScatterPlan::build() {
  Number elements = Number::of(graph.type(op.results[0]).dims);
  Number updates = batches * count * Number::of(outer) * Number::of(inner);
  if (!builder.canPrint(op.operands))
    return false;
  builder.variant(Builder::Device::Any);
  builder.needScratch(2 * scratch[1].offset);
  return add(elements, &ScatterPlan::printCopy) && add(batches * count, &ScatterPlan::printLinks) &&
         add(updates, &ScatterPlan::printUpdates);
}

bool buildScatter(Builder &builder) {
  const Graph &graph = builder.graph;
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
  return graph.bound(chosen) <= mostIndices && ScatterPlan(builder, *scatter).build();
}

} // namespace kiln::sdk
