#include "Graph.h"
#include <algorithm>
#include <limits>

namespace kiln::sdk {

namespace {
struct OpInfo {
  const char *name;
  int operands; // -1: any number from `atLeast`
  int results;
  const char *attrs; // that it must have, each with a space behind
  int atLeast = 0;
};

/// In the order of OpCode.
constexpr OpInfo infos[] = {
    {"neg", 1, 1, ""},
    {"abs", 1, 1, ""},
    {"sign", 1, 1, ""},
    {"exp", 1, 1, ""},
    {"expm1", 1, 1, ""},
    {"log", 1, 1, ""},
    {"log1p", 1, 1, ""},
    {"sqrt", 1, 1, ""},
    {"rsqrt", 1, 1, ""},
    {"sin", 1, 1, ""},
    {"cos", 1, 1, ""},
    {"tanh", 1, 1, ""},
    {"sigmoid", 1, 1, ""},
    {"erf", 1, 1, ""},
    {"floor", 1, 1, ""},
    {"ceil", 1, 1, ""},
    {"round", 1, 1, ""},
    {"not", 1, 1, ""},
    {"add", 2, 1, ""},
    {"sub", 2, 1, ""},
    {"mul", 2, 1, ""},
    {"div", 2, 1, ""},
    {"rem", 2, 1, ""},
    {"pow", 2, 1, ""},
    {"max", 2, 1, ""},
    {"min", 2, 1, ""},
    {"and", 2, 1, ""},
    {"or", 2, 1, ""},
    {"xor", 2, 1, ""},
    {"shl", 2, 1, ""},
    {"shr", 2, 1, ""},
    {"compare", 2, 1, "predicate "},
    {"select", 3, 1, ""},
    {"convert", 1, 1, ""},
    {"stop_gradient", 1, 1, ""},
    {"constant", 0, 1, "value "},
    {"iota", 0, 1, "axis "},
    {"extent", 0, 1, "expr "},
    {"random_bits", -1, 1, "stream ", 1},
    {"reshape", 1, 1, ""},
    {"transpose", 1, 1, "permutation "},
    {"broadcast", 1, 1, "axes "},
    {"slice", 1, 1, "starts strides "},
    {"pad", 2, 1, "low high interior "},
    {"concat", -1, 1, "axis ", 1},
    {"reverse", 1, 1, "axes "},
    {"dynamic_slice", -1, 1, "", 1},
    {"dynamic_update_slice", -1, 1, "", 2},
    {"gather", 2, 1, "axis "},
    {"reduce", 1, 1, "kind axes "},
    {"arg_reduce", 1, 1, "kind axis "},
    {"cumsum", 1, 1, "axis "},
    {"reduce_window", 1, 1, "kind window strides low high "},
    {"reduce_window_grad", 2, 1, "kind window strides low high "},
    {"dot_general", 2, 1, "lhs_batch rhs_batch lhs_contract rhs_contract "},
    {"convolution", 2, 1, "strides low high input_dilation filter_dilation groups "},
    {"scatter", 3, 1, "kind axis "},
    {"sort", 1, 2, "axis "},
    {"top_k", 1, 2, "k "},
};
static_assert(std::size(infos) == static_cast<size_t>(OpCode::Other));

std::string str(const kiln_string &s) { return s.size ? std::string(s.data, s.size) : std::string(); }
} // namespace

bool isElementwise(OpCode code) { return code <= OpCode::StopGradient; }
bool isWhole(OpCode code) { return code >= OpCode::Reduce; }

int64_t byteSize(kiln_dtype dtype) {
  switch (dtype) {
  case KILN_F64:
  case KILN_I64:
  case KILN_U64:
    return 8;
  case KILN_F32:
  case KILN_I32:
  case KILN_U32:
    return 4;
  case KILN_BF16:
  case KILN_F16:
  case KILN_I16:
  case KILN_U16:
    return 2;
  default:
    return 1;
  }
}

bool isFloat(kiln_dtype dtype) {
  return dtype == KILN_F32 || dtype == KILN_F64 || dtype == KILN_BF16 || dtype == KILN_F16;
}
bool isSigned(kiln_dtype dtype) {
  return dtype == KILN_I8 || dtype == KILN_I16 || dtype == KILN_I32 || dtype == KILN_I64;
}

const char *dtypeName(kiln_dtype dtype) {
  static constexpr const char *names[] = {"f32",  "f64", "bf16", "f16", "i8", "u8", "i32",    "u32",    "i64",
                                          "bool", "i16", "u16",  "u64", "i4", "u4", "f8e4m3", "f8e5m2", "quantized"};
  return static_cast<size_t>(dtype) < std::size(names) ? names[dtype] : "unknown";
}

bool sameExtent(const kiln_extent &a, const kiln_extent &b) {
  return a.slot == b.slot && (a.slot >= 0 || a.value == b.value);
}
bool sameDims(const std::vector<kiln_extent> &a, const std::vector<kiln_extent> &b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), sameExtent);
}

