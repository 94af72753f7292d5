// Elementwise, layout and reduction kernels.
#include "tests/backends/cpu/TestKernel.h"
#include <cstring>
#include <gtest/gtest.h>

using namespace kiln::test;

TEST(Elementwise, AddOfVectors) {
  for (int64_t n : {1, 15, 16, 17, 100, 70000}) {
    TestKernel k;
    uint32_t a = k.input(KILN_F32, {n}), b = k.input(KILN_F32, {n});
    k.output(k.op("add", {a, b}));
    check(k, {randomTensor(KILN_F32, {n}, -1, 1, 1), randomTensor(KILN_F32, {n}, -1, 1, 2)}, 0);
  }
}

TEST(Elementwise, BiasOverRowsOfDynamicNumber) {
  TestKernel k;
  uint32_t x = k.input(KILN_F32, {Dim(64, 0), 33}), bias = k.input(KILN_F32, {33});
  uint32_t wide = k.op("broadcast", {bias}, KILN_F32, {Dim(64, 0), 33}, {ints("axes", {1})});
  uint32_t sum = k.op("add", {x, wide});
  k.output(k.op("tanh", {sum}));
  k.output(sum);
  for (int64_t rows : {1, 7, 64}) {
    k.bindExtents({rows});
    check(k, {randomTensor(KILN_F32, {rows, 33}, -3, 3, 1), randomTensor(KILN_F32, {33}, -1, 1, 2)}, 1e-6);
  }
}

TEST(Rows, Softmax) {
  for (int64_t n : {1, 3, 16, 65, 200}) {
    TestKernel k;
    uint32_t x = k.input(KILN_F32, {37, n});
    uint32_t max = k.op("reduce", {x}, KILN_F32, {37}, {string("kind", "max"), ints("axes", {1})});
    uint32_t wide = k.op("broadcast", {max}, KILN_F32, {37, n}, {ints("axes", {0})});
    uint32_t e = k.op("exp", {k.op("sub", {x, wide})});
    uint32_t sum = k.op("reduce", {e}, KILN_F32, {37}, {string("kind", "sum"), ints("axes", {1})});
    uint32_t below = k.op("broadcast", {sum}, KILN_F32, {37, n}, {ints("axes", {0})});
    k.output(k.op("div", {e, below}), 0);
    RunOptions options;
    options.inPlace = true;
    check(k, {randomTensor(KILN_F32, {37, n}, -5, 5)}, 1e-6);
    check(k, {randomTensor(KILN_F32, {37, n}, -5, 5)}, 1e-6, options);
  }
}

TEST(Reduce, EveryShape) {
  struct Case {
    std::vector<int64_t> shape, axes;
  };
  for (const Case &c : {Case{{100}, {0}}, Case{{3, 70000}, {1}}, Case{{100000}, {0}}, Case{{500, 3}, {0}},
                        Case{{40, 130}, {0}}, Case{{2000, 70}, {0}}, Case{{8, 16, 100}, {0, 2}},
                        Case{{8, 16, 100}, {1}}, Case{{8, 16, 5}, {0, 1, 2}}, Case{{4, 6}, {}}}) {
    for (const char *kind : {"sum", "max"}) {
      TestKernel k;
      Dims dims(c.shape.begin(), c.shape.end()), kept;
      for (size_t d = 0; d < c.shape.size(); ++d)
        if (std::find(c.axes.begin(), c.axes.end(), static_cast<int64_t>(d)) == c.axes.end())
          kept.push_back(c.shape[d]);
      uint32_t x = k.input(KILN_F32, dims);
      k.output(k.op("reduce", {x}, KILN_F32, kept, {string("kind", kind), ints("axes", c.axes)}));
      check(k, {randomTensor(KILN_F32, c.shape, -1, 1)}, 2e-5);
    }
  }
}

