// Execution of statements.
#include "frontend/language/ElaborateScan.h"
#include "frontend/language/Hints.h"
#include "frontend/language/Limits.h"
#include "frontend/language/Parts.h"

#include <algorithm>

namespace kiln::language {

Diagnostic &Elaborator::error(Range at, std::string message) {
  if (!at.file || !at.file->isLibrary())
    return diagnostics_.error(at, std::move(message));
  for (auto site = callSites_.rbegin(); site != callSites_.rend(); ++site)
    if (site->file && !site->file->isLibrary())
      return diagnostics_.error(*site, std::move(message)).note(at, "in the standard module, here");
  return diagnostics_.error(at, std::move(message));
}

void Elaborator::execute(const std::vector<StmtPtr> &body, Frame &frame) {
  for (const StmtPtr &statement : body) {
    if (frame.returned)
      return;
    executeOne(*statement, frame);
  }
}

static void markError(const Expr &target, Frame &frame) {
  if (target.kind == ExprKind::Name)
    frame.locals[target.text] = {Value::error(), target.range};
  for (const ExprPtr &child : target.children)
    if (child && target.kind != ExprKind::Attribute)
      markError(*child, frame);
}

static bool mayReturn(const std::vector<StmtPtr> &body) {
  return llvm::any_of(body, [](const StmtPtr &statement) {
    return statement->kind == StmtKind::Return || mayReturn(statement->body) || mayReturn(statement->otherwise);
  });
}

/// Where a condition could not be decided, everything that its branches set is unknown from here on.
static void markAssigned(const std::vector<StmtPtr> &body, Frame &frame) {
  markNames(body, [&](const std::string &name, Range range) { frame.locals[name] = {Value::error(), range}; });
  if (frame.mayReturn && frame.loopDepth == 0 && mayReturn(body)) {
    frame.result = Value::error();
    frame.returned = true;
  }
}

static void setAttribute(Instance &instance, const std::string &name, Value value, Range range) {
  instance.setAt[name] = range;
  for (auto &[key, old] : instance.attributes)
    if (key == name) {
      old = std::move(value);
      return;
    }
  instance.attributes.emplace_back(name, std::move(value));
}

/// base.name = value: ties a parameter, or replaces a part of a module.
static void assignAttribute(Elaborator &e, const Expr &target, const Value &value, Frame &frame, Range valueRange) {
  Value base = e.eval(target.child(0), frame);
  if (base.isError())
    return;
  if (!frame.function && assignsParts(e.entry()) && base.kind == Value::Kind::Instance)
    if (const Value *place = base.instance->find(target.text);
        place && assignPart(e, target, *place, value, valueRange))
      return;
  if (frame.mode != Frame::Mode::Module) {
    e.error(target.range, "attributes are assigned in a module's body only")
        .withHelp("a function updates a state of its own module by the state's name");
    return;
  }
  if (base.kind != Value::Kind::Instance || base.instance->sequential) {
    e.error(target.range, describe(base) + " has no attributes to assign");
    return;
  }
  Value *old = nullptr;
  for (auto &[key, attribute] : base.instance->attributes)
    if (key == target.text)
      old = &attribute;
  if (!old) {
    e.error(target.nameRange, describe(base) + " has no attribute '" + target.text + "'");
    return;
  }
  if (old->kind == Value::Kind::Variable && value.kind == Value::Kind::Variable) {
    const TypeInfo &from = value.variable->type, &to = old->variable->type;
    if (from.dims != to.dims || from.dtype != to.dtype) {
      e.error(valueRange, "this parameter is " + typeText(from.dtype, from.dims) + "; to tie it, " +
                              typeText(to.dtype, to.dims) + " is needed")
          .note(value.variable->range, "it is declared here")
          .note(old->variable->range, "the other one is declared here");
      return;
    }
  } else if (old->kind == Value::Kind::Variable && !value.isNone()) {
    e.error(valueRange, "a parameter can be tied to a parameter only; this is " + describe(value));
    return;
  }
  *old = value;
}

void Elaborator::assign(const Expr &target, const Value &value, Frame &frame, Range valueRange) {
  switch (target.kind) {
  case ExprKind::Name: {
    if (frame.mode == Frame::Mode::Module) {
      // A comprehension's or loop's names live in the frame; statements' names are attributes.
      frame.locals[target.text] = {value, target.range};
      return;
    }
    if (!frame.function && assignsParts(entry_) && frame.self && !frame.locals.contains(target.text))
      if (const Value *found = frame.self->find(target.text);
          found && assignPart(*this, target, *found, value, valueRange))
        return;
    if (frame.self && frame.mode == Frame::Mode::Function)
      if (const Value *found = frame.self->find(target.text);
          found && found->kind == Value::Kind::Variable && !frame.locals.contains(target.text)) {
        if (found->variable->kind == Variable::Kind::Parameter) {
          error(target.range, "'" + target.text + "' is a parameter; only training changes it")
              .note(found->variable->range, "it is declared here")
              .withHelp("declare it as a state, or give the new value another name");
          return;
        }
        if (!value.isError())
          write(found->variable, value, valueRange);
        return;
      }
    frame.lost.erase(target.text);
    frame.locals[target.text] = {value, target.range};
    return;
  }
  case ExprKind::Attribute:
    if (!value.isError())
      assignAttribute(*this, target, value, frame, valueRange);
    return;
  default:
    break;
  }
  if (value.isError()) {
    markError(target, frame);
    return;
  }
  std::optional<std::vector<Value>> items;
  std::string names = std::to_string(target.children.size()) + " names are assigned, but ";
  if (value.isList() || (value.kind == Value::Kind::Instance && value.instance->sequential))
    items = iterate(value, valueRange);
  else
    error(target.range, names + "this is one value, " + describe(value))
        .note(valueRange, "it comes from here")
        .withHelp(value.isTensor()
                      ? "write y = …; the parts of a tensor are y[0], y[1], …, or those of split(y, n, axis)"
                      : "");
  if (items && items->size() != target.children.size()) {
    error(target.range, names + "there are " + std::to_string(items->size()) + " values")
        .note(valueRange, "the values come from here");
    items.reset();
  }
  for (size_t i = 0; i < target.children.size(); ++i)
    assign(target.child(i), items ? (*items)[i] : Value::error(), frame, valueRange);
}

/// q, k, v = x.split(n), values, i = x.median(1): what PyTorch gives there and Kiln does not.
static void noteOtherParts(Elaborator &e, const Expr &value, const Frame &frame, size_t errorsBefore) {
  if (e.diagnostics().size() != errorsBefore + 1 || value.kind != ExprKind::Call)
    return;
  const Expr &callee = value.child(0);
  const Value *part = frame.self && callee.kind == ExprKind::Name ? frame.self->find(callee.text) : nullptr;
  if (part && part->kind == Value::Kind::Instance && part->instance->module &&
      part->instance->module->name == "MultiheadAttention")
    e.diagnostics().last()->withHelp(
        "it gives PyTorch's first result alone, its function weights(query, key) the second one");
  else if (std::string_view other = otherThan(callee.text);
           !other.empty() && !part && !e.isOwn(callee.text, value.range.file))
    e.diagnostics().last()->withHelp("here " + std::string(callee.text) + " is another one: " + std::string(other));
}

static void executeAssign(Elaborator &e, const Stmt &statement, Frame &frame) {
  Value value;
  if (statement.name.empty()) {
    value = e.eval(*statement.value, frame);
  } else {
    Value left = e.eval(*statement.target, frame), right = e.eval(*statement.value, frame);
    value = e.binary(statement.name, left, right, statement.range, statement.target->range, statement.value->range);
  }
  if (frame.mode == Frame::Mode::Module && statement.target->kind == ExprKind::Name) {
    if (value.isTensor()) {
      e.error(statement.value->range, "a module's body declares parameters and parts; this is " + describe(value));
      value = Value::error();
    }
    setAttribute(*frame.self, statement.target->text, value, statement.target->range);
    frame.locals.erase(statement.target->text);
    return;
  }
  if (frame.mode == Frame::Mode::Module && statement.target->kind == ExprKind::Tuple) {
    e.assign(*statement.target, value, frame, statement.value->range);
    for (const ExprPtr &child : statement.target->children)
      if (child->kind == ExprKind::Name)
        setAttribute(*frame.self, child->text, frame.locals[child->text].value, child->range);
    return;
  }
  size_t errorsBefore = e.diagnostics().size();
  e.assign(*statement.target, value, frame, statement.value->range);
  noteOtherParts(e, *statement.value, frame, errorsBefore);
}

/// An attribute that is a function without arguments: reading it calls it.
static void declareBuffer(const Stmt &statement, Frame &frame) {
  Value value = Value::of(Value::Kind::Function);
  value.declaration = &statement;
  value.instance = frame.self;
  setAttribute(*frame.self, statement.name, std::move(value), statement.nameRange);
}

/// What a line alone leaves behind. A function may be called for the states that it updates; what is built in has no
/// such effects, and a module or parameter that gets no name would be none of the model's.
static bool isUnused(const Value &value, const Expr &expr, const Frame &frame) {
  if (value.isError() || expr.kind == ExprKind::String)
    return false;
  if (expr.kind != ExprKind::Call)
    return true;
  if (frame.mode == Frame::Mode::Module)
    return value.kind == Value::Kind::Instance || value.kind == Value::Kind::Variable;
  const Expr &callee = expr.child(0);
  return callee.kind == ExprKind::Name && !frame.locals.contains(callee.text) &&
         !(frame.self && frame.self->find(callee.text)) && findBuiltin(callee.text, Space::General) != nullptr;
}

/// `assert n > 1` of a dimension that the function's caller leaves open is asked of the caller, and in the end of the
/// program's inputs. False where the assertion is of another form, or its truth is known.
bool Elaborator::assertBound(const Stmt &statement, Frame &frame) {
  const Expr &expr = *statement.value;
  if (!entry_ || expr.kind != ExprKind::Compare || expr.children.size() != 2)
    return false;
  bool less = expr.text == "<" || expr.text == "<=", more = expr.text == ">" || expr.text == ">=";
  if (!less && !more)
    return false;
  Value left = eval(expr.child(0), frame), right = eval(expr.child(1), frame);
  if (!left.isInteger() || !right.isInteger())
    return false;
  // What is at least 0 where it holds.
  Dim slack = (more ? left.integer - right.integer : right.integer - left.integer) - Dim(expr.text.size() == 1 ? 1 : 0);
  if (slack.isConstant() || provablyNonNegative(Dim(-1) - slack))
    return false;
  if (provablyNonNegative(slack))
    return true;
  needElement(slack + Dim(1), expr.range, "what the assertion asks for,", {});
  return true;
}

/// The names of a condition, each once; a comprehension's own are none.
static void addNames(const Expr &expr, std::vector<const Expr *> &names) {
  if (expr.kind == ExprKind::Comprehension)
    return;
  bool known = std::any_of(names.begin(), names.end(), [&](const Expr *name) { return name->text == expr.text; });
  if (expr.kind == ExprKind::Name && !known)
    names.push_back(&expr);
  for (const ExprPtr &child : expr.children)
    if (child)
      addNames(*child, names);
  for (const Argument &argument : expr.arguments)
    addNames(*argument.value, names);
}

/// A value that is known at compile time, as one would write it.
static std::string writtenValue(const Value &value) {
  if (value.isList()) {
    std::string text;
    for (size_t i = 0; i < value.items->size(); ++i)
      text += (i ? ", " : "") + (value.names ? (*value.names)[i] + "=" : "") + writtenValue((*value.items)[i]);
    if (constexpr size_t most = 80; text.size() <= most)
      return value.names ? "dict(" + text + ")" : "[" + text + "]";
  }
  std::string what = describe(value);
  for (std::string_view article : {"the number ", "the string ", "the dimension "})
    if (what.starts_with(article))
      what.erase(0, article.size());
  return what;
}

/// What the names of a condition that does not hold stand for: "here width is 10 and heads is 3".
static std::string valuesIn(Elaborator &elaborator, const Expr &condition, Frame &frame) {
  std::vector<const Expr *> names;
  addNames(condition, names);
  std::string text;
  for (const Expr *name : names) {
    Value value = elaborator.eval(*name, frame);
    if (!value.isNumber() && !value.isNone() && !value.isList() && value.kind != Value::Kind::String)
      continue;
    text += (text.empty() ? "here " : ", ") + name->text + " is " + writtenValue(value);
  }
  return text;
}

static void executeAssert(Elaborator &elaborator, const Stmt &statement, Frame &frame) {
  bool truth = true;
  const Expr &condition = *statement.value;
  if (!elaborator.condition(elaborator.eval(condition, frame), condition.range, truth) || truth)
    return;
  std::string message = "the assertion does not hold: " + std::string(condition.range.text());
  if (statement.target) {
    Value text = elaborator.eval(*statement.target, frame);
    if (text.kind == Value::Kind::String)
      message = text.text;
  }
  Diagnostic &told = elaborator.error(condition.range, message);
  if (std::string values = valuesIn(elaborator, condition, frame); !values.empty())
    told.withHelp(values);
}

void Elaborator::executeReturn(const Stmt &statement, Frame &frame) {
  if (frame.loopDepth > 0) {
    error(statement.range, "'return' stands inside of a loop")
        .withHelp("carry the value, and return it after the loop");
    return;
  }
  if (!frame.mayReturn && !regions_.empty()) {
    error(statement.range, "'return' stands in a block that is no function");
    return;
  }
  frame.result = statement.value ? eval(*statement.value, frame) : Value::none();
  frame.returnExpr = statement.value.get();
  frame.returned = true;
}

void Elaborator::executeOne(const Stmt &statement, Frame &frame) {
  Depth depth(depth_);
  if (depth_ > maxEvaluations && !withinLimits(statement.range))
    return;
  switch (statement.kind) {
  case StmtKind::Assign:
    return executeAssign(*this, statement, frame);
  case StmtKind::Return:
    return executeReturn(statement, frame);
  case StmtKind::If: {
    bool truth = false;
    Value value = eval(*statement.value, frame);
    std::optional<mlir::Value> tensor;
    if (value.isTensor() && (tensor = decision(value, statement.value->range, "an `if`")))
      return executeIf(statement, *tensor, frame);
    if (value.isTensor() || !condition(value, statement.value->range, truth)) {
      markAssigned(statement.body, frame);
      markAssigned(statement.otherwise, frame);
      return;
    }
    return execute(truth ? statement.body : statement.otherwise, frame);
  }
  case StmtKind::For: {
    std::optional<std::vector<Value>> items = iterate(eval(*statement.value, frame), statement.value->range);
    if (!items)
      return markAssigned(statement.body, frame);
    for (const Value &item : *items) {
      assign(*statement.target, item, frame, statement.value->range);
      execute(statement.body, frame);
      if (frame.returned)
        return;
    }
    return;
  }
  case StmtKind::Scan:
    return executeScan(statement, frame);
  case StmtKind::While:
    return executeWhile(statement, frame);
  case StmtKind::Yield:
    error(statement.range, "'yield' stands last in the body of a scan or a while, and nowhere else");
    return;
  case StmtKind::Assert:
    if (!assertBound(statement, frame))
      executeAssert(*this, statement, frame);
    return;
  case StmtKind::Pass:
    return;
  case StmtKind::Expression:
    if (Value value = eval(*statement.value, frame); isUnused(value, *statement.value, frame))
      error(statement.range, "this value is not used").withHelp("assign it, or return it");
    return;
  case StmtKind::Def:
    if (statement.isBuffer && frame.mode == Frame::Mode::Module)
      return declareBuffer(statement, frame);
    if (frame.function && frame.function->isOp && statement.name == "grad")
      return;
    if (frame.function && frame.function->isOp)
      error(statement.range, "an op holds no function but its grad");
    else if (frame.mode == Frame::Mode::Function)
      frame.locals[statement.name] = {innerFunction(statement, frame), statement.nameRange};
    else if (frame.mode != Frame::Mode::Module)
      error(statement.range, "a function is declared in a module, at the top level or in another function, not here");
    return;
  case StmtKind::Import:
  case StmtKind::Section:
  case StmtKind::Module:
  case StmtKind::Train:
  case StmtKind::Generate:
    error(statement.range, "this does not stand here");
    return;
  }
}

} // namespace kiln::language
