// The kernels of compile/SelfTestCases.cpp, launched one by one.

#include "backends/vulkan/run/SelfTest.h"

#include "backends/vulkan/run/Device.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <unistd.h>

namespace kiln::vulkan {

namespace {
#include "SelfTestCases.inc"

enum Kernel : uint32_t { loop, strips };

constexpr uint64_t apart = 256; // a multiple of what any device demands
uint64_t rounded(uint64_t bytes) { return (bytes + apart - 1) / apart * apart; }

/// Launches of kernels of an artifact, by themselves: no program is there, and everything lies in one buffer.
class Trial {
public:
  explicit Trial(Device &device) : device(device), pipelines(device, artifact) {}
  ~Trial();

  Failure open();
  /// Runs a kernel in one of its variants. operands: what the inputs hold; afterwards what all hold.
  Failure launch(uint32_t kernel, uint32_t variant, const std::vector<int64_t> &extents,
                 std::vector<std::vector<uint8_t>> &operands);

private:
  struct Place {
    uint64_t offset, bytes;
  };
  Failure record(const kiln_vk_dispatch &dispatch, const std::vector<int64_t> &extents,
                 const std::vector<Place> &places);
  Place placeOf(const kiln_vk_binding &binding, const std::vector<int64_t> &extents,
                const std::vector<Place> &places) const;
  int64_t value(const kiln_vk_expression &expression, const std::vector<int64_t> &extents) const {
    int64_t result = 0;
    (void)evaluate(artifact.steps(expression), extents, result);
    return result;
  }
  void clear();

  Device &device;
  Artifact artifact;
  Pipelines pipelines;
  VkCommandPool pool = VK_NULL_HANDLE;
  VkDescriptorPool descriptors = VK_NULL_HANDLE;
  VkCommandBuffer commands = VK_NULL_HANDLE;
  RawBuffer memory;
};

Trial::~Trial() {
  clear();
  if (pool)
    device.vk.vkDestroyCommandPool(device.handle, pool, nullptr);
}

void Trial::clear() {
  if (descriptors)
    device.vk.vkDestroyDescriptorPool(device.handle, descriptors, nullptr);
  descriptors = VK_NULL_HANDLE;
  device.destroy(memory);
}

Failure Trial::open() {
  if (Failure failure = artifact.read(artifactBytes, sizeof artifactBytes))
    return failure;
  VkCommandPoolCreateInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
  info.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT;
  info.queueFamilyIndex = device.physical.computeFamily;
  if (VkResult result = device.vk.vkCreateCommandPool(device.handle, &info, nullptr, &pool))
    return device.failure(result, "trying it");
  VkCommandBufferAllocateInfo buffers = {};
  buffers.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
  buffers.commandPool = pool;
  buffers.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
  buffers.commandBufferCount = 1;
  if (VkResult result = device.vk.vkAllocateCommandBuffers(device.handle, &buffers, &commands))
    return device.failure(result, "trying it");
  return {};
}

/// Places: the operands', then scratch, then the status record.
Trial::Place Trial::placeOf(const kiln_vk_binding &binding, const std::vector<int64_t> &extents,
                            const std::vector<Place> &places) const {
  size_t operands = places.size() - 2;
  if (binding.kind == KILN_VK_BIND_OPERAND)
    return places[binding.number];
  if (binding.kind == KILN_VK_BIND_SCRATCH)
    return {places[operands].offset + binding.number, static_cast<uint64_t>(value(binding.bytes, extents))};
  return places[operands + 1];
}

Failure Trial::record(const kiln_vk_dispatch &dispatch, const std::vector<int64_t> &extents,
                      const std::vector<Place> &places) {
  const DeviceFunctions &vk = device.vk;
  PipelineShape shape;
  shape.dispatch = static_cast<uint32_t>(&dispatch - artifact.dispatches().data());
  if (Failure failure = pipelines.need({shape}))
    return failure;
  PipelineCache::Layout layout;
  if (Failure failure = device.pipelines->layout(dispatch.binding_count, shape, layout))
    return failure;
  VkDescriptorSetAllocateInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO;
  info.descriptorPool = descriptors;
  info.descriptorSetCount = 1;
  info.pSetLayouts = &layout.set;
  VkDescriptorSet set = VK_NULL_HANDLE;
  if (VkResult result = vk.vkAllocateDescriptorSets(device.handle, &info, &set))
    return device.failure(result, "trying it");
  std::vector<VkDescriptorBufferInfo> buffers(dispatch.binding_count);
  std::vector<VkWriteDescriptorSet> writes(dispatch.binding_count);
  for (uint32_t i = 0; i < dispatch.binding_count; ++i) {
    Place place = placeOf(artifact.bindings(dispatch)[i], extents, places);
    buffers[i] = {memory.handle, place.offset, place.bytes};
    writes[i].sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET;
    writes[i].dstSet = set;
    writes[i].dstBinding = i;
    writes[i].descriptorCount = 1;
    writes[i].descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
    writes[i].pBufferInfo = &buffers[i];
  }
  vk.vkUpdateDescriptorSets(device.handle, static_cast<uint32_t>(writes.size()), writes.data(), 0, nullptr);
  std::vector<int32_t> words;
  for (const kiln_vk_word &word : artifact.words(dispatch))
    words.push_back(word.kind == KILN_VK_WORD_BASE ? 0 : static_cast<int32_t>(value(word.value, extents)));
  vk.vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipelines[shape]);
  vk.vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, layout.pipeline, 0, 1, &set, 0, nullptr);
  if (!words.empty())
    vk.vkCmdPushConstants(commands, layout.pipeline, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                          static_cast<uint32_t>(words.size() * 4), words.data());
  uint32_t grid[3];
  for (int axis = 0; axis < 3; ++axis)
    grid[axis] = static_cast<uint32_t>(value(dispatch.grid[axis], extents));
  vk.vkCmdDispatch(commands, grid[0], grid[1], grid[2]);
  VkMemoryBarrier barrier = {};
  barrier.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
  barrier.srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT;
  barrier.dstAccessMask =
      VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_HOST_READ_BIT | VK_ACCESS_HOST_WRITE_BIT;
  vk.vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                          VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0, nullptr,
                          0, nullptr);
  return {};
}

