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
  case ExprKind::Conditional: {
    bool truth = false;
    Value value = eval(expr.child(0), frame);
    if (value.isTensor()) {
      std::optional<mlir::Value> tensor = decision(value, expr.child(0).range, "an `if`");
      return tensor ? chooseByData(expr, *tensor, frame) : Value::error();
    }
    if (!condition(value, expr.child(0).range, truth))
      return Value::error();
    return eval(expr.child(truth ? 1 : 2), frame);
  }
  case ExprKind::Call: {
    Value callee = evalAs(Wanted::Callable, expr.child(0), frame);
    Arguments arguments = evalArguments(expr, frame);
    if (callee.isError() || arguments.failed)
      return Value::error();
    size_t errorsBefore = diagnostics_.size();
    Value value = call(callee, arguments, expr.range, frame);
    noteHidden(expr, frame, errorsBefore);
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

/// Where what was written last failed and names an attribute that hides an argument or a module: says so.
void Elaborator::noteHidden(const Expr &expr, const Frame &frame, size_t errorsBefore) {
  Diagnostic *diagnostic = diagnostics_.size() > errorsBefore ? diagnostics_.last() : nullptr;
  if (!diagnostic || !frame.self || frame.library)
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
    std::optional<Value> other = hidden.empty() ? global(name.text, frame.library) : std::nullopt;
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

//===-- Names ---------------------------------------------------------------------------------------------------===//

static const Stmt *findFunction(const Instance &instance, std::string_view name) {
  if (instance.module)
    for (const StmtPtr &statement : instance.module->body)
      if (statement->kind == StmtKind::Def && !statement->isBuffer && statement->name == name)
        return statement.get();
  return nullptr;
}

static Value functionValue(const Stmt &function, std::shared_ptr<Instance> self) {
  Value value = Value::of(Value::Kind::Function);
  value.declaration = &function;
  value.instance = std::move(self);
  return value;
}

/// Names with the same value everywhere.
static std::optional<Value> wellKnown(std::string_view name) {
  if (name == "inf")
    return Value::floatOf(std::numeric_limits<double>::infinity());
  if (name == "nan")
    return Value::floatOf(std::numeric_limits<double>::quiet_NaN());
  if (name == "pi")
    return Value::floatOf(M_PI);
  if (name == "persistent" || name == "session")
    return Value::stringOf(std::string(name));
  static constexpr std::string_view tokens[] = {"PAD", "UNK", "START", "END"};
  for (int i = 0; i < 4; ++i)
    if (name == tokens[i])
      return Value::integerOf(i);
  return std::nullopt;
}

static Value builtinValue(const Builtin &builtin) {
  Value value = Value::of(Value::Kind::Builtin);
  value.builtin = &builtin;
  return value;
}

/// In a function, a parameter or state stands for its present value, in lists too.
Value Elaborator::current(const Value &value, Frame &frame, Range range) {
  if (value.kind == Value::Kind::Variable)
    return read(value.variable, &frame, range);
  if (value.kind == Value::Kind::Function && value.declaration->isBuffer)
    return bufferContents(value, frame, range);
  if (!value.isList())
    return value;
  bool holdsVariables = false;
  std::vector<Value> items = *value.items;
  for (Value &item : items)
    if (item.kind == Value::Kind::Variable || item.isList()) {
      item = current(item, frame, range);
      holdsVariables = true;
    }
  if (!holdsVariables)
    return value;
  Value list = Value::listOf(std::move(items));
  list.names = value.names;
  return list;
}

void Elaborator::reportLost(const std::string &name, const Lost &lost, Range range) {
  Diagnostic &diagnostic = error(range, "'" + name + "' " + lost.what);
  diagnostic.note(lost.range, "it is set here").withHelp(lost.help);
  if (lost.other)
    diagnostic.note(lost.other, "and here");
}

Value Elaborator::lookup(const Expr &name, Frame &frame) {
  const std::string &text = name.text;
  if (frame.space != Space::General)
    if (const Builtin *builtin = findBuiltin(text, frame.space); builtin && builtin->space == frame.space)
      return builtinValue(*builtin);
  if (auto found = frame.locals.find(text); found != frame.locals.end())
    return found->second.value;
  if (auto found = frame.lost.find(text); found != frame.lost.end()) {
    reportLost(text, found->second, name.range);
    return Value::error();
  }
  if (auto found = frame.dims.find(text); found != frame.dims.end())
    return found->second.value;
  if (frame.lookup) {
    Value value;
    if (frame.lookup(text, value))
      return value;
  }
  if (frame.space == Space::Rate)
    if (std::optional<Value> found = recipeName(text, name.range))
      return *found;
  if (frame.self) {
    if (const Value *found = frame.self->find(text))
      return frame.mode == Frame::Mode::Module ? *found : current(*found, frame, name.range);
    if (const Stmt *function = findFunction(*frame.self, text))
      return functionValue(*function, frame.self);
  }
  if (std::optional<Value> found = global(text, frame.library))
    return *found;
  if (std::optional<Dtype> dtype = dtypeByName(text)) {
    Value value = Value::of(Value::Kind::Dtype);
    value.dtype = *dtype;
    return value;
  }
  if (text == "training")
    return Value::booleanOf(training());
  if (std::optional<Value> found = wellKnown(text))
    return *found;
  if (const Builtin *builtin = findBuiltin(text, frame.space))
    return builtinValue(*builtin);
  if (frame.freeDims)
    return Value::integerOf(Dim::symbol(text), name.range);
  unknownName(name, visibleNames(frame, wanted_), wanted_);
  // Once is enough: later uses in this function stay silent.
  frame.locals[text] = {Value::error(), name.range};
  return Value::error();
}

bool Elaborator::isWellKnown(std::string_view name) { return name == "training" || wellKnown(name); }

std::optional<Value> Elaborator::global(std::string_view name, bool library) {
  for (int table : {0, 2, 1}) {
    auto found = declarations_[table].find(name);
    if (found == declarations_[table].end() || (table == 0 && library) || (table == 2 && !optimizing_))
      continue;
    const Stmt &statement = *found->second;
    if (statement.kind == StmtKind::Def)
      return functionValue(statement, nullptr);
    if (statement.kind == StmtKind::Module) {
      Value value = Value::of(Value::Kind::Module);
      value.declaration = &statement;
      return value;
    }
    if (auto known = constants_.find(&statement); known != constants_.end())
      return known->second;
    constants_[&statement] = Value::error(); // a constant that needs itself stays an error
    Frame frame;
    frame.library = table != 0;
    Value value = eval(*statement.value, frame);
    if (value.isInteger())
      value.origin = statement.value->range;
    if (value.isError() && !diagnostics_.hasErrors())
      error(statement.range, "the constant '" + statement.target->text + "' is defined by itself");
    constants_[&statement] = value;
    return value;
  }
  return std::nullopt;
}

/// What is known of a parameter or state without its value.
static std::optional<Value> variableAttribute(const Expr &expr, const Variable &variable) {
  if (expr.text == "shape") {
    std::vector<Value> dims;
    for (const Dim &dim : variable.type.dims)
      dims.push_back(Value::integerOf(dim, variable.range));
    return Value::listOf(std::move(dims));
  }
  if (expr.text == "rank" || expr.text == "ndim")
    return Value::integerOf(static_cast<int64_t>(variable.type.dims.size()), expr.range);
  Value value = Value::of(Value::Kind::Dtype);
  value.dtype = variable.type.dtype;
  return expr.text == "dtype" ? std::optional(value) : std::nullopt;
}

static std::optional<Value> tensorAttribute(Elaborator &e, const Expr &expr, const Value &base) {
  if (expr.text == "shape") {
    std::vector<Value> dims;
    for (const auto &[axis, dim] : llvm::enumerate(dimsOf(base.tensor)))
      dims.push_back(Value::integerOf(dim, base.originOf(axis)));
    return Value::listOf(std::move(dims));
  }
  if (expr.text == "rank" || expr.text == "ndim")
    return Value::integerOf(base.rank(), expr.range);
  if (expr.text == "dtype") {
    Value value = Value::of(Value::Kind::Dtype);
    value.dtype = dtypeOf(base.tensorType().getElementType());
    return value;
  }
  if (expr.text != "T")
    return std::nullopt;
  int64_t rank = base.rank();
  if (rank < 2) {
    e.error(expr.range, ".T swaps the last two axes; this is " + describe(base));
    return Value::error();
  }
  std::vector<int64_t> permutation(rank);
  for (int64_t i = 0; i < rank; ++i)
    permutation[i] = i;
  std::swap(permutation[rank - 1], permutation[rank - 2]);
  auto origins = base.origins ? std::make_shared<Origins>(*base.origins) : nullptr;
  if (origins)
    std::swap((*origins)[rank - 1], (*origins)[rank - 2]);
  return Value::tensorOf(e.emit(expr.range).transposed(base.tensor, permutation), origins);
}

/// What stands before the brackets of a call, or before a dot: an unknown name there gets hints of that kind.
Value Elaborator::evalAs(Wanted wanted, const Expr &expr, Frame &frame) {
  Wanted outer = wanted_;
  wanted_ = expr.kind == ExprKind::Name ? wanted : Wanted::Anything;
  Value value = eval(expr, frame);
  wanted_ = outer;
  return value;
}

Value Elaborator::attribute(const Expr &expr, Frame &frame) {
  if (reportForeignPrefix(expr, frame))
    return Value::error();
  Value base = evalAs(Wanted::Part, expr.child(0), frame);
  const std::string &name = expr.text;
  switch (base.kind) {
  case Value::Kind::Error:
    return base;
  case Value::Kind::Tensor:
  case Value::Kind::Variable:
    if (std::optional<Value> value =
            base.isTensor() ? tensorAttribute(*this, expr, base) : variableAttribute(expr, *base.variable))
      return *value;
    break;
  case Value::Kind::Instance: {
    if (const Value *found = base.instance->find(name))
      return frame.mode == Frame::Mode::Module || !entry_ ? *found : current(*found, frame, expr.range);
    if (const Stmt *function = findFunction(*base.instance, name))
      return functionValue(*function, base.instance);
    std::vector<std::string> names;
    for (const auto *list : {&base.instance->attributes, &base.instance->arguments})
      for (const auto &[key, value] : *list)
        names.push_back(key);
    if (base.instance->module)
      for (const StmtPtr &statement : base.instance->module->body)
        if (statement->kind == StmtKind::Def)
          names.push_back(statement->name);
    std::string near = nearest(name, names);
    Diagnostic &diagnostic = error(expr.nameRange, describe(base) + " has no attribute '" + name + "'");
    diagnostic.withHelp(near.empty() ? "" : "did you mean '" + near + "'?");
    if (base.instance->module)
      diagnostic.note(base.instance->module->nameRange, "the module is declared here");
    return Value::error();
  }
  case Value::Kind::List:
    if (base.names)
      for (size_t i = 0; i < base.names->size(); ++i)
        if ((*base.names)[i] == name)
          return (*base.items)[i];
    break;
  default:
    break;
  }
  // x.f(...) is f(x, ...): the call sees this and puts x in front.
  std::optional<Value> function;
  if (base.isTensor()) {
    if (const Builtin *builtin = findBuiltin(name == "to" ? "convert" : name, Space::General))
      function = builtinValue(*builtin);
    else if (std::optional<Value> found = global(name, frame.library); found && found->kind == Value::Kind::Function)
      function = *found;
  }
  if (function) {
    function->items = std::make_shared<std::vector<Value>>(1, base);
    function->origin = expr.child(0).range;
    return *function;
  }
  std::string message = describe(base) + " has no attribute '" + name + "'";
  if (base.names) {
    message = "there is no '" + name + "' here; there are";
    for (size_t i = 0; i < base.names->size(); ++i)
      message += (i ? ", " : " ") + (*base.names)[i];
  }
  Diagnostic &diagnostic = error(expr.nameRange, message);
  std::vector<std::string> names;
  if (base.isTensor()) {
    names = {"shape", "rank", "dtype", "T", "to"};
    builtinNames(names, true);
    for (size_t table = 0; table < 2; ++table)
      for (const auto &[function, statement] : declarations_[table])
        if (statement->kind == StmtKind::Def)
          names.push_back(function);
  } else if (base.names) {
    names = *base.names;
  }
  std::string near = nearest(name, names);
  bool elsewhere = base.isTensor() && !hereCalled(name).empty();
  diagnostic.withHelp(elsewhere ? hereHint(name) : near.empty() ? "" : "did you mean '" + near + "'?");
  return Value::error();
}

} // namespace kiln::language
