// What is wrong with an artifact, a device or its memory: a sentence each.
#include "tests/backends/vulkan/run/Fixture.h"

#include "backends/vulkan/run/Executable.h"
#include "backends/vulkan/run/Instance.h"
#include "backends/vulkan/run/Testing.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <sys/stat.h>

using namespace kiln;
using namespace kiln::test;
using testing::AllOf;
using testing::HasSubstr;
using Floats = std::vector<float>;

using VulkanRefusals = VulkanRun;

TEST(VulkanInstance, WithoutALoader) {
  auto instance = vulkan::makeInstance(nullptr, "libvulkan-that-is-not-there.so.1");
  EXPECT_TRUE(instance->devices.empty());
  EXPECT_THAT(instance->reason, AllOf(HasSubstr("is not installed"), HasSubstr("apt-get install libvulkan1")));
  auto other = vulkan::makeInstance(nullptr, "libz.so.1");
  EXPECT_TRUE(other->devices.empty());
  EXPECT_THAT(other->reason, HasSubstr("too old a Vulkan loader"));
}

TEST_F(VulkanRefusals, NoSuchDevice) {
  kiln_device *none = nullptr;
  EXPECT_EQ(api->open(&host, 99, &none, &error), KILN_ERROR_INVALID);
  EXPECT_THAT(error.message, HasSubstr("no device 99"));
  kiln_device_info info = {};
  info.size = sizeof info;
  ASSERT_EQ(api->device_info(&host, 0, &info, &error), 0);
  EXPECT_TRUE(info.usable);
  EXPECT_GT(info.name.size, 0u);
  EXPECT_GT(info.driver.size, 0u);
  EXPECT_GT(info.memory_bytes, 0u);
  EXPECT_LE(info.free_bytes, info.memory_bytes);
  kiln_device_info shorter = {};
  shorter.size = offsetof(kiln_device_info, name);
  ASSERT_EQ(api->device_info(&host, 0, &shorter, &error), 0);
  EXPECT_EQ(shorter.name.size, 0u) << "written beyond the size that was given";
}

TEST_F(VulkanRefusals, VersionsThatDoNotMeet) {
  kiln_offer offer = {sizeof offer, 7, 9, &host, {"kiln", 4}};
  EXPECT_EQ(kiln_backend_vulkan(&offer, &error), nullptr);
  EXPECT_EQ(error.code, KILN_ERROR_VERSION);
  EXPECT_THAT(error.message, HasSubstr("version 1"));
}

TEST_F(VulkanRefusals, DamagedArtifacts) {
  ASSERT_EQ(load({launch(add, {argument(0), argument(1), argument(2)})}, 3), 0) << error.message;
  std::vector<uint8_t> good = blob();
  auto refused = [&](const std::vector<uint8_t> &bad, const char *why) {
    EXPECT_EQ(loadBlob(bad), KILN_ERROR_INVALID);
    EXPECT_THAT(error.message, AllOf(HasSubstr("Vulkan artifact"), HasSubstr(why)));
  };
  refused({}, "too short");
  refused({good.begin(), good.begin() + 40}, "too short");
  refused({good.begin(), good.end() - 8}, "it says that it has");
  for (size_t at = 24; at < good.size(); at += 97) {
    std::vector<uint8_t> bad = good;
    bad[at] ^= 4;
    refused(bad, "checksum");
  }
  std::vector<uint8_t> version = good;
  version[4] = 99;
  refused(version, "version is 99");
}

