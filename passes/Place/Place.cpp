// Loops made one backend's, and islands moved where computing there saves more than copies cost.

#include "passes/Place/Place.h"
#include "passes/Place/Layouts.h"

#include "ir/Bounds.h"
#include "ir/Classes.h"
#include "passes/Claim/Loops.h"
#include "passes/Fuse/Merge.h"
#include "passes/Fuse/Outline.h"
#include "passes/support/Entries.h"
#include "passes/support/Values.h"

namespace kiln {

#define GEN_PASS_DEF_PLACE
#include "passes/Place/Place.h.inc"

namespace place {

using claim::assign;
using claim::Claimants;
using claim::reasonOf;
using claim::targetOf;

// On an op while it is in no group: why the first claimant refused it.
static constexpr llvm::StringLiteral opReasonName = "kiln.refused";

//===-- Loops and branches ---------------------------------------------------------------------------------------===//

// What another backend took whole becomes what it is made of, where this one has no such op.
static mlir::LogicalResult decomposeRefused(mlir::Operation &control, claim::Claimant &claimant) {
  for (;;) {
    GroupOp refused;
    bool failed = false;
    control.walk([&](GroupOp group) {
      if (llvm::none_of(group.getBody().getOps(), [](mlir::Operation &op) { return isWhole(&op); }))
        return mlir::WalkResult::advance();
      mlir::FailureOr<claim::Answer> answer = claimant.claim(group);
      failed = mlir::failed(answer);
      if (!failed && answer->whole)
        return mlir::WalkResult::advance();
      refused = group;
      return mlir::WalkResult::interrupt();
    });
    if (failed)
      return mlir::failure();
    if (!refused || splitGroup(refused).empty())
      return mlir::success();
  }
}

// Where one of its kernels is elsewhere, all of them go there: a backend runs a loop by itself.
static mlir::LogicalResult moveTogether(mlir::Operation &control, Claimants claimants) {
  uint32_t target = 0;
  std::string reason;
  control.walk([&](GroupOp group) {
    if (uint32_t other = targetOf(group).value_or(0); other > target) {
      target = other;
      reason = reasonOf(group);
    }
  });
  if (target == 0)
    return mlir::success();
  if (mlir::failed(decomposeRefused(control, *claimants[target])))
    return mlir::failure();
  mlir::WalkResult all = control.walk([&](GroupOp group) -> mlir::WalkResult {
    mlir::FailureOr<claim::Answer> answer = claimants[target]->claim(group);
    if (mlir::failed(answer))
      return mlir::WalkResult::interrupt();
    if (!answer->whole)
      return group.emitError() << "this loop cannot be on one backend: " << claimants.front()->name() << ": " << reason
                               << "; " << claimants[target]->name() << ": " << answer->reason;
    if (targetOf(group) != target)
      assign(group, target, "in a loop with: " + reason);
    return mlir::WalkResult::advance();
  });
  if (all.wasInterrupted())
    return mlir::failure();
  auto loop = llvm::dyn_cast<ScanOp>(control);
  return loop ? claim::offerLoop(loop, target, reason, claimants) : mlir::success();
}

static llvm::SmallVector<mlir::Operation *> controlsOf(mlir::func::FuncOp function) {
  llvm::SmallVector<mlir::Operation *> controls;
  for (mlir::Operation &op : function.getBody().front())
    if (fuse::roleOf(&op) == fuse::Role::control)
      controls.push_back(&op);
  return controls;
}

//===-- By cost --------------------------------------------------------------------------------------------------===//

// Where an op of the block runs: a group's target, that of a loop's groups, none for what runs nowhere.
static std::optional<uint32_t> targetOfUnit(mlir::Operation &op) {
  std::optional<uint32_t> target;
  op.walk([&](GroupOp group) { target = std::max(target.value_or(0), targetOf(group).value_or(0)); });
  return target;
}

// The op that makes a value, reshapes (the same memory) looked through; null for arguments.
static mlir::Operation *makerOf(mlir::Value value) {
  mlir::Operation *op = value.getDefiningOp();
  while (auto reshape = llvm::dyn_cast_or_null<ReshapeOp>(op))
    op = reshape.getOperand().getDefiningOp();
  return op;
}

static void readersOf(mlir::Value value, llvm::function_ref<void(mlir::Operation *)> visit) {
  for (mlir::Operation *user : value.getUsers())
    if (auto reshape = llvm::dyn_cast<ReshapeOp>(user))
      readersOf(reshape.getResult(), visit);
    else
      visit(user);
}

namespace {
/// Groups of the first target, one after another, between parts of another one.
struct Island {
  llvm::SmallVector<GroupOp> groups;
  uint32_t around = 0;
};

/// The seconds of leaving an island where it is and of moving it to what is around it.
class IslandCost {
public:
  /// `copies`: they do not both work in the process's memory.
  IslandCost(const Island &island, const Bounds &bounds, const claim::Link &link, bool copies)
      : stay(copies ? claim::secondsOfPart : claim::secondsOfChange), island(island), bounds(bounds), link(link),
        copies(copies) {
    for (GroupOp group : island.groups)
      members.insert(group);
  }

