// Launches that do not depend on each other as one dispatch.
#include "tests/backends/vulkan/run/Fixture.h"

#include "backends/vulkan/run/Executable.h"

#include <gmock/gmock.h>

using namespace kiln;
using namespace kiln::test;
using testing::HasSubstr;
using Floats = std::vector<float>;

namespace {

/// b2 = b0 + b1, with what it reports where the sum is negative; for batches.
ShaderKernel batchedAdd() {
  ShaderKernel kernel = elementwise("batched", 2, "");
  vulkan::Dispatch &dispatch = kernel.plan.variants[0].dispatches[0];
  dispatch.batches = true;
  dispatch.bindings.push_back({KILN_VK_BIND_STATUS, 0, KILN_VK_READS | KILN_VK_WRITES, KILN_VK_NONE, 0});
  dispatch.glsl = R"(#version 460
layout(local_size_x = 64) in;
layout(constant_id = 1000) const int n0 = 1;
layout(constant_id = 1001) const int n1 = 1;
layout(constant_id = 1002) const int n2 = 1;
layout(constant_id = 1003) const int n3 = 1;
layout(set = 0, binding = 0) readonly buffer A { float v[]; } as[n0];
layout(set = 0, binding = 1) readonly buffer B { float v[]; } bs[n1];
layout(set = 0, binding = 2) writeonly buffer C { float v[]; } cs[n2];
layout(set = 0, binding = 3) buffer S { uint claimed, kind, op, unused, value[2], limit[2]; } ss[n3];
struct Words { int a, b, c, count; };
layout(push_constant) uniform W { Words d[8]; } words;
int mine(int n) { return n == 1 ? 0 : int(gl_WorkGroupID.y); }
void main() {
  const Words w = words.d[gl_WorkGroupID.y];
  int i = int(gl_GlobalInvocationID.x);
  if (i >= w.count) return;
  float sum = as[mine(n0)].v[w.a + i] + bs[mine(n1)].v[w.b + i];
  cs[mine(n2)].v[w.c + i] = sum;
  if (sum < 0.0 && atomicCompSwap(ss[mine(n3)].claimed, 0u, 1u) == 0u) {
    ss[mine(n3)].kind = 1u;
    ss[mine(n3)].value[0] = uint(int(sum)), ss[mine(n3)].value[1] = 0xffffffffu;
  }
})";
  return kernel;
}

class VulkanBatches : public VulkanRun {
protected:
  void SetUp() override {
    VulkanRun::SetUp();
    batched = static_cast<uint32_t>(kernels.size());
    kernels.push_back(batchedAdd());
  }

  /// Six launches, of 100, 200, ... elements: argument 0 and its successor in turn, argument 1 for all.
  void loadSix() {
    std::vector<kiln_node> nodes;
    for (int64_t i = 0; i < 6; ++i)
      nodes.push_back(
          launch(batched, {argument(0, 1024 * i), argument(1), argument(2, 4096 * i)}, {{100 * (i + 1), -1}}));
    ASSERT_EQ(load({with(KILN_NODE_SEQUENCE, nodes)}, 3), 0) << error.message;
    Floats numbers(4096), ones(1024, 1);
    for (size_t i = 0; i < numbers.size(); ++i)
      numbers[i] = static_cast<float>(i);
    in = buffer(numbers), one = buffer(ones), out = buffer(Floats(6 * 1024, -1));
  }
  void expectSix() {
    ASSERT_EQ(run({in, one, out}, 0), 0) << error.message;
    Floats result = read(out, 6 * 1024);
    for (size_t i = 0; i < 6; ++i)
      for (size_t k = 0; k < 1024; ++k)
        ASSERT_EQ(result[i * 1024 + k], k < 100 * (i + 1) ? static_cast<float>(256 * i + k + 1) : -1)
            << "launch " << i << ", element " << k;
  }

  uint32_t batched = 0;
  kiln_buffer *in = nullptr, *one = nullptr, *out = nullptr;
};

} // namespace

TEST_F(VulkanBatches, OneDispatchForAll) {
  loadSix();
  expectSix();
  EXPECT_EQ(counters().launches, 1u);
  EXPECT_EQ(counters().barriers, 1u);
  expectSix(); // as recorded
}

TEST_F(VulkanBatches, AsManyAsTheDeviceBinds) {
  loadSix();
  auto &limits = const_cast<vulkan::PhysicalDevice &>(internalDevice().physical).limits;
  // One for all and three for each launch: batches of four and of two.
  uint32_t before = std::exchange(limits.maxPerStageDescriptorStorageBuffers, 14);
  expectSix();
  EXPECT_EQ(counters().launches, 2u);
  limits.maxPerStageDescriptorStorageBuffers = before;
}

