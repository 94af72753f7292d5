// Products by shaders written by hand, as a yardstick for those that Kiln writes: a line of JSON for each on standard
// output.
//
// gpu_loops FOLDER SECONDS LAYOUTS SIDE...: FOLDER holds registers.comp and matrices.comp. Each result is compared with
// sums made here, at places spread over it. gpu_loops shapes: of the device's cooperative matrices, by the type of
// their factors.
#include "backends/vulkan/artifact.h"
#include "backends/vulkan/compile/Glsl.h"
#include "backends/vulkan/run/Device.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

namespace {

using namespace kiln::vulkan;

struct Product {
  bool matrices = false, half = false, leftTurned = false, rightTurned = false;
  int side = 0;

  const char *layout() const { return leftTurned ? (rightTurned ? "tt" : "tn") : (rightTurned ? "nt" : "nn"); }
  uint64_t bytes(bool result) const {
    return static_cast<uint64_t>(side) * static_cast<uint64_t>(side) * (half && !(result && matrices) ? 2 : 4);
  }
};

/// What stands at (row, column) of an operand: small whole numbers, exact in f16.
int element(int operand, int row, int column) {
  return static_cast<int>((static_cast<uint32_t>(row) * 7 + static_cast<uint32_t>(column) * (operand ? 3 : 11) +
                           static_cast<uint32_t>(row ^ column) % 13) %
                          5) -
         2;
}

[[noreturn]] void stop(const std::string &why) {
  std::fprintf(stderr, "gpu_loops: %s\n", why.c_str());
  std::exit(1);
}

void check(Failure failure) {
  if (failure)
    stop(failure.message());
}

class Bench {
public:
  Bench(Device &device, std::string folder, double seconds)
      : device(device), folder(std::move(folder)), seconds(seconds) {
    check(device.commands(device.physical.computeFamily, 0, "making commands", pool, {&commands, 1}));
    VkQueryPoolCreateInfo info = {};
    info.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO;
    info.queryType = VK_QUERY_TYPE_TIMESTAMP;
    info.queryCount = 2;
    must(device.vk.vkCreateQueryPool(device.handle, &info, nullptr, &queries), "making a query pool");
  }
  ~Bench() {
    device.vk.vkDestroyQueryPool(device.handle, queries, nullptr);
    device.vk.vkDestroyCommandPool(device.handle, pool, nullptr);
  }
  Bench(const Bench &) = delete;

  void run(const Product &product) {
    RawBuffer buffers[3];
    for (int i = 0; i < 3; ++i)
      check(device.create(product.bytes(i == 2), Home::device, "a matrix", buffers[i]));
    for (int i = 0; i < 2; ++i)
      fill(product, i, buffers[i]);
    VkPipeline pipeline = makePipeline(product);
    record(product, buffers, pipeline);
    time();
    std::string wrong = compare(product, buffers[2]);
    std::sort(wall.begin(), wall.end());
    std::sort(onDevice.begin(), onDevice.end());
    double flops = 2.0 * std::pow(product.side, 3), median = wall[wall.size() / 2],
           device_s = onDevice.empty() ? 0 : onDevice[onDevice.size() / 2];
    std::printf(
        "{\"what\": \"product %s %s %d\", \"peer\": \"loop by hand, %s\", \"value\": %.6g, \"unit\": \"GFLOP/s\", "
        "\"seconds\": %.6g, \"device_seconds\": %.6g, \"wrong\": \"%s\"}\n",
        product.half ? "f16" : "f32", product.layout(), product.side,
        product.matrices ? "cooperative matrices" : "registers", flops / median / 1e9, median, device_s, wrong.c_str());
    std::fflush(stdout);
    device.vk.vkDestroyDescriptorPool(device.handle, sets, nullptr);
    device.vk.vkDestroyPipeline(device.handle, pipeline, nullptr);
    for (RawBuffer &buffer : buffers)
      device.destroy(buffer);
  }

private:
  Device &device;
  std::string folder;
  double seconds;
  VkCommandPool pool = VK_NULL_HANDLE;
  VkCommandBuffer commands = VK_NULL_HANDLE;
  VkQueryPool queries = VK_NULL_HANDLE;
  VkDescriptorPool sets = VK_NULL_HANDLE;
  PipelineCache::Layout layout;
  std::vector<double> wall, onDevice; // seconds of each run

