// Where the rows lie that have chosen, and the select's ops once more for a block of them.
#include "passes/Skip/Rows.h"

#include "passes/support/AlongRows.h"

#include "mlir/IR/IRMapping.h"

#include <functional>

namespace kiln {

using llvm::ArrayRef;
using llvm::SmallVector;
using mlir::Operation;
using mlir::Value;

namespace {

/// A constant's value, where it is the same everywhere; also of one that is repeated.
std::optional<double> numberOf(Value value) { return splatValue(unmoved(value)); }

/// The ops of a select for some rows, which are one axis: from the select back to what is read.
class SomeRows {
public:
  /// `places` [R] says which rows.
  SomeRows(Emit &e, ArrayRef<Operation *> own, ArrayRef<Dim> rowDims, Value places)
      : e(e), own(own.begin(), own.end()), places(places), local([this](Value value) { return rows(value); }),
        same([this](Value value) { return fixed(value); }), block{dimsOf(places).front(), rowDims, local, same} {}

  /// The rows [R, …] of a value [rows…, …]; null where it does not keep them apart.
  Value rows(Value value) {
    if (Value known = made.lookup(value))
      return known;
    Operation *source = value.getDefiningOp();
    Value result;
    if (std::optional<double> number = numberOf(value))
      result = e.splat(tensorType(block.dims(value), elementOf(value)), *number);
    else if (source && own.contains(source))
      result = alongRows(e, source, block);
    else if (block.begin(value))
      result = gathered(value);
    return result ? made[value] = result : Value();
  }

private:
  Value gathered(Value value) {
    SmallVector<Dim> flat(ArrayRef<Dim>(dimsOf(value)).drop_front(block.rowDims.size()));
    flat.insert(flat.begin(), productOf(block.rowDims));
    return e.gather(e.reshapeTo(value, flat), places, 0);
  }

  /// What is the same for all rows; what only moves or converts it comes along, to be read where it lies.
  Value fixed(Value value) {
    Operation *source = value.getDefiningOp();
    if (!source || !own.contains(source))
      return value;
    if (Value known = moved.lookup(value))
      return known;
    if (!readsInPlace(source))
      return {};
    mlir::IRMapping map;
    for (Value operand : source->getOperands()) {
      Value same = fixed(operand);
      if (!same)
        return {};
      map.map(operand, same);
    }
    return moved[value] = e.b.clone(*source, map)->getResult(0);
  }

  Emit &e;
  llvm::SmallPtrSet<Operation *, 16> own;
  Value places;
  llvm::DenseMap<Value, Value> made, moved; // a value may be both: rows, and what each row is multiplied with
  std::function<Value(Value)> local, same;  // rows and fixed, which the block refers to
  RowsOfBlock block;
};

/// The numbers of the rows that a mask [n] says yes to, in order, and zeros behind them, as many as a block may read.
Value placesOf(Emit &e, Value mask, Value ones, const Dim &block) {
  mlir::Type i32 = e.b.getI32Type();
  Dim count = dimsOf(mask).front(), length = count + block;
  Value before = e.create<CumSumOp>(ones.getType(), ones, 0, /*reverse=*/false, /*exclusive=*/true);
  Value unread = e.broadcastScalar(e.extent(length - Dim(1), i32), {count}); // blocks end in front of the last place
  Value numbers = e.iota({count}, 0, i32);
  return e.scatter(ScatterKind::set, e.splat(tensorType({length}, i32), 0), e.select(mask, before, unread), numbers, 0);
}

/// The body's rows, added to the sum so far; places beyond the last row add 0 to the first one.
Value addBlock(Emit &e, SomeRows &some, SelectOp select, Value sum, Value places, Value left) {
  Value taken = some.rows(select.getOnTrue());
  if (!taken)
    return {};
  SmallVector<Dim> dims = dimsOf(taken);
  Value number = e.iota({dims.front()}, 0, e.b.getI32Type());
  Value isRow = e.compare(Predicate::lt, number, e.broadcastScalar(left, {dims.front()}));
  taken = e.select(e.broadcastTo(isRow, {0}, dims), taken, e.splatLike(taken, 0));
  return e.scatter(ScatterKind::add, sum, places, taken, 0);
}

} // namespace

Value unmoved(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (!isReindexing(op))
      break;
    value = op->getOperand(0);
  }
  return value;
}

std::optional<RowMask> rowMaskOf(SelectOp select) {
  auto broadcast = select.getCondition().getDefiningOp<BroadcastOp>();
  if (!broadcast || numberOf(select.getOnFalse()) != 0.0)
    return std::nullopt;
  SmallVector<Dim> from = dimsOf(broadcast.getOperand()), to = dimsOf(broadcast.getResult());
  size_t count = from.size();
  while (count > 0 && from[count - 1] == Dim(1))
    --count;
  if (count == 0 || count >= to.size() || !isIdentity(broadcast.getAxes().take_front(count)) ||
      ArrayRef<Dim>(from).take_front(count) != ArrayRef<Dim>(to).take_front(count))
    return std::nullopt;
  return RowMask{static_cast<int64_t>(count), broadcast.getOperand()};
}

Value takeRows(Emit &e, SelectOp select, const RowMask &rows, Value sum, ArrayRef<Operation *> own, int64_t most) {
  mlir::Type i32 = e.b.getI32Type();
  SmallVector<Dim> dims = dimsOf(select), rowDims(ArrayRef<Dim>(dims).take_front(static_cast<size_t>(rows.rowAxes)));
  SmallVector<Dim> flat(ArrayRef<Dim>(dims).drop_front(rowDims.size()));
  flat.insert(flat.begin(), productOf(rowDims));
  Dim block = flat.front() + Dim(most) - max(flat.front(), Dim(most)); // the smaller one
  Value mask = e.reshapeTo(rows.mask, {flat.front()}), ones = e.convertTo(mask, i32);
  Value count = e.reduceSum(ones, {0}), places = placesOf(e, mask, ones, block);
  Value start = e.reshapeTo(sum, flat);
  SmallVector<Value> inits = {e.splat(count.getType(), 0), start};
  auto loop = e.create<WhileOp>(mlir::TypeRange(mlir::ValueRange(inits)), inits);
  mlir::OpBuilder::InsertionGuard guard(e.b);
  SmallVector<mlir::Location> locs(2, e.loc);
  mlir::Block *condition = e.b.createBlock(&loop.getCondition(), {}, loop.getResultTypes(), locs);
  e.create<YieldOp>(mlir::ValueRange{e.compare(Predicate::lt, condition->getArgument(0), count)});
  mlir::Block *body = e.b.createBlock(&loop.getBody(), {}, loop.getResultTypes(), locs);
  Value at = body->getArgument(0);
  Value its = e.create<DynamicSliceOp>(tensorType({block}, i32), places, mlir::ValueRange{at});
  SomeRows some(e, own, rowDims, its);
  Value next = addBlock(e, some, select, body->getArgument(1), its, e.sub(count, at));
  if (!next) {
    loop.erase();
    return {};
  }
  e.create<YieldOp>(mlir::ValueRange{e.add(at, e.extent(block, i32)), next});
  e.b.setInsertionPointAfter(loop);
  return e.reshapeTo(loop.getResult(1), dims);
}

} // namespace kiln
