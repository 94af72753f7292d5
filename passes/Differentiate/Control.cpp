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
  return op.emitOpError("has no gradient: its number of steps is computed. Bound it (`while … at most N`), or put "
                        "stop_gradient on what it reads");
}

LogicalResult groupRule(GroupOp op, Backward &) {
  return op.emitOpError("has no gradient: differentiation comes before fusion");
}

/// One branch's half of the backward `if`: its forward again, then the gradients of `captured` through it, null where
/// there is none.
LogicalResult branchGradient(IfOp op, mlir::Region &from, mlir::Region &to, llvm::ArrayRef<Value> captured,
                             Backward &outer, SmallVector<Value> &gradients) {
  mlir::OpBuilder::InsertionGuard guard(outer.builder);
  outer.builder.setInsertionPointToEnd(&to.emplaceBlock());
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
  for (Value value : captured)
    gradients.push_back(inner.gradient(value));
  return success();
}

// The branch taken is computed again in the backward branch: the gradients then need nothing saved.
LogicalResult ifRule(IfOp op, Backward &b) {
  llvm::SetVector<Value> captured;
  for (Value value : usedValues(op))
    if (b.wants(value))
      captured.insert(value);
  // The sums of the results' gradients have to stand before the new op.
  for (Value result : op.getResults())
    b.gradient(result);
  mlir::Region regions[2];
  SmallVector<Value> gradients[2], useful;
  if (mlir::failed(branchGradient(op, op.getThenRegion(), regions[0], captured.getArrayRef(), b, gradients[0])) ||
      mlir::failed(branchGradient(op, op.getElseRegion(), regions[1], captured.getArrayRef(), b, gradients[1])))
    return failure();
  for (auto [index, value] : llvm::enumerate(captured))
    if (gradients[0][index] || gradients[1][index])
      useful.push_back(value);
  for (unsigned side = 0; side < 2; ++side) {
    mlir::OpBuilder::InsertionGuard guard(b.builder);
    b.builder.setInsertionPointToEnd(&regions[side].front());
    SmallVector<Value> yields;
    for (auto [index, value] : llvm::enumerate(captured))
      if (Value g = gradients[side][index]; g || gradients[1 - side][index])
        yields.push_back(g ? g : b.emit(op).splatLike(value, 0));
    b.builder.create<YieldOp>(op.getLoc(), yields);
  }
  auto backward = b.builder.create<IfOp>(op.getLoc(), mlir::TypeRange(mlir::ValueRange(useful)), op.getCondition());
  backward.getThenRegion().takeBody(regions[0]);
  backward.getElseRegion().takeBody(regions[1]);
  for (auto [value, g] : llvm::zip_equal(useful, backward.getResults()))
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
}

} // namespace kiln
