// The settings of a train block: its length, clipping, intervals.
#include "frontend/language/TrainBuilder.h"
#include "runtime/support/Rename.h"

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

const Value &field(const Record &record, std::string_view name) {
  static const Value none = Value::none();
  for (const auto &[key, value] : record.fields)
    if (key == name)
      return value;
  return none;
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

/// compute = bf16: what products of the step round their operands to; f32 is as they are.
void TrainBuilder::compute() {
  auto found = keys.find("compute");
  if (found == keys.end())
    return;
  const Expr &expr = *found->second->value;
  Value value = config(expr);
  bool isType = value.kind == Value::Kind::Dtype;
  if (isType && value.dtype == Dtype::bf16)
    set("compute", b.getStringAttr("bf16"));
  else if (!value.isError() && !(isType && value.dtype == Dtype::f32))
    e.error(expr.range, "'compute' is bf16 or f32; this is " + describe(value));
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

/// Whether a rule for names is OLD=NEW.
static bool isRename(std::string_view rule) {
  size_t equals = rule.find('=');
  return equals != std::string_view::npos && equals > 0 && equals + 1 < rule.size() &&
         kiln::isRename(rule.substr(0, equals), rule.substr(equals + 1));
}

/// "path", or load(path, prefix=…, partial=…, strip=…, ignore=…, rename=…); null after an error.
mlir::Attribute TrainBuilder::weightsOf(const Value &value, Range range) {
  auto isText = [](const Value &text) { return text.kind == Value::Kind::String && !text.text.empty(); };
  auto isTexts = [&](const Value &texts) {
    return isText(texts) ||
           (texts.isList() && !texts.items->empty() && std::all_of(texts.items->begin(), texts.items->end(), isText));
  };
  if (isText(value))
    return b.getDictionaryAttr({b.getNamedAttr("path", b.getStringAttr(value.text))});
  if (value.kind != Value::Kind::Record || value.record->kind != "load") {
    if (!value.isError())
      e.error(range, "weights are a path, load(path, …) or a list of those; this is " + describe(value));
    return {};
  }
  std::vector<mlir::NamedAttribute> fields;
  for (size_t i = 0; i < value.record->fields.size(); ++i) {
    const auto &[name, field] = value.record->fields[i];
    bool ok = name == "partial"                     ? field.kind == Value::Kind::Boolean
              : name == "path"                      ? isText(field)
              : name == "prefix" && !field.isNone() ? isText(field)
                                                    : field.isNone() || isTexts(field);
    if (!ok) {
      e.error(value.record->ranges[i], "load's '" + name + "' is " + describe(field) + "; " +
                                           (name == "partial"                    ? "True or False"
                                            : name == "path" || name == "prefix" ? "a string"
                                                                                 : "a string, or a list of them,") +
                                           " is expected");
      return {};
    }
    if (name == "rename" && !field.isNone())
      for (const Value &rule : field.isList() ? *field.items : std::vector<Value>{field})
        if (!isRename(rule.text)) {
          e.error(value.record->ranges[i],
                  "load's 'rename' has \"" + rule.text +
                      "\"; OLD=NEW is expected, each with one * at most, the new name with no more than the old one");
          return {};
        }
    Value written =
        (name == "strip" || name == "ignore" || name == "rename") && isText(field) ? Value::listOf({field}) : field;
    if (mlir::Attribute attribute = toAttribute(e, written, value.record->ranges[i]))
      fields.push_back(b.getNamedAttr(name, attribute));
  }
  return b.getDictionaryAttr(fields);
}

/// `weights = pretrain`: the result of an earlier recipe. False where the expression names none.
bool TrainBuilder::resultOf(const Expr &expr) {
  if (expr.kind != ExprKind::Name || locals.contains(expr.text))
    return false;
  bool before = true;
  for (const Stmt *other : e.recipesOf(*e.chosen(), StmtKind::Train)) {
    before &= other != &recipe;
    if (stageName(*other) != expr.text)
      continue;
    if (!before)
      e.error(expr.range, "'" + expr.text + "' is not trained before this recipe")
          .note(other->nameRange, "it is declared here");
    set("from", b.getStringAttr(expr.text));
    return true;
  }
  return false;
}

/// `weights`: what a training begins with, in place of initial values.
void TrainBuilder::weights() {
  if (!keys.count("weights"))
    return;
  const Expr &expr = *keys["weights"]->value;
  if (resultOf(expr))
    return;
  Value value = config(expr);
  std::vector<mlir::Attribute> all;
  for (const Value &item : value.isList() ? *value.items : std::vector<Value>{value})
    if (mlir::Attribute one = weightsOf(item, expr.range))
      all.push_back(one);
  set("weights", b.getArrayAttr(all));
}

void TrainBuilder::settings() {
  int64_t scheduleSteps = 0;
  set("loss", b.getStringAttr("loss.train" + suffix));
  set("eval", b.getStringAttr("loss.eval" + suffix));
  optimizers(scheduleSteps);
  length(scheduleSteps);
  clip();
  compute();
  intervals();
  weights();
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
