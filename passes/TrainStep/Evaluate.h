// The loss once more within a step: what an optimizer's `evaluate` becomes.
#pragma once

#include "passes/Differentiate/Differentiate.h"

#include "ir/Build.h"

namespace kiln {

/// Tensors as one row of all their elements.
mlir::Value rowOf(Emit &e, llvm::ArrayRef<mlir::Value> values);

/// The `count` elements from `begin` of a row, in the shape of `like`.
mlir::Value partOfRow(Emit &e, mlir::Value row, int64_t begin, int64_t count, mlir::Value like);

/// How many elements a tensor of known extents has.
int64_t elementsOf(mlir::Value value);

/// The loss that the gradients of `members` are of: a loss function's, or, where it has several terms, the sum of those
/// that name one of them. `there`: what a value of the function's body is where the loss is asked for.
mlir::Value lossOf(Emit &e, mlir::func::FuncOp function, unsigned lossResult, llvm::ArrayRef<mlir::StringAttr> members,
                   llvm::function_ref<mlir::Value(mlir::Value)> there);

/// A stage's loss with its gradients, clipped as the recipe says: a function beside the step for as long as this lives,
/// whose body is copied to where it is asked for. The copies read the step's batch, its states as they are before the
/// step, and its seed: so they draw the same random numbers.
class LossEvaluation {
public:
  /// `trained`: the parameters whose gradients are clipped together.
  static mlir::FailureOr<LossEvaluation> of(mlir::func::FuncOp loss, mlir::DictionaryAttr train,
                                            llvm::ArrayRef<mlir::StringAttr> trained);

  /// Puts the loss in the place of a call in `step`: of a row of the parameters `members`, one behind the other, to the
  /// loss and a row of their gradients. All other parameters are the step's.
  mlir::LogicalResult replace(mlir::func::CallOp call, mlir::func::FuncOp step,
                              llvm::ArrayRef<mlir::StringAttr> members);

  void erase() { made_.function->erase(); }

private:
  explicit LossEvaluation(LossGradients made) : made_(std::move(made)) {}
  mlir::LogicalResult clip(mlir::DictionaryAttr train, llvm::ArrayRef<mlir::StringAttr> trained);

  LossGradients made_;
  llvm::DenseMap<mlir::StringAttr, mlir::Value> gradients_; // clipped
};

} // namespace kiln
