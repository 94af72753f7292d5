// Attention and its gradients against plain loops in double, causal and masked, with soft caps, with transposes around.
#include "tests/backends/vulkan/compile/OnDevice.h"
#include <cmath>
#include <gtest/gtest.h>
#include <limits>

using namespace kiln;
using namespace kiln::test;

namespace {

struct Case {
  int64_t batch, heads, queries, keys, width, valueWidth;
  bool causal, masked;
  int64_t groups = 1, start = none, window = none;
  double cap = 0; // of the scores; 0: none
  static constexpr int64_t none = std::numeric_limits<int64_t>::min();
  int64_t keyHeads() const { return heads / groups; }
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
  int64_t keyHead(int64_t head) const { return head / GetParam().groups; } // batches are rows of heads
  bool sees(int64_t head, int64_t t, int64_t s) const {
    const Case &c = GetParam();
    int64_t place = t + (c.start == Case::none ? c.keys - c.queries : c.start);
    if ((c.causal && s > place) || (c.window != Case::none && s <= place - c.window))
      return false;
    return !c.masked || mask.integers[static_cast<size_t>((head / c.heads) * c.keys + s)] != 0;
  }

  void SetUp() override {
    const Case &c = GetParam();
    q = randomTensor(KILN_F32, {c.batch, c.heads, c.queries, c.width}, -2, 2, 1);
    k = randomTensor(KILN_F32, {c.batch, c.keyHeads(), c.keys, c.width}, -2, 2, 2);
    v = randomTensor(KILN_F32, {c.batch, c.keyHeads(), c.keys, c.valueWidth}, -2, 2, 3);
    g = randomTensor(KILN_F32, {c.batch, c.heads, c.queries, c.valueWidth}, -1, 1, 4);
    mask = Tensor::make(KILN_BOOL, {c.batch, 1, 1, c.keys});
    for (int64_t i = 0; i < mask.count(); ++i)
      mask.set(i, {0, i % 3 != 1});
    Rows qs = rowsOf(q, c.queries, c.width), ks = rowsOf(k, c.keys, c.width), vs = rowsOf(v, c.keys, c.valueWidth);
    bends = std::vector<double>(static_cast<size_t>(H() * c.queries * c.keys));
    weights = {std::vector<double>(static_cast<size_t>(H() * c.queries * c.keys)), c.queries, c.keys};
    result = {std::vector<double>(static_cast<size_t>(H() * c.queries * c.valueWidth)), c.queries, c.valueWidth};
    lse = {std::vector<double>(static_cast<size_t>(H() * c.queries)), c.queries, 1};
    for (int64_t h = 0; h < H(); ++h)
      for (int64_t t = 0; t < c.queries; ++t) {
        double total = 0;
        for (int64_t s = 0; s < c.keys; ++s) {
          double score = 0;
          for (int64_t d = 0; d < c.width; ++d)
            score += qs.at(h, t, d) * ks.at(keyHead(h), s, d);
          double &bend = bends[static_cast<size_t>((h * c.queries + t) * c.keys + s)];
          bend = c.cap > 0 ? std::tanh(score * scale / c.cap) : 0;
          weights.at(h, t, s) = sees(h, t, s) ? std::exp(c.cap > 0 ? c.cap * bend : score * scale) : 0;
          total += weights.at(h, t, s);
        }
        lse.at(h, t, 0) = total == 0 ? std::numeric_limits<double>::infinity() : std::log(total);
        for (int64_t s = 0; s < c.keys; ++s) {
          weights.at(h, t, s) /= total == 0 ? 1 : total;
          for (int64_t d = 0; d < c.valueWidth; ++d)
            result.at(h, t, d) += weights.at(h, t, s) * vs.at(keyHead(h), s, d);
        }
      }
  }

  std::vector<Attr> attributes() const {
    const Case &c = GetParam();
    std::vector<Attr> result = {Attr::real("scale", scale), integer("causal", c.causal)};
    if (c.groups != 1)
      result.push_back(integer("groups", c.groups));
    if (c.window != Case::none)
      result.push_back(integer("sliding_window", c.window));
    if (c.cap > 0)
      result.push_back(Attr::real("softcap", c.cap));
    return result;
  }
  /// The operands that may be missing.
  void rest(TestKernel &kernel, std::vector<uint32_t> &operands, std::vector<Tensor> &inputs) const {
    const Case &c = GetParam();
    if (c.masked) {
      operands.push_back(kernel.input(KILN_BOOL, {c.batch, 1, 1, c.keys}));
      inputs.push_back(mask);
    }
    if (c.start == Case::none)
      return;
    operands.push_back(kernel.input(KILN_I32, {}));
    inputs.push_back(Tensor::make(KILN_I32, {}));
    inputs.back().set(0, {0, c.start});
  }

