// The Vulkan instance of the process, and what devices it has.
#pragma once

#include "backends/vulkan/run/Failure.h"
#include "backends/vulkan/run/Functions.h"
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace kiln::vulkan {

/// A device as Vulkan lists it. Nothing of it is open.
struct PhysicalDevice {
  VkPhysicalDevice handle = VK_NULL_HANDLE;
  std::string name, driver;
  std::string reason; ///< why it cannot be used; empty when it can
  VkPhysicalDeviceType type = VK_PHYSICAL_DEVICE_TYPE_OTHER;
  VkPhysicalDeviceLimits limits = {};
  VkPhysicalDeviceMemoryProperties memory = {};
  uint8_t deviceId[VK_UUID_SIZE] = {}, driverId[VK_UUID_SIZE] = {};
  uint32_t features = 0; ///< KILN_VK_* of the artifact
  uint32_t subgroupSize = 0;
  /// Rows, columns, depth of the shape for KILN_VK_COOPERATIVE_MATRIX, KILN_VK_MATRIX_BF16 and KILN_VK_MATRIX_I8.
  uint32_t matrix[3] = {}, matrixBf16[3] = {}, matrixI8[3] = {};
  uint32_t computeFamily = 0;
  uint32_t transferFamily = 0; ///< computeFamily where there is none for transfers alone
  uint32_t timestampBits = 0;
  uint64_t memoryBytes = 0;        ///< of the largest heap that shaders read fast
  uint32_t memoryHeap = 0;         ///< that one
  uint64_t maxAllocationBytes = 0; ///< of one buffer
  bool unified = false;            ///< all of its memory is the host's too
  bool hasMemoryBudget = false, hasCooperativeMatrix = false, hasBfloat16 = false, flushesDenormals = false;

  /// As if it multiplied none.
  void leaveMatrices();
};

/// Devices are sorted: discrete, integrated, virtual, processors; else as the loader lists them.
struct Instance {
  std::string reason; ///< why there is no device, and what to do; empty when there is one
  std::vector<PhysicalDevice> devices;
  GlobalFunctions global;
  InstanceFunctions vk;
  VkInstance handle = VK_NULL_HANDLE;
  bool validates = false; ///< the validation layer is on

  /// Errors that the validation layer reported so far.
  uint32_t validationErrors();
  /// The first sentence of the last of them.
  std::string lastValidationError();
  void noteValidationError(std::string message);

  /// For the messages of the validation layer: null for nowhere.
  const kiln_host *host = nullptr;

private:
  std::mutex lock;
  uint32_t errors = 0;
  std::string lastError;
};

/// The instance of this process, made at the first call (about 30 ms) and never ended: drivers do not like being
/// unloaded. KILN_VULKAN_VALIDATION=1 in the environment turns the Khronos validation layer on, its synchronization
/// checks included; calls during which it reports an error then fail. Any thread.
Instance &theInstance(const kiln_host *host);

/// The same for a loader of another name. For tests.
std::unique_ptr<Instance> makeInstance(const kiln_host *host, const char *loader);

} // namespace kiln::vulkan