  double stay, move = 0;

  void count() {
    if (!copies)
      return;
    llvm::DenseSet<mlir::Value> seen;
    for (GroupOp group : island.groups) {
      for (mlir::Value input : group.getInputs()) {
        mlir::Operation *maker = makerOf(input);
        if (members.contains(maker) || llvm::isa_and_nonnull<ConstantOp>(maker) || !seen.insert(input).second)
          continue;
        (isAround(maker) ? stay : move) += transfer(mostBytes(input.getType(), bounds));
      }
      for (mlir::Value result : group->getResults()) {
        bool around = false, home = false;
        readersOf(result, [&](mlir::Operation *user) {
          if (!members.contains(user))
            (isAround(user) ? around : home) = true;
        });
        if (around)
          stay += transfer(mostBytes(result.getType(), bounds));
        if (home)
          move += transfer(mostBytes(result.getType(), bounds));
      }
    }
  }

private:
  double transfer(double bytes) const { return link.copySeconds + bytes / link.bytesPerSecond; }
  bool isAround(mlir::Operation *op) const { return op && targetOfUnit(*op) == island.around; }

  const Island &island;
  const Bounds &bounds;
  claim::Link link;
  bool copies;
  llvm::DenseSet<mlir::Operation *> members;
};
} // namespace

static llvm::SmallVector<Island> islandsOf(mlir::Block &block) {
  llvm::SmallVector<Island> islands;
  Island current;
  uint32_t before = 0;
  for (mlir::Operation &op : block) {
    std::optional<uint32_t> target = targetOfUnit(op);
    if (!target)
      continue;
    if (*target == 0) {
      if (auto group = llvm::dyn_cast<GroupOp>(op))
        current.groups.push_back(group);
      else
        before = 0; // a loop at home is no island
      continue;
    }
    if (before == *target && !current.groups.empty()) {
      current.around = before;
      islands.push_back(current);
    }
    current.groups.clear();
    before = *target;
  }
  return islands;
}

static mlir::LogicalResult moveIslands(mlir::Block &block, const Bounds &bounds, Claimants claimants) {
  claim::Claimant &home = *claimants.front();
  for (const Island &island : islandsOf(block)) {
    claim::Claimant &around = *claimants[island.around];
    bool copies = !home.hostMemory() || !around.hostMemory();
    IslandCost cost(island, bounds, home.link(), copies);
    cost.count();
    bool taken = true, stated = true;
    for (GroupOp group : island.groups) {
      mlir::FailureOr<claim::Answer> here = home.claim(group), there = around.claim(group);
      if (mlir::failed(here) || mlir::failed(there))
        return mlir::failure();
      taken &= there->whole;
      stated &= here->seconds > 0;
      cost.stay += here->seconds;
      cost.move += around.secondsOf(group);
    }
    // Where nothing is copied, what was asked for stays unless it says itself that it is slower.
    if (!taken || cost.move >= cost.stay || (!copies && !stated))
      continue;
    for (GroupOp group : island.groups)
      assign(group, island.around,
             "taken, but there and back takes about " + claim::secondsText(cost.stay) + ", beside its neighbours " +
                 claim::secondsText(cost.move));
  }
  return mlir::success();
}

//===-- Fused again ----------------------------------------------------------------------------------------------===//

// A group that only hands an argument on (a loop's index, into memory) has to stay what it is.
static bool computes(GroupOp group) { return !group.getBody().front().without_terminator().empty(); }

// Whether one of the groups reads what the other makes.
static bool touches(GroupOp group, const llvm::DenseSet<mlir::Operation *> &others) {
  return llvm::any_of(group->getUsers(), [&](mlir::Operation *user) { return others.contains(user); }) ||
         llvm::any_of(group.getInputs(), [&](mlir::Value input) { return others.contains(input.getDefiningOp()); });
}

// The groups of the target that are fused again: pieces, and what stands right beside one. The others fusion made as
// they are, and would make again.
static llvm::SmallVector<GroupOp> looseGroups(mlir::Block &block, uint32_t target) {
  llvm::SmallVector<GroupOp> all, loose;
  llvm::DenseSet<mlir::Operation *> pieces;
  for (GroupOp group : block.getOps<GroupOp>())
    if (targetOf(group) == target && computes(group) && !claim::isLoop(group)) {
      all.push_back(group);
      if (!claim::isAsFused(group))
        pieces.insert(group);
    }
  for (GroupOp group : all)
    if (pieces.contains(group) || touches(group, pieces))
      loose.push_back(group);
  return loose;
}

// What was refused op by op becomes kernels again, those of the target that took it: a backend that takes little is to
// cost no more than it has to.
static mlir::LogicalResult fuseElsewhere(mlir::Block &block, uint32_t target, claim::Claimant &claimant) {
  llvm::SmallVector<GroupOp> loose = looseGroups(block, target);
  if (loose.size() < 2)
    return mlir::success();
  llvm::DenseSet<mlir::Operation *> staying;
  for (GroupOp group : block.getOps<GroupOp>())
    staying.insert(group);
  mlir::Builder builder(block.getParentOp()->getContext());
  for (GroupOp group : loose) {
    for (mlir::Operation &op : group.getBody().front().without_terminator())
      op.setAttr(opReasonName, builder.getStringAttr(reasonOf(group)));
    staying.erase(group);
    fuse::dissolve(group);
  }
  fuse::outlineBlock(block, fuse::clustersOf(block, FuseLevel::full), /*cloneKept=*/true);
  llvm::SmallVector<GroupOp> todo;
  for (GroupOp group : block.getOps<GroupOp>())
    if (!staying.contains(group))
      todo.push_back(group);
  std::reverse(todo.begin(), todo.end());
  std::string reason;
  while (!todo.empty()) {
    GroupOp next = todo.pop_back_val();
    // The last op's: what the kernel is for. Pieces of one that had to be split have its reason.
    for (mlir::Operation &op : next.getBody().front().without_terminator())
      if (auto own = llvm::dyn_cast_or_null<mlir::StringAttr>(op.removeAttr(opReasonName)))
        reason = own.getValue().str();
    mlir::FailureOr<claim::Answer> answer = claimant.claim(next);
    if (mlir::failed(answer))
      return mlir::failure();
    if (answer->whole) {
      assign(next, target, reason);
      continue;
    }
    llvm::SmallVector<GroupOp> pieces = splitGroup(next);
    if (pieces.empty())
      return next.emitError() << "the backend " << claimant.name()
                              << " refuses what it took before: " << answer->reason;
    todo.append(pieces.rbegin(), pieces.rend());
  }
  return mlir::success();
}

static llvm::SmallVector<mlir::Block *> blocksOf(mlir::func::FuncOp function) {
  llvm::SmallVector<mlir::Block *> blocks;
  function.walk<mlir::WalkOrder::PreOrder>([&](mlir::Operation *op) {
    if (llvm::isa<GroupOp>(op))
      return mlir::WalkResult::skip();
    for (mlir::Region &region : op->getRegions())
      for (mlir::Block &block : region)
        blocks.push_back(&block);
    return mlir::WalkResult::advance();
  });
  return blocks;
}

mlir::LogicalResult placeGroups(mlir::func::FuncOp function, Claimants claimants) {
  for (mlir::Operation *control : controlsOf(function))
    if (mlir::failed(moveTogether(*control, claimants)))
      return mlir::failure();
  if (claimants.size() > 1 && mlir::failed(moveIslands(function.getBody().front(), boundsOf(function), claimants)))
    return mlir::failure();
  for (mlir::Block *block : blocksOf(function))
    for (uint32_t target = 1; target < claimants.size(); ++target)
      if (mlir::failed(fuseElsewhere(*block, target, *claimants[target])))
        return mlir::failure();
  function.walk(claim::forgetTrials);
  return arrangeOperands(function, claimants);
}

mlir::LogicalResult verifyPlaced(mlir::func::FuncOp function) {
  if (mlir::failed(claim::verifyClaimed(function)))
    return mlir::failure();
  for (mlir::Operation *control : controlsOf(function)) {
    std::optional<uint32_t> first;
    mlir::WalkResult one = control->walk([&](GroupOp group) -> mlir::WalkResult {
      if (targetOf(group) == first.value_or(*targetOf(group))) {
        first = targetOf(group);
        return mlir::WalkResult::advance();
      }
      group.emitError() << "this group is target " << *targetOf(group) << "'s, another of the same loop or branch "
                        << *first << "'s";
      return mlir::WalkResult::interrupt();
    });
    if (one.wasInterrupted())
      return mlir::failure();
  }
  return mlir::success();
}

} // namespace place

namespace {
struct PlacePass : impl::PlaceBase<PlacePass> {
  using PlaceBase::entries;
  using PlaceBase::PlaceBase;

  llvm::SmallVector<claim::Claimant *> claimants; // none: the stand-ins

  void runOnOperation() override {
    claim::Choosy home({"home", llvm::SmallVector<std::string>(refuse.begin(), refuse.end()), false, !apart, loops});
    claim::Choosy other({"other", llvm::SmallVector<std::string>(refuseElsewhere.begin(), refuseElsewhere.end()), false,
                         true, loopsElsewhere});
    claim::Claimant *standIns[] = {&home, &other};
    for (mlir::func::FuncOp function : entriesOf(getOperation(), entries)) {
      if (mlir::failed(claim::verifyClaimed(function)) ||
          mlir::failed(place::placeGroups(function, claimants.empty() ? claim::Claimants(standIns) : claimants)))
        return signalPassFailure();
    }
  }
};
} // namespace

std::unique_ptr<mlir::Pass> createPlace(claim::Claimants claimants, llvm::ArrayRef<std::string> entries) {
  auto pass = std::make_unique<PlacePass>();
  pass->claimants.assign(claimants.begin(), claimants.end());
  pass->entries = entries;
  return pass;
}

} // namespace kiln
