// Steps that are derived from forward (derived.kiln): each token's probability is what forward gives it behind all that
// came before it.
#include "runtime/files/Safetensors.h"
#include "tests/e2e/Command.h"
#include "tests/e2e/Fixture.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>

namespace kiln::test {
namespace {

struct Case {
  const char *model, *backend;
};

class Derived : public testing::TestWithParam<Case> {
protected:
  void SetUp() override {
    folder = freshFolder(std::string("derived-") + GetParam().model + "-" + GetParam().backend);
    program = folder + "/program";
    Outcome built = run({kilnProgram(), "build", sourceFolder() + "/tests/e2e/derived.kiln", "--model",
                         GetParam().model, "--backend", GetParam().backend, "--bound", "B=3", "-o", program});
    ASSERT_EQ(built.code, 0) << built.err;
  }

  /// The scores of the next token behind each of `ids`; one row where the model gives those of the last alone.
  Values scores(const std::vector<int32_t> &ids) const {
    std::string file = folder + "/ids.safetensors", output = folder + "/scores.safetensors";
    writeSafetensors(file, {{"ids",
                             KILN_I32,
                             {1, static_cast<int64_t>(ids.size())},
                             reinterpret_cast<const uint8_t *>(ids.data()),
                             4 * ids.size()}});
    Outcome outcome = run({program, "run", "forward", "--seed", "5", "--input", "ids=" + file, "--output", output});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome.code ? Values() : readTensors(output).begin()->second;
  }

  static double logProbability(const double *row, int64_t width, int32_t token) {
    double most = *std::max_element(row, row + width), sum = 0;
    for (int64_t i = 0; i < width; ++i)
      sum += std::exp(row[i] - most);
    return row[token] - most - std::log(sum);
  }

  std::string folder, program;
};

TEST_P(Derived, StepsAgreeWithForward) {
  for (const std::string prompt : {"4", "1 5 7 22 0 3"}) {
    SCOPED_TRACE("prompt " + prompt);
    Outcome drawn = run({program, "generate", "--prompt", prompt, "--seed", "5", "--json", "--log-probabilities"});
    ASSERT_EQ(drawn.code, 0) << drawn.err;
    nlohmann::json line = nlohmann::json::parse(drawn.out);
    std::vector<int32_t> ids, tokens = line.at("tokens");
    std::vector<double> found = line.at("log_probabilities");
    std::istringstream words(prompt);
    for (int32_t id = 0; words >> id;)
      ids.push_back(id);
    ASSERT_EQ(tokens.size(), 20u);
    EXPECT_GT(std::set<int32_t>(tokens.begin(), tokens.end()).size(), 3u); // the model is not stuck
    size_t begin = ids.size();
    ids.insert(ids.end(), tokens.begin(), tokens.end());
    Values whole = scores(ids);
    bool all = whole.shape.size() == 3;
    for (size_t i = 0; i < tokens.size(); ++i) {
      Values prefix;
      if (!all)
        prefix = scores(std::vector<int32_t>(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(begin + i)));
      const Values &from = all ? whole : prefix;
      int64_t width = from.shape.back();
      const double *row = from.data.data() + (all ? (begin + i - 1) * static_cast<size_t>(width) : 0);
      EXPECT_NEAR(found[i], logProbability(row, width, tokens[i]), 2e-5) << "token " << i;
    }
  }
}

// Of several prompts in one batch the longer ones are fed while the shorter go on already; the context ends for all.
TEST_P(Derived, PromptsOfOtherLengthsShareABatch) {
  std::string prompts = folder + "/prompts.txt";
  std::ofstream(prompts) << "1 5 7 22 0 3\n4\n2 2 9\n8 8 8 1\n";
  std::string alone;
  for (const char *rows : {"1", "3"}) {
    Outcome drawn = run({program, "generate", "--prompts", prompts, "--seed", "5", "--tokens", "50", "--batch", rows});
    ASSERT_EQ(drawn.code, 0) << drawn.err;
    EXPECT_EQ(std::count(drawn.out.begin(), drawn.out.end(), '\n'), 4);
    if (alone.empty())
      alone = drawn.out;
    EXPECT_EQ(drawn.out, alone) << rows;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Derived,
                         testing::Values(Case{"Window", "cpu"}, Case{"Table", "cpu"}, Case{"Carried", "cpu"},
                                         Case{"Bigram", "cpu"}, Case{"Newest", "cpu"}, Case{"Scores", "cpu"},
                                         Case{"Counted", "cpu"}, Case{"Windows", "cpu"}, Case{"Latest", "cpu"},
                                         Case{"Window", "reference"}, Case{"Windows", "vulkan"},
                                         Case{"Carried", "reference"}, Case{"Window", "vulkan"},
                                         Case{"Table", "vulkan"}, Case{"Scores", "vulkan"}, Case{"Carried", "vulkan"}),
                         [](const auto &info) { return std::string(info.param.model) + "_" + info.param.backend; });

} // namespace
} // namespace kiln::test
