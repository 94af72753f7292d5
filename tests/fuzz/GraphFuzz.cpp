// Random models through the whole compiler, beside the reference interpreter. `graph_fuzz SEED [COUNT]` runs single
// ones.
#include "ir/interpreter/Interpreter.h"
#include "passes/Differentiate/Differentiate.h"
#include "tests/fuzz/RandomGraph.h"
#include "tests/support/Compiled.h"

#include "mlir/IR/Verifier.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace kiln::test {
namespace {

std::string textOf(mlir::ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream);
  return text;
}

/// Empty when equal within f32's reach; else where they part.
std::string compare(const std::string &name, const HostTensor &expected, const HostTensor &found) {
  if (expected.shape != found.shape)
    return name + ": shapes differ";
  double norm = 0;
  for (double value : expected.floats)
    norm = std::max(norm, std::abs(value));
  for (size_t i = 0; i < expected.floats.size(); ++i) {
    double want = expected.floats[i], got = found.floats[i];
    if (std::isnan(want) && std::isnan(got))
      continue;
    if (!(std::abs(want - got) <= 2e-4 * (std::abs(want) + norm) + 1e-6))
      return name + "[" + std::to_string(i) + "]: interpreter " + std::to_string(want) + ", compiled " +
             std::to_string(got);
  }
  return expected.integers == found.integers ? "" : name + ": integers differ";
}

mlir::func::FuncOp gradOf(mlir::ModuleOp module) {
  mlir::FailureOr<mlir::func::FuncOp> grad =
      createGrad(module.lookupSymbol<mlir::func::FuncOp>("loss.train"), "expected");
  return mlir::succeeded(grad) ? *grad : mlir::func::FuncOp();
}

/// Empty when the seed passes.
std::string check(uint64_t seed) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  context.loadDialect<KilnDialect, mlir::func::FuncDialect>();
  RandomGraphOptions options;
  options.ops = 4 + static_cast<int>(seed % 17);
  options.gradients = seed % 2;
  options.symbolic = seed % 4 == 2;
  RandomGraph graph = randomGraph(context, seed, options);
  if (mlir::failed(mlir::verify(*graph.module)))
    return "the generated module is invalid\n" + textOf(*graph.module);
  std::string text = textOf(*graph.module);
  auto compiled = Compiled::create(*graph.module);
  if (!compiled.ok())
    return std::string(compiled.status().message()) + "\n" + text;
  mlir::OwningOpRef<mlir::ModuleOp> copy = graph.module->clone();
  mlir::func::FuncOp reference = options.gradients ? gradOf(*copy) : copy->lookupSymbol<mlir::func::FuncOp>("f");
  std::vector<HostTensor> arguments;
  for (unsigned i = 0; i < reference.getNumArguments(); ++i)
    for (const char *kind : {"kiln.parameter", "kiln.input"})
      if (auto name = reference.getArgAttrOfType<mlir::StringAttr>(i, kind))
        arguments.push_back(graph.arguments[name.str()]);
  absl::StatusOr<Interpreted> expected = interpret(reference, arguments);
  if (!expected.ok())
    return std::string(expected.status().message()) + "\n" + text;
  auto found = (*compiled)->run(options.gradients ? "grad" : "f", graph.arguments);
  if (!found.ok())
    return std::string(found.status().message()) + "\n" + text;
  for (unsigned i = 0; i < reference.getNumResults(); ++i) {
    std::string name = "loss";
    for (const char *kind : {"kiln.gradient", "kiln.output"})
      if (auto attribute = reference.getResultAttrOfType<mlir::StringAttr>(i, kind))
        name = attribute.str();
    auto result = found->find(name);
    if (result == found->end())
      return "the program has no result " + name + "\n" + text;
    if (std::string gap = compare(name, expected->results[i], result->second); !gap.empty())
      return gap + "\n" + text + "\n" + (*compiled)->fusion();
  }
  return "";
}

} // namespace
} // namespace kiln::test

int main(int argc, char **argv) {
  uint64_t first = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 0;
  uint64_t count = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : argc > 1 ? 1 : 120;
  uint64_t failed = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    std::string why = kiln::test::check(seed);
    if (why.empty())
      continue;
    ++failed;
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), why.c_str());
    std::fflush(stdout);
  }
  std::printf("%llu passed, %llu failed\n", static_cast<unsigned long long>(count - failed),
              static_cast<unsigned long long>(failed));
  return failed ? 1 : 0;
}
