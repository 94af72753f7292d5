// A program whose backend does not come back from a call: what is told, what stands, how the process ends.
#include "tests/runtime/Process.h"

#include <csignal>

namespace kiln {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::Outcome;

class Survival : public testing::ProgramProcess {
protected:
  /// Training with checkpoints after each five steps; the fault comes in the step.
  std::vector<std::string> training(const char *fault, int step) {
    setenv("KILN_FAKE_FAULT", fault, 1);
    setenv("KILN_FAKE_AT", std::to_string(step + 1).c_str(), 1);
    setenv("KILN_FAKE_TRAIN", R"({"steps": 40, "checkpoint": {"every": 5}, "validate": {"every": 1000}})", 1);
    return {"train", "--out", "run", "--overwrite"};
  }
  void TearDown() override {
    for (const char *name : {"KILN_FAKE_FAULT", "KILN_FAKE_AT", "KILN_FAKE_TRAIN"})
      unsetenv(name);
  }
  const std::string stands =
      ". The last checkpoint stands: run/last.safetensors, after step 10; --resume goes on from it";
};

// A sanitizer's own report follows, and its own exit code.
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

TEST_F(Survival, ASignalIsToldWithTheCheckpointAndStaysTheEnd) {
  for (auto [fault, number, words] :
       {std::tuple("segv", SIGSEGV, "segmentation fault (SIGSEGV)"),
        std::tuple("bus", SIGBUS, "access to memory that is not there (SIGBUS)"),
        std::tuple("fpe", SIGFPE, "arithmetic error (SIGFPE)"),
        std::tuple("ill", SIGILL, "illegal instruction (SIGILL)"), std::tuple("abort", SIGABRT, "abort (SIGABRT)"),
        std::tuple("thread", SIGSEGV, "segmentation fault (SIGSEGV)"),
        std::tuple("stack", SIGSEGV, "segmentation fault (SIGSEGV)"),
        std::tuple("worker's stack", SIGSEGV, "segmentation fault (SIGSEGV)")}) {
    if (sanitized && std::string_view(fault).ends_with("stack"))
      continue;
    std::vector<std::string> arguments = training(fault, 12);
    arguments.insert(arguments.end(), {"--threads", "2"});
    Outcome outcome = run(arguments);
    EXPECT_TRUE(outcome.code == -number || sanitized) << fault << ": " << outcome.code;
    EXPECT_THAT(outcome.err,
                HasSubstr(std::string("error: the backend fake crashed in its execute ('train_step'): ") + words +
                          ". Build the program for another backend (--backend cpu), or tell the "
                          "author of this one" +
                          stands))
        << fault;
  }
}

TEST_F(Survival, WithoutACheckpointNoneIsNamed) {
  Outcome outcome = run(training("segv", 3));
  EXPECT_THAT(outcome.err, HasSubstr("the backend fake crashed in its execute ('train_step')"));
  EXPECT_THAT(outcome.err, Not(HasSubstr("checkpoint")));
}

TEST_F(Survival, AnExitWithinABackendIsToldAndNoSuccess) {
  Outcome outcome = run(training("exit0", 12));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("error: the backend fake ended the process in its execute ('train_step'). "));
  EXPECT_THAT(outcome.err, HasSubstr(stands));
  outcome = run(training("exit7", 12));
  EXPECT_EQ(outcome.code, 7);
  EXPECT_THAT(outcome.err, HasSubstr("the backend fake ended the process"));
}

TEST_F(Survival, AnExceptionIsAnErrorWithTheBackendsName) {
  Outcome outcome = run(training("throw", 12));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("error: the backend fake threw an exception in its execute of 'train_step' (no "
                                     "more registers), which the backend interface forbids: tell its author"));
  EXPECT_THAT(outcome.err, HasSubstr("tell its author" + stands));
  outcome = run(training("fail", 12));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err,
              HasSubstr("error: the backend fake failed in 'train_step': out of memory (the backend says no "
                        "more)" +
                        stands));
  outcome = run(training("throw int", 12));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("the backend fake threw an exception in its execute of 'train_step', which"));
}

TEST_F(Survival, AStepThatDoesNotEndIsTold) {
  std::vector<std::string> arguments = training("hang", 12);
  arguments.insert(arguments.end(), {"--step-timeout", "1"});
  Outcome outcome = run(arguments);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("error: the backend fake has not come back in its execute ('train_step') for 1 s "
                                     "(--step-timeout). "));
  EXPECT_THAT(outcome.err, HasSubstr(stands));
}

TEST_F(Survival, NoLimitOnAStepIsNoLimit) {
  std::vector<std::string> arguments = training("slow", 12);
  arguments.insert(arguments.end(), {"--step-timeout", "0"});
  EXPECT_EQ(run(arguments).code, 0);
}

TEST_F(Survival, TheFirstSignalEndsBehindTheStepTheSecondAtOnce) {
  for (int number : {SIGINT, SIGTERM}) {
    pid_t child = start(training("slow", 12));
    waitFor("there.txt", "slow");
    kill(child, number);
    Outcome outcome = finish(child);
    EXPECT_EQ(outcome.code, 130);
    EXPECT_EQ(outcome.err, "stopping after this step; again ends at once\n");
    EXPECT_THAT(outcome.out, HasSubstr("interrupted after 13 steps"));

    child = start(training("hang", 12));
    waitFor("there.txt", "hang");
    kill(child, number);
    waitFor("err.txt", "again ends at once");
    kill(child, number);
    EXPECT_EQ(finish(child).code, -number);
  }
}

} // namespace
} // namespace kiln