/// With a right checksum nothing in it is taken on trust either.
TEST_F(VulkanRefusals, LyingArtifacts) {
  ASSERT_EQ(load({launch(add, {argument(0), argument(1), argument(2)})}, 3), 0) << error.message;
  std::vector<uint8_t> good = blob();
  size_t refused = 0, all = 0;
  for (size_t at = 24; at + 4 <= good.size(); at += 4)
    for (uint32_t value : {0u, 77u, 0x7fffffffu, 0xffffffffu}) {
      std::vector<uint8_t> bad = good;
      std::memcpy(bad.data() + at, &value, 4);
      auto &head = *reinterpret_cast<kiln_vk_artifact *>(bad.data());
      head.checksum = kiln_vk_checksum(bad.data() + 24, bad.size() - 24);
      ++all;
      refused += loadBlob(bad) != 0; // must come back, whatever it says
    }
  EXPECT_GT(refused, all / 20);
}

TEST_F(VulkanRefusals, ProgramsAndArtifactsThatDoNotBelongTogether) {
  ASSERT_EQ(load({launch(add, {argument(0), argument(1), argument(2)})}, 3), 0) << error.message;
  kernels.pop_back();
  EXPECT_EQ(loadBlob(blob()), KILN_ERROR_INVALID);
  EXPECT_THAT(error.message, HasSubstr("do not belong together"));
  kernels.push_back(elementwise("below", 3, "b3.v[0] = 1.0;"));
  kernels[0] = elementwise("add", 1, "b1.v[i] = b0.v[i];");
  ASSERT_EQ(loadBlob(blob()), 0) << error.message;
  kiln_buffer *a = buffer(Floats(4));
  EXPECT_EQ(run({a, a, a}, 4), KILN_ERROR_INVALID);
  EXPECT_THAT(error.message, AllOf(HasSubstr("kernel add"), HasSubstr("do not belong together")));
}

TEST_F(VulkanRefusals, FeaturesByName) {
  kernels[0].plan.variants[0].features |= KILN_VK_COOPERATIVE_MATRIX | KILN_VK_NAN64;
  uint32_t &features = const_cast<vulkan::PhysicalDevice &>(internalDevice().physical).features;
  uint32_t before = std::exchange(features, 0);
  EXPECT_EQ(load({launch(add, {argument(0), argument(1), argument(2)})}, 3), KILN_ERROR_UNSUPPORTED);
  features = before;
  EXPECT_THAT(error.message, AllOf(HasSubstr("VK_KHR_cooperative_matrix"), HasSubstr("Float64")));
}

TEST_F(VulkanRefusals, TheFirstVariantThatFits) {
  vulkan::Variant wide = kernels[0].plan.variants[0];
  wide.dispatches[0].glsl = "#version 460\nlayout(local_size_x = 64) in;\nvoid main() {}\n";
  wide.dispatches[0].sharedBytes = 1 << 30;
  kernels[0].plan.variants.insert(kernels[0].plan.variants.begin(), wide);
  ASSERT_EQ(load({launch(add, {argument(0), argument(1), argument(2)})}, 3), 0) << error.message;
  kiln_buffer *a = buffer({1, 2}), *b = buffer({3, 4}), *c = buffer({0, 0});
  ASSERT_EQ(run({a, b, c}, 2), 0) << error.message;
  EXPECT_EQ(read(c, 2), (Floats{4, 6}));
  kernels[0].plan.variants.pop_back();
  EXPECT_EQ(load({launch(add, {argument(0), argument(1), argument(2)})}, 3), KILN_ERROR_UNSUPPORTED);
  EXPECT_THAT(error.message, AllOf(HasSubstr("kernel add"), HasSubstr("shared memory")));
  EXPECT_EQ(error.kernel, 0u);
}

TEST_F(VulkanRefusals, PlacesBeyondTheirBuffers) {
  ASSERT_EQ(load({launch(add, {argument(0), argument(1), argument(2)})}, 3), 0) << error.message;
  kiln_buffer *a = buffer(Floats(100)), *b = buffer(Floats(100)), *c = buffer(Floats(10));
  EXPECT_EQ(run({a, b, c}, 100), KILN_ERROR_INVALID);
  EXPECT_THAT(error.message, AllOf(HasSubstr("kernel add"), HasSubstr("reach beyond a buffer")));
  EXPECT_EQ(run({a, b, nullptr}, 10), KILN_ERROR_INVALID);
  EXPECT_EQ(run({a, b, c}, 10, 5), KILN_ERROR_INVALID);
  EXPECT_EQ(run({a, b, c}, 10), 0) << error.message;
}

