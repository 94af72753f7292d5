// Which of two ops of a block stands first, while ops are added.
#pragma once

#include "mlir/IR/Block.h"
#include "mlir/IR/Operation.h"
#include "llvm/ADT/DenseMap.h"

namespace kiln {

/// As Operation::isBeforeInBlock, which numbers the whole block anew after the first few ops that are added at a place:
/// a pass that adds thousands then takes a time that grows with the square. Ops are not moved meanwhile.
class BlockOrder {
public:
  explicit BlockOrder(mlir::Block &block) : block(block) { number(); }

  bool isBefore(mlir::Operation *a, mlir::Operation *b) const { return places.lookup(a) < places.lookup(b); }
  /// It was put into the block, and what stands around it is known.
  void added(mlir::Operation *op);

private:
  void number();

  mlir::Block &block;
  llvm::DenseMap<mlir::Operation *, int64_t> places;
};

} // namespace kiln
