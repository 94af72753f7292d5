// The gradient of a loop over time is a loop the other way. First the body and its gradient are written into one block,
// as if all of the forward were computed again in each backward step; then it is decided which of the forward values
// that the backward reads are saved by the forward loop (stacked, as further outputs) and which are recomputed.
#include "passes/Differentiate/Scan.h"

#include "ir/Classes.h"
#include "passes/Differentiate/LoopSums.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/BitVector.h"

namespace kiln {

using llvm::ArrayRef;
using llvm::BitVector;
using llvm::SmallVector;
using mlir::Block;
using mlir::BlockArgument;
using mlir::failure;
using mlir::LogicalResult;
using mlir::Operation;
using mlir::success;
using mlir::Value;
using mlir::ValueRange;

namespace {

class ScanGradient {
public:
  ScanGradient(ScanOp op, Backward &outer) : op(op), outer(outer), carryCount(op.numCarries()) {}
  LogicalResult run();

private:
  void findCaptured();
  void findActiveCarries();
  void findUsefulCarries();
  LogicalResult writeBody();
  void planSums();
  void chooseSaved();
  void collectLeaves(Value value, llvm::SetVector<Value> &leaves);
  void rebuildForward();
  void buildBackward();
  void writeBackward(ArrayRef<Value> carriedValues, ArrayRef<Value> sequenceValues, ArrayRef<Value> outputs,
                     ArrayRef<Value> totals);
  void distribute();

  bool isForward(Value value) const {
    Operation *source = value.getDefiningOp();
    return source && source->getBlock() == block && source->isBeforeInBlock(boundary);
  }
  bool isCarry(Value value) const { return llvm::is_contained(carries(), value); }
  ArrayRef<BlockArgument> carries() const { return block->getArguments().slice(1, carryCount); }
  ArrayRef<BlockArgument> sequences() { return block->getArguments().slice(1 + carryCount, op.getSequences().size()); }
  SmallVector<Value> roots();

  ScanOp op;
  Backward &outer;
  size_t carryCount;
  SmallVector<Value> captured; // values from outside that want a gradient
  BitVector activeCarries;     // depend on what is differentiated
  SmallVector<unsigned> gradientCarries, gradientOutputs;

  mlir::Region scratch;
  Block *block = nullptr;
  Operation *boundary = nullptr; // the forward's yield: ops before it are the forward, those behind it the backward
  llvm::DenseMap<Value, Value> incoming; // a gradient argument of the block -> its initial value or stack outside
  SmallVector<Value> nextCarryGradients, sequenceGradients;
  SmallVector<std::pair<Value, Value>> hoisted, carried; // (captured value, contribution of one step)
  std::unique_ptr<LoopSums> sums;

