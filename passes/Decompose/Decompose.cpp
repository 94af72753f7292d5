#include "passes/Decompose/Decompose.h"

#include "mlir/IR/IRMapping.h"

namespace kiln {

#define GEN_PASS_DEF_DECOMPOSE
#include "passes/Decompose/Decompose.h.inc"

using llvm::SmallVector;
using mlir::Operation;
using mlir::Value;

namespace {

/// The op's forward region in its place.
SmallVector<Value> inlined(CustomGradOp op, mlir::OpBuilder &builder) {
  mlir::Block &body = op.getForward().front();
  mlir::IRMapping map;
  map.map(body.getArguments(), op.getInputs());
  for (Operation &nested : body.without_terminator())
    builder.clone(nested, map);
  SmallVector<Value> results;
  for (Value value : body.getTerminator()->getOperands())
    results.push_back(map.lookupOrDefault(value));
  return results;
}

struct Decompose : impl::DecomposeBase<Decompose> {
  using DecomposeBase::DecomposeBase;

  bool expand(Operation *op) {
    mlir::OpBuilder builder(op);
    SmallVector<Value> values;
    if (auto composite = llvm::dyn_cast<DecomposableOpInterface>(op))
      values = composite.decompose(builder);
    else if (auto custom = llvm::dyn_cast<CustomGradOp>(op))
      values = inlined(custom, builder);
    else if (auto stop = llvm::dyn_cast<StopGradientOp>(op))
      values = {stop.getOperand()};
    else
      return false;
    op->replaceAllUsesWith(values);
    op->erase();
    return true;
  }

  void runOnOperation() override {
    bool changed = true;
    while (changed) { // a decomposition may hold composites
      changed = false;
      getOperation().walk([&](Operation *op) {
        if (!llvm::is_contained(keep, op->getName().getStringRef()))
          changed |= expand(op);
      });
    }
  }
};

} // namespace
} // namespace kiln
