// Shaders made ready for a device.
#pragma once

#include "backends/vulkan/run/Artifact.h"
#include "backends/vulkan/run/Failure.h"
#include "backends/vulkan/run/Functions.h"
#include <array>
#include <compare>
#include <map>
#include <string>
#include <vector>

namespace kiln::vulkan {

struct Device;

/// How a dispatch of the artifact is made: for batches of so many launches (KILN_VK_BATCHES), or one.
struct PipelineShape {
  uint32_t dispatch = 0;
  uint32_t launches = 1; ///< at most
  uint32_t common = 0;   ///< bit i: binding i is one buffer for all of them

  uint32_t buffers(uint32_t binding) const { return common >> binding & 1 ? 1 : launches; }
  auto operator<=>(const PipelineShape &) const = default;
};

/// What all pipelines of a device share: the driver's cache, kept in the host's cache folder from one start to the
/// next, and the layouts.
class PipelineCache {
public:
  explicit PipelineCache(Device &device) : device(device) {}
  PipelineCache(const PipelineCache &) = delete;
  ~PipelineCache();

  Failure open();
  /// Of a file of that kind in the host's cache folder, for this device and this driver; empty: there is no folder.
  std::string fileOf(const char *kind) const;
  VkPipelineCache handle() const { return cache; }
  /// Writes it to its file where it has grown: into a file beside it that then takes its name, so that a reader sees
  /// the one or the other. What goes wrong is not an error: the next start takes longer.
  void save();

  struct Layout {
    VkDescriptorSetLayout set = VK_NULL_HANDLE;
    VkPipelineLayout pipeline = VK_NULL_HANDLE;
  };
  /// For so many bindings of storage buffers in set 0, as many buffers each as the shape says, and 128 bytes of push
  /// constants.
  Failure layout(uint32_t bindings, const PipelineShape &shape, Layout &layout);

private:
  Device &device;
  VkPipelineCache cache = VK_NULL_HANDLE;
  std::string file; // empty: nowhere
  size_t savedBytes = 0;
  std::map<std::array<uint32_t, 3>, Layout> layouts; // by the number of bindings, launches, common
};

/// The pipelines of an executable, made when an entry that needs them is first recorded.
class Pipelines {
public:
  Pipelines(Device &device, const Artifact &artifact) : device(device), artifact(artifact) {}
  Pipelines(const Pipelines &) = delete;
  ~Pipelines();

  /// Makes those of these that are not there yet, on the host's threads.
  Failure need(const std::vector<PipelineShape> &shapes);
  VkPipeline operator[](const PipelineShape &shape) const { return byShape.at(shape); }

private:
  Device &device;
  const Artifact &artifact;
  std::map<PipelineShape, VkPipeline> byShape;
  std::map<std::vector<uint32_t>, VkPipeline> made; // by shader, bindings and specialization: kernels share them

  std::vector<uint32_t> key(const PipelineShape &shape) const;
  VkResult make(const PipelineShape &shape, const PipelineCache::Layout &layout, VkPipeline &pipeline) const;
};

} // namespace kiln::vulkan
