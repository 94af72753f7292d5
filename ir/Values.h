// Small questions about a value: its tensor's type, what constant it is, whether anybody reads it.
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

/// Erases those of the ops whose results nobody reads, and what only they have read.
void eraseUnread(llvm::ArrayRef<mlir::Operation *> ops);
/// The same of all ops of a block, but for those that make `kept`.
void eraseUnread(mlir::Block &block, llvm::ArrayRef<mlir::Value> kept = {});

} // namespace kiln
