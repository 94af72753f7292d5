// convolution on the CPU: windows, padding, strides, dilations and groups against the definition.
#include "tests/backends/cpu/contract/Case.h"

using namespace contract;

namespace {

std::vector<Dim> fixed(const Ints &dims) { return {dims.begin(), dims.end()}; }

uint32_t addConvolution(KernelSpec &spec, uint32_t input, uint32_t filter, kiln_dtype type,
                        const std::vector<Dim> &dims, const Window &w) {
  return spec.op("convolution", {input, filter}, spec.value(type, dims),
                 {{"strides", w.strides},
                  {"low", w.low},
                  {"high", w.high},
                  {"input_dilation", w.inputDilation},
                  {"filter_dilation", w.filterDilation}},
                 {{"groups", w.groups}});
}

void check(const Ints &input, const Ints &filter, const Window &w, kiln_dtype type = KILN_F32,
           kiln_dtype result = KILN_F32) {
  Tensor a = filled(input, 1), b = filled(filter, 2), c = convolution(a, b, w);
  KernelSpec spec;
  uint32_t x = spec.input(type, fixed(input)), f = spec.input(type, fixed(filter));
  spec.output(addConvolution(spec, x, f, result, fixed(c.dims), w));
  std::vector<Tensor> out = runKernel(spec, {a, b}, {c.dims});
  if (!out.empty())
    expectEqual(out[0], c);
}

Window plane(int64_t stride = 1, int64_t pad = 0, int64_t inputDilation = 1, int64_t filterDilation = 1,
             int64_t groups = 1) {
  return {{stride, stride},
          {pad, pad},
          {pad, pad},
          {inputDilation, inputDilation},
          {filterDilation, filterDilation},
          groups};
}

TEST(Convolution, Plain) {
  check({2, 1, 28, 28}, {8, 1, 3, 3}, plane());
  check({2, 5, 12, 11}, {7, 5, 3, 3}, plane());
  check({3, 32, 14, 14}, {24, 32, 3, 3}, plane());
  check({1, 3, 40, 41}, {13, 3, 5, 5}, plane());
}

TEST(Convolution, PaddingStridesAndDilations) {
  check({2, 4, 14, 14}, {6, 4, 3, 3}, plane(1, 1));
  check({2, 4, 15, 14}, {6, 4, 3, 3}, plane(2, 1));
  check({2, 4, 20, 20}, {6, 4, 3, 3}, plane(1, 2, 1, 2));
  check({2, 4, 7, 6}, {6, 4, 3, 3}, plane(1, 2, 2, 1)); // as the gradient of a strided one's input
  check({2, 4, 9, 9}, {6, 4, 1, 1}, plane(2));
  check({2, 4, 8, 8}, {6, 4, 3, 3}, {{1, 2}, {0, 1}, {2, 1}, {1, 2}, {2, 1}, 1});
  check({2, 4, 8, 8}, {6, 4, 3, 3}, {{1, 1}, {-1, 0}, {-2, 1}, {1, 1}, {1, 1}, 1}); // negative padding crops
}

TEST(Convolution, OneAndThreeSpatialAxes) {
  check({3, 5, 50}, {9, 5, 4}, {{1}, {3}, {0}, {1}, {1}, 1});
  check({2, 3, 6, 7, 8}, {5, 3, 2, 3, 3}, {{1, 1, 2}, {0, 1, 1}, {1, 1, 0}, {1, 1, 1}, {1, 1, 1}, 1});
}

TEST(Convolution, Groups) {
  check({2, 6, 10, 10}, {9, 2, 3, 3}, plane(1, 1, 1, 1, 3));
  check({2, 8, 10, 10}, {8, 1, 3, 3}, plane(1, 1, 1, 1, 8)); // depthwise
  check({2, 6, 10, 10}, {12, 2, 8, 8}, plane(1, 0, 1, 1, 3));
}

TEST(Convolution, LargeWindows) {
  check({5, 3, 28, 28}, {6, 3, 26, 26}, plane());
  check({8, 16, 14, 14}, {12, 16, 14, 14}, plane(1, 1));  // a filter's gradient, padded
  check({4, 6, 15, 15}, {8, 6, 7, 7}, plane(1, 1, 1, 2)); // of a strided one
  check({3, 2, 13, 13}, {4, 2, 13, 13}, plane());
}

TEST(Convolution, EmptyAndSingle) {
  check({0, 3, 8, 8}, {4, 3, 3, 3}, plane());
  check({2, 0, 8, 8}, {4, 0, 3, 3}, plane());
  check({1, 1, 1, 1}, {1, 1, 1, 1}, plane());
  check({1, 1, 1, 1}, {1, 1, 3, 3}, plane(1, 1));
}

TEST(Convolution, EveryType) {
  check({2, 4, 9, 9}, {6, 4, 3, 3}, plane(1, 1), KILN_F64, KILN_F64);
  check({2, 4, 9, 9}, {6, 4, 3, 3}, plane(1, 1), KILN_BF16, KILN_BF16);
  check({2, 4, 9, 9}, {6, 4, 3, 3}, plane(1, 1), KILN_I32, KILN_I32);
}

TEST(Convolution, DynamicBatch) {
  for (int64_t n : {0, 1, 5}) {
    KernelSpec spec;
    uint32_t x = spec.input(KILN_F32, {Dim(5, 0), Dim(3), Dim(9), Dim(9)}),
             f = spec.input(KILN_F32, fixed({4, 3, 3, 3}));
    spec.output(addConvolution(spec, x, f, KILN_F32, {Dim(5, 0), Dim(4), Dim(9), Dim(9)}, plane(1, 1)));
    Tensor a = filled({n, 3, 9, 9}, 3), b = filled({4, 3, 3, 3}, 4), c = convolution(a, b, plane(1, 1));
    std::vector<Tensor> out = runKernel(spec, {a, b}, {c.dims}, {n});
    ASSERT_FALSE(out.empty());
    expectEqual(out[0], c);
  }
}

/// What the differentiation of a convolution leaves behind: both operands transposed in the prologue.
TEST(Convolution, FilterGradientWithTransposedOperands) {
  for (Ints e : {Ints{6, 3, 14, 5}, Ints{16, 8, 28, 32}}) {
    int64_t n = e[0], channels = e[1], size = e[2], outputs = e[3], inner = size - 2;
    KernelSpec spec;
    uint32_t x = spec.input(KILN_F32, fixed({n, channels, size, size})),
             g = spec.input(KILN_F32, fixed({n, outputs, inner, inner}));
    uint32_t images = spec.op("transpose", {x}, spec.value(KILN_F32, fixed({channels, n, size, size})),
                              {{"permutation", {1, 0, 2, 3}}});
    uint32_t windows = spec.op("transpose", {g}, spec.value(KILN_F32, fixed({outputs, n, inner, inner})),
                               {{"permutation", {1, 0, 2, 3}}});
    spec.output(addConvolution(spec, images, windows, KILN_F32, fixed({channels, outputs, 3, 3}), plane()));
    Tensor a = filled({n, channels, size, size}, 5), b = filled({n, outputs, inner, inner}, 6);
    Tensor at({channels, n, size, size}), bt({outputs, n, inner, inner});
    forEach(at.dims, [&](const Ints &p) { at.at(p) = a.at({p[1], p[0], p[2], p[3]}); });
    forEach(bt.dims, [&](const Ints &p) { bt.at(p) = b.at({p[1], p[0], p[2], p[3]}); });
    Tensor c = convolution(at, bt, plane());
    std::vector<Tensor> out = runKernel(spec, {a, b}, {c.dims});
    ASSERT_FALSE(out.empty());
    expectEqual(out[0], c);
  }
}

TEST(Convolution, InputGradientWithTurnedFilter) {
  KernelSpec spec;
  uint32_t g = spec.input(KILN_F32, fixed({3, 6, 12, 12})), f = spec.input(KILN_F32, fixed({6, 4, 3, 3}));
  uint32_t swapped =
      spec.op("transpose", {f}, spec.value(KILN_F32, fixed({4, 6, 3, 3})), {{"permutation", {1, 0, 2, 3}}});
  uint32_t turned = spec.op("reverse", {swapped}, spec.value(KILN_F32, fixed({4, 6, 3, 3})), {{"axes", {2, 3}}});
  spec.output(addConvolution(spec, g, turned, KILN_F32, fixed({3, 4, 14, 14}), plane(1, 2)));
  Tensor a = filled({3, 6, 12, 12}, 5), b = filled({6, 4, 3, 3}, 6), bt({4, 6, 3, 3});
  forEach(bt.dims, [&](const Ints &p) { bt.at(p) = b.at({p[1], p[0], 2 - p[2], 2 - p[3]}); });
  Tensor c = convolution(a, bt, plane(1, 2));
  std::vector<Tensor> out = runKernel(spec, {a, b}, {c.dims});
  ASSERT_FALSE(out.empty());
  expectEqual(out[0], c);
}

TEST(Convolution, EpilogueOfBiasAndActivation) {
  KernelSpec spec;
  Ints dims{3, 20, 13, 13};
  uint32_t x = spec.input(KILN_F32, fixed({3, 4, 13, 13})), f = spec.input(KILN_F32, fixed({20, 4, 3, 3})),
           bias = spec.input(KILN_F32, {Dim(20)});
  uint32_t zero = spec.input(KILN_F32, fixed(dims));
  uint32_t product = addConvolution(spec, x, f, KILN_F32, fixed(dims), plane(1, 1));
  uint32_t wide = spec.op("broadcast", {bias}, spec.value(KILN_F32, fixed(dims)), {{"axes", {1}}});
  uint32_t biased = spec.op("add", {product, wide}, spec.value(KILN_F32, fixed(dims)));
  spec.output(spec.op("max", {biased, zero}, spec.value(KILN_F32, fixed(dims))));
  Tensor a = filled({3, 4, 13, 13}, 7), b = filled({20, 4, 3, 3}, 8), c = filled({20}, 9), z(dims);
  Tensor result = convolution(a, b, plane(1, 1));
  forEach(dims, [&](const Ints &p) { result.at(p) = std::max(0.0, result.at(p) + c.at({p[1]})); });
  std::vector<Tensor> out = runKernel(spec, {a, b, c, z}, {dims});
  ASSERT_FALSE(out.empty());
  expectEqual(out[0], result);
}

} // namespace
