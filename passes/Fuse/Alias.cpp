#include "passes/Fuse/Alias.h"

#include "passes/Fuse/Cluster.h"

#include "llvm/ADT/DenseSet.h"

namespace kiln {

using namespace fuse;

// True where everything computed from `value` at the same index stays there: no op moves elements. Reductions end the
// walk when `rows` allows them: their results are read only after all elements have been.
static bool staysInPlace(mlir::Value value, bool rows, llvm::DenseSet<mlir::Value> &seen) {
  if (!seen.insert(value).second)
    return true;
  return llvm::all_of(value.getUsers(), [&](mlir::Operation *user) {
    if (llvm::isa<YieldOp>(user))
      return true;
    if (rows && roleOf(user) == fuse::Role::reduce)
      return true;
    return isElementwise(user) && staysInPlace(user->getResult(0), rows, seen);
  });
}

static bool dependsOn(mlir::Operation *op, mlir::Value value, llvm::SmallPtrSetImpl<mlir::Operation *> &seen) {
  return llvm::any_of(op->getOperands(), [&](mlir::Value operand) {
    if (operand == value)
      return true;
    mlir::Operation *definition = operand.getDefiningOp();
    return definition && seen.insert(definition).second && dependsOn(definition, value, seen);
  });
}

static bool dependsOn(mlir::Operation *op, mlir::Value value) {
  llvm::SmallPtrSet<mlir::Operation *, 16> seen;
  return dependsOn(op, value, seen);
}

bool mayAlias(GroupOp group, unsigned output, unsigned input) {
  mlir::Block &body = group.getBody().front();
  mlir::BlockArgument argument = body.getArgument(input);
  mlir::Value yielded = body.getTerminator()->getOperand(output);
  auto in = llvm::cast<mlir::RankedTensorType>(argument.getType());
  auto out = llvm::cast<mlir::RankedTensorType>(yielded.getType());
  if (in != out || yielded == argument)
    return false;
  // The yield of the argument itself would read it after the write.
  if (llvm::is_contained(body.getTerminator()->getOperands(), argument))
    return false;
  llvm::DenseSet<mlir::Value> seen;
  switch (group.getShape()) {
  case GroupShape::elementwise:
    return staysInPlace(argument, false, seen);
  case GroupShape::rows:
    // A gather may read another row than its own: none may reach the input, not even through a reduction of it.
    return llvm::none_of(body,
                         [&](mlir::Operation &op) {
                           return llvm::isa<ArgReduceOp>(op) || (llvm::isa<GatherOp>(op) && dependsOn(&op, argument));
                         }) &&
           staysInPlace(argument, true, seen);
  case GroupShape::contract: {
    for (mlir::Operation &op : body)
      if (roleOf(&op) == fuse::Role::contract && dependsOn(&op, argument))
        return false;
    return staysInPlace(argument, false, seen);
  }
  case GroupShape::scatter:
  case GroupShape::single: {
    mlir::Operation *op = yielded.getDefiningOp();
    return llvm::isa<DynamicUpdateSliceOp, ScatterOp>(op) && argument.hasOneUse() && op->getOperand(0) == argument;
  }
  default:
    return false;
  }
}

llvm::SmallVector<int32_t> aliasesOf(GroupOp group) {
  if (auto attribute = group->getAttrOfType<mlir::DenseI32ArrayAttr>("kiln.alias"))
    return llvm::SmallVector<int32_t>(attribute.asArrayRef());
  return llvm::SmallVector<int32_t>(group->getNumResults(), -1);
}

void setAliases(GroupOp group, llvm::ArrayRef<int32_t> aliases) {
  group->setAttr("kiln.alias", mlir::DenseI32ArrayAttr::get(group.getContext(), aliases));
}

} // namespace kiln