/// Extents of 1 that are known when a kernel is compiled: lanes that run along one have one place in memory.
TEST(Reduce, ConstantExtentsOfOne) {
  struct Case {
    std::vector<int64_t> shape, axes;
  };
  for (const char *cpu : {"native", "x86-64-v3"})
    for (const Case &c :
         {Case{{8, 32, 1}, {1}}, Case{{1, 32, 1}, {1}}, Case{{32, 1}, {0}}, Case{{1, 1}, {0}}, Case{{1, 17}, {0}},
          Case{{17, 1}, {1}}, Case{{5, 17, 1, 1}, {0}}, Case{{1, 5, 1, 17}, {1, 2}}, Case{{9, 1, 16}, {1}},
          Case{{40000, 1}, {0}}, Case{{3, 20000, 1}, {1}}, Case{{200, 9, 1}, {0, 2}}, Case{{1}, {0}}}) {
      TestKernel k;
      Dims dims(c.shape.begin(), c.shape.end()), kept;
      for (size_t d = 0; d < c.shape.size(); ++d)
        if (std::find(c.axes.begin(), c.axes.end(), static_cast<int64_t>(d)) == c.axes.end())
          kept.push_back(c.shape[d]);
      uint32_t x = k.input(KILN_F32, dims);
      // A lane's own number, so that lanes differ where memory has one place for all.
      uint32_t last = k.op("iota", {}, KILN_F32, dims, {integer("axis", static_cast<int64_t>(dims.size()) - 1)});
      uint32_t y = k.op("add", {x, last});
      k.output(k.op("reduce", {y}, KILN_F32, kept, {string("kind", "sum"), ints("axes", c.axes)}));
      if (c.shape[0] < 32000) // lavapipe ends a shader's loops after 65,535 iterations in all
        k.output(k.op("reduce", {y}, KILN_F32, kept, {string("kind", "max"), ints("axes", c.axes)}));
      k.output(y);
      SCOPED_TRACE(testing::PrintToString(c.shape) + " over " + testing::PrintToString(c.axes) + " on " + cpu);
      RunOptions options;
      options.cpu = cpu;
      check(k, {randomTensor(KILN_F32, c.shape, -1, 1)}, 2e-5, options);
    }
}

/// NaN of either sign wins wherever it stands, a zero without a sign is larger than one with it, to the bit; also where
/// these are held apart from the numbers (f32 along vectors).
TEST(Reduce, LargestAndSmallestKnowNaNAndSigns) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  struct Row {
    float all, one; // the others, and the one at a place of its own
  };
  const Row kinds[] = {{-1, nan},      {2, -nan},     {infinity, nan}, {-infinity, -nan}, {nan, 3},
                       {-0.0F, 0.0F},  {0.0F, -0.0F}, {-0.0F, -0.0F},  {0.0F, 0.0F},      {-0.0F, -2},
                       {0.0F, 2},      {-2, -0.0F},   {-2, 0.0F},      {2, -0.0F},        {-infinity, -infinity},
                       {-infinity, 5}, {infinity, 5}, {-3, -7},        {-7, -3},          {1e-42F, -1e-42F}};
  for (int64_t n : {2, 16, 37, 200})
    for (const char *kind : {"max", "min"}) {
      std::vector<float> data;
      for (int64_t place : {int64_t{0}, n / 2, n - 1})
        for (const Row &row : kinds)
          for (int64_t i = 0; i < n; ++i)
            data.push_back(i == place ? row.one : row.all);
      int64_t rows = static_cast<int64_t>(data.size()) / n;
      TestKernel k;
      uint32_t x = k.input(KILN_F32, {rows, n});
      uint32_t best = k.op("reduce", {x}, KILN_F32, {rows}, {string("kind", kind), ints("axes", {1})});
      k.output(best);
      k.output(k.op("broadcast", {best}, KILN_F32, {rows, n}, {ints("axes", {0})}));
      kiln::conformance::Bytes bytes(data.size() * sizeof(float));
      std::memcpy(bytes.data(), data.data(), bytes.size());
      for (const char *cpu : {"native", "x86-64-v3", "x86-64-v2"}) {
        RunOptions options;
        options.cpu = cpu;
        RunResult result = run(k, {Tensor::from(KILN_F32, {rows, n}, bytes)}, options);
        ASSERT_EQ(result.error, "");
        for (int64_t r = 0; r < rows; ++r) {
          Row row = kinds[static_cast<size_t>(r) % std::size(kinds)];
          float a = row.all, b = row.one;
          bool swapped = a < b || (a == b && std::signbit(a));
          float exact = std::isnan(a) || std::isnan(b) ? nan : (kind == std::string("max")) == swapped ? b : a;
          for (const Tensor &output : result.outputs) {
            auto got = static_cast<float>(output.get(&output == result.outputs.data() ? r : r * n + n - 1).real);
#ifdef KILN_EITHER_ZERO
            bool sameSign = got == 0 || std::signbit(got) == std::signbit(exact);
#else
            bool sameSign = std::signbit(got) == std::signbit(exact);
#endif
            EXPECT_TRUE(std::isnan(exact) ? std::isnan(got) : got == exact && sameSign)
                << cpu << " " << kind << " of " << n << ": " << a << " and " << b << " gave " << got;
          }
        }
      }
    }
}

