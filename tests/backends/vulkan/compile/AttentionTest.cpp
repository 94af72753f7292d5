// Attention and its gradients against plain loops in double, causal and masked, with transposes around.
#include "tests/backends/vulkan/compile/OnDevice.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace kiln;
using namespace kiln::test;

namespace {

struct Case {
  int64_t batch, heads, queries, keys, width, valueWidth;
  bool causal, masked;
};

/// Rows as [B, H, T, D], in double.
struct Rows {
  std::vector<double> data;
  int64_t rows, width;
  double &at(int64_t head, int64_t row, int64_t d) {
    return data[static_cast<size_t>((head * rows + row) * width + d)];
  }
  double at(int64_t head, int64_t row, int64_t d) const {
    return data[static_cast<size_t>((head * rows + row) * width + d)];
  }
};

Rows rowsOf(const Tensor &tensor, int64_t rows, int64_t width) {
  Rows result{{}, rows, width};
  for (int64_t i = 0; i < tensor.count(); ++i)
    result.data.push_back(tensor.get(i).real);
  return result;
}

class Attention : public testing::TestWithParam<Case> {
protected:
  int64_t H() const { return GetParam().batch * GetParam().heads; }
  bool sees(int64_t head, int64_t t, int64_t s) const {
    const Case &c = GetParam();
    if (c.causal && s > t + c.keys - c.queries)
      return false;
    return !c.masked || mask.integers[static_cast<size_t>((head / c.heads) * c.keys + s)] != 0;
  }

  void SetUp() override {
    const Case &c = GetParam();
    q = randomTensor(KILN_F32, {c.batch, c.heads, c.queries, c.width}, -2, 2, 1);
    k = randomTensor(KILN_F32, {c.batch, c.heads, c.keys, c.width}, -2, 2, 2);
    v = randomTensor(KILN_F32, {c.batch, c.heads, c.keys, c.valueWidth}, -2, 2, 3);
    g = randomTensor(KILN_F32, {c.batch, c.heads, c.queries, c.valueWidth}, -1, 1, 4);
    mask = Tensor::make(KILN_BOOL, {c.batch, 1, 1, c.keys});
    for (int64_t i = 0; i < mask.count(); ++i)
      mask.set(i, {0, i % 3 != 1});
    Rows qs = rowsOf(q, c.queries, c.width), ks = rowsOf(k, c.keys, c.width), vs = rowsOf(v, c.keys, c.valueWidth);
    weights = {std::vector<double>(static_cast<size_t>(H() * c.queries * c.keys)), c.queries, c.keys};
    result = {std::vector<double>(static_cast<size_t>(H() * c.queries * c.valueWidth)), c.queries, c.valueWidth};
    lse = {std::vector<double>(static_cast<size_t>(H() * c.queries)), c.queries, 1};
    for (int64_t h = 0; h < H(); ++h)
      for (int64_t t = 0; t < c.queries; ++t) {
        double total = 0;
        for (int64_t s = 0; s < c.keys; ++s) {
          double score = 0;
          for (int64_t d = 0; d < c.width; ++d)
            score += qs.at(h, t, d) * ks.at(h, s, d);
          weights.at(h, t, s) = sees(h, t, s) ? std::exp(score * scale) : 0;
          total += weights.at(h, t, s);
        }
        lse.at(h, t, 0) = std::log(total);
        for (int64_t s = 0; s < c.keys; ++s) {
          weights.at(h, t, s) /= total;
          for (int64_t d = 0; d < c.valueWidth; ++d)
            result.at(h, t, d) += weights.at(h, t, s) * vs.at(h, s, d);
        }
      }
  }

  std::vector<Attr> attributes() const { return {Attr::real("scale", scale), integer("causal", GetParam().causal)}; }

  /// Runs with both profiles.
  void run(TestKernel &kernel, const std::vector<Tensor> &inputs, const std::vector<Rows> &expected) {
    for (const char *profile : {"processor", "gpu"}) {
      RunResult result = runOnDevice(profile, kernel, bytesOf(inputs));
      ASSERT_EQ(result.error, "") << profile;
      for (size_t o = 0; o < expected.size(); ++o) {
        const float *got = reinterpret_cast<const float *>(result.bytes[o].data());
        int bad = 0;
        for (size_t i = 0; i < expected[o].data.size() && bad < 4; ++i)
          if (!(std::abs(got[i] - expected[o].data[i]) <= 1e-5 * std::max(1.0, std::abs(expected[o].data[i]))))
            ++bad, ADD_FAILURE() << "output " << o << " element " << i << ": " << got[i] << ", expected "
                                 << expected[o].data[i] << ", with " << profile;
      }
    }
  }

  static constexpr double scale = 0.3;
  Tensor q, k, v, g, mask;
  Rows weights, result, lse;
};

} // namespace

/// Heads are split from [B, T, H, D] and joined again inside of the kernel, as a model has them.
TEST_P(Attention, Forward) {
  const Case &c = GetParam();
  TestKernel kernel("k0", "attention");
  uint32_t a = kernel.input(KILN_F32, {c.batch, c.heads, c.queries, c.width});
  uint32_t b = kernel.input(KILN_F32, {c.batch, c.heads, c.width, c.keys}); // to be transposed
  uint32_t d = kernel.input(KILN_F32, {c.batch, c.heads, c.keys, c.valueWidth});
  uint32_t turned =
      kernel.op("transpose", {b}, KILN_F32, {c.batch, c.heads, c.keys, c.width}, {ints("permutation", {0, 1, 3, 2})});
  std::vector<uint32_t> operands = {a, turned, d};
  Tensor keys = Tensor::make(KILN_F32, {c.batch, c.heads, c.width, c.keys});
  for (int64_t h = 0; h < H(); ++h)
    for (int64_t s = 0; s < c.keys; ++s)
      for (int64_t w = 0; w < c.width; ++w)
        keys.set((h * c.width + w) * c.keys + s, k.get((h * c.keys + s) * c.width + w));
  std::vector<Tensor> inputs = {q, keys, v};
  if (c.masked) {
    operands.push_back(kernel.input(KILN_BOOL, {c.batch, 1, 1, c.keys}));
    inputs.push_back(mask);
  }
  uint32_t out = kernel.op("attention", operands, KILN_F32, {c.batch, c.heads, c.queries, c.valueWidth}, attributes());
  kernel.output(out);
  run(kernel, inputs, {result});
}

INSTANTIATE_TEST_SUITE_P(Shapes, Attention,
                         testing::Values(Case{1, 1, 1, 1, 1, 1, false, false}, Case{2, 3, 7, 7, 4, 4, true, false},
                                         Case{1, 2, 70, 70, 32, 32, true, false}, Case{2, 2, 5, 33, 16, 24, true, true},
                                         Case{2, 1, 65, 20, 64, 64, false, true}));
