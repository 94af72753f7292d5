// Which outputs of a group may be written over which inputs.
#pragma once

#include "ir/Kiln.h"

namespace kiln {

/// True where the kernel reads each element of the input no later than it writes the output's element at the same
/// place: then both may be the same memory. docs/fusion.md, "In place".
bool mayAlias(GroupOp group, unsigned output, unsigned input);

/// The choice that a group carries: for each result an operand or -1, in the attribute `kiln.alias`.
llvm::SmallVector<int32_t> aliasesOf(GroupOp group);
void setAliases(GroupOp group, llvm::ArrayRef<int32_t> aliases);

} // namespace kiln
