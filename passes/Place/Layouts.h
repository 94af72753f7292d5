// Operands in the order in memory that their kernel's claimant asks for: the end of placing.
#pragma once

#include "passes/Claim/Claim.h"

namespace kiln::place {

/// Each group whose claimant asks for operands in another order, and takes it so, gets them so: parameters that the
/// function only reads as arguments of their own (`kiln.arranged`, `kiln.order`), all else by a group that transposes,
/// once for all that want the same.
mlir::LogicalResult arrangeOperands(mlir::func::FuncOp function, claim::Claimants claimants);

} // namespace kiln::place
