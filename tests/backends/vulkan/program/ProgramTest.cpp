// What a program says when Vulkan, its device or that one's memory fails it: a sentence and exit code 1 each, and what
// was saved stays. The program meets the loader of FakeLoader.cpp.
#include "tests/e2e/Command.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>

namespace kiln::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

const char *const model = R"(
model Line(width=16):
    hidden = Linear(2, width)
    out    = Linear(width, 1)

    def forward(x: f32[B, 2]) -> f32[B, 1]:
        return out(tanh(hidden(x)))

train Line:
    data       = csv("points.csv", features=2, target=[2], batch=8)
    loss       = mse(forward(data.features), data.target)
    optimizer  = Adam(lr=0.01)
    steps      = 40
    checkpoint = every(5)
)";

class VulkanProgram : public testing::Test {
protected:
  static void SetUpTestSuite() {
    folder = freshFolder("vulkan-program");
    std::ofstream(folder + "/line.kiln") << model;
    std::ofstream points(folder + "/points.csv");
    for (int i = 0; i < 64; ++i) {
      int x = i % 8, y = i / 8;
      points << x * 0.1 << ',' << y * 0.1 << ',' << (x - y) * 0.05 << '\n';
    }
    points.close();
    built = run({kilnProgram(), "build", folder + "/line.kiln", "--backend", "vulkan", "-o", folder + "/line"});
  }
  void SetUp() override { ASSERT_EQ(built.code, 0) << built.err; }
  void TearDown() override {
    unsetenv("KILN_FAKE_VULKAN");
    unsetenv("LD_LIBRARY_PATH");
  }

  /// With the fake loader; "" spoils nothing.
  static Outcome trained(const std::string &wish, std::vector<std::string> more = {}) {
    setenv("LD_LIBRARY_PATH", KILN_FAKE_LOADER, 1);
    setenv("KILN_FAKE_VULKAN", wish.c_str(), 1);
    std::vector<std::string> argv = {folder + "/line", "train", "--data", "data=" + folder + "/points.csv"};
    argv.insert(argv.end(), more.begin(), more.end());
    return run(argv);
  }
  static std::string folder;
  static Outcome built;
};
std::string VulkanProgram::folder;
Outcome VulkanProgram::built;

TEST_F(VulkanProgram, TrainsThroughTheFakeLoader) {
  Outcome outcome = trained("");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
}

TEST_F(VulkanProgram, WithoutALoader) {
  std::string empty = freshFolder("vulkan-no-loader");
  std::ofstream(empty + "/libvulkan.so.1") << "";
  setenv("LD_LIBRARY_PATH", empty.c_str(), 1);
  Outcome outcome = run({folder + "/line", "train", "--data", "data=" + folder + "/points.csv"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err,
              HasSubstr("the Vulkan loader (libvulkan.so.1) is not installed (Debian: apt-get install "
                        "libvulkan1, and the device's driver; mesa-vulkan-drivers has one for the processor)"));
}

TEST_F(VulkanProgram, WithoutADriver) {
  Outcome outcome = trained("no-driver");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("the Vulkan loader found no driver: install the device's (for Mesa's, processor "
                                     "included, Debian: apt-get install mesa-vulkan-drivers)"));
}

TEST_F(VulkanProgram, WithoutADevice) {
  Outcome outcome = trained("no-device");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("Vulkan lists no device: install the device's driver"));
  setenv("LD_LIBRARY_PATH", KILN_FAKE_LOADER, 1);
  setenv("KILN_FAKE_VULKAN", "no-device", 1);
  Outcome info = run({folder + "/line", "info"});
  EXPECT_EQ(info.code, 0) << info.err;
  EXPECT_THAT(info.out + info.err, HasSubstr("Vulkan lists no device"));
}

TEST_F(VulkanProgram, TooOldADevice) {
  Outcome outcome = trained("old");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("it speaks Vulkan 1.1, and 1.2 is needed: a newer driver may do"));
}

TEST_F(VulkanProgram, AFeatureThatTheBackendNeeds) {
  Outcome outcome = trained("lacks-timeline");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("it lacks the feature timelineSemaphore"));
}

TEST_F(VulkanProgram, AFeatureThatTheProgramNeeds) {
  const std::pair<const char *, const char *> features[] = {
      {"lacks-f64", "shaderFloat64"}, {"lacks-arrays", "shaderStorageBufferArrayDynamicIndexing"}};
  for (auto [wish, feature] : features) {
    Outcome outcome = trained(wish);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_THAT(outcome.err, AllOf(HasSubstr(std::string("lacks what the program needs: ") + feature + ";"),
                                   HasSubstr("choose another device (--device)")));
  }
}

