// Scatter, sort, pooling and the like.
#include "tests/backends/cpu/TestKernel.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace kiln::test;

TEST(Gather, RowsOfATable) {
  TestKernel k;
  uint32_t table = k.input(KILN_F32, {65, 40}), ids = k.input(KILN_I32, {3, 7});
  k.output(k.op("gather", {table, ids}, KILN_F32, {3, 7, 40}, {integer("axis", 0)}));
  check(k, {randomTensor(KILN_F32, {65, 40}, -1, 1), randomTensor(KILN_I32, {3, 7}, 0, 65)}, 0);
}

TEST(Gather, OneOfEachRow) {
  TestKernel k;
  uint32_t x = k.input(KILN_F32, {50, 33}), ids = k.input(KILN_I64, {50});
  k.output(k.op("gather", {x, ids}, KILN_F32, {50}, {integer("axis", 1), integer("batch_dims", 1)}));
  check(k, {randomTensor(KILN_F32, {50, 33}, -1, 1), randomTensor(KILN_I64, {50}, 0, 33)}, 0);
}

TEST(Gather, OutOfRangeIsClampedAndTheFirstRecorded) {
  TestKernel k;
  uint32_t table = k.input(KILN_F32, {10, 64}), ids = k.input(KILN_I32, {4000});
  k.output(k.op("gather", {table, ids}, KILN_F32, {4000, 64}, {integer("axis", 0)}));
  Tensor indices = randomTensor(KILN_I32, {4000}, 0, 10);
  indices.set(2222, {0, -3});
  indices.set(3333, {0, 77});
  check(k, {randomTensor(KILN_F32, {10, 64}, -1, 1), indices}, 0);
  for (uint32_t threads : {1u, 2u}) {
    RunOptions options;
    options.threads = threads;
    RunResult result = run(k, {randomTensor(KILN_F32, {10, 64}, -1, 1), indices}, options);
    EXPECT_EQ(result.status.kind, KILN_INDEX_OUT_OF_RANGE);
    EXPECT_EQ(result.status.value, -3);
    EXPECT_EQ(result.status.limit, 10);
    EXPECT_EQ(result.status.op, 0u);
  }
}

TEST(Indexed, WhatIsOutOfRangeIsToldWhole) {
  for (const char *op : {"gather", "scatter"})
    for (int64_t index : {int64_t{1} << 40, -(int64_t{1} << 40) - 3, int64_t{-3}}) {
      TestKernel k("k0", "single");
      uint32_t x = k.input(KILN_F32, {10, 8}), ids = k.input(KILN_I64, {40});
      std::vector<Tensor> inputs{randomTensor(KILN_F32, {10, 8}, -1, 1), randomTensor(KILN_I64, {40}, 0, 10)};
      inputs[1].set(22, {0, index});
      if (op == std::string("gather")) {
        k.output(k.op(op, {x, ids}, KILN_F32, {40, 8}, {integer("axis", 0)}));
      } else {
        uint32_t updates = k.input(KILN_F32, {40, 8});
        inputs.push_back(randomTensor(KILN_F32, {40, 8}, -1, 1, 3));
        k.output(k.op(op, {x, ids, updates}, KILN_F32, {10, 8}, {string("kind", "set"), integer("axis", 0)}), 0);
      }
      RunResult result = run(k, inputs);
      EXPECT_EQ(result.status.kind, KILN_INDEX_OUT_OF_RANGE) << op;
      EXPECT_EQ(result.status.value, index) << op;
      EXPECT_EQ(result.status.limit, 10) << op;
    }
}

TEST(Gather, AlongVectors) {
  TestKernel k;
  uint32_t x = k.input(KILN_F32, {100}), ids = k.input(KILN_I32, {77});
  k.output(k.op("gather", {x, ids}, KILN_F32, {77}, {integer("axis", 0)}));
  Tensor indices = randomTensor(KILN_I32, {77}, 0, 100);
  indices.set(20, {0, 100});
  check(k, {randomTensor(KILN_F32, {100}, -1, 1), indices}, 0);
  RunResult result = run(k, {randomTensor(KILN_F32, {100}, -1, 1), indices});
  EXPECT_EQ(result.status.kind, KILN_INDEX_OUT_OF_RANGE);
  EXPECT_EQ(result.status.value, 100);
}

