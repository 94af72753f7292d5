// Answers under the settings of generation_config.json: transformers' tokens, greedy ones and a search's
// (make_answers.py).
#include "tests/e2e/Command.h"
#include "tests/e2e/Fixture.h"

#include "gtest/gtest.h"

#include <filesystem>
#include <fstream>

namespace kiln::test {
namespace {

using nlohmann::json;

json cases() { return json::parse(bytes(sourceFolder() + "/tests/fixtures/answers.json")); }

std::vector<std::string> names() {
  std::vector<std::string> names;
  for (const auto &[name, one] : cases().items())
    names.push_back(name);
  return names;
}

class Rules : public ::testing::TestWithParam<std::string> {};

TEST_P(Rules, AnswerAsTransformersDoes) {
  json one = cases()[GetParam()];
  std::string folder = freshFolder("rules-" + GetParam()), program = folder + "/program";
  std::string model = sourceFolder() + "/tests/fixtures/huggingface/" + one["folder"].get<std::string>();
  for (const char *file : {"config.json", "model.safetensors"})
    std::filesystem::copy_file(model + "/" + file, folder + "/" + file);
  std::ofstream(folder + "/generation_config.json") << one["generation"];
  Outcome built = run({kilnProgram(), "build", folder, "-o", program});
  ASSERT_EQ(built.code, 0) << built.err;
  EXPECT_EQ(built.err.find("not taken"), std::string::npos) << built.err;
  std::string prompt;
  for (int token : one["prompt"])
    prompt += std::to_string(token) + " ";
  Outcome drawn = run({program, "generate", "--prompt", prompt, "--tokens",
                       std::to_string(one["generation"].value("max_new_tokens", 40)), "--json"});
  ASSERT_EQ(drawn.code, 0) << drawn.err;
  EXPECT_EQ(jsonLines(drawn.out).at(0)["tokens"], one["tokens"]);
}

INSTANTIATE_TEST_SUITE_P(Cases, Rules, ::testing::ValuesIn(names()));

} // namespace
} // namespace kiln::test
