// Losses and their gradients with logits in blocks, run by the interpreter beside the same functions with them whole.
#include "passes/RowBlocks/RowBlocks.h"
#include "frontend/language/Load.h"
#include "ir/interpreter/Interpreter.h"
#include "passes/Decompose/Decompose.h"
#include "passes/Differentiate/Differentiate.h"
#include "passes/Narrow/Narrow.h"
#include "passes/Simplify/Simplify.h"

#include "mlir/Pass/PassManager.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <random>

namespace kiln {
namespace {

struct Loss {
  const char *name, *text;
  bool cut = true; // whether its logits are computed in blocks
  std::vector<int64_t> classes = {};
  double large = 0; // an element of the input, where it is not 0
};
void PrintTo(const Loss &value, std::ostream *out) { *out << value.name; }

/// A model of rows [3, 4] of five numbers, and 24 classes.
std::string modelOf(const std::string &loss) {
  return "model Test(classes=24, width=5):\n"
         "    table = parameter(f32[classes, width])\n"
         "    bias = parameter(f32[classes])\n"
         "    def loss(x: f32[3, 4, width], y: i32[3, 4], shares: f32[3, 4, classes], weight: f32[classes]) -> f32:\n"
         "        x = x + sum(bias[:5])\n" +
         loss +
         "train Test:\n"
         "    data = safetensors(\"c.safetensors\", x=f32[3, 4, 5], y=i32[3, 4], shares=f32[3, 4, 24])\n"
         "    loss = loss(data.x, data.y, data.shares, iota(24).to(f32) * 0.1 + 0.5)\n"
         "    optimizer = SGD(lr=1.0)\n"
         "    steps = 1\n";
}

const std::string simple = "        return cross_entropy(x @ table.T, y)\n";

const Loss losses[] = {
    {"Mean", "        return cross_entropy(x @ table.T, y)\n"},
    {"Sum", "        return cross_entropy(x @ table.T, y, reduction=\"sum\")\n"},
    {"None", "        return sum(cross_entropy(x @ table.T, y, reduction=\"none\") * (1.0 + iota(4).to(f32)))\n"},
    {"Bias", "        return cross_entropy(x @ table.T + bias, y)\n"},
    {"Columns", "        return cross_entropy(x @ table.reshape(width, classes), y)\n"},
    {"Smoothed", "        return cross_entropy(x @ table.T, y, smoothing=0.2)\n"},
    {"Weighted", "        return cross_entropy(x @ table.T + bias, y, weight=weight, smoothing=0.1)\n"},
    {"Shares", "        return cross_entropy(x @ table.T, shares)\n"},
    {"Flat", "        return cross_entropy((x @ table.T).reshape(12, classes), y.reshape(12))\n"},
    {"Scaled", "        return cross_entropy(30.0 * tanh(x @ table.T / 30.0), y)\n"},
    {"Metric", "        logits = x @ table.T\n"
               "        return cross_entropy(logits, y) + 0.1 * mean((argmax(logits, axis=-1) == y).to(f32))\n"},
    {"Cut", "        return cross_entropy((x @ table.T)[:, :, 1:23], y % 22)\n"},
    {"Ignored", simple.c_str(), true, {-100, 1, -100, 3, 4, 5, -100, -100, 8, 9, 10, -100}},
    {"AllIgnored", simple.c_str(), true, std::vector<int64_t>(12, -100)},
    {"NoClass", simple.c_str(), true, {0, 1, 2, 24, 4, 5, 6, 7, -1, 9, 10, 11}},
    {"Infinite", simple.c_str(), true, {}, std::numeric_limits<double>::infinity()},
    {"Large", simple.c_str(), true, {}, 1e30},
    {"NaN", simple.c_str(), true, {}, std::numeric_limits<double>::quiet_NaN()},
    // The whole logits are read by something else, or a row's gradient waits for all losses.
    {"ReadTwice",
     "        logits = x @ table.T\n"
     "        return cross_entropy(logits, y) + sum(logits * reverse(logits, axis=0))\n",
     false},
    {"OfItself", "        total = cross_entropy(x @ table.T, y)\n        return total * total\n", false},
};

class RowBlocksOf : public testing::TestWithParam<Loss> {
protected:
  void SetUp() override {
    mlir::DialectRegistry registry;
    registry.insert<KilnDialect, mlir::func::FuncDialect>();
    context = std::make_unique<mlir::MLIRContext>(registry, mlir::MLIRContext::Threading::DISABLED);
  }

