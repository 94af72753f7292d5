// The text that a program writes, the likeliest token each time, is the same on Vulkan as on the CPU, up to the first
// token whose two best scores lie so close that rounding decides.
#include "runtime/data/Vocabulary.h"
#include "runtime/files/Safetensors.h"
#include "tests/e2e/Command.h"
#include "tests/e2e/Fixture.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

namespace kiln::test {
namespace {

constexpr double tooClose = 1e-4;

class Greedy : public testing::Test {
protected:
  /// Builds the model for both, and trains it for some steps on the CPU.
  void prepare(const std::string &name, const std::vector<std::string> &settings, const std::string &steps) {
    folder = freshFolder("greedy-" + name);
    weights = folder + "/weights.safetensors";
    for (const char *backend : {"cpu", "vulkan"}) {
      std::vector<std::string> build = {
          kilnProgram(),         "build", sourceFolder() + "/models/" + name + "/" + name + ".kiln",
          "--backend",           backend, "-o",
          folder + "/" + backend};
      for (const std::string &setting : settings)
        build.insert(build.end(), {"--set", setting});
      Outcome outcome = run(build);
      ASSERT_EQ(outcome.code, 0) << outcome.err;
    }
    Outcome outcome = run({folder + "/cpu", "train", "--steps", steps, "--save", weights, "--seed", "1"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
  }

  std::vector<int32_t> write(const std::string &backend, const std::vector<std::string> &more) const {
    std::vector<std::string> command = {folder + "/" + backend, "generate", "--greedy", "--load", weights, "--json"};
    command.insert(command.end(), more.begin(), more.end());
    Outcome outcome = run(command);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    if (outcome.code != 0)
      return {};
    return nlohmann::json::parse(outcome.out)["tokens"].get<std::vector<int32_t>>();
  }

  struct Best {
    int32_t token = -1;
    double distance = INFINITY; ///< to the second best
  };
  /// What `forward` gives for the token after its inputs, on the CPU.
  Best best(const std::map<std::string, std::vector<int32_t>> &inputs) const {
    std::string file = folder + "/inputs.safetensors", output = folder + "/scores.safetensors";
    std::vector<TensorView> tensors;
    for (const auto &[name, ids] : inputs)
      tensors.push_back({name,
                         KILN_I32,
                         {1, static_cast<int64_t>(ids.size())},
                         reinterpret_cast<const uint8_t *>(ids.data()),
                         4 * ids.size()});
    writeSafetensors(file, tensors);
    std::vector<std::string> command = {folder + "/cpu", "run", "forward", "--load", weights, "--output", output};
    for (const auto &[name, ids] : inputs)
      command.insert(command.end(), {"--input", name + "=" + file});
    Outcome outcome = run(command);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    if (outcome.code != 0)
      return {};
    Values scores = readTensors(output).begin()->second;
    std::vector<double> last(scores.data.end() - scores.shape.back(), scores.data.end());
    auto top = std::max_element(last.begin(), last.end());
    Best result{static_cast<int32_t>(top - last.begin()), *top};
    *top = -INFINITY;
    result.distance -= *std::max_element(last.begin(), last.end());
    return result;
  }

  /// The same tokens up to a close one. `field`: the input of `forward` that the tokens go into, after `before`.
  void compare(const std::vector<std::string> &more, std::map<std::string, std::vector<int32_t>> inputs,
               const std::string &field) const {
    std::vector<int32_t> expected = write("cpu", more), found = write("vulkan", more);
    ASSERT_FALSE(expected.empty());
    EXPECT_EQ(best(inputs).token, expected[0]) << "these are not the scores that it draws by";
    if (expected == found)
      return;
    size_t at =
        std::mismatch(expected.begin(), expected.begin() + std::min(expected.size(), found.size()), found.begin())
            .first -
        expected.begin();
    inputs[field].insert(inputs[field].end(), expected.begin(), expected.begin() + at);
    double distance = best(inputs).distance;
    EXPECT_LE(distance, tooClose) << "the texts part at token " << at << ", whose two best scores are " << distance
                                  << " apart";
  }

  std::string folder, weights;
};

TEST_F(Greedy, Gpt) {
  if (!std::getenv("KILN_DATA"))
    GTEST_SKIP() << "KILN_DATA is not set: nothing to learn from";
  prepare("gpt", {}, "100");
  if (HasFatalFailure())
    return;
  // Of the readers it holds the recipe's one, and no tokenizers.
  EXPECT_LE(std::filesystem::file_size(folder + "/vulkan"), 2u << 20) << "a program without weights";
  // Without a prompt it begins after a line's end. All of it fits into the context, so `forward` sees what was seen.
  std::vector<int32_t> lineEnd = {0};
  compare({"--tokens", "60"}, {{"ids", lineEnd}}, "ids");
}

TEST_F(Greedy, Translate) {
  if (!std::getenv("KILN_DATA"))
    GTEST_SKIP() << "KILN_DATA is not set: nothing to learn from";
  prepare("translate", {"width=64"}, "40");
  if (HasFatalFailure())
    return;
  Safetensors file = Safetensors::open(weights);
  Vocabulary words = Vocabulary::deserialise(file.metadata().at("kiln.vocabulary.data.source"), file.what());
  for (const char *prompt :
       {"ein mann mit einem orangefarbenen hut , der etwas anstarrt .", "zwei hunde laufen über eine wiese ."})
    compare({"--tokens", "12", "--prompt", prompt},
            {{"source", words.encode(prompt, "the prompt")}, {"target", {StartToken}}}, "target");
}

} // namespace
} // namespace kiln::test
