#include "ir/Classes.h"

#include "llvm/ADT/DenseMap.h"

namespace kiln {

namespace {
struct Classes {
  OpClass opClass = OpClass::Structure;
  OpCost cost = OpCost::Free;
};
} // namespace

static Classes classesOf(mlir::Operation *op) {
  static const llvm::DenseMap<mlir::TypeID, Classes> table = {
#define KILN_OP_CLASSES(code, opClass, cost) {mlir::TypeID::get<code##Op>(), {OpClass::opClass, OpCost::cost}},
#include "ir/Ops.inc"
  };
  return table.lookup(op->getName().getTypeID());
}

OpClass opClassOf(mlir::Operation *op) { return classesOf(op).opClass; }
OpCost opCostOf(mlir::Operation *op) { return classesOf(op).cost; }

llvm::StringRef nameOf(mlir::Operation *op) {
  auto custom = llvm::dyn_cast<CustomOp>(op);
  return custom && custom.getName() ? *custom.getName() : op->getName().stripDialect();
}

static constexpr llvm::StringLiteral wholeName = "kiln.whole";

bool isWhole(mlir::Operation *op) { return op->hasAttr(wholeName); }
void keepWhole(mlir::Operation *op) { op->setAttr(wholeName, mlir::UnitAttr::get(op->getContext())); }

//===-- Dtypes -------------------------------------------------------------------------------------------------===//

static bool isA(mlir::Type element, llvm::StringRef name, unsigned bits, char kind) {
  switch (kind) {
  case 'f':
    return name == "bf16"  ? element.isBF16()
           : name == "f16" ? element.isF16()
           : bits == 32    ? element.isF32()
                           : bits == 64 && element.isF64();
  case 'i':
    return element.isSignlessInteger(bits);
  case 'u':
    return element.isUnsignedInteger(bits);
  case 'b':
    return element.isSignlessInteger(1);
  default:
    return false;
  }
}

std::optional<kiln_dtype> dtypeOf(mlir::Type element) {
#define KILN_DTYPE(number, name, bits, kind)                                                                           \
  if (number <= KILN_BOOL && isA(element, name, bits, kind)) /* those behind it are reserved */                        \
    return number;
#include "backends/api/dtypes.inc"
#undef KILN_DTYPE
  return std::nullopt;
}

int64_t elementBytes(mlir::Type type) {
  static constexpr unsigned bits[] = {
#define KILN_DTYPE(number, name, bits, kind) bits,
#include "backends/api/dtypes.inc"
#undef KILN_DTYPE
  };
  if (auto tensor = llvm::dyn_cast<mlir::RankedTensorType>(type))
    type = tensor.getElementType();
  std::optional<kiln_dtype> dtype = dtypeOf(type);
  if (!dtype)
    llvm::report_fatal_error("an element type that the dialect does not have");
  return bits[*dtype] / 8;
}

mlir::FailureOr<std::string> elementData(mlir::ElementsAttr elements) {
  auto dense = llvm::dyn_cast<mlir::DenseElementsAttr>(elements);
  if (!dense)
    return mlir::failure();
  if (dense.getElementType().isInteger(1)) {
    std::string result;
    if (dense.isSplat())
      result.push_back(dense.getSplatValue<bool>() ? 1 : 0);
    else
      for (bool bit : dense.getValues<bool>())
        result.push_back(bit ? 1 : 0);
    return result;
  }
  llvm::ArrayRef<char> raw = dense.getRawData();
  return std::string(raw.data(), raw.size());
}

} // namespace kiln
