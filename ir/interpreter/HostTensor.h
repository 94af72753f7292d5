// Tensors of the reference interpreter: every float is held as a double, every integer and bool as an int64_t.
#pragma once

#include "ir/Kiln.h"

#include <cstdint>
#include <vector>

namespace kiln {

struct HostTensor {
  mlir::Type element;
  std::vector<int64_t> shape;
  std::vector<double> floats;    // row-major, where the element type is a float
  std::vector<int64_t> integers; // else; unsigned ones are zero-extended, a bool is 0 or 1

  /// Zeros.
  static HostTensor zeros(mlir::Type element, std::vector<int64_t> shape);
  static HostTensor ofFloats(mlir::Type element, std::vector<int64_t> shape, std::vector<double> values);
  static HostTensor ofIntegers(mlir::Type element, std::vector<int64_t> shape, std::vector<int64_t> values);
  /// The elements of a constant, in `shape` (a splat is repeated).
  static HostTensor fromAttribute(mlir::ElementsAttr value, std::vector<int64_t> shape);
  /// A dense attribute of the tensor's static type; elements are rounded to the element type.
  mlir::DenseElementsAttr toAttribute() const;

  bool isFloat() const { return llvm::isa<mlir::FloatType>(element); }
  int64_t rank() const { return static_cast<int64_t>(shape.size()); }
  int64_t size() const;
  std::vector<int64_t> strides() const;

  template <typename T> std::vector<T> &data();
  template <typename T> const std::vector<T> &data() const;
  /// Gives the storage its size; elements are zero.
  void allocate();
  /// Rounds floats to the element type (nearest, ties to even).
  void roundToElement();
};

template <> inline std::vector<double> &HostTensor::data<double>() { return floats; }
template <> inline std::vector<int64_t> &HostTensor::data<int64_t>() { return integers; }
template <> inline const std::vector<double> &HostTensor::data<double>() const { return floats; }
template <> inline const std::vector<int64_t> &HostTensor::data<int64_t>() const { return integers; }

/// The value as an element of the type: integers wrap to its width, bool tests for nonzero.
int64_t wrapTo(mlir::Type element, int64_t value);
/// Truncates towards zero and saturates; NaN gives 0; bool tests for nonzero.
int64_t saturateTo(mlir::Type element, double value);
double roundTo(mlir::Type element, double value);
/// The lowest and highest integer of the type.
int64_t lowestOf(mlir::Type element);
int64_t highestOf(mlir::Type element);

} // namespace kiln
