#include "passes/Simplify/Simplify.h"

#include "passes/Simplify/Patterns.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "mlir/Transforms/Passes.h"

namespace kiln {

#define GEN_PASS_DEF_SIMPLIFY
#include "passes/Simplify/Simplify.h.inc"

namespace {

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
    mlir::OpPassManager merge("builtin.module");
    merge.addPass(mlir::createCSEPass());
    // Equal values found by one round make patterns match in the next; two rounds find all but the rarest.
    for (int round = 0; round < 2; ++round) {
      mlir::GreedyRewriteConfig config;
      config.maxIterations = 20;
      // Not to have converged leaves a right program.
      (void)mlir::applyPatternsAndFoldGreedily(getOperation(), patterns, config);
      if (mlir::failed(runPipeline(merge, getOperation())))
        return signalPassFailure();
    }
  }

  mlir::FrozenRewritePatternSet patterns;
};

} // namespace
} // namespace kiln
