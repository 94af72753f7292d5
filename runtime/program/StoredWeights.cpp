// Rounding of what goes into a program.

#include "runtime/program/StoredWeights.h"

#include "runtime/program/WeightFiles.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <span>
#include <thread>

namespace kiln {

std::shared_ptr<WeightSet> openWeights(const std::string &path, std::string &why) {
  try {
    Safetensors file = Safetensors::open(path);
    std::map<std::string, std::string> metadata = file.metadata();
    return std::make_shared<WeightSet>(WeightSet{std::move(file), std::move(metadata)});
  } catch (const Error &error) {
    why = error.what();
    return nullptr;
  }
}

namespace {
struct Owned {
  Safetensors source; ///< whose bytes the tensors that stay are
  std::vector<std::unique_ptr<uint8_t[]>> made;

  uint8_t *room(size_t bytes) { return made.emplace_back(std::make_unique<uint8_t[]>(bytes)).get(); }
};

/// Of a block the largest of its numbers' sizes, and the number that has it.
struct Extreme {
  double size = 0, number = 0;
  explicit Extreme(std::span<const double> block) {
    for (double x : block)
      if (std::fabs(x) > size)
        size = std::fabs(x), number = x;
  }
};

/// The scale as it is stored; away from zero, so that no number is cut off. Infinite where f16 does not hold it.
double storedScale(kiln_dtype dtype, double exact) {
  uint8_t bytes[8];
  storeNumber(dtype, bytes, 0, exact);
  double stored = loadNumber(dtype, bytes, 0);
  if (dtype == KILN_F16 && std::fabs(stored) < std::fabs(exact)) {
    uint16_t bits;
    std::memcpy(&bits, bytes, sizeof bits);
    ++bits; // the next number of the same sign
    stored = static_cast<double>(halfToFloat(bits));
  }
  return stored;
}

int64_t nearest(double x, double scale, int64_t least, int64_t most) {
  double q = scale != 0 ? std::nearbyint(x / scale) : 0;
  return static_cast<int64_t>(std::clamp(q, static_cast<double>(least), static_cast<double>(most)));
}

/// Bytes from -127 to 127.
double chooseBytes(std::span<const double> block, kiln_dtype dtype) {
  return storedScale(dtype, Extreme(block).size / 127);
}

/// Halves of bytes stand for -8 to 7: of the scales around the one by which the block's extreme is -8, each moved to
/// its least squares, the one by which the block's numbers come out nearest.
double chooseHalves(std::span<const double> block, kiln_dtype dtype) {
  Extreme extreme(block);
  double best = storedScale(dtype, extreme.number / -8), least = INFINITY;
  for (int step = -6; step <= 6 && extreme.size > 0; ++step) {
    double inverse = -(8 + 0.15 * step) / extreme.number, xq = 0, qq = 0;
    for (double x : block) {
      double q = std::clamp(std::nearbyint(x * inverse), -8.0, 7.0);
      xq += x * q, qq += q * q;
    }
    double scale = qq > 0 ? storedScale(dtype, xq / qq) : 0, error = 0;
    for (double x : block) {
      double off = x - scale * std::clamp(std::nearbyint(x * inverse), -8.0, 7.0);
      error += off * off;
    }
    if (error < least && std::isfinite(scale))
      least = error, best = scale;
  }
  return best;
}

/// A matrix becomes blocks.
class Blocking {
public:
  /// `columns`: the blocks lie along the matrix's columns.
  Blocking(const TensorView &matrix, const StoredType &blocks, const StoredType &scales, bool columns)
      : matrix_(matrix), columns_(columns), size_(blocks.shape[2]), halves_(blocks.dtype == KILN_U8),
        scales_(scales.dtype), rows_(matrix.shape[columns ? 1 : 0]), perRow_(matrix.shape[columns ? 0 : 1] / size_) {}

