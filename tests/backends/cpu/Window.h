// Convolutions of test kernels: their windows, and what they give.
#pragma once

#include "tests/backends/cpu/TestKernel.h"

namespace kiln::test {

using Ints = std::vector<int64_t>;

struct Window {
  Ints strides, low, high, inputDilation, filterDilation;
  int64_t groups = 1;
};

inline Dims fixed(const Ints &dims) { return {dims.begin(), dims.end()}; }

inline uint32_t addConvolution(TestKernel &k, uint32_t input, uint32_t filter, kiln_dtype type, const Dims &dims,
                               const Window &w) {
  return k.op("convolution", {input, filter}, type, dims,
              {ints("strides", w.strides), ints("low", w.low), ints("high", w.high),
               ints("input_dilation", w.inputDilation), ints("filter_dilation", w.filterDilation),
               integer("groups", w.groups)});
}

/// max(convolution(abs(x), f) * scale + other, -other), whose result may take the place of `other`, input 3: a
/// convolution of planes with what stands before and behind it. `scale`: one for each of the filter's outputs.
inline void addSurrounded(TestKernel &k, const Ints &image, const Ints &filter, const Ints &result, const Window &w) {
  uint32_t x = k.input(KILN_F32, fixed(image)), f = k.input(KILN_F32, fixed(filter));
  uint32_t scale = k.input(KILN_F32, {filter[0]}), other = k.input(KILN_F32, fixed(result));
  uint32_t sum = addConvolution(k, k.op("abs", {x}), f, KILN_F32, fixed(result), w);
  uint32_t scaled = k.op("mul", {sum, k.op("broadcast", {scale}, KILN_F32, fixed(result), {ints("axes", {1})})});
  k.output(k.op("max", {k.op("add", {scaled, other}), k.op("neg", {other})}), 3);
}

inline Ints resultOf(const Ints &input, const Ints &filter, const Window &w) {
  Ints dims{input[0], filter[0]};
  for (size_t d = 0; d < w.strides.size(); ++d) {
    int64_t n = input[2 + d] ? (input[2 + d] - 1) * w.inputDilation[d] + 1 : 0,
            k = (filter[2 + d] - 1) * w.filterDilation[d] + 1;
    dims.push_back(std::max<int64_t>(0, (n + w.low[d] + w.high[d] - k) / w.strides[d] + 1));
  }
  return dims;
}

inline Window plane(int64_t stride = 1, int64_t pad = 0, int64_t inputDilation = 1, int64_t filterDilation = 1,
                    int64_t groups = 1) {
  return {{stride, stride},
          {pad, pad},
          {pad, pad},
          {inputDilation, inputDilation},
          {filterDilation, filterDilation},
          groups};
}

} // namespace kiln::test