//===-- Attributes ------------------------------------------------------------------------------------------------===//

const Attr *Op::find(std::string_view attr) const {
  auto found = std::find_if(attrs.begin(), attrs.end(), [&](const Attr &a) { return a.name == attr; });
  return found == attrs.end() ? nullptr : &*found;
}
int64_t Op::integer(std::string_view attr, int64_t otherwise) const {
  const Attr *found = find(attr);
  return found ? found->integer : otherwise;
}
double Op::real(std::string_view attr, double otherwise) const {
  const Attr *found = find(attr);
  return found ? found->number : otherwise;
}
std::string_view Op::text(std::string_view attr) const {
  const Attr *found = find(attr);
  return found ? std::string_view(found->string) : std::string_view();
}
const std::vector<int64_t> &Op::ints(std::string_view attr) const {
  static const std::vector<int64_t> none;
  const Attr *found = find(attr);
  return found ? found->ints : none;
}
std::vector<kiln_extent> Op::extents(std::string_view attr) const {
  const Attr *found = find(attr);
  if (!found)
    return {};
  if (found->kind == KILN_ATTR_EXTENTS)
    return found->extents;
  std::vector<kiln_extent> result;
  for (int64_t value : found->ints)
    result.push_back({value, -1});
  return result;
}
bool Op::has(std::string_view attr, int64_t value) const {
  const std::vector<int64_t> &list = ints(attr);
  return std::find(list.begin(), list.end(), value) != list.end();
}

//===-- Reading ---------------------------------------------------------------------------------------------------===//

namespace {
class Reading {
public:
  Reading(const kiln_reader &reader, const kiln_kernel *kernel, Graph &graph, std::string &error)
      : reader(reader), kernel(kernel), graph(graph), error(error) {}

  bool run() {
    kiln_kernel_info info{};
    info.size = sizeof(info);
    reader.kernel(kernel, &info);
    graph.name = str(info.name);
    graph.kind = str(info.kind);
    if (info.extent_count)
      graph.extentBounds.assign(info.extent_bounds, info.extent_bounds + info.extent_count);
    for (uint32_t v = 0; v < info.value_count; ++v)
      if (!readValue(v))
        return false;
    graph.producer.assign(info.value_count, -1);
    defined.assign(info.value_count, false);
    for (uint32_t i = 0; i < info.input_count; ++i) {
      if (info.inputs[i] >= info.value_count)
        return error = "input " + std::to_string(i) + " is not among the values", false;
      graph.inputs.push_back(info.inputs[i]);
      defined[info.inputs[i]] = true;
    }
    for (uint32_t i = 0; i < info.op_count; ++i)
      if (!readOp(i))
        return false;
    for (uint32_t i = 0; i < info.output_count; ++i) {
      if (info.outputs[i] >= info.value_count || !defined[info.outputs[i]])
        return error = "output " + std::to_string(i) + " is not defined", false;
      graph.outputs.push_back(info.outputs[i]);
      graph.alias.push_back(info.alias ? info.alias[i] : -1);
    }
    return true;
  }

private:
  bool goodExtent(const kiln_extent &extent) const {
    return extent.slot < static_cast<int64_t>(graph.extentBounds.size());
  }

