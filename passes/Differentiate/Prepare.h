// What a function goes through before it is differentiated.
#pragma once

#include "ir/Kiln.h"

namespace kiln {

/// Decomposes composites that have no rule of their own (and those of narrow floats, which compute wider than their
/// type), and asks attention for what its backward half reads.
void prepareOps(mlir::func::FuncOp function);

/// The same, and moves what does not depend on the step out of loops.
void prepare(mlir::func::FuncOp function);

} // namespace kiln
