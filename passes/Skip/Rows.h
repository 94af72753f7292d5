// What a select takes of many rows, computed in blocks of those rows alone.
#pragma once

#include "ir/Classes.h"
#include "passes/support/Values.h"

namespace kiln {

/// Where a select's mask says which rows it takes: the leading axes that are rows, and the mask along them.
struct RowMask {
  int64_t rowAxes;
  mlir::Value mask; ///< of the rows' dimensions
};

/// What moves or converts a value, so that it can be read where it lies.
inline bool readsInPlace(mlir::Operation *op) {
  return isReindexing(op) || widensBlocks(op) || llvm::isa<ConvertOp>(op);
}

/// What a value is a repetition, a part or another order of.
mlir::Value unmoved(mlir::Value value);

/// The mask of a select whose condition is repeated along rows, and that gives 0 elsewhere; nullopt for others.
std::optional<RowMask> rowMaskOf(SelectOp select);

/// At the builder: `sum` with the rows of what the select takes added, as a loop over
/// blocks of up to `most` rows that the mask says yes to. `own` are the ops that the select alone reads, which stay
/// where they are. Null, and nothing is left behind, where one of them does not keep rows apart.
mlir::Value takeRows(Emit &e, SelectOp select, const RowMask &rows, mlir::Value sum,
                     llvm::ArrayRef<mlir::Operation *> own, int64_t most);

} // namespace kiln
