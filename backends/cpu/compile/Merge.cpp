// Equal ops of a kernel become one.
//
// Differentiation and fusion leave the same expression behind under several names (one under a stop_gradient, one not).
// Within one loop the code would be shared anyway; across the stages of a row it is only if it is one value.
#include "backends/cpu/compile/Phases.h"

namespace kiln::cpu {

static auto attributes(const Op &op) {
  return std::tie(op.axes, op.axis, op.batchDims, op.stream, op.k, op.groups, op.slidingWindow, op.reverse,
                  op.exclusive, op.descending, op.predicate, op.combine, op.starts, op.lowExtents, op.highExtents,
                  op.extent, op.strides, op.interior, op.window, op.low, op.high, op.inputDilation, op.filterDilation,
                  op.lhsBatch, op.rhsBatch, op.lhsContract, op.rhsContract, op.bytes, op.causal, op.scale);
}

static bool same(const Graph &graph, const Op &a, const Op &b) {
  if (a.code != b.code || a.operands != b.operands || a.results.size() != b.results.size() ||
      !(attributes(a) == attributes(b)))
    return false;
  for (auto [x, y] : llvm::zip(a.results, b.results))
    if (graph.type(x).dtype != graph.type(y).dtype || !(graph.type(x).dims == graph.type(y).dims))
      return false;
  return true;
}

void mergeEqualOps(Graph &graph) {
  std::vector<uint32_t> now(graph.values.size());
  for (uint32_t v = 0; v < now.size(); ++v)
    now[v] = v;
  std::vector<Op> ops;
  llvm::DenseMap<std::pair<int, uint32_t>, llvm::SmallVector<size_t, 2>> seen; // by op and first operand
  for (Op &op : graph.ops) {
    for (uint32_t &operand : op.operands)
      operand = now[operand];
    if (op.code == OpCode::StopGradient) {
      now[op.results[0]] = op.operands[0];
      continue;
    }
    llvm::SmallVector<size_t, 2> &others =
        seen[{static_cast<int>(op.code), op.operands.empty() ? ~2u : op.operands[0]}];
    auto *equal = llvm::find_if(others, [&](size_t i) { return same(graph, ops[i], op); });
    if (equal != others.end()) {
      for (auto [mine, its] : llvm::zip(op.results, ops[*equal].results))
        now[mine] = its;
      continue;
    }
    others.push_back(ops.size());
    ops.push_back(std::move(op));
  }
  for (uint32_t &output : graph.outputs)
    output = now[output];
  graph.ops = std::move(ops);
  graph.producer.assign(graph.values.size(), -1);
  for (size_t i = 0; i < graph.ops.size(); ++i)
    for (uint32_t result : graph.ops[i].results)
      graph.producer[result] = static_cast<int32_t>(i);
}

} // namespace kiln::cpu
