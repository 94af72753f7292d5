// Every op against what PyTorch computes in float64 (KnownValues.inc).
#include "tests/ir/KnownCases.h"

#include <cmath>

namespace kiln {
namespace {

using testing::asTensor;
using testing::KnownCase;
using testing::KnownTensor;

class KnownValues : public ::testing::TestWithParam<size_t> {};

TEST_P(KnownValues, AgreeWithPyTorch) {
  const KnownCase &known = testing::knownCases()[GetParam()];
  std::vector<HostTensor> inputs;
  for (const KnownTensor &input : known.inputs)
    inputs.push_back(asTensor(input));
  std::vector<HostTensor> results = testing::run(known.text, inputs);
  ASSERT_EQ(results.size(), known.outputs.size());
  for (size_t r = 0; r < results.size(); ++r) {
    HostTensor expected = asTensor(known.outputs[r]);
    ASSERT_EQ(results[r].shape, expected.shape);
    EXPECT_EQ(results[r].integers, expected.integers);
    ASSERT_EQ(results[r].floats.size(), expected.floats.size());
    for (size_t i = 0; i < expected.floats.size(); ++i) {
      double want = expected.floats[i], have = results[r].floats[i];
      if (std::isnan(want) || std::isinf(want))
        EXPECT_TRUE(std::isnan(want) ? std::isnan(have) : have == want)
            << "element " << i << ": " << have << " for " << want;
      else
        EXPECT_NEAR(have, want, 1e-13 * std::max(1.0, std::fabs(want))) << "element " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(PyTorch, KnownValues, ::testing::Range<size_t>(0, testing::knownCases().size()),
                         [](const auto &info) { return std::string(testing::knownCases()[info.param].name); });

} // namespace
} // namespace kiln
