// A module's functions, each by itself.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Threading.h"

namespace kiln {

/// Does something to each function of a module, several at once where the context has threads: `apply` takes a
/// func::FuncOp, gives a LogicalResult or nothing, and touches nothing outside of the function. Failure where one of
/// them fails.
template <typename Apply> mlir::LogicalResult eachFunction(mlir::ModuleOp module, Apply apply) {
  return mlir::failableParallelForEach(module.getContext(), llvm::to_vector(module.getOps<mlir::func::FuncOp>()),
                                       [&](mlir::func::FuncOp function) -> mlir::LogicalResult {
                                         if constexpr (std::is_void_v<decltype(apply(function))>)
                                           return apply(function), mlir::success();
                                         else
                                           return apply(function);
                                       });
}

} // namespace kiln
