// Tensors longer than what a device binds at once (128 MiB on lavapipe): they come to a shader in parts.
#include "tests/backends/vulkan/compile/OnDevice.h"
#include <cstring>
#include <gtest/gtest.h>

using namespace kiln;
using namespace kiln::test;

namespace {

constexpr int64_t rows = 5'000'011, columns = 8; // 152.6 MiB of f32

/// Small whole numbers, different from row to row, so that sums and products are exact.
float valueAt(int64_t row, int64_t column) { return static_cast<float>((row * 13 + column * 5) % 31 - 15); }

std::vector<uint8_t> large() {
  std::vector<uint8_t> bytes(rows * columns * 4);
  auto *to = reinterpret_cast<float *>(bytes.data());
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column)
      to[row * columns + column] = valueAt(row, column);
  return bytes;
}

std::vector<uint8_t> bytesOf(const std::vector<float> &values) {
  std::vector<uint8_t> bytes(values.size() * 4);
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// Compares every element.
template <typename Expected>
void expectAll(const std::vector<uint8_t> &bytes, int64_t count, int64_t width, Expected expected) {
  ASSERT_EQ(bytes.size(), static_cast<size_t>(count * width * 4));
  const auto *got = reinterpret_cast<const float *>(bytes.data());
  for (int64_t row = 0; row < count; ++row)
    for (int64_t column = 0; column < width; ++column)
      ASSERT_EQ(got[row * width + column], expected(row, column)) << "row " << row << ", column " << column;
}

TEST(Large, Elementwise) {
  TestKernel kernel;
  uint32_t x = kernel.input(KILN_F32, {rows, columns});
  kernel.output(kernel.op("mul", {kernel.op("add", {x, x}), x}));
  RunResult outcome = runOnDevice("portable", kernel, {large()});
  ASSERT_EQ(outcome.error, "");
  expectAll(outcome.bytes[0], rows, columns, [](int64_t row, int64_t column) {
    float value = valueAt(row, column);
    return 2 * value * value;
  });
}

TEST(Large, SumsOfRows) {
  TestKernel kernel;
  uint32_t x = kernel.input(KILN_F32, {rows, columns});
  kernel.output(kernel.op("reduce", {x}, KILN_F32, {rows}, {string("kind", "sum"), ints("axes", {1})}));
  RunResult outcome = runOnDevice("portable", kernel, {large()});
  ASSERT_EQ(outcome.error, "");
  expectAll(outcome.bytes[0], rows, 1, [](int64_t row, int64_t) {
    float sum = 0;
    for (int64_t column = 0; column < columns; ++column)
      sum += valueAt(row, column);
    return sum;
  });
}

std::vector<float> weights() {
  std::vector<float> values(columns * 4);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(i % 5) - 2;
  return values;
}
float weightAt(int64_t row, int64_t column) { return static_cast<float>((row * 4 + column) % 5) - 2; }

TEST(Large, AProductThatReadsOne) {
  TestKernel kernel("k0", "contract");
  uint32_t x = kernel.input(KILN_F32, {rows, columns}), w = kernel.input(KILN_F32, {columns, 4});
  kernel.output(
      kernel.op("dot_general", {x, w}, KILN_F32, {rows, 4},
                {ints("lhs_batch", {}), ints("rhs_batch", {}), ints("lhs_contract", {1}), ints("rhs_contract", {0})}));
  RunResult outcome = runOnDevice("gpu", kernel, {large(), bytesOf(weights())});
  ASSERT_EQ(outcome.error, "");
  expectAll(outcome.bytes[0], rows, 4, [&](int64_t row, int64_t column) {
    float sum = 0;
    for (int64_t k = 0; k < columns; ++k)
      sum += valueAt(row, k) * weightAt(k, column);
    return sum;
  });
}

TEST(Large, AProductThatWritesOne) {
  std::vector<float> narrow(rows * 4);
  for (int64_t i = 0; i < rows * 4; ++i)
    narrow[static_cast<size_t>(i)] = valueAt(i / 4, i % 4);
  TestKernel kernel("k0", "contract");
  uint32_t x = kernel.input(KILN_F32, {rows, 4}), w = kernel.input(KILN_F32, {columns, 4});
  kernel.output(
      kernel.op("dot_general", {x, w}, KILN_F32, {rows, columns},
                {ints("lhs_batch", {}), ints("rhs_batch", {}), ints("lhs_contract", {1}), ints("rhs_contract", {1})}));
  RunResult outcome = runOnDevice("portable", kernel, {bytesOf(narrow), bytesOf(weights())});
  ASSERT_EQ(outcome.error, "");
  expectAll(outcome.bytes[0], rows, columns, [&](int64_t row, int64_t column) {
    float sum = 0;
    for (int64_t k = 0; k < 4; ++k)
      sum += valueAt(row, k) * weightAt(column, k);
    return sum;
  });
}

} // namespace
