// The backends' artifacts, as a program's run side meets them: the reference's kernels, which are then evaluated, and
// Vulkan's tables, every one of whose expressions is then computed and every shader unpacked.
#include "backends/reference/Blob.h"
#include "backends/reference/run/Evaluate.h"
#include "backends/vulkan/compile/Artifact.h"
#include "backends/vulkan/run/Artifact.h"
#include "runtime/support/Error.h"
#include "tests/fuzz/Harness.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace kiln {
namespace {

//===-- The reference ---------------------------------------------------------------------------------------------===//

/// Evaluation is as slow as a kernel says: what is large is left out.
bool small(const sdk::Graph &graph, const std::vector<int64_t> &extents) {
  auto little = [](int64_t value) { return value > -64 && value < 64; };
  for (const sdk::Op &op : graph.ops)
    for (const sdk::Attr &attr : op.attrs)
      if (!little(attr.integer) || !std::ranges::all_of(attr.ints, little) ||
          !std::ranges::all_of(attr.extents, [&](const kiln_extent &extent) { return little(extent.value); }))
        return false;
  int64_t all = 0;
  for (uint32_t value = 0; value < graph.values.size(); ++value) {
    int64_t bytes = reference::bytesOf(graph, value, extents.data());
    if (bytes > 1 << 12 || graph.values[value].rank() > 8)
      return false;
    all += std::max<int64_t>(bytes, 0);
  }
  return all < 1 << 14;
}

void referenceBlob(std::string_view bytes) {
  std::vector<sdk::Graph> graphs;
  std::string error;
  if (!reference::decode(bytes.data(), bytes.size(), graphs, error))
    fail("%s", error.c_str());
  for (const sdk::Graph &graph : graphs) {
    if (!reference::hasPrimitivesOnly(graph, error))
      fail("%s", error.c_str());
    std::vector<int64_t> extents;
    for (int64_t bound : graph.extentBounds)
      extents.push_back(std::clamp<int64_t>(bound, -1, 5));
    if (!small(graph, extents))
      continue;
    std::vector<std::vector<uint8_t>> inputs;
    std::vector<const uint8_t *> places;
    for (uint32_t value : graph.inputs) {
      inputs.emplace_back(static_cast<size_t>(std::max<int64_t>(reference::bytesOf(graph, value, extents.data()), 0)),
                          1);
      places.push_back(inputs.back().data());
    }
    kiln_status status{};
    reference::Evaluator evaluator(reference::Rounding::EachOp);
    if (!evaluator.run(graph, extents.data(), places, status, error))
      fail("%s", error.c_str());
    for (uint32_t value : graph.outputs) {
      std::vector<uint8_t> out(static_cast<size_t>(reference::bytesOf(graph, value, extents.data())));
      evaluator.value(value).store(out.data());
    }
  }
}

void repairReference(std::string &bytes) {
  constexpr size_t header = 24;
  if (bytes.size() < header)
    return;
  uint64_t size = bytes.size(), hash = 0xcbf29ce484222325;
  for (size_t i = header; i < size; ++i)
    hash = (hash ^ static_cast<uint8_t>(bytes[i])) * 0x100000001b3;
  std::memcpy(bytes.data() + 8, &size, 8);
  std::memcpy(bytes.data() + 16, &hash, 8);
}

using Dims = std::vector<kiln_extent>;

Dims dims(std::initializer_list<int64_t> extents) {
  Dims result;
  for (int64_t extent : extents)
    result.push_back({extent, -1});
  return result;
}

sdk::Attr ints(const char *name, std::vector<int64_t> values) {
  sdk::Attr attr;
  attr.name = name;
  attr.kind = KILN_ATTR_INTS;
  attr.ints = std::move(values);
  return attr;
}

sdk::Attr integer(const char *name, int64_t value) {
  sdk::Attr attr;
  attr.name = name;
  attr.integer = value;
  return attr;
}

sdk::Attr text(const char *name, const char *value) {
  sdk::Attr attr;
  attr.name = name;
  attr.kind = KILN_ATTR_STRING;
  attr.string = value;
  return attr;
}

/// One op over inputs of these types.
std::string kernel(const char *name, std::vector<sdk::Type> inputs, const std::vector<sdk::Type> &results,
                   std::vector<sdk::Attr> attrs = {}) {
  sdk::Graph graph;
  graph.name = "k0";
  graph.extentBounds = {4};
  sdk::Op op;
  op.name = name;
  op.location = "m.kiln:1:2";
  op.attrs = std::move(attrs);
  for (uint32_t i = 0; i < inputs.size(); ++i)
    graph.inputs.push_back(i);
  op.operands = graph.inputs;
  graph.values = std::move(inputs);
  for (const sdk::Type &type : results) {
    op.results.push_back(static_cast<uint32_t>(graph.values.size()));
    graph.values.push_back(type);
  }
  graph.outputs = op.results;
  graph.alias.assign(graph.outputs.size(), -1);
  graph.ops = {op};
  return reference::encode({graph});
}

//===-- Vulkan ----------------------------------------------------------------------------------------------------===//

void compute(const vulkan::Artifact &artifact, const kiln_vk_expression &expression) {
  static const std::vector<int64_t> extents = {4, 0, -1, INT64_MAX};
  int64_t value;
  vulkan::evaluate(artifact.steps(expression), extents, value);
}

void vulkanBlob(std::string_view bytes) {
  std::vector<uint64_t> aligned(bytes.size() / 8 + 1);
  std::memcpy(aligned.data(), bytes.data(), bytes.size());
  vulkan::Artifact artifact;
  if (vulkan::Failure failure = artifact.read(aligned.data(), bytes.size()))
    fail("%s", failure.message().c_str());
  for (const kiln_vk_kernel &kernel : artifact.kernels()) {
    if (!artifact.fits(kernel, kernel.operand_count, 4))
      continue;
    for (const kiln_vk_operand &operand : artifact.operands(kernel))
      compute(artifact, operand.bytes);
    for (const kiln_vk_variant &variant : artifact.variants().subspan(kernel.first_variant, kernel.variant_count))
      for (const kiln_vk_dispatch &dispatch : artifact.dispatches(variant)) {
        for (const kiln_vk_expression &expression : dispatch.grid)
          compute(artifact, expression);
        for (const kiln_vk_word &word : artifact.words(dispatch))
          if (word.kind == KILN_VK_WORD_EXPRESSION)
            compute(artifact, word.value);
        for (const kiln_vk_binding &binding : artifact.bindings(dispatch))
          if (binding.kind == KILN_VK_BIND_SCRATCH)
            compute(artifact, binding.bytes);
      }
  }
  for (const kiln_vk_shader &shader : artifact.shaders()) {
    std::vector<uint32_t> words(shader.words);
    kiln_vk_unpack(artifact.code(shader), shader.code_bytes, words.data(), shader.words);
  }
}

void repairVulkan(std::string &bytes) {
  if (bytes.size() < sizeof(kiln_vk_artifact))
    return;
  constexpr size_t from = offsetof(kiln_vk_artifact, checksum) + 8;
  uint64_t size = bytes.size();
  uint64_t hash = kiln_vk_checksum(reinterpret_cast<const uint8_t *>(bytes.data()) + from, size - from);
  std::memcpy(bytes.data() + offsetof(kiln_vk_artifact, bytes), &size, 8);
  std::memcpy(bytes.data() + offsetof(kiln_vk_artifact, checksum), &hash, 8);
}

std::string vulkanSeed() {
  sdk::Graph graph;
  graph.name = "k0";
  graph.values.assign(3, {KILN_F32, {{0, 0}, {3, -1}}});
  graph.inputs = {0, 1};
  graph.outputs = {2};
  vulkan::Dispatch dispatch;
  dispatch.bindings = {{KILN_VK_BIND_OPERAND, 0, KILN_VK_READS, KILN_VK_NONE, 0},
                       {KILN_VK_BIND_SCRATCH, 256, KILN_VK_READS | KILN_VK_WRITES, KILN_VK_NONE, 64},
                       {KILN_VK_BIND_OPERAND, 2, KILN_VK_WRITES, 0, 0}};
  dispatch.words = {{KILN_VK_WORD_EXPRESSION, 0, vulkan::Number(kiln_extent{0, 0}) * vulkan::Number(3)},
                    {KILN_VK_WORD_BASE, 0, 0}};
  dispatch.specializations = {{0, KILN_VK_SPECIALIZE_SUBGROUP_SIZE, 0}};
  dispatch.grid[0] = ceilDiv(vulkan::Number(kiln_extent{0, 0}), 2);
  vulkan::KernelPlan plan;
  plan.variants = {{KILN_VK_F16, {dispatch}}, {0, {dispatch, dispatch}}};
  plan.scratchBytes = 512;
  // The head, a capability, and an instruction of 16 words.
  std::vector<uint32_t> spirv = {0x07230203, 0x10500, 0, 5, 0, 2 << 16 | 17, 1, 16 << 16 | 5};
  spirv.resize(spirv.size() + 15, 0x12345678);
  vulkan::ArtifactWriter writer(256, 1 << 20);
  std::string error;
  if (!writer.add(graph, plan, {&spirv, &spirv, &spirv}, error))
    fail("%s", error.c_str());
  std::vector<uint8_t> blob = writer.write();
  return {blob.begin(), blob.end()};
}

std::vector<std::string> referenceSeeds() {
  sdk::Type vector{KILN_F32, {{4, 0}}}, matrix{KILN_F32, dims({3, 4})}, numbers{KILN_I32, dims({4})};
  sdk::Type image{KILN_F32, dims({1, 1, 4, 4})}, number{KILN_I32, {}}, scalar{KILN_F32, {}};
  return {
      kernel("add", {vector, vector}, {vector}),
      kernel("convert", {vector}, {{KILN_U8, {{4, 0}}}}),
      kernel("reshape", {matrix}, {{KILN_F32, dims({4, 3})}}),
      kernel("transpose", {matrix}, {{KILN_F32, dims({4, 3})}}, {ints("permutation", {1, 0})}),
      kernel("broadcast", {vector}, {{KILN_F32, {{3, -1}, {4, 0}}}}, {ints("axes", {1})}),
      kernel("slice", {matrix}, {{KILN_F32, dims({2, 2})}}, {ints("starts", {1, 0}), ints("strides", {1, 2})}),
      kernel("pad", {vector, scalar}, {{KILN_F32, dims({9})}},
             {ints("low", {1}), ints("high", {1}), ints("interior", {1})}),
      kernel("concat", {vector, vector}, {{KILN_F32, dims({8})}}, {integer("axis", 0)}),
      kernel("dynamic_slice", {matrix, number, number}, {{KILN_F32, dims({1, 2})}}),
      kernel("dynamic_update_slice", {matrix, {KILN_F32, dims({1, 2})}, number, number}, {matrix}),
      kernel("gather", {matrix, numbers}, {{KILN_F32, dims({4, 4})}}, {integer("axis", 0)}),
      kernel("scatter", {matrix, numbers, {KILN_F32, dims({4, 4})}}, {matrix},
             {text("kind", "add"), integer("axis", 0)}),
      kernel("reduce", {matrix}, {{KILN_F32, dims({3})}}, {text("kind", "sum"), ints("axes", {1})}),
      kernel("arg_reduce", {matrix}, {{KILN_I32, dims({3})}}, {text("kind", "max"), integer("axis", 1)}),
      kernel("cumsum", {matrix}, {matrix}, {integer("axis", 1)}),
      kernel("sort", {matrix}, {matrix, {KILN_I32, dims({3, 4})}}, {integer("axis", 1)}),
      kernel("top_k", {matrix}, {{KILN_F32, dims({3, 2})}, {KILN_I32, dims({3, 2})}}, {integer("k", 2)}),
      kernel("reduce_window", {matrix}, {{KILN_F32, dims({2, 3})}},
             {text("kind", "max"), ints("window", {2, 2}), ints("strides", {1, 1}), ints("low", {0, 0}),
              ints("high", {0, 0})}),
      kernel("dot_general", {matrix, {KILN_F32, dims({4, 2})}}, {{KILN_F32, dims({3, 2})}},
             {ints("lhs_batch", {}), ints("rhs_batch", {}), ints("lhs_contract", {1}), ints("rhs_contract", {0})}),
      kernel("convolution", {image, {KILN_F32, dims({1, 1, 3, 3})}}, {{KILN_F32, dims({1, 1, 2, 2})}},
             {ints("strides", {1, 1}), ints("low", {0, 0}), ints("high", {0, 0}), ints("input_dilation", {1, 1}),
              ints("filter_dilation", {1, 1}), integer("groups", 1)}),
      kernel("iota", {}, {numbers}, {integer("axis", 0)}),
      kernel("random_bits", {{KILN_U32, {}}}, {{KILN_U32, {{4, 0}}}}, {integer("stream", 7)}),
  };
}

} // namespace

const std::vector<testing::Parser> &testing::parsers() {
  static const std::vector<Parser> all = [] {
    std::vector<Parser> result = {{vulkanSeed(), vulkanBlob, repairVulkan}};
    for (std::string &seed : referenceSeeds())
      result.push_back({std::move(seed), referenceBlob, repairReference});
    return result;
  }();
  return all;
}

} // namespace kiln
