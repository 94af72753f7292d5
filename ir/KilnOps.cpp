#include "ir/Kiln.h"

#define GET_OP_CLASSES
#include "ir/KilnOps.cpp.inc"

namespace kiln {

mlir::OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValueAttr(); }

mlir::OpFoldResult ReshapeOp::fold(FoldAdaptor) {
  return getOperand().getType() == getType() ? getOperand() : mlir::Value();
}
mlir::OpFoldResult BroadcastOp::fold(FoldAdaptor) {
  return getOperand().getType() == getType() ? getOperand() : mlir::Value();
}
mlir::OpFoldResult SliceOp::fold(FoldAdaptor) {
  return getOperand().getType() == getType() ? getOperand() : mlir::Value();
}
mlir::OpFoldResult TransposeOp::fold(FoldAdaptor) {
  for (auto [index, axis] : llvm::enumerate(getPermutation()))
    if (axis != static_cast<int64_t>(index))
      return {};
  return getOperand();
}

void ScanOp::build(mlir::OpBuilder &builder, mlir::OperationState &state, Dim count, mlir::ValueRange inits,
                   mlir::ValueRange sequences, mlir::TypeRange outputTypes, bool reverse) {
  mlir::MLIRContext *context = builder.getContext();
  state.addOperands(inits);
  state.addOperands(sequences);
  auto &properties = state.getOrAddProperties<Properties>();
  properties.count = DimsAttr::get(context, {count});
  properties.reverse = builder.getBoolAttr(reverse);
  properties.operandSegmentSizes = {static_cast<int32_t>(inits.size()), static_cast<int32_t>(sequences.size())};
  state.addTypes(inits.getTypes());
  for (mlir::Type type : outputTypes) {
    llvm::SmallVector<Dim> dims = dimsOf(type);
    dims.insert(dims.begin(), count);
    state.addTypes(tensorType(dims, llvm::cast<mlir::RankedTensorType>(type).getElementType()));
  }
  mlir::Block &block = state.addRegion()->emplaceBlock();
  block.addArgument(tensorType({}, builder.getI32Type()), state.location);
  for (mlir::Value init : inits)
    block.addArgument(init.getType(), init.getLoc());
  for (mlir::Value sequence : sequences)
    block.addArgument(tensorType(llvm::ArrayRef<Dim>(dimsOf(sequence)).drop_front(),
                                 llvm::cast<mlir::RankedTensorType>(sequence.getType()).getElementType()),
                      sequence.getLoc());
}

mlir::LogicalResult ScanOp::verify() { return mlir::success(); }

} // namespace kiln
