// Every op through the whole compiler, on the CPU, beside the reference interpreter: as written (f64 and integers),
// and with f32 and bf16 in the place of f64.
#include "backends/reference/compile/Compile.h"
#include "tests/ir/KnownCases.h"
#include "tests/support/Compiled.h"

#include "mlir/IR/Verifier.h"

namespace kiln {
namespace {

using testing::KnownCase;

std::string inType(std::string text, const std::string &element) {
  for (size_t at = text.find("f64"); at != std::string::npos; at = text.find("f64", at + element.size()))
    text.replace(at, 3, element);
  return text;
}

void expectClose(const HostTensor &want, const HostTensor &have, double tolerance) {
  ASSERT_EQ(want.shape, have.shape);
  ASSERT_EQ(want.element, have.element);
  EXPECT_EQ(want.integers, have.integers);
  for (size_t i = 0; i < want.floats.size(); ++i) {
    double expected = want.floats[i], found = have.floats[i];
    if (std::isnan(expected) || std::isinf(expected))
      EXPECT_TRUE(std::isnan(expected) ? std::isnan(found) : found == expected)
          << "element " << i << ": interpreter " << expected << ", compiled " << found;
    else
      EXPECT_NEAR(expected, found, tolerance * (1 + std::fabs(expected))) << "element " << i;
  }
}

void check(const KnownCase &known, const std::string &element, double tolerance) {
  std::string text = inType(known.text, element);
  mlir::OwningOpRef<mlir::ModuleOp> module = testing::parse(text);
  ASSERT_TRUE(module);
  std::vector<HostTensor> inputs;
  std::map<std::string, HostTensor> named;
  for (const testing::KnownTensor &input : known.inputs) {
    HostTensor tensor = testing::asTensor(input);
    if (std::string(input.element) == "f64") { // as inType has the text's
      tensor.element = testing::elementNamed(element);
      tensor.roundToElement();
    }
    named["arg" + std::to_string(inputs.size())] = tensor;
    inputs.push_back(tensor);
  }
  InterpreterOptions options;
  options.roundToDtype = element == "bf16";
  absl::StatusOr<Interpreted> expected = interpret(testing::functionIn(*module), inputs, options);
  ASSERT_TRUE(expected.ok()) << expected.status().message();
  for (bool reference : {false, true}) {
    SCOPED_TRACE(reference ? "reference" : "cpu");
    auto compiled = reference ? test::Compiled::createOn(*module, "reference", kiln_reference_backend)
                              : test::Compiled::create(*module);
    ASSERT_TRUE(compiled.ok()) << compiled.status().message() << "\n" << text;
    auto found = (*compiled)->run("f", named);
    ASSERT_TRUE(found.ok()) << found.status().message() << "\n" << text;
    ASSERT_EQ(found->size(), expected->results.size());
    size_t index = 0;
    for (const auto &[name, tensor] : *found) // arg0 … are inputs; results sort by their number
      expectClose(expected->results[index++], tensor, tolerance);
  }
}

class Conformance : public ::testing::TestWithParam<size_t> {};

TEST_P(Conformance, AsWritten) { check(testing::knownCases()[GetParam()], "f64", 1e-11); }

void checkIn(const std::string &element, double tolerance, const KnownCase &known) {
  if (std::string(known.text).find("f64") == std::string::npos)
    GTEST_SKIP() << "no floats in it";
  if (std::string(known.text).find("kiln.bitcast") != std::string::npos)
    GTEST_SKIP() << "its types are of one width";
  check(known, element, tolerance);
}

TEST_P(Conformance, InF32) { checkIn("f32", 1e-5, testing::knownCases()[GetParam()]); }
TEST_P(Conformance, InBf16) { checkIn("bf16", 2e-2, testing::knownCases()[GetParam()]); }

INSTANTIATE_TEST_SUITE_P(Ops, Conformance, ::testing::Range<size_t>(0, testing::knownCases().size()),
                         [](const auto &info) { return std::string(testing::knownCases()[info.param].name); });

} // namespace
} // namespace kiln
