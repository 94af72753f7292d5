// What the host's tests share: a backend that takes everything (or not), random arguments, and the comparison of a
// planned program with the module that it was made from.
#pragma once

#include "tests/backends/host/Executor.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Pipelines.h"
#include "gtest/gtest.h"

#include <random>

namespace kiln {

/// Takes kernels of at most `maxOps` ops, and wants `scratch` bytes for each product.
struct FakeBackend {
  static inline size_t maxOps = 1000;
  static inline int64_t scratch = 0;
  static inline std::vector<std::string> refused; // op names that it takes in no kernel
  static int claim(const kiln_kernel *kernel, const kiln_target *, kiln_claim *claim, kiln_error *) {
    claim->accepted = 1;
    size_t computing = 0;
    for (size_t i = 0; i < kernel->op_count; ++i) {
      std::string name(kernel->ops[i].name.data, kernel->ops[i].name.size);
      computing += name != "constant" && name != "iota" && name != "extent";
      if (llvm::is_contained(refused, name)) {
        claim->accepted = 0;
        snprintf(claim->reason, sizeof claim->reason, "no %s here", name.c_str());
      }
      if (name == "dot_general")
        claim->scratch_bytes = scratch;
    }
    if (computing > maxOps) {
      claim->accepted = 0;
      snprintf(claim->reason, sizeof claim->reason, "too many ops");
    }
    return 0;
  }
  static kiln_compile_api api() { return {sizeof(kiln_compile_api), KILN_BACKEND_API_VERSION, claim, nullptr}; }
};

class HostTest : public ::testing::Test {
protected:
  HostTest() {
    context.loadDialect<KilnDialect, mlir::func::FuncDialect>();
    FakeBackend::maxOps = 1000;
    FakeBackend::scratch = 0;
    FakeBackend::refused.clear();
  }

  mlir::OwningOpRef<mlir::ModuleOp> parse(llvm::StringRef text) {
    mlir::OwningOpRef<mlir::ModuleOp> module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    EXPECT_TRUE(module);
    return module;
  }

  /// Up to and with `simplify`.
  void simplify(mlir::ModuleOp module) {
    mlir::PassManager passes(&context);
    PipelineOptions options;
    options.until = "simplify";
    buildCompilePipeline(passes, options);
    ASSERT_TRUE(mlir::succeeded(passes.run(module)));
  }

  HostTensor random(mlir::Type type, const std::map<std::string, int64_t> &symbols, int64_t below) {
    auto element = llvm::cast<mlir::RankedTensorType>(type).getElementType();
    std::vector<int64_t> shape;
    for (const Dim &dim : dimsOf(type))
      shape.push_back(*dim.evaluate(symbols));
    HostTensor tensor = HostTensor::zeros(element, shape);
    for (double &value : tensor.floats)
      value = std::uniform_real_distribution<double>(-1, 1)(generator);
    for (int64_t &value : tensor.integers)
      value = std::uniform_int_distribution<int64_t>(0, element.isInteger(1) ? 1 : below - 1)(generator);
    tensor.roundToElement();
    return tensor;
  }

  /// Builds the program, runs `function` both ways at these extents, and wants the same results to the last bit.
  std::unique_ptr<host::OwnedProgram> compare(mlir::ModuleOp module, llvm::StringRef function, llvm::StringRef entry,
                                              std::vector<std::map<std::string, int64_t>> extents = {{}},
                                              int64_t below = 3) {
    mlir::OwningOpRef<mlir::ModuleOp> reference(module.clone());
    absl::StatusOr<std::unique_ptr<host::OwnedProgram>> program =
        host::buildProgram(module, FakeBackend::api(), target, {});
    EXPECT_TRUE(program.ok()) << program.status();
    if (!program.ok())
      return nullptr;
    auto original = reference->lookupSymbol<mlir::func::FuncOp>(function);
    for (const auto &symbols : extents) {
      std::vector<HostTensor> arguments;
      for (unsigned i = 0; i < original.getNumArguments(); ++i) {
        arguments.push_back(random(original.getArgumentTypes()[i], symbols, below));
        if (original.getArgAttr(i, "kiln.state")) // second moments are not negative
          for (double &value : arguments.back().floats)
            value = std::abs(value);
      }
      InterpreterOptions options;
      options.roundToDtype = true;
      options.symbols = symbols;
      absl::StatusOr<Interpreted> expected = interpret(original, arguments, options);
      EXPECT_TRUE(expected.ok()) << expected.status();
      absl::StatusOr<std::vector<HostTensor>> found = execute(**program, module, function, entry, arguments, symbols);
      EXPECT_TRUE(found.ok()) << found.status();
      if (!expected.ok() || !found.ok())
        return nullptr;
      for (size_t i = 0; i < found->size(); ++i) {
        EXPECT_EQ((*found)[i].floats, expected->results[i].floats) << function.str() << " result " << i;
        EXPECT_EQ((*found)[i].integers, expected->results[i].integers) << function.str() << " result " << i;
      }
    }
    return std::move(*program);
  }

  mlir::MLIRContext context;
  kiln_target target = {};
  std::mt19937 generator{7};
};

} // namespace kiln
