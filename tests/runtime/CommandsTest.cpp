// The commands as a user starts them: a process, its output, its exit code.
#include "runtime/files/File.h"
#include "runtime/files/Npy.h"
#include "runtime/files/Safetensors.h"
#include "runtime/support/Json.h"
#include "tests/runtime/Process.h"

#include <gmock/gmock.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kiln {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::Outcome;
using ::testing::StartsWith;

using Commands = testing::ProgramProcess;

TEST_F(Commands, TrainWritesALineEachStep) {
  Outcome outcome = run({"train", "--steps", "20", "--json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  std::vector<Json> lines;
  for (size_t begin = 0; begin < outcome.out.size();) {
    size_t end = outcome.out.find('\n', begin);
    lines.push_back(Json::parse(outcome.out.substr(begin, end - begin), "line"));
    begin = end + 1;
  }
  ASSERT_EQ(lines.size(), 20u);
  for (int64_t i = 0; i < 20; ++i) {
    EXPECT_EQ(lines[static_cast<size_t>(i)].at("step").integer(), i);
    EXPECT_EQ(lines[static_cast<size_t>(i)].find("val_loss") != nullptr, i % 10 == 9) << i;
  }
  EXPECT_LT(lines[19].at("loss").number(), lines[0].at("loss").number());
  EXPECT_THAT(outcome.err, HasSubstr("step 20/20")); // for people, beside the JSON
}

TEST_F(Commands, SameSeedSameBytesAtAnyThreads) {
  for (const char *threads : {"1", "2", "5"})
    EXPECT_EQ(run({"train", "--save", std::string("w") + threads, "--seed", "3", "--threads", threads}).code, 0);
  EXPECT_EQ(readFile(at("w1")), readFile(at("w2")));
  EXPECT_EQ(readFile(at("w1")), readFile(at("w5")));
  EXPECT_EQ(run({"train", "--save", "other", "--seed", "4"}).code, 0);
  EXPECT_NE(readFile(at("w1")), readFile(at("other")));
}

TEST_F(Commands, ResumeGivesTheSameBits) {
  ASSERT_EQ(run({"train", "--out", "whole", "--seed", "9"}).code, 0);
  ASSERT_EQ(run({"train", "--out", "parts", "--seed", "9", "--steps", "17"}).code, 0);
  Outcome rest = run({"train", "--out", "parts", "--resume"});
  ASSERT_EQ(rest.code, 0) << rest.err;
  EXPECT_THAT(rest.out, HasSubstr("resumed at step 17"));
  EXPECT_EQ(readFile(at("whole/last.safetensors")), readFile(at("parts/last.safetensors")));
  Outcome otherSeed = run({"train", "--out", "parts", "--resume", "--seed", "1"});
  EXPECT_EQ(otherSeed.code, 1);
  EXPECT_THAT(otherSeed.err, HasSubstr("was made with --seed 9"));
}

TEST_F(Commands, KilledAtAnyMomentAndResumed) {
  ASSERT_EQ(run({"train", "--out", "whole", "--steps", "1000"}).code, 0);
  int killed = 0;
  for (int round = 0; round < 40; ++round) {
    pid_t child = start({"train", "--out", "parts", "--resume", "--steps", "1000"});
    usleep(static_cast<useconds_t>(3000 + round * 7777 % 60000));
    kill(child, SIGKILL);
    Outcome outcome = finish(child);
    killed += outcome.code == -SIGKILL;
    ASSERT_TRUE(outcome.code == 0 || outcome.code == -SIGKILL) << outcome.err;
    if (outcome.code == 0)
      break;
    std::string last = at("parts/last.safetensors");
    if (fileExists(last))
      EXPECT_NO_THROW(Safetensors::open(last)); // complete, whenever the kill came
  }
  EXPECT_GT(killed, 0);
  Outcome rest = run({"train", "--out", "parts", "--resume", "--steps", "1000"});
  ASSERT_EQ(rest.code, 0) << rest.err;
  EXPECT_EQ(readFile(at("whole/last.safetensors")), readFile(at("parts/last.safetensors")));
  EXPECT_EQ(readFile(at("whole/best.safetensors")), readFile(at("parts/best.safetensors")));
}

TEST_F(Commands, InterruptSavesAndSaysSo) {
  pid_t child = start({"train", "--out", "run", "--steps", "100000000", "--json", "log.jsonl"});
  // Only once it is under way, however slow the machine: its first line says so.
  for (int i = 0; i < 60000 && !(fileExists(at("log.jsonl")) && !readFile(at("log.jsonl")).empty()); ++i)
    usleep(1000);
  kill(child, SIGINT);
  Outcome outcome = finish(child);
  EXPECT_EQ(outcome.code, 130) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("interrupted after"));
  EXPECT_TRUE(fileExists(at("run/last.safetensors")));
}

TEST_F(Commands, StopsEarly) {
  // Nothing to learn: the target is noise. Two validations without gain end it.
  std::string text;
  for (int i = 0; i < 40; ++i)
    text += std::to_string(i * 7 % 11) + "," + std::to_string(i * 5 % 13) + "," + std::to_string(i * 7919 % 17) + "\n";
  folder_.write("noise.csv", text);
  setenv("KILN_FAKE_TRAIN",
         R"({"steps": 400, "validate": {"every": 2}, "early_stopping": {"patience": 2, "minimum": 1000}})", 1);
  Outcome outcome = run({"train", "--data", "data=noise.csv", "--json", "log.jsonl", "--out", "run"});
  unsetenv("KILN_FAKE_TRAIN");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("stopped early after 6 steps"));
  EXPECT_THAT(outcome.out, HasSubstr("after step 2"));
  EXPECT_TRUE(fileExists(at("run/best.safetensors")));
}

