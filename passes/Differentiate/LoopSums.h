// Sums over the steps of a loop, taken out of it: sum_t x_t^T g_t is one product over stacked operands.
#pragma once

#include "passes/support/Values.h"

#include "llvm/ADT/SetVector.h"

namespace kiln {

/// Decides which contributions to the gradient of a value from outside a loop are summed outside, and builds the sums.
/// `isStacked` tells which values of the body have a stack without being asked for (sequences).
class LoopSums {
public:
  LoopSums(mlir::Region &body, std::function<bool(mlir::Value)> isStacked)
      : body(body), isStacked(std::move(isStacked)) {}

  /// Whether sum_t value_t is to be built outside: possible, and the operands to be stacked for it (on top of those
  /// planned before) are not much larger than the value that the loop would have to carry and update in each step.
  bool plan(mlir::Value value);
  /// The values of the body that have to be stacked.
  llvm::ArrayRef<mlir::Value> stacks() const { return needed.getArrayRef(); }
  /// sum_t value_t, with `stackOf` giving [v_0, v_1, …] for what isStacked or stacks() holds.
  mlir::Value build(Emit &e, mlir::Value value, llvm::function_ref<mlir::Value(mlir::Value)> stackOf);

private:
  bool isInvariant(mlir::Value value);
  mlir::Value outside(Emit &e, mlir::Value invariant);
  bool collect(mlir::Value value, llvm::SmallVectorImpl<mlir::Value> &operands);

  mlir::Region &body;
  std::function<bool(mlir::Value)> isStacked;
  llvm::SetVector<mlir::Value> needed;
};

} // namespace kiln
