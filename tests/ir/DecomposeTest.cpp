// Decompositions beside direct formulas: symbolic shapes, narrow floats, numbers that overflow a naive formula.
#include "ir/Build.h"
#include "tests/ir/Run.h"

#include <cmath>

namespace kiln {
namespace {

using testing::elementNamed;
using testing::f32;
using testing::i32;
using testing::run;

HostTensor filled(const std::string &element, std::vector<int64_t> shape, unsigned seed) {
  HostTensor tensor = HostTensor::zeros(elementNamed(element), std::move(shape));
  for (double &value : tensor.floats) {
    seed = seed * 1664525 + 1013904223;
    value = static_cast<float>(seed >> 8) * 0x1p-22f - 2.0f;
  }
  return tensor;
}

TEST(Decompose, NormsOverASymbolicAxisDivideByItsExtent) {
  const char *text = R"(
    func.func @f(%x: tensor<2x?xf64, #kiln.dims<"2", "W">>, %s: tensor<?xf64, #kiln.dims<"W">>, %b: tensor<?xf64, #kiln.dims<"W">>)
        -> (tensor<2x?xf64, #kiln.dims<"2", "W">>, tensor<2x?xf64, #kiln.dims<"2", "W">>) {
      %n = kiln.layer_norm %x scale %s bias %b epsilon 1.0e-5
          : tensor<2x?xf64, #kiln.dims<"2", "W">>, tensor<?xf64, #kiln.dims<"W">>, tensor<?xf64, #kiln.dims<"W">>
      %r = kiln.rms_norm %x scale %s epsilon 1.0e-5 : tensor<2x?xf64, #kiln.dims<"2", "W">>, tensor<?xf64, #kiln.dims<"W">>
      return %n, %r : tensor<2x?xf64, #kiln.dims<"2", "W">>, tensor<2x?xf64, #kiln.dims<"2", "W">>
    })";
  HostTensor x = filled("f64", {2, 7}, 1), scale = filled("f64", {7}, 2), bias = filled("f64", {7}, 3);
  auto results = run(text, {x, scale, bias});
  ASSERT_EQ(results.size(), 2u);
  for (int row = 0; row < 2; ++row) {
    double mean = 0, variance = 0, square = 0;
    for (int i = 0; i < 7; ++i)
      mean += x.floats[row * 7 + i] / 7;
    for (int i = 0; i < 7; ++i) {
      variance += std::pow(x.floats[row * 7 + i] - mean, 2) / 7;
      square += std::pow(x.floats[row * 7 + i], 2) / 7;
    }
    for (int i = 0; i < 7; ++i) {
      double value = x.floats[row * 7 + i];
      EXPECT_NEAR(results[0].floats[row * 7 + i],
                  (value - mean) / std::sqrt(variance + 1e-5) * scale.floats[i] + bias.floats[i], 1e-13);
      EXPECT_NEAR(results[1].floats[row * 7 + i], value / std::sqrt(square + 1e-5) * scale.floats[i], 1e-13);
    }
  }
}

TEST(Decompose, SmoothedCrossEntropyOverASymbolicNumberOfClasses) {
  auto results = run(R"(
    func.func @f(%x: tensor<?x?xf64, #kiln.dims<"B", "C">>, %t: tensor<?xi32, #kiln.dims<"B">>) -> tensor<?xf64, #kiln.dims<"B">> {
      %r = kiln.cross_entropy %x, %t {smoothing = 0.3}
          : tensor<?x?xf64, #kiln.dims<"B", "C">>, tensor<?xi32, #kiln.dims<"B">> -> tensor<?xf64, #kiln.dims<"B">>
      return %r : tensor<?xf64, #kiln.dims<"B">>
    })",
                     {HostTensor::ofFloats(elementNamed("f64"), {1, 3}, {1, 2, 4}), i32({1}, {1})});
  double log = std::log(std::exp(1) + std::exp(2) + std::exp(4));
  EXPECT_NEAR(results[0].floats[0], 0.7 * (log - 2) + 0.3 / 3 * ((log - 1) + (log - 2) + (log - 4)), 1e-14);
}

TEST(Decompose, MoreClassesThanTheTargetsTypeCounts) {
  // 261 is 5 in eight bits; only class 5 is meant.
  HostTensor x = HostTensor::zeros(elementNamed("f64"), {1, 300});
  x.floats[5] = 1;
  x.floats[261] = 7;
  auto results = run(R"(
    func.func @f(%x: tensor<1x300xf64>, %t: tensor<1xi8>) -> tensor<1xf64> {
      %r = kiln.cross_entropy %x, %t : tensor<1x300xf64>, tensor<1xi8> -> tensor<1xf64>
      return %r : tensor<1xf64>
    })",
                     {x, HostTensor::ofIntegers(elementNamed("i8"), {1}, {5})});
  EXPECT_NEAR(results[0].floats[0], std::log(298 + std::exp(1) + std::exp(7)) - 1, 1e-13);
}

