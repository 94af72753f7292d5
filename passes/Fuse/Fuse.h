// Ops into groups, one kernel each. The rules are told in docs/fusion.md.
#pragma once

#include "ir/Kiln.h"

#include "mlir/Pass/Pass.h"

namespace kiln {

enum class FuseLevel {
  single, ///< one op a group
  loops,  ///< elementwise chains and reductions; products stand alone
  full,   ///< products take their prologue and epilogue too
};

/// Groups every op of the function, regions of loops and branches included. Afterwards blocks hold groups, reshapes,
/// constants, control ops and terminators only. An error names an op that is not a primitive.
mlir::LogicalResult fuseFunction(mlir::func::FuncOp function, FuseLevel level);

/// Replaces a group by smaller ones: a product loses what surrounds it, anything else falls apart into single ops, and
/// a composite alone into groups of what it is made of. Returns them, in its place; none, and nothing is changed, where
/// the group holds one primitive already.
llvm::SmallVector<GroupOp> splitGroup(GroupOp group);

#define GEN_PASS_DECL
#include "passes/Fuse/Fuse.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/Fuse/Fuse.h.inc"

} // namespace kiln
