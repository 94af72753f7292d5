// The programs of the five models beside PyTorch: its weights in, the same batches in. KILN_TEST_BACKEND names another
// backend than the cpu, KILN_TEST_DEVICE a device profile of it, KILN_TEST_CPU another processor than this one;
// KILN_TEST_RED_ZONES has them built with red zones; KILN_TEST_MATH=fast asks for what the fast mode promises, losses
// within 1e-3, and nothing of gradients.
#include "tests/e2e/Command.h"
#include "tests/e2e/Fixture.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace kiln::test {
namespace {

bool isFast() {
  const char *math = std::getenv("KILN_TEST_MATH");
  return math && std::string(math) == "fast";
}

/// A model built once for all of its tests.
struct Built {
  Fixture fixture;
  std::string folder, program, error;
};

/// Puts a script in the program's place that gives the program to another one: an emulator and its arguments.
void runThrough(const std::string &runner, const std::string &program) {
  std::filesystem::rename(program, program + ".real");
  std::ofstream(program) << "#!/bin/sh\nexec " << runner << " '" << program << ".real' \"$@\"\n";
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
}

const Built &built(const std::string &name) {
  static std::map<std::string, Built> all;
  auto [place, fresh] = all.try_emplace(name);
  Built &model = place->second;
  if (!fresh)
    return model;
  model.fixture = Fixture::open(name);
  model.folder = freshFolder(name);
  model.program = model.folder + "/program";
  std::vector<std::string> command = {kilnProgram(),       "build", model.fixture.source, "--model",
                                      model.fixture.model, "-o",    model.program};
  for (auto [variable, option] : {std::pair("KILN_TEST_BACKEND", "--backend"),
                                  {"KILN_TEST_DEVICE", "--target-device"},
                                  {"KILN_TEST_CPU", "--target-cpu"},
                                  {"KILN_TEST_TARGET", "--target"},
                                  {"KILN_TEST_MATH", "--math"}})
    if (const char *value = std::getenv(variable))
      command.insert(command.end(), {option, value});
  if (std::getenv("KILN_TEST_RED_ZONES"))
    command.push_back("--red-zones");
  for (const auto &[key, value] : model.fixture.settings) {
    command.push_back("--set");
    command.push_back(key + "=" + value);
  }
  Outcome outcome = run(command);
  if (outcome.code != 0)
    model.error = outcome.out + outcome.err;
  else if (const char *runner = std::getenv("KILN_TEST_RUNNER"))
    runThrough(runner, model.program);
  return model;
}

/// As many rows of `values` as `expected` has, which may hold the first ones alone.
Values firstRows(Values values, const Values &expected) {
  if (values.shape.empty() || expected.shape.empty() || expected.shape[0] >= values.shape[0])
    return values;
  values.data.resize(values.data.size() / values.shape[0] * expected.shape[0]);
  values.shape[0] = expected.shape[0];
  return values;
}

/// Drivers that compile shaders on the processor take seconds for each: there, the small programs stand for the others.
bool takesLong(const std::string &name) {
  static const std::set<std::string> small = {"softmax", "iris", "mnist", "gpt", "digits", "lenet", "rnn", "control"};
  return std::getenv("KILN_TEST_BACKEND") && !std::getenv("KILN_LONG") && !small.contains(name);
}

class Parity : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    if (takesLong(GetParam()))
      GTEST_SKIP() << "takes minutes: set KILN_LONG to have it run";
    model = &built(GetParam());
    ASSERT_EQ(model->error, "") << "kiln build failed";
  }

  std::string file(const std::string &name) const { return model->fixture.folder + "/" + name; }

  Outcome call(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), model->program);
    arguments.insert(arguments.end(), {"--load", file("init.safetensors"), "--threads", "2"});
    return run(arguments);
  }

  Outcome train(const std::string &steps, const std::string &out, const std::string &save) const {
    return call({"train", "--data", "data=" + model->fixture.data + "/batches.safetensors", "--steps", steps, "--json",
                 "--out", model->folder + "/" + out, "--save", save});
  }

  std::string input(const std::string &field) const {
    return field + "=" + model->fixture.data + "/inputs.safetensors";
  }

  /// The function of batch 0; labels are no inputs of it.
  Values output(const std::string &mode) const {
    std::string path = model->folder + "/output." + mode + ".safetensors";
    std::vector<std::string> command = {"run", model->fixture.function, "--output", path};
    for (const std::string &field : model->fixture.inputs)
      command.insert(command.end(), {"--input", field + "=" + model->fixture.given});
    if (mode == "train")
      command.push_back("--training");
    Outcome outcome = call(command);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    if (outcome.code != 0)
      return {};
    auto tensors = readTensors(path);
    EXPECT_GE(tensors.size(), 1u);
    return firstRows(tensors.begin()->second, model->fixture.expected.at("output." + mode));
  }

  const Built *model = nullptr;
};

