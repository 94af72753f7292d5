// Pipelines made, kept by what went into them, and the driver's cache on disk.

#include "backends/vulkan/run/Pipelines.h"

#include "backends/vulkan/run/Device.h"

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <unistd.h>

namespace kiln::vulkan {

namespace {
/// In front of the driver's bytes, which some drivers take on trust.
struct CacheHead {
  char magic[8];
  uint64_t bytes;
  uint64_t hash;
};
constexpr char cacheMagic[8] = {'k', 'i', 'l', 'n', 'v', 'k', 'p', '1'};

uint64_t hashOf(const std::vector<uint8_t> &data) {
  uint64_t hash = 14695981039346656037ull; // FNV-1a
  for (uint8_t byte : data)
    hash = (hash ^ byte) * 1099511628211ull;
  return hash;
}

std::vector<uint8_t> readCache(const std::string &file) {
  std::vector<uint8_t> data;
  FILE *stream = file.empty() ? nullptr : std::fopen(file.c_str(), "rb");
  if (!stream)
    return data;
  CacheHead head;
  bool good = std::fread(&head, sizeof head, 1, stream) == 1 &&
              std::memcmp(head.magic, cacheMagic, sizeof cacheMagic) == 0 && head.bytes <= (1u << 30);
  if (good) {
    data.resize(head.bytes);
    good = std::fread(data.data(), 1, data.size(), stream) == data.size() && hashOf(data) == head.hash;
  }
  std::fclose(stream);
  if (!good)
    data.clear();
  return data;
}

void writeCache(const std::string &file, const std::vector<uint8_t> &data) {
  std::string fresh = file + "." + std::to_string(getpid());
  FILE *stream = std::fopen(fresh.c_str(), "wb");
  if (!stream)
    return;
  CacheHead head = {};
  std::memcpy(head.magic, cacheMagic, sizeof cacheMagic);
  head.bytes = data.size();
  head.hash = hashOf(data);
  bool good = std::fwrite(&head, sizeof head, 1, stream) == 1;
  good = good && std::fwrite(data.data(), 1, data.size(), stream) == data.size();
  good = std::fclose(stream) == 0 && good;
  if (!good || std::rename(fresh.c_str(), file.c_str()) != 0)
    std::remove(fresh.c_str());
}

std::string hex(const uint8_t *id) {
  std::string text;
  for (uint32_t i = 0; i < VK_UUID_SIZE; ++i)
    text += format("%02x", id[i]);
  return text;
}
} // namespace

//===-- The device's ---------------------------------------------------------------------------------------------===//

std::string PipelineCache::fileOf(const char *kind) const {
  if (!KILN_HAS(device.host, kiln_host, cache_folder.data) || !device.host->cache_folder.size)
    return "";
  std::string folder(device.host->cache_folder.data, device.host->cache_folder.size);
  std::error_code ignored; // what cannot be kept is made again
  std::filesystem::create_directories(folder, ignored);
  return folder + "/vulkan-" + hex(device.physical.deviceId) + "-" + hex(device.physical.driverId) + "." + kind;
}

Failure PipelineCache::open() {
  file = fileOf("pipelines");
  std::vector<uint8_t> data = readCache(file);
  VkPipelineCacheCreateInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO;
  info.initialDataSize = data.size();
  info.pInitialData = data.data();
  if (VkResult result = device.vk.vkCreatePipelineCache(device.handle, &info, nullptr, &cache))
    return device.failure(result, "opening it");
  savedBytes = data.size();
  return {};
}

PipelineCache::~PipelineCache() {
  for (auto &[key, layout] : layouts) {
    if (layout.pipeline)
      device.vk.vkDestroyPipelineLayout(device.handle, layout.pipeline, nullptr);
    if (layout.set)
      device.vk.vkDestroyDescriptorSetLayout(device.handle, layout.set, nullptr);
  }
  if (cache)
    device.vk.vkDestroyPipelineCache(device.handle, cache, nullptr);
}

void PipelineCache::save() {
  size_t bytes = 0;
  if (file.empty() || device.vk.vkGetPipelineCacheData(device.handle, cache, &bytes, nullptr) != VK_SUCCESS ||
      bytes <= savedBytes)
    return;
  std::vector<uint8_t> data(bytes);
  if (device.vk.vkGetPipelineCacheData(device.handle, cache, &bytes, data.data()) != VK_SUCCESS)
    return;
  data.resize(bytes);
  writeCache(file, data);
  savedBytes = bytes;
}

Failure PipelineCache::layout(uint32_t bindings, const PipelineShape &shape, Layout &layout) {
  Layout &kept = layouts[{bindings, shape.launches, shape.common}];
  if (!kept.set) {
    std::vector<VkDescriptorSetLayoutBinding> rows(bindings);
    for (uint32_t i = 0; i < bindings; ++i)
      rows[i] = {i, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, shape.buffers(i), VK_SHADER_STAGE_COMPUTE_BIT, nullptr};
    VkDescriptorSetLayoutCreateInfo set = {};
    set.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO;
    set.bindingCount = bindings;
    set.pBindings = rows.data();
    if (VkResult result = device.vk.vkCreateDescriptorSetLayout(device.handle, &set, nullptr, &kept.set))
      return device.failure(result, "making pipelines");
  }
  if (!kept.pipeline) {
    const VkPushConstantRange words = {VK_SHADER_STAGE_COMPUTE_BIT, 0, KILN_VK_MAX_PUSH_WORDS * 4};
    VkPipelineLayoutCreateInfo pipeline = {};
    pipeline.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO;
    pipeline.setLayoutCount = 1;
    pipeline.pSetLayouts = &kept.set;
    pipeline.pushConstantRangeCount = 1;
    pipeline.pPushConstantRanges = &words;
    if (VkResult result = device.vk.vkCreatePipelineLayout(device.handle, &pipeline, nullptr, &kept.pipeline))
      return device.failure(result, "making pipelines");
  }
  layout = kept;
  return {};
}

//===-- An executable's ------------------------------------------------------------------------------------------===//

Pipelines::~Pipelines() {
  for (auto &[key, pipeline] : made)
    if (pipeline)
      device.vk.vkDestroyPipeline(device.handle, pipeline, nullptr);
}

/// What a constant of a shader is on this device.
static uint32_t valueOf(const kiln_vk_specialization &constant, const Device &device) {
  switch (constant.kind) {
  case KILN_VK_SPECIALIZE_SUBGROUP_SIZE:
    return device.physical.subgroupSize;
  case KILN_VK_SPECIALIZE_MATRIX_ROWS:
  case KILN_VK_SPECIALIZE_MATRIX_COLUMNS:
  case KILN_VK_SPECIALIZE_MATRIX_DEPTH:
    return device.physical.matrix[constant.kind - KILN_VK_SPECIALIZE_MATRIX_ROWS];
  case KILN_VK_SPECIALIZE_BF16_ROWS:
  case KILN_VK_SPECIALIZE_BF16_ROWS + 1:
  case KILN_VK_SPECIALIZE_BF16_ROWS + 2:
    return device.physical.matrixBf16[constant.kind - KILN_VK_SPECIALIZE_BF16_ROWS];
  case KILN_VK_SPECIALIZE_I8_ROWS:
  case KILN_VK_SPECIALIZE_I8_ROWS + 1:
  case KILN_VK_SPECIALIZE_I8_ROWS + 2:
    return device.physical.matrixI8[constant.kind - KILN_VK_SPECIALIZE_I8_ROWS];
  case KILN_VK_SPECIALIZE_STRIP:
    return device.selfTest.findings().loopPasses && device.selfTest.findings().strips ? constant.value : 1;
  default:
    return constant.value;
  }
}

std::vector<uint32_t> Pipelines::key(const PipelineShape &shape) const {
  const kiln_vk_dispatch &dispatch = artifact.dispatches()[shape.dispatch];
  std::vector<uint32_t> key = {dispatch.shader, dispatch.binding_count, shape.launches, shape.common};
  for (const kiln_vk_specialization &each : artifact.specializations(dispatch))
    key.insert(key.end(), {each.id, valueOf(each, device)});
  return key;
}

/// On a thread of the host's.
VkResult Pipelines::make(const PipelineShape &shape, const PipelineCache::Layout &layout, VkPipeline &pipeline) const {
  const kiln_vk_dispatch &dispatch = artifact.dispatches()[shape.dispatch];
  const kiln_vk_shader &shader = artifact.shaders()[dispatch.shader];
  std::vector<uint32_t> words(shader.words);
  if (!kiln_vk_unpack(artifact.code(shader), shader.code_bytes, words.data(), shader.words) || words[0] != 0x07230203u)
    return VK_ERROR_INVALID_SHADER_NV;
  VkShaderModuleCreateInfo moduleInfo = {};
  moduleInfo.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO;
  moduleInfo.codeSize = words.size() * 4;
  moduleInfo.pCode = words.data();
  VkShaderModule module = VK_NULL_HANDLE;
  if (VkResult result = device.vk.vkCreateShaderModule(device.handle, &moduleInfo, nullptr, &module))
    return result;
  std::vector<uint32_t> values;
  std::vector<VkSpecializationMapEntry> entries;
  for (const kiln_vk_specialization &each : artifact.specializations(dispatch)) {
    entries.push_back({each.id, static_cast<uint32_t>(values.size() * 4), 4});
    values.push_back(valueOf(each, device));
  }
  for (uint32_t i = 0; shape.launches > 1 && i < dispatch.binding_count; ++i) {
    entries.push_back({KILN_VK_BUFFERS + i, static_cast<uint32_t>(values.size() * 4), 4});
    values.push_back(shape.buffers(i));
  }
  const VkSpecializationInfo specialization = {static_cast<uint32_t>(entries.size()), entries.data(), values.size() * 4,
                                               values.data()};
  VkComputePipelineCreateInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO;
  info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
  info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
  if (dispatch.flags & KILN_VK_FULL_SUBGROUPS)
    info.stage.flags = VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT;
  info.stage.module = module;
  info.stage.pName = "main";
  info.stage.pSpecializationInfo = entries.empty() ? nullptr : &specialization;
  info.layout = layout.pipeline;
  VkResult result =
      device.vk.vkCreateComputePipelines(device.handle, device.pipelines->handle(), 1, &info, nullptr, &pipeline);
  device.vk.vkDestroyShaderModule(device.handle, module, nullptr);
  return result;
}

Failure Pipelines::need(const std::vector<PipelineShape> &shapes) {
  struct Job {
    PipelineShape shape;
    PipelineCache::Layout layout;
    VkPipeline pipeline = VK_NULL_HANDLE;
    VkResult result = VK_SUCCESS;
    std::vector<uint32_t> key;
  };
  struct Work {
    const Pipelines &self;
    std::vector<Job> jobs;
  } work{*this, {}};
  for (const PipelineShape &shape : shapes) {
    if (byShape.contains(shape))
      continue;
    std::vector<uint32_t> itsKey = key(shape);
    auto [found, isNew] = made.try_emplace(itsKey, VkPipeline(VK_NULL_HANDLE));
    if (!isNew)
      continue;
    Job job{shape, {}, VK_NULL_HANDLE, VK_SUCCESS, std::move(itsKey)};
    if (Failure failure =
            device.pipelines->layout(artifact.dispatches()[shape.dispatch].binding_count, shape, job.layout))
      return made.erase(found), failure;
    work.jobs.push_back(std::move(job));
  }
  kiln_task task = [](void *context, int64_t begin, int64_t end, uint32_t) {
    auto &work = *static_cast<Work *>(context);
    for (int64_t i = begin; i < end; ++i) {
      Job &job = work.jobs[static_cast<size_t>(i)];
      job.result = work.self.make(job.shape, job.layout, job.pipeline);
    }
  };
  auto count = static_cast<int64_t>(work.jobs.size());
  if (count > 1 && device.host->worker_count > 1 && device.host->parallel_for)
    device.host->parallel_for(device.host->self, count, task, &work);
  else
    task(&work, 0, count, 0);
  Failure failure;
  for (Job &job : work.jobs) {
    if (job.result == VK_SUCCESS) {
      made[job.key] = job.pipeline;
      continue;
    }
    made.erase(job.key);
    if (!failure)
      failure = job.result == VK_ERROR_INVALID_SHADER_NV
                    ? Failure(KILN_ERROR_INVALID, format("the Vulkan artifact cannot be read: shader %u is no SPIR-V",
                                                         artifact.dispatches()[job.shape.dispatch].shader))
                    : device.failure(job.result, "compiling shaders");
  }
  if (failure)
    return failure;
  for (const PipelineShape &shape : shapes)
    byShape[shape] = made[key(shape)];
  if (count)
    device.pipelines->save();
  return {};
}

} // namespace kiln::vulkan