TEST_F(Commands, KeepsEarlierCheckpoints) {
  setenv("KILN_FAKE_TRAIN", R"({"steps": 40, "validate": {"every": 1000}, "checkpoint": {"every": 10, "keep": 3}})", 1);
  ASSERT_EQ(run({"train", "--out", "run", "--steps", "35"}).code, 0);
  auto stepOf = [&](const char *name) {
    Safetensors file = Safetensors::open(at(std::string("run/") + name + ".safetensors"));
    return Json::parse(file.metadata().at("kiln.checkpoint"), "checkpoint").at("step").integer();
  };
  EXPECT_EQ(stepOf("last"), 35);
  EXPECT_EQ(stepOf("previous-1"), 30);
  EXPECT_EQ(stepOf("previous-2"), 20);
  EXPECT_FALSE(fileExists(at("run/previous-3.safetensors")));
  ASSERT_EQ(run({"train", "--out", "run", "--resume"}).code, 0);
  unsetenv("KILN_FAKE_TRAIN");
  EXPECT_EQ(stepOf("last"), 40);
  EXPECT_EQ(stepOf("previous-1"), 35);
}

TEST_F(Commands, DevicesAreNoFiles) {
  std::string pipe = at("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  for (const std::vector<std::string> &arguments : {std::vector<std::string>{"train", "--save", "pipe"},
                                                    {"train", "--load", "pipe"},
                                                    {"train", "--data", "data=pipe"}}) {
    Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_THAT(outcome.err, HasSubstr("pipe': it is a device or a pipe, not a file"));
  }
  struct stat status;
  ASSERT_EQ(lstat(pipe.c_str(), &status), 0);
  EXPECT_TRUE(S_ISFIFO(status.st_mode)); // and it is not replaced
}

