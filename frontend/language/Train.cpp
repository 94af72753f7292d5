// The train block: the functions loss.train and loss.eval, and the settings as attributes of the module.
#include "frontend/language/Gradient.h"
#include "frontend/language/Pool.h"
#include "frontend/language/TrainBuilder.h"

namespace kiln::language {

static constexpr std::string_view recipeKeys[] = {
    "loss",    "optimizer", "steps",    "epochs",         "clip",       "groups", "frozen", "l1",      "l2",
    "metrics", "split",     "validate", "early_stopping", "checkpoint", "log",    "seed",   "weights", "compute"};

static bool isKey(std::string_view name) {
  return std::find(std::begin(recipeKeys), std::end(recipeKeys), name) != std::end(recipeKeys);
}

void TrainBuilder::run() {
  read();
  freeze();
  if (!keys.count("loss")) {
    e.error(recipe.nameRange, "the recipe has no loss").withHelp("write `loss = …`, a scalar");
    return;
  }
  losses(true);
  losses(false);
  settings();
  sections();
  for (const auto &[name, statement] : locals)
    if (!used.count(name) && !sourceNames.count(name)) {
      std::string near = nearest(name, {std::begin(recipeKeys), std::end(recipeKeys)});
      e.error(statement->target->range, "'" + name + "' is no key of a recipe, and is not used")
          .withHelp(near.empty() ? "the keys are in docs/language.md under Training" : "did you mean '" + near + "'?");
    }
  writeData();
}

static void targetNames(const Expr &target, std::vector<std::string> &out) {
  if (target.kind == ExprKind::Name)
    out.push_back(target.text);
  if (target.kind == ExprKind::Tuple || target.kind == ExprKind::List)
    for (const ExprPtr &child : target.children)
      targetNames(*child, out);
}

/// A reader's call, or one of two as a condition says.
static bool isSource(const Expr &expr) {
  if (expr.kind == ExprKind::Conditional)
    return isSource(expr.child(1)) && isSource(expr.child(2));
  return expr.kind == ExprKind::Call && expr.child(0).kind == ExprKind::Name && isReader(expr.child(0).text);
}

/// Sorts the block's statements into settings, data sources and values for later use.
void TrainBuilder::read() {
  int pairs = 0;
  for (const StmtPtr &statement : recipe.body) {
    if (statement->kind == StmtKind::Pass)
      continue;
    if (statement->kind == StmtKind::Section) {
      if (statement->name != "begin" && statement->name != "after" && statement->name != "end")
        e.error(statement->range,
                "the blocks of a recipe are begin, after and end; there is no '" + statement->name + "'");
      else if (auto [place, isNew] = blocks.try_emplace(statement->name, statement.get()); !isNew)
        e.error(statement->range, "'" + statement->name + "' stands twice in this recipe")
            .note(place->second->range, "the first one is here");
      continue;
    }
    if (statement->kind != StmtKind::Assign || !statement->name.empty()) {
      e.error(statement->range, "a recipe holds lines of the form NAME = value");
      continue;
    }
    std::vector<std::string> names;
    targetNames(*statement->target, names);
    const Expr &value = *statement->value;
    bool single = statement->target->kind == ExprKind::Name;
    for (const std::string &name : names) {
      if (name == "_") // what is not used
        continue;
      auto [place, isNew] = (single && isKey(name) ? keys : locals).try_emplace(name, statement.get());
      if (!isNew)
        e.error(statement->target->range, "'" + name + "' is set twice in this recipe")
            .note(place->second->range, "the first one is here");
    }
    if (!single || !isSource(value))
      continue;
    sourceNames.insert(names[0]);
    Value record = config(value, Space::Reader);
    if (record.kind != Value::Kind::Record)
      continue;
    // The lengths of the first source are S and T; those of the others have their names in front.
    const std::string &kind = record.record->kind;
    bool sequences = kind == "pairs" || kind == "table" || kind == "conll" || kind == "squad" || kind == "masked" ||
                     kind == "corrupted";
    std::string prefix = sequences && pairs++ > 0 ? names[0] + "." : "";
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

Value TrainBuilder::scalar(const Expr &expr, const std::string &what, Frame &frame) {
  Value value = e.eval(expr, frame);
  std::optional<Value> tensor = e.toTensor(value, expr.range, b.getF32Type());
  if (!tensor)
    return Value::error();
  if (tensor->rank() != 0 || !isFloat(tensor->tensorType().getElementType())) {
    e.error(expr.range, what + " is one float number; this is " + describe(*tensor)).withHelp("reduce it: mean(…)");
    return Value::error();
  }
  return *tensor;
}

/// `[over(parameters, loss), …]`: their sum; each a term whose gradient reaches its own parameters alone.
Value TrainBuilder::severalLosses(const Expr &list, Frame &frame, std::vector<Elaborator::Result> &terms) {
  Value sum = Value::none();
  bool failed = list.children.empty();
  if (failed)
    e.error(list.range, "the list of losses is empty");
  for (const ExprPtr &item : list.children) {
    bool isOver = item->kind == ExprKind::Call && item->child(0).kind == ExprKind::Name &&
                  item->child(0).text == "over" && item->arguments.size() == 2;
    for (size_t i = 0; isOver && i < 2; ++i)
      isOver = item->arguments[i].name.empty() && !item->arguments[i].star;
    if (!isOver) {
      e.error(item->range, "several losses are a list of over(parameters, loss)")
          .withHelp("for one loss over all parameters, write their sum");
      if (item->kind != ExprKind::Call || item->child(0).text != "over")
        e.eval(*item, frame); // for what is wrong in it
      failed = true;
      continue;
    }
    const Expr &parameters = *item->arguments[0].value, &expr = *item->arguments[1].value;
    Elaborator::Result term{scalar(expr, "a loss", frame), "term", "",
                            parameterNames(config(parameters), parameters.range)};
    failed |= term.value.isError() || term.names.empty();
    if (failed)
      continue;
    reached.insert(term.names.begin(), term.names.end());
    sum = sum.isNone() ? term.value : e.binary("+", sum, term.value, list.range, list.range, expr.range);
    terms.push_back(std::move(term));
  }
  return failed ? Value::error() : sum;
}

/// Adds what `l1` and `l2` ask for.
void TrainBuilder::regularise(std::vector<Elaborator::Result> &terms) {
  for (const char *key : {"l1", "l2"}) {
    std::optional<double> weight = number(key, 0);
    if (!weight || lossValue.isError())
      continue;
    Range range = keys[key]->value->range;
    Elaborator::Arguments arguments;
    Value root = Value::of(Value::Kind::Instance);
    root.instance = e.model();
    arguments.positional.push_back(root);
    arguments.ranges.push_back(range);
    Value norm = e.callBuiltin(*findBuiltin(key, Space::General), arguments, range);
    Value term = e.binary("*", norm, Value::floatOf(*weight), range, range, range);
    lossValue = e.binary("+", lossValue, term, range, range, range);
    if (!terms.empty())
      terms.push_back({term, "term", "", {reached.begin(), reached.end()}});
  }
}

/// Whether all fields begin with the same number, which then is the batch.
static bool beginsWithBatch(const DataSource &source) {
  std::set<int64_t> rows;
  for (const auto &[name, type] : source.fields)
    rows.insert(type.dims.empty() ? 0 : type.dims[0].constant().value_or(0));
  return rows.size() == 1 && *rows.begin() > 0;
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
    bool batches = source.fixedBatch || (training && e.options_.shards && beginsWithBatch(source));
    for (const auto &[name, type] : source.fields) {
      TypeInfo copy = type;
      if (open && batches) {
        bounds[symbol] = {*type.dims[0].constant(), source.range, true};
        copy.dims[0] = Dim::symbol(symbol);
      }
      inputs.emplace_back(source.name + "." + name, copy);
    }
    for (const auto &[name, value] : source.bounds)
      bounds[name] = {value, source.range, true};
  }
  std::shared_ptr<Entry> entry =
      e.beginEntry((training ? "loss.train" : "loss.eval") + suffix, inputs, training, statement.range);
  entry->nextStream += number_ << 22;
  entry->bounds = bounds;
  for (const auto &[symbol, bound] : bounds)
    entry->limits[symbol] = bound.value;
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
  bool several = statement.value->kind == ExprKind::List;
  std::vector<Elaborator::Result> terms;
  lossValue = several ? severalLosses(*statement.value, frame, terms) : scalar(*statement.value, "the loss", frame);
  if (training)
    regularise(terms);
  if (!lossValue.isError())
    lossType = lossValue.tensor.getType();
  std::vector<Elaborator::Result> results = {{lossValue, "loss", ""}};
  if (training) // a validation only asks for the sum
    results.insert(results.end(), terms.begin(), terms.end());
  metricNames.clear();
  if (!training)
    for (const auto &[name, expr] : metrics()) {
      metricNames.push_back(name);
      results.push_back({scalar(*expr, "a metric", frame), "metric", name});
    }
  for (const Elaborator::Result &result : results)
    entry->failed |= result.value.isError();
  e.endEntry(*entry, results, statement.range);
  if (!training && !entry->failed && !e.diagnostics_.hasErrors())
    poolResults(*e.module_, entry->func, suffix);
  if (training && !entry->failed)
    checkLoops(*entry);
  e.entries_.push_back(std::move(entry));
}

/// A while whose number of steps has no bound has no gradient.
void TrainBuilder::checkLoops(Entry &entry) {
  auto isTrained = [&](mlir::BlockArgument argument) {
    return llvm::any_of(entry.parameters, [&](const auto &item) {
      return item.second.second == argument && item.second.first->trainable;
    });
  };
  for (mlir::Operation *loop : loopsWithoutGradient(entry.func, isTrained))
    if (auto found = e.whiles_.find(loop); found != e.whiles_.end())
      e.error(found->second,
              "the loss's gradient flows through this loop, which has none: its number of steps is computed")
          .withHelp("bound it with `at most N`, or put stop_gradient on what it reads");
}

void TrainBuilder::writeData() {
  std::vector<mlir::Attribute> data;
  for (const DataSource &source : sources)
    if (mlir::Attribute attribute = dataAttribute(e, source))
      data.push_back(attribute);
  this->data = b.getArrayAttr(data);
}

void buildTraining(Elaborator &e, const std::vector<const Stmt *> &recipes) { TrainBuilder::all(e, recipes); }

} // namespace kiln::language
