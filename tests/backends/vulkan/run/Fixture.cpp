#include "tests/backends/vulkan/run/Fixture.h"

#include "backends/vulkan/compile/Artifact.h"
#include "backends/vulkan/compile/Glsl.h"
#include "backends/vulkan/run/Testing.h"

#include <cstring>
#include <thread>

namespace kiln::test {

using namespace kiln::vulkan;

namespace {

std::string prelude(uint32_t places) {
  std::string text = "#version 460\nlayout(local_size_x = 64) in;\n";
  for (uint32_t i = 0; i < places; ++i)
    text += "layout(set = 0, binding = " + std::to_string(i) + ") buffer B" + std::to_string(i) + " { float v[]; } b" +
            std::to_string(i) + ";\n";
  return text;
}

Dispatch oneDispatch(uint32_t inputs, const std::string &glsl) {
  Dispatch dispatch;
  dispatch.glsl = glsl;
  for (uint32_t i = 0; i <= inputs; ++i) {
    dispatch.bindings.push_back(
        {KILN_VK_BIND_OPERAND, i, i < inputs ? KILN_VK_READS : KILN_VK_WRITES, KILN_VK_NONE, 0});
    dispatch.words.push_back({KILN_VK_WORD_BASE, i, 0});
  }
  dispatch.words.push_back({KILN_VK_WORD_EXPRESSION, 0, Number(kiln_extent{0, 0})});
  dispatch.local[0] = 64;
  dispatch.grid[0] = ceilDiv(Number(kiln_extent{0, 0}), 64);
  return dispatch;
}

void parallelFor(void *, int64_t count, kiln_task task, void *context) {
  std::thread other([&] { task(context, count / 2, count, 1); });
  task(context, 0, count / 2, 0);
  other.join();
}

void noteLog(void *self, int32_t, kiln_string message) {
  static_cast<std::string *>(self)->append(message.data, message.size).append("\n");
}

} // namespace

ShaderKernel elementwise(const std::string &name, uint32_t inputs, const std::string &body) {
  ShaderKernel kernel;
  kernel.name = name;
  kernel.inputs = inputs;
  std::string glsl = prelude(inputs + 1) + "layout(push_constant) uniform W { int w[" + std::to_string(inputs + 2) +
                     "]; } p;\nvoid main() {\n  int i = int(gl_GlobalInvocationID.x);\n  if (i >= p.w[" +
                     std::to_string(inputs + 1) + "]) return;\n" + body + "\n}\n";
  Variant variant;
  variant.dispatches.push_back(oneDispatch(inputs, glsl));
  kernel.plan.variants.push_back(variant);
  return kernel;
}

/// Reports every negative element, as element number and value.
static ShaderKernel checking() {
  ShaderKernel kernel = elementwise("check", 1, "");
  Dispatch &dispatch = kernel.plan.variants[0].dispatches[0];
  dispatch.glsl = prelude(2) + R"(
layout(set = 0, binding = 2) buffer S { uint claimed, kind, op, unused, value[2], limit[2]; } s;
layout(push_constant) uniform W { int w[3]; } p;
void main() {
  int i = int(gl_GlobalInvocationID.x);
  if (i >= p.w[2]) return;
  float x = b0.v[p.w[0] + i];
  b1.v[p.w[1] + i] = max(x, 0.0);
  if (x < 0.0 && atomicCompSwap(s.claimed, 0u, 1u) == 0u) {
    s.kind = 1u; s.op = 7u; s.value[0] = uint(int(x)); s.value[1] = 0xffffffffu; s.limit[0] = uint(p.w[2]); s.limit[1] = 0u;
  }
})";
  dispatch.bindings.push_back({KILN_VK_BIND_STATUS, 0, KILN_VK_READS | KILN_VK_WRITES, KILN_VK_NONE, 0});
  return kernel;
}

