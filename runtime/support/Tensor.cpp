// Elements read and written in their dtype, with one rounding.

#include "runtime/support/Tensor.h"

#include "runtime/support/Error.h"
#include "runtime/support/Integers.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <utility>

namespace kiln {

namespace {
struct DtypeInfo {
  const char *name;
  uint8_t bits;
  char kind;
  /// Whole bytes of numbers that a processor knows: those of fewer bits, eight-bit floats and quantized ones have none.
  constexpr bool hasHostForm() const { return bits >= 8 && !(kind == 'f' && bits == 8); }
};
constexpr DtypeInfo dtypes[] = {
#define KILN_DTYPE(number, name, bits, kind) {name, bits, kind},
#include "backends/api/dtypes.inc"
#undef KILN_DTYPE
};

const DtypeInfo *info(kiln_dtype dtype) {
  bool known = static_cast<size_t>(dtype) < std::size(dtypes) && dtypes[dtype].hasHostForm();
  return known ? &dtypes[dtype] : nullptr;
}

template <typename T> T load(const void *data, int64_t i) {
  T value;
  std::memcpy(&value, static_cast<const char *>(data) + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}
template <typename T> void store(void *data, int64_t i, T value) {
  std::memcpy(static_cast<char *>(data) + i * static_cast<int64_t>(sizeof(T)), &value, sizeof(T));
}

/// Least and greatest value of an integer dtype, as i64 (u64's upper half is checked apart).
std::pair<int64_t, int64_t> integerRange(kiln_dtype dtype) {
  switch (dtype) {
  case KILN_I8:
    return {INT8_MIN, INT8_MAX};
  case KILN_U8:
    return {0, UINT8_MAX};
  case KILN_I16:
    return {INT16_MIN, INT16_MAX};
  case KILN_U16:
    return {0, UINT16_MAX};
  case KILN_I32:
    return {INT32_MIN, INT32_MAX};
  case KILN_U32:
    return {0, UINT32_MAX};
  case KILN_BOOL:
    return {0, 1};
  case KILN_U64:
    return {0, INT64_MAX};
  default:
    return {INT64_MIN, INT64_MAX};
  }
}
} // namespace

size_t dtypeSize(kiln_dtype dtype) {
  const DtypeInfo *found = info(dtype);
  return found ? found->bits / 8u : 0;
}
const char *dtypeName(kiln_dtype dtype) {
  const DtypeInfo *found = info(dtype);
  return found ? found->name : "?";
}
std::optional<kiln_dtype> dtypeFromName(std::string_view name) {
  for (size_t i = 0; i < std::size(dtypes); ++i)
    if (name == dtypes[i].name && dtypes[i].hasHostForm())
      return static_cast<kiln_dtype>(i);
  return std::nullopt;
}
bool isFloat(kiln_dtype dtype) {
  const DtypeInfo *found = info(dtype);
  return found && found->kind == 'f';
}

float bfloatToFloat(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

uint16_t floatToBfloat(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value))
    return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float halfToFloat(uint16_t bits) {
  uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16, exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  if (exponent == 31)
    return std::bit_cast<float>(sign | 0x7f800000 | mantissa << 13);
  if (exponent == 0) {
    float magnitude = std::ldexp(static_cast<float>(mantissa), -24);
    return sign ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
}

uint16_t floatToHalf(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value), sign = (bits >> 16) & 0x8000;
  if (std::isnan(value))
    return static_cast<uint16_t>(sign | 0x7e00);
  float magnitude = std::fabs(value);
  if (magnitude >= 65520.0f)
    return static_cast<uint16_t>(sign | 0x7c00);
  if (magnitude < 6.103515625e-05f) // subnormal: nearbyint rounds ties to even
    return static_cast<uint16_t>(sign | static_cast<uint32_t>(std::nearbyint(std::ldexp(magnitude, 24))));
  uint32_t rounded = (bits & 0x7fffffff) + 0xfff + ((bits >> 13) & 1);
  return static_cast<uint16_t>(sign | ((rounded - (112u << 23)) >> 13));
}

/// Towards zero, and odd where that is inexact: rounded to 16 bits then, a number is rounded once.
static float roundedToOdd(double value) {
  float near = static_cast<float>(value);
  double have = std::fabs(static_cast<double>(near)), want = std::fabs(value);
  uint32_t bits = std::bit_cast<uint32_t>(near);
  if (have > want)
    --bits;
  return have > want || have < want ? std::bit_cast<float>(bits | 1) : near;
}

double loadNumber(kiln_dtype dtype, const void *data, int64_t i) {
  switch (dtype) {
  case KILN_F32:
    return load<float>(data, i);
  case KILN_F64:
    return load<double>(data, i);
  case KILN_BF16:
    return bfloatToFloat(load<uint16_t>(data, i));
  case KILN_F16:
    return halfToFloat(load<uint16_t>(data, i));
  case KILN_U64:
    return static_cast<double>(load<uint64_t>(data, i));
  default:
    return static_cast<double>(loadInteger(dtype, data, i));
  }
}

int64_t loadInteger(kiln_dtype dtype, const void *data, int64_t i) {
  switch (dtype) {
  case KILN_I8:
    return load<int8_t>(data, i);
  case KILN_U8:
    return load<uint8_t>(data, i);
  case KILN_BOOL:
    return load<uint8_t>(data, i) != 0;
  case KILN_I16:
    return load<int16_t>(data, i);
  case KILN_U16:
    return load<uint16_t>(data, i);
  case KILN_I32:
    return load<int32_t>(data, i);
  case KILN_U32:
    return load<uint32_t>(data, i);
  case KILN_I64:
  case KILN_U64:
    return load<int64_t>(data, i);
  default:
    return toInteger(loadNumber(dtype, data, i));
  }
}

void storeNumber(kiln_dtype dtype, void *data, int64_t i, double value) {
  switch (dtype) {
  case KILN_F32:
    return store(data, i, static_cast<float>(value));
  case KILN_F64:
    return store(data, i, value);
  case KILN_BF16:
    return store(data, i, floatToBfloat(roundedToOdd(value)));
  case KILN_F16:
    return store(data, i, floatToHalf(roundedToOdd(value)));
  default:
    auto [least, most] = integerRange(dtype);
    return storeInteger(dtype, data, i, std::clamp(toInteger(value), least, most));
  }
}

void storeInteger(kiln_dtype dtype, void *data, int64_t i, int64_t value) {
  switch (dtypeSize(dtype)) {
  case 1:
    return store(data, i, static_cast<int8_t>(value));
  case 2:
    if (isFloat(dtype))
      return storeNumber(dtype, data, i, static_cast<double>(value));
    return store(data, i, static_cast<int16_t>(value));
  case 4:
    if (dtype == KILN_F32)
      return store(data, i, static_cast<float>(value));
    return store(data, i, static_cast<int32_t>(value));
  default:
    if (dtype == KILN_F64)
      return store(data, i, static_cast<double>(value));
    return store(data, i, value);
  }
}

bool convertElements(kiln_dtype from, const void *source, kiln_dtype to, void *target, int64_t count,
                     std::string &why) {
  if (from == to && to != KILN_BOOL) {
    if (count > 0)
      std::memcpy(target, source, static_cast<size_t>(count) * dtypeSize(to));
    return true;
  }
  // Pixels and flags: every integer of at most 16 bits is exact in f32.
  if ((to == KILN_F32 || to == KILN_F64) && !isFloat(from) && dtypeSize(from) <= 2) {
    for (int64_t i = 0; i < count; ++i)
      storeNumber(to, target, i, loadNumber(from, source, i));
    return true;
  }
  if (isFloat(from) != isFloat(to)) {
    why = format("%s does not convert to %s", dtypeName(from), dtypeName(to));
    return false;
  }
  if (isFloat(from)) {
    for (int64_t i = 0; i < count; ++i)
      storeNumber(to, target, i, loadNumber(from, source, i));
    return true;
  }
  auto [least, most] = integerRange(to);
  for (int64_t i = 0; i < count; ++i) {
    int64_t value = from == KILN_BOOL ? load<uint8_t>(source, i) : loadInteger(from, source, i);
    if (value < least || value > most || (from == KILN_U64 && value < 0)) {
      why = format("element %lld is %lld, which %s cannot hold", static_cast<long long>(i),
                   static_cast<long long>(value), dtypeName(to));
      return false;
    }
    storeInteger(to, target, i, value);
  }
  return true;
}

std::string describeShape(std::span<const int64_t> shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

std::string describeType(kiln_dtype dtype, std::span<const int64_t> shape) {
  return dtypeName(dtype) + describeShape(shape);
}

std::optional<int64_t> countElements(std::span<const int64_t> shape) {
  int64_t count = 1;
  for (int64_t dim : shape)
    if (dim < 0 || __builtin_mul_overflow(count, dim, &count))
      return std::nullopt;
  return count;
}

Memory::Memory(size_t bytes) : size_(bytes) {
  // calloc takes large blocks straight from the kernel, zeroed; the alignment needs a little slack in front.
  if (bytes > SIZE_MAX - 128)
    throw Error("out of memory: a tensor is too large");
  void *raw = std::calloc(bytes + 128, 1);
  if (!raw)
    fail("out of memory: %zu bytes were asked for", bytes);
  // Large ones in large pages: hundreds of page faults less as they are filled.
  constexpr uintptr_t page = 4096;
  uintptr_t first = (reinterpret_cast<uintptr_t>(raw) + page - 1) / page * page;
  if (bytes >= (1u << 22))
    madvise(reinterpret_cast<void *>(first), bytes / page * page - page, MADV_HUGEPAGE);
  uintptr_t aligned = (reinterpret_cast<uintptr_t>(raw) + 64 + 63) / 64 * 64;
  data_ = reinterpret_cast<uint8_t *>(aligned);
  reinterpret_cast<void **>(data_)[-1] = raw;
}

Memory::Memory(Memory &&other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)), borrowed_(other.borrowed_) {}

Memory &Memory::operator=(Memory &&other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(borrowed_, other.borrowed_);
  return *this;
}

Memory::~Memory() {
  if (data_ && !borrowed_)
    std::free(reinterpret_cast<void **>(data_)[-1]);
}

Tensor Tensor::unplaced(std::string name, kiln_dtype dtype, std::vector<int64_t> shape) {
  Tensor tensor;
  tensor.name = std::move(name), tensor.dtype = dtype, tensor.shape = std::move(shape);
  std::optional<int64_t> count = countElements(tensor.shape);
  int64_t bytes = 0;
  if (!count || __builtin_mul_overflow(*count, static_cast<int64_t>(dtypeSize(dtype)), &bytes))
    fail("'%s' has the shape %s, which no memory holds", tensor.name.c_str(), describeShape(tensor.shape).c_str());
  return tensor;
}

Tensor::Tensor(std::string name, kiln_dtype dtype, std::vector<int64_t> shape)
    : Tensor(unplaced(std::move(name), dtype, std::move(shape))) {
  memory = Memory(bytes());
}

} // namespace kiln
