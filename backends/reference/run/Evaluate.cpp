// Ops of a kernel one after another, operands checked, results rounded to their dtype.

#include "backends/reference/run/Evaluate.h"

namespace kiln::reference {

using sdk::Graph;
using sdk::Op;
using sdk::OpCode;

static int64_t valueOf(const kiln_extent &extent, const int64_t *extents) {
  return extent.slot < 0 ? extent.value : extents[extent.slot];
}

Shape Call::values(std::string_view attr) const {
  Shape result;
  for (const kiln_extent &extent : op.extents(attr))
    result.push_back(valueOf(extent, extents));
  return result;
}

void Call::record(kiln_status_kind kind, int64_t value, int64_t limit) {
  if (status.kind != KILN_OK)
    return;
  status.kind = kind;
  status.op = op.number;
  status.value = value;
  status.limit = limit;
}

bool Call::fail(const std::string &what) {
  error = "op '" + op.name + "'" + (op.location.empty() ? "" : " (" + op.location + ")") + ": " + what;
  return false;
}

int64_t bytesOf(const Graph &graph, uint32_t value, const int64_t *extents) {
  const sdk::Type &type = graph.type(value);
  Shape shape;
  for (const kiln_extent &dim : type.dims)
    shape.push_back(valueOf(dim, extents));
  int64_t count;
  if (!product(Ints(shape), count) || __builtin_mul_overflow(count, sdk::byteSize(type.dtype), &count))
    return -1;
  return count;
}

static bool evaluate(Call &call) {
  OpCode code = call.op.code;
  const sdk::OpInfo &info = sdk::infoOf(code);
  if (!info.primitive)
    return call.fail("not an op that the reference knows");
  switch (info.opClass) {
  case sdk::OpClass::Elementwise:
    return elementwise(call);
  case sdk::OpClass::Contraction:
    return product(call);
  case sdk::OpClass::Reduction:
    return reduction(call);
  case sdk::OpClass::Whole:
    if (code == OpCode::ReduceWindow || code == OpCode::ReduceWindowGrad)
      return windowed(call);
    return code == OpCode::Scatter ? indexed(call) : reduction(call);
  default:
    return code == OpCode::Gather || code == OpCode::Dequantize ? indexed(call) : layout(call);
  }
}

bool Evaluator::run(const Graph &graph, const int64_t *extents, std::span<const uint8_t *const> inputs,
                    kiln_status &status, std::string &error) {
  if (values_.size() < graph.values.size())
    values_.resize(graph.values.size());
  for (uint32_t v = 0; v < graph.values.size(); ++v) {
    Tensor &value = values_[v];
    if (bytesOf(graph, v, extents) < 0) {
      error = "value " + std::to_string(v) + " of kernel '" + graph.name + "' has a negative or too large extent";
      return false;
    }
    value.dtype = graph.type(v).dtype;
    value.shape.clear();
    for (const kiln_extent &dim : graph.type(v).dims)
      value.shape.push_back(valueOf(dim, extents));
  }
  for (size_t i = 0; i < graph.inputs.size(); ++i)
    values_[graph.inputs[i]].load(inputs[i]);
  for (const Op &op : graph.ops) {
    Call call{op, extents, {}, {}, status, error};
    for (uint32_t v : op.operands)
      call.in.push_back(&values_[v]);
    for (uint32_t v : op.results) {
      values_[v].allocate();
      call.out.push_back(&values_[v]);
    }
    if (!evaluate(call))
      return false;
    if (rounding_ == Rounding::EachOp)
      for (Tensor *result : call.out)
        result->round();
  }
  return true;
}

bool hasPrimitivesOnly(const Graph &graph, std::string &error) {
  for (const Op &op : graph.ops)
    if (!sdk::infoOf(op.code).primitive) {
      error = "'" + op.name + "' is no primitive";
      return false;
    }
  return true;
}

} // namespace kiln::reference
