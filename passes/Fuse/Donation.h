// Which results take over which arguments' memory: parameters and states that a step updates in place.
#pragma once

#include "ir/Kiln.h"

namespace kiln {

/// For each result of a function, the argument whose memory it takes over, or -1.
llvm::SmallVector<int> donations(mlir::func::FuncOp function);

/// The values that overwrite a block argument's memory: a function's donated arguments, a loop body's carries.
llvm::SmallVector<std::pair<mlir::BlockArgument, mlir::Value>> overwrites(mlir::Block &block);

} // namespace kiln
