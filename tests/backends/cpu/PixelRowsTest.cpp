// Convolutions with pixels as rows: pieces of rows of pixels and several rows in one, their rests, images side by side,
// panels that output channels do not fill, several K blocks, and what stands before and behind.
#include "backends/cpu/artifact.h"
#include "tests/backends/cpu/OnProcessor.h"
#include "tests/backends/cpu/Window.h"

#include <gtest/gtest.h>

using namespace kiln::test;

namespace {

class PixelRows : public testing::TestWithParam<const char *> {
protected:
  RunOptions options;
  int64_t made = 0, taken = 0;
  void SetUp() override { options.cpu = GetParam(); }
  /// The model takes another form for some of them: not for most.
  void TearDown() override { EXPECT_GE(2 * taken, made); }

  /// Among those made, and among those with the micro-kernel that no other form calls.
  void count(TestKernel &kernel) {
    bool found = false;
    auto look = [&](const std::vector<kiln::host::Blob> &blobs, const std::string &, std::string &) {
      for (const kiln::host::Blob &blob : blobs)
        found |= std::string_view(reinterpret_cast<const char *>(blob.bytes.data()), blob.bytes.size())
                     .find("kiln_pixels_") != std::string_view::npos;
      return std::shared_ptr<const void>(&blobs, [](const void *) {}); // nothing that runs
    };
    Launches launches(cpuBackend(), look, cpuTarget(options.cpu, options.math));
    std::string error;
    EXPECT_TRUE(launches.claim(kernel, error) && launches.compile(error)) << error;
    ++made, taken += found;
  }

