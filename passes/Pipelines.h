// The story of a compile: which stages run, in which order, and why each stands where it stands.
#pragma once

#include "passes/Claim/Claimant.h"
#include "passes/PlanMemory/PlanMemory.h"
#include "passes/StoreWeights/StoreWeights.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"

#include <functional>
#include <string>
#include <vector>

namespace kiln {

struct PipelineOptions {
  /// Called with the module as imported ("import") and after each further stage.
  std::function<void(llvm::StringRef stage, mlir::ModuleOp module)> afterStage;
  /// The stage behind which to begin; from the start where empty.
  llvm::StringRef after;
  /// The last stage to run; all where empty.
  llvm::StringRef until;
  /// Looks behind each stage whether it left what it promises (passes/VerifyStages). Tests do; a plain compile does
  /// only where it is asked to.
  bool verify = true;

  /// The type that products round their operands to: "bf16", or empty for what each function asks for.
  std::string compute;
  /// The type that matrices are stored in: "bf16", "q8", "q4", or empty (or "f32") for what is declared.
  std::string weightsAs;
  /// `forward` tells what is multiplied with its matrices, in place of its results.
  bool observe = false;
  /// How many rows a block of logits has at least; 0: large ones are cut, as the pass thinks best.
  int64_t blockRows = 0;
  /// How many segments the forward half of every function is cut into; 0: of those that say so (passes/Checkpoint).
  int64_t segments = 0;
  /// Of matrices whose weights are in blocks already, how they lie.
  StoredForms storedForms;

  // For decompose, claim, place and plan. Named things outlive the passes.
  /// Those who may take groups, the home first; none: stand-ins that take all, and no composite whole.
  llvm::ArrayRef<claim::Claimant *> claimants;
  /// Entries of the program to make; all where none is named.
  llvm::ArrayRef<std::string> entries;
  /// What the claimants ask of buffers; scratch is theirs to say.
  plan::Options plan;
  /// Where the plans go, in the order of the entries; null: nowhere.
  std::vector<plan::FunctionPlan> *plans = nullptr;
};

/// Adds the stages from `after` to `until`. Works on a pass manager anchored on `builtin.module`.
void buildCompilePipeline(mlir::OpPassManager &passes, const PipelineOptions &options = {});

} // namespace kiln