  bool readValue(uint32_t number) {
    kiln_type type{};
    type.size = sizeof(type);
    reader.value(kernel, number, &type);
    if (type.dtype < 0 || type.dtype > KILN_BOOL)
      return error = "value " + std::to_string(number) + " is of dtype " +
                     (type.dtype < 0 || type.dtype > KILN_QUANTIZED ? "number " + std::to_string(type.dtype)
                                                                    : dtypeName(kiln_dtype(type.dtype))) +
                     ", which is reserved",
             false;
    Type read;
    read.dtype = kiln_dtype(type.dtype);
    if (type.rank)
      read.dims.assign(type.dims, type.dims + type.rank);
    for (kiln_extent &dim : read.dims) {
      if (!goodExtent(dim))
        return error = "a dimension of value " + std::to_string(number) + " names an extent that the kernel lacks",
               false;
      dim.slot = std::max(dim.slot, -1);
    }
    graph.values.push_back(std::move(read));
    return true;
  }

  bool readAttr(uint32_t op, uint32_t number, Op &into) {
    kiln_attr attr{};
    attr.size = sizeof(attr);
    reader.attr(kernel, op, number, &attr);
    Attr read;
    read.name = str(attr.name);
    read.kind = attr.kind;
    read.integer = attr.integer;
    read.number = attr.number;
    read.string = str(attr.string);
    if (attr.kind == KILN_ATTR_INTS && attr.count)
      read.ints.assign(attr.ints, attr.ints + attr.count);
    if (attr.kind == KILN_ATTR_EXTENTS && attr.count)
      read.extents.assign(attr.extents, attr.extents + attr.count);
    if (!std::all_of(read.extents.begin(), read.extents.end(), [&](auto &e) { return goodExtent(e); }))
      return fail(into, "names an extent that the kernel lacks");
    into.attrs.push_back(std::move(read));
    return true;
  }

  bool fail(const Op &op, const std::string &what) {
    error = "op '" + op.name + "'" + (op.location.empty() ? "" : " (" + op.location + ")") + " " + what;
    return false;
  }

  bool readOp(uint32_t number) {
    kiln_op source{};
    source.size = sizeof(source);
    reader.op(kernel, number, &source);
    Op op;
    op.number = number;
    op.name = str(source.name);
    if (source.location.line)
      op.location = str(source.location.file) + ":" + std::to_string(source.location.line) + ":" +
                    std::to_string(source.location.column);
    auto info = std::find_if(std::begin(infos), std::end(infos), [&](const OpInfo &i) { return op.name == i.name; });
    op.code = OpCode(info - std::begin(infos));
    if (source.operand_count)
      op.operands.assign(source.operands, source.operands + source.operand_count);
    if (source.result_count)
      op.results.assign(source.results, source.results + source.result_count);
    for (uint32_t v : op.operands)
      if (v >= defined.size() || !defined[v])
        return fail(op, "reads value " + std::to_string(v) + " before it is defined");
    for (uint32_t v : op.results) {
      if (v >= defined.size() || defined[v])
        return fail(op, "redefines value " + std::to_string(v));
      defined[v] = true;
      graph.producer[v] = static_cast<int32_t>(graph.ops.size());
    }
    for (uint32_t a = 0; a < source.attr_count; ++a)
      if (!readAttr(number, a, op))
        return false;
    if (op.code != OpCode::Other && !check(op, *info))
      return false;
    graph.ops.push_back(std::move(op));
    return true;
  }

  bool check(const Op &op, const OpInfo &info) {
    bool operands = info.operands >= 0 ? op.operands.size() == static_cast<size_t>(info.operands)
                                       : op.operands.size() >= static_cast<size_t>(info.atLeast);
    if (!operands || op.results.size() != static_cast<size_t>(info.results))
      return fail(op, "has " + std::to_string(op.operands.size()) + " operands and " +
                          std::to_string(op.results.size()) + " results, which is not what it takes");
    std::string_view wanted = info.attrs;
    while (!wanted.empty()) {
      std::string_view name = wanted.substr(0, wanted.find(' '));
      if (!op.find(name))
        return fail(op, "lacks its attribute '" + std::string(name) + "'");
      wanted.remove_prefix(name.size() + 1);
    }
    return checkAxes(op);
  }

