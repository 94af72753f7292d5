// kiln bench and --profile: what they say is there, is right, and can be read by those that it is meant for.
#include "runtime/files/File.h"
#include "tests/e2e/Command.h"

#include "nlohmann/json.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <set>

namespace kiln {
namespace {

using json = nlohmann::json;
using ::testing::HasSubstr;

std::string model() { return test::sourceFolder() + "/tests/frontend/cli/Inputs/fit.kiln"; }

class Bench : public ::testing::Test {
protected:
  Bench() { setenv("TMPDIR", folder_.c_str(), 1); }
  std::string folder_ = test::freshFolder("bench");
  std::string at(const std::string &name) const { return folder_ + "/" + name; }
  test::Outcome bench(const std::string &backends, std::vector<std::string> more) {
    std::vector<std::string> command = {test::kilnProgram(), "bench", model(), "--backend", backends,
                                        "--min-time",        "0.02"};
    command.insert(command.end(), more.begin(), more.end());
    return test::run(command);
  }
};

/// The kernels' spans of a trace; what holds for every one of them.
std::vector<json> kernelsOf(const json &trace) {
  std::vector<json> kernels;
  for (const json &event : trace.at("traceEvents")) {
    if (event.at("ph") == "M")
      continue;
    EXPECT_EQ(event.at("ph"), "X");
    EXPECT_GE(event.at("ts").get<double>(), 0);
    EXPECT_GE(event.at("dur").get<double>(), 0);
    if (event.at("cat") != "kernel")
      continue;
    EXPECT_THAT(event.at("args").at("line").get<std::string>(), HasSubstr("fit.kiln:")) << event;
    EXPECT_FALSE(event.at("args").at("ops").get<std::string>().empty()) << event;
    EXPECT_FALSE(event.at("name").get<std::string>().empty());
    kernels.push_back(event);
  }
  return kernels;
}

/// On one track nothing begins before what stands left of it has ended: viewers nest what overlaps.
void expectNoOverlap(std::vector<json> kernels) {
  auto track = [](const json &e) {
    return std::tuple(e.at("pid").get<int>(), e.at("tid").get<int>(), e.at("ts").get<double>());
  };
  std::sort(kernels.begin(), kernels.end(), [&](const json &a, const json &b) { return track(a) < track(b); });
  for (size_t i = 1; i < kernels.size(); ++i)
    if (kernels[i].at("pid") == kernels[i - 1].at("pid") && kernels[i].at("tid") == kernels[i - 1].at("tid")) {
      EXPECT_LE(kernels[i - 1].at("ts").get<double>() + kernels[i - 1].at("dur").get<double>(),
                kernels[i].at("ts").get<double>() + 0.0011);
    }
}

TEST_F(Bench, JsonAndTraceOfSeveralBackends) {
  test::Outcome outcome = bench("cpu,vulkan,reference", {"--format", "json", "--profile", at("all.json")});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  json all = json::parse(outcome.out), trace = json::parse(readFile(at("all.json")));
  for (const char *key : {"date", "host_name", "executable", "num_cpus", "load_avg", "library_build_type"})
    EXPECT_TRUE(all.at("context").contains(key)) << key;
  EXPECT_GT(all.at("context").at("peak_gflops"), 1);
  ASSERT_EQ(all.at("benchmarks").size(), 3u);
  int process = 0;
  for (const json &run : all.at("benchmarks")) {
    SCOPED_TRACE(run.at("name").get<std::string>());
    EXPECT_EQ(run.at("run_type"), "iteration");
    EXPECT_EQ(run.at("time_unit"), "us");
    EXPECT_GE(run.at("iterations"), 1);
    for (const char *key :
         {"real_time", "cpu_time", "median_time", "compile_time_s", "program_bytes", "items_per_second",
          "gflops_per_second", "gb_per_second", "peak_gb_per_second", "peak_memory_bytes", "launches"})
      EXPECT_GT(run.at(key), 0) << key;
    EXPECT_GE(run.at("mad_time"), 0);
    EXPECT_GE(run.at("barriers"), 0);
    EXPECT_LT(run.at("gflops_per_second"), all.at("context").at("peak_gflops"));
    EXPECT_NEAR(run.at("items_per_second").get<double>() * run.at("median_time").get<double>() * 1e-6, 4, 1e-6);
    EXPECT_THAT(run.at("agrees").get<std::string>(), ::testing::StartsWith("yes"));
    // Its part of the trace: a span for each launch.
    ++process;
    std::vector<json> own;
    for (const json &kernel : kernelsOf(trace))
      if (kernel.at("pid") == process)
        own.push_back(kernel);
    // Under a profile, launches that are one dispatch otherwise are apart.
    EXPECT_GE(own.size(), run.at("dispatches").get<size_t>());
    EXPECT_LE(own.size(), run.at("launches").get<size_t>());
    expectNoOverlap(own);
  }
}

TEST_F(Bench, AFailureHidesNoOther) {
  test::Outcome outcome = bench(std::string("nosuch,cpu,") + KILN_MINIMAL_PLUGIN, {"--format", "csv"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("kiln: error: nosuch: there is no backend 'nosuch'; there is: "));
  EXPECT_THAT(outcome.out, HasSubstr("\nnosuch,,,"));
  EXPECT_THAT(outcome.out, HasSubstr("\ncpu,"));
  EXPECT_THAT(outcome.out, HasSubstr("\n" KILN_MINIMAL_PLUGIN ","));
  outcome = bench("cpu,nosuch", {"--format", "md"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("| nosuch  | -"));
  EXPECT_THAT(outcome.out, HasSubstr("yes ("));
  EXPECT_TRUE(std::filesystem::is_empty(folder_)) << "temporary files stay";
}

TEST_F(Bench, AFunctionWithoutALossIsCompared) {
  test::Outcome outcome = bench("cpu", {"--format", "json", "forward"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  json run = json::parse(outcome.out).at("benchmarks").at(0);
  EXPECT_EQ(run.at("name"), "cpu/forward");
  EXPECT_THAT(run.at("agrees").get<std::string>(), ::testing::StartsWith("yes ("));
}

TEST_F(Bench, WhatCannotBeWrittenIsSaidBefore) {
  test::Outcome outcome = bench("cpu,reference", {"--profile", "/no/such/folder/trace.json"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("cannot write /no/such/folder/trace.json: the folder /no/such/folder does not "
                                     "exist; choose another with --profile"));
  EXPECT_EQ(outcome.out, "");
}

/// The program's own --profile, with one backend and with several.
TEST_F(Bench, TracesOfAProgram) {
  for (const std::string &backend : {std::string("cpu"), std::string("vulkan"), std::string(KILN_MINIMAL_PLUGIN)}) {
    SCOPED_TRACE(backend);
    std::string program = at("fit");
    ASSERT_EQ(test::run({test::kilnProgram(), "build", model(), "--backend", backend, "-o", program}).code, 0);
    std::string data = "data=" + test::sourceFolder() + "/tests/frontend/cli/Inputs/line.csv";
    test::Outcome outcome =
        test::run({program, "train", "--steps", "8", "--data", data, "--profile", at("train.json")});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    json trace = json::parse(readFile(at("train.json")));
    std::multiset<int> steps;
    for (const json &event : trace.at("traceEvents"))
      if (event.at("name") == "train_step")
        steps.insert(event.at("args").at("step").get<int>());
    EXPECT_EQ(steps, (std::multiset<int>{1, 2, 3, 4, 5, 6, 7}));
    std::vector<json> kernels = kernelsOf(trace);
    EXPECT_GE(kernels.size(), 7u);
    EXPECT_EQ(kernels.size() % 7, 0u); // each step the same
    expectNoOverlap(kernels);
    if (backend == KILN_MINIMAL_PLUGIN) { // it measures no kernels: its parts stand there as a whole
      auto events = trace.at("traceEvents");
      EXPECT_TRUE(
          std::any_of(events.begin(), events.end(), [](const json &e) { return e.at("name") == "all kernels"; }));
    }
    outcome = test::run({program, "bench", "--min-time", "0", "--data", data, "--profile", at("bench.json")});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_GE(kernelsOf(json::parse(readFile(at("bench.json")))).size(), 1u);
    outcome = test::run({program, "train", "--data", data, "--profile", "/no/such/trace.json"});
    EXPECT_EQ(outcome.code, 1);
    EXPECT_THAT(outcome.err, HasSubstr("cannot write '/no/such/trace.json'"));
  }
}

} // namespace
} // namespace kiln
