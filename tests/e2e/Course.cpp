// The course's own small examples (models/README.md), each trained as its card says: they end where the notes say.
#include "runtime/files/Safetensors.h"
#include "tests/e2e/Command.h"
#include "tests/e2e/Fixture.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <tuple>

namespace kiln::test {
namespace {

using Words = std::vector<std::string>;

std::string modelFile(const std::string &path) { return sourceFolder() + "/models/" + path; }

/// A model of the course as a program, with its data at hand.
struct Example {
  std::string folder, program, weights;
  Words data;

  Example(const std::string &name, const std::string &model, const Words &data, const Words &settings = {}) {
    static int count = 0;
    folder = freshFolder("course-" + name + "-" + model + std::to_string(count++));
    program = folder + "/program";
    weights = folder + "/weights.safetensors";
    Words command = {kilnProgram(), "build", modelFile(name + "/" + name + ".kiln"), "--model", model, "-o", program};
    for (const std::string &setting : settings)
      command.insert(command.end(), {"--set", setting});
    Outcome built = run(command);
    EXPECT_EQ(built.code, 0) << built.err;
    std::string paths;
    for (const std::string &file : data)
      paths += (paths.empty() ? "" : ",") + modelFile(name + "/" + file);
    if (!paths.empty())
      this->data = {"--data", "data=" + paths};
  }

  Outcome call(Words arguments, const Words &more = {}) const {
    arguments.insert(arguments.begin(), program);
    arguments.insert(arguments.end(), more.begin(), more.end());
    Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome;
  }

  Outcome withData(Words arguments, const Words &more = {}) const {
    arguments.insert(arguments.end(), data.begin(), data.end());
    return call(arguments, more);
  }

  /// The weights that a run ends with.
  std::map<std::string, Values> train(int seed, const Words &more = {}) const {
    withData({"train", "--seed", std::to_string(seed), "--save", weights}, more);
    return readTensors(weights);
  }

  /// Loss and metrics over the examples: at the initial weights, or at the trained ones.
  nlohmann::json figures(bool trained, int seed) const {
    Words command = {"eval", "--split", "train", "--json", "--seed", std::to_string(seed)};
    if (trained)
      command.insert(command.end(), {"--load", weights});
    return nlohmann::json::parse(withData(command).out, nullptr, false);
  }

