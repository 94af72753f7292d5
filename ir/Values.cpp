// What constant a value is, and what nobody reads.
#include "ir/Values.h"

#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/SetVector.h"

namespace kiln {

std::optional<double> splatValue(mlir::Value value) {
  auto constant = value.getDefiningOp<ConstantOp>();
  auto dense = constant ? llvm::dyn_cast<mlir::DenseElementsAttr>(constant.getValue()) : mlir::DenseElementsAttr();
  if (!dense || !dense.isSplat())
    return std::nullopt;
  mlir::Type element = dense.getElementType();
  if (llvm::isa<mlir::FloatType>(element)) {
    llvm::APFloat number = dense.getSplatValue<llvm::APFloat>();
    bool inexact = false;
    number.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven, &inexact);
    return number.convertToDouble();
  }
  auto integer = llvm::dyn_cast<mlir::IntegerType>(element);
  if (!integer)
    return std::nullopt;
  llvm::APInt number = dense.getSplatValue<llvm::APInt>();
  bool isSigned = !integer.isUnsigned() && integer.getWidth() > 1;
  return isSigned ? static_cast<double>(number.getSExtValue()) : static_cast<double>(number.getZExtValue());
}

void eraseUnread(llvm::ArrayRef<mlir::Operation *> ops) {
  llvm::SetVector<mlir::Operation *> unread(ops.begin(), ops.end());
  while (!unread.empty()) {
    mlir::Operation *op = unread.pop_back_val();
    if (!mlir::isOpTriviallyDead(op))
      continue;
    for (mlir::Value operand : op->getOperands())
      if (mlir::Operation *source = operand.getDefiningOp())
        unread.insert(source);
    op->erase();
  }
}

void eraseUnread(mlir::Block &block, llvm::ArrayRef<mlir::Value> kept) {
  for (mlir::Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
    if (mlir::isOpTriviallyDead(&op) &&
        llvm::none_of(op.getResults(), [&](mlir::Value value) { return llvm::is_contained(kept, value); }))
      op.erase();
}

} // namespace kiln
