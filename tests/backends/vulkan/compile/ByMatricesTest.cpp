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

/// As a model has them, whose products of i8 stay i8: converted in the kernel.
TEST(ByMatrices, BytesConverted) {
  TestKernel kernel("k0", "contract");
  uint32_t x = kernel.input(KILN_I8, {40, 33}), y = kernel.input(KILN_I8, {33, 36});
  uint32_t l = kernel.op("convert", {x}, KILN_I32, {40, 33}), r = kernel.op("convert", {y}, KILN_I32, {33, 36});
  kernel.output(
      kernel.op("dot_general", {l, r}, KILN_I32, {40, 36},
                {ints("lhs_batch", {}), ints("rhs_batch", {}), ints("lhs_contract", {1}), ints("rhs_contract", {0})}));
  EXPECT_THAT(kindsOf("plain-matrices", kernel), testing::ElementsAre(KILN_VK_KIND_PRODUCT_I8));
  std::vector<Tensor> inputs = {wholeNumbers(KILN_I8, {40, 33}, 1, 127), wholeNumbers(KILN_I8, {33, 36}, 2, 127)};
  for (const char *profile : profiles(bytes)) {
    RunResult result = runOnDevice(profile, kernel, bytesOf(inputs));
    ASSERT_EQ(result.error, "") << profile;
    judge(kernel, inputs, result.bytes, 0, profile);
  }
}

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

//===-- Attention -------------------------------------------------------------------------------------------------===//

struct Attention {
  kiln_dtype dtype;
  int64_t heads, groups, queries, keys, width, valueWidth;
  bool causal = false, masked = false;
  int64_t window = 0, start = -1;
  const char *math = "";
  bool turned = false; // keys lie with their width outside, and are transposed in the kernel
  double cap = 0;      // of the scores; 0: none
  static constexpr double scale = 0.3;

  double scoreOf(double product) const { return cap > 0 ? cap * std::tanh(product * scale / cap) : product * scale; }
  bool sees(int64_t batch, int64_t t, int64_t s) const {
    int64_t place = t + (start < 0 ? keys - queries : start);
    if (causal && (s > place || (window && s <= place - window)))
      return false;
    return !masked || isKept(batch, s);
  }
  static bool isKept(int64_t batch, int64_t key) { return batch == 0 && key % 3 != 1; }
};

/// Results and logarithms of sums, by plain loops in double.
std::pair<std::vector<double>, std::vector<double>> attend(const Attention &c, const std::vector<Tensor> &in) {
  std::vector<double> results, logarithms;
  auto at = [](const Tensor &tensor, int64_t head, int64_t row, int64_t d, int64_t rows, int64_t width) {
    return tensor.get((head * rows + row) * width + d).real;
  };
  for (int64_t head = 0; head < 2 * c.heads; ++head)
    for (int64_t t = 0; t < c.queries; ++t) {
      std::vector<double> sums(static_cast<size_t>(c.valueWidth));
      double total = 0;
      for (int64_t s = 0; s < c.keys; ++s) {
        double score = 0;
        for (int64_t d = 0; d < c.width; ++d)
          score += at(in[0], head, t, d, c.queries, c.width) * at(in[1], head / c.groups, s, d, c.keys, c.width);
        double share = c.sees(head / c.heads, t, s) ? std::exp(c.scoreOf(score)) : 0;
        total += share;
        for (int64_t d = 0; d < c.valueWidth; ++d)
          sums[static_cast<size_t>(d)] += share * at(in[2], head / c.groups, s, d, c.keys, c.valueWidth);
      }
      for (double sum : sums)
        results.push_back(total == 0 ? 0 : sum / total);
      logarithms.push_back(total == 0 ? infinity : std::log(total));
    }
  return {results, logarithms};
}

void checkNear(const Tensor &got, const std::vector<double> &expected, double tolerance) {
  int bad = 0;
  for (size_t i = 0; i < expected.size() && bad < 4; ++i) {
    double value = got.get(static_cast<int64_t>(i)).real;
    if (value != expected[i] && !(std::abs(value - expected[i]) <= tolerance * std::max(1.0, std::abs(expected[i]))))
      ++bad, ADD_FAILURE() << "element " << i << ": " << value << ", expected " << expected[i];
  }
}

