// Properties, features and extensions of a device, read once.

#include "backends/vulkan/run/Physical.h"

#include "backends/vulkan/artifact.h"

#include <algorithm>
#include <cstring>

namespace kiln::vulkan {

FeatureChain::FeatureChain(const PhysicalDevice &device) {
  core.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
  v11.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES;
  v12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES;
  matrix.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR;
  subgroups.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES;
  matrix.pNext = &subgroups;
  brain.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_BFLOAT16_FEATURES_KHR;
  subgroups.pNext = device.hasBfloat16 ? &brain : nullptr;
  core.pNext = &v11;
  v11.pNext = &v12;
  v12.pNext = device.hasCooperativeMatrix ? &matrix : nullptr;
}

namespace {
struct Bit {
  uint32_t mask;
  VkBool32 *at;
};
} // namespace

#define KILN_VK_BITS(chain)                                                                                            \
  {                                                                                                                    \
    {KILN_VK_F16, &(chain).v12.shaderFloat16}, {KILN_VK_F64, &(chain).core.features.shaderFloat64},                    \
        {KILN_VK_I8, &(chain).v12.shaderInt8}, {KILN_VK_I16, &(chain).core.features.shaderInt16},                      \
        {KILN_VK_I64, &(chain).core.features.shaderInt64}, {KILN_VK_STORAGE8, &(chain).v12.storageBuffer8BitAccess},   \
        {KILN_VK_STORAGE16, &(chain).v11.storageBuffer16BitAccess},                                                    \
        {KILN_VK_BUFFER_ARRAYS, &(chain).core.features.shaderStorageBufferArrayDynamicIndexing}, {                     \
      KILN_VK_COOPERATIVE_MATRIX, &(chain).matrix.cooperativeMatrix                                                    \
    }                                                                                                                  \
  }

uint32_t FeatureChain::mask() const {
  uint32_t result = 0;
  auto &self = const_cast<FeatureChain &>(*this);
  const Bit bits[] = KILN_VK_BITS(self);
  for (const Bit &bit : bits)
    result |= *bit.at ? bit.mask : 0;
  // Cooperative matrices come with a memory model that their shaders declare, and want subgroups without gaps. Once the
  // model is on, the scope of all shaders' atomics is a feature of it.
  if (!v12.vulkanMemoryModel || !v12.vulkanMemoryModelDeviceScope || !subgroups.computeFullSubgroups)
    result &= ~static_cast<uint32_t>(KILN_VK_COOPERATIVE_MATRIX);
  else if (brain.shaderBFloat16Type && brain.shaderBFloat16CooperativeMatrix)
    result |= KILN_VK_MATRIX_BF16;
  return result;
}

void FeatureChain::setMask(uint32_t mask) {
  const Bit bits[] = KILN_VK_BITS(*this);
  for (const Bit &bit : bits)
    *bit.at = (mask & bit.mask) != 0;
  bool matrices = (mask & KILN_VK_COOPERATIVE_MATRIX) != 0;
  brain.shaderBFloat16Type = brain.shaderBFloat16CooperativeMatrix = (mask & KILN_VK_MATRIX_BF16) != 0;
  v12.vulkanMemoryModel = v12.vulkanMemoryModelDeviceScope = subgroups.computeFullSubgroups = matrices;
}

namespace {

void readProperties(const InstanceFunctions &vk, PhysicalDevice &device) {
  VkPhysicalDeviceVulkan12Properties v12 = {};
  v12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES;
  VkPhysicalDeviceVulkan11Properties v11 = {};
  v11.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES;
  v11.pNext = &v12;
  VkPhysicalDeviceProperties2 properties = {};
  properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
  properties.pNext = &v11;
  vk.vkGetPhysicalDeviceProperties2(device.handle, &properties);
  device.driver = std::string(v12.driverName) + (v12.driverInfo[0] ? " " : "") + v12.driverInfo;
  std::memcpy(device.deviceId, v11.deviceUUID, VK_UUID_SIZE);
  std::memcpy(device.driverId, v11.driverUUID, VK_UUID_SIZE);
  device.subgroupSize = v11.subgroupSize;
  device.maxAllocationBytes = v11.maxMemoryAllocationSize;
  device.flushesDenormals = !v12.shaderDenormPreserveFloat32;
  if (v12.shaderSignedZeroInfNanPreserveFloat16)
    device.features |= KILN_VK_NAN16;
  if (v12.shaderSignedZeroInfNanPreserveFloat32)
    device.features |= KILN_VK_NAN32;
  if (v12.shaderSignedZeroInfNanPreserveFloat64)
    device.features |= KILN_VK_NAN64;
  if ((v11.subgroupSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT) &&
      (v11.subgroupSupportedOperations & VK_SUBGROUP_FEATURE_ARITHMETIC_BIT))
    device.features |= KILN_VK_SUBGROUP_ARITHMETIC;
  if (device.type == VK_PHYSICAL_DEVICE_TYPE_CPU)
    device.features |= KILN_VK_ON_CPU;
}

void readExtensions(const InstanceFunctions &vk, PhysicalDevice &device) {
  uint32_t count = 0;
  vk.vkEnumerateDeviceExtensionProperties(device.handle, nullptr, &count, nullptr);
  std::vector<VkExtensionProperties> extensions(count);
  vk.vkEnumerateDeviceExtensionProperties(device.handle, nullptr, &count, extensions.data());
  auto has = [&](const char *name) {
    return std::any_of(extensions.begin(), extensions.end(),
                       [&](const VkExtensionProperties &each) { return std::strcmp(each.extensionName, name) == 0; });
  };
  device.hasMemoryBudget = has(VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
  device.hasCooperativeMatrix =
      has(VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME) && has(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
  device.hasBfloat16 = has(VK_KHR_SHADER_BFLOAT16_EXTENSION_NAME);
}

std::vector<VkCooperativeMatrixPropertiesKHR> matrixShapes(PFN_vkGetInstanceProcAddr get, VkInstance instance,
                                                           const PhysicalDevice &device) {
  auto list = reinterpret_cast<PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR>(
      get(instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR"));
  uint32_t count = 0;
  if (!list || list(device.handle, &count, nullptr))
    return {};
  VkCooperativeMatrixPropertiesKHR empty = {};
  empty.sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR;
  std::vector<VkCooperativeMatrixPropertiesKHR> shapes(count, empty);
  if (list(device.handle, &count, shapes.data()))
    return {};
  shapes.resize(count);
  return shapes;
}

/// The largest shape of those that shaders are made for; false where the device has none.
bool largestShape(const std::vector<VkCooperativeMatrixPropertiesKHR> &shapes, VkComponentTypeKHR factors,
                  VkComponentTypeKHR sums, uint32_t (&sides)[3]) {
  auto fits = [](uint32_t side) { return side == 8 || side == 16 || side == 32; };
  uint32_t largest = 0;
  for (const VkCooperativeMatrixPropertiesKHR &shape : shapes) {
    uint32_t size = shape.MSize * shape.NSize * shape.KSize;
    if (shape.AType != factors || shape.BType != factors || shape.CType != sums || shape.ResultType != sums ||
        shape.scope != VK_SCOPE_SUBGROUP_KHR || shape.saturatingAccumulation || !fits(shape.MSize) ||
        !fits(shape.NSize) || !fits(shape.KSize) || shape.MSize * shape.NSize > 256 || size <= largest)
      continue;
    largest = size;
    sides[0] = shape.MSize, sides[1] = shape.NSize, sides[2] = shape.KSize;
  }
  return largest > 0;
}

void readMatrices(PFN_vkGetInstanceProcAddr get, VkInstance instance, PhysicalDevice &device) {
  if (!device.hasCooperativeMatrix)
    return;
  auto shapes = matrixShapes(get, instance, device);
  auto has = [&](VkComponentTypeKHR factors, VkComponentTypeKHR sums, uint32_t(&sides)[3]) {
    return largestShape(shapes, factors, sums, sides);
  };
  device.hasCooperativeMatrix = has(VK_COMPONENT_TYPE_FLOAT16_KHR, VK_COMPONENT_TYPE_FLOAT32_KHR, device.matrix);
  device.hasBfloat16 =
      device.hasBfloat16 && has(VK_COMPONENT_TYPE_BFLOAT16_KHR, VK_COMPONENT_TYPE_FLOAT32_KHR, device.matrixBf16);
  if (has(VK_COMPONENT_TYPE_SINT8_KHR, VK_COMPONENT_TYPE_SINT32_KHR, device.matrixI8))
    device.features |= KILN_VK_MATRIX_I8;
}

/// False: the device has no queue that computes.
bool readQueues(const InstanceFunctions &vk, PhysicalDevice &device) {
  uint32_t count = 0;
  vk.vkGetPhysicalDeviceQueueFamilyProperties(device.handle, &count, nullptr);
  std::vector<VkQueueFamilyProperties> families(count);
  vk.vkGetPhysicalDeviceQueueFamilyProperties(device.handle, &count, families.data());
  auto find = [&](VkQueueFlags with, VkQueueFlags without) {
    for (uint32_t i = 0; i < count; ++i)
      if (families[i].queueCount && (families[i].queueFlags & with) == with && !(families[i].queueFlags & without))
        return i;
    return count;
  };
  // A queue for compute alone is not kept waiting by a desktop's drawing.
  uint32_t compute = find(VK_QUEUE_COMPUTE_BIT, VK_QUEUE_GRAPHICS_BIT);
  if (compute == count)
    compute = find(VK_QUEUE_COMPUTE_BIT, 0);
  if (compute == count)
    return false;
  uint32_t transfer = find(VK_QUEUE_TRANSFER_BIT, VK_QUEUE_COMPUTE_BIT | VK_QUEUE_GRAPHICS_BIT);
  device.computeFamily = compute;
  device.transferFamily = transfer == count ? compute : transfer;
  device.timestampBits = families[compute].timestampValidBits;
  return true;
}

void readMemory(const InstanceFunctions &vk, PhysicalDevice &device) {
  vk.vkGetPhysicalDeviceMemoryProperties(device.handle, &device.memory);
  bool anyHidden = false;
  for (uint32_t i = 0; i < device.memory.memoryTypeCount; ++i) {
    const VkMemoryType &type = device.memory.memoryTypes[i];
    if (!(type.propertyFlags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT))
      continue;
    if (uint64_t size = device.memory.memoryHeaps[type.heapIndex].size; size > device.memoryBytes) {
      device.memoryBytes = size;
      device.memoryHeap = type.heapIndex;
    }
    anyHidden |= !(type.propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT);
  }
  device.unified = device.type == VK_PHYSICAL_DEVICE_TYPE_CPU ||
                   (device.type == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU && !anyHidden);
}

} // namespace

std::optional<uint64_t> freeBytes(const InstanceFunctions &vk, const PhysicalDevice &device, uint32_t heap) {
  if (!device.hasMemoryBudget)
    return std::nullopt;
  VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {};
  budget.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT;
  VkPhysicalDeviceMemoryProperties2 properties = {};
  properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2;
  properties.pNext = &budget;
  vk.vkGetPhysicalDeviceMemoryProperties2(device.handle, &properties);
  return budget.heapBudget[heap] - std::min(budget.heapBudget[heap], budget.heapUsage[heap]);
}

void PhysicalDevice::leaveMatrices() {
  features &= ~static_cast<uint32_t>(KILN_VK_COOPERATIVE_MATRIX | KILN_VK_MATRIX_BF16 | KILN_VK_MATRIX_I8);
  hasCooperativeMatrix = hasBfloat16 = false;
}

PhysicalDevice describe(const InstanceFunctions &vk, PFN_vkGetInstanceProcAddr get, VkInstance instance,
                        VkPhysicalDevice handle) {
  PhysicalDevice device;
  device.handle = handle;
  VkPhysicalDeviceProperties properties;
  vk.vkGetPhysicalDeviceProperties(handle, &properties);
  device.name = properties.deviceName;
  device.type = properties.deviceType;
  device.limits = properties.limits;
  readMemory(vk, device);
  if (properties.apiVersion < VK_API_VERSION_1_2) {
    device.driver = format("version %u of its driver", properties.driverVersion);
    device.reason = format("it speaks Vulkan %u.%u, and 1.2 is needed: a newer driver may do",
                           VK_API_VERSION_MAJOR(properties.apiVersion), VK_API_VERSION_MINOR(properties.apiVersion));
    return device;
  }
  readProperties(vk, device);
  readExtensions(vk, device);
  readMatrices(get, instance, device);
  FeatureChain chain(device);
  vk.vkGetPhysicalDeviceFeatures2(handle, &chain.core);
  device.features |= chain.mask();
  if (!readQueues(vk, device))
    device.reason = "it has no queue that computes";
  else if (!chain.v12.timelineSemaphore)
    device.reason = "it lacks the feature timelineSemaphore";
  return device;
}

} // namespace kiln::vulkan
