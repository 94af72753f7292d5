// Gradients of branches and of functions that bring their own; loops over time are in Scan.cpp.
#include "passes/Differentiate/Differentiate.h"
#include "passes/Differentiate/Scan.h"

#include "mlir/IR/IRMapping.h"

namespace kiln {

using llvm::SmallVector;
using mlir::Block;
using mlir::failure;
using mlir::LogicalResult;
using mlir::Operation;
using mlir::success;
using mlir::Value;

namespace {

LogicalResult whileRule(WhileOp op, Backward &) {
  return op.emitOpError("has no gradient: its number of steps is computed. Use scan, or put stop_gradient on what it "
                        "reads");
}

LogicalResult groupRule(GroupOp op, Backward &) {
  return op.emitOpError("has no gradient: differentiation comes before fusion");
}

/// One branch's half of the backward `if`: its forward again, then the gradients of `captured` through it.
LogicalResult branchGradient(IfOp op, mlir::Region &from, mlir::Region &to, llvm::ArrayRef<Value> captured,
                             Backward &outer) {
  Block &block = to.empty() ? to.emplaceBlock() : to.front();
  mlir::OpBuilder::InsertionGuard guard(outer.builder);
  outer.builder.setInsertionPointToEnd(&block);
  mlir::IRMapping map;
  SmallVector<Operation *> forward;
  for (Operation &nested : from.front().without_terminator())
    forward.push_back(outer.builder.clone(nested, map));
  ValueSet active(captured.begin(), captured.end());
  spreadActivity(forward, active);
  Backward inner(outer.builder, std::move(active));
  for (auto [result, yielded] : llvm::zip_equal(op.getResults(), from.front().getTerminator()->getOperands()))
    if (Value g = outer.gradient(result))
      inner.give(map.lookupOrDefault(yielded), g);
  if (mlir::failed(inner.run(forward)))
    return failure();
  SmallVector<Value> gradients;
  for (Value value : captured) {
    Value g = inner.gradient(value);
    gradients.push_back(g ? g : outer.emit(op).splatLike(value, 0));
  }
  outer.builder.create<YieldOp>(op.getLoc(), gradients);
  return success();
}

// The branch taken is computed again in the backward branch: the gradients then need nothing saved.
LogicalResult ifRule(IfOp op, Backward &b) {
  SmallVector<Value> captured;
  for (Value value : usedValues(op))
    if (b.wants(value) && !llvm::is_contained(captured, value))
      captured.push_back(value);
  // The sums of the results' gradients have to stand before the new op.
  for (Value result : op.getResults())
    b.gradient(result);
  SmallVector<mlir::Type> types;
  for (Value value : captured)
    types.push_back(value.getType());
  auto backward = b.builder.create<IfOp>(op.getLoc(), types, op.getCondition());
  if (mlir::failed(branchGradient(op, op.getThenRegion(), backward.getThenRegion(), captured, b)) ||
      mlir::failed(branchGradient(op, op.getElseRegion(), backward.getElseRegion(), captured, b)))
    return failure();
  for (auto [value, g] : llvm::zip_equal(captured, backward.getResults()))
    b.give(value, g);
  return success();
}

/// The gradient of what the op is made of, as a region over its operands and its results' gradients.
LogicalResult deriveBackward(CustomOp op, mlir::Region &to, mlir::TypeRange arguments, Backward &outer) {
  mlir::OpBuilder::InsertionGuard guard(outer.builder);
  Block &block = to.emplaceBlock();
  block.addArguments(arguments, SmallVector<mlir::Location>(arguments.size(), op.getLoc()));
  outer.builder.setInsertionPointToEnd(&block);
  mlir::IRMapping map;
  Block &body = op.getForward().front();
  map.map(body.getArguments(), block.getArguments().take_front(body.getNumArguments()));
  for (Operation &nested : body.without_terminator())
    outer.builder.clone(nested, map);
  SmallVector<Value> outputs, cotangents, inputs;
  for (auto [value, g] :
       llvm::zip_equal(body.getTerminator()->getOperands(), block.getArguments().drop_front(body.getNumArguments())))
    if (isFloatTensor(value.getType())) {
      outputs.push_back(map.lookupOrDefault(value));
      cotangents.push_back(g);
    }
  for (Value argument : block.getArguments().take_front(body.getNumArguments()))
    if (isFloatTensor(argument.getType()))
      inputs.push_back(argument);
  mlir::FailureOr<SmallVector<Value>> gradients = differentiate(outer.builder, outputs, cotangents, inputs);
  if (mlir::failed(gradients))
    return failure();
  outer.builder.create<YieldOp>(op.getLoc(), *gradients);
  return success();
}

// A named one's gradient is an op too, whose definition is the backward region, its own or derived.
LogicalResult customRule(CustomOp op, Backward &b) {
  SmallVector<Value> arguments(op.getInputs());
  for (Value result : op.getResults()) {
    Value g = b.gradient(result);
    arguments.push_back(g ? g : b.emit(op).splatLike(result, 0));
  }
  SmallVector<mlir::Type> types;
  for (Value input : op.getInputs())
    if (isFloatTensor(input.getType()))
      types.push_back(input.getType());
  mlir::StringAttr name;
  if (op.getName())
    name = b.builder.getStringAttr(*op.getName() + "_grad");
  auto gradient = b.builder.create<CustomOp>(op.getLoc(), types, arguments, name, op.getFieldsAttr());
  if (!op.getBackward().empty()) {
    mlir::IRMapping map;
    op.getBackward().cloneInto(&gradient.getForward(), map);
  } else if (mlir::failed(deriveBackward(op, gradient.getForward(), mlir::ValueRange(arguments).getTypes(), b))) {
    return failure();
  }
  size_t next = 0;
  for (Value input : op.getInputs())
    if (isFloatTensor(input.getType()))
      b.give(input, gradient.getResult(next++));
  return success();
}

} // namespace

void addControlRules(RuleTable &rules) {
  rules.add<IfOp>(ifRule);
  rules.add<WhileOp>(whileRule);
  rules.add<GroupOp>(groupRule);
  rules.add<CustomOp>(customRule);
  rules.add<ScanOp>(scanRule);
  rules.addZero<StopGradientOp>();
}

} // namespace kiln