  std::vector<int64_t> shape() const { return {rows_, halves_ ? perRow_ / 2 : perRow_, size_}; }
  kiln_dtype scalesType() const { return scales_; }
  std::vector<int64_t> scalesShape() const { return {rows_, perRow_}; }
  size_t bytes() const { return static_cast<size_t>(rows_ * perRow_ * size_ / (halves_ ? 2 : 1)); }
  size_t scalesBytes() const { return static_cast<size_t>(rows_ * perRow_) * dtypeSize(scales_); }

  /// Rows in as many parts as there are threads. Not empty: why there are none.
  std::string run(uint8_t *bytes, uint8_t *scales) {
    unsigned threads = std::max(1U, std::min(16U, std::thread::hardware_concurrency()));
    std::vector<std::string> why(threads);
    std::vector<double> off(threads), all(threads);
    std::vector<std::thread> others;
    for (unsigned t = 0; t < threads; ++t)
      others.emplace_back([&, t] {
        for (int64_t row = rows_ * t / threads; row < rows_ * (t + 1) / threads && why[t].empty(); ++row)
          why[t] = blockRow(row, bytes, scales, off[t], all[t]);
      });
    double difference = 0, total = 0;
    for (unsigned t = 0; t < threads; ++t) {
      others[t].join();
      difference += off[t], total += all[t];
    }
    error_ = total > 0 ? std::sqrt(difference / total) : 0;
    for (const std::string &each : why)
      if (!each.empty())
        return each;
    return {};
  }
  double error() const { return error_; }

private:
  std::string blockRow(int64_t row, uint8_t *bytes, uint8_t *scales, double &off, double &all) const {
    std::vector<double> block(static_cast<size_t>(size_));
    for (int64_t b = row * perRow_; b < (row + 1) * perRow_; ++b) {
      for (int64_t i = 0; i < size_; ++i) {
        double &x = block[static_cast<size_t>(i)];
        int64_t at = columns_ ? ((b - row * perRow_) * size_ + i) * rows_ + row : b * size_ + i;
        x = loadNumber(matrix_.dtype, matrix_.data, at);
        if (!std::isfinite(x))
          return format("element %lld is not finite", static_cast<long long>(at));
        all += x * x;
      }
      double scale = halves_ ? chooseHalves(block, scales_) : chooseBytes(block, scales_);
      if (!std::isfinite(scale))
        return format("elements of %g are beyond what a block's scale holds", Extreme(block).size);
      storeNumber(scales_, scales, b, scale);
      for (int64_t i = 0; i < size_; ++i) {
        double x = block[static_cast<size_t>(i)];
        int64_t q = halves_ ? nearest(x, scale, -8, 7) : nearest(x, scale, -127, 127);
        if (halves_)
          bytes[(b / 2) * size_ + i] |= static_cast<uint8_t>((q + 8) << (b % 2 ? 4 : 0));
        else
          bytes[b * size_ + i] = static_cast<uint8_t>(q);
        double difference = x - static_cast<double>(q) * scale;
        off += difference * difference;
      }
    }
    return {};
  }