TEST(Decompose, LargeLogitsDoNotOverflow) {
  auto results = run(R"(
    func.func @f(%x: tensor<1x3xf32>, %t: tensor<1xi32>) -> (tensor<1x3xf32>, tensor<1x3xf32>, tensor<1xf32>, tensor<1x3xf32>) {
      %a = kiln.softmax %x, 1 : tensor<1x3xf32>
      %b = kiln.log_softmax %x, 1 : tensor<1x3xf32>
      %c = kiln.cross_entropy %x, %t : tensor<1x3xf32>, tensor<1xi32> -> tensor<1xf32>
      %d = kiln.softplus %x : tensor<1x3xf32>
      return %a, %b, %c, %d : tensor<1x3xf32>, tensor<1x3xf32>, tensor<1xf32>, tensor<1x3xf32>
    })",
                     {f32({1, 3}, {1e5, 1e5, -1e5}), i32({1}, {2})});
  EXPECT_EQ(results[0].floats, (std::vector<double>{0.5, 0.5, 0}));
  EXPECT_NEAR(results[1].floats[2], -2e5 - std::log(2), 1e-9);
  EXPECT_NEAR(results[2].floats[0], 2e5 + std::log(2), 1e-9);
  EXPECT_EQ(results[3].floats, (std::vector<double>{1e5, 1e5, 0}));
}

TEST(Decompose, NarrowFloatsAreComputedInF32) {
  // The sum of 300 numbers about 1 is above what bf16 counts to; the mean is right only if it is computed wider.
  HostTensor x = HostTensor::zeros(elementNamed("bf16"), {1, 300});
  for (size_t i = 0; i < 300; ++i)
    x.floats[i] = i % 2 ? 1.5 : 0.5;
  InterpreterOptions options;
  options.roundToDtype = true;
  auto results = run(R"(
    func.func @f(%x: tensor<1x300xbf16>) -> tensor<1x300xbf16> {
      %r = kiln.layer_norm %x epsilon 0.0 : tensor<1x300xbf16>
      return %r : tensor<1x300xbf16>
    })",
                     {x}, options);
  for (size_t i = 0; i < 300; ++i)
    EXPECT_EQ(results[0].floats[i], i % 2 ? 1.0 : -1.0);
}

TEST(Decompose, CausalAttentionWithMoreKeysThanQueriesSeesTheEarlierOnes) {
  // One query of the last position over T keys sees all of them; the same holds for symbolic lengths.
  const char *text = R"(
    func.func @f(%q: tensor<1x1x?x2xf64, #kiln.dims<"1", "1", "T", "2">>, %k: tensor<1x1x?x2xf64, #kiln.dims<"1", "1", "S", "2">>)
        -> tensor<1x1x?x2xf64, #kiln.dims<"1", "1", "T", "2">> {
      %r = kiln.attention %q, %k, %k scale 0.7 {causal = true}
          : tensor<1x1x?x2xf64, #kiln.dims<"1", "1", "T", "2">>, tensor<1x1x?x2xf64, #kiln.dims<"1", "1", "S", "2">>,
            tensor<1x1x?x2xf64, #kiln.dims<"1", "1", "S", "2">> -> tensor<1x1x?x2xf64, #kiln.dims<"1", "1", "T", "2">>
      return %r : tensor<1x1x?x2xf64, #kiln.dims<"1", "1", "T", "2">>
    })";
  HostTensor keys = filled("f64", {1, 1, 4, 2}, 5);
  auto whole = run(text, {keys, keys});
  HostTensor last = HostTensor::ofFloats(elementNamed("f64"), {1, 1, 1, 2}, {keys.floats.end() - 2, keys.floats.end()});
  auto step = run(text, {last, keys});
  EXPECT_NEAR(step[0].floats[0], whole[0].floats[6], 1e-15);
  EXPECT_NEAR(step[0].floats[1], whole[0].floats[7], 1e-15);
  EXPECT_EQ(whole[0].floats[0], keys.floats[0]); // the first query sees the first key alone
}