  llvm::SetVector<Value> saved;
  llvm::DenseSet<Operation *> recomputed;
  ScanOp forward, backward;
  llvm::DenseMap<Value, Value> stacks; // value of the block -> its stack outside
};

void ScanGradient::findCaptured() {
  SmallVector<Value> used = usedValues(op);
  for (Value value : ArrayRef<Value>(used).drop_front(op->getNumOperands()))
    if (outer.wants(value))
      captured.push_back(value);
}

void ScanGradient::findActiveCarries() {
  Block &body = op.getBody().front();
  SmallVector<Operation *> ops;
  for (Operation &nested : body.without_terminator())
    ops.push_back(&nested);
  activeCarries.resize(carryCount);
  for (auto [index, init] : llvm::enumerate(op.getInits()))
    activeCarries[index] = outer.wants(init);
  for (bool changed = true; changed;) {
    changed = false;
    ValueSet active(captured.begin(), captured.end());
    for (unsigned index : activeCarries.set_bits())
      active.insert(op.carryArgs()[index]);
    for (auto [argument, sequence] : llvm::zip_equal(op.sequenceArgs(), op.getSequences()))
      if (outer.wants(sequence))
        active.insert(argument);
    spreadActivity(ops, active);
    for (size_t index = 0; index < carryCount; ++index)
      if (!activeCarries[index] && active.contains(body.getTerminator()->getOperand(index))) {
        activeCarries.set(index);
        changed = true;
      }
  }
}

// A carry's gradient is needed where it is given from below, or where the carry leads to one that is.
void ScanGradient::findUsefulCarries() {
  Block &body = op.getBody().front();
  ValueRange yielded = body.getTerminator()->getOperands();
  BitVector useful(yielded.size());
  for (auto [index, result] : llvm::enumerate(op.getResults()))
    useful[index] = !outer.contributions(result).empty() && (index >= carryCount || activeCarries[index]);
  for (bool changed = true; changed;) {
    changed = false;
    ValueSet reached;
    for (unsigned index : useful.set_bits())
      reached.insert(yielded[index]);
    for (Operation &nested : llvm::reverse(body.without_terminator()))
      if (llvm::any_of(nested.getResults(), [&](Value result) { return reached.contains(result); }))
        for (Value used : usedValues(&nested))
          reached.insert(used);
    for (unsigned index : activeCarries.set_bits())
      if (!useful[index] && reached.contains(op.carryArgs()[index])) {
        useful.set(index);
        changed = true;
      }
  }
  for (unsigned index : useful.set_bits()) {
    if (index < carryCount)
      gradientCarries.push_back(index);
    else
      gradientOutputs.push_back(index);
  }
}

LogicalResult ScanGradient::writeBody() {
  Block &body = op.getBody().front();
  block = &scratch.emplaceBlock();
  mlir::IRMapping map;
  for (BlockArgument argument : body.getArguments())
    map.map(argument, block->addArgument(argument.getType(), argument.getLoc()));
  Operation *terminator = body.getTerminator();
  SmallVector<Value> gradientArguments;
  for (unsigned index : gradientCarries)
    gradientArguments.push_back(block->addArgument(op.getInits()[index].getType(), op.getLoc()));
  for (unsigned index : gradientOutputs)
    gradientArguments.push_back(block->addArgument(terminator->getOperand(index).getType(), op.getLoc()));

  Emit e = outer.emit(op);
  for (auto [position, index] : llvm::enumerate(llvm::concat<const unsigned>(gradientCarries, gradientOutputs))) {
    Value g = outer.gradient(op.getResult(index));
    incoming[gradientArguments[position]] = g ? g : e.splatLike(op.getResult(index), 0);
  }

  mlir::OpBuilder::InsertionGuard guard(outer.builder);
  outer.builder.setInsertionPointToEnd(block);
  SmallVector<Operation *> ops;
  for (Operation &nested : body.without_terminator())
    ops.push_back(outer.builder.clone(nested, map));
  boundary = outer.builder.clone(*terminator, map);

  ValueSet active(captured.begin(), captured.end());
  for (unsigned index : activeCarries.set_bits())
    active.insert(carries()[index]);
  for (auto [argument, sequence] : llvm::zip_equal(sequences(), op.getSequences()))
    if (outer.wants(sequence))
      active.insert(argument);
  spreadActivity(ops, active);
  Backward inner(outer.builder, active);
  for (auto [position, index] : llvm::enumerate(llvm::concat<const unsigned>(gradientCarries, gradientOutputs)))
    inner.give(boundary->getOperand(index), gradientArguments[position]);
  if (mlir::failed(inner.run(ops)))
    return failure();

  Emit inside(outer.builder, op.getLoc());
  for (unsigned index : gradientCarries) {
    Value g = inner.gradient(carries()[index]);
    nextCarryGradients.push_back(g ? g : inside.splatLike(carries()[index], 0));
  }
  for (Value argument : sequences())
    sequenceGradients.push_back(inner.gradient(argument)); // null where there is none
  for (Value value : captured)
    for (Value contribution : inner.contributions(value))
      carried.push_back({value, contribution});
  return success();
}

void ScanGradient::planSums() {
  sums = std::make_unique<LoopSums>(scratch, [this](Value value) {
    return llvm::is_contained(sequences(), value) ||
           (incoming.contains(value) &&
            llvm::cast<BlockArgument>(value).getArgNumber() >= block->getNumArguments() - gradientOutputs.size());
  });
  // Twice: what the first round stacks makes more sums worth while in the second.
  for (int round = 0; round < 2; ++round)
    llvm::erase_if(carried, [&](const std::pair<Value, Value> &contribution) {
      if (!sums->plan(contribution.second))
        return false;
      hoisted.push_back(contribution);
      return true;
    });
}

/// What the backward loop has to compute: all else in the block is dead.
SmallVector<Value> ScanGradient::roots() {
  SmallVector<Value> values(nextCarryGradients);
  for (Value value : sequenceGradients)
    if (value)
      values.push_back(value);
  for (auto &[value, contribution] : carried)
    values.push_back(contribution);
  llvm::append_range(values, sums->stacks());
  return values;
}

bool isFreeToRepeat(Operation *op) {
  if (llvm::isa<PadOp, ConcatOp, ReverseOp>(op)) // what reads these stands alone as often as not
    return false;
  return isSource(op) || isLayout(op) || (isElementwise(op) && !isDear(op));
}

// Adds what a recomputation of `value` would need saved and is not yet: itself, where it is better saved. Cheap ops are
// repeated where that needs no more bytes saved than their result has; dearer elementwise ones (exp, tanh) where it
// needs a quarter at most (a broadcast lies between); products and reductions never are.
void ScanGradient::collectLeaves(Value value, llvm::SetVector<Value> &leaves) {
  if (saved.contains(value) || leaves.contains(value) || (!isForward(value) && !isCarry(value)))
    return;
  Operation *source = value.getDefiningOp();
  bool cheap = source && isFreeToRepeat(source);
  if (!cheap && !(source && isElementwise(source))) {
    leaves.insert(value);
    return;
  }
  llvm::SetVector<Value> own;
  int64_t cost = 0;
  for (Value operand : usedValues(source))
    collectLeaves(operand, own);
  for (Value leaf : own)
    cost += leaves.contains(leaf) ? 0 : estimatedBytes(leaf.getType());
  if (cost > estimatedBytes(value.getType()) / (cheap ? 1 : 4))
    leaves.insert(value);
  else
    leaves.insert(own.begin(), own.end());
}

void ScanGradient::chooseSaved() {
  SmallVector<Value> work = roots();
  llvm::DenseSet<Operation *> seen;
  llvm::SetVector<Value> needed;
  for (Value stack : sums->stacks())
    if (isForward(stack) || isCarry(stack))
      saved.insert(stack);
  while (!work.empty()) {
    Value value = work.pop_back_val();
    if (isForward(value) || isCarry(value)) {
      needed.insert(value);
      continue;
    }
    Operation *source = value.getDefiningOp();
    if (source && source->getBlock() == block && seen.insert(source).second)
      llvm::append_range(work, usedValues(source));
  }
  SmallVector<Value> ordered(needed.begin(), needed.end());
  llvm::sort(ordered, [&](Value a, Value b) {
    Operation *left = a.getDefiningOp(), *right = b.getDefiningOp();
    return left && right && left != right ? left->isBeforeInBlock(right) : !left && right;
  });
  for (Value value : ordered) {
    llvm::SetVector<Value> leaves;
    collectLeaves(value, leaves);
    saved.insert(leaves.begin(), leaves.end());
  }
  // The closure of what is recomputed.
  work.assign(ordered.begin(), ordered.end());
  while (!work.empty()) {
    Value value = work.pop_back_val();
    if (!isForward(value) || saved.contains(value) || !recomputed.insert(value.getDefiningOp()).second)
      continue;
    llvm::append_range(work, usedValues(value.getDefiningOp()));
  }
}

// The same loop with the saved values as further outputs. It is made from the copied body, in which loops inside have
// been replaced by ones that save what their own backward reads.
void ScanGradient::rebuildForward() {
  mlir::OpBuilder builder(op);
  SmallVector<mlir::Type> outputs;
  for (Value yielded : boundary->getOperands().drop_front(carryCount))
    outputs.push_back(yielded.getType());
  for (Value value : saved)
    outputs.push_back(value.getType());
  forward = builder.create<ScanOp>(op.getLoc(), op.getCount().dims()[0], op.getInits(), op.getSequences(), outputs,
                                   op.getReverse());
  Block &body = forward.getBody().front();
  builder.setInsertionPointToEnd(&body);
  mlir::IRMapping map;
  map.map(block->getArguments().take_front(body.getNumArguments()), body.getArguments());
  for (Operation &nested : *block) {
    if (&nested == boundary)
      break;
    builder.clone(nested, map);
  }
  SmallVector<Value> yields;
  for (Value value : boundary->getOperands())
    yields.push_back(map.lookupOrDefault(value));
  for (Value value : saved)
    yields.push_back(map.lookupOrDefault(value));
  builder.create<YieldOp>(op.getLoc(), yields);
  for (auto [index, value] : llvm::enumerate(saved))
    stacks[value] = forward.getResult(op.getNumResults() + index);
}

void ScanGradient::buildBackward() {
  mlir::OpBuilder &builder = outer.builder;
  Emit e = outer.emit(op);
  // Block values and where they come from in the backward loop: carries, then sequences.
  SmallVector<Value> inits, sequenceOperands, carriedValues, sequenceValues;
  for (size_t position = 0; position < gradientCarries.size(); ++position) {
    Value argument = block->getArgument(1 + carryCount + sequences().size() + position);
    carriedValues.push_back(argument);
    inits.push_back(incoming[argument]);
  }
  llvm::MapVector<Value, Value> totals; // captured value -> sum of its contributions in one step
  {
    mlir::OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToEnd(block);
    for (auto &[value, contribution] : carried)
      totals[value] = totals.contains(value) ? e.add(totals[value], contribution) : contribution;
  }
  for (auto &[value, total] : totals)
    inits.push_back(e.splatLike(value, 0));
  for (auto [argument, sequence] : llvm::zip_equal(sequences(), op.getSequences())) {
    sequenceValues.push_back(argument);
    sequenceOperands.push_back(sequence);
    stacks[argument] = sequence;
  }
  for (Value value : saved) {
    sequenceValues.push_back(value);
    sequenceOperands.push_back(stacks[value]);
  }
  for (Value argument : block->getArguments().take_back(gradientOutputs.size())) {
    sequenceValues.push_back(argument);
    sequenceOperands.push_back(incoming[argument]);
    stacks[argument] = incoming[argument];
  }
  SmallVector<Value> outputs;
  for (Value value : sequenceGradients)
    if (value)
      outputs.push_back(value);
  for (Value value : sums->stacks())
    if (!saved.contains(value))
      outputs.push_back(value);
  SmallVector<mlir::Type> outputTypes;
  for (Value value : outputs)
    outputTypes.push_back(value.getType());

  backward = builder.create<ScanOp>(op.getLoc(), op.getCount().dims()[0], inits, sequenceOperands, outputTypes,
                                    !op.getReverse());
  SmallVector<Value> sumsOfStep;
  for (auto &[value, total] : totals)
    sumsOfStep.push_back(total);
  writeBackward(carriedValues, sequenceValues, outputs, sumsOfStep);
  carried.clear();
  for (auto [index, entry] : llvm::enumerate(totals))
    carried.push_back({entry.first, backward.getResult(gradientCarries.size() + index)});
}

// The body of the backward loop: what is computed again, then the backward ops.
void ScanGradient::writeBackward(ArrayRef<Value> carriedValues, ArrayRef<Value> sequenceValues, ArrayRef<Value> outputs,
                                 ArrayRef<Value> totals) {
  Block &body = backward.getBody().front();
  mlir::OpBuilder &builder = outer.builder;
  mlir::OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(&body);
  mlir::IRMapping map;
  map.map(block->getArgument(0), backward.step());
  for (auto [value, argument] : llvm::zip(carriedValues, backward.carryArgs()))
    map.map(value, argument);
  for (auto [value, argument] : llvm::zip_equal(sequenceValues, backward.sequenceArgs()))
    map.map(value, argument);
  bool behind = false;
  for (Operation &nested : *block) {
    if (&nested == boundary)
      behind = true;
    else if (behind || recomputed.contains(&nested)) {
      // A saved value stays the sequence's, even where its op is cloned for another result.
      SmallVector<std::pair<Value, Value>> kept;
      for (Value result : nested.getResults())
        if (saved.contains(result))
          kept.push_back({result, map.lookup(result)});
      builder.clone(nested, map);
      for (auto &[result, argument] : kept)
        map.map(result, argument);
    }
  }
  SmallVector<Value> yields;
  for (Value value : nextCarryGradients)
    yields.push_back(map.lookupOrDefault(value));
  Emit inside(builder, op.getLoc());
  for (auto [index, total] : llvm::enumerate(totals))
    yields.push_back(inside.add(backward.carryArgs()[gradientCarries.size() + index], map.lookupOrDefault(total)));
  for (auto [index, value] : llvm::enumerate(outputs)) {
    yields.push_back(map.lookupOrDefault(value));
    stacks.try_emplace(value, backward.getResult(backward.numCarries() + index));
  }
  builder.create<YieldOp>(op.getLoc(), yields);
  eraseUnread(body);
}

void ScanGradient::distribute() {
  for (auto [position, index] : llvm::enumerate(gradientCarries))
    outer.give(op.getInits()[index], backward.getResult(position));
  size_t next = gradientCarries.size() + carried.size();
  for (auto [index, value] : llvm::enumerate(sequenceGradients))
    if (value)
      outer.give(op.getSequences()[index], backward.getResult(next++));
  for (auto &[value, total] : carried)
    outer.give(value, total);
  Emit e = outer.emit(op);
  for (auto &[value, contribution] : hoisted)
    outer.give(value, sums->build(e, contribution, [&](Value part) { return stacks.at(part); }));
}

LogicalResult ScanGradient::run() {
  findCaptured();
  findActiveCarries();
  findUsefulCarries();
  if (gradientCarries.empty() && gradientOutputs.empty())
    return success();
  if (mlir::failed(writeBody()))
    return failure();
  planSums();
  chooseSaved();
  rebuildForward();
  buildBackward();
  distribute();
  op->replaceAllUsesWith(forward.getResults().take_front(op.getNumResults()));
  op.erase();
  return success();
}

} // namespace

LogicalResult scanRule(ScanOp op, Backward &b) { return ScanGradient(op, b).run(); }

} // namespace kiln
