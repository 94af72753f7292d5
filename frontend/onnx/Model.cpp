// Messages of an ONNX file to graphs, nodes and tensors, each looked at as it is read.
#include "frontend/onnx/Model.h"

#include "frontend/onnx/External.h"
#include "frontend/onnx/Wire.h"
#include "runtime/support/Error.h"

#include <charconv>
#include <cstring>
#include <optional>
#include <sstream>

namespace kiln::onnx {

namespace {
struct TypeRow {
  const char *name;
  std::optional<kiln_dtype> dtype;
  size_t bytes; ///< of an element in raw data
};
} // namespace

static const TypeRow *typeRow(int64_t type) {
  static const TypeRow rows[] = {
      {"undefined", {}, 0},       {"float", KILN_F32, 4},  {"uint8", KILN_U8, 1},     {"int8", KILN_I8, 1},
      {"uint16", {}, 2},          {"int16", {}, 2},        {"int32", KILN_I32, 4},    {"int64", KILN_I64, 8},
      {"string", {}, 0},          {"bool", KILN_BOOL, 1},  {"float16", KILN_F16, 2},  {"double", KILN_F64, 8},
      {"uint32", KILN_U32, 4},    {"uint64", {}, 8},       {"complex64", {}, 8},      {"complex128", {}, 16},
      {"bfloat16", KILN_BF16, 2}, {"float8e4m3fn", {}, 1}, {"float8e4m3fnuz", {}, 1}, {"float8e5m2", {}, 1},
      {"float8e5m2fnuz", {}, 1},  {"uint4", {}, 0},        {"int4", {}, 0},           {"float4e2m1", {}, 0},
  };
  return type >= 0 && type < static_cast<int64_t>(std::size(rows)) ? &rows[type] : nullptr;
}

std::string dataTypeName(int64_t type) {
  const TypeRow *row = typeRow(type);
  return row ? row->name : format("type %lld", static_cast<long long>(type));
}

std::optional<kiln_dtype> dtypeOf(int64_t type) {
  const TypeRow *row = typeRow(type);
  return row ? row->dtype : std::nullopt;
}

const char *kindName(Attribute::Kind kind) {
  static const char *const names[] = {"nothing",         "a float",           "an integer",       "a text",
                                      "a tensor",        "a graph",           "a list of floats", "a list of integers",
                                      "a list of texts", "a list of tensors", "a list of graphs", "of another kind"};
  return names[kind];
}

int64_t Constant::count() const { return countElements(shape).value_or(0); }

const Attribute *Node::find(std::string_view wanted) const {
  for (const Attribute &attribute : attributes)
    if (attribute.name == wanted)
      return &attribute;
  return nullptr;
}

std::string Node::ownName() const {
  std::string own = name;
  for (size_t i = 0; own.empty() && i < outputs.size(); ++i)
    own = outputs[i];
  return own;
}

std::string Node::called() const {
  return "node '" + ownName() + "' (" + (domain.empty() ? "" : domain + ".") + type + ")";
}

//===-- Tensors --------------------------------------------------------------------------------------------------===//

namespace {
/// What of a TensorProto is not raw bytes.
struct Typed {
  std::vector<float> floats;
  std::vector<int64_t> integers; // int32_data, int64_data and uint64_data
  std::vector<double> doubles;
  bool any = false;
};

/// Reads messages; knows the folder that external data may lie in.
class Reader {
public:
  Reader(Model &model, std::string folder) : model_(model), folder_(std::move(folder)) {}
  void model(Wire wire);

private:
  std::shared_ptr<Constant> tensor(Wire wire);
  void finish(Constant &tensor, const Typed &typed, bool hasRaw);
  Attribute attribute(Wire wire);
  Node node(Wire wire);
  ValueInfo valueInfo(Wire wire);
  Graph graph(Wire wire);
  Function function(Wire wire);

