// What names and attributes stand for.
#include "frontend/language/Elaborate.h"
#include "frontend/language/Hints.h"

#include <cmath>

namespace kiln::language {

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

/// A name of a function around this one.
std::optional<Value> Elaborator::lookupOuter(const Expr &name, const Frame &frame) {
  for (const Frame *outer = frame.outer(); outer; outer = outer->outer()) {
    if (auto found = outer->locals.find(name.text); found != outer->locals.end())
      return found->second.value;
    if (auto found = outer->lost.find(name.text); found != outer->lost.end()) {
      reportLost(name.text, found->second, name.range);
      return Value::error();
    }
    if (auto found = outer->dims.find(name.text); found != outer->dims.end())
      return found->second.value;
  }
  return std::nullopt;
}

/// A function that is declared in another one, whose frame this is.
Value Elaborator::innerFunction(const Stmt &function, Frame &frame) {
  captured_.push_back(std::make_unique<Captured>());
  Captured *captured = captured_.back().get();
  captured->frame = &frame;
  frame.shown.push_back(captured);
  for (const Parameter &parameter : function.parameters) {
    Binding binding;
    if (parameter.initial)
      binding = {eval(*parameter.initial, frame), parameter.initial->range};
    captured->defaults.push_back(std::move(binding));
  }
  Value value = functionValue(function, frame.self);
  value.captured = captured;
  return value;
}

/// The function has returned: those within it that are called later see it as it is now.
void Elaborator::endFrame(Frame &frame) {
  if (frame.shown.empty())
    return;
  auto ended = std::make_shared<Frame>();
  ended->locals = frame.locals;
  ended->dims = frame.dims;
  ended->lost = frame.lost;
  ended->captured = frame.captured;
  for (Captured *captured : frame.shown) {
    captured->frame = ended.get();
    captured->ended = ended;
  }
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
  if (std::optional<Value> found = lookupOuter(name, frame))
    return *found;
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
  if (std::optional<Value> found = global(text, name.range.file))
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
  if (declarations_.namesIn(name.range.file).contains(text)) // an import that failed
    return Value::error();
  unknownName(name, visibleNames(frame, wanted_, name.range.file), wanted_);
  // Once is enough: later uses in this function stay silent.
  frame.locals[text] = {Value::error(), name.range};
  return Value::error();
}

bool Elaborator::isWellKnown(std::string_view name) { return name == "training" || wellKnown(name); }

const Stmt *Elaborator::declarationOf(std::string_view name, const SourceFile *file) const {
  bool library = file && file->isLibrary();
  if (const Stmt *found = library ? nullptr : declarations_.find(name, file))
    return found;
  for (int table : {1, 0})
    if (auto found = library_[table].find(name); found != library_[table].end() && (table == 0 || optimizing_))
      return found->second;
  return nullptr;
}

bool Elaborator::isOwn(std::string_view name, const SourceFile *file) const {
  const Stmt *found = declarationOf(name, file);
  return found && found->range.file && !found->range.file->isLibrary();
}

/// What --set says of a constant that the model's own file declares, or takes from another, and that is no argument of
/// the model's; null where it says nothing.
const std::string *Elaborator::constantSetting(const Stmt &statement) const {
  const std::string *found = nullptr;
  for (const auto &[name, text] : options_.set)
    if (isConstant(name) && declarations_.find(name, declarations_.own()) == &statement)
      found = &text;
  return found;
}

/// Is it the name of a constant that --set may change?
bool Elaborator::isConstant(const std::string &name) const {
  if (modelDeclaration_)
    for (const Parameter &parameter : modelDeclaration_->parameters)
      if (parameter.name == name)
        return false;
  const Stmt *statement = declarations_.find(name, declarations_.own());
  return statement && statement->kind == StmtKind::Assign;
}

std::optional<Value> Elaborator::global(std::string_view name, const SourceFile *file) {
  const Stmt *statement = declarationOf(name, file);
  if (!statement)
    return std::nullopt;
  if (statement->kind == StmtKind::Def)
    return functionValue(*statement, nullptr);
  if (statement->kind == StmtKind::Module) {
    Value value = Value::of(Value::Kind::Module);
    value.declaration = statement;
    return value;
  }
  if (auto known = constants_.find(statement); known != constants_.end())
    return known->second;
  constants_[statement] = Value::error(); // a constant that needs itself stays an error
  Frame frame;
  const std::string *set = constantSetting(*statement);
  Value value =
      set ? parseSetting(statement->target->text, *set, statement->value.get()) : eval(*statement->value, frame);
  if (value.isInteger())
    value.origin = statement->value->range;
  if (value.isError() && !diagnostics_.hasErrors())
    error(statement->range, "the constant '" + statement->target->text + "' is defined by itself");
  constants_[statement] = value;
  return value;
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
  if (expr.text != "T" && expr.text != "mT")
    return std::nullopt;
  int64_t rank = base.rank();
  if (rank < 2) {
    e.error(expr.range, "." + expr.text + " swaps the last two axes; this is " + describe(base));
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

void Elaborator::addFunctionNames(const SourceFile *file, std::vector<std::string> &names) const {
  for (const auto &[name, declared] : declarations_.namesIn(file))
    if (const Stmt *found = declarations_.find(name, file); found && found->kind == StmtKind::Def)
      names.push_back(name);
  for (const auto &[name, statement] : library_[0])
    if (statement->kind == StmtKind::Def)
      names.push_back(name);
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
  bool ofDict = base.isList() && base.names && (name == "items" || name == "keys" || name == "values");
  if (base.isTensor() || ofDict) {
    if (const Builtin *builtin = findBuiltin(name == "to" ? "convert" : name, Space::General))
      function = builtinValue(*builtin);
    else if (std::optional<Value> found = global(name, expr.range.file); found && found->kind == Value::Kind::Function)
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
    addFunctionNames(expr.range.file, names);
  } else if (base.names) {
    names = *base.names;
  }
  std::string near = nearest(name, names);
  bool elsewhere = base.isTensor() && !hereCalled(name).empty();
  diagnostic.withHelp(base.isList() && !base.names && name == "append" ? "lists are values: ys = ys + [x]"
                      : elsewhere                                      ? hereHint(name)
                      : near.empty()                                   ? ""
                                                                       : "did you mean '" + near + "'?");
  return Value::error();
}

} // namespace kiln::language