TEST(Scatter, AddsInOrderIntoAConstant) {
  for (int64_t width : {1, 5, 64, 130}) {
    TestKernel k("k0", "single");
    uint32_t ids = k.input(KILN_I32, {6, 50}), updates = k.input(KILN_F32, {6, 50, width});
    uint32_t zero = k.constant(KILN_F32, 0, {65, width});
    k.output(k.op("scatter", {zero, ids, updates}, KILN_F32, {65, width}, {string("kind", "add"), integer("axis", 0)}));
    check(k, {randomTensor(KILN_I32, {6, 50}, 0, 65), randomTensor(KILN_F32, {6, 50, width}, -1, 1)}, 1e-5);
  }
}

TEST(Scatter, SetKeepsTheLastAndDropsOutOfRange) {
  TestKernel k("k0", "single");
  uint32_t x = k.input(KILN_F32, {20, 8}), ids = k.input(KILN_I64, {40}), updates = k.input(KILN_F32, {40, 8});
  k.output(k.op("scatter", {x, ids, updates}, KILN_F32, {20, 8}, {string("kind", "set"), integer("axis", 0)}), 0);
  Tensor indices = randomTensor(KILN_I64, {40}, 0, 10);
  indices.set(7, {0, 20});
  std::vector<Tensor> inputs{randomTensor(KILN_F32, {20, 8}, -1, 1), indices,
                             randomTensor(KILN_F32, {40, 8}, -1, 1, 3)};
  check(k, inputs, 0);
  RunOptions inPlace;
  inPlace.inPlace = true;
  check(k, inputs, 0, inPlace);
  EXPECT_EQ(run(k, inputs).status.value, 20);
}

TEST(Scatter, OneOfEachRow) {
  TestKernel k("k0", "single");
  uint32_t ids = k.input(KILN_I32, {9}), updates = k.input(KILN_F32, {9});
  uint32_t zero = k.constant(KILN_F32, 0, {9, 21});
  k.output(k.op("scatter", {zero, ids, updates}, KILN_F32, {9, 21},
                {string("kind", "add"), integer("axis", 1), integer("batch_dims", 1)}));
  check(k, {randomTensor(KILN_I32, {9}, 0, 21), randomTensor(KILN_F32, {9}, -1, 1)}, 0);
}

TEST(DynamicUpdateSlice, InPlaceAndNot) {
  TestKernel k("k0", "single");
  uint32_t x = k.input(KILN_F32, {30, 40}), block = k.input(KILN_F32, {4, 40}), at = k.input(KILN_I32, {});
  uint32_t zero = k.constant(KILN_I32, 0);
  k.output(k.op("dynamic_update_slice", {x, block, at, zero}, KILN_F32, {30, 40}), 0);
  for (int64_t start : {-5, 0, 11, 26, 99}) {
    Tensor where = Tensor::make(KILN_I32, {});
    where.set(0, {0, start});
    std::vector<Tensor> inputs{randomTensor(KILN_F32, {30, 40}, -1, 1), randomTensor(KILN_F32, {4, 40}, -1, 1, 2),
                               where};
    check(k, inputs, 0);
    RunOptions inPlace;
    inPlace.inPlace = true;
    check(k, inputs, 0, inPlace);
  }
}

TEST(DynamicUpdateSlice, AColumnAndAnExtentOfOne) {
  TestKernel k("k0", "single");
  uint32_t x = k.input(KILN_F32, {30, 1}), block = k.input(KILN_F32, {4, 1}), at = k.input(KILN_I32, {});
  uint32_t zero = k.constant(KILN_I32, 0);
  k.output(k.op("dynamic_update_slice", {x, block, at, zero}, KILN_F32, {30, 1}), 0);
  Tensor where = Tensor::make(KILN_I32, {});
  where.set(0, {0, 26});
  std::vector<Tensor> inputs{randomTensor(KILN_F32, {30, 1}, -1, 1), randomTensor(KILN_F32, {4, 1}, -1, 1, 2), where};
  check(k, inputs, 0);
}

