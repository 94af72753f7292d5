// A module's functions, each by itself.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Threading.h"

namespace kiln {

/// Does something to each function of a module, several at once where the context has threads: `apply` takes a
/// func::FuncOp, gives a LogicalResult, and touches nothing outside of the function. Failure where one of them fails.
template <typename Apply> mlir::LogicalResult eachFunction(mlir::ModuleOp module, Apply apply) {
  return mlir::failableParallelForEach(module.getContext(), llvm::to_vector(module.getOps<mlir::func::FuncOp>()),
                                       apply);
}

} // namespace kiln
