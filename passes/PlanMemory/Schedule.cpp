// The order of a block's launches: what frees memory first.

#include "passes/PlanMemory/PlanMemory.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SetVector.h"

#include <set>

namespace kiln::plan {

bool isLoopIndex(mlir::Value value) {
  auto argument = llvm::dyn_cast<mlir::BlockArgument>(value);
  return argument && argument.getArgNumber() == 0 && llvm::isa<ScanOp>(argument.getOwner()->getParentOp());
}

mlir::Value rootOf(mlir::Value value) {
  while (auto reshape = value.getDefiningOp<ReshapeOp>())
    value = reshape.getOperand();
  return value;
}

mlir::Operation *ancestorIn(mlir::Block *block, mlir::Operation *op) { return block->findAncestorOpInBlock(*op); }

namespace {
class Scheduler {
public:
  Scheduler(mlir::Block &block, BoundSizes &sizes) : block(block), sizes(sizes) {}

  void run() {
    collect();
    keepReadersBeforeWriters();
    order();
    sink();
  }

private:
  struct Unit {
    mlir::Operation *op;
    llvm::SmallSetVector<unsigned, 4> before, after; // units that must come first, and those that wait
    llvm::SmallVector<mlir::Value> reads;            // roots
    int64_t allocates = 0;
  };

  int64_t bytes(mlir::Value value) const { return sizes.of(value.getType()); }

  void collect() {
    for (mlir::Operation &op : block.without_terminator()) {
      indexOf[&op] = units.size();
      units.push_back({&op, {}, {}, {}, 0});
    }
    llvm::DenseSet<mlir::Value> leaving; // memory that belongs to someone else
    for (mlir::Value value : block.getTerminator()->getOperands())
      leaving.insert(rootOf(value));
    for (auto [index, unit] : llvm::enumerate(units)) {
      llvm::SmallSetVector<mlir::Value, 8> roots;
      unit.op->walk([&](mlir::Operation *nested) {
        for (mlir::Value operand : nested->getOperands()) {
          mlir::Operation *definition = operand.getDefiningOp();
          if (auto found = indexOf.find(definition); definition && found != indexOf.end() && found->second != index) {
            unit.before.insert(found->second);
            units[found->second].after.insert(index);
          }
          if (mlir::Value root = rootOf(operand); root.getParentBlock() == &block && root.getDefiningOp())
            roots.insert(root);
        }
      });
      unit.reads = roots.takeVector();
      if (!llvm::isa<ReshapeOp>(unit.op))
        for (mlir::Value root : unit.reads)
          ++readersLeft[root];
      if (llvm::isa<ReshapeOp, ConstantOp>(unit.op))
        continue;
      for (mlir::Value result : unit.op->getResults())
        if (!leaving.contains(result))
          unit.allocates += bytes(result);
    }
    for (mlir::Value value : leaving)
      ++readersLeft[value]; // never freed here
  }

  bool reaches(unsigned from, unsigned to) {
    llvm::SmallVector<unsigned> stack = {from};
    std::vector<bool> seen(units.size());
    while (!stack.empty()) {
      unsigned current = stack.pop_back_val();
      if (current == to)
        return true;
      if (seen[current])
        continue;
      seen[current] = true;
      stack.append(units[current].after.begin(), units[current].after.end());
    }
    return false;
  }

  void readersOf(mlir::Value value, llvm::SmallSetVector<unsigned, 8> &readers) {
    for (mlir::Operation *user : value.getUsers()) {
      if (auto reshape = llvm::dyn_cast<ReshapeOp>(user))
        readersOf(reshape.getResult(), readers);
      else if (mlir::Operation *ancestor = ancestorIn(&block, user); ancestor != block.getTerminator())
        readers.insert(indexOf.lookup(ancestor));
    }
  }

  // Where the old value would still be read after the new one is written, the new one needs memory of its own and a
  // copy.
  void keepReadersBeforeWriters() {
    for (auto [argument, value] : overwrites(block)) {
      mlir::Operation *writer = rootOf(value).getDefiningOp();
      if (!writer || writer->getBlock() != &block)
        continue;
      unsigned last = indexOf.lookup(writer);
      llvm::SmallSetVector<unsigned, 8> readers;
      readersOf(argument, readers);
      for (unsigned reader : readers)
        if (reader != last && !reaches(last, reader)) {
          units[reader].after.insert(last);
          units[last].before.insert(reader);
        }
    }
  }

  int64_t growth(const Unit &unit) {
    int64_t freed = 0;
    for (mlir::Value root : unit.reads)
      if (readersLeft.lookup(root) == 1)
        freed += bytes(root);
    return unit.allocates - freed;
  }

  // The order given, except that an op which does not let memory grow runs as soon as it can.
  void order() {
    std::vector<unsigned> waits(units.size());
    std::set<unsigned> ready;
    for (auto [index, unit] : llvm::enumerate(units))
      if ((waits[index] = unit.before.size()) == 0)
        ready.insert(index);
    while (!ready.empty()) {
      auto chosen = ready.begin();
      for (auto it = ready.begin(); it != ready.end(); ++it)
        if (growth(units[*it]) <= 0) {
          chosen = it;
          break;
        }
      Unit &unit = units[*chosen];
      ready.erase(chosen);
      unit.op->moveBefore(block.getTerminator());
      sequence.push_back(indexOf.lookup(unit.op));
      if (!llvm::isa<ReshapeOp>(unit.op))
        for (mlir::Value root : unit.reads)
          --readersLeft[root];
      for (unsigned next : unit.after)
        if (--waits[next] == 0)
          ready.insert(next);
    }
  }

  // What only allocates waits until just before its first reader (a mask, zeros to start a loop from).
  void sink() {
    for (unsigned index : llvm::reverse(sequence)) {
      Unit &unit = units[index];
      if (unit.allocates == 0 || unit.after.empty())
        continue;
      mlir::Operation *first = nullptr;
      for (unsigned next : unit.after)
        if (!first || units[next].op->isBeforeInBlock(first))
          first = units[next].op;
      // What nobody else holds until then would be held for it.
      int64_t held = 0;
      for (mlir::Value root : unit.reads) {
        llvm::SmallSetVector<unsigned, 8> readers;
        readersOf(root, readers);
        bool needed = llvm::any_of(
            readers, [&](unsigned reader) { return reader != index && !units[reader].op->isBeforeInBlock(first); });
        held += needed ? 0 : bytes(root);
      }
      if (held >= unit.allocates)
        continue;
      if (unit.op->getNextNode() != first)
        unit.op->moveBefore(first);
    }
  }

  mlir::Block &block;
  BoundSizes &sizes;
  llvm::SmallVector<Unit> units;
  llvm::SmallVector<unsigned> sequence;
  llvm::DenseMap<mlir::Operation *, unsigned> indexOf;
  llvm::DenseMap<mlir::Value, unsigned> readersLeft;
};
} // namespace

void scheduleBlock(mlir::Block &block, BoundSizes &sizes) {
  for (mlir::Operation &op : block)
    if (llvm::isa<ScanOp, IfOp, WhileOp>(op))
      for (mlir::Region &region : op.getRegions())
        for (mlir::Block &inner : region)
          scheduleBlock(inner, sizes);
  Scheduler(block, sizes).run();
}

} // namespace kiln::plan