  /// Of whole numbers, so that sums in any order are exact.
  void check(const Ints &input, const Ints &filter, const Window &w) {
    SCOPED_TRACE(testing::PrintToString(input) + " " + testing::PrintToString(filter));
    TestKernel k("k0", "contract");
    uint32_t x = k.input(KILN_F32, fixed(input)), f = k.input(KILN_F32, fixed(filter));
    k.output(addConvolution(k, x, f, KILN_F32, fixed(resultOf(input, filter, w)), w));
    count(k);
    kiln::test::check(k, {wholeNumbers(KILN_F32, input, 1), wholeNumbers(KILN_F32, filter, 2)}, 0, options);
  }
};

INSTANTIATE_TEST_SUITE_P(Convolution, PixelRows, testing::Values("native", "native:l2=256K", "x86-64-v3"));

/// Vectors shorter than a tile's rows.
class PixelRowsOfShortVectors : public PixelRows {};
INSTANTIATE_TEST_SUITE_P(Convolution, PixelRowsOfShortVectors, testing::Values("x86-64-v2"));

TEST_P(PixelRowsOfShortVectors, Pieces) {
  check({8, 120, 2, 3}, {64, 120, 3, 3}, plane(1, 1)); // each an image
  check({2, 40, 13, 13}, {64, 40, 3, 3}, plane(1, 1));
  check({1, 330, 9, 5}, {256, 330, 1, 1}, plane());
}

TEST_P(PixelRows, Pieces) {
  check({1, 40, 14, 14}, {64, 40, 3, 3}, plane(1, 1));
  check({1, 90, 7, 7}, {96, 90, 3, 3}, plane(1, 1));   // rows in pairs, and one
  check({1, 40, 15, 29}, {64, 40, 3, 3}, plane(1, 1)); // parts of a row, the last one shorter
  check({1, 120, 11, 5}, {64, 120, 3, 3}, plane());
}

TEST_P(PixelRows, Images) {
  check({3, 33, 14, 14}, {64, 33, 3, 3}, plane(1, 1));
  check({9, 120, 8, 7}, {64, 120, 3, 3}, plane(1, 1)); // side by side
  check({5, 128, 4, 4}, {96, 128, 3, 3}, plane(1, 1));
  check({3, 60, 14, 14}, {32, 60, 3, 3}, plane(1, 1)); // each copied by its task
}

TEST_P(PixelRows, Windows) {
  check({1, 128, 28, 28}, {64, 128, 3, 3}, plane(2, 1));
  check({1, 3, 42, 56}, {64, 3, 7, 7}, plane(2, 3));
  check({1, 40, 18, 18}, {64, 40, 3, 3}, plane(1, 2, 1, 2));
  check({2, 40, 12, 17}, {64, 40, 2, 5}, {{1, 3}, {0, 1}, {2, 4}, {1, 1}, {1, 2}, 1});
  check({1, 220, 62}, {64, 220, 5}, {{2}, {3}, {0}, {1}, {1}, 1});
  check({1, 20, 5, 7, 9}, {64, 20, 3, 3, 3}, {{1, 1, 2}, {0, 1, 1}, {1, 1, 0}, {1, 1, 1}, {1, 1, 1}, 1});
}

/// Rows that follow each other within images that do not, rows of one pixel, and images of several planes.
TEST_P(PixelRows, ImagesWithGaps) {
  check({4, 120, 8, 7}, {64, 120, 3, 1}, {{1, 1}, {1, 0}, {1, 0}, {1, 1}, {1, 1}, 1});
  check({1, 60, 4, 6, 10}, {64, 60, 3, 3, 1}, {{1, 1, 1}, {1, 1, 0}, {1, 1, 0}, {1, 1, 1}, {1, 1, 1}, 1});
  check({6, 64, 9, 5}, {64, 64, 4, 5}, plane());
  check({4, 100, 4, 2, 3}, {64, 100, 3, 3, 3}, {{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 1});
}

/// A gradient by the input of a convolution that is strided along rows alone: every other row of images side by side.
TEST_P(PixelRows, RowsOfAResidue) {
  for (Ints image : {Ints{8, 160, 3, 2}, Ints{16, 160, 7, 2}}) {
    Ints filter{160, 64, 1, 3}, dims{image[0], 64, 2 * image[2], image[3]};
    TestKernel k("k0", "contract");
    uint32_t x = k.input(KILN_F32, fixed(image)), f = k.input(KILN_F32, fixed(filter));
    uint32_t turned = k.op("transpose", {f}, KILN_F32, fixed({64, 160, 1, 3}), {ints("permutation", {1, 0, 2, 3})});
    k.output(addConvolution(k, x, turned, KILN_F32, fixed(dims), {{1, 1}, {0, 1}, {1, 1}, {2, 1}, {1, 1}, 1}));
    count(k);
    kiln::test::check(k, {wholeNumbers(KILN_F32, image, 1), wholeNumbers(KILN_F32, filter, 2)}, 0, options);
  }
}

/// Windows of one pixel: the image is cut into pieces.
TEST_P(PixelRows, Matrices) {
  check({1, 320, 7, 7}, {320, 320, 1, 1}, plane());
  check({1, 330, 9, 5}, {256, 330, 1, 1}, plane());
}

/// Of the last panel's columns some are no output channels.
TEST_P(PixelRows, OutputsThatFillNoPanel) {
  check({1, 40, 14, 14}, {75, 40, 3, 3}, plane(1, 1));
  check({1, 128, 28, 28}, {80, 128, 3, 3}, plane(1, 1));
}

TEST_P(PixelRows, SeveralBlocksOfChannels) {
  check({1, 150, 14, 14}, {64, 150, 3, 3}, plane(1, 1));
  check({1, 211, 7, 7}, {64, 211, 3, 3}, plane(1, 1));
}

TEST_P(PixelRows, WithWhatStandsBeforeAndBehind) {
  for (Ints image : {Ints{1, 40, 14, 14}, Ints{2, 40, 13, 29}, Ints{6, 40, 7, 7}}) {
    Ints dims{image[0], 64, image[2], image[3]}, filter{64, 40, 3, 3};
    TestKernel k("k0", "contract");
    addSurrounded(k, image, filter, dims, plane(1, 1));
    count(k);
    options.inPlace = true;
    kiln::test::check(k,
                      {wholeNumbers(KILN_F32, image, 1), wholeNumbers(KILN_F32, filter, 2),
                       wholeNumbers(KILN_F32, {64}, 3), wholeNumbers(KILN_F32, dims, 4)},
                      0, options);
  }
}

/// A gradient by a convolution's input: channels exchanged, the window reversed; of large images packed in a phase, of
/// few pixels by tasks.
TEST_P(PixelRows, TurnedFilters) {
  for (Ints image : {Ints{2, 40, 16, 16}, Ints{12, 60, 4, 4}, Ints{1, 60, 14, 14}})
    for (bool reversed : {true, false}) {
      Ints filter{image[1], 96, 3, 3}, turned{96, image[1], 3, 3}, dims{image[0], 96, image[2], image[3]};
      TestKernel k("k0", "contract");
      uint32_t x = k.input(KILN_F32, fixed(image)), f = k.input(KILN_F32, fixed(filter));
      uint32_t t = k.op("transpose", {f}, KILN_F32, fixed(turned), {ints("permutation", {1, 0, 2, 3})});
      if (reversed)
        t = k.op("reverse", {t}, KILN_F32, fixed(turned), {ints("axes", {2, 3})});
      k.output(addConvolution(k, x, t, KILN_F32, fixed(dims), plane(1, 1)));
      count(k);
      kiln::test::check(k, {wholeNumbers(KILN_F32, image, 1), wholeNumbers(KILN_F32, filter, 2)}, 0, options);
    }
}

/// Windows as large as images, results as large as windows: with padding, of a strided convolution, where a result's
/// images are not whole pieces, where output channels fill no panel, and with what stands behind.
TEST_P(PixelRows, GradientsOfFilters) {
  struct Row {
    Ints image, result; // of the convolution: images, channels, height, width
    int64_t taps, stride, pad;
  };
  for (const Row &row : {Row{{2, 24, 16, 16}, {2, 64, 16, 16}, 3, 1, 1}, Row{{1, 20, 17, 20}, {1, 75, 15, 18}, 3, 1, 0},
                         Row{{2, 24, 16, 16}, {2, 96, 8, 8}, 3, 2, 1}, Row{{2, 3, 20, 18}, {2, 64, 10, 9}, 7, 2, 3},
                         Row{{8, 40, 5, 5}, {8, 64, 5, 5}, 3, 1, 1}})
    for (bool more : {false, true}) {
      SCOPED_TRACE(testing::PrintToString(row.image) + " " + testing::PrintToString(row.result));
      Ints x{row.image}, g{row.result}, dims{x[1], g[1], row.taps, row.taps};
      TestKernel k("k0", "contract");
      uint32_t image = k.input(KILN_F32, fixed(x)), slope = k.input(KILN_F32, fixed(g));
      auto swapped = [&](uint32_t value, const Ints &of) {
        return k.op("transpose", {value}, KILN_F32, fixed({of[1], of[0], of[2], of[3]}),
                    {ints("permutation", {1, 0, 2, 3})});
      };
      int64_t high = row.taps - 1 + (g[2] - 1) * row.stride + 1 - x[2] - row.pad,
              right = row.taps - 1 + (g[3] - 1) * row.stride + 1 - x[3] - row.pad;
      Window w{{1, 1}, {row.pad, row.pad}, {high, right}, {1, 1}, {row.stride, row.stride}, 1};
      uint32_t sum = addConvolution(k, swapped(image, x), swapped(slope, g), KILN_F32, fixed(dims), w);
      k.output(more ? k.op("neg", {sum}) : sum);
      count(k);
      kiln::test::check(k, {wholeNumbers(KILN_F32, x, 1), wholeNumbers(KILN_F32, g, 2)}, 0, options);
    }
}

TEST_P(PixelRows, AnyNumberOfImages) {
  TestKernel k("k0", "contract");
  Dim n(4, 0);
  uint32_t x = k.input(KILN_F32, {n, 40, 14, 14}), f = k.input(KILN_F32, {64, 40, 3, 3});
  k.output(addConvolution(k, x, f, KILN_F32, {n, 64, 14, 14}, plane(1, 1)));
  count(k);
  for (int64_t count : {0, 1, 4}) {
    k.bindExtents({count});
    kiln::test::check(k, {wholeNumbers(KILN_F32, {count, 40, 14, 14}, 3), wholeNumbers(KILN_F32, {64, 40, 3, 3}, 4)}, 0,
                      options);
  }
}

/// Of large windows, which gradients of filters are, with a filter that is turned.
TEST_P(PixelRows, AnyNumberOfImagesUnderLargeWindows) {
  TestKernel k("k0", "contract");
  Dim n(5, 0);
  uint32_t x = k.input(KILN_F32, {n, 20, 8, 8}), f = k.input(KILN_F32, {20, 64, 7, 7});
  uint32_t turned = k.op("transpose", {f}, KILN_F32, {64, 20, 7, 7}, {ints("permutation", {1, 0, 2, 3})});
  k.output(addConvolution(k, x, turned, KILN_F32, {n, 64, 2, 2}, plane()));
  for (int64_t count : {1, 5}) {
    k.bindExtents({count});
    kiln::test::check(k, {wholeNumbers(KILN_F32, {count, 20, 8, 8}, 3), wholeNumbers(KILN_F32, {20, 64, 7, 7}, 4)}, 0,
                      options);
  }
}

} // namespace
