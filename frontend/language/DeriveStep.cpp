// Along the time axis, op by op: what stays, what begins elsewhere, what is kept.
#include "frontend/language/DeriveStep.h"
#include "ir/Classes.h"
#include "ir/Recover.h"
#include "ir/Values.h"

#include "mlir/IR/AttrTypeSubElements.h"
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

bool StepDeriver::derive(mlir::Value tokens) {
  recoverAttention(block_);
  axes_[tokens] = 1;
  for (mlir::Operation &op : llvm::make_early_inc_range(block_))
    if (!visit(op))
      return false;
  return true;
}

bool StepDeriver::visit(mlir::Operation &op) {
  bool reads = false, newest = false, within = false;
  op.walk([&](mlir::Operation *each) { // what a region takes from outside too
    for (mlir::Value value : each->getOperands()) {
      reads |= axisOf(value) != none;
      newest |= newest_.contains(value);
    }
    within |= each != &op && mentions(each, time_);
  });
  bool asks = mentions(&op, time_);
  if (within || (asks && llvm::isa<ExtentOp>(op)))
    return mixes(&op, "how long the sequence is");
  if (newest && (reads || asks))
    return mixes(&op, "the newest position with earlier ones");
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
      .Case([&](AttentionOp attention) { return visitAttention(attention); })
      .Case([&](ScanOp scan) { return visitScan(scan); })
      .Case([&](ReduceOp reduce) { return visitOverOthers(op, reduce.getAxes(), true); })
      .Case([&](ArgReduceOp reduce) { return visitOverOthers(op, {static_cast<int64_t>(reduce.getAxis())}, true); })
      .Case<LayerNormOp, RmsNormOp, TopKOp>(
          [&](auto) { return visitOverOthers(op, {rankOf(op.getOperand(0)) - 1}, false); })
      .Case([&](ReverseOp reverse) { return visitOverOthers(op, reverse.getAxes(), false); })
      .Case<ReluOp, SiluOp, SoftplusOp, GeluOp>([&](auto) { return visitElementwise(op); })
      .Default([&](mlir::Operation *other) {
        if (isElementwise(other))
          return visitElementwise(op);
        if (auto along = other->getAttrOfType<mlir::IntegerAttr>("axis")) // a softmax, a running sum
          return visitOverOthers(op, {along.getInt()}, false);
        return mixes(other, "elements of several positions");
      });
}

