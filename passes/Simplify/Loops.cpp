// What does not change leaves a loop; what nobody reads is not carried.

#include "passes/Simplify/Patterns.h"

#include "ir/Classes.h"
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

/// A loop taken apart, to be put together anew with other carries, sequences and outputs.
struct LoopParts {
  explicit LoopParts(ScanOp op)
      : op(op), inits(op.getInits()), sequences(op.getSequences()),
        yields(op.getBody().front().getTerminator()->getOperands()) {}

  /// Makes the new loop from the body as it is now; block arguments have to agree with `inits` and `sequences`.
  ScanOp build(PatternRewriter &rewriter) {
    rewriter.setInsertionPoint(op);
    SmallVector<mlir::Type> outputs;
    for (Value value : ArrayRef<Value>(yields).drop_front(inits.size()))
      outputs.push_back(value.getType());
    auto made =
        rewriter.create<ScanOp>(op.getLoc(), op.getCount().dims()[0], inits, sequences, outputs, op.getReverse());
    Operation *terminator = op.getBody().front().getTerminator();
    rewriter.modifyOpInPlace(terminator, [&] { terminator->setOperands(yields); });
    made.getBody().takeBody(op.getBody());
    return made;
  }

  ScanOp op;
  SmallVector<Value> inits, sequences, yields;
};

//===-- What is not used -----------------------------------------------------------------------------------------===//

/// Carries and outputs that lead to a used result.
BitVector liveYields(ScanOp op) {
  BitVector live(op->getNumResults());
  for (auto [index, result] : llvm::enumerate(op.getResults()))
    live[index] = !result.use_empty();
  growLive(op.getBody().front(), /*first=*/1, op.numCarries(), live);
  return live;
}

/// The same value as output `index`, from outside the loop or from an earlier result that stays; null where there is
/// none.
Value elsewhere(Emit &e, ScanOp op, ArrayRef<Value> yields, size_t index, const BitVector &dropped) {
  for (auto [argument, sequence] : llvm::zip_equal(op.sequenceArgs(), op.getSequences()))
    if (argument == yields[index])
      return sequence;
  if (isInvariant(op, yields[index])) {
    SmallVector<int64_t> axes;
    for (int64_t axis = 0; axis < rankOf(yields[index]); ++axis)
      axes.push_back(axis + 1);
    return e.broadcastTo(outsideOf(e, op, yields[index]), axes, dimsOf(op.getResult(index)));
  }
  for (size_t other = op.numCarries(); other < index; ++other)
    if (!dropped[other] && yields[other] == yields[index])
      return op.getResult(other);
  return {};
}

LogicalResult dropUnused(ScanOp op, PatternRewriter &rewriter) {
  Block &body = op.getBody().front();
  LoopParts parts(op);
  BitVector dropYield = liveYields(op).flip(), dropArgument(body.getNumArguments());
  SmallVector<Value> replacements(op->getNumResults());
  Emit e(rewriter, op.getLoc());
  size_t carries = op.numCarries();
  for (size_t index = 0; index < carries; ++index)
    if (dropYield[index] || parts.yields[index] == op.carryArgs()[index]) {
      // Dead, or never changed.
      dropYield.set(index);
      dropArgument.set(1 + index);
      replacements[index] = op.getInits()[index];
    }
  for (size_t index = carries; index < parts.yields.size(); ++index)
    if (!dropYield[index] && (replacements[index] = elsewhere(e, op, parts.yields, index, dropYield)))
      dropYield.set(index);
  SmallVector<std::pair<size_t, size_t>> merged;
  for (size_t index = 0; index < parts.sequences.size(); ++index) {
    size_t first = llvm::find(parts.sequences, parts.sequences[index]) - parts.sequences.begin();
    if (first != index)
      merged.push_back({index, first});
    if (first != index || op.sequenceArgs()[index].use_empty())
      dropArgument.set(1 + carries + index);
  }
  if (dropYield.none() && dropArgument.none())
    return failure();

  for (auto [index, first] : merged)
    rewriter.replaceAllUsesWith(op.sequenceArgs()[index], op.sequenceArgs()[first]);
  // A merged sequence may have given its uses to one that had none.
  for (size_t index = 0; index < parts.sequences.size(); ++index)
    if (!op.sequenceArgs()[index].use_empty())
      dropArgument.reset(1 + carries + index);
  for (size_t index = 0; index < carries; ++index)
    if (dropArgument[1 + index])
      rewriter.replaceAllUsesWith(op.carryArgs()[index], op.getInits()[index]);
  SmallVector<Value> inits, sequences, yields, kept;
  for (size_t index = 0; index < parts.yields.size(); ++index)
    if (!dropYield[index]) {
      yields.push_back(body.getTerminator()->getOperand(index));
      kept.push_back(op.getResult(index));
      if (index < carries)
        inits.push_back(parts.inits[index]);
    }
  for (size_t index = 0; index < parts.sequences.size(); ++index)
    if (!dropArgument[1 + carries + index])
      sequences.push_back(parts.sequences[index]);
  parts.inits = inits;
  parts.sequences = sequences;
  parts.yields = yields;
  body.eraseArguments(dropArgument);
  ScanOp made = parts.build(rewriter);
  for (auto [index, replacement] : llvm::enumerate(replacements))
    if (replacement)
      rewriter.replaceAllUsesWith(op.getResult(index), replacement);
  for (auto [from, to] : llvm::zip_equal(kept, made.getResults()))
    rewriter.replaceAllUsesWith(from, to);
  rewriter.eraseOp(op);
  return success();
}