void checkAttention(const Attention &c, uint32_t kind, double tolerance) {
  SCOPED_TRACE(std::to_string(c.queries) + " x " + std::to_string(c.keys) + " x " + std::to_string(c.width));
  TestKernel kernel("k0", "attention");
  Ints qs = {2, c.heads, c.queries, c.width}, ks = {2, c.heads / c.groups, c.keys, c.width},
       vs = {2, c.heads / c.groups, c.keys, c.valueWidth};
  Ints stored = c.turned ? Ints{ks[0], ks[1], ks[3], ks[2]} : ks;
  std::vector<uint32_t> operands = {kernel.input(c.dtype, fixed(qs)), kernel.input(c.dtype, fixed(stored)),
                                    kernel.input(c.dtype, fixed(vs))};
  if (c.turned)
    operands[1] = kernel.op("transpose", {operands[1]}, c.dtype, fixed(ks), {ints("permutation", {0, 1, 3, 2})});
  std::vector<Tensor> inputs = {randomTensor(c.dtype, qs, -2, 2, 1), randomTensor(c.dtype, ks, -2, 2, 2),
                                randomTensor(c.dtype, vs, -1, 1, 3)};
  if (c.masked) {
    operands.push_back(kernel.input(KILN_BOOL, {2, 1, 1, c.keys}));
    inputs.push_back(Tensor::make(KILN_BOOL, {2, 1, 1, c.keys}));
    for (int64_t i = 0; i < inputs.back().count(); ++i)
      inputs.back().set(i, {0, Attention::isKept(i / c.keys, i % c.keys)}); // the second batch sees nothing
  }
  if (c.start >= 0) {
    operands.push_back(kernel.input(KILN_I32, {}));
    inputs.push_back(Tensor::make(KILN_I32, {}));
    inputs.back().set(0, {0, c.start});
  }
  std::vector<Attr> attributes = {Attr::real("scale", Attention::scale), integer("causal", c.causal)};
  if (c.groups > 1)
    attributes.push_back(integer("groups", c.groups));
  if (c.window)
    attributes.push_back(integer("sliding_window", c.window));
  if (c.cap > 0)
    attributes.push_back(Attr::real("softcap", c.cap));
  kernel.output(kernel.op(c.cap > 0 ? "capped_attention" : "attention", operands, c.dtype,
                          {2, c.heads, c.queries, c.valueWidth}, attributes));
  kernel.output(kernel.another(KILN_F32, {{2, -1}, {c.heads, -1}, {c.queries, -1}}));
  auto [results, logarithms] = attend(c, inputs);
  if (c.turned) {
    Tensor keys = Tensor::make(c.dtype, stored);
    for (int64_t i = 0; i < keys.count(); ++i)
      keys.set(i,
               inputs[1].get(i / (c.keys * c.width) * c.keys * c.width + i % c.keys * c.width + i / c.keys % c.width));
    inputs[1] = keys;
  }
  EXPECT_THAT(kindsOf("plain-matrices", kernel, c.math), testing::ElementsAre(kind));
  EXPECT_THAT(kindsOf("gpu", kernel, c.math), testing::ElementsAre(kind, KILN_VK_KIND_ATTENTION_SHARED));
  for (const char *profile : profiles(featuresOf(c.dtype))) {
    RunResult result = runOnDevice(profile, kernel, bytesOf(inputs), false, c.math);
    SCOPED_TRACE(profile);
    ASSERT_EQ(result.error, "");
    decode(kernel, result);
    checkNear(result.outputs[0], results, tolerance);
    checkNear(result.outputs[1], logarithms, 1e-4);
  }
}

/// Edges of queries and keys, more than one workgroup of a head, keys that several heads share.
TEST(ByMatrices, AttentionOfHalves) {
  checkAttention({KILN_F16, 4, 2, 70, 45, 32, 32}, KILN_VK_KIND_ATTENTION_MATRIX, 1e-3);
  checkAttention({KILN_F16, 1, 1, 40, 90, 96, 32, true}, KILN_VK_KIND_ATTENTION_MATRIX, 1e-3);
  checkAttention({KILN_F16, 1, 1, 20, 80, 32, 32, true, true, 17, 50}, KILN_VK_KIND_ATTENTION_MATRIX, 1e-3);
}

TEST(ByMatrices, AttentionWithASoftCap) {
  checkAttention({KILN_F16, 2, 1, 40, 45, 32, 32, true, true, 17, -1, "", false, 1.5}, KILN_VK_KIND_ATTENTION_MATRIX,
                 1e-3);
}

TEST(ByMatrices, AttentionOfBfloats) {
  checkAttention({KILN_BF16, 2, 1, 33, 64, 32, 32, true}, KILN_VK_KIND_ATTENTION_MATRIX, 8e-3);
  checkAttention({KILN_BF16, 1, 1, 33, 40, 32, 32, false, false, 0, -1, "fast", true}, KILN_VK_KIND_ATTENTION_MATRIX,
                 8e-3);
}

TEST(ByMatrices, AttentionOfSplitFloats) {
  checkAttention({KILN_F32, 1, 1, 40, 33, 32, 32, false, false, 0, -1, "fast"}, KILN_VK_KIND_ATTENTION_MATRIX, 5e-5);
  checkAttention({KILN_F32, 2, 2, 40, 70, 32, 32, true, true, 0, -1, "fast", true}, KILN_VK_KIND_ATTENTION_MATRIX,
                 5e-5);
}

} // namespace
