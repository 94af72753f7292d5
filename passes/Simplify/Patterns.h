// The rewrites of Simplify, by theme.
#pragma once

#include "passes/support/Values.h"

#include "mlir/IR/PatternMatch.h"

namespace kiln {

/// Neutral elements, constants computed, signs and conversions drawn together.
void addAlgebraPatterns(mlir::RewritePatternSet &patterns);
/// Chains of layout ops merged; layout ops moved to where they cost least.
void addLayoutPatterns(mlir::RewritePatternSet &patterns);
/// Elementwise ops computed before a broadcast, in the smaller shape.
void addBroadcastPatterns(mlir::RewritePatternSet &patterns);
/// Products and reductions that take their operands' layout ops in.
void addProductPatterns(mlir::RewritePatternSet &patterns);
/// Transposes moved from large results to smaller operands.
void addTransposePatterns(mlir::RewritePatternSet &patterns);
/// Loops over time: what need not be in them.
void addLoopPatterns(mlir::RewritePatternSet &patterns);
/// Branches and whiles: what nobody reads; with `endEarly` scans become whiles, which have no gradient.
void addControlPatterns(mlir::RewritePatternSet &patterns, bool endEarly);

/// A pattern for one op, written as a function.
template <typename Op> struct FunctionPattern : mlir::OpRewritePattern<Op> {
  using Function = mlir::LogicalResult (*)(Op, mlir::PatternRewriter &);
  FunctionPattern(mlir::MLIRContext *context, Function function)
      : mlir::OpRewritePattern<Op>(context), function(function) {}
  mlir::LogicalResult matchAndRewrite(Op op, mlir::PatternRewriter &rewriter) const override {
    return function(op, rewriter);
  }
  Function function;
};

template <typename Op>
void addPattern(mlir::RewritePatternSet &patterns, mlir::LogicalResult (*function)(Op, mlir::PatternRewriter &)) {
  patterns.add(std::make_unique<FunctionPattern<Op>>(patterns.getContext(), function));
}

} // namespace kiln
