// What forms ask of a kernel: in which order its reductions run, how the operands of a product and of attention lie.
//
// Of sdk::Graph, and of a backend's own graph alike: one that has its members, with ops whose codes are OpCode and
// whose attributes ints() reads, and with extents that isOne() knows.
#pragma once

#include "../Graph.h"
#include <algorithm>
#include <initializer_list>
#include <numeric>

namespace kiln::sdk {

/// The kernel's only op whose element takes many of an operand's, one of `codes`. Null where there is none, or one too
/// many: `odd`.
template <class Graph, class Op>
const Op *onlyWhole(const Graph &graph, std::initializer_list<OpCode> codes, const Op *&odd) {
  const Op *found = nullptr;
  for (const Op &op : graph.ops) {
    if (!isWhole(op.code))
      continue;
    if (found || std::find(codes.begin(), codes.end(), op.code) == codes.end())
      return odd = &op, nullptr;
    found = &op;
  }
  return found;
}

/// Its ops whose elements take many, in the order of their dependence: first those that depend on no other, then those
/// that depend on these alone, and so on.
template <class Graph> auto passesOf(const Graph &graph) {
  std::vector<std::vector<decltype(&graph.ops[0])>> passes;
  std::vector<size_t> depth(graph.values.size(), 0);
  for (const auto &op : graph.ops) {
    size_t below = 0;
    for (uint32_t operand : op.operands)
      below = std::max(below, depth[operand]);
    if (isWhole(op.code)) {
      passes.resize(std::max(passes.size(), below + 1));
      passes[below++].push_back(&op);
    }
    for (uint32_t value : op.results)
      depth[value] = below;
  }
  return passes;
}

/// A value that is another one, transposed at most: element index[axes[d]] is axis d of that one.
struct Transposed {
  uint32_t value = 0;
  std::vector<size_t> axes;
};
template <class Graph> Transposed throughTransposes(const Graph &graph, uint32_t value) {
  Transposed result{value, std::vector<size_t>(graph.type(value).rank())};
  std::iota(result.axes.begin(), result.axes.end(), static_cast<size_t>(0));
  for (const auto *op = graph.definingOp(value); op && op->code == OpCode::Transpose;
       op = graph.definingOp(result.value)) {
    std::vector<size_t> above = result.axes;
    for (size_t d = 0; d < above.size(); ++d)
      result.axes[static_cast<size_t>(op->ints("permutation")[d])] = above[d];
    result.value = op->operands[0];
  }
  return result;
}

template <class Dims> int lastWide(const Dims &dims) {
  for (size_t d = dims.size(); d-- > 0;)
    if (!isOne(dims[d]))
      return static_cast<int>(d);
  return static_cast<int>(dims.size()) - 1;
}

/// Of the result of one op, where that of its operands is known: contiguousAxis.
template <class Graph, class Op, class Dims>
int contiguousAxisOf(const Graph &graph, const Op &op, const Dims &dims, const std::vector<int> &axisOf) {
  auto below = [&] { return axisOf[op.operands[0]]; };
  switch (op.code) {
  case OpCode::Transpose: {
    const auto &permutation = op.ints("permutation");
    auto found = std::find(permutation.begin(), permutation.end(), below());
    return found == permutation.end() ? -1 : static_cast<int>(found - permutation.begin());
  }
  case OpCode::Broadcast: {
    int source = below();
    if (source < 0 || isOne(graph.type(op.operands[0]).dims[static_cast<size_t>(source)]))
      return -1;
    return static_cast<int>(op.ints("axes")[static_cast<size_t>(source)]);
  }
  case OpCode::Slice: {
    int source = below();
    return source >= 0 && op.ints("strides")[static_cast<size_t>(source)] == 1 ? source : -1;
  }
  case OpCode::Reshape:
    return below() == lastWide(graph.type(op.operands[0]).dims) ? lastWide(dims) : -1;
  case OpCode::Constant:
  case OpCode::Iota:
  case OpCode::Extent:
    return -1;
  case OpCode::Gather:
    return below() == static_cast<int>(graph.type(op.operands[0]).rank()) - 1 ? lastWide(dims) : -1;
  default:
    for (uint32_t operand : op.operands)
      if (graph.type(operand).rank() == dims.size() && axisOf[operand] >= 0)
        return axisOf[operand];
    return -1;
  }
}

/// The axis along which neighbours are neighbours in memory, as far as layout and elementwise ops tell; -1: none.
template <class Graph> int contiguousAxis(const Graph &graph, uint32_t value) {
  std::vector<int> axisOf; // of each value, in one walk from the inputs on, however often ops read one another
  for (uint32_t v = 0; v < graph.values.size(); ++v)
    axisOf.push_back(lastWide(graph.type(v).dims));
  for (const auto &op : graph.ops)
    for (uint32_t result : op.results)
      axisOf[result] = contiguousAxisOf(graph, op, graph.type(result).dims, axisOf);
  return axisOf[value];
}

//===-- Products --------------------------------------------------------------------------------------------------===//

/// One of the two operands of a product.
struct Operand {
  uint32_t value = 0;
  /// Of dot_general: where the operand's axes belong.
  std::vector<size_t> batchAxes, freeAxes, depthAxes;
  int innermost = -1; // contiguousAxis
  /// Which of them that is one of.
  enum { None, Free, Depth } contiguous = None;
  /// The operand is memory, transposed at most: element index[permutation[d]] is axis d of the place.
  int place = -1;
  std::vector<size_t> permutation;
};

template <class Graph, class Op> Operand readOperand(const Graph &graph, const Op &dot, bool left) {
  Operand operand;
  operand.value = dot.operands[left ? 0 : 1];
  auto has = [](const std::vector<size_t> &list, size_t axis) {
    return std::find(list.begin(), list.end(), axis) != list.end();
  };
  const auto &batch = dot.ints(left ? "lhs_batch" : "rhs_batch"),
             &depth = dot.ints(left ? "lhs_contract" : "rhs_contract");
  operand.batchAxes.assign(batch.begin(), batch.end());
  operand.depthAxes.assign(depth.begin(), depth.end());
  for (size_t axis = 0; axis < graph.type(operand.value).rank(); ++axis)
    if (!has(operand.batchAxes, axis) && !has(operand.depthAxes, axis))
      operand.freeAxes.push_back(axis);
  operand.innermost = contiguousAxis(graph, operand.value);
  if (operand.innermost >= 0) {
    auto axis = static_cast<size_t>(operand.innermost);
    operand.contiguous = has(operand.depthAxes, axis)  ? Operand::Depth
                         : has(operand.freeAxes, axis) ? Operand::Free
                                                       : Operand::None;
  }
  Transposed below = throughTransposes(graph, operand.value);
  operand.place = graph.inputNumber(below.value);
  operand.permutation = below.axes;
  return operand;
}

template <class Dims> Dims dimsAt(const Dims &dims, const std::vector<size_t> &axes) {
  Dims result;
  for (size_t axis : axes)
    result.push_back(dims[axis]);
  return result;
}

//===-- Attention -------------------------------------------------------------------------------------------------===//

/// Of attention and its gradients, of any kind: which value is what.
template <class Graph, class Extent> struct AttentionForm {
  bool backward = false, biased = false, masked = false, started = false, drops = false;
  uint32_t q = 0, k = 0, v = 0, result = 0, lse = 0, gradient = 0, bias = 0, mask = 0, start = 0, seed = 0;
  std::vector<uint32_t> counters;
  Extent batches, heads, keyHeads, queries, keys, width, valueWidth;

  AttentionForm() = default;
  template <class Op>
  AttentionForm(const Graph &graph, const Op &op)
      : backward(op.code == OpCode::AttentionGrad || op.code == OpCode::BiasedAttentionGrad ||
                 op.code == OpCode::DropoutAttentionGrad || op.code == OpCode::CappedAttentionGrad) {
    q = op.operands[0], k = op.operands[1], v = op.operands[2];
    if (backward)
      result = op.operands[3], lse = op.operands[4], gradient = op.operands[5];
    // What may be absent is told by its type.
    for (size_t i = backward ? 6 : 3; i < op.operands.size(); ++i) {
      uint32_t value = op.operands[i];
      const auto &type = graph.type(value);
      if (type.rank() && type.dtype == KILN_BOOL)
        masked = true, mask = value;
      else if (type.rank())
        biased = true, bias = value;
      else if (drops)
        counters.push_back(value);
      else if (type.dtype == KILN_U32)
        drops = true, seed = value;
      else
        started = true, start = value;
    }
    const auto &query = graph.type(q).dims, &value = graph.type(v).dims;
    batches = query[0], heads = query[1], keyHeads = value[1], queries = query[2], width = query[3], keys = value[2],
    valueWidth = value[3];
  }
};

} // namespace kiln::sdk