TEST_F(VulkanBatches, NoneWhereEachIsTimed) {
  loadSix();
  internals().profiling = true;
  expectSix();
  EXPECT_EQ(counters().launches, 6u);
  EXPECT_EQ(internals().events.size(), 6u);
}

TEST_F(VulkanBatches, OneThatMayWaitDoes) {
  // The first could run at once; the last has to wait for two others, and nothing waits for the first.
  ASSERT_EQ(
      load({with(KILN_NODE_SEQUENCE,
                 {launch(batched, {argument(0), argument(1), argument(2)}), launch(scale, {argument(0), arena(0)}),
                  launch(scale, {arena(0), arena(4096)}), launch(batched, {arena(4096), argument(1), argument(3)})})},
           4),
      0)
      << error.message;
  kiln_buffer *a = buffer({1, 2}), *b = buffer({10, 20}), *c = buffer(Floats(2)), *d = buffer(Floats(2));
  ASSERT_EQ(run({a, b, c, d}, 2), 0) << error.message;
  EXPECT_EQ(read(c, 2), (Floats{11, 22}));
  EXPECT_EQ(read(d, 2), (Floats{14, 28}));
  EXPECT_EQ(counters().launches, 3u);
  EXPECT_EQ(counters().barriers, 3u);
  // Where somebody reads what it writes, it cannot.
  ASSERT_EQ(load({with(KILN_NODE_SEQUENCE,
                       {launch(batched, {argument(0), argument(1), arena(0)}), launch(scale, {arena(0), arena(4096)}),
                        launch(batched, {arena(4096), argument(1), argument(3)})})},
                 4),
            0)
      << error.message;
  ASSERT_EQ(run({a, b, c, d}, 2), 0) << error.message;
  EXPECT_EQ(read(d, 2), (Floats{32, 64}));
  EXPECT_EQ(counters().launches, 3u);
}

TEST_F(VulkanBatches, EachHasItsStatusRecord) {
  std::vector<kiln_node> nodes;
  for (int64_t i = 0; i < 4; ++i)
    nodes.push_back(launch(batched, {argument(0, 1024 * i), argument(1), argument(2, 1024 * i)}));
  ASSERT_EQ(load({with(KILN_NODE_SEQUENCE, nodes)}, 3), 0) << error.message;
  Floats numbers(1024, 1);
  numbers[256 * 2] = -7; // the third launch's
  numbers[256 * 3] = -9;
  kiln_buffer *a = buffer(numbers), *b = buffer({0}), *c = buffer(Floats(1024));
  ASSERT_EQ(run({a, b, c}, 1), 0) << error.message;
  EXPECT_EQ(counters().launches, 1u);
  EXPECT_EQ(status.kind, 1);
  EXPECT_EQ(status.kernel, batched);
  EXPECT_EQ(status.value, -7);
  EXPECT_EQ(status.order, 2u);
}

/// An operand that is written where it is read takes one binding.
TEST_F(VulkanBatches, InPlace) {
  vulkan::Dispatch &dispatch = kernels[scale].plan.variants[0].dispatches[0];
  dispatch.glsl = R"(#version 460
layout(local_size_x = 64) in;
layout(set = 0, binding = 0) buffer A { float v[]; } a;
layout(push_constant) uniform W { int base, count; } w;
void main() {
  int i = int(gl_GlobalInvocationID.x);
  if (i < w.count) a.v[w.base + i] *= 2.0;
})";
  dispatch.bindings.resize(1);
  dispatch.bindings[0].access = KILN_VK_READS | KILN_VK_WRITES;
  dispatch.bindings[0].output = 1;
  dispatch.words.erase(dispatch.words.begin() + 1);
  ASSERT_EQ(load({launch(scale, {argument(0), argument(0)}), launch(scale, {argument(0), argument(1)})}, 2), 0)
      << error.message;
  kiln_buffer *a = buffer({1, 2, 3}), *b = buffer(Floats(3));
  ASSERT_EQ(run({a, b}, 3), 0) << error.message;
  EXPECT_EQ(read(a, 3), (Floats{2, 4, 6}));
  EXPECT_EQ(counters().bytes_read, 12u);
  EXPECT_EQ(counters().bytes_written, 12u);
  EXPECT_EQ(internals().last->trace.operandBytes, 24u);
  EXPECT_EQ(run({a, b}, 3, 1), KILN_ERROR_INVALID);
  EXPECT_THAT(error.message, HasSubstr("do not lie in one place"));
}
