#include "passes/support/Entries.h"

namespace kiln {

std::string entryName(mlir::func::FuncOp function) {
  llvm::StringRef name = function.getName();
  if (function.isPrivate() || function.isExternal() || name.starts_with("loss.train") || name.starts_with("loss.shard"))
    return "";
  return name.consume_front("loss.eval") ? "eval" + name.str() : name.str();
}

/// What a function belongs to: `eval.pool` and `eval` make one measurement, `stage.begin` and `stage.end` stand around
/// a stage's steps.
static std::string ownerOf(llvm::StringRef name) {
  for (auto [part, owner] : {std::pair("eval.pool", "eval"), std::pair("stage.begin", "train_step"),
                             std::pair("stage.end", "train_step"), std::pair("shard.totals", "train_step"),
                             std::pair("shard.gradients", "train_step"), std::pair("shard.update", "train_step")})
    if (name.consume_front(part)) // shard.totals1.finetune
      return owner + name.ltrim("0123456789").str();
  return name.str();
}

bool isEntryOf(llvm::StringRef entry, llvm::StringRef wanted) {
  return ownerOf(entry) == wanted || (wanted == "generate" && entry.starts_with("generate."));
}

llvm::SmallVector<mlir::func::FuncOp> entriesOf(mlir::ModuleOp module, llvm::ArrayRef<std::string> wanted) {
  llvm::SmallVector<mlir::func::FuncOp> entries;
  for (auto function : module.getOps<mlir::func::FuncOp>()) {
    std::string name = entryName(function);
    auto names = [&](const std::string &one) { return isEntryOf(name, one); };
    if (!name.empty() && (wanted.empty() || llvm::any_of(wanted, names)))
      entries.push_back(function);
  }
  return entries;
}

} // namespace kiln
