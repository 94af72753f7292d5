// Groups offered, split where some of their pieces are taken, else offered elsewhere, and marked with who took them.

#include "passes/Claim/Claim.h"
#include "passes/Claim/Loops.h"

#include "ir/Bounds.h"
#include "ir/Classes.h"
#include "passes/Fuse/Fuse.h"
#include "passes/Fuse/Parts.h"
#include "passes/support/Entries.h"
#include "passes/support/Values.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/FormatVariadic.h"

namespace kiln {

#define GEN_PASS_DEF_CLAIM
#include "passes/Claim/Claim.h.inc"

namespace claim {

static constexpr llvm::StringLiteral targetName = "kiln.target", reasonName = "kiln.target_reason",
                                     asFusedName = "kiln.as_fused", pieceName = "kiln.piece", noteName = "kiln.weighed";

std::optional<uint32_t> targetOf(GroupOp group) {
  auto number = group->getAttrOfType<mlir::IntegerAttr>(targetName);
  return number ? std::optional(static_cast<uint32_t>(number.getInt())) : std::nullopt;
}

std::string reasonOf(GroupOp group) {
  auto reason = group->getAttrOfType<mlir::StringAttr>(reasonName);
  return reason ? reason.getValue().str() : std::string();
}

bool isPiece(GroupOp group) { return group->hasAttr(pieceName); }

static std::string noteOf(GroupOp group) {
  auto note = group->getAttrOfType<mlir::StringAttr>(noteName);
  return note ? note.getValue().str() : std::string();
}

bool isAsFused(GroupOp group) { return group->hasAttr(asFusedName); }

void forgetTrials(GroupOp group) {
  group->removeAttr(asFusedName);
  group->removeAttr(noteName);
}

void assign(GroupOp group, uint32_t target, llvm::StringRef reason) {
  mlir::Builder builder(group.getContext());
  group->setAttr(targetName, builder.getI64IntegerAttr(target));
  if (target != 0 || !reason.empty())
    group->setAttr(reasonName, builder.getStringAttr(reason));
}

namespace {
/// What came of offering the pieces of a group that the first claimant refused.
struct Trial {
  unsigned taken = 0; ///< pieces
  bool stated = true; ///< it said of each how long it takes
  double seconds = 0; ///< by which those pieces there, and the rest elsewhere, take longer than the whole elsewhere
};

/// A group that the first claimant did not take as it is.
struct Refused {
  GroupOp group;
  Answer answer;
  Trial trial;
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

//===-- Composites ------------------------------------------------------------------------------------------------===//

bool namesWhole(mlir::Operation *op, Claimants claimants) {
  std::string name = nameOf(op).str();
  return llvm::any_of(claimants, [&](Claimant *one) {
    return one->namesWhole(name) || (llvm::isa<CustomOp>(op) && one->namesWhole(name + "_grad"));
  });
}

GroupOp alone(mlir::Operation *op) {
  mlir::OpBuilder builder(op);
  llvm::SetVector<mlir::Value> inputs(op->getOperands().begin(), op->getOperands().end());
  auto group = builder.create<GroupOp>(op->getLoc(), op->getResultTypes(), inputs.getArrayRef(), GroupShape::single);
  mlir::Block &body = group.getBody().emplaceBlock();
  mlir::IRMapping map;
  for (mlir::Value input : inputs)
    map.map(input, body.addArgument(input.getType(), input.getLoc()));
  builder.setInsertionPointToStart(&body);
  mlir::Operation *copy = builder.clone(*op, map);
  builder.create<YieldOp>(op->getLoc(), copy->getResults());
  return group;
}

mlir::FailureOr<bool> takesWhole(mlir::Operation *op, Claimants claimants) {
  GroupOp group;
  auto erase = llvm::make_scope_exit([&] {
    if (group)
      group->erase();
  });
  for (Claimant *claimant : claimants) {
    if (!claimant->namesWhole(nameOf(op)))
      continue;
    if (!group)
      group = alone(op);
    mlir::FailureOr<Answer> answer = claimant->claim(group);
    if (mlir::failed(answer))
      return mlir::failure();
    if (answer->whole)
      return true;
  }
  return false;
}

//===-- Whole or in pieces ---------------------------------------------------------------------------------------===//

// The group falls apart, and its pieces are told; none where it is one op.
static llvm::SmallVector<GroupOp> split(GroupOp group, llvm::ArrayRef<fuse::OpSet> parts) {
  llvm::SmallVector<GroupOp> pieces;
  if (!parts.empty())
    pieces = fuse::splitGroup(group, parts);
  if (pieces.empty())
    pieces = splitGroup(group);
  for (GroupOp piece : pieces)
    mark(piece, pieceName);
  return pieces;
}

// By how much longer the program takes with the piece on the first claimant, and not within its group on the second:
// what the one takes and the other does not, the way there and back, and the bytes that no longer stay in registers.
static double secondsApart(GroupOp piece, double stated, Claimants claimants) {
  Claimant &home = *claimants.front(), &other = *claimants[1];
  double bytes = 0, seconds = other.secondsOf(piece);
  Bounds bounds = boundsOf(piece->getParentOfType<mlir::func::FuncOp>());
  llvm::SmallVector<mlir::Type> types(piece->getOperandTypes());
  llvm::append_range(types, piece->getResultTypes());
  for (mlir::Type type : types)
    bytes += mostBytes(type, bounds);
  Link link = home.link();
  double change =
      home.hostMemory() && other.hostMemory()
          ? secondsOfChange
          : secondsOfPart + static_cast<double>(types.size()) * link.copySeconds + bytes / link.bytesPerSecond;
  return (stated > 0 ? stated : seconds) - seconds + change + bytes / memoryBytesPerSecond;
}

// The group does not outlive the question.
static mlir::FailureOr<Trial> tryPieces(GroupOp group, Claimants claimants) {
  Trial trial;
  llvm::SmallVector<GroupOp> todo = {group};
  while (!todo.empty()) {
    GroupOp next = todo.pop_back_val();
    mlir::FailureOr<Answer> answer = claimants.front()->claim(next);
    if (mlir::failed(answer))
      return mlir::failure();
    if (!llvm::all_of(answer->parts, fuse::isClosed))
      return next.emitError() << "the backend " << claimants.front()->name()
                              << " took a set of ops that is not closed: a value leaves it and comes back";
    if (!answer->whole) {
      llvm::append_range(todo, split(next, answer->parts));
      continue;
    }
    ++trial.taken;
    trial.stated &= answer->seconds > 0;
    if (claimants.size() > 1)
      trial.seconds += secondsApart(next, answer->seconds, claimants);
  }
  return trial;
}

// Tried on a copy of the function, so that a group of which nothing is taken is still whole for the others.
static mlir::LogicalResult tryPieces(mlir::func::FuncOp function, llvm::MutableArrayRef<Refused> refused,
                                     Claimants claimants) {
  mlir::OpBuilder builder(function);
  auto copy = llvm::cast<mlir::func::FuncOp>(builder.clone(*function));
  auto erase = llvm::make_scope_exit([&] { copy.erase(); });
  llvm::StringMap<Trial> known; // a model's layers are alike
  for (auto [one, twin] : llvm::zip_equal(refused, unclaimedOf(copy))) {
    std::string key = claimants.front()->keyOf(twin);
    if (auto found = known.find(key); !key.empty() && found != known.end()) {
      one.trial = found->second;
      continue;
    }
    mlir::FailureOr<Trial> trial = tryPieces(twin, claimants);
    if (mlir::failed(trial))
      return mlir::failure();
    known[key] = one.trial = *trial;
  }
  return mlir::success();
}

std::string secondsText(double seconds) {
  const char *unit = seconds < 1e-3 ? "us" : seconds < 1 ? "ms" : "s";
  return llvm::formatv("{0:f2} {1}", seconds * (seconds < 1e-3 ? 1e6 : seconds < 1 ? 1e3 : 1), unit);
}

// To the first of the others that takes it as it is; `reasons` of those that do not.
static mlir::FailureOr<bool> offerElsewhere(GroupOp group, const std::string &reason, Claimants claimants,
                                            std::string &reasons) {
  for (uint32_t target = 1; target < claimants.size(); ++target) {
    mlir::FailureOr<Answer> answer = claimants[target]->claim(group);
    if (mlir::failed(answer))
      return mlir::failure();
    if (answer->whole) {
      assign(group, target, reason);
      return true;
    }
    reasons += "; " + claimants[target]->name() + ": " + answer->reason;
  }
  return false;
}

// Of what its pieces are worth, for `explain --placement`; empty where there is nothing to weigh.
static std::string weighed(const Trial &trial, Claimants claimants) {
  if (claimants.size() < 2)
    return "";
  bool longer = trial.seconds > 0;
  return llvm::formatv("{0} of its pieces here take about {1} {2} than the whole on {3}", trial.taken,
                       secondsText(std::abs(trial.seconds)), longer ? "longer" : "less", claimants[1]->name())
      .str();
}

static mlir::LogicalResult settle(const Refused &refused, Claimants claimants) {
  GroupOp group = refused.group;
  const Trial &trial = refused.trial;
  bool notWorthIt = trial.stated && trial.seconds > 0;
  std::string reason = refused.answer.reason, note = trial.taken ? weighed(trial, claimants) : "";
  std::string reasons = claimants.front()->name() + ": " + reason;
  if (!trial.taken || notWorthIt) {
    mlir::FailureOr<bool> elsewhere =
        offerElsewhere(group, trial.taken ? reason + "; " + note : reason, claimants, reasons);
    if (mlir::failed(elsewhere) || *elsewhere)
      return elsewhere;
  }
  mlir::Operation *op = &group.getBody().front().getOperations().back();
  if (mlir::Operation *previous = op->getPrevNode())
    op = previous;
  std::string name = nameOf(op).str();
  mlir::Location location = op->getLoc();
  llvm::SmallVector<GroupOp> pieces = split(group, refused.answer.parts);
  if (pieces.empty())
    return mlir::emitError(location) << "no backend takes '" << name << "' of this form (" << reasons << ")";
  for (GroupOp piece : pieces) {
    if (!trial.taken) // as it would be were the first claimant not there
      mark(piece, asFusedName);
    else if (!note.empty())
      piece->setAttr(noteName, mlir::StringAttr::get(piece.getContext(),
                                                     note + (trial.stated ? "" : "; its terms state no time")));
  }
  return mlir::success();
}

mlir::LogicalResult claimGroups(mlir::func::FuncOp function, Claimants claimants) {
  function.walk([](GroupOp group) {
    for (llvm::StringRef name : {targetName, reasonName, pieceName, noteName}) // what an earlier claim left
      group->removeAttr(name);
    mark(group, asFusedName);
  });
  if (mlir::failed(offerLoops(function, claimants)))
    return mlir::failure();
  for (;;) {
    std::vector<Refused> refused;
    for (GroupOp group : unclaimedOf(function)) {
      mlir::FailureOr<Answer> answer = claimants.front()->claim(group);
      if (mlir::failed(answer))
        return mlir::failure();
      if (answer->whole)
        assign(group, 0, noteOf(group));
      else
        refused.push_back({group, std::move(*answer), {}});
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
    claim::Choosy home({"home", llvm::SmallVector<std::string>(refuse.begin(), refuse.end()), parts, true, loops});
    claim::Choosy other({"other", llvm::SmallVector<std::string>(refuseElsewhere.begin(), refuseElsewhere.end()), false,
                         true, loopsElsewhere});
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