  /// Every result of a function.
  std::map<std::string, Values> results(const std::string &function, const Words &more) const {
    std::string path = folder + "/results.safetensors";
    call({"run", function, "--output", path}, more);
    return readTensors(path);
  }
};

TEST(Models, AreWithoutErrors) {
  size_t count = 0;
  for (const auto &entry : std::filesystem::directory_iterator(modelFile(""))) {
    std::string name = entry.path().filename();
    if (!entry.is_directory())
      continue;
    EXPECT_TRUE(std::filesystem::exists(entry.path() / (name + ".kiln"))) << name << " has no model of its name";
    for (const auto &part : std::filesystem::directory_iterator(entry.path())) {
      if (part.path().extension() != ".kiln")
        continue;
      Outcome outcome = run({kilnProgram(), "check", part.path()});
      EXPECT_EQ(outcome.code, 0) << outcome.err;
      std::ifstream file(part.path());
      // A detector, or four networks and three ways to train them, take more.
      int most = name == "detr" || name == "preferences" ? 90 : 60;
      EXPECT_LE(std::count(std::istreambuf_iterator<char>(file), {}, '\n'), most) << part.path() << " is no page";
    }
    EXPECT_TRUE(std::filesystem::exists(entry.path() / "README.md")) << name << " has no card";
    ++count;
  }
  EXPECT_GE(count, 20u);
}

// The other task of a recipe whose data is one of two.
TEST(Models, OtherTasks) {
  for (auto [file, model] : {std::pair("finetune/finetune", "Finetune"),
                             {"bert/tasks", "Sentences"},
                             {"subwords/tasks", "Tasks"},
                             {"t5/t5", "T5"}}) {
    Words command = {kilnProgram(), "check",     modelFile(std::string(file) + ".kiln"), "--model", model,
                     "--set",       "task=pairs"};
    if (std::string(model) != "T5")
      command.insert(command.end(), {"--set", "classes=3"});
    Outcome outcome = run(command);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
  }
}

// Only the last bias is learnt: from 0 to -16, as all the notes' readers find.
TEST(Dose, TheLastBiasEndsAtMinus16) {
  Example dose("dose", "Fixed", {"doses.csv"});
  EXPECT_NEAR(dose.figures(false, 0)["loss"].get<double>(), 16.0 * 16.0, 2.0);
  auto weights = dose.train(0);
  EXPECT_NEAR(weights.at("final").data[0], -16.0, 0.02);
  EXPECT_EQ(weights.at("w10").data[0], 12.6F);
  EXPECT_LT(dose.figures(true, 0)["loss"].get<double>(), 1e-6);
  std::string said = dose.withData({"train"}).out; // not "loss 0.0000"
  EXPECT_NE(said.find("e-", said.find("done after 100 steps; loss ")), std::string::npos) << said;
}

TEST(Dose, AllWeightsFreeFindTheCurve) {
  for (const char *shape : {"softplus", "tanh", "sigmoid", "relu"}) {
    SCOPED_TRACE(shape);
    Example dose("dose", "Free", {"doses.csv"}, {std::string("shape=") + shape, "units=8"});
    EXPECT_GT(dose.figures(false, 0)["loss"].get<double>(), 0.5);
    dose.train(0);
    EXPECT_LT(dose.figures(true, 0)["loss"].get<double>(), 1e-6);
  }
}

TEST(Dose, OtherLosses) {
  for (const char *loss : {"absolute", "root"}) {
    SCOPED_TRACE(loss);
    Example dose("dose", "Free", {"doses.csv"}, {std::string("loss=") + loss});
    double before = dose.figures(false, 0)["loss"];
    dose.train(0);
    EXPECT_LT(dose.figures(true, 0)["loss"].get<double>(), 0.2 * before); // it swings around the corner
  }
}

// PyTorch's F.batch_norm and F.layer_norm of the three rows.
TEST(Norms, ComeOutBalanced) {
  const double columns[3][3] = {{-1.221087, -1.224745, -1.221087}, {1.221087, 1.224744, 1.221087}, {0, 0, 0}};
  const double rows[3][3] = {
      {-0.708169, 1.414213, -0.706044}, {-0.707992, 1.414213, -0.706221}, {-0.708073, 1.414213, -0.706141}};
  Example norms("norms", "Norms", {});
  for (const char *function : {"forward", "by_hand"}) {
    auto results = norms.results(function, {"--training", "--input", "x=" + modelFile("norms/rows.npy")});
    ASSERT_EQ(results.size(), 2u);
    for (int i = 0; i < 9; ++i) {
      EXPECT_NEAR(results.begin()->second.data[i], columns[i / 3][i % 3], 2e-6) << function;
      EXPECT_NEAR(results.rbegin()->second.data[i], rows[i / 3][i % 3], 2e-6) << function;
    }
  }
}

// The two names, which are followed and preceded by the same words, move together.
TEST(Embeddings, TheTwoNamesMoveTogether) {
  for (const char *model : {"OneHot", "Table"}) {
    SCOPED_TRACE(model);
    Example words("embeddings", model, {"sentences.csv"});
    std::vector<double> before, after;
    for (int seed : {0, 1, 2}) {
      before.push_back(words.figures(false, seed)["alike"]);
      words.train(seed);
      nlohmann::json figures = words.figures(true, seed);
      EXPECT_EQ(figures["accuracy"], 1.0);
      EXPECT_LT(figures["loss"].get<double>(), 1e-3);
      after.push_back(figures["alike"]);
    }
    std::sort(before.begin(), before.end());
    std::sort(after.begin(), after.end());
    EXPECT_LT(before[1], 0.9);
    EXPECT_GT(after[1], 0.97);
  }
}

TEST(Prices, BothKindsTellTheCompaniesApart) {
  for (auto [model, seed] : {std::pair("Equations", 1), {"Standard", 1}}) {
    Example prices("prices", model, {"prices.csv"});
    EXPECT_GT(prices.figures(false, seed)["loss"].get<double>(), 0.1);
    prices.train(seed);
    EXPECT_LT(prices.figures(true, seed)["loss"].get<double>(), 1e-2) << model;
  }
}

TensorView view(const std::string &name, std::vector<int64_t> shape, const std::vector<float> &values) {
  return {name, KILN_F32, std::move(shape), reinterpret_cast<const uint8_t *>(values.data()), 4 * values.size()};
}

// The equations are the standard LSTM, bit for bit, once their weights stand where PyTorch has them.
TEST(Prices, TheEquationsAreTheStandardLstm) {
  Example equations("prices", "Equations", {"prices.csv"}), standard("prices", "Standard", {"prices.csv"});
  auto weights = equations.train(3, {"--steps", "500"});
  std::vector<float> x, h, b, zero(4);
  for (std::string gate : {"keep", "forget", "candidate", "output"}) {
    x.push_back(static_cast<float>(weights.at(gate + ".x").data[0]));
    h.push_back(static_cast<float>(weights.at(gate + ".h").data[0]));
    b.push_back(static_cast<float>(weights.at(gate + ".b").data[0]));
  }
  writeSafetensors(standard.weights, {view("lstm.weight_ih_l0", {4, 1}, x), view("lstm.weight_hh_l0", {4, 1}, h),
                                      view("lstm.bias_ih_l0", {4}, b), view("lstm.bias_hh_l0", {4}, zero)});
  std::string input = equations.folder + "/prices.safetensors";
  writeSafetensors(input, {view("prices", {2, 4}, {0, 0.5F, 0.25F, 1, 1, 0.5F, 0.25F, 1})});
  auto a = equations.results("forward", {"--load", equations.weights, "--input", "prices=" + input});
  auto c = standard.results("forward", {"--load", standard.weights, "--input", "prices=" + input});
  ASSERT_EQ(a.size(), 1u);
  ASSERT_EQ(a.begin()->second.data.size(), 2u);
  EXPECT_EQ(a.begin()->second.data, c.begin()->second.data);
}

TEST(Vamos, LetsGoIsVamos) {
  for (const char *name : {"vamos", "vamos_transformer"}) {
    Example vamos(name, "Vamos", {"english.txt", "spanish.txt"});
    for (int seed : {0, 1}) {
      vamos.train(seed);
      EXPECT_EQ(vamos.call({"generate", "--load", vamos.weights, "--prompt", "let's go"}).out, "vamos\n") << name;
    }
  }
}

// Each of the 26 letters becomes its word.
TEST(Letters, AWordComesOutOfItsFirstLetter) {
  Example letters("letters", "Letters", {"words.tsv"});
  letters.train(0);
  std::ifstream words(modelFile("letters/words.tsv"));
  int count = 0;
  for (std::string word; std::getline(words, word); ++count)
    EXPECT_EQ(letters.call({"generate", "--load", letters.weights, "--prompt", word.substr(0, 1)}).out, word + "\n");
  EXPECT_EQ(count, 26);
}

TEST(StatQuest, BothPromptsAreAnsweredByAwesome) {
  Example statquest("statquest", "StatQuest", {"prompts.tsv"});
  statquest.train(0);
  for (std::string prompt : {"what is statquest <EOS>", "statquest is what <EOS>"})
    EXPECT_EQ(statquest.call({"generate", "--load", statquest.weights, "--prompt", prompt}).out, prompt + " awesome\n");
}

// Ten, three and one update an epoch: the more, the further it comes in twenty epochs.
TEST(Sentences, MoreUpdatesAnEpochComeFurther) {
  std::vector<double> losses;
  for (const char *batch : {"1", "3", "10"}) {
    Example sentences("sentences", "Sentences", {"sentences.tsv"}, {std::string("batch=") + batch});
    Outcome outcome = sentences.withData({"train", "--seed", "0", "--save", sentences.weights, "--json"});
    EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 20 * (10 / std::stoi(batch)));
    losses.push_back(sentences.figures(true, 0)["loss"]);
  }
  EXPECT_LT(losses[0], 0.05);
  EXPECT_LT(losses[1], 0.3);
  EXPECT_LT(losses[0], losses[1]);
  EXPECT_LT(losses[1], losses[2]);
}

// Three clouds of points stay three clouds; the shares that say who is near are those of the perplexity.
TEST(Tsne, WhatIsNearStaysNear) {
  constexpr int kEach = 20, kAll = 3 * kEach, kWidth = 5;
  Example tsne("tsne", "TSNE", {}, {"points=60", "width=5", "perplexity=10", "steps=500"});
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> points;
  for (int i = 0; i < kAll * kWidth; ++i)
    points.push_back(normal(random) + (i % kWidth == i / kWidth / kEach ? 12.0F : 0.0F));
  std::string input = tsne.folder + "/points.safetensors", shares = tsne.folder + "/shares.safetensors";
  writeSafetensors(input, {view("x", {kAll, kWidth}, points)});
  Values p = tsne.results("neighbours", {"--input", "x=" + input}).begin()->second;
  ASSERT_EQ(p.data.size(), static_cast<size_t>(kAll * kAll));
  double sum = 0;
  for (int i = 0; i < kAll; ++i)
    for (int k = 0; k < kAll; ++k) {
      sum += p.data[i * kAll + k];
      EXPECT_FLOAT_EQ(p.data[i * kAll + k], p.data[k * kAll + i]);
    }
  EXPECT_NEAR(sum, 1, 1e-5);
  EXPECT_EQ(p.data[0], 0);
  std::vector<float> values(p.data.begin(), p.data.end());
  writeSafetensors(shares, {view("p", {1, kAll, kAll}, values)});
  tsne.call({"train", "--data", "data=" + shares, "--save", tsne.weights});
  Values y = readTensors(tsne.weights).at("y");
  for (int i = 0; i < kAll; ++i) {
    int nearest = i ? 0 : 1;
    auto apart = [&](int k) {
      return std::hypot(y.data[2 * i] - y.data[2 * k], y.data[2 * i + 1] - y.data[2 * k + 1]);
    };
    for (int k = 0; k < kAll; ++k)
      if (k != i && apart(k) < apart(nearest))
        nearest = k;
    EXPECT_EQ(nearest / kEach, i / kEach) << i;
  }
}

// The published weights give the embeddings that transformers gives.
TEST(MiniLM, PublishedWeightsGiveTheirEmbeddings) {
  const char *data = std::getenv("KILN_DATA");
  if (!data)
    GTEST_SKIP() << "KILN_DATA is not set: no published weights";
  Example minilm("minilm", "MiniLM", {});
  std::string folder = std::string(data) + "/minilm/", reference = folder + "reference.safetensors";
  auto found = minilm.results("forward", {"--load", folder + "model.safetensors", "--input", "ids=" + reference,
                                          "--input", "mask=" + reference});
  Values expected = readTensors(reference).at("embeddings");
  const Values &embeddings = found.begin()->second;
  ASSERT_EQ(embeddings.shape, expected.shape);
  for (size_t i = 0; i < expected.data.size(); ++i)
    ASSERT_NEAR(embeddings.data[i], expected.data[i], 1e-5) << i;
}

std::string dataFolder() {
  const char *data = std::getenv("KILN_DATA");
  return data ? std::string(data) + "/" : "";
}

void writeLines(const std::string &path, const Words &lines) {
  std::ofstream file(path);
  for (std::string line : lines) {
    std::replace(line.begin(), line.end(), '\n', ' ');
    file << line << '\n';
  }
}

/// MiniLM as published, within the program.
std::string publishedMiniLM() {
  static std::string program;
  if (program.empty()) {
    program = freshFolder("course-published") + "/program";
    Outcome built = run({kilnProgram(), "build", modelFile("minilm/minilm.kiln"), "--weights",
                         dataFolder() + "minilm/model.safetensors", "-o", program});
    EXPECT_EQ(built.code, 0) << built.err;
  }
  return program;
}

// From the sentences alone, whatever stands beside them in a run.
TEST(MiniLM, TextsGiveTheirEmbeddings) {
  if (dataFolder().empty())
    GTEST_SKIP() << "KILN_DATA is not set: no published weights";
  std::string folder = freshFolder("course-texts");
  Values expected = readTensors(dataFolder() + "minilm/reference.safetensors").at("embeddings");
  std::ifstream file(dataFolder() + "minilm/sentences.json");
  Words command = {publishedMiniLM(), "run", "--output", folder + "/all.safetensors"};
  nlohmann::json sentences = nlohmann::json::parse(file);
  for (const nlohmann::json &sentence : sentences["sentences"])
    command.insert(command.end(), {"--text", sentence.get<std::string>()});
  Outcome outcome = run(command);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  Values found = readTensors(folder + "/all.safetensors").begin()->second;
  ASSERT_EQ(found.shape, expected.shape);
  for (size_t i = 0; i < expected.data.size(); ++i)
    ASSERT_NEAR(found.data[i], expected.data[i], 1e-5) << i;
}

// Each question of XQuAD finds its paragraph among the 240, as often as with transformers.
TEST(MiniLM, QuestionsFindTheirParagraphs) {
  if (dataFolder().empty())
    GTEST_SKIP() << "KILN_DATA is not set: no published weights";
  std::string folder = freshFolder("course-retrieval");
  Words paragraphs, questions;
  std::vector<size_t> right;
  std::ifstream file(dataFolder() + "xquad/xquad.en.json");
  nlohmann::json all = nlohmann::json::parse(file);
  for (const nlohmann::json &article : all["data"])
    for (const nlohmann::json &paragraph : article["paragraphs"]) {
      for (const nlohmann::json &question : paragraph["qas"]) {
        questions.push_back(question["question"]);
        right.push_back(paragraphs.size());
      }
      paragraphs.push_back(paragraph["context"]);
    }
  writeLines(folder + "/paragraphs.txt", paragraphs);
  writeLines(folder + "/questions.txt", questions);
  Outcome read = run({publishedMiniLM(), "run", "--texts", folder + "/paragraphs.txt", "--output", folder + "/p.npy"});
  ASSERT_EQ(read.code, 0) << read.err;
  Outcome asked = run({publishedMiniLM(), "run", "nearest", "--texts", folder + "/questions.txt", "--input",
                       "among=" + folder + "/p.npy", "--output", folder + "/found.safetensors"});
  ASSERT_EQ(asked.code, 0) << asked.err;
  Values lines = readTensors(folder + "/found.safetensors").at("lines");
  ASSERT_EQ(lines.data.size(), 5 * right.size());
  double first = 0, five = 0;
  for (size_t i = 0; i < right.size(); ++i) {
    auto row = lines.data.begin() + static_cast<ptrdiff_t>(5 * i);
    first += row[0] == static_cast<double>(right[i]);
    five += std::count(row, row + 5, static_cast<double>(right[i])) > 0;
  }
  EXPECT_NEAR(first / right.size(), 0.885, 0.001);
  EXPECT_NEAR(five / right.size(), 0.982, 0.001);
}

// The pole stands for 195 moments of 500 and more, in the mean of 128 episodes.
TEST(CartPole, KeepsThePoleUpright) {
  Example cart("cartpole", "CartPole", {});
  EXPECT_LT(cart.figures(false, 0)["length"].get<double>(), 60);
  cart.train(0, {"--steps", "100"});
  double sum = 0;
  for (int seed : {11, 12, 13, 14})
    sum += cart.figures(true, seed)["length"].get<double>();
  EXPECT_GE(sum / 4, 195);
}

// At minus half the weight: there the choice turns where hunger begins.
TEST(Fries, TheBiasSettles) {
  Example fries("fries", "Fries", {});
  std::vector<double> biases;
  for (int seed : {0, 1, 2})
    biases.push_back(fries.train(seed).at("bias").data[0]);
  std::sort(biases.begin(), biases.end());
  EXPECT_GT(biases[1], -11.0);
  EXPECT_LT(biases[1], -9.0);
}

// What an RNN, an LSTM (whose memory is a tuple) and a GRU write, token by token, is what forward makes likeliest over
// the whole of it.
TEST(Characters, WriteWhatForwardMakesLikeliest) {
  for (std::string cell : {"rnn", "lstm", "gru"}) {
    SCOPED_TRACE(cell);
    Fixture fixture = Fixture::open(cell);
    Words settings;
    for (const auto &[key, value] : fixture.settings)
      settings.push_back(key + "=" + value);
    Example model("characters", "Characters", {}, settings);
    std::string weights = fixture.folder + "/init.safetensors", input = model.folder + "/ids.safetensors";
    Outcome written = model.call({"generate", "--greedy", "--tokens", "8", "--json", "--load", weights, "--data",
                                  "data=" + fixture.data + "/batches.safetensors", "--prompt", "0"});
    std::vector<int32_t> ids = {0};
    nlohmann::json line = nlohmann::json::parse(written.out);
    for (int32_t token : line["tokens"])
      ids.push_back(token);
    ASSERT_EQ(ids.size(), 9u);
    writeSafetensors(input, {{"ids", KILN_I32, {1, 9}, reinterpret_cast<const uint8_t *>(ids.data()), 36}});
    Values scores = model.results("forward", {"--load", weights, "--input", "ids=" + input}).begin()->second;
    for (int at = 0; at < 8; ++at) {
      auto row = scores.data.begin() + at * scores.shape[2];
      EXPECT_EQ(std::max_element(row, row + scores.shape[2]) - row, ids[at + 1]) << at;
    }
  }
}

} // namespace
} // namespace kiln::test