/// Results that are all wrong, at the device's first run.
TEST_F(VulkanProgram, ADeviceThatComputesWrongly) {
  setenv("XDG_CACHE_HOME", (folder + "/cache-of-wrong").c_str(), 1);
  Outcome first = trained("idle"), second = trained(""), again;
  again = trained("", {"--backend-option", "self-test=again"});
  unsetenv("XDG_CACHE_HOME");
  for (const Outcome &outcome : {first, second}) { // and it is remembered
    EXPECT_EQ(outcome.code, 1);
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("wrongly with its driver"), HasSubstr("choose another device (--device)"),
                                   HasSubstr("--backend-option vulkan.self-test=again")));
  }
  EXPECT_EQ(again.code, 0) << again.err;
}

TEST_F(VulkanProgram, TooLittleMemory) {
  Outcome outcome = trained("memory=1000");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("has no room for"), HasSubstr("are left, and this program has taken"),
                    HasSubstr("lower the batch or the bounds (--bound), or choose another device (--device)")));
}

TEST_F(VulkanProgram, ADeviceLostInMidTraining) {
  std::string kept = folder + "/kept", whole = folder + "/whole";
  Outcome outcome = trained("lost=30", {"--out", kept, "--seed", "3"});
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("was lost while"),
                    HasSubstr("its driver gave up on it, or work ran longer than it allows; what it held is "
                              "gone, start again from the last checkpoint")));
  // The last checkpoint stands: going on from it ends where an unbroken run ends.
  ASSERT_TRUE(fs::exists(kept + "/last.safetensors"));
  Outcome resumed = trained("", {"--out", kept, "--seed", "3", "--resume", "--save", folder + "/resumed.safetensors"});
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  Outcome unbroken = trained("", {"--out", whole, "--seed", "3", "--save", folder + "/unbroken.safetensors"});
  ASSERT_EQ(unbroken.code, 0) << unbroken.err;
  EXPECT_FALSE(bytes(folder + "/resumed.safetensors").empty());
  EXPECT_TRUE(bytes(folder + "/resumed.safetensors") == bytes(folder + "/unbroken.safetensors"));
}

TEST_F(VulkanProgram, TensorsWithoutElements) {
  std::ofstream(folder + "/empty.kiln") << R"(
model Empty:
    def empty():
        x = iota(6).reshape(3, 2).to(f32)
        return zeros(0, 0), exp(x[:, :0]) + 1.0, zeros(0, 4) * 2.0, sum(zeros(0, 2)), iota(0), x[3:] > 0.0, inv(zeros(0, 0))
)";
  Outcome build = run({kilnProgram(), "build", folder + "/empty.kiln", "--backend", "vulkan", "-o", folder + "/empty"});
  ASSERT_EQ(build.code, 0) << build.err;
  setenv("LD_LIBRARY_PATH", KILN_FAKE_LOADER, 1);
  Outcome outcome = run({folder + "/empty", "run", "empty"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("0: f32[0, 0]"), HasSubstr("1: f32[3, 0]"), HasSubstr("2: f32[0, 4]"),
                                 HasSubstr("3: f32[]\n0"), HasSubstr("4: i32[0]"), HasSubstr("5: bool[0, 2]"),
                                 HasSubstr("6: f32[0, 0]")));
}

TEST_F(VulkanProgram, ShardsOnTwoDevices) {
  std::string cut = folder + "/cut";
  Outcome build =
      run({kilnProgram(), "build", folder + "/line.kiln", "--backend", "vulkan", "--shards", "4", "-o", cut});
  ASSERT_EQ(build.code, 0) << build.err;
  setenv("LD_LIBRARY_PATH", KILN_FAKE_LOADER, 1);
  setenv("KILN_FAKE_VULKAN", "twice", 1);
  for (const char *devices : {"0", "0,1", "1,0"}) {
    std::string weights = folder + "/cut-" + devices + ".safetensors";
    Outcome outcome = run({cut, "train", "--data", "data=" + folder + "/points.csv", "--device", devices, "--seed", "3",
                           "--save", weights});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_FALSE(bytes(weights).empty());
    EXPECT_TRUE(bytes(weights) == bytes(folder + "/cut-0.safetensors")) << devices;
  }
}

} // namespace
} // namespace kiln::test
