// dot_general on the CPU: every layout and class of extents against the definition.
#include "tests/backends/cpu/contract/Case.h"

using namespace contract;

namespace {

std::vector<Dim> fixed(const Ints &dims) { return {dims.begin(), dims.end()}; }

Tensor expected(const Tensor &lhs, const Tensor &rhs, const DotAxes &axes) { return dot(lhs, rhs, axes); }

uint32_t addDot(KernelSpec &spec, uint32_t lhs, uint32_t rhs, kiln_dtype result, const std::vector<Dim> &dims,
                const DotAxes &axes) {
  return spec.op("dot_general", {lhs, rhs}, spec.value(result, dims),
                 {{"lhs_batch", axes.lhsBatch},
                  {"rhs_batch", axes.rhsBatch},
                  {"lhs_contract", axes.lhsContract},
                  {"rhs_contract", axes.rhsContract}});
}

/// A lone dot_general of constant extents.
void check(const Ints &lhs, const Ints &rhs, const DotAxes &axes, kiln_dtype type = KILN_F32,
           kiln_dtype result = KILN_F32, const std::string &cpu = "native") {
  Tensor a = filled(lhs, 1), b = filled(rhs, 2);
  Tensor c = expected(a, b, axes);
  KernelSpec spec;
  uint32_t l = spec.input(type, fixed(lhs)), r = spec.input(type, fixed(rhs));
  spec.output(addDot(spec, l, r, result, fixed(c.dims), axes));
  std::vector<Tensor> out = runKernel(spec, {a, b}, {c.dims}, {}, cpu);
  if (!out.empty())
    expectEqual(out[0], c);
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
  for (int64_t m : {0, 1, 5, 24, 100})
    for (int64_t k : {0, 1, 19, 300}) {
      KernelSpec spec;
      Dim dm(100, 0), dk(300, 1);
      uint32_t l = spec.input(KILN_F32, {dm, dk}), r = spec.input(KILN_F32, {Dim(50), dk});
      spec.output(addDot(spec, l, r, KILN_F32, {dm, Dim(50)}, nt));
      Tensor a = filled({m, k}, 3), b = filled({50, k}, 4), c = expected(a, b, nt);
      std::vector<Tensor> out = runKernel(spec, {a, b}, {c.dims}, {m, k});
      ASSERT_FALSE(out.empty());
      expectEqual(out[0], c);
    }
}

TEST(Dot, DynamicRowsColumnsAndBatch) {
  for (const DotAxes &axes : {DotAxes{{0}, {0}, {2}, {2}}, DotAxes{{0}, {0}, {2}, {1}}})
    for (int64_t bound : {30, 70}) {
      for (Ints e : {Ints{1, 1, 1}, Ints{3, 2, 17}, Ints{2, 30, 5}, Ints{0, 3, 4}, Ints{3, 29, 40}}) {
        KernelSpec spec;
        Dim batch(3, 0), m(bound, 1), n(45, 2);
        bool alongK = axes.rhsContract[0] == 2;
        uint32_t l = spec.input(KILN_F32, {batch, m, Dim(33)});
        uint32_t r =
            spec.input(KILN_F32, alongK ? std::vector<Dim>{batch, n, Dim(33)} : std::vector<Dim>{batch, Dim(33), n});
        spec.output(addDot(spec, l, r, KILN_F32, {batch, m, n}, axes));
        Tensor a = filled({e[0], e[1], 33}, 3), b = filled(alongK ? Ints{e[0], e[2], 33} : Ints{e[0], 33, e[2]}, 4),
               c = expected(a, b, axes);
        std::vector<Tensor> out = runKernel(spec, {a, b}, {c.dims}, {e[0], e[1], e[2]});
        ASSERT_FALSE(out.empty());
        expectEqual(out[0], c);
      }
    }
}

void checkEpilogue(kiln_dtype type) {
  for (Ints e : {Ints{32, 10, 128}, Ints{100, 70, 40}, Ints{100, 64, 600}, Ints{20, 30, 9000}}) {
    int64_t m = e[0], n = e[1], k = e[2];
    KernelSpec spec;
    uint32_t x = spec.input(type, fixed({m, k})), w = spec.input(type, fixed({n, k}));
    uint32_t bias = spec.input(KILN_F32, {Dim(n)}), residual = spec.input(KILN_F32, fixed({m, n}));
    uint32_t product = addDot(spec, x, w, KILN_F32, fixed({m, n}), nt);
    uint32_t wide = spec.op("broadcast", {bias}, spec.value(KILN_F32, fixed({m, n})), {{"axes", {1}}});
    uint32_t biased = spec.op("add", {product, wide}, spec.value(KILN_F32, fixed({m, n})));
    uint32_t sum = spec.op("max", {biased, residual}, spec.value(KILN_F32, fixed({m, n})));
    spec.output(sum);
    spec.output(biased);
    Tensor a = filled({m, k}, 5), b = filled({n, k}, 6), c = filled({n}, 7), d = filled({m, n}, 8, 100);
    Tensor before = expected(a, b, nt), after = before;
    forEach(before.dims, [&](const Ints &at) {
      before.at(at) += c.at({at[1]});
      after.at(at) = std::max(before.at(at), d.at(at));
    });
    std::vector<Tensor> out = runKernel(spec, {a, b, c, d}, {after.dims, before.dims});
    ASSERT_FALSE(out.empty());
    expectEqual(out[0], after);
    expectEqual(out[1], before);
  }
}

TEST(Dot, EpilogueOfBiasResidualAndActivation) {
  for (kiln_dtype type : {KILN_F32, KILN_F16})
    checkEpilogue(type);
}

/// (x^T * 2) · (w + w'), both evaluated while they are packed.
void checkPrologue(kiln_dtype type) {
  for (Ints e : {Ints{40, 50, 60}, Ints{9, 33, 300}}) {
    int64_t m = e[0], n = e[1], k = e[2];
    KernelSpec spec;
    uint32_t x = spec.input(type, fixed({k, m})), w = spec.input(type, fixed({n, k})),
             v = spec.input(type, fixed({n, k}));
    uint32_t turned = spec.op("transpose", {x}, spec.value(type, fixed({m, k})), {{"permutation", {1, 0}}});
    uint32_t twice = spec.op("add", {turned, turned}, spec.value(type, fixed({m, k})));
    uint32_t sum = spec.op("add", {w, v}, spec.value(type, fixed({n, k})));
    spec.output(addDot(spec, twice, sum, KILN_F32, fixed({m, n}), nt));
    Tensor a = filled({k, m}, 9), b = filled({n, k}, 10), c = filled({n, k}, 11), lhs({m, k}), rhs({n, k});
    forEach(lhs.dims, [&](const Ints &at) { lhs.at(at) = 2 * a.at({at[1], at[0]}); });
    forEach(rhs.dims, [&](const Ints &at) { rhs.at(at) = b.at(at) + c.at(at); });
    Tensor result = expected(lhs, rhs, nt);
    std::vector<Tensor> out = runKernel(spec, {a, b, c}, {result.dims});
    ASSERT_FALSE(out.empty());
    expectEqual(out[0], result);
  }
}

TEST(Dot, PrologueOfTransposeAndArithmetic) {
  for (kiln_dtype type : {KILN_F32, KILN_F16})
    checkPrologue(type);
}

} // namespace