  Model &model_;
  std::string folder_;
};
} // namespace

/// The elements of a list as the bytes that raw data would have.
static std::shared_ptr<std::string> packed(const Constant &tensor, const Typed &typed) {
  auto out = std::make_shared<std::string>();
  size_t width = typeRow(tensor.type)->bytes;
  auto raw = [&](const auto &list) { out->assign(reinterpret_cast<const char *>(list.data()), list.size() * width); };
  if (tensor.type == kFloat) {
    raw(typed.floats);
  } else if (tensor.type == kDouble) {
    raw(typed.doubles);
  } else if (width == 8) {
    raw(typed.integers);
  } else {
    out->resize(typed.integers.size() * width);
    for (size_t i = 0; i < typed.integers.size(); ++i) // little-endian, as the file
      std::memcpy(out->data() + i * width, &typed.integers[i], width);
  }
  return out;
}

/// Looks at what was read, and makes raw bytes of it. What only the tensor's use would need is a `problem`.
void Reader::finish(Constant &tensor, const Typed &typed, bool hasRaw) {
  const char *name = tensor.name.c_str();
  for (int64_t dim : tensor.shape)
    if (dim < 0)
      fail("the tensor '%s' has the shape %s", name, describeShape(tensor.shape).c_str());
  std::optional<int64_t> count = countElements(tensor.shape);
  const TypeRow *row = typeRow(tensor.type);
  if (!row || row->bytes == 0 || !row->dtype) {
    tensor.problem = "it is of type " + dataTypeName(tensor.type) + ", which Kiln does not have";
    return;
  }
  if (!count || *count > (1LL << 40))
    fail("the tensor '%s' says that it has the shape %s, which is too large", name,
         describeShape(tensor.shape).c_str());
  if (!tensor.problem.empty())
    return;
  if (hasRaw && typed.any)
    fail("the tensor '%s' has its elements twice, as raw bytes and as a list", name);
  if (!hasRaw) {
    tensor.own = packed(tensor, typed);
    tensor.bytes = *tensor.own;
  }
  if (tensor.bytes.size() != static_cast<size_t>(*count) * row->bytes)
    fail("the tensor '%s' is %s, %lld bytes, and the file has %zu bytes for it", name,
         describeType(*row->dtype, tensor.shape).c_str(),
         static_cast<long long>(*count) * static_cast<long long>(row->bytes), tensor.bytes.size());
  if (tensor.type == kBool)
    for (char byte : tensor.bytes)
      if (byte != 0 && byte != 1)
        fail("the tensor '%s' is of bool and holds %d", name, static_cast<int>(byte));
}

std::shared_ptr<Constant> Reader::tensor(Wire wire) {
  auto out = std::make_shared<Constant>();
  Typed typed;
  bool hasRaw = false, external = false;
  std::map<std::string, std::string> where;
  while (wire.next())
    switch (wire.field()) {
    case 1:
      wire.integers(out->shape);
      break;
    case 2:
      out->type = wire.integer();
      break;
    case 3:
      fail("a tensor is in segments, which no ONNX file has had for years");
    case 4:
      wire.numbers(typed.floats), typed.any = true;
      break;
    case 5:
    case 7:
    case 11:
      wire.integers(typed.integers), typed.any = true;
      break;
    case 8:
      out->name = wire.text();
      break;
    case 9:
      out->bytes = wire.bytes(), hasRaw = true;
      break;
    case 10:
      wire.doubles(typed.doubles), typed.any = true;
      break;
    case 13: {
      std::string key, value;
      for (Wire entry = wire.message("an external tensor's entry"); entry.next();)
        (entry.field() == 1 ? key : value) = entry.text();
      where[key] = value;
      break;
    }
    case 14:
      external = wire.integer() == 1;
      break;
    default:
      break;
    }
  if (out->shape.size() > 16)
    fail("the tensor '%s' has %zu axes; a program's tensors have at most 16", out->name.c_str(), out->shape.size());
  if (external) {
    openExternal(folder_, where, out->name, model_.files, out->bytes);
    hasRaw = true;
  }
  finish(*out, typed, hasRaw);
  return out;
}

//===-- Nodes and graphs -----------------------------------------------------------------------------------------===//

Attribute Reader::attribute(Wire wire) {
  Attribute out;
  int64_t kind = -1;
  Attribute::Kind seen = Attribute::Undefined;
  auto is = [&](Attribute::Kind value) { seen = value; };
  while (wire.next())
    switch (wire.field()) {
    case 1:
      out.name = wire.text();
      break;
    case 2:
      out.number = wire.number(), is(Attribute::Float);
      break;
    case 3:
      out.integer = wire.integer(), is(Attribute::Int);
      break;
    case 4:
      out.text = std::string(wire.bytes()), is(Attribute::String);
      break;
    case 5:
      out.tensor = tensor(wire.message("an attribute's tensor")), is(Attribute::Tensor);
      break;
    case 6:
      out.graph = std::make_shared<Graph>(graph(wire.message("a node's graph"))), is(Attribute::Graph);
      break;
    case 7:
      wire.numbers(out.numbers), is(Attribute::Floats);
      break;
    case 8:
      wire.integers(out.integers), is(Attribute::Ints);
      break;
    case 9:
      out.texts.emplace_back(wire.bytes()), is(Attribute::Strings);
      break;
    case 10:
      is(Attribute::Tensors);
      break;
    case 11:
      is(Attribute::Graphs);
      break;
    case 14:
    case 15:
    case 22:
    case 23:
      is(Attribute::Other);
      break;
    case 20:
      kind = wire.integer();
      break;
    case 21:
      out.reference = wire.text();
      break;
    default:
      break;
    }
  out.kind = kind < 0 ? seen : kind <= Attribute::Graphs ? static_cast<Attribute::Kind>(kind) : Attribute::Other;
  // Zero and empty lists need not be written; anything else has to be what the type says.
  bool fits = seen == Attribute::Undefined || seen == out.kind || !out.reference.empty();
  if (!fits || (out.kind == Attribute::Graph && !out.graph && out.reference.empty()) ||
      (out.kind == Attribute::Tensor && !out.tensor && out.reference.empty()))
    fail("the attribute '%s' is said to be %s and holds %s", out.name.c_str(), kindName(out.kind), kindName(seen));
  return out;
}

/// The module of a node: the last but one of PyTorch's scopes, "['', 'encoder', 'encoder.layer.0', 'linear']".
static std::string scopeOfList(const std::string &list) {
  std::vector<std::string> scopes;
  for (size_t at = list.find('\''); at != std::string::npos; at = list.find('\'', at)) {
    size_t end = list.find('\'', at + 1);
    if (end == std::string::npos)
      break;
    scopes.push_back(list.substr(at + 1, end - at - 1));
    at = end + 1;
  }
  return scopes.size() < 2 ? "" : scopes[scopes.size() - 2];
}

/// The same of a name as TorchScript's exporter makes them, "/encoder/layer.0/MatMul_1"; "/layer1/layer1.0/Conv" and
/// "/layers/layers.0/layers.0.1/Conv" say the lists' names again.
static std::string scopeOfName(const std::string &name) {
  size_t last = name.rfind('/');
  if (name.empty() || name[0] != '/' || last == 0)
    return "";
  std::string out, part;
  for (std::stringstream parts(name.substr(1, last - 1)); std::getline(parts, part, '/');) {
    size_t again = std::string::npos; // from where the end of what is there begins the part
    for (size_t at = 0; at < out.size() && again == std::string::npos; ++at)
      if ((at == 0 || out[at - 1] == '.') && part.starts_with(out.substr(at) + "."))
        again = out.size() - at;
    out += again != std::string::npos ? part.substr(again) : (out.empty() ? "" : ".") + part;
  }
  return out;
}

/// A key and its value, of metadata.
static std::pair<std::string, std::string> readEntry(Wire wire) {
  std::string key, value;
  while (wire.next())
    if (wire.field() == 1)
      key = wire.text();
    else if (wire.field() == 2)
      value = wire.text();
  return {key, value};
}

/// The model's metadata: of interest is how large a dimension has to be. What is no such number is passed over.
static void readLeast(Wire wire, Model &model) {
  auto [key, value] = readEntry(wire);
  int64_t least = 0;
  auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), least);
  if (key.starts_with(kLeastKey) && error == std::errc() && end == value.data() + value.size() && least > 1)
    model.least[key.substr(kLeastKey.size())] = least;
}

