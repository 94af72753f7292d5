// Which values, at what cost, and their copies in the backward half.

#include "passes/Rematerialize/Rematerialize.h"

#include "ir/Classes.h"
#include "passes/support/BlockOrder.h"
#include "passes/support/EachFunction.h"
#include "passes/support/Values.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

namespace kiln {

#define GEN_PASS_DEF_REMATERIALIZE
#include "passes/Rematerialize/Rematerialize.h.inc"

using llvm::SmallVector;
using mlir::Block;
using mlir::Operation;
using mlir::OpOperand;
using mlir::Value;

namespace {

/// Nothing that is worth keeping: part of whatever reads it.
bool isFree(Operation *op) { return (isSource(op) && !isDear(op)) || llvm::isa<BroadcastOp, ReshapeOp>(op); }

/// What an op costs for each element; nullopt for one that is never repeated.
std::optional<int64_t> costOf(Operation *op) {
  if (isFree(op))
    return 0;
  if (!isElementwise(op) && !isSource(op))
    return std::nullopt;
  switch (opCostOf(op)) {
  case OpCost::Free:
    return 0;
  case OpCost::Cheap:
    return 1;
  case OpCost::Division:
    return 3;
  case OpCost::Exponential:
    return 6;
  case OpCost::Polynomial:
    return 8;
  case OpCost::Library:
    return 12;
  case OpCost::Philox:
    return 20;
  }
  llvm_unreachable("a cost of its own");
}

bool isHeavy(Operation *op) {
  return opClassOf(op) == OpClass::Contraction || isAttention(op) || llvm::isa<ScanOp>(op);
}

class BlockRematerializer {
public:
  BlockRematerializer(Block &block, Bounds bounds, int64_t gap, int64_t budget, int64_t smallest)
      : block(block), standing(block), bounds(std::move(bounds)), gap(gap), budget(budget), smallest(smallest) {
    int64_t heavy = 0;
    for (Operation &op : block) {
      order.push_back(&op);
      place[&op] = heavy;
      heavy += isHeavy(&op);
    }
  }

  void run() {
    // Readers before what they read: a copy may then ask for a copy of its operand in turn.
    for (Operation *op : llvm::reverse(order))
      if (op->getNumResults() == 1 && !isFree(op) && costOf(op) && bytes(op->getResult(0)) >= smallest)
        consider(op);
  }

private:
  struct Plan {
    llvm::SetVector<Operation *> ops; // to be repeated, in no order
    int64_t cost = 0, kept = 0;       // an element's cost, and the bytes that live longer
  };

  int64_t bytes(Value value) { return estimatedBytes(value.getType(), bounds); }

  Operation *inBlock(Operation *user) { return block.findAncestorOpInBlock(*user); }

  /// Whether a value is read at `point` or behind it, whatever is decided here.
  bool livesAt(Value value, Operation *point) {
    return llvm::any_of(value.getUsers(), [&](Operation *user) {
      Operation *at = inBlock(user);
      return at == point || standing.isBefore(point, at);
    });
  }

  void plan(Value value, Operation *point, Plan &result) {
    Operation *source = value.getDefiningOp();
    if (!source || source->getBlock() != &block || result.ops.contains(source))
      return; // an argument of the function is there at all times
    std::optional<int64_t> cost = costOf(source);
    bool free = cost == 0;
    if (!free && livesAt(value, point))
      return;
    if (!cost) {
      result.kept += bytes(value);
      return;
    }
    result.ops.insert(source);
    result.cost += *cost;
    if (result.cost <= budget)
      for (Value operand : source->getOperands())
        plan(operand, point, result);
  }

  void consider(Operation *op) {
    Value value = op->getResult(0);
    SmallVector<OpOperand *> uses;
    for (OpOperand &use : value.getUses())
      uses.push_back(&use);
    llvm::sort(uses, [&](OpOperand *a, OpOperand *b) {
      Operation *left = inBlock(a->getOwner()), *right = inBlock(b->getOwner());
      return standing.isBefore(left, right);
    });
    // The first long pause.
    int64_t last = place.lookup(op);
    size_t late = 0;
    for (; late < uses.size(); ++late) {
      int64_t next = place.lookup(inBlock(uses[late]->getOwner()));
      if (next - last >= gap)
        break;
      last = next;
    }
    // A value that is only read late is not made earlier than it is needed: that is the scheduler's business.
    if (late == uses.size() || late == 0)
      return;
    Operation *point = inBlock(uses[late]->getOwner());
    if (llvm::isa<YieldOp, mlir::func::ReturnOp>(point))
      return;
    Plan found;
    found.ops.insert(op);
    found.cost = *costOf(op);
    for (Value operand : op->getOperands())
      plan(operand, point, found);
    bool mask = tensorOf(value).getElementTypeBitWidth() < 32;
    if (found.cost > (mask ? budget / 4 : budget) || found.kept > bytes(value) / 4)
      return;
    Value copy = repeat(found, op, point);
    for (OpOperand *use : llvm::ArrayRef<OpOperand *>(uses).drop_front(late))
      use->set(copy);
  }

  Value repeat(Plan &found, Operation *op, Operation *point) {
    SmallVector<Operation *> ops(found.ops.begin(), found.ops.end());
    llvm::sort(ops, [&](Operation *a, Operation *b) { return standing.isBefore(a, b); });
    mlir::OpBuilder builder(point);
    mlir::IRMapping map;
    for (Operation *source : ops) {
      Operation *copy = builder.clone(*source, map);
      place[copy] = place.lookup(point);
      standing.added(copy);
    }
    return map.lookup(op->getResult(0));
  }

  Block &block;
  BlockOrder standing;
  Bounds bounds;
  int64_t gap, budget, smallest;
  SmallVector<Operation *> order;
  llvm::DenseMap<Operation *, int64_t> place; // how many heavy ops come before
};

struct Rematerialize : impl::RematerializeBase<Rematerialize> {
  using RematerializeBase::RematerializeBase;

  void runOnOperation() override {
    (void)eachFunction(getOperation(), [&](mlir::func::FuncOp function) {
      if (!function.isExternal())
        BlockRematerializer(function.getBody().front(), boundsOf(function), gap, budget, bytes).run();
    });
  }
};

} // namespace
} // namespace kiln