//===-- What need not be in the loop -----------------------------------------------------------------------------===//

LogicalResult hoist(ScanOp op, PatternRewriter &rewriter) {
  if (!hoistInvariants(op))
    return failure();
  return rewriter.modifyOpInPlace(op, [] {}), success();
}

/// Whether the value of each step can be computed for all steps at once from the loop's sequences.
bool followsSequences(ScanOp op, Value value) {
  if (llvm::is_contained(op.sequenceArgs(), value))
    return true;
  Operation *source = value.getDefiningOp();
  if (!source || source->getBlock() != &op.getBody().front())
    return false;
  if (auto gather = llvm::dyn_cast<GatherOp>(source))
    return gather.getAxis() == 0 && gather.getBatchDims() == 0 && isInvariant(op, gather.getOperand()) &&
           followsSequences(op, gather.getIndices());
  if (llvm::isa<ConvertOp, ReluOp>(source))
    return followsSequences(op, source->getOperand(0));
  if (llvm::isa<ConcatOp>(source))
    return llvm::all_of(source->getOperands(), [&](Value part) { return followsSequences(op, part); });
  return false;
}

/// The values of all steps, stacked along a new first axis.
Value stackedFromSequences(Emit &e, ScanOp op, Value value) {
  for (auto [argument, sequence] : llvm::zip_equal(op.sequenceArgs(), op.getSequences()))
    if (argument == value)
      return sequence;
  if (auto gather = value.getDefiningOp<GatherOp>())
    return e.gather(outsideOf(e, op, gather.getOperand()), stackedFromSequences(e, op, gather.getIndices()), 0);
  if (auto convert = value.getDefiningOp<ConvertOp>())
    return e.convertTo(stackedFromSequences(e, op, convert.getOperand()), elementOf(value));
  if (auto concat = value.getDefiningOp<ConcatOp>()) {
    SmallVector<Value> parts;
    for (Value part : concat.getInputs())
      parts.push_back(stackedFromSequences(e, op, part));
    return e.concat(parts, static_cast<int64_t>(concat.getAxis()) + 1);
  }
  return e.op<ReluOp>(stackedFromSequences(e, op, value.getDefiningOp()->getOperand(0)));
}

DotAxes shifted(DotGeneralOp dot, bool left) {
  DotAxes axes{{}, {}, SmallVector<int64_t, 4>(dot.getLhsContract()), SmallVector<int64_t, 4>(dot.getRhsContract())};
  for (int64_t &axis : left ? axes.lhsContract : axes.rhsContract)
    ++axis;
  return axes;
}

/// dot(x_t, w) for all t: the time axis becomes one more free axis of x, and the first of the result.
Value stackedProduct(Emit &e, ScanOp op, DotGeneralOp dot, Value stacked, bool left) {
  mlir::Type element = elementOf(dot.getResult());
  if (left)
    return e.dot(stacked, outsideOf(e, op, dot.getRhs()), shifted(dot, true), element);
  Value product = e.dot(outsideOf(e, op, dot.getLhs()), stacked, shifted(dot, false), element);
  // [free of lhs, time, free of rhs]
  int64_t time = rankOf(dot.getLhs()) - static_cast<int64_t>(dot.getLhsContract().size());
  SmallVector<int64_t> permutation = {time};
  for (int64_t axis = 0; axis < rankOf(product); ++axis)
    if (axis != time)
      permutation.push_back(axis);
  return e.transposed(product, permutation);
}

