// Branches and whiles: what nobody reads is not computed, and a scan that has come to its end stops.

#include "passes/Simplify/Patterns.h"

#include "passes/support/Branches.h"
#include "passes/support/Loops.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/BitVector.h"

namespace kiln {

using llvm::ArrayRef;
using llvm::BitVector;
using llvm::SmallVector;
using mlir::Block;
using mlir::failure;
using mlir::LogicalResult;
using mlir::Operation;
using mlir::PatternRewriter;
using mlir::success;
using mlir::Value;
using mlir::ValueRange;

namespace {

LogicalResult dropBranchResults(IfOp op, PatternRewriter &rewriter) { return dropUnusedResults(op, rewriter); }

//===-- While ----------------------------------------------------------------------------------------------------===//

/// Carries that decide when the loop ends, or lead to a used result.
BitVector liveCarries(WhileOp op) {
  Block &condition = op.getCondition().front();
  BitVector live(op->getNumResults());
  for (auto [index, result] : llvm::enumerate(op.getResults()))
    live[index] = !result.use_empty() || !condition.getArgument(index).use_empty();
  growLive(op.getBody().front(), /*first=*/0, live.size(), live);
  return live;
}

LogicalResult dropCarries(WhileOp op, PatternRewriter &rewriter) {
  Block &body = op.getBody().front();
  Operation *terminator = body.getTerminator();
  BitVector dropped = liveCarries(op).flip();
  for (unsigned index = 0; index < dropped.size(); ++index)
    if (terminator->getOperand(index) == body.getArgument(index)) // never changed
      dropped.set(index);
  if (dropped.none() || dropped.all())
    return failure();
  SmallVector<Value> inits, yields, kept;
  for (unsigned index = 0; index < dropped.size(); ++index)
    if (dropped[index]) {
      rewriter.replaceAllUsesWith(op.getResult(index), op.getInits()[index]);
      for (mlir::Region *region : {&op.getCondition(), &op.getBody()})
        rewriter.replaceAllUsesWith(region->getArgument(index), op.getInits()[index]);
    }
  for (unsigned index = 0; index < dropped.size(); ++index)
    if (!dropped[index]) {
      inits.push_back(op.getInits()[index]);
      yields.push_back(terminator->getOperand(index));
      kept.push_back(op.getResult(index));
    }
  rewriter.modifyOpInPlace(terminator, [&] { terminator->setOperands(yields); });
  for (mlir::Region *region : {&op.getCondition(), &op.getBody()})
    region->front().eraseArguments(dropped);
  auto made = rewriter.create<WhileOp>(op.getLoc(), mlir::TypeRange(ValueRange(inits)), inits);
  made.getCondition().takeBody(op.getCondition());
  made.getBody().takeBody(op.getBody());
  for (auto [from, to] : llvm::zip_equal(kept, made.getResults()))
    rewriter.replaceAllUsesWith(from, to);
  rewriter.eraseOp(op);
  return success();
}

//===-- Scans that end early -------------------------------------------------------------------------------------===//

/// The one branch that says whether a step does anything: where it is not taken, what is carried stays.
IfOp guardOf(ScanOp op) {
  Block &body = op.getBody().front();
  if (op->getNumResults() != op.numCarries() || !op.getSequences().empty() || op.getReverse())
    return {};
  IfOp guard;
  for (auto [argument, yielded] : llvm::zip_equal(op.carryArgs(), body.getTerminator()->getOperands())) {
    if (yielded == argument)
      continue;
    auto branch = yielded.getDefiningOp<IfOp>();
    if (!branch || (guard && branch != guard) || branch->getBlock() != &body)
      return {};
    guard = branch;
    unsigned number = llvm::cast<mlir::OpResult>(yielded).getResultNumber();
    if (guard.getElseRegion().front().getTerminator()->getOperand(number) != argument)
      return {};
  }
  return guard;
}

/// Whether the value is computed from what is carried and from outside alone, and not from the number of the step.
bool isDecidedByCarries(ScanOp op, Value value) {
  llvm::DenseSet<Value> others = {op.step()};
  for (Operation &nested : op.getBody().front().without_terminator())
    if (!mlir::isPure(&nested) || llvm::any_of(usedValues(&nested), [&](Value used) { return others.contains(used); }))
      others.insert(nested.result_begin(), nested.result_end());
  return !others.contains(value);
}

// A step whose condition does not hold changes nothing, so that it does not hold in any later step: a while, to the
// same count. What the step computes beside the branch stands in both regions, and goes where nothing reads it.
LogicalResult endEarly(ScanOp op, PatternRewriter &rewriter) {
  IfOp guard = guardOf(op);
  if (!guard || !isDecidedByCarries(op, guard.getCondition()))
    return failure();
  Block &body = op.getBody().front();
  Emit e(rewriter, op.getLoc());
  mlir::Type counter = op.step().getType();
  SmallVector<Value> inits = {e.splatInt(counter, 0)};
  llvm::append_range(inits, op.getInits());
  auto made = rewriter.create<WhileOp>(op.getLoc(), mlir::TypeRange(ValueRange(inits)), inits);
  mlir::IRMapping map;
  for (mlir::Region *region : {&made.getCondition(), &made.getBody()}) {
    Block *block = rewriter.createBlock(region);
    for (auto [argument, init] : llvm::zip(body.getArguments(), inits))
      map.map(argument, block->addArgument(init.getType(), op.getLoc()));
    for (Operation &nested : body.without_terminator())
      if (&nested != guard)
        rewriter.clone(nested, map);
    Value step = block->getArgument(0);
    if (region == &made.getCondition()) {
      Value more = e.compare(Predicate::lt, step, e.extent(op.getCount().dims()[0], elementOf(step)));
      rewriter.create<YieldOp>(op.getLoc(), e.op<AndOp>(more, map.lookupOrDefault(guard.getCondition())));
      continue;
    }
    Block &taken = guard.getThenRegion().front();
    for (Operation &nested : taken.without_terminator())
      rewriter.clone(nested, map);
    for (auto [result, yielded] : llvm::zip_equal(guard.getResults(), taken.getTerminator()->getOperands()))
      map.map(result, map.lookupOrDefault(yielded));
    SmallVector<Value> next = {e.add(step, e.splatInt(counter, 1))};
    for (Value yielded : body.getTerminator()->getOperands())
      next.push_back(map.lookupOrDefault(yielded));
    rewriter.create<YieldOp>(op.getLoc(), next);
  }
  rewriter.replaceOp(op, made.getResults().drop_front());
  return success();
}

} // namespace

void addControlPatterns(mlir::RewritePatternSet &patterns, bool early) {
  addPattern<IfOp>(patterns, dropBranchResults);
  addPattern<WhileOp>(patterns, dropCarries);
  if (early)
    addPattern<ScanOp>(patterns, endEarly);
}

} // namespace kiln
