// Which commands of a recording become one dispatch.
#include "backends/vulkan/run/Recording.h"

#include <algorithm>
#include <bit>

namespace kiln::vulkan {

namespace {
// More launches than this gain nothing, and layouts stay small.
constexpr uint32_t mostLaunches = 64;

bool sameRange(const Range &a, const Range &b) { return a.memory == b.memory && a.begin == b.begin && a.end == b.end; }
} // namespace

/// For a dispatch that these commands run: which bindings are one for all of them, and how many launches the device
/// takes at once.
PipelineShape Recording::shapeFor(const Artifact &artifact, const std::vector<uint32_t> &commands) const {
  const Command &first = trace.commands[commands.front()];
  PipelineShape shape{first.dispatch};
  const kiln_vk_dispatch &dispatch = artifact.dispatches()[first.dispatch];
  if (timed || !(dispatch.flags & KILN_VK_BATCHES) || commands.size() < 2)
    return shape;
  for (uint32_t i = 0; i < first.ranges; ++i)
    if (std::all_of(commands.begin(), commands.end(), [&](uint32_t c) {
          return sameRange(trace.ranges[trace.commands[c].firstRange + i], trace.ranges[first.firstRange + i]);
        }))
      shape.common |= 1u << i;
  const VkPhysicalDeviceLimits &limits = device.physical.limits;
  uint32_t buffers = std::min(
      {limits.maxPerStageDescriptorStorageBuffers, limits.maxDescriptorSetStorageBuffers, limits.maxPerStageResources});
  auto common = static_cast<uint32_t>(std::popcount(shape.common));
  uint32_t most = std::min(mostLaunches, limits.maxComputeWorkGroupCount[1]);
  if (first.ranges > common)
    most = std::min(most, (buffers - common) / (first.ranges - common));
  if (dispatch.word_count)
    most = std::min(most, KILN_VK_MAX_PUSH_WORDS / dispatch.word_count);
  shape.launches = std::max(most, 1u);
  return shape;
}

void Recording::arrange(const Artifact &artifact) {
  std::map<uint32_t, std::vector<uint32_t>> commandsOf;
  for (uint32_t i = 0; i < trace.commands.size(); ++i)
    if (trace.commands[i].kernel != KILN_NONE)
      commandsOf[trace.commands[i].dispatch].push_back(i);
  std::vector<uint32_t> most(artifact.dispatches().size(), 1);
  for (const auto &[dispatch, commands] : commandsOf) {
    PipelineShape &shape = shapeOf[dispatch] = shapeFor(artifact, commands);
    most[dispatch] = shape.launches;
    shape.launches = 1;
  }
  for (const Segment &segment : trace.segments) {
    std::span<const Command> its = std::span(trace.commands).subspan(segment.firstCommand, segment.commands);
    Schedule made = schedule(its, trace.ranges, most);
    depth += made.levels;
    // A pipeline for the largest batch serves the smaller ones as well.
    for (const Batch &batch : made.batches)
      if (const Command &command = its[made.order[batch.first]]; command.kernel != KILN_NONE)
        shapeOf[command.dispatch].launches = std::max(shapeOf[command.dispatch].launches, batch.count);
    schedules.push_back(std::move(made));
  }
  for (auto &[dispatch, shape] : shapeOf)
    if (shape.launches == 1)
      shape.common = 0;
}

std::vector<PipelineShape> Recording::shapes() const {
  std::vector<PipelineShape> all;
  for (const auto &[dispatch, shape] : shapeOf)
    all.push_back(shape);
  return all;
}

} // namespace kiln::vulkan
