// The settings of a train block: optimizer, schedule, groups, intervals.
#include "frontend/language/TrainBuilder.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/Support/GlobPattern.h"

namespace kiln::language {

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
  // Steps are counted in 32 bits by programs; a seed is 32 bits.
  int64_t least = key == "seed" ? 0 : 1, most = key == "seed" ? UINT32_MAX : INT32_MAX;
  std::optional<int64_t> number = value.asInteger();
  if (number && *number >= least && *number <= most)
    return number;
  if (!value.isError())
    e.error(expr.range, "'" + std::string(key) + "' is " + describe(value) + "; a whole number from " +
                            std::to_string(least) + " to " + std::to_string(most) + " is expected");
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
    bool ok = whole ? setting.asInteger() && *setting.asInteger() >= (name == "warmup" ? 0 : 1) &&
                          *setting.asInteger() <= INT32_MAX
                    : setting.asDouble() && *setting.asDouble() >= 0;
    if (!ok) {
      e.error(value.record->ranges[i], value.record->kind + "'s '" + name + "' is " + describe(setting) + "; a " +
                                           (whole ? "whole " : "") + "number " +
                                           (!whole             ? "that is not negative"
                                            : name == "warmup" ? "from 0 to 2147483647"
                                                               : "from 1 to 2147483647") +
                                           " is expected");
      return {};
    }
    if (name == "steps")
      scheduleSteps = *setting.asInteger();
    fields.push_back(b.getNamedAttr(name, whole ? mlir::Attribute(b.getI64IntegerAttr(*setting.asInteger()))
                                                : b.getF64FloatAttr(*setting.asDouble())));
  }
  return b.getDictionaryAttr(fields);
}

