// Elements to doubles and integers, and back with one rounding.

#include "backends/reference/run/Tensor.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace kiln::reference {

bool product(Ints extents, int64_t &result) {
  result = 1;
  for (int64_t extent : extents)
    if (extent < 0 || __builtin_mul_overflow(result, extent, &result))
      return false;
  return true;
}

int64_t Tensor::size() const {
  int64_t count = 1;
  for (int64_t dim : shape)
    count *= dim;
  return count;
}

Shape Tensor::strides() const {
  Shape result(shape.size(), 1);
  for (size_t axis = shape.size(); axis-- > 1;)
    result[axis - 1] = result[axis] * shape[axis];
  return result;
}

void Tensor::allocate() {
  floats.assign(isFloat() ? static_cast<size_t>(size()) : 0, 0.0);
  integers.assign(isFloat() ? 0 : static_cast<size_t>(size()), 0);
}

//===-- Dtypes ----------------------------------------------------------------------------------------------------===//

unsigned widthOf(kiln_dtype dtype) { return static_cast<unsigned>(sdk::bitWidth(dtype)); }

int64_t wrapTo(kiln_dtype dtype, int64_t value) {
  switch (dtype) {
  case KILN_BOOL:
    return value != 0;
  case KILN_I8:
    return static_cast<int8_t>(value);
  case KILN_U8:
    return static_cast<uint8_t>(value);
  case KILN_I32:
    return static_cast<int32_t>(value);
  case KILN_U32:
    return static_cast<uint32_t>(value);
  default:
    return value;
  }
}

int64_t highestOf(kiln_dtype dtype) {
  if (dtype == KILN_BOOL)
    return 1;
  return static_cast<int64_t>((uint64_t{1} << (widthOf(dtype) - (sdk::isSigned(dtype) ? 1 : 0))) - 1);
}

int64_t lowestOf(kiln_dtype dtype) { return sdk::isSigned(dtype) ? -highestOf(dtype) - 1 : 0; }

int64_t saturateTo(kiln_dtype dtype, double value) {
  if (dtype == KILN_BOOL)
    return value != 0.0;
  if (std::isnan(value))
    return 0;
  double whole = std::trunc(value);
  int64_t lowest = lowestOf(dtype), highest = highestOf(dtype);
  if (whole <= static_cast<double>(lowest))
    return lowest;
  // highest may round up to 2^63 as a double: not below it means saturated.
  return whole >= static_cast<double>(highest) ? highest : static_cast<int64_t>(whole);
}

/// To `digits` binary digits, with the exponents of a format: nearest, ties to even, straight from the double.
static double roundNarrow(double value, int digits, int lowestExponent, double largest) {
  if (!std::isfinite(value) || value == 0)
    return value;
  int exponent = std::max(std::ilogb(value), lowestExponent) - (digits - 1);
  double rounded = std::ldexp(std::nearbyint(std::ldexp(value, -exponent)), exponent);
  return std::fabs(rounded) > largest ? std::copysign(std::numeric_limits<double>::infinity(), value) : rounded;
}

double roundTo(kiln_dtype dtype, double value) {
  switch (dtype) {
  case KILN_F32:
    return static_cast<double>(static_cast<float>(value));
  case KILN_BF16:
    return roundNarrow(value, 8, -126, 0x1.FEp127);
  case KILN_F16:
    return roundNarrow(value, 11, -14, 65504);
  default:
    return value;
  }
}

void Tensor::round() {
  if (dtype != KILN_F64)
    for (double &value : floats)
      value = roundTo(dtype, value);
}

void Tensor::wrap() {
  for (int64_t &value : integers)
    value = wrapTo(dtype, value);
}

//===-- Memory ----------------------------------------------------------------------------------------------------===//

static double halfToDouble(uint16_t bits) {
  int exponent = (bits >> 10) & 31, fraction = bits & 1023;
  double magnitude = exponent == 31 ? (fraction ? std::nan("") : std::numeric_limits<double>::infinity())
                     : exponent     ? std::ldexp(fraction + 1024, exponent - 25)
                                    : std::ldexp(fraction, -24);
  return bits & 0x8000 ? -magnitude : magnitude;
}

/// Of a value that has been rounded to it.
static uint16_t halfFromDouble(double value) {
  uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  double magnitude = std::fabs(value);
  if (std::isnan(value))
    return static_cast<uint16_t>(sign | 0x7e00);
  if (std::isinf(value))
    return static_cast<uint16_t>(sign | 0x7c00);
  if (magnitude < 0x1p-14)
    return static_cast<uint16_t>(sign | static_cast<uint16_t>(std::ldexp(magnitude, 24)));
  int exponent = std::ilogb(magnitude);
  return static_cast<uint16_t>(sign | static_cast<uint16_t>((exponent + 15) << 10) |
                               (static_cast<uint16_t>(std::ldexp(magnitude, 10 - exponent)) & 1023));
}

