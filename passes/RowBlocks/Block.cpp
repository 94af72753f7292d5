// Op by op: what has rows, what is a sum over them, and what stays behind the loop.

#include "passes/RowBlocks/Block.h"

#include "ir/Classes.h"
#include "passes/support/AlongRows.h"

#include "mlir/IR/IRMapping.h"

namespace kiln {

using llvm::ArrayRef;
using llvm::SmallVector;
using mlir::Operation;
using mlir::Value;

namespace {

bool beginsWithRows(ArrayRef<int64_t> axes, int64_t rowAxes) {
  return static_cast<int64_t>(axes.size()) >= rowAxes && isIdentity(axes.take_front(static_cast<size_t>(rowAxes))) &&
         llvm::all_of(axes.drop_front(static_cast<size_t>(rowAxes)), [&](int64_t axis) { return axis >= rowAxes; });
}

/// The product of extents; in double, since it may be beyond 64 bits.
double elementsOf(Value value) {
  double count = 1;
  for (const Dim &dim : dimsOf(value))
    count *= static_cast<double>(estimatedBytes(tensorType({dim}, elementOf(value)))) /
             static_cast<double>(elementBytes(value.getType()));
  return count;
}

} // namespace

RowBlock::RowBlock(DotGeneralOp product, RowCut cut)
    : product(product), cut(std::move(cut)), body(&scratch.emplaceBlock()), builder(product.getContext()),
      e(builder, product.getLoc()), size(elementsOf(product)) {
  builder.setInsertionPointToEnd(body);
}

SmallVector<Dim> RowBlock::blockDims(Value value, int64_t rowAxes) const {
  SmallVector<Dim> dims = {cut.rows};
  llvm::append_range(dims, ArrayRef<Dim>(dimsOf(value)).drop_front(static_cast<size_t>(rowAxes)));
  return dims;
}

/// Whether a value with rows is of the product's size, more or less.
bool RowBlock::isFull(Value value) const { return 2 * elementsOf(value) > size; }

//===-- Operands -------------------------------------------------------------------------------------------------===//

/// What is the same for all rows. What only moves or converts a matrix comes along, so that it is read where it lies.
Value RowBlock::fixedOperand(Value value) {
  if (dependsOnRows(value))
    return {};
  Operation *source = value.getDefiningOp();
  if (!source || !(llvm::isa<ConvertOp, TransposeOp>(source) || widensBlocks(source) || isSource(source)))
    return value;
  if (Value known = fixed.lookup(value))
    return known;
  mlir::IRMapping map;
  for (Value operand : source->getOperands())
    map.map(operand, fixedOperand(operand));
  return fixed[value] = builder.clone(*source, map)->getResult(0);
}

Value RowBlock::rowOperand(Value value, int64_t rowAxes) {
  if (auto local = rows.find(value); local != rows.end())
    return local->second.rowAxes == rowAxes ? local->second.value : Value();
  if (behind.contains(value) || rankOf(value) < rowAxes)
    return {};
  if (Value known = fixed.lookup(value))
    return known;
  if (Value made = pulled(value, rowAxes))
    return fixed[value] = made;
  return sequence(value, rowAxes);
}

/// A value that is computed again for each block of what is smaller, or of nothing; null where it is better read.
Value RowBlock::pulled(Value value, int64_t rowAxes) {
  Operation *source = value.getDefiningOp();
  if (!source)
    return {};
  SmallVector<Dim> dims = blockDims(value, rowAxes);
  if (std::optional<double> number = splatValue(value); number && llvm::isa<ConstantOp>(source))
    return e.splat(tensorType(dims, elementOf(value)), *number);
  if (auto iota = llvm::dyn_cast<IotaOp>(source))
    return static_cast<int64_t>(iota.getAxis()) < rowAxes
               ? Value()
               : e.iota(dims, static_cast<int64_t>(iota.getAxis()) - rowAxes + 1, elementOf(value));
  bool cheap = llvm::isa<BroadcastOp>(source) || (isElementwise(source) && source->getNumResults() == 1 &&
                                                  isFull(value) && (!isDear(source) || value.hasOneUse()));
  SmallVector<Dim> whole = dimsOf(value);
  return cheap ? again(source, ArrayRef<Dim>(whole).take_front(static_cast<size_t>(rowAxes))) : Value();
}

Value RowBlock::sequence(Value value, int64_t rowAxes) {
  auto [entry, isNew] = sequences.insert({value, {}});
  if (isNew)
    entry->second = {body->addArgument(tensorType(blockDims(value, rowAxes), elementOf(value)), value.getLoc()),
                     rowAxes};
  return entry->second.rowAxes == rowAxes ? entry->second.value : Value();
}

//===-- Ops along the rows ---------------------------------------------------------------------------------------===//

void RowBlock::writeProduct() {
  int64_t rowAxes = rankOf(product.getLhs()) - 1;
  Value lhs = sequence(product.getLhs(), rowAxes), rhs = fixedOperand(product.getRhs());
  Value made = e.dot(lhs, rhs, {{}, {}, {1}, SmallVector<int64_t, 4>(product.getRhsContract())}, elementOf(product));
  rows[product] = {made, rowAxes};
}

/// The op for a block of rows, which `rowDims` are the originals' leading dimensions of.
Value RowBlock::again(Operation *op, ArrayRef<Dim> rowDims) {
  auto rowAxes = static_cast<int64_t>(rowDims.size());
  return alongRows(e, op,
                   {cut.rows, rowDims, [&](Value value) { return rowOperand(value, rowAxes); },
                    [&](Value value) { return fixedOperand(value); }});
}

/// One that joins or splits rows: [B, T, N] as [B*T, N].
Value RowBlock::alongReshape(ReshapeOp op, int64_t &rowAxes) {
  SmallVector<Dim> from = dimsOf(op.getOperand()), to = dimsOf(op.getResult());
  ArrayRef<Dim> inner = ArrayRef<Dim>(from).drop_front(static_cast<size_t>(rowAxes));
  if (to.size() <= inner.size() || ArrayRef<Dim>(to).take_back(inner.size()) != inner)
    return {};
  Value operand = rowOperand(op.getOperand(), rowAxes);
  rowAxes = static_cast<int64_t>(to.size() - inner.size());
  bool same =
      productOf(ArrayRef<Dim>(from).drop_back(inner.size())) == productOf(ArrayRef<Dim>(to).drop_back(inner.size()));
  return same ? operand : Value();
}

/// The op within a block, where its result has rows: `rowAxes` of its operand's, then of its result's. Null for others.
Value RowBlock::along(Operation *op, int64_t &rowAxes) {
  if (auto reshape = llvm::dyn_cast<ReshapeOp>(op))
    return alongReshape(reshape, rowAxes);
  // What is multiplied or chosen from are the block's own rows, not ones from outside.
  if (llvm::isa<DotGeneralOp, GatherOp>(op) && !rows.contains(op->getOperand(0)))
    return {};
  auto local = llvm::find_if(op->getOperands(), [&](Value operand) { return rows.contains(operand); });
  SmallVector<Dim> dims = dimsOf(*local);
  Value made = again(op, ArrayRef<Dim>(dims).take_front(static_cast<size_t>(rowAxes)));
  reduces |= made && llvm::isa<ReduceOp, ArgReduceOp>(op);
  return made;
}

//===-- Sums over the rows ---------------------------------------------------------------------------------------===//

/// A product summed over all rows of both sides, of which one at least is in the block.
Value RowBlock::totalProduct(DotGeneralOp op, int64_t rowAxes) {
  if (!op.getLhsBatch().empty())
    return {};
  DotAxes axes{{}, {}, {0}, {0}};
  int64_t found = 0;
  for (auto [left, right] : llvm::zip_equal(op.getLhsContract(), op.getRhsContract())) {
    if (left < rowAxes && left == right) {
      ++found;
      continue;
    }
    if (left < rowAxes || right < rowAxes)
      return {};
    axes.lhsContract.push_back(left - rowAxes + 1);
    axes.rhsContract.push_back(right - rowAxes + 1);
  }
  if (found != rowAxes)
    return {};
  for (int64_t axis = 0; axis < rowAxes; ++axis)
    if (dimsOf(op.getLhs())[static_cast<size_t>(axis)] != dimsOf(op.getRhs())[static_cast<size_t>(axis)])
      return {};
  Value lhs = rowOperand(op.getLhs(), rowAxes), rhs = rowOperand(op.getRhs(), rowAxes);
  return lhs && rhs ? e.dot(lhs, rhs, axes, elementOf(op)) : Value();
}

/// A block's share of a sum over all rows; null for other ops.
Value RowBlock::total(Operation *op) {
  auto local = llvm::find_if(op->getOperands(), [&](Value operand) { return rows.contains(operand); });
  int64_t rowAxes = rows[*local].rowAxes;
  if (auto dot = llvm::dyn_cast<DotGeneralOp>(op))
    return totalProduct(dot, rowAxes);
  auto reduce = llvm::dyn_cast<ReduceOp>(op);
  if (!reduce || reduce.getKind() != ReduceKind::sum || !isFull(reduce.getOperand()) ||
      !beginsWithRows(reduce.getAxes(), rowAxes))
    return {};
  SmallVector<int64_t> axes = {0};
  llvm::append_range(axes, behindRows(reduce.getAxes().drop_front(static_cast<size_t>(rowAxes)), rowAxes));
  return e.reduceSum(rowOperand(reduce.getOperand(), rowAxes), axes);
}

//===-- The whole ------------------------------------------------------------------------------------------------===//

/// Writes one op of the block; false where it belongs behind the loop.
bool RowBlock::follow(Operation *op) {
  if (op->getNumRegions() != 0 || op->hasTrait<mlir::OpTrait::IsTerminator>() ||
      llvm::any_of(op->getOperands(), [&](Value operand) { return behind.contains(operand); }))
    return false;
  int64_t rowAxes = 0;
  for (Value operand : op->getOperands())
    if (auto local = rows.find(operand); local != rows.end()) {
      // Where rows have become small but for numbers of them, the loop has done its work.
      if (!isFull(operand) && rankOf(operand) != local->second.rowAxes)
        return false;
      rowAxes = local->second.rowAxes;
    }
  e.loc = op->getLoc();
  if (Value made = along(op, rowAxes)) {
    rows[op->getResult(0)] = {made, rowAxes};
    return true;
  }
  if (Value share = total(op)) {
    totals[op->getResult(0)] = share;
    behind.insert(op->getResult(0));
    return true;
  }
  return false;
}

bool RowBlock::escapes(Value value) const {
  return llvm::any_of(value.getUsers(), [&](Operation *user) { return !written.contains(user); });
}

bool RowBlock::write() {
  writeProduct();
  written.insert(product);
  for (Operation *op = product->getNextNode(); op; op = op->getNextNode()) {
    SmallVector<Value> used = usedValues(op);
    if (llvm::none_of(used, [&](Value value) { return dependsOnRows(value); }))
      continue;
    if (follow(op)) {
      written.insert(op);
      continue;
    }
    after.insert(op);
    behind.insert(op->result_begin(), op->result_end());
  }
  return reduces && llvm::none_of(rows, [&](auto &entry) { return isFull(entry.first) && escapes(entry.first); });
}

void RowBlock::replace() {
  Operation *last = written.back();
  mlir::OpBuilder outside(last);
  Emit o(outside, product.getLoc());
  SmallVector<Value> inits, over, yields, carried, stacked;
  for (auto &[original, share] : totals) {
    inits.push_back(o.splatLike(original, 0));
    carried.push_back(original);
    Value sum = body->insertArgument(static_cast<unsigned>(carried.size() - 1), original.getType(), original.getLoc());
    e.loc = original.getLoc();
    yields.push_back(e.add(sum, share));
  }
  body->insertArgument(0u, tensorType({}, outside.getI32Type()), product.getLoc());
  SmallVector<mlir::Type> outputs;
  for (auto &[original, local] : rows)
    if (escapes(original)) {
      stacked.push_back(original);
      yields.push_back(local.value);
      outputs.push_back(local.value.getType());
    }
  for (auto &[value, local] : sequences) {
    SmallVector<Dim> dims = blockDims(value, local.rowAxes);
    dims.insert(dims.begin(), cut.count);
    over.push_back(o.reshapeTo(value, dims));
  }
  builder.create<YieldOp>(product.getLoc(), yields);
  auto loop = outside.create<ScanOp>(product.getLoc(), cut.count, inits, over, outputs);
  loop.getBody().takeBody(scratch);
  for (auto [index, original] : llvm::enumerate(carried))
    original.replaceAllUsesWith(loop.getResult(static_cast<unsigned>(index)));
  for (auto [index, original] : llvm::enumerate(stacked)) {
    Value whole = o.reshapeTo(loop.getResult(static_cast<unsigned>(carried.size() + index)), dimsOf(original));
    original.replaceUsesWithIf(whole, [&](mlir::OpOperand &use) { return !written.contains(use.getOwner()); });
  }
  // What reads the loop's results and stands before it.
  Operation *place = last;
  for (Operation *op : after)
    if (op->isBeforeInBlock(last)) {
      op->moveAfter(place);
      place = op;
    }
  erase(SmallVector<Operation *>(llvm::reverse(written)));
}

/// Erases what the loop replaces, and what nobody reads any more: in the body and outside.
void RowBlock::erase(ArrayRef<Operation *> replaced) {
  eraseUnread(*body);
  llvm::SetVector<Operation *> sources;
  for (Operation *op : replaced) {
    for (Value operand : op->getOperands())
      if (Operation *source = operand.getDefiningOp())
        sources.insert(source);
    sources.remove(op);
    op->erase();
  }
  eraseUnread(sources.getArrayRef());
}

} // namespace kiln