/// Whether the first element of input 0 is below that of input 1, as a byte.
static ShaderKernel comparing() {
  ShaderKernel kernel = elementwise("below", 2, "");
  kernel.plan.variants[0].dispatches[0].glsl = R"(#version 460
#extension GL_EXT_shader_8bit_storage : require
#extension GL_EXT_shader_explicit_arithmetic_types_int8 : require
layout(local_size_x = 64) in;
layout(set = 0, binding = 0) buffer A { float v[]; } a;
layout(set = 0, binding = 1) buffer B { float v[]; } b;
layout(set = 0, binding = 2) buffer R { uint8_t v[]; } r;
layout(push_constant) uniform W { int w[4]; } p;
void main() {
  if (gl_GlobalInvocationID.x == 0) r.v[p.w[2]] = uint8_t(a.v[p.w[0]] < b.v[p.w[1]] ? 1 : 0);
})";
  return kernel;
}

kiln_host VulkanRun::host = {};
std::string VulkanRun::log;

void VulkanRun::SetUp() {
  log.clear();
  add = 0, scale = 1, slow = 2, check = 3, below = 4;
  kernels.push_back(elementwise("add", 2, "b2.v[p.w[2] + i] = b0.v[p.w[0] + i] + b1.v[p.w[1] + i];"));
  kernels.push_back(elementwise("scale", 1, "b1.v[p.w[1] + i] = 2.0 * b0.v[p.w[0] + i];"));
  kernels.push_back(elementwise("slow", 1,
                                "float x = b0.v[p.w[0] + i];\nfor (int k = 0; k < 200000; ++k) x = x * 0.5 + 0.5;\n"
                                "b1.v[p.w[1] + i] = b0.v[p.w[0] + i] + (x - 1.0);"));
  kernels.push_back(checking());
  kernels.push_back(comparing());
  hooks() = {};
  host.size = sizeof host;
  host.worker_count = 2;
  host.self = &log;
  host.reader = tableReader();
  host.parallel_for = parallelFor;
  host.log = noteLog;
  error.size = sizeof error;
  openDevice();
}

void VulkanRun::openDevice() {
  host.cache_folder = {cacheFolder.data(), cacheFolder.size()};
  uint32_t count = 0;
  kiln_string reason = {};
  ASSERT_EQ(api->device_count(&host, &count, &reason, &error), 0);
  ASSERT_GT(count, 0u) << std::string(reason.data, reason.size);
  ASSERT_EQ(api->open(&host, 0, &device, &error), 0) << error.message;
}

void VulkanRun::unload() {
  if (executable)
    api->unload(executable);
  executable = nullptr;
}

void VulkanRun::closeDevice() {
  unload();
  for (kiln_buffer *buffer : owned)
    api->release(buffer);
  owned.clear();
  arenaBuffer = nullptr;
  if (device)
    api->close(device);
  device = nullptr;
}

void VulkanRun::TearDown() {
  hooks() = {};
  closeDevice();
}

kiln_node VulkanRun::launch(uint32_t kernel, std::vector<kiln_place> at, std::vector<kiln_extent> given) {
  places.push_back(std::move(at));
  extents.push_back(std::move(given));
  kiln_node node{};
  node.kind = KILN_NODE_LAUNCH;
  node.kernel = kernel;
  node.place_count = places.back().size();
  node.places = places.back().data();
  node.extent_count = extents.back().size();
  node.extents = extents.back().data();
  node.scratch = arena(-1);
  if (kernels[kernel].plan.scratchBytes)
    node.scratch = arena(32768);
  return node;
}

kiln_node VulkanRun::with(kiln_node_kind kind, std::vector<kiln_node> inside) {
  children.push_back(std::move(inside));
  kiln_node node{};
  node.kind = kind;
  node.child_count = children.back().size();
  node.children = children.back().data();
  node.index_slot = -1;
  node.scratch = arena(-1);
  return node;
}

kiln_node VulkanRun::copy(kiln_place from, kiln_place to, int64_t bytes) {
  places.push_back({from, to});
  kiln_node node{};
  node.kind = KILN_NODE_COPY;
  node.place_count = 2;
  node.places = places.back().data();
  node.count = {bytes, -1};
  node.scratch = arena(-1);
  return node;
}

