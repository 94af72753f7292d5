// Every block of a document that is marked ```kiln is a whole file, and loads, each of its models.
#include "frontend/language/Load.h"
#include "tests/support/Blocks.h"

#include "mlir/IR/MLIRContext.h"

#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <sstream>

namespace {

using kiln::test::Block;
using kiln::test::blocksOf;

void loadAll(const std::string &path, size_t least) {
  std::vector<Block> blocks = blocksOf(path);
  EXPECT_GE(blocks.size(), least) << path;
  for (const Block &block : blocks) {
    mlir::MLIRContext context;
    kiln::Diagnostics diagnostics;
    kiln::LoadOptions options;
    options.model = block.model;
    EXPECT_TRUE(kiln::loadModelText(context, block.text, block.place, options, diagnostics))
        << block.place << " model " << block.model << "\n"
        << diagnostics.render();
  }
}

TEST(Documents, TheLanguage) { loadAll(KILN_SOURCE "/docs/language.md", 8); }
TEST(Documents, FromPyTorch) { loadAll(KILN_SOURCE "/docs/from-pytorch.md", 3); }
TEST(Documents, TheSketches) { loadAll(KILN_SOURCE "/docs/language-sketches.md", 30); }
/// The samples that the language was designed from, as they were first written.
TEST(Samples, Load) {
  for (const char *name : {"gpt", "translate", "unused"}) {
    mlir::MLIRContext context;
    kiln::Diagnostics diagnostics;
    std::string path = std::string(KILN_SOURCE "/tests/frontend/language/samples/") + name + ".kiln";
    EXPECT_TRUE(kiln::loadModel(context, path, {}, diagnostics)) << diagnostics.render();
  }
}

TEST(EveryModel, IsCheckedWhereNoneIsNamed) {
  const char *text = "model A(n=2):\n    def forward(x: f32[B <= 2, n]) -> f32[B, n]:\n        return x\n\n"
                     "model B(n=2):\n    def forward(x: f32[B, n]) -> f32[B, n]:\n        return x + x\n";
  kiln::LoadOptions options;
  options.everyModel = true;
  mlir::MLIRContext context;
  kiln::Diagnostics diagnostics, one;
  EXPECT_FALSE(kiln::loadModelText(context, text, "both.kiln", options, diagnostics));
  EXPECT_FALSE(diagnostics.hasErrors()) << diagnostics.render();
  options.model = "B"; // once it is chosen, its bound is asked for
  EXPECT_FALSE(kiln::loadModelText(context, text, "both.kiln", options, one));
  EXPECT_NE(one.render().find("the dimension B of forward has no upper bound"), std::string::npos) << one.render();
}

TEST(Documents, TheTutorial) {
  if (std::ifstream(KILN_SOURCE "/docs/tutorial.md"))
    loadAll(KILN_SOURCE "/docs/tutorial.md", 0);
}

} // namespace
