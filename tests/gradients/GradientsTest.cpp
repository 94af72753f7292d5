// Every gradient rule against central differences in float64. Each function of cases/*.mlir is put into the middle of a
// graph (every float argument goes through x + 0.3 sin(x), every float result through y + 0.5 y^2), differentiated,
// and compared, with random cotangents, element by element; then simplified, and compared with itself.
#include "ir/interpreter/Interpreter.h"
#include "passes/Decompose/Decompose.h"
#include "passes/Differentiate/Differentiate.h"
#include "passes/Simplify/Simplify.h"
#include "passes/support/Values.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>

namespace kiln {
namespace {

struct Case {
  std::string file, function;
};
void PrintTo(const Case &value, std::ostream *out) { *out << value.function; }

std::unique_ptr<mlir::MLIRContext> makeContext() {
  mlir::DialectRegistry registry;
  registry.insert<KilnDialect, mlir::func::FuncDialect>();
  auto context = std::make_unique<mlir::MLIRContext>(registry, mlir::MLIRContext::Threading::DISABLED);
  context->allowUnregisteredDialects(); // test.range on arguments
  context->loadAllAvailableDialects();
  return context;
}

std::vector<Case> allCases() {
  auto context = makeContext();
  std::vector<Case> cases;
  for (const auto &entry : std::filesystem::directory_iterator(KILN_GRADIENT_CASES)) {
    auto module = mlir::parseSourceFile<mlir::ModuleOp>(entry.path().string(), context.get());
    if (!module) {
      ADD_FAILURE() << entry.path() << " does not parse";
      continue;
    }
    for (auto function : module->getOps<mlir::func::FuncOp>())
      cases.push_back({entry.path().string(), function.getName().str()});
  }
  std::sort(cases.begin(), cases.end(), [](const Case &a, const Case &b) { return a.function < b.function; });
  return cases;
}

/// Puts the function's body between nonlinear ops.
void wrap(mlir::func::FuncOp function) {
  mlir::Block &body = function.getBody().front();
  mlir::OpBuilder builder(&body, body.begin());
  Emit e(builder, function.getLoc());
  for (mlir::BlockArgument argument : body.getArguments()) {
    if (!isFloatTensor(argument.getType()))
      continue;
    mlir::Value wave = e.op<SinOp>(argument);
    mlir::Value bent = e.add(argument, e.mul(wave, 0.3));
    argument.replaceUsesWithIf(bent, [&](mlir::OpOperand &use) {
      return use.getOwner() != wave.getDefiningOp() && use.getOwner() != bent.getDefiningOp();
    });
  }
  builder.setInsertionPoint(body.getTerminator());
  for (mlir::OpOperand &result : body.getTerminator()->getOpOperands())
    if (isFloatTensor(result.get().getType()))
      result.set(e.add(result.get(), e.mul(e.mul(result.get(), result.get()), 0.5)));
}

HostTensor randomTensor(mlir::Type type, mlir::ArrayAttr range, std::mt19937 &generator) {
  auto tensor = llvm::cast<mlir::RankedTensorType>(type);
  std::vector<int64_t> shape;
  for (const Dim &dim : dimsOf(type))
    shape.push_back(*dim.evaluate({{"B", 3}, {"T", 5}, {"S", 4}}));
  HostTensor result = HostTensor::zeros(tensor.getElementType(), shape);
  auto bound = [&](unsigned index) {
    mlir::Attribute value = range[index];
    if (auto number = llvm::dyn_cast<mlir::FloatAttr>(value))
      return number.getValueAsDouble();
    return static_cast<double>(llvm::cast<mlir::IntegerAttr>(value).getInt());
  };
  std::normal_distribution<double> normal;
  for (double &value : result.floats)
    value = range ? std::uniform_real_distribution<double>(bound(0), bound(1))(generator) : normal(generator);
  for (int64_t &value : result.integers)
    value = std::uniform_int_distribution<int64_t>(range ? static_cast<int64_t>(bound(0)) : 0,
                                                   range ? static_cast<int64_t>(bound(1)) : 1)(generator);
  return result;
}

std::vector<HostTensor> run(mlir::func::FuncOp function, llvm::ArrayRef<HostTensor> arguments) {
  auto result = interpret(function, arguments);
  EXPECT_TRUE(result.ok()) << result.status().message();
  if (!result.ok())
    return {};
  EXPECT_FALSE(result->error.has_value()) << result->error->str();
  return std::move(result->results);
}

class Gradients : public testing::TestWithParam<Case> {};

TEST_P(Gradients, AgreeWithDifferences) {
  auto context = makeContext();
  auto module = mlir::parseSourceFile<mlir::ModuleOp>(GetParam().file, context.get());
  ASSERT_TRUE(module);
  auto function = module->lookupSymbol<mlir::func::FuncOp>(GetParam().function);
  wrap(function);
  std::vector<unsigned> wrt;
  for (auto [index, type] : llvm::enumerate(function.getArgumentTypes()))
    if (isFloatTensor(type))
      wrt.push_back(static_cast<unsigned>(index));
  auto made = createVjp(function, "vjp", wrt);
  ASSERT_TRUE(mlir::succeeded(made));
  ASSERT_TRUE(mlir::succeeded(made->verify()));

  std::mt19937 generator(7);
  std::vector<HostTensor> arguments;
  for (auto [index, type] : llvm::enumerate(function.getArgumentTypes()))
    arguments.push_back(randomTensor(type, function.getArgAttrOfType<mlir::ArrayAttr>(index, "test.range"), generator));
  std::vector<HostTensor> plain = run(function, arguments), all = arguments;
  ASSERT_EQ(plain.size(), function.getNumResults());
  std::vector<HostTensor> cotangents;
  for (auto [type, value] : llvm::zip_equal(function.getResultTypes(), plain))
    if (isFloatTensor(type)) {
      cotangents.push_back(randomTensor(type, {}, generator));
      ASSERT_EQ(cotangents.back().shape, value.shape);
      all.push_back(cotangents.back());
    }
  std::vector<HostTensor> results = run(*made, all);
  ASSERT_EQ(results.size(), plain.size() + wrt.size());
  for (size_t index = 0; index < plain.size(); ++index)
    for (size_t element = 0; element < plain[index].floats.size(); ++element)
      ASSERT_DOUBLE_EQ(results[index].floats[element], plain[index].floats[element]) << "forward result " << index;

  auto weighted = [&](const std::vector<HostTensor> &at) {
    double sum = 0;
    size_t next = 0;
    for (const HostTensor &value : run(function, at))
      if (value.isFloat()) {
        for (size_t element = 0; element < value.floats.size(); ++element)
          sum += value.floats[element] * cotangents[next].floats[element];
        ++next;
      }
    return sum;
  };
  const double h = 1e-5;
  for (auto [position, argument] : llvm::enumerate(wrt)) {
    const HostTensor &gradient = results[plain.size() + position];
    ASSERT_EQ(gradient.floats.size(), arguments[argument].floats.size());
    for (size_t element = 0; element < gradient.floats.size(); ++element) {
      std::vector<HostTensor> moved = arguments;
      moved[argument].floats[element] += h;
      double above = weighted(moved);
      moved[argument].floats[element] -= 2 * h;
      double expected = (above - weighted(moved)) / (2 * h);
      ASSERT_NEAR(gradient.floats[element], expected, 2e-6 * std::max(1.0, std::abs(expected)))
          << "argument " << argument << ", element " << element;
    }
  }

  mlir::PassManager passes(context.get());
  passes.addPass(createDecompose());
  passes.addPass(createSimplify());
  ASSERT_TRUE(mlir::succeeded(passes.run(*module)));
  std::vector<HostTensor> simplified = run(module->lookupSymbol<mlir::func::FuncOp>("vjp"), all);
  ASSERT_EQ(simplified.size(), results.size());
  for (size_t index = 0; index < results.size(); ++index)
    for (size_t element = 0; element < results[index].floats.size(); ++element)
      ASSERT_NEAR(simplified[index].floats[element], results[index].floats[element],
                  1e-10 * std::max(1.0, std::abs(results[index].floats[element])))
          << "simplified result " << index << ", element " << element;
}

INSTANTIATE_TEST_SUITE_P(Rules, Gradients, testing::ValuesIn(allCases()),
                         [](const testing::TestParamInfo<Case> &info) { return info.param.function; });

} // namespace
} // namespace kiln
