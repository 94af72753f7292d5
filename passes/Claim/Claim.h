// Every group is offered until somebody takes it: passes/Claim/Claim.td tells how.
#pragma once

#include "passes/Claim/Claimant.h"

#include "mlir/Pass/Pass.h"

namespace kiln {

namespace claim {

/// The number of the claimant that has the group; nullopt where it is nobody's yet.
std::optional<uint32_t> targetOf(GroupOp group);
/// Why it is not the first's; of a piece that is, what it was weighed at; else empty.
std::string reasonOf(GroupOp group);
void assign(GroupOp group, uint32_t target, llvm::StringRef reason);
/// Fusion made it, or it is a piece of what no claimant takes whole: nothing is to be fused again. So marked by
/// claimGroups (`kiln.as_fused`), until placed.
bool isAsFused(GroupOp group);
/// It is split off a group that nobody has as a whole (`kiln.piece`).
bool isPiece(GroupOp group);
/// What claimGroups noted for place.
void forgetTrials(GroupOp group);
/// "1.25 ms", for people.
std::string secondsText(double seconds);

/// Whether one of the claimants names the composite or custom op, or its gradient's.
bool namesWhole(mlir::Operation *op, Claimants claimants);
/// The op as a group of its own beside it, which the caller erases.
GroupOp alone(mlir::Operation *op);
/// Whether one that names it takes it, as a group of its own.
mlir::FailureOr<bool> takesWhole(mlir::Operation *op, Claimants claimants);

/// Every group of the function becomes somebody's: the first claimant's, in pieces where it takes only some of these,
/// or another's. An error names a single op that nobody takes.
mlir::LogicalResult claimGroups(mlir::func::FuncOp function, Claimants claimants);

/// Scratch of a group that is somebody's, as it will run: with its results in operands' memory where it carries
/// aliases.
mlir::FailureOr<int64_t> scratchOf(GroupOp group, Claimants claimants);

/// Every group of the function is somebody's; else an error at the first that is not.
mlir::LogicalResult verifyClaimed(mlir::func::FuncOp function);

} // namespace claim

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/Claim/Claim.h.inc"

/// The pass over these claimants, which outlive it.
std::unique_ptr<mlir::Pass> createClaim(claim::Claimants claimants, llvm::ArrayRef<std::string> entries);

} // namespace kiln