TEST(Decompose, DrawsOfOneStreamAreTheSameInF32AndF64) {
  auto results = run(R"(
    func.func @f(%s: tensor<ui32>) -> (tensor<9xf32>, tensor<9xf64>) {
      %a = kiln.random_uniform 3, %s : tensor<ui32> -> tensor<9xf32>
      %b = kiln.random_uniform 3, %s : tensor<ui32> -> tensor<9xf64>
      return %a, %b : tensor<9xf32>, tensor<9xf64>
    })",
                     {HostTensor::ofIntegers(elementNamed("ui32"), {}, {77})});
  EXPECT_EQ(results[0].floats, results[1].floats);
}

TEST(Infer, SaysWhatDoesNotFit) {
  testing::context();
  mlir::Type element = elementNamed("f32");
  auto type = [&](std::initializer_list<Dim> dims) { return tensorType(dims, element); };
  Dim b = Dim::symbol("B"), t = Dim::symbol("T");
  EXPECT_EQ(describe(inferDotGeneral(type({b, t, 4}), type({4, 8}), {}, {}, {2}, {0}).type), "f32[B, T, 8]");
  EXPECT_EQ(describe(inferConvolution(type({b, 3, t}), type({8, 3, 5}), {2}, {2}, {2}, {1}, {1}, 1).type),
            "f32[B, 8, floordiv(T+1, 2)]");
  EXPECT_EQ(describe(inferConcat({type({b, t}), type({b, 3})}, 1).type), "f32[B, T+3]");
  EXPECT_EQ(describe(inferPad(type({t}), {Dim(1)}, {Dim(0)}, {2}).type), "f32[3*T-1]");
  EXPECT_EQ(describe(inferPad(type({t - Dim(3)}), {Dim(0)}, {Dim(0)}, {1}).type), "f32[max(0, T-4)+T-3]");
  EXPECT_EQ(inferConcat({type({b, t}), type({t, 3})}, 1).error,
            "(C2) dimensions at axis 0 differ: f32[B, T] and f32[T, 3]");
  EXPECT_TRUE(isNonNegative(t * b - Dim(1)));
  EXPECT_FALSE(isNonNegative(t - Dim(2)));
}

TEST(Infer, KnowsWhatQuotientsAndLargerOnesAreAtLeast) {
  auto shown = [](const char *text) { return isNonNegative(Dim::parse(text).value()); };
  EXPECT_TRUE(shown("max(0, T-3)"));
  EXPECT_TRUE(shown("T-max(0, T-3)-1"));
  EXPECT_TRUE(shown("T-floordiv(T, 2)"));
  EXPECT_TRUE(shown("floordiv(T, 2)-max(0, floordiv(T, 2)-4)"));
  EXPECT_TRUE(shown("2*floordiv(floordiv(T+1, 2)+1, 2)-floordiv(T+1, 2)"));
  EXPECT_TRUE(shown("T-2*floordiv(T, 2)"));
  EXPECT_TRUE(shown("B*max(0, T-3)"));
  EXPECT_TRUE(shown("floordiv(N, 3)+1-floordiv(N+2, 3)"));
  EXPECT_FALSE(shown("T-max(0, T+1)"));
  EXPECT_FALSE(shown("T-max(3, T-1)"));
  EXPECT_FALSE(shown("max(0, T-3)-1"));
  EXPECT_FALSE(shown("2*floordiv(T, 2)-T"));
  EXPECT_FALSE(shown("T-2*floordiv(T, 2)-1"));
  EXPECT_FALSE(shown("floordiv(T, 2)-1"));
}

} // namespace
} // namespace kiln
