// The walk over a function, what its regions give, and what a sum may meet.

#include "passes/TrainStep/BatchRows.h"

#include "ir/Classes.h"
#include "passes/Differentiate/Differentiate.h"

#include "llvm/ADT/TypeSwitch.h"

namespace kiln {

using llvm::ArrayRef;
using llvm::SmallVector;
using mlir::failed;
using mlir::failure;
using mlir::LogicalResult;
using mlir::Operation;
using mlir::success;
using mlir::Value;

mlir::OpOperand *seedOf(Operation *op) {
  if (!llvm::isa<RandomBitsOp, DecomposableOpInterface>(op) || llvm::isa<CustomOp>(op))
    return nullptr;
  auto *seed = llvm::find_if(op->getOpOperands(), [](mlir::OpOperand &operand) {
    return rankOf(operand.get()) == 0 && elementOf(operand.get()).isUnsignedInteger(32);
  });
  return seed == op->getOpOperands().end() ? nullptr : seed;
}

bool BatchRows::mentions(const Dim &dim) const {
  return llvm::any_of(dim.symbols(), [&](const std::string &symbol) { return llvm::is_contained(symbols_, symbol); });
}

bool BatchRows::mentions(ArrayRef<Dim> dims) const {
  return llvm::any_of(dims, [&](const Dim &dim) { return mentions(dim); });
}

BatchRows::Axis BatchRows::axisOf(Value value) const {
  Axis axis = none;
  for (auto [i, dim] : llvm::enumerate(dimsOf(value))) {
    if (!mentions(dim))
      continue;
    bool whole = llvm::any_of(symbols_, [&](const std::string &symbol) {
      std::optional<Dim> each = dim.exactDiv(Dim::symbol(symbol));
      return each && !mentions(*each);
    });
    axis = axis == none && whole ? static_cast<Axis>(i) : broken;
    if (axis == broken)
      return broken;
  }
  return axis;
}

LogicalResult BatchRows::fail(Operation &op, const std::string &how) {
  Operation *at = whole_ ? whole_ : &op;
  std::string name = nameOf(at).str();
  return at->emitError() << "--shards: this " << name << " " << how
                         << ", and a shard has its own rows of the batch alone: let each row of the loss be computed "
                            "from that row, and the loss be a sum or a mean over them, or build without --shards";
}

void BatchRows::follow(Operation &op) {
  SmallVector<Value> made(op.getResults());
  for (mlir::Region &region : op.getRegions())
    llvm::append_range(made, region.getArguments());
  SmallVector<Value> used = usedValues(&op);
  if (op.hasAttr(perShard) || llvm::any_of(used, [&](Value value) { return own_.contains(value); }))
    own_.insert(made.begin(), made.end());
  if (llvm::isa<StopGradientOp>(op) || llvm::none_of(used, [&](Value value) { return isTrained(value); }))
    return;
  for (Value value : made)
    if (isFloatTensor(value.getType()))
      trained_.insert(value);
}

unsigned BatchRows::levelOf(Value total) const {
  SmallVector<Value> work = {total};
  llvm::DenseSet<Value> seen;
  unsigned level = 0;
  while (!work.empty())
    if (Operation *op = work.pop_back_val().getDefiningOp())
      for (Value value : usedValues(op)) {
        if (!seen.insert(value).second)
          continue;
        if (totals_.contains(value))
          level = std::max(level, levelOf(value) + 1);
        else
          work.push_back(value);
      }
  return level;
}

LogicalResult BatchRows::run() {
  do {
    again_ = false;
    sums_.clear();
    trained_.clear();
    own_.clear();
    shares_.clear();
    for (unsigned index : trainableArguments(function_))
      trained_.insert(function_.getArgument(index));
    confirmed_.clear();
    if (failed(visitBlock(function_.front())) && !again_)
      return failure();
  } while (again_);
  // What is made of totals that were found after it alone is the same in all shards: added up, it would be too much.
  totals_.remove_if([&](Value total) { return !confirmed_.contains(total); });
  for (auto [index, operand] : llvm::enumerate(function_.front().getTerminator()->getOpOperands())) {
    auto number = static_cast<unsigned>(index);
    bool counts = function_.getResultAttr(number, "kiln.loss") || function_.getResultAttr(number, "kiln.term");
    // Of a state that is the shard's own the shards' mean is kept.
    bool averages = function_.getResultAttr(number, "kiln.state") && isOwn(operand.get());
    if ((counts || averages) && !isSum(operand.get()))
      shares_.insert(&operand);
  }
  return success();
}

LogicalResult BatchRows::visitBlock(mlir::Block &block) {
  for (Operation &op : block.without_terminator())
    if (failed(visit(op)))
      return failure();
  return success();
}

LogicalResult BatchRows::visit(Operation &op) {
  follow(op);
  for (Value result : op.getResults())
    if (axisOf(result) == broken)
      return fail(op, "joins rows of the batch with each other");
  if (op.hasAttr(perShard) && llvm::none_of(op.getOperands(), [&](Value value) { return isSum(value); }))
    return success();
  return visitOp(op);
}

LogicalResult BatchRows::visitOp(Operation &op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(&op)
      .Case<ConstantOp, RandomBitsOp>([&](auto) { return success(); })
      .Case([&](ExtentOp extent) {
        return whole_ && mentions(extent.getExpr().dims()) ? fail(op, "depends on how many rows there are") : success();
      })
      .Case([&](IotaOp iota) {
        bool alongRows = axisOf(iota.getResult()) == static_cast<Axis>(iota.getAxis());
        return alongRows && (whole_ || op.getParentOfType<CustomOp>()) ? fail(op, "counts the rows of the batch")
                                                                       : success();
      })
      .Case([&](ReduceOp reduce) { return visitReduce(reduce); })
      .Case([&](ReshapeOp reshape) { return visitReshape(reshape); })
      .Case([&](BroadcastOp broadcast) { return visitBroadcast(broadcast); })
      .Case([&](TransposeOp transpose) {
        return isSum(transpose.getOperand()) ? makeSum(transpose.getResult()) : success();
      })
      .Case([&](SliceOp slice) { return visitSlice(slice); })
      .Case([&](PadOp pad) { return visitPad(pad); })
      .Case([&](ConcatOp concat) { return visitConcat(concat); })
      .Case([&](ReverseOp reverse) { return visitAlong(op, reverse.getAxes()); })
      .Case([&](TopKOp top) { return visitAlong(op, {rankOf(top.getOperand()) - 1}); })
      .Case<ReduceWindowOp, ReduceWindowGradOp>([&](auto windows) {
        return visitWindows(op, windows.getWindow(), windows.getStrides(), windows.getLow(), windows.getHigh());
      })
      .Case([&](DotGeneralOp dot) { return visitDot(dot); })
      .Case([&](ConvolutionOp convolution) { return visitConvolution(convolution); })
      .Case([&](GatherOp gather) { return visitGather(gather); })
      .Case([&](ScatterOp scatter) { return visitScatter(scatter); })
      .Case([&](ScanOp scan) { return visitScan(scan); })
      .Case([&](IfOp branch) { return visitIf(branch); })
      .Case([&](WhileOp loop) { return visitWhile(loop); })
      .Case([&](CustomOp custom) { return visitCustom(custom); })
      .Default([&](Operation *other) {
        if (auto composite = llvm::dyn_cast<DecomposableOpInterface>(other))
          return visitComposite(composite);
        if (isElementwise(other))
          return visitElementwise(op);
        auto along = other->getAttrOfType<mlir::IntegerAttr>("axis"); // a running sum, a sort
        if (along && other->getNumOperands() == 1)
          return visitAlong(op, {along.getInt()});
        // Whatever else there is, or will be, is the same in all shards where all that it reads is.
        bool rows = llvm::any_of(usedValues(other), [&](Value value) { return hasRows(value); }) ||
                    llvm::any_of(other->getResults(), [&](Value value) { return hasRows(value); });
        return rows ? fail(op, "reads elements of several rows") : needWhole(op);
      });
}

//===-- Sums -----------------------------------------------------------------------------------------------------===//

LogicalResult BatchRows::makeSum(Value value) {
  (totals_.contains(value) ? confirmed_ : sums_).insert(value);
  return success();
}

LogicalResult BatchRows::needWhole(Operation &op, Value value) {
  if (!isSum(value))
    return success();
  if (!isTrained(value) && value.getParentBlock() != &function_.front())
    return fail(op,
                "needs all of a sum over the batch that is made within a loop, a branch or an op, and not before it");
  if (isTrained(value))
    return fail(op, "needs all of a sum over the batch that the loss's gradient goes through (the root of a mean is "
                    "one; statistics that normalise rows may be each shard's own: mean and var take per_shard=True)");
  totals_.insert(value);
  again_ = true;
  return failure();
}

LogicalResult BatchRows::needWhole(Operation &op) {
  for (Value value : usedValues(&op))
    if (failed(needWhole(op, value)))
      return failure();
  return success();
}

LogicalResult BatchRows::share(mlir::OpOperand &operand) {
  if (std::optional<double> number = splatValue(operand.get()); number && *number == 0)
    return success();
  bool countsWithin = !isFloatTensor(operand.get().getType()) && operand.getOwner()->getParentOfType<CustomOp>();
  if (Operation &op = *operand.getOwner(); whole_ || countsWithin) {
    if (llvm::none_of(usedValues(&op), [&](Value value) { return isSum(value); })) // it makes the sum itself
      return fail(op, "adds something of the rows of the batch to what is not 0 (add it behind)");
    return needWhole(op);
  }
  shares_.insert(&operand);
  return success();
}

LogicalResult BatchRows::visitElementwise(Operation &op) {
  Value result = op.getResult(0);
  unsigned sums = static_cast<unsigned>(llvm::count_if(op.getOperands(), [&](Value value) { return isSum(value); }));
  if (sums == 0)
    return success();
  if (hasRows(result) || elementOf(result).isInteger(1) || elementOf(op.getOperand(0)).isInteger(1))
    return needWhole(op);
  bool floats = isFloatTensor(result.getType());
  auto both = [&](unsigned from) {
    for (mlir::OpOperand &operand : op.getOpOperands().drop_front(from))
      if (!isSum(operand.get()) && failed(share(operand)))
        return failure();
    return makeSum(result);
  };
  mlir::Type from = elementOf(op.getOperand(0));
  bool wraps = from.isInteger() && from.getIntOrFloatBitWidth() < 32; // the shards' sums may, where the whole's does
  if (llvm::isa<NegOp, StopGradientOp>(op) || (llvm::isa<ConvertOp>(op) && floats && !wraps))
    return makeSum(result);
  if (llvm::isa<AddOp, SubOp>(op))
    return both(0);
  if (llvm::isa<MulOp>(op) && sums == 1)
    return makeSum(result);
  if (llvm::isa<MulOp>(op) && floats)
    return failed(needWhole(op, op.getOperand(isTrained(op.getOperand(0)) ? 1 : 0))) ? failure() : makeSum(result);
  if (llvm::isa<DivOp>(op) && floats) {
    if (isSum(op.getOperand(1)) && failed(needWhole(op, op.getOperand(1))))
      return failure();
    return isSum(op.getOperand(0)) ? makeSum(result) : success();
  }
  return needWhole(op);
}

//===-- Regions --------------------------------------------------------------------------------------------------===//

LogicalResult BatchRows::visitScan(ScanOp op) {
  if (mentions(op.getCount().dims()))
    return fail(*op, "goes through the rows of the batch one after another");
  for (auto [argument, sequence] : llvm::zip_equal(op.sequenceArgs(), op.getSequences()))
    if (isSum(sequence))
      sums_.insert(argument);
  Operation *yield = op.getBody().front().getTerminator();
  auto within = [&](mlir::OpOperand *operand) {
    return op.getBody().isAncestor(operand->getOwner()->getParentRegion());
  };
  for (size_t carries = 0;;) { // until no further carried value is a sum
    shares_.remove_if(within); // what was no sum may be one now
    for (auto [i, argument] : llvm::enumerate(op.carryArgs())) {
      mlir::OpOperand &init = op->getOpOperand(static_cast<unsigned>(i));
      bool sum = isSum(init.get()) || isSum(argument) || isSum(yield->getOperand(static_cast<unsigned>(i)));
      if (sum && !isSum(init.get()) && failed(share(init)))
        return failure();
      if (sum)
        sums_.insert(argument);
    }
    if (failed(visitBlock(op.getBody().front())))
      return failure();
    size_t now = static_cast<size_t>(llvm::count_if(op.carryArgs(), [&](Value value) { return isSum(value); }));
    bool more = false;
    for (auto [i, argument] : llvm::enumerate(op.carryArgs()))
      more |= isSum(yield->getOperand(static_cast<unsigned>(i))) && !isSum(argument);
    if (!more && now == carries)
      break;
    carries = now;
  }
  for (auto [i, operand] : llvm::enumerate(yield->getOpOperands())) {
    bool carried = i < op.numCarries();
    if (carried && isSum(op.carryArgs()[i]) && !isSum(operand.get()) && failed(share(operand)))
      return failure();
    if (isSum(operand.get()) || (carried && isSum(op.carryArgs()[i])))
      (void)makeSum(op.getResult(static_cast<unsigned>(i)));
  }
  return success();
}

LogicalResult BatchRows::visitIf(IfOp op) {
  if (failed(needWhole(*op, op.getCondition())))
    return failure();
  SmallVector<Operation *, 2> yields;
  for (mlir::Region *region : {&op.getThenRegion(), &op.getElseRegion()}) {
    if (failed(visitBlock(region->front())))
      return failure();
    yields.push_back(region->front().getTerminator());
  }
  for (unsigned i = 0; i < op.getNumResults(); ++i) {
    if (llvm::none_of(yields, [&](Operation *yield) { return isSum(yield->getOperand(i)); }))
      continue;
    for (Operation *yield : yields)
      if (!isSum(yield->getOperand(i)) && failed(share(yield->getOpOperand(i))))
        return failure();
    (void)makeSum(op.getResult(i));
  }
  return success();
}

/// How often it runs is the same in all shards: its condition reads no rows, but by what fails anyway.
LogicalResult BatchRows::visitWhile(WhileOp op) {
  if (failed(needWhole(*op)))
    return failure();
  for (mlir::Region *region : {&op.getCondition(), &op.getBody()}) {
    if (failed(visitBlock(region->front())))
      return failure();
    for (Value value : region->front().getTerminator()->getOperands())
      if (isSum(value))
        return fail(*op, "sums over the rows of the batch in a loop whose number of steps is computed");
  }
  return success();
}

/// What it is made of decides; a gradient of its own has to give sums for what is the same in all shards.
LogicalResult BatchRows::visitCustom(CustomOp op) {
  auto draws = [&](mlir::Region &region) {
    return region
        .walk([](Operation *inner) {
          return seedOf(inner) ? mlir::WalkResult::interrupt() : mlir::WalkResult::advance();
        })
        .wasInterrupted();
  };
  if (draws(op.getForward()))
    return fail(*op, "draws random numbers within an op of one's own, the same ones for each shard");
  mlir::Block &forward = op.getForward().front();
  for (auto [argument, input] : llvm::zip_equal(forward.getArguments(), op.getInputs()))
    if (isSum(input))
      sums_.insert(argument);
  if (failed(visitBlock(forward)))
    return failure();
  for (auto [result, value] : llvm::zip_equal(op.getResults(), forward.getTerminator()->getOperands()))
    if (isSum(value))
      (void)makeSum(result);
  if (op.getBackward().empty())
    return success();
  mlir::Block &backward = op.getBackward().front();
  for (auto [i, argument] : llvm::enumerate(backward.getArguments())) {
    bool isInput = i < op.getInputs().size();
    Value of = isInput ? op.getInputs()[i] : Value();
    if (!isInput) { // the gradient of what is the same in all shards is made of all of them, of a sum the same
      Value result = op.getResult(static_cast<unsigned>(i - op.getInputs().size()));
      if (!hasRows(result) && !isSum(result))
        sums_.insert(argument);
    } else if (isSum(of)) {
      sums_.insert(argument);
    }
  }
  if (failed(visitBlock(backward)))
    return failure();
  unsigned number = 0;
  for (Value input : op.getInputs()) {
    if (!isFloatTensor(input.getType()))
      continue;
    Value gradient = backward.getTerminator()->getOperand(number++);
    std::optional<double> constant = splatValue(gradient);
    if (hasRows(input) || (constant && *constant == 0))
      continue;
    if (isSum(gradient) == isSum(input))
      return fail(*op, "has a gradient of its own that is no sum over the rows of the batch");
  }
  return success();
}

LogicalResult BatchRows::visitComposite(DecomposableOpInterface op) {
  mlir::Block parts;
  mlir::OpBuilder builder(op->getContext());
  builder.setInsertionPointToEnd(&parts);
  Operation *outer = whole_;
  if (!whole_)
    whole_ = op;
  SmallVector<Value> values = op.decompose(builder);
  LogicalResult visited = success();
  for (Operation &part : parts)
    if (visited.succeeded())
      visited = visit(part);
  whole_ = outer;
  if (visited.succeeded())
    for (auto [result, value] : llvm::zip_equal(op->getResults(), values))
      if (value && isSum(value))
        (void)makeSum(result);
  auto forget = [&](mlir::ValueRange values) { // others may come to lie where they were
    for (Value value : values) {
      sums_.erase(value);
      trained_.erase(value);
      own_.erase(value);
    }
  };
  parts.walk([&](Operation *part) {
    forget(part->getResults());
    for (mlir::Region &region : part->getRegions())
      forget(region.getArguments());
  });
  parts.dropAllReferences();
  return visited;
}

} // namespace kiln
