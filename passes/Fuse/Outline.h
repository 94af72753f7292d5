// From clusters of ops to kiln.group ops.
#pragma once

#include "passes/Fuse/Cluster.h"

namespace kiln::fuse {

/// Makes one group for each cluster, orders the block so that everything is defined before it is read, and erases what
/// the groups replaced. Clusters hold no cheap op except those that must exist as values of their own; other groups
/// still clone these, unless `cloneKept` is false.
void outlineBlock(mlir::Block &block, llvm::ArrayRef<OpSet> clusters, bool cloneKept);

/// Puts the group's ops back into its block, where it stood, and erases it. Returns those that are groups.
llvm::SmallVector<GroupOp> dissolve(GroupOp group);

/// Cheap ops that something other than a group reads: they need a kernel of their own.
llvm::SmallVector<mlir::Operation *> cheapOpsToKeep(mlir::Block &block);

} // namespace kiln::fuse
