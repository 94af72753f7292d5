#include "passes/support/Entries.h"

namespace kiln {

std::string entryName(mlir::func::FuncOp function) {
  llvm::StringRef name = function.getName();
  if (function.isPrivate() || function.isExternal() || name == "loss.train")
    return "";
  return name == "loss.eval" ? "eval" : name.str();
}

llvm::SmallVector<mlir::func::FuncOp> entriesOf(mlir::ModuleOp module, llvm::ArrayRef<std::string> wanted) {
  llvm::SmallVector<mlir::func::FuncOp> entries;
  for (auto function : module.getOps<mlir::func::FuncOp>()) {
    std::string name = entryName(function);
    if (!name.empty() && (wanted.empty() || llvm::is_contained(wanted, name == "eval.pool" ? "eval" : name)))
      entries.push_back(function);
  }
  return entries;
}

} // namespace kiln
