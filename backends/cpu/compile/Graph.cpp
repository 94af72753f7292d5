#include "backends/cpu/compile/Graph.h"
#include "backends/sdk/Graph.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include <algorithm>
#include <functional>
#include <optional>

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

//===-- Names -----------------------------------------------------------------------------------------------------===//

namespace {
struct OpInfo {
  const char *name;
  int operands; // -1: any number
  int results;  // -1: any number
};
} // namespace

/// In the order of OpCode.
static constexpr OpInfo infos[] = {{"neg", 1, 1},
                                   {"abs", 1, 1},
                                   {"sign", 1, 1},
                                   {"exp", 1, 1},
                                   {"expm1", 1, 1},
                                   {"log", 1, 1},
                                   {"log1p", 1, 1},
                                   {"sqrt", 1, 1},
                                   {"rsqrt", 1, 1},
                                   {"sin", 1, 1},
                                   {"cos", 1, 1},
                                   {"tanh", 1, 1},
                                   {"sigmoid", 1, 1},
                                   {"erf", 1, 1},
                                   {"floor", 1, 1},
                                   {"ceil", 1, 1},
                                   {"round", 1, 1},
                                   {"not", 1, 1},
                                   {"add", 2, 1},
                                   {"sub", 2, 1},
                                   {"mul", 2, 1},
                                   {"div", 2, 1},
                                   {"rem", 2, 1},
                                   {"pow", 2, 1},
                                   {"max", 2, 1},
                                   {"min", 2, 1},
                                   {"and", 2, 1},
                                   {"or", 2, 1},
                                   {"xor", 2, 1},
                                   {"shl", 2, 1},
                                   {"shr", 2, 1},
                                   {"compare", 2, 1},
                                   {"select", 3, 1},
                                   {"convert", 1, 1},
                                   {"stop_gradient", 1, 1},
                                   {"constant", 0, 1},
                                   {"iota", 0, 1},
                                   {"extent", 0, 1},
                                   {"random_bits", -1, 1},
                                   {"reshape", 1, 1},
                                   {"transpose", 1, 1},
                                   {"broadcast", 1, 1},
                                   {"slice", 1, 1},
                                   {"pad", 2, 1},
                                   {"concat", -1, 1},
                                   {"reverse", 1, 1},
                                   {"dynamic_slice", -1, 1},
                                   {"dynamic_update_slice", -1, 1},
                                   {"gather", 2, 1},
                                   {"reduce", 1, 1},
                                   {"arg_reduce", 1, 1},
                                   {"cumsum", 1, 1},
                                   {"reduce_window", 1, 1},
                                   {"reduce_window_grad", 2, 1},
                                   {"scatter", 3, 1},
                                   {"sort", 1, 2},
                                   {"top_k", 1, 2},
                                   {"dot_general", 2, 1},
                                   {"convolution", 2, 1},
                                   {"attention", -1, -1},
                                   {"attention_grad", -1, 3}};
static_assert(std::size(infos) == static_cast<size_t>(OpCode::AttentionGrad) + 1);

StringRef opName(OpCode code) { return infos[static_cast<size_t>(code)].name; }
bool isElementwise(OpCode code) { return code <= OpCode::StopGradient; }
bool isWhole(OpCode code) { return code >= OpCode::Reduce; }

int64_t byteSize(kiln_dtype dtype) { return sdk::byteSize(dtype); }
bool isFloat(kiln_dtype dtype) { return sdk::isFloat(dtype); }
bool isSigned(kiln_dtype dtype) { return sdk::isSigned(dtype); }
StringRef dtypeName(kiln_dtype dtype) { return sdk::dtypeName(dtype); }

static bool isSupported(kiln_dtype dtype) { return dtype <= KILN_BOOL; }

//===-- Reading ---------------------------------------------------------------------------------------------------===//

static StringRef ref(const kiln_string &s) { return StringRef(s.data, s.size); }

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

template <class List> static void assign(List &list, const kiln_attr &attr) {
  list.assign(attr.ints, attr.ints + attr.count);
}
static void assignExtents(SmallVectorImpl<Extent> &list, const kiln_attr &attr) {
  list.clear();
  if (attr.kind == KILN_ATTR_INTS)
    for (int64_t value : ArrayRef(attr.ints, attr.count))
      list.emplace_back(value);
  else
    for (const kiln_extent &extent : ArrayRef(attr.extents, attr.count))
      list.emplace_back(extent);
}