/// An output of 64 MiB is written past the caches, unless it lies where the input is: the bits are the same.
TEST(Rows, OutputsPastCaches) {
  constexpr int64_t rows = 257, columns = 65536;
  Tensor data = randomTensor(KILN_F32, {rows, columns}, -5, 5);
  for (bool softmax : {false, true}) {
    TestKernel k;
    uint32_t x = k.input(KILN_F32, {rows, columns});
    auto reduced = [&](const char *kind, uint32_t v) {
      uint32_t r = k.op("reduce", {v}, KILN_F32, {rows}, {string("kind", kind), ints("axes", {1})});
      return k.op("broadcast", {r}, KILN_F32, {rows, columns}, {ints("axes", {0})});
    };
    uint32_t e = k.op("exp", {softmax ? k.op("sub", {x, reduced("max", x)}) : x});
    k.output(softmax ? k.op("div", {e, reduced("sum", e)}) : e, 0);
    RunOptions inPlace, apart;
    inPlace.inPlace = true, apart.threads = 2;
    RunResult a = run(k, {data}, apart), b = run(k, {data}, inPlace);
    ASSERT_EQ(a.error + b.error, "");
    EXPECT_TRUE(a.bytes == b.bytes);
    for (int64_t row : {int64_t{0}, rows - 1}) {
      double sum = 0;
      for (int64_t i = 0; i < columns; ++i)
        sum += std::exp(data.get(row * columns + i).real);
      for (int64_t i = row * columns; i < (row + 1) * columns; i += 4369) {
        double exact = std::exp(data.get(i).real) / (softmax ? sum : 1);
        EXPECT_NEAR(a.outputs[0].get(i).real, exact, 1e-5 * exact);
      }
    }
  }
}

TEST(Rows, SoftmaxWrittenTwiceOver) {
  // The same exponential under two names, as differentiation leaves it, and an output that is an input.
  TestKernel k;
  uint32_t x = k.input(KILN_F32, {40, 70});
  auto rows = [&](const char *kind, uint32_t v) {
    return k.op("reduce", {v}, KILN_F32, {40}, {string("kind", kind), ints("axes", {1})});
  };
  auto wide = [&](uint32_t v) { return k.op("broadcast", {v}, KILN_F32, {40, 70}, {ints("axes", {0})}); };
  uint32_t max = wide(rows("max", x)), stopped = k.op("stop_gradient", {max});
  uint32_t first = k.op("exp", {k.op("sub", {x, max})}), second = k.op("exp", {k.op("sub", {x, stopped})});
  k.output(k.op("div", {second, wide(rows("sum", first))}));
  k.output(x);
  k.output(first);
  k.output(second);
  check(k, {randomTensor(KILN_F32, {40, 70}, -5, 5)}, 1e-6);
}

