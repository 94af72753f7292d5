#include "passes/Claim/Claimant.h"

#include "ir/Bounds.h"
#include "passes/support/Values.h"

namespace kiln::claim {

mlir::FailureOr<Answer> Choosy::claim(GroupOp group) {
  Answer answer;
  for (mlir::Operation &op : group.getBody().front().without_terminator()) {
    bool refused = false;
    op.walk([&](mlir::Operation *one) { // of a loop, what is in it
      llvm::StringRef name = one->getName().stripDialect();
      if (!llvm::is_contained(options.refused, name))
        return;
      refused = true;
      if (answer.reason.empty())
        answer.reason = "no " + name.str() + " here";
    });
    if (!refused && options.parts && !fuse::isPlainSource(&op))
      answer.parts.emplace_back().insert(&op);
  }
  answer.whole = answer.reason.empty();
  if (answer.whole)
    answer.parts.clear();
  return answer;
}

double Choosy::secondsOf(GroupOp group) {
  Bounds bounds = boundsOf(group->getParentOfType<mlir::func::FuncOp>());
  double seconds = 0;
  for (mlir::Type type : llvm::concat<const mlir::Type>(llvm::to_vector(group->getOperandTypes()),
                                                        llvm::to_vector(group->getResultTypes())))
    seconds += static_cast<double>(estimatedBytes(type, bounds)) / 10e9;
  for (mlir::Operation &op : group.getBody().front())
    if (fuse::roleOf(&op) == fuse::Role::contract)
      seconds += 1e-3;
  return seconds;
}

} // namespace kiln::claim
