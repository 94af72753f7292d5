// Loops as groups: what a claimant that names "scan" is offered, and back.
#pragma once

#include "passes/Claim/Claimant.h"

namespace kiln::claim {

/// The loop is offered to nobody as a whole (`kiln.apart`).
void keepApart(ScanOp loop);
/// Whether the group is a loop.
bool isLoop(GroupOp group);

/// Makes the loop one group of the claimant's, in its place, where it names loops and takes it whole; else leaves it as
/// it is. A loop that holds a branch or a `while` is not offered.
mlir::LogicalResult offerLoop(ScanOp loop, uint32_t target, llvm::StringRef reason, Claimants claimants);
/// The first claimant is offered each loop that stands in no other and in no branch.
mlir::LogicalResult offerLoops(mlir::func::FuncOp function, Claimants claimants);

} // namespace kiln::claim
