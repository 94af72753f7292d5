// The train block: the functions loss.train and loss.eval, and the settings as attributes of the module.
#include "frontend/language/Recipe.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/Support/GlobPattern.h"

namespace kiln::language {

static constexpr std::string_view recipeKeys[] = {
    "loss", "optimizer", "steps", "epochs",   "clip",           "groups",     "frozen", "l1",
    "l2",   "metrics",   "split", "validate", "early_stopping", "checkpoint", "log",    "seed"};

static bool isKey(std::string_view name) {
  return std::find(std::begin(recipeKeys), std::end(recipeKeys), name) != std::end(recipeKeys);
}

class TrainBuilder {
public:
  TrainBuilder(Elaborator &e, const Stmt &recipe) : e(e), b(e.builder()), recipe(recipe) {}

  void run() {
    read();
    freeze();
    if (!keys.count("loss")) {
      e.error(recipe.nameRange, "the recipe has no loss").withHelp("write `loss = …`, a scalar");
      return;
    }
    losses(true);
    losses(false);
    settings();
    for (const auto &[name, statement] : locals)
      if (!used.count(name) && !sourceNames.count(name)) {
        std::string near = nearest(name, {std::begin(recipeKeys), std::end(recipeKeys)});
        e.error(statement->target->range, "'" + name + "' is no key of a recipe, and is not used")
            .withHelp(near.empty() ? "the keys are in docs/language.md under Training"
                                   : "did you mean '" + near + "'?");
      }
    writeData();
  }

private:
  void read();
  void freeze();
  void losses(bool training);
  void settings();
  void writeData();
  bool find(std::string_view name, Value &out, Frame &frame);
  Value config(const Expr &expr, Space space = Space::Recipe);
  std::optional<double> number(std::string_view key, double least);
  std::optional<int64_t> count(std::string_view key);
  mlir::Attribute optimizer(int64_t &scheduleSteps);
  mlir::Attribute learningRate(const Value &value, Range range, int64_t &scheduleSteps);
  mlir::Attribute groups();
  std::vector<std::string> parameterNames(const Value &value, Range range);
  std::vector<std::pair<std::string, const Expr *>> metrics();
  void set(const std::string &name, mlir::Attribute attribute) {
    if (attribute)
      attributes.push_back(b.getNamedAttr(name, attribute));
  }

