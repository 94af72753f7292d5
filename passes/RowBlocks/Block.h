// The ops that follow a product along its rows, written for one block of rows.
#pragma once

#include "passes/support/Values.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

namespace kiln {

/// How rows are cut: `count` blocks of `rows`, in order.
struct RowCut {
  Dim count, rows;
};

/// The body of a loop over blocks of rows, written beside the ops that it is to replace. A value with rows has them as
/// its leading axes; within a block they are one axis.
class RowBlock {
public:
  RowBlock(DotGeneralOp product, RowCut cut);

  /// Writes the product, and what follows it in its block of ops; false where a value as large as the product is read
  /// by something that does not follow, or nothing reduces the product's rows.
  bool write();
  /// Replaces the ops by a loop. Only after a write that was true.
  void replace();

private:
  /// A value within the body: how many axes of the original are rows.
  struct Local {
    mlir::Value value;
    int64_t rowAxes;
  };

  void writeProduct();
  bool follow(mlir::Operation *op);
  mlir::Value along(mlir::Operation *op, int64_t &rowAxes);
  mlir::Value alongReshape(ReshapeOp op, int64_t &rowAxes);
  mlir::Value again(mlir::Operation *op, llvm::ArrayRef<Dim> rowDims);
  mlir::Value total(mlir::Operation *op);
  mlir::Value totalProduct(DotGeneralOp op, int64_t rowAxes);

  mlir::Value rowOperand(mlir::Value value, int64_t rowAxes);
  mlir::Value pulled(mlir::Value value, int64_t rowAxes);
  mlir::Value sequence(mlir::Value value, int64_t rowAxes);
  mlir::Value fixedOperand(mlir::Value value);
  bool dependsOnRows(mlir::Value value) const { return rows.contains(value) || behind.contains(value); }
  bool isFull(mlir::Value value) const;
  bool escapes(mlir::Value value) const;
  llvm::SmallVector<Dim> blockDims(mlir::Value value, int64_t rowAxes) const;
  void erase(llvm::ArrayRef<mlir::Operation *> replaced);

  DotGeneralOp product;
  RowCut cut;
  mlir::Region scratch;
  mlir::Block *body;
  mlir::OpBuilder builder;
  Emit e;
  llvm::MapVector<mlir::Value, Local> rows;          // originals with rows, and what they are in the body
  llvm::MapVector<mlir::Value, mlir::Value> totals;  // originals that are sums over all rows, and a block's share
  llvm::MapVector<mlir::Value, Local> sequences;     // values from outside, and their arguments
  llvm::DenseMap<mlir::Value, mlir::Value> fixed;    // what is computed in the body of values from outside alone
  llvm::DenseSet<mlir::Value> behind;                // what depends on the product, and is computed behind the loop
  llvm::SetVector<mlir::Operation *> written, after; // ops of the block that the body has, and those that wait for it
  double size;                                       // elements of the product's result
  bool reduces = false;
};

} // namespace kiln
