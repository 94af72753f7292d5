// Reading the form of a product or a convolution, and its places.

#include "backends/sdk/forms/Contraction.h"
#include <algorithm>
#include <numeric>

namespace kiln::sdk {

//===-- The form --------------------------------------------------------------------------------------------------===//

/// lhs: the filter [O, C/groups, window...]; rhs: the input [N, C, places...].
bool Contraction::readConvolution(const Graph &graph) {
  lhs.value = op->operands[1];
  rhs.value = op->operands[0];
  const Type &filter = graph.type(lhs.value), &input = graph.type(rhs.value), &result = graph.type(op->results[0]);
  groups = op->integer("groups", 1);
  kiln_extent channels = filter.dims[0];
  if (groups > 1) {
    if (channels.slot >= 0 || input.dims[1].slot >= 0)
      return false;
    channels.value /= groups;
  }
  batch = {{groups, -1}};
  rows = {channels};
  columns = {input.dims[0]};
  columns.insert(columns.end(), result.dims.begin() + 2, result.dims.end());
  depth.assign(filter.dims.begin() + 1, filter.dims.end());
  lhs.contiguous = Operand::Depth;
  rhs.contiguous = Operand::Free;
  return true;
}

bool Contraction::find(const Graph &graph, Contraction &form) {
  const Op *odd = nullptr;
  form.op = onlyWhole(graph, {OpCode::DotGeneral, OpCode::Convolution}, odd);
  if (!form.op)
    return false;
  const Type &result = graph.type(form.op->results[0]);
  form.dtype = Emitter::accumulator(result.dtype);
  if (form.dtype == KILN_BOOL)
    return false;
  for (uint32_t value : graph.outputs)
    if (!sameDims(graph.type(value).dims, result.dims))
      return false;
  if (form.op->code == OpCode::Convolution)
    return form.readConvolution(graph);
  form.lhs = readOperand(graph, *form.op, true);
  form.rhs = readOperand(graph, *form.op, false);
  const std::vector<kiln_extent> &left = graph.type(form.lhs.value).dims, &right = graph.type(form.rhs.value).dims;
  form.batch = dimsAt(left, form.lhs.batchAxes);
  form.rows = dimsAt(left, form.lhs.freeAxes);
  form.columns = dimsAt(right, form.rhs.freeAxes);
  form.depth = dimsAt(left, form.lhs.depthAxes);
  return true;
}

//===-- Elements --------------------------------------------------------------------------------------------------===//

Index Contraction::place(const Operand &operand, const Index &b, const Index &free, const Index &k) const {
  Index index(b.size() + free.size() + k.size());
  for (size_t i = 0; i < b.size(); ++i)
    index[operand.batchAxes[i]] = b[i];
  for (size_t i = 0; i < free.size(); ++i)
    index[operand.freeAxes[i]] = free[i];
  for (size_t i = 0; i < k.size(); ++i)
    index[operand.depthAxes[i]] = k[i];
  return index;
}

Expr Contraction::widen(Emitter &emitter, uint32_t value, const Index &index) const {
  return emitter.convert(emitter.element(value, index), emitter.graph.type(value).dtype, dtype);
}

Expr Contraction::left(Emitter &emitter, const Index &b, const Index &m, const Index &k) const {
  if (op->code == OpCode::DotGeneral)
    return widen(emitter, lhs.value, place(lhs, b, m, k));
  Index index = {groups == 1 ? m[0] : emitter.add(emitter.mul(b[0], emitter.extent(rows[0])), m[0])};
  index.insert(index.end(), k.begin(), k.end());
  return widen(emitter, lhs.value, index);
}

Expr Contraction::right(Emitter &emitter, const Index &b, const Index &n, const Index &k) const {
  if (op->code == OpCode::DotGeneral)
    return widen(emitter, rhs.value, place(rhs, b, n, k));
  return window(emitter, b, n, k);
}

/// The input's element that a place of the filter meets, 0 in the padding and between dilated elements.
Expr Contraction::window(Emitter &emitter, const Index &b, const Index &n, const Index &k) const {
  const std::vector<int64_t> &strides = op->ints("strides"), &low = op->ints("low"), &high = op->ints("high"),
                             &spread = op->ints("input_dilation"), &gaps = op->ints("filter_dilation");
  const Type &input = emitter.graph.type(rhs.value);
  Index index = {n[0], groups == 1 ? k[0] : emitter.add(emitter.mul(b[0], emitter.extent(depth[0])), k[0])};
  std::string inside;
  for (size_t axis = 0; axis < strides.size(); ++axis) {
    Expr tap = emitter.mul(k[1 + axis], emitter.index(gaps[axis]));
    Expr at =
        emitter.add(emitter.sub(emitter.mul(n[1 + axis], emitter.index(strides[axis])), emitter.index(low[axis])), tap);
    bool always = low[axis] <= 0 && high[axis] <= 0 && spread[axis] == 1;
    if (!always) {
      at = emitter.bind(emitter.indexType(), at);
      Expr size = emitter.extent(input.dims[2 + axis]);
      std::string within = at.text + " >= 0";
      if (spread[axis] > 1) {
        // A negative number's remainder is never looked at.
        Expr step = emitter.index(spread[axis]);
        within += " && " + emitter.mod(at, step).text + " == 0";
        at = emitter.div(at, step);
      }
      within += " && " + at.text + " < " + size.text;
      inside += (inside.empty() ? "" : " && ") + within;
    }
    index.push_back(at);
  }
  if (inside.empty())
    return widen(emitter, rhs.value, index);
  Expr result = emitter.variable(emitter.registerType(dtype), emitter.literal(dtype, 0, 0));
  emitter.open("if (" + inside + ")", /*guard=*/true);
  emitter.line(result.text + " = " + widen(emitter, rhs.value, index).text + ";");
  emitter.close();
  return result;
}

/// How many elements a vector of 16 bytes has.
static int64_t perVector(kiln_dtype dtype) { return 16 / byteSize(dtype); }

bool Contraction::hasVectors(const Emitter &emitter, const Workgroup &group, const Operand &operand,
                             kiln_dtype type) const {
  if (operand.place < 0 || operand.contiguous == Operand::None ||
      !group.canLoadVectors(static_cast<uint32_t>(operand.place), type))
    return false;
  // The innermost axis, in memory and among those that it belongs to, has a multiple of as many elements.
  const std::vector<kiln_extent> &dims =
      emitter.graph.type(emitter.graph.inputs[static_cast<size_t>(operand.place)]).dims;
  const std::vector<size_t> &axes = operand.contiguous == Operand::Free ? operand.freeAxes : operand.depthAxes;
  return dims.back().slot < 0 && dims.back().value % perVector(type) == 0 && operand.permutation.back() == axes.back();
}

std::string Contraction::vector(Emitter &emitter, Workgroup &group, const Operand &operand, const Index &b,
                                const Index &free, const Index &k) const {
  Index index = place(operand, b, free, k), below;
  const Type &type = emitter.graph.type(emitter.graph.inputs[static_cast<size_t>(operand.place)]);
  std::vector<kiln_extent> dims = type.dims;
  for (size_t axis : operand.permutation)
    below.push_back(index[axis]);
  below.back() = emitter.div(below.back(), emitter.index(perVector(type.dtype)));
  dims.back().value /= perVector(type.dtype);
  return group.loadVector(static_cast<uint32_t>(operand.place), emitter.linear(dims, below).text);
}

bool Contraction::store(Emitter &emitter, const Index &b, const Index &m, const Index &n, const Expr &sum) const {
  const Graph &graph = emitter.graph;
  const Type &type = graph.type(op->results[0]);
  Index index;
  if (op->code == OpCode::DotGeneral) {
    index = b;
    index.insert(index.end(), m.begin(), m.end());
    index.insert(index.end(), n.begin(), n.end());
  } else {
    index = {n[0], groups == 1 ? m[0] : emitter.add(emitter.mul(b[0], emitter.extent(rows[0])), m[0])};
    index.insert(index.end(), n.begin() + 1, n.end());
  }
  bool mismatch = false;
  Expr rounded = emitter.convert(sum, dtype, type.dtype);
  defineAt(emitter, op->results[0], index, rounded, mismatch);
  std::vector<uint32_t> all(graph.outputs.size());
  std::iota(all.begin(), all.end(), 0u);
  std::vector<Expr> elements = emitter.outputElements(all, index);
  emitter.storeElements(all, elements, emitter.bind(emitter.indexType(), emitter.linear(type.dims, index)));
  emitter.define(op->results[0], nullptr);
  return !mismatch;
}

} // namespace kiln::sdk