// dot(x_t, w) in each step, with x a sequence: one product over all steps before the loop.
LogicalResult hoistProducts(ScanOp op, PatternRewriter &rewriter) {
  Block &body = op.getBody().front();
  for (auto dot : body.getOps<DotGeneralOp>()) {
    bool left = followsSequences(op, dot.getLhs()) && isInvariant(op, dot.getRhs());
    bool right = !left && followsSequences(op, dot.getRhs()) && isInvariant(op, dot.getLhs());
    if ((!left && !right) || !dot.getLhsBatch().empty())
      continue;
    LoopParts parts(op);
    rewriter.setInsertionPoint(op);
    Emit e(rewriter, dot.getLoc());
    Value stacked = stackedFromSequences(e, op, left ? dot.getLhs() : dot.getRhs());
    parts.sequences.push_back(stackedProduct(e, op, dot, stacked, left));
    Value argument = body.addArgument(dot.getType(), dot.getLoc());
    rewriter.replaceOp(dot, argument);
    ScanOp made = LoopParts(parts).build(rewriter);
    rewriter.replaceOp(op, made.getResults());
    return success();
  }
  return failure();
}

//===-- Products with a concat ------------------------------------------------------------------------------------===//

/// Neighbours among a concat's parts that are, or are not, known before the loop, as one value.
struct Run {
  SmallVector<Value> parts;
  bool before;
};

SmallVector<Run> runsOf(ScanOp op, ConcatOp concat) {
  SmallVector<Run> runs;
  for (Value part : concat.getInputs()) {
    bool before = followsSequences(op, part);
    if (runs.empty() || runs.back().before != before)
      runs.push_back({{}, before});
    runs.back().parts.push_back(part);
  }
  return runs;
}

/// The sum of the runs' products, each with its own part of what all steps multiply by.
Value sumOfRuns(Emit &e, ScanOp op, DotGeneralOp dot, ArrayRef<Run> runs, bool left) {
  auto concat = (left ? dot.getLhs() : dot.getRhs()).getDefiningOp<ConcatOp>();
  int64_t axis = static_cast<int64_t>(concat.getAxis());
  ArrayRef<int64_t> own = left ? dot.getLhsContract() : dot.getRhsContract();
  int64_t along = (left ? dot.getRhsContract() : dot.getLhsContract())[llvm::find(own, axis) - own.begin()];
  DotAxes axes{{}, {}, SmallVector<int64_t, 4>(dot.getLhsContract()), SmallVector<int64_t, 4>(dot.getRhsContract())};
  Value matrix = outsideOf(e, op, left ? dot.getRhs() : dot.getLhs()), sum;
  Dim begin = 0;
  for (const Run &run : runs) {
    Value part = e.concat(run.parts, axis);
    Dim size = dimsOf(part)[axis];
    Value rows = e.sliceAxis(matrix, along, begin, size);
    Value product = e.dot(left ? part : rows, left ? rows : part, axes, elementOf(dot.getResult()));
    sum = sum ? e.add(sum, product) : product;
    begin = begin + size;
  }
  return sum;
}

// dot(concat(x_t, h), w), as cells are written from their equations: x's product, which hoistProducts takes before the
// loop, and h's. Not where sums are narrower than f32, since each is rounded; nor of blocks of numbers, which products
// alone read as they lie.
LogicalResult splitConcat(ScanOp op, PatternRewriter &rewriter) {
  for (auto dot : op.getBody().front().getOps<DotGeneralOp>()) {
    mlir::Type element = elementOf(dot.getResult());
    if (!dot.getLhsBatch().empty() || !(element.isF32() || element.isF64()))
      continue;
    for (bool left : {true, false}) {
      auto concat = (left ? dot.getLhs() : dot.getRhs()).getDefiningOp<ConcatOp>();
      Value matrix = left ? dot.getRhs() : dot.getLhs();
      if (!concat || concat->getBlock() != dot->getBlock() || !isInvariant(op, matrix) ||
          (matrix.getDefiningOp() && widensBlocks(matrix.getDefiningOp())) ||
          !llvm::is_contained(left ? dot.getLhsContract() : dot.getRhsContract(),
                              static_cast<int64_t>(concat.getAxis())))
        continue;
      SmallVector<Run> runs = runsOf(op, concat);
      if (runs.size() == 1)
        continue;
      rewriter.setInsertionPoint(dot);
      Emit e(rewriter, dot.getLoc());
      return rewriter.replaceOp(dot, sumOfRuns(e, op, dot, runs, left)), success();
    }
  }
  return failure();
}

/// The side of a product that is the same in all steps, as `left` of the other one; nullopt for other products.
std::optional<bool> varyingSide(ScanOp op, DotGeneralOp dot) {
  bool lhs = isInvariant(op, dot.getLhs()), rhs = isInvariant(op, dot.getRhs());
  if (lhs == rhs || !dot.getLhsBatch().empty())
    return std::nullopt;
  return rhs;
}

