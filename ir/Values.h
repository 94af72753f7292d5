// Small questions about a value: its tensor's type, and what constant it is.
#pragma once

#include "ir/Kiln.h"

#include <optional>

namespace kiln {

inline mlir::RankedTensorType tensorOf(mlir::Value value) {
  return llvm::cast<mlir::RankedTensorType>(value.getType());
}
inline mlir::Type elementOf(mlir::Value value) { return tensorOf(value).getElementType(); }
inline int64_t rankOf(mlir::Value value) { return tensorOf(value).getRank(); }

/// A constant's value where it is the same for all elements; nullopt for anything else.
std::optional<double> splatValue(mlir::Value value);

} // namespace kiln
