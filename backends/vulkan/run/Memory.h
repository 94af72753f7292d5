// Pieces of a device's memory.
#pragma once

#include "backends/vulkan/run/Instance.h"
#include <map>

namespace kiln::vulkan {

/// One allocation of the driver's that small pieces share.
struct MemoryBlock {
  VkDeviceMemory handle = VK_NULL_HANDLE;
  uint8_t *mapped = nullptr;
  uint32_t type = 0;
  uint64_t bytes = 0, used = 0;
  std::map<uint64_t, uint64_t> holes; ///< offset to bytes; none touch
};

struct Memory {
  VkDeviceMemory handle = VK_NULL_HANDLE;
  uint64_t offset = 0, bytes = 0;
  uint8_t *mapped = nullptr; ///< null where the host does not see it
  MemoryBlock *block = nullptr;
};

struct RawBuffer {
  VkBuffer handle = VK_NULL_HANDLE;
  Memory memory;
  uint64_t bytes = 0; ///< at least what was asked, a multiple of 64
};

/// Who works with a buffer.
enum class Home {
  device,  ///< shaders; where all memory is one, the host sees it too
  input,   ///< the host writes it, shaders read it: the device's memory that the host sees, where there is some
  upload,  ///< the host writes it, copies read it
  readback ///< copies and (rarely) shaders write it, the host reads it
};

/// The heap that it would be in.
uint32_t memoryHeap(const PhysicalDevice &physical, Home home);

/// Small pieces share blocks, since drivers allow a few thousand allocations only; large ones have one each. Memory
/// that the host sees is mapped for good and coherent.
class Allocator {
public:
  Allocator(const PhysicalDevice &physical, const DeviceFunctions &vk, VkDevice device)
      : physical(physical), vk(vk), device(device) {}
  Allocator(const Allocator &) = delete;
  ~Allocator();

  /// VK_ERROR_OUT_OF_DEVICE_MEMORY and the like where it fails.
  VkResult allocate(const VkMemoryRequirements &needs, Home home, Memory &memory);
  void free(const Memory &memory);
  /// Taken from the device now.
  uint64_t bytes() const { return taken; }

private:
  const PhysicalDevice &physical;
  const DeviceFunctions &vk;
  VkDevice device;
  std::vector<std::unique_ptr<MemoryBlock>> blocks;
  uint64_t taken = 0;

  VkResult take(uint64_t bytes, uint32_t type, VkDeviceMemory &handle, uint8_t *&mapped);
  void giveBack(VkDeviceMemory handle, uint64_t bytes);
};

} // namespace kiln::vulkan
