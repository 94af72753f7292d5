// From a kiln_reader to the graph, with every check on the way.

#include "Graph.h"
#include "kiln_text.h"
#include <algorithm>
#include <limits>
#include <optional>

namespace kiln::sdk {

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
    graph.name = toString(info.name);
    graph.shape = info.shape > KILN_SHAPE_SINGLE || info.shape < 0 ? KILN_SHAPE_ANY : info.shape;
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
    if (!isOfShape(graph, graph.shape))
      return error = "the kernel's shape is '" + std::string(shapeName(graph.shape)) + "', which its ops are not",
             false;
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
    if (!isSupported(type.dtype))
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
    read.name = toString(attr.name);
    read.kind = attr.kind;
    read.integer = attr.integer;
    read.number = attr.number;
    read.string = toString(attr.string);
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
    op.name = toString(source.name);
    if (source.location.line)
      op.location = toString(source.location.file) + ":" + std::to_string(source.location.line) + ":" +
                    std::to_string(source.location.column);
    op.code = opCode(op.name);
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
    if (op.code != OpCode::Other && !check(op, infoOf(op.code)))
      return false;
    if (source.region && !readRegion(source.region, op))
      return false;
    graph.ops.push_back(std::move(op));
    return true;
  }

  /// Whether value `a` of one graph is of the type of value `b` of another, which has one more axis in front where
  /// `count` is given, of that many.
  static bool sameType(const Type &a, const Type &b, const kiln_extent *count = nullptr) {
    std::vector<kiln_extent> dims;
    if (count)
      dims.push_back(*count);
    dims.insert(dims.end(), a.dims.begin(), a.dims.end());
    return a.dtype == b.dtype && sameDims(dims, b.dims);
  }

  bool readRegion(const kiln_kernel *source, Op &op) {
    Graph &region = op.region.emplace_back();
    if (!Graph::read(reader, source, region, error))
      return error = "in the region of '" + op.name + "': " + error, false;
    bool loop = op.code == OpCode::Other && op.name == "scan";
    return loop ? checkLoop(op, region) : checkComposite(op, region);
  }

  /// What a composite is made of, between its own operands and results.
  bool checkComposite(const Op &op, const Graph &region) {
    bool good = region.inputs.size() == op.operands.size() && region.outputs.size() == op.results.size() &&
                region.extentBounds.size() == graph.extentBounds.size();
    for (size_t i = 0; good && i < op.operands.size(); ++i)
      good = sameType(region.type(region.inputs[i]), graph.type(op.operands[i]));
    for (size_t i = 0; good && i < op.results.size(); ++i)
      good = sameType(region.type(region.outputs[i]), graph.type(op.results[i]));
    return good || fail(op, "has a region whose types do not fit its own");
  }

  bool checkLoop(const Op &op, const Graph &region) {
    for (const char *name : {"carries", "sequences", "reverse"})
      if (const Attr *attr = op.find(name); !attr || attr->kind != KILN_ATTR_INT || attr->integer < 0)
        return fail(op, std::string("lacks its attribute '") + name + "'");
    auto carries = static_cast<uint64_t>(op.integer("carries")),
         sequences = static_cast<uint64_t>(op.integer("sequences"));
    size_t operands = op.operands.size(), results = op.results.size();
    if (op.extents("count").size() != 1 || carries > operands || sequences > operands - carries || carries > results ||
        region.inputs.size() != operands + 1 || region.outputs.size() != results ||
        region.extentBounds.size() != graph.extentBounds.size())
      return fail(op, "has a region with " + std::to_string(region.inputs.size()) + " inputs and " +
                          std::to_string(region.outputs.size()) + " outputs, which do not fit it");
    kiln_extent count = op.extents("count").front();
    const Type &step = region.type(region.inputs[0]);
    bool good = step.dtype == KILN_I32 && step.rank() == 0;
    for (size_t i = 0; i < operands; ++i) {
      bool slice = i >= carries && i < carries + sequences;
      good = good && sameType(region.type(region.inputs[i + 1]), graph.type(op.operands[i]), slice ? &count : nullptr);
    }
    for (size_t i = 0; i < results; ++i) {
      good = good &&
             sameType(region.type(region.outputs[i]), graph.type(op.results[i]), i >= carries ? &count : nullptr) &&
             (i >= carries || sameType(graph.type(op.operands[i]), graph.type(op.results[i])));
    }
    return good || fail(op, "has a region whose types do not fit its own");
  }

  bool check(const Op &op, const OpInfo &info) {
    std::vector<const TensorInfo *> operands, results;
    if (!match(op.operands, info.operands, operands) || !match(op.results, info.results, results))
      return fail(op, "has " + std::to_string(op.operands.size()) + " operands and " +
                          std::to_string(op.results.size()) + " results, which is not what it takes");
    return checkAttributes(op, info) && checkDtypes(op, info, operands, results) && checkAxes(op, info);
  }

  /// Whether the value may be this one, and not the next, of the tensors that may be missing; `first`: of all values.
  bool mayBe(uint32_t value, const TensorInfo &tensor, uint32_t first) const {
    kiln_dtype dtype = graph.type(value).dtype;
    if (tensor.dtype == "T")
      return dtype == graph.type(first).dtype;
    if (tensor.scalar || tensor.dtype == dtypeName(KILN_BOOL))
      return tensor.dtype == dtypeName(dtype) && (!tensor.scalar || !graph.type(value).rank());
    return true;
  }

  /// Which of the table's tensors each value is, from the left. False where there are too few or too many.
  bool match(const std::vector<uint32_t> &values, const std::vector<TensorInfo> &tensors,
             std::vector<const TensorInfo *> &each) const {
    auto needed = static_cast<size_t>(
        std::count_if(tensors.begin(), tensors.end(), [](const TensorInfo &tensor) { return tensor.count == '1'; }));
    size_t spare = values.size() - needed; // for those that may be missing
    if (values.size() < needed)
      return false;
    for (const TensorInfo &tensor : tensors) {
      size_t count = tensor.count == '1' ? 1 : tensor.count == '?' ? std::min<size_t>(spare, 1) : spare;
      if (tensor.count == '?' && count &&
          !mayBe(values[each.size()], tensor, values[0])) // the next one that may be missing
        count = 0;
      if (tensor.count != '1')
        spare -= count;
      each.insert(each.end(), count, &tensor);
    }
    return each.size() == values.size();
  }

  static bool isOfKind(const Attr &attr, const AttrInfo &info) {
    switch (info.kind) {
    case AttrKind::Int:
    case AttrKind::Bool:
      return attr.kind == KILN_ATTR_INT;
    case AttrKind::Number:
      return attr.kind == KILN_ATTR_FLOAT;
    case AttrKind::Text:
      return attr.kind == KILN_ATTR_STRING &&
             (info.choice.empty() ||
              ("|" + std::string(info.choice) + "|").find("|" + attr.string + "|") != std::string::npos);
    case AttrKind::Bytes:
      return attr.kind == KILN_ATTR_BYTES;
    case AttrKind::Ints:
      return attr.kind == KILN_ATTR_INTS;
    case AttrKind::Extents:
      return attr.kind == KILN_ATTR_EXTENTS || attr.kind == KILN_ATTR_INTS;
    }
    return false;
  }

  bool checkAttributes(const Op &op, const OpInfo &info) {
    for (const AttrInfo &attr : info.attributes)
      if (!attr.optional && !op.find(attr.name))
        return fail(op, "lacks its attribute '" + std::string(attr.name) + "'");
    for (const Attr &attr : op.attrs) {
      auto found = std::find_if(info.attributes.begin(), info.attributes.end(),
                                [&](const AttrInfo &known) { return known.name == attr.name; });
      if (found == info.attributes.end())
        return fail(op, "has an attribute '" + attr.name + "' that is not known here");
      if (!isOfKind(attr, *found))
        return fail(op, "has an attribute '" + attr.name + "' of another kind" +
                            (found->choice.empty() ? "" : " than " + std::string(found->choice)));
    }
    return true;
  }

  bool checkDtypes(const Op &op, const OpInfo &info, const std::vector<const TensorInfo *> &operands,
                   const std::vector<const TensorInfo *> &results) {
    std::optional<kiln_dtype> own; // T
    auto note = [&](const std::vector<uint32_t> &values, const std::vector<const TensorInfo *> &tensors) {
      for (size_t i = 0; i < values.size() && !own; ++i)
        if (tensors[i]->dtype == "T")
          own = graph.type(values[i]).dtype;
    };
    note(op.operands, operands);
    note(op.results, results);
    if (own && !contains(info.elements, *own))
      return fail(op, "takes " + std::string(describe(info.elements)) + ", not " + dtypeName(*own));
    auto fits = [&](uint32_t value, const TensorInfo &tensor) {
      kiln_dtype dtype = graph.type(value).dtype;
      if (tensor.scalar && graph.type(value).rank())
        return false;
      if (tensor.dtype == "T" || tensor.dtype == "T+")
        return dtype == *own || (tensor.dtype == "T+" && dtype == accumulatorOf(*own));
      if (tensor.dtype == "number" || tensor.dtype == "integer")
        return contains(tensor.dtype == "number" ? Elements::Numbers : Elements::Bits, dtype);
      return tensor.dtype == "any" || tensor.dtype == dtypeName(dtype);
    };
    for (size_t i = 0; i < op.operands.size(); ++i)
      if (!fits(op.operands[i], *operands[i]))
        return failType(op, "operand", i, *operands[i], own);
    for (size_t i = 0; i < op.results.size(); ++i)
      if (!fits(op.results[i], *results[i]))
        return failType(op, "result", i, *results[i], own);
    return true;
  }

  bool failType(const Op &op, const std::string &what, size_t i, const TensorInfo &wanted,
                std::optional<kiln_dtype> own) {
    const Type &type = graph.type(what == "operand" ? op.operands[i] : op.results[i]);
    std::string name = wanted.dtype.starts_with('T') ? dtypeName(*own) : std::string(wanted.dtype);
    return fail(op, "has " + what + " " + std::to_string(i) + " of " + dtypeName(type.dtype) + " and rank " +
                        std::to_string(type.rank()) + ", where it takes " + (wanted.scalar ? "a scalar of " : "") +
                        name);
  }

  /// What would make indices run wild.
  bool checkAxes(const Op &op, const OpInfo &info) {
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
    case OpCode::Concat:
      good = !op.operands.empty();
      break;
    case OpCode::Extent:
      good = op.extents("expr").size() == 1;
      break;
    case OpCode::Attention:
    case OpCode::AttentionGrad:
    case OpCode::BiasedAttention:
    case OpCode::BiasedAttentionGrad:
    case OpCode::DropoutAttention:
    case OpCode::DropoutAttentionGrad:
    case OpCode::CappedAttention:
    case OpCode::CappedAttentionGrad:
      good = std::all_of(op.operands.begin(), op.operands.begin() + 3,
                         [&](uint32_t v) { return graph.type(v).rank() == 4; }) &&
             resultRank == 4 && op.integer("groups", 1) >= 1 && op.integer("sliding_window", 1) >= 1 &&
             op.integer("sliding_window", 1) <= (int64_t{1} << 30) && op.real("softcap", 1) > 0;
      break;
    case OpCode::RandomBits: // a counter of four words, one of them the element's
      good = op.operands.size() <= 4;
      break;
    default:
      if (info.opClass == OpClass::Elementwise)
        for (uint32_t v : op.operands)
          good = good && graph.type(v).rank() == resultRank;
      break;
    }
    if (op.find("axis"))
      good = good && op.integer("axis") >= 0 && static_cast<size_t>(op.integer("axis")) < rank;
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
