// Folders: what an op is when nothing needs to be computed. (Constant operands
// are evaluated by the interpreter, see interpreter/Fold.cpp.)
#include "ir/Kiln.h"

#include "mlir/IR/Matchers.h"

using mlir::OpFoldResult;
using mlir::Value;

namespace kiln {

namespace {

/// True for a splat of this number.
bool isSplat(mlir::Attribute value, int64_t number) {
  auto elements = llvm::dyn_cast_or_null<mlir::DenseElementsAttr>(value);
  if (!elements || !elements.isSplat())
    return false;
  if (llvm::isa<mlir::FloatType>(elements.getElementType()))
    return elements.getSplatValue<llvm::APFloat>().isExactlyValue(static_cast<double>(number));
  llvm::APInt bits = elements.getSplatValue<llvm::APInt>();
  return bits.getBitWidth() == 1 ? bits.getBoolValue() == (number != 0) : bits == static_cast<uint64_t>(number);
}

/// The zero that changes nothing: x + -0 and x - 0 are x, whereas -0 + 0 is 0. Integers have one.
bool isZero(mlir::Attribute value, bool isNegative) {
  auto elements = llvm::dyn_cast_or_null<mlir::DenseElementsAttr>(value);
  if (!elements || !elements.isSplat() || !llvm::isa<mlir::FloatType>(elements.getElementType()))
    return isSplat(value, 0);
  llvm::APFloat number = elements.getSplatValue<llvm::APFloat>();
  return number.isZero() && number.isNegative() == isNegative;
}

bool isBool(Value value) { return llvm::cast<mlir::RankedTensorType>(value.getType()).getElementType().isInteger(1); }

} // namespace

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValueAttr(); }

OpFoldResult NegOp::fold(FoldAdaptor) {
  auto inner = getOperand().getDefiningOp<NegOp>();
  return inner ? inner.getOperand() : Value();
}

OpFoldResult NotOp::fold(FoldAdaptor) {
  auto inner = getOperand().getDefiningOp<NotOp>();
  return inner ? inner.getOperand() : Value();
}

OpFoldResult AddOp::fold(FoldAdaptor adaptor) {
  if (isZero(adaptor.getRhs(), /*isNegative=*/true))
    return getLhs();
  return isZero(adaptor.getLhs(), /*isNegative=*/true) ? getRhs() : Value();
}

OpFoldResult SubOp::fold(FoldAdaptor adaptor) {
  return isZero(adaptor.getRhs(), /*isNegative=*/false) ? getLhs() : Value();
}

OpFoldResult MulOp::fold(FoldAdaptor adaptor) {
  if (isSplat(adaptor.getRhs(), 1))
    return getLhs();
  return isSplat(adaptor.getLhs(), 1) ? getRhs() : Value();
}

OpFoldResult DivOp::fold(FoldAdaptor adaptor) {
  return !isBool(getLhs()) && isSplat(adaptor.getRhs(), 1) ? getLhs() : Value();
}

OpFoldResult SelectOp::fold(FoldAdaptor adaptor) {
  if (getOnTrue() == getOnFalse())
    return getOnTrue();
  auto condition = llvm::dyn_cast_or_null<mlir::DenseElementsAttr>(adaptor.getCondition());
  if (!condition || !condition.isSplat())
    return {};
  return condition.getSplatValue<bool>() ? getOnTrue() : getOnFalse();
}

OpFoldResult ConvertOp::fold(FoldAdaptor) { return getOperand().getType() == getType() ? getOperand() : Value(); }

OpFoldResult ReshapeOp::fold(FoldAdaptor) {
  if (getOperand().getType() == getType())
    return getOperand();
  if (auto inner = getOperand().getDefiningOp<ReshapeOp>()) {
    getOperandMutable().assign(inner.getOperand());
    return getResult();
  }
  return {};
}

OpFoldResult BroadcastOp::fold(FoldAdaptor) { return getOperand().getType() == getType() ? getOperand() : Value(); }

OpFoldResult SliceOp::fold(FoldAdaptor) { return getOperand().getType() == getType() ? getOperand() : Value(); }

OpFoldResult TransposeOp::fold(FoldAdaptor) {
  if (llvm::is_sorted(getPermutation()))
    return getOperand();
  if (auto inner = getOperand().getDefiningOp<TransposeOp>()) {
    llvm::SmallVector<int64_t> permutation;
    for (int64_t axis : getPermutation())
      permutation.push_back(inner.getPermutation()[axis]);
    getOperandMutable().assign(inner.getOperand());
    setPermutation(permutation);
    return getResult();
  }
  return {};
}

} // namespace kiln
