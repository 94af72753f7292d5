// Tensors in host memory: a dtype, a shape, and 64-byte aligned bytes.
#pragma once

#include "backends/api/kiln_backend.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

/// Bytes that one element takes; 0 for a dtype that has no host form.
size_t dtypeSize(kiln_dtype dtype);
/// "f32", "bool", ...
const char *dtypeName(kiln_dtype dtype);
std::optional<kiln_dtype> dtypeFromName(std::string_view name);
bool isFloat(kiln_dtype dtype);

float halfToFloat(uint16_t bits);
uint16_t floatToHalf(float value);
float bfloatToFloat(uint16_t bits);
uint16_t floatToBfloat(float value);

/// Element i of an array, widened (i64 beyond 2^53 loses digits: use loadInteger).
double loadNumber(kiln_dtype dtype, const void *data, int64_t i);
int64_t loadInteger(kiln_dtype dtype, const void *data, int64_t i);
/// Rounds to the dtype; integers must fit (the caller checks).
void storeNumber(kiln_dtype dtype, void *data, int64_t i, double value);
void storeInteger(kiln_dtype dtype, void *data, int64_t i, int64_t value);

/// Copies `count` elements, converting: between floats by rounding, between integers where every value fits, bool from
/// 0 and 1, and integers of up to 16 bits to f32 and f64. False, with the reason in `why`, where a value does not fit
/// or the kinds do not convert.
bool convertElements(kiln_dtype from, const void *source, kiln_dtype to, void *target, int64_t count, std::string &why);

/// "f32[2, 3]"
std::string describeType(kiln_dtype dtype, std::span<const int64_t> shape);
std::string describeShape(std::span<const int64_t> shape);
/// nullopt when the product overflows or a dimension is negative.
std::optional<int64_t> countElements(std::span<const int64_t> shape);

/// 64-byte aligned zeroed memory. Large blocks come from the kernel's zero pages.
class Memory {
public:
  Memory() = default;
  explicit Memory(size_t bytes);
  Memory(Memory &&other) noexcept;
  Memory &operator=(Memory &&other) noexcept;
  ~Memory();

  /// A part of somebody else's, which outlives it.
  Memory(uint8_t *data, size_t bytes) : data_(data), size_(bytes), borrowed_(true) {}

  uint8_t *data() { return data_; }
  const uint8_t *data() const { return data_; }
  size_t size() const { return size_; }

private:
  uint8_t *data_ = nullptr;
  size_t size_ = 0;
  bool borrowed_ = false;
};

struct TensorView;
/// What makes tensors' bytes when they are read, which are too many to lie in memory all at once.
class TensorSource {
public:
  virtual ~TensorSource() = default;
  /// Into `view.bytes` bytes of zeros.
  virtual void make(const TensorView &view, uint8_t *to) const = 0;
};

/// A tensor that somebody else owns.
struct TensorView {
  std::string name;
  kiln_dtype dtype = KILN_F32;
  std::vector<int64_t> shape;
  const uint8_t *data = nullptr; ///< null where there is a source: read by MadeBytes
  size_t bytes = 0;
  const TensorSource *source = nullptr;
};

struct Tensor {
  Tensor() = default;
  Tensor(std::string name, kiln_dtype dtype, std::vector<int64_t> shape);
  /// The same without memory. Throws Error where none could hold it.
  static Tensor unplaced(std::string name, kiln_dtype dtype, std::vector<int64_t> shape);

  TensorView view() const { return {name, dtype, shape, memory.data(), bytes()}; }
  int64_t count() const { return countElements(shape).value_or(0); }
  size_t bytes() const { return static_cast<size_t>(count()) * dtypeSize(dtype); }
  template <typename T> T *as() { return reinterpret_cast<T *>(memory.data()); }
  template <typename T> const T *as() const { return reinterpret_cast<const T *>(memory.data()); }

  std::string name;
  kiln_dtype dtype = KILN_F32;
  std::vector<int64_t> shape;
  Memory memory;
};

/// A view with its bytes, made where they have a source, for as long as this lasts.
class MadeBytes {
public:
  explicit MadeBytes(const TensorView &tensor) : view(tensor) {
    if (!tensor.source)
      return;
    memory_ = Memory(tensor.bytes);
    tensor.source->make(tensor, memory_.data());
    view.data = memory_.data();
    view.source = nullptr;
  }
  TensorView view;

private:
  Memory memory_;
};

} // namespace kiln
