// A batch in shards on models of the field: the losses of the whole batch, and the same bits at any number of threads.
#include "tests/e2e/Command.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kiln::test {
namespace {

struct Case {
  const char *name, *shards;
  std::vector<std::string> settings;
};

class Shards : public testing::TestWithParam<Case> {
protected:
  std::string folder = freshFolder(std::string("shards-") + GetParam().name);

  std::string build(const std::string &name, const std::vector<std::string> &more) {
    std::string model = GetParam().name, program = folder + "/" + name;
    std::vector<std::string> command = {kilnProgram(), "build",
                                        sourceFolder() + "/models/" + model + "/" + model + ".kiln", "-o", program};
    for (const std::string &setting : GetParam().settings)
      command.insert(command.end(), {"--set", setting});
    command.insert(command.end(), more.begin(), more.end());
    Outcome outcome = run(command);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return program;
  }
  std::vector<nlohmann::json> train(const std::string &program, const std::string &threads,
                                    const std::string &weights) {
    std::string data = sourceFolder() + "/tests/fixtures/" + GetParam().name + "/batches.safetensors";
    Outcome outcome = run({program, "train", "--data", "data=" + data, "--steps", "6", "--seed", "3", "--threads",
                           threads, "--json", "--save", folder + "/" + weights});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return jsonLines(outcome.out);
  }
};

TEST_P(Shards, AddUpToTheWholeBatch) {
  std::string program = build("cut", {"--shards", GetParam().shards});
  std::vector<nlohmann::json> whole = train(build("whole", {}), "2", "whole.safetensors");
  std::vector<nlohmann::json> cut = train(program, "1", "one.safetensors");
  ASSERT_EQ(whole.size(), 6u);
  ASSERT_EQ(cut.size(), whole.size());
  for (size_t i = 0; i < whole.size(); ++i) {
    double loss = whole[i].at("loss");
    EXPECT_NEAR(cut[i].at("loss"), loss, 1e-6 * std::max(1.0, std::abs(loss))) << "step " << i;
  }
  EXPECT_EQ(train(program, "3", "three.safetensors"), cut);
  EXPECT_FALSE(bytes(folder + "/one.safetensors").empty());
  EXPECT_TRUE(bytes(folder + "/one.safetensors") == bytes(folder + "/three.safetensors")) << "other bits by threads";
}

INSTANTIATE_TEST_SUITE_P(Models, Shards,
                         testing::Values(Case{"mnist", "4", {}}, Case{"gpt", "2", {}},
                                         Case{"translate", "2", {"source_words=120", "target_words=80", "dropout=0"}}),
                         [](const auto &info) { return std::string(info.param.name); });

} // namespace
} // namespace kiln::test
