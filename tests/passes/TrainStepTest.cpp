// Train steps run by the interpreter: each optimizer's numbers beside PyTorch's, and a classifier that learns.
#include "passes/TrainStep/TrainStep.h"
#include "frontend/language/Load.h"
#include "ir/interpreter/Interpreter.h"
#include "passes/Decompose/Decompose.h"
#include "passes/Simplify/Simplify.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include "llvm/Support/MemoryBuffer.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace kiln {
namespace {

struct OptimizerCase {
  const char *name, *recipe;
  std::vector<double> expected; // a, then b
};
void PrintTo(const OptimizerCase &value, std::ostream *out) { *out << value.name; }

const OptimizerCase cases[] = {
#include "tests/passes/Optimizers.inc"
};

/// A model of two parameters, with what recipes below name.
std::string withRecipe(const std::string &recipe, const std::string &trainable = "True") {
  std::string lines = "    " + recipe;
  for (size_t at = 0; (at = lines.find("; ", at)) != std::string::npos;)
    lines.replace(at, 2, "\n    ");
  return "model Test():\n"
         "    a = parameter(f64[5], trainable=" +
         trainable +
         ")\n"
         "    b = parameter(f64[2, 2])\n"
         "    def forward() -> f64:\n"
         "        return 0.7 * sum(a * sin(a)) - 1.3 * sum(b * sin(b))\n"
         "def matrices(p):\n"
         "    return p.rank == 2\n"
         "def halved(n):\n"
         "    return 0.1 / (n + 1)\n"
         "module Sharp(p, lr, momentum, far=0.3):\n"
         "    below = SGD(p, lr, momentum)\n"
         "    def update_all(g, lr, step):\n"
         "        loss, g = evaluate(p + far / sqrt(l2(g)) * g)\n"
         "        return below.update(g, lr, step)\n"
         "module Halving(p, lr):\n"
         "    def update_all(g, lr, step):\n"
         "        before, _ = evaluate(p)\n"
         "        t = full(lr, dtype=f64)\n"
         "        loss, _ = evaluate(p - t * g)\n"
         "        while loss >= before carrying loss, t at most 5:\n"
         "            t = t / 2\n"
         "            loss, _ = evaluate(p - t * g)\n"
         "        return p - t * g\n"
         "train Test:\n"
         "    loss = forward()\n"
         "    steps = 6\n" +
         lines + "\n";
}

/// A module, compiled as far as @train_step in primitives, and the tensors that it trains.
class Trainer {
public:
  explicit Trainer(const std::string &text) {
    mlir::DialectRegistry registry;
    registry.insert<KilnDialect, mlir::func::FuncDialect>();
    context = std::make_unique<mlir::MLIRContext>(registry, mlir::MLIRContext::Threading::DISABLED);
    if (text.starts_with("model ")) {
      Diagnostics diagnostics;
      module = loadModelText(*context, text, "test.kiln", {}, diagnostics);
      EXPECT_FALSE(diagnostics.hasErrors()) << diagnostics.render();
    } else {
      module = mlir::parseSourceString<mlir::ModuleOp>(text, context.get());
    }
    if (!module)
      return;
    mlir::PassManager passes(context.get());
    passes.addPass(createTrainStep());
    passes.addPass(createDecompose());
    passes.addPass(createSimplify());
    if (mlir::succeeded(passes.run(*module)))
      step = module->lookupSymbol<mlir::func::FuncOp>("train_step");
  }

  /// Fills states as `kiln.states` says.
  void initialise() {
    if (auto states = module.get()->getAttrOfType<mlir::ArrayAttr>("kiln.states"))
      for (auto state : states.getAsRange<mlir::DictionaryAttr>()) {
        auto type = llvm::cast<mlir::RankedTensorType>(state.getAs<mlir::TypeAttr>("type").getValue());
        HostTensor tensor = HostTensor::zeros(type.getElementType(), type.getShape().vec());
        auto init = state.getAs<mlir::DictionaryAttr>("init");
        if (auto value = init.getAs<mlir::FloatAttr>("value"))
          std::fill(tensor.floats.begin(), tensor.floats.end(), value.getValueAsDouble());
        else if (init.getAs<mlir::StringAttr>("kind") == "ones")
          std::fill(tensor.floats.begin(), tensor.floats.end(), 1.0);
        tensors[state.getAs<mlir::StringAttr>("name").str()] = tensor;
      }
  }

  /// Runs one step; gives the loss.
  double run(int64_t number) {
    std::vector<HostTensor> arguments;
    for (unsigned index = 0; index < step.getNumArguments(); ++index) {
      if (step.getArgAttr(index, "kiln.step")) {
        arguments.push_back(HostTensor::ofIntegers(mlir::IntegerType::get(context.get(), 32), {}, {number}));
        continue;
      }
      for (const char *key : {"kiln.input", "kiln.parameter", "kiln.state"})
        if (auto name = step.getArgAttrOfType<mlir::StringAttr>(index, key))
          arguments.push_back(tensors.at(name.str()));
    }
    auto result = interpret(step, arguments, options);
    EXPECT_TRUE(result.ok()) << result.status().message();
    if (!result.ok())
      return 0;
    double loss = 0;
    for (auto [index, value] : llvm::enumerate(result->results)) {
      if (step.getResultAttr(index, "kiln.loss"))
        loss = value.floats[0];
      for (const char *key : {"kiln.parameter", "kiln.state", "kiln.metric"})
        if (auto name = step.getResultAttrOfType<mlir::StringAttr>(index, key))
          tensors[name.str()] = value;
    }
    return loss;
  }

