// The tables that the definitions of ops and dtypes make, and how they are asked.

#include "ir/Classes.h"

#include <array>

namespace kiln {

namespace {
struct Classes {
  OpClass opClass = OpClass::Structure;
  OpCost cost = OpCost::Free;
};

/// Fusion asks millions of times for each second of a compile: ids lie beside each other in memory, so that the first
/// look is nearly always the last.
class ClassTable {
public:
  ClassTable() {
#define KILN_OP_CLASSES(code, opClass, cost) add(mlir::TypeID::get<code##Op>(), {OpClass::opClass, OpCost::cost});
#include "ir/Ops.inc"
  }

  Classes of(mlir::TypeID id) const {
    const void *key = id.getAsOpaquePointer();
    for (size_t i = first(key); slots[i].first; i = (i + 1) % slots.size())
      if (slots[i].first == key)
        return slots[i].second;
    return {};
  }

private:
  static size_t first(const void *key) { return (reinterpret_cast<uintptr_t>(key) / alignof(void *)) % size; }
  void add(mlir::TypeID id, Classes classes) {
    size_t i = first(id.getAsOpaquePointer());
    while (slots[i].first)
      i = (i + 1) % size;
    slots[i] = {id.getAsOpaquePointer(), classes};
  }

  static constexpr size_t size = 512;
  std::array<std::pair<const void *, Classes>, size> slots = {};
  static constexpr size_t ops = 0
#define KILN_OP_CLASSES(code, opClass, cost) +1
#include "ir/Ops.inc"
      ;
  static_assert(2 * ops <= size, "searches end at a free slot, and soon");
};
} // namespace

static Classes classesOf(mlir::Operation *op) {
  static const ClassTable table;
  return table.of(op->getName().getTypeID());
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