  HostTensor argument(mlir::func::FuncOp function, unsigned index) {
    auto type = llvm::cast<mlir::RankedTensorType>(function.getArgumentTypes()[index]);
    HostTensor tensor = HostTensor::zeros(type.getElementType(), type.getShape().vec());
    for (size_t i = 0; i < tensor.integers.size(); ++i)
      tensor.integers[i] = GetParam().classes.empty() ? static_cast<int64_t>(5 * i % 24) : GetParam().classes[i];
    std::uniform_real_distribution<double> uniform(-1, 1);
    for (double &value : tensor.floats)
      value = uniform(generator);
    if (tensor.shape == std::vector<int64_t>{3, 4, 5} && GetParam().large != 0)
      tensor.floats[27] = GetParam().large;
    return tensor;
  }

  std::unique_ptr<mlir::MLIRContext> context;
  std::mt19937 generator{7};
};

void expectSame(const HostTensor &found, const HostTensor &expected, double tolerance) {
  ASSERT_EQ(found.shape, expected.shape);
  for (size_t i = 0; i < found.floats.size(); ++i)
    if (std::isnan(expected.floats[i]))
      EXPECT_TRUE(std::isnan(found.floats[i])) << "element " << i;
    else if (std::isinf(expected.floats[i]))
      EXPECT_EQ(found.floats[i], expected.floats[i]) << "element " << i;
    else
      EXPECT_NEAR(found.floats[i], expected.floats[i], tolerance * (1 + std::abs(expected.floats[i])))
          << "element " << i;
}

TEST_P(RowBlocksOf, GivesTheSame) {
  Diagnostics diagnostics;
  mlir::OwningOpRef<mlir::ModuleOp> module =
      loadModelText(*context, modelOf(GetParam().text), "test.kiln", {}, diagnostics);
  ASSERT_TRUE(module) << diagnostics.render();
  mlir::PassManager passes(context.get());
  passes.addPass(createSimplify());
  passes.addPass(createDifferentiate());
  passes.addPass(createDecompose());
  passes.addPass(createSimplify());
  ASSERT_TRUE(mlir::succeeded(passes.run(*module)));
  std::vector<HostTensor> arguments;
  auto whole = module->lookupSymbol<mlir::func::FuncOp>("grad");
  for (unsigned index = 0; index < whole.getNumArguments(); ++index)
    arguments.push_back(argument(whole, index));
  auto expected = interpret(whole, arguments);
  ASSERT_TRUE(expected.ok()) << expected.status().message();
  for (int64_t rows : {1, 2, 3, 4, 6}) {
    SCOPED_TRACE(rows);
    mlir::OwningOpRef<mlir::ModuleOp> copy = module->clone();
    mlir::PassManager cutting(context.get());
    RowBlocksOptions options;
    options.bytes = options.block = 1;
    options.rows = rows;
    cutting.addPass(createRowBlocks(options));
    ASSERT_TRUE(mlir::succeeded(cutting.run(*copy)));
    auto blocks = copy->lookupSymbol<mlir::func::FuncOp>("grad");
    size_t loops = 0, large = 0;
    blocks.walk([&](ScanOp) { ++loops; });
    blocks.walk([&](DotGeneralOp product) { large += product.getType().getNumElements() >= 12 * 24; });
    EXPECT_EQ(loops, GetParam().cut ? 1U : 0U);
    EXPECT_EQ(large, GetParam().cut ? 0U : 1U);
    auto found = interpret(blocks, arguments);
    ASSERT_TRUE(found.ok()) << found.status().message();
    ASSERT_EQ(found->results.size(), expected->results.size());
    for (size_t i = 0; i < found->results.size(); ++i)
      expectSame(found->results[i], expected->results[i], 1e-12);
    EXPECT_EQ(found->error.has_value(), expected->error.has_value());
  }
}

INSTANTIATE_TEST_SUITE_P(All, RowBlocksOf, testing::ValuesIn(losses),
                         [](const testing::TestParamInfo<Loss> &info) { return info.param.name; });

} // namespace
} // namespace kiln
