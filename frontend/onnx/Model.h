// An ONNX file as data: graphs, nodes, attributes, tensors. https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
#pragma once

#include "runtime/files/File.h"
#include "runtime/support/Tensor.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::onnx {

/// TensorProto.DataType, as it stands in files.
enum DataType : int {
  kUndefined = 0,
  kFloat = 1,
  kUint8 = 2,
  kInt8 = 3,
  kUint16 = 4,
  kInt16 = 5,
  kInt32 = 6,
  kInt64 = 7,
  kString = 8,
  kBool = 9,
  kFloat16 = 10,
  kDouble = 11,
  kUint32 = 12,
  kUint64 = 13,
  kComplex64 = 14,
  kComplex128 = 15,
  kBfloat16 = 16,
};

/// "float16"; "type 99" for one that is not known.
std::string dataTypeName(int64_t type);
/// Nullopt for what Kiln has no dtype for.
std::optional<kiln_dtype> dtypeOf(int64_t type);

/// A constant. Its bytes are in the file, in an external one, or `own`.
struct Constant {
  std::string name;
  int64_t type = kUndefined;
  std::vector<int64_t> shape;
  std::string_view bytes; ///< exactly as many as shape and type ask for, where `problem` is empty
  std::shared_ptr<std::string> own;
  std::string problem; ///< why it cannot be read, where only its use is an error

  int64_t count() const;
};

struct Graph;

struct Attribute {
  /// AttributeProto.AttributeType.
  enum Kind { Undefined, Float, Int, String, Tensor, Graph, Floats, Ints, Strings, Tensors, Graphs, Other };
  std::string name, reference; ///< `reference`: of a function's, the one that its caller gives
  Kind kind = Undefined;
  float number = 0;
  int64_t integer = 0;
  std::string text;
  std::vector<float> numbers;
  std::vector<int64_t> integers;
  std::vector<std::string> texts;
  std::shared_ptr<Constant> tensor;
  std::shared_ptr<onnx::Graph> graph;
};

/// "a float", "a list of integers".
const char *kindName(Attribute::Kind kind);

struct Node {
  std::string name, type, domain;
  std::string scope; ///< the module that the exporter wrote it for, "encoder.layer.0.attention"; empty: not known
  std::vector<std::string> inputs, outputs; ///< an empty name is an input that was left out
  std::vector<Attribute> attributes;

  const Attribute *find(std::string_view name) const;
  /// "node 'conv1' (Conv)"
  std::string called() const;
  /// Its name; its first result's where it has none.
  std::string ownName() const;
};

/// An input or output. A dimension is a number, or a name, or nothing.
struct ValueInfo {
  struct Dimension {
    int64_t size = -1;
    std::string name;
  };
  std::string name, unsupported; ///< `unsupported`: "a sequence", where it is no tensor
  int64_t type = kUndefined;
  bool hasShape = false;
  std::vector<Dimension> shape;
};

struct Graph {
  std::string name;
  std::vector<Node> nodes;
  std::vector<std::shared_ptr<Constant>> constants;
  std::vector<ValueInfo> inputs, outputs;
};

/// An op that the file itself defines.
struct Function {
  std::string name, domain;
  std::vector<std::string> inputs, outputs, attributes;
  std::vector<Attribute> defaults;
  std::vector<Node> nodes;
  std::map<std::string, int64_t> opsets;
};

/// In a model's metadata, before a dimension's name: how large it has to be. `kiln export` writes it.
constexpr std::string_view kLeastKey = "kiln.least.";

struct Model {
  std::string producer;
  int64_t irVersion = 0;
  std::map<std::string, int64_t> opsets; ///< by domain; "" is ONNX's own
  Graph graph;
  std::vector<Function> functions;
  std::map<std::string, int64_t> least; ///< what `kiln export` has noted: how large an open dimension has to be
  std::vector<std::shared_ptr<MappedFile>> files; ///< that `bytes` point into

  /// Throws Error: unreadable, cut, malformed. External data has to lie in the model's folder.
  static Model open(const std::string &path);
  /// `bytes` must outlive the result; `folder`: of external data, which is refused where it is empty.
  static Model parse(std::string_view bytes, const std::string &folder);
};

} // namespace kiln::onnx
