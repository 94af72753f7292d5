// An op whose leading axes are rows, written once more for a block of these rows.
#pragma once

#include "passes/support/Values.h"

namespace kiln {

/// Where a block's rows are one axis, `rows` long, and the originals' `rowDims` are their leading ones.
struct RowsOfBlock {
  Dim rows;
  llvm::ArrayRef<Dim> rowDims;
  /// A value within the block: [rows, …] of one that is [rowDims…, …]; null where it has no rows, or keeps them not.
  llvm::function_ref<mlir::Value(mlir::Value)> local;
  /// A value that is the same for all rows; null for one that is not.
  llvm::function_ref<mlir::Value(mlir::Value)> fixed;

  int64_t rowAxes() const { return static_cast<int64_t>(rowDims.size()); }
  /// What an original's dimensions are within the block.
  llvm::SmallVector<Dim> dims(mlir::Value original) const;
  bool begin(mlir::Value original) const; ///< whether its leading dimensions are the rows'
};

/// The op's result [rows, …] for a block of rows: elementwise, repeated, reduced, cut or searched behind the rows, one
/// element of each row, or a product with what is the same for all of them. Null for other ops, with nothing left
/// behind but what `local` and `fixed` wrote.
mlir::Value alongRows(Emit &e, mlir::Operation *op, const RowsOfBlock &block);

} // namespace kiln
