#include "passes/Fuse/Donation.h"

namespace kiln {

llvm::SmallVector<int> donations(mlir::func::FuncOp function) {
  llvm::SmallVector<int> result(function.getNumResults(), -1);
  for (unsigned r = 0; r < function.getNumResults(); ++r)
    for (llvm::StringRef role : {"kiln.parameter", "kiln.state"}) {
      mlir::Attribute name = function.getResultAttr(r, role);
      for (unsigned a = 0; name && a < function.getNumArguments(); ++a)
        if (function.getArgAttr(a, role) == name && function.getArgumentTypes()[a] == function.getResultTypes()[r] &&
            !llvm::is_contained(result, static_cast<int>(a)))
          result[r] = static_cast<int>(a);
    }
  return result;
}

llvm::SmallVector<std::pair<mlir::BlockArgument, mlir::Value>> overwrites(mlir::Block &block) {
  llvm::SmallVector<std::pair<mlir::BlockArgument, mlir::Value>> result;
  mlir::Operation *parent = block.getParentOp();
  mlir::Operation *terminator = block.getTerminator();
  if (auto function = llvm::dyn_cast<mlir::func::FuncOp>(parent)) {
    for (auto [index, argument] : llvm::enumerate(donations(function)))
      if (argument >= 0)
        result.push_back({block.getArgument(argument), terminator->getOperand(index)});
  } else if (auto scan = llvm::dyn_cast<ScanOp>(parent)) {
    for (unsigned i = 0; i < scan.numCarries(); ++i)
      result.push_back({scan.carryArgs()[i], terminator->getOperand(i)});
  } else if (auto loop = llvm::dyn_cast<WhileOp>(parent); loop && block.getParent() == &loop.getBody()) {
    for (unsigned i = 0; i < loop.getInits().size(); ++i)
      result.push_back({block.getArgument(i), terminator->getOperand(i)});
  }
  return result;
}

} // namespace kiln
