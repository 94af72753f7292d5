// Every sketch of the documents through the passes and the plan, up to where the CPU backend would generate code: under
// the address sanitizer and valgrind, which watch the compiler's own memory.
#include "backends/cpu/Backend.h"
#include "backends/host/Program.h"
#include "frontend/language/Load.h"
#include "passes/Pipelines.h"
#include "tests/support/Blocks.h"

#include "mlir/Pass/PassManager.h"

#include <gtest/gtest.h>

namespace kiln::test {
namespace {

class Sketch : public testing::TestWithParam<Block> {};

TEST_P(Sketch, IsPlanned) {
  const Block &block = GetParam();
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  Diagnostics diagnostics;
  LoadOptions options;
  options.model = block.model;
  mlir::OwningOpRef<mlir::ModuleOp> module = loadModelText(context, block.text, block.place, options, diagnostics);
  ASSERT_TRUE(module) << diagnostics.render();
  mlir::PassManager passes(&context);
  buildCompilePipeline(passes);
  ASSERT_TRUE(mlir::succeeded(passes.run(*module)));
  std::string why;
  std::shared_ptr<host::Backend> backend = host::Backend::create(kiln_cpu_backend, "built in", why);
  ASSERT_TRUE(backend) << why;
  kiln_target target{};
  target.size = sizeof(target);
  target.cpu = {"x86-64-v3", 9};
  target.jobs = 1;
  auto program = host::buildProgram(*module, host::Target{backend.get(), target});
  EXPECT_TRUE(program.ok()) << program.status().message();
}

std::vector<Block> all() {
  std::vector<Block> blocks;
  for (const char *page : {"/docs/language-sketches.md", "/docs/tutorial.md"})
    for (Block &block : blocksOf(KILN_SOURCE + std::string(page)))
      blocks.push_back(std::move(block));
  return blocks;
}

INSTANTIATE_TEST_SUITE_P(Documents, Sketch, testing::ValuesIn(all()), [](const testing::TestParamInfo<Block> &info) {
  return info.param.model + std::to_string(info.index);
});

} // namespace
} // namespace kiln::test
