#include "passes/Passes.h"

#include "passes/Decompose/Decompose.h"
#include "passes/Differentiate/Differentiate.h"
#include "passes/Fuse/Fuse.h"
#include "passes/Pipelines.h"
#include "passes/PlanMemory/PlanMemory.h"
#include "passes/Rematerialize/Rematerialize.h"
#include "passes/Simplify/Simplify.h"
#include "passes/TrainStep/TrainStep.h"

namespace kiln {

void registerPasses() {
  registerDifferentiate();
  registerTrainStep();
  registerDecompose();
  registerSimplify();
  registerRematerialize();
  registerFuse();
  registerPlanMemory();
  mlir::PassPipelineRegistration<>("kiln-compile", "From an imported module to a planned one",
                                   [](mlir::OpPassManager &passes) { buildCompilePipeline(passes); });
}

} // namespace kiln