TEST(CumSum, AlongExtentsOfOne) {
  for (const char *cpu : {"native", "x86-64-v3"})
    for (const auto &[shape, axis] :
         {std::pair{std::vector<int64_t>{20, 1}, 0}, {{1, 1}, 0}, {{3, 20, 1}, 1}, {{20, 1}, 1}, {{1, 20, 1}, 0}}) {
      TestKernel k("k0", "single");
      Dims dims(shape.begin(), shape.end());
      uint32_t x = k.input(KILN_F32, dims);
      uint32_t last = k.op("iota", {}, KILN_F32, dims, {integer("axis", static_cast<int64_t>(dims.size()) - 1)});
      k.output(k.op("cumsum", {k.op("add", {x, last})}, KILN_F32, dims,
                    {integer("axis", axis), integer("reverse", 0), integer("exclusive", 1)}));
      RunOptions options;
      options.cpu = cpu;
      check(k, {randomTensor(KILN_F32, shape, -1, 1)}, 1e-5, options);
    }
}

TEST(CumSum, EveryDirection) {
  for (int64_t axis : {0, 1, 2})
    for (int64_t reverse : {0, 1})
      for (int64_t exclusive : {0, 1}) {
        TestKernel k("k0", "single");
        uint32_t x = k.input(KILN_F32, {3, 20, 37});
        k.output(k.op("cumsum", {x}, KILN_F32, {3, 20, 37},
                      {integer("axis", axis), integer("reverse", reverse), integer("exclusive", exclusive)}));
        check(k, {randomTensor(KILN_F32, {3, 20, 37}, -1, 1)}, 1e-5);
      }
}

TEST(Sort, BothWaysStableWithNaN) {
  for (int64_t axis : {0, 1})
    for (int64_t descending : {0, 1}) {
      TestKernel k("k0", "single");
      uint32_t x = k.input(KILN_F32, {33, 29});
      auto [values, indices] =
          k.op2("sort", x, KILN_F32, KILN_I64, {33, 29}, {integer("axis", axis), integer("descending", descending)});
      k.output(values);
      k.output(indices);
      Tensor data = randomTensor(KILN_F32, {33, 29}, -8, 8);
      for (int64_t i = 0; i < data.count(); ++i)
        data.set(i, {i % 50 == 3 ? NAN : std::floor(data.get(i).real), 0});
      check(k, {data}, 0);
    }
}

TEST(TopK, OfRows) {
  TestKernel k("k0", "single");
  uint32_t x = k.input(KILN_F32, {11, 100});
  auto [values, indices] = k.op2("top_k", x, KILN_F32, KILN_I32, {11, 7}, {integer("k", 7)});
  k.output(values);
  k.output(indices);
  Tensor data = randomTensor(KILN_F32, {11, 100}, -9, 9);
  for (int64_t i = 0; i < data.count(); ++i)
    data.set(i, {std::floor(data.get(i).real), 0});
  check(k, {data}, 0);
}

TEST(ArgReduce, AnyAxisFirstAmongEquals) {
  for (int64_t axis : {0, 1, 2})
    for (const char *kind : {"max", "min"}) {
      TestKernel k;
      Dims kept{5, 40, 70};
      kept.erase(kept.begin() + axis);
      uint32_t x = k.input(KILN_F32, {5, 40, 70});
      k.output(k.op("arg_reduce", {x}, KILN_I32, kept, {string("kind", kind), integer("axis", axis)}));
      Tensor data = randomTensor(KILN_F32, {5, 40, 70}, -4, 4);
      for (int64_t i = 0; i < data.count(); ++i)
        data.set(i, {i % 501 == 7 ? NAN : std::floor(data.get(i).real), 0});
      check(k, {data}, 0);
    }
}

