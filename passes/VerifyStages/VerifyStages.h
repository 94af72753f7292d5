// What each stage of the compile promises to the next, checked.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace kiln {

/// Whether the module is what this stage leaves behind, in these entries (all where none is named) where the stage
/// works on entries alone. Otherwise an error at what is not, and one that names the stage.
mlir::LogicalResult verifyStage(llvm::StringRef stage, mlir::ModuleOp module, llvm::ArrayRef<std::string> entries = {});

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/VerifyStages/VerifyStages.h.inc"

std::unique_ptr<mlir::Pass> createVerifyStages(llvm::StringRef stage, llvm::ArrayRef<std::string> entries);

} // namespace kiln