mlir::Attribute TrainBuilder::optimizer(const Value &value, Range at, int64_t &scheduleSteps) {
  static constexpr std::string_view optimizers[] = {"SGD", "Adagrad", "RMSprop", "Adam", "AdamW"};
  if (value.isError())
    return {};
  if (value.kind != Value::Kind::Record ||
      std::find(std::begin(optimizers), std::end(optimizers), value.record->kind) == std::end(optimizers)) {
    e.error(at, "this is no optimizer: " + describe(value))
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
    } else if (name == "nesterov" || name == "centered") {
      if (setting.kind != Value::Kind::Boolean)
        wrong("True or False");
      fields.push_back(b.getNamedAttr(name, b.getBoolAttr(setting.boolean)));
    } else if (setting.isNumeral() && setting.asDouble() && *setting.asDouble() >= 0) {
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
    for (const Value &item : *value.items) {
      // A pattern or a part may add none, as an activation does; all of them together have to.
      if (item.kind == Value::Kind::String) {
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

/// `optimizer = Adam(…)` for all, or `[over(parts, Adam(…)), …]`, each for its own parameters.
void TrainBuilder::optimizers(int64_t &scheduleSteps) {
  if (!keys.count("optimizer")) {
    e.error(recipe.nameRange, "the recipe has no optimizer")
        .withHelp("write `optimizer = AdamW(lr=1e-3)`, for example");
    return;
  }
  const Expr &expr = *keys["optimizer"]->value;
  Value value = config(expr);
  if (!value.isList()) {
    set("optimizer", optimizer(value, expr.range, scheduleSteps));
    return;
  }
  std::vector<mlir::Attribute> list;
  llvm::StringSet<> seen;
  for (const Value &item : *value.items) {
    if (item.kind != Value::Kind::Record || item.record->kind != "over") {
      e.error(expr.range, "several optimizers are a list of over(parameters, optimizer); this is " + describe(item));
      return;
    }
    std::vector<mlir::Attribute> names;
    for (const std::string &name : parameterNames(item.record->fields[0].second, item.record->ranges[0])) {
      if (!seen.insert(name).second)
        e.error(item.record->ranges[0], "the parameter '" + name + "' has two optimizers");
      if (!reached.empty() && !reached.count(name))
        e.error(item.record->ranges[0], "the parameter '" + name + "' has an optimizer, but no loss")
            .note(keys["loss"]->range, "the losses and their parameters are here");
      names.push_back(b.getStringAttr(name));
    }
    auto settings = llvm::dyn_cast_or_null<mlir::DictionaryAttr>(
        optimizer(item.record->fields[1].second, item.record->ranges[1], scheduleSteps));
    if (!settings)
      return;
    std::vector<mlir::NamedAttribute> fields(settings.begin(), settings.end());
    fields.push_back(b.getNamedAttr("parameters", b.getArrayAttr(names)));
    list.push_back(b.getDictionaryAttr(fields));
  }
  set("optimizers", b.getArrayAttr(list));
}

void TrainBuilder::length(int64_t scheduleSteps) {
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
}

void TrainBuilder::clip() {
  if (!keys.count("clip"))
    return;
  const Expr &expr = *keys["clip"]->value;
  Value value = config(expr);
  bool isRecord = value.kind == Value::Kind::Record;
  const Value &amount = isRecord ? field(*value.record, "value") : value;
  bool byValue = isRecord && value.record->kind == "clip_value";
  bool known = !isRecord || byValue || value.record->kind == "clip_norm";
  if (!known || !amount.asDouble() || *amount.asDouble() <= 0) {
    if (!value.isError())
      e.error(expr.range,
              "clip is a positive number (the norm), clip_norm(v) or clip_value(v); this is " + describe(value));
    return;
  }
  set("clip", b.getDictionaryAttr({b.getNamedAttr("kind", b.getStringAttr(byValue ? "value" : "norm")),
                                   b.getNamedAttr("value", b.getF64FloatAttr(*amount.asDouble()))}));
}

/// validate = every(n, batches=…), checkpoint = every(n, keep=…), early_stopping = patience(n, …); a number alone is n.
void TrainBuilder::intervals() {
  struct Interval {
    std::string_view key, call, number;
    std::vector<std::string_view> fields;
  };
  const Interval intervals[] = {{"validate", "every", "every", {"batches"}},
                                {"checkpoint", "every", "every", {"keep"}},
                                {"early_stopping", "patience", "patience", {"metric", "best", "minimum"}}};
  for (const Interval &interval : intervals) {
    auto found = keys.find(interval.key);
    if (found == keys.end())
      continue;
    const Expr &expr = *found->second->value;
    Value value = config(expr);
    if (value.isError())
      continue;
    bool isRecord = value.kind == Value::Kind::Record;
    const Value &n = isRecord ? field(*value.record, "n") : value;
    auto isCount = [](const Value &count) {
      return count.isNumeral() && count.asInteger() && *count.asInteger() >= 1 && *count.asInteger() <= INT32_MAX;
    };
    if ((isRecord && value.record->kind != interval.call) || !isCount(n)) {
      e.error(expr.range, "'" + std::string(interval.key) + "' is " + std::string(interval.call) +
                              "(n, …), n a whole number from 1 to 2147483647; this is " +
                              describe(isRecord && value.record->kind == interval.call ? n : value));
      continue;
    }
    for (std::string_view name : {"batches", "keep"})
      if (const Value &count = isRecord ? field(*value.record, name) : n; !count.isNone() && !isCount(count))
        e.error(expr.range, std::string(interval.call) + "'s '" + std::string(name) + "' is " + describe(count) +
                                "; a whole number from 1 to 2147483647 is expected");
    if (const Value &minimum = isRecord ? field(*value.record, "minimum") : n;
        !minimum.isNone() && !(minimum.isNumeral() && minimum.asDouble()))
      e.error(expr.range, "patience's 'minimum' is " + describe(minimum) + "; a number is expected");
    std::vector<mlir::NamedAttribute> fields = {b.getNamedAttr(interval.number, b.getI64IntegerAttr(*n.asInteger()))};
    for (std::string_view name : interval.fields)
      if (mlir::Attribute attribute = isRecord ? toAttribute(e, field(*value.record, name), expr.range) : nullptr)
        fields.push_back(b.getNamedAttr(name, attribute));
    set(std::string(interval.key), b.getDictionaryAttr(fields));
    if (interval.key != "early_stopping" || !isRecord)
      continue;
    const Value &metric = field(*value.record, "metric"), &best = field(*value.record, "best");
    if (metric.text != "loss" && std::find(metricNames.begin(), metricNames.end(), metric.text) == metricNames.end())
      e.error(expr.range,
              "early stopping watches " + describe(metric) + ", which is neither \"loss\" nor a metric of this recipe");
    if (best.text != "min" && best.text != "max")
      e.error(expr.range, "patience's 'best' is \"min\" or \"max\"; this is " + describe(best));
  }
}

void TrainBuilder::settings() {
  int64_t scheduleSteps = 0;
  set("loss", b.getStringAttr("loss.train"));
  set("eval", b.getStringAttr("loss.eval"));
  optimizers(scheduleSteps);
  length(scheduleSteps);
  if (keys.count("groups"))
    set("groups", groups());
  clip();
  intervals();
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

} // namespace kiln::language
