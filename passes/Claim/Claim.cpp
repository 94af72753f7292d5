// Groups offered, split where some of their pieces are taken, else offered elsewhere, and marked with who took them.

#include "passes/Claim/Claim.h"

#include "passes/Fuse/Fuse.h"
#include "passes/Fuse/Parts.h"
#include "passes/support/Entries.h"

#include "llvm/ADT/ScopeExit.h"

namespace kiln {

#define GEN_PASS_DEF_CLAIM
#include "passes/Claim/Claim.h.inc"

namespace claim {

static constexpr llvm::StringLiteral targetName = "kiln.target", reasonName = "kiln.target_reason",
                                     asFusedName = "kiln.as_fused";
// In a copy that is tried out: it is no piece of what is split next.
static constexpr llvm::StringLiteral seenName = "kiln.seen";

std::optional<uint32_t> targetOf(GroupOp group) {
  auto number = group->getAttrOfType<mlir::IntegerAttr>(targetName);
  return number ? std::optional(static_cast<uint32_t>(number.getInt())) : std::nullopt;
}

std::string reasonOf(GroupOp group) {
  auto reason = group->getAttrOfType<mlir::StringAttr>(reasonName);
  return reason ? reason.getValue().str() : std::string();
}

bool isAsFused(GroupOp group) { return group->hasAttr(asFusedName); }

void forgetAsFused(GroupOp group) { group->removeAttr(asFusedName); }

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
  bool inPieces = false; ///< it takes some of the pieces
};
} // namespace

static llvm::SmallVector<GroupOp> unclaimedOf(mlir::func::FuncOp function) {
  llvm::SmallVector<GroupOp> unclaimed;
  function.walk([&](GroupOp group) {
    if (!targetOf(group))
      unclaimed.push_back(group);
  });
  return unclaimed;
}

static void mark(GroupOp group, llvm::StringRef name) { group->setAttr(name, mlir::UnitAttr::get(group.getContext())); }

//===-- Whole or in pieces ---------------------------------------------------------------------------------------===//

// Whether the claimant takes any piece of a group that it has refused. The group does not outlive the question.
static mlir::FailureOr<bool> takesPieces(GroupOp group, Claimant &claimant) {
  mlir::Block *block = group->getBlock();
  for (GroupOp other : block->getOps<GroupOp>())
    mark(other, seenName);
  llvm::SmallVector<GroupOp> refused = {group};
  while (!refused.empty()) {
    if (!splitGroup(refused.pop_back_val()))
      continue;
    for (GroupOp piece : block->getOps<GroupOp>()) {
      if (piece->hasAttr(seenName))
        continue;
      mark(piece, seenName);
      mlir::FailureOr<Answer> answer = claimant.claim(piece);
      if (mlir::failed(answer))
        return mlir::failure();
      if (answer->whole || !answer->parts.empty())
        return true;
      refused.push_back(piece);
    }
  }
  return false;
}

// Tried on a copy of the function, so that a group of which nothing is taken is still whole for the others.
static mlir::LogicalResult tryPieces(mlir::func::FuncOp function, llvm::MutableArrayRef<Refused> refused,
                                     Claimants claimants) {
  mlir::OpBuilder builder(function);
  auto copy = llvm::cast<mlir::func::FuncOp>(builder.clone(*function));
  auto erase = llvm::make_scope_exit([&] { copy.erase(); });
  for (auto [one, twin] : llvm::zip_equal(refused, unclaimedOf(copy))) {
    if (!one.answer.parts.empty()) {
      one.inPieces = true;
      continue;
    }
    mlir::FailureOr<bool> some = takesPieces(twin, *claimants.front());
    if (mlir::failed(some))
      return mlir::failure();
    one.inPieces = *some;
  }
  return mlir::success();
}

static bool split(const Refused &refused) {
  return (!refused.answer.parts.empty() && fuse::splitGroup(refused.group, refused.answer.parts)) ||
         splitGroup(refused.group);
}

// To the first of the others that takes it as it is; in pieces where none does.
static mlir::LogicalResult offerElsewhere(const Refused &refused, Claimants claimants) {
  GroupOp group = refused.group;
  std::string reasons = claimants.front()->name() + ": " + refused.answer.reason;
  for (uint32_t target = 1; target < claimants.size(); ++target) {
    mlir::FailureOr<Answer> answer = claimants[target]->claim(group);
    if (mlir::failed(answer))
      return mlir::failure();
    if (answer->whole) {
      assign(group, target, refused.answer.reason);
      return mlir::success();
    }
    reasons += "; " + claimants[target]->name() + ": " + answer->reason;
  }
  mlir::Operation *op = &group.getBody().front().getOperations().back();
  if (mlir::Operation *previous = op->getPrevNode())
    op = previous;
  llvm::StringRef name = op->getName().stripDialect();
  mlir::Location location = op->getLoc();
  mlir::Block *block = group->getBlock();
  llvm::DenseSet<mlir::Operation *> before;
  for (GroupOp other : block->getOps<GroupOp>())
    if (other != group)
      before.insert(other);
  if (split(refused)) { // as it would be were the first not there
    for (GroupOp piece : block->getOps<GroupOp>())
      if (!before.contains(piece))
        mark(piece, asFusedName);
    return mlir::success();
  }
  return mlir::emitError(location) << "no backend takes '" << name << "' of this form (" << reasons << ")";
}

static mlir::LogicalResult settle(const Refused &refused, Claimants claimants) {
  if (!refused.inPieces)
    return offerElsewhere(refused, claimants);
  GroupOp group = refused.group;
  for (const fuse::OpSet &part : refused.answer.parts)
    if (!fuse::isClosed(part))
      return group.emitError() << "the backend " << claimants.front()->name()
                               << " took a set of ops that is not closed: a value leaves it and comes back";
  return split(refused) ? mlir::success() : offerElsewhere(refused, claimants);
}

mlir::LogicalResult claimGroups(mlir::func::FuncOp function, Claimants claimants) {
  function.walk([](GroupOp group) {
    group->removeAttr(targetName); // what an earlier claim left is not this one's
    group->removeAttr(reasonName);
    mark(group, asFusedName);
  });
  for (;;) {
    std::vector<Refused> refused;
    for (GroupOp group : unclaimedOf(function)) {
      mlir::FailureOr<Answer> answer = claimants.front()->claim(group);
      if (mlir::failed(answer))
        return mlir::failure();
      if (answer->whole)
        assign(group, 0, "");
      else
        refused.push_back({group, std::move(*answer)});
    }
    if (refused.empty())
      return mlir::success();
    if (mlir::failed(tryPieces(function, refused, claimants)))
      return mlir::failure();
    for (const Refused &one : refused)
      if (mlir::failed(settle(one, claimants)))
        return mlir::failure();
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
