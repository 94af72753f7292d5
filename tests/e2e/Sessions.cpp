// Recipes over session state (sessions.kiln), beside PyTorch's truncated backpropagation: what a batch leaves in a
// state the next one begins with, an evaluation has its own, and a resumed run goes on with the bits of an unbroken
// one.
#include "tests/e2e/Command.h"
#include "tests/e2e/Fixture.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace kiln::test {
namespace {

const nlohmann::json &expected() {
  static const nlohmann::json figures =
      nlohmann::json::parse(bytes(sourceFolder() + "/tests/fixtures/sessions/expected.json"));
  return figures;
}

std::string fixture(const std::string &file) { return sourceFolder() + "/tests/fixtures/sessions/" + file; }

struct Case {
  const char *name, *model, *backend;
  const char *shards = ""; ///< whose rows go on from their own
};

class Sessions : public testing::TestWithParam<Case> {
protected:
  void SetUp() override {
    folder =
        freshFolder(std::string("sessions-") + GetParam().name + "-" + GetParam().backend + "-" + GetParam().shards);
    program = folder + "/program";
    std::vector<std::string> command = {kilnProgram(),
                                        "build",
                                        sourceFolder() + "/tests/e2e/sessions.kiln",
                                        "--model",
                                        GetParam().model,
                                        "--backend",
                                        GetParam().backend,
                                        "-o",
                                        program};
    if (*GetParam().shards)
      command.insert(command.end(), {"--shards", GetParam().shards});
    Outcome built = run(command);
    ASSERT_EQ(built.code, 0) << built.err;
  }

  Outcome call(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), program);
    if (std::find(arguments.begin(), arguments.end(), "--resume") == arguments.end()) // which has its own weights
      arguments.insert(arguments.end(), {"--load", fixture(std::string(GetParam().name) + ".init.safetensors")});
    return run(arguments);
  }

  Outcome train(const std::string &out, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"train",
                                          "--data",
                                          "data=" + fixture(std::string(GetParam().name) + ".safetensors"),
                                          "--out",
                                          folder + "/" + out,
                                          "--json",
                                          "--seed",
                                          "3"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return call(arguments);
  }

  std::string folder, program;
};

TEST_P(Sessions, AreCarriedAsPyTorchCarriesThem) {
  const nlohmann::json &figures = expected().at(GetParam().name);
  Outcome trained = train("run");
  ASSERT_EQ(trained.code, 0) << trained.err;
  std::vector<nlohmann::json> steps = jsonLines(trained.out);
  std::vector<double> exact = figures.at("losses"), single = figures.at("losses.f32");
  ASSERT_EQ(steps.size(), exact.size());
  double tolerance = 3e-6;
  for (size_t i = 0; i < steps.size(); ++i) {
    tolerance = std::max(tolerance, 10 * std::abs(single[i] - exact[i]) / exact[i]);
    EXPECT_NEAR(steps[i].at("loss").get<double>(), exact[i], tolerance * exact[i]) << "step " << i;
  }
  std::map<std::string, Values> left = readTensors(folder + "/run/last.safetensors");
  for (const auto &[name, values] : figures.at("states").items()) {
    const Values &found = left.at("session." + name);
    EXPECT_EQ(compareValues(name, {found.shape, values.get<std::vector<double>>()}, found, 1e-5), "");
  }
}

TEST_P(Sessions, GoOnAfterAResume) {
  ASSERT_EQ(train("whole").code, 0);
  ASSERT_EQ(train("parts", {"--steps", "3"}).code, 0);
  ASSERT_EQ(train("parts", {"--resume", "--steps", "4"}).code, 0);
  Outcome rest = train("parts", {"--resume"});
  ASSERT_EQ(rest.code, 0) << rest.err;
  EXPECT_EQ(jsonLines(rest.out).size(), 4u);
  EXPECT_TRUE(bytes(folder + "/whole/last.safetensors") == bytes(folder + "/parts/last.safetensors"));
}

