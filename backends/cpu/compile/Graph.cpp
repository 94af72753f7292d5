// From the C structs to the graph, with every check on the way.

#include "backends/cpu/compile/Graph.h"
#include "backends/sdk/forms/Operands.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include <algorithm>

using namespace llvm;

namespace kiln::cpu {

Extent::Extent(const kiln_extent &extent) {
  if (extent.slot < 0)
    factor = extent.value;
  else
    slots.push_back(extent.slot);
}

Extent operator*(const Extent &a, const Extent &b) {
  Extent product;
  product.factor = a.factor * b.factor;
  if (product.factor == 0)
    return product;
  product.slots = a.slots;
  product.slots.append(b.slots.begin(), b.slots.end());
  llvm::sort(product.slots);
  return product;
}

Shape rowMajor(const Shape &dims) {
  Shape strides(dims.size(), Extent(1));
  for (size_t d = dims.size(); d-- > 1;)
    strides[d - 1] = strides[d] * dims[d];
  return strides;
}

//===-- Reading ---------------------------------------------------------------------------------------------------===//

static bool readCombine(StringRef name, Combine &combine) {
  int found = StringSwitch<int>(name)
                  .Case("sum", static_cast<int>(Combine::Sum))
                  .Case("add", static_cast<int>(Combine::Sum))
                  .Case("prod", static_cast<int>(Combine::Prod))
                  .Case("mul", static_cast<int>(Combine::Prod))
                  .Case("max", static_cast<int>(Combine::Max))
                  .Case("min", static_cast<int>(Combine::Min))
                  .Case("any", static_cast<int>(Combine::Any))
                  .Case("all", static_cast<int>(Combine::All))
                  .Case("set", static_cast<int>(Combine::Set))
                  .Default(-1);
  combine = Combine(std::max(found, 0));
  return found >= 0;
}

static bool readPredicate(StringRef name, Predicate &predicate) {
  int found = StringSwitch<int>(name)
                  .Case("eq", 0)
                  .Case("ne", 1)
                  .Case("lt", 2)
                  .Case("le", 3)
                  .Case("gt", 4)
                  .Case("ge", 5)
                  .Default(-1);
  predicate = Predicate(std::max(found, 0));
  return found >= 0;
}

SmallVectorImpl<int64_t> *Op::list(StringRef name) {
  return StringSwitch<SmallVectorImpl<int64_t> *>(name)
      .Cases("axes", "permutation", &axes)
      .Case("strides", &strides)
      .Case("interior", &interior)
      .Case("window", &window)
      .Case("input_dilation", &inputDilation)
      .Case("filter_dilation", &filterDilation)
      .Case("low", &low)
      .Case("high", &high)
      .Case("lhs_batch", &lhsBatch)
      .Case("rhs_batch", &rhsBatch)
      .Case("lhs_contract", &lhsContract)
      .Case("rhs_contract", &rhsContract)
      .Default(nullptr);
}

/// False where the backend has no use for an attribute of that name, or no such combination.
static bool convertAttribute(const sdk::Op &source, const sdk::Attr &attr, Op &op) {
  StringRef name = attr.name;
  bool pads = op.code == OpCode::Pad;
  if (name == "coding") {
    op.coding = codingCalled(attr.string);
    return op.coding != Coding::None;
  }
  if (name == "kind" || name == "predicate")
    return name == "kind" ? readCombine(attr.string, op.combine) : readPredicate(attr.string, op.predicate);
  if (name == "value")
    return op.bytes = attr.string, true;
  if (name == "scale" || name == "p" || name == "softcap")
    return (name == "p" ? op.p : name == "scale" ? op.scale : op.softcap) = attr.number, true;
  auto extents = [&](SmallVectorImpl<Extent> &list) {
    for (const kiln_extent &extent : source.extents(attr.name))
      list.emplace_back(extent);
    return true;
  };
  if (name == "starts" || (pads && (name == "low" || name == "high")))
    return extents(name == "starts" ? op.starts : name == "low" ? op.lowExtents : op.highExtents);
  if (name == "expr")
    return op.extent = Extent(source.extents(attr.name)[0]), true;
  if (SmallVectorImpl<int64_t> *ints = op.list(name))
    return ints->assign(attr.ints.begin(), attr.ints.end()), true;
  int64_t *integer = StringSwitch<int64_t *>(name)
                         .Case("axis", &op.axis)
                         .Case("batch_dims", &op.batchDims)
                         .Case("stream", &op.stream)
                         .Case("k", &op.k)
                         .Case("groups", &op.groups)
                         .Case("sliding_window", &op.slidingWindow)
                         .Default(nullptr);
  if (integer)
    return *integer = attr.integer, true;
  bool *flag = StringSwitch<bool *>(name)
                   .Case("reverse", &op.reverse)
                   .Case("exclusive", &op.exclusive)
                   .Case("descending", &op.descending)
                   .Case("causal", &op.causal)
                   .Default(nullptr);
  if (flag)
    return *flag = attr.integer != 0, true;
  return false;
}

bool isAttention(OpCode code) {
  return code == OpCode::Attention || code == OpCode::AttentionGrad || code == OpCode::BiasedAttention ||
         code == OpCode::BiasedAttentionGrad || code == OpCode::DropoutAttention ||
         code == OpCode::DropoutAttentionGrad || code == OpCode::CappedAttention || code == OpCode::CappedAttentionGrad;
}

static bool isKnown(OpCode code) { return infoOf(code).primitive || isAttention(code); }

static bool convertOp(const sdk::Op &source, Op &op, std::string &error) {
  if (!isKnown(source.code))
    return error = "the cpu backend has no op '" + source.name + "'", false;
  op.code = source.code;
  op.number = source.number;
  op.operands.assign(source.operands.begin(), source.operands.end());
  op.results.assign(source.results.begin(), source.results.end());
  for (const sdk::Attr &attr : source.attrs)
    if (!convertAttribute(source, attr, op))
      return error = "op '" + source.name + "' has an attribute '" + attr.name + "' that the cpu backend does not read",
             false;
  return true;
}

bool Graph::read(const kiln_reader &reader, const kiln_kernel *kernel, Graph &graph, std::string &error) {
  sdk::Graph source;
  bool good = sdk::Graph::read(reader, kernel, source, error);
  graph = Graph();
  graph.name = source.name; // for messages, whatever comes
  graph.shape = source.shape;
  if (!good)
    return false;
  for (const sdk::Type &type : source.values) {
    graph.values.push_back({type.dtype, {}});
    for (const kiln_extent &dim : type.dims)
      graph.values.back().dims.emplace_back(dim);
  }
  graph.inputs.assign(source.inputs.begin(), source.inputs.end());
  graph.outputs.assign(source.outputs.begin(), source.outputs.end());
  graph.alias.assign(source.alias.begin(), source.alias.end());
  graph.extentBounds.assign(source.extentBounds.begin(), source.extentBounds.end());
  graph.producer = source.producer;
  for (const sdk::Op &op : source.ops)
    if (!convertOp(op, graph.ops.emplace_back(), error))
      return false;
  for (Op &op : graph.ops)
    if (op.code == OpCode::Convolution)
      op.pixels.assign(graph.type(op.results[0]).dims.begin() + 2, graph.type(op.results[0]).dims.end());
  return true;
}

int Graph::inputNumber(uint32_t value) const {
  const auto *found = llvm::find(inputs, value);
  return found == inputs.end() ? -1 : static_cast<int>(found - inputs.begin());
}

int Graph::inputStrides(uint32_t value, Shape &strides) const {
  sdk::Transposed below = sdk::throughTransposes(*this, value);
  Shape inner = rowMajor(type(below.value).dims);
  strides.resize(inner.size());
  for (auto [axis, stride] : llvm::zip(below.axes, inner))
    strides[axis] = stride;
  return inputNumber(below.value);
}

int64_t Graph::bound(const Extent &extent) const {
  int64_t product = extent.factor;
  for (int32_t slot : extent.slots)
    product *= extentBounds[slot];
  return product;
}

int64_t Graph::bound(ArrayRef<Extent> shape) const {
  int64_t product = 1;
  for (const Extent &extent : shape)
    product *= bound(extent);
  return product;
}

} // namespace kiln::cpu
