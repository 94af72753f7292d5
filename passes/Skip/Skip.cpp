// Selects by a mask of rows, and what they alone read.
#include "passes/Skip/Skip.h"

#include "passes/Skip/Rows.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/SetVector.h"

#include <functional>

namespace kiln {

#define GEN_PASS_DEF_SKIP
#include "passes/Skip/Skip.h.inc"

using llvm::SmallVector;
using mlir::Operation;
using mlir::Value;

namespace {

/// A constant, or one repeated to a shape that is known later.
bool isConstant(Value value) { return unmoved(value).getDefiningOp<ConstantOp>() != nullptr; }

/// The mask that is repeated along rows; null where the condition is of elements.
Value maskOf(SelectOp select) {
  Value mask = select.getCondition();
  while (auto reshape = mask.getDefiningOp<ReshapeOp>())
    mask = reshape.getOperand();
  auto broadcast = mask.getDefiningOp<BroadcastOp>();
  if (!broadcast || productOf(dimsOf(broadcast.getOperand())) == productOf(dimsOf(broadcast.getResult())))
    return {};
  mask = broadcast.getOperand();
  return isConstant(mask) ? Value() : mask;
}

/// The ops of the select's block that nothing but it reads, in the block's order, itself last; without constants, the
/// mask, and what it takes where that says no.
SmallVector<Operation *> ownOps(SelectOp select, Value mask) {
  llvm::SetVector<Operation *> own;
  own.insert(select);
  mlir::Block *block = select->getBlock();
  auto isOwn = [&](Operation *op) {
    return op != mask.getDefiningOp() && op != select.getOnFalse().getDefiningOp() && op->getNumRegions() == 0 &&
           !op->use_empty() && mlir::isPure(op) && !llvm::isa<ConstantOp>(op) &&
           llvm::all_of(op->getUsers(), [&](Operation *user) { return own.contains(user); });
  };
  llvm::SmallSetVector<Operation *, 16> next;
  auto addSources = [&](mlir::ValueRange operands) {
    for (Value operand : operands)
      if (Operation *source = operand.getDefiningOp(); source && source->getBlock() == block)
        next.insert(source);
  };
  addSources({select.getCondition(), select.getOnTrue()});
  while (!next.empty()) { // one whose readers are not all seen yet comes again with the last of them
    Operation *op = next.pop_back_val();
    if (!isOwn(op))
      continue;
    own.insert(op);
    addSources(op->getOperands());
  }
  SmallVector<Operation *> ops = own.takeVector();
  llvm::sort(ops, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  return ops;
}

/// The parameter that a product's operand is, stored in whatever form; null for anything else.
mlir::BlockArgument parameterOf(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (!readsInPlace(op))
      return {};
    value = op->getOperand(0);
  }
  auto argument = llvm::cast<mlir::BlockArgument>(value);
  auto function = llvm::dyn_cast<mlir::func::FuncOp>(argument.getOwner()->getParentOp());
  return function && function.getArgAttr(argument.getArgNumber(), "kiln.parameter") ? argument : mlir::BlockArgument();
}

/// Bytes of the parameters that products among the ops read.
int64_t matrixBytes(llvm::ArrayRef<Operation *> ops) {
  int64_t bytes = 0;
  for (Operation *op : ops)
    if (auto product = llvm::dyn_cast<DotGeneralOp>(op))
      for (Value operand : product->getOperands())
        if (mlir::BlockArgument parameter = parameterOf(operand))
          bytes += estimatedBytes(parameter.getType());
  return bytes;
}

/// Constants within a region are its own.
void ownConstants(mlir::Block &block) {
  mlir::IRMapping copies;
  SmallVector<mlir::OpOperand *> outside;
  block.walk([&](Operation *op) {
    for (mlir::OpOperand &operand : op->getOpOperands())
      if (operand.get().getParentBlock() != &block && isConstant(operand.get()))
        outside.push_back(&operand);
  });
  mlir::OpBuilder b = mlir::OpBuilder::atBlockBegin(&block);
  std::function<void(Value)> copy = [&](Value value) {
    Operation *op = value.getDefiningOp();
    if (copies.contains(value))
      return;
    for (Value operand : op->getOperands())
      copy(operand);
    b.clone(*op, copies);
  };
  for (mlir::OpOperand *operand : outside) {
    copy(operand->get());
    operand->set(copies.lookup(operand->get()));
  }
}

/// What adds the select to a value that is there already, and is its only reader; null for others.
AddOp sumOf(SelectOp select) {
  if (!select.getResult().hasOneUse())
    return {};
  auto sum = llvm::dyn_cast<AddOp>(*select->user_begin());
  return sum && sum->getBlock() == select->getBlock() && sum.getType() == select.getType() ? sum : AddOp();
}

/// A sum with what the select gives is made within the branch, so that a mixture holds one sum, and not each expert's
/// part of it.
void makeBranch(SelectOp select, Value mask, llvm::ArrayRef<Operation *> ops) {
  AddOp sum = sumOf(select);
  Operation *last = sum ? sum.getOperation() : select.getOperation();
  mlir::OpBuilder b(last);
  Emit e(b, select.getLoc());
  Value any = mask;
  if (rankOf(mask) > 0)
    any = e.reduce(ReduceKind::any, mask, axesUpTo(rankOf(mask)));
  auto branch = e.create<IfOp>(mlir::TypeRange{select.getType()}, any);
  last->getResult(0).replaceAllUsesWith(branch.getResult(0));
  mlir::Block *taken = b.createBlock(&branch.getThenRegion());
  mlir::Block *other = b.createBlock(&branch.getElseRegion());
  mlir::IRMapping map;
  map.map(select.getResult(), select.getOnFalse());
  Value otherwise = sum ? Value(b.clone(*sum, map)->getResult(0)) : select.getOnFalse();
  e.create<YieldOp>(mlir::ValueRange{otherwise});
  for (Operation *op : ops)
    op->moveBefore(taken, taken->end());
  if (sum)
    sum->moveBefore(taken, taken->end());
  b.setInsertionPointToEnd(taken);
  e.create<YieldOp>(mlir::ValueRange{last->getResult(0)});
  ownConstants(*taken);
  ownConstants(*other);
}

/// The rows that have chosen, in blocks, where their number may be above `rows`; false where the ops mix rows, and
/// where what they give is no term of a sum: a mask alone, of sequences that end say, leaves out too few rows.
bool makeLoop(SelectOp select, llvm::ArrayRef<Operation *> ops, int64_t rows) {
  std::optional<RowMask> mask = rowMaskOf(select);
  AddOp sum = sumOf(select);
  if (!mask || !sum)
    return false;
  mlir::OpBuilder b(sum);
  Emit e(b, select.getLoc());
  Value before = sum.getLhs() == select.getResult() ? sum.getRhs() : sum.getLhs();
  Value made = takeRows(e, select, *mask, before, ops, rows);
  if (!made)
    return false;
  sum.replaceAllUsesWith(made);
  sum.erase();
  for (Operation *op : llvm::reverse(ops))
    op->erase();
  return true;
}

struct Skip : impl::SkipBase<Skip> {
  using SkipBase::SkipBase;

  void runOnOperation() override {
    for (auto function : getOperation().getOps<mlir::func::FuncOp>()) {
      SmallVector<SelectOp> selects;
      function.walk([&](SelectOp select) { selects.push_back(select); });
      Bounds bounds = boundsOf(function);
      for (SelectOp select : selects) {
        Value mask = maskOf(select);
        if (!mask)
          continue;
        SmallVector<Operation *> ops = ownOps(select, mask);
        if (matrixBytes(ops) < bytes)
          continue;
        Dim count = productOf(dimsOf(mask));
        bool isMany = upperBound(count, bounds).value_or(rows + 1) > rows;
        if (!(isMany && makeLoop(select, ops, rows)) && count.constant().value_or(0) <= rows)
          makeBranch(select, mask, ops);
      }
    }
  }
};

} // namespace
} // namespace kiln
