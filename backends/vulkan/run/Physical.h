// What a device can do.
#pragma once

#include "backends/vulkan/run/CooperativeMatrix.h"
#include "backends/vulkan/run/Instance.h"
#include <optional>

namespace kiln::vulkan {

/// Reads all of it; `reason` says what it lacks to be usable.
PhysicalDevice describe(const InstanceFunctions &vk, PFN_vkGetInstanceProcAddr get, VkInstance instance,
                        VkPhysicalDevice handle);

/// What of a heap nobody has taken, as the driver sees it now; null where it does not say.
std::optional<uint64_t> freeBytes(const InstanceFunctions &vk, const PhysicalDevice &device, uint32_t heap);

/// The features of Vulkan that stand for a mask of the artifact's, and those that the run side itself needs, in one
/// chain: for asking as for switching on.
struct FeatureChain {
  VkPhysicalDeviceFeatures2 core = {};
  VkPhysicalDeviceVulkan11Features v11 = {};
  VkPhysicalDeviceVulkan12Features v12 = {};
  VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrix = {};
  VkPhysicalDeviceSubgroupSizeControlFeatures subgroups = {};
  VkPhysicalDeviceShaderBfloat16FeaturesKHR brain = {};

  explicit FeatureChain(const PhysicalDevice &device);
  FeatureChain(const FeatureChain &) = delete;
  /// Of what was asked, the artifact's mask (what are properties, not features, left out).
  uint32_t mask() const;
  void setMask(uint32_t mask);
};

} // namespace kiln::vulkan
