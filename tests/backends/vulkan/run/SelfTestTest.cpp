// What a device is found to do wrong, what programs make of it, and the file that keeps it.
#include "tests/backends/vulkan/run/Fixture.h"

#include "backends/vulkan/run/SelfTest.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>

using namespace kiln;
using namespace kiln::test;
using testing::AllOf;
using testing::HasSubstr;
using Floats = std::vector<float>;
namespace fs = std::filesystem;

namespace {

class VulkanSelfTest : public VulkanRun {
protected:
  /// scale, with loops that come round so often.
  void setPasses(int64_t plain, int64_t stripped) {
    vulkan::Dispatch &dispatch = kernels[scale].plan.variants[0].dispatches[0];
    dispatch.passes = plain, dispatch.strippedPasses = stripped;
  }
  int32_t loadScale() { return load({launch(scale, {argument(0), argument(1)})}, 2); }
};

TEST_F(VulkanSelfTest, LoopsThatTheDriverEnds) {
  internalDevice().findings = vulkan::Findings{.loopPasses = 5000, .strips = true};
  setPasses(9000, 4000);
  EXPECT_EQ(loadScale(), 0) << error.message;
  setPasses(90'000, 6000);
  EXPECT_EQ(loadScale(), KILN_ERROR_UNSUPPORTED);
  EXPECT_THAT(error.message, AllOf(HasSubstr("kernel scale"), HasSubstr("loops that come round 6000 times"),
                                   HasSubstr("ends them after 5000"), HasSubstr("--bound"), HasSubstr("--device")));
  internalDevice().findings->strips = false; // they are no help then
  setPasses(9000, 4000);
  EXPECT_EQ(loadScale(), KILN_ERROR_UNSUPPORTED);
  EXPECT_THAT(error.message, HasSubstr("come round 9000 times"));
  internalDevice().findings->loopPasses = 0;
  EXPECT_EQ(loadScale(), 0) << error.message;
}

TEST_F(VulkanSelfTest, AnotherVariantHasShorterLoops) {
  internalDevice().findings = vulkan::Findings{.loopPasses = 5000, .strips = true};
  setPasses(9000, 9000);
  vulkan::Variant shorter = kernels[scale].plan.variants[0];
  shorter.dispatches[0].passes = shorter.dispatches[0].strippedPasses = 10;
  kernels[scale].plan.variants[0].dispatches[0].glsl =
      "#version 460\nlayout(local_size_x = 64) in;\nvoid main() {}\n"; // shows if it runs
  kernels[scale].plan.variants.push_back(shorter);
  ASSERT_EQ(loadScale(), 0) << error.message;
  kiln_buffer *a = buffer({1, 2}), *b = buffer({0, 0});
  ASSERT_EQ(run({a, b}, 2), 0) << error.message;
  EXPECT_EQ(read(b, 2), (Floats{2, 4}));
}

/// What a device really does: either it has no limit, or none that shaders without strips could meet.
TEST_F(VulkanSelfTest, ThisDevice) {
  setPasses(9000, 4000);
  ASSERT_EQ(loadScale(), 0) << error.message;
  ASSERT_TRUE(internalDevice().findings);
  const vulkan::Findings &found = *internalDevice().findings;
  EXPECT_TRUE(found.loopPasses == 0 || (found.loopPasses > KILN_VK_SURE_PASSES && found.strips))
      << found.loopPasses << " passes";
  if (internalDevice().physical.name.find("llvmpipe") != std::string::npos) {
    EXPECT_EQ(found.loopPasses, 65'535u);
  }
}

TEST_F(VulkanSelfTest, NothingIsTriedForShortLoops) {
  setPasses(900, 900);
  ASSERT_EQ(loadScale(), 0) << error.message;
  EXPECT_FALSE(internalDevice().findings);
}

TEST_F(VulkanSelfTest, KeptOnDisk) {
  closeDevice();
  fs::path folder = fs::path(testing::TempDir()) / "kiln-vulkan-self-test";
  fs::remove_all(folder);
  fs::create_directories(folder);
  cacheFolder = folder.string();
  setPasses(9000, 4000);
  auto found = [&] {
    openDevice();
    EXPECT_EQ(loadScale(), 0) << error.message;
    vulkan::Findings result = *internalDevice().findings;
    unload();
    closeDevice();
    return result.loopPasses;
  };
  uint64_t real = found();
  fs::path file;
  for (const auto &entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".self-test")
      file = entry.path();
  ASSERT_FALSE(file.empty());
  auto text = [&] {
    std::ifstream stream(file);
    return std::string(std::istreambuf_iterator<char>(stream), {});
  };
  std::string kept = text();
  std::string planted = kept;
  size_t at = planted.find("loop-passes ") + 12;
  planted.replace(at, planted.find('\n', at) - at, "7777");
  std::ofstream(file) << planted;
  EXPECT_EQ(found(), 7777u) << "it was tried again";
  for (const std::string &damaged :
       {planted.substr(0, planted.size() - 3), std::string("loop-passes 7777"), std::string()}) {
    std::ofstream(file) << damaged;
    EXPECT_EQ(found(), real) << "a damaged file was taken on trust";
    EXPECT_EQ(text(), kept);
  }
  cacheFolder = (folder / "not" / "there").string();
  EXPECT_EQ(found(), real);
}

} // namespace