static bool readAttribute(const kiln_attr &attr, Op &op) {
  StringRef name = ref(attr.name);
  bool pads = op.code == OpCode::Pad;
  if (name == "kind" || name == "predicate")
    return name == "kind" ? readCombine(ref(attr.string), op.combine) : readPredicate(ref(attr.string), op.predicate);
  if (name == "value") {
    op.bytes = ref(attr.string);
    return attr.kind == KILN_ATTR_BYTES;
  }
  SmallVector<int64_t, 4> *ints = StringSwitch<SmallVector<int64_t, 4> *>(name)
                                      .Cases("axes", "permutation", &op.axes)
                                      .Case("strides", &op.strides)
                                      .Case("interior", &op.interior)
                                      .Case("window", &op.window)
                                      .Case("input_dilation", &op.inputDilation)
                                      .Case("filter_dilation", &op.filterDilation)
                                      .Case("low", pads ? nullptr : &op.low)
                                      .Case("high", pads ? nullptr : &op.high)
                                      .Default(nullptr);
  if (ints)
    return assign(*ints, attr), attr.kind == KILN_ATTR_INTS;
  SmallVector<int64_t, 2> *pairs = StringSwitch<SmallVector<int64_t, 2> *>(name)
                                       .Case("lhs_batch", &op.lhsBatch)
                                       .Case("rhs_batch", &op.rhsBatch)
                                       .Case("lhs_contract", &op.lhsContract)
                                       .Case("rhs_contract", &op.rhsContract)
                                       .Default(nullptr);
  if (pairs)
    return assign(*pairs, attr), attr.kind == KILN_ATTR_INTS;
  if (name == "starts" || name == "low" || name == "high")
    return assignExtents(name == "starts" ? op.starts : name == "low" ? op.lowExtents : op.highExtents, attr), true;
  if (name == "expr" && attr.kind == KILN_ATTR_EXTENTS && attr.count == 1)
    return op.extent = Extent(attr.extents[0]), true;
  if (name == "scale")
    return op.scale = attr.number, attr.kind == KILN_ATTR_FLOAT;
  int64_t *integer = StringSwitch<int64_t *>(name)
                         .Case("axis", &op.axis)
                         .Case("batch_dims", &op.batchDims)
                         .Case("stream", &op.stream)
                         .Case("k", &op.k)
                         .Case("groups", &op.groups)
                         .Default(nullptr);
  if (integer)
    return *integer = attr.integer, attr.kind == KILN_ATTR_INT;
  bool *flag = StringSwitch<bool *>(name)
                   .Case("reverse", &op.reverse)
                   .Case("exclusive", &op.exclusive)
                   .Case("descending", &op.descending)
                   .Case("causal", &op.causal)
                   .Default(nullptr);
  if (flag)
    return *flag = attr.integer != 0, attr.kind == KILN_ATTR_INT;
  return false;
}

static std::string text(const Twine &t) { return t.str(); }

/// What an elementwise op takes where its first operand is something else: no code exists for that.
static std::optional<StringRef> wrongDtype(const Graph &graph, const Op &op) {
  if (op.operands.empty() || !isElementwise(op.code))
    return std::nullopt;
  kiln_dtype dtype = graph.type(op.operands[0]).dtype;
  switch (op.code) {
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
    return isFloat(dtype) ? std::nullopt : std::optional<StringRef>("floats");
  case OpCode::And:
  case OpCode::Or:
  case OpCode::Xor:
  case OpCode::Not:
  case OpCode::Shl:
  case OpCode::Shr:
    return isFloat(dtype) ? std::optional<StringRef>("integers") : std::nullopt;
  default:
    return std::nullopt;
  }
}

/// What an op has beside its operands and results.
static bool readAttributes(const kiln_reader &reader, const kiln_kernel *kernel, uint32_t number, uint32_t count,
                           Op &op, std::string &error) {
  for (uint32_t i = 0; i < count; ++i) {
    kiln_attr attr{};
    attr.size = sizeof attr;
    reader.attr(kernel, number, i, &attr);
    if (!readAttribute(attr, op))
      return error = text("op '" + opName(op.code) + "' has an attribute '" + ref(attr.name) +
                          "' that the cpu backend does not read"),
             false;
  }
  return true;
}