  void must(VkResult result, const char *doing) {
    if (result != VK_SUCCESS)
      check(device.failure(result, doing));
  }

  void fill(const Product &product, int operand, RawBuffer &buffer) {
    RawBuffer staged;
    check(device.create(product.bytes(false), Home::upload, "an upload", staged));
    static const uint16_t halves[5] = {0xc000, 0xbc00, 0, 0x3c00, 0x4000};
    bool turned = operand ? product.rightTurned : product.leftTurned;
    for (int r = 0; r < product.side; ++r)
      for (int c = 0; c < product.side; ++c) {
        int value = turned ? element(operand, c, r) : element(operand, r, c);
        size_t at = static_cast<size_t>(r) * static_cast<size_t>(product.side) + static_cast<size_t>(c);
        if (product.half)
          reinterpret_cast<uint16_t *>(staged.memory.mapped)[at] = halves[value + 2];
        else
          reinterpret_cast<float *>(staged.memory.mapped)[at] = static_cast<float>(value);
      }
    check(device.copyNow(staged.handle, buffer.handle, {0, 0, product.bytes(false)}));
    device.destroy(staged);
  }

  VkPipeline makePipeline(const Product &product) {
    std::string path = folder + (product.matrices ? "/matrices.comp" : "/registers.comp");
    std::ifstream file(path);
    std::stringstream text;
    text << "#version 460\n#define HALF " << product.half << "\n#define LEFT_TURNED " << product.leftTurned
         << "\n#define RIGHT_TURNED " << product.rightTurned << "\n"
         << file.rdbuf();
    std::vector<uint32_t> words;
    std::string error;
    if (!file || !compileGlsl(text.str(), /*fast=*/true, words, error))
      stop(path + ": " + (file ? error : "cannot be read"));
    check(device.pipelines->layout(3, {}, layout));

    VkShaderModuleCreateInfo module = {};
    module.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO;
    module.codeSize = words.size() * 4;
    module.pCode = words.data();
    VkShaderModule shader = VK_NULL_HANDLE;
    must(device.vk.vkCreateShaderModule(device.handle, &module, nullptr, &shader), "reading a shader");
    const PhysicalDevice &physical = device.physical;
    uint32_t values[5] = {static_cast<uint32_t>(product.side), physical.subgroupSize, physical.matrix[0],
                          physical.matrix[1], physical.matrix[2]};
    VkSpecializationMapEntry entries[5];
    for (uint32_t i = 0; i < 5; ++i)
      entries[i] = {i, i * 4, 4};
    VkSpecializationInfo specialization = {product.matrices ? 5u : 1u, entries, sizeof values, values};
    VkComputePipelineCreateInfo info = {};
    info.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO;
    info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
    info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
    info.stage.module = shader;
    info.stage.pName = "main";
    info.stage.pSpecializationInfo = &specialization;
    info.layout = layout.pipeline;
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo size = {};
    size.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO;
    size.requiredSubgroupSize = physical.subgroupSize;
    if (product.matrices) {
      info.stage.pNext = &size;
      info.stage.flags = VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT;
    }
    VkPipeline pipeline = VK_NULL_HANDLE;
    must(device.vk.vkCreateComputePipelines(device.handle, VK_NULL_HANDLE, 1, &info, nullptr, &pipeline),
         "making a pipeline");
    device.vk.vkDestroyShaderModule(device.handle, shader, nullptr);
    return pipeline;
  }

