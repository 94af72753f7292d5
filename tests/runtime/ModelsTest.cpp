// Real models as programs: that they repeat, survive, refuse and stay small. Needs no data but what is in the tree.
#include "runtime/files/File.h"
#include "runtime/files/Safetensors.h"
#include "runtime/support/Json.h"
#include "tests/e2e/Command.h"

#include <gmock/gmock.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <sys/wait.h>
#include <unistd.h>

namespace kiln {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string &folder() {
  static const std::string path = test::freshFolder("runtime_models");
  return path;
}

/// Builds a model once; its path.
std::string built(const std::string &name, const std::string &model = "") {
  std::string program = folder() + "/" + name + model;
  if (fileExists(program))
    return program;
  std::vector<std::string> command = {test::kilnProgram(), "build",
                                      test::sourceFolder() + "/models/" + name + "/" + name + ".kiln", "-o", program};
  if (!model.empty())
    command.insert(command.end(), {"--model", model});
  test::Outcome outcome = test::run(command);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  return program;
}

/// Flowers of our own: four measures and a class that they decide. `classes` 3 is what the model expects.
std::string flowers(int classes) {
  std::string path = folder() + "/flowers" + std::to_string(classes) + ".csv";
  std::string text = "150,4,a,b,c\n";
  for (int i = 0; i < 150; ++i) {
    int label = i * 7 % classes;
    for (int f = 0; f < 4; ++f)
      text += std::to_string(label * (f + 1) + (i * (f + 3) * 37 % 101) / 80.0) + ",";
    text += std::to_string(label) + "\n";
  }
  std::FILE *file = std::fopen(path.c_str(), "w");
  std::fputs(text.c_str(), file);
  std::fclose(file);
  return path;
}

std::string sample() { return "data=" + test::sourceFolder() + "/models/gpt/sample.txt"; }

TEST(Models, SameBitsAtAnyNumberOfThreads) {
  std::string gpt = built("gpt"), first;
  for (const char *threads : {"1", "2", "3", "8"}) {
    std::string weights = folder() + "/gpt" + threads + ".safetensors";
    test::Outcome outcome = test::run(
        {gpt, "train", "--data", sample(), "--steps", "4", "--seed", "11", "--threads", threads, "--save", weights});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    std::string bytes = readFile(weights);
    EXPECT_TRUE(first.empty() || bytes == first) << threads << " threads";
    first = bytes;
  }
}

TEST(Models, KilledAndResumed) {
  std::string iris = built("iris", "MLP"), data = "data=" + flowers(3);
  auto command = [&](const char *out) {
    return std::vector<std::string>{
        iris, "train", "--data", data, "--steps", "3000", "--out", folder() + "/" + out, "--resume"};
  };
  ASSERT_EQ(test::run(command("whole")).code, 0);
  int killed = 0;
  for (int round = 0; round < 30; ++round) {
    std::vector<std::string> words = command("parts");
    pid_t child = fork();
    if (child == 0) {
      std::vector<char *> list;
      for (std::string &word : words)
        list.push_back(word.data());
      list.push_back(nullptr);
      dup2(open("/dev/null", O_WRONLY), 1);
      execv(list[0], list.data());
      _exit(98);
    }
    usleep(static_cast<useconds_t>(5000 + round * 7919 % 80000));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    killed += WIFSIGNALED(status);
  }
  EXPECT_GT(killed, 0);
  ASSERT_EQ(test::run(command("parts")).code, 0);
  EXPECT_EQ(readFile(folder() + "/whole/last.safetensors"), readFile(folder() + "/parts/last.safetensors"));
  EXPECT_EQ(readFile(folder() + "/whole/best.safetensors"), readFile(folder() + "/parts/best.safetensors"));
}

TEST(Models, WritesBeyondItsContextWithoutItsData) {
  std::string gpt = built("gpt"), weights = folder() + "/written.safetensors";
  test::Outcome trained = test::run({gpt, "train", "--data", sample(), "--steps", "8", "--save", weights});
  ASSERT_EQ(trained.code, 0) << trained.err;
  // 150 characters through a context of 64; the vocabulary comes with the weights.
  std::vector<std::string> command = {gpt, "generate", "--load", weights, "--prompt", "The ", "--tokens", "150"};
  test::Outcome first = test::run(command), again = test::run(command);
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.out.size(), 4 + 150 + 1u);
  EXPECT_EQ(first.out, again.out);
  command.insert(command.end(), {"--seed", "5"});
  EXPECT_NE(test::run(command).out, first.out);
}

