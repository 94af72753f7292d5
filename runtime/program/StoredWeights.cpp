// Rounding of what goes into a program.

#include "runtime/program/StoredWeights.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>

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

constexpr int64_t blockSize = 32;

/// Bytes and scales of a matrix of whole blocks; not empty: why there are none.
std::string inBlocks(const TensorView &matrix, int8_t *bytes, void *scales) {
  int64_t count = countElements(matrix.shape).value_or(0);
  for (int64_t block = 0; block * blockSize < count; ++block) {
    double elements[blockSize], most = 0;
    for (int64_t i = 0; i < blockSize; ++i) {
      elements[i] = loadNumber(matrix.dtype, matrix.data, block * blockSize + i);
      if (!std::isfinite(elements[i]))
        return format("element %lld is not finite", static_cast<long long>(block * blockSize + i));
      most = std::max(most, std::fabs(elements[i]));
    }
    storeNumber(KILN_F32, scales, block, most / 127);
    double scale = loadNumber(KILN_F32, scales, block);
    if (!std::isfinite(scale))
      return format("elements of %g are beyond what a block's scale holds", most);
    for (int64_t i = 0; i < blockSize; ++i)
      bytes[block * blockSize + i] =
          static_cast<int8_t>(scale > 0 ? std::clamp(std::nearbyint(elements[i] / scale), -127.0, 127.0) : 0);
  }
  return {};
}

/// Of a parameter in blocks, whether the tensor is the matrix that it stands for.
bool isMatrixOf(const TensorView &tensor, const std::vector<Dim> &blocks) {
  bool isFloating =
      tensor.dtype == KILN_F32 || tensor.dtype == KILN_F64 || tensor.dtype == KILN_BF16 || tensor.dtype == KILN_F32;
  return isFloating && tensor.shape.size() == 2 && blocks.size() == 3 && blocks[2] == Dim(blockSize) &&
         Dim(tensor.shape[0]) == blocks[0] && Dim(tensor.shape[1]) == blocks[1] * Dim(blockSize);
}
} // namespace

std::string storeAsDeclared(const Manifest &manifest, WeightSet &weights) {
  std::map<std::string, const TypeSpec *> stored;
  for (const ParameterSpec &parameter : manifest.parameters)
    stored[parameter.name] = &parameter.type;
  std::string what = weights.tensors.what(), why;
  auto owned = std::make_shared<Owned>(Owned{std::move(weights.tensors), {}});
  std::vector<TensorView> tensors;
  for (TensorView tensor : owned->source.tensors()) {
    auto found = stored.find(tensor.name);
    const TypeSpec *type = found == stored.end() ? nullptr : found->second;
    int64_t count = countElements(tensor.shape).value_or(0);
    if (type && type->dtype == KILN_I8 && stored.contains(tensor.name + ".scales") && isMatrixOf(tensor, type->shape)) {
      int64_t rows = tensor.shape[0], blocks = tensor.shape[1] / blockSize;
      auto *bytes = owned->room(static_cast<size_t>(count));
      auto *scales = owned->room(static_cast<size_t>(rows * blocks) * 4);
      why = inBlocks(tensor, reinterpret_cast<int8_t *>(bytes), scales);
      tensors.push_back({tensor.name, KILN_I8, {rows, blocks, blockSize}, bytes, static_cast<size_t>(count)});
      tensors.push_back(
          {tensor.name + ".scales", KILN_F32, {rows, blocks}, scales, static_cast<size_t>(rows * blocks) * 4});
    } else if (type && dtypeSize(type->dtype) < dtypeSize(tensor.dtype)) {
      size_t bytes = static_cast<size_t>(count) * dtypeSize(type->dtype);
      uint8_t *made = owned->room(bytes);
      if (convertElements(tensor.dtype, tensor.data, type->dtype, made, count, why))
        tensors.push_back({tensor.name, type->dtype, tensor.shape, made, bytes});
    } else {
      tensors.push_back(tensor);
    }
    if (!why.empty())
      return tensor.name + ": " + why;
  }
  weights.tensors = Safetensors::of(std::move(tensors), what, owned);
  return {};
}

} // namespace kiln
