// Descriptor sets, barriers and commands, segment by segment.

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

Failure Recording::record(const Pipelines &pipelines, std::vector<VkBuffer> memories, uint32_t stride) {
  recordStride = stride;
  if (Failure failure = makeBuffers(memories))
    return failure;
  if (Failure failure = makeSets(memories))
    return failure;
  const DeviceFunctions &vk = device.vk;
  buffers.resize(trace.segments.size());
  if (Failure failure = device.commands(device.physical.computeFamily, 0, "recording", pool, buffers))
    return failure;
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
    if (Failure failure = recordSegment(i, pipelines, memories))
      return failure;
  return {};
}

Failure Recording::makeBuffers(std::vector<VkBuffer> &memories) {
  if (trace.records) {
    if (Failure failure = device.create(trace.records * static_cast<uint64_t>(recordStride), Home::readback,
                                        "status records", records))
      return failure;
    std::memset(records.memory.mapped, 0, records.bytes);
  }
  if (trace.conditions)
    if (Failure failure =
            device.create(trace.conditions * static_cast<uint64_t>(4), Home::readback, "conditions", conditions))
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

Failure Recording::makeSets(const std::vector<VkBuffer> &memories) {
  const DeviceFunctions &vk = device.vk;
  std::vector<VkDescriptorSetLayout> layouts;
  uint32_t buffers = 0;
  auto forEachBatch = [&](auto each) -> Failure {
    for (uint32_t segment = 0; segment < schedules.size(); ++segment)
      for (uint32_t batch = 0; batch < schedules[segment].batches.size(); ++batch)
        if (const Command &command = firstOf(segment, batch); command.kernel != KILN_NONE)
          if (Failure failure = each(segment, batch, command))
            return failure;
    return {};
  };
  if (Failure failure = forEachBatch([&](uint32_t, uint32_t, const Command &command) -> Failure {
        const PipelineShape &shape = shapeOf.at(command.dispatch);
        PipelineCache::Layout layout;
        if (Failure failure = device.pipelines->layout(command.ranges, shape, layout))
          return failure;
        layouts.push_back(layout.set);
        for (uint32_t i = 0; i < command.ranges; ++i)
          buffers += shape.buffers(i);
        return {};
      }))
    return failure;
  for (const Schedule &schedule : schedules)
    sets.emplace_back(schedule.batches.size(), VkDescriptorSet(VK_NULL_HANDLE));
  if (layouts.empty())
    return {};
  const VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, std::max(buffers, 1u)};
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
  size_t next = 0;
  return forEachBatch([&](uint32_t segment, uint32_t batch, const Command &) -> Failure {
    sets[segment][batch] = made[next++];
    fill(segment, batch, memories);
    return {};
  });
}

/// Writes the batch's buffers into its set. Where the batch is smaller than its pipeline allows, the last launch's
/// stand in for those that are missing.
void Recording::fill(uint32_t segment, uint32_t number, const std::vector<VkBuffer> &memories) {
  const Batch &batch = schedules[segment].batches[number];
  const Command &first = firstOf(segment, number);
  const PipelineShape &shape = shapeOf.at(first.dispatch);
  std::vector<VkDescriptorBufferInfo> places;
  places.reserve(static_cast<size_t>(first.ranges) * shape.launches); // so that pointers into it stay
  std::vector<VkWriteDescriptorSet> writes;
  for (uint32_t i = 0; i < first.ranges; ++i) {
    VkWriteDescriptorSet write = {};
    write.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET;
    write.dstSet = sets[segment][number];
    write.dstBinding = i;
    write.descriptorCount = shape.buffers(i);
    write.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
    write.pBufferInfo = places.data() + places.size();
    for (uint32_t launch = 0; launch < shape.buffers(i); ++launch) {
      const Range &range = trace.ranges[member(segment, batch, launch).firstRange + i];
      places.push_back({memories[range.memory], range.begin, range.end - range.begin});
    }
    writes.push_back(write);
  }
  device.vk.vkUpdateDescriptorSets(device.handle, static_cast<uint32_t>(writes.size()), writes.data(), 0, nullptr);
}

const Command &Recording::member(uint32_t segment, const Batch &batch, uint32_t launch) const {
  uint32_t command = schedules[segment].order[batch.first + std::min(launch, batch.count - 1)];
  return trace.commands[trace.segments[segment].firstCommand + command];
}

