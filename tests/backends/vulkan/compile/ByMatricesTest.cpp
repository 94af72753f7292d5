// Products by cooperative matrices, for their numbers: in shaders that spell the matrices out, which any device runs,
// and as a graphics card gets them, which takes the matrices where the device has them.
#include "backends/vulkan/artifact.h"
#include "backends/vulkan/run/Instance.h"
#include "tests/backends/cpu/Window.h"
#include "tests/backends/vulkan/compile/OnDevice.h"

#include <cmath>
#include <cstring>
#include <gmock/gmock.h>
#include <limits>

using namespace kiln;
using namespace kiln::test;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// left . right, either stored transposed, of a batch.
struct Product {
  int64_t m, n, k;
  kiln_dtype operands, result;
  bool leftTurned = false, rightTurned = false;
  int64_t batch = 1;
  std::string math = "";

  Ints left() const { return leftTurned ? Ints{batch, k, m} : Ints{batch, m, k}; }
  Ints right() const { return rightTurned ? Ints{batch, n, k} : Ints{batch, k, n}; }
  TestKernel kernel() const {
    TestKernel kernel("k0", "contract");
    auto dims = [](const Ints &ints) { return Dims(ints.begin(), ints.end()); };
    uint32_t l = kernel.input(operands, dims(left())), r = kernel.input(operands, dims(right()));
    kernel.output(kernel.op("dot_general", {l, r}, result, {batch, m, n},
                            {ints("lhs_batch", {0}), ints("rhs_batch", {0}), ints("lhs_contract", {leftTurned ? 1 : 2}),
                             ints("rhs_contract", {rightTurned ? 2 : 1})}));
    return kernel;
  }
};

/// Which profiles run by matrices here: plain shaders, and a graphics card's where the device has what they need.
std::vector<const char *> profiles(uint32_t features) {
  vulkan::Instance &instance = vulkan::theInstance(nullptr);
  if (!instance.devices.empty() && (instance.devices[0].features & features) == features)
    return {"plain-matrices", "gpu"};
  return {"plain-matrices"};
}

constexpr uint32_t halves = KILN_VK_COOPERATIVE_MATRIX, bfloats = halves | KILN_VK_MATRIX_BF16,
                   bytes = halves | KILN_VK_MATRIX_I8;
uint32_t featuresOf(kiln_dtype operands) {
  return operands == KILN_F16 ? halves : operands == KILN_I8 ? bytes : bfloats;
}

/// Of products whose results are known to the bit.
void checkExact(const Product &product, uint32_t kind) {
  SCOPED_TRACE(std::to_string(product.m) + " x " + std::to_string(product.n) + " x " + std::to_string(product.k) +
               (product.leftTurned ? " t" : " n") + (product.rightTurned ? "t" : "n"));
  TestKernel kernel = product.kernel();
  EXPECT_THAT(kindsOf("plain-matrices", kernel, product.math), testing::ElementsAre(kind));
  EXPECT_THAT(kindsOf("gpu", kernel, product.math), testing::Contains(kind));
  std::vector<Tensor> inputs = {wholeNumbers(product.operands, product.left(), 1),
                                wholeNumbers(product.operands, product.right(), 2)};
  for (const char *profile : profiles(featuresOf(product.operands))) {
    RunResult result = runOnDevice(profile, kernel, bytesOf(inputs), false, product.math);
    ASSERT_EQ(result.error, "") << profile;
    judge(kernel, inputs, result.bytes, 0, profile);
  }
}

/// Whole tiles, edges, a depth in parts, batches, several tiles; rows that begin where 16 bytes do, and others.
void checkLayouts(kiln_dtype operands, kiln_dtype result, uint32_t kind) {
  checkExact({40, 33, 70, operands, result, false, false, 2}, kind);
  checkExact({70, 33, 40, operands, result, true, true}, kind);
  checkExact({32, 80, 64, operands, result, false, true, 2}, kind);
  checkExact({80, 32, 300, operands, result, true, false}, kind);
}

TEST(ByMatrices, Halves) { checkLayouts(KILN_F16, KILN_F32, KILN_VK_KIND_PRODUCT_MATRIX); }

TEST(ByMatrices, Bfloats) { checkLayouts(KILN_BF16, KILN_F32, KILN_VK_KIND_PRODUCT_BF16); }

TEST(ByMatrices, Bytes) { checkLayouts(KILN_I8, KILN_I32, KILN_VK_KIND_PRODUCT_I8); }

TEST(ByMatrices, SplitFloats) {
  checkExact({20, 33, 70, KILN_F32, KILN_F32, false, true, 2, "fast"}, KILN_VK_KIND_PRODUCT_SPLIT);
  checkExact({32, 80, 64, KILN_F32, KILN_F32, true, false, 1, "fast"}, KILN_VK_KIND_PRODUCT_SPLIT);
}

