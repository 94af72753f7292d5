// The engine of reverse-mode differentiation over one block, and the table of rules that it applies.
#pragma once

#include "passes/support/Values.h"

#include "llvm/ADT/StringMap.h"

#include <functional>

namespace kiln {

class Backward;

/// One rule for each op name: given the gradients of an op's results, gives those of its operands.
class RuleTable {
public:
  using Rule = std::function<mlir::LogicalResult(mlir::Operation *, Backward &)>;

  template <typename Op> void add(mlir::LogicalResult (*rule)(Op, Backward &)) {
    rules[Op::getOperationName()] = [rule](mlir::Operation *op, Backward &b) { return rule(llvm::cast<Op>(op), b); };
  }

  const Rule *find(mlir::Operation *op) const {
    auto it = rules.find(op->getName().getStringRef());
    return it == rules.end() ? nullptr : &it->second;
  }

  /// The one table.
  static const RuleTable &get();

private:
  llvm::StringMap<Rule> rules;
};

void addElementwiseRules(RuleTable &rules);
void addLayoutRules(RuleTable &rules);
void addReduceRules(RuleTable &rules);
void addProductRules(RuleTable &rules);
void addIndexRules(RuleTable &rules);
void addCompositeRules(RuleTable &rules);
void addControlRules(RuleTable &rules);

using ValueSet = llvm::DenseSet<mlir::Value>;

/// Adds to `active` each result of `ops` (in order) that depends on a value in it through differentiable ops.
void spreadActivity(llvm::ArrayRef<mlir::Operation *> ops, ValueSet &active);

/// Gradients of the values of one block. First mark what to differentiate with respect to, then give the gradients of
/// the outputs, then run over the forward ops; the backward ops appear at the builder's insertion point.
class Backward {
public:
  Backward(mlir::OpBuilder &builder, ValueSet active) : builder(builder), active(std::move(active)) {}

  mlir::LogicalResult run(llvm::ArrayRef<mlir::Operation *> forward);

  /// Whether a gradient of this value is of use to anyone.
  bool wants(mlir::Value value) const { return active.contains(value); }
  /// Adds a contribution to a value's gradient; nothing happens for a value that nobody wants.
  void give(mlir::Value value, mlir::Value contribution);
  /// The sum of what was given so far; null when nothing was.
  mlir::Value gradient(mlir::Value value);
  /// The single contributions so far.
  llvm::ArrayRef<mlir::Value> contributions(mlir::Value value) const {
    auto it = given.find(value);
    return it == given.end() ? llvm::ArrayRef<mlir::Value>() : llvm::ArrayRef<mlir::Value>(it->second);
  }
  Emit emit(mlir::Operation *op) { return Emit(builder, op->getLoc()); }

  mlir::OpBuilder &builder;

private:
  ValueSet active;
  llvm::DenseMap<mlir::Value, llvm::SmallVector<mlir::Value, 2>> given;
};

} // namespace kiln
