// A group taken in parts: what a backend may answer to a claim.
#pragma once

#include "passes/Fuse/Cluster.h"

namespace kiln::fuse {

/// No path leaves the set and comes back, within their block.
bool isClosed(const OpSet &ops);

/// Replaces a group by one for each of these closed sets of its ops, which do not meet, and single ops for the rest.
/// Returns them, in its place; none, and nothing is changed, where that would leave the group as it is.
llvm::SmallVector<GroupOp> splitGroup(GroupOp group, llvm::ArrayRef<OpSet> parts);

} // namespace kiln::fuse
