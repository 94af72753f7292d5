// The shapes of loop kernels.
#pragma once

#include "backends/cpu/compile/LoopNest.h"

namespace kiln::cpu {

/// Outputs of one shape, each element computed by itself. `outputs` are positions in graph.outputs.
void buildElementwise(KernelBuilder &builder, llvm::ArrayRef<size_t> outputs);

/// A kernel of shape rows: softmax, layer norm, a row's loss. One phase; each row goes through its stages while it is
/// in cache. False, with builder.error set, where a value of one row is read in another.
bool buildRows(KernelBuilder &builder);

/// Reductions over the same axes of values of one shape, none of which depends on another, into their homes.
void buildReduce(KernelBuilder &builder, llvm::ArrayRef<const Op *> ops);

/// The part of [0, count) that falls to the current call: tasks of `grain` each.
std::pair<Value, Value> taskRange(Emitter &e, Value count, Value grain);

/// Axes of a reduce, or the axis of an arg_reduce.
llvm::SmallVector<int64_t, 4> reducedAxes(const Op &op);

} // namespace kiln::cpu
