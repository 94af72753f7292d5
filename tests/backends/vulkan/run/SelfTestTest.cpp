// What a device is found to do wrong, what programs make of it, and the file that keeps it.
#include "tests/backends/vulkan/run/Fixture.h"

#include "backends/api/kiln_text.h"
#include "backends/vulkan/run/SelfTest.h"
#include "backends/vulkan/run/Testing.h"

#include <cstdlib>
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
  void assume(const vulkan::Findings &findings) { internalDevice().selfTest.assume(findings); }
  int32_t loadScale() { return load({launch(scale, {argument(0), argument(1)})}, 2); }
};

TEST_F(VulkanSelfTest, LoopsThatTheDriverEnds) {
  assume({.loopPasses = 5000, .strips = true, .loopsTried = true});
  setPasses(9000, 4000);
  EXPECT_EQ(loadScale(), 0) << error.message;
  setPasses(90'000, 6000);
  EXPECT_EQ(loadScale(), KILN_ERROR_UNSUPPORTED);
  EXPECT_THAT(error.message, AllOf(HasSubstr("kernel scale"), HasSubstr("loops that come round 6000 times"),
                                   HasSubstr("ends them after 5000"), HasSubstr("--bound"), HasSubstr("--device")));
  assume({.loopPasses = 5000, .strips = false, .loopsTried = true}); // they are no help then
  setPasses(9000, 4000);
  EXPECT_EQ(loadScale(), KILN_ERROR_UNSUPPORTED);
  EXPECT_THAT(error.message, HasSubstr("come round 9000 times"));
  assume({.loopPasses = 0, .strips = true, .loopsTried = true});
  EXPECT_EQ(loadScale(), 0) << error.message;
}

TEST_F(VulkanSelfTest, AnotherVariantHasShorterLoops) {
  assume({.loopPasses = 5000, .strips = true, .loopsTried = true});
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
  const vulkan::Findings &found = internalDevice().selfTest.findings();
  ASSERT_TRUE(found.loopsTried);
  EXPECT_TRUE(found.loopPasses == 0 || (found.loopPasses > KILN_VK_SURE_PASSES && found.strips))
      << found.loopPasses << " passes";
  if (internalDevice().physical.driver.find("llvmpipe Mesa 22") != std::string::npos) { // that of 2026 has no limit
    EXPECT_EQ(found.loopPasses, 65'535u);
  }
}

TEST_F(VulkanSelfTest, NothingIsTriedForShortLoops) {
  setPasses(900, 900);
  ASSERT_EQ(loadScale(), 0) << error.message;
  EXPECT_FALSE(internalDevice().selfTest.findings().loopsTried);
}

/// All kinds and features, with every case that the device can run.
TEST_F(VulkanSelfTest, ThisDeviceIsRight) {
  vulkan::SelfTest &test = internalDevice().selfTest;
  vulkan::Failure failure = test.tryOut((1u << KILN_VK_KIND_COUNT) - 1, vulkan::triedFeatures);
  ASSERT_FALSE(failure) << failure.message();
  EXPECT_EQ(test.findings().kinds, (1u << KILN_VK_KIND_COUNT) - 2);
  EXPECT_EQ(test.findings().wrongKinds, 0u);
  EXPECT_EQ(test.findings().features, vulkan::triedFeatures & internalDevice().physical.features);
  EXPECT_EQ(test.findings().wrongFeatures, 0u);
}

TEST_F(VulkanSelfTest, AWrongKindIsLeftForAnother) {
  vulkan::hooks().wrongKinds = 1u << KILN_VK_KIND_ROWS_SHARED;
  vulkan::Variant &first = kernels[scale].plan.variants[0];
  vulkan::Variant second = first;
  first.kind = KILN_VK_KIND_ROWS_SHARED, second.kind = KILN_VK_KIND_ROWS;
  first.dispatches[0].glsl = "#version 460\nlayout(local_size_x = 64) in;\nvoid main() {}\n"; // shows if it runs
  kernels[scale].plan.variants.push_back(second);
  ASSERT_EQ(loadScale(), 0) << error.message;
  EXPECT_THAT(log, AllOf(HasSubstr("computes rows in workgroup memory wrongly"), HasSubstr("run in another way")));
  kiln_buffer *a = buffer({1, 2}), *b = buffer({0, 0});
  ASSERT_EQ(run({a, b}, 2), 0) << error.message;
  EXPECT_EQ(read(b, 2), (Floats{2, 4}));
}

TEST_F(VulkanSelfTest, NothingElseIsASentence) {
  vulkan::hooks().wrongKinds = 1u << KILN_VK_KIND_PRODUCT;
  kernels[scale].plan.variants[0].kind = KILN_VK_KIND_PRODUCT;
  EXPECT_EQ(loadScale(), KILN_ERROR_UNSUPPORTED);
  EXPECT_THAT(error.message, AllOf(HasSubstr("computes products wrongly with its driver"), HasSubstr("kernel scale"),
                                   HasSubstr("--device"), HasSubstr("--backend-option vulkan.self-test=again")));
  EXPECT_EQ(error.kernel, scale);
}

TEST_F(VulkanSelfTest, AWrongFeatureIsASentence) {
  assume({.features = KILN_VK_F64, .wrongFeatures = KILN_VK_F64});
  kernels[scale].plan.variants[0].features |= KILN_VK_F64;
  EXPECT_EQ(loadScale(), KILN_ERROR_UNSUPPORTED);
  EXPECT_THAT(error.message, HasSubstr("computes shaderFloat64 wrongly"));
}

/// The option matrices=leave: as on a device that multiplies none.
TEST_F(VulkanSelfTest, MatricesLeft) {
  constexpr uint32_t all = KILN_VK_COOPERATIVE_MATRIX | KILN_VK_MATRIX_BF16 | KILN_VK_MATRIX_I8;
  vulkan::PhysicalDevice has = internalDevice().physical;
  has.features |= all;
  for (const char *wish : {"take", "leave"}) {
    kiln_setting setting = {text("matrices"), text(wish)};
    host.settings = &setting;
    host.setting_count = 1;
    vulkan::Device device(&host, internalDevice().instance, has);
    EXPECT_EQ(device.physical.features & all, std::string_view(wish) == "take" ? all : 0u);
    EXPECT_EQ(device.physical.features | all, has.features);
    host.setting_count = 0;
  }
}

TEST_F(VulkanSelfTest, TriedOnceAndAgainWhereAsked) {
  closeDevice();
  fs::path folder = fs::path(testing::TempDir()) / "kiln-vulkan-self-test-kinds";
  fs::remove_all(folder);
  fs::create_directories(folder);
  cacheFolder = folder.string();
  kernels[scale].plan.variants[0].kind = KILN_VK_KIND_SCATTER;
  auto loads = [&](const char *wish) {
    kiln_setting setting = {text("self-test"), text(wish)};
    host.settings = &setting;
    host.setting_count = 1;
    openDevice();
    int32_t result = loadScale();
    closeDevice();
    host.setting_count = 0;
    return result == 0;
  };
  EXPECT_TRUE(loads("once"));
  vulkan::hooks().wrongKinds = 1u << KILN_VK_KIND_SCATTER;
  EXPECT_TRUE(loads("once")) << "it was tried again";
  EXPECT_FALSE(loads("again"));
  vulkan::hooks().wrongKinds = 0;
  EXPECT_FALSE(loads("once")) << "what was wrong was forgotten";
  EXPECT_TRUE(loads("skip"));
  EXPECT_FALSE(loads("once")) << "skipping wrote something";
  EXPECT_TRUE(loads("again"));
  EXPECT_TRUE(loads("once"));
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
    vulkan::Findings result = internalDevice().selfTest.findings();
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
  std::string ofAnother = planted; // driver
  ofAnother.replace(ofAnother.find('\n') - 1, 1, "?");
  for (const std::string &damaged :
       {planted.substr(0, planted.size() - 3), ofAnother, std::string("loop-passes 7777"), std::string()}) {
    std::ofstream(file) << damaged;
    EXPECT_EQ(found(), real) << "a damaged file was taken on trust";
    EXPECT_EQ(text(), kept);
  }
  cacheFolder = (folder / "not" / "there").string();
  EXPECT_EQ(found(), real);
}

} // namespace
