// Verifying traits for the numbered constraints that many ops share.
#pragma once

#include "mlir/IR/OpDefinition.h"

namespace kiln {

/// A ranked tensor of one of the dialect's element types, with constant
/// dimensions or a `#kiln.dims` encoding.
bool isKilnTensor(mlir::Type type);

namespace detail {
enum class Elements { floats, numbers, integers, bits };
mlir::LogicalResult verifyOneType(mlir::Operation *op, bool withResults);
mlir::LogicalResult verifyElements(mlir::Operation *op, Elements elements);
mlir::LogicalResult verifyAxis(mlir::Operation *op, int64_t axis);
} // namespace detail

template <typename Op> struct OneType : mlir::OpTrait::TraitBase<Op, OneType> {
  static mlir::LogicalResult verifyTrait(mlir::Operation *op) { return detail::verifyOneType(op, true); }
};
template <typename Op> struct OneOperandType : mlir::OpTrait::TraitBase<Op, OneOperandType> {
  static mlir::LogicalResult verifyTrait(mlir::Operation *op) { return detail::verifyOneType(op, false); }
};
template <typename Op> struct FloatElements : mlir::OpTrait::TraitBase<Op, FloatElements> {
  static mlir::LogicalResult verifyTrait(mlir::Operation *op) {
    return detail::verifyElements(op, detail::Elements::floats);
  }
};
template <typename Op> struct NumberElements : mlir::OpTrait::TraitBase<Op, NumberElements> {
  static mlir::LogicalResult verifyTrait(mlir::Operation *op) {
    return detail::verifyElements(op, detail::Elements::numbers);
  }
};
template <typename Op> struct IntegerElements : mlir::OpTrait::TraitBase<Op, IntegerElements> {
  static mlir::LogicalResult verifyTrait(mlir::Operation *op) {
    return detail::verifyElements(op, detail::Elements::integers);
  }
};
template <typename Op> struct BitElements : mlir::OpTrait::TraitBase<Op, BitElements> {
  static mlir::LogicalResult verifyTrait(mlir::Operation *op) {
    return detail::verifyElements(op, detail::Elements::bits);
  }
};
template <typename Op> struct AxisBelowRank : mlir::OpTrait::TraitBase<Op, AxisBelowRank> {
  static mlir::LogicalResult verifyTrait(mlir::Operation *op) {
    return detail::verifyAxis(op, static_cast<int64_t>(llvm::cast<Op>(op).getAxis()));
  }
};
template <typename Op> struct Attends : mlir::OpTrait::TraitBase<Op, Attends> {};
template <typename Op> struct AttendsGrad : mlir::OpTrait::TraitBase<Op, AttendsGrad> {};
template <typename Op> struct NoGradient : mlir::OpTrait::TraitBase<Op, NoGradient> {};

} // namespace kiln
