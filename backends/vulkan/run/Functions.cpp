#include "backends/vulkan/run/Functions.h"

namespace kiln::vulkan {

bool GlobalFunctions::find() {
  bool all = true;
#define KILN_VK_FIND(name)                                                                                             \
  name = reinterpret_cast<PFN_##name>(vkGetInstanceProcAddr(nullptr, #name));                                          \
  all = all && name;
  KILN_VK_GLOBAL_FUNCTIONS(KILN_VK_FIND)
#undef KILN_VK_FIND
  return all;
}

bool InstanceFunctions::find(PFN_vkGetInstanceProcAddr get, VkInstance instance) {
  bool all = true;
#define KILN_VK_FIND(name)                                                                                             \
  name = reinterpret_cast<PFN_##name>(get(instance, #name));                                                           \
  all = all && name;
  KILN_VK_INSTANCE_FUNCTIONS(KILN_VK_FIND)
#undef KILN_VK_FIND
  return all;
}

bool DeviceFunctions::find(PFN_vkGetDeviceProcAddr get, VkDevice device) {
  bool all = true;
#define KILN_VK_FIND(name)                                                                                             \
  name = reinterpret_cast<PFN_##name>(get(device, #name));                                                             \
  all = all && name;
  KILN_VK_DEVICE_FUNCTIONS(KILN_VK_FIND)
#undef KILN_VK_FIND
  return all;
}

} // namespace kiln::vulkan
