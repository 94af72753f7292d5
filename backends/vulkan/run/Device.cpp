// Opening, submitting, waiting, and what is said when a device is lost.

#include "backends/vulkan/run/Device.h"

#include "backends/api/kiln_text.h"
#include "backends/vulkan/artifact.h"
#include "backends/vulkan/run/Physical.h"
#include "backends/vulkan/run/Testing.h"

#include <algorithm>
#include <utility>

namespace kiln::vulkan {

Device::Device(const kiln_host *host, Instance &instance, const PhysicalDevice &physical)
    : host(host), instance(instance), physical(physical) {
  if (host && settingOf(*host, "matrices") == "leave")
    this->physical.leaveMatrices();
}

Device::~Device() {
  if (!handle)
    return;
  vk.vkDeviceWaitIdle(handle);
  upload.reset();
  pipelines.reset();
  if (pool)
    vk.vkDestroyCommandPool(handle, pool, nullptr);
  for (TimeLine *each : {&line, &uploadLine})
    if (each->semaphore)
      vk.vkDestroySemaphore(handle, each->semaphore, nullptr);
  allocator.reset();
  vk.vkDestroyDevice(handle, nullptr);
}

Failure Device::open() {
  const float priority = 1;
  VkDeviceQueueCreateInfo queues[2] = {};
  uint32_t queueCount = physical.transferFamily == physical.computeFamily ? 1 : 2;
  for (uint32_t i = 0; i < queueCount; ++i) {
    queues[i].sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
    queues[i].queueFamilyIndex = i == 0 ? physical.computeFamily : physical.transferFamily;
    queues[i].queueCount = 1;
    queues[i].pQueuePriorities = &priority;
  }
  FeatureChain chain(physical);
  chain.setMask(physical.features);
  chain.v12.timelineSemaphore = VK_TRUE;
  std::vector<const char *> extensions;
  if (physical.hasMemoryBudget)
    extensions.push_back(VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
  if (physical.hasCooperativeMatrix)
    extensions.insert(extensions.end(),
                      {VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME});
  if (physical.hasCooperativeMatrix && physical.hasBfloat16)
    extensions.push_back(VK_KHR_SHADER_BFLOAT16_EXTENSION_NAME);
  VkDeviceCreateInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
  info.pNext = &chain.core;
  info.queueCreateInfoCount = queueCount;
  info.pQueueCreateInfos = queues;
  info.enabledExtensionCount = static_cast<uint32_t>(extensions.size());
  info.ppEnabledExtensionNames = extensions.data();
  if (VkResult result = instance.vk.vkCreateDevice(physical.handle, &info, nullptr, &handle)) {
    handle = VK_NULL_HANDLE;
    return failure(result, "opening it");
  }
  if (!vk.find(instance.vk.vkGetDeviceProcAddr, handle)) {
    auto destroy = reinterpret_cast<PFN_vkDestroyDevice>(instance.vk.vkGetDeviceProcAddr(handle, "vkDestroyDevice"));
    if (destroy)
      destroy(handle, nullptr);
    handle = VK_NULL_HANDLE;
    return {KILN_ERROR_UNSUPPORTED, physical.name + ": its driver lacks functions of Vulkan 1.2; a newer one may do"};
  }
  vk.vkGetDeviceQueue(handle, physical.computeFamily, 0, &queue);
  vk.vkGetDeviceQueue(handle, physical.transferFamily, 0, &transferQueue);
  allocator = std::make_unique<Allocator>(physical, vk, handle);
  upload = std::make_unique<Upload>(*this);
  pipelines = std::make_unique<PipelineCache>(*this);
  for (TimeLine *each : {&line, &uploadLine}) {
    VkSemaphoreTypeCreateInfo type = {};
    type.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO;
    type.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
    VkSemaphoreCreateInfo semaphore = {};
    semaphore.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO;
    semaphore.pNext = &type;
    if (VkResult result = vk.vkCreateSemaphore(handle, &semaphore, nullptr, &each->semaphore))
      return failure(result, "opening it");
  }
  return pipelines->open();
}

Failure Device::failure(VkResult result, const char *doing) {
  switch (result) {
  case VK_ERROR_DEVICE_LOST:
    lost = true;
    return {KILN_ERROR_DEVICE_LOST,
            format("%s was lost while %s: its driver gave up on it, or work ran longer than it allows; what it held is "
                   "gone, start again from the last checkpoint",
                   physical.name.c_str(), doing)};
  case VK_ERROR_OUT_OF_DEVICE_MEMORY:
    return {KILN_ERROR_OUT_OF_MEMORY,
            format("%s ran out of memory while %s, with %s taken by this program; lower the batch or the bounds",
                   physical.name.c_str(), doing, bytesText(allocator ? allocator->bytes() : 0).c_str())};
  case VK_ERROR_OUT_OF_HOST_MEMORY:
    return {KILN_ERROR_OUT_OF_MEMORY,
            format("the driver of %s found no memory of the host's while %s", physical.name.c_str(), doing)};
  case VK_ERROR_FEATURE_NOT_PRESENT:
  case VK_ERROR_EXTENSION_NOT_PRESENT:
    return {KILN_ERROR_UNSUPPORTED,
            format("%s lacks a feature that it had announced, noticed while %s", physical.name.c_str(), doing)};
  case VK_ERROR_INITIALIZATION_FAILED:
    return {KILN_ERROR_INTERNAL,
            format("the driver of %s failed to start while %s; another program may hold the device",
                   physical.name.c_str(), doing)};
  case VK_ERROR_TOO_MANY_OBJECTS:
    return {KILN_ERROR_OUT_OF_MEMORY,
            format("%s allows no more objects of a kind, noticed while %s", physical.name.c_str(), doing)};
  default:
    return {KILN_ERROR_INTERNAL, format("%s: Vulkan gave VkResult %d while %s", physical.name.c_str(), result, doing)};
  }
}

Failure Device::outOfMemory(uint64_t bytes, const std::string &what) {
  uint32_t heap = memoryHeap(physical, Home::device);
  uint64_t all = physical.memory.memoryHeaps[heap].size;
  uint64_t left = freeBytes(instance.vk, physical, heap).value_or(all - std::min(all, allocator->bytes()));
  return {KILN_ERROR_OUT_OF_MEMORY,
          format("%s has no room for %s of %s: about %s of its %s are left, and this program has taken %s; lower the "
                 "batch or the bounds (--bound), or choose another device (--device)",
                 physical.name.c_str(), what.c_str(), bytesText(bytes).c_str(), bytesText(left).c_str(),
                 bytesText(all).c_str(), bytesText(allocator->bytes()).c_str())};
}

Failure Device::create(uint64_t bytes, Home home, const std::string &what, RawBuffer &buffer) {
  // Bindings are rounded up to words, and an empty tensor is bound too.
  uint64_t rounded = (std::max<uint64_t>(bytes, 1) + 63) / 64 * 64;
  if (rounded < bytes || rounded > physical.maxAllocationBytes)
    return {KILN_ERROR_OUT_OF_MEMORY,
            format("%s has no single allocation beyond %s, and %s takes %s; lower the batch or the bounds (--bound)",
                   physical.name.c_str(), bytesText(physical.maxAllocationBytes).c_str(), what.c_str(),
                   bytesText(bytes).c_str())};
  const uint32_t families[2] = {physical.computeFamily, physical.transferFamily};
  VkBufferCreateInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
  info.size = rounded;
  info.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
  info.sharingMode = families[0] == families[1] ? VK_SHARING_MODE_EXCLUSIVE : VK_SHARING_MODE_CONCURRENT;
  info.queueFamilyIndexCount = families[0] == families[1] ? 0 : 2;
  info.pQueueFamilyIndices = families;
  RawBuffer made;
  made.bytes = rounded;
  if (vk.vkCreateBuffer(handle, &info, nullptr, &made.handle) != VK_SUCCESS)
    return outOfMemory(bytes, what);
  VkMemoryRequirements needs;
  vk.vkGetBufferMemoryRequirements(handle, made.handle, &needs);
  VkResult result = allocator->allocate(needs, home, made.memory);
  if (result != VK_SUCCESS) {
    vk.vkDestroyBuffer(handle, made.handle, nullptr);
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY)
      return outOfMemory(bytes, what);
    return failure(result, ("allocating " + what).c_str());
  }
  result = vk.vkBindBufferMemory(handle, made.handle, made.memory.handle, made.memory.offset);
  if (result != VK_SUCCESS) {
    destroy(made);
    return failure(result, ("allocating " + what).c_str());
  }
  buffer = made;
  return {};
}

void Device::destroy(RawBuffer &buffer) {
  if (buffer.handle)
    vk.vkDestroyBuffer(handle, buffer.handle, nullptr);
  if (buffer.memory.handle)
    allocator->free(buffer.memory);
  buffer = {};
}

Failure Device::submit(VkCommandBuffer commands) {
  if (Failure failure = upload->flush())
    return failure;
  return submit(queue, commands, line, uploadLine, uploadLine.given);
}

Failure Device::submit(VkQueue queue, VkCommandBuffer commands, TimeLine &own, const TimeLine &other,
                       uint64_t otherValue) {
  // Both waits are for memory as well: what the earlier work wrote is seen, no barrier has to say so.
  const VkSemaphore semaphores[2] = {own.semaphore, other.semaphore};
  const uint64_t values[2] = {own.given, otherValue}, signalled = own.given + 1;
  const VkPipelineStageFlags stages[2] = {VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT};
  VkTimelineSemaphoreSubmitInfo numbers = {};
  numbers.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO;
  numbers.waitSemaphoreValueCount = 2;
  numbers.pWaitSemaphoreValues = values;
  numbers.signalSemaphoreValueCount = 1;
  numbers.pSignalSemaphoreValues = &signalled;
  VkSubmitInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
  info.pNext = &numbers;
  info.waitSemaphoreCount = 2;
  info.pWaitSemaphores = semaphores;
  info.pWaitDstStageMask = stages;
  info.commandBufferCount = 1;
  info.pCommandBuffers = &commands;
  info.signalSemaphoreCount = 1;
  info.pSignalSemaphores = &own.semaphore;
  VkResult result = static_cast<VkResult>(std::exchange(hooks().failSubmit, 0));
  if (result == VK_SUCCESS)
    result = vk.vkQueueSubmit(queue, 1, &info, VK_NULL_HANDLE);
  if (result != VK_SUCCESS)
    return failure(result, "giving it work");
  own.given = signalled;
  return {};
}

Failure Device::await(TimeLine &line, uint64_t value) {
  value = std::min(value, line.given);
  if (value <= line.reached)
    return {};
  VkSemaphoreWaitInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO;
  info.semaphoreCount = 1;
  info.pSemaphores = &line.semaphore;
  info.pValues = &value;
  if (VkResult result = vk.vkWaitSemaphores(handle, &info, UINT64_MAX))
    return failure(result, "computing");
  line.reached = value;
  return {};
}

bool Device::isAt(TimeLine &line, uint64_t value) {
  if (lost || value <= line.reached)
    return true;
  uint64_t reached = 0;
  if (vk.vkGetSemaphoreCounterValue(handle, line.semaphore, &reached) == VK_SUCCESS)
    line.reached = std::max(line.reached, std::min(reached, line.given));
  return value <= line.reached;
}

Failure Device::commands(uint32_t family, VkCommandPoolCreateFlags flags, const char *doing, VkCommandPool &pool,
                         std::span<VkCommandBuffer> buffers) {
  VkCommandPoolCreateInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
  info.flags = flags;
  info.queueFamilyIndex = family;
  if (VkResult result = vk.vkCreateCommandPool(handle, &info, nullptr, &pool))
    return failure(result, doing);
  VkCommandBufferAllocateInfo allocate = {};
  allocate.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
  allocate.commandPool = pool;
  allocate.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
  allocate.commandBufferCount = static_cast<uint32_t>(buffers.size());
  if (buffers.empty())
    return {};
  if (VkResult result = vk.vkAllocateCommandBuffers(handle, &allocate, buffers.data()))
    return failure(result, doing);
  return {};
}

Failure Device::copyNow(VkBuffer from, VkBuffer to, const VkBufferCopy &region) {
  if (!pool) {
    if (Failure failure = commands(physical.computeFamily, VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                   "preparing copies", pool, {&once, 1}))
      return failure;
  }
  VkCommandBufferBeginInfo begin = {};
  begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
  begin.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
  if (VkResult result = vk.vkBeginCommandBuffer(once, &begin))
    return failure(result, "copying");
  vk.vkCmdCopyBuffer(once, from, to, 1, &region);
  VkMemoryBarrier barrier = {};
  barrier.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
  barrier.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
  barrier.dstAccessMask = VK_ACCESS_HOST_READ_BIT | VK_ACCESS_HOST_WRITE_BIT;
  vk.vkCmdPipelineBarrier(once, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0, nullptr,
                          0, nullptr);
  if (VkResult result = vk.vkEndCommandBuffer(once))
    return failure(result, "copying");
  if (Failure failure = submit(once))
    return failure;
  return await(line, line.given);
}

} // namespace kiln::vulkan