TEST_F(VulkanRefusals, BindingsBeyondTheLimit) {
  ASSERT_EQ(load({launch(scale, {argument(0), argument(1)})}, 2), 0) << error.message;
  auto &limits = const_cast<vulkan::PhysicalDevice &>(internalDevice().physical).limits;
  uint32_t before = std::exchange(limits.maxStorageBufferRange, 4096);
  kiln_buffer *a = buffer(Floats(2000)), *b = buffer(Floats(2000));
  EXPECT_EQ(run({a, b}, 2000), KILN_ERROR_UNSUPPORTED);
  limits.maxStorageBufferRange = before;
  EXPECT_THAT(error.message, AllOf(HasSubstr("7.8 KiB"), HasSubstr("binds at once (4.0 KiB)"), HasSubstr("lower")));
}

/// A place in parts, each a binding of its own.
TEST_F(VulkanRefusals, PlacesLongerThanABinding) {
  partBytes = 1024; // 256 floats
  ShaderKernel parts = elementwise("parts", 1, "");
  vulkan::Dispatch &dispatch = parts.plan.variants[0].dispatches[0];
  dispatch.glsl = R"(#version 460
layout(local_size_x = 64) in;
layout(set = 0, binding = 0) buffer A { float v[]; } a0;
layout(set = 0, binding = 1) buffer C { float v[]; } a1;
layout(set = 0, binding = 2) buffer B { float v[]; } b;
layout(push_constant) uniform W { int w[3]; } p;
void main() {
  int i = int(gl_GlobalInvocationID.x);
  if (i >= p.w[2]) return;
  int at = p.w[0] + i;
  b.v[p.w[1] + i] = at < 256 ? a0.v[at] : a1.v[at - 256];
})";
  dispatch.bindings = {{KILN_VK_BIND_OPERAND, 0, KILN_VK_READS, 0, 0},
                       {KILN_VK_BIND_OPERAND, 0, KILN_VK_READS, 1, 0},
                       {KILN_VK_BIND_OPERAND, 1, KILN_VK_WRITES, KILN_VK_NONE, 0}};
  dispatch.words = {{KILN_VK_WORD_BASE, 0, 0},
                    {KILN_VK_WORD_BASE, 2, 0},
                    {KILN_VK_WORD_EXPRESSION, 0, vulkan::Number(kiln_extent{0, 0})}};
  kernels.push_back(parts);
  ASSERT_EQ(load({launch(5, {argument(0, 4), argument(1)})}, 2), 0) << error.message;
  Floats values(512);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(i);
  kiln_buffer *a = buffer(values), *b = buffer(Floats(512));
  for (int64_t length : {1, 255, 256, 400, 511}) {
    ASSERT_EQ(run({a, b}, length), 0) << error.message;
    Floats out = read(b, static_cast<size_t>(length));
    for (size_t i = 0; i < out.size(); ++i)
      ASSERT_EQ(out[i], values[i + 1]) << "element " << i << " of " << length;
  }
}

