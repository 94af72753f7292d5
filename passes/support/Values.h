// Small questions about values and axes that rules and rewrites ask.
#pragma once

#include "ir/Bounds.h"
#include "ir/Build.h"
#include "ir/Values.h"

namespace kiln {

inline bool isFloatTensor(mlir::Type type) {
  auto tensor = llvm::dyn_cast<mlir::RankedTensorType>(type);
  return tensor && llvm::isa<mlir::FloatType>(tensor.getElementType());
}

/// 0, 1, …, count-1.
llvm::SmallVector<int64_t> axesUpTo(int64_t count);
/// The axes below rank that are not among `axes`, in order.
llvm::SmallVector<int64_t> otherAxes(int64_t rank, llvm::ArrayRef<int64_t> axes);
bool isIdentity(llvm::ArrayRef<int64_t> permutation);
/// Axes behind the first `rowAxes` of a value, as they are where those are one axis.
llvm::SmallVector<int64_t> behindRows(llvm::ArrayRef<int64_t> axes, int64_t rowAxes);
llvm::SmallVector<int64_t> inverted(llvm::ArrayRef<int64_t> permutation);

/// About how many bytes a tensor has, for decisions, not for sizes: symbols at their bounds (a function's kiln.bounds),
/// those without one counting as 64.
int64_t estimatedBytes(mlir::Type type, const Bounds &bounds = {});
/// The most that it can be, each dimension at its own upper bound (1 where that has none); in double, since it may be
/// beyond 64 bits.
double mostBytes(mlir::Type type, const Bounds &bounds);

/// The values from outside that an op uses: its operands, and what its regions capture.
llvm::SmallVector<mlir::Value> usedValues(mlir::Operation *op);

} // namespace kiln