  std::unique_ptr<mlir::MLIRContext> context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  mlir::func::FuncOp step;
  std::map<std::string, HostTensor> tensors;
  InterpreterOptions options;
};

class Optimizers : public testing::TestWithParam<OptimizerCase> {};

TEST_P(Optimizers, AgreeWithPyTorch) {
  Trainer trainer(withRecipe(GetParam().recipe));
  ASSERT_TRUE(trainer.step);
  trainer.initialise();
  mlir::Type f64 = mlir::Float64Type::get(trainer.context.get());
  trainer.tensors["a"] = HostTensor::ofFloats(f64, {5}, {0.3, -1.2, 2.0, 0.05, -0.7});
  trainer.tensors["b"] = HostTensor::ofFloats(f64, {2, 2}, {1.5, -0.4, 0.0, 0.9});
  for (int64_t number = 0; number < 6; ++number)
    trainer.run(number);
  std::vector<double> found = trainer.tensors["a"].floats;
  llvm::append_range(found, trainer.tensors["b"].floats);
  ASSERT_EQ(found.size(), GetParam().expected.size());
  for (size_t index = 0; index < found.size(); ++index)
    EXPECT_NEAR(found[index], GetParam().expected[index], 1e-12) << "element " << index;
}

INSTANTIATE_TEST_SUITE_P(All, Optimizers, testing::ValuesIn(cases),
                         [](const testing::TestParamInfo<OptimizerCase> &info) { return info.param.name; });

std::string readFile(const std::string &path) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  return buffer ? (*buffer)->getBuffer().str() : std::string();
}

TEST(TrainStep, ClassifierLearns) {
  Trainer trainer(readFile(KILN_PASS_INPUTS "/mlp.mlir"));
  ASSERT_TRUE(trainer.step);
  trainer.initialise();
  std::mt19937 generator(3);
  std::normal_distribution<double> normal;
  mlir::Type f32 = mlir::Float32Type::get(trainer.context.get());
  auto random = [&](const std::vector<int64_t> &shape, double scale) {
    HostTensor tensor = HostTensor::zeros(f32, shape);
    for (double &value : tensor.floats)
      value = scale * normal(generator);
    return tensor;
  };
  trainer.tensors["data.x"] = random({6, 4}, 1);
  trainer.tensors["data.y"] =
      HostTensor::ofIntegers(mlir::IntegerType::get(trainer.context.get(), 32), {6}, {0, 1, 2, 0, 1, 2});
  for (size_t row = 0; row < 6; ++row) // each class has a column that stands out
    trainer.tensors["data.x"].floats[4 * row + row % 3] += 3;
  trainer.tensors["a.weight"] = random({5, 4}, 0.5);
  trainer.tensors["a.bias"] = random({5}, 0.1);
  trainer.tensors["b.weight"] = random({3, 5}, 0.5);
  double first = trainer.run(0), last = first;
  for (int64_t number = 1; number < 20; ++number)
    last = trainer.run(number);
  EXPECT_GT(first, 0.8);
  EXPECT_LT(last, 0.5 * first);
}

/// The norm of gradients whose squares no f32 holds: each of four equal ones moves by half of the limit.
TEST(TrainStep, ClipsGradientsOfAnySize) {
  for (double size : {1e20, 3e37, 1.0, 1e-12, 1e-20, 1e-30}) {
    Trainer trainer("model Test():\n"
                    "    a = parameter(f32[3])\n"
                    "    b = parameter(f32)\n"
                    "    def forward(c: f32) -> f32:\n"
                    "        return (sum(a) + b) * c\n"
                    "train Test:\n"
                    "    data = safetensors(\"c.safetensors\", c=f32)\n"
                    "    loss = forward(data.c)\n"
                    "    optimizer = SGD(lr=1.0)\n"
                    "    clip = 1.0\n"
                    "    steps = 1\n");
    ASSERT_TRUE(trainer.step);
    trainer.options.roundToDtype = true;
    mlir::Type f32 = mlir::Float32Type::get(trainer.context.get());
    trainer.tensors["a"] = HostTensor::ofFloats(f32, {3}, {0, 0, 0});
    trainer.tensors["b"] = HostTensor::ofFloats(f32, {}, {0});
    trainer.tensors["data.c"] = HostTensor::ofFloats(f32, {}, {size});
    trainer.run(0);
    EXPECT_NEAR(trainer.tensors["grad_norm"].floats[0], 2 * size, 1e-6 * size);
    double moved = size < 0.5 ? -size : -0.5; // a norm below the limit is left as it is
    EXPECT_NEAR(trainer.tensors["a"].floats[1], moved, 2e-6 * std::abs(moved)) << size;
    EXPECT_NEAR(trainer.tensors["b"].floats[0], moved, 2e-6 * std::abs(moved)) << size;
  }
}

TEST(TrainStep, FrozenParametersCostNothing) {
  Trainer trainer(withRecipe("optimizer = Adam(lr=0.1)", "False"));
  ASSERT_TRUE(trainer.step);
  // No new value of `a`, no state for it, and no cosine of it.
  for (unsigned index = 0; index < trainer.step.getNumResults(); ++index)
    if (auto name = trainer.step.getResultAttrOfType<mlir::StringAttr>(index, "kiln.parameter"))
      EXPECT_EQ(name.getValue(), "b");
  EXPECT_EQ(trainer.module.get()->getAttrOfType<mlir::ArrayAttr>("kiln.states").size(), 2u);
  int cosines = 0;
  trainer.step.walk([&](CosOp) { ++cosines; });
  EXPECT_EQ(cosines, 1);
}

} // namespace
} // namespace kiln
