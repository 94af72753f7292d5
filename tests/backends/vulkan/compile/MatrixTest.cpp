// Cooperative matrices: the words of their shaders, and whether this machine runs them.
//
// Results are vulkan_dot_test's: where the device multiplies matrices its cases for halves go through them.
#include "backends/vulkan/artifact.h"
#include "backends/vulkan/compile/Glsl.h"
#include "backends/vulkan/compile/MatrixWords.h"
#include "backends/vulkan/compile/SpirvWords.h"
#include "backends/vulkan/run/Instance.h"
#include <algorithm>
#include <gmock/gmock.h>
#include <map>
#include <string>

namespace {

using namespace kiln::vulkan;
using testing::ElementsAre;
using Words = std::vector<uint32_t>;

/// The instructions of an opcode, each without its first word.
std::vector<Words> instructions(const Words &module, uint32_t op) {
  std::vector<Words> found;
  forEachInstruction(module, [&](uint32_t its, size_t at, uint32_t length) {
    if (its == op)
      found.emplace_back(module.begin() + std::ptrdiff_t(at) + 1, module.begin() + std::ptrdiff_t(at + length));
  });
  return found;
}

std::string shader(const std::string &part) {
  return "#version 460\n"
         "#extension GL_NV_cooperative_matrix : require\n"
         "#extension GL_NV_integer_cooperative_matrix : require\n"
         "#extension GL_EXT_shader_explicit_arithmetic_types_int8 : require\n"
         "#extension GL_KHR_memory_scope_semantics : require\n"
         "#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require\n"
         "#pragma use_vulkan_memory_model\n"
         "layout(local_size_x = 32) in;\n"
         "layout(constant_id = 3) const int M = 16;\n"
         "shared float16_t a[256], b[256];\nshared float c[256];\nshared int8_t d[256];\nshared int e[256];\n"
         "void main() {\n" +
         part + "}\n";
}

const std::string product = "  fcoopmatNV<16, 100, M, 16> left;\n"
                            "  coopMatLoadNV(left, a, 0, 24, false);\n"
                            "  fcoopmatNV<16, 101, 16, 8> right;\n"
                            "  coopMatLoadNV(right, b, 0, 16, true);\n"
                            "  fcoopmatNV<32, 102, M, 8> sum = fcoopmatNV<32, 102, M, 8>(0.0);\n"
                            "  sum = coopMatMulAddNV(left, right, sum);\n"
                            "  coopMatStoreNV(sum, c, 0, 8, false);\n";

TEST(Matrix, WordsOfKhr) {
  Words words;
  std::string error;
  ASSERT_TRUE(compileGlsl(shader(product), false, words, error)) << error;
  std::map<uint32_t, uint32_t> constants;
  for (uint32_t op : {43u, 50u}) // OpConstant, OpSpecConstant
    for (const Words &each : instructions(words, op))
      constants[each[1]] = each[2];
  auto valueOf = [&](uint32_t id) { return constants.contains(id) ? constants[id] : ~0u; };

  // The specification's numbers. Nothing of the older extension is left.
  for (uint32_t op = 5358; op <= 5362; ++op)
    EXPECT_TRUE(instructions(words, op).empty()) << op;
  std::vector<Words> types = instructions(words, 4456);
  ASSERT_EQ(types.size(), 3u);
  std::map<uint32_t, uint32_t> useOf;
  for (const Words &type : types) { // result, component, scope, rows, columns, use
    ASSERT_EQ(type.size(), 6u);
    EXPECT_EQ(valueOf(type[2]), 3u); // the subgroup
    useOf[type[0]] = valueOf(type[5]);
    Words sides = {valueOf(type[3]), valueOf(type[4])};
    EXPECT_EQ(sides, useOf[type[0]] == 0 ? (Words{16, 16}) : useOf[type[0]] == 1 ? (Words{16, 8}) : (Words{16, 8}));
  }
  std::vector<uint32_t> uses;
  for (const auto &[type, use] : useOf)
    uses.push_back(use);
  EXPECT_THAT(uses, testing::UnorderedElementsAre(0u, 1u, 2u));

  std::vector<Words> loads = instructions(words, 4457); // type, result, pointer, layout, stride, memory operands
  ASSERT_EQ(loads.size(), 2u);
  EXPECT_THAT((Words{useOf[loads[0][0]], valueOf(loads[0][3]), valueOf(loads[0][4])}), ElementsAre(0u, 0u, 24u));
  EXPECT_THAT((Words{useOf[loads[1][0]], valueOf(loads[1][3]), valueOf(loads[1][4])}), ElementsAre(1u, 1u, 16u));
  std::vector<Words> stores = instructions(words, 4458); // pointer, object, layout, stride, memory operands
  ASSERT_EQ(stores.size(), 1u);
  EXPECT_THAT((Words{valueOf(stores[0][2]), valueOf(stores[0][3])}), ElementsAre(0u, 8u));
  ASSERT_EQ(instructions(words, 4459).size(), 1u);

  uint32_t bound = words[3];
  for (const auto &[id, value] : constants)
    EXPECT_LT(id, bound);
  std::string extension;
  for (const Words &each : instructions(words, 10))
    extension += std::string(reinterpret_cast<const char *>(each.data())) + " ";
  EXPECT_THAT(extension, testing::HasSubstr("SPV_KHR_cooperative_matrix "));
  EXPECT_THAT(extension, testing::Not(testing::HasSubstr("SPV_NV")));
  uint32_t features = 0, unknown = 0;
  EXPECT_TRUE(featuresOf(words, features, unknown)) << unknown;
  EXPECT_TRUE(features & KILN_VK_COOPERATIVE_MATRIX);
  EXPECT_THAT(disassemble(words), testing::HasSubstr(";")); // whatever these tools know
}

/// Factors of bf16, which glslang is told to be f16, and of i8; the product by elements, which it has no word for.
TEST(Matrix, WordsOfBfloatsAndBytes) {
  Words words;
  std::string error;
  ASSERT_TRUE(compileGlsl(shader("  fcoopmatNV<16, 103, M, 16> left;\n"
                                 "  coopMatLoadNV(left, a, 0, 24, false);\n"
                                 "  fcoopmatNV<16, 104, 16, 8> right;\n"
                                 "  coopMatLoadNV(right, b, 0, 16, true);\n"
                                 "  fcoopmatNV<32, 102, M, 8> sum = fcoopmatNV<32, 102, M, 8>(0.0);\n"
                                 "  sum = coopMatMulAddNV(left, right, sum) / sum;\n"
                                 "  coopMatStoreNV(sum, c, 0, 8, false);\n"
                                 "  icoopmatNV<8, 100, M, 16> l;\n  coopMatLoadNV(l, d, 0, 24, false);\n"
                                 "  icoopmatNV<8, 101, 16, 8> r;\n  coopMatLoadNV(r, d, 0, 16, true);\n"
                                 "  icoopmatNV<32, 102, M, 8> s = icoopmatNV<32, 102, M, 8>(0);\n"
                                 "  s = coopMatMulAddNV(l, r, s);\n  coopMatStoreNV(s, e, 0, 8, false);\n"
                                 "  c[1] = c[2] / c[3];\n"),
                          false, words, error))
      << error;
  uint32_t brain = 0;                               // the type
  for (const Words &type : instructions(words, 22)) // OpTypeFloat
    if (type.size() == 3)
      EXPECT_THAT(type, ElementsAre(brain = type[0], 16u, 0u));
  EXPECT_NE(brain, 0u);
  size_t factors = 0;
  for (const Words &type : instructions(words, 4456))
    factors += type[1] == brain;
  EXPECT_EQ(factors, 2u);
  std::vector<Words> products = instructions(words, 4459); // type, result, factors, sums, operands
  ASSERT_EQ(products.size(), 2u);
  EXPECT_EQ(products[0].size(), 5u);
  ASSERT_EQ(products[1].size(), 6u);
  EXPECT_EQ(products[1][5], 15u); // all are signed
  EXPECT_EQ(instructions(words, spv::OpFMul).size(), 1u);
  EXPECT_EQ(instructions(words, spv::OpFDiv).size(), 1u); // of numbers
  EXPECT_TRUE(hasCapability(words, 5116) && hasCapability(words, 5118));
  uint32_t features = 0, unknown = 0;
  EXPECT_TRUE(featuresOf(words, features, unknown)) << unknown;
  EXPECT_EQ(features & (KILN_VK_COOPERATIVE_MATRIX | KILN_VK_MATRIX_BF16),
            KILN_VK_COOPERATIVE_MATRIX | KILN_VK_MATRIX_BF16);
}

TEST(Matrix, OtherModulesStay) {
  Words words;
  std::string error;
  ASSERT_TRUE(compileGlsl(shader("  c[0] = 1.0;\n"), false, words, error)) << error;
  EXPECT_TRUE(instructions(words, 4456).empty());
}

TEST(Matrix, TheDeviceHere) {
  Instance &instance = theInstance(nullptr);
  ASSERT_FALSE(instance.devices.empty()) << instance.reason;
  const PhysicalDevice &device = instance.devices[0];
  if (!(device.features & KILN_VK_COOPERATIVE_MATRIX))
    GTEST_SKIP() << device.name << " (" << device.driver
                 << ") has no cooperative matrices for f16: the tests of halves took other variants. Lavapipe has them "
                    "from Mesa 26 on.";
  for (uint32_t side : device.matrix)
    EXPECT_THAT(side, testing::AnyOf(8u, 16u, 32u));
}

} // namespace
