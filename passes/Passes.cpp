#include "passes/Passes.h"

#include "passes/Checkpoint/Checkpoint.h"
#include "passes/Claim/Claim.h"
#include "passes/Decompose/Decompose.h"
#include "passes/Differentiate/Differentiate.h"
#include "passes/ExpandGradients/ExpandGradients.h"
#include "passes/Fuse/Fuse.h"
#include "passes/Narrow/Narrow.h"
#include "passes/Pipelines.h"
#include "passes/Place/Place.h"
#include "passes/PlanMemory/PlanMemory.h"
#include "passes/Recover/Recover.h"
#include "passes/Rematerialize/Rematerialize.h"
#include "passes/RowBlocks/RowBlocks.h"
#include "passes/Simplify/Simplify.h"
#include "passes/Skip/Skip.h"
#include "passes/StoreWeights/StoreWeights.h"
#include "passes/TrainStep/TrainStep.h"
#include "passes/VerifyStages/VerifyStages.h"

namespace kiln {

void registerPasses() {
  registerExpandGradients();
  registerDifferentiate();
  registerTrainStep();
  registerDecompose();
  registerSimplify();
  registerNarrow();
  registerStoreWeights();
  registerObserveInputs();
  registerRecover();
  registerRowBlocks();
  registerCheckpoint();
  registerSkip();
  registerRematerialize();
  registerFuse();
  registerClaim();
  registerPlace();
  registerPlanMemory();
  registerVerifyStages();
  mlir::PassPipelineRegistration<>("kiln-compile", "From an imported module to a planned one",
                                   [](mlir::OpPassManager &passes) { buildCompilePipeline(passes); });
}

} // namespace kiln