TEST(ReduceWindow, PoolsWithPadding) {
  for (const char *kind : {"max", "sum", "min"}) {
    TestKernel k("k0", "single");
    uint32_t x = k.input(KILN_F32, {2, 3, 14, 19});
    k.output(k.op("reduce_window", {x}, KILN_F32, {2, 3, 7, 10},
                  {string("kind", kind), ints("window", {1, 1, 3, 3}), ints("strides", {1, 1, 2, 2}),
                   ints("low", {0, 0, 1, 1}), ints("high", {0, 0, 1, 1})}));
    check(k, {randomTensor(KILN_F32, {2, 3, 14, 19}, -1, 1)}, 1e-6);
  }
}

/// Windows that move by two load neighbours once: rows that end inside of a vector, windows wider than that, NaN.
TEST(ReduceWindow, MovesByTwo) {
  for (const char *cpu : {"native", "x86-64-v3"})
    for (kiln_dtype type : {KILN_F32, KILN_F64, KILN_I32})
      for (std::pair<int64_t, int64_t> e : {std::pair<int64_t, int64_t>{3, 67}, {2, 40}, {5, 9}, {1, 33}}) {
        auto [window, width] = e;
        int64_t low = window / 2, columns = (width + low - window) / 2 + 1;
        TestKernel k("k0", "single");
        uint32_t x = k.input(type, {2, 9, width});
        k.output(k.op("reduce_window", {x}, type, {2, 4, columns},
                      {string("kind", "max"), ints("window", {1, 3, window}), ints("strides", {1, 2, 2}),
                       ints("low", {0, 0, low}), ints("high", {0, 0, 0})}));
        Tensor data = wholeNumbers(type, {2, 9, width}, 3, 50);
        if (type == KILN_F32)
          data.set(width + 4, {NAN, 0});
        RunOptions options;
        options.cpu = cpu;
        check(k, {data}, 0, options);
      }
}

TEST(ReduceWindowGrad, GoesToTheFirstExtreme) {
  // Overlapping with padding; side by side and covering all; apart with elements left over.
  struct Case {
    int64_t h, w, window, stride, low;
  };
  // Where the last extent is 1, all lanes have one place in memory.
  for (const Case &c :
       {Case{14, 19, 3, 2, 1}, Case{12, 40, 2, 2, 0}, Case{11, 23, 2, 3, 0}, Case{6, 6, 3, 1, 1}, Case{6, 1, 3, 1, 1},
        Case{1, 1, 2, 1, 1}, Case{11, 11, 2, 2, 0}, Case{6, 67, 2, 2, 0}, Case{4, 3, 2, 2, 0}, Case{9, 35, 2, 2, 1}}) {
    TestKernel k("k0", "single");
    int64_t oh = (c.h + 2 * c.low - c.window) / c.stride + 1, ow = (c.w + 2 * c.low - c.window) / c.stride + 1;
    uint32_t x = k.input(KILN_F32, {2, 3, c.h, c.w}), g = k.input(KILN_F32, {2, 3, oh, ow});
    k.output(k.op("reduce_window_grad", {x, g}, KILN_F32, {2, 3, c.h, c.w},
                  {string("kind", "max"), ints("window", {1, 1, c.window, c.window}),
                   ints("strides", {1, 1, c.stride, c.stride}), ints("low", {0, 0, c.low, c.low}),
                   ints("high", {0, 0, c.low, c.low})}));
    Tensor data = randomTensor(KILN_F32, {2, 3, c.h, c.w}, -3, 3);
    for (int64_t i = 0; i < data.count(); ++i)
      data.set(i, {i % 97 == 5 ? NAN : i % 31 == 0 ? -INFINITY : std::floor(data.get(i).real), 0});
    check(k, {data, randomTensor(KILN_F32, {2, 3, oh, ow}, -1, 1)}, 1e-6);
  }
}
