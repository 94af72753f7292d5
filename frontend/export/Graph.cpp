// Nodes, constants and sizes.
#include "frontend/export/Graph.h"

#include "ir/Places.h"
#include "passes/support/Values.h"

#include <algorithm>
#include <cctype>
#include <cstring>

namespace kiln::exported {

DataType dataTypeOf(mlir::Type element) {
  if (element.isF32())
    return DataType::Float;
  if (element.isF64())
    return DataType::Double;
  if (element.isBF16())
    return DataType::Bfloat16;
  if (element.isF16())
    return DataType::Float16;
  unsigned width = element.getIntOrFloatBitWidth();
  if (width == 1)
    return DataType::Bool;
  if (element.isUnsignedInteger())
    return width == 8 ? DataType::Uint8 : DataType::Uint32;
  return width == 8 ? DataType::Int8 : width == 32 ? DataType::Int32 : DataType::Int64;
}

void Graph::fail(mlir::Operation *op, const std::string &why) {
  if (!problem.empty())
    return;
  std::string place = locationText(op->getLoc());
  problem = (place.empty() ? "" : place + ": ") + "the op '" + op->getName().stripDialect().str() + "' " + why;
}

//===-- Nodes ----------------------------------------------------------------------------------------------------===//

std::string Graph::fresh(const std::string &wish) {
  std::string base;
  for (char c : wish)
    base += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  std::string name;
  do
    name = base + "_" + std::to_string(numbers_[base]++);
  while (reserved_.count(name));
  return name;
}

std::vector<std::string> Graph::addSeveral(const std::string &type, const std::vector<std::string> &inputs,
                                           size_t results, const std::vector<Message> &attributes) {
  std::vector<std::string> names;
  for (size_t i = 0; i < results; ++i)
    names.push_back(fresh(type));
  std::string place = current ? locationText(current->getLoc()) : "";
  scopes_.back().nodes.push_back(node(type, inputs, names, names[0], attributes, place));
  return names;
}

std::string Graph::add(const std::string &type, const std::vector<std::string> &inputs,
                       const std::vector<Message> &attributes) {
  return addSeveral(type, inputs, 1, attributes)[0];
}

void Graph::rename(const std::string &from, const std::string &to) {
  scopes_.back().nodes.push_back(node("Identity", {from}, {to}, fresh("identity"), {}, ""));
}

//===-- Constants and sizes --------------------------------------------------------------------------------------===//

std::string Graph::constant(DataType type, const std::vector<int64_t> &shape, const std::string &bytes) {
  std::string key = std::to_string(static_cast<int>(type));
  for (int64_t dim : shape)
    key += "," + std::to_string(dim);
  auto [found, isNew] = constants_.try_emplace(key + ":" + bytes);
  if (isNew) {
    found->second = fresh("constant");
    constantMessages_.push_back(tensor(found->second, type, shape, bytes));
  }
  return found->second;
}

std::string Graph::integers(const std::vector<int64_t> &values) {
  std::string bytes(values.size() * sizeof(int64_t), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return constant(DataType::Int64, {static_cast<int64_t>(values.size())}, bytes);
}

std::string Graph::scalar(mlir::Type element, double value) {
  auto raw = [](auto number) {
    std::string bytes(sizeof number, '\0');
    std::memcpy(bytes.data(), &number, sizeof number);
    return bytes;
  };
  DataType type = dataTypeOf(element);
  std::string bytes;
  if (auto kind = llvm::dyn_cast<mlir::FloatType>(element)) {
    llvm::APFloat number(value);
    bool lost = false;
    number.convert(kind.getFloatSemantics(), llvm::APFloat::rmNearestTiesToEven, &lost);
    uint64_t bits = number.bitcastToAPInt().getZExtValue();
    bytes = raw(bits).substr(0, element.getIntOrFloatBitWidth() / 8); // little-endian, as ONNX
  } else {
    bytes = raw(static_cast<int64_t>(value)).substr(0, std::max(1u, element.getIntOrFloatBitWidth() / 8));
  }
  return constant(type, {}, bytes);
}

void Graph::symbolFrom(const std::string &input, size_t axis, const Dim &dim) {
  std::vector<std::string> symbols = dim.symbols();
  if (symbols.size() != 1)
    return;
  const std::string &name = symbols[0];
  std::optional<int64_t> at0 = dim.evaluate({{name, 0}}), at1 = dim.evaluate({{name, 1}});
  if (!at0 || !at1 || *at1 - *at0 <= 0 || dim != Dim::symbol(name) * Dim(*at1 - *at0) + Dim(*at0))
    return;
  auto known = sources_.find(name);
  bool plain = *at1 - *at0 == 1 && *at0 == 0;
  if (known == sources_.end() || (plain && known->second.factor != 1))
    sources_[name] = {input, axis, *at1 - *at0, *at0};
}

std::string Graph::symbol(const std::string &name) {
  if (auto known = symbols_.find(name); known != symbols_.end())
    return known->second;
  auto source = sources_.find(name);
  if (source == sources_.end()) {
    if (current)
      fail(current, "needs the size " + name + ", which no input has");
    return "";
  }
  auto before = [&](const std::string &type, const std::vector<std::string> &inputs,
                    const std::vector<Message> &attributes) {
    std::string out = fresh("size");
    first_.push_back(node(type, inputs, {out}, out, attributes, ""));
    return out;
  };
  auto axis = static_cast<int64_t>(source->second.axis);
  std::string out = before("Shape", {source->second.input}, {attribute("start", axis), attribute("end", axis + 1)});
  if (source->second.offset != 0)
    out = before("Sub", {out, integers({source->second.offset})}, {});
  if (source->second.factor != 1)
    out = before("Div", {out, integers({source->second.factor})}, {});
  return symbols_[name] = out;
}

// What Dim::str() writes, node by node: sums of products of numbers, symbols, floordiv(a, n) and max(a, b).

static bool take(std::string_view &text, std::string_view what) {
  while (!text.empty() && text[0] == ' ')
    text.remove_prefix(1);
  if (!text.starts_with(what))
    return false;
  text.remove_prefix(what.size());
  return true;
}

std::string Graph::parsedAtom(std::string_view &text) {
  if (take(text, "(")) {
    std::string inner = parsed(text);
    take(text, ")");
    return inner;
  }
  bool divides = take(text, "floordiv(");
  if (divides || take(text, "max(")) {
    std::string a = parsed(text);
    take(text, ",");
    std::string b = parsed(text);
    take(text, ")");
    return divides ? add("Div", {add("Sub", {a, add("Mod", {a, b})}), b}) : add("Max", {a, b});
  }
  size_t length = 0;
  while (length < text.size() && (std::isalnum(static_cast<unsigned char>(text[length])) || text[length] == '_'))
    ++length;
  std::string word(text.substr(0, length));
  text.remove_prefix(length);
  bool isNumber = !word.empty() && std::isdigit(static_cast<unsigned char>(word[0]));
  return isNumber ? integers({std::stoll(word)}) : symbol(word);
}

std::string Graph::parsedTerm(std::string_view &text) {
  std::string out = parsedAtom(text);
  while (take(text, "*"))
    out = add("Mul", {out, parsedAtom(text)});
  return out;
}

std::string Graph::parsed(std::string_view &text) {
  bool negative = take(text, "-");
  std::string out = parsedTerm(text);
  if (negative)
    out = add("Neg", {out});
  for (;;)
    if (take(text, "+"))
      out = add("Add", {out, parsedTerm(text)});
    else if (take(text, "-"))
      out = add("Sub", {out, parsedTerm(text)});
    else
      return out;
}

std::string Graph::size(const Dim &dim) {
  if (std::optional<int64_t> number = dim.constant())
    return integers({*number});
  std::string key = dim.str();
  for (const Scope &scope : scopes_)
    if (auto known = scope.sizes.find(key); known != scope.sizes.end())
      return known->second;
  std::string_view text = key;
  std::string out = parsed(text);
  return scopes_.back().sizes[key] = out;
}

std::string Graph::number(const Dim &dim) {
  if (std::optional<int64_t> number = dim.constant()) {
    std::string bytes(sizeof *number, '\0');
    std::memcpy(bytes.data(), &*number, bytes.size());
    return constant(DataType::Int64, {}, bytes);
  }
  return add("Squeeze", {size(dim), integers({0})});
}

std::string Graph::range(const Dim &from, const Dim &to) { return add("Range", {number(from), number(to), number(1)}); }

std::string Graph::sizes(llvm::ArrayRef<Dim> dims) {
  if (llvm::all_of(dims, [](const Dim &dim) { return dim.isConstant(); })) {
    std::vector<int64_t> numbers;
    for (const Dim &dim : dims)
      numbers.push_back(*dim.constant());
    return integers(numbers);
  }
  if (dims.size() == 1)
    return size(dims[0]);
  std::vector<std::string> parts;
  for (const Dim &dim : dims)
    parts.push_back(size(dim));
  return add("Concat", parts, {attribute("axis", int64_t{0})});
}

//===-- Values ---------------------------------------------------------------------------------------------------===//

void Graph::set(mlir::Value value, Held held) {
  for (Scope &scope : scopes_) // a region that is written twice
    scope.full.erase(value);
  held_[value] = std::move(held);
}

void Graph::set(mlir::Value value, const std::string &name) { set(value, Held{name, dimsOf(value)}); }

const Held &Graph::held(mlir::Value value) { return held_[value]; }

std::string Graph::full(mlir::Value value) {
  const Held &held = held_[value];
  llvm::SmallVector<Dim> dims = dimsOf(value);
  if (held.dims == dims)
    return held.name;
  for (Scope &scope : scopes_)
    if (auto known = scope.full.find(value); known != scope.full.end())
      return known->second;
  std::string out = add("Expand", {held.name, sizes(dims)});
  return scopes_.back().full[value] = out;
}

std::string Graph::reshaped(const std::string &name, llvm::ArrayRef<Dim> from, llvm::ArrayRef<Dim> to) {
  if (from == to)
    return name;
  // One size that is not known follows from the others; none of them is 0.
  std::vector<int64_t> numbers;
  int open = 0;
  for (const Dim &dim : to) {
    std::optional<int64_t> number = dim.constant();
    open += number ? *number == 0 ? 2 : 0 : 1;
    numbers.push_back(number.value_or(-1));
  }
  return add("Reshape", {name, open <= 1 ? integers(numbers) : sizes(to)},
             open <= 1 ? std::vector<Message>{} : std::vector<Message>{attribute("allowzero", int64_t{1})});
}

std::string Graph::transposed(const std::string &name, llvm::ArrayRef<int64_t> permutation) {
  if (isIdentity(permutation))
    return name;
  return add("Transpose", {name}, {attribute("perm", permutation.vec())});
}

std::string Graph::cast(const std::string &name, DataType type) {
  return add("Cast", {name}, {attribute("to", static_cast<int64_t>(type))});
}

std::string Graph::sliced(const std::string &name, int64_t axis, const std::string &start, const std::string &end,
                          int64_t step) {
  std::vector<std::string> inputs = {name, start, end, integers({axis})};
  if (step != 1)
    inputs.push_back(integers({step}));
  return add("Slice", inputs);
}

//===-- Graphs ---------------------------------------------------------------------------------------------------===//

void Graph::open() { scopes_.emplace_back(); }

Message Graph::close(const std::string &name, const std::vector<Message> &inputs, const std::vector<Message> &outputs,
                     const std::vector<Message> &initializers) {
  // GraphProto: node 1, name 2, initializer 5, input 11, output 12.
  Message out;
  for (const Message &node : scopes_.back().nodes)
    out.message(1, node);
  out.bytes(2, name);
  for (const Message &one : initializers)
    out.message(5, one);
  for (const Message &input : inputs)
    out.message(11, input);
  for (const Message &output : outputs)
    out.message(12, output);
  scopes_.pop_back();
  return out;
}

Message Graph::info(const std::string &name, mlir::Type type) {
  std::vector<std::string> dims;
  for (const Dim &dim : dimsOf(type))
    dims.push_back(dim.str());
  return valueInfo(name, dataTypeOf(llvm::cast<mlir::RankedTensorType>(type).getElementType()), dims);
}

Message Graph::finish(const std::string &name, const std::vector<Message> &inputs, const std::vector<Message> &outputs,
                      std::vector<Message> initializers) {
  std::vector<Message> &nodes = scopes_.back().nodes;
  nodes.insert(nodes.begin(), first_.begin(), first_.end());
  initializers.insert(initializers.end(), constantMessages_.begin(), constantMessages_.end());
  return close(name, inputs, outputs, initializers);
}

} // namespace kiln::exported
