// Each composite in turn: left whole where a backend takes it so, else replaced by its decomposition.

#include "passes/Decompose/Decompose.h"

#include "ir/Classes.h"
#include "passes/support/Composites.h"

namespace kiln {

#define GEN_PASS_DEF_DECOMPOSE
#include "passes/Decompose/Decompose.h.inc"

using mlir::Operation;

namespace {

struct Decompose : impl::DecomposeBase<Decompose> {
  using DecomposeBase::DecomposeBase;

  TakesWhole takes;

  bool isOfInterest(Operation *op) {
    auto custom = llvm::dyn_cast<CustomOp>(op);
    return !derived || (custom && custom.getBackward().empty());
  }

  bool isKept(Operation *op) {
    return (attention && isAttention(op)) || llvm::is_contained(keep, op->getName().getStringRef());
  }

  mlir::FailureOr<bool> staysWhole(Operation *op) {
    if (isKept(op))
      return true;
    if (!llvm::isa<DecomposableOpInterface>(op) || op->getParentOfType<CustomOp>())
      return false;
    if (takes)
      return takes(op);
    std::string name = nameOf(op).str();
    return llvm::is_contained(whole, name) || (derived && llvm::is_contained(whole, name + "_grad"));
  }

  void runOnOperation() override {
    bool changed = true, failed = false;
    while (changed && !failed) { // a decomposition may hold composites
      changed = false;
      getOperation().walk([&](Operation *op) {
        if (failed || isWhole(op) || !isOfInterest(op))
          return;
        mlir::FailureOr<bool> stays = staysWhole(op);
        failed = mlir::failed(stays);
        if (failed)
          return;
        if (!*stays)
          changed |= expand(op);
        else if (!derived && !isKept(op))
          keepWhole(op);
      });
    }
    if (failed)
      signalPassFailure();
  }
};

} // namespace

std::unique_ptr<mlir::Pass> createDecompose(DecomposeOptions options, TakesWhole takes) {
  auto pass = std::make_unique<Decompose>(std::move(options));
  pass->takes = std::move(takes);
  return pass;
}

} // namespace kiln