static bool readOp(const kiln_reader &reader, const kiln_kernel *kernel, uint32_t number, Graph &graph,
                   std::vector<bool> &defined, std::string &error) {
  kiln_op source{};
  source.size = sizeof source;
  reader.op(kernel, number, &source);
  StringRef name = ref(source.name);
  const auto *info = llvm::find_if(infos, [&](const OpInfo &i) { return name == i.name; });
  if (info == std::end(infos))
    return error = text("the cpu backend has no op '" + name + "'"), false;
  Op op;
  op.code = OpCode(info - infos);
  op.number = number;
  op.location = source.location;
  if ((info->operands >= 0 && source.operand_count != static_cast<uint32_t>(info->operands)) ||
      (info->results >= 0 && source.result_count != static_cast<uint32_t>(info->results)))
    return error = text("op '" + name + "' has the wrong number of operands or results"), false;
  op.operands.assign(source.operands, source.operands + source.operand_count);
  op.results.assign(source.results, source.results + source.result_count);
  for (uint32_t v : op.operands)
    if (v >= graph.values.size() || !defined[v])
      return error = text("op '" + name + "' reads value " + Twine(v) + " before it is defined"), false;
  for (uint32_t v : op.results) {
    if (v >= graph.values.size() || defined[v])
      return error = text("op '" + name + "' redefines value " + Twine(v)), false;
    defined[v] = true;
    graph.producer[v] = static_cast<int32_t>(graph.ops.size());
  }
  if (std::optional<StringRef> wanted = wrongDtype(graph, op))
    return error = text("op '" + name + "' takes " + *wanted + ", not " + dtypeName(graph.type(op.operands[0]).dtype)),
           false;
  if (!readAttributes(reader, kernel, number, source.attr_count, op, error))
    return false;
  graph.ops.push_back(std::move(op));
  return true;
}

static bool readValues(const kiln_reader &reader, const kiln_kernel *kernel, const kiln_kernel_info &info, Graph &graph,
                       std::string &error) {
  for (uint32_t i = 0; i < info.value_count; ++i) {
    kiln_type type{};
    type.size = sizeof type;
    reader.value(kernel, i, &type);
    TensorType t{kiln_dtype(type.dtype), {}};
    if (!isSupported(t.dtype))
      return error = text("the cpu backend has no " + dtypeName(t.dtype)), false;
    for (const kiln_extent &dim : ArrayRef(type.dims, type.rank)) {
      if (dim.slot >= static_cast<int64_t>(info.extent_count))
        return error = "a dimension names an extent that the kernel does not have", false;
      t.dims.emplace_back(dim);
    }
    graph.values.push_back(std::move(t));
  }
  return true;
}

bool Graph::read(const kiln_reader &reader, const kiln_kernel *kernel, Graph &graph, std::string &error) {
  kiln_kernel_info info{};
  info.size = sizeof info;
  reader.kernel(kernel, &info);
  graph = Graph();
  graph.name = ref(info.name).str();
  graph.extentBounds.assign(info.extent_bounds, info.extent_bounds + info.extent_count);
  if (!readValues(reader, kernel, info, graph, error))
    return false;
  graph.producer.assign(info.value_count, -1);
  graph.inputs.assign(info.inputs, info.inputs + info.input_count);
  graph.outputs.assign(info.outputs, info.outputs + info.output_count);
  graph.alias.assign(info.output_count, -1);
  if (info.alias)
    graph.alias.assign(info.alias, info.alias + info.output_count);
  std::vector<bool> defined(info.value_count, false);
  for (uint32_t v : graph.inputs) {
    if (v >= info.value_count)
      return error = "an input is not among the values", false;
    defined[v] = true;
  }
  for (uint32_t i = 0; i < info.op_count; ++i)
    if (!readOp(reader, kernel, i, graph, defined, error))
      return false;
  for (uint32_t v : graph.outputs)
    if (v >= info.value_count || !defined[v])
      return error = "an output is not defined", false;
  return true;
}

int Graph::inputNumber(uint32_t value) const {
  const auto *found = llvm::find(inputs, value);
  return found == inputs.end() ? -1 : static_cast<int>(found - inputs.begin());
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