TEST_P(Parity, Losses) {
  Outcome outcome = train("25", "run", model->folder + "/last.safetensors");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  std::vector<double> losses;
  std::istringstream lines(outcome.out);
  for (std::string line; std::getline(lines, line);) {
    nlohmann::json entry = nlohmann::json::parse(line, nullptr, false);
    if (entry.is_object() && entry.contains("step") && entry.contains("loss"))
      losses.push_back(entry["loss"]);
  }
  ASSERT_EQ(losses.size(), 25u) << outcome.out;
  EXPECT_EQ(compareLosses(model->fixture, losses, isFast() ? 1e-3 : 0), "");
  if (!isFast())
    EXPECT_EQ(compareFinal(model->fixture, readTensors(model->folder + "/last.safetensors")), "");
}

TEST_P(Parity, Gradients) {
  std::string path = model->folder + "/gradients.safetensors";
  std::vector<std::string> command = {"grad", "--output", path};
  for (const std::string &field : model->fixture.fields)
    command.insert(command.end(), {"--input", input(field)});
  Outcome outcome = call(command);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  auto gradients = readTensors(path);
  gradients.erase("loss");
  EXPECT_EQ(compareGradients(model->fixture, gradients), "");
}

TEST_P(Parity, OutputInInferenceMode) {
  EXPECT_EQ(compareValues("output", model->fixture.expected.at("output.eval"), output("eval"), 1e-5), "");
}

TEST_P(Parity, OutputInTrainingMode) {
  EXPECT_EQ(compareValues("output", model->fixture.expected.at("output.train"), output("train"), 1e-5), "");
}

TEST_P(Parity, StatesAfterOneStep) {
  std::string path = model->folder + "/one.safetensors";
  Outcome outcome = train("1", "one", path);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  auto saved = readTensors(path);
  for (const auto &[key, values] : model->fixture.expected) {
    if (!key.starts_with("state."))
      continue;
    ASSERT_TRUE(saved.count(key.substr(6))) << key;
    EXPECT_EQ(compareValues(key, values, saved.at(key.substr(6)), 3e-6), "");
  }
}

struct Group {
  const char *model, *function;
  std::vector<const char *> inputs;
};

/// Every standard module, function and loss as compiled code: zoo.kiln, annex.kiln, ports.kiln, rest.kiln,
/// spectra.kiln; branches and loops that data decide: control.kiln; derivatives within a model: slopes.kiln.
class Zoo : public testing::TestWithParam<Group> {
protected:
  void SetUp() override {
    if (takesLong(GetParam().model))
      GTEST_SKIP() << "takes minutes: set KILN_LONG to have it run";
  }
};

Outcome callZoo(const std::string &model, std::vector<std::string> command, const std::vector<const char *> &inputs,
                const std::string &output) {
  auto file = [&](const std::string &name) { return built(model).fixture.folder + "/" + name; };
  command.insert(command.begin(), built(model).program);
  for (const char *input : inputs)
    command.insert(command.end(), {"--input", input + ("=" + file("inputs.safetensors"))});
  command.insert(command.end(), {"--load", file("init.safetensors"), "--output", output, "--threads", "2"});
  return run(command);
}

TEST_P(Zoo, Outputs) {
  const Built &zoo = built(GetParam().model);
  ASSERT_EQ(zoo.error, "");
  std::string function = GetParam().function, path = zoo.folder + "/" + function + ".safetensors";
  Outcome outcome = callZoo(GetParam().model, {"run", function}, GetParam().inputs, path);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  auto results = readTensors(path);
  size_t count = 0;
  for (const auto &[key, values] : zoo.fixture.expected) {
    if (!key.starts_with(function + "."))
      continue;
    std::string name = key.substr(function.size() + 1);
    ASSERT_TRUE(results.count(name)) << key;
    EXPECT_EQ(compareValues(key, values, results.at(name), 3e-6), "");
    ++count;
  }
  EXPECT_EQ(results.size(), count);
}

