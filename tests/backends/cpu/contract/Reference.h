// dot_general and convolution by their definitions, in double precision.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace contract {

using std::size_t;

using Ints = std::vector<int64_t>;

struct Tensor {
  Ints dims;
  std::vector<double> data;
  explicit Tensor(Ints shape) : dims(std::move(shape)) {
    int64_t n = 1;
    for (int64_t d : dims)
      n *= d;
    data.assign(static_cast<size_t>(n), 0.0);
  }
  double &at(const Ints &place) { return data[static_cast<size_t>(offset(place))]; }
  double at(const Ints &place) const { return data[static_cast<size_t>(offset(place))]; }
  int64_t offset(const Ints &place) const {
    int64_t result = 0;
    for (size_t d = 0; d < dims.size(); ++d)
      result = result * dims[d] + place[d];
    return result;
  }
};

/// body for each place of a shape, row-major.
template <class Body> void forEach(const Ints &dims, Body body) {
  for (int64_t d : dims)
    if (d == 0)
      return;
  Ints at(dims.size(), 0);
  while (true) {
    body(at);
    size_t d = dims.size();
    while (d > 0 && ++at[d - 1] == dims[d - 1])
      at[--d] = 0;
    if (d == 0)
      return;
  }
}

struct DotAxes {
  Ints lhsBatch, rhsBatch, lhsContract, rhsContract;
};

Tensor dot(const Tensor &lhs, const Tensor &rhs, const DotAxes &axes);

struct Window {
  Ints strides, low, high, inputDilation, filterDilation;
  int64_t groups = 1;
};

Tensor convolution(const Tensor &input, const Tensor &filter, const Window &window);
Ints convolutionDims(const Ints &input, const Ints &filter, const Window &window);

} // namespace contract
