// Every op against what PyTorch computes in float64 (KnownValues.inc).
#include "tests/ir/Run.h"

#include <cmath>

namespace kiln {
namespace {

struct KnownTensor {
  const char *element;
  std::vector<int64_t> shape;
  std::vector<double> values;
};

struct KnownCase {
  const char *name;
  const char *text;
  std::vector<KnownTensor> inputs, outputs;
};

const std::vector<KnownCase> &cases() {
  static const std::vector<KnownCase> all = {
#include "tests/ir/KnownValues.inc"
  };
  return all;
}

HostTensor asTensor(const KnownTensor &known) {
  mlir::Type element = testing::elementNamed(known.element);
  if (llvm::isa<mlir::FloatType>(element))
    return HostTensor::ofFloats(element, known.shape, known.values);
  return HostTensor::ofIntegers(element, known.shape, {known.values.begin(), known.values.end()});
}

class KnownValues : public ::testing::TestWithParam<size_t> {};

TEST_P(KnownValues, AgreeWithPyTorch) {
  const KnownCase &known = cases()[GetParam()];
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

INSTANTIATE_TEST_SUITE_P(PyTorch, KnownValues, ::testing::Range<size_t>(0, cases().size()),
                         [](const auto &info) { return std::string(cases()[info.param].name); });

} // namespace
} // namespace kiln
