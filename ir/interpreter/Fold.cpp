#include "ir/interpreter/Fold.h"

#include "ir/Classes.h"
#include "ir/interpreter/Interpreter.h"
#include "ir/interpreter/Kernels.h"

#include "mlir/Interfaces/FoldInterfaces.h"

namespace kiln {

namespace {

/// Larger results stay computed: text, memory and compile time would grow with them.
constexpr int64_t maxElements = 256;

mlir::DenseElementsAttr splatOf(mlir::RankedTensorType type, mlir::Attribute value) {
  if (!type.hasStaticShape())
    type = mlir::RankedTensorType::get({}, type.getElementType());
  return mlir::DenseElementsAttr::get(type, value);
}

bool movesElements(mlir::Operation *op) { return isReindexing(op) || llvm::isa<StopGradientOp>(op); }

struct ConstantFolding : mlir::DialectFoldInterface {
  using DialectFoldInterface::DialectFoldInterface;

  mlir::LogicalResult fold(mlir::Operation *op, llvm::ArrayRef<mlir::Attribute> operands,
                           llvm::SmallVectorImpl<mlir::OpFoldResult> &results) const final {
    llvm::SmallVector<mlir::DenseElementsAttr> constants;
    for (mlir::Attribute operand : operands)
      if (auto dense = llvm::dyn_cast_or_null<mlir::DenseElementsAttr>(operand))
        constants.push_back(dense);
    if (constants.empty() || constants.size() != operands.size() || !interpreter::hasKernel(op) ||
        llvm::isa<RandomBitsOp>(op))
      return mlir::failure();
    bool splats = llvm::all_of(constants, [](auto constant) { return constant.isSplat(); });
    auto type = llvm::cast<mlir::RankedTensorType>(op->getResult(0).getType());
    if (splats && movesElements(op)) {
      results.push_back(splatOf(type, constants[0].getSplatValue<mlir::Attribute>()));
      return mlir::success();
    }
    bool scalar = splats && isElementwise(op);
    if (!scalar)
      for (mlir::Type each : op->getResultTypes())
        if (auto result = llvm::cast<mlir::RankedTensorType>(each);
            !result.hasStaticShape() || result.getNumElements() > maxElements)
          return mlir::failure();
    return compute(op, constants, scalar, results);
  }

  static mlir::LogicalResult compute(mlir::Operation *op, llvm::ArrayRef<mlir::DenseElementsAttr> constants,
                                     bool scalar, llvm::SmallVectorImpl<mlir::OpFoldResult> &results) {
    std::vector<HostTensor> tensors;
    llvm::SmallVector<const HostTensor *> inputs;
    for (auto [operand, constant] : llvm::zip_equal(op->getOperands(), constants)) {
      auto type = llvm::cast<mlir::RankedTensorType>(operand.getType());
      if (!scalar && !type.hasStaticShape())
        return mlir::failure();
      tensors.push_back(
          HostTensor::fromAttribute(constant, scalar ? std::vector<int64_t>() : std::vector<int64_t>(type.getShape())));
    }
    for (const HostTensor &tensor : tensors)
      inputs.push_back(&tensor);
    InterpreterOptions options;
    options.roundToDtype = true;
    absl::StatusOr<Interpreted> value = interpreter::evaluateIn(op, inputs, options, scalar);
    // A mistake in the data belongs to the run, which reports it.
    if (!value.ok() || value->error)
      return mlir::failure();
    for (auto [tensor, type] : llvm::zip_equal(value->results, op->getResultTypes())) {
      auto result = llvm::cast<mlir::RankedTensorType>(type);
      mlir::DenseElementsAttr elements = tensor.toAttribute();
      results.push_back(scalar ? splatOf(result, elements.getSplatValue<mlir::Attribute>()) : elements);
    }
    return mlir::success();
  }
};

} // namespace

void addConstantFolding(mlir::Dialect &dialect) { dialect.addInterfaces<ConstantFolding>(); }

} // namespace kiln
