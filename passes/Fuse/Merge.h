// Which ops to put together: greedy, within what shapeOf allows.
#pragma once

#include "passes/Fuse/Cluster.h"

namespace kiln::fuse {

/// Disjoint clusters that cover every op of the block which needs a kernel. No cluster waits for itself.
llvm::SmallVector<OpSet> clustersOf(mlir::Block &block, FuseLevel level);

} // namespace kiln::fuse
