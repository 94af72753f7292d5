//===- Pipelines.h - shaders made ready for a device --------------------------------------------------------------===//
#ifndef KILN_BACKENDS_VULKAN_RUN_PIPELINES_H
#define KILN_BACKENDS_VULKAN_RUN_PIPELINES_H

#include "backends/vulkan/run/Artifact.h"
#include "backends/vulkan/run/Failure.h"
#include "backends/vulkan/run/Functions.h"
#include <map>
#include <string>
#include <vector>

namespace kiln::vulkan {

struct Device;

/// What all pipelines of a device share: the driver's cache, kept in the host's cache folder from one start to the
/// next, and the layouts.
class PipelineCache {
public:
  explicit PipelineCache(Device &device) : device(device) {}
  PipelineCache(const PipelineCache &) = delete;
  ~PipelineCache();

  Failure open();
  VkPipelineCache handle() const { return cache; }
  /// Writes it to its file where it has grown: into a file beside it that then takes its name, so that a reader sees
  /// the one or the other. What goes wrong is not an error: the next start takes longer.
  void save();

  struct Layout {
    VkDescriptorSetLayout set = VK_NULL_HANDLE;
    VkPipelineLayout pipeline = VK_NULL_HANDLE;
  };
  /// For so many storage buffers in set 0 and 128 bytes of push constants.
  Failure layout(uint32_t bindings, Layout &layout);

private:
  Device &device;
  VkPipelineCache cache = VK_NULL_HANDLE;
  std::string file; // empty: nowhere
  size_t savedBytes = 0;
  std::vector<Layout> layouts; // by the number of bindings
};

/// The pipelines of an executable, made when an entry that needs them is first recorded.
class Pipelines {
public:
  Pipelines(Device &device, const Artifact &artifact)
      : device(device), artifact(artifact), byDispatch(artifact.dispatches().size()) {}
  Pipelines(const Pipelines &) = delete;
  ~Pipelines();

  /// Makes those of these dispatches that are not there yet, on the host's threads.
  Failure need(const std::vector<uint32_t> &dispatches);
  VkPipeline operator[](uint32_t dispatch) const { return byDispatch[dispatch]; }

private:
  Device &device;
  const Artifact &artifact;
  std::vector<VkPipeline> byDispatch;
  std::map<std::vector<uint32_t>, VkPipeline> made; // by shader, bindings and specialization: kernels share them

  std::vector<uint32_t> key(uint32_t dispatch) const;
  VkResult make(uint32_t dispatch, const PipelineCache::Layout &layout, VkPipeline &pipeline) const;
};

} // namespace kiln::vulkan

#endif // KILN_BACKENDS_VULKAN_RUN_PIPELINES_H
