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
  if (sdk::isElementwise(code))
    return elementwise(call);
  switch (code) {
  case OpCode::Gather:
  case OpCode::Scatter:
    return indexed(call);
  case OpCode::Reduce:
  case OpCode::ArgReduce:
  case OpCode::CumSum:
  case OpCode::Sort:
  case OpCode::TopK:
    return reduction(call);
  case OpCode::ReduceWindow:
  case OpCode::ReduceWindowGrad:
    return windowed(call);
  case OpCode::DotGeneral:
  case OpCode::Convolution:
    return product(call);
  case OpCode::Other:
    return call.fail("not an op that the reference knows");
  default:
    return layout(call);
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

//===-- Dtypes of ops ---------------------------------------------------------------------------------------------===//

namespace {
struct TypeCheck {
  const Graph &graph;
  const Op &op;
  kiln_dtype in(size_t i) const { return graph.type(op.operands[i]).dtype; }
  kiln_dtype out(size_t i = 0) const { return graph.type(op.results[i]).dtype; }
  bool scalar(size_t i) const { return graph.type(op.operands[i]).rank() == 0; }
  static bool integer(kiln_dtype dtype) { return !sdk::isFloat(dtype); }

  bool same(size_t from = 0) const {
    bool good = true;
    for (size_t i = from; i < op.operands.size(); ++i)
      good = good && in(i) == out();
    return good;
  }
  bool product() const {
    bool wider = out() == KILN_F32 ? in(0) == KILN_BF16 || in(0) == KILN_F16
                                   : out() == KILN_I32 && (in(0) == KILN_I8 || in(0) == KILN_U8);
    return in(0) == in(1) && (in(0) == out() || wider);
  }
  bool startsFrom(size_t first) const {
    bool good = in(0) == out();
    for (size_t i = first; i < op.operands.size(); ++i)
      good = good && integer(in(i)) && scalar(i);
    return good;
  }

  bool good() const {
    switch (op.code) {
    case OpCode::Compare:
      return in(0) == in(1) && out() == KILN_BOOL;
    case OpCode::Select:
      return in(0) == KILN_BOOL && same(1);
    case OpCode::Convert:
    case OpCode::Constant:
    case OpCode::Iota:
      return true;
    case OpCode::Extent:
      return graph.type(op.results[0]).rank() == 0 && op.extents("expr").size() == 1;
    case OpCode::RandomBits:
      return out() == KILN_U32 && op.operands.size() <= 4 && integer(in(0)) && scalar(0) &&
             TypeCheck{graph, op}.counters();
    case OpCode::Pad:
      return same() && scalar(1);
    case OpCode::DynamicSlice:
      return startsFrom(1);
    case OpCode::DynamicUpdateSlice:
      return in(1) == out() && startsFrom(2);
    case OpCode::Gather:
      return in(0) == out() && integer(in(1));
    case OpCode::Scatter:
      return in(0) == out() && in(2) == out() && integer(in(1));
    case OpCode::ArgReduce:
      return integer(out());
    case OpCode::Sort:
    case OpCode::TopK:
      return in(0) == out() && integer(out(1));
    case OpCode::DotGeneral:
    case OpCode::Convolution:
      return product();
    case OpCode::Exp:
    case OpCode::Expm1:
    case OpCode::Log:
    case OpCode::Log1p:
    case OpCode::Sqrt:
    case OpCode::Rsqrt:
    case OpCode::Sin:
    case OpCode::Cos:
    case OpCode::Tanh:
    case OpCode::Sigmoid:
    case OpCode::Erf:
    case OpCode::Floor:
    case OpCode::Ceil:
    case OpCode::Round:
    case OpCode::Pow:
      return same() && !integer(out());
    case OpCode::Not:
    case OpCode::And:
    case OpCode::Or:
    case OpCode::Xor:
    case OpCode::Shl:
    case OpCode::Shr:
      return same() && integer(out());
    default:
      return same();
    }
  }
  bool counters() const {
    bool good = true;
    for (size_t i = 1; i < op.operands.size(); ++i)
      good = good && integer(in(i)) && scalar(i);
    return good;
  }
};
} // namespace

bool checkTypes(const Graph &graph, std::string &error) {
  for (const Op &op : graph.ops) {
    if (op.code == OpCode::Other)
      error = "'" + op.name + "' is no primitive";
    else if (!TypeCheck{graph, op}.good())
      error = "op '" + op.name + "'" + (op.location.empty() ? "" : " (" + op.location + ")") +
              " has operands of dtypes that do not go together";
    else
      continue;
    return false;
  }
  return true;
}

} // namespace kiln::reference
