#include "passes/support/Values.h"

#include "ir/Bounds.h"
#include "ir/Classes.h"

#include <numeric>

namespace kiln {

using llvm::ArrayRef;
using llvm::SmallVector;
using mlir::Value;

SmallVector<int64_t> axesUpTo(int64_t count) {
  SmallVector<int64_t> axes(count);
  std::iota(axes.begin(), axes.end(), 0);
  return axes;
}

SmallVector<int64_t> otherAxes(int64_t rank, ArrayRef<int64_t> axes) {
  SmallVector<int64_t> result;
  for (int64_t axis = 0; axis < rank; ++axis)
    if (!llvm::is_contained(axes, axis))
      result.push_back(axis);
  return result;
}

bool isIdentity(ArrayRef<int64_t> permutation) {
  for (auto [index, axis] : llvm::enumerate(permutation))
    if (axis != static_cast<int64_t>(index))
      return false;
  return true;
}

SmallVector<int64_t> behindRows(llvm::ArrayRef<int64_t> axes, int64_t rowAxes) {
  SmallVector<int64_t> result;
  for (int64_t axis : axes)
    result.push_back(axis - rowAxes + 1);
  return result;
}

SmallVector<int64_t> inverted(ArrayRef<int64_t> permutation) {
  SmallVector<int64_t> result(permutation.size());
  for (auto [index, axis] : llvm::enumerate(permutation))
    result[axis] = static_cast<int64_t>(index);
  return result;
}

int64_t estimatedBytes(mlir::Type type, const Bounds &bounds) {
  int64_t bytes = elementBytes(type);
  for (const Dim &dim : dimsOf(type)) {
    std::map<std::string, int64_t> sizes;
    for (const std::string &symbol : dim.symbols()) {
      auto bound = bounds.find(symbol);
      sizes[symbol] = bound == bounds.end() ? 64 : bound->second;
    }
    bytes *= std::max<int64_t>(1, dim.evaluate(sizes).value_or(64));
  }
  return bytes;
}

double mostBytes(mlir::Type type, const Bounds &bounds) {
  auto bytes = static_cast<double>(elementBytes(type));
  for (const Dim &dim : dimsOf(type))
    bytes *= static_cast<double>(upperBound(dim, bounds).value_or(1));
  return bytes;
}

SmallVector<Value> usedValues(mlir::Operation *op) {
  SmallVector<Value> used(op->getOperands());
  if (op->getNumRegions() == 0)
    return used;
  llvm::SmallPtrSet<mlir::Region *, 4> inside;
  op->walk([&](mlir::Operation *nested) {
    for (mlir::Region &region : nested->getRegions())
      inside.insert(&region);
  });
  llvm::DenseSet<Value> seen;
  op->walk([&](mlir::Operation *nested) {
    for (Value operand : nested->getOperands())
      if (nested != op && !inside.contains(operand.getParentRegion()) && seen.insert(operand).second)
        used.push_back(operand);
  });
  return used;
}

} // namespace kiln
