#include "passes/Pipelines.h"

#include "passes/Decompose/Decompose.h"
#include "passes/Differentiate/Differentiate.h"
#include "passes/Fuse/Fuse.h"
#include "passes/Rematerialize/Rematerialize.h"
#include "passes/Simplify/Simplify.h"
#include "passes/TrainStep/TrainStep.h"

namespace kiln {

using llvm::StringRef;
using mlir::OpPassManager;

namespace {

/// @grad beside the loss. What is simple now stays simple: products that need not be in a loop have left it before.
void differentiate(OpPassManager &passes) {
  passes.addPass(createSimplify());
  passes.addPass(createDifferentiate());
}

/// @train_step beside it.
void trainStep(OpPassManager &passes) { passes.addPass(createTrainStep()); }

/// Primitives alone are left, and attention, which is one kernel where a backend has it (else `splitGroup` takes it
/// apart).
void decompose(OpPassManager &passes) {
  static const std::string whole[] = {"kiln.attention", "kiln.attention_grad"};
  DecomposeOptions options;
  options.keep = whole;
  passes.addPass(createDecompose(options));
}

/// The least that computes the same.
void simplify(OpPassManager &passes) { passes.addPass(createSimplify()); }

/// What is cheap is computed again by the backward half. Nothing behind this merges equal values of a function.
void rematerialize(OpPassManager &passes) { passes.addPass(createRematerialize()); }

/// One kernel each. (The plan follows in backends/host, when the backend has claimed the kernels.)
void fuse(OpPassManager &passes) { passes.addPass(createFuse()); }

struct Stage {
  StringRef name;
  void (*build)(OpPassManager &);
};

constexpr Stage stages[] = {
    {"import", [](OpPassManager &) {}},
    {"differentiate", differentiate},
    {"train-step", trainStep},
    {"decompose", decompose},
    {"simplify", simplify},
    {"rematerialize", rematerialize},
    {"fuse", fuse},
};

/// Shows the module to whoever wants to see it after a stage.
class Watch : public mlir::PassWrapper<Watch, mlir::OperationPass<mlir::ModuleOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(Watch)
  Watch(StringRef stage, std::function<void(StringRef, mlir::ModuleOp)> show) : stage(stage), show(std::move(show)) {}
  StringRef getName() const override { return "kiln-watch"; }
  void runOnOperation() override {
    show(stage, getOperation());
    markAllAnalysesPreserved();
  }

private:
  StringRef stage;
  std::function<void(StringRef, mlir::ModuleOp)> show;
};

} // namespace

llvm::ArrayRef<StringRef> stageNames() {
  static const llvm::SmallVector<StringRef> names = [] {
    llvm::SmallVector<StringRef> result;
    for (const Stage &stage : stages)
      result.push_back(stage.name);
    return result;
  }();
  return names;
}

void buildCompilePipeline(OpPassManager &passes, const PipelineOptions &options) {
  for (const Stage &stage : stages) {
    stage.build(passes);
    if (options.afterStage)
      passes.addPass(std::make_unique<Watch>(stage.name, options.afterStage));
    if (stage.name == options.until)
      return;
  }
}

} // namespace kiln
