// What a kernel's shape promises (docs/fusion.md), held against its ops.

#include "Graph.h"
#include <algorithm>

namespace kiln::sdk {

const char *shapeName(int32_t shape) {
  switch (shape) {
#define KILN_SHAPE(number, name, kind)                                                                                 \
  case number:                                                                                                         \
    return #name;
#include "backends/api/shapes.inc"
#undef KILN_SHAPE
  }
  return "any";
}

std::vector<int64_t> reducedAxes(const Op &op) {
  return op.code == OpCode::ArgReduce ? std::vector<int64_t>{op.integer("axis")} : op.ints("axes");
}

/// Reductions of values of one shape along the same axes, and outputs of that shape (of rows) or of what is left.
static bool keepsReductions(const Graph &graph, const std::vector<const Op *> &whole, bool rows) {
  if (whole.empty())
    return false;
  const Type &full = graph.type(whole[0]->operands[0]), &left = graph.type(whole[0]->results[0]);
  std::vector<int64_t> axes = reducedAxes(*whole[0]);
  for (const Op *op : whole)
    if ((op->code != OpCode::Reduce && !(rows && op->code == OpCode::ArgReduce)) || reducedAxes(*op) != axes ||
        !sameDims(graph.type(op->operands[0]).dims, full.dims))
      return false;
  if (axes.empty() || (rows && axes[0] != static_cast<int64_t>(full.rank() - axes.size())))
    return false;
  return std::all_of(graph.outputs.begin(), graph.outputs.end(), [&](uint32_t value) {
    const std::vector<kiln_extent> &dims = graph.type(value).dims;
    return sameDims(dims, left.dims) || (rows && sameDims(dims, full.dims));
  });
}

/// Whether an op whose element takes many is computed from another one.
static bool isChained(const Graph &graph) {
  std::vector<bool> below(graph.values.size(), false);
  for (const Op &op : graph.ops) {
    bool any = std::any_of(op.operands.begin(), op.operands.end(), [&](uint32_t v) { return below[v]; });
    if (any && isWhole(op.code))
      return true;
    for (uint32_t value : op.results)
      below[value] = any || isWhole(op.code);
  }
  return false;
}

bool isOfShape(const Graph &graph, int32_t shape) {
  std::vector<const Op *> whole;
  for (const Op &op : graph.ops)
    if (isWhole(op.code))
      whole.push_back(&op);
  auto isOnly = [&](auto... codes) { return whole.size() == 1 && ((whole[0]->code == codes) || ...); };
  switch (shape) {
  case KILN_SHAPE_ELEMENTWISE:
    return whole.empty();
  case KILN_SHAPE_ROWS:
    return keepsReductions(graph, whole, /*rows=*/true);
  case KILN_SHAPE_COLUMNS:
    return keepsReductions(graph, whole, /*rows=*/false) && !isChained(graph);
  case KILN_SHAPE_CONTRACT:
    return whole.size() == 1 && infoOf(whole[0]->code).opClass == OpClass::Contraction &&
           std::all_of(graph.outputs.begin(), graph.outputs.end(), [&](uint32_t value) {
             return sameDims(graph.type(value).dims, graph.type(whole[0]->results[0]).dims);
           });
  case KILN_SHAPE_WINDOW:
    return isOnly(OpCode::ReduceWindow, OpCode::ReduceWindowGrad);
  case KILN_SHAPE_SCATTER:
    return isOnly(OpCode::Scatter);
  case KILN_SHAPE_ATTENTION:
    return isOnly(OpCode::Attention, OpCode::AttentionGrad) ||
           isOnly(OpCode::BiasedAttention, OpCode::BiasedAttentionGrad) ||
           isOnly(OpCode::DropoutAttention, OpCode::DropoutAttentionGrad) ||
           isOnly(OpCode::CappedAttention, OpCode::CappedAttentionGrad);
  case KILN_SHAPE_SINGLE:
    return whole.size() <= 1;
  default:
    return true;
  }
}

} // namespace kiln::sdk
