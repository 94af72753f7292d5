// Steps that are derived from forward (derived.kiln): each token's probability is what forward gives it behind all that
// came before it.
#include "runtime/files/Safetensors.h"
#include "tests/e2e/Command.h"
#include "tests/e2e/Fixture.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
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
    std::vector<std::string> build = {kilnProgram(),
                                      "build",
                                      sourceFolder() + "/tests/e2e/derived.kiln",
                                      "--model",
                                      GetParam().model,
                                      "--backend",
                                      GetParam().backend,
                                      "--bound",
                                      "B=3",
                                      "--save-stages",
                                      folder + "/stages",
                                      "-o",
                                      program};
    if (std::string(GetParam().model) == "Looker") // of an answer without a bound forward alone has one
      build.insert(build.end(), {"--bound", "N=30"});
    Outcome built = run(build);
    ASSERT_EQ(built.code, 0) << built.err;
  }

  /// A file of numbers, i32[1, T], as an input of this name.
  std::string writeInts(const std::string &name, const std::vector<int32_t> &values) const {
    std::string file = folder + "/" + name + ".safetensors";
    writeSafetensors(file, {{name,
                             KILN_I32,
                             {1, static_cast<int64_t>(values.size())},
                             reinterpret_cast<const uint8_t *>(values.data()),
                             4 * values.size()}});
    return name + "=" + file;
  }

  /// The scores of the next token behind each of `ids`; one row where the model gives those of the last alone.
  Values scores(const std::vector<int32_t> &ids) const {
    std::string input = writeInts("ids", ids), output = folder + "/scores.safetensors";
    Outcome outcome = run({program, "run", "forward", "--seed", "5", "--input", input, "--output", output});
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

// Beams change places: each goes on with a past of its own.
TEST_P(Derived, BeamsAgreeWithForward) {
  if (std::string(GetParam().backend) != "cpu")
    return;
  Outcome drawn =
      run({program, "generate", "--prompt", "4 7", "--seed", "5", "--json", "--beam", "3", "--tokens", "6"});
  if (std::string(GetParam().model) == "Beside") {
    EXPECT_EQ(drawn.code, 1);
    EXPECT_NE(drawn.err.find("'generate.sum.0', f32[4*B, 4], with the sequences on an axis with others"),
              std::string::npos)
        << drawn.err;
    return;
  }
  ASSERT_EQ(drawn.code, 0) << drawn.err;
  using Beam = std::pair<double, std::vector<int32_t>>;
  std::vector<Beam> beams = {{0, {4, 7}}};
  for (int step = 0; step < 6; ++step) {
    std::vector<Beam> next;
    for (const auto &[score, ids] : beams) {
      Values all = scores(ids);
      int64_t width = all.shape.back();
      const double *last = all.data.data() + all.data.size() - width;
      for (int32_t token = 0; token < width; ++token) {
        next.emplace_back(score + logProbability(last, width, token), ids);
        next.back().second.push_back(token);
      }
    }
    std::sort(next.begin(), next.end(), [](const Beam &a, const Beam &b) { return a.first > b.first; });
    next.resize(3);
    beams = next;
  }
  std::vector<int32_t> found = nlohmann::json::parse(drawn.out).at("tokens");
  EXPECT_EQ(found, std::vector<int32_t>(beams[0].second.begin() + 2, beams[0].second.end()));
}

/// Of models that read something else beside what they write.
class DerivedAnswer : public Derived {
protected:
  void answer(const std::vector<std::string> &reads, const std::vector<int32_t> &first, const std::string &inputs) {
    std::vector<std::string> command = {program, "generate", "--seed", "5", "--json", "--log-probabilities"};
    command.insert(command.end(), reads.begin(), reads.end());
    Outcome drawn = run(command);
    ASSERT_EQ(drawn.code, 0) << drawn.err;
    nlohmann::json line = nlohmann::json::parse(drawn.out);
    std::vector<int32_t> tokens = line.at("tokens"), all = first;
    std::vector<double> found = line.at("log_probabilities");
    ASSERT_EQ(tokens.size(), 20u);
    EXPECT_GT(std::set<int32_t>(tokens.begin(), tokens.end()).size(), 3u);
    all.insert(all.end(), tokens.begin(), tokens.end());
    std::string target = writeInts("target", all), output = folder + "/scores.safetensors";
    command = {program, "run", "forward", "--seed", "5", "--input", inputs, "--input", target, "--output", output};
    if (std::string(GetParam().model) == "Before")
      command.insert(command.end(), {"--input", "scale=" + folder + "/seen.safetensors"});
    Outcome ran = run(command);
    ASSERT_EQ(ran.code, 0) << ran.err;
    Values whole = readTensors(output).begin()->second;
    int64_t width = whole.shape.back();
    for (size_t i = 0; i < tokens.size(); ++i) {
      const double *row = whole.data.data() + (first.size() + i - 1) * static_cast<size_t>(width);
      EXPECT_NEAR(found[i], logProbability(row, width, tokens[i]), 2e-5) << "token " << i;
    }
  }
};

TEST_P(DerivedAnswer, StepsAgreeWithForward) {
  for (const std::vector<int32_t> &source : {std::vector<int32_t>{4}, {1, 5, 7, 22, 0, 3}}) {
    std::string text, file = writeInts("source", source);
    for (int32_t id : source)
      text += std::to_string(id) + " ";
    SCOPED_TRACE(text);
    if (std::string(GetParam().model) != "Before") {
      answer({"--prompt", text}, {2}, file);
      continue;
    }
    Outcome looked =
        run({program, "run", "look", "--seed", "5", "--input", file, "--output", folder + "/looked.safetensors"});
    ASSERT_EQ(looked.code, 0) << looked.err;
    std::map<std::string, Values> results = readTensors(folder + "/looked.safetensors");
    std::vector<float> scale(results["0"].data.begin(), results["0"].data.end()),
        mean(results["1"].data.begin(), results["1"].data.end());
    writeSafetensors(folder + "/seen.safetensors",
                     {{"seen", KILN_F32, {1, 16}, reinterpret_cast<const uint8_t *>(mean.data()), 64},
                      {"scale", KILN_F32, {1}, reinterpret_cast<const uint8_t *>(scale.data()), 4}});
    answer({"--input", file}, {source.back(), source.front()}, "seen=" + folder + "/seen.safetensors");
  }
}

// The prefill computes all that is of the source, and the step none of it: its parameters are not the encoder's.
TEST_P(DerivedAnswer, TheStepReadsNoSource) {
  std::string step;
  for (const auto &file : std::filesystem::directory_iterator(folder + "/stages"))
    if (file.path().filename().string().find("import") != std::string::npos)
      step = bytes(file.path().string());
  size_t begin = step.find("@generate.step("), end = step.find("attributes", begin);
  ASSERT_NE(end, std::string::npos);
  step = step.substr(begin, end - begin);
  for (const char *name : {"write.weight", "token", "position"})
    EXPECT_NE(step.find("\"" + std::string(name) + "\""), std::string::npos) << name;
  for (const char *name : {"read.weight", "encoder.attn.query.weight", "encoder.w_ih", "decoder.0.cross.key.weight",
                           "attend.key.weight", "prompt", "source"})
    EXPECT_EQ(step.find("\"" + std::string(name) + "\""), std::string::npos) << name;
}

INSTANTIATE_TEST_SUITE_P(Models, DerivedAnswer,
                         testing::Values(Case{"Reader", "cpu"}, Case{"Looker", "cpu"}, Case{"Before", "cpu"},
                                         Case{"Far", "cpu"}, Case{"Far", "vulkan"}, Case{"Reader", "reference"},
                                         Case{"Before", "reference"}, Case{"Looker", "vulkan"},
                                         Case{"Reader", "vulkan"}),
                         [](const auto &info) { return std::string(info.param.model) + "_" + info.param.backend; });

INSTANTIATE_TEST_SUITE_P(Models, Derived,
                         testing::Values(Case{"Window", "cpu"}, Case{"Table", "cpu"}, Case{"Carried", "cpu"},
                                         Case{"Bare", "cpu"}, Case{"Folded", "cpu"}, Case{"Folded", "reference"},
                                         Case{"Biased", "cpu"}, Case{"Biased", "reference"}, Case{"Bigram", "cpu"},
                                         Case{"Newest", "cpu"}, Case{"Owned", "cpu"}, Case{"Beside", "cpu"},
                                         Case{"Scores", "cpu"}, Case{"Capped", "cpu"}, Case{"Capped", "reference"},
                                         Case{"Caps", "cpu"}, Case{"Caps", "reference"}, Case{"Caps", "vulkan"},
                                         Case{"Counted", "cpu"}, Case{"Windows", "cpu"}, Case{"Latest", "cpu"},
                                         Case{"Window", "reference"}, Case{"Windows", "vulkan"},
                                         Case{"Carried", "reference"}, Case{"Window", "vulkan"},
                                         Case{"Table", "vulkan"}, Case{"Scores", "vulkan"}, Case{"Carried", "vulkan"}),
                         [](const auto &info) { return std::string(info.param.model) + "_" + info.param.backend; });

} // namespace
} // namespace kiln::test
