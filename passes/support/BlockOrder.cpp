// Numbers with room between them.

#include "passes/support/BlockOrder.h"

namespace kiln {

static constexpr int64_t room = static_cast<int64_t>(1) << 36;

void BlockOrder::number() {
  int64_t place = 0;
  for (mlir::Operation &op : block)
    places[&op] = place += room;
}

void BlockOrder::added(mlir::Operation *op) {
  mlir::Operation *previous = op->getPrevNode(), *next = op->getNextNode();
  int64_t low = previous ? places.lookup(previous) : 0;
  int64_t high = next ? places.lookup(next) : low + 2 * room;
  if (high - low < 2)
    return number();
  places[op] = low + (high - low) / 2;
}

} // namespace kiln
