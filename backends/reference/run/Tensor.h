// Tensors of the reference backend: every float is held as a double, every integer and bool as an int64_t.
#pragma once

#include "backends/sdk/Graph.h"
#include "runtime/support/Walk.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace kiln::reference {

using Ints = std::span<const int64_t>;
using Shape = std::vector<int64_t>;

struct Tensor {
  kiln_dtype dtype = KILN_F32;
  Shape shape;
  std::vector<double> floats;    ///< row-major, where the dtype is a float
  std::vector<int64_t> integers; ///< else; unsigned ones are zero-extended, a bool is 0 or 1

  bool isFloat() const { return sdk::isFloat(dtype); }
  size_t rank() const { return shape.size(); }
  int64_t size() const;
  Shape strides() const;
  template <typename T> std::vector<T> &data();
  template <typename T> const std::vector<T> &data() const;
  /// Gives the storage its size; elements are zero. Memory of a former use is used again.
  void allocate();
  /// Rounds floats to the dtype (nearest, ties to even).
  void round();
  void wrap();
  /// From and to a backend's memory, size() elements.
  void load(const uint8_t *memory);
  void store(uint8_t *memory) const;
};

template <> inline std::vector<double> &Tensor::data<double>() { return floats; }
template <> inline std::vector<int64_t> &Tensor::data<int64_t>() { return integers; }
template <> inline const std::vector<double> &Tensor::data<double>() const { return floats; }
template <> inline const std::vector<int64_t> &Tensor::data<int64_t>() const { return integers; }

/// The value as an element of the dtype: integers wrap to its width, bool tests for nonzero.
int64_t wrapTo(kiln_dtype dtype, int64_t value);
/// Truncates towards zero and saturates; NaN gives 0; bool tests for nonzero.
int64_t saturateTo(kiln_dtype dtype, double value);
double roundTo(kiln_dtype dtype, double value);
int64_t lowestOf(kiln_dtype dtype);
int64_t highestOf(kiln_dtype dtype);
/// Bits of an integer dtype; 1 for bool.
unsigned widthOf(kiln_dtype dtype);
/// False where the product or one of its factors is negative or beyond int64.
bool product(Ints extents, int64_t &result);

/// Calls f(T()) with the storage type of the tensor's elements.
template <typename F> auto onStorage(const Tensor &tensor, F f) {
  return tensor.isFloat() ? f(double{}) : f(int64_t{});
}

/// to[toBase + toStrides·i] = from[fromBase + fromStrides·i] for every index i of shape. False where that would reach
/// outside of either.
bool copyStrided(Ints shape, const Tensor &from, int64_t fromBase, Ints fromStrides, Tensor &to, int64_t toBase,
                 Ints toStrides);

} // namespace kiln::reference