Failure Recording::recordSegment(uint32_t number, const Pipelines &pipelines, const std::vector<VkBuffer> &memories) {
  const DeviceFunctions &vk = device.vk;
  const Segment &segment = trace.segments[number];
  const Schedule &schedule = schedules[number];
  std::span<const Command> its = std::span(trace.commands).subspan(segment.firstCommand, segment.commands);
  bool copies = std::any_of(its.begin(), its.end(), [](const Command &each) { return each.kernel == KILN_NONE; });

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
  uint32_t level = 0;
  for (uint32_t batch = 0; batch < schedule.batches.size(); ++batch) {
    if (uint32_t its = schedule.levelOf[schedule.order[schedule.batches[batch].first]]; its != level) {
      level = its;
      if (hooks().leaveOutBarrier != static_cast<int64_t>(level - 1)) {
        vk.vkCmdPipelineBarrier(to, stages, stages, 0, 1, &barrier, 0, nullptr, 0, nullptr);
        ++barriers[number];
      }
    }
    if (Failure failure = emit(to, number, batch, pipelines, memories))
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

Failure Recording::emit(VkCommandBuffer to, uint32_t segment, uint32_t number, const Pipelines &pipelines,
                        const std::vector<VkBuffer> &memories) {
  const DeviceFunctions &vk = device.vk;
  const Batch &batch = schedules[segment].batches[number];
  const Command &first = firstOf(segment, number);
  // Where there are timestamps every batch is one command.
  auto query = static_cast<uint32_t>(&first - trace.commands.data()) * 2;
  if (timed)
    vk.vkCmdWriteTimestamp(to, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, queries, query);
  if (first.kernel == KILN_NONE) {
    const Range &source = trace.ranges[first.firstRange], &destination = trace.ranges[first.firstRange + 1];
    const VkBufferCopy region = {source.begin, destination.begin, source.end - source.begin};
    vk.vkCmdCopyBuffer(to, memories[source.memory], memories[destination.memory], 1, &region);
  } else {
    const PipelineShape &shape = shapeOf.at(first.dispatch);
    PipelineCache::Layout layout;
    if (Failure failure = device.pipelines->layout(first.ranges, shape, layout))
      return failure;
    vk.vkCmdBindPipeline(to, VK_PIPELINE_BIND_POINT_COMPUTE, pipelines[shape]);
    vk.vkCmdBindDescriptorSets(to, VK_PIPELINE_BIND_POINT_COMPUTE, layout.pipeline, 0, 1, &sets[segment][number], 0,
                               nullptr);
    uint32_t width = 0;
    for (uint32_t launch = 0; launch < batch.count; ++launch) {
      const Command &command = member(segment, batch, launch);
      width = std::max(width, command.grid[0]);
      if (command.wordCount)
        vk.vkCmdPushConstants(to, layout.pipeline, VK_SHADER_STAGE_COMPUTE_BIT, launch * command.wordCount * 4,
                              command.wordCount * 4, trace.words.data() + command.firstWord);
    }
    vk.vkCmdDispatch(to, width, batch.count > 1 ? batch.count : first.grid[1], first.grid[2]);
  }
  if (timed)
    vk.vkCmdWriteTimestamp(to, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, queries, query + 1);
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
    auto *record = reinterpret_cast<kiln_vk_record *>(records.memory.mapped +
                                                      command.record * static_cast<uint64_t>(recordStride));
    if (!record->claimed)
      continue;
    if (status.kind == KILN_OK) {
      status.kernel = command.kernel;
      status.op = record->op;
      status.value = static_cast<int64_t>(record->value[0] | static_cast<uint64_t>(record->value[1]) << 32);
      status.limit = static_cast<int64_t>(record->limit[0] | static_cast<uint64_t>(record->limit[1]) << 32);
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
  std::vector<uint64_t> ticks(segment.commands * static_cast<size_t>(2));
  if (VkResult result = device.vk.vkGetQueryPoolResults(device.handle, queries, segment.firstCommand * 2,
                                                        segment.commands * 2, ticks.size() * 8, ticks.data(), 8,
                                                        VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT))
    return device.failure(result, "profiling");
  uint32_t bits = device.physical.timestampBits;
  uint64_t mask = bits >= 64 ? UINT64_MAX : (static_cast<uint64_t>(1) << bits) - 1;
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