  VkDescriptorSet bind(const RawBuffer (&buffers)[3]) {
    VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 3};
    VkDescriptorPoolCreateInfo info = {};
    info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO;
    info.maxSets = 1;
    info.poolSizeCount = 1;
    info.pPoolSizes = &size;
    must(device.vk.vkCreateDescriptorPool(device.handle, &info, nullptr, &sets), "making a pool");
    VkDescriptorSetAllocateInfo allocate = {};
    allocate.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO;
    allocate.descriptorPool = sets;
    allocate.descriptorSetCount = 1;
    allocate.pSetLayouts = &layout.set;
    VkDescriptorSet set = VK_NULL_HANDLE;
    must(device.vk.vkAllocateDescriptorSets(device.handle, &allocate, &set), "binding");
    VkDescriptorBufferInfo places[3];
    VkWriteDescriptorSet writes[3] = {};
    for (uint32_t i = 0; i < 3; ++i) {
      places[i] = {buffers[i].handle, 0, VK_WHOLE_SIZE};
      writes[i].sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET;
      writes[i].dstSet = set;
      writes[i].dstBinding = i;
      writes[i].descriptorCount = 1;
      writes[i].descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
      writes[i].pBufferInfo = &places[i];
    }
    device.vk.vkUpdateDescriptorSets(device.handle, 3, writes, 0, nullptr);
    return set;
  }

  void record(const Product &product, const RawBuffer (&buffers)[3], VkPipeline pipeline) {
    VkDescriptorSet set = bind(buffers);
    VkCommandBufferBeginInfo begin = {};
    begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    must(device.vk.vkBeginCommandBuffer(commands, &begin), "recording");
    device.vk.vkCmdResetQueryPool(commands, queries, 0, 2);
    device.vk.vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
    device.vk.vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, layout.pipeline, 0, 1, &set, 0,
                                      nullptr);
    device.vk.vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT, queries, 0);
    uint32_t tiles = (static_cast<uint32_t>(product.side) + 127) / 128;
    device.vk.vkCmdDispatch(commands, tiles, tiles, 1);
    device.vk.vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, queries, 1);
    must(device.vk.vkEndCommandBuffer(commands), "recording");
  }

  /// One submission and one wait a run, as a program's call has them.
  void time() {
    wall.clear();
    onDevice.clear();
    using Clock = std::chrono::steady_clock;
    auto since = [](Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); };
    Clock::time_point begin = Clock::now();
    for (int run = 0; run < 4 || since(begin) < seconds; ++run) {
      Clock::time_point start = Clock::now();
      check(device.submit(commands));
      check(device.await(device.line, device.line.given));
      double took = since(start);
      uint64_t stamps[2] = {};
      VkResult result = device.physical.timestampBits
                            ? device.vk.vkGetQueryPoolResults(device.handle, queries, 0, 2, sizeof stamps, stamps, 8,
                                                              VK_QUERY_RESULT_64_BIT)
                            : VK_NOT_READY;
      if (run == 0) // the driver's own work at the first run
        continue;
      wall.push_back(took);
      if (result == VK_SUCCESS && stamps[1] > stamps[0])
        onDevice.push_back(static_cast<double>(stamps[1] - stamps[0]) *
                           static_cast<double>(device.physical.limits.timestampPeriod) * 1e-9);
    }
  }

  /// Empty, or what is wrong with the result.
  std::string compare(const Product &product, const RawBuffer &result) {
    RawBuffer staged;
    check(device.create(product.bytes(true), Home::readback, "a result", staged));
    check(device.copyNow(result.handle, staged.handle, {0, 0, product.bytes(true)}));
    std::string wrong;
    for (int probe = 0; probe < 64 && wrong.empty(); ++probe) {
      int r = probe * 37 % product.side, c = probe * 101 % product.side;
      double want = 0, have = 0;
      for (int k = 0; k < product.side; ++k)
        want += element(0, r, k) * element(1, k, c);
      size_t at = static_cast<size_t>(r) * static_cast<size_t>(product.side) + static_cast<size_t>(c);
      if (product.half && !product.matrices) {
        uint16_t bits = reinterpret_cast<const uint16_t *>(staged.memory.mapped)[at];
        int exponent = bits >> 10 & 31;
        have = std::ldexp(exponent ? (bits & 1023) | 1024 : bits & 1023, (exponent ? exponent : 1) - 25) *
               (bits >> 15 ? -1 : 1);
      } else {
        have = static_cast<double>(reinterpret_cast<const float *>(staged.memory.mapped)[at]);
      }
      if (!(std::abs(have - want) <= 1e-3 * std::abs(want)))
        wrong = "[" + std::to_string(r) + ", " + std::to_string(c) + "] is " + std::to_string(have) + ", expected " +
                std::to_string(want);
    }
    device.destroy(staged);
    return wrong;
  }
};

} // namespace

