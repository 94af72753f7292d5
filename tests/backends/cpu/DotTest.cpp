// dot_general: every layout and class of extents. Operands are small whole numbers, so that sums in any order are
// exact.
#include "tests/backends/cpu/TestKernel.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace kiln::test;

namespace {

using Ints = std::vector<int64_t>;

struct DotAxes {
  Ints lhsBatch, rhsBatch, lhsContract, rhsContract;
};

Dims fixed(const Ints &dims) { return {dims.begin(), dims.end()}; }

uint32_t addDot(TestKernel &k, uint32_t lhs, uint32_t rhs, kiln_dtype result, const Dims &dims, const DotAxes &axes) {
  return k.op("dot_general", {lhs, rhs}, result, dims,
              {ints("lhs_batch", axes.lhsBatch), ints("rhs_batch", axes.rhsBatch),
               ints("lhs_contract", axes.lhsContract), ints("rhs_contract", axes.rhsContract)});
}

Ints resultOf(const Ints &lhs, const Ints &rhs, const DotAxes &axes) {
  Ints dims;
  for (int64_t axis : axes.lhsBatch)
    dims.push_back(lhs[static_cast<size_t>(axis)]);
  auto addFree = [&](const Ints &shape, const Ints &batch, const Ints &contract) {
    for (int64_t d = 0; d < static_cast<int64_t>(shape.size()); ++d)
      if (std::find(batch.begin(), batch.end(), d) == batch.end() &&
          std::find(contract.begin(), contract.end(), d) == contract.end())
        dims.push_back(shape[static_cast<size_t>(d)]);
  };
  addFree(lhs, axes.lhsBatch, axes.lhsContract);
  addFree(rhs, axes.rhsBatch, axes.rhsContract);
  return dims;
}

/// A lone dot_general of constant extents.
void check(const Ints &lhs, const Ints &rhs, const DotAxes &axes, kiln_dtype type = KILN_F32,
           kiln_dtype result = KILN_F32, const std::string &cpu = "native") {
  TestKernel k("k0", "contract");
  uint32_t l = k.input(type, fixed(lhs)), r = k.input(type, fixed(rhs));
  k.output(addDot(k, l, r, result, fixed(resultOf(lhs, rhs, axes)), axes));
  RunOptions options;
  options.cpu = cpu;
  check(k, {wholeNumbers(type, lhs, 1), wholeNumbers(type, rhs, 2)}, 0, options);
}

const DotAxes nn{{}, {}, {1}, {0}}, nt{{}, {}, {1}, {1}}, tn{{}, {}, {0}, {0}}, tt{{}, {}, {0}, {1}};

struct Extents {
  int64_t m, n, k;
};

class DotExtents : public testing::TestWithParam<Extents> {};

TEST_P(DotExtents, EveryLayout) {
  auto [m, n, k] = GetParam();
  {
    SCOPED_TRACE("nn");
    check({m, k}, {k, n}, nn);
  }
  {
    SCOPED_TRACE("nt");
    check({m, k}, {n, k}, nt);
  }
  {
    SCOPED_TRACE("tn");
    check({k, m}, {k, n}, tn);
  }
  {
    SCOPED_TRACE("tt");
    check({k, m}, {n, k}, tt);
  }
}

INSTANTIATE_TEST_SUITE_P(Small, DotExtents,
                         testing::Values(Extents{1, 1, 1}, Extents{1, 17, 33}, Extents{3, 1, 5}, Extents{7, 13, 11},
                                         Extents{12, 32, 16}, Extents{13, 33, 17}, Extents{32, 10, 128},
                                         Extents{5, 65, 127}));
INSTANTIATE_TEST_SUITE_P(Empty, DotExtents,
                         testing::Values(Extents{0, 5, 7}, Extents{5, 0, 7}, Extents{5, 7, 0}, Extents{60, 70, 0}));
INSTANTIATE_TEST_SUITE_P(Large, DotExtents,
                         testing::Values(Extents{64, 48, 64}, Extents{97, 101, 103}, Extents{200, 131, 300},
                                         Extents{61, 37, 1009}, Extents{10, 20, 9001}, Extents{128, 10, 5000}));

/// Slivers of a right operand along N that are packed tile by tile: of one K block and of several, rows and columns
/// that end within a tile, a task's only sliver.
TEST(Dot, PackedInParts) {
  auto each = [](const std::string &cpu, std::initializer_list<Extents> all) {
    for (Extents e : all) {
      SCOPED_TRACE(cpu + ", " + std::to_string(e.m) + " x " + std::to_string(e.k) + " x " + std::to_string(e.n));
      check({e.m, e.k}, {e.k, e.n}, nn, KILN_F32, KILN_F32, cpu);
      check({e.k, e.m}, {e.k, e.n}, tn, KILN_F32, KILN_F32, cpu);
    }
  };
  each("native", {{201, 131, 300}, {256, 400, 77}});
  each("native:l2=64K", {{200, 300, 129}, {270, 170, 100}, {193, 40, 147}});
  each("x86-64-v3:l2=64K", {{101, 210, 333}, {100, 70, 290}});
}

/// More rows than stay near beside a K block of the model's length, many columns and a long K: parts of K by tasks of
/// their own, which pack slivers for themselves. On one thread and on two, against sums of whole numbers.
TEST(Dot, LongDepthsInParts) {
  struct Row {
    const char *cpu;
    Extents extents;
    bool left, right; // along K
    kiln_dtype operands;
  };
  for (const Row &row : {Row{"x86-64-v3:l2=64K", {139, 177, 9001}, true, false, KILN_F32},
                         Row{"x86-64-v3:l2=64K", {140, 176, 9001}, false, true, KILN_F32},
                         Row{"native:l2=64K", {276, 96, 35333}, true, false, KILN_BF16}}) {
    auto [m, n, depth] = row.extents;
    SCOPED_TRACE(std::string(row.cpu) + ", a depth of " + std::to_string(depth));
    Ints lhs = row.left ? Ints{m, depth} : Ints{depth, m}, rhs = row.right ? Ints{n, depth} : Ints{depth, n};
    TestKernel k("k0", "contract");
    auto operand = [&](const Ints &dims) {
      uint32_t value = k.input(KILN_F32, fixed(dims));
      return row.operands == KILN_F32 ? value : k.op("convert", {value}, row.operands, fixed(dims));
    };
    uint32_t l = operand(lhs), r = operand(rhs);
    k.output(addDot(k, l, r, KILN_F32, {m, n}, {{}, {}, {row.left ? 1 : 0}, {row.right ? 1 : 0}}));
    std::vector<Tensor> inputs{wholeNumbers(KILN_F32, lhs, 5), wholeNumbers(KILN_F32, rhs, 6)};
    RunOptions one, two;
    one.cpu = two.cpu = row.cpu;
    two.threads = 2;
    RunResult a = run(k, inputs, one), b = run(k, inputs, two);
    ASSERT_EQ(a.error + b.error, "");
    EXPECT_TRUE(a.bytes == b.bytes);
    for (int64_t i = 0; i < m; i += 46)
      for (int64_t j = 0; j < n; j += 19) {
        double sum = 0;
        for (int64_t p = 0; p < depth; ++p)
          sum += inputs[0].get(row.left ? i * depth + p : p * m + i).real *
                 inputs[1].get(row.right ? j * depth + p : p * n + j).real;
        EXPECT_EQ(a.outputs[0].get(i * n + j).real, sum) << i << ", " << j;
      }
  }
}

/// Products alone, of whole tiles: K blocks are added up where the result lies. Batches, narrow last panels, and a
/// depth that is known at run time only: none, within a block, whole blocks, more.
TEST(Dot, SummedInResult) {
  for (const char *cpu : {"native:l2=64K", "x86-64-v3:l2=64K"}) {
    for (Extents e : {Extents{24, 16, 900}, Extents{120, 80, 700}, Extents{96, 208, 333}}) {
      SCOPED_TRACE(std::string(cpu) + ", " + std::to_string(e.m) + " x " + std::to_string(e.k));
      check({e.m, e.k}, {e.k, e.n}, nn, KILN_F32, KILN_F32, cpu);
      check({e.k, e.m}, {e.n, e.k}, tt, KILN_F32, KILN_F32, cpu);
      check({3, e.m, e.k}, {3, e.k, e.n}, {{0}, {0}, {2}, {1}}, KILN_F32, KILN_F32, cpu);
    }
    TestKernel k("k0", "contract");
    Dim depth(900, 0);
    uint32_t l = k.input(KILN_F32, {120, depth}), r = k.input(KILN_F32, {depth, 80});
    k.output(addDot(k, l, r, KILN_F32, {120, 80}, nn));
    RunOptions options;
    options.cpu = cpu;
    for (int64_t bound : {0, 1, 64, 333, 900}) {
      SCOPED_TRACE(std::string(cpu) + ", a depth of " + std::to_string(bound));
      k.bindExtents({bound});
      check(k, {wholeNumbers(KILN_F32, {120, bound}, 3), wholeNumbers(KILN_F32, {bound, 80}, 4)}, 0, options);
    }
  }
}

/// A left operand along its rows, of several K blocks, that a phase packs for all tasks: a last sliver of each height,
/// depths that are no multiple of a task's; pairs too.
TEST(Dot, ColumnsShared) {
  for (const char *cpu : {"native:l2=64K", "x86-64-v3:l2=64K"})
    for (Extents e : {Extents{96, 300, 500}, Extents{101, 210, 333}, Extents{43, 190, 262}, Extents{90, 400, 129}}) {
      SCOPED_TRACE(std::string(cpu) + ", " + std::to_string(e.m) + " x " + std::to_string(e.k));
      check({e.k, e.m}, {e.k, e.n}, tn, KILN_F32, KILN_F32, cpu);
      check({e.k, e.m}, {e.n, e.k}, tt, KILN_F32, KILN_F32, cpu);
      check({e.k, e.m}, {e.k, e.n}, tn, KILN_BF16, KILN_F32, cpu);
    }
}

/// A right operand that is read where it lies, by few rows or because it stays in the first level, with a few columns
/// beyond whole vectors: none at all before them, several K blocks.
TEST(Dot, UnpackedWithAnEdge) {
  for (const char *cpu : {"native", "native:l2=32K", "x86-64-v3:l2=32K"})
    for (Extents e : {Extents{17, 33, 65}, Extents{13, 3, 40}, Extents{48, 50, 129}, Extents{64, 64, 64},
                      Extents{100, 66, 30}, Extents{30, 17, 300}}) {
      SCOPED_TRACE(std::string(cpu) + ", " + std::to_string(e.m) + " x " + std::to_string(e.n));
      check({e.m, e.k}, {e.k, e.n}, nn, KILN_F32, KILN_F32, cpu);
      check({e.k, e.m}, {e.k, e.n}, tn, KILN_F32, KILN_F32, cpu);
    }
}

TEST(Dot, BatchedInAnyOrder) {
  check({3, 2, 17, 9}, {3, 2, 9, 21}, {{0, 1}, {0, 1}, {3}, {2}});
  check({3, 17, 2, 9}, {3, 21, 2, 9}, {{0, 2}, {0, 2}, {3}, {3}});  // queries and keys, heads inside
  check({3, 2, 17, 21}, {3, 21, 2, 9}, {{0, 1}, {0, 2}, {3}, {1}}); // probabilities and values
  check({2, 70, 40}, {2, 40, 80}, {{0}, {0}, {2}, {1}});
  check({70, 40, 2}, {40, 80, 2}, {{2}, {2}, {1}, {0}}); // batch innermost
}

TEST(Dot, SeveralFreeAndContractedAxes) {
  check({4, 5, 24}, {30, 24}, {{}, {}, {2}, {1}});
  check({6, 7, 40}, {6, 7, 50}, {{}, {}, {0, 1}, {0, 1}});
  check({6, 7, 40}, {7, 50, 6}, {{}, {}, {1, 0}, {0, 2}});
  check({5, 6, 7}, {7, 3, 11}, {{}, {}, {2}, {0}});
  check({20, 9, 30}, {9, 3, 40}, {{}, {}, {1}, {0}});
}

TEST(Dot, VectorsAndScalars) {
  check({37, 41}, {41}, {{}, {}, {1}, {0}});
  check({41}, {41, 37}, {{}, {}, {0}, {0}});
  check({41}, {41}, {{}, {}, {0}, {0}});
  check({5}, {7}, {{}, {}, {}, {}});
  // Nothing to sum, or one product, and rows that are apart: which axis is contiguous says nothing.
  check({5, 9}, {7, 9}, {{1}, {1}, {}, {}});
  check({2, 3, 9}, {7, 9}, {{2}, {1}, {}, {}});
  check({9, 5}, {9, 7}, {{0}, {0}, {}, {}});
  check({5, 1, 9}, {7, 1, 9}, {{2}, {2}, {1}, {1}});
}

TEST(Dot, EveryType) {
  for (auto axes : {nn, nt}) {
    Ints rhs = axes.rhsContract[0] == 0 ? Ints{50, 40} : Ints{40, 50};
    check({30, 50}, rhs, axes, KILN_F64, KILN_F64);
    check({70, 50}, rhs, axes, KILN_F64, KILN_F64);
    check({30, 50}, rhs, axes, KILN_BF16, KILN_F32);
    check({30, 50}, rhs, axes, KILN_F16, KILN_F32);
    check({30, 50}, rhs, axes, KILN_I8, KILN_I32);
    check({30, 50}, rhs, axes, KILN_I32, KILN_I32);
    check({30, 50}, rhs, axes, KILN_I64, KILN_I64);
  }
}

/// Many tiles both ways of extents that are known at run time only: a GPU's workgroups go through them in bands.
TEST(Dot, ManyTilesOfDynamicExtents) {
  TestKernel k("k0", "contract");
  Dim m(700, 0), n(650, 1);
  uint32_t l = k.input(KILN_F32, {m, 5}), r = k.input(KILN_F32, {5, n});
  k.output(addDot(k, l, r, KILN_F32, {m, n}, nn));
  for (const Ints &e : {Ints{700, 650}, Ints{130, 600}, Ints{690, 3}, Ints{0, 650}}) {
    k.bindExtents({e[0], e[1]});
    check(k, {wholeNumbers(KILN_F32, {e[0], 5}, 3), wholeNumbers(KILN_F32, {5, e[1]}, 4)}, 0);
  }
}

/// Halves: whole tiles, edges, depths in parts, rows that begin where sixteen bytes do, and many tiles.
TEST(Dot, HalvesOfEveryLayout) {
  for (Extents e : {Extents{16, 16, 16}, Extents{128, 64, 96}, Extents{70, 130, 33}, Extents{72, 136, 40},
                    Extents{64, 64, 1000}, Extents{200, 17, 520}, Extents{1290, 1304, 24}, Extents{30, 40, 0}}) {
    SCOPED_TRACE(std::to_string(e.m) + " x " + std::to_string(e.n) + " x " + std::to_string(e.k));
    check({e.m, e.k}, {e.k, e.n}, nn, KILN_F16);
    check({e.m, e.k}, {e.n, e.k}, nt, KILN_F16, e.k < 100 ? KILN_F16 : KILN_F32); // sums up to 2048 are exact
    check({e.k, e.m}, {e.k, e.n}, tn, KILN_F16);
    check({e.k, e.m}, {e.n, e.k}, tt, KILN_F16);
  }
  check({3, 17, 2, 24}, {3, 21, 2, 24}, {{0, 2}, {0, 2}, {3}, {3}}, KILN_F16);
  check({2, 70, 40}, {2, 40, 80}, {{0}, {0}, {2}, {1}}, KILN_F16);
  check({70, 40, 2}, {40, 80, 2}, {{2}, {2}, {1}, {0}}, KILN_F16);
  check({6, 7, 40}, {7, 56, 6}, {{}, {}, {1, 0}, {0, 2}}, KILN_F16);
}

/// Operands that the kernel rounds to bf16, or widens from it or from f16, while it packs them: `left` and `right` are
/// their types in memory, `product` that of the product's operands.
void checkConverted(const Ints &lhs, const Ints &rhs, const DotAxes &axes, kiln_dtype left, kiln_dtype right,
                    kiln_dtype product, const std::string &cpu) {
  SCOPED_TRACE(std::to_string(left) + " and " + std::to_string(right) + " to " + std::to_string(product) + ", " + cpu);
  TestKernel k("k0", "contract");
  auto operand = [&](kiln_dtype type, const Ints &dims) {
    uint32_t value = k.input(type, fixed(dims));
    return type == product ? value : k.op("convert", {value}, product, fixed(dims));
  };
  uint32_t l = operand(left, lhs), r = operand(right, rhs);
  k.output(addDot(k, l, r, KILN_F32, fixed(resultOf(lhs, rhs, axes)), axes));
  RunOptions options;
  options.cpu = cpu;
  check(k, {wholeNumbers(left, lhs, 1), wholeNumbers(right, rhs, 2)}, 0, options);
}

/// Pairs in slivers that are fetched, and along N packed tile by tile: two rows of memory, or two lines of one, to a
/// line of pairs; odd depths, of one K block and of several, both types of memory.
TEST(Dot, PairsInParts) {
  for (const char *cpu : {"native", "native:l2=64K"})
    for (kiln_dtype memory : {KILN_F32, KILN_BF16}) {
      checkConverted({201, 301}, {301, 131}, nn, KILN_F32, memory, KILN_BF16, cpu);
      checkConverted({256, 90}, {90, 400}, nn, memory, memory, KILN_BF16, cpu);
      checkConverted({301, 193}, {301, 77}, tn, memory, memory, KILN_BF16, cpu);
      checkConverted({70, 301}, {131, 301}, nt, memory, memory, KILN_BF16, cpu);
      checkConverted({250, 99}, {77, 99}, nt, memory, memory, KILN_BF16, cpu);
    }
}

/// Few rows times a matrix that lies along N and is larger than the second level, or narrower than what is summed:
/// edges of vectors and lines, depths that are no multiple of the rows taken at once, none.
TEST(Dot, StreamedRows) {
  for (const char *cpu : {"native:l2=32K", "haswell:l2=32K", "x86-64:l2=32K"})
    for (Extents e : {Extents{1, 300, 77}, Extents{2, 257, 64}, Extents{3, 2100, 9}, Extents{4, 1000, 19}}) {
      SCOPED_TRACE(std::string(cpu) + ", " + std::to_string(e.m) + " x " + std::to_string(e.n));
      check({e.m, e.k}, {e.k, e.n}, nn, KILN_F32, KILN_F32, cpu);
      if (e.m > 2 && cpu[0] != 'n')
        continue;
      check({e.m, e.k}, {e.k, e.n}, nn, KILN_F64, KILN_F64, cpu);
      check({e.m, e.k}, {e.k, e.n}, nn, KILN_I32, KILN_I32, cpu);
      check({e.m, e.k}, {e.k, e.n}, nn, KILN_I64, KILN_I64, cpu);
      checkConverted({e.m, e.k}, {e.k, e.n}, nn, KILN_F32, KILN_BF16, KILN_F32, cpu);
      checkConverted({e.m, e.k}, {e.k, e.n}, nn, KILN_BF16, KILN_F32, KILN_F32, cpu);
      if (cpu[0] != 'x')
        checkConverted({e.m, e.k}, {e.k, e.n}, nn, KILN_F32, KILN_F16, KILN_F32, cpu);
    }
  check({2, 3, 65}, {2, 65, 150}, {{0}, {0}, {2}, {1}}, KILN_F32, KILN_F32, "native:l2=32K");
  checkConverted({1, 0}, {0, 150}, nn, KILN_F32, KILN_BF16, KILN_F32, "native");
}

/// Rows, columns and depth that are known at run time only, an epilogue behind them.
TEST(Dot, StreamedRowsOfDynamicExtents) {
  TestKernel k("k0", "contract");
  Dim m(4, 0), depth(70, 1), n(300, 2);
  uint32_t l = k.input(KILN_F32, {m, depth}), r = k.input(KILN_F32, {depth, n}), bias = k.input(KILN_F32, {n});
  uint32_t product = addDot(k, l, r, KILN_F32, {m, n}, nn);
  k.output(k.op("add", {product, k.op("broadcast", {bias}, KILN_F32, {m, n}, {ints("axes", {1})})}));
  RunOptions options;
  options.cpu = "native:l2=32K";
  for (const Ints &e : {Ints{1, 300, 70}, Ints{4, 299, 7}, Ints{3, 1, 64}, Ints{2, 130, 1}, Ints{0, 40, 5},
                        Ints{3, 0, 5}, Ints{2, 33, 0}}) {
    k.bindExtents({e[0], e[2], e[1]});
    check(k,
          {wholeNumbers(KILN_F32, {e[0], e[2]}, 3), wholeNumbers(KILN_F32, {e[2], e[1]}, 4),
           wholeNumbers(KILN_F32, {e[1]}, 5)},
          0, options);
  }
}

/// Depths that are even, odd, one, none and in several blocks or parts; whole numbers stay what they are in bf16.
TEST(Dot, ConvertedOnTheWay) {
  auto layouts = [](Extents e, kiln_dtype left, kiln_dtype right, kiln_dtype product, const std::string &cpu) {
    SCOPED_TRACE(std::to_string(e.m) + " x " + std::to_string(e.n) + " x " + std::to_string(e.k));
    checkConverted({e.m, e.k}, {e.k, e.n}, nn, left, right, product, cpu);
    checkConverted({e.k, e.m}, {e.n, e.k}, tt, left, right, product, cpu);
    if (left == right) // the others are the same pieces of code, paired otherwise
      return;
    checkConverted({e.m, e.k}, {e.n, e.k}, nt, left, right, product, cpu);
    checkConverted({e.k, e.m}, {e.k, e.n}, tn, left, right, product, cpu);
  };
  for (Extents e : {Extents{70, 50, 33}, Extents{13, 33, 1}, Extents{97, 101, 104}, Extents{10, 20, 9001},
                    Extents{60, 70, 0}, Extents{3, 40, 65}})
    layouts(e, KILN_F32, KILN_F32, KILN_BF16, "native");
  for (Extents e : {Extents{61, 37, 1009}, Extents{1, 70, 129}}) {
    layouts(e, KILN_BF16, KILN_F32, KILN_BF16, "native");
    layouts(e, KILN_F32, KILN_BF16, KILN_F32, "native");
    layouts(e, KILN_F16, KILN_F32, KILN_F32, "native");
  }
  layouts({70, 50, 33}, KILN_F32, KILN_F32, KILN_F16, "native");
  layouts({70, 50, 33}, KILN_BF16, KILN_F32, KILN_BF16, "haswell");
  layouts({3, 40, 65}, KILN_F16, KILN_F32, KILN_F32, "haswell");
}

/// Pairs of neighbours along K where K is several axes, batches lie inside, or an operand is computed on its way.
TEST(Dot, PairsThatAreNotInMemory) {
  for (kiln_dtype memory : {KILN_F32, KILN_BF16}) {
    auto converted = [&](const Ints &lhs, const Ints &rhs, const DotAxes &axes) {
      checkConverted(lhs, rhs, axes, memory, memory, KILN_BF16, "native");
    };
    converted({6, 7, 40}, {7, 50, 6}, {{}, {}, {1, 0}, {0, 2}});
    converted({3, 5, 70}, {3, 5, 40}, {{}, {}, {0, 1}, {0, 1}});
    converted({70, 41, 2}, {41, 80, 2}, {{2}, {2}, {1}, {0}});
    converted({3, 17, 2, 9}, {3, 21, 2, 9}, {{0, 2}, {0, 2}, {3}, {3}});
  }
  for (bool turned : {false, true}) {
    TestKernel k("k0", "contract");
    Ints rhs = turned ? Ints{40, 51} : Ints{51, 40};
    uint32_t l = k.input(KILN_F32, {70, 51}), r = k.input(KILN_F32, fixed(rhs)), c = k.input(KILN_F32, {51});
    l = k.op("add", {l, k.op("broadcast", {c}, KILN_F32, {70, 51}, {ints("axes", {1})})});
    l = k.op("convert", {l}, KILN_BF16, {70, 51});
    r = k.op("convert", {k.op("neg", {r})}, KILN_BF16, fixed(rhs));
    k.output(addDot(k, l, r, KILN_F32, {70, 40}, turned ? nt : nn));
    check(k, {wholeNumbers(KILN_F32, {70, 51}, 1), wholeNumbers(KILN_F32, rhs, 2), wholeNumbers(KILN_F32, {51}, 3)}, 0);
  }
}

struct BlockForm {
  int64_t size = 32;
  bool halves = false, lifted = false;
  kiln_dtype scales = KILN_F16;
  const char *coding = nullptr; // the blocks are codes
};

/// x [m, k] times rows of blocks [n, k], with whole numbers all through; `fill` may change x.
void checkBlocks(int64_t m, int64_t n, int64_t k, const BlockForm &form, const std::string &cpu, bool rowsLeft = false,
                 float *odd = nullptr) {
  SCOPED_TRACE(std::to_string(m) + " x " + std::to_string(n) + " x " + std::to_string(k) + " in blocks of " +
               std::to_string(form.size) + (form.halves ? ", halves" : "") + (form.lifted ? ", lifted, " : ", ") +
               (form.coding ? form.coding : "") + cpu);
  TestKernel kernel("k0", "contract");
  int64_t perRow = k / form.size, bytes = form.halves ? perRow / 2 : perRow;
  kiln_dtype type = form.halves || form.coding ? KILN_U8 : KILN_I8;
  uint32_t x = kernel.input(KILN_F32, {m, k}), blocks = kernel.input(type, {n, bytes, form.size}),
           scales = kernel.input(form.scales, {n, perRow});
  std::vector<uint32_t> of = {blocks, scales};
  if (form.lifted)
    of.push_back(kernel.input(form.scales, {n, perRow}));
  uint32_t w = form.coding ? kernel.op("decode", of, KILN_F32, {n, k}, {Attr::text("coding", form.coding)})
                           : kernel.op("dequantize", of, KILN_F32, {n, k});
  kernel.output(rowsLeft ? addDot(kernel, w, x, KILN_F32, {n, m}, nt) : addDot(kernel, x, w, KILN_F32, {m, n}, nt));
  RunOptions options;
  options.cpu = cpu;
  Tensor left = wholeNumbers(KILN_F32, {m, k}, 1);
  if (odd)
    left.floats[0] = static_cast<double>(*odd);
  std::vector<Tensor> inputs = {left,
                                wholeNumbers(type, {n, bytes, form.size}, 2,
                                             form.coding && !form.halves ? 88
                                             : form.halves               ? 255
                                                                         : 100),
                                wholeNumbers(form.scales, {n, perRow}, 3)};
  if (form.coding && form.coding == std::string("e5m2")) // from 2^-3 on
    for (int64_t &code : inputs[1].integers)
      code = 48 + code % 32;
  if (form.lifted)
    inputs.push_back(wholeNumbers(form.scales, {n, perRow}, 4));
  check(kernel, inputs, 0, options);
}

/// Weights as they are stored: a row or a few as words, four and more as f32, many through widened panels.
TEST(Dot, Blocks) {
  for (const char *cpu : {"native", "haswell", "x86-64"})
    for (BlockForm form : {BlockForm{}, BlockForm{32, true}, BlockForm{32, false, true},
                           BlockForm{32, true, true, KILN_F32}, BlockForm{16, false, false, KILN_F32}})
      for (Extents e : {Extents{1, 97, 320}, Extents{3, 20, 1088}, Extents{7, 41, 192}, Extents{60, 33, 2048}})
        if (e.k == 320 || cpu[0] == 'n') // processors differ in what becomes of one row
          checkBlocks(e.m, e.n, e.k, form, cpu, e.m == 3);
  // Where a block's vectors and the scales' are of other lengths (16), and of many vectors.
  for (const char *cpu : {"native", "haswell"})
    for (BlockForm form : {BlockForm{16, false, true, KILN_F32}, BlockForm{16, true, true}, BlockForm{64, true},
                           BlockForm{128, true, true, KILN_F32}, BlockForm{128}})
      for (Extents e : {Extents{1, 35, 512}, Extents{3, 7, 256}, Extents{50, 9, 768}})
        if (e.m == 1 || cpu[0] == 'n')
          checkBlocks(e.m, e.n, e.k, form, cpu);
  checkBlocks(1, 3, 64, {}, "native");
  checkBlocks(1, 20, 72, {24, false}, "native"); // no multiple of a vector
  checkBlocks(3, 20, 28, {7, true}, "native");
  checkBlocks(1, 0, 64, {}, "native");
}

/// Codes: of halves by a table, which a register holds or two, or selects; of bytes as floats, up to 16 here, so that
/// all sums are exact.
TEST(Dot, BlocksOfCodes) {
  BlockForm halves{32, true, false, KILN_F32, "e2m1"}, bytes{64, false, false, KILN_F32, "e4m3"};
  for (BlockForm form : {halves, bytes}) {
    for (const char *cpu : {"haswell", "x86-64"})
      checkBlocks(1, 33, 384, form, cpu);
    checkBlocks(60, 17, 512, form, "native");
    checkBlocks(3, 20, 256, form, "native", true);
  }
  for (BlockForm form : {halves, bytes, BlockForm{32, true, false, KILN_F16, "iq4"},
                         BlockForm{16, true, false, KILN_F32, "e2m1"}, BlockForm{128, false, false, KILN_F16, "e5m2"}})
    checkBlocks(1, 97, 384, form, "native");
  checkBlocks(3, 20, 28, {7, true, false, KILN_F32, "e2m1"}, "native");
  checkBlocks(1, 20, 72, {24, false, false, KILN_F32, "e4m3"}, "native");
}

/// A row that has no words is multiplied as it is.
TEST(Dot, BlocksTimesWhatIsNotFinite) {
  for (float odd : {INFINITY, -INFINITY, NAN, 16384.0F, 1e-42F})
    for (bool halves : {false, true})
      checkBlocks(1, 30, 64, {32, halves}, "native", false, &odd);
}

TEST(Dot, OtherProcessors) {
  for (const char *cpu : {"x86-64", "haswell"}) {
    check({45, 37}, {29, 37}, nt, KILN_F32, KILN_F32, cpu);
    check({75, 37}, {29, 37}, nt, KILN_F32, KILN_F32, cpu);
    check({45, 37}, {37, 29}, nn, KILN_F32, KILN_F32, cpu);
    check({45, 37}, {37, 29}, nn, KILN_F64, KILN_F64, cpu);
  }
}

/// Extents known at run time only; one kernel must do for all of them.
TEST(Dot, DynamicExtents) {
  TestKernel k("k0", "contract");
  Dim dm(100, 0), dk(300, 1);
  uint32_t l = k.input(KILN_F32, {dm, dk}), r = k.input(KILN_F32, {50, dk});
  k.output(addDot(k, l, r, KILN_F32, {dm, 50}, nt));
  for (int64_t m : {0, 1, 5, 24, 100})
    for (int64_t depth : {0, 1, 19, 300}) {
      k.bindExtents({m, depth});
      check(k, {wholeNumbers(KILN_F32, {m, depth}, 3), wholeNumbers(KILN_F32, {50, depth}, 4)}, 0);
    }
}

TEST(Dot, DynamicRowsColumnsAndBatch) {
  for (const DotAxes &axes : {DotAxes{{0}, {0}, {2}, {2}}, DotAxes{{0}, {0}, {2}, {1}}})
    for (int64_t bound : {30, 70}) {
      TestKernel k("k0", "contract");
      Dim batch(3, 0), m(bound, 1), n(45, 2);
      bool alongK = axes.rhsContract[0] == 2;
      uint32_t l = k.input(KILN_F32, {batch, m, 33});
      uint32_t r = k.input(KILN_F32, alongK ? Dims{batch, n, 33} : Dims{batch, 33, n});
      k.output(addDot(k, l, r, KILN_F32, {batch, m, n}, axes));
      for (const Ints &e : {Ints{1, 1, 1}, Ints{3, 2, 17}, Ints{2, 30, 5}, Ints{0, 3, 4}, Ints{3, 29, 40}}) {
        k.bindExtents(e);
        check(k,
              {wholeNumbers(KILN_F32, {e[0], e[1], 33}, 3),
               wholeNumbers(KILN_F32, alongK ? Ints{e[0], e[2], 33} : Ints{e[0], 33, e[2]}, 4)},
              0);
      }
    }
}

TEST(Dot, EpilogueOfBiasResidualAndActivation) {
  for (kiln_dtype type : {KILN_F32, KILN_F16})
    for (Ints e : {Ints{32, 10, 128}, Ints{100, 70, 40}, Ints{100, 64, 600}, Ints{20, 30, 9000}}) {
      int64_t m = e[0], n = e[1], depth = e[2];
      TestKernel k("k0", "contract");
      uint32_t x = k.input(type, {m, depth}), w = k.input(type, {n, depth});
      uint32_t bias = k.input(KILN_F32, {n}), residual = k.input(KILN_F32, {m, n});
      uint32_t product = addDot(k, x, w, KILN_F32, {m, n}, nt);
      uint32_t biased = k.op("add", {product, k.op("broadcast", {bias}, KILN_F32, {m, n}, {ints("axes", {1})})});
      k.output(k.op("max", {biased, residual}));
      k.output(biased);
      check(k,
            {wholeNumbers(type, {m, depth}, 5), wholeNumbers(type, {n, depth}, 6), wholeNumbers(KILN_F32, {n}, 7),
             wholeNumbers(KILN_F32, {m, n}, 8, 100)},
            0);
    }
}

/// Along a short K the epilogue is done in registers, whatever way the operands lie.
void checkShort(const Extents &e, const DotAxes &axes, kiln_dtype type, const std::string &cpu) {
  SCOPED_TRACE(cpu + ": " + testing::PrintToString(Ints{e.m, e.n, e.k}));
  bool left = axes.lhsContract[0] == 1, right = axes.rhsContract[0] == 1;
  Ints lhs = left ? Ints{e.m, e.k} : Ints{e.k, e.m}, rhs = right ? Ints{e.n, e.k} : Ints{e.k, e.n}, dims{e.m, e.n};
  TestKernel k("k0", "contract");
  uint32_t l = k.input(type, fixed(lhs)), r = k.input(type, fixed(rhs)), bias = k.input(type, {e.n});
  uint32_t other = k.input(type, fixed(dims)), product = addDot(k, l, r, type, fixed(dims), axes);
  uint32_t biased = k.op("add", {product, k.op("broadcast", {bias}, type, fixed(dims), {ints("axes", {1})})});
  k.output(k.op("sub", {other, biased}), 3);
  RunOptions options;
  options.cpu = cpu;
  options.inPlace = true;
  check(k,
        {wholeNumbers(type, lhs, 1, 1), wholeNumbers(type, rhs, 2, 1), wholeNumbers(type, {e.n}, 3),
         wholeNumbers(type, dims, 4)},
        0, options);
}

TEST(Dot, ShortDepthsWithEpilogue) {
  for (const char *cpu : {"native", "x86-64-v3"})
    for (const DotAxes *axes : {&nn, &nt, &tn, &tt})
      for (Extents e : {Extents{96, 256, 16}, {50, 130, 25}})
        checkShort(e, *axes, KILN_F32, cpu);
  for (Extents e : {Extents{200, 64, 32}, {13, 48, 100}, {40, 49, 64}, {16, 37, 128}})
    checkShort(e, nn, KILN_F32, "native");
  checkShort({50, 130, 25}, nn, KILN_F32, "x86-64");
  for (kiln_dtype type : {KILN_BF16, KILN_I32, KILN_F64})
    checkShort({50, 130, 25}, nn, type, "native");
}

/// (x^T * 2) · (w + w'), both evaluated while they are packed.
TEST(Dot, PrologueOfTransposeAndArithmetic) {
  for (kiln_dtype type : {KILN_F32, KILN_F16})
    for (Ints e : {Ints{40, 50, 60}, Ints{9, 33, 300}}) {
      int64_t m = e[0], n = e[1], depth = e[2];
      TestKernel k("k0", "contract");
      uint32_t x = k.input(type, {depth, m}), w = k.input(type, {n, depth}), v = k.input(type, {n, depth});
      uint32_t turned = k.op("transpose", {x}, type, {m, depth}, {ints("permutation", {1, 0})});
      k.output(addDot(k, k.op("add", {turned, turned}), k.op("add", {w, v}), KILN_F32, {m, n}, nt));
      check(k,
            {wholeNumbers(type, {depth, m}, 9), wholeNumbers(type, {n, depth}, 10), wholeNumbers(type, {n, depth}, 11)},
            0);
    }
}

} // namespace
