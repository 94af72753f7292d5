// Trees, buffers and their order on a device. The validation layer is on (KILN_VULKAN_VALIDATION, see CMakeLists.txt):
// whatever it reports is a failure of the call that it came in.
#include "tests/backends/vulkan/run/Fixture.h"

#include "backends/vulkan/run/Executable.h"
#include "backends/vulkan/run/Instance.h"
#include "backends/vulkan/run/Testing.h"

#include <gmock/gmock.h>

using namespace kiln;
using namespace kiln::test;
using testing::HasSubstr;
using Floats = std::vector<float>;

using VulkanTree = VulkanRun;

TEST_F(VulkanTree, ALaunchAtAnyLength) {
  ASSERT_EQ(load({launch(add, {argument(0), argument(1), argument(2)})}, 3), 0) << error.message;
  kiln_buffer *a = buffer({1, 2, 3, 4, 5}), *b = buffer({10, 20, 30, 40, 50}), *c = buffer(Floats(5, -1));
  ASSERT_EQ(run({a, b, c}, 3), 0) << error.message;
  EXPECT_EQ(read(c, 5), (Floats{11, 22, 33, -1, -1}));
  ASSERT_EQ(run({a, b, c}, 5), 0) << error.message;
  EXPECT_EQ(read(c, 5), (Floats{11, 22, 33, 44, 55}));
  ASSERT_EQ(run({a, b, c}, 0), 0) << error.message; // nothing to do
  EXPECT_EQ(counters().launches, 0u);
}

TEST_F(VulkanTree, OneSubmissionAndNoWaits) {
  ASSERT_EQ(load({with(KILN_NODE_SEQUENCE, {launch(add, {argument(0), constant(0), arena(0)}),
                                            launch(add, {arena(0), constant(0), argument(1)})})},
                 2),
            0)
      << error.message;
  kiln_buffer *a = buffer({1, 2, 3, 4}), *b = buffer(Floats(4));
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(run({a, b}, 4), 0) << error.message;
    EXPECT_EQ(read(b, 4), (Floats{201, 402, 603, 804}));
    kiln_counters counted = counters();
    EXPECT_EQ(counted.submits, 1u);
    EXPECT_EQ(counted.host_round_trips, 0u);
    EXPECT_EQ(counted.launches, 2u);
    EXPECT_EQ(counted.bytes_read, 4 * 16u);
    EXPECT_EQ(counted.bytes_written, 2 * 16u);
    EXPECT_EQ(counted.bytes_read + counted.bytes_written, internals().last->trace.operandBytes);
  }
}

TEST_F(VulkanTree, RepeatStridesForwardAndBackOverUnalignedRows) {
  for (int reverse : {0, 1}) {
    // Rows of 3 floats, 12 bytes: no binding begins there on any device.
    kiln_node loop = with(KILN_NODE_REPEAT, {launch(add, {argument(0, 0, {12, -1}), argument(2), argument(2)}),
                                             launch(scale, {argument(2), argument(1, 0, {12, -1})})});
    loop.count = {3, -1};
    loop.reverse = reverse;
    ASSERT_EQ(load({loop}, 3), 0) << error.message;
    kiln_buffer *in = buffer({1, 2, 3, 10, 20, 30, 100, 200, 300}), *out = buffer(Floats(9)), *sum = buffer(Floats(3));
    ASSERT_EQ(run({in, out, sum}, 3), 0) << error.message;
    EXPECT_EQ(read(out, 9), reverse ? (Floats{222, 444, 666, 220, 440, 660, 200, 400, 600})
                                    : (Floats{2, 4, 6, 22, 44, 66, 222, 444, 666}));
    EXPECT_EQ(counters().submits, 1u);
  }
}

TEST_F(VulkanTree, ALoopsNumberReachesItsKernels) {
  // The launch's length is the iteration: rows grow.
  kiln_node loop = with(KILN_NODE_REPEAT, {launch(add, {argument(0), argument(1), argument(1)}, {{4, 1}})});
  loop.count = {0, 0};
  loop.index_slot = 1;
  ASSERT_EQ(load({loop}, 2), 0) << error.message;
  kiln_buffer *ones = buffer({1, 1, 1, 1}), *sum = buffer(Floats(4));
  ASSERT_EQ(run({ones, sum}, 4), 0) << error.message;
  EXPECT_EQ(read(sum, 4), (Floats{3, 2, 1, 0}));
}

