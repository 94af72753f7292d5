// if, where data decide: each side is executed into a block of its own, and both become one kiln.if.
#include "frontend/language/ElaborateBranch.h"
#include "frontend/language/ElaborateScan.h"
#include "frontend/language/Structure.h"

#include <utility>

namespace kiln::language {

namespace {

/// Brings the values of two sides together: those that differ become results of the op.
class Joiner {
public:
  Joiner(Elaborator &e, Range range, mlir::Block &first, mlir::Block &second)
      : e_(e), range_(range), blocks_{&first, &second} {}

  /// What the name or result is behind the `if`: a tensor without a value stands for the op's result of its number.
  /// Nullopt where the two are of different types.
  std::optional<Value> join(const Value &first, const Value &second) {
    if (first.isError() || second.isError())
      return Value::error();
    if (isSame(first, second))
      return first;
    if (first.isList() && second.isList())
      return joinLists(first, second);
    auto scalar = [](const Value &value) { return value.isTensor() || value.isNumber(); };
    mlir::Type element = scalar(first) && scalar(second) ? elementFor(first, second) : mlir::Type();
    if (!element)
      return std::nullopt;
    std::optional<Value> a = inBlock(0, first, element), b = inBlock(1, second, element);
    if (!a || !b)
      return Value::error();
    if (a->tensor.getType() != b->tensor.getType())
      return std::nullopt;
    return result(*a, *b);
  }

  /// What only one side has; the other one has returned, and zeros stand there for what nobody reads.
  Value only(unsigned side, const Value &value) {
    if (value.isTensor() && mlir::Value(value.tensor).getParentBlock() == blocks_[side]) {
      mlir::OpBuilder::InsertionGuard guard(e_.builder());
      e_.builder().setInsertionPointToEnd(blocks_[1 - side]);
      Value zeros = Value::tensorOf(e_.emit(range_).splatLike(value.tensor, 0));
      return side == 0 ? result(value, zeros) : result(zeros, value);
    }
    return mapped(value, [&](const Value &item) { return only(side, item); });
  }

  /// Ends both blocks, and makes the op of them where the builder stands.
  void finish(mlir::Value condition, std::unique_ptr<mlir::Block> first, std::unique_ptr<mlir::Block> second) {
    mlir::Location loc = e_.location(range_);
    for (unsigned side = 0; side < 2; ++side) {
      mlir::OpBuilder::InsertionGuard guard(e_.builder());
      e_.builder().setInsertionPointToEnd(blocks_[side]);
      e_.builder().create<YieldOp>(loc, yields_[side]);
    }
    auto op = e_.builder().create<IfOp>(loc, mlir::TypeRange(mlir::ValueRange(yields_[0])), condition);
    op.getThenRegion().push_back(first.release());
    op.getElseRegion().push_back(second.release());
    llvm::append_range(results_, op->getResults());
  }

  /// The value with the op's results in it.
  Value filled(const Value &value) {
    if (value.isTensor() && !value.tensor)
      return Value::tensorOf(results_[static_cast<unsigned>(value.number)], value.origins);
    return mapped(value, [&](const Value &item) { return filled(item); });
  }

private:
  /// A list with its items made anew; anything else as it is.
  static Value mapped(const Value &value, llvm::function_ref<Value(const Value &)> each) {
    if (!value.items)
      return value;
    Value copy = value;
    copy.items = std::make_shared<std::vector<Value>>();
    for (const Value &item : *value.items)
      copy.items->push_back(each(item));
    return copy;
  }

  std::optional<Value> joinLists(const Value &first, const Value &second) {
    if (first.items->size() != second.items->size() || (first.names == nullptr) != (second.names == nullptr) ||
        (first.names && *first.names != *second.names))
      return std::nullopt;
    std::vector<Value> items;
    for (size_t i = 0; i < first.items->size(); ++i) {
      std::optional<Value> item = join((*first.items)[i], (*second.items)[i]);
      if (!item)
        return std::nullopt;
      items.push_back(*item);
    }
    Value list = Value::listOf(std::move(items));
    list.names = first.names;
    return list;
  }

