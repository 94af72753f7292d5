// Evaluation of expressions.
#include "frontend/language/Elaborate.h"
#include "frontend/language/Hints.h"
#include "frontend/language/Limits.h"

#include <cmath>

namespace kiln::language {

static Value evalList(Elaborator &e, const Expr &expr, Frame &frame) {
  std::vector<Value> items;
  for (const ExprPtr &child : expr.children) {
    Value item = e.eval(*child, frame);
    if (item.isError())
      return item;
    items.push_back(std::move(item));
  }
  return Value::listOf(std::move(items));
}

static Value evalComprehension(Elaborator &e, const Expr &expr, Frame &frame) {
  std::optional<std::vector<Value>> items = e.iterate(e.eval(expr.child(2), frame), expr.child(2).range);
  if (!items)
    return Value::error();
  // The names of a comprehension are its own.
  auto saved = frame.locals;
  std::vector<Value> out;
  bool failed = false;
  for (const Value &item : *items) {
    e.assign(expr.child(1), item, frame, expr.child(2).range);
    bool keep = true;
    if (expr.children.size() > 3 && !e.condition(e.eval(expr.child(3), frame), expr.child(3).range, keep)) {
      failed = true;
      break;
    }
    if (!keep)
      continue;
    Value value = e.eval(expr.child(0), frame);
    failed |= value.isError();
    if (expr.text == "flat" && value.isList())
      out.insert(out.end(), value.items->begin(), value.items->end());
    else
      out.push_back(std::move(value));
  }
  frame.locals = std::move(saved);
  return failed ? Value::error() : Value::listOf(std::move(out));
}

static Value negate(Elaborator &e, const Expr &expr, const Value &operand) {
  switch (operand.kind) {
  case Value::Kind::Integer:
    return Value::integerOf(Dim(0) - operand.integer, expr.range);
  case Value::Kind::Float:
    return Value::floatOf(-operand.number);
  case Value::Kind::Boolean:
    return Value::integerOf(operand.boolean ? -1 : 0, expr.range);
  case Value::Kind::Tensor:
    if (!operand.tensorType().getElementType().isInteger(1))
      return Value::tensorOf(e.emit(expr.range).neg(operand.tensor), operand.origins);
    [[fallthrough]];
  default:
    e.error(expr.range, "'-' wants a number or a tensor of numbers, found " + describe(operand));
    return Value::error();
  }
}

static Value evalUnary(Elaborator &e, const Expr &expr, Frame &frame) {
  Value operand = e.eval(expr.child(0), frame);
  if (operand.isError())
    return operand;
  if (expr.text == "-")
    return negate(e, expr, operand);
  if (expr.text == "+" && (operand.isNumber() || operand.isTensor()))
    return operand;
  if (expr.text == "not" && operand.isTensor()) {
    std::optional<mlir::Value> tensor = e.decision(operand, expr.child(0).range, "'not'");
    return tensor ? Value::tensorOf(e.emit(expr.range).op<NotOp>(*tensor)) : Value::error();
  }
  if (expr.text == "not") {
    bool value = false;
    if (!e.condition(operand, expr.child(0).range, value))
      return Value::error();
    return Value::booleanOf(!value);
  }
  if (expr.text == "~" && operand.isTensor() && !isFloat(operand.tensorType().getElementType()))
    return Value::tensorOf(e.emit(expr.range).op<NotOp>(operand.tensor), operand.origins);
  if (expr.text == "~" && operand.kind == Value::Kind::Boolean)
    return Value::booleanOf(!operand.boolean);
  e.error(expr.range, "'" + expr.text + "' does not apply to " + describe(operand));
  return Value::error();
}

/// `and` and `or` of bools that are computed: both sides are.
static Value bothOrEither(Elaborator &e, const Expr &expr, const Value &left, Frame &frame) {
  std::string what = "'" + expr.text + "'";
  Value right = e.eval(expr.child(1), frame);
  if (right.isError() || !e.decision(left, expr.child(0).range, what.c_str()) ||
      (right.isTensor() && !e.decision(right, expr.child(1).range, what.c_str())))
    return Value::error();
  return e.binary(expr.text == "and" ? "&" : "|", left, right, expr.range, expr.child(0).range, expr.child(1).range);
}

static Value evalBoolean(Elaborator &e, const Expr &expr, Frame &frame) {
  // As in Python, the result is one of the operands.
  Value left = e.eval(expr.child(0), frame);
  if (left.isTensor())
    return bothOrEither(e, expr, left, frame);
  bool truth = false;
  if (!e.condition(left, expr.child(0).range, truth))
    return Value::error();
  if (truth == (expr.text == "or"))
    return left;
  return e.eval(expr.child(1), frame);
}

/// A bound on depth keeps the stack well inside 8 MiB; one on work keeps a loop of loops from running for hours.
bool Elaborator::withinLimits(Range range) {
  if (depth_ > maxEvaluations) {
    error(range, "calls and expressions are nested more than " + std::to_string(maxEvaluations) + " deep here")
        .withHelp("does a function call itself without an end?");
    return false;
  }
  if (++work_ <= maxSteps)
    return true;
  if (work_ == maxSteps + 1)
    error(range, "elaborating the model takes more than 20 million steps; given up here")
        .withHelp("use scan for loops over time: it stays one loop");
  return false;
}

Value Elaborator::eval(const Expr &expr, Frame &frame) {
  Depth depth(depth_);
  if (!withinLimits(expr.range))
    return Value::error();
  Value value = evalKind(expr, frame);
  return value.isTensor() && !rankFits(value.rank(), expr.range) ? Value::error() : value;
}

bool Elaborator::rankFits(int64_t rank, Range range) {
  if (rank <= maxRank)
    return true;
  error(range,
        "this tensor has " + std::to_string(rank) + " axes; at most " + std::to_string(maxRank) + " are possible")
      .withHelp("join some of them: reshape(x, …)");
  return false;
}

Value Elaborator::evalBinary(const Expr &expr, Frame &frame) {
  if (expr.text == "and" || expr.text == "or")
    return evalBoolean(*this, expr, frame);
  Value left = eval(expr.child(0), frame), right = eval(expr.child(1), frame);
  size_t errorsBefore = diagnostics_.size();
  Value value = binary(expr.text, left, right, expr.range, expr.child(0).range, expr.child(1).range);
  noteHidden(expr, frame, errorsBefore);
  return value;
}

Value Elaborator::evalConditional(const Expr &expr, Frame &frame) {
  Value value = eval(expr.child(0), frame);
  if (value.isTensor()) {
    std::optional<mlir::Value> tensor = decision(value, expr.child(0).range, "an `if`");
    return tensor ? chooseByData(expr, *tensor, frame) : Value::error();
  }
  bool truth = false;
  if (!condition(value, expr.child(0).range, truth))
    return Value::error();
  return eval(expr.child(truth ? 1 : 2), frame);
}

Value Elaborator::evalKind(const Expr &expr, Frame &frame) {
  if (expr.kind != ExprKind::Name)
    wanted_ = Wanted::Anything;
  switch (expr.kind) {
  case ExprKind::Name:
    return lookup(expr, frame);
  case ExprKind::Integer:
    return Value::integerOf(expr.integer, expr.range);
  case ExprKind::Float:
    return Value::floatOf(expr.number);
  case ExprKind::String:
    return Value::stringOf(expr.text);
  case ExprKind::True:
    return Value::booleanOf(true);
  case ExprKind::False:
    return Value::booleanOf(false);
  case ExprKind::None:
    return Value::none();
  case ExprKind::Ellipsis:
    return Value::of(Value::Kind::Ellipsis);
  case ExprKind::Tuple:
  case ExprKind::List:
    return evalList(*this, expr, frame);
  case ExprKind::Comprehension:
    return evalComprehension(*this, expr, frame);
  case ExprKind::Unary:
    return evalUnary(*this, expr, frame);
  case ExprKind::Binary:
    return evalBinary(expr, frame);
  case ExprKind::Compare: {
    if (expr.children.size() == 3) {
      error(expr.range, "two bounds stand at a dimension of a type alone, as in f32[3 <= T <= 64]");
      return Value::error();
    }
    Value left = eval(expr.child(0), frame), right = eval(expr.child(1), frame);
    return compare(expr.text, left, right, expr.range, expr.child(0).range, expr.child(1).range);
  }
  case ExprKind::Conditional:
    return evalConditional(expr, frame);
  case ExprKind::Call: {
    Value callee = evalAs(Wanted::Callable, expr.child(0), frame);
    Arguments arguments = evalArguments(expr, frame);
    if (callee.isError() || arguments.failed)
      return Value::error();
    size_t errorsBefore = diagnostics_.size();
    Value value = call(callee, arguments, expr.range, frame);
    noteHidden(expr, frame, errorsBefore);
    noteHiddenFunction(expr, callee, frame, errorsBefore);
    return value;
  }
  case ExprKind::Index: {
    Value base = eval(expr.child(0), frame);
    if (base.isError())
      return base;
    if (base.kind == Value::Kind::Dtype) {
      size_t errorsBefore = diagnostics_.size();
      std::optional<TypeInfo> type = evalType(expr, frame);
      noteHidden(expr, frame, errorsBefore);
      if (!type)
        return Value::error();
      Value value = Value::of(Value::Kind::Type);
      value.type = std::make_shared<TypeInfo>(std::move(*type));
      return value;
    }
    return index(expr, base, frame);
  }
  case ExprKind::Attribute:
    return attribute(expr, frame);
  case ExprKind::Slice:
    break;
  }
  error(expr.range, "a range stands only in a subscript");
  return Value::error();
}

bool Elaborator::condition(const Value &value, Range range, bool &out) {
  switch (value.kind) {
  case Value::Kind::Error:
    return false;
  case Value::Kind::Boolean:
    out = value.boolean;
    return true;
  case Value::Kind::None:
    out = false;
    return true;
  case Value::Kind::Integer:
    if (std::optional<int64_t> constant = value.integer.constant()) {
      out = *constant != 0;
      return true;
    }
    error(range, "whether " + value.integer.str() + " is zero is not known at compile time");
    return false;
  case Value::Kind::Float:
    out = value.number != 0;
    return true;
  case Value::Kind::String:
    out = !value.text.empty();
    return true;
  case Value::Kind::List:
    out = !value.items->empty();
    return true;
  case Value::Kind::Tensor:
    error(range, "this has to be known at compile time; it is " + describe(value))
        .withHelp("`if` and `while` may be decided by data; to choose between elements, write where(condition, a, b)");
    return false;
  default:
    out = true;
    return true;
  }
}

std::optional<std::vector<Value>> Elaborator::iterate(const Value &value, Range range) {
  if (value.isError())
    return std::nullopt;
  if (value.isList())
    return *value.items;
  if (value.kind == Value::Kind::Instance && value.instance->sequential)
    return value.instance->items;
  Diagnostic &diagnostic = error(range, "a loop runs over a list known at compile time; this is " + describe(value));
  if (value.isInteger())
    diagnostic.withHelp(value.integer.isConstant() ? "write range(" + value.integer.str() + ")"
                                                   : "for a loop over time, write scan t in " + value.integer.str());
  else if (value.isTensor())
    diagnostic.withHelp("for a loop over time, write scan t in T, and take x[:, t]");
  return std::nullopt;
}

/// dropout(x, p) where an argument or a variable is called dropout, which cannot be called: says so.
void Elaborator::noteHiddenFunction(const Expr &call, const Value &callee, const Frame &frame, size_t errorsBefore) {
  const Expr &name = call.child(0);
  bool fails = callee.isTensor() || callee.isNumber() || callee.isNone() || callee.isList() ||
               callee.kind == Value::Kind::String;
  if (diagnostics_.size() != errorsBefore + 1 || !fails || name.kind != ExprKind::Name ||
      (!global(name.text, name.range.file) && !findBuiltin(name.text, Space::General)))
    return;
  Range set;
  if (auto local = frame.locals.find(name.text); local != frame.locals.end())
    set = local->second.range;
  else if (frame.self && frame.self->module && !frame.self->setAt.contains(name.text))
    for (const Parameter &parameter : frame.self->module->parameters)
      if (parameter.name == name.text)
        set = parameter.range;
  if (set.file)
    diagnostics_.last()
        ->note(set, "since here '" + name.text + "' is " + describe(callee) + ", and hides the function " + name.text)
        .withHelp("give it another name");
}

/// Where what was written last failed and names an attribute that hides an argument or a module: says so.
void Elaborator::noteHidden(const Expr &expr, const Frame &frame, size_t errorsBefore) {
  Diagnostic *diagnostic = diagnostics_.size() > errorsBefore ? diagnostics_.last() : nullptr;
  if (!diagnostic || !frame.self || (expr.range.file && expr.range.file->isLibrary()))
    return;
  auto look = [&](const Expr &name) {
    if (name.kind != ExprKind::Name || frame.locals.contains(name.text))
      return;
    auto set = frame.self->setAt.find(name.text);
    const Value *now = set != frame.self->setAt.end() ? frame.self->find(name.text) : nullptr;
    if (!now || now->isNone())
      return;
    std::string hidden;
    for (const auto &[argument, value] : frame.self->arguments)
      if (argument == name.text && value.kind != now->kind)
        hidden = "the module's argument";
    std::optional<Value> other = hidden.empty() ? global(name.text, name.range.file) : std::nullopt;
    const Builtin *builtin = findBuiltin(name.text, Space::General);
    // A part may well be called as the function that it is built on.
    bool callable = now->kind == Value::Kind::Instance || now->kind == Value::Kind::Function;
    if (expr.kind == ExprKind::Call && &name == expr.children[0].get() &&
        (diagnostic->message.find(" has no argument '") != std::string::npos ||
         diagnostic->message.find(" takes ") != std::string::npos))
      callable = false; // but not with other arguments
    if (other && other->kind == Value::Kind::Module)
      hidden = "the module " + name.text;
    else if (other && other->kind == Value::Kind::Function && !callable)
      hidden = "the function " + name.text;
    else if (!other && builtin && builtin->space == Space::General && !callable && hidden.empty())
      hidden = "the function " + name.text;
    if (hidden.empty())
      return;
    std::string text = "since here '" + name.text + "' is " + describe(*now) + ", and hides " + hidden;
    for (const Note &note : diagnostic->notes)
      if (note.message == text)
        return;
    diagnostic->note(set->second, text).withHelp("give the attribute another name");
  };
  for (const ExprPtr &child : expr.children)
    if (child)
      look(*child);
  for (const Argument &argument : expr.arguments)
    look(*argument.value);
}

} // namespace kiln::language
