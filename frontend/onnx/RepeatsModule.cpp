// The module of repeated statements: its parameters' names and those of its values, its signature, its lines.
#include "frontend/onnx/Folder.h"

#include <algorithm>
#include <cctype>

namespace kiln::onnx {

//===-- Names ----------------------------------------------------------------------------------------------------===//

/// Would parameters that the model's author named have other names?
bool Folder::losesNames() const {
  for (const auto &[name, operand] : pattern_.operands)
    for (size_t k = 0; operand.isParameter && k < paths_.size(); ++k)
      if (const std::string &stored = declared_.at(operand.names[k])->stored;
          !isExporters(stored) && !stored.starts_with(pathText(paths_[k])))
        return true;
  return false;
}

/// The path in front of all names of an instance's parameters; a name of ours where there is none.
void Folder::findOnePath() {
  std::vector<std::string> path;
  bool isFirst = true;
  for (const auto &[name, operand] : pattern_.operands) {
    if (!operand.isParameter || isExporters(declared_.at(name)->stored))
      continue;
    std::vector<std::string> parts = partsOf(declared_.at(name)->stored);
    parts.pop_back();
    path = isFirst ? parts : path;
    isFirst = false;
    path.resize(
        static_cast<size_t>(std::mismatch(path.begin(), path.end(), parts.begin(), parts.end()).first - path.begin()));
  }
  paths_ = {path};
  if (path.empty() || !arePaths(paths_, program_, around_.names))
    paths_ = {{untaken("layer", [&](const std::string &name) { return around_.names.contains(name); })}};
}

void Folder::findPaths() {
  if (pattern_.isOne)
    return findOnePath();
  std::vector<std::vector<std::string>> stored, scopes;
  for (const std::string &name : pattern_.order)
    if (const Pattern::Operand &operand = pattern_.operands.at(name); operand.isParameter) {
      stored.emplace_back();
      for (const std::string &one : operand.names)
        stored.back().push_back(declared_.at(one)->stored);
    }
  for (size_t j = 0; j < candidate_.instances[0].size(); ++j) {
    scopes.emplace_back();
    for (const std::vector<size_t> &lines : candidate_.instances)
      scopes.back().push_back(program_.lines[lines[j]].scope);
  }
  paths_ = candidate_.isByScope() ? candidate_.paths : pathsOf(stored, scopes);
  if (paths_.empty() || !arePaths(paths_, program_, around_.names)) {
    std::string list = untaken("layers", [&](const std::string &name) {
      return around_.names.contains(name) || std::any_of(weights_.begin(), weights_.end(),
                                                         [&](const auto &w) { return w.name.starts_with(name + "."); });
    });
    paths_.clear();
    for (size_t k = 0; k < candidate_.instances.size(); ++k)
      paths_.push_back({list, std::to_string(k)});
  }
  // A loop goes over neighbours in a list.
  for (size_t k = 0; k < paths_.size(); ++k) {
    std::vector<std::string> next = paths_[0];
    bool isNumber = next.back().find_first_not_of("0123456789") == std::string::npos;
    if (isNumber)
      next.back() = std::to_string(std::stoull(next.back()) + k);
    isOneList_ &= isNumber && paths_[k] == next;
  }
  pattern_.isLoop &= isOneList_;
}

/// The parts of a name that the instances have in common: "expand_bn" of "conv6_expand_bn" and "conv7_expand_bn".
static std::string inCommon(const std::vector<std::string> &names) {
  std::vector<std::vector<std::string>> all;
  for (const std::string &name : names) {
    all.emplace_back(1);
    for (char c : name)
      if (c == '.' || c == '_' || c == '/' || c == ':')
        all.back().emplace_back();
      else
        all.back().back() += c;
  }
  std::string out;
  for (size_t i = 0; i < all[0].size(); ++i)
    if (std::all_of(all.begin(), all.end(), [&](const auto &one) { return one.size() > i && one[i] == all[0][i]; }))
      out += (out.empty() || all[0][i].empty() ? "" : "_") + all[0][i];
  return out;
}

/// What follows the instance's path in a parameter's name: the file's, where it begins with that, else what the
/// instances' names have in common. Those that an exporter made up are called after the module of the node that reads
/// them: `kernel` has its inputs first (x @ kernel), unlike PyTorch's `weight`.
std::string Folder::memberWish(const Pattern::Operand &operand) const {
  std::string path = pathText(paths_[0]);
  const Declared &declared = *declared_.at(operand.names[0]);
  if (declared.stored.starts_with(path))
    return declared.stored.substr(path.size());
  bool isNamed = std::none_of(operand.names.begin(), operand.names.end(),
                              [&](const auto &name) { return isExporters(declared_.at(name)->stored); });
  std::vector<std::string> stored;
  for (const std::string &name : operand.names)
    stored.push_back(declared_.at(name)->stored);
  if (std::string common = isNamed ? identifier(inCommon(stored), "") : ""; common.size() > 1)
    return common;
  std::string scope = program_.lines[operand.line].scope + ".";
  scope = scope.starts_with(path) ? scope.substr(path.size()) : "";
  bool isMatrix = declared.type.find(',') < declared.type.find(']');
  return scope + (declared.type.starts_with("state(") ? "constant" : isMatrix ? "kernel" : "offset");
}

void Folder::nameParameters(Module &module) {
  std::set<std::string> taken, others;
  std::map<std::string, int> ends; // how many end so
  std::set<size_t> own;
  for (const auto &[name, operand] : pattern_.operands)
    for (const std::string &one : operand.names)
      if (operand.isParameter)
        own.insert(declared_.at(one)->weights[0]);
  for (size_t i = 0; i < weights_.size(); ++i)
    if (!own.contains(i))
      others.insert(weights_[i].name);
  auto isTaken = [&](const std::string &stored) {
    return taken.contains(stored) || std::any_of(paths_.begin(), paths_.end(), [&](const auto &path) {
             return others.contains(pathText(path) + stored);
           });
  };
  auto endOf = [](const std::string &stored, size_t parts) {
    std::vector<std::string> all = partsOf(stored);
    std::string out;
    for (size_t i = all.size() - std::min(parts, all.size()); i < all.size(); ++i)
      out += (out.empty() ? "" : "_") + all[i];
    return out;
  };
  for (const std::string &name : pattern_.order) {
    const Pattern::Operand &operand = pattern_.operands.at(name);
    if (!operand.isParameter)
      continue;
    Declared member = *declared_.at(name);
    member.stored = untaken(memberWish(operand), isTaken);
    taken.insert(member.stored);
    member.weights.clear();
    for (size_t k = 0; k < paths_.size(); ++k)
      member.weights.push_back(declared_.at(operand.names[k])->weights[0]);
    module.parameters.push_back(std::move(member));
  }
  for (size_t parts = 1; parts <= 4; ++parts)
    for (const Declared &member : module.parameters)
      ++ends[std::to_string(parts) + endOf(member.stored, parts)];
  for (Declared &member : module.parameters) {
    size_t parts = 2;
    while (parts < 4 && ends[std::to_string(parts) + endOf(member.stored, parts)] > 1)
      ++parts;
    member.name = local_[member.name] = freshIn(moduleNames_, identifier(endOf(member.stored, parts), "w"));
  }
}

/// "transpose_3_2" without its numbers.
static std::string withoutNumber(std::string name) {
  for (;;) {
    size_t end = name.find_last_not_of("0123456789");
    if (end == std::string::npos || end == 0 || end + 1 == name.size() || name[end] != '_')
      return name;
    name.resize(end);
  }
}

void Folder::nameLocals(Module &module) {
  auto fresh = [&](const std::string &wish) { return freshIn(moduleNames_, wish); };
  for (const std::string &name : pattern_.order) {
    const Pattern::Operand &operand = pattern_.operands.at(name);
    if (operand.isParameter)
      continue;
    bool isCarried = pattern_.isLoop ? operand.carried != SIZE_MAX : !operand.isShared;
    (isCarried ? carried_ : shared_).push_back(name);
  }
  for (const std::string &name : carried_)
    local_[name] = fresh("x");
  for (const std::string &name : shared_)
    local_[name] = fresh(around_.typeOf(name)->dtype == "bool" ? "mask" : withoutNumber(name));
  arguments_ = carried_;
  arguments_.insert(arguments_.end(), shared_.begin(), shared_.end());
  // TorchScript's exporter names values of encoder.layer.0 "layer_0_mul".
  const std::vector<std::string> &path = paths_[0];
  std::string own = (path.size() > 1 ? path[path.size() - 2] + "_" : "") + path.back() + "_";
  for (Line &line : module.lines)
    for (const std::string &name : line.names)
      if (name != "_" && !local_.contains(name))
        local_[name] = fresh(identifier(withoutNumber(name.starts_with(own) ? name.substr(own.size()) : name), "y"));
}

//===-- The module -----------------------------------------------------------------------------------------------===//

/// The type as a signature has it, of a value by its names in all instances: empty where one of its dimensions is
/// neither a number nor made of what is bound. Numbers in which instances differ are arguments of the module, or
/// lengths of the argument's own.
std::string Folder::typeIn(const std::vector<std::string> &names, std::set<std::string> &bound, bool isArgument) const {
  std::vector<language::Draft::Type> types;
  for (const std::string &name : names)
    types.push_back(*around_.typeOf(name));
  std::vector<std::string> dims;
  for (size_t axis = 0; axis < types[0].dims.size(); ++axis) {
    const Dim &dim = types[0].dims[axis];
    for (const std::string &symbol : dim.symbols())
      if (!bound.contains(symbol))
        return "";
    std::vector<int64_t> values;
    bool isSame = true;
    for (const language::Draft::Type &type : types) {
      isSame &= type.dims[axis] == dim;
      values.push_back(type.dims[axis].constant().value_or(-1));
    }
    auto known = widths_.find(values);
    if (isSame)
      dims.push_back(dimText(dim));
    else if (known != widths_.end())
      dims.push_back(known->second);
    else if (isArgument && std::find(values.begin(), values.end(), -1) == values.end())
      dims.push_back(freshIn(bound, axis + 1 == types[0].dims.size() ? "W" : "H"));
    else
      return "";
  }
  std::string out = types[0].dtype;
  for (size_t axis = 0; axis < dims.size(); ++axis)
    out += (axis == 0 ? "[" : ", ") + dims[axis];
  return out + (dims.empty() ? "" : "]");
}

void Folder::writeSignature(Module &module) {
  std::set<std::string> bound, read;
  for (const std::string &name : arguments_) {
    language::Draft::Type type = *around_.typeOf(name);
    for (const Dim &dim : type.dims)
      if (std::vector<std::string> symbols = dim.symbols(); symbols.size() == 1 && dim == Dim::symbol(symbols[0]))
        bound.insert(symbols[0]);
  }
  for (const Line &line : module.lines)
    eachName(line.expression, [&](const std::string &name, size_t) { read.insert(name); });
  for (const std::string &name : arguments_) {
    std::string type = typeIn(pattern_.operands.at(name).names, bound, true);
    module.arguments += (module.arguments.empty() ? "" : ", ") + local_.at(name) + (type.empty() ? "" : ": " + type);
  }
  for (const std::string &dim : around_.dims)
    if (read.contains(dim) && !bound.contains(dim)) {
      lengths_.push_back(dim);
      module.arguments += (module.arguments.empty() ? "" : ", ") + dim;
    }
  bool known = true;
  for (size_t number : pattern_.returned) {
    const std::string &name = pattern_.results[0][number];
    std::vector<std::string> names;
    for (const std::vector<std::string> &results : pattern_.results)
      names.push_back(results[number]);
    std::string type = typeIn(names, bound, false);
    known &= !type.empty();
    module.returns += (module.returns.empty() ? "" : ", ") + type;
    module.result += (module.result.empty() ? "" : ", ") + local_.at(name);
  }
  if (pattern_.returned.size() > 1)
    module.returns = "(" + module.returns + ")";
  if (!known)
    module.returns.clear();
}

/// "layers" and "layer1": "Layer"; short words are no names.
static std::string moduleWish(const std::vector<std::string> &path) {
  std::string word;
  for (const std::string &part : path)
    if (part.find_first_not_of("0123456789") != std::string::npos)
      word = part;
  word = withoutNumber(word);
  word.resize(word.find_last_not_of("0123456789") + 1);
  if (word.size() > 3 && word.ends_with("s") && !word.ends_with("ss"))
    word.pop_back();
  std::string out;
  bool begins = true;
  for (char c : word) {
    if (c != '_')
      out += begins ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    begins = c == '_';
  }
  return out.size() < 3 ? "Block" : out;
}

/// All that a module says but for what it calls its arguments and values.
static std::string formOf(const Module &module, const std::vector<std::string> &arguments) {
  std::map<std::string, std::string> names;
  auto number = [&](const std::string &name) { names.try_emplace(name, "value" + std::to_string(names.size())); };
  std::for_each(arguments.begin(), arguments.end(), number);
  for (const Line &line : module.lines)
    std::for_each(line.names.begin(), line.names.end(), number);
  for (const Declared &member : module.parameters)
    names.erase(member.name);
  std::string out = module.widths + "\n" + renamed(module.arguments, names) + module.returns + "\n" +
                    renamed(module.result, names) + "\n";
  for (const Declared &member : module.parameters)
    out += member.text() + "\n";
  for (Line line : module.lines) {
    for (std::string &name : line.names)
      name = renamed(name, names);
    line.expression = renamed(line.expression, names);
    out += lineText(line) + "\n";
  }
  return out;
}

void Folder::writeModule() {
  moduleNames_ = language::Draft::knownNames();
  moduleNames_.insert(around_.dims.begin(), around_.dims.end());
  Module module;
  std::set<std::string> taken = around_.names;
  taken.insert(around_.model);
  for (const Module &other : program_.modules)
    taken.insert(other.name);
  module.name = freshIn(taken, moduleWish(paths_[0]));
  nameParameters(module);
  nameWidths(module);
  for (size_t line : candidate_.instances[0])
    module.lines.push_back(program_.lines[line]);
  nameLocals(module);
  writeSignature(module);
  for (size_t j = 0; j < module.lines.size(); ++j) {
    Line &line = module.lines[j];
    for (std::string &name : line.names)
      if (auto found = local_.find(name); found != local_.end())
        name = found->second;
    std::vector<std::string> others;
    for (const std::vector<size_t> &instance : candidate_.instances)
      others.push_back(program_.lines[instance[j]].expression);
    line.expression = renamed(withWidths(line.expression, others), local_);
  }
  std::vector<std::string> arguments;
  for (const std::string &name : arguments_)
    arguments.push_back(local_.at(name));
  module.form = formOf(module, arguments);
  auto isSame = [&](const Module &other) { return module.form == other.form; };
  auto same = std::find_if(program_.modules.begin(), program_.modules.end(), isSame);
  for (size_t k = 0; k < paths_.size(); ++k) {
    std::string widths;
    for (const auto &[values, wish] : wishes_)
      widths += (widths.empty() ? "" : ", ") + std::to_string(values[k]);
    program_.instances.push_back({paths_[k], static_cast<size_t>(same - program_.modules.begin()), widths});
  }
  for (const Declared &member : module.parameters)
    for (size_t k = 0; k < paths_.size(); ++k)
      weights_[member.weights[k]].name = pathText(paths_[k]) + member.stored;
  parameters_ = module.parameters;
  if (same == program_.modules.end())
    program_.modules.push_back(std::move(module));
}

} // namespace kiln::onnx