Failure Trial::launch(uint32_t number, uint32_t variantNumber, const std::vector<int64_t> &extents,
                      std::vector<std::vector<uint8_t>> &operands) {
  clear();
  const kiln_vk_kernel &kernel = artifact.kernels()[number];
  const kiln_vk_variant &variant = artifact.variants()[kernel.first_variant + variantNumber];
  std::vector<Place> places;
  uint64_t end = 0;
  auto place = [&](uint64_t bytes) {
    places.push_back({end, bytes});
    end += rounded(bytes);
  };
  for (const kiln_vk_operand &operand : artifact.operands(kernel))
    place(static_cast<uint64_t>(value(operand.bytes, extents)));
  place(kernel.scratch_bytes);
  place(sizeof(kiln_vk_record));
  if (Failure failure = device.create(end, Home::readback, "what it is tried with", memory))
    return failure;
  std::memset(memory.memory.mapped, 0, end);
  operands.resize(kernel.operand_count);
  for (uint32_t i = 0; i < kernel.operand_count; ++i)
    std::memcpy(memory.memory.mapped + places[i].offset, operands[i].data(),
                std::min<uint64_t>(operands[i].size(), places[i].bytes));
  uint32_t sets = variant.dispatch_count, bindings = 0;
  for (const kiln_vk_dispatch &dispatch : artifact.dispatches(variant))
    bindings += dispatch.binding_count;
  const VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, std::max(bindings, 1u)};
  VkDescriptorPoolCreateInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO;
  info.maxSets = sets;
  info.poolSizeCount = 1;
  info.pPoolSizes = &size;
  if (VkResult result = device.vk.vkCreateDescriptorPool(device.handle, &info, nullptr, &descriptors))
    return device.failure(result, "trying it");
  VkCommandBufferBeginInfo begin = {};
  begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
  begin.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
  if (VkResult result = device.vk.vkBeginCommandBuffer(commands, &begin))
    return device.failure(result, "trying it");
  for (const kiln_vk_dispatch &dispatch : artifact.dispatches(variant))
    if (Failure failure = record(dispatch, extents, places))
      return failure;
  if (VkResult result = device.vk.vkEndCommandBuffer(commands))
    return device.failure(result, "trying it");
  if (Failure failure = device.submit(commands))
    return failure;
  if (Failure failure = device.await(device.line, device.line.given))
    return failure;
  for (uint32_t i = 0; i < kernel.operand_count; ++i)
    operands[i].assign(memory.memory.mapped + places[i].offset,
                       memory.memory.mapped + places[i].offset + places[i].bytes);
  return {};
}