TEST_F(VulkanTree, ALongLoopIsOneSubmission) {
  constexpr int64_t count = 2000;
  kiln_node loop = with(KILN_NODE_REPEAT, {launch(add, {argument(0, 0, {4, -1}), argument(1), arena(0)}),
                                           launch(add, {arena(0), constant(0), argument(1)})});
  loop.count = {count, -1};
  ASSERT_EQ(load({loop}, 2), 0) << error.message;
  kiln_buffer *ones = buffer(Floats(count, 1)), *sum = buffer({0});
  for (int64_t round = 1; round <= 3; ++round) {
    ASSERT_EQ(run({ones, sum}, 1), 0) << error.message;
    EXPECT_EQ(read(sum, 1), Floats{static_cast<float>(round * count * 101)});
    EXPECT_EQ(counters().launches, 2u * count);
    EXPECT_EQ(counters().submits, 1u);
  }
}

TEST_F(VulkanTree, WhileAndIfAreDecidedOnTheDevice) {
  // while (sum < limit) sum += step; if (sum < limit) never; else double it
  kiln_node condition = launch(below, {argument(0), argument(2), arena(1024)});
  kiln_node loop = with(KILN_NODE_WHILE, {condition, launch(add, {argument(0), argument(1), argument(0)})});
  loop.condition = arena(1024);
  kiln_node branch = with(
      KILN_NODE_IF, {launch(add, {argument(1), argument(1), argument(0)}), launch(scale, {argument(0), argument(3)})});
  branch.condition = arena(1024);
  ASSERT_EQ(load({with(KILN_NODE_SEQUENCE, {loop, branch})}, 4), 0) << error.message;
  for (float limit : {10.f, -1.f}) {
    kiln_buffer *sum = buffer({0}), *step = buffer({3}), *most = buffer({limit}), *out = buffer({0});
    ASSERT_EQ(run({sum, step, most, out}, 1), 0) << error.message;
    EXPECT_EQ(read(out, 1), (Floats{limit > 0 ? 24.f : 0.f}));
    EXPECT_EQ(counters().host_round_trips, limit > 0 ? 6u : 2u); // one for each test
  }
}

TEST_F(VulkanTree, CopiesAndPlacesInOneBuffer) {
  ASSERT_EQ(load({with(KILN_NODE_SEQUENCE, {copy(argument(0), arena(64), 12), launch(scale, {arena(64), arena(128)}),
                                            copy(arena(128), argument(0, 12), 12)})},
                 1),
            0)
      << error.message;
  kiln_buffer *a = buffer({1, 2, 3, 0, 0, 0, 9});
  ASSERT_EQ(run({a}, 3), 0) << error.message;
  EXPECT_EQ(read(a, 7), (Floats{1, 2, 3, 2, 4, 6, 9}));
}

TEST_F(VulkanTree, BarriersAreTheDepthOfTheDependences) {
  auto depth = [&](std::vector<kiln_node> nodes, uint32_t expected) {
    ASSERT_EQ(load({with(KILN_NODE_SEQUENCE, std::move(nodes))}, 4), 0) << error.message;
    std::vector<kiln_buffer *> buffers;
    for (int i = 0; i < 4; ++i)
      buffers.push_back(buffer(Floats(64, 1)));
    ASSERT_EQ(run(buffers, 16), 0) << error.message;
    EXPECT_EQ(internals().last->depth, expected);
    EXPECT_EQ(counters().barriers, expected); // the last is for the host
  };
  depth({launch(scale, {argument(0), arena(0)}), launch(scale, {argument(0), arena(64)}),
         launch(scale, {argument(1), arena(128)})},
        1);
  // Two chains, written one after another, run side by side.
  depth({launch(scale, {argument(0), arena(0)}), launch(scale, {arena(0), argument(2)}),
         launch(scale, {argument(1), arena(64)}), launch(scale, {arena(64), argument(3)})},
        2);
  // A chain of four; what it overwrites was read before (the arena is used again).
  depth({launch(scale, {argument(0), arena(0)}), launch(scale, {arena(0), arena(64)}),
         launch(scale, {arena(64), arena(0)}), launch(scale, {arena(0), argument(1)})},
        4);
  // Only an overlap of a few bytes, and a write after a write.
  depth({launch(scale, {argument(0), arena(0)}), launch(scale, {argument(0), arena(32)})}, 2);
}

