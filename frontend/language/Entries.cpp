// Functions of the output module: their arguments, results, attributes and bounds.
#include "frontend/language/Elaborate.h"
#include "frontend/language/IndexLimits.h"
#include "frontend/language/Limits.h"
#include "frontend/language/Recipe.h"
#include "ir/Bounds.h"

#include "llvm/ADT/DenseSet.h"

namespace kiln::language {

mlir::Type typeOf(Elaborator &e, const TypeInfo &type) {
  return tensorType(type.dims, elementType(type.dtype, e.context()));
}

std::shared_ptr<Entry> Elaborator::beginEntry(const std::string &name,
                                              const std::vector<std::pair<std::string, TypeInfo>> &inputs,
                                              bool training, Range range) {
  auto entry = std::make_shared<Entry>();
  entry->name = name;
  entry->training = training;
  entry->inputs = inputs.size();
  builder_.setInsertionPointToEnd(module_->getBody());
  entry->func = builder_.create<mlir::func::FuncOp>(location(range), name, builder_.getFunctionType({}, {}));
  entry->block = new mlir::Block();
  entry->func.getBody().push_back(entry->block);
  for (const auto &[input, type] : inputs) {
    entry->block->addArgument(typeOf(*this, type), location(type.range));
    for (size_t i = 0; i < type.dims.size(); ++i)
      for (const std::string &symbol : type.dims[i].symbols())
        entry->symbols.try_emplace(symbol, i < type.origins.size() ? type.origins[i].range : type.range);
  }
  for (const auto &[input, type] : inputs)
    entry->inputNames.push_back(input);
  builder_.setInsertionPointToEnd(entry->block);
  entry_ = entry.get();
  return entry;
}

std::vector<Value> Elaborator::inputValues(const Entry &entry,
                                           const std::vector<std::pair<std::string, TypeInfo>> &inputs) {
  std::vector<Value> values;
  for (size_t i = 0; i < inputs.size(); ++i)
    values.push_back(Value::tensorOf(entry.block->getArgument(static_cast<unsigned>(i)),
                                     std::make_shared<Origins>(inputs[i].second.origins)));
  return values;
}

/// Where an input's numbers choose among so many, how many, and what --set may make another number of: the model's
/// arguments of that value, and the file's constants.
void Elaborator::noteIndexLimit(mlir::Value input, mlir::NamedAttrList &attributes) {
  std::optional<int64_t> limit = indexLimit(input);
  if (!limit)
    return;
  attributes.append("kiln.below", builder_.getI64IntegerAttr(*limit));
  std::vector<std::string> equal;
  auto consider = [&](const std::string &name, const Value &value) {
    if (value.kind == Value::Kind::Integer && value.integer.constant() == limit)
      equal.push_back(name);
  };
  for (const auto &[name, value] : model_->arguments)
    consider(name, value);
  for (const auto &[name, declared] : declarations_.namesIn(declarations_.own()))
    if (isConstant(name))
      if (auto known = constants_.find(declarations_.find(name, declarations_.own())); known != constants_.end())
        consider(name, known->second);
  if (!equal.empty())
    attributes.append("kiln.below_by",
                      builder_.getStrArrayAttr(std::vector<llvm::StringRef>(equal.begin(), equal.end())));
}

/// The model's argument, or the file's constant, that a bound of one of its functions is written as; else empty.
std::string Elaborator::settingOf(const Bound &bound) {
  std::string text(bound.range.text());
  const Value *found = nullptr;
  for (const auto &[name, value] : model_->arguments)
    if (name == text)
      found = &value;
  if (isConstant(text))
    if (auto known = constants_.find(declarations_.find(text, declarations_.own())); known != constants_.end())
      found = &known->second;
  bool is = found && found->kind == Value::Kind::Integer && found->integer.constant() == bound.value;
  return is ? text : "";
}

void Elaborator::endEntry(Entry &entry, const std::vector<Result> &results, Range range) {
  entry_ = &entry;
  builder_.setInsertionPointToEnd(entry.block);
  mlir::StringAttr (*text)(mlir::Builder &, const std::string &) = [](mlir::Builder &b, const std::string &s) {
    return b.getStringAttr(s);
  };
  std::vector<mlir::Value> values;
  std::vector<std::pair<std::string, mlir::Attribute>> roles;
  for (const Result &result : results) {
    std::optional<Value> tensor = toTensor(result.value, range);
    if (!tensor) {
      entry.failed = true;
      continue;
    }
    values.push_back(tensor->tensor);
    mlir::Attribute attribute = builder_.getUnitAttr(); // of a loss
    if (result.role == "term")
      attribute = builder_.getStrArrayAttr(std::vector<llvm::StringRef>(result.names.begin(), result.names.end()));
    else if (result.role != "loss")
      attribute = text(builder_, result.name);
    roles.emplace_back("kiln." + result.role, attribute);
  }
  for (Variable *state : entry.changed) {
    values.push_back(entry.values[state].tensor);
    roles.emplace_back(state->kind == Variable::Kind::Parameter ? "kiln.parameter" : "kiln.state",
                       text(builder_, state->name));
  }
  entry_ = nullptr;
  if (entry.failed || diagnostics_.hasErrors())
    return;
  builder_.create<mlir::func::ReturnOp>(location(range), values);
  std::vector<mlir::Type> types;
  for (mlir::Value value : values)
    types.push_back(value.getType());
  entry.func.setFunctionType(builder_.getFunctionType(entry.block->getArgumentTypes(), types));
  // All at once: one by one, a model of thousands of parameters would have as many lists of all of them.
  std::vector<mlir::NamedAttrList> arguments(entry.block->getNumArguments());
  size_t at = 0;
  for (const std::string &name : entry.inputNames) {
    noteIndexLimit(entry.block->getArgument(static_cast<unsigned>(at)), arguments[at]);
    arguments[at++].append("kiln.input", text(builder_, name));
  }
  for (const auto &[index, pair] : entry.parameters)
    arguments[at++].append("kiln.parameter", text(builder_, pair.first->name));
  for (const auto &[index, pair] : entry.states)
    arguments[at++].append("kiln.state", text(builder_, pair.first->name));
  if (entry.seed)
    arguments[at++].append("kiln.seed", builder_.getUnitAttr());
  if (entry.step)
    arguments[at++].append("kiln.step", builder_.getUnitAttr());
  std::vector<mlir::DictionaryAttr> given, gives;
  for (const mlir::NamedAttrList &one : arguments)
    given.push_back(one.getDictionary(&context_));
  for (const auto &[role, value] : roles)
    gives.push_back(builder_.getDictionaryAttr(builder_.getNamedAttr(role, value)));
  entry.func.setAllArgAttrs(given);
  entry.func.setAllResultAttrs(gives);
}

//===-- The model's own functions --------------------------------------------------------------------------------===//

static bool isTensorType(const Expr &type) {
  const Expr &base = type.kind == ExprKind::Index ? type.child(0) : type;
  if (base.kind != ExprKind::Name)
    return false;
  for (size_t i = 1; i < type.children.size(); ++i)
    if (type.kind == ExprKind::Index && type.child(i).kind == ExprKind::Ellipsis)
      return false;
  return true;
}

bool Elaborator::isEntry(const Stmt &function) {
  if (function.name == "grad" || function.name[0] == '_' || function.isBuffer)
    return false;
  for (const Parameter &parameter : function.parameters)
    if (!parameter.type || parameter.rest || !isTensorType(*parameter.type))
      return false;
  return true;
}

/// An argument's type in an entry: each new name in a dimension becomes a symbol; `m <= T <= n` bounds it.
std::optional<TypeInfo> Elaborator::entryType(const Expr &written, Frame &frame, std::map<std::string, Bound> &bounds,
                                              std::map<std::string, Bound> &least) {
  TypeInfo type;
  type.range = written.range;
  bool hasDims = written.kind == ExprKind::Index;
  const Expr &base = hasDims ? written.child(0) : written;
  std::optional<Dtype> dtype = typeBegin(*this, eval(base, frame), base.range);
  if (!dtype)
    return std::nullopt;
  type.dtype = dtypeOf(elementType(*dtype, &context_));
  for (size_t i = 1; hasDims && i < written.children.size(); ++i) {
    const Expr &child = written.child(i);
    DimensionParts parts(child);
    const Expr &expr = *parts.dim;
    std::optional<std::vector<Value>> dims = dimensionsOf(*this, evalSymbol(expr, frame), expr.range);
    std::optional<int64_t> bound = parts.bound ? boundValue(parts.bound, frame) : std::optional<int64_t>(0);
    std::optional<int64_t> lower = parts.least ? boundValue(parts.least, frame) : std::optional<int64_t>(0);
    if (!dims || !bound || !lower)
      return std::nullopt;
    if (expr.kind == ExprKind::Name && dims->size() == 1 && !dims->front().integer.isConstant()) {
      if (parts.least && *lower < 1) {
        error(parts.least->range, "a dimension that an input decides is at least 1; here " + expr.text + " may be " +
                                      std::to_string(*lower))
            .withHelp("where there may be none of something, say so by a dimension of one more: " + expr.text +
                      " - 1 in place of " + expr.text + " (`" + expr.text + " - 1 <= 64`)");
        return std::nullopt;
      }
      if (parts.bound)
        bounds[expr.text] = {*bound, parts.bound->range, true};
      if (parts.least && *lower > 1)
        least[expr.text] = {*lower, parts.least->range, true};
    }
    for (const Value &dim : *dims) {
      type.dims.push_back(dim.integer);
      type.origins.push_back({expr.range});
    }
  }
  if (!rankFits(static_cast<int64_t>(type.dims.size()), written.range))
    return std::nullopt;
  return type;
}

/// The entry of a function, up to its first statement; null after an error.
std::shared_ptr<Entry> Elaborator::openEntry(const Stmt &function, bool training,
                                             std::vector<std::pair<std::string, TypeInfo>> &inputs) {
  Frame frame;
  frame.self = model_;
  frame.mode = Frame::Mode::Function;
  frame.freeDims = true;
  std::map<std::string, Bound> bounds, least;
  for (const Parameter &parameter : function.parameters) {
    std::optional<TypeInfo> type = entryType(*parameter.type, frame, bounds, least);
    if (!type)
      return nullptr;
    inputs.emplace_back(parameter.name, std::move(*type));
  }
  std::shared_ptr<Entry> entry =
      beginEntry(function.name + (training ? ".training" : ""), inputs, training, function.nameRange);
  entry->function = &function;
  entry->bounds = bounds;
  entry->least = least;
  for (const auto &[symbol, bound] : bounds) {
    entry->limits[symbol] = bound.value;
    if (std::string name = settingOf(bound); !name.empty())
      entry->limitNames[symbol] = name;
  }
  for (const auto &[symbol, range] : entry->symbols)
    if (auto given = options_.bounds.find(symbol); given != options_.bounds.end()) {
      auto stated = bounds.find(symbol);
      if (stated != bounds.end() && stated->second.value < given->second) {
        std::string name = settingOf(stated->second), number = std::to_string(given->second);
        error(stated->second.range, "--bound " + symbol + "=" + number + " is above the bound " +
                                        std::to_string(stated->second.value) + " that is stated here")
            .withHelp(name.empty() ? "" : "it may be raised: --set " + name + "=" + number);
        builder_.setInsertionPointToEnd(module_->getBody());
        entry_ = nullptr;
        return nullptr;
      }
      entry->bounds[symbol] = {given->second, range, true};
    }
  return entry;
}

/// Builds the entry of a function; true when it depends on the mode, so that a training variant has to be built too.
bool Elaborator::functionEntry(const Stmt &function, bool training) {
  std::vector<std::pair<std::string, TypeInfo>> inputs;
  std::shared_ptr<Entry> entry = openEntry(function, training, inputs);
  if (!entry)
    return false;
  Arguments arguments;
  arguments.positional = inputValues(*entry, inputs);
  for (const Parameter &parameter : function.parameters)
    arguments.ranges.push_back(parameter.range);
  Value value = callFunction(function, model_, arguments, function.nameRange, nullptr);
  std::vector<Result> results;
  int number = 0;
  std::function<void(const Value &)> flatten = [&](const Value &item) {
    if (item.isList()) {
      for (size_t i = 0; i < item.items->size(); ++i) {
        if (item.names)
          results.push_back({(*item.items)[i], "output", (*item.names)[i]});
        else
          flatten((*item.items)[i]);
      }
    } else if (!item.isNone()) {
      results.push_back({item, "output", std::to_string(number++)});
    }
  };
  flatten(value);
  entry->failed |= value.isError();
  endEntry(*entry, results, function.nameRange);
  // A function over session state runs within generate, which keeps the state; alone it would have none.
  bool session = false;
  for (const auto &[index, pair] : entry->states)
    session |= pair.first->kind == Variable::Kind::Session;
  entry->session = session || entry->failed;
  entries_.push_back(entry);
  return entry->asksTraining && !entry->session;
}

static std::string sessionStateOf(const Entry &entry) {
  for (const auto &[index, pair] : entry.states)
    if (pair.first->kind == Variable::Kind::Session)
      return pair.first->name;
  return "";
}

void Elaborator::reportLeftOut(const Stmt &model) {
  std::set<const Stmt *> built, run;
  bool any = false;
  for (const auto &entry : entries_) {
    if (entry->failed)
      error(entry->function ? entry->function->nameRange : model.nameRange,
            "internal error: " + entry->name + " could not be elaborated, and nothing says why");
    built.insert(entry->function);
    any |= !entry->session;
    if (!entry->session)
      run.insert(entry->calls.begin(), entry->calls.end());
  }
  for (const StmtPtr &statement : model.body)
    if (statement->kind == StmtKind::Def && isEntry(*statement) && !built.contains(statement.get()))
      error(statement->nameRange,
            "internal error: " + statement->name + " could not be elaborated, and nothing says why");
  if (!recipesOf(model, StmtKind::Generate).empty() && !(*module_)->hasAttr("kiln.generate"))
    error(model.nameRange, "internal error: the generate block could not be elaborated, and nothing says why");
  if (diagnostics_.hasErrors() || checkOnly_)
    return;
  if (entries_.empty())
    error(model.nameRange, "the model " + model.name + " has no function that can be run")
        .withHelp("an entry point is a def whose arguments all have types, as in def forward(x: f32[B, 4])");
  const std::string way = "a generate block keeps session state from call to call and runs such functions, a recipe "
                          "trains through them; what the program's caller should keep is an argument and a result";
  for (const auto &entry : entries_) {
    if (!entry->session || entry->training)
      continue;
    const std::vector<std::string> &wanted = options_.entries;
    std::string why = entry->name + " works on the session state '" + sessionStateOf(*entry) + "'";
    Range at = entry->function->nameRange;
    if (std::find(wanted.begin(), wanted.end(), entry->name) != wanted.end())
      error(at, "--entry " + entry->name + ": " + why + ", so it is no entry of its own").withHelp(way);
    else if (!any)
      error(at, why + ", and nothing runs it: the program would be empty").withHelp(way);
    else if (!run.contains(entry->function))
      diagnostics_.warning(at, why + ", and nothing runs it: it is left out of the program").withHelp(way);
  }
}

Value Elaborator::evalSymbol(const Expr &expr, Frame &frame) {
  Value value = eval(expr, frame);
  // A name that stands for something other than a number is a dimension of its own, as it is in a call.
  if (!value.isNumber() && !value.isError() && !value.isList() && value.kind != Value::Kind::String &&
      expr.kind == ExprKind::Name)
    return Value::integerOf(Dim::symbol(expr.text), expr.range);
  return value;
}

/// Lower bounds, of symbols and of what is made of them, as attributes beside the upper ones that stand in the function
/// already.
void Elaborator::lowerBounds(Entry &entry) {
  Bounds upper = boundsOf(entry.func);
  std::vector<mlir::NamedAttribute> attributes;
  for (const auto &[symbol, least] : entry.least) {
    auto bound = upper.find(symbol);
    if (bound == upper.end() || entry.session)
      continue;
    if (bound->second < least.value && !diagnostics_.hasErrors())
      error(least.range, "the dimension " + symbol + " of " + entry.name + " is at least " +
                             std::to_string(least.value) + " by this, and at most " + std::to_string(bound->second));
    attributes.emplace_back(builder_.getStringAttr(symbol), builder_.getI64IntegerAttr(least.value));
  }
  if (!attributes.empty())
    entry.func->setAttr("kiln.least", builder_.getDictionaryAttr(attributes));
  std::vector<mlir::NamedAttribute> limits;
  for (const auto &[symbol, limit] : entry.limits)
    limits.emplace_back(builder_.getStringAttr(symbol), builder_.getI64IntegerAttr(limit));
  if (!limits.empty())
    entry.func->setAttr("kiln.limits", builder_.getDictionaryAttr(limits));
  std::vector<mlir::NamedAttribute> names;
  for (const auto &[symbol, name] : entry.limitNames)
    if (auto own = entry.bounds.find(symbol); own != entry.bounds.end() && own->second.value == entry.limits[symbol])
      names.emplace_back(builder_.getStringAttr(symbol), builder_.getStringAttr(name));
  if (!names.empty())
    entry.func->setAttr("kiln.limit_names", builder_.getDictionaryAttr(names));
  std::vector<Dim> nonEmpty;
  for (const Dim &dim : entry.nonEmpty)
    if (std::find(nonEmpty.begin(), nonEmpty.end(), dim) == nonEmpty.end())
      nonEmpty.push_back(dim);
  if (!nonEmpty.empty())
    entry.func->setAttr("kiln.nonempty", DimsAttr::get(&context_, nonEmpty));
}

/// Sizes in bytes are 64-bit numbers.
void Elaborator::checkSizes(const Entry &entry) {
  auto upper = entry.func->getAttrOfType<mlir::DictionaryAttr>("kiln.bounds");
  std::map<std::string, int64_t> bounds;
  for (mlir::NamedAttribute bound : upper ? upper.getValue() : llvm::ArrayRef<mlir::NamedAttribute>())
    bounds[bound.getName().str()] = llvm::cast<mlir::IntegerAttr>(bound.getValue()).getInt();
  std::string why;
  llvm::DenseSet<mlir::Type> seen;
  auto look = [&](mlir::Type type) {
    auto tensor = llvm::dyn_cast<mlir::RankedTensorType>(type);
    if (!tensor || !why.empty() || !seen.insert(type).second)
      return;
    int64_t bytes = 8;
    for (const Dim &dim : dimsOf(tensor)) {
      std::optional<int64_t> extent = dim.evaluate(bounds);
      if (extent && !__builtin_mul_overflow(bytes, std::max<int64_t>(*extent, 0), &bytes))
        continue;
      why = typeName(tensor) + " is too large";
      for (const std::string &symbol : dim.symbols())
        why += ", " + symbol + " being up to " + std::to_string(bounds[symbol]);
      return;
    }
  };
  mlir::func::FuncOp function = entry.func;
  function.walk([&](mlir::Operation *op) {
    for (mlir::Type type : op->getResultTypes())
      look(type);
  });
  for (mlir::Type type : entry.block->getArgumentTypes())
    look(type);
  if (!why.empty())
    error(entry.function ? entry.function->nameRange : modelDeclaration_->nameRange, "in " + entry.name + ", " + why)
        .withHelp("lower the bounds of its dimensions");
}

void Elaborator::settleBounds() {
  // What is known of a name anywhere in the model.
  std::map<std::string, int64_t> byName;
  auto note = [&](const std::string &name, int64_t value) {
    auto [place, isNew] = byName.try_emplace(name, value);
    place->second = std::max(place->second, value);
  };
  for (const auto &entry : entries_)
    for (const auto &[symbol, bound] : entry->bounds)
      note(symbol, bound.value);
  for (const auto &[function, uses] : uses_)
    for (const auto &[name, value] : uses)
      note(name, value);
  std::set<std::string> used;
  for (const auto &entry : entries_) {
    std::vector<mlir::NamedAttribute> attributes;
    for (const auto &[symbol, range] : entry->symbols) {
      used.insert(symbol);
      int64_t value = 0;
      auto given = options_.bounds.find(symbol);
      auto own = entry->bounds.find(symbol);
      auto uses = uses_.find(entry->function);
      if (given != options_.bounds.end() && own == entry->bounds.end())
        value = given->second;
      else if (own != entry->bounds.end())
        value = own->second.value;
      else if (uses != uses_.end() && uses->second.contains(symbol))
        value = uses->second[symbol];
      else if (byName.contains(symbol))
        value = byName[symbol];
      else if (!entry->session)
        error(range, "the dimension " + symbol + " of " + entry->name + " has no upper bound")
            .withHelp("state one (`" + symbol + " <= 256`), or give one on the command line: --bound " + symbol +
                      "=256");
      if (value > maxExtent && !entry->session && !diagnostics_.hasErrors())
        error(range, "the bound of the dimension " + symbol + " is " + std::to_string(value) + "; at most " +
                         std::to_string(maxExtent) + " is possible");
      if (value < 1 && !entry->session && !diagnostics_.hasErrors())
        error(range, "the bound of the dimension " + symbol + " is " + std::to_string(value) + "; it is at least 1");
      attributes.emplace_back(builder_.getStringAttr(symbol), builder_.getI64IntegerAttr(value));
    }
    if (!attributes.empty())
      entry->func->setAttr("kiln.bounds", builder_.getDictionaryAttr(attributes));
    lowerBounds(*entry);
    if (!entry->session && !diagnostics_.hasErrors())
      checkSizes(*entry);
  }
  for (const auto &[name, value] : options_.bounds)
    if (!used.contains(name)) {
      std::vector<std::string> names(used.begin(), used.end());
      std::string near = nearest(name, names);
      error({}, "--bound " + name + "=" + std::to_string(value) + ": the model has no dynamic dimension '" + name + "'")
          .withHelp(near.empty() ? "" : "did you mean '" + near + "'?");
    }
  // Loops that were given up still read values of the functions that are left out, and of each other.
  for (const auto &block : graveyard_)
    block->dropAllReferences();
  for (const auto &entry : entries_)
    if (entry->session)
      entry->func.erase();
}

//===-- Parameters and states ------------------------------------------------------------------------------------===//

mlir::DictionaryAttr Elaborator::initOf(const Variable &variable) {
  mlir::Builder &b = builder_;
  std::vector<mlir::NamedAttribute> fields = {b.getNamedAttr("kind", b.getStringAttr(variable.initKind))};
  for (const auto &[name, value] : variable.initFields)
    fields.push_back(b.getNamedAttr(name, b.getF64FloatAttr(value)));
  const Variable *original = variable.original.get();
  while (original && original->original)
    original = original->original.get();
  if (original)
    fields.push_back(b.getNamedAttr("of", b.getStringAttr(original->name)));
  return b.getDictionaryAttr(fields);
}

/// The model's `sampling_rate`, or the file's: how many samples a second recordings have that are read for it.
void Elaborator::writeSamplingRate() {
  const Value *own = model_->find("sampling_rate");
  std::optional<Value> found = own ? *own : global("sampling_rate", modelDeclaration_->range.file);
  std::optional<int64_t> rate = found && found->isNumeral() ? found->asInteger() : std::nullopt;
  if (rate && *rate >= 1 && *rate <= INT32_MAX)
    (*module_)->setAttr("kiln.audio", builder_.getDictionaryAttr(
                                          {builder_.getNamedAttr("sampling_rate", builder_.getI64IntegerAttr(*rate))}));
}

/// The model's `picture`, or the file's: what is made of pictures that are read for it.
void Elaborator::writePicture() {
  const Value *own = model_->find("picture");
  const SourceFile *file = modelDeclaration_->range.file;
  std::optional<Value> found = own ? *own : global("picture", file);
  if (!found || !found->isList() || !found->names)
    return;
  auto set = model_->setAt.find("picture");
  if (own && set != model_->setAt.end())
    found->origin = set->second;
  else if (const Stmt *declared = own ? nullptr : declarationOf("picture", file); declared && declared->value)
    found->origin = declared->value->range;
  if (mlir::Attribute picture = pictureAttribute(*this, *found))
    (*module_)->setAttr("kiln.picture", picture);
}

/// The model's `labels`, or the file's: what the classes are called that it gives scores for.
void Elaborator::writeLabels() {
  const Value *own = model_->find("labels");
  std::optional<Value> found = own ? *own : global("labels", modelDeclaration_->range.file);
  if (!found || !found->isList() || found->names || found->items->empty())
    return;
  llvm::SmallVector<mlir::Attribute> labels;
  for (const Value &name : *found->items)
    if (name.kind == Value::Kind::String)
      labels.push_back(builder_.getStringAttr(name.text));
  if (labels.size() == found->items->size())
    (*module_)->setAttr("kiln.labels", builder_.getArrayAttr(labels));
}

void Elaborator::writeVariables() {
  mlir::Builder &b = builder_;
  std::vector<mlir::Attribute> parameters, states;
  for (const std::shared_ptr<Variable> &variable : parameters_)
    parameters.push_back(b.getDictionaryAttr(
        {b.getNamedAttr("name", b.getStringAttr(variable->name)),
         b.getNamedAttr("type", mlir::TypeAttr::get(typeOf(*this, variable->type))),
         b.getNamedAttr("trainable", b.getBoolAttr(variable->trainable)), b.getNamedAttr("init", initOf(*variable))}));
  // Session states that no function of the module uses would only take room.
  std::set<const Variable *> inUse;
  for (const auto &entry : entries_)
    if (!entry->session)
      for (const auto &[index, pair] : entry->states)
        inUse.insert(pair.first.get());
  for (const std::shared_ptr<Variable> &variable : states_) {
    bool session = variable->kind == Variable::Kind::Session;
    if (session && !inUse.contains(variable.get()))
      continue;
    std::vector<mlir::NamedAttribute> fields = {
        b.getNamedAttr("name", b.getStringAttr(variable->name)),
        b.getNamedAttr("type", mlir::TypeAttr::get(typeOf(*this, variable->type))),
        b.getNamedAttr("kind", b.getStringAttr(session                              ? "session"
                                               : variable->lastName == plateauState ? "optimizer"
                                                                                    : "persistent")),
        b.getNamedAttr("init", initOf(*variable))};
    if (session)
      fields.push_back(b.getNamedAttr("batch_axis", b.getI64IntegerAttr(variable->batchAxis)));
    states.push_back(b.getDictionaryAttr(fields));
  }
  (*module_)->setAttr("kiln.parameters", b.getArrayAttr(parameters));
  (*module_)->setAttr("kiln.states", b.getArrayAttr(states));
  writeSamplingRate();
  writePicture();
  writeLabels();
}

} // namespace kiln::language
