// The story of a compile: which passes run, in which order, under which stage names.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"

#include <functional>

namespace kiln {

/// The names of the stages, in order: what `--save-stages` writes.
llvm::ArrayRef<llvm::StringRef> stageNames();

struct PipelineOptions {
  /// Called with the module as imported ("import") and after each further stage.
  std::function<void(llvm::StringRef stage, mlir::ModuleOp module)> afterStage;
  /// The last stage to run; all where empty.
  llvm::StringRef until;
};

/// Adds the passes from an imported module to a planned one. Works on a pass manager anchored on `builtin.module`.
void buildCompilePipeline(mlir::OpPassManager &passes, const PipelineOptions &options = {});

} // namespace kiln
