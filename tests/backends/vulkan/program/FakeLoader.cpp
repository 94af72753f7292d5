// A Vulkan loader that passes everything on to the real one, and spoils what KILN_FAKE_VULKAN names:
//   no-driver       no instance can be made
//   no-device       no device is listed
//   twice           each device is listed twice
//   old             devices speak Vulkan 1.1
//   lacks-f64       devices have no shaderFloat64
//   lacks-arrays    devices have no shaderStorageBufferArrayDynamicIndexing
//   lacks-timeline  devices have no timelineSemaphore
//   memory=BYTES    allocations beyond so many bytes, all together, fail
//   lost=N          the device is lost at the Nth submission
//   idle            dispatches do nothing
#include <vulkan/vulkan_core.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <string>

namespace {

std::string wish() {
  const char *text = std::getenv("KILN_FAKE_VULKAN");
  return text ? text : "";
}

/// The number behind "name="; `otherwise` where that is not what is wished.
uint64_t wished(const std::string &name, uint64_t otherwise) {
  std::string text = wish();
  return text.starts_with(name + "=") ? std::strtoull(text.c_str() + name.size() + 1, nullptr, 10) : otherwise;
}

PFN_vkGetInstanceProcAddr realGet() {
  static const auto get = [] {
    void *library = dlopen(KILN_REAL_VULKAN, RTLD_NOW | RTLD_LOCAL);
    return library ? reinterpret_cast<PFN_vkGetInstanceProcAddr>(dlsym(library, "vkGetInstanceProcAddr")) : nullptr;
  }();
  return get;
}

VkInstance theInstance = VK_NULL_HANDLE;
VkDevice theDevice = VK_NULL_HANDLE;

template <typename Function> Function real(Function, const char *name) {
  return reinterpret_cast<Function>(realGet()(theInstance, name));
}
#define REAL(name) real(static_cast<PFN_##name>(nullptr), #name)

template <typename Function> Function ofDevice(Function, const char *name) {
  return reinterpret_cast<Function>(REAL(vkGetDeviceProcAddr)(theDevice, name));
}
#define OF_DEVICE(name) ofDevice(static_cast<PFN_##name>(nullptr), #name)

VkResult createInstance(const VkInstanceCreateInfo *info, const VkAllocationCallbacks *callbacks,
                        VkInstance *instance) {
  if (wish() == "no-driver")
    return VK_ERROR_INCOMPATIBLE_DRIVER;
  auto create = reinterpret_cast<PFN_vkCreateInstance>(realGet()(VK_NULL_HANDLE, "vkCreateInstance"));
  VkResult result = create(info, callbacks, instance);
  theInstance = *instance;
  return result;
}

VkResult enumeratePhysicalDevices(VkInstance instance, uint32_t *count, VkPhysicalDevice *devices) {
  if (wish() == "no-device") {
    *count = 0;
    return VK_SUCCESS;
  }
  if (wish() != "twice")
    return REAL(vkEnumeratePhysicalDevices)(instance, count, devices);
  uint32_t once = *count / 2;
  VkResult result = REAL(vkEnumeratePhysicalDevices)(instance, &once, devices);
  *count = 2 * once;
  if (devices)
    std::copy_n(devices, once, devices + once);
  return result;
}

void getPhysicalDeviceProperties(VkPhysicalDevice device, VkPhysicalDeviceProperties *properties) {
  REAL(vkGetPhysicalDeviceProperties)(device, properties);
  if (wish() == "old")
    properties->apiVersion = VK_MAKE_API_VERSION(0, 1, 1, 0);
}

void getPhysicalDeviceFeatures2(VkPhysicalDevice device, VkPhysicalDeviceFeatures2 *features) {
  REAL(vkGetPhysicalDeviceFeatures2)(device, features);
  if (wish() == "lacks-f64")
    features->features.shaderFloat64 = VK_FALSE;
  if (wish() == "lacks-arrays")
    features->features.shaderStorageBufferArrayDynamicIndexing = VK_FALSE;
  for (auto *next = static_cast<VkBaseOutStructure *>(features->pNext); next; next = next->pNext)
    if (next->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES && wish() == "lacks-timeline")
      reinterpret_cast<VkPhysicalDeviceVulkan12Features *>(next)->timelineSemaphore = VK_FALSE;
}

VkResult createDevice(VkPhysicalDevice physical, const VkDeviceCreateInfo *info, const VkAllocationCallbacks *callbacks,
                      VkDevice *device) {
  VkResult result = REAL(vkCreateDevice)(physical, info, callbacks, device);
  theDevice = *device;
  return result;
}

VkResult allocateMemory(VkDevice device, const VkMemoryAllocateInfo *info, const VkAllocationCallbacks *callbacks,
                        VkDeviceMemory *memory) {
  static std::atomic<uint64_t> taken = 0;
  if ((taken += info->allocationSize) > wished("memory", UINT64_MAX)) {
    taken -= info->allocationSize;
    return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  }
  return OF_DEVICE(vkAllocateMemory)(device, info, callbacks, memory);
}

VkResult queueSubmit(VkQueue queue, uint32_t count, const VkSubmitInfo *submits, VkFence fence) {
  static std::atomic<uint64_t> submissions = 0;
  if (++submissions >= wished("lost", UINT64_MAX))
    return VK_ERROR_DEVICE_LOST;
  return OF_DEVICE(vkQueueSubmit)(queue, count, submits, fence);
}

void cmdDispatch(VkCommandBuffer commands, uint32_t x, uint32_t y, uint32_t z) {
  if (wish() != "idle")
    OF_DEVICE(vkCmdDispatch)(commands, x, y, z);
}

PFN_vkVoidFunction getDeviceProcAddr(VkDevice device, const char *name);

PFN_vkVoidFunction spoilt(const char *name) {
  const struct {
    const char *name;
    PFN_vkVoidFunction function;
  } table[] = {{"vkCreateInstance", reinterpret_cast<PFN_vkVoidFunction>(createInstance)},
               {"vkEnumeratePhysicalDevices", reinterpret_cast<PFN_vkVoidFunction>(enumeratePhysicalDevices)},
               {"vkGetPhysicalDeviceProperties", reinterpret_cast<PFN_vkVoidFunction>(getPhysicalDeviceProperties)},
               {"vkGetPhysicalDeviceFeatures2", reinterpret_cast<PFN_vkVoidFunction>(getPhysicalDeviceFeatures2)},
               {"vkCreateDevice", reinterpret_cast<PFN_vkVoidFunction>(createDevice)},
               {"vkGetDeviceProcAddr", reinterpret_cast<PFN_vkVoidFunction>(getDeviceProcAddr)},
               {"vkAllocateMemory", reinterpret_cast<PFN_vkVoidFunction>(allocateMemory)},
               {"vkCmdDispatch", reinterpret_cast<PFN_vkVoidFunction>(cmdDispatch)},
               {"vkQueueSubmit", reinterpret_cast<PFN_vkVoidFunction>(queueSubmit)}};
  for (const auto &entry : table)
    if (std::strcmp(entry.name, name) == 0)
      return entry.function;
  return nullptr;
}

PFN_vkVoidFunction getDeviceProcAddr(VkDevice device, const char *name) {
  PFN_vkVoidFunction function = spoilt(name);
  return function ? function : REAL(vkGetDeviceProcAddr)(device, name);
}

} // namespace

extern "C" __attribute__((visibility("default"))) PFN_vkVoidFunction vkGetInstanceProcAddr(VkInstance instance,
                                                                                           const char *name) {
  PFN_vkVoidFunction function = spoilt(name);
  return function || !realGet() ? function : realGet()(instance, name);
}
