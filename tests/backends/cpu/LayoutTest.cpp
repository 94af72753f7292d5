// Ops that read their operands at another place.
#include "tests/backends/cpu/TestKernel.h"
#include <gtest/gtest.h>

using namespace kiln::test;

TEST(Layout, TransposeEveryWay) {
  std::vector<std::vector<int64_t>> permutations{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  std::vector<int64_t> shape{5, 18, 33};
  for (const auto &p : permutations) {
    TestKernel k;
    uint32_t x = k.input(KILN_F32, {5, 18, 33});
    k.output(k.op("transpose", {x}, KILN_F32, {shape[p[0]], shape[p[1]], shape[p[2]]}, {ints("permutation", p)}));
    check(k, {randomTensor(KILN_F32, shape, -1, 1)}, 0);
  }
}

TEST(Layout, ReshapeSplitsAndJoins) {
  TestKernel k;
  uint32_t x = k.input(KILN_F32, {6, 20, 9});
  uint32_t a = k.op("reshape", {x}, KILN_F32, {120, 9});
  uint32_t b = k.op("reshape", {a}, KILN_F32, {6, 5, 4, 9});
  uint32_t c = k.op("transpose", {b}, KILN_F32, {6, 4, 5, 9}, {ints("permutation", {0, 2, 1, 3})});
  uint32_t d = k.op("reshape", {c}, KILN_F32, {6, 4, 45});
  k.output(k.op("reshape", {d}, KILN_F32, {1080}));
  check(k, {randomTensor(KILN_F32, {6, 20, 9}, -1, 1)}, 0);
}

TEST(Layout, HeadsSplitWithDynamicLength) {
  // [B, T, H*D] to [B, H, T, D] and back.
  TestKernel k;
  Dim t(64, 0);
  uint32_t x = k.input(KILN_F32, {2, t, 4 * 32});
  uint32_t split = k.op("reshape", {x}, KILN_F32, {2, t, 4, 32});
  uint32_t heads = k.op("transpose", {split}, KILN_F32, {2, 4, t, 32}, {ints("permutation", {0, 2, 1, 3})});
  uint32_t back =
      k.op("transpose", {k.op("neg", {heads})}, KILN_F32, {2, t, 4, 32}, {ints("permutation", {0, 2, 1, 3})});
  k.output(heads);
  k.output(k.op("reshape", {back}, KILN_F32, {2, t, 128}));
  for (int64_t length : {1, 13, 64}) {
    k.bindExtents({length});
    check(k, {randomTensor(KILN_F32, {2, length, 128}, -1, 1)}, 0);
  }
}

TEST(Layout, SlicePadReverseConcat) {
  TestKernel k;
  uint32_t x = k.input(KILN_F32, {9, 40}), y = k.input(KILN_F32, {9, 7});
  uint32_t slice = k.op("slice", {x}, KILN_F32, {4, 13}, {extents("starts", {1, 2}), ints("strides", {2, 3})});
  uint32_t padded = k.op("pad", {slice, k.constant(KILN_F32, 7)}, KILN_F32, {9, 30},
                         {extents("low", {2, 3}), extents("high", {0, 2}), ints("interior", {1, 1})});
  uint32_t reversed = k.op("reverse", {padded}, KILN_F32, {9, 30}, {ints("axes", {1})});
  k.output(k.op("concat", {y, reversed, x}, KILN_F32, {9, 77}, {integer("axis", 1)}));
  check(k, {randomTensor(KILN_F32, {9, 40}, -1, 1), randomTensor(KILN_F32, {9, 7}, -1, 1, 2)}, 0);
}

TEST(Layout, ConcatOfRowsAndDynamicSlice) {
  TestKernel k;
  uint32_t x = k.input(KILN_F32, {3, 20}), y = k.input(KILN_F32, {5, 20}), at = k.input(KILN_I64, {});
  uint32_t all = k.op("concat", {x, y}, KILN_F32, {8, 20}, {integer("axis", 0)});
  uint32_t one = k.constant(KILN_I32, 1);
  k.output(k.op("dynamic_slice", {all, at, one}, KILN_F32, {4, 17}));
  for (int64_t start : {-1, 2, 9}) {
    Tensor where = Tensor::make(KILN_I64, {});
    where.set(0, {0, start});
    check(k, {randomTensor(KILN_F32, {3, 20}, -1, 1), randomTensor(KILN_F32, {5, 20}, -1, 1, 2), where}, 0);
  }
}

TEST(Layout, ConvolutionLikePadding) {
  // Interior padding by runtime places: a dilated row of odd length.
  for (int64_t n : {1, 2, 15, 40}) {
    TestKernel k;
    uint32_t x = k.input(KILN_F32, {n});
    k.output(k.op("pad", {x, k.constant(KILN_F32, -1)}, KILN_F32, {5 + n + (n - 1) * 2 + 4},
                  {extents("low", {5}), extents("high", {4}), ints("interior", {2})}));
    check(k, {randomTensor(KILN_F32, {n}, 1, 2)}, 0);
  }
}

TEST(Sources, IotaExtentConstantRandom) {
  TestKernel k;
  Dim n(100, 0);
  uint32_t seed = k.input(KILN_U32, {}), step = k.input(KILN_I32, {});
  k.output(k.op("iota", {}, KILN_I32, {3, n}, {integer("axis", 1)}));
  k.output(k.op("iota", {}, KILN_F32, {3, n}, {integer("axis", 0)}));
  k.output(k.op("random_bits", {seed, step}, KILN_U32, {3, n}, {integer("stream", 77)}));
  k.output(k.op("extent", {}, KILN_F32, {}, {extents("expr", {n})}));
  k.output(k.constant(randomTensor(KILN_F32, {3, 5}, -1, 1)));
  for (int64_t length : {1, 33, 100}) {
    k.bindExtents({length});
    check(k, {randomTensor(KILN_U32, {}, 1000, 2000), randomTensor(KILN_I32, {}, 5, 6)}, 0);
  }
}

/// Longer than what a driver nests choices.
TEST(Sources, ConstantsOfEveryDtype) {
  Dim n(5, 0);
  for (kiln_dtype dtype :
       {KILN_F32, KILN_F64, KILN_BF16, KILN_F16, KILN_I8, KILN_U8, KILN_I32, KILN_U32, KILN_I64, KILN_BOOL})
    for (int64_t length : {2, 11, 999}) {
      if (length == 999 && dtype != KILN_F32 && dtype != KILN_BOOL)
        continue; // a driver takes seconds for each
      TestKernel k;
      bool sign = dtype != KILN_U8 && dtype != KILN_U32 && dtype != KILN_BOOL;
      uint32_t table = k.constant(randomTensor(dtype, {length, 3}, sign ? -50 : 0, 50));
      uint32_t turned = k.op("transpose", {table}, dtype, {3, length}, {ints("permutation", {1, 0})});
      k.output(k.op("broadcast", {turned}, dtype, {n, 3, length}, {ints("axes", {1, 2})}));
      k.bindExtents({2});
      check(k, {}, 0);
    }
}

TEST(Layout, ConcatOfManyParts) {
  TestKernel k;
  uint32_t x = k.input(KILN_F32, {120, 4});
  std::vector<uint32_t> parts;
  for (int64_t i = 0; i < 120; ++i)
    parts.push_back(k.op("slice", {x}, KILN_F32, {1, 4}, {extents("starts", {119 - i, 0}), ints("strides", {1, 1})}));
  k.output(k.op("concat", parts, KILN_F32, {120, 4}, {integer("axis", 0)}));
  check(k, {randomTensor(KILN_F32, {120, 4}, -1, 1)}, 0);
}

TEST(Collapse, KeepsWhatOpsTellApart) {
  // Rows [2, 3] stay apart for the slice and the bias, columns [4, 5] fall together.
  TestKernel k;
  uint32_t x = k.input(KILN_F32, {2, 3, 4, 5}), bias = k.input(KILN_F32, {3});
  uint32_t wide = k.op("broadcast", {bias}, KILN_F32, {2, 3, 4, 5}, {ints("axes", {1})});
  uint32_t sum = k.op("add", {x, wide});
  uint32_t part =
      k.op("slice", {sum}, KILN_F32, {2, 2, 4, 5}, {extents("starts", {0, 1, 0, 0}), ints("strides", {1, 1, 1, 1})});
  k.output(part);
  k.output(k.op("transpose", {sum}, KILN_F32, {4, 5, 2, 3}, {ints("permutation", {2, 3, 0, 1})}));
  check(k, {randomTensor(KILN_F32, {2, 3, 4, 5}, -1, 1), randomTensor(KILN_F32, {3}, -1, 1, 2)}, 0);
}

TEST(Collapse, GatherWithBatchDimensions) {
  TestKernel k;
  uint32_t x = k.input(KILN_F32, {3, 4, 6, 5, 2}), ids = k.input(KILN_I32, {3, 4, 7, 2});
  k.output(k.op("gather", {x, ids}, KILN_F32, {3, 4, 7, 2, 5, 2}, {integer("axis", 2), integer("batch_dims", 2)}));
  check(k, {randomTensor(KILN_F32, {3, 4, 6, 5, 2}, -1, 1), randomTensor(KILN_I32, {3, 4, 7, 2}, 0, 6)}, 0);
}

TEST(Collapse, BatchNormStatistics) {
  TestKernel k;
  uint32_t x = k.input(KILN_F32, {6, 8, 5, 7});
  k.output(k.op("reduce", {x}, KILN_F32, {8}, {string("kind", "sum"), ints("axes", {0, 2, 3})}));
  k.output(k.op("reduce", {k.op("mul", {x, x})}, KILN_F32, {8}, {string("kind", "sum"), ints("axes", {0, 2, 3})}));
  check(k, {randomTensor(KILN_F32, {6, 8, 5, 7}, -1, 1)}, 1e-5);
}

TEST(Collapse, BroadcastOfStretchedDimensions) {
  TestKernel k;
  uint32_t x = k.input(KILN_F32, {4, 1, 6}), y = k.input(KILN_F32, {1, 1, 1});
  uint32_t a = k.op("broadcast", {x}, KILN_F32, {4, 9, 6}, {ints("axes", {0, 1, 2})});
  uint32_t b = k.op("broadcast", {y}, KILN_F32, {4, 9, 6}, {ints("axes", {0, 1, 2})});
  k.output(k.op("add", {a, b}));
  check(k, {randomTensor(KILN_F32, {4, 1, 6}, -1, 1), randomTensor(KILN_F32, {1, 1, 1}, -1, 1, 2)}, 0);
}
