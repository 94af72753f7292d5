#include "backends/vulkan/run/Recording.h"

#include "backends/vulkan/run/Testing.h"

#include <algorithm>
#include <cstring>

namespace kiln::vulkan {

Recording::~Recording() {
  const DeviceFunctions &vk = device.vk;
  if (pool)
    vk.vkDestroyCommandPool(device.handle, pool, nullptr);
  if (descriptors)
    vk.vkDestroyDescriptorPool(device.handle, descriptors, nullptr);
  if (queries)
    vk.vkDestroyQueryPool(device.handle, queries, nullptr);
  for (RawBuffer *buffer : {&records, &words, &conditions})
    device.destroy(*buffer);
}

Failure Recording::record(const Pipelines &pipelines, const Artifact &artifact, std::vector<VkBuffer> memories,
                          uint32_t stride) {
  recordStride = stride;
  if (Failure failure = makeBuffers(memories))
    return failure;
  if (Failure failure = makeSets(artifact, memories))
    return failure;
  const DeviceFunctions &vk = device.vk;
  VkCommandPoolCreateInfo poolInfo = {};
  poolInfo.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
  poolInfo.queueFamilyIndex = device.physical.computeFamily;
  if (VkResult result = vk.vkCreateCommandPool(device.handle, &poolInfo, nullptr, &pool))
    return device.failure(result, "recording");
  buffers.resize(trace.segments.size());
  VkCommandBufferAllocateInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
  info.commandPool = pool;
  info.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
  info.commandBufferCount = static_cast<uint32_t>(buffers.size());
  if (!buffers.empty())
    if (VkResult result = vk.vkAllocateCommandBuffers(device.handle, &info, buffers.data()))
      return device.failure(result, "recording");
  if (timed && !trace.commands.empty()) {
    VkQueryPoolCreateInfo query = {};
    query.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO;
    query.queryType = VK_QUERY_TYPE_TIMESTAMP;
    query.queryCount = static_cast<uint32_t>(trace.commands.size() * 2);
    if (VkResult result = vk.vkCreateQueryPool(device.handle, &query, nullptr, &queries))
      return device.failure(result, "recording");
  }
  barriers.resize(trace.segments.size());
  for (uint32_t i = 0; i < trace.segments.size(); ++i)
    if (Failure failure = recordSegment(i, pipelines, artifact, memories))
      return failure;
  return {};
}

Failure Recording::makeBuffers(std::vector<VkBuffer> &memories) {
  if (trace.records) {
    if (Failure failure =
            device.create(trace.records * uint64_t(recordStride), Home::readback, "status records", records))
      return failure;
    std::memset(records.memory.mapped, 0, records.bytes);
  }
  if (trace.conditions)
    if (Failure failure = device.create(trace.conditions * uint64_t(4), Home::readback, "conditions", conditions))
      return failure;
  if (trace.wordBytes) {
    if (Failure failure = device.create(trace.wordBytes, Home::upload, "words of kernels", words))
      return failure;
    for (const auto &[offset, values] : trace.storedWords)
      std::memcpy(words.memory.mapped + offset, values.data(), values.size() * 4);
  }
  memories[recordMemory] = records.handle;
  memories[wordMemory] = words.handle;
  memories[conditionMemory] = conditions.handle;
  return {};
}

Failure Recording::makeSets(const Artifact &artifact, const std::vector<VkBuffer> &memories) {
  const DeviceFunctions &vk = device.vk;
  sets.resize(trace.commands.size());
  std::vector<VkDescriptorSetLayout> layouts;
  uint32_t bindings = 0;
  for (const Command &command : trace.commands) {
    if (command.kernel == KILN_NONE)
      continue;
    PipelineCache::Layout layout;
    if (Failure failure = device.pipelines->layout(artifact.dispatches()[command.dispatch].binding_count, layout))
      return failure;
    layouts.push_back(layout.set);
    bindings += command.ranges;
  }
  if (layouts.empty())
    return {};
  const VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, std::max(bindings, 1u)};
  VkDescriptorPoolCreateInfo poolInfo = {};
  poolInfo.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO;
  poolInfo.maxSets = static_cast<uint32_t>(layouts.size());
  poolInfo.poolSizeCount = 1;
  poolInfo.pPoolSizes = &size;
  if (VkResult result = vk.vkCreateDescriptorPool(device.handle, &poolInfo, nullptr, &descriptors))
    return device.failure(result, "recording");
  std::vector<VkDescriptorSet> made(layouts.size());
  VkDescriptorSetAllocateInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO;
  info.descriptorPool = descriptors;
  info.descriptorSetCount = static_cast<uint32_t>(layouts.size());
  info.pSetLayouts = layouts.data();
  if (VkResult result = vk.vkAllocateDescriptorSets(device.handle, &info, made.data()))
    return device.failure(result, "recording");
  std::vector<VkDescriptorBufferInfo> places(bindings);
  std::vector<VkWriteDescriptorSet> writes;
  size_t place = 0, set = 0;
  for (size_t i = 0; i < trace.commands.size(); ++i) {
    const Command &command = trace.commands[i];
    if (command.kernel == KILN_NONE)
      continue;
    sets[i] = made[set++];
    if (!command.ranges)
      continue;
    // Bindings beyond the first are reached by counting on: they all are of one kind.
    VkWriteDescriptorSet write = {};
    write.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET;
    write.dstSet = sets[i];
    write.descriptorCount = command.ranges;
    write.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
    write.pBufferInfo = places.data() + place;
    for (uint32_t r = 0; r < command.ranges; ++r) {
      const Range &range = trace.ranges[command.firstRange + r];
      places[place++] = {memories[range.memory], range.begin, range.end - range.begin};
    }
    writes.push_back(write);
  }
  vk.vkUpdateDescriptorSets(device.handle, static_cast<uint32_t>(writes.size()), writes.data(), 0, nullptr);
  return {};
}