TEST_F(VulkanTree, ABarrierLeftOutIsReported) {
  if (!vulkan::theInstance(&host).validates)
    GTEST_SKIP() << "KILN_VULKAN_VALIDATION is not set";
  ASSERT_EQ(
      load({with(KILN_NODE_SEQUENCE, {launch(scale, {argument(0), arena(0)}), launch(scale, {arena(0), argument(1)})})},
           2),
      0)
      << error.message;
  kiln_buffer *a = buffer(Floats(16, 1)), *b = buffer(Floats(16));
  vulkan::hooks().leaveOutBarrier = 0;
  EXPECT_EQ(run({a, b}, 16), KILN_ERROR_INTERNAL);
  EXPECT_THAT(error.message, HasSubstr("SYNC-HAZARD"));
  EXPECT_THAT(log, HasSubstr("SYNC-HAZARD"));
  vulkan::hooks().leaveOutBarrier = -1;
}

TEST_F(VulkanTree, ConstantsAndScratchAndStoredWords) {
  // Two dispatches over scratch; the second has its words in a buffer.
  ShaderKernel twice = elementwise("twice", 1, "");
  vulkan::Dispatch first = twice.plan.variants[0].dispatches[0], second = first;
  first.glsl = R"(#version 460
layout(local_size_x = 64) in;
layout(set = 0, binding = 0) buffer A { float v[]; } a;
layout(set = 0, binding = 1) buffer S { float v[]; } s;
layout(push_constant) uniform W { int w[2]; } p;
void main() { int i = int(gl_GlobalInvocationID.x); if (i < p.w[1]) s.v[i] = 2.0 * a.v[p.w[0] + i]; })";
  vulkan::Number length(kiln_extent{0, 0});
  first.bindings = {{KILN_VK_BIND_OPERAND, 0, KILN_VK_READS, KILN_VK_NONE, 0},
                    {KILN_VK_BIND_SCRATCH, 256, KILN_VK_WRITES, KILN_VK_NONE, length * 4}};
  first.words = {{KILN_VK_WORD_BASE, 0, 0}, {KILN_VK_WORD_EXPRESSION, 0, length}};
  second.glsl = R"(#version 460
layout(local_size_x = 64) in;
layout(set = 0, binding = 0) buffer S { float v[]; } s;
layout(set = 0, binding = 1) buffer A { float v[]; } a;
layout(set = 0, binding = 2) readonly buffer W { int w[]; } p;
void main() { int i = int(gl_GlobalInvocationID.x); if (i < p.w[1]) a.v[p.w[0] + i] = s.v[i] + float(p.w[39]); })";
  second.bindings = {{KILN_VK_BIND_SCRATCH, 256, KILN_VK_READS, KILN_VK_NONE, length * 4},
                     {KILN_VK_BIND_OPERAND, 1, KILN_VK_WRITES, KILN_VK_NONE, 0},
                     {KILN_VK_BIND_WORDS, 0, KILN_VK_READS, KILN_VK_NONE, 0}};
  second.words = {{KILN_VK_WORD_BASE, 1, 0}, {KILN_VK_WORD_EXPRESSION, 0, length}};
  for (int64_t i = 2; i < 40; ++i)
    second.words.push_back({KILN_VK_WORD_EXPRESSION, 0, i * 1000});
  twice.plan.variants[0].dispatches = {first, second};
  twice.plan.scratchBytes = 4096;
  kernels.push_back(twice);
  ASSERT_EQ(load({launch(5, {constant(0), argument(0, 4)})}, 1), 0) << error.message;
  kiln_buffer *out = buffer(Floats(5));
  ASSERT_EQ(run({out}, 4), 0) << error.message;
  EXPECT_EQ(read(out, 5), (Floats{0, 39200, 39400, 39600, 39800}));
  EXPECT_EQ(counters().launches, 2u);
}

