// A model that is to be trained: which constants are its weights, and the recipe behind its text.
#include "frontend/onnx/Importer.h"
#include "runtime/support/Json.h"

#include <algorithm>
#include <cstring>

namespace kiln::onnx {

//===-- Weights --------------------------------------------------------------------------------------------------===//

/// docs/onnx.md says what counts ("Training it further").
bool isExporters(std::string_view name) {
  for (const char *begins : {"/", "onnx::", "ConstantFolding/"})
    if (name.starts_with(begins))
      return true;
  auto drop = [&](std::string_view end) { name.remove_suffix(name.ends_with(end) ? end.size() : 0); };
  auto isNumbered = [&] { // and the number taken off
    size_t size = name.find_last_not_of("0123456789") + 1;
    bool numbered = size < name.size();
    name = name.substr(0, size);
    return numbered;
  };
  auto isOneOf = [&](std::initializer_list<std::string_view> all) {
    return std::find(all.begin(), all.end(), name) != all.end();
  };
  drop(":0"); // each tensor's of TensorFlow, weights' too
  if (size_t scope = name.rfind('/'); scope != name.npos && name.substr(scope + 1).starts_with("Const"))
    name = name.substr(scope + 1);
  if (isOneOf({"Const", "scalar_tensor", "scalar_tensor_default"}))
    return true;
  if (!isNumbered() && !name.ends_with("_cast"))
    return false;
  if (size_t cast = name.rfind("_cast"); cast != name.npos && name.starts_with("const_")) { // const_14_cast_2
    name = name.substr(0, cast);
    if (!isNumbered())
      return false;
  }
  return name.ends_with("_output_") || name == "lifted_tensor_" || name.ends_with(".lifted_tensor_") ||
         isOneOf({"val_", "const_", "Const_", "scalar_tensor_", "scalar_tensor_default_", "_lifted_tensor_constant",
                  "const_fold_opt__"});
}

static bool isUniform(const Constant &constant, kiln_dtype dtype) {
  size_t size = dtypeSize(dtype);
  for (size_t at = size; at < constant.bytes.size(); at += size)
    if (std::memcmp(constant.bytes.data(), constant.bytes.data() + at, size) != 0)
      return false;
  return true;
}

/// What an initialiser is. Where the text is trained, floating ones are its weights; those by a made-up name that hold
/// one number alone (the ones and zeros of a norm that is taken apart, a scale) are not.
Value Importer::constantValue(const std::shared_ptr<Constant> &constant) const {
  Value value;
  if (constant->problem.empty())
    value = valueOf(constant);
  value.constant = constant;
  if (!options_.train || !constant->problem.empty() || !isFloat(value.dtype) || constant->count() == 0)
    return value;
  if (isExporters(constant->name) && isUniform(*constant, value.dtype)) {
    std::string first(constant->bytes.substr(0, dtypeSize(value.dtype)));
    Element number(loadNumber(value.dtype, first.data(), 0));
    if (constant->count() <= kMostKnown) {
      value.known = std::make_shared<std::vector<Element>>(constant->count(), number);
      value.counted = std::move(value.constant);
    }
    value.trained = false;
    return value;
  }
  value.initial = std::move(value.known);
  value.known = nullptr;
  return value;
}

bool Importer::isRead(const std::string &name) {
  if (reads_.empty()) {
    std::vector<std::string> reads;
    for (const Node &node : model_.graph.nodes)
      readsOf(node, reads);
    for (const Function &function : model_.functions) {
      reads.insert(reads.end(), function.outputs.begin(), function.outputs.end());
      for (const Node &node : function.nodes)
        readsOf(node, reads);
    }
    for (const ValueInfo &output : model_.graph.outputs)
      reads.push_back(output.name);
    reads_.insert(reads.begin(), reads.end());
  }
  return reads_.contains(name);
}

//===-- The recipe -----------------------------------------------------------------------------------------------===//

/// The sizes that the recipe's data have: what --bound says, else 8 for a batch and 16 for what else is open.
std::vector<int64_t> Importer::sizesOf(const std::vector<Dim> &shape) const {
  std::map<std::string, int64_t> values;
  for (const auto &[name, input] : inputs_)
    for (size_t axis = 0; axis < input.shape.size(); ++axis)
      for (const std::string &symbol : input.shape[axis].symbols()) {
        auto bound = options_.bounds.find(symbol);
        auto least = options_.least.find(symbol);
        int64_t size = axis == 0 ? 8 : 16;
        size = std::max(size, least == options_.least.end() ? 1 : least->second);
        if (bound != options_.bounds.end())
          size = options_.implied.contains(symbol) ? std::min(size, bound->second) : bound->second;
        values.emplace(symbol, size);
      }
  std::vector<int64_t> out;
  for (const Dim &dim : shape)
    out.push_back(dim.evaluate(values).value_or(1));
  return out;
}

static std::string fixedType(kiln_dtype dtype, const std::vector<int64_t> &sizes) {
  return typeText(dtype, std::vector<Dim>(sizes.begin(), sizes.end()));
}

/// The fields of the data that are the model's inputs; `arguments`: a call's.
std::string Importer::recipeData(std::string &arguments) const {
  std::string fields;
  for (const auto &[name, input] : inputs_) {
    fields += ", " + name + "=" + fixedType(input.dtype, sizesOf(input.shape));
    arguments += (arguments.empty() ? "data." : ", data.") + name;
  }
  return fields;
}

/// The node that makes a value, through what passes it on as it is.
static const Node *makerOf(const Graph &graph, std::string name) {
  std::map<std::string, const Node *> makers;
  for (const Node &node : graph.nodes)
    for (const std::string &output : node.outputs)
      makers.emplace(output, &node);
  for (size_t steps = 0; steps <= graph.nodes.size(); ++steps) {
    auto maker = makers.find(name);
    if (maker == makers.end())
      return nullptr;
    const Node &node = *maker->second;
    if ((node.type != "Identity" && node.type != "Cast") || node.inputs.empty())
      return &node;
    name = node.inputs[0];
  }
  return nullptr;
}

/// Is there a table with a row for each of so many tokens, which a node takes rows of?
static bool readsTokens(const Graph &graph, const Dim &tokens) {
  std::set<std::string> tables;
  for (const std::shared_ptr<Constant> &constant : graph.constants)
    if (constant->shape.size() == 2 && Dim(constant->shape[0]) == tokens)
      tables.insert(constant->name);
  return std::any_of(graph.nodes.begin(), graph.nodes.end(), [&](const Node &node) {
    return node.type == "Gather" && !node.inputs.empty() && tables.contains(node.inputs[0]);
  });
}

/// The loss of what the model gives, `outputs`, where its form tells which; empty where it does not. `target`: the
/// data's further field.
std::string Importer::recipeLoss(const std::string &outputs, std::string &target) {
  const std::vector<ValueInfo> &results = model_.graph.outputs;
  auto named = std::find_if(results.begin(), results.end(),
                            [](const ValueInfo &result) { return result.name.find("logits") != std::string::npos; });
  bool several = results.size() > 1;
  const ValueInfo &result = named == results.end() ? results.front() : *named;
  Value value = *find(result.name);
  std::string of = several ? outputs + "[\"" + identifier(result.name, "output") + "\"]" : outputs;
  const Node *maker = makerOf(model_.graph, result.name);
  std::string type = maker ? maker->type : "";
  bool isScores = !several || named != results.end();
  Dim classes = value.shape.empty() ? Dim(1) : value.shape.back();
  bool manyClasses = classes.constant() && *classes.constant() > 1 && value.rank() >= 2;
  bool linear = type == "Gemm" || type == "MatMul" || type == "Add" || named != results.end();
  std::vector<int64_t> sizes = sizesOf(value.shape);
  auto field = [&](std::string name) {
    auto isTaken = [&](const auto &input) { return input.first == name; };
    while (std::any_of(inputs_.begin(), inputs_.end(), isTaken))
      name = "true_" + name;
    return name;
  };
  auto wants = [&](const std::string &name, kiln_dtype dtype) {
    target = name + "=" + fixedType(dtype, sizes);
    return ", data." + name + ")";
  };
  if (isScores && isFloat(value.dtype) && type == "Sigmoid") {
    return "bce(" + of + wants(field("target"), value.dtype);
  }
  bool isClassifier = value.rank() == 2 || (value.rank() == 3 && readsTokens(model_.graph, classes));
  if (isScores && isFloat(value.dtype) && manyClasses &&
      (type == "Softmax" || type == "LogSoftmax" || (linear && isClassifier))) {
    sizes.pop_back();
    std::string beside = wants(field(value.rank() == 3 ? "next" : "label"), KILN_I32);
    return (type == "Softmax"      ? "nll(log(" + of + ")"
            : type == "LogSoftmax" ? "nll(" + of
                                   : "cross_entropy(" + of) +
           beside;
  }
  out_.lossIsOpen = true;
  return "name_a_loss(" + of + wants(field("target"), isFloat(value.dtype) ? value.dtype : KILN_F32);
}

std::string Importer::recipe() {
  std::string arguments, target, fields = recipeData(arguments);
  std::string loss = recipeLoss("forward(" + arguments + ")", target);
  std::string note = out_.lossIsOpen ? "    # is it mse, mae, bce, cross_entropy, …? docs/nn.md has them\n" : "\n";
  return "\ntrain " + options_.name + ":\n    data      = safetensors(\"data.safetensors\"" + fields + ", " + target +
         ")    # each with an axis in front: the step\n    loss      = " + loss + note +
         "    optimizer = Adam(lr=1e-4)\n    weights   = " + jsonQuote(options_.weights) + "\n    steps     = 100\n";
}

} // namespace kiln::onnx