  /// What two tensors or numbers are both made: a number takes the tensor's dtype where that holds such numbers.
  mlir::Type elementFor(const Value &first, const Value &second) {
    if (first.isTensor() && second.isTensor())
      return first.tensorType().getElementType();
    mlir::Builder &b = e_.builder();
    auto either = [&](Value::Kind kind) { return first.kind == kind || second.kind == kind; };
    if (!first.isTensor() && !second.isTensor()) {
      if (either(Value::Kind::Float))
        return b.getF32Type();
      return first.kind == second.kind && either(Value::Kind::Boolean) ? b.getI1Type() : b.getI32Type();
    }
    mlir::Type element = (first.isTensor() ? first : second).tensorType().getElementType();
    bool fits = isFloat(element)       ? true
                : element.isInteger(1) ? either(Value::Kind::Boolean)
                                       : !either(Value::Kind::Float);
    return fits ? element : mlir::Type();
  }

  std::optional<Value> inBlock(unsigned side, const Value &value, mlir::Type element) {
    mlir::OpBuilder::InsertionGuard guard(e_.builder());
    e_.builder().setInsertionPointToEnd(blocks_[side]);
    return e_.toTensor(value, range_, element);
  }

  Value result(const Value &first, const Value &second) {
    yields_[0].push_back(first.tensor);
    yields_[1].push_back(second.tensor);
    Value value = Value::of(Value::Kind::Tensor);
    value.number = static_cast<double>(yields_[0].size() - 1);
    value.origins = first.origins ? first.origins : second.origins;
    return value;
  }

