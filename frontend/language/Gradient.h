// What of a loss, or of a value in a function, has no gradient, found before anything is differentiated.
#pragma once

#include "ir/Kiln.h"

#include <functional>

namespace kiln::language {

/// The loops without a bound on their steps through which the gradients of the loss's results would flow to arguments
/// that are trained.
llvm::SmallVector<mlir::Operation *> loopsWithoutGradient(mlir::func::FuncOp loss,
                                                          const std::function<bool(mlir::BlockArgument)> &isTrained);

/// What lies between a value and one that it is differentiated by, in a block that is being written.
struct GradientPath {
  bool reaches = false;            // there is a way from `wrt` to `of`
  bool computedElsewhere = false;  // `of` stands in a block around this one
  mlir::Value through;             // a value from outside of the block by which `of` depends on `wrt`, too; or null
  mlir::Operation *loop = nullptr; // one on the way that has no bound on its steps; or null
};
GradientPath gradientPath(mlir::Value of, mlir::Value wrt, mlir::Block *block);

} // namespace kiln::language
