// What depends on the sequence, what on other inputs alone, and where the two meet.
#include "frontend/language/DeriveMemory.h"
#include "frontend/language/DeriveStep.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/STLExtras.h"

namespace kiln::language {

using Values = llvm::DenseSet<mlir::Value>;

static bool readsAny(mlir::Operation &op, const Values &values) {
  bool reads = false;
  op.walk([&](mlir::Operation *each) { // what a region takes from outside too
    reads |= llvm::any_of(each->getOperands(), [&](mlir::Value value) { return values.contains(value); });
  });
  return reads;
}

/// Whether a step has the operand from the step before.
static bool isCarried(mlir::OpOperand &operand, const Dim &time) {
  auto scan = llvm::dyn_cast<ScanOp>(operand.getOwner());
  return scan && operand.getOperandNumber() < scan.numCarries() && scan.getCount().size() == 1 &&
         scan.getCount().dims()[0] == time;
}

Memory memoryOf(mlir::Block &block, llvm::ArrayRef<mlir::Value> sources, llvm::ArrayRef<mlir::Value> sequence,
                const Dim &time) {
  Values own(sequence.begin(), sequence.end()), from(sources.begin(), sources.end());
  llvm::SmallVector<mlir::OpOperand *> places;
  for (mlir::Operation &op : block) {
    if (readsAny(op, own) || mentionsWithin(op, time)) {
      own.insert(op.result_begin(), op.result_end());
      op.walk([&](mlir::Operation *each) {
        for (mlir::OpOperand &operand : each->getOpOperands())
          if (from.contains(operand.get()) && !isCarried(operand, time))
            places.push_back(&operand);
      });
    } else if (readsAny(op, from)) {
      from.insert(op.result_begin(), op.result_end());
    }
  }
  llvm::MapVector<mlir::Value, llvm::SmallVector<mlir::OpOperand *, 2>> found;
  llvm::DenseSet<mlir::Operation *> seen;
  for (mlir::OpOperand *place : places) {
    mlir::Operation *op = place->get().getDefiningOp();
    bool fresh = true;
    while (op && llvm::isa<BroadcastOp, ReshapeOp>(op)) {
      fresh = seen.insert(op).second;
      if (!fresh)
        break;
      place = &op->getOpOperand(0);
      op = place->get().getDefiningOp();
    }
    if (fresh)
      found[place->get()].push_back(place);
  }
  Memory memory;
  for (auto &[value, uses] : found) {
    memory.values.push_back(value);
    memory.uses.push_back(uses);
  }
  return memory;
}

} // namespace kiln::language
