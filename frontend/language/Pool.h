// What a split's loss and metrics are made from, batch by batch.
#pragma once

#include "ir/Kiln.h"

namespace kiln::language {

/// The function that gives a split's loss and metrics from the means of its parts.
inline constexpr llvm::StringLiteral poolName = "eval.pool";

/// A split is measured in batches, and the mean over a split is not the mean of its batches' means: a batch of more
/// counted tokens weighs more, and exp of a mean is no mean of exps. So the loss and the metrics are taken apart into
/// means (`kiln.part`, rank 0) and the weight of each (`kiln.weight`; none: the batch's number of examples), which
/// become further results of `eval`; `@eval.pool`, added to the module, computes the loss and the metrics from the
/// parts' weighted means. A ratio of two sums (counts, extents among them) is a part, its weight the divisor.
/// Nothing is added where the means by examples are right as they are. `eval` is complete and its function has no
/// other caller. `suffix` stands behind the new function's name.
void poolResults(mlir::ModuleOp module, mlir::func::FuncOp eval, llvm::StringRef suffix);

} // namespace kiln::language
