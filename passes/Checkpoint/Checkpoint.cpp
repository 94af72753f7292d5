// Where the forward half is cut, what of a segment is computed once more, and where.

#include "passes/Checkpoint/Checkpoint.h"

#include "ir/Classes.h"
#include "passes/support/Values.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

#include <numeric>

namespace kiln {

#define GEN_PASS_DEF_CHECKPOINT
#include "passes/Checkpoint/Checkpoint.h.inc"

using llvm::SmallVector;
using mlir::Block;
using mlir::Operation;
using mlir::OpOperand;
using mlir::Value;

namespace {

class Checkpointer {
public:
  Checkpointer(Block &block, Bounds bounds) : block(block), bounds(std::move(bounds)) {
    for (Operation &op : block) {
      place[&op] = static_cast<int64_t>(order.size());
      order.push_back(&op);
    }
  }

  void run(int64_t segments) {
    findPeak();
    SmallVector<int64_t> cuts = findCuts(segments);
    // The last one's values are read first, at once. Later segments first: what they read of earlier ones is kept.
    for (size_t i = cuts.size() - 1; i > 0; --i)
      repeatSegment(cuts[i - 1], cuts[i]);
  }

private:
  /// A value that is made before the peak and read behind it.
  struct Crossing {
    Value value;
    int64_t bytes = 0, firstRead = 0; ///< the place of the first reader behind the peak
  };

  int64_t bytes(Value value) { return estimatedBytes(value.getType(), bounds); }
  int64_t placeOf(Operation *op) { return place.lookup(block.findAncestorOpInBlock(*op)); }
  /// Whether it takes memory, or stands for some (a reshape); else it is part of whatever reads it.
  bool isKept(Operation *op) { return !(isSource(op) && !isDear(op)) && !llvm::isa<BroadcastOp>(op); }

  /// The place of its last reader up to one; its own where it has none.
  int64_t lastRead(Value value, int64_t until) {
    int64_t last = placeOf(value.getDefiningOp());
    for (Operation *user : value.getUsers())
      if (int64_t at = placeOf(user); at <= until)
        last = std::max(last, at);
    return last;
  }

  /// The op behind which most bytes wait to be read, in the order of the program.
  void findPeak() {
    std::vector<int64_t> change(order.size() + 1);
    for (Operation *op : order)
      for (Value result : op->getResults()) {
        change[static_cast<size_t>(place[op])] += bytes(result);
        change[static_cast<size_t>(lastRead(result, static_cast<int64_t>(order.size())))] -= bytes(result);
      }
    int64_t live = 0, most = -1;
    for (size_t i = 0; i < order.size(); ++i) {
      live += change[i];
      if (live > most) {
        most = live;
        peak = static_cast<int64_t>(i);
      }
    }
  }

  /// What is made at [begin, end) and read behind the peak, the first reader first.
  SmallVector<Crossing> crossingsOf(int64_t begin, int64_t end) {
    SmallVector<Crossing> found;
    for (int64_t i = begin; i < end; ++i)
      for (Value result : order[static_cast<size_t>(i)]->getResults()) {
        Crossing crossing{result, bytes(result), std::numeric_limits<int64_t>::max()};
        for (Operation *user : result.getUsers())
          if (int64_t at = placeOf(user); at > peak && !copies.contains(block.findAncestorOpInBlock(*user)))
            crossing.firstRead = std::min(crossing.firstRead, at);
        if (crossing.firstRead != std::numeric_limits<int64_t>::max() && isKept(result.getDefiningOp()))
          found.push_back(crossing);
      }
    llvm::sort(found, [&](const Crossing &a, const Crossing &b) {
      return std::pair(a.firstRead, placeOf(a.value.getDefiningOp())) <
             std::pair(b.firstRead, placeOf(b.value.getDefiningOp()));
    });
    return found;
  }

  /// For each place before the peak, the bytes that later ops before the peak read of earlier ones: what is kept where
  /// a segment begins there.
  std::vector<int64_t> bytesAcross() {
    std::vector<int64_t> across(static_cast<size_t>(peak) + 2);
    for (int64_t i = 0; i <= peak; ++i)
      for (Value result : order[static_cast<size_t>(i)]->getResults()) {
        if (!isKept(result.getDefiningOp()))
          continue;
        across[static_cast<size_t>(i) + 1] += bytes(result);
        across[static_cast<size_t>(lastRead(result, peak)) + 1] -= bytes(result);
      }
    std::partial_sum(across.begin(), across.end(), across.begin());
    return across;
  }