//===-- Loops ----------------------------------------------------------------------------------------------------===//

/// How many numbers of the generator the kernel got through, of `asked`.
Failure countPasses(Trial &trial, Kernel kernel, int64_t asked, int64_t &passes) {
  std::vector<std::vector<uint8_t>> operands;
  if (Failure failure = trial.launch(kernel, 0, {asked}, operands))
    return failure;
  uint32_t left = 0, x = 1;
  std::memcpy(&left, operands[0].data(), sizeof left);
  for (passes = 0; passes < asked && x != left; ++passes)
    x = x * 1664525u + 1013904223u;
  // The generator's period is 2^32: no other number of passes below that gives the same.
  return {};
}

Failure tryLoops(Trial &trial, Findings &findings) {
  constexpr int64_t many = 1 << 22;
  int64_t passes = 0;
  if (Failure failure = countPasses(trial, loop, many, passes))
    return failure;
  findings = {};
  if (passes == many)
    return {};
  findings.loopPasses = static_cast<uint64_t>(passes);
  int64_t asked = std::min(8 * passes, many);
  if (Failure failure = countPasses(trial, strips, asked, passes))
    return failure;
  findings.strips = passes == asked;
  return {};
}

//===-- Kept -----------------------------------------------------------------------------------------------------===//

constexpr char fileHead[] = "kiln-vulkan-self-test 1";

bool readFindings(const std::string &file, Findings &findings) {
  FILE *stream = file.empty() ? nullptr : std::fopen(file.c_str(), "r");
  if (!stream)
    return false;
  char head[sizeof fileHead] = {}, end[4] = {};
  unsigned long long passes = 0;
  int strips = 0;
  bool good = std::fread(head, sizeof head - 1, 1, stream) == 1 && std::strcmp(head, fileHead) == 0 &&
              std::fscanf(stream, " loop-passes %llu strips %d %3s", &passes, &strips, end) == 3 &&
              std::strcmp(end, "end") == 0;
  std::fclose(stream);
  if (good)
    findings = {passes, strips != 0};
  return good;
}

/// Into a file beside it that then takes its name. What goes wrong is not an error: the next start tries again.
void writeFindings(const std::string &file, const Findings &findings) {
  if (file.empty())
    return;
  std::string fresh = file + "." + std::to_string(getpid());
  FILE *stream = std::fopen(fresh.c_str(), "w");
  if (!stream)
    return;
  bool good = std::fprintf(stream, "%s\nloop-passes %llu\nstrips %d\nend\n", fileHead,
                           static_cast<unsigned long long>(findings.loopPasses), findings.strips ? 1 : 0) > 0;
  good = std::fclose(stream) == 0 && good;
  if (!good || std::rename(fresh.c_str(), file.c_str()) != 0)
    std::remove(fresh.c_str());
}

} // namespace

Failure findOut(Device &device, Findings &findings) {
  std::string file = device.pipelines->fileOf("self-test");
  if (readFindings(file, findings))
    return {};
  Trial trial(device);
  if (Failure failure = trial.open())
    return failure;
  if (Failure failure = tryLoops(trial, findings))
    return failure;
  writeFindings(file, findings);
  return {};
}

} // namespace kiln::vulkan