bool leadsToProduct(ScanOp op, Value value) {
  Operation *source = value.getDefiningOp();
  if (!source || source->getBlock() != &op.getBody().front() || !value.hasOneUse())
    return false;
  if (auto dot = llvm::dyn_cast<DotGeneralOp>(source))
    return varyingSide(op, dot).has_value();
  return isElementwise(source) && source->getNumResults() == 1 &&
         llvm::any_of(source->getOperands(), [&](Value operand) { return leadsToProduct(op, operand); });
}

/// The values of the body that have to be stacked for `value` to be computed behind the loop.
void collectStacks(ScanOp op, Value value, llvm::SetVector<Value> &stacks) {
  if (isInvariant(op, value))
    return;
  if (!leadsToProduct(op, value)) {
    stacks.insert(value);
    return;
  }
  Operation *source = value.getDefiningOp();
  if (auto dot = llvm::dyn_cast<DotGeneralOp>(source)) {
    stacks.insert(*varyingSide(op, dot) ? dot.getLhs() : dot.getRhs());
    return;
  }
  for (Value operand : source->getOperands())
    collectStacks(op, operand, stacks);
}

Value computeBehind(Emit &e, ScanOp op, Value value, const llvm::DenseMap<Value, Value> &stacks) {
  if (auto it = stacks.find(value); it != stacks.end())
    return it->second;
  if (isInvariant(op, value)) {
    SmallVector<int64_t> axes;
    for (int64_t axis = 0; axis < rankOf(value); ++axis)
      axes.push_back(axis + 1);
    SmallVector<Dim> dims = dimsOf(value);
    dims.insert(dims.begin(), op.getCount().dims()[0]);
    return e.broadcastTo(outsideOf(e, op, value), axes, dims);
  }
  Operation *source = value.getDefiningOp();
  if (auto dot = llvm::dyn_cast<DotGeneralOp>(source)) {
    bool left = *varyingSide(op, dot);
    return stackedProduct(e, op, dot, stacks.at(left ? dot.getLhs() : dot.getRhs()), left);
  }
  SmallVector<Value> operands;
  for (Value operand : source->getOperands())
    operands.push_back(computeBehind(e, op, operand, stacks));
  mlir::OperationState state(source->getLoc(), source->getName(), operands,
                             withElement(operands.front().getType(), elementOf(value)), source->getAttrs());
  return e.b.create(state)->getResult(0);
}

// An output that is a product with what does not change (or elementwise ops on one), and nothing else reads: its
// operands become the outputs, and one product over all steps follows the loop.
LogicalResult sinkProducts(ScanOp op, PatternRewriter &rewriter) {
  LoopParts parts(op);
  size_t carries = parts.inits.size();
  for (size_t index = carries; index < parts.yields.size(); ++index) {
    Value value = parts.yields[index];
    if (!leadsToProduct(op, value))
      continue;
    llvm::SetVector<Value> needed;
    collectStacks(op, value, needed);
    int64_t cost = 0;
    for (Value stack : needed)
      if (!llvm::is_contained(parts.yields, stack) && !llvm::is_contained(op.sequenceArgs(), stack))
        cost += estimatedBytes(stack.getType());
    if (cost > 4 * estimatedBytes(value.getType()))
      continue;
    // The old output stays, unread; dropUnused takes it away.
    size_t first = parts.yields.size();
    llvm::append_range(parts.yields, needed);
    ScanOp made = parts.build(rewriter);
    Emit e(rewriter, op.getLoc());
    llvm::DenseMap<Value, Value> stacks;
    for (auto [position, stack] : llvm::enumerate(needed))
      stacks[stack] = made.getResult(first + position);
    rewriter.setInsertionPointAfter(made);
    Value behind = computeBehind(e, made, value, stacks);
    rewriter.replaceAllUsesWith(op.getResult(index), behind);
    for (size_t other = 0; other < first; ++other)
      rewriter.replaceAllUsesWith(op.getResult(other), made.getResult(other));
    rewriter.eraseOp(op);
    return success();
  }
  return failure();
}

} // namespace

void addLoopPatterns(mlir::RewritePatternSet &patterns) {
  addPattern<ScanOp>(patterns, dropUnused);
  addPattern<ScanOp>(patterns, hoist);
  addPattern<ScanOp>(patterns, hoistProducts);
  addPattern<ScanOp>(patterns, splitConcat);
  addPattern<ScanOp>(patterns, sinkProducts);
}

} // namespace kiln
