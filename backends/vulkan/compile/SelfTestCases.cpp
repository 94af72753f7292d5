// Writes the kernels that a device is tried with at its first run (run/SelfTest.h), as a part of the run side.
//
// A program that runs when the run side is built, since that has no compiler: kernels to an artifact, its bytes to
// text.
#include "backends/vulkan/compile/Artifact.h"
#include "backends/vulkan/compile/Glsl.h"
#include "backends/vulkan/compile/Plan.h"
#include <cstdio>
#include <cstdlib>

namespace kiln::vulkan {
namespace {

[[noreturn]] void fail(const std::string &message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  std::exit(1);
}

/// Adds a kernel and compiles its shaders.
void add(ArtifactWriter &writer, const sdk::Graph &graph, const KernelPlan &plan) {
  std::vector<std::vector<uint32_t>> modules;
  std::string error;
  for (const Variant &variant : plan.variants)
    for (const Dispatch &dispatch : variant.dispatches)
      if (!compileGlsl(dispatch.glsl, /*fast=*/false, modules.emplace_back(), error))
        fail(graph.name + ": " + error);
  std::vector<const std::vector<uint32_t> *> code;
  for (const std::vector<uint32_t> &module : modules)
    code.push_back(&module);
  if (!writer.add(graph, plan, code, error))
    fail(graph.name + ": " + error);
}

/// One invocation that goes through as many numbers of a generator as extent 0 says, and leaves the last.
void addLoop(ArtifactWriter &writer, uint32_t strip) {
  sdk::Graph graph;
  graph.name = strip > 1 ? "strips" : "loop";
  graph.values = {{KILN_U32, {{1, -1}}}};
  graph.outputs = {0};
  graph.extentBounds = {1 << 30};
  const std::string body = "x = x * 1664525u + 1013904223u;";
  Dispatch dispatch;
  dispatch.glsl = "#version 460\n#extension GL_EXT_control_flow_attributes : require\n"
                  "layout(local_size_x = 1) in;\n"
                  "layout(constant_id = 999) const int strip = 1;\n"
                  "layout(set = 0, binding = 0) buffer B { uint v[]; } b;\n"
                  "layout(push_constant) uniform W { int n; } w;\n"
                  "void main() {\n  uint x = 1u;\n" +
                  (strip > 1 ? "  for (int f = 0, i; f < w.n; f += strip)\n"
                               "  [[unroll]] for (int u = 0; u < strip; ++u) if ((i = f + u) < w.n) { " +
                                   body + " }\n"
                             : "  for (int i = 0; i < w.n; ++i) { " + body + " }\n") +
                  "  b.v[0] = x;\n}\n";
  dispatch.bindings = {{KILN_VK_BIND_OPERAND, 0, KILN_VK_WRITES, KILN_VK_NONE, {}, KILN_VK_NONE}};
  dispatch.words = {{KILN_VK_WORD_EXPRESSION, 0, Number(kiln_extent{0, 0})}};
  if (strip > 1)
    dispatch.specializations = {{KILN_VK_STRIP, KILN_VK_SPECIALIZE_LITERAL, strip}};
  KernelPlan plan;
  plan.variants = {{0, {std::move(dispatch)}, 0}};
  add(writer, graph, plan);
}

void write(FILE *file, const char *name, const std::vector<uint8_t> &bytes) {
  std::fprintf(file, "alignas(8) constexpr uint8_t %s[] = {", name);
  for (size_t i = 0; i < bytes.size(); ++i)
    std::fprintf(file, "%s%u,", i % 32 ? "" : "\n", bytes[i]);
  std::fprintf(file, "\n};\n");
}

} // namespace
} // namespace kiln::vulkan

int main(int count, char **arguments) {
  using namespace kiln::vulkan;
  FILE *file = count == 2 ? std::fopen(arguments[1], "w") : nullptr;
  if (!file)
    fail("usage: kiln_vulkan_self_test_cases FILE");
  ArtifactWriter writer(256, 1u << 27);
  addLoop(writer, 1);
  addLoop(writer, 32);
  std::fprintf(file, "// Made by compile/SelfTestCases.cpp.\n");
  write(file, "artifactBytes", writer.write());
  return std::fclose(file) == 0 ? 0 : 1;
}