Failure Recording::recordSegment(uint32_t number, const Pipelines &pipelines, const Artifact &artifact,
                                 const std::vector<VkBuffer> &memories) {
  const DeviceFunctions &vk = device.vk;
  const Segment &segment = trace.segments[number];
  std::span<const Command> its = std::span(trace.commands).subspan(segment.firstCommand, segment.commands);
  std::vector<uint32_t> levels(segment.commands), order(segment.commands);
  uint32_t count = schedule(its, trace.ranges, levels);
  depth += count;
  // By levels, and within a level as the program has them.
  std::vector<uint32_t> begins(count + 1, 0);
  for (uint32_t level : levels)
    ++begins[level + 1];
  for (uint32_t level = 0; level < count; ++level)
    begins[level + 1] += begins[level];
  std::vector<uint32_t> at = begins;
  bool copies = false;
  for (uint32_t i = 0; i < segment.commands; ++i) {
    order[at[levels[i]]++] = i;
    copies |= its[i].kernel == KILN_NONE;
  }

  VkCommandBuffer to = buffers[number];
  VkCommandBufferBeginInfo begin = {};
  begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
  if (VkResult result = vk.vkBeginCommandBuffer(to, &begin))
    return device.failure(result, "recording");
  if (timed && segment.commands)
    vk.vkCmdResetQueryPool(to, queries, segment.firstCommand * 2, segment.commands * 2);
  VkPipelineStageFlags stages = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
  VkMemoryBarrier barrier = {};
  barrier.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
  barrier.srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT;
  barrier.dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT;
  if (copies) {
    stages |= VK_PIPELINE_STAGE_TRANSFER_BIT;
    barrier.srcAccessMask |= VK_ACCESS_TRANSFER_WRITE_BIT;
    barrier.dstAccessMask |= VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
  }
  for (uint32_t level = 0; level < count; ++level) {
    if (level > 0 && hooks().leaveOutBarrier != static_cast<int64_t>(level - 1)) {
      vk.vkCmdPipelineBarrier(to, stages, stages, 0, 1, &barrier, 0, nullptr, 0, nullptr);
      ++barriers[number];
    }
    for (uint32_t i = begins[level]; i < begins[level + 1]; ++i)
      if (Failure failure = emit(to, segment.firstCommand + order[i], pipelines, artifact, memories))
        return failure;
  }
  // What the host reads when the time line says that the commands have run.
  barrier.dstAccessMask = VK_ACCESS_HOST_READ_BIT | VK_ACCESS_HOST_WRITE_BIT;
  vk.vkCmdPipelineBarrier(to, stages, VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0, nullptr, 0, nullptr);
  ++barriers[number];
  if (VkResult result = vk.vkEndCommandBuffer(to))
    return device.failure(result, "recording");
  return {};
}