TEST_F(Commands, FileSizeLimit) {
  largestFile_ = 256; // more than the text of a step, less than a checkpoint
  Outcome outcome = run({"train", "--steps", "1", "--out", "run", "--save", "w.safetensors"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("safetensors': the file would be larger than is allowed"));
  EXPECT_FALSE(fileExists(at("w.safetensors")));
  EXPECT_TRUE(std::filesystem::is_empty(at("run")));
}

TEST_F(Commands, NoStepLeft) {
  Outcome outcome = run({"train", "--steps", "0"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("done after 0 steps\n"));
}

TEST_F(Commands, FullDisk) {
  Outcome json = run({"train", "--json", "/dev/full"});
  EXPECT_EQ(json.code, 1);
  EXPECT_THAT(json.err, HasSubstr("cannot write '/dev/full': no space is left on the device"));
}

TEST_F(Commands, GenerateByNumbers) {
  setenv("KILN_FAKE_CHAIN", "1", 1);
  Outcome first = run({"generate", "--prompt", "1 2", "--tokens", "5", "--temperature", "1", "--seed", "4"});
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_THAT(first.out, StartsWith("1 2"));
  EXPECT_EQ(run({"generate", "--prompt", "1 2", "--tokens", "5", "--temperature", "1", "--seed", "4"}).out, first.out);
  Outcome json = run({"generate", "--prompt", "1 2", "--beam", "4", "--json"});
  EXPECT_EQ(json.code, 0) << json.err;
  EXPECT_EQ(Json::parse(json.out, "json").at("prompt").string(), "1 2");
  EXPECT_THAT(run({"generate", "--prompt", "one"}).err, HasSubstr("token numbers are expected; found 'one'"));
  EXPECT_EQ(run({"generate", "--greedy", "--beam", "2"}).code, 2);
  EXPECT_THAT(run({"generate", "--greedy", "--length-penalty", "1"}).err, HasSubstr("--length-penalty ranks beams"));
  EXPECT_EQ(run({"generate", "--prompt", "1 2", "--beam", "2", "--length-penalty", "1"}).code, 0);
  EXPECT_THAT(run({"generate", "--prompt", "1", "--top-p", "2"}).err, HasSubstr("top-p 2 is not a share"));
  unsetenv("KILN_FAKE_CHAIN");
}

TEST_F(Commands, GradRunAndEval) {
  ASSERT_EQ(run({"train", "--save", "w.safetensors"}).code, 0);
  float x[8] = {1, 0, 0, 1, 1, 1, 0, 0}, y[4] = {0, 0, 0, 0};
  writeSafetensors(at("in.safetensors"), {{"features", KILN_F32, {4, 2}, reinterpret_cast<uint8_t *>(x), 32},
                                          {"target", KILN_F32, {4, 1}, reinterpret_cast<uint8_t *>(y), 16}});
  // The file may call a tensor "target" where the user names the input in full.
  Outcome grad = run({"grad", "--input", "features=in.safetensors", "--input", "data.target=in.safetensors", "--load",
                      "w.safetensors", "--output", "g.safetensors"});
  ASSERT_EQ(grad.code, 0) << grad.err;
  // A file alone brings whatever has no option of its own.
  const char *rest[] = {"in.safetensors", "features=in.safetensors"};
  for (size_t more = 0; more < 2; ++more) {
    std::vector<std::string> words = {"grad", "--load", "w.safetensors", "--output", "h.safetensors"};
    for (size_t i = 0; i <= more; ++i)
      words.insert(words.end(), {"--input", rest[i]});
    Outcome alone = run(words);
    ASSERT_EQ(alone.code, 0) << alone.err;
    EXPECT_EQ(readFile(at("h.safetensors")), readFile(at("g.safetensors")));
  }
  EXPECT_THAT(run({"grad", "--input", "features=in.safetensors", "--input", "target=in.safetensors", "--input",
                   "in.safetensors", "--output", "h.safetensors"})
                  .err,
              HasSubstr("--input in.safetensors: nothing is left for it to fill"));
  EXPECT_THAT(run({"grad", "--input", "x.npy", "--output", "h.safetensors"}).err,
              HasSubstr("'--input x.npy': expected NAME=VALUE; 'grad' has the inputs data.features, data.target"));
  Safetensors gradients = Safetensors::open(at("g.safetensors")), weights = Safetensors::open(at("w.safetensors"));
  ASSERT_TRUE(gradients.find("w") && gradients.find("b") && gradients.find("loss"));
  const float *w = reinterpret_cast<const float *>(weights.find("w")->data);
  float b = *reinterpret_cast<const float *>(weights.find("b")->data);
  // d/db mean (x w + b)^2 = 2 mean (x w + b)
  float expected = 2 * (2 * w[0] + 2 * w[1] + 4 * b) / 4;
  EXPECT_NEAR(*reinterpret_cast<const float *>(gradients.find("b")->data), expected, 1e-5);
  writeNpy(at("x.npy"), {"", KILN_F32, {4, 2}, reinterpret_cast<uint8_t *>(x), 32});
  Outcome forward = run({"run", "--input", "x=x.npy", "--load", "w.safetensors", "--output", "y.npy"});
  ASSERT_EQ(forward.code, 0) << forward.err;
  EXPECT_NEAR(readNpy(at("y.npy")).as<float>()[2], w[0] + w[1] + b, 1e-5);
  // A result by its name, into files of both kinds; a name that there is not; a file with '=' in its name.
  std::vector<std::string> named = {"run", "--input", "x=x.npy", "--load", "w.safetensors", "--output"};
  auto to = [&](std::vector<std::string> more) {
    more.insert(more.begin(), named.begin(), named.end());
    return run(more);
  };
  EXPECT_EQ(to({"0=one.npy"}).code, 0);
  EXPECT_EQ(to({"0=two.safetensors"}).code, 0);
  EXPECT_EQ(to({"./c=d.npy"}).code, 0);
  EXPECT_NEAR(readNpy(at("one.npy")).as<float>()[2], w[0] + w[1] + b, 1e-5);
  EXPECT_TRUE(Safetensors::open(at("two.safetensors")).find("0"));
  EXPECT_NEAR(readNpy(at("c=d.npy")).as<float>()[2], w[0] + w[1] + b, 1e-5);
  EXPECT_THAT(to({"y=other.npy"}).err,
              HasSubstr("'forward' gives no result 'y' (a file of such a name: --output ./y=…)"));
  EXPECT_EQ(to({"0="}).code, 1);
  for (const char *path : {"w=g.npy", "g.npy"})
    EXPECT_THAT(
        run({"grad", "--input", "features=in.safetensors", "--input", "data.target=in.safetensors", "--output", path})
            .err,
        HasSubstr("grad needs one file for all gradients: --output G.safetensors"));
  EXPECT_THAT(run({"train", "--load"}).err, HasSubstr("'--load' needs a value"));
  Outcome eval = run({"eval", "--load", "w.safetensors", "--json"});
  ASSERT_EQ(eval.code, 0) << eval.err;
  EXPECT_EQ(Json::parse(eval.out, "eval").at("examples").integer(), 15);
}

TEST_F(Commands, BenchAndInfo) {
  Outcome bench = run({"bench", "forward", "--json", "--min-time", "0.01"});
  ASSERT_EQ(bench.code, 0) << bench.err;
  Json json = Json::parse(bench.out, "bench");
  EXPECT_EQ(json.at("benchmarks").array()[0].at("name").string(), "forward");
  EXPECT_GT(json.at("benchmarks").array()[0].at("real_time").number(), 0);
  Outcome info = run({"info"});
  EXPECT_EQ(info.code, 0);
  EXPECT_THAT(info.out, HasSubstr("parameters: 3 (12 B), trained: 3"));
  EXPECT_THAT(info.out, HasSubstr("eval(data.features: f32[N, 2], data.target: f32[N, 1])"));
}

TEST_F(Commands, WrongUse) {
  auto usage = [&](const std::vector<std::string> &arguments, const char *text) {
    Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 2) << text;
    EXPECT_THAT(outcome.err, StartsWith("error: "));
    EXPECT_THAT(outcome.err, HasSubstr(text));
    EXPECT_EQ(outcome.out, "");
  };
  usage({}, "which command?\n\nUsage: ");
  usage({}, "  train       Trains the model by its recipe");
  usage({"tarin"}, "unknown command 'tarin' (did you mean 'train'?)");
  usage({"train", "--stps", "3"}, "unknown option '--stps' (did you mean '--steps'?)");
  usage({"train", "--steps"}, "'--steps' needs a value");
  usage({"train", "--steps", "many"}, "'--steps many': expected a whole number");
  usage({"train", "--steps", "3", "--steps", "4"}, "'--steps' stands twice");
  usage({"train", "--resume"}, "--resume needs --out DIR");
  usage({"train", "--resume", "--out", "run", "--load", "w.safetensors"},
        "--resume goes on with the weights of the run");
  usage({"generate", "--prompt", "1", "--prompts", "p.txt"}, "--prompt is one, --prompts a file of many");
  usage({"generate", "--prompt", "1", "--reference", "r.txt"}, "--reference answers the prompts of --prompts FILE");
  usage({"train", "extra"}, "unexpected argument 'extra'");
  usage({"grad"}, "grad needs one file for all gradients: --output");
  for (const char *command : {"train", "eval", "grad", "run", "generate", "bench", "info"}) {
    Outcome help = run({command, "--help"});
    EXPECT_EQ(help.code, 0);
    EXPECT_THAT(help.out, HasSubstr(std::string("Usage: prog ") + command));
    EXPECT_THAT(help.out, HasSubstr("--threads N"));
  }
}

TEST_F(Commands, Failures) {
  auto failure = [&](const std::vector<std::string> &arguments, const char *text) {
    Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 1) << text;
    EXPECT_THAT(outcome.err, HasSubstr(text));
    EXPECT_THAT(outcome.err, StartsWith("error: "));
  };
  failure({"train", "--threads", "0"}, "--threads 0: expected 1 to 1024");
  failure({"train", "--threads", "10000"}, "--threads 10000: expected 1 to 1024");
  failure({"train", "--device", "1"}, "has 1 device");
  failure({"train", "--data", "data=none.csv"}, "data 'data' is not there: looked for 'none.csv'");
  failure({"train", "--data", "date=line.csv"}, "the recipe has no data of that name (did you mean 'data'?)");
  failure({"train", "--load", "none.safetensors"}, "cannot read 'none.safetensors': no such file or folder");
  failure({"train", "--load", "line.csv"}, "is not a safetensors file");
  failure({"train", "--out", "/proc/none"}, "cannot make the folder '/proc/none'");
  failure({"train", "--save", "none/w.safetensors"}, "cannot write 'none/w.safetensors': no such file or folder");
  EXPECT_EQ(run({"train", "--steps", "100000000", "--save", "none/w.safetensors"}).code, 1); // before, not after
  failure({"run", "backward", "--output", "y.npy"}, "no function 'backward'");
  failure({"run", "--output", "y.npy"}, "needs more inputs: x f32[B, 2]");
  failure({"run", "--input", "y=line.csv", "--output", "y.npy"}, "'forward' has no input of that name");
  failure({"generate"}, "the model has no `generate` recipe");
  EXPECT_FALSE(fileExists(at("y.npy")));
}

