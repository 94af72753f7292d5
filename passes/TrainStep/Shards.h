// A loss for a part of the batch's rows, from one for any number of them.
#pragma once

#include "passes/Differentiate/Differentiate.h"
#include "passes/support/Stages.h"

namespace kiln {

/// `kiln.train`'s number of shards; 0 where the batch is not cut.
int64_t shardsOf(const Stage &stage);

/// @shard.gradients, and @shard.totals where it takes some, of @loss.shard, which is erased. The function as it is
/// before its results are set: with the gradients in its body. Fails with an error at what no shard can compute.
mlir::FailureOr<LossGradients> createShard(mlir::ModuleOp module, const Stage &stage);

} // namespace kiln