  /// Runs with both profiles.
  void run(TestKernel &kernel, const std::vector<Tensor> &inputs, const std::vector<Rows> &expected) {
    // A sum of so many is added up in order.
    double tolerance = std::max(GetParam().queries, GetParam().keys) > 10'000 ? 3e-5 : 1e-5;
    for (const char *profile : {"processor", "gpu"}) {
      RunResult result = runOnDevice(profile, kernel, bytesOf(inputs));
      ASSERT_EQ(result.error, "") << profile;
      for (size_t o = 0; o < expected.size(); ++o) {
        const float *got = reinterpret_cast<const float *>(result.bytes[o].data());
        int bad = 0;
        for (size_t i = 0; i < expected[o].data.size() && bad < 4; ++i)
          if (!(std::abs(got[i] - expected[o].data[i]) <= tolerance * std::max(1.0, std::abs(expected[o].data[i]))))
            ++bad, ADD_FAILURE() << "output " << o << " element " << i << ": " << got[i] << ", expected "
                                 << expected[o].data[i] << ", with " << profile;
      }
    }
  }

  static constexpr double scale = 0.3;
  Tensor q, k, v, g, mask;
  Rows weights, result, lse;
  std::vector<double> bends; // tanh of scores over the cap
};

} // namespace

/// Heads are split from [B, T, H, D] and joined again inside of the kernel, as a model has them.
TEST_P(Attention, Forward) {
  const Case &c = GetParam();
  TestKernel kernel("k0", "attention");
  uint32_t a = kernel.input(KILN_F32, {c.batch, c.heads, c.queries, c.width});
  uint32_t b = kernel.input(KILN_F32, {c.batch, c.keyHeads(), c.width, c.keys}); // to be transposed
  uint32_t d = kernel.input(KILN_F32, {c.batch, c.keyHeads(), c.keys, c.valueWidth});
  uint32_t turned = kernel.op("transpose", {b}, KILN_F32, {c.batch, c.keyHeads(), c.keys, c.width},
                              {ints("permutation", {0, 1, 3, 2})});
  std::vector<uint32_t> operands = {a, turned, d};
  Tensor keys = Tensor::make(KILN_F32, {c.batch, c.keyHeads(), c.width, c.keys});
  for (int64_t h = 0; h < c.batch * c.keyHeads(); ++h)
    for (int64_t s = 0; s < c.keys; ++s)
      for (int64_t w = 0; w < c.width; ++w)
        keys.set((h * c.width + w) * c.keys + s, k.get((h * c.keys + s) * c.width + w));
  std::vector<Tensor> inputs = {q, keys, v};
  rest(kernel, operands, inputs);
  uint32_t out = kernel.op(c.cap > 0 ? "capped_attention" : "attention", operands, KILN_F32,
                           {c.batch, c.heads, c.queries, c.valueWidth}, attributes());
  kernel.output(out);
  run(kernel, inputs, {result});
}

