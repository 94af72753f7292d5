#include "backends/host/Claimants.h"

#include "backends/host/Cost.h"
#include "passes/Claim/Claim.h"

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
  size_t ops = (*formed)->kernel.op_count;
  bool leftToOthers = said->leavesWanted(ops) || (claim::isPiece(group) && said->wantsWhole());
  answer.whole = said->whole(ops) && !leftToOthers;
  if (answer.whole) {
    answer.scratchBytes = said->parts.front().scratchBytes;
    answer.seconds = said->parts.front().seconds;
    (*formed)->form = said->parts.front().form;
    for (const auto &[input, order] : said->parts.front().layouts)
      for (auto [operand, number] : llvm::enumerate((*formed)->inputOfOperand))
        if (number == static_cast<int32_t>(input))
          answer.layouts.push_back({static_cast<unsigned>(operand), {order.begin(), order.end()}});
  } else {
    answer.reason = leftToOthers ? "it wants this only as a whole" : said->reason();
    if (!leftToOthers)
      answer.parts = partsOf(group, (*formed)->kernel, *said);
  }
  return answer;
}

std::string BackendClaimant::keyOf(GroupOp group) {
  mlir::FailureOr<GroupKernel *> formed = groupKernels.of(group);
  if (mlir::failed(formed))
    return "";
  std::string key = (*formed)->key;
  for (int64_t extent : (*formed)->extentsAtBounds)
    key += " " + std::to_string(extent);
  return key;
}

claim::Link BackendClaimant::link() const {
  const Capabilities &says = answers.backends()[number].capabilities;
  claim::Link link;
  if (says.linkSeconds > 0)
    link.copySeconds = says.linkSeconds;
  if (says.linkBytesPerSecond > 0)
    link.bytesPerSecond = says.linkBytesPerSecond;
  return link;
}

double BackendClaimant::secondsOf(GroupOp group) {
  mlir::FailureOr<GroupKernel *> formed = groupKernels.of(group);
  if (mlir::failed(formed))
    return 0;
  Cost cost = costOf((*formed)->kernel);
  const std::vector<int64_t> &extents = (*formed)->extentsAtBounds;
  return cost.flops.at(extents) / flopsPerSecond + cost.bytes.at(extents) / bytesPerSecond;
}

bool BackendClaimant::namesWhole(llvm::StringRef op) const {
  return llvm::is_contained(answers.backends()[number].capabilities.composites, op);
}

BackendClaimants::BackendClaimants(Answers &answers, GroupKernels &groupKernels) {
  for (uint32_t number = 0; number < answers.backends().size(); ++number)
    backends.emplace_back(number, answers, groupKernels);
  for (BackendClaimant &backend : backends)
    claimants.push_back(&backend);
}

} // namespace kiln::host
