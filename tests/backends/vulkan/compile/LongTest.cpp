// Loops that come round more often than a driver lets them: llvmpipe ends all loops of an invocation after 65,535
// passes in all. Each form at a length beyond that, with few rows. Attention's are in AttentionTest.cpp.
#include "tests/backends/vulkan/compile/OnDevice.h"
#include <gtest/gtest.h>

using namespace kiln;
using namespace kiln::test;

namespace {

constexpr int64_t beyond = 66'000; // passes of one loop

/// Runs with the profile that a processor takes, or both, and judges the values in float64.
void expectRight(TestKernel &kernel, const std::vector<Tensor> &inputs, double tolerance,
                 std::initializer_list<const char *> profiles = {"processor", "gpu"}) {
  for (const char *profile : profiles) {
    RunResult result = runOnDevice(profile, kernel, bytesOf(inputs));
    ASSERT_EQ(result.error, "") << "with " << profile;
    judge(kernel, inputs, result.bytes, tolerance, std::string("with ") + profile);
  }
}

Attr kind(const char *of) { return string("kind", of); }
std::vector<Attr> dotAttributes() {
  return {ints("lhs_batch", {}), ints("rhs_batch", {}), ints("lhs_contract", {1}), ints("rhs_contract", {1})};
}

/// exp(x - max) of rows.
struct Powers {
  uint32_t most, power, sum;
  Powers(TestKernel &kernel, int64_t rows, const Dim &columns) {
    uint32_t x = kernel.input(KILN_F32, {rows, columns});
    most = kernel.op("reduce", {x}, KILN_F32, {rows}, {kind("max"), ints("axes", {1})});
    uint32_t wide = kernel.op("broadcast", {most}, KILN_F32, {rows, columns}, {ints("axes", {0})});
    power = kernel.op("exp", {kernel.op("sub", {x, wide})});
    sum = kernel.op("reduce", {power}, KILN_F32, {rows}, {kind("sum"), ints("axes", {1})});
  }
};

/// log(sum(exp(x - max)))
void logSumExp(int64_t rows, const Dim &columns, int64_t length) {
  TestKernel kernel("k0", "rows");
  Powers powers(kernel, rows, columns);
  kernel.output(kernel.op("add", {kernel.op("log", {powers.sum}), powers.most}));
  if (columns.slot >= 0)
    kernel.bindExtents({length});
  expectRight(kernel, {randomTensor(KILN_F32, {rows, length}, -2, 2)}, 1e-5);
}

TEST(Long, LogSumExp) { logSumExp(8, 50'257, 50'257); }
TEST(Long, LogSumExpOfSomeColumns) { logSumExp(2, Dim(200'000, 0), 131'077); }

TEST(Long, Softmax) {
  constexpr int64_t rows = 2, columns = 40'000;
  TestKernel kernel("k0", "rows");
  Powers powers(kernel, rows, columns);
  uint32_t all = kernel.op("broadcast", {powers.sum}, KILN_F32, {rows, columns}, {ints("axes", {0})});
  kernel.output(kernel.op("div", {powers.power, all}));
  expectRight(kernel, {randomTensor(KILN_F32, {rows, columns}, -2, 2)}, 1e-6);
}

TEST(Long, LayerNorm) {
  constexpr int64_t rows = 2, columns = 33'000;
  TestKernel kernel("k0", "rows");
  uint32_t x = kernel.input(KILN_F32, {rows, columns});
  auto mean = [&](uint32_t value) {
    uint32_t sum = kernel.op("reduce", {value}, KILN_F32, {rows}, {kind("sum"), ints("axes", {1})});
    uint32_t wide = kernel.op("broadcast", {sum}, KILN_F32, {rows, columns}, {ints("axes", {0})});
    uint32_t count =
        kernel.op("broadcast", {kernel.constant(KILN_F32, columns)}, KILN_F32, {rows, columns}, {ints("axes", {})});
    return kernel.op("div", {wide, count});
  };
  uint32_t centred = kernel.op("sub", {x, mean(x)});
  uint32_t variance = mean(kernel.op("mul", {centred, centred}));
  kernel.output(kernel.op("mul", {centred, kernel.op("rsqrt", {variance})}));
  expectRight(kernel, {randomTensor(KILN_F32, {rows, columns}, -2, 3)}, 1e-5);
}

TEST(Long, SumsOfColumns) {
  for (int64_t columns : {1, 3}) {
    TestKernel kernel("k0", "columns");
    uint32_t x = kernel.input(KILN_F32, {200'000, columns});
    kernel.output(kernel.op("reduce", {x}, KILN_F32, {columns}, {kind("sum"), ints("axes", {0})}));
    expectRight(kernel, {randomTensor(KILN_F32, {200'000, columns}, 0, 1)}, 1e-5);
  }
}

/// x @ x.T
void product(int64_t rows, const Dim &depth, int64_t length, kiln_dtype dtype = KILN_F32) {
  TestKernel kernel("k0", "contract");
  uint32_t x = kernel.input(dtype, {rows, depth}), y = kernel.input(dtype, {rows, depth});
  kernel.output(kernel.op("dot_general", {x, y}, dtype, {rows, rows}, dotAttributes()));
  if (depth.slot >= 0)
    kernel.bindExtents({length});
  expectRight(kernel, {wholeNumbers(dtype, {rows, length}, 1, 2), wholeNumbers(dtype, {rows, length}, 2, 2)}, 1e-6);
}

TEST(Long, Product) { product(8, 70'000, 70'000); }
TEST(Long, ProductByFours) { product(9, 270'000, 270'000); }
TEST(Long, ProductOfOneRow) { product(1, 300'001, 300'001); }
TEST(Long, ProductOfSomeDepth) { product(5, Dim(100'000, 0), 90'001); }
TEST(Long, ProductOfWholeNumbers) { product(3, beyond, beyond, KILN_I32); }

/// [C, N, H, W] and a filter [O, N, H', W']: what the gradient of a filter is.
TEST(Long, GradientOfAFilter) {
  TestKernel kernel("k0", "contract");
  uint32_t x = kernel.input(KILN_F32, {2, 64, 34, 34}), g = kernel.input(KILN_F32, {3, 64, 32, 32});
  kernel.output(kernel.op("convolution", {x, g}, KILN_F32, {2, 3, 3, 3},
                          {ints("strides", {1, 1}), ints("low", {0, 0}), ints("high", {0, 0}),
                           ints("input_dilation", {1, 1}), ints("filter_dilation", {1, 1}), integer("groups", 1)}));
  expectRight(kernel, {wholeNumbers(KILN_F32, {2, 64, 34, 34}, 1, 2), wholeNumbers(KILN_F32, {3, 64, 32, 32}, 2, 2)},
              1e-6);
}

TEST(Long, CumulativeSum) {
  for (int64_t way : {0, 1, 2, 3}) {
    TestKernel kernel;
    uint32_t x = kernel.input(KILN_F32, {2, beyond});
    kernel.output(kernel.op("cumsum", {x}, KILN_F32, {2, beyond},
                            {integer("axis", 1), integer("reverse", way & 1), integer("exclusive", way >> 1)}));
    expectRight(kernel, {wholeNumbers(KILN_F32, {2, beyond}, 1, 2)}, 1e-6, {"portable"});
  }
}

TEST(Long, Sort) {
  TestKernel kernel;
  uint32_t x = kernel.input(KILN_F32, {1, beyond});
  auto [values, places] =
      kernel.op2("sort", x, KILN_F32, KILN_I32, {1, beyond}, {integer("axis", 1), integer("descending", 0)});
  kernel.output(values);
  kernel.output(places);
  expectRight(kernel, {randomTensor(KILN_F32, {1, beyond}, -2, 2)}, 1e-7, {"portable"});
}

TEST(Long, TopK) {
  TestKernel kernel;
  uint32_t x = kernel.input(KILN_F32, {1, beyond});
  auto [values, places] = kernel.op2("top_k", x, KILN_F32, KILN_I32, {1, 3}, {integer("k", 3)});
  kernel.output(values);
  kernel.output(places);
  expectRight(kernel, {randomTensor(KILN_F32, {1, beyond}, -2, 2)}, 1e-7, {"portable"});
}

TEST(Long, ArgMax) {
  for (const char *of : {"max", "min"}) {
    TestKernel kernel;
    uint32_t x = kernel.input(KILN_F32, {2, 140'000});
    kernel.output(kernel.op("arg_reduce", {x}, KILN_I32, {2}, {kind(of), integer("axis", 1)}));
    expectRight(kernel, {randomTensor(KILN_F32, {2, 140'000}, -2, 2)}, 1e-7);
  }
}

/// An op beside it that keeps any other form away.
TEST(Long, ReductionAmongOthers) {
  TestKernel kernel;
  uint32_t x = kernel.input(KILN_F32, {300, 300});
  uint32_t sum = kernel.op("reduce", {x}, KILN_F32, {}, {kind("sum"), ints("axes", {0, 1})});
  uint32_t running = kernel.op("cumsum", {x}, KILN_F32, {300, 300},
                               {integer("axis", 1), integer("reverse", 0), integer("exclusive", 0)});
  uint32_t wide = kernel.op("broadcast", {sum}, KILN_F32, {300, 300}, {ints("axes", {})});
  kernel.output(kernel.op("add", {running, wide}));
  expectRight(kernel, {wholeNumbers(KILN_F32, {300, 300}, 1, 2)}, 1e-6, {"portable"});
}

TEST(Long, Window) {
  TestKernel kernel("k0", "window");
  uint32_t x = kernel.input(KILN_F32, {1, 1, 300, 301});
  kernel.output(kernel.op("reduce_window", {x}, KILN_F32, {1, 1, 1, 2},
                          {kind("max"), ints("window", {1, 1, 300, 300}), ints("strides", {1, 1, 1, 1}),
                           ints("low", {0, 0, 0, 0}), ints("high", {0, 0, 0, 0})}));
  expectRight(kernel, {randomTensor(KILN_F32, {1, 1, 300, 301}, -2, 2)}, 1e-7, {"portable"});
}

/// few: all go to three places, so that chains are long; else mostly to places of their own.
void scatterAdd(int64_t updates, bool few) {
  TestKernel kernel("k0", "scatter");
  uint32_t x = kernel.input(KILN_F32, {1000, 2}), i = kernel.input(KILN_I32, {updates}),
           u = kernel.input(KILN_F32, {updates, 2});
  kernel.output(kernel.op("scatter", {x, i, u}, KILN_F32, {1000, 2},
                          {kind("add"), integer("axis", 0), integer("batch_dims", 0)}));
  Tensor indices = Tensor::make(KILN_I32, {updates});
  for (int64_t n = 0; n < updates; ++n)
    indices.set(n, {0, few ? (n % 3 == 1 ? 5 : n % 3 * 400) : n * 7 % 1000});
  expectRight(kernel, {wholeNumbers(KILN_F32, {1000, 2}, 1), indices, wholeNumbers(KILN_F32, {updates, 2}, 2)}, 1e-6,
              {"portable"});
}

TEST(Long, ScatterToMany) { scatterAdd(65'534, false); }
TEST(Long, ScatterToFew) { scatterAdd(65'536, true); }
TEST(Long, ScatterOfMoreThanAreLinked) { scatterAdd(70'000, false); }

} // namespace
