#include "passes/Simplify/Simplify.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

namespace kiln {

#define GEN_PASS_DEF_SIMPLIFY
#include "passes/Simplify/Simplify.h.inc"

namespace {

struct Simplify : impl::SimplifyBase<Simplify> {
  using SimplifyBase::SimplifyBase;

  void runOnOperation() override {
    mlir::OpPassManager passes("builtin.module");
    passes.addPass(mlir::createCanonicalizerPass());
    passes.addPass(mlir::createCSEPass());
    if (mlir::failed(runPipeline(passes, getOperation())))
      signalPassFailure();
  }
};

} // namespace
} // namespace kiln
