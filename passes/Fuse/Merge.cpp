#include "passes/Fuse/Merge.h"

#include "passes/Fuse/Outline.h"

namespace kiln::fuse {

llvm::SmallVector<OpSet> clustersOf(mlir::Block &block, FuseLevel level) {
  llvm::SmallVector<OpSet> clusters;
  auto add = [&](mlir::Operation *op) {
    clusters.emplace_back();
    clusters.back().insert(op);
  };
  for (mlir::Operation *op : cheapOpsToKeep(block))
    add(op);
  for (mlir::Operation &op : block) {
    OpClass opClass = classOf(&op);
    if (opClass == OpClass::index || opClass == OpClass::reduce || opClass == OpClass::contract ||
        opClass == OpClass::single)
      add(&op);
  }
  return clusters;
}

} // namespace kiln::fuse
