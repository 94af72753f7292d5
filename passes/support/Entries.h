// Which functions of a module become entries of the program, and under which names.
#pragma once

#include "ir/Kiln.h"

namespace kiln {

/// A function's name as an entry ("eval" for `loss.eval`, "eval.finetune" for `loss.eval.finetune`); empty for one that
/// is none.
std::string entryName(mlir::func::FuncOp function);

/// Whether `wanted` names the entry, or what it belongs to: `generate` is `generate.prefill`, `generate.step` and
/// `generate.extend`.
bool isEntryOf(llvm::StringRef entry, llvm::StringRef wanted);

/// The functions that become entries of these names; all that may where none is named. What belongs to one of them
/// comes with it: `eval.pool` with `eval`, `stage.begin` and `stage.end` with `train_step`.
llvm::SmallVector<mlir::func::FuncOp> entriesOf(mlir::ModuleOp module, llvm::ArrayRef<std::string> wanted);

} // namespace kiln
