// Along the time axis, op by op: what stays, what begins elsewhere, what is kept.
#include "frontend/language/DeriveStep.h"
#include "ir/Classes.h"
#include "ir/Recover.h"
#include "ir/Values.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/TypeSwitch.h"

using llvm::SmallVector;

namespace kiln::language {

//===-- Axes -----------------------------------------------------------------------------------------------------===//

StepDeriver::Axis StepDeriver::axisOf(mlir::Value value) const {
  auto found = axes_.find(value);
  return found == axes_.end() ? none : found->second;
}

bool StepDeriver::set(mlir::Value value, Axis axis) {
  if (axis != none)
    axes_[value] = axis;
  return true;
}

/// Of an op each row of whose result is made of those of its operands: what is behind the newest stays there.
bool StepDeriver::setRows(mlir::Operation &op, Axis axis) {
  int64_t late = 0;
  for (mlir::Value operand : op.getOperands())
    late = std::max(late, late_.lookup(operand));
  if (late > 0)
    late_[op.getResult(0)] = late;
  return set(op.getResult(0), axis);
}

bool StepDeriver::mixes(mlir::Operation *op, const std::string &how) {
  if (!failure_.op)
    failure_ = {op, how};
  return false;
}

static bool mentions(const Dim &dim, const Dim &time) {
  return llvm::is_contained(dim.symbols(), time.symbols().front());
}

static bool mentions(llvm::ArrayRef<Dim> dims, const Dim &time) {
  return llvm::any_of(dims, [&](const Dim &dim) { return mentions(dim, time); });
}

static bool mentions(mlir::Value value, const Dim &time) {
  return llvm::isa<mlir::RankedTensorType>(value.getType()) && mentions(dimsOf(value), time);
}

/// Whether the op has a result, or does something, by how long the sequence is.
static bool mentions(mlir::Operation *op, const Dim &time) {
  auto has = [&](mlir::NamedAttribute attribute) {
    auto dims = llvm::dyn_cast<DimsAttr>(attribute.getValue());
    return dims && mentions(dims.dims(), time);
  };
  return llvm::any_of(op->getResults(), [&](mlir::Value result) { return mentions(result, time); }) ||
         llvm::any_of(op->getAttrs(), has);
}

bool mentionsWithin(mlir::Operation &op, const Dim &time) {
  return op
      .walk([&](mlir::Operation *each) {
        return mentions(each, time) ? mlir::WalkResult::interrupt() : mlir::WalkResult::advance();
      })
      .wasInterrupted();
}

bool StepDeriver::derive(mlir::Value tokens) {
  recoverAttention(block_);
  if (!cacheScores(tokens))
    return false;
  axes_[tokens] = 1;
  for (mlir::Operation &op : llvm::make_early_inc_range(block_)) {
    int64_t late = 0;
    for (mlir::Value operand : op.getOperands())
      late = std::max(late, late_.lookup(operand));
    if (!visit(op) || !keepOrder(op))
      return false;
    bool apart = llvm::isa<SliceOp>(op) || (op.getNumResults() == 1 && late_.contains(op.getResult(0)));
    if (late > 0 && !apart)
      return mixes(&op, "later positions with earlier ones");
  }
  return true;
}

bool StepDeriver::visit(mlir::Operation &op) {
  if (done_.contains(&op))
    return true;
  bool reads = false, newest = false, within = false, cut = false;
  op.walk([&](mlir::Operation *each) { // what a region takes from outside too
    for (mlir::Value value : each->getOperands()) {
      reads |= axisOf(value) != none;
      newest |= newest_.contains(value);
      cut |= cut_.contains(value);
    }
    within |= each != &op && mentions(each, time_);
  });
  bool asks = mentions(&op, time_);
  if (within || (asks && llvm::isa<ExtentOp>(op)))
    return mixes(&op, "how long the sequence is");
  if (newest && (reads || asks))
    return mixes(&op, "the newest position with earlier ones");
  if (auto concat = llvm::dyn_cast<ConcatOp>(op); cut && !(concat && isBefore(concat)))
    return mixes(&op, "a part of the sequence");
  if (newest)
    newest_.insert(op.result_begin(), op.result_end());
  if (!reads && !asks)
    return true;
  return llvm::TypeSwitch<mlir::Operation *, bool>(&op)
      .Case([&](ConstantOp) { return source(op); })
      .Case([&](IotaOp iota) { return visitIota(iota); })
      .Case([&](ReshapeOp reshape) { return visitReshape(reshape); })
      .Case([&](TransposeOp transpose) { return visitTranspose(transpose); })
      .Case([&](BroadcastOp broadcast) { return visitBroadcast(broadcast); })
      .Case([&](SliceOp slice) { return visitSlice(slice); })
      .Case([&](ConcatOp concat) { return visitConcat(concat); })
      .Case([&](GatherOp gather) { return visitGather(gather); })
      .Case([&](DotGeneralOp dot) { return visitDot(dot); })
      .Case<AttentionOp, CappedAttentionOp>([&](auto attention) { return visitAttention(attention); })
      .Case([&](ScanOp scan) { return visitScan(scan); })
      .Case([&](CumSumOp) { return visitRunningSum(op); })
      .Case([&](PadOp pad) { return visitPad(pad); })
      .Case([&](ConvolutionOp convolution) { return visitConvolution(convolution); })
      .Case([&](ReduceOp reduce) { return visitOverOthers(op, reduce.getAxes(), true); })
      .Case([&](ArgReduceOp reduce) { return visitOverOthers(op, {static_cast<int64_t>(reduce.getAxis())}, true); })
      .Case<LayerNormOp, RmsNormOp, TopKOp>(
          [&](auto) { return visitOverOthers(op, {rankOf(op.getOperand(0)) - 1}, false); })
      .Case([&](ReverseOp reverse) { return visitOverOthers(op, reverse.getAxes(), false); })
      .Default([&](mlir::Operation *other) {
        if (isElementwise(other))
          return visitElementwise(op);
        if (auto along = other->getAttrOfType<mlir::IntegerAttr>("axis")) // a softmax, a running sum
          return visitOverOthers(op, {along.getInt()}, false);
        return mixes(other, "elements of several positions");
      });
}

/// What is the same at all positions: the one axis that is as long as the sequence, or with earlier positions.
bool StepDeriver::source(mlir::Operation &op) {
  for (mlir::Value result : op.getResults()) {
    Axis axis = none;
    for (auto [i, dim] : llvm::enumerate(dimsOf(result))) {
      if (!mentions(dim, time_))
        continue;
      std::optional<int64_t> before = (dim - time_).constant();
      auto counted = llvm::dyn_cast<IotaOp>(op);
      bool same = counted ? counted.getAxis() != i : llvm::isa<ConstantOp, BroadcastOp>(op);
      bool shared = !before && same && dim.exactDiv(time_); // in any order
      if ((!before && !shared) || axis != none || (before && *before < 0) ||
          (before && *before > 0 && llvm::isa<IotaOp, SliceOp>(op)))
        return mixes(&op, "positions with each other");
      axis = static_cast<Axis>(i);
    }
    set(result, axis);
  }
  return true;
}

bool StepDeriver::visitIota(IotaOp op) {
  if (!source(*op))
    return false;
  if (axisOf(op.getResult()) != static_cast<Axis>(op.getAxis()))
    return true;
  mlir::OpBuilder b(op->getContext());
  b.setInsertionPointAfter(op);
  Emit e(b, op.getLoc());
  mlir::Type element = elementOf(op);
  mlir::Value place = e.broadcastScalar(e.convertTo(position_, element), dimsOf(op.getResult()));
  mlir::Value moved = e.add(op.getResult(), place);
  op.getResult().replaceAllUsesExcept(moved, moved.getDefiningOp());
  set(place, static_cast<Axis>(op.getAxis()));
  return set(moved, static_cast<Axis>(op.getAxis()));
}

bool StepDeriver::visitElementwise(mlir::Operation &op) {
  Axis axis = none;
  for (mlir::Value operand : op.getOperands())
    if (Axis own = axisOf(operand); own != none) {
      if (axis != none && axis != own)
        return mixes(&op, "positions with each other");
      axis = own;
    }
  for (auto [i, dim] : llvm::enumerate(dimsOf(op.getResult(0))))
    if (mentions(dim, time_) && static_cast<Axis>(i) != axis)
      return mixes(&op, "positions with each other");
  return setRows(op, axis);
}

/// Along `axes`, which are not the sequence's; they vanish, or stay.
bool StepDeriver::visitOverOthers(mlir::Operation &op, llvm::ArrayRef<int64_t> axes, bool vanish) {
  Axis axis = axisOf(op.getOperand(0));
  for (mlir::Value operand : llvm::drop_begin(op.getOperands()))
    if (axisOf(operand) != none)
      return mixes(&op, "elements of several positions");
  if (axis == none || llvm::is_contained(axes, axis))
    return mixes(&op, "all positions");
  Axis left = axis - (vanish ? llvm::count_if(axes, [&](int64_t each) { return each < axis; }) : 0);
  for (mlir::Value result : op.getResults())
    set(result, left);
  return true;
}

bool StepDeriver::visitReshape(ReshapeOp op) {
  Axis axis = axisOf(op.getOperand());
  if (axis == none)
    return mixes(op, "the axis of the sequence with another");
  SmallVector<Dim> from = dimsOf(op.getOperand()), to = dimsOf(op.getResult());
  Dim before(1), here(1);
  for (const Dim &dim : llvm::ArrayRef(from).take_front(static_cast<size_t>(axis)))
    before = before * dim;
  for (auto [i, dim] : llvm::enumerate(to)) {
    if (dim == from[static_cast<size_t>(axis)] && here == before)
      return setRows(*op, static_cast<Axis>(i));
    if (mentions(dim, time_))
      return visitShared(op, static_cast<Axis>(i), before, here);
    here = here * dim;
  }
  return mixes(op, "the axis of the sequence with another");
}

bool StepDeriver::visitTranspose(TransposeOp op) {
  for (auto [to, from] : llvm::enumerate(op.getPermutation()))
    if (from == axisOf(op.getOperand()))
      return setRows(*op, static_cast<Axis>(to));
  return mixes(op, "positions with each other");
}

bool StepDeriver::visitBroadcast(BroadcastOp op) {
  Axis axis = axisOf(op.getOperand());
  if (axis == none)
    return source(*op);
  axis = op.getAxes()[static_cast<size_t>(axis)];
  for (auto [i, dim] : llvm::enumerate(dimsOf(op.getResult())))
    if (mentions(dim, time_) && static_cast<Axis>(i) != axis)
      return mixes(op, "positions with each other");
  return set(op.getResult(), axis);
}

bool StepDeriver::visitSlice(SliceOp op) {
  SmallVector<Dim> from = dimsOf(op.getOperand()), to = dimsOf(op.getResult());
  SmallVector<Dim> starts = op.getStarts().dims();
  Axis axis = axisOf(op.getOperand());
  if (axis == none) { // a table's first rows: those from the position on
    if (!source(*op))
      return false;
    axis = axisOf(op.getResult());
    auto at = static_cast<size_t>(axis);
    if (axis == none || mentions(starts, time_) || starts[at] != Dim(0) || op.getStrides()[at] != 1)
      return mixes(op, "rows of a table that are not its first ones");
    mlir::OpBuilder b(op);
    Emit e(b, op.getLoc());
    SmallVector<mlir::Value> places(from.size(), e.splatInt(position_.getType(), 0));
    SmallVector<Dim> sizes(to);
    sizes[at] = from[at];
    mlir::Value rows = e.slice(op.getOperand(), starts, sizes, op.getStrides());
    places[at] = position_;
    mlir::Value moved = e.create<DynamicSliceOp>(op.getType(), rows, places);
    op.getResult().replaceAllUsesWith(moved);
    return set(moved, axis);
  }
  auto at = static_cast<size_t>(axis);
  if (isShared(op.getOperand()))
    return to[at] == from[at] && op.getStrides()[at] == 1 ? set(op.getResult(), axis)
                                                          : mixes(op, "a part of the sequence");
  if (to[at] == Dim(1) && starts[at] == newestOf(op.getOperand()))
    return newest_.insert(op.getResult()), true;
  std::optional<int64_t> start = starts[at].constant(), before = (to[at] - time_).constant();
  if (op.getStrides()[at] != 1 || !start || !before)
    return mixes(op, "a part of the sequence");
  std::optional<int64_t> there = earlier(op.getOperand());
  if (*before >= 0 && there && *start + *before <= *there) // each row at its position, or at a later one
    return set(op.getResult(), axis);
  if (*before >= 0 || *start != 0 || late_.contains(op.getOperand()))
    return mixes(op, "a part of the sequence");
  cut_.insert(op.getResult());
  return true;
}

bool StepDeriver::visitConcat(ConcatOp op) {
  if (isBefore(op))
    return putBefore(op);
  Axis axis = none;
  for (mlir::Value operand : op.getInputs()) {
    Axis own = axisOf(operand);
    if ((axis != none && own != axis) || own == static_cast<Axis>(op.getAxis()) ||
        (own == none && mentions(operand, time_)))
      return mixes(op, "positions with each other");
    axis = own;
  }
  return axis == none ? mixes(op, "positions with each other") : set(op.getResult(), axis);
}

bool StepDeriver::visitGather(GatherOp op) {
  Axis operand = axisOf(op.getOperand()), indices = axisOf(op.getIndices());
  auto along = static_cast<Axis>(op.getAxis()), batch = static_cast<Axis>(op.getBatchDims());
  Axis rank = rankOf(op.getIndices());
  if (operand == none && indices >= batch)
    return set(op.getResult(), along + indices - batch);
  if (operand != none && indices == (operand < batch ? operand : none) && operand != along)
    return set(op.getResult(), operand < along ? operand : operand - 1 + rank - batch);
  return mixes(op, "positions with each other");
}

bool StepDeriver::visitDot(DotGeneralOp op) {
  Axis lhs = axisOf(op.getLhs()), rhs = axisOf(op.getRhs());
  auto freeNumber = [](Axis axis, llvm::ArrayRef<int64_t> batch, llvm::ArrayRef<int64_t> contract) {
    Axis number = 0;
    for (Axis i = 0; i < axis; ++i)
      number += !llvm::is_contained(batch, i) && !llvm::is_contained(contract, i);
    return number;
  };
  auto batches = static_cast<Axis>(op.getLhsBatch().size());
  const auto *pair = llvm::find(op.getLhsBatch(), lhs);
  if (lhs != none && pair != op.getLhsBatch().end()) {
    Axis number = pair - op.getLhsBatch().begin();
    return rhs == op.getRhsBatch()[static_cast<size_t>(number)] ? set(op.getResult(), number)
                                                                : mixes(op, "positions with each other");
  }
  if (lhs != none && rhs != none)
    return mixes(op, "positions with each other");
  if (llvm::is_contained(lhs != none ? op.getLhsContract() : op.getRhsContract(), lhs != none ? lhs : rhs))
    return mixes(op, "all positions");
  if (lhs != none)
    return set(op.getResult(), batches + freeNumber(lhs, op.getLhsBatch(), op.getLhsContract()));
  if (rhs == none || llvm::is_contained(op.getRhsBatch(), rhs))
    return mixes(op, "positions with each other");
  Axis ofLhs = rankOf(op.getLhs()) - batches - static_cast<Axis>(op.getLhsContract().size());
  return set(op.getResult(), batches + ofLhs + freeNumber(rhs, op.getRhsBatch(), op.getRhsContract()));
}

//===-- What is kept ---------------------------------------------------------------------------------------------===//

bool StepDeriver::unbounded(mlir::Operation *op) {
  failure_ = {op, "", true};
  return false;
}

bool StepDeriver::visitScan(ScanOp op) {
  if (op.getCount().size() != 1 || op.getCount().dims()[0] != time_)
    return mixes(op, "positions in a loop that is not over the sequence");
  if (op.getReverse())
    return mixes(op, "earlier positions with later ones (it runs from the end)");
  if (llvm::any_of(op.getSequences(), [&](mlir::Value v) { return axisOf(v) != 0; }) ||
      llvm::any_of(op.getInits(), [&](mlir::Value v) { return axisOf(v) != none; }))
    return mixes(op, "positions with each other");
  bool captures = false;
  op.getBody().walk([&](mlir::Operation *inner) {
    captures |= llvm::any_of(inner->getOperands(), [&](mlir::Value v) { return axisOf(v) != none; });
  });
  if (captures)
    return mixes(op, "the step's position with all others");
  if (mlir::BlockArgument step = op.step(); !step.use_empty()) {
    mlir::OpBuilder b = mlir::OpBuilder::atBlockBegin(step.getOwner());
    Emit e(b, op.getLoc());
    mlir::Value moved = e.add(step, e.convertTo(position_, elementOf(step)));
    step.replaceAllUsesExcept(moved, moved.getDefiningOp());
  }
  for (size_t i = 0; i < op.numCarries(); ++i) {
    std::string name = "carry." + std::to_string(number_++);
    mlir::OpOperand &init = op->getOpOperand(static_cast<unsigned>(i));
    mlir::Value before = states_.read(name, tensorOf(init.get()));
    if (part_ == Part::GoesOn)
      init.set(before);
    states_.write(name, part_ == Part::Opens ? init.get() : op.getResult(static_cast<unsigned>(i)));
    newest_.insert(op.getResult(static_cast<unsigned>(i)));
  }
  for (mlir::Value stacked : llvm::drop_begin(op.getResults(), op.numCarries()))
    set(stacked, 0);
  return true;
}

//===-- Earlier positions ----------------------------------------------------------------------------------------===//

/// The newest position's row along the value's axis.
Dim StepDeriver::newestOf(mlir::Value value) const {
  return dimsOf(value)[static_cast<size_t>(axisOf(value))] - Dim(late_.lookup(value) + 1);
}

/// How many earlier positions stand before the new ones along the value's axis.
std::optional<int64_t> StepDeriver::earlier(mlir::Value value) const {
  return (newestOf(value) + Dim(1) - time_).constant();
}

/// `count` earlier positions and the new ones, `rows`. Where the sequence begins these are `whole`.
mlir::Value StepDeriver::withEarlier(Emit &e, mlir::Value rows, Axis axis, int64_t count, mlir::Value whole) {
  SmallVector<Dim> dims = dimsOf(rows);
  dims[static_cast<size_t>(axis)] = Dim(count);
  std::string name = "window." + std::to_string(number_++);
  mlir::Value before = states_.read(name, tensorType(dims, elementOf(rows)));
  mlir::Value all = part_ == Part::GoesOn ? e.concat({before, rows}, axis) : whole;
  states_.write(name, e.sliceAxis(all, axis, part_ == Part::Opens ? Dim(0) : time_, Dim(count)));
  return all;
}

bool StepDeriver::visitPad(PadOp op) {
  Axis axis = axisOf(op.getOperand());
  if (axis == none || axisOf(op.getValue()) != none)
    return mixes(op, "positions with each other");
  auto at = static_cast<size_t>(axis);
  SmallVector<Dim> low = op.getLow().dims(), high = op.getHigh().dims();
  if (isShared(op.getOperand()) && low[at] == Dim(0) && high[at] == Dim(0) && op.getInterior()[at] == 0)
    return set(op.getResult(), axis);
  std::optional<int64_t> before = low[at].constant(), there = earlier(op.getOperand());
  if (high[at] != Dim(0) || op.getInterior()[at] != 0 || !before || !there)
    return mixes(op, "positions with each other");
  if (*before == 0)
    return set(op.getResult(), axis);
  mlir::OpBuilder b(op->getContext());
  b.setInsertionPointAfter(op);
  Emit e(b, op.getLoc());
  mlir::Value rows = e.sliceAxis(op.getOperand(), axis, Dim(*there), time_);
  low[at] = Dim(0);
  rows = e.pad(rows, op.getValue(), low, high, op.getInterior());
  mlir::Value all = withEarlier(e, rows, axis, *before + *there, op.getResult());
  if (part_ == Part::GoesOn)
    op.getResult().replaceAllUsesWith(all);
  return set(all, axis);
}

/// Whether it puts before the first position what is of none.
bool StepDeriver::isBefore(ConcatOp op) const {
  mlir::Value rows = op.getInputs().back();
  auto slice = cut_.contains(rows) ? rows.getDefiningOp<SliceOp>() : SliceOp();
  return axisOf(slice ? slice.getOperand() : rows) == static_cast<Axis>(op.getAxis()) &&
         llvm::all_of(op.getInputs().drop_back(), [&](mlir::Value each) {
           return axisOf(each) == none && !cut_.contains(each) && !newest_.contains(each) && !mentions(each, time_) &&
                  dimsOf(each)[op.getAxis()].isConstant();
         });
}

bool StepDeriver::putBefore(ConcatOp op) {
  auto axis = static_cast<Axis>(op.getAxis());
  auto at = static_cast<size_t>(axis);
  mlir::Value rows = op.getInputs().back();
  if (cut_.contains(rows))
    rows = rows.getDefiningOp<SliceOp>().getOperand();
  std::optional<int64_t> there = earlier(rows);
  Dim to = dimsOf(op.getResult())[at];
  std::optional<int64_t> left = (to - time_).constant();
  if (!there || !left || *left < 0)
    return mixes(op, "a part of the sequence");
  mlir::OpBuilder b(op->getContext());
  b.setInsertionPointAfter(op);
  Emit e(b, op.getLoc());
  SmallVector<mlir::Value> inputs(op.getInputs().drop_back());
  inputs.push_back(rows);
  mlir::Value whole = e.concat(inputs, axis);
  int64_t count = *(dimsOf(whole)[at] - time_).constant();
  mlir::Value all = withEarlier(e, e.sliceAxis(rows, axis, Dim(*there), time_), axis, count, whole);
  all = e.sliceAxis(all, axis, Dim(0), to);
  op.getResult().replaceAllUsesWith(all);
  return set(all, axis);
}

/// A window over earlier positions and its own. What it has of later ones, where it is padded behind, is to be cut off.
bool StepDeriver::visitConvolution(ConvolutionOp op) {
  Axis axis = axisOf(op.getInput());
  if (axis == none || axisOf(op.getFilter()) != none || axis == 1)
    return mixes(op, "positions with each other");
  if (late_.contains(op.getInput()))
    return mixes(op, "later positions with earlier ones");
  if (axis == 0)
    return set(op.getResult(), axis);
  auto at = static_cast<size_t>(axis), i = at - 2;
  std::optional<int64_t> extent = dimsOf(op.getFilter())[at].constant(), there = earlier(op.getInput());
  SmallVector<int64_t> low(op.getLow());
  int64_t high = op.getHigh()[i];
  if (op.getStrides()[i] != 1 || op.getInputDilation()[i] != 1 || low[i] < 0 || high < 0 || !extent || !there)
    return mixes(op, "positions with each other");
  if (low[i] + *there < (*extent - 1) * op.getFilterDilation()[i])
    return mixes(op, "later positions with earlier ones (pad it before the first position alone)");
  if (low[i] > 0) {
    mlir::OpBuilder b(op);
    Emit e(b, op.getLoc());
    SmallVector<Dim> before(dimsOf(op.getInput()).size(), Dim(0)), behind = before;
    before[at] = Dim(low[i]);
    mlir::Value padded = e.pad(op.getInput(), e.scalar(elementOf(op.getInput()), 0), before, behind);
    op.getInputMutable().assign(padded);
    low[i] = 0;
    op.setLow(low);
    if (!visitPad(padded.getDefiningOp<PadOp>()))
      return false;
  }
  if (high > 0)
    late_[op.getResult()] = high;
  return set(op.getResult(), axis);
}

bool StepDeriver::visitRunningSum(mlir::Operation &running) {
  auto op = llvm::cast<CumSumOp>(running);
  auto axis = static_cast<Axis>(op.getAxis());
  if (axisOf(op.getOperand()) != axis)
    return visitOverOthers(*op, {axis}, false);
  if (op.getReverse())
    return mixes(op, "earlier positions with later ones (it runs from the end)");
  if (dimsOf(op.getResult())[static_cast<size_t>(axis)] != time_)
    return mixes(op, "positions before the first one");
  mlir::OpBuilder b(op->getContext());
  b.setInsertionPointAfter(op);
  Emit e(b, op.getLoc());
  SmallVector<Dim> whole = dimsOf(op.getResult()), dims = whole;
  dims.erase(dims.begin() + axis);
  std::string name = "sum." + std::to_string(number_++);
  mlir::Value before = states_.read(name, tensorType(dims, elementOf(op.getResult())));
  mlir::Value sum = op.getResult();
  if (part_ == Part::GoesOn) {
    sum = e.add(sum, e.broadcastBack(before, {axis}, whole));
    op.getResult().replaceAllUsesExcept(sum, sum.getDefiningOp());
  }
  auto newest = [&](mlir::Value rows) { return e.reshapeTo(e.sliceAxis(rows, axis, time_ - Dim(1), Dim(1)), dims); };
  if (part_ != Part::Opens) // it is 0 by itself
    states_.write(name, op.getExclusive() ? e.add(newest(sum), newest(op.getOperand())) : newest(sum));
  return set(sum, axis);
}

//===-- The newest -----------------------------------------------------------------------------------------------===//

/// A row, with the time axis, of extent 1. A product and what is added to it are made of that row alone.
mlir::Value StepDeriver::lastOf(Emit &e, mlir::Value value, const Dim &row) {
  Axis axis = axisOf(value);
  if (axis == none)
    return value;
  mlir::Operation *op = value.getDefiningOp();
  SmallVector<Dim> dims = dimsOf(value);
  dims[static_cast<size_t>(axis)] = Dim(1);
  bool narrows =
      op && (isElementwise(op) || llvm::isa<DotGeneralOp, BroadcastOp>(op) || llvm::isa<LayerNormOp, RmsNormOp>(op));
  if (!narrows || (!value.use_empty() && !value.hasOneUse())) // others want all of it
    return e.sliceAxis(value, axis, row, Dim(1));
  mlir::IRMapping map;
  for (mlir::Value operand : op->getOperands())
    map.map(operand, lastOf(e, operand, row));
  mlir::Operation *copy = e.b.clone(*op, map);
  copy->getResult(0).setType(tensorType(dims, elementOf(value)));
  return copy->getResult(0);
}

mlir::Value StepDeriver::last(mlir::Value result) {
  Axis axis = axisOf(result);
  if (axis == none || isShared(result))
    return result;
  mlir::OpBuilder b(result.getContext());
  b.setInsertionPointToEnd(&block_);
  Emit e(b, result.getLoc());
  SmallVector<Dim> dims = dimsOf(result);
  dims.erase(dims.begin() + axis);
  return e.reshapeTo(lastOf(e, result, newestOf(result)), dims);
}

} // namespace kiln::language
