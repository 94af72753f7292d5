// Each function of cases/*.mlir through the whole compiler, on the CPU, beside the reference interpreter; those with
// symbols at several extents; on one thread and on three, which must give the same bits. `kiln.test_below = N` on an
// integer argument gives the range of its values.
#include "backends/reference/compile/Compile.h"
#include "ir/Bounds.h"
#include "tests/ir/Run.h"
#include "tests/support/Compiled.h"

#include "llvm/Support/MemoryBuffer.h"

#include <cmath>
#include <random>

namespace kiln {
namespace {

using Symbols = std::map<std::string, int64_t>;

struct Case {
  std::string file, name;
  friend void PrintTo(const Case &self, std::ostream *stream) { *stream << self.file << ".mlir @" << self.name; }
};

/// Narrow floats are rounded after each op by both sides; else the interpreter's doubles are the better judge.
bool hasNarrowFloats(mlir::func::FuncOp function) {
  bool found = false;
  function.walk([&](mlir::Operation *op) {
    for (mlir::Type type : op->getResultTypes())
      if (auto tensor = llvm::dyn_cast<mlir::RankedTensorType>(type))
        found |= tensor.getElementType().isBF16() || tensor.getElementType().isF16();
  });
  return found;
}

mlir::ModuleOp moduleOf(const std::string &file) {
  // Never destroyed: the context, a static too, may be gone before.
  static auto &modules = *new std::map<std::string, mlir::OwningOpRef<mlir::ModuleOp>>;
  auto &module = modules[file];
  if (!module) {
    auto buffer = llvm::MemoryBuffer::getFile(std::string(KILN_CASES) + "/" + file + ".mlir");
    module = testing::parse(buffer ? (*buffer)->getBuffer().str() : "file not found: " + file);
  }
  return *module;
}

std::vector<Case> allCases() {
  std::vector<Case> cases;
  for (const char *file : {"symbolic", "control", "types", "large", "attention", "attention_places", "attention_biased",
                           "attention_dropout", "attention_capped"})
    for (mlir::func::FuncOp function : moduleOf(file).getOps<mlir::func::FuncOp>())
      cases.push_back({file, function.getName().str()});
  return cases;
}

HostTensor randomTensor(mlir::func::FuncOp function, unsigned index, const Symbols &symbols, std::mt19937 &engine) {
  auto type = llvm::cast<mlir::RankedTensorType>(function.getArgument(index).getType());
  std::vector<int64_t> shape;
  for (const Dim &dim : dimsOf(type))
    shape.push_back(*dim.evaluate(symbols));
  HostTensor tensor = HostTensor::zeros(type.getElementType(), shape);
  for (double &value : tensor.floats)
    value = std::uniform_real_distribution<double>(-2, 2)(engine);
  auto below = function.getArgAttrOfType<mlir::IntegerAttr>(index, "kiln.test_below");
  for (int64_t &value : tensor.integers)
    value = std::uniform_int_distribution<int64_t>(0, (below ? below.getInt() : 2) - 1)(engine);
  tensor.roundToElement();
  return tensor;
}

/// How far a compiled value may lie from the interpreter's, relative to its size and the tensor's largest: the terms of
/// a sum that cancels are of that order.
double toleranceOf(mlir::Type element) {
  return element.isF64() ? 1e-12 : element.isF32() ? 3e-6 : element.isF16() ? 2e-3 : 2e-2;
}

void expectClose(const HostTensor &want, const HostTensor &have, size_t result) {
  ASSERT_EQ(want.shape, have.shape) << "result " << result;
  ASSERT_EQ(want.element, have.element) << "result " << result;
  EXPECT_EQ(want.integers, have.integers) << "result " << result;
  double largest = 0;
  for (double value : want.floats)
    if (std::isfinite(value))
      largest = std::max(largest, std::fabs(value));
  int reported = 0;
  for (size_t i = 0; i < want.floats.size() && reported < 5; ++i) {
    double expected = want.floats[i], found = have.floats[i];
    if (expected == found || (std::isnan(expected) && std::isnan(found)))
      continue;
    bool isClose = std::isfinite(expected) &&
                   std::fabs(expected - found) <= toleranceOf(want.element) * (largest + std::fabs(expected)) + 1e-37;
    if (!isClose && ++reported)
      ADD_FAILURE() << "result " << result << " element " << i << ": interpreter " << expected << ", compiled "
                    << found;
  }
}

struct Programs {
  std::unique_ptr<test::Compiled> threeThreads, oneThread, reference;
};

void expectResults(const Interpreted &expected, const std::map<std::string, HostTensor> &found) {
  ASSERT_EQ(found.size(), expected.results.size());
  // arg0 … are inputs; results follow in the order of their numbers, of which 10 sorts before 9 as text.
  std::map<std::pair<size_t, std::string>, const HostTensor *> inOrder;
  for (const auto &[name, tensor] : found)
    inOrder[{name.size(), name}] = &tensor;
  size_t index = 0;
  for (const auto &[name, tensor] : inOrder) {
    expectClose(expected.results[index], *tensor, index);
    ++index;
  }
}

void compareAt(mlir::func::FuncOp function, Programs &programs, const Symbols &symbols, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<HostTensor> inputs;
  std::map<std::string, HostTensor> named;
  int64_t step = 3 + seed;
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    auto scalar = [&](const char *element, int64_t value) {
      inputs.push_back(HostTensor::ofIntegers(testing::elementNamed(element), {}, {value}));
    };
    if (function.getArgAttr(i, "kiln.seed"))
      scalar("ui32", seed);
    else if (function.getArgAttr(i, "kiln.step"))
      scalar("i32", step);
    else
      named["arg" + std::to_string(i)] = inputs.emplace_back(randomTensor(function, i, symbols, engine));
  }
  InterpreterOptions options;
  options.roundToDtype = hasNarrowFloats(function);
  absl::StatusOr<Interpreted> expected = interpret(function, inputs, options);
  ASSERT_TRUE(expected.ok()) << expected.status().message();
  auto found = programs.threeThreads->run(function.getName().str(), named, seed, step);
  ASSERT_TRUE(found.ok()) << found.status().message();
  auto again = programs.oneThread->run(function.getName().str(), named, seed, step);
  ASSERT_TRUE(again.ok()) << again.status().message();
  for (const auto &[name, tensor] : *found)
    for (size_t i = 0; i < tensor.floats.size(); ++i)
      if (double other = (*again)[name].floats[i];
          !(tensor.floats[i] == other || (std::isnan(tensor.floats[i]) && std::isnan(other)))) {
        ADD_FAILURE() << name << "[" << i << "] differs between three threads and one";
        break;
      }
  expectResults(*expected, *found);
  SCOPED_TRACE("on the reference backend");
  auto judged = programs.reference->run(function.getName().str(), named, seed, step);
  ASSERT_TRUE(judged.ok()) << judged.status().message();
  expectResults(*expected, *judged);
}

class Cases : public ::testing::TestWithParam<Case> {};

TEST_P(Cases, CompiledAgreesWithTheInterpreter) {
  mlir::func::FuncOp function = moduleOf(GetParam().file).lookupSymbol<mlir::func::FuncOp>(GetParam().name);
  mlir::OpBuilder builder(&testing::context());
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(builder.getUnknownLoc());
  module->push_back(function.clone());
  auto compiled = test::Compiled::create(*module, /*threads=*/3), oneThread = test::Compiled::create(*module, 1),
       reference = test::Compiled::createOn(*module, "reference", kiln_reference_backend);
  ASSERT_TRUE(compiled.ok()) << compiled.status().message();
  ASSERT_TRUE(oneThread.ok()) << oneThread.status().message();
  ASSERT_TRUE(reference.ok()) << reference.status().message();
  Programs programs{std::move(*compiled), std::move(*oneThread), std::move(*reference)};
  Bounds bounds = boundsOf(function);
  // At the bounds, at the smallest, and between: there each symbol is elsewhere in its range.
  bool chosen = false; // integers decide what is read
  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    chosen |= function.getArgAttr(i, "kiln.test_below") != nullptr;
  for (unsigned round = 0; round < (chosen ? 6u : bounds.empty() ? 2u : 4u); ++round) {
    Symbols symbols;
    unsigned place = 0;
    for (const auto &[name, limit] : bounds)
      symbols[name] = round == 0 ? limit : round == 1 ? 1 : 1 + (limit * (round + 2 * place++)) % (limit - 1);
    std::string at;
    for (const auto &[name, value] : symbols)
      at += " " + name + " = " + std::to_string(value);
    SCOPED_TRACE("round " + std::to_string(round) + at);
    compareAt(function, programs, symbols, round);
  }
}

/// random_normal's stated error, over enough draws to meet the tails.
TEST(Normals, AreWithinTheStatedError) {
  mlir::OwningOpRef<mlir::ModuleOp> module = testing::parse(R"(
    func.func @f(%s: tensor<ui32> {kiln.seed}) -> tensor<200000xf32> {
      %r = kiln.random_normal 3, %s : tensor<ui32> -> tensor<200000xf32>
      return %r : tensor<200000xf32>
    })");
  auto compiled = test::Compiled::create(*module);
  ASSERT_TRUE(compiled.ok()) << compiled.status().message();
  auto found = (*compiled)->run("f", {}, /*seed=*/12345);
  auto expected =
      interpret(testing::functionIn(*module), {HostTensor::ofIntegers(testing::elementNamed("ui32"), {}, {12345})});
  ASSERT_TRUE(found.ok() && expected.ok());
  double worst = 0, largest = 0;
  const std::vector<double> &want = expected->results[0].floats, &have = found->begin()->second.floats;
  for (size_t i = 0; i < want.size(); ++i) {
    worst = std::max(worst, std::fabs(want[i] - have[i]));
    largest = std::max(largest, std::fabs(want[i]));
  }
  EXPECT_GT(largest, 4.0);
  EXPECT_LE(worst, 1.5e-6);
}

INSTANTIATE_TEST_SUITE_P(Functions, Cases, ::testing::ValuesIn(allCases()),
                         [](const auto &info) { return info.param.file + "_" + info.param.name; });

} // namespace
} // namespace kiln