/// From the result and lse as the forward pass would give them.
TEST_P(Attention, Gradients) {
  const Case &c = GetParam();
  TestKernel kernel("k0", "attention");
  Dims rows = {c.batch, c.heads, c.queries, c.width}, columns = {c.batch, c.keyHeads(), c.keys, c.width},
       values = {c.batch, c.keyHeads(), c.keys, c.valueWidth}, results = {c.batch, c.heads, c.queries, c.valueWidth};
  std::vector<uint32_t> operands = {kernel.input(KILN_F32, rows),
                                    kernel.input(KILN_F32, columns),
                                    kernel.input(KILN_F32, values),
                                    kernel.input(KILN_F32, results),
                                    kernel.input(KILN_F32, {c.batch, c.heads, c.queries}),
                                    kernel.input(KILN_F32, results)};
  auto tensor = [](const Rows &rows, std::vector<int64_t> shape) {
    Tensor made = Tensor::make(KILN_F32, std::move(shape));
    for (int64_t i = 0; i < made.count(); ++i)
      made.set(i, {rows.data[static_cast<size_t>(i)], 0});
    return made;
  };
  std::vector<Tensor> inputs = {
      q, k, v, tensor(result, {c.batch, c.heads, c.queries, c.valueWidth}), tensor(lse, {c.batch, c.heads, c.queries}),
      g};
  rest(kernel, operands, inputs);
  kernel.output(
      kernel.op(c.cap > 0 ? "capped_attention_grad" : "attention_grad", operands, KILN_F32, rows, attributes()));
  auto constant = [](std::vector<int64_t> of) {
    conformance::Dims dims;
    for (int64_t each : of)
      dims.push_back(conformance::fixed(each));
    return dims;
  };
  kernel.output(kernel.another(KILN_F32, constant({c.batch, c.keyHeads(), c.keys, c.width})));
  kernel.output(kernel.another(KILN_F32, constant({c.batch, c.keyHeads(), c.keys, c.valueWidth})));

  Rows qs = rowsOf(q, c.queries, c.width), ks = rowsOf(k, c.keys, c.width), vs = rowsOf(v, c.keys, c.valueWidth),
       gs = rowsOf(g, c.queries, c.valueWidth), dq = qs, dk = ks, dv = vs;
  for (Rows *each : {&dq, &dk, &dv})
    std::fill(each->data.begin(), each->data.end(), 0);
  for (int64_t h = 0; h < H(); ++h)
    for (int64_t t = 0; t < c.queries; ++t) {
      double delta = 0;
      for (int64_t d = 0; d < c.valueWidth; ++d)
        delta += gs.at(h, t, d) * result.at(h, t, d);
      for (int64_t s = 0; s < c.keys; ++s) {
        double weight = weights.at(h, t, s), slope = -delta;
        for (int64_t d = 0; d < c.valueWidth; ++d) {
          slope += gs.at(h, t, d) * vs.at(keyHead(h), s, d);
          dv.at(keyHead(h), s, d) += weight * gs.at(h, t, d);
        }
        double bend = bends[static_cast<size_t>((h * c.queries + t) * c.keys + s)];
        slope *= 1 - bend * bend;
        for (int64_t d = 0; d < c.width; ++d) {
          dq.at(h, t, d) += weight * slope * scale * ks.at(keyHead(h), s, d);
          dk.at(keyHead(h), s, d) += weight * slope * scale * qs.at(h, t, d);
        }
      }
    }
  run(kernel, inputs, {dq, dk, dv});
}

INSTANTIATE_TEST_SUITE_P(Shapes, Attention,
                         testing::Values(Case{1, 1, 1, 1, 1, 1, false, false}, Case{2, 3, 7, 7, 4, 4, true, false},
                                         Case{1, 2, 70, 70, 32, 32, true, false}, Case{2, 2, 5, 33, 16, 24, true, true},
                                         Case{2, 1, 65, 20, 64, 64, false, true}));

/// Longer than the loops that llvmpipe lets an invocation do (LongTest.cpp), along keys and along queries.
INSTANTIATE_TEST_SUITE_P(Long, Attention,
                         testing::Values(Case{1, 1, 2, 40'000, 4, 4, false, false},
                                         Case{1, 1, 3, 31'000, 8, 8, true, true},
                                         Case{1, 1, 40'000, 2, 4, 4, false, false},
                                         Case{1, 1, 2, 2048, 64, 64, false, false},
                                         Case{1, 1, 2, 2048, 128, 128, false, false}));

/// Queries that begin somewhere among the keys, windows, and heads of keys that several of queries share.
INSTANTIATE_TEST_SUITE_P(Places, Attention,
                         testing::Values(Case{2, 4, 1, 70, 16, 16, true, false, 4, 33},
                                         Case{1, 2, 70, 70, 8, 8, true, false, 1, Case::none, 5},
                                         Case{2, 4, 40, 130, 8, 24, true, true, 2, 60, 37},
                                         Case{1, 6, 33, 20, 8, 8, true, false, 3, -7, 4},
                                         Case{1, 2, 9, 12, 8, 8, true, false, 1, 2'000'000'000, 4},
                                         Case{1, 4, 66, 20, 64, 64, false, true, 2}));

/// Scores with a soft cap, which bends much and little.
INSTANTIATE_TEST_SUITE_P(Caps, Attention,
                         testing::Values(Case{2, 3, 7, 7, 4, 4, true, false, 1, Case::none, Case::none, 0.5},
                                         Case{1, 4, 70, 70, 32, 32, true, false, 2, Case::none, 9, 50},
                                         Case{2, 2, 5, 33, 16, 24, true, true, 1, Case::none, Case::none, 2},
                                         Case{2, 4, 1, 70, 16, 16, true, false, 4, 33, Case::none, 1.5}));
