// The kernels of compile/SelfTestCases.cpp, launched one by one.

#include "backends/vulkan/run/SelfTest.h"

#include "backends/api/kiln_text.h"
#include "backends/vulkan/SelfTestNumbers.h"
#include "backends/vulkan/run/Device.h"
#include "backends/vulkan/run/Testing.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <unistd.h>
#include <utility>

namespace kiln::vulkan {

namespace {
struct Case {
  uint32_t kernel;
  uint32_t feature;    // that it tries; 0: kinds of variants
  uint32_t expected;   // where its output's begins
  bool isWhole;        // which is kept in 16 bits an element; else its bytes
  int32_t operands[4]; // dtypes; the output's is the last
};
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
  const Artifact &its() const { return artifact; }
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
  return device.commands(device.physical.computeFamily, VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT, "trying it",
                         pool, {&commands, 1});
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
    std::copy_n(operands[i].data(), std::min<uint64_t>(operands[i].size(), places[i].bytes),
                static_cast<uint8_t *>(memory.memory.mapped) + places[i].offset);
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

Failure findLimit(Trial &trial, Findings &findings) {
  constexpr int64_t many = 1 << 22;
  int64_t passes = 0;
  if (Failure failure = countPasses(trial, loop, many, passes))
    return failure;
  findings.loopsTried = true;
  findings.loopPasses = passes == many ? 0 : static_cast<uint64_t>(passes);
  if (passes == many)
    return {};
  int64_t asked = std::min(8 * passes, many);
  if (Failure failure = countPasses(trial, strips, asked, passes))
    return failure;
  findings.strips = passes == asked;
  return {};
}

//===-- Kinds ----------------------------------------------------------------------------------------------------===//

float floatAt(kiln_dtype dtype, const uint8_t *at) {
  uint32_t bits = at[0] | static_cast<uint32_t>(at[1]) << 8;
  if (dtype == KILN_F32)
    std::memcpy(&bits, at, 4);
  else if (dtype == KILN_BF16)
    bits <<= 16;
  else // f16: none that are not normal; their place is taken by others of about 0
    bits = (bits & 0x8000) << 16 | ((bits & 0x7fff) + (112 << 10)) << 13;
  return std::bit_cast<float>(bits);
}

/// Whole numbers to the bit, floats within what exp, sums and rounding may be off.
bool isRight(kiln_dtype dtype, const uint8_t *got, const uint8_t *expected, size_t bytes) {
  float tolerance = dtype == KILN_F32 ? 1e-4f : dtype == KILN_F16 ? 1e-3f : dtype == KILN_BF16 ? 8e-3f : 0;
  if (tolerance == 0)
    return std::memcmp(got, expected, bytes) == 0;
  for (size_t at = 0; at < bytes; at += dtype == KILN_F32 ? 4 : 2) {
    float x = floatAt(dtype, got + at), y = floatAt(dtype, expected + at);
    if (!(std::abs(x - y) <= tolerance * std::max(1.0f, std::abs(y))))
      return false;
  }
  return true;
}

Failure runCase(Trial &trial, const Case &each, uint32_t variant, bool &right) {
  const kiln_vk_kernel &kernel = trial.its().kernels()[each.kernel];
  auto places = trial.its().operands(kernel);
  auto dtypeOf = [&](size_t operand) { return static_cast<kiln_dtype>(each.operands[operand]); };
  std::vector<std::vector<uint8_t>> operands(places.size());
  for (uint32_t i = 0; i < places.size(); ++i) {
    int64_t bytes = 0;
    (void)evaluate(trial.its().steps(places[i].bytes), {}, bytes);
    operands[i].resize(static_cast<size_t>(bytes));
    for (size_t n = 0; n * places[i].element_bytes < operands[i].size() && i + 1 < places.size(); ++n)
      storeNumber(trialNumber(i, n, dtypeOf(i)), dtypeOf(i), &operands[i][n * places[i].element_bytes]);
  }
  if (Failure failure = trial.launch(each.kernel, variant, {}, operands))
    return failure;
  kiln_dtype dtype = dtypeOf(places.size() - 1);
  std::vector<uint8_t> &got = operands.back(), expected(got.size());
  uint32_t size = places.back().element_bytes;
  const uint8_t *from = expectedBytes + each.expected;
  for (size_t i = 0; each.isWhole && i * size < expected.size(); ++i) {
    int16_t whole = 0;
    std::memcpy(&whole, from + i * sizeof whole, sizeof whole);
    storeNumber(whole, dtype, &expected[i * size]);
  }
  if (!each.isWhole)
    std::copy_n(from, expected.size(), expected.begin());
  right = isRight(dtype, got.data(), expected.data(), got.size());
  return {};
}

bool fits(std::span<const kiln_vk_dispatch> dispatches, const VkPhysicalDeviceLimits &limits) {
  return std::all_of(dispatches.begin(), dispatches.end(), [&](const kiln_vk_dispatch &each) {
    return each.shared_bytes <= limits.maxComputeSharedMemorySize &&
           each.local[0] * each.local[1] * each.local[2] <= limits.maxComputeWorkGroupInvocations;
  });
}

/// Every case of the kind, or of the feature, that the device can run.
Failure tryOne(Trial &trial, const PhysicalDevice &physical, uint32_t kind, uint32_t feature, bool &right) {
  right = true;
  for (const Case &each : cases) {
    if (each.feature != feature)
      continue;
    const kiln_vk_kernel &kernel = trial.its().kernels()[each.kernel];
    for (uint32_t i = 0; i < kernel.variant_count && right; ++i) {
      const kiln_vk_variant &variant = trial.its().variants()[kernel.first_variant + i];
      if ((feature == 0 && variant.kind != kind) ||
          (variant.features & ~physical.features & ~static_cast<uint32_t>(KILN_VK_ON_CPU)) ||
          (variant.subgroup_most && physical.subgroupSize > variant.subgroup_most) ||
          !fits(trial.its().dispatches(variant), physical.limits))
        continue;
      if (Failure failure = runCase(trial, each, i, right))
        return failure;
    }
  }
  return {};
}

//===-- Kept -----------------------------------------------------------------------------------------------------===//

/// What was found holds for this driver, these kernels, and what is expected of them.
std::string headOf(const Device &device) {
  kiln_vk_artifact artifact;
  std::memcpy(&artifact, artifactBytes, sizeof artifact);
  uint64_t expected = kiln_vk_checksum(expectedBytes, sizeof expectedBytes);
  return format("kiln-vulkan-self-test 2 %016llx %s, %s\n",
                static_cast<unsigned long long>(artifact.checksum ^ expected), device.physical.name.c_str(),
                device.physical.driver.c_str());
}

bool readFindings(const std::string &file, const std::string &head, Findings &findings) {
  FILE *stream = file.empty() ? nullptr : std::fopen(file.c_str(), "r");
  if (!stream)
    return false;
  std::string itsHead(head.size(), ' ');
  char end[4] = {};
  unsigned long long passes = 0;
  int tried = 0, helps = 0;
  Findings read;
  bool good =
      std::fread(itsHead.data(), head.size(), 1, stream) == 1 && itsHead == head &&
      std::fscanf(stream, " loops-tried %d loop-passes %llu strips %d kinds %x wrong %x features %x wrong %x %3s",
                  &tried, &passes, &helps, &read.kinds, &read.wrongKinds, &read.features, &read.wrongFeatures,
                  end) == 8 &&
      std::strcmp(end, "end") == 0;
  std::fclose(stream);
  read.loopsTried = tried != 0, read.loopPasses = passes, read.strips = helps != 0;
  if (good)
    findings = read;
  return good;
}

/// Into a file beside it that then takes its name. What goes wrong is not an error: the next start tries again.
void writeFindings(const std::string &file, const std::string &head, const Findings &findings) {
  if (file.empty())
    return;
  std::string fresh = file + "." + std::to_string(getpid());
  FILE *stream = std::fopen(fresh.c_str(), "w");
  if (!stream)
    return;
  bool good = std::fprintf(stream,
                           "%sloops-tried %d\nloop-passes %llu\nstrips %d\nkinds %x wrong %x\n"
                           "features %x wrong %x\nend\n",
                           head.c_str(), findings.loopsTried ? 1 : 0,
                           static_cast<unsigned long long>(findings.loopPasses), findings.strips ? 1 : 0,
                           findings.kinds, findings.wrongKinds, findings.features, findings.wrongFeatures) > 0;
  good = std::fclose(stream) == 0 && good;
  if (!good || std::rename(fresh.c_str(), file.c_str()) != 0)
    std::remove(fresh.c_str());
}

} // namespace

void SelfTest::read() {
  if (std::exchange(isRead, true))
    return;
  file = device.pipelines->fileOf("self-test");
  std::string_view wish = settingOf(*device.host, "self-test");
  skips = wish == "skip";
  if (wish != "again")
    (void)readFindings(file, headOf(device), known);
  if (skips)
    known.wrongKinds = known.wrongFeatures = 0;
}

Failure SelfTest::tryLoops() {
  read();
  if (known.loopsTried)
    return {};
  Trial trial(device);
  if (Failure failure = trial.open())
    return failure;
  if (Failure failure = findLimit(trial, known))
    return failure;
  if (!skips)
    writeFindings(file, headOf(device), known);
  return {};
}

Failure SelfTest::tryOut(uint32_t kinds, uint32_t features) {
  read();
  kinds &= ~known.kinds & ~(1u << KILN_VK_KIND_NONE);
  features &= triedFeatures & device.physical.features & ~known.features;
  if (skips || !(kinds | features))
    return {};
  Trial trial(device);
  if (Failure failure = trial.open())
    return failure;
  auto attempt = [&](uint32_t kind, uint32_t feature, uint32_t bit, uint32_t &tried, uint32_t &wrong) -> Failure {
    bool right = true;
    if (Failure failure = tryOne(trial, device.physical, kind, feature, right))
      return failure;
    right = right && !(feature == 0 && hooks().wrongKinds & bit);
    tried |= bit;
    wrong |= right ? 0 : bit;
    return {};
  };
  for (uint32_t bit = 1; bit; bit <<= 1) {
    if (kinds & bit)
      if (Failure failure =
              attempt(static_cast<uint32_t>(std::countr_zero(bit)), 0, bit, known.kinds, known.wrongKinds))
        return failure;
    if (features & bit)
      if (Failure failure = attempt(0, bit, bit, known.features, known.wrongFeatures))
        return failure;
  }
  writeFindings(file, headOf(device), known);
  return {};
}

std::string SelfTest::wrongIn(const kiln_vk_variant &variant) {
  uint32_t bit = 1u << variant.kind;
  if (known.wrongKinds & bit) {
    const kiln_host *host = device.host;
    if (!(std::exchange(told, told | bit) & bit) && KILN_HAS(host, kiln_host, log) && host->log) {
      std::string message =
          format("%s computes %s wrongly with its driver (%s): they run in another way, if there is one",
                 device.physical.name.c_str(), kiln_vk_kind_name(variant.kind), device.physical.driver.c_str());
      host->log(host->self, 0, {message.data(), message.size()});
    }
    return kiln_vk_kind_name(variant.kind);
  }
  return featureNames(variant.features & known.wrongFeatures);
}

} // namespace kiln::vulkan