/// A node's metadata: of interest is the module alone.
static void readScope(Wire wire, Node &node) {
  auto [key, value] = readEntry(wire);
  if (key == "pkg.torch.onnx.name_scopes")
    node.scope = scopeOfList(value);
}

Node Reader::node(Wire wire) {
  Node out;
  while (wire.next())
    switch (wire.field()) {
    case 1:
      out.inputs.push_back(wire.text());
      break;
    case 2:
      out.outputs.push_back(wire.text());
      break;
    case 3:
      out.name = wire.text();
      break;
    case 4:
      out.type = wire.text();
      break;
    case 5: {
      Attribute attribute = this->attribute(wire.message("an attribute"));
      if (out.find(attribute.name))
        fail("%s has the attribute '%s' twice", out.called().c_str(), attribute.name.c_str());
      out.attributes.push_back(std::move(attribute));
      break;
    }
    case 7:
      out.domain = wire.text();
      break;
    case 9:
      readScope(wire.message("a node's metadata"), out);
      break;
    default:
      break;
    }
  if (out.domain == "ai.onnx")
    out.domain.clear();
  if (out.scope.empty())
    out.scope = scopeOfName(out.name);
  return out;
}

static ValueInfo::Dimension dimension(Wire wire) {
  ValueInfo::Dimension out;
  while (wire.next())
    if (wire.field() == 1)
      out.size = wire.integer();
    else if (wire.field() == 2)
      out.name = wire.text();
  return out;
}

