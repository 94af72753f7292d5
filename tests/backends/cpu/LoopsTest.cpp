//===- LoopsTest.cpp - elementwise, layout and reduction kernels
//----------------------------------------------------===//
#include "tests/backends/cpu/TestKernel.h"
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
    options.inPlace = {true};
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
        if (std::find(c.axes.begin(), c.axes.end(), int64_t(d)) == c.axes.end())
          kept.push_back(c.shape[d]);
      uint32_t x = k.input(KILN_F32, dims);
      k.output(k.op("reduce", {x}, KILN_F32, kept, {string("kind", kind), ints("axes", c.axes)}));
      check(k, {randomTensor(KILN_F32, c.shape, -1, 1)}, 2e-5);
    }
  }
}
