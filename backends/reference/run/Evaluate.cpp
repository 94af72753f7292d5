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
    return code == OpCode::Gather || code == OpCode::Dequantize || code == OpCode::Decode ? indexed(call)
                                                                                          : layout(call);
  }
}

// The values' dtypes and shapes.
bool Evaluator::begin(const Graph &graph, const int64_t *extents, std::string &error) {
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
  return true;
}

bool Evaluator::run(const Graph &graph, const int64_t *extents, std::span<const uint8_t *const> inputs,
                    kiln_status &status, std::string &error) {
  if (!begin(graph, extents, error))
    return false;
  for (size_t i = 0; i < graph.inputs.size(); ++i)
    values_[graph.inputs[i]].load(inputs[i]);
  return evaluate(graph, extents, status, error);
}

bool Evaluator::evaluate(const Graph &graph, const int64_t *extents, kiln_status &status, std::string &error) {
  for (const Op &op : graph.ops) {
    Call call{op, extents, {}, {}, status, error};
    for (uint32_t v : op.operands)
      call.in.push_back(&values_[v]);
    for (uint32_t v : op.results) {
      values_[v].allocate();
      call.out.push_back(&values_[v]);
    }
    bool isLoop = !op.region.empty() && op.name == "scan";
    bool good = isLoop              ? loop(op, extents, status, error)
                : op.region.empty() ? kiln::reference::evaluate(call)
                                    : composite(op, extents, status, error);
    if (!good)
      return false;
    if (rounding_ == Rounding::EachOp)
      for (Tensor *result : call.out)
        result->round();
  }
  return true;
}

static void copyElements(const Tensor &from, int64_t first, int64_t count, Tensor &to, int64_t there) {
  onStorage(to, [&](auto element) {
    using T = decltype(element);
    std::copy_n(from.data<T>().begin() + first, count, to.data<T>().begin() + there);
  });
}

// The inputs of the inner evaluator for a step; what each step reads as it is has been set.
void Evaluator::setStep(const Op &op, const std::vector<Tensor> &carries, int64_t number) {
  const Graph &region = op.region.front();
  auto input = [&](size_t i) -> Tensor & { return inner_->values_[region.inputs[i]]; };
  input(0).allocate();
  input(0).integers[0] = number;
  for (size_t i = 0; i < carries.size(); ++i)
    input(1 + i) = carries[i];
  for (size_t i = carries.size(); i < carries.size() + static_cast<size_t>(op.integer("sequences")); ++i) {
    Tensor &slice = input(1 + i);
    slice.allocate();
    copyElements(values_[op.operands[i]], number * slice.size(), slice.size(), slice, 0);
  }
}

// The region's have no numbers outside of it.
static void take(const kiln_status &within, const Op &op, kiln_status &status) {
  if (within.kind == KILN_OK || status.kind != KILN_OK)
    return;
  status = within;
  status.op = op.number;
}

bool Evaluator::beginRegion(const Graph &region, const int64_t *extents, std::string &error) {
  if (!inner_)
    inner_ = std::make_unique<Evaluator>(rounding_);
  return inner_->begin(region, extents, error);
}

bool Evaluator::composite(const Op &op, const int64_t *extents, kiln_status &status, std::string &error) {
  const Graph &region = op.region.front();
  if (!beginRegion(region, extents, error))
    return false;
  for (size_t i = 0; i < op.operands.size(); ++i)
    inner_->values_[region.inputs[i]] = values_[op.operands[i]];
  kiln_status within{};
  if (!inner_->evaluate(region, extents, within, error))
    return false;
  take(within, op, status);
  for (size_t i = 0; i < op.results.size(); ++i)
    values_[op.results[i]] = inner_->values_[region.outputs[i]];
  return true;
}

bool Evaluator::loop(const Op &op, const int64_t *extents, kiln_status &status, std::string &error) {
  const Graph &region = op.region.front();
  if (!beginRegion(region, extents, error))
    return false;
  auto carried = static_cast<size_t>(op.integer("carries"));
  std::vector<Tensor> carries;
  for (size_t i = 0; i < carried; ++i)
    carries.push_back(values_[op.operands[i]]);
  for (size_t i = carried + static_cast<size_t>(op.integer("sequences")); i < op.operands.size(); ++i)
    inner_->values_[region.inputs[1 + i]] = values_[op.operands[i]];
  int64_t count = valueOf(op.extents("count").front(), extents);
  for (int64_t i = 0; i < count; ++i) {
    int64_t number = op.integer("reverse") ? count - 1 - i : i;
    setStep(op, carries, number);
    kiln_status within{};
    if (!inner_->evaluate(region, extents, within, error))
      return false;
    take(within, op, status);
    for (size_t k = 0; k < carried; ++k)
      carries[k] = inner_->values_[region.outputs[k]];
    for (size_t k = carried; k < op.results.size(); ++k) {
      const Tensor &part = inner_->values_[region.outputs[k]];
      copyElements(part, 0, part.size(), values_[op.results[k]], number * part.size());
    }
  }
  for (size_t k = 0; k < carried; ++k)
    values_[op.results[k]] = std::move(carries[k]);
  return true;
}

bool hasPrimitivesOnly(const Graph &graph, std::string &error) {
  for (const Op &op : graph.ops)
    if (!op.region.empty()) {
      if (!hasPrimitivesOnly(op.region.front(), error))
        return false;
    } else if (!sdk::infoOf(op.code).primitive) {
      error = "'" + op.name + "' is no primitive";
      return false;
    }
  return true;
}

} // namespace kiln::reference
