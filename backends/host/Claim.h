// Asking backends about groups, and noting where each goes.
#pragma once

#include "backends/host/Storage.h"

#include "passes/PlanMemory/PlanMemory.h"

namespace kiln::host {

/// A group's kernel, and what a target says of it.
struct Asked {
  KernelForm form;
  std::vector<int64_t> extents; ///< of this launch, by slot, at the bounds
  const Answer *answer = nullptr;
  bool whole() const { return answer->whole(form.kernel.op_count); }
};

/// From the answers kept, else from the backend itself.
mlir::FailureOr<Asked> ask(GroupOp group, uint32_t target, const plan::Bounds &bounds, OwnedProgram::Storage &storage);

/// Notes that the group is on the target, and why not on the first.
void place(GroupOp group, uint32_t target, llvm::StringRef reason);

/// Once every group has its place: kernels of the first target that cost less elsewhere than the copies around them go
/// there, and what stands beside each other on another target, op by op, is fused again for that one.
mlir::LogicalResult settleElsewhere(mlir::func::FuncOp function, const plan::Bounds &bounds,
                                    OwnedProgram::Storage &storage);

} // namespace kiln::host