/// What is the same at all positions: the one axis that is as long as the sequence.
bool StepDeriver::source(mlir::Operation &op) {
  for (mlir::Value result : op.getResults()) {
    Axis axis = none;
    for (auto [i, dim] : llvm::enumerate(dimsOf(result))) {
      if (!mentions(dim, time_))
        continue;
      if (dim != time_ || axis != none)
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
  return set(op.getResult(0), axis);
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
    if (dim == time_ && here == before)
      return set(op.getResult(), static_cast<Axis>(i));
    here = here * dim;
  }
  return mixes(op, "the axis of the sequence with another");
}

bool StepDeriver::visitTranspose(TransposeOp op) {
  for (auto [to, from] : llvm::enumerate(op.getPermutation()))
    if (from == axisOf(op.getOperand()))
      return set(op.getResult(), static_cast<Axis>(to));
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
  if (op.getStrides()[at] == 1 && starts[at] == Dim(0) && to[at] == time_)
    return set(op.getResult(), axis);
  if (to[at] == Dim(1) && starts[at] == time_ - Dim(1))
    return newest_.insert(op.getResult()), true;
  return mixes(op, "a part of the sequence");
}

bool StepDeriver::visitConcat(ConcatOp op) {
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

/// Rows [B, K, T, D] into their cache, which is given.
mlir::Value StepDeriver::cached(Emit &e, const std::string &name, mlir::Value rows) {
  SmallVector<Dim> dims = dimsOf(rows);
  dims[2] = Dim(capacity_);
  mlir::Value cache = states_.read(name, tensorType(dims, elementOf(rows)));
  mlir::Value zero = e.splatInt(position_.getType(), 0);
  mlir::Value next =
      e.create<DynamicUpdateSliceOp>(cache.getType(), cache, rows, mlir::ValueRange{zero, zero, position_, zero});
  states_.write(name, next);
  return next;
}

bool StepDeriver::visitAttention(AttentionOp op) {
  Axis query = axisOf(op.getQuery()), key = axisOf(op.getKey()), value = axisOf(op.getValue());
  if (query == 2 && key == none && value == none && !op.getCausal() && !op.getMask())
    return set(op.getResult(), 2); // over a memory
  if (query != 2 || key != 2 || value != 2)
    return mixes(op, "positions with each other");
  if (!op.getCausal())
    return mixes(op, "later positions with earlier ones (it is not causal)");
  if (op.getMask() || op.getStart())
    return mixes(op, "positions by a mask of its own");
  mlir::OpBuilder b(op);
  Emit e(b, op.getLoc());
  std::string name = std::to_string(number_++);
  op.getKeyMutable().assign(cached(e, "keys." + name, op.getKey()));
  op.getValueMutable().assign(cached(e, "values." + name, op.getValue()));
  op.getStartMutable().assign(position_);
  return set(op.getResult(), 2);
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
    if (!begins_)
      init.set(before);
    states_.write(name, op.getResult(static_cast<unsigned>(i)));
    newest_.insert(op.getResult(static_cast<unsigned>(i)));
  }
  for (mlir::Value stacked : llvm::drop_begin(op.getResults(), op.numCarries()))
    set(stacked, 0);
  return true;
}

//===-- The newest -----------------------------------------------------------------------------------------------===//

/// With the time axis, of extent 1. A product and what is added to it are made of the newest row alone.
mlir::Value StepDeriver::lastOf(Emit &e, mlir::Value value) {
  Axis axis = axisOf(value);
  if (axis == none)
    return value;
  mlir::Operation *op = value.getDefiningOp();
  SmallVector<Dim> dims = dimsOf(value);
  dims[static_cast<size_t>(axis)] = Dim(1);
  bool narrows =
      op && (isElementwise(op) || llvm::isa<DotGeneralOp, BroadcastOp>(op) || llvm::isa<LayerNormOp, RmsNormOp>(op));
  if (!narrows || (!value.use_empty() && !value.hasOneUse())) // others want all of it
    return e.sliceAxis(value, axis, time_ - Dim(1), Dim(1));
  mlir::IRMapping map;
  for (mlir::Value operand : op->getOperands())
    map.map(operand, lastOf(e, operand));
  mlir::Operation *copy = e.b.clone(*op, map);
  copy->getResult(0).setType(tensorType(dims, elementOf(value)));
  return copy->getResult(0);
}

mlir::Value StepDeriver::last(mlir::Value result) {
  Axis axis = axisOf(result);
  if (axis == none)
    return result;
  mlir::OpBuilder b(result.getContext());
  b.setInsertionPointToEnd(&block_);
  Emit e(b, result.getLoc());
  SmallVector<Dim> dims = dimsOf(result);
  dims.erase(dims.begin() + axis);
  return e.reshapeTo(lastOf(e, result), dims);
}

void fixSymbol(mlir::Operation *function, const std::string &symbol, int64_t value) {
  std::map<std::string, Dim> values = {{symbol, Dim(value)}};
  auto fixed = [&](llvm::ArrayRef<Dim> dims) {
    return llvm::to_vector(llvm::map_range(dims, [&](const Dim &dim) { return dim.substitute(values); }));
  };
  mlir::AttrTypeReplacer replacer;
  replacer.addReplacement([&](DimsAttr dims) { return DimsAttr::get(dims.getContext(), fixed(dims.dims())); });
  replacer.addReplacement([&](mlir::RankedTensorType type) -> std::pair<mlir::Type, mlir::WalkResult> {
    return {tensorType(fixed(dimsOf(type)), type.getElementType()), mlir::WalkResult::skip()};
  });
  replacer.recursivelyReplaceElementsIn(function, /*replaceAttrs=*/true, /*replaceLocs=*/false, /*replaceTypes=*/true);
}

} // namespace kiln::language
