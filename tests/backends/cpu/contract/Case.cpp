#include "tests/backends/cpu/contract/Case.h"
#include <cstring>
#include <random>

namespace contract {

size_t sizeOf(kiln_dtype dtype) {
  switch (dtype) {
  case KILN_F64:
  case KILN_I64:
    return 8;
  case KILN_BF16:
  case KILN_F16:
    return 2;
  case KILN_I8:
  case KILN_U8:
  case KILN_BOOL:
    return 1;
  default:
    return 4;
  }
}

Tensor filled(const Ints &dims, unsigned seed, int64_t range) {
  Tensor tensor(dims);
  std::mt19937 random(seed);
  for (double &x : tensor.data)
    x = static_cast<double>(static_cast<int64_t>(random() % static_cast<unsigned>(2 * range + 1)) - range);
  return tensor;
}

template <class T> static void put(std::vector<char> &bytes, size_t i, double x) {
  T value = T(x);
  std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
}
template <class T> static double get(const std::vector<char> &bytes, size_t i) {
  T value;
  std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
  return static_cast<double>(value);
}

static uint16_t toBf16(double x) {
  float f = static_cast<float>(x);
  uint32_t bits;
  std::memcpy(&bits, &f, 4);
  return static_cast<uint16_t>(bits >> 16); // exact for the small whole numbers used
}

std::vector<char> encode(const Tensor &tensor, kiln_dtype dtype) {
  std::vector<char> bytes(tensor.data.size() * sizeOf(dtype));
  for (size_t i = 0; i < tensor.data.size(); ++i) {
    double x = tensor.data[i];
    switch (dtype) {
    case KILN_F64:
      put<double>(bytes, i, x);
      break;
    case KILN_I64:
      put<int64_t>(bytes, i, x);
      break;
    case KILN_I32:
    case KILN_U32:
      put<int32_t>(bytes, i, x);
      break;
    case KILN_I8:
    case KILN_U8:
      put<int8_t>(bytes, i, x);
      break;
    case KILN_BF16: {
      uint16_t bits = toBf16(x);
      std::memcpy(bytes.data() + 2 * i, &bits, 2);
      break;
    }
    case KILN_F16: {
      _Float16 half = _Float16(x);
      std::memcpy(bytes.data() + 2 * i, &half, 2);
      break;
    }
    default:
      put<float>(bytes, i, x);
    }
  }
  return bytes;
}

Tensor decode(const std::vector<char> &bytes, kiln_dtype dtype, const Ints &dims) {
  Tensor tensor(dims);
  for (size_t i = 0; i < tensor.data.size(); ++i) {
    double &x = tensor.data[i];
    switch (dtype) {
    case KILN_F64:
      x = get<double>(bytes, i);
      break;
    case KILN_I64:
      x = get<int64_t>(bytes, i);
      break;
    case KILN_I32:
      x = get<int32_t>(bytes, i);
      break;
    case KILN_U32:
      x = get<uint32_t>(bytes, i);
      break;
    case KILN_I8:
      x = get<int8_t>(bytes, i);
      break;
    case KILN_U8:
      x = get<uint8_t>(bytes, i);
      break;
    case KILN_BF16: {
      uint16_t half;
      std::memcpy(&half, bytes.data() + 2 * i, 2);
      uint32_t bits = static_cast<uint32_t>(half) << 16;
      float f;
      std::memcpy(&f, &bits, 4);
      x = f;
      break;
    }
    case KILN_F16: {
      _Float16 half;
      std::memcpy(&half, bytes.data() + 2 * i, 2);
      x = static_cast<double>(half);
      break;
    }
    default:
      x = get<float>(bytes, i);
    }
  }
  return tensor;
}

void expectEqual(const Tensor &actual, const Tensor &expected, double tolerance) {
  ASSERT_EQ(actual.data.size(), expected.data.size());
  for (size_t i = 0; i < expected.data.size(); ++i)
    if (!(std::abs(actual.data[i] - expected.data[i]) <= tolerance * std::max(1.0, std::abs(expected.data[i])))) {
      FAIL() << "element " << i << " of " << expected.data.size() << ": " << actual.data[i] << ", expected "
             << expected.data[i];
    }
}

} // namespace contract
