// The mark of what each shard of a batch computes by itself.
#pragma once

#include "llvm/ADT/StringRef.h"

namespace kiln {

/// On an op: of a shard's rows it is what it would be of the whole batch's, and no sum over them.
constexpr llvm::StringLiteral perShard = "kiln.per_shard";

} // namespace kiln