  Elaborator &e;
  mlir::OpBuilder &b;
  const Stmt &recipe;
  std::map<std::string, const Stmt *, std::less<>> keys, locals;
  std::vector<DataSource> sources;
  std::set<std::string> sourceNames;
  std::set<std::string, std::less<>> used, inProgress;
  std::vector<mlir::NamedAttribute> attributes;
  std::vector<std::string> metricNames;
  // While a loss function is being built:
  std::map<std::string, Value, std::less<>> dataValues;
  Value lossValue;
};

static void targetNames(const Expr &target, std::vector<std::string> &out) {
  if (target.kind == ExprKind::Name)
    out.push_back(target.text);
  if (target.kind == ExprKind::Tuple || target.kind == ExprKind::List)
    for (const ExprPtr &child : target.children)
      targetNames(*child, out);
}

/// Sorts the block's statements into settings, data sources and values for later use.
void TrainBuilder::read() {
  int pairs = 0;
  for (const StmtPtr &statement : recipe.body) {
    if (statement->kind == StmtKind::Pass)
      continue;
    if (statement->kind != StmtKind::Assign || !statement->name.empty()) {
      e.error(statement->range, "a recipe holds lines of the form NAME = value");
      continue;
    }
    std::vector<std::string> names;
    targetNames(*statement->target, names);
    const Expr &value = *statement->value;
    bool single = statement->target->kind == ExprKind::Name;
    for (const std::string &name : names) {
      auto [place, isNew] = (single && isKey(name) ? keys : locals).try_emplace(name, statement.get());
      if (!isNew)
        e.error(statement->target->range, "'" + name + "' is set twice in this recipe")
            .note(place->second->range, "the first one is here");
    }
    if (!single || value.kind != ExprKind::Call || value.child(0).kind != ExprKind::Name ||
        !isReader(value.child(0).text))
      continue;
    sourceNames.insert(names[0]);
    Value record = config(value, Space::Reader);
    if (record.kind != Value::Kind::Record)
      continue;
    std::string prefix = record.record->kind == "pairs" && pairs++ > 0 ? names[0] + "." : "";
    if (std::optional<DataSource> source = dataSource(e, names[0], record, value.range, prefix))
      sources.push_back(std::move(*source));
  }
}

/// A setting: compile-time values, and the model's parts and parameters as themselves.
Value TrainBuilder::config(const Expr &expr, Space space) {
  Frame frame;
  frame.mode = Frame::Mode::Module;
  frame.self = e.model();
  frame.space = space;
  frame.lookup = [&](std::string_view name, Value &out) {
    auto found = locals.find(name);
    if (found == locals.end() || found->second->target->kind != ExprKind::Name ||
        !inProgress.insert(std::string(name)).second)
      return false;
    used.insert(std::string(name));
    out = config(*found->second->value, space);
    inProgress.erase(std::string(name));
    return true;
  };
  return e.eval(expr, frame);
}

void TrainBuilder::freeze() {
  if (!keys.count("frozen"))
    return;
  const Expr &expr = *keys["frozen"]->value;
  std::vector<std::string> names = parameterNames(config(expr), expr.range);
  std::vector<std::shared_ptr<Variable>> all;
  Value root = Value::of(Value::Kind::Instance);
  root.instance = e.model();
  e.collect(root, all);
  for (const std::shared_ptr<Variable> &variable : all)
    if (std::find(names.begin(), names.end(), variable->name) != names.end())
      variable->trainable = false;
}

/// Names inside of the loss: the recipe's own values, computed when they are first asked for; the data; `loss` itself.
bool TrainBuilder::find(std::string_view name, Value &out, Frame &frame) {
  if (auto found = dataValues.find(name); found != dataValues.end()) {
    out = found->second;
    return true;
  }
  if (name == "loss" && !lossValue.isError()) {
    out = lossValue;
    return true;
  }
  if (sourceNames.count(std::string(name))) { // a source whose settings are wrong: reported there
    out = Value::error();
    return true;
  }
  auto found = locals.find(name);
  if (found == locals.end())
    return false;
  const Stmt &statement = *found->second;
  if (!inProgress.insert(std::string(name)).second) {
    e.error(statement.range, "'" + std::string(name) + "' is defined by itself");
    out = Value::error();
    return true;
  }
  std::vector<std::string> names;
  targetNames(*statement.target, names);
  used.insert(names.begin(), names.end());
  e.assign(*statement.target, e.eval(*statement.value, frame), frame, statement.value->range);
  inProgress.erase(std::string(name));
  out = frame.locals[std::string(name)].value;
  return true;
}

std::vector<std::pair<std::string, const Expr *>> TrainBuilder::metrics() {
  std::vector<std::pair<std::string, const Expr *>> out;
  auto found = keys.find("metrics");
  if (found == keys.end())
    return out;
  const Expr &expr = *found->second->value;
  if (expr.kind == ExprKind::Call && expr.child(0).kind == ExprKind::Name && expr.child(0).text == "dict") {
    for (const Argument &argument : expr.arguments)
      if (!argument.name.empty())
        out.emplace_back(argument.name, argument.value.get());
  } else if (expr.kind == ExprKind::List) {
    // [accuracy(logits, label)]: named after the function.
    for (const ExprPtr &item : expr.children)
      if (item->kind == ExprKind::Call && item->child(0).kind == ExprKind::Name)
        out.emplace_back(item->child(0).text, item.get());
      else
        e.error(item->range, "a metric in a list is a call, whose function names it")
            .withHelp("for other expressions write metrics = dict(name=expression)");
  } else {
    e.error(expr.range, "metrics are dict(name=scalar, …), or a list of calls");
  }
  return out;
}

/// loss.train in training mode, with what the recipe fixes; loss.eval in inference mode, its batch open up to the
/// recipe's, so that the last batch of a split may be smaller.
void TrainBuilder::losses(bool training) {
  const Stmt &statement = *keys["loss"];
  bool open = !training || e.options_.symbolicBatch;
  std::vector<std::pair<std::string, TypeInfo>> inputs;
  std::map<std::string, Bound> bounds;
  for (const DataSource &source : sources) {
    std::string symbol = sources.size() == 1 ? "N" : "N." + source.name;
    for (const auto &[name, type] : source.fields) {
      TypeInfo copy = type;
      if (open && source.fixedBatch) {
        bounds[symbol] = {*type.dims[0].constant(), source.range, true};
        copy.dims[0] = Dim::symbol(symbol);
      }
      inputs.emplace_back(source.name + "." + name, copy);
    }
    for (const auto &[name, value] : source.bounds)
      bounds[name] = {value, source.range, true};
  }
  std::shared_ptr<Entry> entry = e.beginEntry(training ? "loss.train" : "loss.eval", inputs, training, statement.range);
  entry->bounds = bounds;
  std::vector<Value> values = e.inputValues(*entry, inputs);
  dataValues.clear();
  lossValue = Value::error();
  size_t next = 0;
  for (const DataSource &source : sources) {
    Value dict = Value::listOf({});
    dict.names = std::make_shared<std::vector<std::string>>();
    for (const auto &[name, type] : source.fields) {
      dict.names->push_back(name);
      dict.items->push_back(values[next++]);
    }
    dataValues[source.name] = dict;
  }
  Frame frame;
  frame.mode = Frame::Mode::Function;
  frame.self = e.model();
  frame.lookup = [&](std::string_view name, Value &out) { return find(name, out, frame); };
  auto scalar = [&](const Expr &expr, const std::string &what) {
    Value value = e.eval(expr, frame);
    std::optional<Value> tensor = e.toTensor(value, expr.range, b.getF32Type());
    if (!tensor)
      return Value::error();
    if (tensor->rank() != 0 || !isFloat(tensor->tensorType().getElementType())) {
      e.error(expr.range, what + " is one float number; this is " + describe(*tensor)).withHelp("reduce it: mean(…)");
      return Value::error();
    }
    return *tensor;
  };
  lossValue = scalar(*statement.value, "the loss");
  if (training)
    for (const char *key : {"l1", "l2"})
      if (std::optional<double> weight = number(key, 0); weight && !lossValue.isError()) {
        Range range = keys[key]->value->range;
        Elaborator::Arguments arguments;
        Value root = Value::of(Value::Kind::Instance);
        root.instance = e.model();
        arguments.positional.push_back(root);
        arguments.ranges.push_back(range);
        Value norm = e.callBuiltin(*findBuiltin(key, Space::General), arguments, range);
        Value term = e.binary("*", norm, Value::floatOf(*weight), range, range, range);
        lossValue = e.binary("+", lossValue, term, range, range, range);
      }
  std::vector<Elaborator::Result> results = {{lossValue, "loss", ""}};
  metricNames.clear();
  if (!training)
    for (const auto &[name, expr] : metrics()) {
      metricNames.push_back(name);
      results.push_back({scalar(*expr, "a metric"), "metric", name});
    }
  for (const Elaborator::Result &result : results)
    entry->failed |= result.value.isError();
  e.endEntry(*entry, results, statement.range);
  e.entries_.push_back(std::move(entry));
}

std::optional<double> TrainBuilder::number(std::string_view key, double least) {
  auto found = keys.find(key);
  if (found == keys.end())
    return std::nullopt;
  const Expr &expr = *found->second->value;
  Value value = config(expr);
  std::optional<double> number = value.asDouble();
  if (number && *number >= least)
    return number;
  if (!value.isError())
    e.error(expr.range, "'" + std::string(key) + "' is " + describe(value) + "; a number of at least " +
                            (least == 0 ? "0" : std::to_string(static_cast<int64_t>(least))) + " is expected");
  return std::nullopt;
}

std::optional<int64_t> TrainBuilder::count(std::string_view key) {
  auto found = keys.find(key);
  if (found == keys.end())
    return std::nullopt;
  const Expr &expr = *found->second->value;
  Value value = config(expr);
  std::optional<int64_t> number = value.asInteger();
  if (number && *number >= (key == "seed" ? 0 : 1))
    return number;
  if (!value.isError())
    e.error(expr.range, "'" + std::string(key) + "' is " + describe(value) + "; a whole number of at least " +
                            (key == "seed" ? "0" : "1") + " is expected");
  return std::nullopt;
}

static const Value &field(const Record &record, std::string_view name) {
  static const Value none = Value::none();
  for (const auto &[key, value] : record.fields)
    if (key == name)
      return value;
  return none;
}

mlir::Attribute TrainBuilder::learningRate(const Value &value, Range range, int64_t &scheduleSteps) {
  static constexpr std::string_view schedules[] = {"constant", "linear", "cosine", "exponential", "step", "noam"};
  if (std::optional<double> number = value.asDouble())
    return b.getDictionaryAttr({b.getNamedAttr("kind", b.getStringAttr("constant")),
                                b.getNamedAttr("base", b.getF64FloatAttr(*number)),
                                b.getNamedAttr("warmup", b.getI64IntegerAttr(0))});
  if (value.kind != Value::Kind::Record ||
      std::find(std::begin(schedules), std::end(schedules), value.record->kind) == std::end(schedules)) {
    e.error(range, "a learning rate is a number or a schedule; this is " + describe(value))
        .withHelp("the schedules are constant, linear, cosine, exponential, step and noam");
    return {};
  }
  std::vector<mlir::NamedAttribute> fields = {b.getNamedAttr("kind", b.getStringAttr(value.record->kind))};
  for (size_t i = 0; i < value.record->fields.size(); ++i) {
    const auto &[name, setting] = value.record->fields[i];
    bool whole = name == "steps" || name == "warmup" || name == "every" || name == "width";
    bool ok = whole ? setting.asInteger() && *setting.asInteger() >= (name == "warmup" ? 0 : 1)
                    : setting.asDouble() && *setting.asDouble() >= 0;
    if (!ok) {
      e.error(value.record->ranges[i],
              value.record->kind + "'s '" + name + "' is " + describe(setting) + "; a " + (whole ? "whole " : "") +
                  "number " + (whole && name != "warmup" ? "of at least 1" : "that is not negative") + " is expected");
      return {};
    }
    if (name == "steps")
      scheduleSteps = *setting.asInteger();
    fields.push_back(b.getNamedAttr(name, whole ? mlir::Attribute(b.getI64IntegerAttr(*setting.asInteger()))
                                                : b.getF64FloatAttr(*setting.asDouble())));
  }
  return b.getDictionaryAttr(fields);
}

mlir::Attribute TrainBuilder::optimizer(int64_t &scheduleSteps) {
  const Expr &expr = *keys["optimizer"]->value;
  Value value = config(expr);
  static constexpr std::string_view optimizers[] = {"SGD", "Adagrad", "RMSprop", "Adam", "AdamW"};
  if (value.isError())
    return {};
  if (value.kind != Value::Kind::Record ||
      std::find(std::begin(optimizers), std::end(optimizers), value.record->kind) == std::end(optimizers)) {
    e.error(expr.range, "this is no optimizer: " + describe(value))
        .withHelp("the optimizers are SGD, Adagrad, RMSprop, Adam and AdamW");
    return {};
  }
  std::string kind = value.record->kind;
  for (char &c : kind)
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  std::vector<mlir::NamedAttribute> fields = {b.getNamedAttr("kind", b.getStringAttr(kind))};
  for (size_t i = 0; i < value.record->fields.size(); ++i) {
    const auto &[name, setting] = value.record->fields[i];
    Range range = value.record->ranges[i];
    auto wrong = [&](const std::string &wanted) {
      e.error(range, value.record->kind + "'s '" + name + "' is " + describe(setting) + "; " + wanted + " is expected");
    };
    if (name == "lr") {
      mlir::Attribute lr = learningRate(setting, range, scheduleSteps);
      if (lr)
        fields.push_back(b.getNamedAttr("lr", lr));
    } else if (name == "betas") {
      double betas[2] = {0.9, 0.999};
      bool pair = setting.isList() && setting.items->size() == 2 && (*setting.items)[0].asDouble() &&
                  (*setting.items)[1].asDouble();
      for (int k = 0; pair && k < 2; ++k)
        betas[k] = *(*setting.items)[k].asDouble();
      if ((!pair && !setting.isNone()) || betas[0] < 0 || betas[0] >= 1 || betas[1] < 0 || betas[1] >= 1)
        wrong("two numbers of at least 0 and below 1, as in (0.9, 0.999),");
      fields.push_back(b.getNamedAttr("beta1", b.getF64FloatAttr(betas[0])));
      fields.push_back(b.getNamedAttr("beta2", b.getF64FloatAttr(betas[1])));
    } else if (setting.kind == Value::Kind::Boolean) {
      fields.push_back(b.getNamedAttr(name, b.getBoolAttr(setting.boolean)));
    } else if (setting.asDouble() && *setting.asDouble() >= 0) {
      fields.push_back(b.getNamedAttr(name, b.getF64FloatAttr(*setting.asDouble())));
    } else {
      wrong("a number that is not negative");
    }
  }
  return b.getDictionaryAttr(fields);
}

/// Parameters by parts of the model, lists of them, or patterns over names.
std::vector<std::string> TrainBuilder::parameterNames(const Value &value, Range range) {
  std::vector<std::string> names;
  if (value.isError())
    return names;
  if (value.kind == Value::Kind::String) {
    llvm::Expected<llvm::GlobPattern> pattern = llvm::GlobPattern::create(value.text);
    if (!pattern) {
      llvm::consumeError(pattern.takeError());
      e.error(range, "malformed pattern \"" + value.text + "\"");
      return names;
    }
    for (const std::shared_ptr<Variable> &variable : e.parameters_)
      if (pattern->match(variable->name))
        names.push_back(variable->name);
  } else if (value.isList()) {
    for (const Value &item : *value.items)
      for (std::string &name : parameterNames(item, range))
        names.push_back(std::move(name));
    return names;
  } else {
    std::vector<std::shared_ptr<Variable>> variables;
    e.collect(value, variables);
    for (const std::shared_ptr<Variable> &variable : variables)
      names.push_back(variable->name);
  }
  if (names.empty())
    e.error(range, "there are no parameters in " + describe(value));
  return names;
}

mlir::Attribute TrainBuilder::groups() {
  const Expr &expr = *keys["groups"]->value;
  Value value = config(expr);
  if (value.isError())
    return {};
  std::vector<mlir::Attribute> out;
  llvm::StringSet<> seen;
  bool ok = value.isList();
  for (const Value &item : ok ? *value.items : std::vector<Value>()) {
    if (item.kind != Value::Kind::Record || item.record->kind != "group") {
      ok = false;
      break;
    }
    std::vector<mlir::NamedAttribute> fields;
    std::vector<mlir::Attribute> names;
    for (const std::string &name : parameterNames(field(*item.record, "parameters"), item.record->ranges[0])) {
      if (!seen.insert(name).second)
        e.error(item.record->ranges[0], "the parameter '" + name + "' is in two groups");
      names.push_back(b.getStringAttr(name));
    }
    fields.push_back(b.getNamedAttr("parameters", b.getArrayAttr(names)));
    for (const char *name : {"weight_decay", "lr_scale"}) {
      const Value &setting = field(*item.record, name);
      if (setting.asDouble())
        fields.push_back(b.getNamedAttr(name, b.getF64FloatAttr(*setting.asDouble())));
      else if (!setting.isNone())
        e.error(item.record->range, std::string("a group's ") + name + " is a number; this is " + describe(setting));
    }
    out.push_back(b.getDictionaryAttr(fields));
  }
  if (!ok)
    e.error(expr.range, "groups are a list of group(parameters, …)");
  return b.getArrayAttr(out);
}

void TrainBuilder::settings() {
  int64_t scheduleSteps = 0;
  set("loss", b.getStringAttr("loss.train"));
  set("eval", b.getStringAttr("loss.eval"));
  if (!keys.count("optimizer"))
    e.error(recipe.nameRange, "the recipe has no optimizer")
        .withHelp("write `optimizer = AdamW(lr=1e-3)`, for example");
  else
    set("optimizer", optimizer(scheduleSteps));
  std::optional<int64_t> steps = count("steps"), epochs = count("epochs");
  if (keys.count("steps") && keys.count("epochs"))
    e.error(keys["epochs"]->range, "a recipe has steps or epochs, not both")
        .note(keys["steps"]->range, "the steps are here");
  if (epochs)
    set("epochs", b.getI64IntegerAttr(*epochs));
  else if (steps || scheduleSteps)
    set("steps", b.getI64IntegerAttr(steps ? *steps : scheduleSteps));
  else if (!keys.count("steps") && !keys.count("epochs"))
    e.error(recipe.nameRange, "the recipe does not say how long to train")
        .withHelp("write `steps = 1000`, or `epochs = 10`");
  if (keys.count("groups"))
    set("groups", groups());
  if (keys.count("clip")) {
    const Expr &expr = *keys["clip"]->value;
    Value value = config(expr);
    const Value &amount = value.kind == Value::Kind::Record ? field(*value.record, "value") : value;
    bool byValue = value.kind == Value::Kind::Record && value.record->kind == "clip_value";
    if (!amount.asDouble() || *amount.asDouble() <= 0) {
      if (!value.isError())
        e.error(expr.range,
                "clip is a positive number (the norm), clip_norm(v) or clip_value(v); this is " + describe(value));
    } else {
      set("clip", b.getDictionaryAttr({b.getNamedAttr("kind", b.getStringAttr(byValue ? "value" : "norm")),
                                       b.getNamedAttr("value", b.getF64FloatAttr(*amount.asDouble()))}));
    }
  }
  for (auto [key, kind] : {std::pair("validate", "every"), {"checkpoint", "every"}, {"early_stopping", "patience"}}) {
    if (!keys.count(key))
      continue;
    const Expr &expr = *keys[key]->value;
    Value value = config(expr);
    if (value.isError())
      continue;
    const Value &n = value.kind == Value::Kind::Record ? field(*value.record, "n") : value;
    if ((value.kind == Value::Kind::Record && value.record->kind != kind) || !n.asInteger() || *n.asInteger() < 1) {
      e.error(expr.range,
              std::string("'") + key + "' is " + kind + "(n, …), n a whole number; this is " + describe(value));
      continue;
    }
    std::vector<mlir::NamedAttribute> fields = {b.getNamedAttr(
        key == std::string_view("early_stopping") ? "patience" : "every", b.getI64IntegerAttr(*n.asInteger()))};
    for (const char *name : {"batches", "keep", "metric", "best", "minimum"}) {
      bool belongs = key == std::string_view("validate") ? name == std::string_view("batches")
                     : key == std::string_view("checkpoint")
                         ? name == std::string_view("keep")
                         : name != std::string_view("batches") && name != std::string_view("keep");
      mlir::Attribute attribute = belongs && value.kind == Value::Kind::Record
                                      ? toAttribute(e, field(*value.record, name), expr.range)
                                      : nullptr;
      if (attribute)
        fields.push_back(b.getNamedAttr(name, attribute));
    }
    set(key, b.getDictionaryAttr(fields));
  }
  for (const char *key : {"log", "seed"})
    if (std::optional<int64_t> value = count(key))
      set(key, b.getI64IntegerAttr(*value));
  std::string split = "validation";
  if (keys.count("split")) {
    Value value = config(*keys["split"]->value);
    if (value.kind != Value::Kind::String || (value.text != "validation" && value.text != "test"))
      e.error(keys["split"]->value->range, "'split' is \"validation\" or \"test\"; this is " + describe(value));
    else
      split = value.text;
  }
  set("split", b.getStringAttr(split));
  std::vector<mlir::Attribute> names;
  for (const std::string &name : metricNames)
    names.push_back(b.getStringAttr(name));
  set("metrics", b.getArrayAttr(names));
}

void TrainBuilder::writeData() {
  std::vector<mlir::Attribute> data;
  for (const DataSource &source : sources)
    if (mlir::Attribute attribute = dataAttribute(e, source))
      data.push_back(attribute);
  (*e.module_)->setAttr("kiln.data", b.getArrayAttr(data));
  (*e.module_)->setAttr("kiln.train", b.getDictionaryAttr(attributes));
}

void buildTraining(Elaborator &e, const Stmt &recipe) { TrainBuilder(e, recipe).run(); }

} // namespace kiln::language
