// Folders whose weights are quantised as programs: what they compute is what transformers' float model does with the
// widened weights (make_quantised.py).
#include "runtime/files/Safetensors.h"
#include "tests/e2e/Command.h"
#include "tests/e2e/Fixture.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <cmath>
#include <cstring>
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
    if (name == "gptq" || name == "gptq_gpt2" || name == "gptq_order" || name == "mxfp4") // other models: below
      continue;
    if (program.empty()) {
      program = folder + "/program";
      Outcome built = run({kilnProgram(), "build", text, "--set", "batch=2", "-o", program});
      ASSERT_EQ(built.code, 0) << built.err;
    }
    EXPECT_LT(errorOf(program, name, {"--load", folder + "/" + name + ".safetensors"}), 2e-6);
    ++cases;
  }
  EXPECT_EQ(cases, 26);
}

// And the program that reads blocks as they lie: halves with and without minimums, bytes, a table of words in blocks,
// matrices by their columns, groups of columns that are no neighbours, and codes: of nf4, of floats of eight bits, and
// of the experts of a gpt-oss, which writes transformers' tokens.
TEST(Quantised, BlocksComputeAsTransformersDoes) {
  std::string folder = freshFolder("quantised-blocks");
  for (const char *name : {"gptq", "gptq_gpt2", "gptq_order", "mlx", "mlx_mixed", "nf4", "fp8_blocks", "mxfp4"}) {
    SCOPED_TRACE(name);
    std::string program = folder + "/" + name;
    Outcome built = run({kilnProgram(), "build", quantisedFolder() + name, "--set", "batch=2", "-o", program});
    ASSERT_EQ(built.code, 0) << built.err;
    EXPECT_LT(errorOf(program, name), 2e-6);
    std::map<std::string, Values> expected = readTensors(quantisedFolder() + name + "/expected.safetensors");
    if (!expected.contains("tokens"))
      continue;
    std::string prompt;
    for (double token : expected.at("prompt").data)
      prompt += std::to_string(static_cast<int>(token)) + " ";
    Outcome drawn = run({program, "generate", "--prompt", prompt, "--tokens", "12", "--json"});
    ASSERT_EQ(drawn.code, 0) << drawn.err;
    EXPECT_EQ(jsonLines(drawn.out).at(0)["tokens"].get<std::vector<double>>(), expected.at("tokens").data);
  }
}

// Adapters beside weights that were quantised: these lie beside the text by its names, as they came, and training
// leaves every bit of them; with new adapters the model is the folder's. Widened, by the names that it loads.
TEST(Quantised, AdaptersTrainBesideTheFoldersOwnNumbers) {
  for (const char *name : {"awq", "nf4"}) {
    SCOPED_TRACE(name);
    std::string folder = freshFolder("quantised-lora"), text = folder + "/model.kiln",
                weights = folder + "/model.safetensors", saved = folder + "/saved.safetensors";
    Outcome written = run({kilnProgram(), "import", quantisedFolder() + name, "--lora", "4", "-o", text});
    ASSERT_EQ(written.code, 0) << written.err;
    EXPECT_NE(written.out.find("--weights-as " + weights), std::string::npos) << written.out;
    std::vector<int32_t> ids(4 * 32);
    for (size_t i = 0; i < ids.size(); ++i)
      ids[i] = static_cast<int32_t>(i * 7 % 48);
    const auto *bytesOf = reinterpret_cast<const uint8_t *>(ids.data());
    writeSafetensors(folder + "/data.safetensors", {{"ids", KILN_I32, {1, 4, 32}, bytesOf, ids.size() * 4},
                                                    {"next", KILN_I32, {1, 4, 32}, bytesOf, ids.size() * 4}});
    Outcome trained = run({kilnProgram(), "train", text, "--weights-as", weights, "--data",
                           "data=" + folder + "/data.safetensors", "--steps", "2", "--save", saved, "--json"});
    ASSERT_EQ(trained.code, 0) << trained.err;
    Safetensors base = Safetensors::open(weights), after = Safetensors::open(saved);
    int blocks = 0, adapters = 0;
    for (const TensorView &tensor : base.tensors()) {
      const TensorView *same = after.find(tensor.name);
      ASSERT_TRUE(same) << tensor.name;
      blocks += tensor.dtype == KILN_U8;
      if (tensor.dtype == same->dtype) { // others than matrices are f16 in the file
        EXPECT_EQ(std::memcmp(tensor.data, same->data, tensor.bytes), 0) << tensor.name;
      }
    }
    for (const TensorView &tensor : after.tensors())
      adapters += tensor.name.find(".lora_B.") != std::string::npos &&
                  std::any_of(tensor.data, tensor.data + tensor.bytes, [](uint8_t byte) { return byte != 0; });
    EXPECT_GE(blocks, 6);
    EXPECT_EQ(adapters, 2);
    std::string program = folder + "/program";
    Outcome built = run({kilnProgram(), "build", text, "--weights-as", weights, "--set", "batch=4", "-o", program});
    ASSERT_EQ(built.code, 0) << built.err;
    EXPECT_LT(errorOf(program, name, {"--load", weights, "--partial"}), 2e-6);
  }
  std::string folder = freshFolder("quantised-lora"), text = folder + "/model.kiln";
  Outcome written = run({kilnProgram(), "import", quantisedFolder() + "awq", "--lora", "4", "--widen", "-o", text});
  ASSERT_EQ(written.code, 0) << written.err;
  EXPECT_NE(bytes(text).find("load(\"model.safetensors\""), std::string::npos);
  EXPECT_TRUE(readTensors(folder + "/model.safetensors").contains("model.layers.0.self_attn.q_proj.weight"));
  Outcome checked = run({kilnProgram(), "check", text});
  EXPECT_EQ(checked.code, 0) << checked.err;
  Outcome wide =
      run({kilnProgram(), "build", text, "--weights-as", folder + "/model.safetensors", "-o", folder + "/p"});
  EXPECT_NE(wide.code, 0);
  EXPECT_NE(wide.err.find("none of its matrices is in blocks"), std::string::npos) << wide.err;
}

} // namespace
} // namespace kiln::test
