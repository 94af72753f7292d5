// Heaps cut into pieces; holes are filled first.

#include "backends/vulkan/run/Memory.h"

#include "backends/vulkan/run/Testing.h"

#include <algorithm>

namespace kiln::vulkan {

Hooks &hooks() {
  static Hooks theHooks;
  return theHooks;
}

namespace {
constexpr uint64_t blockBytes = 16 << 20;
constexpr uint64_t largestShared = 2 << 20;
constexpr uint32_t none = UINT32_MAX;

bool takeHole(MemoryBlock &block, uint64_t bytes, uint64_t alignment, Memory &memory) {
  for (auto hole = block.holes.begin(); hole != block.holes.end(); ++hole) {
    auto [begin, size] = *hole;
    uint64_t at = (begin + alignment - 1) / alignment * alignment;
    if (at - begin > size || size - (at - begin) < bytes)
      continue;
    block.holes.erase(hole);
    if (at > begin)
      block.holes[begin] = at - begin;
    if (begin + size > at + bytes)
      block.holes[at + bytes] = begin + size - at - bytes;
    block.used += bytes;
    memory = {block.handle, at, bytes, block.mapped ? block.mapped + at : nullptr, &block};
    return true;
  }
  return false;
}

void fillHole(MemoryBlock &block, uint64_t begin, uint64_t bytes) {
  block.used -= bytes;
  auto next = block.holes.lower_bound(begin);
  if (next != block.holes.end() && next->first == begin + bytes) {
    bytes += next->second;
    next = block.holes.erase(next);
  }
  if (next != block.holes.begin()) {
    auto before = std::prev(next);
    if (before->first + before->second == begin) {
      before->second += bytes;
      return;
    }
  }
  block.holes[begin] = bytes;
}
} // namespace

Allocator::~Allocator() {
  for (auto &block : blocks)
    giveBack(block->handle, block->bytes);
}

/// Of the types that are `allowed`, the best for it; none.
static uint32_t memoryType(const PhysicalDevice &physical, uint32_t allowed, Home home) {
  constexpr VkMemoryPropertyFlags local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
  constexpr VkMemoryPropertyFlags seen = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  constexpr VkMemoryPropertyFlags cached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
  auto find = [&](VkMemoryPropertyFlags with, VkMemoryPropertyFlags without) {
    for (uint32_t i = 0; i < physical.memory.memoryTypeCount; ++i) {
      VkMemoryPropertyFlags flags = physical.memory.memoryTypes[i].propertyFlags;
      if ((allowed >> i & 1) && (flags & with) == with && !(flags & without))
        return i;
    }
    return none;
  };
  std::vector<uint32_t> wishes;
  if ((home == Home::device || home == Home::input) && physical.unified)
    wishes = {find(local | seen | cached, 0), find(local | seen, 0), find(local, 0), find(0, 0)};
  else if (home == Home::input)
    wishes = {find(local | seen, 0), find(local, 0), find(0, 0)};
  else if (home == Home::device)
    wishes = {find(local, seen), find(local, 0), find(0, 0)};
  else if (home == Home::upload)
    wishes = {find(seen, local), find(seen, 0)};
  else
    wishes = {find(seen | cached, local), find(seen | cached, 0), find(seen, 0)};
  for (uint32_t wish : wishes)
    if (wish != none)
      return wish;
  return none;
}

uint32_t memoryHeap(const PhysicalDevice &physical, Home home) {
  uint32_t number = memoryType(physical, UINT32_MAX, home);
  return number == none ? 0 : physical.memory.memoryTypes[number].heapIndex;
}

VkResult Allocator::take(uint64_t bytes, uint32_t type, VkDeviceMemory &handle, uint8_t *&mapped) {
  if (uint64_t limit = hooks().memoryLimit; limit && taken + bytes > limit)
    return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  VkMemoryAllocateInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
  info.allocationSize = bytes;
  info.memoryTypeIndex = type;
  if (VkResult result = vk.vkAllocateMemory(device, &info, nullptr, &handle))
    return result;
  mapped = nullptr;
  constexpr VkMemoryPropertyFlags seen = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  if ((physical.memory.memoryTypes[type].propertyFlags & seen) == seen) {
    void *address = nullptr;
    if (VkResult result = vk.vkMapMemory(device, handle, 0, VK_WHOLE_SIZE, 0, &address)) {
      vk.vkFreeMemory(device, handle, nullptr);
      return result;
    }
    mapped = static_cast<uint8_t *>(address);
  }
  taken += bytes;
  return VK_SUCCESS;
}

void Allocator::giveBack(VkDeviceMemory handle, uint64_t bytes) {
  vk.vkFreeMemory(device, handle, nullptr); // unmaps
  taken -= bytes;
}

VkResult Allocator::allocate(const VkMemoryRequirements &needs, Home home, Memory &memory) {
  uint32_t chosen = memoryType(physical, needs.memoryTypeBits, home);
  if (chosen == none)
    return VK_ERROR_FEATURE_NOT_PRESENT;
  if (needs.size > largestShared) {
    memory = {};
    memory.bytes = needs.size;
    return take(needs.size, chosen, memory.handle, memory.mapped);
  }
  for (auto &block : blocks)
    if (block->type == chosen && takeHole(*block, needs.size, needs.alignment, memory))
      return VK_SUCCESS;
  auto block = std::make_unique<MemoryBlock>();
  block->type = chosen;
  // A nearly full device may still have room for less than a block.
  for (block->bytes = blockBytes;; block->bytes /= 4) {
    VkResult result = take(block->bytes, chosen, block->handle, block->mapped);
    if (result == VK_SUCCESS)
      break;
    if (block->bytes / 4 < needs.size)
      return result;
  }
  block->holes[0] = block->bytes;
  takeHole(*block, needs.size, needs.alignment, memory);
  blocks.push_back(std::move(block));
  return VK_SUCCESS;
}

void Allocator::free(const Memory &memory) {
  if (!memory.block)
    return giveBack(memory.handle, memory.bytes);
  fillHole(*memory.block, memory.offset, memory.bytes);
  if (memory.block->used)
    return;
  giveBack(memory.block->handle, memory.block->bytes);
  blocks.erase(std::find_if(blocks.begin(), blocks.end(), [&](const auto &b) { return b.get() == memory.block; }));
}

} // namespace kiln::vulkan
