// 3 by 3 convolutions by Winograd's tiles, under --math fast: at edges that cut tiles, with and without padding, for
// images side by side, with what stands before and behind them; and that their filters are transformed once.
#include "backends/cpu/artifact.h"
#include "tests/backends/cpu/OnProcessor.h"
#include "tests/backends/cpu/Window.h"

#include <gtest/gtest.h>

using namespace kiln::test;

namespace {

/// A kernel's number of phases, and the bytes that each worker has.
std::pair<int64_t, int64_t> formOf(TestKernel &kernel, const RunOptions &options) {
  Launches launches(cpuBackend(), linkObjects, cpuTarget(options.cpu, options.math));
  std::string error;
  EXPECT_TRUE(launches.claim(kernel, error) && launches.compile(error)) << error;
  const auto *artifact = static_cast<const kiln_cpu_artifact *>(launches.artifact().data());
  if (!artifact)
    return {0, 0};
  return {artifact->kernels[0].phase_count, artifact->kernels[0].worker_scratch_bytes};
}

/// Whether the kernel is not what it is where sums are the definition's.
bool isByTiles(TestKernel &kernel, RunOptions options) {
  auto form = formOf(kernel, options);
  options.math = "";
  return form.first == 3 && form != formOf(kernel, options);
}

class Winograd : public testing::TestWithParam<const char *> {
protected:
  RunOptions options;
  void SetUp() override { options.cpu = GetParam(), options.math = "fast"; }

  /// Of results around 1.
  void check(const Ints &input, const Ints &filter, const Window &w) {
    SCOPED_TRACE(testing::PrintToString(input) + " " + testing::PrintToString(filter));
    TestKernel k("k0", "contract");
    uint32_t x = k.input(KILN_F32, fixed(input)), f = k.input(KILN_F32, fixed(filter));
    k.output(addConvolution(k, x, f, KILN_F32, fixed(resultOf(input, filter, w)), w));
    EXPECT_TRUE(isByTiles(k, options));
    kiln::test::check(k, {randomTensor(KILN_F32, input, -1, 1, 1), randomTensor(KILN_F32, filter, -0.25, 0.25, 2)},
                      2e-5, options);
  }
};

INSTANTIATE_TEST_SUITE_P(Convolution, Winograd, testing::Values("native", "native:l2=64K", "x86-64-v3"));

TEST_P(Winograd, TilesThatTheEdgeCuts) {
  check({1, 35, 28, 28}, {37, 35, 3, 3}, plane(1, 1));
  check({1, 40, 29, 31}, {64, 40, 3, 3}, plane(1, 1));
  check({1, 24, 33, 30}, {21, 24, 3, 3}, plane());
  check({1, 20, 26, 43}, {40, 20, 3, 3}, {{1, 1}, {0, 1}, {2, 0}, {1, 1}, {1, 1}, 1});
  check({1, 40, 100, 5}, {64, 40, 3, 3}, plane(1, 1));
  check({1, 30, 7, 90}, {32, 30, 3, 3}, plane(1, 1));
}

TEST_P(Winograd, Images) {
  check({3, 33, 17, 19}, {44, 33, 3, 3}, plane(1, 1));
  check({2, 48, 27, 26}, {48, 48, 3, 3}, plane());
  check({9, 40, 9, 8}, {64, 40, 3, 3}, plane(1, 1)); // side by side
}

TEST_P(Winograd, WithWhatStandsBeforeAndBehind) {
  for (Ints image : {Ints{1, 36, 30, 29}, Ints{2, 48, 18, 20}}) {
    Ints dims{image[0], 40, image[2], image[3]}, filter{40, image[1], 3, 3};
    TestKernel k("k0", "contract");
    addSurrounded(k, image, filter, dims, plane(1, 1));
    EXPECT_TRUE(isByTiles(k, options));
    options.inPlace = true;
    kiln::test::check(k,
                      {randomTensor(KILN_F32, image, -1, 1, 1), randomTensor(KILN_F32, filter, -0.25, 0.25, 2),
                       randomTensor(KILN_F32, {40}, -1, 1, 3), randomTensor(KILN_F32, dims, -1, 1, 4)},
                      2e-5, options);
  }
}

TEST_P(Winograd, DynamicBatch) {
  TestKernel k("k0", "contract");
  Dim n(3, 0);
  uint32_t x = k.input(KILN_F32, {n, 32, 20, 21}), f = k.input(KILN_F32, {33, 32, 3, 3});
  k.output(addConvolution(k, x, f, KILN_F32, {n, 33, 20, 21}, plane(1, 1)));
  k.bindExtents({3});
  EXPECT_TRUE(isByTiles(k, options));
  for (int64_t count : {0, 1, 3}) {
    k.bindExtents({count});
    kiln::test::check(
        k,
        {randomTensor(KILN_F32, {count, 32, 20, 21}, -1, 1, 3), randomTensor(KILN_F32, {33, 32, 3, 3}, -0.25, 0.25, 4)},
        2e-5, options);
  }
}

/// What they are not for: other windows, strides, groups, types; and what --math strict asks for.
TEST_P(Winograd, OnlyWhereAskedFor) {
  auto form = [&](const Ints &filter, const Window &w, const char *math, kiln_dtype type = KILN_F32) {
    Ints input{1, 40, 28, 28};
    TestKernel k("k0", "contract");
    uint32_t x = k.input(type, fixed(input)), f = k.input(type, fixed(filter));
    k.output(addConvolution(k, x, f, type, fixed(resultOf(input, filter, w)), w));
    RunOptions asked = options;
    asked.math = math;
    return formOf(k, asked);
  };
  EXPECT_EQ(form({64, 40, 3, 3}, plane(1, 1), "fast").first, 3);
  EXPECT_NE(form({64, 40, 3, 3}, plane(1, 1), "fast"), form({64, 40, 3, 3}, plane(1, 1), ""));
  EXPECT_EQ(form({64, 40, 3, 3}, plane(1, 1), "strict"), form({64, 40, 3, 3}, plane(1, 1), ""));
  auto same = [&](const Ints &filter, const Window &w, kiln_dtype type = KILN_F32) {
    EXPECT_EQ(form(filter, w, "fast", type), form(filter, w, "", type)) << testing::PrintToString(filter);
  };
  same({64, 40, 3, 3}, plane(2, 1));
  same({64, 40, 3, 3}, plane(1, 1, 1, 2));
  same({64, 40, 5, 5}, plane(1, 1));
  same({64, 20, 3, 3}, plane(1, 1, 1, 1, 2));
  same({64, 40, 3, 3}, plane(1, 1), KILN_F64);
  same({64, 40, 3, 3}, plane(1, 1), KILN_BF16);
}

} // namespace
