#include "passes/Differentiate/Backward.h"

namespace kiln {

using llvm::ArrayRef;
using llvm::SmallVector;
using mlir::failure;
using mlir::LogicalResult;
using mlir::Operation;
using mlir::success;
using mlir::Value;

const RuleTable &RuleTable::get() {
  static const RuleTable table = [] {
    RuleTable rules;
    addElementwiseRules(rules);
    addLayoutRules(rules);
    addReduceRules(rules);
    addProductRules(rules);
    addIndexRules(rules);
    addCompositeRules(rules);
    addControlRules(rules);
    return rules;
  }();
  return table;
}

void spreadActivity(ArrayRef<Operation *> ops, ValueSet &active) {
  for (Operation *op : ops) {
    if (op->hasTrait<NoGradient>() ||
        !llvm::any_of(usedValues(op), [&](Value value) { return active.contains(value); }))
      continue;
    for (Value result : op->getResults())
      if (isFloatTensor(result.getType()))
        active.insert(result);
  }
}

void Backward::give(Value value, Value contribution) {
  if (!wants(value))
    return;
  assert(value.getType() == contribution.getType() && "a gradient has its value's type");
  given[value].push_back(contribution);
}

Value Backward::gradient(Value value) {
  auto it = given.find(value);
  if (it == given.end())
    return {};
  Value sum = it->second.front();
  for (Value next : ArrayRef<Value>(it->second).drop_front())
    sum = builder.create<AddOp>(value.getLoc(), sum, next);
  it->second = {sum};
  return sum;
}

LogicalResult Backward::run(ArrayRef<Operation *> forward) {
  const RuleTable &rules = RuleTable::get();
  for (Operation *op : llvm::reverse(forward)) {
    bool reached = llvm::any_of(op->getResults(), [&](Value result) { return !contributions(result).empty(); });
    if (!reached || !llvm::any_of(usedValues(op), [&](Value value) { return wants(value); }))
      continue;
    const RuleTable::Rule *rule = rules.find(op);
    if (!rule)
      return op->emitOpError("has no gradient; wrap its operand in stop_gradient, or give a gradient of your own");
    if (mlir::failed((*rule)(op, *this)))
      return failure();
  }
  return success();
}

} // namespace kiln
