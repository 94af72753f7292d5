#include "passes/Fuse/Parts.h"

#include "passes/Fuse/Outline.h"

namespace kiln::fuse {

bool isClosed(const OpSet &ops) {
  // From what leaves the set, forwards within the block: nothing may come back.
  llvm::SmallVector<mlir::Operation *> todo;
  llvm::DenseSet<mlir::Operation *> seen;
  auto follow = [&](mlir::Operation *op, bool fromInside) {
    for (mlir::Operation *user : op->getUsers())
      if (fromInside ? !ops.contains(user) : true)
        if (seen.insert(user).second)
          todo.push_back(user);
  };
  for (mlir::Operation *op : ops)
    follow(op, true);
  while (!todo.empty()) {
    mlir::Operation *op = todo.pop_back_val();
    if (ops.contains(op))
      return false;
    follow(op, false);
  }
  return true;
}

llvm::SmallVector<GroupOp> splitGroup(GroupOp group, llvm::ArrayRef<OpSet> parts) {
  auto computes = [](mlir::Operation *op) { return roleOf(op) != Role::cheap; };
  mlir::Block &body = group.getBody().front();
  llvm::SmallVector<OpSet> clusters;
  OpSet left;
  for (mlir::Operation &op : body.without_terminator())
    if (computes(&op))
      left.insert(&op);
  size_t all = left.size();
  for (const OpSet &part : parts) {
    OpSet cluster;
    for (mlir::Operation *op : part)
      if (computes(op))
        cluster.insert(op);
    if (cluster.size() == all)
      return {};
    left.remove_if([&](mlir::Operation *op) { return cluster.contains(op); });
    if (!cluster.empty())
      clusters.push_back(std::move(cluster));
  }
  if (clusters.empty())
    return {};
  for (mlir::Operation *op : left)
    clusters.emplace_back().insert(op);
  outlineBlock(body, clusters, /*cloneKept=*/true);
  return dissolve(group);
}

} // namespace kiln::fuse
