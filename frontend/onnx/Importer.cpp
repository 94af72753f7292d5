// The way through a model: its inputs and constants, node by node, its results, the text.
#include "frontend/onnx/Importer.h"

#include "frontend/onnx/Sizes.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <utility>

namespace kiln::onnx {

/// Calls of functions and branches inside of each other, and nodes in all: what a small file can ask for is bounded.
static constexpr int kMaxNesting = 64;
static constexpr size_t kMaxNodes = 50000;

namespace {
/// Thrown where going on would take too long: no node catches it.
struct TooMuch {
  std::string why;
};

/// Runs at the end of a block, however that comes.
template <typename Work> struct AtEnd {
  Work work;
  ~AtEnd() { work(); }
};
template <typename Work> AtEnd(Work) -> AtEnd<Work>;
} // namespace

//===-- Inputs and constants -------------------------------------------------------------------------------------===//

/// Names that exporters make up for a dimension that has none.
static bool isMadeUp(const std::string &name) {
  for (const char *mark : {"unk__", "DynamicDimension", "dynamic_axes", "?", "None", "-1"})
    if (name.find(mark) != std::string::npos)
      return true;
  return name.empty();
}

std::string Importer::dimName(const ValueInfo &input, size_t axis) {
  const std::string &name = input.shape[axis].name;
  bool madeUp = isMadeUp(name);
  // What has no name is the batch, where it stands first: the same one for all inputs.
  std::string key = madeUp && axis == 0           ? ""
                    : name.empty() || name == "?" ? input.name + "\n" + std::to_string(axis)
                                                  : name;
  if (auto found = dimNames_.find(key); found != dimNames_.end())
    return found->second;
  size_t rank = input.shape.size();
  static const char *const letters[3][4] = {{"B", "N", "", ""}, {"B", "T", "C", ""}, {"B", "C", "H", "W"}};
  std::string wish = madeUp ? (axis == 0                ? "B"
                               : rank >= 2 && rank <= 4 ? letters[rank - 2][axis]
                                                        : "D" + std::to_string(axis))
                            : identifier(name, "D");
  std::string ours = wish;
  for (int i = 2; !names_.insert(ours).second; ++i)
    ours = wish + "_" + std::to_string(i);
  dimNames_[key] = ours;
  return ours;
}

/// A dimension that the file leaves open: itself, or what --dim says of it.
Dim Importer::openDim(const std::string &ours, const ValueInfo &input, size_t axis) {
  const std::string &theirs = input.shape[axis].name;
  auto note = [&](const std::string &name, int64_t likely) {
    if (std::find(dims_.begin(), dims_.end(), name) != dims_.end())
      return;
    dims_.push_back(name);
    out_.dims.push_back({name, theirs, "axis " + std::to_string(axis) + " of " + input.name, likely});
  };
  auto fixed = options_.dims.find(ours);
  fixed = fixed == options_.dims.end() && !theirs.empty() ? options_.dims.find(theirs) : fixed;
  if (fixed == options_.dims.end()) {
    auto least = options_.least.find(ours);
    note(ours, std::max(likelySize(input, axis), least == options_.least.end() ? 1 : least->second));
    return Dim::symbol(ours);
  }
  std::optional<Dim> dim = Dim::parse(fixed->second);
  if (!dim || (dim->constant() && *dim->constant() < 1))
    throw Error("--dim " + fixed->first + "=" + fixed->second + ": a number is expected, or an expression as 32*H");
  for (const std::string &symbol : dim->symbols()) {
    if (identifier(symbol, "D") != symbol)
      throw Error("--dim " + fixed->first + "=" + fixed->second + ": '" + symbol + "' is no name");
    names_.insert(symbol);
    std::map<std::string, int64_t> ones;
    for (const std::string &other : dim->symbols())
      ones[other] = 1;
    int64_t one = std::max<int64_t>(dim->evaluate(ones).value_or(1), 1);
    note(symbol, std::max<int64_t>(likelySize(input, axis) / one, 1));
  }
  return *dim;
}

Value Importer::inputValue(const ValueInfo &input, std::string &typeText) {
  std::optional<kiln_dtype> dtype = dtypeOf(input.type);
  if (!input.unsupported.empty() || !dtype)
    throw Error("the input '" + input.name + "' is " +
                (input.unsupported.empty() ? "of type " + dataTypeName(input.type) : input.unsupported) +
                ", which Kiln does not have");
  if (!input.hasShape)
    throw Error("the input '" + input.name + "' has no shape: not even the number of its axes is known");
  Value value;
  value.dtype = *dtype;
  typeText = dtypeName(*dtype);
  for (size_t axis = 0; axis < input.shape.size(); ++axis) {
    typeText += axis == 0 ? "[" : ", ";
    int64_t size = input.shape[axis].size;
    std::string name = size < 0 ? dimName(input, axis) : "";
    if (size > (1LL << 40))
      throw Error("the input '" + input.name + "' has an axis of " + std::to_string(size) + " elements");
    Dim dim = size < 0 ? openDim(name, input, axis) : Dim(size);
    value.shape.push_back(dim);
    auto bound = options_.bounds.find(name);
    bool isNew = size < 0 && dim == Dim::symbol(name) && bound != options_.bounds.end() && bounded_.insert(name).second;
    // Said once, where the dimension stands first.
    auto noted = size < 0 ? model_.least.find(input.shape[axis].name) : model_.least.end();
    int64_t least = noted == model_.least.end() ? 1 : noted->second;
    if (auto implied = options_.least.find(name); implied != options_.least.end())
      least = std::max(least, implied->second);
    bool isLeast = size < 0 && least > 1 && dim == Dim::symbol(name) && least_.insert(name).second;
    std::string low = isLeast ? std::to_string(least) : "";
    typeText += !isLeast ? dimText(dim) : isNew ? low + " <= " + dimText(dim) : dimText(dim) + " >= " + low;
    typeText += isNew ? " <= " + std::to_string(bound->second) : "";
  }
  typeText += input.shape.empty() ? "" : "]";
  return value;
}

std::string Importer::signature() {
  std::set<std::string> given;
  for (const std::shared_ptr<Constant> &constant : model_.graph.constants)
    given.insert(constant->name);
  std::string out;
  for (const ValueInfo &input : model_.graph.inputs) {
    if (given.contains(input.name)) // it has a value that a caller may replace: as ONNX Runtime, we take the value
      continue;
    std::string type;
    Value value = inputValue(input, type);
    // The program's inputs keep the file's names, as far as a language can.
    value.text = identifier(input.name, "input");
    for (int i = 2; !names_.insert(value.text).second; ++i)
      value.text = identifier(input.name, "input") + "_" + std::to_string(i);
    out += (out.empty() ? "" : ", ") + value.text + ": " + type;
    inputs_.emplace_back(value.text, value);
    bind(input.name, std::move(value));
  }
  return out;
}

void Importer::constants(const Graph &graph) {
  for (const std::shared_ptr<Constant> &constant : graph.constants) {
    if (constant->name.empty())
      throw Error("an initializer has no name");
    bind(constant->name, constantValue(constant));
  }
}

/// A parameter, or a state where it is not trained: integers.
void Importer::declare(Value &value) {
  const Constant &constant = *value.constant;
  const auto key = std::pair(&constant, value.statistic);
  if (auto found = declared_.find(key); found != declared_.end()) {
    value.text = found->second;
    return;
  }
  std::string wish = value.wish.empty() ? constant.name : value.wish;
  std::string ours = fresh(wish == "state" ? "state_tensor" : wish, "constant"); // the module's body calls state(…)
  std::string stored = constant.name.empty() ? ours : constant.name;
  bool plain = stored != "__metadata__" && std::none_of(stored.begin(), stored.end(), [](unsigned char c) {
                 return c < 0x20 || c == '"' || c == '\\' || c == 0x7F;
               });
  if (!plain || !stored_.insert(stored).second)
    stored_.insert(stored = ours);
  bool isState = !isFloat(value.dtype) || value.statistic;
  std::string type = (isState ? "state(" : "parameter(") + typeText(value.dtype, value.shape) +
                     (isState         ? ", persistent"
                      : value.trained ? ""
                                      : ", trainable=False");
  Declared declared{ours, type, stored, {out_.weights.size()}};
  if (std::string why = draft_->declare(declared.text()); !why.empty())
    refuse("the tensor '" + constant.name + "' cannot be declared: " + why);
  declarations_.push_back(std::move(declared));
  declared_[key] = value.text = ours;
  TensorView view;
  view.name = stored;
  view.dtype = value.dtype;
  view.shape = constant.shape;
  view.data = reinterpret_cast<const uint8_t *>(constant.bytes.data());
  view.bytes = constant.bytes.size();
  out_.weights.push_back(std::move(view));
  out_.own.push_back(value.constant);
}

/// A constant of elements that were worked out.
static std::shared_ptr<const Constant> constantOf(const Value &value) {
  auto out = std::make_shared<Constant>();
  for (int type = kFloat; type <= kBfloat16; ++type)
    if (dtypeOf(type) == value.dtype)
      out->type = type;
  for (const Dim &dim : value.shape)
    out->shape.push_back(*dim.constant());
  out->own = std::make_shared<std::string>(value.known->size() * dtypeSize(value.dtype), '\0');
  for (size_t i = 0; i < value.known->size(); ++i)
    if (double number = *(*value.known)[i].constant(); isFloat(value.dtype))
      storeNumber(value.dtype, out->own->data(), static_cast<int64_t>(i), number);
    else
      storeInteger(value.dtype, out->own->data(), static_cast<int64_t>(i), *(*value.known)[i].dim.constant());
  out->bytes = *out->own;
  return out;
}

std::string Importer::tensor(Value &value) {
  if (value.items)
    refuse("it gives a sequence of tensors");
  if (!value.text.empty())
    return value.text;
  if (value.constant && !value.constant->problem.empty())
    refuse("the tensor '" + value.constant->name + "': " + value.constant->problem);
  bool isWeight = value.constant && isFloat(value.dtype) && value.rank() > 0 && !value.constant->name.empty();
  if (!value.known || isWeight) {
    declare(value);
    return value.text;
  }
  std::string dtype = dtypeName(value.dtype), dims;
  for (const Dim &dim : value.shape)
    dims += dimText(dim) + ", ";
  const std::vector<Element> &known = *value.known;
  std::set<std::string> different;
  bool constant = true;
  for (const Element &element : known) {
    different.insert(elementText(element, value.dtype));
    constant &= element.constant().has_value();
  }
  if (different.size() == 1)
    return "full(" + dims + *different.begin() + ", dtype=" + dtype + ")";
  if (constant) {
    if (!value.constant)
      value.constant = constantOf(value);
    value.trained &= !options_.train; // what is worked out is no weight
    declare(value);
    return value.text;
  }
  std::string out;
  for (const Element &element : known)
    out += (out.empty() ? "" : ", ") + ("full(" + elementText(element, value.dtype) + ", dtype=" + dtype + ")");
  out = "stack(" + out + ")";
  return value.rank() == 1 ? out : "reshape(" + out + ", " + dims.substr(0, dims.size() - 2) + ")";
}

//===-- Statements -----------------------------------------------------------------------------------------------===//

void Importer::write(std::vector<std::string> names, const std::string &expression) {
  std::string left;
  for (const std::string &name : names)
    left += (left.empty() ? "" : ", ") + name;
  if (std::string why = draft_->add(left + " = " + expression); !why.empty())
    refuse("`" + expression + "`: " + why);
  lines_.push_back({std::move(names), expression, 0, false, false, {node_}, scope_});
}

Value Importer::typeOf(const std::string &name) {
  std::optional<language::Draft::Type> type = draft_->typeOf(name);
  if (!type)
    refuse("its result '" + name + "' is no tensor");
  Value value;
  value.text = name;
  value.dtype = *dtypeFromName(type->dtype);
  value.shape = type->dims;
  return value;
}

std::optional<bool> Importer::lessOrEqual(const Dim &a, const Dim &b) {
  if (isNonNegative(b - a))
    return true;
  if (isNonNegative(a - b - Dim(1)))
    return false;
  return std::nullopt;
}

//===-- Nodes ----------------------------------------------------------------------------------------------------===//

/// The nodes that the wanted names need, each behind those that it reads. Throws Error for a cycle and for a name that
/// two nodes define.
static std::vector<const Node *> ordered(const std::vector<Node> &nodes, const std::vector<std::string> &wanted) {
  std::map<std::string, size_t> makers;
  for (size_t i = 0; i < nodes.size(); ++i)
    for (const std::string &output : nodes[i].outputs)
      if (!output.empty() && !makers.emplace(output, i).second)
        throw Error("the name '" + output + "' is defined twice, the second time by " + nodes[i].called());
  std::vector<std::vector<size_t>> needs(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    std::vector<std::string> reads;
    readsOf(nodes[i], reads);
    for (const std::string &name : reads)
      if (auto maker = makers.find(name); maker != makers.end())
        needs[i].push_back(maker->second);
  }
  enum State : uint8_t { New, Open, Done };
  std::vector<State> states(nodes.size(), New);
  std::vector<size_t> order; // each behind what it needs
  // Depth first, without recursion: a graph may be as deep as it is long.
  for (const std::string &name : wanted) {
    std::vector<std::pair<size_t, size_t>> stack;
    auto open = [&](size_t at) {
      states[at] = Open;
      stack.emplace_back(at, 0);
    };
    if (auto maker = makers.find(name); maker != makers.end() && states[maker->second] == New)
      open(maker->second);
    while (!stack.empty()) {
      size_t at = stack.back().first;
      if (stack.back().second == needs[at].size()) {
        states[at] = Done;
        order.push_back(at);
        stack.pop_back();
        continue;
      }
      size_t need = needs[at][stack.back().second++];
      if (states[need] == Open)
        throw Error("the graph has a cycle through " + nodes[need].called());
      if (states[need] == New)
        open(need);
    }
  }
  // The file's own order, where it is one.
  std::vector<size_t> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  bool isOrder = std::all_of(sorted.begin(), sorted.end(), [&](size_t at) {
    return std::all_of(needs[at].begin(), needs[at].end(), [&](size_t need) { return need < at; });
  });
  std::vector<const Node *> out;
  for (size_t at : isOrder ? sorted : order)
    out.push_back(&nodes[at]);
  return out;
}

void Importer::nodes(const std::vector<Node> &nodes, const std::vector<std::string> &wanted) {
  for (const Node &node : nodes)
    for (const std::string &output : node.outputs)
      if (scopes_.back().contains(output))
        throw Error("the name '" + output + "' is defined twice, the second time by " + node.called());
  for (const Node *node : ordered(nodes, wanted)) {
    if (++nodes_ > kMaxNodes)
      throw TooMuch{"the model has more than " + std::to_string(kMaxNodes) + " nodes, functions written out"};
    this->node(*node);
  }
}

/// Binds what a node that cannot be imported would give, so that those behind it are silent.
void Importer::giveUp(const Node &node) {
  for (const std::string &output : node.outputs)
    if (!output.empty() && !scopes_.back().contains(output)) {
      Value failed;
      failed.failed = true;
      bind(output, failed);
    }
}

void Importer::node(const Node &node) {
  std::vector<std::string> reads;
  readsOf(node, reads);
  for (const std::string &input : node.inputs) {
    const Value *value = input.empty() ? nullptr : find(input);
    if (!input.empty() && !value) {
      problem(node.called() + ": its input '" + input + "' is defined nowhere");
      return giveUp(node);
    }
    if (value && value->failed)
      return giveUp(node);
  }
  // Nodes inside of this one say who they are themselves.
  std::string outer = std::exchange(node_, node.ownName()), outerScope = std::exchange(scope_, node.scope);
  const size_t begin = lines_.size();
  AtEnd done{[&] {
    for (size_t i = begin; i < lines_.size(); ++i)
      if (lines_[i].nodes.empty())
        lines_[i].nodes = {node_};
    node_ = std::move(outer);
    scope_ = std::move(outerScope);
  }};
  try {
    if (expand(node))
      return;
    auto version = opsets_.find(node.domain);
    const Op *op = findOp(node.domain, node.type);
    if (!op)
      refuse("Kiln has no such op yet");
    Call call(*this, node, version == opsets_.end() ? (node.domain.empty() ? 0 : 1) : version->second);
    writeWithRows(*op, call);
    keepOffset(call);
    call.checkAttributes();
  } catch (const Refusal &refusal) {
    problem(node.called() + ": " + refusal.why);
    if (!refusal.dim.empty())
      out_.exact.emplace(refusal.dim, refusal.size);
  } catch (const Error &error) {
    problem(node.called() + ": " + error.what());
  }
  giveUp(node);
}

/// A function of the file's own: its nodes in the place of the call. False where the node is none.
bool Importer::expand(const Node &node) {
  auto isIt = [&](const Function &f) {
    return f.name == node.type && (f.domain == node.domain || (f.domain == "ai.onnx" && node.domain.empty()));
  };
  auto function = std::find_if(model_.functions.begin(), model_.functions.end(), isIt);
  if (function == model_.functions.end())
    return false;
  std::vector<Value> results = called(node, *function);
  for (size_t i = 0; i < results.size(); ++i)
    if (!node.outputs[i].empty())
      bind(node.outputs[i], results[i]);
  return true;
}

std::vector<Value> Importer::called(const Node &node, const Function &callee) {
  const Function *function = &callee;
  if (depth_ >= kMaxNesting)
    throw TooMuch{"functions call each other more than " + std::to_string(kMaxNesting) + " deep"};
  if (node.inputs.size() > function->inputs.size() || node.outputs.size() > function->outputs.size())
    refuse("it has more inputs or outputs than the function that it calls");
  std::map<std::string, Value> scope;
  for (size_t i = 0; i < node.inputs.size(); ++i)
    if (!node.inputs[i].empty())
      scope.emplace(function->inputs[i], *find(node.inputs[i]));
  // What a function's node takes from the call: attributes by reference.
  std::vector<Node> nodes = function->nodes;
  for (Node &inner : nodes) {
    for (std::string &input : inner.inputs)
      if (std::find(function->inputs.begin(), function->inputs.end(), input) != function->inputs.end() &&
          !scope.contains(input))
        input.clear();
    resolve(inner, node, *function);
  }
  std::vector<std::map<std::string, Value>> outer;
  outer.swap(scopes_); // a function sees nothing of its caller
  scopes_.push_back(std::move(scope));
  ++depth_;
  AtEnd restore{[&, opsets = opsets_] {
    scopes_.swap(outer);
    opsets_ = opsets;
    --depth_;
  }};
  for (const auto &[domain, version] : function->opsets)
    opsets_[domain] = version;
  std::vector<std::string> wanted(function->outputs.begin(),
                                  function->outputs.begin() + static_cast<int64_t>(node.outputs.size()));
  std::vector<Value> results;
  this->nodes(nodes, wanted);
  for (const std::string &output : wanted) {
    Value *value = find(output);
    results.push_back(value ? *value : Value());
    results.back().failed |= value == nullptr;
  }
  return results;
}

/// Attributes that a function's node takes from its caller, or from the function's defaults, by value.
void Importer::resolve(Node &inner, const Node &caller, const Function &function) {
  std::vector<Attribute> attributes;
  for (Attribute &attribute : inner.attributes) {
    if (attribute.graph) {
      auto graph = std::make_shared<Graph>(*attribute.graph);
      for (Node &node : graph->nodes)
        resolve(node, caller, function);
      attribute.graph = std::move(graph);
    }
    if (attribute.reference.empty()) {
      attributes.push_back(std::move(attribute));
      continue;
    }
    const Attribute *given = caller.find(attribute.reference);
    for (const Attribute &fallback : function.defaults)
      if (!given && fallback.name == attribute.reference)
        given = &fallback;
    if (!given)
      continue;
    Attribute own = *given;
    own.name = attribute.name;
    attributes.push_back(std::move(own));
  }
  inner.attributes = std::move(attributes);
}

std::vector<Value> Importer::inlined(const Graph &graph, const std::vector<Value> &inputs) {
  AtEnd restore{[this, scopes = scopes_.size(), depth = depth_] {
    scopes_.resize(scopes);
    depth_ = depth;
  }};
  if (++depth_ > kMaxNesting)
    throw TooMuch{"graphs stand in each other more than " + std::to_string(kMaxNesting) + " deep"};
  if (inputs.size() != graph.inputs.size())
    refuse("its graph '" + graph.name + "' has " + std::to_string(graph.inputs.size()) + " inputs, and is given " +
           std::to_string(inputs.size()));
  scopes_.emplace_back();
  for (size_t i = 0; i < inputs.size(); ++i)
    bind(graph.inputs[i].name, inputs[i]);
  constants(graph);
  std::vector<std::string> wanted;
  for (const ValueInfo &output : graph.outputs)
    wanted.push_back(output.name);
  size_t before = problems_.size();
  nodes(graph.nodes, wanted);
  std::vector<Value> results;
  for (const std::string &name : wanted) {
    Value *value = find(name);
    if (!value && problems_.size() == before)
      refuse("the result '" + name + "' of its graph is defined nowhere");
    results.push_back(value ? *value : Value());
    results.back().failed |= value == nullptr;
  }
  return results;
}

/// Many graphs are right for some sizes alone, which their files do not say. What is wrong stands at a sentence's end.
void Importer::adviseOnSizes() {
  for (std::string &problem : problems_)
    for (const std::string &dim : dims_)
      if (!options_.dims.contains(dim) && problem.find("--") == std::string::npos && isOfDim(problem, dim)) {
        problem += "; if the graph is for some sizes of " + dim + " alone, say which: --dim " + dim +
                   "=640, or --dim " + dim + "=32*" + dim + " for the multiples of 32";
        return;
      }
}

/// The names that are taken, and the function's arguments.
std::string Importer::begin() {
  names_ = language::Draft::knownNames();
  names_.insert("forward");
  for (const char *free : {"state", "like", "copy", "inference", "buffer", "frozen", "l1", "l2"})
    names_.erase(free); // functions that stand in a module's body alone
  return signature();
}

std::vector<OpenDim> Importer::openDims() {
  try {
    begin();
  } catch (const Error &) { // run() tells it
  }
  return std::move(out_.dims);
}

Imported Importer::run() {
  try {
    opsets_ = model_.opsets;
    if (opsets_.empty())
      throw Error("the file does not say which opset it is of");
    std::string arguments = begin();
    if (options_.train)
      names_.insert("data"); // of the recipe
    draft_ = std::make_unique<language::Draft>(arguments, options_.bounds);
    if (!draft_->failure().empty())
      throw Error("its inputs: " + draft_->failure());
    constants(model_.graph);
    std::vector<std::string> wanted;
    for (const ValueInfo &output : model_.graph.outputs)
      wanted.push_back(output.name);
    if (wanted.empty())
      throw Error("the graph has no results");
    nodes(model_.graph.nodes, wanted);
    std::string result = problems_.empty() ? returned() : "";
    if (problems_.empty())
      out_.text = text(arguments, result);
  } catch (const Refusal &refusal) {
    problem(refusal.why);
  } catch (const TooMuch &much) {
    problem(much.why);
  } catch (const Error &error) {
    problem(error.what());
  }
  if (!problems_.empty())
    out_.text.clear();
  adviseOnSizes();
  out_.problems = std::move(problems_);
  for (const std::string &dim : dims_)
    if (!options_.bounds.contains(dim))
      out_.open.push_back(dim);
  return std::move(out_);
}

} // namespace kiln::onnx
