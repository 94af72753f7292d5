#include "passes/Simplify/Simplify.h"

#include "ir/PerShard.h"
#include "passes/Simplify/Patterns.h"
#include "passes/support/EachFunction.h"

#include "mlir/IR/Dominance.h"
#include "mlir/Transforms/CSE.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace kiln {

#define GEN_PASS_DEF_SIMPLIFY
#include "passes/Simplify/Simplify.h.inc"

namespace {

/// What becomes of an op that each shard computes by itself (`kiln.per_shard`, passes/TrainStep/BatchRows.h) is so,
/// too.
struct KeepOwn : mlir::RewriterBase::Listener {
  void notifyPatternBegin(const mlir::Pattern &, mlir::Operation *op) override { own = op->getAttr(perShard); }
  void notifyPatternEnd(const mlir::Pattern &, mlir::LogicalResult) override { own = {}; }
  void notifyOperationInserted(mlir::Operation *op, mlir::OpBuilder::InsertPoint) override {
    if (own)
      op->setAttr(perShard, own);
  }

  mlir::Attribute own; // of the op that is being rewritten
};

struct Simplify : impl::SimplifyBase<Simplify> {
  using SimplifyBase::SimplifyBase;

  mlir::LogicalResult initialize(mlir::MLIRContext *context) override {
    mlir::RewritePatternSet set(context);
    addAlgebraPatterns(set);
    addLayoutPatterns(set);
    addBroadcastPatterns(set);
    addProductPatterns(set);
    addTransposePatterns(set);
    addLoopPatterns(set);
    addControlPatterns(set, endEarly);
    patterns = mlir::FrozenRewritePatternSet(std::move(set));
    return mlir::success();
  }

  void runOnOperation() override {
    (void)eachFunction(getOperation(), [&](mlir::func::FuncOp function) { simplify(function); });
  }

  void simplify(mlir::func::FuncOp function) {
    mlir::IRRewriter rewriter(function.getContext());
    mlir::DominanceInfo dominance(function);
    // Equal values found by one round make patterns match in the next; two rounds find all but the rarest.
    KeepOwn keepOwn;
    for (int round = 0; round < 2; ++round) {
      mlir::GreedyRewriteConfig config;
      config.maxIterations = 20;
      config.listener = &keepOwn;
      // Not to have converged leaves a right program.
      (void)mlir::applyPatternsAndFoldGreedily(function, patterns, config);
      mlir::eliminateCommonSubExpressions(rewriter, dominance, function);
    }
  }

  mlir::FrozenRewritePatternSet patterns;
};

} // namespace
} // namespace kiln
