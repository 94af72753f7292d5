// The recipes of a model, which are the stages of its training.
#pragma once

#include "ir/Kiln.h"

namespace kiln {

/// A recipe that trains. The functions of the first have their plain names (`loss.train`, `train_step`); those of
/// another one have its name behind them (`train_step.finetune`).
struct Stage {
  mlir::DictionaryAttr train;
  std::string suffix; ///< "" or ".finetune"
};

/// `kiln.train`, then those of `kiln.stages` that have a recipe of their own.
llvm::SmallVector<Stage> stagesOf(mlir::ModuleOp module);

/// Puts another dictionary in a stage's place.
void setTrain(mlir::ModuleOp module, llvm::StringRef suffix, mlir::DictionaryAttr train);

} // namespace kiln
