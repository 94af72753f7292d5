// A trace as command buffers.
#pragma once

#include "backends/vulkan/run/Device.h"
#include "backends/vulkan/run/Schedule.h"
#include <map>

namespace kiln::vulkan {

/// One entry at one tuple of extents and on one set of buffers, ready to be submitted again and again.
class Recording {
public:
  explicit Recording(Device &device) : device(device) {}
  Recording(const Recording &) = delete;
  ~Recording();

  // What it was made for.
  uint32_t entry = 0;
  std::vector<int64_t> extents;    ///< without the loops' slots
  std::vector<uint64_t> bufferIds; ///< the arguments', then the arena's (0: none)
  bool timed = false;              ///< with timestamps

  Trace trace;
  std::vector<Schedule> schedules; ///< of each segment
  std::vector<uint32_t> barriers;  ///< of each segment
  uint32_t depth = 0;              ///< levels of all segments, one after another
  uint64_t lastUsed = 0;           ///< for the choice of what to forget
  uint64_t lastSubmitted = 0;      ///< on the device's time line

  /// Decides on the order of the trace's commands, and which are one dispatch: all of a kind that may run at once and
  /// whose buffers and words the device takes together. Where each has its own timestamps, each is a dispatch.
  void arrange(const Artifact &artifact);
  /// The pipelines that this takes.
  std::vector<PipelineShape> shapes() const;
  /// `memories`: the buffers that the trace numbers, those of the recording itself left out.
  Failure record(const Pipelines &pipelines, std::vector<VkBuffer> memories, uint32_t recordStride);
  VkCommandBuffer commands(uint32_t segment) const { return buffers[segment]; }

  /// After the segment has run: the first of its records that is set goes to `status` (where that is still empty),
  /// all are cleared.
  void collect(uint32_t segment, uint64_t order, kiln_status &status);
  /// The byte of a condition, after the commands that copy it have run.
  bool condition(uint32_t number) const { return conditions.memory.mapped[number * 4] != 0; }
  /// After a timed segment has run: adds an event for each launch.
  Failure times(uint32_t segment, std::vector<kiln_profile_event> &events) const;

private:
  Device &device;
  VkCommandPool pool = VK_NULL_HANDLE;
  VkDescriptorPool descriptors = VK_NULL_HANDLE;
  VkQueryPool queries = VK_NULL_HANDLE;
  RawBuffer records, words, conditions;
  std::vector<VkCommandBuffer> buffers;
  std::map<uint32_t, PipelineShape> shapeOf;      // by the artifact's dispatch
  std::vector<std::vector<VkDescriptorSet>> sets; // of each segment's batches; null for copies
  uint32_t recordStride = 0;

  Failure makeBuffers(std::vector<VkBuffer> &memories);
  Failure makeSets(const std::vector<VkBuffer> &memories);
  PipelineShape shapeFor(const Artifact &artifact, const std::vector<uint32_t> &commands) const;
  void fill(uint32_t segment, uint32_t batch, const std::vector<VkBuffer> &memories);
  /// A batch's command; its last for those beyond.
  const Command &member(uint32_t segment, const Batch &batch, uint32_t launch) const;
  const Command &firstOf(uint32_t segment, uint32_t batch) const {
    return member(segment, schedules[segment].batches[batch], 0);
  }
  Failure recordSegment(uint32_t number, const Pipelines &pipelines, const std::vector<VkBuffer> &memories);
  Failure emit(VkCommandBuffer to, uint32_t segment, uint32_t batch, const Pipelines &pipelines,
               const std::vector<VkBuffer> &memories);
};

} // namespace kiln::vulkan
