// Gradients where functions have corners, ties or zeros: PyTorch 2's answers (float64, cotangents 1, 2, 3, …).
#include "passes/Decompose/Decompose.h"
#include "passes/Differentiate/Differentiate.h"
#include "passes/Simplify/Simplify.h"
#include "tests/ir/Run.h"

#include "mlir/Pass/PassManager.h"

#include <cmath>
#include <limits>

namespace kiln {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// The gradients of a function's arguments, with cotangents 1, 2, 3, ….
std::vector<std::vector<double>> gradients(const std::string &text, std::vector<std::vector<double>> values,
                                           bool simplify) {
  auto module = testing::parse(text);
  mlir::func::FuncOp function = testing::functionIn(*module);
  std::vector<unsigned> wrt;
  std::vector<HostTensor> arguments;
  auto push = [&](mlir::Type type, std::vector<double> numbers) {
    auto tensor = llvm::cast<mlir::RankedTensorType>(type);
    arguments.push_back(HostTensor::ofFloats(tensor.getElementType(), tensor.getShape().vec(), std::move(numbers)));
  };
  for (unsigned index = 0; index < function.getNumArguments(); ++index) {
    wrt.push_back(index);
    push(function.getArgument(index).getType(), values[index]);
  }
  for (mlir::Type type : function.getResultTypes()) {
    std::vector<double> numbers(llvm::cast<mlir::RankedTensorType>(type).getNumElements());
    for (size_t index = 0; index < numbers.size(); ++index)
      numbers[index] = static_cast<double>(index + 1);
    push(type, numbers);
  }
  auto made = createVjp(function, "vjp", wrt);
  EXPECT_TRUE(mlir::succeeded(made));
  if (simplify) {
    mlir::PassManager passes(module->getContext());
    passes.addPass(createDecompose());
    passes.addPass(createSimplify());
    EXPECT_TRUE(mlir::succeeded(passes.run(*module)));
  }
  auto outcome = interpret(module->lookupSymbol<mlir::func::FuncOp>("vjp"), arguments);
  EXPECT_TRUE(outcome.ok()) << outcome.status().message();
  std::vector<std::vector<double>> result;
  for (size_t index = function.getNumResults(); index < outcome->results.size(); ++index)
    result.push_back(outcome->results[index].floats);
  return result;
}

void expect(const std::string &text, const std::vector<std::vector<double>> &values,
            const std::vector<std::vector<double>> &expected) {
  for (bool simplify : {false, true}) {
    std::vector<std::vector<double>> found = gradients(text, values, simplify);
    ASSERT_EQ(found.size(), expected.size());
    for (size_t argument = 0; argument < found.size(); ++argument)
      for (size_t index = 0; index < expected[argument].size(); ++index) {
        if (std::isnan(expected[argument][index]))
          EXPECT_TRUE(std::isnan(found[argument][index])) << found[argument][index];
        else if (std::isinf(expected[argument][index]))
          EXPECT_EQ(found[argument][index], expected[argument][index]);
        else
          EXPECT_NEAR(found[argument][index], expected[argument][index], 1e-12)
              << "argument " << argument << ", element " << index << (simplify ? ", simplified" : "");
      }
  }
}

std::string unary(const std::string &op, int size) {
  std::string type = "tensor<" + std::to_string(size) + "xf64>";
  return "func.func @f(%x: " + type + ") -> " + type + " {\n %0 = kiln." + op + " %x : " + type +
         "\n return %0 : " + type + "\n}";
}
std::string binary(const std::string &op) {
  return "func.func @f(%x: tensor<3xf64>, %y: tensor<3xf64>) -> tensor<3xf64> {\n %0 = kiln." + op +
         " %x, %y : tensor<3xf64>\n return %0 : tensor<3xf64>\n}";
}
std::string reduction(const std::string &kind, int rows) {
  std::string from = "tensor<" + std::to_string(rows) + "x3xf64>", to = "tensor<" + std::to_string(rows) + "xf64>";
  return "func.func @f(%x: " + from + ") -> " + to + " {\n %0 = kiln.reduce " + kind + " %x, [1] : " + from + " -> " +
         to + "\n return %0 : " + to + "\n}";
}

TEST(Corners, Relu) { expect(unary("relu", 5), {{0.0, -0.0, 1.0, -1.0, std::nan("")}}, {{0, 0, 3, 0, 5}}); }
TEST(Corners, Abs) { expect(unary("abs", 3), {{0, -1, 2}}, {{0, -2, 3}}); }
TEST(Corners, Expm1) {
  expect(unary("expm1", 3), {{0, -6, -40}}, {{1, 2 * 0.0024787521766663585, 3 * 4.248354255291589e-18}});
}
TEST(Corners, Sqrt) { expect(unary("sqrt", 2), {{0, 4}}, {{infinity, 0.5}}); }
TEST(Corners, Softplus) { expect(unary("softplus", 3), {{0, 50, -800}}, {{0.5, 2, 0}}); }
TEST(Corners, Max) { expect(binary("max"), {{1, 2, 3}, {1, 3, 2}}, {{0.5, 0, 3}, {0.5, 2, 0}}); }
TEST(Corners, Min) { expect(binary("min"), {{1, 2, 3}, {1, 3, 2}}, {{0.5, 2, 0}, {0.5, 0, 3}}); }
TEST(Corners, Pow) { expect(binary("pow"), {{0, 0, 2}, {0, 2, 0}}, {{0, 0, 0}, {0, 0, 2.0794415416798357}}); }
TEST(Corners, ReduceMax) {
  expect(reduction("max", 2), {{1, 3, 3, 2, 2, 2}}, {{0, 0.5, 0.5, 2.0 / 3, 2.0 / 3, 2.0 / 3}});
}
TEST(Corners, ReduceProd) {
  expect(reduction("prod", 3), {{0, 3, 2, 0, 0, 2, 1, 2, 3}}, {{6, 0, 0, 0, 0, 0, 18, 9, 6}});
}
TEST(Corners, MaxPoolTakesTheFirst) {
  expect(R"(func.func @f(%x: tensor<4xf64>) -> tensor<2xf64> {
    %0 = kiln.reduce_window max %x {window = array<i64: 2>, strides = array<i64: 2>, low = array<i64: 0>, high = array<i64: 0>} : tensor<4xf64> -> tensor<2xf64>
    return %0 : tensor<2xf64>
  })",
         {{1, 1, 2, 3}}, {{1, 0, 0, 2}});
}
TEST(Corners, SoftmaxOfHidden) {
  const std::string text = R"(func.func @f(%x: tensor<1x3xf64>) -> tensor<1x3xf64> {
    %0 = kiln.NAME %x, 1 : tensor<1x3xf64>
    return %0 : tensor<1x3xf64>
  })";
  auto named = [&](const char *name) { return std::string(text).replace(text.find("NAME"), 4, name); };
  expect(named("softmax"), {{-infinity, 0, 1}}, {{0, -0.19661193324148196, 0.1966119332414816}});
  expect(named("log_softmax"), {{-infinity, 0, 0}}, {{1, -1, 0}});
}
TEST(Corners, CrossEntropyIgnoresRows) {
  // The second row is ignored: its gradient is zero.
  expect(R"(func.func @f(%x: tensor<2x2xf64>) -> tensor<2xf64> {
    %t = kiln.constant dense<[1, -100]> : tensor<2xi32> : tensor<2xi32>
    %0 = kiln.cross_entropy %x, %t : tensor<2x2xf64>, tensor<2xi32> -> tensor<2xf64>
    return %0 : tensor<2xf64>
  })",
         {{0, 0, 5, 1}}, {{0.5, -0.5, 0, 0}});
}

