// The pass: what is made ready before merging, and groups taken apart again.

#include "passes/Fuse/Fuse.h"

#include "passes/Fuse/Merge.h"
#include "passes/Fuse/Outline.h"
#include "passes/Fuse/Verify.h"
#include "passes/support/BlockOrder.h"
#include "passes/support/Composites.h"
#include "passes/support/EachFunction.h"

#include "ir/Build.h"
#include "ir/Values.h"

#include "mlir/IR/Dominance.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/CSE.h"

namespace kiln {

using namespace fuse;

#define GEN_PASS_DEF_FUSE
#include "passes/Fuse/Fuse.h.inc"

static void dropStopGradients(mlir::Block &block) {
  block.walk([](StopGradientOp op) { expand(op); });
}

// How many ops in a row are done again rather than stored.
static constexpr unsigned maxRecomputed = 6;

// The values of an op's own size that it reads: broadcasts, constants and masks made of them do not count.
static unsigned fullSources(mlir::Operation *op) {
  unsigned count = 0;
  for (mlir::Value operand : op->getOperands())
    count += !operand.getDefiningOp() || roleOf(operand.getDefiningOp()) != fuse::Role::cheap;
  return count;
}

static unsigned elementWidth(mlir::Value value) {
  return llvm::cast<mlir::RankedTensorType>(value.getType()).getElementTypeBitWidth();
}

// x - mean, read by the variance and by the normalisation: both read x as well as they would read the difference, so
// each gets its own copy of the op. Only where nobody needs the value in memory. An exponential too: it takes less time
// than eight bytes of traffic, and what the backward half computes again need not wait for it.
static void duplicateCheap(mlir::Block &block) {
  BlockOrder order(block);
  llvm::DenseMap<mlir::Operation *, unsigned> depth;
  for (mlir::Operation &op : llvm::make_early_inc_range(llvm::reverse(block))) {
    if (roleOf(&op) != fuse::Role::index || !isElementwise(&op) || opCostOf(&op) == OpCost::Library ||
        fullSources(&op) != 1 || dimsOf(op.getResult(0)).empty())
      continue;
    // A mask is a quarter of what it is made of: better kept.
    if (llvm::isa<CompareOp, ConvertOp>(op) && elementWidth(op.getOperand(0)) > elementWidth(op.getResult(0)))
      continue;
    llvm::SmallSetVector<mlir::Operation *, 4> found(op.getUsers().begin(), op.getUsers().end());
    llvm::SmallVector<mlir::Operation *> users = found.takeVector();
    unsigned deepest = 0;
    bool fusable = llvm::all_of(users, [&](mlir::Operation *user) {
      fuse::Role role = roleOf(user);
      deepest = std::max(deepest, depth.lookup(user));
      return user->getBlock() == &block &&
             ((role == fuse::Role::index && isElementwise(user)) || role == fuse::Role::reduce);
    });
    if (!fusable || users.size() < 2 || deepest >= maxRecomputed)
      continue;
    // The first reader keeps the op, later ones get theirs where they stand.
    llvm::sort(users, [&](mlir::Operation *a, mlir::Operation *b) { return order.isBefore(a, b); });
    for (mlir::Operation *user : llvm::drop_begin(users)) {
      mlir::OpBuilder builder(user);
      mlir::Operation *copy = builder.clone(op);
      order.added(copy);
      user->replaceUsesOfWith(op.getResult(0), copy->getResult(0));
      depth[copy] = deepest + 1;
    }
    depth[&op] = deepest + 1;
  }
}

// Numbers in blocks are a fraction of what they are widened: each reader has its own, where it stands.
static void widenWhereRead(mlir::Block &block) {
  llvm::SmallVector<mlir::Operation *> found;
  for (mlir::Operation &op : block)
    if (widensBlocks(&op))
      found.push_back(&op);
  for (mlir::Operation *op : found)
    for (mlir::OpOperand &use : llvm::make_early_inc_range(op->getResult(0).getUses())) {
      mlir::Operation *user = use.getOwner();
      if (user->getBlock() != &block || user->hasTrait<mlir::OpTrait::IsTerminator>())
        continue;
      if (op->getResult(0).hasOneUse()) {
        op->moveBefore(user);
        break;
      }
      mlir::OpBuilder builder(user);
      use.set(builder.clone(*op)->getResult(0));
    }
}

static bool isSplatZero(mlir::Value value) {
  return llvm::isa<mlir::FloatType>(elementOf(value)) && splatValue(value) == 0.0;
}

// The backward half of a relu asks where the operand was not above zero. The result knows as well (for NaN too), and it
// is what the next product keeps anyway: so neither the operand nor a mask need be.
static void maskFromRelu(mlir::Block &block) {
  BlockOrder order(block);
  for (auto select : block.getOps<SelectOp>()) {
    auto compare = select.getCondition().getDefiningOp<CompareOp>();
    if (!compare || compare->getBlock() != &block || compare.getPredicate() != Predicate::le ||
        !isSplatZero(compare.getRhs()) || !isSplatZero(select.getOnTrue()) || select.getOnFalse() != compare.getLhs())
      continue;
    for (mlir::OpOperand &use : llvm::make_early_inc_range(compare.getResult().getUses())) {
      mlir::Operation *user = use.getOwner();
      if (user == select || user->getBlock() != &block || !order.isBefore(select, user))
        continue;
      mlir::OpBuilder builder(user);
      auto copy = llvm::cast<CompareOp>(builder.clone(*compare));
      order.added(copy);
      copy.getLhsMutable().assign(select.getResult());
      // A splat does not depend on where it stands, and the zero stands above both.
      use.set(copy.getResult());
    }
  }
}

// An attention op reads its operands through transposes of its own. Where attention's result is transposed for others,
// that is what lies in memory: the backward half reads it through the inverse.
static void ownTransposes(mlir::Block &block) {
  for (mlir::Operation &op : llvm::make_early_inc_range(block)) {
    if (isAttention(&op) && !isAttentionGrad(&op)) {
      mlir::Value result = op.getResult(0);
      TransposeOp outer;
      bool others = false;
      for (mlir::Operation *user : result.getUsers())
        if (!outer && user->getBlock() == &block && keepsRows(user))
          outer = llvm::cast<TransposeOp>(user);
        else
          others |= user->getBlock() != &block || !isAttentionGrad(user);
      if (!outer || others)
        continue;
      outer->moveAfter(&op);
      llvm::SmallVector<int64_t> inverse(4);
      for (auto [to, from] : llvm::enumerate(outer.getPermutation()))
        inverse[from] = static_cast<int64_t>(to);
      mlir::OpBuilder builder(outer->getContext());
      builder.setInsertionPointAfter(outer);
      mlir::Value back = Emit(builder, outer.getLoc()).transposed(outer.getResult(), inverse);
      result.replaceUsesWithIf(back, [&](mlir::OpOperand &use) { return use.getOwner() != outer; });
    }
  }
  for (mlir::Operation &op : llvm::make_early_inc_range(block)) {
    if (!isAttention(&op))
      continue;
    for (mlir::OpOperand &operand : op.getOpOperands())
      if (mlir::Operation *source = operand.get().getDefiningOp();
          source && source->getBlock() == &block && keepsRows(source)) {
        mlir::OpBuilder builder(&op);
        operand.set(builder.clone(*source)->getResult(0));
        if (source->use_empty())
          source->erase();
      }
  }
}

// What was one value for two readers is one input once they are one group.
static void joinRepeatedInputs(GroupOp group) {
  mlir::Block &body = group.getBody().front();
  for (unsigned i = group->getNumOperands(); i-- > 1;) {
    auto earlier = group->getOperands().take_front(i);
    auto found = llvm::find(earlier, group->getOperand(i));
    if (found == earlier.end())
      continue;
    body.getArgument(i).replaceAllUsesWith(body.getArgument(found - earlier.begin()));
    body.eraseArgument(i);
    group->eraseOperand(i);
  }
}

// Copies that met again in one group leave it as one value.
static void dropRepeatedOutputs(GroupOp group) {
  mlir::Operation *yield = group.getBody().front().getTerminator();
  llvm::SmallVector<mlir::Value> outputs;
  llvm::SmallVector<unsigned> keptAs;
  for (mlir::Value value : yield->getOperands()) {
    auto found = llvm::find(outputs, value);
    keptAs.push_back(found - outputs.begin());
    if (found == outputs.end())
      outputs.push_back(value);
  }
  if (outputs.size() == keptAs.size())
    return;
  yield->setOperands(outputs);
  mlir::OpBuilder builder(group);
  mlir::OperationState state(group.getLoc(), GroupOp::getOperationName(), group.getInputs(),
                             mlir::ValueRange(outputs).getTypes(), group->getAttrs());
  state.addRegion()->takeBody(group.getBody());
  mlir::Operation *smaller = builder.create(state);
  for (auto [index, kept] : llvm::enumerate(keptAs))
    group->getResult(index).replaceAllUsesWith(smaller->getResult(kept));
  group->erase();
}

// Copies that met again in one group are one value; not where the group is then no longer of its shape: what a product
// reads may be copied for what follows it.
static void mergeCopies(GroupOp group, mlir::IRRewriter &rewriter) {
  auto before = llvm::cast<GroupOp>(group->clone());
  mlir::DominanceInfo dominance(group);
  bool changed = false;
  mlir::eliminateCommonSubExpressions(rewriter, dominance, group, &changed);
  if (changed && shapeOf(group).value_or(GroupShape::any) != group.getShape())
    group.getBody().takeBody(before.getBody());
  before->destroy();
}

static void fuseBlock(mlir::Block &block, FuseLevel level) {
  // Inside out: what an inner block still reads of an outer cheap op is then known.
  for (mlir::Operation &op : block)
    if (isControl(&op))
      for (mlir::Region &region : op.getRegions())
        for (mlir::Block &inner : region)
          fuseBlock(inner, level);
  if (level != FuseLevel::single) {
    maskFromRelu(block);
    widenWhereRead(block);
    duplicateCheap(block);
    ownTransposes(block);
  }
  outlineBlock(block, clustersOf(block, level), level != FuseLevel::single);
  mlir::IRRewriter rewriter(block.getParentOp()->getContext());
  for (GroupOp group : llvm::make_early_inc_range(block.getOps<GroupOp>())) {
    joinRepeatedInputs(group);
    mergeCopies(group, rewriter);
    dropRepeatedOutputs(group);
  }
}

// A loop's index lives in no memory: where it leaves the body, or enters a loop inside, as it is, a kernel writes it.
static void storeLoopIndices(mlir::Operation *root) {
  root->walk([](ScanOp scan) {
    auto leaves = [](mlir::OpOperand &use) { return !llvm::isa<GroupOp>(use.getOwner()); };
    mlir::BlockArgument index = scan.step();
    if (llvm::none_of(index.getUses(), leaves))
      return;
    mlir::OpBuilder builder = mlir::OpBuilder::atBlockBegin(&scan.getBody().front());
    auto group = builder.create<GroupOp>(scan.getLoc(), index.getType(), index, GroupShape::elementwise);
    mlir::Block &body = group.getBody().emplaceBlock();
    builder.setInsertionPointToStart(&body);
    builder.create<YieldOp>(scan.getLoc(), mlir::ValueRange{body.addArgument(index.getType(), scan.getLoc())});
    index.replaceUsesWithIf(group->getResult(0), leaves);
  });
}

mlir::LogicalResult fuseFunction(mlir::func::FuncOp function, FuseLevel level) {
  if (function.isExternal())
    return mlir::success();
  for (mlir::Block &block : function.getBody())
    dropStopGradients(block);
  if (mlir::failed(verifyPrimitives(function)))
    return mlir::failure();
  for (mlir::Block &block : function.getBody())
    fuseBlock(block, level);
  storeLoopIndices(function);
  return mlir::success();
}

// A loop that is a group (passes/Claim/Loops.h) is a loop over groups again.
static llvm::SmallVector<GroupOp> splitLoop(GroupOp group, ScanOp loop) {
  llvm::SmallVector<GroupOp> within = dissolve(group);
  fuseBlock(loop.getBody().front(), FuseLevel::full);
  storeLoopIndices(loop);
  loop.walk([&](GroupOp one) { within.push_back(one); });
  return within;
}

llvm::SmallVector<GroupOp> splitGroup(GroupOp group) {
  unsigned computing = 0;
  mlir::Block &body = group.getBody().front();
  if (auto loops = group.getBody().getOps<ScanOp>(); !loops.empty())
    return splitLoop(group, *loops.begin());
  for (mlir::Operation &op : body.without_terminator())
    computing += !isPlainSource(&op);
  FuseLevel level = group.getShape() == GroupShape::contract ? FuseLevel::loops : FuseLevel::single;
  if (computing <= 1) {
    auto composites = group.getBody().getOps<DecomposableOpInterface>();
    if (composites.empty())
      return {};
    level = FuseLevel::full;
    expand(*composites.begin());
    dropStopGradients(body);
  }
  // Within the group, so that nothing else of its block is looked at.
  outlineBlock(body, clustersOf(body, level), level != FuseLevel::single);
  return dissolve(group);
}

namespace {
struct FusePass : impl::FuseBase<FusePass> {
  using FuseBase::FuseBase;
  void runOnOperation() override {
    FuseLevel level = single ? FuseLevel::single : FuseLevel::full;
    if (mlir::failed(eachFunction(getOperation(), [&](mlir::func::FuncOp one) { return fuseFunction(one, level); })))
      signalPassFailure();
  }
};
} // namespace

} // namespace kiln
