// Random modules: text and bytecode give the same module back; canonicalising and decomposing keep the meaning.
#include "passes/Decompose/Decompose.h"
#include "tests/fuzz/RandomGraph.h"
#include "tests/ir/Run.h"

#include "mlir/Bytecode/BytecodeWriter.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

#include <cmath>

namespace kiln {
namespace {

class Property : public ::testing::TestWithParam<int> {
protected:
  void SetUp() override {
    test::RandomGraphOptions options;
    options.ops = 6 + GetParam() % 20;
    options.symbolic = GetParam() % 2;
    graph = test::randomGraph(testing::context(), 1000 + GetParam(), options);
    ASSERT_TRUE(mlir::succeeded(mlir::verify(*graph.module)));
  }

  std::vector<HostTensor> resultsOf(mlir::ModuleOp module) {
    mlir::func::FuncOp function = testing::functionIn(module, "f");
    std::vector<HostTensor> arguments;
    for (unsigned i = 0; i < function.getNumArguments(); ++i)
      for (const char *kind : {"kiln.parameter", "kiln.input"})
        if (auto name = function.getArgAttrOfType<mlir::StringAttr>(i, kind))
          arguments.push_back(graph.arguments[name.str()]);
    absl::StatusOr<Interpreted> outcome = interpret(function, arguments);
    EXPECT_TRUE(outcome.ok()) << outcome.status().message();
    return outcome.ok() ? outcome->results : std::vector<HostTensor>();
  }

  void expectSameMeaningAfter(std::unique_ptr<mlir::Pass> pass) {
    std::vector<HostTensor> before = resultsOf(*graph.module);
    mlir::OwningOpRef<mlir::ModuleOp> changed = graph.module->clone();
    mlir::PassManager passes(&testing::context());
    passes.addPass(std::move(pass));
    ASSERT_TRUE(mlir::succeeded(passes.run(*changed)));
    std::vector<HostTensor> after = resultsOf(*changed);
    ASSERT_EQ(before.size(), after.size());
    for (size_t r = 0; r < before.size(); ++r) {
      ASSERT_EQ(before[r].shape, after[r].shape);
      EXPECT_EQ(before[r].integers, after[r].integers);
      for (size_t i = 0; i < before[r].floats.size(); ++i) {
        double want = before[r].floats[i], have = after[r].floats[i];
        // Folding rounds constants to f32; nothing else may change.
        EXPECT_TRUE((std::isnan(want) && std::isnan(have)) || std::fabs(want - have) <= 1e-6 * (1 + std::fabs(want)))
            << "result " << r << " element " << i << ": " << want << " became " << have;
      }
    }
  }

  test::RandomGraph graph;
};

std::string textOf(mlir::ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream);
  return text;
}

TEST_P(Property, TextRoundTrips) {
  std::string text = textOf(*graph.module);
  mlir::OwningOpRef<mlir::ModuleOp> again = testing::parse(text);
  ASSERT_TRUE(again);
  EXPECT_EQ(textOf(*again), text);
}

TEST_P(Property, BytecodeRoundTrips) {
  std::string bytes;
  llvm::raw_string_ostream stream(bytes);
  ASSERT_TRUE(mlir::succeeded(mlir::writeBytecodeToFile(*graph.module, stream)));
  mlir::OwningOpRef<mlir::ModuleOp> again = testing::parse(bytes);
  ASSERT_TRUE(again);
  EXPECT_EQ(textOf(*again), textOf(*graph.module));
}

TEST_P(Property, CanonicalisingKeepsTheMeaning) { expectSameMeaningAfter(mlir::createCanonicalizerPass()); }

TEST_P(Property, DecomposingKeepsTheMeaning) { expectSameMeaningAfter(createDecompose()); }

INSTANTIATE_TEST_SUITE_P(Seeds, Property, ::testing::Range(0, 60));

} // namespace
} // namespace kiln