TEST(Corners, CrossEntropyOfNoClass) {
  // PyTorch raises an error; here the run reports one, and neither the loss nor the gradient looks like a number.
  for (std::string type : {"i32", "i64", "ui8"})
    expect("func.func @f(%x: tensor<3x2xf64>) -> tensor<3xf64> {\n %t = kiln.constant dense<[1, 2, 0]> : tensor<3x" +
               type + "> : tensor<3x" + type + ">\n %0 = kiln.cross_entropy %x, %t : tensor<3x2xf64>, tensor<3x" +
               type + "> -> tensor<3xf64>\n return %0 : tensor<3xf64>\n}",
           {{0, 0, 0, 0, 0, 0}}, {{0.5, -0.5, std::nan(""), std::nan(""), -1.5, 1.5}});
}

TEST(Corners, CrossEntropyOfMoreClassesThanTheTargetsTypeCounts) {
  // 257 is 1 in eight bits: it is not the target, and its gradient is its share alone.
  std::vector<double> gradient(300, 1.0 / 300);
  gradient[1] -= 1;
  expect(R"(func.func @f(%x: tensor<1x300xf64>) -> tensor<1xf64> {
    %t = kiln.constant dense<1> : tensor<1xi8> : tensor<1xi8>
    %0 = kiln.cross_entropy %x, %t : tensor<1x300xf64>, tensor<1xi8> -> tensor<1xf64>
    return %0 : tensor<1xf64>
  })",
         {std::vector<double>(300, 0.0)}, {gradient});
}

} // namespace
} // namespace kiln
