//===- Recording.h - a trace as command buffers -------------------------------------------------------------------===//
#ifndef KILN_BACKENDS_VULKAN_RUN_RECORDING_H
#define KILN_BACKENDS_VULKAN_RUN_RECORDING_H

#include "backends/vulkan/run/Device.h"
#include "backends/vulkan/run/Trace.h"

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
  std::vector<uint32_t> barriers; ///< of each segment
  uint32_t depth = 0;             ///< levels of all segments, one after another
  uint64_t lastUsed = 0;          ///< for the choice of what to forget
  uint64_t lastSubmitted = 0;     ///< on the device's time line

  /// `memories`: the buffers that the trace numbers, those of the recording itself left out.
  Failure record(const Pipelines &pipelines, const Artifact &artifact, std::vector<VkBuffer> memories,
                 uint32_t recordStride);
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
  std::vector<VkDescriptorSet> sets; // by command; null for copies
  uint32_t recordStride = 0;

  Failure makeBuffers(std::vector<VkBuffer> &memories);
  Failure makeSets(const Artifact &artifact, const std::vector<VkBuffer> &memories);
  Failure recordSegment(uint32_t number, const Pipelines &pipelines, const Artifact &artifact,
                        const std::vector<VkBuffer> &memories);
  Failure emit(VkCommandBuffer to, uint32_t command, const Pipelines &pipelines, const Artifact &artifact,
               const std::vector<VkBuffer> &memories);
};

} // namespace kiln::vulkan

#endif // KILN_BACKENDS_VULKAN_RUN_RECORDING_H
