// Staging memory in a ring, and writes that wait for what reads the bytes.

#include "backends/vulkan/run/Upload.h"

#include "backends/vulkan/run/Device.h"

#include <algorithm>
#include <cstring>

namespace kiln::vulkan {

namespace {
constexpr uint64_t ringBytes = 16 << 20;
constexpr uint64_t largestPiece = ringBytes / 4;
constexpr uint64_t batchBytes = 64 << 10; // sent at once when it has grown to this
constexpr size_t batchCount = 8;
constexpr size_t batchCopies = 256;
} // namespace

Upload::~Upload() {
  device.destroy(ring);
  if (pool)
    device.vk.vkDestroyCommandPool(device.handle, pool, nullptr);
}

Failure Upload::start() {
  if (ring.handle)
    return {};
  if (!pool) {
    std::vector<VkCommandBuffer> commands(batchCount);
    if (Failure failure =
            device.commands(device.physical.transferFamily, VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                            "preparing uploads", pool, commands))
      return failure;
    batches.resize(batchCount);
    for (size_t i = 0; i < batchCount; ++i)
      batches[i].commands = commands[i];
    copies.reserve(batchCopies);
  }
  return device.create(ringBytes, Home::upload, "uploads", ring);
}

/// Waits until a batch has run: its part of the ring is free then.
Failure Upload::retire(Batch &batch) {
  if (!batch.number)
    return {};
  if (Failure failure = device.await(device.uploadLine, batch.number))
    return failure;
  tail = std::max(tail, batch.end);
  batch.number = 0;
  return {};
}

Failure Upload::reserve(uint64_t bytes, uint64_t &at) {
  uint64_t begin = head;
  if (begin % ringBytes + bytes > ringBytes)
    begin += ringBytes - begin % ringBytes; // pieces do not wrap around
  if (begin + bytes - tail > ringBytes)
    if (Failure failure = flush())
      return failure;
  for (size_t i = 0; begin + bytes - tail > ringBytes && i < batchCount; ++i)
    if (Failure failure = retire(batches[(current + i) % batchCount])) // the oldest first
      return failure;
  at = begin % ringBytes;
  head = begin + bytes;
  return {};
}

bool Upload::collides(VkBuffer to, uint64_t offset, uint64_t bytes) const {
  return std::any_of(copies.begin(), copies.end(), [&](const Copy &copy) {
    return copy.to == to && offset < copy.region.dstOffset + copy.region.size && copy.region.dstOffset < offset + bytes;
  });
}

Failure Upload::write(Buffer &to, uint64_t offset, const void *from, uint64_t bytes) {
  if (Failure failure = start())
    return failure;
  const auto *source = static_cast<const uint8_t *>(from);
  while (bytes) {
    uint64_t piece = std::min(bytes, largestPiece), at = 0;
    // Copies of one batch run in no order.
    if (copies.size() == batchCopies || collides(to.raw.handle, offset, piece))
      if (Failure failure = flush())
        return failure;
    if (Failure failure = reserve((piece + 63) / 64 * 64, at))
      return failure;
    std::memcpy(ring.memory.mapped + at, source, piece);
    copies.push_back({to.raw.handle, {at, offset, piece}});
    lastUse = std::max(lastUse, to.lastUse);
    to.lastUpload = device.uploadLine.given + 1;
    gathered += piece;
    source += piece;
    offset += piece;
    bytes -= piece;
    if (gathered >= batchBytes)
      if (Failure failure = flush())
        return failure;
  }
  return {};
}

Failure Upload::flush() {
  if (copies.empty())
    return {};
  Batch &batch = batches[current];
  if (Failure failure = retire(batch))
    return failure;
  const DeviceFunctions &vk = device.vk;
  VkCommandBufferBeginInfo begin = {};
  begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
  begin.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
  if (VkResult result = vk.vkBeginCommandBuffer(batch.commands, &begin))
    return device.failure(result, "uploading");
  for (const Copy &copy : copies)
    vk.vkCmdCopyBuffer(batch.commands, ring.handle, copy.to, 1, &copy.region);
  // Where the host sees the buffers, it may read or write them next.
  VkMemoryBarrier barrier = {};
  barrier.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
  barrier.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
  barrier.dstAccessMask = VK_ACCESS_HOST_READ_BIT | VK_ACCESS_HOST_WRITE_BIT;
  vk.vkCmdPipelineBarrier(batch.commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0,
                          nullptr, 0, nullptr);
  if (VkResult result = vk.vkEndCommandBuffer(batch.commands))
    return device.failure(result, "uploading");
  if (Failure failure = device.submit(device.transferQueue, batch.commands, device.uploadLine, device.line, lastUse))
    return failure;
  batch.number = device.uploadLine.given;
  batch.end = head;
  current = (current + 1) % batchCount;
  copies.clear();
  gathered = lastUse = 0;
  return {};
}

} // namespace kiln::vulkan