TEST_P(Sessions, AllCommandsTakeThem) {
  Outcome trained = train("run");
  ASSERT_EQ(trained.code, 0) << trained.err;
  std::string data = "data=" + fixture(std::string(GetParam().name) + ".safetensors");
  // A checkpoint's session states are a training's: whoever takes its weights begins anew.
  Outcome first = run({program, "eval", "--data", data, "--load", folder + "/run/last.safetensors", "--json"});
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_GT(jsonLines(first.out).at(0).at("loss").get<double>(), 0);
  Outcome timed = call({"bench", "--data", data, "--min-time", "0"});
  EXPECT_EQ(timed.code, 0) << timed.err;
  Outcome checked = run({kilnProgram(), "check", sourceFolder() + "/tests/e2e/sessions.kiln", "--model",
                         GetParam().model, "--gradients"});
  EXPECT_EQ(checked.code, 0) << checked.out << checked.err;
}

INSTANTIATE_TEST_SUITE_P(Models, Sessions,
                         testing::Values(Case{"gru", "Gru", "cpu"}, Case{"lstm", "Lstm", "cpu"},
                                         Case{"recall", "Recall", "cpu"}, Case{"gru", "Gru", "reference"},
                                         Case{"lstm", "Lstm", "reference"}, Case{"recall", "Recall", "reference"},
                                         Case{"gru", "Gru", "vulkan"}, Case{"recall", "Recall", "vulkan"},
                                         Case{"lstm", "Lstm", "cpu", "3"}, Case{"recall", "Recall", "vulkan", "3"}),
                         [](const auto &info) {
                           return std::string(info.param.name) + "_" + info.param.backend + info.param.shards;
                         });

/// The recipe over a table, with validations as often as `every` says.
std::string tagger(const std::string &folder, const std::string &every) {
  std::string text = bytes(sourceFolder() + "/tests/e2e/sessions.kiln");
  for (auto [was, is] : {std::pair<std::string, std::string>("every(2)", "every(" + every + ")"),
                         {"tagger.csv", fixture("tagger.csv")},
                         {"tagger.validation.csv", fixture("tagger.validation.csv")}})
    text.replace(text.find(was), was.size(), is);
  std::ofstream(folder + "/tagger.kiln") << text;
  Outcome built =
      run({kilnProgram(), "build", folder + "/tagger.kiln", "--model", "Tagger", "-o", folder + "/program"});
  EXPECT_EQ(built.code, 0) << built.err;
  return folder + "/program";
}

std::vector<std::string> overTable(const std::string &program, const std::string &command) {
  return {program, command, "--load", fixture("tagger.init.safetensors"), "--json"};
}

TEST(SessionsOfAnEvaluation, BeginAnewAndGoOnThroughASmallerLastBatch) {
  std::string folder = freshFolder("sessions-eval"), program = tagger(folder, "2");
  Outcome measured = run(overTable(program, "eval"));
  ASSERT_EQ(measured.code, 0) << measured.err;
  double loss = expected().at("tagger").at("validation");
  EXPECT_NEAR(jsonLines(measured.out).at(0).at("loss").get<double>(), loss, 3e-6 * loss);
}

TEST(SessionsOfAnEvaluation, LeaveTheTrainingsAlone) {
  std::vector<double> often, once;
  for (auto [every, losses] : {std::pair("1", &often), {"1000", &once}}) {
    std::string folder = freshFolder(std::string("sessions-every") + every);
    Outcome trained = run(overTable(tagger(folder, every), "train"));
    ASSERT_EQ(trained.code, 0) << trained.err;
    for (const nlohmann::json &line : jsonLines(trained.out))
      losses->push_back(line.at("loss"));
  }
  EXPECT_EQ(often.size(), 12u);
  EXPECT_EQ(often, once);
}

} // namespace
} // namespace kiln::test