/// Which matrices there are decides on variants: no figure is understood without.
static void tellShapes(const PhysicalDevice &device) {
  const struct {
    const char *factors;
    uint32_t feature;
    const uint32_t (&sides)[3];
  } table[] = {{"f16", KILN_VK_COOPERATIVE_MATRIX, device.matrix},
               {"bf16", KILN_VK_MATRIX_BF16, device.matrixBf16},
               {"i8", KILN_VK_MATRIX_I8, device.matrixI8}};
  for (const auto &row : table)
    if (device.features & KILN_VK_COOPERATIVE_MATRIX && device.features & row.feature)
      std::printf("{\"what\": \"cooperative matrices of %s\", \"peer\": \"the device\", \"value\": %u, \"unit\": "
                  "\"multiply-adds\", \"rows\": %u, \"columns\": %u, \"depth\": %u}\n",
                  row.factors, row.sides[0] * row.sides[1] * row.sides[2], row.sides[0], row.sides[1], row.sides[2]);
    else
      std::printf("{\"what\": \"cooperative matrices of %s\", \"left out\": \"the device has none\"}\n", row.factors);
}

int main(int count, char **arguments) {
  bool shapes = count == 2 && std::string(arguments[1]) == "shapes";
  if (count < 5 && !shapes)
    stop("usage: gpu_loops FOLDER SECONDS LAYOUTS SIDE...");
  kiln_host host = {};
  host.size = sizeof host;
  host.worker_count = 1;
  Instance &instance = theInstance(&host);
  if (instance.devices.empty() || !instance.devices[0].reason.empty())
    stop(instance.devices.empty() ? instance.reason : instance.devices[0].reason);
  if (shapes)
    return tellShapes(instance.devices[0]), 0;
  const std::string layouts = arguments[3];
  Device device(&host, instance, instance.devices[0]);
  check(device.open());
  uint32_t features = device.physical.features;
  if (!(features & KILN_VK_COOPERATIVE_MATRIX))
    std::fprintf(stderr, "gpu_loops: %s has no cooperative matrices: that loop is left out\n",
                 device.physical.name.c_str());
  Bench bench(device, arguments[1], std::atof(arguments[2]));
  for (int i = 4; i < count; ++i)
    for (int turned = 0; turned < 4; ++turned)
      for (Product product : {Product{false, false}, Product{false, true}, Product{true, true}}) {
        product.side = std::atoi(arguments[i]);
        product.leftTurned = (turned & 2) != 0;
        product.rightTurned = (turned & 1) != 0;
        bool can = product.matrices ? (features & KILN_VK_COOPERATIVE_MATRIX) != 0 && product.side % 128 == 0
                                    : !product.half || (features & KILN_VK_F16) != 0;
        if (can && product.side % 16 == 0 && product.side > 0 && layouts.find(product.layout()) != std::string::npos)
          bench.run(product);
      }
}
