// Vulkan's functions, found at run time.
//
// Nothing here links to the loader: a program runs, and says what is missing, on a machine that has none.
#pragma once

#define VK_NO_PROTOTYPES 1
#include <vulkan/vulkan_core.h>

#define KILN_VK_GLOBAL_FUNCTIONS(F)                                                                                    \
  F(vkCreateInstance)                                                                                                  \
  F(vkEnumerateInstanceVersion)                                                                                        \
  F(vkEnumerateInstanceLayerProperties)                                                                                \
  F(vkEnumerateInstanceExtensionProperties)

#define KILN_VK_INSTANCE_FUNCTIONS(F)                                                                                  \
  F(vkEnumeratePhysicalDevices)                                                                                        \
  F(vkGetPhysicalDeviceProperties)                                                                                     \
  F(vkGetPhysicalDeviceProperties2)                                                                                    \
  F(vkGetPhysicalDeviceFeatures2)                                                                                      \
  F(vkGetPhysicalDeviceMemoryProperties)                                                                               \
  F(vkGetPhysicalDeviceMemoryProperties2)                                                                              \
  F(vkGetPhysicalDeviceQueueFamilyProperties)                                                                          \
  F(vkEnumerateDeviceExtensionProperties)                                                                              \
  F(vkCreateDevice)                                                                                                    \
  F(vkGetDeviceProcAddr)

#define KILN_VK_DEVICE_FUNCTIONS(F)                                                                                    \
  F(vkDestroyDevice)                                                                                                   \
  F(vkGetDeviceQueue)                                                                                                  \
  F(vkDeviceWaitIdle)                                                                                                  \
  F(vkQueueSubmit)                                                                                                     \
  F(vkCreateSemaphore)                                                                                                 \
  F(vkDestroySemaphore)                                                                                                \
  F(vkWaitSemaphores)                                                                                                  \
  F(vkGetSemaphoreCounterValue)                                                                                        \
  F(vkAllocateMemory)                                                                                                  \
  F(vkFreeMemory)                                                                                                      \
  F(vkMapMemory)                                                                                                       \
  F(vkCreateBuffer)                                                                                                    \
  F(vkDestroyBuffer)                                                                                                   \
  F(vkGetBufferMemoryRequirements)                                                                                     \
  F(vkBindBufferMemory)                                                                                                \
  F(vkCreateCommandPool)                                                                                               \
  F(vkDestroyCommandPool)                                                                                              \
  F(vkAllocateCommandBuffers)                                                                                          \
  F(vkBeginCommandBuffer)                                                                                              \
  F(vkEndCommandBuffer)                                                                                                \
  F(vkResetCommandBuffer)                                                                                              \
  F(vkCmdCopyBuffer)                                                                                                   \
  F(vkCmdPipelineBarrier)                                                                                              \
  F(vkCmdBindPipeline)                                                                                                 \
  F(vkCmdBindDescriptorSets)                                                                                           \
  F(vkCmdPushConstants)                                                                                                \
  F(vkCmdDispatch)                                                                                                     \
  F(vkCmdResetQueryPool)                                                                                               \
  F(vkCmdWriteTimestamp)                                                                                               \
  F(vkCreateQueryPool)                                                                                                 \
  F(vkDestroyQueryPool)                                                                                                \
  F(vkGetQueryPoolResults)                                                                                             \
  F(vkCreateShaderModule)                                                                                              \
  F(vkDestroyShaderModule)                                                                                             \
  F(vkCreateDescriptorSetLayout)                                                                                       \
  F(vkDestroyDescriptorSetLayout)                                                                                      \
  F(vkCreatePipelineLayout)                                                                                            \
  F(vkDestroyPipelineLayout)                                                                                           \
  F(vkCreateComputePipelines)                                                                                          \
  F(vkDestroyPipeline)                                                                                                 \
  F(vkCreatePipelineCache)                                                                                             \
  F(vkDestroyPipelineCache)                                                                                            \
  F(vkGetPipelineCacheData)                                                                                            \
  F(vkCreateDescriptorPool)                                                                                            \
  F(vkDestroyDescriptorPool)                                                                                           \
  F(vkAllocateDescriptorSets)                                                                                          \
  F(vkUpdateDescriptorSets)

namespace kiln::vulkan {

#define KILN_VK_MEMBER(name) PFN_##name name = nullptr;
struct GlobalFunctions {
  PFN_vkGetInstanceProcAddr vkGetInstanceProcAddr = nullptr;
  KILN_VK_GLOBAL_FUNCTIONS(KILN_VK_MEMBER)
  /// Whether all are there.
  bool find();
};
struct InstanceFunctions {
  KILN_VK_INSTANCE_FUNCTIONS(KILN_VK_MEMBER)
  bool find(PFN_vkGetInstanceProcAddr get, VkInstance instance);
};
struct DeviceFunctions {
  KILN_VK_DEVICE_FUNCTIONS(KILN_VK_MEMBER)
  bool find(PFN_vkGetDeviceProcAddr get, VkDevice device);
};
#undef KILN_VK_MEMBER

} // namespace kiln::vulkan
