// The optimizers of a recipe, written in Kiln: one function for all rates, and one for each kind of update.
#include "frontend/language/TrainBuilder.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/GlobPattern.h"
#include "llvm/Support/xxhash.h"

namespace kiln::language {

//===-- Names and calls ------------------------------------------------------------------------------------------===//

static bool isUpdate(const StmtPtr &statement) {
  return statement->kind == StmtKind::Def && (statement->name == "update" || statement->name == "update_all");
}

/// `update` of a parameter, or `update_all` of a row of all parameters' elements.
static const Stmt *updateOf(const Stmt &module) {
  auto found = std::find_if(module.body.begin(), module.body.end(), isUpdate);
  return found == module.body.end() ? nullptr : found->get();
}

static bool movesAll(const Stmt &module) { return updateOf(module)->name == "update_all"; }

bool Elaborator::isOptimizer(const Stmt &module) { return !module.parameters.empty() && updateOf(module); }

/// An optimizer's call in a recipe: its arguments, checked and kept, since there is no parameter yet.
Value Elaborator::optimizerRecord(const Stmt &module, const Arguments &arguments, Range range) {
  auto kept = std::make_shared<Arguments>(arguments);
  kept->positional.insert(kept->positional.begin(), Value::none());
  kept->ranges.insert(kept->ranges.begin(), range);
  std::vector<Binding> values;
  std::vector<bool> given;
  if (module.broken || !bindParameters(module, *kept, range, values, given, module.name))
    return Value::error();
  if (std::count_if(module.body.begin(), module.body.end(), isUpdate) > 1) {
    error(range, module.name + " has both update and update_all: it moves each parameter by itself, or all at once");
    return Value::error();
  }
  Value value = Value::of(Value::Kind::Record);
  value.record = std::make_shared<Record>();
  value.record->kind = module.name;
  value.record->range = range;
  value.record->module = &module;
  value.record->arguments = std::move(kept);
  for (size_t i = 1; i < module.parameters.size(); ++i)
    if (given[i]) {
      value.record->fields.emplace_back(module.parameters[i].name, std::move(values[i].value));
      value.record->ranges.push_back(values[i].range);
    }
  return value;
}

/// What is known in rates and updates alone: the step, and schedules by their names, which may be those of a model's
/// functions.
std::optional<Value> Elaborator::recipeName(const std::string &name, Range range) {
  if (wanted_ != Wanted::Callable) {
    if (name != "step" || !entry_)
      return std::nullopt;
    return Value::tensorOf(emit(range).convertTo(stepCounter(range), builder_.getF64Type()));
  }
  auto found = library_[1].find(name);
  if (found == library_[1].end() || declarations_.find(name, range.file))
    return std::nullopt;
  return global(name, found->second->range.file);
}

//===-- Which parameters -----------------------------------------------------------------------------------------===//

/// Those that a function of a parameter takes: `def matrices(p): return p.rank == 2`.
void TrainBuilder::chosenBy(const Value &predicate, Range range, std::vector<std::string> &names) {
  for (const std::shared_ptr<Variable> &variable : e.parameters_) {
    Elaborator::Arguments arguments;
    arguments.positional.push_back(Value::of(Value::Kind::Variable));
    arguments.positional.back().variable = variable;
    arguments.ranges.push_back(range);
    Value chosen = e.callFunction(*predicate.declaration, predicate.instance, arguments, range, nullptr);
    if (chosen.isError())
      return;
    if (chosen.kind != Value::Kind::Boolean) {
      e.error(range,
              predicate.declaration->name + " chooses parameters: it gives True or False; this is " + describe(chosen));
      return;
    }
    if (chosen.boolean)
      names.push_back(variable->name);
  }
}

/// Parameters by parts of the model, functions of a parameter, lists of these, or patterns over names.
std::vector<std::string> TrainBuilder::parameterNames(const Value &value, Range range) {
  std::vector<std::string> names;
  if (value.isError())
    return names;
  size_t errorsBefore = e.diagnostics_.size();
  if (value.kind == Value::Kind::String) {
    bool others = value.text.starts_with("!"); // all that do not match the rest
    llvm::Expected<llvm::GlobPattern> pattern = llvm::GlobPattern::create(llvm::StringRef(value.text).substr(others));
    if (!pattern) {
      llvm::consumeError(pattern.takeError());
      e.error(range, "malformed pattern \"" + value.text + "\"");
      return names;
    }
    for (const std::shared_ptr<Variable> &variable : e.parameters_)
      if (pattern->match(variable->name) != others)
        names.push_back(variable->name);
  } else if (value.kind == Value::Kind::Function) {
    chosenBy(value, range, names);
  } else if (value.isList()) {
    for (const Value &item : *value.items) {
      // A pattern or a part may add none, as an activation does; all of them together have to.
      if (item.kind == Value::Kind::String || item.kind == Value::Kind::Function) {
        for (std::string &name : parameterNames(item, range))
          names.push_back(std::move(name));
        continue;
      }
      std::vector<std::shared_ptr<Variable>> variables;
      e.collect(item, variables);
      for (const std::shared_ptr<Variable> &variable : variables)
        names.push_back(variable->name);
    }
  } else {
    std::vector<std::shared_ptr<Variable>> variables;
    e.collect(value, variables);
    for (const std::shared_ptr<Variable> &variable : variables)
      names.push_back(variable->name);
  }
  if (names.empty() && e.diagnostics_.size() == errorsBefore)
    e.error(range, "there are no parameters in " + describe(value));
  return names;
}

/// `groups`: which of a recipe's groups a parameter is in.
mlir::Attribute TrainBuilder::groups() {
  const Expr &expr = *keys["groups"]->value;
  Value value = config(expr);
  if (value.isError())
    return {};
  std::vector<mlir::Attribute> out;
  bool ok = value.isList();
  for (const Value &item : ok ? *value.items : std::vector<Value>()) {
    if (item.kind != Value::Kind::Record || item.record->kind != "group") {
      ok = false;
      break;
    }
    std::vector<mlir::NamedAttribute> fields;
    std::vector<mlir::Attribute> names;
    for (const std::string &name : parameterNames(field(*item.record, "parameters"), item.record->ranges[0])) {
      if (!groupOf.try_emplace(name, item.record).second)
        e.error(item.record->ranges[0], "the parameter '" + name + "' is in two groups");
      names.push_back(b.getStringAttr(name));
    }
    fields.push_back(b.getNamedAttr("parameters", b.getArrayAttr(names)));
    for (size_t i = 1; i < item.record->fields.size(); ++i) {
      const auto &[name, setting] = item.record->fields[i];
      if (name == "lr_scale" && !setting.asDouble())
        e.error(item.record->range, "a group's lr_scale is a number; this is " + describe(setting));
      else if (mlir::Attribute attribute = toAttribute(e, setting, item.record->ranges[i]))
        fields.push_back(b.getNamedAttr(name, attribute));
    }
    out.push_back(b.getDictionaryAttr(fields));
  }
  if (!ok)
    e.error(expr.range, "groups are a list of group(parameters, …)");
  return b.getArrayAttr(out);
}

//===-- Rates ----------------------------------------------------------------------------------------------------===//

/// An optimizer's `lr` as an f64[] in the function that is being built; a number stays beside it.
TrainBuilder::Rate TrainBuilder::rate(const Record &record) {
  Rate rate;
  rate.range = record.range;
  const std::vector<Parameter> &parameters = record.module->parameters;
  size_t index = 0;
  while (index < parameters.size() && parameters[index].name != "lr")
    ++index;
  if (index == parameters.size()) {
    e.error(record.range, "the optimizer " + record.kind + " has no argument 'lr'")
        .note(record.module->nameRange, "it is declared here");
    return rate;
  }
  Value value;
  auto given = std::find_if(record.fields.begin(), record.fields.end(), [](const auto &f) { return f.first == "lr"; });
  if (given != record.fields.end()) {
    value = given->second;
    rate.range = record.ranges[static_cast<size_t>(given - record.fields.begin())];
  } else {
    Frame frame;
    frame.space = Space::Rate;
    rate.range = parameters[index].initial->range;
    value = e.eval(*parameters[index].initial, frame);
  }
  if (value.isError())
    return rate;
  if (value.kind == Value::Kind::Function) { // of the step, or of nothing, since it knows the step by its name
    Elaborator::Arguments arguments;
    if (!value.declaration->parameters.empty()) {
      mlir::Value step = e.stepCounter(rate.range);
      arguments.positional.push_back(Value::tensorOf(e.emit(rate.range).convertTo(step, b.getF64Type())));
      arguments.ranges.push_back(rate.range);
    }
    value = e.callFunction(*value.declaration, value.instance, arguments, rate.range, nullptr);
    if (value.isError())
      return rate;
  }
  if (value.kind == Value::Kind::Record && value.record->kind == "plateau") {
    std::shared_ptr<Record> record = value.record;
    if (value = plateau(*record, rate.range); value.isError())
      return rate;
    plateau_ = record;
  }
  if (value.isNumeral() && value.asDouble())
    rate.number = value.asDouble();
  std::optional<Value> tensor;
  if (rate.number ? *rate.number >= 0 : value.isTensor() && value.rank() == 0)
    tensor = e.toTensor(value, rate.range, b.getF64Type());
  if (!tensor) {
    e.error(rate.range, "a learning rate is a number that is not negative, an expression of the step or a function of "
                        "it; this is " +
                            describe(value))
        .withHelp("as in lr=1e-3, lr=cosine(1e-3, steps=1000) or lr=1e-3 * minimum(1.0, step / 100)");
    return rate;
  }
  rate.value = e.convert(*tensor, b.getF64Type(), rate.range);
  sweep(rate);
  return rate;
}

/// `kiln lr-find`: from·(to/from)^(step/(steps − 1)), whatever the recipe says.
void TrainBuilder::sweep(Rate &rate) {
  for (const auto &[key, text] : e.options_.set) {
    double from = 0, to = 0;
    long long steps = 0;
    if (key != sweptRates || std::sscanf(text.c_str(), "%lf,%lf,%lld", &from, &to, &steps) != 3)
      continue;
    Emit emit = e.emit(rate.range);
    mlir::Value step = emit.convertTo(e.stepCounter(rate.range), b.getF64Type());
    mlir::Value grown = emit.op<ExpOp>(emit.mul(step, std::log(to / from) / static_cast<double>(steps - 1)));
    rate.value = Value::tensorOf(emit.mul(grown, from));
    rate.number.reset();
  }
}

/// plateau(base, …): the base times what validations have made of a state that starts at 1.
Value TrainBuilder::plateau(const Record &record, Range range) {
  std::optional<Value> base = e.toTensor(field(record, "base"), range, b.getF64Type());
  bool ok = base && base->rank() == 0;
  if (base && !ok)
    e.error(range, "plateau's 'base' is a number or an expression of the step; this is " + describe(*base));
  if (plateau_ && plateau_.get() != &record) {
    e.error(range, "a recipe has one plateau").note(plateau_->range, "another one is here");
    ok = false;
  }
  auto check = [&](const char *name, bool right, const char *wanted) {
    if (!right)
      e.error(range, std::string("plateau's '") + name + "' is " + describe(field(record, name)) + "; " + wanted +
                         " is expected");
    ok &= right;
  };
  auto number = [&](const char *name) { return field(record, name).asDouble().value_or(-1); };
  const Value &patience = field(record, "patience"), &best = field(record, "best");
  check("factor", number("factor") > 0 && number("factor") < 1, "a number between 0 and 1");
  check("patience",
        patience.isNumeral() && patience.asInteger() && *patience.asInteger() >= 0 &&
            *patience.asInteger() <= INT32_MAX,
        "a whole number from 0");
  check("threshold", number("threshold") >= 0, "a number of at least 0");
  check("least", number("least") >= 0, "a number of at least 0");
  check("metric", field(record, "metric").kind == Value::Kind::String, "\"loss\" or the name of a metric");
  check("best", best.kind == Value::Kind::String && (best.text == "min" || best.text == "max"), "\"min\" or \"max\"");
  if (!ok)
    return Value::error();
  if (!plateauScale_) {
    plateauScale_ = std::make_shared<Variable>();
    plateauScale_->kind = Variable::Kind::Persistent;
    plateauScale_->type = {Dtype::f64, {}, {}, range};
    plateauScale_->initKind = "ones";
    plateauScale_->lastName = plateauState;
    plateauScale_->name = "optimizer" + suffix + ".plateau";
    plateauScale_->trainable = false;
    plateauScale_->range = range;
    plateauScale_->index = static_cast<int>(e.states_.size());
    e.states_.push_back(plateauScale_);
  }
  Emit emit = e.emit(range);
  mlir::Value scaled =
      emit.mul(e.convert(*base, b.getF64Type(), range).tensor, e.read(plateauScale_, nullptr, range).tensor);
  return Value::tensorOf(emit.max(scaled, emit.splatLike(scaled, number("least"))));
}

/// What the program judges by; the metrics are known by now.
void TrainBuilder::checkPlateau() {
  if (!plateau_)
    return;
  const Value &metric = field(*plateau_, "metric");
  if (metric.text != "loss" && std::find(metricNames.begin(), metricNames.end(), metric.text) == metricNames.end())
    e.error(plateau_->range,
            "plateau watches " + describe(metric) + ", which is neither \"loss\" nor a metric of this recipe");
  std::vector<mlir::NamedAttribute> fields = {b.getNamedAttr("state", b.getStringAttr(plateauScale_->name))};
  for (const char *name : {"factor", "patience", "metric", "best", "threshold"})
    if (mlir::Attribute attribute = toAttribute(e, field(*plateau_, name), plateau_->range))
      fields.push_back(b.getNamedAttr(name, attribute));
  set("plateau", b.getDictionaryAttr(fields));
}

/// What a checkpoint says of a rate: the number, or its text and what its numbers come to.
static mlir::Attribute describeRate(mlir::Builder &b, const std::optional<double> &number, Range range,
                                    const std::string &code) {
  if (number)
    return b.getF64FloatAttr(*number);
  std::string text;
  for (char c : std::string(range.text()))
    if (!(std::isspace(static_cast<unsigned char>(c)) && (text.empty() || text.back() == ' ')))
      text += std::isspace(static_cast<unsigned char>(c)) ? ' ' : c;
  return b.getDictionaryAttr({b.getNamedAttr("kind", b.getStringAttr(text)),
                              b.getNamedAttr("code", b.getStringAttr(llvm::utohexstr(llvm::xxh3_64bits(code))))});
}

//===-- Updates --------------------------------------------------------------------------------------------------===//

/// The optimizer for parameters of this type, with what their group says in place of its arguments.
std::shared_ptr<Instance> TrainBuilder::instanceFor(const Record &record, const Rate &rate, const Record *group,
                                                    const std::shared_ptr<Variable> &parameter) {
  Elaborator::Arguments arguments = *record.arguments;
  arguments.positional[0] = Value::of(Value::Kind::Variable);
  arguments.positional[0].variable = parameter;
  const std::vector<Parameter> &parameters = record.module->parameters;
  auto put = [&](const std::string &name, const Value &value, Range range) {
    for (size_t i = 1; i < arguments.positional.size() && i < parameters.size(); ++i)
      if (parameters[i].name == name) {
        arguments.positional[i] = value;
        return;
      }
    for (auto &[other, old] : arguments.named)
      if (other == name) {
        old = value;
        return;
      }
    arguments.named.emplace_back(name, value);
    arguments.namedRanges.push_back(range);
    arguments.nameRanges.push_back(range);
  };
  for (size_t i = 1; group && i < group->fields.size(); ++i)
    if (const auto &[name, setting] = group->fields[i]; name == "lr") {
      e.error(group->range, "a group's learning rate is a share of the recipe's: lr_scale=…");
      return nullptr;
    } else if (name != "lr_scale" && !setting.isNone()) {
      put(name, setting, group->range);
    }
  put("lr", rate.number ? Value::floatOf(*rate.number) : Value::none(), rate.range);
  Value made = e.instantiate(*record.module, arguments, record.range);
  return made.kind == Value::Kind::Instance ? made.instance : nullptr;
}

/// The states of an optimizer for one parameter, by their paths in it; false after an error.
bool TrainBuilder::statesOf(const std::shared_ptr<Instance> &instance, std::vector<std::shared_ptr<Variable>> &states) {
  std::vector<std::shared_ptr<Variable>> parameters;
  std::swap(parameters, e.parameters_);
  std::swap(states, e.states_);
  Value root = Value::of(Value::Kind::Instance);
  root.instance = instance;
  std::vector<const Instance *> seen;
  e.namePaths(root, "", "", seen);
  std::swap(states, e.states_);
  std::swap(parameters, e.parameters_);
  for (const std::shared_ptr<Variable> &variable : parameters)
    e.error(variable->range, "an optimizer keeps states; this is a parameter");
  for (const std::shared_ptr<Variable> &variable : states)
    if (variable->kind == Variable::Kind::Session) {
      e.error(variable->range, "an optimizer's states are kept beside the parameters: state(…, persistent)");
      return false;
    }
  return parameters.empty();
}

/// Writes the function of one kind of update: (p, gradient, lr, states…, step) to (p, states…). False after an error.
bool TrainBuilder::writeUpdate(const std::string &name, const Record &record, const Rate &rate, const Record *group,
                               const Variable &like) {
  auto parameter = std::make_shared<Variable>();
  parameter->type = like.type;
  parameter->range = like.range;
  parameter->name = "p";
  parameter->index = 0;
  std::shared_ptr<Instance> instance = instanceFor(record, rate, group, parameter);
  std::vector<std::shared_ptr<Variable>> states;
  if (!instance || !statesOf(instance, states))
    return false;
  const Stmt &update = *updateOf(*record.module);
  std::vector<std::pair<std::string, TypeInfo>> inputs = {
      {"p", like.type}, {"gradient", like.type}, {"lr", {Dtype::f64, {}, {}, record.range}}};
  for (const std::shared_ptr<Variable> &state : states)
    inputs.emplace_back(state->name, state->type);
  std::shared_ptr<Entry> entry = e.beginEntry(name, inputs, true, record.range);
  entry->update = true;
  entry->kept = states;
  if (mlir::Type row = typeOf(e, like.type); movesAll(*record.module))
    entry->evaluates = b.getFunctionType({row}, {lossType, row});
  std::vector<Value> values = e.inputValues(*entry, inputs);
  entry->values[parameter.get()] = values[0];
  for (size_t i = 0; i < states.size(); ++i)
    entry->values[states[i].get()] = values[3 + i];
  double scale = group ? field(*group, "lr_scale").asDouble().value_or(1) : 1;
  Emit emit = e.emit(record.range);
  if (scale != 1)
    values[2] = Value::tensorOf(emit.mul(values[2].tensor, scale));
  Elaborator::Arguments arguments;
  arguments.positional = {values[1], values[2]};
  if (update.parameters.size() > 2)
    arguments.positional.push_back(Value::tensorOf(emit.convertTo(e.stepCounter(record.range), b.getF64Type())));
  arguments.ranges.assign(arguments.positional.size(), record.range);
  Value moved = e.callFunction(update, instance, arguments, record.range, nullptr);
  mlir::RankedTensorType wanted = values[0].tensorType();
  if (moved.isTensor())
    moved = e.asScalarOf(moved, wanted, record.range);
  if (!moved.isError() && (!moved.isTensor() || moved.tensorType() != wanted))
    e.error(update.nameRange, record.kind + "." + update.name + " gives the parameter's new value, " +
                                  typeName(wanted) + "; this is " + describe(moved));
  if (entry->seed)
    e.error(update.nameRange, record.kind + "." + update.name + " draws random numbers; an optimizer does not");
  std::vector<Elaborator::Result> results = {{moved, "output", "0"}};
  std::vector<mlir::Attribute> described;
  for (size_t i = 0; i < states.size(); ++i) {
    results.push_back({entry->values[states[i].get()], "output", std::to_string(i + 1)});
    described.push_back(b.getDictionaryAttr(
        {b.getNamedAttr("name", b.getStringAttr(states[i]->name)), b.getNamedAttr("init", e.initOf(*states[i]))}));
  }
  entry->changed.clear();
  entry->failed |= moved.isError();
  e.endEntry(*entry, results, record.range);
  entry->func.setPrivate();
  entry->func->setAttr("kiln.states", b.getArrayAttr(described));
  return !entry->failed;
}

//===-- All of it ------------------------------------------------------------------------------------------------===//

/// `optimizer = Adam(…)` for all, or `[over(parts, Adam(…)), …]`, each for its own parameters.
bool TrainBuilder::readOptimizers(const Value &value, const Expr &expr) {
  if (value.isError())
    return false;
  auto isOptimizer = [](const Value &item) { return item.kind == Value::Kind::Record && item.record->module; };
  auto report = [&](Range range, const Value &item) {
    e.error(range, "this is no optimizer: " + describe(item))
        .withHelp(
            "the optimizers are SGD, Adagrad, Adadelta, RMSprop, Adam, AdamW, Adamax, NAdam, RAdam, Rprop, Adafactor, "
            "ASGD, Lion, LAMB, Muon and LBFGS, and any module of yours with def update(g, lr, step)");
    return false;
  };
  if (!value.isList()) {
    if (!isOptimizer(value))
      return report(expr.range, value);
    chosen.push_back({value.record, {}, rate(*value.record)});
    return true;
  }
  llvm::StringSet<> seen;
  for (const Value &item : *value.items) {
    if (item.kind != Value::Kind::Record || item.record->kind != "over") {
      e.error(expr.range, "several optimizers are a list of over(parameters, optimizer); this is " + describe(item));
      return false;
    }
    std::set<std::string, std::less<>> names;
    for (const std::string &name : parameterNames(item.record->fields[0].second, item.record->ranges[0])) {
      if (!seen.insert(name).second)
        e.error(item.record->ranges[0], "the parameter '" + name + "' has two optimizers");
      if (!reached.empty() && !reached.count(name))
        e.error(item.record->ranges[0], "the parameter '" + name + "' has an optimizer, but no loss")
            .note(keys["loss"]->range, "the losses and their parameters are here");
      names.insert(name);
    }
    const Value &optimizer = item.record->fields[1].second;
    if (!isOptimizer(optimizer))
      return report(item.record->ranges[1], optimizer);
    chosen.push_back({optimizer.record, std::move(names), rate(*optimizer.record)});
  }
  return true;
}

/// The settings of one optimizer as they are kept with a checkpoint.
mlir::Attribute TrainBuilder::describeOptimizer(const Chosen &one, const std::string &code) {
  std::string kind = one.record->kind;
  for (char &c : kind)
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  std::vector<mlir::NamedAttribute> fields = {b.getNamedAttr("kind", b.getStringAttr(kind))};
  fields.push_back(b.getNamedAttr("lr", describeRate(b, one.rate.number, one.rate.range, code)));
  for (size_t i = 0; i < one.record->fields.size(); ++i)
    if (const auto &[name, value] = one.record->fields[i]; name != "lr" && !value.isTensor())
      if (mlir::Attribute attribute = toAttribute(e, value, one.record->ranges[i]))
        fields.push_back(b.getNamedAttr(name, attribute));
  if (one.names) {
    std::vector<llvm::StringRef> names(one.names->begin(), one.names->end());
    fields.push_back(b.getNamedAttr("parameters", b.getStrArrayAttr(names)));
  }
  return b.getDictionaryAttr(fields);
}

/// One more parameter in the row that an optimizer moves at once; false after an error.
bool TrainBuilder::joinRow(const Record &record, const Record *group, const Variable &variable, Variable &row,
                           std::vector<mlir::Attribute> &names) {
  if (group)
    e.error(group->range, record.kind + " moves all its parameters as one; a group of them has no settings of its own")
        .withHelp("give them another optimizer: optimizer = [over(one, LBFGS(…)), over(rest, SGD(…))]");
  else if (!names.empty() && row.type.dtype != variable.type.dtype)
    e.error(record.range, record.kind + " moves all its parameters as one row, of one dtype; '" + variable.name +
                              "' is " + typeText(variable.type.dtype, variable.type.dims) + ", others are " +
                              std::string(dtypeName(row.type.dtype)));
  if (e.diagnostics_.hasErrors())
    return false;
  int64_t count = names.empty() ? 0 : *row.type.dims[0].constant(), own = *productOf(variable.type.dims).constant();
  row.type = {variable.type.dtype, {Dim(count + own)}, {{}}, record.range};
  row.range = record.range;
  names.push_back(b.getStringAttr(variable.name));
  return true;
}

/// One update for each parameter that the loss reads: kinds that agree in optimizer, group and type share a function.
mlir::Attribute TrainBuilder::writeUpdates() {
  std::vector<mlir::Attribute> updates;
  std::map<std::tuple<size_t, const Record *, std::string>, std::string> written;
  Entry *loss = nullptr;
  for (const auto &entry : e.entries_)
    if (entry->name == "loss.train" + suffix)
      loss = entry.get();
  for (size_t i = 0; i < chosen.size(); ++i) {
    Variable row; // of one that moves all of its parameters at once
    std::vector<mlir::Attribute> rowNames;
    for (const auto &[index, pair] : loss->parameters) {
      const Variable &variable = *pair.first;
      if (!variable.trainable || (chosen[i].names && !chosen[i].names->contains(variable.name)) ||
          (!reached.empty() && !reached.count(variable.name)))
        continue;
      auto found = groupOf.find(variable.name);
      const Record *group = found == groupOf.end() ? nullptr : found->second.get();
      if (movesAll(*chosen[i].record->module)) {
        if (!joinRow(*chosen[i].record, group, variable, row, rowNames))
          return {};
        continue;
      }
      auto [place, isNew] = written.try_emplace({i, group, typeText(variable.type.dtype, variable.type.dims)},
                                                "optimizer.update" + suffix + "." + std::to_string(written.size()));
      if (isNew && !writeUpdate(place->second, *chosen[i].record, chosen[i].rate, group, variable))
        return {};
      updates.push_back(b.getDictionaryAttr({b.getNamedAttr("parameter", b.getStringAttr(variable.name)),
                                             b.getNamedAttr("function", b.getStringAttr(place->second)),
                                             b.getNamedAttr("rate", b.getI64IntegerAttr(static_cast<int64_t>(i)))}));
    }
    if (rowNames.empty())
      continue;
    std::string name = "optimizer.update" + suffix + ".all." + std::to_string(i);
    if (!writeUpdate(name, *chosen[i].record, chosen[i].rate, nullptr, row))
      return {};
    updates.push_back(b.getDictionaryAttr({b.getNamedAttr("parameters", b.getArrayAttr(rowNames)),
                                           b.getNamedAttr("function", b.getStringAttr(name)),
                                           b.getNamedAttr("rate", b.getI64IntegerAttr(static_cast<int64_t>(i)))}));
  }
  return b.getArrayAttr(updates);
}

void TrainBuilder::optimizers(int64_t &scheduleSteps) {
  if (!keys.count("optimizer")) {
    e.error(recipe.nameRange, "the recipe has no optimizer")
        .withHelp("write `optimizer = AdamW(lr=1e-3)`, for example");
    return;
  }
  const Expr &expr = *keys["optimizer"]->value;
  if (keys.count("groups"))
    set("groups", groups());
  e.optimizing_ = true;
  e.scheduleSteps_ = &scheduleSteps;
  std::shared_ptr<Entry> rates = e.beginEntry("optimizer.rates" + suffix, {}, true, expr.range);
  bool ok = readOptimizers(config(expr, Space::Rate), expr);
  std::vector<Elaborator::Result> results;
  for (const Chosen &one : chosen) {
    ok &= one.rate.value.isTensor();
    results.push_back({one.rate.value, "output", std::to_string(results.size())});
  }
  if (!ok)
    results.clear();
  rates->failed |= !ok;
  if (rates->seed)
    e.error(expr.range, "a learning rate draws random numbers; it is a function of the step alone");
  e.endEntry(*rates, results, expr.range);
  rates->func.setPrivate();
  if (ok && !e.diagnostics_.hasErrors()) {
    std::string code;
    llvm::raw_string_ostream(code) << rates->func;
    std::vector<mlir::Attribute> described;
    for (const Chosen &one : chosen)
      described.push_back(describeOptimizer(one, code));
    set(chosen.front().names ? "optimizers" : "optimizer",
        chosen.front().names ? b.getArrayAttr(described) : described.front());
    set("rates", b.getStringAttr("optimizer.rates" + suffix));
    set("updates", writeUpdates());
    checkPlateau();
  }
  e.scheduleSteps_ = nullptr;
  e.optimizing_ = false;
}

} // namespace kiln::language