TEST_F(Commands, LossThatIsNotFinite) {
  // Gradients of 1e38 overflow: after a step the parameters are not finite, and the loss of the next is not either.
  folder_.write("bad.csv", "1e38,2,3\n1e38,2,3\n1e38,2,3\n1e38,2,3\n1e38,2,3\n1e38,2,3\n");
  Outcome outcome = run({"train", "--data", "data=bad.csv", "--steps", "30", "--out", "run"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("the loss of step 0 is inf; the first tensor that is not finite is a result of "
                                     "kernel loss (inf, element 0 of 1)"));
  EXPECT_FALSE(fileExists(at("run/last.safetensors")));
}

TEST_F(Commands, NotFiniteAfterManySteps) {
  // A rate that is too large for such features: the weights grow until they overflow.
  std::string text;
  for (int i = 0; i < 20; ++i)
    text += std::to_string(i % 7 + 5) + "," + std::to_string(i % 5) + ",1\n";
  folder_.write("steep.csv", text);
  Outcome outcome = run({"train", "--data", "data=steep.csv", "--steps", "300", "--out", "run"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("repeating the run up to step"));
  EXPECT_THAT(outcome.err, HasSubstr("the first tensor that is not finite is "));
  Safetensors last = Safetensors::open(at("run/last.safetensors")); // the last good one
  EXPECT_TRUE(std::isfinite(*reinterpret_cast<const float *>(last.find("b")->data)));
  float x[4][2] = {{NAN, 2}, {1, 2}, {1, 2}, {1, 2}}, y[4] = {3, 3, 3, 3}; // a csv refuses it
  writeSafetensors(at("nan.safetensors"), {{"features", KILN_F32, {1, 4, 2}, reinterpret_cast<uint8_t *>(x), sizeof(x)},
                                           {"target", KILN_F32, {1, 4, 1}, reinterpret_cast<uint8_t *>(y), sizeof(y)}});
  EXPECT_THAT(run({"train", "--data", "data=nan.safetensors"}).err,
              HasSubstr("is the input 'data.features' (element 0): look at the data"));
}

TEST_F(Commands, BatchesFromSafetensors) {
  float x[3][4][2], y[3][4][1];
  for (int i = 0; i < 12; ++i) {
    x[i / 4][i % 4][0] = static_cast<float>(i % 5) - 2;
    x[i / 4][i % 4][1] = static_cast<float>(i % 3) - 1;
    y[i / 4][i % 4][0] = 1;
  }
  writeSafetensors(at("b.safetensors"), {{"features", KILN_F32, {3, 4, 2}, reinterpret_cast<uint8_t *>(x), sizeof(x)},
                                         {"target", KILN_F32, {3, 4, 1}, reinterpret_cast<uint8_t *>(y), sizeof(y)}});
  Outcome outcome = run({"train", "--data", "data=b.safetensors", "--steps", "5", "--json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, Not(HasSubstr("val_loss"))); // a file of batches holds nothing out
  writeSafetensors(at("b.safetensors"), {{"features", KILN_F32, {3, 8}, reinterpret_cast<uint8_t *>(x), sizeof(x)}});
  outcome = run({"train", "--data", "data=b.safetensors", "--steps", "5"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("'features': expected a leading axis of steps, then f32[4, 2]; found f32[3, 8]"));
}

TEST_F(Commands, AnotherRunIsNotWrittenOver) {
  setenv("KILN_FAKE_TRAIN", R"({"steps": 40, "validate": {"every": 1000}, "checkpoint": {"every": 10, "keep": 3}})", 1);
  ASSERT_EQ(run({"train", "--out", "run"}).code, 0);
  std::string last = readFile(at("run/last.safetensors"));
  Outcome again = run({"train", "--out", "run", "--seed", "5"});
  EXPECT_EQ(again.code, 1);
  EXPECT_THAT(again.err,
              HasSubstr("'run' holds a run already ('run/last.safetensors'): go on with it by --resume, begin "
                        "anew in its place by --overwrite, or choose another folder"));
  EXPECT_EQ(readFile(at("run/last.safetensors")), last);
  EXPECT_TRUE(fileExists(at("run/previous-2.safetensors")));
  // Begun anew, nothing of the earlier run is left.
  Outcome anew = run({"train", "--out", "run", "--overwrite", "--seed", "5", "--steps", "5"});
  unsetenv("KILN_FAKE_TRAIN");
  EXPECT_EQ(anew.code, 0) << anew.err;
  EXPECT_NE(readFile(at("run/last.safetensors")), last);
  EXPECT_FALSE(fileExists(at("run/previous-1.safetensors")));
  EXPECT_FALSE(fileExists(at("run/previous-2.safetensors")));
  EXPECT_EQ(run({"train", "--overwrite"}).code, 2);
  EXPECT_EQ(run({"train", "--out", "run", "--resume", "--overwrite"}).code, 2);
}

TEST_F(Commands, OneProcessWritesToAFolder) {
  pid_t child = start({"train", "--out", "run", "--steps", "100000000", "--json", "log.jsonl"});
  while (!fileExists(at("run/last.safetensors"))) // by then it has the lock
    usleep(1000);
  for (const char *how : {"--resume", "--overwrite"}) {
    Outcome other = run({"train", "--out", "run", how, "--steps", "1"});
    EXPECT_EQ(other.code, 1);
    EXPECT_THAT(other.err, HasSubstr("another process is writing to the folder 'run' now"));
  }
  kill(child, SIGKILL);
  finish(child);
  Outcome resumed = run({"train", "--out", "run", "--resume", "--steps", "1"}); // a killed process has no lock
  EXPECT_EQ(resumed.code, 0) << resumed.err;
}

TEST_F(Commands, ResumeTellsWhatHasChanged) {
  auto train = [&](const char *recipe, std::vector<std::string> arguments) {
    setenv("KILN_FAKE_TRAIN", recipe, 1);
    arguments.insert(arguments.begin(), {"train", "--out", "run"});
    Outcome outcome = run(arguments);
    unsetenv("KILN_FAKE_TRAIN");
    return outcome;
  };
  ASSERT_EQ(train(R"({"steps": 10, "log": 3, "optimizer": {"kind": "sgd", "lr": 0.1}, "seed": 4})", {}).code, 0);
  Outcome longer =
      train(R"({"steps": 20, "log": 5, "optimizer": {"kind": "sgd", "lr": 0.1}, "seed": 4})", {"--resume"});
  EXPECT_EQ(longer.code, 0);
  EXPECT_EQ(longer.err, ""); // more steps are no other recipe
  Outcome slower = train(
      R"({"steps": 30, "optimizer": {"kind": "sgd", "lr": 0.01}, "seed": 4, "clip": {"kind": "norm", "value": 1}})",
      {"--resume"});
  EXPECT_EQ(slower.code, 0);
  EXPECT_THAT(slower.err,
              HasSubstr("note: the recipe has changed since step 20; the run goes on with what it says now:\n"
                        "  optimizer.lr: 0.1, now 0.01\n"
                        "  clip.kind: not there, now \"norm\"\n"
                        "  clip.value: not there, now 1\n"));
  Outcome other = train(R"({"steps": 40, "optimizer": {"kind": "adam", "lr": 0.01}, "seed": 4})", {"--resume"});
  EXPECT_EQ(other.code, 1);
  EXPECT_THAT(other.err, HasSubstr("cannot be gone on with, for the recipe is another: optimizer.kind: \"sgd\", now "
                                   "\"adam\"; train into another folder, or take the weights alone with --load"));
}

TEST_F(Commands, WhatIsReadIsNotWrittenOver) {
  std::string data = readFile(at("line.csv"));
  ASSERT_EQ(link(at("line.csv").c_str(), at("hard").c_str()), 0);
  ASSERT_EQ(symlink("line.csv", at("soft").c_str()), 0);
  for (const char *option : {"--save", "--json", "--profile"})
    for (const char *path : {"line.csv", "./line.csv", "hard", "soft"}) {
      Outcome outcome = run({"train", "--steps", "3", option, path});
      EXPECT_EQ(outcome.code, 1) << option << " " << path;
      EXPECT_THAT(outcome.err, HasSubstr("which this command reads; choose another name")) << option << " " << path;
      EXPECT_EQ(readFile(at("line.csv")), data) << option << " " << path;
    }
  ASSERT_EQ(run({"train", "--save", "w.safetensors"}).code, 0);
  std::string weights = readFile(at("w.safetensors"));
  float x[8] = {};
  writeNpy(at("x.npy"), {"", KILN_F32, {4, 2}, reinterpret_cast<uint8_t *>(x), 32});
  for (const char *output : {"x.npy", "w.safetensors"})
    EXPECT_EQ(run({"run", "--input", "x=x.npy", "--load", "w.safetensors", "--output", output}).code, 1) << output;
  EXPECT_EQ(run({"eval", "--load", "w.safetensors", "--json", "w.safetensors"}).code, 1);
  EXPECT_EQ(run({"train", "--load", "w.safetensors", "--json", "w.safetensors"}).code, 2);
  EXPECT_EQ(readFile(at("w.safetensors")), weights);
  EXPECT_EQ(run({"train", "--load", "w.safetensors", "--save", "w.safetensors"}).code, 0); // asked for
  EXPECT_EQ(run({"train", "--save", "a", "--profile", "a"}).code, 2);
  EXPECT_EQ(run({"train", "--out", "run", "--save", "run/last.safetensors"}).code, 2);
  setenv("KILN_MODEL_FILE", at("hard").c_str(), 1);
  EXPECT_THAT(run({"info", "--json", "hard"}).err, HasSubstr("it is the model, which this command reads"));
  unsetenv("KILN_MODEL_FILE");
}

TEST_F(Commands, JsonStaysUntilThereIsMore) {
  folder_.write("log.jsonl", "before\n");
  EXPECT_EQ(run({"train", "--data", "data=none.csv", "--json", "log.jsonl"}).code, 1);
  EXPECT_EQ(readFile(at("log.jsonl")), "before\n");
  EXPECT_EQ(run({"train", "--steps", "1", "--json", "log.jsonl"}).code, 0);
  EXPECT_THAT(readFile(at("log.jsonl")), StartsWith("{\"step\":0"));
  EXPECT_EQ(run({"train", "--steps", "0", "--json", "log.jsonl"}).code, 0);
  EXPECT_EQ(readFile(at("log.jsonl")), "");
}

TEST_F(Commands, StandardOutputThatCannotBeWritten) {
  for (const char *how : {">&-", ">/dev/full"})
    for (const char *command : {"info", "--help", "train --help", "train --out run --overwrite --steps 3", "eval",
                                "train --steps 3 --json", "bench --min-time 0"}) {
      std::string line = "cd " + folder_.path() + " && " + KILN_FAKE_PROGRAM + " " + command + " 2>err.txt " + how;
      int status = std::system(line.c_str());
      EXPECT_EQ(WEXITSTATUS(status), 1) << line;
      EXPECT_THAT(readFile(at("err.txt")), HasSubstr("standard output")) << line;
      if (std::string_view(command).find("--out") != std::string_view::npos) // and is no file that was opened meanwhile
        EXPECT_GT(Safetensors::open(at("run/last.safetensors")).tensors().size(), 0u);
    }
}

} // namespace
} // namespace kiln
