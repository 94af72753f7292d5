// Groups offered, split where refused, offered elsewhere, and marked with who took them.

#include "passes/Claim/Claim.h"

#include "passes/Fuse/Fuse.h"
#include "passes/Fuse/Parts.h"
#include "passes/support/Entries.h"

namespace kiln {

#define GEN_PASS_DEF_CLAIM
#include "passes/Claim/Claim.h.inc"

namespace claim {

static constexpr llvm::StringLiteral targetName = "kiln.target", reasonName = "kiln.target_reason";

std::optional<uint32_t> targetOf(GroupOp group) {
  auto number = group->getAttrOfType<mlir::IntegerAttr>(targetName);
  return number ? std::optional(static_cast<uint32_t>(number.getInt())) : std::nullopt;
}

std::string reasonOf(GroupOp group) {
  auto reason = group->getAttrOfType<mlir::StringAttr>(reasonName);
  return reason ? reason.getValue().str() : std::string();
}

void assign(GroupOp group, uint32_t target, llvm::StringRef reason) {
  mlir::Builder builder(group.getContext());
  group->setAttr(targetName, builder.getI64IntegerAttr(target));
  if (target != 0)
    group->setAttr(reasonName, builder.getStringAttr(reason));
}

namespace {
/// A group that the first claimant did not take as it is.
struct Refused {
  GroupOp group;
  Answer answer;
};
} // namespace

// To the first of the others that takes it as it is.
static mlir::LogicalResult offerElsewhere(GroupOp group, const std::string &reason, Claimants claimants) {
  std::string reasons = claimants.front()->name() + ": " + reason;
  for (uint32_t target = 1; target < claimants.size(); ++target) {
    mlir::FailureOr<Answer> answer = claimants[target]->claim(group);
    if (mlir::failed(answer))
      return mlir::failure();
    if (answer->whole) {
      assign(group, target, reason);
      return mlir::success();
    }
    reasons += "; " + claimants[target]->name() + ": " + answer->reason;
  }
  mlir::Operation *op = &group.getBody().front().getOperations().back();
  if (mlir::Operation *previous = op->getPrevNode())
    op = previous;
  return op->emitError() << "no backend takes '" << op->getName().stripDialect() << "' of this form (" << reasons
                         << ")";
}

// Into the parts that the first claimant takes, or, where it takes none, into smaller groups, or to another.
static mlir::LogicalResult settle(Refused &refused, Claimants claimants) {
  GroupOp group = refused.group;
  for (const fuse::OpSet &part : refused.answer.parts)
    if (!fuse::isClosed(part))
      return group.emitError() << "the backend " << claimants.front()->name()
                               << " took a set of ops that is not closed: a value leaves it and comes back";
  if (!refused.answer.parts.empty() && fuse::splitGroup(group, refused.answer.parts))
    return mlir::success();
  return splitGroup(group) ? mlir::success() : offerElsewhere(group, refused.answer.reason, claimants);
}

mlir::LogicalResult claimGroups(mlir::func::FuncOp function, Claimants claimants) {
  function.walk([](GroupOp group) { // what an earlier claim left is not this one's
    group->removeAttr(targetName);
    group->removeAttr(reasonName);
  });
  for (;;) {
    llvm::SmallVector<GroupOp> unclaimed;
    function.walk([&](GroupOp group) {
      if (!targetOf(group))
        unclaimed.push_back(group);
    });
    std::vector<Refused> refused;
    for (GroupOp group : unclaimed) {
      mlir::FailureOr<Answer> answer = claimants.front()->claim(group);
      if (mlir::failed(answer))
        return mlir::failure();
      if (answer->whole)
        assign(group, 0, "");
      else
        refused.push_back({group, std::move(*answer)});
    }
    for (Refused &one : refused)
      if (mlir::failed(settle(one, claimants)))
        return mlir::failure();
    if (refused.empty())
      return mlir::success();
  }
}

mlir::FailureOr<int64_t> scratchOf(GroupOp group, Claimants claimants) {
  Claimant &claimant = *claimants[targetOf(group).value_or(0)];
  mlir::FailureOr<Answer> answer = claimant.claim(group);
  if (mlir::failed(answer))
    return mlir::failure();
  if (!answer->whole)
    return group.emitError() << "the backend " << claimant.name()
                             << " takes this kernel, but not with a result in an operand's memory: " << answer->reason;
  return answer->scratchBytes;
}

mlir::LogicalResult verifyClaimed(mlir::func::FuncOp function) {
  mlir::WalkResult all = function.walk([](GroupOp group) -> mlir::WalkResult {
    if (targetOf(group))
      return mlir::WalkResult::advance();
    group.emitError() << "this group is nobody's";
    return mlir::WalkResult::interrupt();
  });
  return mlir::failure(all.wasInterrupted());
}

} // namespace claim

namespace {
struct ClaimPass : impl::ClaimBase<ClaimPass> {
  using ClaimBase::ClaimBase;
  using ClaimBase::entries;

  llvm::SmallVector<claim::Claimant *> claimants; // none: the stand-ins

  void runOnOperation() override {
    claim::Choosy home({"home", llvm::SmallVector<std::string>(refuse.begin(), refuse.end()), parts, true});
    claim::Choosy other(
        {"other", llvm::SmallVector<std::string>(refuseElsewhere.begin(), refuseElsewhere.end()), false, true});
    claim::Claimant *standIns[] = {&home, &other};
    for (mlir::func::FuncOp function : entriesOf(getOperation(), entries))
      if (mlir::failed(claim::claimGroups(function, claimants.empty() ? claim::Claimants(standIns) : claimants)))
        return signalPassFailure();
  }
};
} // namespace

std::unique_ptr<mlir::Pass> createClaim(claim::Claimants claimants, llvm::ArrayRef<std::string> entries) {
  auto pass = std::make_unique<ClaimPass>();
  pass->claimants.assign(claimants.begin(), claimants.end());
  pass->entries = entries;
  return pass;
}

} // namespace kiln
