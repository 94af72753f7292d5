// What numbers an input of integers may hold, from the ops that read it.

#include "frontend/language/IndexLimits.h"

#include "ir/Classes.h"
#include "ir/Kiln.h"

#include <algorithm>

namespace kiln::language {

/// The extent that a use takes its value for an index into.
static std::optional<int64_t> indexedBy(mlir::OpOperand &use) {
  mlir::Value table;
  int64_t axis = 0;
  if (auto gather = mlir::dyn_cast<GatherOp>(use.getOwner())) {
    if (use.get() != gather.getIndices())
      return std::nullopt;
    table = gather.getOperand();
    axis = static_cast<int64_t>(gather.getAxis());
  } else if (auto loss = mlir::dyn_cast<CrossEntropyOp>(use.getOwner())) {
    if (use.get() != loss.getTargets())
      return std::nullopt;
    table = loss.getLogits();
    axis = mlir::cast<mlir::RankedTensorType>(table.getType()).getRank() - 1;
  } else {
    return std::nullopt;
  }
  auto type = mlir::cast<mlir::RankedTensorType>(table.getType());
  if (type.isDynamicDim(static_cast<unsigned>(axis)))
    return std::nullopt;
  return type.getDimSize(static_cast<unsigned>(axis));
}

std::optional<int64_t> indexLimit(mlir::Value input) {
  if (!mlir::cast<mlir::RankedTensorType>(input.getType()).getElementType().isInteger())
    return std::nullopt;
  std::optional<int64_t> least;
  auto take = [&](std::optional<int64_t> limit) {
    if (limit)
      least = std::min(least.value_or(*limit), *limit);
  };
  for (mlir::OpOperand &use : input.getUses()) {
    take(indexedBy(use));
    // Of a slice another part may be another thing's number.
    if (isReindexing(use.getOwner()) && !mlir::isa<SliceOp>(use.getOwner()))
      for (mlir::Value same : use.getOwner()->getResults())
        take(indexLimit(same));
  }
  return least;
}

} // namespace kiln::language
