// convolution: windows, padding, strides, dilations and groups. Operands are small whole numbers, so that sums in any
// order are exact.
#include "tests/backends/cpu/Window.h"

#include <gtest/gtest.h>

using namespace kiln::test;

namespace {

void check(const Ints &input, const Ints &filter, const Window &w, kiln_dtype type = KILN_F32,
           kiln_dtype result = KILN_F32, const std::string &cpu = "native") {
  TestKernel k("k0", "contract");
  uint32_t x = k.input(type, fixed(input)), f = k.input(type, fixed(filter));
  k.output(addConvolution(k, x, f, result, fixed(resultOf(input, filter, w)), w));
  RunOptions options;
  options.cpu = cpu;
  check(k, {wholeNumbers(type, input, 1), wholeNumbers(type, filter, 2)}, 0, options);
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

/// Vectors of 8 and 16 lanes; a small second level makes several K blocks of what one holds elsewhere.
class OnTargets : public testing::TestWithParam<const char *> {
protected:
  void check(const Ints &input, const Ints &filter, const Window &w) {
    SCOPED_TRACE(testing::PrintToString(input) + " " + testing::PrintToString(filter));
    ::check(input, filter, w, KILN_F32, KILN_F32, GetParam());
  }
};

INSTANTIATE_TEST_SUITE_P(Convolution, OnTargets,
                         testing::Values("native", "native:l2=64K", "x86-64-v3", "x86-64-v3:l2=32K"));

TEST_P(OnTargets, PixelsThatAreAMatrix) {
  check({1, 70, 7, 7}, {37, 70, 1, 1}, plane()); // 49 columns: one beyond whole vectors
  check({1, 300, 14, 14}, {64, 300, 1, 1}, plane());
  check({2, 33, 5, 10}, {50, 33, 1, 1}, plane()); // two beyond
  check({1, 40, 3, 17}, {29, 40, 1, 1}, plane()); // three beyond
  check({3, 9, 1, 1}, {30, 9, 1, 1}, plane());
  check({2, 12, 9, 9}, {20, 6, 1, 1}, plane(1, 0, 1, 1, 2));
  check({2, 12, 9, 9}, {2, 12, 1, 1}, plane());    // few rows
  check({2, 70, 8, 12}, {100, 70, 1, 1}, plane()); // many, of whole vectors, read as they lie
  check({1, 270, 9, 10}, {100, 270, 1, 1}, plane());
  check({2, 40, 9, 11}, {140, 20, 1, 1}, plane(1, 0, 1, 1, 2));
}

TEST_P(OnTargets, SmallImagesOfManyChannels) {
  check({1, 130, 7, 7}, {70, 130, 3, 3}, plane(1, 1));
  check({2, 64, 14, 14}, {100, 64, 3, 3}, plane(1, 1));
  check({1, 65, 6, 5}, {41, 65, 3, 3}, plane(1, 1));
  check({1, 64, 4, 4}, {64, 64, 3, 3}, plane(1, 1));
  check({1, 30, 9, 11}, {31, 30, 5, 3}, plane(1, 2, 1, 2));
  check({1, 33, 6, 7, 5}, {40, 33, 3, 3, 2}, {{1, 1, 1}, {1, 1, 0}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 1});
}

/// Where rows end and begin with padding one stretch of zeros may be both: as much as all planes have on both sides.
TEST_P(OnTargets, RowsThatShareTheirPadding) {
  check({1, 12, 20, 21}, {16, 12, 3, 3}, plane(1, 1));
  check({1, 12, 20, 21}, {16, 12, 5, 5}, plane(1, 4)); // as much as windows reach: rows lie side by side
  check({1, 12, 14, 13}, {16, 12, 3, 3}, {{1, 1}, {0, 1}, {0, 1}, {1, 1}, {1, 1}, 1}); // along rows alone
  check({3, 12, 7, 6}, {16, 12, 3, 3}, {{1, 1}, {0, 1}, {0, 1}, {1, 1}, {1, 1}, 1});   // of images side by side
  check({1, 12, 20, 21}, {16, 12, 3, 5}, {{1, 1}, {1, 3}, {2, 1}, {1, 1}, {1, 1}, 1}); // unlike on both sides
  check({1, 12, 20, 21}, {16, 12, 3, 3}, {{1, 1}, {1, 2}, {1, 0}, {1, 1}, {1, 1}, 1}); // on one
  check({1, 3, 30, 33}, {16, 3, 7, 7}, plane(2, 3));
  check({1, 3, 30, 33}, {16, 3, 7, 7}, plane(3, 3));
  check({1, 6, 12, 12}, {16, 6, 3, 3}, {{1, 2}, {0, 1}, {2, 1}, {1, 1}, {2, 1}, 1}); // a plane without padding
  check({1, 6, 20, 19}, {16, 6, 3, 3}, plane(1, 4, 1, 4));
  check({1, 12, 6, 1}, {16, 12, 3, 3}, plane(1, 1));
  check({1, 12, 6, 1}, {16, 12, 3, 3}, plane(2, 1));
  check({1, 4, 6, 7, 5}, {16, 4, 3, 3, 3}, {{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 1});
  // Every second position: the row behind the last one is over the edge of the image's memory.
  check({1, 16, 6, 8}, {16, 16, 1, 3}, {{1, 2}, {0, 2}, {0, 2}, {1, 1}, {1, 1}, 1});
  check({1, 16, 6, 8}, {16, 16, 1, 5}, {{1, 2}, {0, 2}, {0, 2}, {1, 1}, {1, 1}, 1});
  check({3, 16, 4, 8}, {16, 16, 3, 3}, {{2, 2}, {2, 2}, {2, 2}, {1, 1}, {1, 1}, 1}); // of images side by side
}

TEST_P(OnTargets, Strides) {
  check({1, 64, 14, 14}, {72, 64, 1, 1}, plane(2));
  check({2, 40, 15, 13}, {60, 40, 3, 3}, plane(2, 1));
  check({1, 3, 61, 63}, {24, 3, 7, 7}, plane(2, 3)); // few channels, a large window
  check({1, 16, 20, 23}, {32, 16, 3, 3}, plane(3, 1));
  check({1, 16, 20, 23}, {32, 16, 3, 3}, plane(2, 2, 1, 2)); // dilated by the stride: one plane
  check({1, 16, 20, 23}, {32, 16, 2, 3}, plane(3, 2, 1, 2));
  check({1, 16, 20, 20}, {32, 8, 3, 3}, plane(2, 1, 1, 1, 2));
  check({1, 16, 9, 9}, {32, 16, 3, 3}, {{2, 1}, {0, 1}, {3, 1}, {2, 1}, {1, 1}, 1});
}

TEST_P(OnTargets, Depthwise) {
  check({2, 19, 12, 14}, {19, 1, 3, 3}, plane(1, 1, 1, 1, 19));
  check({1, 20, 15, 15}, {20, 1, 3, 3}, plane(2, 1, 1, 1, 20));
  check({1, 10, 7, 7}, {20, 1, 5, 5}, plane(1, 2, 1, 1, 10)); // two outputs a channel
  check({1, 6, 30, 31}, {18, 1, 3, 3}, plane(1, 1, 1, 1, 6));
  for (auto [width, stride] :
       {std::pair(1, 1), {3, 2}, {4, 1}, {7, 3}, {8, 1}, {9, 2}, {15, 1}, {16, 1}, {17, 1}, {33, 2}})
    check({2, 3, 11, width}, {3, 1, 3, 3}, plane(stride, 1, 1, 1, 3));
  check({1, 4, 6, 5}, {4, 1, 3, 3}, plane(1, 5, 1, 1, 4)); // padding larger than the window
  check({1, 4, 17, 18}, {8, 1, 3, 3}, plane(2, 3, 1, 3, 4));
  check({1, 5, 21, 38}, {5, 1, 5, 5}, plane(2, 2, 1, 1, 5));
  check({1, 3, 19, 70}, {3, 1, 1, 7}, {{1, 2}, {0, 3}, {0, 2}, {1, 1}, {1, 1}, 3});
  check({1, 3, 40, 9}, {6, 1, 4, 1}, {{2, 2}, {1, 0}, {2, 0}, {1, 1}, {1, 1}, 3});
  check({1, 4, 18, 40}, {4, 1, 3, 3}, plane(2, 2, 1, 2, 4));
  check({1, 2, 112, 112}, {2, 1, 3, 3}, plane(1, 1, 1, 1, 2)); // more than the first level holds
  check({1, 2, 112, 111}, {2, 1, 3, 3}, plane(2, 1, 1, 1, 2));
  check({1, 3, 9, 1}, {3, 1, 2, 5}, {{1, 1}, {0, 3}, {2, 4}, {1, 1}, {1, 2}, 3});
  check({1, 4, 9, 9}, {4, 1, 3, 3}, {{1, 1}, {-1, 0}, {-2, 1}, {1, 1}, {1, 1}, 4}); // cropped
  check({0, 4, 9, 9}, {4, 1, 3, 3}, plane(1, 1, 1, 1, 4));
}

/// Dilated inputs: a product for each residue of the result's pixels, of which some see nothing.
TEST_P(OnTargets, DilatedInputs) {
  check({2, 9, 4, 5}, {10, 9, 1, 1}, plane(1, 1, 2));                                  // most pixels see nothing
  check({1, 20, 6, 7}, {12, 20, 3, 3}, plane(1, 2, 3));                                // one position each
  check({2, 6, 9, 8}, {14, 6, 4, 5}, {{1, 1}, {3, 0}, {1, 6}, {2, 1}, {1, 2}, 1});     // along one axis
  check({1, 33, 14, 14}, {40, 33, 3, 3}, {{1, 1}, {1, 1}, {2, 2}, {2, 2}, {1, 1}, 1}); // by the input of a strided one
  check({3, 12, 5, 5}, {18, 4, 2, 2}, plane(1, 1, 2, 1, 3));                           // in groups
  check({1, 7, 9, 17}, {7, 1, 3, 3}, {{1, 1}, {1, 1}, {2, 2}, {2, 2}, {1, 1}, 7});     // depthwise
  check({1, 5, 6, 6}, {4, 5, 3, 3},
        {{1, 1}, {-1, 7}, {-2, 6}, {2, 2}, {1, 1}, 1});      // cropped, and padded beyond the window
  check({2, 4, 7}, {6, 4, 5}, {{1}, {2}, {3}, {4}, {1}, 1}); // one axis
  check({1, 3, 3, 4, 3}, {5, 3, 3, 2, 3}, {{1, 1, 1}, {1, 1, 2}, {2, 0, 1}, {2, 1, 2}, {1, 1, 1}, 1});
  check({1, 4, 6, 6}, {6, 4, 3, 3}, plane(2, 2, 2)); // windows that move too: as it is
}

/// With what stands behind it, in the memory of one of its operands too.
TEST_P(OnTargets, DepthwiseWithEpilogue) {
  for (int64_t width : {5, 16, 20}) {
    TestKernel k("k0", "contract");
    Ints dims{2, 6, 13, width};
    uint32_t x = k.input(KILN_F32, fixed(dims)), f = k.input(KILN_F32, {6, 1, 3, 3}), scale = k.input(KILN_F32, {6});
    uint32_t other = k.input(KILN_F32, fixed(dims));
    uint32_t product = addConvolution(k, x, f, KILN_F32, fixed(dims), plane(1, 1, 1, 1, 6));
    uint32_t scaled = k.op("mul", {product, k.op("broadcast", {scale}, KILN_F32, fixed(dims), {ints("axes", {1})})});
    k.output(k.op("add", {scaled, other}), 3);
    RunOptions options;
    options.cpu = GetParam();
    options.inPlace = true;
    kiln::test::check(k,
                      {wholeNumbers(KILN_F32, dims, 7), wholeNumbers(KILN_F32, {6, 1, 3, 3}, 8),
                       wholeNumbers(KILN_F32, {6}, 9), wholeNumbers(KILN_F32, dims, 10)},
                      0, options);
  }
}

/// Along a short K, what stands behind a sum is done in registers: whole tiles and vectors, rests of either.
TEST_P(OnTargets, FewChannelsWithEpilogue) {
  for (Ints e : {Ints{2, 16, 12, 16, 96, 1},
                 {1, 24, 28, 28, 40, 1},
                 {1, 64, 14, 14, 100, 1},
                 {1, 33, 7, 7, 40, 1},
                 {3, 20, 10, 10, 50, 1},
                 {2, 12, 9, 13, 18, 2},
                 {1, 3, 20, 24, 32, 1}}) {
    int64_t batch = e[0], channels = e[1], outputs = e[4], groups = e[5];
    SCOPED_TRACE(testing::PrintToString(e));
    TestKernel k("k0", "contract");
    Ints image{batch, channels * groups, e[2], e[3]}, dims{batch, outputs * groups, e[2], e[3]},
        filter{outputs * groups, channels, 1, 1};
    uint32_t x = k.input(KILN_F32, fixed(image)), f = k.input(KILN_F32, fixed(filter));
    uint32_t scale = k.input(KILN_F32, {dims[1]}), other = k.input(KILN_F32, fixed(dims));
    uint32_t product = addConvolution(k, x, f, KILN_F32, fixed(dims), plane(1, 0, 1, 1, groups));
    uint32_t scaled = k.op("mul", {product, k.op("broadcast", {scale}, KILN_F32, fixed(dims), {ints("axes", {1})})});
    k.output(k.op("max", {k.op("add", {scaled, other}), other}), 3);
    RunOptions options;
    options.cpu = GetParam();
    options.inPlace = true;
    kiln::test::check(k,
                      {wholeNumbers(KILN_F32, image, 7), wholeNumbers(KILN_F32, filter, 8),
                       wholeNumbers(KILN_F32, {dims[1]}, 9), wholeNumbers(KILN_F32, dims, 10)},
                      0, options);
  }
}

TEST(Convolution, EveryType) {
  check({2, 4, 9, 9}, {6, 4, 3, 3}, plane(1, 1), KILN_F64, KILN_F64);
  check({2, 4, 9, 9}, {6, 4, 3, 3}, plane(1, 1), KILN_BF16, KILN_BF16);
  check({2, 4, 9, 9}, {6, 4, 3, 3}, plane(1, 1), KILN_I32, KILN_I32);
  for (kiln_dtype type : {KILN_F64, KILN_BF16, KILN_I32})
    check({2, 4, 9, 9}, {4, 1, 3, 3}, plane(1, 1, 1, 1, 4), type, type); // depthwise
}

TEST(Convolution, DynamicBatch) {
  TestKernel k("k0", "contract");
  Dim n(5, 0);
  uint32_t x = k.input(KILN_F32, {n, 3, 9, 9}), f = k.input(KILN_F32, {4, 3, 3, 3});
  k.output(addConvolution(k, x, f, KILN_F32, {n, 4, 9, 9}, plane(1, 1)));
  for (int64_t count : {0, 1, 5}) {
    k.bindExtents({count});
    check(k, {wholeNumbers(KILN_F32, {count, 3, 9, 9}, 3), wholeNumbers(KILN_F32, {4, 3, 3, 3}, 4)}, 0);
  }
}

/// What the differentiation of a convolution leaves behind: both operands transposed in the prologue.
TEST(Convolution, FilterGradientWithTransposedOperands) {
  for (Ints e : {Ints{6, 3, 14, 5}, Ints{16, 8, 28, 32}}) {
    int64_t n = e[0], channels = e[1], size = e[2], outputs = e[3], inner = size - 2;
    TestKernel k("k0", "contract");
    uint32_t x = k.input(KILN_F32, {n, channels, size, size}), g = k.input(KILN_F32, {n, outputs, inner, inner});
    uint32_t images = k.op("transpose", {x}, KILN_F32, {channels, n, size, size}, {ints("permutation", {1, 0, 2, 3})});
    uint32_t windows =
        k.op("transpose", {g}, KILN_F32, {outputs, n, inner, inner}, {ints("permutation", {1, 0, 2, 3})});
    k.output(addConvolution(k, images, windows, KILN_F32, {channels, outputs, 3, 3}, plane()));
    check(k,
          {wholeNumbers(KILN_F32, {n, channels, size, size}, 5), wholeNumbers(KILN_F32, {n, outputs, inner, inner}, 6)},
          0);
  }
}

/// Of an input's gradient: the filter's channels exchanged, its window reversed, or only one of both; strides as
/// dilation.
TEST_P(OnTargets, TurnedFilters) {
  RunOptions options;
  options.cpu = GetParam();
  for (Ints e : {Ints{3, 6, 12, 4, 3, 1}, Ints{2, 33, 4, 40, 3, 1}, Ints{4, 20, 2, 37, 5, 1}, Ints{2, 16, 7, 24, 3, 2},
                 Ints{1, 18, 9, 25, 1, 1}, Ints{3, 10, 4, 14, 7, 1}, Ints{8, 200, 2, 61, 3, 1}})
    for (bool swapped : {true, false})
      for (bool reversed : {true, false}) {
        int64_t n = e[0], outputs = e[1], size = e[2], channels = e[3], taps = e[4], stride = e[5];
        SCOPED_TRACE(testing::PrintToString(e));
        int64_t inner = (size - 1) * stride + 1, pad = taps - 1;
        Ints turned{channels, outputs, taps, taps}, lies = swapped ? Ints{outputs, channels, taps, taps} : turned;
        TestKernel k("k0", "contract");
        uint32_t g = k.input(KILN_F32, {n, outputs, size, size}), f = k.input(KILN_F32, fixed(lies));
        if (swapped)
          f = k.op("transpose", {f}, KILN_F32, fixed(turned), {ints("permutation", {1, 0, 2, 3})});
        if (reversed)
          f = k.op("reverse", {f}, KILN_F32, fixed(turned), {ints("axes", {2, 3})});
        int64_t result = inner + pad;
        k.output(addConvolution(k, g, f, KILN_F32, {n, channels, result, result}, plane(1, pad, stride)));
        kiln::test::check(k, {wholeNumbers(KILN_F32, {n, outputs, size, size}, 5), wholeNumbers(KILN_F32, lies, 6)}, 0,
                          options);
      }
}

TEST_P(OnTargets, SmallImagesSideBySide) {
  check({5, 40, 2, 2}, {50, 40, 3, 3}, plane(1, 1));
  check({7, 33, 4, 4}, {20, 33, 1, 1}, plane());
  check({16, 20, 1, 1}, {30, 20, 3, 3}, plane(1, 1));
  check({3, 24, 8, 8}, {40, 24, 3, 3}, plane(2, 1));
  check({2, 10, 3, 1}, {14, 10, 3, 3}, plane(1, 1));
  check({3, 9, 2, 3, 2}, {17, 9, 2, 3, 1}, {{1, 1, 1}, {1, 1, 0}, {0, 1, 0}, {1, 1, 1}, {1, 1, 1}, 1});
}

/// Rows that a depthwise convolution's last block has beyond the result read nothing behind the image.
TEST(Convolution, DepthwiseOverhang) {
  for (int64_t size : {13, 15, 17, 29, 35})
    for (int64_t stride : {1, 2})
      check({1, 4, size, size}, {4, 1, 3, 3}, plane(stride, 0, 1, 1, 4));
}

/// What the convolution reads is added to its result: its dimensions stay apart.
TEST(Convolution, ResidualOfItsOwnInput) {
  for (int64_t size : {1, 3}) {
    TestKernel k("k0", "contract");
    Ints dims{2, 20, 7, 7};
    uint32_t x = k.input(KILN_F32, fixed(dims)), f = k.input(KILN_F32, {20, 20, size, size});
    k.output(k.op("add", {addConvolution(k, x, f, KILN_F32, fixed(dims), plane(1, size / 2)), x}));
    check(k, {wholeNumbers(KILN_F32, dims, 10), wholeNumbers(KILN_F32, {20, 20, size, size}, 11)}, 0);
  }
}

TEST(Convolution, EpilogueOfBiasAndActivation) {
  TestKernel k("k0", "contract");
  Ints dims{3, 20, 13, 13};
  uint32_t x = k.input(KILN_F32, {3, 4, 13, 13}), f = k.input(KILN_F32, {20, 4, 3, 3}), bias = k.input(KILN_F32, {20});
  uint32_t zero = k.input(KILN_F32, fixed(dims));
  uint32_t product = addConvolution(k, x, f, KILN_F32, fixed(dims), plane(1, 1));
  uint32_t biased = k.op("add", {product, k.op("broadcast", {bias}, KILN_F32, fixed(dims), {ints("axes", {1})})});
  k.output(k.op("max", {biased, zero}));
  check(k,
        {wholeNumbers(KILN_F32, {3, 4, 13, 13}, 7), wholeNumbers(KILN_F32, {20, 4, 3, 3}, 8),
         wholeNumbers(KILN_F32, {20}, 9), Tensor::make(KILN_F32, dims)},
        0);
}

/// Of a dilated input: its other operand is read, and its result written, every so many elements.
TEST(Convolution, ResidualBehindADilatedInput) {
  for (const char *cpu : {"native", "x86-64-v3"})
    for (Ints e : {Ints{9, 11}, Ints{16, 40}, Ints{3, 1}}) {
      TestKernel k("k0", "contract");
      Window w{{1, 1}, {1, 1}, {2, 2}, {2, 2}, {1, 1}, 1};
      Ints input{2, 5, e[0], e[1]}, filter{6, 5, 3, 3}, dims = resultOf(input, filter, w);
      uint32_t x = k.input(KILN_F32, fixed(input)), f = k.input(KILN_F32, fixed(filter));
      uint32_t other = k.input(KILN_F32, fixed(dims)), zero = k.constant(KILN_F32, 0, fixed(dims));
      k.output(k.op("max", {k.op("add", {addConvolution(k, x, f, KILN_F32, fixed(dims), w), other}), zero}), 2);
      RunOptions options;
      options.cpu = cpu;
      options.inPlace = true;
      check(k, {wholeNumbers(KILN_F32, input, 7), wholeNumbers(KILN_F32, filter, 8), wholeNumbers(KILN_F32, dims, 9)},
            0, options);
    }
}

} // namespace