/// Padding, strides and groups: windows are read element by element.
TEST(ByMatrices, Convolutions) {
  Ints input = {2, 16, 9, 8}, filter = {36, 8, 3, 3};
  Window window = plane(1, 2, 1, 1, 2);
  for (kiln_dtype operands : {KILN_F16, KILN_F32}) {
    TestKernel kernel("k0", "contract");
    uint32_t x = kernel.input(operands, fixed(input)), f = kernel.input(operands, fixed(filter));
    kernel.output(addConvolution(kernel, x, f, KILN_F32, fixed(resultOf(input, filter, window)), window));
    EXPECT_THAT(kindsOf("plain-matrices", kernel, "fast"),
                testing::ElementsAre(operands == KILN_F16 ? KILN_VK_KIND_PRODUCT_MATRIX : KILN_VK_KIND_PRODUCT_SPLIT));
    std::vector<Tensor> inputs = {wholeNumbers(operands, input, 1), wholeNumbers(operands, filter, 2)};
    for (const char *profile : profiles(featuresOf(operands))) {
      RunResult result = runOnDevice(profile, kernel, bytesOf(inputs), false, "fast");
      ASSERT_EQ(result.error, "") << profile;
      judge(kernel, inputs, result.bytes, 0, profile);
    }
  }
}

/// Exact is the default, and what has no matrices of its own takes none.
TEST(ByMatrices, OthersStay) {
  for (kiln_dtype dtype : {KILN_F32, KILN_F64, KILN_I32}) {
    TestKernel kernel = Product{32, 32, 32, dtype, dtype}.kernel();
    EXPECT_THAT(kindsOf("gpu", kernel), testing::ElementsAre(KILN_VK_KIND_PRODUCT_SHARED));
  }
  TestKernel unsigned8 = Product{32, 32, 32, KILN_U8, KILN_I32}.kernel();
  EXPECT_THAT(kindsOf("gpu", unsigned8, "fast"), testing::ElementsAre(KILN_VK_KIND_PRODUCT_SHARED));
  TestKernel small = Product{8, 32, 32, KILN_F32, KILN_F32}.kernel();
  EXPECT_THAT(kindsOf("gpu", small, "fast"), testing::ElementsAre(KILN_VK_KIND_PRODUCT_SHARED));
}

/// The bound that docs/vulkan-backend.md states: of the products' sizes added up 3 * 2^-18, and f32's own rounding.
/// (One bf16 a factor in place of two would be off by 2^-9.)
void checkSplit(const Product &product, const std::vector<Tensor> &inputs, const float *got, int64_t firstRow) {
  double largest = 0;
  for (int64_t i = firstRow; i < product.m; ++i)
    for (int64_t j = 0; j < product.n; ++j) {
      double sum = 0, size = 0;
      for (int64_t k = 0; k < product.k; ++k) {
        double term = inputs[0].get(i * product.k + k).real * inputs[1].get(k * product.n + j).real;
        sum += term;
        size += std::abs(term);
      }
      largest = std::max(largest, std::abs(got[i * product.n + j] - sum) / size);
    }
  std::printf("%.2g of the sizes added up\n", largest);
  EXPECT_LE(largest, 3 * std::ldexp(1, -18) + static_cast<double>(product.k) * std::ldexp(1, -24));
}

/// Numbers far apart in size, of which f16's parts would lose the small ones, and what is no number.
TEST(ByMatrices, ErrorOfSplitFloats) {
  Product product{48, 32, 64, KILN_F32, KILN_F32};
  product.math = "fast";
  TestKernel kernel = product.kernel();
  std::vector<Tensor> inputs = {randomTensor(KILN_F32, product.left(), -1, 1, 1),
                                randomTensor(KILN_F32, product.right(), 0.1, 1, 2)};
  for (int64_t i = 8 * product.k; i < inputs[0].count(); ++i)
    inputs[0].set(i, {std::ldexp(inputs[0].get(i).real, i / product.k % 2 ? 100 : -100), 0});
  auto put = [&](int64_t row, int64_t k, double value) { inputs[0].set(row * product.k + k, {value, 0}); };
  put(1, 5, infinity);
  put(2, 5, -infinity);
  put(3, 5, std::nan(""));
  put(4, 5, 3.402e38); // whose bf16 would be infinite, were it rounded up
  put(4, 6, -3.402e38);
  put(5, 5, 1e-39);                         // no normal number
  for (int64_t j = 0; j < product.n; ++j) { // so that no sum leaves f32
    inputs[1].set(5 * product.n + j, {0.25, 0});
    inputs[1].set(6 * product.n + j, {0.125, 0});
  }
  for (const char *profile : profiles(bfloats)) {
    SCOPED_TRACE(profile);
    RunResult result = runOnDevice(profile, kernel, bytesOf(inputs), false, "fast");
    ASSERT_EQ(result.error, "");
    const auto *got = reinterpret_cast<const float *>(result.bytes[0].data());
    checkSplit(product, inputs, got, 8);
    for (int64_t j = 0; j < product.n; ++j) {
      EXPECT_EQ(got[product.n + j], infinity);
      EXPECT_EQ(got[2 * product.n + j], -infinity);
      EXPECT_TRUE(std::isnan(got[3 * product.n + j]));
      EXPECT_NEAR(got[4 * product.n + j] / (3.402e38 / 8), 1, 1e-5);
      EXPECT_TRUE(std::isfinite(got[5 * product.n + j]));
    }
  }
}

} // namespace
