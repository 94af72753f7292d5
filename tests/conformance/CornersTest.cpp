// Functions of the language where they have corners, ties, infinities or zeros: values, and gradients for cotangents 1,
// 2, 3, …, beside PyTorch's. Each through the interpreter, and through the whole compiler on every backend.
#include "backends/reference/compile/Compile.h"
#include "frontend/language/Load.h"
#include "ir/Recover.h"
#include "passes/Differentiate/Differentiate.h"
#include "tests/backends/vulkan/counted/Counted.h"
#include "tests/ir/Run.h"
#include "tests/support/Compiled.h"

#include <cmath>

namespace kiln {
namespace {

struct Input {
  const char *element;
  std::vector<int64_t> shape;
  std::vector<double> values;
};

struct Case {
  const char *name, *expression;
  std::vector<Input> inputs;
  std::vector<int64_t> shape;
  std::vector<double> values;
  std::vector<std::vector<double>> gradients; // one for each input; empty where there is none
  friend void PrintTo(const Case &self, std::ostream *stream) { *stream << self.expression; }
};

const Case cases[] = {
#include "tests/conformance/Corners.inc"
};

HostTensor tensorOf(const Input &input) {
  mlir::Type element = testing::elementNamed(input.element);
  if (llvm::isa<mlir::FloatType>(element))
    return HostTensor::ofFloats(element, input.shape, input.values);
  return HostTensor::ofIntegers(element, input.shape, {input.values.begin(), input.values.end()});
}

std::string modelText(const Case &one) {
  std::string parameters;
  for (const auto &[index, input] : llvm::enumerate(one.inputs)) {
    parameters += (index ? ", " : "") + std::string(1, "xyzw"[index]) + ": " + input.element + "[";
    for (const auto &[axis, size] : llvm::enumerate(input.shape))
      parameters += (axis ? ", " : "") + std::to_string(size);
    parameters += "]";
  }
  return "model M():\n    def forward(" + parameters + "):\n        return " + one.expression + "\n";
}

/// A module of one function `f`: the expression's value, then the gradients that the case asks for, from cotangents.
mlir::OwningOpRef<mlir::ModuleOp> moduleOf(const Case &one) {
  mlir::MLIRContext &context = testing::context();
  Diagnostics diagnostics;
  auto module = loadModelText(context, modelText(one), "test.kiln", {}, diagnostics);
  EXPECT_TRUE(module) << modelText(one) << diagnostics.render();
  if (!module)
    return {};
  std::vector<unsigned> wrt;
  for (const auto &[index, gradient] : llvm::enumerate(one.gradients))
    if (!gradient.empty())
      wrt.push_back(static_cast<unsigned>(index));
  auto forward = module->lookupSymbol<mlir::func::FuncOp>("forward");
  recoverAttention(forward.getBody().front(), /*biases=*/true); // as the pipeline does
  bool isBiased = !forward.getBody().front().getOps<BiasedAttentionOp>().empty();
  EXPECT_EQ(isBiased, std::string(one.name).starts_with("attention_added"));
  auto made = createVjp(forward, "f", wrt);
  EXPECT_TRUE(mlir::succeeded(made));
  mlir::OpBuilder builder(&context);
  mlir::OwningOpRef<mlir::ModuleOp> result = mlir::ModuleOp::create(builder.getUnknownLoc());
  mlir::func::FuncOp copy = (*made).clone();
  copy.removeArgAttrsAttr();
  copy.removeResAttrsAttr();
  result->push_back(copy);
  return result;
}

std::vector<HostTensor> argumentsOf(const Case &one) {
  std::vector<HostTensor> arguments;
  for (const Input &input : one.inputs)
    arguments.push_back(tensorOf(input));
  std::vector<double> cotangent(one.values.size());
  for (size_t i = 0; i < cotangent.size(); ++i)
    cotangent[i] = static_cast<double>(i + 1);
  arguments.push_back(testing::f32(one.shape, cotangent));
  return arguments;
}

/// Each number to some digits of its own: a small one is not excused by a large one beside it, but in products, whose
/// terms cancel.
void expectSame(const std::vector<double> &want, const HostTensor &have, const std::string &what, bool isSum) {
  ASSERT_EQ(want.size(), have.floats.size()) << what;
  double largest = 1;
  for (double value : want)
    if (std::isfinite(value))
      largest = std::max(largest, std::fabs(value));
  for (size_t i = 0; i < want.size(); ++i) {
    double expected = want[i], found = have.floats[i];
    if (std::isnan(expected) && std::isnan(found))
      continue;
    if (std::isnan(expected) || std::isinf(expected))
      EXPECT_EQ(expected, found) << what << ", element " << i;
    else
      EXPECT_NEAR(expected, found, 4e-6 * std::fabs(expected) + (isSum ? 2e-6 * largest : 1e-36))
          << what << ", element " << i;
  }
}

class Corners : public ::testing::TestWithParam<Case> {
protected:
  void expectResults(llvm::ArrayRef<HostTensor> results) {
    const Case &one = GetParam();
    bool isSum = std::string(one.name).starts_with("attention") || std::string(one.name).starts_with("c") ||
                 std::string(one.name).starts_with("std_of_all") || std::string(one.name) == "triplet";
    ASSERT_FALSE(results.empty());
    expectSame(one.values, results[0], "the value", isSum);
    size_t next = 1;
    for (const auto &[index, gradient] : llvm::enumerate(one.gradients))
      if (!gradient.empty()) {
        ASSERT_LT(next, results.size());
        expectSame(gradient, results[next++], "the gradient of " + std::string(1, "xyzw"[index]), isSum);
      }
  }