  const TensorView &matrix_;
  bool columns_;
  int64_t size_;
  bool halves_;
  kiln_dtype scales_;
  int64_t rows_, perRow_;
  double error_ = 0;
};

const StoredType *typeOf(const StoredTypes &types, const std::string &name) {
  auto found = types.find(name);
  return found == types.end() ? nullptr : &found->second;
}

/// How the tensor is put into blocks, where it is a matrix that the program has so; its scales are called `scales`
/// then.
std::optional<Blocking> blockingOf(const StoredTypes &types, const TensorView &tensor, std::string &scales) {
  const StoredType *blocks = typeOf(types, tensor.name);
  bool inBlocks = blocks && (blocks->dtype == KILN_I8 || blocks->dtype == KILN_U8) && blocks->shape.size() == 3;
  for (bool columns : {false, true}) {
    scales = tensor.name + (columns ? ".column_scales" : ".scales");
    const StoredType *its = typeOf(types, scales);
    if (inBlocks && its && its->shape.size() == 2 && isFloat(tensor.dtype) && tensor.shape.size() == 2 &&
        tensor.shape[columns ? 1 : 0] == blocks->shape[0] &&
        tensor.shape[columns ? 0 : 1] == its->shape[1] * blocks->shape[2])
      return Blocking(tensor, *blocks, *its, columns);
  }
  return std::nullopt;
}

bool isNarrower(const StoredType &type, const TensorView &tensor) {
  return isFloat(type.dtype) && isFloat(tensor.dtype) && dtypeSize(type.dtype) < dtypeSize(tensor.dtype);
}

} // namespace

StoredTypes storedTypes(const std::vector<TensorRequest> &requests) {
  StoredTypes types;
  for (const TensorRequest &request : requests)
    types[request.name] = {request.dtype, request.shape};
  return types;
}

Safetensors typesAs(const StoredTypes &types, const Safetensors &weights) {
  std::vector<TensorView> tensors;
  for (TensorView tensor : weights.tensors()) {
    const StoredType *type = typeOf(types, tensor.name);
    std::string scales;
    if (auto blocking = blockingOf(types, tensor, scales)) {
      tensors.push_back({tensor.name, type->dtype, blocking->shape(), tensor.data, blocking->bytes()});
      tensors.push_back(
          {scales, blocking->scalesType(), blocking->scalesShape(), tensor.data, blocking->scalesBytes()});
      continue;
    }
    if (type && isNarrower(*type, tensor)) {
      tensor.bytes = tensor.bytes / dtypeSize(tensor.dtype) * dtypeSize(type->dtype);
      tensor.dtype = type->dtype;
    }
    tensors.push_back(tensor);
  }
  return Safetensors::of(std::move(tensors), weights.what(), nullptr);
}

Safetensors storeAs(const StoredTypes &types, Safetensors weights, std::vector<StoredError> *errors) {
  std::string what = weights.what();
  auto owned = std::make_shared<Owned>(Owned{std::move(weights), {}});
  std::vector<TensorView> tensors;
  for (const TensorView &tensor : owned->source.tensors()) {
    const StoredType *type = typeOf(types, tensor.name);
    std::string why, scales;
    if (auto blocking = blockingOf(types, tensor, scales)) {
      uint8_t *bytes = owned->room(blocking->bytes()), *itsScales = owned->room(blocking->scalesBytes());
      why = blocking->run(bytes, itsScales);
      tensors.push_back({tensor.name, type->dtype, blocking->shape(), bytes, blocking->bytes()});
      tensors.push_back({scales, blocking->scalesType(), blocking->scalesShape(), itsScales, blocking->scalesBytes()});
      if (errors)
        errors->push_back({tensor.name, blocking->error()});
    } else if (type && isNarrower(*type, tensor)) {
      int64_t count = countElements(tensor.shape).value_or(0);
      size_t bytes = static_cast<size_t>(count) * dtypeSize(type->dtype);
      uint8_t *made = owned->room(bytes);
      if (convertElements(tensor.dtype, tensor.data, type->dtype, made, count, why))
        tensors.push_back({tensor.name, type->dtype, tensor.shape, made, bytes});
    } else {
      tensors.push_back(tensor);
    }
    if (!why.empty())
      fail("%s: %s", tensor.name.c_str(), why.c_str());
  }
  return Safetensors::of(std::move(tensors), what, owned);
}

std::string storedMisfit(const Manifest &manifest, WeightSet &weights) {
  std::vector<TensorRequest> requests = requestsOf(manifest);
  weights.tensors = withoutSpare(std::move(weights.tensors), requests);
  WeightSet stored{typesAs(storedTypes(requests), weights.tensors), {}};
  return weightsMisfit(manifest, stored);
}

std::string storeSet(const Manifest &manifest, WeightSet &weights, std::vector<StoredError> &errors) {
  try {
    weights.tensors = storeAs(storedTypes(requestsOf(manifest)), std::move(weights.tensors), &errors);
    return {};
  } catch (const Error &error) {
    return error.what();
  }
}

} // namespace kiln
