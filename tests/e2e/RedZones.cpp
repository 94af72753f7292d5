// The documents' sketches and the models of tests/bench under red zones: every function of theirs, training steps too,
// runs once on made-up inputs, and no kernel writes past its memory.
#include "frontend/language/Load.h"
#include "tests/support/Blocks.h"
#include "tests/support/Compiled.h"

#include <gtest/gtest.h>

#include <sstream>

namespace kiln::test {
namespace {

void expectWithinMemory(const std::string &text, const std::string &place, const std::string &model) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  Diagnostics diagnostics;
  LoadOptions options;
  options.model = model;
  mlir::OwningOpRef<mlir::ModuleOp> module = loadModelText(context, text, place, options, diagnostics);
  ASSERT_TRUE(module) << place << "\n" << diagnostics.render();
  auto compiled = Compiled::createWatched(*module);
  ASSERT_TRUE(compiled.ok()) << place << " " << model << "\n" << compiled.status().message();
  size_t ran = 0;
  for (const auto &[entry, error] : compiled->second->runAll()) {
    EXPECT_EQ(error.find("past its memory"), std::string::npos) << place << " " << model << "\n" << error;
    ran += error.empty();
  }
  EXPECT_GE(ran, 1u) << place << " " << model;
}

class RedZones : public testing::TestWithParam<Block> {};

TEST_P(RedZones, NoKernelWritesPastItsMemory) {
  expectWithinMemory(GetParam().text, GetParam().place, GetParam().model);
}

std::vector<Block> all() {
  std::vector<Block> blocks = blocksOf(KILN_SOURCE "/docs/language-sketches.md");
  for (const char *name : {"mlp", "cnn", "lstm"}) {
    std::ifstream stream(KILN_SOURCE "/tests/bench/" + std::string(name) + ".kiln");
    std::stringstream text;
    text << stream.rdbuf();
    blocks.push_back({text.str(), "", "tests/bench/" + std::string(name) + ".kiln"});
  }
  return blocks;
}

INSTANTIATE_TEST_SUITE_P(Models, RedZones, testing::ValuesIn(all()), [](const testing::TestParamInfo<Block> &info) {
  return (info.param.model.empty() ? "bench" : info.param.model) + std::to_string(info.index);
});

} // namespace
} // namespace kiln::test