std::vector<uint8_t> VulkanRun::blob() {
  ArtifactWriter writer(static_cast<uint32_t>(alignmentOfArtifact), partBytes);
  for (const ShaderKernel &kernel : kernels) {
    sdk::Graph graph;
    graph.name = kernel.name;
    for (uint32_t i = 0; i < kernel.inputs + kernel.outputs; ++i) {
      // Results of "below" are one byte.
      bool byte = kernel.name == "below" && i == kernel.inputs;
      sdk::Type type;
      type.dtype = byte ? KILN_BOOL : KILN_F32;
      if (!byte)
        type.dims = {kiln_extent{0, 0}};
      graph.values.push_back(type);
      (i < kernel.inputs ? graph.inputs : graph.outputs).push_back(i);
    }
    std::deque<std::vector<uint32_t>> words;
    std::vector<const std::vector<uint32_t> *> code;
    std::string message;
    for (const Variant &variant : kernel.plan.variants)
      for (const Dispatch &dispatch : variant.dispatches) {
        EXPECT_TRUE(compileGlsl(dispatch.glsl, /*fast=*/false, words.emplace_back(), message)) << message;
        code.push_back(&words.back());
      }
    EXPECT_TRUE(writer.add(graph, kernel.plan, code, message)) << message;
  }
  return writer.write();
}

int32_t VulkanRun::load(const std::vector<kiln_node> &roots, uint32_t arguments) {
  rows.clear();
  bounds.clear();
  entries.clear();
  bounds.reserve(kernels.size());
  for (const ShaderKernel &kernel : kernels) {
    bounds.emplace_back(kernel.extents, 1 << 20);
    kiln_kernel row{};
    row.name = {kernel.name.data(), kernel.name.size()};
    row.input_count = kernel.inputs;
    row.output_count = kernel.outputs;
    row.extent_count = kernel.extents;
    row.extent_bounds = bounds.back().data();
    rows.push_back(row);
  }
  argumentBytes.assign(arguments, 0);
  for (const kiln_node &root : roots) {
    EntryRow entry{};
    entry.name = {"run", 3};
    entry.argument_count = arguments;
    entry.argument_bytes = argumentBytes.data();
    entry.extent_count = 2;
    entry.loop_slot_count = 1;
    entry.arena_bytes = static_cast<int64_t>(arenaBytes);
    entry.root = root;
    entries.push_back(entry);
  }
  program = {rows.size(),
             rows.data(),
             entries.size(),
             entries.data(),
             reinterpret_cast<const uint8_t *>(constants.data()),
             constants.size() * sizeof(float)};
  return loadBlob(blob());
}

int32_t VulkanRun::loadBlob(const std::vector<uint8_t> &blob) {
  unload();
  artifact = blob;
  return api->load(device, &program, artifact.data(), artifact.size(), &executable, &error);
}

kiln_buffer *VulkanRun::bytes(uint64_t count) {
  kiln_buffer *buffer = nullptr;
  EXPECT_EQ(api->allocate(device, count, &buffer, &error), 0) << error.message;
  if (buffer)
    owned.push_back(buffer);
  return buffer;
}

kiln_buffer *VulkanRun::buffer(const std::vector<float> &values) {
  kiln_buffer *buffer = bytes(values.size() * sizeof(float));
  EXPECT_EQ(api->write(buffer, 0, values.data(), values.size() * sizeof(float), &error), 0) << error.message;
  return buffer;
}

std::vector<float> VulkanRun::read(kiln_buffer *buffer, size_t count, size_t first) {
  std::vector<float> values(count);
  EXPECT_EQ(api->read(buffer, first * sizeof(float), values.data(), count * sizeof(float), &error), 0) << error.message;
  return values;
}

int32_t VulkanRun::run(std::vector<kiln_buffer *> buffers, int64_t length, uint32_t entry, kiln_event **event) {
  if (!arenaBuffer)
    arenaBuffer = bytes(arenaBytes);
  int64_t table[2] = {length, 0};
  status = {};
  kiln_execution execution{sizeof execution, entry, buffers.data(), arenaBuffer, table,
                           &status,          event, nullptr,        nullptr};
  return api->execute(executable, &execution, &error);
}

kiln_counters VulkanRun::counters() {
  kiln_counters result = {};
  result.size = sizeof result;
  EXPECT_EQ(api->counters(executable, &result, &error), 0);
  return result;
}

} // namespace kiln::test