ValueInfo Reader::valueInfo(Wire wire) {
  ValueInfo out;
  while (wire.next()) {
    if (wire.field() == 1)
      out.name = wire.text();
    if (wire.field() != 2)
      continue;
    out.unsupported = "of no type";
    for (Wire type = wire.message("a type"); type.next();) {
      if (type.field() != 1) {
        out.unsupported = type.field() == 4   ? "a sequence"
                          : type.field() == 5 ? "a map"
                          : type.field() == 9 ? "optional"
                                              : out.unsupported;
        continue;
      }
      out.unsupported.clear();
      for (Wire tensor = type.message("a tensor's type"); tensor.next();) {
        if (tensor.field() == 1)
          out.type = tensor.integer();
        if (tensor.field() != 2)
          continue;
        out.hasShape = true;
        for (Wire shape = tensor.message("a shape"); shape.next();)
          if (shape.field() == 1)
            out.shape.push_back(dimension(shape.message("a dimension")));
      }
    }
  }
  if (out.shape.size() > 16)
    fail("'%s' has %zu axes; a program's tensors have at most 16", out.name.c_str(), out.shape.size());
  return out;
}

Graph Reader::graph(Wire wire) {
  Graph out;
  while (wire.next())
    switch (wire.field()) {
    case 1:
      out.nodes.push_back(node(wire.message("a node")));
      break;
    case 2:
      out.name = wire.text();
      break;
    case 5:
      out.constants.push_back(tensor(wire.message("an initializer")));
      break;
    case 11:
      out.inputs.push_back(valueInfo(wire.message("an input")));
      break;
    case 12:
      out.outputs.push_back(valueInfo(wire.message("an output")));
      break;
    case 15:
      fail("the graph '%s' has sparse initializers, which Kiln does not have", out.name.c_str());
    default:
      break;
    }
  return out;
}

static void opset(Wire wire, std::map<std::string, int64_t> &out) {
  std::string domain;
  int64_t version = 0;
  while (wire.next())
    if (wire.field() == 1)
      domain = wire.text();
    else if (wire.field() == 2)
      version = wire.integer();
  out[domain == "ai.onnx" ? "" : domain] = version;
}

Function Reader::function(Wire wire) {
  Function out;
  while (wire.next())
    switch (wire.field()) {
    case 1:
      out.name = wire.text();
      break;
    case 4:
      out.inputs.push_back(wire.text());
      break;
    case 5:
      out.outputs.push_back(wire.text());
      break;
    case 6:
      out.attributes.push_back(wire.text());
      break;
    case 7:
      out.nodes.push_back(node(wire.message("a function's node")));
      break;
    case 9:
      opset(wire.message("a function's opset"), out.opsets);
      break;
    case 10:
      out.domain = wire.text();
      break;
    case 11:
      out.defaults.push_back(attribute(wire.message("a function's attribute")));
      break;
    default:
      break;
    }
  return out;
}

void Reader::model(Wire wire) {
  bool hasGraph = false;
  while (wire.next())
    switch (wire.field()) {
    case 1:
      model_.irVersion = wire.integer();
      break;
    case 2:
      model_.producer = wire.text();
      break;
    case 7:
      if (hasGraph)
        fail("this is no ONNX file, or a damaged one: it has two graphs");
      model_.graph = graph(wire.message("the graph"));
      hasGraph = true;
      break;
    case 8:
      opset(wire.message("an opset"), model_.opsets);
      break;
    case 14:
      readLeast(wire.message("the model's metadata"), model_);
      break;
    case 25:
      model_.functions.push_back(function(wire.message("a function")));
      break;
    default:
      break;
    }
  if (!hasGraph)
    fail("this is no ONNX file, or a damaged one: it has no graph");
}

Model Model::parse(std::string_view bytes, const std::string &folder) {
  Model out;
  Reader(out, folder).model(Wire(bytes, "the file"));
  return out;
}

Model Model::open(const std::string &path) {
  auto file = std::make_shared<MappedFile>(path);
  std::string folder = folderOf(path);
  try {
    Model out = parse(file->text(), folder.empty() ? "." : folder);
    out.files.push_back(std::move(file));
    return out;
  } catch (const Error &error) {
    throw Error(path + ": " + error.what());
  }
}

} // namespace kiln::onnx