INSTANTIATE_TEST_SUITE_P(
    Groups, Zoo,
    testing::Values(
        Group{"zoo", "dense", {"x", "y", "ids"}}, Group{"zoo", "activations", {"x"}},
        Group{"zoo", "norms", {"x", "image", "sequence"}}, Group{"zoo", "convolutions", {"image", "sequence"}},
        Group{"zoo", "recurrent", {"x", "sequence", "mask"}}, Group{"zoo", "attending", {"sequence", "memory", "mask"}},
        Group{"zoo", "positions", {"sequence"}}, Group{"zoo", "losses", {"x", "y", "label"}},
        Group{"annex", "indexing", {"image", "rows", "places"}}, Group{"annex", "products", {"image", "x"}},
        Group{"annex", "resizing", {"image", "points", "theta", "angles"}},
        Group{"annex", "sampling", {"image", "points", "theta"}}, Group{"annex", "meeting", {"x", "image"}},
        Group{"annex", "padding", {"image"}}, Group{"annex", "pooling", {"image"}},
        Group{"annex", "convolutions", {"image"}}, Group{"annex", "norms", {"image"}},
        Group{"annex", "activations", {"x", "y"}}, Group{"annex", "attending", {"sequence", "image", "mask"}},
        Group{"annex", "recurrent", {"sequence", "x"}}, Group{"annex", "losses", {"x", "y", "label"}},
        Group{"annex", "corners", {"other", "label"}},
        Group{"annex", "alignments", {"sequence", "labels", "times", "counts"}},
        Group{"annex", "functions", {"x", "y"}}, Group{"annex", "pieces", {"x", "y", "rows"}},
        Group{"annex", "several", {"x", "y"}}, Group{"ports", "weights", {"image", "x"}},
        Group{"ports", "pooling", {"image"}}, Group{"ports", "resizing", {"image"}},
        Group{"ports", "recurrent", {"sequence", "mask"}}, Group{"ports", "losses", {"x", "y", "label"}},
        Group{"ports", "numbers", {"x", "y"}}, Group{"ports", "joined", {"x", "y", "rows"}},
        Group{"ports", "algebra", {"x", "y"}}, Group{"rest", "norms", {"image", "rows"}},
        Group{"rest", "pools", {"image"}}, Group{"rest", "special", {"x", "y"}}, Group{"rest", "polynomials", {"x"}},
        Group{"rest", "algebra", {"x", "y"}}, Group{"rest", "attended", {"sequence", "mask"}},
        Group{"control", "branches", {"x"}}, Group{"slopes", "pointwise", {"x"}}, Group{"slopes", "reduced", {"x"}},
        Group{"slopes", "products", {"x"}}, Group{"slopes", "images", {"image"}},
        Group{"slopes", "moved", {"x", "rows"}}, Group{"slopes", "attending", {"words", "mask"}},
        Group{"slopes", "recurrent", {"words"}}, Group{"slopes", "losses", {"x", "y", "label"}},
        Group{"slopes", "algebra", {"x"}}, Group{"slopes", "forms", {"x"}}, Group{"slopes", "parts", {"x", "words"}},
        Group{"spectra", "pairs", {"z", "image"}}, Group{"spectra", "transforms", {"z", "image"}},
        Group{"spectra", "signals", {"signal"}}, Group{"spectra", "any_length", {"signal"}},
        Group{"spectra", "singular", {"image"}}, Group{"spectra", "gammas", {"signal"}},
        Group{"spectra", "boxes", {"image"}}, Group{"spectra", "transducer", {"signal"}},
        Group{"control", "early", {"x"}}, Group{"control", "loops", {"x"}}, Group{"control", "nested", {"x", "n"}}),
    [](const auto &info) { return std::string(info.param.model) + "_" + info.param.function; });

class ZooTraining : public testing::TestWithParam<const char *> {};

TEST_P(ZooTraining, Gradients) {
  const Built &zoo = built(GetParam());
  ASSERT_EQ(zoo.error, "");
  if (takesLong(GetParam()))
    GTEST_SKIP() << "builds; to run it takes minutes: set KILN_LONG";
  std::string path = zoo.folder + "/gradients.safetensors";
  std::vector<const char *> inputs;
  for (const std::string &input : zoo.fixture.fields)
    inputs.push_back(input.c_str());
  Outcome outcome = callZoo(GetParam(), {"grad"}, inputs, path);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  auto gradients = readTensors(path);
  EXPECT_EQ(compareLosses(zoo.fixture, gradients.at("loss").data), "");
  gradients.erase("loss");
  EXPECT_EQ(compareGradients(zoo.fixture, gradients), "");
}

INSTANTIATE_TEST_SUITE_P(Models, ZooTraining,
                         testing::Values("zoo", "annex", "ports", "rest", "control", "slopes", "spectra"),
                         [](const auto &info) { return std::string(info.param); });

INSTANTIATE_TEST_SUITE_P(Models, Parity, testing::Values("softmax", "iris", "mnist", "resnet", "gpt", "translate"),
                         [](const auto &info) { return std::string(info.param); });

INSTANTIATE_TEST_SUITE_P(Course, Parity,
                         testing::Values("digits", "digits_other", "lenet", "autoencoder", "vae", "ngram", "rnn",
                                         "lstm", "gru", "cbow", "skipgram", "seq2seq", "transformer", "sentiment",
                                         "tagger", "forecast", "diffusion", "bert", "sentences", "names", "subwords",
                                         "tasks", "t5", "finetune", "letters", "detr"),
                         [](const auto &info) { return std::string(info.param); });

} // namespace
} // namespace kiln::test