  Elaborator &e_;
  Range range_;
  mlir::Block *blocks_[2];
  llvm::SmallVector<mlir::Value> yields_[2];
  llvm::SmallVector<mlir::Value> results_;
};

/// Names of the two sides that are not known behind the `if`, with the reason.
void loseName(const std::string &name, const Binding *first, const Binding *second, Frame &frame) {
  Lost lost;
  lost.range = (first ? first : second)->range;
  if (first && second) {
    lost.what = "is " + describe(first->value) + " where the condition of an `if` holds, and " +
                describe(second->value) + " where it does not";
    lost.other = second->range;
    lost.help = first->value.kind == Value::Kind::Function
                    ? "call it within the `if`, or declare one function, with the `if` in it"
                    : "make it one type in both, or use it within the `if` alone";
  } else {
    lost.what = std::string("has a value only where the condition of an `if` ") + (first ? "holds" : "does not hold");
    lost.help = "set it before the `if`, or in both branches";
  }
  frame.lost[name] = std::move(lost);
}

using Locals = std::map<std::string, Binding, std::less<>>;

/// Joins what both sides left in their names; what cannot be joined is lost, and told where it is used.
Locals joinLocals(Joiner &joiner, const Locals &before, const Side &first, const Side &second, Frame &frame) {
  Locals out;
  frame.lost.insert(first.lost.begin(), first.lost.end());
  frame.lost.insert(second.lost.begin(), second.lost.end());
  for (const auto &[name, binding] : first.locals) {
    auto other = second.locals.find(name);
    if (other == second.locals.end()) {
      if (!frame.lost.contains(name))
        loseName(name, &binding, nullptr, frame);
      continue;
    }
    auto old = before.find(name);
    bool changed = old == before.end() || old->second.range != binding.range;
    if (std::optional<Value> value = joiner.join(binding.value, other->second.value))
      out[name] = {*value, changed ? binding.range : other->second.range};
    else
      loseName(name, &binding, &other->second, frame);
  }
  for (const auto &[name, binding] : second.locals)
    if (!first.locals.contains(name) && !frame.lost.contains(name))
      loseName(name, nullptr, &binding, frame);
  for (const auto &[name, binding] : out)
    frame.lost.erase(name);
  return out;
}

/// What the name holds where only one side goes on.
Locals onlyLocals(Joiner &joiner, unsigned side, const Side &from, Frame &frame) {
  Locals out;
  frame.lost = from.lost;
  for (const auto &[name, binding] : from.locals)
    out[name] = {joiner.only(side, binding.value), binding.range};
  return out;
}

void fill(Joiner &joiner, Locals &locals) {
  for (auto &[name, binding] : locals)
    binding.value = joiner.filled(binding.value);
}

} // namespace

//===-- States ---------------------------------------------------------------------------------------------------===//

/// States, and what a recipe's blocks assign, where one of the sides gave them a value.
static std::map<Variable *, Value> joinStates(Joiner &joiner, const Entry &entry, const Side &first,
                                              const Side &second) {
  std::map<Variable *, Value> out;
  auto valueIn = [&](const Side &side, Variable *variable) {
    auto found = side.states.find(variable);
    if (found != side.states.end())
      return found->second;
    return Value::tensorOf(argumentOf(entry, *variable));
  };
  for (const auto *states : {&first.states, &second.states})
    for (const auto &[variable, value] : *states)
      if (!out.contains(variable))
        if (std::optional<Value> joined = joiner.join(valueIn(first, variable), valueIn(second, variable)))
          out[variable] = *joined;
  return out;
}

static void fill(Joiner &joiner, std::map<Variable *, Value> &states) {
  for (auto &[variable, value] : states)
    value = joiner.filled(value);
}

//===-- Sides ----------------------------------------------------------------------------------------------------===//

std::optional<mlir::Value> Elaborator::decision(const Value &value, Range range, const char *what) {
  mlir::RankedTensorType type = value.tensorType();
  bool isBool = type.getElementType().isInteger(1);
  if (isBool && type.getRank() == 0)
    return value.tensor;
  Diagnostic &diagnostic = error(range, std::string(what) + " wants one bool; this is " + describe(value));
  if (isBool)
    diagnostic.withHelp("any(c) and all(c) make one of it; to choose between elements, write where(c, a, b)");
  else
    diagnostic.withHelp(type.getRank() == 0 ? "compare it: x != 0"
                                            : "to choose between elements, write where(condition, a, b)");
  return std::nullopt;
}

/// Executes one side into a block of its own. What the frame and the states hold afterwards is what they held before.
Side Elaborator::runSide(Frame &frame, const std::function<void()> &run) {
  Side side;
  side.block = std::make_unique<mlir::Block>();
  auto locals = frame.locals;
  auto lost = frame.lost;
  auto states = entry_->values;
  const Expr *returnExpr = std::exchange(frame.returnExpr, nullptr);
  mlir::OpBuilder::InsertionGuard guard(builder_);
  builder_.setInsertionPointToEnd(side.block.get());
  regions_.push_back(side.block.get());
  size_t open = frame.open.size();
  run();
  if (frame.returned)
    closeIfs(frame, open);
  else if (frame.open.size() > open)
    side.mayReturn = suspendIfs(frame, open);
  regions_.pop_back();
  side.returned = std::exchange(frame.returned, false);
  side.result = std::exchange(frame.result, Value());
  side.returnExpr = std::exchange(frame.returnExpr, returnExpr);
  side.locals = std::exchange(frame.locals, std::move(locals));
  side.lost = std::exchange(frame.lost, std::move(lost));
  side.states = std::exchange(entry_->values, std::move(states));
  return side;
}

void Elaborator::executeIf(const Stmt &statement, mlir::Value condition, Frame &frame) {
  Side first = runSide(frame, [&] { execute(statement.body, frame); });
  Side second = runSide(frame, [&] { execute(statement.otherwise, frame); });
  if (first.returned ? second.fallsThrough() : second.returned && first.fallsThrough()) {
    bool when = first.returned;
    auto open = std::make_shared<OpenIf>(OpenIf{statement.range, condition, when, std::move(when ? first : second)});
    return openIf(frame, std::move(open), std::move(when ? second : first));
  }
  Joiner joiner(*this, statement.range, *first.block, *second.block);
  Value flag, result;
  bool ends = first.returned && second.returned, mayEnd = !ends && !(first.fallsThrough() && second.fallsThrough());
  if (mayEnd) {
    auto flagOf = [](const Side &side) { return side.mayReturn.value_or(Value::booleanOf(side.returned)); };
    flag = joiner.join(flagOf(first), flagOf(second)).value_or(Value::error());
  }
  if (ends || (mayEnd && !first.fallsThrough() && !second.fallsThrough())) {
    std::optional<Value> joined = joiner.join(first.result, second.result);
    if (!joined)
      reportResults(statement.range, first, second);
    result = joined.value_or(Value::error());
  } else if (mayEnd) {
    result = first.fallsThrough() ? joiner.only(1, second.result) : joiner.only(0, first.result);
  }
  Locals locals = ends              ? frame.locals
                  : first.returned  ? onlyLocals(joiner, 1, second, frame)
                  : second.returned ? onlyLocals(joiner, 0, first, frame)
                                    : joinLocals(joiner, frame.locals, first, second, frame);
  auto states = joinStates(joiner, *entry_, first, second);
  joiner.finish(condition, std::move(first.block), std::move(second.block));
  fill(joiner, locals);
  fill(joiner, states);
  frame.locals = std::move(locals);
  entry_->values = std::move(states);
  const Expr *returnExpr = first.returnExpr ? first.returnExpr : second.returnExpr;
  if (ends) {
    frame.result = joiner.filled(result);
    frame.returnExpr = returnExpr;
    frame.returned = true;
  } else if (mayEnd && !flag.isError()) {
    // Whether it has returned is known when the program runs: what follows is done where it has not.
    auto open = std::make_shared<OpenIf>(OpenIf{statement.range, joiner.filled(flag).tensor, true, {}});
    open->returned.block = std::make_unique<mlir::Block>();
    open->returned.result = joiner.filled(result);
    open->returned.returnExpr = returnExpr;
    open->returned.states = entry_->values;
    Side rest;
    rest.block = std::make_unique<mlir::Block>();
    rest.locals = frame.locals;
    rest.lost = frame.lost;
    rest.states = entry_->values;
    openIf(frame, std::move(open), std::move(rest));
  }
}

/// Goes on in the side that has not returned.
void Elaborator::openIf(Frame &frame, std::shared_ptr<OpenIf> open, Side rest) {
  open->rest = std::move(rest.block);
  open->outside = builder_.saveInsertionPoint();
  frame.locals = std::move(rest.locals);
  frame.lost = std::move(rest.lost);
  entry_->values = std::move(rest.states);
  builder_.setInsertionPointToEnd(open->rest.get());
  regions_.push_back(open->rest.get());
  frame.open.push_back(std::move(open));
}

/// The function has returned on the other side too, with `frame.result`: the ops are made.
void Elaborator::closeIfs(Frame &frame, size_t base) {
  for (; frame.open.size() > base; frame.open.pop_back()) {
    OpenIf &open = *frame.open.back();
    regions_.pop_back();
    Side rest;
    rest.block = std::move(open.rest);
    rest.result = frame.result;
    rest.returnExpr = frame.returnExpr;
    rest.states = entry_->values;
    Side &first = open.returnsWhen ? open.returned : rest, &second = open.returnsWhen ? rest : open.returned;
    Joiner joiner(*this, open.range, *first.block, *second.block);
    std::optional<Value> result = joiner.join(first.result, second.result);
    if (!result)
      reportResults(open.range, first, second);
    auto states = joinStates(joiner, *entry_, first, second);
    builder_.restoreInsertionPoint(open.outside);
    joiner.finish(open.condition, std::move(first.block), std::move(second.block));
    fill(joiner, states);
    frame.result = result ? joiner.filled(*result) : Value::error();
    if (!frame.returnExpr)
      frame.returnExpr = open.returned.returnExpr;
    entry_->values = std::move(states);
  }
}

/// A side of an outer `if` ends where the function may have returned. Gives whether it has; `frame.result` is what it
/// has returned then, and the names hold what they do where it has not.
Value Elaborator::suspendIfs(Frame &frame, size_t base) {
  Value flag = Value::booleanOf(false);
  std::optional<Value> inner;
  for (; frame.open.size() > base; frame.open.pop_back()) {
    OpenIf &open = *frame.open.back();
    regions_.pop_back();
    Side rest;
    rest.block = std::move(open.rest);
    rest.locals = std::move(frame.locals);
    rest.lost = std::move(frame.lost);
    rest.states = entry_->values;
    rest.result = inner.value_or(Value());
    Side &first = open.returnsWhen ? open.returned : rest, &second = open.returnsWhen ? rest : open.returned;
    Joiner joiner(*this, open.range, *first.block, *second.block);
    Value yes = Value::booleanOf(true);
    flag = joiner.join(open.returnsWhen ? yes : flag, open.returnsWhen ? flag : yes).value_or(Value::error());
    std::optional<Value> result =
        inner ? joiner.join(first.result, second.result) : joiner.only(open.returnsWhen ? 0 : 1, open.returned.result);
    if (!result)
      reportResults(open.range, first, second);
    Locals locals = onlyLocals(joiner, open.returnsWhen ? 1 : 0, rest, frame);
    auto states = joinStates(joiner, *entry_, first, second);
    builder_.restoreInsertionPoint(open.outside);
    joiner.finish(open.condition, std::move(first.block), std::move(second.block));
    fill(joiner, locals);
    fill(joiner, states);
    flag = joiner.filled(flag);
    inner = result ? joiner.filled(*result) : Value::error();
    frame.locals = std::move(locals);
    frame.returnExpr = open.returned.returnExpr;
    entry_->values = std::move(states);
  }
  frame.result = inner.value_or(Value());
  return flag;
}

void Elaborator::reportResults(Range range, const Side &first, const Side &second) {
  Diagnostic &diagnostic =
      error(range, "the function returns " + describe(first.result) + " where this condition holds, and " +
                       describe(second.result) + " where it does not: both have to be of one type");
  for (const Side *side : {&first, &second})
    if (side->returnExpr)
      diagnostic.note(side->returnExpr->range, "this is " + describe(side->result));
    else if (side->result.isNone())
      diagnostic.withHelp("return a value at the function's end too");
}

/// Names of a recipe are computed when they are first asked for: here, before either side.
static void askFor(const Expr &expr, const Frame &frame) {
  Value ignored;
  if (expr.kind == ExprKind::Name && !frame.locals.contains(expr.text))
    frame.lookup(expr.text, ignored);
  for (const ExprPtr &child : expr.children)
    if (child)
      askFor(*child, frame);
  for (const Argument &argument : expr.arguments)
    askFor(*argument.value, frame);
}

Value Elaborator::chooseByData(const Expr &expr, mlir::Value condition, Frame &frame) {
  if (frame.lookup)
    for (size_t i : {1, 2})
      askFor(expr.child(i), frame);
  Value values[2];
  Side first = runSide(frame, [&] { values[0] = eval(expr.child(1), frame); });
  Side second = runSide(frame, [&] { values[1] = eval(expr.child(2), frame); });
  Joiner joiner(*this, expr.range, *first.block, *second.block);
  std::optional<Value> value = joiner.join(values[0], values[1]);
  if (!value)
    error(expr.range, "the sides of this `if` are " + describe(values[0]) + " and " + describe(values[1]) +
                          "; they have to be of one type")
        .note(expr.child(1).range, "this is " + describe(values[0]))
        .note(expr.child(2).range, "this is " + describe(values[1]));
  auto states = joinStates(joiner, *entry_, first, second);
  joiner.finish(condition, std::move(first.block), std::move(second.block));
  fill(joiner, states);
  entry_->values = std::move(states);
  return value ? joiner.filled(*value) : Value::error();
}

} // namespace kiln::language
