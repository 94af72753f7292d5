// What becomes of a loss whose batch is cut into blocks of rows: which values have rows, which are sums over them.
#pragma once

#include "ir/PerShard.h"
#include "passes/support/Values.h"

#include "llvm/ADT/SetVector.h"

#include <string>

namespace kiln {

/// The seed of an op that draws random numbers; null for any other.
mlir::OpOperand *seedOf(mlir::Operation *op);

/// Looks at a function whose batch is a symbol, and tells of each value what it is where the function is run on a
/// shard, a block of the batch's rows, in place of the whole batch:
/// - rows: the shard's part of the whole's rows, along the axis whose dimension the batch's symbol is the outermost
///   factor of;
/// - a sum: the shards' values add up to the whole's;
/// - the shard's own: made of what the text has asked of each shard by itself (`perShard`), as the statistics of a
///   batch norm;
/// - the same in all shards.
/// A value that is none of these is an error at its op. So is a sum that something reads which needs all of it, unless
/// no gradient goes through it: then it is a *total*, which is computed before, over all shards. What a total is made
/// of may be another total (a spread around the mean), which is computed before it.
class BatchRows {
public:
  /// `symbols`: of the batches of the function's data.
  BatchRows(mlir::func::FuncOp function, llvm::ArrayRef<std::string> symbols)
      : function_(function), symbols_(symbols) {}

  /// Fails with an error at the op that no shard can compute.
  mlir::LogicalResult run();

  /// Whether a symbol of the batches is in it.
  bool mentions(const Dim &dim) const;
  bool mentions(llvm::ArrayRef<Dim> dims) const;
  bool hasRows(mlir::Value value) const { return axisOf(value) != none; }
  /// The batch's rows are along this axis; below 0 there are none.
  int64_t rowAxisOf(mlir::Value value) const { return axisOf(value); }
  bool isSum(mlir::Value value) const { return sums_.contains(value); }
  /// Beside rows and sums, which may be made of what is the shard's own.
  bool isOwn(mlir::Value value) const { return own_.contains(value) && !hasRows(value) && !isSum(value); }
  /// Values of the function's own block, which are the same in all shards once they are given.
  llvm::ArrayRef<mlir::Value> totals() const { return totals_.getArrayRef(); }
  /// Totals of level 0 are made of rows alone, others of totals of lower levels too.
  unsigned levelOf(mlir::Value total) const;
  /// What is the same in all shards and is added to a sum: each shard adds its share of it, a part in as many.
  llvm::ArrayRef<mlir::OpOperand *> shares() const { return shares_.getArrayRef(); }

private:
  using Axis = int64_t;
  static constexpr Axis none = -1, broken = -2;

  /// The axis along which a value has rows, as its type says; `broken` where there are two, or no whole rows.
  Axis axisOf(mlir::Value value) const;
  bool isTrained(mlir::Value value) const { return trained_.contains(value); }
  /// What comes of values that the function's gradient goes through, and of the shard's own.
  void follow(mlir::Operation &op);

  mlir::LogicalResult visitBlock(mlir::Block &block);
  mlir::LogicalResult visit(mlir::Operation &op);
  mlir::LogicalResult visitOp(mlir::Operation &op);
  mlir::LogicalResult visitElementwise(mlir::Operation &op);
  mlir::LogicalResult visitReduce(ReduceOp op);
  mlir::LogicalResult visitReshape(ReshapeOp op);
  mlir::LogicalResult visitBroadcast(BroadcastOp op);
  mlir::LogicalResult visitWindows(mlir::Operation &op, llvm::ArrayRef<int64_t> window, llvm::ArrayRef<int64_t> strides,
                                   llvm::ArrayRef<int64_t> low, llvm::ArrayRef<int64_t> high);
  mlir::LogicalResult visitPad(PadOp op);
  mlir::LogicalResult visitSlice(SliceOp op);
  mlir::LogicalResult visitConcat(ConcatOp op);
  mlir::LogicalResult visitDot(DotGeneralOp op);
  mlir::LogicalResult visitConvolution(ConvolutionOp op);
  mlir::LogicalResult visitGather(GatherOp op);
  mlir::LogicalResult visitScatter(ScatterOp op);
  mlir::LogicalResult visitScan(ScanOp op);
  mlir::LogicalResult visitIf(IfOp op);
  mlir::LogicalResult visitWhile(WhileOp op);
  mlir::LogicalResult visitCustom(CustomOp op);
  mlir::LogicalResult visitComposite(DecomposableOpInterface op);
  /// Along one axis, which is not the rows'; other operands are the same in all shards.
  mlir::LogicalResult visitAlong(mlir::Operation &op, llvm::ArrayRef<int64_t> axes);

  mlir::LogicalResult makeSum(mlir::Value value);
  /// Operands that are sums become totals where they can. What was found so far may have taken a new one for a sum, so
  /// that it fails, and all is looked at again.
  mlir::LogicalResult needWhole(mlir::Operation &op);
  mlir::LogicalResult needWhole(mlir::Operation &op, mlir::Value value);
  /// An operand beside a sum: each shard adds its share.
  mlir::LogicalResult share(mlir::OpOperand &operand);
  mlir::LogicalResult fail(mlir::Operation &op, const std::string &how);

  mlir::func::FuncOp function_;
  llvm::ArrayRef<std::string> symbols_;
  llvm::DenseSet<mlir::Value> sums_, trained_, own_, confirmed_; // confirmed: totals that are sums
  llvm::SetVector<mlir::Value> totals_;
  llvm::SetVector<mlir::OpOperand *> shares_;
  mlir::Operation *whole_ = nullptr; // the composite whose parts are looked at
  bool again_ = false;               // there is a new total
};

} // namespace kiln
