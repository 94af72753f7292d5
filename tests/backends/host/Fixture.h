// What the host's tests share: a backend that takes everything (or not), random arguments, and the comparison of a
// planned program with the module that it was made from.
#pragma once

#include "runtime/backend/Tables.h"
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
  static inline std::vector<std::string> refused;         // op names that it takes in no kernel
  static inline std::vector<std::vector<uint32_t>> parts; // what it takes of kernels of more than one op, if not all

  static int32_t capabilities(const kiln_host *, const kiln_target *, kiln_capabilities *, kiln_error *) { return 0; }
  static int32_t claim(const kiln_host *host, const kiln_kernel *kernel, const kiln_target *, const kiln_answer *answer,
                       kiln_error *) {
    kiln_terms terms = {};
    terms.size = sizeof terms;
    kiln_kernel_info info = {};
    info.size = sizeof info;
    host->reader->kernel(kernel, &info);
    size_t computing = 0;
    std::string reason;
    for (uint32_t i = 0; i < info.op_count; ++i) {
      kiln_op op = {};
      op.size = sizeof op;
      host->reader->op(kernel, i, &op);
      std::string name(op.name.data, op.name.size);
      computing += name != "constant" && name != "iota" && name != "extent";
      if (llvm::is_contained(refused, name))
        reason = "no " + name + " here";
      if (name == "dot_general")
        terms.scratch_bytes = scratch;
    }
    if (computing > maxOps)
      reason = "too many ops";
    if (!reason.empty()) {
      answer->refuse(answer->self, KILN_NONE, {reason.data(), reason.size()});
    } else if (computing > 1 && !parts.empty()) {
      for (const std::vector<uint32_t> &part : parts)
        answer->take(answer->self, part.data(), part.size(), &terms);
    } else {
      answer->take(answer->self, nullptr, 0, &terms);
    }
    return 0;
  }
  static int32_t compile(const kiln_host *, const kiln_program *, const kiln_target *, const kiln_sink *,
                         kiln_error *) {
    return 0;
  }
  static const kiln_backend *plugin(const kiln_offer *offer, kiln_error *) {
    static const kiln_compile_api api = {sizeof(kiln_compile_api), capabilities, claim, compile};
    static const kiln_backend backend = {
        sizeof(kiln_backend), offer->newest, {"fake", 4}, {"a fake", 6}, &api, nullptr, nullptr, 0, 0, 0};
    return &backend;
  }
  static const host::Backend &get() {
    std::string error;
    static const std::shared_ptr<host::Backend> backend = host::Backend::create(plugin, "built in", error);
    return *backend;
  }
};

class HostTest : public ::testing::Test {
protected:
  HostTest() {
    context.loadDialect<KilnDialect, mlir::func::FuncDialect>();
    FakeBackend::maxOps = 1000;
    FakeBackend::scratch = 0;
    FakeBackend::refused.clear();
    FakeBackend::parts.clear();
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
                                              const std::vector<std::map<std::string, int64_t>> &extents = {{}},
                                              int64_t below = 3) {
    mlir::OwningOpRef<mlir::ModuleOp> reference(module.clone());
    absl::StatusOr<std::unique_ptr<host::OwnedProgram>> program =
        host::buildProgram(module, host::Target{&FakeBackend::get(), target}, {});
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
