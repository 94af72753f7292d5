// What a group may hold: the classes of ops, and the one predicate that decides whether a set of ops is a kernel.
#pragma once

#include "ir/Classes.h"
#include "passes/Fuse/Fuse.h"

#include "llvm/ADT/SetVector.h"

namespace kiln::fuse {

enum class Role {
  free,      ///< reshape, and constants that live in the program's constant pool: no code runs
  cheap,     ///< cloned into each group that reads it: splat constants, iota, extent, broadcast, and masks made of them
  index,     ///< element = f(index): elementwise and layout ops, gather, dynamic_slice, random_bits
  reduce,    ///< reduce, arg_reduce
  contract,  ///< dot_general, convolution
  attention, ///< attention, attention_grad: composites that stay whole
  single,    ///< alone in its kernel
  control,   ///< scan, if, while
  other,     ///< terminators, and what is not a primitive
};

Role roleOf(mlir::Operation *op);
/// roleOf, or one that remembers: what is asked of the same ops again and again takes it.
using RoleOf = llvm::function_ref<Role(mlir::Operation *)>;
/// Computes nothing and reads nothing: a splat constant, iota, extent. Part of even the smallest group.
bool isPlainSource(mlir::Operation *op);

using OpSet = llvm::SmallSetVector<mlir::Operation *, 8>;

/// The predicate of docs/fusion.md: which shape of kernel the ops have, nullopt where they are none. `ops` are members
/// other than cheap ones, which are looked through.
std::optional<GroupShape> shapeOf(const OpSet &ops, RoleOf role = roleOf);
/// The same of ops that are in a group already.
std::optional<GroupShape> shapeOf(GroupOp group);

/// Whether an attention op can read or write its rows through this op: a transpose that leaves the last axis last.
bool keepsRows(mlir::Operation *op);

/// Calls `visit` for each value that `op` reads once cheap ops are looked through: results of ops that are not cheap,
/// block arguments, and values from outside of the block.
void forEachSource(mlir::Operation *op, llvm::function_ref<void(mlir::Value)> visit, RoleOf role = roleOf);

/// True where a user of the value is neither in `ops` nor a cheap op that only `ops` read, or will be a clone of a
/// cheap op of `ops`.
bool usedOutside(mlir::Value value, const OpSet &ops, RoleOf role = roleOf);

} // namespace kiln::fuse
