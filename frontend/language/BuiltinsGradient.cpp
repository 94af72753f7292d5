// gradient(y, x): derivatives within a function; a part's parameters as values, and a part with others.
#include "frontend/language/Elaborate.h"
#include "frontend/language/Gradient.h"
#include "frontend/language/Parts.h"

#include "ir/Places.h"

namespace kiln::language {

namespace {

/// A float tensor that was computed, not a number known at compile time.
bool isVaried(BoundCall &call, const Value &x, Range at, const char *what) {
  if (x.isTensor() && isFloat(x.tensorType().getElementType()))
    return true;
  Diagnostic &diagnostic = call.e.error(at, std::string("gradient wants ") + what + "; this is " + describe(x));
  if (x.isTensor())
    diagnostic.withHelp("whole numbers have no derivative; convert them before they are used: x.to(f32)");
  else
    diagnostic.withHelp("make it a tensor before it is used: x = full(2.0)");
  return false;
}

/// The gradient of each element of y: ones for a scalar.
std::optional<mlir::Value> along(BoundCall &call, const Value &y) {
  if (!call.given(2)) {
    if (y.rank() == 0)
      return call.e.emit(call.range).splatLike(y.tensor, 1);
    call.e.error(call.ranges[0], "gradient wants one number to differentiate; this is " + describe(y))
        .withHelp("sum it, where each x is of its own y: gradient(sum(y), x); or give the gradient of each of its "
                  "elements: dy=");
    return std::nullopt;
  }
  std::optional<Value> dy = call.tensor(2);
  if (dy && dy->tensor.getType() != y.tensor.getType()) {
    call.e.error(call.ranges[2], "dy is the gradient of y, which is " + describe(y) + "; this is " + describe(*dy));
    return std::nullopt;
  }
  return dy ? std::optional(dy->tensor) : std::nullopt;
}

/// Of an x that y was not computed from: a name may have been given another value since.
std::string whatIsMeant(const Value &y, const Value &x) {
  mlir::Operation *first = y.tensor.getDefiningOp(), *second = x.tensor.getDefiningOp();
  if (!first || !second || first->getBlock() != second->getBlock() || !first->isBeforeInBlock(second))
    return "give the value that y was computed from, not one that was made of it or beside it";
  return "this was computed after y, in line " + std::to_string(fileLocation(second->getLoc()).getLine()) +
         ": keep the value that y was computed from under a name of its own";
}

/// What is differentiated by: a tensor, which `which` names in what is told. Of a part, or of a dict of tensors, y may
/// depend on some alone.
struct Varied {
  mlir::Value tensor;
  std::string which;
  bool optional = false, reached = true;
};

/// Whether all that lies between x and y is where a derivative can follow it.
bool follows(BoundCall &call, const Value &y, Varied &x, Range at) {
  Elaborator &e = call.e;
  GradientPath path = gradientPath(y.tensor, x.tensor, e.emit(call.range).b.getInsertionBlock());
  if (path.computedElsewhere)
    e.error(call.range, "gradient stands in a loop or branch; what is differentiated is computed outside of it")
        .withHelp("take the gradient where y is computed, or compute y in the same loop or branch");
  else if (path.through)
    e.error(at, "y depends on " + x.which +
                    " also by what is computed outside of the loop or branch that gradient stands in")
        .withHelp("compute all that lies between x and y in it, carry x, or put stop_gradient on what is not meant: "
                  "p = stop_gradient(x) before y is computed from p, and the derivative is by p alone");
  else if (path.loop)
    e.error(call.range, "the gradient flows through a while loop, which has none: its number of steps is computed")
        .withHelp("bound it with `at most N`, or put stop_gradient on what it reads");
  else if (!path.reaches && !x.optional)
    e.error(at, "y does not depend on " + x.which + ": its gradient would be 0 everywhere")
        .withHelp(whatIsMeant(y, Value::tensorOf(x.tensor)));
  else
    return x.reached = path.reaches, true;
  return false;
}

/// The tensors that x is, or consists of; its parts become dicts of them. False after an error.
bool collectVaried(BoundCall &call, Value &x, const std::string &which, bool optional, std::vector<Varied> &out) {
  Range at = call.ranges[1];
  if (x.kind == Value::Kind::Instance)
    x = partTensors(call.e, x, at);
  if (x.kind == Value::Kind::Variable)
    if (std::optional<Value> tensor = call.e.toTensor(x, at))
      x = *tensor;
  if (x.isError())
    return false;
  if (x.isList()) {
    x.items = std::make_shared<std::vector<Value>>(*x.items);
    for (auto [i, item] : llvm::enumerate(*x.items)) {
      std::string name = x.names ? "'" + (*x.names)[i] + "' of this"
                                 : "item " + std::to_string(i) + " of this (" + describe(item) + ")";
      if (!collectVaried(call, item, name, optional || x.names, out))
        return false;
    }
    return true;
  }
  if (!isVaried(call, x, at, "float tensors to differentiate by"))
    return false;
  out.push_back({x.tensor, which, optional});
  return true;
}

/// x with the next of the gradients in place of each of its tensors.
Value inPlace(const Value &x, mlir::ValueRange &gradients) {
  if (!x.isList()) {
    mlir::Value next = gradients.front();
    gradients = gradients.drop_front();
    return Value::tensorOf(next, x.origins);
  }
  Value list = x;
  list.items = std::make_shared<std::vector<Value>>();
  for (const Value &item : *x.items)
    list.items->push_back(inPlace(item, gradients));
  return list;
}

/// Whether the first argument is a part of the model.
bool takesPart(BoundCall &call) {
  if (call.values[0].kind == Value::Kind::Instance)
    return true;
  if (!call.values[0].isError())
    call.e.error(call.ranges[0],
                 std::string(call.builtin.name) + " takes a part of the model; this is " + describe(call.values[0]));
  return false;
}

} // namespace

Value gradientOf(BoundCall &call) {
  std::optional<Value> y = call.tensor(0);
  if (!y || !isVaried(call, *y, call.ranges[0], "a float tensor to differentiate"))
    return Value::error();
  std::optional<mlir::Value> dy = along(call, *y);
  if (!dy)
    return Value::error();
  Value x = call.values[1];
  std::vector<Varied> varied;
  if (!collectVaried(call, x, "this", false, varied))
    return Value::error();
  std::vector<mlir::Value> wrt;
  for (Varied &each : varied) {
    if (!follows(call, *y, each, call.ranges[1]))
      return Value::error();
    if (each.reached)
      wrt.push_back(each.tensor);
  }
  if (wrt.empty()) {
    call.e.error(call.ranges[1], varied.empty() ? "gradient wants at least one tensor to differentiate by"
                                                : "y depends on nothing of this: all gradients would be 0");
    return Value::error();
  }
  Emit emit = call.e.emit(call.range);
  auto op = emit.create<GradientOp>(mlir::ValueRange(wrt).getTypes(), y->tensor, *dy, wrt);
  std::vector<mlir::Value> gradients;
  size_t at = 0;
  for (const Varied &each : varied)
    gradients.push_back(each.reached ? op.getResult(at++) : emit.splatLike(each.tensor, 0));
  mlir::ValueRange rest = gradients;
  return inPlace(x, rest);
}

Value parametersOf(BoundCall &call) {
  if (!call.e.inFunction(call.range, "parameters") || !takesPart(call))
    return Value::error();
  return partTensors(call.e, call.values[0], call.ranges[0], true);
}

Value withParameters(BoundCall &call) {
  if (!call.e.inFunction(call.range, "with_parameters") || !takesPart(call))
    return Value::error();
  if (isPart(call.values[1]))
    return partWith(call.e, call.values[0], call.values[1], call.range);
  call.e
      .error(call.ranges[1], "the parameters of " + describe(call.values[0]) +
                                 " are expected, by their names; this is " + describe(call.values[1]))
      .withHelp("parameters(part) gives them, gradient(y, part) the like of them, and both take part in arithmetic");
  return Value::error();
}

} // namespace kiln::language