Failure Recording::emit(VkCommandBuffer to, uint32_t number, const Pipelines &pipelines, const Artifact &artifact,
                        const std::vector<VkBuffer> &memories) {
  const DeviceFunctions &vk = device.vk;
  const Command &command = trace.commands[number];
  if (timed)
    vk.vkCmdWriteTimestamp(to, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, queries, number * 2);
  if (command.kernel == KILN_NONE) {
    const Range &source = trace.ranges[command.firstRange], &destination = trace.ranges[command.firstRange + 1];
    const VkBufferCopy region = {source.begin, destination.begin, source.end - source.begin};
    vk.vkCmdCopyBuffer(to, memories[source.memory], memories[destination.memory], 1, &region);
  } else {
    PipelineCache::Layout layout;
    if (Failure failure = device.pipelines->layout(artifact.dispatches()[command.dispatch].binding_count, layout))
      return failure;
    vk.vkCmdBindPipeline(to, VK_PIPELINE_BIND_POINT_COMPUTE, pipelines[command.dispatch]);
    vk.vkCmdBindDescriptorSets(to, VK_PIPELINE_BIND_POINT_COMPUTE, layout.pipeline, 0, 1, &sets[number], 0, nullptr);
    if (command.wordCount)
      vk.vkCmdPushConstants(to, layout.pipeline, VK_SHADER_STAGE_COMPUTE_BIT, 0, command.wordCount * 4,
                            trace.words.data() + command.firstWord);
    vk.vkCmdDispatch(to, command.grid[0], command.grid[1], command.grid[2]);
  }
  if (timed)
    vk.vkCmdWriteTimestamp(to, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, queries, number * 2 + 1);
  return {};
}

void Recording::collect(uint32_t number, uint64_t order, kiln_status &status) {
  const Segment &segment = trace.segments[number];
  if (!records.handle)
    return;
  for (uint32_t i = 0; i < segment.commands; ++i) {
    const Command &command = trace.commands[segment.firstCommand + i];
    if (command.record == KILN_NONE)
      continue;
    auto *record = reinterpret_cast<kiln_vk_record *>(records.memory.mapped + command.record * uint64_t(recordStride));
    if (!record->claimed)
      continue;
    if (status.kind == KILN_OK) {
      status.kernel = command.kernel;
      status.op = record->op;
      status.value = static_cast<int64_t>(record->value[0] | uint64_t(record->value[1]) << 32);
      status.limit = static_cast<int64_t>(record->limit[0] | uint64_t(record->limit[1]) << 32);
      status.order = order + command.launch;
      status.kind = static_cast<int32_t>(record->kind);
    }
    std::memset(record, 0, sizeof *record);
  }
}

Failure Recording::times(uint32_t number, std::vector<kiln_profile_event> &events) const {
  const Segment &segment = trace.segments[number];
  if (!timed || !segment.commands)
    return {};
  std::vector<uint64_t> ticks(segment.commands * size_t(2));
  if (VkResult result = device.vk.vkGetQueryPoolResults(device.handle, queries, segment.firstCommand * 2,
                                                        segment.commands * 2, ticks.size() * 8, ticks.data(), 8,
                                                        VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT))
    return device.failure(result, "profiling");
  uint32_t bits = device.physical.timestampBits;
  uint64_t mask = bits >= 64 ? UINT64_MAX : (uint64_t(1) << bits) - 1;
  double period = static_cast<double>(device.physical.limits.timestampPeriod);
  uint32_t lastLaunch = KILN_NONE;
  for (uint32_t i = 0; i < segment.commands; ++i) {
    const Command &command = trace.commands[segment.firstCommand + i];
    auto time = [&](uint64_t tick) { return static_cast<int64_t>(static_cast<double>(tick & mask) * period); };
    int64_t from = time(ticks[i * 2]), until = time(ticks[i * 2 + 1]);
    if (command.kernel != KILN_NONE && command.launch == lastLaunch) { // a launch of several dispatches
      events.back().begin_ns = std::min(events.back().begin_ns, from);
      events.back().end_ns = std::max(events.back().end_ns, until);
      continue;
    }
    lastLaunch = command.kernel == KILN_NONE ? KILN_NONE : command.launch;
    events.push_back({command.kernel, 0, from, until});
  }
  return {};
}

} // namespace kiln::vulkan
