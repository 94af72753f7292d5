#include "backends/host/Claimants.h"

#include "backends/host/Cost.h"

namespace kiln::host {

// What a processor does. Rough, on purpose: it is compared with what a copy to a device takes (passes/Place).
static constexpr double flopsPerSecond = 50e9, bytesPerSecond = 10e9;

// The ops of the group that the backend's parts name. A kernel's first ops are its loop counters, which the group has
// as arguments: whoever reads them has them.
static llvm::SmallVector<fuse::OpSet> partsOf(GroupOp group, const kiln_kernel &kernel, const Answer &answer) {
  llvm::SmallVector<mlir::Operation *> ops;
  for (mlir::Operation &op : group.getBody().front().without_terminator())
    ops.push_back(&op);
  size_t counters = kernel.op_count - ops.size();
  llvm::SmallVector<fuse::OpSet> parts;
  for (const Answer::Part &part : answer.parts) {
    fuse::OpSet set;
    for (uint32_t number : part.ops)
      if (number >= counters)
        set.insert(ops[number - counters]);
    if (!set.empty())
      parts.push_back(std::move(set));
  }
  return parts;
}

mlir::FailureOr<claim::Answer> BackendClaimant::claim(GroupOp group) {
  mlir::FailureOr<GroupKernel *> formed = groupKernels.of(group);
  if (mlir::failed(formed))
    return mlir::failure();
  const Answer *said = answers.ask(group, **formed, number);
  if (!said)
    return mlir::failure();
  claim::Answer answer;
  answer.whole = said->whole((*formed)->kernel.op_count);
  if (answer.whole) {
    answer.scratchBytes = said->parts.front().scratchBytes;
    (*formed)->form = said->parts.front().form;
  } else {
    answer.reason = said->reason();
    answer.parts = partsOf(group, (*formed)->kernel, *said);
  }
  return answer;
}

double BackendClaimant::secondsOf(GroupOp group) {
  mlir::FailureOr<GroupKernel *> formed = groupKernels.of(group);
  if (mlir::failed(formed))
    return 0;
  Cost cost = costOf((*formed)->kernel);
  const std::vector<int64_t> &extents = (*formed)->extentsAtBounds;
  return cost.flops.at(extents) / flopsPerSecond + cost.bytes.at(extents) / bytesPerSecond;
}

} // namespace kiln::host
