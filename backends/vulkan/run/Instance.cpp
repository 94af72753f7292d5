// The loader opened, devices ranked, validation's messages counted.

#include "backends/vulkan/run/Instance.h"

#include "backends/vulkan/run/Physical.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>

namespace kiln::vulkan {

uint32_t Instance::validationErrors() {
  std::lock_guard guard(lock);
  return errors;
}

std::string Instance::lastValidationError() {
  std::lock_guard guard(lock);
  return lastError;
}

void Instance::noteValidationError(std::string message) {
  if (host && KILN_HAS(host, kiln_host, log))
    host->log(host->self, 0, {message.data(), message.size()});
  std::lock_guard guard(lock);
  ++errors;
  lastError = std::move(message);
}

namespace {

constexpr const char *validationLayer = "VK_LAYER_KHRONOS_validation";

VKAPI_ATTR VkBool32 VKAPI_CALL onMessage(VkDebugUtilsMessageSeverityFlagBitsEXT, VkDebugUtilsMessageTypeFlagsEXT,
                                         const VkDebugUtilsMessengerCallbackDataEXT *data, void *self) {
  static_cast<Instance *>(self)->noteValidationError(std::string("Vulkan validation: ") +
                                                     (data && data->pMessage ? data->pMessage : "an error"));
  return VK_FALSE;
}

bool wantsValidation() {
  const char *value = std::getenv("KILN_VULKAN_VALIDATION");
  return value && *value && std::strcmp(value, "0") != 0;
}

bool hasLayer(const GlobalFunctions &global, const char *name) {
  uint32_t count = 0;
  global.vkEnumerateInstanceLayerProperties(&count, nullptr);
  std::vector<VkLayerProperties> layers(count);
  global.vkEnumerateInstanceLayerProperties(&count, layers.data());
  return std::any_of(layers.begin(), layers.begin() + count,
                     [&](const VkLayerProperties &layer) { return std::strcmp(layer.layerName, name) == 0; });
}

/// Makes `instance.handle`; false leaves the reason.
bool create(Instance &instance) {
  VkApplicationInfo application = {};
  application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
  application.pApplicationName = "kiln";
  application.pEngineName = "kiln";
  application.apiVersion = VK_API_VERSION_1_2;
  VkInstanceCreateInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
  info.pApplicationInfo = &application;

  VkDebugUtilsMessengerCreateInfoEXT messenger = {};
  messenger.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT;
  messenger.messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
  messenger.messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT;
  messenger.pfnUserCallback = onMessage;
  messenger.pUserData = &instance;
  const VkValidationFeatureEnableEXT synchronization = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
  VkValidationFeaturesEXT features = {};
  features.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT;
  features.pNext = &messenger;
  features.enabledValidationFeatureCount = 1;
  features.pEnabledValidationFeatures = &synchronization;
  const char *extension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
  if (wantsValidation()) {
    if (!hasLayer(instance.global, validationLayer)) {
      instance.reason = "KILN_VULKAN_VALIDATION is set, but the layer VK_LAYER_KHRONOS_validation is not installed "
                        "(Debian: apt-get install vulkan-validationlayers)";
      return false;
    }
    // The layer takes this part from its own settings alone: hazards between submissions.
    setenv("VK_LAYER_ENABLES",
           "VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT:"
           "VALIDATION_CHECK_ENABLE_SYNCHRONIZATION_VALIDATION_QUEUE_SUBMIT",
           0);
    info.enabledLayerCount = 1;
    info.ppEnabledLayerNames = &validationLayer;
    info.enabledExtensionCount = 1;
    info.ppEnabledExtensionNames = &extension;
    info.pNext = &features;
    instance.validates = true;
  }
  VkResult result = instance.global.vkCreateInstance(&info, nullptr, &instance.handle);
  if (result != VK_SUCCESS) {
    instance.handle = VK_NULL_HANDLE;
    instance.reason = result == VK_ERROR_INCOMPATIBLE_DRIVER
                          ? "the Vulkan loader found no driver: install the device's (for Mesa's, processor included, "
                            "Debian: apt-get install mesa-vulkan-drivers)"
                          : format("Vulkan could not be started (VkResult %d)", result);
    return false;
  }
  if (instance.validates) {
    auto make = reinterpret_cast<PFN_vkCreateDebugUtilsMessengerEXT>(
        instance.global.vkGetInstanceProcAddr(instance.handle, "vkCreateDebugUtilsMessengerEXT"));
    VkDebugUtilsMessengerEXT handle = VK_NULL_HANDLE;
    if (!make || make(instance.handle, &messenger, nullptr, &handle) != VK_SUCCESS) {
      instance.reason = "the validation layer takes no messenger";
      return false;
    }
  }
  return true;
}

constexpr int lastRank = 4;
int rank(VkPhysicalDeviceType type) {
  switch (type) {
  case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
    return 0;
  case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
    return 1;
  case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
    return 2;
  case VK_PHYSICAL_DEVICE_TYPE_CPU:
    return lastRank;
  default:
    return 3;
  }
}

} // namespace

std::unique_ptr<Instance> makeInstance(const kiln_host *host, const char *loader) {
  auto instance = std::make_unique<Instance>();
  instance->host = host;
  void *library = dlopen(loader, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    instance->reason = format("the Vulkan loader (%s) is not installed (Debian: apt-get install libvulkan1, and the "
                              "device's driver; mesa-vulkan-drivers has one for the processor)",
                              loader);
    return instance;
  }
  instance->global.vkGetInstanceProcAddr =
      reinterpret_cast<PFN_vkGetInstanceProcAddr>(dlsym(library, "vkGetInstanceProcAddr"));
  if (!instance->global.vkGetInstanceProcAddr || !instance->global.find()) {
    instance->reason = format("%s is too old a Vulkan loader: 1.1 or later is needed", loader);
    return instance;
  }
  if (!create(*instance))
    return instance;
  if (!instance->vk.find(instance->global.vkGetInstanceProcAddr, instance->handle)) {
    instance->reason = format("%s lacks functions of Vulkan 1.2: install a newer loader", loader);
    return instance;
  }
  uint32_t count = 0;
  instance->vk.vkEnumeratePhysicalDevices(instance->handle, &count, nullptr);
  std::vector<VkPhysicalDevice> handles(count);
  if (count)
    instance->vk.vkEnumeratePhysicalDevices(instance->handle, &count, handles.data());
  handles.resize(count);
  std::vector<PhysicalDevice> listed;
  for (VkPhysicalDevice handle : handles)
    listed.push_back(describe(instance->vk, instance->global.vkGetInstanceProcAddr, instance->handle, handle));
  for (int wanted = 0; wanted <= lastRank; ++wanted)
    for (PhysicalDevice &device : listed)
      if (rank(device.type) == wanted)
        instance->devices.push_back(std::move(device));
  if (instance->devices.empty())
    instance->reason = "Vulkan lists no device: install the device's driver (for Mesa's, processor included, Debian: "
                       "apt-get install mesa-vulkan-drivers)";
  return instance;
}

Instance &theInstance(const kiln_host *host) {
  static Instance *instance = makeInstance(host, "libvulkan.so.1").release();
  return *instance;
}

} // namespace kiln::vulkan