TEST_F(VulkanTree, TheFirstErrorInLaunchOrder) {
  ASSERT_EQ(load({with(KILN_NODE_SEQUENCE, {launch(scale, {argument(0), arena(0)}),
                                            launch(check, {arena(0), arena(1024)}),       // -10, behind a barrier
                                            launch(check, {argument(0), argument(1)})})}, // -5, may run first
                 2),
            0)
      << error.message;
  kiln_buffer *bad = buffer({1, -5, 3}), *good = buffer({1, 2, 3}), *out = buffer(Floats(3));
  for (int round = 0; round < 2; ++round) {
    ASSERT_EQ(run({bad, out}, 3), 0) << error.message;
    EXPECT_EQ(status.kind, KILN_INDEX_OUT_OF_RANGE);
    EXPECT_EQ(status.kernel, check);
    EXPECT_EQ(status.op, 7u);
    EXPECT_EQ(status.value, -10);
    EXPECT_EQ(status.limit, 3);
    EXPECT_EQ(status.order, 1u);
    ASSERT_EQ(run({good, out}, 3), 0) << error.message;
    EXPECT_EQ(status.kind, KILN_OK);
  }
}

TEST_F(VulkanTree, ProfileNamesEachLaunch) {
  ASSERT_EQ(load({with(KILN_NODE_SEQUENCE, {launch(scale, {argument(0), arena(0)}), launch(slow, {arena(0), arena(64)}),
                                            copy(arena(64), argument(1), 16)})},
                 2),
            0)
      << error.message;
  const kiln_profile_event *events = nullptr;
  size_t count = 0;
  ASSERT_EQ(api->profile(executable, 1, &events, &count, &error), 0) << error.message;
  kiln_buffer *a = buffer({1, 2, 3, 4}), *b = buffer(Floats(4));
  ASSERT_EQ(run({a, b}, 4), 0) << error.message;
  ASSERT_EQ(api->profile(executable, 0, &events, &count, &error), 0) << error.message;
  ASSERT_EQ(count, 3u);
  EXPECT_EQ(events[0].kernel, scale);
  EXPECT_EQ(events[1].kernel, slow);
  EXPECT_EQ(events[2].kernel, KILN_NONE);
  for (size_t i = 0; i < count; ++i)
    EXPECT_LE(events[i].begin_ns, events[i].end_ns);
  EXPECT_LE(events[0].end_ns, events[1].end_ns);
  ASSERT_EQ(run({a, b}, 4), 0) << error.message; // another recording, without times
}

TEST_F(VulkanTree, ManySetsOfBuffersAndExtents) {
  ASSERT_EQ(load({launch(add, {argument(0), argument(0), argument(1)})}, 2), 0) << error.message;
  kiln_buffer *b = buffer(Floats(64));
  for (int i = 0; i < 40; ++i) { // more than are kept
    kiln_buffer *a = nullptr;
    float value = static_cast<float>(i);
    ASSERT_EQ(api->allocate(device, 4, &a, &error), 0);
    ASSERT_EQ(api->write(a, 0, &value, 4, &error), 0);
    ASSERT_EQ(run({a, b}, 1), 0) << error.message;
    EXPECT_EQ(read(b, 1), Floats{2 * value});
    if (i % 2 == 0)
      ASSERT_EQ(api->write(a, 0, &value, 4, &error), 0);
    api->release(a); // takes its recordings along
  }
  kiln_buffer *a = buffer(Floats(64, 3));
  for (int64_t length = 1; length <= 40; ++length)
    ASSERT_EQ(run({a, b}, length), 0) << error.message;
  EXPECT_EQ(read(b, 41), [] {
    Floats f(41, 6);
    f[40] = 0;
    return f;
  }());
}
