#include "tests/backends/cpu/contract/Reference.h"
#include <algorithm>

namespace contract {

static Ints freeAxes(size_t rank, const Ints &batch, const Ints &contract) {
  Ints axes;
  for (int64_t d = 0; d < static_cast<int64_t>(rank); ++d)
    if (std::find(batch.begin(), batch.end(), d) == batch.end() &&
        std::find(contract.begin(), contract.end(), d) == contract.end())
      axes.push_back(d);
  return axes;
}

Tensor dot(const Tensor &lhs, const Tensor &rhs, const DotAxes &axes) {
  Ints lhsFree = freeAxes(lhs.dims.size(), axes.lhsBatch, axes.lhsContract);
  Ints rhsFree = freeAxes(rhs.dims.size(), axes.rhsBatch, axes.rhsContract);
  Ints dims, k;
  for (int64_t a : axes.lhsBatch)
    dims.push_back(lhs.dims[a]);
  for (int64_t a : lhsFree)
    dims.push_back(lhs.dims[a]);
  for (int64_t a : rhsFree)
    dims.push_back(rhs.dims[a]);
  for (int64_t a : axes.lhsContract)
    k.push_back(lhs.dims[a]);
  Tensor result(dims);
  forEach(dims, [&](const Ints &at) {
    Ints l(lhs.dims.size()), r(rhs.dims.size());
    size_t b = axes.lhsBatch.size();
    for (size_t i = 0; i < b; ++i)
      l[axes.lhsBatch[i]] = r[axes.rhsBatch[i]] = at[i];
    for (size_t i = 0; i < lhsFree.size(); ++i)
      l[lhsFree[i]] = at[b + i];
    for (size_t i = 0; i < rhsFree.size(); ++i)
      r[rhsFree[i]] = at[b + lhsFree.size() + i];
    double sum = 0;
    forEach(k, [&](const Ints &ik) {
      for (size_t i = 0; i < k.size(); ++i) {
        l[axes.lhsContract[i]] = ik[i];
        r[axes.rhsContract[i]] = ik[i];
      }
      sum += lhs.at(l) * rhs.at(r);
    });
    result.at(at) = sum;
  });
  return result;
}

Ints convolutionDims(const Ints &input, const Ints &filter, const Window &w) {
  Ints dims{input[0], filter[0]};
  for (size_t d = 0; d < w.strides.size(); ++d) {
    int64_t n = input[2 + d] ? (input[2 + d] - 1) * w.inputDilation[d] + 1 : 0,
            k = (filter[2 + d] - 1) * w.filterDilation[d] + 1;
    dims.push_back(std::max<int64_t>(0, (n + w.low[d] + w.high[d] - k) / w.strides[d] + 1));
  }
  return dims;
}

Tensor convolution(const Tensor &input, const Tensor &filter, const Window &w) {
  Tensor result(convolutionDims(input.dims, filter.dims, w));
  int64_t outputs = filter.dims[0] / w.groups, channels = filter.dims[1];
  forEach(result.dims, [&](const Ints &at) {
    double sum = 0;
    Ints window(filter.dims.begin() + 1, filter.dims.end());
    forEach(window, [&](const Ints &k) {
      Ints from{at[0], at[1] / outputs * channels + k[0]}, weight{at[1]};
      weight.insert(weight.end(), k.begin(), k.end());
      for (size_t d = 0; d < w.strides.size(); ++d) {
        int64_t position = at[2 + d] * w.strides[d] + k[1 + d] * w.filterDilation[d] - w.low[d];
        if (position < 0 || position % w.inputDilation[d] || position / w.inputDilation[d] >= input.dims[2 + d])
          return;
        from.push_back(position / w.inputDilation[d]);
      }
      sum += input.at(from) * filter.at(weight);
    });
    result.at(at) = sum;
  });
  return result;
}

} // namespace contract