  /// The places at which segments begin, and where the last one does: each keeps about its share of the bytes, and
  /// begins where little is read across.
  SmallVector<int64_t> findCuts(int64_t segments) {
    std::vector<int64_t> sums = {0}, across = bytesAcross(); // what is kept of the ops before each place
    for (int64_t i = 0; i <= peak; ++i) {
      sums.push_back(sums.back());
      for (const Crossing &crossing : crossingsOf(i, i + 1))
        sums.back() += crossing.bytes;
    }
    SmallVector<int64_t> cuts = {0};
    double share = static_cast<double>(sums.back()) / static_cast<double>(segments);
    for (int64_t segment = 1; segment < segments; ++segment) {
      int64_t best = -1;
      double least = 0;
      for (int64_t i = cuts.back() + 1; i <= peak; ++i) {
        double off = std::abs(static_cast<double>(sums[static_cast<size_t>(i)]) - static_cast<double>(segment) * share);
        double cost = 2 * static_cast<double>(across[static_cast<size_t>(i)]) + off / 2;
        if (off < share && (best < 0 || cost < least)) {
          best = i;
          least = cost;
        }
      }
      if (best >= 0)
        cuts.push_back(best);
    }
    return cuts;
  }

  /// Where the copies are made: before the first reader, but for few bytes that are read long before all others.
  size_t firstRepeated(const SmallVector<Crossing> &crossings) {
    int64_t total = 0, early = 0;
    for (const Crossing &crossing : crossings)
      total += crossing.bytes;
    size_t begin = 0;
    int64_t span = static_cast<int64_t>(order.size()) - peak;
    for (size_t i = 0; i + 1 < crossings.size(); ++i) {
      early += crossings[i].bytes;
      if (early > total / 8)
        break;
      if (crossings[i + 1].firstRead - crossings[begin].firstRead > span / 8)
        begin = i + 1;
    }
    return begin;
  }

  /// The ops of [begin, end) that `value` is made by, from what is there anyway.
  void collect(Value value, int64_t begin, llvm::SetVector<Operation *> &ops) {
    SmallVector<Value> pending = {value};
    while (!pending.empty()) {
      Operation *op = pending.pop_back_val().getDefiningOp();
      if (!op || op->getBlock() != &block)
        continue;
      if (isKept(op) && (place.lookup(op) < begin || kept.contains(op))) {
        kept.insert(op);
        continue;
      }
      if (!ops.insert(op))
        continue;
      op->walk([&](Operation *inner) {
        for (Value operand : inner->getOperands())
          if (operand.getParentBlock() == &block)
            pending.push_back(operand);
      });
    }
  }

  void repeatSegment(int64_t begin, int64_t end) {
    SmallVector<Crossing> crossings = crossingsOf(begin, end);
    llvm::erase_if(crossings, [&](const Crossing &crossing) { return kept.contains(crossing.value.getDefiningOp()); });
    crossings.erase(crossings.begin(), crossings.begin() + static_cast<int64_t>(firstRepeated(crossings)));
    if (crossings.empty())
      return;
    llvm::SetVector<Operation *> ops;
    for (const Crossing &crossing : crossings)
      collect(crossing.value, begin, ops);
    SmallVector<Operation *> sorted = ops.takeVector();
    llvm::sort(sorted, [&](Operation *a, Operation *b) { return place.lookup(a) < place.lookup(b); });
    Operation *point = order[static_cast<size_t>(crossings.front().firstRead)];
    mlir::OpBuilder builder(point);
    mlir::IRMapping map;
    for (Operation *op : sorted) {
      Operation *copy = builder.clone(*op, map);
      place[copy] = crossings.front().firstRead;
      copies.insert(copy);
    }
    for (Crossing &crossing : crossings)
      crossing.value.replaceUsesWithIf(map.lookup(crossing.value), [&](OpOperand &use) {
        Operation *user = block.findAncestorOpInBlock(*use.getOwner());
        return place.lookup(user) > peak && !copies.contains(user);
      });
  }

  Block &block;
  Bounds bounds;
  std::vector<Operation *> order;
  llvm::DenseMap<Operation *, int64_t> place;
  llvm::DenseSet<Operation *> kept; ///< ops of earlier segments that copies read
  llvm::DenseSet<Operation *> copies;
  int64_t peak = 0;
};

struct Checkpoint : impl::CheckpointBase<Checkpoint> {
  using CheckpointBase::CheckpointBase;

  void runOnOperation() override {
    for (auto function : getOperation().getOps<mlir::func::FuncOp>()) {
      int64_t count = segments;
      if (auto own = function->getAttrOfType<mlir::IntegerAttr>(segmentsAttr); own && count == 0)
        count = own.getInt();
      if (!function.isExternal() && count > 1)
        Checkpointer(function.getBody().front(), boundsOf(function)).run(count);
    }
  }
};

} // namespace
} // namespace kiln