TEST(Rows, LossWithPickedClassAndGradient) {
  // Cross entropy over rows: a picked log-probability, an accuracy by arg_reduce, the gradient.
  TestKernel k;
  Dim n(50, 0);
  uint32_t x = k.input(KILN_F32, {n, 10}), labels = k.input(KILN_I32, {n});
  auto rows = [&](const char *kind, uint32_t v) {
    return k.op("reduce", {v}, KILN_F32, {n}, {string("kind", kind), ints("axes", {1})});
  };
  auto wide = [&](uint32_t v, kiln_dtype dtype) { return k.op("broadcast", {v}, dtype, {n, 10}, {ints("axes", {0})}); };
  uint32_t centred = k.op("sub", {x, wide(rows("max", x), KILN_F32)}), e = k.op("exp", {centred});
  uint32_t sum = rows("sum", e);
  uint32_t logs = k.op("sub", {centred, wide(k.op("log", {sum}), KILN_F32)});
  uint32_t picked = k.op("gather", {logs, labels}, KILN_F32, {n}, {integer("axis", 1), integer("batch_dims", 1)});
  k.output(k.op("neg", {picked}));
  uint32_t best = k.op("arg_reduce", {x}, KILN_I32, {n}, {string("kind", "max"), integer("axis", 1)});
  k.output(k.op("compare", {best, labels}, KILN_BOOL, {n}, {string("predicate", "eq")}));
  uint32_t hot = k.op("compare", {k.op("iota", {}, KILN_I32, {n, 10}, {integer("axis", 1)}), wide(labels, KILN_I32)},
                      KILN_BOOL, {n, 10}, {string("predicate", "eq")});
  uint32_t p = k.op("div", {e, wide(sum, KILN_F32)});
  k.output(k.op("sub", {p, k.op("convert", {hot}, KILN_F32, {n, 10})}), 0);
  for (int64_t count : {1, 50}) {
    k.bindExtents({count});
    check(k, {randomTensor(KILN_F32, {count, 10}, -3, 3), randomTensor(KILN_I32, {count}, 0, 10)}, 1e-6);
  }
}

TEST(Rows, LayerNormAndItsGradient) {
  TestKernel k;
  uint32_t x = k.input(KILN_F32, {30, 70}), dy = k.input(KILN_F32, {30, 70}), scale = k.input(KILN_F32, {70});
  auto rows = [&](uint32_t v) {
    return k.op("reduce", {v}, KILN_F32, {30}, {string("kind", "sum"), ints("axes", {1})});
  };
  auto wide = [&](uint32_t v) { return k.op("broadcast", {v}, KILN_F32, {30, 70}, {ints("axes", {0})}); };
  auto c = [&](double v) { return k.constant(KILN_F32, v, {30}); };
  uint32_t centred = k.op("sub", {x, wide(k.op("mul", {rows(x), c(1.0 / 70)}))});
  uint32_t r =
      k.op("rsqrt", {k.op("add", {k.op("mul", {rows(k.op("mul", {centred, centred})), c(1.0 / 70)}), c(1e-5)})});
  uint32_t normal = k.op("mul", {centred, wide(r)});
  uint32_t g = k.op("mul", {dy, k.op("broadcast", {scale}, KILN_F32, {30, 70}, {ints("axes", {1})})});
  uint32_t mean = k.op("mul", {rows(g), c(1.0 / 70)}),
           along = k.op("mul", {rows(k.op("mul", {g, normal})), c(1.0 / 70)});
  uint32_t rest = k.op("sub", {k.op("sub", {g, wide(mean)}), k.op("mul", {normal, wide(along)})});
  k.output(k.op("mul", {rest, wide(r)}));
  // Columns of the same: another phase, which reads what the rows left.
  k.output(k.op("reduce", {k.op("mul", {dy, normal})}, KILN_F32, {70}, {string("kind", "sum"), ints("axes", {0})}));
  check(k,
        {randomTensor(KILN_F32, {30, 70}, -1, 1), randomTensor(KILN_F32, {30, 70}, -1, 1, 2),
         randomTensor(KILN_F32, {70}, -1, 1, 3)},
        1e-5);
}

TEST(Reduce, EveryKindAndDtype) {
  for (kiln_dtype dtype : {KILN_F32, KILN_F64, KILN_I32, KILN_I64, KILN_U8, KILN_I8, KILN_U32})
    for (const char *kind : {"sum", "prod", "max", "min"}) {
      TestKernel k;
      uint32_t x = k.input(dtype, {13, 45});
      k.output(k.op("reduce", {x}, dtype, {45}, {string("kind", kind), ints("axes", {0})}));
      k.output(k.op("reduce", {x}, dtype, {13}, {string("kind", kind), ints("axes", {1})}));
      check(k, {randomTensor(dtype, {13, 45}, 0.5, 2)}, 1e-5);
    }
  TestKernel k;
  uint32_t x = k.input(KILN_BOOL, {13, 45});
  for (const char *kind : {"any", "all"})
    for (int64_t axis : {0, 1})
      k.output(k.op("reduce", {x}, KILN_BOOL, {axis ? 13 : 45}, {string("kind", kind), ints("axes", {axis})}));
  check(k, {randomTensor(KILN_BOOL, {13, 45}, 0, 1.2)}, 0);
}