TEST(Models, WrongLabelNamesTheLine) {
  std::string iris = built("iris", "MLP");
  test::Outcome outcome = test::run({iris, "train", "--data", "data=" + flowers(5), "--out", folder() + "/labels"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("index out of range: "));
  EXPECT_THAT(outcome.err, HasSubstr(" is not in 0 to 2 ("));
  EXPECT_THAT(outcome.err, HasSubstr("iris.kiln:"));
  EXPECT_FALSE(fileExists(folder() + "/labels/last.safetensors"));
}

// Every kind of measure: a mean over what counts, exp of it, a mean over rows, a ratio of counts, a mean of two kinds.
constexpr const char *measured = R"(
model Measured(batch=75):
    fc = Linear(4, 3)

    def forward(x: f32[B <= 75, 4]) -> f32[B, 3]:
        return fc(x)

train Measured:
    data      = csv("flowers.csv", features=4, label=4, skip=1, batch=batch, test=0.5)
    logits    = forward(data.features)
    loss      = cross_entropy(logits, data.label, ignore_index=0)
    predicted = argmax(logits)
    hits      = sum(((predicted == 1) & (data.label == 1)).to(f32))
    by_hand   = 2.0 * hits / (sum((predicted == 1).to(f32)) + sum((data.label == 1).to(f32)))
    rms       = sqrt(mean(square(logits)))
    metrics   = dict(perplexity=perplexity(loss), accuracy=accuracy(logits, data.label), f1=by_hand, rms=rms, both=loss + 0.5 * rms,
                     library=f1(logits, data.label), macro=macro_f1(logits, data.label))
    optimizer = SGD(lr=0.1)
    steps     = 1
)";

TEST(Models, ASplitIsMeasuredAsOneBatch) {
  std::string file = folder() + "/measured.kiln", data = "data=" + flowers(3);
  std::FILE *text = std::fopen(file.c_str(), "w");
  std::fputs(measured, text);
  std::fclose(text);
  auto evaluate = [&](const char *batch) {
    std::string program = folder() + "/measured" + batch;
    // `eval` brings along what it needs.
    test::Outcome outcome = test::run(
        {test::kilnProgram(), "build", file, "--set", std::string("batch=") + batch, "--entry", "eval", "-o", program});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    outcome = test::run({program, "eval", "--split", "test", "--seed", "8", "--data", data, "--json"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return Json::parse(outcome.out, "eval");
  };
  Json whole = evaluate("75");
  EXPECT_NEAR(whole.at("perplexity").number(), std::exp(whole.at("loss").number()), 1e-5);
  EXPECT_NEAR(whole.at("both").number(), whole.at("loss").number() + 0.5 * whole.at("rms").number(), 1e-5);
  EXPECT_GT(whole.at("f1").number(), 0);
  EXPECT_EQ(whole.at("library").number(), whole.at("f1").number());
  EXPECT_NE(whole.at("macro").number(), whole.at("f1").number());
  for (const char *batch : {"32", "1"}) { // of 1: many in which nothing counts
    Json parts = evaluate(batch);
    EXPECT_EQ(parts.at("examples").integer(), 75);
    for (const char *name : {"loss", "perplexity", "accuracy", "f1", "rms", "both", "library", "macro"})
      EXPECT_NEAR(parts.at(name).number(), whole.at(name).number(), 2e-6 * whole.at(name).number())
          << name << ", batches of " << batch;
  }
}

TEST(Models, SayWhatTheyWereNotLinkedWith) {
  auto fails = [](const std::string &program, std::vector<std::string> command, const char *expected) {
    command.insert(command.begin(), program);
    test::Outcome outcome = test::run(command);
    EXPECT_EQ(outcome.code, 1) << outcome.out;
    EXPECT_THAT(outcome.err, HasSubstr(expected));
  };
  std::string iris = built("iris", "MLP"), generates = "the model has no `generate` recipe";
  fails(iris, {"generate", "--prompt", "a"}, generates.c_str());
  fails(iris, {"chat"}, generates.c_str());
  fails(iris, {"run", "--text", "a"}, "'forward' takes no text: an input 'ids' of a row for each text is expected");
  std::string commands = test::run({iris, "--help"}).out, run = test::run({iris, "run", "--help"}).out;
  for (const char *command : {"  generate ", "  chat "})
    EXPECT_THAT(commands, Not(HasSubstr(command)));
  for (const char *option : {"--text ", "--texts ", "--pair ", "--pairs ", "--tokenizer "})
    EXPECT_THAT(run, Not(HasSubstr(option)));
  EXPECT_THAT(run, HasSubstr("--top ")); // its classes have names

  std::string gpt = built("gpt"), forward = folder() + "/forward";
  EXPECT_THAT(test::run({gpt, "--help"}).out, HasSubstr("  generate "));
  EXPECT_THAT(test::run({gpt, "run", "--help"}).out, HasSubstr("--text "));
  fails(gpt, {"chat"}, "its model's `generate` recipe has no `chat` block");
  test::Outcome outcome = test::run({test::kilnProgram(), "build", test::sourceFolder() + "/models/gpt/gpt.kiln",
                                     "--entry", "forward", "-o", forward});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  for (const char *command : {"generate", "chat"})
    fails(forward, {command}, "this program was built without 'generate.prefill'; build it with --entry generate");
}

TEST(Models, SmallAndOnTheirOwn) {
  std::string gpt = built("gpt");
  // With the readers that its recipe names: 937,960 bytes and 2%. What grew, KILN_LINK_MAP tells.
  EXPECT_LE(std::filesystem::file_size(gpt), 957'000u);
  test::Outcome libraries = test::run({"/usr/bin/ldd", gpt});
  for (const char *other : {"libz", "LLVM", "MLIR", "absl", "fmt"})
    EXPECT_THAT(libraries.out, Not(HasSubstr(other)));
}

} // namespace
} // namespace kiln
