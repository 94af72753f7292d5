// Ops that are computed as a whole, one file a kind.
#pragma once

#include "backends/cpu/compile/LoopNest.h"

namespace kiln::cpu {

void buildScatter(KernelBuilder &builder, const Op &op);
void buildDynamicUpdate(KernelBuilder &builder, const Op &op);
void buildCumSum(KernelBuilder &builder, const Op &op);
void buildReduceWindow(KernelBuilder &builder, const Op &op);
void buildReduceWindowGrad(KernelBuilder &builder, const Op &op);
/// sort and top_k.
void buildSort(KernelBuilder &builder, const Op &op);

/// A number of tasks for `units` units of which each costs `work` simple operations, both at the bounds.
int64_t unitsPerTask(const KernelBuilder &builder, int64_t work);

/// Adds a phase over [0, units): `body` for each, tasks of `grain` units.
void addUnitPhase(KernelBuilder &builder, int64_t grain, llvm::function_ref<Value(Emitter &)> units,
                  llvm::function_ref<void(Emitter &, Value unit)> body);

/// Nested loops over all places of a shape, one at a time.
void eachPlace(Emitter &e, llvm::ArrayRef<Extent> shape, Indices prefix,
               llvm::function_ref<void(llvm::ArrayRef<Index>)> body);

} // namespace kiln::cpu
