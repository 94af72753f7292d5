// The same seed gives the same bits: at any number of threads, and through a SIGKILL and a resume.
#include "tests/e2e/Command.h"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <spawn.h>
#include <sstream>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace kiln::test {
namespace {

struct Case {
  const char *name, *source;
  std::vector<std::string> settings;
};

class Threads : public testing::TestWithParam<Case> {};

TEST_P(Threads, GiveTheSameBits) {
  std::string folder = freshFolder(std::string("threads-") + GetParam().name), program = folder + "/program";
  std::vector<std::string> command = {kilnProgram(), "build", sourceFolder() + "/" + GetParam().source, "-o", program};
  for (const std::string &setting : GetParam().settings)
    command.insert(command.end(), {"--set", setting});
  Outcome build = run(command);
  ASSERT_EQ(build.code, 0) << build.err;
  std::string first, data = "data=" + sourceFolder() + "/tests/fixtures/" + GetParam().name + "/batches.safetensors";
  for (const char *threads : {"1", "2", "3", "8"}) {
    std::string path = folder + "/weights-" + threads + ".safetensors";
    Outcome trained = run({program, "train", "--data", data, "--steps", "8", "--seed", "3", "--threads", threads,
                           "--out", folder + "/run" + threads, "--save", path});
    ASSERT_EQ(trained.code, 0) << trained.err;
    std::string weights = bytes(path);
    ASSERT_FALSE(weights.empty());
    if (first.empty())
      first = weights;
    EXPECT_TRUE(weights == first) << threads << " threads give other bits than one";
  }
}

// Sizes as the fixtures' batches have them; translate with its dropout.
INSTANTIATE_TEST_SUITE_P(
    Models, Threads,
    testing::Values(Case{"mnist", "models/mnist/mnist.kiln", {}}, Case{"resnet", "models/resnet/resnet.kiln", {}},
                    Case{"gpt", "models/gpt/gpt.kiln", {}},
                    Case{"translate", "models/translate/translate.kiln", {"source_words=120", "target_words=80"}}),
    [](const auto &info) { return std::string(info.param.name); });

pid_t start(const std::vector<std::string> &argv) {
  std::vector<char *> arguments;
  for (const std::string &argument : argv)
    arguments.push_back(const_cast<char *>(argument.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int stream : {1, 2})
    posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", 1, 0);
  pid_t child = -1;
  posix_spawn(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  return child;
}

TEST(Killed, ResumesToTheBitsOfTheUnbrokenRun) {
  if (!std::getenv("KILN_DATA"))
    GTEST_SKIP() << "KILN_DATA is not set: nothing to train on";
  std::string folder = freshFolder("killed"), program = folder + "/program";
  Outcome build = run({kilnProgram(), "build", sourceFolder() + "/models/mnist/mnist.kiln", "-o", program});
  ASSERT_EQ(build.code, 0) << build.err;
  std::vector<std::string> whole = {program,     "train", "--out",  folder + "/whole",
                                    "--threads", "2",     "--save", folder + "/whole.safetensors"};
  auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(run(whole).code, 0);
  auto time = std::chrono::steady_clock::now() - begin;

  std::vector<std::string> broken = {program,     "train", "--out",  folder + "/broken",
                                     "--threads", "2",     "--save", folder + "/broken.safetensors",
                                     "--resume"};
  // Killed after a quarter of the run's time, then after another one.
  for (int kill = 0; kill < 2; ++kill) {
    pid_t child = start(broken);
    ASSERT_GT(child, 0);
    std::this_thread::sleep_for(time / 4);
    ::kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    if (!WIFSIGNALED(status)) // done already: the first run met a slower machine
      break;
  }
  Outcome resumed = run(broken);
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_TRUE(bytes(folder + "/whole.safetensors") == bytes(folder + "/broken.safetensors"));
  EXPECT_TRUE(bytes(folder + "/whole/best.safetensors") == bytes(folder + "/broken/best.safetensors"));
}

} // namespace
} // namespace kiln::test
