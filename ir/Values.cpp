// What constant a value is.
#include "ir/Values.h"

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

} // namespace kiln
