// What a training step holds in memory, beside PyTorch's tensors for the same step (tests/bench/peers/memory.py says
// how they were counted, docs/memory.md has the table).
#include "tests/e2e/Command.h"

#include <gtest/gtest.h>

#include <fstream>
#include <regex>

namespace kiln {
namespace {

struct Step {
  const char *path, *model;
  double peer; // bytes at PyTorch's peak
  friend void PrintTo(const Step &self, std::ostream *stream) { *stream << self.path << " " << self.model; }
};

test::Outcome explain(const Step &step, const std::string &what) {
  std::vector<std::string> command = {test::kilnProgram(), "explain", test::sourceFolder() + "/" + step.path, what};
  if (*step.model)
    command.insert(command.end(), {"--model", step.model});
  return test::run(command);
}

class Memory : public ::testing::TestWithParam<Step> {};

TEST_P(Memory, ArenaIsNearItsBoundAndTheStepBelowPyTorch) {
  test::Outcome outcome = explain(GetParam(), "--memory");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  std::smatch found;
  ASSERT_TRUE(std::regex_search(
      outcome.out, found,
      std::regex("(^|\n)train_step: arena ([0-9]+) bytes, lower bound ([0-9]+) .*\n.*together ([0-9]+) bytes")))
      << outcome.out;
  double arena = std::stod(found[2]), bound = std::stod(found[3]), together = std::stod(found[4]);
  EXPECT_LE(arena, 1.10 * bound);
  // A place of the arena takes 64 bytes at least, a scalar's too: iris has three of them, for the mean over the targets
  // that count.
  EXPECT_LE(together, 0.8 * GetParam().peer + 64);
}

INSTANTIATE_TEST_SUITE_P(
    Steps, Memory,
    ::testing::Values(Step{"models/iris/iris.kiln", "Softmax", 1088}, Step{"models/iris/iris.kiln", "MLP", 5256},
                      Step{"models/mnist/mnist.kiln", "", 1723260}, Step{"models/resnet/resnet.kiln", "", 38301348},
                      Step{"models/gpt/gpt.kiln", "", 37258008}, Step{"models/translate/translate.kiln", "", 547179844},
                      Step{"tests/bench/mlp.kiln", "", 931160}, Step{"tests/bench/cnn.kiln", "", 20413896},
                      Step{"tests/bench/lstm.kiln", "", 65475180}, Step{"tests/bench/gpt6.kiln", "", 609078168}));

/// The most that a program holds while it does something.
double peakOf(const std::string &program, const std::string &function) {
  test::Outcome outcome = test::run({program, "bench", function, "--min-time", "0.01", "--threads", "2", "--json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  return test::jsonLines(outcome.out).at(0)["benchmarks"][0]["peak_memory_bytes"];
}

// 50 MB of parameters, 100 MB of states that a step alone wants.
TEST(Peak, IsThePlansAndStatesTakeNoneBeforeAStep) {
  std::string program = test::freshFolder("peak") + "/sweep", source = test::sourceFolder() + "/tests/bench/ops.kiln";
  test::Outcome built =
      test::run({test::kilnProgram(), "build", source, "--model", "Sweep", "--set", "numbers=12500000", "-o", program});
  ASSERT_EQ(built.code, 0) << built.err;
  constexpr double weights = 50e6, rest = 16e6; // the program itself, pages that large ones round up to
  EXPECT_LE(peakOf(program, "forward"), weights + rest);
  double step = peakOf(program, "train_step");
  EXPECT_LE(step, 3 * weights + rest);
  EXPECT_GE(step, 3 * weights);
}

// A cache of 512 MB, of which a step writes one position.
TEST(Peak, ACacheTakesWhatIsWrittenOfIt) {
  std::string folder = test::freshFolder("cache"), source = folder + "/cache.kiln", program = folder + "/cache";
  std::ofstream(source) << R"(model Cache(vocab=64, context=2000000, width=32):
    tokens = Embedding(vocab, width)
    attn   = SelfAttention(width, 1, causal=True)

    def forward(ids: i32[B <= 1, T <= context]) -> f32[B, T, vocab]:
        x = tokens(ids)
        return (x + attn(x)) @ tokens.weight.T

generate Cache:
    draw = greedy(tokens=5)
)";
  test::Outcome built = test::run({test::kilnProgram(), "build", source, "-o", program});
  ASSERT_EQ(built.code, 0) << built.err;
  EXPECT_LE(peakOf(program, "generate.step"), 64e6);
  // Nor does a prompt, whose function has temporaries for two million tokens, and a second one, whose cache is new.
  std::ofstream(folder + "/prompts") << "1 2 3\n4 5\n";
  test::Outcome drawn = test::run({program, "generate", "--prompts", folder + "/prompts"});
  EXPECT_EQ(drawn.code, 0) << drawn.err;
  EXPECT_LE(drawn.peak, 64e6) << drawn.peak;
}

// Both halves of a transformer's attention are one kernel each, heads split and joined inside.
TEST(Fusion, AttentionIsOneKernelInEachHalf) {
  test::Outcome outcome = explain({"tests/bench/gpt6.kiln", "", 0}, "--fusion");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("(attention as attention): transpose transpose transpose attention transpose"),
            std::string::npos)
      << outcome.out;
  EXPECT_NE(outcome.out.find("attention_grad transpose transpose transpose"), std::string::npos) << outcome.out;
  EXPECT_EQ(outcome.out.find("refused: attention"), std::string::npos) << outcome.out;
}

// Reading a prompt and a step through a cache are one kernel a layer, and so is attention that a model writes out.
TEST(Fusion, StepsAndWrittenAttentionAreOneKernelEach) {
  auto attentions = [](const test::Outcome &outcome) {
    size_t count = 0;
    for (size_t at = 0; (at = outcome.out.find("as attention): ", at)) != std::string::npos; ++at)
      ++count;
    return count;
  };
  test::Outcome steps = explain({"models/gpt/gpt.kiln", "", 0}, "--fusion");
  ASSERT_EQ(steps.code, 0) << steps.err;
  EXPECT_EQ(steps.out.find("refused: attention"), std::string::npos) << steps.out;
  EXPECT_GE(attentions(steps), 4u)
      << steps.out; // equal layers are told once: forward's, the prefill's, the step's, the loss's
  test::Outcome written = explain({"tests/e2e/derived.kiln", "Scores", 0}, "--fusion");
  ASSERT_EQ(written.code, 0) << written.err;
  EXPECT_GE(attentions(written), 6u) << written.out; // two layers in forward, prefill and step
}

} // namespace
} // namespace kiln
