// A batch in shards on models of the field: the losses of the whole batch, and the same bits at any number of threads;
// with batch norms the losses of PyTorch's DistributedDataParallel.
#include "tests/e2e/Command.h"
#include "tests/e2e/Fixture.h"

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
                                         Case{
                                             "translate", "2", {"source_words=120", "target_words=80", "dropout=0.2"}}),
                         [](const auto &info) { return std::string(info.param.name); });

/// Each shard has its own statistics; the running ones follow their mean (tests/fixtures/make_shards.py).
class ShardsOfBatchNorms : public testing::TestWithParam<const char *> {};

TEST_P(ShardsOfBatchNorms, ArePyTorchsRanks) {
  std::string shards = GetParam(), folder = freshFolder("shards-norms-" + shards), program = folder + "/program";
  std::string fixtures = sourceFolder() + "/tests/fixtures";
  std::map<std::string, Values> expected = readTensors(fixtures + "/shards/resnet.safetensors");
  Outcome built = run({kilnProgram(), "build", sourceFolder() + "/models/resnet/resnet.kiln", "--set", "width=4",
                       "--shards", shards, "-o", program});
  ASSERT_EQ(built.code, 0) << built.err;
  EXPECT_NE(built.err.find("each shard has statistics of its own"), std::string::npos) << built.err;
  Outcome trained =
      run({program, "train", "--data", "data=" + fixtures + "/resnet/batches.safetensors", "--load",
           fixtures + "/resnet/init.safetensors", "--steps", "6", "--json", "--save", folder + "/w.safetensors"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  std::vector<nlohmann::json> steps = jsonLines(trained.out);
  const std::vector<double> &losses = expected.at("loss." + shards).data;
  ASSERT_EQ(steps.size(), losses.size());
  for (size_t i = 0; i < steps.size(); ++i)
    EXPECT_NEAR(steps[i].at("loss"), losses[i], 2e-5 * losses[i]) << "step " << i;
  std::map<std::string, Values> weights = readTensors(folder + "/w.safetensors");
  std::string prefix = "state." + shards + ".";
  size_t states = 0;
  for (const auto &[name, values] : expected)
    if (name.starts_with(prefix)) {
      ++states;
      EXPECT_EQ(compareValues(name, values, weights.at(name.substr(prefix.size())), 1e-4), "");
    }
  EXPECT_EQ(states, 18u);
}

INSTANTIATE_TEST_SUITE_P(Ranks, ShardsOfBatchNorms, testing::Values("2", "4"),
                         [](const auto &info) { return "in" + std::string(info.param); });

} // namespace
} // namespace kiln::test
