// Stage by stage, and the one pipeline that runs them all.

#include "passes/Pipelines.h"

#include "passes/Checkpoint/Checkpoint.h"
#include "passes/Claim/Claim.h"
#include "passes/Decompose/Decompose.h"
#include "passes/Differentiate/Differentiate.h"
#include "passes/ExpandGradients/ExpandGradients.h"
#include "passes/Fuse/Fuse.h"
#include "passes/Narrow/Narrow.h"
#include "passes/Place/Place.h"
#include "passes/Recover/Recover.h"
#include "passes/Rematerialize/Rematerialize.h"
#include "passes/RowBlocks/RowBlocks.h"
#include "passes/Simplify/Simplify.h"
#include "passes/Skip/Skip.h"
#include "passes/StoreWeights/StoreWeights.h"
#include "passes/TrainStep/TrainStep.h"
#include "passes/VerifyStages/VerifyStages.h"

namespace kiln {

using llvm::StringRef;
using mlir::OpPassManager;

namespace {

//===-- The stages, in order -------------------------------------------------------------------------------------===//
// Each says what it does, why it stands here, and what holds behind it; passes/VerifyStages looks whether that is so.

/// IMPORT. frontend/language has written the model as one module (docs/architecture.md, "Modules"): composites and
/// primitives, functions of one block without side effects, parameters and states as arguments that the module
/// declares. Derivatives that the model asks for (`gradient`) are ops like any others behind this: what the frontend
/// wrote has them expanded already, since the interpreter reads it too. No stage may merge or fold values before that:
/// which value a derivative is taken by decides what it is.
void import(OpPassManager &passes, const PipelineOptions &) { passes.addPass(createExpandGradients()); }

/// STORE-WEIGHTS: matrices in the type that the user wants them stored in. First of all, since there is one declaration
/// of a parameter, and behind this every stage sees the model as if it had been written so.
void storeWeights(OpPassManager &passes, const PipelineOptions &options) {
  if (options.observe) // while matrices are what they are declared
    passes.addPass(createObserveInputs());
  StoreWeightsOptions store;
  store.as = options.weightsAs;
  passes.addPass(createStoreWeights(store, options.storedForms));
}

/// DIFFERENTIATE: @grad beside the loss. Before decompose, because composites have gradients of their own that are
/// better than those of their parts (softmax with cross entropy, attention, norms). Behind a first simplify: products
/// that need not be in a loop have left it, and what is simple now stays simple in both halves; later the backward half
/// would hold on to it. Equal values of the two halves are one value from here on: `simplify` may merge them until
/// `rematerialize`.
/// First of all, custom ops that no backend knows become what they are made of: a loop then saves what their gradient
/// reads, as if it were written there. Then composites that a model writes out are found again, before simplify writes
/// their parts in another way, and so that both halves have them.
void differentiate(OpPassManager &passes, const PipelineOptions &options) {
  DecomposeOptions derived;
  derived.derived = true;
  passes.addPass(createDecompose(derived, [claimants = options.claimants](mlir::Operation *op) {
    return mlir::FailureOr<bool>(claim::namesWhole(op, claimants));
  }));
  passes.addNestedPass<mlir::func::FuncOp>(createRecover());
  passes.addPass(createSimplify());
  passes.addPass(createDifferentiate());
}

/// TRAIN-STEP: @train_step, from the same loss by the same rules, with clipping, schedule and optimizer. It
/// differentiates anew and does not copy @grad, since it keeps the metrics and the new states. Here, so that everything
/// behind it sees a step as a function like any other. Behind it no stage adds a function or changes a signature.
void trainStep(OpPassManager &passes, const PipelineOptions &) { passes.addPass(createTrainStep()); }

/// DECOMPOSE. Nothing asks for a gradient any more, so composites, custom gradients and stop_gradient have done their
/// work. Primitives alone are left, and attention, which is one kernel where a backend has it: if none has, `claim`
/// takes it apart. So are the composites that a backend names and takes; it is asked here, while they are whole, so
/// that what it refuses is fused as if it had not been asked.
void decompose(OpPassManager &passes, const PipelineOptions &options) {
  DecomposeOptions decompose;
  decompose.attention = true;
  passes.addPass(createDecompose(
      decompose, [claimants = options.claimants](mlir::Operation *op) { return claim::takesWhole(op, claimants); }));
}

/// SIMPLIFY: the least that computes the same. Behind decompose, whose parts repeat each other and what is around them;
/// it is also where the values that gradients wrote once more "as the decomposition does" become one with the forward
/// half's. The last stage that merges equal values across a function.
/// Scans with a condition end early from here on, since nothing asks for their gradient any more.
void simplify(OpPassManager &passes, const PipelineOptions &) {
  SimplifyOptions simplify;
  simplify.endEarly = true;
  passes.addPass(createSimplify(simplify));
}

/// NARROW: products read their operands rounded, where a function or the user asks for it. Behind simplify, for which a
/// conversion would hide what is around a product (transposes, constants), and which would make one of two that fusion
/// puts into two kernels. Before rematerialize, which weighs what the backward half reads.
void narrow(OpPassManager &passes, const PipelineOptions &options) {
  NarrowOptions narrow;
  narrow.compute = options.compute;
  passes.addPass(createNarrow(narrow));
}

/// ROW-BLOCKS: logits, which nothing but a loss and its gradients reads, are computed in blocks of rows and never
/// whole. On primitives, where a loss of any kind is what it does to rows, and behind train-step and simplify, by which
/// the two halves have become one: so nothing is computed twice. Behind narrow, since it follows products' operands
/// into the loop. Before rematerialize, which would tear the halves apart again. Behind it no simplify, which takes
/// products out of loops.
void rowBlocks(OpPassManager &passes, const PipelineOptions &options) {
  RowBlocksOptions blocks;
  if (options.blockRows) {
    blocks.rows = options.blockRows;
    blocks.block = 1;       // no more rows than asked for,
    blocks.bytes = 1 << 16; // and of small ones too
  }
  passes.addPass(createRowBlocks(blocks));
}

/// CHECKPOINT: in a function that says how often (`kiln.segments`; the driver does, for a memory budget), parts of the
/// forward half are computed once more by the backward half. Behind simplify, which would merge the copies, and behind
/// row-blocks, whose loops hold the loss and the first gradients and so mark where the one half ends. Before
/// rematerialize, which then finds what is cheap and read late among what is left.
void checkpoint(OpPassManager &passes, const PipelineOptions &options) {
  CheckpointOptions checkpoint;
  checkpoint.segments = options.segments;
  passes.addPass(createCheckpoint(checkpoint));
}

/// SKIP: what a select takes for no row, with the matrices that it would read, is computed in a branch, or of many rows
/// for those alone that it takes: a mixture's experts, each for the tokens that have chosen it. Behind train-step,
/// since the backward half reads what it keeps of every expert, and behind simplify, by which the experts' parts are
/// theirs alone. Before rematerialize and fuse, which look at each region by itself. Still primitives.
void skip(OpPassManager &passes, const PipelineOptions &) { passes.addPass(createSkip()); }

/// REMATERIALIZE: what is cheap is computed again by the backward half, and not kept for it. Behind simplify, which
/// would merge the copies; nothing behind this may (fuse merges within a group alone). Before fuse, which then groups
/// each copy with its readers. Still primitives.
void rematerialize(OpPassManager &passes, const PipelineOptions &) { passes.addPass(createRematerialize()); }

/// FUSE: one kernel each (docs/fusion.md). On primitives, in the order of the program, and before any backend is asked:
/// what may be one kernel does not depend on who takes it. Behind it blocks hold groups, reshapes (the same memory),
/// constants, loops and branches; no op moves from one group to another except by claim and place.
void fuse(OpPassManager &passes, const PipelineOptions &) { passes.addPass(createFuse()); }

/// CLAIM: each group is offered to the backend that the program is for; what it refuses is split, and in the end
/// offered to the others. From here on for the entries of the program alone. Before plan, because a group may fall
/// apart here and what lies between its pieces needs memory. Behind it each group is somebody's (`kiln.target`).
void claim(OpPassManager &passes, const PipelineOptions &options) {
  passes.addPass(options.claimants.empty() ? createClaim() : createClaim(options.claimants, options.entries));
}

/// PLACE: groups settle where they cost least: loops as a whole, islands beside their neighbours, and what was refused
/// op by op fused again for whoever took it. Behind claim, since it weighs one's answers against another's. Behind it
/// no group changes any more.
void place(OpPassManager &passes, const PipelineOptions &options) {
  passes.addPass(options.claimants.empty() ? createPlace() : createPlace(options.claimants, options.entries));
}

/// PLAN: the order of the launches, and where every value lies (docs/memory.md). Last of the passes: lifetimes, the
/// results that lie in operands' memory and the scratch that this makes a kernel want are known only for final groups.
/// Behind it the module's groups are the program's launches, in the order of a walk.
void plan(OpPassManager &passes, const PipelineOptions &options) {
  if (!options.plans) {
    passes.addPass(createPlanMemory());
    return;
  }
  plan::Options planning = options.plan;
  if (!planning.scratchBytes && !options.claimants.empty())
    planning.scratchBytes = [claimants = options.claimants](GroupOp group) {
      return claim::scratchOf(group, claimants);
    };
  bool annotate = options.verify || options.afterStage;
  passes.addPass(createPlanMemory(std::move(planning), options.entries, *options.plans, annotate));
}

// Two stages are no passes, since what they make is no module:
//
// COMPILE (backends/host/Program.cpp, then each backend's compile). The plans become a kiln_program, the C structs of
// backends/api, with kernels that are equal but for names made once, and the manifest, which says the same in JSON;
// each backend that has kernels makes an artifact of its part. Behind plan: an artifact may rely on which places are
// the same and how they are aligned. Behind it nothing speaks of ops: the run side sees names, places and extents.
//
// LINK (frontend/driver/Link.h). Artifacts, manifest, constants, weights and the runtime become one program or library.
// Last, and by itself: `--emit` ends before it, the conformance kit and `check --against` load artifacts without it.

struct Stage {
  StringRef name;
  void (*build)(OpPassManager &, const PipelineOptions &);
};

constexpr Stage stages[] = {
    {"import", import},
    {"store-weights", storeWeights},
    {"differentiate", differentiate},
    {"train-step", trainStep},
    {"decompose", decompose},
    {"simplify", simplify},
    {"narrow", narrow},
    {"row-blocks", rowBlocks},
    {"checkpoint", checkpoint},
    {"skip", skip},
    {"rematerialize", rematerialize},
    {"fuse", fuse},
    {"claim", claim},
    {"place", place},
    {"plan", plan},
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

void buildCompilePipeline(OpPassManager &passes, const PipelineOptions &options) {
  bool begun = options.after.empty();
  for (const Stage &stage : stages) {
    if (begun) {
      stage.build(passes, options);
      if (options.verify)
        passes.addPass(createVerifyStages(stage.name, options.entries));
      if (options.afterStage)
        passes.addPass(std::make_unique<Watch>(stage.name, options.afterStage));
    }
    begun |= stage.name == options.after;
    if (stage.name == options.until)
      return;
  }
}

} // namespace kiln
