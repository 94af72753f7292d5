// Folders whose weights are quantised as programs: what they compute is what transformers' float model does with the
// widened weights (make_quantised.py).
#include "runtime/files/Safetensors.h"
#include "tests/e2e/Command.h"
#include "tests/e2e/Fixture.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace kiln::test {
namespace {

using Words = std::vector<std::string>;

std::string quantisedFolder() { return sourceFolder() + "/tests/fixtures/quantised/"; }

/// The largest difference of the program's logits and a case's, over the largest of these; `more`: further options.
double errorOf(const std::string &program, const std::string &name, const Words &more = {}) {
  std::string given = quantisedFolder() + name + "/expected.safetensors", results = program + ".safetensors";
  Words command = {program, "run", "forward", "--input", "ids=" + given, "--output", results};
  command.insert(command.end(), more.begin(), more.end());
  Outcome ran = run(command);
  EXPECT_EQ(ran.code, 0) << ran.err;
  if (ran.code)
    return INFINITY;
  Values expected = readTensors(given).at("0"), found = readTensors(results).begin()->second;
  EXPECT_EQ(found.shape, expected.shape);
  double most = 0, off = 0;
  for (size_t i = 0; i < expected.data.size(); ++i) {
    most = std::max(most, std::abs(expected.data[i]));
    off = std::max(off, std::isfinite(found.data[i]) ? std::abs(found.data[i] - expected.data[i]) : INFINITY);
  }
  return off / most;
}

// What import writes beside the text is the weights in f32: one program takes those of every method.
TEST(Quantised, WidenedWeightsComputeAsTransformersDoes) {
  std::string folder = freshFolder("quantised"), program;
  int cases = 0;
  for (const auto &entry : std::filesystem::directory_iterator(quantisedFolder())) {
    std::string name = entry.path().filename().string(), text = folder + "/" + name + ".kiln";
    SCOPED_TRACE(name);
    Outcome written = run({kilnProgram(), "import", entry.path().string(), "-o", text});
    ASSERT_EQ(written.code, 0) << written.err;
    if (name == "gptq" || name == "gptq_gpt2" || name == "gptq_order") // other models: below
      continue;
    if (program.empty()) {
      program = folder + "/program";
      Outcome built = run({kilnProgram(), "build", text, "--set", "batch=2", "-o", program});
      ASSERT_EQ(built.code, 0) << built.err;
    }
    EXPECT_LT(errorOf(program, name, {"--load", folder + "/" + name + ".safetensors"}), 2e-6);
    ++cases;
  }
  EXPECT_EQ(cases, 22);
}

// And the program that reads blocks as they lie: halves with and without minimums, bytes, a table of words in blocks,
// matrices by their columns, and groups of columns that are no neighbours.
TEST(Quantised, BlocksComputeAsTransformersDoes) {
  std::string folder = freshFolder("quantised-blocks");
  for (const char *name : {"gptq", "gptq_gpt2", "gptq_order", "mlx", "mlx_mixed"}) {
    SCOPED_TRACE(name);
    std::string program = folder + "/" + name;
    Outcome built = run({kilnProgram(), "build", quantisedFolder() + name, "--set", "batch=2", "-o", program});
    ASSERT_EQ(built.code, 0) << built.err;
    EXPECT_LT(errorOf(program, name), 2e-6);
  }
}

// Adapters beside weights that were quantised: the base's weights lie beside the text, by the names that it loads.
TEST(Quantised, TakesAdapters) {
  std::string folder = freshFolder("quantised-lora"), text = folder + "/model.kiln";
  Outcome written = run({kilnProgram(), "import", quantisedFolder() + "awq", "--lora", "4", "-o", text});
  ASSERT_EQ(written.code, 0) << written.err;
  EXPECT_NE(bytes(text).find("load(\"model.safetensors\""), std::string::npos);
  EXPECT_TRUE(readTensors(folder + "/model.safetensors").contains("model.layers.0.self_attn.q_proj.weight"));
  Outcome checked = run({kilnProgram(), "check", text});
  EXPECT_EQ(checked.code, 0) << checked.err;
}

} // namespace
} // namespace kiln::test