static double brainToDouble(uint16_t bits) {
  uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return static_cast<double>(value);
}

static uint16_t brainFromDouble(double value) {
  float narrow = static_cast<float>(value);
  uint32_t bits;
  std::memcpy(&bits, &narrow, sizeof bits);
  return static_cast<uint16_t>(std::isnan(value) ? (bits >> 16) | 0x40 : bits >> 16);
}

template <typename M, typename T, typename F> static void read(const uint8_t *memory, std::vector<T> &to, F convert) {
  for (size_t i = 0; i < to.size(); ++i) {
    M element;
    std::memcpy(&element, memory + i * sizeof(M), sizeof(M));
    to[i] = convert(element);
  }
}

template <typename M, typename T, typename F>
static void write(uint8_t *memory, const std::vector<T> &from, F convert) {
  for (size_t i = 0; i < from.size(); ++i) {
    M element = convert(from[i]);
    std::memcpy(memory + i * sizeof(M), &element, sizeof(M));
  }
}

void Tensor::load(const uint8_t *memory) {
  floats.resize(isFloat() ? static_cast<size_t>(size()) : 0);
  integers.resize(isFloat() ? 0 : static_cast<size_t>(size()));
  auto real = [](auto x) { return static_cast<double>(x); };
  auto whole = [](auto x) { return static_cast<int64_t>(x); };
  switch (dtype) {
  case KILN_F32:
    return read<float>(memory, floats, real);
  case KILN_F64:
    return read<double>(memory, floats, real);
  case KILN_BF16:
    return read<uint16_t>(memory, floats, brainToDouble);
  case KILN_F16:
    return read<uint16_t>(memory, floats, halfToDouble);
  case KILN_I8:
    return read<int8_t>(memory, integers, whole);
  case KILN_I32:
    return read<int32_t>(memory, integers, whole);
  case KILN_U32:
    return read<uint32_t>(memory, integers, whole);
  case KILN_I64:
    return read<int64_t>(memory, integers, whole);
  case KILN_BOOL:
    return read<uint8_t>(memory, integers, [](uint8_t x) { return static_cast<int64_t>(x != 0); });
  default:
    return read<uint8_t>(memory, integers, whole);
  }
}

void Tensor::store(uint8_t *memory) const {
  switch (dtype) {
  case KILN_F32:
    return write<float>(memory, floats, [](double x) { return static_cast<float>(x); });
  case KILN_F64:
    return write<double>(memory, floats, [](double x) { return x; });
  case KILN_BF16:
    return write<uint16_t>(memory, floats, [](double x) { return brainFromDouble(roundTo(KILN_BF16, x)); });
  case KILN_F16:
    return write<uint16_t>(memory, floats, [](double x) { return halfFromDouble(roundTo(KILN_F16, x)); });
  case KILN_I32:
  case KILN_U32:
    return write<uint32_t>(memory, integers, [](int64_t x) { return static_cast<uint32_t>(x); });
  case KILN_I64:
    return write<int64_t>(memory, integers, [](int64_t x) { return x; });
  default:
    return write<uint8_t>(memory, integers, [](int64_t x) { return static_cast<uint8_t>(x); });
  }
}

//===-- Strided copies --------------------------------------------------------------------------------------------===//

static bool reaches(Ints shape, int64_t base, Ints strides, int64_t size) {
  int64_t low = base, high = base;
  for (size_t d = 0; d < shape.size(); ++d) {
    int64_t span;
    if (shape[d] == 0)
      return true;
    if (__builtin_mul_overflow(shape[d] - 1, strides[d], &span) ||
        __builtin_add_overflow(span < 0 ? low : high, span, span < 0 ? &low : &high))
      return false;
  }
  return low >= 0 && high < size;
}

bool copyStrided(Ints shape, const Tensor &from, int64_t fromBase, Ints fromStrides, Tensor &to, int64_t toBase,
                 Ints toStrides) {
  if (from.dtype != to.dtype || fromStrides.size() != shape.size() || toStrides.size() != shape.size() ||
      !reaches(shape, fromBase, fromStrides, from.size()) || !reaches(shape, toBase, toStrides, to.size()))
    return false;
  onStorage(to, [&](auto kind) {
    using T = decltype(kind);
    const T *source = from.data<T>().data();
    T *target = to.data<T>().data();
    walk<2>(shape, {fromStrides, toStrides}, {fromBase, toBase}, [&](auto at, int64_t count, auto step) {
      for (int64_t i = 0; i < count; ++i)
        target[at[1] + i * step[1]] = source[at[0] + i * step[0]];
    });
  });
  return true;
}

} // namespace kiln::reference
