// Which products, and what they read.

#include "passes/Narrow/Narrow.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace kiln {

#define GEN_PASS_DEF_NARROW
#include "passes/Narrow/Narrow.h.inc"

using mlir::FloatType;
using mlir::RankedTensorType;
using mlir::Value;

namespace {

Value narrowed(mlir::OpBuilder &builder, Value operand, FloatType type) {
  if (auto widened = operand.getDefiningOp<ConvertOp>())
    if (widened.getOperand().getType().getElementType() == type)
      return widened.getOperand();
  auto narrow = llvm::cast<RankedTensorType>(operand.getType()).clone(type);
  return builder.create<ConvertOp>(operand.getLoc(), narrow, operand);
}

void narrow(DotGeneralOp product, FloatType type) {
  auto isF32 = [](Value v) { return llvm::cast<RankedTensorType>(v.getType()).getElementType().isF32(); };
  if (!isF32(product.getLhs()) || !isF32(product.getRhs()) || !isF32(product.getResult()))
    return;
  mlir::OpBuilder builder(product);
  for (mlir::OpOperand &operand : product->getOpOperands())
    operand.set(narrowed(builder, operand.get(), type));
}

class Narrow : public impl::NarrowBase<Narrow> {
public:
  using NarrowBase::NarrowBase;

  void runOnOperation() override {
    if (!compute.empty() && compute != "bf16") {
      getOperation().emitError("products are computed in bf16 or as they are written, not in '" + compute + "'");
      return signalPassFailure();
    }
    FloatType bf16 = FloatType::getBF16(&getContext());
    for (auto function : getOperation().getOps<mlir::func::FuncOp>()) {
      auto asked = function->getAttrOfType<mlir::StringAttr>("kiln.compute");
      if (!compute.empty() || (asked && asked.getValue() == "bf16"))
        function.walk([&](DotGeneralOp product) { narrow(product, bf16); });
    }
  }
};

} // namespace

} // namespace kiln