  /// What would make indices run wild.
  bool checkAxes(const Op &op) {
    size_t rank = op.operands.empty() ? graph.type(op.results[0]).rank() : graph.type(op.operands[0]).rank();
    size_t resultRank = graph.type(op.results[0]).rank();
    auto lengths = [&](size_t wanted, std::initializer_list<const char *> names) {
      return std::all_of(names.begin(), names.end(), [&](const char *name) {
        const Attr *attr = op.find(name);
        return (attr->kind == KILN_ATTR_EXTENTS ? attr->extents.size() : attr->ints.size()) == wanted;
      });
    };
    bool good = true;
    switch (op.code) {
    case OpCode::Transpose:
      good = lengths(rank, {"permutation"}) && resultRank == rank;
      break;
    case OpCode::Broadcast:
      good = lengths(rank, {"axes"});
      break;
    case OpCode::Slice:
      good = lengths(rank, {"starts", "strides"}) && resultRank == rank;
      break;
    case OpCode::Pad:
      good = lengths(rank, {"low", "high", "interior"}) && resultRank == rank;
      break;
    case OpCode::ReduceWindow:
    case OpCode::ReduceWindowGrad:
      good = lengths(rank, {"window", "strides", "low", "high"}) && resultRank == rank;
      break;
    case OpCode::Convolution:
      good = rank >= 3 && resultRank == rank && graph.type(op.operands[1]).rank() == rank &&
             lengths(rank - 2, {"strides", "low", "high", "input_dilation", "filter_dilation"});
      break;
    case OpCode::DynamicSlice:
      good = op.operands.size() == rank + 1;
      break;
    case OpCode::DynamicUpdateSlice:
      good = op.operands.size() == rank + 2;
      break;
    case OpCode::ArgReduce:
    case OpCode::CumSum:
    case OpCode::Gather:
    case OpCode::Scatter:
    case OpCode::Sort:
    case OpCode::Concat:
    case OpCode::Iota:
      good = op.integer("axis") >= 0 && static_cast<size_t>(op.integer("axis")) < rank;
      break;
    default:
      if (isElementwise(op.code))
        for (uint32_t v : op.operands)
          good = good && graph.type(v).rank() == resultRank;
      break;
    }
    for (const char *name : {"axes", "permutation"})
      for (int64_t axis : op.ints(name))
        good = good && axis >= 0 && static_cast<size_t>(axis) < std::max(rank, resultRank);
    return good || fail(op, "has attributes or operands that do not fit its types");
  }

  const kiln_reader &reader;
  const kiln_kernel *kernel;
  Graph &graph;
  std::string &error;
  std::vector<bool> defined;
};
} // namespace

bool Graph::read(const kiln_reader &reader, const kiln_kernel *kernel, Graph &graph, std::string &error) {
  graph = Graph();
  return Reading(reader, kernel, graph, error).run();
}

//===-- Questions -------------------------------------------------------------------------------------------------===//

static int indexOf(const std::vector<uint32_t> &list, uint32_t value) {
  auto found = std::find(list.begin(), list.end(), value);
  return found == list.end() ? -1 : static_cast<int>(found - list.begin());
}
int Graph::inputNumber(uint32_t value) const { return indexOf(inputs, value); }
int Graph::outputNumber(uint32_t value) const { return indexOf(outputs, value); }

int64_t Graph::bound(const kiln_extent &extent) const {
  return extent.slot < 0 ? extent.value : extentBounds[static_cast<size_t>(extent.slot)];
}

int64_t Graph::bound(const std::vector<kiln_extent> &dims) const {
  int64_t product = 1;
  for (const kiln_extent &dim : dims)
    if (__builtin_mul_overflow(product, std::max<int64_t>(bound(dim), 0), &product))
      product = std::numeric_limits<int64_t>::max();
  return product;
}

int64_t Graph::byteBound(uint32_t value) const {
  int64_t bytes;
  return __builtin_mul_overflow(bound(type(value).dims), byteSize(type(value).dtype), &bytes)
             ? std::numeric_limits<int64_t>::max()
             : bytes;
}

bool Graph::fits32() const {
  return std::all_of(values.begin(), values.end(),
                     [&](const Type &type) { return bound(type.dims) <= std::numeric_limits<int32_t>::max(); });
}

size_t Graph::uses(uint32_t value) const {
  auto count = static_cast<size_t>(std::count(outputs.begin(), outputs.end(), value));
  for (const Op &op : ops)
    count += static_cast<size_t>(std::count(op.operands.begin(), op.operands.end(), value));
  return count;
}

} // namespace kiln::sdk
