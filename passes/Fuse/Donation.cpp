#include "passes/Fuse/Donation.h"

namespace kiln {

llvm::SmallVector<int> donations(mlir::func::FuncOp function) {
  llvm::SmallVector<int> result(function.getNumResults(), -1);
  for (llvm::StringRef role : {"kiln.parameter", "kiln.state"}) {
    llvm::DenseMap<mlir::Attribute, unsigned> named; // the argument of a name; taken once
    for (unsigned a = 0; a < function.getNumArguments(); ++a)
      if (mlir::Attribute name = function.getArgAttr(a, role))
        named[name] = a;
    for (unsigned r = 0; r < function.getNumResults(); ++r) {
      mlir::Attribute name = function.getResultAttr(r, role);
      auto found = name ? named.find(name) : named.end();
      if (found == named.end() || function.getArgumentTypes()[found->second] != function.getResultTypes()[r])
        continue;
      result[r] = static_cast<int>(found->second);
      named.erase(found);
    }
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
