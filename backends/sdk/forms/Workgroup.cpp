// What the forms over a workgroup print alike.
#include "backends/sdk/forms/Workgroup.h"
#include "backends/sdk/forms/Forms.h"
#include <algorithm>

namespace kiln::sdk {

bool Builder::canPrint(const std::vector<uint32_t> &values) const {
  Surroundings around;
  Emitter emitter(graph, around, options);
  std::string reason;
  uint32_t op;
  return std::all_of(values.begin(), values.end(), [&](uint32_t value) { return emitter.canPrint(value, reason, op); });
}

std::string localX(const Emitter &emitter) { return emitter.cast(emitter.indexType(), emitter.language().localX); }
std::string localY(const Emitter &emitter) { return emitter.cast(emitter.indexType(), emitter.language().localY); }

void declare(Emitter &emitter, const std::string &name, const std::string &text) {
  emitter.line("const " + emitter.indexType() + " " + name + " = " + text + ";");
}

void barrier(Emitter &emitter) { emitter.line(emitter.language().barrier); }

Expr number(Workgroup &group, Emitter &emitter, const Number &number) {
  if (std::optional<int64_t> constant = number.constant())
    return emitter.index(*constant);
  Expr held = Emitter::outer(group.word(number));
  held.most = number.at(emitter.graph.extentBounds);
  return held;
}

Expr least(Emitter &emitter, const Expr &a, const Expr &b) {
  if (a.constant && b.constant)
    return emitter.index(std::min(*a.constant, *b.constant));
  Expr smaller{"min(" + a.text + ", " + b.text + ")", std::max(a.level, b.level), {}, a.changes || b.changes};
  smaller.most = a.most < 0 ? b.most : b.most < 0 ? a.most : std::min(a.most, b.most);
  return emitter.bind(emitter.indexType(), smaller);
}

void openItems(Workgroup &group, Emitter &emitter, const Number &count, uint32_t local) {
  group.local(local);
  group.grid(ceilDiv(count, local));
  declare(emitter, "item", "group * " + std::to_string(local) + " + " + localX(emitter));
  // A group of one item has nothing beyond the last one where there are as many groups as asked for.
  if (local == 1 && group.exactGrid())
    emitter.open("");
  else
    emitter.open("if (item < " + group.word(count) + ")", /*guard=*/true);
}

void declareRows(Workgroup &group, Emitter &emitter, const Number &count, uint32_t lanes, uint32_t rows,
                 const std::string &name) {
  group.local(lanes, rows);
  group.grid(ceilDiv(count, rows));
  declare(emitter, "mine", "group * " + std::to_string(rows) + " + " + localY(emitter));
  declare(emitter, "lane", localX(emitter));
  emitter.line("const bool valid = mine < " + group.word(count) + ";");
  declare(emitter, name, "min(mine, " + group.word(count) + " - 1)");
}

void openFirst(Emitter &emitter, uint32_t lanes) {
  emitter.open(lanes > 1 ? "if (valid && lane == 0)" : "if (valid)", /*guard=*/true);
}

void defineAt(Emitter &emitter, uint32_t value, const Index &index, const Expr &held, bool &mismatch) {
  const std::vector<kiln_extent> &dims = emitter.graph.type(value).dims;
  emitter.define(value, [index, held, &mismatch, &dims](const Index &asked) {
    for (size_t axis = 0; axis < dims.size(); ++axis)
      mismatch |= !isOne(dims[axis]) && asked[axis].text != index[axis].text;
    return held;
  });
}

/// The kernel's shape; of one that promises nothing, what its ops may be: printing tells whether they are.
static int32_t shapeToTry(const Graph &graph) {
  for (int32_t shape : {KILN_SHAPE_CONTRACT, KILN_SHAPE_COLUMNS, KILN_SHAPE_ROWS, KILN_SHAPE_SCATTER})
    if (graph.shape == KILN_SHAPE_ANY && isOfShape(graph, shape))
      return shape;
  return graph.shape;
}

/// The form for the kernel's shape; empty where it has none of its own.
static std::string_view buildForm(Builder &builder, const std::function<void(ContractionBuilder &product)> &others) {
  const Graph &graph = builder.graph;
  auto named = [](bool built, std::string_view name) { return built ? name : std::string_view(); };
  switch (shapeToTry(graph)) {
  case KILN_SHAPE_CONTRACT:
    return named(buildContraction(builder, others), "product");
  case KILN_SHAPE_ROWS: // whose rows nobody needs again are better cut up where they are long
    if (!isOfShape(graph, KILN_SHAPE_COLUMNS))
      return named(buildRows(builder), "rows");
    [[fallthrough]];
  case KILN_SHAPE_COLUMNS:
    return named(buildColumns(builder), "columns");
  case KILN_SHAPE_SCATTER:
    return named(buildScatter(builder), "scatter");
  case KILN_SHAPE_ATTENTION:
    return named(buildAttention(builder), "attention");
  default:
    return {};
  }
}

bool buildKernel(Builder &builder, std::string &reason, uint32_t &op,
                 const std::function<void(ContractionBuilder &product)> &others) {
  if (builder.graph.fits32()) {
    builder.form = buildForm(builder, others);
    if (!builder.form.empty())
      return true;
    builder.clear();
  }
  builder.form = "elements";
  return buildElements(builder, reason, op);
}

} // namespace kiln::sdk
