// gradient(y, x): derivatives within a function.
#include "frontend/language/Elaborate.h"
#include "frontend/language/Gradient.h"

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
  else if (x.kind == Value::Kind::Instance)
    diagnostic.withHelp("name its parameters: gradient(y, (net.weight, net.bias))");
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

/// Whether all that lies between x and y is where a derivative can follow it. `which` names x in what is told.
bool follows(BoundCall &call, const Value &y, const Value &x, Range at, const std::string &which) {
  Elaborator &e = call.e;
  GradientPath path = gradientPath(y.tensor, x.tensor, e.emit(call.range).b.getInsertionBlock());
  if (path.computedElsewhere)
    e.error(call.range, "gradient stands in a loop or branch; what is differentiated is computed outside of it")
        .withHelp("take the gradient where y is computed, or compute y in the same loop or branch");
  else if (path.through)
    e.error(at,
            "y depends on " + which + " also by what is computed outside of the loop or branch that gradient stands in")
        .withHelp("compute all that lies between x and y in it, carry x, or put stop_gradient on what is not meant: "
                  "p = stop_gradient(x) before y is computed from p, and the derivative is by p alone");
  else if (path.loop)
    e.error(call.range, "the gradient flows through a while loop, which has none: its number of steps is computed")
        .withHelp("bound it with `at most N`, or put stop_gradient on what it reads");
  else if (!path.reaches)
    e.error(at, "y does not depend on " + which + ": its gradient would be 0 everywhere").withHelp(whatIsMeant(y, x));
  else
    return true;
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
  bool several = call.values[1].isList();
  std::vector<Value> inputs = several ? *call.values[1].items : std::vector<Value>{call.values[1]};
  std::vector<mlir::Value> wrt;
  for (auto [at, input] : llvm::enumerate(inputs)) {
    std::string which = several ? "item " + std::to_string(at) + " of this (" + describe(input) + ")" : "this";
    if (input.isError())
      return Value::error();
    if (input.kind == Value::Kind::Variable)
      if (std::optional<Value> tensor = call.e.toTensor(input, call.ranges[1]))
        input = *tensor;
    if (!isVaried(call, input, call.ranges[1], "float tensors to differentiate by") ||
        !follows(call, *y, input, call.ranges[1], which))
      return Value::error();
    wrt.push_back(input.tensor);
  }
  if (wrt.empty()) {
    call.e.error(call.ranges[1], "gradient wants at least one tensor to differentiate by");
    return Value::error();
  }
  auto op = call.e.emit(call.range).create<GradientOp>(mlir::ValueRange(wrt).getTypes(), y->tensor, *dy, wrt);
  std::vector<Value> gradients;
  for (auto [input, result] : llvm::zip_equal(inputs, op.getResults()))
    gradients.push_back(Value::tensorOf(result, input.origins));
  return several ? Value::listOf(std::move(gradients)) : gradients.front();
}

} // namespace kiln::language
