// Several recipes for one model (stages.kiln, models/federated), beside PyTorch's figures
// (tests/fixtures/make_stages.py): one after the other or by name, averages of weights, a series of rounds, and runs
// that are taken up again.
#include "runtime/files/Safetensors.h"
#include "tests/e2e/Command.h"
#include "tests/e2e/Fixture.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace kiln::test {
namespace {

using Words = std::vector<std::string>;

std::string fixture(const std::string &file) { return sourceFolder() + "/tests/fixtures/stages/" + file; }

struct Built {
  std::string folder, program;

  Built(const std::string &name, const std::string &backend, const Words &model) : folder(freshFolder(name)) {
    program = folder + "/program";
    Words command = {kilnProgram(), "build", "--backend", backend, "-o", program};
    command.insert(command.end(), model.begin(), model.end());
    Outcome built = run(command);
    EXPECT_EQ(built.code, 0) << built.err;
  }

  Outcome call(Words arguments) const {
    arguments.insert(arguments.begin(), program);
    return run(arguments);
  }
};

const Words stagesModel = {sourceFolder() + "/tests/e2e/stages.kiln"};
const Words stagesData = {"--data", "pretrain.data=" + fixture("pretrain.safetensors"), "--data",
                          "finetune.data=" + fixture("finetune.safetensors")};

Words with(Words arguments, const Words &more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

const Words train = with(with({"train"}, stagesData), {"--seed", "3"});
const Words start = {"--load", fixture("init.safetensors")};

void expectNear(const Values &found, const Values &expected, const std::string &what) {
  ASSERT_EQ(found.data.size(), expected.data.size()) << what;
  for (size_t i = 0; i < found.data.size(); ++i)
    EXPECT_NEAR(found.data[i], expected.data[i], 3e-6) << what << " at " << i;
}

class Stages : public testing::TestWithParam<const char *> {};

TEST_P(Stages, GoOnFromEachOtherAsInPyTorch) {
  Built built(std::string("stages-") + GetParam(), GetParam(), stagesModel);
  std::map<std::string, Values> expected = readTensors(fixture("expected.safetensors"));
  Outcome outcome =
      built.call(with(with(train, start), {"--json", "--out", built.folder + "/run", "--save", built.folder + "/end"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  std::vector<nlohmann::json> told = jsonLines(outcome.out);
  ASSERT_EQ(told.size(), 20u);
  for (size_t i = 0; i < told.size(); ++i) {
    std::string stage = i < 12 ? "pretrain" : "finetune";
    size_t step = i < 12 ? i : i - 12;
    EXPECT_EQ(told[i].at("stage"), stage);
    EXPECT_EQ(told[i].at("step"), step);
    EXPECT_NEAR(told[i].at("loss").get<double>(), expected.at(stage + ".loss").data[step], 3e-6) << stage << step;
  }
  // Each stage leaves a checkpoint of its name; the last weights are those of the last one.
  for (const char *stage : {"pretrain", "finetune"}) {
    std::map<std::string, Values> left = readTensors(built.folder + "/run/" + stage + ".safetensors");
    size_t compared = 0;
    for (const auto &[name, value] : left)
      if (auto found = expected.find(std::string(stage) + "." + name); found != expected.end()) {
        expectNear(value, found->second, stage + (" " + name));
        ++compared;
      }
    EXPECT_EQ(compared, 32u);
  }
  std::map<std::string, Values> end = readTensors(built.folder + "/end");
  EXPECT_EQ(end.size(), 32u);
  expectNear(end.at("net.head.weight"), expected.at("finetune.net.head.weight"), "the saved head");
}

INSTANTIATE_TEST_SUITE_P(Backends, Stages, testing::Values("cpu", "reference", "vulkan"),
                         [](const auto &info) { return std::string(info.param); });

TEST(StagesByName, AreAsThoseInARow) {
  Built built("stages-named", "cpu", stagesModel);
  std::string folder = built.folder;
  ASSERT_EQ(built.call(with(with(train, start), {"--out", folder + "/row"})).code, 0);
  Words first = train, second = train;
  first.insert(first.begin() + 1, "pretrain");
  second.insert(second.begin() + 1, "finetune");
  Outcome one = built.call(with(with(first, start), {"--out", folder + "/one", "--save", folder + "/base"}));
  ASSERT_EQ(one.code, 0) << one.err;
  Outcome two = built.call(with(second, {"--load", folder + "/base", "--save", folder + "/tuned"}));
  ASSERT_EQ(two.code, 0) << two.err;
  std::map<std::string, Values> row = readTensors(folder + "/row/finetune.safetensors");
  for (const auto &[name, value] : readTensors(folder + "/tuned"))
    EXPECT_EQ(value.data, row.at(name).data) << name;
  // A run of the first stage alone is taken up by all of them.
  Outcome all = built.call(with(train, {"--out", folder + "/one", "--resume"}));
  ASSERT_EQ(all.code, 0) << all.err;
  EXPECT_EQ(bytes(folder + "/one/last.safetensors"), bytes(folder + "/row/last.safetensors"));
  // What a name cannot mean.
  Outcome back = built.call(with(first, {"--out", folder + "/one", "--resume"}));
  EXPECT_EQ(back.code, 1);
  EXPECT_NE(back.err.find("stands in the recipe 'finetune'"), std::string::npos) << back.err;
  Outcome unknown = built.call(with({"train", "fintune"}, start));
  EXPECT_EQ(unknown.code, 2);
  EXPECT_NE(unknown.err.find("has no recipe 'fintune' (did you mean 'finetune'?)"), std::string::npos) << unknown.err;
}

TEST(StagesByName, AreTakenUpWhereverTheyWere) {
  Built built("stages-resumed", "cpu", stagesModel);
  std::string folder = built.folder;
  Words often = {"--out", folder + "/part"};
  ASSERT_EQ(built.call(with(with(train, start), {"--out", folder + "/whole"})).code, 0);
  // Each stage for five steps: the second goes on from what five steps of the first have left, with `begin` done once.
  ASSERT_EQ(built.call(with(with(train, start), {"--out", folder + "/five", "--steps", "5"})).code, 0);
  Words second = train;
  second.insert(second.begin() + 1, "finetune");
  ASSERT_EQ(built
                .call(with(second, {"--load", folder + "/whole/pretrain.safetensors", "--out", folder + "/part",
                                    "--steps", "5"}))
                .code,
            0);
  Outcome rest = built.call(with(second, {"--out", folder + "/part", "--resume"}));
  ASSERT_EQ(rest.code, 0) << rest.err;
  EXPECT_NE(rest.out.find("resumed at step 5"), std::string::npos) << rest.out;
  std::map<std::string, Values> whole = readTensors(folder + "/whole/last.safetensors");
  for (const auto &[name, value] : readTensors(folder + "/part/last.safetensors"))
    EXPECT_EQ(value.data, whole.at(name).data) << name;
}

TEST(StagesByName, AreMeasuredByName) {
  Built built("stages-measured", "cpu", stagesModel);
  Outcome which = built.call(with(with({"eval"}, stagesData), start));
  EXPECT_EQ(which.code, 2);
  EXPECT_NE(which.err.find("the model has several recipes: pretrain, finetune; say which one, as in eval finetune"),
            std::string::npos)
      << which.err;
  Outcome first = built.call(with(with({"eval", "pretrain", "--json"}, stagesData), start));
  ASSERT_EQ(first.code, 0) << first.err;
  nlohmann::json told = nlohmann::json::parse(first.out);
  EXPECT_NEAR(told.at("loss").get<double>(), told.at("averaged").get<double>(), 1e-6); // a copy begins as its part
  ASSERT_EQ(built.call(with(with(train, start), {"--out", built.folder + "/run"})).code, 0);
  Outcome left =
      built.call(with({"eval", "finetune", "--load", built.folder + "/run/finetune.safetensors"}, stagesData));
  EXPECT_EQ(left.code, 0) << left.err; // what an optimizer has left in a checkpoint is none of the weights
  std::string gradients = built.folder + "/gradients";
  Outcome second = built.call({"grad", "finetune", "--input", "x=" + fixture("inputs.safetensors"), "--input",
                               "label=" + fixture("inputs.safetensors"), "--load", fixture("init.safetensors"),
                               "--output", gradients});
  ASSERT_EQ(second.code, 0) << second.err;
  std::map<std::string, Values> found = readTensors(gradients);
  EXPECT_EQ(found.count("net.head.weight"), 1u);
  EXPECT_EQ(found.count("net.body.0.weight"), 0u); // frozen there
}

TEST(StagesByName, BeginWithTheResultThatTheyName) {
  std::string folder = freshFolder("stages-result"), recipe = "    loss      = mean((w(ones(4, 2)) - 1.0) ** 2)\n";
  std::ofstream(folder + "/line.kiln") << "model Line():\n    w = Linear(2, 1)\n\n"
                                       << "train Line as a:\n"
                                       << recipe << "    optimizer = SGD(lr=0.1)\n    steps = 3\n\n"
                                       << "train Line as b:\n"
                                       << recipe << "    optimizer = SGD(lr=0.2)\n    steps = 3\n\n"
                                       << "train Line as c:\n"
                                       << recipe << "    optimizer = SGD(lr=0.0)\n    weights = a\n    steps = 2\n";
  Built built("stages-result-program", "cpu", {folder + "/line.kiln"});
  Outcome all = built.call({"train", "--out", folder + "/run", "--save", folder + "/end"});
  ASSERT_EQ(all.code, 0) << all.err;
  std::map<std::string, Values> end = readTensors(folder + "/end"), a = readTensors(folder + "/run/a.safetensors");
  EXPECT_EQ(end.at("w.weight").data, a.at("w.weight").data);
  EXPECT_NE(end.at("w.weight").data, readTensors(folder + "/run/b.safetensors").at("w.weight").data);
  Outcome alone = built.call({"train", "c"});
  EXPECT_EQ(alone.code, 1);
  EXPECT_NE(alone.err.find("the recipe 'c' begins with the result of 'a'"), std::string::npos) << alone.err;
  Outcome given = built.call({"train", "c", "--load", folder + "/run/a.safetensors", "--save", folder + "/given"});
  EXPECT_EQ(given.code, 0) << given.err;
  EXPECT_EQ(readTensors(folder + "/given").at("w.weight").data, a.at("w.weight").data);
}

// What `begin` draws is another thing in each round, and is drawn once where a run is taken up within one.
TEST(Rounds, BeginWithDrawsAndAreTakenUpWithin) {
  std::string folder = freshFolder("rounds-drawn");
  std::ofstream(folder + "/drawn.kiln") << "model Drawn():\n"
                                           "    w     = Linear(2, 1)\n"
                                           "    noise = state(f32[4, 2], persistent)\n"
                                           "    sums  = state(f32[2], persistent)\n\n"
                                           "train Drawn as walk:\n"
                                           "    begin:\n"
                                           "        noise = random_normal(4, 2)\n"
                                           "        sums  = sums + sum(noise, axis=0)\n"
                                           "    loss       = mean((w(noise) - 1.0) ** 2)\n"
                                           "    optimizer  = Adam(lr=0.05)\n"
                                           "    steps      = 3\n"
                                           "    checkpoint = every(2, keep=2)\n\n"
                                           "train Drawn as walks:\n"
                                           "    stages = [walk]\n"
                                           "    rounds = 5\n";
  Built built("rounds-drawn-program", "cpu", {folder + "/drawn.kiln"});
  Outcome whole = built.call({"train", "--out", folder + "/whole", "--json", "--seed", "4"});
  ASSERT_EQ(whole.code, 0) << whole.err;
  EXPECT_EQ(jsonLines(whole.out).size(), 15u);
  // After 14 steps, within the last round.
  std::filesystem::create_directory(folder + "/part");
  std::filesystem::copy_file(folder + "/whole/previous-1.safetensors", folder + "/part/last.safetensors");
  Outcome rest = built.call({"train", "--out", folder + "/part", "--resume"});
  ASSERT_EQ(rest.code, 0) << rest.err;
  EXPECT_NE(rest.out.find("resumed at step 14"), std::string::npos) << rest.out;
  std::map<std::string, Values> a = readTensors(folder + "/whole/last.safetensors");
  std::map<std::string, Values> b = readTensors(folder + "/part/last.safetensors");
  for (const auto &[name, value] : a)
    EXPECT_EQ(value.data, b.at(name).data) << name;
  std::map<std::string, Values> before = readTensors(folder + "/whole/previous-1.safetensors");
  EXPECT_EQ(a.at("noise").data, before.at("noise").data);
  EXPECT_EQ(a.at("sums").data, before.at("sums").data);
  double own = a.at("noise").data[0] + a.at("noise").data[2] + a.at("noise").data[4] + a.at("noise").data[6];
  EXPECT_GT(std::abs(a.at("sums").data[0] - 5 * own), 1e-3); // five rounds, not one five times
}

//===-- A rate that reads a metric -------------------------------------------------------------------------------===//

/// A line through made-up points, with steps that are too large at first.
Built plateauProgram(const std::string &name) {
  std::string folder = freshFolder(name + "-model");
  std::ofstream(folder + "/line.kiln") << "model Line():\n"
                                          "    w = Linear(2, 1)\n\n"
                                          "    def forward(x: f32[B, 2]) -> f32[B, 1]:\n"
                                          "        return w(x)\n\n"
                                          "train Line:\n"
                                          "    data      = csv(\"rows.csv\", features=2, target=[2], batch=8, "
                                          "validation=0.25)\n"
                                          "    loss      = mse(forward(data.features), data.target)\n"
                                          "    optimizer = SGD(lr=plateau(0.9, factor=0.5, patience=1, threshold=0.01, "
                                          "least=0.06))\n"
                                          "    steps     = 80\n"
                                          "    validate  = every(2)\n";
  std::ofstream rows(folder + "/rows.csv");
  for (int i = 0; i < 64; ++i) {
    double a = (i * 37 % 64) / 32.0 - 1, b = (i * 23 % 64) / 32.0 - 1, off = (i * 11 % 16) / 8.0 - 1;
    rows << a << "," << b << "," << 2 * a - b + off << "\n";
  }
  rows.close();
  Built built(name, "cpu", {folder + "/line.kiln"});
  built.folder = folder;
  return built;
}

TEST(Plateau, LowersTheRateAsPyTorchDoes) {
  Built built = plateauProgram("plateau");
  Words command = {"train", "--data", "data=" + built.folder + "/rows.csv", "--json"};
  Outcome outcome = built.call(with(command, {"--out", built.folder + "/whole"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  // torch.optim.lr_scheduler.ReduceLROnPlateau(mode="min", threshold_mode="rel")
  double rate = 0.9, best = INFINITY;
  int stale = 0, lowered = 0;
  for (const nlohmann::json &line : jsonLines(outcome.out)) {
    EXPECT_FLOAT_EQ(line.at("lr").get<float>(), static_cast<float>(std::max(rate, 0.06))) << line.at("step");
    if (!line.contains("val_loss"))
      continue;
    double loss = line.at("val_loss");
    bool better = loss < best * (1 - 0.01);
    best = better ? loss : best;
    stale = better ? 0 : stale + 1;
    if (stale > 1) {
      rate *= 0.5;
      stale = 0;
      ++lowered;
    }
  }
  EXPECT_GE(lowered, 4); // down to the least
  // In pieces: an unbroken run's bits.
  ASSERT_EQ(built.call(with(command, {"--out", built.folder + "/part", "--steps", "21"})).code, 0);
  ASSERT_EQ(built.call(with(command, {"--out", built.folder + "/part", "--resume"})).code, 0);
  EXPECT_EQ(readTensors(built.folder + "/part/last.safetensors").at("w.weight").data,
            readTensors(built.folder + "/whole/last.safetensors").at("w.weight").data);
}

//===-- Models of several recipes --------------------------------------------------------------------------------===//

/// The numbers of make_stages.py: from 0 to 1.
std::vector<double> drawn(size_t count, uint64_t offset) {
  std::vector<double> out;
  for (uint64_t n = offset; n < offset + count; ++n)
    out.push_back(static_cast<double>(((n * 2654435761U) & 0xffffffffU) >> 8) / 16777216.0);
  return out;
}

struct Stored {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> floats = {};
  std::vector<int32_t> integers = {};
};

void store(const std::string &path, const std::vector<Stored> &tensors) {
  std::vector<TensorView> views;
  for (const Stored &one : tensors) {
    TensorView view;
    view.name = one.name;
    view.dtype = one.integers.empty() ? KILN_F32 : KILN_I32;
    view.shape = one.shape;
    view.data = one.integers.empty() ? reinterpret_cast<const uint8_t *>(one.floats.data())
                                     : reinterpret_cast<const uint8_t *>(one.integers.data());
    view.bytes = 4 * (one.floats.size() + one.integers.size());
    views.push_back(view);
  }
  writeSafetensors(path, views);
}

/// Two batches of made-up images with labels.
void storeImages(const std::string &path, int64_t batch, uint64_t images, uint64_t labels) {
  Stored image{"image", {2, batch, 1, 28, 28}}, label{"label", {2, batch}};
  for (double number : drawn(static_cast<size_t>(2 * batch * 784), images))
    image.floats.push_back(static_cast<float>(number));
  for (double number : drawn(static_cast<size_t>(2 * batch), labels))
    label.integers.push_back(static_cast<int32_t>(number * 10));
  store(path, {image, label});
}

void storeWeights(const std::string &path, const std::vector<Stored> &shapes, const std::string &prefix) {
  uint64_t at = 1000003;
  std::vector<Stored> weights;
  for (const Stored &one : shapes) {
    size_t count = 1;
    for (int64_t extent : one.shape)
      count *= static_cast<size_t>(extent);
    Stored &weight = weights.emplace_back(Stored{prefix + one.name, one.shape});
    for (double number : drawn(count, at))
      weight.floats.push_back(static_cast<float>((number - 0.5) * 0.2));
    at += count;
  }
  store(path, weights);
}

void expectLosses(const std::vector<nlohmann::json> &told, const std::string &stage, const Values &expected) {
  size_t step = 0;
  for (const nlohmann::json &line : told)
    if (line.at("stage") == stage) {
      ASSERT_LT(step, expected.data.size());
      EXPECT_NEAR(line.at("loss").get<double>(), expected.data[step], 6e-6) << stage << " " << step;
      ++step;
    }
  EXPECT_EQ(step, expected.data.size()) << stage;
}

class StagesOfModels : public testing::TestWithParam<const char *> {};

TEST_P(StagesOfModels, FederatedAveragesAreThoseOfTheSameArithmetic) {
  std::string model = sourceFolder() + "/models/federated/federated.kiln";
  Built built(std::string("federated-") + GetParam(), GetParam(), {model, "--set", "hidden=8", "--set", "rounds=3"});
  std::string folder = built.folder;
  Words command = {"train", "--json", "--save", folder + "/end", "--load", folder + "/start"};
  uint64_t number = 0;
  for (auto [name, batch] : {std::pair("a", 60), std::pair("b", 30), std::pair("c", 10)}) {
    ++number;
    std::string path = folder + "/" + name + ".safetensors";
    storeImages(path, batch, 5000000 * number, 777 * number);
    command.insert(command.end(), {"--data", name + ("=" + path)});
  }
  storeWeights(
      folder + "/start",
      {{"layers.1.weight", {8, 784}}, {"layers.1.bias", {8}}, {"layers.3.weight", {10, 8}}, {"layers.3.bias", {10}}},
      "server.");
  Outcome outcome = built.call(command);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  std::vector<nlohmann::json> told = jsonLines(outcome.out);
  ASSERT_EQ(told.size(), 30u);
  EXPECT_EQ(told[29].at("round"), 2);
  std::map<std::string, Values> expected = readTensors(fixture("federated.safetensors"));
  expectLosses(told, "local", expected.at("loss"));
  std::map<std::string, Values> end = readTensors(folder + "/end");
  for (const auto &[name, value] : expected)
    if (name != "loss")
      expectNear(end.at("server." + name), value, name);
  // In pieces: an unbroken run's bits.
  Words pieces = {"train", "federated", "--load", folder + "/start", "--out", folder + "/run"};
  for (const char *name : {"a", "b", "c"})
    pieces.insert(pieces.end(), {"--data", std::string(name) + "=" + folder + "/" + name + ".safetensors"});
  ASSERT_EQ(built.call(pieces).code, 0);
  std::map<std::string, Values> whole = readTensors(folder + "/run/last.safetensors");
  for (const auto &[name, value] : end)
    EXPECT_EQ(value.data, whole.at(name).data) << name;
}

TEST_P(StagesOfModels, ATransferTrainsWhatItsStagesTrain) {
  std::string model = sourceFolder() + "/models/transfer/transfer.kiln";
  Built built(std::string("transfer-") + GetParam(), GetParam(),
              {model, "--set", "first=2", "--set", "second=3", "--set", "batch=8"});
  std::string folder = built.folder;
  Words command = {"train", "--json", "--steps", "6", "--load", folder + "/start", "--out", folder + "/run"};
  uint64_t offset = 0;
  for (const char *stage : {"source", "top", "whole"}) {
    offset += 100;
    std::string path = folder + "/" + stage + ".safetensors";
    storeImages(path, 8, offset, offset + 13);
    command.insert(command.end(), {"--data", std::string(stage) + ".data=" + path});
  }
  storeWeights(folder + "/start",
               {{"body.0.bias", {2}},
                {"body.0.weight", {2, 1, 5, 5}},
                {"body.3.bias", {3}},
                {"body.3.weight", {3, 2, 5, 5}},
                {"head.bias", {5}},
                {"head.weight", {5, 48}},
                {"old.bias", {5}},
                {"old.weight", {5, 48}}},
               "");
  Outcome outcome = built.call(command);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  std::map<std::string, Values> expected = readTensors(fixture("transfer.safetensors"));
  for (const char *stage : {"source", "top", "whole"})
    expectLosses(jsonLines(outcome.out), stage, expected.at(std::string(stage) + ".loss"));
  std::map<std::string, Values> source = readTensors(folder + "/run/source.safetensors");
  std::map<std::string, Values> top = readTensors(folder + "/run/top.safetensors");
  std::map<std::string, Values> whole = readTensors(folder + "/run/whole.safetensors");
  EXPECT_EQ(source.at("body.0.weight").data, top.at("body.0.weight").data); // frozen
  EXPECT_NE(top.at("body.0.weight").data, whole.at("body.0.weight").data);
  for (const char *name : {"body.0.weight", "body.3.bias", "old.bias", "head.weight"})
    expectNear(whole.at(name), expected.at(name), name);
}

// Forty rounds of PPO in small: passages drawn within `begin`, kept in states, learnt from. What is drawn is the same
// everywhere, and so are the losses up to rounding.
TEST_P(StagesOfModels, PpoIsThatOfTheReference) {
  std::string model = sourceFolder() + "/models/preferences/preferences.kiln";
  std::vector<std::vector<nlohmann::json>> told;
  for (const std::string &backend : {std::string(GetParam()), std::string("reference")}) {
    Built built(std::string("ppo-") + GetParam() + "-" + backend, backend,
                {model, "--set", "width=8", "--set", "batch=4", "--set", "rounds=40"});
    Outcome outcome = built.call({"train", "ppo", "--steps", "1", "--seed", "1", "--json"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    told.push_back(jsonLines(outcome.out));
    ASSERT_EQ(told.back().size(), 40u);
  }
  for (size_t i = 0; i < 40; ++i)
    EXPECT_NEAR(told[0][i].at("loss").get<double>(), told[1][i].at("loss").get<double>(), 1e-5) << i;
  EXPECT_NEAR(told[0][39].at("val_kl").get<double>(), told[1][39].at("val_kl").get<double>(), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Backends, StagesOfModels, testing::Values("cpu", "vulkan"),
                         [](const auto &info) { return std::string(info.param); });

} // namespace
} // namespace kiln::test
