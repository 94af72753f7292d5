// Buffers that the host sees and buffers that it does not, beside executions that are under way.
#include "tests/backends/vulkan/run/Fixture.h"

#include "backends/vulkan/run/Testing.h"

#include <gmock/gmock.h>

using namespace kiln;
using namespace kiln::test;
using testing::HasSubstr;
using Floats = std::vector<float>;

namespace {
class VulkanBuffers : public VulkanRun, public testing::WithParamInterface<bool> {
protected:
  void SetUp() override {
    VulkanRun::SetUp();
    vulkan::hooks().staged = GetParam();
  }
};
} // namespace
INSTANTIATE_TEST_SUITE_P(Homes, VulkanBuffers, testing::Bool(),
                         [](const auto &info) { return info.param ? "Staged" : "Seen"; });

TEST_P(VulkanBuffers, WriteReadCopy) {
  Floats values(100'000);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(i);
  kiln_buffer *a = buffer(values), *b = bytes(values.size() * 4);
  EXPECT_EQ(read(a, 3, 99'997), (Floats{99'997, 99'998, 99'999}));
  ASSERT_EQ(api->copy(a, 4, b, 0, 12, &error), 0) << error.message;
  EXPECT_EQ(read(b, 3), (Floats{1, 2, 3}));
  ASSERT_EQ(api->copy(b, 0, b, 12, 12, &error), 0) << error.message;
  EXPECT_EQ(read(b, 6), (Floats{1, 2, 3, 1, 2, 3}));
  uint8_t byte = 0xbf; // any offset, any length
  ASSERT_EQ(api->write(b, 3, &byte, 1, &error), 0) << error.message;
  EXPECT_EQ(read(b, 1), Floats{-1});
  EXPECT_EQ(api->copy(b, 0, b, 4, 12, &error), KILN_ERROR_INVALID);
  EXPECT_EQ(api->write(b, values.size() * 4, &byte, 1, &error), KILN_ERROR_INVALID);
  EXPECT_THAT(error.message, HasSubstr("reaches beyond its buffer"));
  EXPECT_EQ(api->read(b, 0, &byte, 0, &error), 0);
}

TEST_P(VulkanBuffers, MoreThanTheRingHolds) {
  const size_t count = 5 << 20; // 20 MiB
  Floats values(count);
  for (size_t i = 0; i < count; ++i)
    values[i] = static_cast<float>(i % 1000);
  kiln_buffer *a = buffer(values);
  for (int i = 0; i < 3; ++i)
    ASSERT_EQ(api->write(a, 0, values.data(), count * 4, &error), 0) << error.message;
  EXPECT_EQ(read(a, count), values);
}

TEST_P(VulkanBuffers, SmallWritesInOrder) {
  kiln_buffer *a = bytes(4096);
  Floats expected(1024);
  for (int round = 0; round < 1000; ++round) {
    size_t at = static_cast<size_t>(round * 7 % 1000);
    Floats piece(static_cast<size_t>(round % 20), static_cast<float>(round));
    std::copy(piece.begin(), piece.end(), expected.begin() + static_cast<ptrdiff_t>(at));
    if (round == 0)
      ASSERT_EQ(api->write(a, 0, expected.data(), 4096, &error), 0);
    ASSERT_EQ(api->write(a, at * 4, piece.data(), piece.size() * 4, &error), 0) << error.message;
  }
  EXPECT_EQ(read(a, 1024), expected);
}

TEST_P(VulkanBuffers, WritesWhileAnExecutionRuns) {
  ASSERT_EQ(load({with(KILN_NODE_SEQUENCE,
                       {launch(slow, {argument(0), arena(0)}), launch(add, {arena(0), argument(1), argument(2)})})},
                 3),
            0)
      << error.message;
  kiln_buffer *inputs[2] = {buffer(Floats(256, 1)), buffer(Floats(256, 2))};
  kiln_buffer *offset = buffer(Floats(256, 10)), *out[2] = {buffer(Floats(256)), buffer(Floats(256))};
  float value = 1;
  int overlapped = 0; // uploads that were given while the execution before them ran
  for (int step = 0; step < 6; ++step) {
    kiln_event *event = nullptr;
    ASSERT_EQ(run({inputs[step % 2], offset, out[step % 2]}, 256, 0, &event), 0) << error.message;
    ASSERT_NE(event, nullptr);
    // The next step's input, while this one runs; and this one's own, which has to wait its turn.
    Floats next(256, value + 1);
    ASSERT_EQ(api->write(inputs[(step + 1) % 2], 0, next.data(), 1024, &error), 0) << error.message;
    overlapped += !internalDevice().isAt(internalDevice().line, internalDevice().line.given);
    if (step % 3 == 2) {
      Floats late(256, -7);
      ASSERT_EQ(api->write(inputs[step % 2], 0, late.data(), 1024, &error), 0) << error.message;
    }
    ASSERT_EQ(api->wait(event, &error), 0) << error.message;
    EXPECT_EQ(read(out[step % 2], 256), Floats(256, value + 10));
    value += 1;
  }
  EXPECT_GT(overlapped, 0) << "every upload waited for the execution, which does not use the buffer";
}

TEST_P(VulkanBuffers, ExecutionsInFlight) {
  ASSERT_EQ(load({launch(add, {argument(0), argument(1), argument(0)}), launch(check, {argument(0), argument(2)})}, 3),
            0)
      << error.message;
  kiln_buffer *sum = buffer(Floats(16)), *one = buffer(Floats(16, -1)), *out = buffer(Floats(16));
  std::vector<kiln_event *> events(6);
  for (kiln_event *&event : events) // the same recording: the next waits for the one before
    ASSERT_EQ(run({sum, one, out}, 16, 0, &event), 0) << error.message;
  kiln_event *last = nullptr;
  kiln_status first = {};
  ASSERT_EQ(run({sum, one, out}, 16, 1, &last), 0) << error.message;
  for (kiln_event *event : events)
    ASSERT_EQ(api->wait(event, &error), 0) << error.message;
  ASSERT_EQ(api->wait(last, &error), 0) << error.message;
  EXPECT_EQ(status.value, -6);
  EXPECT_EQ(first.kind, KILN_OK);
  EXPECT_EQ(read(sum, 1), Floats{-6});
  EXPECT_EQ(api->wait(nullptr, &error), 0);
}
