// What of a loss has no gradient, found before anything is differentiated.
#pragma once

#include "ir/Kiln.h"

#include <functional>

namespace kiln::language {

/// The loops without a bound on their steps through which the gradients of the loss's results would flow to arguments
/// that are trained.
llvm::SmallVector<mlir::Operation *> loopsWithoutGradient(mlir::func::FuncOp loss,
                                                          const std::function<bool(mlir::BlockArgument)> &isTrained);

} // namespace kiln::language
