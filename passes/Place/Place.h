// Claimed groups settle where they cost least: passes/Place/Place.td tells how.
#pragma once

#include "passes/Claim/Claim.h"

namespace kiln {

namespace place {

/// Settles the function's claimed groups. Afterwards each loop and branch is one claimant's as a whole.
mlir::LogicalResult placeGroups(mlir::func::FuncOp function, claim::Claimants claimants);

/// Every group is somebody's, and those of a loop or a branch the same one's; else an error at the first that is not.
mlir::LogicalResult verifyPlaced(mlir::func::FuncOp function);

} // namespace place

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/Place/Place.h.inc"

/// The pass over these claimants, which outlive it.
std::unique_ptr<mlir::Pass> createPlace(claim::Claimants claimants, llvm::ArrayRef<std::string> entries);

} // namespace kiln
