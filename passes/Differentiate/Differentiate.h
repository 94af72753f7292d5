// Reverse-mode differentiation: functions that passes and `kiln check` call, and the pass.
#pragma once

#include "ir/Kiln.h"

#include "mlir/Pass/Pass.h"

namespace kiln {

/// Appends the backward pass of a block at the builder's insertion point, behind all ops that are there. `cotangents`
/// are the gradients of `outputs`; the result has one gradient for each of `wrt`, zeros where nothing depends on it.
/// May rewrite forward ops (loops save what their backward reads). What has no rule of its own has been prepared before
/// (Prepare.h): composites are decomposed there, attention is asked for what its backward half reads.
mlir::FailureOr<llvm::SmallVector<mlir::Value>> differentiate(mlir::OpBuilder &builder,
                                                              llvm::ArrayRef<mlir::Value> outputs,
                                                              llvm::ArrayRef<mlir::Value> cotangents,
                                                              llvm::ArrayRef<mlir::Value> wrt);

/// Adds the function `name` beside `function`: its arguments and a cotangent for each float result; its results, then
/// the gradients of the arguments `wrt` (indices).
mlir::FailureOr<mlir::func::FuncOp> createVjp(mlir::func::FuncOp function, llvm::StringRef name,
                                              llvm::ArrayRef<unsigned> wrt);

/// Whether the loss that a parameter's gradient comes from includes this result: the one marked `kiln.loss`, or, in a
/// function whose results are marked `kiln.term = [parameters]`, each term that names the parameter.
bool isLossOf(mlir::func::FuncOp function, unsigned result, mlir::StringAttr parameter);

/// Adds `@grad` for a loss function (one result with `kiln.loss`): same arguments; the loss, then the gradient of each
/// argument that is a trainable parameter, marked with `kiln.gradient`.
mlir::FailureOr<mlir::func::FuncOp> createGrad(mlir::func::FuncOp loss, llvm::StringRef name);

/// A copy of a loss function with the gradients of its trainable parameters in the body, not yet among the results.
struct LossGradients {
  mlir::func::FuncOp function;
  unsigned lossResult;                      // index of the result marked `kiln.loss`
  llvm::SmallVector<unsigned> parameters;   // argument indices; where there are terms, of what they name
  llvm::SmallVector<mlir::Value> gradients; // one for each of `parameters`
};
mlir::FailureOr<LossGradients> copyWithGradients(mlir::func::FuncOp loss, llvm::StringRef name);

/// Gives a function of one block these results, with these attributes, in place of its own.
void setResults(mlir::func::FuncOp function, llvm::ArrayRef<mlir::Value> results,
                llvm::ArrayRef<mlir::DictionaryAttr> attributes);

/// The indices of a function's arguments that are trainable parameters of the module; its attribute `kiln.frozen` names
/// those that its stage does not train.
llvm::SmallVector<unsigned> trainableArguments(mlir::func::FuncOp function);

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/Differentiate/Differentiate.h.inc"

} // namespace kiln