  void expectCompiled(absl::StatusOr<std::unique_ptr<test::Compiled>> compiled, const char *backend) {
    SCOPED_TRACE(backend);
    ASSERT_TRUE(compiled.ok()) << compiled.status().message();
    std::map<std::string, HostTensor> named;
    for (const auto &[index, tensor] : llvm::enumerate(argumentsOf(GetParam())))
      named["arg" + std::to_string(index)] = tensor;
    auto found = (*compiled)->run("f", named);
    ASSERT_TRUE(found.ok()) << found.status().message();
    std::vector<HostTensor> results;
    for (const auto &[name, tensor] : *found)
      results.push_back(tensor);
    expectResults(results);
  }
};

TEST_P(Corners, ArePyTorchs) {
  mlir::OwningOpRef<mlir::ModuleOp> module = moduleOf(GetParam());
  ASSERT_TRUE(module);
  {
    SCOPED_TRACE("interpreter");
    InterpreterOptions options;
    options.roundToDtype = true;
    auto outcome = interpret(module->lookupSymbol<mlir::func::FuncOp>("f"), argumentsOf(GetParam()), options);
    ASSERT_TRUE(outcome.ok()) << outcome.status().message();
    expectResults(outcome->results);
  }
  expectCompiled(test::Compiled::create(*module, 1), "cpu");
  expectCompiled(test::Compiled::createOn(*module, "reference", kiln_reference_backend), "reference");
  expectCompiled(test::Compiled::createOn(*module, "vulkan", test::countedVulkan), "vulkan");
}

INSTANTIATE_TEST_SUITE_P(Functions, Corners, ::testing::ValuesIn(cases),
                         [](const auto &info) { return std::string(info.param.name); });

/// An index of 64 bits that 32 do not hold is out of range, and no other one; as is any that is out of range.
class WideIndices : public ::testing::TestWithParam<const char *> {};

TEST_P(WideIndices, AreOutOfRange) {
  for (double wrong : {4294967296.0, -4294967296.0, 4294967297.0, 2147483648.0, 5.0, -1.0}) {
    Case one{"", GetParam(), {{"f32", {3, 4}, std::vector<double>(12, 1.0)}, {"i64", {3}, {0, wrong, 1}}}, {}, {}, {}};
    mlir::OwningOpRef<mlir::ModuleOp> module;
    {
      Diagnostics diagnostics;
      module = loadModelText(testing::context(), modelText(one), "test.kiln", {}, diagnostics);
      ASSERT_TRUE(module) << diagnostics.render();
    }
    std::map<std::string, HostTensor> named = {{"x", tensorOf(one.inputs[0])}, {"y", tensorOf(one.inputs[1])}};
    std::unique_ptr<test::Compiled> programs[] = {
        test::Compiled::create(*module, 1).value(),
        test::Compiled::createOn(*module, "reference", kiln_reference_backend).value(),
        test::Compiled::createOn(*module, "vulkan", test::countedVulkan).value()};
    for (auto &program : programs) {
      auto found = program->run("forward", named);
      ASSERT_FALSE(found.ok()) << GetParam() << " of " << wrong;
      EXPECT_NE(found.status().message().find("out of range"), std::string::npos) << found.status().message();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Functions, WideIndices,
                         ::testing::Values("take(x, y)", "take(x, y, axis=1)", "pick(x, y)", "cross_entropy(x, y)",
                                           "scatter_add(x, y, x)", "scatter_set(x, y, x)"));

} // namespace
} // namespace kiln
