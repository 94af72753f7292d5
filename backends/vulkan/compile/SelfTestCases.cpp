// Writes the kernels that a device is tried with at its first run (run/SelfTest.h), as a part of the run side.
//
// A program that runs when the run side is built, since that has no compiler: kernels to an artifact, its bytes to
// text.
#include "backends/vulkan/SelfTestNumbers.h"
#include "backends/vulkan/compile/Artifact.h"
#include "backends/vulkan/compile/Glsl.h"
#include "backends/vulkan/compile/Strategy.h"
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>

namespace kiln::vulkan {
namespace {

[[noreturn]] void fail(const std::string &message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  std::exit(1);
}

/// Adds a kernel and compiles its shaders.
void add(ArtifactWriter &writer, const sdk::Graph &graph, const KernelPlan &plan, bool fast = false) {
  std::vector<std::vector<uint32_t>> modules;
  std::string error;
  for (const Variant &variant : plan.variants)
    for (const Dispatch &dispatch : variant.dispatches)
      if (!compileGlsl(dispatch.glsl, fast, modules.emplace_back(), error))
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

//===-- Kernels of the forms --------------------------------------------------------------------------------------===//

using Dims = std::vector<int64_t>;
/// In double, or for i64 in integers.
using Values = std::vector<double>;

sdk::Attr ints(std::string name, std::vector<int64_t> value) {
  return {std::move(name), KILN_ATTR_INTS, 0, 0, {}, std::move(value), {}};
}
sdk::Attr number(std::string name, int64_t value) { return {std::move(name), KILN_ATTR_INT, value, 0, {}, {}, {}}; }
sdk::Attr text(std::string name, std::string value) {
  return {std::move(name), KILN_ATTR_STRING, 0, 0, std::move(value), {}, {}};
}

/// A number as f16 has it; 0 for those that are not normal.
void storeHalf(double number, uint8_t *to) {
  constexpr int digits = 10, bias = 15;
  number = std::abs(number) < 1e-4 ? 0 : number;
  int exponent = 0;
  (void)std::frexp(number, &exponent); // within 2^(exponent - 1)
  double whole = std::nearbyint(std::ldexp(std::abs(number), digits + 1 - exponent));
  auto bits = static_cast<uint16_t>(number == 0 ? 0 : static_cast<int64_t>(whole) + ((exponent + bias - 2) << digits));
  bits |= static_cast<uint16_t>(number < 0 ? 0x8000 : 0);
  std::memcpy(to, &bits, sizeof bits);
}

/// A kernel with what its inputs give.
struct Case {
  sdk::Graph graph;
  std::vector<Values> inputs;
  std::vector<uint8_t> expected; // its only output's bytes
  uint32_t feature = 0;          // that it tries; 0: its form
  bool fast = false, byMatrices = false, isWhole = false;

  explicit Case(int32_t shape, uint32_t feature = 0) : feature(feature) {
    graph.shape = shape;
    graph.name = "trial";
  }
  uint32_t value(kiln_dtype dtype, const Dims &dims, int32_t producer) {
    sdk::Type type{dtype, {}};
    for (int64_t dim : dims)
      type.dims.push_back({dim, -1});
    graph.values.push_back(type);
    graph.producer.push_back(producer);
    return static_cast<uint32_t>(graph.values.size() - 1);
  }
  uint32_t input(kiln_dtype dtype, const Dims &dims) {
    uint32_t made = value(dtype, dims, -1), number = static_cast<uint32_t>(graph.inputs.size());
    graph.inputs.push_back(made);
    Values &values = inputs.emplace_back(graph.bound(graph.type(made).dims));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<double>(trialNumber(number, i, dtype));
    return made;
  }
  uint32_t op(const char *name, std::vector<uint32_t> operands, kiln_dtype dtype, const Dims &dims,
              std::vector<sdk::Attr> attrs = {}) {
    uint32_t made = value(dtype, dims, static_cast<int32_t>(graph.ops.size()));
    sdk::Op op;
    op.code = sdk::opCode(name);
    op.number = static_cast<uint32_t>(graph.ops.size());
    op.name = name;
    op.operands = std::move(operands);
    op.results = {made};
    op.attrs = std::move(attrs);
    graph.ops.push_back(std::move(op));
    return made;
  }
  /// Of whole numbers that 16 bits hold, which they are kept in; of f16, i64 and attention's results any, as they are.
  void output(uint32_t made, const Values &values) {
    graph.outputs.push_back(made);
    graph.alias.push_back(-1);
    kiln_dtype dtype = graph.type(made).dtype;
    auto size = static_cast<size_t>(sdk::byteSize(dtype));
    isWhole = dtype != KILN_I64 && graph.shape != KILN_SHAPE_ATTENTION;
    size = isWhole ? sizeof(int16_t) : size;
    expected.resize(values.size() * size);
    for (size_t i = 0; i < values.size(); ++i) {
      auto single = static_cast<float>(values[i]);
      if (isWhole && !(std::abs(values[i]) < 32768 && values[i] == std::floor(values[i])))
        fail("a result that 16 bits do not hold");
      auto whole = static_cast<int16_t>(isWhole ? values[i] : 0);
      if (isWhole)
        std::memcpy(&expected[i * size], &whole, sizeof whole);
      else if (dtype == KILN_F32)
        std::memcpy(&expected[i * size], &single, sizeof single);
      else if (dtype == KILN_F16)
        storeHalf(values[i], &expected[i * size]);
      else
        storeNumber(static_cast<int64_t>(values[i]), dtype, &expected[i * size]);
    }
  }
};

/// x * x + x in a dtype, by way of another.
Case elements(kiln_dtype dtype, kiln_dtype inBetween, uint32_t feature) {
  const Dims dims = {130};
  Case made(KILN_SHAPE_ELEMENTWISE, feature);
  uint32_t x = made.input(dtype, dims), y = x;
  if (inBetween != dtype)
    y = made.op("convert", {x}, inBetween, dims);
  y = made.op("add", {made.op("mul", {y, y}, inBetween, dims), y}, inBetween, dims);
  if (inBetween != dtype)
    y = made.op("convert", {y}, dtype, dims);
  Values result;
  for (double v : made.inputs[0])
    // Of i64 the square's lowest bits are 0: inputs are multiples of 2^33.
    result.push_back(dtype == KILN_I64 ? v : v * v + v);
  made.output(y, result);
  return made;
}

/// x less the sum of its row.
Case rows() {
  const int64_t count = 3, length = 300;
  Case made(KILN_SHAPE_ROWS);
  uint32_t x = made.input(KILN_F32, {count, length});
  uint32_t sum = made.op("reduce", {x}, KILN_F32, {count}, {text("kind", "sum"), ints("axes", {1})});
  uint32_t wide = made.op("broadcast", {sum}, KILN_F32, {count, length}, {ints("axes", {0})});
  const Values &in = made.inputs[0];
  Values result(in.size());
  for (size_t row = 0; row < count; ++row) {
    double total = 0;
    for (size_t i = 0; i < length; ++i)
      total += in[row * length + i];
    for (size_t i = 0; i < length; ++i)
      result[row * length + i] = in[row * length + i] - total;
  }
  made.output(made.op("sub", {x, wide}, KILN_F32, {count, length}), result);
  return made;
}

/// Sums of columns, or of rows that nobody needs again.
Case columns(int64_t rows, int64_t width, int64_t axis) {
  Case made(KILN_SHAPE_COLUMNS);
  uint32_t x = made.input(KILN_F32, {rows, width});
  Values result(static_cast<size_t>(axis == 0 ? width : rows));
  for (size_t i = 0; i < made.inputs[0].size(); ++i)
    result[axis == 0 ? i % static_cast<size_t>(width) : i / static_cast<size_t>(width)] += made.inputs[0][i];
  made.output(made.op("reduce", {x}, KILN_F32, {static_cast<int64_t>(result.size())},
                      {text("kind", "sum"), ints("axes", {axis})}),
              result);
  return made;
}

Case product(kiln_dtype dtype, int64_t m, int64_t k, int64_t n, bool fast = false) {
  Case made(KILN_SHAPE_CONTRACT);
  made.fast = fast;
  kiln_dtype sums = dtype == KILN_I8 ? KILN_I32 : dtype;
  uint32_t x = made.input(dtype, {m, k}), y = made.input(dtype, {k, n});
  Values result;
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t d = 0; d < k; ++d)
        sum += made.inputs[0][static_cast<size_t>(i * k + d)] * made.inputs[1][static_cast<size_t>(d * n + j)];
      result.push_back(sum);
    }
  made.output(
      made.op("dot_general", {x, y}, sums, {m, n},
              {ints("lhs_batch", {}), ints("rhs_batch", {}), ints("lhs_contract", {1}), ints("rhs_contract", {0})}),
      result);
  return made;
}

Case scatter() {
  const int64_t rows = 6, count = 40, width = 3;
  Case made(KILN_SHAPE_SCATTER);
  uint32_t x = made.input(KILN_F32, {rows, width}), ids = made.input(KILN_I32, {count}),
           updates = made.input(KILN_F32, {count, width});
  Values result = made.inputs[0];
  for (size_t i = 0; i < count; ++i)
    for (size_t j = 0; j < width; ++j)
      result[static_cast<size_t>(made.inputs[1][i]) * width + j] += made.inputs[2][i * width + j];
  made.output(made.op("scatter", {x, ids, updates}, KILN_F32, {rows, width},
                      {text("kind", "add"), number("axis", 0), number("batch_dims", 0)}),
              result);
  return made;
}

Case attention(kiln_dtype dtype, size_t queries, size_t keys, size_t width) {
  const double scale = 0.05;
  Case made(KILN_SHAPE_ATTENTION);
  auto dims = [&](size_t rows) { return Dims{1, 1, static_cast<int64_t>(rows), static_cast<int64_t>(width)}; };
  uint32_t q = made.input(dtype, dims(queries)), k = made.input(dtype, dims(keys)), v = made.input(dtype, dims(keys));
  Values result(queries * width);
  for (size_t t = 0; t < queries; ++t) {
    double total = 0;
    for (size_t s = 0; s < keys; ++s) {
      double score = 0;
      for (size_t d = 0; d < width; ++d)
        score += made.inputs[0][t * width + d] * made.inputs[1][s * width + d];
      double weight = std::exp(score * scale);
      total += weight;
      for (size_t d = 0; d < width; ++d)
        result[t * width + d] += weight * made.inputs[2][s * width + d];
    }
    for (size_t d = 0; d < width; ++d)
      result[t * width + d] /= total;
  }
  sdk::Attr factor{"scale", KILN_ATTR_FLOAT, 0, scale, {}, {}, {}};
  made.output(made.op("attention", {q, k, v}, dtype, dims(queries), {factor, number("causal", 0)}), result);
  return made;
}

std::vector<Case> allCases() {
  std::vector<Case> cases;
  cases.push_back(elements(KILN_F32, KILN_F32, 0));
  cases.push_back(elements(KILN_I8, KILN_F32, KILN_VK_STORAGE8));
  cases.push_back(elements(KILN_F16, KILN_F32, KILN_VK_STORAGE16));
  cases.push_back(elements(KILN_BF16, KILN_F32, KILN_VK_STORAGE16));
  cases.push_back(elements(KILN_I64, KILN_I64, KILN_VK_I64));
  cases.push_back(elements(KILN_F64, KILN_F64, KILN_VK_F64));
  cases.push_back(rows());
  cases.push_back(columns(3000, 6, 0));
  cases.push_back(columns(3, 20'000, 1));
  cases.push_back(product(KILN_F32, 37, 70, 45));  // with edges
  cases.push_back(product(KILN_F32, 20, 600, 24)); // the depth in parts
  cases.push_back(product(KILN_F32, 3, 200, 40));  // an element for some invocations
  cases.push_back(scatter());
  cases.push_back(attention(KILN_F32, 5, 20, 4));
  size_t others = cases.size();
  cases.push_back(product(KILN_F16, 16, 40, 24));
  for (kiln_dtype dtype : {KILN_BF16, KILN_I8}) // element by element, which takes less of a program
    cases.push_back(product(dtype, 16, 35, 20));
  cases.push_back(product(KILN_F32, 16, 40, 24, /*fast=*/true)); // split
  cases.push_back(attention(KILN_F16, 16, 40, 32));              // of bf16: by this one, and the product's as a feature
  cases.back().fast = true;                                      // the shorter one
  for (size_t i = others; i < cases.size(); ++i)
    cases[i].byMatrices = true;
  return cases;
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
  Settings settings;
  settings.partBytes = 1u << 27;
  std::vector<uint8_t> expected;
  std::string table;
  uint32_t kernel = 2;
  for (Case &each : allCases()) {
    settings.aligned.assign(each.graph.inputs.size() + 1, true);
    settings.fast = each.fast;
    KernelPlan plan;
    Refusal refusal;
    if (!planKernel(each.graph, settings, plan, refusal))
      fail(refusal.reason);
    if (each.byMatrices) // other kinds have cases of their own; all of this is in every program
      plan.variants.erase(std::remove_if(plan.variants.begin(), plan.variants.end(),
                                         [](const Variant &variant) { return !variant.matrices; }),
                          plan.variants.end());
    add(writer, each.graph, plan, each.fast);
    std::string operands;
    for (uint32_t value : each.graph.inputs)
      operands += std::to_string(each.graph.type(value).dtype) + ", ";
    operands += std::to_string(each.graph.type(each.graph.outputs[0]).dtype) + "}},\n";
    auto row = [&](uint32_t feature) {
      table += "    {" + std::to_string(kernel) + ", " + std::to_string(feature) + ", " +
               std::to_string(expected.size()) + ", " + std::to_string(each.isWhole) + ", {" + operands;
    };
    row(each.feature);
    if (plan.variants[0].kind == KILN_VK_KIND_PRODUCT_BF16)
      row(KILN_VK_MATRIX_BF16);
    ++kernel;
    expected.insert(expected.end(), each.expected.begin(), each.expected.end());
  }
  std::fprintf(file, "// Made by compile/SelfTestCases.cpp.\n");
  write(file, "artifactBytes", writer.write());
  write(file, "expectedBytes", expected);
  std::fprintf(file, "constexpr Case cases[] = {\n%s};\n", table.c_str());
  return std::fclose(file) == 0 ? 0 : 1;
}