TEST_F(VulkanRefusals, OutOfMemory) {
  kiln_buffer *big = nullptr;
  vulkan::hooks().memoryLimit = 64 << 20;
  EXPECT_EQ(api->allocate(device, 100 << 20, &big, &error), KILN_ERROR_OUT_OF_MEMORY);
  EXPECT_THAT(error.message, AllOf(HasSubstr("100.0 MiB"), HasSubstr("are left"), HasSubstr("lower the batch")));
  vulkan::hooks().memoryLimit = 0;
  EXPECT_EQ(api->allocate(device, UINT64_MAX / 2, &big, &error), KILN_ERROR_OUT_OF_MEMORY);
  EXPECT_THAT(error.message, HasSubstr("no single allocation beyond"));
  EXPECT_EQ(big, nullptr);
  // What was freed can be had again, small and large, and nothing is left behind.
  uint64_t before = internalDevice().allocator->bytes();
  for (int round = 0; round < 3; ++round) {
    std::vector<kiln_buffer *> many;
    for (uint64_t i = 0; i < 300; ++i) {
      kiln_buffer *one = nullptr;
      ASSERT_EQ(api->allocate(device, i * 1000 % 50'000, &one, &error), 0) << error.message;
      many.push_back(one);
    }
    for (size_t i = 0; i < many.size(); i += 2)
      api->release(many[i]);
    for (size_t i = 1; i < many.size(); i += 2)
      api->release(many[i]);
  }
  EXPECT_EQ(internalDevice().allocator->bytes(), before);
}

TEST_F(VulkanRefusals, ALostDevice) {
  ASSERT_EQ(load({launch(scale, {argument(0), argument(1)})}, 2), 0) << error.message;
  kiln_buffer *a = buffer({1, 2}), *b = buffer({0, 0});
  ASSERT_EQ(run({a, b}, 2), 0) << error.message;
  vulkan::hooks().failSubmit = VK_ERROR_DEVICE_LOST;
  EXPECT_EQ(run({a, b}, 2), KILN_ERROR_DEVICE_LOST);
  EXPECT_THAT(error.message, AllOf(HasSubstr("was lost"), HasSubstr("last checkpoint")));
  float value = 0;
  EXPECT_EQ(api->write(a, 0, &value, 4, &error), KILN_ERROR_DEVICE_LOST);
  EXPECT_EQ(api->read(a, 0, &value, 4, &error), KILN_ERROR_DEVICE_LOST);
  EXPECT_EQ(run({a, b}, 2), KILN_ERROR_DEVICE_LOST);
  closeDevice(); // and it goes quietly
  openDevice();
  ASSERT_EQ(load({launch(scale, {argument(0), argument(1)})}, 2), 0) << error.message;
}

TEST_F(VulkanRefusals, ThePipelineCacheOnDisk) {
  namespace fs = std::filesystem;
  closeDevice();
  fs::path folder = fs::path(testing::TempDir()) / "kiln-vulkan-cache";
  fs::remove_all(folder);
  fs::create_directories(folder);
  cacheFolder = folder.string();
  auto use = [&] {
    openDevice();
    ASSERT_EQ(load({launch(scale, {argument(0), argument(1)})}, 2), 0) << error.message;
    kiln_buffer *a = buffer({1, 2}), *b = buffer({0, 0});
    ASSERT_EQ(run({a, b}, 2), 0) << error.message;
    EXPECT_EQ(read(b, 2), (Floats{2, 4}));
    closeDevice();
  };
  use();
  std::vector<fs::path> files;
  for (const auto &entry : fs::directory_iterator(folder))
    if (entry.path().extension() != ".self-test")
      files.push_back(entry.path());
  ASSERT_EQ(files.size(), 1u);
  EXPECT_THAT(files[0].filename().string(), AllOf(HasSubstr("vulkan-"), HasSubstr(".pipelines")));
  // A file that was read and has not grown stays the same file; it is written anew (and takes the other's name) where
  // it could not be used.
  auto number = [&] {
    struct stat status = {};
    return stat(files[0].c_str(), &status) == 0 ? status.st_ino : 0;
  };
  auto written = number();
  ASSERT_NE(written, 0u);
  std::ifstream keep(files[0]); // so that its number is not given to another
  use();
  EXPECT_EQ(number(), written);
  std::ofstream(files[0], std::ios::binary | std::ios::in).seekp(30).put('x');
  use();
  EXPECT_NE(number(), written) << "a damaged cache was taken on trust";
  std::ofstream(files[0], std::ios::binary) << "short";
  use();
  cacheFolder = (folder / "not" / "there").string();
  use();
}
